import os
import sqlite3
from contextlib import closing

import pytest
from support.book import assert_it_adds_up, epochs, recorded, rows
from support.ledgers import START_S, writing

from netusage.errors import InputError, LedgerCorruptError, LedgerError, LedgerHeldError
from netusage.ledger import lock
from netusage.ledger.intake import Intake, Interface
from netusage.ledger.reader import LedgerReader
from netusage.model import QUARTER_S, US, Counters, Gap, GapKind, Who

ETH0 = Interface("eth0", "", counted=True)
NOW_US = (START_S + 86_400) * US


@pytest.fixture
def path(tmp_path):
    return tmp_path / "ledger.db"


def taken_in(path, **options):
    """A ledger of one quarter of an hour."""
    with Intake(str(path), now_us=NOW_US, **options) as intake:
        source = intake.source("a.csv", ":{}")
        intake.counted((source, 2), ETH0, (START_S, START_S + QUARTER_S), (1, 2, 3, 4, 5, 6))
        return intake.finish()


def test_every_book_is_written_so_that_it_adds_up(path):
    with Intake(str(path), now_us=NOW_US) as intake:
        source = intake.source("a.csv", ":{}")
        for n in range(400, 0, -1):  # days and more, the last first
            start_s = START_S - n * QUARTER_S
            intake.counted((source, n), ETH0, (start_s, start_s + QUARTER_S), (n, 1, 1, 1, n, 1))
        for n in range(30):
            start_s = START_S + n * 60
            intake.counted((source, 1000 + n), ETH0, (start_s, start_s + 60), (1, 0, 1, 0, 1, 1))
        intake.estimated((source, 2000), ETH0, (START_S * US - 5, START_S * US), (7, 7, 7, 7), "stopped")
        intake.share(
            (source, 1), ("eth0", ""), Who("kernel"), (START_S, START_S + QUARTER_S), (3, 6, 4, 1, 1, 1, 1)
        )
        intake.gap((source, 1), Gap(0, 5, GapKind.STOPPED, lossy=False))
        intake.watched(START_S * US, NOW_US, "netlink", "kernel")
        taken = intake.finish()
    assert taken.rows == {
        "minutes": 30,
        "quarters": 400,
        "longer": 0,
        "estimated": 1,
        "applications": 1,
        "gaps": 1,
        "watched": 1,
    }
    assert taken.notes == []
    assert recorded(path) == {"eth0": Counters(sum(range(401)) + 37, 407, 437, 407)}
    assert_it_adds_up(path)
    assert [(row["opened_because"], row["closed_because"]) for row in epochs(path)] == [("import", "import")]
    with LedgerReader(str(path)) as reader:
        assert reader.minutes_from_s == START_S
        assert reader.tiers(0, NOW_US) == ["kernel"]
        assert reader.seen()[0].first_seen_us == START_S * US


def test_a_recorder_goes_on_in_it(path):
    taken_in(path)
    with writing(path, START_S + 86_400) as ledger:
        eth0 = ledger.interface("eth0")
        ledger.count(eth0, ledger.now_s, 10, 20, 30, 40)
        ledger.commit(ledger.now_s + 2 * 86_400)
    assert recorded(path) == {"eth0": Counters(11, 22, 33, 44)}
    assert len(rows(path, "SELECT id FROM gap")) == 0, "it did not come before the recorder on this machine"
    assert_it_adds_up(path)


def test_a_recorder_goes_on_in_a_quarter_of_an_hour_of_which_some_is_there(path):
    with Intake(str(path), now_us=(START_S + 300) * US) as intake:
        source = intake.source("a.csv", ":{}")
        intake.counted((source, 2), ETH0, (START_S, START_S + QUARTER_S), (1, 1, 1, 1, 1, 1))
        intake.finish()
    with writing(path, START_S + 310) as ledger:
        ledger.count(ledger.interface("eth0"), START_S + 320, 10, 0, 0, 0)
        ledger.commit(START_S + 330)
        ledger.commit(START_S + 2000)
    with LedgerReader(str(path)) as reader:
        (usage,) = reader.usage([[1]], [START_S, START_S + QUARTER_S])
    assert usage[0].rx_bytes == 11
    assert_it_adds_up(path)


def test_minutes_that_are_not_over_yet_are_left_to_the_recorder_to_be_summed_up(path):
    with Intake(str(path), now_us=(START_S + 300) * US) as intake:
        source = intake.source("a.csv", ":{}")
        for n, start_s in enumerate((START_S - 60, START_S, START_S + 9 * 86_400)):
            intake.counted((source, n), ETH0, (start_s, start_s + 60), (1, 1, 1, 1, 1, 1))
        intake.finish()
    with LedgerReader(str(path)) as reader:
        assert reader.state.sealed_until_s == START_S
        assert reader.minutes_from_s == START_S - QUARTER_S
    assert_it_adds_up(path)
    with writing(path, START_S + 310) as ledger:
        ledger.count(ledger.interface("eth0"), START_S + 320, 10, 0, 0, 0)
        ledger.commit(START_S + 330)
        ledger.commit(START_S + 10 * 86_400)
    assert recorded(path) == {"eth0": Counters(13, 3, 3, 3)}
    assert_it_adds_up(path)


