"""Ledgers of other machines and disks inside this one, each kept apart as a host.

A host's book has tables of its own, the same as the ledger's but for a prefix, so nothing of it can be added to what
was recorded here. A reader of a host has views of the plain names in its connection, and every question works as it
does on the ledger itself. Rows are copied in small transactions, so that a running recorder is hardly kept waiting;
the host is there for readers when all of them are, and not before.
"""

import contextlib
import os
import re
import sqlite3
import tempfile
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from netusage.errors import LedgerError, LedgerHeldError, NoDataError, UsageError
from netusage.ledger import connect, lock, schema
from netusage.ledger.answers import HostRecord
from netusage.ledger.host_views import LARGE, NO_BOOK, book_tables, find, prefix, records
from netusage.ledger.reader import LedgerReader

LEDGER, VNSTAT = "ledger", "vnstat"
LONGEST_NAME = 64
_BUSY_MS = 10_000
_ROWS_AT_ONCE = 2_000
_LARGE_ROWS_AT_ONCE = 50

_RUNS = """
SELECT p.boot_id, p.namespace, p.machine, r.started_us, r.last_us FROM run r JOIN place p ON p.id = r.place_id
"""
_WATCHED = """
SELECT p.boot_id, p.namespace, p.machine, w.start_us, w.end_us
FROM watched w JOIN run r ON r.id = w.run_id JOIN place p ON p.id = r.place_id ORDER BY w.start_us
"""
_Runs = dict[tuple[str, int, str, int], int]


class ImportedRow(NamedTuple):
    """A row of another program's record.

    created_s: since when that program has counted the interface, UTC seconds.
    resolution: its name of the list that the row is in.
    start_s, end_s: UTC seconds.
    """

    interface: str
    created_s: int
    resolution: str
    start_s: int
    end_s: int
    rx_bytes: int
    tx_bytes: int


class Merged(NamedTuple):
    """What became of one ledger.

    name: the host's.
    outcome: "new", "renewed" (there was an older state of it), or "known" (nothing of it is new).
    rows: how many were copied, or are to be.
    both_us: how long, in microseconds, the same counters were recorded here as well.
    """

    name: str
    outcome: str
    rows: int
    both_us: int


def merge(
    path: str,
    other: str,
    name: str,
    *,
    now_us: int,
    dry_run: bool = False,
    tick: Callable[[], object] = lambda: None,
) -> list[Merged]:
    """Take another ledger into this one, and with it the hosts that it has itself.

    Merging a later state of the same ledger replaces the earlier one; killed at any moment, either state is there.

    Args:
        path: the ledger; made when it is not there.
        other: the file to take in; it is not changed, and may be recorded into meanwhile.
        name: of the host.
        now_us: the present, UTC microseconds.
        dry_run: change nothing.
        tick: is called now and then.

    Raises:
        UsageError: the name is none, the other is a directory, or both are the same file.
        NoDataError: there is no such ledger, or nothing in it.
        LedgerError: the name belongs to another ledger, or one of the two cannot be read or written.
    """
    if os.path.isdir(other):
        raise UsageError(f"{other} is a directory", hint="name the ledger's file in it")
    name = checked_name(name)
    if os.path.exists(path) and os.path.exists(other) and os.path.samefile(path, other):
        raise UsageError(f"{other} is the ledger itself", hint="name the ledger of another machine or disk")
    with _readable(other, now_us) as source_path, LedgerReader(source_path) as source:
        names = [(name, "", LEDGER)] + [
            (f"{name}/{host.name}", host.name, host.kind) for host in source.hosts()
        ]
    found = []
    with contextlib.nullcontext() if dry_run else _target(path, now_us) as target:
        for known_as, host, kind in names:
            with _readable(other, now_us) as source_path, LedgerReader(source_path, host=host) as source:
                one = (known_as, kind)
                found.append(_merge_one(target, path, source, one, now_us, tick=tick))
    return found


def put(
    path: str,
    book: str,
    name: str,
    kind: str,
    rows: Sequence[ImportedRow],
    *,
    now_us: int,
    tick: Callable[[], object] = lambda: None,
) -> None:
    """Make a book that was written for this purpose the host of that name, in place of what it had.

    Args:
        path: the ledger; made when it is not there.
        book: a ledger's file.
        name: of the host.
        kind: where it is from.
        rows: what is behind it.
        now_us: as for `merge`.
        tick: as for `merge`.

    Raises:
        LedgerError: one of the two cannot be read or written.
    """
    with _target(path, now_us) as target, LedgerReader(book) as source:
        _copy_book(target, source, (checked_name(name), kind), rows, now_us=now_us, tick=tick)


