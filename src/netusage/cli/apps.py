"""netusage apps: whose bytes they were."""

import click

from netusage.cli import options, shares
from netusage.cli.context import Invocation, pass_invocation

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
    type=click.Choice(shares.DIMENSIONS),
    multiple=True,
    help="What to tell apart; may be repeated. Without it: application, user, unit and container.",
)
@click.option(
    "--versions", is_flag=True, help="The executables that were seen of each application, and when."
)
@options.share_options
@options.host_option
@options.ledger_options
@options.output_options(*options.FORMATS)
@options.unit_options
@options.zone_option
@pass_invocation
def command(
    inv: Invocation,
    by: tuple[str, ...],
    interfaces: tuple[str, ...],
    since: str,
    until: str,
    *,
    versions: bool,
) -> None:
    """List what applications used.

    The time asked for is widened to quarters of an hour, which is what is recorded. What no application is known of
    is "unattributed": packets that reached no socket, and what came before applications were recorded. The line below
    the table names how they are told apart; netusage doctor says how to have it better.
    """
    from netusage.ledger.reader import LedgerReader
    from netusage.periods import zone
    from netusage.render import documents
    from netusage.reports.applications import applications

    if versions:
        _list_versions(inv)
        return
    settings = inv.settings
    where = zone(settings.report.tz or None)
    period = options.asked_period(since, until, where)
    chosen = tuple(dict.fromkeys(by)) or _SHOWN
    path = str(inv.ledger_path(for_reading=True))
    with LedgerReader(path, inv.host) as reader:
        rows = applications(reader, period, chosen, settings.interfaces, interfaces)
        told = documents.tiers(reader, *period)
    shown = {one for n, one in enumerate(chosen) if by or any(row.values[n] for row in rows)}
    about = documents.About("apps", where, period, told, path, interfaces, chosen)
    shares.write(inv, documents.applications(rows, about, shown), told, where)


def _list_versions(inv: Invocation) -> None:
    """Applications with their executables: one that was replaced is another version of the same application."""
    from netusage.errors import NoDataError
    from netusage.ledger.reader import LedgerReader
    from netusage.periods import zone
    from netusage.render import documents

    where = zone(inv.settings.report.tz or None)
    path = str(inv.ledger_path(for_reading=True))
    with LedgerReader(path, inv.host) as reader:
        seen = reader.versions()
    if not seen:
        raise NoDataError(
            "no executable has been seen of any application",
            hint="what this machine can tell of them, and how to have more: netusage doctor",
        )
    shares.write(inv, documents.versions(seen, where, path), (), where)
