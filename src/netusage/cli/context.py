"""What the common options said, shared by every command of one invocation."""

import contextlib
import os
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TextIO, TypeVar

import click

from netusage.cli.output import open_output

if TYPE_CHECKING:
    from netusage.reports.record import Record
    from netusage.settings.load import Flag, Loaded
    from netusage.settings.schema import Settings

_MOST_NAMES = 5

P = ParamSpec("P")
R = TypeVar("R")


class Invocation:
    """One run of the command line: the common flags, and settings that are loaded when first asked for.

    Attributes:
        flags: by dotted key, the flags that override settings.
        config_file: the file given with --config.
        format: the output format in force, as in "table"; "" for a command without formats.
        output_file: the file given with -o.
        host: the merged ledger given with --host, for commands that ask one; "" for the ledger's own record.
        hosts: shell patterns given with --host, for commands that can ask several.
        labels: shell patterns given with --label.
        fleet: whether the fleet's store is asked, and not a ledger.
    """

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        self.flags: dict[str, Flag] = {}
        self.config_file: Path | None = None
        self.format = ""
        self.output_file: Path | None = None
        self.host = ""
        self.hosts: tuple[str, ...] = ()
        self.labels: tuple[str, ...] = ()
        self.fleet = False
        self._known_until_s: dict[str, int] = {}
        self._behind: list[str] | None = None
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

    @property
    def one_host(self) -> str:
        """The name given with --host where that is one and no pattern; "" otherwise, and of a fleet."""
        if self.fleet or len(self.hosts) != 1 or any(sign in self.hosts[0] for sign in "*?["):
            return ""
        return self.hosts[0]

    @property
    def is_of_several(self) -> bool:
        """Whether the record that is asked is one of several hosts, or may be."""
        return self.fleet or (bool(self.hosts) and not self.one_host)

    @contextlib.contextmanager
    def record(self, by: Collection[str] = ()) -> "Iterator[Record]":
        """What reports ask: the ledger, hosts in it, or the fleet.

        Args:
            by: what is told apart; with "host" among it, interfaces have their host's name also where there is one.

        Raises:
            UsageError: labels of a ledger, or a ledger and the fleet at once.
            NetusageError: as `LedgerReader`, `HostsReader` and `FleetReader`.
        """
        self.refuse_two_records()
        if self.fleet:
            from netusage.fleet.reader import FleetReader
            from netusage.fleet.store import Store, address_of

            with Store(address_of(self.settings.fleet)) as store:
                fleet = FleetReader(store, self.hosts, self.labels)
                yield fleet
                self._known_until_s = fleet.known_until_s()
            return
        path = str(self.ledger_path(for_reading=True))
        one = self.one_host
        if self.hosts and (not one or "host" in by):
            from netusage.ledger.several import HostsReader

            with HostsReader(path, self.hosts) as hosts:
                yield hosts
            return
        from netusage.ledger.reader import LedgerReader

        with LedgerReader(path, one) as reader:
            yield reader

    def refuse_two_records(self) -> None:
        """Refuse options that contradict one another about which record is asked.

        Raises:
            UsageError: labels of a ledger, or a ledger and the fleet at once.
        """
        from netusage.errors import UsageError

        if self.fleet and "ledger.path" in self.flags:
            raise UsageError("--fleet and --db are two records", hint="leave out one of them")
        if self.labels and not self.fleet:
            raise UsageError("a ledger has no labels", hint="use --label with --fleet, or name hosts")

    def refuse_by_host(self, by: Collection[str]) -> None:
        """Refuse to tell hosts apart where there is only one.

        Raises:
            UsageError: so it is.
        """
        from netusage.errors import UsageError

        if "host" in by and not self.fleet and not self.hosts:
            raise UsageError(
                "--by host: this ledger's own record is of one host",
                hint="ask the fleet with --fleet, or all merged ledgers with --host '*'",
            )

    def refuse_short(self, period: str) -> None:
        """Refuse periods that are shorter than what the record has.

        Raises:
            UsageError: it is the fleet's, which has no minutes.
        """
        from netusage.errors import UsageError

        if self.fleet and period in ("minute", "5min"):
            raise UsageError(
                f"there is no {period} of a fleet: hosts deliver quarters of an hour",
                hint="use hour or longer, or ask the host itself",
            )

    def learn_known(self, until_s: Mapping[str, int]) -> None:
        """Remember for `tell_behind` until when further hosts of the fleet are known, UTC seconds by name."""
        self._known_until_s = {**self._known_until_s, **until_s}

    def tell_behind(self, until_s: int) -> None:
        """Say, here and in `envelope`, which hosts of the fleet had not delivered all that they counted before a time.

        What any host may still have at home, because it delivers every now and then, is none of that. To be asked
        after `record`.

        Args:
            until_s: where what was asked for ends, UTC seconds.
        """
        import time

        from netusage.cli.output import note

        if not self.fleet and not self._known_until_s:
            return
        until_s = min(until_s, int(time.time()) - self.settings.fleet.at_home_us // 1_000_000)
        late = sorted((known_s, name) for name, known_s in self._known_until_s.items() if known_s < until_s)
        self._behind = [name for _, name in late]
        if late:
            more = f" and {len(late) - _MOST_NAMES:,} more" if len(late) > _MOST_NAMES else ""
            note(
                f"{len(late):,} of {len(self._known_until_s):,} hosts have not delivered all of that time: "
                f"{', '.join(self._behind[:_MOST_NAMES])}{more}; netusage fleet status says since when"
            )

    def envelope(self, envelope: Mapping[str, Any]) -> dict[str, Any]:
        """The envelope of a report, with the hosts that it is about where that is not this one."""
        more: dict[str, Any] = {}
        if name := self.host or self.one_host:
            more["host"] = name
        elif self.is_of_several:
            more["host_filter"] = list(self.hosts)
        if self.fleet:
            more["label_filter"] = list(self.labels)
        if self._behind is not None:
            more["behind"] = self._behind
        return {**envelope, **more}

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
