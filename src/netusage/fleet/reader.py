"""A fleet's store for those who ask: the record of many hosts, with the answers that their ledgers would give."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

from netusage.errors import UsageError
from netusage.fleet import extent, share_sums, usage_peaks, usage_sums
from netusage.fleet.members import COLUMNS, Asked, Members, in_order, made
from netusage.fleet.schema import GAP, SPAN
from netusage.ledger.answers import GapRecord, Peaks, SpanRecord, Usage, busiest_of
from netusage.model import QUARTER_S

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    from netusage.fleet.store import Store
    from netusage.ledger.answers import (
        InterfaceRecord,
        SeenRecord,
        ShareRecord,
        VersionRecord,
        WatchedRecord,
    )
    from netusage.model import Who

_NEVER_S = 1 << 62


class FleetReader:
    """Reads the record of a fleet's hosts; it satisfies `reports.record.Record`.

    What it says is as of the last deliveries; quarters of an hour that are not over are in none. An interface of several
    ledgers of a host is one. Which hosts and interfaces there are is asked once; each further question has a moment of
    its own.

    Args:
        store: of the fleet.
        hosts: shell patterns of names, or keys; none is every host.
        labels: shell patterns; a host needs a label for each of them.

    Raises:
        NoDataError: there is no such host; any method that asks the store may find that out.
        FleetError: the store cannot be asked, or not all of it, or its tables are older; likewise.
    """

    def __init__(self, store: Store, hosts: Sequence[str] = (), labels: Sequence[str] = ()) -> None:
        self._store = store
        self._wanted = (tuple(hosts), tuple(labels))
        self._asked = Asked(self._columns, store.table)
        self._call: Callable[[], object] = lambda: None
        self._found: Members | None = None
        self._apps: share_sums.Applications | None = None
        self._extent: tuple[tuple[int, int] | None] | None = None

    @property
    def path(self) -> str:
        """The store's URL."""
        return self._store.address.url

    @property
    def place(self) -> str:
        """Where the record is, for people."""
        return f"the fleet {self._store.address.url}"

    @property
    def minutes_from_s(self) -> int:
        """Far in the future: there are quarters of an hour only."""
        return _NEVER_S

    def on_progress(self, call: Callable[[], object]) -> None:
        """Have something called before every question to the store; what it raises ends the question."""
        self._call = call

    def extent(self) -> tuple[int, int] | None:
        """From when to when anything was delivered, whole quarters of an hour; read once."""
        if self._extent is None:
            self._extent = (extent.extent(self._asked, self._members),)
        return self._extent[0]

    def interfaces(self, *, totals: bool = True) -> list[InterfaceRecord]:
        """Every interface of the hosts, by host, name and kind; see `Members.interfaces`."""
        return self._members.interfaces(totals=totals)

    def usage(
        self, groups: Sequence[Sequence[int]], edges: Sequence[int], *, packets: bool = True
    ) -> list[list[Usage]]:
        """See `LedgerReader.usage`; edges are multiples of 900 as far as there is a record.

        Raises:
            UsageError: they are not.
        """
        sums = self._sums(groups, edges, packets=packets)
        usage = list(made(Usage, zip(*sums.columns, strict=True)))
        return [usage[first : first + sums.periods] for first in range(0, len(usage), sums.periods)]

    def peaks(self, groups: Sequence[Sequence[int]], edges: Sequence[int]) -> list[list[Peaks]]:
        """See `LedgerReader.peaks`; they are known to the quarter of an hour.

        Raises:
            UsageError: as `usage`.
        """
        self._check(edges)
        if not any(groups) or len(edges) < 2:
            return [[Peaks()] * max(len(edges) - 1, 0) for _ in groups]
        return usage_peaks.peaks(self._asked, self._members, groups, edges)

    def slots(
        self, groups: Sequence[Sequence[int]], start_s: int, end_s: int, width_s: int
    ) -> list[tuple[Sequence[int], Sequence[int]]]:
        """See `LedgerReader.slots`.

        Raises:
            UsageError: the width is less than a quarter of an hour.
        """
        if width_s != QUARTER_S:
            raise _no_quarters(width_s)
        count = max(end_s - start_s, 0) // QUARTER_S
        if not count:
            return [((), ()) for _ in groups]
        edges = range(start_s, start_s + count * QUARTER_S + 1, QUARTER_S)
        rx, tx = self._sums(groups, edges, packets=False).columns[:2]
        return [
            (rx[first : first + count], tx[first : first + count])
            for first in range(0, len(groups) * count, count)
        ]

    def busiest(
        self, ids: Sequence[int], edges: Sequence[int], count: int, *, packets: bool = True
    ) -> list[tuple[int, Usage]]:
        """See `LedgerReader.busiest`.

        Raises:
            UsageError: as `usage`.
        """
        (usage,) = self.usage([ids], edges, packets=packets)
        return busiest_of(usage, count)

    def spans(self, since_us: int, until_us: int) -> list[SpanRecord]:
        """The estimated stretches that overlap [since, until)."""
        numbers = self._members.numbers()
        sql = (
            f"SELECT {', '.join(COLUMNS)}, start_us, end_us, rx_bytes, tx_bytes, rx_packets, tx_packets, because, number "  # noqa: S608  # quoted
            f"FROM {self._store.table(SPAN.name)} FINAL WHERE {self._members.hosts_condition()} "
            f"AND because != '' AND start_us < {until_us} AND end_us > {since_us}"
        )
        columns = self._columns(in_order(sql, "start_us, host, number"))
        return [
            SpanRecord(numbers[key], *rest)
            for key, *rest in zip(zip(*columns[:3], strict=True), *columns[3:-1], strict=True)
            if key in numbers
        ]

    def estimated(self) -> dict[int, tuple[int, int]]:
        """Received and sent bytes of all estimated stretches, by interface."""
        numbers = self._members.numbers()
        source = (
            f"FROM {self._store.table(SPAN.name)} FINAL "
            f"WHERE because != '' AND {self._members.hosts_condition()}"
        )
        columns = usage_sums.ask_sums(
            self._asked,
            lambda in_halves: usage_sums.select_sums(usage_sums.BYTES, COLUMNS, source, in_halves=in_halves),
            len(usage_sums.BYTES),
            len(COLUMNS),
        )
        return {
            numbers[key]: (rx, tx)
            for key, rx, tx in zip(zip(*columns[:3], strict=True), *columns[3:], strict=True)
            if key in numbers
        }

    def shares_by_period(
        self, groups: Sequence[Sequence[int]], edges: Sequence[int], fields: Collection[str] = ()
    ) -> list[list[list[ShareRecord]]]:
        """What applications had of groups of interfaces between every two neighbouring edges; see `Record`.

        Raises:
            UsageError: as `usage`.
        """
        self._check(edges)
        if not any(groups) or len(edges) < 2:
            return [[[] for _ in edges[1:]] for _ in groups]
        return share_sums.by_period(self._asked, self._members, groups, edges, fields)

    def share_rows(self, since_s: int) -> Iterator[tuple[int, ...]]:
        """Every row of what applications had that starts at or after a time (UTC seconds), by that time; see `Record`."""
        return self._applications.rows(since_s)

    def applications(self) -> dict[int, Who]:
        """Every application, by a number of this reader's."""
        return self._applications.all()

    def seen(self) -> list[SeenRecord]:
        """When each application had anything first and last; see `Applications.seen`."""
        return self._applications.seen()

    def versions(self) -> list[VersionRecord]:
        """None: hosts do not deliver which executables there were."""
        return []

    def gaps(self, since_us: int, until_us: int) -> list[GapRecord]:
        """The declared gaps that touch [since, until), by start."""
        names = self._members.names
        sql = (
            f"SELECT host, start_us, end_us, kind, lossy, interface, note, number FROM {self._store.table(GAP.name)} FINAL "  # noqa: S608  # quoted
            f"WHERE kind != '' AND {self._members.hosts_condition()} "
            f"AND start_us < {until_us} AND (end_us > {since_us} OR start_us >= {since_us})"
        )
        columns = self._columns(in_order(sql, "start_us, number"))
        found = [
            GapRecord(start_us, end_us, kind, bool(lossy), interface, note, names[host])
            for host, start_us, end_us, kind, lossy, interface, note in zip(*columns[:-1], strict=True)
            if host in names
        ]
        return sorted(found, key=lambda gap: (gap.start_us, gap.host))

    def watched(self, _since_us: int, _until_us: int) -> list[WatchedRecord]:
        """None: hosts do not deliver when they watched without a break; what they missed is in `gaps`."""
        return []

    def tiers(self, _since_us: int, _until_us: int) -> list[str]:
        """How the hosts tell applications from one another now, each way once, that of the last delivery last."""
        return list(self._members.tiers)

    def known_until_s(self) -> dict[str, int]:
        """By host, until when what it counted has arrived, UTC seconds."""
        return dict(self._members.known_until_s)

    # ---- Asking -------------------------------------------------------------------------------------------------

    def _columns(self, sql: str) -> list[list[Any]]:
        self._call()
        return self._store.columns(sql)

    @property
    def _members(self) -> Members:
        if self._found is None:
            self._found = Members(self._asked, *self._wanted)
        return self._found

    @property
    def _applications(self) -> share_sums.Applications:
        if self._apps is None:
            self._apps = share_sums.Applications(self._asked, self._members)
        return self._apps

    def _sums(
        self, groups: Sequence[Sequence[int]], edges: Sequence[int], *, packets: bool
    ) -> usage_sums.Sums:
        self._check(edges)
        if not any(groups) or len(edges) < 2:
            return usage_sums.Sums(len(groups), max(len(edges) - 1, 0), len(Usage._fields))
        return usage_sums.counted(self._asked, self._members, groups, edges, packets=packets)

    def _check(self, edges: Sequence[int]) -> None:
        """Refuse edges within a quarter of an hour of which there is a record.

        Raises:
            UsageError: one is.
        """
        uneven = [at_s for at_s in edges if at_s % QUARTER_S]
        if not uneven:
            return
        known = self.extent()
        for at_s in uneven:
            if known is not None and known[0] < at_s < known[1]:
                widths = {high - low for low, high in pairwise(edges)}
                raise _no_quarters(min(widths))


def _no_quarters(width_s: int) -> UsageError:
    if width_s < QUARTER_S:
        return UsageError(
            "a fleet has quarters of an hour, and none of what is shorter",
            hint="use hour or longer, or ask the host itself",
        )
    return UsageError(
        "a fleet has quarters of an hour, and this time begins or ends within one",
        hint="use times of whole quarters of an hour, as in 10:15, or ask the host itself",
    )
