"""`python app.py`: the tracker out of a checkout, with everything installed and with nothing but psutil."""

import csv
import signal
from importlib.util import find_spec
from pathlib import Path

import pytest
from support.book import assert_it_adds_up
from support.patience import until

pytestmark = pytest.mark.system

_APP = Path(__file__).parents[2] / "app.py"


@pytest.fixture
def app(start, tmp_path):
    """Starts app.py; `bare` leaves it nothing but psutil."""

    def begin(*arguments, bare=False):
        if not bare:
            return start(*arguments, program=(_APP,))
        packages = tmp_path / "packages"
        packages.mkdir()
        (packages / "psutil").symlink_to(Path(find_spec("psutil").origin).parent)
        return start(*arguments, program=("-S", _APP), environment={"PYTHONPATH": str(packages)})

    return begin


@pytest.mark.parametrize("bare", [False, True], ids=["everything", "only psutil"])
def test_it_tracks_at_once_until_ctrl_c_writes_the_last_row_and_sums_up(app, tmp_path, bare):
    tracker = app(bare=bare).wait_for_output("Logging to")
    assert tracker.stop(signal.SIGINT) == 130
    assert tracker.err == ""
    assert "Tracked for" in tracker.out
    (path,) = tmp_path.glob("network_usage_*.csv")
    with open(path, newline="") as file:
        (row,) = csv.DictReader(file)
    assert list(row) == ["Timestamp", "Sent (MB)", "Received (MB)", "Total (MB)"]
    ledger = tracker.out.rpartition("netusage --db ")[2].strip()
    until(lambda: Path(ledger).exists(), f"the ledger {ledger}")
    assert_it_adds_up(ledger)


def test_it_takes_the_options_of_track(app, tmp_path):
    tracker = app("--for", "300ms", "--interval", "100ms", "--no-csv", "--units", "iec")
    assert tracker.wait() == 0
    assert "MiB" in tracker.out
    assert not list(tmp_path.glob("*.csv"))


def test_with_nothing_but_psutil_it_says_what_its_options_need(app, tmp_path):
    refused = app("--for", "1s", bare=True)
    assert refused.wait() == 2
    assert "pip install" in refused.err
    assert len(refused.err.splitlines()) == 1
    assert not list(tmp_path.glob("*.csv"))
