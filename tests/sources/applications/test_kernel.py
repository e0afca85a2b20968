"""Whose bytes they are: for each way in which sockets are made, used and handed on, the account is the interface's own."""

import os
import socket
import struct
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from sources.applications.conftest import (
    CONNECT,
    FRAME,
    SERVE,
    SYN,
    Lab,
    enter,
    is_removed,
    name_of,
    talk,
)
from support.namespace import run
from support.patience import until

from netusage.sources.applications import bpf, kernel
from netusage.sources.applications.identity import Identities
from netusage.sources.applications.kernel import KernelApplications
from netusage.sources.applications.names import Unit

pytestmark = [pytest.mark.system, pytest.mark.alone, pytest.mark.root]


def test_a_thousand_connections_have_their_owners(lab, programs):
    talk(lab, times=1000, size=500, answer=100)
    left, right = lab.account(programs, lab.left), lab.account(programs, lab.right)
    assert left.keys() == {"connect.py"}
    assert right.keys() == {"serve.py", "kernel"}
    assert right["kernel"] == (0, 1000 * SYN)


def test_echo_requests_are_those_of_who_sends_them_and_the_answers_the_kernel_s(lab, programs):
    code = """
        import socket, struct
        sock = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
        def checksum(data):
            total = sum(struct.unpack(f"!{len(data) // 2}H", data))
            return ~(total + (total >> 16)) & 0xffff
        for n in range(10):
            body = bytes(56)
            head = struct.pack("!BBHHH", 8, 0, 0, 7, n)
            head = struct.pack("!BBHHH", 8, 0, checksum(head + body), 7, n)
            sock.sendto(head + body, ("10.9.0.2", 0))
            sock.recv(200)
    """
    lab.run(lab.left, "ping.py", code)
    assert lab.account(programs, lab.left) == {"ping.py": (980, 980)}
    assert lab.account(programs, lab.right) == {"kernel": (0, 980), "": (980, 0)}


def test_a_file_that_the_kernel_sends_is_that_of_who_asked_for_it(lab, programs):
    code = """
        import os, socket, tempfile
        connection = socket.create_connection(("10.9.0.2", 5000))
        with tempfile.TemporaryFile() as file:
            file.write(bytes(2_000_000))
            file.flush()
            os.sendfile(connection.fileno(), file.fileno(), 0, 1_000_000)
            reading, writing = os.pipe()
            for n in range(20):
                os.splice(file.fileno(), writing, 50_000, offset_src=1_000_000 + n * 50_000)
                os.splice(reading, connection.fileno(), 50_000)
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(100):
            pass
    """
    server = lab.start(lab.right, "serve.py", SERVE, "10.9.0.2", 5000, 1, 0)
    lab.run(lab.left, "file.py", code)
    lab.ended(server)
    left = lab.account(programs, lab.left)
    assert left.keys() == {"file.py"}
    assert left["file.py"][1] > 2_000_000


def test_what_is_still_queued_when_a_process_ends_is_its_own(lab, programs):
    code = """
        import os, socket
        connection = socket.create_connection(("10.9.0.2", 5000))
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 22)
        connection.setblocking(False)
        sent = 0
        while sent < 2_000_000:
            try:
                sent += connection.send(bytes(100_000))
            except BlockingIOError:
                break
        os.write(1, b"%d\\n" % sent)
        os._exit(0)
    """
    slow = """
        import socket, time
        listener = socket.create_server(("10.9.0.2", 5000))
        print("ready", flush=True)
        connection = listener.accept()[0]
        time.sleep(0.3)
        while connection.recv(1 << 16):
            pass
    """
    server = lab.start(lab.right, "slow.py", slow)
    client = lab.start(lab.left, "quick.py", code, ready=False)
    sent = int(client.stdout.readline())
    lab.ended(client)
    lab.ended(server)
    left = lab.account(programs, lab.left)
    assert left["quick.py"][1] > sent
    # the other end's goodbye comes when the socket is only a memory of the kernel's, which answers it
    assert left.keys() - {"quick.py"} <= {"kernel", ""}
    assert left.get("kernel", (0, 0))[1] <= 2 * 66
    assert left.get("", (0, 0))[0] <= 2 * 66


