"""Reports over a fleet: the rows are those of the same ledgers merged into one, cell for cell."""

import contextlib
import json
import os
import sqlite3
import tomllib

import pytest
from support import clickhouse
from support.ledgers import DAY_S, START_S, writing

from netusage.cli.failures import run
from netusage.fleet.deliver import Delivery
from netusage.fleet.store import Store, address_of
from netusage.fleet.tables import missing
from netusage.ledger.batch import Part
from netusage.ledger.ship_journal import ShipJournal
from netusage.model import US, Counters, Who
from netusage.settings.schema import FleetSettings

pytestmark = pytest.mark.system
DAYS = 40
END_S = START_S + DAYS * DAY_S
HOSTS = {
    "web1": ("site=berlin", "role=web"),
    "web2": ("site=paris", "role=web"),
    "db1": ("site=berlin", "role=db"),
}
WHO = [
    Who("application", "nginx", "/usr/sbin/nginx", "www", "nginx.service"),
    Who("application", "psql", "/usr/bin/psql", "eva"),
    Who("kernel"),
]
# on a clock whose days are none of UTC's
STRETCH = ["--since", "2026-03-11", "--until", "2026-04-10", "--tz", "Asia/Kathmandu"]
EARLY = ["--since", "2026-03-11", "--until", "2026-03-20", "--tz", "Asia/Kathmandu"]


def record(path, name, rx):
    """Some weeks of a host; minutes of the first are not kept any more, as a fleet has none at all."""
    with writing(path, machine=name, boot_id=name, minutes_kept_s=7 * DAY_S) as ledger:
        ledger.tier = "kernel"
        eth0, wlan0 = ledger.interface("eth0"), ledger.interface("wlan0")
        tun0 = ledger.interface(
            "tun0", "tun", counted=False, reason="a tunnel is carried by another interface"
        )
        for hour in range(0, 24 * DAYS, 5):
            at_s = START_S + hour * 3600
            for n, epoch in enumerate((eth0, wlan0, tun0)):
                more = rx * (1 + (hour + n) % 7) + n
                ledger.count(epoch, at_s, more, 2 * more, 3, 2, peak_rx=more, peak_tx=more + 1)
                ledger.share(
                    Part(at_s, epoch, WHO[(hour + n) % 3], 1 + n, 6, 4), Counters(more // 2, more, 1, 1)
                )
            if hour % 3 == 0:
                ledger.commit(at_s + 3000)
        ledger.span(eth0, (START_S + rx) * US, (START_S + rx + 90_000) * US, 1001 * rx, 7, 3, 2)
        ledger.gap(START_S + rx, START_S + rx + 90_000, lossy=True)
        ledger.end(tun0)
        ledger.commit(END_S, ended="SIGTERM")
    return path


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Where there are a configuration with a fleet of these hosts, and merged.db, which has their ledgers in it."""
    directory = tmp_path_factory.mktemp("fleet")
    (directory / "password").write_text(clickhouse.PASSWORD, encoding="utf-8")
    record(directory / "merged.db", "own", 1_000_000)
    for server in clickhouse.alone(tmp_path_factory):
        common = {"url": server.url, "user": "host", "password_file": str(directory / "password")}
        with Store(address_of(FleetSettings(**common))) as store:
            for statement in missing(store):
                store.execute(statement.sql)
            for n, (name, labels) in enumerate(HOSTS.items()):
                path = str(record(directory / f"{name}.db", name, 1000 + 77 * n))
                settings = FleetSettings(name=name, labels=labels, **common)
                journal = ShipJournal(path, server.url, "netusage")
                Delivery(path, settings, store, journal, version="1").run(END_S * US)
                assert run(["merge", path, "--db", str(directory / "merged.db")]) == 0
        lines = "".join(f'{key} = "{value}"\n' for key, value in common.items())
        (directory / "config.toml").write_text(f"[fleet]\n{lines}", encoding="utf-8")
        yield directory


@pytest.fixture(autouse=True)
def here(place, tmp_path, monkeypatch):
    for name in [name for name in os.environ if name.startswith("NETUSAGE_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NETUSAGE_CONFIG", str(place / "config.toml"))
    monkeypatch.setattr("time.time", lambda: END_S + 1800.5)


def asked(capsys, *arguments):
    assert run([*arguments, "--format", "json"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return json.loads(out)


def both(capsys, place, arguments, *, fleet=(), merged=("*",)):
    """What the fleet answers, and what the ledger does into which the hosts' ledgers were merged."""
    hosts = [option for pattern in merged for option in ("--host", pattern)]
    found = [
        asked(capsys, *arguments, "--fleet", *fleet),
        asked(capsys, *arguments, "--db", str(place / "merged.db"), *hosts),
    ]
    for answer in found:
        answer.pop("ledger")
        answer.pop("host_filter")
        answer.pop("label_filter", None)
        assert answer.pop("behind", []) == []
        assert answer["rows"]
    return found


# ---- The same rows ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        ["report", "hour", "--by", "host", *EARLY],
        ["report", "day", "--by", "host,interface", *STRETCH],
        ["report", "day", "--interface", "*0", "--peak", "--percentile", "95", *EARLY],
        ["report", "day", "--by", "host", "--peak", "--percentile", "50", *EARLY],
        ["report", "day", "--by", "user,scope", *STRETCH],
        ["report", "week", *STRETCH],
        ["report", "month", "--by", "host,application", *STRETCH],
        ["report", "month", "--by", "host,application,interface", "--billing-day", "15", "--tz", "UTC"],
        ["report", "year", "--by", "host"],
        ["report", "total", "--by", "application"],
        ["report", "top", "--by", "host", "--limit", "3"],
        ["report", "top", "--by", "host,application", "--limit", "7"],
        ["apps", *STRETCH],
        ["apps", "--by", "host", "--limit", "2", *STRETCH],
        ["apps", "--by", "application,host,scope,protocol,family", *STRETCH],
        ["apps", "--by", "unit,path", "--interface", "eth*", *STRETCH],
        ["reconcile", *STRETCH],
        ["interfaces"],
        ["--tz", "Asia/Kathmandu"],
        ["--tz", "UTC", "--by", "host"],
        ["--tz", "America/St_Johns", "--by", "host,interface"],
    ],
    ids=" ".join,
)
def test_rows_are_those_of_the_same_ledgers_merged_into_one(capsys, place, arguments):
    fleet, merged = both(capsys, place, arguments)
    assert fleet == merged


