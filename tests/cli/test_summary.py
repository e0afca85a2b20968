import json

import pytest
from support.ledgers import DAY_S, START_S, writing

from netusage import clock
from netusage.cli.failures import run
from netusage.model import GapKind

NOW_S = START_S + 5 * DAY_S


@pytest.fixture
def path(tmp_path, monkeypatch):
    monkeypatch.setattr("time.time", lambda: float(NOW_S))
    monkeypatch.setattr("time.time_ns", lambda: NOW_S * 10**9 + 5_000)
    monkeypatch.setenv("TZ", "UTC")
    path = tmp_path / "ledger.db"
    with writing(path, boot_id=clock.boot_id()) as ledger:
        for n in range(8):
            ledger.count(ledger.interface(f"eth{n}"), START_S, 10**6 * (n + 1), 10**9)
        ledger.span(ledger.interface("wlan0"), (NOW_S - 60) * 10**6, (NOW_S + 60) * 10**6, 2_000_000, 0)
        ledger.gap(START_S, START_S + 90, GapKind.REBOOT, lossy=True)
        ledger.commit(NOW_S - 7)
    return path


def summary(capsys, path, *arguments):
    code = run(["--db", str(path), *arguments])
    out, err = capsys.readouterr()
    return code, out, err


def test_the_summary_is_readable_in_80_columns(capsys, path):
    code, out, err = summary(capsys, path)
    lines = out.splitlines()
    assert (code, err) == (0, "")
    assert max(map(len, lines)) <= 80
    assert [line.split("  ")[0] for line in lines if "machine" in line] == [
        "today",
        "this month",
        "since boot",
        "all time",
    ]
    assert "Gaps this month: 1 gap, 1m30s in all; 1 may have lost bytes." in out
    assert "3 more interfaces: netusage interfaces" in out
    assert "Estimated" in out


def test_it_says_that_no_recorder_is_running_and_how_to_start_one(capsys, path):
    _, out, _ = summary(capsys, path)
    assert out.splitlines()[:2] == [
        "No recorder is running; the last one broke off after 2026-03-14 23:59.",
        "Start one with: netusage daemon",
    ]


def test_it_says_since_when_a_recorder_has_been_recording_and_its_last_commit(capsys, path):
    with writing(path, NOW_S - 3600, boot_id="other") as ledger:
        ledger.commit(NOW_S - 3)
        _, out, _ = summary(capsys, path)
    assert (
        out.splitlines()[0]
        == "Recording since 2026-03-14 23:00 (netlink, interfaces only); last commit 3s ago."
    )


def test_a_recorder_that_has_not_committed_yet_is_told(capsys, path):
    with writing(path, NOW_S - 3600, boot_id="another") as ledger:
        ledger.commit(NOW_S - 3, ended="SIGTERM")
        _, out, _ = summary(capsys, path)
    assert "has just started" in out


def test_json_has_rows_recorder_and_gaps(capsys, path):
    code, out, _ = summary(capsys, path, "--format", "json")
    answer = json.loads(out)
    assert code == 0
    assert (answer["version"], answer["report"]) == (1, "summary")
    assert answer["recorder"]["running"] is False
    assert answer["gaps"][1] == {"period": "month", "count": 1, "lossy": 1, "microseconds": 90_000_000}
    assert {row["period"] for row in answer["rows"]} == {"today", "month", "boot", "all"}
    assert len([row for row in answer["rows"] if row["period"] == "all"]) == 10
    today = next(row for row in answer["rows"] if row["period"] == "today")
    assert (today["interface"], today["rx_bytes"], today["estimated_rx_bytes"]) == (
        None,
        1_000_000,
        1_000_000,
    )


def test_every_format_works(capsys, path):
    for form in ("table", "json", "jsonl", "csv", "tsv", "markdown"):
        code, out, err = summary(capsys, path, "--format", form)
        assert (code, err) == (0, "")
        assert out


def test_without_a_ledger_there_is_no_data(capsys, tmp_path):
    code, out, err = summary(capsys, tmp_path / "none.db")
    assert (code, out) == (3, "")
    assert err.count("\n") == 1
    assert "netusage daemon" in err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "arguments", [["--tz", "Nowhere"], ["--units", "miles"], ["--format", "xml"], ["--since", "1d"]]
)
def test_bad_input_is_one_line_and_changes_nothing(capsys, path, arguments):
    before = path.read_bytes()
    code, out, err = summary(capsys, path, *arguments)
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert path.read_bytes() == before
