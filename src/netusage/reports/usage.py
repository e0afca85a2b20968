"""Usage by period: minutes to years, the total, and the busiest days."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import tzinfo
from enum import StrEnum
from itertools import chain, cycle, pairwise, repeat
from typing import TYPE_CHECKING, NamedTuple

from netusage.errors import NoDataError, UsageError
from netusage.ledger.answers import InterfaceRecord, Peak, Peaks, Usage
from netusage.model import MINUTE_S
from netusage.periods import Period, PeriodKind, isoformat, periods, refuse_reversed
from netusage.reports import selection
from netusage.reports.percentiles import Percentile, percentiles
from netusage.reports.selection import Series
from netusage.settings.schema import InterfaceSettings

if TYPE_CHECKING:
    from netusage.reports.record import Record

MOST_ROWS = 1_000_000


class ReportKind(StrEnum):
    """What usage is reported by."""

    MINUTE = "minute"
    FIVE_MINUTES = "5min"
    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    YEAR = "year"
    TOTAL = "total"
    TOP = "top"


# How many periods are shown when nobody says since when; 0 is all of them.
DEFAULT_COUNTS = {
    ReportKind.MINUTE: 60,
    ReportKind.FIVE_MINUTES: 288,
    ReportKind.HOUR: 24,
    ReportKind.DAY: 30,
    ReportKind.WEEK: 12,
    ReportKind.MONTH: 12,
    ReportKind.YEAR: 0,
    ReportKind.TOTAL: 0,
    ReportKind.TOP: 10,
}
# The longest and the shortest that such a period can be, in seconds; a clock's day of 86,400 s is no limit.
_LONGEST = {
    PeriodKind.MINUTE: 60,
    PeriodKind.FIVE_MINUTES: 300,
    PeriodKind.HOUR: 3600,
    PeriodKind.DAY: 86_400,
    PeriodKind.WEEK: 7 * 86_400,
    PeriodKind.MONTH: 31 * 86_400,
    PeriodKind.YEAR: 366 * 86_400,
    PeriodKind.TOTAL: 1,
}
_MARGIN_S = 3 * 86_400


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked.

    kind: by what.
    zone: in which days and months are cut.
    now_s: the present, UTC seconds.
    patterns: shell patterns of interface names, each name a series of its own; none is the machine's total.
    overrides: what the configuration puts into the machine's total, or leaves out.
    since_s, until_s: UTC seconds; whole periods that cover this are reported.
    limit: at most so many periods, the latest (for `top`, the busiest) ones.
    billing_day: the day on which months begin.
    week_start: the day on which weeks begin, 0 is Monday.
    peak: report the highest rates as well.
    percentile: in thousandths, 95,000 for the 95th; None for none.
    packets: tell packets as well; they are 0 without it.
    by_host: series for each host of the record.
    """

    kind: ReportKind
    zone: tzinfo
    now_s: int
    patterns: tuple[str, ...] = ()
    overrides: InterfaceSettings = field(default_factory=InterfaceSettings)
    since_s: int | None = None
    until_s: int | None = None
    limit: int | None = None
    billing_day: int = 1
    week_start: int = 0
    peak: bool = False
    percentile: int | None = None
    packets: bool = True
    by_host: bool = False

    @property
    def cut(self) -> PeriodKind:
        """The periods behind the report."""
        return PeriodKind.DAY if self.kind is ReportKind.TOP else PeriodKind(self.kind.value)


class NamedPeak(NamedTuple):
    """The highest rate of any one interface, bytes per second: in which minute or quarter, and whose.

    host: of the interface, where the record is one of several hosts; "" otherwise.
    """

    rate: int
    at_s: int
    width_s: int
    interface: str
    host: str = ""


class UsageRow(NamedTuple):
    """What one series counted in one period, UTC seconds. A named tuple: there may be very many.

    interface: None for the machine's total.
    seconds: the length of the period as far as there is a record and it is over.
    rx_peak, tx_peak, percentile: when they were asked for.
    host: where hosts are told apart; "" otherwise.
    """

    start_s: int
    end_s: int
    interface: str | None
    usage: Usage
    seconds: int
    rx_peak: NamedPeak | None = None
    tx_peak: NamedPeak | None = None
    percentile: Percentile | None = None
    host: str = ""

    @property
    def bytes_per_second(self) -> int | None:
        """The average rate of both directions together."""
        return self.usage.total_bytes // self.seconds if self.seconds else None


