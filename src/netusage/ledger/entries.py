"""Entries as they are kept, one by one in order of time: what leaves the ledger for other programs.

Nothing is gathered that grows with the length of the stretch: of each interface one chunk is in memory at a time.
"""

import heapq
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple

from netusage.ledger.answers import SpanRecord
from netusage.ledger.chunks import OVERLAPPING, QUARTERS_OF_MINUTES, decode
from netusage.ledger.reader import LedgerReader
from netusage.model import MINUTE_S, QUARTER_S

# Start (UTC seconds), the place of the interface in the order that was asked for, four counters and two peaks.
_Numbered = tuple[int, int, Sequence[int]]

_CHUNKS = f"SELECT id FROM chunk {OVERLAPPING}"  # noqa: S608  # fixed texts
_CHUNK = "SELECT start_s, quarters, bytes, packets, peaks FROM chunk WHERE id = ?"
_MINUTES = """
SELECT start_s, interface_id, rx_bytes, tx_bytes, rx_packets, tx_packets, peak_rx, peak_tx FROM minute
WHERE start_s >= ? AND start_s < ? ORDER BY start_s
"""
_SPANS = """
SELECT interface_id, start_us, end_us, rx_bytes, tx_bytes, rx_packets, tx_packets, kind
FROM span WHERE start_us < ? AND end_us > ? ORDER BY start_us
"""
_SHARES = """
SELECT start_s, seconds, application_id, interface_id, scope, protocol, family, rx_bytes, tx_bytes, rx_packets, tx_packets
FROM share WHERE start_s >= ? AND start_s < ? ORDER BY start_s
"""
_WATCHED = """
SELECT w.start_us, w.end_us, r.source, r.tier FROM watched w JOIN run r ON r.id = w.run_id
WHERE w.start_us < ? AND w.end_us > ? ORDER BY w.start_us, w.end_us, r.source, r.tier
"""


class Entry(NamedTuple):
    """What one interface counted in a minute or a quarter of an hour.

    start_s: UTC seconds. seconds: how long it is. place: of the interface in the order that was asked for.
    numbers: four counters, and the highest rate in and out, bytes per second.
    """

    start_s: int
    seconds: int
    place: int
    numbers: Sequence[int]


class ShareEntry(NamedTuple):
    """What one application had in a quarter of an hour or a day; the fields as in the table `share`."""

    start_s: int
    seconds: int
    application_id: int
    interface_id: int
    scope: int
    protocol: int
    family: int
    rx_bytes: int
    tx_bytes: int
    rx_packets: int
    tx_packets: int


def counted(
    reader: LedgerReader, ids: Sequence[int], since_s: int, until_s: int, *, minutes: bool
) -> Iterator[Entry]:
    """Everything that was counted in [since, until), by start and then in the order of the interfaces.

    Args:
        reader: the ledger.
        ids: numbers of interfaces.
        since_s: UTC seconds, a multiple of 900 (of 60 with `minutes`, from `reader.minutes_from_s` on).
        until_s: as `since_s`.
        minutes: tell minutes where they are kept.
    """
    sealed_s = reader.state.sealed_until_s
    until_chunks_s = min(until_s, reader.minutes_from_s if minutes else sealed_s, sealed_s)
    with reader.reading() as connection:
        of_each = [_quarters(connection, n, number, since_s, until_chunks_s) for n, number in enumerate(ids)]
        for start_s, place, numbers in heapq.merge(*of_each, key=itemgetter(0, 1)):
            yield Entry(start_s, QUARTER_S, place, numbers)
        places = {number: n for n, number in enumerate(ids)}
        if minutes:
            rows = _of_minutes(connection, places, max(since_s, reader.minutes_from_s), until_s)
            seconds = MINUTE_S
        else:
            rows = _tail(connection, places, max(since_s, sealed_s), until_s)
            seconds = QUARTER_S
        for start_s, place, numbers in rows:
            yield Entry(start_s, seconds, place, numbers)


def _quarters(
    connection: sqlite3.Connection, place: int, interface_id: int, since_s: int, until_s: int
) -> Iterator[_Numbered]:
    """The sealed quarters of one interface in which anything was counted."""
    for (number,) in connection.execute(_CHUNKS, (interface_id, since_s, until_s)).fetchall():
        start_s, count, *pairs = connection.execute(_CHUNK, (number,)).fetchone()
        columns = [column for pair in pairs for column in decode(pair, count)]
        for at_s, *numbers in zip(
            range(start_s, start_s + count * QUARTER_S, QUARTER_S), *columns, strict=True
        ):
            if since_s <= at_s < until_s and any(numbers):
                yield at_s, place, numbers


def _of_minutes(
    connection: sqlite3.Connection, places: Mapping[int, int], since_s: int, until_s: int
) -> Iterator[_Numbered]:
    rows = connection.execute(_MINUTES, (since_s, until_s))
    for start_s, together in groupby(rows, key=itemgetter(0)):
        known = [(places[row[1]], row[2:]) for row in together if row[1] in places and any(row[2:])]
        for place, numbers in sorted(known):
            yield start_s, place, numbers


def _tail(
    connection: sqlite3.Connection, places: Mapping[int, int], since_s: int, until_s: int
) -> Iterator[_Numbered]:
    """Quarters that are not sealed yet: as a rule, the running one."""
    rows = connection.execute(QUARTERS_OF_MINUTES, (since_s, until_s)).fetchall()
    known = [(row[1], places[row[0]], row[2:]) for row in rows if row[0] in places and any(row[2:])]
    yield from sorted(known)


def estimated(reader: LedgerReader, since_us: int, until_us: int) -> Iterator[SpanRecord]:
    """Every estimated stretch that overlaps [since, until), UTC microseconds, by start."""
    with reader.reading() as connection:
        for row in connection.execute(_SPANS, (until_us, since_us)):
            yield SpanRecord(*row)


def shares(reader: LedgerReader, since_s: int, until_s: int) -> Iterator[ShareEntry]:
    """Every row of what applications had that starts in [since, until), UTC seconds, by start."""
    with reader.reading() as connection:
        for row in connection.execute(_SHARES, (since_s, until_s)):
            yield ShareEntry(*row)


def watched(reader: LedgerReader, since_us: int, until_us: int) -> Iterator[tuple[int, int, str, str]]:
    """Stretches without a break in the readings that overlap [since, until), UTC microseconds.

    Each is its start and end, the source of the numbers, and how applications were told apart.
    """
    with reader.reading() as connection:
        yield from connection.execute(_WATCHED, (until_us, since_us))
