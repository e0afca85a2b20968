import contextlib
import errno
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netusage.errors import SourceError
from netusage.model import Counters, Link, LinkChange, Reading
from netusage.sources import interfaces_linux_parse as parse
from netusage.sources.interfaces_linux_parse import DONE, INTERRUPTED

SEQUENCE = 7
MULTI = 2
DUMP_INTR = 0x10
ROW = 232  # bytes of a RTM_NEWSTATS in the recorded answers
NEWLINK, DELLINK, NEWSTATS = 16, 17, 92
IFNAME, LINK, MASTER, WIRELESS, LINKINFO, STATS64, NETNSID = 3, 5, 10, 11, 18, 23, 37
UP, LOOPBACK = 1, 8


def message(kind, body, flags=MULTI, sequence=SEQUENCE):
    size = 16 + len(body)
    return struct.pack("=IHHII", size, kind, flags, sequence, 4242) + body + bytes(-size % 4)


def attribute(kind, value):
    size = 4 + len(value)
    return struct.pack("=HH", size, kind) + value + bytes(-size % 4)


def u32(value):
    return struct.pack("=I", value)


def stats64(rx_bytes, tx_bytes, rx_packets, tx_packets):
    return struct.pack("=4Q", rx_packets, tx_packets, rx_bytes, tx_bytes) + bytes(21 * 8)


def link_body(index, *attributes, flags=UP, family=0):
    return struct.pack("=BxHiII", family, 1, index, flags, 0) + b"".join(attributes)


def named(name, *attributes, kind=NEWLINK, index=5, flags=UP, family=0):
    counters = attribute(STATS64, stats64(1, 2, 3, 4))
    return message(
        kind,
        link_body(index, attribute(IFNAME, name + b"\0"), counters, *attributes, flags=flags, family=family),
    )


def row(index, counters, size=200):
    body = struct.pack("=BxHiI", 0, 0, index, 1) + attribute(1, stats64(*counters)[:size])
    return message(NEWSTATS, body)


def done(error=0, sequence=SEQUENCE):
    return message(3, struct.pack("=i", error), sequence=sequence)


def stats(data, sequence=SEQUENCE):
    parts = []
    state = parse.decode_stats(memoryview(data), sequence, parts)
    return state, Reading(*parse.joined(parts).lists())


def links(data):
    found = []
    return parse.decode_links(memoryview(data), SEQUENCE, found), found


def events(data):
    return [m.event(m.counters) for m in parse.decode_events(memoryview(data))]


def link_of(data):
    (found,) = parse.decode_events(memoryview(data))
    return found.link


# Counters


def test_the_counters_of_few_interfaces_come_out_as_the_kernel_put_them_in(datagrams):
    (data,) = datagrams("stats_few")
    state, reading = stats(data)
    assert state == DONE
    assert reading.indexes == [1, 2, 3, 10, 11, 12, 13, 16, 17, 18]
    rows = dict(zip(reading.indexes, zip(*reading[1:], strict=True), strict=True))
    assert rows[10] == (234, 700, 4, 7)
    assert rows[11] == (700, 234, 7, 4)
    assert rows[1] == (0, 0, 0, 0)


def test_a_long_answer_in_several_datagrams_is_put_together(datagrams):
    parts = []
    states = [parse.decode_stats(data, SEQUENCE, parts) for data in datagrams("stats_many")]
    reading = parse.joined(parts)
    assert states == [0, DONE]
    assert reading.indexes == [1, 2, 12, 13, 16, 18, *range(20, 46)]
    assert {len(column) for column in reading} == {32}


@pytest.mark.parametrize("count", [1, 2, 13, 14, 15, 139])
def test_few_and_many_rows_give_the_same_numbers(count):
    rows = [(n + 1, (n << 40, 2**64 - 1 - n, n, 3 * n)) for n in range(count)]
    state, reading = stats(b"".join(row(*each) for each in rows) + done())
    assert state == DONE
    assert list(zip(reading[0], zip(*reading[1:], strict=True), strict=True)) == rows


