"""What the bare netusage writes of other hosts: those of a fleet, and those whose ledgers were merged into this one."""

from __future__ import annotations

import os
import shlex
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import tzinfo
from typing import TYPE_CHECKING, Any, TextIO

from netusage.cli.summary_text import SHOWN_INTERFACES, TITLES, by_period, clock, gap_line, is_hidden
from netusage.model import US
from netusage.periods import zone
from netusage.render import documents
from netusage.render.cells import safe
from netusage.render.columns import Column
from netusage.render.context import detect
from netusage.render.formats import render
from netusage.render.progress import progress
from netusage.reports.summary_hosts import BY, HostsSummary, summary_of_hosts

if TYPE_CHECKING:
    from netusage.cli.context import Invocation
    from netusage.reports.record import Record

_COLUMNS = {"host": Column("host", "Host"), "interface": Column("interface", "Interface")}


def write_summary_of_hosts(inv: Invocation, by: Sequence[str]) -> None:
    """Ask the record of the hosts and write their summary.

    Args:
        inv: which record, and which hosts of it.
        by: of `BY`, what is told apart; nothing is interfaces.

    Raises:
        UsageError, NoDataError, LedgerError, FleetError: as `Invocation.record`.
    """
    settings = inv.settings
    report = settings.report
    by = by or BY[:1]
    where, now_s = zone(report.tz or None), int(time.time())
    with inv.record(by) as reader, progress("Reading the record", stream=sys.stderr) as advance:
        reader.on_progress(lambda: advance(0))
        answer = summary_of_hosts(
            reader,
            now_us=now_s * US,
            zone=where,
            overrides=settings.interfaces,
            known_until_s=_known_until_s(inv, reader),
            by=by,
            billing_day=report.billing_day,
            packets=inv.format != "table",
        )
    inv.tell_behind(now_s)
    hidden = settings.interfaces.hidden
    answer = answer._replace(rows=[row for row in answer.rows if not is_hidden(row, hidden)])
    with inv.output() as out:
        if inv.format == "table":
            _write_for_people(inv, answer, by, (reader.place, where), out)
            return
        envelope, columns, rows = documents.summary_of_hosts(answer, where, reader.path, by_host="host" in by)
        context = detect(out, os.environ, units=report.units, bits=report.bits, zone=where)
        render(inv.format, columns, rows, envelope=inv.envelope(envelope), context=context, stream=out)


def _known_until_s(inv: Invocation, reader: Record) -> Mapping[str, int]:
    """By host, until when what it counted is known, UTC seconds; of merged ledgers, until their last reading."""
    if inv.fleet:
        from netusage.fleet.reader import FleetReader  # most ask no fleet

        assert isinstance(reader, FleetReader), "that is how a fleet is asked"
        return reader.known_until_s()
    found: dict[str, int] = {}
    for one in reader.interfaces():
        host = one.host or inv.one_host
        found[host] = max(found.get(host, 0), one.last_seen_us // US)
    return found


# ---- For people -------------------------------------------------------------------------------------------------


def _write_for_people(
    inv: Invocation, answer: HostsSummary, by: Sequence[str], place: tuple[str, tzinfo], out: TextIO
) -> None:
    """Write it; `place` is where the record is, and the time zone."""
    report, where = inv.settings.report, place[1]
    out.writelines(f"{safe(line)}\n" for line in _known_lines(inv, answer, *place))
    out.write("\n")
    columns = [
        Column("period", "Period"),
        *(_COLUMNS[one] for one in by),
        Column("rx", "Received", "bytes"),
        Column("tx", "Sent", "bytes"),
        Column("both", "Total", "bytes"),
    ]
    if any(row.usage.estimated_bytes for row in answer.rows):
        columns.append(Column("estimated", "Estimated", "share"))
    context = detect(out, os.environ, units=report.units, bits=report.bits, zone=where)
    render("table", columns, _cells(answer, by), envelope={}, context=context, stream=out)
    out.write("\n")
    out.writelines(f"{safe(line)}\n" for line in _notes(inv, answer, by))


def _known_lines(inv: Invocation, answer: HostsSummary, place: str, where: tzinfo) -> Iterator[str]:
    """Whose summary it is, and until when they are known."""
    known = sorted((until_s, host) for host, until_s in answer.known_until_s.items())
    one = inv.one_host or (known[0][1] if len(known) == 1 else "")
    yield f"{f'The host {one}' if one else f'{len(known):,} hosts'} of {place}."
    if not known:
        return
    (first_s, first), (last_s, last) = known[0], known[-1]
    begins, ends = clock(first_s, where), clock(last_s, where)
    yield (
        f"Known until {begins}." if begins == ends else f"Known until {begins} ({first}) to {ends} ({last})."
    )


def _cells(answer: HostsSummary, by: Sequence[str]) -> Iterator[dict[str, Any]]:
    number = len(answer.known_until_s)
    together = "machine" if number == 1 else f"{number:,} hosts"
    for title, (total, *others) in by_period(answer.rows).items():
        for row in (total, *others[:SHOWN_INTERFACES]):
            names = {"host": row.host, "interface": row.interface}
            yield {
                "period": title if row is total else "",
                **(names if row is not total else {by[0]: together}),
                "rx": row.usage.rx_bytes,
                "tx": row.usage.tx_bytes,
                "both": row.usage.total_bytes,
                "estimated": row.usage.estimated_share or None,
            }


def _notes(inv: Invocation, answer: HostsSummary, by: Sequence[str]) -> Iterator[str]:
    """What is left out, what is not known, and gaps."""
    of_periods = by_period(answer.rows).values()
    every = {(row.host, row.interface) for _, *others in of_periods for row in others}
    shown = {(row.host, row.interface) for _, *others in of_periods for row in others[:SHOWN_INTERFACES]}
    if more := len(every - shown):
        what = ("interface" if "interface" in by else "host") + ("s" if more > 1 else "")
        command = f"report month --by {','.join(by)}" if "host" in by else "interfaces"
        yield f"{more:,} more {what}: netusage {command} {_options(inv)}"
    if answer.unknown:
        yield f"Nothing is known of {' and '.join(TITLES[one] for one in answer.unknown)}."
    known = [TITLES[gaps.stretch] for gaps in answer.gaps]
    if known and not any(gaps.number for gaps in answer.gaps):
        yield f"No gaps {' or '.join(known)}, as far as is known."
    for gaps in answer.gaps:
        if gaps.number:
            yield gap_line(gaps)
    if any(gaps.number for gaps in answer.gaps):
        yield f"Which host has them: {'netusage fleet status' if inv.fleet else 'netusage verify --host NAME'}"


def _options(inv: Invocation) -> str:
    """The options that chose the hosts, as they were typed."""
    words = ["--fleet"] if inv.fleet else []
    for option, values in (("--host", inv.hosts), ("--label", inv.labels)):
        words += [word for value in values for word in (option, value)]
    return shlex.join(words)
