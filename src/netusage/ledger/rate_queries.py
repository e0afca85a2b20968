"""Rates: the peak of a period, and the slots that percentiles are made of."""

import itertools
import sqlite3
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence

from netusage.ledger import fives, machine_chunks
from netusage.ledger.answers import LedgerState, Peak, Peaks
from netusage.ledger.chunks import DAY_S, OVERLAPPING, decode
from netusage.ledger.slots import Slots, sums
from netusage.ledger.usage_queries import Groups, minutes_from, set_members
from netusage.model import MINUTE_S, QUARTER_S, US

_PEAKS = f"SELECT id, start_s, quarters, peak_rx, peak_tx FROM chunk {OVERLAPPING}"  # noqa: S608  # fixed texts
_PEAKS_OF_ONE = "SELECT quarters, peaks FROM chunk WHERE id = ?"
_BYTES = "SELECT bytes FROM {} WHERE rowid IN ({})"
_PEAK_OF_MINUTES = """
SELECT m.g, start_s, peak_rx, peak_tx, minute.interface_id FROM minute
CROSS JOIN member m ON m.interface_id = minute.interface_id WHERE start_s >= ? AND start_s < ?
"""
_WHICH_MINUTE = """
SELECT start_s FROM minute WHERE start_s >= ? AND start_s < ? AND interface_id = ? AND {column} = ? ORDER BY start_s
"""
_MINUTES = """
SELECT m.g, start_s, rx_bytes, tx_bytes FROM minute t
CROSS JOIN member m ON m.interface_id = t.interface_id WHERE start_s >= ? AND start_s < ?
"""
_SPANS = """
SELECT g, start_us, end_us, rx_bytes, tx_bytes FROM member m
CROSS JOIN span s ON s.interface_id = m.interface_id AND s.start_us < ? AND s.end_us > ?
"""
_COLUMNS = ("peak_rx", "peak_tx")

_Pair = tuple[dict[int, int], dict[int, int]]


def peaks(
    connection: sqlite3.Connection, state: LedgerState, groups: Groups, edges: Sequence[int]
) -> list[list[Peaks]]:
    """See `LedgerReader.peaks`.

    A rate belongs to the minute or quarter in which it was; where the minutes of a quarter have been dropped, it
    belongs to no period that is shorter than that.
    """
    set_members(connection, groups)
    best: list[list[list[Peak | None]]] = [[[None, None] for _ in edges[1:]] for _ in groups]
    inner = [_inner(start, end, state) for start, end in itertools.pairwise(edges)]
    for g, ids in enumerate(groups):
        _from_quarters(connection, ids, inner, best[g])
    _from_minutes(connection, state, edges, best)
    return [[Peaks(*pair) for pair in of_group] for of_group in best]


def _from_quarters(
    connection: sqlite3.Connection,
    ids: Sequence[int],
    inner: Sequence[tuple[int, int]],
    best: list[list[Peak | None]],
) -> None:
    """The peaks of the whole, sealed quarters in each stretch, to the minute where that is kept."""
    # by stretch and way: the rate, and in which chunk and which of its quarters it is
    highest: dict[tuple[int, int], tuple[int, int, _Peaks, int, int]] = {}
    starts = [start for start, _ in inner]
    for interface_id in ids:
        within = (interface_id, inner[0][0], inner[-1][1])
        for number, start_s, count, *most in connection.execute(_PEAKS, within).fetchall():
            chunk = _Peaks(connection, number, start_s)
            end_s = start_s + count * QUARTER_S
            n = max(bisect_right(starts, start_s) - 1, 0)
            while n < len(inner) and inner[n][0] < end_s:
                low = max(inner[n][0] - start_s, 0) // QUARTER_S
                high = (min(inner[n][1], end_s) - start_s) // QUARTER_S
                for way in (0, 1) if high > low else ():
                    known = highest[n, way][0] if (n, way) in highest else 0
                    if most[way] <= known:
                        continue
                    rate = most[way] if (low, high) == (0, count) else chunk.highest(way, low, high)
                    if rate > known:
                        highest[n, way] = (rate, interface_id, chunk, low, high)
                n += 1
    for (n, way), (rate, interface_id, chunk, low, high) in highest.items():
        start_s = chunk.when(way, low, high, rate)
        where = (start_s, start_s + QUARTER_S, interface_id, rate)
        minute = connection.execute(_WHICH_MINUTE.format(column=_COLUMNS[way]), where).fetchone()
        at_s, width_s = (minute[0], MINUTE_S) if minute else (start_s, QUARTER_S)
        best[n][way] = Peak(rate, at_s, width_s, interface_id)


class _Peaks:
    """The peaks of one chunk, which are read when they are needed."""

    def __init__(self, connection: sqlite3.Connection, number: int, start_s: int) -> None:
        self._connection = connection
        self._number = number
        self._start_s = start_s
        self._columns: tuple[Sequence[int], Sequence[int]] | None = None

    def _read(self, way: int) -> Sequence[int]:
        if self._columns is None:
            count, pair = self._connection.execute(_PEAKS_OF_ONE, (self._number,)).fetchone()
            self._columns = decode(pair, count)
        return self._columns[way]

    def highest(self, way: int, low: int, high: int) -> int:
        """The highest in some quarters, numbered from the start of the chunk."""
        return max(self._read(way)[low:high])

    def when(self, way: int, low: int, high: int, rate: int) -> int:
        """The first of some quarters that has this rate, UTC seconds."""
        place = low + list(self._read(way)[low:high]).index(rate)
        return self._start_s + place * QUARTER_S


