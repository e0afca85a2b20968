"""Roll-ups inside a commit's transaction: minutes into quarters, days of them together, old minutes out.

Totals never change by any of it: a quarter is the sum of its minutes, and minutes go only when their quarter stands.
"""

import sqlite3
from collections.abc import Sequence
from itertools import groupby
from operator import itemgetter

from netusage.ledger import chunks, fives, machine_chunks, share_changes
from netusage.model import QUARTER_S

_DROP_AT_ONCE_S = 2 * 3600


def seal(connection: sqlite3.Connection, from_s: int, until_s: int) -> None:
    """Sum the minutes of [from_s, until_s) into quarters; both are multiples of 900 s, UTC."""
    change = _change(connection)
    rows = connection.execute(chunks.QUARTERS_OF_MINUTES, (from_s, until_s)).fetchall()
    for interface_id, own in groupby(rows, key=itemgetter(0)):
        change = chunks.append(connection, interface_id, [row[1:] for row in own], change)
    change = share_changes.seal(connection, from_s, until_s, change)
    connection.execute("UPDATE ledger SET sealed_until_s = ?, change = ?", (until_s, change))
    days = range(from_s // chunks.DAY_S * chunks.DAY_S, until_s - chunks.DAY_S + 1, chunks.DAY_S)
    for day_s in days:
        fives.note(connection, day_s)
    if days:
        machine_chunks.refresh(connection, days[-1] + chunks.DAY_S)


def add_late(connection: sqlite3.Connection, minutes: Sequence[tuple[int, ...]]) -> None:
    """Add what was counted in quarters that are sealed already (the wall clock went back).

    minutes: rows of start_s, interface, four counters, two peaks; they are in the table `minute`.
    """
    change = _changes(connection, len(minutes))
    for n, (start_s, interface_id, *numbers) in enumerate(minutes, start=1):
        quarter = (start_s // QUARTER_S * QUARTER_S, *numbers)
        chunks.add(connection, interface_id, quarter, change + n)  # type: ignore[arg-type]
    sealed_s = connection.execute("SELECT sealed_until_s FROM ledger").fetchone()[0]
    for day_s, interface_id in {(row[0] // chunks.DAY_S * chunks.DAY_S, row[1]) for row in minutes}:
        if day_s + chunks.DAY_S <= sealed_s:
            fives.note(connection, day_s, interface_id)


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
        fives.drop(connection, until_s)
        connection.execute("UPDATE ledger SET minutes_from_s = max(minutes_from_s, ?)", (until_s,))


def _changes(connection: sqlite3.Connection, count: int) -> int:
    """Reserve `count` change numbers; the one before the first of them."""
    connection.execute("UPDATE ledger SET change = change + ?", (count,))
    return _change(connection) - count


def _change(connection: sqlite3.Connection) -> int:
    """The last change number that was given."""
    return int(connection.execute("SELECT change FROM ledger").fetchone()[0])
