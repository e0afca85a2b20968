"""A plan for people: a bar, a few lines of words, and a chart of the cycle."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, tzinfo
from typing import TYPE_CHECKING

from netusage.render import plan_drawing
from netusage.render.cells import safe
from netusage.render.plan_documents import ahead_by_day, used_by_day
from netusage.reports.plans import hosts_words
from netusage.units import format_bytes

if TYPE_CHECKING:
    from netusage.render.context import RenderContext
    from netusage.render.plan_drawing import Marks
    from netusage.reports.plans import Answer, Outlook, Standing

_DEFAULT_WIDTH, _WIDEST, _NARROWEST = 80, 100, 30
_INDENT = "  "
_LABEL = 12
_METHODS = {"weekday hours": "by the same weekdays' hours", "linear": "linear"}
_DIRECTIONS = {"both": "received and sent", "rx": "received", "tx": "sent"}
_GREEN, _YELLOW, _RED, _BOLD, _OFF = "\x1b[32m", "\x1b[33m", "\x1b[31m", "\x1b[1m", "\x1b[0m"


def lines(answer: Answer, zone: tzinfo, context: RenderContext, encoding: str | None) -> Iterator[str]:
    """What is said of a plan in one cycle."""
    stands, outlook = answer
    marks = plan_drawing.marks_of(encoding)
    width = min(max(context.width or _DEFAULT_WIDTH, _NARROWEST), _WIDEST) - len(_INDENT)
    title = safe(stands.name)
    yield f"{_BOLD}{title}{_OFF}" if context.color else title
    cycle = f"{_day(stands.start_s, zone)} to {_day(stands.end_s, zone)}, {_DIRECTIONS[stands.direction]}"
    yield from _wrapped("", cycle, width)
    share = f" {_percent(stands.share)}"
    elapsed = None if stands.is_over else stands.elapsed_share
    drawn = plan_drawing.bar(stands.share, elapsed, width - len(share) - 6, marks)
    yield f"{_INDENT}{_colored(drawn, stands, context)}{share}"
    for label, text in _words(stands, outlook, zone, context):
        yield from _wrapped(f"{label:{_LABEL}}", text, width)
    yield ""
    yield from _chart(answer, zone, context, width, marks)


def threshold_line(stands: Standing, percent: float, zone: tzinfo, context: RenderContext) -> str:
    """One line for scripts: how a plan stands against a threshold."""

    def amount(number: int) -> str:
        return format_bytes(number, context.units)

    verdict = "exceeded" if stands.reaches(percent) else "ok"
    by = "" if stands.host_count is None else f" by {_hosts(stands.host_count)}"
    return (
        f"{safe(stands.name)}: {verdict}: {_percent(stands.share)} used{by} ({amount(stands.used_bytes)} of "
        f"{amount(stands.limit_bytes)}, threshold {percent:g} %) until {_day(stands.end_s, zone)}"
    )


def _words(
    stands: Standing, outlook: Outlook | None, zone: tzinfo, context: RenderContext
) -> Iterator[tuple[str, str]]:
    def amount(number: int) -> str:
        return format_bytes(number, context.units)

    if stands.host_count is not None:
        which = hosts_words(stands.hosts, stands.labels)
        yield "Hosts", safe(f"{stands.host_count:,} added up: {which}")
    rolled = f" ({amount(stands.rolled_over_bytes)} rolled over)" if stands.rolled_over_bytes else ""
    yield "Used", f"{amount(stands.used_bytes)} of {amount(stands.limit_bytes)}{rolled}"
    yield (
        "Left",
        amount(stands.left_bytes)
        if stands.left_bytes >= 0
        else f"nothing, {amount(-stands.left_bytes)} too much",
    )
    if stands.allowance_bytes is not None:
        days = "today" if stands.days_left == 1 else f"on each of {stands.days_left} days, today included"
        yield "Allowance", f"{amount(stands.allowance_bytes)} {days}"
        word = "more" if stands.pace_bytes >= 0 else "less"
        over = _percent(stands.elapsed_share)
        yield (
            "Pace",
            f"{amount(abs(stands.pace_bytes))} {word} than evenly by now ({over} of the time is over)",
        )
    if outlook is not None:
        yield "Forecast", _forecast(outlook, context)
        yield "Used up", _exhausted(stands, outlook, zone)
    terms = _terms(stands, context)
    if terms:
        yield "Counted", terms
    if stands.unknown_bytes:
        yield "Not known", f"whose {amount(stands.unknown_bytes)} were; they count as used"
    if stands.estimated_bytes:
        yield "Estimated", f"the time of {amount(stands.estimated_bytes)}; some of them may belong elsewhere"
    if stands.splits_days:
        yield "By day", "what is left out is known by UTC days, and split over these; the sum is exact"
    if stands.record_s > stands.start_s:
        yield "Recorded", f"from {_moment(stands.record_s, zone)} on"


def _forecast(outlook: Outlook, context: RenderContext) -> str:
    text = f"{format_bytes(outlook.used_bytes, context.units)} by the end"
    if outlook.low_bytes is not None and outlook.high_bytes is not None:
        low, high = (
            format_bytes(number, context.units) for number in (outlook.low_bytes, outlook.high_bytes)
        )
        text += f", in four of five cases {low} to {high}"
    days = f"{outlook.days} whole day{'' if outlook.days == 1 else 's'} of record"
    return f"{text}; {_METHODS[outlook.method]}, from {days}"


def _exhausted(stands: Standing, outlook: Outlook, zone: tzinfo) -> str:
    if outlook.exhausted_s is None:
        if outlook.earliest_s is None:
            return "not in this cycle"
        return f"probably not in this cycle, {_moment(outlook.earliest_s, zone)} at the earliest"
    if stands.left_bytes <= 0:
        return f"since {_moment(outlook.exhausted_s, zone)}"
    text = _moment(outlook.exhausted_s, zone)
    if outlook.earliest_s is None:
        return text
    earliest = _moment(outlook.earliest_s, zone)
    if outlook.latest_s is None:
        return f"{text}, {earliest} at the earliest, and perhaps not in this cycle"
    return f"{text}, in four of five cases {earliest} to {_moment(outlook.latest_s, zone)}"


def _terms(stands: Standing, context: RenderContext) -> str:
    """How what is used comes about, where it is not simply what was counted."""
    terms = [
        (" - ", stands.free_bytes, "in free hours"),
        (" - ", stands.lan_bytes, "in the local network"),
        (" - ", stands.zero_rated_bytes, "zero-rated"),
        (" + ", stands.already_used_bytes, "used before"),
    ]
    parts = [f"{sign}{format_bytes(number, context.units)} {name}" for sign, number, name in terms if number]
    return format_bytes(stands.counted_bytes, context.units) + "".join(parts) if parts else ""


def _chart(answer: Answer, zone: tzinfo, context: RenderContext, width: int, marks: Marks) -> Iterator[str]:
    stands, outlook = answer
    used = [number for _, number in used_by_day(stands)]
    ahead = [(middle, low, high) for _, middle, low, high in ahead_by_day(outlook, stands, zone)]
    drawn = plan_drawing.chart(used, ahead, stands.limit_bytes, width, marks)
    yield from (f"{_INDENT}{line}".rstrip() for line in drawn)
    first, last = _day(stands.start_s, zone), _day(stands.end_s, zone)
    room = max(map(len, drawn))
    yield _INDENT + (f"{first}{last:>{room - len(first)}}" if room > len(first) + len(last) else first)
    key = [f"{marks.used} used", f"{marks.limit} {format_bytes(stands.limit_bytes, context.units)}"]
    if ahead:
        key[1:1] = [f"{marks.expected} expected", f"{marks.possible} possible"]
    yield from _wrapped("", "   ".join(key), width)


def _colored(text: str, stands: Standing, context: RenderContext) -> str:
    if not context.color:
        return text
    color = _RED if stands.left_bytes <= 0 else _YELLOW if stands.reached else _GREEN
    return f"{color}{text}{_OFF}"


def _wrapped(label: str, text: str, width: int) -> list[str]:
    from textwrap import wrap

    return wrap(
        text,
        width + len(_INDENT),
        initial_indent=_INDENT + label,
        subsequent_indent=_INDENT + " " * len(label),
    )


def _hosts(number: int) -> str:
    return f"{number:,} host{'' if number == 1 else 's'}"


def _percent(share: float) -> str:
    """Rounded down: what is not reached is not shown as reached."""
    return f"{int(share * 1000) / 10:g} %"


def _day(at_s: int, zone: tzinfo) -> str:
    return f"{datetime.fromtimestamp(at_s, zone):%Y-%m-%d}"


def _moment(at_s: int, zone: tzinfo) -> str:
    return f"{datetime.fromtimestamp(at_s, zone):%Y-%m-%d %H:%M}"
