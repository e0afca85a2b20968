"""Many numbers in one: columns that are added, compared and scaled as a whole.

Python's integers have no limit, and what is done to one of a thousand digits is done by a loop in C. So the numbers of
a column lie side by side in one integer, each in a lane of 64 bits and below 2^63: the highest bit of a lane is free,
and tells what a comparison found. A hundred counters are subtracted in the time that two take one by one.
"""

import sys
from array import array
from collections.abc import Iterable, Sequence

_SCALE = 80  # bits of a factor behind the point
_SMALL = 40  # bits of numbers, and of divisors, that are scaled exactly by such a factor
_LARGEST_FACTOR = 1 << 128 - _SMALL  # a small number times it fits in two lanes
_QUOTIENT = (1 << 128 - _SCALE) - 1  # the bits of the product that stand before the point
_MOST = (1 << 63) - 1


class Lanes:
    """So many lanes.

    The order of the lanes in the integer is the machine's; what comes out of `unpack` is in the order of `pack`.

    Args:
        count: how many; even, since numbers are scaled in two halves.
    """

    def __init__(self, count: int) -> None:
        self._size = 8 * count
        self._high = self._each(1 << 63)
        self._large = self._each((1 << 64) - (1 << _SMALL))
        self._every_other = int.from_bytes(_QUOTIENT.to_bytes(16, "little") * (count // 2), "little")

    def _each(self, number: int) -> int:
        """The number in every lane."""
        return int.from_bytes(number.to_bytes(8, "little") * (self._size // 8), "little")

    def pack(self, columns: Iterable[Sequence[int]]) -> int:
        """The numbers of the columns, one column after the other; as many as there are lanes.

        Raises:
            OverflowError: a number is negative, or 2^64 or above.
        """
        parts = [(c if isinstance(c, memoryview) else array("Q", c)).tobytes() for c in columns]
        return int.from_bytes(b"".join(parts), sys.byteorder)

    def unpack(self, packed: int) -> list[int]:
        """The numbers again."""
        return memoryview(packed.to_bytes(self._size, sys.byteorder)).cast("Q").tolist()

    def fits(self, packed: int) -> bool:
        """Whether every number is below 2^63, as all other methods need it."""
        return not packed & self._high

    def none_below(self, packed: int, other: int) -> bool:
        """Whether every number is at least as large as the one in the same lane of the other."""
        return ((packed | self._high) - other) & self._high == self._high

    def larger(self, packed: int, other: int) -> int:
        """In every lane the larger of both."""
        at_least = ((packed | self._high) - other) & self._high
        chosen = at_least - (at_least >> 63)  # all bits of a lane but the highest
        return other ^ ((packed ^ other) & chosen)

    def scaled(self, packed: int, part: int, whole: int) -> int:
        """In every lane number * part // whole, and 2^63-1 where it would be more.

        Small numbers are multiplied by part / whole, rounded up at the 80th bit: it makes a product larger by less
        than 2^-40, and what is missing to the next whole number is 1 / whole, which is more.
        """
        factor = -(-(part << _SCALE) // whole)
        if packed & self._large or factor > _LARGEST_FACTOR or whole >> _SMALL:
            return self.pack([[min(n * part // whole, _MOST) for n in self.unpack(packed)]])
        kept = self._every_other
        even = (packed & kept) * factor >> _SCALE
        odd = (packed >> 64 & kept) * factor >> _SCALE
        return even & kept | (odd & kept) << 64
