"""netusage plan of several hosts: whom plans are asked of, and what is said where that cannot be."""

import json
from datetime import UTC, datetime

import pytest
from support.ledgers import writing

from netusage.cli.failures import run
from netusage.ledger import hosts

SINCE_S = int(datetime(2026, 3, 2, tzinfo=UTC).timestamp())
NOW_S = SINCE_S + 9 * 86_400
OWN, WEB1, WEB2, DB = 10**9, 2 * 10**9, 3 * 10**9, 4 * 10**9
HOME = '[[plan]]\nname = "home"\ncap = "10 GB"\n'
OFFICE = '[[plan]]\nname = "office"\ncap = "10 GB"\nhosts = ["web*"]\nlabels = ["site=berlin", "role=*"]\n'


@pytest.fixture(scope="module")
def ledger(tmp_path_factory):
    """A ledger into which those of three hosts were merged."""
    home = tmp_path_factory.mktemp("hosts")
    for name, received in (("own", OWN), ("web1", WEB1), ("web2", WEB2), ("db", DB)):
        with writing(home / f"{name}.db", SINCE_S, boot_id=name, machine=name) as made:
            made.count(made.interface("eth0"), SINCE_S + 60, received)
            made.commit(NOW_S)
        if name != "own":
            hosts.merge(str(home / "own.db"), str(home / f"{name}.db"), name, now_us=NOW_S * 10**6)
    return home / "own.db"


@pytest.fixture
def plan(ledger, tmp_path, monkeypatch, capsys):
    """Runs `netusage plan` with a configuration; gives the exit code and what it wrote."""
    monkeypatch.setattr("time.time", lambda: NOW_S)
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    config = tmp_path / "config.toml"

    def ask(text, *arguments, db=ledger):
        config.write_text(text)
        more = [] if arguments[0] in ("list", "add") else ["--tz", "UTC"]
        if more and "--fleet" not in arguments:
            more += ["--db", str(db)]
        code = run(["plan", *arguments, "--config", str(config), *more])
        out, err = capsys.readouterr()
        said = [
            line for line in err.splitlines(True) if not line.startswith("Reading the record")
        ]  # where it takes long
        return code, out, "".join(said)

    ask.config = config
    return ask


def rows_of(out):
    return json.loads(out)["rows"]


def test_a_plan_without_hosts_is_about_this_machine_alone(plan):
    code, out, err = plan(HOME, "show", "--format", "json")
    assert (code, err) == (0, "")
    (row,) = rows_of(out)
    assert (row["used_bytes"], row["host_filter"], row["label_filter"], row["host_count"]) == (
        OWN,
        [],
        [],
        None,
    )
    assert row["ledger"] == json.loads(out)["ledger"]
    assert "Hosts" not in plan(HOME, "show")[1]
    assert "Hosts" not in plan(HOME, "show", "--cycles", "2")[1]


@pytest.mark.parametrize(
    ("patterns", "used", "number"),
    [(["*"], WEB1 + WEB2 + DB, 3), (["web*"], WEB1 + WEB2, 2), (["db"], DB, 1)],
)
def test_hosts_of_merged_ledgers_are_added_up(plan, patterns, used, number):
    asked = [word for pattern in patterns for word in ("--host", pattern)]
    code, out, err = plan(HOME, "show", *asked, "--format", "json")
    assert (code, err) == (0, "")
    (row,) = rows_of(out)
    assert (row["used_bytes"], row["host_filter"], row["host_count"]) == (used, patterns, number)
    (row,) = rows_of(plan(HOME, "check", *asked, "--format", "json")[1])
    assert (row["used_bytes"], row["host_count"]) == (used, number)


def test_people_read_how_many_hosts_there_are_and_which(plan):
    words = " ".join(plan(HOME, "show", "--host", "web*")[1].split())
    assert "Hosts 2 added up: web* Used 5.00 GB of 10.00 GB" in words
    heading, row = plan(HOME, "show", "--host", "web*", "--cycles", "2")[1].splitlines()
    assert heading.split()[:6] == ["Plan", "From", "To", "Hosts", "Labels", "Number"]
    assert row.split()[3:6] == ["web*", "-", "2"]
    said = plan(HOME, "check", "--host", "web*", "--host", "db")[1]
    assert said.startswith("home: ok: 90 % used by 3 hosts (9.00 GB of 10.00 GB, threshold 100 %)")
    assert " used by 1 host (" in plan(HOME, "check", "--host", "db")[1]


