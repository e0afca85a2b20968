"""What a person has chosen to look at: some interfaces, some applications, users, scopes ..."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from netusage.errors import UsageError
from netusage.ledger.answers import InterfaceRecord, ShareRecord
from netusage.model import ZERO
from netusage.reports import selection
from netusage.reports.applications import DIMENSIONS, REST
from netusage.reports.selection import Series
from netusage.reports.share_index import Key, ShareIndex

if TYPE_CHECKING:
    from netusage.reports.selection import Overrides


CHOSEN_BY = ("application", "path", "user", "unit", "container", "pod", "scope")


@dataclass(frozen=True, slots=True)
class Choice:
    """What is looked at.

    interfaces: shell patterns of names, taken together; none is the machine's total.
    values: by dimension (one of `CHOSEN_BY`), the words of which one has to be that of a row;
        of "application", `applications.REST` is what no application is known of.
    """

    interfaces: tuple[str, ...] = ()
    values: Mapping[str, frozenset[str]] = field(default_factory=dict)

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

    def series(self, interfaces: list[InterfaceRecord], overrides: Overrides) -> Series:
        """The interfaces that are looked at, as one.

        Raises:
            NoDataError: a pattern matches nothing.
        """
        if not self.interfaces:
            return selection.machine(interfaces, overrides)
        found = selection.by_name(interfaces, self.interfaces)
        return Series(None, tuple(sorted(number for one in found for number in one.ids)))

    def wanted(self, index: ShareIndex, ids: tuple[int, ...]) -> Callable[[Key], bool]:
        """Whether a key of the index is among what is looked at, on interfaces of these numbers."""
        of_interfaces = frozenset(ids)
        if not self.values:
            return lambda key: key.interface in of_interfaces
        return lambda key: (
            key.interface in of_interfaces
            and all(word_of(index, key, name) in words for name, words in self.values.items())
        )


def word_of(index: ShareIndex, key: Key, dimension: str, names: Mapping[int, str] | None = None) -> str:
    """What a report calls a key of the index in one dimension; `names` of interfaces by number."""
    row = ShareRecord(index.who(key.application), key.interface, key.scope, key.protocol, 0, ZERO)
    return DIMENSIONS[dimension](row, dict(names or {}))
