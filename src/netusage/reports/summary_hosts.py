"""The summary of several hosts, or of one that records elsewhere: today, this month and all time, as far as they are known."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

from netusage.ledger.answers import NO_USAGE, GapRecord, Usage
from netusage.model import QUARTER_S, US
from netusage.periods import Period, PeriodKind, periods
from netusage.reports import selection
from netusage.reports.coverage import length, union
from netusage.reports.summary import GapSum, Stretch, SummaryRow

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
    from datetime import tzinfo

    from netusage.ledger.answers import InterfaceRecord
    from netusage.reports.record import Record
    from netusage.reports.selection import Overrides

BY = ("interface", "host")
_Name = tuple[str, str | None]  # of a row: its host, its interface


class HostsSummary(NamedTuple):
    """The answer.

    now_us: the present, UTC microseconds.
    rows: by period, all together first (neither an interface nor a host), then what was told apart: what is in the total
        first, and of that the busiest of all time. A period of which no host has told anything has no rows: nothing is
        known of it.
    gaps: of those of today and this month that have rows; lengths are added up host by host.
    known_until_s: by host, until when what it counted is known, UTC seconds.
    """

    now_us: int
    rows: list[SummaryRow]
    gaps: list[GapSum]
    known_until_s: Mapping[str, int]

    @property
    def unknown(self) -> list[Stretch]:
        """The periods of which nothing is known."""
        known = {row.stretch for row in self.rows}
        return [one for one in (Stretch.TODAY, Stretch.MONTH) if one not in known]


def summary_of_hosts(
    reader: Record,
    *,
    now_us: int,
    zone: tzinfo,
    overrides: Overrides,
    known_until_s: Mapping[str, int],
    by: Collection[str] = BY[:1],
    billing_day: int = 1,
    packets: bool = True,
) -> HostsSummary:
    """Answer it.

    Args:
        reader: the record of the hosts.
        now_us: the present, UTC microseconds.
        zone: in which days and months are cut.
        overrides: what the configuration puts into a machine's total, or leaves out.
        known_until_s: by host, until when what it counted is known, UTC seconds.
        by: of `BY`, what is told apart; without hosts, interfaces of one name are added up.
        billing_day: the day on which months begin.
        packets: tell packets as well; they are 0 without it.

    Raises:
        UsageError: days do not begin with quarters of an hour there, and the record has nothing shorter.
    """
    now_s = now_us // US
    today = periods(PeriodKind.DAY, now_s, now_s + 1, zone)[0]
    month = periods(PeriodKind.MONTH, now_s, now_s + 1, zone, billing_day=billing_day)[0]
    extent = reader.extent() or (now_s, now_s)
    begin_s, end_s = extent[0] // QUARTER_S * QUARTER_S, -(-extent[1] // QUARTER_S) * QUARTER_S
    groups = _groups(reader.interfaces(totals=False), by, overrides)
    first_s, last_s = min(begin_s, month.start_s), max(end_s, today.end_s, month.end_s)
    edges = sorted({first_s, month.start_s, today.start_s, today.end_s, month.end_s, last_s})
    usage = reader.usage(list(groups.values()), edges, packets=packets)
    sums = dict(zip(groups, usage, strict=True))
    add = _Adder(sums, edges)
    known_s = max(known_until_s.values(), default=0)
    told = [(one, of) for one, of in ((Stretch.TODAY, today), (Stretch.MONTH, month)) if known_s > of.start_s]
    rows = [row for one, of in told for row in add.rows(one, of, of)]
    rows += add.rows(Stretch.ALL, Period(min(begin_s, now_s), now_s), Period(first_s, last_s))
    gaps = reader.gaps(month.start_s * US, (now_s + 1) * US) if told else []
    return HostsSummary(now_us, rows, [_gaps(gaps, one, of, now_s) for one, of in told], known_until_s)


def _groups(
    interfaces: Sequence[InterfaceRecord], by: Collection[str], overrides: Overrides
) -> dict[tuple[_Name, bool], list[int]]:
    """Interfaces by the row in which they are added up, and whether they are part of the total."""
    counted = set(selection.machine(interfaces, overrides).ids)
    found: defaultdict[tuple[_Name, bool], list[int]] = defaultdict(list)
    for one in interfaces:
        is_counted = one.id in counted
        if is_counted or "interface" in by:
            name = (one.host if "host" in by else "", one.name if "interface" in by else None)
            found[name, is_counted].append(one.id)
    return found


class _Adder:
    """Adds up what groups counted between edges."""

    def __init__(self, sums: Mapping[tuple[_Name, bool], Sequence[Usage]], edges: Sequence[int]) -> None:
        self._sums = sums
        self._edges = edges
        total: defaultdict[_Name, int] = defaultdict(int)
        for (name, _), parts in sums.items():
            total[name] += _sum(parts).total_bytes
        self._order = sorted(
            total, key=lambda name: ((name, True) not in sums, -total[name], name[0], name[1] or "")
        )

    def rows(self, stretch: Stretch, told: Period, period: Period) -> Iterator[SummaryRow]:
        """All together, and each that counted something in a period between two edges; `told` is what rows call it."""
        low, high = self._edges.index(period.start_s), self._edges.index(period.end_s)
        of_each = {key: _sum(parts[low:high]) for key, parts in self._sums.items()}
        total = _sum(usage for (_, is_counted), usage in of_each.items() if is_counted)
        yield SummaryRow(stretch, *told, None, total)
        for name in self._order:
            usage = _sum(of_each.get((name, is_counted), NO_USAGE) for is_counted in (True, False))
            if usage != NO_USAGE:
                yield SummaryRow(stretch, *told, name[1], usage, name[0])


def _sum(parts: Iterable[Usage]) -> Usage:
    return Usage(*map(sum, zip(NO_USAGE, *parts, strict=True)))


def _gaps(gaps: Sequence[GapRecord], stretch: Stretch, period: Period, now_s: int) -> GapSum:
    """Those of a period up to the present: how many, and how long each host's are, one that overlaps another once."""
    low, high = period.start_s * US, min(period.end_s, now_s + 1) * US
    of_host: defaultdict[str, list[GapRecord]] = defaultdict(list)
    for gap in gaps:
        if gap.start_us < high and (gap.end_us > low or gap.start_us >= low):
            of_host[gap.host].append(gap)
    long = sum(
        length(union((gap.start_us, gap.end_us) for gap in own), low, high) for own in of_host.values()
    )
    own = [gap for some in of_host.values() for gap in some]
    return GapSum(stretch, len(own), sum(gap.lossy for gap in own), long)
