"""What kinds of interfaces count of a packet, against the kernel: the programs' counts become the interface's own."""

import socket
import struct

import pytest
from sources.applications.conftest import assert_accounted
from support.namespace import Tap

from netusage.sources.applications.kernel import KernelApplications

pytestmark = [pytest.mark.system, pytest.mark.alone, pytest.mark.root]

TIMES, SIZE = 20, 700


@pytest.fixture(params=[False, True], ids=["kernel", "before queueing"])
def programs(loadable, request):
    """Either set of programs."""
    with KernelApplications(before_queueing=request.param) as found:
        yield found


def receiver(space, address):
    sock = space.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind((address, 5000))
    sock.settimeout(20)
    return sock


def send(space, address, times=TIMES):
    sock = space.socket(socket.AF_INET, socket.SOCK_DGRAM)
    for _ in range(times):
        sock.sendto(bytes(SIZE), (address, 5000))


def test_loopback_counts_no_ethernet_headers(programs, space):
    taker = receiver(space, "127.0.0.1")
    send(space, "127.0.0.1")
    for _ in range(TIMES):
        taker.recv(2000)
    assert space.counters()["lo"].tx_bytes == TIMES * (SIZE + 28)
    assert_accounted(programs, space, "lo", "loopback")


def test_a_bridge_counts_them_when_it_sends(programs, space, spaces):
    other = spaces()
    space.pair("port", "cable", peer=other)
    space.ip("link", "add", "br0", "type", "bridge", "mcast_snooping", "0")  # asks nobody anything
    space.ip("link", "set", "port", "master", "br0")
    space.up("br0")
    space.ip("addr", "add", "10.9.0.1/24", "dev", "br0")
    other.ip("addr", "add", "10.9.0.2/24", "dev", "cable")
    macs = {
        one: where.links()[name]["address"] for one, where, name in ((1, space, "br0"), (2, other, "cable"))
    }
    space.ip("neigh", "replace", "10.9.0.2", "lladdr", macs[2], "nud", "permanent", "dev", "br0")
    other.ip("neigh", "replace", "10.9.0.1", "lladdr", macs[1], "nud", "permanent", "dev", "cable")
    takers = receiver(space, "10.9.0.1"), receiver(other, "10.9.0.2")
    send(space, "10.9.0.2")
    send(other, "10.9.0.1")
    for taker in takers:
        for _ in range(TIMES):
            taker.recv(2000)
    assert space.counters()["br0"].rx_bytes == TIMES * (SIZE + 28)
    assert space.counters()["br0"].tx_bytes >= TIMES * (
        SIZE + 42
    )  # it has questions of its own about multicast
    assert_accounted(programs, space, "br0", "bridge")
    assert_accounted(programs, other, "cable", "veth")


def test_a_tun_interface_has_none(programs, space):
    tap = Tap(space, "tun0", tap=False)
    try:
        space.ip("addr", "add", "10.9.0.1/24", "dev", "tun0")
        taker = receiver(space, "10.9.0.1")
        send(space, "10.9.0.2", times=5)
        tap.take(5)
        for _ in range(5):
            tap.deliver(_datagram(b"\x0a\x09\x00\x02", b"\x0a\x09\x00\x01", bytes(100)))
            taker.recv(2000)
        assert space.counters()["tun0"].tx_bytes == 5 * (SIZE + 28)
        assert_accounted(programs, space, "tun0", "tun")
    finally:
        tap.close()


def _datagram(source, target, body):
    """An IPv4 packet with a UDP datagram for port 5000, without the checksum that it may lack."""
    udp = struct.pack("!HHHH", 6000, 5000, 8 + len(body), 0) + body
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0, source, target)
    total = sum(struct.unpack("!10H", head))
    total = (total & 0xFFFF) + (total >> 16)
    return head[:10] + struct.pack("!H", ~(total + (total >> 16)) & 0xFFFF) + head[12:] + udp
