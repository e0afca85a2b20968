"""netusage plan show, check and list."""

import csv
import io
import json
import socket
from datetime import UTC, datetime

import pytest
from support.histories import history
from support.ledgers import writing

from netusage.cli.failures import run
from netusage.cli.plan_text import lines
from netusage.ledger.reader import LedgerReader
from netusage.render.context import RenderContext
from netusage.reports.plans import answers, of_machine
from netusage.settings.schema import InterfaceSettings, PlanSettings
from netusage.units import Units

HOUR_S, DAY_S = 3600, 86_400
SINCE_S = int(datetime(2026, 3, 2, tzinfo=UTC).timestamp())
NOW_S = int(datetime(2026, 4, 11, 13, tzinfo=UTC).timestamp())
RECEIVED = history("evenings", 1, 70)[: (NOW_S - SINCE_S) // HOUR_S]
OF_APRIL = sum(RECEIVED[30 * 24 :])
PLANS = """
[[plan]]
name = "home"
cap = "300 GB"
direction = "rx"

[[plan]]
name = "small"
cap = "50 GB"
direction = "rx"
cycle = "week"
free_hours = ["00:00-18:00"]

[[plan]]
name = "lte"
cap = "5 GB"
interfaces = ["wwan*"]
"""


@pytest.fixture(scope="module")
def ledger(tmp_path_factory):
    """Forty days of evenings, known until 13:00 on a Saturday."""
    path = tmp_path_factory.mktemp("plan") / "ledger.db"
    with writing(path, SINCE_S) as ledger:
        eth0 = ledger.interface("eth0")
        for n, number in enumerate(RECEIVED):
            ledger.count(eth0, SINCE_S + n * HOUR_S, number, 7)
        ledger.commit(NOW_S)
    return path


@pytest.fixture
def plan(ledger, tmp_path, monkeypatch, capsys):
    """Runs `netusage plan` with three plans; gives the exit code and what it wrote."""
    monkeypatch.setattr("time.time", lambda: NOW_S)
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    config = tmp_path / "config.toml"
    config.write_text(PLANS)

    def ask(*arguments, text=PLANS):
        config.write_text(text)
        common = ["--config", str(config)]
        if arguments[0] != "list":
            common += ["--db", str(ledger), "--tz", "UTC"]
        code = run(["plan", *arguments, *common])
        out, err = capsys.readouterr()
        return code, out, err

    return ask


def rows_of(out):
    return json.loads(out)["rows"]


def test_json_has_every_term_and_they_add_up(plan):
    code, out, err = plan("show", "--format", "json")
    assert code == 0
    assert "plan 'lte': wwan* has not been recorded" in err
    answer = json.loads(out)
    assert (answer["report"], answer["timezone"]) == ("plans", "UTC")
    assert [one["name"] for one in answer["missing"]] == ["lte"]
    home, small = answer["rows"]
    assert (home["start"], home["end"]) == ("2026-04-01T00:00:00+00:00", "2026-05-01T00:00:00+00:00")
    assert home["used_bytes"] == home["counted_bytes"] == OF_APRIL
    assert home["left_bytes"] == 300 * 10**9 - OF_APRIL
    assert home["share"] == OF_APRIL / (300 * 10**9)
    assert home["allowance_bytes"] == home["left_bytes"] // 20
    assert small["used_bytes"] == small["counted_bytes"] - small["free_bytes"]
    assert small["free_bytes"] == sum(
        number for n, number in enumerate(RECEIVED) if n >= 35 * 24 and n % 24 < 18
    )
    assert home["forecast_method"] == "weekday hours"
    assert home["forecast_low_bytes"] < home["forecast_bytes"] < home["forecast_high_bytes"]
    assert len(home["days"]) == 11
    assert home["days"][-1] == {"start": "2026-04-11T00:00:00+00:00", "used_bytes": OF_APRIL}
    assert len(home["ahead"]) == 20
    assert home["ahead"][-1]["end"] == home["end"]
    assert home["ahead"][-1]["used_bytes"] == home["forecast_bytes"]


def test_csv_has_a_row_for_each_plan_and_cycle(plan):
    code, out, _ = plan("show", "home", "--cycles", "5", "--format", "csv")
    assert code == 0
    april, march = csv.DictReader(io.StringIO(out))
    assert (april["plan"], april["start"], april["used_bytes"]) == (
        "home",
        "2026-04-01T00:00:00+00:00",
        str(OF_APRIL),
    )
    assert march["used_bytes"] == str(sum(RECEIVED[: 30 * 24]))
    assert march["record_start"] == "2026-03-02T00:00:00+00:00"
    assert march["forecast_bytes"] == march["exhausted"] == ""


def test_the_cycle_before_is_asked_for_by_minus_one(plan):
    _, out, _ = plan("show", "home", "--cycle", "-1", "--format", "json")
    assert [row["start"][:10] for row in rows_of(out)] == ["2026-03-01"]
    code, out, err = plan("show", "home", "--cycle", "-2")
    assert (code, out) == (3, "")
    assert "nothing is recorded of the cycle 2 back; the first is 1 back" in err


def test_people_read_a_bar_words_and_a_chart_within_80_columns(plan):
    code, out, _ = plan("show", "home")
    assert code == 0
    assert "\x1b" not in out
    assert all(len(line) <= 80 for line in out.splitlines())
    share = OF_APRIL / (3 * 10**9)
    assert out.splitlines()[:2] == ["home", "  2026-04-01 to 2026-05-01, received"]
    assert out.splitlines()[2].endswith(f" {int(share * 10) / 10:g} %")
    words = " ".join(out.split())
    for said in (
        f"Used {OF_APRIL / 10**9:.2f} GB of 300.00 GB",
        "on each of 20 days, today included",
        "than evenly by now (35.1 % of the time is over)",
        "by the same weekdays' hours, from 28 whole days of record",
        "in four of five cases",
        "┄ 300.00 GB",
    ):
        assert said in words


def test_several_plans_and_several_cycles_are_shown(plan):
    _, out, _ = plan("show", "home", "small")
    assert [line for line in out.splitlines() if line and not line.startswith(" ")] == ["home", "small"]
    _, out, _ = plan("show", "--cycles", "2")
    assert [line.split()[0] for line in out.splitlines()] == ["Plan", "home", "home", "small", "small"]


def drawn(ledger, given, *, now_s=NOW_S, encoding="utf-8", **context):
    with LedgerReader(str(ledger)) as reader:
        (found,), _ = answers(of_machine(reader), [given], now_s, UTC, InterfaceSettings())
    return list(lines(found, UTC, RenderContext(Units.SI, **context), encoding))


@pytest.mark.parametrize("width", [30, 40, 79, 80, 200])
@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "latin-1", None])
def test_a_plan_is_drawn_within_any_width_and_encoding(ledger, width, encoding):
    found = drawn(ledger, PlanSettings("home", "300 GB"), width=width, encoding=encoding)
    assert all(len(line) <= width for line in found)
    "\n".join(found).encode(encoding or "ascii")


