"""A plain SQLite file for other programs: what an export of the ledger is as SQLite, and that read again.

Not a ledger: tables of rows as they are exported, nothing beside them but a table that says what it is.
"""

import contextlib
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

from netusage.errors import InputError, OutputError
from netusage.ledger import connect, schema

APPLICATION_ID = 0x6E757870  # "nuxp"
VERSION = 1
_ABOUT = "about"
_ROWS_OF = "rows of "
_ROWS_AT_ONCE = 5000
_HEADER = 100  # bytes of SQLite's header; what programs may write into it is at 60 and 68
_MOST_IN_MEMORY = "cache_size = -8192"


class PlainColumn(NamedTuple):
    """A column; `type` is SQLite's, as in "INTEGER NOT NULL"."""

    name: str
    type: str


class PlainWriter:
    """Writes such a file; a context manager.

    Args:
        path: an empty file, or none.

    Raises:
        OutputError: it cannot be written; any method may find that out.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._rows: dict[str, int] = {}
        with self._told():
            self._connection = sqlite3.connect(path, isolation_level=None)
            for pragma in ("journal_mode = OFF", "synchronous = OFF", _MOST_IN_MEMORY):
                self._connection.execute(f"PRAGMA {pragma}")
            self._connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            self._connection.execute(f"PRAGMA user_version = {VERSION}")
            self._connection.execute("BEGIN")
            self._connection.execute(
                f"CREATE TABLE {_ABOUT} (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT"
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self.about({f"{_ROWS_OF}{table}": str(count) for table, count in self._rows.items()})
                with self._told():
                    self._connection.execute("COMMIT")
        finally:
            self._connection.close()

    def about(self, facts: Mapping[str, str]) -> None:
        """Say something of the whole."""
        with self._told():
            self._connection.executemany(f"INSERT INTO {_ABOUT} VALUES (?, ?)", facts.items())  # noqa: S608  # fixed

    def table(self, name: str, columns: Sequence[PlainColumn], rows: Iterable[Sequence[Any]]) -> None:
        """Make a table and put rows into it, in this order."""
        made = ", ".join(f'"{column.name}" {column.type}' for column in columns)
        marks = ", ".join("?" * len(columns))
        with self._told():
            self._connection.execute(f'CREATE TABLE "{name}" ({made}) STRICT')
        count = 0
        insert = f'INSERT INTO "{name}" VALUES ({marks})'  # noqa: S608  # names of ours
        source = iter(rows)
        while some := list(islice(source, _ROWS_AT_ONCE)):
            with self._told():
                self._connection.executemany(insert, some)
            count += len(some)
        self._rows[name] = count

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            hint = "name another file with -o FILE, on a file system with enough space"
            raise OutputError(f"cannot write {self._path}: {error}", hint=hint) from error


class PlainReader:
    """Reads such a file; a context manager. The file is not changed.

    Args:
        path: the file.

    Raises:
        InputError: it is no such file, or damaged; any method may find that out.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._refuse_others()
        with self._told():
            self._connection = sqlite3.connect(
                f"{Path(path).absolute().as_uri()}?mode=ro", uri=True, isolation_level=None
            )
        try:
            self._refuse_damage()
        except BaseException:
            self._connection.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def _refuse_others(self) -> None:
        """Look at the header before SQLite does, which makes files beside a database of some kinds."""
        with open(self._path, "rb") as file:
            header = file.read(_HEADER)
        version, application = (int.from_bytes(header[at : at + 4], "big") for at in (60, 68))
        if application == schema.APPLICATION_ID:
            hint = "netusage merge takes in ledgers"
            raise InputError(f"{self._path}: it is a ledger itself, not an export of one", hint=hint)
        if connect.is_truncated(self._path):
            raise InputError(f"{self._path}: it is cut off: shorter than its header says")
        if application != APPLICATION_ID:
            raise InputError(f"{self._path}: it is a database of another program, not an export of netusage")
        if version > VERSION:
            raise newer(self._path, version, VERSION)

    def _refuse_damage(self) -> None:
        with self._told():
            verdict = self._connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        if verdict != "ok":
            raise InputError(f"{self._path}: it is damaged ({verdict})")

    def tables(self) -> list[str]:
        """The names of its tables, but of the one that says what it is."""
        with self._told():
            sql = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY rowid"
            return [row[0] for row in self._connection.execute(sql) if row[0] != _ABOUT]

    def columns(self, table: str) -> list[str]:
        """The names of a table's columns."""
        with self._told():
            return [row[1] for row in self._connection.execute(f'PRAGMA table_info("{_quoted(table)}")')]

    def rows(self, table: str) -> Iterator[tuple[int, Sequence[Any]]]:
        """The rows of a table with their numbers, as they were written.

        Raises:
            InputError: there are more or fewer than were written.
        """
        with self._told():
            (told,) = self._connection.execute(
                f"SELECT value FROM {_ABOUT} WHERE name = ?",  # noqa: S608  # fixed
                (f"{_ROWS_OF}{table}",),
            ).fetchone() or (None,)
            count = 0
            sql = f'SELECT rowid, * FROM "{_quoted(table)}" ORDER BY rowid'  # noqa: S608  # quoted
            for number, *row in self._connection.execute(sql):
                yield number, row
                count += 1
        if told is not None and told != str(count):
            raise InputError(f"{self._path}: {table} has {count:,} rows, and {told} were written")

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, UnicodeDecodeError) as error:
            raise InputError(f"{self._path}: it cannot be read ({error})") from error


def newer(path: str, version: int, known: int) -> InputError:
    """An export of a netusage that is newer than this one."""
    return InputError(
        f"{path}: it was written by a newer netusage (version {version} of exports; up to {known} are known here)",
        hint="upgrade netusage",
    )


def _quoted(name: str) -> str:
    return name.replace('"', '""')
