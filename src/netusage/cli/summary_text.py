"""What the bare netusage writes: made here without click, because it is asked most and is to be there at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import tzinfo

from netusage.records import NamedTuple
from netusage.units import Units

TYPE_CHECKING = False

if TYPE_CHECKING:
    from typing import Any, TextIO

    from netusage.ledger.answers import RecorderState
    from netusage.reports.summary import GapSum, Summary, SummaryRow
    from netusage.settings.schema import InterfaceSettings

SHOWN_INTERFACES = 5
TITLES = {"today": "today", "month": "this month", "boot": "since boot", "all": "all time"}


class Shown(NamedTuple):
    """What the configuration says about interfaces (see `InterfaceSettings`): patterns of names."""

    hidden: tuple[str, ...] = ()
    counted: tuple[str, ...] = ()
    not_counted: tuple[str, ...] = ()


class View(NamedTuple):
    """How the summary is wanted; the defaults are those of the configuration.

    path: the ledger. format: as in "table". zone: a time zone's name, "" for the system's.
    """

    path: str
    format: str = "table"
    units: Units = Units.SI
    bits: bool = False
    zone: str = ""
    billing_day: int = 1
    interfaces: InterfaceSettings | Shown = Shown()


def write_summary(view: View, out: TextIO) -> None:
    """Read the ledger and write its summary.

    Raises:
        NoDataError: there is no ledger.
        LedgerError: it cannot be read.
    """
    import time

    from netusage.clock import boot_id
    from netusage.ledger.reader import LedgerReader
    from netusage.periods import zone
    from netusage.reports.summary import summary

    where = zone(view.zone or None)
    with LedgerReader(view.path) as reader:
        answer = summary(
            reader,
            now_us=time.time_ns() // 1000,
            zone=where,
            boot_id=boot_id(),
            overrides=view.interfaces,
            billing_day=view.billing_day,
            packets=view.format != "table",
        )
    if view.interfaces.hidden:
        answer = answer._replace(
            rows=[row for row in answer.rows if not is_hidden(row, view.interfaces.hidden)]
        )
    if view.format == "table":
        _write_for_people(view, answer, where, out)
    else:
        _write_for_programs(view, answer, where, out)


def is_hidden(row: SummaryRow, hidden: Iterable[str]) -> bool:
    """Whether the configuration hides the interface of a row, with shell patterns."""
    from fnmatch import fnmatchcase

    name = row.interface
    return name is not None and any(fnmatchcase(name, pattern) for pattern in hidden)


# ---- For people -------------------------------------------------------------------------------------------------


def _write_for_people(view: View, answer: Summary, zone: tzinfo, out: TextIO) -> None:
    import os

    from netusage.render.columns import Column
    from netusage.render.context import detect
    from netusage.render.formats import render

    out.writelines(f"{line}\n" for line in recorder_lines(answer.recorder, answer.now_us, zone))
    out.write("\n")
    columns = [
        Column("period", "Period"),
        Column("interface", "Interface"),
        Column("rx", "Received", "bytes"),
        Column("tx", "Sent", "bytes"),
        Column("both", "Total", "bytes"),
    ]
    if any(row.usage.estimated_bytes for row in answer.rows):
        columns.append(Column("estimated", "Estimated", "share"))
    context = detect(out, os.environ, units=view.units, bits=view.bits, zone=zone)
    render("table", columns, _cells(answer), envelope={}, context=context, stream=out)
    out.write("\n")
    out.writelines(f"{line}\n" for line in _notes(answer))


def _cells(answer: Summary) -> Iterator[dict[str, Any]]:
    for title, of_period in by_period(answer.rows).items():
        for row in of_period[: 1 + SHOWN_INTERFACES]:
            yield {
                "period": title if row.interface is None else "",
                "interface": "machine" if row.interface is None else row.interface,
                "rx": row.usage.rx_bytes,
                "tx": row.usage.tx_bytes,
                "both": row.usage.total_bytes,
                "estimated": row.usage.estimated_share or None,
            }


def by_period(rows: Iterable[SummaryRow]) -> dict[str, list[SummaryRow]]:
    """The rows of each period, by what people call it."""
    found: dict[str, list[SummaryRow]] = {}
    for row in rows:
        found.setdefault(TITLES[row.stretch], []).append(row)
    return found


def _notes(answer: Summary) -> Iterator[str]:
    names = {row.interface for row in answer.rows if row.interface is not None}
    hidden = names - {row["interface"] for row in _cells(answer)}
    if hidden:
        yield f"{len(hidden)} more interface{'s' if len(hidden) > 1 else ''}: netusage interfaces"
    if not answer.recorded_this_boot:
        yield "Nothing has been recorded since this machine started."
    if not any(gaps.number for gaps in answer.gaps):
        yield "No gaps today or this month."
    for gaps in answer.gaps:
        if gaps.number:
            yield gap_line(gaps)
    if any(gaps.number for gaps in answer.gaps):
        yield "Each gap and its reason: netusage verify"


def gap_line(gaps: GapSum) -> str:
    """What is said about the gaps of one period."""
    from netusage.units import format_duration

    many = "1 gap" if gaps.number == 1 else f"{gaps.number:,} gaps"
    lost = "no bytes lost" if not gaps.lossy else f"{gaps.lossy:,} may have lost bytes"
    return f"Gaps {TITLES[gaps.stretch]}: {many}, {format_duration(gaps.length_us, parts=2)} in all; {lost}."


def recorder_lines(state: RecorderState, now_us: int, zone: tzinfo) -> Iterator[str]:
    """Who records and since when, or how to start somebody who does."""
    from netusage.model import US

    run, holder = state.last_run, state.holder
    if holder is not None:
        if run is None or run.ended is not None:
            yield f"A recorder has just started (process {holder.pid})."
            return
        since = clock(run.started_us // US, zone)
        by = f"applications by {run.tier}" if run.tier else "interfaces only"
        yield f"Recording since {since} ({run.source}, {by}); last commit {_ago(now_us - run.last_us)}."
        return
    last = ""
    if run is not None:
        at = clock(run.last_us // US, zone)
        last = (
            f"; the last one stopped at {at}"
            if run.ended is not None
            else f"; the last one broke off after {at}"
        )
    yield f"No recorder is running{last}."
    yield "Start one with: netusage daemon"


def clock(at_s: int, zone: tzinfo) -> str:
    """A time, UTC seconds, to the minute."""
    from datetime import datetime

    return datetime.fromtimestamp(at_s, zone).strftime("%Y-%m-%d %H:%M")


def _ago(us: int) -> str:
    from netusage.model import US
    from netusage.units import format_duration

    return f"{format_duration(us // US * US, parts=1)} ago" if us >= US else "just now"


# ---- For programs -----------------------------------------------------------------------------------------------


def _write_for_programs(view: View, answer: Summary, zone: tzinfo, out: TextIO) -> None:
    from netusage.render.context import RenderContext
    from netusage.render.documents import summary
    from netusage.render.formats import render

    envelope, columns, rows = summary(answer, zone, view.path)
    context = RenderContext(units=view.units, zone=zone)
    render(view.format, columns, rows, envelope=envelope, context=context, stream=out)
