import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from support.ledgers import DAY_S, START_S, writing

import netusage
from netusage.cli.failures import run
from netusage.model import GapKind

NOW_S = START_S + 5 * DAY_S


@pytest.fixture
def path(tmp_path, monkeypatch):
    monkeypatch.setattr("time.time_ns", lambda: NOW_S * 10**9)
    monkeypatch.setenv("TZ", "UTC")
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "ledger.db"
    with writing(path) as ledger:
        eth0 = ledger.interface("eth0")
        ledger.count(eth0, START_S, 5, 5)
        ledger.commit(START_S + 2 * DAY_S)
        ledger.gap(
            START_S + 2 * DAY_S, START_S + 2 * DAY_S + 300, GapKind.KILLED, note="the counters gave all back"
        )
        ledger.gap(
            START_S + 3 * DAY_S, START_S + 3 * DAY_S + 60, GapKind.VANISHED, lossy=True, interface="tun0"
        )
        ledger.commit(NOW_S - 600, watched_from_s=START_S + 2 * DAY_S + 300)
    return path


def verify(capsys, path, *arguments):
    code = run(["verify", "--db", str(path), *arguments])
    out, err = capsys.readouterr()
    return code, out, err


def tamper(path):
    connection = sqlite3.connect(path)
    connection.execute("UPDATE epoch SET recorded_rx_bytes = 6")
    connection.commit()
    connection.close()


def test_a_sound_ledger_is_ok_and_shows_its_coverage_and_gaps(capsys, path):
    code, out, err = verify(capsys, path)
    assert (code, err) == (0, "")
    assert out.splitlines()[-1].startswith("OK: ")
    third = next(line for line in out.splitlines() if line.startswith("2026-03-12"))
    assert third.split()[1:] == ["99.7", "%", "1", "5m", "0", "0s", "killed", "1"]
    assert "the counters gave all back" in out
    assert any("tun0" in line and "yes" in line for line in out.splitlines())
    last = next(line for line in out.splitlines() if line.startswith("2026-03-14"))
    assert "10m" in last  # nobody has been watching since


def test_only_gaps_of_the_time_asked_for_are_shown(capsys, path):
    _, out, _ = verify(capsys, path, "--since", "2026-03-13", "--until", "2026-03-13")
    assert "vanished" in out
    assert "killed" not in out
    assert out.count("2026-03-1") == 2


def test_errors_are_told_with_their_place_and_the_code_is_1(capsys, path):
    tamper(path)
    code, out, _ = verify(capsys, path)
    assert code == 1
    assert (
        "ERROR: epoch of eth0 at 2026-03-10T00:00:00+00:00: rx_bytes recorded in epoch 1: expected 5, found 6"
        in out
    )
    assert "netusage repair --dry-run" in out.splitlines()[-1]


def test_json_has_findings_and_coverage(capsys, path):
    tamper(path)
    code, out, _ = verify(capsys, path, "--format", "json")
    answer = json.loads(out)
    assert code == 1
    assert (answer["version"], answer["report"], answer["ok"]) == (1, "verify", False)
    assert answer["findings"][0]["table"] == "epoch"
    assert (answer["findings"][0]["expected"], answer["findings"][0]["found"]) == (5, 6)
    assert answer["rows"][2]["gaps"][0]["kind"] == "killed"
    assert answer["rows"][2]["declared_us"] == 300 * 10**6


def test_a_file_that_is_no_database_is_an_error(capsys, tmp_path):
    broken = tmp_path / "broken.db"
    broken.write_bytes(b"\0" * 9000)
    code, out, err = verify(capsys, broken)
    assert (code, out) == (1, "")
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("code", "arguments"),
    [
        (2, ["--since", "soon"]),
        (2, ["--since", "2026-03-12", "--until", "2026-03-01"]),
        (2, ["--format", "csv"]),
        (2, ["everything"]),
        (3, ["--db", "none.db"]),
    ],
)
def test_bad_input_is_one_line_and_changes_nothing(capsys, path, code, arguments):
    before = path.read_bytes()
    found, out, err = verify(capsys, path, *arguments)
    assert (found, out) == (code, "")
    assert err.count("\n") == 1
    assert path.read_bytes() == before


@pytest.mark.system
def test_ctrl_c_ends_it_at_once_and_is_no_error_of_the_ledger(tmp_path):
    path = tmp_path / "large.db"
    with writing(path) as ledger:
        eth0 = ledger.interface("eth0")
        for minute in range(34 * 1440):
            ledger.count(eth0, START_S + minute * 60, 1)
        ledger.commit(START_S + 34 * DAY_S)
    code = (
        "import _thread, sys, threading\n"
        "from netusage.ledger.reader import LedgerReader\n"
        "with LedgerReader(sys.argv[1]) as reader:\n"
        "    reader.on_progress(lambda: None)\n"
        "    threading.Timer(0.3, _thread.interrupt_main).start()\n"
        "    try:\n"
        "        with reader.reading() as connection:\n"
        "            connection.execute('SELECT count(*) FROM minute a, minute b, minute c').fetchone()\n"
        "    except KeyboardInterrupt:\n"
        "        sys.exit(130)\n"
    )
    environment = os.environ | {"PYTHONPATH": str(Path(netusage.__file__).parent.parent)}
    done = subprocess.run([sys.executable, "-c", code, str(path)], env=environment, timeout=60, check=False)
    assert done.returncode == 130
