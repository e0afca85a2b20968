"""What a person has chosen to look at: some interfaces, some applications, users, scopes ..."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from netusage.errors import NoDataError, UsageError
from netusage.ledger.answers import InterfaceRecord, ShareRecord
from netusage.model import ZERO
from netusage.reports import selection
from netusage.reports.applications import REST, WORDS, fields
from netusage.reports.selection import Series
from netusage.reports.shares import Key

if TYPE_CHECKING:
    from netusage.reports.selection import Overrides
    from netusage.reports.shares import Shares


CHOSEN_BY = ("application", "path", "user", "unit", "container", "pod", "scope")


@dataclass(frozen=True, slots=True)
class Choice:
    """What is looked at.

    interfaces: shell patterns of names, taken together; none is the machine's total.
    values: by dimension (one of `CHOSEN_BY`), the words of which one has to be that of a row;
        of "application", `applications.REST` is what no application is known of.
    hosts: names, where the record is one of several hosts; none is all of them.
    """

    interfaces: tuple[str, ...] = ()
    values: Mapping[str, frozenset[str]] = field(default_factory=dict)
    hosts: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        """Check it.

        Raises:
            UsageError: there is no such dimension.
        """
        for name in self.values:
            if name not in CHOSEN_BY:
                raise UsageError(f"nothing can be chosen by {name!r}", hint=f"one of {', '.join(CHOSEN_BY)}")

    @property
    def has_shares(self) -> bool:
        """Whether it is about what applications had, and not about all that interfaces counted."""
        return bool(self.values)

    @property
    def has_rest(self) -> bool:
        """Whether what no application is known of is chosen."""
        return set(self.values) == {"application"} and REST in self.values["application"]

    @property
    def fields(self) -> frozenset[str]:
        """What has to be told apart to choose, see `Record.shares_by_period`."""
        return fields(self.values)

    def is_of(self, host: str) -> bool:
        """Whether something of this host is looked at."""
        return not self.hosts or host in self.hosts

    def of_hosts(self, interfaces: Sequence[InterfaceRecord]) -> Sequence[InterfaceRecord]:
        """The interfaces of the hosts that are looked at.

        Raises:
            NoDataError: of one of them there is none.
        """
        missing = sorted(self.hosts - {one.host for one in interfaces})
        if missing:
            raise NoDataError(
                f"no host {missing[0]!r} has been recorded", hint="choose another, or all hosts"
            )
        return [one for one in interfaces if self.is_of(one.host)]

    def series(self, interfaces: Sequence[InterfaceRecord], overrides: Overrides) -> Series:
        """The interfaces that are looked at, as one.

        Raises:
            NoDataError: a pattern matches nothing, or a host has none.
        """
        own = self.of_hosts(interfaces)
        if not self.interfaces:
            return selection.machine(own, overrides)
        found = selection.by_name(own, self.interfaces)
        return Series(None, tuple(sorted(number for one in found for number in one.ids)))

    def wanted(self, shares: Shares, ids: tuple[int, ...]) -> Callable[[Key], bool]:
        """Whether a key is among what is looked at, on interfaces of these numbers."""
        of_interfaces = frozenset(ids)
        if not self.values:
            return lambda key: key.interface in of_interfaces
        return lambda key: (
            key.interface in of_interfaces
            and all(word_of(shares, key, name) in words for name, words in self.values.items())
        )


def word_of(shares: Shares, key: Key, dimension: str) -> str:
    """What a report calls a key in one dimension that is no place."""
    return WORDS[dimension](
        ShareRecord(shares.who(key.application), key.interface, key.scope, key.protocol, 0, ZERO)
    )
