"""netusage verify: the proof that the record adds up."""

from datetime import tzinfo
from typing import TYPE_CHECKING, Any, TextIO

import click

from netusage.cli import options
from netusage.cli.context import Invocation, pass_invocation
from netusage.errors import ExitCode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from netusage.ledger.answers import GapRecord
    from netusage.ledger.reader import LedgerReader
    from netusage.ledger.verify import Finding, Verdict
    from netusage.reports.coverage import Coverage

MOST_GAPS = 50
_DAYS_S = 62 * 86_400
_MONTHS_S = 3 * 366 * 86_400


@options.command(
    "verify",
    examples=[
        ("netusage verify", "check everything; what was watched, and each gap"),
        ("netusage verify --since 30d", "the same, with the coverage of the last 30 days"),
        ("netusage verify --format json", "for a program"),
    ],
)
@click.option(
    "--since", metavar="WHEN", help="Show coverage and gaps from then on, as in 30d; all is checked."
)
@click.option("--until", metavar="WHEN", help="Show coverage and gaps until then.")
@options.host_option
@options.ledger_options
@options.output_options("table", "json")
@options.unit_options
@options.zone_option
@pass_invocation
def command(inv: Invocation, since: str | None, until: str | None) -> ExitCode:
    """Prove that the record adds up to what the kernel counted.

    Checks that the entries, the stored totals and the differences of the counters agree, for each interface and each
    life of it, and that the file is sound. Shows how much of the time was watched, and the declared gaps: those
    marked lossy may have lost bytes. Works while a recorder runs. Exits with 1 when anything does not agree.
    """
    import sys
    import time

    from netusage.ledger.reader import LedgerReader
    from netusage.ledger.verify import verify
    from netusage.periods import parse_instant, zone
    from netusage.render.progress import progress

    where = zone(inv.settings.report.tz or None)
    now_us = time.time_ns() // 1000
    now_s = now_us // 1_000_000
    bounds = (
        None if since is None else parse_instant(since, now_s, where),
        None if until is None else parse_instant(until, now_s, where, end=True),
    )
    path = str(inv.ledger_path(for_reading=True))
    with (
        LedgerReader(path, inv.host) as reader,
        progress("Verifying the ledger", stream=sys.stderr) as advance,
    ):
        reader.on_progress(lambda: advance(0))
        covered = _coverage(reader, bounds, now_us, where)
        verdict = verify(reader)
    with inv.output() as out:
        if inv.format == "json":
            _write_json(verdict, covered, path, where, out)
        else:
            _write_for_people(inv, verdict, covered, where, out)
    return ExitCode.FAILURE if verdict.findings else ExitCode.OK


def _coverage(
    reader: "LedgerReader", bounds: tuple[int | None, int | None], now_us: int, zone: tzinfo
) -> "list[Coverage]":
    """The coverage by days, months or years, as the time asked for is long."""
    from netusage.model import US
    from netusage.periods import PeriodKind, periods, refuse_reversed
    from netusage.reports.coverage import coverage

    refuse_reversed(*bounds)
    watched = reader.watched(0, (1 << 63) - 1)
    begun_s = min((stretch.start_us for stretch in watched), default=now_us) // US
    since_s = begun_s if bounds[0] is None else max(bounds[0], begun_s)
    until_s = now_us // US + 1 if bounds[1] is None else min(bounds[1], now_us // US + 1)
    if until_s <= since_s:
        return []
    length = until_s - since_s
    kind = (
        PeriodKind.DAY if length <= _DAYS_S else PeriodKind.MONTH if length <= _MONTHS_S else PeriodKind.YEAR
    )
    return coverage(reader, periods(kind, since_s, until_s, zone), now_us)


# ---- For people -------------------------------------------------------------------------------------------------


