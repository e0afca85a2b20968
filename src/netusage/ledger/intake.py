"""A ledger made out of rows that come from elsewhere, in any order: an export of one, or another program's record.

Rows are collected beside the file that is made, so that none of them has to stay in memory. Then they are looked at as
a whole (nothing may be there twice), and `intake_books` writes every book of them. The ledger has its name when it has
been proved that it adds up, and not before.
"""

import contextlib
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self

from netusage.errors import InputError, LedgerError, LedgerHeldError
from netusage.ledger import connect, lock, schema
from netusage.ledger.intake_books import STAGES, Books, Known, Taken
from netusage.ledger.reader import LedgerReader
from netusage.ledger.verify import verify
from netusage.model import LARGEST, Counters, Gap, Who

_AT_ONCE = 5000
_WORK_PLACE = ".netusage-import-"
_HINT = "take it into a ledger of its own: --db FILE; netusage merge puts ledgers side by side"
_COLUMNS = ", ".join(Counters._fields)
# There are rows of one of these where anything was recorded.
_MADE = ("interface", "epoch", "minute", "chunk", "span", "gap", "share", "run")

_OVERLAPPING = """
SELECT source, row, before_source, before_row FROM (
  SELECT source, row, start_s, lag(end_s) OVER w AS before_s, lag(source) OVER w AS before_source, lag(row) OVER w AS before_row
  FROM stage.counted WINDOW w AS (PARTITION BY interface_id ORDER BY start_s, end_s, source, row))
WHERE start_s < before_s LIMIT 1
"""
_TWICE = """
SELECT source, row, before_source, before_row FROM (
  SELECT source, row, count(*) OVER w AS nth, lag(source) OVER w AS before_source, lag(row) OVER w AS before_row
  FROM stage.{table} WINDOW w AS (PARTITION BY {key} ORDER BY source, row))
WHERE nth > 1 LIMIT 1
"""
_KEYS = {
    "estimated": f"interface_id, start_us, end_us, because, {_COLUMNS}",
    "share": "start_s, interface_id, application_id, scope, protocol, family",
}


class Source(NamedTuple):
    """Where rows are from: a file, and how the number of a row is told there, as in ":{}" for a line of text."""

    file: str
    words: str

    def at(self, row: int) -> str:
        """The place of a row, as in "usage.csv:17"."""
        return self.file + self.words.format(row)


class Interface(NamedTuple):
    """An interface as a row names it; `counted` is whether it is part of the machine's total."""

    name: str
    kind: str
    counted: bool


