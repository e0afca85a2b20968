"""netusage track as a process: on a terminal and piped, its CSV files, its ledger, and how it ends."""

import contextlib
import csv
import fcntl
import os
import re
import select
import signal
import struct
import termios
import time
from datetime import datetime

import pytest
from support.book import assert_it_adds_up, recorded, rows
from support.namespace import Traffic, added, difference
from support.patience import LONG, until

from netusage.units import Units, megabytes

pytestmark = pytest.mark.system

_UTC = ("--tz", "UTC")


class Terminal:
    """A terminal of so many columns, and everything that was shown on it."""

    def __init__(self, columns):
        self._master, self.slave = os.openpty()
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("4H", 24, columns, 0, 0))
        self.shown = ""

    def read(self):
        """Take what was written since the last look."""
        while select.select([self._master], [], [], 0)[0]:
            try:
                self.shown += os.read(self._master, 1 << 16).decode()
            except OSError:
                break
        return self.shown

    def wait_for(self, truth):
        """Read until it is true of everything shown."""
        until(lambda: truth(self.read()), lambda: f"something in {self.shown!r}")

    def type(self, keys):
        """Press keys."""
        os.write(self._master, keys)

    def close(self):
        """Take the terminal away."""
        for descriptor in (self._master, self.slave):
            with contextlib.suppress(OSError):
                os.close(descriptor)

    def on_screen(self):
        """The lines that one sees in the end."""
        lines = [""]
        for piece in re.split(r"(\r\n|\r\x1b\[K)", self.read()):
            if piece == "\r\n":
                lines.append("")
            elif piece == "\r\x1b[K":
                lines[-1] = ""
            else:
                lines[-1] += piece
        return lines


@pytest.fixture
def terminals():
    """Makes terminals; they are closed at the end."""
    made = []

    def make(columns):
        made.append(Terminal(columns))
        return made[-1]

    yield make
    for terminal in made:
        terminal.close()


@pytest.fixture
def track(start, ledger):
    """Starts a tracker."""
    return lambda *arguments, **options: start("track", "--db", ledger, *_UTC, *arguments, **options)


@pytest.fixture
def table(tmp_path):
    """Reads the one CSV file of a directory."""

    def read(directory=tmp_path):
        (path,) = directory.glob("network_usage_*.csv")
        with open(path, newline="") as file:
            return list(csv.DictReader(file))

    return read


def test_piped_it_prints_plain_lines_and_a_summary(track, table, ledger, tmp_path):
    tracker = track("--for", "1s", "--interval", "250ms")
    assert tracker.wait() == 0
    assert tracker.err == ""
    lines = tracker.out.splitlines()
    assert lines[0] == "Tracking the network usage of this machine. Ctrl-C stops."
    assert "every 250ms" in lines[1]
    assert "1 MB is 1,000,000 bytes" in lines[1]
    assert str(ledger) in lines[2]
    assert re.search(r"network_usage_\d{4}-\d\d-\d\d\.csv", lines[3])
    logged = re.compile(
        r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d  sent [\d.]+ MB  received [\d.]+ MB  total [\d.]+ MB"
    )
    assert 1 <= len([line for line in lines if logged.fullmatch(line)]) == len(table())
    assert lines[-6] == "Tracked for 1s"
    assert "\x1b" not in tracker.out
    assert "\r" not in tracker.out
    assert list(table()[0]) == ["Timestamp", "Sent (MB)", "Received (MB)", "Total (MB)"]
    assert all(datetime.fromisoformat(row["Timestamp"]).utcoffset() is not None for row in table())
    assert rows(ledger, "SELECT ended FROM run")[0]["ended"] == "stopped"
    assert not list(tmp_path.glob("*set-aside*"))


def test_ctrl_c_writes_the_last_row_prints_a_summary_and_exits_130(track, table):
    tracker = track().wait_for_output("Logging to")
    time.sleep(0.2)
    assert tracker.stop(signal.SIGINT) == 130
    assert "Tracked for" in tracker.out
    assert len(table()) == 1
    assert "Traceback" not in tracker.err


