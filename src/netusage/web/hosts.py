"""Several hosts as the web server asks them: a fleet, or ledgers that were merged into one; whoever keeps them."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from datetime import tzinfo
from typing import TYPE_CHECKING, Any, NamedTuple

from netusage.errors import NetusageError, NoDataError
from netusage.model import US
from netusage.periods import Period, PeriodKind, isoformat, periods
from netusage.render.columns import Column
from netusage.render.documents import Document
from netusage.reports.of_hosts import OfHosts
from netusage.reports.plans import of_machine
from netusage.reports.selection import machine, machines
from netusage.reports.shares import AskedShares
from netusage.settings.schema import PlanSettings, Settings
from netusage.web.ledger import Answers, Asked

if TYPE_CHECKING:
    from netusage.reports.chosen import Choice
    from netusage.reports.record import Record
    from netusage.reports.selection import Overrides
    from netusage.reports.shares import Shares

_LOOK_AGAIN_S = 10  # at when hosts were heard of
_MOST_NAMES = 5
_COLUMNS = [
    Column("host", "Host"),
    Column("rx_bytes", "Received", "bytes"),
    Column("tx_bytes", "Sent", "bytes"),
    Column("both", "Total", "bytes"),
    Column("share", "Share", "share"),
    Column("heard", "Heard of", "time"),
    Column("until", "Known until", "time"),
]


class Heard(NamedTuple):
    """A host, and how far it is known.

    name: as the record calls it.
    heard_us: when it was heard of last, UTC microseconds: when it delivered, or its ledger was merged.
    until_s: what it counted before this time is there, UTC seconds.
    """

    name: str
    heard_us: int
    until_s: int


class Source(NamedTuple):
    """Where the record of several hosts is.

    kind: "fleet", or "merged" where ledgers were merged into one.
    name: what people call it, as in "the fleet https://fleet.example.org".
    open: the record, for one question at a time in each of several threads.
    heard: the hosts of such a record.
    of_plan: the record of a plan that says itself which hosts of the fleet it is about; None where there is no fleet.
    """

    kind: str
    name: str
    open: Callable[[], AbstractContextManager[Record]]
    heard: Callable[[Record], Sequence[Heard]]
    of_plan: Callable[[PlanSettings], Record] | None = None


class Hosts(Answers):
    """Answers questions about several hosts; nobody tells when something of theirs arrives.

    Args:
        source: where they are.
    """

    def __init__(self, source: Source) -> None:
        super().__init__()
        self.source = source
        self._looking = threading.Lock()
        self._looked_at = float("-inf")
        self._known: Sequence[Heard] = ()

    @contextlib.contextmanager
    def _opened(self) -> Iterator[tuple[Record, Shares]]:
        with self.source.open() as reader:
            yield reader, AskedShares(reader)

    def of_plans(self, reader: Record) -> Callable[[PlanSettings], Record]:
        """Whom to ask about plans, for `plans.answers`: of the fleet those that say so, otherwise all hosts together."""
        of_plan = self.source.of_plan
        if of_plan is None:
            return of_machine(reader)
        return lambda plan: of_plan(plan) if plan.is_of_hosts else reader

    def heard(self, reader: Record) -> Sequence[Heard]:
        """The hosts of the record, looked up every ten seconds at the most.

        Raises:
            NetusageError: they cannot be told.
        """
        with self._looking:
            if time.monotonic() - self._looked_at > _LOOK_AGAIN_S:
                self._known = self.source.heard(reader)
                self._looked_at = time.monotonic()
            return self._known


def only(asked: Asked, chosen: Sequence[str]) -> Asked:
    """What a question about some hosts is asked of; without any it is about all."""
    if not chosen:
        return asked
    reader = OfHosts(asked.reader, chosen)
    return Asked(reader, AskedShares(reader), asked.now_s)


def untold(
    heard: Sequence[Heard], choice: Choice, end_s: int, now_s: int, settings: Settings
) -> dict[str, Any]:
    """How far the chosen hosts have told what they counted before a time, UTC seconds; and who is far behind the others.

    What any host may still have at home, because it tells every now and then, makes nobody late.
    """
    own = [one for one in heard if choice.is_of(one.name)]
    limit_s = min(end_s, now_s - settings.fleet.at_home_us // US)
    late = sorted((one.until_s, one.name) for one in own if one.until_s < limit_s)
    others = [one.until_s for one in own if one.until_s >= limit_s]
    return {
        "count": len(own),
        "known_until_s": min(*others, end_s) if others else None,
        "behind": len(late),
        "behind_until_s": late[0][0] if late else None,
        "names": [name for _, name in late[:_MOST_NAMES]],
    }


def now_of(asked: Asked, hosts: Hosts, settings: Settings, zone: tzinfo) -> dict[str, Any]:
    """The present of hosts that tell now and then: today and this month as far as they have told, and who told when."""
    reader, heard = asked.reader, hosts.heard(asked.reader)
    ids = machine(reader.interfaces(totals=False), settings.interfaces).ids
    extent = reader.extent()
    known_until_s = max((one.until_s for one in heard), default=0)
    found: dict[str, Any] = {}
    for name, kind in (("today", PeriodKind.DAY), ("month", PeriodKind.MONTH)):
        billing_day = settings.report.billing_day
        (period,) = periods(kind, asked.now_s, asked.now_s + 1, zone, billing_day=billing_day)
        found[name] = None
        if known_until_s > period.start_s:
            ((usage,),) = reader.usage([ids], list(period), packets=False)
            found[name] = {
                "start": isoformat(period.start_s, zone),
                "rx_bytes": usage.rx_bytes,
                "tx_bytes": usage.tx_bytes,
            }
    by_time = sorted(heard, key=lambda one: (one.heard_us, one.name))
    return _now(hosts, asked.now_s, zone) | {
        **found,
        "record": {"start_s": extent[0], "end_s": extent[1]} if extent else None,
        "count": len(heard),
        "last": _one(by_time[-1], zone) if by_time else None,
        "first": _one(by_time[0], zone) if by_time else None,
        "behind": sum(one.until_s < asked.now_s - settings.fleet.at_home_us // US for one in heard),
    }


def unknown_now(hosts: Hosts, now_s: int, zone: tzinfo, error: NetusageError) -> dict[str, Any]:
    """The same where hosts cannot be asked, or there are none: why, and nothing else."""
    count = 0 if isinstance(error, NoDataError) else None
    return _now(hosts, now_s, zone) | {"trouble": error.message, "hint": error.hint, "count": count}


def _now(hosts: Hosts, now_s: int, zone: tzinfo) -> dict[str, Any]:
    return {
        "at": isoformat(now_s, zone),
        "at_s": now_s,
        "hosts": hosts.source.kind,
        "name": hosts.source.name,
        "trouble": "",
        "hint": "",
        **dict.fromkeys(("today", "month", "record", "count", "last", "first", "behind")),
    }


def _one(host: Heard, zone: tzinfo) -> dict[str, str]:
    return {"host": host.name, "heard": isoformat(host.heard_us // US, zone)}


def of_each(asked: Asked, hosts: Hosts, period: Period, overrides: Overrides, zone: tzinfo) -> Document:
    """What each host used in whole quarters of an hour, the busiest first, and how far it is known."""
    reader = asked.reader
    heard = {one.name: one for one in hosts.heard(reader)}
    series = machines(reader.interfaces(totals=False), overrides)
    usages = reader.usage([one.ids for one in series], list(period), packets=False)
    total = sum(usage.total_bytes for (usage,) in usages)
    rows: list[dict[str, Any]] = [
        {
            "host": one.host,
            "rx_bytes": usage.rx_bytes,
            "tx_bytes": usage.tx_bytes,
            "both": usage.total_bytes,
            "share": usage.total_bytes / total if total else None,
            "heard": isoformat(heard[one.host].heard_us // US, zone) if one.host in heard else None,
            "until": isoformat(heard[one.host].until_s, zone) if one.host in heard else None,
        }
        for one, (usage,) in zip(series, usages, strict=True)
    ]
    rows.sort(key=lambda row: -row["both"])
    envelope = {
        "report": "hosts",
        "timezone": str(zone),
        "start": isoformat(period.start_s, zone),
        "end": isoformat(period.end_s, zone),
        "ledger": reader.path,
    }
    return Document(envelope, _COLUMNS, rows)
