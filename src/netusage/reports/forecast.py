"""What is going to be used until some time ahead, and how far it may be off.

By the same weekday's hours: what an hour ahead is going to have is the mean of what the same hour of the same weekday
had in the last four weeks. With less than two weeks of record, linear: what the hours so far had, on the average.

The range is that of four in five: `_REACH` times the standard deviation that single days had from the mean of their
weekday, or whole weeks from one another, whichever is more; the mean itself is off as well, as it is one of so few days.
How well it holds is measured on histories that it has not seen (tests/reports/test_forecast.py).
"""

from collections.abc import Sequence
from datetime import datetime, tzinfo
from math import sqrt
from statistics import fmean
from typing import NamedTuple

from netusage.periods import Period, PeriodKind, periods

WEEKDAY_HOURS, LINEAR = "weekday hours", "linear"
WEEKS = 4
FEWEST_DAYS = 14  # for the weekday's hours
_FEWEST_DAYS_OF_A_RANGE = 3
_REACH = 1.45  # of a normal distribution 1.28; more, because the deviation comes from a few weeks
_DAY_S = 86_400


class Hour(NamedTuple):
    """What was used in an hour of the local clock, UTC seconds; one may be cut short."""

    start_s: int
    end_s: int
    used: int


class Step(NamedTuple):
    """What is going to be used until a time (UTC seconds) from now on: the middle, and the range where one is known."""

    at_s: int
    middle: int
    low: int | None
    high: int | None


class Prediction(NamedTuple):
    """How it was made (`WEEKDAY_HOURS` or `LINEAR`), of how many days of record, and a step for each hour ahead."""

    method: str
    days: int
    steps: tuple[Step, ...]


def predict(history: Sequence[Hour], now_s: int, until_s: int, zone: tzinfo) -> Prediction:
    """What is going to be used from now until a time.

    Args:
        history: what was used, hour by hour without a break, up to now; of what is older than four weeks before today
            nothing is taken.
        now_s: the present, UTC seconds.
        until_s: UTC seconds.
        zone: of weekdays and hours.
    """
    today_s = periods(PeriodKind.DAY, now_s, now_s + 1, zone)[0].start_s
    days = _whole_days([hour for hour in history if hour.end_s <= today_s], zone)[-7 * WEEKS :]
    ahead = [
        Period(max(hour.start_s, now_s), min(hour.end_s, until_s))
        for hour in periods(PeriodKind.HOUR, now_s, until_s, zone)
    ]
    if len(days) >= FEWEST_DAYS:
        method, known = WEEKDAY_HOURS, _rates(days, zone)
        expected = [known[_key(hour.start_s, zone)] * (hour.end_s - hour.start_s) for hour in ahead]
    else:
        method = LINEAR
        seconds = sum(hour.end_s - hour.start_s for hour in history)
        rate = sum(hour.used for hour in history) / seconds if seconds else 0.0
        expected = [rate * (hour.end_s - hour.start_s) for hour in ahead]
    deviation = _deviation(
        [sum(hour.used for hour in day) for day in days], by_weekday=method is WEEKDAY_HOURS
    )
    return Prediction(method, len(days), _steps(ahead, expected, deviation, len(days), now_s))


def _key(at_s: int, zone: tzinfo) -> tuple[int, int]:
    at = datetime.fromtimestamp(at_s, zone)
    return at.weekday(), at.hour


def _whole_days(history: Sequence[Hour], zone: tzinfo) -> list[list[Hour]]:
    """The hours of each day that is there from its beginning to its end."""
    if not history:
        return []
    days = periods(PeriodKind.DAY, history[0].start_s, history[-1].end_s, zone)
    found: list[list[Hour]] = [[] for _ in days]
    place = 0
    for hour in history:
        while hour.start_s >= days[place].end_s:
            place += 1
        found[place].append(hour)
    return [
        hours
        for day, hours in zip(days, found, strict=True)
        if hours and hours[0].start_s == day.start_s and hours[-1].end_s == day.end_s
    ]


def _rates(days: Sequence[Sequence[Hour]], zone: tzinfo) -> dict[tuple[int, int], float]:
    """The mean rate of each hour of the week, bytes per second; of one that never was, that of the whole."""
    seen: dict[tuple[int, int], list[float]] = {}
    for day in days:
        for hour in day:
            rate = hour.used / (hour.end_s - hour.start_s)
            seen.setdefault(_key(hour.start_s, zone), []).append(rate)
    whole = fmean(rate for rates in seen.values() for rate in rates)
    return {
        (weekday, hour): fmean(seen.get((weekday, hour), (whole,)))
        for weekday in range(7)
        for hour in range(24)
    }


def _deviation(of_days: Sequence[int], *, by_weekday: bool) -> float | None:
    """How far a day is from what was expected of it; None when too few days are known."""
    if len(of_days) < _FEWEST_DAYS_OF_A_RANGE:
        return None
    if not by_weekday:
        return sqrt(_variance([of_days]))
    weekdays = [of_days[n::7] for n in range(7)]
    whole = len(of_days) // 7 * 7
    weeks = [sum(of_days[-n - 7 : len(of_days) - n]) for n in range(0, whole, 7)]
    return sqrt(max(_variance(weekdays), _variance([weeks]) / 7))


def _variance(groups: Sequence[Sequence[int]]) -> float:
    """Of numbers around the mean of their group."""
    square = sum((number - fmean(group)) ** 2 for group in groups for number in group)
    return square / (sum(map(len, groups)) - len(groups))


def _steps(
    ahead: Sequence[Period], expected: Sequence[float], deviation: float | None, days: int, now_s: int
) -> tuple[Step, ...]:
    found = []
    middle, low = 0.0, 0
    for hour, more in zip(ahead, expected, strict=True):
        middle += more
        if deviation is None:
            found.append(Step(hour.end_s, round(middle), None, None))
            continue
        distance = (hour.end_s - now_s) / _DAY_S
        off = _REACH * deviation * sqrt(distance + distance * distance / days)
        low = max(low, round(middle - off))
        found.append(Step(hour.end_s, round(middle), low, round(middle + off)))
    return tuple(found)
