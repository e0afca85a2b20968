"""The launchd property list of the recorder (launchd.plist(5))."""

import plistlib
from pathlib import Path

from netusage.service.job import Job, Scope

LABEL = "org.netusage.recorder"


def plist(job: Job, *, home: Path) -> str:
    """The text of the property list; messages go to a log in the system's, or in the user's, Library."""
    logs = Path("/Library/Logs") if job.scope is Scope.SYSTEM else home / "Library" / "Logs"
    content = {
        "Label": LABEL,
        "ProgramArguments": list(job.argv),
        "RunAtLoad": True,
        "KeepAlive": True,
        # seconds between starts; the default of 10 would be 10 seconds unwatched
        "ThrottleInterval": 1,
        # seconds for the last reading and commit after SIGTERM
        "ExitTimeOut": 15,
        "Nice": 5,
        "Umask": 0o022,
        # "Background" would let the system delay the samples
        "ProcessType": "Standard",
        "StandardErrorPath": (logs / "netusage.log").as_posix(),
    }
    return plistlib.dumps(content, sort_keys=False).decode("utf-8")


def plist_path(scope: Scope, *, home: Path) -> Path:
    """Where the property list belongs."""
    library = Path("/Library") if scope is Scope.SYSTEM else home / "Library"
    return library / ("LaunchDaemons" if scope is Scope.SYSTEM else "LaunchAgents") / f"{LABEL}.plist"


def domain(scope: Scope, *, uid: int) -> str:
    """The launchd domain that the service lives in, as `launchctl bootstrap` wants it."""
    return "system" if scope is Scope.SYSTEM else f"gui/{uid}"
