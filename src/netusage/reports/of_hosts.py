"""Some hosts of a record of several, as a record of their own, so that every report can be about them alone."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from netusage.model import QUARTER_S, US
from netusage.reports.chosen import Choice

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    from netusage.ledger.answers import (
        GapRecord,
        InterfaceRecord,
        Peaks,
        SeenRecord,
        ShareRecord,
        SpanRecord,
        Usage,
        VersionRecord,
        WatchedRecord,
    )
    from netusage.model import Who
    from netusage.reports.record import Record


class OfHosts:
    """A `reports.record.Record` of the chosen hosts of another one; for one question.

    What a record tells of all its hosts together only, it does not tell: when applications were seen, how they were told
    apart, and what was watched.

    Args:
        record: of several hosts.
        hosts: names, as its interfaces have them.

    Raises:
        NoDataError: of one of them there is nothing; `extent` and whatever asks for interfaces find that out.
    """

    def __init__(self, record: Record, hosts: Collection[str]) -> None:
        self._record = record
        self._choice = Choice(hosts=frozenset(hosts))
        self._extent: tuple[tuple[int, int] | None] | None = None

    @property
    def path(self) -> str:
        """Where the whole record is."""
        return self._record.path

    @property
    def place(self) -> str:
        """Where the whole record is, for people."""
        return self._record.place

    @property
    def minutes_from_s(self) -> int:
        """From this quarter of an hour on, the minutes of all hosts are kept."""
        return self._record.minutes_from_s

    def on_progress(self, call: Callable[[], object]) -> None:
        """See `Record`."""
        self._record.on_progress(call)

    def extent(self) -> tuple[int, int] | None:
        """From when to when the hosts were watched, in whole quarters of an hour within the whole record; read once.

        Where anything of theirs lies outside of that, it is the extent of the whole record.
        """
        if self._extent is None:
            self._extent = (self._find_extent(),)
        return self._extent[0]

    def _find_extent(self) -> tuple[int, int] | None:
        whole, interfaces = self._record.extent(), self.interfaces()
        if whole is None:
            return None
        first_s = min(one.first_seen_us for one in interfaces) // US // QUARTER_S * QUARTER_S
        last_s = -(-max(one.last_seen_us for one in interfaces) // (US * QUARTER_S)) * QUARTER_S
        start_s, end_s = max(first_s, whole[0]), min(last_s, whole[1])
        if start_s >= end_s:
            return whole
        outer = (whole[0] // QUARTER_S * QUARTER_S, -(-whole[1] // QUARTER_S) * QUARTER_S)
        edges = sorted({*outer, max(first_s, outer[0]), min(last_s, outer[1])})
        (usage,) = self._record.usage([[one.id for one in interfaces]], edges, packets=False)
        for (low, high), counted in zip(pairwise(edges), usage, strict=True):
            if counted.total_bytes and not (first_s <= low and high <= last_s):
                return whole
        return start_s, end_s

    def interfaces(self, *, totals: bool = True) -> list[InterfaceRecord]:
        """Every interface of the hosts; see `Record`."""
        return list(self._choice.of_hosts(self._record.interfaces(totals=totals)))

    # What is about interfaces is asked of the record as it is: their numbers are the same.

    def usage(
        self, groups: Sequence[Sequence[int]], edges: Sequence[int], *, packets: bool = True
    ) -> list[list[Usage]]:
        """See `Record`."""
        return self._record.usage(groups, edges, packets=packets)

    def peaks(self, groups: Sequence[Sequence[int]], edges: Sequence[int]) -> list[list[Peaks]]:
        """See `Record`."""
        return self._record.peaks(groups, edges)

    def slots(
        self, groups: Sequence[Sequence[int]], start_s: int, end_s: int, width_s: int
    ) -> list[tuple[Sequence[int], Sequence[int]]]:
        """See `Record`."""
        return self._record.slots(groups, start_s, end_s, width_s)

    def busiest(
        self, ids: Sequence[int], edges: Sequence[int], count: int, *, packets: bool = True
    ) -> list[tuple[int, Usage]]:
        """See `Record`."""
        return self._record.busiest(ids, edges, count, packets=packets)

    def shares_by_period(
        self, groups: Sequence[Sequence[int]], edges: Sequence[int], fields: Collection[str] = ()
    ) -> list[list[list[ShareRecord]]]:
        """See `Record`."""
        return self._record.shares_by_period(groups, edges, fields)

    def share_rows(self, since_s: int) -> Iterator[tuple[int, ...]]:
        """See `Record`."""
        own = {one.id for one in self.interfaces(totals=False)}
        return (row for row in self._record.share_rows(since_s) if row[2] in own)

    def spans(self, since_us: int, until_us: int) -> list[SpanRecord]:
        """See `Record`."""
        own = {one.id for one in self.interfaces(totals=False)}
        return [one for one in self._record.spans(since_us, until_us) if one.interface_id in own]

    def estimated(self) -> dict[int, tuple[int, int]]:
        """See `Record`."""
        own = {one.id for one in self.interfaces(totals=False)}
        return {number: both for number, both in self._record.estimated().items() if number in own}

    def applications(self) -> dict[int, Who]:
        """Every application of the whole record, by number."""
        return self._record.applications()

    def seen(self) -> list[SeenRecord]:
        """None: records do not tell on which host."""
        return []

    def versions(self) -> list[VersionRecord]:
        """See `Record`."""
        return [one for one in self._record.versions() if self._choice.is_of(one.host)]

    def gaps(self, since_us: int, until_us: int) -> list[GapRecord]:
        """See `Record`."""
        return [one for one in self._record.gaps(since_us, until_us) if self._choice.is_of(one.host)]

    def watched(self, _since_us: int, _until_us: int) -> list[WatchedRecord]:
        """None: records do not tell which host."""
        return []

    def tiers(self, _since_us: int, _until_us: int) -> list[str]:
        """None: records do not tell of which host."""
        return []
