"""Single values as people read them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from netusage.render.cells import safe
from netusage.render.columns import Column
from netusage.render.context import RenderContext
from netusage.units import format_all_bytes, format_all_rates, format_duration

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

NOTHING = "-"


def human(column: Column, values: Sequence[Any], context: RenderContext) -> list[str]:
    """The cells of one column; words that stand where a number was expected are shown as they are."""
    if column.kind in ("time", "date"):
        return _times(values, context, clock=column.kind == "time")
    if column.kind in ("bytes", "rate"):
        return _amounts(column, values, context)
    show = _SHOWERS.get(column.kind, _text)
    return [
        NOTHING if value is None else safe(value) if isinstance(value, str) else show(value)
        for value in values
    ]


def _amounts(column: Column, values: Sequence[Any], context: RenderContext) -> list[str]:
    """Bytes or rates, all at once as far as they are numbers."""
    numbers = [value for value in values if value is not None and not isinstance(value, str)]
    if column.kind == "bytes":
        texts = format_all_bytes(numbers, context.units)
    else:
        texts = format_all_rates(numbers, context.units, context.bits)
    if len(texts) == len(values):
        return texts
    rest = iter(texts)
    return [
        NOTHING if value is None else safe(value) if isinstance(value, str) else next(rest)
        for value in values
    ]


def _text(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(safe(str(part)) for part in value) or NOTHING
    return safe(str(value))


def _duration(us: int) -> str:
    return format_duration(us, parts=2)


def _count(number: int) -> str:
    return f"{number:,}"


def _flag(value: object) -> str:
    return "yes" if value else "no"


def _share(part: float) -> str:
    """Percent with one decimal; something is never shown as nothing, nor nearly all as all."""
    percent = f"{part * 100:.1f}"
    if percent == "0.0" and part > 0:
        return "<0.1 %"
    if percent == "100.0" and part < 1:
        return ">99.9 %"
    return f"{percent} %"


_SHOWERS: dict[str, Callable[[Any], str]] = {
    "int": _count,
    "duration": _duration,
    "share": _share,
    "flag": _flag,
}


def _times(values: Sequence[Any], context: RenderContext, *, clock: bool) -> list[str]:
    """Times of one column alike: seconds when one of them has any, the offset when they differ in it."""
    moments = [_moment(value, context) for value in values]
    known = [moment for moment in moments if isinstance(moment, datetime)]
    end, several = len("2026-11-20"), False
    if clock:
        end += len(" 13:00:00") if any(moment.second for moment in known) else len(" 13:00")
        several = len({moment.utcoffset() for moment in known}) > 1
    cells = []
    for moment in moments:
        if isinstance(moment, datetime):
            text = moment.isoformat(" ")
            offset = text[len(moment.replace(tzinfo=None).isoformat()) :] if several else ""
            cells.append(f"{text[:end]}{' ' if offset else ''}{offset}")
        else:
            cells.append(moment)
    return cells


def _moment(value: Any, context: RenderContext) -> datetime | str:
    """The time in the context's zone, or the cell's text where there is none."""
    if value is None:
        return NOTHING
    try:
        moment = value if isinstance(value, datetime) else datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return safe(str(value))
    return moment if context.zone is None or moment.tzinfo is None else moment.astimezone(context.zone)
