"""The watcher: looks, keeps, delivers; and what it does about everything that fails meanwhile."""

import os
import subprocess
import sys
from contextlib import closing
from dataclasses import replace

import pytest
from support.ledgers import DAY_S, START_S, Ledger

import netusage
from netusage.alerts import watch
from netusage.alerts.watch import Bell, Watcher, WatchOptions
from netusage.errors import ConfigError, UsageError
from netusage.ledger.alert_journal import AlertJournal
from netusage.ledger.alert_log import entries
from netusage.model import NS, US, GapKind, Instant
from netusage.settings.schema import AlertsSettings, PlanSettings, ReportSettings, Settings


class StandingClock:
    """A clock that stands still until it is moved."""

    def __init__(self, at_s):
        self.at_s = at_s

    def now(self):
        return Instant(self.at_s * NS, self.at_s * NS, self.at_s * US)


class Desk:
    """A ledger, a journal and a watcher over both."""

    def __init__(self, path):
        self.path = str(path)
        self.said = []
        self.clock = StandingClock(START_S)
        self.settings = Settings(report=ReportSettings(tz="UTC"), alerts=AlertsSettings(log=True))
        self.reload = lambda: self.settings
        self.ledger = Ledger(path)
        self.ledger.commit(START_S)
        self.bell = Bell()
        self.open()

    def read_anew(self):
        return self.reload()

    def open(self):
        self.journal = AlertJournal(f"{self.path}.alerts", START_S * US)
        options = WatchOptions(self.settings, self.read_anew, self.path, self.said.append)
        self.watcher = Watcher(options, self.journal, self.clock, self.bell)

    def close(self):
        self.watcher.end()
        self.journal.close()
        self.ledger.close()
        self.bell.__exit__(None, None, None)

    def gap(self):
        """A minute passes, and a gap with loss is declared in it."""
        self.clock.at_s += 60
        self.ledger.gap(self.clock.at_s - 9, self.clock.at_s - 5, GapKind.REBOOT, lossy=True)
        self.ledger.commit(self.clock.at_s)

    def kinds(self):
        return [entry.alert.kind for entry in entries(f"{self.path}.alerts", 0, 1 << 62)]


@pytest.fixture(autouse=True)
def _plenty_of_room(monkeypatch):
    monkeypatch.setattr(
        "netusage.alerts.look.shutil.disk_usage", lambda _: type("Disk", (), {"free": 10**12})
    )


@pytest.fixture
def desk(tmp_path):
    with closing(Desk(tmp_path / "ledger.db")) as made:
        yield made


def test_it_looks_when_it_is_time_and_keeps_what_it_finds(desk):
    due_ns = desk.watcher.turn()
    assert due_ns == (START_S + 10) * NS
    desk.gap()
    desk.watcher.turn()
    assert desk.kinds() == ["gap"]
    desk.watcher.turn()
    assert desk.kinds() == ["gap"]


def test_plans_that_it_does_not_watch_are_told_at_the_beginning_and_after_a_reload(desk):
    office = PlanSettings("office", "1 TB", labels=("site=berlin",))
    desk.settings = replace(desk.settings, plan=(PlanSettings("home", "1 GB"), office))
    desk.watcher.reload()
    desk.watcher.turn()
    assert desk.said == [
        "not watched for: the plans about hosts of the fleet, office; run netusage plan check by a timer for those"
    ]


def test_it_does_not_look_before_it_is_time(desk):
    desk.watcher.turn()
    desk.gap()
    desk.clock.at_s -= 55
    desk.watcher.turn()
    assert desk.kinds() == []


def test_after_a_restart_it_goes_on_where_it_was(desk):
    desk.watcher.turn()
    desk.gap()
    desk.watcher.turn()
    desk.gap()
    desk.watcher.end()
    desk.journal.close()
    desk.open()
    desk.gap()
    desk.watcher.turn()
    assert desk.kinds() == ["gap"] * 3


def test_a_last_look_is_taken_at_the_end(desk):
    desk.watcher.turn()
    desk.gap()
    desk.clock.at_s -= 55
    desk.watcher.end()
    assert desk.kinds() == ["gap"]


def test_a_wrong_configuration_changes_nothing_and_is_said(desk, tmp_path):
    def wrong():
        raise ConfigError("config.toml:3: at 'alerts.too': unknown key")

    desk.reload = wrong
    desk.watcher.reload()
    desk.reload = lambda: Settings(alerts=AlertsSettings(to_file=str(tmp_path / "none")))
    desk.watcher.reload()
    assert desk.said[0] == "keeping the present alerts: config.toml:3: at 'alerts.too': unknown key"
    assert "none: cannot be read" in desk.said[1]
    desk.watcher.turn()
    desk.gap()
    desk.watcher.turn()
    assert desk.kinds() == ["gap"]


def test_a_reload_takes_over_what_is_wanted(desk):
    desk.watcher.turn()
    desk.settings = Settings(alerts=AlertsSettings(log=True, gaps=False, ledger=False))
    desk.watcher.reload()
    desk.gap()
    desk.watcher.turn()
    assert desk.kinds() == []


def test_a_file_of_secrets_that_others_can_read_is_said(desk, tmp_path):
    file = tmp_path / "urls"
    file.write_text("")
    file.chmod(0o644)
    desk.settings = Settings(alerts=AlertsSettings(to_file=str(file)))
    desk.watcher.reload()
    desk.watcher.turn()
    assert desk.said == [f"{file} can be read by others: chmod 600 {file}"]


def test_a_journal_that_was_taken_away_is_begun_anew_and_that_is_told(desk):
    desk.watcher.turn()
    os.unlink(f"{desk.path}.alerts")
    desk.gap()
    desk.watcher.turn()
    assert "was removed or replaced; setting it aside" in desk.said[0]
    desk.gap()
    desk.watcher.turn()
    desk.gap()
    desk.watcher.turn()
    assert desk.kinds() == ["gap"] * 3  # the one that could not be kept among them


def test_what_cannot_be_asked_is_said_once_and_tried_again(desk, monkeypatch):
    desk.watcher.turn()
    ask = watch.Look.at

    def astray(*_):
        raise UsageError("the time asked for is not between the years 1970 and 9990")

    monkeypatch.setattr(watch.Look, "at", astray)
    for _ in range(3):
        desk.gap()
        desk.watcher.turn()
    monkeypatch.setattr(watch.Look, "at", ask)
    desk.clock.at_s += 60
    desk.watcher.turn()
    assert len(desk.said) == 1
    assert desk.said[0].startswith("cannot look for alerts: the time asked for")
    assert desk.kinds() == ["gap"] * 3


def test_what_is_older_than_400_days_is_forgotten(desk):
    desk.watcher.turn()
    desk.gap()
    desk.watcher.turn()
    desk.clock.at_s += 401 * DAY_S
    desk.watcher.turn()
    assert desk.kinds() == ["silence"]


@pytest.mark.system
def test_what_delivers_is_not_imported_before_there_is_something_to_deliver():
    code = "import sys, netusage.alerts.watch; print(*sys.modules)"
    environment = os.environ | {"PYTHONPATH": os.path.dirname(os.path.dirname(netusage.__file__))}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    )
    assert not {"apprise", "requests", "asyncio", "ssl"} & set(done.stdout.split())


def test_a_bell_wakes_who_waits_and_is_silent_afterwards():
    with Bell() as bell:
        bell.ring()
        bell.ring()
        bell.wait(20 * NS)
        bell.wait(0)
    bell.ring()  # nobody waits any more
