"""Error lines and exit codes."""

import errno
import json
import os
import subprocess
import sys

import click
import pytest

from netusage.cli import main
from netusage.cli.failures import Failure, describe, run, tell, wants_json
from netusage.errors import ConfigError, ExitCode, NoDataError


def failing(monkeypatch, error):
    """Make `netusage completion` raise this."""

    @click.command("completion")
    @click.option("--format")
    def command(**_):
        raise error

    monkeypatch.setattr(main.LazyGroup, "get_command", lambda *_: command)


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (NoDataError("no ledger at /x", hint="run netusage track"), 3, "netusage: no ledger at /x; run netusage track"),
        (ConfigError("/c.toml:7: at 'a.b': unknown key"), 2, "netusage: /c.toml:7: at 'a.b': unknown key"),
        (OSError(errno.ENOSPC, "No space left on device"), 1, "netusage: cannot write the output: No space left on device; free some space and run it again"),
        (PermissionError(errno.EACCES, "Permission denied", "/root/x"), 1, "netusage: /root/x: Permission denied; use a place that you may use, or run it with the rights to it"),
        (MemoryError(), 1, "netusage: out of memory; ask for less at a time"),
        (ModuleNotFoundError("No module named 'rich'", name="rich"), 1, "netusage: the package rich is missing; pip install 'netusage[all]'"),
        (ValueError("two\nlines\x1b[31m"), 1, "netusage: internal error: ValueError: two lines [31m; NETUSAGE_DEBUG=1 shows where; please report it"),
        (click.ClickException("plain"), 1, "netusage: plain"),
        (click.Abort(), 130, "netusage: nothing was changed"),
        (KeyboardInterrupt(), 130, "netusage: interrupted"),
    ],
)  # fmt: skip
def test_every_failure_is_one_line_and_its_exit_code(error, code, line, monkeypatch, capsys):
    failing(monkeypatch, error)
    assert run(["completion"]) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert err == line + "\n"


def test_a_failure_is_one_json_object_when_json_was_asked_for(monkeypatch, capsys):
    failing(monkeypatch, NoDataError("no ledger", hint="run netusage track"))
    assert run(["completion", "--format", "json"]) == 3
    assert json.loads(capsys.readouterr().err) == {
        "error": {"kind": "no-data", "message": "no ledger", "hint": "run netusage track", "exit_code": 3}
    }


def test_a_usage_error_is_json_as_well(capsys):
    assert run(["--format=jsonl", "--nope"]) == 2
    assert json.loads(capsys.readouterr().err)["error"]["kind"] == "usage"


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (["report", "--format", "json"], True),
        (["--format=jsonl", "report"], True),
        (["--format", "json", "report", "--format", "csv"], False),
        (["report", "--", "--format", "json"], False),
        (["report", "--format"], False),
        ([], False),
    ],
)
def test_json_is_recognised_on_a_command_line_that_need_not_parse(argv, expected):
    assert wants_json(argv) is expected


@pytest.mark.parametrize(
    ("argv", "line"),
    [
        (["reprot"], "no such command 'reprot'; did you mean 'report'?"),
        (["zzz"], "no such command 'zzz'; run 'netusage --help'"),
        (["--formt", "json"], "no such option '--formt'; did you mean '--format'?"),
        (["config", "shw"], "config: no such command 'shw'; did you mean 'show'?"),
        (
            ["config", "show", "--origins"],
            "config show: no such option '--origins'; did you mean '--origin'?",
        ),
        (["config", "show", "extra"], "config show: got unexpected extra argument (extra)"),
        (["completion"], "completion: missing argument"),
        (["--units", "imperial"], "'imperial' is not one of 'si', 'iec'"),
        (["--db"], "option '--db' requires an argument"),
        (["-Z"], "no such option '-Z'"),
    ],
)
def test_a_wrong_command_line_is_told_in_one_line_with_the_nearest_match(argv, line, capsys):
    assert run(argv) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert line in err.replace('"', "'")


def test_the_integer_that_a_command_returns_is_the_exit_code(monkeypatch):
    for returned, code in ((ExitCode.THRESHOLD, 4), (None, 0), (True, 0), ("text", 0)):

        @click.command("completion")
        def command(returned=returned):
            return returned

        monkeypatch.setattr(main.LazyGroup, "get_command", lambda *_, command=command: command)
        assert run(["completion"]) == code


def test_a_traceback_is_shown_only_when_it_is_asked_for(monkeypatch, capsys):
    failing(monkeypatch, ValueError("x"))
    monkeypatch.setenv("NETUSAGE_DEBUG", "1")
    assert run(["completion"]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_a_process_without_standard_streams_still_has_an_exit_code(monkeypatch):
    failing(monkeypatch, NoDataError("nothing"))
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    assert run(["completion"]) == 3


def test_a_name_cannot_forge_a_second_line_or_a_colour(capsys):
    tell(Failure("x", "file\nnetusage: all is well\x1b[32m\r", "", 1), as_json=False)
    err = capsys.readouterr().err
    assert err == "netusage: file netusage: all is well [32m\n"


def test_an_error_without_words_is_told_by_its_name():
    assert describe(RuntimeError()).message == "internal error: RuntimeError"


def netusage(*argv, **kwargs):
    """Run a real process."""
    return subprocess.run(
        [sys.executable, "-m", "netusage", *argv], capture_output=kwargs.pop("capture_output", True), text=True, check=False, **kwargs
    )  # fmt: skip


@pytest.mark.system
def test_a_reader_that_goes_away_is_no_error():
    reading, writing = os.pipe()
    os.close(reading)
    for argv in (["--version"], ["--help"], ["completion", "bash"], ["config", "show"]):
        done = netusage(*argv, capture_output=False, stdout=writing, stderr=subprocess.PIPE)
        assert (done.returncode, done.stderr) == (0, "")
    os.close(writing)


@pytest.mark.system
@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full here")
def test_a_full_disk_below_standard_output_is_one_line_and_a_failure():
    with open("/dev/full", "w", encoding="utf-8") as full:
        done = netusage("completion", "bash", capture_output=False, stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == 1
    assert (
        done.stderr
        == "netusage: cannot write the output: No space left on device; free some space and run it again\n"
    )


@pytest.mark.system
def test_closed_standard_streams_do_no_harm():
    done = subprocess.run(
        ["/bin/sh", "-c", f"exec {sys.executable} -m netusage nonsense >&- 2>&-"],
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (2, b"")


@pytest.mark.system
@pytest.mark.skipif(sys.platform == "win32", reason="signals of Unix")
def test_ctrl_c_ends_a_command_with_130_and_one_line():
    code = (
        "import os, signal, netusage.cli.failures as failures\n"
        "failures._run = lambda argv: os.kill(os.getpid(), signal.SIGINT) or signal.pause()\n"
        "raise SystemExit(failures.run([]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stderr) == (130, "netusage: interrupted\n")


@pytest.mark.system
def test_names_that_no_encoding_knows_do_not_end_a_command():
    done = netusage("config", "check", "/nonexistent/\udcff", env=os.environ | {"PYTHONIOENCODING": "ascii"})
    assert done.returncode == 2
    assert "no such configuration file" in done.stderr