def imported(path: str, name: str, kind: str) -> list[ImportedRow]:
    """The rows behind a host, for adding to them; none where there is no such host yet.

    Raises:
        LedgerError: the host is of another kind, or the ledger cannot be read.
    """
    if not os.path.exists(path):
        return []
    with contextlib.suppress(NoDataError), LedgerReader(path) as reader:
        for host in reader.hosts():
            if host.name == name and host.kind != kind:
                raise LedgerError(
                    f"the host {name} of {path} is from another program",
                    hint="choose another name with --as NAME",
                )
            if host.name == name:
                with reader.reading() as connection:
                    return _imported(connection, host.id)
    return []


def _imported(connection: sqlite3.Connection, number: int) -> list[ImportedRow]:
    columns = ", ".join(ImportedRow._fields)
    sql = f"SELECT {columns} FROM main.imported WHERE host_id = ? ORDER BY {columns}"  # noqa: S608  # fixed names
    return [ImportedRow(*row) for row in connection.execute(sql, (number,))]


def remove(path: str, name: str) -> None:
    """Take a host out again.

    Raises:
        NoDataError: there is none of that name.
        LedgerError: the ledger cannot be written.
    """
    with LedgerReader(path) as reader:
        find(reader.hosts(), name, path)
    with _target(path, 0) as target, connect.transaction(target):
        _drop(target, "name = ?", name)


def checked_name(name: str) -> str:
    """The name, if it may be one.

    Raises:
        UsageError: it is empty, too long, or not all of it can be printed.
    """
    if not name.strip() or name != name.strip() or not name.isprintable() or len(name) > LONGEST_NAME:
        raise UsageError(
            f"{name!r} cannot be the name of a host: up to {LONGEST_NAME} printable characters",
            hint="choose another with --as NAME",
        )
    return name


def carry_over(source: sqlite3.Connection, target: sqlite3.Connection) -> list[str]:
    """Copy all hosts of a damaged ledger into its repaired one, as far as each can be read whole.

    Args:
        source: the damaged one.
        target: the fresh one, inside a transaction.

    Returns:
        What became of them, a line for each that is lost.
    """
    try:
        hosts = source.execute("SELECT id, name, kind, identity, merged_us, complete FROM host").fetchall()
    except sqlite3.Error:
        return ["whether ledgers of other machines were merged into it cannot be read"]
    notes = []
    for number, *rest in hosts:
        own = _new_host(target, rest)
        try:
            for table in book_tables(target):
                rows = source.execute(f"SELECT * FROM {prefix(number)}{table}")  # noqa: S608  # as above
                while some := rows.fetchmany(_ROWS_AT_ONCE):
                    _insert(target, f"{prefix(own)}{table}", some)
            behind = source.execute("SELECT * FROM imported WHERE host_id = ?", (number,))
            _insert(target, "imported", [(own, *row[1:]) for row in behind])
        except sqlite3.Error:
            _drop(target, "id = ?", own)
            notes.append(f"the host {rest[0]} cannot be read whole and is left out: merge it again")
    return notes


@contextlib.contextmanager
def _readable(path: str, now_us: int) -> Iterator[str]:
    """The ledger, or a copy of it that is brought up to date where it is of an older version."""
    with connect.reading(path) as connection, connect.translated(path, "read"):
        version = schema.check_version(connection, path)
        if version in {0, schema.VERSION}:
            yield path
            return
        with tempfile.TemporaryDirectory(prefix="netusage-") as directory:
            newer = os.path.join(directory, "ledger.db")
            with contextlib.closing(sqlite3.connect(newer, isolation_level=None)) as target:
                connection.backup(target)
                schema.migrate(target, version, now_us)
            yield newer


