"""netusage apps and netusage reconcile."""

import json

import pytest
from support.ledgers import START_S, writing

from netusage.cli import shares
from netusage.cli.failures import run
from netusage.ledger.batch import Part
from netusage.model import Counters, Who
from netusage.reports.applications import DIMENSIONS

SINCE = ["--since", "2026-03-10", "--until", "2026-03-10", "--tz", "UTC"]


@pytest.fixture
def path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "ledger.db"
    with writing(path) as ledger:
        ledger.tier = "kernel"
        eth0 = ledger.interface("eth0")
        ledger.count(eth0, START_S, 2_500_000, 1_000_000, 2000, 1000)
        evil = Who("application", "a\x1b[31mb.py", "/srv/x.py", "eva", "web.service")
        ledger.share(Part(START_S, eth0, evil, 3, 6, 4), Counters(2_000_000, 900_000, 1500, 900))
        ledger.share(Part(START_S, eth0, Who("kernel"), 3, 6, 4), Counters(0, 60_000, 0, 100))
        ledger.commit(START_S + 900)
        bare = ledger.interface("wlan0")
        ledger.share(Part(START_S, bare, evil, 3, 17, 6), Counters(100, 0, 1, 0))
        ledger.commit(START_S + 910)
    return path


def test_the_table_names_applications_and_shows_only_what_is_known_of_them(capsys, path):
    assert run(["apps", "--db", str(path), *SINCE]) == 0
    out = capsys.readouterr().out
    assert out.splitlines()[0].split() == [
        "Application",
        "User",
        "Unit",
        "Received",
        "Sent",
        "Total",
        "Share",
    ]
    assert out.splitlines()[1].split() == [
        "a\\x1b[31mb.py", "eva", "web.service", "2.00", "MB", "900.00", "kB", "2.90", "MB", "82.9", "%",
    ]  # fmt: skip
    assert "\x1b" not in out


def test_json_has_a_field_for_each_thing_that_was_asked_for(capsys, path):
    assert (
        run(["apps", "--db", str(path), *SINCE, "--by", "unit", "--by", "protocol", "--format", "json"]) == 0
    )
    answer = json.loads(capsys.readouterr().out)
    assert (answer["version"], answer["report"], answer["by"]) == (1, "apps", ["unit", "protocol"])
    assert (answer["start"], answer["end"]) == ("2026-03-10T00:00:00+00:00", "2026-03-11T00:00:00+00:00")
    first = answer["rows"][0]
    assert {
        key: first[key] for key in ("unit", "protocol", "rx_bytes", "tx_bytes", "rx_packets", "tx_packets")
    } == {
        "unit": "web.service",
        "protocol": "TCP",
        "rx_bytes": 2_000_000,
        "tx_bytes": 900_000,
        "rx_packets": 1500,
        "tx_packets": 900,
    }
    assert sum(row["rx_bytes"] for row in answer["rows"]) == 2_500_000


def test_what_was_said_twice_is_told_apart_once(capsys, path):
    assert run(["apps", "--db", str(path), *SINCE, "--by", "user", "--by", "user", "--format", "csv"]) == 0
    assert capsys.readouterr().out.splitlines()[0] == "user,rx_bytes,tx_bytes,both,share"


def test_the_account_of_an_interface_adds_up_line_by_line(capsys, path):
    assert run(["reconcile", "--db", str(path), *SINCE]) == 0
    lines = [line.split("  ") for line in capsys.readouterr().out.splitlines()]
    assert [[word.strip() for word in line if word.strip()] for line in lines] == [
        ["Interface", "Line", "Received", "Sent", "Total", "Share", "Because"],
        ["eth0", "applications", "2,000,000", "900,000", "2,900,000", "82.9 %", "each by name: netusage apps --by application"],
        ["eth0", "the kernel itself", "0", "60,000", "60,000", "1.7 %", "ARP, ICMP, resets, and what sockets of the kernel send"],
        ["eth0", "unattributed", "500,000", "40,000", "540,000", "15.4 %", "reached no socket, or was counted before applications were recorded"],
        ["eth0", "interface", "2,500,000", "1,000,000", "3,500,000", "100.0 %"],
        ["wlan0", "applications", "100", "0", "100", "-", "each by name: netusage apps --by application"],
        ["wlan0", "unattributed", "0", "0", "0", "-"],
        ["wlan0", "delivered twice", "-100", "0", "-100", "-", "as multicast to two receivers; or read a moment apart from the interface"],
        ["wlan0", "interface", "0", "0", "0", "-"],
        [],
        ["Applications are told apart by: kernel"],
    ]  # fmt: skip


