"""The ledger as its one recorder holds it: commits of readings and baselines together, sealing, retention."""

import contextlib
import os
import sqlite3
from collections.abc import Sequence
from dataclasses import astuple
from itertools import repeat
from operator import add

from netusage.errors import LedgerBusyError, LedgerCorruptError, LedgerError
from netusage.ledger import connect, lock, memory, schema, sealing, share_changes
from netusage.ledger.batch import Batch, Epoch, Remembered
from netusage.ledger.folding import DayOf, Folding, Shipped, nobody_waits, utc_day
from netusage.model import LARGEST, QUARTER_S, US, ZERO, Gap, Place, Who

BUSY_MS = 100  # a locked ledger must not delay a reading
BUSY_MS_AT_STOP = 700
_CHECK_BELOW_BYTES = 64 << 20

_ADD_MINUTE = """
INSERT INTO minute (start_s, interface_id, rx_bytes, tx_bytes, rx_packets, tx_packets, peak_rx, peak_tx)
VALUES (?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (start_s, interface_id) DO UPDATE SET
  rx_bytes = rx_bytes + excluded.rx_bytes, tx_bytes = tx_bytes + excluded.tx_bytes,
  rx_packets = rx_packets + excluded.rx_packets, tx_packets = tx_packets + excluded.tx_packets,
  peak_rx = max(peak_rx, excluded.peak_rx), peak_tx = max(peak_tx, excluded.peak_tx)
"""
_ADD_TO_INTERFACE = """
UPDATE interface SET
  rx_bytes = rx_bytes + ?, tx_bytes = tx_bytes + ?, rx_packets = rx_packets + ?, tx_packets = tx_packets + ?
WHERE id = ?
"""
_OPEN_INTERFACE = """
INSERT INTO interface (name, kind, up, counted, reason, first_seen_us, last_seen_us)
VALUES (:name, :kind, :up, :counted, :reason, :seen, :seen)
ON CONFLICT (name, kind) DO UPDATE SET up = :up, counted = :counted, reason = :reason, last_seen_us = :seen
RETURNING id
"""
_OPEN_EPOCH = """
INSERT INTO epoch (
  interface_id, place_id, link_index, life, opened_us, opened_because,
  first_rx_bytes, first_tx_bytes, first_rx_packets, first_tx_packets,
  last_rx_bytes, last_tx_bytes, last_rx_packets, last_tx_packets,
  recorded_rx_bytes, recorded_tx_bytes, recorded_rx_packets, recorded_tx_packets)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, 0, 0, 0)
RETURNING id
"""
_MOVE_EPOCH = """
UPDATE epoch SET last_rx_bytes = ?, last_tx_bytes = ?, last_rx_packets = ?, last_tx_packets = ?,
  recorded_rx_bytes = recorded_rx_bytes + ?, recorded_tx_bytes = recorded_tx_bytes + ?,
  recorded_rx_packets = recorded_rx_packets + ?, recorded_tx_packets = recorded_tx_packets + ?
WHERE id = ?
"""
_MEET_APPLICATION = """
INSERT INTO application (kind, name, path, user, unit, container, pod, first_seen_us, last_seen_us)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (kind, name, path, user, unit, container, pod) DO UPDATE SET last_seen_us = excluded.last_seen_us
RETURNING id
"""
_ADD_SHARE = """
INSERT INTO share VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 900)
ON CONFLICT DO UPDATE SET rx_bytes = rx_bytes + excluded.rx_bytes, tx_bytes = tx_bytes + excluded.tx_bytes,
  rx_packets = rx_packets + excluded.rx_packets, tx_packets = tx_packets + excluded.tx_packets
"""
# Stays at the largest number: no commit fails for a sum of bytes that it could write one by one.
_ADD_TO_APPLICATION = f"""
INSERT INTO application_total (kind, name, scope, rx_bytes, tx_bytes) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (kind, name, scope) DO UPDATE SET
  rx_bytes = min(rx_bytes, {LARGEST} - excluded.rx_bytes) + excluded.rx_bytes,
  tx_bytes = min(tx_bytes, {LARGEST} - excluded.tx_bytes) + excluded.tx_bytes
"""  # noqa: S608  # a number
_MEET_VERSION = """
INSERT INTO application_version VALUES (?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET last_seen_us = excluded.last_seen_us
"""
_NOTE_COUNTER = """
INSERT OR REPLACE INTO application_counter VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_NOTE_OWNER = "INSERT OR REPLACE INTO application_owner VALUES (?, ?)"
_CLOSE_EPOCH = "UPDATE epoch SET closed_us = ?, closed_because = ? WHERE id = ?"
_RESTATE_INTERFACE = """
UPDATE interface SET last_seen_us = ?, up = ?, counted = ?, reason = ? WHERE id = ?
"""
_MARK_RUN = """
UPDATE run SET last_us = ?, last_boot_ns = ?, ended = ?, samples = ?, failed_samples = ?, late_samples = ?, commits = ?,
  failed_commits = ?, commit_total_us = ?, commit_max_us = ?, events = ?,
  tier = coalesce(nullif(?, ''), tier)
