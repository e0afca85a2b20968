"""What applications had is the difference of counters that only grow, under the quarter of an hour in which it was."""

import pytest

from netusage.errors import SourceError
from netusage.ledger.batch import Batch, Epoch, LastReading, Part, Remembered
from netusage.model import NS, US, ZERO, Counters, Instant, Link, Place, Who
from netusage.recorder.shares import Shares, Use, below, spread
from netusage.sources.applications.counts import Count, Key, Scope

HERE, ELSEWHERE = 3, 4
NOON_S = 1_773_100_800 + 12 * 3600
APP, OTHER = Who("application", "app"), Who("application", "other")


class Replay:
    """Counters as the kernel would have them, and names for two owners."""

    tier = "replay"
    frames = True
    losses = looks = 0

    def __init__(self, *, lasts=False, born=7):
        self.counts = {}
        self.full = self.closed = False
        self.said = []
        self.lasts, self.born = lasts, born
        self.told = {}

    def look(self):
        self.looks = self.looks + 1

    def is_nearly_full(self):
        return self.full

    def close(self):
        self.closed = True

    def read(self):
        return dict(self.counts)

    def who(self, owner):
        return self.told.get(owner) or {100: APP, 200: OTHER, 300: Who("kernel")}[owner]

    def version(self, owner):
        return (8, owner) if owner < 300 else None

    def know(self, owners):
        self.told |= owners

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

    def open_source(anew):
        assert anew == (len(left) < len(replays))
        if not left:
            raise SourceError("the kernel refuses")
        found = left.pop(0)
        return found, found

    return Shares(open_source, HERE, replays[0].said.append)


def epoch(index=2, kind="veth", *, first=ZERO, row=None, **about):
    link = Link(index, f"eth{index}", kind, **about)
    return Epoch(Place("boot"), link, 0, "first-sight", first, first, row=row)


def handed_over(shares):
    """The batch of a commit that succeeds."""
    batch = Batch(moment(0), [])
    shares.hand_over(batch)
    shares.committed()
    return batch


def moment(second):
    return Instant((NOON_S + second) * NS, 0, (NOON_S + second) * US)


def remembered(batch, second, *epochs):
    """What the ledger has when the last commit was at a second."""
    here = LastReading((NOON_S + second) * NS, (NOON_S + second) * US, None)
    return Remembered(here=here, epochs=epochs, counted=batch.counted)


def at(second):
    return (NOON_S + second) * US


def had(shares, quarter=0):
    """By application, what is pending of a quarter."""
    return {
        part.who.name: counters
        for part, counters in shares._pending.items()
        if part.start_s == NOON_S + quarter * 900
    }


def test_what_was_counted_before_interfaces_were_recorded_is_not_their_own(replay):
    shares = begin(replay)
    replay.count(100, 1000, 1000)
    shares.begin(moment(0), Remembered(), {2: epoch()})
    replay.count(100, 86, 100)
    shares.collect(at(2), {2: epoch()})
    assert list(shares._pending.values()) == [Counters(86 + 14, 100, 1, 1)]


def test_what_is_pending_adds_up_until_it_is_committed(replay):
    shares, living = begin(replay), {2: epoch()}
    for n in range(3):
        replay.count(100, 86, 50)
        replay.count(200, 0, 10, protocol=17)
        shares.collect(at(n), living)
    assert had(shares) == {"app": Counters(300, 150, 3, 3), "other": Counters(42, 30, 3, 3)}
    assert set(shares._pending) == {
        Part(NOON_S, living[2], APP, Scope.LAN, 6, 4),
        Part(NOON_S, living[2], OTHER, Scope.LAN, 17, 4),
    }
    shares.committed()
    shares.collect(at(5), living)
    assert shares._pending == {}


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
    assert shares._pending == {}


def test_an_interface_that_is_not_known_yet_gets_its_bytes_when_it_is(replay):
    shares = begin(replay)
    replay.count(100, 86, 50, ifindex=7)
    shares.collect(at(1), {2: epoch()})
    assert shares._pending == {}
    shares.collect(at(2), {2: epoch(), 7: epoch(7)})
    assert had(shares) == {"app": Counters(100, 50, 1, 1)}


def test_the_last_bytes_of_an_interface_that_is_gone_are_its_own(replay):
    shares, gone = begin(replay), epoch()
    shares.collect(at(1), {2: gone})
    replay.count(100, 86, 50)
    shares.collect(at(2), {})
    assert [part.epoch for part in shares._pending] == [gone]


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


def test_what_a_bridge_received_its_only_port_received_and_what_is_sent_both_count_themselves(replay):
    shares, port, bridge = begin(replay), epoch(2, master=3), epoch(3, "bridge")
    replay.count(100, 86, 114, ifindex=3)
    shares.collect(at(1), {2: port, 3: bridge})
    assert {part.epoch: counters for part, counters in shares._pending.items()} == {
        bridge: Counters(86, 114, 1, 1),
        port: Counters(100, 0, 1, 0),
    }


