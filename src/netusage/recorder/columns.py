"""The ordinary second: the same interfaces as before, and every counter went forward.

Whole columns of counters are subtracted at once (see `lanes`), and what comes of it is gathered by minutes until it
is committed. Whatever is out of the ordinary is for `Accounts`, interface by interface.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from netusage.ledger.batch import Block, Together
from netusage.model import NS, US, Counters, Reading
from netusage.recorder.account import MINUTE_US, Accounts, Interval, Life
from netusage.recorder.lanes import Lanes


@dataclass(slots=True)
class _Minute:
    """What was counted in one UTC minute: received and sent bytes, received and sent packets, and peaks, packed."""

    bytes: int = 0
    packets: int = 0
    peaks: int = 0


class Columns:
    """Some living interfaces side by side.

    Args:
        lives: in the order in which the source reads them; they are counted from where their epochs stand.

    Attributes:
        order: their indexes.
    """

    def __init__(self, lives: Sequence[Life]) -> None:
        self.order = [life.link.index for life in lives]
        self._lives = lives
        self._lanes = Lanes(2 * len(lives))
        self._last = self._packed(list(zip(*(life.epoch.last for life in lives), strict=True)))
        self._committed: tuple[int, int] | None = None
        self._minutes: dict[int, _Minute] = {}  # by their start, UTC seconds

    @property
    def size(self) -> int:
        """How many entries the minutes are that wait to be committed."""
        return len(self._minutes) * len(self._lives)

    def advance(self, reading: Reading, interval: Interval, sample_ns: int) -> bool:
        """Take a reading of these very interfaces; False, and nothing is changed, when it is no ordinary one.

        Args:
            reading: its counters come in the order of the columns.
            interval: since the last reading; not an estimated one.
            sample_ns: rates are averages over this time at the least.
        """
        lanes = self._lanes
        try:
            bytes_, packets = now = self._packed(reading[1:])
        except OverflowError:
            return False
        if now == self._last:
            return True
        old_bytes, old_packets = self._last
        forward = (
            lanes.fits(bytes_)
            and lanes.fits(packets)
            and lanes.none_below(bytes_, old_bytes)
            and lanes.none_below(packets, old_packets)
        )
        if not forward:
            return False
        self._last = now
        self._enter(bytes_ - old_bytes, packets - old_packets, interval, sample_ns)
        return True

    def _enter(self, bytes_: int, packets: int, interval: Interval, sample_ns: int) -> None:
        """Share it out among the minutes of the interval, in proportion to time; the rates are the last one's."""
        lanes, start_us, end_us = self._lanes, interval.start_us, interval.end_us
        shared_bytes = shared_packets = 0
        minute_us = start_us // MINUTE_US * MINUTE_US
        while minute_us + MINUTE_US < end_us:
            minute_us += MINUTE_US
            part = (minute_us - start_us, end_us - start_us)
            due_bytes, due_packets = lanes.scaled(bytes_, *part), lanes.scaled(packets, *part)
            self._add(minute_us - MINUTE_US, due_bytes - shared_bytes, due_packets - shared_packets)
            shared_bytes, shared_packets = due_bytes, due_packets
        minute = self._add(minute_us, bytes_ - shared_bytes, packets - shared_packets)
        rates = lanes.scaled(bytes_, NS, max(interval.duration_ns, sample_ns))
        minute.peaks = lanes.larger(rates, minute.peaks)

    def _add(self, minute_us: int, bytes_: int, packets: int) -> _Minute:
        minute = self._minutes.setdefault(minute_us // US, _Minute())
        minute.bytes += bytes_
        minute.packets += packets
        return minute

    def together(self) -> Together | None:
        """What is not committed yet, None when nothing is."""
        if not self._minutes:
            return None
        epochs = [life.epoch for life in self._lives]
        blocks = [Block(start_s, *self._unpacked(minute)) for start_s, minute in self._minutes.items()]
        return Together(epochs, self._counters(self._last), blocks)

    def committed(self) -> None:
        """All of it is in the ledger."""
        self._committed = self._last
        self._minutes = {}

    def update(self) -> None:
        """Let the epochs stand where the last reading is."""
        for life, last in zip(self._lives, self._rows(self._last), strict=True):
            life.epoch.last = last

    def dissolve(self, accounts: Accounts) -> None:
        """Give everything back to the accounts; these columns are not used any more."""
        self.update()
        if self._committed is not None:
            for life, last in zip(self._lives, self._rows(self._committed), strict=True):
                life.epoch.committed = last
        for start_s, minute in self._minutes.items():
            counters, peaks = self._unpacked(minute)
            rows = zip(self._lives, zip(*counters, strict=True), *peaks, strict=True)
            for life, values, peak_rx, peak_tx in rows:
                accounts.enter(life, start_s, Counters._make(values), peak_rx, peak_tx)

    def _packed(self, columns: Sequence[Sequence[int]]) -> tuple[int, int]:
        pack = self._lanes.pack
        return pack(columns[:2]), pack(columns[2:])

    def _counters(self, packed: tuple[int, int]) -> list[list[int]]:
        """Four columns: received and sent bytes, received and sent packets."""
        return [*self._halves(packed[0]), *self._halves(packed[1])]

    def _unpacked(self, minute: _Minute) -> tuple[list[list[int]], list[list[int]]]:
        return self._counters((minute.bytes, minute.packets)), self._halves(minute.peaks)

    def _rows(self, packed: tuple[int, int]) -> list[Counters]:
        return list(map(Counters._make, zip(*self._counters(packed), strict=True)))

    def _halves(self, packed: int) -> list[list[int]]:
        numbers, middle = self._lanes.unpack(packed), len(self._lives)
        return [numbers[:middle], numbers[middle:]]
