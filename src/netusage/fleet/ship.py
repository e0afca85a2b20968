"""Delivering in a process of its own, beside the recorder or alone: in a slot of each interval, again after a failure.

Hosts have slots of their own, so that a fleet's come one after the other. A delivery goes on in a thread, since a store
may let one wait: whoever is to end ends at once, for what has arrived is noted, and the rest is sent again.
"""

from __future__ import annotations

import contextlib
import hashlib
import random
import re
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from netusage import __version__
from netusage.clock import Clock, SystemClock, machine_id
from netusage.errors import ConfigError, ExitCode, FleetError, LedgerHeldError, NetusageError, NoDataError
from netusage.fleet.deliver import Delivered, Delivery, Target
from netusage.ledger import ship_journal
from netusage.ledger.ship_journal import ShipJournal
from netusage.model import NS
from netusage.recorder.beside import Beside
from netusage.recorder.waiting import Bell

if TYPE_CHECKING:
    from netusage.ledger.lock import Hold
    from netusage.settings.schema import FleetSettings, Settings

_FIRST_PART = 60  # the first delivery comes within this part of an interval
_FIRST_DELAY_NS = 5 * NS  # after a failure; doubled with each, up to the interval
_JITTER_PART = 50  # of the interval
_VARIES = re.compile(r"\S*[\d/]\S*")
_LAST_S = 2.0  # for what is being sent when it ends

Opened = Callable[["FleetSettings"], AbstractContextManager[Target]]


def open_store(settings: FleetSettings) -> AbstractContextManager[Target]:
    """The store that the configuration names.

    Raises:
        ConfigError: its files cannot be read.
        FleetError: httpx is not installed.
    """
    try:
        from netusage.fleet.store import Store, address_of  # noqa: PLC0415  # it is not asked before its time

        return Store(address_of(settings))
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "httpx":
            raise
        raise FleetError("a fleet needs the package httpx", hint="pip install 'netusage[fleet]'") from error


@dataclass(frozen=True, slots=True)
class ShipOptions:
    """What is asked of the one who delivers.

    settings: the configuration in force; reload: reads it anew.
    ledger: the file that is delivered.
    say: takes one line for people.
    with_recorder: it belongs to a recorder: it ends when standard input does, and waits while somebody else delivers.
    opened: opens the store.
    """

    settings: Settings
    reload: Callable[[], Settings]
    ledger: str
    say: Callable[[str], None]
    with_recorder: bool = False
    opened: Opened = open_store


def ship_once(options: ShipOptions, clock: Clock | None = None) -> Delivered:
    """One delivery, now.

    Raises:
        ConfigError: no fleet is configured, or its files cannot be read.
        LedgerHeldError: somebody else delivers.
        NoDataError: nothing has been recorded yet.
        LedgerError, FleetError: it failed.
    """
    check(options.settings)
    clock = clock or SystemClock()
    held = _hold(options.ledger, clock)
    try:
        return _deliver(options, options.settings.fleet, clock, threading.Event())
    finally:
        held.release()


def ship(options: ShipOptions, clock: Clock | None = None) -> ExitCode:
    """Deliver until a signal, or the end of the recorder, asks to stop.

    Raises:
        ConfigError: no fleet is configured.
        LedgerHeldError: somebody else delivers, and there is no recorder to wait for.
    """
    check(options.settings)
    clock = clock or SystemClock()
    with Beside(clock, options.say, with_recorder=options.with_recorder) as beside:
        held = beside.held(lambda: _hold(options.ledger, clock))
        if held is None:
            return beside.code
        shipper = Shipper(options, clock, beside.bell)
        try:
            if not options.with_recorder:
                options.say(f"delivering {options.ledger} to {options.settings.fleet.url}")
            return beside.run(shipper.turn, shipper.reload)
        finally:
            shipper.end(_LAST_S)
            held.release()


def check(settings: Settings) -> None:
    """Refuse where no fleet is configured.

    Raises:
        ConfigError: so it is.
    """
    if not settings.fleet.url:
        raise ConfigError(
            "the configuration names no fleet",
            hint='in [fleet], write e.g. url = "https://fleet.example.org:8443"',
        )


