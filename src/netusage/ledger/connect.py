"""Opening the ledger's file, and SQLite's errors in this project's words.

Facts from SQLite's documentation: a WAL database without its -wal and -shm files can be read without write
permission only as `immutable`; bytes 28..31 of the header hold the size in pages as of the last checkpoint.
"""

import contextlib
import os
import sqlite3
import time
from collections.abc import Callable, Iterator

from netusage.errors import (
    LedgerBusyError,
    LedgerCorruptError,
    LedgerError,
    LedgerNewerError,
    NoDataError,
)
from netusage.ledger import lock
from netusage.model import US
from netusage.records import NamedTuple

_BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_PASSING = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN}
_CORRUPT = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_ATTEMPTS, _PAUSE_S = 5, 0.01


class Kind(NamedTuple):
    """One kind of this project's SQLite files, and what to say of a file that is none, or a newer one.

    application_id, version: what SQLite's header says of it, and the newest that this program knows.
    newer: the message about a newer one, with {path} and {version}. newer_hint, foreign_hint: what to do.
    """

    application_id: int
    version: int
    newer: str
    newer_hint: str
    foreign_hint: str

    def version_of(self, connection: sqlite3.Connection, path: str) -> int:
        """The version of the open file, 0 for one without tables.

        Raises:
            LedgerNewerError: the file is newer than this program, or another program's database.
        """
        version = int(connection.execute("PRAGMA user_version").fetchone()[0])
        application = int(connection.execute("PRAGMA application_id").fetchone()[0])
        tables = int(connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0])
        if application == self.application_id and version > self.version:
            raise LedgerNewerError(self.newer.format(path=path, version=version), hint=self.newer_hint)
        if application not in (0, self.application_id) or (application == 0 and tables):
            raise LedgerNewerError(f"{path} is a database of another program", hint=self.foreign_hint)
        return version if application == self.application_id else 0

    def mark(self, connection: sqlite3.Connection, version: int) -> None:
        """Make the open file one of this kind and version."""
        connection.execute(f"PRAGMA application_id = {self.application_id}")
        connection.execute(f"PRAGMA user_version = {version}")


@contextlib.contextmanager
def translated(path: str, doing: str, what: str = "ledger") -> Iterator[None]:
    """Turn SQLite's errors inside the block into this project's; `what` the file is to people.

    Raises:
        LedgerBusyError: locked, full, read-only or an input/output error: may pass.
        LedgerCorruptError: the file is damaged or no database.
        LedgerError: anything else SQLite has to say.
    """
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code in _CORRUPT:
            hint = f"see what is left with: netusage repair --db {path} --dry-run" if what == "ledger" else ""
            raise LedgerCorruptError(f"the {what} {path} is damaged ({error})", hint=hint) from error
        if code in _BUSY:
            hint = "another program is holding it; try again"
            raise LedgerBusyError(f"cannot {doing} the {what} {path}: it is locked", hint=hint) from error
        if code in _PASSING:
            hint = "check free space and permissions of its directory"
            raise LedgerBusyError(f"cannot {doing} the {what} {path}: {error}", hint=hint) from error
        raise LedgerError(f"cannot {doing} the {what} {path}: {error}") from error
    except OverflowError as error:
        raise LedgerError(f"cannot {doing} the {what} {path}: a number is beyond 2^63") from error


def connect_writer(
    path: str, *, busy_ms: int, pause: Callable[[float], None] = time.sleep
) -> sqlite3.Connection:
    """Open (or create) the file for the one recorder. `busy_ms`: how long a locked database is waited for.

    A reader with more privileges (`sudo netusage`) that opens the file first makes its -wal and -shm files, and SQLite
    gives them to the ledger's owner only then: who opens them in between may not write until the file is opened anew.
    """
    for _ in range(_ATTEMPTS - 1):
        connection = _writer(path, busy_ms)
        if _lets_write(connection, busy_ms):
            return connection
        connection.close()
        pause(_PAUSE_S)
    return _writer(path, busy_ms)


def _lets_write(connection: sqlite3.Connection, busy_ms: int) -> bool:
    """Whether anything can be written; another one's lock says nothing against it."""
    connection.execute("PRAGMA busy_timeout = 0")
    try:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("ROLLBACK")
    except sqlite3.OperationalError as error:
        return error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_READONLY
    finally:
        connection.execute(f"PRAGMA busy_timeout = {busy_ms}")
    return True


def _writer(path: str, busy_ms: int) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=busy_ms / 1000, isolation_level=None)
    try:
        for pragma in (
            "journal_mode = WAL",
            "synchronous = FULL",  # a commit survives a power cut
            "cache_size = -512",
            "journal_size_limit = 1048576",
            "trusted_schema = OFF",
        ):
            connection.execute(f"PRAGMA {pragma}")
    except BaseException:
        connection.close()
        raise
    return connection


@contextlib.contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Write everything inside the block, or nothing of it."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        with contextlib.suppress(sqlite3.Error):  # SQLite may have rolled back by itself
            connection.execute("ROLLBACK")
        raise


def run(connection: sqlite3.Connection, statements: str) -> None:
    """Execute statements that end with a semicolon at the end of a line, inside the transaction that is open."""
    for statement in statements.split(";\n"):
        if statement.strip():
            connection.execute(statement)


def make_directory(path: str) -> None:
    """Make the directory of a file when it is not there.

    Raises:
        LedgerError: it cannot be made.
    """
    directory = os.path.dirname(os.path.abspath(path))
    try:
        os.makedirs(directory, exist_ok=True)
    except OSError as error:
        hint = "choose a writable place with --db FILE"
        raise LedgerError(f"cannot create {directory}: {error.strerror}", hint=hint) from error


