"""One delivery of a ledger to a fleet: everything above the last change number that has arrived, oldest first.

What is sent is what something is now, never a difference, with a number that grows with every change of it; the store
keeps the one with the highest. So a batch that may or may not have arrived is sent again, and only an answer that says
that it has moves the cursor. A batch is read from the ledger as a whole and then sent: no snapshot is held meanwhile,
so whatever the network does, the recorder's file does not grow for it.

Where the ledger is not the one any more that was delivered (restored from a backup, repaired, or other things may leave
the host now), all of it is sent again with numbers above all that are there; rows that are left behind are taken back
then: what they say is set to zero.

Whole days and months are sent as well, see `rollups`, of all that a batch touches and before the cursor moves. Those of
interfaces have the last change number of the ledger that they were added up from, those of applications that of the
batch, for they have what was sent up to there.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from netusage.errors import FleetError
from netusage.fleet import rollups
from netusage.fleet.halves import COUNTERS
from netusage.fleet.schema import GAP, HOST, INTERFACE, SHARE, SPAN, TABLES, USAGE, Table, host_key, literal
from netusage.fleet.utc import DAY_S, day_of, starts_within
from netusage.ledger import ship_queries
from netusage.ledger.reader import LedgerReader
from netusage.ledger.ship_journal import Progress, ShipJournal
from netusage.model import QUARTER_S, SCOPE_AT_HOME, Who

if TYPE_CHECKING:
    from netusage.ledger.answers import GapRecord, InterfaceRecord
    from netusage.ledger.ship_queries import ShareRow, Statement
    from netusage.settings.schema import FleetSettings

ROWS_AT_ONCE = 20_000
# How the record is told, behind what may leave the host; an older version says nothing there.
_WITH_DAYS = "; quarters, days and months"
_ONLY_QUARTERS = "; quarters"  # a sum is more than a column holds
_Row = tuple[Any, ...]


class Target(Protocol):
    """What a delivery asks of the store."""

    def table(self, name: str) -> str:
        """The full name of a table, as SQL has it."""
        ...

    def query(self, sql: str) -> list[_Row]:
        """The rows of a SELECT."""
        ...

    def insert(self, table: Table, rows: Sequence[_Row]) -> int:
        """Write rows; they are there when it returns."""
        ...


class Delivered(NamedTuple):
    """What came of a delivery: rows that were sent, and whether all of the ledger was sent again, and why."""

    rows: int
    anew: str


class _Given(Exception):  # noqa: N818  # no error: somebody has asked for everything again
    """The journal was set back while a delivery went on."""


class _Stretch(NamedTuple):
    """A quarter or a day of applications that was sent before, from and to, UTC seconds, and its present number."""

    start_s: int
    end_s: int
    seq: int


class _Batch:
    """Rows of some statements, by table, and the progress when they have arrived."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self.rows: dict[Table, list[_Row]] = {table: [] for table in TABLES}
        self.stretches: list[_Stretch] = []
        self.days: dict[int, set[int]] = {}  # by interface, when those begin that it has quarters of
        self.shares: dict[int, rollups.Told] = {}  # what the ledger says of days of applications
        self.unlike: set[int] = (
            set()
        )  # when those begin of which it says something else than the fleet is told
        self.is_last = False

    @property
    def size(self) -> int:
        return sum(map(len, self.rows.values()))

    def shares_touched(self) -> dict[int, set[rollups.Key]]:
        """When the days begin of which applications have anything here, or had; and which."""
        found: dict[int, set[rollups.Key]] = {}
        for row in self.rows[SHARE]:
            found.setdefault(day_of(row[2]), set()).add(rollups.key_of(row))
        for stretch in self.stretches:
            for day_s in range(day_of(stretch.start_s), stretch.end_s, DAY_S):
                found.setdefault(day_s, set())
        return found


