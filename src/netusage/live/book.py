"""What the ledger has of today, read anew only where somebody has written into it."""

import os
import time
from collections.abc import Callable
from datetime import tzinfo
from typing import NamedTuple

from netusage.errors import LedgerError, NoDataError
from netusage.ledger import lock
from netusage.ledger.answers import RunRecord
from netusage.ledger.reader import LedgerReader
from netusage.live.history import NONE, Both
from netusage.live.news import Recorded, Spent
from netusage.live.state import differences
from netusage.model import QUARTER_S, US
from netusage.periods import PeriodKind, periods
from netusage.recorder.shares import Use
from netusage.reports import selection
from netusage.settings.schema import InterfaceSettings

_Known = dict[
    int, tuple[str, bool]
]  # by an interface's number its name, and whether it is in the machine's total


class _Mark(NamedTuple):
    """What a commit changes.

    day: from when to when today lasts, UTC seconds.
    """

    holder: lock.Holder | None
    files: tuple[tuple[int, int], ...]
    day: tuple[int, int]


class _Commit(NamedTuple):
    """The last commit that was read, by the run and its last reading, and what applications had until then."""

    run: int
    until_us: int
    day: tuple[int, int]
    applications: dict[Use, Both]


class Book:
    """Looks into a ledger, for one thread.

    Args:
        path: the ledger's file, which need not be there.
        zone: whose day today is.
        overrides: what the configuration says of the machine's total.
        now: the present, UTC seconds.
    """

    def __init__(
        self,
        path: str,
        zone: tzinfo,
        overrides: InterfaceSettings,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._path, self._zone, self._overrides, self._now = path, zone, overrides, now
        self._seen: _Mark | None = None
        self._commit: _Commit | None = None
        self._over: tuple[int, int, int, _Known] | None = None  # what the rest depends on, see below
        self._of_over: dict[Use, Both] = {}

    def look(self) -> tuple[Recorded, Spent | None] | None:
        """What it has, and what applications had since the commit before; None when nothing has changed.

        Of applications nothing is told where no recorder holds the ledger. The first commit of a recorder is where
        counting begins: what it found in the kernel may have been seen elsewhere.
        """
        holder = lock.holder(self._path)
        now_s = int(self._now())
        day = periods(PeriodKind.DAY, now_s, now_s + 1, self._zone)[0]
        mark = _Mark(holder, (_stamp(self._path), _stamp(f"{self._path}-wal")), (day.start_s, day.end_s))
        if mark == self._seen:
            return None
        pid = holder.pid if holder is not None else None
        try:
            with LedgerReader(self._path) as reader:
                found = self._read(reader, mark, pid)
        except NoDataError:
            found = Recorded(pid), None
        except LedgerError as error:  # read again at the next look: it may be busy
            return Recorded(pid, trouble=error.message), None
        self._seen = mark
        return found

    def _read(self, reader: LedgerReader, mark: _Mark, pid: int | None) -> tuple[Recorded, Spent | None]:
        run = reader.recorder().last_run
        if run is None:
            return Recorded(pid), None
        records = reader.interfaces()
        usage = reader.usage([[one.id] for one in records], mark.day, packets=False)
        of_today = {one.id: Both(*own[0][:2]) for one, own in zip(records, usage, strict=True)}
        names: dict[str, Both] = {}
        for one in records:
            names[one.name] = names.get(one.name, NONE).plus(of_today[one.id])
        machine = selection.machine(records, self._overrides).ids
        total = NONE
        for number in machine:
            total = total.plus(of_today[number])
        known = {one.id: (one.name, one.id in machine) for one in records}
        applications = self._applications(reader, mark.day, run, known)
        recorded = Recorded(pid, run.last_us, mark.day[0], total, names, applications)
        before = self._commit
        self._commit = _Commit(run.id, run.last_us, mark.day, applications)
        if mark.holder is None or (before is not None and before[:2] == self._commit[:2]):
            return recorded, None
        spent = Spent({}, 0, run.tier)
        if before is not None and before.run == run.id:
            now = applications if before.day == mark.day else _uses(reader, before.day, known)
            if before.day != mark.day:
                now = _sum(now, applications)
            passed_us = max(run.last_us - before.until_us, 0)
            spent = Spent(differences(now, before.applications), passed_us, run.tier)
        return recorded, spent

    def _applications(
        self, reader: LedgerReader, day: tuple[int, int], run: RunRecord, known: _Known
    ) -> dict[Use, Both]:
        """What each had that day; quarters that are over do not change any more while the same recorder runs."""
        edge_s = min(max(run.last_us // US // QUARTER_S * QUARTER_S, day[0]), day[1])
        over = (run.id, day[0], edge_s, known)
        if self._over != over:
            self._over, self._of_over = over, _uses(reader, (day[0], edge_s), known)
        return _sum(self._of_over, _uses(reader, (edge_s, day[1]), known))


def _uses(reader: LedgerReader, day: tuple[int, int], known: _Known) -> dict[Use, Both]:
    since_s, until_s = day[0] // QUARTER_S * QUARTER_S, -(-day[1] // QUARTER_S) * QUARTER_S
    found: dict[Use, Both] = {}
    for row in reader.shares(since_s, until_s):
        interface, in_total = known[row.interface_id]
        use = Use(row.who, interface, row.scope, in_total)
        amount = Both(row.counters.rx_bytes, row.counters.tx_bytes)
        found[use] = found.get(use, NONE).plus(amount)
    return found


def _sum(one: dict[Use, Both], other: dict[Use, Both]) -> dict[Use, Both]:
    return {use: one.get(use, NONE).plus(other.get(use, NONE)) for use in one | other}


def _stamp(path: str) -> tuple[int, int]:
    """What changes when a file is written."""
    try:
        about = os.stat(path)
    except OSError:
        return 0, 0
    return about.st_mtime_ns, about.st_size
