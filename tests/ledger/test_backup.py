import os
import sqlite3
import stat

import pytest
from support.ledgers import START_S, writing
from support.verify import assert_verify_agrees

from netusage.errors import LedgerCorruptError, NoDataError, OutputError
from netusage.ledger.backup import backup
from netusage.ledger.reader import LedgerReader


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "ledger.db"
    with writing(path) as ledger:
        ledger.count(ledger.interface("eth0"), START_S, 5, 4, 3, 2)
        ledger.commit(START_S + 7200)
    return path


def files(path):
    """Everything beside the ledger, but what SQLite and the lock leave there."""
    return sorted(name for name in os.listdir(path.parent) if not name.startswith("ledger.db"))


def test_a_backup_is_made_while_the_ledger_is_recorded_into(tmp_path):
    path, target = tmp_path / "ledger.db", tmp_path / "copy.db"
    with writing(path) as ledger:
        eth0 = ledger.interface("eth0")
        ledger.count(eth0, START_S, 5)
        ledger.commit(START_S + 60)  # in the log, not in the file
        size = backup(str(path), str(target))
        ledger.count(eth0, START_S + 60, 7)
        ledger.commit(START_S + 120)
    assert target.stat().st_size == size
    assert_verify_agrees(target)
    with LedgerReader(str(target)) as copy, LedgerReader(str(path)) as reader:
        assert copy.interfaces()[0].totals.rx_bytes == 5
        assert copy.state.identity == reader.state.identity


def test_a_commit_during_the_copy_does_not_tear_it(path, tmp_path):
    target = tmp_path / "copy.db"
    with writing(path, START_S + 7300) as ledger:
        eth1 = ledger.interface("eth1")

        def write(_done, _all):
            ledger.count(eth1, ledger.now_s, 1)
            ledger.commit(ledger.now_s + 1000)

        backup(str(path), str(target), advance=write)
        assert ledger.now_s > START_S + 7300
    assert_verify_agrees(target)
    with LedgerReader(str(target)) as copy:
        assert [one.name for one in copy.interfaces()] == ["eth0"]


def test_a_backup_is_one_file_with_the_rights_of_the_ledger(path, tmp_path):
    path.chmod(0o640)
    backup(str(path), str(tmp_path / "copy.db"))
    assert files(path) == ["copy.db"]
    assert stat.S_IMODE((tmp_path / "copy.db").stat().st_mode) == 0o640


def test_a_file_that_is_there_is_not_replaced(path, tmp_path):
    target = tmp_path / "copy.db"
    target.write_text("precious")
    with pytest.raises(OutputError, match="there already"):
        backup(str(path), str(target))
    assert target.read_text() == "precious"


def test_a_file_that_is_there_is_replaced_when_that_is_asked_for(path, tmp_path):
    target = tmp_path / "copy.db"
    target.write_text("old")
    backup(str(path), str(target), overwrite=True)
    assert_verify_agrees(target)
    assert files(path) == ["copy.db"]


@pytest.mark.parametrize("name", ["ledger.db", "ledger.db-wal", "ledger.db.lock", "link.db", "hard.db"])
def test_a_backup_never_goes_over_the_ledger_itself(path, tmp_path, name):
    (tmp_path / "link.db").symlink_to(path)
    (tmp_path / "hard.db").hardlink_to(path)
    before = path.read_bytes()
    with pytest.raises(OutputError):
        backup(str(path), str(tmp_path / name), overwrite=True)
    assert path.read_bytes() == before


@pytest.mark.parametrize("name", ["", "missing/copy.db"])
def test_a_place_that_cannot_be_written_is_said_and_nothing_is_left(path, tmp_path, name):
    with pytest.raises(OutputError):
        backup(str(path), str(tmp_path / name))
    assert files(path) == []


def test_a_damaged_ledger_gets_no_backup(path, tmp_path):
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    page = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'chunk'").fetchone()[0]
    connection.close()
    with path.open("rb+") as file:
        file.seek((page - 1) * 4096)
        file.write(b"\xff" * 4096)
    with pytest.raises(LedgerCorruptError, match="no backup was made"):
        backup(str(path), str(tmp_path / "copy.db"))
    assert files(path) == []


def test_a_ledger_that_is_not_there_gets_no_backup(tmp_path):
    with pytest.raises(NoDataError):
        backup(str(tmp_path / "none.db"), str(tmp_path / "copy.db"))
    assert os.listdir(tmp_path) == []
