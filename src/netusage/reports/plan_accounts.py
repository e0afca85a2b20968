"""What counts towards a plan: what was counted, less free hours, the local network and zero-rated applications.

Each byte is taken off once, in that order.
Interfaces are known by minutes, applications by quarters of an hour (days, when they are older). So time is cut into
slots of whole quarters that are free, not free, or, where free hours begin or end within a quarter, both; of those,
what applications had is taken as far as the bytes of the interface were outside of free hours. What no application is
known of counts: a plan is used up rather too early than unnoticed.

Of several hosts, each interface of each is counted so by itself, and then added up. Where a record has no minutes, as
that of a fleet, a quarter in which free hours begin or end is split in proportion, and its bytes are told as estimated.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, tzinfo
from functools import cache
from itertools import pairwise, takewhile
from operator import add
from typing import TYPE_CHECKING, NamedTuple

from netusage.errors import NoDataError
from netusage.ledger.answers import InterfaceRecord, ShareRecord, Usage
from netusage.model import LONGEST_DAY_S, MINUTE_S, QUARTER_S, SCOPE_AT_HOME
from netusage.periods import clock_changes
from netusage.reports import selection
from netusage.reports.coverage import Stretch, length, union
from netusage.settings.schema import PlanSettings

if TYPE_CHECKING:
    from netusage.reports.record import Record
    from netusage.reports.selection import Overrides

_DAY_S = 86_400  # as a clock shows it
# `sources.applications.counts.Scope`: all below is the local network, the link, or this machine
_INTERNET = 3
_MOST_IN_A_QUARTER = 9  # stretches without overlap, in whole minutes
_FEW = 200  # interfaces, of each of which names of applications are asked for; a fleet has many
# of a question, so that the answer is not too large, and a store tells slots of different lengths apart
_GROUPS_AT_ONCE, _SLOTS_AT_ONCE = 1000, 60


class Account(NamedTuple):
    """One stretch, UTC seconds; bytes in the plan's direction, which add up: see `used`.

    counted: what the interfaces counted.
    free: of it, in free hours.
    lan: of the rest, what stayed in the local network, where that is left out.
    zero_rated: of the rest, what zero-rated applications had.
    estimated: what of `counted` outside of free hours has an estimated time, and might belong to another stretch.
    unknown: what of `used` no application is known of, where that would matter: some of it might not count.
    """

    start_s: int
    end_s: int
    counted: int = 0
    free: int = 0
    lan: int = 0
    zero_rated: int = 0
    estimated: int = 0
    unknown: int = 0

    @property
    def used(self) -> int:
        """What counts."""
        return self.counted - self.free - self.lan - self.zero_rated


class _Had(NamedTuple):
    """What applications had of one interface in one slot: all of them, and what of it is left out."""

    everybody: int = 0
    lan: int = 0
    zero_rated: int = 0


_NOTHING = _Had()
_TERMS = len(Account._fields) - 2  # without the stretch
_ZERO_RATED = Account._fields.index("zero_rated") - 2


def members(
    interfaces: Sequence[InterfaceRecord], plan: PlanSettings, overrides: Overrides
) -> list[InterfaceRecord]:
    """The interfaces that count, of every host of the record.

    Raises:
        NoDataError: none of them was ever seen.
    """
    if plan.interfaces:
        found = [one for one in interfaces if selection.matches(one.name, plan.interfaces)]
    else:
        found = [one for one in interfaces if selection.part(one, overrides).counted]
    if not found:
        wanted = " ".join(plan.interfaces) or "an interface that counts in the total"
        raise NoDataError(
            f"plan {plan.name!r}: {wanted} has not been recorded",
            hint="see those that were with: netusage interfaces",
        )
    return found


def accounts(
    reader: Record,
    plan: PlanSettings,
    edges: Sequence[int],
    zone: tzinfo,
    overrides: Overrides,
    *,
    roughly: bool = False,
    exact_at: Sequence[int] = (),
) -> list[Account]:
    """What counted between every two neighbouring edges: ascending UTC seconds, multiples of 900.

    Args:
        reader: the record.
        plan: as configured.
        edges: as said.
        zone: whose clock shows free hours.
        overrides: what the configuration says of the machine's total.
        roughly: what was delivered twice is taken off all interfaces together; and of a record without minutes, which is
            a store with many hosts, what is left out is asked for by days. Both is much less to ask for.
        exact_at: edges between which sums have to be exact, the first and the last among them; between others what is
            left out may be split, see `splits_days`. Without them, all.

    Raises:
        NoDataError: none of the plan's interfaces was ever seen.
    """
    ids = [one.id for one in members(reader.interfaces(totals=False), plan, overrides)]
    if exact_at and splits_days(reader, plan, len(ids), edges):
        return _by_utc_days(reader, plan, edges, zone, overrides, exact_at=exact_at)
    told_apart = _tells_apart(plan)
    groups = [[number] for number in ids] if told_apart and not roughly else [ids]
    free = free_stretches(plan.free_minutes, edges[0], edges[-1], zone)
    cuts = _cuts(edges, free)
    # where minutes are not kept any more, a quarter is split in proportion
    minutes = (at for stretch in free for at in stretch if at >= reader.minutes_from_s)
    atoms = sorted({*cuts, *minutes})
    pieces, slots = _pieces(atoms, cuts, free), len(cuts) - 1
    counted = [_Slots(plan, pieces, slots, usage) for usage in _usage(reader, groups, atoms)]
    had: list[dict[int, _Had]] = [{} for _ in groups]
    together: dict[int, int] = {}
    if told_apart and roughly and reader.minutes_from_s >= edges[-1]:
        had = [_roughly(reader, plan, ids, cuts, counted[0].counted)]
    elif told_apart:
        had, together = _told_apart(reader, plan, groups, cuts, [one.counted for one in counted])
    terms = [[0] * _TERMS for _ in edges[1:]]
    places = [bisect_right(edges, start_s) - 1 for start_s in cuts[:-1]]
    for one, own in zip(counted, had, strict=True):
        for n, place in enumerate(places):
            if one.counted[n] or n in own:
                more = _terms(one, n, own.get(n, _NOTHING), told_apart=told_apart)
                terms[place] = list(map(add, terms[place], more))
    for n, number in together.items():
        whole, in_free_hours = (sum(one.counted[n] for one in counted), sum(one.free[n] for one in counted))
        if whole:
            terms[places[n]][_ZERO_RATED] += number * (whole - in_free_hours) // whole
    return [Account(*stretch, *own) for stretch, own in zip(pairwise(edges), terms, strict=True)]


def _tells_apart(plan: PlanSettings) -> bool:
    """Whether it has to be known what applications had."""
    return plan.exclude_lan or bool(plan.zero_rated)


def splits_days(reader: Record, plan: PlanSettings, number: int, edges: Sequence[int]) -> bool:
    """Whether what is left out is asked for by UTC days, and split over local ones as the interfaces' bytes are.

    So it is where all quarters of very many applications would have to be added up otherwise.

    Args:
        reader: the record.
        plan: as configured.
        number: of interfaces.
        edges: of local days, UTC seconds.
    """
    is_large = number > _FEW and reader.minutes_from_s >= edges[-1]
    is_shifted = any(edge_s % _DAY_S for edge_s in edges)
    return is_large and is_shifted and _tells_apart(plan) and not plan.free_hours


def _by_utc_days(
    reader: Record,
    plan: PlanSettings,
    edges: Sequence[int],
    zone: tzinfo,
    overrides: Overrides,
    *,
    exact_at: Sequence[int],
) -> list[Account]:
    """The accounts, with what is left out of every UTC day split over the local days that it touches."""
    days = range(-(-edges[0] // _DAY_S) * _DAY_S, edges[-1], _DAY_S)
    whole = accounts(reader, plan, sorted({*days, *exact_at}), zone, overrides)
    everything = replace(plan, exclude_lan=False, zero_rated=())
    cuts = sorted({*edges, *days, *exact_at})
    pieces = accounts(reader, everything, cuts, zone, overrides)
    counted = [one.counted for one in pieces]
    terms = [list(one[2:]) for one in pieces]
    for one in whole:
        for name in ("lan", "zero_rated", "unknown"):
            for n, part in _parts(getattr(one, name), (one.start_s, one.end_s), cuts, counted):
                terms[n][Account._fields.index(name) - 2] += part
    found = [[0] * _TERMS for _ in edges[1:]]
    for one, own in zip(pieces, terms, strict=True):
        place = bisect_right(edges, one.start_s) - 1
        found[place] = list(map(add, found[place], own))
    return [Account(*stretch, *own) for stretch, own in zip(pairwise(edges), found, strict=True)]


def _usage(reader: Record, groups: Sequence[Sequence[int]], atoms: Sequence[int]) -> list[list[Usage]]:
    """What groups of interfaces counted between atoms."""
    found: list[list[Usage]] = [[] for _ in groups]
    for some in _windows(atoms, groups):
        for own, more in zip(found, reader.usage(groups, some, packets=False), strict=True):
            own.extend(more)
    return found


def free_stretches(
    free: Sequence[tuple[int, int]], since_s: int, until_s: int, zone: tzinfo
) -> list[Stretch]:
    """When the local clock shows free hours within [since, until), UTC seconds, in whole minutes.

    Args:
        free: minutes of the day from and to, as `PlanSettings.free_minutes`.
        since_s: UTC seconds.
        until_s: UTC seconds.
        zone: whose clock.
    """
    if not free:
        return []
    changes = clock_changes(since_s, until_s, zone)
    offset = datetime.fromtimestamp(since_s, zone).utcoffset()
    offsets = [int(offset.total_seconds()) if offset else 0, *(after for _, _, after in changes)]
    found = []
    bounds = [since_s, *(at for at, *_ in changes), until_s]
    for (start_s, end_s), ahead_s in zip(pairwise(bounds), offsets, strict=True):
        first, last = (start_s + ahead_s) // _DAY_S - 1, (end_s + ahead_s) // _DAY_S
        for midnight_s in range(first * _DAY_S - ahead_s, (last + 1) * _DAY_S - ahead_s, _DAY_S):
            for begin, end in free:
                low = midnight_s + begin * MINUTE_S
                high = midnight_s + (end if end > begin else end + _DAY_S // MINUTE_S) * MINUTE_S
                found.append((max(low, start_s), min(high, end_s)))
    return union(
        (low // MINUTE_S * MINUTE_S, high // MINUTE_S * MINUTE_S) for low, high in found if low < high
    )


def _cuts(edges: Sequence[int], free: Sequence[Stretch]) -> list[int]:
    """The edges of slots: multiples of 900."""
    found = set(edges)
    for stretch in free:
        for at in stretch:
            found |= {at // QUARTER_S * QUARTER_S, -(-at // QUARTER_S) * QUARTER_S}
    return sorted(found)


class _Piece(NamedTuple):
    """A stretch of which is known what was counted: the slot in which it lies, its free part and its length, seconds."""

    slot: int
    free_s: int
    width_s: int


def _pieces(atoms: Sequence[int], cuts: Sequence[int], free: Sequence[Stretch]) -> list[_Piece]:
    """The stretches between atoms."""
    found = []
    n, first = 0, 0
    for start_s, end_s in pairwise(atoms):
        while start_s >= cuts[n + 1]:
            n += 1
        while first < len(free) and free[first][1] <= start_s:
            first += 1
        free_s = length(free[first : first + _MOST_IN_A_QUARTER], start_s, end_s)
        found.append(_Piece(n, free_s, end_s - start_s))
    return found


class _Slots:
    """What a group of interfaces counted in each slot: in all, in free hours, and with an estimated time outside."""

    def __init__(
        self, plan: PlanSettings, pieces: Sequence[_Piece], slots: int, usage: Sequence[Usage]
    ) -> None:
        way = selection.WAYS[plan.direction]
        self.counted, self.free, self.estimated = [0] * slots, [0] * slots, [0] * slots
        for (n, free_s, width_s), one in zip(pieces, usage, strict=True):
            number = way(one.rx_bytes, one.tx_bytes)
            self.counted[n] += number
            if not free_s:
                self.estimated[n] += way(one.estimated_rx_bytes, one.estimated_tx_bytes)
                continue
            in_free_hours = number * free_s // width_s
            self.free[n] += in_free_hours
            if free_s < width_s:
                self.estimated[n] += number - in_free_hours


def _terms(slots: _Slots, n: int, had: _Had, *, told_apart: bool) -> tuple[int, ...]:
    """One slot, as the numbers of an `Account`.

    Where sockets were given more than the interface counted (a datagram to two receivers), that is taken off what is
    left out: an interface counted it once.
    """
    counted, free = slots.counted[n], slots.free[n]
    twice = max(had.everybody - counted, 0)
    zero_rated = max(had.zero_rated - twice, 0)
    lan = max(had.lan - max(twice - had.zero_rated, 0), 0)
    unknown = max(counted - had.everybody, 0) if told_apart else 0
    if free:  # what is left out in free hours has been taken off with them
        lan, zero_rated, unknown = (part * (counted - free) // counted for part in (lan, zero_rated, unknown))
    return counted, free, lan, zero_rated, slots.estimated[n], unknown


def _told_apart(
    reader: Record,
    plan: PlanSettings,
    groups: Sequence[Sequence[int]],
    cuts: Sequence[int],
    counted: Sequence[Sequence[int]],
) -> tuple[list[dict[int, _Had]], dict[int, int]]:
    """By group of interfaces and slot, what applications had.

    Where there are many groups, names are asked of all together, and of those alone that had something twice, in which
    that matters.

    Returns:
        Also what zero-rated applications had of the others, by slot.
    """
    ids = [number for group in groups for number in group]
    before = [cuts[0] - LONGEST_DAY_S, cuts[0]]  # a day may reach into the first slot
    is_few = len(groups) <= _FEW
    had = _shares(reader, plan, groups, cuts, by_name=is_few)
    if had is None or _shares(reader, plan, [ids], before, by_name=False) is None:
        return _shares_of_days(reader, plan, groups, cuts, counted), {}
    if is_few or not plan.zero_rated:
        return had, {}
    twice = {
        g
        for g, (own, numbers) in enumerate(zip(had, counted, strict=True))
        if any(one.everybody > numbers[slot] for slot, one in own.items())
    }
    rest = [number for g, group in enumerate(groups) if g not in twice for number in group]
    named = _shares(reader, plan, [*(groups[g] for g in twice), rest], cuts)
    if named is None:
        return _shares_of_days(reader, plan, groups, cuts, counted), {}
    for g, own in zip(twice, named[:-1], strict=True):
        had[g] = own
    return had, {slot: one.zero_rated for slot, one in named[-1].items() if one.zero_rated}


def _roughly(
    reader: Record, plan: PlanSettings, ids: Sequence[int], cuts: Sequence[int], counted: Sequence[int]
) -> dict[int, _Had]:
    """What applications had of some interfaces by UTC days, split over the slots as what the interfaces counted."""
    days = range(-(-cuts[0] // _DAY_S) * _DAY_S, cuts[-1], _DAY_S)
    edges = sorted({cuts[0], *days, cuts[-1]})
    had = _shares(reader, plan, [ids], edges)
    if had is None:
        return _shares_of_days(reader, plan, [ids], cuts, [counted])[0]
    found: dict[int, list[int]] = {}
    for n, one in had[0].items():
        for column, number in enumerate(one):
            for slot, part in _parts(number, (edges[n], edges[n + 1]), cuts, counted):
                found.setdefault(slot, [0] * len(one))[column] += part
    return {slot: _Had(*numbers) for slot, numbers in found.items()}


def _shares(
    reader: Record,
    plan: PlanSettings,
    groups: Sequence[Sequence[int]],
    cuts: Sequence[int],
    *,
    by_name: bool = True,
) -> list[dict[int, _Had]] | None:
    """By group and slot, what applications had; None where some of it is known by the day only.

    by_name: with what zero-rated ones had.
    """
    count = _counting(plan, by_name=by_name)
    fields = ["scope"] if plan.exclude_lan else []
    if plan.zero_rated and by_name:
        fields += ["kind", "name", "path"]
    found: list[dict[int, _Had]] = [{} for _ in groups]
    first = 0
    for some in _windows(cuts, groups):
        for g in range(0, len(groups), _GROUPS_AT_ONCE):
            answer = reader.shares_by_period(groups[g : g + _GROUPS_AT_ONCE], some, fields)
            for own, periods in zip(found[g:], answer, strict=False):
                for slot, records in enumerate(periods, first):
                    if any(record.seconds > QUARTER_S for record in records):
                        return None
                    had = count(records)
                    if had.everybody:
                        own[slot] = had
        first += len(some) - 1
    return found


def _windows(edges: Sequence[int], groups: Sequence[Sequence[int]]) -> list[Sequence[int]]:
    """The edges, a part of them at a time where there are several groups; the last of one is the first of the next."""
    count = _SLOTS_AT_ONCE if len(groups) > 1 else len(edges)
    return [edges[first : first + count + 1] for first in range(0, len(edges) - 1, count)]


def _counting(plan: PlanSettings, *, by_name: bool) -> Callable[[Sequence[ShareRecord]], _Had]:
    """What adds up records; without `by_name` nothing is zero-rated."""
    way, is_zero_rated = selection.WAYS[plan.direction], _zero_rating(plan)

    def count(records: Sequence[ShareRecord]) -> _Had:
        everybody = lan = zero_rated = 0
        for record in records:
            number = way(record.counters.rx_bytes, record.counters.tx_bytes)
            everybody += number
            if plan.exclude_lan and record.scope < _INTERNET:
                lan += number
            elif by_name and is_zero_rated(record.who.kind, record.who.name, record.who.path):
                zero_rated += number
            elif plan.exclude_lan and record.scope == SCOPE_AT_HOME:
                everybody -= number  # it counts, and might not have to
        return _Had(everybody, lan, zero_rated)

    return count


def _shares_of_days(
    reader: Record,
    plan: PlanSettings,
    groups: Sequence[Sequence[int]],
    cuts: Sequence[int],
    counted: Sequence[Sequence[int]],
) -> list[dict[int, _Had]]:
    """By group and slot, row by row: what is known by the day only is split over the slots of its day."""
    way, is_zero_rated = selection.WAYS[plan.direction], _zero_rating(plan)
    free_of_charge = {
        number for number, who in reader.applications().items() if is_zero_rated(who.kind, who.name, who.path)
    }
    places = {number: place for place, ids in enumerate(groups) for number in ids}
    everybody, lan, zero_rated = ([[0] * (len(cuts) - 1) for _ in groups] for _ in _Had._fields)
    rows = takewhile(lambda row: row[0] < cuts[-1], reader.share_rows(cuts[0] - LONGEST_DAY_S))
    n = 0
    for start_s, application, interface, scope, _, rx, tx, seconds in rows:
        place = places.get(interface)
        if place is None or start_s + seconds <= cuts[0]:
            continue
        left_out = (
            lan
            if plan.exclude_lan and scope < _INTERNET
            else zero_rated
            if application in free_of_charge
            else None
        )
        if left_out is None and plan.exclude_lan and scope == SCOPE_AT_HOME:
            continue  # as what no application is known of
        while start_s >= cuts[n + 1]:  # rows come by time
            n += 1
        number = way(rx, tx)
        parts = [(n, number)]
        if seconds > QUARTER_S:
            parts = _parts(number, (start_s, start_s + seconds), cuts, counted[place])
        for slot, part in parts:
            everybody[place][slot] += part
            if left_out is not None:
                left_out[place][slot] += part
    return [
        {slot: _Had(*had) for slot, had in enumerate(zip(*columns, strict=True)) if any(had)}
        for columns in zip(everybody, lan, zero_rated, strict=True)
    ]


def _zero_rating(plan: PlanSettings) -> Callable[[str, str, str], bool]:
    """Whether a plan does not count an application: of `Who`, its kind, name and path."""

    @cache
    def is_zero_rated(kind: str, name: str, path: str) -> bool:
        return kind == "application" and any(
            selection.matches(text, plan.zero_rated) for text in (name, path)
        )

    return is_zero_rated


def _parts(number: int, day: Stretch, cuts: Sequence[int], counted: Sequence[int]) -> list[tuple[int, int]]:
    """What is known by the day only, split over the slots of the day as the interface's bytes are."""
    start_s, end_s = day
    first = max(bisect_right(cuts, start_s) - 1, 0)
    last = min(bisect_left(cuts, end_s), len(cuts) - 1)
    number = number * (min(end_s, cuts[-1]) - max(start_s, cuts[0])) // (end_s - start_s)
    whole = sum(counted[first:last])
    if not whole:
        return [(first, number)]
    parts, before = [], 0
    for n in range(first, last):
        after = before + counted[n]
        parts.append((n, number * after // whole - number * before // whole))
        before = after
    return parts
