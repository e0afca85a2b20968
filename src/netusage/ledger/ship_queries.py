"""What was written since it was asked last: the ledger for those who keep a copy of it elsewhere.

Everything that adds up has a change number; whatever is above the last one that is known there is new or changed. Each
`Statement` is a whole: all that is known now of a chunk, an estimated stretch, or the applications of a quarter of an
hour, so it may be told again and replaces what was told before. All of it comes from one snapshot, and a statement at a
time is in memory.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from netusage.errors import LedgerCorruptError
from netusage.ledger.answers import GapRecord
from netusage.ledger.chunks import FIELDS, LONGEST_S, Chunk, Quarter, between
from netusage.ledger.reader import LedgerReader
from netusage.model import LARGEST, LONGEST_DAY_S, QUARTER_S, US, Counters, Who

_CHANGES = """
SELECT change, 0, id FROM chunk WHERE change > ?1 UNION ALL SELECT change, 1, id FROM span WHERE change > ?1
UNION ALL SELECT change, 2, start_s FROM share_change WHERE change > ?1 ORDER BY 1 LIMIT ?2
"""
_AT_ONCE = 2000  # changes; whoever wants few is not told of all that there are
_CHUNK = f"SELECT {FIELDS} FROM chunk WHERE id = ?"  # noqa: S608  # fixed text
_SPAN = """
SELECT interface_id, id, start_us, end_us, rx_bytes, tx_bytes, rx_packets, tx_packets, kind FROM span WHERE id = ?
"""
_SHARES = """
SELECT seconds, interface_id, kind, name, path, user, unit, container, pod, scope, protocol, family,
  rx_bytes, tx_bytes, rx_packets, tx_packets
FROM share JOIN application ON id = application_id WHERE start_s = ?
"""
# Sums in halves, so that none overflows.
_SHARE_SUMS = """
SELECT seconds, interface_id, kind, name, path, user, unit, container, pod, scope, protocol, family,
  high_1, low_1, high_2, low_2, high_3, low_3, high_4, low_4
FROM (
  SELECT max(seconds) AS seconds, interface_id, application_id, scope, protocol, family,
    sum(rx_bytes >> 32) AS high_1, sum(rx_bytes & 4294967295) AS low_1,
    sum(tx_bytes >> 32) AS high_2, sum(tx_bytes & 4294967295) AS low_2,
    sum(rx_packets >> 32) AS high_3, sum(rx_packets & 4294967295) AS low_3,
    sum(tx_packets >> 32) AS high_4, sum(tx_packets & 4294967295) AS low_4
  FROM share_change JOIN share USING (start_s) WHERE start_s >= ? AND start_s < ? AND change <= ?
  GROUP BY interface_id, application_id, scope, protocol, family
) JOIN application ON id = application_id
"""
_IS_FOLDED = f"""
SELECT 1 WHERE EXISTS (
  SELECT 1 FROM share WHERE start_s >= ?1 AND start_s < ?2
    AND (seconds > {QUARTER_S} OR application_id IN (SELECT id FROM application WHERE kind = 'other'))
) OR EXISTS (
  SELECT 1 FROM share WHERE start_s > ?1 - {LONGEST_DAY_S} AND start_s < ?1
    AND seconds > {QUARTER_S} AND start_s + seconds > ?1
)
"""  # noqa: S608  # fixed numbers
_GAPS = "SELECT id, start_us, end_us, kind, lossy, interface, note FROM gap WHERE id > ? ORDER BY id"
_STARTS = "SELECT start_s FROM share_change WHERE start_s > ? AND start_s < ? ORDER BY start_s"
_IS_DAY = f"SELECT 1 FROM share WHERE start_s = ? AND seconds > {QUARTER_S} AND start_s + seconds > ? LIMIT 1"  # noqa: S608
_LINE = """
SELECT (SELECT applied_us FROM migration ORDER BY version LIMIT 1),
  coalesce((SELECT max(id) FROM run), 0), coalesce((SELECT started_us FROM run ORDER BY id DESC LIMIT 1), 0),
  coalesce((SELECT last_boot_ns FROM run ORDER BY id DESC LIMIT 1), 0)
"""
_REACHES = """
SELECT id, (SELECT min(start_s) FROM chunk WHERE interface_id = i.id) AS from_s,
  (SELECT start_s + quarters * 900 FROM chunk WHERE interface_id = i.id ORDER BY start_s DESC LIMIT 1) AS until_s
