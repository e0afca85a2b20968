"""netusage apps: whose bytes they were."""

from typing import Any

import click

from netusage.cli import options
from netusage.cli.context import Invocation, pass_invocation

DIMENSIONS = (
    "application",
    "path",
    "user",
    "unit",
    "container",
    "pod",
    "scope",
    "protocol",
    "family",
    "interface",
)
_SHOWN = ("application", "user", "unit", "container")


@options.command(
    "apps",
    examples=[
        ("netusage apps", "today's applications, the busiest first"),
        ("netusage apps --since 7d --by user", "what each user had in the last seven days"),
        ("netusage apps --by application --by scope", "apart for the internet, the LAN ..."),
        ("netusage apps --format json", "for a program"),
    ],
)
@click.option(
    "--by",
    type=click.Choice(DIMENSIONS),
    multiple=True,
    help="What to tell apart; may be repeated. Without it: application, user, unit and container.",
)
@options.share_options
@options.ledger_options
@options.output_options(*options.FORMATS)
@options.unit_options
@options.zone_option
@pass_invocation
def command(
    inv: Invocation, by: tuple[str, ...], interfaces: tuple[str, ...], since: str, until: str
) -> None:
    """List what applications used, as recorded with [recorder] applications or daemon --applications.

    The time asked for is widened to quarters of an hour, which is what is recorded. What no application is known of
    is "unattributed": packets that reached no socket, and what came before applications were recorded.
    """
    import os

    from netusage.ledger.reader import LedgerReader
    from netusage.periods import isoformat, zone
    from netusage.render.columns import Column
    from netusage.render.context import detect
    from netusage.render.formats import render
    from netusage.reports.applications import applications

    settings = inv.settings
    where = zone(settings.report.tz or None)
    period = options.asked_period(since, until, where)
    chosen = tuple(dict.fromkeys(by)) or _SHOWN
    path = str(inv.ledger_path(for_reading=True))
    with LedgerReader(path) as reader:
        rows = applications(reader, period, chosen, settings.interfaces, interfaces)
    shown = {one for n, one in enumerate(chosen) if by or any(row.values[n] for row in rows)}
    columns = [Column(one, one.capitalize(), table=one in shown) for one in chosen]
    columns += [
        Column("rx_bytes", "Received", "bytes"),
        Column("tx_bytes", "Sent", "bytes"),
        Column("both", "Total", "bytes"),
        Column("share", "Share", "share"),
    ]
    envelope = {
        "report": "apps",
        "timezone": str(where),
        "start": isoformat(period.start_s, where),
        "end": isoformat(period.end_s, where),
        "by": list(chosen),
        "interface_filter": list(interfaces),
        "ledger": path,
    }
    with inv.output() as out:
        report = settings.report
        context = detect(out, os.environ, units=report.units, bits=report.bits, zone=where)
        found: list[dict[str, Any]] = [
            dict(zip(chosen, row.values, strict=True))
            | row.counters._asdict()
            | {"both": row.counters.rx_bytes + row.counters.tx_bytes, "share": row.share}
            for row in rows
        ]
        render(inv.format, columns, found, envelope=envelope, context=context, stream=out)