def test_numbers_stay_when_the_buffer_they_came_in_is_used_again():
    buffer = bytearray(b"".join(row(n + 1, (n, 2 * n, 3 * n, 4 * n)) for n in range(20)) + done())
    parts = []
    assert parse.decode_stats(memoryview(buffer), SEQUENCE, parts) == DONE
    buffer[:] = bytes(len(buffer))
    expected = [[k * n for n in range(20)] for k in (1, 2, 3, 4)]
    assert parse.joined(parts).lists() == [[*range(1, 21)], *expected]


@pytest.mark.parametrize("size", [4 * 8, 24 * 8, 25 * 8, 26 * 8, 25 * 8 + 4])
def test_rows_of_other_kernels_are_longer_or_shorter(size):
    state, reading = stats(row(3, (1, 2, 3, 4), size) + row(4, (5, 6, 7, 8), size))
    assert (state, reading) == (0, Reading([3, 4], [1, 5], [2, 6], [3, 7], [4, 8]))


@pytest.mark.parametrize("count", [3, 30])
def test_rows_that_differ_in_size_are_decoded_one_by_one(count):
    data = b"".join(row(n, (n, n, n, n)) for n in range(1, count)) + row(count, (7, 7, 7, 7), 24 * 8)
    state, reading = stats(data)
    assert (state, reading.indexes, reading.rx_bytes[-1]) == (0, [*range(1, count + 1)], 7)


def test_an_attribute_before_the_counters_is_passed_over():
    body = struct.pack("=BxHiI", 0, 0, 9, 1) + attribute(0, b"") + attribute(1, stats64(1, 2, 3, 4))
    assert stats(message(NEWSTATS, body)) == (0, Reading([9], [1], [2], [3], [4]))


def test_a_row_without_counters_is_passed_over():
    body = struct.pack("=BxHiI", 0, 0, 9, 1) + attribute(2, b"")
    assert stats(message(NEWSTATS, body)) == (0, Reading([], [], [], [], []))


@pytest.mark.parametrize("at", [0, 5, 15])
def test_a_dump_that_was_interrupted_says_so(datagrams, at):
    data = bytearray(datagrams("stats_many")[0])
    struct.pack_into("=H", data, at * ROW + 6, MULTI | DUMP_INTR)
    state, reading = stats(data)
    assert state == INTERRUPTED
    assert len(reading.indexes) == 16


def test_a_dump_that_was_interrupted_at_its_end_says_so():
    data = row(1, (1, 1, 1, 1)) + message(3, bytes(4), flags=MULTI | DUMP_INTR)
    assert stats(data)[0] == DONE | INTERRUPTED


def test_answers_to_an_earlier_request_are_passed_over(datagrams):
    (data,) = datagrams("stats_few")
    assert stats(data, sequence=8) == (0, Reading([], [], [], [], []))
    assert stats(bytes(data) + done(sequence=8), sequence=8)[0] == DONE


def test_a_refusal_of_an_earlier_request_is_passed_over():
    assert stats(message(2, struct.pack("=i", -errno.EBUSY), sequence=6))[0] == 0


def test_the_end_may_come_in_a_datagram_of_its_own():
    assert stats(done()) == (DONE, Reading([], [], [], [], []))


@pytest.mark.parametrize("end", [2, 3])
def test_a_refusal_carries_the_kernels_number(end):
    data = message(end, struct.pack("=i", -errno.EOPNOTSUPP))
    with pytest.raises(parse.RefusedError, match="not supported") as caught:
        stats(data)
    assert caught.value.errno == errno.EOPNOTSUPP
    assert caught.value.hint


def test_a_refusal_with_an_unheard_of_number_is_still_a_refusal():
    with pytest.raises(parse.RefusedError, match="error 2147483648"):
        stats(message(2, struct.pack("=i", -(2**31))))


def test_an_acknowledgement_ends_nothing():
    assert stats(message(2, bytes(4)))[0] == 0


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0" * 8,
        message(4, b""),
        message(2, b"\0"),
        message(NEWSTATS, b""),
        row(1, (1, 1, 1, 1))[:-8],
        row(1, (1, 1, 1, 1), 24),
        struct.pack("=IHHII", 12, NEWSTATS, MULTI, SEQUENCE, 1),
        struct.pack("=IHHII", 0, NEWSTATS, MULTI, SEQUENCE, 1),
    ],
)
def test_broken_statistics_are_an_error(data):
    if not data:
        assert stats(data)[0] == 0
        return
    with pytest.raises(SourceError, match="makes no sense"):
        stats(data)