@dataclass(frozen=True, slots=True)
class UsageReport:
    """The answer.

    rows: by period, host and name; for `top` by host and name, the busiest first.
    totals: the sum of each series over its rows; empty for `top`.
    start_s, end_s: the first period's start, the last one's end.
    of_hosts: the record is one of several hosts, so peaks say whose they are.
    """

    question: Question
    rows: list[UsageRow]
    totals: list[UsageRow]
    start_s: int
    end_s: int
    of_hosts: bool = False

    @property
    def has_estimates(self) -> bool:
        """Whether any row has bytes whose time is estimated."""
        return any(row.usage.estimated_rx_bytes or row.usage.estimated_tx_bytes for row in self.rows)


def report(reader: Record, question: Question) -> UsageReport:
    """Answer a question.

    Raises:
        UsageError: the question makes no sense.
        NoDataError: nothing is recorded for it.
    """
    _check(question)
    extent = _extent(reader)
    spans, begun = _periods(question, extent), extent[0]
    interfaces = reader.interfaces(totals=False)
    series = _series(interfaces, question)
    if question.kind is ReportKind.TOP:
        rows = _top_rows(reader, question, series, spans, begun)
    else:
        rows = _rows(reader, question, series, spans, begun)
    rows = _with_rates(reader, question, rows, series, interfaces)
    totals = [] if question.kind is ReportKind.TOP else _totals(rows, question, is_one=len(spans) == 1)
    of_hosts = any(one.host for one in interfaces)
    return UsageReport(question, rows, totals, spans[0].start_s, spans[-1].end_s, of_hosts)


def asked_periods(reader: Record, question: Question) -> list[Period]:
    """The periods that a question is about, as far as there is a record.

    Raises:
        UsageError: the question makes no sense.
        NoDataError: nothing is recorded for it.
    """
    _check(question)
    return _periods(question, _extent(reader))


def _extent(reader: Record) -> tuple[int, int]:
    extent = reader.extent()
    if extent is None:
        hint = "let the recorder run for a minute; see it with: netusage"
        raise NoDataError(f"nothing has been recorded in {reader.place} yet", hint=hint)
    return extent


def _check(question: Question) -> None:
    if question.limit is not None and question.limit < 1:
        raise UsageError(f"a limit of {question.limit} leaves nothing", hint="use 1 or more")
    refuse_reversed(question.since_s, question.until_s)
    if question.percentile is None:
        return
    if not 1 <= question.percentile <= 100_000:
        raise UsageError("a percentile lies between 0.001 and 100", hint="use 95 as most contracts do")
    if question.kind is ReportKind.MINUTE:
        raise UsageError(
            "a minute has no percentile: rates are averaged over five", hint="use 5min or longer"
        )


def _series(interfaces: Sequence[InterfaceRecord], question: Question) -> list[Series]:
    if question.patterns:
        return selection.by_name(interfaces, question.patterns, by_host=question.by_host)
    if question.by_host:
        return selection.machines(interfaces, question.overrides)
    return [selection.machine(interfaces, question.overrides)]


# ---- Which periods ----------------------------------------------------------------------------------------------


def _periods(question: Question, extent: tuple[int, int]) -> list[Period]:
    """The periods that are asked for and of which there can be a record.

    Raises:
        NoDataError: there are none.
    """
    kind, count = question.cut, question.limit or DEFAULT_COUNTS[question.kind]
    if question.kind is ReportKind.TOP or (question.since_s is not None and question.limit is None):
        count = 0
    present = question.now_s + 1
    ahead = max(present, extent[1])
    until = min(question.until_s, ahead) if question.until_s is not None else present if count else ahead
    since = extent[0] if question.since_s is None else max(question.since_s, extent[0])
    if question.since_s is None and count:
        since = max(since, until - count * _LONGEST[kind] - _MARGIN_S)
    if kind is PeriodKind.TOTAL:
        since, until = since // MINUTE_S * MINUTE_S, -(-until // MINUTE_S) * MINUTE_S
    if since >= until:
        begins = isoformat(extent[0], question.zone)
        raise NoDataError("nothing was recorded in the time asked for", hint=f"the record begins at {begins}")
    if kind is not PeriodKind.TOTAL and (until - since) // _LONGEST[kind] > MOST_ROWS:
        raise UsageError(
            f"that would be more than {MOST_ROWS:,} rows",
            hint="ask for longer periods, or a shorter time with --since",
        )
    found = periods(
        kind, since, until, question.zone, billing_day=question.billing_day, week_start=question.week_start
    )
    return found[-count:] if kind is not PeriodKind.TOTAL else found


def _edges(spans: Sequence[Period]) -> list[int]:
    return [span.start_s for span in spans] + [spans[-1].end_s]


