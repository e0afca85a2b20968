"""Looking into a ledger from outside, with nothing but SQLite: what is recorded, and whether it adds up."""

import contextlib
import sqlite3
from pathlib import Path

from netusage.ledger.reader import LedgerReader
from netusage.ledger.verify import verify
from netusage.model import ZERO, Counters

_COUNTERS = ", ".join(Counters._fields)


@contextlib.contextmanager
def opened(path):
    """A connection that only reads."""
    connection = sqlite3.connect(
        f"{Path(path).absolute().as_uri()}?mode=ro", uri=True, timeout=10, isolation_level=None
    )
    connection.row_factory = sqlite3.Row
    try:
        yield connection
    finally:
        connection.close()


def rows(path, question, *values):
    """The rows that answer a question."""
    with opened(path) as connection:
        return connection.execute(question, values).fetchall()


def recorded(path) -> dict[str, Counters]:
    """The stored totals by interface name; interfaces with nothing are left out."""
    total: dict[str, Counters] = {}
    for name, *values in rows(path, f"SELECT name, {_COUNTERS} FROM interface"):
        total[name] = total.get(name, ZERO).plus(Counters(*values))
    return {name: counters for name, counters in total.items() if not counters.is_zero}


def gaps(path, **wanted):
    """The declared gaps that have these values, as in `kind="vanished", interface="va"`."""
    found = [dict(row) for row in rows(path, "SELECT * FROM gap ORDER BY id")]
    return [row for row in found if all(row[name] == value for name, value in wanted.items())]


def epochs(path, name=None):
    """The epochs of an interface (or all), oldest first."""
    question = "SELECT e.*, i.name FROM epoch e JOIN interface i ON i.id = e.interface_id {} ORDER BY e.id"
    if name is None:
        return rows(path, question.format(""))
    return rows(path, question.format("WHERE i.name = ?"), name)


def assert_it_adds_up(path):
    """Entries equal stored totals equal counter differences, by our own sums and by the ledger's own `verify`."""
    with opened(path) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
        for field in Counters._fields:
            wrong = connection.execute(
                f"SELECT id FROM epoch WHERE last_{field} - first_{field} != recorded_{field}"
            ).fetchall()
            assert not wrong, (
                f"{field}: counter differences differ from what was recorded in {len(wrong)} epochs"
            )
            unlike = connection.execute(
                f"""SELECT name, {field} AS stored,
                  (SELECT coalesce(sum(recorded_{field}), 0) FROM epoch WHERE interface_id = i.id) AS of_epochs,
                  (SELECT coalesce(sum({field}), 0) FROM span WHERE interface_id = i.id) +
                  (SELECT coalesce(sum({field}), 0) FROM quarter WHERE interface_id = i.id) +
                  (SELECT coalesce(sum({field}), 0) FROM minute WHERE interface_id = i.id
                    AND start_s >= (SELECT sealed_until_s FROM ledger)) AS of_entries
                  FROM interface i WHERE stored != of_epochs OR stored != of_entries"""
            ).fetchall()
            assert not unlike, [tuple(row) for row in unlike]
    with LedgerReader(path) as reader:
        verdict = verify(reader)
    assert not verdict.findings, verdict.findings
