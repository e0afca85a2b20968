"""Steps of installation, and their execution."""

import os
import shutil
import sys
from pathlib import Path

import pytest

from netusage.errors import NetusageError, OutputError
from netusage.service import manage
from netusage.service.job import Job, Scope
from netusage.service.manage import (
    Manager,
    Place,
    Remove,
    Run,
    Write,
    check_manager,
    default_manager,
    execute,
    install_steps,
    state,
    uninstall_steps,
)

PLACE = Place(Path("/home/me"), Path("/home/me/.config"), 501, "PC\\me")
SYSTEM = Job(("/usr/bin/netusage",), Scope.SYSTEM)
USER = Job(("/usr/bin/netusage",), Scope.USER)


def shown(steps):
    return [str(step) for step in steps]


def test_systemd_is_told_to_reload_enable_and_restart():
    assert shown(install_steps(Manager.SYSTEMD, SYSTEM, PLACE)) == [
        "write /etc/systemd/system/netusage.service",
        "run systemctl daemon-reload",
        "run systemctl enable netusage.service",
        "run systemctl restart netusage.service",
    ]
    assert shown(install_steps(Manager.SYSTEMD, USER, PLACE))[1] == "run systemctl --user daemon-reload"


def test_launchd_replaces_what_is_loaded():
    assert shown(install_steps(Manager.LAUNCHD, USER, PLACE)) == [
        "write /home/me/Library/LaunchAgents/org.netusage.recorder.plist",
        "run launchctl bootout gui/501/org.netusage.recorder",
        "run launchctl bootstrap gui/501 /home/me/Library/LaunchAgents/org.netusage.recorder.plist",
    ]


def test_task_scheduler_is_fed_a_file_in_utf16_that_does_not_stay():
    write, _end, create, remove, run = install_steps(Manager.SCHTASKS, SYSTEM, PLACE)
    assert isinstance(write, Write)
    assert write.encoding == "utf-16"
    assert isinstance(create, Run)
    assert create.argv[:4] == ("schtasks", "/Create", "/TN", "netusage")
    assert remove == Remove(write.path)
    assert str(run) == "run schtasks /Run /TN netusage"


def test_removal_stops_the_service_first():
    assert shown(uninstall_steps(Manager.SYSTEMD, Scope.SYSTEM, PLACE)) == [
        "run systemctl disable --now netusage.service",
        "remove /etc/systemd/system/netusage.service",
        "run systemctl daemon-reload",
    ]
    assert shown(uninstall_steps(Manager.LAUNCHD, Scope.SYSTEM, PLACE))[0] == (
        "run launchctl bootout system/org.netusage.recorder"
    )
    assert (
        shown(uninstall_steps(Manager.SCHTASKS, Scope.SYSTEM, PLACE))[-1]
        == "run schtasks /Delete /TN netusage /F"
    )


def test_no_step_of_removal_touches_a_ledger():
    for manager in Manager:
        for scope in Scope:
            assert not any(".db" in str(step) for step in uninstall_steps(manager, scope, PLACE))


