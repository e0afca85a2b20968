"""netusage report: usage by period."""

import re
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from netusage.cli import options, shares
from netusage.cli.context import Invocation, pass_invocation

if TYPE_CHECKING:
    from netusage.render.columns import Column, Kind
    from netusage.reports.usage import Question, UsageReport

KINDS = ("minute", "5min", "hour", "day", "week", "month", "year", "total", "top")
_PERCENTILE = re.compile(r"([0-9]{1,3})(?:\.([0-9]{1,3}))?(?:th)?", re.ASCII)
_FOR_PEOPLE = ("table", "markdown")
_WAYS = (("rx", "received"), ("tx", "sent"))


@options.command(
    "report",
    examples=[
        ("netusage report day --since 7d", "the last seven days"),
        ("netusage report month --billing-day 15", "months as they are billed"),
        ("netusage report hour --interface 'wl*'", "each wireless interface"),
        ("netusage report month --percentile 95 --peak", "rates as traffic is billed"),
        ("netusage report month --by application --by user", "who used it, month by month"),
        ("netusage report top --format json", "the busiest days, for a program"),
        ("netusage report month --fleet --by host,application", "of every host of a fleet"),
    ],
)
@click.argument("period", type=click.Choice(KINDS))
@click.option(
    "--interface",
    "interfaces",
    metavar="GLOB",
    multiple=True,
    help="Rows for each interface of such a name, as in eth0 or 'wl*'; may be repeated.",
)
@options.by_option(
    ["machine", *shares.DIMENSIONS],
    "What to tell apart, one or several with commas; machine is the default: the total of the machine, or of all hosts.",
)
@options.stretch_options
@click.option(
    "--limit",
    type=click.IntRange(1, 1_000_000),
    metavar="N",
    help="At most so many periods, the latest ones.",
)
@click.option("--peak", is_flag=True, help="The highest rate within each period, and when it was.")
@click.option("--percentile", metavar="N", help="The Nth percentile of rates over five minutes, as in 95.")
@options.calendar_options
@options.record_options
@options.output_options(*options.FORMATS)
@options.unit_options
@options.zone_option
@pass_invocation
def command(  # noqa: PLR0917  # click passes them by name
    inv: Invocation,
    period: str,
    interfaces: tuple[str, ...],
    by: tuple[str, ...],
    since: str | None,
    until: str | None,
    limit: int | None,
    peak: bool,
    percentile: str | None,
) -> None:
    """Usage per minute, hour, day, week, month, year, in total, or of the busiest days.

    Days, weeks and months are those of the time zone. Rows are whole periods that cover the time asked for. Bytes
    whose time within a stretch is not known (no recorder was running, the machine slept) are spread over it in
    proportion to time, and reported as estimated as well.
    """
    import sys
    import time

    from netusage.periods import parse_instant, zone
    from netusage.render import documents
    from netusage.render.progress import progress
    from netusage.reports.usage import Question, ReportKind, report
    from netusage.settings.schema import weekday_number

    settings = inv.settings
    where = zone(settings.report.tz or None)
    now_s = int(time.time())
    by = _dimensions(by)
    inv.refuse_by_host(by)
    inv.refuse_short(period)
    question = Question(
        kind=ReportKind(period),
        zone=where,
        now_s=now_s,
        patterns=interfaces or (("*",) if "interface" in by else ()),
        overrides=settings.interfaces,
        since_s=None if since is None else parse_instant(since, now_s, where),
        until_s=None if until is None else parse_instant(until, now_s, where, end=True),
        limit=limit,
        billing_day=settings.report.billing_day,
        week_start=weekday_number(settings.report.week_start),
        peak=peak,
        percentile=None if percentile is None else parse_percentile(percentile),
        packets=inv.format not in _FOR_PEOPLE,
        by_host="host" in by,
    )
    if set(by) - {"machine", "interface", "host"}:
        _report_applications(inv, question, by)
        return
    with shares.no_collections():
        with inv.record(by) as reader, progress("Reading the record", stream=sys.stderr) as advance:
            reader.on_progress(lambda: advance(0))
            answer = report(reader, question)
            told = documents.tiers(reader, answer.start_s, answer.end_s)
        inv.tell_behind(answer.end_s)
        _write(inv, answer, reader.path, told)


def parse_percentile(text: str) -> int:
    """A percentile in thousandths.

    Raises:
        UsageError: not a number above 0 and up to 100.
    """
    from netusage.errors import UsageError

    match = _PERCENTILE.fullmatch(text.strip())
    thousandths = int(match[1]) * 1000 + int((match[2] or "").ljust(3, "0")) if match else 0
    if not 1 <= thousandths <= 100_000:
        raise UsageError(
            f"--percentile {text!r} is not a percentile", hint="use a number above 0 and up to 100, as in 95"
        )
    return thousandths


def _dimensions(by: Sequence[str]) -> tuple[str, ...]:
    """What is told apart, in the order in which it was asked for.

    Raises:
        UsageError: the machine as a whole cannot be told apart by anything.
    """
    from netusage.errors import UsageError

    if "machine" in by and len(by) > 1:
        raise UsageError("--by machine is the total: it goes with nothing else", hint="leave it out")
    return tuple(by)


