"""netusage interfaces: every interface that was ever seen."""

from collections.abc import Iterator
from datetime import tzinfo
from typing import TYPE_CHECKING, Any

from netusage.cli import options
from netusage.cli.context import Invocation, pass_invocation

if TYPE_CHECKING:
    from netusage.reports.interfaces import InterfaceRow


@options.command(
    "interfaces",
    examples=[
        ("netusage interfaces", "what was seen, and what counts in the machine's total"),
        ("netusage interfaces --format json", "the same for a program"),
    ],
)
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
    import os

    from netusage.ledger.reader import LedgerReader
    from netusage.periods import zone
    from netusage.render.columns import Column
    from netusage.render.context import detect
    from netusage.render.formats import render
    from netusage.reports.interfaces import interfaces

    settings = inv.settings
    where = zone(settings.report.tz or None)
    path = str(inv.ledger_path(for_reading=True))
    with LedgerReader(path) as reader:
        rows = interfaces(reader, settings.interfaces)
    columns = [
        Column("interface", "Interface"),
        Column("kind", "Kind"),
        Column("state", "State"),
        Column("counted", "In total", "flag"),
        Column("reason", "Because"),
        Column("first_seen", "First seen", "date"),
        Column("last_seen", "Last seen", "date"),
        Column("rx_bytes", "Received", "bytes", spare=True),
        Column("tx_bytes", "Sent", "bytes", spare=True),
        Column("rx_packets", "Packets received", "int", table=False),
        Column("tx_packets", "Packets sent", "int", table=False),
    ]
    envelope = {"report": "interfaces", "timezone": str(where), "ledger": path}
    with inv.output() as out:
        report = settings.report
        context = detect(out, os.environ, units=report.units, bits=report.bits, zone=where)
        render(inv.format, columns, _rows(rows, where), envelope=envelope, context=context, stream=out)


def _rows(rows: "list[InterfaceRow]", zone: tzinfo) -> Iterator[dict[str, Any]]:
    from netusage.model import US
    from netusage.periods import isoformat

    for row in rows:
        yield {
            "interface": row.name,
            "kind": row.kind,
            "state": row.state,
            "counted": row.counted,
            "reason": row.reason,
            "first_seen": isoformat(row.first_seen_us // US, zone),
            "last_seen": isoformat(row.last_seen_us // US, zone),
            **row.totals._asdict(),
        }