def test_sigterm_writes_the_last_row_and_exits_143(track, table):
    tracker = track().wait_for_output("Logging to")
    assert tracker.stop() == 143
    assert "Tracked for" in tracker.out
    assert len(table()) == 1


@pytest.mark.root
def test_what_it_shows_logs_and_records_is_what_the_kernel_counted(space, track, table, ledger):
    space.pair("va", "vb")
    tracker = track("--interface", "va", "--interval", "200ms", space=space).wait_until_recording()
    before = space.counters()
    with Traffic(space, "va", "vb", burst=20):
        time.sleep(1)
    truth = added(difference(before, space.counters()))
    assert tracker.stop(signal.SIGINT) == 130
    sent, received = truth["va"].tx_bytes, truth["va"].rx_bytes
    assert f"({sent:,} bytes)" in tracker.out
    assert f"({received:,} bytes)" in tracker.out
    assert f"({sent + received:,} bytes)" in tracker.out
    assert list(table()[-1].values())[1:] == [
        megabytes(n, Units.SI) for n in (sent, received, sent + received)
    ]
    totals = [float(row["Total (MB)"]) for row in table()]
    assert totals == sorted(totals)
    assert totals[-1] > 1
    assert len(table()) >= 2
    assert recorded(ledger) == truth
    assert_it_adds_up(ledger)


@pytest.mark.root
def test_the_interfaces_of_a_pattern_are_added_up_also_when_they_go_away(space, track, table):
    space.pair("va", "wa")
    tracker = track("--interface", "v*", "--interface", "x?", space=space).wait_until_recording()
    space.send("va", 100)
    space.send("wa", 10)
    space.pair("vb", "wb")
    space.send("vb", 200)
    space.ip("link", "del", "vb")
    space.pair("xb", "xyz")
    space.send("xb", 300)
    assert tracker.stop() == 143
    assert "(600,000 bytes)" in tracker.out
    assert "(10,000 bytes)" in tracker.out
    assert table()[-1]["Sent (MB)"] == "0.60"
    assert "of v*, x?." in tracker.out


@pytest.mark.root
def test_the_cumulative_amount_never_goes_down_when_an_interface_leaves_the_total(
    spaces, track, table, tmp_path
):
    here, elsewhere = spaces(), spaces()
    here.pair("va", "vb", peer=elsewhere)
    config = tmp_path / "config.toml"
    config.write_text("")
    tracker = track("--config", config, "--interval", "200ms", space=here).wait_until_recording()
    here.send("va", 300)
    until(lambda: any(row["Sent (MB)"] == "0.30" for row in table()), "the row that says so")
    config.write_text("[interfaces]\nnot_counted = ['v*']\n")
    tracker.send(signal.SIGHUP)
    tracker.wait_for_words("configuration reloaded")
    here.send("va", 500)
    time.sleep(0.5)  # for a reading
    config.write_text("")
    tracker.send(signal.SIGHUP)
    until(lambda: tracker.err.count("configuration reloaded") == 2, "the second reload")
    here.send("va", 100)
    assert tracker.stop() == 143
    totals = [float(row["Total (MB)"]) for row in table()]
    assert totals == sorted(totals)
    assert "(400,000 bytes)" in tracker.out


def test_binary_units_are_said_on_the_console_and_in_the_header(track, table):
    tracker = track("--units", "iec", "--for", "200ms")
    assert tracker.wait() == 0
    assert "1 MiB is 1,048,576 bytes" in tracker.out
    assert list(table()[0]) == ["Timestamp", "Sent (MiB)", "Received (MiB)", "Total (MiB)"]


def test_a_file_in_another_unit_is_refused_and_untouched(track, tmp_path):
    assert track("--for", "100ms").wait() == 0
    (path,) = tmp_path.glob("network_usage_*.csv")
    content = path.read_bytes()
    refused = track("--units", "iec", "--for", "100ms")
    assert refused.wait() == 1
    assert "choose --units, or another directory with --csv DIR" in refused.err
    assert len(refused.err.splitlines()) == 1
    assert path.read_bytes() == content


