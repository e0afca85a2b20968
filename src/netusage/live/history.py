"""The bytes of each second of the last minutes, in rings: memory is bounded, whatever runs for how long."""

from array import array
from collections.abc import Iterable, Mapping
from typing import NamedTuple, Self, TypeVar

T = TypeVar("T")
SECONDS = 1200  # 240 bars of five seconds
MOST = 256


class Both(NamedTuple):
    """Received and sent bytes, or bytes per second."""

    rx: int = 0
    tx: int = 0

    @property
    def total(self) -> int:
        """In both directions together."""
        return self.rx + self.tx

    def plus(self, other: "Both") -> "Both":
        """The sum, by direction."""
        return Both(self.rx + other.rx, self.tx + other.tx)

    def minus(self, other: "Both") -> "Both":
        """The difference, by direction."""
        return Both(self.rx - other.rx, self.tx - other.tx)


NONE = Both()


def sum_of(parts: Iterable[Both]) -> Both:
    """The sum, by direction."""
    total = NONE
    for one in parts:
        total = total.plus(one)
    return total


def added(one: Mapping[T, Both], other: Mapping[T, Both]) -> dict[T, Both]:
    """The sums, by whose they are."""
    return {whose: one.get(whose, NONE).plus(other.get(whose, NONE)) for whose in {**one, **other}}


class _Ring:
    """The seconds of one subject; `last` is the latest in which it had anything."""

    __slots__ = ("last", "rx", "tx")

    def __init__(self, rx: "array[int]", tx: "array[int]", last: int) -> None:
        self.rx, self.tx, self.last = rx, tx, last

    def set(self, place: int, rx: int, tx: int) -> None:
        self.rx[place], self.tx[place] = rx, tx


class History:
    """What subjects had in each of the last `SECONDS` seconds, of the `MOST` that had anything last.

    Attributes:
        seconds: how many have been put in so far.
    """

    def __init__(self, seconds: int = 0, rings: dict[str, _Ring] | None = None) -> None:
        self.seconds = seconds
        self._rings = {} if rings is None else rings

    def copy(self) -> Self:
        """The same, which goes on by itself."""
        rings = {name: _Ring(one.rx[:], one.tx[:], one.last) for name, one in self._rings.items()}
        return type(self)(self.seconds, rings)

    def push(self, more: Mapping[str, Both], seconds: int = 1) -> None:
        """Put in what came in the last so many seconds; it is spread over them evenly, to the byte."""
        for name, amount in more.items():
            if amount != NONE:
                self._ring(name).last = self.seconds + seconds
        for n in range(max(seconds - SECONDS, 0), seconds):
            place = (self.seconds + n) % SECONDS
            for name, ring in self._rings.items():
                rx, tx = more.get(name, NONE)
                if rx or tx:
                    rx, tx = (number * (n + 1) // seconds - number * n // seconds for number in (rx, tx))
                ring.set(place, rx, tx)
        self.seconds += seconds

    def bars(self, name: str, bar_s: int, count: int) -> list[Both]:
        """Bytes per second in the last `count` bars of `bar_s` seconds, the oldest first.

        Bars begin at multiples of their width, so the last one may be shorter; it is averaged over what it has.
        There are fewer where less is known.
        """
        ring, end = self._rings.get(name), self.seconds
        oldest = max(end - SECONDS, 0)
        first = max(-(-end // bar_s) - count, -(-oldest // bar_s), 0)
        found = []
        for start in range(first * bar_s, end, bar_s):
            width = min(bar_s, end - start)
            if ring is None:
                found.append(NONE)
                continue
            places = [at % SECONDS for at in range(start, start + width)]
            rx, tx = (sum(column[place] for place in places) // width for column in (ring.rx, ring.tx))
            found.append(Both(rx, tx))
        return found

    def _ring(self, name: str) -> _Ring:
        ring = self._rings.get(name)
        if ring is None:
            if len(self._rings) >= MOST:
                del self._rings[min(self._rings, key=lambda one: self._rings[one].last)]
            empty = bytes(8 * SECONDS)
            ring = self._rings[name] = _Ring(array("Q", empty), array("Q", empty), self.seconds)
        return ring
