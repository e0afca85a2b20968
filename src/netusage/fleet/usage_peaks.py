"""The highest rates of a fleet's interfaces: how high from the coarsest sums there are, then when, down to the quarter."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING, Any, NamedTuple

from netusage.fleet.levels import DAYS, QUARTERS, Periods, end_of, in_turns, stretches, within
from netusage.fleet.members import COLUMNS, among
from netusage.fleet.usage_sums import TIME, placed
from netusage.ledger.answers import Peak, Peaks

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from netusage.fleet.levels import Level, Stretch
    from netusage.fleet.members import Asked, Key, Members

_AT_ONCE = 1000  # rates that are looked for in one statement
_MOST_STRETCHES = 200  # of time, likewise
_WAYS = ("peak_rx", "peak_tx")
_Place = tuple[int, int]  # group * periods + period, and the way


class _Question(NamedTuple):
    """What is asked for, and the stretches of each level that make it up."""

    asked: Asked
    members: Members
    groups: Sequence[Sequence[int]]
    edges: Sequence[int]
    levels: Mapping[Level, list[Stretch]]


class _Found(NamedTuple):
    """A row that has a rate: the place of its interface in the group, its stretch, UTC seconds, and whose it is."""

    order: int
    start_s: int
    end_s: int
    key: Key


def peaks(
    asked: Asked, members: Members, groups: Sequence[Sequence[int]], edges: Sequence[int]
) -> list[list[Peaks]]:
    """The highest rate of any one interface of each group between every two edges; see `Record.peaks`.

    Of interfaces with the same rate it is the first of the group, of quarters of an hour the earliest.
    """
    question = _Question(asked, members, groups, edges, stretches(edges, has_sums=members.has_sums))
    count = len(edges) - 1
    rates = _rates(question)
    found = _rows_with(question, rates)
    for finer in (DAYS, QUARTERS):
        found = _narrowed(asked, finer, found, rates)
    numbers = members.numbers()

    def peak(place: int, way: int) -> Peak | None:
        one = found.get((place, way))
        if one is None:
            return None
        return Peak(rates[place, way], one.start_s, one.end_s - one.start_s, numbers[one.key])

    return [
        [Peaks(peak(place, 0), peak(place, 1)) for place in range(g * count, (g + 1) * count)]
        for g in range(len(groups))
    ]


def _rates(question: _Question) -> dict[_Place, int]:
    """How high they are; without those that are zero."""
    asked, members, groups, edges, levels = question
    grouping = members.grouping(groups)
    periods = Periods(edges, grouping.hosts)
    told = [*grouping.columns, f"{periods.expression(TIME)} AS period"]
    by = ", ".join([*grouping.columns, "period"])
    rates: dict[_Place, int] = {}
    for turn in in_turns(levels, grouping.hosts):
        columns = asked.columns(
            " UNION ALL ".join(
                f"SELECT {', '.join(told)}, max(peak_rx), max(peak_tx) FROM {asked.table(level.usage.name)} FINAL "  # noqa: S608  # quoted
                f"WHERE {grouping.condition} AND {within(own, level.usage)} GROUP BY {by}"
                for level, own in turn.items()
            )
        )
        places, ways = placed(grouping, periods, columns)
        for way, numbers in enumerate(ways):
            for place, rate in zip(places, numbers, strict=True):
                if rate > rates.get((place, way), 0):
                    rates[place, way] = rate
    return rates


def _rows_with(question: _Question, rates: Mapping[_Place, int]) -> dict[_Place, _Found]:
    """The first row, of any level, that has the rate of each place."""
    asked, members, groups, edges, levels = question
    found: dict[_Place, _Found] = {}
    each = members.each(number for ids in groups for number in ids)
    orders = {number: (g, order) for g, ids in enumerate(groups) for order, number in enumerate(ids)}
    for level, own in (pair for turn in in_turns(levels, each.hosts) for pair in turn.items()):
        where = f"{each.condition} AND {within(own, level.usage)}"
        for key, start_s, *highest in _rows(asked, level, where, rates.values()):
            number = each.places.get(key)
            if number is None:
                continue
            g, order = orders[number]
            period = bisect_right(edges, start_s) - 1
            for way, rate in enumerate(highest):
                place = (g * (len(edges) - 1) + period, way)
                if rates.get(place) == rate:
                    row = _Found(order, start_s, end_of(level, start_s), key)
                    found[place] = min(found.get(place, row), row)
    return found


def _narrowed(
    asked: Asked, level: Level, found: Mapping[_Place, _Found], rates: Mapping[_Place, int]
) -> dict[_Place, _Found]:
    """Rows of sums, where they are longer than those of a level, replaced by the first row of that which has the rate.

    What a delivery has changed meanwhile stays as it is.
    """
    narrowed = dict(found)
    width = end_of(level, 0)
    coarse = [place for place, row in found.items() if row.end_s - row.start_s > width]
    for first in range(0, len(coarse), _AT_ONCE):
        some = coarse[first : first + _AT_ONCE]
        rows = [found[place] for place in some]
        some_time = sorted({(row.start_s, row.end_s) for row in rows})
        if len(some_time) > _MOST_STRETCHES:
            some_time = [(some_time[0][0], max(end_s for _, end_s in some_time))]
        where = f"host IN ({among({row.key[0] for row in rows})}) AND {within(some_time, level.usage)}"
        starts: dict[tuple[Key, int, int], list[int]] = {}
        for key, start_s, *highest in _rows(asked, level, where, (rates[place] for place in some)):
            for way, rate in enumerate(highest):
                starts.setdefault((key, way, rate), []).append(start_s)
        for place, row in zip(some, rows, strict=True):
            own = sorted(starts.get((row.key, place[1], rates[place]), ()))
            n = bisect_left(own, row.start_s)
            if n < len(own) and own[n] < row.end_s:
                narrowed[place] = row._replace(start_s=own[n], end_s=end_of(level, own[n]))
    return narrowed


def _rows(asked: Asked, level: Level, where: str, rates: Iterable[int]) -> Iterator[tuple[Any, ...]]:
    """Rows that have one of some rates: key, start, and the highest of both ways."""
    every = sorted(set(rates))
    for first in range(0, len(every), _AT_ONCE):
        some = ", ".join(map(str, every[first : first + _AT_ONCE]))
        columns = asked.columns(
            f"SELECT {', '.join(COLUMNS)}, toUInt32(start), {', '.join(_WAYS)} "  # noqa: S608  # quoted
            f"FROM {asked.table(level.usage.name)} FINAL WHERE {where} AND (peak_rx IN ({some}) OR peak_tx IN ({some}))"
        )
        yield from zip(zip(*columns[:3], strict=True), *columns[3:], strict=True)
