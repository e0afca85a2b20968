"""What the ledger remembers for a recorder that opens it: where the last one stopped counting, and why."""

import sqlite3

from netusage.ledger.batch import Counted, Epoch, LastReading, Remembered
from netusage.model import Counters, Link, Place, Who

_LIVING_HERE = """
SELECT e.*, i.name, i.kind, i.counted, i.reason FROM epoch e JOIN interface i ON i.id = e.interface_id
WHERE e.place_id = ? AND e.closed_us IS NULL
"""
_LAST_READING = "SELECT last_boot_ns, last_us, ended FROM run WHERE place_id = ? ORDER BY id DESC LIMIT 1"
_LAST_READING_BEFORE = """
SELECT last_boot_ns, last_us, ended FROM run
WHERE place_id IN (SELECT id FROM place WHERE machine = ? AND boot_id != ?) ORDER BY id DESC LIMIT 1
"""
_OWNERS = """
SELECT owner, kind, name, path, user, unit, container, pod FROM application_owner JOIN application ON id = application_id
"""
_ENDED_WITH_THEIR_BOOT = """
SELECT e.id, e.interface_id, max(r.last_us) AS last_us
FROM epoch e JOIN place p ON p.id = e.place_id JOIN run r ON r.place_id = p.id
WHERE e.closed_us IS NULL AND p.machine = ? AND p.boot_id != ? GROUP BY e.id
"""


def remember(connection: sqlite3.Connection, place: Place, place_id: int) -> Remembered:
    """What earlier recorders left for this place.

    Args:
        connection: the open ledger, with rows by name.
        place: where the recorder counts now.
        place_id: its number in the ledger.
    """
    here = _last_reading(connection, _LAST_READING, place_id)
    if here is None:
        known_boot = "SELECT 1 FROM place WHERE boot_id = ? AND id != ?"
        if connection.execute(known_boot, (place.boot_id, place_id)).fetchone():
            return Remembered()
        before = _last_reading(connection, _LAST_READING_BEFORE, place.machine, place.boot_id)
        return Remembered(before=before)
    newest_life = connection.execute("SELECT newest_life FROM place WHERE id = ?", (place_id,)).fetchone()[0]
    rows = connection.execute(_LIVING_HERE, (place_id,)).fetchall()
    return Remembered(
        here=here,
        epochs=tuple(_epoch(row, place) for row in rows),
        newest_life=newest_life,
        counted=_counted(connection),
    )


def close_earlier_boots(connection: sqlite3.Connection, place: Place) -> None:
    """Close the epochs of this machine's earlier boots: no counter outlives its boot. Inside a transaction."""
    for row in connection.execute(_ENDED_WITH_THEIR_BOOT, (place.machine, place.boot_id)).fetchall():
        connection.execute(
            "UPDATE epoch SET closed_us = ?, closed_because = 'reboot' WHERE id = ?",
            (row["last_us"], row["id"]),
        )
        connection.execute(
            "UPDATE interface SET last_seen_us = max(last_seen_us, ?) WHERE id = ?",
            (row["last_us"], row["interface_id"]),
        )


def signed(owner: int) -> int:
    """The number of an owner, of 64 bits, as SQLite takes it."""
    return owner - (1 << 64) if owner >> 63 else owner


def _counted(connection: sqlite3.Connection) -> Counted | None:
    rows = [tuple(row) for row in connection.execute("SELECT * FROM application_counter")]
    if len({row[0] for row in rows}) != 1:
        return None
    counters = {(row[1] % (1 << 64), *row[2:7]): row[7:] for row in rows}
    owners = {row[0] % (1 << 64): Who(*row[1:]) for row in connection.execute(_OWNERS)}
    return Counted(rows[0][0], whole=True, counters=counters, owners=owners)


def _last_reading(connection: sqlite3.Connection, select: str, *values: object) -> LastReading | None:
    row = connection.execute(select, values).fetchone()
    return LastReading(row["last_boot_ns"], row["last_us"], row["ended"]) if row else None


def _epoch(row: sqlite3.Row, place: Place) -> Epoch:
    return Epoch(
        place=place,
        link=Link(row["link_index"], row["name"], row["kind"], life=row["life"]),
        opened_us=row["opened_us"],
        opened_because=row["opened_because"],
        first=Counters(*(row[f"first_{name}"] for name in Counters._fields)),
        last=Counters(*(row[f"last_{name}"] for name in Counters._fields)),
        counted=bool(row["counted"]),
        reason=row["reason"],
        committed=Counters(*(row[f"last_{name}"] for name in Counters._fields)),
        row=row["id"],
        interface_row=row["interface_id"],
    )
