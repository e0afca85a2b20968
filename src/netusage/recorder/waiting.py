"""Waiting: for the next reading, for a link event, for a signal; whichever comes first."""

import contextlib
import select
import signal
import socket
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import NamedTuple, Protocol, Self

from netusage.errors import ExitCode
from netusage.model import NS


class Wake(NamedTuple):
    """Why waiting ended; all false when its time was up."""

    events: bool = False
    stop: ExitCode | None = None
    reload: bool = False


class Waiter(Protocol):
    """What the recorder waits with."""

    def wait(self, timeout_ns: int, fileno: int | None) -> Wake:
        """Wait at most so long for the descriptor to become readable, or for a signal."""
        ...


class ThreadWaiter:
    """Waits in a thread that another one may stop: no signal reaches it. A context manager.

    Link events are not waited for: they are read at the next reading.
    """

    def __init__(self) -> None:
        self._stopped = threading.Event()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """End the present wait and all later ones; from any thread."""
        self._stopped.set()

    def wait(self, timeout_ns: int, fileno: int | None) -> Wake:  # noqa: ARG002  # see the class
        """Wait until the time is up or somebody stops it."""
        stopped = self._stopped.wait(max(timeout_ns, 0) / NS)
        return Wake(stop=ExitCode.OK if stopped else None)


class Bell:
    """Wakes who waits for it, from any thread. A context manager."""

    def __init__(self) -> None:
        self._heard, self._rung = socket.socketpair()
        self._heard.setblocking(False)
        self._rung.setblocking(False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._heard.close()
        self._rung.close()

    def fileno(self) -> int:
        """Readable when it was rung."""
        return self._heard.fileno()

    def ring(self) -> None:
        """Wake who waits; harmless when it was rung already, or nobody waits any more."""
        with contextlib.suppress(OSError):
            self._rung.send(b"\0")

    def silence(self) -> None:
        """Be ready for the next ring."""
        with contextlib.suppress(BlockingIOError):
            while self._heard.recv(64):
                pass

    def wait(self, timeout_ns: int) -> None:
        """Wait for a ring, whatever signals come."""
        select.select([self._heard], [], [], max(timeout_ns, 0) / NS)
        self.silence()


class SignalWaiter:
    """Waits on the system's clock and descriptors, and turns signals into `Wake`.

    SIGINT and SIGTERM ask to stop, SIGHUP to reload. A second request to stop calls `hurry`: whatever still waits
    is to give up. Use as a context manager in the main thread; the earlier handlers come back at its end.
    """

    def __init__(self, hurry: Callable[[], None] = lambda: None) -> None:
        self.hurry = hurry
        self._stop: ExitCode | None = None
        self._reload = False
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)
        self._own = self._reader.fileno()
        self._watched: tuple[int, ...] = ()
        self._earlier: dict[int, object] = {}
        self._earlier_fd = -1

    def __enter__(self) -> Self:
        for number, handler in self._handlers().items():
            self._earlier[number] = signal.signal(number, handler)
        self._earlier_fd = signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        signal.set_wakeup_fd(self._earlier_fd)
        for number, handler in self._earlier.items():
            signal.signal(number, handler)  # type: ignore[arg-type]  # what signal() itself gave us
        self._reader.close()
        self._writer.close()

    def wait(self, timeout_ns: int, fileno: int | None) -> Wake:
        """Wait; a signal that came before the call is told at once."""
        if self._stop is None and not self._reload:
            watched = (self._own,) if fileno is None else (self._own, fileno)
            readable = self._select(watched, max(timeout_ns, 0))
            if self._own in readable:
                with contextlib.suppress(BlockingIOError):
                    while self._reader.recv(64):
                        pass
        else:
            readable = []
        reload, self._reload = self._reload, False
        return Wake(fileno in readable, self._stop, reload)

    def _select(self, watched: tuple[int, ...], timeout_ns: int) -> list[int]:
        if hasattr(select, "poll"):
            # one more millisecond than asked, as poll(2) counts in whole ones: never wake early
            return [descriptor for descriptor, _ in self._poll_of(watched).poll(-(-timeout_ns // 1_000_000))]
        return select.select(watched, [], [], timeout_ns / NS)[0]

    def _poll_of(self, watched: tuple[int, ...]) -> "select.poll":
        """A poll object for these descriptors; made anew only when they change."""
        if self._watched != watched:
            self._watched, self._poll = watched, select.poll()
            for descriptor in watched:
                self._poll.register(descriptor, select.POLLIN)
        return self._poll

    def _handlers(self) -> dict[int, Callable[[int, FrameType | None], None]]:
        handlers: dict[int, Callable[[int, FrameType | None], None]] = {
            signal.SIGINT: self._on_stop,
            signal.SIGTERM: self._on_stop,
        }
        if hasattr(signal, "SIGHUP"):
            handlers[signal.SIGHUP] = self._on_reload
        return handlers

    def _on_stop(self, number: int, _frame: FrameType | None) -> None:
        if self._stop is not None:
            self.hurry()
        else:
            self._stop = ExitCode.INTERRUPTED if number == signal.SIGINT else ExitCode.TERMINATED

    def _on_reload(self, _number: int, _frame: FrameType | None) -> None:
        self._reload = True
