"""The bare netusage: what was used, and whether somebody records."""

from netusage.cli import options
from netusage.cli.context import Invocation, pass_invocation


@options.command(
    "netusage",
    examples=[
        ("netusage", "today, this month, since boot, all time"),
        ("netusage --format json", "the same for a program"),
        ("netusage --fleet --by host", "today, this month and all time of each host of a fleet"),
    ],
)
@options.summary_by_option
@options.record_options
@options.output_options(*options.FORMATS)
@options.unit_options
@options.zone_option
@pass_invocation
def command(inv: Invocation, by: tuple[str, ...]) -> None:
    """Today, this month, since boot and all time, per interface and for the machine.

    Of other hosts (--fleet, --host) it tells today, this month and all time, and until when they are known.
    """
    inv.refuse_by_host(by)
    if inv.fleet or inv.hosts or inv.labels:
        from netusage.cli.summary_hosts import write_summary_of_hosts

        write_summary_of_hosts(inv, by)
        return
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