def test_a_connection_of_children_is_theirs(lab, programs):
    """A child that makes its own is the same application; what runs another program is another one."""
    code = """
        import os, socket, sys
        if sys.argv[1] == "parent":
            if os.fork():
                os.wait()
            else:
                os.execv(sys.executable, [sys.executable, sys.argv[2], "child"])
        else:
            connection = socket.create_connection(("10.9.0.2", 5000))
            connection.shutdown(socket.SHUT_WR)
            connection.recv(1)
    """
    server = lab.start(lab.right, "serve.py", SERVE, "10.9.0.2", 5000, 1, 0)
    child = lab.script("child.py", code)
    lab.run(lab.left, "parent.py", code, "parent", child)
    lab.ended(server)
    assert lab.account(programs, lab.left).keys() == {"child.py"}


PASS_ON = """
    import array, os, socket, sys
    if sys.argv[1] == "open":
        connection = socket.create_connection(("10.9.0.2", 5000))
        mine, theirs = socket.socketpair()
        if sys.argv[2] == "message":
            theirs.set_inheritable(True)
            pid = os.posix_spawn(sys.executable, [sys.executable, sys.argv[3], "message", str(theirs.fileno())], os.environ)
            socket.send_fds(mine, [b"x"], [connection.fileno()])
            connection.close()
        else:
            connection.set_inheritable(True)
            os.posix_spawn(sys.executable, [sys.executable, sys.argv[3], "inherit", str(connection.fileno())], os.environ)
            connection.close()
        os.wait()
    else:
        if sys.argv[1] == "message":
            _, (number,), _, _ = socket.recv_fds(socket.socket(fileno=int(sys.argv[2])), 1, 1)
        else:
            number = int(sys.argv[2])
        connection = socket.socket(fileno=number)
        connection.sendall(b"first")  # from now on it is this one's
        for _ in range(50):
            connection.sendall(bytes(20_000))
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(1 << 16):
            pass
"""


@pytest.mark.parametrize("way", ["message", "inherit"])
def test_a_socket_that_is_passed_on_is_that_of_who_uses_it(lab, programs, way):
    server = lab.start(lab.right, "serve.py", SERVE, "10.9.0.2", 5000, 1, 100_000)
    heir = lab.script("heir.py", PASS_ON)
    lab.run(lab.left, "opener.py", PASS_ON, "open", way, heir)
    lab.ended(server)
    left = lab.account(programs, lab.left)
    assert left.keys() == {"opener.py", "heir.py"}
    assert left["heir.py"][0] > 100_000
    assert left["heir.py"][1] > 900_000
    assert left["opener.py"][0] < 1000
    assert (
        left["opener.py"][1] < 2000
    )  # the handshake, and what was sent before the first `send` had returned


def test_a_socket_that_was_used_a_lot_is_followed_within_sixteen_uses(lab, programs):
    """Of one that was used often, not every use is looked at."""
    receiver = lab.right.socket(socket.AF_INET, socket.SOCK_DGRAM)
    receiver.bind(("10.9.0.2", 5000))
    code = """
        import os, socket, sys
        if len(sys.argv) == 2:
            sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            sock.connect(("10.9.0.2", 5000))
            sock.set_inheritable(True)
        else:
            sock = socket.socket(fileno=int(sys.argv[1]))
        for _ in range(100):
            sock.send(bytes(100))
        if len(sys.argv) == 2:
            os.execv(sys.executable, [sys.executable, sys.argv[1], str(sock.detach()), "again"])
    """
    later = lab.script("later.py", code)
    lab.run(lab.left, "before.py", code, later)
    left = lab.account(programs, lab.left)
    assert left.keys() == {"before.py", "later.py"}
    assert sum(tx for _, tx in left.values()) == 200 * 142
    assert 100 * 142 <= left["before.py"][1] < 116 * 142


def test_a_listener_that_a_manager_opened_is_that_of_who_accepts(lab, programs):
    code = """
        import os, socket, sys
        if sys.argv[1] == "manager":
            listener = socket.create_server(("10.9.0.2", 5000))
            os.set_inheritable(listener.fileno(), True)
            print("ready", flush=True)
            os.execv("/bin/sh", ["sh", "-c", f"exec {sys.executable} {sys.argv[2]} service {listener.fileno()}"])
        listener = socket.socket(fileno=int(sys.argv[2]))
        connection = listener.accept()[0]
        while connection.recv(1 << 16):
            pass
        connection.sendall(bytes(500_000))
    """
    service = lab.script("service.py", code)
    server = lab.start(lab.right, "manager.py", code, "manager", service)
    lab.run(lab.left, "connect.py", CONNECT, "10.9.0.2", 5000, 1, 500_000)
    lab.ended(server)
    right = lab.account(programs, lab.right)
    assert right["service.py"][1] > 500_000
    assert right.keys() <= {"manager.py", "service.py", "kernel"}


