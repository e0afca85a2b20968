"""The API over several hosts: what a fleet says is what their merged ledgers say, and who is asked in vain says so."""

import json
import time
from urllib.parse import urlencode

import jsonschema_rs
import pytest
from support import clickhouse, deliveries, machines
from support.machines import HOSTILE, HOUR_S

from netusage.cli.failures import run

pytestmark = pytest.mark.system
# What is not the same, and need not be: where the record is, how far, when hosts were heard of; a fleet has no minutes.
OF_ONE_RECORD = (
    *("ledger", "record", "hosts", "heard", "until", "first_seen", "last_seen"),
    *(f"peak_{way}_{key}" for way in ("rx", "tx") for key in ("at", "within_seconds")),
)


class Both:
    """The same hosts twice: a server of their fleet, and one of the ledger into which they were merged.

    until_s: when the record of the hosts ends, but that of web2, which ends five hours before.
    """

    def __init__(self, fleet, merged, until_s):
        self.fleet, self.merged, self.until_s = fleet, merged, until_s

    def __iter__(self):
        return iter((self.fleet, self.merged))

    def stretch(self, hours=24, until_h=0):
        end_s = self.until_s - until_h * HOUR_S
        return f"since=@{end_s - hours * HOUR_S}&until=@{end_s}"


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    yield from clickhouse.sharded(tmp_path_factory)


@pytest.fixture(scope="module")
def ledgers(tmp_path_factory):
    """The hosts' ledgers, and when they end."""
    until_s = int(time.time()) // HOUR_S * HOUR_S
    return machines.ledgers(tmp_path_factory.mktemp("machines"), until_s), until_s


@pytest.fixture(scope="module")
def config(shards, ledgers, tmp_path_factory):
    """A configuration with a fleet of two shards, to which all have delivered, and plans."""
    settings = machines.delivered(shards[0].url, *ledgers, others=[shards[1].url], cluster=clickhouse.CLUSTER)
    file = deliveries.configuration(tmp_path_factory.mktemp("config"), settings)
    with file.open("a") as more:
        more.write('[[plan]]\nname = "all"\ncap = "1 GB"\n')
        more.write('[[plan]]\nname = "berlin"\ncap = "1 GB"\nlabels = ["site=berlin"]\n')
    return file


@pytest.fixture(scope="module")
def merged(ledgers, tmp_path_factory):
    return machines.merged(tmp_path_factory.mktemp("merged") / "all.db", *ledgers)


@pytest.fixture(scope="module")
def both(serve, config, merged, ledgers):
    words = {"NETUSAGE_REPORT_TZ": "UTC", "NETUSAGE_CONFIG": str(config)}
    fleet, other = serve(None, "--fleet", **words), serve(merged, "--of-host", "*", **words)
    return Both(fleet, other, ledgers[1])


def comparable(answer):
    """An answer without what only one of the records says."""
    found = {key: value for key, value in answer.items() if key not in OF_ONE_RECORD}
    for row in found.get("rows", ()):
        for key in OF_ONE_RECORD:
            row.pop(key, None)
    if "rows" in found:
        found["rows"].sort(key=json.dumps)
    return found


@pytest.mark.parametrize(
    "question",
    [
        "breakdown?",
        "breakdown?host=web1&",
        "breakdown?host=web1&host=web2&limit=1&",
        "breakdown?application=nginx&",
        "breakdown?application=nginx&application=unattributed&",
        "breakdown?scope=LAN&interface=*&host=web1&",
        "breakdown?application=unattributed&",
        "timeline?bars=30&",
        "timeline?bars=96&host=web2&",
        "timeline?bars=30&application=nginx&",
        "timeline?bars=30&application=unattributed&host=%3Ci%3Edb%3C/i%3E&",
        "applications?by=host&by=application&",
        "applications?by=application&",
        "report/hour?by=host&",
        "report/day?by=host&by=interface&",
        "report/day?by=host&by=application&",
        "report/day?peak=1&",
        "hosts?",
        "reconcile?",
        "applications?host=web1&by=application&",
        "applications?host=web1&host=web2&by=host&by=application&interface=*&",
        "report/day?host=web2&",
        "report/day?host=web1&by=application&",
        "report/month?host=web1&peak=1&",
        "report/total?host=web1&host=%3Ci%3Edb%3C/i%3E&",
        "reconcile?host=web2&",
        "interfaces",
        "interfaces?host=web1",
        "known",
        "known?host=web1&host=web2",
    ],
)
def test_a_fleet_answers_what_the_merged_ledgers_of_its_hosts_answer(both, question):
    path = question + both.stretch(60) if question.endswith(("?", "&")) else question
    fleet, merged = (comparable(server.json(path)) for server in both)
    assert fleet == merged
    assert "rows" not in fleet or fleet["rows"]


