"""What applications had, in fewer rows: the tail of a day together, old quarters of an hour as days, unused names out.

No sum ever changes by any of it. What a tail had stands under the application of kind "other", by the same quarter,
interface, scope, protocol and family; a day has what its quarters had, by all of these but the quarter. Everything is
done inside commits, a little in each quarter of an hour, so that none is long, and so that a clock which is years ahead
for an hour costs days of quarters and not all of them. Where the record is delivered to a fleet, nothing is folded
before it was: folded rows cannot be told from one another any more.
"""

import sqlite3
from collections.abc import Callable, Generator, Iterable
from itertools import repeat, takewhile
from typing import Any

from netusage.ledger import share_changes
from netusage.ledger.chunks import DAY_S
from netusage.model import QUARTER_S, US

# The local day in which a time lies: from when to when, UTC seconds, multiples of 900.
DayOf = Callable[[int], tuple[int, int]]
# Up to which change number the ledger of that identity was delivered; None when it is delivered to nobody.
Shipped = Callable[[str], int | None]


def utc_day(at_s: int) -> tuple[int, int]:
    """The day of UTC in which a time lies, a `DayOf`."""
    return at_s // DAY_S * DAY_S, at_s // DAY_S * DAY_S + DAY_S


def nobody_waits(_identity: str) -> int | None:
    """Whatever is there may be folded, a `Shipped`."""
    return None


_TAILS_AT_ONCE = 2  # days
_LOOK_S = 366 * DAY_S  # so far is looked for a quarter at once
_UNUSED_AT_ONCE = 5000  # applications
_ROWS_AT_ONCE = 20_000
_SEEN_LATELY_US = 2 * DAY_S * US
_MILLION = 1_000_000

_BYTES = """
SELECT start_s, interface_id, application_id, rx_bytes, tx_bytes, rx_packets, tx_packets FROM share
WHERE start_s >= ? AND start_s < ?
"""
_NO_APPLICATIONS = "SELECT id FROM application WHERE kind != 'application'"
_OTHER = """
INSERT INTO application (kind, name, path, user, unit, container, pod, first_seen_us, last_seen_us)
VALUES ('other', '', '', '', '', '', '', ?, ?)
ON CONFLICT (kind, name, path, user, unit, container, pod) DO UPDATE SET
  first_seen_us = min(first_seen_us, excluded.first_seen_us), last_seen_us = max(last_seen_us, excluded.last_seen_us)
RETURNING id
"""
_TAIL = (
    """CREATE TEMP TABLE IF NOT EXISTS tail (interface_id INTEGER, application_id INTEGER,
       PRIMARY KEY (interface_id, application_id)) WITHOUT ROWID""",
    "DELETE FROM temp.tail",
)
_IN_TAIL = "(interface_id, application_id) IN (SELECT interface_id, application_id FROM temp.tail)"
_FOLD = f"""
INSERT INTO share
SELECT start_s, interface_id, ?, scope, protocol, family,
  sum(rx_bytes), sum(tx_bytes), sum(rx_packets), sum(tx_packets), max(seconds)
FROM share WHERE start_s = ? AND {_IN_TAIL} GROUP BY interface_id, scope, protocol, family
ON CONFLICT DO UPDATE SET rx_bytes = rx_bytes + excluded.rx_bytes, tx_bytes = tx_bytes + excluded.tx_bytes,
  rx_packets = rx_packets + excluded.rx_packets, tx_packets = tx_packets + excluded.tx_packets,
  seconds = max(seconds, excluded.seconds)
"""  # noqa: S608  # fixed texts
_FORGET_TAIL = f"DELETE FROM share WHERE start_s >= ? AND start_s < ? AND {_IN_TAIL}"  # noqa: S608
_A_QUARTER = """
SELECT start_s FROM share WHERE start_s >= ? AND start_s < ? AND seconds = 900 ORDER BY start_s LIMIT 1
"""
_OF_DAY = "start_s >= ?1 AND start_s < ?2 AND (seconds = 900 OR start_s = ?1)"
_QUARTERS = f"""
SELECT interface_id, application_id, scope, protocol, family, seconds, rx_bytes, tx_bytes, rx_packets, tx_packets
FROM share WHERE {_OF_DAY}
"""  # noqa: S608  # fixed texts
_DAYS_BEHIND = f"SELECT DISTINCT start_s / {DAY_S} * {DAY_S} FROM share_change WHERE change > ?"  # noqa: S608
_FORGET_QUARTERS = f"DELETE FROM share WHERE {_OF_DAY}"  # noqa: S608
_WRITE_DAY = "INSERT INTO share VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_PERHAPS_UNUSED = """
SELECT id FROM application WHERE kind = 'application' AND id > ? AND last_seen_us < ? ORDER BY id LIMIT ?
"""

# A name that comes back begins at zero, which is what whoever reads totals as counters takes it for.
_FORGET_TOTAL = """
DELETE FROM application_total WHERE kind = 'application' AND name = ?1
  AND NOT EXISTS (SELECT 1 FROM application WHERE kind = 'application' AND name = ?1)
