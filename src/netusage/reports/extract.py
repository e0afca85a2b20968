"""The record row by row, for other programs: any stretch of it, as finely as it is kept or summed up by periods.

Rows come in order of time, and nothing is gathered that grows with the length of the stretch. All usage rows of an
interface add up to what is recorded for it, to the byte.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from enum import StrEnum
from heapq import merge
from itertools import groupby, islice
from operator import add, itemgetter

from netusage.errors import NoDataError
from netusage.ledger import entries
from netusage.ledger.reader import LedgerReader
from netusage.model import MINUTE_S, QUARTER_S, US, Who
from netusage.periods import Period, PeriodKind, isoformat, periods, refuse_reversed
from netusage.records import NamedTuple
from netusage.reports import selection
from netusage.reports.applications import PROTOCOLS, SCOPES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from netusage.ledger.answers import InterfaceRecord, SpanRecord
    from netusage.ledger.entries import ShareEntry
    from netusage.reports.record import Record

_CELLS_AT_ONCE = 50_000  # periods times interfaces
_FOREVER_S = 1 << 40


class Resolution(StrEnum):
    """How finely rows are cut."""

    MINUTE = "minute"  # where minutes are kept, quarters of an hour before
    QUARTER = "quarter"
    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    YEAR = "year"


ESTIMATED = "estimated"  # what `record` says of bytes whose time within the row is not known


class UsageRow(NamedTuple):
    """What one interface counted, or had in an estimated stretch; times in UTC microseconds.

    counted: the recorder has it in the machine's total.
    peak_rx_bytes_per_second: the highest rate between two readings; None where there is none.
    record: a `Resolution`, or `ESTIMATED` for bytes of which no more is known than that they are of this stretch.
    estimated_rx_bytes: how many of the bytes are of estimated stretches, spread in proportion to time.
    because: why there is an estimated stretch, a `GapKind` as a rule; "" in other rows.
    """

    start_us: int
    end_us: int
    interface: str
    kind: str
    counted: bool
    rx_bytes: int
    tx_bytes: int
    rx_packets: int
    tx_packets: int
    peak_rx_bytes_per_second: int | None
    peak_tx_bytes_per_second: int | None
    record: str
    estimated_rx_bytes: int
    estimated_tx_bytes: int
    because: str


class ApplicationRow(NamedTuple):
    """What one application had of an interface's bytes; times in UTC microseconds.

    interface, kind: of the interface. application_kind: that of `Who`; the words below are its as well.
    scope: how far away the other end is. protocol: its name, or its number; "" for none. family: 4, 6, or 0.
    """

    start_us: int
    end_us: int
    interface: str
    kind: str
    application_kind: str
    application: str
    path: str
    user: str
    unit: str
    container: str
    pod: str
    scope: str
    protocol: str
    family: int
    rx_bytes: int
    tx_bytes: int
    rx_packets: int
    tx_packets: int


class GapRow(NamedTuple):
    """A declared gap; the fields as in `model.Gap`."""

    start_us: int
    end_us: int
    kind: str
    lossy: bool
    interface: str
    note: str


class WatchedRow(NamedTuple):
    """A stretch without a break in the readings; times in UTC microseconds.

    source: of the numbers. tier: how applications were told apart, "" where they were not.
    """

    start_us: int
    end_us: int
    source: str
    tier: str


Row = UsageRow | ApplicationRow | GapRow | WatchedRow


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked for.

    zone: in which days and months are cut.
    since_s, until_s: UTC seconds; rows cover this, None is all there is.
    patterns: shell patterns of interface names; none is every interface.
    billing_day, week_start: as for `periods.periods`.
    """

    resolution: Resolution
    zone: tzinfo
    since_s: int | None = None
    until_s: int | None = None
    patterns: tuple[str, ...] = ()
    billing_day: int = 1
    week_start: int = 0


