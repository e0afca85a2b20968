"""Making a sound ledger of rows that were rescued: what follows from other rows is computed anew.

The entries (quarters, minutes after the last sealed quarter, spans) decide what is recorded. All totals follow from
them. Where the epochs say that more was counted than there are entries, and the running totals on both sides of a lost
chunk tell how much was in it, an estimated stretch takes its place. What is missing then is lost: the epochs begin to
count later by that much, and a gap declares it. Where the epochs say less, one is added for the rest.
"""

import contextlib
import itertools
import sqlite3
import uuid
from collections.abc import Callable, Iterable, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, NamedTuple

from netusage.ledger import chunks, fives, machine_chunks, share_changes
from netusage.ledger.rescue import Lost, LostChunk, Table
from netusage.model import LARGEST, MINUTE_S, QUARTER_S, US, ZERO, Counters, GapKind

_MOST_STRETCHES = 200  # that are declared one by one
_AT_ONCE = 5000
_CHUNKS_AT_ONCE = 50

_CHUNK = f"SELECT {chunks.FIELDS}, byte_totals, packet_totals FROM chunk WHERE id = ?"  # noqa: S608  # fixed texts
_COLUMNS = Counters._fields
_SUMS = ", ".join(f"sum({column})" for column in _COLUMNS)
_RECORDED = ", ".join(f"coalesce(sum(recorded_{column}), 0)" for column in _COLUMNS)
_PARTS = (
    ("interface", "interface_id", ("epoch", "minute", "chunk", "span", "share")),
    ("place", "place_id", ("epoch", "run")),
    ("application", "application_id", ("share",)),
)
_ENTRIES = f"""
SELECT {_SUMS} FROM (
  SELECT {", ".join(_COLUMNS)} FROM span WHERE interface_id = ?1
  UNION ALL SELECT {", ".join(_COLUMNS)} FROM minute
    WHERE interface_id = ?1 AND start_s >= (SELECT sealed_until_s FROM ledger))
"""  # noqa: S608
_ALL_TOGETHER = """
INSERT INTO application_total (kind, name, scope, rx_bytes, tx_bytes) VALUES ('', '', ?, ?, ?)
ON CONFLICT (kind, name, scope) DO UPDATE SET
  rx_bytes = max(rx_bytes, excluded.rx_bytes), tx_bytes = max(tx_bytes, excluded.tx_bytes)
"""
_WRONG_CHANGES = """
SELECT kind, id FROM (
  SELECT kind, id, change, row_number() OVER (PARTITION BY change) AS nth FROM (
    SELECT 'chunk' AS kind, id, change FROM chunk UNION ALL SELECT 'span', id, change FROM span))
WHERE nth > 1 OR change < 1 OR change > ?
"""


class _Hole(NamedTuple):
    """Where chunks are missing, UTC seconds, and by how much the running totals go up there."""

    start_s: int
    end_s: int
    counted: Counters


class Adjusted(NamedTuple):
    """What did not add up for one interface.

    lost: counted by the kernel, and in no entry any more.
    surplus: in the entries, and in no epoch any more.
    """

    name: str
    lost: Counters
    surplus: Counters


