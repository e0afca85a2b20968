"""netusage plan add and remove: what is written, and that nothing else in the file is touched."""

import os
import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest

from netusage.cli import plan_file
from netusage.cli.failures import run
from netusage.errors import OutputError
from netusage.settings import load as loading
from netusage.settings.load import load
from netusage.settings.schema import PlanSettings

BEFORE = "# mine\n\n[report]\nbits = true # why\n\n[[plan]]\nname = 'old'\ncap = '1 GB'\n"


@pytest.fixture
def file(tmp_path):
    found = tmp_path / "config.toml"
    found.write_text(BEFORE)
    return found


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """The user's and the system's file, neither of which is there."""
    user, system = tmp_path / "home" / "netusage" / "config.toml", tmp_path / "etc" / "config.toml"
    monkeypatch.setattr(loading, "config_paths", lambda _environment=None: (user, system))
    monkeypatch.setattr("netusage.settings.paths.config_paths", lambda _environment=None: (user, system))
    monkeypatch.delenv("NETUSAGE_CONFIG", raising=False)
    return user, system


def plans(file):
    return load(config_file=file, environment={}).settings.plan


def test_a_plan_is_added_below_all_that_is_there(file, capsys):
    given = ["--cap", "100 GB", "--day", "31", "--interface", "eth0", "--interface", "wl*", "--exclude-lan"]
    assert run(["plan", "add", "home", *given, "--config", str(file)]) == 0
    assert f"The plan 'home' is in {file} now" in capsys.readouterr().out
    assert file.read_text() == BEFORE + (
        '\n[[plan]]\nname = "home"\ncap = "100 GB"\nday = 31\ninterfaces = ["eth0", "wl*"]\nexclude_lan = true\n'
    )


def test_every_key_can_be_given(file):
    given = [
        *("--cap", "5 GiB", "--direction", "tx", "--cycle", "28d", "--start", "2026-03-01"),
        *("--already-used", "1 GB", "--already-used-at", "2026-03-02", "--roll-over", "2"),
        *("--free-hours", "01:00-06:00", "--free-hours", "23:00-24:00", "--zero-rated", "vid*"),
        *("--threshold", "50", "--threshold", "100"),
        *("--host", "web*", "--host", "db", "--label", "site=berlin"),
    ]
    assert run(["plan", "add", "sim", *given, "--config", str(file)]) == 0
    assert plans(file)[1] == PlanSettings(
        "sim",
        "5 GiB",
        "tx",
        "28d",
        start="2026-03-01",
        hosts=("web*", "db"),
        labels=("site=berlin",),
        already_used="1 GB",
        already_used_at="2026-03-02",
        free_hours=("01:00-06:00", "23:00-24:00"),
        zero_rated=("vid*",),
        roll_over=2,
        thresholds=(50, 100),
    )


def test_what_was_used_before_counts_today_when_nobody_says_when(file):
    file.write_text('[report]\ntz = "UTC"\n')
    days = [f"{datetime.now(UTC):%Y-%m-%d}"]
    assert run(["plan", "add", "x", "--cap", "1 GB", "--already-used", "5 MB", "--config", str(file)]) == 0
    days.append(f"{datetime.now(UTC):%Y-%m-%d}")  # it may have become midnight
    assert plans(file)[0].already_used_at in days


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["x"], "plan add: missing option '--cap'"),
        (["x", "--cap", "5 Mb"], "plan add: --cap: '5 Mb' could mean bits or bytes"),
        (["x", "--cap", "5 GB", "--day", "32"], "plan add: --day: 32 is outside 1 to 31"),
        (["x", "--cap", "5 GB", "--day", "x"], "plan add: --day: expected a whole number, got 'x'"),
        (["x", "--cap", "5 GB", "--threshold", "0"], "plan add: --threshold: 0 is outside 1 to 1000"),
        (["x", "--cap", "5 GB", "--free-hours", "1-6"], "plan add: --free-hours: expected hours"),
        (["x", "--cap", "5 GB", "--cycle", "30d"], "plan add: --start: cycles of 30d need the first day"),
        ([" x", "--cap", "5 GB"], "plan add: NAME: expected a name"),
        (["old", "--cap", "5 GB"], "there is a plan 'old' already: FILE:6; give it another name"),
    ],
)
def test_what_makes_no_sense_is_refused_and_nothing_is_written(file, capsys, given, expected):
    assert run(["plan", "add", *given, "--config", str(file)]) == 2
    assert capsys.readouterr().err.replace(str(file), "FILE").startswith(f"netusage: {expected}")
    assert file.read_text() == BEFORE


def test_a_dry_run_shows_the_lines_and_writes_nothing(file, capsys):
    assert run(["plan", "add", "x", "--cap", "5 GB", "--dry-run", "--config", str(file)]) == 0
    assert capsys.readouterr().out == '[[plan]]\nname = "x"\ncap = "5 GB"\n'
    assert run(["plan", "remove", "old", "--dry-run", "--config", str(file)]) == 0
    assert capsys.readouterr().out == "[[plan]]\nname = 'old'\ncap = '1 GB'\n"
    assert file.read_text() == BEFORE