def test_a_connection_over_several_paths_is_that_of_who_opened_it_but_for_the_first_packet(lab, programs):
    code = """
        import socket, sys
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262)  # IPPROTO_MPTCP
        if sys.argv[1] == "serve":
            sock.bind(("10.9.0.2", 5000))
            sock.listen()
            print("ready", flush=True)
            connection = sock.accept()[0]
        else:
            sock.connect(("10.9.0.2", 5000))
            connection = sock
            connection.sendall(bytes(1_000_000))
            connection.shutdown(socket.SHUT_WR)
        while connection.recv(1 << 16):
            pass
        if sys.argv[1] == "serve":
            connection.sendall(bytes(300_000))
    """
    server = lab.start(lab.right, "serve.py", code, "serve")
    lab.run(lab.left, "connect.py", code, "connect")
    lab.ended(server)
    left, right = lab.account(programs, lab.left), lab.account(programs, lab.right)
    assert left["connect.py"][0] > 300_000
    assert left["connect.py"][1] > 1_000_000
    assert right["serve.py"][0] > 1_000_000
    assert right["serve.py"][1] > 300_000
    assert left.get("kernel", (0, 0))[1] < 200
    assert right.get("kernel", (0, 0))[1] < 500


def test_a_container_that_is_gone_is_known_by_the_name_that_its_cgroup_had(lab, programs, cgroup):
    code = """
        import socket
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(bytes(100), ("10.9.0.2", 5000))
    """
    receiver = lab.right.socket(socket.AF_INET, socket.SOCK_DGRAM)
    receiver.bind(("10.9.0.2", 5000))
    inner = os.path.join(cgroup("outer"), f"docker-{'ab' * 32}.scope")
    os.mkdir(inner)
    try:
        lab.run(lab.left, "inside.py", code, preexec_fn=lambda: enter(inner))
    finally:
        until(lambda: is_removed(inner), "the container's cgroup to be empty")
    cookie = lab.cookies[lab.left.name]
    (owner,) = [programs.owner(key.owner) for key in programs.read() if key.netns == cookie]
    assert Identities(programs.cgroups).of(owner).unit == Unit(container="docker abababababab")


# ---- Before, after, and too many ---------------------------------------------------------------------------------


@pytest.mark.usefixtures("loadable")
def test_sockets_that_are_older_than_the_programs_have_their_owners(spaces, tmp_path):
    lab = Lab(spaces, tmp_path)
    code = """
        import socket, sys
        connection = socket.create_connection(("10.9.0.2", 5000))
        print("ready", flush=True)
        sys.stdin.readline()
        for _ in range(50):
            connection.sendall(bytes(20_000))
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(1 << 16):
            pass
    """
    try:
        server = lab.start(lab.right, "serve.py", SERVE, "10.9.0.2", 5000, 1, 300_000)
        client = lab.start(lab.left, "older.py", code, stdin=subprocess.PIPE)
        with KernelApplications() as programs:
            lab.begin()
            client.stdin.write("\n")
            client.stdin.close()
            lab.ended(client)
            lab.ended(server)
            # its arguments are another process's memory: what it is called without them
            left, right = lab.account(programs, lab.left), lab.account(programs, lab.right)
        assert sum(tx for _, tx in left.values()) > 1_000_000
        assert left.keys() == {"python", "older.py"}
        assert right.keys() == {"python", "serve.py"}
    finally:
        lab.close()


@pytest.mark.usefixtures("loadable")
def test_older_sockets_of_several_scripts_are_not_taken_for_those_of_one(spaces, tmp_path):
    lab = Lab(spaces, tmp_path)
    receive = """
        import socket, sys
        listener = socket.create_server(("10.9.0.1", int(sys.argv[1])))
        print("ready", flush=True)
        connection = listener.accept()[0]
        print("ready", flush=True)
        sys.stdin.readline()
    """
    send = """
        import socket, sys
        connections = [socket.create_connection(("10.9.0.1", port)) for port in (5001, 5002)]
        print("ready", flush=True)
        sys.stdin.readline()
        for connection, size in zip(connections, (10_000, 20_000)):
            connection.sendall(bytes(size))
    """
    try:
        receivers = [
            lab.start(lab.left, f"receive{n}.py", receive, 5000 + n, stdin=subprocess.PIPE) for n in (1, 2)
        ]
        sender = lab.start(lab.right, "send.py", send, stdin=subprocess.PIPE)
        for one in receivers:
            assert one.stdout.readline() == "ready\n"
        with KernelApplications() as programs:
            sender.stdin.write("\n")
            sender.stdin.close()
            lab.ended(sender)
            received = {}  # by nobody yet: who uses a socket would be known from that
            for key, count in programs.read().items():
                owner = programs.owner(key.owner)
                if key.netns == lab.cookies[lab.left.name] and owner is not None:
                    received[owner.tgid] = received.get(owner.tgid, 0) + count.rx_bytes
        assert received.keys() == {one.pid for one in receivers}
        assert 10_000 < received[receivers[0].pid] < 20_000 < received[receivers[1].pid]
        for one in receivers:
            one.stdin.close()
            lab.ended(one)
    finally:
        lab.close()


