"""UTC days and months, by which the store has sums; times are UTC seconds."""

from datetime import UTC, datetime
from functools import lru_cache

from netusage.fleet.schema import DAY, LIMITS
from netusage.periods.grid import LAST_S

DAY_S = 86_400
_EARLIEST_S, _LATEST_S = LIMITS["DateTime"]


def day_of(at_s: int) -> int:
    """When the day of a time begins."""
    return at_s // DAY_S * DAY_S


def month_of(at_s: int) -> int:
    """When the month of a time begins."""
    return _month_of_day(min(max(at_s, 0), LAST_S) // DAY_S)


@lru_cache(maxsize=4096)
def _month_of_day(day: int) -> int:
    return (day - datetime.fromtimestamp(day * DAY_S, UTC).day + 1) * DAY_S


def month_number(at_s: int) -> int:
    """The month of a time as in 202611."""
    when = datetime.fromtimestamp(at_s, UTC)
    return when.year * 100 + when.month


def next_month(month_s: int) -> int:
    """When the month after that which begins then does."""
    return month_of(month_s + 31 * DAY_S)


def starts_within(from_s: int, until_s: int, *, by_day: bool = True) -> str:
    """What rows fulfil that start in [from_s, until_s), as SQL; `by_day`: also by the day, by which quarters lie together."""
    low, high = _bounded(from_s), _bounded(until_s)
    starts = f"start >= toDateTime({low}) AND start < toDateTime({high})"
    days = f"{DAY} >= {low // DAY_S} AND {DAY} <= {max(high - 1, low) // DAY_S} AND "
    return f"({days if by_day else ''}{starts})"


def _bounded(at_s: int) -> int:
    return min(max(at_s, _EARLIEST_S), _LATEST_S)
