"""From when to when a fleet has anything of some hosts: as they say, where the store has that and nothing beyond it.

What a host says is as of its last whole delivery. Meanwhile there may be more of it, or less: of a delivery that goes on or
broke off, or where somebody took old months out of the store. Then it is the rows that are asked.
"""

from __future__ import annotations

from functools import reduce
from operator import or_
from typing import TYPE_CHECKING

from netusage.fleet.halves import COUNTED
from netusage.fleet.levels import DAYS, MONTHS, QUARTERS, end_of, within
from netusage.fleet.schema import LIMITS, SPAN
from netusage.fleet.utc import DAY_S, day_of, month_of, next_month
from netusage.model import QUARTER_S, US

if TYPE_CHECKING:
    from netusage.fleet.levels import Level, Stretch
    from netusage.fleet.members import Asked, Members

_QUARTER_US = QUARTER_S * US
_END_S = LIMITS["DateTime"][1]
# Where there are rows.
_FIRST, _LAST, _BEYOND = 1, 2, 4


def extent(asked: Asked, members: Members) -> tuple[int, int] | None:
    """See `Record.extent`: whole quarters of an hour."""
    told = members.extent
    if told is not None and _check(asked, members, *told):
        return told
    found = []
    quarters = _first_and_last(asked, members)
    if quarters is not None:
        found += [quarters[0], quarters[1] + QUARTER_S]
    sql = (
        f"SELECT min(start_us), max(end_us), count() FROM {asked.table(SPAN.name)} FINAL "  # noqa: S608  # quoted
        f"WHERE because != '' AND {members.hosts_condition()}"
    )
    ((start_us,), (end_us,), (number,)) = asked.columns(sql)
    if number:
        found += [start_us // _QUARTER_US * QUARTER_S, -(-end_us // _QUARTER_US) * QUARTER_S]
    return (min(found), max(found)) if found else None


# ---- What hosts say ---------------------------------------------------------------------------------------------


def _check(asked: Asked, members: Members, from_s: int, until_s: int) -> bool:
    """Whether there are rows at both ends and none beyond; also of what was replaced since, so it is asked without FINAL."""
    hosts = "1" if members.are_all or members.are_many else members.hosts_condition()
    quarters = asked.table(QUARTERS.usage.name)
    parts = []
    for level, own in _beyond(from_s, until_s, has_sums=members.has_sums).items():
        if some := [(low, high) for low, high in own if low < high]:
            table = asked.table(level.usage.name)
            parts.append(
                f"{_said(_BEYOND, 'count()')} FROM {table} WHERE {hosts} AND {within(some, level.usage)}"
            )
    for end, start_s in ((_FIRST, from_s), (_LAST, until_s - QUARTER_S)):
        where = f"{hosts} AND {within([(start_s, start_s + QUARTER_S)], QUARTERS.usage)}"
        one = f"SELECT 1 FROM {quarters} WHERE {where} LIMIT 1"  # noqa: S608  # quoted
        parts.append(f"{_said(end, 'count()')} FROM ({one})")
    of_spans = (
        _said(_BEYOND, f"countIf(start_us < {from_s * US} OR end_us > {until_s * US})"),
        _said(_FIRST, f"countIf(start_us < {(from_s + QUARTER_S) * US})"),
        _said(_LAST, f"countIf(end_us > {(until_s - QUARTER_S) * US})"),
    )
    table = asked.table(SPAN.name)
    parts.append(f"{' + '.join(of_spans)} FROM {table} WHERE {hosts} AND because != ''")
    (found,) = asked.columns(" UNION ALL ".join(f"SELECT {part}" for part in parts))
    there: int = reduce(or_, found)
    return there == _FIRST | _LAST


def _said(what: int, count: str) -> str:
    """A number that is `what` if anything is counted, and 0 otherwise, in SQL."""
    return f"{what} * ({count} != 0)"


def _beyond(from_s: int, until_s: int, *, has_sums: bool) -> dict[Level, list[Stretch]]:
    """All time before and after, each of the coarsest level that has it."""
    if not has_sums:
        return {QUARTERS: [(0, from_s), (until_s, _END_S)]}
    days = (day_of(from_s), day_of(until_s - 1) + DAY_S)
    months = (month_of(from_s), next_month(month_of(until_s - 1)))
    return {
        MONTHS: [(0, months[0]), (months[1], _END_S)],
        DAYS: [(months[0], days[0]), (days[1], months[1])],
        QUARTERS: [(days[0], from_s), (until_s, days[1])],
    }


# ---- What rows say ----------------------------------------------------------------------------------------------


def _first_and_last(asked: Asked, members: Members) -> tuple[int, int] | None:
    """When the first and the last quarter began in which anything was counted.

    Where to look is asked without FINAL, which is slow over all of time: what was replaced since is among the rows then,
    and so are hosts that are being taken out. So the quarters that were found are looked at again, and where one has
    nothing all is asked with it.
    """
    hosts = members.hosts_condition()
    says_something = f"{hosts} AND {COUNTED}"
    quick = _between(asked, members, "" if members.are_all else f" WHERE {hosts}")
    if quick is not None:
        looked_at = " UNION ALL ".join(
            f"SELECT count() FROM (SELECT 1 FROM {asked.table(QUARTERS.usage.name)} FINAL "  # noqa: S608  # quoted
            f"WHERE {within([(at_s, at_s + QUARTER_S)], QUARTERS.usage)} AND {says_something} LIMIT 1)"  # one is enough, and quick
            for at_s in sorted(set(quick))
        )
        if all(asked.columns(looked_at)[0]):
            return quick
    return _between(asked, members, f" FINAL WHERE {says_something}", or_sums=True)


def _between(asked: Asked, members: Members, source: str, *, or_sums: bool = False) -> tuple[int, int] | None:
    """When the first and the last row of quarters began, of those that there are sums of at first.

    Args:
        asked: the store.
        members: the hosts.
        source: what follows the table in SQL.
        or_sums: whether a day or month counts as a whole when its sums say something and no quarter does.
    """
    low = high = (0, 0)
    for level in (MONTHS, DAYS, QUARTERS) if members.has_sums else (QUARTERS,):
        table = asked.table(level.usage.name)
        conditions = (
            [within([stretch], level.usage) for stretch in sorted({low, high})] if any(high) else ["1"]
        )
        joint = " AND " if "WHERE" in source else " WHERE "
        first, last, numbers = asked.columns(
            " UNION ALL ".join(
                f"SELECT toUInt32(min(start)), toUInt32(max(start)), count() FROM {table}{source}{joint}{condition}"  # noqa: S608  # quoted
                for condition in conditions
            )
        )
        starts = [at_s for at_s, number in zip((*first, *last), numbers * 2, strict=True) if number]
        if not starts or (not all(numbers) and not or_sums):
            return (low[0], high[1] - QUARTER_S) if or_sums and any(high) else None
        if not any(high) or min(starts) < low[1]:
            low = (min(starts), end_of(level, min(starts)))
        if not any(high) or max(starts) >= high[0]:
            high = (max(starts), end_of(level, max(starts)))
    return low[0], high[1] - QUARTER_S
