"""What `vnstat --json` and `vnstat --oneline` of vnStat 2.10 write, out of this ledger: see vnstat(1).

The document has the same keys in the same order, the same types and the same number of rows as vnStat's with its default
configuration. What differs, and why:

* names are escaped as JSON wants it; vnStat writes them as they are, so that a quote in one breaks the document;
* `id` is the period's number on the calendar (of five minutes, hours, days, months since 1970, or the year). vnStat's are
  row numbers of its database, in no order; both are told apart within a list by them, and are the same at every call;
* the best days of several interfaces taken together are those of their sums; vnStat takes the limit before it adds;
* a period that the clock leaves out has its own date, where vnStat shows one that exists nearby;
* what was counted while no recorder ran is spread over that time, where vnStat has all of it when it starts again; and a
  byte is in the period in which it was read, which is each second here and every 20 there;
* a limit of 0 means everything that is recorded, and a larger one may reach further back than vnStat keeps anything:
  five minutes as long as minutes are kept (`[recorder] minutes_kept_days`), all others for ever.
"""

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple

from netusage.periods import PeriodKind
from netusage.periods.grid import clock_of_day, month_start
from netusage.reports.clock_lists import ClockLists, ClockRow, Range, Tally

VNSTAT_VERSION = "2.10"
_JSON_VERSION = "2"
_ONELINE_VERSION = "1"

_LISTS = {
    "fiveminute": PeriodKind.FIVE_MINUTES,
    "hour": PeriodKind.HOUR,
    "day": PeriodKind.DAY,
    "month": PeriodKind.MONTH,
    "year": PeriodKind.YEAR,
}
_TOP = "top"
MODES = {
    "a": (*_LISTS, _TOP),
    "s": (*_LISTS,),
    "f": ("fiveminute",),
    "h": ("hour",),
    "d": ("day",),
    "m": ("month",),
    "y": ("year",),
    "t": (_TOP,),
}
MODE_NAMES = {
    "a": "all (default)",
    "s": "summary",
    "f": "only 5 minutes",
    "h": "only hours",
    "d": "only days",
    "m": "only months",
    "y": "only years",
    "t": "only top",
}
_SUMMARY_ROWS = 2
# What vnStat keeps, and so lists where nobody limits it: vnstat.conf(5), 5MinuteHours to TopDayEntries.
_KEPT_S = {"fiveminute": 48 * 3600, "hour": 4 * 86_400, "day": 62 * 86_400}
_KEPT_MONTHS = 25
_KEPT_TOPS = 20

_DATE = re.compile(r"(\d{4})-(\d\d)-(\d\d)(?: (\d\d):(\d\d))?", re.ASCII)
_ROUNDS = 4  # SQLite's, in which it looks for the time of a date
_SIZES = ("KiB", "MiB", "GiB", "TiB", "PiB", "EiB")
_RATES = ("kbit/s", "Mbit/s", "Gbit/s", "Tbit/s", "Pbit/s", "Ebit/s")


class Edge(NamedTuple):
    """Where a list begins or ends.

    day: None is today.
    second: what the clock shows on that day, in seconds since its midnight; None when only the day was given.
    """

    day: date | None
    second: int | None = None


class Request(NamedTuple):
    """What is asked of `--json`.

    mode: one of `MODES`.
    limit: at most so many rows of each list; 0 for all that are recorded, None for as many as vnStat has.
    """

    mode: str = "a"
    limit: int | None = None
    begin: Edge | None = None
    end: Edge | None = None


def parse_edge(text: str) -> Edge | None:
    """A date as -b and -e take it: "2026-11-26", "2026-11-26 13:05" or "today"; None when it is none of them."""
    if text == "today":
        return Edge(None)
    match = _DATE.fullmatch(text)
    if match is None:
        return None
    year, month, day, hour, minute = (int(part or 0) for part in match.groups())
    try:
        at = datetime(year, month, day, hour, minute)  # noqa: DTZ001  # what a clock shows has no zone
    except ValueError:
        return None
    return Edge(at.date(), None if match[4] is None else at.hour * 3600 + at.minute * 60)


