"""vnStat's record as a host of its own: every list of it kept as it was, and told without counting a byte twice.

vnStat's lists are redundant, and the finer ones forget sooner. So of each stretch the finest row that there is tells
its bytes, as an estimated stretch of its length, and a coarser one only what it has beyond the finer ones within it.
What the total has beyond all lists was counted before the first of them. All of it together is vnStat's own total.

Rows are kept when vnStat has forgotten them: what was taken in before and what comes now are put together, and the
host is made anew of both. So the same file twice, or a newer one, doubles nothing.
"""

import os
import tempfile
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Sequence
from datetime import date, tzinfo
from itertools import pairwise
from operator import itemgetter
from typing import NamedTuple

from netusage.errors import InputError, LedgerError, NoDataError
from netusage.ledger import vnstat_file
from netusage.ledger.hosts import VNSTAT, ImportedRow, checked_name, imported, put
from netusage.ledger.intake import Intake, Interface
from netusage.ledger.vnstat_file import VnstatInterface
from netusage.model import US
from netusage.periods.grid import clock_changes, clock_of_day, first_instant, month_start

TOTAL = "total"
# from the finest to the coarsest; the best days of all time are days
_LEVELS = ("fiveminute", "hour", "day", "month", "year")
_LENGTHS_S = {"fiveminute": 300, "hour": 3600}
_DAY_S = 86_400
_START = itemgetter(3)  # of a row


class Stretch(NamedTuple):
    """Bytes of an interface whose time within [start, end) is not known, UTC seconds."""

    interface: str
    start_s: int
    end_s: int
    rx_bytes: int
    tx_bytes: int


class Told(NamedTuple):
    """What rows tell without doubling, and what of them could not be told, a line each."""

    stretches: list[Stretch]
    not_told: list[str]


class TakenIn(NamedTuple):
    """What was taken in, or would be.

    rows: all rows of the host.
    new: how many of them were not there before, or not as they are now.
    told: their bytes, and what could not be told.
    """

    rows: list[ImportedRow]
    new: int
    told: Told


def take_in(
    database: str,
    path: str,
    name: str,
    zone: tzinfo,
    of_kinds: Callable[[Sequence[str]], Sequence[Interface]],
    *,
    now_us: int,
    month_rotate: int = 1,
    dry_run: bool = False,
    tick: Callable[[], object] = lambda: None,
) -> TakenIn:
    """Take a database of vnStat into the ledger as a host; `rows_of` tells of most arguments.

    Args:
        database: vnStat's file; it is not changed.
        path: the ledger; made when it is not there.
        name: of the host.
        zone: as for `rows_of`.
        of_kinds: tells of names of interfaces what kinds they are, and whether they are in the machine's total.
        now_us: the present, UTC microseconds.
        month_rotate: as for `rows_of`.
        dry_run: change nothing.
        tick: is called now and then.

    Raises:
        NoDataError: there is no such database, or no interface in it.
        InputError: it is none, or makes no sense; says where.
        LedgerError: the name belongs to another host, or the ledger cannot be read or written.
    """
    checked_name(name)
    interfaces = vnstat_file.read(database)
    if not interfaces:
        raise NoDataError(f"vnStat has no interface in {database}", hint="add one with: vnstat --add -i NAME")
    rows, notes = rows_of(interfaces, zone, month_rotate=month_rotate, path=database)
    before = imported(path, name, VNSTAT)
    if before and not {row[:2] for row in before} & {row[:2] for row in rows}:
        raise LedgerError(
            f"the host {name} of {path} is the record of another vnStat, or was cut in another time zone (--tz)",
            hint="choose another name with --as NAME",
        )
    both = together(before, rows)
    told = tell(both, zone)
    taken = TakenIn(both, len(set(both) - set(before)), told._replace(not_told=notes + told.not_told))
    if not dry_run:
        _write(path, name, taken, of_kinds, now_us=now_us, tick=tick)
    return taken


