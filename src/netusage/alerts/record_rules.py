"""What is worth telling of the record itself: gaps, silence, trouble with the ledger; pure functions, as `alerts.rules`."""

from collections.abc import Iterable
from typing import NamedTuple

from netusage.alerts.words import Judgement, Kind, Memory, Words
from netusage.ledger.alert_journal import Alert
from netusage.ledger.answers import GapRecord
from netusage.model import US, GapKind
from netusage.render.cells import safe

LITTLE_SPACE_BYTES = 100_000_000
_COMMITS_TOLD = 3  # a ledger that is locked for a moment is no trouble
_WHY = {
    GapKind.STOPPED: "the recorder was stopped",
    GapKind.KILLED: "the recorder ended without a last commit",
    GapKind.REBOOT: "the machine was started anew",
    GapKind.SUSPEND: "the machine slept",
    GapKind.STALLED: "the recorder could not read in time",
    GapKind.SOURCE: "the counters could not be read",
    GapKind.EVENTS_LOST: "the kernel dropped link events",
    GapKind.VANISHED: "the interface went away and its last counters were not seen",
    GapKind.RESET: "a counter was set back",
    GapKind.LEDGER: "the ledger was set aside",
}


class GapSeen(NamedTuple):
    """A gap of the ledger, by its number, and whether it is one of the machine's total."""

    id: int
    gap: GapRecord
    counted: bool


def gaps(seen: Iterable[GapSeen], identity: str, longest_us: int, now_us: int, words: Words) -> list[Alert]:
    """Gaps with loss, and those that are longer than a pause may be; all others are only logged.

    That the machine slept is no fault of the recording, and interfaces that are not in the machine's total come and go
    by the hundred.
    """
    alerts = []
    for number, gap, counted in seen:
        length_us = gap.end_us - gap.start_us
        long = length_us > longest_us and gap.kind != GapKind.SUSPEND
        why = _WHY.get(GapKind(gap.kind), gap.kind) if gap.kind in set(GapKind) else gap.kind
        of = f" of {safe(gap.interface)}" if gap.interface else ""
        lost = "bytes may be missing" if gap.lossy else "no byte is missing"
        when = f"from {words.moment(gap.start_us)} to {words.moment(gap.end_us)}"
        if length_us < US:
            when = f"at {words.moment(gap.start_us)}"
        note = f" ({safe(gap.note)})" if gap.note else ""
        details = {
            "kind": gap.kind,
            "start": words.iso(gap.start_us),
            "end": words.iso(gap.end_us),
            "lossy": gap.lossy,
            "interface": gap.interface,
            "note": gap.note,
        }
        kind = Kind.LEDGER if gap.kind == GapKind.LEDGER else Kind.GAP
        subject = "the ledger was set aside" if kind is Kind.LEDGER else f"gap in the record{of}: {why}"
        text = f"The record{of} has a gap {when}: {why}; {lost}{note}."
        loud = (gap.lossy and counted) or long or kind is Kind.LEDGER
        alerts.append(Alert(f"gap/{identity}/{number}", kind, now_us, subject, text, details, not loud))
    return alerts


class RecorderSeen(NamedTuple):
    """The last recorder of a ledger.

    run: its number, and the ledger's identity, as one text.
    last_us: its last commit. running: it holds the ledger.
    ended: it stopped by itself.
    unchanged_us: for how long the watcher has seen no commit while the machine was awake, microseconds.
    failed_commits: since it started.
    """

    run: str
    last_us: int
    running: bool
    ended: bool
    unchanged_us: int
    failed_commits: int


def silence(seen: RecorderSeen, longest_us: int, now_us: int, words: Words) -> list[Alert]:
    """Nothing was recorded for longer than a pause may be: once for each last commit."""
    if seen.unchanged_us <= longest_us:
        return []
    why = "a recorder runs, but cannot commit" if seen.running else "no recorder is running"
    if not seen.running:
        why += ": it was stopped" if seen.ended else ": it was killed or lost power"
    since = words.moment(seen.last_us)
    text = f"The last commit was at {since}; {why}."
    subject = f"nothing has been recorded since {since[:16]}"
    details = {"last_commit": words.iso(seen.last_us), "running": seen.running}
    return [Alert(f"silence/{seen.run}/{seen.last_us}", Kind.SILENCE, now_us, subject, text, details)]


def commits(seen: RecorderSeen, memory: Memory, now_us: int) -> Judgement:
    """Commits that failed: told when there are three more, since one may find the ledger locked for a moment."""
    if memory.get("run") != seen.run:
        memory = {"run": seen.run, "told": 0}
    more = seen.failed_commits - memory["told"]
    if more < _COMMITS_TOLD:
        return Judgement([], memory)
    text = f"{more} commits failed, {seen.failed_commits} since the recorder started; it counted on in memory, and nothing was lost."
    details = {"failed_commits": seen.failed_commits, "more": more}
    key = f"commits/{seen.run}/{seen.failed_commits}"
    alert = Alert(key, Kind.LEDGER, now_us, f"{more} commits into the ledger failed", text, details)
    return Judgement([alert], {"run": seen.run, "told": seen.failed_commits})


def damage(why: str | None, memory: Memory, now_us: int) -> Judgement:
    """The ledger cannot be read because it is damaged: once until it can be read again. `why` is None when it can."""
    if why is None:
        return Judgement([], {})
    if memory.get("told"):
        return Judgement([], memory)
    alert = Alert(
        f"damage/{now_us}", Kind.LEDGER, now_us, "the ledger is damaged", f"{safe(why)}.", {"why": why}
    )
    return Judgement([alert], {"told": True})


def space(free_bytes: int, memory: Memory, now_us: int, words: Words) -> Judgement:
    """The ledger's disk is nearly full: once until twice as much is free again."""
    if free_bytes >= LITTLE_SPACE_BYTES * (2 if memory.get("told") else 1):
        return Judgement([], {})
    if memory.get("told"):
        return Judgement([], memory)
    free = words.bytes(free_bytes)
    text = f"{free} are free where the ledger is; when it is full, the recorder counts on in memory, and loses that when it ends."
    details = {"free_bytes": free_bytes}
    alert = Alert(f"space/{now_us}", Kind.LEDGER, now_us, f"{free} left for the ledger", text, details)
    return Judgement([alert], {"told": True})
