"""Percentiles of rates, as traffic is billed: averages over five minutes, sorted, the nearest rank taken.

RFC 5136 and common transit contracts: a month has some 8,600 samples of five minutes; with the highest 5 % left
out, the highest of the rest is the 95th percentile. Where only quarters of an hour are kept, the averages are over
those. Time without traffic counts as zero, time before the record and after the present not at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from netusage.model import QUARTER_S
from netusage.periods import Period
from netusage.reports.ranks import nearest_rank

if TYPE_CHECKING:
    from netusage.reports.record import Record

FIVE_MINUTES_S = 300


class Percentile(NamedTuple):
    """Rates in bytes per second that were not exceeded but in the highest few averages.

    rx, tx: None when there is not one whole slot.
    width_s: what was averaged over.
    """

    rx: int | None
    tx: int | None
    width_s: int


def percentiles(
    reader: Record,
    groups: Sequence[Sequence[int]],
    periods: Sequence[Period],
    thousandths: int,
    bounds: tuple[int, int],
) -> list[list[Percentile]]:
    """The percentile of each group in each of some ascending periods.

    Args:
        reader: the ledger.
        groups: numbers of interfaces; none in two groups.
        periods: ascending.
        thousandths: the percentile times 1000, 1 to 100,000.
        bounds: from when on there is a record, and the present, UTC seconds.
    """
    found: list[list[Percentile]] = [[] for _ in groups]
    kept = reader.minutes_from_s
    fine = next((n for n, one in enumerate(periods) if max(one.start_s, bounds[0]) >= kept), len(periods))
    for some, width in ((periods[:fine], QUARTER_S), (periods[fine:], FIVE_MINUTES_S)):
        if not some:
            continue
        ranges = [_whole(period, width, bounds) for period in some]
        first, last = ranges[0][0], max(end for _, end in ranges)
        slots = reader.slots(groups, first, max(first, last), width)
        for g, of_group in enumerate(slots):
            for start, end in ranges:
                low, high = (start - first) // width, (end - first) // width
                rates = [_of_slots(way[low:high], width, thousandths) for way in of_group]
                found[g].append(Percentile(rates[0], rates[1], width))
    return found


def _whole(period: Period, width: int, bounds: tuple[int, int]) -> tuple[int, int]:
    """The whole slots of a period that there can be a record of."""
    start = max(-(-period.start_s // width) * width, bounds[0] // width * width)
    return start, max(min(period.end_s, bounds[1]) // width * width, start)


def _of_slots(values: Sequence[int], width: int, thousandths: int) -> int | None:
    """A rate in bytes per second, rounded half up; None without a slot."""
    return (2 * nearest_rank(values, thousandths) + width) // (2 * width) if len(values) else None
