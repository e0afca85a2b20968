"""`netusage service`."""

import json
import os
import plistlib
import shutil
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from netusage.cli.failures import run
from netusage.service import job as jobs
from netusage.service import manage


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """A home without configuration, and nobody to ask."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    for name in ("XDG_CONFIG_HOME", "NETUSAGE_DB"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETUSAGE_CONFIG", os.devnull)
    monkeypatch.setattr(sys, "stdin", None)
    return tmp_path / "home"


def files(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_print_writes_every_managers_file_on_every_platform(capsys):
    for scope in ("--system", "--user"):
        assert run(["service", "print", scope, "--manager", "systemd", "--program", "/usr/bin/netusage"]) == 0
        assert "ExecStart=/usr/bin/netusage daemon\n" in capsys.readouterr().out
        assert run(["service", "print", scope, "--manager", "launchd", "--program", "/usr/bin/netusage"]) == 0
        assert plistlib.loads(capsys.readouterr().out.encode())["ProgramArguments"] == [
            "/usr/bin/netusage",
            "daemon",
        ]
        assert (
            run(["service", "print", scope, "--manager", "schtasks", "--program", "/usr/bin/netusage"]) == 0
        )
        assert ET.fromstring(capsys.readouterr().out).tag.endswith("Task")


def test_a_task_in_a_file_is_utf16(tmp_path):
    file = tmp_path / "task.xml"
    assert run(["service", "print", "--manager", "schtasks", "-o", str(file)]) == 0
    text = file.read_bytes().decode("utf-16")
    assert text.startswith('<?xml version="1.0" encoding="UTF-16"?>')
    ET.fromstring(file.read_bytes())


def test_a_system_task_names_a_ledger_that_everybody_can_read(capsys, monkeypatch):
    monkeypatch.setenv("PROGRAMDATA", "/pd")
    assert run(["service", "print", "--system", "--manager", "schtasks"]) == 0
    assert " --db " in capsys.readouterr().out
    assert run(["service", "print", "--user", "--manager", "schtasks"]) == 0
    assert " --db " not in capsys.readouterr().out


def test_a_ledger_from_a_flag_or_variable_is_named_and_one_from_a_file_is_not(tmp_path, capsys, monkeypatch):
    argv = ["service", "print", "--system", "--manager", "systemd", "--program", "/usr/bin/netusage"]
    assert run([*argv, "--db", "/data/a.db"]) == 0
    assert "daemon --db /data/a.db\n" in capsys.readouterr().out
    file = tmp_path / "c.toml"
    file.write_text("[ledger]\npath = '/data/c.db'\n")
    assert run([*argv, "--config", str(file)]) == 0
    out = capsys.readouterr().out
    assert f"daemon --config {file}\n" in out
    assert "ReadWritePaths=/data\n" in out
    monkeypatch.setenv("NETUSAGE_DB", "/data/b.db")
    assert run(argv) == 0
    assert "daemon --db /data/b.db\n" in capsys.readouterr().out


def test_install_without_a_running_manager_writes_nothing_and_says_what_to_do(home, capsys, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda _: None)
    for manager in ("systemd", "launchd", "schtasks"):
        assert run(["service", "install", "--user", "--yes", "--manager", manager]) == 1
        out, err = capsys.readouterr()
        assert out == ""
        assert err.count("\n") == 1
        assert "is not on this machine" in err
        assert "--root DIR" in err
    assert files(home) == []


def test_install_of_a_program_that_does_not_start_writes_nothing(home, capsys, monkeypatch):
    monkeypatch.setattr(manage, "check_manager", lambda *_: None)
    assert (
        run(["service", "install", "--user", "--yes", "--manager", "systemd", "--program", "/nonexistent/x"])
        == 1
    )
    assert "could not start" in capsys.readouterr().err
    assert files(home) == []


def test_dry_run_shows_the_steps_and_does_none(home, capsys):
    assert run(["service", "install", "--user", "--manager", "systemd", "--dry-run"]) == 0
    out = capsys.readouterr().out
    assert out.splitlines()[0] == f"would write {home}/.config/systemd/user/netusage.service"
    assert "would run systemctl --user enable netusage.service" in out
    assert run(["service", "uninstall", "--user", "--manager", "systemd", "--dry-run"]) == 0
    assert "would remove" in capsys.readouterr().out
    assert files(home) == []


def test_below_a_root_a_package_gets_its_file_and_loses_it_again(tmp_path, capsys):
    root = tmp_path / "pkg"
    argv = ["--system", "--manager", "systemd", "--root", str(root)]
    assert run(["service", "install", *argv, "--program", "/usr/bin/netusage"]) == 0
    assert files(root) == ["etc/systemd/system/netusage.service"]
    assert run(["service", "install", *argv, "--program", "/usr/bin/netusage"]) == 0
    assert run(["service", "uninstall", *argv, "--yes"]) == 0
    assert files(root) == []
    assert "no ledger was touched: " in capsys.readouterr().err


def test_a_different_service_is_replaced_only_when_that_is_wanted(tmp_path, capsys):
    root = tmp_path / "pkg"
    argv = ["service", "install", "--system", "--manager", "systemd", "--root", str(root), "--program"]
    assert run([*argv, "/usr/bin/netusage"]) == 0
    file = root / "etc/systemd/system/netusage.service"
    before = file.read_text()
    assert run([*argv, "/opt/netusage"]) == 2
    assert "add --yes" in capsys.readouterr().err
    assert file.read_text() == before
    assert run([*argv, "/opt/netusage", "--yes"]) == 0
    assert "/opt/netusage" in file.read_text()


def test_uninstall_of_nothing_is_told(tmp_path, capsys):
    argv = ["service", "uninstall", "--system", "--manager", "systemd", "--root", str(tmp_path), "--yes"]
    assert run(argv) == 3
    assert "no system service is installed" in capsys.readouterr().err


def test_uninstall_asks_first(tmp_path, capsys):
    argv = ["--system", "--manager", "systemd", "--root", str(tmp_path / "pkg")]
    run(["service", "install", *argv, "--program", "/usr/bin/netusage"])
    assert run(["service", "uninstall", *argv]) == 2
    assert "add --yes" in capsys.readouterr().err
    assert files(tmp_path / "pkg") == ["etc/systemd/system/netusage.service"]


@pytest.mark.parametrize(
    "argv",
    [
        ["service", "print", "--manager", "upstart"],
        ["service", "print", "--program", "netusage"],
        ["service", "print", "extra"],
        ["service", "install", "--root", os.devnull],
        ["service", "nonsense"],
    ],
)
def test_wrong_arguments_are_one_line_and_two(argv, capsys):
    assert run(argv) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)


@pytest.fixture
def systemctl(tmp_path, monkeypatch):
    """A systemctl that writes down what it is asked, on a machine that systemd runs, and a program that starts."""
    if sys.platform == "win32":
        pytest.skip("shell scripts")
    log = tmp_path / "log"
    tool = tmp_path / "bin" / "systemctl"
    tool.parent.mkdir()
    tool.write_text(
        f'#!/bin/sh\necho "$@" >> {log}\n'
        'case "$*" in *show*) printf "LoadState=loaded\\nActiveState=active\\nSubState=running\\n";; esac\n'
    )
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tool.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(jobs, "check_program", lambda _: None)
    return log


def test_a_users_service_is_written_enabled_looked_at_and_removed(systemctl, home, capsys):
    argv = ["--user", "--manager", "systemd"]
    assert run(["service", "install", *argv, "--program", "/usr/bin/netusage"]) == 0
    assert files(home) == [".config/systemd/user/netusage.service"]
    assert "enable-linger" in capsys.readouterr().err
    assert run(["service", "status", *argv, "--format", "json"]) == 0
    found = json.loads(capsys.readouterr().out)["service"]
    assert (found["installed"], found["running"], found["manager"]) == (True, True, "systemd")
    assert run(["service", "uninstall", *argv, "--yes"]) == 0
    assert files(home) == []
    assert systemctl.read_text().splitlines() == [
        "--user daemon-reload",
        "--user enable netusage.service",
        "--user restart netusage.service",
        "--user show -p LoadState,ActiveState,SubState netusage.service",
        "--user show -p LoadState,ActiveState,SubState netusage.service",
        "--user disable --now netusage.service",
        "--user daemon-reload",
    ]


def test_status_of_nothing_is_exit_code_3(home, capsys, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda _: None)
    assert run(["service", "status", "--user", "--manager", "systemd"]) == 3
    assert capsys.readouterr().out.startswith("systemd user service: not installed")
    Path(home / ".config/systemd/user").mkdir(parents=True)
    Path(home / ".config/systemd/user/netusage.service").write_text("")
    assert run(["service", "status", "--user", "--manager", "systemd"]) == 0
