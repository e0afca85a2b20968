"""The number of a certain rank among many, without sorting all of them."""

import sys
from collections.abc import Sequence
from math import isqrt

_MANY = 2000
_STEP = 31  # days are alike: this divides no number of slots in a day
_BLOCK = 4096  # numbers: as many as the processor's nearest cache holds


def nearest_rank(values: Sequence[int], thousandths: int) -> int:
    """The smallest of the values that no less than so many thousandths of a percent of them are up to.

    Args:
        values: at least one; quick for a view of machine numbers that are not negative.
        thousandths: 1 to 100,000.
    """
    rank = max(-(-len(values) * thousandths // 100_000), 1)
    if len(values) > _MANY and isinstance(values, memoryview):
        return _of_rank(values, rank)
    return sorted(values)[rank - 1]


def _of_rank(values: memoryview, rank: int) -> int:
    """The number of a rank, 1 for the smallest: a few of them tell about where it is, counting tells whether."""
    few = sorted(values[::_STEP])
    place = rank * len(few) // len(values)
    deviation = isqrt(place * (len(few) - place) // len(few)) + 1  # of a sample that is taken at random
    for margin in (2 * deviation, 8 * deviation):
        low = few[max(place - margin, 0)]
        high = few[min(place + margin, len(few) - 1)]
        smaller, found = _between(values, low, high)
        if smaller < rank <= smaller + len(found):
            return sorted(found)[rank - smaller - 1]
    return sorted(values)[rank - 1]


def _between(values: memoryview, low: int, high: int) -> tuple[int, list[int]]:
    """How many values are below `low`, and those from there up to `high`, both included; none if they are many."""
    smaller, found, width = 0, list[int](), values.itemsize
    for start in range(0, len(values), _BLOCK):
        block = values[start : start + _BLOCK]
        if not start or len(block) != _BLOCK:
            lanes = _Lanes(width, len(block))
        number = int.from_bytes(block.tobytes(), sys.byteorder)
        from_low, above = lanes.no_less(number, low), lanes.no_less(number, high + 1)
        smaller += len(block) - from_low.bit_count()
        within = from_low ^ above
        if low == high:
            found += [low] * within.bit_count()
        elif within:
            found += map(block.__getitem__, lanes.places(within))
        if len(found) > len(values) // 4 and low < high:
            return smaller, []
    return smaller, found


class _Lanes:
    """Machine numbers as lanes of a large one, all of which are compared at once.

    With the top bit of a lane set and a bound taken away, the top bit stays where the rest of the lane is no less.
    """

    def __init__(self, width: int, count: int) -> None:
        self._width, self._length = width, width * count
        self._half = 1 << (8 * width - 1)
        self._ones = int.from_bytes((1).to_bytes(width, sys.byteorder) * count, sys.byteorder)
        self._tops = self._ones * self._half
        self._more: dict[int, int] = {}  # by bound

    def no_less(self, number: int, bound: int) -> int:
        """The top bits of the lanes that are no less than a bound."""
        tops = number & self._tops
        if bound >= self._half and not tops:
            return 0
        if bound not in self._more:
            self._more[bound] = self._ones * (self._half - bound % self._half)
        if not tops:
            return (number + self._more[bound]) & self._tops
        rest = (number ^ tops) + self._more[bound]
        if bound >= self._half:
            return rest & tops if bound < 2 * self._half else 0
        return (rest | tops) & self._tops

    def places(self, tops: int) -> list[int]:
        """Which lanes it is whose top bits are given."""
        find = (tops >> (8 * self._width - 1)).to_bytes(self._length, sys.byteorder).find
        found, width = [], self._width
        at = find(1)
        while at >= 0:
            found.append(at // width)
            at = find(1, at + 1)
        return found
