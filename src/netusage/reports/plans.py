"""Data plans: cycles, what is used of them and left, and whether they will do.

Everything is computed from the ledger when it is asked, past cycles too: a plan that is changed in the configuration is
changed from its first day on.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from datetime import date, datetime, timedelta, tzinfo
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from netusage.errors import NoDataError, UsageError
from netusage.model import QUARTER_S
from netusage.periods import Period, PeriodKind, periods
from netusage.periods.grid import clock_of_day, first_instant
from netusage.reports import forecast
from netusage.reports.plan_accounts import Account, accounts, members, splits_days
from netusage.settings.convert import nearest
from netusage.settings.schema import PlanSettings, weekday_number

if TYPE_CHECKING:
    from netusage.reports.forecast import Step
    from netusage.reports.record import Record
    from netusage.reports.selection import Overrides

_DAY_S = 86_400


class Standing(NamedTuple):
    """How a plan stands in one cycle; UTC seconds, bytes in the plan's direction.

    name: the plan's.
    record: where it is from, as `Record.path`.
    hosts, labels: shell patterns of those whose hosts count; of one that names none, every host of the record.
    host_count: how many hosts those are, of whom anything is recorded that counts; None for one machine's own record.
    direction: both, rx or tx.
    start_s, end_s: the cycle.
    now_s: when it was asked.
    record_s: from when on there is a record of this cycle; after `start_s` when it began later.
    cap_bytes: what the plan allows.
    rolled_over_bytes: what is left of earlier cycles.
    counted_bytes, free_bytes, lan_bytes, zero_rated_bytes, estimated_bytes, unknown_bytes: as `Account`.
    already_used_bytes: what the configuration adds to this cycle.
    thresholds: percentages that are worth telling.
    days_left: days of the cycle that are not over, today included.
    days: an account of each local day.
    splits_days: what is left out of single days is split, see `plan_accounts.splits_days`; their sum is exact.
    """

    name: str
    record: str
    hosts: tuple[str, ...]
    labels: tuple[str, ...]
    host_count: int | None
    direction: str
    start_s: int
    end_s: int
    now_s: int
    record_s: int
    cap_bytes: int
    rolled_over_bytes: int
    counted_bytes: int
    free_bytes: int
    lan_bytes: int
    zero_rated_bytes: int
    already_used_bytes: int
    estimated_bytes: int
    unknown_bytes: int
    thresholds: tuple[int, ...]
    days_left: int
    days: tuple[Account, ...]
    splits_days: bool

    @property
    def used_bytes(self) -> int:
        """What counts, and what the configuration adds."""
        taken_off = self.free_bytes + self.lan_bytes + self.zero_rated_bytes
        return self.counted_bytes - taken_off + self.already_used_bytes

    @property
    def limit_bytes(self) -> int:
        """What may be used in this cycle."""
        return self.cap_bytes + self.rolled_over_bytes

    @property
    def left_bytes(self) -> int:
        """What is left; negative when more was used."""
        return self.limit_bytes - self.used_bytes

    @property
    def share(self) -> float:
        """The used part of what may be used; above 1 when more was used."""
        return self.used_bytes / self.limit_bytes

    @property
    def is_over(self) -> bool:
        """Whether the cycle is."""
        return self.now_s >= self.end_s

    @property
    def elapsed_share(self) -> float:
        """The part of the cycle that is over, 0 to 1."""
        return min((self.now_s - self.start_s) / (self.end_s - self.start_s), 1.0)

    @property
    def pace_bytes(self) -> int:
        """How much more was used than at an even pace by now; negative when it was less."""
        elapsed_s = min(self.now_s, self.end_s) - self.start_s
        return self.used_bytes - self.limit_bytes * elapsed_s // (self.end_s - self.start_s)

    @property
    def allowance_bytes(self) -> int | None:
        """What may be used on each day that is left, today's rest included; None when the cycle is over."""
        return max(self.left_bytes, 0) // self.days_left if self.days_left else None

    def reaches(self, percent: float) -> bool:
        """Whether so many per cent of what may be used are used."""
        return self.used_bytes * 100 >= self.limit_bytes * percent

    @property
    def reached(self) -> tuple[int, ...]:
        """The plan's thresholds that are reached, ascending."""
        return tuple(sorted(percent for percent in set(self.thresholds) if self.reaches(percent)))


class Outlook(NamedTuple):
    """What a cycle is going to have been, in all; UTC seconds, bytes.

    method: `forecast.WEEKDAY_HOURS` or `forecast.LINEAR`.
    days: whole days of record behind it.
    used_bytes: at the end of the cycle, with what is used already.
    low_bytes, high_bytes: the range in which it is four times of five; None when too little is known for one.
    exhausted_s: when the plan is used up; when it was, if it is. None: not in this cycle.
    earliest_s, latest_s: the range of it; None: not in this cycle, or no range is known.
    steps: by hour from now on, in all.
    """

    method: str
    days: int
    used_bytes: int
    low_bytes: int | None
    high_bytes: int | None
    exhausted_s: int | None
    earliest_s: int | None
    latest_s: int | None
    steps: tuple[Step, ...]


