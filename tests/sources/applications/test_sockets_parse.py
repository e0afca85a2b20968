"""Messages on TCP sockets and on addresses, byte by byte."""

import socket
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netusage.errors import SourceError
from netusage.sources.applications import sockets_parse as parse

ESTABLISHED, CLOSE, CLOSE_WAIT, FIN_WAIT2 = 1, 7, 8, 5
CLIENT, SERVER = (40000, 80), (80, 40000)


def attribute(kind, value):
    return (struct.pack("=HH", 4 + len(value), kind) + value).ljust(4 + len(value) + 3 & ~3, b"\0")


def message(kind, body, sequence=0):
    return struct.pack("=IHHII", 16 + len(body), kind, 2, sequence, 0) + body


def done(error=0):
    return message(3, struct.pack("=i", -error))


def info(state=ESTABLISHED, acked=0, received=0, unsent=0, sent=0, again=0, age=1000, data_age=1000):
    found = bytearray(280)
    found[0] = state
    struct.pack_into("=II", found, 52, data_age, age)
    struct.pack_into("=QQ", found, 120, acked, received)
    struct.pack_into("=I", found, 144, unsent)
    struct.pack_into("=QQ", found, 200, sent, again)
    return bytes(found)


def tcp(
    state=ESTABLISHED,
    ports=CLIENT,
    *,
    family=2,
    local="10.0.0.1",
    remote="10.0.0.2",
    cookie=77,
    ifindex=0,
    unread=0,
    queued=0,
    extra=b"",
    **counts,
):
    """A message on a socket."""
    kind = socket.AF_INET6 if ":" in local else socket.AF_INET
    ends = b"".join(socket.inet_pton(kind, one).ljust(16, b"\0") for one in (local, remote))
    body = bytes((family, state, 0, 0)) + struct.pack("!HH", *ports) + ends
    body += struct.pack("=IQ", ifindex, cookie) + struct.pack("=IIIII", 0, unread, queued, 1000, 5555)
    return message(20, body + attribute(10, b"\6") + attribute(2, info(state, **counts)) + extra)


def one(*arguments, **options):
    found = []
    assert not parse.decode_sockets(tcp(*arguments, **options), found)
    return found[0]


def test_a_socket_says_who_and_where_it_is():
    found = one(ifindex=3, extra=attribute(21, struct.pack("=Q", 1234)), age=40, data_age=30)
    assert (found.cookie, found.family, found.ports, found.ifindex) == (77, 4, CLIENT, 3)
    assert (found.local, found.remote) == (b"\n\0\0\1", b"\n\0\0\2")
    assert (found.uid, found.inode, found.cgroup, found.idle) == (1000, 5555, 1234, 30)


def test_addresses_of_ipv6_are_whole_and_those_of_ipv4_in_ipv6_are_ipv4():
    found = one(family=10, local="fd00::1", remote="fd00::2")
    assert (found.family, found.remote) == (6, socket.inet_pton(socket.AF_INET6, "fd00::2"))
    found = one(family=10, local="::ffff:10.0.0.1", remote="::ffff:10.0.0.2")
    assert (found.family, found.local, found.remote) == (4, b"\n\0\0\1", b"\n\0\0\2")


def test_payload_of_a_connection_that_was_closed_by_both_ends_is_without_syn_and_fin():
    found = one(CLOSE, CLIENT, acked=102, sent=100, received=301)
    assert (found.rx_bytes, found.tx_bytes) == (300, 100)
    found = one(CLOSE, SERVER, acked=301, sent=300, received=101)
    assert (found.rx_bytes, found.tx_bytes) == (100, 300)


def test_a_fin_that_nobody_has_read_is_no_payload_either():
    assert one(CLOSE, CLIENT, acked=102, sent=100, received=301, unread=1).rx_bytes == 300


def test_a_connection_that_ended_with_a_reset_got_no_fin():
    assert one(CLOSE, CLIENT, acked=101, sent=100, received=300).rx_bytes == 300
    assert one(CLOSE, CLIENT, acked=101, sent=100, received=350, unread=50).rx_bytes == 350
    assert one(CLOSE, SERVER, acked=300, sent=300, received=100).rx_bytes == 100


def test_where_both_ports_are_high_anybody_may_have_connected_and_the_end_is_taken_for_a_good_one():
    for acked in (101, 102):
        assert one(CLOSE, (50000, 40000), acked=acked, sent=100, received=301).rx_bytes == 300


