"""What programs read of plans; as `documents` is of reports."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import tzinfo
from itertools import accumulate

from netusage.periods import PeriodKind, isoformat, periods
from netusage.render.columns import Column
from netusage.render.documents import Document
from netusage.reports.plans import hosts_words

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from netusage.reports.plans import Answer, Missing, Outlook, Standing
    from netusage.settings.schema import PlanSettings

COLUMNS = [
    Column("plan", "Plan"),
    Column("start", "From", "date"),
    Column("end", "To", "date"),
    Column("host_filter", "Hosts", table=False),
    Column("label_filter", "Labels", table=False),
    Column("host_count", "Number", "int", table=False),
    Column("ledger", "Ledger", table=False),
    Column("direction", "Direction", table=False),
    Column("cap_bytes", "Cap", "bytes", spare=True),
    Column("rolled_over_bytes", "Rolled over", "bytes", table=False),
    Column("limit_bytes", "May be used", "bytes"),
    Column("used_bytes", "Used", "bytes"),
    Column("left_bytes", "Left", "bytes"),
    Column("share", "Share", "share"),
    Column("elapsed_share", "Over", "share", table=False),
    Column("pace_bytes", "Ahead of pace", "bytes", table=False),
    Column("days_left", "Days left", "int", table=False),
    Column("allowance_bytes", "A day", "bytes", spare=True),
    Column("counted_bytes", "Counted", "bytes", table=False),
    Column("free_bytes", "Free hours", "bytes", table=False),
    Column("lan_bytes", "LAN", "bytes", table=False),
    Column("zero_rated_bytes", "Zero-rated", "bytes", table=False),
    Column("already_used_bytes", "Already used", "bytes", table=False),
    Column("estimated_bytes", "Estimated", "bytes", table=False),
    Column("unknown_bytes", "Not told apart", "bytes", table=False),
    Column("record_start", "Record from", "time", table=False),
    Column("reached", "Thresholds", table=False),
    Column("forecast_method", "Forecast by", table=False),
    Column("forecast_days", "Of days", "int", table=False),
    Column("forecast_bytes", "Forecast", "bytes", spare=True),
    Column("forecast_low_bytes", "At least", "bytes", table=False),
    Column("forecast_high_bytes", "At most", "bytes", table=False),
    Column("exhausted", "Used up", "time", spare=True),
    Column("exhausted_earliest", "Earliest", "time", table=False),
    Column("exhausted_latest", "Latest", "time", table=False),
]
_OF_HOSTS = ("host_filter", "label_filter", "host_count")  # people see them where a plan is about hosts


def plans(
    found: Sequence[Answer], missing: Sequence[Missing], now_s: int, zone: tzinfo, ledger: str
) -> Document:
    """Plans in their cycles; JSON has their days as well: what was used until the end of each, and what will be."""
    envelope = {
        "report": "plans",
        "timezone": str(zone),
        "now": isoformat(now_s, zone),
        "missing": [one._asdict() for one in missing],
        "ledger": ledger,
    }
    columns = COLUMNS
    if any(one.standing.host_count is not None for one in found):
        columns = [one._replace(table=one.table or one.key in _OF_HOSTS) for one in COLUMNS]
    return Document(envelope, columns, (_row(one, zone) for one in found))


def hosts_of(stands: Standing) -> dict[str, Any]:
    """Which hosts a plan is about: patterns, and how many they are, None for this machine alone."""
    return {
        "host_filter": list(stands.hosts),
        "label_filter": list(stands.labels),
        "host_count": stands.host_count,
    }


def _row(answer: Answer, zone: tzinfo) -> dict[str, Any]:
    stands, outlook = answer
    return {
        "plan": stands.name,
        "start": isoformat(stands.start_s, zone),
        "end": isoformat(stands.end_s, zone),
        **hosts_of(stands),
        "ledger": stands.record,
        "direction": stands.direction,
        "cap_bytes": stands.cap_bytes,
        "rolled_over_bytes": stands.rolled_over_bytes,
        "limit_bytes": stands.limit_bytes,
        "used_bytes": stands.used_bytes,
        "left_bytes": stands.left_bytes,
        "share": stands.share,
        "elapsed_share": stands.elapsed_share,
        "pace_bytes": stands.pace_bytes,
        "days_left": stands.days_left,
        "allowance_bytes": stands.allowance_bytes,
        "counted_bytes": stands.counted_bytes,
        "free_bytes": stands.free_bytes,
        "lan_bytes": stands.lan_bytes,
        "zero_rated_bytes": stands.zero_rated_bytes,
        "already_used_bytes": stands.already_used_bytes,
        "estimated_bytes": stands.estimated_bytes,
        "unknown_bytes": stands.unknown_bytes,
        "record_start": isoformat(stands.record_s, zone),
        "thresholds": list(stands.thresholds),
        "reached": list(stands.reached),
        **_forecast(outlook, zone),
        "days_are_split": stands.splits_days,
        "days": [
            {"start": isoformat(start_s, zone), "used_bytes": used} for start_s, used in used_by_day(stands)
        ],
        "ahead": [
            {"end": isoformat(at_s, zone), "used_bytes": middle, "low_bytes": low, "high_bytes": high}
            for at_s, middle, low, high in ahead_by_day(outlook, stands, zone)
        ],
    }


def _forecast(outlook: Outlook | None, zone: tzinfo) -> dict[str, Any]:
    def time(at_s: int | None) -> str | None:
        return None if at_s is None else isoformat(at_s, zone)

    return {
        "forecast_method": outlook.method if outlook else None,
        "forecast_days": outlook.days if outlook else None,
        "forecast_bytes": outlook.used_bytes if outlook else None,
        "forecast_low_bytes": outlook.low_bytes if outlook else None,
        "forecast_high_bytes": outlook.high_bytes if outlook else None,
        "exhausted": time(outlook.exhausted_s) if outlook else None,
        "exhausted_earliest": time(outlook.earliest_s) if outlook else None,
        "exhausted_latest": time(outlook.latest_s) if outlook else None,
    }


def used_by_day(stands: Standing) -> list[tuple[int, int]]:
    """When each day of the cycle that has begun starts, UTC seconds, and what was used until its end, in all."""
    begun = [day for day in stands.days if day.start_s <= stands.now_s]
    used = accumulate((day.used for day in begun), initial=stands.already_used_bytes)
    next(used)
    return [(day.start_s, number) for day, number in zip(begun, used, strict=True)]


def ahead_by_day(
    outlook: Outlook | None, stands: Standing, zone: tzinfo
) -> Iterator[tuple[int, int, int | None, int | None]]:
    """The end of each day that is not over, UTC seconds, and what will have been used by then: middle, low, high."""
    if outlook is None:
        return
    ends = {day.end_s for day in periods(PeriodKind.DAY, stands.now_s, stands.end_s, zone)}
    for step in outlook.steps:
        if step.at_s in ends:
            yield step


def configured(found: Sequence[PlanSettings], origins: Mapping[str, str]) -> Document:
    """The plans of the configuration, and where each is written."""
    columns = [
        Column("plan", "Plan"),
        Column("cap", "Cap"),
        Column("direction", "Direction"),
        Column("cycle", "Cycle"),
        Column("interfaces", "Interfaces"),
        Column("hosts", "Hosts"),
        Column("origin", "Written in"),
    ]
    rows = (
        {
            "plan": one.name,
            "cap": one.cap,
            "cap_bytes": one.cap_bytes,
            "direction": one.direction,
            "cycle": cycle_words(one),
            "interfaces": " ".join(one.interfaces) or "total",
            "hosts": hosts_words(one.hosts, one.labels) if one.is_of_hosts else "this machine",
            "host_filter": list(one.hosts),
            "label_filter": list(one.labels),
            "origin": origins[f"plan.{one.name}"],
        }
        for one in found
    )
    return Document({"report": "plan-list"}, columns, rows)


def cycle_words(plan: PlanSettings) -> str:
    """When a new cycle begins, for people."""
    if plan.cycle_days:
        return f"{plan.cycle_days} days from {plan.start}"
    begun = f" from {plan.start}" if plan.start else ""
    return (f"month, day {plan.day}" if plan.cycle == "month" else f"week, {plan.weekday}") + begun
