"""Every way in which trackers were seen to lose or invent bytes, and every rule that follows from it: a test each.

A small kernel of plain numbers feeds the real meter, the real ledger and its own proof. What only a real kernel can
show is in tests/system.
"""

import sqlite3
from zoneinfo import ZoneInfo

import pytest
from support import book
from support.verify import assert_verify_agrees

from netusage.errors import ExitCode, LedgerBusyError
from netusage.ledger.reader import LedgerReader
from netusage.ledger.verify import verify
from netusage.ledger.writer import LedgerWriter
from netusage.model import NS, US, ZERO, Counters, Instant, Link, LinkChange, LinkEvent, Place, Reading
from netusage.periods import PeriodKind, periods
from netusage.recorder.loop import Recorder, Timing
from netusage.recorder.meter import Meter
from netusage.recorder.rules import Rules
from netusage.recorder.totals import parts
from netusage.recorder.waiting import Wake

NOON_US = 1_780_315_200 * US  # 2026-06-01 12:00 UTC
HOUR_S, DAY_S = 3600, 86400
ETH0 = Link(2, "eth0", life=20)


def count(rx, tx=0):
    """Counters of a thousand bytes a packet."""
    return Counters(rx, tx, -(-rx // 1000), -(-tx // 1000))


class Machine:
    """A machine with interfaces that count, clocks that may step, and a recorder that can be killed."""

    def __init__(self, path, wall_us=NOON_US, **rules):
        self.path = path
        self.rules = Rules(**rules)
        self.place = Place("boot 1", 7, "machine")
        self.links = {}
        self.boot_ns = 1000 * NS
        self.awake_ns = 1000 * NS
        self.wall_us = wall_us
        self.events = []
        self.meter = self.writer = None

    # ---- the kernel

    def set(self, link, counters):
        self.links[link.index] = (link, counters)

    def appear(self, link, counters=ZERO):
        self.set(link, counters)
        self.events.append(LinkEvent(LinkChange.PRESENT, link, counters))

    def remove(self, link, counters=None):
        _, last = self.links.pop(link.index)
        self.events.append(LinkEvent(LinkChange.REMOVED, link, counters or last))

    def send(self, link, difference):
        self.links[link.index] = (link, self.links[link.index][1].plus(difference))

    def wait(self, seconds, *, asleep=False):
        self.boot_ns += int(seconds * NS)
        self.wall_us += int(seconds * US)
        if not asleep:
            self.awake_ns += int(seconds * NS)

    def reboot(self, name="boot 2", up_s=100):
        self.place = self.place._replace(boot_id=name)
        self.boot_ns = self.awake_ns = up_s * NS
        self.links = {index: (link, ZERO) for index, (link, _) in self.links.items()}

    # ---- the recorder

    @property
    def now(self):
        return Instant(self.boot_ns, self.awake_ns, self.wall_us)

    def start(self):
        self.events.clear()
        self.meter = Meter(self.place, self.rules)
        boot_us = self.wall_us - self.boot_ns // 1000
        self.writer = LedgerWriter(
            str(self.path), self.place, boot_us=boot_us, now_us=self.wall_us, source="model"
        )
        self.meter.start(self.now, list(self.links.values()), self.writer.remember())
        self.commit()

    def look(self):
        rows = [(index, *counters) for index, (_, counters) in self.links.items()]
        reading = (
            Reading(*(list(column) for column in zip(*rows, strict=True)))
            if rows
            else Reading([], [], [], [], [])
        )
        events, self.events = self.events, []
        self.meter.sample(self.now, reading, events)

    def second(self, link=None, difference=ZERO):
        if link is not None:
            self.send(link, difference)
        self.wait(1)
        self.look()

    def commit(self, ended=None):
        self.writer.commit(self.meter.batch(ended))
        self.meter.committed()

    def kill(self):
        self.writer.close()
        self.meter = self.writer = None

    def stop(self):
        self.look()
        self.commit("stopped")
        self.kill()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "ledger.db"


@pytest.fixture
def machine(path):
    made = Machine(path)
    made.set(ETH0, count(5_000))
    yield made
    if made.writer is not None:
        made.kill()


def recorded(path, name="eth0"):
    assert_verify_agrees(path)
    return book.recorded(path).get(name, ZERO)


def usage(path, edges, name="eth0"):
    with LedgerReader(str(path)) as reader:
        ids = [one.id for one in reader.interfaces() if one.name == name]
        return reader.usage([ids], edges)[0]


# ---- How the most trusted tool fails, row by row ------------------------------------------------------------------


def test_an_interface_that_vanishes_between_two_readings_is_recorded_to_its_final_counters(machine, path):
    tun = Link(9, "tun0", "tun", life=90)
    machine.start()
    machine.appear(tun)
    machine.second()
    machine.send(tun, count(700, 300))
    machine.remove(tun)
    machine.second()
    machine.stop()
    assert recorded(path, "tun0") == count(700, 300)
    assert not book.gaps(path, interface="tun0")


def test_an_interface_created_again_with_the_same_name_and_index_starts_from_zero(machine, path):
    first, second = Link(9, "tun0", "tun", life=90), Link(9, "tun0", "tun", life=91)
    machine.start()
    machine.appear(first)
    machine.second(first, count(900))
    machine.remove(first)
    machine.appear(second)
    machine.send(second, count(400))
    machine.second()
    machine.second()
    machine.stop()
    assert recorded(path, "tun0") == count(900).plus(count(400))


def test_a_rate_above_any_link_speed_is_recorded_whole(machine, path):
    machine.start()
    machine.second(ETH0, count(10**12, 10**12))
    machine.stop()
    assert recorded(path) == count(10**12, 10**12)


@pytest.mark.parametrize("asleep", [False, True], ids=["stopped", "suspended"])
def test_what_was_counted_in_hours_without_a_tracker_is_recorded_as_spread_over_them(machine, path, asleep):
    machine.start()
    if not asleep:
        machine.stop()
    machine.wait(6 * HOUR_S, asleep=asleep)
    machine.send(ETH0, count(6_000_000))
    if asleep:
        machine.look()
    else:
        machine.start()
    machine.stop()
    assert recorded(path) == count(6_000_000)
    noon_s = NOON_US // US
    hours = usage(path, [noon_s + n * HOUR_S for n in range(8)])
    assert [hour.rx_bytes for hour in hours[:6]] == [pytest.approx(1_000_000, abs=1000)] * 6
    assert sum(hour.estimated_rx_bytes for hour in hours) == 6_000_000
    assert book.gaps(path, kind="suspend" if asleep else "stopped", lossy=0)


def test_a_reading_that_straddles_midnight_is_split_in_proportion_to_time(path):
    midnight_s = 1_780_358_400
    machine = Machine(path, wall_us=midnight_s * US - 250_000)
    machine.set(ETH0, ZERO)
    machine.start()
    machine.second(ETH0, count(1000))
    machine.stop()
    before, after = usage(path, [midnight_s - 900, midnight_s, midnight_s + 900])
    assert (before.rx_bytes, after.rx_bytes) == (250, 750)


@pytest.mark.parametrize("step_s", [1, -1, HOUR_S, -HOUR_S, 2 * DAY_S, -2 * DAY_S])
def test_a_step_of_the_wall_clock_neither_skips_nor_recounts(machine, path, step_s):
    machine.start()
    for _ in range(5):
        machine.second(ETH0, count(100))
    machine.wall_us += step_s * US
    for _ in range(5):
        machine.second(ETH0, count(100))
    machine.stop()
    assert recorded(path) == Counters(1000, 0, 10, 0)
    with LedgerReader(str(path)) as reader:
        steps = reader.clock_steps(0, 1 << 60)
    assert [step.actual_us - step.expected_us for step in steps] == [step_s * US]


def test_a_step_of_the_clock_while_stopped_is_not_taken_for_a_reboot(machine, path):
    machine.start()
    machine.stop()
    machine.wait(10)
    machine.wall_us += 2 * DAY_S * US
    machine.send(ETH0, count(100))
    machine.start()
    machine.stop()
    assert recorded(path) == count(100)
    assert not book.gaps(path, kind="reboot")


def test_kill_9_loses_nothing_and_doubles_nothing(machine, path):
    machine.start()
    for _ in range(3):
        machine.second(ETH0, count(1000))
    machine.commit()
    machine.second(ETH0, count(500))
    machine.kill()
    machine.send(ETH0, count(250))
    machine.wait(1)
    machine.start()
    machine.stop()
    assert recorded(path).rx_bytes == 3_750


def test_while_the_ledger_is_locked_counting_goes_on_in_memory(machine, path):
    machine.start()
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    machine.second(ETH0, count(1000))
    with pytest.raises(LedgerBusyError):
        machine.commit()
    machine.second(ETH0, count(1000))
    other.execute("ROLLBACK")
    other.close()
    machine.stop()
    assert recorded(path) == Counters(2000, 0, 2, 0)


def test_a_corrupt_ledger_is_set_aside_and_never_overwritten(machine, path):
    machine.start()
    machine.second(ETH0, count(1000))
    machine.stop()
    damaged = b"SQLite format 3\0" + b"\xff" * 5000
    path.write_bytes(damaged)
    machine.wait(1)
    machine.start()
    machine.second(ETH0, count(70))
    aside = machine.writer.set_aside_to
    machine.stop()
    with open(aside, "rb") as file:
        assert file.read() == damaged
    assert recorded(path) == count(70)


class _Scripted:
    """A source and a clock of plain numbers; waiting ends with a request to stop."""

    name, counter_bits = "model", 64

    def __init__(self, machine):
        self.machine = machine

    def now(self):
        return self.machine.now

    def wait(self, _timeout_ns, _fileno):
        self.machine.send(ETH0, count(123))
        self.machine.wait(0.5)
        return Wake(stop=ExitCode.TERMINATED)

    def links(self):
        return list(self.machine.links.values())

    def read(self):
        rows = [(index, *counters) for index, (_, counters) in self.machine.links.items()]
        return Reading(*(list(column) for column in zip(*rows, strict=True)))

    def events(self):
        return []

    def fileno(self):
        return None


def test_a_clean_stop_takes_a_last_reading_before_the_last_commit(machine, path):
    script = _Scripted(machine)
    writer = LedgerWriter(str(path), machine.place, boot_us=1, now_us=machine.wall_us, source="model")
    meter = Meter(machine.place, Rules(has_events=False))
    recorder = Recorder(script, script, script, writer, meter, timing=Timing(), say=pytest.fail)
    assert recorder.run() is ExitCode.TERMINATED
    writer.close()
    assert recorded(path) == count(123)
    assert book.rows(path, "SELECT ended FROM run")[0]["ended"] == "stopped"


def test_the_repeated_hour_at_the_end_of_summer_time_is_two_hours(path):
    berlin = ZoneInfo("Europe/Berlin")
    before_s = 1_792_883_700  # 2026-10-25 01:15 in Berlin, still summer time
    machine = Machine(path, wall_us=before_s * US)
    machine.set(ETH0, ZERO)
    machine.start()
    for _ in range(4):
        machine.wait(HOUR_S - 1)
        machine.look()
        machine.second(ETH0, count(100))
        machine.commit()
    machine.stop()
    hours = periods(PeriodKind.HOUR, before_s, before_s + 4 * HOUR_S + 60, berlin)
    names = [hour.start(berlin).strftime("%H:%M%z") for hour in hours]
    assert names == ["01:00+0200", "02:00+0200", "02:00+0100", "03:00+0100", "04:00+0100"]
    counted = usage(path, [hours[0].start_s, *(hour.end_s for hour in hours)])
    assert [one.rx_bytes for one in counted] == [0, 100, 100, 100, 100]


# ---- The rules that follow ------------------------------------------------------------------------------------------


def test_rule_1_a_counter_that_goes_down_without_an_event_is_a_new_epoch_that_counts_from_zero(machine, path):
    machine.start()
    machine.second(ETH0, count(1000))
    machine.set(ETH0, count(30))
    machine.second()
    machine.second()
    machine.stop()
    assert recorded(path).rx_bytes == 1_030
    assert len(book.epochs(path, "eth0")) == 2
    assert book.gaps(path, kind="reset", lossy=1, interface="eth0")


def test_rule_1_a_64_bit_counter_is_never_taken_to_have_wrapped(machine, path):
    machine.set(ETH0, Counters((1 << 32) - 100, 0, 10, 0))
    machine.start()
    machine.set(ETH0, Counters(50, 0, 11, 0))
    machine.second()
    machine.second()
    machine.stop()
    assert recorded(path).rx_bytes == 50


def test_rule_1_a_counter_known_to_be_32_bits_wide_goes_on_after_its_wrap(path):
    machine = Machine(path, counter_bits=32, has_events=False)
    machine.set(ETH0, Counters((1 << 32) - 100, 0, 10, 0))
    machine.start()
    machine.set(ETH0, Counters(50, 0, 11, 0))
    machine.second()
    machine.stop()
    assert recorded(path) == Counters(150, 0, 1, 0)


def test_rule_2_a_commit_that_fails_leaves_neither_entry_nor_baseline(machine, path):
    machine.start()
    before = book.epochs(path, "eth0")[0]["last_rx_bytes"]
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    machine.second(ETH0, count(1000))
    with pytest.raises(LedgerBusyError):
        machine.commit()
    other.execute("ROLLBACK")
    other.close()
    assert book.epochs(path, "eth0")[0]["last_rx_bytes"] == before
    assert recorded(path) == ZERO


def test_rule_3_an_interface_that_was_up_at_first_sight_starts_at_its_present_counter(machine, path):
    machine.start()
    machine.second(ETH0, count(10))
    machine.stop()
    assert recorded(path) == count(10)


def test_rule_3_an_option_counts_what_it_had_since_boot(path):
    machine = Machine(path, count_since_boot=True)
    machine.set(ETH0, count(5_000))
    machine.start()
    machine.stop()
    assert recorded(path) == count(5_000)
    assert usage(path, [0, NOON_US // US + 900])[0].estimated_rx_bytes == 5_000


def test_rule_3_an_interface_that_appears_while_recording_starts_at_zero(machine, path):
    machine.start()
    machine.appear(Link(3, "usb0", life=30))
    machine.send(Link(3, "usb0", life=30), count(40))
    machine.second()
    machine.second()
    machine.stop()
    assert recorded(path, "usb0") == count(40)


def test_rule_3_an_interface_born_while_the_recorder_was_down_starts_at_zero(machine, path):
    machine.start()
    machine.stop()
    machine.wait(60)
    machine.set(Link(3, "usb0", life=30), count(40))
    machine.start()
    machine.stop()
    assert recorded(path, "usb0") == count(40)


def test_rule_3_after_a_reboot_everything_since_the_boot_is_counted_and_the_time_before_it_declared(
    machine, path
):
    machine.start()
    machine.second(ETH0, count(1000))
    machine.commit()
    machine.kill()
    machine.wait(HOUR_S)
    machine.reboot()
    machine.send(ETH0, count(77))
    machine.start()
    machine.stop()
    assert recorded(path) == Counters(1077, 0, 2, 0)
    assert len(book.gaps(path, kind="reboot", lossy=1)) == 1


def test_rule_3_a_ledger_copied_to_another_machine_does_not_take_its_traffic_for_its_own(machine, path):
    machine.start()
    machine.stop()
    machine.place = Place("boot of another", 7, "another machine")
    machine.set(ETH0, count(9_000_000))
    machine.start()
    machine.stop()
    assert recorded(path) == ZERO


@pytest.mark.parametrize(
    "name", ["Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe"]
)
@pytest.mark.parametrize("month", [3, 4, 10, 11])
def test_rule_4_local_days_of_any_length_add_up_to_the_whole(path, name, month):
    zone = ZoneInfo(name)
    machine = Machine(
        path, wall_us=periods(PeriodKind.MONTH, _month_s(month), _month_s(month) + 1, zone)[0].start_s * US
    )
    machine.set(ETH0, ZERO)
    machine.start()
    start_s = machine.wall_us // US
    for _ in range(32):
        machine.wait(DAY_S - 1)
        machine.look()
        machine.second(ETH0, count(24_000))
        machine.commit()
    machine.stop()
    days = periods(PeriodKind.DAY, start_s, start_s + 33 * DAY_S, zone)
    counted = usage(path, [days[0].start_s, *(day.end_s for day in days)])
    assert sum(day.rx_bytes for day in counted) == recorded(path).rx_bytes == 32 * 24_000


def _month_s(month):
    return 1_767_225_600 + (month - 1) * 30 * DAY_S + 15 * DAY_S  # about the middle of that month of 2026


def test_rule_5_bytes_that_cannot_be_known_are_a_declared_gap_with_its_length(machine, path):
    tun = Link(9, "tun0", "tun", life=90)
    machine.set(tun, count(10))
    machine.start()
    machine.stop()
    machine.wait(300)
    machine.links.pop(9)
    machine.start()
    machine.stop()
    (gap,) = book.gaps(path, kind="vanished", interface="tun0")
    assert gap["lossy"] == 1
    assert gap["end_us"] - gap["start_us"] == 300 * US


def test_rule_5_lost_link_events_are_a_declared_gap(machine, path):
    machine.start()
    machine.wait(1)
    machine.meter.resync(machine.now, list(machine.links.values()), note="the kernel dropped link events")
    machine.stop()
    assert book.gaps(path, kind="events-lost", lossy=1)


def test_rule_6_the_total_counts_each_byte_once():
    links = [
        Link(1, "lo", "loopback"),
        Link(2, "eth0"),
        Link(3, "eth1", master=4),
        Link(4, "bond0", "bond"),
        Link(5, "eth0.7", "vlan", lower=2),
        Link(6, "br0", "bridge"),
        Link(7, "veth1", "veth", master=6, lower=2, lower_elsewhere=True),
        Link(8, "wg0", "wireguard"),
        Link(9, "tun0", "tun"),
        Link(10, "macv0", "macvlan", lower=2),
        Link(11, "gre1", "gre", lower=2),
        Link(12, "ppp0", "pppoe"),
    ]
    decided = parts(links)
    assert {link.name for link in links if decided[link.index].counted} == {"eth0", "eth1"}
    assert all(decided[link.index].reason for link in links)


def test_rule_6_inside_a_container_the_way_out_is_counted():
    links = [Link(1, "lo", "loopback"), Link(2, "eth0", "veth", lower=9, lower_elsewhere=True)]
    assert parts(links)[2].counted


def test_rule_6_the_configuration_overrides_the_rule_by_name():
    links = [Link(1, "lo", "loopback"), Link(2, "eth0"), Link(3, "wg0", "wireguard")]
    decided = parts(links, counted=("wg*",), not_counted=("eth0",))
    assert [decided[n].counted for n in (1, 2, 3)] == [False, False, True]
    assert "configuration" in decided[2].reason


@pytest.mark.parametrize(
    ("damage", "place"),
    [
        ("UPDATE minute SET rx_bytes = rx_bytes + 1", "interface"),
        ("UPDATE interface SET rx_bytes = rx_bytes - 1 WHERE name = 'eth0'", "interface"),
        ("UPDATE epoch SET last_rx_bytes = last_rx_bytes + 1", "epoch"),
    ],
)
def test_rule_7_verify_finds_a_single_byte_that_does_not_add_up_with_its_place(machine, path, damage, place):
    machine.start()
    machine.second(ETH0, count(1000))
    machine.stop()
    assert_verify_agrees(path)
    connection = sqlite3.connect(path)
    connection.execute(damage)
    connection.commit()
    connection.close()
    with LedgerReader(str(path)) as reader:
        found = verify(reader).findings
    assert any(place in str(finding) for finding in found), found
