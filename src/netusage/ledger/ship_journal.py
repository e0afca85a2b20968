"""How far a ledger was delivered to fleets, a small file beside it: one row for each fleet and database.

It is written after a delivery, never before, and nothing is lost with it: who finds none, or a damaged one, begins again
from the first change number, and what arrives twice is there once. `_us` columns are UTC microseconds.
"""

import contextlib
import os
import sqlite3
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from netusage.errors import LedgerCorruptError, LedgerError, NetusageError
from netusage.ledger import connect, lock
from netusage.ledger.ship_queries import Line

WHAT = "journal of deliveries"
_KIND = connect.Kind(
    0x6E757368,  # "nush"
    1,
    f"the {WHAT} {{path}} was written by a newer netusage",
    "upgrade netusage; it was left as it is",
    "move it elsewhere; it was left as it is",
)
_BUSY_MS = 5000

_SCHEMA = """
CREATE TABLE fleet (
  url TEXT NOT NULL,
  base TEXT NOT NULL,                  -- the database there
  share TEXT NOT NULL,                 -- what was allowed to leave the host, and how it is told
  identity TEXT NOT NULL,              -- of the ledger, and how far it went, see `Line`; '' to begin again
  made_us INTEGER NOT NULL,
  run INTEGER NOT NULL,
  started_us INTEGER NOT NULL,
  last_boot_ns INTEGER NOT NULL,
  above INTEGER NOT NULL,              -- is added to all change numbers
  cursor INTEGER NOT NULL,             -- up to that change number everything has arrived
  sent INTEGER NOT NULL,               -- up to that one anything may have
  told INTEGER NOT NULL,               -- the cursor as the fleet was told it last, with what is added to it
  gaps INTEGER NOT NULL,               -- up to that number all gaps have
  shares_until_s INTEGER NOT NULL,     -- nothing was sent yet of quarters of an hour from there on
  anew INTEGER NOT NULL CHECK (anew IN (0, 1)),  -- rows of before are there that this ledger may not have
  turn INTEGER NOT NULL,               -- grows with every attempt
  failures INTEGER NOT NULL,           -- since the last success
  arrived_us INTEGER NOT NULL,         -- the last success, 0 for none
  tried_us INTEGER NOT NULL,
  error TEXT NOT NULL,                 -- of the last attempt, '' when it went well
  PRIMARY KEY (url, base)
) STRICT, WITHOUT ROWID;
"""


class Progress(NamedTuple):
    """How far a ledger was delivered to one fleet.

    share: what was allowed to leave the host, and how it is told, as the one who delivers writes it.
    line: the ledger as it was then; its identity is "" when all is to be delivered again.
    above: is added to the ledger's change numbers, so that those of a restored or repaired one are higher than before.
    cursor: up to that change number everything has arrived.
    sent: up to that one anything may have.
    told: the cursor as the fleet was told it last, with `above`; 0 when it was not.
    gaps: up to that number all gaps have.
    shares_until_s: nothing was sent yet of quarters of an hour from there on, UTC seconds.
    anew: what is there from before, and is not sent again, is to be taken back in the end.
    """

    share: str
    line: Line
    above: int
    cursor: int = 0
    sent: int = 0
    told: int = 0
    gaps: int = 0
    shares_until_s: int = 0
    anew: bool = False


class State(NamedTuple):
    """How deliveries to one fleet do.

    progress: how far they are.
    failures: how often it failed since the last success.
    arrived_us: the last success, 0 for none. tried_us: the last attempt.
    error: why that failed, "" when it did not.
    """

    url: str
    base: str
    progress: Progress
    failures: int
    arrived_us: int
    tried_us: int
    error: str


_COLUMNS = "share, identity, made_us, run, started_us, last_boot_ns, above, cursor, sent, told, gaps, shares_until_s, anew"
_FRESH = ("", "", 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)

_INSERT = f"""
INSERT INTO fleet (url, base, {_COLUMNS}, turn, failures, arrived_us, tried_us, error)
VALUES (?, ?, {", ".join("?" * len(_FRESH))}, 0, 0, 0, ?, '') ON CONFLICT DO NOTHING
"""  # noqa: S608  # fixed texts


def journal_path(ledger: str) -> str:
    """Where the journal of a ledger is."""
    return f"{ledger}.ship"


