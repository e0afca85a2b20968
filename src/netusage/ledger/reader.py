"""The ledger for those who ask: one consistent snapshot, whoever records meanwhile; the file is never changed.

Sums over periods are in `usage_queries`, rates in `rate_queries`.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Collection, Iterator, Sequence
from itertools import pairwise
from operator import add
from types import TracebackType

from netusage.errors import LedgerError, NoDataError
from netusage.ledger import connect, lock, schema, usage_queries
from netusage.ledger.answers import (
    BootRecord,
    GapCount,
    GapRecord,
    HostRecord,
    InterfaceRecord,
    LedgerState,
    LifeRecord,
    Peaks,
    RecorderState,
    RunRecord,
    SeenRecord,
    ShareRecord,
    SpanRecord,
    StepRecord,
    TotalRecord,
    Usage,
    VersionRecord,
    WatchedRecord,
)
from netusage.ledger.chunks import DAY_S
from netusage.model import US, Counters, Who

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Self

_INTERFACES = """
SELECT i.*, alive.last_us FROM interface i LEFT JOIN (
  SELECT e.interface_id, max(p.last_us) AS last_us FROM epoch e JOIN (
    SELECT place_id, (SELECT max(last_us) FROM run r WHERE r.place_id = living.place_id) AS last_us
    FROM (SELECT DISTINCT place_id FROM epoch WHERE closed_us IS NULL) living) p ON p.place_id = e.place_id
  WHERE e.closed_us IS NULL GROUP BY e.interface_id) alive ON alive.interface_id = i.id
ORDER BY i.name, i.kind
"""
_RUNS = """
SELECT r.id, p.boot_id, p.namespace, p.machine, r.started_us, r.last_us, r.ended, r.source, r.samples, r.failed_samples,
  r.late_samples, r.events, r.commits, r.failed_commits, r.commit_total_us, r.commit_max_us, r.tier
FROM run r JOIN place p ON p.id = r.place_id ORDER BY r.id
"""
_SINCE_BOOT = """
SELECT e.interface_id, e.recorded_rx_bytes, e.recorded_tx_bytes, e.recorded_rx_packets, e.recorded_tx_packets
FROM epoch e JOIN place p ON p.id = e.place_id WHERE p.boot_id = ?
"""
_FIRST_AND_LAST = """
SELECT min((SELECT min(start_s) FROM chunk WHERE interface_id = i.id)),
  max((SELECT start_s + quarters * 900 FROM chunk WHERE interface_id = i.id ORDER BY start_s DESC LIMIT 1))
FROM interface i
"""
# In halves, so that no sum overflows.
_SPANS = """
SELECT interface_id, sum(rx_bytes >> 32), sum(rx_bytes & 0xffffffff), sum(tx_bytes >> 32),
  sum(tx_bytes & 0xffffffff) FROM span GROUP BY interface_id
"""
_SHARES = """
SELECT kind, name, path, user, unit, container, pod, interface_id, scope, protocol, family,
  sum(rx_bytes), sum(tx_bytes), sum(rx_packets), sum(tx_packets), max(seconds)
FROM share JOIN application ON id = application_id WHERE start_s >= ? AND start_s < ?
GROUP BY application_id, interface_id, scope, protocol, family
"""
_SUMS_OF_SHARES = """
SELECT application_id, interface_id, scope, protocol, family,
  sum(rx_bytes), sum(tx_bytes), sum(rx_packets), sum(tx_packets), max(seconds)
FROM share WHERE start_s >= ? AND start_s < ? GROUP BY application_id, interface_id, scope, protocol, family
"""
_VERSIONS = """
SELECT kind, name, path, user, unit, container, pod, device, inode, v.first_seen_us, v.last_seen_us
FROM application_version v JOIN application ON id = application_id ORDER BY id, v.first_seen_us, inode
"""
_FIRST_AND_LAST_SHARE = "SELECT (SELECT min(start_s) FROM share), (SELECT max(start_s) FROM share)"
_ROWS_OF_SHARES = """
SELECT start_s, application_id, interface_id, scope, protocol, rx_bytes, tx_bytes, seconds
FROM share WHERE start_s >= ? ORDER BY start_s
"""
_SEEN = """
SELECT id, kind, name, path, user, unit, container, pod, first_seen_us, last_seen_us,
  (SELECT count(*) FROM application_version WHERE application_id = id)
