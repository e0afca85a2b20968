"""The recorder: reads the source on a steady grid, follows link events, commits to the ledger, stops cleanly."""

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from netusage.clock import Clock
from netusage.errors import (
    ExitCode,
    LedgerBusyError,
    LedgerCorruptError,
    LedgerError,
    NetusageError,
    SourceError,
)
from netusage.ledger.batch import Batch, Remembered
from netusage.model import NS, Counters, Gap, GapKind, Instant, Link, LinkEvent
from netusage.recorder.meter import Meter
from netusage.recorder.notify import Notifier, reloading
from netusage.recorder.rules import Rules
from netusage.recorder.shares import Shares
from netusage.recorder.waiting import Waiter
from netusage.sources.base import EventsLostError, Source, UnsettledError

EVENTS_APART_NS = 20_000_000  # a burst of link events is taken in one go
EVENT_COMMITS_APART_NS = 100_000_000
_NEVER = 1 << 63
_FIRST_TRIES = 10
_LAST_TRIES = 4
_DID_NOT_FIT = "a reading did not fit"


class Book(Protocol):
    """The part of the ledger that the recorder writes to (`netusage.ledger.writer.LedgerWriter`)."""

    def remember(self) -> Remembered:
        """What earlier recorders left."""
        ...

    def commit(self, batch: Batch) -> None:
        """Write all of it or nothing."""
        ...

    def wait_for_lock(self) -> None:
        """Be more patient: the next commit is the last one."""
        ...

    def replace(self, now_us: int) -> str:
        """Set a damaged file aside."""
        ...


@dataclass(frozen=True, slots=True)
class Timing:
    """When the recorder reads and commits, in nanoseconds."""

    sample_ns: int = NS
    commit_ns: int = 10 * NS
    commit_on_link_event: bool = True

    @property
    def longest_ns(self) -> int:
        """An interval longer than this is an estimated stretch."""
        return max(5 * NS, 3 * self.sample_ns)


