"""netusage alerts: the log of alerts, a test of whom they go to, and the watcher."""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from netusage.cli import options
from netusage.cli.context import Invocation, pass_invocation
from netusage.errors import ConfigError, ExitCode

if TYPE_CHECKING:
    from netusage.settings.schema import Settings

_KINDS = ("threshold", "rate", "quota", "first-seen", "changed", "gap", "silence", "ledger", "journal")


@options.group(
    "alerts",
    invoke_without_command=True,
    subcommand_metavar="[COMMAND] [ARGS]...",
    examples=[
        ("netusage alerts", "what was told of in the last seven days, and what became of it"),
        ("netusage alerts --since 2026-01-01 --kind gap", "gaps of this year"),
        ("netusage alerts --format json", "for a program"),
        ("netusage alerts test", "does a message reach you?"),
    ],
)
@click.option(
    "--since",
    metavar="WHEN",
    default="7d",
    show_default=True,
    help="From when: 2026-11-20, 7d, today, 2026-11-20T13:00 ...",
)
@click.option("--until", metavar="WHEN", default="now", show_default=True, help="Until when, likewise.")
@click.option(
    "--kind",
    "kinds",
    type=click.Choice(_KINDS),
    multiple=True,
    help="Only alerts of a kind; may be repeated.",
)
@click.option("--waiting", is_flag=True, help="Only alerts that were not delivered yet.")
@options.ledger_options
@options.output_options(*options.FORMATS)
@options.zone_option
@click.pass_context
def command(ctx: click.Context, since: str, until: str, kinds: tuple[str, ...], *, waiting: bool) -> None:
    """List alerts: what was told, to whom, and what waits and why.

    Alerts are looked for by a process beside the recorder when the configuration says whom they go to, in [alerts]:
    thresholds of plans, applications that are new or changed, rates and quotas of [[alert]], gaps in the record, and
    trouble with the ledger. What is not worth a message is only logged.
    """
    if ctx.invoked_subcommand is None:
        _list(ctx.ensure_object(Invocation), (since, until), kinds, waiting=waiting)


def _list(inv: Invocation, stretch: tuple[str, str], kinds: Sequence[str], *, waiting: bool) -> None:
    import time

    from netusage.cli.shares import write
    from netusage.ledger.alert_journal import journal_path
    from netusage.ledger.alert_log import entries
    from netusage.model import US
    from netusage.periods import parse_instant, zone
    from netusage.render import documents

    settings = inv.settings
    where = zone(settings.report.tz or None)
    now_s = int(time.time())
    since_s = parse_instant(stretch[0], now_s, where)
    until_s = parse_instant(stretch[1], now_s, where, end=True)
    if stretch[1] == "now":
        until_s += 1  # the second that runs
    inv.format = inv.format or options.FORMATS[0]  # a group has no default of its own
    path = journal_path(str(inv.ledger_path(for_reading=True)), settings.alerts.journal)
    found = [
        entry
        for entry in entries(path, since_s * US, until_s * US)
        if (not kinds or entry.alert.kind in kinds) and (not waiting or entry.is_waiting)
    ]
    write(inv, documents.alerts(found, where, path), (), where)


@command.command(
    "test",
    cls=options.Command,
    examples=[("netusage alerts test", "send a test to everybody that the configuration names")],
)
@options.config_option
@pass_invocation
def test(inv: Invocation) -> ExitCode:
    """Send a test message to everybody that alerts go to, and say what became of each.

    Exits with 1 when one of them was not delivered.
    """
    from netusage.alerts.watch import send_test, words_of_unwatched
    from netusage.cli.output import note

    settings = inv.settings
    _check_somebody(settings)
    if settings.unwatched_plans:
        note(f"not watched for: {words_of_unwatched(settings)}")

    def say(name: str, why: str) -> None:
        click.echo(f"{name}: {f'not delivered: {why}' if why else 'delivered'}")
        sys.stdout.flush()

    return ExitCode.OK if send_test(settings, say) else ExitCode.FAILURE


def _check_somebody(settings: "Settings") -> None:
    """Refuse where nobody is to be told.

    Raises:
        ConfigError: so it is.
    """
    alerts = settings.alerts
    if not (alerts.to or alerts.to_file or alerts.command):
        raise ConfigError(
            "the configuration does not say whom alerts go to",
            hint='in [alerts], write e.g. to = ["ntfy://my-topic"], or a command',
        )


@command.command(
    "watch",
    cls=options.Command,
    examples=[
        ("netusage alerts watch", "look for alerts beside netusage track, until Ctrl-C"),
        ("netusage daemon", "does so by itself where the configuration says whom alerts go to"),
    ],
)
@click.option("--with-recorder", is_flag=True, hidden=True, help="End when standard input does.")
@options.ledger_options
@options.zone_option
@pass_invocation
def watch(inv: Invocation, *, with_recorder: bool) -> ExitCode:
    """Look for alerts and deliver them, until SIGTERM or Ctrl-C.

    netusage daemon starts this by itself. Reads the ledger and never changes it; what was told is kept in a file
    beside it. SIGHUP reads the configuration anew.
    """
    from netusage.alerts.watch import WatchOptions
    from netusage.alerts.watch import watch as run
    from netusage.cli.output import note

    settings = inv.settings
    if not settings.wants_alerts:
        raise ConfigError(
            "the configuration asks for no alerts",
            hint="in [alerts], say whom they go to, or log = true to keep the log alone",
        )
    ledger = str(inv.ledger_path(for_reading=False))
    return run(WatchOptions(settings, lambda: inv.reload().settings, ledger, note, with_recorder))