@pytest.mark.parametrize(("state", "payload"), [(ESTABLISHED, 500), (FIN_WAIT2, 500), (CLOSE_WAIT, 499)])
def test_a_living_connection_got_a_fin_when_its_state_says_so(state, payload):
    assert one(state, received=500).rx_bytes == payload


def test_one_byte_of_a_connection_that_got_something_just_now_waits_for_it_may_be_a_fin():
    found = one(received=500, age=4)
    assert (found.rx_bytes, found.withheld) == (499, 1)
    for found in (one(received=0, age=4), one(received=500, age=100), one(CLOSE_WAIT, received=501, age=4)):
        assert not found.withheld


def test_what_is_sent_again_counts_once():
    assert one(acked=501, sent=700, again=200).tx_bytes == 500


def test_what_is_sent_and_not_acknowledged_counts_and_what_waits_to_be_sent_does_not():
    assert one(acked=101, sent=300, queued=1200, unsent=1000).tx_bytes == 300


def test_what_the_queue_of_the_interface_dropped_was_not_sent():
    found = one(CLOSE, CLIENT, acked=2_000_002, sent=5_303_648, again=2_201_624, received=301)
    assert (found.rx_bytes, found.tx_bytes) == (300, 2_000_000)
    assert one(ESTABLISHED, CLIENT, acked=1001, sent=1500).tx_bytes == 1000
    assert one(ESTABLISHED, SERVER, acked=1000, sent=1500).tx_bytes == 1000


def test_a_connection_that_was_never_made_has_nothing():
    found = one(2, acked=0, queued=1)
    assert (found.rx_bytes, found.tx_bytes) == (0, 0)


def test_a_socket_without_counts_is_left_out():
    found = []
    data = tcp()
    short = message(20, data[16 : 16 + 72] + attribute(2, info()[:208]))
    assert not parse.decode_sockets(message(20, data[16 : 16 + 72]) + short, found)
    assert found == []


def test_a_datagram_has_many_sockets_and_the_last_one_the_end():
    found = []
    assert parse.decode_sockets(memoryview(tcp(cookie=1) + tcp(cookie=2) + done()), found)
    assert [each.cookie for each in found] == [1, 2]


def test_a_refusal_says_why():
    with pytest.raises(SourceError, match=r"No such file or directory.*tcp_diag"):
        parse.decode_sockets(message(2, struct.pack("=i", -2)), [])
    with pytest.raises(SourceError, match="error 100000"):
        parse.decode_sockets(done(100_000), [])


def test_requests_are_whole_messages():
    for request in (parse.sockets_request(2), parse.sockets_request(10), parse.addresses_request()):
        assert struct.unpack_from("=I", request)[0] == len(request)
    assert len(parse.sockets_request(2)) == 16 + 56


def test_addresses_are_those_of_this_end():
    own, other, lone = (socket.inet_aton(text) for text in ("10.0.0.1", "10.0.0.2", "10.0.0.3"))
    head = struct.pack("=BBBBI", 2, 24, 0, 0, 7)
    both = message(20, head + attribute(1, other) + attribute(2, own))
    found = {}
    assert not parse.decode_addresses(both + message(20, head + attribute(1, lone)), found)
    assert parse.decode_addresses(message(20, head) + done(), found)
    assert found == {own: 7, lone: 7}


@pytest.mark.parametrize(
    "data",
    [
        b"\0" * 15,
        struct.pack("=IHHII", 15, 20, 0, 0, 0),
        struct.pack("=IHHII", 100, 20, 0, 0, 0),
        message(20, b"\0" * 7),
        message(20, b"\0" * 72 + struct.pack("=HH", 3, 2)),
        message(20, b"\0" * 72 + struct.pack("=HH", 9, 2)),
    ],
)
def test_bytes_that_make_no_sense_are_an_error(data):
    with pytest.raises(SourceError, match="makes no sense"):
        parse.decode_sockets(data, [])


@given(st.binary(max_size=400), st.booleans())
def test_whatever_the_bytes_are_a_parser_returns_or_raises_an_error_of_a_source(data, as_message):
    data = message(20, data) if as_message else data
    for decode, into in ((parse.decode_sockets, []), (parse.decode_addresses, {})):
        try:
            decode(data, into)
        except SourceError:
            continue
