import io
import json
import os
import subprocess
import sys

import pytest
from support.ledgers import START_S, writing

from netusage.cli.failures import run


@pytest.fixture
def path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "ledger.db"
    with writing(path) as ledger:
        ledger.count(ledger.interface("eth0"), START_S, 5, 6, 7, 8)
        ledger.count(ledger.interface("\x1b[31mred"), START_S, 1, 0, 1, 0)
        ledger.commit(START_S + 60)
    return path


def test_rows_go_to_standard_output_or_into_a_file(capsysbinary, path):
    assert run(["export", "csv", "--db", str(path), "--tz", "UTC"]) == 0
    out, err = capsysbinary.readouterr()
    assert err == b""
    assert out.splitlines()[2] == (
        b"2026-03-10T00:00:00+00:00,2026-03-10T00:15:00+00:00,eth0,,true,5,6,7,8,0,0,quarter,0,0,"
    )
    assert run(["export", "csv", "--db", str(path), "--tz", "UTC", "-o", "usage.csv"]) == 0
    assert capsysbinary.readouterr().out == b""
    assert (path.parent / "usage.csv").read_bytes() == out
    assert run(["export", "csv", "--db", str(path), "--tz", "UTC", "-o", "-"]) == 0
    assert capsysbinary.readouterr().out == out


def test_json_has_every_column_on_each_line(capsysbinary, path):
    assert run(["export", "jsonl", "--db", str(path), "--resolution", "minute", "--tz", "Europe/Berlin"]) == 0
    row = json.loads(capsysbinary.readouterr().out.splitlines()[1])
    assert row == {
        "start": "2026-03-10T01:00:00+01:00",
        "end": "2026-03-10T01:01:00+01:00",
        "interface": "eth0",
        "kind": "",
        "counted": True,
        "rx_bytes": 5,
        "tx_bytes": 6,
        "rx_packets": 7,
        "tx_packets": 8,
        "peak_rx_bytes_per_second": 0,
        "peak_tx_bytes_per_second": 0,
        "record": "minute",
        "estimated_rx_bytes": 0,
        "estimated_tx_bytes": 0,
        "because": "",
    }


def test_names_give_a_terminal_no_orders_and_programs_get_them_as_they_are(monkeypatch, path):
    class Terminal(io.TextIOWrapper):
        def isatty(self):
            return True

    for more in ([], ["-o", "-"]):
        raw = io.BytesIO()
        monkeypatch.setattr("sys.stdout", Terminal(raw, encoding="utf-8"))
        assert run(["export", "csv", "--db", str(path), *more]) == 0
        assert b"red" in raw.getvalue()
        assert b"\x1b" not in raw.getvalue()
    assert run(["export", "csv", "--db", str(path), "-o", "usage.csv"]) == 0
    assert b"\x1b[31mred" in (path.parent / "usage.csv").read_bytes()


@pytest.mark.parametrize(
    ("code", "arguments", "why"),
    [
        (2, ["xml"], "'xml' is not one of"),
        (2, ["sqlite"], "sqlite is not text; name a file with -o FILE"),
        (2, ["parquet", "-o", "-"], "parquet is not text"),
        (2, ["csv", "--resolution", "second"], "'second' is not one of"),
        (2, ["csv", "--what", "all"], "'all' is not one of"),
        (2, ["csv", "--since", "tomorrow-ish"], "is not a time"),
        (
            2,
            ["csv", "--host", "*", "--what", "watched"],
            "of several hosts there are usage and gaps; export each",
        ),
        (2, ["csv", "--label", "a=b"], "a ledger has no labels"),
        (2, ["csv", "--fleet"], "--fleet and --db are two records"),
        (3, ["csv", "--host", "web1"], "no host 'web1' in the ledger"),
        (2, ["csv", "--since", "2026-03-11", "--until", "2026-03-09"], "ends before it begins"),
        (3, ["csv", "--interface", "nope*"], "no interface 'nope*' has been recorded"),
        (
            3,
            ["csv", "--until", "2020-01-01"],
            "nothing was recorded in the time asked for; the record is from 2026-",
        ),
        (3, ["csv", "--db", "none.db"], "there is no ledger"),
        (1, ["csv", "-o", "ledger.db"], "belongs to the ledger itself"),
        (1, ["sqlite", "-o", "ledger.db-wal"], "belongs to the ledger itself"),
        (1, ["sqlite", "-o", "."], "is a directory"),
        (1, ["csv", "-o", "no/usage.csv"], "cannot write no/usage.csv"),
        (1, ["parquet", "-o", "no/usage"], "cannot write no/usage"),
        (1, ["sqlite", "-o", "no/usage"], "cannot write no/usage"),
        (1, ["sqlite", "-o", "/dev/null"], "it is not a plain file"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(capsys, path, code, arguments, why):
    before = path.read_bytes(), sorted(name for name in os.listdir() if "ledger.db-" not in name)
    assert run(["export", "--db", str(path), *arguments]) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert why in err
    assert (path.read_bytes(), sorted(name for name in os.listdir() if "ledger.db-" not in name)) == before


@pytest.mark.parametrize("format_name", ["csv", "jsonl", "parquet", "sqlite"])
def test_a_file_stays_as_it_was_when_anything_fails(capsys, path, monkeypatch, format_name):
    (path.parent / "usage").write_text("mine")

    def fails(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("netusage.ledger.entries._quarters", fails)
    assert run(["export", format_name, "--db", str(path), "-o", "usage"]) == 1
    assert (
        capsys.readouterr().err
        == "netusage: cannot write usage: No space left on device; name another file with -o FILE\n"
    )
    assert (path.parent / "usage").read_text() == "mine"
    assert not list(path.parent.glob(".usage*"))


def test_without_pyarrow_it_says_what_to_install(capsys, path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    assert run(["export", "parquet", "--db", str(path), "-o", "usage"]) == 1
    assert (
        capsys.readouterr().err
        == "netusage: Parquet needs the package pyarrow; pip install 'netusage[parquet]'\n"
    )
    assert not (path.parent / "usage").exists()


@pytest.mark.system
def test_a_reader_that_has_enough_is_no_failure(path):
    with writing(path, START_S + 100) as ledger:
        eth0 = ledger.interface("eth0")
        for n in range(5000):
            ledger.count(eth0, START_S + 60 * n, 1, 1, 1, 1)
        ledger.commit(START_S + 60 * 5000)
    command = [sys.executable, "-m", "netusage", "export", "csv", "--resolution", "minute", "--db", str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout.readline().startswith(b"start,end,")
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0


@pytest.mark.system
def test_text_needs_no_package_that_parquet_needs(path):
    program = (
        "import sys; from netusage.cli.failures import run; code = run(sys.argv[1:]); "
        "sys.exit(code or 'pyarrow' in sys.modules)"
    )
    for arguments in (["export", "csv", "-o", "usage.csv"], ["import", "usage.csv", "--db", "new.db"]):
        command = [sys.executable, "-c", program, *arguments]
        environment = {**os.environ, "NETUSAGE_DB": str(path)}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
