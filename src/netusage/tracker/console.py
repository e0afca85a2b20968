"""What the tracker prints: a line for every logged moment and, on a terminal, one live line below them."""

import shutil
from collections.abc import Callable
from datetime import datetime, tzinfo
from typing import NamedTuple, TextIO

from netusage.model import US
from netusage.units import Units, format_bytes, format_duration, format_rate, megabyte_name, megabytes


class Moment(NamedTuple):
    """The tracker at one moment.

    at_us: UTC microseconds. running_us: since the start. sent, received: bytes since the start.
    sent_rate, received_rate: bytes per second since the reading before.
    """

    at_us: int
    running_us: int
    sent: int
    received: int
    sent_rate: int
    received_rate: int


class Console:
    """Prints to a stream; a stream that cannot be written to is no reason to stop counting.

    Args:
        stream: None prints nothing.
        units: SI or IEC.
        zone: of the times.
        bits: rates in bits rather than bytes.
        live: the stream is a terminal that can redraw a line.
        trouble: takes the error when the stream cannot be written to; the text is lost.
    """

    def __init__(
        self,
        stream: TextIO | None,
        units: Units,
        zone: tzinfo,
        *,
        bits: bool,
        live: bool,
        trouble: Callable[[OSError], None],
    ) -> None:
        self._stream = stream
        self._trouble = trouble
        self._units = units
        self._zone = zone
        self._bits = bits
        self._live = live
        self._drawn = False
        arrows = "↑", "↓"
        try:
            "".join(arrows).encode(getattr(stream, "encoding", None) or "ascii")
        except (UnicodeEncodeError, LookupError):
            arrows = "up", "down"
        self._up, self._down = arrows

    def log(self, moment: Moment) -> None:
        """A line that stays: the time, and what was sent and received since the start."""
        self.text(f"{self._time(moment.at_us)}  {self._amounts(moment)}")

    def draw(self, moment: Moment) -> None:
        """Redraw the live line: rates and totals."""
        if not self._live:
            return
        units, bits = self._units, self._bits
        rates = (
            f"{self._down} {format_rate(moment.received_rate, units, bits)}  "
            f"{self._up} {format_rate(moment.sent_rate, units, bits)}"
        )
        totals = (
            f"received {format_bytes(moment.received, units)}  sent {format_bytes(moment.sent, units)}  "
            f"total {format_bytes(moment.sent + moment.received, units)}"
        )
        running = format_duration(moment.running_us // US * US)
        line = f"{rates}  |  {totals}  |  {running}"
        width = shutil.get_terminal_size().columns - 1
        if len(line) > width:
            line = f"{rates} | total {format_bytes(moment.sent + moment.received, units)} | {running}"
        self._write(f"\r\x1b[K{line[:width]}")
        self._drawn = True

    def text(self, line: str) -> None:
        """A line that stays."""
        self._write(f"\r\x1b[K{line}\n" if self._drawn else f"{line}\n")
        self._drawn = False

    def clear(self) -> None:
        """Take the live line away, so that something else can be printed."""
        if self._drawn:
            self._write("\r\x1b[K")
            self._drawn = False

    def _write(self, text: str) -> None:
        if self._stream is None:
            return
        try:
            self._stream.write(text)
            self._stream.flush()
        except OSError as error:
            self._trouble(error)

    def _time(self, at_us: int) -> str:
        return f"{datetime.fromtimestamp(at_us // US, self._zone):%Y-%m-%d %H:%M:%S}"

    def _amounts(self, moment: Moment) -> str:
        name, units = megabyte_name(self._units), self._units
        total = moment.sent + moment.received
        return (
            f"sent {megabytes(moment.sent, units)} {name}  received {megabytes(moment.received, units)} {name}  "
            f"total {megabytes(total, units)} {name}"
        )
