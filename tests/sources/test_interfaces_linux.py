import contextlib
import errno
import json
import os
import select
import socket
import struct
import sys
import textwrap

import pytest

from netusage.clock import boot_id, machine_id
from netusage.errors import SourceError
from netusage.model import Counters, LinkChange
from netusage.sources.base import EventsLostError, UnsettledError
from netusage.sources.interfaces_linux import NetlinkSource
from netusage.sources.interfaces_linux_parse import RefusedError

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(sys.platform != "linux", reason="netlink exists on Linux only"),
]
root = pytest.mark.root

PRESENT, REMOVED = LinkChange.PRESENT, LinkChange.REMOVED
SEQUENCE_AT = 8
OLD_SEQUENCE = 7  # of the recorded answers
NOBODY = 65534


@pytest.fixture
def source():
    with contextlib.closing(NetlinkSource()) as opened:
        yield opened


@contextlib.contextmanager
def opened_in(namespace):
    """A source in the namespace, as is this thread, with its first look taken."""
    with namespace.inside(), contextlib.closing(NetlinkSource()) as source:
        source.links()
        yield source


def drained(source):
    found = []
    while events := source.events():
        found += events
    return found


def by_name(source):
    return {link.name: (link, counters) for link, counters in source.links()}


def rows(reading):
    return dict(zip(reading.indexes, map(Counters, *reading[1:]), strict=True))


def answering(source, *answers):
    """Let these datagrams stand in for the kernel's answers, numbered for the coming requests as (ahead, data)."""
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    for ahead, data in answers:
        renumbered = bytearray(data)
        at = 0
        while at < len(renumbered):
            struct.pack_into("=I", renumbered, at + SEQUENCE_AT, source._sequence + ahead)
            at += struct.unpack_from("=I", renumbered, at)[0] + 3 & ~3
        there.send(renumbered)
    source._dumps.close()
    source._dumps = here
    return there


def interrupted(data):
    marked = bytearray(data)
    struct.pack_into("=H", marked, 6, 2 | 0x10)
    return marked


# Readings


def test_a_reading_and_the_links_speak_of_the_same_interfaces(source):
    for _ in range(20):  # links may come and go on the machine that runs this
        links, reading, again = source.links(), source.read(), source.links()
        if [link for link, _ in links] == [link for link, _ in again]:
            break
    assert list(reading.indexes) == [link.index for link, _ in links]
    assert {len(column) for column in reading} == {len(links)}
    assert any(link.kind == "loopback" and link.index == 1 for link, _ in links)


@root
def test_counters_are_the_kernels_to_the_byte(namespace):
    namespace.ip("link add v0 type veth peer name v1", "link set v0 up", "link set v1 up")
    with opened_in(namespace) as source:
        namespace.send("v0", 7)
        namespace.send("v1", 5, size=64)
        links = by_name(source)
        assert links["v0"][1] == Counters(5 * 64, 700, 5, 7)
        assert links["v1"][1] == Counters(700, 5 * 64, 7, 5)
        read = rows(source.read())
        assert {read[link.index] == counters for link, counters in links.values()} == {True}


@root
def test_interfaces_beyond_one_datagram_are_all_read(namespace):
    namespace.ip(*(f"link add m{n} type ifb" for n in range(300)))
    with opened_in(namespace) as source:
        indexes = source.read().indexes
        assert len(indexes) == len(set(indexes)) == 301
        assert indexes == [link.index for link, _ in source.links()]


@root
def test_without_statistics_messages_the_link_dump_gives_the_same_reading(namespace):
    namespace.ip("link add v0 type veth peer name v1", "link set v0 up", "link set v1 up")
    with opened_in(namespace) as source:
        namespace.send("v0", 3)
        expected = source.read()
        source._has_stats = False
        assert source.read() == expected


def test_anybody_may_read():
    heard, said = os.pipe()
    pid = os.fork()
    if pid == 0:  # leaves without the exit handlers of pytest
        try:
            if os.geteuid() == 0:
                os.setgid(NOBODY)
                os.setuid(NOBODY)
            source = NetlinkSource()
            assert source.links()
            assert source.read().indexes
            with contextlib.suppress(EventsLostError):  # its buffer is small, and the machine may be busy
                source.events()
            os.write(said, b"fine")
        except BaseException as error:  # noqa: BLE001  # told to the parent
            os.write(said, repr(error).encode())
        os._exit(0)
    os.close(said)
    os.waitpid(pid, 0)
    with open(heard, encoding="utf-8") as answer:
        assert answer.read() == "fine"


def test_the_rest_of_an_earlier_answer_is_passed_over(source, datagrams):
    (data,) = datagrams("stats_few")
    with contextlib.closing(answering(source, (0, data), (1, data))):
        assert list(source.read().indexes) == [1, 2, 3, 10, 11, 12, 13, 16, 17, 18]


