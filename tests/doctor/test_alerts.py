"""Checks of alerts: is somebody watching, and are those reached who are to be told?"""

import os
from contextlib import closing

import pytest

from netusage.doctor import alerts
from netusage.doctor.alerts import check_alerts
from netusage.doctor.findings import Verdict
from netusage.ledger import lock
from netusage.ledger.alert_journal import Alert, AlertJournal
from netusage.settings.schema import AlertsSettings, PlanSettings, Settings

NOW_US = 1_793_000_000_000_000
TO = Settings(alerts=AlertsSettings(to=("json://127.0.0.1/hook",)))


@pytest.fixture
def ledger(tmp_path):
    return str(tmp_path / "ledger.db")


@pytest.fixture
def journal(ledger):
    with closing(AlertJournal(f"{ledger}.alerts", NOW_US)) as made:
        yield made


def found(settings, ledger):
    return [(one.verdict, one.found) for one in check_alerts(settings, ledger)]


def test_where_no_alerts_are_wanted_nothing_is_said_but_of_plans_that_nobody_hears_of(ledger):
    assert found(Settings(), ledger) == []
    ((verdict, said),) = found(Settings(plan=(PlanSettings("home", "1 GB"),)), ledger)
    assert verdict is Verdict.NOTE
    assert "nobody is told" in said


def test_plans_about_hosts_of_the_fleet_are_noted_since_this_ledger_is_watched_alone(ledger, journal):
    plans = (PlanSettings("home", "1 GB"), PlanSettings("office", "1 TB", labels=("site=berlin",)))
    first, *_ = check_alerts(Settings(plan=plans, alerts=AlertsSettings(log=True)), ledger)
    assert first.verdict is Verdict.NOTE
    assert "nobody is told of plans about hosts of the fleet: office" in first.found
    assert first.todo == "netusage plan check, run by a timer"
    quiet = Settings(plan=plans, alerts=AlertsSettings(log=True, thresholds=False))
    assert all("office" not in one.found for one in check_alerts(quiet, ledger))


def test_a_missing_apprise_is_a_problem_with_the_command_that_installs_it(ledger, journal, monkeypatch):
    monkeypatch.setattr(alerts, "find_spec", lambda _: None)
    first, *_ = check_alerts(TO, ledger)
    assert first.verdict is Verdict.PROBLEM
    assert first.todo == "pip install 'netusage[alerts]'"
    command = Settings(alerts=AlertsSettings(command=("notify",)))
    assert all(one.verdict is Verdict.OK for one in check_alerts(command, ledger))


def test_a_watcher_is_named(ledger, journal):
    assert found(TO, ledger) == [(Verdict.OK, f"watched for by process {os.getpid()}")]


def test_a_recorder_without_a_watcher_is_a_problem_and_none_of_both_a_note(ledger):
    assert found(TO, ledger)[0][0] is Verdict.NOTE
    hold = lock.hold(ledger, NOW_US)
    try:
        assert found(TO, ledger)[0] == (Verdict.PROBLEM, "not watched for, though a recorder runs")
    finally:
        hold.release()


def test_a_transport_that_fails_is_a_problem_with_its_reason(ledger, journal):
    name = "json://127.0.0.1/…"
    journal.add([Alert("a", "gap", NOW_US, "s", "t", {})], [name], NOW_US)
    assert found(TO, ledger)[1] == (Verdict.OK, f"{name}: 1 waiting, nothing was ever delivered")
    journal.failed(name, [1], NOW_US, "connection refused")
    verdict, said = found(TO, ledger)[1]
    assert verdict is Verdict.PROBLEM
    assert said.endswith("connection refused")
    journal.delivered(name, [1], "gap", NOW_US)
    assert len(found(TO, ledger)) == 1


def test_what_waits_for_somebody_who_is_configured_no_more_is_noted(ledger, journal):
    journal.add([Alert("a", "gap", NOW_US, "s", "t", {})], ["ntfy://…"], NOW_US)
    verdict, said = found(TO, ledger)[1]
    assert verdict is Verdict.NOTE
    assert said.endswith("it is configured no more")


def test_a_file_of_urls_that_others_can_read_is_noted_and_one_that_is_not_there_is_a_problem(
    ledger, journal, tmp_path
):
    file = tmp_path / "urls"
    settings = Settings(alerts=AlertsSettings(to_file=str(file)))
    assert found(settings, ledger)[0][0] is Verdict.PROBLEM
    file.write_text("ntfy://x\n")
    file.chmod(0o644)
    assert found(settings, ledger)[0] == (Verdict.NOTE, f"{file} can be read by others")
    file.chmod(0o600)
    assert len(found(settings, ledger)) == 1
