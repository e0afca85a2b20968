"""No room, no permission, no lock: counting goes on in memory, it is said, and nothing is lost."""

import sqlite3
import time

import pytest
from support.book import assert_it_adds_up, gaps, recorded, rows
from support.namespace import Traffic, added, difference

pytestmark = [pytest.mark.system, pytest.mark.alone, pytest.mark.root]


def test_a_full_file_system_loses_nothing_once_it_has_room_again(space, record, disks):
    disk = disks(2048)
    ledger = disk.path / "ledger.db"
    space.pair("va", "vb")
    recorder = record(space, path=ledger, commit="200ms")
    before = space.counters()
    with Traffic(space, "va", "vb"):
        time.sleep(0.4)
        disk.fill()
        recorder.wait_for_words("counting goes on in memory")
        space.pair("wa", "wb")
        space.send("wa", 50)
        time.sleep(1)
        space.ip("link", "del", "wa")
        disk.free()
        recorder.wait_for_words("the ledger can be written again; nothing was lost")
    truth = added(difference(before, space.counters()))
    assert recorder.stop() == 143
    found = recorded(ledger)
    assert found.pop("wa").tx_bytes == found.pop("wb").rx_bytes == 50_000
    assert found == truth
    assert "full" in recorder.err
    assert len(recorder.err.splitlines()) == 3
    assert not gaps(ledger)
    assert rows(ledger, "SELECT failed_commits FROM run")[0][0] >= 3
    assert_it_adds_up(ledger)


def test_a_recorder_stopped_on_a_full_file_system_goes_on_where_the_ledger_ends(space, record, disks):
    disk = disks(2048)
    ledger = disk.path / "ledger.db"
    space.pair("va", "vb")
    recorder = record(space, path=ledger, commit="200ms")
    before = space.counters()
    space.send("va", 10)
    disk.fill()
    recorder.wait_for_words("counting goes on in memory")
    space.send("va", 20)
    assert recorder.stop() == 143
    space.send("va", 30)
    disk.free()
    recorder = record(space, path=ledger)
    truth = added(difference(before, space.counters()))
    assert recorder.stop() == 143
    assert recorded(ledger) == truth
    assert not gaps(ledger, lossy=1)
    assert_it_adds_up(ledger)


def test_a_ledger_that_cannot_be_begun_on_a_full_file_system_is_refused_in_one_line(start, disks):
    disk = disks(1024)
    disk.fill()
    refused = start("daemon", "--db", disk.path / "ledger.db")
    assert refused.wait() == 1
    assert len(refused.err.splitlines()) == 1
    assert "full" in refused.err or "No space left" in refused.err
    disk.free()
    begun = start("daemon", "--db", disk.path / "ledger.db")
    assert begun.wait_until_recording().stop() == 143


def test_a_file_system_that_is_too_small_for_a_ledger_is_said_to_be_full(start, disks):
    refused = start("daemon", "--db", disks(64).path / "ledger.db")
    assert refused.wait() == 1
    assert len(refused.err.splitlines()) == 1
    assert "full" in refused.err


def test_a_ledger_in_a_read_only_place_is_refused_in_one_line_and_untouched(space, record, start, disks):
    disk = disks()
    ledger = disk.path / "ledger.db"
    assert record(space, path=ledger).stop() == 143
    content = ledger.read_bytes()
    disk.read_only()
    for path in (ledger, disk.path / "other.db", disk.path / "below" / "other.db"):
        refused = start("daemon", "--db", path, space=space)
        assert refused.wait() == 1
        assert len(refused.err.splitlines()) == 1
        assert "Read-only file system" in refused.err
        assert str(disk.path) in refused.err
    disk.read_only(False)
    assert ledger.read_bytes() == content
    assert sorted(path.name for path in disk.path.iterdir()) == ["ledger.db", "ledger.db.lock"]


def test_a_ledger_locked_for_many_commit_intervals_loses_nothing(space, record, ledger):
    space.pair("va", "vb")
    recorder = record(space, commit="200ms")
    before = space.counters()
    lock = sqlite3.connect(ledger, isolation_level=None)
    with Traffic(space, "va", "vb"):
        lock.execute("BEGIN IMMEDIATE")
        recorder.wait_for_words("counting goes on in memory")
        began = rows(ledger, "SELECT samples FROM run")[0][0]
        time.sleep(4)
        lock.execute("COMMIT")
        recorder.wait_for_words("nothing was lost")
        during = rows(ledger, "SELECT samples FROM run")[0][0] - began
    lock.close()
    truth = added(difference(before, space.counters()))
    assert recorder.stop() == 143
    assert recorded(ledger) == truth
    assert during >= 10, "it went on reading while it could not write"
    assert len(recorder.err.splitlines()) == 3
    assert "it is locked" in recorder.err
    assert not gaps(ledger)
    assert_it_adds_up(ledger)


def test_a_recorder_stopped_while_its_ledger_is_locked_goes_on_where_the_ledger_ends(space, record, ledger):
    space.pair("va", "vb")
    recorder = record(space, commit="200ms")
    before = space.counters()
    lock = sqlite3.connect(ledger, isolation_level=None)
    lock.execute("BEGIN IMMEDIATE")
    space.send("va", 25)
    recorder.wait_for_words("counting goes on in memory")
    assert recorder.stop() == 143
    lock.execute("COMMIT")
    lock.close()
    recorder = record(space)
    truth = added(difference(before, space.counters()))
    assert recorder.stop() == 143
    assert recorded(ledger) == truth
    assert not gaps(ledger, lossy=1)
    assert_it_adds_up(ledger)


def test_readers_see_whole_commits_and_disturb_none_while_it_is_recorded(space, record, ledger):
    space.pair("va", "vb")
    recorder = record(space, commit="100ms")
    before = space.counters()
    seen = []
    with Traffic(space, "va", "vb"):
        end = time.monotonic() + 2
        while time.monotonic() < end:
            assert_it_adds_up(ledger)
            seen.append(recorded(ledger))
    truth = added(difference(before, space.counters()))
    assert recorder.stop() == 143
    assert recorded(ledger) == truth
    assert len({found["va"] for found in seen if found}) > 5
    assert rows(ledger, "SELECT failed_commits FROM run")[0][0] == 0
    assert "counting goes on" not in recorder.err
