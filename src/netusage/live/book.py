"""What the ledger has of today, read anew only where somebody has written into it."""

import os
import time
from collections.abc import Callable, Mapping
from datetime import tzinfo
from typing import NamedTuple

from netusage.errors import LedgerError, NoDataError
from netusage.ledger import lock
from netusage.ledger.answers import RunRecord
from netusage.ledger.reader import LedgerReader
from netusage.live.history import NONE, Both, added, sum_of
from netusage.live.news import Recorded, Spent
from netusage.live.state import differences
from netusage.model import QUARTER_S, US, Who
from netusage.periods import PeriodKind, periods
from netusage.recorder.shares import Use
from netusage.reports import selection
from netusage.settings.schema import InterfaceSettings


class _Share(NamedTuple):
    """Whose bytes, by the ledger's number of the interface: whether that is in the machine's total may change."""

    who: Who
    interface_id: int
    scope: int


class _Known(NamedTuple):
    """What the ledger knows of interfaces.

    names: by number. machine: the numbers of those in the machine's total.
    """

    names: dict[int, str]
    machine: tuple[int, ...]


class _Mark(NamedTuple):
    """What a commit changes.

    day: from when to when today lasts, UTC seconds.
    """

    holder: lock.Holder | None
    files: tuple[tuple[int, int], ...]
    day: tuple[int, int]


class _Commit(NamedTuple):
    """The last commit that was read, by the run and its last reading.

    day: from when to when the day lasts of which the rest is, UTC seconds.
    counted: what each interface counted until then, by its number. shares: what applications had of it.
    """

    run: int
    until_us: int
    day: tuple[int, int]
    counted: dict[int, Both]
    shares: dict[_Share, Both]


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
        self._over: tuple[int, int, int] | None = None  # what the rest depends on, see below
        self._of_over: dict[_Share, Both] = {}

    def look(self) -> tuple[Recorded, Spent | None] | None:
        """What it has, and what applications and interfaces had since the commit before; None when nothing has changed.

        Of the second nothing is told where no recorder holds the ledger. The first commit of a recorder is where
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
        known = _Known({one.id: one.name for one in records}, selection.machine(records, self._overrides).ids)
        commit = _Commit(
            run.id,
            run.last_us,
            mark.day,
            _counted(reader, mark.day, known),
            self._shares_of_today(reader, mark.day, run),
        )
        recorded = Recorded(
            pid,
            run.last_us,
            mark.day[0],
            _total(commit.counted, known),
            _by_name(commit.counted, known),
            _by_use(commit.shares, known),
        )
        before, self._commit = self._commit, commit
        if mark.holder is None:
            return recorded, None
        if before is None or before.run != run.id:
            return recorded, Spent({}, 0, run.tier)
        if before.until_us == run.last_us:
            return recorded, None
        counted, shares = commit.counted, commit.shares
        if before.day != mark.day:
            counted = added(counted, _counted(reader, before.day, known))
            shares = added(shares, _shares(reader, before.day))
        more = differences(counted, before.counted)
        spent = Spent(
            _by_use(differences(shares, before.shares), known),
            max(run.last_us - before.until_us, 0),
            run.tier,
            _by_name(more, known),
            _total(more, known),
        )
        return recorded, spent

    def _shares_of_today(
        self, reader: LedgerReader, day: tuple[int, int], run: RunRecord
    ) -> dict[_Share, Both]:
        """What each had that day; quarters that are over do not change any more while the same recorder runs."""
        edge_s = min(max(run.last_us // US // QUARTER_S * QUARTER_S, day[0]), day[1])
        over = (run.id, day[0], edge_s)
        if self._over != over:
            self._over, self._of_over = over, _shares(reader, (day[0], edge_s))
        return added(self._of_over, _shares(reader, (edge_s, day[1])))


def _counted(reader: LedgerReader, day: tuple[int, int], known: _Known) -> dict[int, Both]:
    usage = reader.usage([[number] for number in known.names], day, packets=False)
    return {number: Both(*own[0][:2]) for number, own in zip(known.names, usage, strict=True)}


def _shares(reader: LedgerReader, day: tuple[int, int]) -> dict[_Share, Both]:
    since_s, until_s = day[0] // QUARTER_S * QUARTER_S, -(-day[1] // QUARTER_S) * QUARTER_S
    found: dict[_Share, Both] = {}
    for row in reader.shares(since_s, until_s):
        share = _Share(row.who, row.interface_id, row.scope)
        found[share] = found.get(share, NONE).plus(Both(row.counters.rx_bytes, row.counters.tx_bytes))
    return found


def _total(counted: Mapping[int, Both], known: _Known) -> Both:
    return sum_of(counted.get(number, NONE) for number in known.machine)


def _by_name(counted: Mapping[int, Both], known: _Known) -> dict[str, Both]:
    found: dict[str, Both] = {}
    for number, amount in counted.items():
        name = known.names[number]
        found[name] = found.get(name, NONE).plus(amount)
    return found


def _by_use(shares: Mapping[_Share, Both], known: _Known) -> dict[Use, Both]:
    found: dict[Use, Both] = {}
    machine = set(known.machine)
    for share, amount in shares.items():
        number = share.interface_id
        use = Use(share.who, known.names[number], share.scope, number in machine)
        found[use] = found.get(use, NONE).plus(amount)
    return found


def _stamp(path: str) -> tuple[int, int]:
    """What changes when a file is written."""
    try:
        about = os.stat(path)
    except OSError:
        return 0, 0
    return about.st_mtime_ns, about.st_size
