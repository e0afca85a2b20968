"""The short way to the bare command must say what the long way says."""

import os
import subprocess
import sys

import pytest

from netusage.cli.summary_text import Shown, View
from netusage.settings.schema import Settings


def test_the_short_way_has_the_defaults_of_the_configuration():
    settings = Settings()
    view = View("x")
    report = settings.report
    assert (view.units, view.bits, view.zone, view.billing_day) == (
        report.units, report.bits, report.tz, report.billing_day
    )  # fmt: skip
    assert view.interfaces == Shown(
        settings.interfaces.hidden, settings.interfaces.counted, settings.interfaces.not_counted
    )


@pytest.fixture
def home(tmp_path):
    kept = {name: value for name, value in os.environ.items() if not name.startswith("NETUSAGE_")}
    environment = {**kept, "HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path / "config"), "TZ": "UTC"}
    ledger = tmp_path / "ledger.db"
    track = ["track", "--for", "500ms", "--no-csv", "--db", str(ledger)]
    subprocess.run(
        [sys.executable, "-m", "netusage", *track], env=environment, check=True, capture_output=True
    )
    return environment, ledger


def ask(environment, *arguments):
    command = [sys.executable, "-m", "netusage", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.system
def test_the_short_way_and_the_long_way_say_the_same(home):
    environment, ledger = home
    short = ask(environment, "--db", str(ledger))
    long = ask(environment, "--db", str(ledger), "--units", "si")
    assert short.returncode == long.returncode == 0
    assert short.stdout == long.stdout


@pytest.mark.system
def test_neither_click_nor_the_configuration_is_loaded_on_the_short_way(home):
    environment, ledger = home
    code = (
        "import sys; from netusage.cli.failures import run; run(sys.argv[1:]);"
        "loaded = {'click', 'msgspec', 'dataclasses', 'pathlib', 'psutil'} & sys.modules.keys();"
        "sys.exit(', '.join(sorted(loaded)) or 0)"
    )
    command = [sys.executable, "-c", code, "--db", str(ledger)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.system
def test_what_asks_other_hosts_is_loaded_by_neither_way(home):
    environment, ledger = home
    code = (
        "import sys; from netusage.cli.failures import run; run(sys.argv[1:]);"
        "loaded = [name for name in sys.modules if 'fleet' in name or 'hosts' in name or name == 'httpx'];"
        "sys.exit(', '.join(sorted(loaded)) or 0)"
    )
    for more in ([], ["--tz", "UTC"]):
        command = [sys.executable, "-c", code, "--db", str(ledger), *more]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.system
def test_a_configuration_is_heeded_all_the_same(home, tmp_path):
    environment, ledger = home
    file = tmp_path / "config" / "netusage" / "config.toml"
    file.parent.mkdir(parents=True)
    file.write_text('[interfaces]\nhidden = ["*"]\n')
    assert "lo " not in ask(environment, "--db", str(ledger)).stdout
    file.write_text("[report]\nunitz = 1\n")
    assert ask(environment, "--db", str(ledger)).returncode == 2


@pytest.mark.system
def test_without_a_ledger_the_short_way_says_so_in_one_line(home, tmp_path):
    environment, _ = home
    done = ask(environment, "--db", str(tmp_path / "none.db"))
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.startswith("netusage: there is no ledger at ")
    assert done.stderr.count("\n") == 1