"""


class Folding:
    """What is to be folded in one ledger, by the one who writes it.

    Args:
        below_ppm: millionths of an interface's bytes of a day; applications with less are its tail. 0: there is none.
        kept_s: how long quarters are kept, seconds.
        day_of: cuts the days that they become.
        shipped: what was delivered; nothing else is folded.
    """

    def __init__(self, below_ppm: int, kept_s: int, day_of: DayOf, shipped: Shipped = nobody_waits) -> None:
        self._below_ppm = below_ppm
        self._kept_s = kept_s
        self._day_of = day_of
        self._shipped = shipped
        self._identity = ""
        self._unused = _Unused()
        self._tails: set[int] = set()  # UTC days that may have one
        self._folded: list[int] = []  # those of them that this transaction has seen to
        self._from_s = 0  # before it there are days only
        self._goes_on_s = 0  # what that becomes when this transaction is committed

    def begin(self, connection: sqlite3.Connection, now_s: int) -> None:
        """Look at the ledger that was opened: of the last day in it nobody may have seen the end."""
        last = _rows(connection, "SELECT max(start_s) FROM share WHERE start_s <= ?", now_s)[0][0]
        self._tails = set() if last is None else {last // DAY_S * DAY_S}
        self._identity = "".join(row[0] for row in _rows(connection, "SELECT identity FROM ledger"))
        shipped = self._shipped(self._identity)
        if shipped is not None:
            self._tails.update(row[0] for row in _rows(connection, _DAYS_BEHIND, shipped))
        self._folded = []
        self._from_s = self._goes_on_s = 0
        self._unused = _Unused()

    def note(self, starts: Iterable[int], applications: Iterable[int]) -> None:
        """Say to which quarters (UTC seconds) and applications rows are added, also when that may fail."""
        for start_s in starts:
            self._tails.add(start_s // DAY_S * DAY_S)
            self._from_s = self._goes_on_s = min(self._from_s, start_s)
        self._unused.discard(applications)

    def turn(self, connection: sqlite3.Connection, now_s: int) -> None:
        """Do some of what is due, inside a transaction; once in a quarter of an hour is enough."""
        shipped = self._shipped(self._identity)

        def may_be_folded(day_s: int) -> bool:
            return shipped is None or not share_changes.is_behind(connection, day_s, day_s + DAY_S, shipped)

        over = sorted(day_s for day_s in self._tails if day_s + DAY_S <= now_s)
        self._folded = list(takewhile(may_be_folded, over[:_TAILS_AT_ONCE]))
        for day_s in self._folded:
            fold_tail(connection, day_s, day_s + DAY_S, self._below_ppm)
        self._goes_on_s, moved = make_day(
            connection, self._from_s, now_s - self._kept_s, self._day_of, self._below_ppm, shipped=shipped
        )
        self._unused.discard(moved)
        self._unused.turn(connection, now_s)

    def committed(self) -> None:
        """The transaction of the last turn is in the ledger."""
        self._tails.difference_update(self._folded)
        self._folded = []
        self._from_s = self._goes_on_s


class _Unused:
    """Finds applications without a row, and lets them go.

    All rows are gone through for some applications at a time, in steps. It is right because nobody else writes: rows
    that are added or moved meanwhile may come to stand where it has looked already, so `discard` has to be told.
    """

    def __init__(self) -> None:
        self._last_id = 0
        self._found: set[int] = set()  # applications without a row before `_at_s`
        self._at_s = 0

    def discard(self, applications: Iterable[int]) -> None:
        """These have rows."""
        self._found.difference_update(applications)

    def turn(self, connection: sqlite3.Connection, now_s: int) -> None:
        if not self._found:
            self._choose(connection, now_s)
        if self._found and self._look(connection):
            self._forget(connection)

    def _choose(self, connection: sqlite3.Connection, now_s: int) -> None:
        values = (self._last_id, now_s * US - _SEEN_LATELY_US, _UNUSED_AT_ONCE)
        chosen = [row[0] for row in _rows(connection, _PERHAPS_UNUSED, *values)]
        self._last_id = chosen[-1] if len(chosen) == _UNUSED_AT_ONCE else 0
        self._found, self._at_s = set(chosen), 0

    def _look(self, connection: sqlite3.Connection) -> bool:
        """Go through some more rows; whether these were the last."""
        question = "SELECT start_s, application_id FROM share WHERE start_s >= ? ORDER BY start_s"
        rows = _each(connection, question, self._at_s)
        for count, (start_s, application) in enumerate(rows):
            if count >= _ROWS_AT_ONCE and start_s != self._at_s:
                self._at_s = start_s
                rows.close()
                return False
            self._at_s = start_s
            self._found.discard(application)
        return True

    def _forget(self, connection: sqlite3.Connection) -> None:
        self.discard(row[0] for row in _rows(connection, "SELECT application_id FROM application_owner"))
        numbers = [(number,) for number in self._found]
        names = [
            _rows(connection, "SELECT name FROM application WHERE id = ?", number)[0]
            for number in self._found
        ]
        connection.executemany("DELETE FROM application_version WHERE application_id = ?", numbers)
        connection.executemany("DELETE FROM application WHERE id = ?", numbers)
        connection.executemany(_FORGET_TOTAL, names)
        self._found = set()


def fold_tail(connection: sqlite3.Connection, from_s: int, until_s: int, below_ppm: int) -> None:
    """Fold what applications had that had little of the bytes of an interface into one, "other".

    What has no application is not folded, and neither is an interface whose sums are beyond 2^63.

    Args:
        connection: open for writing, inside a transaction.
        from_s: rows that start in [from, until), UTC seconds, are looked at.
        until_s: as `from_s`.
        below_ppm: millionths of the bytes of the interface there; who had less is folded.
    """
    if not below_ppm:
        return
    starts: set[int] = set()
    had: dict[int, dict[int, int]] = {}
    packets: dict[int, int] = {}
    for start_s, interface, application, rx, tx, *more in _each(connection, _BYTES, from_s, until_s):
        starts.add(start_s)
        of_interface = had.setdefault(interface, {})
        of_interface[application] = of_interface.get(application, 0) + rx + tx
        packets[interface] = packets.get(interface, 0) + more[0] + more[1]
    nobody = {row[0] for row in _rows(connection, _NO_APPLICATIONS)}
    tail = []
    for interface, of_interface in had.items():
        total = sum(of_interface.values())
        if not (total | packets[interface]) >> 63:
            little = (who for who, number in of_interface.items() if number * _MILLION < below_ppm * total)
            tail += [(interface, who) for who in little if who not in nobody]
    if not tail:
        return
    (other,) = connection.execute(_OTHER, (from_s * US, until_s * US)).fetchone()
    for statement in _TAIL:
        connection.execute(statement)
    connection.executemany("INSERT INTO temp.tail VALUES (?, ?)", tail)
    connection.executemany(_FOLD, zip(repeat(other), sorted(starts)))
    connection.execute(_FORGET_TAIL, (from_s, until_s))


def make_day(
    connection: sqlite3.Connection,
    from_s: int,
    before_s: int,
    day_of: DayOf,
    below_ppm: int,
    *,
    shipped: int | None = None,
) -> tuple[int, set[int]]:
    """Make a day of the oldest quarters, if that day is over by `before_s`; its tail is folded then.

    Quarters that are written later, where the day is one already, are added to it the next time. A day whose sums are
    beyond 2^63 is left as it is.

    Args:
        connection: open for writing, inside a transaction.
        from_s: UTC seconds; no quarter before it is looked for.
        before_s: UTC seconds; quarters from it on are kept.
        day_of: cuts days.
        below_ppm: as for `fold_tail`.
        shipped: a day with anything above that change number is left as it is, None: no day is.

    Returns:
        Before when no quarters are left, UTC seconds, to go on from; and the applications that had rows in the day.
    """
    oldest = _rows(connection, "SELECT min(start_s) FROM share WHERE start_s >= ?", from_s)[0][0]
    if oldest is None or oldest >= before_s:
        return from_s, set()
    until_s = min(before_s, oldest + _LOOK_S)
    quarter = _rows(connection, _A_QUARTER, oldest, until_s)
    if not quarter:
        return until_s, set()
    start_s, end_s = day_of(quarter[0][0])
    if end_s > before_s or (
        shipped is not None and share_changes.is_behind(connection, start_s, end_s, shipped)
    ):
        return quarter[0][0], set()
    sums: dict[tuple[int, ...], list[int]] = {}
    again = False  # it is a day already, in part
    for row in _each(connection, _QUARTERS, start_s, end_s):
        into = sums.setdefault(row[:5], [0, 0, 0, 0, end_s - start_s])
        into[0] += row[6]
        into[1] += row[7]
        into[2] += row[8]
        into[3] += row[9]
        into[4] = max(into[4], row[5])  # which may be a day of another zone
        again = again or row[5] != QUARTER_S
    if not any(number >> 63 for into in sums.values() for number in into):
        connection.execute(_FORGET_QUARTERS, (start_s, end_s))
        connection.executemany(_WRITE_DAY, [(start_s, *key, *into) for key, into in sums.items()])
        fold_tail(connection, start_s, start_s + QUARTER_S, below_ppm)
        share_changes.fold(connection, start_s, end_s, again=again)
    return end_s, {key[1] for key in sums}


def _each(
    connection: sqlite3.Connection, question: str, *values: int
) -> Generator[tuple[Any, ...], None, None]:
    """Rows as plain tuples, one by one: that is quicker than by name, and takes no memory."""
    cursor = connection.cursor()
    cursor.row_factory = None
    try:
        yield from cursor.execute(question, values)
    finally:
        cursor.close()


def _rows(connection: sqlite3.Connection, question: str, *values: int) -> list[tuple[Any, ...]]:
    return list(_each(connection, question, *values))
