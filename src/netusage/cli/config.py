"""`netusage config`: what is set, where it was set, and whether it is sound."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from netusage.cli.context import Invocation, pass_invocation
from netusage.cli.options import Command, config_option, group, output_options
from netusage.errors import ConfigError, ExitCode, NetusageError

if TYPE_CHECKING:
    from netusage.settings.load import Loaded
    from netusage.settings.schema import Key


@group(
    "config",
    examples=[
        ("netusage config show --origin", "every value, and where it was set"),
        ("netusage config check", "is the configuration sound?"),
        ("netusage config path", "which files are read"),
    ],
)
def command() -> None:
    """Show and check the configuration.

    Flags win over environment variables, those over the user's file, that over the system's file, and that over
    the defaults. Unknown keys are errors.
    """


@command.command(
    "show",
    cls=Command,
    examples=[
        ("netusage config show --origin", "every value, and where it was set"),
        ("netusage config show -o config.toml", "a file to start from"),
    ],
)
@click.option("--origin", is_flag=True, help="Say where each value was set.")
@config_option
@output_options("toml", "json")
@pass_invocation
def show(invocation: Invocation, origin: bool) -> None:
    """Show the settings in force, as a configuration file or as JSON."""
    loaded = invocation.loaded
    text = _as_json(loaded) if invocation.format == "json" else _as_toml(loaded, with_origins=origin)
    with invocation.output() as out:
        out.write(text)


@command.command(
    "check",
    cls=Command,
    examples=[
        ("netusage config check", "check what would be read"),
        ("netusage config check ./config.toml", "check this file before it is put in place"),
    ],
)
@click.argument("file", required=False, type=click.Path(path_type=Path))
@config_option
@output_options("text", "json")
@pass_invocation
def check(invocation: Invocation, file: Path | None) -> ExitCode:
    """Check the configuration; lists everything that is wrong with it.

    Checks FILE, or else the files and environment variables that are in force.
    """
    from netusage.settings.load import find_problems

    problems, loaded = find_problems(
        config_file=file or invocation.config_file, environment={} if file is not None else None
    )
    if problems:
        _tell_all_but_last(problems, as_json=invocation.format == "json")
        raise problems[-1]
    assert loaded is not None
    files = [str(path) for path in loaded.files]
    with invocation.output() as out:
        if invocation.format == "json":
            out.write(
                json.dumps({"version": 1, "ok": True, "files": files, "ignored": loaded.ignored}) + "\n"
            )
        else:
            out.write(f"ok: {', '.join(files) if files else 'no configuration file; the defaults hold'}\n")
            for variable in loaded.ignored:
                out.write(f"ignored: environment {variable} is no setting\n")
    return ExitCode.OK


def _tell_all_but_last(problems: list[NetusageError], *, as_json: bool) -> None:
    from netusage.cli.failures import describe, tell

    for problem in problems[:-1]:
        tell(describe(problem), as_json=as_json)


@command.command(
    "path", cls=Command, examples=[("netusage config path", "the files, the ledger, and whether they exist")]
)
@config_option
@output_options("text", "json")
@pass_invocation
def path(invocation: Invocation) -> None:
    """Show which configuration files are read, and where the ledger is."""
    import os

    from netusage.settings.load import chosen_config_file
    from netusage.settings.paths import config_paths

    named = chosen_config_file(invocation.config_file, os.environ)
    files = [named] if named else list(config_paths())
    try:
        ledger: Path | None = invocation.ledger_path(for_reading=True)
    except ConfigError:
        ledger = None  # this command is what one runs to find the file that is wrong
    rows = [("config", item) for item in files] + ([("ledger", ledger)] if ledger else [])
    with invocation.output() as out:
        if invocation.format == "json":
            entries = [{"what": what, "path": str(item), "exists": _exists(item)} for what, item in rows]
            out.write(json.dumps({"version": 1, "paths": entries}) + "\n")
        else:
            for what, item in rows:
                out.write(f"{what}: {item}{'' if _exists(item) else ' (not there)'}\n")


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:
        return False


def _as_json(loaded: "Loaded") -> str:
    from netusage.settings.schema import TABLES, declared_keys, table_keys

    values: dict[str, Any] = {
        key.dotted: {
            "value": _plain(_shown(key, _value(loaded, key.section, key.name))),
            "origin": loaded.origins[key.dotted],
        }
        for key in declared_keys().values()
    }
    for table in TABLES:
        values[table] = [
            {
                name: {
                    "value": _plain(getattr(one, name)),
                    "origin": loaded.origins[f"{table}.{one.name}.{name}"],
                }
                for name in table_keys(table)
            }
            for one in getattr(loaded.settings, table)
        ]
    return json.dumps({"version": 1, "settings": values}, indent=2) + "\n"


def _as_toml(loaded: "Loaded", *, with_origins: bool) -> str:
    from netusage.settings.schema import TABLES, declared_keys, table_keys
    from netusage.settings.toml_lines import toml_text

    def line(name: str, value: Any, dotted: str) -> str:
        return f"{name} = {toml_text(value)}" + (f"  # {loaded.origins[dotted]}" if with_origins else "")

    lines: list[str] = []
    section = ""
    for key in declared_keys().values():
        if key.section != section:
            section = key.section
            lines += ["", f"[{section}]"] if lines else [f"[{section}]"]
        lines.append(line(key.name, _shown(key, _value(loaded, key.section, key.name)), key.dotted))
    for table in TABLES:
        for one in getattr(loaded.settings, table):
            lines += ["", f"[[{table}]]"]
            lines += [
                line(name, getattr(one, name), f"{table}.{one.name}.{name}") for name in table_keys(table)
            ]
    return "\n".join(lines) + "\n"


def _value(loaded: "Loaded", section: str, name: str) -> Any:
    return getattr(getattr(loaded.settings, section), name)


def _shown(key: "Key", value: Any) -> Any:
    """A value as it may be shown: of secrets, no more than whom they are for."""
    from netusage.settings.secrets import names_of

    return names_of(value) if key.kind == "secret" else value


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
