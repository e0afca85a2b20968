"""The busiest periods out of thousands, without summing up every one of them.

What a period counted is no more than from the last odometer before it to the first one after it. Only where that
may be enough, the quarters between odometer and boundary are added; only the busiest are summed up in full.
"""

import heapq
import json
import sqlite3
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Sequence
from operator import add, sub

from netusage.ledger import usage_queries
from netusage.ledger.answers import LedgerState, Usage
from netusage.ledger.rate_queries import set_stretches
from netusage.ledger.schema import ODOMETER_S
from netusage.model import QUARTER_S

_DAY_S = 86_400
_AT_FIRST = 20
# The odometers of some times of the day: (at_s + shift) % 86400 <= width.
_ODOMETERS = """
SELECT m.interface_id, count(*), min(at_s), max(at_s), json_group_array(rx_bytes + tx_bytes) FROM member m
CROSS JOIN odometer o ON o.interface_id = m.interface_id
WHERE (at_s + ?) % 86400 <= ? GROUP BY m.interface_id
"""
_WHEN = "SELECT at_s FROM odometer WHERE interface_id = ? AND (at_s + ?) % 86400 <= ? ORDER BY at_s"
_NEWEST = """
SELECT m.interface_id, coalesce((SELECT sum(rx_bytes + tx_bytes) FROM quarter q WHERE q.interface_id = m.interface_id
  AND q.start_s >= coalesce((SELECT max(at_s) FROM odometer o WHERE o.interface_id = m.interface_id
    AND (at_s + ?1) % 86400 <= ?2), -1 << 62)), 0)
  + coalesce((SELECT sum(rx_bytes + tx_bytes) FROM minute t
    WHERE t.start_s >= ?3 AND t.interface_id = m.interface_id), 0)
FROM member m
"""
_BETWEEN = """
SELECT n, sum(rx_bytes + tx_bytes) FROM stretch s CROSS JOIN member m
CROSS JOIN quarter q ON q.interface_id = m.interface_id AND q.start_s >= s.start_s AND q.start_s < s.end_s GROUP BY n
"""


def busiest(
    connection: sqlite3.Connection, state: LedgerState, ids: Sequence[int], edges: Sequence[int], count: int
) -> list[tuple[int, Usage]]:
    """See `LedgerReader.busiest`."""
    if len(edges) < 2:
        return []
    try:
        found = _likely(connection, state, ids, edges, count)
    except (sqlite3.OperationalError, OverflowError) as error:
        if "overflow" not in str(error):
            raise
        found = dict(enumerate(usage_queries.usage(connection, state, [ids], edges)[0]))
    ranked = sorted(found, key=lambda n: (-found[n].total_bytes, n))
    return [(n, found[n]) for n in ranked[:count] if found[n].total_bytes]


def _likely(
    connection: sqlite3.Connection, state: LedgerState, ids: Sequence[int], edges: Sequence[int], count: int
) -> dict[int, Usage]:
    """The exact usage of every period that may be among the busiest."""
    usage_queries.set_members(connection, [ids])
    spans: defaultdict[int, list[int]] = defaultdict(lambda: [0] * len(Usage._fields))
    usage_queries.add_spans(connection, [spans], edges)
    extra = [0] * (len(edges) - 1)
    for n, span in spans.items():
        extra[n] = span[0] + span[1]
    search = _Search(connection, state, edges, extra)
    search.refine(search.highest(max(2 * count, _AT_FIRST)))
    search.refine(search.above(search.least_of(count)))
    likely = search.above(search.least_of(count))
    places = sorted({edges[n + side] for n in likely for side in (0, 1)})
    if not places:
        return {}
    numbers = {at: n for n, at in enumerate(places)}
    sums = usage_queries.sums(connection, state, 1, places)[0]
    return {n: Usage(*map(add, sums[numbers[edges[n]]], spans[n])) for n in likely}


