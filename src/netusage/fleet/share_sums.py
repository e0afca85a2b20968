"""What applications had of a fleet's interfaces: sums by groups and periods, and rows as they were delivered."""

from __future__ import annotations

from operator import add
from typing import TYPE_CHECKING, Any

from netusage.fleet.halves import COUNTED, COUNTERS
from netusage.fleet.levels import (
    DAYS,
    MONTHS,
    QUARTERS,
    Periods,
    in_turns,
    stretches,
    within,
)
from netusage.fleet.members import COLUMNS, in_order
from netusage.fleet.usage_sums import TIME, ask_in_turns, select_sums
from netusage.fleet.utc import DAY_S
from netusage.ledger.answers import SeenRecord, ShareRecord
from netusage.model import QUARTER_S, US, Counters, Who

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from netusage.fleet.levels import Level, Stretch
    from netusage.fleet.members import Asked, Grouping, Members

# How the store calls the fields of `Who`.
_WHO = dict(
    zip(Who._fields, ("who_kind", "application", "path", "user", "unit", "container", "pod"), strict=True)
)
_OTHERS = ("scope", "protocol", "family")
_EVERY_WHO = ", ".join(_WHO.values())
_MOST_FOR_QUARTERS = 20  # hosts that are few enough for looking at all quarters
# FINAL has one thread in old versions, so sums over all hosts are asked for in two parts at once; keys are hexadecimal.
_PARTS = ("host < '8'", "host >= '8'")
_ROWS_A_QUARTER = 8  # of applications, about
_FIRST_WINDOW_S, _LONGEST_WINDOW_S = DAY_S, 64 * DAY_S
_FEW_ROWS, _MANY_ROWS = 20_000, 200_000


def by_period(
    asked: Asked,
    members: Members,
    groups: Sequence[Sequence[int]],
    edges: Sequence[int],
    fields: Collection[str],
) -> list[list[list[ShareRecord]]]:
    """See `Record.shares_by_period`."""
    grouping = members.grouping(groups)
    periods = Periods(edges, grouping.hosts)
    told = [name for name in Who._fields if name in fields]
    others = [name for name in _OTHERS if name in fields]
    by = [
        *grouping.columns,
        f"{periods.expression(TIME)} AS period",
        *(_WHO[name] for name in told),
        *others,
    ]
    wanted = {*by, *COUNTERS}
    parts = _PARTS if members.are_all and "host" not in grouping.columns else ("1",)

    def statement(levels: dict[Level, list[Stretch]], in_halves: bool) -> str:
        return " UNION ALL ".join(
            select_sums(
                COUNTERS,
                by,
                f"FROM {level.share.unfolded(asked.table(level.share.name), wanted)} "
                f"WHERE {part} AND {grouping.condition} AND {within(own, level.share)}"
                f"{'' if level.share.lists else f' AND {COUNTED}'}",
                more=[f"max({QUARTER_S if level.share.lists else 'seconds'})"],
                in_halves=in_halves,
            )
            for level, own in levels.items()
            for part in parts
        )

    turns = in_turns(stretches(edges, has_sums=members.has_sums), grouping.hosts, _ROWS_A_QUARTER)
    columns = ask_in_turns(asked, turns, statement, len(COUNTERS), len(by))
    found: list[list[list[ShareRecord]]] = [[[] for _ in edges[1:]] for _ in groups]
    whos: dict[tuple[str, ...], Who] = {}
    for (g, n, *words), (*counters, seconds) in _joined(grouping, periods, columns).items():
        own = tuple(words[: len(told)])
        who = whos.get(own)
        if who is None:
            who = whos[own] = Who(**{"kind": "", **dict(zip(told, own, strict=True))})
        scope, protocol, family = map(
            dict(zip(others, words[len(told) :], strict=True)).get, _OTHERS, (0, 0, 0)
        )
        record = ShareRecord(who, groups[g][0], scope, protocol, family, Counters(*counters), seconds)
        found[g][n].append(record)
    return found


def _joined(
    grouping: Grouping, periods: Periods, columns: list[list[Any]]
) -> dict[tuple[Any, ...], Sequence[int]]:
    """Sums by group, period and what else is told apart: those of several levels as one."""
    width = len(grouping.columns)
    numbers = columns[-5:]
    keys = zip(
        grouping.of_rows(columns), periods.numbers(columns[width]), *columns[width + 1 : -5], strict=True
    )
    found: dict[tuple[Any, ...], Sequence[int]] = {}
    for key, row in zip(keys, zip(*numbers, strict=True), strict=True):
        if key[0] is None:
            continue
        before = found.get(key)
        if before is None:
            found[key] = row
        else:
            sums = map(add, before[:4], row[:4])
            found[key] = (*sums, max(before[4], row[4]))
    return found


