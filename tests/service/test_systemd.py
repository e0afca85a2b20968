"""The systemd unit."""

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from netusage.service.job import Job, Scope
from netusage.service.systemd import quote, unit, unit_path
from netusage.settings.schema import declared_keys
from netusage.units import parse_duration

needs_analyze = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
SYSTEM = Job((sys.executable, "-m", "netusage"), Scope.SYSTEM)
USER = Job((sys.executable, "-m", "netusage"), Scope.USER)


def settings(text: str, name: str) -> list[str]:
    """Every value of a setting in a unit."""
    return [line.partition("=")[2] for line in text.splitlines() if line.startswith(f"{name}=")]


def test_the_recorder_starts_before_the_network_and_therefore_stops_after_it():
    text = unit(SYSTEM)
    assert "network-pre.target" in settings(text, "Before")
    assert settings(text, "Wants") == ["network-pre.target"]
    assert "shutdown.target" in settings(text, "Before")
    assert settings(text, "Conflicts") == ["shutdown.target"]
    # cloud-init brings the network up before basic.target, which the default dependencies would wait for
    assert settings(text, "DefaultDependencies") == ["no"]
    assert not any("network" in value for value in settings(text, "After"))


def test_the_unit_never_hides_the_network_it_is_to_watch():
    for job in (SYSTEM, USER):
        assert settings(unit(job), "PrivateNetwork") == []
        assert settings(unit(job), "ProcSubset") == []


def test_the_recorder_is_restarted_for_ever_but_not_on_wrong_configuration():
    for job in (SYSTEM, USER):
        text = unit(job)
        assert settings(text, "Restart") == ["always"]
        assert settings(text, "RestartSec") == ["1"]
        assert settings(text, "StartLimitIntervalSec") == ["0"]
        assert settings(text, "RestartPreventExitStatus") == ["2"]
        assert settings(text, "SuccessExitStatus") == ["130 143"]


def test_the_recorder_keeps_one_capability_and_its_own_directory():
    text = unit(SYSTEM)
    assert settings(text, "CapabilityBoundingSet") == ["CAP_NET_ADMIN CAP_NET_BROADCAST"]
    assert settings(text, "StateDirectory") == ["netusage"]
    assert settings(text, "ProtectSystem") == ["strict"]
    # ordinary users read the ledger, which a dynamic user's directory would hide
    assert settings(text, "DynamicUser") == []
    assert settings(text, "StateDirectoryMode") == ["0755"]


def test_where_applications_are_recorded_the_unit_may_load_programs_into_the_kernel():
    job = replace(SYSTEM, applications=True)
    assert settings(unit(job), "CapabilityBoundingSet") == [
        "CAP_NET_ADMIN CAP_NET_BROADCAST CAP_BPF CAP_PERFMON"
    ]
    assert settings(unit(job), "SystemCallFilter") == ["@system-service", "~@privileged @resources", "bpf"]
    assert unit(replace(USER, applications=True)) == unit(USER)  # a user may not have it


def test_where_counters_stay_while_the_service_does_not_run_it_may_write():
    text = unit(replace(SYSTEM, applications=True, pins="/sys/fs/bpf/netusage"))
    assert settings(text, "ReadWritePaths") == ["-/sys/fs/bpf/netusage"]
    assert settings(text, "ExecStartPre") == ["-+mkdir -p /sys/fs/bpf/netusage"]
    for without in (replace(SYSTEM, pins="/sys/fs/bpf/netusage"), replace(SYSTEM, applications=True)):
        assert settings(unit(without), "ExecStartPre") == []


def test_the_unit_may_have_traffic_only_where_alerts_are_delivered():
    assert settings(unit(SYSTEM), "IPAddressDeny") == ["any"]
    assert settings(unit(SYSTEM), "RestrictAddressFamilies") == ["AF_UNIX AF_NETLINK AF_INET"]
    for job in (replace(SYSTEM, alerts=True), replace(USER, alerts=True)):
        assert settings(unit(job), "IPAddressDeny") == []
        assert settings(unit(job), "RestrictAddressFamilies") == ["AF_UNIX AF_NETLINK AF_INET AF_INET6"]


def test_what_alerts_need_is_to_be_seen_and_their_journal_to_be_written():
    job = replace(SYSTEM, program=("/usr/bin/netusage",), alerts=True)
    assert settings(unit(job), "ProtectHome") == ["yes"]
    assert settings(unit(replace(job, alert_files=(Path("/root/urls"),))), "ProtectHome") == ["read-only"]
    elsewhere = replace(job, journal=Path("/data/alerts/journal"))
    assert settings(unit(elsewhere), "ReadWritePaths") == ["/data/alerts"]


