"""netusage fleet, as people and programs meet it; what it asks is in tests/fleet."""

import itertools
import json
import socket

import pytest
from support import clickhouse
from support.ledgers import START_S, writing

from netusage.cli.failures import run
from netusage.fleet.deliver import Delivery
from netusage.fleet.schema import HOST, USAGE
from netusage.ledger import ship_journal
from netusage.ledger.batch import Part
from netusage.model import US, Counters, Who
from netusage.settings.schema import FleetSettings

pytestmark = pytest.mark.system
_NUMBERS = itertools.count(1)
TABLES = (
    *("usage", "usage_day", "usage_month", "span", "share", "share_day", "share_month"),
    *("interface", "gap", "host"),
)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    yield from clickhouse.alone(tmp_path_factory)


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    yield from clickhouse.sharded(tmp_path_factory)


@pytest.fixture
def database(tmp_path, monkeypatch):
    """A database of its own, and the environment in which commands know it and the password."""
    name = f"netusage_{next(_NUMBERS)}"
    (tmp_path / "password").write_text(clickhouse.PASSWORD, encoding="utf-8")
    for key, value in (("DATABASE", name), ("USER", "host"), ("PASSWORD_FILE", tmp_path / "password")):
        monkeypatch.setenv(f"NETUSAGE_FLEET_{key}", str(value))
    monkeypatch.setenv("NETUSAGE_DB", str(tmp_path / "own.db"))
    return name


@pytest.fixture
def fleet(server, database, monkeypatch, capsys):
    """A server with all tables that the configuration names."""
    monkeypatch.setenv("NETUSAGE_FLEET_URL", server.url)
    assert run(["fleet", "init"]) == 0
    capsys.readouterr()
    return server


@pytest.fixture
def client(fleet, database):
    with clickhouse.store(fleet.url, database) as made:
        yield made


def failed(capsys, *arguments, code=1):
    """The one line that a command fails with."""
    assert run(list(arguments)) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1, err
    assert clickhouse.PASSWORD not in err
    return err


def asked(capsys, *arguments, code=0):
    assert run([*arguments, "--format", "json"]) == code
    return json.loads(capsys.readouterr().out)


def add_host(client, key, name, **more):
    state = {"labels": (), "seen_us": START_S * US} | more
    known = (state["labels"], state["seen_us"], 7, START_S, START_S * US, "kernel", 1, 0, 0, 1)
    client.insert(HOST, [(key, "l", name, "Linux", "1.0", *known)])


# ---- init --------------------------------------------------------------------------------------------------------


def test_init_says_what_it_made_and_the_second_time_that_all_is_there(server, database, capsys):
    assert run(["fleet", "init", server.url]) == 0
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        f"netusage: {server.url}: made the {what}"
        for what in (f"database {database}", *(f"table {table}" for table in TABLES))
    ]
    assert run(["fleet", "init", server.url]) == 0
    assert capsys.readouterr().err == f"netusage: {server.url}: has all tables in {database} already\n"