class Shipper:
    """Delivers when it is time.

    Args:
        options: see there.
        clock: all times.
        bell: rung when a delivery is over.
        dice: jitter.
    """

    def __init__(
        self, options: ShipOptions, clock: Clock, bell: Bell, dice: random.Random | None = None
    ) -> None:
        self._options, self._clock, self._bell = options, clock, bell
        self._dice = dice or random.Random()  # noqa: S311  # hosts are to be spread, nothing is to be kept secret
        self._settings = options.settings.fleet
        self._running: _Running | None = None
        self._said = ""
        first_ns = self._settings.interval_us * 1000 // _FIRST_PART
        self._due_ns = clock.now().boot_ns + int(self._dice.uniform(0, first_ns))

    @property
    def is_sending(self) -> bool:
        """Whether a delivery goes on."""
        return self._running is not None

    def turn(self) -> int:
        """Do what is due.

        Returns:
            When something is due again, nanoseconds of CLOCK_BOOTTIME.
        """
        now = self._clock.now()
        if self._running is not None and self._running.is_over:
            running, self._running = self._running, None
            self._take(running)
        if self._running is None and now.boot_ns >= self._due_ns:
            self._due_ns = now.boot_ns + self._settings.interval_us * 1000
            self._running = _Running(self._options, self._settings, self._clock, self._bell)
        return self._due_ns if self._running is None else now.boot_ns + 3600 * NS

    def reload(self) -> None:
        """Take over the configuration as it is now; what is wrong changes nothing. Delivers at once."""
        try:
            settings = self._options.reload()
            check(settings)
        except NetusageError as error:
            self._options.say(f"keeping the present fleet: {error}")
            return
        self._settings = settings.fleet
        self._due_ns = 0
        self._said = ""

    def end(self, patience_s: float) -> None:
        """Have a delivery leave off, and give it a moment."""
        if self._running is not None:
            self._running.leave_off(patience_s)

    def _take(self, running: _Running) -> None:
        now = self._clock.now()
        if self._due_ns:  # nobody has asked for one at once meanwhile
            self._due_ns = now.boot_ns + running.next_ns(now.wall_us, self._dice)
        if running.crash is not None:
            raise running.crash
        error = running.error
        if error is None:
            if running.delivered is not None and running.delivered.anew:
                self._options.say(f"delivered {running.delivered.rows:,} rows: {running.delivered.anew}")
            elif self._said:
                self._options.say("delivered to the fleet again; nothing was lost")
            self._said = ""
        elif _trouble(error) != self._said and not isinstance(error, NoDataError):
            self._said = _trouble(error)
            self._options.say(f"not delivered: {error}; it is tried again")


def _trouble(error: NetusageError) -> str:
    """What an error says without the numbers and names of files in it, which are others with each attempt."""
    return _VARIES.sub("", str(error))


class _Running:
    """A delivery in a thread."""

    def __init__(self, options: ShipOptions, settings: FleetSettings, clock: Clock, bell: Bell) -> None:
        self.delivered: Delivered | None = None
        self.error: NetusageError | None = None
        self.crash: BaseException | None = None
        self.is_over = False
        self._failures = 0
        self._options, self._settings, self._clock, self._bell = options, settings, clock, bell
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="delivery", daemon=True)
        self._thread.start()

    def leave_off(self, patience_s: float) -> None:
        self._stop.set()
        self._thread.join(patience_s)

    def next_ns(self, wall_us: int, dice: random.Random) -> int:
        """How long until the next one: to the host's slot, or a while that grows with every failure."""
        interval_ns = self._settings.interval_us * 1000
        if self.error is not None:
            return retry_ns(self._failures, interval_ns, dice)
        return slot_ns(f"{machine_id()} {self._options.ledger}", wall_us, interval_ns, dice)

    def _run(self) -> None:
        try:
            self.delivered = _deliver(self._options, self._settings, self._clock, self._stop)
        except NetusageError as error:
            self.error = error
            settings = self._settings
            with contextlib.suppress(NetusageError):
                self._failures = ShipJournal(self._options.ledger, settings.url, settings.database).failures
        except BaseException as error:  # noqa: BLE001  # raised again by the main thread
            self.crash = error
        finally:
            self.is_over = True
            self._bell.ring()


def retry_ns(failures: int, interval_ns: int, dice: random.Random) -> int:
    """How long to wait after so many failures in a row: doubled with each, the interval at most, and never twice the same."""
    longest = min(_FIRST_DELAY_NS << min(max(failures - 1, 0), 20), interval_ns)
    return int(longest * dice.uniform(0.5, 1.0))


def slot_ns(who: str, wall_us: int, interval_ns: int, dice: random.Random) -> int:
    """How long until the slot that a host has in each interval, half an interval at least; a little is left to chance.

    Args:
        who: tells hosts apart.
        wall_us: the present, UTC microseconds.
        interval_ns: nanoseconds.
        dice: chance.
    """
    place = int.from_bytes(hashlib.sha256(who.encode()).digest()[:8], "big") % interval_ns
    wait = (place - wall_us * 1000) % interval_ns
    if wait < interval_ns // 2:
        wait += interval_ns
    return wait + int(dice.uniform(0, interval_ns / _JITTER_PART))


def _deliver(options: ShipOptions, settings: FleetSettings, clock: Clock, stop: threading.Event) -> Delivered:
    journal = ShipJournal(options.ledger, settings.url, settings.database)
    try:
        with options.opened(settings) as store:
            delivery = Delivery(
                options.ledger, settings, store, journal, version=__version__, stops=stop.is_set
            )
            return delivery.run(clock.now().wall_us)
    except NetusageError as error:
        if not isinstance(error, NoDataError):
            journal.failed(str(error), clock.now().wall_us)
        raise
    finally:
        if journal.set_aside_to:
            options.say(f"the journal of deliveries was damaged; it is now {journal.set_aside_to}")


def _hold(ledger: str, clock: Clock) -> Hold:
    try:
        return ship_journal.hold(ledger, clock.now().wall_us)
    except LedgerHeldError:
        other = ship_journal.deliverer(ledger)
        who = f"process {other.pid}" if other and other.pid else "another process"
        raise LedgerHeldError(
            f"this ledger is being delivered already ({who})",
            hint="it does so for the recorder, or was started by hand: netusage ship",
        ) from None