def _write_for_people(
    inv: Invocation, verdict: "Verdict", covered: "Sequence[Coverage]", zone: tzinfo, out: TextIO
) -> None:
    import os

    from netusage.render.columns import Column
    from netusage.render.context import detect
    from netusage.render.formats import render

    context = detect(out, os.environ, units=inv.settings.report.units, zone=zone)
    columns = [
        Column("start", "From", "date"),
        Column("watched", "Watched", "share"),
        Column("gaps", "Gaps", "int"),
        Column("declared", "In all", "duration"),
        Column("lossy", "Lossy", "int"),
        Column("unknown", "Undeclared", "duration"),
        Column("reasons", "Reasons"),
    ]
    rows = [_cells(one, zone) for one in covered]
    if rows:
        render("table", columns, rows, envelope={}, context=context, stream=out)
        out.write("\n")
    gaps = _gaps(covered)
    if gaps:
        columns = [
            Column("start", "Gap from", "time"),
            Column("length", "Length", "duration"),
            Column("kind", "Reason"),
            Column("lossy", "Lossy", "flag"),
            Column("interface", "Interface"),
            Column("note", "Evidence"),
        ]
        render(
            "table",
            columns,
            (_gap(gap, zone) for gap in gaps[-MOST_GAPS:]),
            envelope={},
            context=context,
            stream=out,
        )
        if len(gaps) > MOST_GAPS:
            out.write(f"{len(gaps) - MOST_GAPS:,} earlier gaps: see them with --since and --until\n")
        out.write("\n")
    out.writelines(f"ERROR: {_in_words(finding, zone)}\n" for finding in verdict.findings)
    out.write(_last_line(verdict))


def _cells(one: "Coverage", zone: tzinfo) -> dict[str, Any]:
    from collections import Counter

    from netusage.periods import isoformat

    reasons = Counter(gap.kind for gap in one.gaps)
    return {
        "start": isoformat(one.start_s, zone),
        "watched": one.watched_share,
        "gaps": len(one.gaps),
        "declared": one.declared_us,
        "lossy": one.lossy,
        "unknown": one.unknown_us,
        "reasons": ", ".join(f"{kind} {count}" for kind, count in reasons.most_common()),
    }


def _gaps(covered: "Sequence[Coverage]") -> "list[GapRecord]":
    """Each gap once, in order; a long one touches several periods."""
    return list(dict.fromkeys(gap for one in covered for gap in one.gaps))


def _gap(gap: "GapRecord", zone: tzinfo) -> dict[str, Any]:
    from netusage.model import US
    from netusage.periods import isoformat

    return {
        "start": isoformat(gap.start_us // US, zone),
        "end": isoformat(gap.end_us // US, zone),
        "length": gap.end_us - gap.start_us,
        "kind": gap.kind,
        "lossy": gap.lossy,
        "interface": gap.interface or None,
        "note": gap.note,
    }


def _in_words(finding: "Finding", zone: tzinfo) -> str:
    from netusage.model import US
    from netusage.periods import isoformat

    of = f" of {finding.interface}" if finding.interface else ""
    at = f" at {isoformat(finding.at_us // US, zone)}" if finding.at_us is not None else ""
    numbers = (
        f": expected {finding.expected}, found {finding.found}"
        if finding.expected is not None and finding.found is not None
        else ""
    )
    return f"{finding.table}{of}{at}: {finding.what}{numbers}"


def _last_line(verdict: "Verdict") -> str:
    counts = verdict.counts
    if verdict.findings:
        number = len(verdict.findings) + verdict.omitted
        more = f" ({verdict.omitted} more are not shown)" if verdict.omitted else ""
        return f"{number} errors{more}; see what can be done with: netusage repair --dry-run\n"
    entries = sum(counts.get(table, 0) for table in ("quarter", "minute", "span"))
    return (
        f"OK: {entries:,} entries of {counts.get('interface', 0):,} interfaces add up to the totals and to the "
        f"counters of {counts.get('epoch', 0):,} epochs.\n" + _hosts_line(counts.get("host", 0))
    )


def _hosts_line(hosts: int) -> str:
    if not hosts:
        return ""
    return f"So does what was merged of {hosts:,} other host{'s, each' if hosts > 1 else ','} by itself.\n"


# ---- For programs -----------------------------------------------------------------------------------------------


def _write_json(
    verdict: "Verdict", covered: "Sequence[Coverage]", path: str, zone: tzinfo, out: TextIO
) -> None:
    from netusage.periods import isoformat
    from netusage.render.columns import Column
    from netusage.render.context import RenderContext
    from netusage.render.formats import render

    envelope = {
        "report": "verify",
        "ok": not verdict.findings,
        "ledger": path,
        "timezone": str(zone),
        "counts": verdict.counts,
        "findings": [finding._asdict() for finding in verdict.findings],
        "findings_omitted": verdict.omitted,
    }
    rows = (
        {
            "start": isoformat(one.start_s, zone),
            "end": isoformat(one.end_s, zone),
            "watched_us": one.watched_us,
            "declared_us": one.declared_us,
            "undeclared_us": one.unknown_us,
            "gaps": [_gap(gap, zone) for gap in one.gaps],
        }
        for one in covered
    )
    columns = [Column("start", "Start")]
    render("json", columns, rows, envelope=envelope, context=RenderContext(zone=zone), stream=out)