def test_the_account_for_programs_is_exact(capsys, path):
    assert run(["reconcile", "--db", str(path), *SINCE, "--interface", "eth0", "--format", "jsonl"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert sum(row["tx_bytes"] for row in rows[:-1]) == rows[-1]["tx_bytes"] == 1_000_000


@pytest.mark.parametrize("command", ["apps", "reconcile"])
@pytest.mark.parametrize(
    ("code", "arguments", "said"),
    [
        (2, ["--since", "someday"], "someday"),
        (2, ["--since", "2026-03-11", "--until", "2026-03-10"], "ends before it begins"),
        (2, ["--tz", "x/y"], "x/y"),
        (2, ["eth0"], "unexpected extra argument"),
        (3, ["--since", "2026-03-01", "--until", "2026-03-02"], "nothing is recorded of applications"),
        (3, ["--since", "2026-03-10", "--interface", "tun9"], "no interface 'tun9'"),
        (3, ["--db", "none.db"], "none.db"),
    ],
)
def test_bad_input_is_one_line(capsys, path, command, code, arguments, said):
    before = path.read_bytes()
    assert run([command, "--db", str(path), *arguments]) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 1
    assert said in err
    assert path.read_bytes() == before


def test_a_dimension_that_does_not_exist_is_named_with_those_that_do(capsys, path):
    assert run(["apps", "--db", str(path), "--by", "colour"]) == 2
    err = capsys.readouterr().err
    assert "'colour'" in err
    assert "'container'" in err


def test_the_first_second_of_a_quarter_of_an_hour_belongs_to_today(capsys, path, monkeypatch):
    monkeypatch.setattr("time.time", lambda: START_S + 0.5)
    assert run(["apps", "--db", str(path), "--tz", "UTC", "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["end"] == "2026-03-10T00:15:00+00:00"


def test_the_command_offers_what_the_report_can_tell_apart():
    assert tuple(DIMENSIONS) == shares.DIMENSIONS


def report(capsys, path, *arguments):
    code = run(["report", *arguments, "--db", str(path), *SINCE])
    out, err = capsys.readouterr()
    return code, out, err


def test_a_report_tells_applications_apart_in_each_period_for_people(capsys, path):
    code, out, _ = report(capsys, path, "day", "--by", "application", "--by", "user")
    assert code == 0
    head, *lines = out.splitlines()
    assert head.split() == ["Day", "Application", "User", "Received", "Sent", "Total", "Share"]
    assert [line.split("  ")[0] for line in lines[:3]] == ["2026-03-10"] * 3
    assert [words for line in lines[:3] for words in ("b.py", "unattributed", "kernel: beginnings and ends of TCP connections") if words in line] == [
        "b.py", "unattributed", "kernel: beginnings and ends of TCP connections"
    ]  # fmt: skip
    assert "\x1b" not in out
    assert lines[-1] == "Applications are told apart by: kernel"


def test_a_report_by_application_for_programs_has_named_fields_and_the_tier(capsys, path):
    code, out, _ = report(
        capsys, path, "month", "--by", "application", "--by", "interface", "--format", "json"
    )
    answer = json.loads(out)
    assert code == 0
    assert answer["by"] == ["application", "interface"]
    assert answer["tiers"] == ["kernel"]
    first = answer["rows"][0]
    assert first | {"share": None} == {
        "start": "2026-03-01T00:00:00+00:00",
        "end": "2026-04-01T00:00:00+00:00",
        "interface": "eth0",
        "application": "a\x1b[31mb.py",
        "rx_bytes": 2_000_000,
        "tx_bytes": 900_000,
        "rx_packets": 1500,
        "tx_packets": 900,
        "both": 2_900_000,
        "share": None,
    }
    eth0 = [row for row in answer["rows"] if row["interface"] == "eth0"]
    assert sum(row["rx_bytes"] for row in eth0) == 2_500_000


def test_a_report_by_application_can_be_kept_to_an_interface_and_be_had_in_every_format(capsys, path):
    for form in ("table", "json", "jsonl", "csv", "tsv", "markdown"):
        code, out, err = report(capsys, path, "hour", "--by", "scope", "--interface", "wl*", "--format", form)
        assert (code, err) == (0, "")
        assert "internet" in out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["day", "--by", "machine", "--by", "user"], "--by machine is the total"),
        (["day", "--by", "user", "--peak"], "applications have no rates"),
        (["day", "--by", "user", "--percentile", "95"], "applications have no rates"),
        (["minute", "--by", "user"], "there is no minute of applications"),
    ],
)
def test_what_applications_cannot_be_asked_is_refused_in_one_line(capsys, path, arguments, said):
    code, out, err = report(capsys, path, *arguments)
    assert (code, out) == (2, "")
    assert said in err
    assert err.count("\n") == 1
