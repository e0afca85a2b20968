"""netusage export: the record for other programs."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from netusage.cli import options
from netusage.cli.context import Invocation, pass_invocation

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from netusage.exchange.tables import AnyRow, Table
    from netusage.render.progress import Advance
    from netusage.reports.extract import Extract, Question
    from netusage.reports.extract_hosts import HostsExtract

FORMATS = ("csv", "jsonl", "parquet", "sqlite")
WHAT = ("usage", "applications", "gaps", "watched")
RESOLUTIONS = ("minute", "quarter", "hour", "day", "week", "month", "year")


@options.command(
    "export",
    examples=[
        ("netusage export csv -o usage.csv", "everything, by quarters of an hour"),
        ("netusage export parquet --resolution day -o days.parquet", "a row for each day and interface"),
        ("netusage export jsonl --what applications --since 7d", "who had it, to another program"),
        ("netusage export sqlite --resolution minute -o record.sqlite", "all of it, as finely as it is kept"),
        ("netusage export parquet --fleet --resolution day -o fleet.parquet", "of every host of a fleet"),
        ("netusage import record.sqlite --db copy.db", "a ledger again"),
    ],
)
@click.argument("format_name", metavar="FORMAT", type=click.Choice(FORMATS))
@click.option(
    "--what",
    type=click.Choice(WHAT),
    help="Which rows; sqlite has all of them in one file when nothing is said.  [default: usage]",
)
@click.option(
    "--resolution",
    type=click.Choice(RESOLUTIONS),
    default="quarter",
    show_default=True,
    help="How long rows are; minute: where minutes are kept, quarters of an hour before.",
)
@options.stretch_options
@click.option(
    "--interface",
    "interfaces",
    metavar="GLOB",
    multiple=True,
    help="Only interfaces of such a name, as in eth0 or 'wl*'; may be repeated.",
)
@options.calendar_options
@options.record_options
@options.file_option
@options.zone_option
@pass_invocation
def command(  # noqa: PLR0917  # click passes them by name
    inv: Invocation,
    format_name: str,
    what: str | None,
    resolution: str,
    since: str | None,
    until: str | None,
    interfaces: tuple[str, ...],
) -> None:
    """Write the record row by row, for DuckDB, pandas, polars, SQLite and spreadsheets.

    FORMAT is csv, jsonl, parquet or sqlite. Every row tells its own start and end. The rows of an interface add up to
    what is recorded for it, to the byte; bytes whose time is not known have rows of their own (record: estimated), or,
    in hours and longer, columns. docs/data.md describes every column. `netusage import` makes a ledger of it again.

    Of several hosts (--fleet, or --host with a pattern) rows have a host as well, and are quarters of an hour or longer of
    what was counted, over which what is estimated is spread, or gaps. No ledger is made of these.

    The file is written whole or not at all, and a recorder may go on meanwhile. CSV and JSON Lines go to standard output
    without -o.
    """
    import sys
    import time

    from netusage.exchange.tables import OF_HOSTS, TABLES
    from netusage.ledger.reader import LedgerReader
    from netusage.periods import parse_instant, zone
    from netusage.render.progress import progress
    from netusage.reports.extract import Extract, Question, Resolution
    from netusage.reports.extract_hosts import HostsExtract
    from netusage.settings.schema import weekday_number

    where = zone(inv.settings.report.tz or None)
    now_s = int(time.time())
    question = Question(
        resolution=Resolution(resolution),
        zone=where,
        since_s=None if since is None else parse_instant(since, now_s, where),
        until_s=None if until is None else parse_instant(until, now_s, where, end=True),
        patterns=interfaces,
        billing_day=inv.settings.report.billing_day,
        week_start=weekday_number(inv.settings.report.week_start),
    )
    file = inv.output_file
    names = _names(inv, format_name, what)
    _refuse_output(format_name, file, str(inv.ledger_path(for_reading=True)))
    about = _about(inv, question)
    with inv.record() as reader:
        extract: Extract | HostsExtract
        if inv.is_of_several:
            extract = HostsExtract(reader, question)
        else:
            assert isinstance(reader, LedgerReader), "one host is asked in its ledger"
            extract = Extract(reader, question)
        days = _days(extract.start_s, extract.end_s)
        with progress("Exporting days", total=days, stream=sys.stderr) as advance:
            reader.on_progress(lambda: advance(0))
            tables = OF_HOSTS if inv.is_of_several else TABLES
            chosen = [tables[name] for name in names]
            if format_name == "sqlite":
                assert file is not None, "it was refused"
                _write_sqlite(extract, chosen, file, about, advance)
            else:
                _write_stream(extract, format_name, chosen[0], (file, about), advance)
    inv.tell_behind(extract.end_s)


def _names(inv: Invocation, format_name: str, what: str | None) -> "list[str]":
    """The tables that are asked for.

    Raises:
        UsageError: of several hosts there is no such table.
    """
    from netusage.errors import UsageError
    from netusage.exchange.tables import OF_HOSTS

    known = [name for name in WHAT if name in OF_HOSTS] if inv.is_of_several else list(WHAT)
    if what is not None and what not in known:
        raise UsageError(
            f"--what {what}: of several hosts there are {' and '.join(known)}",
            hint="export each host's own ledger for the others",
        )
    if what is None and format_name == "sqlite":
        return known
    return [what or "usage"]


def _refuse_output(format_name: str, file: Path | None, path: str) -> None:
    """See whether the data may go there.

    Raises:
        UsageError: the format needs a file.
        OutputError: it is a directory, or belongs to the ledger.
    """
    from netusage.cli.output import STANDARD
    from netusage.errors import UsageError
    from netusage.ledger.backup import refuse_target

    if file is None or str(file) == STANDARD:
        if format_name in ("parquet", "sqlite"):
            raise UsageError(f"{format_name} is not text", hint="name a file with -o FILE")
        return
    refuse_target(path, str(file), overwrite=True)


def _about(inv: Invocation, question: "Question") -> dict[str, str]:
    """What a file says of itself, where the format has a place for it."""
    from netusage import __version__
    from netusage.periods import isoformat

    since = "" if question.since_s is None else isoformat(question.since_s, question.zone)
    until = "" if question.until_s is None else isoformat(question.until_s, question.zone)
    return {
        "written_by": f"netusage {__version__}",
        "resolution": question.resolution.value,
        "timezone": str(question.zone),
        "since": since,
        "until": until,
        "interfaces": " ".join(question.patterns),
        **({"hosts": " ".join(inv.hosts)} if inv.is_of_several else {}),
        **({"labels": " ".join(inv.labels)} if inv.fleet else {}),
    }


def _days(start_s: int, end_s: int) -> int:
    from netusage.ledger.chunks import DAY_S

    return -(-(end_s - start_s) // DAY_S)


def _told(table: "Table", extract: "Extract | HostsExtract", advance: "Advance") -> "Iterator[AnyRow]":
    """The rows of a table; each day that is behind them is told."""
    from netusage.exchange.tables import rows_of
    from netusage.model import US

    done = 0
    for row in rows_of(table, extract):
        days = min(row.start_us // US, extract.end_s) - extract.start_s
        if days // 86_400 > done:
            advance(days // 86_400 - done)
            done = days // 86_400
        yield row


def _write_stream(
    extract: "Extract | HostsExtract",
    format_name: str,
    table: "Table",
    target: tuple[Path | None, dict[str, str]],
    advance: "Advance",
) -> None:
    import sys

    from netusage.cli.output import STANDARD, open_binary_output
    from netusage.exchange import parquet, text
    from netusage.render.context import is_terminal

    file, about = target
    rows = _told(table, extract, advance)
    zone = extract.question.zone
    if (file is None or str(file) == STANDARD) and is_terminal(sys.stdout):
        rows = _harmless(rows)
    with open_binary_output(file) as out:
        if format_name == "parquet":
            parquet.write(table, rows, about, out)
        elif format_name == "csv":
            text.write_csv(table, rows, zone, out)
        else:
            text.write_jsonl(table, rows, zone, out)


def _harmless(rows: "Iterator[AnyRow]") -> "Iterator[AnyRow]":
    """Rows for a terminal, to which names give no orders; programs get them as they are."""
    from netusage.render.cells import safe

    for row in rows:
        yield type(row)._make(safe(value) if isinstance(value, str) else value for value in row)


def _write_sqlite(
    extract: "Extract | HostsExtract",
    tables: "Iterable[Table]",
    file: Path,
    about: dict[str, str],
    advance: "Advance",
) -> None:
    from netusage.cli.output import new_file
    from netusage.exchange.tables import Kind
    from netusage.exchange.text import in_words
    from netusage.ledger.plain_file import PlainColumn, PlainWriter

    types = {Kind.TIME: "TEXT NOT NULL", Kind.TEXT: "TEXT NOT NULL", Kind.RATE: "INTEGER"}
    with new_file(file) as place, PlainWriter(str(place)) as writer:
        writer.about(about)
        for table in tables:
            columns = [
                PlainColumn(column.name, types.get(column.kind, "INTEGER NOT NULL"))
                for column in table.columns
            ]
            rows = (
                _told(table, extract, advance)
                if table.name == "usage"
                else _told(table, extract, lambda _=1: None)
            )
            writer.table(table.name, columns, in_words(table, rows, extract.question.zone, flags=(0, 1)))
