"""Looking at real ledgers: what is new is found once, and nothing is asked that is known."""

import os
from dataclasses import replace
from zoneinfo import ZoneInfo

import pytest
from support.ledgers import DAY_S, START_S, writing

from netusage.alerts.look import Look
from netusage.alerts.words import Kind, Words
from netusage.ledger.batch import Part
from netusage.ledger.reader import LedgerReader
from netusage.model import MINUTE_S, NS, QUARTER_S, US, Counters, GapKind, Instant, Who
from netusage.settings.schema import AlertSettings, AlertsSettings, PlanSettings, Settings

UTC = ZoneInfo("UTC")
CURL = Who("application", "curl", "/usr/bin/curl", "eva")
SSH = Who("application", "ssh", "/usr/bin/ssh", "eva")


class Eye:
    """Looks again and again, and keeps what a journal would: keys that were raised, memory, executables."""

    def __init__(self, path, **settings):
        self.path = str(path)
        self.settings = Settings(**settings)
        self.memory, self.known, self.keys = {}, set(), set()
        self.open()

    def open(self):
        """As after a restart: only what is kept is known."""
        self.look = Look(self.path, self.settings, Words(UTC))

    def at(self, now_s, *, loud=True, awake_s=None):
        """The alerts that are new."""
        awake_ns = (now_s if awake_s is None else awake_s) * NS
        found = self.look.at(Instant(now_s * NS, awake_ns, now_s * US), self.memory, self.known)
        self.memory.update(found.memory)
        self.known.update(found.learned)
        fresh = [alert for alert in found.alerts if alert.key not in self.keys]
        self.keys.update(alert.key for alert in fresh)
        return [alert for alert in fresh if not (loud and alert.only_logged)]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "ledger.db"


@pytest.fixture
def ledger(path):
    with writing(path) as made:
        yield made


@pytest.fixture(autouse=True)
def _plenty_of_room(monkeypatch):
    monkeypatch.setattr(
        "netusage.alerts.look.shutil.disk_usage", lambda _: type("Disk", (), {"free": 10**12})
    )


def kinds(alerts):
    return [alert.kind for alert in alerts]


def test_a_ledger_that_is_not_there_yet_is_no_trouble(path):
    assert Eye(path).at(START_S) == []


# ---- Thresholds of plans ----------------------------------------------------------------------------------------

PLAN = PlanSettings("home", "1 MB", day=10)  # its cycle begins on the day on which ledgers of tests do


def test_a_plan_is_told_at_each_threshold_once_and_after_restarts_as_well(path, ledger):
    eye = Eye(path, plan=(PLAN,))
    eth0 = ledger.interface("eth0")
    told = []
    for step in range(1, 13):
        now_s = START_S + step * MINUTE_S
        ledger.count(eth0, now_s - 30, 60_000, 40_000, 9, 9)
        ledger.commit(now_s)
        told += [(step, alert.details["threshold"]) for alert in eye.at(now_s)]
        eye.open()
    assert told == [(8, 80), (9, 90), (10, 100)]


def test_a_plan_is_told_again_in_its_next_cycle(path, ledger):
    eye = Eye(path, plan=(PLAN,))
    eth0 = ledger.interface("eth0")
    ledger.count(eth0, START_S, 850_000, 0, 9, 9)
    ledger.commit(START_S + 60)
    assert len(eye.at(START_S + 60)) == 1
    april_s = START_S + 31 * DAY_S
    ledger.count(eth0, april_s, 850_000, 0, 9, 9)
    ledger.commit(april_s + 60)
    (alert,) = eye.at(april_s + 60)
    assert alert.key == "threshold/home/2026-04-10/80"


def test_what_a_plan_reached_at_the_very_end_of_a_cycle_is_told_in_the_next_one(path, ledger):
    eye = Eye(path, plan=(PLAN,))
    eth0 = ledger.interface("eth0")
    april_s = START_S + 31 * DAY_S
    ledger.count(eth0, april_s - 120, 100_000, 0, 9, 9)
    ledger.commit(april_s - 60)
    assert eye.at(april_s - 60) == []
    ledger.count(eth0, april_s - 60, 800_000, 0, 9, 9)
    ledger.count(eth0, april_s, 10, 0, 9, 9)
    ledger.commit(april_s + 5)
    eye.open()
    (alert,) = eye.at(april_s + 5)
    assert alert.key == "threshold/home/2026-03-10/90"


