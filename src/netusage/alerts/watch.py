"""Watching a ledger in a process of its own, beside the recorder or alone: look, keep what was found, deliver it."""

import contextlib
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from netusage.alerts.deliver import Deliveries
from netusage.alerts.look import Look
from netusage.alerts.messages import one_message
from netusage.alerts.transports import Transport, open_transports, readable_by_others
from netusage.alerts.words import DAY_US, Kind, Words
from netusage.clock import Clock, SystemClock
from netusage.errors import ExitCode, LedgerCorruptError, LedgerError, NetusageError
from netusage.ledger.alert_journal import Alert, AlertJournal, journal_path
from netusage.model import NS, Instant
from netusage.periods import zone
from netusage.recorder.beside import Beside
from netusage.recorder.waiting import Bell
from netusage.settings.schema import Settings

KEPT_US = 400 * DAY_US
_PART_OF_TIME = 100  # a look may take one of so many parts of the processor's time
_LAST_NS = 2 * NS  # for what is being sent when it ends


@dataclass(frozen=True, slots=True)
class WatchOptions:
    """What is asked of the watcher.

    settings: the configuration in force; reload: reads it anew.
    ledger: the file that is watched.
    say: takes one line for people.
    with_recorder: it belongs to a recorder: it ends when standard input does, and waits while somebody else watches.
    """

    settings: Settings
    reload: Callable[[], Settings]
    ledger: str
    say: Callable[[str], None]
    with_recorder: bool = False


def watch(options: WatchOptions, clock: Clock | None = None) -> ExitCode:
    """Watch until a signal, or the end of the recorder, asks to stop.

    Raises:
        LedgerHeldError: somebody else watches, and there is no recorder to wait for.
        ConfigError: the configuration is wrong.
        LedgerError: the journal cannot be had.
    """
    clock = clock or SystemClock()
    with Beside(clock, options.say, with_recorder=options.with_recorder) as beside:
        path = journal_path(options.ledger, options.settings.alerts.journal)
        journal = beside.held(lambda: AlertJournal(path, clock.now().wall_us))
        if journal is None:
            return beside.code
        if not options.with_recorder:
            options.say(f"watching {options.ledger} for alerts")
        try:
            watcher = Watcher(options, journal, clock, beside.bell)
            stop = beside.run(watcher.turn, watcher.reload)
            watcher.end()
            return stop
        finally:
            journal.close()