class Rebuild:
    """Works on a fresh ledger that holds the rescued rows.

    Args:
        connection: the fresh ledger, open for writing, inside a transaction.
        lost: the keys that could not be rescued.
        lost_chunks: what is known of the chunks among them.
        doubtful: tables of which rows are missing.
        now_us: the present, UTC microseconds.
        boot_id: the running boot.

    Attributes:
        notes: what was done, a line each.
        adjusted: what did not add up.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        lost: Sequence[Lost],
        lost_chunks: Sequence[LostChunk],
        *,
        doubtful: AbstractSet[str],
        now_us: int,
        boot_id: str,
    ) -> None:
        self._connection = connection
        self._execute = connection.execute
        self._lost = lost
        self._lost_chunks = lost_chunks
        self._holes: dict[int, list[_Hole]] = {}
        self._doubtful = doubtful
        self._boot_id = boot_id
        self._now_us = now_us
        self._suspect_epochs: set[int] = set()
        self.notes: list[str] = []
        self.adjusted: list[Adjusted] = []

    def run(self) -> None:
        """Make everything sound."""
        self._stand_ins()
        self._own_row()
        self._chunks()
        self._quarters()
        fives.note_all(self._connection)
        self._epochs()
        for number, name in self._execute("SELECT id, name FROM interface ORDER BY id").fetchall():
            self._reconcile(number, name)
        self._application_totals()
        self._change_numbers()
        machine_chunks.refresh_all(self._connection)
        self._close_epochs_without_baseline()

    def _note(self, text: str, count: int) -> None:
        if count:
            self.notes.append(text.format(f"{count:,}"))

    # ---- Rows that others need ----------------------------------------------------------------------------------

    def _stand_ins(self) -> None:
        """Interfaces and places that rows belong to and that could not be read get a row without a name."""
        for parent, column, children in _PARTS:
            belonging = " UNION ".join(f"SELECT {column} FROM {child}" for child in children)  # noqa: S608
            sql = f"SELECT * FROM ({belonging}) EXCEPT SELECT id FROM {parent}"  # noqa: S608
            missing = [row[0] for row in self._execute(sql).fetchall()]
            for number in missing:
                self._stand_in(parent, number)
            self._note(f"{{}} rows of {parent} stand in for lost ones", len(missing))
        for table in ("watched", "clock_step"):
            sql = f"DELETE FROM {table} WHERE run_id NOT IN (SELECT id FROM run)"  # noqa: S608
            self._note(f"{{}} rows of {table} belonged to a lost run", self._execute(sql).rowcount)

    def _stand_in(self, parent: str, number: int) -> None:
        if parent == "place":
            self._execute("INSERT INTO place VALUES (?, ?, 0, '', 0, 0)", (number, f"unknown-{number}"))
            return
        if parent == "application":
            values = (number, f"unknown-{number}", self._now_us, self._now_us)
            self._execute(
                "INSERT INTO application VALUES (?, 'unnamed', ?, '', '', '', '', '', ?, ?)", values
            )
            return
        name, reason = f"unknown-{number}", "its name could not be read; repaired"
        seen = self._execute(
            "SELECT min(start_s), max(start_s) FROM chunk WHERE interface_id = ?", (number,)
        ).fetchone()
        seen_us = [self._now_us if at is None else at * US for at in seen]
        self._execute(
            "INSERT INTO interface (id, name, kind, up, counted, reason, first_seen_us, last_seen_us) "
            "VALUES (?, ?, '', 0, 0, ?, ?, ?)",
            (number, name, reason, *seen_us),
        )

    def _own_row(self) -> None:
        """Whose book it is, and from when on minutes are the record."""
        row = self._execute(
            "SELECT identity, created_us, change, sealed_until_s, minutes_from_s FROM ledger"
        ).fetchone()
        least = self._execute("SELECT max(start_s + quarters * 900) FROM chunk").fetchone()[0] or 0
        if row is None:
            row = (str(uuid.uuid4()), self._now_us, 0, least, least)
            self.notes.append("the ledger's own row was lost; it has a new identity")
        sealed = max(row[3] // QUARTER_S * QUARTER_S, least)
        minutes_from = min(row[4], sealed)
        self._execute("DELETE FROM ledger")
        self._execute(
            "INSERT INTO ledger VALUES (1, ?, ?, ?, ?, ?)", (row[0], row[1], row[2], sealed, minutes_from)
        )

    # ---- Chunks and quarters ------------------------------------------------------------------------------------

    def _chunks(self) -> None:
        """No chunk overlaps another, and each begins with the running totals of those before it."""
        dropped = wrong = 0
        for number in self._interfaces():
            after = running = tuple(ZERO)
            end_s: int | None = None
            heads = self._execute("SELECT id FROM chunk WHERE interface_id = ? ORDER BY start_s", (number,))
            for (row,) in heads.fetchall():
                *fields, byte_totals, packet_totals = self._execute(_CHUNK, (row,)).fetchone()
                chunk = chunks.Chunk.of_row(fields)
                if end_s is not None and chunk.start_s < end_s:
                    self._execute("DELETE FROM chunk WHERE id = ?", (row,))
                    dropped += 1
                    continue
                missing = [now - then for now, then in zip(chunk.before, after, strict=True)]
                if any(missing) and min(missing) >= 0:
                    self._hole(number, (end_s, chunk.start_s), Counters(*missing))
                after, end_s = chunk.after, chunk.end_s
                if chunk.before != running or chunk.totals() != (byte_totals, packet_totals):
                    chunk.before = running
                    chunk.save(self._connection)
                    wrong += 1
                running = chunk.after
        self._note("left out {} chunks of quarters that overlap others", dropped)
        self._note("computed the running totals of {} chunks anew", wrong)

    def _interfaces(self) -> list[int]:
        return [row[0] for row in self._execute("SELECT id FROM interface ORDER BY id").fetchall()]

    def _hole(self, number: int, between: tuple[int | None, int], counted: Counters) -> None:
        """Note a jump of the running totals, as near to the lost chunk as that is known."""
        low, high = between
        inside = [
            lost
            for lost in self._lost_chunks
            if lost.interface_id == number and lost.start_s < high and (low is None or lost.start_s >= low)
        ]
        if inside:
            low = min(lost.start_s for lost in inside)
            high = min(high, max(lost.end_s for lost in inside))
        elif low is None:
            sql = "SELECT first_seen_us FROM interface WHERE id = ?"
            low = min(self._execute(sql, (number,)).fetchone()[0] // US, high - QUARTER_S)
        if low < high:
            self._holes.setdefault(number, []).append(_Hole(low, high, counted))

    def _quarters(self) -> None:
        """Where minutes are kept, a quarter is the sum of them; where some of them were lost, the larger one stands."""
        minutes_from, sealed = self._execute("SELECT minutes_from_s, sealed_until_s FROM ledger").fetchone()
        begin = minutes_from // QUARTER_S * QUARTER_S
        made, kept_until = 0, begin
        first = self._execute("SELECT min(start_s) FROM minute WHERE start_s >= ?", (begin,)).fetchone()[0]
        first = sealed if first is None else first // QUARTER_S * QUARTER_S
        for number in self._interfaces():
            for at_s, *counted, _, _ in chunks.between(self._connection, number, begin, min(first, sealed)):
                if any(counted):
                    kept_until = max(kept_until, at_s + QUARTER_S)
        for start_s in range(first, sealed, chunks.DAY_S):
            of_day = self._quarters_between(start_s, min(start_s + chunks.DAY_S, sealed))
            made += of_day[0]
            kept_until = max(kept_until, of_day[1])
        self._execute("UPDATE ledger SET minutes_from_s = max(minutes_from_s, ?)", (kept_until,))
        self._note("took {} quarters of an hour from their minutes", made)
        if kept_until > begin:
            self.notes.append("some minutes were lost, and their quarters of an hour stand")

    def _quarters_between(self, start_s: int, end_s: int) -> tuple[int, int]:
        """How many were taken from their minutes, and the end of the last one that stands without them."""
        of_minutes = {row[:2]: row[2:] for row in self._execute(chunks.QUARTERS_OF_MINUTES, (start_s, end_s))}
        quarters = {
            (number, at_s): tuple(numbers)
            for number in self._interfaces()
            for at_s, *numbers in chunks.between(self._connection, number, start_s, end_s)
        }
        minutes_lost = "minute" in self._doubtful
        made = kept_until = 0
        for key in sorted(of_minutes.keys() | quarters.keys()):
            minutes, quarter = of_minutes.get(key), quarters.get(key)
            if minutes == quarter or not any((*(minutes or ()), *(quarter or ()))):
                continue
            if minutes is None or (
                quarter is not None
                and minutes_lost
                and all(a <= b for a, b in zip(minutes, quarter, strict=True))
            ):
                kept_until = max(kept_until, key[1] + QUARTER_S)
                continue
            chunks.add(self._connection, key[0], (key[1], *minutes), 0, instead=True)
            made += 1
        return made, kept_until

    def _application_totals(self) -> None:
        """All applications together have at least what is left of single ones."""
        sums: dict[int, tuple[int, int]] = {}
        sql = "SELECT scope, rx_bytes, tx_bytes FROM application_total WHERE kind != ''"
        for scope, rx, tx in self._execute(sql):
            before = sums.get(scope, (0, 0))
            sums[scope] = min(before[0] + rx, LARGEST), min(before[1] + tx, LARGEST)
        self._connection.executemany(_ALL_TOGETHER, ((scope, *both) for scope, both in sums.items()))

    def _change_numbers(self) -> None:
        """Every entry has a number of its own that was given."""
        last = self._execute("SELECT change FROM ledger").fetchone()[0]
        for table, row in self._execute(_WRONG_CHANGES, (last,)).fetchall():
            last += 1
            self._execute(f"UPDATE {table} SET change = ? WHERE id = ?", (last, row))  # noqa: S608
        self._execute("UPDATE ledger SET change = ?", (last,))
        share_changes.give_all(self._connection)

    # ---- Epochs and totals --------------------------------------------------------------------------------------

    def _epochs(self) -> None:
        """In each epoch, what was recorded is the difference of the counters; the last reading stands."""
        for column in _COLUMNS:
            wrong = f"last_{column} - first_{column} != recorded_{column}"
            rows = self._execute(f"SELECT id FROM epoch WHERE {wrong}").fetchall()  # noqa: S608
            self._suspect_epochs.update(row[0] for row in rows)
            self._execute(f"UPDATE epoch SET first_{column} = min(first_{column}, last_{column})")  # noqa: S608
            self._execute(f"UPDATE epoch SET recorded_{column} = last_{column} - first_{column}")  # noqa: S608
        self._note("{} epochs did not agree with their own counters", len(self._suspect_epochs))

    def _reconcile(self, number: int, name: str) -> None:
        """Make epochs and entries of one interface agree, and its totals with them."""
        entries = Counters(*(value or 0 for value in self._execute(_ENTRIES, (number,)).fetchone()))
        newest = chunks.newest(self._connection, number)
        if newest is not None:
            entries = entries.plus(Counters(*newest.after))
        sql = f"SELECT {_RECORDED} FROM epoch WHERE interface_id = ?"  # noqa: S608
        recorded = Counters(*self._execute(sql, (number,)).fetchone())
        entries = entries.plus(self._fill_holes(number, recorded, entries))
        lost = Counters(*(max(a - b, 0) for a, b in zip(recorded, entries, strict=True)))
        surplus = Counters(*(max(b - a, 0) for a, b in zip(recorded, entries, strict=True)))
        if not lost.is_zero:
            self._begin_later(number, lost)
            self._declare(number, name, lost)
        if not surplus.is_zero:
            self._add_epoch(number, surplus)
        if not (lost.is_zero and surplus.is_zero):
            self.adjusted.append(Adjusted(name, lost, surplus))
        sets = ", ".join(f"{column} = ?" for column in _COLUMNS)
        self._execute(f"UPDATE interface SET {sets} WHERE id = ?", (*entries, number))  # noqa: S608

    def _fill_holes(self, number: int, recorded: Counters, entries: Counters) -> Counters:
        """Let estimated stretches stand for lost chunks, as far as their bytes are missing; what they sum up to."""
        filled, made = ZERO, 0
        for hole in self._holes.get(number, ()):
            known = ZERO  # what its minutes have given back
            for _, *numbers, _, _ in chunks.between(self._connection, number, hole.start_s, hole.end_s):
                known = known.plus(Counters(*numbers))
            missing = [a - b - c for a, b, c in zip(recorded, entries, filled, strict=True)]
            counted = Counters(
                *(max(min(a - b, c), 0) for a, b, c in zip(hole.counted, known, missing, strict=True))
            )
            if counted.is_zero:
                continue
            row = (number, hole.start_s * US, hole.end_s * US, *counted, "repair")
            self._execute("INSERT INTO span VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, 0)", row)
            filled = filled.plus(counted)
            made += 1
        self._note("{} estimated stretches stand for lost chunks of quarters", made)
        return filled

    def _begin_later(self, number: int, lost: Counters) -> None:
        """Let epochs count from later on, those first that lived when rows were lost."""
        stretches = self._lost_stretches(number)
        low, high = min(stretches)[0], max(high for _, high in stretches)
        epochs = self._execute(
            f"""SELECT id, {", ".join(f"recorded_{column}" for column in _COLUMNS)} FROM epoch WHERE interface_id = ?
            ORDER BY opened_us <= ? AND coalesce(closed_us, ?) >= ? DESC, recorded_rx_bytes DESC""",  # noqa: S608
            (number, high, self._now_us, low),
        ).fetchall()
        for column, name in enumerate(_COLUMNS):
            left = lost[column]
            for epoch in epochs:
                taken = min(left, epoch[1 + column])
                if taken:
                    self._execute(
                        f"UPDATE epoch SET first_{name} = first_{name} + ?, recorded_{name} = recorded_{name} - ? "  # noqa: S608
                        "WHERE id = ?",
                        (taken, taken, epoch[0]),
                    )
                left -= taken

    def _declare(self, number: int, name: str, lost: Counters) -> None:
        """Declare what is lost, for each stretch in which rows could not be read."""
        stretches = self._lost_stretches(number)
        together = f" in {len(stretches)} stretches together" if len(stretches) > 1 else ""
        note = (
            f"repair: could not read {lost.rx_bytes} bytes received, {lost.tx_bytes} bytes sent, "
            f"{lost.rx_packets} packets received, {lost.tx_packets} packets sent{together}"
        )
        for start_us, end_us in stretches:
            self._gap(start_us, end_us, name, note)

    def _gap(self, start_us: int, end_us: int, interface: str, note: str) -> None:
        row = (start_us, end_us, str(GapKind.LEDGER), 1, interface, note)
        self._execute("INSERT INTO gap VALUES (NULL, ?, ?, ?, ?, ?, ?)", row)

    def _lost_stretches(self, number: int) -> list[tuple[int, int]]:
        """When the lost entries of an interface were counted; all of its time when that is not known."""
        sql = "SELECT first_seen_us, last_seen_us FROM interface WHERE id = ?"
        first, last = self._execute(sql, (number,)).fetchone()
        read_us = self._execute("SELECT max(last_us) FROM run").fetchone()[0]
        last = max(last, read_us or last, first + MINUTE_S * US)
        found = [(lost.first * US, (lost.last + 1) * US) for lost in self._lost if lost.table == "minute"]
        found += [
            (chunk.start_s * US, chunk.end_s * US)
            for chunk in self._lost_chunks
            if chunk.interface_id == number
        ]
        found = [(max(low, first), min(high, last)) for low, high in found]
        found = [(low, high) for low, high in found if high > low]
        return found if 0 < len(found) <= _MOST_STRETCHES else [(first, last)]

    def _add_epoch(self, number: int, surplus: Counters) -> None:
        place = self._execute("SELECT max(id) FROM place").fetchone()[0]
        if place is None:
            place = 1
            self._stand_in("place", place)
        seen = self._execute(
            "SELECT first_seen_us, last_seen_us FROM interface WHERE id = ?", (number,)
        ).fetchone()
        values = (number, place, 0, 0, seen[0], "repair", seen[1], "repair", *ZERO, *surplus, *surplus)
        marks = ", ".join("?" * len(values))
        self._execute(f"INSERT INTO epoch VALUES (NULL, {marks})", values)  # noqa: S608

    def _close_epochs_without_baseline(self) -> None:
        """Where the last reading is in doubt, the next recorder must neither count from it nor from zero.

        It does neither where it knows the running boot, but not from this place: then it begins anew.
        """
        broken = bool(self._doubtful & {"epoch", "run", "place", "interface"})
        living = self._execute("SELECT id, place_id FROM epoch WHERE closed_us IS NULL").fetchall()
        closed = [row for row in living if broken or row[0] in self._suspect_epochs]
        if not (broken or closed):
            return
        since = self._now_us
        for epoch, place in closed:
            read_us = self._execute("SELECT max(last_us) FROM run WHERE place_id = ?", (place,)).fetchone()[0]
            sql = "UPDATE epoch SET closed_us = max(opened_us, ?), closed_because = 'repair' WHERE id = ?"
            self._execute(sql, (read_us or 0, epoch))
            since = min(since, read_us or since)
        self._note("closed {} epochs whose last reading is in doubt", len(closed))
        for place in {row[1] for row in closed}:
            self._execute("UPDATE place SET namespace = -id WHERE id = ?", (place,))
        if broken and self._boot_id:
            self._execute("UPDATE place SET namespace = -id WHERE boot_id = ?", (self._boot_id,))
            newest = self._execute("SELECT coalesce(max(id), 0) FROM place").fetchone()[0] + 1
            marker = (newest, self._boot_id, -newest, "", self._now_us)
            self._execute("INSERT INTO place VALUES (?, ?, ?, ?, ?, 0)", marker)
        self._gap(since, max(self._now_us, since), "", "repair: what came after the last reading is unknown")


def insert(
    connection: sqlite3.Connection, table: Table, rows: Iterable[Sequence[Any]], tick: Callable[[], object]
) -> tuple[int, int]:
    """Put rescued rows into a fresh ledger; those that it does not take are left out.

    Returns:
        How many rows the table has, and how many it refused (rows that came twice are not counted).
    """
    refused = 0
    source = iter(rows)
    at_once = _CHUNKS_AT_ONCE if table.name == "chunk" else _AT_ONCE
    marks = ", ".join("?" * len(table.columns))
    sql = f"INSERT OR IGNORE INTO {table.name} ({', '.join(table.columns)}) VALUES ({marks})"  # noqa: S608
    while some := list(itertools.islice(source, at_once)):
        tick()
        try:
            connection.executemany(sql, some)
        except (sqlite3.Error, OverflowError):  # one of them; those before it are in, and come again
            refused += sum(not _insert(connection, sql, row) for row in some)
    with contextlib.closing(connection.execute(f"SELECT count(*) FROM {table.name}")) as count:  # noqa: S608
        return int(count.fetchone()[0]), refused


def _insert(connection: sqlite3.Connection, sql: str, row: Sequence[Any]) -> bool:
    try:
        connection.execute(sql, row)
    except (sqlite3.IntegrityError, sqlite3.DataError, OverflowError):
        return False
    return True
