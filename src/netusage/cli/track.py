"""netusage track: the tracker in the foreground."""

import os
import sys

import click

from netusage.cli import options
from netusage.cli.context import Invocation, pass_invocation
from netusage.errors import ExitCode


@options.command(
    "track",
    examples=[
        ("netusage track", "show, log and record until Ctrl-C"),
        ("netusage track --for 10m --interval 5s", "ten minutes, a line every five seconds"),
        ("netusage track --interface 'wl*' --no-csv", "only wireless interfaces, no CSV files"),
    ],
)
@options.setting_option(
    "--interval",
    key="track.interval",
    metavar="DURATION",
    help="Time between two logged lines, as in 5s or 1m.",
)
@click.option(
    "--for", "run_for", metavar="DURATION", help="Stop after this time, as in 10m; without it: at Ctrl-C."
)
@options.setting_option(
    "--csv",
    key="track.csv_directory",
    metavar="DIR",
    help="Directory of the daily CSV files (default: here).",
)
@options.setting_option("--no-csv", key="track.csv", value=False, help="Write no CSV files.")
@click.option(
    "--interface",
    "interfaces",
    metavar="GLOB",
    multiple=True,
    help="Add up only these interfaces, as in eth0 or 'wl*'; may be repeated.",
)
@options.setting_option(
    "--applications",
    key="recorder.applications",
    help="How applications are told apart; auto: the best that works here.",
)
@options.ledger_options
@options.unit_options
@options.zone_option
@pass_invocation
def command(inv: Invocation, run_for: str | None, interfaces: tuple[str, ...]) -> ExitCode:
    """Track network usage here and now, with a log and a daily CSV.

    Shows bytes sent and received since the start, logs a line every minute to the console and to
    network_usage_YYYY-MM-DD.csv, and records into the ledger unless a recorder is doing so already. Ctrl-C writes
    the last row and prints a summary.
    """
    from netusage.errors import UsageError
    from netusage.periods import zone
    from netusage.render.context import can_animate
    from netusage.tracker.track import TrackOptions, track
    from netusage.units import parse_duration

    run_for_us = None if run_for is None else parse_duration(run_for)
    if run_for_us == 0:
        raise UsageError("--for 0 would stop before it began", hint="give a time such as 10m")
    settings = inv.settings
    return track(
        TrackOptions(
            settings=settings,
            ledger=str(inv.ledger_path(for_reading=False)),
            zone=zone(settings.report.tz or None),
            run_for_us=run_for_us,
            interfaces=interfaces,
            live=can_animate(sys.stdout, os.environ),
            reload=lambda: inv.reload().settings,
        )
    )
