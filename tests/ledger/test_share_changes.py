"""Change numbers of what applications had: given when a quarter is sealed, and anew when something is added to it."""

import sqlite3
from contextlib import closing

import pytest
from recorder.audit import assert_sound
from support import book
from support.ledgers import DAY_S, START_S, writing

from netusage.ledger import hosts, schema
from netusage.ledger.batch import Part
from netusage.ledger.reader import LedgerReader
from netusage.ledger.repair import repair
from netusage.ledger.verify import verify
from netusage.model import QUARTER_S, US, Counters, Who


@pytest.fixture
def path(tmp_path):
    return tmp_path / "ledger.db"


def share(ledger, quarter, epoch, name="app", rx=100):
    part = Part(START_S + quarter * QUARTER_S, epoch, Who("application", name), 3, 6, 4)
    ledger.share(part, Counters(rx, 1, 1, 1))


def numbers(path):
    """The numbers of quarters, by the quarter since the start."""
    found = book.rows(path, "SELECT start_s, change FROM share_change ORDER BY start_s")
    return {(row[0] - START_S) // QUARTER_S: row[1] for row in found}


def last(path):
    return book.rows(path, "SELECT change FROM ledger")[0][0]


def at(quarter):
    return START_S + quarter * QUARTER_S


def test_a_quarter_has_a_number_when_it_is_sealed_and_not_before(path):
    with writing(path) as ledger:
        eth0 = ledger.interface("eth0")
        for quarter in range(3):
            share(ledger, quarter, eth0)
            for more in (10, 20):
                ledger.commit(at(quarter) + more)
            assert numbers(path).keys() == set(range(quarter))
        ledger.commit(at(3))
        assert list(numbers(path).values()) == sorted(numbers(path).values())
        ledger.commit(at(7))  # without any
    assert numbers(path).keys() == {0, 1, 2}
    assert_sound(path)


def test_many_quarters_at_once_are_numbered_in_their_order(path):
    with writing(path) as ledger:
        eth0 = ledger.interface("eth0")
        for quarter in (4, 0, 2):
            share(ledger, quarter, eth0)
            ledger.count(eth0, at(quarter), 1, 1, 1, 1)
        ledger.commit(at(6))
    assert numbers(path) == {0: 2, 2: 3, 4: 4}  # after the chunk's
    assert_sound(path)


def test_what_is_added_to_a_sealed_quarter_gives_it_another_number(path):
    with writing(path) as ledger:
        eth0 = ledger.interface("eth0")
        for quarter in (0, 1):
            share(ledger, quarter, eth0)
        ledger.commit(at(3))
        before = last(path)
        share(ledger, 0, eth0, rx=1)
        share(ledger, 2, eth0, rx=1)
        share(ledger, 3, eth0, rx=1)  # this one is not sealed yet
        ledger.commit(at(3) + 10)
        assert numbers(path) == {1: 2, 0: before + 1, 2: before + 2}
        ledger.commit(at(3) + 20)
        assert last(path) == before + 2
        ledger.commit(at(4))
    assert numbers(path)[3] == before + 3
    assert_sound(path)


def test_a_commit_that_seals_nothing_touches_no_number(path):
    statements = []
    with writing(path) as ledger:
        eth0 = ledger.interface("eth0")
        share(ledger, 0, eth0)
        ledger.commit(at(0) + 5)
        ledger.writer._connection.set_trace_callback(statements.append)
        share(ledger, 0, eth0)
        ledger.count(eth0, at(0), 1, 1, 1, 1)
        ledger.commit(at(0) + 10)
    assert statements
    assert not [one for one in statements if "share_change" in one]


def test_a_day_has_the_number_of_its_last_quarter_and_another_one_when_it_is_written_again(path):
    with writing(path, quarters_kept_s=2 * DAY_S) as ledger:
        eth0 = ledger.interface("eth0")
        for quarter in (3, 9):
            share(ledger, quarter, eth0)
            ledger.commit(at(quarter + 1))
        was = numbers(path)[9]
        ledger.commit(START_S + 3 * DAY_S + 1)
        assert numbers(path) == {0: was}
        share(ledger, 5, eth0)
        ledger.commit(START_S + 3 * DAY_S + 10)
        late = numbers(path)[5]
        ledger.commit(START_S + 3 * DAY_S + QUARTER_S)
        assert numbers(path).keys() == {0}
        assert numbers(path)[0] > late
    assert_sound(path)


@pytest.mark.parametrize(
    "damage",
    [
        "DELETE FROM share_change WHERE start_s = (SELECT min(start_s) FROM share_change)",
        "INSERT INTO share_change VALUES (0, 99)",
        "UPDATE share_change SET change = (SELECT min(change) FROM chunk)",
        "UPDATE share_change SET change = 1000000",
        "UPDATE share_change SET start_s = start_s + 900000000",
    ],
)
def test_a_number_that_is_missing_wrong_or_not_its_own_is_found_and_repaired(path, damage):
    with writing(path) as ledger:
        eth0 = ledger.interface("eth0")
        share(ledger, 0, eth0)
        ledger.count(eth0, at(0), 1, 1, 1, 1)
        ledger.commit(at(2), ended="stopped")
    assert_sound(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute(damage)
    with LedgerReader(str(path)) as reader:
        assert {one.table for one in verify(reader).findings} <= {"share", "chunk"}
        assert verify(reader).findings
    repair(str(path), now_us=at(5) * US, boot_id="boot-1", agree=lambda _: True)
    assert_sound(path)


def as_of_schema_8(path):
    """Make a ledger what it was before there were these numbers."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        tables = [row[0] for row in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        for table in tables:
            if table.endswith("share_change"):
                db.execute(f"DROP TABLE {table}")
        db.execute("DELETE FROM migration WHERE version > 8")
        db.execute("UPDATE ledger SET change = (SELECT max(change) FROM chunk)")
        db.execute("PRAGMA user_version = 8")


def test_a_ledger_without_numbers_is_given_them_and_so_are_its_hosts(path, tmp_path):
    other = tmp_path / "other.db"
    for one in (path, other):
        with writing(one) as ledger:
            eth0 = ledger.interface("eth0")
            for quarter in (0, 3, 4):
                share(ledger, quarter, eth0)
                ledger.count(eth0, at(quarter), 1, 1, 1, 1)
            ledger.commit(at(4) + 10)
    hosts.merge(str(path), str(other), "laptop", now_us=at(9) * US)
    as_of_schema_8(path)
    with writing(path, at(4) + 20) as ledger:
        ledger.commit(at(4) + 30)
    assert schema.VERSION >= 9
    assert numbers(path) == {0: 2, 3: 3}  # the last one runs
    assert last(path) == 3
    assert_sound(path)
    with LedgerReader(str(path), host="laptop") as reader:
        assert not verify(reader).findings
        with reader.reading() as connection:
            assert connection.execute("SELECT count(*) FROM share_change").fetchone() == (2,)


def test_a_merged_ledger_keeps_its_numbers(path, tmp_path):
    other = tmp_path / "other.db"
    with writing(other) as ledger:
        share(ledger, 0, ledger.interface("eth0"))
        ledger.commit(at(2))
    hosts.merge(str(path), str(other), "laptop", now_us=at(9) * US)
    with LedgerReader(str(path), host="laptop") as reader, reader.reading() as connection:
        assert connection.execute("SELECT start_s, change FROM share_change").fetchall() == [(at(0), 1)]