@contextlib.contextmanager
def _target(path: str, now_us: int) -> Iterator[sqlite3.Connection]:
    """The ledger to write hosts into, beside a recorder if there is one.

    Raises:
        LedgerHeldError: hosts are written into it already, or a recorder of an older version holds it.
    """
    connect.make_directory(path)
    try:
        held = lock.hold(f"{path}.merge", now_us)
    except LedgerHeldError as error:
        raise LedgerHeldError(f"another ledger is being merged into {path}", hint="try again") from error
    try:
        _make_ready(path, now_us)
        with connect.translated(path, "write"):
            connection = connect.connect_writer(path, busy_ms=_BUSY_MS)
        try:
            with connect.translated(path, "write"):
                with connect.transaction(connection):
                    _drop(connection, "NOT complete")  # somebody was killed
                yield connection
        finally:
            connection.close()
    finally:
        with contextlib.suppress(OSError):
            os.unlink(lock.lock_path(f"{path}.merge"))
        held.release()


def _make_ready(path: str, now_us: int) -> None:
    """See that there is a ledger of the present schema."""
    with contextlib.suppress(NoDataError):
        try:
            with LedgerReader(path):
                return
        except LedgerError:
            if lock.holder(path) is not None or not _is_older(path):
                raise
    held = lock.hold(path, now_us)
    try:
        with connect.translated(path, "open"):
            connection = connect.connect_writer(path, busy_ms=_BUSY_MS)
            try:
                schema.migrate(connection, schema.check_version(connection, path), now_us)
                schema.give_row(connection, now_us)
            finally:
                connection.close()
    finally:
        held.release()


def _is_older(path: str) -> bool:
    with connect.reading(path) as connection:
        return 0 < schema.check_version(connection, path) < schema.VERSION


def _merge_one(
    target: sqlite3.Connection | None,
    path: str,
    source: LedgerReader,
    known_as: tuple[str, str],
    now_us: int,
    *,
    tick: Callable[[], object],
) -> Merged:
    """Take one book in, or say what would become of it where there is no target."""
    name = checked_name(known_as[0])
    with source.reading() as connection:
        rows = sum(
            int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])  # noqa: S608  # names of ours
            for table in book_tables(connection)
        )
        runs, watched = _runs(connection), connection.execute(_WATCHED).fetchall()
        rows_behind = (
            _imported(connection, find(records(connection), source.host, path).id) if source.host else []
        )
    outcome, both_us = "new", 0
    if os.path.exists(path):
        with contextlib.suppress(NoDataError), LedgerReader(path) as own:
            with own.reading() as connection:
                both_us = _overlap(connection.execute(_WATCHED).fetchall(), watched)
                if own.state.identity == source.state.identity and _holds(_runs(connection), runs):
                    return Merged(name, "known", 0, both_us)
            if known_as[1] == LEDGER:
                outcome = _outcome(path, own.hosts(), source.state.identity, runs, name)
            elif before := imported(path, *known_as):
                outcome = "known" if before == rows_behind else "renewed"
    if outcome != "known" and target is not None:
        _copy_book(target, source, known_as, rows_behind, now_us=now_us, tick=tick)
    return Merged(name, outcome, 0 if outcome == "known" else rows, both_us)


def _runs(connection: sqlite3.Connection) -> _Runs:
    """When each run was at its last commit."""
    return {tuple(row[:4]): row[4] for row in connection.execute(_RUNS)}


def _holds(runs: _Runs, others: _Runs) -> bool:
    """Whether the first has everything that the second has."""
    return all(runs.get(run, -1) >= last_us for run, last_us in others.items())


def _outcome(path: str, hosts: Sequence[HostRecord], identity: str, runs: _Runs, name: str) -> str:
    """What merging a ledger under that name would be, see `Merged`.

    Raises:
        LedgerError: the name belongs to another ledger, or this one is there under another name.
    """
    for host in hosts:
        if host.name != name and host.identity != identity:
            continue
        with LedgerReader(path, host=host.name) as reader, reader.reading() as connection:
            known = _runs(connection)
        if host.identity == identity and _holds(known, runs):
            if host.name == name:
                return "known"
            continue  # a copy under another name, at an earlier time
        goes_on = host.identity == identity and _holds(runs, known)
        if host.name == name and not goes_on:
            raise LedgerError(
                f"the host {name} of {path} is another ledger", hint="choose another name with --as NAME"
            )
        if host.name != name and goes_on:
            raise LedgerError(
                f"an earlier state of this ledger is in {path} as the host {host.name}",
                hint=f"renew it with --as {host.name}",
            )
        if host.name == name:
            return "renewed"
    return "new"