@pytest.mark.parametrize(
    ("fleet", "merged"),
    [
        (["--host", "web*"], ["web*"]),
        (["--host", "db1", "--host", "web2"], ["db1", "web2"]),
        (["--label", "site=berlin"], ["web1", "db1"]),
        (["--label", "site=*", "--label", "role=web", "--host", "*1"], ["web[1]"]),
    ],
    ids=str,
)
@pytest.mark.parametrize(
    "arguments",
    [
        ["report", "month", *STRETCH],
        ["apps", "--by", "host,application", *STRETCH],
        ["reconcile", *STRETCH],
        ["interfaces"],
        ["--by", "interface"],
    ],
    ids=lambda arguments: arguments[0],
)
def test_hosts_are_chosen_by_name_and_by_label(capsys, place, arguments, fleet, merged):
    found = both(capsys, place, arguments, fleet=fleet, merged=merged)
    assert found[0] == found[1]


@pytest.mark.parametrize(
    "arguments",
    [
        ["csv", *EARLY],
        ["csv", "--resolution", "hour", "--interface", "*0", *STRETCH],
        ["jsonl", "--resolution", "day", "--tz", "America/St_Johns"],
        ["parquet", "--resolution", "week", "--tz", "UTC"],
        ["csv", "--resolution", "year", "--tz", "UTC"],
        ["csv", "--what", "gaps", "--tz", "UTC"],
        [
            "csv",
            "--what",
            "gaps",
            "--since",
            "2026-03-10T12:00",
            "--until",
            "2026-03-11T01:00",
            "--tz",
            "UTC",
        ],
    ],
    ids=" ".join,
)
@pytest.mark.parametrize(("fleet", "merged"), [([], "*"), (["--label", "role=web"], "web*")], ids=str)
def test_files_have_the_same_rows_of_the_same_ledgers_merged_into_one(
    capsys, place, tmp_path, arguments, fleet, merged
):
    own = ["--db", str(place / "merged.db"), "--host", merged]
    assert run(["export", *arguments, "--fleet", *fleet, "-o", "fleet"]) == 0
    assert run(["export", *arguments, *own, "-o", "merged"]) == 0
    assert "have not delivered" not in capsys.readouterr().err
    found = [(tmp_path / name).read_bytes() for name in ("fleet", "merged")]
    if arguments[0] == "parquet":
        found = [pyarrow_table(tmp_path / name) for name in ("fleet", "merged")]
    assert found[0] == found[1]
    assert len(found[0]) > 2


def pyarrow_table(path):
    return pytest.importorskip("pyarrow.parquet").read_table(path).to_pylist()


