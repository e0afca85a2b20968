"""Several hosts of one ledger as one record: what reports ask is split over their books, and the answers added up."""

from __future__ import annotations

import contextlib
import heapq
from collections.abc import Callable, Collection, Generator, Iterator, Sequence
from fnmatch import fnmatchcase
from operator import add, itemgetter
from types import TracebackType

from netusage.ledger import host_views
from netusage.ledger.answers import (
    NO_USAGE,
    GapRecord,
    HostRecord,
    InterfaceRecord,
    Peak,
    Peaks,
    SeenRecord,
    ShareRecord,
    SpanRecord,
    Usage,
    VersionRecord,
    WatchedRecord,
    busiest_of,
)
from netusage.ledger.reader import LedgerReader
from netusage.model import Who

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self

_Groups = Sequence[Sequence[int]]


class HostsReader:
    """Reads books that were merged into a ledger; a context manager, and a `reports.record.Record`.

    All answers come from the moment at which it was opened. One reader is turned to the books one after the other: each
    connection of its own would have to read what all of them look like. Interfaces, applications and runs have numbers
    of this record.

    Args:
        path: the ledger's file.
        hosts: shell patterns of names, one or more; a name itself is one as well.

    Attributes:
        path: the ledger's file.
        hosts: the names of those that are read, ascending.

    Raises:
        NoDataError: there is no ledger, or one of the patterns fits no host.
        LedgerError: as `LedgerReader`.
    """

    def __init__(self, path: str, hosts: Sequence[str]) -> None:
        self.path = path
        self._reader = LedgerReader(path)
        try:
            with self._reader.reading() as connection:
                self._tables = host_views.book_tables(connection)
            self._books = _matching(self._reader.hosts(), hosts, path)
        except BaseException:
            self.close()
            raise
        self.hosts = [book.name for book in self._books]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file; may be called twice."""
        self._reader.close()

    def on_progress(self, call: Callable[[], object]) -> None:
        """See `LedgerReader.on_progress`."""
        self._reader.on_progress(call)

    @property
    def place(self) -> str:
        """Where the record is, for people."""
        return f"the ledger {self.path}"

    @property
    def minutes_from_s(self) -> int:
        """From this quarter of an hour on, the minutes of all hosts are kept."""
        return max(reader.minutes_from_s for _, _, reader in self._each())

    def extent(self) -> tuple[int, int] | None:
        """From the first to the last that any host has; see `LedgerReader.extent`."""
        extents = [extent for _, _, reader in self._each() if (extent := reader.extent()) is not None]
        if not extents:
            return None
        return min(start for start, _ in extents), max(end for _, end in extents)

    def interfaces(self, *, totals: bool = True) -> list[InterfaceRecord]:
        """Every interface that was ever seen, by host, name and kind; see `LedgerReader.interfaces`."""
        return [
            one._replace(id=self._number(one.id, n), host=host)
            for n, host, reader in self._each()
            for one in reader.interfaces(totals=totals)
        ]

    # ---- What was counted ---------------------------------------------------------------------------------------

    def usage(self, groups: _Groups, edges: Sequence[int], *, packets: bool = True) -> list[list[Usage]]:
        """See `LedgerReader.usage`."""
        parts: list[list[list[Usage]]] = [[] for _ in groups]
        for _, reader, places, own in self._split(groups):
            for g, part in zip(places, reader.usage(own, edges, packets=packets), strict=True):
                parts[g].append(part)
        return [_added(own) if own else [NO_USAGE] * max(len(edges) - 1, 0) for own in parts]

    def peaks(self, groups: _Groups, edges: Sequence[int]) -> list[list[Peaks]]:
        """See `LedgerReader.peaks`; of hosts with the same rate, the first by name."""
        found = [[Peaks()] * max(len(edges) - 1, 0) for _ in groups]
        for n, reader, places, own in self._split(groups):
            for g, part in zip(places, reader.peaks(own, edges), strict=True):
                found[g] = [
                    Peaks(*(self._higher(known, other, n) for known, other in zip(before, more, strict=True)))
                    for before, more in zip(found[g], part, strict=True)
                ]
        return found

    def slots(
        self, groups: _Groups, start_s: int, end_s: int, width_s: int
    ) -> list[tuple[Sequence[int], Sequence[int]]]:
        """See `LedgerReader.slots`."""
        none = [0] * (max(end_s - start_s, 0) // width_s)
        found: list[tuple[Sequence[int], Sequence[int]]] = [(none, none) for _ in groups]
        for _, reader, places, own in self._split(groups):
            for g, (rx, tx) in zip(places, reader.slots(own, start_s, end_s, width_s), strict=True):
                before = found[g]
                found[g] = (list(map(add, before[0], rx)), list(map(add, before[1], tx)))
        return found

    def busiest(
        self, ids: Sequence[int], edges: Sequence[int], count: int, *, packets: bool = True
    ) -> list[tuple[int, Usage]]:
        """See `LedgerReader.busiest`."""
        (usage,) = self.usage([ids], edges, packets=packets)
        return busiest_of(usage, count)

    def spans(self, since_us: int, until_us: int) -> list[SpanRecord]:
        """See `LedgerReader.spans`."""
        found = [
            one._replace(interface_id=self._number(one.interface_id, n))
            for n, _, reader in self._each()
            for one in reader.spans(since_us, until_us)
        ]
        return sorted(found, key=lambda one: one.start_us)

    def estimated(self) -> dict[int, tuple[int, int]]:
        """See `LedgerReader.estimated`."""
        return {
            self._number(interface, n): numbers
            for n, _, reader in self._each()
            for interface, numbers in reader.estimated().items()
        }

    # ---- What applications had ----------------------------------------------------------------------------------

    def shares_by_period(
        self, groups: _Groups, edges: Sequence[int], fields: Collection[str] = ()
    ) -> list[list[list[ShareRecord]]]:
        """See `LedgerReader.shares_by_period`."""
        found: list[list[list[ShareRecord]]] = [[[] for _ in edges[1:]] for _ in groups]
        for n, reader, places, own in self._split(groups):
            for g, periods in zip(places, reader.shares_by_period(own, edges, fields), strict=True):
                for into, records in zip(found[g], periods, strict=True):
                    into.extend(
                        one._replace(interface_id=self._number(one.interface_id, n)) for one in records
                    )
        return found

    def share_rows(self, since_s: int) -> Iterator[tuple[int, ...]]:
        """See `LedgerReader.share_rows`."""
        with contextlib.ExitStack() as stack:
            rows = [
                stack.enter_context(contextlib.closing(self._share_rows(n, since_s)))
                for n in range(len(self._books))
            ]
            yield from heapq.merge(*rows, key=itemgetter(0))

    def applications(self) -> dict[int, Who]:
        """Every application of each host, by number; what several hosts have has several numbers."""
        return {
            self._number(application, n): who
            for n, _, reader in self._each()
            for application, who in reader.applications().items()
        }

    def seen(self) -> list[SeenRecord]:
        """When each application of each host was seen first and last."""
        return [
            one._replace(id=self._number(one.id, n)) for n, _, reader in self._each() for one in reader.seen()
        ]

    def versions(self) -> list[VersionRecord]:
        """Every executable that was seen of an application, host by host."""
        return [one._replace(host=host) for _, host, reader in self._each() for one in reader.versions()]

    def tiers(self, since_us: int, until_us: int) -> list[str]:
        """How applications were told apart on any of the hosts, each once; see `LedgerReader.tiers`."""
        found = (tier for _, _, reader in self._each() for tier in reader.tiers(since_us, until_us))
        return list(dict.fromkeys(found))

    # ---- What was watched ---------------------------------------------------------------------------------------

    def gaps(self, since_us: int, until_us: int) -> list[GapRecord]:
        """See `LedgerReader.gaps`."""
        found = [
            one._replace(host=host)
            for _, host, reader in self._each()
            for one in reader.gaps(since_us, until_us)
        ]
        return sorted(found, key=lambda one: one.start_us)

    def watched(self, since_us: int, until_us: int) -> list[WatchedRecord]:
        """The stretches in which one of the hosts was watched, by start; others may not have been."""
        found = [
            one._replace(run_id=self._number(one.run_id, n))
            for n, _, reader in self._each()
            for one in reader.watched(since_us, until_us)
        ]
        return sorted(found, key=lambda one: one.start_us)

    # ---- Numbers ------------------------------------------------------------------------------------------------

    def _number(self, number: int, n: int) -> int:
        """The number of this record for a number of the nth book."""
        return number * len(self._books) + n

    def _each(self) -> Iterator[tuple[int, str, LedgerReader]]:
        """Each book's place and name, and the reader, which is turned to it until the next is asked for."""
        for n, book in enumerate(self._books):
            yield n, book.name, self._turned_to(n)

    def _turned_to(self, n: int) -> LedgerReader:
        if self._reader.host != self._books[n].name:
            self._reader.turn_to(self._books[n], self._tables)
        return self._reader

    def _split(self, groups: _Groups) -> Iterator[tuple[int, LedgerReader, list[int], list[list[int]]]]:
        """The books that have anything of the groups: which, the reader, the groups' places, and the book's numbers."""
        found: list[dict[int, list[int]]] = [{} for _ in self._books]
        for g, ids in enumerate(groups):
            for number in ids:
                own, n = divmod(number, len(self._books))
                found[n].setdefault(g, []).append(own)
        for n, own_groups in enumerate(found):
            if own_groups:
                yield n, self._turned_to(n), list(own_groups), list(own_groups.values())

    def _higher(self, known: Peak | None, other: Peak | None, n: int) -> Peak | None:
        """The higher of two peaks, `other` with a number of the nth book."""
        if other is None or (known is not None and known.rate >= other.rate):
            return known
        return other._replace(interface_id=self._number(other.interface_id, n))

    def _share_rows(self, n: int, since_s: int) -> Generator[tuple[int, ...]]:
        """The rows of the nth book; the question stays with that book when the reader is turned to others."""
        for start_s, application, interface, *rest in self._turned_to(n).share_rows(since_s):
            yield start_s, self._number(application, n), self._number(interface, n), *rest


def _matching(known: Sequence[HostRecord], patterns: Sequence[str], path: str) -> list[HostRecord]:
    """The hosts whose names fit any of the patterns, by name.

    Raises:
        NoDataError: a pattern fits none.
    """
    found = set()
    for pattern in patterns:
        own = {host for host in known if host.name == pattern or fnmatchcase(host.name, pattern)}
        found |= own or {host_views.find(known, pattern, path)}
    return sorted(found, key=lambda host: host.name)


def _added(parts: Sequence[list[Usage]]) -> list[Usage]:
    """The sums of what several books have of the same periods."""
    if len(parts) == 1:
        return parts[0]
    return [Usage(*map(sum, zip(*same, strict=True))) for same in zip(*parts, strict=True)]
