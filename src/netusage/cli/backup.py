"""netusage backup: a copy of the ledger."""

import click

from netusage.cli import options
from netusage.cli.context import Invocation, pass_invocation


@options.command(
    "backup",
    examples=[
        ("netusage backup /mnt/usb/netusage.db", "copy the ledger, while it is recorded into"),
        ("netusage report month --db /mnt/usb/netusage.db", "look into the copy"),
    ],
)
@click.argument("file", type=click.Path(path_type=str))
@options.yes_option
@options.ledger_options
@options.unit_options
@pass_invocation
def command(inv: Invocation, file: str, yes: bool) -> None:
    """Copy the ledger to FILE, consistently, while it is recorded into.

    The copy is checked and complete, or not there at all. To put it back, stop the recorder, copy it to the
    ledger's place, and start the recorder again. A FILE that is there is replaced only with --yes.
    """
    import sys

    from netusage.cli.output import note
    from netusage.ledger.backup import backup, refuse_target
    from netusage.render.progress import progress
    from netusage.units import format_bytes

    path = str(inv.ledger_path(for_reading=True))
    refuse_target(path, file, overwrite=yes)
    with progress("Copying the ledger", stream=sys.stderr) as advance:
        size = backup(path, file, overwrite=yes, advance=lambda _done, _all: advance(0))
    note(f"{file}: a copy of {path}, {format_bytes(size, inv.settings.report.units)}")
