"""netusage apps: whose bytes they were."""

from typing import TYPE_CHECKING

import click

from netusage.cli import options, shares
from netusage.cli.context import Invocation, pass_invocation

if TYPE_CHECKING:
    from netusage.reports.applications import Others
    from netusage.units import Units

_SHOWN = ("application", "user", "unit", "container")


@options.command(
    "apps",
    examples=[
        ("netusage apps", "today's applications, the busiest first"),
        ("netusage apps --since 7d --by user", "what each user had in the last seven days"),
        ("netusage apps --by application --by scope", "apart for the internet, the LAN ..."),
        ("netusage apps --format json", "for a program"),
        ("netusage apps --fleet --by host,application", "of every host of a fleet"),
        ("netusage apps --fleet --by host --limit 20", "the busiest twenty hosts"),
    ],
)
@options.by_option(
    shares.DIMENSIONS,
    "What to tell apart, one or several with commas. Without it: application, user, unit and container.",
)
@click.option(
    "--versions", is_flag=True, help="The executables that were seen of each application, and when."
)
@click.option(
    "--limit",
    type=click.IntRange(1, 1_000_000),
    metavar="N",
    help="At most so many rows, the busiest ones; says what the others had together.",
)
@options.share_options
@options.record_options
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
    limit: int | None,
    versions: bool,
) -> None:
    """List what applications used.

    The time asked for is widened to quarters of an hour, which is what is recorded. What no application is known of
    is "unattributed": packets that reached no socket, and what came before applications were recorded. The line below
    the table names how they are told apart; netusage doctor says how to have it better.
    """
    from netusage.errors import UsageError
    from netusage.periods import zone
    from netusage.render import documents
    from netusage.reports.applications import applications, busiest

    if versions:
        if limit is not None:
            raise UsageError("--versions lists all there are", hint="leave out --limit")
        _list_versions(inv)
        return
    settings = inv.settings
    where = zone(settings.report.tz or None)
    period = options.asked_period(since, until, where)
    inv.refuse_by_host(by)
    chosen = by or _SHOWN
    with shares.no_collections(), inv.record(by) as reader:
        found = applications(reader, period, chosen, settings.interfaces, interfaces)
        told = documents.tiers(reader, *period)
    inv.tell_behind(period.end_s)
    rows, others = (found, None) if limit is None else busiest(found, limit)
    shown = {one for n, one in enumerate(chosen) if by or any(row.values[n] for row in rows)}
    about = documents.About("apps", where, period, told, reader.path, interfaces, chosen)
    document = documents.applications(rows, about, shown, others)
    left_out = ""
    if others is not None and others.number:
        left_out = _said(others, settings.report.units)
    shares.write(inv, document, told, where, left_out=left_out)


def _said(others: "Others", units: "Units") -> str:
    """What a limit left out, for people."""
    from netusage.units import format_bytes

    rows = "row is" if others.number == 1 else "rows are"
    both = format_bytes(others.counters.rx_bytes + others.counters.tx_bytes, units)
    return f"{others.number:,} more {rows} left out by --limit, with {both} together"


def _list_versions(inv: Invocation) -> None:
    """Applications with their executables: one that was replaced is another version of the same application.

    Raises:
        UsageError: of a fleet, to which hosts do not deliver them.
        NoDataError: there are none.
    """
    from netusage.errors import NoDataError, UsageError
    from netusage.periods import zone
    from netusage.render import documents

    if inv.fleet:
        raise UsageError(
            "--versions: executables of applications stay on their hosts", hint="ask there, without --fleet"
        )
    where = zone(inv.settings.report.tz or None)
    with inv.record() as reader:
        seen = reader.versions()
    if not seen:
        raise NoDataError(
            "no executable has been seen of any application",
            hint="what this machine can tell of them, and how to have more: netusage doctor",
        )
    shares.write(inv, documents.versions(seen, where, reader.path), (), where)
