"""When deliveries are made: in a host's own slot, again after a failure, at once when asked; and how they end."""

import random
import threading
from collections import Counter

import pytest
from support.ledgers import START_S, writing
from support.patience import LONG, until

from netusage.errors import ConfigError, FleetError, LedgerHeldError
from netusage.fleet import ship
from netusage.fleet.ship import ShipOptions, Shipper, retry_ns, ship_once, slot_ns
from netusage.ledger import ship_journal
from netusage.model import NS, US, Instant
from netusage.recorder.waiting import Bell
from netusage.settings.schema import FleetSettings, Settings

HOUR_NS = 3600 * NS
SETTINGS = Settings(fleet=FleetSettings(url="http://fleet:8123"))


class StandingClock:
    """A clock that stands still until it is moved."""

    def __init__(self):
        self.at_ns = 0
        self.set_us = START_S * US  # moves only what the clock on the wall says

    def now(self):
        return Instant(self.at_ns, self.at_ns, self.set_us + self.at_ns // 1000)


class Down:
    """A way to a store that is down, or keeps one waiting."""

    def __init__(self):
        self.asked = 0
        self.held = threading.Event()
        self.held.set()

    def __call__(self, settings):
        self.asked += 1
        self.held.wait(LONG)
        raise FleetError(f"cannot reach {settings.url}")


@pytest.fixture
def path(tmp_path):
    with writing(tmp_path / "ledger.db") as ledger:
        ledger.interface("eth0")
        ledger.commit(START_S + 10)
    return str(tmp_path / "ledger.db")


class Desk:
    """A shipper with a clock of its own."""

    def __init__(self, path, settings=SETTINGS):
        self.clock, self.said, self.store = StandingClock(), [], Down()
        self.settings = settings
        self.bell = Bell()
        options = ShipOptions(settings, lambda: self.settings, path, self.said.append, opened=self.store)
        self.shipper = Shipper(options, self.clock, self.bell, random.Random(1))

    def turn(self):
        """Turn, and let a delivery that was begun come to its end; when it is due again."""
        due_ns = self.shipper.turn()
        if self.shipper.is_sending:
            until(lambda: self.shipper._running.is_over, "the end of a delivery")
            due_ns = self.shipper.turn()
        return due_ns


@pytest.fixture
def desk(path):
    made = Desk(path)
    yield made
    made.store.held.set()
    made.shipper.end(LONG)
    made.bell.__exit__(None, None, None)


def test_the_first_delivery_comes_within_a_sixtieth_of_the_interval(desk):
    due_ns = desk.turn()
    assert 0 <= due_ns <= HOUR_NS // 60
    assert not desk.store.asked
    desk.clock.at_ns = due_ns
    desk.turn()
    assert desk.store.asked == 1


def test_after_failures_it_waits_longer_each_time_up_to_the_interval_and_says_it_once(desk, path):
    waits, due_ns = [], desk.turn()
    for _ in range(15):
        desk.clock.at_ns = due_ns
        due_ns = desk.turn()
        waits.append(due_ns - desk.clock.at_ns)
    assert all(0.5 * 5 * NS * 2**n <= wait <= 5 * NS * 2**n for n, wait in enumerate(waits[:9]))
    assert all(HOUR_NS // 2 <= wait <= HOUR_NS for wait in waits[10:])
    assert desk.store.asked == 15
    assert desk.said == ["not delivered: cannot reach http://fleet:8123; it is tried again"]


def test_a_trouble_is_said_once_though_its_words_have_other_numbers_and_names_each_time(desk, monkeypatch):
    asked = iter(range(100))

    def full(*_):
        n = next(asked)
        why = f"Cannot write to file /var/data/tmp_insert_{n}/rx.bin" if n < 5 else "Too many parts (301)"
        raise FleetError(f"the store refused: {why} (code {n})")

    monkeypatch.setattr(ship, "_deliver", full)
    due_ns = desk.turn()
    for _ in range(10):
        desk.clock.at_ns = due_ns
        due_ns = desk.turn()
    assert [said.partition(" (code")[0] for said in desk.said] == [
        "not delivered: the store refused: Cannot write to file /var/data/tmp_insert_0/rx.bin",
        "not delivered: the store refused: Too many parts (301)",
    ]


@pytest.mark.parametrize("step_s", [20 * 365 * 86_400, -20 * 365 * 86_400, 7200, -61])
def test_a_clock_that_is_set_puts_off_no_delivery(desk, step_s):
    due_ns = desk.turn()
    for _ in range(5):
        desk.clock.set_us += step_s * US
        assert desk.shipper.turn() == due_ns
        desk.clock.at_ns = due_ns
        due_ns = desk.turn()
        assert 0 < due_ns - desk.clock.at_ns <= HOUR_NS


def test_a_reload_delivers_at_once_to_where_the_configuration_says_now(desk):
    desk.clock.at_ns = desk.turn()
    desk.turn()
    desk.settings = Settings(fleet=FleetSettings(url="http://other:8123"))
    desk.shipper.reload()
    desk.turn()
    assert desk.store.asked == 2
    assert "http://other:8123" in desk.said[-1]


def test_a_reload_without_a_fleet_changes_nothing(desk):
    due_ns = desk.turn()
    desk.settings = Settings()
    desk.shipper.reload()
    assert desk.turn() == due_ns
    assert "keeping the present fleet" in desk.said[0]


def test_a_store_that_keeps_one_waiting_delays_nobody_and_no_second_delivery_is_begun(desk):
    desk.store.held.clear()
    desk.clock.at_ns = desk.turn()
    for _ in range(3):
        assert desk.shipper.turn() > desk.clock.at_ns
        desk.clock.at_ns += 10 * HOUR_NS
    assert desk.store.asked == 1
    desk.shipper.end(0)
    assert desk.shipper.is_sending  # nobody waits for it any longer


def test_a_ledger_without_anything_in_it_is_no_trouble_worth_a_word(tmp_path):
    with Bell() as bell:
        said = []

        class Store:
            def __enter__(self):
                return self

            def __exit__(self, *_):
                pass

        options = ShipOptions(
            SETTINGS, lambda: SETTINGS, str(tmp_path / "none.db"), said.append, opened=lambda _: Store()
        )
        clock = StandingClock()
        shipper = Shipper(options, clock, bell, random.Random(1))
        clock.at_ns = shipper.turn()
        shipper.turn()
        until(lambda: shipper._running.is_over, "the end of a delivery")
        assert shipper.turn() - clock.at_ns <= 5 * NS
        assert said == []


def test_what_is_no_failure_of_a_fleet_ends_the_process(desk, monkeypatch):
    monkeypatch.setattr(ship, "_deliver", lambda *_: 1 / 0)
    desk.clock.at_ns = desk.turn()
    with pytest.raises(ZeroDivisionError):
        desk.turn()


def test_hosts_have_slots_all_over_the_interval_and_keep_them():
    dice = random.Random(2)
    sixths = Counter()
    for host in range(600):
        for now_s in (0, 1000, 86_399):
            wait_ns = slot_ns(f"host-{host}", now_s * US, HOUR_NS, dice)
            assert HOUR_NS // 2 <= wait_ns <= HOUR_NS * 3 // 2 + HOUR_NS // 50
        first = slot_ns(f"host-{host}", 0, HOUR_NS, dice)
        sixths[first % HOUR_NS * 6 // HOUR_NS] += 1
        there_us = first // 1000
        again = slot_ns(f"host-{host}", there_us, HOUR_NS, dice)
        assert abs(again - HOUR_NS) <= HOUR_NS // 50
    assert min(sixths.values()) > 60


def test_waits_after_failures_are_bounded_for_any_number_of_them():
    dice = random.Random(3)
    for failures in (0, 1, 5, 100, 10**6):
        assert 0 < retry_ns(failures, HOUR_NS, dice) <= HOUR_NS


def test_one_delivery_by_hand_needs_a_fleet_and_nobody_who_delivers(path):
    def options(settings):
        return ShipOptions(settings, lambda: settings, path, print, opened=Down())

    with pytest.raises(ConfigError, match="names no fleet"):
        ship_once(options(Settings()))
    held = ship_journal.hold(path, 1)
    try:
        with pytest.raises(LedgerHeldError, match=r"delivered already \(process \d+\)"):
            ship_once(options(SETTINGS))
    finally:
        held.release()
    with pytest.raises(FleetError, match="cannot reach"):
        ship_once(options(SETTINGS))