def test_it_appends_to_the_file_of_an_earlier_run_and_repairs_its_last_line(track, table, tmp_path):
    assert track("--for", "100ms").wait() == 0
    (path,) = tmp_path.glob("network_usage_*.csv")
    first = path.read_bytes()
    path.write_bytes(first + first.splitlines()[-1][:30] + b"\0" * 50)
    again = track("--for", "100ms")
    assert again.wait() == 0
    assert "took away its half-written last line" in again.err
    assert path.read_bytes().startswith(first)
    assert len(table()) == 2


def test_a_killed_tracker_leaves_whole_lines(track, table):
    tracker = track("--interval", "100ms")
    until(lambda: tracker.out.count("sent ") > 3, "some lines")
    tracker.kill()
    assert track("--for", "100ms").wait() == 0
    assert all(re.fullmatch(r"[\d.]+", row["Total (MB)"]) for row in table())


def test_the_csv_goes_where_it_is_asked_for_and_nowhere_without_one(track, table, tmp_path):
    place = tmp_path / "place"
    place.mkdir()
    assert track("--for", "100ms", "--csv", place).wait() == 0
    assert len(table(place)) == 1
    assert track("--for", "100ms", "--no-csv").wait() == 0
    assert not list(tmp_path.glob("*.csv"))
    missing = track("--for", "100ms", "--csv", tmp_path / "missing")
    assert missing.wait() == 1
    assert "No such file or directory" in missing.err
    assert "--no-csv" in missing.err


def test_two_trackers_do_not_mix_their_rows_in_one_file(track, tmp_path):
    first = track().wait_for_output("Logging to")
    second = track("--db", tmp_path / "other.db")
    assert second.wait() == 1
    assert "another tracker is writing" in second.err
    assert "--no-csv" in second.err
    assert first.stop() == 143


def test_beside_a_recorder_it_only_shows_and_logs_and_says_so(start, track, table, ledger):
    recorder = start("daemon", "--db", ledger).wait_until_recording()
    tracker = track("--for", "300ms")
    assert tracker.wait() == 0
    assert f"A recorder is running already (the ledger {ledger} is held by a running recorder" in tracker.out
    assert "this tracker only shows and logs." in tracker.out
    assert "Recorded into" not in tracker.out
    assert len(table()) == 1
    assert recorder.stop() == 143
    assert len(rows(ledger, "SELECT * FROM run")) == 1


def test_without_a_ledger_that_it_may_use_it_shows_and_logs_and_says_so(track, table, ledger):
    ledger.write_text("my notes\n")
    tracker = track("--for", "200ms")
    assert tracker.wait() == 0
    assert f"not recording, only showing and logging: {ledger} is not a ledger" in tracker.err
    assert len(table()) == 1
    assert ledger.read_text() == "my notes\n"


@pytest.mark.parametrize(
    "arguments", [["--for", "0"], ["--for", "soon"], ["--interval", "-1s"], ["--units", "metric"]]
)
def test_arguments_that_make_no_sense_are_refused_before_anything_is_made(track, tmp_path, arguments):
    refused = track(*arguments)
    assert refused.wait() == 2
    assert len(refused.err.splitlines()) == 1
    assert not list(tmp_path.glob("*.csv"))
    assert not (tmp_path / "ledger.db").exists()


@pytest.mark.parametrize("columns", [80, 200])
def test_on_a_terminal_the_line_is_live_between_the_logged_ones(track, table, terminals, columns):
    terminal = terminals(columns)
    tracker = track("--interval", "1s", terminal=terminal.slave)
    terminal.wait_for(lambda shown: shown.count("\r\x1b[K") >= 6)
    os.kill(tracker.pid, signal.SIGINT)
    until(lambda: terminal.read() is not None and tracker.popen.poll() is not None, "its end")
    assert tracker.wait() == 130
    drawn = [piece for piece in re.split(r"\r\x1b\[K|\r\n", terminal.read()) if piece.startswith("↓ ")]
    assert len(drawn) >= 3
    assert max(map(len, drawn)) < columns
    screen = terminal.on_screen()
    assert not [line for line in screen if line.startswith("↓ ")], "nothing of the live line is left"
    assert len([line for line in screen if "  sent " in line]) == len(table())
    assert any(line.startswith("Tracked for") for line in screen)


