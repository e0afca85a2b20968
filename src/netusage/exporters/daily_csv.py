"""The daily CSV files `network_usage_YYYY-MM-DD.csv`: one per local day, appended to and never truncated.

A row is `Timestamp,Sent (MB),Received (MB),Total (MB)`, cumulative since the tracker started; with binary units the
header says MiB. Every row is written at once and synced, or taken back when there is no room for all of it, so that a
crash can leave at most one unfinished line, which is repaired when the file is opened next.
"""

import contextlib
import os
from datetime import datetime, tzinfo
from typing import NamedTuple

from netusage.errors import OutputError
from netusage.model import US
from netusage.units import Units, megabyte_name, megabytes

_KEPT_ROWS = 20_000  # rows that wait for a disk that is full: two weeks of minutes, 3 MB of memory


class UsageRow(NamedTuple):
    """One logged moment: UTC microseconds, and bytes sent and received since the tracker started."""

    at_us: int
    sent: int
    received: int


class DailyCsv:
    """Writes rows to the file of their local day.

    Args:
        directory: where the files are; must exist.
        units: SI or IEC megabytes.
        zone: whose days and times.

    Attributes:
        repaired: what was mended in the file when it was opened, in one line; "" when nothing.
        dropped: rows that were given up because too many waited.
    """

    def __init__(self, directory: str, units: Units, zone: tzinfo) -> None:
        self.repaired = ""
        self.dropped = 0
        self._directory = directory
        self._units = units
        self._zone = zone
        self._waiting: list[UsageRow] = []
        self._descriptor = -1
        self._path = ""

    @property
    def path(self) -> str:
        """The file that was written to last, "" before the first."""
        return self._path

    def open(self, at_us: int) -> None:
        """Open the file of that moment's day, with its header, so that what cannot work is known at the start.

        Raises:
            OutputError: it cannot be written, counts in another unit, or another tracker writes it.
        """
        path = os.path.join(self._directory, f"network_usage_{self._local(at_us):%Y-%m-%d}.csv")
        if path == self._path and self._is_still(path):
            return
        self.close()
        try:
            self._descriptor = os.open(
                path, os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0), 0o644
            )
            self._claim(path)
            self._check_and_repair(path)
        except OSError as error:
            self.close()
            hint = "choose another directory with --csv DIR, or do without with --no-csv"
            raise OutputError(f"cannot write {path}: {error.strerror}", hint=hint) from error
        except OutputError:
            self.close()
            raise
        self._path = path

    def append(self, row: UsageRow) -> None:
        """Write a row; one that cannot be written waits for the next call.

        Raises:
            OutputError: it could not be written for now.
        """
        self._waiting.append(row)
        if len(self._waiting) > _KEPT_ROWS:
            del self._waiting[0]
            self.dropped += 1
        while self._waiting:
            self.open(self._waiting[0].at_us)
            self._write(self._line(self._waiting[0]))
            del self._waiting[0]

    def close(self) -> None:
        """Close the file. May be called twice."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _local(self, at_us: int) -> datetime:
        return datetime.fromtimestamp(at_us // US, self._zone)

    def _header(self) -> str:
        name = megabyte_name(self._units)
        return f"Timestamp,Sent ({name}),Received ({name}),Total ({name})"

    def _line(self, row: UsageRow) -> bytes:
        amounts = (row.sent, row.received, row.sent + row.received)
        texts = (self._local(row.at_us).isoformat(), *(megabytes(n, self._units) for n in amounts))
        return (",".join(texts) + "\n").encode()

    def _is_still(self, path: str) -> bool:
        """Whether the open file is the one of that name: it may have been removed or replaced meanwhile."""
        try:
            return self._descriptor >= 0 and os.path.samestat(os.stat(path), os.fstat(self._descriptor))
        except OSError:
            return False

    def _write(self, line: bytes) -> None:
        try:
            self._write_whole(line)
        except OSError as error:
            path = self._path
            self.close()
            hint = "the row is kept and written as soon as it can be"
            raise OutputError(f"cannot write {path}: {error.strerror}", hint=hint) from error

    def _write_whole(self, text: bytes) -> None:
        """Append all of it and see it on the disk, or leave nothing of it."""
        size = os.fstat(self._descriptor).st_size
        try:
            while text:  # a nearly full disk takes a part, and says why only when it is given the rest
                text = text[os.write(self._descriptor, text) :]
            os.fsync(self._descriptor)
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(self._descriptor, size)
            raise

    def _claim(self, path: str) -> None:
        """Keep a second tracker from mixing its rows with ours; where there is no flock(2), nobody is kept."""
        try:
            import fcntl  # noqa: PLC0415  # not on Windows
        except ImportError:
            return
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            hint = "choose another directory with --csv DIR, or do without with --no-csv"
            raise OutputError(f"another tracker is writing {path}", hint=hint) from None
        except OSError:
            return

    def _check_and_repair(self, path: str) -> None:
        """Give a new file its header; let an old one end with a whole line."""
        with open(path, "rb") as file:
            text = file.read()
        header = self._header().encode()
        whole = text.rstrip(b"\0")
        first, newline, _ = whole.partition(b"\n")
        if not newline and header.startswith(whole.rstrip(b"\r")):
            os.ftruncate(self._descriptor, 0)  # nothing yet, or the beginning of our own header
            self._write_whole(header + b"\n")
            return
        if first.rstrip(b"\r") != header:
            hint = (
                f"this tracker writes {self._header()!r}; choose --units, or another directory with --csv DIR"
            )
            raise OutputError(f"{path} has other columns ({_shown(first)})", hint=hint)
        if whole.endswith(b"\n"):
            if len(whole) < len(text):
                os.ftruncate(self._descriptor, len(whole))
            return
        kept, _, fragment = whole.rpartition(b"\n")
        if _is_whole(fragment):
            os.ftruncate(self._descriptor, len(whole))
            self._write_whole(b"\n")
            self.repaired = f"{path}: finished its last line"
        else:
            os.ftruncate(self._descriptor, len(kept) + 1)
            self.repaired = f"{path}: took away its half-written last line ({_shown(fragment)})"


def _shown(text: bytes) -> str:
    return repr(text[:80].decode("utf-8", "replace"))


def _is_whole(fragment: bytes) -> bool:
    """Whether a line without its end is complete: a timestamp and three amounts with two decimals."""
    fields = fragment.rstrip(b"\r").split(b",")
    if len(fields) != 4 or any(field[-3:-2] != b"." for field in fields[1:]):
        return False
    with contextlib.suppress(ValueError):
        datetime.fromisoformat(fields[0].decode("ascii", "replace"))
        return all(float(field) >= 0 for field in fields[1:])
    return False