FROM interface i WHERE from_s IS NOT NULL
"""
_REACH_OF_SPANS = "SELECT min(start_us), max(end_us) FROM span"
_RUN_WENT_ON = "SELECT 1 FROM run WHERE id = ? AND started_us = ? AND last_boot_ns >= ?"
_FIRST_PLACE = "SELECT machine FROM place ORDER BY id LIMIT 1"
_NO_MACHINE = "import"  # where the books were written out of rows


class Line(NamedTuple):
    """Which ledger it is, and how far its record goes: what a copy of an earlier state would not have.

    made_us: when the file was made; a repaired ledger is another file.
    run, started_us: the last life of a recorder in it, zeros where there was none; last_boot_ns: its last reading, by the
    clock that is never set.
    """

    identity: str
    made_us: int
    run: int
    started_us: int
    last_boot_ns: int


class ShareRow(NamedTuple):
    """What one application had of an interface's bytes, from the start of its statement on."""

    seconds: int
    interface_id: int
    who: Who
    scope: int
    protocol: int
    family: int
    counters: Counters


class SpanRow(NamedTuple):
    """An estimated stretch, and its number in the ledger."""

    interface_id: int
    number: int
    start_us: int
    end_us: int
    counters: Counters
    kind: str


class Statement(NamedTuple):
    """What is known now of one thing; its lists belong together.

    change: its number.
    interface_id, quarters: of a chunk, without the idle ones.
    span: an estimated stretch.
    start_s, shares: all that applications had in the quarter, or day, that begins there; None when it is none.
    """

    change: int
    interface_id: int = 0
    quarters: tuple[Quarter, ...] = ()
    span: SpanRow | None = None
    start_s: int | None = None
    shares: tuple[ShareRow, ...] = ()

    @property
    def size(self) -> int:
        """How many rows it has."""
        return len(self.quarters) + len(self.shares) + (self.span is not None)

    @property
    def end_s(self) -> int:
        """Where its quarter or day ends, UTC seconds."""
        return (self.start_s or 0) + max((row.seconds for row in self.shares), default=QUARTER_S)


def line(reader: LedgerReader) -> Line:
    """Which ledger it is, and how far it goes."""
    with reader.reading() as connection:
        return Line(reader.state.identity, *connection.execute(_LINE).fetchone())


def goes_on(reader: LedgerReader, known: Line) -> bool:
    """Whether this is a later state of what was known, and not of a copy of it from before."""
    now = line(reader)
    if (now.identity, now.made_us) != (known.identity, known.made_us):
        return False
    with reader.reading() as connection:
        return not known.run or connection.execute(_RUN_WENT_ON, known[2:]).fetchone() is not None


def machine(reader: LedgerReader) -> str:
    """The machine on which the ledger was begun, wherever it is recorded into now; "" when it is not known."""
    with reader.reading() as connection:
        found = connection.execute(_FIRST_PLACE).fetchone()
    return "" if found is None or found[0] == _NO_MACHINE else str(found[0])


def statements(reader: LedgerReader, above: int) -> Iterator[Statement]:
    """Everything with a change number above that, in order.

    Raises:
        LedgerCorruptError: the ledger is damaged, or a number in it can be none.
    """
    for change, kind, key in _changes(reader, above):
        with reader.reading() as connection:
            if kind == 0:
                chunk = Chunk.of_row(connection.execute(_CHUNK, (key,)).fetchone())
                quarters = tuple(quarter for quarter in chunk.quarters() if any(quarter[1:]))
                found = Statement(change, interface_id=chunk.interface_id, quarters=quarters)
                numbers: Iterable[int] = (max(quarter[1:]) for quarter in quarters)
            elif kind == 1:
                row = connection.execute(_SPAN, (key,)).fetchone()
                span = SpanRow._make((*row[:4], Counters(*row[4:8]), row[8]))
                found = Statement(change, span=span)
                numbers = span.counters
            else:
                shares = tuple(
                    ShareRow._make((row[0], row[1], Who(*row[2:9]), *row[9:12], Counters(*row[12:16])))
                    for row in connection.execute(_SHARES, (key,))
                )
                found = Statement(change, start_s=key, shares=shares)
                numbers = (number for share in shares for number in share.counters)
        if any(not 0 <= number <= LARGEST for number in numbers):
            raise LedgerCorruptError(
                f"the ledger {reader.path} has a number that nothing can have counted",
                hint=f"see where with: netusage verify --db {reader.path}",
            )
        yield found