def test_a_users_unit_asks_for_nothing_that_a_user_may_not_have():
    text = unit(USER)
    for name in (
        "CapabilityBoundingSet",
        "StateDirectory",
        "ProtectSystem",
        "Nice",
        "IPAddressDeny",
        "Before",
    ):
        assert settings(text, name) == [], name
    assert settings(text, "WantedBy") == ["default.target"]
    assert settings(text, "NoNewPrivileges") == ["yes"]


@pytest.mark.parametrize(
    ("job", "protect"),
    [
        (Job(("/usr/bin/netusage",), Scope.SYSTEM), "yes"),
        (Job(("/home/me/venv/bin/netusage",), Scope.SYSTEM), "read-only"),
        (Job(("/usr/bin/netusage",), Scope.SYSTEM, config_file=Path("/root/c.toml")), "read-only"),
        (Job(("/usr/bin/netusage",), Scope.SYSTEM, ledger=Path("/home/me/x.db")), "read-only"),
    ],
)
def test_homes_are_hidden_unless_the_service_needs_one(job, protect):
    assert settings(unit(job), "ProtectHome") == [protect]


def test_a_ledger_elsewhere_may_be_written_and_is_named_only_when_no_file_names_it():
    ledger = Path("/data/net usage/x.db")
    job = Job(("/usr/bin/netusage",), Scope.SYSTEM, ledger=ledger, name_ledger=True)
    assert settings(unit(job), "ReadWritePaths") == ['"/data/net usage"']
    assert settings(unit(job), "ExecStart") == ['/usr/bin/netusage daemon --db "/data/net usage/x.db"']
    job = Job(("/usr/bin/netusage",), Scope.SYSTEM, ledger=ledger)
    assert settings(unit(job), "ReadWritePaths") == ['"/data/net usage"']
    assert settings(unit(job), "ExecStart") == ["/usr/bin/netusage daemon"]


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("/usr/bin/x", "/usr/bin/x"),
        ("a b", '"a b"'),
        ("100%", "100%%"),
        ("$HOME", "$$HOME"),
        ('q"q\\', '"q\\"q\\\\"'),
        ("a;b", '"a;b"'),
        ("", '""'),
        ("a\nb", '"a\\nb"'),
    ],
)
def test_words_are_quoted_as_systemd_reads_them(word, expected):
    assert quote(word) == expected


def test_units_lie_where_administrators_and_users_put_them():
    config = Path("/home/me/.config")
    assert unit_path(Scope.SYSTEM, config_home=config) == Path("/etc/systemd/system/netusage.service")
    assert unit_path(Scope.USER, config_home=config) == config / "systemd/user/netusage.service"


@pytest.mark.system
@needs_analyze
@pytest.mark.parametrize("job", [SYSTEM, USER])
def test_systemd_finds_nothing_wrong_with_the_unit(job, tmp_path):
    file = tmp_path / "netusage.service"
    file.write_text(unit(job))
    mode = ["--user"] if job.scope is Scope.USER else []
    done = subprocess.run(
        ["systemd-analyze", "verify", *mode, str(file)],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"XDG_RUNTIME_DIR": str(tmp_path)},
    )
    said = [line for line in (done.stdout + done.stderr).splitlines() if "netusage" in line]
    assert (done.returncode, said) == (0, [])


@pytest.mark.system
@needs_analyze
def test_systemd_rates_the_exposure_as_ok(tmp_path):
    file = tmp_path / "netusage.service"
    file.write_text(unit(SYSTEM))
    # the threshold is in tenths: above 2.5 is a failure
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=25", "--no-pager", str(file)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout.splitlines()[-1:] or done.stderr


def test_the_watchdog_waits_longer_than_two_of_the_longest_samples():
    longest = parse_duration(str(declared_keys()["recorder.sample_interval"].high))
    # the recorder answers at the first sample after half of the time has passed
    patience = parse_duration(settings(unit(SYSTEM), "WatchdogSec")[0])
    assert patience / 2 + longest < patience


def test_a_unit_that_delivers_to_a_fleet_may_have_traffic_and_sees_the_files_for_it():
    for job in (replace(SYSTEM, fleet=True), replace(USER, fleet=True)):
        assert "IPAddressDeny" not in unit(job)
        assert "AF_INET6" in unit(job)
    job = replace(SYSTEM, program=("/usr/bin/netusage",), fleet=True)
    assert settings(unit(job), "ProtectHome") == ["yes"]
    job = replace(job, fleet_files=(Path("/home/eva/fleet.password"),))
    assert settings(unit(job), "ProtectHome") == ["read-only"]
