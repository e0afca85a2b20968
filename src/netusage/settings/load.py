"""Flags over environment over user file over system file over defaults, and where each value came from.

Tables that repeat, as [[plan]], are set in files only; of several files that have them, those of the one that wins are
taken, and none of the others.
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from netusage.errors import ConfigError, NetusageError, UsageError
from netusage.settings import schema
from netusage.settings.convert import Invalid, nearest, parse, parse_text
from netusage.settings.paths import config_paths
from netusage.settings.schema import Key, Settings
from netusage.settings.toml_lines import KeyPath, find_line, key_lines
from netusage.units import parse_duration

DEFAULT_ORIGIN = "default"


class Flag(NamedTuple):
    """A value that the command line gave: the text as typed, or a value of the key's type."""

    value: Any
    name: str

    @property
    def origin(self) -> str:
        """Where the value came from, for people."""
        return f"flag {self.name}"


@dataclass(frozen=True, slots=True)
class Loaded:
    """Settings with the origin of each value.

    origins: by dotted key: "default", "/etc/netusage/config.toml:12", "environment NETUSAGE_…", "flag --…"; of a table
        that repeats by its name as well: "plan.home" for the table itself, "plan.home.cap" for a key of it.
    files: the configuration files that were read.
    ignored: environment variables that look like ours and mean nothing.
    """

    settings: Settings
    origins: Mapping[str, str]
    files: tuple[Path, ...] = ()
    ignored: tuple[str, ...] = ()


@dataclass(slots=True)
class _Gathered:
    """What the sources said so far; a later source overwrites an earlier one."""

    values: dict[str, Any] = field(default_factory=dict)
    tables: dict[str, tuple[Any, ...]] = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)
    files: list[Path] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)
    problems: list[NetusageError] = field(default_factory=list)

    def take(self, key: Key, value: Any, origin: str) -> None:
        self.values[key.dotted] = value
        self.origins[key.dotted] = origin