class _Search:
    """Bounds of the running total at each edge, of all members together, and what follows for the periods.

    Args:
        connection, state: the ledger, with its members set.
        edges: as for `busiest`.
        extra: bytes of each period that are in no quarter.

    Raises:
        OverflowError: numbers too large to be compared exactly.
    """

    def __init__(
        self, connection: sqlite3.Connection, state: LedgerState, edges: Sequence[int], extra: Sequence[int]
    ) -> None:
        self._connection = connection
        self._state = state
        self._edges = edges
        self._extra = extra
        self._floors = [at // ODOMETER_S * ODOMETER_S for at in edges]
        self._ceilings = [-(-at // ODOMETER_S) * ODOMETER_S for at in edges]
        grid, self._grid_low, self._grid_high = self._totals()
        self._place = dict(zip(grid, range(len(grid)), strict=True))
        self._low = [self._grid_low[self._place[at]] for at in self._floors]
        self._high = [self._grid_high[self._place[at]] for at in self._ceilings]

    def above(self, least: int) -> list[int]:
        """The periods that may have counted so much, and anything at all."""
        least = max(least, 1)
        return [n for n, bound in enumerate(self._bounds()) if bound >= least]

    def highest(self, count: int) -> list[int]:
        """The periods that may have counted most."""
        bounds = self._bounds()
        return heapq.nlargest(count, range(len(bounds)), key=bounds.__getitem__)

    def _bounds(self) -> list[int]:
        return list(map(add, map(sub, self._high[1:], self._low), self._extra))

    def least_of(self, count: int) -> int:
        """What the `count` busiest periods have counted at least, each."""
        known = sorted(map(add, map(sub, self._low[1:], self._high), self._extra))
        return known[-count] if len(known) >= count else 0

    def refine(self, periods: Sequence[int]) -> None:
        """Make the bounds at both edges of these periods exact, as far as odometers and quarters tell."""
        signs: dict[int, int] = {}
        rows = []
        for n in sorted({n + side for n in periods for side in (0, 1)}):
            at, floor, ceiling = self._edges[n], self._floors[n], self._ceilings[n]
            if self._low[n] == self._high[n] or at > self._state.sealed_until_s or at % QUARTER_S:
                continue
            near = floor if at - floor <= ceiling - at else ceiling
            place = self._place[near]
            if self._grid_low[place] != self._grid_high[place]:
                continue  # an interface was idle there
            signs[n] = 1 if near == floor else -1
            self._low[n] = self._high[n] = self._grid_low[place]
            rows.append((n, min(near, at), max(near, at)))
        set_stretches(self._connection, rows)
        for n, total in self._connection.execute(_BETWEEN):
            self._low[n] += signs[n] * total
            self._high[n] = self._low[n]

    def _totals(self) -> tuple[list[int], list[int], list[int]]:
        """Places of the odometers' grid around the edges, and the running totals there: at least, and at most."""
        arc = _arc({at % _DAY_S for at in (*self._floors, *self._ceilings)})
        end = self._ceilings[-1] + 1
        first_day = [
            at
            for at in range(self._floors[0], self._floors[0] + _DAY_S, ODOMETER_S)
            if (at + arc[0]) % _DAY_S <= arc[1]
        ]
        grid = [
            day + at for day in range(0, end - self._floors[0], _DAY_S) for at in first_day if day + at < end
        ]
        newest = dict(self._connection.execute(_NEWEST, (*arc, self._state.sealed_until_s)))
        rows = {row[0]: row[1:] for row in self._connection.execute(_ODOMETERS, arc)}
        low, high = [0] * len(grid), [0] * len(grid)
        for i, after in newest.items():
            count, first, last, text = rows.get(i, (0, 0, 0, "[]"))
            totals = json.loads(text)
            if isinstance(sum(totals) + after, float):  # what SQLite makes of a sum above 2^63
                raise OverflowError("overflow")
            at = grid[bisect_left(grid, first) : bisect_right(grid, last)] if count else []
            if len(at) != count:  # it was idle in between
                at = [row[0] for row in self._connection.execute(_WHEN, (i, *arc))]
            below, above = _on_grid(grid, at, totals, after)
            low = list(map(add, low, below))
            high = list(map(add, high, above))
        return grid, low, high


def _arc(times: set[int]) -> tuple[int, int]:
    """The narrowest stretch of the day that has all these times of the day, as `shift` and `width` of the query."""
    return min(
        ((-first % _DAY_S, max((at - first) % _DAY_S for at in times)) for first in times), key=lambda a: a[1]
    )


def _on_grid(grid: list[int], at: list[int], totals: list[int], after: int) -> tuple[list[int], list[int]]:
    """The running total of one interface at each place of the grid: at least, and at most.

    at, totals: its odometers. after: what it counted since the last of them.
    """
    last = totals[-1] if totals else 0
    if at and grid[0] <= at[0] and at == grid[(start := bisect_left(grid, at[0])) : start + len(at)]:
        behind = len(grid) - start - len(at)
        below = [0] * start + totals + [last] * behind
        above = [totals[0]] * start + totals + [last + after] * behind
        return below, above
    padded = [0, *totals, last + after]
    return (
        [padded[bisect_right(at, place)] for place in grid],
        [padded[bisect_left(at, place) + 1] for place in grid],
    )
