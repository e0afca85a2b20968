"""How much of a time was watched, and what was declared about the rest."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from netusage.ledger.answers import GapRecord
from netusage.model import US
from netusage.periods import Period
from netusage.records import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from netusage.reports.record import Record

Stretch = tuple[int, int]


class Coverage(NamedTuple):
    """One period; UTC seconds, lengths in microseconds.

    start_s, end_s: the period.
    watched_us: read without a break.
    declared_us: not watched, and declared as a gap.
    unknown_us: neither watched nor declared, as while no recorder has come back yet. Time before the first
        reading and after the present is in none of the three.
    gaps: the declared gaps that touch the period, also those of single interfaces.
    """

    start_s: int
    end_s: int
    watched_us: int
    declared_us: int
    unknown_us: int
    gaps: tuple[GapRecord, ...]

    @property
    def lossy(self) -> int:
        """How many of the gaps may have lost bytes."""
        return sum(gap.lossy for gap in self.gaps)

    @property
    def watched_share(self) -> float | None:
        """The watched part of the time, 0 to 1; None when there was none."""
        whole = self.watched_us + self.declared_us + self.unknown_us
        return self.watched_us / whole if whole else None


def coverage(reader: Record, periods: Sequence[Period], now_us: int) -> list[Coverage]:
    """The coverage of some ascending periods up to the present, UTC microseconds."""
    if not periods:
        return []
    since, until = periods[0].start_s * US, periods[-1].end_s * US
    everything = reader.watched(0, max(until, now_us))
    if not everything:
        return [Coverage(period.start_s, period.end_s, 0, 0, 0, ()) for period in periods]
    begun = min(stretch.start_us for stretch in everything)
    ended = max(now_us, begun)
    watched = union((stretch.start_us, stretch.end_us) for stretch in everything)
    gaps = reader.gaps(since, until)
    declared = union((gap.start_us, gap.end_us) for gap in gaps if not gap.interface)
    accounted = union([*watched, *declared])
    found = []
    for period in periods:
        low, high = period.start_s * US, period.end_s * US
        inside = (max(low, begun), min(high, ended))
        seen, known = length(watched, *inside), length(accounted, *inside)
        unknown = max(inside[1] - inside[0], 0) - known
        touching = tuple(
            gap for gap in gaps if gap.start_us < high and max(gap.end_us, gap.start_us + 1) > low
        )
        found.append(Coverage(period.start_s, period.end_s, seen, known - seen, unknown, touching))
    return found


def union(stretches: Iterable[Stretch]) -> list[Stretch]:
    """Ascending stretches without overlap; a clock that went back makes some that overlap."""
    found: list[Stretch] = []
    for start, end in sorted(stretches):
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        elif end > start:
            found.append((start, end))
    return found


def length(stretches: Sequence[Stretch], low: int, high: int) -> int:
    """How much of [low, high) the stretches cover."""
    return sum(
        max(min(end, high) - max(start, low), 0) for start, end in stretches if start < high and end > low
    )