def test_thresholds_are_not_told_where_that_is_not_wanted(path, ledger):
    eye = Eye(path, plan=(PLAN,), alerts=AlertsSettings(thresholds=False))
    ledger.count(ledger.interface("eth0"), START_S, 10**9, 0, 9, 9)
    ledger.commit(START_S + 60)
    assert eye.at(START_S + 60) == []


def test_a_plan_about_hosts_of_the_fleet_is_not_asked_of_this_machines_ledger(path, ledger):
    eye = Eye(path, plan=(replace(PLAN, name="office", hosts=("*",)), PLAN))
    ledger.count(ledger.interface("eth0"), START_S, 850_000, 0, 9, 9)
    ledger.commit(START_S + 60)
    assert [alert.key for alert in eye.at(START_S + 60)] == ["threshold/home/2026-03-10/80"]


# ---- Rates ------------------------------------------------------------------------------------------------------


def rate(**more):
    return AlertSettings(**{"name": "busy", "kind": "rate", "above": "1 kB/s", "lasting": "3m", **more})


def _minutes(ledger, eye, epoch, *counts, from_s=START_S):
    """Count so many bytes in each minute; the minutes after whose end something is told."""
    told = []
    for n, count in enumerate(counts):
        start_s = from_s + n * MINUTE_S
        ledger.count(epoch, start_s, count, 0, 9, 9)
        ledger.commit(start_s + MINUTE_S)
        told += [n + 1 for _ in eye.at(start_s + MINUTE_S)]
    return told


def test_a_rate_above_for_whole_minutes_is_told_once_until_it_was_below(path, ledger):
    eye = Eye(path, alert=(rate(),))
    high, low = 120_000, 100
    counts = [low, high, high, high, high, low, low, low, high, high, high]
    assert _minutes(ledger, eye, ledger.interface("eth0"), *counts) == [4, 11]


def test_a_rate_goes_on_after_a_restart_within_its_minutes(path, ledger):
    eye = Eye(path, alert=(rate(),))
    eth0 = ledger.interface("eth0")
    assert _minutes(ledger, eye, eth0, 120_000, 120_000) == []
    eye.open()
    assert _minutes(ledger, eye, eth0, 120_000, 120_000, from_s=START_S + 2 * MINUTE_S) == [1]
    eye.open()
    assert _minutes(ledger, eye, eth0, 120_000, from_s=START_S + 4 * MINUTE_S) == []


def test_a_rate_is_of_the_interfaces_and_the_direction_that_were_named(path, ledger):
    eye = Eye(path, alert=(rate(interfaces=("wl*",), direction="tx"),))
    eth0, wlan0 = ledger.interface("eth0"), ledger.interface("wlan0")
    assert _minutes(ledger, eye, eth0, *[120_000] * 5) == []
    assert _minutes(ledger, eye, wlan0, *[120_000] * 5, from_s=START_S + 5 * MINUTE_S) == []
    for n in range(10, 14):
        ledger.count(wlan0, START_S + n * MINUTE_S, 0, 120_000, 9, 9)
    ledger.commit(START_S + 14 * MINUTE_S)
    (alert,) = eye.at(START_S + 14 * MINUTE_S)
    assert alert.details["of"] == "wl* (sent)"


def test_a_minute_that_is_not_over_is_not_judged(path, ledger):
    eye = Eye(path, alert=(rate(lasting="1m"),))
    eth0 = ledger.interface("eth0")
    ledger.count(eth0, START_S, 120_000, 0, 9, 9)
    ledger.commit(START_S + 59)
    assert eye.at(START_S + 59) == []
    ledger.commit(START_S + 60)
    assert len(eye.at(START_S + 60)) == 1


