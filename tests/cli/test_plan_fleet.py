"""netusage plan over hosts of a fleet with a real store: the same to the byte as what their ledgers have, added up."""

import json
import random
from datetime import UTC, datetime

import pytest
from support import clickhouse, deliveries
from support.ledgers import writing

from netusage.cli.failures import run
from netusage.fleet.store import Store
from netusage.ledger.batch import Part
from netusage.model import QUARTER_S, US, Counters, Who
from netusage.settings.schema import FleetSettings

pytestmark = pytest.mark.system
DAY_S = 86_400
SINCE_S = int(datetime(2026, 3, 20, tzinfo=UTC).timestamp())
NOW_S = SINCE_S + 14 * DAY_S + 13 * 3600
LABELS = {"web1": ("site=berlin", "role=web"), "web2": ("site=paris", "role=web"), "db": ("site=berlin",)}
TERMS = (
    *("used_bytes", "counted_bytes", "free_bytes", "lan_bytes", "zero_rated_bytes", "estimated_bytes"),
    "unknown_bytes",
)
WEB, VIDEO = (
    Who("application", "web", "/srv/web", "www"),
    Who("application", "video", "/opt/video/run", "eva"),
)
KEYS = {
    "plain": "",
    "one way": 'direction = "rx"\ninterfaces = ["eth*"]\n',
    "left out": 'exclude_lan = true\nzero_rated = ["vid*"]\nfree_hours = ["22:00-03:30"]\n',
    "weeks": 'cycle = "week"\nroll_over = 2\nexclude_lan = true\n',
}


