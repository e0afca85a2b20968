"""Periods as sums of what hosts deliver: whole UTC months, whole UTC days of what is left, quarters of an hour of the rest.

And periods in SQL: which one a time lies in.
"""

from __future__ import annotations

from bisect import bisect_right
from itertools import pairwise
from math import gcd
from typing import TYPE_CHECKING, NamedTuple

from netusage.fleet.schema import (
    SHARE,
    SHARE_DAY,
    SHARE_MONTH,
    USAGE,
    USAGE_DAY,
    USAGE_MONTH,
    Table,
)
from netusage.fleet.utc import DAY_S, day_of, month_of, next_month, starts_within
from netusage.model import QUARTER_S

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

_MOST_STRETCHES = 200  # of one question: the server looks at each for each part of a table
_MOST_QUARTERS = 5_000_000  # of all hosts together in one statement: some seconds
_MOST_COMPARED = 64  # edges in one expression
FEW_HOSTS = 20  # whose rows take less time than long expressions
Stretch = tuple[int, int]


class Level(NamedTuple):
    """What sums are of: the tables of them."""

    usage: Table
    share: Table


MONTHS, DAYS, QUARTERS = (
    Level(USAGE_MONTH, SHARE_MONTH),
    Level(USAGE_DAY, SHARE_DAY),
    Level(USAGE, SHARE),
)


def stretches(edges: Sequence[int], *, has_sums: bool) -> dict[Level, list[Stretch]]:
    """What the periods between ascending edges (UTC seconds) are made of: ascending stretches of each level.

    Stretches that touch are one, also over an edge. Where they would be too many, it is quarters alone.

    Args:
        edges: of the periods.
        has_sums: whether there are sums of days and months.
    """
    found: dict[Level, list[Stretch]] = {MONTHS: [], DAYS: [], QUARTERS: []}
    for start_s, end_s in pairwise(edges) if has_sums else ():
        months = _whole(start_s, end_s, month_of, next_month)
        for low, high in ((start_s, months[0]), (months[1], end_s)):
            days = _whole(low, high, day_of, lambda at_s: at_s + DAY_S)
            _add(found[QUARTERS], low, days[0])
            _add(found[DAYS], *days)
            _add(found[QUARTERS], days[1], high)
        _add(found[MONTHS], *months)
    for own in found.values():
        own.sort()
    joined = {level: _joined(own) for level, own in found.items() if own}
    if not has_sums or sum(map(len, joined.values())) > _MOST_STRETCHES:
        return {QUARTERS: [(edges[0], edges[-1])]}
    return joined


def in_turns(
    levels: Mapping[Level, list[Stretch]], hosts: int, rows_a_quarter: int = 1
) -> Iterator[dict[Level, list[Stretch]]]:
    """The same in as many parts as there have to be statements, so that a server is not silent for long.

    Args:
        levels: of `stretches`.
        hosts: of how many it is asked.
        rows_a_quarter: about how many rows each of them has for a quarter.
    """
    longest_s = max(_MOST_QUARTERS // (hosts * rows_a_quarter) * QUARTER_S // DAY_S, 1) * DAY_S
    quarters = levels.get(QUARTERS, [])
    if sum(high - low for low, high in quarters) <= longest_s:
        yield dict(levels)
        return
    others = {level: own for level, own in levels.items() if level is not QUARTERS}
    if others:
        yield others
    some: list[Stretch] = []
    for low, high in quarters:
        start_s = low
        while start_s < high:
            end_s = min(day_of(start_s) + longest_s, high)
            some.append((start_s, end_s))
            start_s = end_s
            if sum(end_s - start_s for start_s, end_s in some) >= longest_s:
                yield {QUARTERS: some}
                some = []
    if some:
        yield {QUARTERS: some}


def end_of(level: Level, start_s: int) -> int:
    """Where a row of a level ends that begins then, UTC seconds."""
    if level is MONTHS:
        return next_month(start_s)
    return start_s + (DAY_S if level is DAYS else QUARTER_S)


def within(some: Iterable[Stretch], table: Table) -> str:
    """What rows of a table fulfil that start in one of the stretches."""
    return f"({' OR '.join(starts_within(*stretch, by_day=table.by_day) for stretch in some)})"


def _whole(
    start_s: int, end_s: int, of: Callable[[int], int], after: Callable[[int], int]
) -> tuple[int, int]:
    """The whole days, or months, in a stretch: one from and to, both its start when there are none."""
    low, high = of(start_s), of(end_s)
    if low < start_s:
        low = after(low)
    return (low, high) if low < high else (start_s, start_s)


def _add(to: list[Stretch], low: int, high: int) -> None:
    if low < high:
        to.append((low, high))


def _joined(ascending: Sequence[Stretch]) -> list[Stretch]:
    found: list[Stretch] = []
    for low, high in ascending:
        if found and found[-1][1] == low:
            found[-1] = (found[-1][0], high)
        else:
            found.append((low, high))
    return found


# ---- Periods in SQL ---------------------------------------------------------------------------------------------


class Periods:
    """Which of the periods between ascending edges a time lies in, in SQL as far as that is quick there.

    Args:
        edges: UTC seconds, or any other unit that `expression` is asked in.
        hosts: of how many it is asked.
    """

    def __init__(self, edges: Sequence[int], hosts: int) -> None:
        self.count = len(edges) - 1
        self._edges = edges
        steps = {high - low for low, high in pairwise(edges)}
        self._step = steps.pop() if len(steps) == 1 else 0
        if not self._step and (self.count > _MOST_COMPARED or hosts <= FEW_HOSTS):
            self._step = gcd(*(high - low for low, high in pairwise(edges)))
            self._is_bucket = True
        else:
            self._is_bucket = False

    def expression(self, time: str) -> str:
        """An Int64 that tells the period; `time`: an Int64 in SQL, from the first edge on."""
        if self.count == 1:
            return "materialize(toInt64(0))"  # servers of a cluster take no constant from one another
        if self._step:
            return f"intDiv({time} - {self._edges[0]}, {self._step})"
        return f"toInt64({' + '.join(f'({time} >= {edge})' for edge in self._edges[1:-1])})"

    def numbers(self, told: list[int]) -> list[int]:
        """The numbers of the periods, of what the expression has told."""
        if not self._is_bucket:
            return told
        first, step, edges = self._edges[0], self._step, self._edges
        known = {one: bisect_right(edges, first + one * step) - 1 for one in set(told)}
        return [known[one] for one in told]
