"""Every kind of interface that this kernel can make is recorded as the kernel counts it."""

import socket
import time

import pytest
from support.book import assert_it_adds_up, epochs, gaps, recorded, rows
from support.namespace import Tap, added

pytestmark = [pytest.mark.system, pytest.mark.root]

_ETHERNET = b"\xff" * 6 + b"\x02\0\0\0\0\x01" + b"\x88\xb5" + b"y" * 400
_IPV4 = b"\x45\0\0\x1c\0\0\0\0\x40\x11\0\0\x0a\x09\0\x02\x0a\x09\0\x01" + b"\x04\0\x04\0\0\x08\0\0"

_MAKE = {
    "veth": ["link add k0 type veth peer name k1", "link set k1 up"],
    "bridge": ["link add k0 type bridge mcast_snooping 0", "link set va master k0"],
    "ifb": ["link add k0 type ifb"],
    "macvlan": ["link add k0 link va type macvlan mode bridge"],
    "vxlan": [
        "addr add 10.9.0.1/24 dev va",
        "neigh add 10.9.0.2 lladdr 02:00:00:00:00:02 dev va",
        "link add k0 type vxlan id 5 dstport 4789 remote 10.9.0.2 dev va",
    ],
}


@pytest.mark.parametrize("kind", _MAKE)
def test_an_interface_of_each_kind_is_recorded_whole_through_its_removal(space, record, ledger, kind):
    space.pair("va", "vb")
    recorder = record(space, sample="1s")
    space.batch(_MAKE[kind])
    space.up("k0")
    for size in (60, 700, 1400):
        space.send("k0", 15, size)
        space.send("vb", 10, size)
    time.sleep(0.05)
    truth = added(space.counters())
    space.ip("link", "del", "k0")
    assert recorder.stop() == 143
    assert recorded(ledger) == truth
    assert "k0" in truth
    assert [row["kind"] for row in rows(ledger, "SELECT kind FROM interface WHERE name = 'k0'")] == [kind]
    assert [row["closed_because"] for row in epochs(ledger, "k0")] == ["removed"]
    assert not gaps(ledger)
    assert_it_adds_up(ledger)


@pytest.mark.parametrize("tap", [False, True], ids=["tun", "tap"])
def test_an_interface_of_a_program_that_ends_is_recorded_whole(space, record, ledger, tap):
    recorder = record(space, sample="1s")
    made = Tap(space, "k0", tap=tap)
    try:
        for _ in range(30):
            made.deliver(_ETHERNET if tap else _IPV4)
        if tap:
            space.send("k0", 20)
        else:
            space.ip("addr", "add", "10.9.0.1/24", "dev", "k0")
            with space.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
                for _ in range(20):
                    sender.sendto(b"z" * 100, ("10.9.0.2", 9))
        made.take(20)
        truth = added(space.counters())
    finally:
        made.close()
    assert recorder.stop() == 143
    assert recorded(ledger) == truth
    assert truth["k0"].rx_packets == 30
    assert truth["k0"].tx_packets == 20
    assert not gaps(ledger)
    assert_it_adds_up(ledger)
