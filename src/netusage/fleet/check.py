"""Whether what a ledger says has arrived in the fleet's store, to the byte."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from functools import lru_cache
from operator import add
from typing import NamedTuple

from netusage.errors import NoDataError
from netusage.fleet.deliver import shared_of, told_fields
from netusage.fleet.halves import COUNTED, COUNTERS, halves, sums_of_halves, whole
from netusage.fleet.schema import (
    GAP,
    HOST,
    SHARE,
    SHARE_DAY,
    SHARE_MONTH,
    SPAN,
    USAGE,
    USAGE_DAY,
    USAGE_MONTH,
    Table,
    host_key,
    literal,
)
from netusage.fleet.store import Store
from netusage.fleet.utc import DAY_S, month_number, next_month, starts_within
from netusage.fleet.utc import month_of as month_start
from netusage.ledger.month_sums import Part, Sums, folded_days, month_sums, share_month_sums
from netusage.ledger.reader import LedgerReader
from netusage.ledger.ship_journal import Progress, states
from netusage.ledger.ship_queries import gaps_above, machine
from netusage.model import QUARTER_S, US

# As they are in the ledger: what counted nothing is no row, and stretches are where 32 bits have a month.
_MONTH_OF_STRETCH = (
    "toYYYYMM(toDateTime(toUInt32(greatest(0, least(4294967295, intDiv(start_us, 1000000)))), 'UTC'))"
)
_LATEST_S = (1 << 32) - 1
_GAP, _LOSSY = "gap", "lossy gap"
_NOTHING = Sums()


class Outcome(StrEnum):
    """What became of a part."""

    EXACT = "exact"
    WAITING = "waiting"  # it was not all delivered yet
    DIFFERS = "differs"


class Compared(NamedTuple):
    """A part of the ledger, and what the store has of it.

    part: by `Part.what` as the ledger has it ("usage", "span", "share"), declared gaps ("gap", and "lossy gap" for those
        of them that may have lost bytes), or days and months ("usage_day", "usage_month", "share_day", "share_month").
    ledger, fleet: what both have; of days and months, what the quarters in the store add up to, and what is told of
        them: as rows how many there are, and how many of them are what their quarters add up to.
    """

    part: Part
    outcome: Outcome
    ledger: Sums
    fleet: Sums

    @property
    def is_apart(self) -> bool:
        """Whether the bytes are the same, in more rows: they were folded on the host after they were delivered."""
        return (
            self.outcome is Outcome.EXACT
            and self.part.what == SHARE.name
            and self.ledger.rows < self.fleet.rows
        )


class Comparison(NamedTuple):
    """All parts; tells_days: whether days and months are told, and compared."""

    rows: list[Compared]
    tells_days: bool


def compare(store: Store, ledger: str) -> Comparison:
    """Every month of every interface, by interface and month.

    A difference is "waiting" where the journal of deliveries says that something is still to be sent of it, also when
    that is because it changed while this looked.

    Args:
        store: the fleet's.
        ledger: the path of this machine's own.

    Raises:
        NoDataError: there is no ledger, or nothing of it was ever delivered.
        FleetError: the store cannot be asked, or not all of it.
    """
    with LedgerReader(ledger) as reader:  # its numbers are looked at after the store, in a later snapshot
        identity = reader.state.identity
        key = host_key(machine(reader), identity)
        days = folded_days(reader)
    progress = _progress(store, ledger, identity)
    own = f"host = {literal(key)} AND ledger = {literal(identity)}"
    known = store.query(f"SELECT sums FROM {store.table(HOST.name)} FINAL WHERE {own}")  # noqa: S608  # quoted
    if progress is None and not known:
        raise NoDataError(
            "nothing of this ledger has been delivered to the fleet yet",
            hint="deliver it: netusage ship --once",
        )
    tells_days = bool(known and known[0][0])
    months = _months(store, own)
    in_fleet = {**_sums(store, own, months, days), **_gaps(store, own)}
    told = _days_and_months(store, own, months) if tells_days else {}
    with LedgerReader(ledger) as reader:
        in_ledger = {**month_sums(reader, month_of), **_gaps_of(reader)}
        fields = told_fields(shared_of(progress) if progress else ())
        shares = share_month_sums(reader, month_of, fields)
    in_ledger |= {part: found.sums for part, found in shares.items()}
    folded = {part for part, found in shares.items() if found.folded}
    rows = []
    for part in in_ledger.keys() | in_fleet.keys():
        here, there = in_ledger.get(part, _NOTHING), in_fleet.get(part, _NOTHING)
        same = here[1:-1] == there[1:-1] and (
            here.rows == there.rows or (part in folded and here.rows < there.rows)
        )
        rows.append(Compared(part, _outcome(part, progress, here.change, same=same), here, there))
    for part, (made, found, same) in told.items():
        change = in_ledger.get(part._replace(what=part.what.partition("_")[0]), _NOTHING).change
        rows.append(Compared(part, _outcome(part, progress, change, same=same), made, found))
    return Comparison(sorted(rows, key=lambda row: (*row.part[1:], row.part.what)), tells_days)


def _outcome(part: Part, progress: Progress | None, change: int, *, same: bool) -> Outcome:
    if same:
        return Outcome.EXACT
    if progress is None or progress.anew:
        return Outcome.WAITING
    waits = change > (progress.gaps if part.what in (_GAP, _LOSSY) else progress.cursor)
    return Outcome.WAITING if waits else Outcome.DIFFERS


def _progress(store: Store, ledger: str, identity: str) -> Progress | None:
    """How far the deliveries are; None where all is to be delivered."""
    place = (store.address.url, store.address.database, identity)
    for state in states(ledger):
        if (state.url, state.base, state.progress.line.identity) == place:
            return state.progress
    return None


def _gaps_of(reader: LedgerReader) -> dict[Part, Sums]:
    """The declared gaps of the ledger, by the month in which they begin; their numbers stand for change numbers."""
    found: dict[Part, Sums] = {}
    for number, gap in gaps_above(reader, 0):
        for what in (_GAP, _LOSSY) if gap.lossy else (_GAP,):
            part = Part(what, gap.interface, "", month_of(gap.start_us // US))
            found[part] = Sums(found.get(part, _NOTHING).rows + 1, change=number)
    return found


# ---- What the store has ------------------------------------------------------------------------------------------


def _months(store: Store, own: str) -> list[str]:
    """The months in which applications had anything, as SQL has them: all at once would take long to answer."""
    found: set[int] = set()
    for table in (SHARE, SHARE_DAY, SHARE_MONTH):
        sql = f"SELECT DISTINCT toYYYYMM(start) FROM {store.table(table.name)} WHERE {own}"  # noqa: S608  # quoted
        found.update(row[0] for row in store.query(sql))
    starts = [int(datetime(at // 100, at % 100, 1, tzinfo=UTC).timestamp()) for at in sorted(found)]
    return [starts_within(at, next_month(at)) for at in starts]


def _sums(
    store: Store, own: str, months: Iterable[str] = (), days: Sequence[tuple[int, int]] = ()
) -> dict[Part, Sums]:
    """What the store has of a ledger.

    Args:
        store: the fleet's.
        own: what says which rows are of the ledger, as SQL.
        months: see `_months`.
        days: that quarters of an hour have become in the ledger, from and to, UTC seconds.
    """
    found: dict[Part, Sums] = {}
    asked = [(USAGE, "toYYYYMM(start)", own), (SPAN, _MONTH_OF_STRETCH, own)]
    asked += [(SHARE, _month_as_folded(days), f"{own} AND {month}") for month in months]
    for table, month, where in asked:
        sql = (
            f"SELECT interface, kind, {month} AS month, count(), {', '.join(sums_of_halves(COUNTERS))} FROM {store.table(table.name)} FINAL "  # noqa: S608  # our own texts and numbers
            f"WHERE {where} AND {COUNTED} GROUP BY interface, kind, month"
        )
        for interface, kind, at, rows, *numbers in store.query(sql):
            part = Part(table.name, interface, kind, at)
            found[part] = Sums(*map(add, found.get(part, _NOTHING), (rows, *whole(numbers), 0)))
    return found


def _month_as_folded(days: Sequence[tuple[int, int]]) -> str:
    """The month of applications' rows: a quarter where the day begins that it has become part of in the ledger."""
    cases = ""
    for start_s, end_s in sorted(days):
        first_s = month_start(end_s - 1)
        if first_s > start_s:
            is_in = (
                f"start >= toDateTime({first_s}) AND start < toDateTime({end_s}) AND seconds = {QUARTER_S}"
            )
            cases += f"{is_in}, toUInt32({month_of(start_s)}), "
    return f"multiIf({cases}toYYYYMM(start))" if cases else "toYYYYMM(start)"