def test_the_users_own_file_is_made_when_there_is_none(machine, capsys):
    user, _ = machine
    assert run(["plan", "add", "x", "--cap", "5 GB"]) == 0
    assert user.read_text() == '[[plan]]\nname = "x"\ncap = "5 GB"\n'
    assert run(["plan", "remove", "x", "--yes"]) == 0
    assert user.read_text() == ""
    assert str(user) in capsys.readouterr().out


def test_the_systems_file_is_written_when_it_is_asked_for(machine, file, capsys):
    user, system = machine
    assert run(["plan", "add", "x", "--cap", "5 GB", "--system"]) == 0
    assert plans(system) == (PlanSettings("x", "5 GB"),)
    assert not user.exists()
    assert run(["plan", "add", "y", "--cap", "5 GB", "--system", "--config", str(file)]) == 2
    assert f"--system is not {file}; name one file" in capsys.readouterr().err
    assert file.read_text() == BEFORE


def test_plans_of_another_file_are_not_replaced_unsaid(machine, capsys):
    user, system = machine
    system.parent.mkdir()
    system.write_text("[[plan]]\nname = 'office'\ncap = '1 TB'\n")
    for arguments in (["add", "x", "--cap", "5 GB"], ["remove", "office", "--yes"]):
        assert run(["plan", *arguments]) == 2
        said = capsys.readouterr().err
        assert said == (
            f"netusage: there are plans in another file: {system}:1; name that one: --config {system}\n"
        )
    assert not user.exists()


def test_the_mode_of_the_file_and_a_link_to_it_stay(file, tmp_path):
    file.chmod(0o640)
    link = tmp_path / "link.toml"
    link.symlink_to(file)
    assert run(["plan", "add", "x", "--cap", "5 GB", "--config", str(link)]) == 0
    assert link.is_symlink()
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert [plan.name for plan in plans(file)] == ["old", "x"]
    assert sorted(os.listdir(tmp_path)) == ["config.toml", "link.toml"]


@pytest.mark.parametrize("text", [BEFORE.replace("\n", "\r\n"), "\ufeff" + BEFORE, BEFORE.rstrip("\n")])
def test_line_ends_and_a_byte_order_mark_stay(file, text):
    file.write_bytes(text.encode())
    assert run(["plan", "add", "x", "--cap", "5 GB", "--config", str(file)]) == 0
    assert file.read_bytes().startswith(text.encode())
    assert ("\r\n" in text) == (b"\r\n" in file.read_bytes())
    assert run(["plan", "remove", "x", "--yes", "--config", str(file)]) == 0
    assert file.read_bytes().rstrip() == text.encode().rstrip()


def test_removing_asks_first_and_takes_out_the_plan_alone(file, capsys):
    assert run(["plan", "remove", "old", "--config", str(file)]) == 2
    assert "there is no terminal to ask on; add --yes" in capsys.readouterr().err
    assert file.read_text() == BEFORE
    assert run(["plan", "remove", "old", "--yes", "--config", str(file)]) == 0
    assert file.read_text() == "# mine\n\n[report]\nbits = true # why\n"


def test_a_plan_that_is_written_in_one_line_is_left_to_an_editor(file, capsys):
    text = "plan = [{ name = 'a', cap = '1 GB' }]\n"
    file.write_text(text)
    assert run(["plan", "remove", "a", "--yes", "--config", str(file)]) == 2
    said = capsys.readouterr().err.replace(str(file), "FILE")
    assert (
        said
        == "netusage: FILE:1: the plan 'a' is not below a [[plan]] of its own; take it out with an editor\n"
    )
    assert run(["plan", "add", "b", "--cap", "1 GB", "--config", str(file)]) == 2
    said = capsys.readouterr().err.replace(str(file), "FILE")
    assert said.startswith("netusage: FILE: that cannot be written into it: ")
    assert "do it with an editor" in said
    assert file.read_text() == text


def test_a_plan_that_is_not_there_cannot_be_removed(file, capsys):
    assert run(["plan", "remove", "older", "--yes", "--config", str(file)]) == 2
    assert "there is no plan 'older'; did you mean 'old'?" in capsys.readouterr().err


def test_a_file_that_changed_meanwhile_is_not_overwritten(file):
    change = plan_file.Change(file, "", BEFORE, "new")
    file.write_text("somebody else's")
    with pytest.raises(OutputError, match="has been changed meanwhile; run it again"):
        plan_file.write(change)
    assert file.read_text() == "somebody else's"


def test_a_place_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot make"):
        plan_file.write(plan_file.Change(Path(tmp_path / "file" / "x" / "c.toml"), "", None, "new"))
