"""netusage ship: the record goes to a fleet."""

import click

from netusage.cli import options
from netusage.cli.context import Invocation, pass_invocation
from netusage.errors import ExitCode


@options.command(
    "ship",
    examples=[
        ("netusage ship --once", "deliver what is new, now"),
        ("netusage ship", "deliver beside netusage track, until Ctrl-C"),
        ("netusage daemon", "does so by itself where the configuration names a fleet"),
    ],
)
@click.option("--once", is_flag=True, help="Deliver everything that is new, and end.")
@click.option("--with-recorder", is_flag=True, hidden=True, help="End when standard input does.")
@options.ledger_options
@pass_invocation
def command(inv: Invocation, *, once: bool, with_recorder: bool) -> ExitCode:
    """Deliver the record to the fleet that [fleet] names, the oldest first, until SIGTERM or Ctrl-C.

    netusage daemon starts this by itself. Reads the ledger and never changes it; how far it is stands in a file beside
    it. What was not delivered is delivered later, however long that is: nothing is lost, and nothing counts twice.
    SIGHUP reads the configuration anew, and delivers at once.
    """
    from netusage.cli.output import note
    from netusage.fleet.ship import ShipOptions, ship, ship_once
    from netusage.recorder.privileges import give_up

    if with_recorder:
        give_up()
    ledger = str(inv.ledger_path(for_reading=True))
    asked = ShipOptions(inv.settings, lambda: inv.reload().settings, ledger, note, with_recorder)
    if not once:
        return ship(asked)
    delivered = ship_once(asked)
    why = f": {delivered.anew}" if delivered.anew else ""
    note(f"delivered {delivered.rows:,} rows to {inv.settings.fleet.url}{why}")
    return ExitCode.OK
