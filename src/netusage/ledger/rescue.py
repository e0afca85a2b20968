"""Reading what can be read of a damaged ledger, row by row around the damage.

A damaged page of SQLite ends a scan with an error. A table is read from its front up to the damage and from its back
down to it; what lies between is tried in steps that are smaller than a page. Rows that were read and make no sense
are left out as well: a page may be overwritten with anything.
"""

import contextlib
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from operator import gt, itemgetter, lt
from typing import Any, NamedTuple

from netusage.ledger.chunks import LONGEST_S, checksum, totals_of
from netusage.model import MINUTE_S, QUARTER_S

# More keys than the pages below one damaged page hold; at the end of a table nothing says where the damage ends.
_ROWS_BELOW_A_PAGE = 1 << 15
_LAST_KEY = (1 << 62) - 1
_ONLY_INT = {int}
_HEAD = "SELECT interface_id, start_s, quarters FROM chunk WHERE id = ?"

Row = tuple[Any, ...]


@dataclass(frozen=True)
class Table:
    """How one table is read and checked.

    key: the column that the table is ordered by.
    ties: the columns that order rows of one key, where there are several.
    step: keys are multiples of it.
    stride: fewer steps than a page of the table holds.
    columns: their names and types, "i" for an integer, "n" for one that is not negative, "t" for text, "b" for bytes;
        "?" for a value that may be missing.
    """

    name: str
    key: str
    columns: dict[str, str]
    ties: tuple[str, ...] = ()
    step: int = 1
    stride: int = 8

    @cached_property
    def unique(self) -> bool:
        """Whether a key has one row."""
        return not self.ties

    @cached_property
    def numeric(self) -> bool:
        """Whether it holds nothing but numbers that are not negative; the large tables do."""
        return bool(self.step > 1)

    @cached_property
    def key_place(self) -> int:
        """The place of the key in a row."""
        return list(self.columns).index(self.key)

    @cached_property
    def order(self) -> list[str]:
        """The columns by which rows come in order."""
        return [self.key, *self.ties]


_COUNTERS = dict.fromkeys(("rx_bytes", "tx_bytes", "rx_packets", "tx_packets"), "n")
_PEAKS = {"peak_rx": "n", "peak_tx": "n"}


def _counters(prefix: str) -> dict[str, str]:
    return {f"{prefix}_{column}": "n" for column in _COUNTERS}


TABLES = {
    table.name: table
    for table in (
        Table(
            "ledger",
            "only_row",
            {
                "only_row": "n",
                "identity": "t",
                "created_us": "i",
                "change": "n",
                "sealed_until_s": "n",
                "minutes_from_s": "n",
            },
        ),
        Table(
            "place",
            "id",
            {"id": "n", "boot_id": "t", "namespace": "i", "machine": "t", "boot_us": "i", "newest_life": "n"},
        ),
        Table(
            "run",
            "id",
            {
                "id": "n",
                "place_id": "n",
                "started_us": "i",
                "last_us": "i",
                "last_boot_ns": "i",
                "ended": "t?",
                "source": "t",
            }
            | dict.fromkeys(
                ("samples", "failed_samples", "late_samples", "events", "commits", "failed_commits"), "i"
            )
            | {"commit_total_us": "i", "commit_max_us": "i", "tier": "t"},
        ),
        Table("watched", "id", {"id": "n", "run_id": "n", "start_us": "i", "end_us": "i"}),
        Table(
            "gap",
            "id",
            {
                "id": "n",
                "start_us": "i",
                "end_us": "i",
                "kind": "t",
                "lossy": "n",
                "interface": "t",
                "note": "t",
            },
        ),
        Table(
            "clock_step",
            "id",
            {"id": "n", "run_id": "n", "boot_ns": "i", "expected_us": "i", "actual_us": "i"},
        ),
        Table(
            "interface",
            "id",
            {"id": "n", "name": "t", "kind": "t", "up": "n", "counted": "n", "reason": "t"}
            | {"first_seen_us": "i", "last_seen_us": "i"}
            | dict.fromkeys(_COUNTERS, "i"),
        ),
        Table(
            "epoch",
            "id",
            {
                "id": "n",
                "interface_id": "n",
                "place_id": "n",
                "link_index": "i",
                "life": "i",
                "opened_us": "i",
            }
            | {"opened_because": "t", "closed_us": "i?", "closed_because": "t?"}
            | _counters("first")
            | _counters("last")
            | dict.fromkeys(_counters("recorded"), "i"),
        ),
        Table(
            "minute",
            "start_s",
            {"start_s": "n", "interface_id": "n"} | _COUNTERS | _PEAKS,
            ties=("interface_id",),
            step=MINUTE_S,
            stride=4,
        ),
        Table(
            "chunk",
            "id",
            {"id": "n", "interface_id": "n", "start_s": "n", "quarters": "n"}
            | _COUNTERS
            | _PEAKS
            | {"change": "n"}
            | dict.fromkeys(("bytes", "byte_totals", "packets", "packet_totals", "peaks"), "b")
            | {"crc": "n"},
            stride=1,
        ),
        Table(
            "application",
            "id",
            {"id": "n"}
            | dict.fromkeys(("kind", "name", "path", "user", "unit", "container", "pod"), "t")
            | {"first_seen_us": "i", "last_seen_us": "i"},
        ),
        Table(
            "application_total",
            "id",
            {"id": "n", "kind": "t", "name": "t", "scope": "n", "rx_bytes": "n", "tx_bytes": "n"},
        ),
        Table(
            "share",
            "start_s",
            dict.fromkeys(("start_s", "interface_id", "application_id", "scope", "protocol", "family"), "n")
            | _COUNTERS
            | {"seconds": "n"},
            ties=("interface_id", "application_id", "scope", "protocol", "family"),
            step=QUARTER_S,
            stride=1,
        ),
        Table(
            "span",
            "id",
            {"id": "n", "interface_id": "n", "start_us": "i", "end_us": "i"}
            | _COUNTERS
            | {"kind": "t", "change": "i"},
        ),
    )
}


