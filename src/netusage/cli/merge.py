"""netusage merge: the ledger of another machine or disk, in this one."""

import click

from netusage.cli import options
from netusage.cli.context import Invocation, pass_invocation


@options.command(
    "merge",
    examples=[
        ("netusage merge laptop.db", "take it in as the host laptop"),
        ("netusage report month --host laptop", "ask it"),
        ("netusage merge /mnt/old/netusage.db --as old-disk", "under another name"),
        ("netusage merge laptop.db --dry-run", "what would be done"),
    ],
)
@click.argument("other", metavar="OTHER.DB", type=click.Path(path_type=str))
@click.option(
    "--as", "name", metavar="NAME", help="The host's name.  [default: the file's, without its ending]"
)
@options.dry_run_option
@options.ledger_options
@options.unit_options
@pass_invocation
def command(inv: Invocation, other: str, name: str | None, dry_run: bool) -> None:
    """Take the ledger of another machine or disk into this one, whole, kept apart by its host.

    Nothing of a host is ever added to what was recorded here: ask for it with --host. Merging a later state of the
    same ledger takes the place of the earlier one, so it can be done again and again; what is known already is not
    taken in twice. OTHER.DB is not changed. A recorder may go on meanwhile.
    """
    import sys
    import time
    from pathlib import Path

    from netusage.cli.output import note
    from netusage.ledger.hosts import merge
    from netusage.render.progress import progress
    from netusage.units import format_duration

    path = str(inv.ledger_path(for_reading=False))
    known_as = Path(other).stem if name is None else name
    with progress("Merging the ledger", stream=sys.stderr) as advance:
        found = merge(
            path, other, known_as, now_us=time.time_ns() // 1000, dry_run=dry_run, tick=lambda: advance(0)
        )
    for one in found:
        what = {"new": "is a new host", "renewed": "takes the place of an earlier state of it"}.get(
            one.outcome
        )
        would = "would be: " if dry_run else ""
        if what is None:
            note(f"{one.name}: nothing that is not in {path} already")
            continue
        note(f"{would}{one.name} {what} in {path}, {one.rows:,} rows")
        if one.both_us:
            both = format_duration(one.both_us, parts=1)
            note(
                f"{one.name}: for {both} the same counters were recorded in both; they stay apart and are never added up"
            )
