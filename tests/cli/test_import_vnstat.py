"""netusage import vnstat, with a record that the real vnStat made as well."""

import json
import os
import signal
import subprocess
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from support import real_vnstat, vnstat
from support.patience import until

from netusage.cli.failures import run

BERLIN = "Europe/Berlin"
NOW_S = int(datetime(2026, 11, 24, 13, 37, 20, tzinfo=ZoneInfo(BERLIN)).timestamp())


@pytest.fixture
def database(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NETUSAGE_DB", str(tmp_path / "own.db"))
    happened = [(NOW_S - hours * 3600, 1_000_000 * hours, hours) for hours in range(200)]
    return vnstat.write(
        tmp_path / "vnstat.db", BERLIN, {"eth0": happened, "docker0": happened}, NOW_S, alias="Haus"
    )


def asked(capsys, *arguments):
    assert run([*arguments, "--tz", BERLIN, "--format", "json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_it_says_what_it_took_in_and_what_has_no_place(capsys, database):
    answer = asked(capsys, "import", "vnstat", str(database))
    assert answer["not_told"] == ["docker0: its alias 'Haus'", "eth0: its alias 'Haus'"]
    (row,) = [row for row in answer["rows"] if row["interface"] == "eth0"]
    assert row["rx_bytes"] == 1_000_000 * sum(range(200))
    assert (row["end"], row["year_rows"]) == ("2026-11-24T13:37:20+01:00", 1)
    assert asked(capsys, "import", "vnstat", str(database))["new_rows"] == 0
    assert run(["import", "vnstat", str(database), "--tz", BERLIN]) == 0
    out, err = capsys.readouterr()
    assert "eth0: its alias 'Haus'" in out
    assert "took in 0 new rows" in err


def test_reports_tell_it_apart_from_what_was_recorded_here(capsys, database):
    assert asked(capsys, "import", "vnstat", str(database))["host"] == "vnstat"
    (host,) = asked(capsys, "hosts")["rows"]
    assert (host["host"], host["kind"]) == ("vnstat", "vnstat")
    (row,) = asked(capsys, "report", "total", "--host", "vnstat")["rows"]
    assert row["rx_bytes"] == 1_000_000 * sum(range(200))  # a bridge carries what its ports count
    assert asked(capsys, "verify", "--host", "vnstat")["ok"]
    assert asked(capsys, "verify")["counts"]["host"] == 1


def test_a_dry_run_makes_nothing(capsys, database):
    assert asked(capsys, "import", "vnstat", str(database), "--dry-run")["dry_run"]
    assert not os.path.exists("own.db")


@pytest.mark.parametrize(
    ("code", "arguments", "said"),
    [
        (3, ["none.db"], "there is no database of vnStat at none.db"),
        (1, ["text.db"], "is no database of vnStat 2"),
        (1, ["."], "is a directory"),
        (2, ["vnstat.db", "--tz", "Mars/Olympus"], "unknown time zone"),
        (2, ["vnstat.db", "--as", ""], "cannot be the name of a host"),
        (2, ["vnstat.db", "--month-rotate", "40"], "40"),
        (2, ["vnstat.db", "other.db"], "other.db"),
    ],
)
def test_bad_input_is_one_line_and_makes_nothing(capsys, database, code, arguments, said):
    (database.parent / "text.db").write_text("hello")
    names = sorted(os.listdir())
    assert run(["import", "vnstat", *arguments]) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert said in err
    assert sorted(os.listdir()) == names


@pytest.fixture
def vnstatd(tmp_path, space):
    """The real daemon in a namespace of its own, which knows its two interfaces."""
    space.pair("nuv0", "nuv1")
    config = tmp_path / "vnstat.conf"
    config.write_text(
        f'DatabaseDir "{tmp_path}"\nUpdateInterval 1\nPollInterval 1\nSaveInterval 1\nUseLogging 0\n'
        'DaemonUser ""\nDaemonGroup ""\nCreateDirs 0\nMaxBandwidth 0\nBandwidthDetection 0\n'
        f'PidFile "{tmp_path}/vnstatd.pid"\n'
    )
    command = space.command(real_vnstat.DAEMON, "--nodaemon", "--config", str(config))
    environment = {"TZ": BERLIN, "PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            until(
                lambda: told_by_vnstat(tmp_path).keys() >= {"nuv0", "nuv1"},
                lambda: f"vnstatd knows its interfaces: {process.poll()} {(tmp_path / 'said').read_text()}",
                every=0.1,
            )
            yield process
        finally:
            process.kill()


def told_by_vnstat(directory):
    """The real vnStat's totals by interface."""
    code, text = real_vnstat.ask(directory, "--json", zone=BERLIN)
    told = json.loads(text)["interfaces"] if code == 0 else []
    return {one["name"]: (one["traffic"]["total"]["rx"], one["traffic"]["total"]["tx"]) for one in told}


def saved(vnstatd, directory):
    """The totals, when the daemon has been told to save what it has."""
    vnstatd.send_signal(signal.SIGHUP)
    return told_by_vnstat(directory)


@pytest.mark.system
@pytest.mark.root
@real_vnstat.needs_vnstat
def test_what_the_real_vnstat_recorded_is_taken_in_to_the_byte(capsys, tmp_path, space, vnstatd, monkeypatch):
    monkeypatch.setenv("NETUSAGE_DB", str(tmp_path / "own.db"))
    before = told_by_vnstat(tmp_path)["nuv0"][1]
    space.send("nuv0", 400)
    until(
        lambda: saved(vnstatd, tmp_path)["nuv0"][1] >= before + 400_000,
        "vnstatd has seen it",
        seconds=90,
        every=3,
    )
    answer = asked(capsys, "import", "vnstat", str(tmp_path / "vnstat.db"))
    assert answer["not_told"] == []
    found = {row["interface"]: (row["rx_bytes"], row["tx_bytes"]) for row in answer["rows"]}
    assert found == told_by_vnstat(tmp_path)
    rows = asked(capsys, "report", "total", "--by", "interface", "--host", "vnstat")["rows"]
    assert {row["interface"]: (row["rx_bytes"], row["tx_bytes"]) for row in rows} == found
    assert found["nuv1"][0] >= 400 * 1000
