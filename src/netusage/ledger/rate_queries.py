"""Rates: the peak of a period, and the slots that percentiles are made of."""

import itertools
import json
import sqlite3
from bisect import bisect_right
from collections.abc import Sequence
from operator import add

from netusage.ledger.answers import LedgerState, Peak, Peaks
from netusage.ledger.usage_queries import set_members, writing_temporary
from netusage.model import MINUTE_S, QUARTER_S, US

Slots = tuple[list[int], list[int]]

_STRETCHES = """
CREATE TEMP TABLE IF NOT EXISTS stretch (n INTEGER PRIMARY KEY, start_s INTEGER NOT NULL, end_s INTEGER NOT NULL)
"""
# Grouped in the order in which rows are met.
_PEAKS_OF_QUARTERS = """
SELECT m.g, s.n, m.interface_id, max(q.peak_rx), max(q.peak_tx) FROM stretch s CROSS JOIN member m
CROSS JOIN quarter q ON q.interface_id = m.interface_id AND q.start_s >= s.start_s AND q.start_s < s.end_s
GROUP BY s.n, m.interface_id
"""
_WHICH_QUARTER = """
SELECT start_s FROM quarter WHERE interface_id = ? AND start_s >= ? AND start_s < ? AND {column} = ? ORDER BY start_s
"""
_PEAK_OF_MINUTES = """
SELECT m.g, start_s, peak_rx, peak_tx, minute.interface_id FROM minute
CROSS JOIN member m ON m.interface_id = minute.interface_id WHERE start_s >= ? AND start_s < ?
"""
_WHICH_MINUTE = """
SELECT start_s FROM minute WHERE start_s >= ? AND start_s < ? AND interface_id = ? AND {column} = ? ORDER BY start_s
"""
# A list of numbers is looked up faster than a table.
_SLOTS_OF_ONE = """
SELECT 0, s.start_s, sum(rx_bytes), sum(tx_bytes) FROM stretch s
CROSS JOIN minute t ON t.start_s >= s.start_s AND t.start_s < s.end_s
WHERE t.interface_id IN ({ids}) GROUP BY s.n
"""
_MINUTES = """
SELECT m.g, start_s, rx_bytes, tx_bytes FROM minute t
CROSS JOIN member m ON m.interface_id = t.interface_id WHERE start_s >= ? AND start_s < ?
"""
# In the order of the primary key, which is how the rows are read.
_QUARTERS = """
SELECT m.g, m.interface_id, min(start_s), max(start_s), json_group_array(rx_bytes), json_group_array(tx_bytes)
FROM member m CROSS JOIN quarter q ON q.interface_id = m.interface_id AND q.start_s >= ? AND q.start_s < ?
GROUP BY m.interface_id
"""
_QUARTERS_OF = (
    "SELECT start_s FROM quarter WHERE interface_id = ? AND start_s >= ? AND start_s < ? ORDER BY start_s"
)
_SPANS = """
SELECT g, start_us, end_us, rx_bytes, tx_bytes FROM member m
CROSS JOIN span s ON s.interface_id = m.interface_id AND s.start_us < ? AND s.end_us > ?
"""
_COLUMNS = ("peak_rx", "peak_tx")


def peaks(
    connection: sqlite3.Connection, state: LedgerState, groups: Sequence[Sequence[int]], edges: Sequence[int]
) -> list[list[Peaks]]:
    """See `LedgerReader.peaks`.

    A rate belongs to the minute or quarter in which it was; where the minutes of a quarter have been dropped, it
    belongs to no period that is shorter than that.
    """
    set_members(connection, groups)
    best: list[list[list[Peak | None]]] = [[[None, None] for _ in edges[1:]] for _ in groups]
    _from_quarters(connection, state, edges, best)
    _from_minutes(connection, state, edges, best)
    return [[Peaks(*pair) for pair in of_group] for of_group in best]


