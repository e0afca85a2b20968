"""The journal of alerts, a file of its own beside the ledger: what was raised, to whom it went, what is remembered.

An alert is committed here first, in one transaction with what its rule remembers; then it is delivered, then that is
noted. So whatever ends the process in between, it is delivered at least once; and since no two alerts have the same
key, it is raised once. `_us` columns are UTC microseconds.
"""

import contextlib
import json
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from netusage.errors import (
    LedgerCorruptError,
    LedgerError,
    LedgerHeldError,
    NetusageError,
)
from netusage.ledger import connect, lock

WHAT = "journal of alerts"
KIND = connect.Kind(
    0x6E75616C,  # "nual"
    1,
    f"the {WHAT} {{path}} was written by a newer netusage",
    "upgrade netusage; it was left as it is",
    "choose another file with alerts.journal; this one was left as it is",
)
_BUSY_MS = 5000  # nothing waits for the one who writes here
_CHECK_BELOW_BYTES = 64 << 20

_SCHEMA = """
CREATE TABLE alert (
  id INTEGER PRIMARY KEY,
  key TEXT NOT NULL UNIQUE,            -- what it is about: raised once
  kind TEXT NOT NULL,
  raised_us INTEGER NOT NULL,
  subject TEXT NOT NULL,
  text TEXT NOT NULL,
  details TEXT NOT NULL,               -- JSON
  only_logged INTEGER NOT NULL CHECK (only_logged IN (0, 1))
) STRICT;
CREATE TABLE delivery (                -- of an alert to one transport
  alert_id INTEGER NOT NULL REFERENCES alert (id),
  transport TEXT NOT NULL,             -- its name, without what is secret in it
  attempts INTEGER NOT NULL,           -- that failed
  next_us INTEGER NOT NULL,            -- not before
  delivered_us INTEGER,
  last_error TEXT NOT NULL,
  PRIMARY KEY (alert_id, transport)
) STRICT, WITHOUT ROWID;
CREATE INDEX waiting ON delivery (transport, alert_id) WHERE delivered_us IS NULL;
CREATE TABLE message (                 -- what was sent: one message may have many alerts
  id INTEGER PRIMARY KEY,
  transport TEXT NOT NULL,
  sent_us INTEGER NOT NULL,
  kind TEXT NOT NULL
) STRICT;
CREATE INDEX message_of ON message (transport, sent_us);
CREATE TABLE memory (                  -- what the rules remember, as JSON
  name TEXT PRIMARY KEY,
  value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE executable (              -- of applications that are known; inode 0 for the application itself
  name TEXT NOT NULL,
  path TEXT NOT NULL,
  inode INTEGER NOT NULL,
  seen_us INTEGER NOT NULL,
  PRIMARY KEY (name, path, inode)
) STRICT, WITHOUT ROWID;
"""
_TABLES = ("alert", "delivery", "message", "memory", "executable")
_WAITING = """
SELECT id, key, kind, raised_us, subject, text, details, only_logged, attempts, next_us
FROM delivery JOIN alert ON id = alert_id WHERE transport = ? AND delivered_us IS NULL ORDER BY id LIMIT ?
"""


class Alert(NamedTuple):
    """Something that somebody may want to know.

    key: what it is about; another alert with the same is the same one.
    kind: as in "threshold" or "gap".
    subject, text: for people: one line, and all of it.
    details: for programs; bytes are integers, times ISO 8601.
    only_logged: it is delivered to nobody.
    """

    key: str
    kind: str
    raised_us: int
    subject: str
    text: str
    details: Mapping[str, Any]
    only_logged: bool = False


class Waiting(NamedTuple):
    """An alert that a transport has not delivered yet: its number, failed attempts, and when it is tried again."""

    id: int
    alert: Alert
    attempts: int
    next_us: int


class Executable(NamedTuple):
    """An executable of an application that is known; inode 0 stands for the application itself."""

    name: str
    path: str
    inode: int


def journal_path(ledger: str, chosen: str = "") -> str:
    """Where the journal of a ledger is: the file that was chosen, or the one beside it."""
    return chosen or f"{ledger}.alerts"


