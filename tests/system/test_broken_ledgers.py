"""A damaged ledger is set aside byte for byte, it is said, and recording goes on; what is not ours stays untouched."""

import contextlib
import os
import random
import signal
import sqlite3
import time

import pytest
from support.book import assert_it_adds_up, gaps, recorded, rows
from support.namespace import added, difference
from support.patience import until

pytestmark = [pytest.mark.system, pytest.mark.root]


def _garbage(size):
    return random.Random(7).randbytes(size)


def _set_aside(ledger):
    """The files that were set aside, without their logs."""
    return [
        path
        for path in ledger.parent.glob(f"{ledger.name}.set-aside-*")
        if path.suffix[-4:] not in ("-wal", "-shm")
    ]


def _overwrite(path, at, content):
    with open(path, "r+b") as file:
        file.seek(at)
        file.write(content)


def _damage_header(path):
    _overwrite(path, 0, _garbage(100))


def _damage_pages(path):
    _overwrite(path, 4096, _garbage(path.stat().st_size - 4096))


def _damage_one_page(path):
    """A page that no commit of these tests touches: only a look at the whole file finds it."""
    (page,) = rows(path, "SELECT rootpage FROM sqlite_schema WHERE name = 'clock_step'")[0]
    _overwrite(path, (page - 1) * 4096, _garbage(4096))


def _cut_in_half(path):
    os.truncate(path, path.stat().st_size // 2)


def _cut_within_the_header(path):
    os.truncate(path, 50)


def _look_and_cut_in_half(path):
    recorded(path)  # a reader leaves an empty log behind
    _cut_in_half(path)


@pytest.fixture
def filled(space, record, ledger):
    """A ledger with something in it, cleanly stopped."""
    space.pair("va", "vb")
    recorder = record(space)
    space.send("va", 100)
    assert recorder.stop() == 143
    return ledger


@pytest.mark.parametrize(
    "damage", [_damage_header, _damage_pages, _cut_in_half, _cut_within_the_header, _look_and_cut_in_half]
)
def test_a_ledger_damaged_before_the_start_is_set_aside_and_recording_goes_on(space, record, filled, damage):
    damage(filled)
    content = filled.read_bytes()
    recorder = record(space, commit="200ms")
    before = space.counters()
    space.send("va", 7)
    truth = added(difference(before, space.counters()))
    assert recorder.stop() == 143
    (aside,) = _set_aside(filled)
    assert aside.read_bytes() == content
    assert str(aside) in recorder.err
    assert recorded(filled) == truth
    assert_it_adds_up(filled)


@pytest.mark.parametrize("damage", [_damage_header, _damage_pages, _damage_one_page])
def test_a_damaged_ledger_of_a_killed_recorder_is_set_aside_with_its_log(space, record, filled, damage):
    recorder = record(space, commit="100ms")
    already = recorded(filled)
    space.send("va", 100)
    until(lambda: recorded(filled) != already, "a commit")
    recorder.kill()
    damage(filled)
    log = filled.with_name("ledger.db-wal")
    contents = {filled.read_bytes(), log.read_bytes()}
    recorder = record(space)
    before = space.counters()
    space.send("va", 7)
    truth = added(difference(before, space.counters()))
    assert recorder.stop() == 143
    assert contents <= {path.read_bytes() for path in filled.parent.glob("ledger.db.set-aside-*")}
    assert recorded(filled) == truth
    assert_it_adds_up(filled)


def _held_still(recorder, ledger):
    """Stop the recorder in its tracks outside of a commit; what its ledger has then."""
    with contextlib.closing(sqlite3.connect(ledger, timeout=10, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        recorder.send(signal.SIGSTOP)
        time.sleep(0.05)
        connection.execute("ROLLBACK")
    return recorded(ledger)


@pytest.mark.parametrize("way", ["removed", "replaced"])
def test_a_ledger_that_is_taken_away_while_it_is_recorded_into_is_begun_anew(space, record, ledger, way):
    space.pair("va", "vb")
    recorder = record(space, commit="200ms")
    before = space.counters()
    space.send("va", 100)
    until(lambda: recorded(ledger).get("va"), "a commit")
    old = _held_still(recorder, ledger)
    for path in ledger.parent.glob("ledger.db*"):
        if path.suffix != ".lock":
            path.unlink()
    if way == "replaced":
        ledger.write_text("mine\n")
    recorder.send(signal.SIGCONT)
    space.send("va", 50)
    recorder.wait_for_words("removed or replaced")
    space.send("vb", 30)
    truth = added(difference(before, space.counters()))
    assert recorder.stop() == 143
    new = recorded(ledger)
    assert added(old, new) == truth
    assert old["va"].tx_packets < truth["va"].tx_packets
    assert [path.read_text() for path in _set_aside(ledger)] == (["mine\n"] if way == "replaced" else [])
    assert [row["lossy"] for row in gaps(ledger, kind="ledger")] == [0]
    assert_it_adds_up(ledger)


def test_a_ledger_damaged_while_it_is_recorded_into_is_set_aside_and_counting_goes_on(space, record, ledger):
    space.pair("va", "vb")
    recorder = record(space, commit="200ms")
    before = space.counters()
    space.send("va", 100)
    until(lambda: recorded(ledger).get("va"), "a commit")
    old = _held_still(recorder, ledger)
    with contextlib.closing(sqlite3.connect(ledger, isolation_level=None)) as connection:
        connection.execute("UPDATE ledger SET change = change + 1")  # so that it has to read the file again
        connection.execute("PRAGMA wal_checkpoint(RESTART)")
    _damage_pages(ledger)
    content = ledger.read_bytes()
    recorder.send(signal.SIGCONT)
    space.send("va", 50)
    recorder.wait_for_words("the record before this is in")
    space.send("vb", 30)
    truth = added(difference(before, space.counters()))
    assert recorder.stop() == 143
    assert added(old, recorded(ledger)) == truth
    (aside,) = _set_aside(ledger)
    assert aside.read_bytes() == content
    assert str(aside) in recorder.err
    assert [row["lossy"] for row in gaps(ledger, kind="ledger")] == [0]
    assert_it_adds_up(ledger)
