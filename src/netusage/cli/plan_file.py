"""Plans in the configuration file: every other byte of it stays, and what is written is read again first."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NamedTuple

from netusage.cli.output import open_output
from netusage.errors import ConfigError, OutputError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from netusage.cli.context import Invocation

_TABLE = "plan"
_BOM = "\ufeff"


class Change(NamedTuple):
    """What a file is going to be.

    lines: those that come or go. before, text: the whole of it, before and after; before is None where there is none.
    """

    path: Path
    lines: str
    before: str | None
    text: str


def added(inv: Invocation, values: Mapping[str, Any], *, system: bool = False) -> Change:
    """The file with one more plan; `system` is the system's file instead of the user's own.

    Raises:
        UsageError: two files are named, there is a plan of that name, or plans are in another file, whose plans these would replace.
        ConfigError: the file cannot be read, or the plan cannot be written into it.
    """
    from netusage.settings.edit import with_table
    from netusage.settings.schema import PlanSettings

    loaded, path = inv.loaded, _own_file(inv, system=system)
    name = values["name"]
    if f"{_TABLE}.{name}" in loaded.origins:
        place = loaded.origins[f"{_TABLE}.{name}"]
        raise UsageError(f"there is a plan {name!r} already: {place}", hint="give it another name")
    for plan in loaded.settings.plan:
        _refuse_elsewhere(loaded.origins[f"{_TABLE}.{plan.name}"], path)
    before = _read(path)
    mark, plain = _split(before or "")
    text = with_table(plain, _TABLE, values)
    change = Change(path, text[len(plain) :].lstrip("\r\n"), before, mark + text)
    _prove(inv, change, (*loaded.settings.plan, PlanSettings(**values)))
    return change


def removed(inv: Invocation, name: str) -> Change:
    """The file without a plan that it has.

    Raises:
        UsageError: the plan is in another file.
        ConfigError: the file cannot be read, or the plan is written in a way in which it cannot be taken out.
    """
    from netusage.settings.edit import table_place

    loaded, path = inv.loaded, _own_file(inv)
    origin = loaded.origins[f"{_TABLE}.{name}"]
    _refuse_elsewhere(origin, path)
    before = _read(path) or ""
    mark, plain = _split(before)
    names = [plan.name for plan in loaded.settings.plan]
    number = names.index(name)
    place = table_place(plain, _TABLE, number)
    if place is None:
        raise ConfigError(
            f"{origin}: the plan {name!r} is not below a [[plan]] of its own",
            hint="take it out with an editor",
        )
    start, end = place
    change = Change(path, plain[start:end].lstrip("\r\n"), before, mark + plain[:start] + plain[end:])
    _prove(inv, change, tuple(plan for plan in loaded.settings.plan if plan.name != name))
    return change


def write(change: Change) -> None:
    """Put the new text in the place of the old one, whole or not at all; the mode of the file stays.

    Raises:
        OutputError: the file cannot be written, or somebody else has changed it meanwhile.
    """
    try:
        change.path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make {change.path.parent}: {error.strerror or error}") from error
    if _read(change.path) != change.before:
        raise OutputError(f"{change.path} has been changed meanwhile", hint="run it again")
    with open_output(change.path) as out:
        out.write(change.text)


def _own_file(inv: Invocation, *, system: bool = False) -> Path:
    """The file that --config or NETUSAGE_CONFIG names, or the system's, or the user's own.

    Raises:
        UsageError: two of them are asked for.
    """
    from netusage.settings.load import chosen_config_file
    from netusage.settings.paths import config_paths

    named = chosen_config_file(inv.config_file, os.environ)
    if named and system:
        raise UsageError(f"plan add: --system is not {named}", hint="name one file")
    return named or config_paths()[1 if system else 0]


def _refuse_elsewhere(origin: str, path: Path) -> None:
    """Refuse to write a file where plans are in another one: those of one file are taken, and none of the others.

    Raises:
        UsageError: that is so.
    """
    other = origin.rpartition(":")[0]
    if other != str(path):
        raise UsageError(
            f"there are plans in another file: {origin}", hint=f"name that one: --config {other}"
        )


def _read(path: Path) -> str | None:
    """The text with its own line ends; None when there is no file."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return file.read()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror or error}") from error


def _split(text: str) -> tuple[str, str]:
    """The mark with which Windows editors begin a file, if it is there, and the rest."""
    return (_BOM, text[1:]) if text.startswith(_BOM) else ("", text)


def _prove(inv: Invocation, change: Change, plans: tuple[Any, ...]) -> None:
    """Read what would be written: it must be what there was, but for the plan.

    Raises:
        ConfigError: it is not.
    """
    from dataclasses import replace

    from netusage.settings.load import read_text

    try:
        before, after = read_text(change.path, change.before or ""), read_text(change.path, change.text)
    except ConfigError as error:
        raise ConfigError(
            f"{change.path}: that cannot be written into it: {error.message}", hint="do it with an editor"
        ) from error
    if after != replace(before, plan=plans) or before.plan != inv.settings.plan:
        raise ConfigError(
            f"{change.path}: it would not be as before but for the plan", hint="do it with an editor"
        )
