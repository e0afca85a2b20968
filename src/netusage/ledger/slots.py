"""Bytes of slots of time that follow one another, in columns of fixed width, so that many of them are added at once."""

import sys
from array import array
from collections.abc import Mapping, Sequence
from functools import lru_cache
from operator import add

from netusage.ledger.chunks import decode


class Slots:
    """One number for each slot, not negative.

    Attributes:
        numbers: a view of machine numbers, four bytes wide as long as that is enough, then eight; a list where not
            even that is, or where there is none.
    """

    def __init__(self, count: int) -> None:
        self.numbers: memoryview | list[int] = memoryview(bytearray(4 * count)).cast("I") if count else []

    def add(self, more: Mapping[int, int]) -> None:
        """Add to single slots, by their places."""
        numbers = self.numbers
        for place, number in more.items():
            total = numbers[place] + number
            if total >> 32:
                numbers = self._with_room(total)
            numbers[place] = total

    def add_column(self, place: int, column: Sequence[int]) -> None:
        """Add numbers to the slots from `place` on, which may be before the first, as far as there are any.

        column: what `chunks.decode` gives.
        """
        low = max(place, 0)
        more = column[low - place : max(len(self.numbers) - place, 0)]
        if not len(more):
            return
        if more.itemsize == 8:  # type: ignore[attr-defined]
            self._with_room(1 << 32)
        known = self.numbers[low : low + len(more)]
        if isinstance(known, memoryview) and known.tobytes() == bytes(known.nbytes):
            _copy(known, more)
        else:
            self._put(low, list(map(add, known, more)))

    def _put(self, low: int, numbers: list[int]) -> None:
        into = self._with_room(max(numbers))
        if isinstance(into, memoryview):
            into[low : low + len(numbers)] = array(into.format, numbers)
        else:
            into[low : low + len(numbers)] = numbers

    def _with_room(self, largest: int) -> memoryview | list[int]:
        """The numbers, in a form in which any of them may be so large."""
        known = self.numbers
        if isinstance(known, memoryview) and largest >> 8 * known.itemsize:
            if largest >> 64:
                self.numbers = known.tolist()
            else:
                self.numbers = wide = memoryview(bytearray(8 * len(known))).cast("Q")
                _copy(wide, known)
        return self.numbers


def _copy(into: memoryview, numbers: Sequence[int]) -> None:
    """Copy machine numbers into a view of as many that are as wide, or twice as wide and zero."""
    if into.itemsize != numbers.itemsize:  # type: ignore[attr-defined]
        into = into.cast("B").cast("I")[sys.byteorder == "big" :: 2]
    into[:] = numbers  # type: ignore[call-overload]


def sums(pairs: Sequence[bytes], count: int) -> list[tuple[Sequence[int], Sequence[int]]]:
    """Add up pairs of columns of one length; a few pairs of columns whose sum is theirs.

    A pair is one large number whose lanes are the numbers in it: adding pairs is adding numbers, as long as no lane
    runs over into the next one.

    Raises:
        sqlite3.DatabaseError: a pair is not of so many numbers.
    """
    if len(pairs) == 1:
        return [decode(pairs[0], count)]
    found = []
    totals: dict[int, int] = {}  # by the length of the pairs
    for pair in pairs:
        columns, length = decode(pair, count), len(pair)
        number = int.from_bytes(pair, "little")
        if number & _tops(2 * count, length, len(pairs).bit_length()):
            found.append(columns)
        else:
            totals[length] = totals[length] + number if length in totals else number
    return found + [decode(total.to_bytes(length, "little"), count) for length, total in totals.items()]


@lru_cache(maxsize=64)
def _tops(lanes: int, length: int, bits: int) -> int:
    """So many top bits of every lane: as long as they are zero, 2^bits of the lanes have room for their sum."""
    width = 8 * length // lanes
    top = (1 << width) - (1 << max(width - bits, 0))
    return int.from_bytes(top.to_bytes(width // 8, "little") * lanes, "little")
