"""Whose bytes they are where the kernel has no BTF: counted before queues, by what is known of the thread that made a socket.

That it loads without BTF of the kernel is shown by the object alone, which has nothing for the kernel to relocate, and
by its helpers: this machine's kernel has BTF, and cannot be made to forget it.
"""

import importlib.util
import json
import os
import re
import shutil
import socket
import struct
import subprocess
from pathlib import Path

import pytest
from sources.applications.conftest import (
    CONNECT,
    FRAME,
    RESET,
    SERVE,
    SYN,
    Lab,
    enter,
    name_of,
    talk,
    with_ipv6,
)
from support.namespace import run
from support.patience import until

from netusage.errors import SourceError
from netusage.model import ZERO
from netusage.sources.applications import skeleton
from netusage.sources.applications.counts import UNNAMED, Scope
from netusage.sources.applications.framing import as_counted
from netusage.sources.applications.kernel import KernelApplications, netns_cookie

pytestmark = [pytest.mark.system, pytest.mark.root]

SOURCE = Path(__file__).parents[3] / "bpf"
SKELETON = "before_queueing.skeleton"


@pytest.fixture(scope="module")
def loadable_before_queueing():
    try:
        KernelApplications(before_queueing=True).close()
    except SourceError as error:
        pytest.skip(f"{error}")


@pytest.fixture
def programs(loadable_before_queueing):
    """The programs, attached for the length of the test; `lab` takes these."""
    with KernelApplications(before_queueing=True) as found:
        yield found


def counted_at(programs, lab, space, name):
    """The counts of an owner at the cable."""
    index = space.links()["cable"]["ifindex"]
    return [
        count
        for key, count in programs.read().items()
        if (key.netns, key.ifindex) == (lab.cookies[space.name], index)
        and name_of(programs, key.owner) == name
    ]


# ---- Whose they are ----------------------------------------------------------------------------------------------


def test_it_says_what_it_is(programs):
    assert programs.tier == "kernel before queueing"
    assert not programs.lasts
    assert programs.born == programs.state().born > 0


def test_who_connects_and_who_accepts_have_every_byte_of_a_connection(lab, programs):
    talk(lab)
    left, right = lab.account(programs, lab.left), lab.account(programs, lab.right)
    assert left.keys() == {"connect.py"}
    assert left["connect.py"][0] > 300_000
    assert left["connect.py"][1] > 1_000_000
    assert right == {"serve.py": (left["connect.py"][1], left["connect.py"][0])}


def test_a_thousand_connections_have_their_owners(lab, programs):
    talk(lab, times=1000, size=500, answer=100)
    left, right = lab.account(programs, lab.left), lab.account(programs, lab.right)
    # what comes late is answered by the kernel's memory of a connection
    assert left.keys() - {"kernel", ""} == {"connect.py"}
    assert right.keys() - {"kernel", ""} == {"serve.py"}
    assert left["connect.py"][1] > 1000 * 500
    assert right["serve.py"][1] > 1000 * 100


def test_two_thousand_processes_that_live_for_milliseconds_are_one_owner(lab, programs):
    code = """
        import os, socket
        for _ in range(2000):
            if not os.fork():
                sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
                sock.sendto(bytes(1000), ("10.9.0.2", 5000))
                os._exit(0)
            os.wait()
    """
    receiver = lab.right.socket(socket.AF_INET, socket.SOCK_DGRAM)
    receiver.bind(("10.9.0.2", 5000))
    lab.run(lab.left, "short.py", code)
    assert lab.account(programs, lab.left) == {"short.py": (0, 2000 * 1042)}
    assert len(counted_at(programs, lab, lab.left, "short.py")) == 1


def test_datagrams_are_those_of_who_sends_and_who_gets_them(lab, programs):
    code = """
        import socket, sys
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.settimeout(20)
        if sys.argv[1] == "get":
            sock.bind(("10.9.0.2", 5000))
            print("ready", flush=True)
            for _ in range(30):
                sock.sendto(b"answer", sock.recvfrom(2000)[1])
        else:
            if sys.argv[1] == "connect":
                sock.connect(("10.9.0.2", 5000))
            for _ in range(15):
                sock.send(bytes(500)) if sys.argv[1] == "connect" else sock.sendto(bytes(500), ("10.9.0.2", 5000))
                sock.recv(100)
    """
    getter = lab.start(lab.right, "get.py", code, "get")
    lab.run(lab.left, "connected.py", code, "connect")
    lab.run(lab.left, "unconnected.py", code, "send")
    lab.ended(getter)
    sent, answered = 15 * (500 + 42), 15 * (6 + 42)
    assert lab.account(programs, lab.left) == {
        "connected.py": (answered, sent),
        "unconnected.py": (answered, sent),
    }
    assert lab.account(programs, lab.right) == {"get.py": (2 * sent, 2 * answered)}