class Delivery:
    """Brings a ledger to a store.

    Args:
        ledger: its file.
        settings: what may leave the host, and what it is called.
        store: of the fleet.
        journal: how far it is.
        version: of this program.
        stops: whether to leave off after the present batch.
    """

    def __init__(
        self,
        ledger: str,
        settings: FleetSettings,
        store: Target,
        journal: ShipJournal,
        *,
        version: str,
        stops: Callable[[], bool] = lambda: False,
    ) -> None:
        self._ledger, self._settings, self._store, self._journal = ledger, settings, store, journal
        self._version, self._stops = version, stops
        self._shared = frozenset(settings.share)
        self._fields = told_fields(self._shared)
        self._sent = 0
        self._turn = 0
        self._host = self._identity = ""
        self._told_shares: rollups.Shares | None = None

    def run(self, now_us: int) -> Delivered:
        """Deliver until nothing is left. `now_us`: the present, UTC microseconds.

        Raises:
            NoDataError: nothing has been recorded yet.
            LedgerError: the ledger, or the journal, cannot be read or written.
            FleetError: the store cannot be reached or refuses; what has arrived is noted.
        """
        why = ""
        while True:
            progress, self._turn = self._journal.begin(now_us)
            self._told_shares = None
            try:
                progress, found = self._check(progress)
                why = found or why
                while True:
                    try:
                        batch = self._next_batch(progress, now_us)
                        progress = self._send(progress, batch)
                    except rollups.TooLarge:
                        share = progress.share.replace(_WITH_DAYS, _ONLY_QUARTERS)
                        progress = self._noted(progress._replace(share=share))
                        continue
                    if batch.is_last:
                        self._journal.arrived(now_us)
                        return Delivered(self._sent, why)
                    if self._stops():
                        return Delivered(self._sent, why)
            except _Given:
                continue

    # ---- Which ledger it is -------------------------------------------------------------------------------------

    def _check(self, progress: Progress) -> tuple[Progress, str]:
        """The progress, begun anew where the ledger is not what was delivered; and why, "" where it is."""
        with LedgerReader(self._ledger) as reader:
            line = ship_queries.line(reader)
            self._identity = line.identity
            self._host = host_key(ship_queries.machine(reader), line.identity)
            goes_on = progress.cursor <= reader.state.change and ship_queries.goes_on(reader, progress.line)
        share = ",".join(sorted(self._shared))
        why = ""
        if not progress.line.identity:
            why = "from the beginning of the record"
        elif progress.line.identity != line.identity:
            why = "this is another ledger than before; all of it is delivered"
        elif not goes_on:
            why = "the ledger was restored or repaired; all of it is delivered again"
        elif progress.share == share:
            why = "days and months are delivered as well from now on; all of it is delivered again"
        elif progress.share not in (share + _WITH_DAYS, share + _ONLY_QUARTERS):
            why = "other things may leave this host now; all of it is delivered again"
        else:
            known = self._known_cursor()
            if known > progress.above + progress.sent:
                why = (
                    "the fleet knows more of this ledger than was delivered from here (was this machine restored, or "
                    "does a copy of it deliver as well?); all of it is delivered again"
                )
            elif known < progress.told:
                why = "the fleet has forgotten what was delivered; all of it is delivered again"
        if why:
            above = self._highest()
            progress = self._noted(Progress(share + _WITH_DAYS, line, above, anew=above > 0))
        return progress, why

    def _known_cursor(self) -> int:
        # tables of an older version do not have all columns, and are refused here, before anything is sent to them
        sql = f"SELECT max(cursor), max(sums), max(until_s) FROM {self._store.table(HOST.name)} FINAL WHERE {self._own}"  # noqa: S608  # our own texts
        return int(self._store.query(sql)[0][0])

    def _highest(self) -> int:
        """The highest number of a row of this ledger in the store, 0 when there is none."""
        found = self._known_cursor()
        for table in TABLES:
            sql = f"SELECT max(seq) FROM {self._store.table(table.name)} WHERE {self._own}"  # noqa: S608  # as above
            found = max(found, int(self._store.query(sql)[0][0]))
        return found

    @property
    def _own(self) -> str:
        return f"host = {literal(self._host)} AND ledger = {literal(self._identity)}"

    # ---- Reading the ledger -------------------------------------------------------------------------------------

    def _next_batch(self, progress: Progress, now_us: int) -> _Batch:
        """What comes next, of one moment of the ledger."""
        batch = _Batch(progress)
        with LedgerReader(self._ledger) as reader:
            if progress.cursor > reader.state.change or not ship_queries.goes_on(reader, progress.line):
                raise FleetError(
                    "the ledger was replaced while it was delivered",
                    hint="it is looked at anew the next time",
                )
            interfaces = {one.id: one for one in reader.interfaces()}
            before = progress
            progress = progress._replace(line=ship_queries.line(reader))
            for statement in ship_queries.statements(reader, progress.cursor):
                progress = self._add(batch, reader, interfaces, statement, progress)
                if batch.size >= ROWS_AT_ONCE:
                    break
            else:
                for number, gap in ship_queries.gaps_above(reader, progress.gaps):
                    if batch.size >= ROWS_AT_ONCE:
                        break
                    batch.rows[GAP].append(self._gap(number, gap, progress))
                    progress = progress._replace(gaps=number)
                else:
                    batch.is_last = True
                    batch.rows[INTERFACE] += [self._interface(one, progress) for one in interfaces.values()]
                    batch.rows[HOST].append(self._host_row(reader, progress, now_us))
            batch.progress = progress
            if progress.share.endswith(_WITH_DAYS):
                self._add_days(batch, reader, interfaces, before)
        return batch

    def _add_days(
        self,
        batch: _Batch,
        reader: LedgerReader,
        interfaces: dict[int, InterfaceRecord],
        before: Progress,
    ) -> None:
        """What the ledger says of the days of a batch, and of their months."""
        own, seq = (self._host, self._identity), before.above + reader.state.change
        for table, number, start_s, sums in rollups.usage(reader, batch.days.items()):
            batch.rows[table].append((*own, *_named(interfaces, number), start_s, *sums, seq))
        for day_s in batch.shares_touched().keys() - batch.unlike:
            end_s = day_s + DAY_S
            if before.shares_until_s <= day_s or not ship_queries.is_folded(reader, day_s, end_s):
                rows = ship_queries.share_sums(reader, day_s, end_s, batch.progress.cursor)
                batch.shares[day_s] = self._shares(rows, interfaces)

    def _add(
        self,
        batch: _Batch,
        reader: LedgerReader,
        interfaces: dict[int, InterfaceRecord],
        statement: Statement,
        progress: Progress,
    ) -> Progress:
        own, seq = (self._host, self._identity), progress.above + statement.change
        if statement.quarters:
            where = _named(interfaces, statement.interface_id)
            days = batch.days.setdefault(statement.interface_id, set())
            days.update(day_of(quarter[0]) for quarter in statement.quarters)
            batch.rows[USAGE] += [(*own, *where, *quarter, seq) for quarter in statement.quarters]
        if statement.span is not None:
            span = statement.span
            stretch = (span.number, span.start_us, span.end_us)
            batch.rows[SPAN].append(
                (*own, *_named(interfaces, span.interface_id), *stretch, *span.counters, span.kind, seq)
            )
        if statement.start_s is not None:
            was_sent = statement.start_s < progress.shares_until_s
            is_day = any(row.seconds != QUARTER_S for row in statement.shares)
            if (
                was_sent
                and not progress.anew
                and not is_day
                and ship_queries.is_in_a_day(reader, statement.start_s)
            ):
                # the day is written anew in a moment, and sent with all that it has
                batch.unlike.add(day_of(statement.start_s))
                return progress._replace(cursor=statement.change)
            if was_sent:
                batch.stretches.append(_Stretch(statement.start_s, statement.end_s, seq))
                batch.unlike.update(range(day_of(statement.start_s), statement.end_s, DAY_S))
            seconds = statement.end_s - statement.start_s
            for key, numbers in self._shares(statement.shares, interfaces).items():
                batch.rows[SHARE].append((*own, statement.start_s, seconds, *key, *numbers, seq))
            until_s = max(progress.shares_until_s, statement.end_s)
            progress = progress._replace(shares_until_s=until_s)
        return progress._replace(cursor=statement.change)

    def _shares(self, rows: Sequence[ShareRow], interfaces: dict[int, InterfaceRecord]) -> rollups.Told:
        """Rows without what stays at home; those that cannot be told apart then are one."""
        found: rollups.Told = {}
        for row in rows:
            who, scope = self._told(row.who), row.scope if "scope" in self._fields else SCOPE_AT_HOME
            key = (
                *(*_named(interfaces, row.interface_id), who.kind, who.name, who.path, who.user, who.unit),
                *(who.container, who.pod, scope, row.protocol, row.family),
            )
            found[key] = rollups.add_up(found.get(key), row.counters)
        return found

    def _told(self, who: Who) -> Who:
        """As much of it as may leave the host."""
        values = zip(Who._fields, who, strict=True)
        return Who(*(value if name in self._fields else "" for name, value in values))

    def _gap(self, number: int, gap: GapRecord, progress: Progress) -> _Row:
        what = (number, gap.start_us, gap.end_us, gap.kind, int(gap.lossy), gap.interface, gap.note)
        return (self._host, self._identity, *what, progress.above + self._turn)

    def _interface(self, one: InterfaceRecord, progress: Progress) -> _Row:
        what = (one.name, one.kind, int(one.counted), one.reason, one.first_seen_us, one.last_seen_us)
        state = (int(one.up), int(one.living))
        return (self._host, self._identity, *what, *one.totals, *state, progress.above + self._turn)

    def _host_row(self, reader: LedgerReader, progress: Progress, now_us: int) -> _Row:
        settings, state = self._settings, reader.state
        run = reader.recorder().last_run
        return (
            *(self._host, self._identity, settings.name or socket.gethostname(), _machine(), self._version),
            *(tuple(settings.labels), now_us, progress.above + progress.cursor, state.sealed_until_s),
            *(state.created_us, run.tier if run else "", int(progress.share.endswith(_WITH_DAYS))),
            *(ship_queries.extent(reader) or (-1, -1)),
            progress.above + self._turn,
        )

    # ---- Sending ------------------------------------------------------------------------------------------------

    def _send(self, before: Progress, batch: _Batch) -> Progress:
        """Send a batch; the progress when all of it has arrived."""
        after = batch.progress
        if after.cursor != before.cursor:
            # before anything of it is sent: who comes back to an older journal can tell that more was
            self._noted(before._replace(sent=max(before.sent, after.cursor)))
        for table in TABLES[:-1]:
            self._insert(table, batch.rows[table])
        for stretch in batch.stretches:
            # what is told of it now is all that there is: who had something before and is not named any more has nothing
            self._take_back(
                SHARE,
                f"seq < {stretch.seq} AND {starts_within(stretch.start_s, stretch.end_s)} "
                f"AND (seconds = {QUARTER_S} OR start = toDateTime({stretch.start_s}))",
                stretch.seq,
            )
        if after.share.endswith(_WITH_DAYS):
            self._send_days(batch)
        if batch.is_last and after.anew:
            for table in TABLES[:-1]:
                seq = after.above + (self._turn if table in (INTERFACE, GAP) else max(after.cursor, 1))
                self._take_back(table, f"seq <= {after.above}", seq)
            after = after._replace(anew=False)
        self._insert(HOST, batch.rows[HOST])
        after = after._replace(sent=max(before.sent, after.cursor))
        return self._noted(after._replace(told=after.above + after.cursor) if batch.is_last else after)

    def _send_days(self, batch: _Batch) -> None:
        """Send what applications had in the days of a batch, which has arrived, and in their months."""
        touched = batch.shares_touched()
        if not touched:
            return
        after = batch.progress
        if self._told_shares is None:
            self._told_shares = rollups.Shares(self._store, self._own, after.above)
        own, seq = (self._host, self._identity), after.above + after.cursor
        rows: dict[Table, list[_Row]] = {}
        for table, row in self._told_shares.rows(touched, batch.shares.get):
            rows.setdefault(table, []).append((*own, *row, seq))
        for table, found in rows.items():
            self._insert(table, found)

    def _insert(self, table: Table, rows: Sequence[_Row]) -> None:
        if rows:
            self._store.insert(table, rows)
            self._sent += len(rows)

    def _take_back(self, table: Table, condition: str, seq: int) -> None:
        """Set rows of this ledger to zero that say something, in place of what they say."""
        counters = [name for name in table.names if name in COUNTERS]
        says_something = " OR ".join(f"{name} != 0" for name in counters) or "kind != ''"
        if table.lists:
            says_something = f"notEmpty({table.lists[0]})"
        columns = ", ".join(
            f"toUInt32({column.name})" if column.type == "DateTime" else column.name
            for column in table.columns
        )
        sql = (
            f"SELECT {columns} FROM {self._store.table(table.name)} FINAL "  # noqa: S608  # our own texts and numbers
            f"WHERE {self._own} AND {condition} AND ({says_something}) LIMIT {ROWS_AT_ONCE}"
        )
        while rows := self._store.query(sql):
            self._insert(table, [_emptied(table, row, seq) for row in rows])

    def _noted(self, progress: Progress) -> Progress:
        if not self._journal.note(progress, self._turn):
            raise _Given
        return progress