def test_on_a_terminal_that_cannot_redraw_it_prints_plain_lines(track, terminals):
    terminal = terminals(80)
    tracker = track(
        "--for", "500ms", "--interval", "100ms", terminal=terminal.slave, environment={"TERM": "dumb"}
    )
    until(lambda: terminal.read() is not None and tracker.popen.poll() is not None, "its end")
    assert tracker.wait() == 0
    assert "\x1b" not in terminal.read()
    assert "Tracked for" in terminal.shown


@pytest.mark.parametrize("environment", [{}, {"NO_COLOR": "1"}])
def test_it_uses_no_colours(track, terminals, environment):
    terminal = terminals(80)
    tracker = track("--for", "300ms", "--interval", "100ms", terminal=terminal.slave, environment=environment)
    until(lambda: terminal.read() is not None and tracker.popen.poll() is not None, "its end")
    assert tracker.wait() == 0
    assert not re.search(r"\x1b\[[\d;]*m", terminal.read())


def test_it_ends_cleanly_when_nobody_reads_it_any_more(start, ledger, table):
    reader, writer = os.pipe()
    tracker = start("track", "--db", ledger, "--interval", "100ms", terminal=writer)
    os.close(writer)
    tracker.wait_until_recording()
    os.close(reader)
    assert tracker.wait() == 0
    assert rows(ledger, "SELECT ended FROM run")[0]["ended"] == "stopped"
    assert table()


def test_it_tracks_without_a_standard_output(start, ledger, table):
    program = (
        "-c",
        "import os, sys; os.close(1); os.execv(sys.executable, [sys.executable, '-m', 'netusage', *sys.argv[1:]])",
    )
    tracker = start("track", "--db", ledger, "--for", "300ms", program=program)
    assert tracker.wait() == 0
    assert tracker.err == ""
    assert len(table()) == 1


@pytest.mark.root
def test_a_csv_on_a_full_file_system_has_no_half_line_and_gets_all_rows_once_there_is_room(
    track, disks, table
):
    disk = disks(1024)
    tracker = track("--interval", "100ms", "--csv", disk.path)
    path = until(lambda: next(iter(disk.path.glob("*.csv")), None), "the file")
    until(lambda: len(path.read_bytes()) > 60, "a row")
    row = path.read_bytes().splitlines(keepends=True)[-1]
    with open(path, "ab") as file:  # little is left of its last page, which it still has on a full disk
        more = (4096 - 4 * len(row) - path.stat().st_size) // len(row)
        file.write(row * more)
    disk.fill()
    tracker.wait_for_words("No space left on device", LONG)
    assert path.read_bytes().endswith(b"\n")
    time.sleep(0.5)
    assert path.read_bytes().endswith(b"\n")
    disk.free()
    tracker.wait_for_words("can be written again; no row is missing")
    assert tracker.stop() == 143
    assert len(table(disk.path)) == tracker.out.count("  sent ") + more
    assert "the row is kept" in tracker.err
    assert len(tracker.err.splitlines()) == 2


@pytest.mark.root
def test_a_csv_directory_that_is_read_only_is_refused_at_the_start(track, disks):
    disk = disks()
    disk.read_only()
    refused = track("--csv", disk.path)
    assert refused.wait() == 1
    assert "Read-only file system" in refused.err
    assert "--no-csv" in refused.err
    assert len(refused.err.splitlines()) == 1


@pytest.mark.root
def test_a_console_on_a_full_file_system_is_said_and_tracking_goes_on(start, ledger, disks, table):
    disk = disks(64)
    disk.fill()
    with open(disk.path / "out", "wb") as out:
        tracker = start("track", "--db", ledger, "--for", "1s", "--interval", "200ms", out=out)
        code = tracker.wait()
    assert "No space left on device; tracking goes on" in tracker.err
    assert 1 <= len(table()) <= 5
    assert rows(ledger, "SELECT ended FROM run")[0]["ended"] == "stopped"
    assert code in (0, 1)
