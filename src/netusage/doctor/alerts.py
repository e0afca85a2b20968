"""Checks of alerts: whether somebody watches, and whether those who are to be told are reached."""

import os
import stat
import time
from collections.abc import Iterator
from importlib.util import find_spec

from netusage.doctor.findings import Finding, Verdict
from netusage.errors import NetusageError, NoDataError
from netusage.ledger import lock
from netusage.ledger.alert_journal import journal_path
from netusage.ledger.alert_log import TransportState, transports, watcher
from netusage.model import US
from netusage.settings.schema import Settings
from netusage.settings.secrets import names_of
from netusage.units import format_duration

_ABOUT = "alerts"


def check_alerts(settings: Settings, ledger: str) -> Iterator[Finding]:
    """Look at what is configured and what became of it; sends nothing, changes nothing."""
    alerts = settings.alerts
    if not settings.wants_alerts:
        if settings.plan:
            found = "nobody is told when a plan's thresholds are reached"
            yield Finding(_ABOUT, Verdict.NOTE, found, "say whom to tell in [alerts]: netusage alerts --help")
        return
    if (alerts.to or alerts.to_file) and find_spec("apprise") is None:
        yield Finding(
            _ABOUT,
            Verdict.PROBLEM,
            "the package apprise is missing, which delivers them",
            "pip install 'netusage[alerts]'",
        )
    if alerts.to_file:
        yield from _check_file(alerts.to_file)
    if settings.unwatched_plans:
        found = (
            f"nobody is told of plans about hosts of the fleet: {', '.join(settings.unwatched_plans)}, as this machine's "
            "ledger is watched alone"
        )
        yield Finding(_ABOUT, Verdict.NOTE, found, "netusage plan check, run by a timer")
    path = journal_path(ledger, alerts.journal)
    yield _check_watcher(ledger, path)
    try:
        states = transports(path)
    except NoDataError:
        return
    except NetusageError as error:
        yield Finding(_ABOUT, Verdict.PROBLEM, error.message, error.hint)
        return
    configured = {
        *names_of(alerts.to),
        *([f"command {os.path.basename(alerts.command[0])}"] if alerts.command else []),
    }
    for state in states:
        yield from _check_transport(state, known=bool(alerts.to_file) or state.transport in configured)


def _check_file(path: str) -> Iterator[Finding]:
    try:
        mode = os.stat(path).st_mode
    except OSError as error:
        yield Finding(_ABOUT, Verdict.PROBLEM, f"{path}: {error.strerror}", "it is named by alerts.to_file")
        return
    if os.name == "posix" and mode & (stat.S_IRGRP | stat.S_IROTH):
        yield Finding(_ABOUT, Verdict.NOTE, f"{path} can be read by others", f"chmod 600 {path}")


def _check_watcher(ledger: str, path: str) -> Finding:
    holder = watcher(path)
    if holder is not None:
        return Finding(_ABOUT, Verdict.OK, f"watched for by process {holder.pid}")
    if lock.holder(ledger) is None:
        return Finding(_ABOUT, Verdict.NOTE, "not watched for, since no recorder runs", "netusage daemon")
    return Finding(
        _ABOUT,
        Verdict.PROBLEM,
        "not watched for, though a recorder runs",
        "netusage daemon does so, netusage track does not: netusage alerts watch",
    )


def _check_transport(state: TransportState, *, known: bool) -> Iterator[Finding]:
    name, waiting, attempts, delivered_us, error = state
    if not waiting:
        return
    last = "nothing was ever delivered"
    if delivered_us is not None:
        ago_us = max(time.time_ns() // 1000 - delivered_us, 0) // US * US
        last = f"the last one was delivered {format_duration(ago_us, parts=2)} ago"
    found = f"{name}: {waiting} waiting, {last}"
    if not known:
        yield Finding(_ABOUT, Verdict.NOTE, f"{found}; it is configured no more", "netusage alerts --waiting")
    elif attempts:
        yield Finding(_ABOUT, Verdict.PROBLEM, f"{found}: {error}", "netusage alerts test")
    else:
        yield Finding(_ABOUT, Verdict.OK, found)
