"""The bare command over several hosts: of a fleet of two shards, and of the ledger into which the same were merged."""

import csv
import json
import os

import pytest
from support import clickhouse, deliveries, machines
from support.ledgers import DAY_S, START_S
from support.machines import HOSTILE, HOUR_S

from netusage.cli.failures import run

pytestmark = pytest.mark.system
UNTIL_S = START_S + 23 * DAY_S + 13 * HOUR_S  # 2 April
LATE = "netusage: 1 of 3 hosts have not delivered all of that time: web2; netusage fleet status says since when\n"


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    yield from clickhouse.sharded(tmp_path_factory)


@pytest.fixture(scope="module")
def place(shards, tmp_path_factory):
    """Where there are a configuration with the fleet, and merged.db."""
    home = tmp_path_factory.mktemp("hosts")
    ledgers = machines.ledgers(home, UNTIL_S)
    machines.merged(home / "merged.db", ledgers, UNTIL_S)
    first, second = (shard.url for shard in shards)
    settings = machines.delivered(first, ledgers, UNTIL_S, others=[second], cluster=clickhouse.CLUSTER)
    os.rename(deliveries.configuration(tmp_path_factory.mktemp("config"), settings), home / "config.toml")
    return home


@pytest.fixture(autouse=True)
def here(place, tmp_path, monkeypatch):
    for name in [name for name in os.environ if name.startswith("NETUSAGE_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NETUSAGE_CONFIG", str(place / "config.toml"))
    monkeypatch.setenv("NETUSAGE_DB", str(place / "merged.db"))
    monkeypatch.setenv("TZ", "UTC")
    monkeypatch.setattr("time.time", lambda: UNTIL_S + 600.5)


def heard(capsys):
    """What was written, without how far it is, which is said where it takes long."""
    out, err = capsys.readouterr()
    lines = err.splitlines(keepends=True)
    return out, "".join(line for line in lines if not line.startswith("Reading the record"))


def asked(capsys, *arguments, said=""):
    assert run([*arguments]) == 0
    out, err = heard(capsys)
    assert err == said
    return out


def both(capsys, *arguments):
    """What is said of the fleet and of the merged ledgers."""
    return asked(capsys, *arguments, "--fleet", said=LATE), asked(capsys, *arguments, "--host", "*")


@pytest.mark.parametrize(
    "arguments", [[], ["--by", "host"], ["--by", "host,interface", "--tz", "Asia/Kathmandu"]], ids=" ".join
)
def test_a_fleet_says_what_the_merged_ledgers_of_its_hosts_say_in_every_format(capsys, arguments):
    fleet, merged = both(capsys, *arguments)
    assert fleet.splitlines()[1:] == merged.replace("--host '*'", "--fleet").splitlines()[1:]
    for form in ("csv", "tsv", "markdown"):
        fleet, merged = both(capsys, *arguments, "--format", form)
        assert fleet == merged
    fleet, merged = (json.loads(out) for out in both(capsys, *arguments, "--format", "json"))
    lines, _ = both(capsys, *arguments, "--format", "jsonl")
    assert fleet["rows"] == merged["rows"] == [json.loads(line) for line in lines.splitlines()]
    assert (fleet["hosts"], fleet["gaps"]) == (merged["hosts"], merged["gaps"])
    assert {row["period"] for row in fleet["rows"]} == {"today", "month", "all"}


def test_people_are_told_whose_summary_it_is_and_until_when_they_are_known(capsys, monkeypatch):
    monkeypatch.setenv("NETUSAGE_REPORT_BILLING_DAY", "30")
    out = asked(capsys, "--fleet", "--by", "host", said=LATE)
    first, second, _, head, total, *rest = out.splitlines()
    assert first.startswith("3 hosts of the fleet http://127.0.0.1:")
    assert second == "Known until 2026-04-02 08:00 (web2) to 2026-04-02 13:00 (web1)."
    assert head.split() == ["Period", "Host", "Received", "Sent", "Total", "Estimated"]
    assert total.startswith("today       3 hosts")
    assert [line.split()[0] for line in rest[:3]] == [HOSTILE, "web1", "web2"]
    assert "Gaps this month: 3 gaps, 1h30m in all; 1 may have lost bytes." in rest
    assert rest[-1] == "Which host has them: netusage fleet status"
    out = asked(capsys, "--host", "web1")
    assert out.startswith("The host web1 of the ledger ")
    assert "Known until 2026-04-02 13:00.\n" in out
    assert "machine" in out
    assert "recorder" not in out
    assert "boot" not in out
    assert out.splitlines()[-1] == "Which host has them: netusage verify --host NAME"


def test_programs_are_told_which_hosts_were_asked_for_and_which_are_late(capsys):
    answer = json.loads(asked(capsys, "--fleet", "--host", "web*", "--format", "json", said=LATE.replace("3", "2")))  # fmt: skip
    assert (answer["host_filter"], answer["label_filter"], answer["behind"]) == (["web*"], [], ["web2"])
    assert answer["hosts"] == {
        "count": 2,
        "known_until_earliest": "2026-04-02T08:00:00+00:00",
        "known_until_latest": "2026-04-02T13:00:00+00:00",
    }
    assert "host" not in answer["rows"][0]
    answer = json.loads(asked(capsys, "--fleet", "--label", "site=berlin", "--format", "json"))
    assert (answer["hosts"]["count"], answer["behind"]) == (1, [])
    answer = json.loads(asked(capsys, "--host", "web1", "--format", "json"))
    assert (answer["host"], answer["report"], "recorder" in answer) == ("web1", "summary", False)


def test_of_a_day_of_which_nothing_has_arrived_nothing_is_said_but_that(capsys, monkeypatch):
    monkeypatch.setattr("time.time", lambda: UNTIL_S + DAY_S)
    assert run(["--fleet"]) == 0
    out, err = heard(capsys)
    assert err.startswith("netusage: 3 of 3 hosts have not delivered all of that time: web2, ")
    assert "Nothing is known of today.\nNo gaps this month, as far as is known.\n" in out
    assert "\ntoday " not in out
    rows = asked(capsys, "--host", "*", "--format", "csv").splitlines()
    assert {row["period"] for row in csv.DictReader(rows)} == {"month", "all"}


def test_what_does_not_fit_is_counted_with_the_command_that_shows_it(capsys, monkeypatch):
    monkeypatch.setattr("netusage.cli.summary_hosts.SHOWN_INTERFACES", 1)
    chosen = ["--fleet", "--host", "web*", "--label", "*"]
    assert "2 more hosts: netusage report month --by host --fleet\n" in asked(
        capsys, "--fleet", "--by", "host", said=LATE
    )
    assert "1 more interface: netusage interfaces --fleet --host 'web*' --label 'site=*'\n" in asked(
        capsys, *chosen[:-1], "site=*"
    )


def test_hidden_interfaces_are_counted_and_not_shown(capsys, monkeypatch):
    before = asked(capsys, "--host", "*", "--format", "csv").splitlines()
    monkeypatch.setenv("NETUSAGE_INTERFACES_HIDDEN", "lo")
    after = asked(capsys, "--host", "*", "--format", "csv").splitlines()
    assert after == [line for line in before if ",lo," not in line]
    assert len(before) - len(after) == 3


# ---- What goes wrong --------------------------------------------------------------------------------------------


def failed(capsys, *arguments, code):
    """The one line that the command fails with."""
    assert run(list(arguments)) == code
    out, err = heard(capsys)
    assert out == ""
    assert err.count("\n") == 1, err
    return err


def test_with_a_shard_down_there_is_one_line_and_no_part_of_a_total(capsys, shards):
    shards[1].kill()
    try:
        assert "shard" in failed(capsys, "--fleet", code=1)
        assert "shard" in failed(capsys, "--fleet", "--by", "host", "--format", "json", code=1)
    finally:
        shards[1].start()
    assert asked(capsys, "--fleet", said=LATE)


@pytest.mark.parametrize(
    ("code", "arguments", "said"),
    [
        (3, ["--fleet", "--host", "mail"], "the fleet has no host 'mail'; see which there are"),
        (3, ["--fleet", "--label", "site=rome"], "the fleet has no host with the label 'site=rome'"),
        (3, ["--host", "mail*"], "no host 'mail*' in the ledger"),
        (2, ["--by", "host"], "--by host: this ledger's own record is of one host"),
        (2, ["--by", "hosts", "--fleet"], "did you mean 'host'?"),
        (2, ["--label", "site=berlin"], "a ledger has no labels"),
        (2, ["--fleet", "--db", "x.db"], "--fleet and --db are two records"),
        (2, ["--fleet", "--config", "/dev/null"], "the configuration names no fleet"),
        (2, ["--fleet", "verify"], "--fleet is for the summary where it stands before a command; write it"),
        (2, ["--host", "web1", "report", "day"], "write it behind the command: netusage report --host ..."),
        (2, ["--label", "a=b", "apps"], "--label is for the summary"),
        (2, ["--by", "host", "apps"], "--by is for the summary"),
    ],
)
def test_bad_input_is_one_line(capsys, code, arguments, said):
    assert said in failed(capsys, *arguments, code=code)
    assert not os.listdir()