class Lost(NamedTuple):
    """Keys that could not be read: of which table, from and to (inclusive)."""

    table: str
    first: int
    last: int


class LostChunk(NamedTuple):
    """A chunk whose columns could not be read, and whose beginning could: whose it is, and from when to when."""

    interface_id: int
    start_s: int
    end_s: int


class Rescue:
    """Reads the tables of a damaged ledger.

    Args:
        connection: open for reading.
        latest_s: UTC seconds after which nothing is looked for behind damage.

    Attributes:
        lost: the keys that could not be read.
        newest_s: UTC seconds after which no entry can be; `latest_s` unless it is set.
        senseless: by table, how many rows were read and make no sense.
        chunks: those of the lost ones of which that much is known.
    """

    def __init__(self, connection: sqlite3.Connection, latest_s: int) -> None:
        connection.text_factory = _text
        self._connection = connection
        self._latest_s = latest_s
        self._earliest_s = latest_s
        self.newest_s = latest_s
        self.lost: list[Lost] = []
        self.senseless: dict[str, int] = {}
        self.chunks: list[LostChunk] = []

    def begin_at(self, earliest_s: int) -> None:
        """Say when the record begins, UTC seconds: nothing is looked for behind damage before that."""
        self._earliest_s = min(max(earliest_s, 0), self._latest_s)

    def rows(self, table: Table) -> Iterator[Row]:
        """Every row that can be read and makes sense, in no order; around damage one may come twice."""
        for row in self._between(table, 0, _LAST_KEY // table.step):
            if self._is_sensible(table, row):
                yield row
                continue
            self.senseless[table.name] = self.senseless.get(table.name, 0) + 1
            if table.name == "chunk":
                self._look_at_chunks(row[0], row[0])

    def _is_sensible(self, table: Table, row: Row) -> bool:
        """Types and signs as the table wants them; entries at times at which there can be one."""
        if table.numeric:
            if set(map(type, row)) != _ONLY_INT or min(row) < 0:
                return False
        elif not all(_fits(value, kind) for value, kind in zip(row, table.columns.values(), strict=True)):
            return False
        if table.name == "span":
            return bool(row[2] < row[3])
        if table.name == "chunk":
            return self._is_sound(row)
        if table.step > 1:
            at = int(row[table.key_place])
            return at % table.step == 0 and at <= self.newest_s
        return True

    def _is_sound(self, row: Row) -> bool:
        """Whether a row of `chunk` is what was written: its columns, and a time at which there can be one."""
        start_s, count, pairs, crc = row[2], row[3], row[11:16], row[16]
        if start_s % QUARTER_S or not 0 < count <= LONGEST_S // QUARTER_S or checksum(*pairs) != crc:
            return False
        totals = totals_of(count)
        return bool(start_s + (count - 1) * QUARTER_S <= self.newest_s) and all(
            len(pair) in (8 * numbers, 16 * numbers)
            for pair, numbers in zip(pairs, (count, totals, count, totals, count), strict=True)
        )

    def _between(self, table: Table, low: int, high: int) -> Iterator[Row]:
        """The rows from `low` to `high`, both included; in steps of the key."""
        while True:
            up = _Scan(self._connection, table)
            yield from up.rows(low, high, "ASC")
            if not up.broken:
                return
            broken_at = low if up.last is None else up.last + (1 if table.unique else 0)
            down = _Scan(self._connection, table)
            yield from down.rows(broken_at, high, "DESC")
            if not down.broken:
                return
            end = high if down.last is None else down.last - (1 if table.unique else 0)
            island = self._island(table, broken_at, end)
            if island is None:
                end = (
                    end
                    if down.last is not None
                    else max(broken_at, min(end, self._farthest(table, broken_at)))
                )
                self._give_up(table, broken_at, end)
                return
            back = _Scan(self._connection, table)
            yield from back.rows(broken_at, island - 1, "DESC")
            self._give_up(table, broken_at, (island if back.last is None else back.last) - 1)
            low, high = island, end

    def _island(self, table: Table, low: int, high: int) -> int | None:
        """The first place, in steps smaller than a page, from which a row can be read between two damaged ones."""
        latest = min(high, self._farthest(table, low))
        place = low if low or table.step == 1 else self._earliest_s // table.step
        while place <= latest:
            scan = _Scan(self._connection, table)
            if next(scan.rows(place, high, "ASC"), None) is not None:
                return max(place, low + 1)
            place += table.stride
        return None

    def _farthest(self, table: Table, low: int) -> int:
        """How far damage that begins at `low` is looked into."""
        if table.step == 1:
            return low + _ROWS_BELOW_A_PAGE
        return max(low, self._latest_s // table.step)

    def _give_up(self, table: Table, low: int, high: int) -> None:
        if not low and table.step > 1:
            low = min(self._earliest_s // table.step, high)
        if high >= low:
            self.lost.append(Lost(table.name, low * table.step, (high + 1) * table.step - 1))
            if table.name == "chunk":
                self._look_at_chunks(low, high)

    def _look_at_chunks(self, low: int, high: int) -> None:
        """Note whose the lost chunks are and of when: the columns are stored behind that, on other pages."""
        for number in range(low, min(high, low + _ROWS_BELOW_A_PAGE) + 1):
            with contextlib.suppress(sqlite3.DatabaseError):
                row = self._connection.execute(_HEAD, (number,)).fetchone()
                if row is None or not all(_fits(value, "n") for value in row):
                    continue
                interface_id, start_s, quarters = row
                if start_s % QUARTER_S == 0 and start_s + quarters * QUARTER_S <= self.newest_s + QUARTER_S:
                    self.chunks.append(LostChunk(interface_id, start_s, start_s + quarters * QUARTER_S))


class _Scan:
    """One pass over a part of a table.

    Attributes:
        broken: it ended with an error, or the rows were out of order: damaged pages may lead round in a circle.
        last: the last key that was read, in steps; None when there was none.
    """

    def __init__(self, connection: sqlite3.Connection, table: Table) -> None:
        self._connection = connection
        self._table = table
        self.broken = False
        self.last: int | None = None

    def rows(self, low: int, high: int, order: str) -> Iterator[Row]:
        """The rows from `low` to `high`, both included, up or down."""
        table = self._table
        sql = (
            f"SELECT {', '.join(table.columns)} FROM {table.name} WHERE {table.key} BETWEEN ? AND ? "  # noqa: S608
            f"ORDER BY {', '.join(f'{column} {order}' for column in table.order)}"
        )
        values = (low * table.step, (high + 1) * table.step - 1)
        key = itemgetter(*(list(table.columns).index(column) for column in table.order))
        comes_after = gt if order == "ASC" else lt
        before: Any = None
        try:
            for row in self._connection.execute(sql, values):
                here = key(row)
                if before is not None and not comes_after(here, before):
                    self.broken = True
                    return
                before = here
                yield row
        except (sqlite3.DatabaseError, TypeError):  # a key that is no number does not compare
            self.broken = True
        finally:
            if before is not None:
                self.last = int(before if table.unique else before[0]) // table.step


def _text(raw: bytes) -> str | bytes:
    """Text, or bytes that are none, which no column wants."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw


def _fits(value: Any, kind: str) -> bool:
    if value is None:
        return kind.endswith("?")
    if kind[0] in "tb":
        return isinstance(value, str if kind[0] == "t" else bytes)
    return isinstance(value, int) and (kind[0] == "i" or value >= 0)
