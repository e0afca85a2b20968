"""The machine's total, added up beforehand: the chunks of four weeks of all interfaces in it, as one.

Most questions are about all of them together. A row of `machine_chunk` tells of which chunks it is the sum; where those
have changed since, or other interfaces are asked about, it is passed over, and the chunks themselves are read. So
nothing depends on these rows: they follow from the chunks, and are made anew when a UTC day is over.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from operator import itemgetter

from netusage.ledger.chunks import DAY_S, LONGEST_S, Chunk, checksum, encode
from netusage.model import QUARTER_S

# A chunk, or the sum of some, without its columns: its number, start (UTC seconds) and quarters, and what was counted
# before it since some moment, by counter.
Head = tuple[int, int, int, int, int, int, int]
# A chunk as one of a sum: its interface, start (UTC seconds) and change number.
_Member = tuple[int, int, int]

_AT_ONCE = 8  # chunks, so that the recorder's memory does not grow with the number of interfaces
_MOST = 50  # rows made anew in one go, so that no commit is long

_CHUNKS = """
SELECT id, start_s, quarters, change, rx_bytes, tx_bytes, rx_packets, tx_packets FROM chunk
WHERE interface_id = ? AND start_s >= ? AND start_s < ? ORDER BY start_s
"""
_SUMS = """
SELECT start_s, quarters, members, rx_bytes, tx_bytes, rx_packets, tx_packets FROM machine_chunk
WHERE start_s >= ? AND start_s < ? ORDER BY start_s
"""
_COUNTED = """
SELECT c.interface_id, c.start_s, c.quarters, c.change, c.id FROM chunk c JOIN interface i ON i.id = c.interface_id
WHERE i.counted AND c.start_s >= ? AND c.start_s < ?
"""
_COLUMNS = "SELECT bytes, packets FROM chunk WHERE id IN ({})"
_KNOWN = "SELECT start_s, members FROM machine_chunk"
_FORGET = "DELETE FROM machine_chunk WHERE start_s >= ? AND start_s < ?"
_WRITE = "INSERT INTO machine_chunk VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"


# ---- Reading ----------------------------------------------------------------------------------------------------


def heads(
    connection: sqlite3.Connection, ids: Sequence[int], low_s: int, high_s: int
) -> tuple[list[Head], list[list[Head]]]:
    """What has to be read to know what some interfaces counted between two times, UTC seconds.

    Returns:
        Rows of `machine_chunk`, and for each interface the rows of `chunk` that are in none of those, each list in
        order of time.
    """
    block_s = low_s // LONGEST_S * LONGEST_S
    within = (block_s, -(-high_s // LONGEST_S) * LONGEST_S)
    of_each = [connection.execute(_CHUNKS, (number, *within)).fetchall() for number in ids]
    sums = connection.execute(_SUMS, within).fetchall() if len(ids) > 1 else []
    if sums:
        present = _by_block(
            (number, row[1], row[3]) for number, own in sorted(zip(ids, of_each, strict=True)) for row in own
        )
        sums = [
            row for row in sums if row[2] == _members(present.get(row[0] // LONGEST_S, ()), _end(*row[:2]))
        ]
    ends = {row[0] // LONGEST_S: _end(*row[:2]) for row in sums}
    return _sums_before(sums), [_not_in(own, ends) for own in of_each]


def _end(start_s: int, quarters: int) -> int:
    return start_s + quarters * QUARTER_S


def _by_block(chunks: Iterable[_Member]) -> dict[int, list[_Member]]:
    """Chunks by the four weeks that they are in."""
    found: dict[int, list[_Member]] = {}
    for chunk in chunks:
        found.setdefault(chunk[1] // LONGEST_S, []).append(chunk)
    return found


def _members(chunks: Iterable[_Member], until_s: int) -> str:
    """The chunks before `until_s` in words: pairs of interface and change number, which no two chunks share."""
    return " ".join([f"{number}:{change}" for number, start_s, change in chunks if start_s < until_s])


def _sums_before(sums: Sequence[Sequence[int]]) -> list[Head]:
    found = []
    before = (0, 0, 0, 0)
    for start_s, quarters, _, *counted in sums:
        found.append((start_s, start_s, quarters, *before))
        before = tuple(map(sum, zip(before, counted, strict=True)))  # type: ignore[assignment]
    return found


def _not_in(own: Sequence[Sequence[int]], ends: dict[int, int]) -> list[Head]:
    """The chunks of an interface that are in no sum, with what was counted in those of them before each."""
    found: list[Head] = []
    before = (0, 0, 0, 0)
    for place, row in enumerate(own, start=1):
        if row[1] >= ends.get(row[1] // LONGEST_S, 0):
            found.append((*row[:3], *before))  # type: ignore[arg-type]
            if place < len(own):
                until = own[place][4:]
                before = tuple(b + now - then for b, now, then in zip(before, until, row[4:], strict=True))  # type: ignore[assignment]
    return found


# ---- Writing ----------------------------------------------------------------------------------------------------


def refresh_all(connection: sqlite3.Connection) -> None:
    """Make every row anew whose chunks have changed, up to the last day that is sealed."""
    for (sealed_s,) in connection.execute("SELECT sealed_until_s FROM ledger").fetchall():
        refresh(connection, sealed_s // DAY_S * DAY_S, most=1 << 31)


def refresh(connection: sqlite3.Connection, until_s: int, most: int = _MOST) -> None:
    """Make rows anew whose chunks have changed, the latest first.

    Args:
        connection: inside a transaction.
        until_s: a UTC midnight; chunks from then on are left out, they are still written.
        most: how many rows at the most.
    """
    known = {start_s // LONGEST_S: members for start_s, members in connection.execute(_KNOWN)}
    rows = connection.execute(f"{_COUNTED} ORDER BY 1, 2", (0, until_s))
    present = _by_block((number, start_s, change) for number, start_s, _, change, _ in rows)
    fresh = {
        block: _members(chunks, until_s)
        for block, chunks in present.items()
        if len(chunks) > 1  # a sum of one would save nothing
    }
    stale = sorted(block for block in known.keys() | fresh.keys() if known.get(block) != fresh.get(block))
    for block in stale[-most:]:
        begin_s, end_s = block * LONGEST_S, (block + 1) * LONGEST_S
        connection.execute(_FORGET, (begin_s, end_s))
        row = added_up(connection, begin_s, min(end_s, until_s)) if block in fresh else None
        if row is not None:
            connection.execute(_WRITE, row)


def added_up(
    connection: sqlite3.Connection, begin_s: int, end_s: int
) -> tuple[int | str | bytes, ...] | None:
    """The row of the chunks that begin between two times; None where a sum is too large for one, or there is none."""
    from netusage.ledger.slots import Slots, sums  # noqa: PLC0415  # who only reads does without

    chunks = sorted(connection.execute(_COUNTED, (begin_s, end_s)).fetchall(), key=itemgetter(1, 2))
    if not chunks:
        return None
    start_s = chunks[0][1]
    last_s = max(_end(*row[1:3]) for row in chunks)
    columns = [Slots((last_s - start_s) // QUARTER_S) for _ in range(4)]
    for (at_s, count), alike in groupby(chunks, key=itemgetter(1, 2)):
        for ids in _portions([row[4] for row in alike]):
            pairs = connection.execute(_COLUMNS.format(", ".join(map(str, ids)))).fetchall()
            for kind in (0, 1):
                for both in sums([row[kind] for row in pairs], count):
                    for way in (0, 1):
                        columns[2 * kind + way].add_column((at_s - start_s) // QUARTER_S, both[way])
    total = Chunk(0, start_s, (0, 0, 0, 0))
    total.counters = [list(column.numbers) for column in columns]
    if max(total.after) >> 63:
        return None
    byte_totals, packet_totals = total.totals()
    bytes_, packets = encode(*total.counters[:2]), encode(*total.counters[2:])
    members = _members(sorted((row[0], row[1], row[3]) for row in chunks), last_s)
    crc = checksum(bytes_, byte_totals, packets, packet_totals)
    return (start_s, len(total), members, *total.after, byte_totals, bytes_, packet_totals, packets, crc)


def _portions(ids: list[int]) -> Iterator[list[int]]:
    for first in range(0, len(ids), _AT_ONCE):
        yield ids[first : first + _AT_ONCE]
