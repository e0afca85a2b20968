"""Bytes of five minutes side by side: what percentiles are made of while minutes are kept.

When a UTC day is over, the 288 sums of its minutes are written once for each interface that counted anything in it.
They follow from the minutes, and go with them.
"""

import contextlib
import sqlite3
from collections.abc import Sequence

from netusage.ledger.chunks import DAY_S, decode, encode

FIVE_S = 300
PER_DAY = DAY_S // FIVE_S

Columns = tuple[list[int], list[int]]

_OF_MINUTES = """
SELECT interface_id, (start_s - ?1) / 300 AS place, sum(rx_bytes), sum(tx_bytes) FROM minute
WHERE start_s >= ?1 AND start_s < ?1 + 86400 {only} GROUP BY interface_id, place
"""
_READ = """
SELECT start_s, bytes FROM five WHERE interface_id = ? AND start_s >= ? AND start_s < ?
"""
_NOTED = "SELECT interface_id, bytes FROM five WHERE start_s = ?"
_WRITE = """
INSERT INTO five (interface_id, start_s, bytes) VALUES (?, ?, ?)
ON CONFLICT (interface_id, start_s) DO UPDATE SET bytes = excluded.bytes
"""
_SEALED_DAYS = """
SELECT DISTINCT start_s / 86400 * 86400 AS day_s FROM minute
WHERE day_s + 86400 <= (SELECT sealed_until_s FROM ledger)
"""


def note(connection: sqlite3.Connection, day_s: int, interface_id: int | None = None) -> None:
    """Write the sums of a day, UTC seconds, anew; those of one interface or of all."""
    for number, columns in of_minutes(connection, day_s, interface_id).items():
        connection.execute(_WRITE, (number, day_s, encode(*columns)))


def note_all(connection: sqlite3.Connection) -> None:
    """Write the sums of every day that is sealed and has minutes."""
    for (day_s,) in connection.execute(_SEALED_DAYS).fetchall():
        note(connection, day_s)


def of_minutes(
    connection: sqlite3.Connection, day_s: int, interface_id: int | None = None
) -> dict[int, Columns]:
    """By interface, the received and sent bytes of a day's five minutes according to its minutes."""
    only = "" if interface_id is None else f"AND interface_id = {int(interface_id)}"
    found: dict[int, Columns] = {}
    for number, place, rx, tx in connection.execute(_OF_MINUTES.format(only=only), (day_s,)):
        columns = found.setdefault(number, ([0] * PER_DAY, [0] * PER_DAY))
        columns[0][place] = rx
        columns[1][place] = tx
    return found


def noted(connection: sqlite3.Connection, day_s: int) -> dict[int, Columns]:
    """By interface, what is noted of a day; nothing where it is no such columns."""
    found: dict[int, Columns] = {}
    for number, pair in connection.execute(_NOTED, (day_s,)):
        with contextlib.suppress(sqlite3.DatabaseError):
            rx, tx = decode(pair, PER_DAY)
            found[number] = (list(rx), list(tx))
    return found


def drop(connection: sqlite3.Connection, until_s: int) -> None:
    """Let go of the days all of whose minutes have been dropped."""
    connection.execute("DELETE FROM five WHERE start_s <= ?", (until_s - DAY_S,))


def read(
    connection: sqlite3.Connection, ids: Sequence[int], from_s: int, until_s: int
) -> dict[int, list[bytes]]:
    """The pairs of columns of some interfaces, by the day, UTC seconds, from one time to another."""
    found: dict[int, list[bytes]] = {}
    for interface_id in ids:
        for start_s, bytes_ in connection.execute(_READ, (interface_id, from_s, until_s)):
            found.setdefault(start_s, []).append(bytes_)
    return found
