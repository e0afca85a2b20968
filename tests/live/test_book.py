"""What the live terminal reads in a ledger, and when."""

import os

import pytest
from live.told import BACKUP, FIREFOX, INTERNET, LAN, UTC, use
from support.ledgers import DAY_S, START_S, Ledger, writing

from netusage.ledger.batch import Part
from netusage.live.book import Book
from netusage.live.history import Both
from netusage.live.news import Recorded
from netusage.model import US, Counters
from netusage.settings.schema import InterfaceSettings

NOON_S = START_S + DAY_S // 2


class Clock:
    def __init__(self, now_s):
        self.now_s = now_s

    def __call__(self):
        return self.now_s + 0.5


@pytest.fixture
def clock():
    return Clock(NOON_S)


@pytest.fixture
def book(tmp_path, clock):
    return Book(str(tmp_path / "ledger.db"), UTC, InterfaceSettings(not_counted=("lo",)), clock)


@pytest.fixture
def ledger(tmp_path, clock):
    with writing(tmp_path / "ledger.db", NOON_S) as ledger:
        ledger.tier = "kernel"
        ledger.clock = clock
        yield ledger


def commit(ledger, seconds, epoch, *shares):
    """So much later, a commit of what an interface and applications had."""
    at_s = ledger.now_s + seconds
    for who, scope, rx, tx in shares:
        ledger.count(epoch, at_s, rx, tx, 1, 1)
        ledger.share(Part(at_s // 900 * 900, epoch, who, scope, 6, 4), Counters(rx, tx, 1, 1))
    ledger.commit(at_s)
    ledger.clock.now_s = at_s


def test_where_there_is_no_ledger_nobody_records(book):
    assert book.look() == (Recorded(None), None)
    assert book.look() is None


def test_an_empty_ledger_is_no_trouble(book, ledger):
    recorded, spent = book.look()
    assert (recorded.recorder, recorded.until_us, recorded.trouble) == (os.getpid(), None, "")
    assert spent is None or not spent.more


def test_today_is_what_was_recorded_today(book, ledger):
    eth0, lo = ledger.interface("eth0"), ledger.interface("lo", "loopback")
    ledger.count(eth0, START_S - 60, 7, 7, 1, 1)
    ledger.share(Part(START_S - 900, eth0, FIREFOX, LAN, 6, 4), Counters(7, 7, 1, 1))
    commit(ledger, 10, lo, (BACKUP, 0, 50, 50))
    commit(ledger, 10, eth0, (FIREFOX, INTERNET, 1000, 10), (FIREFOX, LAN, 5, 6))
    recorded, _ = book.look()
    assert recorded == Recorded(
        os.getpid(),
        ledger.now_s * US,
        START_S,
        Both(1005, 16),
        {"eth0": Both(1005, 16), "lo": Both(50, 50)},
        {
            use(FIREFOX, scope=INTERNET): Both(1000, 10),
            use(FIREFOX, scope=LAN): Both(5, 6),
            use(BACKUP, "lo", 0, in_total=False): Both(50, 50),
        },
    )


def test_nothing_is_told_until_somebody_has_written(book, ledger):
    eth0 = ledger.interface("eth0")
    commit(ledger, 10, eth0, (FIREFOX, LAN, 5, 6))
    assert book.look() is not None
    assert book.look() is None
    commit(ledger, 10, eth0, (FIREFOX, LAN, 5, 6))
    assert book.look() is not None
    assert book.look() is None


def test_between_two_commits_is_what_came_and_how_long_it_took(book, ledger):
    eth0 = ledger.interface("eth0")
    commit(ledger, 10, eth0, (FIREFOX, LAN, 500, 600))
    _, first = book.look()
    assert (first.more, first.passed_us, first.tier) == ({}, 0, "kernel")
    commit(ledger, 12, eth0, (FIREFOX, LAN, 5, 6), (BACKUP, LAN, 1, 2))
    _, second = book.look()
    assert second.more == {use(FIREFOX, scope=LAN): Both(5, 6), use(BACKUP, scope=LAN): Both(1, 2)}
    assert second.passed_us == 12 * US


def test_what_interfaces_counted_is_told_of_the_same_stretch(book, ledger):
    eth0, lo = ledger.interface("eth0"), ledger.interface("lo", "loopback")
    commit(ledger, 10, eth0, (FIREFOX, LAN, 500, 600))
    book.look()
    ledger.count(eth0, ledger.now_s, 1000, 7, 1, 1)
    commit(ledger, 10, lo, (BACKUP, 0, 50, 50))
    _, spent = book.look()
    assert spent.counted == {"eth0": Both(1000, 7), "lo": Both(50, 50)}
    assert spent.total == Both(1000, 7)


def test_an_interface_that_comes_into_the_total_brings_nothing_of_what_it_had_before(book, ledger):
    eth0 = ledger.interface("eth0", counted=False)
    commit(ledger, 10, eth0, (FIREFOX, LAN, 500, 600))
    assert book.look()[0].total == Both()
    eth0.counted = eth0.restated = True
    commit(ledger, 10, eth0, (FIREFOX, LAN, 5, 6))
    recorded, spent = book.look()
    assert recorded.total == Both(505, 606)
    assert recorded.applications == {use(FIREFOX, scope=LAN): Both(505, 606)}
    assert (spent.more, spent.total) == ({use(FIREFOX, scope=LAN): Both(5, 6)}, Both(5, 6))


def test_at_midnight_nothing_is_missed_and_today_begins_anew(book, ledger):
    eth0 = ledger.interface("eth0")
    commit(ledger, DAY_S // 2 - 5, eth0, (FIREFOX, LAN, 500, 600))
    assert book.look()[0].total == Both(500, 600)
    ledger.share(Part(START_S + DAY_S - 900, eth0, FIREFOX, LAN, 6, 4), Counters(3, 0, 1, 0))
    ledger.count(eth0, START_S + DAY_S - 60, 3, 0, 1, 0)
    commit(ledger, 10, eth0, (FIREFOX, LAN, 70, 80))
    recorded, spent = book.look()
    assert recorded.today_s == START_S + DAY_S
    assert recorded.total == Both(70, 80)
    assert recorded.applications == {use(FIREFOX, scope=LAN): Both(70, 80)}
    assert spent.more == {use(FIREFOX, scope=LAN): Both(73, 80)}
    assert spent.total == Both(73, 80)
    assert spent.passed_us == 10 * US


def test_a_day_that_ends_without_a_commit_ends_all_the_same(book, ledger, clock):
    eth0 = ledger.interface("eth0")
    commit(ledger, 10, eth0, (FIREFOX, LAN, 500, 600))
    book.look()
    clock.now_s += DAY_S
    recorded, spent = book.look()
    assert (recorded.total, recorded.applications) == (Both(), {})
    assert spent is None


def test_the_first_commit_of_the_next_recorder_is_where_counting_begins(book, tmp_path, clock):
    path = tmp_path / "ledger.db"
    with writing(path, NOON_S) as ledger:
        ledger.clock, ledger.tier = clock, "kernel"
        commit(ledger, 10, ledger.interface("eth0"), (FIREFOX, LAN, 5, 6))
        book.look()
    recorded, spent = book.look()
    assert (recorded.recorder, recorded.total, spent) == (None, Both(5, 6), None)
    ledger = Ledger(path, NOON_S + 60)
    ledger.clock, ledger.tier = clock, "sockets"
    try:
        eth0 = ledger.interface("eth0")
        commit(ledger, 1, eth0, (FIREFOX, LAN, 1000, 1000))  # what came meanwhile
        recorded, spent = book.look()
        assert recorded.total == Both(1005, 1006)
        assert (spent.more, spent.passed_us, spent.tier) == ({}, 0, "sockets")
        commit(ledger, 10, eth0, (FIREFOX, LAN, 7, 7))
        assert book.look()[1].more == {use(FIREFOX, scope=LAN): Both(7, 7)}
    finally:
        ledger.close()


def test_a_ledger_that_cannot_be_read_is_told_and_looked_at_again(book, tmp_path):
    path = tmp_path / "ledger.db"
    path.write_bytes(b"this is no ledger at all" * 100)
    for _ in range(2):
        recorded, spent = book.look()
        assert recorded.trouble
        assert spent is None
    path.unlink()
    assert book.look()[0].trouble == ""


def test_what_was_read_of_quarters_that_are_over_is_added_to_the_running_one(book, ledger):
    eth0 = ledger.interface("eth0")
    for seconds in (10, 890, 900, 10, 890):
        commit(ledger, seconds, eth0, (FIREFOX, LAN, 5, 6), (BACKUP, INTERNET, 1, 0))
        recorded, spent = book.look()
        assert recorded.applications[use(FIREFOX, scope=LAN)].rx == recorded.total.rx * 5 // 6
        assert not spent.passed_us or spent.more[use(FIREFOX, scope=LAN)] == Both(5, 6)
    assert recorded.applications[use(FIREFOX, scope=LAN)] == Both(25, 30)