@pytest.mark.parametrize(
    ("listen", "address"), [("::", "fd09::2"), ("::", "10.9.0.2")], ids=["IPv6", "v4-mapped"]
)
def test_connections_of_ipv6_and_mapped_ones_have_their_owners(lab, programs, listen, address):
    for space, own in ((lab.left, 1), (lab.right, 2)):
        space.inside(with_ipv6)
        space.ip("addr", "add", f"fd09::{own}/64", "dev", "cable", "nodad")
    talk(lab, address=address, listen=listen)
    left, right = lab.account(programs, lab.left), lab.account(programs, lab.right)
    assert left["connect.py"][0] > 300_000
    assert right["serve.py"][0] == left["connect.py"][1]
    assert right["serve.py"][1] == left["connect.py"][0]
    # neighbours are looked for with the kernel's own sockets
    assert left.keys() | right.keys() <= {"connect.py", "serve.py", "kernel", ""}
    family = 6 if ":" in address else 4
    found = {key.family for key in programs.read() if name_of(programs, key.owner) == "connect.py"}
    assert found == {family}


def test_what_is_sent_to_a_closed_port_and_what_answers_it_is_nobody_s(lab, programs):
    code = """
        import contextlib, socket
        for n in range(200):
            with contextlib.suppress(ConnectionRefusedError):
                socket.create_connection(("10.9.0.2", 6000))
    """
    lab.run(lab.left, "flood.py", code)
    assert lab.account(programs, lab.left) == {"flood.py": (200 * RESET, 200 * SYN)}
    assert lab.account(programs, lab.right) == {"resets": (0, 200 * RESET), "": (200 * SYN, 0)}


def test_sockets_that_are_older_than_the_programs_are_unnamed_and_so_is_what_they_accept(
    loadable_before_queueing, spaces, tmp_path
):
    lab = Lab(spaces, tmp_path, named=True)
    code = """
        import socket, sys
        connection = socket.create_connection(("10.9.0.2", 5000))
        print("ready", flush=True)
        sys.stdin.readline()
        connection.sendall(bytes(1_000_000))
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(1 << 16):
            pass
    """
    try:
        server = lab.start(lab.right, "serve.py", SERVE, "10.9.0.2", 5000, 2, 300_000)
        client = lab.start(lab.left, "older.py", code, stdin=subprocess.PIPE)
        with KernelApplications(before_queueing=True) as programs:
            lab.begin()
            client.stdin.write("\n")
            client.stdin.close()
            lab.ended(client)
            older = lab.account(programs, lab.left)
            lab.run(lab.left, "connect.py", CONNECT, "10.9.0.2", 5000, 1, 1000)
            lab.ended(server)
            left, right = lab.account(programs, lab.left), lab.account(programs, lab.right)
        assert older["unnamed"][1] > 1_000_000
        assert older.keys() == {"unnamed"}
        assert left.keys() == {"unnamed", "connect.py"}
        assert right.keys() == {"unnamed"}
    finally:
        lab.close()


def test_users_cgroups_and_names_tell_owners_apart(lab, programs, cgroup):
    code = """
        import os, socket, sys
        os.setuid(int(sys.argv[1]))
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(bytes(100), ("10.9.0.2", 5000))
    """
    receiver = lab.right.socket(socket.AF_INET, socket.SOCK_DGRAM)
    receiver.bind(("10.9.0.2", 5000))
    inner = cgroup("docker-" + 64 * "a" + ".scope")
    for name, user in (("a.py", 0), ("a.py", 1000), ("b.py", 0)):
        lab.run(lab.left, name, code, user)
    lab.run(lab.left, "a.py", code, 0, preexec_fn=lambda: enter(inner))
    cookie = lab.cookies[lab.left.name]
    owners = [programs.owner(key.owner) for key in programs.read() if key.netns == cookie]
    found = {(owner.comm, owner.uid, owner.cgroup == os.stat(inner).st_ino) for owner in owners}
    assert found == {("a.py", 0, False), ("a.py", 1000, False), ("a.py", 0, True), ("b.py", 0, False)}
    assert {(owner.path, owner.script, owner.exe_inode, owner.exe_device) for owner in owners} == {
        ("", "", 0, 0)
    }
    assert all(owner.tgid > 0 for owner in owners)
    assert lab.account(programs, lab.left) == {"a.py": (0, 3 * 142), "b.py": (0, 142)}