def test_what_a_file_of_a_fleet_has_adds_up_to_the_byte(capsys, tmp_path):
    for resolution in ("quarter", "hour", "day"):
        assert run(["export", "sqlite", "--fleet", "--resolution", resolution, "-o", resolution]) == 0
        with contextlib.closing(sqlite3.connect(tmp_path / resolution)) as file:
            about = dict(file.execute("SELECT * FROM about"))
            sql = "SELECT sum(rx_bytes), sum(tx_bytes), sum(rx_packets), sum(tx_packets) FROM usage WHERE counted"
            (whole,) = file.execute(sql)
            assert file.execute("SELECT count(*), sum(lossy) FROM gaps").fetchone() == (3, 3)
        assert (about["resolution"], about["hosts"], about["labels"]) == (resolution, "", "")
        capsys.readouterr()
        (row,) = asked(capsys, "report", "total", "--fleet")["rows"]
        assert whole == tuple(row[f"{way}_{what}"] for what in ("bytes", "packets") for way in ("rx", "tx"))


def test_the_envelope_says_whom_it_is_about(capsys, place):
    answer = asked(capsys, "report", "month", "--fleet", "--host", "web*", "--label", "role=web", *STRETCH)
    assert (answer["host_filter"], answer["label_filter"]) == (["web*"], ["role=web"])
    assert answer["ledger"].startswith("http://127.0.0.1:")
    answer = asked(capsys, "apps", "--fleet", *STRETCH)
    assert (answer["host_filter"], answer["label_filter"]) == ([], [])


def test_hosts_that_have_not_delivered_all_of_the_time_asked_for_are_named(capsys, monkeypatch):
    monkeypatch.setattr("time.time", lambda: END_S + 3 * 3600)
    said = "hosts have not delivered all of that time: db1, web1, web2; netusage fleet status says since when"
    for arguments in (
        ["report", "month"],
        ["report", "day", "--by", "user"],
        ["apps", "--since", "60d"],
        ["interfaces"],
        ["--by", "host"],
    ):
        assert run([*arguments, "--fleet", "--format", "json"]) == 0
        out, err = capsys.readouterr()
        assert json.loads(out)["behind"] == ["db1", "web1", "web2"]
        assert err == f"netusage: 3 of 3 {said}\n"
    assert run(["plot", "month", "--fleet", "--panel", "timeline", "-o", "x.svg"]) == 0
    assert capsys.readouterr().err == f"netusage: 3 of 3 {said}\n"
    assert run(["export", "csv", "--fleet", "--resolution", "month"]) == 0
    assert capsys.readouterr().err.endswith(f"netusage: 3 of 3 {said}\n")
    assert run(["reconcile", "--since", "60d", "--fleet", "--host", "web1"]) == 0
    assert ": web1; " in capsys.readouterr().err
    assert asked(capsys, "report", "day", "--fleet", *STRETCH)["behind"] == []