# ---- What was counted -------------------------------------------------------------------------------------------


def _rows(
    reader: Record, question: Question, series: Sequence[Series], spans: Sequence[Period], begun: int
) -> list[UsageRow]:
    sums = reader.usage([one.ids for one in series], _edges(spans), packets=question.packets)
    shown = [
        n
        for n, one in enumerate(series)
        if len(series) == 1 or one.name in question.patterns or any(map(any, sums[n]))
    ]
    seconds = _elapsed(spans, begun, question.now_s)
    none = repeat(None)
    rows = map(
        UsageRow,
        [start for start, _ in spans for _ in shown],
        [end for _, end in spans for _ in shown],
        cycle([series[n].name for n in shown]),
        chain.from_iterable(zip(*[sums[n] for n in shown], strict=True)),
        [length for length in seconds for _ in shown],
        *(none, none, none),
        cycle([series[n].host for n in shown]),
    )
    return list(rows)


def _elapsed(spans: Sequence[Period], begun: int, now_s: int) -> list[int]:
    return [
        end - start if begun <= start and end <= now_s else max(min(end, now_s) - max(start, begun), 0)
        for start, end in spans
    ]


def _top_rows(
    reader: Record, question: Question, series: Sequence[Series], spans: Sequence[Period], begun: int
) -> list[UsageRow]:
    count = question.limit or DEFAULT_COUNTS[ReportKind.TOP]
    edges = _edges(spans)
    seconds = _elapsed(spans, begun, question.now_s)
    return [
        UsageRow(spans[n].start_s, spans[n].end_s, one.name, usage, seconds[n], host=one.host)
        for one in series
        for n, usage in reader.busiest(one.ids, edges, count, packets=question.packets)
    ]


def _totals(rows: Sequence[UsageRow], question: Question, *, is_one: bool) -> list[UsageRow]:
    """One row for each series, over all of its periods, without rates; `is_one`: there is one period."""
    if is_one and not (question.peak or question.percentile):
        return list(rows)
    of_series: dict[tuple[str, str | None], list[UsageRow]] = {}
    for row in rows:
        of_series.setdefault((row.host, row.interface), []).append(row)
    return [
        UsageRow(
            own[0].start_s,
            own[-1].end_s,
            name,
            Usage(*map(sum, zip(*(row.usage for row in own), strict=True))),
            sum(row.seconds for row in own),
            host=host,
        )
        for (host, name), own in of_series.items()
    ]


# ---- Rates ------------------------------------------------------------------------------------------------------


def _with_rates(
    reader: Record,
    question: Question,
    rows: list[UsageRow],
    series: Sequence[Series],
    interfaces: Sequence[InterfaceRecord],
) -> list[UsageRow]:
    """The rows with peaks and percentiles, where they were asked for."""
    if not rows or not (question.peak or question.percentile):
        return rows
    spans = sorted({Period(row.start_s, row.end_s) for row in rows}, key=lambda span: span.start_s)
    groups = [one.ids for one in series]
    numbers = {(one.host, one.name): g for g, one in enumerate(series)}
    place = {span.start_s: n for n, span in enumerate(spans)}
    peaks = _peaks(reader, groups, spans) if question.peak else None
    names = {i.id: (i.name, i.host) for i in interfaces}
    rates, extent = None, reader.extent()
    if question.percentile and extent is not None:
        bounds = (extent[0], question.now_s)
        rates = percentiles(reader, groups, spans, question.percentile, bounds)
    found = []
    for row in rows:
        g, n = numbers[row.host, row.interface], place[row.start_s]
        if peaks is not None:
            pair = peaks[g][n]
            row = row._replace(rx_peak=_named(pair.rx, names), tx_peak=_named(pair.tx, names))  # noqa: PLW2901
        found.append(row if rates is None else row._replace(percentile=rates[g][n]))
    return found


def _peaks(reader: Record, groups: Sequence[Sequence[int]], spans: Sequence[Period]) -> list[list[Peaks]]:
    """Peaks of some ascending periods, which need not follow one another."""
    edges = sorted({edge for span in spans for edge in (span.start_s, span.end_s)})
    starts = {start: n for n, (start, _) in enumerate(pairwise(edges))}
    wanted = [starts[span.start_s] for span in spans]
    return [[of_group[n] for n in wanted] for of_group in reader.peaks(groups, edges)]


def _named(peak: Peak | None, names: dict[int, tuple[str, str]]) -> NamedPeak | None:
    if peak is None:
        return None
    return NamedPeak(peak.rate, peak.at_s, peak.width_s, *names[peak.interface_id])