def test_bytes_whose_time_is_not_known_are_no_rate(path, ledger):
    eye = Eye(path, alert=(rate(),))
    eth0 = ledger.interface("eth0")
    ledger.count(eth0, START_S, 100, 0, 9, 9)
    ledger.commit(START_S + MINUTE_S)
    eye.at(START_S + MINUTE_S)
    ledger.span(eth0, (START_S + MINUTE_S) * US, (START_S + 10 * MINUTE_S) * US, 10**9, 0, 9, 9)
    ledger.commit(START_S + 10 * MINUTE_S)
    assert eye.at(START_S + 10 * MINUTE_S) == []


def _hour_of_noise(ledger, from_s):
    """Five minutes of a high rate, then quiet until the hour is over."""
    for n in range(60):
        ledger.count(ledger.eth0, from_s + n * MINUTE_S, 120_000 if n < 5 else 10, 0, 9, 9)
    ledger.commit(from_s + 3600)


def test_what_was_missed_while_nobody_looked_is_told_and_what_was_before_anybody_asked_is_not(path, ledger):
    ledger.eth0 = ledger.interface("eth0")
    _hour_of_noise(ledger, START_S)
    eye = Eye(path, alert=(rate(),))
    assert eye.at(START_S + 3600) == []
    eye.open()
    _hour_of_noise(ledger, START_S + 3600)
    (alert,) = eye.at(START_S + 7200)
    assert alert.details["since"] == "2026-03-10T01:00:00+00:00"


def test_a_rate_that_is_above_when_it_is_first_asked_for_is_told(path, ledger):
    eye = Eye(path, alert=(rate(),))
    eth0 = ledger.interface("eth0")
    for n in range(200):
        ledger.count(eth0, START_S + n * MINUTE_S, 120_000, 0, 9, 9)
    ledger.commit(START_S + 200 * MINUTE_S)
    assert kinds(eye.at(START_S + 200 * MINUTE_S)) == [Kind.RATE]


# ---- Quotas -----------------------------------------------------------------------------------------------------


def quota(**more):
    return AlertSettings(**{"name": "much", "kind": "quota", "above": "1 MB", "per": "day", **more})


