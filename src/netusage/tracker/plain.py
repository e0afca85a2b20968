"""The tracker where nothing but psutil is installed: default settings, no command line."""

import os
import sys

from netusage.errors import ExitCode, NetusageError
from netusage.periods import zone
from netusage.settings.paths import default_ledger_path
from netusage.settings.schema import Settings
from netusage.tracker.track import TrackOptions, track


def track_with_defaults() -> ExitCode:
    """Track until Ctrl-C.

    Raises:
        NetusageError: the counters cannot be read, or the CSV file cannot be written.
    """
    try:
        ledger = str(default_ledger_path(for_reading=False))
    except NetusageError as error:
        sys.stderr.write(f"netusage: not recording, only showing and logging: {error}\n")
        ledger = None
    live = sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
    return track(TrackOptions(settings=Settings(), ledger=ledger, zone=zone(None), live=live))
