"""The books of a ledger, written out of collected rows as a recorder would have left them.

Chunks with running totals, minutes, spans, totals of interfaces, sums of five minutes and of the machine; and one epoch
of each interface, which counts from zero.
"""

import sqlite3
import uuid
from collections.abc import Mapping, Sequence
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple

from netusage.ledger import chunks, fives, machine_chunks, share_changes
from netusage.model import MINUTE_S, QUARTER_S, US, Counters, Who

# Why there is an estimated stretch: its row was longer than what a ledger keeps. Also how epochs began and ended.
IMPORTED = "import"
_COLUMNS = ", ".join(Counters._fields)
_SUMS = ", ".join(f"sum({column})" for column in Counters._fields)
STAGES = f"""
CREATE TABLE stage.counted (
  interface_id INTEGER, start_s INTEGER, end_s INTEGER, {", ".join(f"{c} INTEGER" for c in Counters._fields)},
  peak_rx INTEGER, peak_tx INTEGER, source INTEGER, row INTEGER,
  PRIMARY KEY (interface_id, start_s, end_s, source, row)) WITHOUT ROWID;
CREATE TABLE stage.estimated (
  interface_id INTEGER, start_us INTEGER, end_us INTEGER, because TEXT, {", ".join(f"{c} INTEGER" for c in Counters._fields)},
  source INTEGER, row INTEGER,
  PRIMARY KEY (interface_id, start_us, end_us, because, source, row)) WITHOUT ROWID;
CREATE TABLE stage.share (
  start_s INTEGER, interface_id INTEGER, application_id INTEGER, scope INTEGER, protocol INTEGER, family INTEGER,
  {", ".join(f"{c} INTEGER" for c in Counters._fields)}, seconds INTEGER, source INTEGER, row INTEGER,
  PRIMARY KEY (start_s, interface_id, application_id, scope, protocol, family, seconds, source, row)) WITHOUT ROWID;
"""
_IS_MINUTE = f"(end_s - start_s = {MINUTE_S} AND start_s % {MINUTE_S} = 0)"
_IS_QUARTER = f"(end_s - start_s = {QUARTER_S} AND start_s % {QUARTER_S} = 0)"
_HOW_MANY = f"SELECT count(*), sum({_IS_MINUTE}), sum({_IS_QUARTER}) FROM stage.counted"  # noqa: S608  # fixed texts
_LONGER = f"""
INSERT INTO stage.estimated
SELECT interface_id, start_s * {US}, end_s * {US}, '{IMPORTED}', {_COLUMNS}, source, row FROM stage.counted
WHERE NOT {_IS_MINUTE} AND NOT {_IS_QUARTER}
"""  # noqa: S608  # fixed texts
_QUARTERS = f"""
SELECT start_s / {QUARTER_S} * {QUARTER_S} AS quarter_s, {_SUMS}, max(peak_rx), max(peak_tx) FROM stage.counted
WHERE interface_id = ? AND start_s < ? AND ({_IS_MINUTE} OR {_IS_QUARTER}) GROUP BY quarter_s ORDER BY quarter_s
"""  # noqa: S608  # as above
_MINUTES = f"""
INSERT INTO minute SELECT start_s, interface_id, {_COLUMNS}, peak_rx, peak_tx FROM stage.counted
WHERE {_IS_MINUTE} AND start_s >= ? AND (rx_bytes OR tx_bytes OR rx_packets OR tx_packets OR peak_rx OR peak_tx)
ORDER BY start_s, interface_id
"""  # noqa: S608  # as above
_SPANS = f"""
INSERT INTO span SELECT NULL, interface_id, start_us, end_us, {_COLUMNS}, because, ? + row_number() OVER ()
FROM stage.estimated ORDER BY start_us, interface_id, end_us, because
"""  # noqa: S608  # as above
_SHARES = f"""
INSERT INTO share SELECT start_s, interface_id, application_id, scope, protocol, family, {_COLUMNS}, seconds
FROM stage.share ORDER BY start_s, interface_id, application_id, scope, protocol, family
"""  # noqa: S608  # as above
_SEEN = """
UPDATE application SET first_seen_us = s.first_us, last_seen_us = s.last_us FROM (
  SELECT application_id, min(start_s) * 1000000 AS first_us, max(start_s + seconds) * 1000000 AS last_us
  FROM stage.share GROUP BY application_id) s WHERE s.application_id = application.id
"""