# ---- JSON -------------------------------------------------------------------------------------------------------


def document(
    lists: ClockLists, tallies: Iterable[Tally], request: Request, *, encoding: str | None = None
) -> str:
    """The one line of `vnstat --json`, without its end.

    It is to be written in UTF-8, as vnStat's is everywhere; for another encoding it says the same in ASCII.
    """
    ascii_only = (encoding or "utf-8").lower() not in {"utf-8", "utf8"}
    answer = {
        "vnstatversion": VNSTAT_VERSION,
        "jsonversion": _JSON_VERSION,
        "interfaces": [_interface(lists, tally, request) for tally in tallies],
    }
    return json.dumps(answer, ensure_ascii=ascii_only, separators=(",", ":"))


def _interface(lists: ClockLists, tally: Tally, request: Request) -> dict[str, Any]:
    created, updated = (lists.clock_s(at_s) for at_s in (tally.created_s, tally.updated_s))
    traffic: dict[str, Any] = {"total": {"rx": tally.rx_bytes, "tx": tally.tx_bytes}}
    for name in MODES[request.mode]:
        traffic[name] = [_row(lists, name, row) for row in _rows(lists, tally, name, request)]
    return {
        "name": tally.name,
        "alias": "",
        "created": {"date": _date(created), "timestamp": timestamp(lists, created)},
        "updated": {"date": _date(updated), "time": _time(updated), "timestamp": timestamp(lists, updated)},
        "traffic": traffic,
    }


def _rows(lists: ClockLists, tally: Tally, name: str, request: Request) -> Sequence[ClockRow]:
    if request.mode == "s":  # which has nothing to do with dates
        limit = _SUMMARY_ROWS if request.limit is None else request.limit
        return lists.rows(tally, _LISTS[name], Range(limit=limit))
    if name == _TOP:
        if request.begin is None:  # the end alone means nothing to it
            return lists.busiest(tally, Range(limit=_KEPT_TOPS if request.limit is None else request.limit))
        return lists.busiest(tally, _range(lists, name, request))
    wanted = _range(lists, name, request)
    if wanted == Range() and request.limit is None:
        wanted = Range(since=_kept_since(lists, name))
    return lists.rows(tally, _LISTS[name], wanted)


def _range(lists: ClockLists, name: str, request: Request) -> Range:
    """The dates of a request as vnStat compares them: as texts, so that the day of a date with a time is before it."""
    today = _day(lists.clock_s(lists.now_s))
    since = until = None
    fine = name in {"fiveminute", "hour"}
    if request.begin is not None:
        since = clock_of_day(request.begin.day or today)
        if request.begin.second is not None:
            since += request.begin.second if fine else 1
    if request.end is not None:
        second = request.end.second
        until = clock_of_day(request.end.day or today) + (86_399 if second is None or not fine else second)
    return Range(since, until, request.limit or 0)


def _kept_since(lists: ClockLists, name: str) -> int | None:
    """Where a list begins that nobody limits, on the clock."""
    now = lists.clock_s(lists.now_s)
    if name == "month":
        today = _day(now)
        return clock_of_day(month_start(today.year * 12 + today.month - _KEPT_MONTHS))
    kept_s = _KEPT_S.get(name)
    if kept_s is None:
        return None
    return (now - now % 86_400 if name == "day" else now) - kept_s


def _row(lists: ClockLists, name: str, row: ClockRow) -> dict[str, Any]:
    when: dict[str, Any] = {"date": _date(row.clock_s)}
    if name in {"fiveminute", "hour"}:
        when["time"] = _time(row.clock_s)
    elif name == "month":
        del when["date"]["day"]
    elif name == "year":
        del when["date"]["day"], when["date"]["month"]
    return {
        "id": _number(name, row.clock_s),
        **when,
        "timestamp": timestamp(lists, row.clock_s),
        "rx": row.rx_bytes,
        "tx": row.tx_bytes,
    }