WHERE id = ?
"""
_MARK_BIRTHS = "UPDATE place SET newest_life = ? WHERE id = ? AND newest_life < ?"
_MARK_WATCHED = """
INSERT INTO watched (run_id, start_us, end_us) VALUES (?, ?, ?)
ON CONFLICT (run_id, start_us) DO UPDATE SET end_us = excluded.end_us
"""


class LedgerWriter:
    """Holds a ledger for one recorder.

    Args:
        path: the file; it and its directory are made when missing.
        place: where the recorder counts.
        boot_us: when the running boot began, UTC microseconds.
        now_us: the present, UTC microseconds.
        source: name of the source of the numbers.
        minutes_kept_s: how long minutes are kept, seconds.
        other_below_ppm: millionths of an interface's bytes of a day; applications with less become one, "other".
        quarters_kept_s: how long applications are kept by quarters of an hour, seconds; they become days then.
        day_of: cuts these days: from when to when, UTC seconds, multiples of 900, the one lasts in which a time lies.
        shipped: tells what may be folded, where copies of it are delivered.

    Raises:
        LedgerHeldError: another recorder holds it.
        LedgerNewerError: it belongs to a newer version or another program; it stays untouched.
        LedgerError: it cannot be made or opened.
    """

    def __init__(
        self,
        path: str,
        place: Place,
        *,
        boot_us: int,
        now_us: int,
        source: str,
        minutes_kept_s: int = 35 * 86400,
        other_below_ppm: int = 10,
        quarters_kept_s: int = 400 * 86400,
        day_of: DayOf = utc_day,
        shipped: Shipped = nobody_waits,
    ) -> None:
        self.path = path
        self.set_aside_to: str | None = None
        self._place = place
        self._boot_us = boot_us
        self._source = source
        self._sealed_until_s = 0
        self._run_id: int | None = None
        self._inode = 0
        self._swept_in = 0  # the quarter of an hour in which old minutes were dropped last
        self._place_id = 0
        self._minutes_kept_s = minutes_kept_s
        self._folding = Folding(other_below_ppm, quarters_kept_s, day_of, shipped)
        connect.make_directory(path)
        self._refuse_others_files()
        self._hold = lock.hold(path, now_us)
        try:
            try:
                self._open(now_us)
            except LedgerCorruptError:
                self._abandon()
                self.set_aside_to = connect.set_aside(path, connect.stamp(now_us))
                self._open(now_us)
        except BaseException:
            self._close()
            self._hold.release()
            raise

    def remember(self) -> Remembered:
        """What earlier recorders left for this place."""
        with connect.translated(self.path, "read"):
            return memory.remember(self._connection, self._place, self._place_id)

    def commit(self, batch: Batch) -> None:
        """Write the batch and the new baselines in one transaction; on an error nothing of it is written.

        Raises:
            LedgerBusyError: locked, or no space for now: keep the batch and try again.
            LedgerCorruptError: the file is damaged: `replace` it, then commit again.
        """
        self._check_still_there()
        with connect.translated(self.path, "write"), connect.transaction(self._connection):
            fresh = {epoch: self._epoch_rows(epoch, batch) for epoch in batch.epochs}
            self._write_entries(batch, fresh)
            self._write_together(batch)
            self._write_shares(batch, fresh)
            run_id = self._write_facts(batch)
            now_s = batch.at.wall_us // US
            if now_s // QUARTER_S * QUARTER_S > self._sealed_until_s:
                sealing.seal(self._connection, self._sealed_until_s, now_s // QUARTER_S * QUARTER_S)
            sweeps = now_s // QUARTER_S != self._swept_in
            if sweeps:
                sealing.drop_old_minutes(self._connection, now_s - self._minutes_kept_s)
                self._folding.turn(self._connection, now_s)
        self._run_id = run_id
        self._swept_in = now_s // QUARTER_S
        if sweeps:
            self._folding.committed()
        for epoch, (row, interface_row) in fresh.items():
            epoch.row, epoch.interface_row = row, interface_row
            epoch.committed, epoch.restated = epoch.last, False
        self._sealed_until_s = max(self._sealed_until_s, now_s // QUARTER_S * QUARTER_S)

    def wait_for_lock(self) -> None:
        """From now on wait a little longer for a locked ledger: this is the last commit."""
        with contextlib.suppress(sqlite3.Error):  # it may be closed after a failed `replace`
            self._connection.execute(f"PRAGMA busy_timeout = {BUSY_MS_AT_STOP}")

    def interrupt(self) -> None:
        """Make a commit that waits give up; safe to call from a signal handler."""
        with contextlib.suppress(sqlite3.Error):
            self._connection.interrupt()

    def replace(self, now_us: int) -> str:
        """Set a damaged (or removed) file aside, start a new ledger in its place and tell where the old one went."""
        self._abandon()
        is_there = os.path.exists(self.path) and os.path.getsize(self.path) > 0
        aside = connect.set_aside(self.path, connect.stamp(now_us)) if is_there else ""
        self._open(now_us)
        return aside

    def close(self) -> None:
        """Close the file and let another recorder have it."""
        self._close()
        self._hold.release()

    def _open(self, now_us: int) -> None:
        if connect.is_truncated(self.path):
            raise LedgerCorruptError(f"the ledger {self.path} is shorter than its header says")
        with connect.translated(self.path, "open"):
            self._refuse_foreign()
            self._connection = connect.connect_writer(self.path, busy_ms=BUSY_MS)
            self._connection.row_factory = sqlite3.Row
            version = schema.check_version(self._connection, self.path)
            schema.migrate(self._connection, version, now_us)
            self._check_after_kill()
            schema.give_row(self._connection, now_us)
            state = self._connection.execute("SELECT * FROM ledger").fetchone()
            self._sealed_until_s = int(state["sealed_until_s"])
            self._folding.begin(self._connection, now_us // US)
            self._place_id = self._find_place()
            with connect.transaction(self._connection):
                memory.close_earlier_boots(self._connection, self._place)
            self._run_id = None
            self._inode = os.stat(self.path).st_ino

    def _refuse_others_files(self) -> None:
        """A damaged ledger is set aside; a file that never was one belongs to somebody and stays where it is.

        The lock file tells them apart: it stands beside every ledger that was ever recorded into, and beside
        nothing else.
        """
        if os.path.isdir(self.path):
            raise LedgerError(f"{self.path} is a directory", hint="name a file with --db")
        if os.path.exists(lock.lock_path(self.path)):
            return
        if connect.is_strange(self.path):
            hint = "choose another file with --db; this one was left as it is"
            raise LedgerError(f"{self.path} is not a ledger", hint=hint)
        with contextlib.suppress(LedgerCorruptError), connect.translated(self.path, "open"):
            self._refuse_foreign()

    def _refuse_foreign(self) -> None:
        """Look at the version before anything of the file is touched: switching to WAL would already write."""
        if not os.path.exists(self.path) or not os.path.getsize(self.path):
            return
        with connect.reading(self.path) as connection:
            schema.check_version(connection, self.path)

    def _check_after_kill(self) -> None:
        """After a recorder that did not stop cleanly, look the file over while that is cheap."""
        last = self._connection.execute("SELECT ended FROM run ORDER BY id DESC LIMIT 1").fetchone()
        if last is None or last["ended"] or os.path.getsize(self.path) > _CHECK_BELOW_BYTES:
            return
        verdict = self._connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        if verdict != "ok":
            raise LedgerCorruptError(f"the ledger {self.path} is damaged ({verdict})")

    def _check_still_there(self) -> None:
        """A file that was removed or replaced under us would take commits that nobody can ever read."""
        try:
            same = os.stat(self.path).st_ino == self._inode
        except FileNotFoundError:
            same = False
        except OSError as error:
            raise LedgerBusyError(f"cannot write the ledger {self.path}: {error.strerror}") from error
        if not same:
            raise LedgerCorruptError(
                f"the ledger {self.path} was removed or replaced while it was recorded into"
            )

    def _find_place(self) -> int:
        place = self._place
        key = (place.boot_id, place.namespace, place.machine)
        insert = "INSERT INTO place (boot_id, namespace, machine, boot_us) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING"
        self._connection.execute(insert, (*key, self._boot_us))
        select = "SELECT id FROM place WHERE boot_id = ? AND namespace = ? AND machine = ?"
        return int(self._connection.execute(select, key).fetchone()["id"])

    def _epoch_rows(self, epoch: Epoch, batch: Batch) -> tuple[int, int]:
        """The numbers of the epoch and of its interface; those that are new to the ledger are made known to it."""
        if epoch.row is not None and epoch.interface_row is not None:
            return epoch.row, epoch.interface_row
        link, first = epoch.link, epoch.first
        values = {
            "name": link.name,
            "kind": link.kind,
            "up": link.up,
            "counted": epoch.counted,
            "reason": epoch.reason,
            "seen": batch.at.wall_us,
        }
        interface_row = int(self._connection.execute(_OPEN_INTERFACE, values).fetchone()[0])
        identity = (
            interface_row,
            self._place_id,
            link.index,
            link.life,
            epoch.opened_us,
            epoch.opened_because,
        )
        row = self._connection.execute(_OPEN_EPOCH, (*identity, *first, *first)).fetchone()[0]
        return int(row), interface_row

    def _write_entries(self, batch: Batch, fresh: dict[Epoch, tuple[int, int]]) -> None:
        """The entries and spans, and with them the baselines and sums of their epochs and interfaces."""
        minutes: list[tuple[int, ...]] = []
        sums = dict.fromkeys(batch.epochs, ZERO)
        for (start_s, epoch), entry in batch.entries.items():
            minutes.append((start_s, fresh[epoch][1], *entry.counters, entry.peak_rx, entry.peak_tx))
            sums[epoch] = sums[epoch].plus(entry.counters)
        for span in batch.spans:
            sums[span.epoch] = sums[span.epoch].plus(span.counters)
        write = self._connection.executemany
        self._write_minutes(minutes)
        if batch.spans:
            spans = [(fresh[s.epoch][1], s.start_us, s.end_us, *s.counters, s.kind) for s in batch.spans]
            sealing.add_spans(self._connection, spans)
        write(_MOVE_EPOCH, [(*e.last, *sum_, fresh[e][0]) for e, sum_ in sums.items()])
        closed = [e for e in batch.epochs if e.closed_us is not None]
        write(_CLOSE_EPOCH, [(e.closed_us, e.closed_because, fresh[e][0]) for e in closed])
        write(_ADD_TO_INTERFACE, [(*sum_, fresh[e][1]) for e, sum_ in sums.items() if sum_ != ZERO])
        restated = [e for e in batch.epochs if e.restated or e.closed_us is not None]
        now_us = batch.at.wall_us
        write(_RESTATE_INTERFACE, [(now_us, e.link.up, e.counted, e.reason, fresh[e][1]) for e in restated])

    def _write_together(self, batch: Batch) -> None:
        """The minutes of epochs that went on together, their baselines and sums."""
        together = batch.together
        if together is None:
            return
        interfaces = [epoch.interface_row for epoch in together.epochs]
        for start_s, counters, peaks in together.blocks:
            rows = zip(repeat(start_s), interfaces, *counters, *peaks)
            self._write_minutes([row for row in rows if any(row[2:6])])
        sums = together.blocks[0].counters
        for block in together.blocks[1:]:
            sums = [list(map(add, a, b)) for a, b in zip(sums, block.counters, strict=True)]
        write, rows_of_epochs = self._connection.executemany, [epoch.row for epoch in together.epochs]
        write(_MOVE_EPOCH, zip(*together.last, *sums, rows_of_epochs, strict=True))
        write(_ADD_TO_INTERFACE, zip(*sums, interfaces, strict=True))

    def _write_shares(self, batch: Batch, fresh: dict[Epoch, tuple[int, int]]) -> None:
        """What applications had, and how far the counters behind it are in the book."""
        numbers: dict[Who, int] = {}
        now_us = batch.at.wall_us

        def number(who: Who) -> int:
            if who not in numbers:
                values = (*who, now_us, now_us)
                numbers[who] = self._connection.execute(_MEET_APPLICATION, values).fetchone()[0]
            return numbers[who]

        shares = []
        for part, counters in batch.shares.items():
            interface = fresh[part.epoch][1] if part.epoch in fresh else part.epoch.interface_row
            shares.append((part.start_s, interface, number(part.who), *part[3:], *counters))
        write = self._connection.executemany
        write(_ADD_SHARE, shares)
        write(_ADD_TO_APPLICATION, _totals(batch))
        starts = {row[0] for row in shares}
        if late := [start_s for start_s in starts if start_s < self._sealed_until_s]:
            share_changes.give(self._connection, late)
        self._folding.note(starts, numbers.values())
        write(_MEET_VERSION, [(number(who), *version, now_us, now_us) for who, *version in batch.versions])
        if batch.counted is None:
            return
        born, whole, counted, owners = batch.counted
        if whole:
            for table in ("application_counter", "application_owner"):
                self._connection.execute(f"DELETE FROM {table}")  # noqa: S608  # fixed text
        rows = [(born, memory.signed(owner), *rest, *count) for (owner, *rest), count in counted.items()]
        write(_NOTE_COUNTER, rows)
        write(_NOTE_OWNER, [(memory.signed(owner), number(who)) for owner, who in owners.items()])

    def _write_minutes(self, minutes: Sequence[tuple[int, ...]]) -> None:
        """Rows of start_s, interface, four counters and two peaks."""
        self._connection.executemany(_ADD_MINUTE, minutes)
        late = [row for row in minutes if row[0] < self._sealed_until_s]
        if late:
            sealing.add_late(self._connection, late)

    def _write_facts(self, batch: Batch) -> int:
        """Gaps, clock steps, and how far this run has come; the number of the run."""
        execute = self._connection.execute
        at, health = batch.at, batch.health
        if self._run_id is None:
            cursor = execute(
                "INSERT INTO run VALUES (NULL, ?, ?, ?, ?, NULL, ?, 0, 0, 0, 0, 0, 0, 0, 0, '')",
                (self._place_id, batch.watched[0][0], at.wall_us, at.boot_ns, self._source),
            )
            run_id = int(cursor.lastrowid or 0)
        else:
            run_id = self._run_id
        execute(_MARK_RUN, (at.wall_us, at.boot_ns, batch.ended, *astuple(health), batch.tier, run_id))
        execute(_MARK_BIRTHS, (batch.newest_life, self._place_id, batch.newest_life))
        self._connection.executemany(_MARK_WATCHED, [(run_id, *stretch) for stretch in batch.watched])
        for gap in batch.gaps:
            self._write_gap(gap)
        for step in batch.steps:
            execute(
                "INSERT INTO clock_step VALUES (NULL, ?, ?, ?, ?)",
                (run_id, step.boot_ns, step.expected_us, step.actual_us),
            )
        return run_id

    def _write_gap(self, gap: Gap) -> None:
        self._connection.execute(
            "INSERT INTO gap VALUES (NULL, ?, ?, ?, ?, ?, ?)",
            (gap.start_us, gap.end_us, str(gap.kind), gap.lossy, gap.interface, gap.note),
        )

    def _abandon(self) -> None:
        """Close a damaged file as it is.

        The last connection that may write would copy the log into it; a reader that closes after it does not.
        """
        guard = None
        with contextlib.suppress(LedgerError, sqlite3.Error):
            guard = connect.guard(self.path)
        self._close()
        if guard is not None:
            guard.close()

    def _close(self) -> None:
        if hasattr(self, "_connection"):
            with contextlib.suppress(sqlite3.Error):
                self._connection.close()


def _totals(batch: Batch) -> list[tuple[str, str, int, int, int]]:
    """What applications had of interfaces that are part of the machine's total: of each and of all, by scope."""
    sums: dict[tuple[str, str, int], tuple[int, int]] = {}
    for part, counters in batch.shares.items():
        if part.epoch.counted:
            for key in ((part.who.kind, part.who.name, part.scope), ("", "", part.scope)):
                rx, tx = sums.get(key, (0, 0))
                sums[key] = rx + counters.rx_bytes, tx + counters.tx_bytes
    return [(*key, min(rx, LARGEST), min(tx, LARGEST)) for key, (rx, tx) in sums.items()]