def _from_quarters(
    connection: sqlite3.Connection,
    state: LedgerState,
    edges: Sequence[int],
    best: list[list[list[Peak | None]]],
) -> None:
    """The peaks of the whole, sealed quarters in each stretch, to the minute where that is kept."""
    inner = [_inner(start, end, state) for start, end in itertools.pairwise(edges)]
    set_stretches(connection, [(n, start, end) for n, (start, end) in enumerate(inner) if end > start])
    # by group, stretch and way: the rate, and whose it was
    highest: dict[tuple[int, int, int], tuple[int, int]] = {}
    for g, n, interface, *rates in connection.execute(_PEAKS_OF_QUARTERS):
        for way, rate in enumerate(rates):
            if (g, n, way) not in highest or rate > highest[g, n, way][0]:
                highest[g, n, way] = (rate, interface)
    for (g, n, way), (rate, interface) in highest.items():
        column = _COLUMNS[way]
        (start_s,) = connection.execute(
            _WHICH_QUARTER.format(column=column), (interface, *inner[n], rate)
        ).fetchone()
        where = (start_s, start_s + QUARTER_S, interface, rate)
        minute = connection.execute(_WHICH_MINUTE.format(column=column), where).fetchone()
        at_s, width_s = (minute[0], MINUTE_S) if minute else (start_s, QUARTER_S)
        best[g][n][way] = Peak(rate, at_s, width_s, interface)


def set_stretches(connection: sqlite3.Connection, rows: Sequence[tuple[int, int, int]]) -> None:
    """Fill a temporary table with numbered stretches, UTC seconds."""
    with writing_temporary(connection):
        connection.execute(_STRETCHES)
        connection.execute("DELETE FROM stretch")
        connection.executemany("INSERT INTO stretch VALUES (?, ?, ?)", rows)


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
                if known is None or rate > known.rate:
                    pair[way] = Peak(rate, start_s, MINUTE_S, interface)


def slots(
    connection: sqlite3.Connection, groups: Sequence[Sequence[int]], start_s: int, end_s: int, width_s: int
) -> list[Slots]:
    """See `LedgerReader.slots`; estimated stretches are spread over the slots in proportion to time."""
    set_members(connection, groups)
    count = max(end_s - start_s, 0) // width_s
    found: list[Slots] = [([0] * count, [0] * count) for _ in groups]
    minutes_from = start_s
    if width_s == QUARTER_S:
        sealed = connection.execute("SELECT sealed_until_s FROM ledger").fetchone()[0]
        _add_quarters(connection, found, start_s, end_s)
        minutes_from = max(sealed, start_s)
    if len(groups) == 1:
        first = (minutes_from - start_s) // width_s
        rows = [(n, start_s + n * width_s, start_s + (n + 1) * width_s) for n in range(first, count)]
        set_stretches(connection, rows)
        minutes = connection.execute(_SLOTS_OF_ONE.format(ids=", ".join(map(str, groups[0]))))
    else:
        minutes = connection.execute(_MINUTES, (minutes_from, end_s))
    for g, at_s, rx, tx in minutes:
        place = (at_s - start_s) // width_s
        found[g][0][place] += rx
        found[g][1][place] += tx
    for g, *span in connection.execute(_SPANS, (end_s * US, start_s * US)):
        _spread(found[g], span, start_s, width_s)
    return found


def _add_quarters(connection: sqlite3.Connection, found: list[Slots], start_s: int, end_s: int) -> None:
    """Add quarters of an hour, interface by interface as whole columns."""
    for g, interface, first, last, *columns in connection.execute(_QUARTERS, (start_s, end_s)).fetchall():
        numbers = [json.loads(column) for column in columns]
        place, length = (first - start_s) // QUARTER_S, len(numbers[0])
        if (last - first) // QUARTER_S + 1 == length:
            for into, values in zip(found[g], numbers, strict=True):
                into[place : place + length] = map(add, into[place : place + length], values)
            continue
        times = connection.execute(_QUARTERS_OF, (interface, start_s, end_s)).fetchall()
        for (at_s,), rx, tx in zip(times, *numbers, strict=True):
            found[g][0][(at_s - start_s) // QUARTER_S] += rx
            found[g][1][(at_s - start_s) // QUARTER_S] += tx


def _spread(into: Slots, span: Sequence[int], start_s: int, width_s: int) -> None:
    span_start, span_end, rx, tx = span
    length = span_end - span_start
    place = max(span_start // US - start_s, 0) // width_s
    while place < len(into[0]) and (begin := (start_s + place * width_s) * US) < span_end:
        low = max(begin, span_start) - span_start
        high = min(begin + width_s * US, span_end) - span_start
        into[0][place] += rx * high // length - rx * low // length
        into[1][place] += tx * high // length - tx * low // length
        place += 1