def test_what_two_sockets_get_of_one_datagram_is_counted_twice(lab, programs):
    code = """
        import socket, struct
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(("224.9.9.9", 5000))
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, struct.pack("4s4s", bytes([224, 9, 9, 9]), bytes([10, 9, 0, 2])))
        print("ready", flush=True)
        for _ in range(10):
            sock.recv(2000)
    """
    send = """
        import socket
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, bytes([10, 9, 0, 1]))
        for _ in range(10):
            sock.sendto(bytes(1000), ("224.9.9.9", 5000))
    """
    both = [lab.start(lab.right, name, code) for name in ("one.py", "other.py")]
    lab.run(lab.left, "send.py", send)
    for process in both:
        lab.ended(process)
    right = lab.account(programs, lab.right, twice=10 * 1042)
    assert right["one.py"][0] == right["other.py"][0] == 10 * 1042
    assert lab.account(programs, lab.left)["send.py"][1] == 10 * 1042


TRANSLATE = """
table ip nat {
  chain after_routing { type nat hook postrouting priority 100 ; oifname "inner" masquerade ; }
}
"""


@pytest.mark.parametrize("translated", [False, True], ids=["as-it-is", "translated"])
def test_what_passes_through_is_forwarded_also_when_its_addresses_are_translated(
    lab, programs, spaces, translated
):
    third = spaces()
    lab.right.pair("inner", "cable", peer=third)
    lab.right.ip("addr", "add", "10.8.0.1/24", "dev", "inner")
    third.ip("addr", "add", "10.8.0.2/24", "dev", "cable")
    third.ip("route", "add", "default", "via", "10.8.0.1")
    lab.left.ip("route", "add", "10.8.0.0/24", "via", "10.9.0.2")
    lab.right.inside(lambda: Path("/proc/sys/net/ipv4/ip_forward").write_text("1"))
    if translated:
        third.ip("route", "del", "default")  # the way back is to the router itself
        run(*lab.right.command("nft", "-f", "-"), stdin=TRANSLATE)
    server = lab.start(third, "serve.py", SERVE, "10.8.0.2", 5000, 1, 300_000)
    lab.run(lab.left, "connect.py", CONNECT, "10.8.0.2", 5000, 1, 1_000_000)
    lab.ended(server)
    left, right = lab.account(programs, lab.left), lab.account(programs, lab.right)
    assert left.keys() == {"connect.py"}
    assert right == {"forwarded": (0, left["connect.py"][0]), "": (left["connect.py"][1], 0)}


def test_a_bridge_forwards_what_its_ports_receive(lab, programs, spaces):
    third = spaces()
    lab.right.pair("inner", "cable", peer=third)
    lab.right.ip("addr", "flush", "dev", "cable")
    lab.right.ip("link", "add", "br0", "type", "bridge")
    for port in ("cable", "inner"):
        lab.right.ip("link", "set", port, "master", "br0")
    lab.right.up("br0")
    third.ip("addr", "add", "10.9.0.9/24", "dev", "cable")
    server = lab.start(third, "serve.py", SERVE, "10.9.0.9", 5000, 1, 300_000)
    lab.run(lab.left, "connect.py", CONNECT, "10.9.0.9", 5000, 1, 1_000_000)
    lab.ended(server)
    left, right = lab.account(programs, lab.left), lab.account(programs, lab.right)
    assert left["connect.py"][1] > 1_000_000
    # a frame that goes from cable to cable still belongs to the socket that sent it, in whatever namespace
    assert right.keys() <= {"forwarded", "serve.py", "kernel", ""}
    assert sum(tx for _, tx in right.values()) > 300_000


