"""The record of several hosts row by row, for other programs: what `extract` is of one, with the host in every row.

A record of several hosts is asked in portions: nothing is gathered that grows with the length of the stretch.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from netusage.errors import UsageError
from netusage.model import QUARTER_S, US
from netusage.periods import Period, refuse_reversed
from netusage.reports.extract import Question, Resolution, chosen, periods_of, recorded, summed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from netusage.reports.record import Record

_GAPS_AT_ONCE_S = 31 * 86_400
_FOREVER_S = 1 << 40


class HostUsageRow(NamedTuple):
    """An `extract.UsageRow` of a host; what is estimated is spread over the rows, so `because` is always ""."""

    start_us: int
    end_us: int
    host: str
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


class HostGapRow(NamedTuple):
    """An `extract.GapRow` of a host."""

    start_us: int
    end_us: int
    host: str
    kind: str
    lossy: bool
    interface: str
    note: str


class HostsExtract:
    """The answer, read while it is asked for.

    Args:
        reader: the record of the hosts.
        question: what is asked for.

    Attributes:
        question: what was asked for.
        start_s, end_s: what rows of usage cover, UTC seconds.

    Raises:
        UsageError: the question makes no sense, or asks for minutes.
        NoDataError: nothing is recorded then, or of such interfaces.
    """

    def __init__(self, reader: Record, question: Question) -> None:
        self._reader = reader
        self.question = question
        if question.resolution is Resolution.MINUTE:
            raise UsageError(
                "--resolution minute: of several hosts there are quarters of an hour",
                hint="use quarter or longer, or export each host's own ledger",
            )
        refuse_reversed(question.since_s, question.until_s)
        self._interfaces = chosen(reader, question)
        since_s, until_s = recorded(reader, question)
        if question.resolution is Resolution.QUARTER:
            self.start_s, self.end_s = since_s // QUARTER_S * QUARTER_S, -(-until_s // QUARTER_S) * QUARTER_S
        else:
            spans = periods_of(question, since_s, until_s)
            self.start_s, self.end_s = spans[0].start_s, spans[-1].end_s

    def usage(self) -> Iterator[HostUsageRow]:
        """What was counted, by start and then by host, name and kind of the interface."""
        resolution = self.question.resolution
        for one, row in summed(self._reader, self._interfaces, self._spans(), resolution):
            yield HostUsageRow._make((*row[:2], one.host, *row[2:]))

    def _spans(self) -> Iterable[Period]:
        if self.question.resolution is not Resolution.QUARTER:
            return periods_of(self.question, self.start_s, self.end_s)
        return (Period(at_s, at_s + QUARTER_S) for at_s in range(self.start_s, self.end_s, QUARTER_S))

    def gaps(self) -> Iterator[HostGapRow]:
        """The declared gaps, as far as they lie within the stretch, by start and host."""
        question = self.question
        low = 0 if question.since_s is None else min(self.start_s, question.since_s)
        high = _FOREVER_S if question.until_s is None else max(self.end_s, question.until_s)
        cuts = sorted({low, *range(self.start_s, self.end_s, _GAPS_AT_ONCE_S), high})
        of_each = {(one.host, one.name) for one in self._interfaces}
        for since_us, until_us in pairwise(at_s * US for at_s in cuts):
            found = [
                HostGapRow(
                    max(gap.start_us, low * US),
                    min(gap.end_us, high * US),
                    gap.host,
                    gap.kind,
                    gap.lossy,
                    gap.interface,
                    gap.note,
                )
                for gap in self._reader.gaps(since_us, until_us)
                if (gap.start_us >= since_us or since_us == low * US)
                and (not question.patterns or not gap.interface or (gap.host, gap.interface) in of_each)
            ]
            yield from sorted(found)
