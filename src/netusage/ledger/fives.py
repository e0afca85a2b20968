"""Bytes of five minutes side by side: what percentiles are made of while minutes are kept.

When a UTC day is over, the sums of its minutes are written once for each interface that counted any byte in it, from
the first five minutes with any to the last. They follow from the minutes, and go with them.
"""

import contextlib
import sqlite3
from collections.abc import Iterator, Sequence

from netusage.ledger.chunks import DAY_S, decode, encode

FIVE_S = 300
PER_DAY = DAY_S // FIVE_S
_PASSES = 4

# Where the first of them starts, UTC seconds, and the columns of received and sent bytes.
Fives = tuple[int, tuple[list[int], list[int]]]

_COUNTED = "SELECT interface_id FROM minute WHERE start_s >= ?1 AND start_s < ?1 + 86400"
_MINUTES = """
SELECT interface_id, start_s, rx_bytes, tx_bytes FROM minute
WHERE start_s >= ?1 AND start_s < ?1 + 86400 AND interface_id BETWEEN ?2 AND ?3
"""
_READ = """
SELECT start_s, fives, bytes FROM five WHERE interface_id = ? AND start_s >= ? AND start_s < ?
"""
_NOTED = "SELECT interface_id, start_s, fives, bytes FROM five WHERE start_s >= ?1 AND start_s < ?1 + 86400"
_FORGET = "DELETE FROM five WHERE interface_id = ?1 AND start_s >= ?2 AND start_s < ?2 + 86400"
_WRITE = "INSERT INTO five (interface_id, start_s, fives, bytes) VALUES (?, ?, ?, ?)"
_SEALED_DAYS = """
SELECT DISTINCT start_s / 86400 * 86400 AS day_s FROM minute
WHERE day_s + 86400 <= (SELECT sealed_until_s FROM ledger)
"""


def note(connection: sqlite3.Connection, day_s: int, interface_id: int | None = None) -> None:
    """Write the sums of a day, UTC seconds, anew; those of one interface or of all."""
    for number, (start_s, columns) in of_minutes(connection, day_s, interface_id):
        connection.execute(_FORGET, (number, day_s))
        connection.execute(_WRITE, (number, start_s, len(columns[0]), encode(*columns)))


def note_all(connection: sqlite3.Connection) -> None:
    """Write the sums of every day that is sealed and has minutes."""
    for (day_s,) in connection.execute(_SEALED_DAYS).fetchall():
        note(connection, day_s)


def of_minutes(
    connection: sqlite3.Connection, day_s: int, interface_id: int | None = None
) -> Iterator[tuple[int, Fives]]:
    """Interfaces, ascending, with the five minutes of a day according to its minutes; those without a byte are left out.

    The minutes are gone through more than once, so that a recorder need not keep all interfaces in memory at once;
    they are read in the order in which they are stored, which needs no memory.
    """
    from array import array  # noqa: PLC0415  # who only reads does without

    # SQLite's own DISTINCT would take a megabyte, and keep it
    ids = (
        [interface_id] if interface_id else sorted({row[0] for row in connection.execute(_COUNTED, (day_s,))})
    )
    at_once = len(ids) // _PASSES + 1
    for first in range(0, len(ids), at_once):
        some = ids[first : first + at_once]
        sums = {number: array("q", bytes(2 * 8 * PER_DAY)) for number in some}
        for number, start_s, rx, tx in connection.execute(_MINUTES, (day_s, some[0], some[-1])):
            column, place = sums[number], (start_s - day_s) // FIVE_S
            column[place] += rx
            column[PER_DAY + place] += tx
        for number, column in sums.items():
            rx, tx = column[:PER_DAY], column[PER_DAY:]
            places = [place for place in range(PER_DAY) if rx[place] or tx[place]]
            if places:
                low, high = places[0], places[-1] + 1
                yield number, (day_s + low * FIVE_S, (rx[low:high].tolist(), tx[low:high].tolist()))


def noted(connection: sqlite3.Connection, day_s: int) -> dict[int, Fives]:
    """By interface, what is noted of a day; nothing where it is no such columns."""
    found: dict[int, Fives] = {}
    for number, start_s, count, pair in connection.execute(_NOTED, (day_s,)):
        with contextlib.suppress(sqlite3.DatabaseError):
            rx, tx = decode(pair, count)
            found[number] = (start_s, (list(rx), list(tx)))
    return found


def drop(connection: sqlite3.Connection, until_s: int) -> None:
    """Let go of the days all of whose minutes have been dropped."""
    connection.execute("DELETE FROM five WHERE start_s < ?", (until_s // DAY_S * DAY_S,))


def read(
    connection: sqlite3.Connection, ids: Sequence[int], from_s: int, until_s: int
) -> dict[tuple[int, int], list[bytes]]:
    """The pairs of columns of some interfaces in whole days, by where they start, UTC seconds, and their length."""
    found: dict[tuple[int, int], list[bytes]] = {}
    for interface_id in ids:
        for start_s, count, pair in connection.execute(_READ, (interface_id, from_s, until_s)):
            found.setdefault((start_s, count), []).append(pair)
    return found