class Intake:
    """A ledger in the making; a context manager. Without `finish` nothing is left of it.

    Args:
        path: the ledger that is to be.
        now_us: the present, UTC microseconds.
        keeps: the ledger is meant to stay; what is only tried out is written where temporary files go.
        tick: is called now and then.

    Raises:
        LedgerHeldError: a recorder holds the ledger.
        LedgerError: it has a record of its own, or cannot be written.
    """

    def __init__(
        self, path: str, *, now_us: int, keeps: bool = True, tick: Callable[[], object] = lambda: None
    ) -> None:
        self._path = path
        self._now_us = now_us
        self._keeps = keeps
        self._tick = tick
        self._sources: list[Source] = []
        self._interfaces: dict[tuple[str, str], Known] = {}
        self._applications: dict[Who, int] = {}
        self._waiting: dict[str, list[tuple[Any, ...]]] = {"counted": [], "estimated": [], "share": []}
        self._watched: list[tuple[int, int, str, str]] = []
        self._gaps: dict[Gap, tuple[int, int]] = {}
        self._interruption: BaseException | None = None
        refuse_a_record(path)
        self._directory = self._make_work_place()
        self._work_hold: lock.Hold | None = None
        try:
            self._work_hold = lock.hold(self._fresh, now_us)
            with self._writing():
                self._connection = self._begin()
        except BaseException:
            self._leave()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(sqlite3.Error):
            self._connection.close()
        self._leave()

    def _leave(self) -> None:
        shutil.rmtree(self._directory, ignore_errors=True)
        if self._work_hold is not None:
            self._work_hold.release()

    def _make_work_place(self) -> str:
        if not self._keeps:
            return tempfile.mkdtemp(prefix="netusage-")
        beside = os.path.dirname(os.path.abspath(self._path))
        try:
            os.makedirs(beside, exist_ok=True)
            _remove_leftovers(beside)
            return tempfile.mkdtemp(prefix=_WORK_PLACE, dir=beside)
        except OSError as error:
            hint = "choose a writable place with --db FILE"
            raise LedgerError(f"cannot write in {beside}: {error.strerror}", hint=hint) from error

    def _begin(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._fresh, isolation_level=None)
        try:
            connection.execute("ATTACH ? AS stage", (os.path.join(self._directory, "stage.db"),))
            for pragma in ("journal_mode = OFF", "synchronous = OFF", "cache_size = -16384"):
                connection.execute(f"PRAGMA {pragma}")
            for pragma in ("journal_mode = OFF", "synchronous = OFF", "cache_size = -16384"):
                connection.execute(f"PRAGMA stage.{pragma}")
            schema.migrate(connection, 0, self._now_us)
            connection.execute("BEGIN")
            connect.run(connection, STAGES)
        except BaseException:
            connection.close()
            raise
        return connection

    @property
    def _fresh(self) -> str:
        return os.path.join(self._directory, "ledger.db")

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        """SQLite's errors as those of the ledger that is to be."""
        try:
            with connect.translated(self._path, "write"):
                yield
        except LedgerError:
            if self._interruption is not None:
                raise self._interruption from None
            raise

    # ---- Rows as they come --------------------------------------------------------------------------------------

    def source(self, file: str, words: str) -> int:
        """Say where the next rows are from; the number to name it by. The arguments are those of `Source`."""
        self._sources.append(Source(file, words))
        return len(self._sources) - 1

    def counted(
        self, where: tuple[int, int], interface: Interface, stretch_s: tuple[int, int], numbers: Sequence[int]
    ) -> None:
        """What an interface counted in a minute, a quarter of an hour, or something longer.

        Args:
            where: number of the source, and of the row.
            interface: whose it is.
            stretch_s: UTC seconds, from and until.
            numbers: four counters and two peaks.

        Raises:
            InputError: it does not fit to what came before.
        """
        number = self._count(where, interface, numbers)
        self._stage("counted", (number, *stretch_s, *numbers, *where))

    def estimated(
        self,
        where: tuple[int, int],
        interface: Interface,
        stretch_us: tuple[int, int],
        counters: Sequence[int],
        because: str,
    ) -> None:
        """Bytes whose time within a stretch (UTC microseconds) is not known; see `counted`."""
        number = self._count(where, interface, counters)
        self._stage("estimated", (number, *stretch_us, because, *counters, *where))

    def share(
        self,
        where: tuple[int, int],
        interface: tuple[str, str],
        who: Who,
        stretch_s: tuple[int, int],
        numbers: Sequence[int],
    ) -> None:
        """What an application had of an interface (name and kind), whose usage may come later; see `counted`.

        numbers: scope, protocol, family, and four counters.
        """
        known = self._interfaces.get(interface) or self._meet(interface, None)
        application = self._applications.setdefault(who, len(self._applications) + 1)
        seconds = stretch_s[1] - stretch_s[0]
        self._stage("share", (stretch_s[0], known.id, application, *numbers, seconds, *where))

    def gap(self, where: tuple[int, int], gap: Gap) -> None:
        """A declared gap; see `counted`. One source may have two that are alike, as of two kinds of one name."""
        before = self._gaps.setdefault(gap, where)
        if before[0] != where[0]:
            raise self._error(where, f"is there already, at {self._place(before)}")
        with self._writing():
            row = (gap.start_us, gap.end_us, str(gap.kind), gap.lossy, gap.interface, gap.note)
            self._connection.execute("INSERT INTO gap VALUES (NULL, ?, ?, ?, ?, ?, ?)", row)

    def watched(self, start_us: int, end_us: int, source: str, tier: str) -> None:
        """A stretch without a break in the readings, as `entries.watched` tells them."""
        self._watched.append((start_us, end_us, source, tier))

    def _meet(self, interface: tuple[str, str], counted: bool | None) -> Known:
        known = Known(len(self._interfaces) + 1, bool(counted), [] if counted is None else [0, 0, 0, 0])
        self._interfaces[interface] = known
        return known

    def _count(self, where: tuple[int, int], interface: Interface, numbers: Sequence[int]) -> int:
        """Add to what an interface has; its number.

        Raises:
            InputError: it was in the machine's total before and is not now, or more than 2^63-1 together.
        """
        name = interface[:2]
        known = self._interfaces.get(name)
        if known is None:
            known = self._meet(name, interface.counted)
        elif not known.totals:  # only applications have named it
            known = self._interfaces[name] = Known(known.id, interface.counted, [0, 0, 0, 0])
        if known.counted != interface.counted:
            words = ("false", "true")
            raise self._error(
                where,
                f"column counted: {interface.name} has {words[interface.counted]} here and {words[known.counted]} before",
            )
        for place, column in enumerate(Counters._fields):
            known.totals[place] += numbers[place]
            if known.totals[place] > LARGEST:
                raise self._error(where, f"column {column}: with it, {interface.name} has more than 2^63-1")
        return known.id

    def _stage(self, table: str, row: tuple[Any, ...]) -> None:
        waiting = self._waiting[table]
        waiting.append(row)
        if len(waiting) >= _AT_ONCE:
            self._flush(table)

    def _flush(self, table: str) -> None:
        waiting = self._waiting[table]
        if waiting:
            marks = ", ".join("?" * len(waiting[0]))
            with self._writing():
                self._connection.executemany(f"INSERT INTO stage.{table} VALUES ({marks})", waiting)  # noqa: S608  # fixed names
            waiting.clear()
        self._tick()

    def _error(self, where: tuple[int, int], what: str) -> InputError:
        return InputError(f"{self._place(where)}: {what}", hint="nothing was taken in")

    def _place(self, where: tuple[int, int]) -> str:
        source, row = where
        return self._sources[source].at(row)

    # ---- The whole ----------------------------------------------------------------------------------------------

    def finish(self) -> Taken:
        """Write the books and prove them; then let the ledger have its name, if it is meant to stay.

        Raises:
            InputError: rows do not fit together.
            LedgerHeldError: a recorder holds the ledger by now.
            LedgerError: it cannot be written.
        """
        for table in self._waiting:
            self._flush(table)
        with self._writing():
            self._connection.set_progress_handler(self._tick_of_sqlite, 200_000)
            self._refuse_twice()
            books = Books(self._connection, list(self._interfaces.items()), self._now_us)
            taken = books.write(self._applications, self._watched)
            self._connection.execute("COMMIT")
            self._connection.close()
        self._prove()
        if self._keeps:
            self._swap()
        return taken

    def _tick_of_sqlite(self) -> int:
        try:
            self._tick()
        except BaseException as error:  # noqa: BLE001  # SQLite's C code stands between here and the caller
            self._interruption = error
            return 1
        return 0

    def _refuse_twice(self) -> None:
        """No bytes may be there twice.

        Raises:
            InputError: says where.
        """
        questions = [(_OVERLAPPING, "overlaps the row at {} of the same interface")]
        questions += [
            (_TWICE.format(table=table, key=key), "is there already, at {}") for table, key in _KEYS.items()
        ]
        for question, what in questions:
            for source, row, before_source, before_row in self._connection.execute(question).fetchall():
                raise self._error((source, row), what.format(self._place((before_source, before_row))))
        sql = "SELECT interface_id, source, row FROM stage.share GROUP BY interface_id"
        for number, source, row in self._connection.execute(sql).fetchall():
            (name, _), known = next(item for item in self._interfaces.items() if item[1].id == number)
            if not known.totals:
                what = f"{name} has applications and no usage; name the file of its usage as well"
                raise self._error((source, row), what)

    def _prove(self) -> None:
        """What was written must add up.

        Raises:
            LedgerError: it does not, and nothing is taken in.
        """
        with LedgerReader(self._fresh) as reader:
            reader.on_progress(self._tick)
            findings = verify(reader).findings
        if findings:
            first = findings[0]
            raise LedgerError(
                f"what was taken in does not add up ({first.table} {first.interface}: {first.what}); nothing was changed",
                hint="keep the file, and report this",
            )

    def _swap(self) -> None:
        """Let the ledger have its name, while nobody else can have it."""
        place = os.path.realpath(self._path)
        held = lock.hold(place, self._now_us)
        try:
            _refuse_entries(self._path)
            with open(self._fresh, "rb+") as file:
                os.fsync(file.fileno())
            for suffix in ("-wal", "-shm"):  # of the empty one that is replaced
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(place + suffix)
            Path(self._fresh).replace(place)
        except OSError as error:
            raise LedgerError(f"cannot write the ledger {self._path}: {error.strerror}") from error
        finally:
            held.release()