def test_colours_say_how_near_the_limit_is(ledger):
    for cap, color in (("300 GB", "\x1b[33m"), ("500 GB", "\x1b[32m"), ("50 GB", "\x1b[31m")):
        found = drawn(ledger, PlanSettings("home", cap, thresholds=(20,)), color=True, width=80)
        assert found[0] == "\x1b[1mhome\x1b[0m"
        assert color in found[2]
    assert "\x1b" not in "".join(drawn(ledger, PlanSettings("home", "300 GB"), width=80))


def test_what_is_unusual_is_said(ledger):
    given = PlanSettings(
        "home",
        "20 GB",
        free_hours=("18:00-19:00",),
        zero_rated=("video",),
        already_used="2 GB",
        already_used_at="2026-04-03",
        roll_over=1,
    )
    words = " ".join(" ".join(drawn(ledger, given, width=80)).split())
    for said in (
        "too much",
        "0 B on each of 20 days",
        "Used up since 2026-04-0",
        "in free hours + 2.00 GB used before",
    ):
        assert said in words
    march = " ".join(" ".join(drawn(ledger, PlanSettings("x", "300 GB"), now_s=NOW_S - 15 * DAY_S)).split())
    assert "Recorded from 2026-03-02 00:00 on" in march


def test_that_days_are_split_is_said(ledger):
    with LedgerReader(str(ledger)) as reader:
        given = [PlanSettings("home", "300 GB")]
        (found,), _ = answers(of_machine(reader), given, NOW_S, UTC, InterfaceSettings())
    for is_split in (False, True):
        one = found._replace(standing=found.standing._replace(splits_days=is_split))
        said = " ".join(" ".join(lines(one, UTC, RenderContext(Units.SI, width=80), "utf-8")).split())
        assert ("By day what is left out is known by UTC days" in said) == is_split


