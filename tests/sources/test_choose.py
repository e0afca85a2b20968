import platform
import subprocess
import sys

import pytest

from netusage.errors import SourceError
from netusage.sources.choose import open_source

linux = pytest.mark.skipif(sys.platform != "linux", reason="netlink exists on Linux only")

# Lets every system call through but socket(AF_NETLINK), which is "not permitted", as a strict sandbox does.
SOCKET_NUMBERS = {"x86_64": 41, "aarch64": 198}
WITHOUT_NETLINK = """
import ctypes, struct, sys

program = [
    (0x20, 0, 0, 0),  # load the number of the system call
    (0x15, 0, 3, {number}),
    (0x20, 0, 0, 16),  # load its first argument
    (0x15, 0, 1, 16),  # AF_NETLINK
    (0x06, 0, 0, 0x00050000 | 1),  # EPERM
    (0x06, 0, 0, 0x7FFF0000),
]
code = b"".join(struct.pack("=HBBI", *line) for line in program)
buffer = ctypes.create_string_buffer(code, len(code))
filters = ctypes.create_string_buffer(struct.pack("@HP", len(program), ctypes.addressof(buffer)))
libc = ctypes.CDLL(None, use_errno=True)
assert libc.prctl(38, 1, 0, 0, 0) == 0  # PR_SET_NO_NEW_PRIVS
assert libc.prctl(22, 2, filters, 0, 0) == 0, ctypes.get_errno()  # PR_SET_SECCOMP, SECCOMP_MODE_FILTER

from netusage.errors import SourceError
from netusage.sources.choose import open_source

source, why = open_source("auto")
print(source.name, bool(source.read().indexes), why, sep="|")
try:
    open_source("netlink")
except SourceError as error:
    print(error)
"""


def test_psutil_is_taken_when_it_is_asked_for():
    source, why = open_source("psutil")
    assert (source.name, why) == ("psutil", "psutil was asked for")
    source.close()


@linux
@pytest.mark.parametrize(
    ("kind", "why"), [("auto", "netlink serves Linux"), ("netlink", "netlink was asked for")]
)
def test_netlink_is_taken_on_linux(kind, why):
    source, said = open_source(kind)
    source.close()
    assert (source.name, said) == ("netlink", why)


@pytest.mark.system
@linux
def test_psutil_stands_in_where_netlink_is_not_permitted():
    number = SOCKET_NUMBERS.get(platform.machine())
    if number is None:
        pytest.skip(f"the number of socket(2) on {platform.machine()} is not known here")
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_NETLINK.replace("{number}", str(number))],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    chosen, refused = done.stdout.splitlines()
    reason = "cannot open a netlink socket: Operation not permitted"
    assert chosen == f"psutil|True|psutil stands in, because netlink failed: {reason}"
    assert refused.startswith(f"{reason}; allow AF_NETLINK sockets")


def test_netlink_is_refused_where_it_does_not_exist(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(SourceError, match="Linux only"):
        open_source("netlink")


IMPORTED = "import sys; from netusage.sources.choose import open_source; {}; print(*sorted(sys.modules))"


def modules_after(statement):
    code = IMPORTED.format(statement)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_choosing_imports_no_source_and_no_library():
    loaded = modules_after("pass")
    assert loaded.isdisjoint({"psutil", "msgspec", "socket", "ctypes", "pathlib", "fnmatch"})


@linux
def test_netlink_needs_no_library():
    loaded = modules_after("open_source('netlink')[0].close()")
    assert loaded.isdisjoint({"psutil", "msgspec", "ctypes", "asyncio", "pathlib", "json"})
