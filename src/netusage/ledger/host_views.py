"""Looking at a host of a ledger: the book of another machine or disk, in tables of its own with a prefix."""

import sqlite3
from collections.abc import Sequence

from netusage.errors import NoDataError
from netusage.ledger.answers import HostRecord

LARGE = ("chunk", "machine_chunk", "five")  # with columns of hundreds of numbers
NO_BOOK = ("host", "imported", "migration")  # tables that belong to the file


def records(connection: sqlite3.Connection) -> list[HostRecord]:
    """Every host that is there for readers, by name."""
    sql = "SELECT id, name, kind, identity, merged_us FROM host WHERE complete ORDER BY name"
    return [HostRecord(*row) for row in connection.execute(sql)]


def find(hosts: Sequence[HostRecord], name: str, path: str) -> HostRecord:
    """The host of that name.

    Raises:
        NoDataError: there is none; says which there are.
    """
    for host in hosts:
        if host.name == name:
            return host
    known = ", ".join(host.name for host in hosts)
    hint = f"there are: {known}" if known else "netusage merge takes in the ledger of another machine"
    raise NoDataError(f"no host {name!r} in the ledger {path}", hint=hint)


def look_at(connection: sqlite3.Connection, host: HostRecord, tables: Sequence[str]) -> None:
    """From now on, the plain names of tables mean those of the host, in this connection alone.

    Args:
        connection: a question whose first row was read goes on as it began.
        host: which.
        tables: `book_tables`.
    """
    connection.execute("PRAGMA query_only = OFF")
    for table in tables:
        connection.execute(f"DROP VIEW IF EXISTS temp.{table}")
        # questions that read columns of chunks ask for them by rowid, which a view does not have by itself
        columns = "rowid AS rowid, *" if table in LARGE else "*"
        connection.execute(
            f"CREATE TEMP VIEW {table} AS SELECT {columns} FROM main.{prefix(host.id)}{table}"  # noqa: S608  # names of ours
        )
    connection.execute("PRAGMA query_only = ON")


def prefix(number: int) -> str:
    """What the names of a host's tables begin with."""
    return f"host_{number}_"


def book_tables(connection: sqlite3.Connection) -> list[str]:
    """The tables of a ledger's book, by their plain names."""
    names = [row[0] for row in connection.execute("SELECT name FROM main.sqlite_schema WHERE type = 'table'")]
    return [name for name in names if name not in NO_BOOK and not name.startswith(("host_", "sqlite_"))]
