"""Which interfaces a report is about: the machine's total, or those that match a pattern; by name, and by host."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from operator import attrgetter

from netusage.errors import NoDataError
from netusage.ledger.answers import InterfaceRecord
from netusage.records import NamedTuple

TYPE_CHECKING = False

if TYPE_CHECKING:
    from typing import Protocol

    class Overrides(Protocol):
        """What the configuration says about the machine's total (`InterfaceSettings`): patterns of names."""

        @property
        def counted(self) -> tuple[str, ...]:
            """Always in the total."""
            ...

        @property
        def not_counted(self) -> tuple[str, ...]:
            """Never in the total."""
            ...


# received and sent bytes, as a direction counts them
WAYS: dict[str, Callable[[int, int], int]] = {
    "both": lambda rx, tx: rx + tx,
    "rx": lambda rx, _: rx,
    "tx": lambda _, tx: tx,
}


class Series(NamedTuple):
    """What one line of a report adds up.

    name: an interface's name, None for the machine's total.
    ids: the record's numbers of the interfaces; one name may have had several kinds.
    host: whose, where hosts are told apart; "" otherwise.
    """

    name: str | None
    ids: tuple[int, ...]
    host: str = ""


class Part(NamedTuple):
    """Whether an interface is part of the machine's total, and the rule that says so."""

    counted: bool
    reason: str


def part(interface: InterfaceRecord, overrides: Overrides) -> Part:
    """What the recorder decided, unless the configuration says otherwise now; `not_counted` wins, as in the recorder."""
    if matches(interface.name, overrides.not_counted):
        return Part(False, "left out by the configuration")
    if matches(interface.name, overrides.counted):
        return Part(True, "put in by the configuration")
    return Part(interface.counted, interface.reason)


def has_hosts(interfaces: Iterable[InterfaceRecord]) -> bool:
    """Whether the record is one of several hosts."""
    return any(one.host for one in interfaces)


def machine(interfaces: Iterable[InterfaceRecord], overrides: Overrides) -> Series:
    """The machine's total."""
    is_counted = _is_counted(overrides)
    return Series(None, tuple(one.id for one in interfaces if is_counted(one)))


def machines(interfaces: Iterable[InterfaceRecord], overrides: Overrides) -> list[Series]:
    """The machine's total of each host, by host; of one that counts nothing as well."""
    ids: defaultdict[str, list[int]] = defaultdict(list)
    is_counted = _is_counted(overrides)
    for interface in interfaces:
        own = ids[interface.host]
        if is_counted(interface):
            own.append(interface.id)
    return [Series(None, tuple(ids[host]), host) for host in sorted(ids)]


def _is_counted(overrides: Overrides) -> Callable[[InterfaceRecord], bool]:
    """What tells whether an interface is part of the machine's total."""
    if not overrides.counted and not overrides.not_counted:
        return attrgetter("counted")
    return lambda interface: part(interface, overrides).counted


def by_name(
    interfaces: Iterable[InterfaceRecord], patterns: Sequence[str], *, by_host: bool = False
) -> list[Series]:
    """One series for each interface name that matches one of the shell patterns, by name.

    Args:
        interfaces: of the record.
        patterns: of names.
        by_host: one for each name of each host, by host and name.

    Raises:
        NoDataError: a pattern matches nothing.
    """
    ids: dict[tuple[str, str], list[int]] = {}
    for interface in interfaces:
        host = interface.host if by_host else ""
        ids.setdefault((host, interface.name), []).append(interface.id)
    names = {name for _, name in ids}
    for pattern in patterns:
        if not any(matches(name, [pattern]) for name in names):
            raise NoDataError(
                f"no interface {pattern!r} has been recorded",
                hint="see those that were with: netusage interfaces",
            )
    shown = {name for name in names if matches(name, patterns)}
    return [Series(name, tuple(ids[host, name]), host) for host, name in sorted(ids) if name in shown]


def matches(name: str, patterns: Sequence[str]) -> bool:
    """Whether the name fits one of the shell patterns."""
    if not patterns:
        return False
    from fnmatch import fnmatchcase  # noqa: PLC0415  # most questions name no interface

    return any(fnmatchcase(name, pattern) for pattern in patterns)