class Extract:
    """The answer, read while it is asked for.

    Args:
        reader: the ledger.
        question: what is asked for.

    Attributes:
        question: what was asked for.
        start_s, end_s: what rows of usage cover, UTC seconds.

    Raises:
        UsageError: the question makes no sense.
        NoDataError: nothing is recorded then, or of such interfaces.
    """

    def __init__(self, reader: LedgerReader, question: Question) -> None:
        self._reader = reader
        self.question = question
        refuse_reversed(question.since_s, question.until_s)
        self._interfaces = interfaces = chosen(reader, question)
        self._places = {one.id: n for n, one in enumerate(interfaces)}
        self.start_s, self.end_s = self._bounds()

    def _bounds(self) -> tuple[int, int]:
        since_s, until_s = recorded(self._reader, self.question)
        if self.question.resolution not in (Resolution.MINUTE, Resolution.QUARTER):
            spans = periods_of(self.question, since_s, until_s)
            return spans[0].start_s, spans[-1].end_s
        return self._down(since_s), self._up(until_s)

    def _down(self, at_s: int) -> int:
        """The beginning of the minute or the quarter of an hour, whichever is told there."""
        minute_s = at_s - at_s % MINUTE_S
        is_kept = minute_s >= self._reader.minutes_from_s
        return minute_s if is_kept and self._tells_minutes else at_s - at_s % QUARTER_S

    def _up(self, at_s: int) -> int:
        return self._down(at_s) if at_s == self._down(at_s) else self._after(at_s)

    def _after(self, at_s: int) -> int:
        begin_s = self._down(at_s)
        tells_minute = self._tells_minutes and begin_s >= self._reader.minutes_from_s
        return begin_s + (MINUTE_S if tells_minute else QUARTER_S)

    @property
    def _tells_minutes(self) -> bool:
        return self.question.resolution is Resolution.MINUTE

    # ---- Usage --------------------------------------------------------------------------------------------------

    def usage(self) -> Iterator[UsageRow]:
        """What was counted, and what is estimated, by start and then by name and kind of the interface."""
        if self.question.resolution not in (Resolution.MINUTE, Resolution.QUARTER):
            spans = periods_of(self.question, self.start_s, self.end_s)
            return (row for _, row in summed(self._reader, self._interfaces, spans, self.question.resolution))
        of_both = merge(self._counted(), self._estimated(), key=itemgetter(0, 1, 2))
        return (row for *_, row in of_both)

    def _counted(self) -> Iterator[tuple[int, int, bool, UsageRow]]:
        ids = [one.id for one in self._interfaces]
        for entry in entries.counted(
            self._reader, ids, self.start_s, self.end_s, minutes=self._tells_minutes
        ):
            start_us, one = entry.start_s * US, self._interfaces[entry.place]
            record = Resolution.MINUTE if entry.seconds == MINUTE_S else Resolution.QUARTER
            whose = (start_us, start_us + entry.seconds * US, one.name, one.kind, one.counted)
            row = UsageRow._make((*whose, *entry.numbers, record.value, 0, 0, ""))
            yield start_us, entry.place, False, row

    def _estimated(self) -> Iterator[tuple[int, int, bool, UsageRow]]:
        """Estimated stretches; where the bounds cut one, its part by time, and one row for those that are the same."""
        low, high = self.start_s * US, self.end_s * US
        spans = entries.estimated(self._reader, low, high)
        for start_us, together in groupby(spans, key=lambda span: max(span.start_us, low)):
            times: dict[tuple[int, int, str, tuple[int, ...]], int] = {}
            for span in together:
                if span.interface_id in self._places:
                    end_us = min(span.end_us, high)
                    numbers = _part(span, start_us, end_us)
                    key = (self._places[span.interface_id], end_us, span.kind, numbers)
                    times[key] = times.get(key, 0) + 1
            for (place, end_us, because, numbers), count in sorted(times.items()):
                one = self._interfaces[place]
                whose = (start_us, end_us, one.name, one.kind, one.counted)
                sums = [count * number for number in numbers]
                row = UsageRow._make((*whose, *sums, None, None, ESTIMATED, *sums[:2], because))
                yield start_us, place, True, row

    # ---- Applications -------------------------------------------------------------------------------------------

    def applications(self) -> Iterator[ApplicationRow]:
        """What applications had, by start; a row counts wholly where it begins, as in reports.

        What is known by days only has rows of days, also where shorter ones were asked for.
        """
        applications = self._reader.applications()
        low, high = (at_us // US for at_us in self._limits_us())
        low, high = low - low % QUARTER_S, -(-high // QUARTER_S) * QUARTER_S
        rows = entries.shares(self._reader, low, high)
        for (start_s, end_s), sums in self._together(rows):
            found = []
            for (application_id, interface_id, *rest), numbers in sums.items():
                who = applications.get(application_id, Who("unnamed"))
                one = self._interfaces[self._places[interface_id]]
                where = (start_s * US, end_s * US, one.name, one.kind)
                found.append(ApplicationRow._make((*where, *who, *_words(*rest), *numbers)))
            yield from sorted(found)

    def _together(
        self, rows: Iterator[ShareEntry]
    ) -> Iterator[tuple[tuple[int, int], dict[tuple[int, ...], list[int]]]]:
        """Rows of one stretch (UTC seconds), by what else tells them apart; those that are longer by themselves."""
        period = Period(0, 0)
        of_period: dict[tuple[int, ...], list[int]] = {}
        others: dict[int, dict[tuple[int, ...], list[int]]] = {}  # by length in seconds
        before_s = 0
        for row in rows:
            if row.interface_id not in self._places:
                continue
            if row.start_s != before_s:
                for seconds, sums in sorted(others.items()):
                    yield (before_s, before_s + seconds), sums
                others, before_s = {}, row.start_s
            if row.start_s >= period.end_s:
                if of_period:
                    yield (period.start_s, period.end_s), of_period
                period, of_period = self._period_of(row.start_s), {}
            fits = row.start_s + row.seconds <= period.end_s
            into = of_period if fits else others.setdefault(row.seconds, {})
            into[row[2:7]] = list(map(add, into.get(row[2:7], [0] * 4), row[7:]))
        for seconds, sums in sorted(others.items()):
            yield (before_s, before_s + seconds), sums
        if of_period:
            yield (period.start_s, period.end_s), of_period

    def _period_of(self, at_s: int) -> Period:
        if self.question.resolution in (Resolution.MINUTE, Resolution.QUARTER):
            return Period(at_s, at_s + QUARTER_S)
        return periods_of(self.question, at_s, at_s + 1)[0]

    # ---- Gaps and what was watched ------------------------------------------------------------------------------

    def gaps(self) -> Iterator[GapRow]:
        """The declared gaps, as far as they lie within the stretch, by start."""
        low, high = self._limits_us()
        names = {one.name for one in self._interfaces}
        found = [
            GapRow(
                max(gap.start_us, low), min(gap.end_us, high), gap.kind, gap.lossy, gap.interface, gap.note
            )
            for gap in self._reader.gaps(low, high)
            if not self.question.patterns or not gap.interface or gap.interface in names
        ]
        yield from sorted(found)

    def watched(self) -> Iterator[WatchedRow]:
        """What was watched, as far as it lies within the stretch, by start."""
        low, high = self._limits_us()
        ends: dict[tuple[int, str, str], int] = {}
        for start_us, end_us, source, tier in entries.watched(self._reader, low, high):
            key = (max(start_us, low), source, tier)
            ends[key] = max(min(end_us, high), ends.get(key, 0))
        for (start_us, source, tier), end_us in sorted(ends.items()):
            yield WatchedRow(start_us, end_us, source, tier)

    def _limits_us(self) -> tuple[int, int]:
        """What was asked for, or what rows of usage cover where that is more."""
        since_s, until_s = self.question.since_s, self.question.until_s
        low = 0 if since_s is None else min(self.start_s, since_s)
        high = _FOREVER_S if until_s is None else max(self.end_s, until_s)
        return low * US, high * US


# ---- Any record -------------------------------------------------------------------------------------------------


def chosen(reader: Record, question: Question) -> list[InterfaceRecord]:
    """The interfaces that are asked for, in the order of the record.

    Raises:
        NoDataError: a pattern matches nothing.
    """
    interfaces = reader.interfaces(totals=False)
    if not question.patterns:
        return interfaces
    named = {number for one in selection.by_name(interfaces, question.patterns) for number in one.ids}
    return [one for one in interfaces if one.id in named]


def recorded(reader: Record, question: Question) -> tuple[int, int]:
    """From when to when there is a record of what is asked for, UTC seconds.

    Raises:
        NoDataError: there is none.
    """
    extent = reader.extent()
    if extent is None:
        hint = "let the recorder run for a minute; see it with: netusage"
        raise NoDataError(f"nothing has been recorded in {reader.place} yet", hint=hint)
    since_s = extent[0] if question.since_s is None else max(question.since_s, extent[0])
    until_s = extent[1] if question.until_s is None else min(question.until_s, extent[1])
    if since_s >= until_s:
        begins, ends = (isoformat(at, question.zone) for at in extent)
        raise NoDataError(
            "nothing was recorded in the time asked for", hint=f"the record is from {begins} to {ends}"
        )
    return since_s, until_s


def periods_of(question: Question, since_s: int, until_s: int) -> list[Period]:
    """The periods of the resolution, hours or longer, that cover a stretch (UTC seconds)."""
    return periods(
        PeriodKind(question.resolution.value),
        since_s,
        until_s,
        question.zone,
        billing_day=question.billing_day,
        week_start=question.week_start,
    )


def summed(
    reader: Record, interfaces: Sequence[InterfaceRecord], spans: Iterable[Period], resolution: Resolution
) -> Iterator[tuple[InterfaceRecord, UsageRow]]:
    """Sums of whole periods, a portion of them at a time; what is estimated is spread over them.

    Args:
        reader: the record.
        interfaces: of the record, in the order that rows of one period have.
        spans: one after the other, without a gap.
        resolution: what they are called.
    """
    groups = [[one.id] for one in interfaces]
    source = iter(spans)
    while some := list(islice(source, max(_CELLS_AT_ONCE // max(len(groups), 1), 2))):
        edges = [span.start_s for span in some] + [some[-1].end_s]
        usage, peaks = reader.usage(groups, edges), reader.peaks(groups, edges)
        for n, span in enumerate(some):
            for one, sums, highest in zip(interfaces, usage, peaks, strict=True):
                if any(sums[n]):
                    whose = (span.start_s * US, span.end_s * US, one.name, one.kind, one.counted)
                    rates = [peak and peak.rate for peak in highest[n]]
                    row = (*whose, *sums[n][:4], *rates, resolution.value, *sums[n][4:], "")
                    yield one, UsageRow._make(row)


def _part(span: SpanRecord, start_us: int, end_us: int) -> tuple[int, ...]:
    """What an estimated stretch has between two times inside it, UTC microseconds: parts add up to the whole."""
    length = span.end_us - span.start_us
    low, high = start_us - span.start_us, end_us - span.start_us
    return tuple(number * high // length - number * low // length for number in span[3:7])


def _words(scope: int, protocol: int, family: int) -> tuple[str, str, int]:
    """What tells rows of an application apart, in words that can be read back."""
    return (
        SCOPES[scope] if scope < len(SCOPES) else str(scope),
        PROTOCOLS.get(protocol, str(protocol)) if protocol else "",
        family,
    )
