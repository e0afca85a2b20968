"""Opening the ledger's file, and SQLite's errors in this project's words."""

import contextlib
import os
import sqlite3
import stat
import subprocess
import sys

import pytest
from support.ledgers import START_S, writing

from netusage.errors import LedgerBusyError, LedgerCorruptError, LedgerError, NoDataError
from netusage.ledger import connect

NOBODY = 65534
HOLD = """
import sys
from netusage.ledger import connect
with connect.reading(sys.argv[1]):
    print("reading", flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "ledger.db"
    with writing(path) as ledger:
        for number in range(300):
            ledger.count(ledger.interface(f"eth{number}"), START_S, 5, 5, 1, 1)
        ledger.commit(ended="stopped")
    return str(path)


def error(code):
    found = sqlite3.OperationalError("said SQLite")
    found.sqlite_errorcode = code
    return found


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (sqlite3.SQLITE_BUSY, LedgerBusyError),
        (sqlite3.SQLITE_BUSY_SNAPSHOT, LedgerBusyError),
        (sqlite3.SQLITE_LOCKED, LedgerBusyError),
        (sqlite3.SQLITE_FULL, LedgerBusyError),
        (sqlite3.SQLITE_IOERR_WRITE, LedgerBusyError),
        (sqlite3.SQLITE_READONLY, LedgerBusyError),
        (sqlite3.SQLITE_CANTOPEN, LedgerBusyError),
        (sqlite3.SQLITE_CORRUPT, LedgerCorruptError),
        (sqlite3.SQLITE_CORRUPT_INDEX, LedgerCorruptError),
        (sqlite3.SQLITE_NOTADB, LedgerCorruptError),
        (sqlite3.SQLITE_INTERRUPT, LedgerError),
        (sqlite3.SQLITE_CONSTRAINT, LedgerError),
    ],
)
def test_each_error_of_sqlite_becomes_what_can_be_done_about_it(code, kind):
    with pytest.raises(LedgerError) as failure, connect.translated("ledger.db", "write"):
        raise error(code)
    assert type(failure.value) is kind
    assert "ledger.db" in failure.value.message
    assert "\n" not in str(failure.value)


@pytest.fixture
def as_nobody(tmp_path):
    """A function that makes this process one without privileges, or (False) root again."""
    others = [place for place in (tmp_path, *tmp_path.parents) if not place.stat().st_mode & stat.S_IXOTH]
    for place in others:
        place.chmod(place.stat().st_mode | stat.S_IXOTH)

    groups = os.getgroups()

    def become(without=True):
        os.seteuid(0)
        os.setgroups([] if without else groups)
        os.setegid(NOBODY if without else os.getgid())
        os.seteuid(NOBODY if without else 0)

    yield become
    become(False)


@pytest.fixture
def owned_by_nobody(path):
    """A ledger of an unprivileged recorder while root, who reads it, has just made its files and not given them away yet."""
    directory = os.path.dirname(path)
    for name in (directory, *(os.path.join(directory, file) for file in os.listdir(directory))):
        os.chown(name, NOBODY, NOBODY)
    hold = [sys.executable, "-c", HOLD, path]
    with subprocess.Popen(hold, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as reader:
        assert reader.stdout.readline() == "reading\n"
        for file in (f"{path}-wal", f"{path}-shm"):
            assert os.stat(file).st_uid == NOBODY  # SQLite gave them away; back to the moment before
            os.chown(file, 0, 0)
            os.chmod(file, 0o644)
        yield path
        reader.communicate("\n", timeout=30)


@pytest.mark.root
def test_a_writer_waits_while_root_who_reads_has_the_logs_for_a_moment(owned_by_nobody, as_nobody):
    paused = []

    def pause(seconds):
        paused.append(seconds)
        as_nobody(False)
        for file in (f"{owned_by_nobody}-wal", f"{owned_by_nobody}-shm"):
            os.chown(file, NOBODY, NOBODY)
        as_nobody()

    as_nobody()
    connection = connect.connect_writer(owned_by_nobody, busy_ms=1000, pause=pause)
    with contextlib.closing(connection), connect.transaction(connection):
        assert connection.execute("PRAGMA busy_timeout").fetchone() == (1000,)
        connection.execute("UPDATE ledger SET sealed_until_s = sealed_until_s")
    assert len(paused) == 1


@pytest.mark.root
def test_a_writer_that_may_never_write_says_so_after_a_few_attempts(owned_by_nobody, as_nobody):
    paused = []
    as_nobody()
    with (
        contextlib.closing(
            connect.connect_writer(owned_by_nobody, busy_ms=1000, pause=paused.append)
        ) as connection,
        pytest.raises(LedgerBusyError, match="readonly"),
        connect.translated(owned_by_nobody, "write"),
        connect.transaction(connection),
    ):
        pass
    assert 1 < len(paused) < 10


def test_a_writer_opens_a_file_that_another_one_has_locked(path):
    with contextlib.closing(connect.connect_writer(path, busy_ms=1)) as holder, connect.transaction(holder):
        connect.connect_writer(path, busy_ms=1, pause=pytest.fail).close()


def test_a_number_that_sqlite_cannot_hold_is_an_error_of_the_ledger():
    connection = sqlite3.connect(":memory:")
    with pytest.raises(LedgerError, match="beyond"), connect.translated("ledger.db", "write"):
        connection.execute("SELECT ?", (2**63,))
    connection.close()


def test_what_is_no_error_of_sqlite_passes():
    with pytest.raises(ZeroDivisionError), connect.translated("ledger.db", "write"):
        raise ZeroDivisionError


def test_the_writer_commits_through_power_cuts_into_a_log(path):
    connection = connect.connect_writer(path, busy_ms=0)
    assert connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
    assert connection.execute("PRAGMA synchronous").fetchone()[0] == 2
    connection.close()


def test_a_writer_that_cannot_be_opened_leaves_nothing_open(tmp_path):
    (tmp_path / "x").write_bytes(b"garbage" * 100)
    with pytest.raises(sqlite3.DatabaseError):
        connect.connect_writer(str(tmp_path / "x"), busy_ms=0)


def test_a_reader_cannot_write(path):
    connection, copy = connect.connect_reader(path)
    assert copy is None
    with pytest.raises(sqlite3.OperationalError):
        connection.execute("DELETE FROM minute")
    connection.close()


def test_a_reader_does_not_keep_the_recorder_from_writing(path):
    connection, _ = connect.connect_reader(path)
    connection.execute("BEGIN")
    connection.execute("SELECT * FROM minute").fetchone()
    with writing(path, START_S + 60) as ledger:
        ledger.commit()
    connection.close()


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """Where temporary files are made."""
    directory = tmp_path / "temporary"
    directory.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(directory))
    return directory


def test_where_a_log_cannot_be_replayed_in_place_a_private_copy_is_read_and_removed(path, temporary):
    """As for a reader without permission to write beside the ledger of a killed recorder."""
    writer = connect.connect_writer(path, busy_ms=0)
    writer.execute("UPDATE ledger SET change = 4711")
    connection, copy = connect._reader_of_copy(path, f"{path}-wal")
    assert connection.execute("SELECT change FROM ledger").fetchone()[0] == 4711
    assert os.listdir(temporary) == [os.path.basename(copy)]
    connection.close()
    connect.remove_copy(copy)
    connect.remove_copy(None)
    assert os.listdir(temporary) == []
    writer.close()


@pytest.mark.parametrize(("content", "kind"), [(b"garbage" * 100, LedgerCorruptError), (None, LedgerError)])
def test_a_private_copy_that_cannot_be_read_is_removed(tmp_path, temporary, content, kind):
    path = tmp_path / "x"
    if content is not None:
        path.write_bytes(content)
        (tmp_path / "x-wal").touch()
    with pytest.raises(kind):
        connect._reader_of_copy(str(path), f"{path}-wal")
    assert os.listdir(temporary) == []


def test_a_ledger_that_is_not_there_is_no_data_with_the_next_command(tmp_path):
    with pytest.raises(NoDataError, match="no ledger") as failure:
        connect.connect_reader(str(tmp_path / "none.db"))
    assert "netusage daemon" in failure.value.hint


def test_what_is_no_database_is_damaged(tmp_path):
    (tmp_path / "x").write_bytes(b"garbage" * 100)
    with pytest.raises(LedgerCorruptError):
        connect.connect_reader(str(tmp_path / "x"))


@pytest.mark.parametrize("name", ["a b.db", "100%.db", "what?.db", "a#b.db", "ü.db", "a&b=c.db"])
def test_any_file_name_can_be_read(tmp_path, name):
    path = tmp_path / name
    with writing(path) as ledger:
        ledger.commit(ended="stopped")
    connection, _ = connect.connect_reader(str(path))
    assert connection.execute("SELECT count(*) FROM run").fetchone()[0] == 1
    connection.close()
    assert connect.guard(str(path)).close() is None


def test_a_truncated_file_is_told_from_a_whole_one(path):
    with open(path, "rb") as file:
        whole = file.read()
    assert connect.is_truncated(path) is False
    for size, truncated in (
        (0, False),
        (50, True),
        (4096, True),
        (len(whole) - 1, True),
        (len(whole), False),
    ):
        with open(path, "wb") as file:
            file.write(whole[:size])
        assert connect.is_truncated(path) is truncated, size
    os.remove(path)
    assert connect.is_truncated(path) is False


def test_a_file_that_its_log_may_complete_is_not_called_truncated(path):
    with open(path, "r+b") as file:
        file.truncate(4096)
    with open(f"{path}-wal", "wb") as file:
        assert connect.is_truncated(path) is True
        file.write(b"frames")
    assert connect.is_truncated(path) is False


@pytest.mark.parametrize(
    ("content", "strange"),
    [(None, False), (b"", False), (b"SQLite format 3\0...", False), (b"letters", True)],
)
def test_a_file_that_is_no_database_at_all_is_strange(tmp_path, content, strange):
    path = tmp_path / "file"
    if content is not None:
        path.write_bytes(content)
    assert connect.is_strange(str(path)) is strange


def test_setting_aside_moves_the_log_along_and_overwrites_nothing(path):
    targets = []
    for number in range(3):
        for suffix in ("", "-wal", "-shm"):
            with open(f"{path}{suffix}", "w", encoding="ascii") as file:
                file.write(f"{number}{suffix}")
        targets.append(connect.set_aside(path, "20260310T000000Z"))
    assert len(set(targets)) == 3
    assert not os.path.exists(path)
    for number, target in enumerate(targets):
        for suffix in ("", "-wal", "-shm"):
            with open(f"{target}{suffix}", encoding="ascii") as file:
                assert file.read() == f"{number}{suffix}"


def test_setting_aside_what_is_not_there_is_an_error(tmp_path):
    with pytest.raises(LedgerError, match="cannot set"):
        connect.set_aside(str(tmp_path / "none.db"), "20260310T000000Z")


def test_a_guarded_file_is_not_written_to_when_its_writer_closes(path):
    """A damaged ledger is set aside as it is, with its log beside it."""
    writer = connect.connect_writer(path, busy_ms=0)
    writer.execute("UPDATE ledger SET change = change + 1")
    with open(path, "rb") as file:
        before = file.read()
    guard = connect.guard(path)
    writer.close()
    guard.close()
    with open(path, "rb") as file:
        assert file.read() == before
    assert os.path.getsize(f"{path}-wal") > 0
