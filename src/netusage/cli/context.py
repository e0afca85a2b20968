"""What the common options said, shared by every command of one invocation."""

import os
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TextIO, TypeVar

import click

from netusage.cli.output import open_output

if TYPE_CHECKING:
    from netusage.settings.load import Flag, Loaded
    from netusage.settings.schema import Settings

P = ParamSpec("P")
R = TypeVar("R")


class Invocation:
    """One run of the command line: the common flags, and settings that are loaded when first asked for.

    Attributes:
        flags: by dotted key, the flags that override settings.
        config_file: the file given with --config.
        format: the output format in force, as in "table"; "" for a command without formats.
        output_file: the file given with -o.
        host: the merged ledger given with --host; "" for the ledger's own record.
    """

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        self.flags: dict[str, Flag] = {}
        self.config_file: Path | None = None
        self.format = ""
        self.output_file: Path | None = None
        self.host = ""
        self._environment = os.environ if environment is None else environment
        self._loaded: Loaded | None = None

    @property
    def loaded(self) -> "Loaded":
        """The settings with the origin of each value; read once.

        Raises:
            ConfigError, UsageError: as `netusage.settings.load.load`.
        """
        if self._loaded is None:
            self._loaded = self.reload()
        return self._loaded

    @property
    def settings(self) -> "Settings":
        """The settings in force, flags included; read once.

        Raises:
            ConfigError, UsageError: as `netusage.settings.load.load`.
        """
        return self.loaded.settings

    def reload(self) -> "Loaded":
        """Read everything again, for SIGHUP; when it raises, what was loaded before stays in force.

        Raises:
            ConfigError, UsageError: as `netusage.settings.load.load`.
        """
        from netusage.settings.load import load

        self._loaded = load(flags=self.flags, config_file=self.config_file, environment=self._environment)
        return self._loaded

    def ledger_path(self, *, for_reading: bool) -> Path:
        """The ledger that was asked for, or the platform's.

        Raises:
            NetusageError: as `netusage.settings.paths.ledger_path`.
        """
        from netusage.settings.paths import ledger_path

        return ledger_path(self.settings, for_reading=for_reading)

    def envelope(self, envelope: Mapping[str, Any]) -> dict[str, Any]:
        """The envelope of a report, with the host that it is about where that is not this one."""
        return {**envelope, **({"host": self.host} if self.host else {})}

    def output(self) -> AbstractContextManager[TextIO]:
        """The stream for the command's data: standard output, or the file of -o, written whole or not at all.

        Raises:
            OutputError: the file cannot be written.
        """
        return open_output(self.output_file)


def invocation_of(ctx: click.Context) -> Invocation:
    """The invocation that a click context belongs to."""
    return ctx.ensure_object(Invocation)


def pass_invocation(function: Callable[Concatenate[Invocation, P], R]) -> Callable[P, R]:
    """Give a command its invocation as the first argument."""
    decorate: Callable[[Callable[Concatenate[Invocation, P], R]], Callable[P, R]] = click.make_pass_decorator(
        Invocation, ensure=True
    )
    return decorate(function)


def flag_setter(ctx: click.Context, dotted: str, text: Any, name: str) -> None:
    """Let a flag override a setting.

    Raises:
        UsageError: the text is not what the setting wants.
    """
    from netusage.settings.load import Flag, flag_value

    flag = flag_value(dotted, text, name) if isinstance(text, str) else Flag(text, name)
    invocation_of(ctx).flags[dotted] = flag
