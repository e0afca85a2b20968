"""How things are written: units, times, and the characters that the terminal has."""

from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import NamedTuple

from netusage.live.graph import ASCII, EIGHTHS
from netusage.model import US
from netusage.render.cells import encodable, safe
from netusage.units import Units, format_bytes, format_rate


class Span(NamedTuple):
    """Some text; style is a word that `app` knows: "", bold, head, rx, tx, picked or warning."""

    text: str
    style: str = ""


Line = tuple[Span, ...]


class Signs(NamedTuple):
    """Characters that a terminal may not have."""

    rx: str
    tx: str
    falling: str
    rising: str
    apart: str
    mark: str
    blocks: str


_UNICODE = Signs("↓", "↑", "▼", "▲", "○", "…", EIGHTHS)
_PLAIN = Signs("rx", "tx", "v", "^", "o", "~", ASCII)


@dataclass(frozen=True)
class Look:
    """How things are written.

    zone: of the times. encoding: of the terminal, None for one that takes everything.
    """

    units: Units
    bits: bool
    zone: tzinfo
    encoding: str | None = None

    @property
    def signs(self) -> Signs:
        """Those that the terminal has."""
        try:
            "".join(_UNICODE).encode(self.encoding or "utf-8")
        except (UnicodeEncodeError, LookupError):
            return _PLAIN
        return _UNICODE

    def rate(self, number: int) -> str:
        """A rate for people."""
        return format_rate(number, self.units, self.bits)

    def amount(self, number: int | None) -> str:
        """Bytes for people; a dash where nothing is known."""
        return "-" if number is None else format_bytes(number, self.units)

    def name(self, text: str) -> str:
        """A name that can be written, whatever it holds."""
        return encodable(safe(text), self.encoding)

    def time(self, at_us: int, now_us: int | None = None) -> str:
        """A time of day with seconds; beside the present without them, and of another day the date."""
        at = datetime.fromtimestamp(at_us // US, self.zone)
        if now_us is None:
            return f"{at:%H:%M:%S}"
        now = datetime.fromtimestamp(now_us // US, self.zone)
        return f"{at:%H:%M}" if at.date() == now.date() else f"{at:%d %b}"

    @property
    def amount_cells(self) -> int:
        """The widest amount."""
        return 9 if self.units is Units.SI else 11

    @property
    def rate_cells(self) -> int:
        """The widest rate."""
        return self.amount_cells + (4 if self.bits else 2)
