"""Puts a recorder together out of the configuration, and takes it apart again."""

import contextlib
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from netusage.clock import SystemClock
from netusage.errors import LedgerError, SourceError
from netusage.ledger.batch import Epoch
from netusage.ledger.folding import Shipped
from netusage.ledger.writer import LedgerWriter
from netusage.model import Counters, Gap, GapKind, Instant, Link, Place
from netusage.recorder.loop import Recorder, Timing
from netusage.recorder.meter import Meter
from netusage.recorder.notify import Notifier
from netusage.recorder.rules import Rules
from netusage.recorder.shares import Names, Shares, Use
from netusage.recorder.waiting import SignalWaiter, ThreadWaiter
from netusage.settings.schema import Settings
from netusage.sources.base import Source
from netusage.sources.choose import open_source

if TYPE_CHECKING:
    from netusage.sources.applications.base import Tier


@dataclass(frozen=True, slots=True)
class Session:
    """A recorder that is ready to run.

    Attributes:
        recorder: call its `run`.
        meter: counts; ask its `usage`.
        source: where the numbers come from.
        ledger: the file that is recorded into, None when nothing is recorded.
        not_recording: why nothing is recorded, None when it is.
        tier: how applications are told from one another; "" where they are not.
        lasts: they are counted on in the kernel when the session is over.
        applications: what each had since the session began.
    """

    recorder: Recorder
    meter: Meter
    source: Source
    ledger: str | None
    not_recording: LedgerError | None
    tier: str
    lasts: bool
    applications: Mapping[Use, Counters]


@contextlib.contextmanager
def open_session(
    settings: Settings,
    ledger: str | None,
    *,
    say: Callable[[str], None],
    reload: Callable[[], Settings],
    must_record: bool,
    selected: Callable[[Link], bool] | None = None,
    on_sample: Callable[[Session, Instant], None] = lambda _session, _at: None,
    waiter: ThreadWaiter | None = None,
) -> Iterator[Session]:
    """Open source, ledger and signals; close them at the end.

    Args:
        settings: the configuration in force.
        ledger: the file to record into, None for none.
        say: takes one line for people.
        reload: reads the configuration anew.
        must_record: a ledger that cannot be had is an error; otherwise counting goes on without it.
        selected: the interfaces that `Meter.usage` adds up; the machine's total when None.
        on_sample: called after every reading of the grid.
        waiter: waits instead of one that hears signals, which only the main thread can.

    Raises:
        SourceError: no source works here.
        LedgerError: the ledger cannot be had, and must be.
    """
    clock = SystemClock()
    source, why = open_source(settings.source.kind)
    with contextlib.closing(source):
        if source.name == "psutil" and sys.platform == "linux" and settings.source.kind == "auto":
            say(why)
        place = source.place()
        opened = clock.now()
        aside: Gap | None = None
        in_force = [settings]

        def shipped(identity: str) -> int | None:
            return _shipped(in_force[0], ledger, identity)

        book, trouble = _open_book(
            ledger, place, settings, opened, source.name, must_record=must_record, shipped=shipped
        )
        with contextlib.ExitStack() as stack:
            waits: SignalWaiter | ThreadWaiter = waiter or SignalWaiter()
            stack.enter_context(waits)
            if book is not None:
                stack.callback(book.close)
                if isinstance(waits, SignalWaiter):
                    waits.hurry = book.interrupt
                if book.set_aside_to:
                    say(f"the ledger was damaged; it is now {book.set_aside_to}, and a new one was begun")
                    note = (
                        f"the record before this is in {book.set_aside_to}; what came after it is not known"
                    )
                    aside = Gap(opened.wall_us, opened.wall_us, GapKind.LEDGER, lossy=True, note=note)
            timing, rules = timing_and_rules(settings, source)
            meter = Meter(place, rules, life_of=source.life, selected=selected)
            if aside is not None:
                meter.declare(aside)

            shares = None
            if book is not None or not must_record:
                in_total = None if must_record else partial(_is_in_total, selected)
                shares = _open_shares(settings, stack, say, in_total)

            def reloaded() -> tuple[Timing, Rules]:
                in_force[0] = reload()
                return timing_and_rules(in_force[0], source)

            recorder = Recorder(
                source,
                clock,
                waits,
                book,
                meter,
                timing=timing,
                say=say,
                on_sample=lambda at: on_sample(session, at),
                reload=reloaded,
                notifier=Notifier(),
                shares=shares,
            )
            session = Session(
                recorder,
                meter,
                source,
                ledger if book is not None else None,
                trouble,
                shares.tier if shares is not None else "",
                shares is not None and shares.lasts,
                shares.usage if shares is not None else {},
            )
            yield session


