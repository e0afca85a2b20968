"""Whose bytes they were: by application, user, unit ..., and for each interface the account that adds up."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from netusage.errors import NoDataError, UsageError
from netusage.ledger.answers import InterfaceRecord, ShareRecord
from netusage.model import QUARTER_S, SCOPE_AT_HOME, ZERO, Counters, Who
from netusage.periods import Period, refuse_reversed
from netusage.reports import selection
from netusage.reports.usage import DEFAULT_COUNTS, Question, ReportKind, asked_periods

if TYPE_CHECKING:
    from netusage.reports.record import Record
    from netusage.reports.selection import Overrides, Series

SCOPES = ("loopback", "LAN", "link-local and multicast", "internet")
PROTOCOLS = {1: "ICMP", 2: "IGMP", 6: "TCP", 17: "UDP", 47: "GRE", 50: "ESP", 58: "ICMPv6", 132: "SCTP"}
NOBODY = {
    "kernel": "the kernel itself",
    "forwarded": "forwarded",
    "unnamed": "without a name",
    "other": "other applications",
}
REST = "unattributed"
TWICE = "delivered twice"
AT_HOME = (
    "kept at home"  # an application, or how far away the other end was, that a host does not tell the fleet
)
# what the kernel sends by itself, by protocol
_OF_THE_KERNEL = {0: "ARP and the like", 6: "beginnings and ends of TCP connections"}


class Row(NamedTuple):
    """What one of those had that were asked for.

    values: by what it was asked: as many words as dimensions.
    counters: as the interfaces count.
    share: its part of all bytes, 0 to 1, of its own interface's where interfaces are told apart; None when there were
        none.
    """

    values: tuple[str, ...]
    counters: Counters
    share: float | None


class Others(NamedTuple):
    """Rows that are not told one by one: how many there are, and what they had together."""

    number: int
    counters: Counters


class PeriodRow(NamedTuple):
    """A `Row` of one period, UTC seconds."""

    start_s: int
    end_s: int
    values: tuple[str, ...]
    counters: Counters
    share: float | None


class Periods(NamedTuple):
    """Rows of periods; the first one's start and the last one's end, UTC seconds.

    has_days: some of it is known by days only, and stands where each day begins, though periods are shorter.
    """

    rows: list[PeriodRow]
    start_s: int
    end_s: int
    has_days: bool


class Account(NamedTuple):
    """The bytes of one interface: the lines add up to `total`, whatever they are.

    host: whose it is, where the record is one of several hosts; "" otherwise.
    lines: what had them, and how many; the last one is the rest, or, where sockets were given more than the interface
        counted, what of it was delivered twice, as a negative number.
    """

    interface: str
    total: Counters
    lines: list[tuple[str, Counters]]
    host: str = ""


def name_of(who: Who) -> str:
    """What a person calls an application, or that which is none."""
    return (who.name or AT_HOME) if who.kind == "application" else NOBODY[who.kind]


def share_of(counters: Counters, total: Counters) -> float | None:
    """The part of all bytes, 0 to 1; None when there are none."""
    return _bytes(counters) / _bytes(total) if _bytes(total) else None


def _name(row: ShareRecord) -> str:
    if row.who.kind == "kernel":
        return f"kernel: {row.who.name or _OF_THE_KERNEL.get(row.protocol) or _protocol(row.protocol)}"
    return name_of(row.who)


def _scope(number: int) -> str:
    if number == SCOPE_AT_HOME:
        return AT_HOME
    return SCOPES[number] if number < len(SCOPES) else str(number)


def _protocol(number: int) -> str:
    return PROTOCOLS.get(number, f"IP protocol {number}") if number else "other"


# What a row is called in each dimension of its own; of which interface and host it is, is known beside it.
WORDS: dict[str, Callable[[ShareRecord], str]] = {
    "application": _name,
    "path": lambda row: row.who.path,
    "user": lambda row: row.who.user,
    "unit": lambda row: row.who.unit,
    "container": lambda row: row.who.container,
    "pod": lambda row: row.who.pod,
    "scope": lambda row: _scope(row.scope),
    "protocol": lambda row: _protocol(row.protocol),
    "family": lambda row: f"IPv{row.family}" if row.family else "other",
}
DIMENSIONS = (*WORDS, "interface", "host")
# What a word is made of: fields of `Who`, and scope, protocol and family.
_FIELDS = {one: (one,) for one in WORDS} | {"application": ("kind", "name", "protocol")}


def whole_quarters(since_s: int, until_s: int) -> Period:
    """The quarters of an hour that cover [since, until), UTC seconds: what is recorded of applications.

    Raises:
        UsageError: it ends before it begins.
    """
    refuse_reversed(since_s, until_s)
    return Period(since_s // QUARTER_S * QUARTER_S, -(-until_s // QUARTER_S) * QUARTER_S)


def applications(
    reader: Record,
    period: Period,
    by: Sequence[str],
    overrides: Overrides,
    patterns: Sequence[str] = (),
) -> list[Row]:
    """What was used by whom, the most first; the rest is what no application is known of.

    Args:
        reader: the ledger.
        period: whole quarters of an hour.
        by: of `DIMENSIONS`.
        overrides: what the configuration says of the machine's total.
        patterns: of interface names; none is the machine's total, or every interface where they are told apart.

    Raises:
        NoDataError: nothing is recorded of applications then, or a pattern matches nothing.
    """
    (rows,), _ = _told_apart(reader, list(period), by, overrides, patterns)
    return rows


def busiest(rows: Sequence[Row], limit: int) -> tuple[Sequence[Row], Others]:
    """The first `limit` rows of `applications`, and the others."""
    others = rows[limit:]
    return rows[:limit], Others(len(others), _sum(row.counters for row in others))


def by_period(reader: Record, question: Question, by: Sequence[str]) -> Periods:
    """The same in every period, by period; for `top`, the busiest rows of all days, the busiest first.

    Args:
        reader: the ledger.
        question: periods and interfaces; what it says of rates is of no concern.
        by: of `DIMENSIONS`.

    Raises:
        NoDataError: nothing is recorded of applications then, or a pattern matches nothing.
        UsageError: the question makes no sense, or asks for less than quarters of an hour.
    """
    if question.kind in (ReportKind.MINUTE, ReportKind.FIVE_MINUTES):
        raise UsageError(
            f"there is no {question.kind} of applications: they are recorded by quarters of an hour",
            hint="use hour or longer",
        )
    spans = [
        Period(start_s // QUARTER_S * QUARTER_S, -(-end_s // QUARTER_S) * QUARTER_S)
        for start_s, end_s in asked_periods(reader, question)
    ]
    edges = [span.start_s for span in spans] + [spans[-1].end_s]
    found, longest = _told_apart(reader, edges, by, question.overrides, question.patterns)
    rows = [
        PeriodRow(span.start_s, span.end_s, row.values, row.counters, row.share)
        for span, own in zip(spans, found, strict=True)
        for row in own
    ]
    if question.kind is ReportKind.TOP:
        rows.sort(key=lambda row: -_bytes(row.counters))
        rows = rows[: question.limit or DEFAULT_COUNTS[question.kind]]
    has_days = question.kind is ReportKind.HOUR and longest > QUARTER_S
    return Periods(rows, edges[0], edges[-1], has_days)


def _told_apart(
    reader: Record,
    edges: Sequence[int],
    by: Sequence[str],
    overrides: Overrides,
    patterns: Sequence[str],
) -> tuple[list[list[Row]], int]:
    """The rows of each period between two edges, and the longest stretch of which no more is known, in seconds."""
    interfaces = reader.interfaces(totals=False)
    series = _series(interfaces, by, overrides, patterns)
    groups = [one.ids for one in series]
    shares = reader.shares_by_period(groups, edges, fields(by))
    longest = max((record.seconds for own in shares for part in own for record in part), default=0)
    if not longest and not _has_shares(reader, interfaces, edges):
        raise _nothing_recorded()
    usage = reader.usage(groups, edges)
    found = []
    for n in range(len(edges) - 1):
        rows: list[Row] = []
        for one, own, counted in zip(series, shares, usage, strict=True):
            rows += _rows(own[n], Counters(*counted[n][:4]), by, one)
        rows.sort(key=lambda row: (-_bytes(row.counters), row.values))
        found.append(rows)
    return found, longest


def _series(
    interfaces: Sequence[InterfaceRecord], by: Collection[str], overrides: Overrides, patterns: Sequence[str]
) -> list[Series]:
    """What is told apart by interface and host."""
    by_host = "host" in by
    if "interface" in by:
        return selection.by_name(interfaces, patterns or ("*",), by_host=by_host)
    if not patterns:
        if by_host:
            return selection.machines(interfaces, overrides)
        return [selection.machine(interfaces, overrides)]
    together: dict[str, list[int]] = {}
    for one in selection.by_name(interfaces, patterns, by_host=by_host):
        together.setdefault(one.host, []).extend(one.ids)
    return [selection.Series(None, tuple(sorted(ids)), host) for host, ids in together.items()]


def _has_shares(reader: Record, interfaces: Sequence[InterfaceRecord], edges: Sequence[int]) -> bool:
    """Whether anything is recorded of applications between the first and the last edge, of any interface."""
    ((records,),) = reader.shares_by_period([[one.id for one in interfaces]], [edges[0], edges[-1]])
    return bool(records)


def fields(by: Iterable[str]) -> frozenset[str]:
    """What a record has to tell apart for these dimensions, see `Record.shares_by_period`."""
    return frozenset(field for one in by for field in _FIELDS.get(one, ()))


def _rows(records: Sequence[ShareRecord], total: Counters, by: Sequence[str], series: Series) -> list[Row]:
    """Rows that add up to a total, the rest among them."""
    own = {"interface": series.name or "", "host": series.host}
    sums: dict[tuple[str, ...], Counters] = {}
    for record in records:
        key = tuple(_word(record, one, own) for one in by)
        sums[key] = sums.get(key, ZERO).plus(record.counters)
    rest = total.minus(_sum(record.counters for record in records))
    if not rest.is_zero:
        known = own | {"application": REST}
        key = tuple(known.get(one, "") for one in by)
        sums[key] = sums.get(key, ZERO).plus(rest)
    return [Row(key, counters, share_of(counters, total)) for key, counters in sums.items()]


def _word(record: ShareRecord, dimension: str, own: Mapping[str, str]) -> str:
    return WORDS[dimension](record) if dimension in WORDS else own[dimension]


def reconcile(reader: Record, period: Period, patterns: Sequence[str] = ()) -> list[Account]:
    """For each interface that counted anything: applications, the kernel, what was forwarded, and the rest of it.

    Raises:
        NoDataError: as `applications`.
    """
    interfaces, edges = reader.interfaces(totals=False), list(period)
    series = selection.by_name(interfaces, patterns or ("*",), by_host=True)
    groups = [one.ids for one in series]
    shares = reader.shares_by_period(groups, edges, ("kind",))
    if not any(own for (own,) in shares) and not _has_shares(reader, interfaces, edges):
        raise _nothing_recorded()
    found = []
    for one, (own,), (counted,) in zip(series, shares, reader.usage(groups, edges), strict=True):
        total = Counters(*counted[:4])
        if total.is_zero and not own:
            continue
        lines = [
            (said, _sum(row.counters for row in own if row.who.kind == kind))
            for kind, said in (("application", "applications"), *NOBODY.items())
        ]
        lines = [line for line in lines if not line[1].is_zero]
        rest = total.minus(_sum(counters for _, counters in lines))
        lines.append((REST, Counters(*(max(number, 0) for number in rest))))
        twice = Counters(*(min(number, 0) for number in rest))
        if not twice.is_zero:
            lines.append((TWICE, twice))
        found.append(Account(str(one.name), total, lines, one.host))
    return found


def _nothing_recorded() -> NoDataError:
    return NoDataError(
        "nothing is recorded of applications in the time asked for",
        hint="what this machine can tell of them, and how to have more: netusage doctor",
    )


def _sum(parts: Iterable[Counters]) -> Counters:
    total = ZERO
    for part in parts:
        total = total.plus(part)
    return total


def _bytes(counters: Counters) -> int:
    return counters.rx_bytes + counters.tx_bytes