def _share(ledger, epoch, who, at_s, rx, tx=0):
    part = Part(at_s // QUARTER_S * QUARTER_S, epoch, who, 3, 6, 4)
    ledger.share(part, Counters(rx, tx, 1, 1))


def test_an_application_above_its_quota_is_told_once_a_day(path, ledger):
    eye = Eye(path, alert=(quota(),), alerts=AlertsSettings(first_seen=False))
    eth0 = ledger.interface("eth0")
    told = []
    for step in range(2 * 24):
        now_s = START_S + step * 3600
        _share(ledger, eth0, CURL, now_s, 100_000, 100_000)
        _share(ledger, eth0, SSH, now_s, 10_000)
        ledger.commit(now_s + 10)
        told += [(step, alert.details["application"]) for alert in eye.at(now_s + 10)]
    assert told == [(5, "curl"), (24 + 5, "curl")]


def test_a_quota_is_of_the_applications_interfaces_and_direction_that_were_named(path, ledger):
    rules = (
        quota(name="a", application="ss*"),
        quota(name="b", direction="tx"),
        quota(name="c", interfaces=("wl*",)),
        quota(name="d"),
    )
    eye = Eye(path, alert=rules, alerts=AlertsSettings(first_seen=False))
    eth0 = ledger.interface("eth0")
    _share(ledger, eth0, CURL, START_S, 2_000_000)
    ledger.commit(START_S + 60)
    assert [alert.details["alert"] for alert in eye.at(START_S + 60)] == ["d"]


def test_a_month_s_quota_has_everything_since_the_month_began_also_after_a_restart(path, ledger):
    eye = Eye(path, alert=(quota(per="month"),), alerts=AlertsSettings(first_seen=False))
    eth0 = ledger.interface("eth0")
    for day in range(4):
        _share(ledger, eth0, CURL, START_S + day * DAY_S, 300_000)
        ledger.commit(START_S + day * DAY_S + 60)
        assert len(eye.at(START_S + day * DAY_S + 60)) == (day == 3)
        eye.open()


# ---- Applications -----------------------------------------------------------------------------------------------


def _use(ledger, epoch, who, now_s, inode=7):
    _share(ledger, epoch, who, now_s, 10)
    ledger.version(who, 2049, inode)
    ledger.commit(now_s)


def test_an_application_is_told_after_the_first_day_and_a_changed_one_as_well(path, ledger):
    eye = Eye(path)
    eth0 = ledger.interface("eth0")
    _use(ledger, eth0, CURL, START_S + 60)
    assert kinds(eye.at(START_S + 61, loud=False)) == [Kind.FIRST_SEEN]
    later_s = START_S + 2 * DAY_S
    _use(ledger, eth0, SSH, later_s)
    assert [alert.subject for alert in eye.at(later_s + 1)] == ["new application: ssh"]
    _use(ledger, eth0, CURL, later_s + 60, inode=8)
    eye.open()
    assert [alert.subject for alert in eye.at(later_s + 61)] == ["changed application: curl"]
    _use(ledger, eth0, CURL, later_s + 120, inode=8)
    assert eye.at(later_s + 121, loud=False) == []


def test_an_application_that_had_too_little_and_comes_back_is_not_new(path):
    with writing(path, other_below_ppm=1000) as ledger:
        eye = Eye(path)
        eth0 = ledger.interface("eth0")
        _share(ledger, eth0, CURL, START_S, 10**9)
        _use(ledger, eth0, SSH, START_S + 60)
        assert len(eye.at(START_S + 61, loud=False)) == 2
        for now_s in range(START_S + DAY_S, START_S + 4 * DAY_S, 6 * 3600):
            _share(ledger, eth0, CURL, now_s, 10**9)
            ledger.commit(now_s)
            assert eye.at(now_s, loud=False) == []
        with LedgerReader(str(path)) as reader:
            assert "ssh" not in {one.who.name for one in reader.seen()}  # it is one of "other"
        _use(ledger, eth0, SSH, now_s + 60)
        assert eye.at(now_s + 61, loud=False) == []


def test_a_look_at_applications_that_are_all_known_reads_none_of_them(path, ledger, monkeypatch):
    eye = Eye(path)
    eth0 = ledger.interface("eth0")
    _use(ledger, eth0, CURL, START_S + 60)
    eye.at(START_S + 61)
    monkeypatch.setattr(LedgerReader, "seen", lambda _: pytest.fail("they were read"))
    _use(ledger, eth0, CURL, START_S + 70)
    eye.at(START_S + 71)


# ---- Gaps, the recorder, the ledger -----------------------------------------------------------------------------


def test_gaps_that_were_there_before_are_not_told_and_new_ones_are_once(path, ledger):
    ledger.gap(START_S - 100, START_S, GapKind.KILLED, lossy=True)
    ledger.commit(START_S + 10)
    eye = Eye(path)
    assert eye.at(START_S + 11, loud=False) == []
    ledger.gap(START_S + 20, START_S + 30, GapKind.REBOOT, lossy=True)
    ledger.gap(START_S + 30, START_S + 31, GapKind.STOPPED)
    ledger.commit(START_S + 40)
    assert [(alert.details["kind"], alert.only_logged) for alert in eye.at(START_S + 41, loud=False)] == [
        ("reboot", False),
        ("stopped", True),
    ]
    eye.open()
    assert eye.at(START_S + 42, loud=False) == []


def test_gaps_of_interfaces_that_are_not_counted_are_only_logged(path, ledger):
    eye = Eye(path)
    ledger.interface("veth1", "veth", counted=False)
    ledger.interface("eth0")
    ledger.commit(START_S + 5)
    eye.at(START_S + 5)
    for name in ("veth1", "eth0"):
        ledger.gap(START_S + 6, START_S + 7, GapKind.VANISHED, lossy=True, interface=name)
    ledger.commit(START_S + 10)
    assert [alert.details["interface"] for alert in eye.at(START_S + 11)] == ["eth0"]


def test_a_ledger_that_was_set_aside_is_told_by_the_gap_of_the_new_one(path):
    with writing(path) as old:
        old.commit(START_S + 10)
        eye = Eye(path)
        eye.at(START_S + 11)
    for name in path.parent.glob("ledger.db*"):
        name.rename(path.parent / f"old-{name.name}")
    with writing(path, START_S + 60) as new:
        new.gap(START_S + 60, START_S + 60, GapKind.LEDGER, lossy=True, note="the record before is elsewhere")
        new.commit(START_S + 70)
        (alert,) = eye.at(START_S + 71)
    assert (alert.kind, alert.subject) == (Kind.LEDGER, "the ledger was set aside")


def test_silence_is_measured_while_the_machine_is_awake(path, ledger):
    ledger.commit(START_S + 10)
    eye = Eye(path)
    assert eye.at(START_S + 11, awake_s=11) == []
    assert eye.at(START_S + 30_000, awake_s=20) == []  # it slept
    assert eye.at(START_S + 30_600, awake_s=611) == []
    (alert,) = eye.at(START_S + 30_602, awake_s=612)
    assert alert.kind == Kind.SILENCE
    assert "cannot commit" in alert.text  # somebody holds the ledger
    assert eye.at(START_S + 40_000, awake_s=10_000) == []
    ledger.commit(START_S + 40_010)
    assert eye.at(START_S + 40_011, awake_s=10_011) == []
    assert len(eye.at(START_S + 50_000, awake_s=20_000)) == 1


def test_silence_after_a_recorder_that_was_killed_says_so(path):
    with writing(path) as ledger:
        ledger.commit(START_S + 10)
    eye = Eye(path)
    eye.at(START_S + 11)
    (alert,) = eye.at(START_S + 1000)
    assert "killed or lost power" in alert.text


def test_failed_commits_are_told(path, ledger):
    eye = Eye(path)
    for n, failed in enumerate((0, 1, 5)):
        ledger._batch.health.failed_commits = failed
        ledger.commit(START_S + 10 * n)
        told = eye.at(START_S + 10 * n + 1)
    assert [alert.details["failed_commits"] for alert in told] == [5]


def test_a_damaged_ledger_is_told_once_and_a_sound_one_is_watched_again(path):
    with writing(path) as ledger:
        ledger.commit(START_S + 10)
    eye = Eye(path)
    eye.at(START_S + 11)
    content = path.read_bytes()
    path.write_bytes(content[:4096] + b"\xff" * (len(content) - 4096))
    (alert,) = eye.at(START_S + 21)
    assert (alert.kind, alert.subject) == (Kind.LEDGER, "the ledger is damaged")
    os.utime(path, (1, 1))  # it was touched
    assert eye.at(START_S + 31) == []
    path.write_bytes(content)
    assert eye.at(START_S + 41) == []


def test_little_room_for_the_ledger_is_told(path, ledger, monkeypatch):
    eye = Eye(path)
    ledger.commit(START_S + 10)
    assert eye.at(START_S + 11) == []
    monkeypatch.setattr(
        "netusage.alerts.look.shutil.disk_usage", lambda _: type("Disk", (), {"free": 5_000_000})
    )
    (alert,) = eye.at(START_S + 21)
    assert alert.subject == "5.00 MB left for the ledger"
    assert eye.at(START_S + 31) == []


def test_nothing_is_asked_of_a_ledger_that_did_not_change(path, ledger, monkeypatch):
    eye = Eye(path, plan=(PLAN,), alert=(rate(), quota()))
    ledger.commit(START_S + 10)
    eye.at(START_S + 11)
    monkeypatch.setattr("netusage.alerts.look.LedgerReader", lambda _: pytest.fail("it was opened"))
    assert eye.at(START_S + 21) == []


def test_what_could_not_be_kept_is_found_again(path, ledger):
    eye = Eye(path)
    ledger.commit(START_S + 10)
    eye.at(START_S + 11)
    ledger.gap(START_S + 20, START_S + 30, GapKind.REBOOT, lossy=True)
    ledger.commit(START_S + 40)
    now = Instant(0, 0, (START_S + 41) * US)
    assert len(eye.look.at(now, eye.memory, eye.known).alerts) == 1  # and is not kept
    assert eye.look.at(now, eye.memory, eye.known).alerts == []
    eye.look.again()
    assert len(eye.look.at(now, eye.memory, eye.known).alerts) == 1
