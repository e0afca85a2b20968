"""The loop: when the recorder reads and commits, and what it does about everything that can fail."""

import os
import sqlite3

import pytest
from recorder.audit import assert_sound
from recorder.kernel import ELSEWHERE, START_US, Kernel
from recorder.station import Station
from support import book

from netusage.errors import ConfigError, ExitCode, LedgerBusyError, LedgerCorruptError, SourceError
from netusage.ledger.batch import Remembered
from netusage.model import NS, US, Counters, GapKind, Link, LinkChange, LinkEvent
from netusage.recorder.loop import EVENTS_APART_NS, Recorder, Timing
from netusage.recorder.meter import Meter
from netusage.recorder.rules import Rules
from netusage.recorder.waiting import Wake
from netusage.sources.base import UnsettledError
from netusage.sources.replay import PLACE, ReplaySource, Step


@pytest.fixture
def kernel():
    kernel = Kernel()
    kernel.add("eth0")
    return kernel


@pytest.fixture
def eth0(kernel):
    return kernel.named("eth0")


@pytest.fixture
def station(kernel, ledger):
    station = Station(kernel, ledger)
    yield station
    station.crash()


def recorded(station):
    """Bytes received, by interface."""
    return {name: counters.rx_bytes for name, counters in book.recorded(station.path).items()}


def seconds(us):
    return (us - START_US) / US


def commits(station):
    """When commits succeeded, in seconds since the start."""
    return [seconds(at.wall_us) for at in station.commits]


def health(station):
    return book.rows(station.path, "SELECT * FROM run ORDER BY id")[-1]


# The grid


def test_readings_come_every_second_and_commits_every_ten(station):
    station.start().run(35)
    assert commits(station) == [0, 10, 20, 30]
    station.stop()
    assert health(station)["samples"] == 36
    assert commits(station)[-1] == 35


def test_the_first_reading_is_committed_at_once(station, kernel, eth0):
    station.start().crash()
    kernel.traffic(eth0, 500)
    station.start().stop()
    assert recorded(station) == {"eth0": 500}


def test_the_grid_does_not_drift_with_the_time_that_a_reading_takes(station, kernel):
    station.start().run(1)
    kernel.run(0.4)
    station.run(0.6)
    station.run(1)
    station.stop()
    assert health(station)["samples"] == 4
    assert health(station)["late_samples"] == 0


def test_late_readings_are_counted_as_late_and_nothing_is_lost(station, kernel, eth0):
    station.start().run(1)
    kernel.traffic(eth0, 100)
    kernel.run(3.5)
    station.run(0)
    station.run(1)
    station.stop()
    assert health(station)["late_samples"] == 2
    assert recorded(station) == {"eth0": 100}
    assert not book.gaps(station.path)


def test_clocks_that_are_read_a_moment_apart_make_no_reading_late(station, kernel):
    station.start()
    for _ in range(9):
        kernel._awake_ns += 90  # it was read later than the other one
        station.run(1)
    station.stop()
    assert health(station)["late_samples"] == 0


def test_a_suspend_makes_no_reading_late(station, kernel):
    station.start().run(1)
    kernel.suspend(7200)
    station.run(2)
    station.stop()
    assert health(station)["late_samples"] == 0
    assert [row["kind"] for row in book.gaps(station.path)] == ["suspend"]