def _write(
    path: str,
    name: str,
    taken: TakenIn,
    of_kinds: Callable[[Sequence[str]], Sequence[Interface]],
    *,
    now_us: int,
    tick: Callable[[], object],
) -> None:
    names = sorted({row.interface for row in taken.rows})
    known = {interface.name: interface for interface in of_kinds(names)}
    with tempfile.TemporaryDirectory(prefix="netusage-") as directory:
        book = os.path.join(directory, "book.db")
        with Intake(book, now_us=now_us, tick=tick) as intake:
            source = intake.source(name, ", stretch {}")
            for number, (interface, start_s, end_s, rx, tx) in enumerate(taken.told.stretches, start=1):
                stretch_us = (start_s * US, end_s * US)
                intake.estimated((source, number), known[interface], stretch_us, (rx, tx, 0, 0), VNSTAT)
            intake.finish()
        put(path, book, name, VNSTAT, taken.rows, now_us=now_us, tick=tick)


def rows_of(
    interfaces: Iterable[VnstatInterface], zone: tzinfo, *, month_rotate: int = 1, path: str = ""
) -> tuple[list[ImportedRow], list[str]]:
    """All rows of a database, in UTC.

    Args:
        interfaces: what is in it.
        zone: of the daemon that wrote it; it is nowhere in the database.
        month_rotate: the day on which its months begin (MonthRotate of vnstat.conf).
        path: of the database, for messages.

    Returns:
        The rows, and what of the database has no place among them, a line each.

    Raises:
        InputError: an interface was updated before it was created.
    """
    rows: list[ImportedRow] = []
    notes: list[str] = []
    for interface in interfaces:
        name = interface.name
        created_s, updated_s = _instant(interface.created, zone), _instant(interface.updated, zone)
        if updated_s < created_s:
            raise InputError(f"{path}: {name} was updated before it was created", hint="nothing was taken in")
        if interface.alias:
            notes.append(f"{name}: its alias {interface.alias!r}")
        total = (created_s, max(updated_s, created_s + 1), interface.rx_bytes, interface.tx_bytes)
        rows.append(ImportedRow(name, created_s, TOTAL, *total))
        for kind, found in interface.lists.items():
            for row in found:
                stretch = _stretch(kind, row.date, zone, month_rotate)
                if stretch[0] >= stretch[1]:
                    notes.append(
                        f"{name}: {_name(kind, row.date)} is no time in {zone}; is it the zone of vnStat (--tz)?"
                    )
                    continue
                rows.append(ImportedRow(name, created_s, kind, *stretch, row.rx_bytes, row.tx_bytes))
    return rows, notes


def together(before: Iterable[ImportedRow], now: Iterable[ImportedRow]) -> list[ImportedRow]:
    """What was taken in before and what comes now; where both have a row, that of the later state.

    Raises:
        InputError: days of both overlap, so they were cut in different time zones.
    """
    states: tuple[dict[tuple[str, int, str, int], ImportedRow], ...] = ({}, {})
    for state, rows in zip(states, (before, now), strict=True):
        state.update({(row.interface, row.created_s, row.resolution, row.start_s): row for row in rows})
    older, newer = states
    found = {**older, **newer}
    for key, row in older.items():
        life = (row.interface, row.created_s, TOTAL, row.created_s)
        if key in newer and life in older and life in newer and older[life].end_s > newer[life].end_s:
            found[key] = row
    rows = sorted(found.values())
    for one, other in pairwise(rows):
        if one[:3] == other[:3] and one.resolution == "day" and other.start_s < one.end_s:
            raise InputError(
                f"days of {one.interface} are cut otherwise than those that were taken in before",
                hint="use the same --tz, or take the host out first: netusage hosts remove",
            )
    return rows


