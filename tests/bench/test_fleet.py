"""The bench of the fleet runs, and what it makes adds up. Nothing is timed here."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from support import clickhouse

pytestmark = pytest.mark.system

ROOT = Path(__file__).parents[2]
# The two dialects are told apart by nothing but the server, so what one gave stands for both.
_MEASURED = """
import sys
from pathlib import Path
import fleet
found = fleet.measure_here("old", Path(sys.argv[1]), 4, quick=True)
print("\\n".join(fleet.result({"old": found, "new": found}, 4).lines()))
"""


def test_the_bench_of_the_fleet_makes_a_fleet_that_adds_up_and_measures_it(tmp_path):
    if clickhouse.why_not():
        pytest.skip(clickhouse.why_not())
    found = subprocess.run(
        [sys.executable, "-c", _MEASURED, str(tmp_path)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT / "bench"), str(ROOT / "src")])},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert found.returncode == 0, found.stderr
    assert "* met: months, days and quarters have the same bytes" in found.stdout
    assert "hourly deliveries" in found.stdout
