"""Whether what a ledger says has arrived in the fleet's store, to the byte."""

from datetime import UTC, datetime
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple

from netusage.errors import NoDataError
from netusage.fleet.schema import HOST, SPAN, USAGE, host_key, literal
from netusage.fleet.store import Store
from netusage.ledger.month_sums import Part, Sums, month_sums
from netusage.ledger.reader import LedgerReader
from netusage.ledger.ship_journal import Progress, states
from netusage.ledger.ship_queries import machine

_COUNTERS = ("rx_bytes", "tx_bytes", "rx_packets", "tx_packets")
# As they are in the ledger: what counted nothing is no row, and stretches are where 32 bits have a month.
_MONTH_OF_SPAN = (
    "toYYYYMM(toDateTime(toUInt32(greatest(0, least(4294967295, intDiv(start_us, 1000000)))), 'UTC'))"
)
_COUNTED = " OR ".join(f"{name} > 0" for name in _COUNTERS)


_LATEST_S = (1 << 32) - 1
_DAY_S = 86_400


class Outcome(StrEnum):
    """What became of a part."""

    EXACT = "exact"
    WAITING = "waiting"  # it was not all delivered yet
    DIFFERS = "differs"


class Compared(NamedTuple):
    """A part of the ledger, and what the store has of it."""

    part: Part
    outcome: Outcome
    ledger: Sums
    fleet: Sums


def compare(store: Store, ledger: str) -> list[Compared]:
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
    progress = _progress(store, ledger, identity)
    if progress is None and not _is_known(store, key, identity):
        raise NoDataError(
            "nothing of this ledger has been delivered to the fleet yet",
            hint="deliver it: netusage ship --once",
        )
    in_fleet = _sums(store, key, identity)
    with LedgerReader(ledger) as reader:
        in_ledger = month_sums(reader, month_of)
    nothing = Sums()
    return [
        _compared(part, in_ledger.get(part, nothing), in_fleet.get(part, nothing), progress)
        for part in sorted({*in_ledger, *in_fleet}, key=lambda part: (*part[1:], part.what))
    ]


def _compared(part: Part, ledger: Sums, fleet: Sums, progress: Progress | None) -> Compared:
    if ledger[:-1] == fleet[:-1]:
        return Compared(part, Outcome.EXACT, ledger, fleet)
    waits = progress is None or progress.anew or ledger.change > progress.cursor
    return Compared(part, Outcome.WAITING if waits else Outcome.DIFFERS, ledger, fleet)


def _progress(store: Store, ledger: str, identity: str) -> Progress | None:
    """How far the deliveries are; None where all is to be delivered."""
    place = (store.address.url, store.address.database, identity)
    for state in states(ledger):
        if (state.url, state.base, state.progress.line.identity) == place:
            return state.progress
    return None


def _is_known(store: Store, key: str, identity: str) -> bool:
    where = f"host = {literal(key)} AND ledger = {literal(identity)}"
    return bool(store.query(f"SELECT cursor FROM {store.table(HOST.name)} FINAL WHERE {where}"))  # noqa: S608  # quoted


def _sums(store: Store, key: str, identity: str) -> dict[Part, Sums]:
    """What the store has of a ledger; sums in halves, so that none overflows."""
    halves = ", ".join(
        f"sum(bitShiftRight({name}, 32)), sum(bitAnd({name}, 4294967295))" for name in _COUNTERS
    )
    where = f"host = {literal(key)} AND ledger = {literal(identity)}"
    found = {}
    for table, month in ((USAGE, "toYYYYMM(start)"), (SPAN, _MONTH_OF_SPAN)):
        sql = (
            f"SELECT interface, kind, {month} AS month, count(), {halves} FROM {store.table(table.name)} FINAL "  # noqa: S608
            f"WHERE {where} AND ({_COUNTED}) GROUP BY interface, kind, month"
        )
        for interface, kind, at, rows, *sums in store.query(sql):
            counted = ((high << 32) + low for high, low in zip(sums[::2], sums[1::2], strict=True))
            found[Part(table.name, interface, kind, at)] = Sums(rows, *counted)
    return found


def month_of(at_s: int) -> int:
    """The UTC month of a time, of those that 32 bits have, as in 202611."""
    return _month(min(max(at_s, 0), _LATEST_S) // _DAY_S)


@lru_cache(maxsize=4096)
def _month(day: int) -> int:
    when = datetime.fromtimestamp(day * _DAY_S, UTC)
    return when.year * 100 + when.month