def test_the_port_of_a_bridge_with_several_is_not_known():
    ports = {2: epoch(2, master=4), 3: epoch(3, master=4), 4: epoch(4, "bridge")}
    assert below(ports) == {}
    del ports[3]
    assert below(ports) == {4: ports[2]}


def test_what_is_stacked_is_handed_up_from_the_lowest_and_a_tunnel_hands_up_nothing():
    links = {
        2: epoch(2, "", master=5),
        5: epoch(5, "bond"),
        6: epoch(6, "vlan", lower=5),
        7: epoch(7, "vxlan", lower=2),
    }
    assert below(links) == {5: links[2], 6: links[5]}
    elsewhere = {2: epoch(2), 3: epoch(3, "macvlan", lower=2, lower_elsewhere=True)}
    assert below(elsewhere) == {}


def fails(*_):
    raise SourceError("the kernel tells no more")


def test_a_source_that_fails_is_opened_again_and_counts_from_there(replay):
    other, living = Replay(), {2: epoch()}
    shares = begin(replay, other)
    replay.count(100, 86, 50)
    shares.collect(at(1), living)
    replay.read = fails
    other.count(100, 1000, 1000)
    shares.collect(at(2), living)
    assert replay.closed
    other.count(100, 186, 50)
    shares.collect(at(3), living)
    assert had(shares) == {"app": Counters(300, 100, 2, 2)}
    assert replay.said == ["the kernel tells no more; applications are told apart by replay again"]


def test_a_source_that_fails_while_it_looks_is_opened_again_as_well(replay):
    other = Replay()
    shares = begin(replay, other)
    shares.look()
    assert replay.looks == 1
    replay.look = fails
    shares.look()
    shares.look()
    assert (replay.closed, other.looks) == (True, 1)


def test_where_none_can_be_opened_again_interfaces_are_recorded_alone_and_that_is_said(replay):
    shares, living = begin(replay), {2: epoch()}
    replay.count(100, 86, 50)
    shares.collect(at(1), living)
    replay.read = fails
    for second in (2, 3):
        shares.collect(at(second), living)
    assert had(shares) == {"app": Counters(100, 50, 1, 1)}
    assert shares.tier == ""
    assert replay.said == ["the kernel refuses; interfaces are recorded without applications from now on"]
    shares.close()


def test_what_the_kernel_had_no_room_for_is_said(replay):
    shares, living = begin(replay), {2: epoch()}
    for losses in (0, 2, 2):
        replay.losses = losses
        shares.collect(at(losses), living)
    assert replay.said == ["replay: the kernel had no room for what some applications had; it has no name"]


def test_where_there_is_no_room_any_more_counting_begins_anew_and_misses_nothing(replay):
    other, living = Replay(), {2: epoch()}
    shares = begin(replay, other)
    replay.count(100, 86, 50)
    replay.full = True
    read = replay.read

    def read_once_more():  # what comes until the new programs are there is the old ones' to tell
        replay.count(100, 86, 50)
        return read()

    replay.read = read_once_more
    shares.collect(at(1), living)
    assert replay.closed
    other.count(100, 186, 100)
    shares.collect(at(2), living)
    assert had(shares) == {"app": Counters(3 * 100 + 200, 3 * 50 + 100, 4, 4)}


def test_where_counting_cannot_begin_anew_it_goes_on_and_that_is_said_once(replay):
    shares, living = begin(replay), {2: epoch()}
    replay.count(100, 86, 50)
    replay.full = True
    shares.collect(at(1), living)
    replay.count(100, 86, 50)
    shares.collect(at(2), living)
    assert had(shares) == {"app": Counters(200, 100, 2, 2)}
    assert replay.said == ["the kernel refuses; applications that are new from now on have no name"]
    assert not replay.closed
    shares.close()


def test_what_came_while_no_recorder_ran_goes_on_from_what_the_ledger_has(replay):
    replay.lasts = True
    shares, known = begin(replay), epoch(row=1)
    replay.count(100, 1000, 1000)
    shares.begin(moment(0), Remembered(), {2: epoch()})
    replay.count(100, 86, 50)
    shares.collect(at(1), {2: known})
    first = handed_over(shares)
    assert list(first.shares.values()) == [Counters(100, 50, 1, 1)]
    replay.count(100, 186, 60)  # the recorder is killed, the kernel counts on
    replay.count(200, 86, 70)
    again = begin(replay)
    again.begin(moment(4), remembered(first, 2, known), {2: known})
    replay.count(100, 286, 80)
    again.collect(at(5), {2: known})
    assert had(again) == {"app": Counters(500, 140, 2, 2), "other": Counters(100, 70, 1, 1)}