def timing_and_rules(settings: Settings, source: Source) -> tuple[Timing, Rules]:
    """What the configuration says about counting."""
    recorder = settings.recorder
    timing = Timing(
        sample_ns=recorder.sample_interval_us * 1000,
        commit_ns=recorder.commit_interval_us * 1000,
        commit_on_link_event=recorder.commit_on_link_event,
    )
    rules = Rules(
        sample_ns=timing.sample_ns,
        longest_ns=timing.longest_ns,
        counter_bits=source.counter_bits,
        has_events=source.fileno() is not None,
        count_since_boot=recorder.count_since_boot,
        counted=tuple(settings.interfaces.counted),
        not_counted=tuple(settings.interfaces.not_counted),
    )
    return timing, rules


def _is_in_total(selected: Callable[[Link], bool] | None, epoch: Epoch) -> bool:
    """Whether an interface is one of those that the session adds up."""
    return epoch.counted if selected is None else selected(epoch.link)


def _open_shares(
    settings: Settings,
    stack: contextlib.ExitStack,
    say: Callable[[str], None],
    in_total: Callable[[Epoch], bool] | None,
) -> Shares | None:
    """What counts by application, where that is asked for and can be had; closed by the stack."""
    wanted, pins = settings.recorder.applications, settings.recorder.pins_directory
    if wanted == "off" or (wanted == "auto" and sys.platform != "linux"):
        return None
    from netusage.sources.applications.choose import open_applications  # noqa: PLC0415  # some do without
    from netusage.sources.applications.kernel import netns_cookie  # noqa: PLC0415  # as above

    noted: set[str] = set()

    def opened(anew: bool) -> "tuple[Tier, Names]":
        found = open_applications(wanted, pins, anew=anew)
        notes = [*found.notes]
        if found.refused and in_total is None:  # the tracker names the tier by itself
            why = next(iter(found.refused.values()))
            notes.append(f"{why}; applications are told apart by {found.source.tier} instead")
        for note in notes:
            if note not in noted:
                noted.add(note)
                say(note)
        return found.source, found.names

    try:
        shares = Shares(opened, netns_cookie(), say, in_total)
    except SourceError as error:
        say(f"{error}; interfaces are recorded without applications")
        return None
    stack.callback(shares.close)
    return shares


def _local_day(at_s: int, tz: str) -> tuple[int, int]:
    """From when to when the day lasts that reports have for a time, UTC seconds."""
    from netusage.periods import PeriodKind, periods, zone  # noqa: PLC0415  # days are made after a year

    day = periods(PeriodKind.DAY, at_s, at_s + 1, zone(tz or None))[0]
    return day.start_s, day.end_s


def _shipped(settings: Settings, ledger: str | None, identity: str) -> int | None:
    """Up to which change number the ledger was delivered, where it is delivered to a fleet; looked up as it is asked."""
    if ledger is None or not settings.fleet.url:
        return None
    from netusage.ledger import ship_journal  # noqa: PLC0415  # most people have no fleet

    return ship_journal.shipped(ledger, settings.fleet.url, settings.fleet.database, identity)


def _open_book(
    ledger: str | None,
    place: Place,
    settings: Settings,
    now: Instant,
    source: str,
    *,
    must_record: bool,
    shipped: Shipped,
) -> tuple[LedgerWriter | None, LedgerError | None]:
    if ledger is None:
        return None, None
    try:
        book = LedgerWriter(
            ledger,
            place,
            boot_us=now.wall_us - now.boot_ns // 1000,
            now_us=now.wall_us,
            source=source,
            minutes_kept_s=settings.recorder.minutes_kept_days * 86400,
            other_below_ppm=settings.recorder.other_below_ppm,
            quarters_kept_s=settings.recorder.quarters_kept_days * 86400,
            day_of=lambda at_s: _local_day(at_s, settings.report.tz),
            shipped=shipped,
        )
    except LedgerError as error:
        if must_record:
            raise
        return None, error
    return book, None