def test_nothing_is_left_of_what_was_not_finished(path):
    with Intake(str(path), now_us=NOW_US) as intake:
        source = intake.source("a.csv", ":{}")
        intake.counted((source, 2), ETH0, (START_S, START_S + 60), (1, 2, 3, 4, 5, 6))
    assert os.listdir(path.parent) == []
    with Intake(str(path), now_us=NOW_US) as intake:
        source = intake.source("a.csv", ":{}")
        intake.counted((source, 2), ETH0, (START_S, START_S + QUARTER_S), (1,) * 6)
        intake.counted((source, 3), ETH0, (START_S + 60, START_S + 120), (1,) * 6)
        with pytest.raises(InputError, match=r"a\.csv:3: overlaps the row at a\.csv:2"):
            intake.finish()
    assert os.listdir(path.parent) == []


def test_a_trial_leaves_nothing_and_says_the_same(path, tmp_path):
    tried = taken_in(tmp_path / "none" / "ledger.db", keeps=False)
    assert os.listdir(tmp_path) == []
    assert taken_in(path) == tried


def test_a_ledger_with_a_record_is_refused_and_stays(path):
    with writing(path) as ledger:
        ledger.count(ledger.interface("eth0"), START_S, 1, 1, 1, 1)
        ledger.commit(START_S + 60)
    before = recorded(path)
    with pytest.raises(LedgerError, match=r"has a record of its own; .*--db FILE"):
        taken_in(path)
    assert recorded(path) == before
    assert not list(path.parent.glob(".netusage-import-*"))


def test_a_ledger_in_which_nothing_was_recorded_gives_its_place(path):
    with writing(path):
        pass
    taken_in(path)
    assert recorded(path) == {"eth0": Counters(1, 2, 3, 4)}
    assert_it_adds_up(path)


def test_a_file_that_is_no_ledger_or_of_another_program_stays(path):
    path.write_text("mine")
    with pytest.raises(LedgerCorruptError, match="is not a ledger"):
        taken_in(path)
    assert path.read_text() == "mine"
    path.unlink()
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE a (b)")
    with pytest.raises(LedgerError, match="another program"):
        taken_in(path)
    with pytest.raises(LedgerError, match="is a directory"):
        taken_in(path.parent)


def test_a_ledger_that_a_recorder_holds_is_refused_at_the_beginning_and_at_the_end(path):
    held = lock.hold(str(path), NOW_US)
    with pytest.raises(LedgerHeldError, match="held by a running recorder"):
        taken_in(path)
    held.release()
    with Intake(str(path), now_us=NOW_US) as intake:
        held = lock.hold(str(path), NOW_US)
        with pytest.raises(LedgerHeldError):
            intake.finish()
    held.release()
    assert not path.exists()


def test_a_record_that_was_begun_meanwhile_stays(path):
    with Intake(str(path), now_us=NOW_US) as intake:
        with writing(path) as ledger:
            ledger.count(ledger.interface("eth0"), START_S, 5, 5, 5, 5)
            ledger.commit(START_S + 60)
        with pytest.raises(LedgerError, match="has a record of its own"):
            intake.finish()
    assert recorded(path) == {"eth0": Counters(5, 5, 5, 5)}


def test_what_a_killed_import_has_left_goes_with_the_next_and_what_another_makes_stays(path):
    (path.parent / ".netusage-import-killed").mkdir()
    (path.parent / ".netusage-import-killed" / "ledger.db").write_bytes(b"half")
    with Intake(str(path.with_name("other.db")), now_us=NOW_US) as other:
        taken_in(path)
        assert len(list(path.parent.glob(".netusage-import-*"))) == 1
        source = other.source("a.csv", ":{}")
        other.counted((source, 2), ETH0, (START_S, START_S + 60), (1, 2, 3, 4, 5, 6))
        other.finish()
    assert recorded(path) == recorded(path.with_name("other.db"))
    assert not list(path.parent.glob(".netusage-import-*"))


def test_an_interrupt_ends_it_while_sqlite_works(path):
    ticks = []

    def tick():
        ticks.append(1)
        if (
            len(ticks) > 4
        ):  # one when rows are many enough, three when they are all there, and then SQLite asks
            raise KeyboardInterrupt

    with Intake(str(path), now_us=NOW_US, tick=tick) as intake:
        source = intake.source("a.csv", ":{}")
        for n in range(5000):
            intake.counted((source, n), ETH0, (START_S + 60 * n, START_S + 60 * n + 60), (1,) * 6)
        with pytest.raises(KeyboardInterrupt):
            intake.finish()
    assert len(ticks) == 5
    assert os.listdir(path.parent) == []