def test_an_address_tells_how_far_away_the_other_end_is(lab, programs):
    lab.left.ip("route", "add", "default", "via", "10.9.0.2")
    addresses = {"10.9.0.2": Scope.LAN, "169.254.3.4": Scope.LINK, "198.51.100.7": Scope.INTERNET}
    code = """
        import socket, sys
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        for size, address in enumerate(sys.argv[1:], start=100):
            sock.sendto(bytes(size), (address, 5000))
    """
    lab.run(lab.left, "far.py", code, *addresses)
    found = {
        key.scope: count.tx_bytes
        for key, count in programs.read().items()
        if name_of(programs, key.owner) == "far.py"
    }
    assert found == {scope: size + 28 for size, scope in enumerate(addresses.values(), start=100)}


# ---- What interfaces count ---------------------------------------------------------------------------------------


def interface_total(programs, space, name, kind):
    index, cookie = space.links()[name]["ifindex"], space.inside(netns_cookie)
    total = ZERO
    for key, count in programs.read().items():
        if (key.netns, key.ifindex) == (cookie, index):
            total = total.plus(as_counted(kind, count, frames=programs.frames))
    return total


@pytest.mark.parametrize(("name", "kind"), [("cable", "veth"), ("lo", "loopback")])
def test_where_nothing_is_dropped_the_account_is_the_interface_s_own(lab, programs, name, kind):
    address = "10.9.0.2" if name == "cable" else "127.0.0.1"
    space = lab.right if name == "cable" else lab.left
    server = lab.start(space, "serve.py", SERVE, address, 5000, 1, 300_000)
    lab.run(lab.left, "connect.py", CONNECT, address, 5000, 1, 1_000_000)
    lab.ended(server)
    until(
        lambda: interface_total(programs, lab.left, name, kind) == lab.left.counters()[name],
        lambda: f"{interface_total(programs, lab.left, name, kind)} to be {lab.left.counters()[name]}",
        seconds=5,
    )
    assert lab.left.counters()[name].tx_bytes > 1_000_000


def test_what_dividing_a_packet_adds_is_counted_beside_it(lab, programs):
    """A device that divides sends each segment with headers of 52 bytes, IPv4's and TCP's with timestamps."""
    talk(lab)
    (count,) = counted_at(programs, lab, lab.left, "connect.py")
    assert count.tx_segments > 0
    assert count.tx_header_bytes == 52 * count.tx_segments
    divided, whole = as_counted("", count, frames=False), as_counted("veth", count, frames=False)
    assert divided.tx_packets - whole.tx_packets == count.tx_segments
    assert divided.tx_bytes - whole.tx_bytes == (52 + FRAME) * count.tx_segments


def test_datagrams_are_counted_before_they_become_fragments(lab, programs):
    """Each fragment but the first has a header of IPv4 and of Ethernet that nobody is told of."""
    code = """
        import socket
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(bytes(4000), ("10.9.0.2", 5000))
    """
    before = lab.left.counters()["cable"]
    lab.run(lab.left, "large.py", code)
    (count,) = counted_at(programs, lab, lab.left, "large.py")
    assert (count.tx_bytes, count.tx_packets) == (4028, 1)
    assert lab.left.counters()["cable"].minus(before).tx_bytes == 4028 + FRAME + 2 * (20 + FRAME)


def test_what_a_queue_drops_was_counted_before(lab, programs):
    if shutil.which("tc") is None:
        pytest.skip("needs tc(8), of the package iproute2")
    run(
        *lab.left.command("tc", "qdisc", "add", "dev", "cable", "root"),
        *("tbf", "rate", "1mbit", "burst", "5kb", "limit", "10kb"),
    )
    code = """
        import contextlib, socket
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        for _ in range(500):
            with contextlib.suppress(OSError):
                sock.sendto(bytes(1000), ("10.9.0.2", 5000))
    """
    before = lab.left.counters()["cable"]
    lab.run(lab.left, "burst.py", code)
    until(
        lambda: '"backlog":0' in run(*lab.left.command("tc", "-s", "-j", "qdisc", "show", "dev", "cable")),
        "the queue",
    )
    (count,) = counted_at(programs, lab, lab.left, "burst.py")
    assert (count.tx_bytes, count.tx_packets) == (500 * 1028, 500)
    assert lab.left.counters()["cable"].minus(before).tx_bytes < 100 * 1042
    assert programs.tier == "kernel before queueing"


# ---- Loading -----------------------------------------------------------------------------------------------------