class Applications:
    """The applications of a fleet, which get numbers here, and their rows.

    Args:
        asked: the store.
        members: whose.
    """

    def __init__(self, asked: Asked, members: Members) -> None:
        self._asked, self._members = asked, members
        self._numbers: dict[tuple[str, ...], int] = {}
        self._known: dict[int, Who] | None = None

    def all(self) -> dict[int, Who]:
        """Every application, by number; those that `rows` meets for the first time are added."""
        if self._known is None:
            self._known = {}
            # Names alone, whatever they have: no FINAL, which would open every month.
            share = (MONTHS if self._members.has_sums else QUARTERS).share
            source = share.unfolded(self._asked.table(share.name), _WHO.values(), final=False)
            # not DISTINCT, which 18.16 forgets over lists
            sql = f"SELECT {_EVERY_WHO} FROM {source} WHERE {self._members.hosts_condition()} GROUP BY {_EVERY_WHO}"  # noqa: S608  # quoted
            for words in sorted(zip(*self._asked.columns(sql), strict=True)):
                self._number(words)
        return self._known

    def _number(self, words: tuple[str, ...]) -> int:
        known = self.all()
        number = self._numbers.get(words)
        if number is None:
            number = self._numbers[words] = len(self._numbers) + 1
            known[number] = Who(*words)
        return number

    def rows(self, since_s: int) -> Iterator[tuple[int, ...]]:
        """See `Record.share_rows`; a stretch of time is in memory, as long as it has few rows."""
        known = self._members.numbers()
        table = self._asked.table(QUARTERS.share.name)
        hosts = self._members.hosts_condition()
        sql = f"SELECT toUInt32(min(start)), toUInt32(max(start)) + 1, count() FROM {table} WHERE {hosts} AND start >= toDateTime({max(since_s, 0)})"  # noqa: S608  # quoted
        ((first_s,), (end_s,), (number,)) = self._asked.columns(sql)
        low, width = first_s, _FIRST_WINDOW_S
        while number and low < end_s:
            sql = (
                f"SELECT {', '.join(COLUMNS)}, {_EVERY_WHO}, toUInt32(start) AS start_s, "  # noqa: S608  # quoted
                f"scope, protocol, rx_bytes, tx_bytes, seconds FROM {table} FINAL WHERE {hosts} "
                f"AND {within([(low, low + width)], QUARTERS.share)} AND {COUNTED}"
            )
            columns = self._asked.columns(in_order(sql, "start_s"))
            interfaces = map(known.get, zip(*columns[:3], strict=True))
            whos = zip(*columns[3:10], strict=True)
            for interface, who, start_s, *rest in zip(interfaces, whos, *columns[10:], strict=True):
                if interface is not None:
                    yield (start_s, self._number(who), interface, *rest)
            low += width
            if len(columns[0]) < _FEW_ROWS:
                width = min(2 * width, _LONGEST_WINDOW_S)
            elif len(columns[0]) > _MANY_ROWS:
                width = max(width // 2, QUARTER_S)

    def seen(self) -> list[SeenRecord]:
        """When each had anything first and last: by quarters of an hour, of many hosts with sums by UTC days.

        How many executables it had is not delivered.
        """
        members = self._members
        by_day = members.has_sums and len(members.names) > _MOST_FOR_QUARTERS
        level, width = (DAYS, DAY_S) if by_day else (QUARTERS, QUARTER_S)
        columns = ["host"] if members.are_many else []
        source = level.share.unfolded(self._asked.table(level.share.name), (*_WHO.values(), *COUNTERS))
        sql = (
            f"SELECT {', '.join([*columns, _EVERY_WHO])}, toUInt32(min(start)), toUInt32(max(start)) "  # noqa: S608  # quoted
            f"FROM {source} "
            f"WHERE {members.hosts_condition()} AND {COUNTED} GROUP BY {', '.join([*columns, _EVERY_WHO])}"
        )
        times: dict[int, tuple[int, int]] = {}
        for row in zip(*self._asked.columns(sql), strict=True):
            if columns and row[0] not in members.names:
                continue
            number = self._number(row[len(columns) : -2])
            first, last = times.get(number, row[-2:])
            times[number] = (min(first, row[-2]), max(last, row[-1]))
        known = self.all()
        return [
            SeenRecord(number, known[number], first * US, (last + width) * US, 0)
            for number, (first, last) in sorted(times.items())
        ]
