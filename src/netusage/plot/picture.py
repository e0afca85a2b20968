"""A whole picture: what is written over it, where its panels are, and how it becomes a file."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from io import BytesIO
from typing import NamedTuple

from matplotlib.figure import Figure

from netusage.errors import UsageError
from netusage.periods import PeriodKind
from netusage.plot import panels as drawn
from netusage.plot.contents import Contents, Panel
from netusage.plot.style import DPI, Style, drawing
from netusage.units import format_bytes, format_rate

FORMATS = ("png", "svg", "pdf")
_CLOCK = (PeriodKind.MINUTE, PeriodKind.FIVE_MINUTES, PeriodKind.HOUR)
_LEAST_EM = 5  # the height of a panel in which something can be seen
# what is over and below a panel, in em
_OVER, _BELOW = 2.2, dict.fromkeys(Panel, 3.0) | {Panel.APPLICATIONS: 0.8}
_HEAD, _FOOT, _SIDE = 6.2, 2.2, 1.6
_AXIS = 5.4  # for the numbers at the left
_BETWEEN = 2.5  # panels side by side
_NARROW = 12  # columns of a heat map that needs no whole width


def draw(contents: Contents, panels: Sequence[Panel], style: Style, file_format: str) -> bytes:
    """The picture as the bytes of a file of that format (of `FORMATS`); the same for the same contents.

    Raises:
        UsageError: it is too small for what it is to show.
    """
    chosen = [panel for panel in Panel if panel in panels]
    if contents.applications is None and Panel.APPLICATIONS in chosen:
        chosen.remove(Panel.APPLICATIONS)
    if contents.plan is None and Panel.PLAN in chosen:
        chosen.remove(Panel.PLAN)
    if contents.bars.kind is PeriodKind.DAY and {Panel.TIMELINE, Panel.DAYS} <= set(chosen):
        chosen.remove(Panel.DAYS)  # it is the same
    with drawing(style):
        figure = Figure(figsize=(style.wide / DPI, style.high / DPI), dpi=DPI)
        title = _head(figure, contents, style, has_bars=Panel.TIMELINE in chosen)
        if Panel.APPLICATIONS in panels:
            _foot(figure, contents, style)
        for panel, box in _boxes(contents, chosen, style):
            _panel(_place(figure, panel, box, style), panel, contents, style)
        stream = BytesIO()
        figure.savefig(stream, format=file_format, dpi=DPI, metadata=_metadata(file_format, title))
    return stream.getvalue()


def _metadata(file_format: str, title: str) -> dict[str, str | None]:
    """What the file says of itself: no time, so that the same picture is the same file."""
    if file_format == "png":
        return {"Title": title, "Software": "netusage"}
    if file_format == "svg":
        return {"Title": title, "Creator": "netusage", "Date": None}
    return {"Title": title, "Creator": "netusage", "CreationDate": None}


# ---- Words ------------------------------------------------------------------------------------------------------


def _head(figure: Figure, contents: Contents, style: Style, *, has_bars: bool) -> str:
    """Write what the picture is about, and the totals; the title."""
    em, inner = style.em, style.wide - 2 * _SIDE * style.em
    whose = f" of {', '.join(contents.interfaces)}" if contents.interfaces else ""
    by = f" {drawn.PER[contents.bars.kind]}" if has_bars else ""
    title = style.fit(f"Network usage{by}{whose}", inner, size=1.45, bold=True)
    left, top = _SIDE * em / style.wide, 1 - 1.2 * em / style.high
    figure.text(
        left,
        top,
        title,
        va="top",
        fontsize=style.points * 1.45,
        fontweight="bold",
        parse_math=False,
        gid="title",
    )
    lines = "\n".join(style.fit(line, inner) for line in (_time(contents), _totals(contents, style)))
    below = top - 2.1 * em / style.high
    figure.text(left, below, lines, va="top", color=style.theme.soft, linespacing=1.35, parse_math=False)
    return title


def _time(contents: Contents) -> str:
    question, bars = contents.question, contents.bars
    start = datetime.fromtimestamp(bars.edges[0], question.zone)
    end_s = min(bars.edges[-1], question.now_s + 1)
    if bars.kind in _CLOCK:
        end = datetime.fromtimestamp(end_s, question.zone)
        several = start.utcoffset() != end.utcoffset()
        said = " to ".join(f"{at:%Y-%m-%d %H:%M}{f'{at:%z}' if several else ''}" for at in (start, end))
    else:
        said = f"{start:%Y-%m-%d} to {datetime.fromtimestamp(end_s - 1, question.zone):%Y-%m-%d}"
    zone = getattr(question.zone, "key", None) or start.tzname() or "local time"
    whole = f" · {contents.hosts:,} hosts together" if contents.hosts > 1 else ""
    return f"{said}, {zone}{whole}"


def _totals(contents: Contents, style: Style) -> str:
    total, seconds = contents.bars.total, sum(contents.bars.seconds)
    parts = [
        f"{format_bytes(total.rx_bytes, style.units)} received",
        f"{format_bytes(total.tx_bytes, style.units)} sent",
    ]
    if seconds:
        parts.append(f"{format_rate(total.total_bytes // seconds, style.units, style.bits)} on average")
    if total.estimated_bytes:
        parts.append(f"{format_bytes(total.estimated_bytes, style.units)} at an estimated time")
    return " · ".join(parts)


def _foot(figure: Figure, contents: Contents, style: Style) -> None:
    """How applications were told apart, or that they were not."""
    if contents.applications is None:
        said = "No applications: nothing is recorded of them in this time."
    elif contents.tiers in ([], ["interfaces"]):
        said = "Applications are not told apart now: totals of interfaces only."
    else:
        said = f"Applications are told apart by: {', then '.join(contents.tiers)}"
    figure.text(
        _SIDE * style.em / style.wide,
        0.8 * style.em / style.high,
        style.fit(said, style.wide - 2 * _SIDE * style.em, size=0.9),
        va="bottom",
        color=style.theme.soft,
        fontsize=style.points * 0.9,
        parse_math=False,
    )


# ---- Panels -----------------------------------------------------------------------------------------------------


class Box(NamedTuple):
    """Where a panel is, without what is written around it, in pixels from the lower left corner."""

    left: float
    bottom: float
    wide: float
    high: float


def _boxes(contents: Contents, chosen: Sequence[Panel], style: Style) -> list[tuple[Panel, Box]]:
    """Where each panel is: one below the other, but for a narrow heat map, which has applications beside it.

    Raises:
        UsageError: there is no room.
    """
    em = style.em
    columns, strips = drawn.heat_size(contents)
    weights = {
        Panel.TIMELINE: 3.0,
        Panel.DAYS: 2.0,
        Panel.HEATMAP: 1.3 if strips == 1 else 3.0,
        Panel.APPLICATIONS: 2.0,
        Panel.PLAN: 2.0,
    }
    rows = [[panel] for panel in chosen]
    if (
        list(chosen[-2:]) == [Panel.HEATMAP, Panel.APPLICATIONS]
        and columns <= _NARROW
        and style.wide >= 70 * em
    ):
        rows[-2:] = [[Panel.HEATMAP, Panel.APPLICATIONS]]
    tall = [max(weights[panel] for panel in row) for row in rows]
    below = [max(_BELOW[panel] for panel in row) for row in rows]
    fixed = (_HEAD + _FOOT + sum(below) + _OVER * len(rows)) * em
    free = style.high - fixed
    if free * min(tall) / sum(tall) < _LEAST_EM * em:
        raise UsageError(
            f"{len(chosen)} panels do not fit in {style.wide}x{style.high} pixels",
            hint="make it larger with --size, or choose fewer with --panel",
        )
    found, top = [], style.high - _HEAD * em
    for row, weight, under in zip(rows, tall, below, strict=True):
        high = free * weight / sum(tall)
        top -= _OVER * em + high
        left, whole = _SIDE * em, style.wide - 2 * _SIDE * em - _BETWEEN * em * (len(row) - 1)
        for panel, part in zip(row, (1,) if len(row) == 1 else (0.44, 0.56), strict=True):
            found.append((panel, Box(left, top, whole * part, high)))
            left += whole * part + _BETWEEN * em
        top -= under * em
    return found


def _place(figure: Figure, panel: Panel, box: Box, style: Style) -> drawn.Place:
    """The axes of a panel, which leave room for the numbers at their left."""
    indent = 0 if panel is Panel.APPLICATIONS else _AXIS * style.em
    wide = box.wide - indent
    axes = figure.add_axes(
        (
            (box.left + indent) / style.wide,
            box.bottom / style.high,
            wide / style.wide,
            box.high / style.high,
        )
    )
    axes.set_gid(panel.value)
    return drawn.Place(axes, indent, wide, box.high)


def _panel(place: drawn.Place, panel: Panel, contents: Contents, style: Style) -> None:
    heading, bars = "Applications", contents.bars
    match panel:
        case Panel.TIMELINE | Panel.DAYS:
            if panel is Panel.DAYS and contents.days is not None:
                bars = contents.days
            _refuse_too_many(len(bars.usages), place.wide)
            drawn.timeline(place, bars, contents, style)
            heading = f"Bytes {drawn.PER[bars.kind]}"
        case Panel.HEATMAP:
            drawn.heatmap(place, contents, style)
            by_hours = contents.heat is not None and contents.heat.kind is PeriodKind.HOUR
            heading = "Bytes of each hour" if by_hours else "Bytes of each day"
        case Panel.APPLICATIONS:
            drawn.applications(place, contents, style)
            if bars.kind in (PeriodKind.MINUTE, PeriodKind.FIVE_MINUTES):
                heading += ", in whole quarters of an hour"
        case Panel.PLAN:
            drawn.plan(place, contents, style)
            heading = style.fit(drawn.plan_heading(contents, style), place.wide * 0.6, bold=True)
    drawn.heading(place, heading, style)


def _refuse_too_many(count: int, wide: float) -> None:
    if count > wide:
        raise UsageError(
            f"{count:,} bars do not fit in {int(wide):,} pixels",
            hint="ask for a longer period or a shorter time, or make it wider with --size",
        )
