"""Checks of a fleet: does somebody deliver, did it arrive, and who could read the password?"""

import os
import time

import pytest

from netusage.doctor import fleet
from netusage.doctor.findings import Verdict
from netusage.doctor.fleet import check_fleet
from netusage.ledger import lock, ship_journal
from netusage.ledger.ship_journal import ShipJournal
from netusage.model import US
from netusage.settings.schema import FleetSettings, Settings

URL = "https://fleet:8443"
TO = Settings(fleet=FleetSettings(url=f"{URL}/"))
DOWN = "cannot reach it; is it running?"


@pytest.fixture
def ledger(tmp_path):
    return str(tmp_path / "ledger.db")


@pytest.fixture
def delivered_by(ledger):
    held = ship_journal.hold(ledger, 1)
    yield
    held.release()


def found(settings, ledger):
    return [(one.verdict, one.found) for one in check_fleet(settings, ledger)]


def test_where_there_is_no_fleet_nothing_is_said(ledger):
    assert found(Settings(), ledger) == []


def test_a_missing_httpx_is_a_problem_with_the_command_that_installs_it(ledger, delivered_by, monkeypatch):
    monkeypatch.setattr(fleet, "find_spec", lambda _: None)
    first, *_ = check_fleet(TO, ledger)
    assert first.verdict is Verdict.PROBLEM
    assert first.todo == "pip install 'netusage[fleet]'"


def test_who_delivers_is_named(ledger, delivered_by):
    assert found(TO, ledger) == [(Verdict.OK, f"delivered to by process {os.getpid()}")]


def test_a_recorder_from_which_nobody_delivers_is_a_problem_and_none_of_both_a_note(ledger):
    assert found(TO, ledger) == [(Verdict.NOTE, "nothing is delivered, since no recorder runs")]
    hold = lock.hold(ledger, 1)
    try:
        assert found(TO, ledger) == [(Verdict.PROBLEM, "nothing is delivered, though a recorder runs")]
    finally:
        hold.release()


def test_the_last_delivery_is_told_and_what_failed_since_then_with_its_reason(ledger, delivered_by):
    now_us = time.time_ns() // 1000
    journal = ShipJournal(ledger, URL, "netusage")
    journal.failed(DOWN, now_us)
    assert found(TO, ledger)[1:] == [
        (Verdict.PROBLEM, f"nothing was ever delivered, it failed since: {DOWN}")
    ]
    journal.arrived(now_us - 7200 * US)
    assert found(TO, ledger)[1:] == [(Verdict.OK, "the last delivery was 2h ago")]
    for _ in range(3):
        journal.failed(DOWN, now_us)
    assert found(TO, ledger)[1:] == [
        (Verdict.PROBLEM, f"the last delivery was 2h ago, 3 failures since: {DOWN}")
    ]


def test_that_nothing_was_delivered_for_several_intervals_is_noted(ledger, delivered_by):
    journal = ShipJournal(ledger, URL, "netusage")
    journal.begin(1)
    journal.arrived(time.time_ns() // 1000 - 5 * 3600 * US)
    ((verdict, said),) = found(TO, ledger)[1:]
    assert verdict is Verdict.NOTE
    assert said == "the last delivery was 5h ago, which is to happen every 1h: the fleet is as far behind"
    assert found(Settings(fleet=FleetSettings(url=URL, interval="2h")), ledger)[1:] == [
        (Verdict.OK, "the last delivery was 5h ago")
    ]


def test_deliveries_to_a_fleet_that_is_configured_no_more_are_passed_over(ledger, delivered_by):
    ShipJournal(ledger, "http://before:8123", "netusage").failed(DOWN, 1)
    assert len(found(TO, ledger)) == 1


@pytest.mark.parametrize("key", ["password_file", "token_file", "key", "certificate"])
def test_a_secret_that_others_can_read_is_noted_and_one_that_is_not_there_is_a_problem(
    ledger, delivered_by, tmp_path, key
):
    file = tmp_path / "secret"
    settings = Settings(fleet=FleetSettings(url=URL, **{key: str(file)}))
    assert found(settings, ledger)[0] == (Verdict.PROBLEM, f"{file}: No such file or directory")
    file.write_text("secret\n")
    for mode in (0o644, 0o640):
        file.chmod(mode)
        assert found(settings, ledger)[0] == (Verdict.NOTE, f"{file} can be read by others")
    file.chmod(0o600)
    assert len(found(settings, ledger)) == 1
