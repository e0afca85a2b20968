"""Repairing a ledger: what can be read is copied into a fresh one, which takes its place when it has been proved.

The old file is never written to. It is set aside under another name, and stays.
"""

import contextlib
import os
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from netusage.errors import LedgerCorruptError, LedgerError, LedgerHeldError, NoDataError
from netusage.ledger import connect, hosts, lock, schema
from netusage.ledger.reader import LedgerReader
from netusage.ledger.rebuild import Adjusted, Rebuild, insert
from netusage.ledger.rescue import TABLES, Lost, Rescue
from netusage.ledger.verify import Finding, verify
from netusage.model import US

_AHEAD_S = 2 * 86400
_NO_WRITE = "another file system with space for a copy of the ledger may be needed"


class Repair(NamedTuple):
    """What a repair found and did.

    path: the ledger.
    sound: there was nothing to repair; the rest is empty then.
    saved: rows by table.
    lost: keys that could not be read.
    left_out: by table, rows that made no sense.
    adjusted: what did not add up, by interface.
    notes: what was computed anew, a line each.
    findings: what was wrong before.
    aside: where the old file is now; None when nothing was replaced.
    """

    path: str
    sound: bool
    saved: dict[str, int]
    lost: list[Lost]
    left_out: dict[str, int]
    adjusted: list[Adjusted]
    notes: list[str]
    findings: list[Finding]
    aside: str | None = None


def repair(
    path: str,
    *,
    now_us: int,
    boot_id: str,
    agree: Callable[[Repair], bool],
    tick: Callable[[], object] = lambda: None,
) -> Repair:
    """Repair a ledger, or one that was set aside.

    Args:
        path: its file.
        now_us: the present, UTC microseconds.
        boot_id: the running boot.
        agree: is shown what can be saved, and says whether the old file is to be replaced.
        tick: is called now and then.

    Raises:
        NoDataError: there is no ledger.
        LedgerHeldError: a recorder holds it.
        LedgerNewerError: it belongs to a newer version or another program.
        LedgerCorruptError: nothing can be read.
        LedgerError: the copy cannot be written, or does not add up.
    """
    if not Path(path).exists():
        raise NoDataError(f"there is no ledger at {path}", hint="choose another file with --db")
    if connect.was_never_a_ledger(path):
        raise LedgerCorruptError(f"{path} is not a ledger", hint="choose another file with --db")
    with _held(path, now_us):
        findings = _what_is_wrong(path, tick)
        if not findings:
            return Repair(
                path, sound=True, saved={}, lost=[], left_out={}, adjusted=[], notes=[], findings=[]
            )
        with _work_place(path) as directory:
            fresh = str(Path(directory, "ledger.db"))
            try:
                source = _open_damaged(path, fresh)
                with contextlib.closing(source):
                    found = _copy(path, source, fresh, _Present(now_us, boot_id, tick))
            except sqlite3.Error as error:
                raise LedgerError(f"cannot write the repaired ledger: {error}", hint=_NO_WRITE) from error
            except OSError as error:
                raise LedgerError(
                    f"cannot write the repaired ledger: {error.strerror}", hint=_NO_WRITE
                ) from error
            found = found._replace(findings=findings)
            _prove(fresh)
            if not agree(found):
                return found
            stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now_us // US))
            return found._replace(aside=_swap(path, fresh, stamp))


@contextlib.contextmanager
def _held(path: str, now_us: int) -> Iterator[None]:
    """Keep recorders out. Where no lock can be made, in a directory that may not be written, see that there is none."""
    try:
        held = lock.hold(path, now_us)
    except LedgerHeldError:
        raise
    except LedgerError:
        if lock.holder(path) is not None:
            raise
        yield
        return
    try:
        yield
    finally:
        held.release()