def test_the_object_has_nothing_that_the_kernel_would_relocate(tmp_path):
    """struct btf_ext_header of Documentation/bpf/btf.rst: relocations are its third part.

    The other programs have some, so they would be seen here.
    """
    spec = importlib.util.spec_from_file_location("bpf_build", SOURCE / "build.py")
    build = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(build)
    missing = [tool for tool in ("clang", "llvm-objcopy") if shutil.which(tool) is None]
    if missing:
        pytest.skip(f"needs {' and '.join(missing)}")

    def relocation_bytes(name):
        made, part = tmp_path / f"{name}.o", tmp_path / f"{name}.ext"
        build.compile_to(name, made)
        run("llvm-objcopy", f"--dump-section=.BTF.ext={part}", str(made), os.devnull)
        magic, header = struct.unpack_from("=HxxI", part.read_bytes())
        assert magic == 0xEB9F
        return struct.unpack_from("=I", part.read_bytes(), 28)[0] if header >= 32 else 0

    assert relocation_bytes("before_queueing") == 0
    assert relocation_bytes("applications") > 0


def test_a_kernel_that_does_not_tell_namespaces_of_packets_is_not_asked_for_them(
    lab, loadable_before_queueing, monkeypatch
):
    """As the kernel refuses it: what has no owner is in namespace 0, and all the rest where it was made."""
    load = skeleton.load

    def refuse(name, constants=b""):
        if not constants:
            raise OSError(22, "unknown func bpf_get_netns_cookie")
        return load(name, constants)

    monkeypatch.setattr(skeleton, "load", refuse)
    code = """
        import contextlib, socket
        with contextlib.suppress(ConnectionRefusedError):
            socket.create_connection(("10.9.0.2", 6000))
    """
    with KernelApplications(before_queueing=True) as programs:
        lab.begin()
        lab.run(lab.left, "one.py", code)
        index = lab.right.links()["cable"]["ifindex"]
        assert lab.account(programs, lab.left) == {"one.py": (RESET, SYN)}
        resets = {
            key: count for key, count in programs.read().items() if (key.netns, key.ifindex) == (0, index)
        }
        assert [count.tx_bytes for count in resets.values()] == [RESET - FRAME]
        assert [name_of(programs, key.owner) for key in resets] == ["resets"]


def test_the_call_that_a_kernel_may_refuse_is_gone_when_it_is_not_made(loadable_before_queueing):
    def text(constants):
        loaded = skeleton.load(SKELETON, constants)
        try:
            info = Path(f"/proc/self/fdinfo/{loaded.programs['ingress']}").read_text()
            number = info.partition("prog_id:")[2].split()[0]
            return run("bpftool", "prog", "dump", "xlated", "id", number)
        finally:
            for fd in (*loaded.maps.values(), *loaded.programs.values()):
                os.close(fd)

    assert "call bpf_get_netns_cookie" in text(b"\1")
    assert "call bpf_get_netns_cookie" not in text(b"\0")


def test_without_the_unified_cgroup_tree_it_says_so(loadable_before_queueing, tmp_path):
    with pytest.raises(SourceError, match="No such file or directory"):
        KernelApplications(str(tmp_path / "nowhere"), before_queueing=True)


def test_pinned_programs_count_on_and_are_found_again(loadable_before_queueing, kept, space):
    code = """
        import socket
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(bytes(100), ("127.0.0.1", 9))
    """
    with KernelApplications(pins=kept, before_queueing=True) as first:
        assert first.lasts
        born = first.born
    run(*space.command("python3", "-c", "\n".join(line.strip() for line in code.splitlines())))
    with KernelApplications(pins=kept, before_queueing=True) as second:
        assert second.born == born
        cookie = space.inside(netns_cookie)
        sent = [
            count.tx_bytes
            for key, count in second.read().items()
            if key.netns == cookie and key.owner > UNNAMED
        ]
        assert sent == [128]


def test_loading_and_unloading_leaves_nothing(loadable_before_queueing):
    """By the numbers of what was loaded here: others load programs at the same time."""

    def numbers(fds):
        lines = "".join(Path(f"/proc/self/fdinfo/{fd}").read_text() for fd in fds)
        return set(re.findall(r"^(prog|map|link)_id:\t([0-9]+)$", lines, re.MULTILINE))

    def there():
        lists = {kind: json.loads(run("bpftool", "-j", kind, "list")) for kind in ("prog", "map", "link")}
        return {(kind, str(one["id"])) for kind, every in lists.items() for one in every}

    fds, made = len(os.listdir("/proc/self/fd")), set()
    for _ in range(50):
        with KernelApplications(before_queueing=True) as programs:
            made |= numbers(programs._open)
    assert {kind for kind, _ in made} == {"prog", "map", "link"}
    assert len(made) > 50 * 10
    assert len(os.listdir("/proc/self/fd")) == fds
    until(lambda: not made & there(), "the kernel to free all of it")