# ---- Cycles -----------------------------------------------------------------------------------------------------


def cycle_at(plan: PlanSettings, at_s: int, zone: tzinfo) -> Period:
    """The cycle in which a time lies; the first one begins on the plan's first day, wherever that is in it.

    Raises:
        NoDataError: the plan begins later.
    """
    begun_s = _midnight(date.fromisoformat(plan.start), zone) if plan.start else 0
    if at_s < begun_s:
        raise NoDataError(
            f"plan {plan.name!r} begins on {plan.start}", hint="change start in the configuration"
        )
    if plan.cycle_days:
        return _cycle_of_days(plan, at_s, zone)
    kind = PeriodKind.WEEK if plan.cycle == "week" else PeriodKind.MONTH
    week_start = weekday_number(plan.weekday)
    (found,) = periods(kind, at_s, at_s + 1, zone, billing_day=plan.day, week_start=week_start)
    return Period(max(found.start_s, begun_s), found.end_s)


def _cycle_of_days(plan: PlanSettings, at_s: int, zone: tzinfo) -> Period:
    first, length = date.fromisoformat(plan.start), plan.cycle_days
    past = (datetime.fromtimestamp(at_s, zone).date() - first).days // length
    ends = [first + timedelta(days=(past + n) * length) for n in (0, 1)]
    start_s, end_s = (_midnight(day, zone) for day in ends)
    return Period(start_s, end_s)


def _midnight(day: date, zone: tzinfo) -> int:
    at_s = first_instant(clock_of_day(day), zone)
    return at_s - at_s % QUARTER_S


def _cycles(plan: PlanSettings, begun_s: int, now_s: int, zone: tzinfo) -> list[Period]:
    """Every cycle of which there can be a record, the present one last."""
    found = [cycle_at(plan, now_s, zone)]
    first_s = _midnight(date.fromisoformat(plan.start), zone) if plan.start else 0
    while found[-1].start_s > max(begun_s, first_s):
        found.append(cycle_at(plan, found[-1].start_s - 1, zone))
    return found[::-1]


# ---- What is used -----------------------------------------------------------------------------------------------


def standing(
    reader: Record, plan: PlanSettings, now_s: int, zone: tzinfo, overrides: Overrides, *, back: int = 0
) -> Standing:
    """How a plan stands in the present cycle, or so many cycles back.

    Args:
        reader: the record; where the plan is about hosts, that of those and of no others.
        plan: as configured.
        now_s: the present, UTC seconds.
        zone: on whose clock cycles begin and hours are free.
        overrides: what the configuration says of the machine's total.
        back: 1 is the cycle before the present one.

    Raises:
        NoDataError: nothing is recorded of that cycle, or the plan has not begun.
    """
    return standings(reader, plan, now_s, zone, overrides, back=back)[0]


def standings(
    reader: Record,
    plan: PlanSettings,
    now_s: int,
    zone: tzinfo,
    overrides: Overrides,
    *,
    back: int = 0,
    count: int = 1,
) -> list[Standing]:
    """The same of that cycle and of those before it, as many as there is a record of, the latest one first.

    Raises:
        NoDataError: as `standing`.
    """
    extent = reader.extent()
    if extent is None:
        hint = "let the recorder run for a minute; see it with: netusage"
        raise NoDataError(f"nothing has been recorded in {reader.place} yet", hint=hint)
    cycles = _cycles(plan, extent[0], now_s, zone)
    if back >= len(cycles):
        raise NoDataError(
            f"plan {plan.name!r}: nothing is recorded of the cycle {back} back",
            hint=f"the first is {len(cycles) - 1} back",
        )
    until = len(cycles) - back
    since = max(until - count, 0)
    asked = cycles[0 if plan.roll_over else since : until]
    own = _by_cycle(reader, plan, asked, zone, overrides)
    rolled_over = _rolled_over(plan, [sum(day.used for day in days) + added for days, added in own])
    own_interfaces = members(reader.interfaces(totals=False), plan, overrides)
    hosts = {one.host for one in own_interfaces}
    source = _Source(
        reader.path,
        None if hosts == {""} else len(hosts),
        extent[0],
        splits_days(reader, plan, len(own_interfaces), [edge_s for cycle in asked for edge_s in cycle]),
    )
    found = [
        _standing(plan, source, cycle, days, added=added, rolled_over=more, now_s=now_s, zone=zone)
        for cycle, (days, added), more in zip(asked, own, rolled_over, strict=True)
    ]
    return found[: -count - 1 : -1]