def test_people_get_a_table_with_hosts_in_it(capsys):
    assert run(["report", "month", "--fleet", "--by", "host,application", *STRETCH]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    lines = out.splitlines()
    assert lines[0].split()[:3] == ["Month", "Host", "Application"]
    assert {line.split()[1] for line in lines[1:] if line.startswith("2026")} == set(HOSTS)
    assert lines[-1] == "Applications are told apart by: kernel"
    assert run(["interfaces", "--fleet"]) == 0
    assert capsys.readouterr().out.split()[:3] == ["Host", "Interface", "Kind"]


def test_a_picture_of_the_fleet_is_drawn_without_a_word_of_what_was_watched(tmp_path, place):
    arguments = ["plot", "day", *STRETCH]
    assert run([*arguments, "--fleet", "-o", "fleet.svg"]) == 0
    assert run([*arguments, "--fleet", "--label", "role=db", "-o", "one.svg"]) == 0
    assert run([*arguments, "--db", str(place / "merged.db"), "--host", "*", "-o", "merged.svg"]) == 0
    fleet, one, merged = ((tmp_path / f"{name}.svg").read_text() for name in ("fleet", "one", "merged"))
    assert fleet == merged
    assert "3 hosts together" in fleet
    assert "unwatched" not in fleet + one


def test_a_plan_of_the_fleet_is_drawn_beside_what_this_machine_counted(capsys, place, tmp_path, monkeypatch):
    config = (place / "config.toml").read_text(encoding="utf-8")
    plan = '[[plan]]\nname = "berlin"\ncap = "1 GB"\nlabels = ["site=berlin"]\n'
    (place / "plans.toml").write_text(config + plan, encoding="utf-8")
    monkeypatch.setenv("NETUSAGE_CONFIG", str(place / "plans.toml"))
    arguments = ["plot", "day", "--panel", "plan", *STRETCH]
    assert run([*arguments, "--db", str(place / "db1.db"), "-o", "own.svg"]) == 0
    assert run([*arguments, "--fleet", "-o", "fleet.svg"]) == 0
    own, fleet = ((tmp_path / f"{name}.svg").read_text() for name in ("own", "fleet"))
    assert "berlin" in own
    assert "hosts together" not in own
    assert "3 hosts together" in fleet
    assert capsys.readouterr().err == ""
    monkeypatch.setattr("time.time", lambda: END_S + 3 * 3600)
    assert run([*arguments, "--db", str(place / "db1.db"), "-o", "own.svg"]) == 0
    assert "2 of 2 hosts have not delivered all of that time: db1, web1; " in capsys.readouterr().err


def test_applications_that_their_host_keeps_at_home_have_that_for_a_name(
    capsys, place, tmp_path, monkeypatch
):
    with open(place / "config.toml", "rb") as file:
        common = tomllib.load(file)["fleet"] | {"database": "at_home"}
    path = str(place / "db1.db")
    settings = FleetSettings(name="db1", share=("units",), **common)
    with Store(address_of(settings)) as store:
        for statement in missing(store):
            store.execute(statement.sql)
        journal = ShipJournal(path, settings.url, "at_home")
        Delivery(path, settings, store, journal, version="1").run(END_S * US)
    monkeypatch.setenv("NETUSAGE_FLEET_DATABASE", "at_home")
    rows = asked(capsys, "apps", "--fleet", "--by", "application,user,unit", *STRETCH)["rows"]
    assert {(row["application"], row["user"], row["unit"]) for row in rows} == {
        ("kept at home", "", "nginx.service"),
        ("kept at home", "", ""),
        ("kernel: beginnings and ends of TCP connections", "", ""),
        ("unattributed", "", ""),
    }
    rows = asked(capsys, "apps", "--fleet", "--by", "scope", *STRETCH)["rows"]
    assert [row["scope"] for row in rows if row["scope"]] == ["kept at home"]


# ---- What goes wrong --------------------------------------------------------------------------------------------

COMMANDS = pytest.mark.parametrize(
    "arguments",
    [
        ["report", "month"],
        ["apps"],
        ["reconcile"],
        ["interfaces"],
        ["plot", "day", "-o", "x.svg"],
        ["export", "csv"],
        [],
    ],
    ids=lambda arguments: arguments[0] if arguments else "summary",
)


def failed(capsys, *arguments, code):
    """The one line that a command fails with."""
    assert run(list(arguments)) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1, err
    assert clickhouse.PASSWORD not in err
    assert not os.listdir()
    return err


@COMMANDS
def test_hosts_that_there_are_none_of_are_named(capsys, arguments):
    err = failed(capsys, *arguments, "--fleet", "--host", "mail*", code=3)
    assert "mail*" in err
    assert "site=rome" in failed(capsys, *arguments, "--fleet", "--label", "site=rome", code=3)


@COMMANDS
def test_a_server_that_is_down_is_one_line(capsys, arguments, monkeypatch):
    url = f"http://127.0.0.1:{clickhouse.free_ports(1)[0]}"
    monkeypatch.setenv("NETUSAGE_FLEET_URL", url)
    assert url in failed(capsys, *arguments, "--fleet", code=1)


@COMMANDS
def test_a_wrong_password_is_one_line(capsys, arguments, monkeypatch, place):
    (place / "wrong").write_text("wrong")
    monkeypatch.setenv("NETUSAGE_FLEET_PASSWORD_FILE", str(place / "wrong"))
    assert "password" in failed(capsys, *arguments, "--fleet", code=1)


def test_a_server_without_tables_says_how_to_have_them(capsys, monkeypatch):
    monkeypatch.setenv("NETUSAGE_FLEET_DATABASE", "nothing_here")
    assert "netusage fleet init" in failed(capsys, "report", "month", "--fleet", code=1)


def test_what_a_fleet_has_not_is_said_in_one_line(capsys):
    err = failed(capsys, "report", "total", "--fleet", "--since", "2026-03-11T10:07", "--tz", "UTC", code=2)
    assert "quarters of an hour" in err
    assert "no interface 'tun9'" in failed(capsys, "apps", "--fleet", "--interface", "tun9", *STRETCH, code=3)
    assert "begins at" in failed(capsys, "report", "day", "--fleet", "--until", "2020-01-01", code=3)
