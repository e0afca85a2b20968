import os
import shutil

import pytest

from netusage.doctor import record
from netusage.doctor.findings import Verdict
from netusage.doctor.record import check_record
from netusage.ledger.batch import Batch, Epoch, Health
from netusage.ledger.writer import LedgerWriter
from netusage.model import US, ZERO, Gap, GapKind, Instant, Link, Place
from netusage.units import Units

PLACE = Place("a boot", 1, "a machine")


def findings(path):
    return {finding.about: finding for finding in check_record(path, Units.SI)}


@pytest.fixture
def now_us():
    import time

    return time.time_ns() // 1000


@pytest.fixture
def writer(tmp_path, now_us):
    book = LedgerWriter(str(tmp_path / "l.db"), PLACE, boot_us=now_us - US, now_us=now_us, source="replay")
    yield book
    book.close()


def commit(writer, now_us, **facts):
    epoch = Epoch(PLACE, Link(1, "eth0"), now_us, "first-sight", ZERO, ZERO)
    batch = Batch(Instant(1, 1, now_us), [(now_us - US, now_us)], epochs=[epoch], **facts)
    writer.commit(batch)


def test_no_ledger_is_a_note_that_says_how_to_begin(tmp_path):
    found = findings(tmp_path / "none.db")["ledger"]
    assert found.verdict is Verdict.NOTE
    assert "netusage daemon" in found.todo


def test_a_running_recorder_is_named_with_its_health(writer, now_us):
    commit(
        writer, now_us, health=Health(samples=100, commits=10, commit_total_us=30_000, commit_max_us=9_000)
    )
    found = findings(tmp_path_of(writer))
    assert found["recorder"].verdict is Verdict.OK
    assert str(os.getpid()) in found["recorder"].found
    assert found["health"].verdict is Verdict.OK
    assert "3.0 ms on average, 9.0 ms at most" in found["health"].found


def test_failed_samples_and_commits_are_noted(writer, now_us):
    commit(writer, now_us, health=Health(samples=100, failed_samples=1, commits=1))
    assert findings(tmp_path_of(writer))["health"].verdict is Verdict.NOTE


def test_many_late_samples_are_noted_as_a_busy_machine(writer, now_us):
    commit(writer, now_us, health=Health(samples=100, late_samples=2, commits=1))
    found = findings(tmp_path_of(writer))["health"]
    assert found.verdict is Verdict.NOTE
    assert "busy" in found.todo


def test_a_recorder_that_is_gone_is_a_problem(writer, now_us):
    commit(writer, now_us, ended="stopped")
    writer.close()
    found = findings(tmp_path_of(writer))["recorder"]
    assert found.verdict is Verdict.PROBLEM
    assert "the last one stopped" in found.found


def test_a_recorder_that_was_killed_is_told_from_one_that_was_stopped(writer, now_us):
    commit(writer, now_us)
    writer.close()
    assert "was killed or lost power" in findings(tmp_path_of(writer))["recorder"].found


def test_gaps_that_lost_bytes_are_noted(writer, now_us):
    gaps = [
        Gap(now_us - US, now_us, GapKind.REBOOT, lossy=True),
        Gap(now_us - US, now_us, GapKind.SUSPEND, lossy=False),
    ]
    commit(writer, now_us, gaps=gaps)
    found = findings(tmp_path_of(writer))["gaps"]
    assert found.verdict is Verdict.NOTE
    assert found.found.startswith("2 in the last seven days, 1 of them")


def test_little_space_is_a_problem(writer, now_us, monkeypatch):
    commit(writer, now_us)
    free = shutil.disk_usage(os.path.dirname(writer.path)).free
    monkeypatch.setattr(record, "_LITTLE_SPACE_BYTES", free * 2)
    found = findings(tmp_path_of(writer))["ledger"]
    assert found.verdict is Verdict.PROBLEM
    assert "room" in found.todo


def test_a_file_that_is_no_ledger_is_a_problem_and_stays_as_it_is(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("not a database, and long enough to be looked at as one")
    before = path.read_bytes()
    assert findings(path)["ledger"].verdict is Verdict.PROBLEM
    assert path.read_bytes() == before


def tmp_path_of(writer):
    from pathlib import Path

    return Path(writer.path)
