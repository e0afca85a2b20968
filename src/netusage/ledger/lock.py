"""The lock that makes one recorder the only one: flock(2) (msvcrt.locking on Windows) on a file beside the ledger.

The system drops the lock when its holder ends, however it ends. The file holds one line, "PID STARTED_US", which
means something only while the lock is held.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time

from netusage.errors import LedgerError, LedgerHeldError
from netusage.records import NamedTuple


class Holder(NamedTuple):
    """The recorder that holds a ledger: its process number (0 when unknown) and start in UTC microseconds."""

    pid: int
    started_us: int


class Hold:
    """The lock, held until `release` or the end of the process."""

    def __init__(self, path: str, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor

    def release(self) -> None:
        """Let another recorder have the ledger. May be called twice."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def lock_path(ledger: str) -> str:
    """The lock file of a ledger; two names of one file share it."""
    return os.path.realpath(ledger) + ".lock"


def hold(ledger: str, started_us: int) -> Hold:
    """Take the lock.

    Raises:
        LedgerHeldError: another recorder has it.
        LedgerError: the lock file cannot be created, or the file system has no locks.
    """
    path = lock_path(ledger)
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o644)
    except OSError as error:
        hint = "choose a writable place with --db FILE, or run it with administrative privileges"
        raise LedgerError(f"cannot create the lock file {path}: {error.strerror}", hint=hint) from error
    try:
        _lock_patiently(descriptor)
    except BlockingIOError:
        os.close(descriptor)
        other = holder(ledger)
        who = f"process {other.pid}" if other and other.pid else "another process"
        hint = "stop that recorder first, or choose another file with --db"
        raise LedgerHeldError(
            f"the ledger {ledger} is held by a running recorder ({who})", hint=hint
        ) from None
    except OSError as error:
        os.close(descriptor)
        raise LedgerError(
            f"cannot lock {path}: {error.strerror}", hint="put the ledger on a local disk"
        ) from error
    _describe(descriptor, started_us)
    return Hold(path, descriptor)


def holder(ledger: str) -> Holder | None:
    """Who holds the ledger now, None when nobody does."""
    try:
        descriptor = os.open(lock_path(ledger), os.O_RDONLY)
    except OSError:
        return None
    try:
        try:
            _lock(descriptor, shared=True)
        except BlockingIOError:
            return _read(descriptor)
        except OSError:
            return None
        return None
    finally:
        os.close(descriptor)


def _lock_patiently(descriptor: int) -> None:
    """Take the lock; somebody who only looks at it (`holder`) holds it for an instant, so try a few times."""
    for _ in range(5):
        with contextlib.suppress(BlockingIOError):
            return _lock(descriptor)
        time.sleep(0.01)
    return _lock(descriptor)


def _describe(descriptor: int, started_us: int) -> None:
    """Say who holds it; a full disk may keep us from saying it, not from holding it."""
    with contextlib.suppress(OSError):
        os.ftruncate(descriptor, 0)
        os.lseek(descriptor, 0, os.SEEK_SET)
        os.write(descriptor, f"{os.getpid()} {started_us}\n".encode())


def _read(descriptor: int) -> Holder:
    try:
        pid, started = os.read(descriptor, 64).split()
        return Holder(int(pid), int(started))
    except (OSError, ValueError):
        return Holder(0, 0)


if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int, *, shared: bool = False) -> None:
        """Lock one byte far behind the text; a shared look takes and drops it. BlockingIOError when it is taken."""
        os.lseek(descriptor, 1 << 20, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
            if shared:
                msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)
        except OSError as error:
            raise BlockingIOError from error
        finally:
            os.lseek(descriptor, 0, os.SEEK_SET)

else:
    import fcntl

    def _lock(descriptor: int, *, shared: bool = False) -> None:
        """Take the lock or raise BlockingIOError."""
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
