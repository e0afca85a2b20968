"""The journal of alerts: raised once, delivered at least once, whatever ends the process or damages the file."""

import os
import sqlite3
import subprocess
import sys
import textwrap
from contextlib import closing
from pathlib import Path

import pytest

from netusage.errors import (
    LedgerBusyError,
    LedgerCorruptError,
    LedgerError,
    LedgerHeldError,
    LedgerNewerError,
    NoDataError,
)
from netusage.ledger import alert_journal
from netusage.ledger.alert_journal import Alert, AlertJournal, Executable, journal_path
from netusage.ledger.alert_log import entries, transports, watcher

NOW_US = 1_793_000_000_000_000


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "ledger.db.alerts")


@pytest.fixture
def journal(path):
    with closing(AlertJournal(path, NOW_US)) as made:
        yield made


def alert(key, *, raised_us=NOW_US, kind="gap", only_logged=False):
    return Alert(key, kind, raised_us, f"subject {key}", f"text {key}", {"bytes": 2**60}, only_logged)


def keys(waiting):
    return [one.alert.key for one in waiting]


def test_it_stands_beside_its_ledger_unless_another_place_is_chosen():
    assert journal_path("/data/usage.db") == "/data/usage.db.alerts"
    assert journal_path("/data/usage.db", "/var/alerts") == "/var/alerts"


def test_what_is_raised_waits_for_every_transport_and_can_be_listed(path, journal):
    assert journal.add([alert("a"), alert("b")], ["mail", "push"], NOW_US) == [alert("a"), alert("b")]
    assert keys(journal.waiting("mail")) == keys(journal.waiting("push")) == ["a", "b"]
    listed = entries(path, 0, NOW_US + 1)
    assert [entry.alert for entry in listed] == [alert("a"), alert("b")]
    assert all(entry.is_waiting for entry in listed)


def test_an_alert_with_a_key_that_is_there_is_not_raised_again(journal):
    journal.add([alert("a")], ["mail"], NOW_US)
    assert journal.add([alert("a", raised_us=NOW_US + 9), alert("b")], ["mail"], NOW_US) == [alert("b")]
    assert keys(journal.waiting("mail")) == ["a", "b"]


def test_what_is_only_logged_waits_for_nobody(path, journal):
    journal.add([alert("a", only_logged=True)], ["mail"], NOW_US)
    assert journal.waiting("mail") == []
    (entry,) = entries(path, 0, NOW_US + 1)
    assert entry.alert.only_logged
    assert not entry.is_waiting


def test_what_was_delivered_by_one_still_waits_for_the_other(path, journal):
    journal.add([alert("a"), alert("b")], ["mail", "push"], NOW_US)
    ids = [one.id for one in journal.waiting("mail")]
    journal.delivered("mail", ids, "gap", NOW_US + 5)
    assert journal.waiting("mail") == []
    assert keys(journal.waiting("push")) == ["a", "b"]
    assert journal.sent("mail", NOW_US) == [(NOW_US + 5, "gap")]
    assert journal.sent("push", NOW_US) == []
    assert {one.delivered_us for one in entries(path, 0, NOW_US + 1)[0].deliveries} == {NOW_US + 5, None}


def test_what_failed_waits_with_its_reason(path, journal):
    journal.add([alert("a"), alert("b")], ["mail"], NOW_US)
    journal.failed("mail", [1], NOW_US + 7, "connection refused")
    first, second = journal.waiting("mail")
    assert (first.attempts, first.next_us) == (1, NOW_US + 7)
    assert (second.attempts, second.next_us) == (0, NOW_US + 7)
    (state,) = transports(path)
    assert state == ("mail", 2, 1, None, "connection refused")
    journal.delivered("mail", [1, 2], "gap", NOW_US + 8)
    assert transports(path) == [("mail", 0, 0, NOW_US + 8, "")]


def test_alerts_and_what_is_remembered_are_kept_together_or_not_at_all(path, journal):
    journal.add(
        [alert("a")], [], NOW_US, memory={"rate": {"told": True}}, executables=[Executable("x", "/x", 5)]
    )
    with pytest.raises(TypeError):
        journal.add([alert("b")], [], NOW_US, memory={"rate": object()})
    assert [entry.alert.key for entry in entries(path, 0, NOW_US + 1)] == ["a"]
    assert journal.memory() == {"rate": {"told": True}}
    assert journal.executables() == {Executable("x", "/x", 5)}


