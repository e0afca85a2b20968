"""What a monitoring system keeps an eye on: totals that never go down, and how the recorder does.

All of it comes from the ledger, so it is the same whoever asks, and goes on where it was after any restart. The totals
of interfaces are stored with them. Those of applications are the ledger's running totals by name, from which folding
takes nothing. The few that are shown change only as others come to have more, each of them with all that it ever had,
and none of them is ever the sum of those that are not shown: that would go down whenever one of those is.
"""

from collections.abc import Iterable
from datetime import tzinfo
from typing import TYPE_CHECKING, NamedTuple

from netusage.ledger.answers import (
    NO_USAGE,
    GapCount,
    InterfaceRecord,
    RecorderState,
    RunRecord,
    TotalRecord,
    Usage,
)
from netusage.ledger.reader import LedgerReader
from netusage.model import US, Counters, GapKind, Who
from netusage.periods import PeriodKind, periods
from netusage.reports import selection
from netusage.reports.applications import SCOPES, name_of

if TYPE_CHECKING:
    from netusage.reports.selection import Overrides

GONE_FOR_S = 3600  # so long an interface is told of after it has gone away


class InterfaceTotals(NamedTuple):
    """What one interface ever counted.

    counted: whether it is part of the machine's total now.
    estimated: received and sent bytes of `totals` whose time is estimated.
    """

    name: str
    kind: str
    counted: bool
    totals: Counters
    estimated: tuple[int, int]


class ScopeTotals(NamedTuple):
    """What one application, or all of them (""), ever had of the machine's total with others so far away.

    both: received and sent bytes.
    """

    application: str
    scope: str
    both: tuple[int, int]


class Runs(NamedTuple):
    """All lives of recorders, added up."""

    number: int = 0
    samples: int = 0
    failed_samples: int = 0
    late_samples: int = 0
    events: int = 0
    commits: int = 0
    failed_commits: int = 0
    commit_total_us: int = 0


class Metrics(NamedTuple):
    """The answer.

    interfaces: those that are there, or went away less than an hour ago.
    applications: those that had the most, by name.
    attributed: all applications together; those that are not among them are the difference.
    today, month: what the machine used since the local day and the billing month began.
    """

    interfaces: list[InterfaceTotals]
    applications: list[ScopeTotals]
    attributed: list[ScopeTotals]
    gaps: list[GapCount]
    runs: Runs
    recorder: RecorderState
    today: Usage
    month: Usage


def metrics(
    reader: LedgerReader,
    *,
    now_s: int,
    zone: tzinfo,
    overrides: "Overrides",
    billing_day: int = 1,
    most_applications: int = 50,
) -> Metrics:
    """Answer it.

    Args:
        reader: the ledger.
        now_s: the present, UTC seconds.
        zone: in which days and months are cut.
        overrides: what the configuration says of the machine's total.
        billing_day: the day on which months begin.
        most_applications: so many are told apart.
    """
    records = reader.interfaces()
    estimated = reader.estimated()
    told = reader.application_totals()
    today, month = _of_calendar(
        reader, selection.machine(records, overrides).ids, now_s, zone, billing_day=billing_day
    )
    return Metrics(
        interfaces=[
            InterfaceTotals(
                one.name,
                one.kind,
                selection.part(one, overrides).counted,
                one.totals,
                estimated.get(one.id, (0, 0)),
            )
            for one in records
            if _is_told(one, now_s)
        ],
        applications=_most(told, most_applications),
        attributed=_together(told),
        gaps=_of_every_kind(reader.gap_counts()),
        runs=_added_up(reader.runs()),
        recorder=reader.recorder(),
        today=today,
        month=month,
    )


def _is_told(interface: InterfaceRecord, now_s: int) -> bool:
    return interface.living or interface.last_seen_us >= (now_s - GONE_FOR_S) * US


def _most(told: Iterable[TotalRecord], number: int) -> list[ScopeTotals]:
    """Those with the most bytes of all time, with each of their scopes."""
    own: dict[str, list[ScopeTotals]] = {}
    for one in told:
        if one.kind:
            name = name_of(Who(one.kind, one.name))
            both = (one.rx_bytes, one.tx_bytes)
            own.setdefault(name, []).append(ScopeTotals(name, _scope(one.scope), both))
    sums = {name: sum(sum(one.both) for one in scopes) for name, scopes in own.items()}
    chosen = sorted(sums, key=lambda name: (-sums[name], name))[:number]
    return [one for name in sorted(chosen) for one in own[name]]


def _together(told: Iterable[TotalRecord]) -> list[ScopeTotals]:
    """All applications, by scope; also the scopes without anything, so that the first bytes are seen to come."""
    found = {one.scope: (one.rx_bytes, one.tx_bytes) for one in told if not one.kind}
    scopes = sorted({*range(len(SCOPES)), *found})
    return [ScopeTotals("", _scope(scope), found.get(scope, (0, 0))) for scope in scopes]


def _of_every_kind(counts: Iterable[GapCount]) -> list[GapCount]:
    """The counts of all kinds of gaps, also those of which there was none, so that the first one is seen to come."""
    found = {(one.kind, one.lossy): one for one in counts}
    kinds = sorted({*map(str, GapKind), *(kind for kind, _ in found)})
    return [
        found.get((kind, lossy), GapCount(kind, lossy, 0, 0)) for kind in kinds for lossy in (False, True)
    ]


def _scope(number: int) -> str:
    return SCOPES[number] if number < len(SCOPES) else str(number)


def _added_up(runs: Iterable[RunRecord]) -> Runs:
    total = Runs()
    for run in runs:
        own = Runs(1, *(getattr(run, name) for name in Runs._fields[1:]))
        total = Runs(*(a + b for a, b in zip(total, own, strict=True)))
    return total


def _of_calendar(
    reader: LedgerReader, machine: tuple[int, ...], now_s: int, zone: tzinfo, *, billing_day: int
) -> tuple[Usage, Usage]:
    """The machine's usage of today and of this month."""
    today = periods(PeriodKind.DAY, now_s, now_s + 1, zone)[0]
    month = periods(PeriodKind.MONTH, now_s, now_s + 1, zone, billing_day=billing_day)[0]
    edges = sorted({month.start_s, today.start_s, today.end_s, month.end_s})
    (parts,) = reader.usage([machine], edges, packets=False)
    of_month = NO_USAGE
    for part in parts:
        of_month = of_month.plus(part)
    return parts[edges.index(today.start_s)], of_month