def _number(name: str, clock_s: int) -> int:
    """The number of a period on the calendar."""
    day = _day(clock_s)
    if name == "year":
        return day.year
    if name == "month":
        return (day.year - 1970) * 12 + day.month
    return clock_s // {"fiveminute": 300, "hour": 3600}.get(name, 86_400)


def timestamp(lists: ClockLists, clock_s: int) -> int:
    """When the clock showed that, UTC seconds; of two times the one that SQLite chooses, since vnStat asks SQLite.

    It takes the clock for UTC and corrects that by what the clock shows then, up to four times. Of an hour that comes
    twice that is the second pass east of Greenwich and there, and the first one west of it.
    """
    at_s = clock_s
    for _ in range(_ROUNDS):
        off_s = lists.clock_s(at_s) - clock_s
        if not off_s:
            break
        at_s -= off_s
    return at_s


def _day(clock_s: int) -> date:
    return date(1970, 1, 1) + timedelta(seconds=clock_s)


def _date(clock_s: int) -> dict[str, int]:
    day = _day(clock_s)
    return {"year": day.year, "month": day.month, "day": day.day}


def _time(clock_s: int) -> dict[str, int]:
    return {"hour": clock_s // 3600 % 24, "minute": clock_s // 60 % 60}


# ---- One line ---------------------------------------------------------------------------------------------------


def oneline(lists: ClockLists, tally: Tally, *, in_bytes: bool) -> str:
    """The line of `vnstat --oneline`, without its end: sizes and rates for people, or as numbers of bytes."""
    if tally.created_s == tally.updated_s:
        return f" {tally.name}: Not enough data available yet."
    created, updated = (lists.clock_s(at_s) for at_s in (tally.created_s, tally.updated_s))
    days, months = (lists.rows(tally, kind, Range(limit=1)) for kind in (PeriodKind.DAY, PeriodKind.MONTH))
    # as vnStat has it, of a day what the clock shows and of a month what has passed, also where the clock was set
    of_day = min(updated % 86_400, updated - created)
    begun = max([timestamp(lists, created), *(timestamp(lists, row.clock_s) for row in months)])
    of_month = timestamp(lists, updated) - begun
    fields = [_ONELINE_VERSION, tally.name]
    fields += _period(days, of_day, "%Y-%m-%d", in_bytes=in_bytes)
    fields += _period(months, of_month, "%Y-%m", in_bytes=in_bytes)
    fields += _sizes(tally, in_bytes=in_bytes)
    return ";".join(fields)


def _period(rows: Sequence[ClockRow], seconds: int, form: str, *, in_bytes: bool) -> Iterator[str]:
    """Five fields: when, what came and went, and the rate over so many seconds."""
    if not rows:
        yield from [""] * 5
        return
    row, seconds = rows[-1], max(seconds, 1)
    yield _day(row.clock_s).strftime(form)
    yield from _sizes(row, in_bytes=in_bytes)
    yield str(row.bytes_per_second(seconds)) if in_bytes else _rate(row.bits_per_second(seconds))


def _sizes(counted: ClockRow | Tally, *, in_bytes: bool) -> Iterator[str]:
    for number in (counted.rx_bytes, counted.tx_bytes, counted.both):
        yield str(number) if in_bytes else _scaled(number, "B", _SIZES, 1024)


def _rate(bits: int) -> str:
    return _scaled(bits, "bit/s", _RATES, 1000)


def _scaled(number: int, unit: str, larger: Sequence[str], step: int) -> str:
    """A number with its unit; the next one is used from 1000 on, of whatever size it is."""
    if number < 1000:
        return f"{number} {unit}"
    power = 1
    while power < len(larger) and number >= 1000 * step**power:
        power += 1
    return f"{number / step**power:.2f} {larger[power - 1]}"
