"""Reading the database of vnStat 2: tables of local times and bytes, as they are.

Facts, measured with vnStat 2.10: dates are text of the local clock, and the zone is nowhere; every list is redundant,
each byte is once in each of them as long as its row is kept; `interface` has the totals. Tables are not STRICT, so
every value is looked at.
"""

import contextlib
import os
import re
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from typing import Any, NamedTuple

from netusage.errors import InputError, NoDataError
from netusage.model import LARGEST

DEFAULT_PATH = "/var/lib/vnstat/vnstat.db"
LISTS = ("fiveminute", "hour", "day", "top", "month", "year")
_VERSION = "1"
_DATE = re.compile(r"(\d{4})-(\d\d)-(\d\d)(?: (\d\d):(\d\d)(?::(\d\d))?)?", re.ASCII)
_BEFORE_SQLITE = b"vnStat"


class VnstatRow(NamedTuple):
    """One row of a list.

    number: of the row, to find it again. date: year, month, day, hour, minute, second of the local clock.
    """

    number: int
    date: tuple[int, ...]
    rx_bytes: int
    tx_bytes: int


class VnstatInterface(NamedTuple):
    """One interface: its totals since `created`, up to `updated` (local clock), and the rows of each of `LISTS`."""

    name: str
    alias: str
    created: tuple[int, ...]
    updated: tuple[int, ...]
    rx_bytes: int
    tx_bytes: int
    lists: dict[str, list[VnstatRow]]


def read(path: str) -> list[VnstatInterface]:
    """Everything in a database, by name of interface; the file is never changed.

    Raises:
        NoDataError: there is no such file.
        InputError: it is no database of vnStat 2, damaged, or has something in it that makes no sense; says where.
    """
    if not os.path.exists(path):
        hint = "name it: netusage import vnstat FILE (vnStat's DatabaseDir has it)"
        raise NoDataError(f"there is no database of vnStat at {path}", hint=hint)
    if os.path.isdir(path):
        raise InputError(f"{path} is a directory", hint="name the file vnstat.db in it")
    with _opened(path) as connection:
        _check(connection, path)
        rows = connection.execute(
            "SELECT id, name, alias, created, updated, rxtotal, txtotal FROM interface ORDER BY name, id"
        ).fetchall()
        return [_interface(connection, path, row) for row in rows]


@contextlib.contextmanager
def _opened(path: str) -> Iterator[sqlite3.Connection]:
    """A connection that only reads; through a copy where vnStat was killed and its journal has to be gone through."""
    try:
        with open(path, "rb") as file:
            header = file.read(16)
    except OSError as error:
        hint = "read it as its owner (sudo), or make a copy that can be read"
        raise InputError(f"cannot read {path}: {error.strerror}", hint=hint) from error
    if not header.startswith(b"SQLite format 3\0"):
        raise InputError(f"{path} is no database of vnStat 2", hint=_other_than_sqlite(header))
    with tempfile.TemporaryDirectory(prefix="netusage-") as directory:
        opened = path
        if any(os.path.exists(path + suffix) for suffix in ("-journal", "-wal")):
            opened = os.path.join(directory, "vnstat.db")
            for suffix in ("", "-journal", "-wal"):
                with contextlib.suppress(FileNotFoundError):
                    shutil.copyfile(path + suffix, opened + suffix)
        name = os.path.abspath(opened).replace("%", "%25").replace("?", "%3f").replace("#", "%23")
        mode = "ro" if opened == path else "rw"
        try:
            with contextlib.closing(
                sqlite3.connect(f"file://{name}?mode={mode}", uri=True, timeout=5, isolation_level=None)
            ) as connection:
                connection.text_factory = lambda raw: raw.decode("utf-8", "backslashreplace")
                connection.execute("BEGIN")
                yield connection
        except sqlite3.Error as error:
            raise InputError(
                f"{path} cannot be read: {error}", hint="try again, or with a copy of it"
            ) from error


def _other_than_sqlite(header: bytes) -> str:
    if header.lstrip(b"\0").startswith(_BEFORE_SQLITE) or header[:1] in {b"\x02", b"\x03", b"\x04"}:
        return "one of vnStat 1 has to be taken over by vnStat 2 first, which its daemon does when it starts"
    return "it is called vnstat.db, in vnStat's DatabaseDir"


def _check(connection: sqlite3.Connection, path: str) -> None:
    names = {row[0] for row in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    missing = {"info", "interface", *LISTS} - names
    if missing:
        lacks = f"it has no table {min(missing)}"
        raise InputError(f"{path} is no database of vnStat 2: {lacks}", hint=_other_than_sqlite(b""))
    found = connection.execute("SELECT value FROM info WHERE name = 'dbversion'").fetchone()
    if found is None or str(found[0]) != _VERSION:
        version = "none" if found is None else repr(found[0])
        raise InputError(f"{path} has the database version {version}, and {_VERSION!r} is what is known here")


def _interface(connection: sqlite3.Connection, path: str, row: tuple[Any, ...]) -> VnstatInterface:
    number, name, alias, created, updated, rx, tx = row
    at = f"{path}: table interface, row {number}"
    if not isinstance(name, str) or not name:
        raise InputError(f"{at}: {name!r} is no name of an interface")
    return VnstatInterface(
        name,
        str(alias or ""),
        _date(f"{at}: created", created),
        _date(f"{at}: updated", updated),
        _bytes(f"{at}: rxtotal", rx),
        _bytes(f"{at}: txtotal", tx),
        {kind: list(_rows(connection, path, kind, number)) for kind in LISTS},
    )


def _rows(connection: sqlite3.Connection, path: str, kind: str, interface: int) -> Iterator[VnstatRow]:
    sql = f"SELECT id, date, rx, tx FROM {kind} WHERE interface = ? ORDER BY date, id"  # noqa: S608  # names of ours
    for number, date, rx, tx in connection.execute(sql, (interface,)):
        at = f"{path}: table {kind}, row {number}"
        yield VnstatRow(number, _date(f"{at}: date", date), _bytes(f"{at}: rx", rx), _bytes(f"{at}: tx", tx))


def _date(at: str, value: object) -> tuple[int, ...]:
    match = _DATE.fullmatch(value) if isinstance(value, str) else None
    found = tuple(int(part or 0) for part in match.groups()) if match else ()
    if not found or not _is_on_the_calendar(found):
        raise InputError(f"{at}: {value!r} is no date", hint="nothing was taken in")
    return found


def _is_on_the_calendar(at: tuple[int, ...]) -> bool:
    year, month, day, hour, minute, second = at
    if not (1970 <= year < 9990 and 1 <= month <= 12 and hour < 24 and minute < 60 and second < 61):
        return False
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    days = (31, 28 + leap, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)[month - 1]
    return 1 <= day <= days


def _bytes(at: str, value: object) -> int:
    if not isinstance(value, int) or not 0 <= value <= LARGEST:
        raise InputError(f"{at}: {value!r} is no number of bytes", hint="nothing was taken in")
    return value