def test_it_goes_on_where_it_was(path):
    with closing(AlertJournal(path, NOW_US)) as first:
        first.add([alert("a")], ["mail"], NOW_US, memory={"gaps": {"id": 3}})
    with closing(AlertJournal(path, NOW_US)) as second:
        assert keys(second.waiting("mail")) == ["a"]
        assert second.memory() == {"gaps": {"id": 3}}
        assert second.add([alert("a")], ["mail"], NOW_US) == []


def test_old_alerts_are_forgotten_and_new_ones_stay(path, journal):
    journal.add(
        [alert("old", raised_us=NOW_US - 9)], ["mail"], NOW_US - 9, executables=[Executable("x", "/x", 5)]
    )
    journal.add([alert("new")], ["mail"], NOW_US, executables=[Executable("y", "/y", 6)])
    journal.delivered("mail", [1], "gap", NOW_US - 8)
    journal.prune(NOW_US)
    assert [entry.alert.key for entry in entries(path, 0, NOW_US + 1)] == ["new"]
    assert keys(journal.waiting("mail")) == ["new"]
    assert journal.sent("mail", 0) == []
    assert journal.executables() == {Executable("y", "/y", 6)}


def test_the_list_is_of_the_time_that_was_asked_for(path, journal):
    journal.add([alert(str(n), raised_us=NOW_US + n) for n in range(5)], [], NOW_US)
    assert [entry.alert.key for entry in entries(path, NOW_US + 1, NOW_US + 3)] == ["1", "2"]


def test_only_one_may_watch(path, journal):
    with pytest.raises(LedgerHeldError, match=rf"watched for already \(process {os.getpid()}\)"):
        AlertJournal(path, NOW_US)
    assert watcher(path).pid == os.getpid()
    journal.close()
    assert watcher(path) is None


def test_without_a_journal_that_is_said(path):
    with pytest.raises(NoDataError):
        entries(path, 0, 1)
    with pytest.raises(NoDataError):
        transports(path)


_KILLED_BEFORE_MARKING = textwrap.dedent("""
    import os, signal, sys
    from netusage.ledger.alert_journal import Alert, AlertJournal
    journal = AlertJournal(sys.argv[1], 1)
    journal.add([Alert("a", "gap", 1, "s", "t", {})], ["mail"], 1, memory={"gaps": {"id": 1}})
    assert len(journal.waiting("mail")) == 1
    os.kill(os.getpid(), signal.SIGKILL)  # sent, and not noted yet
""")


@pytest.mark.system
def test_who_is_killed_between_sending_and_noting_sends_again(path):
    source = os.path.dirname(os.path.dirname(os.path.dirname(alert_journal.__file__)))
    command = [sys.executable, "-c", _KILLED_BEFORE_MARKING, path]
    done = subprocess.run(command, env=os.environ | {"PYTHONPATH": source}, check=False)
    assert done.returncode == -9
    with closing(AlertJournal(path, NOW_US)) as journal:
        assert journal.set_aside_to is None
        assert keys(journal.waiting("mail")) == ["a"]
        assert journal.memory() == {"gaps": {"id": 1}}