class Watcher:
    """Looks at the ledger, keeps what was found in the journal, and delivers it.

    Args:
        options: see there.
        journal: held; closed by the caller.
        clock: all times.
        bell: rung when a message was sent, or was not.
    """

    def __init__(self, options: WatchOptions, journal: AlertJournal, clock: Clock, bell: Bell) -> None:
        self._options, self._journal, self._clock, self._bell = options, journal, clock, bell
        self._say = options.say
        self._settings = options.settings
        self._words = _words(options.settings)
        self._trouble = self._unseen = ""
        self._next: Settings | None = None
        self._look_due_ns = self._prune_due_ns = 0
        self._deliveries = self._deliveries_of((), options.settings.alerts.per_hour)
        self._begin(options.settings)
        self._deliveries.resume(clock.now())
        self._memory = journal.memory()
        self._known = journal.executables()

    def turn(self) -> int:
        """Do what is due.

        Returns:
            When something is due again, nanoseconds of CLOCK_BOOTTIME.
        """
        now = self._clock.now()
        if self._next is not None and not self._deliveries.are_sending:
            self._begin(self._next)
            self._next = None
        again: int | None = None
        try:
            if self._journal.set_aside_to:
                self._tell_of_journal(now)
            if now.boot_ns >= self._look_due_ns:
                self._look_and_keep(now)
            if self._next is None:
                again = self._deliveries.turn(self._clock.now())
            else:
                self._deliveries.take(now)
        except LedgerCorruptError as error:
            self._begin_anew(error, now)
        except LedgerError as error:
            self._cannot_keep(error)
        else:
            if self._trouble:
                self._trouble = ""
                self._say("alerts can be kept again; none was lost")
        return min(self._look_due_ns, again or self._look_due_ns)

    def reload(self) -> None:
        """Take over the configuration as it is now; what is wrong changes nothing."""
        try:
            settings = self._options.reload()
            open_transports(settings.alerts)
        except NetusageError as error:
            self._say(f"keeping the present alerts: {error}")
            return
        self._next = settings  # when nothing is on its way, since it would be sent twice

    def end(self) -> None:
        """A last look, and a moment for what is being sent; what is not delivered waits in the journal."""
        self._look_due_ns = 0
        self.turn()
        last_ns = self._clock.now().boot_ns + _LAST_NS
        self._deliveries.close()
        with contextlib.suppress(LedgerError):
            while self._deliveries.are_sending and (left_ns := last_ns - self._clock.now().boot_ns) > 0:
                self._bell.wait(left_ns)
                self._deliveries.take(self._clock.now())

    def _begin(self, settings: Settings) -> None:
        """Rules and transports of a configuration; whoever was dead is asked at once, since it may have been put right.

        Raises:
            ConfigError: the file with URLs is wrong.
        """
        words = _words(settings)
        transports = open_transports(settings.alerts)
        if settings.alerts.to_file and readable_by_others(settings.alerts.to_file):
            self._say(f"{settings.alerts.to_file} can be read by others: chmod 600 {settings.alerts.to_file}")
        if settings.unwatched_plans:
            self._say(f"not watched for: {words_of_unwatched(settings)}")
        self._deliveries.close()
        self._settings, self._words = settings, words
        self._look = Look(self._options.ledger, settings, words)
        self._deliveries = self._deliveries_of(transports, settings.alerts.per_hour)

    def _deliveries_of(self, transports: Sequence[Transport], per_hour: int) -> Deliveries:
        return Deliveries(
            self._journal,
            transports,
            per_hour=per_hour,
            host=socket.gethostname(),
            words=self._words,
            say=self._say,
            wake=self._bell.ring,
        )

    def _look_and_keep(self, now: Instant) -> None:
        begun_ns = time.process_time_ns()
        is_first = self._look_due_ns == 0  # and imports what it needs
        self._look_due_ns = now.boot_ns + self._settings.alerts.every_us * 1000
        try:
            found = self._look.at(now, self._memory, self._known)
        except NetusageError as error:  # a clock that went astray, for one
            self._look.again()
            if str(error) != self._unseen:
                self._unseen = str(error)
                self._say(f"cannot look for alerts: {error}; it is tried again")
            return
        self._unseen = ""
        changed = {name: value for name, value in found.memory.items() if self._memory.get(name) != value}
        if found.alerts or changed or found.learned:
            try:
                self._journal.add(
                    found.alerts,
                    self._deliveries.names,
                    now.wall_us,
                    memory=changed,
                    executables=found.learned,
                )
            except LedgerError:
                self._look.again()
                raise
            self._memory.update(changed)
            self._known.update(found.learned)
        if now.boot_ns >= self._prune_due_ns:
            self._journal.prune(now.wall_us - KEPT_US)
            self._prune_due_ns = now.boot_ns + DAY_US * 1000
        took_ns = 0 if is_first else time.process_time_ns() - begun_ns
        self._look_due_ns = max(self._look_due_ns, now.boot_ns + _PART_OF_TIME * took_ns)

    def _begin_anew(self, error: LedgerError, now: Instant) -> None:
        """The journal is damaged: what cannot be read of it any more is gone with it, what was remembered is not."""
        self._say(f"{error.message}; setting it aside")
        try:
            self._journal.replace(now.wall_us)
            self._journal.add([], (), now.wall_us, memory=self._memory, executables=self._known)
        except LedgerError as again:
            self._cannot_keep(again)
        self._look.again()

    def _tell_of_journal(self, now: Instant) -> None:
        aside = self._journal.set_aside_to
        text = f"It is now {aside}; a new one was begun with what can still be read of it."
        alert = Alert(
            f"journal/{aside}",
            Kind.JOURNAL,
            now.wall_us,
            "the journal of alerts was damaged",
            text,
            {"file": aside},
        )
        self._say(f"the journal of alerts was damaged; it is now {aside}, and a new one was begun")
        self._journal.add([alert], self._deliveries.names, now.wall_us)
        self._journal.set_aside_to = None

    def _cannot_keep(self, error: LedgerError) -> None:
        """Nothing is raised that could not be kept; that is told once, by those who can be reached without."""
        if self._trouble:
            return
        self._trouble = str(error)
        self._say(f"{error}; alerts are looked for again until they can be kept")
        text = f"{error.message}. Alerts are looked for again until they can be kept; none is lost while the ledger is there."
        now = self._clock.now()
        alert = Alert("journal/full", Kind.JOURNAL, now.wall_us, "alerts cannot be kept", text, {})
        self._deliveries.shout(one_message(alert))


def send_test(settings: Settings, say: Callable[[str, str], None], clock: Clock | None = None) -> bool:
    """Send a test to everybody, one after the other.

    Args:
        settings: whom to.
        say: takes the name of a transport, and why it failed or "".
        clock: all times.

    Returns:
        Whether all of it was delivered.

    Raises:
        ConfigError: nobody is to be told, or the file with URLs is wrong.
    """
    now = (clock or SystemClock()).now()
    words, host = _words(settings), socket.gethostname()
    text = "This is a test of netusage: alerts reach you."
    message = one_message(Alert("test", Kind.TEST, now.wall_us, "test", text, {}))
    fine = True
    for transport in open_transports(settings.alerts):
        why = ""
        try:
            transport.send(message, host, words)
        except NetusageError as error:
            why, fine = str(error), False
        say(transport.name, why)
    return fine


def words_of_unwatched(settings: Settings) -> str:
    """The plans whose thresholds are not looked for, and what to do instead."""
    names = ", ".join(settings.unwatched_plans)
    return f"the plans about hosts of the fleet, {names}; run netusage plan check by a timer for those"


def _words(settings: Settings) -> Words:
    report = settings.report
    return Words(zone(report.tz or None), report.units, report.bits)