@contextlib.contextmanager
def reading(path: str) -> Iterator[sqlite3.Connection]:
    """The connection of `connect_reader`, for the length of a block."""
    connection, copy = connect_reader(path)
    try:
        yield connection
    finally:
        connection.close()
        remove_copy(copy)


def connect_reader(path: str) -> tuple[sqlite3.Connection, str | None]:
    """Open the file for reading only; it is never changed.

    Returns:
        The connection, and a temporary directory to remove after closing it: a reader without write permission
        cannot replay the log of a killed recorder, so it reads a private copy then.

    Raises:
        NoDataError: there is no such file.
        LedgerError: it cannot be opened.
    """
    if not os.path.exists(path):
        hint = "start recording with: netusage daemon (or netusage track); choose another file with --db"
        raise NoDataError(f"there is no ledger at {path}", hint=hint)
    if not os.access(path, os.R_OK):
        hint = "read it as its owner (sudo), or choose another file with --db"
        raise LedgerError(f"no permission to read the ledger {path}", hint=hint)
    if was_never_a_ledger(path):
        raise LedgerCorruptError(f"{path} is not a ledger", hint="choose another file with --db")
    uri = _uri(path)
    log = f"{path}-wal"
    if not os.path.exists(log) and not os.access(os.path.dirname(os.path.abspath(path)), os.W_OK):
        return _reader(f"{uri}?immutable=1", path), None
    try:
        return _reader(f"{uri}?mode=ro", path), None
    except LedgerBusyError:
        if not os.path.exists(log):
            raise
    return _reader_of_copy(path, log)


def _reader_of_copy(path: str, log: str) -> tuple[sqlite3.Connection, str]:
    import shutil  # noqa: PLC0415  # rarely needed, and the summary is to be quick
    import tempfile  # noqa: PLC0415  # as above

    copy = tempfile.mkdtemp(prefix="netusage-")
    try:
        target = os.path.join(copy, "ledger.db")
        shutil.copyfile(path, target)
        shutil.copyfile(log, f"{target}-wal")
        return _reader(_uri(target), path), copy
    except OSError as error:
        remove_copy(copy)
        raise LedgerError(f"cannot read the ledger {path}: {error}") from error
    except BaseException:
        remove_copy(copy)
        raise


def _uri(path: str) -> str:
    """The file's name as SQLite wants it in a URI."""
    name = os.path.abspath(path).replace(os.sep, "/")
    for special in "%?#":
        name = name.replace(special, f"%{ord(special):02x}")
    return f"file:///{name.removeprefix('/')}"


def guard(path: str) -> sqlite3.Connection:
    """A read-only connection that has looked at the file: while it is open, closing others writes nothing."""
    connection = sqlite3.connect(f"{_uri(path)}?mode=ro", uri=True, isolation_level=None)
    with contextlib.suppress(sqlite3.DatabaseError):
        connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    return connection


def remove_copy(copy: str | None) -> None:
    """Remove the private copy that `connect_reader` may have made."""
    if copy is not None:
        import shutil  # noqa: PLC0415  # as above

        shutil.rmtree(copy, ignore_errors=True)


def _reader(uri: str, path: str) -> sqlite3.Connection:
    with translated(path, "read"):
        connection = sqlite3.connect(uri, uri=True, timeout=5, isolation_level=None)
        try:
            connection.execute("PRAGMA query_only = ON")
            connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        except BaseException:
            connection.close()
            raise
        return connection


def is_truncated(path: str) -> bool:
    """Whether the file is shorter than its own header says (and no log could still hold the rest)."""
    try:
        size = os.stat(path).st_size
        with open(path, "rb") as file:
            header = file.read(100)
    except OSError:
        return False
    if size == 0 or _size(f"{path}-wal"):
        return False
    if len(header) < 100:  # the length of a SQLite header
        return True
    page = int.from_bytes(header[16:18], "big")
    page = 65536 if page == 1 else page
    return header.startswith(b"SQLite format 3\0") and int.from_bytes(header[28:32], "big") * page > size


def _size(path: str) -> int:
    """Bytes of a file; 0 when there is none. A reader may leave an empty log behind."""
    try:
        return os.stat(path).st_size
    except OSError:
        return 0


def is_strange(path: str) -> bool:
    """Whether the file holds something that is no SQLite database at all."""
    try:
        with open(path, "rb") as file:
            header = file.read(16)
    except FileNotFoundError:
        return False
    except OSError as error:
        hint = "choose another file with --db, or run it with administrative privileges"
        raise LedgerError(f"cannot read {path}: {error.strerror}", hint=hint) from error
    return header not in (b"", b"SQLite format 3\0")


def was_never_a_ledger(path: str) -> bool:
    """Whether the file is strange, and neither a lock file beside it nor its name says that it was a ledger once."""
    known = os.path.exists(lock.lock_path(path)) or ".set-aside-" in os.path.basename(path)
    return not known and is_strange(path)


def stamp(now_us: int) -> str:
    """A time for the name of a file, such as 20260131T120000Z."""
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now_us // US))


def set_aside(path: str, mark: str) -> str:
    """Rename a damaged file and its log out of the way, and tell the new name. Nothing is overwritten.

    mark: a `stamp` for the name.

    Raises:
        LedgerError: it could not be renamed.
    """
    target = f"{path}.set-aside-{mark}"
    number = 1
    while os.path.exists(target):
        number += 1
        target = f"{path}.set-aside-{mark}-{number}"
    try:
        os.rename(path, target)
        for suffix in ("-wal", "-shm"):
            with contextlib.suppress(FileNotFoundError):
                os.rename(path + suffix, target + suffix)
    except OSError as error:
        raise LedgerError(f"cannot set the damaged file {path} aside: {error}") from error
    return target
