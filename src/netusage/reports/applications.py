"""Whose bytes they were: by application, user, unit ..., and for each interface the account that adds up."""

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from netusage.errors import NoDataError, UsageError
from netusage.ledger.answers import ShareRecord
from netusage.ledger.reader import LedgerReader
from netusage.model import QUARTER_S, ZERO, Counters, Who
from netusage.periods import Period, refuse_reversed
from netusage.reports import selection
from netusage.reports.usage import DEFAULT_COUNTS, Question, ReportKind, asked_periods

if TYPE_CHECKING:
    from netusage.reports.selection import Overrides

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

    lines: what had them, and how many; the last one is the rest, or, where sockets were given more than the interface
        counted, what of it was delivered twice, as a negative number.
    """

    interface: str
    total: Counters
    lines: list[tuple[str, Counters]]


def name_of(who: Who) -> str:
    """What a person calls an application, or that which is none."""
    return who.name if who.kind == "application" else NOBODY[who.kind]


def share_of(counters: Counters, total: Counters) -> float | None:
    """The part of all bytes, 0 to 1; None when there are none."""
    return _bytes(counters) / _bytes(total) if _bytes(total) else None


def _name(row: ShareRecord) -> str:
    if row.who.kind == "kernel":
        return f"kernel: {row.who.name or _OF_THE_KERNEL.get(row.protocol) or _protocol(row.protocol)}"
    return name_of(row.who)


def _protocol(number: int) -> str:
    return PROTOCOLS.get(number, f"IP protocol {number}") if number else "other"


DIMENSIONS: dict[str, Callable[[ShareRecord, dict[int, str]], str]] = {
    "application": lambda row, _: _name(row),
    "path": lambda row, _: row.who.path,
    "user": lambda row, _: row.who.user,
    "unit": lambda row, _: row.who.unit,
    "container": lambda row, _: row.who.container,
    "pod": lambda row, _: row.who.pod,
    "scope": lambda row, _: SCOPES[row.scope] if row.scope < len(SCOPES) else str(row.scope),
    "protocol": lambda row, _: _protocol(row.protocol),
    "family": lambda row, _: f"IPv{row.family}" if row.family else "other",
    "interface": lambda row, names: names[row.interface_id],
}


def whole_quarters(since_s: int, until_s: int) -> Period:
    """The quarters of an hour that cover [since, until), UTC seconds: what is recorded of applications.

    Raises:
        UsageError: it ends before it begins.
    """
    refuse_reversed(since_s, until_s)
    return Period(since_s // QUARTER_S * QUARTER_S, -(-until_s // QUARTER_S) * QUARTER_S)


def applications(
    reader: LedgerReader,
    period: Period,
    by: Sequence[str],
    overrides: "Overrides",
    patterns: Sequence[str] = (),
) -> list[Row]:
    """What was used by whom, the most first; the rest is what no application is known of.

    Args:
        reader: the ledger.
        period: whole quarters of an hour.
        by: keys of `DIMENSIONS`.
        overrides: what the configuration says of the machine's total.
        patterns: of interface names; none is the machine's total, or every interface where they are told apart.

    Raises:
        NoDataError: nothing is recorded of applications then, or a pattern matches nothing.
    """
    (rows,), _ = _told_apart(reader, list(period), by, overrides, patterns)
    return rows


def by_period(reader: LedgerReader, question: Question, by: Sequence[str]) -> Periods:
    """The same in every period, by period; for `top`, the busiest rows of all days, the busiest first.

    Args:
        reader: the ledger.
        question: periods and interfaces; what it says of rates is of no concern.
        by: keys of `DIMENSIONS`.

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
    reader: LedgerReader,
    edges: Sequence[int],
    by: Sequence[str],
    overrides: "Overrides",
    patterns: Sequence[str],
) -> tuple[list[list[Row]], int]:
    """The rows of each period between two edges, and the longest stretch of which no more is known, in seconds."""
    interfaces = reader.interfaces()
    names = {one.id: one.name for one in interfaces}
    apart = "interface" in by
    if patterns or apart:
        series = selection.by_name(interfaces, patterns or ("*",))
    else:
        series = [selection.machine(interfaces, overrides)]
    if not apart:
        series = [selection.Series(None, tuple(sorted({number for one in series for number in one.ids})))]
    shares = reader.shares_by_period(edges)
    if not any(shares):
        raise _nothing_recorded()
    usage = reader.usage([one.ids for one in series], edges)
    found = []
    for n, records in enumerate(shares):
        rows: list[Row] = []
        for one, counted in zip(series, usage, strict=True):
            total = Counters(*counted[n][:4])
            own = [row for row in records if row.interface_id in one.ids]
            rows += _rows(own, total, by, names, one.name)
        rows.sort(key=lambda row: (-_bytes(row.counters), row.values))
        found.append(rows)
    return found, max(record.seconds for records in shares for record in records)


def _rows(
    records: Sequence[ShareRecord],
    total: Counters,
    by: Sequence[str],
    names: dict[int, str],
    interface: str | None,
) -> list[Row]:
    """Rows that add up to a total, the rest among them."""
    sums: dict[tuple[str, ...], Counters] = {}
    for record in records:
        key = tuple(DIMENSIONS[one](record, names) for one in by)
        sums[key] = sums.get(key, ZERO).plus(record.counters)
    rest = total.minus(_sum(record.counters for record in records))
    if not rest.is_zero:
        known = {"application": REST, "interface": interface or ""}
        key = tuple(known.get(one, "") for one in by)
        sums[key] = sums.get(key, ZERO).plus(rest)
    return [Row(key, counters, share_of(counters, total)) for key, counters in sums.items()]


def reconcile(reader: LedgerReader, period: Period, patterns: Sequence[str] = ()) -> list[Account]:
    """For each interface that counted anything: applications, the kernel, what was forwarded, and the rest of it.

    Raises:
        NoDataError: as `applications`.
    """
    interfaces = reader.interfaces()
    shares = _shares(reader, period)
    found = []
    for one in selection.by_name(interfaces, patterns or ("*",)):
        total = _usage(reader, one.ids, period)
        own = [row for row in shares if row.interface_id in one.ids]
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
        found.append(Account(str(one.name), total, lines))
    return found


def _shares(reader: LedgerReader, period: Period) -> list[ShareRecord]:
    shares = reader.shares(*period)
    if not shares:
        raise _nothing_recorded()
    return shares


def _nothing_recorded() -> NoDataError:
    return NoDataError(
        "nothing is recorded of applications in the time asked for",
        hint="what this machine can tell of them, and how to have more: netusage doctor",
    )


def _usage(reader: LedgerReader, ids: Sequence[int], period: Period) -> Counters:
    return Counters(*reader.usage([ids], list(period))[0][0][:4])


def _sum(parts: Iterable[Counters]) -> Counters:
    total = ZERO
    for part in parts:
        total = total.plus(part)
    return total


def _bytes(counters: Counters) -> int:
    return counters.rx_bytes + counters.tx_bytes