def test_check_ends_with_4_when_a_threshold_is_reached(plan):
    code, out, _ = plan("check", "home")
    assert code == 0
    assert out.startswith("home: ok: ")
    reached = int(OF_APRIL / (3 * 10**9))
    assert plan("check", "home", "--threshold", str(reached))[0] == 4
    assert plan("check", "home", "--threshold", str(reached + 1))[0] == 0
    code, out, err = plan("check", "--threshold", "10")
    assert code == 4
    assert [line.split(":")[:2] for line in out.splitlines()] == [
        ["home", " exceeded"],
        ["small", " exceeded"],
    ]
    assert "wwan* has not been recorded" in err


def test_check_ends_with_3_when_nothing_is_recorded(plan):
    assert plan("check")[0] == 3
    code, out, err = plan("check", "lte")
    assert (code, out) == (3, "")
    assert "wwan* has not been recorded" in err


def test_check_as_json_has_a_row_for_each_plan(plan):
    code, out, _ = plan("check", "--threshold", "10.5", "--format", "json")
    found = json.loads(out)
    assert code == 4
    assert (found["version"], found["report"], found["threshold_percent"]) == (1, "plan-check", 10.5)
    assert [(row["plan"], row["exceeded"]) for row in found["rows"]] == [("home", True), ("small", True)]
    assert [one["name"] for one in found["missing"]] == ["lte"]


@pytest.mark.parametrize("asked", ["show", "check", "list"])
def test_without_a_plan_it_says_how_to_add_one(plan, asked):
    code, out, err = plan(asked, text="")
    assert (code, out) == (3, "")
    assert err == 'netusage: no plan is configured; add one: netusage plan add NAME --cap "100 GB"\n'


def test_a_plan_that_is_not_there_is_told_with_the_nearest(plan):
    code, out, err = plan("show", "hom")
    assert (code, out) == (2, "")
    assert err == "netusage: there is no plan 'hom'; did you mean 'home'?\n"


def test_list_names_every_plan_and_where_it_is_written(plan, tmp_path):
    code, out, _ = plan("list", "--format", "json")
    assert code == 0
    home, small, lte = rows_of(out)
    assert (home["plan"], home["cap_bytes"], home["cycle"]) == ("home", 300 * 10**9, "month, day 1")
    assert (home["origin"], small["origin"]) == (f"{tmp_path}/config.toml:2", f"{tmp_path}/config.toml:7")
    assert (small["cycle"], lte["interfaces"]) == ("week, monday", "wwan*")
    sim = "[[plan]]\nname = 'sim'\ncap = '1 GB'\ncycle = '30d'\nstart = 2026-04-01\n"
    assert "30 days from 2026-04-01" in plan("list", text=sim)[1]


@pytest.mark.system
def test_a_plan_counts_what_a_recorder_saw_and_ends_a_script_when_it_is_used_up(start, tmp_path):
    """Everything with processes: recorded over loopback, a plan added, checked, and removed again."""
    settings = {"NETUSAGE_INTERFACES_COUNTED": "lo", "NETUSAGE_DB": str(tmp_path / "usage.db")}
    recorder = start("daemon", environment=settings).wait_until_recording()
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taker,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as giver,
    ):
        taker.bind(("127.0.0.1", 0))
        for _ in range(100):
            giver.sendto(b"x" * 10_000, taker.getsockname())
    assert recorder.stop() == 143

    def say(*arguments):
        process = start(*arguments, environment=settings)
        return process.wait(), process

    for name, cap in (("small", "1 MB"), ("large", "1 TB")):
        code, _ = say("plan", "add", name, "--cap", cap, "--direction", "tx", "--interface", "lo")
        assert code == 0
    code, process = say("plan", "show", "--format", "json")
    assert code == 0
    small, large = json.loads(process.out)["rows"]
    code, process = say("report", "total", "--interface", "lo", "--format", "json")
    (total,) = json.loads(process.out)["rows"]
    assert small["used_bytes"] == large["used_bytes"] == total["tx_bytes"] >= 1_000_000
    assert [say("plan", "check", name)[0] for name in ("small", "large")] == [4, 0]
    assert say("plan", "remove", "small", "--yes")[0] == 0
    assert say("plan", "check")[0] == 0
