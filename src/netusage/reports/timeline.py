"""Usage over a stretch of time in bars of a stated width, from minutes to ten years; what is estimated, and gaps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from enum import StrEnum
from itertools import pairwise
from operator import add, sub
from typing import TYPE_CHECKING

from netusage.errors import NoDataError, UsageError
from netusage.ledger.answers import GapRecord, SpanRecord
from netusage.model import MINUTE_S, QUARTER_S, US
from netusage.periods import PeriodKind, clock_changes, periods, refuse_reversed
from netusage.reports.chosen import Choice
from netusage.reports.coverage import Stretch, union

if TYPE_CHECKING:
    from netusage.ledger.answers import InterfaceRecord
    from netusage.reports.record import Record
    from netusage.reports.selection import Overrides
    from netusage.reports.shares import Shares

FEWEST_BARS, MOST_BARS = 10, 1000
_MOST_STRETCHES = 200  # of which each is told
_FINEST = 3000  # parts of the whole: what is shorter is no pixel wide
_DAY_S = 86_400


class Width(StrEnum):
    """How long a bar is, on the local clock; the narrowest first."""

    MINUTE = "minute"
    FIVE_MINUTES = "5min"
    QUARTER = "quarter"
    HOUR = "hour"
    SIX_HOURS = "6h"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    YEAR = "year"


NAMES = {
    Width.MINUTE: "1 minute",
    Width.FIVE_MINUTES: "5 minutes",
    Width.QUARTER: "15 minutes",
    Width.HOUR: "1 hour",
    Width.SIX_HOURS: "6 hours",
    Width.DAY: "1 day",
    Width.WEEK: "1 week",
    Width.MONTH: "1 month",
    Width.YEAR: "1 year",
}
# what the narrowest bars of a width take, in seconds; a day of 23 hours is one bar as well
_SECONDS = {
    Width.MINUTE: MINUTE_S,
    Width.FIVE_MINUTES: 5 * MINUTE_S,
    Width.QUARTER: QUARTER_S,
    Width.HOUR: 3600,
    Width.SIX_HOURS: 6 * 3600,
    Width.DAY: _DAY_S,
    Width.WEEK: 7 * _DAY_S,
    Width.MONTH: 28 * _DAY_S,
    Width.YEAR: 365 * _DAY_S,
}


@dataclass(frozen=True, slots=True)
class Span:
    """What is asked for.

    since_s, until_s: UTC seconds; whole bars that cover it are told.
    bars: how many there may be at most.
    zone: on whose clock hours, days and months begin.
    now_s: the present.
    week_start: the day on which weeks begin, 0 is Monday.
    billing_day: the day on which months begin.
    """

    since_s: int
    until_s: int
    bars: int
    zone: tzinfo
    now_s: int
    week_start: int = 0
    billing_day: int = 1


@dataclass(frozen=True, slots=True)
class Timeline:
    """The answer; bar n goes from edges[n] to edges[n + 1], UTC seconds.

    estimated_bytes: the part of both columns whose time is estimated; it is not known of what applications had.
    seconds: how much of each bar is over and lies within the record: no rate where it is 0.
    has_days: some of what applications had is known by days only, and stands where each day begins.
    stretches: where time is estimated, UTC seconds, without overlap; the longest of those that can be seen.
    gaps: declared ones, likewise, and those that may have lost bytes; more_gaps: how many are not told.
    clock_changes: where the clock is set: when, and local minus UTC time before and after it, in seconds.
    record: from when to when there is a record; of the chosen hosts, where some are chosen.
    """

    width: Width
    edges: list[int]
    rx_bytes: list[int]
    tx_bytes: list[int]
    estimated_bytes: list[int]
    seconds: list[int]
    has_days: bool
    stretches: list[Stretch]
    gaps: list[GapRecord]
    more_gaps: int
    clock_changes: list[tuple[int, int, int]]
    record: tuple[int, int]


def timeline(reader: Record, shares: Shares, span: Span, choice: Choice, overrides: Overrides) -> Timeline:
    """Answer it.

    Raises:
        NoDataError: nothing is recorded, a pattern matches no interface, or of a chosen host there is none.
        UsageError: the question makes no sense.
    """
    refuse_reversed(span.since_s, span.until_s)
    if not FEWEST_BARS <= span.bars <= MOST_BARS:
        raise UsageError(f"{span.bars} bars are none of {FEWEST_BARS} to {MOST_BARS}")
    record = reader.extent()
    if record is None:
        hint = "let the recorder run for a minute; see it with: netusage"
        raise NoDataError(f"nothing has been recorded in {reader.place} yet", hint=hint)
    narrowest = Width.MINUTE
    if choice.has_shares or span.since_s < reader.minutes_from_s:
        narrowest = Width.QUARTER
    width, edges = _cut(span, narrowest)
    interfaces = reader.interfaces()
    ids = choice.series(interfaces, overrides).ids
    if choice.hosts:
        record = _record_of(choice.of_hosts(interfaces), record)
    told = shares.of(ids, choice.fields)
    estimated = [0] * (len(edges) - 1)
    stretches: list[Stretch] = []
    rx, tx = estimated, estimated
    if not choice.has_shares or choice.has_rest:
        usage = reader.usage([ids], edges, packets=False)[0]
        rx, tx = [one.rx_bytes for one in usage], [one.tx_bytes for one in usage]
        estimated = [one.estimated_bytes for one in usage]
        own = frozenset(ids)
        stretches = _longest(
            [one for one in reader.spans(edges[0] * US, edges[-1] * US) if one.interface_id in own], edges
        )
    if choice.has_rest:
        everybody = told.between(edges, Choice().wanted(told, ids))
        rx, tx = _minus(rx, everybody[0]), _minus(tx, everybody[1])
        estimated, stretches = [0] * len(estimated), []
    if choice.has_shares:
        chosen = told.between(edges, choice.wanted(told, ids))
        rx, tx = list(map(add, rx, chosen[0])), list(map(add, tx, chosen[1]))
    gaps = [gap for gap in reader.gaps(edges[0] * US, edges[-1] * US) if choice.is_of(gap.host)]
    shortest_us = (edges[-1] - edges[0]) * US // _FINEST
    seen = [gap for gap in gaps if gap.lossy or gap.end_us - gap.start_us >= shortest_us]
    longest = sorted(seen, key=lambda gap: gap.start_us - gap.end_us)[:_MOST_STRETCHES]
    return Timeline(
        width,
        edges,
        rx,
        tx,
        estimated,
        [max(min(end, span.now_s, record[1]) - max(start, record[0]), 0) for start, end in pairwise(edges)],
        choice.has_shares and _SECONDS[width] < _DAY_S and edges[0] < told.days_until_s,
        stretches,
        sorted(longest),
        len(gaps) - len(longest),
        # beyond that, nobody can tell an hour on the screen
        clock_changes(edges[0], edges[-1], span.zone) if edges[-1] - edges[0] <= 100 * _DAY_S else [],
        record,
    )


def _record_of(interfaces: Sequence[InterfaceRecord], whole: tuple[int, int]) -> tuple[int, int]:
    """From when to when some interfaces were seen, within the whole record; UTC seconds."""
    first_us = min(one.first_seen_us for one in interfaces)
    last_us = max(one.last_seen_us for one in interfaces)
    return max(whole[0], first_us // US), min(whole[1], -(-last_us // US))


def _minus(one: Sequence[int], other: Sequence[int]) -> list[int]:
    return list(map(sub, one, other))


# ---- Bars -------------------------------------------------------------------------------------------------------


def _cut(span: Span, narrowest: Width) -> tuple[Width, list[int]]:
    """The narrowest width of which few enough bars cover the stretch, and the edges of those."""
    widths = list(Width)
    for width in widths[widths.index(narrowest) :]:
        if (span.until_s - span.since_s) // _SECONDS[width] > span.bars:
            continue
        edges = _edges(span, width)
        if len(edges) - 1 <= span.bars or width is Width.YEAR:
            return width, edges
    raise UsageError("that are more years than bars", hint="ask for less, or for more bars")


def _edges(span: Span, width: Width) -> list[int]:
    since_s, until_s = span.since_s, span.until_s
    if width is Width.QUARTER:
        return list(range(since_s - since_s % QUARTER_S, until_s + QUARTER_S - 1, QUARTER_S))
    if width is Width.SIX_HOURS:
        return _six_hours(span)
    found = periods(
        PeriodKind(width.value),
        since_s,
        until_s,
        span.zone,
        billing_day=span.billing_day,
        week_start=span.week_start,
    )
    return [one.start_s for one in found] + [found[-1].end_s]


def _six_hours(span: Span) -> list[int]:
    """Quarters of a day as the clock shows them: each begins with the first hour at or after 0, 6, 12 and 18."""
    days = periods(PeriodKind.DAY, span.since_s, span.until_s, span.zone)
    hours = periods(PeriodKind.HOUR, days[0].start_s, days[-1].end_s, span.zone)
    edges, part = [], None
    for hour in hours:
        at = datetime.fromtimestamp(hour.start_s, span.zone)
        if (at.date(), at.hour // 6) != part:
            part = (at.date(), at.hour // 6)
            edges.append(hour.start_s)
    edges.append(hours[-1].end_s)
    low = max(n for n, at in enumerate(edges) if at <= span.since_s)
    high = min(n for n, at in enumerate(edges) if at >= span.until_s)
    return edges[low : high + 1]


# ---- What is not exact ------------------------------------------------------------------------------------------


def _longest(spans: Sequence[SpanRecord], edges: Sequence[int]) -> list[Stretch]:
    """The longest of the estimated stretches with bytes, as far as they can be seen."""
    whole = union((one.start_us // US, -(-one.end_us // US)) for one in spans if one.rx_bytes or one.tx_bytes)
    within = ((max(start_s, edges[0]), min(end_s, edges[-1])) for start_s, end_s in whole)
    shortest_s = (edges[-1] - edges[0]) // _FINEST
    seen = [stretch for stretch in within if stretch[1] - stretch[0] > shortest_s]
    return sorted(sorted(seen, key=lambda stretch: stretch[0] - stretch[1])[:_MOST_STRETCHES])