def test_it_ends_when_its_time_is_over_and_its_last_reading_is_committed(station, kernel, eth0):
    station.start(until_ns=kernel.now().boot_ns + 5 * NS // 2)
    station.run(1)
    kernel.traffic(eth0, 70)
    station.run(10)
    assert station.exit is ExitCode.OK
    assert commits(station)[-1] == 2.5
    assert recorded(station) == {"eth0": 70}


@pytest.mark.parametrize("code", [ExitCode.INTERRUPTED, ExitCode.TERMINATED])
def test_a_signal_ends_it_with_its_code_after_a_last_reading(station, kernel, eth0, code):
    station.start().run(0.5)
    kernel.traffic(eth0, 70)
    assert station.stop(code) is code
    assert recorded(station) == {"eth0": 70}
    assert health(station)["ended"] == "stopped"


def test_what_it_is_called_for_comes_after_every_reading_of_the_grid_and_the_last(kernel, ledger):
    seen = []
    station = Station(kernel, ledger, on_sample=lambda at: seen.append(seconds(at.wall_us)))
    station.start().run(3.5)
    kernel.add("wg0")
    station.run(0.25).stop()
    assert seen == [1, 2, 3, 3.75]


def test_without_a_ledger_it_counts_all_the_same(kernel, eth0):
    station = Station(kernel, None)
    station.start()
    kernel.traffic(eth0, 70)
    for _ in range(20):
        station.run(60)
        kernel.traffic(eth0, 1)
    assert station.meter.usage().rx_bytes == 70 + 19
    assert len(station.meter.batch().entries) <= 2
    assert station.stop() is ExitCode.TERMINATED


def test_a_source_that_fails_at_the_very_start_ends_it(kernel, ledger):
    def broken():
        source = kernel.source()
        source.failure = "no such thing"
        return source

    with pytest.raises(SourceError, match="no such thing"):
        Station(kernel, ledger, make_source=broken).start()


# Link events


def test_a_link_event_calls_for_a_reading_and_a_commit_within_a_tenth_of_a_second(station, kernel):
    station.start().run(3.3)
    wg0 = kernel.add("wg0")
    station.run(0.01)
    kernel.traffic(wg0, 50)
    kernel.remove(wg0)
    station.run(0.2)
    station.crash()
    assert recorded(station) == {"wg0": 50}
    assert 3.3 < commits(station)[-1] < 3.5


def test_commits_at_link_events_can_be_turned_off(kernel, ledger):
    station = Station(kernel, ledger, timing=Timing(commit_on_link_event=False))
    station.start().run(3)
    kernel.add("wg0")
    station.run(2)
    assert commits(station) == [0]
    station.stop()


def test_a_burst_of_link_events_is_taken_in_few_readings(station, kernel):
    station.start().run(0.5)
    for number in range(40):
        kernel.add(f"veth{number}")
        station.run(0.001)
    station.run(0.1)
    station.stop()
    assert health(station)["events"] == 40
    assert health(station)["samples"] <= 40 * 10**6 // EVENTS_APART_NS + 4


def test_what_appears_and_counts_just_before_the_stop_is_recorded(station, kernel):
    station.start().run(0.5)
    kernel.traffic(kernel.add("wg0"), 90)
    station.stop()
    assert recorded(station) == {"wg0": 90}


def test_events_that_are_older_than_the_first_list_are_not_applied_to_it(kernel, ledger):
    """The ledger took its time to open, and an interface was exchanged meanwhile."""
    kernel.traffic(kernel.named("eth0"), 9000)

    def slow():
        source = kernel.source()
        old = kernel.named("eth0")
        kernel.remove(old)
        kernel.traffic(kernel.add("eth0", index=old.index), 10)
        return source

    station = Station(kernel, ledger, make_source=slow).start()
    station.run(5).stop()
    assert recorded(station) == {}
    assert len(book.epochs(ledger)) == 1


def test_lost_events_are_said_and_declared_and_counting_is_exact_again(station, kernel, eth0):
    station.start().run(2)
    kernel.run(0.1)
    station.source.events_full = True
    wg0 = kernel.add("wg0")
    kernel.traffic(wg0, 50)
    station.run(0.5)
    kernel.traffic(wg0, 7)
    kernel.traffic(eth0, 8)
    kernel.remove(wg0)
    station.run(1)
    station.stop()
    assert recorded(station) == {"wg0": 57, "eth0": 8}
    (gap,) = book.gaps(station.path, kind=GapKind.EVENTS_LOST)
    assert (gap["lossy"], gap["interface"], seconds(gap["start_us"])) == (1, "", 2)
    assert any("dropped link events" in line for line in station.said)


def test_what_was_found_after_lost_events_is_committed_at_once(station, kernel):
    station.start().run(2)
    kernel.run(0.3)
    station.source.events_full = True
    kernel.add("wg0")
    station.run(0.3)
    assert commits(station) == [0, 2.3]


def test_what_vanished_among_lost_events_is_declared_by_name(station, kernel):
    wg0 = kernel.add("wg0")
    station.start().run(2)
    station.source.events_full = True
    kernel.traffic(wg0, 50)
    kernel.remove(wg0)
    station.run(2).stop()
    assert recorded(station) == {}
    assert [row["interface"] for row in book.gaps(station.path, kind="vanished", lossy=1)] == ["wg0"]


def test_an_interface_that_no_event_announced_is_found_within_seconds_and_counted_whole(kernel, ledger):
    station = Station(kernel, ledger, rules=Rules(has_events=False))
    station.start().run(1)
    station.source.queue.clear()
    wg0 = kernel.add("wg0")
    station.source.queue.clear()
    kernel.traffic(wg0, 33)
    station.run(5)
    kernel.traffic(wg0, 4)
    station.run(1).stop()
    assert recorded(station) == {"wg0": 37}
    assert not book.gaps(ledger)


def test_a_link_that_leaves_for_another_namespace_and_is_back_between_two_readings_counts_once(
    station, kernel
):
    va, _ = kernel.add_pair("va", "vb")
    station.start().run(1)
    kernel.traffic(va, 1500)
    kernel.move(va, ELSEWHERE)
    kernel.move(va, 1)
    kernel.traffic(va, 10)
    station.run(5).stop()
    assert recorded(station)["va"] == 1510
    assert not book.gaps(station.path)


# The source fails


def test_a_failing_source_is_said_once_and_tried_again(station):
    station.start()
    station.source.failure = "the kernel has a cold"
    station.run(4)
    station.source.failure = ""
    station.run(2).stop()
    assert [line for line in station.said if "cold" in line] == [
        "cannot read the counters: the kernel has a cold",
    ]
    assert "the counters can be read again" in station.said
    assert health(station)["failed_samples"] == 4


@pytest.mark.parametrize(("broken", "end_s"), [("", 62), ("it stays closed", 63)])
def test_what_was_counted_while_the_source_failed_is_recorded_as_estimated(
    station, kernel, eth0, broken, end_s
):
    station.start().run(1)
    station.source.failure, station.source.broken = "no answer", broken
    for _ in range(60):
        kernel.traffic(eth0, 10)
        station.run(1)
    station.source.failure = station.source.broken = ""
    station.run(3)
    kernel.traffic(eth0, 5)
    station.run(1).stop()
    assert recorded(station) == {"eth0": 605}
    (span,) = book.rows(station.path, "SELECT * FROM span")
    assert (span["rx_bytes"], span["kind"]) == (600, "source")
    assert (seconds(span["start_us"]), seconds(span["end_us"])) == (1, end_s)
    (gap,) = book.gaps(station.path, kind="source")
    assert gap["lossy"] == 0


def test_events_that_were_dropped_by_opening_anew_are_declared(station, kernel):
    wg0 = kernel.add("wg0")
    station.start().run(1)
    station.source.failure = "no answer"
    kernel.traffic(wg0, 50)
    kernel.remove(wg0)
    station.run(1)
    station.source.failure = ""
    station.run(2).stop()
    assert [row["kind"] for row in book.gaps(station.path, lossy=1)] == ["events-lost", "vanished"]


def test_a_source_that_cannot_settle_is_no_failure(station, kernel, eth0):
    """Interfaces come and go so fast that no list is whole: look again in the next round."""
    station.start().run(1)
    source = station.source
    read, tries = source.read, []

    def restless():
        tries.append(1)
        if len(tries) < 3:
            raise UnsettledError("interfaces kept coming and going")
        return read()

    source.read = restless
    kernel.traffic(eth0, 9)
    station.run(4).stop()
    assert recorded(station) == {"eth0": 9}
    assert health(station)["failed_samples"] == 0
    assert station.said == []


def test_a_source_that_turns_out_to_be_wide_is_read_as_wide(kernel, ledger, eth0):
    """macOS: narrow until a byte counter above 2^32 proves the opposite; here at the first list after a restart."""
    kernel.traffic(eth0, 4 * 2**30 - 10)
    rules = Rules(counter_bits=32, has_events=False)

    def narrow():
        source = kernel.source()
        source.counter_bits = 32 if eth0.counters.rx_bytes < 2**32 else 64
        return source

    Station(kernel, ledger, make_source=narrow, rules=rules).start().stop()
    kernel.traffic(eth0, 3 * 2**32)
    station = Station(kernel, ledger, make_source=narrow, rules=rules)
    station.start().stop()
    assert recorded(station) == {"eth0": 3 * 2**32}


# The ledger fails


def test_while_the_ledger_is_busy_counting_goes_on_and_then_nothing_is_missing(station, kernel, eth0):
    station.start()
    station.refusals = 3
    for _ in range(60):
        kernel.traffic(eth0, 10)
        station.run(1)
    station.crash()
    assert recorded(station) == {"eth0": 600}
    assert commits(station) == [0, 40, 50, 60]
    assert health(station)["failed_commits"] == 3
    assert [line for line in station.said if "refused" in line] == [
        "cannot write the ledger: it is refused; counting goes on in memory"
    ]
    assert "the ledger can be written again; nothing was lost" in station.said


def test_a_ledger_that_another_program_locks_is_written_when_it_lets_go(station, kernel, eth0, monkeypatch):
    monkeypatch.setattr("netusage.ledger.writer.BUSY_MS", 0)
    station.start()
    blocker = sqlite3.connect(station.path, isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    kernel.traffic(eth0, 123)
    station.run(61)
    assert recorded(station) == {}
    blocker.close()
    station.run(10)
    assert recorded(station) == {"eth0": 123}
    assert any("it is locked" in line for line in station.said)
    station.stop()
    assert_sound(station.path)


def test_a_ledger_that_is_removed_while_recording_is_begun_anew_without_counting_twice(station, kernel, eth0):
    station.start()
    kernel.traffic(eth0, 100)
    station.run(10)
    assert recorded(station) == {"eth0": 100}
    for suffix in ("", "-wal", "-shm"):
        os.remove(f"{station.path}{suffix}")
    kernel.traffic(eth0, 23)
    station.run(10)
    kernel.traffic(eth0, 4)
    station.run(10)
    station.stop()
    assert recorded(station) == {"eth0": 27}
    assert [(row["kind"], row["lossy"]) for row in book.gaps(station.path)] == [("ledger", 0)]
    assert_sound(station.path)
    station.start()
    kernel.traffic(eth0, 1)
    station.stop()
    assert recorded(station) == {"eth0": 28}


def test_a_ledger_that_is_replaced_by_another_file_is_set_aside_and_not_written_to(
    station, kernel, eth0, tmp_path
):
    station.start().run(1)
    for suffix in ("-wal", "-shm"):
        os.remove(f"{station.path}{suffix}")
    other = tmp_path / "other"
    other.write_bytes(b"somebody's letters\n" * 100)
    os.replace(other, station.path)
    kernel.traffic(eth0, 23)
    station.run(10).stop()
    assert recorded(station) == {"eth0": 23}
    (aside,) = [path for path in tmp_path.iterdir() if "set-aside" in path.name]
    assert aside.read_bytes() == b"somebody's letters\n" * 100
    (gap,) = book.gaps(station.path, kind="ledger")
    assert aside.name in gap["note"]


class _Breaking:
    """A book that is damaged for the next commit, and cannot be replaced for some times."""

    def __init__(self, replacements_fail=0):
        self.batches = []
        self.damaged = False
        self.replacements_fail = replacements_fail
        self.patient = False

    def remember(self):
        return Remembered()

    def commit(self, batch):
        if self.damaged:
            raise LedgerCorruptError("the ledger is damaged")
        self.batches.append(
            (batch.at, sum(e.counters.rx_bytes for e in batch.entries.values()), len(batch.epochs))
        )

    def wait_for_lock(self):
        self.patient = True

    def replace(self, _now_us):
        if self.replacements_fail:
            self.replacements_fail -= 1
            raise LedgerBusyError("no space is left for a new one")
        self.damaged = False
        return "ledger.db.set-aside"


class _Scripted:
    """A waiter that plays a replay source, and stops the recorder when the script is over."""

    def __init__(self, source):
        self.source = source

    def wait(self, timeout_ns, _fileno):
        if self.source.finished:
            return Wake(stop=ExitCode.TERMINATED)
        return Wake(events=self.source.play(timeout_ns))


def play(steps, book, **options):
    """Run a recorder over a script; what it said, and its meter."""
    source = ReplaySource(steps)
    said = []
    meter = Meter(PLACE, Rules(), life_of=source.life)
    recorder = Recorder(
        source, source.clock, _Scripted(source), book, meter, timing=Timing(), say=said.append, **options
    )
    assert recorder.run() is ExitCode.TERMINATED
    return said, meter


def script(seconds_, per_second=10):
    link = Link(2, "eth0", life=5)
    counters = [Counters(per_second * n, 0, n, 0) for n in range(seconds_)]
    return [
        Step(links=[(link, counters[0])]),
        *[Step(after_ns=NS, counters={"eth0": value}) for value in counters[1:]],
    ]


def test_a_damaged_ledger_is_replaced_and_every_living_interface_made_known_to_the_new_one():
    broken = _Breaking()
    steps = script(25)

    def damage(at):
        broken.damaged = seconds_of(at) == 15

    said, _ = play(steps, broken, on_sample=damage)
    *_, epochs = broken.batches[-1]
    assert epochs == 1
    assert sum(amount for _, amount, _ in broken.batches) == 240
    assert said == []


def seconds_of(at):
    return (at.boot_ns - 3600 * NS) // NS


def test_a_new_ledger_that_cannot_be_made_yet_is_tried_again_at_every_commit():
    broken = _Breaking(replacements_fail=2)
    state = {"damaged": False}

    def damage(at):
        if seconds_of(at) == 15 and not state["damaged"]:
            state["damaged"] = broken.damaged = True

    said, _ = play(script(60), broken, on_sample=damage)
    assert said == [
        "the ledger is damaged; setting it aside",
        "no space is left for a new one; counting goes on in memory",
        "the record before this is in ledger.db.set-aside",
        "the ledger can be written again; nothing was lost",
    ]
    assert sum(amount for _, amount, _ in broken.batches) == 590
    assert [seconds_of(at) for at, *_ in broken.batches][:4] == [0, 10, 40, 50]


def test_the_last_commit_waits_longer_for_a_locked_ledger():
    broken = _Breaking()
    play(script(3), broken)
    assert broken.patient


def test_a_replayed_removal_is_recorded_to_its_final_counters():
    link = Link(2, "eth0", life=5)
    removal = LinkEvent(LinkChange.REMOVED, link, Counters(999, 0, 9, 0))
    whole = _Breaking()
    play([*script(3), Step(after_ns=NS // 2, events=[removal]), Step(after_ns=NS)], whole)
    assert sum(amount for _, amount, _ in whole.batches) == 999


def test_a_reading_that_fails_at_the_end_does_not_keep_it_from_stopping():
    whole = _Breaking()
    said, _ = play([*script(3), Step(after_ns=NS, failure="gone")], whole)
    assert sum(amount for _, amount, _ in whole.batches) == 20
    assert said == ["cannot read the counters: gone"]


# Reloading


def test_reloading_changes_what_is_counted_and_how_often(kernel, ledger):
    settings = [(Timing(sample_ns=NS // 2, commit_ns=2 * NS), Rules(not_counted=("eth0",)))]
    station = Station(kernel, ledger, reload=lambda: settings[0])
    station.start().run(1)
    station.wake(reload=True)
    station.run(4).stop()
    assert "configuration reloaded" in station.said
    assert health(station)["samples"] == 10
    assert commits(station) == [0, 3, 5, 5]
    (row,) = book.rows(ledger, "SELECT counted, reason FROM interface")
    assert tuple(row) == (0, "left out by the configuration")


def test_a_wrong_configuration_changes_nothing(kernel, ledger):
    def wrong():
        raise ConfigError("netusage.toml:3: no such key: samples")

    station = Station(kernel, ledger, reload=wrong)
    station.start().run(1)
    station.wake(reload=True)
    station.run(9).stop()
    assert station.said == ["keeping the present configuration: netusage.toml:3: no such key: samples"]
    assert health(station)["samples"] == 11


def test_a_shorter_interval_does_not_wait_for_the_end_of_a_longer_one(kernel, ledger):
    settings = (Timing(sample_ns=NS, commit_ns=10 * NS), Rules())
    station = Station(
        kernel, ledger, timing=Timing(sample_ns=60 * NS, commit_ns=600 * NS), reload=lambda: settings
    )
    station.start().run(1)
    station.wake(reload=True)
    station.run(3).stop()
    assert health(station)["samples"] == 4


def test_without_anything_to_reload_a_request_is_ignored(station):
    station.start().run(1)
    station.wake(reload=True)
    station.run(1).stop()
    assert station.said == []


def test_an_interval_is_long_when_it_is_five_seconds_or_three_readings():
    assert Timing().longest_ns == 5 * NS
    assert Timing(sample_ns=60 * NS).longest_ns == 180 * NS