def _tear(path):
    with open(path, "r+b") as file:
        file.truncate(os.path.getsize(path) // 2)


def _overwrite(path):
    with open(path, "r+b") as file:
        file.seek(4096)
        file.write(os.urandom(8192))


def _replace(path):
    with open(path, "wb") as file:
        file.write(b"my notes\n" * 100)


@pytest.mark.parametrize("damage", [_tear, _overwrite, _replace])
def test_a_damaged_journal_is_set_aside_and_a_new_one_is_begun(path, damage):
    with closing(AlertJournal(path, NOW_US)) as journal:
        journal.add([alert(str(n)) for n in range(200)], ["mail"], NOW_US)
    damage(path)
    content = Path(path).read_bytes()
    with closing(AlertJournal(path, NOW_US)) as journal:
        assert journal.set_aside_to == f"{path}.set-aside-20261026T073320Z"
        assert journal.add([alert("a")], ["mail"], NOW_US) == [alert("a")]
        assert keys(journal.waiting("mail"))[-1] == "a"
    assert Path(journal.set_aside_to).read_bytes() == content


def test_what_can_be_read_of_a_damaged_journal_is_taken_over(path):
    with closing(AlertJournal(path, NOW_US)) as journal:
        many = [alert(str(n))._replace(text="x" * 3000) for n in range(100)]
        journal.add(
            many, ["mail"], NOW_US, memory={"gaps": {"id": 3}}, executables=[Executable("x", "/x", 5)]
        )
        journal.delivered("mail", range(1, 51), "gap", NOW_US)
    with closing(sqlite3.connect(path)) as other:
        sql = "SELECT pgno FROM dbstat WHERE name = 'alert' AND pagetype = 'leaf' ORDER BY pgno DESC LIMIT 1"
        page = _last_leaf(other, sql)
    with open(path, "r+b") as file:
        file.seek((page - 1) * 4096)
        file.write(b"\xff" * 4096)
    with closing(AlertJournal(path, NOW_US)) as journal:
        assert journal.set_aside_to is not None
        assert journal.memory() == {"gaps": {"id": 3}}
        assert journal.executables() == {Executable("x", "/x", 5)}
        waiting = keys(journal.waiting("mail"))
        assert 20 <= len(waiting) < 50
        assert waiting[0] == "50"  # what was delivered is not delivered again
        assert journal.add([alert("1"), alert("99")], ["mail"], NOW_US) == [alert("99")]


def _last_leaf(connection, sql):
    """The number of the last leaf page of a table; where SQLite was built without dbstat, one near the end."""
    try:
        return connection.execute(sql).fetchone()[0]
    except sqlite3.OperationalError:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        return pages - 1


def test_a_journal_that_is_taken_away_while_it_is_written_is_noticed(path, journal):
    journal.add([alert("a")], ["mail"], NOW_US)
    os.unlink(path)
    with pytest.raises(LedgerCorruptError, match="removed or replaced"):
        journal.add([alert("b")], ["mail"], NOW_US)
    journal.replace(NOW_US)
    assert journal.add([alert("b")], ["mail"], NOW_US) == [alert("b")]


def test_a_file_that_never_was_a_journal_is_refused_and_untouched(path):
    _replace(path)
    content = Path(path).read_bytes()
    with pytest.raises(LedgerError, match="is no journal of alerts"):
        AlertJournal(path, NOW_US)
    assert Path(path).read_bytes() == content


def test_another_program_s_database_is_refused_and_untouched(path):
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE recipe (name TEXT)")
    content = Path(path).read_bytes()
    with pytest.raises(LedgerNewerError, match="database of another program"):
        AlertJournal(path, NOW_US)
    assert Path(path).read_bytes() == content


def test_a_newer_journal_is_refused(path):
    AlertJournal(path, NOW_US).close()
    with closing(sqlite3.connect(path)) as other:
        other.execute("PRAGMA user_version = 99")
    with pytest.raises(LedgerNewerError, match="newer netusage"):
        AlertJournal(path, NOW_US)
    with pytest.raises(LedgerNewerError, match="newer netusage"):
        entries(path, 0, 1)


@pytest.mark.system
@pytest.mark.root
def test_on_a_full_disk_nothing_is_half_kept_and_it_goes_on_when_there_is_room(disks):
    disk = disks(512)
    path = str(disk.path / "ledger.db.alerts")
    with closing(AlertJournal(path, NOW_US)) as journal:
        journal.add([alert("a")], ["mail"], NOW_US, memory={"gaps": {"id": 1}})
        disk.fill()
        many = [alert(f"b{n}")._replace(text="x" * 4000) for n in range(40)]
        with pytest.raises(LedgerBusyError, match="full"):
            journal.add(many, ["mail"], NOW_US, memory={"gaps": {"id": 2}})
        assert keys(journal.waiting("mail")) == ["a"]
        assert journal.memory() == {"gaps": {"id": 1}}
        disk.free()
        assert len(journal.add(many, ["mail"], NOW_US, memory={"gaps": {"id": 2}})) == 40
        assert journal.memory() == {"gaps": {"id": 2}}
