"""Whose bytes they are where the kernel has no BTF: counted before queues, by what is known of the thread that made a socket.

That it loads without BTF of the kernel is shown by the object alone, which has nothing for the kernel to relocate, and
by its helpers: this machine's kernel has BTF, and cannot be made to forget it.
"""

import importlib.util
import os
import shutil
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
    counted_at,
    name_of,
    talk,
)
from support.namespace import run
from support.patience import until

from netusage.sources.applications import skeleton
from netusage.sources.applications.counts import UNNAMED
from netusage.sources.applications.framing import as_counted
from netusage.sources.applications.kernel import KernelApplications, netns_cookie

pytestmark = [pytest.mark.system, pytest.mark.alone, pytest.mark.root]

SOURCE = Path(__file__).parents[3] / "bpf"
SKELETON = "before_queueing.skeleton"


@pytest.fixture
def programs(loadable_before_queueing):
    """The programs, attached for the length of the test; `lab` takes these."""
    with KernelApplications(before_queueing=True) as found:
        yield found


# ---- Whose they are ----------------------------------------------------------------------------------------------


def test_it_says_what_it_is(programs):
    assert programs.tier == "kernel before queueing"
    assert not programs.lasts
    assert programs.born == programs.state().born > 0


def test_a_thousand_connections_have_their_owners(lab, programs):
    talk(lab, times=1000, size=500, answer=100)
    left, right = lab.account(programs, lab.left), lab.account(programs, lab.right)
    # what comes late is answered by the kernel's memory of a connection
    assert left.keys() - {"kernel", ""} == {"connect.py"}
    assert right.keys() - {"kernel", ""} == {"serve.py"}
    assert left["connect.py"][1] > 1000 * 500
    assert right["serve.py"][1] > 1000 * 100


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


# ---- What interfaces count ---------------------------------------------------------------------------------------


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
