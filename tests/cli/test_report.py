import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.ledgers import DAY_S, START_S, writing

import netusage
from netusage.cli.failures import run

NOW_S = START_S + 40 * DAY_S
ROW = [
    "start",
    "end",
    "interface",
    "rx_bytes",
    "tx_bytes",
    "rx_packets",
    "tx_packets",
    "estimated_rx_bytes",
    "estimated_tx_bytes",
]


@pytest.fixture
def path(tmp_path, monkeypatch):
    monkeypatch.setattr("time.time", lambda: float(NOW_S))
    monkeypatch.setattr("time.time_ns", lambda: NOW_S * 10**9)
    monkeypatch.setenv("TZ", "UTC")
    path = tmp_path / "ledger.db"
    with writing(path) as ledger:
        eth0, lo = ledger.interface("eth0"), ledger.interface("lo", "loopback", counted=False)
        for day in range(40):
            ledger.count(eth0, START_S + day * DAY_S, 1_000_000 + day, 2**40, 9, 8, peak_rx=5000, peak_tx=70)
            ledger.count(lo, START_S + day * DAY_S, 77, 77, 1, 1)
        ledger.span(
            eth0, (START_S + 39 * DAY_S) * 10**6, (START_S + 39 * DAY_S + 600) * 10**6, 4000, 400, 4, 3
        )
        ledger.commit(NOW_S)
    return path


def report(capsys, path, *arguments):
    code = run(["report", *arguments, "--db", str(path)])
    out, err = capsys.readouterr()
    return code, out, err


def rows_of(capsys, path, *arguments):
    code, out, err = report(capsys, path, *arguments, "--format", "json")
    assert (code, err) == (0, "")
    return json.loads(out)["rows"]


def test_json_has_a_versioned_envelope_and_exactly_these_fields(capsys, path):
    code, out, _ = report(capsys, path, "day", "--format", "json")
    answer = json.loads(out)
    assert code == 0
    assert (answer["version"], answer["report"], answer["timezone"]) == (1, "day", "UTC")
    assert len(answer["rows"]) == 30
    assert [list(row) for row in answer["rows"]] == [ROW] * 30
    assert answer["rows"][-2] == {
        "start": "2026-04-18T00:00:00+00:00",
        "end": "2026-04-19T00:00:00+00:00",
        "interface": None,
        "rx_bytes": 1_004_039,
        "tx_bytes": 2**40 + 400,
        "rx_packets": 13,
        "tx_packets": 11,
        "estimated_rx_bytes": 4000,
        "estimated_tx_bytes": 400,
    }


def test_json_rows_of_peak_and_percentile_say_when_and_over_what(capsys, path):
    row = rows_of(
        capsys, path, "day", "--peak", "--percentile", "99.9", "--interface", "eth0", "--limit", "2"
    )[0]
    assert list(row) == [
        *ROW,
        *(
            f"peak_{way}_{key}"
            for way in ("rx", "tx")
            for key in ("bytes_per_second", "at", "within_seconds", "interface")
        ),
        "percentile",
        "percentile_rx_bytes_per_second",
        "percentile_tx_bytes_per_second",
        "percentile_bucket_seconds",
    ]
    assert row["peak_rx_bytes_per_second"] == 5000
    assert row["peak_rx_at"] == "2026-04-18T00:00:00+00:00"
    assert row["peak_tx_within_seconds"] == 60
    assert row["peak_tx_interface"] == "eth0"
    assert row["percentile"] == 99.9
    assert row["percentile_bucket_seconds"] == 300


def test_csv_has_a_heading_and_empty_interfaces_for_the_machine(capsys, path):
    code, out, _ = report(capsys, path, "day", "--limit", "3", "--format", "csv")
    head, *rows = csv.reader(out.splitlines())
    assert code == 0
    assert head == ROW
    assert [row[2] for row in rows] == ["", "", ""]


def test_rows_by_interface(capsys, path):
    rows = rows_of(capsys, path, "month", "--by", "interface")
    assert [(row["start"][:7], row["interface"]) for row in rows] == [
        ("2026-03", "eth0"), ("2026-03", "lo"), ("2026-04", "eth0"), ("2026-04", "lo"),
    ]  # fmt: skip
    assert {
        row["interface"] for row in rows_of(capsys, path, "month", "--interface", "l*", "--interface", "lo")
    } == {"lo"}


def test_days_are_cut_in_the_zone_that_is_asked_for(capsys, path):
    row = rows_of(
        capsys, path, "day", "--since", "2026-04-10", "--until", "2026-04-10", "--tz", "Asia/Kathmandu"
    )
    assert [(one["start"], one["end"]) for one in row] == [
        ("2026-04-10T00:00:00+05:45", "2026-04-11T00:00:00+05:45")
    ]


def test_every_period_is_reported_in_every_format(capsys, path):
    for period in ("minute", "5min", "hour", "day", "week", "month", "year", "total", "top"):
        for form in ("table", "json", "jsonl", "csv", "tsv", "markdown"):
            code, out, err = report(capsys, path, period, "--format", form)
            assert (code, err) == (0, "")
            assert out.endswith("\n")


