"""What a source of interface counters is.

A source answers two questions: which interfaces are there, and what have they counted. It keeps no history and
guesses nothing: what a difference means is the recorder's business. A source belongs to one thread.
"""

from typing import Protocol

from netusage.errors import SourceError
from netusage.model import Counters, Link, LinkEvent, Place, Reading


class EventsLostError(SourceError):
    """The system dropped link events: interfaces may have come and gone unseen, so read `links()` again.

    Every event that was received is returned before this is raised.
    """

    kind = "events-lost"


class UnsettledError(SourceError):
    """Interfaces came and went faster than they could be listed; nothing is wrong with the source, try again later."""

    kind = "unsettled"


class Source(Protocol):
    """Reads the counters of every interface of one network namespace.

    Everything that can fail raises SourceError; a failed call changes nothing, and the next call tries anew.
    """

    @property
    def name(self) -> str:
        """Which source this is: "netlink", "psutil" or "replay"."""
        ...

    @property
    def counter_bits(self) -> int:
        """64, or 32 while the byte counters are known to wrap at 2^32 (packet counters do not).

        May change from 32 to 64 at any `links()` or `read()`, never back: look at it after reading.
        """
        ...

    def place(self) -> Place:
        """Where these counters live."""
        ...

    def fileno(self) -> int | None:
        """A descriptor that is readable when link events wait, None when the source has no events."""
        ...

    def links(self) -> list[tuple[Link, Counters]]:
        """Every interface with its counters; for the start and after lost events, costlier than `read`."""
        ...

    def life(self, link: Link) -> int:
        """The identity of this one life of the link (see `Link.life`), 0 when it cannot be told.

        Events carry life 0, since only a new link needs it.
        """
        ...

    def read(self) -> Reading:
        """The counters of every interface now; nothing at all is not an error."""
        ...

    def events(self) -> list[LinkEvent]:
        """The link events that wait, oldest first, without blocking.

        The counters of a REMOVED event are the link's final ones; `whole` tells whether nothing of them is missing.

        Call again until the list is empty: a loss is raised by the call after the events that preceded it.

        Raises:
            EventsLostError: events were dropped.
            SourceError: the events could not be read.
        """
        ...

    def reopen(self) -> None:
        """Close and open anew, in the present namespace; waiting events are dropped, so read `links()` next."""
        ...

    def close(self) -> None:
        """Release what the source holds; closing twice is harmless."""
        ...
