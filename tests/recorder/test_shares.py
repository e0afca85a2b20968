"""What applications had is the difference of counters that only grow, under the quarter of an hour in which it was."""

import pytest

from netusage.errors import SourceError
from netusage.ledger.batch import Epoch, Part
from netusage.model import US, ZERO, Counters, Link, Place, Who
from netusage.recorder.shares import Shares
from netusage.sources.applications.counts import Count, Key, Scope

HERE, ELSEWHERE = 3, 4
NOON_S = 1_773_100_800 + 12 * 3600
APP, OTHER = Who("application", "app"), Who("application", "other")


class Replay:
    """Counters as the kernel would have them, and names for two owners."""

    def __init__(self):
        self.counts = {}
        self.full = self.closed = False
        self.said = []

    def is_nearly_full(self):
        return self.full

    def close(self):
        self.closed = True

    def read(self):
        return dict(self.counts)

    def who(self, owner):
        return {100: APP, 200: OTHER}[owner]

    def count(self, owner, rx, tx, ifindex=2, netns=HERE, scope=Scope.LAN, protocol=6):
        key = Key(owner, netns, ifindex, scope, protocol, 4)
        old = self.counts.get(key, Count(*[0] * 8))
        self.counts[key] = Count(
            old.rx_bytes + rx, old.tx_bytes + tx, old.rx_packets + 1, old.tx_packets + 1, *old[4:]
        )


@pytest.fixture
def replay():
    return Replay()


def begin(*replays):
    """Shares of sources that are opened one after the other; after the last one none can be had."""
    left = list(replays)

    def open_source():
        if not left:
            raise SourceError("the kernel refuses")
        found = left.pop(0)
        return found, found

    return Shares(open_source, HERE, replays[0].said.append)


def epoch(index=2, kind="veth"):
    link = Link(index, f"eth{index}", kind)
    return Epoch(Place("boot"), link, 0, "first-sight", ZERO, ZERO)


def at(second):
    return (NOON_S + second) * US


def had(shares, quarter=0):
    """By application, what is pending of a quarter."""
    return {
        part.who.name: counters
        for part, counters in shares.pending.items()
        if part.start_s == NOON_S + quarter * 900
    }


def test_what_was_counted_before_interfaces_were_recorded_is_not_their_own(replay):
    shares = begin(replay)
    replay.count(100, 1000, 1000)
    shares.begin()
    replay.count(100, 86, 100)
    shares.collect(at(2), {2: epoch()})
    assert list(shares.pending.values()) == [Counters(86 + 14, 100, 1, 1)]


def test_what_is_pending_adds_up_until_it_is_committed(replay):
    shares, living = begin(replay), {2: epoch()}
    for n in range(3):
        replay.count(100, 86, 50)
        replay.count(200, 0, 10, protocol=17)
        shares.collect(at(n), living)
    assert had(shares) == {"app": Counters(300, 150, 3, 3), "other": Counters(42, 30, 3, 3)}
    assert set(shares.pending) == {
        Part(NOON_S, living[2], APP, Scope.LAN, 6, 4),
        Part(NOON_S, living[2], OTHER, Scope.LAN, 17, 4),
    }
    shares.committed()
    shares.collect(at(5), living)
    assert shares.pending == {}


def test_what_is_found_when_a_quarter_has_ended_belongs_to_it(replay):
    shares, living = begin(replay), {2: epoch()}
    shares.collect(at(895), living)
    assert not shares.is_due(at(899))
    assert shares.is_due(at(900))
    replay.count(100, 86, 50)
    shares.collect(at(900), living)
    replay.count(100, 186, 50)
    shares.collect(at(910), living)
    assert had(shares, 0) == {"app": Counters(100, 50, 1, 1)}
    assert had(shares, 1) == {"app": Counters(200, 50, 1, 1)}


@pytest.mark.parametrize("later", [-3600, 7200])
def test_after_a_step_of_the_clock_it_belongs_to_where_the_clock_is(replay, later):
    shares, living = begin(replay), {2: epoch()}
    shares.collect(at(10), living)
    replay.count(100, 86, 50)
    shares.collect(at(later), living)
    assert had(shares, later // 900) == {"app": Counters(100, 50, 1, 1)}


def test_other_namespaces_are_not_counted(replay):
    shares = begin(replay)
    replay.count(100, 86, 50, netns=ELSEWHERE)
    shares.collect(at(1), {2: epoch()})
    assert shares.pending == {}


def test_an_interface_that_is_not_known_yet_gets_its_bytes_when_it_is(replay):
    shares = begin(replay)
    replay.count(100, 86, 50, ifindex=7)
    shares.collect(at(1), {2: epoch()})
    assert shares.pending == {}
    shares.collect(at(2), {2: epoch(), 7: epoch(7)})
    assert had(shares) == {"app": Counters(100, 50, 1, 1)}


def test_the_last_bytes_of_an_interface_that_is_gone_are_its_own(replay):
    shares, gone = begin(replay), epoch()
    shares.collect(at(1), {2: gone})
    replay.count(100, 86, 50)
    shares.collect(at(2), {})
    assert [part.epoch for part in shares.pending] == [gone]


def test_interfaces_that_are_long_gone_are_not_remembered(replay):
    shares = begin(replay)
    for index in range(2, 50):
        shares.collect(at(index), {index: epoch(index)})
    assert len(shares._epochs) == 1


def test_loopback_is_counted_as_it_counts_itself(replay):
    shares = begin(replay)
    replay.count(100, 86, 114)
    shares.collect(at(1), {2: epoch(kind="loopback")})
    assert had(shares) == {"app": Counters(86, 100, 1, 1)}


def test_where_there_is_no_room_any_more_counting_begins_anew(replay):
    other, living = Replay(), {2: epoch()}
    shares = begin(replay, other)
    replay.count(100, 86, 50)
    replay.full = True
    shares.collect(at(1), living)
    assert replay.closed
    other.count(100, 186, 100)
    shares.collect(at(2), living)
    assert had(shares) == {"app": Counters(300, 150, 2, 2)}


def test_where_counting_cannot_begin_anew_what_was_counted_stays_and_it_is_said(replay):
    shares, living = begin(replay), {2: epoch()}
    replay.count(100, 86, 50)
    replay.full = True
    shares.collect(at(1), living)
    shares.collect(at(2), living)
    assert had(shares) == {"app": Counters(100, 50, 1, 1)}
    assert replay.said == ["the kernel refuses; interfaces are recorded without applications from now on"]
    shares.close()