def _inner(start_s: int, end_s: int, state: LedgerState) -> tuple[int, int]:
    end_s = min(end_s, state.sealed_until_s)
    return -(-start_s // QUARTER_S) * QUARTER_S, end_s // QUARTER_S * QUARTER_S


def _from_minutes(
    connection: sqlite3.Connection,
    state: LedgerState,
    edges: Sequence[int],
    best: list[list[list[Peak | None]]],
) -> None:
    """The peaks of the minutes that belong to no whole, sealed quarter of a stretch."""
    outer: list[tuple[int, int]] = []
    for start, end in itertools.pairwise(edges):
        low, high = _inner(start, end, state)
        for piece in ((start, min(low, end)), (max(high, start), end)) if high > low else ((start, end),):
            if piece[1] > piece[0]:
                if outer and outer[-1][1] >= piece[0]:
                    outer[-1] = (outer[-1][0], piece[1])
                else:
                    outer.append(piece)
    for piece in outer:
        for g, start_s, rx, tx, interface in connection.execute(_PEAK_OF_MINUTES, piece):
            pair = best[g][bisect_right(edges, start_s) - 1]
            for way, rate in ((0, rx), (1, tx)):
                known = pair[way]
                if rate > (known.rate if known else 0):
                    pair[way] = Peak(rate, start_s, MINUTE_S, interface)


def slots(
    connection: sqlite3.Connection,
    state: LedgerState,
    groups: Groups,
    stretch: tuple[int, int],
    width_s: int,
) -> list[tuple[Sequence[int], Sequence[int]]]:
    """See `LedgerReader.slots`; estimated stretches are spread over the slots in proportion to time."""
    start_s, end_s = stretch
    set_members(connection, groups)
    count = max(end_s - start_s, 0) // width_s
    found = [(Slots(count), Slots(count)) for _ in groups]
    if width_s == QUARTER_S:
        read, low, high = _quarters, start_s, min(end_s, state.sealed_until_s)
    else:
        read, (low, high) = _fives, _noted(state, start_s, end_s)
    for ids, into in zip(groups, found, strict=True):
        for at_s, *columns in read(connection, ids, low, high):
            for way, column in zip(into, columns, strict=True):
                way.add_column((at_s - start_s) // width_s, column)
    others = ((start_s, low), (high, end_s)) if high > low else ((start_s, end_s),)
    for into, pair in zip(found, _others(connection, len(groups), stretch, others, width_s), strict=True):
        for way, more in zip(into, pair, strict=True):
            way.add(more)
    return [(rx.numbers, tx.numbers) for rx, tx in found]


def _others(
    connection: sqlite3.Connection,
    groups: int,
    stretch: tuple[int, int],
    by_minutes: Iterable[tuple[int, int]],
    width_s: int,
) -> list[_Pair]:
    """By group, received and sent bytes by the place of the slot: those of some minutes, and of all spans."""
    start_s, end_s = stretch
    found: list[_Pair] = [({}, {}) for _ in range(groups)]
    for piece in by_minutes:
        for g, at_s, rx, tx in connection.execute(_MINUTES, piece):
            _add(found[g], (at_s - start_s) // width_s, rx, tx)
    width_us, end_us = width_s * US, end_s * US
    for g, span_start, span_end, rx, tx in connection.execute(_SPANS, (end_us, start_s * US)):
        place, within = divmod(span_start - start_s * US, width_us)
        length = span_end - span_start
        if place >= 0 and within + length <= width_us:
            _add(found[g], place, rx, tx)
            continue
        first_us = start_s * US + max(place, 0) * width_us
        for begin in range(first_us, min(span_end, end_us), width_us):
            low = max(begin, span_start) - span_start
            high = min(begin + width_us, span_end) - span_start
            parts = [number * high // length - number * low // length for number in (rx, tx)]
            _add(found[g], (begin // US - start_s) // width_s, *parts)
    return found


def _add(pair: _Pair, place: int, rx: int, tx: int) -> None:
    pair[0][place] = pair[0].get(place, 0) + rx
    pair[1][place] = pair[1].get(place, 0) + tx


def _noted(state: LedgerState, start_s: int, end_s: int) -> tuple[int, int]:
    """Which whole days of a stretch have their five minutes noted."""
    low = max(start_s, minutes_from(state))
    high = min(end_s, state.sealed_until_s)
    return -(-low // DAY_S) * DAY_S, high // DAY_S * DAY_S


def _fives(
    connection: sqlite3.Connection, ids: Sequence[int], start_s: int, end_s: int
) -> Iterator[tuple[int, Sequence[int], Sequence[int]]]:
    """Five minutes by columns: where each begins, and its received and sent bytes; those of the same ones as sums."""
    for (at_s, count), pairs in fives.read(connection, ids, start_s, end_s).items():
        for columns in sums(pairs, count):
            yield at_s, *columns


def _quarters(
    connection: sqlite3.Connection, ids: Sequence[int], start_s: int, end_s: int
) -> Iterator[tuple[int, Sequence[int], Sequence[int]]]:
    """Quarters by columns: where each begins, and its received and sent bytes; those of the same quarters as sums."""
    if end_s <= start_s:
        return
    added_up, of_each = machine_chunks.heads(connection, ids, start_s, end_s)
    alike: dict[tuple[str, int, int], list[int]] = {}
    for table, heads in (("machine_chunk", added_up), *(("chunk", own) for own in of_each)):
        for number, at_s, quarters, *_ in heads:
            if at_s < end_s and at_s + quarters * QUARTER_S > start_s:
                alike.setdefault((table, at_s, quarters), []).append(number)
    for (table, at_s, quarters), numbers in alike.items():
        pairs = connection.execute(_BYTES.format(table, ", ".join(map(str, numbers)))).fetchall()
        for columns in sums([pair for (pair,) in pairs], quarters):
            yield at_s, *columns