def load(
    *,
    flags: Mapping[str, Flag] | None = None,
    config_file: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> Loaded:
    """The settings in force.

    Args:
        flags: by dotted key, what the command line gave.
        config_file: read this file and no other; it must exist. NETUSAGE_CONFIG does the same.
        environment: instead of the process's own.

    Raises:
        ConfigError: a file or a variable is wrong; says file, line and key.
        UsageError: a flag is wrong.
        NetusageError: msgspec is needed to read what is there, and is not installed.
    """
    gathered = _gather(flags or {}, config_file, os.environ if environment is None else environment)
    if gathered.problems:
        raise _first(gathered.problems)
    return _build(gathered)


def find_problems(
    *, config_file: Path | None = None, environment: Mapping[str, str] | None = None
) -> tuple[list[NetusageError], Loaded | None]:
    """Everything that is wrong with the configuration; when nothing is, the settings."""
    gathered = _gather({}, config_file, os.environ if environment is None else environment)
    return gathered.problems, None if gathered.problems else _build(gathered)


def read_text(path: Path, text: str) -> Settings:
    """The settings that the text of a file gives alone, without any other source; `path` is what errors name.

    Raises:
        ConfigError: something is wrong with it.
    """
    gathered = _Gathered()
    _add_file(gathered, schema.declared_keys(), path, text.removeprefix("\ufeff"))
    if gathered.problems:
        raise _first(gathered.problems)
    return _build(gathered).settings


def flag_value(dotted: str, text: str, name: str) -> Flag:
    """A flag's text, checked.

    Raises:
        UsageError: it is not what the key wants.
    """
    key = schema.declared_keys()[dotted]
    try:
        return Flag(parse_text(key, text), name)
    except Invalid as error:
        raise UsageError(f"{name}: {error}") from error


def chosen_config_file(config_file: Path | None, environment: Mapping[str, str]) -> Path | None:
    """The one file that was named, by the flag or by NETUSAGE_CONFIG, or None."""
    named = environment.get(schema.CONFIG_VARIABLE, "")
    return config_file or (Path(named) if named else None)


def _gather(flags: Mapping[str, Flag], config_file: Path | None, environment: Mapping[str, str]) -> _Gathered:
    gathered = _Gathered()
    keys = schema.declared_keys()
    named = chosen_config_file(config_file, environment)
    paths = (named,) if named else reversed(config_paths(environment))
    for path in paths:
        try:
            text = _read(path, must_exist=named is not None)
            if text is not None:
                gathered.files.append(path)
                _add_file(gathered, keys, path, text)
        except ConfigError as error:
            gathered.problems.append(error)
    _add_environment(gathered, keys, environment)
    for dotted, flag in flags.items():
        try:
            value = parse_text(keys[dotted], flag.value) if isinstance(flag.value, str) else flag.value
            gathered.take(keys[dotted], value, flag.origin)
        except Invalid as error:
            gathered.problems.append(UsageError(f"{flag.name}: {error}"))
    if not gathered.problems:
        _check_together(gathered)
    return gathered


def _first(problems: list[NetusageError]) -> NetusageError:
    first = problems[0]
    if len(problems) > 1 and not first.hint:
        first.hint = f"and {len(problems) - 1} more: netusage config check"
    return first


def _read(path: Path, *, must_exist: bool) -> str | None:
    """The text of a configuration file; None when there is none and none is needed."""
    try:
        # utf-8-sig: Windows editors put a byte order mark in front
        return path.read_text(encoding="utf-8-sig")
    except (FileNotFoundError, NotADirectoryError):
        if not must_exist:
            return None
        raise ConfigError(
            f"{path}: no such configuration file", hint="netusage config path tells which files are read"
        ) from None
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{path}:{line}: not UTF-8 text") from error
    except OSError as error:
        if not must_exist and not _is_visible(path):
            return None
        raise ConfigError(
            f"{path}: cannot be read: {error.strerror or error}",
            hint="make it readable, or name another with --config FILE",
        ) from error


def _is_visible(path: Path) -> bool:
    """False inside a directory that may not be entered: the HOME of somebody else, which sudo left behind."""
    try:
        path.stat()
    except OSError:
        return False
    return True


def _add_file(gathered: _Gathered, keys: Mapping[str, Key], path: Path, text: str) -> None:
    import tomllib  # noqa: PLC0415  # most people have no file

    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(_syntax_error(path, text, str(error))) from error
    file = _File(gathered, path, key_lines(text))
    for section, content in document.items():
        if section in schema.TABLES:
            file.add_tables(section, content)
        elif section in schema.SECTIONS:
            file.add_section(section, content, keys)
        else:
            file.wrong((section,), _unknown_section(section, keys))


@dataclass(frozen=True, slots=True)
class _File:
    """One file that is being read: what is in it is gathered, with the line of each key."""

    gathered: _Gathered
    path: Path
    lines: dict[KeyPath, int]

    def origin(self, place: KeyPath) -> str:
        """Where a key stands, for people."""
        line = find_line(self.lines, place)
        return f"{self.path}:{line}" if line else str(self.path)

    def wrong(self, place: KeyPath, reason: str) -> None:
        """Note a problem; tables are not numbered, because there is the line."""
        dotted = ".".join(part for part in place if isinstance(part, str))
        self.gathered.problems.append(ConfigError(f"{self.origin(place)}: at {dotted!r}: {reason}"))

    def add_section(self, section: str, content: Any, keys: Mapping[str, Key]) -> None:
        """Take the keys of a section."""
        if not isinstance(content, dict):
            self.wrong((section,), f"this is a section: write [{section}] and its keys below")
            return
        for name, value in content.items():
            key = keys.get(f"{section}.{name}")
            try:
                if key is None:
                    self.wrong((section, name), _unknown_key(section, name, keys))
                else:
                    self.gathered.take(key, parse(key, value), self.origin((section, name)))
            except Invalid as error:
                self.wrong((section, name), str(error))

    def add_tables(self, table: str, content: Any) -> None:
        """Take all tables of one name, instead of those of a file before this one."""
        if not isinstance(content, list) or not all(isinstance(entries, dict) for entries in content):
            self.wrong((table,), f"this may be there several times: write [[{table}]] and its keys below")
            return
        origins = self.gathered.origins
        for dotted in [dotted for dotted in origins if dotted.startswith(f"{table}.")]:
            del origins[dotted]
        found = [self._table(table, (table, number), entries) for number, entries in enumerate(content)]
        self.gathered.tables[table] = tuple(one for one in found if one is not None)

    def _table(self, table: str, place: KeyPath, entries: Mapping[str, Any]) -> Any:
        """One table as its class, or None when something is wrong with it."""
        values = self._table_values(table, place, entries)
        if values is None:
            return None
        made = schema.TABLES[table](**values)
        origins, dotted = self.gathered.origins, f"{table}.{made.name}"
        if dotted in origins:
            self.wrong((*place, "name"), f"there is a {table} {made.name!r} already: {origins[dotted]}")
            return None
        contradiction = made.contradiction()
        if contradiction:
            self.wrong((*place, contradiction[0]), contradiction[1])
        origins[dotted] = self.origin(place)
        for name in schema.table_keys(table):
            origins[f"{dotted}.{name}"] = self.origin((*place, name)) if name in entries else DEFAULT_ORIGIN
        return made

    def _table_values(self, table: str, place: KeyPath, entries: Mapping[str, Any]) -> dict[str, Any] | None:
        keys, values = schema.table_keys(table), {}
        before = len(self.gathered.problems)
        for name, value in entries.items():
            try:
                if name in keys:
                    values[name] = parse(keys[name], value)
                else:
                    self.wrong((*place, name), f"unknown key{nearest(name, keys)}")
            except Invalid as error:
                self.wrong((*place, name), str(error))
        for key in keys.values():
            if key.needed and key.name not in entries:
                self.wrong(place, f"{key.name!r} is missing")
        return values if len(self.gathered.problems) == before else None


def _syntax_error(path: Path, text: str, said: str) -> str:
    """One line for a TOML syntax error; tomllib writes the place as "… (at line 3, column 5)"."""
    reason, _, place = said.rpartition(" (at ")
    if place.startswith("line "):
        line = place.removeprefix("line ").partition(",")[0]
    else:
        line = str(text.rstrip("\n").count("\n") + 1)
    return f"{path}:{line}: not TOML: {reason or said}"


def _unknown_section(section: str, keys: Mapping[str, Key]) -> str:
    for dotted, key in keys.items():
        if key.name == section:
            return f"unknown section; did you mean {dotted!r}?"
    return f"unknown section{nearest(section, [*schema.SECTIONS, *schema.TABLES])}"


def _unknown_key(section: str, name: str, keys: Mapping[str, Key]) -> str:
    own = [key.name for key in keys.values() if key.section == section]
    guess = nearest(name, own)
    if not guess:
        elsewhere = next((dotted for dotted, key in keys.items() if key.name == name), "")
        guess = f"; did you mean {elsewhere!r}?" if elsewhere else ""
    return f"unknown key{guess}"


def _add_environment(gathered: _Gathered, keys: Mapping[str, Key], environment: Mapping[str, str]) -> None:
    variables = {key.variable: key for key in keys.values()}
    for variable, text in sorted(environment.items()):
        # empty is unset; NETUSAGE_DB, which sorts before NETUSAGE_LEDGER_PATH, is dealt with below
        if not variable.startswith(schema.ENVIRONMENT_PREFIX) or not text:
            continue
        key = variables.get(variable)
        if key is None:
            _unknown_variable(gathered, variables, variable)
        else:
            _add_variable(gathered, key, variable, text)
    ledger = environment.get(schema.LEDGER_VARIABLE)
    if ledger:
        _add_variable(gathered, keys["ledger.path"], schema.LEDGER_VARIABLE, ledger)


def _add_variable(gathered: _Gathered, key: Key, variable: str, text: str) -> None:
    try:
        gathered.take(key, parse_text(key, text), f"environment {variable}")
    except Invalid as error:
        gathered.problems.append(ConfigError(f"environment {variable}: {error}"))


def _unknown_variable(gathered: _Gathered, variables: Mapping[str, Key], variable: str) -> None:
    """A misspelt key of a section and any of a table are errors; all else may be somebody's own variable."""
    if variable in {schema.LEDGER_VARIABLE, schema.CONFIG_VARIABLE, *schema.OTHER_VARIABLES}:
        return
    section = variable.removeprefix(schema.ENVIRONMENT_PREFIX).partition("_")[0].lower()
    if section in schema.SECTIONS:
        guess = nearest(variable, variables)
        gathered.problems.append(ConfigError(f"environment {variable}: unknown variable{guess}"))
    elif section in schema.TABLES:
        gathered.problems.append(
            ConfigError(f"environment {variable}: a {section} can only be set in a file")
        )
    else:
        gathered.ignored.append(variable)


def _check_together(gathered: _Gathered) -> None:
    """What no key can say alone."""
    recorder = _build(gathered).settings.recorder
    if parse_duration(recorder.commit_interval) >= parse_duration(recorder.sample_interval):
        return
    dotted = "recorder.commit_interval"
    if dotted not in gathered.origins:
        dotted = "recorder.sample_interval"
    origin = gathered.origins[dotted]
    kind = UsageError if origin.startswith("flag ") else ConfigError
    gathered.problems.append(
        kind(
            f"{origin}: at {dotted!r}: commit_interval ({recorder.commit_interval}) is below sample_interval ({recorder.sample_interval})"
        )
    )


def _build(gathered: _Gathered) -> Loaded:
    parts: dict[str, Any] = {
        section: holder(**dict(_of_section(gathered.values, section)))
        for section, holder in schema.SECTIONS.items()
    }
    origins = dict.fromkeys(schema.declared_keys(), DEFAULT_ORIGIN) | gathered.origins
    return Loaded(
        Settings(**parts | gathered.tables), origins, tuple(gathered.files), tuple(gathered.ignored)
    )


def _of_section(values: Mapping[str, Any], section: str) -> Iterator[tuple[str, Any]]:
    for dotted, value in values.items():
        home, _, name = dotted.partition(".")
        if home == section:
            yield name, value
