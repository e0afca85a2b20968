"""Of what interfaces count, what applications had: differences of the counters in the kernel, until they are committed.

The interface's own counters stay the record. What is said of applications never adds to it; where the two differ, a
report shows the rest.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

from netusage.ledger.batch import Epoch, Part
from netusage.model import QUARTER_S, US, ZERO, Counters, Who

if TYPE_CHECKING:
    from netusage.sources.applications.kernel import Count, Key


class ApplicationSource(Protocol):
    """What counts by owner (`sources.applications.kernel.KernelApplications`)."""

    def read(self) -> "dict[Key, Count]":
        """Everything that was counted so far."""
        ...


class Names(Protocol):
    """Who owners are (`sources.applications.naming.Naming`)."""

    def who(self, owner: int) -> Who:
        """Who it is."""
        ...


class Shares:
    """Collects what applications had.

    Args:
        source: the counters.
        names: who their owners are.
        netns: cookie of the network namespace whose interfaces are recorded.
    """

    def __init__(self, source: ApplicationSource, names: Names, netns: int) -> None:
        self._source = source
        self._names = names
        self._netns = netns
        self._last = {key: count for key, count in source.read().items() if key.netns == netns}
        self._epochs: dict[int, Epoch] = {}
        self._quarter = 0
        self.pending: dict[Part, Counters] = {}

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
        self._epochs.update(epochs)
        from netusage.sources.applications.framing import as_counted  # noqa: PLC0415  # most recorders do without

        for key, count in self._source.read().items():
            if key.netns != self._netns:
                continue
            epoch = self._epochs.get(key.ifindex)
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

    def committed(self) -> None:
        """What was pending is in the ledger."""
        self.pending = {}