def _remove_leftovers(directory: str) -> None:
    """Take away what imports have left that were killed: nobody holds the ledgers that they were making."""
    for left in Path(directory).glob(f"{_WORK_PLACE}*"):
        if lock.holder(str(left / "ledger.db")) is None:
            shutil.rmtree(left, ignore_errors=True)


def refuse_a_record(path: str) -> None:
    """See whether rows may be taken into a ledger.

    Raises:
        LedgerHeldError: a recorder holds it.
        LedgerError: it has a record of its own, or is none.
    """
    holder = lock.holder(path)
    if holder is not None:
        who = f"process {holder.pid}" if holder.pid else "another process"
        raise LedgerHeldError(f"the ledger {path} is held by a running recorder ({who})", hint=_HINT)
    _refuse_entries(path)


def _refuse_entries(path: str) -> None:
    if os.path.isdir(path):
        raise LedgerError(f"{path} is a directory", hint="name a file with --db")
    if not os.path.exists(path) or not os.path.getsize(path):
        return
    with connect.reading(path) as connection, connect.translated(path, "read"):
        if not schema.check_version(connection, path):
            return
        tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        for table in (*_MADE, "host"):
            sql = f"SELECT EXISTS (SELECT 1 FROM {table})"  # noqa: S608  # names of ours
            if table in tables and connection.execute(sql).fetchone()[0]:
                raise LedgerError(f"the ledger {path} has a record of its own", hint=_HINT)
