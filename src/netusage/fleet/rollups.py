"""What whole UTC days and months have, told beside the quarters of an hour: made with each batch, for what it touches.

What interfaces counted is added up from the ledger, whose quarters stay as they are. What applications had is folded
there once it has been delivered, which the fleet is not told: so a day is added up from the ledger while it is as it was
delivered, otherwise from what the store has of it; and a month from its days. Then it has what the quarters in the store
have, to the byte and by the same names.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from operator import add
from typing import Any, Protocol

from netusage.fleet.halves import COUNTERS, sums_of_halves, whole
from netusage.fleet.schema import DAY, SHARE, SHARE_DAY, SHARE_MONTH, USAGE_DAY, USAGE_MONTH, Table
from netusage.fleet.utc import DAY_S, day_of, month_number, month_of, next_month, starts_within
from netusage.ledger import ship_queries
from netusage.ledger.reader import LedgerReader
from netusage.model import LARGEST

# Columns of `SHARE` that tell rows of one start apart; sums are of the four counters.
_KEY = tuple(name for name in SHARE.key if name not in ("host", "start", "ledger"))
Key = tuple[Any, ...]
Sums = list[int]
Told = dict[Key, Sums]
_OF_INTERFACE = 2  # of those, that tell interfaces apart
_LISTS = len(SHARE_DAY.lists)
_KEY_AT = slice(SHARE.names.index(_KEY[0]), SHARE.names.index(_KEY[0]) + len(_KEY))


class TooLarge(Exception):  # noqa: N818  # no error: quarters are told all the same
    """A sum is a number that no column holds."""


class Source(Protocol):
    """What is asked of the store."""

    def table(self, name: str) -> str:
        """The full name of a table, as SQL has it."""
        ...

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """The rows of a SELECT."""
        ...


def add_up(into: Sums | None, more: Iterable[int]) -> Sums:
    """Sums with those of one more."""
    return list(more) if into is None else list(map(add, into, more))


def usage(
    reader: LedgerReader, touched: Iterable[tuple[int, Collection[int]]]
) -> Iterator[tuple[Table, int, int, Sums]]:
    """What interfaces counted in the days of a batch, and in the months of those.

    Args:
        reader: of the ledger.
        touched: interfaces, by number, and when days of theirs begin, UTC seconds.

    Yields:
        Table, interface, start, and its numbers: four counters and two peaks.

    Raises:
        LedgerCorruptError: the ledger is damaged.
        TooLarge: so it is.
    """
    for interface_id, days in touched:
        for month_s in sorted({month_of(day_s) for day_s in days}):
            of_day: dict[int, Sums] = {}
            of_month = [0] * 6
            for start_s, *numbers in ship_queries.quarters(
                reader, interface_id, month_s, next_month(month_s)
            ):
                _count(of_month, numbers)
                if day_of(start_s) in days:
                    _count(of_day.setdefault(day_of(start_s), [0] * 6), numbers)
            _check(of_month)
            yield USAGE_MONTH, interface_id, month_s, of_month
            yield from ((USAGE_DAY, interface_id, day_s, sums) for day_s, sums in of_day.items())


def _count(into: Sums, numbers: list[int]) -> None:
    for place in range(4):
        into[place] += numbers[place]
    for place in (4, 5):
        into[place] = max(into[place], numbers[place])


def _check(numbers: Iterable[int]) -> None:
    if max(numbers, default=0) > LARGEST:
        raise TooLarge


class Shares:
    """What applications had in days and months, of one ledger in the store.

    Args:
        store: where it is.
        own: what says which rows are of the ledger, as SQL.
        above: rows with a number up to this are not of this time's delivery; they are replaced or taken back.
    """

    def __init__(self, store: Source, own: str, above: int) -> None:
        self._store, self._own, self._above = store, own, above
        self._days: dict[int, Told] = {}  # of the last months, as they are told

    def rows(
        self, touched: dict[int, set[Key]], known: Callable[[int], Told | None]
    ) -> Iterator[tuple[Table, tuple[Any, ...]]]:
        """What is to be told of a batch whose rows are in the store.

        Args:
            touched: when the days begin that it has anything of, UTC seconds; and of what.
            known: what a day has, where the ledger can tell; None otherwise.

        Yields:
            Table, and a row between its ledger and its number: all that has anything of an interface, as lists.

        Raises:
            FleetError: the store cannot be asked.
            TooLarge: so it is.
        """
        months: dict[int, set[Key]] = {}
        days = {day_s: known(day_s) for day_s in touched}
        in_store = self._of_days([day_s for day_s, sums in days.items() if sums is None])
        for day_s, told in sorted(touched.items()):
            keys, sums = told, days[day_s]
            if sums is None:
                sums = in_store.get(day_s, {})
                keys = told | sums.keys()
            self._days[day_s] = sums
            months.setdefault(month_of(day_s), set()).update(keys)
            yield from ((SHARE_DAY, row) for row in _lists(day_s, sums, keys))
        self._days = {day_s: sums for day_s, sums in self._days.items() if month_of(day_s) in months}
        of_months = self._of_months(sorted(months))
        for month_s, keys in sorted(months.items()):
            yield from ((SHARE_MONTH, row) for row in _lists(month_s, of_months[month_s], keys))

    def _of_days(self, days: list[int]) -> dict[int, Told]:
        """What the store has of days, also of what has nothing now."""
        if not days:
            return {}
        numbers = ", ".join(str(day_s // DAY_S) for day_s in days)
        where = f"{starts_within(min(days), max(days) + DAY_S)} AND {DAY} IN ({numbers})"
        return {number * DAY_S: told for number, told in self._sums(SHARE, DAY, where).items()}

    def _of_months(self, months: list[int]) -> dict[int, Told]:
        """The sums of their days: those that were told just now, and what the store has of the others."""
        names = {month_number(month_s): month_s for month_s in months}
        where = f"{starts_within(months[0], next_month(months[-1]))} AND toYYYYMM(start) IN ({', '.join(map(str, names))})"
        if self._days:
            where += f" AND {DAY} NOT IN ({', '.join(str(day_s // DAY_S) for day_s in self._days)})"
        found: dict[int, Told] = {month_s: {} for month_s in months}
        found |= {names[name]: told for name, told in self._sums(SHARE_DAY, "toYYYYMM(start)", where).items()}
        for day_s, sums in self._days.items():
            into = found[month_of(day_s)]
            for key, more in sums.items():
                into[key] = add_up(into.get(key), more)
        return found

    def _sums(self, table: Table, period: str, where: str) -> dict[int, Told]:
        """What the store has by periods, as SQL has them, where something is so: one question, however many they are."""
        key = ", ".join(_KEY)
        source = table.unfolded(self._store.table(table.name), (*_KEY, *COUNTERS))
        sql = (
            f"SELECT {period} AS period, {key}, {', '.join(sums_of_halves(COUNTERS))} "  # noqa: S608  # our own texts and numbers
            f"FROM {source} WHERE {self._own} AND {where} AND seq > {self._above} "
            f"GROUP BY period, {key}"
        )
        found: dict[int, Told] = {}
        for number, *row in self._store.query(sql):
            found.setdefault(number, {})[tuple(row[: len(_KEY)])] = whole(row[len(_KEY) :])
        return found


def _lists(start_s: int, sums: Told, touched: Iterable[Key]) -> Iterator[tuple[Any, ...]]:
    """What a day or month has of each interface that has something else than before; of nothing, empty lists.

    Raises:
        TooLarge: so it is.
    """
    told: dict[Key, list[tuple[Any, ...]]] = {key[:_OF_INTERFACE]: [] for key in touched}
    for key, counters in sums.items():
        own = told.get(key[:_OF_INTERFACE])
        if own is not None and any(counters):
            _check(counters)
            own.append((*key[_OF_INTERFACE:], *counters))
    for interface, own in sorted(told.items()):
        yield (*interface, start_s, *(zip(*sorted(own), strict=True) if own else [()] * _LISTS))


def key_of(row: tuple[Any, ...]) -> Key:
    """The key of a row of `SHARE`."""
    return row[_KEY_AT]