def _what_is_wrong(path: str, tick: Callable[[], object]) -> list[Finding]:
    """Findings of `verify`, or the one that it cannot be opened.

    Raises:
        LedgerNewerError: not ours to repair.
    """
    try:
        with LedgerReader(path) as reader:
            reader.on_progress(tick)
            return verify(reader, hosts=False).findings
    except (LedgerCorruptError, NoDataError) as error:
        return [Finding("file", "", None, error.message)]


@contextlib.contextmanager
def _work_place(path: str) -> Iterator[str]:
    """A directory beside the ledger, or where temporary files go when that may not be written; it is removed."""
    beside = Path(path).absolute().parent
    try:
        directory = tempfile.mkdtemp(
            prefix=".netusage-repair-", dir=beside if os.access(beside, os.W_OK) else None
        )
    except OSError as error:
        raise LedgerError(f"cannot make a working copy: {error.strerror}", hint=_NO_WRITE) from error
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


class _Present(NamedTuple):
    """When and where the repair is made, and what is called now and then."""

    now_us: int
    boot_id: str
    tick: Callable[[], object]


def _copy(path: str, source: sqlite3.Connection, fresh: str, present: _Present) -> Repair:
    """Copy what can be read into a fresh ledger and make that sound."""
    now_us = present.now_us
    target = sqlite3.connect(fresh, isolation_level=None)
    try:
        for pragma in ("journal_mode = OFF", "synchronous = OFF", "cache_size = -65536"):
            target.execute(f"PRAGMA {pragma}")
        schema.migrate(target, 0, now_us)
        target.execute("BEGIN")
        rescue = Rescue(source, now_us // US + _AHEAD_S)
        saved: dict[str, int] = {}
        left_out: dict[str, int] = {}
        for name, table in TABLES.items():
            if name == "minute":  # the first of the large ones
                _set_bounds(rescue, target)
            saved[name], refused = insert(target, table, rescue.rows(table), present.tick)
            if refused + rescue.senseless.get(name, 0):
                left_out[name] = refused + rescue.senseless.get(name, 0)
        if not saved["interface"] + saved["chunk"] + saved["minute"] + saved["epoch"]:
            hint = "the recorder sets it aside when it starts, and begins a new one"
            raise LedgerCorruptError(f"nothing can be read of the ledger {path}", hint=hint)
        doubtful = {lost.table for lost in rescue.lost} | left_out.keys()
        rebuild = Rebuild(
            target,
            rescue.lost,
            rescue.chunks,
            doubtful=doubtful,
            now_us=now_us,
            boot_id=present.boot_id,
        )
        rebuild.run()
        rebuild.notes += hosts.carry_over(source, target)
        target.execute("COMMIT")
    finally:
        target.close()
    return Repair(
        path,
        sound=False,
        saved=saved,
        lost=rescue.lost,
        left_out=left_out,
        adjusted=rebuild.adjusted,
        notes=rebuild.notes,
        findings=[],
    )


def _set_bounds(rescue: Rescue, target: sqlite3.Connection) -> None:
    """Tell from the small tables between which times entries can be; a clock may have been ahead."""
    sql = """SELECT min(at) FROM (SELECT created_us AS at FROM ledger UNION ALL SELECT started_us FROM run
             UNION ALL SELECT opened_us FROM epoch UNION ALL SELECT first_seen_us FROM interface)"""
    earliest_us = target.execute(sql).fetchone()[0]
    if earliest_us is not None:
        rescue.begin_at(int(earliest_us) // US - _AHEAD_S)
    sealed = target.execute("SELECT max(sealed_until_s) FROM ledger").fetchone()[0]
    if sealed is not None:
        rescue.newest_s = max(rescue.newest_s, int(sealed))


def _prove(fresh: str) -> None:
    """The repaired ledger must add up.

    Raises:
        LedgerError: it does not, and nothing is replaced.
    """
    with LedgerReader(fresh) as reader:
        findings = verify(reader, hosts=False).findings
    if findings:
        first = findings[0]
        raise LedgerError(
            f"the repaired ledger does not add up ({first.table} {first.interface}: {first.what}); nothing was changed",
            hint="keep the file, and report this with the output of: netusage verify",
        )


def _swap(path: str, fresh: str, stamp: str) -> str:
    """Set the old file aside and put the fresh one in its place; where the old one is now."""
    try:
        shutil.copymode(path, fresh)
        old = os.stat(path)
        if hasattr(os, "chown") and (old.st_uid, old.st_gid) != (os.geteuid(), os.getegid()):
            os.chown(fresh, old.st_uid, old.st_gid)
        with open(fresh, "rb+") as file:
            os.fsync(file.fileno())
    except OSError as error:
        raise LedgerError(f"cannot finish the repaired ledger: {error.strerror}", hint=_NO_WRITE) from error
    aside = connect.set_aside(path, stamp)
    try:
        shutil.move(fresh, path)
    except OSError as error:
        raise LedgerError(
            f"the old ledger is at {aside}, and the repaired one cannot be put in its place: {error.strerror}",
            hint=f"put the old one back with: mv {aside} {path}",
        ) from error
    return aside


# ---- Opening what is damaged ------------------------------------------------------------------------------------


def _open_damaged(path: str, fresh: str) -> sqlite3.Connection:
    """The damaged file for reading, or a copy of it whose first pages are those of a new ledger.

    With `writable_schema`, SQLite opens files that are shorter than their header says, or whose schema has errors.
    """
    for uri in (f"{Path(path).absolute().as_uri()}?mode=ro", f"{Path(path).absolute().as_uri()}?immutable=1"):
        with contextlib.suppress(sqlite3.Error):
            return _open(uri)
    copy = f"{fresh}.damaged"
    shutil.copyfile(path, copy)
    if Path(f"{path}-wal").exists():
        shutil.copyfile(f"{path}-wal", f"{copy}-wal")
    _renew_first_pages(copy, f"{fresh}.pattern")
    try:
        return _open(Path(copy).as_uri())
    except sqlite3.Error as error:
        hint = "the recorder sets it aside when it starts, and begins a new one"
        raise LedgerCorruptError(f"nothing can be read of the ledger {path} ({error})", hint=hint) from error


def _open(uri: str) -> sqlite3.Connection:
    connection = sqlite3.connect(uri, uri=True, timeout=5, isolation_level=None)
    try:
        connection.execute("PRAGMA writable_schema = ON")
        for table in TABLES.values():
            connection.execute(f"SELECT {', '.join(table.columns)} FROM {table.name} LIMIT 0")  # noqa: S608
    except BaseException:
        connection.close()
        raise
    return connection


def _renew_first_pages(copy: str, pattern: str) -> None:
    """Write the header and the schema of a new ledger over those of a damaged copy.

    A ledger is made by the same statements each time, so its tables begin at the same pages. What is on them is
    checked row by row afterwards.
    """
    connection = sqlite3.connect(pattern, isolation_level=None)
    try:
        schema.migrate(connection, 0, 0)
        size = int(connection.execute("PRAGMA page_size").fetchone()[0])
        roots = {row[0] for row in connection.execute("SELECT rootpage FROM sqlite_schema")}
    finally:
        connection.close()
    good = Path(pattern).read_bytes()
    has_log = Path(f"{copy}-wal").exists() and Path(f"{copy}-wal").stat().st_size > 0
    with open(copy, "rb+") as file:
        pages = max(os.path.getsize(copy) // size, 1)
        for number in range(1, len(good) // size + 1):
            if number in roots:
                continue
            page = bytearray(good[(number - 1) * size : number * size])
            if number == 1:
                page[18:20] = bytes([2, 2] if has_log else [1, 1])  # with a log beside it, or without
                page[28:32] = pages.to_bytes(4, "big")
                page[32:40] = bytes(8)  # no free pages that are known
                page[92:96] = page[24:28]  # the number of pages above is valid
            file.seek((number - 1) * size)
            file.write(page)
