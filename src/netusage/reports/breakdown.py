"""Whose bytes a stretch of time had, by every dimension at once; all applications that ever were; what is new."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from netusage.ledger.answers import SeenRecord, VersionRecord
from netusage.ledger.reader import LedgerReader
from netusage.model import QUARTER_S, US
from netusage.periods import Period
from netusage.reports.applications import REST, TWICE, name_of
from netusage.reports.chosen import Choice, word_of
from netusage.reports.coverage import length, union
from netusage.reports.share_index import Key, ShareIndex

if TYPE_CHECKING:
    from netusage.reports.selection import Overrides

SHOWN = ("application", "user", "unit", "container", "scope", "interface")
_OF_KEYS = ("scope", "interface")  # the others are told by application and protocol
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
    reader: LedgerReader,
    index: ShareIndex,
    period: Period,
    choice: Choice,
    overrides: Overrides,
    *,
    limit: int = 12,
) -> Breakdown:
    """Tell them apart.

    Args:
        reader: the ledger.
        index: refreshed from it.
        period: whole quarters of an hour.
        choice: what is looked at.
        overrides: what the configuration says of the machine's total.
        limit: at most so many of each dimension.

    Raises:
        NoDataError: a pattern matches no interface.
    """
    interfaces = reader.interfaces()
    names = {one.id: one.name for one in interfaces}
    ids = choice.series(interfaces, overrides).ids
    everybody = index.sums(*period, Choice(choice.interfaces).wanted(index, ids))
    wanted = choice.wanted(index, ids)
    sums = {key: pair for key, pair in everybody.items() if wanted(key)} if choice.has_shares else everybody
    rests: dict[int, Pair] = {}
    if not choice.has_shares or choice.has_rest:
        rests = _rests(reader, ids, period, everybody)
    rx_total, tx_total = map(sum, zip((0, 0), *sums.values(), *rests.values(), strict=True))
    by, others = {}, {}
    for dimension in SHOWN:
        parts = _parts(index, dimension, sums, rests, names)
        by[dimension], others[dimension] = _most(parts, rx_total + tx_total, limit)
    return Breakdown(period, rx_total, tx_total, by, others)


def _rests(
    reader: LedgerReader, ids: Sequence[int], period: Period, sums: dict[Key, Pair]
) -> dict[int, Pair]:
    """By interface, what no application is known of."""
    usage = reader.usage([[number] for number in ids], list(period), packets=False)
    found = {number: (one.rx_bytes, one.tx_bytes) for number, (one,) in zip(ids, usage, strict=True)}
    for key, (rx, tx) in sums.items():
        before = found[key.interface]
        found[key.interface] = (before[0] - rx, before[1] - tx)
    return found


def _parts(
    index: ShareIndex,
    dimension: str,
    sums: dict[Key, Pair],
    rests: dict[int, Pair],
    names: dict[int, str],
) -> dict[str, Pair]:
    """What there is of each word."""
    words: dict[tuple[int, ...], str] = {}
    pairs = []
    for key, pair in sums.items():
        short = (key.scope, key.interface) if dimension in _OF_KEYS else (key.application, key.protocol)
        word = words.get(short)
        if word is None:
            word = words[short] = word_of(index, key, dimension, names)
        pairs.append((word, pair))
    pairs += [(names[number] if dimension == "interface" else REST, pair) for number, pair in rests.items()]
    found = _added(pairs)
    if dimension in ("user", "unit", "container"):
        found.pop("", None)
        found.pop(REST, None)
    if sum(found.get(REST, (0, 0))) < 0:
        found[TWICE] = found.pop(REST)
    return {word: pair for word, pair in found.items() if any(pair)}


def _added(pairs: Iterable[tuple[T, Pair]]) -> dict[T, Pair]:
    """The sums of received and sent bytes, by whose they are."""
    found: dict[T, Pair] = {}
    for whose, (rx, tx) in pairs:
        before = found.get(whose)
        found[whose] = (before[0] + rx, before[1] + tx) if before else (rx, tx)
    return found


def _most(parts: dict[str, Pair], total: int, limit: int) -> tuple[list[Part], Others]:
    found = [Part(word, rx, tx, (rx + tx) / total if total else None) for word, (rx, tx) in parts.items()]
    found.sort(key=lambda part: (-part.both, part.value))
    rest = sum(part.both for part in found[limit:])
    return found[:limit], Others(max(len(found) - limit, 0), rest, rest / total if total else None)


# ---- All that ever were -----------------------------------------------------------------------------------------


class Known(NamedTuple):
    """An application by name; times are UTC microseconds.

    kind: as `model.Who`.
    paths, users, units, containers: all that it was seen with.
    versions: of how many executables.
    """

    name: str
    kind: str
    first_seen_us: int
    last_seen_us: int
    rx_bytes: int
    tx_bytes: int
    paths: tuple[str, ...]
    users: tuple[str, ...]
    units: tuple[str, ...]
    containers: tuple[str, ...]
    versions: int


def known(reader: LedgerReader, index: ShareIndex) -> list[Known]:
    """Every application that was ever seen, with its bytes of all time on all interfaces, the busiest first."""
    sums = _added((key.application, pair) for key, pair in index.sums(0, 1 << 62).items())
    together: dict[tuple[str, str], list[SeenRecord]] = {}
    for one in reader.seen():
        together.setdefault((one.who.kind, _name(one)), []).append(one)
    found = [
        Known(
            name,
            kind,
            min(one.first_seen_us for one in own),
            max(one.last_seen_us for one in own),
            sum(sums.get(one.id, (0, 0))[0] for one in own),
            sum(sums.get(one.id, (0, 0))[1] for one in own),
            _all(one.who.path for one in own),
            _all(one.who.user for one in own),
            _all(one.who.unit for one in own),
            _all(one.who.container for one in own),
            sum(one.versions for one in own),
        )
        for (kind, name), own in together.items()
    ]
    return sorted(found, key=lambda one: (-one.rx_bytes - one.tx_bytes, one.name))


def _name(one: SeenRecord) -> str:
    return f"kernel: {one.who.name}" if one.who.kind == "kernel" and one.who.name else name_of(one.who)


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


def away(reader: LedgerReader, index: ShareIndex, since_s: int, now_s: int, overrides: Overrides) -> Away:
    """Answer it, in whole quarters of an hour."""
    period = Period(since_s // QUARTER_S * QUARTER_S, -(-(now_s + 1) // QUARTER_S) * QUARTER_S)
    found = breakdown(reader, index, period, Choice(), overrides, limit=_BUSIEST + 1)
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


def _new(reader: LedgerReader, since_us: int) -> list[New]:
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
    places: dict[tuple[str, str], dict[tuple[int, int], int]] = {}
    for one in versions:
        own = places.setdefault((one.who.name, one.who.path), {})
        inode = (one.device, one.inode)
        own[inode] = min(own.get(inode, one.first_seen_us), one.first_seen_us)
    return [
        New(name, path, True, max(own.values()))
        for (name, path), own in places.items()
        if len(own) > 1 and max(own.values()) >= after_us and name not in names
    ]
