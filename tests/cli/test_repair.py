import json
import sqlite3

import pytest
from support.book import change_quarter
from support.ledgers import DAY_S, START_S, writing
from support.verify import assert_verify_agrees

from netusage.cli.failures import run


@pytest.fixture
def path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "ledger.db"
    with writing(path, minutes_kept_s=DAY_S) as ledger:
        eth0 = ledger.interface("eth0")
        for hour in range(96):
            ledger.count(eth0, START_S + hour * 3600, 1000, 10, 1, 1)
            ledger.commit(START_S + hour * 3600 + 1000)
    return path


@pytest.fixture
def broken(path):
    quarter_s = START_S + 3600
    change_quarter(path, 1, quarter_s, rx_bytes=-1000, tx_bytes=-10, rx_packets=-1, tx_packets=-1)
    connection = sqlite3.connect(path)
    connection.execute(
        "UPDATE chunk SET rx_bytes = rx_bytes - 1000, tx_bytes = tx_bytes - 10, rx_packets = rx_packets - 1,"
        " tx_packets = tx_packets - 1 WHERE start_s > ?",
        (quarter_s,),
    )
    connection.commit()
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    return path


def repair(capsys, path, *arguments):
    code = run(["repair", "--db", str(path), *arguments])
    out, err = capsys.readouterr()
    return code, out, err


def test_a_sound_ledger_is_said_to_be_sound(capsys, path):
    code, out, err = repair(capsys, path)
    assert (code, err) == (0, "")
    assert "nothing to repair" in out


def test_a_dry_run_says_what_is_saved_and_lost_and_does_nothing(capsys, broken):
    before = broken.read_bytes()
    code, out, err = repair(capsys, broken, "--dry-run")
    assert (code, err) == (0, "")
    assert "3 of chunk" in out
    assert "Lost of eth0: 1.00 kB received, 10 B sent (declared as a gap)" in out
    assert "Nothing has been changed." in out
    assert broken.read_bytes() == before


def test_with_yes_the_old_file_is_set_aside_and_the_new_one_is_sound(capsys, broken):
    before = broken.read_bytes()
    code, out, _ = repair(capsys, broken, "--yes")
    assert code == 0
    kept = out.splitlines()[-1].removeprefix("The old ledger is kept at ")
    with open(kept, "rb") as file:
        assert file.read() == before
    assert_verify_agrees(broken)


def test_without_a_terminal_to_ask_on_nothing_is_done(capsys, broken, monkeypatch):
    monkeypatch.setattr("sys.stdin", None)
    before = broken.read_bytes()
    code, out, err = repair(capsys, broken)
    assert (code, out) == (2, "")
    assert "--yes" in err.splitlines()[-1]
    assert broken.read_bytes() == before


def test_json_tells_everything_that_was_lost(capsys, broken):
    code, out, _ = repair(capsys, broken, "--dry-run", "--format", "json")
    answer = json.loads(out)
    assert code == 0
    assert (answer["version"], answer["report"], answer["sound"], answer["replaced"]) == (
        1,
        "repair",
        False,
        False,
    )
    assert answer["interfaces"][0]["lost"]["rx_bytes"] == 1000


def test_a_ledger_that_is_recorded_into_is_refused(capsys, tmp_path):
    path = tmp_path / "ledger.db"
    with writing(path) as ledger:
        ledger.commit(START_S + 60)
        code, out, err = repair(capsys, path, "--yes")
    assert (code, out) == (1, "")
    assert "held by a running recorder" in err


@pytest.mark.parametrize(
    ("code", "arguments"),
    [
        (2, ["--format", "csv"]),
        (2, ["harder"]),
        (3, ["--db", "none.db"]),
        (1, ["--db", "letter.txt"]),
        (1, ["--db", "."]),
    ],
)
def test_bad_input_is_one_line_and_changes_nothing(capsys, broken, tmp_path, code, arguments):
    (tmp_path / "letter.txt").write_text("Dear all, " * 999)
    before, names = broken.read_bytes(), sorted(name.name for name in tmp_path.iterdir())
    found, out, err = repair(capsys, broken, *arguments)
    assert (found, out) == (code, "")
    assert err.count("\n") == 1
    assert broken.read_bytes() == before
    assert sorted(name.name for name in tmp_path.iterdir()) == names