def tell(rows: Iterable[ImportedRow], zone: tzinfo) -> Told:
    """Tell the bytes of rows, each once."""
    lives: dict[tuple[str, int], dict[str, list[ImportedRow]]] = {}
    for row in rows:
        lives.setdefault((row.interface, row.created_s), {}).setdefault(row.resolution, []).append(row)
    told = Told([], [])
    for (name, created_s), lists in sorted(lives.items()):
        _tell_one(name, created_s, lists, zone, told)
    return Told(_summed(told.stretches), told.not_told)


def _tell_one(
    name: str, created_s: int, lists: dict[str, list[ImportedRow]], zone: tzinfo, told: Told
) -> None:
    """Tell what one interface counted since it was made known to vnStat."""
    (total,) = lists[TOTAL]
    telling = _Telling(name, (created_s, total.end_s), zone, told)
    for kind in _LEVELS:
        rows = sorted(lists.get(kind, ()))
        best = lists.get("top", ()) if kind == "day" else ()
        days = {row.start_s for row in rows}
        telling.add(sorted([*rows, *(row for row in best if row.start_s not in days)], key=_START))
        if rows:
            telling.complete_since(rows[0].start_s)
    telling.add_total(total)


class _Told(NamedTuple):
    """A row, with everything that is told within it."""

    start_s: int
    end_s: int
    rx_bytes: int
    tx_bytes: int


