"""Whose bytes a stretch of time had, by every dimension at once; all applications that ever were; what is new."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from netusage.ledger.answers import SeenRecord, VersionRecord
from netusage.model import QUARTER_S, US, Who
from netusage.periods import Period
from netusage.reports.applications import REST, TWICE, fields, name_of
from netusage.reports.chosen import Choice, word_of
from netusage.reports.coverage import length, union
from netusage.reports.selection import has_hosts
from netusage.reports.shares import Key

if TYPE_CHECKING:
    from netusage.reports.record import Record
    from netusage.reports.selection import Overrides
    from netusage.reports.shares import Shares

_OF_SHARES = ("application", "user", "unit", "container", "scope")
SHOWN = (*_OF_SHARES, "interface")
SHOWN_OF_HOSTS = ("host", *SHOWN)
Pair = tuple[int, int]  # received and sent bytes
T = TypeVar("T")
_BUSIEST = 5  # applications that are told
_QUIET_S = 86_400  # in its first day everything would be new to a ledger


class Part(NamedTuple):
    """What one of them had: its name in that dimension, bytes, and the part of all, 0 to 1, None when there were none."""

    value: str
    rx_bytes: int
    tx_bytes: int
    share: float | None

    @property
    def both(self) -> int:
        """Received and sent."""
        return self.rx_bytes + self.tx_bytes


class Others(NamedTuple):
    """Those that are not told one by one."""

    number: int
    both: int
    share: float | None


@dataclass(frozen=True, slots=True)
class Breakdown:
    """The answer.

    rx_bytes, tx_bytes: of all that is looked at.
    by: by dimension, the busiest first. In each, the parts and the others add up to the whole, with what no
        application is known of among them; only of users, units and containers those without any are left out.
    others: by dimension.
    """

    period: Period
    rx_bytes: int
    tx_bytes: int
    by: dict[str, list[Part]]
    others: dict[str, Others]


def breakdown(
    reader: Record,
    shares: Shares,
    period: Period,
    choice: Choice,
    overrides: Overrides,
    *,
    limit: int = 12,
) -> Breakdown:
    """Tell them apart, by host as well where the record is one of several hosts.

    Args:
        reader: the record.
        shares: of that record.
        period: whole quarters of an hour.
        choice: what is looked at.
        overrides: what the configuration says of the machine's total.
        limit: at most so many of each dimension.

    Raises:
        NoDataError: a pattern matches no interface, or of a chosen host there is none.
    """
    interfaces = reader.interfaces(totals=False)
    of_hosts = has_hosts(interfaces)
    ids = choice.series(interfaces, overrides).ids
    # many hosts have too many interfaces to tell them apart together with everything else
    told = shares.of(ids, fields(_OF_SHARES) | choice.fields, apart=not of_hosts)
    everybody, chosen = _chosen(told, ids, period, choice)
    counted: dict[int, Pair] = {}
    if not choice.has_shares or choice.has_rest:
        usage = reader.usage([[number] for number in ids], list(period), packets=False)
        counted = {number: (one.rx_bytes, one.tx_bytes) for number, (one,) in zip(ids, usage, strict=True)}
    places = counted
    if choice.has_shares:
        apart = everybody, chosen
        if of_hosts:
            apart = _chosen(shares.of(ids, choice.fields, apart=True), ids, period, choice)
        places = _places(counted, *apart)
    rest = _less(_sum(counted.values()), _sum(everybody.values())) if counted else (0, 0)
    rx_total, tx_total = _sum((*chosen.values(), rest))
    words = {dimension: _words(told, dimension, chosen, rest) for dimension in _OF_SHARES}
    words["interface"] = _added((one.name, places[one.id]) for one in interfaces if one.id in places)
    if of_hosts:
        words["host"] = _added((one.host, places[one.id]) for one in interfaces if one.id in places)
    by, others = {}, {}
    for dimension in SHOWN_OF_HOSTS if of_hosts else SHOWN:
        by[dimension], others[dimension] = _most(words[dimension], rx_total + tx_total, limit)
    return Breakdown(period, rx_total, tx_total, by, others)


def _chosen(
    told: Shares, ids: tuple[int, ...], period: Period, choice: Choice
) -> tuple[dict[Key, Pair], dict[Key, Pair]]:
    """What everybody had on these interfaces, and of it what is looked at."""
    everybody = told.sums(*period, Choice().wanted(told, ids))
    if not choice.has_shares:
        return everybody, everybody
    wanted = choice.wanted(told, ids)
    return everybody, {key: pair for key, pair in everybody.items() if wanted(key)}


def _places(counted: dict[int, Pair], everybody: dict[Key, Pair], chosen: dict[Key, Pair]) -> dict[int, Pair]:
    """By interface, what is looked at, and what no application is known of where interfaces were counted."""
    pairs = [*counted.items(), *((key.interface, pair) for key, pair in chosen.items())]
    if counted:
        pairs += [(key.interface, (-rx, -tx)) for key, (rx, tx) in everybody.items()]
    return _added(pairs)


def _words(told: Shares, dimension: str, chosen: dict[Key, Pair], rest: Pair) -> dict[str, Pair]:
    """What there is of each word of a dimension."""
    words: dict[tuple[int, ...], str] = {}
    pairs = []
    for key, pair in chosen.items():
        short = (key.scope,) if dimension == "scope" else (key.application, key.protocol)
        word = words.get(short)
        if word is None:
            word = words[short] = word_of(told, key, dimension)
        pairs.append((word, pair))
    found = _added([*pairs, (REST, rest)])
    if dimension in ("user", "unit", "container"):
        found.pop("", None)
        found.pop(REST)
    elif sum(found[REST]) < 0:
        found[TWICE] = found.pop(REST)
    return found


def _sum(pairs: Iterable[Pair]) -> Pair:
    rx, tx = 0, 0
    for one_rx, one_tx in pairs:
        rx, tx = rx + one_rx, tx + one_tx
    return rx, tx


def _less(one: Pair, other: Pair) -> Pair:
    return one[0] - other[0], one[1] - other[1]


def _added(pairs: Iterable[tuple[T, Pair]]) -> dict[T, Pair]:
    """The sums of received and sent bytes, by whose they are."""
    found: dict[T, Pair] = {}
    for whose, (rx, tx) in pairs:
        before = found.get(whose)
        found[whose] = (before[0] + rx, before[1] + tx) if before else (rx, tx)
    return found


def _most(parts: dict[str, Pair], total: int, limit: int) -> tuple[list[Part], Others]:
    found = [
        Part(word, rx, tx, (rx + tx) / total if total else None)
        for word, (rx, tx) in parts.items()
        if rx or tx
    ]
    found.sort(key=lambda part: (-part.both, part.value))
    rest = sum(part.both for part in found[limit:])
    return found[:limit], Others(max(len(found) - limit, 0), rest, rest / total if total else None)


# ---- All that ever were -----------------------------------------------------------------------------------------


class Known(NamedTuple):
    """An application by name; times are UTC microseconds.

    kind: as `model.Who`.
    first_seen_us, last_seen_us: None where the record does not tell.
    paths, users, units, containers: all that it was seen with.
    versions: of how many executables.
    """

    name: str
    kind: str
    first_seen_us: int | None
    last_seen_us: int | None
    rx_bytes: int
    tx_bytes: int
    paths: tuple[str, ...]
    users: tuple[str, ...]
    units: tuple[str, ...]
    containers: tuple[str, ...]
    versions: int


def known(reader: Record, shares: Shares) -> list[Known]:
    """Every application that was ever seen, with its bytes of all time on all interfaces, the busiest first.

    Where the record does not tell when any was seen, those that had bytes.
    """
    seen = reader.seen()
    ids = [one.id for one in reader.interfaces(totals=False)]
    told = shares.of(ids, ("kind", "name") if seen else Who._fields)
    of_numbers = _added((key.application, pair) for key, pair in told.sums(0, 1 << 62).items())
    sums = _added((_known_as(told.who(number)), pair) for number, pair in of_numbers.items())
    whos: dict[tuple[str, str], list[Who]] = {}
    for who in [one.who for one in seen] or [told.who(number) for number in of_numbers]:
        whos.setdefault(_known_as(who), []).append(who)
    records: dict[tuple[str, str], list[SeenRecord]] = {}
    for one in seen:
        records.setdefault(_known_as(one.who), []).append(one)
    found = [
        Known(
            name,
            kind,
            min((one.first_seen_us for one in records.get((kind, name), ())), default=None),
            max((one.last_seen_us for one in records.get((kind, name), ())), default=None),
            *sums.get((kind, name), (0, 0)),
            _all(who.path for who in own),
            _all(who.user for who in own),
            _all(who.unit for who in own),
            _all(who.container for who in own),
            sum(one.versions for one in records.get((kind, name), ())),
        )
        for (kind, name), own in whos.items()
    ]
    return sorted(found, key=lambda one: (-one.rx_bytes - one.tx_bytes, one.name))


def _known_as(who: Who) -> tuple[str, str]:
    """The kind of an application, and its name."""
    return who.kind, f"kernel: {who.name}" if who.kind == "kernel" and who.name else name_of(who)


def _all(words: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted({word for word in words if word}))


# ---- While somebody was away ------------------------------------------------------------------------------------


class New(NamedTuple):
    """An application that was seen for the first time, or of which another executable was; UTC microseconds."""

    name: str
    path: str
    is_version: bool
    first_seen_us: int


@dataclass(frozen=True, slots=True)
class Away:
    """What happened since a moment.

    rx_bytes, tx_bytes: of the machine.
    applications: the busiest, and the new ones, the latest first.
    gaps: how many were declared; lossy: of them, those that may have lost bytes; gap_us: their length together.
    """

    period: Period
    rx_bytes: int
    tx_bytes: int
    applications: list[Part]
    new: list[New]
    gaps: int
    lossy: int
    gap_us: int


def away(reader: Record, shares: Shares, since_s: int, now_s: int, overrides: Overrides) -> Away:
    """Answer it, in whole quarters of an hour."""
    period = Period(since_s // QUARTER_S * QUARTER_S, -(-(now_s + 1) // QUARTER_S) * QUARTER_S)
    found = breakdown(reader, shares, period, Choice(), overrides, limit=_BUSIEST + 1)
    low, high = since_s * US, (now_s + 1) * US
    gaps = reader.gaps(low, high)
    return Away(
        period,
        found.rx_bytes,
        found.tx_bytes,
        [part for part in found.by["application"] if part.value != REST][:_BUSIEST],
        _new(reader, low),
        len(gaps),
        sum(gap.lossy for gap in gaps),
        length(union((gap.start_us, gap.end_us) for gap in gaps), low, high),
    )


def _new(reader: Record, since_us: int) -> list[New]:
    """First sights and new executables since a moment; nothing is new in the first day of applications."""
    seen = [one for one in reader.seen() if one.who.kind == "application"]
    if not seen:
        return []
    quiet_us = min(one.first_seen_us for one in seen) + _QUIET_S * US
    after_us = max(since_us, quiet_us)
    first: dict[str, int] = {}
    for one in seen:
        first[one.who.name] = min(first.get(one.who.name, one.first_seen_us), one.first_seen_us)
    paths = {one.who.name: one.who.path for one in reversed(seen)}
    found = [New(name, paths[name], False, at) for name, at in first.items() if at >= after_us]
    names = {one.name for one in found}
    found += _new_versions(reader.versions(), after_us, names)
    return sorted(found, key=lambda one: (-one.first_seen_us, one.name))


def _new_versions(versions: Sequence[VersionRecord], after_us: int, names: set[str]) -> list[New]:
    """Executables that took another's place; an application that is new itself is told once."""
    places: dict[tuple[str, str, str], dict[tuple[int, int], int]] = {}
    for one in versions:
        own = places.setdefault((one.host, one.who.name, one.who.path), {})
        inode = (one.device, one.inode)
        own[inode] = min(own.get(inode, one.first_seen_us), one.first_seen_us)
    return [
        New(name, path, True, max(own.values()))
        for (_, name, path), own in places.items()
        if len(own) > 1 and max(own.values()) >= after_us and name not in names
    ]
