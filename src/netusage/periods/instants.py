"""Moments as people name them: dates, clock times, and "7d" ago."""

from __future__ import annotations

from datetime import date, datetime, timedelta, tzinfo

from netusage.errors import UsageError
from netusage.periods.grid import FIRST_S, LAST_S, clock_of_day, first_instant, month_start

TYPE_CHECKING = False
if TYPE_CHECKING:
    import re

_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_HINT = (
    'write a date ("2026-11-20"), a month ("2026-11"), a time ("2026-11-20T13:00"), "today", "yesterday", "monday", '
    '"now", or how long ago ("7d", "3h", "1mo")'
)

# re is imported by what needs it: the summary names no moments
_YEAR = r"([0-9]{4})"
_MONTH = r"([0-9]{4})-([0-9]{2})"
_WEEK = r"([0-9]{4})-W([0-9]{2})"
_DAY = r"[0-9]{4}-?[0-9]{2}-?[0-9]{2}|[0-9]{4}-?W[0-9]{2}-?[0-9]"
_EPOCH = r"@([0-9]{1,12})(?:\.[0-9]*)?"
_AGO = r"-?\s*((?:[0-9]{1,9}\s*[a-z]+\s*)+?)(?:\s*\bago)?"
_AGO_PART = r"([0-9]+)\s*([a-z]+)"
_AGO_UNITS = {
    name: kind
    for kind, names in {
        "month": "mo month months",
        "year": "y yr year years",
        "week": "w week weeks",
        "day": "d day days",
        "hour": "h hr hrs hour hours",
        "minute": "m min mins minute minutes",
        "second": "s sec secs second seconds",
    }.items()
    for name in names.split()
}


def parse_instant(text: str, now_s: int, zone: tzinfo, *, end: bool = False) -> int:
    """The moment that a person named, in UTC seconds since 1970.

    Accepted are: ISO 8601 dates, weeks, months and years ("2026-11-20", "2026-W47", "2026-11", "2026"); dates with a
    time, with or without an offset; "now", "today", "yesterday", the name of a weekday (the latest one, today
    included); how long ago ("7d", "3h", "2w", "1mo", "1y", "-7d", "7d ago", "1d 12h"); "@" with seconds since 1970.
    Days, weeks, months and years ago keep the clock time and go back on the calendar; a day that the month does not
    have becomes its last one. Hours, minutes and seconds ago are lengths of time. A clock time that comes twice is the
    first of both; one that the clock skips is the moment of the skip. Fractions of a second are cut off.

    Args:
        text: what was written.
        now_s: the present, UTC seconds.
        zone: the zone of what is written without an offset.
        end: whether the moment ends a stretch, as in `--until`. A bare date, week, month or year is then included:
            the result is the end of it, which is exclusive. Anything more exact, a length ago too, is taken as it is.

    Raises:
        UsageError: not a moment, or not between 1970 and 9990.
    """
    stripped = text.strip()
    try:
        found = _parse(stripped, now_s, zone, end)
    except (ValueError, OverflowError) as error:
        raise UsageError(f"{text!r} is not a time: {error}", hint=_HINT) from error
    if found is None:
        raise UsageError(f"{text!r} is not a time", hint=_HINT)
    if not FIRST_S <= found <= LAST_S:
        raise UsageError(f"{text!r} is not between the years 1970 and 9990", hint=_HINT)
    return found


def refuse_reversed(since_s: int | None, until_s: int | None) -> None:
    """Check that a stretch of time, of which each end may be open, is not empty.

    Raises:
        UsageError: it ends before it begins, or where it begins.
    """
    if since_s is not None and until_s is not None and since_s >= until_s:
        raise UsageError("the time asked for ends before it begins", hint="swap --since and --until")


def isoformat(epoch_s: int, zone: tzinfo) -> str:
    """UTC seconds as ISO 8601 local time with its offset, e.g. "2026-11-20T00:00:00+01:00"."""
    return datetime.fromtimestamp(epoch_s, zone).isoformat()


def _match(pattern: str, text: str) -> re.Match[str] | None:
    import re  # noqa: PLC0415  # see above

    return re.fullmatch(pattern, text, re.ASCII)


def _parse(text: str, now_s: int, zone: tzinfo, end: bool) -> int | None:
    word = text.lower()
    if word == "now":
        return now_s
    if match := _match(_EPOCH, text):
        return int(match[1])
    days = _days_named(word, now_s, zone) or _days_iso(text.upper())
    if days is not None:
        return first_instant(clock_of_day(days[1] if end else days[0]), zone)
    if match := _match(_AGO, text):  # in lower case only: 1M could mean a month
        return _ago(match[1], now_s, zone)
    return _clock_time(text, zone)


def _days_named(word: str, now_s: int, zone: tzinfo) -> tuple[date, date] | None:
    """The days from, and up to and without, that a word names."""
    today = datetime.fromtimestamp(now_s, zone).date()
    if word == "today":
        first = today
    elif word == "yesterday":
        first = today - timedelta(days=1)
    else:
        for number, name in enumerate(_WEEKDAYS):
            if word in (name, name[:3]):
                first = today - timedelta(days=(today.weekday() - number) % 7)
                break
        else:
            return None
    return first, first + timedelta(days=1)


def _days_iso(text: str) -> tuple[date, date] | None:
    """The days from, and up to and without, of an ISO 8601 year, month, week or day.

    Raises:
        ValueError: it looks like one of them and is none, as month 13.
    """
    if match := _match(_YEAR, text):
        return date(int(match[1]), 1, 1), date(int(match[1]) + 1, 1, 1)
    if match := _match(_MONTH, text):
        first = date(int(match[1]), int(match[2]), 1)
        return first, month_start(first.year * 12 + first.month)
    if match := _match(_WEEK, text):
        first = date.fromisocalendar(int(match[1]), int(match[2]), 1)
        return first, first + timedelta(days=7)
    if _match(_DAY, text):
        first = date.fromisoformat(text)
        return first, first + timedelta(days=1)
    return None


def _ago(parts: str, now_s: int, zone: tzinfo) -> int | None:
    """The moment that lies so long before now; None when a unit is unknown."""
    import re  # noqa: PLC0415  # see above

    back = dict.fromkeys(_AGO_UNITS.values(), 0)
    for count, name in re.findall(_AGO_PART, parts, re.ASCII):
        if name not in _AGO_UNITS:
            return None
        back[_AGO_UNITS[name]] += int(count)
    exact = back["hour"] * 3600 + back["minute"] * 60 + back["second"]
    months = back["year"] * 12 + back["month"]
    days = back["week"] * 7 + back["day"]
    if not months and not days:
        return now_s - exact
    now = datetime.fromtimestamp(now_s, zone)
    try:
        day = month_start(now.year * 12 + now.month - 1 - months, now.day) - timedelta(days=days)
    except (ValueError, OverflowError):
        return FIRST_S - 1  # before the calendar begins
    return _at_clock(datetime.combine(day, now.time()), zone) - exact


def _clock_time(text: str, zone: tzinfo) -> int | None:
    """An ISO 8601 date with a time."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        if "Invalid isoformat" in str(error):
            return None  # nothing that the message below does not say better
        raise
    return _at_clock(at, zone) if at.tzinfo is None else int(at.timestamp() // 1)


def _at_clock(at: datetime, zone: tzinfo) -> int:
    """The first moment at which the local clock shows this time."""
    return first_instant(clock_of_day(at.date()) + at.hour * 3600 + at.minute * 60 + at.second, zone)
