"""What programs read of each report: an envelope, columns and rows, the same from the command line and from the API.

Bytes are integers, times ISO 8601 with offset. Columns are those of CSV and TSV, and of tables for people where those
have no other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import tzinfo
from functools import lru_cache

from netusage.model import US
from netusage.periods import isoformat
from netusage.records import NamedTuple
from netusage.render.columns import Column

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from netusage.ledger.alert_log import Entry
    from netusage.ledger.answers import VersionRecord
    from netusage.model import Counters
    from netusage.periods import Period
    from netusage.reports.applications import Account, Others, Periods
    from netusage.reports.applications import Row as ShareRow
    from netusage.reports.hosts import HostRow
    from netusage.reports.interfaces import InterfaceRow
    from netusage.reports.record import Record
    from netusage.reports.summary import GapSum, Summary, SummaryRow
    from netusage.reports.summary_hosts import HostsSummary
    from netusage.reports.usage import NamedPeak, Question, UsageReport

_WAYS = ("rx", "tx")
_USAGE = (
    "rx_bytes",
    "tx_bytes",
    "rx_packets",
    "tx_packets",
    "estimated_rx_bytes",
    "estimated_tx_bytes",
)
_HOST = Column("host", "Host")  # in records of several
_EXPLAINED = {
    "applications": "each by name: netusage apps --by application",
    "the kernel itself": "ARP, ICMP, resets, and what sockets of the kernel send",
    "forwarded": "came in at another interface and was sent on",
    "without a name": "a socket whose process could not be told",
    "other applications": "each had too little of its day to be kept apart: recorder.other_below_ppm",
    "unattributed": "reached no socket, or was counted before applications were recorded",
    "delivered twice": "as multicast to two receivers; or read a moment apart from the interface",
}


class Document(NamedTuple):
    """A report as programs read it; rows are made while they are read, once.

    envelope: what JSON says beside the rows, "report" first.
    """

    envelope: dict[str, Any]
    columns: list[Column]
    rows: Iterable[dict[str, Any]]


class About(NamedTuple):
    """What an envelope says of a stretch of time.

    period: [start, end) in UTC seconds. tiers: how applications were told apart, the present way last.
    interfaces: patterns of names that were asked for. by: what was told apart. ledger: the file.
    """

    report: str
    zone: tzinfo
    period: Period
    tiers: Sequence[str]
    ledger: str
    interfaces: Sequence[str] = ()
    by: Sequence[str] = ()

    def envelope(self, **more: Any) -> dict[str, Any]:
        """The envelope, with more in it."""
        return {
            "report": self.report,
            "timezone": str(self.zone),
            "start": isoformat(self.period.start_s, self.zone),
            "end": isoformat(self.period.end_s, self.zone),
            "interface_filter": list(self.interfaces),
            **({"by": list(self.by)} if self.by else {}),
            **more,
            "tiers": list(self.tiers),
            "ledger": self.ledger,
        }


def tiers(reader: Record, since_s: int, until_s: int) -> list[str]:
    """How applications were told apart in [since, until), UTC seconds; the present way last."""
    return [tier or "interfaces" for tier in reader.tiers(since_s * US, until_s * US)]


# ---- Usage by period --------------------------------------------------------------------------------------------


def usage(answer: UsageReport, told: Sequence[str], ledger: str) -> Document:
    """Usage by period, of the machine or of interfaces."""
    question = answer.question
    columns = [
        Column("start", "Start", "time"),
        Column("end", "End", "time"),
        *([_HOST] if question.by_host else []),
        Column("interface", "Interface"),
    ]
    columns += [Column(key, key, "int") for key in _USAGE]
    if question.peak:
        keys = ["bytes_per_second", "at", "within_seconds", "interface"]
        keys += ["host"] if answer.of_hosts else []
        columns += [Column(f"peak_{way}_{key}", key) for way in _WAYS for key in keys]
    if question.percentile is not None:
        keys = ["", "_rx_bytes_per_second", "_tx_bytes_per_second", "_bucket_seconds"]
        columns += [Column(f"percentile{key}", key) for key in keys]
    about = _of_periods(question, answer.start_s, answer.end_s, told, ledger)
    return Document(about, columns, _usage_rows(answer))


def _of_periods(
    question: Question, start_s: int, end_s: int, told: Sequence[str], ledger: str, **more: Any
) -> dict[str, Any]:
    return {
        "report": question.kind.value,
        "timezone": str(question.zone),
        "start": isoformat(start_s, question.zone),
        "end": isoformat(end_s, question.zone),
        "interface_filter": list(question.patterns),
        "billing_day": question.billing_day,
        "tiers": list(told),
        "ledger": ledger,
        **more,
    }


def _usage_rows(answer: UsageReport) -> Iterator[dict[str, Any]]:
    question = answer.question
    time = _times(question.zone)
    for row in answer.rows:
        found: dict[str, Any] = {
            "start": time(row.start_s),
            "end": time(row.end_s),
            **({"host": row.host} if question.by_host else {}),
            "interface": row.interface,
            **row.usage._asdict(),
        }
        if question.peak:
            for way, peak in zip(_WAYS, (row.rx_peak, row.tx_peak), strict=True):
                found |= _peak(f"peak_{way}", peak, time)
                if answer.of_hosts:
                    found[f"peak_{way}_host"] = peak.host if peak else None
        if question.percentile is not None and row.percentile is not None:
            found["percentile"] = percent(question.percentile)
            found["percentile_rx_bytes_per_second"] = row.percentile.rx
            found["percentile_tx_bytes_per_second"] = row.percentile.tx
            found["percentile_bucket_seconds"] = row.percentile.width_s
        yield found


def _times(zone: tzinfo) -> Callable[[int], str]:
    """`isoformat` in a zone; where one period ends the next begins, so each is asked for twice."""
    return lru_cache(maxsize=8)(lambda at_s: isoformat(at_s, zone))


def _peak(key: str, peak: NamedPeak | None, time: Callable[[int], str]) -> dict[str, Any]:
    return {
        f"{key}_bytes_per_second": peak.rate if peak else None,
        f"{key}_at": time(peak.at_s) if peak else None,
        f"{key}_within_seconds": peak.width_s if peak else None,
        f"{key}_interface": peak.interface if peak else None,
    }


def percent(thousandths: int) -> int | float:
    """A percentile as people write it."""
    return thousandths / 1000 if thousandths % 1000 else thousandths // 1000


# ---- By application ---------------------------------------------------------------------------------------------


def share_columns(by: Sequence[str], shown: Iterable[str]) -> list[Column]:
    """Columns of what is told apart, and of what each had; tables have those that are shown."""
    return [
        *(Column(one, one.capitalize(), table=one in shown) for one in by),
        Column("rx_bytes", "Received", "bytes"),
        Column("tx_bytes", "Sent", "bytes"),
        Column("both", "Total", "bytes"),
        Column("share", "Share", "share"),
    ]


def share_row(
    by: Sequence[str], values: Sequence[str], counters: Counters, share: float | None
) -> dict[str, Any]:
    """What one of them had."""
    return (
        dict(zip(by, values, strict=True))
        | counters._asdict()
        | {"both": counters.rx_bytes + counters.tx_bytes, "share": share}
    )


def applications(
    rows: Iterable[ShareRow], about: About, shown: Iterable[str], others: Others | None = None
) -> Document:
    """What applications, users ... had.

    Args:
        rows: those that are told.
        about: the question.
        shown: the dimensions that a table has.
        others: where there was a limit, the rows that it left out.
    """
    found = (share_row(about.by, row.values, row.counters, row.share) for row in rows)
    more: dict[str, Any] = {}
    if others is not None:
        both = others.counters.rx_bytes + others.counters.tx_bytes
        more["others"] = {"count": others.number, **others.counters._asdict(), "both": both}
    return Document(about.envelope(**more), share_columns(about.by, shown), found)


def applications_by_period(
    answer: Periods, question: Question, by: Sequence[str], told: Sequence[str], ledger: str
) -> Document:
    """The same in every period."""
    more = {"by": list(by), "has_days": answer.has_days}
    envelope = _of_periods(question, answer.start_s, answer.end_s, told, ledger, **more)
    columns = [Column("start", "Start", "time"), Column("end", "End", "time"), *share_columns(by, by)]
    time = _times(question.zone)
    rows = (
        {"start": time(row.start_s), "end": time(row.end_s), "interface": None}
        | share_row(by, row.values, row.counters, row.share)
        for row in answer.rows
    )
    return Document(envelope, columns, rows)


def versions(seen: Sequence[VersionRecord], zone: tzinfo, ledger: str) -> Document:
    """The executables of applications: one that was replaced is another version of the same application."""
    tells_hosts = any(one.host for one in seen)
    columns = [
        *([_HOST] if tells_hosts else []),
        Column("application", "Application"),
        Column("path", "Path"),
        Column("device", "Device", "int", table=False),
        Column("inode", "Inode", "int"),
        Column("first_seen", "First seen"),
        Column("last_seen", "Last seen"),
    ]
    rows = (
        {
            **({"host": one.host} if tells_hosts else {}),
            "application": one.who.name,
            "path": one.who.path,
            "device": one.device,
            "inode": one.inode,
            "first_seen": isoformat(one.first_seen_us // US, zone),
            "last_seen": isoformat(one.last_seen_us // US, zone),
        }
        for one in seen
    )
    return Document({"report": "versions", "timezone": str(zone), "ledger": ledger}, columns, rows)


def reconciled(accounts: Sequence[Account], about: About) -> Document:
    """The account of each interface; its line "interface" is what the others add up to."""
    from netusage.reports.applications import share_of  # noqa: PLC0415  # reports of usage do without

    tells_hosts = any(account.host for account in accounts)
    columns = [
        *([_HOST] if tells_hosts else []),
        Column("interface", "Interface"),
        Column("line", "Line"),
        Column("rx_bytes", "Received", "int"),
        Column("tx_bytes", "Sent", "int"),
        Column("both", "Total", "int"),
        Column("share", "Share", "share"),
        Column("note", "Because", spare=True),
    ]
    rows = (
        {
            **({"host": account.host} if tells_hosts else {}),
            "interface": account.interface,
            "line": line,
            **counters._asdict(),
            "both": counters.rx_bytes + counters.tx_bytes,
            "share": share_of(counters, account.total),
            "note": "" if counters.is_zero else _EXPLAINED.get(line, ""),
        }
        for account in accounts
        for line, counters in [*account.lines, ("interface", account.total)]
    )
    return Document(about.envelope(), columns, rows)


# ---- Alerts -----------------------------------------------------------------------------------------------------


def alerts(entries: Iterable[Entry], zone: tzinfo, journal: str) -> Document:
    """The log of alerts, and what became of each."""
    columns = [
        Column("raised", "When", "time"),
        Column("kind", "Kind"),
        Column("subject", "What"),
        Column("delivery", "Delivery"),
        Column("text", "Text", table=False),
        Column("details", "Details", table=False),
    ]
    rows = (
        {
            "raised": isoformat(entry.alert.raised_us // US, zone),
            "kind": entry.alert.kind,
            "subject": entry.alert.subject,
            "text": entry.alert.text,
            "details": entry.alert.details,
            "only_logged": entry.alert.only_logged,
            "delivery": _became(entry),
            "deliveries": [
                {
                    "transport": one.transport,
                    "delivered": _iso(one.delivered_us, zone),
                    "failed_attempts": one.attempts,
                    "next_attempt": None if one.delivered_us else _iso(one.next_us, zone),
                    "error": one.last_error,
                }
                for one in entry.deliveries
            ],
        }
        for entry in entries
    )
    return Document({"report": "alerts", "timezone": str(zone), "journal": journal}, columns, rows)


def _became(entry: Entry) -> str:
    """What became of an alert, in a few words."""
    if entry.alert.only_logged:
        return "only logged"
    if not entry.deliveries:
        return "nobody to tell"
    waiting = [one for one in entry.deliveries if one.delivered_us is None]
    whys = [f"{one.transport}: {one.last_error}" if one.last_error else one.transport for one in waiting]
    return f"waiting for {'; '.join(whys)}" if waiting else "delivered"


def _iso(at_us: int | None, zone: tzinfo) -> str | None:
    return None if at_us is None else isoformat(at_us // US, zone)


# ---- Interfaces, and the summary --------------------------------------------------------------------------------


def interfaces(rows: Sequence[InterfaceRow], zone: tzinfo, ledger: str) -> Document:
    """Every interface, and whether it is in the machine's total and why."""
    tells_hosts = any(row.host for row in rows)
    columns = [
        *([_HOST] if tells_hosts else []),
        Column("interface", "Interface"),
        Column("kind", "Kind"),
        Column("state", "State"),
        Column("counted", "In total", "flag"),
        Column("reason", "Because"),
        Column("first_seen", "First seen", "date"),
        Column("last_seen", "Last seen", "date"),
        Column("rx_bytes", "Received", "bytes", spare=True),
        Column("tx_bytes", "Sent", "bytes", spare=True),
        Column("rx_packets", "Packets received", "int", table=False),
        Column("tx_packets", "Packets sent", "int", table=False),
    ]
    found = (
        {
            **({"host": row.host} if tells_hosts else {}),
            "interface": row.name,
            "kind": row.kind,
            "state": row.state,
            "counted": row.counted,
            "reason": row.reason,
            "first_seen": isoformat(row.first_seen_us // US, zone),
            "last_seen": isoformat(row.last_seen_us // US, zone),
            **row.totals._asdict(),
        }
        for row in rows
    )
    return Document({"report": "interfaces", "timezone": str(zone), "ledger": ledger}, columns, found)


def hosts(rows: Iterable[HostRow], zone: tzinfo, ledger: str) -> Document:
    """The books of other machines and disks: from when to when, and how much is in each."""
    columns = [
        Column("host", "Host"),
        Column("kind", "From"),
        Column("start", "Start", "date"),
        Column("end", "End", "date"),
        Column("rx_bytes", "Received", "bytes"),
        Column("tx_bytes", "Sent", "bytes"),
        Column("merged", "Merged", "date"),
    ]
    found = (
        {
            "host": row.name,
            "kind": row.kind,
            "start": None if row.start_s is None else isoformat(row.start_s, zone),
            "end": None if row.end_s is None else isoformat(row.end_s, zone),
            "rx_bytes": row.usage.rx_bytes,
            "tx_bytes": row.usage.tx_bytes,
            "merged": isoformat(row.merged_us // US, zone),
        }
        for row in rows
    )
    return Document({"report": "hosts", "timezone": str(zone), "ledger": ledger}, columns, found)


def summary(answer: Summary, zone: tzinfo, ledger: str) -> Document:
    """Today, this month, since boot and all time; the recorder and the gaps are in the envelope."""
    envelope = {
        "report": "summary",
        "timezone": str(zone),
        "ledger": ledger,
        "recorder": recorder(answer, zone),
        "gaps": _gap_sums(answer.gaps),
    }
    return _summary(envelope, answer.rows, zone)


def summary_of_hosts(answer: HostsSummary, zone: tzinfo, ledger: str, *, by_host: bool) -> Document:
    """Today, this month and all time of several hosts; how many they are and until when they are known is in the envelope."""
    until_s = answer.known_until_s.values()
    envelope = {
        "report": "summary",
        "timezone": str(zone),
        "ledger": ledger,
        "hosts": {
            "count": len(until_s),
            "known_until_earliest": isoformat(min(until_s), zone) if until_s else None,
            "known_until_latest": isoformat(max(until_s), zone) if until_s else None,
        },
        "gaps": _gap_sums(answer.gaps),
    }
    return _summary(envelope, answer.rows, zone, by_host=by_host)


def _summary(
    envelope: dict[str, Any], rows: Iterable[SummaryRow], zone: tzinfo, *, by_host: bool = False
) -> Document:
    columns = [
        Column("period", "Period"),
        Column("start", "Start", "time"),
        Column("end", "End", "time"),
        *([_HOST] if by_host else []),
        Column("interface", "Interface"),
    ]
    columns += [Column(key, key.replace("_", " "), "int" if "packets" in key else "bytes") for key in _USAGE]
    found = (
        {
            "period": row.stretch.value,
            "start": isoformat(row.start_s, zone),
            "end": isoformat(row.end_s, zone),
            **({"host": row.host or None} if by_host else {}),
            "interface": row.interface,
            **row.usage._asdict(),
        }
        for row in rows
    )
    return Document(envelope, columns, found)


def _gap_sums(gaps: Iterable[GapSum]) -> list[dict[str, Any]]:
    return [
        {
            "period": one.stretch.value,
            "count": one.number,
            "lossy": one.lossy,
            "microseconds": one.length_us,
        }
        for one in gaps
    ]


def recorder(answer: Summary, zone: tzinfo) -> dict[str, Any]:
    """Who records, and what the last recorder left."""
    run, holder = answer.recorder.last_run, answer.recorder.holder
    return {
        "running": holder is not None,
        "pid": holder.pid if holder else None,
        "source": run.source if run else None,
        "tier": (run.tier or "interfaces") if run else None,
        "started": isoformat(run.started_us // US, zone) if run else None,
        "last_commit": isoformat(run.last_us // US, zone) if run else None,
        "ended": run.ended if run else None,
    }
