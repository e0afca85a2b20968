"""Local periods as stretches of UTC.

A zone is taken apart into stretches of constant offset. Within one of them local and UTC time differ by a constant,
so a day, week, month or year begins at the first moment at which the local clock shows its midnight or a later time:
a midnight that does not exist, one that comes twice, and a day that was skipped need no rule of their own.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta, tzinfo
from enum import StrEnum
from itertools import pairwise

from netusage.errors import UsageError
from netusage.model import MINUTE_S, QUARTER_S
from netusage.records import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

# An hour and a day as a clock shows them, not what passes between two midnights.
_CLOCK_HOUR_S: Final = 3600
_CLOCK_DAY_S: Final = 86_400

# The shortest time between two changes of offset in any zone since 1970 is 6.96 days (America/Noronha, 2000;
# Asia/Gaza, 2040). Samples closer than that see every change.
_SAMPLE_S: Final = 4 * 86_400
# Local and UTC time differ by 14 hours at most, and no clock ever jumped by more than 24: this reaches past both.
_MARGIN_S: Final = 2 * 86_400

_EPOCH_ORDINAL: Final = date(1970, 1, 1).toordinal()
FIRST_S: Final = 0
LAST_S: Final = int(datetime(9990, 1, 1, tzinfo=UTC).timestamp())
_EARLIEST_S: Final = 4 * 86_400


class PeriodKind(StrEnum):
    """The lengths of time that usage is reported by."""

    MINUTE = "minute"
    FIVE_MINUTES = "5min"
    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    YEAR = "year"
    TOTAL = "total"


class Period(NamedTuple):
    """One period, from `start_s` up to and without `end_s`, in UTC seconds since 1970."""

    start_s: int
    end_s: int

    def start(self, zone: tzinfo) -> datetime:
        """The start as an aware local time."""
        return datetime.fromtimestamp(self.start_s, zone)

    def end(self, zone: tzinfo) -> datetime:
        """The end as an aware local time."""
        return datetime.fromtimestamp(self.end_s, zone)


def periods(
    kind: PeriodKind, since_s: int, until_s: int, zone: tzinfo, *, billing_day: int = 1, week_start: int = 0
) -> list[Period]:
    """The consecutive local periods that cover [since, until).

    The first one contains `since` and starts at its own start, the last one contains the second before `until`;
    each begins where the one before it ends. Nothing is covered when `until` is not after `since`.

    Boundaries are multiples of 900 s, the ledger's bucket (of 60 s for minutes, 300 s for five minutes): a zone whose
    offset is not a multiple of that, as the last ones were before 1972, gets the bucket boundary at or before its
    own. Hours are those on the local clock: a repeated hour is a row of its own, and a clock that moves by half an
    hour cuts an hour short. Of a midnight that comes twice the first one counts. `total` is [since, until) itself.

    Args:
        kind: which periods.
        since_s: the start of what is covered, UTC seconds.
        until_s: its end, exclusive.
        zone: the local zone.
        billing_day: the day on which a month begins; a shorter month begins on its last day. Only months have it:
            years begin on 1 January.
        week_start: the day on which a week begins, 0 is Monday and 6 is Sunday.

    Raises:
        UsageError: the billing day, the first day of the week, or a time is out of its range.
    """
    if not 1 <= billing_day <= 31:
        raise UsageError(f"the billing day {billing_day} is not a day of a month", hint="use 1 to 31")
    if not 0 <= week_start <= 6:
        raise UsageError(f"{week_start} is not a day of the week", hint="use 0 (Monday) to 6 (Sunday)")
    if until_s <= since_s:
        return []
    if since_s < FIRST_S or until_s > LAST_S:
        raise UsageError("the time asked for is not between the years 1970 and 9990")
    if kind is PeriodKind.TOTAL:
        return [Period(since_s, until_s)]
    if kind is PeriodKind.MINUTE:
        return _even(MINUTE_S, since_s, until_s)
    if kind is PeriodKind.FIVE_MINUTES:
        return _even(5 * MINUTE_S, since_s, until_s)
    if kind is PeriodKind.HOUR:
        bounds = _hours(since_s, until_s, zone)
    else:
        bounds = _days(kind, since_s, until_s, zone, billing_day=billing_day, week_start=week_start)
    bounds = bounds[bisect_right(bounds, since_s) - 1 : bisect_left(bounds, until_s) + 1]
    return list(map(Period, bounds, bounds[1:]))


def first_instant(clock_s: int, zone: tzinfo) -> int:
    """The first moment at which the local clock shows `clock_s` or later.

    Args:
        clock_s: a reading of the local clock, in seconds since it showed 1970-01-01 00:00.
        zone: the local zone.
    """
    return _instants([clock_s], zone)[0]


def clock_changes(since_s: int, until_s: int, zone: tzinfo) -> list[tuple[int, int, int]]:
    """When the local clock is set within [since, until): UTC seconds, and local minus UTC time before and after it."""
    stretches = _stretches(since_s, until_s, zone)
    return [(start, before, after) for (*_, before), (start, _, after) in pairwise(stretches)]


def clock_of_day(day: date) -> int:
    """What the clock shows at the midnight that begins a day, for `first_instant`."""
    return (day.toordinal() - _EPOCH_ORDINAL) * _CLOCK_DAY_S


def month_start(month: int, day: int = 1) -> date:
    """The given day of a month, or its last day where it is shorter; months are counted from January of year 0."""
    first = date(month // 12, month % 12 + 1, 1)
    if day <= 28:
        return first.replace(day=day)
    last = month_start(month + 1) - timedelta(days=1)
    return min(last, first + timedelta(days=day - 1))


def _even(step: int, since_s: int, until_s: int) -> list[Period]:
    """Periods that are the same in every zone, because every offset is a multiple of them."""
    return [Period(start, start + step) for start in range(since_s - since_s % step, until_s, step)]


def _hours(since_s: int, until_s: int, zone: tzinfo) -> list[int]:
    """Boundaries of local clock hours from before `since_s` to after `until_s`."""
    stretches = _stretches(since_s - _MARGIN_S, until_s + _MARGIN_S, zone)
    bounds: list[int] = []
    for start, stop, offset in stretches:
        bounds.append(start - start % QUARTER_S)
        whole = start + -(start + offset) % _CLOCK_HOUR_S
        bounds.extend(at - at % QUARTER_S for at in range(whole, stop, _CLOCK_HOUR_S))
    return list(dict.fromkeys(bounds))


def _days(
    kind: PeriodKind, since_s: int, until_s: int, zone: tzinfo, *, billing_day: int, week_start: int
) -> list[int]:
    """Boundaries of days, weeks, months or years from before `since_s` to after `until_s`."""
    first = datetime.fromtimestamp(since_s, UTC).date()
    last = datetime.fromtimestamp(until_s, UTC).date()
    clocks: Sequence[int]
    if kind is PeriodKind.MONTH:
        months = range(first.year * 12 + first.month - 3, last.year * 12 + last.month + 3)
        clocks = [clock_of_day(month_start(month, billing_day)) for month in months]
    elif kind is PeriodKind.YEAR:
        clocks = [clock_of_day(date(year, 1, 1)) for year in range(first.year - 1, last.year + 3)]
    else:
        length = 7 if kind is PeriodKind.WEEK else 1
        low = first.toordinal() - 2
        if kind is PeriodKind.WEEK:
            low -= (low - 1 - week_start) % 7  # ordinal 1 was a Monday
        low -= _EPOCH_ORDINAL
        high = last.toordinal() + 3 + length - _EPOCH_ORDINAL
        clocks = range(low * _CLOCK_DAY_S, high * _CLOCK_DAY_S, length * _CLOCK_DAY_S)
    # A day that was skipped begins where the next one does, and is none.
    return list(dict.fromkeys(at - at % QUARTER_S for at in _instants(clocks, zone)))


def _instants(clocks: Sequence[int], zone: tzinfo) -> list[int]:
    """For each of some ascending clock readings, the first moment at which the clock shows it or a later one."""
    stretches = iter(_stretches(clocks[0] - _MARGIN_S, clocks[-1] + _MARGIN_S, zone))
    start, stop, offset = next(stretches)
    found: list[int] = []
    for clock in clocks:
        while stop + offset <= clock:
            start, stop, offset = next(stretches)
        found.append(max(start, clock - offset))
    return found


def _stretches(begin_s: int, end_s: int, zone: tzinfo) -> list[tuple[int, int, int]]:
    """The stretches of constant offset in [begin, end): start, end, and local minus UTC time, in seconds."""
    found: list[tuple[int, int, int]] = []
    start, offset = begin_s, _offset(begin_s, zone)
    for low in range(begin_s, end_s, _SAMPLE_S):
        before, after = low, min(low + _SAMPLE_S, end_s)
        ahead = _offset(after, zone)
        if ahead == offset:
            continue
        while after - before > 1:
            middle = (before + after) // 2
            if _offset(middle, zone) == offset:
                before = middle
            else:
                after = middle
        found.append((start, after, offset))
        start, offset = after, ahead
    found.append((start, end_s, offset))
    return found


def _offset(at_s: int, zone: tzinfo) -> int:
    """Local minus UTC time in seconds; before 1970 that of its first days: Windows knows no earlier time."""
    offset = datetime.fromtimestamp(max(at_s, _EARLIEST_S), zone).utcoffset()
    return 0 if offset is None else offset.days * 86_400 + offset.seconds
