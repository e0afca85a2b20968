"""netusage plot: usage as a picture in a file."""

import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from netusage.cli import options
from netusage.cli.context import Invocation, pass_invocation

if TYPE_CHECKING:
    from netusage.plot.contents import Contents, Panel
    from netusage.reports.usage import Question
    from netusage.settings.schema import PlanSettings

PERIODS = ("minute", "5min", "hour", "day", "week", "month", "year")
PANELS = ("timeline", "days", "heatmap", "applications", "plan")
FORMATS = ("png", "svg", "pdf")
_SIZE = re.compile(r"([0-9]{1,6})[xX\N{MULTIPLICATION SIGN}]([0-9]{1,6})", re.ASCII)
_SMALLEST, _LARGEST = (640, 360), (8000, 8000)


@options.command(
    "plot",
    examples=[
        ("netusage plot day -o usage.png", "the last thirty days"),
        ("netusage plot hour --since yesterday -o usage.svg", "hour by hour, to be scaled at will"),
        ("netusage plot month --panel timeline -o usage.pdf", "the months and nothing else, for print"),
        ("netusage plot hour --since 14d --panel heatmap -o usage.png", "which hours are busy"),
        ("netusage plot day --panel plan -o plan.png", "a data plan: used, and what will be"),
        ("netusage plot day --fleet --label site=berlin -o berlin.png", "some hosts of a fleet, together"),
    ],
)
@click.argument("period", type=click.Choice(PERIODS))
@click.option(
    "--panel",
    "chosen",
    type=click.Choice(PANELS),
    multiple=True,
    help="What to draw; may be repeated. Without it: the timeline, of days and longer the heat map, and applications.",
)
@click.option(
    "--interface",
    "interfaces",
    metavar="GLOB",
    multiple=True,
    help="Only interfaces of such a name, together, as in eth0 or 'wl*'; may be repeated.",
)
@click.option(
    "--plan", "plan_name", metavar="NAME", help="Of which data plan the panel is; without it the first."
)
@options.stretch_options
@click.option(
    "--limit",
    type=click.IntRange(1, 1_000_000),
    metavar="N",
    help="At most so many periods, the latest ones.",
)
@click.option(
    "--theme", type=click.Choice(["light", "dark"]), default="light", show_default=True, help="Its colours."
)
@click.option(
    "--size", metavar="WIDTHxHEIGHT", default="1200x800", show_default=True, help="Its size in pixels."
)
@options.calendar_options
@options.file_option
@options.record_options
@options.unit_options
@options.zone_option
@pass_invocation
def command(  # noqa: PLR0917  # click passes them by name
    inv: Invocation,
    period: str,
    chosen: tuple[str, ...],
    interfaces: tuple[str, ...],
    plan_name: str | None,
    since: str | None,
    until: str | None,
    limit: int | None,
    theme: str,
    size: str,
) -> None:
    """Draw a picture of what was used, bar by bar of a period, into a file that -o names.

    The end of its name says what it is: .png, .svg or .pdf. What was received goes up and what was sent goes down;
    bytes whose time is estimated are hatched, and when nothing was watched is grey; of several hosts together that
    is not drawn. Needs matplotlib: pip install 'netusage[plot]'.
    """
    import time

    from netusage.periods import parse_instant, zone
    from netusage.plot import loading
    from netusage.plot.contents import Panel, usual_panels
    from netusage.reports.usage import Question, ReportKind
    from netusage.settings.schema import weekday_number

    file_format = _format_of(inv.output_file)
    wide, high = parse_size(size)
    inv.refuse_short(period)
    settings = inv.settings
    where = zone(settings.report.tz or None)
    now_s = int(time.time())
    question = Question(
        kind=ReportKind(period),
        zone=where,
        now_s=now_s,
        patterns=interfaces,
        overrides=settings.interfaces,
        since_s=None if since is None else parse_instant(since, now_s, where),
        until_s=None if until is None else parse_instant(until, now_s, where, end=True),
        limit=limit,
        billing_day=settings.report.billing_day,
        week_start=weekday_number(settings.report.week_start),
        packets=False,
    )
    panels = tuple(map(Panel, chosen)) or usual_panels(question.kind)
    if plan_name is not None and Panel.PLAN not in panels:
        panels += (Panel.PLAN,)
    plan = _plan(inv, plan_name) if Panel.PLAN in panels else None
    loading.load()
    from netusage.plot.picture import draw
    from netusage.plot.style import THEMES, Style

    contents = _ask(inv, question, panels, plan)
    style = Style(
        THEMES[theme],
        wide,
        high,
        settings.report.units,
        settings.report.bits,
        keeps_text=file_format == "svg",
    )
    picture = draw(contents, panels, style, file_format)
    with inv.output() as out:
        out.buffer.write(picture)


def _plan(inv: Invocation, name: str | None) -> "PlanSettings":
    """The data plan of that name, or the first one that does not say itself which hosts it is about, or the first.

    Raises:
        NoDataError, UsageError: as `plan_records.asked`.
    """
    from netusage.cli.plan_records import asked

    known = asked(inv, () if name is None else (name,))
    return next((plan for plan in known if not plan.is_of_hosts), known[0])


def _ask(
    inv: Invocation, question: "Question", panels: "tuple[Panel, ...]", plan: "PlanSettings | None"
) -> "Contents":
    import sys

    from netusage.cli.plan_records import Records
    from netusage.plot.contents import gather
    from netusage.render.progress import progress

    with (
        progress("Reading the record", stream=sys.stderr) as advance,
        inv.record() as reader,
        Records(inv, lambda: advance(0)) as records,
    ):
        reader.on_progress(lambda: advance(0))
        contents = gather(reader, question, panels, plan, records.of)
        known_until_s = records.known_until_s()
    inv.learn_known(known_until_s)
    ends = [contents.bars.edges[-1]] + ([contents.plan.standing.end_s] if contents.plan else [])
    inv.tell_behind(max(ends))
    return contents


def _format_of(file: Path | None) -> str:
    """What the file is to be, by the end of its name.

    Raises:
        UsageError: there is no file, or its name ends otherwise.
    """
    from netusage.errors import UsageError

    if file is None:
        raise UsageError("a picture goes into a file", hint="name it with -o, as in -o usage.png")
    found = file.suffix.lower().removeprefix(".")
    if found not in FORMATS:
        raise UsageError(f"{str(file)!r} is no name of a picture", hint="it has to end in .png, .svg or .pdf")
    return found


def parse_size(text: str) -> tuple[int, int]:
    """Width and height in pixels.

    Raises:
        UsageError: it is no size, or too small or too large for a picture.
    """
    from netusage.errors import UsageError

    match = _SIZE.fullmatch(text.strip())
    found = (int(match[1]), int(match[2])) if match else (0, 0)
    if not all(least <= n <= most for n, least, most in zip(found, _SMALLEST, _LARGEST, strict=True)):
        allowed = " to ".join(f"{wide}x{high}" for wide, high in (_SMALLEST, _LARGEST))
        raise UsageError(
            f"--size {text!r} is not the size of a picture", hint=f"use {allowed}, as in 1200x800"
        )
    return found