FROM application ORDER BY id
"""
_APPLICATIONS = "SELECT id, kind, name, path, user, unit, container, pod FROM application"
_PROGRESS_STEPS = 200_000  # of SQLite's machine: some milliseconds


class LedgerReader:
    """Reads a ledger; a context manager. All answers come from the moment at which it was opened.

    Args:
        path: the ledger's file.
        host: the name of a book that was merged into it; "" for the ledger's own.

    Attributes:
        state: the ledger's own row, or the host's.

    Raises:
        NoDataError: there is no ledger, or nothing in it yet, or no such host.
        LedgerNewerError: it belongs to a newer version or another program.
        LedgerCorruptError: the file is damaged; any method may find that out.
        LedgerError: it cannot be read.
    """

    def __init__(self, path: str, host: str = "") -> None:
        self.path = path
        self.host = host
        self._interruption: BaseException | None = None
        self._connection, self._copy = connect.connect_reader(path)
        try:
            self._connection.text_factory = _text
            with connect.translated(path, "read"):
                version = schema.check_version(self._connection, path)
                self._connection.execute("PRAGMA temp_store = MEMORY")
                # Columns are read once and from front to back: a cache that the processor's own holds is quicker.
                self._connection.execute("PRAGMA cache_size = -512")
                self._connection.execute("BEGIN")
                if host:
                    self._look_at(host, version)
                self.state = self._read_state(version)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file; may be called twice."""
        self._connection.close()
        connect.remove_copy(self._copy)
        self._copy = None

    def on_progress(self, call: Callable[[], object]) -> None:
        """Have something called every few milliseconds of a long query; what it raises ends the query."""

        def tick() -> int:
            try:
                call()
            except BaseException as error:  # noqa: BLE001  # SQLite's C code stands between here and the caller
                self._interruption = error
                return 1
            return 0

        self._connection.set_progress_handler(tick, _PROGRESS_STEPS)

    @contextlib.contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """The connection, with SQLite's errors in this project's words; for the modules of this package."""
        try:
            with connect.translated(self.path, "read"):
                yield self._connection
        except LedgerError as error:
            if self._interruption is not None:
                raise self._interruption from None
            if getattr(error.__cause__, "sqlite_errorcode", 0) == sqlite3.SQLITE_INTERRUPT:
                raise KeyboardInterrupt from None  # it came before the handler could note it
            raise

    @property
    def place(self) -> str:
        """Where the record is, for people."""
        return f"the ledger {self.path}"

    @property
    def minutes_from_s(self) -> int:
        """From this quarter of an hour on, its minutes are kept as well."""
        return usage_queries.minutes_from(self.state)

    def extent(self) -> tuple[int, int] | None:
        """From when to when (UTC seconds, exclusive) anything is recorded; None when nothing is.

        The end may lie ahead of the present: a clock that went wrong has written there.
        """
        first, last = self._all(_FIRST_AND_LAST)[0]
        found = [first, last]
        found += self._all(
            "SELECT min(start_s), max(start_s) + 60 FROM minute WHERE start_s >= ?", self.state.sealed_until_s
        )[0]
        start_us, end_us = self._all("SELECT min(start_us), max(end_us) FROM span")[0]
        if start_us is not None:
            found += [start_us // US, -(-end_us // US)]
        known = [at for at in found if at is not None]
        return (min(known), max(known)) if known else None

    def interfaces(self, *, totals: bool = True) -> list[InterfaceRecord]:  # noqa: ARG002  # a ledger has them at hand
        """Every interface that was ever seen, by name and kind; always with `totals`, as `reports.record.Record` says."""
        return [
            InterfaceRecord(
                id=row[0],
                name=row[1],
                kind=row[2],
                up=bool(row[3]),
                counted=bool(row[4]),
                reason=row[5],
                first_seen_us=row[6],
                last_seen_us=max(row[7], row[12] or row[7]),
                totals=Counters(*row[8:12]),
                living=row[12] is not None,
            )
            for row in self._all(_INTERFACES)
        ]

    def usage(
        self, groups: Sequence[Sequence[int]], edges: Sequence[int], *, packets: bool = True
    ) -> list[list[Usage]]:
        """What groups of interfaces counted between every two neighbouring edges.

        Parts of one stretch add up exactly to the whole of it, whatever the edges are.

        Args:
            groups: numbers of interfaces; none may be in two groups.
            edges: ascending UTC seconds, multiples of 60.
            packets: without them, which are 0 then, half as much has to be read.

        Returns:
            For each group, one `Usage` less than there are edges.
        """
        with self.reading() as connection:
            return usage_queries.usage(connection, self.state, groups, edges, packets=packets)

    def peaks(self, groups: Sequence[Sequence[int]], edges: Sequence[int]) -> list[list[Peaks]]:
        """The highest rate of any one interface of each group between every two edges; arguments as for `usage`."""
        from netusage.ledger import rate_queries  # noqa: PLC0415  # most questions do without

        with self.reading() as connection:
            return rate_queries.peaks(connection, self.state, groups, edges)

    def slots(
        self, groups: Sequence[Sequence[int]], start_s: int, end_s: int, width_s: int
    ) -> list[tuple[Sequence[int], Sequence[int]]]:
        """Received and sent bytes by slots of `width_s` (300 where minutes are kept, or 900), for percentiles.

        Args:
            groups: as for `usage`.
            start_s: UTC seconds, a multiple of the width.
            end_s: as `start_s`.
            width_s: seconds.

        Returns:
            For each group, the received and the sent bytes of every slot, in lists or views of machine numbers.
        """
        from netusage.ledger import rate_queries  # noqa: PLC0415  # most questions do without

        with self.reading() as connection:
            return rate_queries.slots(connection, self.state, groups, (start_s, end_s), width_s)

    def busiest(
        self, ids: Sequence[int], edges: Sequence[int], count: int, *, packets: bool = True
    ) -> list[tuple[int, Usage]]:
        """The `count` periods with the most bytes in both directions, the busiest first.

        Args:
            ids: numbers of interfaces, taken together.
            edges: as for `usage`.
            count: how many.
            packets: as for `usage`.

        Returns:
            The number of the period (of the edge at which it starts) and its usage; none without bytes.
        """
        with self.reading() as connection:
            return usage_queries.busiest(connection, self.state, ids, edges, count, packets=packets)

    def spans(self, since_us: int, until_us: int) -> list[SpanRecord]:
        """The estimated stretches that overlap [since, until)."""
        sql = """SELECT interface_id, start_us, end_us, rx_bytes, tx_bytes, rx_packets, tx_packets, kind
                 FROM span WHERE start_us < ? AND end_us > ? ORDER BY start_us, id"""
        return [SpanRecord(*row) for row in self._all(sql, until_us, since_us)]

    def estimated(self) -> dict[int, tuple[int, int]]:
        """Received and sent bytes of all estimated stretches, by interface."""
        return {row[0]: ((row[1] << 32) + row[2], (row[3] << 32) + row[4]) for row in self._all(_SPANS)}

    def shares(self, since_s: int, until_s: int) -> list[ShareRecord]:
        """What applications had of each interface's bytes in [since, until), multiples of 900, UTC seconds."""
        rows = self._all(_SHARES, since_s, until_s)
        return [
            ShareRecord(Who(*row[:7]), row[7], row[8], row[9], row[10], Counters(*row[11:15]), row[15])
            for row in rows
        ]

    def shares_by_period(
        self, groups: Sequence[Sequence[int]], edges: Sequence[int], _fields: Collection[str] = ()
    ) -> list[list[list[ShareRecord]]]:
        """What applications had of groups of interfaces between every two neighbouring edges.

        Args:
            groups: numbers of interfaces; none may be in two groups.
            edges: ascending UTC seconds, multiples of 900.
            _fields: what is told apart, as `reports.record.Record` says; a ledger always tells all of it.

        Returns:
            For each group, one list less than there are edges; in each, one record for every application, interface,
            scope, protocol and family that had any row there, by their numbers in the ledger.
        """
        found: list[list[list[ShareRecord]]] = [[[] for _ in edges[1:]] for _ in groups]
        first, last = self._all(_FIRST_AND_LAST_SHARE)[0]
        if first is None:
            return found
        applications = self.applications()
        unnamed = Who("unnamed")
        places = {number: g for g, ids in enumerate(groups) for number in ids}
        for n, (since_s, until_s) in enumerate(pairwise(edges)):
            sums = self._sums_of_shares(max(since_s, first), min(until_s, last + 1))
            for (application, interface, scope, protocol, family), numbers in sorted(sums.items()):
                g = places.get(interface)
                if g is None:
                    continue
                who = applications.get(application, unnamed)
                counters = Counters(*numbers[:4])
                found[g][n].append(ShareRecord(who, interface, scope, protocol, family, counters, numbers[4]))
        return found

    def share_rows(self, since_s: int) -> Iterator[tuple[int, ...]]:
        """Every row of what applications had that starts at or after a time (UTC seconds), by that time.

        Each is: start, application, interface, scope, protocol, received and sent bytes, seconds.
        """
        with (
            self.reading() as connection,
            contextlib.closing(connection.execute(_ROWS_OF_SHARES, (since_s,))) as rows,
        ):
            yield from rows

    def last_share_s(self) -> int | None:
        """When the last row of what applications had starts, UTC seconds; None where there is none."""
        last: int | None = self._all("SELECT max(start_s) FROM share")[0][0]
        return last

    def applications(self) -> dict[int, Who]:
        """Every application, by its number in the ledger."""
        return {row[0]: Who(*row[1:]) for row in self._all(_APPLICATIONS)}

    def seen(self) -> list[SeenRecord]:
        """When each application was seen first and last."""
        return [SeenRecord(row[0], Who(*row[1:8]), *row[8:]) for row in self._all(_SEEN)]

    def application_totals(self) -> list[TotalRecord]:
        """What applications ever had of the machine's total, and all of them together; these only grow."""
        sql = "SELECT kind, name, scope, rx_bytes, tx_bytes FROM application_total ORDER BY kind, name, scope"
        return [TotalRecord(*row) for row in self._all(sql)]

    def _sums_of_shares(self, since_s: int, until_s: int) -> dict[tuple[int, int, int, int, int], list[int]]:
        """By application and what else tells rows apart: four counters, and the longest row. A day at a time."""
        found: dict[tuple[int, int, int, int, int], list[int]] = {}
        for from_s in range(since_s, until_s, DAY_S):
            for row in self._all(_SUMS_OF_SHARES, from_s, min(from_s + DAY_S, until_s)):
                sums = found.setdefault(row[:5], [0, 0, 0, 0, 0])
                sums[:4] = map(add, sums, row[5:9])
                sums[4] = max(sums[4], row[9])
        return found

    def tiers(self, since_us: int, until_us: int) -> list[str]:
        """How applications were told apart by the recorders that ran in [since, until), each once, the last one last."""
        sql = "SELECT tier FROM run WHERE started_us < ? AND last_us >= ? GROUP BY tier ORDER BY max(id)"
        return [row[0] for row in self._all(sql, until_us, since_us)]

    def versions(self) -> list[VersionRecord]:
        """Every executable that was seen of an application, by application, the oldest first."""
        return [VersionRecord(Who(*row[:7]), *row[7:]) for row in self._all(_VERSIONS)]

    def gaps(self, since_us: int, until_us: int) -> list[GapRecord]:
        """The declared gaps that touch [since, until), by start; one without length counts where it is."""
        sql = """SELECT start_us, end_us, kind, lossy, interface, note FROM gap
                 WHERE start_us < ? AND (end_us > ? OR start_us >= ?) ORDER BY start_us, id"""
        rows = self._all(sql, until_us, since_us, since_us)
        return [GapRecord(row[0], row[1], row[2], bool(row[3]), row[4], row[5]) for row in rows]

    def gap_counts(self) -> list[GapCount]:
        """How many gaps were ever declared, by kind and whether bytes may be missing."""
        sql = "SELECT kind, lossy, count(*), sum(max(end_us - start_us, 0)) FROM gap GROUP BY kind, lossy"
        return [GapCount(row[0], bool(row[1]), row[2], row[3]) for row in self._all(sql)]

    def watched(self, since_us: int, until_us: int) -> list[WatchedRecord]:
        """The watched stretches that overlap [since, until), by start."""
        sql = "SELECT start_us, end_us, run_id FROM watched WHERE start_us < ? AND end_us > ? ORDER BY start_us, id"
        return [WatchedRecord(*row) for row in self._all(sql, until_us, since_us)]

    def lives(self) -> list[LifeRecord]:
        """When each interface was there, as often as it came and went, by start."""
        sql = "SELECT interface_id, opened_us, closed_us FROM epoch ORDER BY opened_us, id"
        return [LifeRecord(*row) for row in self._all(sql)]

    def runs(self) -> list[RunRecord]:
        """Every life of a recorder, the oldest first."""
        return [RunRecord(*row) for row in self._all(_RUNS)]

    def clock_steps(self, since_us: int, until_us: int) -> list[StepRecord]:
        """The steps of the wall clock that led to or from a time in [since, until), in the order in which they were."""
        sql = """SELECT run_id, boot_ns, expected_us, actual_us FROM clock_step
                 WHERE (expected_us >= ?1 AND expected_us < ?2) OR (actual_us >= ?1 AND actual_us < ?2) ORDER BY id"""
        return [StepRecord(*row) for row in self._all(sql, since_us, until_us)]

    def since_boot(self, boot_id: str) -> BootRecord | None:
        """What the interfaces counted since a boot, in all network namespaces; None when nobody recorded since it."""
        boot_us = self._all("SELECT min(boot_us) FROM place WHERE boot_id = ?", boot_id)[0][0]
        if boot_us is None:
            return None
        recorded: dict[int, Counters] = {}
        for row in self._all(_SINCE_BOOT, boot_id):
            recorded[row[0]] = recorded.get(row[0], Counters()).plus(Counters(*row[1:]))
        return BootRecord(boot_us, recorded)

    def recorder(self) -> RecorderState:
        """Whether a recorder holds the ledger now, and the last run in it."""
        rows = self._all(_RUNS + " DESC LIMIT 1")
        holder = None if self.host else lock.holder(self.path)
        return RecorderState(holder, RunRecord(*rows[0]) if rows else None)

    def hosts(self) -> list[HostRecord]:
        """The books of other machines and disks that were merged into the ledger, by name."""
        from netusage.ledger import host_views  # noqa: PLC0415  # most ledgers have none

        with self.reading() as connection:
            return host_views.records(connection)

    def turn_to(self, host: HostRecord, tables: Sequence[str]) -> None:
        """Answer out of another of the books from now on, as of the same moment; for `ledger.several`.

        Args:
            host: one of `hosts`.
            tables: as `host_views.look_at`.
        """
        from netusage.ledger import host_views  # noqa: PLC0415  # as above

        with self.reading() as connection:
            host_views.look_at(connection, host, tables)
        self.host = host.name
        self.state = self._read_state(schema.VERSION)

    def _look_at(self, host: str, version: int) -> None:
        from netusage.ledger import host_views  # noqa: PLC0415  # as above

        known = host_views.records(self._connection) if version == schema.VERSION else []
        found = host_views.find(known, host, self.path)
        host_views.look_at(self._connection, found, host_views.book_tables(self._connection))

    def _read_state(self, version: int) -> LedgerState:
        rows = (
            self._all("SELECT identity, created_us, change, sealed_until_s, minutes_from_s FROM ledger")
            if version
            else []
        )
        if not rows:
            hint = "start recording with: netusage daemon (or netusage track)"
            raise NoDataError(f"nothing has been recorded in the ledger {self.path} yet", hint=hint)
        if version < schema.VERSION:
            hint = "a recorder brings it up to date when it starts: netusage daemon"
            raise LedgerError(f"the ledger {self.path} was written by an older netusage", hint=hint)
        return LedgerState(*rows[0])

    def _all(self, sql: str, *values: Any) -> list[Any]:
        with self.reading() as connection, contextlib.closing(connection.execute(sql, values)) as rows:
            return rows.fetchall()


def _text(raw: bytes) -> str:
    """Text; what is none, in a damaged file, stays visible as such."""
    return raw.decode("utf-8", "backslashreplace")
