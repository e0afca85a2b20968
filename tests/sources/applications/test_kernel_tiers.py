"""Whose bytes they are, by either set of programs: what is the same where the kernel has BTF and where it has none."""

import contextlib
import json
import os
import re
import socket
from collections import Counter
from pathlib import Path

import pytest
from sources.applications.conftest import (
    CONNECT,
    FRAME,
    RESET,
    SERVE,
    SYN,
    assert_accounted,
    counted_at,
    enter,
    name_of,
    talk,
    with_ipv6,
)
from support.namespace import run
from support.patience import until

from netusage.errors import SourceError
from netusage.sources.applications.counts import Scope
from netusage.sources.applications.kernel import KernelApplications

pytestmark = [pytest.mark.system, pytest.mark.alone, pytest.mark.root]

IPV6_SYN = SYN + 20


@pytest.fixture(params=[False, True], ids=["kernel", "before queueing"])
def before_queueing(request):
    """Which set of programs."""
    request.getfixturevalue("loadable_before_queueing" if request.param else "loadable")
    return request.param


@pytest.fixture
def programs(before_queueing):
    """Either set, attached for the length of the test; `lab` takes these."""
    with KernelApplications(before_queueing=before_queueing) as found:
        yield found


# ---- Whose they are ----------------------------------------------------------------------------------------------


def test_who_connects_and_who_accepts_have_every_byte_of_a_connection(lab, programs, before_queueing):
    talk(lab)
    left, right = lab.account(programs, lab.left), lab.account(programs, lab.right)
    assert left.keys() == {"connect.py"}
    received, sent = left["connect.py"]
    assert received > 300_000
    assert sent > 1_000_000
    if before_queueing:
        assert right == {"serve.py": (sent, received)}
    else:  # the answer to the first packet leaves before there is a socket of who accepts
        assert right == {"serve.py": (sent, received - SYN), "kernel": (0, SYN)}


def test_two_thousand_processes_that_live_for_milliseconds_are_one_owner(lab, programs):
    """The programs themselves are `fork`ed: the shortest life that there is."""
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
    assert sum(rx for rx, _ in lab.account(programs, lab.right).values()) == 2000 * 1042


def test_datagrams_are_those_of_who_sends_and_who_gets_them_connected_or_not(lab, programs):
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
def test_connections_of_ipv6_and_mapped_ones_have_their_owners(
    lab, programs, before_queueing, listen, address
):
    for space, own in ((lab.left, 1), (lab.right, 2)):
        space.inside(with_ipv6)
        space.ip("addr", "add", f"fd09::{own}/64", "dev", "cable", "nodad")
    talk(lab, address=address, listen=listen)
    left, right = lab.account(programs, lab.left), lab.account(programs, lab.right)
    family = 6 if ":" in address else 4
    answer = 0 if before_queueing else {4: SYN, 6: IPV6_SYN}[family]  # to the first packet: the kernel's
    received, sent = left["connect.py"]
    assert received > 300_000
    assert right["serve.py"] == (sent, received - answer)
    # neighbours are looked for with the kernel's own sockets
    assert left.keys() | right.keys() <= {"connect.py", "serve.py", "kernel", ""}
    counted = {
        key.family
        for key in programs.read()
        if key.netns in lab.cookies.values() and name_of(programs, key.owner) == "connect.py"
    }
    assert counted == {family}


def scopes_of(programs, lab, space, name):
    """An owner's received and sent bytes at the cable, by scope and family."""
    index, found = space.links()["cable"]["ifindex"], {}
    for key, count in programs.read().items():
        if (key.netns, key.ifindex) == (lab.cookies[space.name], index) and name_of(
            programs, key.owner
        ) == name:
            found[key.scope, key.family] = count.rx_bytes, count.tx_bytes
    return found