def _overlap(
    own: Sequence[tuple[str, int, str, int, int]], others: Sequence[tuple[str, int, str, int, int]]
) -> int:
    """How long, in microseconds, the same counters were watched in both."""
    of_place: dict[tuple[str, int, str], list[tuple[int, int]]] = {}
    for boot_id, namespace, machine, start_us, end_us in own:
        of_place.setdefault((boot_id, namespace, machine), []).append((start_us, end_us))
    return sum(
        max(0, min(end_us, its_end_us) - max(start_us, its_start_us))
        for boot_id, namespace, machine, its_start_us, its_end_us in others
        for start_us, end_us in of_place.get((boot_id, namespace, machine), ())
    )


def _copy_book(
    target: sqlite3.Connection,
    source: LedgerReader,
    known_as: tuple[str, str],
    rows_behind: Sequence[ImportedRow],
    *,
    now_us: int,
    tick: Callable[[], object],
) -> None:
    """Copy all rows in small steps; then, at once, let the host be there instead of an older state of it."""
    name, kind = known_as
    with connect.transaction(target):
        # the name is taken at the end
        number = _new_host(target, (f"{name}\n", kind, source.state.identity, now_us, 0))
    try:
        for table in book_tables(target):
            for rows in _in_steps(source, table, target):
                with connect.transaction(target):
                    _insert(target, f"{prefix(number)}{table}", rows)
                tick()
        with connect.transaction(target):
            _drop(target, "name = ?", name)
            _insert(target, "imported", [(number, *row) for row in rows_behind])
            target.execute("UPDATE host SET name = ?, complete = 1 WHERE id = ?", (name, number))
    except BaseException:
        with contextlib.suppress(sqlite3.Error), connect.transaction(target):
            _drop(target, "id = ?", number)
        raise


def _in_steps(
    source: LedgerReader, table: str, target: sqlite3.Connection
) -> Iterator[list[tuple[Any, ...]]]:
    """The rows of a table, some at once."""
    columns = ", ".join(row[1] for row in target.execute(f"PRAGMA table_info({table})"))
    with source.reading() as connection:
        rows = connection.execute(f"SELECT {columns} FROM {table}")  # noqa: S608  # names of ours
    while True:
        with source.reading():
            some = rows.fetchmany(_LARGE_ROWS_AT_ONCE if table in LARGE else _ROWS_AT_ONCE)
        if not some:
            return
        yield some


def _insert(target: sqlite3.Connection, table: str, rows: Sequence[tuple[Any, ...]]) -> None:
    if rows:
        marks = ", ".join("?" * len(rows[0]))
        target.executemany(f"INSERT INTO {table} VALUES ({marks})", rows)  # noqa: S608  # a name of ours


def _new_host(target: sqlite3.Connection, values: Sequence[object]) -> int:
    """A row for a host (name, kind, identity, when it was merged, whether it is complete), and its empty tables.

    The tables are those of a new ledger, whatever the file says that they come from.
    """
    sql = "INSERT INTO host (name, kind, identity, merged_us, complete) VALUES (?, ?, ?, ?, ?) RETURNING id"
    number = int(target.execute(sql, tuple(values)).fetchone()[0])
    own = prefix(number)
    with contextlib.closing(sqlite3.connect(":memory:", isolation_level=None)) as pattern:
        schema.migrate(pattern, 0, 0)
        found = pattern.execute(
            "SELECT tbl_name, sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY type DESC, rowid"
        )
        for table, made_by in found:
            if table not in NO_BOOK:
                target.execute(re.sub(r"\b(TABLE|REFERENCES|INDEX|ON) (\w+)", rf"\1 {own}\2", made_by))
    return number


def _drop(target: sqlite3.Connection, which: str, *values: object) -> None:
    """Remove hosts and their tables."""
    sql = f"SELECT id FROM host WHERE {which}"  # noqa: S608  # texts of ours
    for (number,) in target.execute(sql, values).fetchall():
        names = [
            row[0]
            for row in target.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")
            if row[0].startswith(prefix(number))
        ]
        for name in reversed(names):  # those that others refer to were made first
            target.execute(f"DROP TABLE {name}")
        target.execute("DELETE FROM imported WHERE host_id = ?", (number,))
        target.execute("DELETE FROM host WHERE id = ?", (number,))