class AlertJournal:
    """Holds a journal for the one who watches.

    A damaged one is set aside, and a new one begun with what can still be read of it.

    Args:
        path: the file; made when it is missing.
        now_us: the present, UTC microseconds.

    Attributes:
        set_aside_to: where the damaged journal is, None when there was none.

    Raises:
        LedgerHeldError: somebody else watches.
        LedgerNewerError: it belongs to a newer version or another program.
        LedgerError: it cannot be made or opened.
    """

    def __init__(self, path: str, now_us: int) -> None:
        self.path = path
        self.set_aside_to: str | None = None
        was_held = os.path.exists(lock.lock_path(path))
        if not was_held and connect.is_strange(path):
            hint = "choose another file with alerts.journal; this one was left as it is"
            raise LedgerError(f"{path} is no {WHAT}", hint=hint)
        try:
            self._hold = lock.hold(path, now_us)
        except LedgerHeldError:
            other = lock.holder(path)
            who = f"process {other.pid}" if other and other.pid else "another process"
            raise LedgerHeldError(
                f"alerts of this ledger are watched for already ({who})",
                hint="it does so for the recorder, or was started by hand: netusage alerts watch",
            ) from None
        except LedgerError as error:
            hint = "choose another place with alerts.journal, or run it with administrative privileges"
            raise LedgerError(error.message, hint=hint) from error
        try:
            try:
                self._open()
            except LedgerCorruptError:
                self.replace(now_us)
        except BaseException:
            self.close()
            raise

    def replace(self, now_us: int) -> None:
        """Set a damaged file aside and begin a new one with what can still be read of it.

        `set_aside_to` tells where the old one is.
        """
        self._close()
        if os.path.exists(self.path):
            self.set_aside_to = connect.set_aside(self.path, connect.stamp(now_us))
        self._open()
        if self.set_aside_to is not None:
            self._rescue(self.set_aside_to)

    def close(self) -> None:
        """Close the file and let another one watch."""
        self._close()
        self._hold.release()

    def memory(self) -> dict[str, Any]:
        """What the rules remember, by name."""
        with self._doing("read"):
            rows = self._connection.execute("SELECT name, value FROM memory").fetchall()
            return {name: json.loads(value) for name, value in rows}

    def executables(self) -> set[Executable]:
        """The applications that are known, and their executables."""
        with self._doing("read"):
            return set(
                map(Executable._make, self._connection.execute("SELECT name, path, inode FROM executable"))
            )

    def add(
        self,
        alerts: Iterable[Alert],
        transports: Sequence[str],
        now_us: int,
        *,
        memory: Mapping[str, Any] | None = None,
        executables: Iterable[Executable] = (),
    ) -> list[Alert]:
        """Take up alerts, and what is remembered from now on, all or nothing.

        Args:
            alerts: those whose key is there already are passed over.
            transports: to whom they are to be delivered.
            now_us: the present.
            memory: by name; what is not named stays as it is.
            executables: that are known from now on.

        Returns:
            The alerts that are new.
        """
        found = []
        with self._doing("write"), self._transaction() as execute:
            for alert in alerts:
                row = (*alert[:5], json.dumps(alert.details, ensure_ascii=False), alert.only_logged)
                cursor = execute(
                    "INSERT INTO alert VALUES (NULL, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING", row
                )
                if not cursor.rowcount:
                    continue
                found.append(alert)
                for transport in () if alert.only_logged else transports:
                    execute(
                        "INSERT INTO delivery VALUES (?, ?, 0, ?, NULL, '')",
                        (cursor.lastrowid, transport, now_us),
                    )
            for name, value in (memory or {}).items():
                execute("INSERT OR REPLACE INTO memory VALUES (?, ?)", (name, json.dumps(value)))
            for executable in executables:
                execute("INSERT OR REPLACE INTO executable VALUES (?, ?, ?, ?)", (*executable, now_us))
        return found

    def waiting(self, transport: str, most: int = 1000) -> list[Waiting]:
        """What a transport has not delivered yet, the oldest first."""
        with self._doing("read"):
            rows = self._connection.execute(_WAITING, (transport, most)).fetchall()
        return [Waiting(row[0], alert_of(row[1:8]), row[8], row[9]) for row in rows]

    def sent(self, transport: str, since_us: int) -> list[tuple[int, str]]:
        """When messages were sent since a time, and of which kind, the oldest first."""
        sql = "SELECT sent_us, kind FROM message WHERE transport = ? AND sent_us >= ? ORDER BY sent_us"
        with self._doing("read"):
            return self._connection.execute(sql, (transport, since_us)).fetchall()

    def delivered(self, transport: str, ids: Sequence[int], kind: str, now_us: int) -> None:
        """Note that a message with these alerts was sent."""
        with self._doing("write"), self._transaction() as execute:
            execute("INSERT INTO message VALUES (NULL, ?, ?, ?)", (transport, now_us, kind))
            for number in ids:
                sql = "UPDATE delivery SET delivered_us = ?, last_error = '' WHERE alert_id = ? AND transport = ?"
                execute(sql, (now_us, number, transport))

    def failed(self, transport: str, ids: Sequence[int], next_us: int, error: str) -> None:
        """Note that a message with these alerts could not be sent, why, and when it is tried again."""
        sql = (
            "UPDATE delivery SET attempts = attempts + 1, last_error = ? WHERE alert_id = ? AND transport = ?"
        )
        with self._doing("write"), self._transaction() as execute:
            for number in ids:
                execute(sql, (error, number, transport))
            sql = "UPDATE delivery SET next_us = ? WHERE transport = ? AND delivered_us IS NULL"
            execute(sql, (next_us, transport))

    def prune(self, before_us: int) -> None:
        """Forget what was raised, or seen, before a time."""
        with self._doing("write"), self._transaction() as execute:
            old = "SELECT id FROM alert WHERE raised_us < ?"
            execute(f"DELETE FROM delivery WHERE alert_id IN ({old})", (before_us,))  # noqa: S608  # fixed text
            execute("DELETE FROM alert WHERE raised_us < ?", (before_us,))
            execute("DELETE FROM message WHERE sent_us < ?", (before_us,))
            execute("DELETE FROM executable WHERE seen_us < ?", (before_us,))

    def _open(self) -> None:
        if connect.is_truncated(self.path):
            raise LedgerCorruptError(f"the {WHAT} {self.path} is shorter than its header says")
        with self._doing("open"):
            if os.path.exists(self.path) and os.path.getsize(
                self.path
            ):  # switching to WAL would already write
                with connect.reading(self.path) as reader:
                    KIND.version_of(reader, self.path)
            self._connection = connect.connect_writer(self.path, busy_ms=_BUSY_MS)
            version = KIND.version_of(self._connection, self.path)
            self._inode = os.stat(self.path).st_ino
            if not version:
                self._create()
            elif os.path.getsize(self.path) <= _CHECK_BELOW_BYTES:
                verdict = self._connection.execute("PRAGMA quick_check(1)").fetchone()[0]
                if verdict != "ok":
                    raise LedgerCorruptError(f"the {WHAT} {self.path} is damaged ({verdict})")

    def _create(self) -> None:
        with self._transaction():
            connect.run(self._connection, _SCHEMA)
            KIND.mark(self._connection, KIND.version)

    def _rescue(self, path: str) -> None:
        """Take over every row that can be read: what waits is delivered, what is remembered is not told again."""
        with (
            contextlib.suppress(NetusageError, sqlite3.Error),
            connect.reading(path) as damaged,
            self._doing("write"),
            self._transaction() as execute,
        ):
            for table in _TABLES:
                with contextlib.suppress(sqlite3.DatabaseError):
                    for row in damaged.execute(f"SELECT * FROM {table}"):  # noqa: S608  # fixed text
                        marks = ", ".join("?" * len(row))
                        with contextlib.suppress(sqlite3.IntegrityError):  # of what was no such row
                            execute(f"INSERT OR IGNORE INTO {table} VALUES ({marks})", row)  # noqa: S608
            execute("DELETE FROM delivery WHERE alert_id NOT IN (SELECT id FROM alert)")

    def _doing(self, what: str) -> contextlib.AbstractContextManager[None]:
        return connect.translated(self.path, what, WHAT)

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[Any]:
        try:
            same = os.stat(self.path).st_ino == self._inode
        except OSError:
            same = False
        if not same:  # what is written there is read by nobody
            raise LedgerCorruptError(f"the {WHAT} {self.path} was removed or replaced")
        with connect.transaction(self._connection):
            yield self._connection.execute

    def _close(self) -> None:
        if hasattr(self, "_connection"):
            with contextlib.suppress(sqlite3.Error):
                self._connection.close()


def alert_of(row: Sequence[Any]) -> Alert:
    """An alert out of its columns."""
    key, kind, raised_us, subject, text, details, only_logged = row
    return Alert(key, kind, raised_us, subject, text, json.loads(details), bool(only_logged))
