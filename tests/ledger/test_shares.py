"""What applications had of an interface's bytes, in the ledger: written with them, added up, kept by repair."""

import contextlib
import sqlite3

import pytest
from recorder.audit import assert_sound
from support.ledgers import START_S, writing

from netusage.errors import LedgerError
from netusage.ledger.batch import Counted, Part
from netusage.ledger.reader import LedgerReader
from netusage.ledger.repair import repair
from netusage.ledger.verify import verify
from netusage.model import QUARTER_S, US, Counters, Who

APP = Who("application", "app.py", "/srv/app.py", "eva", "web.service")
KERNEL = Who("kernel")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "ledger.db"


def fill(path):
    """Two applications at two interfaces in three quarters; returns what went in, by quarter and interface."""
    expected = {}
    with writing(path) as ledger:
        epochs = {name: ledger.interface(name) for name in ("eth0", "wlan0")}
        for quarter in range(3):
            for n, (name, epoch) in enumerate(epochs.items(), start=1):
                for scope, who in enumerate((APP, KERNEL)):
                    counters = Counters(100 * n + quarter, 10 * n, 2, 1)
                    ledger.share(Part(START_S + quarter * QUARTER_S, epoch, who, scope, 6, 4), counters)
                    expected[quarter, name, who] = counters
                ledger.count(epoch, START_S + quarter * QUARTER_S, 1000, 1000, 20, 20)
            ledger.commit(START_S + (quarter + 1) * QUARTER_S)
    return expected


def told(path, first, last):
    """What is told of the quarters from the first up to the last, by interface and application."""
    with LedgerReader(str(path)) as reader:
        names = {one.id: one.name for one in reader.interfaces()}
        rows = reader.shares(START_S + first * QUARTER_S, START_S + last * QUARTER_S)
    return {(names[row.interface_id], row.who): row.counters for row in rows}


def test_what_was_written_is_told_and_added_up_over_quarters(path):
    expected = fill(path)
    for first, last in ((0, 1), (1, 3), (0, 3), (3, 9)):
        sums = {}
        for (quarter, name, who), counters in expected.items():
            if first <= quarter < last:
                sums[name, who] = sums.get((name, who), Counters()).plus(counters)
        assert told(path, first, last) == sums
    assert_sound(path)


def test_more_of_the_same_is_added(path):
    with writing(path) as ledger:
        part = Part(START_S, ledger.interface("eth0"), APP, 1, 6, 4)
        for _ in range(3):
            ledger.share(part, Counters(5, 6, 7, 8))
            ledger.commit(ledger.now_s + 10)
    assert told(path, 0, 1) == {("eth0", APP): Counters(15, 18, 21, 24)}


def test_a_commit_that_fails_writes_nothing_of_it(path):
    with writing(path) as ledger:
        epoch = ledger.interface("eth0")
        ledger.share(Part(START_S, epoch, APP, 1, 6, 4), Counters(-(2**63) - 1, 0, 0, 0))
        with pytest.raises(LedgerError, match="beyond 2\\^63"):
            ledger.commit(START_S + 10)
        ledger.again()
        ledger.commit(START_S + 20)
    assert told(path, 0, 1) == {}
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        assert connection.execute("SELECT count(*) FROM application").fetchone() == (0,)


def damage(path, *statements):
    connection = sqlite3.connect(path, isolation_level=None)
    for statement in statements:
        assert connection.execute(statement).rowcount
    connection.close()


def test_a_negative_number_is_found(path):
    fill(path)
    damage(path, f"UPDATE share SET rx_bytes = -1 WHERE start_s = {START_S}")
    with LedgerReader(str(path)) as reader:
        assert {finding.table for finding in verify(reader).findings} == {"share"}


def test_repair_keeps_them_and_gives_a_lost_application_a_stand_in(path):
    fill(path)
    before = told(path, 0, 9)
    damage(
        path, "UPDATE interface SET rx_bytes = rx_bytes + 1", "DELETE FROM application WHERE kind = 'kernel'"
    )
    path.with_name("ledger.db.lock").touch()
    found = repair(
        str(path), now_us=(START_S + 9 * QUARTER_S) * US, boot_id="boot-1", agree=lambda _found: True
    )
    assert "1 rows of application stand in for lost ones" in found.notes
    assert found.saved["share"] == 12
    after = told(path, 0, 9)
    assert {key: counters for key, counters in after.items() if key[1] == APP} == {
        key: counters for key, counters in before.items() if key[1] == APP
    }
    lost = [counters for (_, who), counters in after.items() if who.kind == "unnamed"]
    assert sorted(lost) == sorted(counters for (_, who), counters in before.items() if who == KERNEL)
    assert_sound(path)


def test_how_far_counters_are_in_the_book_is_remembered_with_their_owners(path):
    key, count = ((1 << 64) - 5, 4026531840, 2, 3, 6, 4), (1, 2, 3, 4, 5, 6, 7, 8)
    with writing(path) as ledger:
        ledger.interface("eth0")
        ledger.counters_are_at(
            Counted(7, True, {key: (1,) * 8, (0, *key[1:]): count}, {key[0]: APP, 0: KERNEL})
        )
        ledger.commit(ledger.now_s + 10)
        ledger.counters_are_at(Counted(7, False, {key: count}, {}))
        ledger.commit(ledger.now_s + 10)
    with writing(path, START_S + 100) as ledger:
        found = ledger.writer.remember().counted
        assert found == Counted(7, True, {key: count, (0, *key[1:]): count}, {key[0]: APP, 0: KERNEL})
        ledger.counters_are_at(Counted(8, True, {key: count}, {}))
        ledger.commit(ledger.now_s + 10)
        assert ledger.writer.remember().counted == Counted(8, True, {key: count}, {})


def test_a_repaired_ledger_knows_no_counters_since_some_of_them_may_be_lost(path):
    with writing(path) as ledger:
        ledger.interface("eth0")
        ledger.counters_are_at(Counted(7, True, {(0, 1, 2, 3, 4, 5): (1,) * 8}, {}))
        ledger.commit(ledger.now_s + 10)
    damage(path, "UPDATE interface SET rx_bytes = rx_bytes + 1")
    repair(str(path), now_us=(START_S + 50) * US, boot_id="boot-1", agree=lambda _: True)
    with writing(path, START_S + 100) as ledger:
        assert ledger.writer.remember().counted is None


def test_executables_of_an_application_are_versions_of_it(path):
    with writing(path) as ledger:
        epoch = ledger.interface("eth0")
        for inode in (10, 11):
            ledger.share(Part(START_S, epoch, APP, 1, 6, 4), Counters(1, 1, 1, 1))
            ledger.version(APP, 8, inode)
            ledger.commit(ledger.now_s + 10)
    with LedgerReader(str(path)) as reader:
        assert [(one.who, one.device, one.inode) for one in reader.versions()] == [(APP, 8, 10), (APP, 8, 11)]
        assert [one.last_seen_us - one.first_seen_us for one in reader.versions()] == [0, 0]
