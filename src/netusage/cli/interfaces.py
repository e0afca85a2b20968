"""netusage interfaces: every interface that was ever seen."""

from netusage.cli import options, shares
from netusage.cli.context import Invocation, pass_invocation


@options.command(
    "interfaces",
    examples=[
        ("netusage interfaces", "what was seen, and what counts in the machine's total"),
        ("netusage interfaces --format json", "the same for a program"),
    ],
)
@options.host_option
@options.ledger_options
@options.output_options(*options.FORMATS)
@options.unit_options
@options.zone_option
@pass_invocation
def command(inv: Invocation) -> None:
    """List every interface, and whether it counts in the machine's total and why.

    The machine's total counts each byte that left or reached the machine once, so what carries the bytes of other
    interfaces (bridges, bonds, tunnels ...) is recorded and not added up. The configuration can say otherwise with
    [interfaces] counted and not_counted.
    """
    from netusage.ledger.reader import LedgerReader
    from netusage.periods import zone
    from netusage.render import documents
    from netusage.reports.interfaces import interfaces

    settings = inv.settings
    where = zone(settings.report.tz or None)
    path = str(inv.ledger_path(for_reading=True))
    with LedgerReader(path, inv.host) as reader:
        rows = interfaces(reader, settings.interfaces)
    shares.write(inv, documents.interfaces(rows, where, path), (), where)
