"""The API of a real server: what the command line says, and refusals that say why."""

import csv
import io
import json
import subprocess
import sys

import pytest
from support.ledgers import START_S, writing

from netusage.ledger.batch import Part
from netusage.model import QUARTER_S, Counters, Who

pytestmark = pytest.mark.system
DAY_S = 86_400
WEB = Who("application", "web", "/srv/web", "eva", "web.service")
EVIL = Who("application", "<b>\x1b[31m&'\"x.py", "/srv/x.py", "adam")
STRETCH = "since=2026-03-10&until=2026-03-12&tz=UTC"
WORDS = ["--since", "2026-03-10", "--until", "2026-03-12", "--tz", "UTC"]


def fill(path):
    with writing(path) as ledger:
        ledger.tier = "kernel"
        eth0, lo = ledger.interface("eth0"), ledger.interface("lo", "loopback", counted=False)
        for hour in range(72):
            at_s = START_S + hour * 3600
            ledger.count(eth0, at_s, 10_000 + hour, 5_000, 100, 50, peak_rx=1000 + hour, peak_tx=10)
            ledger.count(lo, at_s, 70, 70, 7, 7)
            for who, scope, counters in ((WEB, 3, (6_000, 3_000, 60, 30)), (EVIL, 1, (500, 100, 5, 1))):
                ledger.share(Part(at_s // QUARTER_S * QUARTER_S, eth0, who, scope, 6, 4), Counters(*counters))
            ledger.version(WEB, 8, 20 + hour // 48)
            ledger.commit(at_s + 60)
    return path


@pytest.fixture(scope="module")
def ledger(tmp_path_factory):
    return fill(tmp_path_factory.mktemp("ledger") / "usage.db")


@pytest.fixture(scope="module")
def server(serve, ledger):
    return serve(ledger, NETUSAGE_REPORT_TZ="UTC")


def said(ledger, *arguments):
    """What the command line says for programs."""
    command = [sys.executable, "-m", "netusage", *arguments, "--db", str(ledger), "--format", "json"]
    return json.loads(subprocess.run(command, check=True, capture_output=True).stdout)


PLANS = """
[[plan]]
name = "home"
cap = "1 MB"
exclude_lan = true
free_hours = ["01:00-06:30"]
roll_over = 2

[[plan]]
name = "lte"
cap = "1 GB"
interfaces = ["wwan*"]
"""


@pytest.fixture(scope="module")
def plans(tmp_path_factory):
    """A configuration with two plans, of one of which nothing is recorded."""
    file = tmp_path_factory.mktemp("config") / "config.toml"
    file.write_text(PLANS)
    return file


@pytest.mark.parametrize(
    ("question", "command"),
    [
        (f"report/day?{STRETCH}", ["report", "day", *WORDS]),
        (
            f"report/hour?{STRETCH}&interface=eth*&peak=1",
            ["report", "hour", *WORDS, "--interface", "eth*", "--peak"],
        ),
        (f"report/month?{STRETCH}&percentile=95", ["report", "month", *WORDS, "--percentile", "95"]),
        (f"report/total?{STRETCH}&interface=*", ["report", "total", *WORDS, "--interface", "*"]),
        (f"report/top?{STRETCH}&limit=2", ["report", "top", *WORDS, "--limit", "2"]),
        (
            f"report/day?{STRETCH}&by=application&by=scope",
            ["report", "day", *WORDS, "--by", "application", "--by", "scope"],
        ),
        (
            f"applications?{STRETCH}&by=application&by=user",
            ["apps", *WORDS, "--by", "application", "--by", "user"],
        ),
        (f"applications?{STRETCH}&by=interface", ["apps", *WORDS, "--by", "interface"]),
        (f"reconcile?{STRETCH}", ["reconcile", *WORDS]),
        ("interfaces?tz=UTC", ["interfaces", "--tz", "UTC"]),
        ("versions?tz=UTC", ["apps", "--versions", "--tz", "UTC"]),
    ],
)
def test_it_says_what_the_command_line_says(server, ledger, question, command):
    assert server.json(question) == said(ledger, *command)


def test_the_summary_is_that_of_the_bare_command(server, ledger):
    answer, expected = server.json("summary?tz=UTC"), said(ledger, "--tz", "UTC")
    for one in (answer, expected):
        for row in one["rows"]:
            del row["end"]  # now
    assert answer == expected


def test_plans_are_those_that_the_command_line_shows(serve, ledger, plans):
    server = serve(ledger, "--config", str(plans))
    past = server.json("plans?tz=UTC&cycle=-1&cycles=240")
    options = ["--tz", "UTC", "--config", str(plans)]
    shown = said(ledger, "plan", "show", "--cycle", "-1", "--cycles", "240", *options)
    assert past.pop("now") <= shown.pop("now")
    assert past == shown
    assert past["rows"][-1]["start"] == "2026-03-01T00:00:00+00:00"
    assert past["rows"][-1]["lan_bytes"] == (72 - 3 * 6) * 600
    assert [one["name"] for one in past["missing"]] == ["lte"]
    present = server.json("plans?plan=home&tz=UTC")["rows"]
    assert [(row["plan"], row["rolled_over_bytes"]) for row in present] == [("home", 2_000_000)]
    assert set(present[0]) == set(past["rows"][0])


def test_a_plan_about_hosts_of_the_fleet_is_named_and_not_asked_of_this_machines_ledger(
    serve, ledger, tmp_path
):
    file = tmp_path / "config.toml"
    office = '[[plan]]\nname = "office"\ncap = "1 TB"\nhosts = ["web*"]\n'
    file.write_text('[[plan]]\nname = "home"\ncap = "1 GB"\n' + office)
    answer = serve(ledger, "--config", str(file)).json("plans?tz=UTC")
    assert [(row["plan"], row["host_count"]) for row in answer["rows"]] == [("home", None)]
    ((name, reason),) = (one.values() for one in answer["missing"])
    assert name == "office"
    assert reason.startswith("plan 'office' is about hosts of the fleet (web*)")


def test_plans_that_are_not_there_are_not_found(serve, server, ledger, plans):
    assert server.json("plans", 404)["error"] == {
        "kind": "no-data",
        "message": "no plan is configured",
        "hint": 'add one: netusage plan add NAME --cap "100 GB"',
    }
    server = serve(ledger, "--config", str(plans))
    assert server.json("plans?plan=hom", 400)["error"]["hint"] == "did you mean 'home'?"
    assert "wwan*" in server.json("plans?plan=lte", 404)["error"]["message"]
    assert "the first is" in server.json("plans?plan=home&cycle=-9999", 404)["error"]["message"]
    assert server.json("plans?cycle=1", 400)["error"]["hint"] == "use -10000 to 0"


def test_a_download_is_what_the_command_line_writes_as_csv(server, ledger):
    status, headers, body = server.ask(f"/api/v1/report/day?{STRETCH}&format=csv")
    command = [
        sys.executable,
        "-m",
        "netusage",
        "report",
        "day",
        *WORDS,
        "--db",
        str(ledger),
        "--format",
        "csv",
    ]
    assert status == 200
    assert body == subprocess.run(command, check=True, capture_output=True).stdout
    assert headers["content-type"] == "text/csv; charset=utf-8"
    assert headers["content-disposition"] == 'attachment; filename="netusage-report-day.csv"'


def test_bars_add_up_to_the_report(server):
    found = server.json(f"timeline?{STRETCH}&bars=100")
    assert found["width"] == {"kind": "hour", "name": "1 hour"}
    assert len(found["edges"]) == 73
    days = server.json(f"report/day?{STRETCH}")["rows"]
    assert sum(found["rx_bytes"]) == sum(row["rx_bytes"] for row in days)
    assert found["applications"] is False
    chosen = server.json(f"timeline?{STRETCH}&bars=100&application=web&user=eva")
    assert chosen["applications"] is True
    assert sum(chosen["rx_bytes"]) == 72 * 6_000


def test_bars_can_be_had_as_csv(server):
    _, headers, body = server.ask(f"/api/v1/timeline?{STRETCH}&bars=10&format=csv")
    rows = list(csv.DictReader(io.StringIO(body.decode())))
    assert [row["start"] for row in rows] == [f"2026-03-1{n}T00:00:00+00:00" for n in range(3)]
    assert sum(int(row["tx_bytes"]) for row in rows) == 72 * 5_000
    assert "netusage-timeline.csv" in headers["content-disposition"]


def test_the_parts_of_a_stretch_add_up(server):
    found = server.json(f"breakdown?{STRETCH}")
    whole = found["total"]["rx_bytes"] + found["total"]["tx_bytes"]
    for dimension in ("application", "scope", "interface"):
        assert sum(part["both"] for part in found["by"][dimension]) == whole
    assert [part["value"] for part in found["by"]["application"]] == ["web", "unattributed", EVIL.name]
    assert found["tiers"] == ["kernel"]
    some = server.json(f"breakdown?{STRETCH}&limit=1")
    assert some["others"]["application"]["count"] == 2


def test_all_that_were_ever_seen_are_listed(server):
    rows = server.json("known")["rows"]
    assert [row["application"] for row in rows] == ["web", EVIL.name]
    assert rows[0]["versions"] == 2
    assert rows[0]["both"] == 72 * 9_000
    assert rows[0]["paths"] == ["/srv/web"]


def test_what_was_used_while_somebody_was_away_is_told(server):
    found = server.json("away?since=2026-03-12T12:00Z&tz=UTC")
    assert [one["application"] for one in found["applications"]] == ["web", EVIL.name]
    assert [(one["application"], one["kind"]) for one in found["new"]] == []
    assert server.json("away?since=2026-03-11T12:00Z")["new"][0]["kind"] == "version"
    assert found["rx_bytes"] == sum(10_000 + hour for hour in range(60, 72))


@pytest.mark.parametrize(
    ("question", "message", "hint"),
    [
        ("timeline?sinec=1d", "there is no parameter 'sinec' here", "did you mean 'since'?"),
        ("timeline?since=tomorrow%20maybe", "'tomorrow maybe' is not a time", "write a date"),
        ("timeline?since=now&until=1d", "the time asked for ends before it begins", ""),
        ("timeline?bars=5", "bars cannot be '5'", "use 10 to 1000"),
        ("timeline?bars=1e2", "bars cannot be '1e2'", "use 10 to 1000"),
        ("timeline?bars=300&bars=301", "bars is given too often", ""),
        ("timeline?since=", "since has to have 1 to 500 characters", ""),
        ("timeline?application=" + "x" * 501, "application has to have 1 to 500 characters", ""),
        ("timeline?tz=Mars/Base", "there is no time zone 'Mars/Base'", ""),
        ("timeline?tz=../../etc/passwd", "there is no time zone", ""),
        ("report/fortnight", "there is no report by 'fortnight'", "one of minute"),
        ("report/day?limit=0", "limit cannot be '0'", "use 1 to 10000"),
        ("report/day?percentile=nan", "percentile cannot be 'nan'", "use 0.001 to 100"),
        ("report/day?by=user&peak=1", "applications have no rates", ""),
        ("report/minute?by=user", "there is no minute of applications", "use hour or longer"),
        (
            "report/minute?since=2026-03-10&until=2026-06-01",
            "that would be more than 20,000 rows",
            "ask for longer",
        ),
        ("applications?by=weather", "by cannot be 'weather'", "one of application"),
        ("away", "since when is not said", ""),
        ("away?since=2999", "that is not over yet", ""),
    ],
)
def test_a_question_that_makes_no_sense_is_told_why(server, question, message, hint):
    error = server.json(question, 400)["error"]
    assert error["kind"] == "usage"
    assert error["message"].startswith(message)
    assert hint in error["hint"]


def test_giant_ranges_are_bounded(server):
    found = server.json("timeline?since=1970-01-02&until=2300&bars=1000")
    assert len(found["edges"]) <= 1001
    assert server.json("timeline?since=1970-01-02&until=9000&bars=1000", 400)["error"]["kind"] == "usage"
    assert "rows" in server.json("report/5min?since=1970&until=2999&limit=10")


def test_what_is_not_recorded_is_not_found(server):
    assert server.json("timeline?interface=wlan*", 404)["error"]["kind"] == "no-data"
    assert server.json("applications?since=2020&until=2021", 404)["error"]["kind"] == "no-data"


def test_nothing_can_be_changed(server):
    for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS"):
        status, headers, body = server.ask("/api/v1/now", method=method, body=b"")
        assert status == 405
        assert headers["allow"] == "GET, HEAD"
        assert json.loads(body)["error"]["kind"] == "method"


def test_a_head_is_answered_without_a_body(server):
    status, _, body = server.ask("/api/v1/interfaces", method="HEAD")
    assert (status, body) == (200, b"")


@pytest.mark.parametrize(
    "path",
    [
        "/static/../app.py",
        "/static/..%2fapp.py",
        "/static/%2e%2e/app.py",
        "/static/....//app.py",
        "/static//etc/passwd",
        "/static/vendor",
        "/api/v1/",
        "/api/v2/now",
        "/etc/passwd",
        "/%00",
    ],
)
def test_nothing_else_is_there(server, path):
    status, _, body = server.ask(path)
    assert status == 404
    assert b"root:" not in body
    assert b"import" not in body


def test_the_same_question_is_answered_anew_when_the_ledger_has_changed(serve, tmp_path):
    path = tmp_path / "usage.db"
    with writing(path) as ledger:
        eth0 = ledger.interface("eth0")
        ledger.count(eth0, START_S, 100, 1, 1, 1)
        ledger.share(Part(START_S, eth0, WEB, 3, 6, 4), Counters(60, 1, 1, 1))
        ledger.commit(START_S + 10)
        server = serve(path)
        question = "timeline?since=2026-03-10T00:00Z&until=2026-03-10T01:00Z&bars=10"
        assert sum(server.json(question)["rx_bytes"]) == 100
        assert sum(server.json(f"{question}&application=web")["rx_bytes"]) == 60
        ledger.count(eth0, START_S, 11, 1, 1, 1)
        ledger.share(Part(START_S, eth0, WEB, 3, 6, 4), Counters(7, 1, 1, 1))
        ledger.commit(START_S + 20)
        assert sum(server.json(question)["rx_bytes"]) == 111
        assert sum(server.json(f"{question}&application=web")["rx_bytes"]) == 67
    assert server.process.stop() == 143


def test_without_a_ledger_it_says_so_and_finds_one_that_comes(serve, tmp_path):
    path = tmp_path / "later.db"
    server = serve(path)
    error = server.json("timeline", 404)["error"]
    assert error["message"] == f"there is no ledger at {path}"
    assert "netusage daemon" in error["hint"]
    now = server.json("now")
    assert now["today"] is None
    assert now["recorder"] is None
    assert "there is no ledger" in now["ledger_trouble"]
    fill(path)
    assert server.json("summary")["rows"]


def test_a_damaged_ledger_is_said_to_be_one(serve, tmp_path):
    path = fill(tmp_path / "damaged.db")
    with open(path, "r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * 8192)
    server = serve(path)
    error = server.json("report/day", 500)["error"]
    assert error["kind"] == "ledger-corrupt"
    assert "netusage repair" in error["hint"]


def test_the_description_names_every_question(server):
    found = server.json("openapi.json")
    assert found["openapi"].startswith("3.1")
    assert set(found["paths"]) == {
        "/now",
        "/events",
        "/recent",
        "/timeline",
        "/breakdown",
        "/applications",
        "/known",
        "/versions",
        "/report/{period}",
        "/interfaces",
        "/reconcile",
        "/summary",
        "/plans",
        "/away",
    }


def test_of_one_machine_hosts_are_no_dimension(server):
    for question, words in (
        ("report/day?by=host", "by cannot be 'host'"),
        ("applications?by=host", "by cannot be 'host'"),
        ("timeline?host=web1", "there is no parameter 'host' here"),
        ("breakdown?host=web1", "there is no parameter 'host' here"),
    ):
        assert words in server.json(question, status=400)["error"]["message"]
    assert "host" not in server.json(f"breakdown?{STRETCH}")["by"]
    described = server.json("openapi.json")["paths"]
    assert "/hosts" not in described
    assert "host" not in {one["name"] for one in described["/timeline"]["get"]["parameters"]}
