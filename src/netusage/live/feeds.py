"""The threads that read: interfaces each second, and applications from the ledger or, where nobody records, by themselves."""

import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from datetime import tzinfo
from types import TracebackType
from typing import NamedTuple, Self

from netusage.errors import NetusageError
from netusage.live.book import Book
from netusage.live.history import Both
from netusage.live.news import News, Spent, Trouble, in_short
from netusage.live.state import both, counted_since, differences
from netusage.model import ZERO, Counters
from netusage.recorder.shares import Use
from netusage.recorder.watch import Present, Watch
from netusage.settings.schema import Settings

_LOOK_S = 1.0
_PATIENCE = 3  # looks without a recorder, which may only be starting anew
_GIVE_UP_S = 5.0
_MOST_NEWS = 600


class Feeds:
    """Read until they are closed; a context manager.

    Args:
        settings: the configuration; interfaces are read each second, whatever it says of the recorder.
        ledger: the ledger's file, which need not be there.
        zone: whose day today is.

    Attributes:
        wake: called from any thread when there is news.

    Raises:
        SourceError: the counters cannot be read here, when it is entered.
    """

    def __init__(self, settings: Settings, ledger: str, zone: tzinfo) -> None:
        recorder = replace(settings.recorder, sample_interval=f"{_LOOK_S:.0f}s")
        self._settings = replace(settings, recorder=recorder)
        self.wake: Callable[[], object] = lambda: None
        self._news: list[News] = []
        self._hand = threading.Lock()  # on the news
        self._book = Book(ledger, zone, settings.interfaces)
        self._interfaces = Watch(self._settings, self._tell)
        self._own: _OwnApplications | None = None
        self._recorder: int | None = None
        self._alone = _PATIENCE - 1  # the first look decides
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="netusage-live", daemon=True)

    def __enter__(self) -> Self:
        self._interfaces.__enter__()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.wake = lambda: None
        self._stopped.set()
        self._interfaces.__exit__(kind, error, trace)
        self._thread.join(_GIVE_UP_S)

    def news(self) -> list[News]:
        """What there is to tell since the last time, the oldest first."""
        with self._hand:
            found, self._news = self._news, []
        return found

    def _tell(self, news: News) -> None:
        with self._hand:
            self._news.append(news)
            if len(self._news) > _MOST_NEWS:  # the terminal takes nothing, as after Ctrl-S
                self._news = in_short(self._news)
        self.wake()

    def _run(self) -> None:
        with ExitStack() as stack:
            stack.callback(self._end_own)
            while True:
                try:
                    self._look()
                except Exception as error:  # noqa: BLE001  # a thread has nobody else to tell
                    self._tell(Trouble(f"{type(error).__name__}: {error}"))
                    return
                if self._stopped.wait(_LOOK_S):
                    return

    def _look(self) -> None:
        if self._interfaces.trouble:
            self._tell(Trouble(self._interfaces.trouble))
        found = self._book.look()
        if found is not None:
            self._recorder = found[0].recorder
        if self._recorder is not None:
            self._end_own()  # before the recorder is told of: what comes last is its own
        for news in found or ():
            if news is not None:
                self._tell(news)
        if self._recorder is not None:
            self._alone = 0
            return
        self._alone += 1
        if self._alone >= _PATIENCE and self._own is None and self._settings.recorder.applications != "off":
            self._own = _OwnApplications(self._settings, self._tell)
            self._own.open()

    def _end_own(self) -> None:
        if self._own is not None:
            self._own.close()
            self._own = None


class _Until(NamedTuple):
    """What applications had, and interfaces had counted, until the last time that it was told."""

    running_us: int = 0
    applications: Mapping[Use, Counters] = {}
    amounts: Mapping[Use, Both] = {}
    interfaces: Mapping[str, Counters] = {}
    total: Counters = ZERO


class _OwnApplications:
    """Tells applications apart here and now."""

    def __init__(self, settings: Settings, tell: Callable[[News], None]) -> None:
        self._tell = tell
        self._watch = Watch(settings, self._on_present, applications=True)
        self._is_open = False
        self._reading: Present | None = None
        self._until = _Until()

    def open(self) -> None:
        """Begin; where it cannot be, nothing is told apart."""
        try:
            self._watch.__enter__()
        except (NetusageError, OSError):
            self._tell(Spent({}, 0, ""))
            return
        self._is_open = True
        self._tell(Spent({}, 0, self._watch.tier))

    def close(self) -> None:
        """End."""
        if self._is_open:
            self._is_open = False
            self._watch.__exit__(None, None, None)

    def _on_present(self, present: Present) -> None:
        """Compare what applications had with what interfaces had counted when that was read: the reading before."""
        reading, self._reading = self._reading, present
        if reading is None:
            return
        until = self._until
        changed = {
            use: both(counters)
            for use, counters in present.applications.items()
            if until.applications.get(use) is not counters
        }
        self._until = _Until(
            reading.running_us,
            present.applications,
            {**until.amounts, **changed},
            {one.name: one.since_start for one in reading.interfaces},
            reading.since_start,
        )
        passed_us = reading.running_us - until.running_us
        if passed_us > 0:
            more = differences(changed, until.amounts)
            counted = counted_since(reading.interfaces, until.interfaces)
            total = both(reading.since_start.minus(until.total))
            self._tell(Spent(more, passed_us, self._watch.tier, counted, total))
