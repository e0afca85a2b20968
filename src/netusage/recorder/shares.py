"""Of what interfaces count, what applications had: differences of the counters in the kernel, until they are committed.

The interface's own counters stay the record. What is said of applications never adds to it; where the two differ, a
report shows the rest.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Protocol

from netusage.errors import SourceError
from netusage.ledger.batch import Epoch, Part
from netusage.model import QUARTER_S, US, ZERO, Counters, Who

if TYPE_CHECKING:
    from netusage.sources.applications.counts import Count, Key


class ApplicationSource(Protocol):
    """What counts by owner (`sources.applications.kernel.KernelApplications`)."""

    def read(self) -> "dict[Key, Count]":
        """Everything that was counted so far."""
        ...

    def is_nearly_full(self) -> bool:
        """Whether there is soon no room for more owners or counters."""
        ...

    def close(self) -> None:
        """Count no more."""
        ...


class Names(Protocol):
    """Who owners are (`sources.applications.naming.Naming`)."""

    def who(self, owner: int) -> Who:
        """Who it is."""
        ...


class Shares:
    """Collects what applications had.

    Args:
        open_source: begins to count, and tells who owners are; raises SourceError.
        netns: cookie of the network namespace whose interfaces are recorded.
        say: takes one line for people.

    Raises:
        SourceError: it cannot be counted by application.
    """

    def __init__(
        self,
        open_source: Callable[[], tuple[ApplicationSource, Names]],
        netns: int,
        say: Callable[[str], None],
    ) -> None:
        self._open_source = open_source
        self._netns = netns
        self._say = say
        self._source: ApplicationSource | None
        self._source, self._names = open_source()
        self._last: dict[Key, Count] = {}
        self._epochs: dict[int, Epoch] = {}
        self._quarter = 0
        self.pending: dict[Part, Counters] = {}

    def begin(self) -> None:
        """Forget what was counted so far: interfaces are recorded from now on."""
        if self._source is not None:
            self._last = self._source.read()

    def close(self) -> None:
        """Count no more; may be called twice."""
        if self._source is not None:
            self._source.close()
            self._source = None

    def is_due(self, wall_us: int) -> bool:
        """Whether a quarter of an hour has ended since the last look: what was counted until now belongs to it."""
        return wall_us // US // QUARTER_S != self._quarter

    def collect(self, wall_us: int, epochs: Mapping[int, Epoch]) -> None:
        """Take what was counted since the last time.

        Args:
            wall_us: the present, UTC microseconds.
            epochs: the present one of each interface, by index, and those that ended since the last time.
        """
        now = wall_us // US // QUARTER_S
        quarter = self._quarter if now - self._quarter == 1 else now
        self._quarter = now
        known = {**self._epochs, **epochs}
        self._epochs = dict(epochs)  # of one that is gone there is nothing more the next time
        if self._source is None:
            return
        from netusage.sources.applications.framing import as_counted  # noqa: PLC0415  # most recorders do without

        for key, count in self._source.read().items():
            if key.netns != self._netns:
                continue
            epoch = known.get(key.ifindex)
            if epoch is None:
                continue  # it is not known to the recorder yet
            last = self._last.get(key)
            more = count if last is None else count.minus(last)
            if not any(more):
                continue
            self._last[key] = count
            who = self._names.who(key.owner)
            part = Part(quarter * QUARTER_S, epoch, who, int(key.scope), key.protocol, key.family)
            counted = as_counted(epoch.link.kind, more)
            self.pending[part] = self.pending.get(part, ZERO).plus(counted)
        if self._source.is_nearly_full():
            self._begin_anew()

    def _begin_anew(self) -> None:
        """Make room: owners and counters of what is long over take all of it. What comes in between has no name."""
        self.close()
        self._last = {}
        try:
            self._source, self._names = self._open_source()
        except SourceError as error:
            self._say(f"{error}; interfaces are recorded without applications from now on")

    def committed(self) -> None:
        """What was pending is in the ledger."""
        self.pending = {}
