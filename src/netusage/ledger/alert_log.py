"""The journal of alerts for those who ask: what was told of, to whom, and what waits. It is never changed."""

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from typing import NamedTuple

from netusage.errors import NoDataError
from netusage.ledger import connect, lock
from netusage.ledger.alert_journal import KIND, WHAT, Alert, alert_of

_ENTRIES = """
SELECT id, key, kind, raised_us, subject, text, details, only_logged FROM alert
WHERE raised_us >= ? AND raised_us < ? ORDER BY raised_us, id
"""
_DELIVERIES = """
SELECT alert_id, transport, attempts, next_us, delivered_us, last_error FROM delivery JOIN alert ON id = alert_id
WHERE raised_us >= ? AND raised_us < ? ORDER BY alert_id, transport
"""
_TRANSPORTS = """
SELECT transport, sum(delivered_us IS NULL), max(attempts * (delivered_us IS NULL)), max(delivered_us),
  coalesce((SELECT last_error FROM delivery l WHERE l.transport = d.transport AND l.delivered_us IS NULL
    AND l.last_error != '' ORDER BY alert_id LIMIT 1), '')
FROM delivery d GROUP BY transport ORDER BY transport
"""


class Delivery(NamedTuple):
    """What became of an alert at one transport; `delivered_us` is None while it waits."""

    transport: str
    attempts: int
    next_us: int
    delivered_us: int | None
    last_error: str


class Entry(NamedTuple):
    """An alert of the log, with its deliveries."""

    id: int
    alert: Alert
    deliveries: tuple[Delivery, ...]

    @property
    def is_waiting(self) -> bool:
        """Whether somebody has not got it yet."""
        return any(one.delivered_us is None for one in self.deliveries)


class TransportState(NamedTuple):
    """How a transport does: alerts that wait, failed attempts of the one with most, when it last delivered."""

    transport: str
    waiting: int
    attempts: int
    delivered_us: int | None
    last_error: str


def entries(path: str, since_us: int, until_us: int) -> list[Entry]:
    """The log in [since, until), the oldest first.

    Raises:
        NoDataError: there is no journal.
        LedgerError: it cannot be read.
    """
    with _reading(path) as connection:
        alerts = connection.execute(_ENTRIES, (since_us, until_us)).fetchall()
        deliveries: dict[int, list[Delivery]] = {}
        for number, *rest in connection.execute(_DELIVERIES, (since_us, until_us)):
            deliveries.setdefault(number, []).append(Delivery(*rest))
    return [Entry(row[0], alert_of(row[1:]), tuple(deliveries.get(row[0], ()))) for row in alerts]


def transports(path: str) -> list[TransportState]:
    """How each transport does that anything was for.

    Raises:
        NoDataError, LedgerError: as `entries`.
    """
    with _reading(path) as connection:
        return [TransportState._make(row) for row in connection.execute(_TRANSPORTS)]


def watcher(path: str) -> lock.Holder | None:
    """Who watches now, None when nobody does."""
    return lock.holder(path)


@contextlib.contextmanager
def _reading(path: str) -> Iterator[sqlite3.Connection]:
    if not os.path.exists(path):
        raise NoDataError(
            "no alerts have been looked for here",
            hint="say to whom they go, in [alerts] of the configuration, and try: netusage alerts test",
        )
    with connect.reading(path) as connection, connect.translated(path, "read", WHAT):
        if not KIND.version_of(connection, path):
            raise NoDataError("no alerts have been looked for here yet")
        yield connection
