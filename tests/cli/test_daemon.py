"""netusage daemon as a process: signals, refusals, and what it says."""

import contextlib
import os
import re
import signal
import sqlite3
import time

import pytest
from support.book import assert_it_adds_up, gaps, recorded, rows
from support.namespace import Traffic, added, difference
from support.patience import until

from netusage.ledger.schema import VERSION

pytestmark = pytest.mark.system


@pytest.fixture
def daemon(start, ledger):
    """Starts a daemon where the tests run."""
    return lambda *arguments, **options: start("daemon", "--db", ledger, *arguments, **options)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_stops_it_with_a_last_commit_and_its_exit_code(daemon, ledger, number, code):
    recorder = daemon().wait_until_recording()
    assert recorder.stop(number) == code
    assert re.fullmatch(rf"netusage: recording into {ledger} from (netlink|psutil)\n", recorder.err)
    assert recorder.out == ""
    assert sorted(path.name for path in ledger.parent.glob("ledger*")) == ["ledger.db", "ledger.db.lock"]
    assert [row["ended"] for row in rows(ledger, "SELECT ended FROM run")] == ["stopped"]
    assert_it_adds_up(ledger)


def test_signals_in_quick_succession_stop_it_once(daemon, ledger):
    for _ in range(5):
        recorder = daemon().wait_until_recording()
        for _ in range(20):
            recorder.send(signal.SIGINT)
            time.sleep(0.002)
        assert recorder.wait() in (130, -signal.SIGINT)
        assert "internal" not in recorder.err
    assert {row["ended"] for row in rows(ledger, "SELECT ended FROM run")} == {"stopped"}


def test_it_ends_soon_after_ctrl_c_while_it_waits_for_the_next_reading(daemon):
    recorder = daemon("--sample-interval", "60s", "--commit-interval", "10min").wait_until_recording()
    began = time.monotonic()
    assert recorder.stop(signal.SIGINT) == 130
    assert time.monotonic() - began < 10  # far below the 60 s to the next reading


def test_ctrl_c_twice_ends_it_although_its_ledger_is_locked(daemon, ledger):
    recorder = daemon().wait_until_recording()
    with contextlib.closing(sqlite3.connect(ledger, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        recorder.send(signal.SIGINT)
        time.sleep(0.1)
        recorder.send(signal.SIGINT)
        assert recorder.wait() == 130
        assert "it is locked" in recorder.err
        assert len(recorder.err.splitlines()) == 2
        other.execute("ROLLBACK")
    assert [row["ended"] for row in rows(ledger, "SELECT ended FROM run")] == [None]


def _configured(tmp_path, text):
    file = tmp_path / "config.toml"
    file.write_text(text)
    return file


@pytest.mark.root
def test_sighup_takes_over_a_changed_configuration_and_refuses_a_broken_one(space, record, ledger, tmp_path):
    space.pair("va", "vb")
    file = _configured(tmp_path, "")
    recorder = record(space, "--config", file)
    before = space.counters()
    space.send("va", 10)
    _configured(tmp_path, "[interfaces]\nnot_counted = ['v*']\n")
    recorder.send(signal.SIGHUP)
    recorder.wait_for_words("configuration reloaded")
    _configured(tmp_path, "[interfaces]\nnot_countd = []\n")
    recorder.send(signal.SIGHUP)
    recorder.wait_for_words("keeping the present configuration")
    space.send("va", 10)
    truth = added(difference(before, space.counters()))
    assert recorder.stop() == 143
    assert recorded(ledger) == truth
    assert f"{file}:2" in recorder.err
    assert "not_counted" in recorder.err
    assert len(recorder.err.splitlines()) == 3
    found = rows(ledger, "SELECT counted, reason FROM interface WHERE name = 'va'")
    assert [tuple(row) for row in found] == [(0, "left out by the configuration")]
    assert not gaps(ledger)


def test_sighup_moves_the_time_between_readings(daemon, ledger, tmp_path):
    file = _configured(tmp_path, "recorder.sample_interval = '60s'\nrecorder.commit_interval = '60s'\n")
    recorder = daemon("--config", file).wait_until_recording()
    _configured(tmp_path, "recorder.sample_interval = '100ms'\nrecorder.commit_interval = '100ms'\n")
    recorder.send(signal.SIGHUP)
    until(lambda: rows(ledger, "SELECT max(samples) FROM run")[0][0] > 5, "readings ten times a second")
    assert recorder.stop() == 143


def test_a_second_recorder_on_one_ledger_is_refused_in_one_line(daemon, ledger):
    first = daemon().wait_until_recording()
    second = daemon()
    assert second.wait() == 1
    assert second.err.startswith(
        f"netusage: the ledger {ledger} is held by a running recorder (process {first.pid})"
    )
    assert len(second.err.splitlines()) == 1
    link = ledger.with_name("other.db")
    link.symlink_to(ledger)
    third = daemon("--db", link)
    assert third.wait() == 1
    assert "is held by a running recorder" in third.err
    assert first.stop() == 143
    assert len(rows(ledger, "SELECT * FROM run")) == 1
    assert daemon().wait_until_recording().stop() == 143


def test_a_lock_file_that_a_killed_recorder_left_keeps_nobody_out(daemon, ledger):
    daemon().wait_until_recording().kill()
    assert ledger.with_name("ledger.db.lock").exists()
    assert daemon().wait_until_recording().stop() == 143


def _newer(path):
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA user_version = 99")


def _foreign(path):
    path.unlink()
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("CREATE TABLE recipe (name TEXT)")


def _foreign_with_a_log(path):
    _foreign(path)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_newer, f"has schema 99, and this netusage knows schemas up to {VERSION}; upgrade netusage"),
        (_foreign, "is a database of another program; choose another file with --db"),
        (_foreign_with_a_log, "is a database of another program; choose another file with --db"),
    ],
)
def test_a_ledger_of_a_newer_version_or_another_program_is_refused_and_untouched(
    daemon, ledger, change, words
):
    daemon().wait_until_recording().stop()
    change(ledger)
    content = ledger.read_bytes()
    refused = daemon()
    assert refused.wait() == 1
    assert words in refused.err
    assert len(refused.err.splitlines()) == 1
    assert ledger.read_bytes() == content
    assert not list(ledger.parent.glob("*set-aside*"))