def _report_applications(inv: Invocation, question: "Question", by: tuple[str, ...]) -> None:
    """The report by what is known of applications."""
    import os
    import sys

    from netusage.errors import UsageError
    from netusage.render import documents
    from netusage.render.context import detect
    from netusage.render.formats import render
    from netusage.render.progress import progress
    from netusage.reports.applications import by_period

    if question.peak or question.percentile is not None:
        raise UsageError(
            "applications have no rates: they are recorded by quarters of an hour",
            hint="leave out --peak and --percentile, or tell apart interfaces",
        )
    with (
        shares.no_collections(),
        inv.record(by) as reader,
        progress("Reading the record", stream=sys.stderr) as advance,
    ):
        reader.on_progress(lambda: advance(0))
        answer = by_period(reader, question, by)
        told = documents.tiers(reader, answer.start_s, answer.end_s)
    inv.tell_behind(answer.end_s)
    document = documents.applications_by_period(answer, question, by, told, reader.path)
    columns, rows = document.columns, document.rows
    is_for_people = inv.format in _FOR_PEOPLE
    if is_for_people:
        columns = _period_columns(question) + documents.share_columns(by, by)
        names = (_name_of(row.start_s, question) for row in answer.rows)
        rows = ({"period": name} | row for name, row in zip(names, rows, strict=True))
    settings = inv.settings.report
    with inv.output() as out:
        context = detect(out, os.environ, units=settings.units, bits=settings.bits, zone=question.zone)
        render(
            inv.format, columns, rows, envelope=inv.envelope(document.envelope), context=context, stream=out
        )
        if answer.has_days and is_for_people:
            out.write("\nSome of it is known by days only, and stands where each day begins.\n")
        shares.write_tiers(inv, told, out)


def _write(inv: Invocation, answer: "UsageReport", path: str, told: Sequence[str]) -> None:
    import os

    from netusage.render import documents
    from netusage.render.context import detect
    from netusage.render.formats import render, render_columns

    question, settings = answer.question, inv.settings.report
    with inv.output() as out:
        context = detect(out, os.environ, units=settings.units, bits=settings.bits, zone=question.zone)
        if inv.format in _FOR_PEOPLE:
            columns, values = _columns_for_people(answer), _values_for_people(answer)
            render_columns(inv.format, columns, values, context=context, stream=out)
            shares.write_tiers(inv, told, out)
        else:
            envelope, columns, rows = documents.usage(answer, told, path)
            render(inv.format, columns, rows, envelope=inv.envelope(envelope), context=context, stream=out)


# ---- For people -------------------------------------------------------------------------------------------------


def _columns_for_people(answer: "UsageReport") -> list["Column"]:
    from netusage.render.columns import Column
    from netusage.render.documents import percent

    question = answer.question
    columns = _period_columns(question)
    if question.by_host:
        columns.append(Column("host", "Host"))
    if question.patterns:
        columns.append(Column("interface", "Interface"))
    columns += [
        Column("rx", "Received", "bytes"),
        Column("tx", "Sent", "bytes"),
        Column("both", "Total", "bytes"),
        Column("average", "Average", "rate", spare=True),
    ]
    if question.peak:
        columns += [Column(f"{way}_peak", f"Peak {name}", "rate") for way, name in _WAYS]
    if question.percentile is not None:
        columns += [
            Column(f"{way}_percentile", f"{percent(question.percentile)}th {name}", "rate")
            for way, name in _WAYS
        ]
    if answer.has_estimates:
        columns.append(Column("estimated", "Estimated", "bytes"))
    return columns


def _period_columns(question: "Question") -> list["Column"]:
    from netusage.render.columns import Column

    if question.cut.value == "total":
        return [Column("period", "From", "time"), Column("end", "Until", "time")]
    kind: Kind = "text" if _letters(question) else "time"
    return [Column("period", question.cut.value.capitalize(), kind)]


def _name_of(start_s: int, question: "Question") -> str | datetime:
    """What a table calls a period."""
    start, letters = datetime.fromtimestamp(start_s, question.zone), _letters(question)
    return start.date().isoformat()[:letters] if letters else start


def _letters(question: "Question") -> int | None:
    """How much of its first moment names a period: its year, month or day; None for the time of the day as well."""
    if question.cut.value in ("minute", "5min", "hour", "total"):
        return None
    if question.cut.value == "year":
        return len("2026")
    return (
        len("2026-11") if question.cut.value == "month" and question.billing_day == 1 else len("2026-11-20")
    )


def _values_for_people(answer: "UsageReport") -> "dict[str, Sequence[Any]]":
    """The values of each column, those of the totals last."""
    question = answer.question
    is_total = question.cut.value == "total"
    letters = _letters(question)
    rows = answer.rows if is_total else answer.rows + answer.totals
    usages = [row.usage for row in rows]
    starts = [datetime.fromtimestamp(row.start_s, question.zone) for row in answer.rows]
    values: dict[str, Sequence[Any]] = {
        "period": [start.date().isoformat()[:letters] for start in starts] if letters else starts,
        "host": [row.host for row in rows],
        "interface": [row.interface for row in rows],
        "rx": [usage.rx_bytes for usage in usages],
        "tx": [usage.tx_bytes for usage in usages],
        "both": [usage.total_bytes for usage in usages],
        "average": [row.bytes_per_second for row in rows],
        "estimated": [usage.estimated_bytes or None for usage in usages],
    }
    if is_total:
        values["end"] = [datetime.fromtimestamp(row.end_s, question.zone) for row in rows]
    else:
        values["period"] = [*values["period"], *("total" for _ in answer.totals)]
    if question.peak:
        values["rx_peak"] = [row.rx_peak and row.rx_peak.rate for row in rows]
        values["tx_peak"] = [row.tx_peak and row.tx_peak.rate for row in rows]
    if question.percentile is not None:
        values["rx_percentile"] = [row.percentile and row.percentile.rx for row in rows]
        values["tx_percentile"] = [row.percentile and row.percentile.tx for row in rows]
    return values
