"""The ledger as its one recorder holds it."""

import hashlib
import os
import shutil
import sqlite3
import subprocess
import sys
import textwrap

import pytest
from recorder.audit import assert_sound
from support import book
from support.ledgers import START_S, Ledger, writing

from netusage.errors import (
    LedgerBusyError,
    LedgerCorruptError,
    LedgerError,
    LedgerHeldError,
    LedgerNewerError,
)
from netusage.ledger import connect, lock, schema
from netusage.ledger.batch import ClockStep, Health
from netusage.model import NS, US, Counters, Place


@pytest.fixture
def path(tmp_path):
    return tmp_path / "ledger.db"


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr("netusage.ledger.writer.BUSY_MS", 0)
    monkeypatch.setattr("netusage.ledger.writer.BUSY_MS_AT_STOP", 0)


def content(path):
    """Every file beside the ledger that has something in it, by name."""
    return {
        file.name: hashlib.sha256(file.read_bytes()).hexdigest()
        for file in path.parent.iterdir()
        if file.is_file() and file.stat().st_size
    }


def everything(path):
    """All rows of all tables."""
    with book.opened(path) as connection:
        tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        return {
            table: [tuple(row) for row in connection.execute(f"SELECT * FROM {table}")] for table in tables
        }


def count(ledger, *amounts, name="eth0", at_s=START_S):
    epoch = ledger.interface(name)
    for amount in amounts:
        ledger.count(epoch, at_s, amount, amount, 1, 1)
    return epoch


# Opening


def test_a_new_ledger_has_its_directory_its_tables_and_an_identity(tmp_path):
    first, second = tmp_path / "a" / "b" / "ledger.db", tmp_path / "other.db"
    for path in (first, second):
        with writing(path):
            pass
        assert_sound(path)
    identities = {book.rows(path, "SELECT identity FROM ledger")[0][0] for path in (first, second)}
    assert len(identities) == 2


def test_opening_again_changes_neither_identity_nor_schema(path):
    with writing(path) as ledger:
        count(ledger, 5)
        ledger.commit(ended="stopped")
    before = everything(path)
    with writing(path, START_S + 100):
        pass
    assert everything(path) == before


