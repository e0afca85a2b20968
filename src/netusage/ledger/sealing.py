"""Roll-ups inside a commit's transaction: minutes into quarters, quarters under odometers, old minutes out.

Totals never change by any of it: a quarter is the sum of its minutes, and minutes go only when their quarter stands.
"""

import sqlite3
from collections.abc import Sequence

from netusage.ledger.schema import ODOMETER_S
from netusage.model import QUARTER_S

_DROP_AT_ONCE_S = 2 * 3600

_SEAL = """
INSERT INTO quarter
SELECT interface_id, quarter_s, rx_bytes, tx_bytes, rx_packets, tx_packets, peak_rx, peak_tx,
  (SELECT change FROM ledger) + row_number() OVER (ORDER BY quarter_s, interface_id)
FROM (
  SELECT interface_id, start_s / 900 * 900 AS quarter_s,
    sum(rx_bytes) AS rx_bytes, sum(tx_bytes) AS tx_bytes,
    sum(rx_packets) AS rx_packets, sum(tx_packets) AS tx_packets,
    max(peak_rx) AS peak_rx, max(peak_tx) AS peak_tx
  FROM minute WHERE start_s >= ? AND start_s < ? GROUP BY interface_id, quarter_s)
"""
_NOTE_ODOMETER = """
INSERT INTO odometer
SELECT q.interface_id, :at_s,
  coalesce(o.rx_bytes, 0) + sum(q.rx_bytes), coalesce(o.tx_bytes, 0) + sum(q.tx_bytes),
  coalesce(o.rx_packets, 0) + sum(q.rx_packets), coalesce(o.tx_packets, 0) + sum(q.tx_packets)
FROM interface i
LEFT JOIN odometer o ON o.interface_id = i.id
  AND o.at_s = (SELECT max(at_s) FROM odometer WHERE interface_id = i.id)
JOIN quarter q ON q.interface_id = i.id AND q.start_s >= coalesce(o.at_s, -1 << 62) AND q.start_s < :at_s
GROUP BY i.id
"""
_ADD_LATE = """
INSERT INTO quarter
  (start_s, interface_id, rx_bytes, tx_bytes, rx_packets, tx_packets, peak_rx, peak_tx, change)
VALUES (? / 900 * 900, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (interface_id, start_s) DO UPDATE SET
  rx_bytes = rx_bytes + excluded.rx_bytes, tx_bytes = tx_bytes + excluded.tx_bytes,
  rx_packets = rx_packets + excluded.rx_packets, tx_packets = tx_packets + excluded.tx_packets,
  peak_rx = max(peak_rx, excluded.peak_rx), peak_tx = max(peak_tx, excluded.peak_tx),
  change = excluded.change
"""
_MOVE_ODOMETERS = """
UPDATE odometer SET rx_bytes = rx_bytes + ?, tx_bytes = tx_bytes + ?, rx_packets = rx_packets + ?,
  tx_packets = tx_packets + ?
WHERE interface_id = ? AND at_s > ?
"""


def seal(connection: sqlite3.Connection, from_s: int, until_s: int) -> None:
    """Sum the minutes of [from_s, until_s) into quarters; both are multiples of 900 s, UTC."""
    made = connection.execute(_SEAL, (from_s, until_s)).rowcount
    connection.execute("UPDATE ledger SET sealed_until_s = ?, change = change + ?", (until_s, made))
    at_s = until_s // ODOMETER_S * ODOMETER_S
    if at_s > from_s // ODOMETER_S * ODOMETER_S:
        connection.execute(_NOTE_ODOMETER, {"at_s": at_s})


def add_late(connection: sqlite3.Connection, minutes: Sequence[tuple[int, ...]]) -> None:
    """Add what was counted in quarters that are sealed already (the wall clock went back).

    minutes: rows of start_s, interface, four counters, two peaks.
    """
    change = _changes(connection, len(minutes))
    connection.executemany(_ADD_LATE, [(*row, change + n) for n, row in enumerate(minutes, start=1)])
    moves = [(*row[2:6], row[1], row[0] // QUARTER_S * QUARTER_S) for row in minutes]
    connection.executemany(_MOVE_ODOMETERS, moves)


def add_spans(connection: sqlite3.Connection, spans: Sequence[tuple[object, ...]]) -> None:
    """Write estimated stretches: rows of interface, start_us, end_us, four counters, kind."""
    change = _changes(connection, len(spans))
    connection.executemany(
        "INSERT INTO span VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [(*row, change + n) for n, row in enumerate(spans, start=1)],
    )


def drop_old_minutes(connection: sqlite3.Connection, before_s: int) -> None:
    """Let go of minutes before `before_s`, two hours of them at the most.

    In small steps, so that no commit is long, and so that a clock which is years ahead for an hour costs hours of
    minutes and not all of them.
    """
    oldest = connection.execute("SELECT min(start_s) FROM minute").fetchone()[0]
    if oldest is None or oldest >= before_s:
        return
    sealed = connection.execute("SELECT sealed_until_s FROM ledger").fetchone()[0]
    until_s = min(before_s, oldest + _DROP_AT_ONCE_S, sealed) // QUARTER_S * QUARTER_S
    if until_s > oldest:
        connection.execute("DELETE FROM minute WHERE start_s < ?", (until_s,))
        connection.execute("UPDATE ledger SET minutes_from_s = max(minutes_from_s, ?)", (until_s,))


def _changes(connection: sqlite3.Connection, count: int) -> int:
    """Reserve `count` change numbers; the one before the first of them."""
    connection.execute("UPDATE ledger SET change = change + ?", (count,))
    return int(connection.execute("SELECT change FROM ledger").fetchone()[0]) - count