def test_only_counters_that_moved_are_handed_over_again(replay):
    replay.lasts = True
    shares, known = begin(replay), {2: epoch(row=1)}
    replay.count(200, 1, 1)
    shares.begin(moment(0), Remembered(), known)
    first = handed_over(shares)
    assert first.counted.whole
    assert {key[0] for key in first.counted.counters} == {0, 200}
    replay.count(100, 86, 50)
    shares.collect(at(1), known)
    second = handed_over(shares)
    assert not second.counted.whole
    assert {key[0]: tuple(count) for key, count in second.counted.counters.items()} == {
        100: (86, 50, 1, 1, 0, 0, 0, 0)
    }
    assert second.counted.owners == {100: APP}
    shares.start_over()  # the ledger is a new file
    assert {key[0] for key in handed_over(shares).counted.counters} == {0, 100, 200}


def test_what_came_in_a_long_stop_is_spread_over_it_to_the_byte(replay):
    replay.lasts = True
    shares, known = begin(replay), epoch(row=1)
    shares.begin(moment(0), Remembered(), {2: known})
    first = handed_over(shares)
    replay.count(100, 1_000_007 - 14, 300)
    again = begin(replay)
    again.begin(moment(1350), remembered(first, 450, known), {2: known})
    assert had(again, 0) == {"app": Counters(500_003, 150, 0, 0)}
    assert had(again, 1) == {"app": Counters(500_004, 150, 1, 1)}


def test_counters_of_another_life_are_not_gone_on_from(replay):
    replay.lasts = True
    shares, known = begin(replay), epoch(row=1)
    shares.begin(moment(0), Remembered(), {2: known})
    first = handed_over(shares)
    other = Replay(lasts=True, born=8)
    other.count(100, 86, 50)
    again = begin(other)
    again.begin(moment(4), remembered(first, 2, known), {2: known})
    again.collect(at(5), {2: known})
    assert had(again) == {}


def test_an_interface_that_is_recorded_from_now_on_begins_now_and_one_that_came_meanwhile_has_all(replay):
    replay.lasts = True
    shares, known = begin(replay), epoch(row=1)
    shares.begin(moment(0), Remembered(), {2: known})
    first = handed_over(shares)
    replay.count(100, 86, 50, ifindex=5)
    replay.count(200, 86, 50, ifindex=6)
    found = {2: known, 5: epoch(5, first=Counters(100, 50, 1, 1)), 6: epoch(6)}
    again = begin(replay)
    again.begin(moment(4), remembered(first, 2, known), found)
    again.collect(at(5), found)
    assert had(again) == {"other": Counters(100, 50, 1, 1)}


def test_an_interface_that_went_away_meanwhile_has_nothing_more(replay):
    replay.lasts = True
    shares, known = begin(replay), epoch(row=1)
    shares.begin(moment(0), Remembered(), {2: known})
    first = handed_over(shares)
    replay.count(100, 86, 50)
    again = begin(replay)
    again.begin(moment(4), remembered(first, 2, known), {})
    again.collect(at(5), {})
    assert had(again) == {}


def test_names_that_were_found_out_before_a_stop_are_known_after_it(replay):
    replay.lasts = True
    shares, known = begin(replay), {2: epoch(row=1)}
    shares.begin(moment(0), Remembered(), known)
    replay.count(100, 86, 50)
    shares.collect(at(1), known)
    first = handed_over(shares)
    replay.told = {}
    begin(replay).begin(moment(4), remembered(first, 2), known)
    assert replay.told[100] == APP


def test_executables_are_handed_over_as_versions_and_nobody_has_one(replay):
    shares, living = begin(replay), {2: epoch()}
    replay.count(100, 86, 50)
    replay.count(300, 86, 50)
    shares.collect(at(1), living)
    assert handed_over(shares).versions == {(APP, 8, 100)}
    assert handed_over(shares).versions == set()


@pytest.mark.parametrize(
    ("start_s", "end_s"), [(0, 1), (0, 900), (1, 899), (899, 901), (10, 5000), (0, 86400)]
)
def test_spreading_keeps_every_byte(start_s, end_s):
    whole = Counters(1_000_003, 7, 1, 0)
    parts = dict(spread(whole, start_s * US, end_s * US))
    assert all(at_s % 900 == 0 for at_s in parts)
    assert min(parts) >= start_s - 900
    assert max(parts) < end_s
    total = ZERO
    for part in parts.values():
        total = total.plus(part)
    assert total == whole


def test_what_each_had_since_the_beginning_is_told_by_interface_and_distance(replay):
    living = {2: epoch(), 3: epoch(3)}
    shares = Shares(lambda _: (replay, replay), HERE, replay.said.append, lambda one: one.link.index == 2)
    replay.count(100, 86, 50)
    replay.count(100, 14, 7, scope=Scope.INTERNET)
    replay.count(100, 1, 2, ifindex=3)
    shares.collect(at(1), living)
    replay.count(100, 86, 50)
    shares.collect(at(2), living)
    assert shares.usage == {
        Use(APP, "eth2", Scope.LAN, True): Counters(200, 100, 2, 2),
        Use(APP, "eth2", Scope.INTERNET, True): Counters(28, 7, 1, 1),
        Use(APP, "eth3", Scope.LAN, False): Counters(15, 2, 1, 1),
    }