def _gaps(store: Store, own: str) -> dict[Part, Sums]:
    sql = (
        f"SELECT interface, {_MONTH_OF_STRETCH} AS month, count(), sum(lossy) FROM {store.table(GAP.name)} FINAL "  # noqa: S608  # as above
        f"WHERE {own} AND kind != '' GROUP BY interface, month"
    )
    found = {}
    for interface, month, number, lossy in store.query(sql):
        found[Part(_GAP, interface, "", month)] = Sums(number)
        if lossy:
            found[Part(_LOSSY, interface, "", month)] = Sums(lossy)
    return found


def _days_and_months(
    store: Store, own: str, months: Iterable[str] = ()
) -> dict[Part, tuple[Sums, Sums, bool]]:
    """What days and months should be, what they are, and whether all of them are that."""
    found = {}
    asked = [(USAGE, USAGE_DAY, "toYYYYMMDD(start)", own), (USAGE, USAGE_MONTH, "toYYYYMM(start)", own)]
    for month in months:
        of_month = f"{own} AND {month}"
        asked.append((SHARE, SHARE_DAY, "toYYYYMMDD(start)", of_month))
        asked.append((SHARE, SHARE_MONTH, "toYYYYMM(start)", of_month))
    for quarters, told, at, where in asked:
        month = "intDiv(at, 100)" if at.endswith("DD(start)") else "at"
        sql = (
            f"SELECT interface, kind, {month} AS month, sum(is_made), sum(is_made AND is_same), sum(NOT is_same), "  # noqa: S608  # as above
            f"{_of_sides('sum({})')} FROM ({_each(store, where, quarters, told, at)}) GROUP BY interface, kind, month"
        )
        for interface, kind, when, made, right, wrong, *both in store.query(sql):
            numbers = whole(both)
            part = Part(told.name, interface, kind, when)
            found[part] = Sums(made, *numbers[:4]), Sums(right, *numbers[4:]), not wrong
    return found


