"""Reads counters once a second for a face that shows the present, in a thread of its own; nothing is recorded."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import TracebackType
from typing import NamedTuple, Self

from netusage.errors import NetusageError
from netusage.ledger.batch import Epoch
from netusage.model import NS, ZERO, Counters, Instant
from netusage.recorder.session import Session, open_session
from netusage.recorder.shares import Use
from netusage.recorder.waiting import ThreadWaiter
from netusage.settings.schema import Settings

_GIVE_UP_S = 5.0


class Rates(NamedTuple):
    """Bytes per second between the last two readings."""

    rx: int = 0
    tx: int = 0


class InterfaceNow(NamedTuple):
    """One interface that is there.

    counted: whether it is part of the machine's total, and the rule that says so.
    since_start: what it counted since the watch began, or since it came.
    """

    name: str
    kind: str
    up: bool
    counted: bool
    reason: str
    rates: Rates
    since_start: Counters


@dataclass(frozen=True, slots=True)
class Present:
    """What was read at one moment.

    at: of the reading.
    running_us: since the watch began, microseconds.
    rates, since_start: of the machine's total.
    interfaces: those that are there, by name.
    applications: what each had since the watch began until the reading before this one; empty where they are not told
        apart.
    """

    at: Instant
    running_us: int
    rates: Rates
    since_start: Counters
    interfaces: tuple[InterfaceNow, ...]
    applications: Mapping[Use, Counters]


class Watch:
    """Reads until it is closed; use it as a context manager.

    Args:
        settings: the configuration; what it says of interfaces, of the source and of how often to read holds.
        on_present: called in the watch's own thread after every reading. What it raises ends the watch.
        applications: tell applications apart as well, as the configuration says; nothing stays in the kernel.
        say: takes one line for people.

    Attributes:
        tier: how applications are told apart; "" where they are not.
        trouble: why nothing is read any more; "" while it is.

    Raises:
        SourceError: the counters cannot be read here, when it is entered.
    """

    def __init__(
        self,
        settings: Settings,
        on_present: Callable[[Present], None],
        *,
        applications: bool = False,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._settings = _only_reading(settings, applications=applications)
        self._on_present = on_present
        self._say = say
        self.tier = ""
        self.trouble = ""
        self._refusal: BaseException | None = None
        self._is_open = threading.Event()
        self._waiter = ThreadWaiter()
        self._thread = threading.Thread(target=self._run, name="netusage-watch", daemon=True)
        self._started = Instant(0, 0, 0)
        self._before_ns = 0
        self._total = ZERO
        self._last: dict[Epoch, Counters] = {}

    def __enter__(self) -> Self:
        self._thread.start()
        self._is_open.wait()
        if self._refusal is not None:
            self._thread.join()
            raise self._refusal
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._waiter.stop()
        self._thread.join(_GIVE_UP_S)

    def _run(self) -> None:
        """Everything that touches the source: it belongs to one thread."""
        try:
            with open_session(
                self._settings,
                None,
                say=self._say,
                reload=lambda: self._settings,
                must_record=False,
                on_sample=self._on_sample,
                waiter=self._waiter,
            ) as session:
                self.tier = session.tier
                self._started = session.recorder.now()
                self._before_ns = self._started.boot_ns
                self._is_open.set()
                session.recorder.run()
        except NetusageError as error:
            self._end(error)
        except BaseException as error:
            if self._end(error):
                return
            raise

    def _end(self, error: BaseException) -> bool:
        """Tell why it ends; whether that is told where it is opened."""
        self.trouble = str(error)
        refused = not self._is_open.is_set()
        if refused:
            self._refusal = error
            self._is_open.set()
        return refused

    def _on_sample(self, session: Session, at: Instant) -> None:
        total = session.meter.usage()  # brings the epochs up to date
        passed_ns = max(at.boot_ns - self._before_ns, 1)
        last: dict[Epoch, Counters] = {}
        interfaces = []
        for epoch in session.meter.epochs().values():
            if epoch.closed_us is not None:
                continue
            last[epoch] = epoch.last
            interfaces.append(
                InterfaceNow(
                    epoch.link.name,
                    epoch.link.kind,
                    epoch.link.up,
                    epoch.counted,
                    epoch.reason,
                    _rates(epoch.last.minus(self._last.get(epoch, epoch.first)), passed_ns),
                    epoch.last.minus(epoch.first),
                )
            )
        present = Present(
            at,
            (at.boot_ns - self._started.boot_ns) // 1000,
            _rates(total.minus(self._total), passed_ns),
            total,
            tuple(sorted(interfaces, key=lambda one: one.name)),
            dict(session.applications),
        )
        self._before_ns, self._total, self._last = at.boot_ns, total, last
        self._on_present(present)


def _rates(difference: Counters, passed_ns: int) -> Rates:
    return Rates(difference.rx_bytes * NS // passed_ns, difference.tx_bytes * NS // passed_ns)


def _only_reading(settings: Settings, *, applications: bool) -> Settings:
    """The configuration for one who reads once a second and leaves nothing behind."""
    recorder = replace(
        settings.recorder,
        pins="off",
        commit_interval=settings.recorder.sample_interval,
        count_since_boot=False,
    )
    if not applications:
        recorder = replace(recorder, applications="off")
    return replace(settings, recorder=recorder)