def test_an_interrupted_answer_is_asked_for_again(source, datagrams):
    (data,) = datagrams("stats_few")
    with contextlib.closing(answering(source, (1, interrupted(data)), (2, data))):
        assert len(source.read().indexes) == 10


def test_counters_are_taken_from_the_second_interrupted_answer_since_each_row_is_true(source, datagrams):
    (data,) = datagrams("stats_few")
    with contextlib.closing(answering(source, *((n, interrupted(data)) for n in range(1, 3)))):
        assert len(source.read().indexes) == 10


def test_lists_of_links_that_are_always_interrupted_are_an_error_that_passes(source, datagrams):
    answers = [(n, interrupted(data)) for n in range(1, 9) for data in datagrams("links")]
    with (
        contextlib.closing(answering(source, *answers)),
        pytest.raises(UnsettledError, match="coming and going"),
    ):
        source.links()


def test_a_datagram_that_does_not_fit_is_asked_for_again_with_more_room(source):
    source._buffer = bytearray(64)
    source._view = memoryview(source._buffer)
    assert 1 in source.read().indexes
    assert len(source._buffer) >= 32768


def test_a_refusal_is_an_error_and_the_next_reading_works(source):
    refusal = struct.pack("=IHHIIi", 20, 2, 0, 0, 0, -errno.EPERM)
    with (
        contextlib.closing(answering(source, (1, refusal))),
        pytest.raises(RefusedError, match="not permitted"),
    ):
        source.read()
    assert source.read().indexes


def test_nonsense_is_an_error_and_the_next_reading_works(source):
    with contextlib.closing(answering(source)) as kernel:
        kernel.send(b"\0" * 64)
        with pytest.raises(SourceError, match="makes no sense"):
            source.read()
    assert source.read().indexes


def test_a_kernel_that_does_not_answer_is_an_error(source):
    with contextlib.closing(answering(source)):
        source._dumps.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("@ll", 0, 1000))
        with pytest.raises(SourceError, match="cannot read the interface counters"):
            source.read()
    assert source.read().indexes


@pytest.mark.parametrize("number", [errno.EOPNOTSUPP, errno.EINVAL])
def test_a_kernel_without_statistics_messages_is_found_out(source, number):
    refusal = struct.pack("=IHHIIi", 20, 2, 0, 0, 0, -number)
    with contextlib.closing(answering(source, (1, refusal))):
        assert source._probe() is False


def test_a_kernel_that_answers_with_nothing_is_found_out(source, datagrams):
    with contextlib.closing(answering(source, (1, datagrams("links")[-1]), (2, datagrams("links")[1]))):
        source._dumps.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("@ll", 0, 1000))
        with pytest.raises(SourceError):  # the list of links is asked for next, and its end never comes
            source._probe()


def test_a_closed_source_says_so_and_opens_again(source):
    source.close()
    source.close()
    for question in (source.read, source.links, source.events, source.fileno):
        with pytest.raises(SourceError, match="closed"):
            question()
    source.reopen()
    assert source.read().indexes


# Place and life


def test_the_place_names_boot_namespace_and_machine(source):
    place = source.place()
    assert (place.boot_id, place.machine) == (boot_id(), machine_id())
    assert place.namespace != 0
    source.reopen()
    assert source.place() == place


@root
def test_namespaces_are_different_places(new_namespace):
    places = []
    for _ in range(2):
        with opened_in(new_namespace()) as source:
            places.append(source.place())
    assert places[0].namespace != places[1].namespace
    assert places[0].boot_id == places[1].boot_id


LIFE = textwrap.dedent("""
    import json
    from netusage.sources.interfaces_linux import NetlinkSource
    source = NetlinkSource()
    print(json.dumps({link.name: link.life for link, _ in source.links()}))
    source.close()
""")


@root
def test_a_life_survives_renames_and_moves_and_ends_with_the_link(new_namespace):
    one, other = new_namespace(), new_namespace()
    one.ip("link add a0 index 77 type ifb")
    born = json.loads(one.python(LIFE))["a0"]
    assert born != 0
    one.ip("link set a0 name b0")
    assert json.loads(one.python(LIFE))["b0"] == born
    one.ip(f"link set b0 netns {other.name}")
    assert json.loads(other.python(LIFE))["b0"] == born
    other.ip("link del b0", "link add b0 index 77 type ifb")
    assert json.loads(other.python(LIFE))["b0"] not in (0, born)


@root
def test_a_life_is_not_taken_from_the_sysfs_of_another_namespace(namespace):
    namespace.ip("link add a0 index 4711 type ifb")
    with opened_in(namespace) as source:
        assert by_name(source)["a0"][0].life == 0


