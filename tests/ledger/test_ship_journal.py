"""How far a ledger was delivered: remembered, set back, and begun anew where it cannot be read."""

import sqlite3
from contextlib import closing

import pytest

from netusage.errors import LedgerHeldError, LedgerNewerError
from netusage.ledger import ship_journal
from netusage.ledger.ship_journal import Progress, ShipJournal, rewind, shipped, states
from netusage.ledger.ship_queries import Line

URL, BASE = "http://fleet:8123", "netusage"
LINE = Line("identity", 1, 2, 3, 4)
SOME = Progress("units", LINE, above=7, cursor=50, sent=60, told=57, gaps=3, shares_until_s=900, anew=True)


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "ledger.db")


def test_what_was_noted_is_remembered_for_each_fleet_by_itself(path):
    one, other = ShipJournal(path, URL, BASE), ShipJournal(path, URL, "other")
    _, turn = one.begin(100)
    assert one.note(SOME, turn)
    one.arrived(200)
    assert other.begin(300)[0].line.identity == ""
    assert ShipJournal(path, URL, BASE).begin(400) == (SOME, turn + 1)
    first, second = states(path)
    assert (first.base, first.progress, first.arrived_us, first.tried_us) == (BASE, SOME, 200, 400)
    assert (second.base, second.arrived_us) == ("other", 0)


def test_failures_are_counted_until_one_goes_well(path):
    journal = ShipJournal(path, URL, BASE)
    for n in range(3):
        journal.begin(n)
        journal.failed(f"no {n}", n)
    assert [(one.failures, one.error, one.tried_us) for one in states(path)] == [(3, "no 2", 2)]
    journal.begin(5)
    journal.arrived(6)
    assert [(one.failures, one.error, one.arrived_us) for one in states(path)] == [(0, "", 6)]


def test_who_is_set_back_meanwhile_notes_nothing_any_more(path):
    journal = ShipJournal(path, URL, BASE)
    _, turn = journal.begin(1)
    assert journal.note(SOME, turn)
    rewind(path, URL, BASE)
    assert not journal.note(SOME._replace(cursor=51), turn)
    progress, turn = journal.begin(2)
    assert progress.line.identity == ""
    assert journal.note(SOME, turn)


def test_setting_back_what_was_never_delivered_is_harmless(path):
    rewind(path, URL, BASE)
    assert states(path) == []


def test_what_has_arrived_is_known_of_that_ledger_and_fleet_alone(path):
    assert shipped(path, URL, BASE, "identity") == 0
    journal = ShipJournal(path, URL, BASE)
    _, turn = journal.begin(1)
    journal.note(SOME, turn)
    assert shipped(path, URL, BASE, "identity") == 50
    assert shipped(path, URL, BASE, "another") == 0
    assert shipped(path, URL, "other", "identity") == 0
    assert shipped(path, f"{URL}/", BASE, "identity") == 50
    rewind(path, URL, BASE)
    assert shipped(path, URL, BASE, "identity") == 0


@pytest.mark.parametrize(
    "damage", [b"something else, and long enough to be read" * 3, b"SQLite format 3\0" + b"x" * 5000]
)
def test_a_damaged_journal_is_set_aside_and_a_new_one_begun(path, damage, tmp_path):
    journal = ShipJournal(path, URL, BASE)
    with open(journal.path, "wb") as file:
        file.write(damage)
    assert states(path) == []
    assert shipped(path, URL, BASE, "identity") == 0
    progress, turn = journal.begin(1_000_000)
    assert progress.line.identity == ""
    assert journal.note(SOME, turn)
    assert journal.set_aside_to
    with open(journal.set_aside_to, "rb") as file:
        assert file.read() == damage


def test_the_journal_of_a_newer_version_or_of_another_program_stays_as_it_is(path):
    journal = ShipJournal(path, URL, BASE)
    journal.begin(1)
    with closing(sqlite3.connect(journal.path)) as db:
        db.execute("PRAGMA user_version = 99")
    with pytest.raises(LedgerNewerError, match="newer netusage"):
        journal.begin(2)
    with closing(sqlite3.connect(f"{path}2.ship")) as db:
        db.execute("CREATE TABLE something (x)")
    with pytest.raises(LedgerNewerError, match="another program"):
        ShipJournal(f"{path}2", URL, BASE).begin(2)


def test_one_delivers_at_a_time(path):
    assert ship_journal.deliverer(path) is None
    held = ship_journal.hold(path, 1)
    try:
        assert ship_journal.deliverer(path) is not None
        with pytest.raises(LedgerHeldError):
            ship_journal.hold(path, 1)
    finally:
        held.release()