class Taken(NamedTuple):
    """What was taken in.

    rows: how many, by what they became.
    interfaces: how many there are.
    start_us, end_us: from when to when there are bytes, UTC microseconds; None where there are none.
    notes: what is not as it was in the rows, a line each.
    """

    rows: dict[str, int]
    interfaces: int
    start_us: int | None
    end_us: int | None
    notes: list[str]


class Known(NamedTuple):
    """An interface that rows have named, and what they have added up to."""

    id: int
    counted: bool
    totals: list[int]


class Books:
    """Writes them.

    Args:
        connection: a fresh ledger, inside a transaction, with the rows in `STAGES`.
        interfaces: names and kinds, and what is known of each.
        now_us: the present, UTC microseconds.
    """

    def __init__(
        self, connection: sqlite3.Connection, interfaces: Sequence[tuple[tuple[str, str], Known]], now_us: int
    ) -> None:
        self._connection = connection
        self._interfaces = interfaces
        self._now_us = now_us

    def write(self, applications: Mapping[Who, int], watched: Sequence[tuple[int, int, str, str]]) -> Taken:
        """Write everything.

        Args:
            applications: their numbers in the rows.
            watched: as `entries.watched` tells them.
        """
        execute = self._connection.execute
        rows, minutes, quarters = (number or 0 for number in execute(_HOW_MANY).fetchone())
        estimated = execute("SELECT count(*) FROM stage.estimated").fetchone()[0]
        shares = execute("SELECT count(*) FROM stage.share").fetchone()[0]
        gaps = execute("SELECT count(*) FROM gap").fetchone()[0]
        execute(_LONGER)
        minutes_from_s, sealed_s = self._bounds()
        seen = self._write_interfaces()
        change = self._write_chunks(sealed_s)
        kept = execute(_MINUTES, (minutes_from_s,)).rowcount
        change += execute(_SPANS, (change,)).rowcount
        self._write_applications(applications)
        runs = self._write_runs(watched)
        created_us = min([self._now_us, *(start for start, _ in seen.values())])
        execute(
            "INSERT INTO ledger VALUES (1, ?, ?, ?, ?, ?)",
            (str(uuid.uuid4()), created_us, change, sealed_s, minutes_from_s),
        )
        share_changes.give_all(self._connection)
        fives.note_all(self._connection)
        machine_chunks.refresh_all(self._connection)
        longer = rows - minutes - quarters
        notes = []
        if longer:
            notes.append(
                f"{longer:,} rows are longer than a quarter of an hour: they are estimated stretches now"
            )
        if kept < minutes:
            notes.append(
                f"{minutes - kept:,} minutes are before quarters of an hour (or empty), and are kept as such"
            )
        found = {
            "minutes": minutes,
            "quarters": quarters,
            "longer": longer,
            "estimated": estimated,
            "applications": shares,
            "gaps": gaps,
            "watched": runs,
        }
        start_us = min((start for start, _ in seen.values()), default=None)
        end_us = max((end for _, end in seen.values()), default=None)
        return Taken(found, len(self._interfaces), start_us, end_us, notes)

    def _bounds(self) -> tuple[int, int]:
        """From when on minutes are the record, and until when quarters are sealed; UTC seconds."""
        (after_quarters,) = self._connection.execute(
            f"SELECT max(end_s) FROM stage.counted WHERE {_IS_QUARTER}"  # noqa: S608  # fixed text
        ).fetchone()
        (first,) = self._connection.execute(
            f"SELECT min(start_s) FROM stage.counted WHERE {_IS_MINUTE}"  # noqa: S608  # as above
        ).fetchone()
        # minutes of the quarter that runs, or ahead of the present, are left to the recorder to be summed up
        sealed_s = max(self._now_us // US // QUARTER_S * QUARTER_S, after_quarters or 0)
        first_s = sealed_s if first is None else min(first // QUARTER_S * QUARTER_S, sealed_s)
        return (first_s if after_quarters is None else after_quarters), sealed_s

    def _write_interfaces(self) -> dict[int, tuple[int, int]]:
        """Interfaces with their totals, and an epoch of each; when each was seen, UTC microseconds."""
        execute = self._connection.execute
        seen: dict[int, tuple[int, int]] = {}
        for sql in (
            f"SELECT interface_id, min(start_s) * {US}, max(end_s) * {US} FROM stage.counted GROUP BY 1",  # noqa: S608
            "SELECT interface_id, min(start_us), max(end_us) FROM stage.estimated GROUP BY 1",
        ):
            for number, start_us, end_us in execute(sql):
                known = seen.get(number, (start_us, end_us))
                seen[number] = (min(known[0], start_us), max(known[1], end_us))
        start_us = min((start for start, _ in seen.values()), default=self._now_us)
        place = (f"{IMPORTED}-{uuid.uuid4()}", IMPORTED, start_us)
        place_id = execute("INSERT INTO place VALUES (NULL, ?, 0, ?, ?, 0) RETURNING id", place).fetchone()[0]
        for (name, kind), (number, counted, totals) in self._interfaces:
            stretch = seen[number]
            reason = "as it was where this is from"
            execute(
                "INSERT INTO interface VALUES (?, ?, ?, 0, ?, ?, ?, ?, ?, ?, ?, ?)",
                (number, name, kind, counted, reason, *stretch, *totals),
            )
            life = (stretch[0], IMPORTED, stretch[1], IMPORTED)
            epoch = (number, place_id, 0, 0, *life, 0, 0, 0, 0, *totals, *totals)
            marks = ", ".join("?" * len(epoch))
            execute(f"INSERT INTO epoch VALUES (NULL, {marks})", epoch)  # noqa: S608  # fixed text
        return seen

    def _write_chunks(self, sealed_s: int) -> int:
        """Quarters of an hour in chunks of four weeks, the last day apart; the last change number that was given."""
        last_day_s = (sealed_s - 1) // chunks.DAY_S * chunks.DAY_S
        change = 0
        for _, known in self._interfaces:
            before: tuple[int, ...] = (0, 0, 0, 0)
            rows = (row for row in self._connection.execute(_QUARTERS, (known.id, sealed_s)) if any(row[1:]))
            for _, together in groupby(
                rows, key=lambda row: (row[0] // chunks.LONGEST_S, row[0] >= last_day_s)
            ):
                quarters = list(together)
                chunk = chunks.Chunk(known.id, quarters[0][0], before)
                for quarter in quarters:
                    chunk.append(quarter)
                change += 1
                chunk.change = change
                chunk.save(self._connection)
                before = chunk.after
        return change

    def _write_applications(self, applications: Mapping[Who, int]) -> None:
        rows = ((number, *who) for who, number in applications.items())
        self._connection.executemany("INSERT INTO application VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0, 0)", rows)
        self._connection.execute(_SHARES)
        self._connection.execute(_SEEN)

    def _write_runs(self, watched: Sequence[tuple[int, int, str, str]]) -> int:
        """Lives of recorders, as far as stretches that were watched tell of them; how many stretches there are."""
        count = 0
        for (source, tier), together in groupby(sorted(watched), key=itemgetter(2, 3)):
            stretches: dict[int, int] = {}
            for start_us, end_us, *_ in together:
                stretches[start_us] = max(end_us, stretches.get(start_us, end_us))
            count += len(stretches)
            run = (1, min(stretches), max(stretches.values()), 0, IMPORTED, source, *[0] * 8, tier)
            sql = f"INSERT INTO run VALUES (NULL, {', '.join('?' * len(run))}) RETURNING id"  # noqa: S608  # as above
            (number,) = self._connection.execute(sql, run).fetchone()
            self._connection.executemany(
                "INSERT INTO watched VALUES (NULL, ?, ?, ?)",
                ((number, *stretch) for stretch in stretches.items()),
            )
        return count
