"""The panels of a picture, each drawn into axes that it is given."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from math import pow as power
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.patches import Patch

from netusage.ledger.answers import Usage
from netusage.model import Counters
from netusage.periods import PeriodKind
from netusage.plot.contents import Bars, Contents
from netusage.plot.style import Style, blend, heat
from netusage.plot.ticks import WEEKDAYS, byte_ticks, short_bytes, time_ticks
from netusage.render.columns import Column
from netusage.render.context import RenderContext
from netusage.render.plan_documents import used_by_day
from netusage.render.values import human
from netusage.reports.applications import Row
from netusage.reports.coverage import Stretch, length
from netusage.reports.plans import Standing
from netusage.units import Units, format_bytes

PER = {
    PeriodKind.MINUTE: "per minute",
    PeriodKind.FIVE_MINUTES: "per five minutes",
    PeriodKind.HOUR: "per hour",
    PeriodKind.DAY: "per day",
    PeriodKind.WEEK: "per week",
    PeriodKind.MONTH: "per month",
    PeriodKind.YEAR: "per year",
}
_CLOCK = (PeriodKind.MINUTE, PeriodKind.FIVE_MINUTES, PeriodKind.HOUR)
_HATCH = "////"
_SMALL = 0.85
_POWER = 2 / 3  # of colours: a quiet day is seen beside a very busy one
_ONE_STRIP = 60  # weeks; more are told by years
_SHARE = Column("share", "Share", "share")


class Place(NamedTuple):
    """Axes, how far they are from the left edge of their panel, and how large, in pixels."""

    axes: Axes
    indent: float
    wide: float
    high: float


Quad = list[tuple[float, float]]


def _quad(left: float, right: float, low: float, high: float) -> Quad:
    return [(left, low), (left, high), (right, high), (right, low)]


def _gid(axes: Axes, name: str) -> str:
    """What a part is called in SVG: once in a picture."""
    return f"{axes.get_gid()}-{name}"


def heading(place: Place, text: str, style: Style) -> None:
    """Write what a panel shows over its left end."""
    place.axes.text(
        -place.indent / place.wide,
        1 + 0.4 * style.em / place.high,
        text,
        transform=place.axes.transAxes,
        va="bottom",
        fontweight="bold",
    )


# ---- Bars -------------------------------------------------------------------------------------------------------


def timeline(place: Place, bars: Bars, contents: Contents, style: Style) -> None:
    """Bars of what was received, upwards, and sent, downwards; over them a legend of what there is."""
    axes, theme = place.axes, style.theme
    low_s, high_s = bars.edges[0], bars.edges[-1]
    pixel_s = (high_s - low_s) / place.wide
    axes.set_xlim(low_s, high_s)
    up = max(usage.rx_bytes for usage in bars.usages)
    down = max(usage.tx_bytes for usage in bars.usages)
    room = int(place.high / (3.2 * style.em))
    ticks = byte_ticks(-down, up, style.units, room) if up or down else [0]
    step = ticks[1] - ticks[0] if len(ticks) > 1 else max(up, down, 1)
    axes.set_ylim(-down - step * 0.06, up + step * 0.06)

    beneath = _shade(place, contents.unwatched, style)
    has_room = pixel_s * 5 < min(high - low for low, high in pairwise(bars.edges))
    gap_s = 0.14 if has_room else 0.0
    shown: list[Patch] = []
    hatched: Patch | None = None
    sides: list[tuple[str, str, Callable[[Usage], tuple[int, int]], int]] = [
        ("received", theme.received, lambda one: (one.rx_bytes, one.estimated_rx_bytes), 1),
        ("sent", theme.sent, lambda one: (one.tx_bytes, one.estimated_tx_bytes), -1),
    ]
    for name, colour, parts, sign in sides:
        known: list[Quad] = []
        vague: list[Quad] = []
        for (start, end), usage in zip(pairwise(bars.edges), bars.usages, strict=True):
            whole, estimated = parts(usage)
            inset = (end - start) * gap_s / 2
            left, right = start + inset, end - inset
            known.append(_quad(left, right, 0, sign * (whole - estimated)))
            if estimated:
                vague.append(_quad(left, right, sign * (whole - estimated), sign * whole))
        axes.add_collection(PolyCollection(known, facecolors=colour, linewidths=0, gid=_gid(axes, name)))
        shown.append(Patch(facecolor=colour, label=name))
        if vague:
            pale: dict[str, Any] = {
                "facecolor": blend(colour, theme.ground, 0.7),
                "edgecolor": colour,
                "hatch": _HATCH,
                "linewidth": 0,
            }
            axes.add_collection(PolyCollection(vague, gid=_gid(axes, f"estimated-{name}"), **pale))
            hatched = hatched or Patch(label="time estimated", **pale)
    above = _mark(place, contents.lossy, style)

    axes.axhline(0, color=theme.soft, linewidth=style.hair)
    axes.set_yticks(ticks, [short_bytes(n, style.units) for n in ticks])
    axes.grid(axis="y")
    _time_axis(place, bars, contents, style)
    _legend(axes, [*shown, *(one for one in (hatched, beneath, above) if one is not None)], style)


def _shade(place: Place, stretches: Sequence[Stretch], style: Style) -> Patch | None:
    """Stretches of the whole height, as far as they can be seen."""
    low_s, high_s = place.axes.get_xlim()
    pixel_s = (high_s - low_s) / place.wide
    quads = [
        _quad(*stretch, *place.axes.get_ylim()) for stretch in stretches if stretch[1] - stretch[0] >= pixel_s
    ]
    if not quads:
        return None
    colour = style.theme.unwatched
    place.axes.add_collection(
        PolyCollection(quads, facecolors=colour, linewidths=0, gid=_gid(place.axes, "unwatched"))
    )
    return Patch(facecolor=colour, label="not watched")


def _mark(place: Place, stretches: Sequence[Stretch], style: Style) -> Patch | None:
    """Marks at the upper edge for stretches however short, each two pixels wide at least."""
    if not stretches:
        return None
    low_s, high_s = place.axes.get_xlim()
    least_s = 2 * (high_s - low_s) / place.wide
    low, high = place.axes.get_ylim()
    quads = []
    for start, end in stretches:
        middle, half = (start + end) / 2, max(end - start, least_s) / 2
        quads.append(
            _quad(middle - half, middle + half, high - (high - low) * 0.5 * style.em / place.high, high)
        )
    colour = style.theme.lossy
    place.axes.add_collection(
        PolyCollection(quads, facecolors=colour, linewidths=0, gid=_gid(place.axes, "lossy"))
    )
    return Patch(facecolor=colour, label="may have lost bytes")


def _time_axis(place: Place, bars: Bars, contents: Contents, style: Style) -> None:
    """Marks at the start of a period of the clock, and in the middle of one of the calendar."""
    starts = [datetime.fromtimestamp(at, contents.question.zone) for at in bars.edges[:-1]]
    room = int(place.wide / (5.6 * style.em))
    marks = time_ticks(starts, bars.kind, room, contents.question.week_start)
    edges = bars.edges
    if bars.kind in _CLOCK:
        positions = [float(edges[n]) for n, _ in marks]
    else:
        positions = [(edges[n] + edges[n + 1]) / 2 for n, _ in marks]
    place.axes.set_xticks(positions, [text for _, text in marks])


def _legend(axes: Axes, shown: Sequence[Patch], style: Style) -> None:
    axes.legend(
        handles=list(shown),
        loc="lower right",
        bbox_to_anchor=(1, 1),
        ncols=len(shown),
        frameon=False,
        fontsize=style.points * 0.9,
        labelcolor=style.theme.soft,
        handlelength=1.1,
        handleheight=0.8,
        handletextpad=0.5,
        columnspacing=1.2,
        borderaxespad=0.2,
        borderpad=0.2,
    )


# ---- Heat map ---------------------------------------------------------------------------------------------------


class Cell(NamedTuple):
    """Where a period stands: the column, the row from the top, and which one it is."""

    column: int
    row: int
    number: int


def calendar(bars: Bars, contents: Contents) -> tuple[list[Cell], int]:
    """Days in columns of weeks, each year in a strip of its own when there are many; and the number of strips."""
    question = contents.question
    days = [datetime.fromtimestamp(at, question.zone).date() for at in bars.edges[:-1]]
    weeks = [(day.toordinal() - 1 - question.week_start) // 7 for day in days]
    if weeks[-1] - weeks[0] < _ONE_STRIP:
        places = ((week - weeks[0], 0) for week in weeks)
        strips = 1
    else:
        firsts = ((day.replace(month=1, day=1).toordinal() - 1 - question.week_start) // 7 for day in days)
        places = (
            (week - first, day.year - days[0].year)
            for day, week, first in zip(days, weeks, firsts, strict=True)
        )
        strips = days[-1].year - days[0].year + 1
    return [
        Cell(column, 8 * strip + (day.weekday() - question.week_start) % 7, n)
        for n, (day, (column, strip)) in enumerate(zip(days, places, strict=True))
    ], strips


def heat_size(contents: Contents) -> tuple[int, int]:
    """How many columns a heat map has, and how many strips of rows."""
    if contents.heat is None:
        return 0, 0
    if contents.heat.kind is PeriodKind.HOUR:
        edges, zone = contents.heat.edges, contents.question.zone
        first, last = (datetime.fromtimestamp(at, zone).toordinal() for at in (edges[0], edges[-1] - 1))
        return last - first + 1, 1
    cells, strips = calendar(contents.heat, contents)
    return max(cell.column for cell in cells) + 1, strips


def heatmap(place: Place, contents: Contents, style: Style) -> None:
    """Days in weeks, or hours in days, the darker the more; over them a key of the colours."""
    bars = contents.heat
    assert bars is not None, "asked for with the panel"
    if bars.kind is PeriodKind.HOUR:
        cells = _hours_in_days(place, bars, contents, style)
    else:
        cells = _days_in_weeks(place, bars, contents, style)
    found: dict[tuple[int, int], int] = {}
    watched = set()
    for cell in cells:
        both, seconds = bars.usages[cell.number].total_bytes, bars.seconds[cell.number]
        if not seconds and not both:
            continue  # before the record, or to come
        place_of = (cell.column, cell.row)
        found[place_of] = found.get(place_of, 0) + both
        stretch = bars.edges[cell.number], bars.edges[cell.number + 1]
        if both or length(contents.unwatched, *stretch) < seconds:
            watched.add(place_of)
    most = max(found.values(), default=0)
    parts = {at: power(both / most, _POWER) if most else 0.0 for at, both in found.items()}
    theme, axes = style.theme, place.axes
    wide, high = place.wide / axes.get_xlim()[1], place.high / axes.get_ylim()[0]
    inset_x, inset_y = (0.5 / wide, 0.5 / high) if min(wide, high) > 6 else (0.0, 0.0)
    quads = [_quad(x + inset_x, x + 1 - inset_x, y + inset_y, y + 1 - inset_y) for x, y in found]
    colours = [heat(theme, part) if at in watched else theme.unwatched for at, part in parts.items()]
    axes.add_collection(PolyCollection(quads, facecolors=colours, linewidths=0, gid=_gid(axes, "cells")))
    axes.tick_params(length=0)
    texts = {at: format_bytes(both, style.units) for at, both in found.items() if at in watched}
    has_room = high > 1.2 * style.em and all(
        style.width_of(text, size=_SMALL) + 0.6 * style.em < wide for text in texts.values()
    )
    for (x, y), text in texts.items() if has_room else ():
        colour = theme.ink if parts[x, y] < 0.35 else theme.ground
        axes.text(
            x + 0.5, y + 0.5, text, va="center", ha="center", color=colour, fontsize=style.points * _SMALL
        )
    _key(place, most, style)


def _hours_in_days(place: Place, bars: Bars, contents: Contents, style: Style) -> list[Cell]:
    """A column for each day, a row for each hour of the clock; an hour that comes twice is one."""
    starts = [datetime.fromtimestamp(at, contents.question.zone) for at in bars.edges[:-1]]
    first = starts[0].toordinal()
    cells = [Cell(at.toordinal() - first, at.hour, n) for n, at in enumerate(starts)]
    days = cells[-1].column + 1
    axes = place.axes
    axes.set_ylim(24, 0)
    axes.set_yticks([0.5, 6.5, 12.5, 18.5], ["00:00", "06:00", "12:00", "18:00"])
    axes.set_xlim(0, max(days, place.wide * 24 / place.high / 12))
    dates = [datetime.combine(starts[0].date() + timedelta(days=n), datetime.min.time()) for n in range(days)]
    room = int(place.wide * days / axes.get_xlim()[1] / (5.6 * style.em))
    marks = time_ticks(dates, PeriodKind.DAY, room, contents.question.week_start)
    axes.set_xticks([n + 0.5 for n, _ in marks], [text for _, text in marks])
    return cells


def _days_in_weeks(place: Place, bars: Bars, contents: Contents, style: Style) -> list[Cell]:
    cells, strips = calendar(bars, contents)
    week_start = contents.question.week_start
    axes = place.axes
    rows = 8 * strips - 1
    columns = max(cell.column for cell in cells) + 1
    starts = [datetime.fromtimestamp(at, contents.question.zone) for at in bars.edges[:-1]]
    axes.set_ylim(rows, 0)
    # a cell is at most five times as wide as high
    axes.set_xlim(0, max(columns, place.wide * rows / place.high / 5) if strips == 1 else columns)
    if strips > 1:
        axes.set_yticks(
            [8 * n + 3.5 for n in range(strips)], [f"{starts[0].year + n}" for n in range(strips)]
        )
        year = [datetime(2001, month, 1) for month in range(1, 13)]  # noqa: DTZ001  # a year like any other
        texts = time_ticks(year, PeriodKind.MONTH, int(place.wide / (3 * style.em)))
        axes.set_xticks(
            [(year[n].timetuple().tm_yday + 15) / 7 for n, _ in texts],
            [text.partition("\n")[0] for _, text in texts],
        )
        return cells
    axes.set_yticks([n + 0.5 for n in (0, 2, 4)], [WEEKDAYS[(n + week_start) % 7] for n in (0, 2, 4)])
    mondays = [starts[0] + timedelta(days=7 * n - cells[0].row) for n in range(columns)]
    room = int(place.wide * columns / axes.get_xlim()[1] / (4.5 * style.em))
    marks = time_ticks(mondays, PeriodKind.WEEK, room, week_start)
    axes.set_xticks([n + 0.5 for n, _ in marks], [text for _, text in marks])
    return cells


def _key(place: Place, most: int, style: Style) -> None:
    """The colours from nothing over their middle to the most, over the right end."""
    axes, small = place.axes, style.points * 0.9
    right = float(place.wide)
    said: dict[str, Any] = {"transform": axes.transAxes, "va": "center", "ha": "right", "fontsize": small}
    middle = int(most * power(0.5, 1 / _POWER))
    for text, first in (
        (format_bytes(most, style.units), 12),
        (format_bytes(middle, style.units), 0),
        ("0", None),
    ):
        high = 1 + 0.8 * style.em / place.high
        axes.text(right / place.wide, high, text, color=style.theme.soft, **said)
        right -= style.width_of(text, size=0.9) + 0.6 * style.em
        if first is None:
            break
        step = 0.3 * style.em
        quads = [
            _quad(
                (right - n * step) / place.wide,
                (right - (n + 1) * step) / place.wide,
                high - 0.35 * style.em / place.high,
                high + 0.35 * style.em / place.high,
            )
            for n in range(12)
        ]
        colours = [heat(style.theme, (first + 11 - n) / 23) for n in range(12)]
        axes.add_collection(
            PolyCollection(
                quads,
                facecolors=colours,
                linewidths=0,
                transform=axes.transAxes,
                clip_on=False,
                gid=_gid(axes, f"key-{first}"),
            ),
            autolim=False,
        )
        right -= 12 * step + 0.6 * style.em


# ---- Applications -----------------------------------------------------------------------------------------------


def applications(place: Place, contents: Contents, style: Style) -> None:
    """The busiest applications: received and sent, how much that is, and its part of all."""
    rows = contents.applications
    assert rows is not None, "asked for with the panel"
    count = max(int(place.high / (1.7 * style.em)), 1)
    shown = _busiest(rows, count)
    axes, theme = place.axes, style.theme
    most = max(max(row.counters.rx_bytes, 0) + max(row.counters.tx_bytes, 0) for row in shown)
    texts = _amounts(shown, style.units)
    names_wide = place.wide * 0.26
    room = max(style.width_of(text, size=0.9) for text in texts) + 0.8 * style.em
    bars_wide = place.wide - names_wide - room
    scale = bars_wide / (most or 1)
    axes.set_xlim(0, place.wide)
    axes.set_ylim(max(len(shown), 3), 0)
    axes.set_axis_off()
    received: list[Quad] = []
    sent: list[Quad] = []
    for n, (row, text) in enumerate(zip(shown, texts, strict=True)):
        middle = names_wide + max(row.counters.rx_bytes, 0) * scale
        end = middle + max(row.counters.tx_bytes, 0) * scale
        received.append(_quad(names_wide, middle, n + 0.18, n + 0.82))
        sent.append(_quad(middle, end, n + 0.18, n + 0.82))
        name = style.fit(row.values[0], names_wide - style.em)
        axes.text(0, n + 0.5, name, va="center", parse_math=False)
        beside = end + 0.5 * style.em
        axes.text(beside, n + 0.5, text, va="center", color=theme.soft, fontsize=style.points * 0.9)
    shown_by: list[Patch] = []
    for colour, name, quads in ((theme.received, "received", received), (theme.sent, "sent", sent)):
        axes.add_collection(PolyCollection(quads, facecolors=colour, linewidths=0, gid=_gid(axes, name)))
        shown_by.append(Patch(facecolor=colour, label=name))
    _legend(axes, shown_by, style)


def _busiest(rows: Sequence[Row], count: int) -> list[Row]:
    """As many as there is room for; those that are left are one."""
    if len(rows) <= count:
        return list(rows)
    told, rest = list(rows[: count - 1]), rows[count - 1 :]
    counters = Counters(*map(sum, zip(*(row.counters for row in rest), strict=True)))
    shares = [row.share for row in rest if row.share is not None]
    return [*told, Row((f"{len(rest):,} others",), counters, sum(shares) if shares else None)]


def _amounts(rows: Sequence[Row], units: Units) -> list[str]:
    shares = human(_SHARE, [row.share for row in rows], RenderContext())
    return [
        f"{format_bytes(row.counters.rx_bytes + row.counters.tx_bytes, units)} · {share}"
        for row, share in zip(rows, shares, strict=True)
    ]


# ---- A data plan ------------------------------------------------------------------------------------------------


def plan(place: Place, contents: Contents, style: Style) -> None:
    """What was used by the end of each day, and what will be: the middle, in a band of what is likely; and the limit."""
    assert contents.plan is not None, "asked for with the panel"
    stands, outlook = contents.plan
    axes, theme = place.axes, style.theme
    now_s = min(stands.now_s, stands.end_s)
    past = [(float(stands.start_s), float(stands.already_used_bytes))]
    past += [(float(min(end_s, now_s)), float(used)) for end_s, used in _used(stands)]
    steps = outlook.steps if outlook is not None else ()
    high = [stands.used_bytes, *(step.high if step.high is not None else step.middle for step in steps)]
    top = max(stands.limit_bytes, stands.used_bytes, *high)
    axes.set_xlim(stands.start_s, stands.end_s)
    axes.set_ylim(0, top * 1.06)

    shown = [Patch(facecolor=theme.received, label="used")]
    used = [*past, (past[-1][0], 0.0), (past[0][0], 0.0)]
    axes.add_collection(
        PolyCollection([used], facecolors=theme.received, linewidths=0, gid=_gid(axes, "used"))
    )
    if steps:
        times = [now_s, *(step.at_s for step in steps)]
        if steps[-1].low is not None:
            low = [stands.used_bytes, *(step.low or 0 for step in steps)]
            band = [*zip(times, high, strict=True), *reversed(list(zip(times, low, strict=True)))]
            pale = blend(theme.received, theme.ground, 0.7)
            axes.add_collection(
                PolyCollection([band], facecolors=pale, linewidths=0, gid=_gid(axes, "possible"))
            )
            shown.append(Patch(facecolor=pale, label="in four of five cases"))
        middle = [stands.used_bytes, *(step.middle for step in steps)]
        axes.plot(times, middle, color=theme.received, linewidth=style.hair * 1.5, gid=_gid(axes, "expected"))
    axes.axhline(stands.limit_bytes, color=theme.sent, linewidth=style.hair * 1.5, gid=_gid(axes, "limit"))
    shown.append(Patch(facecolor=theme.sent, label=format_bytes(stands.limit_bytes, style.units)))

    ticks = byte_ticks(0, top, style.units, int(place.high / (3.2 * style.em)))
    axes.set_yticks(ticks, [short_bytes(n, style.units) for n in ticks])
    axes.grid(axis="y")
    starts = [datetime.fromtimestamp(day.start_s, contents.question.zone) for day in stands.days]
    room = int(place.wide / (5.6 * style.em))
    marks = time_ticks(starts, PeriodKind.DAY, room, contents.question.week_start)
    middles = [(stands.days[n].start_s + stands.days[n].end_s) / 2 for n, _ in marks]
    axes.set_xticks(middles, [text for _, text in marks])
    _legend(axes, shown, style)


def _used(stands: Standing) -> list[tuple[int, int]]:
    """The end of each day that has begun, and what was used by then."""
    ends = {day.start_s: day.end_s for day in stands.days}
    return [(ends[start_s], used) for start_s, used in used_by_day(stands)]


def plan_heading(contents: Contents, style: Style) -> str:
    """What is said over it."""
    assert contents.plan is not None, "asked for with the panel"
    stands, outlook = contents.plan
    used, limit = (format_bytes(n, style.units) for n in (stands.used_bytes, stands.limit_bytes))
    text = f"Plan {stands.name}: {used} of {limit}"
    return (
        f"{text}, {format_bytes(outlook.used_bytes, style.units)} expected" if outlook is not None else text
    )
