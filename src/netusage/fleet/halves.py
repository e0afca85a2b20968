"""Counters in SQL, and sums of them in halves of 32 bits: whole ones wrap at 2^64 in ClickHouse without a word."""

from collections.abc import Iterable, Sequence

from netusage.model import Counters

COUNTERS = Counters._fields
COUNTED = f"({' OR '.join(f'{name} > 0' for name in COUNTERS)})"


def halves(name: str) -> tuple[str, str]:
    """The upper and the lower 32 bits of a number."""
    return f"bitShiftRight({name}, 32)", f"bitAnd({name}, 4294967295)"


def sums_of_halves(names: Iterable[str]) -> list[str]:
    """The sums of both halves of each number, for `whole`."""
    return [f"sum({half})" for name in names for half in halves(name)]


def joined(high: int, low: int) -> int:
    """The number of two halves, which may be sums."""
    return (high << 32) + low


def whole(found: Sequence[int]) -> list[int]:
    """The numbers of which these are the halves, each upper one before its lower one."""
    return list(map(joined, found[::2], found[1::2]))
