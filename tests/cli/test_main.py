"""The root of the command line."""

import keyword
import re
import subprocess
import sys

import click
import pytest

from netusage import __version__
from netusage.cli import main, options
from netusage.cli.context import pass_invocation
from netusage.cli.failures import run
from netusage.cli.main import COMMANDS, HIDDEN, SUMMARY_MODULE, cli
from netusage.errors import ConfigError


@pytest.fixture
def summary(monkeypatch):
    """A summary that keeps its invocation."""
    seen = []

    @options.command("summary", examples=[])
    @options.ledger_options
    @options.output_options()
    @options.unit_options
    @options.zone_option
    @pass_invocation
    def command(inv):
        seen.append(inv)
        return 3

    monkeypatch.setattr(main, "summary_command", lambda: command)
    monkeypatch.setenv("NETUSAGE_CONFIG", "/dev/null")
    return seen


def test_the_help_lists_every_command_and_shows_examples_before_options(capsys):
    assert run(["--help"]) == 0
    out = capsys.readouterr().out
    for name, (_, text) in COMMANDS.items():
        assert re.search(rf"^  {name} +{re.escape(text.split('.')[0][:30])}", out, re.MULTILINE), name
    assert 0 < out.index("Examples:") < out.index("Options:") < out.index("Commands:")
    assert not any(name in out for name in HIDDEN)


@pytest.mark.parametrize(
    "argv", [["-h"], ["config", "-h"], ["config", "show", "-h"], ["service", "install", "-h"]]
)
def test_help_is_there_at_every_level_with_examples_first(argv, capsys):
    assert run(argv) == 0
    out = capsys.readouterr().out
    assert 0 < out.index("Examples:") < out.index("Options:")


def test_every_example_in_the_help_begins_with_the_program():
    for line, _ in cli.examples:
        assert "netusage" in line


def test_the_version_is_printed_alone_and_among_other_flags(capsys):
    for argv in (["--version"], ["--version", "--units", "si"]):
        assert run(argv) == 0
        assert capsys.readouterr().out == f"netusage {__version__}\n"


def test_the_bare_command_runs_the_summary_with_the_flags_of_the_root(summary):
    argv = ["--db", "x.db", "--format", "json", "-o", "out", "--units", "iec", "--bits", "--tz", "UTC"]
    assert run(argv) == 3
    (inv,) = summary
    assert inv.settings.ledger.path == "x.db"
    assert inv.format == "json"
    assert str(inv.output_file) == "out"
    assert inv.settings.report.units.value == "iec"
    assert inv.settings.report.bits
    assert inv.loaded.origins["report.tz"] == "flag --tz"


def test_the_bare_command_without_flags_uses_the_first_format_and_the_defaults(summary):
    assert run([]) == 3
    (inv,) = summary
    assert inv.format == "table"
    assert inv.output_file is None
    assert inv.loaded.origins["ledger.path"] == "default"


def test_a_flag_of_the_root_reaches_the_command_and_the_commands_own_wins(capsys, monkeypatch):
    monkeypatch.setenv("NETUSAGE_CONFIG", "/dev/null")
    assert run(["--format", "json", "config", "path"]) == 0
    assert capsys.readouterr().out.startswith("{")
    assert run(["--format", "json", "config", "path", "--format", "text"]) == 0
    assert capsys.readouterr().out.startswith("config: ")


def test_a_format_of_the_root_that_the_command_lacks_is_refused(capsys):
    assert run(["--format", "csv", "config", "path"]) == 2
    assert capsys.readouterr().err == "netusage: path: no format 'csv' here; one of text, json\n"


@pytest.mark.parametrize("argv", [["--tz", "Nowhere/City"], ["--db", "~nosuchuser-x/a"], ["--units", "x"]])
def test_a_wrong_common_flag_is_one_line_before_anything_runs(argv, summary, capsys):
    assert run(argv) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert summary == []


def test_a_configuration_file_that_is_not_there_is_told_when_the_settings_are_asked_for(summary):
    assert run(["--config", "/nonexistent/c.toml"]) == 3
    with pytest.raises(ConfigError, match="no such configuration file"):
        summary[0].loaded  # noqa: B018  # reading it is the test


def test_settings_can_be_read_again_and_stay_as_they_are_when_that_fails(summary, tmp_path):
    file = tmp_path / "c.toml"
    file.write_text("[report]\nbilling_day = 2\n")
    run(["--config", str(file), "--bytes"])
    (inv,) = summary
    assert inv.settings.report.billing_day == 2
    assert inv.loaded.origins["report.bits"] == "flag --bytes"
    file.write_text("[report]\nbilling_day = 99\n")
    with pytest.raises(Exception, match="outside 1 to 31"):
        inv.reload()
    assert inv.settings.report.billing_day == 2
    file.write_text("[report]\nbilling_day = 3\n")
    assert inv.reload().settings.report.billing_day == 3
    assert inv.settings.report.billing_day == 3


def test_a_constant_flag_sets_its_value_and_says_nothing_when_it_is_not_given():
    seen = []

    @options.command("x", examples=[])
    @options.setting_option("--no-csv", key="track.csv", value=False, help="Write no CSV files.")
    @pass_invocation
    def command(inv):
        seen.append(dict(inv.flags))

    command.main([], standalone_mode=False)
    command.main(["--no-csv"], standalone_mode=False)
    assert seen[0] == {}
    assert (seen[1]["track.csv"].value, seen[1]["track.csv"].name) == (False, "--no-csv")


def test_confirm_refuses_to_guess_without_a_terminal(monkeypatch):
    monkeypatch.setattr(sys, "stdin", None)
    assert options.confirm("Sure?", yes=True)
    with pytest.raises(Exception, match="no terminal to ask on; add --yes"):
        options.confirm("Sure?", yes=False)


def test_the_table_names_the_module_of_every_command():
    for name, (module, _) in (COMMANDS | HIDDEN).items():
        word = name.replace("-", "_")
        assert module == f"netusage.cli.{word}{'_' if keyword.iskeyword(word) else ''}"
    assert SUMMARY_MODULE == "netusage.cli.summary"


def test_commands_are_what_their_table_says():
    context = click.Context(cli)
    for name in ("config", "service", "completion", "manpages"):
        command = cli.get_command(context, name)
        assert command is not None
        assert command.name == name


def imported_by(*argv: str) -> set[str]:
    """The modules that a whole run of the program imports."""
    code = (
        "import sys\n"
        "from netusage.cli.failures import run\n"
        "run(sys.argv[1:])\n"
        "sys.stderr.write(' '.join(sys.modules))\n"
    )
    done = subprocess.run([sys.executable, "-c", code, *argv], capture_output=True, text=True, check=True)
    return set(done.stderr.split())


HEAVY = {"sqlite3", "msgspec", "psutil", "rich", "platformdirs", "tomllib", "json", "asyncio", "subprocess"}


@pytest.mark.system
def test_the_help_imports_no_command_and_nothing_heavy():
    modules = imported_by("--help")
    assert not modules & (HEAVY | {module for module, _ in COMMANDS.values()} | {SUMMARY_MODULE})


@pytest.mark.system
def test_the_version_needs_neither_click_nor_a_ledger():
    modules = imported_by("--version")
    assert not modules & (HEAVY | {"click", "netusage.settings.load"})


@pytest.mark.system
def test_completing_a_command_name_imports_no_command(monkeypatch):
    monkeypatch.setenv("_NETUSAGE_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", "netusage re")
    monkeypatch.setenv("COMP_CWORD", "1")
    modules = imported_by()
    assert not modules & ({module for module, _ in COMMANDS.values()} - {"netusage.cli.completion"})