def _by_cycle(
    reader: Record, plan: PlanSettings, cycles: Sequence[Period], zone: tzinfo, overrides: Overrides
) -> list[tuple[list[Account], int]]:
    """For each of some consecutive cycles its days, and what had been used of it before it was recorded."""
    days = periods(PeriodKind.DAY, cycles[0].start_s, cycles[-1].end_s, zone)
    edges = [day.start_s for day in days] + [days[-1].end_s]
    exact_at = [cycle.start_s for cycle in cycles] + [edges[-1]]
    of_days = accounts(reader, plan, edges, zone, overrides, exact_at=exact_at)
    added_s = _midnight(date.fromisoformat(plan.already_used_at), zone) if plan.already_used_at else -1
    return [
        (
            [day for day in of_days if cycle.start_s <= day.start_s < cycle.end_s],
            plan.already_used_bytes if cycle.start_s <= added_s < cycle.end_s else 0,
        )
        for cycle in cycles
    ]


def _rolled_over(plan: PlanSettings, used: Sequence[int]) -> list[int]:
    """What each of some consecutive cycles has from those before it; what is the oldest is used first."""
    kept: deque[int] = deque(maxlen=plan.roll_over)  # what is left of the latest cycles, the oldest first
    found = []
    for number in used:
        found.append(sum(kept))
        rest = number
        for n, left in enumerate(kept):
            kept[n] = max(left - rest, 0)
            rest = max(rest - left, 0)
        kept.append(max(plan.cap_bytes - rest, 0))
    return found


class _Source(NamedTuple):
    """Where a standing is from: the record's path, of how many hosts, when it began, and whether days are split."""

    path: str
    host_count: int | None
    begun_s: int
    splits_days: bool


def _standing(
    plan: PlanSettings,
    source: _Source,
    cycle: Period,
    days: Sequence[Account],
    *,
    added: int,
    rolled_over: int,
    now_s: int,
    zone: tzinfo,
) -> Standing:
    sums = [sum(column) for column in zip(*(day[2:] for day in days), strict=True)]
    counted, free, lan, zero_rated, estimated, unknown = sums
    return Standing(
        plan.name,
        source.path,
        plan.hosts,
        plan.labels,
        source.host_count,
        plan.direction,
        *cycle,
        now_s=now_s,
        record_s=max(source.begun_s, cycle.start_s),
        cap_bytes=plan.cap_bytes,
        rolled_over_bytes=rolled_over,
        counted_bytes=counted,
        free_bytes=free,
        lan_bytes=lan,
        zero_rated_bytes=zero_rated,
        already_used_bytes=added,
        estimated_bytes=estimated,
        unknown_bytes=unknown,
        thresholds=plan.thresholds,
        days_left=len(periods(PeriodKind.DAY, now_s, cycle.end_s, zone)),
        days=tuple(days),
        splits_days=source.splits_days,
    )


# ---- What is going to be used -----------------------------------------------------------------------------------


def outlook(
    reader: Record, plan: PlanSettings, stands: Standing, zone: tzinfo, overrides: Overrides
) -> Outlook | None:
    """What the present cycle is going to have been; None when it is over.

    Raises:
        NoDataError: none of the plan's interfaces was ever seen.
    """
    if stands.is_over:
        return None
    history = _history(reader, plan, stands, zone, overrides)
    prediction = forecast.predict(history, stands.now_s, stands.end_s, zone)
    used, limit = stands.used_bytes, stands.limit_bytes
    steps = tuple(
        step._replace(
            middle=used + step.middle,
            low=None if step.low is None else used + step.low,
            high=None if step.high is None else used + step.high,
        )
        for step in prediction.steps
    )
    last = steps[-1]
    exhausted: tuple[int | None, int | None, int | None]
    if used >= limit:
        exhausted = (_passed(reader, plan, stands, zone, overrides),) * 3
    else:
        now_s = stands.now_s
        exhausted = (
            _crossing(now_s, used, [(step.at_s, step.middle) for step in steps], limit),
            _crossing(now_s, used, [(step.at_s, step.high or 0) for step in steps], limit),
            _crossing(now_s, used, [(step.at_s, step.low or 0) for step in steps], limit),
        )
    return Outlook(prediction.method, prediction.days, last.middle, last.low, last.high, *exhausted, steps)