class _Telling:
    """What is told of one life of an interface.

    Args:
        name: the interface.
        bounds: from when to when vnStat counted it, UTC seconds.
        zone: for messages.
        told: what it is added to.
    """

    def __init__(self, name: str, bounds: tuple[int, int], zone: tzinfo, told: Told) -> None:
        self._name = name
        self._bounds = bounds
        self._zone = zone
        self._told = told
        self._rows: list[_Told] = []  # the coarsest so far, side by side
        self._complete_s = bounds[1]

    def complete_since(self, at_s: int) -> None:
        """From then on, a list has all that was counted: what a coarser row has beyond it was before."""
        self._complete_s = min(self._complete_s, at_s)

    def add(self, rows: Iterable[ImportedRow]) -> None:
        """Put the rows of a coarser list, by start, over what there is."""
        before, after = self._rows, []
        starts, ends = [row.start_s for row in before], [row.end_s for row in before]
        kept = 0
        for row in rows:
            low, high = bisect_left(starts, row.start_s), bisect_right(ends, row.end_s)
            begins_within = low > 0 and ends[low - 1] > row.start_s
            if begins_within or (high < len(starts) and starts[high] < row.end_s):
                self._note(row, "begins or ends within a finer row, and is left out")
                continue
            inside = before[low:high]
            after += before[kept:low]
            kept = max(kept, high)
            rx, tx = self._tell_rest(row, inside)
            after.append(_Told(row.start_s, row.end_s, rx + _sum(inside, 2), tx + _sum(inside, 3)))
        self._rows = after + before[kept:]

    def add_total(self, total: ImportedRow) -> None:
        """Tell what the total has beyond all lists."""
        self._tell_rest(total, self._rows)

    def _tell_rest(self, row: ImportedRow, inside: Sequence[_Told]) -> tuple[int, int]:
        """Tell what a row has beyond the finer ones within it, in the time that these leave; how much it is."""
        rx, tx = row.rx_bytes - _sum(inside, 2), row.tx_bytes - _sum(inside, 3)
        if rx < 0 or tx < 0:
            missing = max(0, -rx) + max(0, -tx)
            self._note(row, f"has {missing:,} bytes less than the finer rows within it, which are told")
        rx, tx = max(0, rx), max(0, tx)
        low, high = max(row.start_s, self._bounds[0]), min(row.end_s, self._bounds[1])
        if low >= high:  # a row that vnStat wrote at the very moment
            low, high = row.start_s, row.end_s
        left = _left(low, min(high, self._complete_s), inside) or _left(low, high, inside) or [(low, high)]
        self._spread(left, rx, tx)
        return rx, tx

    def _spread(self, left: Sequence[tuple[int, int]], rx: int, tx: int) -> None:
        """Bytes over stretches, in proportion to time."""
        whole, before = sum(end_s - start_s for start_s, end_s in left), 0
        for start_s, end_s in left:
            until = before + end_s - start_s
            parts = [number * until // whole - number * before // whole for number in (rx, tx)]
            if any(parts):
                self._told.stretches.append(Stretch(self._name, start_s, end_s, *parts))
            before = until

    def _note(self, row: ImportedRow, what: str) -> None:
        from netusage.periods import isoformat  # noqa: PLC0415  # as a rule there is nothing to say

        when = "" if row.resolution == TOTAL else f" of {isoformat(row.start_s, self._zone)}"
        self._told.not_told.append(f"{row.interface}: the {row.resolution}{when} {what}")


def _left(start_s: int, end_s: int, rows: Iterable[_Told]) -> list[tuple[int, int]]:
    """What rows, by start, leave of a stretch."""
    found = []
    for row in rows:
        if start_s < min(row.start_s, end_s):
            found.append((start_s, min(row.start_s, end_s)))
        start_s = max(start_s, row.end_s)
    if start_s < end_s:
        found.append((start_s, end_s))
    return found


def _sum(rows: Iterable[_Told], place: int) -> int:
    return sum(row[place] for row in rows)


def _summed(stretches: Iterable[Stretch]) -> list[Stretch]:
    """Stretches of the same time of one interface as one; two of its lives may have such."""
    found: dict[tuple[str, int, int], tuple[int, int]] = {}
    for name, start_s, end_s, rx, tx in stretches:
        sums = found.get((name, start_s, end_s), (0, 0))
        found[name, start_s, end_s] = (sums[0] + rx, sums[1] + tx)
    return [Stretch(*key, *sums) for key, sums in sorted(found.items())]


# ---- The local clock --------------------------------------------------------------------------------------------


def _clock(at: Sequence[int]) -> int:
    return clock_of_day(date(at[0], at[1], at[2])) + at[3] * 3600 + at[4] * 60 + at[5]


def _instant(at: Sequence[int], zone: tzinfo) -> int:
    return first_instant(_clock(at), zone)


def _stretch(kind: str, at: Sequence[int], zone: tzinfo, month_rotate: int) -> tuple[int, int]:
    """From when to when a row goes, UTC seconds; empty where the clock has never shown its time."""
    if kind in _LENGTHS_S:
        clock_s = _clock(at)
        start_s, end_s = first_instant(clock_s, zone), first_instant(clock_s + _LENGTHS_S[kind], zone)
        return start_s, _second_pass(clock_s, start_s, end_s, zone)
    first = date(at[0], at[1], at[2])
    if kind == "year":
        days = (date(first.year, 1, 1), date(first.year + 1, 1, 1))
    elif kind == "month":
        month = first.year * 12 + first.month - 1
        days = (month_start(month, month_rotate), month_start(month + 1, month_rotate))
    else:
        days = (first, date.fromordinal(first.toordinal() + 1))
    return first_instant(clock_of_day(days[0]), zone), first_instant(clock_of_day(days[1]), zone)


def _second_pass(clock_s: int, start_s: int, end_s: int, zone: tzinfo) -> int:
    """The end of a row: vnStat adds what it counts in the second pass of a repeated hour to the rows of the first."""
    for at_s, before, after in clock_changes(start_s, end_s + _DAY_S, zone):
        if after < before and at_s + after <= clock_s < at_s + before:
            return end_s + before - after if end_s <= at_s else end_s
    return end_s


def _name(kind: str, at: Sequence[int]) -> str:
    day = f"{at[0]:04}-{at[1]:02}-{at[2]:02}"
    return f"the {kind} of {day} {at[3]:02}:{at[4]:02}" if kind in _LENGTHS_S else f"the {kind} of {day}"