def test_the_bytes_of_a_tunnel_are_those_of_who_sends_through_it_on_each_layer(lab, programs):
    for space, own, other in ((lab.left, 1, 2), (lab.right, 2, 1)):
        ends = ("local", f"10.9.0.{own}", "remote", f"10.9.0.{other}", "dstport", "4789")
        space.ip("link", "add", "tun7", "type", "vxlan", "id", "7", *ends)
        space.ip("addr", "add", f"10.7.0.{own}/24", "dev", "tun7")
        space.up("tun7")
    server = lab.start(lab.right, "serve.py", SERVE, "10.7.0.2", 5000, 1, 300_000)
    lab.run(lab.left, "connect.py", CONNECT, "10.7.0.2", 5000, 1, 1_000_000)
    lab.ended(server)
    left, right = lab.account(programs, lab.left), lab.account(programs, lab.right)
    assert left["connect.py"][1] > 1_000_000
    assert (
        left["connect.py"][0] == 0
    )  # what comes in is the tunnel's, and its contents the tunnel interface's
    assert left[""][0] > 300_000
    assert right["serve.py"][1] > 300_000
    index = lab.left.links()["tun7"]["ifindex"]
    inside = [
        count
        for key, count in programs.read().items()
        if key.netns == lab.cookies[lab.left.name]
        and key.ifindex == index
        and name_of(programs, key.owner) == "connect.py"
    ]
    counted = lab.left.counters()["tun7"]
    # this kind counts without Ethernet headers, either way; beside TCP there is who asked for whose address
    sent = sum(count.tx_bytes - FRAME * count.tx_packets for count in inside)
    assert 0 <= counted.tx_bytes - sent <= 2 * 28
    joined = sum(
        count.rx_header_bytes for count in inside
    )  # packets that were made one after they were counted
    assert 0 <= counted.rx_bytes - sum(count.rx_bytes for count in inside) <= joined + 2 * 28


def test_programs_for_older_kernels_count_the_same_but_do_not_follow_a_socket(
    spaces, tmp_path, monkeypatch, loadable
):
    monkeypatch.setattr(kernel, "_KERNEL", ("older_kernels.skeleton",))
    with KernelApplications() as programs:
        assert not programs.hands_over
        lab = Lab(spaces, tmp_path)
        try:
            talk(lab)
            left, right = lab.account(programs, lab.left), lab.account(programs, lab.right)
        finally:
            lab.close()
    assert left["connect.py"][1] > 1_000_000
    assert right["serve.py"][0] > 1_000_000
    assert left.keys() | right.keys() <= {"connect.py", "serve.py", "kernel", ""}


def test_what_no_slot_is_left_for_is_counted_by_interface_without_a_name(lab, programs):
    full = struct.pack("=5Q", 16384 - 256, 0, 0, 0, 0)
    bpf.update(programs._maps["states"], struct.pack("=I", 0), full)
    assert programs.is_nearly_full()
    talk(lab)
    assert programs.state().overflows > 0
    index = lab.left.links()["cable"]["ifindex"]
    others = lab.right.links()["cable"]["ifindex"]
    left, right = lab.left.counters()["cable"], lab.right.counters()["cable"]
    found = [
        count for key, count in programs.read().items() if key.netns == 0 and key.ifindex in (index, others)
    ]
    assert sum(count.tx_bytes for count in found) == left.tx_bytes + right.tx_bytes
    received = sum(count.rx_bytes + FRAME * count.rx_packets for count in found)
    assert received == left.rx_bytes + right.rx_bytes


@pytest.mark.usefixtures("loadable")
@pytest.mark.parametrize(
    ("capabilities", "said"),
    [
        ("bpf,perfmon,net_admin", "kernel"),
        ("bpf,perfmon", "refused"),
        ("bpf,net_admin", "refused"),
        ("perfmon,net_admin", "refused"),
        ("", "refused"),
    ],
)
def test_an_ordinary_user_needs_three_capabilities_and_no_more(capabilities, said):
    """One who may read all files as well, since Python itself may be where only root can look."""
    code = """
        from netusage.errors import SourceError
        from netusage.sources.applications.kernel import KernelApplications
        try:
            with KernelApplications() as programs:
                print(programs.tier)
        except SourceError as error:
            print("refused", error.message, error.hint, sep="; ")
    """
    only = ",".join(["-all", *(f"+{one}" for one in ["dac_read_search", *capabilities.split(",")] if one)])
    nobody = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
    capped = (f"--inh-caps={only}", f"--ambient-caps={only}", f"--bounding-set={only}")
    verdict, *why = run(*nobody, *capped, sys.executable, "-c", textwrap.dedent(code)).strip().split("; ")
    assert verdict == said
    if said == "refused":
        assert why[0].startswith("the kernel does not count by application here: ")
        assert why[-1] == "run it as root, or give it CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN"
