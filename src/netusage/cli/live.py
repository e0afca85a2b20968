"""netusage live: interfaces and applications in the terminal, each second."""

import os
import sys

import click

from netusage.cli import options
from netusage.cli.context import Invocation, pass_invocation
from netusage.errors import ExitCode


@options.command(
    "live",
    examples=[
        ("netusage live", "interfaces and applications; ? shows the keys"),
        ("netusage live --interface 'wl*'", "only wireless interfaces"),
        ("netusage live --bits --units iec", "rates in bits; 1 KiB = 1024 B"),
    ],
)
@click.option(
    "--interface",
    "interfaces",
    metavar="GLOB",
    multiple=True,
    help="Show and add up only these interfaces, as in eth0 or 'wl*'; may be repeated.",
)
@options.setting_option(
    "--applications",
    key="recorder.applications",
    help="How applications are told apart where no recorder does; auto: the best that works here.",
)
@options.ledger_options
@options.unit_options
@options.zone_option
@pass_invocation
def command(inv: Invocation, interfaces: tuple[str, ...]) -> ExitCode:
    """Watch interfaces and applications in the terminal, each second.

    Shows what comes and goes now, today and since the start, with a graph of the last minutes. Applications come from
    the recorder's ledger, every ten seconds, while one is running; otherwise they are told apart here and now, and
    nothing is recorded. Needs the extra [tui].
    """
    from netusage.errors import NetusageError, UsageError
    from netusage.render.context import can_animate, is_terminal

    if not (is_terminal(sys.stdin) and can_animate(sys.stdout, os.environ)):
        raise UsageError(
            "netusage live needs a terminal that can be drawn on",
            hint="use netusage track, or netusage report minute",
        )
    try:
        import textual  # noqa: F401  # whether it is there
    except ModuleNotFoundError as error:
        if error.name != "textual":
            raise
        raise NetusageError(
            "netusage live needs the package textual", hint="pip install 'netusage[tui]'"
        ) from None
    from netusage.live.app import LiveOptions, run
    from netusage.periods import zone

    settings = inv.settings
    return run(
        LiveOptions(
            settings=settings,
            ledger=str(inv.ledger_path(for_reading=True)),
            zone=zone(settings.report.tz or None),
            interfaces=interfaces,
        )
    )
