"""Checks of deliveries to a fleet: whether somebody delivers, what became of it, and who could read what lets it in."""

import os
import stat
import time
from collections.abc import Iterator
from importlib.util import find_spec

from netusage.doctor.findings import Finding, Verdict
from netusage.errors import NetusageError
from netusage.ledger import lock, ship_journal
from netusage.ledger.ship_journal import State
from netusage.model import US
from netusage.settings.schema import FleetSettings, Settings
from netusage.units import format_duration

_ABOUT = "fleet"
_LATE = 3  # intervals without a delivery


def check_fleet(settings: Settings, ledger: str) -> Iterator[Finding]:
    """Look at what is configured and what became of it; asks no server, changes nothing."""
    fleet = settings.fleet
    if not fleet.url:
        return
    if find_spec("httpx") is None:
        found = "the package httpx is missing, which delivers to it"
        yield Finding(_ABOUT, Verdict.PROBLEM, found, "pip install 'netusage[fleet]'")
    yield from _check_file(fleet.password_file, "fleet.password_file")
    yield from _check_file(fleet.token_file, "fleet.token_file")
    yield from _check_file(fleet.token_file, "fleet.token_file")
    yield from _check_file(fleet.key or fleet.certificate, "fleet.key" if fleet.key else "fleet.certificate")
    yield _check_deliverer(ledger)
    try:
        states = ship_journal.states(ledger)
    except NetusageError as error:
        yield Finding(_ABOUT, Verdict.PROBLEM, error.message, error.hint)
        return
    yield from (_check_state(one, fleet.interval_us) for one in states if _is_of(one, fleet))


def _check_file(path: str, key: str) -> Iterator[Finding]:
    """A file that nobody else should read."""
    if not path:
        return
    try:
        mode = os.stat(path).st_mode
    except OSError as error:
        yield Finding(_ABOUT, Verdict.PROBLEM, f"{path}: {error.strerror}", f"it is named by {key}")
        return
    if os.name == "posix" and mode & (stat.S_IRGRP | stat.S_IROTH):
        yield Finding(_ABOUT, Verdict.NOTE, f"{path} can be read by others", f"chmod 600 {path}")


def _check_deliverer(ledger: str) -> Finding:
    holder = ship_journal.deliverer(ledger)
    if holder is not None:
        return Finding(_ABOUT, Verdict.OK, f"delivered to by process {holder.pid}")
    if lock.holder(ledger) is None:
        return Finding(
            _ABOUT, Verdict.NOTE, "nothing is delivered, since no recorder runs", "netusage daemon"
        )
    return Finding(
        _ABOUT,
        Verdict.PROBLEM,
        "nothing is delivered, though a recorder runs",
        "netusage daemon does so, netusage track does not: netusage ship",
    )


def _is_of(state: State, fleet: FleetSettings) -> bool:
    return (state.url, state.base) == (fleet.url.rstrip("/"), fleet.database)


def _check_state(state: State, interval_us: int) -> Finding:
    last, ago_us = "nothing was ever delivered", 0
    if state.arrived_us:
        ago_us = max(time.time_ns() // 1000 - state.arrived_us, 0) // US * US
        last = f"the last delivery was {format_duration(ago_us, parts=2)} ago"
    if not state.error and ago_us > _LATE * interval_us:
        found = f"{last}, which is to happen every {format_duration(interval_us, parts=2)}: the fleet is as far behind"
        return Finding(_ABOUT, Verdict.NOTE, found, "see why with: netusage ship --once")
    if not state.error:
        return Finding(_ABOUT, Verdict.OK, last)
    times = f"{state.failures} failures since" if state.failures > 1 else "it failed since"
    return Finding(
        _ABOUT, Verdict.PROBLEM, f"{last}, {times}: {state.error}", "see with: netusage ship --once"
    )