# Events


@root
def test_creation_renaming_and_removal_are_told(namespace):
    with opened_in(namespace) as source:
        namespace.ip("link add a0 type ifb")
        (created,) = drained(source)
        assert (created.change, created.link.name, created.link.kind) == (PRESENT, "a0", "ifb")
        namespace.ip("link set a0 name b0")
        (renamed,) = drained(source)
        assert (renamed.change, renamed.link.index, renamed.link.name) == (PRESENT, created.link.index, "b0")
        namespace.ip("link del b0")
        assert [(e.change, e.link.name, e.counters) for e in drained(source)] == [(REMOVED, "b0", Counters())]


@root
def test_a_move_is_a_removal_here_and_a_presence_there_with_the_counters(new_namespace):
    one, other = new_namespace(), new_namespace()
    one.ip("link add v0 type veth peer name v1", "link set v0 up", "link set v1 up")
    one.send("v0", 4)
    with opened_in(one) as source, opened_in(other) as there:
        one.ip(f"link set v0 netns {other.name}")
        (left,) = [e for e in drained(source) if e.change is REMOVED]
        assert (left.link.name, left.counters) == ("v0", Counters(0, 400, 0, 4))
        arrived = drained(there)
        assert {(e.change, e.link.name) for e in arrived} == {(PRESENT, "v0")}
        assert arrived[-1].counters == Counters(0, 400, 0, 4)


@root
def test_a_port_that_leaves_its_bridge_stays(namespace):
    namespace.ip("link add br0 type bridge", "link add p0 type ifb", "link set p0 master br0")
    with opened_in(namespace) as source:
        namespace.ip("link set p0 nomaster")
        told = drained(source)
        assert {e.change for e in told} == {PRESENT}
        assert [e.link.master for e in told if e.link.name == "p0"][-1] == 0


@root
def test_the_descriptor_is_readable_when_events_wait(namespace):
    with opened_in(namespace) as source:
        drained(source)
        with socket.socket(fileno=os.dup(source.fileno())) as watched, pytest.raises(BlockingIOError):
            watched.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        namespace.ip("link add a0 type ifb")
        with socket.socket(fileno=os.dup(source.fileno())) as watched:
            assert watched.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)


@root
def test_five_hundred_removals_at_once_all_arrive(namespace):
    with opened_in(namespace) as source:
        namespace.ip(*(f"link add m{n} group 7 type ifb" for n in range(500)))
        namespace.ip("link del group 7")
        removed = [e.link.name for e in drained(source) if e.change is REMOVED]
        assert sorted(removed) == sorted(f"m{n}" for n in range(500))


@root
def test_lost_events_are_told_after_those_that_arrived(namespace):
    with opened_in(namespace) as source:
        source._news.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        namespace.ip(*(f"link add m{n} type ifb" for n in range(30)))
        first = source.events()
        assert [e.link.name for e in first] == [f"m{n}" for n in range(len(first))]
        assert 0 < len(first) < 30
        with pytest.raises(EventsLostError, match="more came at once"):
            source.events()
        assert source.events() == []
        assert len(source.links()) == 31


@root
def test_an_event_that_does_not_fit_counts_as_lost_and_the_next_one_fits(namespace):
    with opened_in(namespace) as source:
        source._buffer = bytearray(256)
        source._view = memoryview(source._buffer)
        namespace.ip("link add a0 type ifb")
        with pytest.raises(EventsLostError, match="larger"):
            source.events()
        namespace.ip("link del a0")
        assert [e.change for e in drained(source)] == [REMOVED]


@root
def test_messages_of_other_processes_are_not_believed(namespace, datagrams):
    with opened_in(namespace) as source:
        drained(source)
        with (
            namespace.inside(),
            socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as liar,
        ):
            liar.sendto(datagrams("delete")[1], (source._news.getsockname()[0], 0))
        assert source.events() == []


# Final counters


@root
def test_the_removal_of_a_tap_carries_its_final_counters(namespace):
    if not os.path.exists("/dev/net/tun"):
        pytest.skip("needs /dev/net/tun")
    import fcntl

    with opened_in(namespace) as source:
        with namespace.inside():
            tap = os.open("/dev/net/tun", os.O_RDWR)
            fcntl.ioctl(
                tap, 0x400454CA, struct.pack("16sH22x", b"tap0", 0x1002)
            )  # TUNSETIFF, IFF_TAP | IFF_NO_PI
        namespace.ip("link set tap0 up")
        for _ in range(6):
            os.write(tap, bytes.fromhex("02000000001102000000001088b5") + bytes(86))
        os.close(tap)
        final = [e for e in drained(source) if e.change is REMOVED]
        assert [(e.link.name, e.counters.rx_bytes, e.counters.rx_packets) for e in final] == [
            ("tap0", 600, 6)
        ]


