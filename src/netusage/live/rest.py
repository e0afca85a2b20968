"""What interfaces counted and no application is known of, and the other way round; pure."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from netusage.live.history import NONE, Both
from netusage.reports.applications import REST, TWICE


class Rest(NamedTuple):
    """Both sides of one stretch of time: until the last commit, not until now.

    counted: what interfaces counted.
    known: what applications had of it.
    known_before: what they had until the commit before. Applications are read a moment after interfaces; whatever that
        moment brought, the interfaces have counted by the next commit. Only what is missing even then came twice.
    """

    counted: Both = NONE
    known: Both = NONE
    known_before: Both = NONE

    def plus(self, counted: Both, known: Both) -> "Rest":
        """The same with what came until the next commit."""
        return Rest(self.counted.plus(counted), self.known.plus(known), self.known)

    @property
    def unattributed(self) -> Both:
        """What no application is known of."""
        return Both(*(max(number, 0) for number in self.counted.minus(self.known)))

    @property
    def twice(self) -> Both:
        """What sockets were given more than interfaces counted, as negative numbers."""
        return Both(*(min(number, 0) for number in self.counted.minus(self.known_before)))


# What stands among applications and is none, and which way it can grow.
RESTS: Mapping[str, Callable[[Rest], Both]] = {
    REST: lambda rest: rest.unattributed,
    TWICE: lambda rest: rest.twice,
}


def growth(name: str, now: Rest, before: Rest) -> Both:
    """How much more one of `RESTS` is; what it shrinks by is a moment between two readings, and counts as nothing."""
    amount = RESTS[name]
    more = amount(now).minus(amount(before))
    limit = max if name == REST else min
    return Both(limit(more.rx, 0), limit(more.tx, 0))