def _history(
    reader: Record, plan: PlanSettings, stands: Standing, zone: tzinfo, overrides: Overrides
) -> list[forecast.Hour]:
    """What counted, by hours: of the last four weeks, or of the present cycle where that is all that will be asked."""
    extent = reader.extent()
    assert extent is not None
    today_s = periods(PeriodKind.DAY, stands.now_s, stands.now_s + 1, zone)[0].start_s
    since_s = max(today_s - (7 * forecast.WEEKS + 1) * _DAY_S, extent[0])
    if since_s >= stands.now_s:
        return []
    hours = periods(PeriodKind.HOUR, since_s, stands.now_s, zone)
    edges = [hour.start_s for hour in hours] + [hours[-1].end_s]
    found = [
        forecast.Hour(max(one.start_s, since_s), min(one.end_s, stands.now_s), one.used)
        for one in accounts(reader, plan, edges, zone, overrides, roughly=True)
    ]
    return [hour for hour in found if hour.end_s > hour.start_s]


def _crossing(now_s: int, used: int, path: Sequence[tuple[int, int]], limit: int) -> int | None:
    """When a path of (time, bytes) reaches a limit, evenly within its hour."""
    for (start_s, before), (end_s, after) in pairwise([(now_s, used), *path]):
        if after >= limit > before:
            return start_s + (end_s - start_s) * (limit - before) // (after - before)
    return None


def _passed(reader: Record, plan: PlanSettings, stands: Standing, zone: tzinfo, overrides: Overrides) -> int:
    """The beginning of the hour in which the plan was used up."""
    used = stands.already_used_bytes
    if used >= stands.limit_bytes:
        return stands.start_s
    for day in stands.days:
        if used + day.used >= stands.limit_bytes:
            break
        used += day.used
    hours = periods(PeriodKind.HOUR, day.start_s, day.end_s, zone)
    edges = [hour.start_s for hour in hours] + [hours[-1].end_s]
    for hour in accounts(reader, plan, edges, zone, overrides, roughly=True):
        used += hour.used
        if used >= stands.limit_bytes:
            return hour.start_s
    return day.start_s  # hours and the day leave out what was delivered twice not quite alike


# ---- Several plans ----------------------------------------------------------------------------------------------


def chosen(plans: Sequence[PlanSettings], names: Sequence[str] = ()) -> list[PlanSettings]:
    """The plans of these names, or all of them.

    Raises:
        NoDataError: no plan is configured.
        UsageError: there is none of that name.
    """
    known = {plan.name: plan for plan in plans}
    if not known:
        raise NoDataError("no plan is configured", hint='add one: netusage plan add NAME --cap "100 GB"')
    for name in names:
        if name not in known:
            hint = nearest(name, known).removeprefix("; ") or "see them with: netusage plan list"
            raise UsageError(f"there is no plan {name!r}", hint=hint)
    return [known[name] for name in dict.fromkeys(names)] if names else list(plans)


def hosts_words(hosts: Sequence[str], labels: Sequence[str]) -> str:
    """Which hosts are meant, for people, as in "web* with site=berlin"."""
    named = " ".join(hosts) or "all"
    return f"{named} with {' and '.join(labels)}" if labels else named


def refuse_hosts(plan: PlanSettings) -> None:
    """Refuse a plan that is about hosts of the fleet, where only this machine's record is at hand.

    Raises:
        NoDataError: so it is.
    """
    if plan.is_of_hosts:
        raise NoDataError(
            f"plan {plan.name!r} is about hosts of the fleet ({hosts_words(plan.hosts, plan.labels)})",
            hint="ask it with: netusage plan show",
        )


def of_machine(reader: Record) -> Callable[[PlanSettings], Record]:
    """Whom to ask about plans, for `answers`, where only one machine's record is at hand."""

    def record_of(plan: PlanSettings) -> Record:
        refuse_hosts(plan)
        return reader

    return record_of


class Answer(NamedTuple):
    """A plan in one cycle; the outlook is None where the cycle is over, or nobody asked for it."""

    standing: Standing
    outlook: Outlook | None


class Missing(NamedTuple):
    """A plan of which nothing is known, and why."""

    name: str
    reason: str


def answers(
    record_of: Callable[[PlanSettings], Record],
    plans: Sequence[PlanSettings],
    now_s: int,
    zone: tzinfo,
    overrides: Overrides,
    *,
    back: int = 0,
    count: int = 1,
    ahead: bool = True,
) -> tuple[list[Answer], list[Missing]]:
    """Each plan in that cycle and in those before it, as `standings`; those without data are told apart.

    record_of: whom to ask about a plan; may raise NoDataError.
    ahead: with the outlook, which takes longer than all else.

    Raises:
        NoDataError: nothing is known of any of them.
    """
    found, missing = [], []
    for plan in plans:
        try:
            reader = record_of(plan)
            found += [
                Answer(stands, outlook(reader, plan, stands, zone, overrides) if ahead else None)
                for stands in standings(reader, plan, now_s, zone, overrides, back=back, count=count)
            ]
        except NoDataError as error:
            missing.append(Missing(plan.name, str(error)))
    if not found:
        raise NoDataError("; ".join(dict.fromkeys(one.reason for one in missing)))
    return found, missing