def pair(one, other, *, up=("v0", "v1")):
    one.ip(f"link add v0 type veth peer name v1 netns {other.name}")
    for name, namespace in (("v0", one), ("v1", other)):
        if name in up:
            namespace.ip(f"link set {name} up")


@root
@pytest.mark.parametrize(
    "end", ["near", "far", "near, down before", "far, down before", "after far went down"]
)
def test_the_final_counters_of_a_pair_across_namespaces_are_whole(new_namespace, end):
    one, other = new_namespace(), new_namespace()
    pair(one, other)
    with opened_in(one) as source:
        one.send("v0", 5)
        other.send("v1", 7)
        if end == "near, down before":
            one.ip("link set v0 down")
        elif end in ("far, down before", "after far went down"):
            other.ip("link set v1 down")
        if end.startswith("far"):
            other.ip("link del v1")
        else:
            one.ip("link del v0")
        told = drained(source)
        assert (told[-1].change, told[-1].link.name) == (REMOVED, "v0")
        assert (told[-1].counters, told[-1].whole) == (Counters(700, 500, 7, 5), True)
        parted = [e.counters for e in told if e.change is PRESENT and not e.link.lower]
        assert all(counters is None for counters in parted)


@root
def test_a_pair_that_appears_while_watched_is_followed_too(new_namespace):
    one, other = new_namespace(), new_namespace()
    with opened_in(one) as source:
        pair(one, other)
        drained(source)
        other.send("v1", 7)
        one.ip("link del v0")
        assert drained(source)[-1].counters == Counters(700, 0, 7, 0)


@root
def test_without_word_from_the_far_end_the_final_counters_are_not_whole(new_namespace):
    one, other = new_namespace(), new_namespace()
    pair(one, other)
    with opened_in(one) as source:
        source._elsewhere.close()
        source._elsewhere = None
        one.send("v0", 5)
        other.send("v1", 7)
        one.ip("link del v0")
        last = drained(source)[-1]
        assert (last.counters, last.whole) == (Counters(0, 500, 0, 5), False)


@root
def test_two_hundred_pairs_across_namespaces_end_to_the_byte(new_namespace):
    one, other = new_namespace(), new_namespace()
    count = 200
    with opened_in(one) as source:
        one.ip(*(f"link add a{n} group 7 type veth peer name b{n} netns {other.name}" for n in range(count)))
        one.ip("link set group 7 up")
        other.ip(*(f"link set b{n} up" for n in range(count)))
        for n in range(count):
            other.send(f"b{n}", n % 5 + 1)
        one.ip("link del group 7")
        final = {e.link.name: e.counters.rx_packets for e in drained(source) if e.change is REMOVED}
        assert final == {f"a{n}": n % 5 + 1 for n in range(count)}


@root
@pytest.mark.parametrize("down", ["", "v0", "v1"])
def test_the_final_counters_of_a_pair_within_a_namespace_are_whole(namespace, down):
    namespace.ip("link add v0 type veth peer name v1", "link set v0 up", "link set v1 up")
    with opened_in(namespace) as source:
        namespace.send("v0", 5)
        namespace.send("v1", 7)
        if down:
            namespace.ip(f"link set {down} down")
        namespace.ip("link del v0")
        final = {e.link.name: (e.counters, e.whole) for e in drained(source) if e.change is REMOVED}
        assert final == {
            "v0": (Counters(700, 500, 7, 5), True),
            "v1": (Counters(500, 700, 5, 7), True),
        }


@root
def test_when_the_far_namespace_is_destroyed_the_final_counters_are_not_whole(new_namespace):
    one, other = new_namespace(), new_namespace()
    pair(one, other)
    with opened_in(one) as source:
        one.send("v0", 5)
        other.send("v1", 7)
        other.remove()
        told = drained(source)
        for _ in range(100):  # the kernel destroys it in its own time
            if told and told[-1].change is REMOVED:
                break
            select.select([source.fileno()], [], [], 1)
            told += drained(source)
        # What was received may be known or not, as the destruction races with what is told of it; it is never vouched for.
        assert not told[-1].whole
        assert told[-1].counters in (Counters(0, 500, 0, 5), Counters(700, 500, 7, 5))


@root
def test_a_source_is_not_continued_in_another_namespace(namespace):
    with contextlib.closing(NetlinkSource()) as source:
        source._drop_dumps()
        with namespace.inside(), pytest.raises(SourceError, match="another network namespace"):
            source.read()
        assert source.read().indexes
