"""netusage reconcile: for each interface, the account that adds up."""

from netusage.cli import options, shares
from netusage.cli.context import Invocation, pass_invocation


@options.command(
    "reconcile",
    examples=[
        ("netusage reconcile", "today, every interface"),
        ("netusage reconcile --since 7d --interface eth0", "one interface, seven days"),
        ("netusage reconcile --format json", "for a program"),
        ("netusage reconcile --fleet --host 'web*'", "of some hosts of a fleet"),
    ],
)
@options.share_options
@options.record_options
@options.output_options(*options.FORMATS)
@options.unit_options
@options.zone_option
@pass_invocation
def command(inv: Invocation, interfaces: tuple[str, ...], since: str, until: str) -> None:
    """Account for every byte of each interface: applications, the kernel, what was forwarded, and the rest.

    The lines add up to what the interface counted, to the byte. A rest that is not zero says what it can be.
    """
    from netusage.periods import zone
    from netusage.render import documents
    from netusage.reports.applications import reconcile

    settings = inv.settings
    where = zone(settings.report.tz or None)
    period = options.asked_period(since, until, where)
    with inv.record() as reader:
        accounts = reconcile(reader, period, interfaces)
        told = documents.tiers(reader, *period)
    inv.tell_behind(period.end_s)
    about = documents.About("reconcile", where, period, told, reader.path, interfaces)
    shares.write(inv, documents.reconciled(accounts, about), told, where)