def test_a_directory_is_refused(tmp_path):
    with pytest.raises(LedgerError, match="is a directory"):
        Ledger(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_file_where_a_directory_is_needed_is_refused_with_a_hint(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(LedgerError, match="cannot create") as failure:
        Ledger(tmp_path / "file" / "ledger.db")
    assert "--db" in failure.value.hint


@pytest.mark.parametrize("strange", [b"dear diary", b"\0" * 5000, b"SQLite format 2\0" + b"x" * 100])
def test_a_file_that_never_was_a_ledger_stays_where_it_is(path, strange):
    path.write_bytes(strange)
    before = content(path)
    with pytest.raises(LedgerError, match="is not a ledger"):
        Ledger(path)
    assert content(path) == before
    assert not os.path.exists(lock.lock_path(str(path)))


def test_an_empty_file_becomes_a_ledger(path):
    path.touch()
    with writing(path) as ledger:
        ledger.commit()
    assert_sound(path)


@pytest.mark.parametrize("journal", ["WAL", "DELETE"])
def test_another_program_s_database_is_refused_and_not_a_byte_of_it_changed(path, journal):
    other = sqlite3.connect(path)
    other.execute(f"PRAGMA journal_mode = {journal}")
    other.execute("CREATE TABLE songs (name TEXT)")
    other.commit()
    other.close()
    before = path.read_bytes()
    for _ in range(2):
        with pytest.raises(LedgerNewerError, match="another program"):
            Ledger(path)
    assert path.read_bytes() == before
    assert not os.path.exists(lock.lock_path(str(path)))


def test_a_newer_ledger_is_refused_and_not_a_byte_of_it_changed(path):
    with writing(path) as ledger:
        count(ledger, 5)
        ledger.commit(ended="stopped")
    newer = sqlite3.connect(path)
    newer.execute(f"PRAGMA user_version = {schema.VERSION + 1}")
    newer.execute("CREATE TABLE future (x TEXT)")
    newer.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    newer.close()
    before = path.read_bytes()
    with pytest.raises(LedgerNewerError, match=f"schema {schema.VERSION + 1}") as failure:
        Ledger(path)
    assert "upgrade" in failure.value.hint
    assert path.read_bytes() == before
    assert not [name for name in os.listdir(path.parent) if "set-aside" in name]


def test_a_refused_ledger_is_not_held(path):
    test_a_newer_ledger_is_refused_and_not_a_byte_of_it_changed(path)
    assert lock.holder(str(path)) is None


@pytest.mark.parametrize("damage", ["garbage", "truncated", "short"])
def test_a_damaged_ledger_is_set_aside_whole_and_a_new_one_begun(path, damage):
    with writing(path) as ledger:
        count(ledger, 5)
        ledger.commit()
    whole = path.read_bytes()
    broken = {"garbage": b"\xde\xad" * 5000, "truncated": whole[: len(whole) // 2], "short": whole[:50]}[
        damage
    ]
    path.write_bytes(broken)
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    with writing(path) as ledger:
        count(ledger, 7)
        ledger.commit()
        aside = ledger.writer.set_aside_to
    assert aside == f"{path}.set-aside-20260310T000000Z"
    with open(aside, "rb") as file:
        assert file.read() == broken
    assert book.recorded(path)["eth0"].rx_bytes == 7
    assert_sound(path)


def test_nothing_that_was_set_aside_is_overwritten(path):
    asides = set()
    for number in range(3):
        with writing(path) as ledger:
            ledger.commit()
        path.write_bytes(b"garbage %d" % number * 100)
        with writing(path) as ledger:
            asides.add(ledger.writer.set_aside_to)
            with open(ledger.writer.set_aside_to, "rb") as file:
                assert file.read(9) == b"garbage %d" % number
    assert len(asides) == 3


def test_a_damaged_page_is_found_after_a_kill(path):
    with writing(path) as ledger:
        for minute in range(600):
            count(ledger, 5, name=f"eth{minute}")
        ledger.commit()
    with open(path, "r+b") as file:
        file.seek(8 * 4096)
        file.write(b"\xff" * 3 * 4096)
    with writing(path) as ledger:
        assert ledger.writer.set_aside_to


# Commits


def test_a_commit_writes_entries_baselines_totals_and_facts(path):
    with writing(path) as ledger:
        epoch = ledger.interface("eth0", first=Counters(100, 200, 3, 4))
        ledger.count(epoch, START_S + 5, 10, 20, 1, 2, peak_rx=9, peak_tx=8)
        ledger.count(epoch, START_S + 59, 1, 2, 0, 0, peak_rx=5, peak_tx=11)
        ledger.span(epoch, START_S * US, (START_S + 50) * US, 1000, 0, 7, 0)
        ledger.gap(START_S, START_S + 50)
        batch = ledger._batch
        batch.steps.append(ClockStep(5, 6, 7))
        batch.health = Health(*range(1, 9))
        ledger.commit(START_S + 60, ended="stopped")
    (minute,) = book.rows(path, "SELECT * FROM minute")
    assert tuple(minute) == (START_S, 1, 11, 22, 1, 2, 9, 11)
    (row,) = book.epochs(path)
    assert row["last_rx_bytes"] == 100 + 11 + 1000
    assert row["recorded_rx_packets"] == 8
    assert book.recorded(path) == {"eth0": Counters(1011, 22, 8, 2)}
    (run,) = book.rows(path, "SELECT * FROM run")
    assert (run["ended"], run["last_us"], run["source"]) == ("stopped", (START_S + 60) * US, "netlink")
    names = ("samples", "failed_samples", "late_samples", "commits", "failed_commits")
    assert [run[name] for name in names] == [1, 2, 3, 4, 5]
    assert (run["commit_total_us"], run["commit_max_us"], run["events"]) == (6, 7, 8)
    assert [tuple(row)[2:] for row in book.rows(path, "SELECT * FROM clock_step")] == [(5, 6, 7)]
    assert len(book.gaps(path)) == 1
    assert_sound(path)


def test_commits_add_to_the_same_minute_and_keep_the_highest_peak(path):
    with writing(path) as ledger:
        epoch = ledger.interface("eth0")
        for peak in (5, 90, 30):
            ledger.count(epoch, START_S, 10, 1, 1, 1, peak_rx=peak, peak_tx=peak)
            ledger.commit(START_S + 30)
    (minute,) = book.rows(path, "SELECT rx_bytes, peak_rx FROM minute")
    assert tuple(minute) == (30, 90)
    assert len(book.rows(path, "SELECT * FROM run")) == 1


def test_a_stretch_that_goes_on_is_one_row(path):
    with writing(path) as ledger:
        ledger.commit(START_S + 10)
        ledger.commit(START_S + 20)
        ledger.commit(START_S + 50, watched_from_s=START_S + 40)
    watched = [tuple(row) for row in book.rows(path, "SELECT start_us, end_us FROM watched")]
    assert watched == [(START_S * US, (START_S + 20) * US), ((START_S + 40) * US, (START_S + 50) * US)]


def test_an_interface_that_comes_again_is_the_same_interface_in_another_epoch(path):
    with writing(path) as ledger:
        ledger.end(count(ledger, 5))
        ledger.commit()
        count(ledger, 6)
        ledger.commit()
    assert len(book.rows(path, "SELECT * FROM interface")) == 1
    assert len(book.epochs(path)) == 2
    assert book.recorded(path)["eth0"].rx_bytes == 11


def test_a_name_of_another_kind_is_another_interface(path):
    with writing(path) as ledger:
        for kind in ("", "dummy"):
            ledger.count(ledger.interface("eth0", kind), START_S, 5, 5, 1, 1)
        ledger.commit()
    assert len(book.rows(path, "SELECT * FROM interface")) == 2


def test_what_is_said_anew_of_an_interface_is_kept(path):
    with writing(path) as ledger:
        epoch = count(ledger, 5)
        ledger.commit()
        epoch.link, epoch.counted, epoch.reason = epoch.link._replace(up=False), False, "left out"
        epoch.restated = True
        ledger._touch(epoch)
        ledger.commit(START_S + 30)
        assert epoch.restated is False
    (row,) = book.rows(path, "SELECT up, counted, reason, last_seen_us FROM interface")
    assert tuple(row) == (0, 0, "left out", (START_S + 30) * US)


def test_an_interface_was_last_seen_when_its_epoch_was_closed(path):
    with writing(path) as ledger:
        epoch = count(ledger, 5)
        ledger.commit()
        ledger.count(epoch, START_S, 1, 1, 1, 1)
        ledger.commit(START_S + 10)
        assert book.rows(path, "SELECT last_seen_us FROM interface")[0][0] == START_S * US
        ledger.end(epoch)
        ledger.commit(START_S + 20)
    assert book.rows(path, "SELECT first_seen_us, last_seen_us FROM interface")[0][:] == (
        START_S * US,
        (START_S + 20) * US,
    )


def test_numbers_up_to_two_to_the_63rd_are_exact(path):
    with writing(path) as ledger:
        count(ledger, 2**63 - 1)
        ledger.commit()
    assert book.recorded(path)["eth0"].rx_bytes == 2**63 - 1


def test_a_number_beyond_that_is_an_error_in_the_ledger_s_words_and_writes_nothing(path):
    with writing(path) as ledger:
        ledger.commit()
        before = everything(path)
        epoch = count(ledger, 2**63)
        with pytest.raises(LedgerError, match="beyond"):
            ledger.commit(START_S + 9)
        assert epoch.row is None
    assert everything(path) == before


# Commits that fail


def test_a_locked_ledger_is_busy_and_nothing_of_the_batch_is_written(path, impatient):
    with writing(path) as ledger:
        epoch = count(ledger, 5)
        blocker = sqlite3.connect(path, isolation_level=None)
        blocker.execute("BEGIN IMMEDIATE")
        with pytest.raises(LedgerBusyError, match="locked"):
            ledger.commit()
        assert (epoch.row, epoch.committed) == (None, None)
        blocker.close()
        ledger.commit()
    assert book.recorded(path)["eth0"].rx_bytes == 5
    assert_sound(path)


class _Killed(BaseException):
    """The process ends here."""


@pytest.mark.parametrize("after", range(12))
def test_a_kill_between_any_two_statements_of_a_commit_leaves_the_last_commit(path, after):
    """Every statement counts down, and at zero the process is no more: no COMMIT, no ROLLBACK, no good-bye."""
    with writing(path) as ledger:
        epoch = count(ledger, 5)
        ledger.commit()
    before = everything(path)
    ledger = Ledger(path, START_S + 1000)
    left = [after]

    class Dying:
        def __getattr__(self, name):
            return getattr(alive, name)

        def execute(self, *statement):
            left[0] -= 1
            if left[0] < 0 or statement[0] == "COMMIT":
                raise _Killed
            return alive.execute(*statement)

        def executemany(self, *statement):
            left[0] -= 1
            if left[0] < 0:
                raise _Killed
            return alive.executemany(*statement)

    alive = ledger.writer._connection
    ledger.writer._connection = Dying()
    epoch = ledger.interface("eth0")
    ledger.count(epoch, START_S + 990, 7, 7, 1, 1)
    ledger.span(epoch, START_S * US, (START_S + 9) * US, 5, 5, 1, 1)
    ledger.gap(START_S, START_S + 9)
    with pytest.raises(_Killed):
        ledger.commit(START_S + 1000)
    left[0] = 0
    alive.close()
    ledger.writer._hold.release()
    after_ = everything(path)
    assert after_ == before
    assert_sound(path)


def test_a_process_that_is_killed_in_the_middle_of_a_commit_leaves_the_last_commit(path):
    """A real one: the parent sees the ledger as it was, and the next recorder opens it."""
    program = textwrap.dedent("""
        import os, sys
        sys.path[:0] = sys.argv[2:]
        from support.ledgers import START_S, Ledger
        from netusage.ledger import sealing
        ledger = Ledger(sys.argv[1])
        epoch = ledger.interface("eth0")
        ledger.count(epoch, START_S, 5, 5, 1, 1)
        ledger.commit(START_S + 10)
        sealing.seal = lambda *_: os._exit(9)
        ledger.count(epoch, START_S + 900, 70, 70, 1, 1)
        ledger.commit(START_S + 1800)
    """)
    paths = [entry for entry in sys.path if entry]
    done = subprocess.run([sys.executable, "-c", program, str(path), *paths], check=False)
    assert done.returncode == 9
    assert book.recorded(path)["eth0"].rx_bytes == 5
    with writing(path, START_S + 2000) as ledger:
        assert ledger.writer.set_aside_to is None
        (epoch,) = ledger.writer.remember().epochs
        assert epoch.last.rx_bytes == 5
    assert_sound(path)


def test_a_ledger_that_is_removed_under_the_recorder_is_noticed(path):
    with writing(path) as ledger:
        ledger.commit()
        path.unlink()
        with pytest.raises(LedgerCorruptError, match="removed or replaced"):
            ledger.commit()


def test_a_ledger_that_is_exchanged_under_the_recorder_is_noticed_and_not_written_to(path, tmp_path):
    with writing(path) as ledger:
        ledger.commit()
        other = tmp_path / "other"
        other.write_bytes(b"not yours")
        os.replace(other, path)
        with pytest.raises(LedgerCorruptError, match="removed or replaced"):
            ledger.commit()
    assert path.read_bytes() == b"not yours"


def test_replacing_sets_the_file_aside_and_begins_a_new_one(path):
    with writing(path) as ledger:
        ledger.commit()
        old = book.rows(path, "SELECT identity FROM ledger")[0][0]
        aside = ledger.writer.replace(START_S * US)
        assert aside == f"{path}.set-aside-20260310T000000Z"
        ledger.commit()
    new = book.rows(path, "SELECT identity FROM ledger")[0][0]
    assert new != old
    assert book.rows(aside, "SELECT identity FROM ledger")[0][0] == old


def test_replacing_a_file_that_is_gone_tells_of_no_other(path):
    with writing(path) as ledger:
        path.unlink()
        assert ledger.writer.replace(START_S * US) == ""
        ledger.commit()
    assert_sound(path)


def test_after_a_replacement_that_failed_the_recorder_can_still_stop(path):
    """The directory is gone: nothing can be written, and nothing may raise what is not an error of the ledger."""
    path = path.parent / "sub" / "ledger.db"
    with writing(path) as ledger:
        ledger.commit()
        shutil.rmtree(path.parent)
        with pytest.raises(LedgerError):
            ledger.writer.replace(START_S * US)
        ledger.writer.wait_for_lock()
        ledger.writer.interrupt()
        with pytest.raises(LedgerError):
            ledger.commit()


def test_a_closed_writer_lets_another_have_the_ledger_and_may_be_closed_again(path):
    ledger = Ledger(path)
    with pytest.raises(LedgerHeldError):
        Ledger(path)
    ledger.close()
    ledger.close()
    with writing(path):
        pass


# What is remembered


def test_a_recorder_finds_what_the_last_one_in_its_place_left(path):
    with writing(path) as ledger:
        living, closed = count(ledger, 5), count(ledger, 7, name="wg0")
        ledger.end(closed)
        ledger.commit(START_S + 60, ended="stopped")
    with writing(path, START_S + 100) as ledger:
        remembered = ledger.writer.remember()
    here = remembered.here
    assert (here.wall_us, here.ended) == ((START_S + 60) * US, "stopped")
    assert here.boot_ns == 160 * NS
    (epoch,) = remembered.epochs
    assert (epoch.link.name, epoch.link.index, epoch.last) == ("eth0", living.link.index, living.last)
    assert (epoch.row, epoch.interface_row, epoch.counted) == (living.row, living.interface_row, True)
    assert remembered.before is None


def test_a_recorder_that_was_killed_is_told_from_one_that_stopped(path):
    with writing(path) as ledger:
        ledger.commit()
    with writing(path) as ledger:
        assert ledger.writer.remember().here.ended is None


def test_nothing_is_remembered_of_a_place_that_is_new(path):
    with writing(path) as ledger:
        assert ledger.writer.remember().here is None
        assert ledger.writer.remember().before is None


def test_an_earlier_boot_is_remembered_and_its_epochs_are_closed(path):
    with writing(path) as ledger:
        count(ledger, 5)
        ledger.commit(START_S + 60)
    with writing(path, START_S + 500, boot_id="boot-2") as ledger:
        remembered = ledger.writer.remember()
    assert remembered.here is None
    assert remembered.epochs == ()
    assert remembered.before.wall_us == (START_S + 60) * US
    (row,) = book.epochs(path)
    assert (row["closed_us"], row["closed_because"]) == ((START_S + 60) * US, "reboot")


def test_another_machine_s_boot_is_none_of_this_one_s(path):
    with writing(path) as ledger:
        count(ledger, 5)
        ledger.commit()
    with writing(path, boot_id="boot-2", machine="another") as ledger:
        assert ledger.writer.remember().before is None
    assert [row["closed_us"] for row in book.epochs(path)] == [None]


def test_a_boot_that_is_known_from_another_namespace_is_no_new_boot(path):
    with writing(path) as ledger:
        ledger.commit()
    with writing(path, boot_id="boot-2") as ledger:
        ledger.commit()
    place = Place("boot-2", 2, "machine")
    options = {"boot_us": 0, "now_us": START_S * US, "source": "netlink"}
    with writing(path, boot_id="boot-2") as ledger:
        ledger.writer.close()
        inside = type(ledger.writer)(str(path), place, **options)
        assert inside.remember().before is None
        inside.close()


def test_the_newest_life_is_remembered_and_never_becomes_older(path):
    with writing(path) as ledger:
        for newest_life in (76, 77, 0):
            ledger.commit(newest_life=newest_life)
    with writing(path) as ledger:
        assert ledger.writer.remember().newest_life == 77
    with writing(path, boot_id="boot-2") as ledger:
        ledger.commit()
        assert ledger.writer.remember().newest_life == 0


def test_running_without_counting_leaves_a_baseline(path):
    with writing(path) as ledger:
        ledger.interface("eth0", first=Counters(9, 9, 9, 9))
        ledger.commit()
    with writing(path) as ledger:
        (epoch,) = ledger.writer.remember().epochs
    assert (epoch.first, epoch.last) == (Counters(9, 9, 9, 9),) * 2
    assert book.recorded(path) == {}


def test_a_busy_ledger_at_the_start_is_said_and_nothing_is_held(path, impatient):
    with writing(path) as ledger:
        ledger.commit(ended="stopped")
    blocker = connect.connect_writer(str(path), busy_ms=0)
    blocker.execute("BEGIN IMMEDIATE")
    with pytest.raises(LedgerBusyError, match="locked"):
        Ledger(path)
    blocker.close()
    with writing(path):
        pass