class ShipJournal:
    """The journal for the one who delivers to a fleet; every method opens the file by itself.

    Args:
        ledger: the ledger's file.
        url: of the fleet.
        base: the database there.

    Attributes:
        set_aside_to: where a damaged journal is now, None when there was none.

    Raises:
        LedgerNewerError: it belongs to a newer version or another program.
        LedgerError: it cannot be made, read or written; any method may find that out.
    """

    def __init__(self, ledger: str, url: str, base: str) -> None:
        self.path = journal_path(ledger)
        self._ledger = ledger
        self.set_aside_to: str | None = None
        self._key = _key(url, base)

    @property
    def failures(self) -> int:
        """How often it failed since the last success."""
        return sum(one.failures for one in states(self._ledger) if (one.url, one.base) == self._key)

    def begin(self, now_us: int) -> tuple[Progress, int]:
        """Note an attempt; how far the deliveries are, and the number of the attempt.

        A damaged journal is set aside, and a new one begun.
        """
        try:
            return self._begin(now_us)
        except LedgerCorruptError:
            self.set_aside_to = connect.set_aside(self.path, connect.stamp(now_us))
            return self._begin(now_us)

    def note(self, progress: Progress, turn: int) -> bool:
        """Note how far the attempt of that number is; False when all is to be delivered again since it began."""
        sql = f"""UPDATE fleet SET ({_COLUMNS}) = ({", ".join("?" * len(_FRESH))})
                  WHERE url = ? AND base = ? AND turn = ?"""  # noqa: S608  # fixed text
        row = (progress.share, *progress.line, *progress[2:])
        with self._writing() as connection:
            return connection.execute(sql, (*row, *self._key, turn)).rowcount == 1

    def arrived(self, now_us: int) -> None:
        """Note that the last attempt went well."""
        sql = "UPDATE fleet SET failures = 0, arrived_us = ?, error = '' WHERE url = ? AND base = ?"
        with self._writing() as connection:
            connection.execute(sql, (now_us, *self._key))

    def failed(self, error: str, now_us: int) -> None:
        """Note why an attempt failed, as far as that can be noted."""
        with contextlib.suppress(LedgerError), self._writing() as connection:
            connection.execute(_INSERT, (*self._key, *_FRESH, now_us))  # when it failed before it began
            sql = (
                "UPDATE fleet SET failures = failures + 1, error = ?, tried_us = ? WHERE url = ? AND base = ?"
            )
            connection.execute(sql, (error, now_us, *self._key))

    def _begin(self, now_us: int) -> tuple[Progress, int]:
        sql = f"""UPDATE fleet SET turn = turn + 1, tried_us = ? WHERE url = ? AND base = ?
                  RETURNING {_COLUMNS}, turn"""  # noqa: S608  # fixed text
        with self._writing() as connection:
            connection.execute(_INSERT, (*self._key, *_FRESH, now_us))
            ((*row, turn),) = connection.execute(sql, (now_us, *self._key)).fetchall()
        return _progress(row), turn

    @contextlib.contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with _opened(self.path) as connection:
            yield connection


@contextlib.contextmanager
def _opened(path: str) -> Iterator[sqlite3.Connection]:
    """The journal inside a transaction; made when it is not there."""
    if connect.is_strange(path):
        raise LedgerCorruptError(f"the {WHAT} {path} is damaged")
    with connect.translated(path, "write", WHAT):
        connection = connect.connect_writer(path, busy_ms=_BUSY_MS)
        try:
            with connect.transaction(connection):
                if not _KIND.version_of(connection, path):
                    connect.run(connection, _SCHEMA)
                    _KIND.mark(connection, _KIND.version)
                yield connection
        finally:
            connection.close()


def rewind(ledger: str, url: str, base: str) -> None:
    """Have everything delivered again, also by one who is delivering just now.

    Raises:
        LedgerError: the journal cannot be written.
    """
    with contextlib.suppress(LedgerCorruptError), _opened(journal_path(ledger)) as connection:
        sql = "UPDATE fleet SET identity = '', turn = turn + 1 WHERE url = ? AND base = ?"
        connection.execute(sql, _key(url, base))


def states(ledger: str) -> list[State]:
    """How the deliveries to every fleet do; none when there is no journal, or a damaged one.

    Raises:
        LedgerError: it cannot be read.
    """
    path = journal_path(ledger)
    if not os.path.exists(path):
        return []
    sql = f"SELECT url, base, failures, arrived_us, tried_us, error, {_COLUMNS} FROM fleet ORDER BY url, base"  # noqa: S608
    with (
        contextlib.suppress(LedgerCorruptError),
        connect.reading(path) as connection,
        connect.translated(path, "read", WHAT),
    ):
        if _KIND.version_of(connection, path):
            return [State._make((*row[:2], _progress(row[6:]), *row[2:6])) for row in connection.execute(sql)]
    return []


def shipped(ledger: str, url: str, base: str, identity: str) -> int:
    """Up to which change number of that ledger everything has arrived; 0 where that is not known."""
    with contextlib.suppress(NetusageError):
        for state in states(ledger):
            if (state.url, state.base) == _key(url, base) and state.progress.line.identity == identity:
                return state.progress.cursor
    return 0


def _key(url: str, base: str) -> tuple[str, str]:
    """As the file has it: a URL with a slash at its end is no other one."""
    return url.rstrip("/"), base


def hold(ledger: str, now_us: int) -> lock.Hold:
    """Be the only one who delivers.

    Raises:
        LedgerHeldError: somebody else does.
        LedgerError: the lock cannot be had.
    """
    return lock.hold(journal_path(ledger), now_us)


def deliverer(ledger: str) -> lock.Holder | None:
    """Who delivers now, None when nobody does."""
    return lock.holder(journal_path(ledger))


def _progress(row: Sequence[Any]) -> Progress:
    (
        share,
        identity,
        made_us,
        run,
        started_us,
        last_boot_ns,
        above,
        cursor,
        sent,
        told,
        gaps,
        shares_until_s,
        anew,
    ) = row
    line = Line(identity, made_us, run, started_us, last_boot_ns)
    return Progress(share, line, above, cursor, sent, told, gaps, shares_until_s, bool(anew))