def test_what_a_listener_accepts_is_counted_by_how_far_away_its_own_other_end_is(lab, programs):
    for space, own in ((lab.left, 1), (lab.right, 2)):
        space.inside(with_ipv6)
        space.ip("addr", "add", f"203.0.113.{own}/24", "dev", "cable")
        space.ip("addr", "add", f"2001:db8::{own}/64", "dev", "cable", "nodad")
    server = lab.start(lab.right, "serve.py", SERVE, "::", 5000, 4, 0)
    for address, size in (
        ("10.9.0.2", 100_000),
        ("203.0.113.2", 200_000),
        ("2001:db8::2", 400_000),
        ("10.9.0.2", 700_000),
    ):
        lab.run(lab.left, "connect.py", CONNECT, address, 5000, 1, size)
    lab.ended(server)
    sizes = {(Scope.LAN, 4): 800_000, (Scope.INTERNET, 4): 200_000, (Scope.INTERNET, 6): 400_000}
    accepted = scopes_of(programs, lab, lab.right, "serve.py")
    connected = scopes_of(programs, lab, lab.left, "connect.py")
    assert accepted.keys() == connected.keys() == sizes.keys()
    for far, size in sizes.items():
        assert size < accepted[far][0] < size * 1.1
        assert size < connected[far][1] < size * 1.1


def test_a_socket_that_is_connected_again_is_counted_by_how_far_away_the_new_end_is(lab, programs):
    for space, own in ((lab.left, 1), (lab.right, 2)):
        space.ip("addr", "add", f"203.0.113.{own}/24", "dev", "cable")
    serve = """
        import contextlib, socket
        listener = socket.create_server(("", 5000))
        print("ready", flush=True)
        for _ in range(2):
            connection = listener.accept()[0]
            with contextlib.suppress(ConnectionResetError):
                while connection.recv(1 << 16):
                    pass
    """
    connect = """
        import ctypes, socket
        sock = socket.socket()
        sock.connect(("10.9.0.2", 5000))
        sock.sendall(bytes(1000))
        assert not ctypes.CDLL(None).connect(sock.fileno(), bytes(16), 16)  # AF_UNSPEC: not connected any more
        sock.connect(("203.0.113.2", 5000))
        sock.sendall(bytes(100_000))
    """
    server = lab.start(lab.right, "serve.py", serve)
    lab.run(lab.left, "connect.py", connect)
    lab.ended(server)
    connected = scopes_of(programs, lab, lab.left, "connect.py")
    assert connected.keys() == {(Scope.LAN, 4), (Scope.INTERNET, 4)}
    assert 1000 < connected[Scope.LAN, 4][1] < 2000
    assert 100_000 < connected[Scope.INTERNET, 4][1] < 110_000


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


def test_users_cgroups_and_names_tell_owners_apart(lab, programs, before_queueing, cgroup):
    code = """
        import os, socket, sys
        os.setuid(int(sys.argv[1]))
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(bytes(100), ("10.9.0.2", 5000))
    """
    receiver = lab.right.socket(socket.AF_INET, socket.SOCK_DGRAM)
    receiver.bind(("10.9.0.2", 5000))
    inner = cgroup("unit")
    for name, user in (("a.py", 0), ("a.py", 1000), ("b.py", 0)):
        lab.run(lab.left, name, code, user)
    lab.run(lab.left, "a.py", code, 0, preexec_fn=lambda: enter(inner))
    cookie = lab.cookies[lab.left.name]
    owners = [programs.owner(key.owner) for key in programs.read() if key.netns == cookie]
    found = {
        (
            owner.comm if before_queueing else os.path.basename(owner.script),
            owner.uid,
            owner.cgroup == os.stat(inner).st_ino,
        )
        for owner in owners
    }
    assert found == {("a.py", 0, False), ("a.py", 1000, False), ("a.py", 0, True), ("b.py", 0, False)}
    assert all(owner.tgid > 0 for owner in owners)
    knows_programs = {any((owner.path, owner.script, owner.exe_inode, owner.exe_device)) for owner in owners}
    assert knows_programs == {not before_queueing}
    assert lab.account(programs, lab.left) == {"a.py": (0, 3 * 142), "b.py": (0, 142)}