def _each(store: Store, where: str, quarters: Table, told: Table, at: str) -> str:
    """Each day or month by its key, with whether it is what its quarters add up to: a SELECT.

    Differences are added up as they wrap around: they are zero in the end where there is none.
    """
    keys = [name for name in quarters.key if name not in ("host", "start", "ledger")]
    key = ", ".join(keys)
    highest = [name for name in ("peak_rx", "peak_tx") if name in told.names]
    columns = (*keys, *COUNTERS, *highest)
    sides = (
        f"SELECT {', '.join(columns)}, {at} AS at, toInt64({sign}) AS sign "  # noqa: S608  # as above
        f"FROM {table.unfolded(store.table(table.name), columns)} WHERE {where}"
        for table, sign in ((quarters, 1), (told, -1))
    )
    same = [f"sum(toInt64({name}) * sign) = 0" for name in COUNTERS]
    same += [f"max(if(sign > 0, {name}, 0)) = max(if(sign < 0, {name}, 0))" for name in highest]
    both = _of_sides("sum(if(sign {sign} 0, {half}, 0)) AS {name}")
    return (
        f"SELECT {key}, at, max(sign > 0 AND {COUNTED}) AS is_made, ({' AND '.join(same)}) AS is_same, {both} "  # noqa: S608  # as above
        f"FROM ({' UNION ALL '.join(sides)}) GROUP BY {key}, at"
    )


def _of_sides(form: str) -> str:
    """Halves of the counters, of quarters and then of what is told beside them, in a form that has {} or all names."""
    found = []
    for side, sign in (("made", ">"), ("told", "<")):
        for name in COUNTERS:
            for end, half in zip(("high", "low"), halves(name), strict=True):
                alias = f"{side}_{name}_{end}"
                found.append(form.format(alias, sign=sign, half=half, name=alias))
    return ", ".join(found)


def month_of(at_s: int) -> int:
    """The UTC month of a time, of those that 32 bits have, as in 202611."""
    return _month(min(max(at_s, 0), _LATEST_S) // DAY_S)


@lru_cache(maxsize=4096)
def _month(day: int) -> int:
    return month_number(day * DAY_S)