# Links


def test_links_of_every_kind_are_understood(datagrams):
    found = []
    states = [parse.decode_links(data, SEQUENCE, found) for data in datagrams("links")]
    assert states == [0, 0, DONE]
    by_name = {m.link.name: m for m in found}
    assert {name: m.link.kind for name, m in by_name.items()} == {
        "lo": "loopback",
        "tun0": "tun",
        "tap0": "tun",
        "v0": "veth",
        "v1": "veth",
        "br0": "bridge",
        "ifb7": "ifb",
        "vx0": "vxlan",
        "mv0": "macvlan",
        "out0": "veth",
    }
    assert by_name["v1"].link == Link(11, "v1", "veth", up=True, master=12, lower=10)
    assert by_name["v1"].counters == Counters(700, 234, 7, 4)
    assert by_name["mv0"].link == Link(17, "mv0", "macvlan", up=False, lower=10)
    assert by_name["out0"].link == Link(18, "out0", "veth", up=False, lower=5, lower_elsewhere=True)
    assert (by_name["out0"].lower_namespace, by_name["v1"].lower_namespace) == (0, -1)


@pytest.mark.parametrize("kind", ["vlan", "bond", "wireguard", "dummy", "ipip"])
def test_the_kind_is_the_drivers_word(kind):
    info = attribute(LINKINFO, attribute(1, kind.encode() + b"\0") + attribute(2, b"\0" * 12))
    assert link_of(named(b"x0", info)).kind == kind


def test_a_nested_flag_does_not_hide_an_attribute():
    info = attribute(LINKINFO | 0x8000, attribute(1, b"bond\0"))
    assert link_of(named(b"x0", info)).kind == "bond"


def test_hardware_has_no_kind():
    assert link_of(named(b"eth0")) == Link(5, "eth0", "", up=True)


def test_a_bond_port_names_its_bond_and_says_that_it_is_a_port():
    info = attribute(LINKINFO, attribute(4, b"bond\0"))
    link = link_of(named(b"eth0", info, attribute(MASTER, u32(9))))
    assert (link.kind, link.master) == ("", 9)


def test_the_loopback_is_known_by_its_flag():
    assert link_of(named(b"lo", flags=LOOPBACK)) == Link(5, "lo", "loopback", up=False)


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        ("größe0".encode(), "größe0"),
        (b"eth\xff0", "eth\\xff0"),
        (b"\x1b[31m", "\\x1b[31m"),
        (b"", ""),
    ],
)
def test_names_become_printable_text(raw, name):
    found = link_of(named(raw)).name
    assert found == name


def test_a_link_without_64_bit_counters_is_refused():
    with pytest.raises(SourceError, match="no 64-bit counters for old0"):
        links(message(NEWLINK, link_body(3, attribute(IFNAME, b"old0\0"))))


@pytest.mark.parametrize(
    "data",
    [
        message(NEWLINK, b"\0" * 8),
        message(NEWLINK, link_body(3, attribute(IFNAME, b"a\0"), struct.pack("=HH", 2, 5))),
        message(NEWLINK, link_body(3, attribute(IFNAME, b"a\0"), struct.pack("=HH", 40, 5))),
        message(NEWLINK, link_body(3, attribute(IFNAME, b"a\0")) + b"\0\0"),
        named(b"a", attribute(MASTER, b"\0")),
        named(b"a", attribute(LINK, b"\0\0")),
        named(b"a", attribute(NETNSID, b"")),
        named(b"a", attribute(LINKINFO, b"\0\0\0\0")),
        message(NEWLINK, link_body(3, attribute(IFNAME, b"a\0"), attribute(STATS64, bytes(24)))),
        named(b"a")[:-30],
    ],
)
def test_broken_links_are_an_error(data):
    with pytest.raises(SourceError, match="makes no sense"):
        parse.decode_events(memoryview(data))
    with pytest.raises(SourceError, match="makes no sense"):
        links(data)


# Events


def test_a_created_pair_is_two_present_links(datagrams):
    found = [event for data in datagrams("create") for event in events(data)]
    assert [(e.change, e.link.name, e.link.lower) for e in found] == [
        (LinkChange.PRESENT, "v1", 0),
        (LinkChange.PRESENT, "v0", 11),
    ]


