import json
import os

import pytest
from support.book import assert_it_adds_up, recorded
from support.ledgers import START_S, writing

from netusage.cli.failures import run


@pytest.fixture
def files(tmp_path, monkeypatch):
    """Exports of a small ledger in the working directory."""
    monkeypatch.chdir(tmp_path)
    with writing(tmp_path / "ledger.db") as ledger:
        ledger.count(ledger.interface("eth0"), START_S, 5, 6, 7, 8)
        ledger.gap(START_S, START_S + 5, lossy=True)
        ledger.commit(START_S + 60)
    for what in ("usage", "gaps"):
        assert run(["export", "csv", "--what", what, "--db", "ledger.db", "-o", f"{what}.csv"]) == 0
    return tmp_path


def test_it_says_what_was_taken_in(capsys, files):
    assert run(["import", "usage.csv", "gaps.csv", "--db", "new.db", "--tz", "UTC"]) == 0
    assert capsys.readouterr().out == (
        "Rows: 1 of quarters, 1 of gaps\n"
        "Of 1 interfaces, from 2026-03-10T00:00:00+00:00 to 2026-03-10T00:15:00+00:00\n"
        "It is in the ledger new.db, which adds up.\n"
    )
    assert recorded("new.db") == recorded("ledger.db")
    assert_it_adds_up("new.db")


def test_a_dry_run_says_the_same_and_leaves_nothing(capsys, files):
    before = sorted(os.listdir())
    assert run(["import", "--dry-run", "usage.csv", "--db", "deep/below/new.db"]) == 0
    assert capsys.readouterr().out.endswith("\nNothing has been changed.\n")
    assert sorted(os.listdir()) == before


def test_programs_are_told_in_json(capsys, files):
    assert run(["import", "usage.csv", "--db", "new.db", "--format", "json", "--tz", "UTC"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["rows"]["quarters"] == 1
    assert told["start"] == "2026-03-10T00:00:00+00:00"
    assert not told["dry_run"]


def test_the_directory_of_the_ledger_is_made(files):
    assert run(["import", "files", "usage.csv", "--db", "deep/below/new.db"]) == 0
    assert_it_adds_up("deep/below/new.db")


def test_a_second_import_into_the_same_ledger_is_refused(capsys, files):
    assert run(["import", "usage.csv", "--db", "new.db"]) == 0
    before = recorded("new.db")
    capsys.readouterr()
    assert run(["import", "usage.csv", "--db", "new.db"]) == 1
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert "the ledger new.db has a record of its own; take it into a ledger of its own: --db FILE" in err
    assert recorded("new.db") == before


def test_without_pyarrow_it_says_what_to_install(capsys, files, monkeypatch):
    (files / "usage").write_bytes(b"PAR1 and more")
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    assert run(["import", "usage", "--db", "new.db"]) == 1
    assert "Parquet needs the package pyarrow; pip install 'netusage[parquet]'" in capsys.readouterr().err
    assert not (files / "new.db").exists()


def test_its_help_names_files_and_commands(capsys):
    assert run(["import", "--help"]) == 0
    out = capsys.readouterr().out
    assert "FILE... | COMMAND" in out
    assert "files" in out
    assert run(["import", "files", "--help"]) == 0