class Recorder:
    """Joins a source to a ledger.

    Args:
        source: open, and to be closed by the caller.
        clock: all times.
        waiter: waits between readings, and hears signals.
        book: the ledger, or None to count without recording.
        timing, rules: from the configuration.
        say: takes one line for people, without a time.
        on_sample: called after every reading of the grid.
        reload: reads the configuration anew for SIGHUP; raises NetusageError when it is wrong.
        meter: counts; made by the caller so that it can be asked (`Meter.usage`).
        shares: what applications had of it; None where that is not known.
    """

    def __init__(
        self,
        source: Source,
        clock: Clock,
        waiter: Waiter,
        book: Book | None,
        meter: Meter,
        *,
        timing: Timing,
        say: Callable[[str], None],
        on_sample: Callable[[Instant], None] = lambda _: None,
        reload: Callable[[], tuple[Timing, Rules]] | None = None,
        notifier: Notifier | None = None,
        shares: Shares | None = None,
    ) -> None:
        self._source = source
        self._clock = clock
        self._waiter = waiter
        self._book = book
        self._meter = meter
        self._timing = timing
        self._say = say
        self._on_sample = on_sample
        self._reload = reload
        self._notifier = notifier or Notifier({})
        self._shares = shares
        self._troubles: dict[str, str] = {}
        self._needs_links = ""
        self._book_is_broken = False
        self._last_events_ns = 0
        self._commit_due_ns = 0
        self._hastened_ns = _NEVER  # a commit for link events, before it is due

    def now(self) -> Instant:
        """The present moment on the recorder's clock."""
        return self._clock.now()

    def run(self, *, until_ns: int | None = None) -> ExitCode:
        """Record until a signal (or CLOCK_BOOTTIME `until_ns`) asks to stop; the last reading is committed.

        Raises:
            SourceError: the very first reading failed.
        """
        remembered = self._book.remember() if self._book is not None else Remembered()
        links = self._first_links()
        at = self._clock.now()
        self._meter.widen(self._source.counter_bits)
        self._meter.start(at, links, remembered)
        if self._shares is not None:
            self._shares.begin(at, remembered, self._meter.epochs())
        self._commit(at)
        self._notifier.send("READY=1", "STATUS=recording")
        stop = self._loop(at, until_ns)
        self._notifier.send("STOPPING=1")
        if self._book is not None:
            self._book.wait_for_lock()
        at = self._last_round()
        self._on_sample(at)
        self._commit(at, ended="stopped")
        return stop

    def _loop(self, at: Instant, until_ns: int | None) -> ExitCode:
        due_ns = at.boot_ns + self._timing.sample_ns
        while True:
            now_ns = self._clock.now().boot_ns
            if until_ns is not None and now_ns >= until_ns:
                return ExitCode.OK
            target_ns = min(due_ns, self._hastened_ns)
            if until_ns is not None:
                target_ns = min(target_ns, until_ns)
            quiet_ns = self._last_events_ns + EVENTS_APART_NS - now_ns
            if quiet_ns > 0:  # let more events gather
                wake = self._waiter.wait(min(quiet_ns, target_ns - now_ns), None)
            else:
                wake = self._waiter.wait(target_ns - now_ns, self._fileno())
            if wake.stop is not None:
                return wake.stop
            if wake.reload:
                self._reload_settings()
            now = self._clock.now()
            now_ns = now.boot_ns
            due_ns = min(due_ns, now_ns + self._timing.sample_ns)  # it may be shorter now
            if now_ns >= due_ns:
                before, at = at, self._round(now)
                missed = (now_ns - due_ns) // self._timing.sample_ns
                due_ns += (missed + 1) * self._timing.sample_ns
                # the clocks are read one after the other: without sleep the difference may be below zero
                slept_ns = max((at.boot_ns - before.boot_ns) - (at.awake_ns - before.awake_ns), 0)
                self._meter.health.late_samples += max(missed - slept_ns // self._timing.sample_ns, 0)
                self._on_sample(at)
                self._notifier.alive(at.boot_ns // 1000)
            elif wake.events:
                at = self._round(now)
            if at.boot_ns >= self._commit_due_ns or self._is_hastened():
                self._commit(at)

    def _is_hastened(self) -> bool:
        """Whether it is time for the commit that link events asked for."""
        return self._hastened_ns < _NEVER and self._clock.now().boot_ns >= self._hastened_ns

    # Readings --------------------------------------------------------------------------------------------------

    def _round(self, at: Instant) -> Instant:
        """One reading now (`at`), then the events that wait; the order that the meter relies on."""
        health = self._meter.health
        health.samples += 1
        try:
            if self._needs_links:
                self._look_again(at)
            else:
                reading = self._source.read()
                self._meter.widen(self._source.counter_bits)
                events, lost = self._events()
                if lost:
                    self._needs_links = lost
                    self._look_again(at, events)
                elif self._meter.sample(at, reading, events):
                    self._needs_links = _DID_NOT_FIT
                if events:
                    self._saw_events(at)
        except UnsettledError:
            return at  # nothing is wrong: look again in the next round
        except SourceError as error:
            health.failed_samples += 1
            self._trouble("source", f"cannot read the counters: {error}")
            self._meter.source_failed(error.message)
            self._try_reopen()
            return at
        self._relieved("source", "the counters can be read again")
        if self._shares is not None:
            self._shares.look()
            if self._shares.is_due(at.wall_us):
                self._shares.collect(at.wall_us, self._meter.epochs())
        return at

    def _fileno(self) -> int | None:
        """The descriptor that tells of events; a source that could not be reopened yet has none."""
        try:
            return self._source.fileno()
        except SourceError:
            return None

    def _last_round(self) -> Instant:
        """The last reading: repeated while events make parts of it unusable."""
        for _ in range(_LAST_TRIES):
            at = self._round(self._clock.now())
            if self._last_events_ns != at.boot_ns and not self._needs_links:
                break
        return at

    def _first_links(self) -> list[tuple[Link, Counters]]:
        """All links, such that no event which is older than the list is left to be read after it."""
        for _ in range(_FIRST_TRIES):
            self._events()
            with contextlib.suppress(UnsettledError):
                links = self._source.links()
                if self._events() == ([], ""):
                    return links
        return self._source.links()

    def _look_again(self, at: Instant, events: Sequence[LinkEvent] = ()) -> None:
        """Take all links anew, because something about them was missed."""
        events = list(events)
        earlier: list[tuple[Link, Counters]] = []
        links: list[tuple[Link, Counters]] = []
        note = "" if self._needs_links == _DID_NOT_FIT else self._needs_links
        try:
            for _ in range(_FIRST_TRIES):
                earlier += links
                links = self._source.links()
                fresh, lost = self._events()
                events += fresh
                note = note or lost
                if not fresh and not lost:
                    break
        except SourceError:
            with contextlib.suppress(SourceError):  # the source may be closed
                events += self._events()[0]
            self._meter.follow(at, events)
            raise
        self._meter.widen(self._source.counter_bits)
        settled = not fresh and not lost
        again = self._meter.resync(at, links, events, note, earlier=earlier, settled=settled)
        self._needs_links = lost or (_DID_NOT_FIT if again else "")
        self._commit_due_ns = min(self._commit_due_ns, at.boot_ns)

    def _events(self) -> tuple[list[LinkEvent], str]:
        """Everything that waits; when the kernel dropped some, what was received, and what was said about it."""
        events: list[LinkEvent] = []
        try:
            while batch := self._source.events():
                events += batch
        except EventsLostError as error:
            self._say(f"{error.message}: declared as a gap")
            return events, error.message
        return events, ""

    def _try_reopen(self) -> None:
        try:
            self._source.reopen()
        except SourceError:
            return
        self._needs_links = "the source had to be opened anew"

    def _saw_events(self, at: Instant) -> None:
        """Let more of them gather before the next round, and commit soon."""
        self._last_events_ns = at.boot_ns
        if self._timing.commit_on_link_event:
            self._hastened_ns = min(self._hastened_ns, at.boot_ns + EVENT_COMMITS_APART_NS)

    # Commits -----------------------------------------------------------------------------------------------------

    def _commit(self, at: Instant, ended: str | None = None) -> None:
        self._commit_due_ns = at.boot_ns + self._timing.commit_ns
        self._hastened_ns = _NEVER
        if self._shares is not None:
            self._shares.collect(at.wall_us, self._meter.epochs())
        if self._book is None:
            self._committed()
            return
        health = self._meter.health
        begun_ns = self._clock.now().awake_ns
        try:
            self._write(self._book, at, ended)
        except LedgerError as error:
            health.failed_commits += 1
            self._trouble("ledger", f"{error}; counting goes on in memory")
            return
        took_us = (self._clock.now().awake_ns - begun_ns) // 1000
        health.commits += 1
        health.commit_total_us += took_us
        health.commit_max_us = max(health.commit_max_us, took_us)
        self._committed()
        self._relieved("ledger", "the ledger can be written again; nothing was lost")

    def _committed(self) -> None:
        self._meter.committed()
        if self._shares is not None:
            self._shares.committed()

    def _write(self, book: Book, at: Instant, ended: str | None) -> None:
        if not self._book_is_broken:
            try:
                book.commit(self._batch(ended))
            except LedgerBusyError:
                raise
            except LedgerCorruptError as error:
                self._book_is_broken = True
                self._say(f"{error.message}; setting it aside")
                self._meter.start_over()
            else:
                return
        aside = book.replace(at.wall_us)
        self._book_is_broken = False
        note = f"the record before this is in {aside}" if aside else "the ledger's file was removed"
        self._say(note)
        if self._shares is not None:
            self._shares.start_over()
        gap = Gap(at.wall_us, at.wall_us, GapKind.LEDGER, lossy=False, note=note)
        self._meter.declare(gap)
        book.commit(self._batch(ended))

    def _batch(self, ended: str | None) -> Batch:
        batch = self._meter.batch(ended)
        if self._shares is not None:
            self._shares.hand_over(batch)
        return batch

    # Settings and messages ---------------------------------------------------------------------------------------

    def _reload_settings(self) -> None:
        if self._reload is None:
            return
        self._notifier.send(*reloading(self._clock.now().awake_ns))
        try:
            self._timing, rules = self._reload()
        except NetusageError as error:
            self._say(f"keeping the present configuration: {error}")
        else:
            self._meter.adapt(rules)
            latest_ns = self._clock.now().boot_ns + self._timing.commit_ns
            self._commit_due_ns = min(self._commit_due_ns, latest_ns)
            self._say("configuration reloaded")
        self._notifier.send("READY=1")

    def _trouble(self, about: str, message: str) -> None:
        """Say it once, and again when it changes."""
        if self._troubles.get(about) != message:
            self._troubles[about] = message
            self._say(message)
            self._notifier.send(f"STATUS={message}")

    def _relieved(self, about: str, message: str) -> None:
        if self._troubles.pop(about, None) is not None:
            self._say(message)
            self._notifier.send("STATUS=recording")