def test_the_table_for_people_has_a_total_and_marks_what_is_estimated(capsys, path):
    _, out, _ = report(capsys, path, "day", "--limit", "2")
    head, first, _, total, nothing, tier = out.splitlines()
    assert nothing == ""
    assert tier == "Applications are not told apart: totals of interfaces only (netusage doctor)"
    assert head.split() == ["Day", "Received", "Sent", "Total", "Average", "Estimated"]
    assert first.split()[:3] == ["2026-04-18", "1.00", "MB"]
    assert "4.40 kB" in first
    assert total.startswith("total")
    assert max(map(len, out.splitlines())) <= 80
    _, out, _ = report(capsys, path, "day", "--until", "2026-04-10", "--limit", "2")
    assert "Estimated" not in out


def test_units_are_those_that_are_asked_for(capsys, path):
    _, out, _ = report(capsys, path, "day", "--limit", "2", "--units", "iec", "--bits", "--peak")
    assert "1.00 TiB" in out
    assert "bit/s" in out


def test_the_report_goes_to_a_file_whole_or_not_at_all(capsys, path, tmp_path):
    target = tmp_path / "out.json"
    code, out, _ = report(capsys, path, "total", "--format", "json", "-o", str(target))
    assert (code, out) == (0, "")
    assert json.loads(target.read_text())["report"] == "total"
    code, _, err = report(capsys, path, "total", "-o", str(tmp_path / "no" / "out.json"))
    assert code == 1
    assert err.count("\n") == 1


def test_settings_of_the_total_are_heeded(capsys, path, tmp_path):
    config = tmp_path / "config.toml"
    config.write_text('[interfaces]\nnot_counted = ["eth*"]\ncounted = ["lo"]\n[report]\nbilling_day = 15\n')
    rows = rows_of(capsys, path, "month", "--config", str(config))
    assert sum(row["rx_bytes"] for row in rows) == 40 * 77
    assert [row["start"][:10] for row in rows] == ["2026-02-15", "2026-03-15", "2026-04-15"]


BAD = [
    (2, ["report"]),
    (2, ["report", "fortnight"]),
    (2, ["report", "day", "--since", "yesteryear"]),
    (2, ["report", "day", "--until", "2026-13-01"]),
    (2, ["report", "day", "--since", "2026-04-10", "--until", "2026-04-01"]),
    (2, ["report", "day", "--tz", "Mars/Olympus"]),
    (2, ["report", "day", "--limit", "0"]),
    (2, ["report", "day", "--limit", "many"]),
    (2, ["report", "day", "--percentile", "0"]),
    (2, ["report", "day", "--percentile", "101"]),
    (2, ["report", "day", "--percentile", "ninety"]),
    (2, ["report", "minute", "--percentile", "95"]),
    (2, ["report", "month", "--billing-day", "32"]),
    (2, ["report", "week", "--week-start", "someday"]),
    (2, ["report", "day", "--format", "xml"]),
    (2, ["report", "day", "--units", "imperial"]),
    (2, ["report", "day", "--by", "process"]),
    (2, ["report", "day", "--colour"]),
    (3, ["report", "day", "--interface", "ppp9"]),
    (3, ["report", "day", "--since", "2031-01-01"]),
]


@pytest.mark.parametrize(("code", "arguments"), BAD)
def test_bad_input_is_one_line_on_standard_error_and_changes_nothing(capsys, path, code, arguments):
    before = path.read_bytes()
    assert run([*arguments, "--db", str(path)]) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("netusage: ")
    assert err.count("\n") == 1
    assert path.read_bytes() == before


def test_an_error_is_an_object_when_json_was_asked_for(capsys, path):
    code, out, err = report(capsys, path, "day", "--interface", "ppp9", "--format", "json")
    assert (code, out) == (3, "")
    error = json.loads(err)["error"]
    assert (error["kind"], error["exit_code"]) == ("no-data", 3)


def test_without_a_ledger_there_is_no_data_and_no_file_appears(capsys, tmp_path):
    missing = tmp_path / "missing.db"
    code, out, err = report(capsys, missing, "day")
    assert (code, out) == (3, "")
    assert "netusage daemon" in err
    assert not missing.exists()


@pytest.mark.parametrize("name", ["directory", "text", "other"])
def test_what_is_no_ledger_is_said_and_left_alone(capsys, tmp_path, name):
    target = tmp_path / name
    if name == "directory":
        target.mkdir()
    elif name == "text":
        target.write_text("hello, " * 1000)
    else:
        import sqlite3

        connection = sqlite3.connect(target)
        connection.execute("CREATE TABLE t (a)")
        connection.close()
    code, out, err = report(capsys, target, "day")
    assert (code, out) == (1, "")
    assert err.count("\n") == 1


@pytest.mark.system
@pytest.mark.parametrize("arguments", [["report", "5min", "--format", "csv"], ["interfaces"], [], ["verify"]])
def test_a_reader_that_goes_away_ends_it_quietly(path, arguments):
    environment = os.environ | {"PYTHONPATH": str(Path(netusage.__file__).parent.parent)}
    command = [sys.executable, "-m", "netusage", *arguments, "--db", str(path)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment)
    process.stdout.close()
    error = process.stderr.read()
    process.stderr.close()
    assert process.wait() in (0, 1)
    assert error == b""
