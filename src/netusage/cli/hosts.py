"""netusage hosts: which ledgers were merged into this one."""

import click

from netusage.cli import options, shares
from netusage.cli.context import Invocation, pass_invocation


@options.group(
    "hosts",
    invoke_without_command=True,
    examples=[
        ("netusage hosts", "which there are, and from when to when"),
        ("netusage report day --host laptop", "ask one of them"),
        ("netusage hosts remove laptop", "take it out again"),
    ],
)
@options.ledger_options
@options.output_options(*options.FORMATS)
@options.unit_options
@options.zone_option
@click.pass_context
def command(ctx: click.Context) -> None:
    """The machines and disks whose ledgers were merged into this one, each apart from what was recorded here."""
    from netusage.cli.context import invocation_of

    if ctx.invoked_subcommand is None:
        inv = invocation_of(ctx)
        inv.format = inv.format or options.FORMATS[0]
        _list(inv)


def _list(inv: Invocation) -> None:
    from netusage.periods import zone
    from netusage.render import documents
    from netusage.reports.hosts import hosts

    where = zone(inv.settings.report.tz or None)
    path = str(inv.ledger_path(for_reading=True))
    rows = hosts(path, inv.settings.interfaces)
    shares.write(inv, documents.hosts(rows, where, path), (), where)


@command.command(
    "remove",
    cls=options.Command,
    examples=[("netusage hosts remove laptop --yes", "without asking")],
)
@click.argument("name")
@options.yes_option
@options.dry_run_option
@options.ledger_options
@pass_invocation
def remove(inv: Invocation, name: str, yes: bool, dry_run: bool) -> None:
    """Take the host NAME out of the ledger; what was recorded here stays as it is."""
    from netusage.cli.output import note
    from netusage.ledger.host_views import find
    from netusage.ledger.hosts import remove as take_out
    from netusage.ledger.reader import LedgerReader

    path = str(inv.ledger_path(for_reading=True))
    with LedgerReader(path) as reader:
        find(reader.hosts(), name, path)
    if dry_run:
        note(f"would remove the host {name} from {path}")
    elif options.confirm(f"Remove everything of the host {name} from {path}?", yes=yes):
        take_out(path, name)
        note(f"removed the host {name} from {path}")
