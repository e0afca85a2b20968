"""netusage import: a record from elsewhere into a ledger."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from netusage.cli import import_vnstat, options
from netusage.cli.context import Invocation, pass_invocation

if TYPE_CHECKING:
    from netusage.ledger.intake_books import Taken

FILES = "files"


class _FilesOrCommand(options.Group):
    """Takes the names of files as well as those of commands."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """What is neither a command nor a question about them is for `files`."""
        if args and args[0] not in self.commands and args[0] not in ("-h", "--help"):
            args = [FILES, *args]
        return super().parse_args(ctx, args)


@click.group(
    "import",
    cls=_FilesOrCommand,
    commands=[import_vnstat.command],
    subcommand_metavar="FILE... | COMMAND [ARGS]...",
    examples=[
        ("netusage import record.sqlite --db copy.db", "a ledger out of what netusage export wrote"),
        ("netusage import usage.csv gaps.csv --db copy.db", "several tables of it together"),
        ("netusage import record.sqlite --db copy.db --dry-run", "what would be taken in"),
        ("netusage import vnstat", "what vnStat recorded, kept apart"),
    ],
)
def command() -> None:
    """Take a record from elsewhere into a ledger.

    With FILE: exports of netusage, as `netusage import files`.
    """


@command.command(
    FILES,
    cls=options.Command,
    examples=[
        ("netusage import files record.sqlite --db copy.db", "a ledger out of what netusage export wrote"),
    ],
)
@click.argument("files", nargs=-1, required=True, metavar="FILE...", type=click.Path(path_type=str))
@options.dry_run_option
@options.ledger_options
@options.output_options("table", "json")
@options.zone_option
@pass_invocation
def files_command(inv: Invocation, files: tuple[str, ...], dry_run: bool) -> None:
    """Take in what netusage export wrote: CSV, JSON Lines, Parquet and SQLite, told by what is in a file.

    All files together make one record, in a ledger that has none of its own yet: name a new file with --db. Minutes and
    quarters of an hour become what they were, peaks included; longer rows become estimated stretches, since no more is
    known of them. Everything is checked first and taken in whole or not at all, and what was made is proved as
    `netusage verify` does. What is wrong is told with its file and line.
    """
    import json
    import sys
    import time

    from netusage.exchange.taking_in import take_in
    from netusage.render.progress import progress

    path = str(inv.ledger_path(for_reading=False))
    with progress("Importing rows", stream=sys.stderr) as advance:
        taken = take_in(files, path, now_us=time.time_ns() // 1000, dry_run=dry_run, advance=advance)
    with inv.output() as out:
        if inv.format == "json":
            out.write(json.dumps(_as_json(inv, taken, path, dry_run=dry_run)) + "\n")
        else:
            out.writelines(f"{line}\n" for line in _lines(inv, taken, path, dry_run=dry_run))


def _bounds(inv: Invocation, taken: "Taken") -> tuple[str | None, str | None]:
    from netusage.model import US
    from netusage.periods import isoformat, zone

    if taken.start_us is None or taken.end_us is None:
        return None, None
    where = zone(inv.settings.report.tz or None)
    return isoformat(taken.start_us // US, where), isoformat(-(-taken.end_us // US), where)


def _lines(inv: Invocation, taken: "Taken", path: str, *, dry_run: bool) -> Iterator[str]:
    start, end = _bounds(inv, taken)
    what = ", ".join(f"{count:,} of {name}" for name, count in taken.rows.items() if count) or "none"
    yield f"Rows: {what}"
    if start is not None:
        yield f"Of {taken.interfaces:,} interfaces, from {start} to {end}"
    yield from (f"Also: {note}" for note in taken.notes)
    yield "Nothing has been changed." if dry_run else f"It is in the ledger {path}, which adds up."


def _as_json(inv: Invocation, taken: "Taken", path: str, *, dry_run: bool) -> dict[str, Any]:
    start, end = _bounds(inv, taken)
    return {
        "version": 1,
        "report": "import",
        "ledger": path,
        "dry_run": dry_run,
        "rows": taken.rows,
        "interfaces": taken.interfaces,
        "start": start,
        "end": end,
        "notes": taken.notes,
    }