@pytest.mark.parametrize("content", [b"my notes\n", b"x" * 100_000, b"SQLite", b"{}"])
def test_a_file_that_never_was_a_ledger_is_refused_and_untouched(daemon, ledger, content):
    ledger.write_bytes(content)
    refused = daemon()
    assert refused.wait() == 1
    assert "is not a ledger; choose another file with --db" in refused.err
    assert len(refused.err.splitlines()) == 1
    assert ledger.read_bytes() == content
    assert [path.name for path in ledger.parent.glob("ledger*")] == ["ledger.db"]


def test_another_program_s_database_that_was_refused_is_not_taken_for_a_ledger_when_it_is_damaged(
    daemon, ledger
):
    ledger.touch()
    _foreign(ledger)
    assert daemon().wait() == 1
    ledger.write_bytes(b"damaged" + ledger.read_bytes())
    content = ledger.read_bytes()
    assert daemon().wait() == 1
    assert ledger.read_bytes() == content
    assert not list(ledger.parent.glob("*set-aside*"))


def test_a_directory_given_as_a_ledger_is_refused(daemon, tmp_path):
    refused = daemon("--db", tmp_path)
    assert refused.wait() == 1
    assert refused.err.startswith(f"netusage: {tmp_path} is a directory; ")


def test_the_directories_of_a_ledger_are_made(daemon, tmp_path):
    path = tmp_path / "a" / "b" / "ledger.db"
    assert daemon("--db", path).wait_until_recording().stop() == 143
    assert_it_adds_up(path)


def test_without_a_place_given_it_records_into_the_state_directory(start, tmp_path):
    recorder = start("daemon", environment={"XDG_STATE_HOME": str(tmp_path / "state")}).wait_until_recording()
    assert recorder.stop() == 143
    path = recorder.err.removeprefix("netusage: recording into ").partition(" from ")[0]
    assert rows(path, "SELECT ended FROM run")[0]["ended"] == "stopped"


@pytest.mark.parametrize(
    "arguments",
    [["--sample-interval", "1ms"], ["--commit-interval", "never"], ["--source", "magic"], ["extra"]],
)
def test_arguments_that_make_no_sense_are_refused_before_anything_is_made(daemon, ledger, arguments):
    refused = daemon(*arguments)
    assert refused.wait() == 2
    assert len(refused.err.splitlines()) == 1
    assert not ledger.exists()


@pytest.mark.root
def test_the_portable_source_records_to_the_byte_as_well(space, record, ledger):
    space.pair("va", "vb")
    recorder = record(space, "--source", "psutil")
    before = space.counters()
    with Traffic(space, "va", "vb"):
        time.sleep(0.7)
    truth = added(difference(before, space.counters()))
    assert recorder.stop() == 143
    assert recorded(ledger) == truth
    assert "from psutil" in recorder.err
    assert_it_adds_up(ledger)


@pytest.mark.root
def test_what_an_interface_had_counted_before_is_recorded_when_it_is_asked_for(space, record, ledger):
    space.pair("va", "vb")
    space.send("va", 33)
    recorder = record(space, "--count-since-boot")
    space.send("va", 11)
    truth = added(space.counters())
    assert recorder.stop() == 143
    assert recorded(ledger) == truth
    assert truth["va"].tx_packets == 44
    assert_it_adds_up(ledger)


@pytest.mark.root
def test_it_goes_on_recording_when_nobody_reads_what_it_says(space, start, ledger):
    space.pair("va", "vb")
    reader, writer = os.pipe()
    recorder = start("daemon", "--db", ledger, "--commit-interval", "1s", space=space, terminal=writer)
    os.close(writer)
    recorder.wait_until_recording()
    os.close(reader)
    with contextlib.closing(sqlite3.connect(ledger, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        space.send("va", 10)
        time.sleep(1.5)  # a commit fails, and that is said to nobody
        other.execute("ROLLBACK")
    space.send("va", 10)
    truth = added(space.counters())
    assert recorder.stop() == 143
    assert recorded(ledger) == truth
    assert_it_adds_up(ledger)
