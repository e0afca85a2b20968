"""Checks of the record: the ledger's file, the recorder and its health, what was declared lost lately."""

import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from netusage.doctor.findings import Finding, Verdict
from netusage.errors import NetusageError, NoDataError
from netusage.ledger.answers import RunRecord
from netusage.ledger.reader import LedgerReader
from netusage.model import US
from netusage.units import Units, format_bytes, format_duration

_LITTLE_SPACE_BYTES = 100_000_000
_LATELY_US = 7 * 86400 * US


def check_record(path: Path, units: Units) -> Iterator[Finding]:
    """Look at the ledger and its recorder; changes nothing."""
    try:
        with LedgerReader(str(path)) as reader:
            yield _check_file(path, units)
            yield from _check_recorder(reader)
            yield _check_gaps(reader)
    except NoDataError as error:
        yield Finding("ledger", Verdict.NOTE, error.message, "netusage daemon, or netusage service install")
    except NetusageError as error:
        yield Finding("ledger", Verdict.PROBLEM, error.message, error.hint)


def _check_file(path: Path, units: Units) -> Finding:
    free = shutil.disk_usage(path.parent).free
    size = sum(
        Path(f"{path}{part}").stat().st_size for part in ("", "-wal") if Path(f"{path}{part}").exists()
    )
    found = f"{path}: {format_bytes(size, units)}, {format_bytes(free, units)} free"
    if free < _LITTLE_SPACE_BYTES:
        return Finding("ledger", Verdict.PROBLEM, found, "make room: a full disk makes the recorder wait")
    if not os.access(path, os.W_OK):
        return Finding("ledger", Verdict.OK, f"{found}; readable, not writable, for you")
    return Finding("ledger", Verdict.OK, found)


def _check_recorder(reader: LedgerReader) -> Iterator[Finding]:
    state = reader.recorder()
    run = state.last_run
    if state.holder is None:
        ended = "was killed or lost power" if run is not None and run.ended is None else "stopped"
        last = f"; the last one {ended} {_passed(run.last_us)} ago" if run is not None else ""
        yield Finding(
            "recorder",
            Verdict.PROBLEM,
            f"none is running{last}",
            "netusage service install, or netusage daemon",
        )
        return
    if run is None:
        yield Finding("recorder", Verdict.OK, f"process {state.holder.pid} has just started")
        return
    since, committed = _passed(run.started_us), _passed(run.last_us)
    told = f"process {state.holder.pid}, for {since}; last commit {committed} ago"
    yield Finding("recorder", Verdict.OK, told)
    yield _check_health(run)


def _check_health(run: RunRecord) -> Finding:
    mean_us = run.commit_total_us // run.commits if run.commits else 0
    found = (
        f"{run.samples} samples, {run.failed_samples} failed, {run.late_samples} late; {run.commits} commits, "
        f"{run.failed_commits} failed, {mean_us / 1000:.1f} ms on average, {run.commit_max_us / 1000:.1f} ms at most"
    )
    if run.failed_samples or run.failed_commits:
        return Finding(
            "health", Verdict.NOTE, found, "see the recorder's messages; nothing is lost by itself"
        )
    if run.late_samples * 100 > run.samples:
        return Finding(
            "health", Verdict.NOTE, found, "the machine is busy: single seconds are merged, no byte is lost"
        )
    return Finding("health", Verdict.OK, found)


def _check_gaps(reader: LedgerReader) -> Finding:
    now_us = time.time_ns() // 1000
    gaps = reader.gaps(now_us - _LATELY_US, now_us)
    lossy = [gap for gap in gaps if gap.lossy]
    found = f"{len(gaps)} in the last seven days, {len(lossy)} of them with bytes that cannot be known"
    return Finding("gaps", Verdict.NOTE if lossy else Verdict.OK, found, "netusage verify" if lossy else "")


def _passed(since_us: int) -> str:
    """How long ago that was, in words."""
    passed_us = max(time.time_ns() // 1000 - since_us, 0) // US * US
    return format_duration(passed_us, parts=2)
