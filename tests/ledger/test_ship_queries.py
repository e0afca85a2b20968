"""What was written since a change number, told whole and in order; and which ledger it is."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from support.ledgers import DAY_S, START_S, writing

from netusage.errors import LedgerCorruptError
from netusage.ledger import chunks, ship_queries
from netusage.ledger.batch import Part
from netusage.ledger.reader import LedgerReader
from netusage.ledger.repair import repair
from netusage.model import QUARTER_S, US, Counters, GapKind, Who

APP = Who("application", "web", "/usr/bin/web", "eva", "web.service", "shop", "pod-1")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "ledger.db"


def at(quarter):
    return START_S + quarter * QUARTER_S


def told(path, above=0):
    with LedgerReader(str(path)) as reader:
        return list(ship_queries.statements(reader, above))


def line(path):
    with LedgerReader(str(path)) as reader:
        return ship_queries.line(reader)


def goes_on(path, known):
    with LedgerReader(str(path)) as reader:
        return ship_queries.goes_on(reader, known)


def share(ledger, quarter, epoch, rx=100, who=APP):
    ledger.share(Part(at(quarter), epoch, who, 3, 17, 6), Counters(rx, 2, 3, 4))


def test_everything_is_told_once_by_its_number_and_only_what_is_above_it_later(path):
    with writing(path) as ledger:
        eth0 = ledger.interface("eth0")
        ledger.count(eth0, at(0), 1, 2, 3, 4, peak_rx=5, peak_tx=6)
        ledger.count(eth0, at(2), 10, 0, 0, 0)  # and nothing in between
        ledger.span(eth0, at(0) * US, at(1) * US, 7, 8, 9, 10)
        share(ledger, 2, eth0)
        ledger.commit(at(3))
        first = told(path)
        span, chunk, shares = first
        assert [one.change for one in first] == [1, 2, 3]
        assert chunk.quarters == ((at(0), 1, 2, 3, 4, 5, 6), (at(2), 10, 0, 0, 0, 0, 0))
        assert (span.span.number, span.span.counters, span.span.kind) == (1, Counters(7, 8, 9, 10), "stopped")
        ((row,), start_s, end_s) = shares.shares, shares.start_s, shares.end_s
        assert (start_s, end_s) == (at(2), at(3))
        assert (row.who, row.scope, row.protocol, row.family) == (APP, 3, 17, 6)
        assert row.counters == Counters(100, 2, 3, 4)
        assert [one.size for one in first] == [1, 2, 1]
        assert told(path, 3) == []
        ledger.count(eth0, at(3), 1, 1, 1, 1)
        ledger.commit(at(3) + 10)
        assert told(path, 3) == []  # it is not sealed
        share(ledger, 2, eth0, rx=5)
        ledger.commit(at(4))
        late, chunk = told(path, 3)
    assert late.shares[0].counters == Counters(105, 4, 6, 8)
    assert [quarter[0] for quarter in chunk.quarters] == [at(0), at(2), at(3)]


def test_days_are_told_as_long_as_they_are_and_quarters_in_them_are_known(path):
    with writing(path, quarters_kept_s=2 * DAY_S) as ledger:
        eth0 = ledger.interface("eth0")
        share(ledger, 5, eth0)
        ledger.commit(at(6))
        ledger.commit(START_S + 3 * DAY_S + 1)
        (day,) = told(path)
        assert (day.start_s, day.end_s) == (START_S, START_S + DAY_S)
        for quarter in (5, 96):
            share(ledger, quarter, eth0)
        ledger.commit(START_S + 3 * DAY_S + 10)
        with LedgerReader(str(path)) as reader:
            assert ship_queries.is_in_a_day(reader, at(5))
            assert not ship_queries.is_in_a_day(reader, at(96))


def test_many_changes_are_told_as_one_sequence_in_several_looks(path, monkeypatch):
    monkeypatch.setattr(ship_queries, "_AT_ONCE", 3)
    with writing(path) as ledger:
        eth0 = ledger.interface("eth0")
        for quarter in range(10):
            ledger.count(eth0, at(quarter), 1)
            share(ledger, quarter, eth0)
        ledger.commit(at(11))
    numbers = [one.change for one in told(path)]
    assert numbers == sorted(set(numbers))
    assert len(numbers) == 11
    assert [one.change for one in told(path, numbers[4])] == numbers[5:]


def test_what_applications_had_is_added_up_by_stretches_up_to_a_change_number(path):
    other, large = APP._replace(name="other", user="adam"), (1 << 63) - 1
    with writing(path) as ledger:
        eth0 = ledger.interface("eth0")
        for quarter, who, rx in ((0, APP, 5), (1, APP, 7), (2, other, large), (3, other, large), (4, APP, 1)):
            share(ledger, quarter, eth0, rx=rx, who=who)
        ledger.commit(at(6))
    with LedgerReader(str(path)) as reader:
        numbers = {one.start_s: one.change for one in ship_queries.statements(reader, 0)}

        def sums(until, change):
            rows = ship_queries.share_sums(reader, at(0), at(until), change)
            return {row.who.name: row.counters for row in rows}

        assert sums(5, numbers[at(4)]) == {
            "web": Counters(13, 6, 9, 12),
            "other": Counters(2 * large, 4, 6, 8),  # more than a ledger could say of one thing
        }
        assert sums(5, numbers[at(1)]) == {"web": Counters(12, 4, 6, 8)}
        assert sums(1, numbers[at(4)]) == {"web": Counters(5, 2, 3, 4)}


def test_what_has_lost_names_or_quarters_is_known_as_folded(path):
    def day_of(at_s):
        return at_s // DAY_S * DAY_S - 3600, at_s // DAY_S * DAY_S + DAY_S - 3600

    options = {"quarters_kept_s": 3 * DAY_S, "other_below_ppm": 100_000, "day_of": day_of}
    with writing(path, **options) as ledger:
        eth0 = ledger.interface("eth0")

        def folded():
            with LedgerReader(str(path)) as reader:
                days = range(START_S - DAY_S, START_S + 4 * DAY_S, DAY_S)
                return [ship_queries.is_folded(reader, day_s, day_s + DAY_S) for day_s in days]

        for day in range(4):
            share(ledger, day * 96 + 5, eth0, rx=10**6)
            share(ledger, day * 96 + 5, eth0, rx=1, who=APP._replace(name="tiny"))
        ledger.commit(START_S + 3600)
        assert not any(folded())
        ledger.commit(START_S + 2 * DAY_S + 60)  # small applications of two days have become "other"
        assert folded() == [False, True, True, False, False]
        ledger.commit(START_S + 3 * DAY_S + DAY_S)  # and one a day that begins an hour before midnight
        assert folded()[:2] == [True, True]


def test_quarters_of_an_interface_are_told_by_stretches(path):
    with writing(path) as ledger:
        eth0 = ledger.interface("eth0")
        for quarter in (0, 1, 95, 96):
            ledger.count(eth0, at(quarter), 1 + quarter)
            ledger.commit(at(quarter + 1))
    with LedgerReader(str(path)) as reader:
        found = ship_queries.quarters(reader, 1, at(1), at(96))
    assert [(start_s, rx) for start_s, rx, *_ in found] == [(at(1), 2), (at(95), 96)]


def test_the_extent_is_that_of_what_is_told_without_idle_quarters(path):
    def extent():
        with LedgerReader(str(path)) as reader:
            return ship_queries.extent(reader)

    def idle(*starts):
        with closing(sqlite3.connect(path)) as connection, connection:
            for chunk in chunks.load(connection, "", ()):
                for at_s in starts:
                    if chunk.start_s <= at_s < chunk.end_s:
                        chunk.put((at_s, *[0] * 6))
                        chunk.save(connection)

    month = 30 * 96
    with writing(path) as ledger:
        eth0, wlan0 = ledger.interface("eth0"), ledger.interface("wlan0", "wlan")
        assert extent() is None
        for epoch, quarter in (
            *((eth0, 2), (wlan0, 3), (eth0, month), (wlan0, month + 7)),
            *((eth0, 3 * month), (wlan0, 3 * month + 1)),
        ):
            ledger.count(epoch, at(quarter), 1)
            ledger.commit(at(quarter + 1))
        assert extent() == (at(2), at(3 * month + 2))
        idle(at(2), at(3 * month + 1))
        assert extent() == (at(3), at(3 * month + 1))
        idle(at(3), at(3 * month))
        assert extent() == (at(month), at(month + 8))
        now_us = at(3 * month + 2) * US
        ledger.span(eth0, at(month) * US - 1, now_us + 1, 1)
        ledger.commit(at(3 * month + 5))
        assert extent() == (at(month - 1), at(3 * month + 3))


def test_a_later_state_goes_on_and_an_earlier_one_another_one_or_a_repaired_one_does_not(path, tmp_path):
    with writing(path) as ledger:
        ledger.count(ledger.interface("eth0"), at(0), 1, 1, 1, 1)
        ledger.commit(at(1))
        early = line(path)
        with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(tmp_path / "b.db")) as copy:
            source.backup(copy)
        ledger.commit(at(2))
        later = line(path)
    with writing(path, at(3)) as ledger:
        ledger.commit(at(4))
    newest = line(path)
    assert goes_on(path, early)
    assert goes_on(path, later)
    assert goes_on(path, newest)
    assert not goes_on(path, newest._replace(identity="another"))
    backup = tmp_path / "b.db"
    assert goes_on(backup, early)
    assert not goes_on(backup, later)
    with writing(backup, at(5)) as ledger:  # its new run has the number of one that is gone
        ledger.commit(at(6))
    assert line(backup).run == newest.run
    assert goes_on(backup, early)
    assert not goes_on(backup, later)
    assert not goes_on(backup, newest)
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("UPDATE run SET ended = 'stopped'")
        db.execute("UPDATE interface SET rx_bytes = 77")
    repair(str(path), now_us=at(9) * US, boot_id="boot-1", agree=lambda _: True)
    assert line(path).identity == newest.identity
    assert not goes_on(path, newest)


def test_the_machine_is_the_first_one_wherever_the_disk_goes(path):
    for n, machine in enumerate(("first", "second")):
        with writing(path, at(n), machine=machine) as ledger:
            ledger.commit(at(n) + 10)
        with LedgerReader(str(path)) as reader:
            assert ship_queries.machine(reader) == "first"
    Path(path).unlink()
    with writing(path, machine="") as ledger:
        ledger.commit(at(0) + 10)
    with LedgerReader(str(path)) as reader:
        assert ship_queries.machine(reader) == ""


def test_gaps_are_told_by_their_numbers(path):
    with writing(path) as ledger:
        for n in range(3):
            ledger.gap(at(n), at(n) + 10, GapKind.STOPPED, lossy=n == 1, interface=f"eth{n}", note="n\n")
        ledger.commit(at(4))
    with LedgerReader(str(path)) as reader:
        found = list(ship_queries.gaps_above(reader, 1))
    assert [(number, gap.interface, gap.lossy) for number, gap in found] == [
        (2, "eth1", True),
        (3, "eth2", False),
    ]


def test_a_number_that_nothing_can_have_counted_is_told_to_nobody(path):
    with writing(path) as ledger:
        share(ledger, 0, ledger.interface("eth0"))
        ledger.commit(at(1))
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("UPDATE share SET rx_bytes = -1")
    with pytest.raises(LedgerCorruptError, match="nothing can have counted"):
        told(path)
