"""What a process beside the recorder does, whatever it is for: have its turn, do what is due, end with the recorder.

`companion` is the recorder's side of it.
"""

import contextlib
import os
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self, TypeVar

from netusage.clock import Clock
from netusage.errors import ExitCode, LedgerHeldError
from netusage.model import NS
from netusage.recorder.waiting import Bell, SignalWaiter

T = TypeVar("T")

_HELD_APART_NS = NS // 2
_TRIES_UNSAID = 10


class Beside:
    """A process that a recorder started, or somebody by hand. A context manager.

    Args:
        clock: all times.
        say: takes one line for people.
        with_recorder: it ends when standard input does, and waits while somebody else has its turn.

    Attributes:
        bell: rung to have `run` look again.
        code: why it is to end, when `held` gave nothing.
    """

    def __init__(self, clock: Clock, say: Callable[[str], None], *, with_recorder: bool) -> None:
        self.code = ExitCode.OK
        self._clock, self._say, self._with_recorder = clock, say, with_recorder
        self._ended = threading.Event()
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        with self._stack:
            self._waiter = self._stack.enter_context(SignalWaiter())
            self.bell = self._stack.enter_context(Bell())
            if self._with_recorder:
                threading.Thread(target=self._follow, name="recorder", daemon=True).start()
            self._stack = self._stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def held(self, take: Callable[[], T]) -> T | None:
        """What only one may have at a time; None when it is to end before it had it.

        Raises:
            LedgerHeldError: somebody else has it, and there is no recorder to wait for.
        """
        tries = 0
        while True:
            try:
                return take()
            except LedgerHeldError as error:
                if not self._with_recorder:
                    raise
                tries += 1
                if tries == _TRIES_UNSAID:  # that of a recorder before this one ends in a moment
                    self._say(f"{error.message}; waiting for it to end")
            wake = self._waiter.wait(_HELD_APART_NS, self.bell.fileno())
            self.bell.silence()
            if wake.stop is not None or self._ended.is_set():
                self.code = wake.stop or ExitCode.OK
                return None

    def run(self, turn: Callable[[], int], reload: Callable[[], None]) -> ExitCode:
        """Take turns until a signal, or the end of the recorder, asks to stop.

        Args:
            turn: does what is due, and tells when something is again, nanoseconds of CLOCK_BOOTTIME.
            reload: reads the configuration anew.
        """
        while True:
            due_ns = turn()
            wake = self._waiter.wait(due_ns - self._clock.now().boot_ns, self.bell.fileno())
            self.bell.silence()
            if wake.stop is not None:
                return wake.stop
            if self._ended.is_set():
                return ExitCode.OK
            if wake.reload:
                reload()

    def _follow(self) -> None:
        """Hear of the end of the recorder: it holds the other end of standard input, which the system closes with it."""
        with contextlib.suppress(OSError):
            while os.read(0, 4096):
                pass
        self._ended.set()
        self.bell.ring()