def test_init_can_say_what_it_would_do_and_do_nothing(server, database, capsys):
    assert run(["fleet", "init", server.url, "--dry-run"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert f"CREATE TABLE IF NOT EXISTS `{database}`.`usage`" in out
    assert [database] not in server.ask("SHOW DATABASES")
    for statement in out.split(";\n"):
        lines = [line for line in statement.splitlines() if not line.startswith("--")]
        if any(lines):
            server.ask("\n".join(lines))
    assert run(["fleet", "init", server.url]) == 0
    assert "has all tables" in capsys.readouterr().err


def test_init_of_a_cluster_wants_all_its_servers_and_can_be_done_again(shards, database, capsys):
    one, two = (shard.url for shard in shards)
    assert run(["fleet", "init", one, "--cluster", clickhouse.CLUSTER]) == 1
    err = capsys.readouterr().err.splitlines()
    assert "has no tables of netusage" in err[-1]
    assert "URLs of all servers" in err[-1]
    for _ in range(2):
        assert run(["fleet", "init", one, two, "--cluster", clickhouse.CLUSTER]) == 0
    err = capsys.readouterr().err.splitlines()
    assert err[-2:] == [f"netusage: {url}: has all tables in {database} already" for url in (one, two)]


def test_init_of_no_url_at_all_or_of_none_is_told(database, capsys):
    assert "names no fleet" in failed(capsys, "fleet", "init", code=2)
    assert "expected a URL" in failed(capsys, "fleet", "init", "fleet", code=2)
    said = failed(capsys, "fleet", "init", "http://eva:secret@fleet", code=2)
    assert "password_file" in said
    assert "secret" not in said


# ---- What goes wrong ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["init", "status", "retire"])
def test_a_server_that_is_not_there_or_hangs_is_one_line(command, database, capsys, monkeypatch):
    monkeypatch.setenv("NETUSAGE_FLEET_TIMEOUT", "1s")
    more = ["web1"] if command == "retire" else []
    with socket.create_server(("127.0.0.1", 0)) as sock:
        url = f"http://127.0.0.1:{sock.getsockname()[1]}"
        monkeypatch.setenv("NETUSAGE_FLEET_URL", url)
        assert f"{url} did not answer within 1 s" in failed(capsys, "fleet", command, *more)
    assert f"cannot reach the fleet's store {url}" in failed(capsys, "fleet", command, *more)


def test_a_wrong_password_is_one_line(fleet, tmp_path, capsys):
    (tmp_path / "password").write_text("wrong")
    assert "does not let 'host' in" in failed(capsys, "fleet", "status")


def test_a_database_without_tables_is_one_line_with_what_to_do(fleet, capsys):
    said = failed(capsys, "fleet", "status", "--database", "nowhere")
    assert f"netusage fleet init {fleet.url}" in said


def test_errors_are_json_for_programs(fleet, capsys):
    assert run(["fleet", "status", "--database", "nowhere", "--format", "json"]) == 1
    assert json.loads(capsys.readouterr().err)["error"]["kind"] == "fleet"


def test_with_a_shard_down_status_and_verify_say_so_and_show_nothing(
    shards, database, tmp_path, capsys, monkeypatch
):
    monkeypatch.setenv("NETUSAGE_FLEET_URL", shards[0].url)
    urls = [shard.url for shard in shards]
    assert run(["fleet", "init", *urls, "--cluster", clickhouse.CLUSTER]) == 0
    with clickhouse.store(shards[0].url, database) as client:
        make_ledger(tmp_path / "own.db")
        deliver(client, tmp_path / "own.db")
        for number in range(20):
            add_host(client, f"k{number}", f"web{number}")
    capsys.readouterr()
    assert len(asked(capsys, "fleet", "status")["rows"]) == 21
    assert asked(capsys, "fleet", "verify")["ok"]
    shards[1].kill()
    try:
        for command in ("status", "verify"):
            assert "a part of a total is no total" in failed(capsys, "fleet", command)
        assert "a part of a total is no total" in failed(capsys, "fleet", "retire", "web1", "--yes")
    finally:
        shards[1].start()
    assert len(asked(capsys, "fleet", "status")["rows"]) == 21


# ---- status ------------------------------------------------------------------------------------------------------


def test_status_of_an_empty_fleet_says_that_nobody_has_delivered(fleet, capsys):
    assert run(["fleet", "status"]) == 0
    assert "no host has delivered anything" in capsys.readouterr().err


def test_status_has_every_host_and_says_where_two_have_one_name(client, capsys):
    add_host(client, "k1", "web1", labels=("site=berlin", "role=web"))
    add_host(client, "k2", "web1")
    add_host(client, "k3", "a\tb\x1b[3m\n")
    answer = asked(capsys, "fleet", "status", "--tz", "UTC")
    assert [(row["host"], row["key"]) for row in answer["rows"]] == [
        ("a\tb\x1b[3m\n", "k3"),
        ("web1", "k1"),
        ("web1", "k2"),
    ]
    row = answer["rows"][1]
    assert row["labels"] == ["site=berlin", "role=web"]
    assert row["last_seen"] == "2026-03-10T00:00:00+00:00"
    assert row["lag_us"] > 0
    assert row["record_lag_us"] == row["lag_us"]
    assert run(["fleet", "status"]) == 0
    out, err = capsys.readouterr()
    assert err == "netusage: 2 hosts are called 'web1'; they are kept apart by their keys: k1, k2\n"
    assert "\x1b[3m" not in out
    assert run(["fleet", "status", "--format", "csv"]) == 0
    assert capsys.readouterr().out.startswith("host,key,ledger,last_seen,lag_us,record_lag_us,")


# ---- verify ------------------------------------------------------------------------------------------------------


def make_ledger(path):
    with writing(path) as ledger:
        eth0 = ledger.interface("eth0")
        ledger.count(eth0, START_S, 1000, 234, 3, 1)
        ledger.commit(START_S + 900)


def deliver(client, path):
    settings = FleetSettings(url=client.address.url, database=client.address.database)
    journal = ship_journal.ShipJournal(str(path), settings.url, settings.database)
    Delivery(str(path), settings, client, journal, version="test").run(START_S * US)


def test_verify_is_exact_different_and_exact_again_when_all_is_delivered_anew(client, tmp_path, capsys):
    path = tmp_path / "own.db"
    make_ledger(path)
    assert "nothing of this ledger" in failed(capsys, "fleet", "verify", code=3)
    deliver(client, path)
    assert run(["fleet", "verify"]) == 0
    out, err = capsys.readouterr()
    assert out == ""
    assert "OK: 3 parts of 1 months of 1 interfaces, 1,234 bytes, are in the fleet to the byte" in err
    client.execute(f"TRUNCATE TABLE {client.table(USAGE.name)}")
    answer = asked(capsys, "fleet", "verify", code=1)
    assert (answer["ok"], answer["differs"], answer["exact"]) == (False, 3, 0)
    row, *days = answer["rows"]
    assert [row["what"] for row in days] == ["usage_day", "usage_month"]
    assert (row["interface"], row["month"], row["what"]) == ("eth0", "2026-03", "usage")
    assert (row["ledger_rx_bytes"], row["fleet_rx_bytes"]) == (1000, 0)
    assert run(["fleet", "verify", "--rewind"]) == 1
    assert "DIFFERENT: 3 of 3 parts of 1 months" in capsys.readouterr().err
    deliver(client, path)
    assert run(["fleet", "verify", "--all", "--format", "csv"]) == 0
    assert "eth0,,2026-03,usage,exact,1,1,1000,1000,234,234,3,3,1,1" in capsys.readouterr().out


def test_verify_says_where_the_same_bytes_are_in_more_rows_in_the_fleet(client, tmp_path, capsys):
    path = tmp_path / "own.db"
    with writing(path, other_below_ppm=100_000) as ledger:
        eth0 = ledger.interface("eth0")
        for name, rx in (("web", 100_000), ("tiny", 5), ("small", 6)):
            who = Who("application", name, f"/bin/{name}", "eva")
            ledger.share(Part(START_S, eth0, who, 3, 6, 4), Counters(rx, 1, 1, 1))
        ledger.commit(START_S + 900)
        deliver(client, path)
        ledger.commit(START_S + 2 * 86_400)  # two of them have become "other" here
    assert run(["fleet", "verify"]) == 0
    said = capsys.readouterr().err
    assert "OK: 3 parts of 1 months of 1 interfaces, 0 bytes" in said
    assert "of 1 months of applications the fleet has the same bytes in more rows" in said


# ---- retire ------------------------------------------------------------------------------------------------------


def test_retire_asks_says_what_it_would_do_and_leaves_nothing(client, tmp_path, capsys):
    add_host(client, "k1", "web1")
    add_host(client, "k2", "web1")
    add_host(client, "k3", "web3")
    assert "2 hosts are called 'web1'" in failed(capsys, "fleet", "retire", "web1", "--yes", code=2)
    assert "no host 'web9'" in failed(capsys, "fleet", "retire", "web9", code=3)
    assert run(["fleet", "retire", "web3", "--dry-run"]) == 0
    assert "would delete 1 rows of the host web3 (k3): 1 of host" in capsys.readouterr().err
    assert "add --yes" in failed(capsys, "fleet", "retire", "web3", code=2)
    assert run(["fleet", "retire", "k1", "--yes"]) == 0
    assert "deleted 1 rows of the host web1 (k1)" in capsys.readouterr().err
    answer = asked(capsys, "fleet", "status")
    assert [row["key"] for row in answer["rows"]] == ["k2", "k3"]


def test_a_host_that_was_taken_out_and_delivers_again_is_there_again_to_the_byte(client, tmp_path, capsys):
    make_ledger(tmp_path / "own.db")
    assert run(["ship", "--once"]) == 0
    (row,) = asked(capsys, "fleet", "status")["rows"]
    assert run(["fleet", "retire", row["key"], "--yes"]) == 0
    assert (
        asked(capsys, "fleet", "verify", code=1)["differs"] == 1
    )  # of days and months nothing is known any more
    assert run(["fleet", "verify", "--rewind"]) == 1
    assert "the fleet is not told days and months of this ledger" in capsys.readouterr().err
    assert run(["ship", "--once"]) == 0
    capsys.readouterr()
    assert asked(capsys, "fleet", "verify")["exact"] == 3
    assert [one["key"] for one in asked(capsys, "fleet", "status")["rows"]] == [row["key"]]