def test_a_link_that_goes_up_is_present(datagrams):
    found = [event for data in datagrams("up") for event in events(data)]
    assert {e.link.name for e in found if e.link.up} == {"lo", "v0", "v1"}


def test_a_renamed_link_is_present_under_its_new_name_with_its_counters(datagrams):
    (event,) = events(datagrams("rename")[0])
    assert (event.change, event.link.index, event.link.name) == (LinkChange.PRESENT, 10, "wan0")
    assert event.counters == Counters(234, 700, 4, 7)


def test_a_link_that_moves_away_is_removed_with_its_counters(datagrams):
    (event,) = events(datagrams("move_out")[0])
    assert (event.change, event.link.name) == (LinkChange.REMOVED, "wan0")
    assert event.counters == Counters(234, 700, 4, 7)


def test_a_link_that_moves_in_is_present(datagrams):
    (event,) = events(datagrams("move_in")[0])
    assert (event.change, event.link.name, event.link.kind) == (LinkChange.PRESENT, "tap0", "tun")


def test_a_deleted_link_is_removed(datagrams):
    found = [event for data in datagrams("delete") for event in events(data)]
    assert [(e.change, e.link.name) for e in found] == [
        (LinkChange.PRESENT, "v1"),
        (LinkChange.REMOVED, "v1"),
        (LinkChange.REMOVED, "mv0"),
    ]


def test_a_port_that_leaves_its_bridge_is_not_removed(datagrams):
    found = [event for data in datagrams("port_leaves_bridge") for event in events(data)]
    assert {(e.change, e.link.name) for e in found} == {
        (LinkChange.PRESENT, "v1"),
        (LinkChange.PRESENT, "br0"),
    }
    assert [e.link.master for e in found if e.link.name == "v1"] == [12, 0]


@pytest.mark.parametrize("kind", [NEWLINK, DELLINK])
def test_messages_of_the_bridge_family_are_passed_over(kind):
    assert events(named(b"v1", kind=kind, family=7)) == []


def test_a_wireless_event_is_passed_over():
    assert events(named(b"wlan0", attribute(WIRELESS, b"\0" * 16))) == []


def test_a_message_without_a_name_is_passed_over():
    assert events(message(NEWLINK, link_body(3, attribute(STATS64, stats64(1, 2, 3, 4))))) == []


def test_an_event_without_counters_has_none():
    (event,) = events(message(DELLINK, link_body(3, attribute(IFNAME, b"a\0"))))
    assert event.counters is None


def test_other_messages_are_passed_over():
    assert events(message(88, b"\0" * 4) + message(3, b"")) == []


# Whatever the bytes are

RECORDED = ["stats_few", "stats_many", "links", "create", "delete", "port_leaves_bridge"]


def survive(data):
    """Every decoder returns or raises SourceError; columns stay of equal length."""
    view = memoryview(bytes(data))
    parts = []
    with contextlib.suppress(SourceError):
        assert parse.decode_stats(view, SEQUENCE, parts) in range(4)
    assert len({len(column) for column in parse.joined(parts).lists()}) == 1
    with contextlib.suppress(SourceError):
        assert parse.decode_links(view, SEQUENCE, []) in range(4)
    with contextlib.suppress(SourceError):
        parse.decode_events(view)


@given(st.binary(max_size=600))
def test_any_bytes_are_decoded_or_refused(data):
    survive(data)


@given(
    kind=st.sampled_from([2, 3, 4, NEWLINK, DELLINK, NEWSTATS]),
    body=st.binary(max_size=300),
    flags=st.sampled_from([0, MULTI, MULTI | DUMP_INTR]),
    copies=st.integers(1, 20),
)
def test_any_message_body_is_decoded_or_refused(kind, body, flags, copies):
    survive(message(kind, body, flags) * copies)


@given(data=st.data())
def test_recorded_answers_survive_any_damage(datagrams, data):
    whole = data.draw(st.sampled_from([d for name in RECORDED for d in datagrams(name)]))
    damaged = bytearray(whole[: data.draw(st.integers(0, len(whole)))])
    for _ in range(data.draw(st.integers(0, 4))):
        if damaged:
            damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    survive(damaged)