def test_check_ends_with_4_when_hosts_together_have_reached_the_threshold(plan):
    assert plan(HOME, "check", "--host", "web1", "--threshold", "50")[0] == 0
    assert plan(HOME, "check", "--host", "web*", "--threshold", "50")[0] == 4


def test_a_plan_that_names_its_hosts_needs_a_fleet_and_no_other_plan_is_told_without(plan):
    for asked in (["show"], ["check"], ["show", "office"]):
        code, out, err = plan(HOME + OFFICE, *asked)
        assert (code, out) == (2, "")
        assert err == (
            "netusage: plan 'office' is about hosts of the fleet (web* with site=berlin and role=*), and the "
            'configuration names none; in [fleet], write url = "https://..."; see docs/fleet.md\n'
        )
    assert plan(HOME + OFFICE, "check", "home")[0] == 0


def test_a_fleet_that_cannot_be_reached_is_an_error_and_no_plan_is_told(plan):
    fleet = '[fleet]\nurl = "http://127.0.0.1:1"\n'
    for asked in (["show"], ["check"], ["show", "home", "--fleet"]):
        code, out, err = plan(fleet + HOME + OFFICE, *asked)
        assert (code, out) == (1, "")
        assert err.startswith("netusage: cannot reach the fleet's store http://127.0.0.1:1: ")
        assert err.count("\n") == 1


def test_other_hosts_than_a_plan_names_itself_are_not_asked_for_it(plan):
    code, out, err = plan(HOME + OFFICE, "show", "--host", "web*", "--format", "json")
    assert code == 0
    assert [row["plan"] for row in rows_of(out)] == ["home"]
    assert err == (
        "netusage: plan 'office' says itself which hosts it is about, and is left out; leave out --host and --label\n"
    )
    code, out, err = plan(HOME + OFFICE, "check", "office", "--host", "web*")
    assert (code, out) == (2, "")
    assert err.endswith("plan 'office' says itself which hosts it is about; leave out --host and --label\n")
    code, out, err = plan(OFFICE, "check", "--host", "web*")
    assert (code, out) == (3, "")
    assert err.startswith("netusage: all plans say themselves which hosts they are about")


def test_labels_and_hosts_that_are_not_there_are_told(plan):
    code, out, err = plan(HOME, "check", "--label", "site=berlin")
    assert (code, out) == (2, "")
    assert "a ledger has no labels" in err
    code, out, err = plan(HOME, "check", "--host", "mail*")
    assert (code, out) == (3, "")
    assert "mail*" in err


def test_a_ledger_that_is_not_there_is_no_data_and_said_once(plan, tmp_path):
    code, out, err = plan(HOME + HOME.replace("home", "too"), "show", db=tmp_path / "none.db")
    assert (code, out) == (3, "")
    assert err.count("none.db") == 1


def test_list_tells_which_hosts_a_plan_is_about(plan):
    home, office = rows_of(plan(HOME + OFFICE, "list", "--format", "json")[1])
    assert (home["hosts"], home["host_filter"], home["label_filter"]) == ("this machine", [], [])
    assert (office["host_filter"], office["label_filter"]) == (["web*"], ["site=berlin", "role=*"])
    assert "web* with site=berlin and role=*" in plan(HOME + OFFICE, "list")[1]


def test_add_writes_hosts_and_labels_and_says_where_there_is_no_fleet_yet(plan):
    given = ["--cap", "1 TB", "--host", "web*", "--host", "db", "--label", "site=berlin"]
    code, _, err = plan("", "add", "x", *given)
    assert code == 0
    assert plan.config.read_text() == (
        '[[plan]]\nname = "x"\ncap = "1 TB"\nhosts = ["web*", "db"]\nlabels = ["site=berlin"]\n'
    )
    assert err == (
        "netusage: the plan 'x' is about hosts of the fleet, and the configuration names none yet: docs/fleet.md\n"
    )
    assert plan('[fleet]\nurl = "http://127.0.0.1:1"\n', "add", "x", *given)[2] == ""
    code, _, err = plan("", "add", "x", "--cap", "1 TB", "--host", "")
    assert code == 2
    assert "plan add: --host: an empty name matches nothing" in err