def test_below_a_root_only_the_file_is_written_and_removed(tmp_path):
    place = PLACE._replace(root=tmp_path)
    for manager in Manager:
        (write,) = install_steps(manager, SYSTEM, place)
        execute(write)
        assert write.path.is_relative_to(tmp_path)
        assert write.path.read_bytes() == write.text.encode(write.encoding)
        assert write.path.stat().st_mode & 0o777 == 0o644
        assert state(manager, Scope.SYSTEM, place).installed or manager is Manager.SCHTASKS
        (remove,) = uninstall_steps(manager, Scope.SYSTEM, place)
        execute(remove)
        assert not write.path.exists()
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_file_that_cannot_be_written_is_told_and_leaves_nothing(tmp_path):
    (tmp_path / "etc").write_text("a file in the way")
    with pytest.raises(OutputError, match=r"cannot write .*netusage.service: (Not a directory|File exists)"):
        execute(Write(tmp_path / "etc" / "netusage.service", "x"))
    (tmp_path / "here").mkdir()
    with pytest.raises(OutputError, match="cannot write"):
        execute(Write(tmp_path / "here", "x"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["etc", "here"]


@pytest.mark.skipif(sys.platform == "win32", reason="commands of Unix")
def test_a_manager_that_refuses_is_told_in_its_own_words_on_one_line():
    with pytest.raises(NetusageError, match=r"sh -c .* failed: one two"):
        execute(Run(("sh", "-c", "echo one >&2; echo two >&2; exit 3")))
    with pytest.raises(NetusageError, match="failed: exit code 3"):
        execute(Run(("sh", "-c", "exit 3")))
    execute(Run(("sh", "-c", "exit 3"), may_fail=True))


def test_a_command_that_is_not_there_is_told():
    with pytest.raises(OutputError, match="cannot run no-such-command-here: No such file"):
        execute(Run(("no-such-command-here",)))


def test_every_platform_has_its_manager():
    assert [default_manager(name) for name in ("linux", "darwin", "win32")] == list(Manager)


def test_a_manager_that_is_not_on_this_machine_is_refused(monkeypatch):
    monkeypatch.setenv("PATH", "/nonexistent")
    for manager in Manager:
        with pytest.raises(NetusageError, match=f"no command {manager.tool!r}"):
            check_manager(manager, Scope.USER)


def test_a_systemd_that_does_not_run_is_refused(monkeypatch, tmp_path):
    monkeypatch.setattr(shutil, "which", lambda _: "/usr/bin/systemctl")
    monkeypatch.setattr(manage, "_SYSTEMD_RUNS", tmp_path / "none")
    with pytest.raises(NetusageError, match="does not run this machine"):
        check_manager(Manager.SYSTEMD, Scope.SYSTEM)
    found = state(Manager.SYSTEMD, Scope.SYSTEM, PLACE)
    assert found.running is None


def test_a_service_of_the_system_wants_an_administrator(monkeypatch, tmp_path):
    monkeypatch.setattr(shutil, "which", lambda _: "/usr/bin/systemctl")
    monkeypatch.setattr(manage, "_SYSTEMD_RUNS", tmp_path)
    monkeypatch.setattr(manage, "is_administrator", lambda: False)
    with pytest.raises(
        NetusageError, match="only be managed by an administrator; run it with sudo, or use --user"
    ):
        check_manager(Manager.SYSTEMD, Scope.SYSTEM)
    check_manager(Manager.SYSTEMD, Scope.USER)


@pytest.fixture
def systemctl(tmp_path, monkeypatch):
    """A systemctl that answers what the test lets it, on a machine that systemd runs."""
    tool = tmp_path / "systemctl"
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(manage, "_SYSTEMD_RUNS", tmp_path)

    def answer(text, code=0):
        tool.write_text(f"#!/bin/sh\nprintf '{text}'\nexit {code}\n")
        tool.chmod(0o755)

    return answer


@pytest.mark.skipif(sys.platform == "win32", reason="shell scripts")
@pytest.mark.parametrize(
    ("answer", "installed", "running", "detail"),
    [
        ("LoadState=loaded\\nActiveState=active\\nSubState=running\\n", True, True, "active (running)"),
        ("LoadState=loaded\\nActiveState=reloading\\nSubState=reload\\n", True, True, "reloading (reload)"),
        ("LoadState=loaded\\nActiveState=failed\\nSubState=failed\\n", True, False, "failed (failed)"),
        ("LoadState=not-found\\nActiveState=inactive\\nSubState=dead\\n", False, False, "inactive (dead)"),
    ],
)
def test_the_state_is_the_word_of_systemd(systemctl, answer, installed, running, detail):
    systemctl(answer)
    found = state(Manager.SYSTEMD, Scope.SYSTEM, PLACE)
    assert (found.installed, found.running, found.detail) == (installed, running, detail)


@pytest.mark.skipif(sys.platform == "win32", reason="shell scripts")
def test_a_systemd_that_does_not_answer_is_not_taken_for_a_stopped_service(systemctl):
    systemctl("", code=1)
    assert state(Manager.SYSTEMD, Scope.SYSTEM, PLACE).running is None
