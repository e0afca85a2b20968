"""docs/data.md: what it shows other programs read of an export is run, and is what the reports say."""

import importlib.util
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from exchange.histories import rich
from support.ledgers import START_S, writing
from support.verify import assert_verify_agrees

DATA = (Path(__file__).parents[2] / "docs" / "data.md").read_text(encoding="utf-8")
NETUSAGE = [sys.executable, "-m", "netusage"]
PROGRAMS = dict(
    re.findall(r"^## (DuckDB|pandas|polars|SQLite)\n.*?```python\n(.*?)```", DATA, re.DOTALL | re.MULTILINE)
)
MODULES = {"DuckDB": "duckdb", "pandas": "pandas", "polars": "polars", "SQLite": "sqlite3"}


def said(environment, *words):
    done = subprocess.run(
        [*NETUSAGE, *words],
        env=environment,
        cwd=environment["HOME"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, (words, done.stderr)
    return done.stdout


@pytest.fixture(scope="module", params=["few", "rich"])
def home(tmp_path_factory, request):
    """A directory with a ledger, in which every command of the document has been run, one after the other."""
    place = tmp_path_factory.mktemp("data")
    environment = {**os.environ, "HOME": str(place), "NETUSAGE_DB": str(place / "netusage.db")}
    environment.pop("STATE_DIRECTORY", None)
    if request.param == "rich":
        rich(place / "netusage.db", full=False)  # no program adds up more than 2^63
    else:
        with writing(place / "netusage.db") as ledger:
            eth0 = ledger.interface("eth0")
            for n in range(200):
                ledger.count(eth0, START_S + 600 * n, 2**53 + n, n, 1, 1)
            ledger.span(eth0, START_S * 1_000_000 + 5, START_S * 1_000_000 + 7_000_001, 3, 4, 0, 0)
            ledger.commit(START_S + 600 * 200)
    for block in re.findall(r"```sh\n(.*?)```", DATA, re.DOTALL):
        for line in block.splitlines():
            words = shlex.split(line, comments=True)
            words = ["2026-01-01" if word == "7d" else word for word in words]
            said(environment, *words[1:])
    return environment


@pytest.mark.system
@pytest.mark.parametrize("name", MODULES)
def test_what_other_programs_add_up_is_what_the_report_says(home, name):
    assert importlib.util.find_spec(MODULES[name]), f"the tests need {name}"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAMS[name]],
        env=home,
        cwd=home["HOME"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(said(home, "report", "total", "--format", "json"))
    assert int(done.stdout) == sum(row["rx_bytes"] + row["tx_bytes"] for row in report["rows"]) > 0


@pytest.mark.system
def test_the_copy_that_the_document_makes_adds_up_to_the_same(home):
    copy = Path(home["HOME"]) / "copy.db"
    assert_verify_agrees(copy)
    own = json.loads(said(home, "report", "total", "--format", "json"))["rows"]
    other = json.loads(said(home, "report", "total", "--format", "json", "--db", str(copy)))["rows"]
    assert own == other
    assert not (Path(home["HOME"]) / "other.db").exists(), "that was a dry run"
