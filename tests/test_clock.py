"""Clocks: whatever the wall clock does, no byte is missing, none is counted twice, and all are dated as well as can be.

Durations come from the clock that counts through suspends; the ledger's buckets are UTC, so that zones, summer time,
year ends and leap days are nothing to it.
"""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from recorder.audit import assert_sound
from recorder.kernel import START_US, Kernel
from recorder.station import Station
from support import book

from netusage.clock import SystemClock, boot_id, machine_id
from netusage.model import NS, US
from netusage.recorder.loop import Timing
from netusage.recorder.rules import Rules

HOUR, DAY = 3600, 86_400
STEPS = [1, -1, HOUR, -HOUR, 2 * DAY, -2 * DAY]


class Machine:
    """A recorded machine with one interface, read every `sample_s` seconds; `sent` is the truth."""

    def __init__(self, path, wall_us=START_US, *, sample_s=1, **options):
        self.kernel = Kernel(wall_us)
        self.eth0 = self.kernel.add("eth0")
        timing = Timing(sample_ns=sample_s * NS)
        rules = Rules(sample_ns=timing.sample_ns, longest_ns=timing.longest_ns)
        self.station = Station(self.kernel, path, timing=timing, rules=rules, **options)
        self.path = path
        self.sample_s = sample_s
        self.sent = 0

    def run(self, seconds, rate=1000):
        """Send so many bytes a second."""
        for _ in range(0, seconds, self.sample_s):
            self.send(rate * self.sample_s)
            self.station.run(self.sample_s)

    def send(self, amount):
        self.kernel.traffic(self.eth0, amount)
        self.sent += amount

    def stop(self):
        self.station.stop()

    @property
    def recorded(self):
        found = book.recorded(self.path)
        return found["eth0"].rx_bytes if found else 0

    def between(self, start_us, end_us):
        """What is dated into this stretch by minutes that are still kept."""
        question = "SELECT coalesce(sum(rx_bytes), 0) FROM minute WHERE start_s >= ? AND start_s < ?"
        return book.rows(self.path, question, start_us // US, end_us // US)[0][0]


@pytest.fixture
def machine(ledger):
    machine = Machine(ledger)
    yield machine
    machine.station.crash()


# Steps


@pytest.mark.parametrize("step_s", STEPS)
def test_a_step_while_recording_neither_skips_nor_recounts(machine, step_s):
    machine.station.start()
    machine.run(90)
    machine.kernel.step(step_s)
    machine.run(90)
    machine.stop()
    assert machine.recorded == machine.sent == 180_000
    assert not book.gaps(machine.path)
    (step,) = book.rows(machine.path, "SELECT actual_us - expected_us FROM clock_step")
    assert step[0] == step_s * US
    assert_sound(machine.path)


@pytest.mark.parametrize("step_s", STEPS)
def test_bytes_are_dated_by_the_clock_of_their_time(machine, step_s):
    machine.station.start()
    machine.run(600)
    machine.kernel.step(step_s)
    after_us = machine.kernel.now().wall_us
    machine.run(600)
    machine.stop()
    if abs(step_s) > 600:
        assert machine.between(START_US, START_US + 600 * US) == 600_000
        assert machine.between(after_us, after_us + 600 * US) == 600_000


@pytest.mark.parametrize("step_s", STEPS)
@pytest.mark.parametrize("crash", [False, True])
def test_a_step_while_the_recorder_is_down_changes_nothing_but_labels(machine, step_s, crash):
    machine.station.start()
    machine.run(30)
    if crash:
        machine.station.crash()
    else:
        machine.stop()
    machine.send(500)
    machine.kernel.run(1800)
    machine.kernel.step(step_s)
    machine.station.start()
    machine.run(30)
    machine.stop()
    assert machine.recorded == machine.sent
    (span,) = book.rows(machine.path, "SELECT end_us - start_us AS length_us, rx_bytes FROM span")
    assert span["length_us"] == pytest.approx(1800 * US, abs=11 * US)
    assert not book.gaps(machine.path, lossy=1)
    assert not book.gaps(machine.path, kind="reboot")
    assert_sound(machine.path)


@pytest.mark.parametrize("step_s", STEPS)
def test_a_step_while_asleep_is_told_from_the_sleep(machine, step_s):
    machine.station.start()
    machine.run(10)
    machine.kernel.suspend(8 * HOUR)
    machine.kernel.step(step_s)
    machine.run(10)
    machine.stop()
    assert machine.recorded == machine.sent
    (gap,) = book.gaps(machine.path)
    assert (gap["kind"], gap["lossy"]) == ("suspend", 0)
    assert gap["end_us"] - gap["start_us"] == pytest.approx(8 * HOUR * US, abs=2 * US)
    (step,) = book.rows(machine.path, "SELECT actual_us - expected_us FROM clock_step")
    assert step[0] == step_s * US


def test_many_steps_back_and_forth_end_in_sealed_quarters_that_add_up(machine):
    machine.station.start()
    for step_s in (2 * DAY, -2 * DAY, HOUR, -HOUR, HOUR, -2 * HOUR, HOUR, -2 * DAY, DAY, DAY):
        machine.run(100)
        machine.kernel.step(step_s)
    machine.run(2000)
    machine.stop()
    assert machine.recorded == machine.sent
    assert len(book.rows(machine.path, "SELECT * FROM clock_step")) == 10
    assert_sound(machine.path)


def test_a_step_back_over_a_sealed_quarter_adds_to_it(machine):
    machine.station.start()
    machine.run(1800)
    before = book.quarters(machine.path)
    machine.kernel.step(-1800)
    machine.run(1800)
    machine.stop()
    after = {row["start_s"]: row["rx_bytes"] for row in book.quarters(machine.path)}
    assert len(before) == 2
    for row in before:
        assert after[row["start_s"]] >= 2 * row["rx_bytes"] - 2000
    assert machine.recorded == machine.sent
    assert_sound(machine.path)


def test_the_last_digits_of_a_clock_that_is_slewed_are_no_step(machine):
    machine.station.start()
    for _ in range(300):
        machine.kernel.step(0.0005)
        machine.run(1)
    machine.stop()
    assert not book.rows(machine.path, "SELECT * FROM clock_step")
    assert machine.recorded == machine.sent


def test_a_clock_that_is_years_ahead_for_a_moment_costs_no_byte_and_hardly_a_minute(ledger):
    """A machine without a battery for its clock: at most two hours of minutes go, no total, and retention goes on."""
    machine = Machine(ledger, sample_s=10)
    machine.station.start()
    machine.run(4000)
    minutes = len(book.rows(ledger, "SELECT * FROM minute"))
    machine.kernel.step(10 * 365 * DAY)
    machine.run(20)
    machine.kernel.step(-10 * 365 * DAY)
    machine.run(100)
    machine.stop()
    assert machine.recorded == machine.sent
    assert len(book.rows(ledger, "SELECT * FROM minute")) >= minutes - 120
    assert_sound(ledger)


def test_minutes_still_go_after_their_time_when_the_clock_was_ahead_once(ledger):
    machine = Machine(ledger, minutes_kept_s=HOUR)
    machine.station.start()
    machine.kernel.step(10 * 365 * DAY)
    machine.run(11)
    machine.kernel.step(-10 * 365 * DAY)
    for _ in range(40):
        machine.run(2)
        machine.kernel.run(898)
        machine.station.run(0)
    machine.stop()
    oldest = book.rows(ledger, "SELECT min(start_s) FROM minute")[0][0]
    assert oldest > machine.kernel.now().wall_us // US - 4 * HOUR
    assert machine.recorded == machine.sent
    assert_sound(ledger)


# Sleep and stalls


@pytest.mark.parametrize("hours", [1, 24, 24 * 40])
def test_sleep_is_a_gap_that_loses_nothing(machine, hours):
    machine.station.start()
    machine.run(10)
    machine.kernel.suspend(hours * HOUR)
    machine.run(10)
    machine.stop()
    assert machine.recorded == machine.sent
    (gap,) = book.gaps(machine.path)
    assert (gap["kind"], gap["lossy"], gap["end_us"] - gap["start_us"]) == (
        "suspend",
        0,
        (hours * HOUR + 1) * US,
    )
    assert_sound(machine.path)


def test_a_nap_of_seconds_is_an_ordinary_interval(machine):
    machine.station.start()
    machine.run(10)
    machine.kernel.suspend(3)
    machine.run(10)
    machine.stop()
    assert machine.recorded == machine.sent
    assert not book.gaps(machine.path)
    assert not book.rows(machine.path, "SELECT * FROM span")


def test_a_recorder_that_is_not_let_run_declares_that_it_stalled(machine):
    machine.station.start()
    machine.run(10)
    machine.kernel.run(400)
    machine.run(10)
    machine.stop()
    assert [row["kind"] for row in book.gaps(machine.path)] == ["stalled"]
    assert machine.recorded == machine.sent


def test_what_came_in_while_asleep_is_spread_over_the_sleep(machine):
    """Wake-on-LAN and offloaded traffic: the card counts while the machine sleeps."""
    machine.station.start()
    machine.run(10)
    machine.send(4000)
    machine.kernel.suspend(HOUR)
    machine.station.run(1).stop()
    (span,) = book.rows(machine.path, "SELECT rx_bytes, kind, end_us - start_us AS length_us FROM span")
    assert tuple(span) == (4000, "suspend", (HOUR + 1) * US)


# Calendars


SUMMER_TIME = [
    ("Europe/Berlin", datetime(2026, 3, 29, 1, tzinfo=UTC)),
    ("Europe/Berlin", datetime(2026, 10, 25, 1, tzinfo=UTC)),
    ("America/New_York", datetime(2026, 3, 8, 7, tzinfo=UTC)),
    ("America/New_York", datetime(2026, 11, 1, 6, tzinfo=UTC)),
    ("Australia/Lord_Howe", datetime(2026, 4, 4, 15, tzinfo=UTC)),
    ("Australia/Lord_Howe", datetime(2026, 10, 3, 15, 30, tzinfo=UTC)),
    ("America/Santiago", datetime(2026, 4, 5, 3, tzinfo=UTC)),
    ("America/Santiago", datetime(2026, 9, 6, 4, tzinfo=UTC)),
]
TURNS = [
    ("UTC", datetime(2027, 1, 1, tzinfo=UTC)),
    ("UTC", datetime(2028, 2, 29, tzinfo=UTC)),
    ("UTC", datetime(2028, 3, 1, tzinfo=UTC)),
    ("UTC", datetime(2026, 3, 1, tzinfo=UTC)),
]


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("zone", "turn"), [*SUMMER_TIME, *TURNS], ids=lambda value: str(value).replace(" ", "T")
)
def test_the_ledger_does_not_care_what_the_local_clock_does(ledger, zone, turn, monkeypatch):
    """Half an hour before a change and half an hour after it; every minute has what was sent in it."""
    monkeypatch.setenv("TZ", zone)
    turn_us = int(turn.timestamp()) * US
    if zone != "UTC":
        shift = [
            ZoneInfo(zone).utcoffset(turn.astimezone(ZoneInfo(zone)) + timedelta(seconds=s))
            for s in (-7200, 7200)
        ]
        assert shift[0] != shift[1]
    machine = Machine(ledger, turn_us - 1800 * US, sample_s=10)
    machine.station.start()
    machine.run(3600)
    machine.stop()
    minutes = book.rows(ledger, "SELECT start_s, rx_bytes FROM minute ORDER BY start_s")
    assert [row["start_s"] for row in minutes] == list(range(turn_us // US - 1800, turn_us // US + 1800, 60))
    assert {row["rx_bytes"] for row in minutes} == {60_000}
    assert (
        machine.between(turn_us - 1800 * US, turn_us)
        == machine.between(turn_us, turn_us + 1800 * US)
        == 1_800_000
    )
    assert not book.rows(ledger, "SELECT * FROM clock_step")
    assert_sound(ledger)


# The clocks of this machine


def test_the_system_s_clocks_only_go_forward_and_stand_together():
    clock = SystemClock()
    first, second = clock.now(), clock.now()
    assert second.boot_ns >= first.boot_ns > 0
    assert second.awake_ns >= first.awake_ns > 0
    assert first.awake_ns <= first.boot_ns + NS
    assert abs(first.wall_us - datetime.now(UTC).timestamp() * US) < 3600 * US


def test_the_boot_and_the_machine_have_an_identity_that_stays():
    assert boot_id() == boot_id() != ""
    assert machine_id() == machine_id()
