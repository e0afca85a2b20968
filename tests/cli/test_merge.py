"""netusage merge and netusage hosts, and --host of the commands that ask."""

import json
import os
import sqlite3
from contextlib import closing

import pytest
from support import book
from support.ledgers import START_S, writing

from netusage.cli.failures import run
from netusage.ledger.batch import Part
from netusage.model import Counters, Who

ON_THE_DAY = ["--since", "2026-03-10", "--until", "2026-03-10", "--tz", "UTC"]


@pytest.fixture
def path(tmp_path, monkeypatch):
    """This machine's ledger, and beside it laptop.db."""
    monkeypatch.chdir(tmp_path)
    for name, rx in (("own", 1000), ("laptop", 7)):
        with writing(tmp_path / f"{name}.db", machine=name) as ledger:
            ledger.tier = "kernel"
            epoch = ledger.interface("eth0")
            ledger.count(epoch, START_S, rx, 2 * rx, 1, 1)
            ledger.share(Part(START_S, epoch, Who("application", name), 3, 6, 4), Counters(rx, 0, 1, 0))
            ledger.commit(START_S + 900)
    monkeypatch.setenv("NETUSAGE_DB", str(tmp_path / "own.db"))
    return tmp_path / "own.db"


def files():
    """The names of the files, but for those that reading a ledger leaves beside it."""
    return sorted(name for name in os.listdir() if not name.endswith(("-wal", "-shm", ".lock")))


def asked(capsys, *arguments):
    assert run([*arguments, "--format", "json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_a_ledger_is_named_after_its_file_and_asked_by_that_name(capsys, path):
    assert run(["merge", "laptop.db"]) == 0
    out, err = capsys.readouterr()
    assert out == ""
    assert "laptop is a new host in" in err
    answer = asked(capsys, "report", "day", "--host", "laptop", *ON_THE_DAY)
    assert answer["host"] == "laptop"
    assert [row["rx_bytes"] for row in answer["rows"]] == [7]
    answer = asked(capsys, "report", "day", *ON_THE_DAY)
    assert "host" not in answer
    assert [row["rx_bytes"] for row in answer["rows"]] == [1000]


def test_every_command_that_asks_can_ask_a_host(capsys, path):
    run(["merge", "laptop.db", "--as", "upstairs"])
    capsys.readouterr()
    host = ["--host", "upstairs"]
    assert {
        row["application"] for row in asked(capsys, "apps", "--by", "application", *host, *ON_THE_DAY)["rows"]
    } == {
        "laptop",
        "unattributed",
    }
    assert asked(capsys, "interfaces", *host)["rows"][0]["tx_bytes"] == 14
    rows = asked(capsys, "reconcile", *host, *ON_THE_DAY)["rows"]
    assert sum(row["rx_bytes"] for row in rows if row["line"] != "counted") in {7, 14}
    assert asked(capsys, "report", "total", "--by", "application", *host)["host"] == "upstairs"
    assert asked(capsys, "verify", *host)["counts"]["epoch"] == 1
    assert run(["plot", "day", "--panel", "timeline", *host, "-o", "x.svg"]) == 0
    assert "upstairs" not in capsys.readouterr().err


def test_hosts_are_listed_and_taken_out_again(capsys, path):
    assert asked(capsys, "hosts")["rows"] == []
    run(["merge", "laptop.db"])
    capsys.readouterr()
    (row,) = asked(capsys, "hosts", "--tz", "UTC")["rows"]
    assert (row["host"], row["kind"], row["rx_bytes"], row["tx_bytes"]) == ("laptop", "ledger", 7, 14)
    assert row["start"] == "2026-03-10T00:00:00+00:00"
    assert run(["hosts"]) == 0
    assert capsys.readouterr().out.splitlines()[1].split()[:2] == ["laptop", "ledger"]
    assert run(["hosts", "remove", "laptop", "--dry-run"]) == 0
    assert len(asked(capsys, "hosts")["rows"]) == 1
    assert run(["hosts", "remove", "laptop", "--yes"]) == 0
    assert asked(capsys, "hosts")["rows"] == []
    assert asked(capsys, "report", "total")["rows"][0]["rx_bytes"] == 1000


def test_what_was_recorded_in_both_is_said_and_never_added_up(capsys, path):
    with writing("copy.db", machine="own") as ledger:
        ledger.count(ledger.interface("eth0"), START_S, 1000, 2000, 1, 1)
        ledger.commit(START_S + 600)
    assert run(["merge", "copy.db"]) == 0
    assert "for 10m the same counters were recorded in both; they stay apart" in capsys.readouterr().err
    assert asked(capsys, "report", "total")["rows"][0]["rx_bytes"] == 1000


def test_verify_proves_hosts_as_well(capsys, path):
    run(["merge", "laptop.db"])
    assert run(["verify"]) == 0
    assert "So does what was merged of 1 other host, by itself." in capsys.readouterr().out
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("UPDATE host_1_interface SET rx_bytes = rx_bytes + 1")
    assert run(["verify"]) == 1
    assert "laptop: interface" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("code", "arguments", "said"),
    [
        (2, ["merge"], "OTHER.DB"),
        (3, ["merge", "none.db"], "there is no ledger at none.db"),
        (2, ["merge", "."], "is a directory"),
        (1, ["merge", "text.db"], "is not a ledger"),
        (2, ["merge", "own.db"], "is the ledger itself"),
        (2, ["merge", "laptop.db", "--as", ""], "cannot be the name of a host"),
        (3, ["report", "day", "--host", "nobody"], "no host 'nobody'"),
        (3, ["hosts", "remove", "nobody", "--yes"], "no host 'nobody'"),
        (3, ["hosts", "--db", "none.db"], "there is no ledger"),
        (2, ["hosts", "forget"], "no such command"),
    ],
)
def test_bad_input_is_one_line_and_changes_nothing(capsys, path, code, arguments, said):
    (path.parent / "text.db").write_text("hello, this is a text and not a ledger")
    before, names = path.read_bytes(), files()
    assert run(arguments) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert said in err
    assert path.read_bytes() == before
    assert files() == names


def test_a_dry_run_says_what_would_be_and_makes_nothing(capsys, path):
    assert run(["merge", "laptop.db", "--dry-run", "--db", "new.db"]) == 0
    assert "would be: laptop is a new host in new.db" in capsys.readouterr().err
    assert not os.path.exists("new.db")
    assert run(["merge", "laptop.db", "--db", "new.db"]) == 0
    assert book.rows("new.db", "SELECT name FROM host")[0]["name"] == "laptop"
