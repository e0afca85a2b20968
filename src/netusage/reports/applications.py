"""Whose bytes they were: by application, user, unit ..., and for each interface the account that adds up."""

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from netusage.errors import NoDataError
from netusage.ledger.answers import ShareRecord
from netusage.ledger.reader import LedgerReader
from netusage.model import QUARTER_S, ZERO, Counters
from netusage.periods import Period, refuse_reversed
from netusage.reports import selection

if TYPE_CHECKING:
    from netusage.reports.selection import Overrides

SCOPES = ("loopback", "LAN", "link-local and multicast", "internet")
PROTOCOLS = {1: "ICMP", 2: "IGMP", 6: "TCP", 17: "UDP", 47: "GRE", 50: "ESP", 58: "ICMPv6", 132: "SCTP"}
NOBODY = {"kernel": "the kernel itself", "forwarded": "forwarded", "unnamed": "without a name"}
REST = "unattributed"


class Row(NamedTuple):
    """What one of those had that were asked for.

    values: by what it was asked: as many words as dimensions.
    counters: as the interfaces count.
    share: its part of all bytes, 0 to 1; None when there were none.
    """

    values: tuple[str, ...]
    counters: Counters
    share: float | None


class Account(NamedTuple):
    """The bytes of one interface: the lines add up to `total`, whatever they are.

    lines: what had them, and how many; the last one is the rest, which may be negative.
    """

    interface: str
    total: Counters
    lines: list[tuple[str, Counters]]


def _name(row: ShareRecord) -> str:
    return row.who.name if row.who.kind == "application" else NOBODY[row.who.kind]


DIMENSIONS: dict[str, Callable[[ShareRecord, dict[int, str]], str]] = {
    "application": lambda row, _: _name(row),
    "path": lambda row, _: row.who.path,
    "user": lambda row, _: row.who.user,
    "unit": lambda row, _: row.who.unit,
    "container": lambda row, _: row.who.container,
    "pod": lambda row, _: row.who.pod,
    "scope": lambda row, _: SCOPES[row.scope] if row.scope < len(SCOPES) else str(row.scope),
    "protocol": lambda row, _: (
        PROTOCOLS.get(row.protocol, f"IP protocol {row.protocol}") if row.protocol else "other"
    ),
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
        patterns: of interface names; none is the machine's total.

    Raises:
        NoDataError: nothing is recorded of applications then, or a pattern matches nothing.
    """
    interfaces = reader.interfaces()
    series = (
        selection.by_name(interfaces, patterns) if patterns else [selection.machine(interfaces, overrides)]
    )
    ids = {number for one in series for number in one.ids}
    shares = [row for row in _shares(reader, period) if row.interface_id in ids]
    names = {one.id: one.name for one in interfaces}
    sums: dict[tuple[str, ...], Counters] = {}
    for row in shares:
        key = tuple(DIMENSIONS[one](row, names) for one in by)
        sums[key] = sums.get(key, ZERO).plus(row.counters)
    total = _usage(reader, sorted(ids), period)
    rest = total.minus(_sum(row.counters for row in shares))
    if not rest.is_zero:
        key = tuple(REST if one == "application" else "" for one in by)
        sums[key] = sums.get(key, ZERO).plus(rest)
    ranked = sorted(sums.items(), key=lambda pair: (-_bytes(pair[1]), pair[0]))
    return [Row(key, counters, _part(counters, total)) for key, counters in ranked]


def reconcile(reader: LedgerReader, period: Period, patterns: Sequence[str] = ()) -> list[Account]:
    """For each interface that counted anything: applications, the kernel, what was forwarded, and the rest.

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
        found.append(Account(str(one.name), total, [*lines, (REST, rest)]))
    return found


def _shares(reader: LedgerReader, period: Period) -> list[ShareRecord]:
    shares = reader.shares(*period)
    if not shares:
        raise NoDataError(
            "nothing is recorded of applications in the time asked for",
            hint="record them with: netusage daemon --applications (Linux, as root)",
        )
    return shares


def _usage(reader: LedgerReader, ids: Sequence[int], period: Period) -> Counters:
    return Counters(*reader.usage([ids], list(period))[0][0][:4])


def _sum(parts: Iterable[Counters]) -> Counters:
    total = ZERO
    for part in parts:
        total = total.plus(part)
    return total


def _bytes(counters: Counters) -> int:
    return counters.rx_bytes + counters.tx_bytes


def _part(counters: Counters, total: Counters) -> float | None:
    return _bytes(counters) / _bytes(total) if _bytes(total) else None