def told_fields(shared: Collection[str]) -> frozenset[str]:
    """What may leave the host: fields of `Who`, and scope. A path may have the name of a user in it."""
    found = {"kind"}
    if "applications" in shared:
        found.add("name")
        found.update({"path"} if "users" in shared else ())
    found.update({"user"} if "users" in shared else ())
    found.update({"unit", "container", "pod"} if "units" in shared else ())
    found.update({"scope"} if "scopes" in shared else ())
    return frozenset(found)


def shared_of(progress: Progress) -> list[str]:
    """What was allowed to leave the host, as the configuration names it."""
    return [name for name in progress.share.partition(";")[0].split(",") if name]


def _named(interfaces: dict[int, InterfaceRecord], number: int) -> tuple[str, str]:
    """What an interface is called, and its kind."""
    return (interfaces[number].name, interfaces[number].kind) if number in interfaces else ("", "")


def _emptied(table: Table, row: _Row, seq: int) -> _Row:
    """A row that says nothing any more, with the key that it has."""

    def value(name: str, type_: str, known: Any) -> Any:
        if name == "seq":
            return seq
        if name in table.key or name in ("host", "ledger", "seconds"):
            return known
        return "" if type_ == "String" else 0

    return tuple(
        () if column.is_list else value(column.name, column.type, known)
        for column, known in zip(table.columns, row, strict=True)
    )


def _machine() -> str:
    """The kind of machine, for people; its identity is in the key."""
    import platform  # noqa: PLC0415  # once a delivery

    return f"{platform.system()} {platform.machine()}".strip()
