"""What interfaces of a fleet counted, by groups and periods: the store adds up, and what is estimated is split here.

Sums wrap at 2^64 in ClickHouse without a word: every statement tells as well whether one could have, and is asked again in
halves then.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from netusage.fleet.halves import COUNTERS, halves, joined, sums_of_halves
from netusage.fleet.levels import FEW_HOSTS, Periods, in_turns, stretches, within
from netusage.fleet.schema import SPAN
from netusage.ledger.usage_queries import split
from netusage.model import US

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from netusage.fleet.levels import Level, Stretch
    from netusage.fleet.members import Asked, Grouping, Members

BYTES = COUNTERS[:2]
TIME = "toInt64(toUInt32(start))"


class Sums:
    """Numbers by group and period, for each of some columns.

    Attributes:
        columns: of each, the periods of the first group, then those of the next one.
    """

    def __init__(self, groups: int, periods: int, width: int) -> None:
        self.periods = periods
        self.columns = [[0] * (groups * periods) for _ in range(width)]

    def add(self, places: Sequence[int], columns: Sequence[Sequence[int]], first: int = 0) -> None:
        """Add numbers to places (group * periods + period), to the columns from `first` on."""
        for own, more in zip(self.columns[first:], columns, strict=False):
            for place, number in zip(places, more, strict=True):
                own[place] += number


def counted(
    asked: Asked,
    members: Members,
    groups: Sequence[Sequence[int]],
    edges: Sequence[int],
    *,
    packets: bool = True,
) -> Sums:
    """By group and period, what was counted and what is estimated: columns as the fields of `Usage`.

    Args:
        asked: the store.
        members: of which the groups are.
        groups: numbers of interfaces, at least one.
        edges: ascending UTC seconds, at least two.
        packets: without them, they are 0.
    """
    names = COUNTERS if packets else BYTES
    grouping = members.grouping(groups)
    sums, periods = Sums(len(groups), len(edges) - 1, 6), Periods(edges, grouping.hosts)
    sums.add(*_of_quarters(asked, grouping, periods, edges, names, has_sums=members.has_sums))
    for places, columns in _of_spans(asked, grouping, edges, names):
        sums.add(places, columns)
        sums.add(places, columns[:2], first=4)
    return sums


def select_sums(
    names: Sequence[str], columns: Sequence[str], source: str, *, more: Sequence[str] = (), in_halves: bool
) -> str:
    """A statement with sums, by some columns.

    Args:
        names: of the numbers that are added up.
        columns: what is told apart; expressions, with names of their own where they need one.
        source: FROM and WHERE.
        more: further aggregates, after the sums.
        in_halves: the upper and the lower 32 bits of each number apart; otherwise the last column of the answer says
            whether a sum may have wrapped.
    """
    if in_halves:
        sums, guard = sums_of_halves(names), []
    else:
        sums = [f"sum({name})" for name in names]
        every = names[0]
        for name in names[1:]:
            every = f"bitOr({every}, {name})"
        guard = [f"max({every}) > intDiv(18446744073709551615, greatest(count(), 1))"]
    by = [column.rpartition(" AS ")[2] for column in columns]
    grouped = f" GROUP BY {', '.join(by)}" if by else ""
    return f"SELECT {', '.join([*columns, *sums, *more, *guard])} {source}{grouped}"


def ask_in_turns(
    asked: Asked,
    turns: Iterable[dict[Level, list[Stretch]]],
    statement: Callable[[dict[Level, list[Stretch]], bool], str],
    names: int,
    before: int,
) -> list[list[Any]]:
    """The answers to several statements one after the other; otherwise as `ask_sums`.

    Args:
        asked: the store.
        turns: of `levels.in_turns`.
        statement: makes one, out of a turn and whether it is in halves.
        names: as for `ask_sums`.
        before: as for `ask_sums`.
    """
    found: list[list[Any]] = []
    for turn in turns:
        columns = ask_sums(asked, partial(statement, turn), names, before)
        found = [[*known, *more] for known, more in zip(found, columns, strict=True)] if found else columns
    return found


def ask_sums(asked: Asked, statement: Callable[[bool], str], names: int, before: int) -> list[list[Any]]:
    """The answer to a statement of `select_sums`, with whole sums and without what guards them.

    Args:
        asked: the store.
        statement: makes it, out of whether it is in halves.
        names: how many sums there are.
        before: how many columns stand before them.
    """
    columns = asked.columns(statement(False))
    if not any(columns.pop()):
        return columns
    columns = asked.columns(statement(True))
    both = columns[before : before + 2 * names]
    sums = [list(map(joined, *pair)) for pair in zip(both[::2], both[1::2], strict=True)]
    return [*columns[:before], *sums, *columns[before + 2 * names :]]


def _of_quarters(
    asked: Asked,
    grouping: Grouping,
    periods: Periods,
    edges: Sequence[int],
    names: Sequence[str],
    *,
    has_sums: bool,
) -> tuple[list[int], list[list[int]]]:
    """Places, and numbers for each."""
    told = [*grouping.columns, f"{periods.expression(TIME)} AS period"]

    def statement(levels: dict[Level, list[Stretch]], in_halves: bool) -> str:
        return " UNION ALL ".join(
            select_sums(
                names,
                told,
                f"FROM {asked.table(level.usage.name)} FINAL WHERE {grouping.condition} AND {within(own, level.usage)}",
                in_halves=in_halves,
            )
            for level, own in levels.items()
        )

    turns = in_turns(stretches(edges, has_sums=has_sums), grouping.hosts)
    columns = ask_in_turns(asked, turns, statement, len(names), len(told))
    return placed(grouping, periods, columns)


def placed(
    grouping: Grouping, periods: Periods, columns: list[list[Any]]
) -> tuple[list[int], list[list[int]]]:
    """Places and numbers of rows that begin with the columns of a grouping and the period; of groups only."""
    width = len(grouping.columns)
    numbers = periods.numbers(columns[width])
    count = periods.count
    groups = list(grouping.of_rows(columns))
    rest = columns[width + 1 :]
    if None in groups:
        known = [n for n, g in enumerate(groups) if g is not None]
        rest = [[column[n] for n in known] for column in rest]
        groups, numbers = [groups[n] for n in known], [numbers[n] for n in known]
    if count == 1:
        return groups, rest  # type: ignore[return-value]  # none is None
    return [g * count + n for g, n in zip(groups, numbers, strict=True)], rest  # type: ignore[operator]  # as above


def _of_spans(
    asked: Asked, grouping: Grouping, edges: Sequence[int], names: Sequence[str]
) -> Iterator[tuple[list[int], list[list[int]]]]:
    """The same of estimated stretches: of many hosts the store adds up those in one period; the others are split here."""
    edges_us = [at * US for at in edges]
    periods = Periods(edges_us, grouping.hosts)
    inside = f"start_us >= {edges_us[0]} AND end_us <= {edges_us[-1]} AND end_us > start_us"
    if periods.count > 1:
        inside += f" AND {periods.expression('start_us')} = {periods.expression('(end_us - 1)')}"
    source = (
        f"FROM {asked.table(SPAN.name)} FINAL WHERE because != '' AND {grouping.condition} "
        f"AND start_us < {edges_us[-1]} AND end_us > {edges_us[0]}"
    )
    where = [*grouping.columns, f"{periods.expression('start_us')} AS period"]
    stretch = ["toInt64(0) AS from_us", "toInt64(0) AS until_us"]

    def statement(in_halves: bool) -> str:
        numbers = [f"toUInt64({part})" for name in names for part in (halves(name) if in_halves else (name,))]
        alone = [*grouping.columns, "materialize(toInt64(0)) AS period", "start_us", "end_us", *numbers]
        guard = [] if in_halves else ["toUInt8(0)"]
        each = f"SELECT {', '.join(alone + guard)} {source}"
        if grouping.hosts <= FEW_HOSTS:
            return each
        whole = select_sums(names, where + stretch, f"{source} AND ({inside})", in_halves=in_halves)
        return f"{whole} UNION ALL {each} AND NOT ({inside})"

    columns = ask_sums(asked, statement, len(names), len(where) + 2)
    width = len(where)
    starts, ends = columns[width : width + 2]
    del columns[width : width + 2]
    whole = [n for n, end_us in enumerate(ends) if not end_us and not starts[n]]
    yield placed(grouping, periods, [[column[n] for n in whole] for column in columns])
    places: list[int] = []
    parts: list[list[int]] = [[] for _ in names]
    groups = list(grouping.of_rows(columns))
    for n, g in enumerate(groups):
        if g is None or not (starts[n] or ends[n]):
            continue
        numbers = [column[n] for column in columns[width:]]
        for place, part in split(edges_us, starts[n], ends[n], numbers):
            places.append(g * periods.count + place)
            for own, number in zip(parts, part, strict=True):
                own.append(number)
    yield places, parts
