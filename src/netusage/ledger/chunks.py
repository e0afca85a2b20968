"""Quarters of an hour side by side: what the ledger keeps for ever.

A chunk holds quarters of one interface that follow one another, and each of its columns is a number after the other:
what was counted in each quarter, and its peaks. Beside them stand running totals before every fourth quarter, from
the start of the chunk, and those of the interface before it: what was counted until the end of any quarter is one
look-up and three numbers at the most. The quarters of the running UTC day have a chunk of their own, which is small
and written every quarter of an hour; when the day is over, it joins those before it, up to four weeks together.

Columns come in pairs (bytes, packets, peaks, and the totals of the first two), little-endian, four bytes a number
where that is enough and eight otherwise; the length of the pair tells which. A checksum tells whether they are what
was written: SQLite has none.
"""

import sqlite3
import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate

from netusage.model import QUARTER_S

DAY_S = 86_400
LONGEST_S = 28 * DAY_S
STRIDE = 4  # quarters from one running total to the next

# One quarter: its start in UTC seconds, four counters, two peaks.
Quarter = tuple[int, int, int, int, int, int, int]

# The chunks of an interface that may reach into a stretch: interface, from and until when, UTC seconds.
OVERLAPPING = f"WHERE interface_id = ? AND start_s > ? - {LONGEST_S} AND start_s < ? ORDER BY start_s"
# What the minutes from one time to another make of each quarter: interface, and a `Quarter`.
QUARTERS_OF_MINUTES = """
SELECT interface_id, start_s / 900 * 900 AS quarter_s, sum(rx_bytes), sum(tx_bytes), sum(rx_packets), sum(tx_packets),
  max(peak_rx), max(peak_tx)
FROM minute WHERE start_s >= ? AND start_s < ? GROUP BY interface_id, quarter_s
"""
# What `Chunk.of_row` reads.
FIELDS = "id, interface_id, start_s, rx_bytes, tx_bytes, rx_packets, tx_packets, change, quarters, bytes, packets, peaks"

_COUNTERS = 4
_INSERT = """
INSERT INTO chunk (id, interface_id, start_s, quarters, rx_bytes, tx_bytes, rx_packets, tx_packets,
  peak_rx, peak_tx, change, bytes, byte_totals, packets, packet_totals, peaks, crc)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (id) DO UPDATE SET start_s = excluded.start_s, quarters = excluded.quarters,
  rx_bytes = excluded.rx_bytes, tx_bytes = excluded.tx_bytes, rx_packets = excluded.rx_packets,
  tx_packets = excluded.tx_packets, peak_rx = excluded.peak_rx, peak_tx = excluded.peak_tx,
  change = excluded.change, bytes = excluded.bytes, byte_totals = excluded.byte_totals,
  packets = excluded.packets, packet_totals = excluded.packet_totals, peaks = excluded.peaks, crc = excluded.crc
"""
_MOVE_LATER = """
UPDATE chunk SET rx_bytes = rx_bytes + ?, tx_bytes = tx_bytes + ?, rx_packets = rx_packets + ?,
  tx_packets = tx_packets + ?
WHERE interface_id = ? AND start_s > ?
"""


# ---- Columns ----------------------------------------------------------------------------------------------------


def encode(first: Sequence[int], second: Sequence[int]) -> bytes:
    """A pair of columns of one length; numbers are not negative and below 2^64."""
    from array import array  # noqa: PLC0415  # who only reads does without

    code = "I" if max(max(first, default=0), max(second, default=0)) < 1 << 32 else "Q"
    numbers = array(code, first)
    numbers.extend(second)
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers.tobytes()


def decode(pair: bytes, count: int) -> tuple[Sequence[int], Sequence[int]]:
    """The two columns of a pair.

    Raises:
        sqlite3.DatabaseError: the pair is not of so many numbers; the file is damaged.
    """
    width, rest = divmod(len(pair), 2 * count) if count > 0 else (0, 0)
    if rest or width not in (4, 8):
        raise damage(f"{len(pair)} bytes are no pair of columns of {count} numbers")
    if sys.byteorder == "big":
        from array import array  # noqa: PLC0415  # as above

        numbers = array("I" if width == 4 else "Q", pair)
        numbers.byteswap()
        return numbers[:count], numbers[count:]
    view = memoryview(pair)
    columns = view.cast("I") if width == 4 else view.cast("Q")
    return columns[:count], columns[count:]


