"""Change numbers of what applications had: one for each sealed quarter of an hour that has rows, or day made of them.

They are of the same sequence as those of chunks and estimated stretches: whoever copies the ledger asks for everything
above the last number that he knows. A quarter is given one when it is sealed, and another one whenever something is
added to it later; so a commit costs what it did.
"""

import sqlite3
from collections.abc import Iterable

_NEXT = "SELECT start_s FROM share WHERE start_s >= ? AND start_s < ? ORDER BY start_s LIMIT 1"
_GIVE = "INSERT OR REPLACE INTO share_change VALUES (?, ?)"
# Quarters that begin in a stretch of which no row is left.
_FORGET = """
DELETE FROM share_change WHERE start_s >= ? AND start_s < ?
  AND NOT EXISTS (SELECT 1 FROM share WHERE share.start_s = share_change.start_s)
"""


def seal(connection: sqlite3.Connection, from_s: int, until_s: int, change: int) -> int:
    """Number the quarters in [from_s, until_s), UTC seconds.

    Args:
        connection: inside a transaction.
        from_s: where the first may begin.
        until_s: where none begins any more.
        change: the last change number that was given.

    Returns:
        The same now.
    """
    while (found := connection.execute(_NEXT, (from_s, until_s)).fetchone()) is not None:
        change += 1
        connection.execute(_GIVE, (found[0], change))
        from_s = found[0] + 1
    return change


def give(connection: sqlite3.Connection, starts: Iterable[int]) -> None:
    """Number quarters anew that are sealed already, since something was added to them."""
    change = connection.execute("SELECT change FROM ledger").fetchone()[0]
    rows = [(start_s, change + n) for n, start_s in enumerate(sorted(starts), start=1)]
    connection.executemany(_GIVE, rows)
    connection.execute("UPDATE ledger SET change = ?", (change + len(rows),))


def give_all(connection: sqlite3.Connection) -> None:
    """Number all that are sealed, in order, after all numbers that were given."""
    connection.execute("DELETE FROM share_change")
    change, sealed_s = connection.execute("SELECT change, sealed_until_s FROM ledger").fetchone()
    change = seal(connection, 0, sealed_s, change)
    connection.execute("UPDATE ledger SET change = ?", (change,))


def fold(connection: sqlite3.Connection, start_s: int, end_s: int, *, again: bool) -> None:
    """Number a day that its quarters have become.

    A day has the number of the last of its quarters, so whoever has those has it already. When something was added to
    it, `again`, it is given a new one.
    """
    sql = "SELECT max(change) FROM share_change WHERE start_s >= ? AND start_s < ?"
    last = connection.execute(sql, (start_s, end_s)).fetchone()[0]
    connection.execute(_FORGET, (start_s, end_s))
    if last is None:
        return  # nothing of it is sealed
    if again:
        give(connection, [start_s])
    else:
        # another day that begins in this one, of another zone, may have that number
        taken = "SELECT 1 FROM share_change WHERE change = ? AND start_s != ?"
        if connection.execute(taken, (last, start_s)).fetchone():
            give(connection, [start_s])
        else:
            connection.execute(_GIVE, (start_s, last))


def is_behind(connection: sqlite3.Connection, from_s: int, until_s: int, change: int) -> bool:
    """Whether anything that begins in [from_s, until_s) has a number above `change`, or none although it has rows."""
    above = "SELECT 1 FROM share_change WHERE start_s >= ? AND start_s < ? AND change > ? LIMIT 1"
    if connection.execute(above, (from_s, until_s, change)).fetchone():
        return True
    sealed_s = connection.execute("SELECT sealed_until_s FROM ledger").fetchone()[0]
    return connection.execute(_NEXT, (max(from_s, sealed_s), until_s)).fetchone() is not None
