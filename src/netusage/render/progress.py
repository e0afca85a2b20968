"""Progress on what takes longer than half a second, for the stream that data does not go to."""

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Protocol, TextIO

from netusage.render.context import can_animate
from netusage.units import format_duration

_DELAY_S = 0.5
_REDRAW_S = 0.1
_REPEAT_S = 10.0


class Advance(Protocol):
    """Says that `count` more of the work is done; 0 says that it goes on."""

    def __call__(self, count: int = 1) -> None:
        """Report it."""
        ...


class _Meter:
    """One piece of work: what is done, and when that was last said."""

    def __init__(
        self, label: str, total: int | None, stream: TextIO, clock: Callable[[], float], live: bool
    ) -> None:
        self._label = label
        self._total = total
        self._stream = stream
        self._clock = clock
        self._live = live
        self._done = 0
        self._start = clock()
        self._next = self._start + _DELAY_S
        self._shown = False

    def advance(self, count: int = 1) -> None:
        """Count, and say so when it is time."""
        self._done += count
        now = self._clock()
        if now < self._next:
            return
        self._shown = True
        self._next = now + (_REDRAW_S if self._live else _REPEAT_S)
        self._write(f"\r\x1b[K{self._text()}" if self._live else f"{self._text()}\n")

    def close(self, *, finished: bool) -> None:
        """Clear the line, or end plain lines with a last one."""
        if not self._shown:
            return
        if self._live:
            self._write("\r\x1b[K")
        elif finished:
            took_us = round((self._clock() - self._start) * 10) * 100_000
            self._write(f"{self._label}: done in {format_duration(took_us, parts=2)}\n")

    def _text(self) -> str:
        if self._total is None:
            return f"{self._label}: {self._done:,}" if self._done else f"{self._label} ..."
        percent = 100 * min(self._done, self._total) // self._total if self._total else 100
        return f"{self._label}: {percent} % ({self._done:,} of {self._total:,})"

    def _write(self, text: str) -> None:
        try:
            self._stream.write(text)
            self._stream.flush()
        except (OSError, ValueError):
            self._next = float("inf")  # nobody is there to read it; the work goes on


@contextmanager
def progress(
    label: str,
    *,
    total: int | None = None,
    stream: TextIO,
    environ: Mapping[str, str] = os.environ,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Advance]:
    """Report the progress of what is done inside the `with`, by what it yields: `advance(count)`.

    Nothing is written in the first half second. A terminal shows one line that is written over and cleared at the
    end; elsewhere a line is written, another every ten seconds, and one at the end of work that did not fail.

    Args:
        label: what is done, e.g. "Verifying".
        total: how much there is to do, or None when that is not known.
        stream: where to write, usually standard error; it may be closed.
        environ: the environment, which may say that the terminal is dumb.
        clock: seconds that only grow.
    """
    meter = _Meter(label, total, stream, clock, can_animate(stream, environ))
    finished = False
    try:
        yield meter.advance
        finished = True
    finally:
        meter.close(finished=finished)
