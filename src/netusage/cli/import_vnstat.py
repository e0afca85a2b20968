"""netusage import vnstat: vnStat's record, as a host of its own."""

from typing import TYPE_CHECKING, Any

import click

from netusage.cli import options
from netusage.cli.context import Invocation, pass_invocation

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import tzinfo

    from netusage.exchange.vnstat import TakenIn
    from netusage.ledger.intake import Interface


@options.command(
    "vnstat",
    examples=[
        ("netusage import vnstat", "what vnStat recorded on this machine"),
        ("netusage report month --host vnstat", "ask it"),
        ("netusage import vnstat /backup/vnstat.db --as old-server --tz Europe/Berlin", "of another machine"),
        ("netusage import vnstat --dry-run", "what would be taken in, and what has no place"),
    ],
)
@click.argument("file", required=False, type=click.Path(path_type=str))
@click.option(
    "--as",
    "name",
    metavar="NAME",
    default="vnstat",
    show_default=True,
    help="Name of the host that it becomes.",
)
@click.option(
    "--month-rotate",
    metavar="DAY",
    type=click.IntRange(1, 28),
    default=1,
    show_default=True,
    help="Day on which its months begin: MonthRotate of vnstat.conf.",
)
@options.dry_run_option
@options.ledger_options
@options.output_options(*options.FORMATS)
@options.unit_options
@options.zone_option
@pass_invocation
def command(inv: Invocation, file: str | None, name: str, month_rotate: int, dry_run: bool) -> None:
    """Take vnStat's record in, from FILE or from its usual place, kept apart as a host.

    Every list of it is kept as it is, with what earlier imports brought that vnStat has forgotten by now, and nothing
    is counted twice: reports with --host tell of each stretch what the finest list has of it. vnStat writes the local
    time without its zone, so name it with --tz where it is not that of this machine. FILE is not changed. Nothing of
    it is added to what netusage recorded itself.
    """
    import sys
    import time

    from netusage.cli.output import note
    from netusage.exchange.vnstat import take_in
    from netusage.ledger.vnstat_file import DEFAULT_PATH
    from netusage.periods import zone
    from netusage.render.progress import progress

    where = zone(inv.settings.report.tz or None)
    path = str(inv.ledger_path(for_reading=False))
    database = file or DEFAULT_PATH
    with progress("Importing from vnStat", stream=sys.stderr) as advance:
        taken = take_in(
            database,
            path,
            name,
            where,
            _of_kinds,
            now_us=time.time_ns() // 1000,
            month_rotate=month_rotate,
            dry_run=dry_run,
            tick=lambda: advance(0),
        )
    _write(inv, taken, where, {"host": name, "file": database, "ledger": path, "dry_run": dry_run})
    if inv.format == "table":
        would = "would take in" if dry_run else "took in"
        note(f"{would} {taken.new:,} new rows of {database} as the host {name} of {path}")


def _of_kinds(names: "Sequence[str]") -> "list[Interface]":
    """What interfaces of such names are, as a source says it that knows no more than names."""
    from netusage.ledger.intake import Interface
    from netusage.model import Link
    from netusage.recorder.totals import parts
    from netusage.sources.portable_kinds import kind_of

    links = [Link(number, name, kind_of(name, "linux")) for number, name in enumerate(names, start=1)]
    counted = parts(links)
    return [Interface(link.name, link.kind, counted[link.index].counted) for link in links]


def _write(inv: Invocation, taken: "TakenIn", where: "tzinfo", about: dict[str, Any]) -> None:
    import os

    from netusage.ledger.vnstat_file import LISTS
    from netusage.render.columns import Column
    from netusage.render.context import detect
    from netusage.render.formats import render

    columns = [
        Column("interface", "Interface"),
        Column("start", "Start", "date"),
        Column("end", "End", "date"),
        Column("rx_bytes", "Received", "bytes"),
        Column("tx_bytes", "Sent", "bytes"),
        *(Column(f"{kind}_rows", kind.capitalize(), "int", spare=True) for kind in LISTS),
    ]
    envelope = {
        "report": "import",
        "from": "vnstat",
        "timezone": str(where),
        **about,
        "new_rows": taken.new,
        "not_told": taken.told.not_told,
    }
    settings = inv.settings.report
    with inv.output() as out:
        context = detect(out, os.environ, units=settings.units, bits=settings.bits, zone=where)
        render(inv.format, columns, _rows(taken, where), envelope=envelope, context=context, stream=out)
        if inv.format == "table" and taken.told.not_told:
            out.write("\nWhat has no place, or does not fit:\n")
            out.writelines(f"  {line}\n" for line in taken.told.not_told)


def _rows(taken: "TakenIn", where: "tzinfo") -> "Iterator[dict[str, Any]]":
    from netusage.ledger.vnstat_file import LISTS
    from netusage.periods import isoformat

    for name in sorted({row.interface for row in taken.rows}):
        own = [row for row in taken.rows if row.interface == name]
        told = [one for one in taken.told.stretches if one.interface == name]
        yield {
            "interface": name,
            "start": isoformat(min(row.created_s for row in own), where),
            "end": isoformat(max(row.end_s for row in own if row.resolution == "total"), where),
            "rx_bytes": sum(one.rx_bytes for one in told),
            "tx_bytes": sum(one.tx_bytes for one in told),
            **{f"{kind}_rows": sum(row.resolution == kind for row in own) for kind in LISTS},
        }
