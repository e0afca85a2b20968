"""Where things live."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from netusage.settings import paths
from netusage.settings.paths import config_paths, default_ledger_path, last_written_ns, ledger_path
from netusage.settings.schema import LedgerSettings, Settings

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="the paths of Linux")


@pytest.fixture
def ordinary_user(tmp_path, monkeypatch):
    """Somebody who is not root, with a home and a machine below a temporary directory."""
    monkeypatch.setattr(paths, "is_root", lambda: False)
    monkeypatch.setattr(paths, "user_state_directory", lambda: tmp_path / "own")
    monkeypatch.setattr(paths, "system_state_directory", lambda: tmp_path / "system")
    (tmp_path / "own").mkdir()
    (tmp_path / "system").mkdir()
    return tmp_path / "own" / "netusage.db", tmp_path / "system" / "netusage.db"


def touch(path: Path, when: int) -> None:
    path.touch()
    os.utime(path, (when, when))


@pytest.mark.usefixtures("ordinary_user")
def test_the_directory_that_systemd_gives_comes_first():
    environment = {"STATE_DIRECTORY": "/var/lib/netusage:/var/lib/other"}
    assert default_ledger_path(for_reading=False, environment=environment) == Path(
        "/var/lib/netusage/netusage.db"
    )


@linux_only
def test_root_keeps_the_ledger_of_the_system(monkeypatch):
    monkeypatch.setattr(paths, "is_root", lambda: True)
    for reading in (True, False):
        found = default_ledger_path(for_reading=reading, environment={})
        assert found == Path("/var/lib/netusage/netusage.db")


@pytest.mark.parametrize(
    ("platform", "expected"),
    [
        ("linux", "/var/lib/netusage"),
        ("darwin", "/Library/Application Support/netusage"),
        ("win32", "D:/Data/netusage"),
    ],
)
def test_every_platform_has_a_directory_for_its_system_ledger(platform, expected, monkeypatch):
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setenv("PROGRAMDATA", "D:/Data")
    assert paths.system_state_directory() == Path(expected)


def test_an_ordinary_user_writes_to_his_own_ledger_even_when_the_system_has_one(ordinary_user):
    own, system = ordinary_user
    touch(system, 5)
    assert default_ledger_path(for_reading=False, environment={}) == own


def test_an_ordinary_user_reads_the_only_ledger_that_exists(ordinary_user):
    own, system = ordinary_user
    assert default_ledger_path(for_reading=True, environment={}) == own
    touch(system, 5)
    assert default_ledger_path(for_reading=True, environment={}) == system


def test_of_two_ledgers_the_one_written_last_is_read(ordinary_user):
    own, system = ordinary_user
    touch(own, 10)
    touch(system, 5)
    assert default_ledger_path(for_reading=True, environment={}) == own
    touch(system.with_name("netusage.db-wal"), 20)
    assert default_ledger_path(for_reading=True, environment={}) == system


def test_a_write_ahead_log_without_its_ledger_is_no_ledger(tmp_path):
    touch(tmp_path / "x.db-wal", 5)
    assert last_written_ns(tmp_path / "x.db") == -1


def test_a_ledger_that_is_named_is_the_ledger():
    settings = Settings(ledger=LedgerSettings(path="/somewhere/x.db"))
    assert ledger_path(settings, for_reading=True) == Path("/somewhere/x.db")


@linux_only
def test_the_configuration_follows_the_xdg_directories():
    system = Path("/etc/netusage/config.toml")
    assert config_paths({"HOME": "/home/u"}) == (Path("/home/u/.config/netusage/config.toml"), system)
    assert config_paths({"HOME": "/home/u", "XDG_CONFIG_HOME": "/cfg"}) == (
        Path("/cfg/netusage/config.toml"),
        system,
    )
    # the specification wants a relative path ignored
    assert config_paths({"HOME": "/home/u", "XDG_CONFIG_HOME": "cfg"})[0] == Path(
        "/home/u/.config/netusage/config.toml"
    )


@pytest.mark.parametrize(
    ("platform", "user", "system"),
    [
        ("darwin", "/h/Library/Application Support/netusage", "/Library/Application Support/netusage"),
        ("win32", "/l/netusage", "/p/netusage"),
    ],
)
def test_the_configuration_of_other_platforms_lies_where_it_is_looked_for(
    platform, user, system, monkeypatch
):
    monkeypatch.setattr(sys, "platform", platform)
    environment = {"HOME": "/h", "LOCALAPPDATA": "/l", "PROGRAMDATA": "/p"}
    assert config_paths(environment) == (Path(user) / "config.toml", Path(system) / "config.toml")


def test_a_missing_platformdirs_is_named_with_the_command_that_installs_it():
    code = (
        "import sys; sys.modules['platformdirs'] = None\n"
        "from netusage.errors import NetusageError\n"
        "from netusage.settings import paths\n"
        "paths.is_root = lambda: False\n"
        "try:\n"
        "    paths.default_ledger_path(for_reading=False, environment={})\n"
        "except NetusageError as error:\n"
        "    assert 'platformdirs is missing' in error.message and 'pip install platformdirs' in error.hint, error\n"
        "else:\n"
        "    raise AssertionError('not refused')\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_root_and_services_do_without_platformdirs():
    code = (
        "import sys; sys.modules['platformdirs'] = None\n"
        "from netusage.settings import paths\n"
        "paths.default_ledger_path(for_reading=True, environment={'STATE_DIRECTORY': '/x'})\n"
        "paths.is_root = lambda: True\n"
        "paths.default_ledger_path(for_reading=True, environment={})\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
