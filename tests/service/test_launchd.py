"""The launchd property list."""

import plistlib
from pathlib import Path

from netusage.service.job import Job, Scope
from netusage.service.launchd import LABEL, domain, plist, plist_path

HOME = Path("/Users/me")


def read(job):
    return plistlib.loads(plist(job, home=HOME).encode())


def test_the_recorder_is_started_at_load_and_kept_alive():
    found = read(Job(("/opt/a b/netusage",), Scope.SYSTEM, ledger=Path("/x & y.db"), name_ledger=True))
    assert found["Label"] == LABEL
    assert found["ProgramArguments"] == ["/opt/a b/netusage", "daemon", "--db", "/x & y.db"]
    assert found["RunAtLoad"] is True
    assert found["KeepAlive"] is True
    assert found["ExitTimeOut"] == 15
    assert found["Umask"] == 0o022


def test_messages_go_to_the_log_directory_of_system_or_user():
    assert read(Job(("/x",), Scope.SYSTEM))["StandardErrorPath"] == "/Library/Logs/netusage.log"
    assert read(Job(("/x",), Scope.USER))["StandardErrorPath"] == "/Users/me/Library/Logs/netusage.log"


def test_daemons_and_agents_lie_where_launchd_looks():
    assert plist_path(Scope.SYSTEM, home=HOME) == Path(f"/Library/LaunchDaemons/{LABEL}.plist")
    assert plist_path(Scope.USER, home=HOME) == HOME / "Library/LaunchAgents" / f"{LABEL}.plist"
    assert domain(Scope.SYSTEM, uid=501) == "system"
    assert domain(Scope.USER, uid=501) == "gui/501"