def damage(what: str) -> sqlite3.DatabaseError:
    """An error like those of SQLite when it finds the file damaged."""
    error = sqlite3.DatabaseError(what)
    error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    return error


def totals_of(count: int) -> int:
    """How many running totals there are of so many quarters."""
    return count // STRIDE + 1


def checksum(*pairs: bytes) -> int:
    """CRC-32 of the pairs, one after the other."""
    import zlib  # noqa: PLC0415  # who only reads does without

    return zlib.crc32(b"".join(pairs))


# ---- One chunk --------------------------------------------------------------------------------------------------


class Chunk:
    """One row of the table `chunk`.

    Attributes:
        id: of the row; None before there is one.
        interface_id: whose it is.
        start_s: UTC seconds, a multiple of 900.
        before: the four running totals of the interface at the start.
        counters: four columns, what was counted in each quarter.
        peaks: two columns, bytes per second.
        change: the change number of its last change.
    """

    __slots__ = ("before", "change", "counters", "id", "interface_id", "peaks", "start_s")

    def __init__(self, interface_id: int, start_s: int, before: Iterable[int]) -> None:
        self.id: int | None = None
        self.interface_id = interface_id
        self.start_s = start_s
        self.before = tuple(before)
        self.counters: list[list[int]] = [[], [], [], []]
        self.peaks: list[list[int]] = [[], []]
        self.change = 0

    @classmethod
    def of_row(cls, row: Sequence[int | bytes]) -> "Chunk":
        """A row of `FIELDS`, and what may stand behind them.

        Raises:
            sqlite3.DatabaseError: the columns are of other lengths than the row says.
        """
        number, interface_id, start_s, *before = row[:7]
        chunk = cls(interface_id, start_s, before)  # type: ignore[arg-type]
        chunk.id, chunk.change, count = number, row[7], row[8]  # type: ignore[assignment]
        columns = [list(column) for pair in row[9:12] for column in decode(pair, count)]  # type: ignore[arg-type]
        chunk.counters, chunk.peaks = columns[:_COUNTERS], columns[_COUNTERS:]
        return chunk

    def __len__(self) -> int:
        return len(self.counters[0])

    @property
    def end_s(self) -> int:
        """Where its last quarter ends, UTC seconds."""
        return self.start_s + len(self) * QUARTER_S

    @property
    def after(self) -> tuple[int, ...]:
        """The running totals of the interface at the end."""
        return tuple(a + sum(column) for a, column in zip(self.before, self.counters, strict=True))

    def totals(self) -> tuple[bytes, bytes]:
        """The pairs of running totals (bytes, packets) before every fourth quarter, counted from the start."""
        columns = [list(accumulate(column, initial=0))[::STRIDE] for column in self.counters]
        return encode(*columns[:2]), encode(*columns[2:])

    def append(self, quarter: Quarter) -> None:
        """Put a quarter behind the last; nothing was counted in those between."""
        self._extend(quarter[0], [[number] for number in quarter[1:]])

    def join(self, other: "Chunk") -> None:
        """Put a later chunk of the same interface behind this one."""
        self._extend(other.start_s, [*other.counters, *other.peaks])
        self.change = max(self.change, other.change)

    def _extend(self, start_s: int, columns: Sequence[Sequence[int]]) -> None:
        idle = [0] * ((start_s - self.end_s) // QUARTER_S)
        for column, more in zip((*self.counters, *self.peaks), columns, strict=True):
            column.extend(idle)
            column.extend(more)

    def add(self, quarter: Quarter) -> None:
        """Add to a quarter that is in the chunk."""
        place = (quarter[0] - self.start_s) // QUARTER_S
        for column, number in zip(self.counters, quarter[1:5], strict=True):
            column[place] += number
        for column, number in zip(self.peaks, quarter[5:7], strict=True):
            column[place] = max(column[place], number)

    def put(self, quarter: Quarter) -> None:
        """Make a quarter that is in the chunk what it should be."""
        place = (quarter[0] - self.start_s) // QUARTER_S
        for column, number in zip((*self.counters, *self.peaks), quarter[1:], strict=True):
            column[place] = number

    def quarters(self) -> Iterator[Quarter]:
        """What was counted in each quarter, the idle ones included."""
        starts = range(self.start_s, self.end_s, QUARTER_S)
        return zip(starts, *self.counters, *self.peaks, strict=True)

    def save(self, connection: sqlite3.Connection) -> None:
        """Write the row."""
        peaks = [max(column) for column in self.peaks]
        row = (self.id, self.interface_id, self.start_s, len(self), *self.before, *peaks, self.change)
        byte_totals, packet_totals = self.totals()
        bytes_, packets, of_peaks = (
            encode(*pair) for pair in (self.counters[:2], self.counters[2:], self.peaks)
        )
        pairs = (bytes_, byte_totals, packets, packet_totals, of_peaks)
        connection.execute(_INSERT, (*row, *pairs, checksum(*pairs)))


# ---- The table --------------------------------------------------------------------------------------------------


def load(connection: sqlite3.Connection, condition: str, values: Sequence[int]) -> list[Chunk]:
    """The chunks that fulfil a condition of SQL."""
    sql = f"SELECT {FIELDS} FROM chunk {condition}"  # noqa: S608  # fixed texts
    return [Chunk.of_row(row) for row in connection.execute(sql, values)]


def newest(connection: sqlite3.Connection, interface_id: int, until_s: int = (1 << 63) - 1) -> Chunk | None:
    """The last chunk of an interface that begins no later than `until_s`, UTC seconds; None when there is none."""
    condition = "WHERE interface_id = ? AND start_s <= ? ORDER BY start_s DESC LIMIT 1"
    found = load(connection, condition, (interface_id, until_s))
    return found[0] if found else None


def append(
    connection: sqlite3.Connection, interface_id: int, quarters: Iterable[Quarter], change: int
) -> int:
    """Put quarters behind the last ones of an interface, in order of time.

    Args:
        connection: inside a transaction.
        interface_id: whose.
        quarters: later than all that it has.
        change: the last change number that was given.

    Returns:
        The same now: each chunk that was written has been given the next one.
    """
    chunk = newest(connection, interface_id)
    fresh = False
    for quarter in quarters:
        if chunk is None or chunk.start_s // DAY_S != quarter[0] // DAY_S:
            if chunk is not None:
                if fresh:
                    change = _save(connection, chunk, change)
                _join_days(connection, chunk)
            chunk = Chunk(interface_id, quarter[0], chunk.after if chunk else (0, 0, 0, 0))
        chunk.append(quarter)
        fresh = True
    return _save(connection, chunk, change) if chunk is not None and fresh else change


def _save(connection: sqlite3.Connection, chunk: Chunk, change: int) -> int:
    chunk.change = change + 1
    chunk.save(connection)
    return change + 1


def _join_days(connection: sqlite3.Connection, last: Chunk) -> None:
    """Join all chunks of the four weeks in which the last one began; their days are over."""
    begin_s = last.start_s // LONGEST_S * LONGEST_S
    first, *others = load(
        connection,
        "WHERE interface_id = ? AND start_s >= ? AND start_s < ? ORDER BY start_s",
        (last.interface_id, begin_s, begin_s + LONGEST_S),
    )
    if not others:
        return
    for other in others:
        first.join(other)
        connection.execute("DELETE FROM chunk WHERE id = ?", (other.id,))
    first.save(connection)


def add(
    connection: sqlite3.Connection,
    interface_id: int,
    quarter: Quarter,
    change: int,
    *,
    instead: bool = False,
) -> None:
    """Add to what was counted in a quarter of the past; the chunk of it is given a change number.

    Args:
        connection: inside a transaction.
        interface_id: whose.
        quarter: of a time at which the interface may have a chunk, or none.
        change: the number.
        instead: what is there is not added to, it is replaced.
    """
    at_s = quarter[0]
    chunk = newest(connection, interface_id, at_s)
    before = chunk.after if chunk else (0, 0, 0, 0)
    if chunk is not None and at_s < chunk.end_s:
        (chunk.put if instead else chunk.add)(quarter)
    else:
        if chunk is None or chunk.start_s // DAY_S != at_s // DAY_S:
            chunk = Chunk(interface_id, at_s, before)
        chunk.append(quarter)
    chunk.change = change
    chunk.save(connection)
    moved = [now - then for now, then in zip(chunk.after, before, strict=True)]
    connection.execute(_MOVE_LATER, (*moved, interface_id, chunk.start_s))


def between(connection: sqlite3.Connection, interface_id: int, start_s: int, end_s: int) -> Iterator[Quarter]:
    """The quarters of an interface from `start_s` up to `end_s` in which anything was counted."""
    for chunk in load(connection, OVERLAPPING, (interface_id, start_s, end_s)):
        for quarter in chunk.quarters():
            if start_s <= quarter[0] < end_s and any(quarter[1:]):
                yield quarter
