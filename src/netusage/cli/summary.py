"""The bare netusage: what was used, and whether somebody records."""

from netusage.cli import options
from netusage.cli.context import Invocation, pass_invocation


@options.command(
    "netusage",
    examples=[
        ("netusage", "today, this month, since boot, all time"),
        ("netusage --format json", "the same for a program"),
    ],
)
@options.ledger_options
@options.output_options(*options.FORMATS)
@options.unit_options
@options.zone_option
@pass_invocation
def command(inv: Invocation) -> None:
    """Today, this month, since boot and all time, per interface and for the machine."""
    from netusage.cli.summary_text import View, write_summary

    settings = inv.settings
    report = settings.report
    view = View(
        path=str(inv.ledger_path(for_reading=True)),
        format=inv.format,
        units=report.units,
        bits=report.bits,
        zone=report.tz,
        billing_day=report.billing_day,
        interfaces=settings.interfaces,
    )
    with inv.output() as out:
        write_summary(view, out)
