"""Usage by what the local clock showed, in lists that have a row for each period in which an interface was watched.

Reports cut time into periods that follow one another; here what the clock shows is the name of a row, as in vnStat. So
where the clock was set back, what was counted in both passes of an hour is in one row. A period without a row is one in
which nobody looked, or in which the interface was not there; one of an idle interface has a row with zeros.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta, tzinfo
from itertools import chain
from typing import NamedTuple

from netusage.ledger.answers import InterfaceRecord, Usage
from netusage.ledger.reader import LedgerReader
from netusage.model import US
from netusage.periods import Period, PeriodKind, periods
from netusage.periods.grid import FIRST_S, LAST_S, first_instant
from netusage.reports.coverage import Stretch, union
from netusage.reports.selection import matches

_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001  # what a clock shows has no zone
# The longest that a period can be, in seconds.
_LONGEST = {
    PeriodKind.FIVE_MINUTES: 300,
    PeriodKind.HOUR: 3600,
    PeriodKind.DAY: 86_400,
    PeriodKind.MONTH: 31 * 86_400,
    PeriodKind.YEAR: 366 * 86_400,
}
PSEUDO = ("lo", "lo0", "sit0")  # loopback, and what looks like it
_SET_BY_S = 86_400  # no clock was ever set by more
_MARGIN_S = 2 * _SET_BY_S
_WIDER = 4  # how much more is looked through when there were too few rows


class Tally(NamedTuple):
    """What is known of an interface, or of several that are taken together, whatever the period.

    ids: the ledger's numbers of them.
    created_s, updated_s: when all of them were there for the first time, and up to when all of them were read.
    rx_bytes, tx_bytes: everything that was recorded.
    """

    name: str
    ids: tuple[int, ...]
    created_s: int
    updated_s: int
    rx_bytes: int
    tx_bytes: int

    @property
    def both(self) -> int:
        """Received and sent."""
        return self.rx_bytes + self.tx_bytes


class ClockRow(NamedTuple):
    """What was counted while the clock showed one period.

    clock_s: what the clock showed when it began, in seconds since it showed 1970-01-01 00:00.
    """

    clock_s: int
    rx_bytes: int
    tx_bytes: int

    @property
    def both(self) -> int:
        """Received and sent."""
        return self.rx_bytes + self.tx_bytes

    def bits_per_second(self, seconds: int) -> int:
        """The average rate of both directions together over so many seconds."""
        return self.both * 8 // seconds

    def bytes_per_second(self, seconds: int) -> int:
        """As `bits_per_second`; that is not eight times as much, since either is cut off."""
        return self.both // seconds


class Range(NamedTuple):
    """Which rows are wanted.

    since, until: what the clock showed at the start of the first and of the last one; both are included.
    limit: at most so many: the first ones where only `since` is given, otherwise the last ones; 0 is all of them.
    """

    since: int | None = None
    until: int | None = None
    limit: int = 0


EVERYTHING = Range()


def tallies(interfaces: Iterable[InterfaceRecord]) -> list[Tally]:
    """Every interface by its name; one name may have had several kinds, one after the other."""
    found: dict[str, Tally] = {}
    for one in interfaces:
        tally = Tally(
            one.name,
            (one.id,),
            one.first_seen_us // US,
            one.last_seen_us // US,
            one.totals.rx_bytes,
            one.totals.tx_bytes,
        )
        known = found.get(one.name)
        if known is not None:
            tally = _joined(one.name, [known, tally])._replace(
                created_s=min(known.created_s, tally.created_s),
                updated_s=max(known.updated_s, tally.updated_s),
            )
        found[one.name] = tally
    return [found[name] for name in sorted(found)]


def monitored(interfaces: Sequence[InterfaceRecord], hidden: Sequence[str]) -> list[Tally]:
    """Those that vnStat would have: all but loopback; and but those that are hidden by patterns of their names."""
    return tallies(
        one
        for one in interfaces
        if one.kind != "loopback" and one.name not in PSEUDO and not matches(one.name, hidden)
    )


def busiest(known: Sequence[Tally]) -> Tally:
    """The one with the most bytes; of those that had as many, the one that was there first."""
    return max(known, key=lambda one: (one.both, -one.ids[0]))


def find(known: Sequence[Tally], words: str) -> Tally | None:
    """The interface of that name, or several as in "eth0+wlan0" taken together; None when one is not known.

    Names that hold a plus sign win over that; to take one interface twice is not to know it.
    """
    by_name = {one.name: one for one in known}
    names = words.split("+")
    if words in by_name:
        return by_name[words]
    if len(set(names)) < len(names) or not by_name.keys() >= set(names):
        return None
    return _joined(words, [by_name[name] for name in names])


def _joined(name: str, parts: Sequence[Tally]) -> Tally:
    return Tally(
        name,
        tuple(chain.from_iterable(part.ids for part in parts)),
        max(part.created_s for part in parts),
        min(part.updated_s for part in parts),
        sum(part.rx_bytes for part in parts),
        sum(part.tx_bytes for part in parts),
    )


class ClockLists:
    """Makes the lists of a ledger.

    Args:
        reader: the ledger.
        zone: whose clock.
        now_s: the present, UTC seconds; there are no rows after it.
        billing_day: the day on which months begin; each is named by the month in which it does.
    """

    def __init__(self, reader: LedgerReader, zone: tzinfo, now_s: int, *, billing_day: int = 1) -> None:
        self.zone = zone
        self.now_s = now_s
        self._reader = reader
        self._billing_day = billing_day
        self._watched = union((one.start_us, one.end_us) for one in reader.watched(0, (now_s + 1) * US))
        extent = reader.extent()
        begun = [extent[0]] if extent else []
        begun += [start_us // US for start_us, _ in self._watched[:1]]
        self._begun_s = min(begun, default=now_s + 1)
        self._lives: dict[int, list[Stretch]] = {}
        for interface_id, start_us, end_us in reader.lives():
            self._lives.setdefault(interface_id, []).append((start_us, end_us or (now_s + 1) * US))

    def rows(self, tally: Tally, kind: PeriodKind, wanted: Range = EVERYTHING) -> list[ClockRow]:
        """The rows of one list, by time.

        Five minutes reach back as far as all minutes are kept.
        """
        low, high = self._bounds(kind, wanted)
        if low >= high:
            return []
        present = self._present(tally)
        if not wanted.limit or (wanted.since is not None and wanted.until is not None):
            return self._within(tally, kind, (low, high), wanted, present)
        width = (wanted.limit + 1) * _LONGEST[kind] + _MARGIN_S
        while True:
            forward = wanted.since is not None
            part = (low, min(high, low + width)) if forward else (max(low, high - width), high)
            found = self._within(tally, kind, part, wanted, present)
            if part == (low, high):
                break
            # near the edge there may be rows of which only one pass is in it
            first, last = self.clock_s(part[0]) + _SET_BY_S, self.clock_s(part[1]) - _SET_BY_S
            found = [row for row in found if (row.clock_s < last if forward else row.clock_s >= first)]
            if len(found) >= wanted.limit:
                break
            width *= _WIDER
        return found[: wanted.limit] if forward else found[-wanted.limit :]

    def busiest(self, tally: Tally, wanted: Range) -> list[ClockRow]:
        """The days with the most bytes in both directions, the busiest first; of those that had as many, the first."""
        days = self.rows(tally, PeriodKind.DAY, wanted._replace(limit=0))
        ranked = sorted(days, key=lambda row: (-row.both, row.clock_s))
        return ranked[: wanted.limit or None]

    def clock_s(self, at_s: int) -> int:
        """What the clock shows at a time (UTC seconds), in seconds since it showed 1970-01-01 00:00."""
        shown = datetime.fromtimestamp(at_s, self.zone).replace(tzinfo=None)
        return (shown - _EPOCH) // timedelta(seconds=1)

    def _bounds(self, kind: PeriodKind, wanted: Range) -> tuple[int, int]:
        """A stretch of time (UTC seconds) that all wanted rows are within."""
        low, high = self._begun_s, self.now_s + 1
        if wanted.since is not None:
            low = max(low, self._instant(wanted.since) - _MARGIN_S - _LONGEST[kind])
        if wanted.until is not None:
            high = min(high, self._instant(wanted.until) + _MARGIN_S + _LONGEST[kind])
        if kind is PeriodKind.FIVE_MINUTES:
            low = max(low, self._reader.minutes_from_s)
        return low, high

    def _instant(self, clock_s: int) -> int:
        """About when the clock shows that, UTC seconds."""
        return first_instant(min(max(clock_s, FIRST_S + _MARGIN_S), LAST_S), self.zone)

    def _within(
        self,
        tally: Tally,
        kind: PeriodKind,
        bounds: tuple[int, int],
        wanted: Range,
        present: Sequence[Stretch],
    ) -> list[ClockRow]:
        """The wanted rows of all periods that touch a stretch of time."""
        cut = periods(kind, *bounds, self.zone, billing_day=self._billing_day)
        edges = [period.start_s for period in cut] + [cut[-1].end_s]
        usage = self._reader.usage([tally.ids], edges, packets=False)[0]
        sums: dict[int, tuple[int, int]] = {}
        for period, counted, seen in zip(cut, usage, _touched(cut, present), strict=True):
            if seen or counted.total_bytes:
                name = self._name(kind, period)
                sums[name] = _added(sums.get(name, (0, 0)), counted)
        since = min(sums, default=0) if wanted.since is None else wanted.since
        until = max(sums, default=0) if wanted.until is None else wanted.until
        return [ClockRow(name, *sums[name]) for name in sorted(sums) if since <= name <= until]

    def _name(self, kind: PeriodKind, period: Period) -> int:
        """What the clock shows at the start of a period, without what it shows beside a midnight that is left out."""
        clock_s = self.clock_s(period.start_s)
        if kind in {PeriodKind.FIVE_MINUTES, PeriodKind.HOUR}:
            return clock_s - clock_s % _LONGEST[kind]
        day = _EPOCH + timedelta(days=clock_s // 86_400)
        if kind is not PeriodKind.DAY:
            day = day.replace(day=1, month=1 if kind is PeriodKind.YEAR else day.month)
        return (day - _EPOCH).days * 86_400

    def _present(self, tally: Tally) -> list[Stretch]:
        """The stretches of time in which the interfaces were there and somebody looked, UTC microseconds."""
        lives = union(chain.from_iterable(self._lives.get(number, ()) for number in tally.ids))
        return _both(lives, self._watched)


def _added(sums: tuple[int, int], counted: Usage) -> tuple[int, int]:
    return sums[0] + counted.rx_bytes, sums[1] + counted.tx_bytes


def _both(one: Sequence[Stretch], other: Sequence[Stretch]) -> list[Stretch]:
    """What two ascending lists of stretches have in common."""
    found, n, m = [], 0, 0
    while n < len(one) and m < len(other):
        low, high = max(one[n][0], other[m][0]), min(one[n][1], other[m][1])
        if low < high:
            found.append((low, high))
        if one[n][1] < other[m][1]:
            n += 1
        else:
            m += 1
    return found


def _touched(cut: Sequence[Period], stretches: Sequence[Stretch]) -> list[bool]:
    """For each of some consecutive periods, whether one of some ascending stretches is partly within it."""
    found, n = [], 0
    for start_s, end_s in cut:
        while n < len(stretches) and stretches[n][1] <= start_s * US:
            n += 1
        found.append(n < len(stretches) and stretches[n][0] < end_s * US)
    return found
