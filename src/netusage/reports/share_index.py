"""What applications had, of all time, as running totals in memory: any stretch is two look-ups for each of them.

For whoever asks again and again, as a page does in which a person zooms: adding up ten years of rows takes seconds.
Sums are those of the ledger, to the byte, as of the last reading.
"""

import threading
import time
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Collection, Iterable, MutableSequence, Sequence
from itertools import repeat
from operator import add, sub
from typing import Self

from netusage.ledger.reader import LedgerReader
from netusage.model import QUARTER_S, Who
from netusage.reports.shares import Key, everything

_DAY_S = 86_400
_ANEW_S = 6 * 3600  # so old are rows at most that were changed long after they were written
_TAIL_S = 2 * _DAY_S  # rows of these days still change: the present quarter grows, tails are folded
_FIRST_S = 8 * _DAY_S  # so much is read before all the rest, when somebody is waiting


class _Series:
    """The rows of one key: when each begins, ascending, and the sums of it and of all before it.

    Before them stands a row without anything.
    """

    __slots__ = ("rx", "starts", "tx")

    def __init__(self) -> None:
        self.starts: MutableSequence[int] = array("q", [-1 << 62])
        self.rx: MutableSequence[int] = array("q", [0])
        self.tx: MutableSequence[int] = array("q", [0])

    def append(self, start_s: int, rx: int, tx: int) -> None:
        """Add a row, which begins where the last one does or later."""
        if (self.rx[-1] | self.tx[-1] | rx | tx) >> 62:  # beyond what an array takes
            self.rx, self.tx = list(self.rx), list(self.tx)
        if self.starts[-1] == start_s:
            self.rx[-1] += rx
            self.tx[-1] += tx
        else:
            self.starts.append(start_s)
            self.rx.append(self.rx[-1] + rx)
            self.tx.append(self.tx[-1] + tx)

    def forget_from(self, start_s: int) -> None:
        place = max(bisect_left(self.starts, start_s), 1)
        del self.starts[place:], self.rx[place:], self.tx[place:]

    def add_to(self, edges: Sequence[int], rx: list[int], tx: list[int]) -> None:
        """Add the sums of the rows that begin between every two neighbouring edges; most keys have few rows there."""
        low = bisect_left(self.starts, edges[0])
        high = bisect_left(self.starts, edges[-1], low)
        if (high - low) * 2 > len(edges):
            more_rx, more_tx = self.between(edges)
            rx[:], tx[:] = map(add, rx, more_rx), map(add, tx, more_tx)
            return
        place = 0
        for row in range(low, high):
            place = bisect_right(edges, self.starts[row], place) - 1
            rx[place] += self.rx[row] - self.rx[row - 1]
            tx[place] += self.tx[row] - self.tx[row - 1]

    def between(self, edges: Sequence[int]) -> tuple[Iterable[int], Iterable[int]]:
        """The sums of the rows that begin between every two neighbouring edges."""
        last = [place - 1 for place in map(bisect_left, repeat(self.starts), edges)]
        rx, tx = list(map(self.rx.__getitem__, last)), list(map(self.tx.__getitem__, last))
        return map(sub, rx[1:], rx), map(sub, tx[1:], tx)


class ShareIndex:
    """The index of one ledger, which are `Shares`; safe to ask from several threads while it is read.

    Args:
        now: a clock of seconds that never goes back.

    Attributes:
        from_s: rows before this time, UTC seconds, are not in it yet; 0 when all are.
        days_until_s: before this time, UTC seconds, some is known by days only, and stands where each day begins.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self.from_s = 1 << 62
        self.days_until_s = 0
        self._now = now
        self._lock = threading.Lock()
        self._series: dict[Key, _Series] = {}
        self._applications: dict[int, Who] = {}
        self._identity = ""
        self._read_at = 0.0
        self._tail_s = 0

    @property
    def is_due(self) -> bool:
        """Whether everything is to be read, for the first time or again."""
        return bool(self.from_s) or self._now() - self._read_at >= _ANEW_S

    def read_whole(self, reader: LedgerReader) -> None:
        """Read all there is; who asks meanwhile is answered from what was there before."""
        self._read(reader, 0)

    def read_tail(self, reader: LedgerReader) -> None:
        """Take in what is new; of a ledger that is not known yet, the last days. Not from two threads at once."""
        if reader.state.identity != self._identity:
            self._read(reader, max((reader.last_share_s() or 0) - _FIRST_S, 0) // _DAY_S * _DAY_S)
            return
        applications = reader.applications()
        rows = list(reader.share_rows(self._tail_s))
        with self._lock:
            self._applications = applications
            for series in self._series.values():
                series.forget_from(self._tail_s)
            _take(self._series, applications, rows)

    def _read(self, reader: LedgerReader, from_s: int) -> None:
        series: dict[Key, _Series] = {}
        applications = reader.applications()
        last_s = reader.last_share_s() or 0
        days_until_s = _take(series, applications, reader.share_rows(from_s))
        with self._lock:
            self._series, self._applications = series, applications
            self.from_s, self.days_until_s = from_s, days_until_s
            self._identity, self._read_at = reader.state.identity, self._now()
            self._tail_s = max(last_s // _DAY_S * _DAY_S - _TAIL_S, from_s)

    def of(self, ids: Sequence[int], fields: Collection[str], *, apart: bool = False) -> Self:  # noqa: ARG002  # as `Shares`
        """The index itself: it tells everything apart, of all interfaces."""
        return self

    def who(self, application: int) -> Who:
        """Whose number it is."""
        return self._applications.get(application, Who("unnamed"))

    def sums(
        self, since_s: int, until_s: int, wanted: Callable[[Key], bool] = everything
    ) -> dict[Key, tuple[int, int]]:
        """Received and sent bytes of each key in [since, until), UTC seconds; those without any are left out."""
        found = {}
        with self._lock:
            for key, series in self._series.items():
                if series.starts[-1] >= since_s and wanted(key):
                    (rx,), (tx,) = series.between((since_s, until_s))
                    if rx or tx:
                        found[key] = (rx, tx)
        return found

    def between(
        self, edges: Sequence[int], wanted: Callable[[Key], bool] = everything
    ) -> tuple[list[int], list[int]]:
        """Received and sent bytes between every two neighbouring edges (ascending, UTC seconds) of all wanted keys."""
        rx, tx = [0] * (len(edges) - 1), [0] * (len(edges) - 1)
        with self._lock:
            for key, series in self._series.items():
                if series.starts[-1] >= edges[0] and wanted(key):
                    series.add_to(edges, rx, tx)
        return rx, tx


def _take(series: dict[Key, _Series], applications: dict[int, Who], rows: Iterable[tuple[int, ...]]) -> int:
    """Append rows, which come by time; just after when the last of those begins that last longer than a quarter."""
    kernel = {number for number, who in applications.items() if who.kind == "kernel"}
    known: dict[tuple[int, ...], _Series] = dict(series.items())
    last_s = 0
    for start_s, application, interface, scope, protocol, rx, tx, seconds in rows:
        key = (application, interface, scope, protocol if application in kernel else 0)
        own = known.get(key)
        if own is None:
            own = known[key] = series[Key(*key)] = _Series()
        own.append(start_s, rx, tx)
        if seconds > QUARTER_S:
            last_s = start_s + 1
    return last_s