@pytest.mark.parametrize("sockets", ["one", "many"])
def test_an_address_tells_how_far_away_the_other_end_is(lab, programs, sockets):
    lab.left.ip("route", "add", "default", "via", "10.9.0.2")
    lab.left.ip("route", "add", "multicast", "224.0.0.0/4", "dev", "cable")
    addresses = {
        "127.0.0.1": Scope.LOOPBACK,
        "10.9.0.2": Scope.LAN,
        "172.16.5.5": Scope.LAN,
        "172.32.0.1": Scope.INTERNET,
        "192.168.1.1": Scope.LAN,
        "100.64.0.9": Scope.LAN,
        "100.128.0.9": Scope.INTERNET,
        "169.254.3.4": Scope.LINK,
        "224.0.0.251": Scope.LINK,
        "198.51.100.7": Scope.INTERNET,
    }
    code = """
        import socket, sys
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        for size, address in enumerate(sys.argv[2:], start=100):
            if sys.argv[1] == "many":
                sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            sock.sendto(bytes(size), (address, 5000))
    """
    lab.run(lab.left, "far.py", code, sockets, *addresses)
    expected = dict.fromkeys(Scope, 0)
    for size, scope in enumerate(addresses.values(), start=100):
        expected[scope] += size + 28 + (FRAME if programs.frames else 0)
    found = dict.fromkeys(Scope, 0)
    for key, count in programs.read().items():
        if key.netns in lab.cookies.values() and name_of(programs, key.owner) == "far.py":
            found[key.scope] += count.tx_bytes
    assert found == expected


@pytest.mark.parametrize(("name", "kind"), [("cable", "veth"), ("lo", "loopback")])
def test_where_nothing_is_dropped_the_account_is_the_interface_s_own(lab, programs, name, kind):
    address = "10.9.0.2" if name == "cable" else "127.0.0.1"
    space = lab.right if name == "cable" else lab.left
    server = lab.start(space, "serve.py", SERVE, address, 5000, 1, 300_000)
    lab.run(lab.left, "connect.py", CONNECT, address, 5000, 1, 1_000_000)
    lab.ended(server)
    assert_accounted(programs, lab.left, name, kind)
    assert lab.left.counters()[name].tx_bytes > 1_000_000


# ---- Loading -----------------------------------------------------------------------------------------------------


def test_where_there_is_no_unified_cgroup_tree_it_says_so(before_queueing, tmp_path):
    with pytest.raises(SourceError, match="No such file or directory") as raised:
        KernelApplications(str(tmp_path / "nowhere"), before_queueing=before_queueing)
    assert raised.value.hint.startswith("mount the unified cgroup tree")


def open_files():
    """What this process has open, how often each: what others have left may be closed at any time."""
    found = Counter()
    for fd in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):
            found[os.readlink(f"/proc/self/fd/{fd}")] += 1
    return found


def test_loading_and_unloading_leaves_nothing(before_queueing):
    """By the numbers of what was loaded here: others load programs at the same time."""

    def numbers(fds):
        lines = "".join(Path(f"/proc/self/fdinfo/{fd}").read_text() for fd in fds)
        return set(re.findall(r"^(prog|map|link)_id:\t([0-9]+)$", lines, re.MULTILINE))

    def there():
        lists = {kind: json.loads(run("bpftool", "-j", kind, "list")) for kind in ("prog", "map", "link")}
        return {(kind, str(one["id"])) for kind, every in lists.items() for one in every}

    before, made = open_files(), set()
    for _ in range(100):
        with KernelApplications(before_queueing=before_queueing) as programs:
            made |= numbers(programs._open)
    assert {kind for kind, _ in made} == {"prog", "map", "link"}
    assert len(made) > 100 * 10
    assert not open_files() - before
    until(lambda: not made & there(), "the kernel to free all of it")
