"""What counts towards a plan: what was counted, less free hours, the local network and zero-rated applications.

Each byte is taken off once, in that order.
Interfaces are known by minutes, applications by quarters of an hour (days, when they are older). So time is cut into
slots of whole quarters that are free, not free, or, where free hours begin or end within a quarter, both; of those,
what applications had is taken as far as the bytes of the interface were outside of free hours. What no application is
known of counts: a plan is used up rather too early than unnoticed.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from datetime import datetime, tzinfo
from itertools import pairwise, takewhile
from typing import TYPE_CHECKING, NamedTuple

from netusage.errors import NoDataError
from netusage.ledger.answers import InterfaceRecord, Usage
from netusage.ledger.reader import LedgerReader
from netusage.model import LONGEST_DAY_S, MINUTE_S, QUARTER_S, Who
from netusage.periods import clock_changes
from netusage.reports import selection
from netusage.reports.coverage import Stretch, length, union
from netusage.settings.schema import PlanSettings

if TYPE_CHECKING:
    from netusage.reports.selection import Overrides

_DAY_S = 86_400  # as a clock shows it
# `sources.applications.counts.Scope`: all below is the local network, the link, or this machine
_INTERNET = 3
_MOST_IN_A_QUARTER = 9  # stretches without overlap, in whole minutes


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


def members(
    interfaces: Sequence[InterfaceRecord], plan: PlanSettings, overrides: Overrides
) -> tuple[int, ...]:
    """The ledger's numbers of the interfaces that count.

    Raises:
        NoDataError: none of them was ever seen.
    """
    if plan.interfaces:
        found = tuple(one.id for one in interfaces if selection.matches(one.name, plan.interfaces))
    else:
        found = selection.machine(interfaces, overrides).ids
    if not found:
        wanted = " ".join(plan.interfaces) or "an interface that counts in the total"
        raise NoDataError(
            f"plan {plan.name!r}: {wanted} has not been recorded",
            hint="see those that were with: netusage interfaces",
        )
    return found


def accounts(
    reader: LedgerReader, plan: PlanSettings, edges: Sequence[int], zone: tzinfo, overrides: Overrides
) -> list[Account]:
    """What counted between every two neighbouring edges: ascending UTC seconds, multiples of 900.

    Raises:
        NoDataError: none of the plan's interfaces was ever seen.
    """
    ids = members(reader.interfaces(), plan, overrides)
    told_apart = plan.exclude_lan or bool(plan.zero_rated)
    groups = [[number] for number in ids] if told_apart else [list(ids)]
    free = free_stretches(plan.free_minutes, edges[0], edges[-1], zone)
    cuts = _cuts(edges, free)
    # where minutes are not kept any more, a quarter is split in proportion
    minutes = (at for stretch in free for at in stretch if at >= reader.minutes_from_s)
    atoms = sorted({*cuts, *minutes})
    usage = reader.usage(groups, atoms, packets=False)
    counted = [_Slots(plan, atoms, cuts, free, of_group) for of_group in usage]
    had: list[dict[int, _Had]] = [{} for _ in groups]
    if told_apart:
        had = _shares(reader, plan, ids, cuts, [slots.counted for slots in counted])
    found = [Account(start, end) for start, end in pairwise(edges)]
    for slots, own in zip(counted, had, strict=True):
        for n, start_s in enumerate(cuts[:-1]):
            place = bisect_right(edges, start_s) - 1
            found[place] = _plus(found[place], slots, n, own.get(n, _Had()), told_apart=told_apart)
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


class _Slots:
    """What a group of interfaces counted in each slot: in all, in free hours, and with an estimated time outside."""

    def __init__(
        self,
        plan: PlanSettings,
        atoms: Sequence[int],
        cuts: Sequence[int],
        free: Sequence[Stretch],
        usage: Sequence[Usage],
    ) -> None:
        way = selection.WAYS[plan.direction]
        slots = len(cuts) - 1
        self.counted, self.free, self.estimated = [0] * slots, [0] * slots, [0] * slots
        n, first = 0, 0
        for (start_s, end_s), one in zip(pairwise(atoms), usage, strict=True):
            while start_s >= cuts[n + 1]:
                n += 1
            while first < len(free) and free[first][1] <= start_s:
                first += 1
            free_s = length(free[first : first + _MOST_IN_A_QUARTER], start_s, end_s)
            number, estimated = (
                way(one.rx_bytes, one.tx_bytes),
                way(one.estimated_rx_bytes, one.estimated_tx_bytes),
            )
            in_free_hours = number * free_s // (end_s - start_s)
            self.counted[n] += number
            self.free[n] += in_free_hours
            if 0 < free_s < end_s - start_s:
                self.estimated[n] += number - in_free_hours
            elif not free_s:
                self.estimated[n] += estimated


def _plus(to: Account, slots: _Slots, n: int, had: _Had, *, told_apart: bool) -> Account:
    """The account with one more slot in it.

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
    return to._replace(
        counted=to.counted + counted,
        free=to.free + free,
        lan=to.lan + lan,
        zero_rated=to.zero_rated + zero_rated,
        estimated=to.estimated + slots.estimated[n],
        unknown=to.unknown + unknown,
    )


def _shares(
    reader: LedgerReader,
    plan: PlanSettings,
    ids: Sequence[int],
    cuts: Sequence[int],
    counted: Sequence[Sequence[int]],
) -> list[dict[int, _Had]]:
    """By interface and slot, what applications had."""
    way = selection.WAYS[plan.direction]
    free_of_charge = {number for number, who in reader.applications().items() if _is_zero_rated(who, plan)}
    places = {number: place for place, number in enumerate(ids)}
    everybody, lan, zero_rated = ([[0] * (len(cuts) - 1) for _ in ids] for _ in _Had._fields)
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


def _is_zero_rated(who: Who, plan: PlanSettings) -> bool:
    return who.kind == "application" and any(
        selection.matches(name, plan.zero_rated) for name in (who.name, who.path)
    )


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
