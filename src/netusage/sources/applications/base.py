"""What each tier is: something that counts by owner."""

from typing import Protocol

from netusage.sources.applications.counts import Count, Key, Owner


class Tier(Protocol):
    """Counts what interfaces carry by owner, as well as it can.

    Attributes:
        tier: how it tells applications from one another, for people.
        lasts: it counts on when this process has ended, and is found again by the next one.
        born: tells this life of its counters, which began at zero, from any other.
        frames: sent bytes are those of whole frames; else those from the network layer's header on, as received ones are.
        losses: how often there was no room, so that bytes are nobody's, or without a name.
        cgroups: a path of the root of the unified cgroup tree, for as long as this is open; "" where it cannot be seen.
    """

    cgroups: str

    @property
    def tier(self) -> str: ...  # noqa: D102  # as above

    @property
    def lasts(self) -> bool: ...  # noqa: D102

    @property
    def born(self) -> int: ...  # noqa: D102

    @property
    def frames(self) -> bool: ...  # noqa: D102

    @property
    def losses(self) -> int: ...  # noqa: D102

    def look(self) -> None:
        """See what will not be there any more when `read` is called; cheap, to be called once a second.

        Raises:
            SourceError: it can count no more.
        """
        ...

    def read(self) -> dict[Key, Count]:
        """Everything that was counted so far; counters only grow.

        Raises:
            SourceError: it can count no more.
        """
        ...

    def owner(self, number: int) -> Owner | None:
        """Who an owner is; None for those that are none, and where nothing is known."""
        ...

    def is_nearly_full(self) -> bool:
        """Whether there is soon no room for more owners or counters."""
        ...

    def close(self) -> None:
        """Read no more; what does not last counts no more."""
        ...