def made(path, name):
    """A fortnight of a host, with applications, and one stretch whose time is not known."""
    dice = random.Random(name)
    with writing(path, SINCE_S, boot_id=name, machine=name) as ledger:
        epochs = [
            ledger.interface("eth0"),
            ledger.interface("wlan0"),
            ledger.interface("tun0", counted=False),
        ]
        for at_s in range(SINCE_S, NOW_S - QUARTER_S, 4 * QUARTER_S):
            epoch, number = dice.choice(epochs), dice.randrange(10_000, 50_000)
            ledger.count(epoch, at_s, number, number // 7)
            for who, scope in ((WEB, 3), (WEB, 1), (VIDEO, 3)):
                had = dice.randrange(number // (2 if name == "web2" else 4))  # web2 has some of it twice
                ledger.share(Part(at_s, epoch, who, scope, 6, 4), Counters(had, had // 9))
        ledger.span(epochs[0], (SINCE_S + 5000) * US, (SINCE_S + 200_000) * US, 123_456, 789)
        ledger.commit(NOW_S)
        ledger.commit(NOW_S + 2 * QUARTER_S)  # and everything before is whole
    return path


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    yield from clickhouse.alone(tmp_path_factory)


@pytest.fixture(scope="module")
def fleet(server, tmp_path_factory):
    """The configuration of a fleet to which three hosts have delivered, and their ledgers by name."""
    home = tmp_path_factory.mktemp("hosts")
    (home / "password").write_text(clickhouse.PASSWORD, encoding="utf-8")
    asked = {"url": server.url, "database": "plans", "user": "host", "password_file": str(home / "password")}
    deliveries.make_tables(FleetSettings(**asked))
    ledgers = {name: made(home / f"{name}.db", name) for name in LABELS}
    for name, labels in LABELS.items():
        settings = FleetSettings(**asked, name=name, labels=labels)
        deliveries.deliver(ledgers[name], settings, now_us=(NOW_S - 900) * US, make=Store)
    return "[fleet]\n" + "".join(f'{key} = "{value}"\n' for key, value in asked.items()), ledgers


@pytest.fixture
def plan(fleet, tmp_path, monkeypatch, capsys):
    """Runs `netusage plan` with plans in the configuration of the fleet; gives the exit code and what it wrote."""
    monkeypatch.setattr("time.time", lambda: NOW_S)
    config = tmp_path / "config.toml"

    def ask(plans, *arguments, db=None, tz="Europe/Berlin", top=fleet[0]):
        config.write_text(f"{top}{plans}", encoding="utf-8")
        ledger = [] if db is None else ["--db", str(db)]
        code = run(["plan", *arguments, "--tz", tz, "--config", str(config), *ledger])
        out, err = capsys.readouterr()
        said = [
            line for line in err.splitlines(True) if not line.startswith("Reading the record")
        ]  # where it takes long
        return code, out, "".join(said)

    return ask


def plan_of(name="group", more="", cap="10 MB"):
    return f'[[plan]]\nname = "{name}"\ncap = "{cap}"\n{more}'


def terms_of(answer):
    """By cycle, what adds up over hosts, by day as well; `answer`: of `netusage plan show --format json`."""
    code, out, err = answer
    assert (code, err) == (0, "")
    return {
        row["start"]: [*(row[key] for key in TERMS), *(day["used_bytes"] for day in row["days"])]
        for row in json.loads(out)["rows"]
    }


@pytest.mark.parametrize("tz", ["UTC", "Europe/Berlin"])
@pytest.mark.parametrize("keys", KEYS.values(), ids=KEYS)
def test_a_plan_by_label_is_what_the_hosts_ledgers_have_added_up(plan, fleet, keys, tz):
    shown = ("show", "--cycles", "2", "--format", "json")
    each = [terms_of(plan(plan_of(more=keys), *shown, db=fleet[1][name], tz=tz)) for name in ("web1", "db")]
    expected = {start: list(map(sum, zip(*(one[start] for one in each), strict=True))) for start in each[0]}
    found = plan(plan_of(more=f'labels = ["site=berlin"]\n{keys}'), *shown, tz=tz)
    assert terms_of(found) == expected
    for row in json.loads(found[1])["rows"]:
        assert (row["label_filter"], row["host_count"]) == (["site=berlin"], 2)
        assert row["ledger"].startswith("http://127.0.0.1:")
    asked = plan(plan_of(more=keys), *shown, "--fleet", "--label", "site=berlin", tz=tz)
    assert terms_of(asked) == expected


def test_the_fleet_is_all_hosts_and_names_choose_some(plan, fleet):
    def used(plans, *more):
        return [
            row["used_bytes"] for row in json.loads(plan(plans, "show", "--format", "json", *more)[1])["rows"]
        ]

    own = {
        name: json.loads(plan(plan_of(), "show", "--format", "json", db=ledger)[1])["rows"][0]["used_bytes"]
        for name, ledger in fleet[1].items()
    }
    assert used(plan_of(), "--fleet") == [sum(own.values())]
    assert used(plan_of(), "--fleet", "--host", "web*") == [own["web1"] + own["web2"]]
    group = plan_of("office", 'hosts = ["web*"]\nlabels = ["site=berlin"]\n')
    assert used(plan_of() + group, "--fleet") == [sum(own.values()), own["web1"]]
    code, out, err = plan(plan_of() + group, "show", "--cycles", "2", db=fleet[1]["db"].parent / "none.db")
    assert code == 0
    assert "there is no ledger" in err
    assert {line.split()[0] for line in out.splitlines()} == {"Plan", "office"}


def test_a_plan_of_this_machine_stands_beside_one_of_the_fleet(plan, fleet):
    plans = plan_of("home") + plan_of("office", 'labels = ["role=*"]\n')
    code, out, err = plan(plans, "show", "--format", "json", db=fleet[1]["db"])
    assert (code, err) == (0, "")
    home, office = json.loads(out)["rows"]
    assert (home["ledger"], home["host_count"], office["host_count"]) == (str(fleet[1]["db"]), None, 2)
    assert home["forecast_bytes"] > home["used_bytes"]
    assert office["forecast_bytes"] > office["used_bytes"]


def test_check_ends_with_4_when_the_hosts_together_have_reached_the_threshold(plan):
    def check(cap, *more):
        return plan(plan_of(more='labels = ["site=berlin"]\n', cap=cap), "check", *more)

    code, out, err = check("1 GB")
    assert (code, err) == (0, "")
    assert out.startswith("group: ok: ")
    assert " used by 2 hosts (" in out
    code, out, err = check("1 MB")
    assert (code, err) == (4, "")
    assert out.startswith("group: exceeded: ")
    (row,) = json.loads(check("1 MB", "--format", "json")[1])["rows"]
    assert (row["exceeded"], row["host_count"]) == (True, 2)


def test_free_hours_within_a_quarter_are_split_in_proportion_and_told_as_estimated(plan, fleet):
    hours = 'free_hours = ["07:10-08:00"]\n'
    (row,) = json.loads(plan(plan_of(more=hours), "show", "--fleet", "--format", "json", tz="UTC")[1])["rows"]
    (even,) = json.loads(
        plan(plan_of(more='free_hours = ["07:00-08:00"]\n'), "show", "--fleet", "--format", "json", tz="UTC")[
            1
        ]
    )["rows"]
    # all is counted at the full hour; of the quarter of an hour five minutes are free
    assert even["free_bytes"] // 3 - 50 < row["free_bytes"] <= even["free_bytes"] // 3
    assert row["estimated_bytes"] == even["estimated_bytes"] + even["free_bytes"] - row["free_bytes"]
    assert "Estimated" in plan(plan_of(more=hours), "show", "--fleet", tz="UTC")[1]


def test_hosts_that_have_not_delivered_for_long_are_named_since_what_they_used_is_not_there(
    plan, monkeypatch
):
    group = plan_of("berlin", 'labels = ["site=berlin"]\n')
    monkeypatch.setattr("time.time", lambda: NOW_S + 4 * 3600)
    code, out, err = plan(group, "check")
    assert (code, out.count("\n")) == (0, 1)
    assert err == (
        "netusage: 2 of 2 hosts have not delivered all of that time: db, web1; netusage fleet status says since when\n"
    )
    assert "1 of 1 hosts" in plan(plan_of(), "check", "--fleet", "--host", "web2")[2]
    assert "3 of 3 hosts" in plan(plan_of() + group, "show", "--fleet")[2]
    for asked in ("show", "check"):
        assert json.loads(plan(group, asked, "--format", "json")[1])["behind"] == ["db", "web1"]


def test_hosts_that_are_not_there_are_told_of(plan):
    code, out, err = plan(plan_of(more='labels = ["site=rome"]\n'), "check")
    assert (code, out) == (3, "")
    assert "'site=rome'" in err
    code, out, err = plan(plan_of(more='hosts = ["web*", "mail"]\n') + plan_of("all"), "check", "--fleet")
    assert code == 3
    assert out.startswith("all: ")
    assert "the fleet has no host 'mail'" in err


def test_a_store_that_is_down_is_an_error_and_nothing_is_told(plan, server, fleet):
    plans = plan_of("home") + plan_of("office", 'labels = ["site=berlin"]\n')
    server.kill()
    try:
        for asked in ("show", "check"):
            code, out, err = plan(plans, asked, db=fleet[1]["db"])
            assert (code, out) == (1, "")
            assert err.startswith("netusage: cannot reach the fleet's store")
            assert err.count("\n") == 1
        assert plan(plans, "check", "home", db=fleet[1]["db"])[0] == 0
    finally:
        server.start()
