"""netusage reconcile: for each interface, the account that adds up."""

from typing import Any

from netusage.cli import options, shares
from netusage.cli.context import Invocation, pass_invocation

_EXPLAINED = {
    "applications": "each by name: netusage apps --by application",
    "the kernel itself": "ARP, ICMP, resets, and what sockets of the kernel send",
    "forwarded": "came in at another interface and was sent on",
    "without a name": "a socket whose process could not be told",
    "other applications": "each had too little of its day to be kept apart: recorder.other_below_ppm",
    "unattributed": "reached no socket, or was counted before applications were recorded",
    "delivered twice": "as multicast to two receivers; or read a moment apart from the interface",
}


@options.command(
    "reconcile",
    examples=[
        ("netusage reconcile", "today, every interface"),
        ("netusage reconcile --since 7d --interface eth0", "one interface, seven days"),
        ("netusage reconcile --format json", "for a program"),
    ],
)
@options.share_options
@options.ledger_options
@options.output_options(*options.FORMATS)
@options.unit_options
@options.zone_option
@pass_invocation
def command(inv: Invocation, interfaces: tuple[str, ...], since: str, until: str) -> None:
    """Account for every byte of each interface: applications, the kernel, what was forwarded, and the rest.

    The lines add up to what the interface counted, to the byte. A rest that is not zero says what it can be.
    """
    from netusage.ledger.reader import LedgerReader
    from netusage.periods import zone
    from netusage.render.columns import Column
    from netusage.reports.applications import reconcile, share_of

    settings = inv.settings
    where = zone(settings.report.tz or None)
    period = options.asked_period(since, until, where)
    path = str(inv.ledger_path(for_reading=True))
    with LedgerReader(path) as reader:
        accounts = reconcile(reader, period, interfaces)
        told = shares.tiers(reader, *period)
    found: list[dict[str, Any]] = []
    for account in accounts:
        for line, counters in [*account.lines, ("interface", account.total)]:
            found.append(
                {
                    "interface": account.interface,
                    "line": line,
                    **counters._asdict(),
                    "both": counters.rx_bytes + counters.tx_bytes,
                    "share": share_of(counters, account.total),
                    "note": "" if counters.is_zero else _EXPLAINED.get(line, ""),
                }
            )
    columns = [
        Column("interface", "Interface"),
        Column("line", "Line"),
        Column("rx_bytes", "Received", "int"),
        Column("tx_bytes", "Sent", "int"),
        Column("both", "Total", "int"),
        Column("share", "Share", "share"),
        Column("note", "Because", spare=True),
    ]
    about = shares.About("reconcile", where, *period, told, interfaces, path)
    shares.write(inv, columns, found, about)