def test_hosts_are_one_more_dimension_and_add_up_to_the_whole(both):
    whole = both.fleet.json(f"breakdown?{both.stretch(60)}")
    hosts = whole["by"]["host"]
    assert [one["value"] for one in hosts] == [HOSTILE, "web1", "web2"]
    assert sum(one["rx_bytes"] for one in hosts) == whole["total"]["rx_bytes"]
    one = both.fleet.json(f"breakdown?host=web1&{both.stretch(60)}")
    assert one["total"]["rx_bytes"] == hosts[1]["rx_bytes"]
    assert {part["value"] for part in one["by"]["application"]} == {"nginx", "curl", "unattributed"}


@pytest.mark.parametrize(
    ("question", "arguments"),
    [
        ("report/day", ["report", "day"]),
        ("report/month?peak=1", ["report", "month", "--peak"]),
        ("report/total", ["report", "total"]),
        ("report/day?by=application", ["report", "day", "--by", "application"]),
        ("applications?by=application", ["apps", "--by", "application"]),
    ],
)
@pytest.mark.parametrize("host", ["web1", "web2"])
def test_of_a_chosen_host_the_rows_are_those_of_the_command_line(
    both, config, merged, capsys, monkeypatch, question, arguments, host
):
    monkeypatch.setenv("NETUSAGE_CONFIG", str(config))
    monkeypatch.setenv("NETUSAGE_REPORT_TZ", "UTC")
    since = f"@{both.until_s - 60 * HOUR_S}"
    more = ["--host", host, "--since", since, "--until", f"@{both.until_s}", "--format", "json"]
    path = f"{question}{'&' if '?' in question else '?'}{both.stretch(60)}&host={host}"
    for server, record in ((both.fleet, ["--fleet"]), (both.merged, ["--db", str(merged)])):
        assert run([*arguments, *record, *more]) == 0
        told = json.loads(capsys.readouterr().out)["rows"]
        found = server.json(path)
        for row in (*found["rows"], *told):  # a peak of one host need not say whose it was
            for key in ("peak_rx_host", "peak_tx_host"):
                assert row.pop(key, host) == host
        assert found["rows"] == told
        assert sum(row["rx_bytes"] for row in told) > 0
        assert found["host_filter"] == [host]


def test_a_chosen_host_has_a_record_of_its_own(both):
    for server in both:
        found = server.json("report/day?host=web2")
        assert found["record"]["end_s"] == both.until_s - 5 * HOUR_S
        assert server.json("report/day?host=web1")["record"]["end_s"] > both.until_s - HOUR_S
        told = found["hosts"]
        assert (told["count"], told["behind"], told["names"]) == (1, 1, ["web2"])
        assert told["behind_until_s"] == both.until_s - 5 * HOUR_S
        assert server.json("report/day")["hosts"]["count"] == 3


def test_what_is_known_of_all_hosts_together_only_is_not_told_of_one(both):
    for server in both:
        known = {row["application"]: row for row in server.json("known?host=web1")["rows"]}
        assert set(known) == {"nginx", "curl"}
        assert (known["nginx"]["first_seen"], known["nginx"]["last_seen"]) == (None, None)
        assert known["curl"]["paths"] == ["/usr/bin/curl"]
        whole = {row["application"]: row for row in server.json("known")["rows"]}
        other = {row["application"]: row for row in server.json("known?host=web2")["rows"]}
        assert known["nginx"]["both"] + other["nginx"]["both"] == whole["nginx"]["both"]
        assert server.json("applications?since=7d&host=web1")["tiers"] == []


@pytest.mark.parametrize(
    "question",
    ["report/day", "report/month?by=application", "applications", "known", "interfaces", "timeline"],
)
def test_a_host_that_is_not_there_is_one_clear_error(both, question):
    for server in both:
        path = f"{question}{'&' if '?' in question else '?'}host=web1&host=web9"
        error = server.json(path, status=404)["error"]
        assert error["message"] == "no host 'web9' has been recorded"
        assert (
            "host has to have 1 to 500 characters"
            in server.json(f"{question.partition('?')[0]}?host=", 400)["error"]["message"]
        )


