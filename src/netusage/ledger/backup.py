"""A copy of the ledger as it is at one moment, while it is recorded into.

The copy is one file without a log beside it, checked before it gets its name. It is the same book: it has the same
identity, and putting it back is copying it to the ledger's place while no recorder runs.
"""

import contextlib
import os
import secrets
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

from netusage.errors import LedgerCorruptError, LedgerError, OutputError
from netusage.ledger import lock
from netusage.ledger.reader import LedgerReader

_PAGES_AT_ONCE = 2048


def backup(
    path: str,
    target: str,
    *,
    overwrite: bool = False,
    advance: Callable[[int, int], object] = lambda _done, _all: None,
) -> int:
    """Copy the ledger to a file, whole or not at all; the size of the copy in bytes.

    Args:
        path: the ledger.
        target: the file to make.
        overwrite: replace a file that is there.
        advance: is called with the pages that are copied and that there are.

    Raises:
        NoDataError: there is no ledger, or nothing in it.
        LedgerError: it cannot be read; LedgerCorruptError when it is damaged.
        OutputError: the copy cannot be written, or is there already.
    """
    refuse_target(path, target, overwrite=overwrite)
    place = Path(os.path.realpath(target))
    part = place.with_name(f".{place.name[:200]}.{secrets.token_hex(4)}.part")
    with LedgerReader(path) as reader:
        try:
            _copy(reader, part, advance)
            size = part.stat().st_size
            shutil.copymode(path, part)
            with part.open("rb+") as file:
                os.fsync(file.fileno())
            if overwrite:
                part.replace(place)
            else:
                _name(part, place)
        except (OSError, sqlite3.Error) as error:
            reason = getattr(error, "strerror", None) or error
            hint = "name another file, on a file system with enough space"
            raise OutputError(f"cannot write {target}: {reason}", hint=hint) from error
        finally:
            with contextlib.suppress(OSError):
                part.unlink()
    return size


def refuse_target(path: str, target: str, *, overwrite: bool) -> None:
    """See whether a backup may go to that file.

    Raises:
        OutputError: it is a directory, the ledger itself, one of the files beside it, or there already.
    """
    if Path(target).is_dir():
        raise OutputError(f"{target} is a directory", hint="name a file in it")
    own = os.path.realpath(path)
    if os.path.realpath(target) in {own, f"{own}-wal", f"{own}-shm", f"{own}-journal", lock.lock_path(path)}:
        raise OutputError(f"{target} belongs to the ledger itself", hint="name another file")
    with contextlib.suppress(OSError):
        if Path(target).exists() and os.path.samefile(path, target):
            raise OutputError(f"{target} is the ledger itself", hint="name another file")
    if Path(target).exists() and not overwrite:
        raise OutputError(f"{target} is there already", hint="replace it with --yes, or name another file")


def _copy(reader: LedgerReader, part: Path, advance: Callable[[int, int], object]) -> None:
    """Copy all pages of the reader's snapshot and check the copy."""
    copy = sqlite3.connect(part, isolation_level=None)
    try:

        def progress(_status: int, remaining: int, total: int) -> None:
            advance(total - remaining, total)

        with reader.reading() as connection:
            connection.backup(copy, pages=_PAGES_AT_ONCE, progress=progress)
        copy.execute("PRAGMA journal_mode = DELETE")
        verdict = copy.execute("PRAGMA quick_check(1)").fetchone()[0]
        identity = copy.execute("SELECT identity FROM ledger").fetchone()[0]
    finally:
        copy.close()
    if verdict != "ok":
        hint = "see what is left with: netusage repair --dry-run"
        raise LedgerCorruptError(
            f"the ledger {reader.path} is damaged ({verdict}); no backup was made", hint=hint
        )
    if identity != reader.state.identity:
        raise LedgerError("the copy is not a copy of this ledger; no backup was made")


def _name(part: Path, place: Path) -> None:
    """Give the copy its name unless something has that name by now."""
    try:
        os.link(part, place)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links
        if place.exists():
            raise FileExistsError(17, "it is there already") from None
        part.rename(place)
