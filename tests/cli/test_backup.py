import os

import pytest
from support.ledgers import START_S, writing
from support.verify import assert_verify_agrees

from netusage.cli.failures import run


@pytest.fixture
def path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "ledger.db"
    with writing(path) as ledger:
        ledger.count(ledger.interface("eth0"), START_S, 5)
        ledger.commit(START_S + 60)
    return path


def test_a_backup_is_made_and_said(capsys, path):
    assert run(["backup", "copy.db", "--db", str(path)]) == 0
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("netusage: copy.db: a copy of ")
    assert_verify_agrees("copy.db")


def test_a_file_that_is_there_is_replaced_only_with_yes(capsys, path):
    assert run(["backup", "copy.db", "--db", str(path)]) == 0
    capsys.readouterr()
    before = os.stat("copy.db")
    assert run(["backup", "copy.db", "--db", str(path)]) == 1
    assert "--yes" in capsys.readouterr().err
    assert os.stat("copy.db").st_ino == before.st_ino
    assert run(["backup", "copy.db", "--yes", "--db", str(path)]) == 0
    assert os.stat("copy.db").st_ino != before.st_ino


@pytest.mark.parametrize(
    ("code", "arguments"),
    [
        (2, []),
        (1, ["."]),
        (1, ["no/copy.db"]),
        (1, ["ledger.db", "--yes"]),
        (2, ["a.db", "b.db"]),
        (3, ["copy.db", "--db", "none.db"]),
    ],
)
def test_bad_input_is_one_line_and_changes_nothing(capsys, path, code, arguments):
    before, names = path.read_bytes(), sorted(name for name in os.listdir() if "ledger.db-" not in name)
    assert run(["backup", "--db", str(path), *arguments]) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert path.read_bytes() == before
    assert sorted(name for name in os.listdir() if "ledger.db-" not in name) == names