def extent(reader: LedgerReader) -> tuple[int, int] | None:
    """From when to when `statements` tell that anything was counted or estimated: whole quarters, UTC seconds, or None.

    Raises:
        LedgerCorruptError: the ledger is damaged.
    """
    with reader.reading() as connection:
        reaches = connection.execute(_REACHES).fetchall()
        start_us, end_us = connection.execute(_REACH_OF_SPANS).fetchone()
    starts: list[int] = []
    ends: list[int] = []  # the best so far comes last, of both
    for number, from_s, until_s in sorted(reaches, key=lambda reach: reach[1]):
        ahead_s = min(starts[-1], until_s) if starts else until_s
        for low_s in range(from_s, ahead_s, LONGEST_S):  # idle ones may stand before it
            if found := quarters(reader, number, low_s, min(low_s + LONGEST_S, ahead_s)):
                starts.append(found[0][0])
                break
    for number, from_s, until_s in sorted(reaches, key=lambda reach: -reach[2]):
        behind_s = max(ends[-1], from_s) if ends else from_s
        for high_s in range(until_s, behind_s, -LONGEST_S):  # or behind it
            if found := quarters(reader, number, max(high_s - LONGEST_S, behind_s), high_s):
                ends.append(found[-1][0] + QUARTER_S)
                break
    if start_us is not None:
        starts.append(start_us // US // QUARTER_S * QUARTER_S)
        ends.append(-(-end_us // (QUARTER_S * US)) * QUARTER_S)
    return (min(starts), max(ends)) if starts else None


def _changes(reader: LedgerReader, above: int) -> Iterator[tuple[int, int, int]]:
    """The change numbers above that, and of what they are."""
    found = [(above, 0, 0)]
    while found:
        with reader.reading() as connection:
            found = [tuple(row) for row in connection.execute(_CHANGES, (found[-1][0], _AT_ONCE))]
        yield from found


def quarters(reader: LedgerReader, interface_id: int, from_s: int, until_s: int) -> list[Quarter]:
    """The quarters of an interface that begin in [from_s, until_s), UTC seconds, without the idle ones.

    Raises:
        LedgerCorruptError: the ledger is damaged.
    """
    with reader.reading() as connection:
        return list(between(connection, interface_id, from_s, until_s))


def share_sums(reader: LedgerReader, from_s: int, until_s: int, change: int) -> list[ShareRow]:
    """What applications had in all quarters and days that begin in [from_s, until_s), UTC seconds.

    Only of those with a change number up to `change`; `seconds` is the longest of them.

    Raises:
        LedgerCorruptError: the ledger is damaged.
    """
    with reader.reading() as connection:
        rows = connection.execute(_SHARE_SUMS, (from_s, until_s, change)).fetchall()
    found = []
    for row in rows:
        sums = ((high << 32) + low for high, low in zip(row[12::2], row[13::2], strict=True))
        found.append(ShareRow._make((*row[:2], Who(*row[2:9]), *row[9:12], Counters(*sums))))
    return found


def is_folded(reader: LedgerReader, from_s: int, until_s: int) -> bool:
    """Whether anything that applications had in [from_s, until_s), UTC seconds, may have lost its name or its quarter."""
    with reader.reading() as connection:
        return connection.execute(_IS_FOLDED, (from_s, until_s)).fetchone() is not None


def is_in_a_day(reader: LedgerReader, start_s: int) -> bool:
    """Whether a quarter of an hour lies in what is a day already: it will be added to that."""
    with reader.reading() as connection:
        starts = connection.execute(_STARTS, (start_s - LONGEST_DAY_S, start_s)).fetchall()
        return any(connection.execute(_IS_DAY, (at_s, start_s)).fetchone() for (at_s,) in starts)


def gaps_above(reader: LedgerReader, number: int) -> Iterator[tuple[int, GapRecord]]:
    """The declared gaps with a higher number, which have no change numbers, in order."""
    with reader.reading() as connection:
        for row in connection.execute(_GAPS, (number,)):
            yield row[0], GapRecord(row[1], row[2], row[3], bool(row[4]), row[5], row[6])
