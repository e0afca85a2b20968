"""What a picture shows, asked of the reports: bars, what is not exact about them, days or hours, and applications."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import pairwise
from typing import TYPE_CHECKING

from netusage.errors import NoDataError
from netusage.ledger.answers import NO_USAGE, Usage
from netusage.model import US
from netusage.periods import PeriodKind
from netusage.render.documents import tiers
from netusage.reports.applications import Row, applications, whole_quarters
from netusage.reports.coverage import Stretch, union
from netusage.reports.plans import Answer, of_machine, outlook, standing
from netusage.reports.usage import Question, ReportKind, UsageReport, report
from netusage.settings.schema import PlanSettings

if TYPE_CHECKING:
    from netusage.reports.record import Record

_SHORTER_THAN_DAYS = (ReportKind.MINUTE, ReportKind.FIVE_MINUTES, ReportKind.HOUR)
_LATE_S = 60  # what has not been committed yet is no gap


class Panel(StrEnum):
    """The parts of a picture, in the order in which they are drawn."""

    TIMELINE = "timeline"
    DAYS = "days"
    HEATMAP = "heatmap"
    APPLICATIONS = "applications"
    PLAN = "plan"


@dataclass(frozen=True, slots=True)
class Bars:
    """Consecutive periods; bar n goes from edges[n] to edges[n + 1], UTC seconds.

    seconds: how much of each is over and lies within the record.
    """

    kind: PeriodKind
    edges: list[int]
    usages: list[Usage]
    seconds: list[int]

    @property
    def total(self) -> Usage:
        """All of them."""
        return Usage(*map(sum, zip(*self.usages, strict=True)))


@dataclass(frozen=True, slots=True)
class Contents:
    """Everything that is drawn; UTC seconds.

    interfaces: the names of those that are shown together; none is the machine's total.
    bars: of the period that was asked for.
    days: the same time by days, when a panel shows them.
    heat: the same time by days, or by hours where the bars are shorter than days, when a panel shows them.
    applications: those that had any bytes, the busiest first; None when no panel shows them, or there are none.
    tiers: how applications were told apart.
    unwatched: when nothing was read, between the beginning of the record and the present; nothing of a record of
        several hosts, some of which may have been watched.
    lossy: declared gaps that may have lost bytes.
    plan: how a data plan stands in its present cycle, when a panel shows one.
    hosts: of how many the record is, 0 for a machine's own.
    """

    question: Question
    interfaces: list[str]
    bars: Bars
    days: Bars | None
    heat: Bars | None
    applications: list[Row] | None
    tiers: list[str]
    unwatched: list[Stretch]
    lossy: list[Stretch]
    plan: Answer | None = None
    hosts: int = 0


def usual_panels(kind: ReportKind) -> tuple[Panel, ...]:
    """What is drawn when nobody chooses."""
    if kind in _SHORTER_THAN_DAYS:
        return (Panel.TIMELINE, Panel.APPLICATIONS)
    return (Panel.TIMELINE, Panel.HEATMAP, Panel.APPLICATIONS)


def gather(
    reader: Record,
    question: Question,
    panels: Collection[Panel],
    plan: PlanSettings | None = None,
    record_of: Callable[[PlanSettings], Record] | None = None,
) -> Contents:
    """Ask for everything that some panels show.

    Args:
        reader: the record.
        question: periods and interfaces.
        panels: which.
        plan: the one whose panel is among them.
        record_of: whom to ask about the plan; the record itself where nobody is named.

    Raises:
        UsageError: the question makes no sense.
        NoDataError: nothing is recorded for it, or for the plan; of applications, when they are all that is asked for.
    """
    answer = report(reader, question)
    if not answer.rows:
        raise NoDataError(
            f"{', '.join(question.patterns)}: nothing was counted in the time asked for",
            hint="see what was with: netusage interfaces",
        )
    interfaces = list(dict.fromkeys(row.interface for row in answer.rows if row.interface is not None))
    whole = replace(question, since_s=answer.start_s, until_s=answer.end_s, limit=None)
    by_days = replace(whole, kind=ReportKind.DAY)
    by_hours = replace(whole, kind=ReportKind.HOUR)
    heat = by_hours if question.kind in _SHORTER_THAN_DAYS else by_days
    rows = (
        _applications(reader, answer, is_all=set(panels) == {Panel.APPLICATIONS})
        if Panel.APPLICATIONS in panels
        else None
    )
    hosts = len({one.host for one in reader.interfaces(totals=False)} - {""})
    return Contents(
        question,
        interfaces,
        _bars(answer),
        _bars(report(reader, by_days)) if Panel.DAYS in panels else None,
        _bars(report(reader, heat)) if Panel.HEATMAP in panels else None,
        rows,
        tiers(reader, answer.start_s, answer.end_s) if Panel.APPLICATIONS in panels else [],
        _unwatched(reader, answer) if hosts <= 1 else [],
        _lossy(reader, answer, interfaces),
        _plan((record_of or of_machine(reader))(plan), question, plan)
        if plan is not None and Panel.PLAN in panels
        else None,
        hosts,
    )


def _bars(answer: UsageReport) -> Bars:
    """The rows of a report, those of several interfaces added up."""
    usages: dict[int, Usage] = {}
    for row in answer.rows:
        usages[row.start_s] = usages.get(row.start_s, NO_USAGE).plus(row.usage)
    seconds = {row.start_s: row.seconds for row in answer.rows}
    edges = [*usages, answer.rows[-1].end_s]
    return Bars(answer.question.cut, edges, list(usages.values()), list(seconds.values()))


def _applications(reader: Record, answer: UsageReport, *, is_all: bool) -> list[Row] | None:
    """What applications had; None when nothing is recorded of them, unless that is all that is asked for."""
    question, quarters = answer.question, whole_quarters(answer.start_s, answer.end_s)
    try:
        rows = applications(reader, quarters, ("application",), question.overrides, question.patterns)
    except NoDataError:
        if is_all:
            raise
        return None
    found = [row for row in rows if row.counters.rx_bytes or row.counters.tx_bytes]
    if is_all and not found:
        raise NoDataError("no application had anything in the time asked for", hint="see: netusage apps")
    return found or None


def _plan(reader: Record, question: Question, plan: PlanSettings) -> Answer:
    zone, overrides = question.zone, question.overrides
    stands = standing(reader, plan, question.now_s, zone, overrides)
    return Answer(stands, outlook(reader, plan, stands, zone, overrides))


def _unwatched(reader: Record, answer: UsageReport) -> list[Stretch]:
    """When nothing was read, declared or not."""
    now_s = answer.question.now_s
    watched = union((one.start_us // US, one.end_us // US) for one in reader.watched(0, (now_s + 1) * US))
    if not watched:
        return []
    found = [(end, start) for (_, end), (start, _) in pairwise(watched)]
    last = watched[-1][1]
    if last + _LATE_S < now_s:
        found.append((last, now_s))
    return _inside(found, answer)


def _lossy(reader: Record, answer: UsageReport, interfaces: list[str]) -> list[Stretch]:
    """Gaps that may have lost bytes of what is shown; those of one interface are not all of the machine's."""
    concerned = {"", *interfaces}
    gaps = reader.gaps(answer.start_s * US, answer.end_s * US)
    found = [
        (gap.start_us // US, -(-gap.end_us // US)) for gap in gaps if gap.lossy and gap.interface in concerned
    ]
    return _inside(found, answer)


def _inside(stretches: list[Stretch], answer: UsageReport) -> list[Stretch]:
    """What of them lies in the time that is shown; one without length lasts a second."""
    low, high = answer.start_s, answer.end_s
    return union((max(start, low), min(max(end, start + 1), high)) for start, end in stretches)