def test_of_which_hosts_something_is_missing_is_told(both):
    def untold(question):
        return both.fleet.json(f"timeline?{question}")["hosts"]

    late_s, end_s = both.until_s - 5 * HOUR_S, both.until_s
    nobody = {"count": 3, "known_until_s": late_s, "behind": 0, "behind_until_s": None, "names": []}
    late = {"count": 3, "known_until_s": end_s, "behind": 1, "behind_until_s": late_s, "names": ["web2"]}
    assert untold(both.stretch()) == untold("since=1d&bars=30") == late
    assert untold(both.stretch(24, 5)) == nobody
    assert untold(f"host=web1&{both.stretch()}") == nobody | {"count": 1, "known_until_s": end_s}
    of_one = untold("host=web2&since=1d")
    assert of_one == late | {"count": 1, "known_until_s": None}


def test_the_present_of_a_fleet_is_when_hosts_were_heard_of(both):
    now = both.fleet.json("now")
    assert (now["hosts"], now["count"], now["trouble"]) == ("fleet", 3, "")
    assert now["first"]["heard"] == now["last"]["heard"]
    assert now["behind"] == 1
    assert "rates" not in now
    month = both.fleet.json("report/month?limit=1")["rows"][0]
    assert now["month"]["rx_bytes"] == month["rx_bytes"]


def test_a_day_of_which_no_host_has_told_anything_has_no_sum(both):
    def today(midnight_s):
        offset = -(midnight_s // HOUR_S) % 24
        east = offset if offset <= 12 else offset - 24
        return both.fleet.json("now?" + urlencode({"tz": f"Etc/GMT{-east:+}"}))[
            "today"
        ]  # the sign is the other way round there

    assert today(both.until_s) is None
    assert today(both.until_s - HOUR_S)["rx_bytes"] > 0


@pytest.mark.parametrize("path", ["events", "recent", "versions", "summary", "away", "metrics"])
def test_what_hosts_do_not_deliver_is_not_there(both, path):
    for server in both:
        status, _, _ = server.ask("/metrics" if path == "metrics" else f"/api/v1/{path}")
        assert status == 404


def test_every_answer_fits_the_description(both):
    described = both.fleet.json("openapi.json")
    assert {"/now", "/hosts"} <= set(described["paths"])
    for path, methods in described["paths"].items():
        answer = both.fleet.json(path.lstrip("/").replace("{period}", "day"))
        schema = methods["get"]["responses"]["200"]["content"]["application/json"]["schema"]
        jsonschema_rs.validate(schema, answer)


def test_hosts_that_are_not_asked_for_are_in_nothing(serve, config):
    server = serve(
        None, "--fleet", "--of-host", "web*", "--label", "site=berlin", NETUSAGE_CONFIG=str(config)
    )
    assert [one["value"] for one in server.json("breakdown?since=7d")["by"]["host"]] == ["web1"]
    assert [row["host"] for row in server.json("hosts?since=7d")["rows"]] == ["web1"]
    assert server.json("timeline?host=web1")["hosts"]["count"] == server.json("now")["count"] == 1
    assert server.json("timeline?host=web2", status=404)["error"]["kind"] == "no-data"


def test_plans_are_about_all_hosts_or_about_those_they_name(both):
    fleet = {row["plan"]: row for row in both.fleet.json("plans")["rows"]}
    assert set(fleet) == {"all", "berlin"}
    assert 0 < fleet["berlin"]["used_bytes"] < fleet["all"]["used_bytes"]
    merged = both.merged.json("plans")
    assert [row["used_bytes"] for row in merged["rows"]] == [fleet["all"]["used_bytes"]]
    assert [one["name"] for one in merged["missing"]] == ["berlin"]


def test_while_a_shard_is_down_nothing_is_told_instead_of_a_part(both, shards):
    questions = (
        "timeline?since=31h",
        "breakdown?since=31h",
        "hosts?since=31h",
        "report/day?limit=7",
        "known",
    )
    shards[1].kill()
    try:
        for question in questions:
            found = both.fleet.json(f"{question}{'&' if '?' in question else '?'}tz=UTC", status=500)
            assert found["error"]["kind"] == "fleet"

        now = both.fleet.json("now?tz=Asia/Tokyo")
        assert "the fleet's store" in now["trouble"]
        assert (now["today"], now["month"], now["count"]) == (None, None, None)
    finally:
        shards[1].start()
    assert both.fleet.json("now?tz=Asia/Tokyo")["count"] == 3
    assert len(both.fleet.json("hosts?since=31h&tz=UTC")["rows"]) == 3


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--label", "x"], "a ledger has no labels"),
        (["--fleet"], "--fleet and --db are two records"),
        (["--of-host", "nobody"], "no host 'nobody'"),
    ],
)
def test_who_asks_for_what_cannot_be_is_told_at_once(merged, capsys, arguments, words):
    assert run(["web", "--db", str(merged), *arguments]) in (2, 3)
    assert words in capsys.readouterr().err
