"""From when to when a fleet has anything of some hosts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netusage.fleet.halves import COUNTED
from netusage.fleet.levels import DAYS, MONTHS, QUARTERS, end_of, within
from netusage.fleet.schema import SPAN
from netusage.model import QUARTER_S, US

if TYPE_CHECKING:
    from netusage.fleet.members import Asked, Members

_QUARTER_US = QUARTER_S * US


def extent(asked: Asked, members: Members) -> tuple[int, int] | None:
    """See `Record.extent`: whole quarters of an hour."""
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
            f"WHERE {within([(at_s, at_s + QUARTER_S)])} AND {says_something} LIMIT 1)"  # one is enough, and quick
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
        conditions = [within([stretch]) for stretch in sorted({low, high})] if any(high) else ["1"]
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
