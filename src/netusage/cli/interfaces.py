"""netusage interfaces: every interface that was ever seen."""

from netusage.cli import options, shares
from netusage.cli.context import Invocation, pass_invocation


@options.command(
    "interfaces",
    examples=[
        ("netusage interfaces", "what was seen, and what counts in the machine's total"),
        ("netusage interfaces --format json", "the same for a program"),
        ("netusage interfaces --fleet", "of every host of a fleet"),
    ],
)
@options.record_options
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
    import time

    from netusage.periods import zone
    from netusage.render import documents
    from netusage.reports.interfaces import interfaces

    settings = inv.settings
    where = zone(settings.report.tz or None)
    with inv.record() as reader:
        rows = interfaces(reader, settings.interfaces)
    inv.tell_behind(int(time.time()))
    shares.write(inv, documents.interfaces(rows, where, reader.path), (), where)
