"""Where an axis has its marks, and what they say."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Any

from netusage.periods import PeriodKind
from netusage.units import Units, format_bytes

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_NEAR = 0.6  # a mark that is so near to the next one, in parts of the usual distance, is left out

Key = Callable[[datetime], Any]


# ---- Time -------------------------------------------------------------------------------------------------------


def time_ticks(
    starts: Sequence[datetime], kind: PeriodKind, room: int, week_start: int = 0
) -> list[tuple[int, str]]:
    """Marks for consecutive periods: the number of a period, and the text at its start.

    Marks stand where an hour, a day, a month ... of the local clock begins. The text has a second line where the day
    or year is another one than at the mark before. An hour that comes twice is told with its offset.

    Args:
        starts: local times at which the periods begin.
        kind: which periods they are.
        room: at most so many marks.
        week_start: the day on which weeks begin, 0 is Monday.
    """
    name, places = "", [0]
    for name, key in _steps(kind, week_start):  # noqa: B007  # the last one of both is used
        keys = [key(start) for start in starts]
        places = [n for n in range(len(keys)) if not n or keys[n] != keys[n - 1]]
        if len(places) <= max(room, 1):
            break
    ends = [*places[1:], len(starts)]
    if len(ends) > 1 and ends[0] < _NEAR * (ends[1] - ends[0]):
        places = places[1:]
    texts: list[tuple[int, str]] = []
    before: datetime | None = None
    for place in places:
        texts.append((place, _text(starts[place], name, before, exact=kind is PeriodKind.MONTH)))
        before = starts[place]
    return texts


def _steps(kind: PeriodKind, week_start: int) -> list[tuple[str, Key]]:
    """Ways to put periods together, from single ones to a thousand years: what a text tells, and the key."""

    def week(at: datetime) -> int:
        return (at.toordinal() - 1 - week_start) // 7

    found: list[tuple[str, Key]] = []
    if kind is PeriodKind.MINUTE:
        found += [("time", _minutes(n)) for n in (1, 2)]
    if kind in (PeriodKind.MINUTE, PeriodKind.FIVE_MINUTES):
        found += [("time", _minutes(n)) for n in (5, 10, 15, 30)]
    if kind in (PeriodKind.MINUTE, PeriodKind.FIVE_MINUTES, PeriodKind.HOUR):
        found += [("time", _hours(n)) for n in (1, 2, 3, 6, 12)]
    if kind not in (PeriodKind.WEEK, PeriodKind.MONTH, PeriodKind.YEAR):
        found += [("day", lambda at: at.toordinal()), ("day", lambda at: at.toordinal() // 2)]
    if kind not in (PeriodKind.MONTH, PeriodKind.YEAR):
        found += [("day", week), ("day", lambda at: week(at) // 2)]
    if kind is not PeriodKind.YEAR:
        found += [("month", _months(n)) for n in (1, 2, 3, 6)]
    return found + [("year", _years(n)) for n in (1, 2, 5, 10, 20, 50, 100, 1000)]


def _minutes(n: int) -> Key:
    return lambda at: (at.utcoffset(), at.toordinal(), at.hour, at.minute // n)


def _hours(n: int) -> Key:
    if n == 1:
        return lambda at: (at.utcoffset(), at.toordinal(), at.hour)
    return lambda at: (at.toordinal(), at.hour // n)


def _months(n: int) -> Key:
    return lambda at: (at.year, (at.month - 1) // n)


def _years(n: int) -> Key:
    return lambda at: at.year // n


def _text(at: datetime, name: str, before: datetime | None, *, exact: bool) -> str:
    day, year = f"{at.day} {MONTHS[at.month - 1]}", f"{at.year}"
    if name == "year":
        return year
    if name == "time":
        again = before is not None and before.replace(tzinfo=None) == at.replace(tzinfo=None)
        clock = f"{at:%H:%M %z}" if again else f"{at:%H:%M}"
        return clock if before is not None and before.date() == at.date() else f"{clock}\n{day} {year}"
    first = MONTHS[at.month - 1] if name == "month" and not (exact and at.day > 1) else day
    return first if before is not None and before.year == at.year else f"{first}\n{year}"


# ---- Bytes ------------------------------------------------------------------------------------------------------


def byte_ticks(low: int, high: int, units: Units, room: int) -> list[int]:
    """Round numbers of bytes from `low` to `high`, zero and another one among them; about `room` of them.

    Args:
        low: at most 0.
        high: at least 0; not both are 0.
        units: whose round numbers.
        room: for how many there is room.
    """
    step = 1
    for size in _steps_of_bytes(units):
        if size > max(-low, high):
            break
        step = size
        if high - low <= step * room:
            break
    return list(range(-(-low // step) * step, high + 1, step))


def _steps_of_bytes(units: Units) -> Iterator[int]:
    """1, 2, 5, 10, 20 ..., or powers of two."""
    size = 1
    while True:
        if units is Units.IEC:
            yield size
            size *= 2
        else:
            yield from (size, 2 * size, 5 * size)
            size *= 10


def short_bytes(n: int, units: Units) -> str:
    """An amount without zeros that say nothing, and without its sign: "500 MB", "1.5 GB"."""
    number, _, unit = format_bytes(abs(n), units).partition(" ")
    return f"{number.rstrip('0').rstrip('.') if '.' in number else number} {unit}"
