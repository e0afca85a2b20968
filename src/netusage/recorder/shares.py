"""Of what interfaces count, what applications had: differences of counters by owner, until they are committed.

The interface's own counters stay the record. What is said of applications never adds to it; where the two differ, a
report shows the rest.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple, Protocol

from netusage.errors import SourceError
from netusage.ledger.batch import Batch, Counted, Epoch, Part, Remembered
from netusage.model import QUARTER_S, US, ZERO, Counters, Instant, Who

if TYPE_CHECKING:
    from netusage.sources.applications.base import Tier
    from netusage.sources.applications.counts import Count, Key


class Use(NamedTuple):
    """Whose bytes, where, and how far away the other end was.

    scope: `sources.applications.counts.Scope`.
    in_total: the interface is one of those that are added up.
    """

    who: Who
    interface: str
    scope: int
    in_total: bool


class Names(Protocol):
    """Who owners are (`sources.applications.naming.Naming`)."""

    def who(self, owner: int) -> Who:
        """Who it is."""
        ...

    def version(self, owner: int) -> tuple[int, int] | None:
        """Device and inode of the executable; None where there is none to tell."""
        ...

    def know(self, owners: Mapping[int, Who]) -> None:
        """Who some of them are: it was known when it was to be found out."""
        ...


class Shares:
    """Collects what applications had.

    Args:
        open_source: opens what counts, and tells who owners are; what it is given is whether it has to count from zero,
            because that which it would find is full. Raises SourceError.
        netns: cookie of the network namespace whose interfaces are recorded.
        say: takes one line for people.
        in_total: whether an interface is one of those that are added up; None where `usage` is not wanted.

    Attributes:
        usage: what each application had since the beginning.

    Raises:
        SourceError: it cannot be counted by application.
    """

    def __init__(
        self,
        open_source: "Callable[[bool], tuple[Tier, Names]]",
        netns: int,
        say: Callable[[str], None],
        in_total: Callable[[Epoch], bool] | None = None,
    ) -> None:
        self._open_source = open_source
        self._netns = netns
        self._say = say
        self._in_total = in_total
        self.usage: dict[Use, Counters] = {}
        self._source: Tier
        self._source, self._names = open_source(False)
        self._last: dict[Key, Count] = {}
        self._epochs: dict[int, Epoch] = {}
        self._below: dict[int, Epoch] = {}
        self._quarter = 0
        self._stays_full = False
        self._losses = 0
        self._is_remembered = False  # the ledger knows counters of this life
        self._pending: dict[Part, Counters] = {}
        self._versions: set[tuple[Who, int, int]] = set()
        self._moved: set[Key] = set()  # since the last commit

    @property
    def tier(self) -> str:
        """How applications are told from one another."""
        return self._source.tier

    @property
    def lasts(self) -> bool:
        """Whether the source counts on when it is closed."""
        return self._source.lasts

    def begin(self, at: Instant, remembered: Remembered, epochs: Mapping[int, Epoch]) -> None:
        """Go on from what the ledger has of the same counters; of all others, what was counted so far is forgotten.

        What came while no recorder ran belongs to interfaces that are recorded on, and is spread over that time in
        proportion, as the interfaces' own bytes are. Interfaces that are recorded from now on begin here.

        Args:
            at: the present, when interfaces were read.
            remembered: what the ledger has.
            epochs: the present one of each interface, by its index.
        """
        self._quarter = _quarter_of(at.wall_us)
        counts = dict(self._own())
        counted, here = remembered.counted, remembered.here
        self._is_remembered = bool(
            counted is not None
            and here is not None
            and self._source.lasts
            and counted.born == self._source.born
        )
        if not self._is_remembered or counted is None or here is None:
            self._last = counts
            return
        self._names.know(counted.owners)
        self._below = below(epochs)
        since_us = at.wall_us - max(at.boot_ns - here.boot_ns, 1000) // 1000
        for key, count in counts.items():
            epoch = epochs.get(key.ifindex)
            known = counted.counters.get(key)
            went_on = epoch is not None and (epoch.row is not None or epoch.first == ZERO)
            if epoch is None or not went_on:
                self._last[key] = count
                self._moved.add(key)
                continue
            if known is not None:
                self._last[key] = type(count)(*known)
            self._add(key, count, epoch, since_us, at.wall_us)

    def close(self) -> None:
        """Read no more; may be called twice."""
        self._source.close()

    def look(self) -> None:
        """Let the source see who is there; to be called once a second."""
        try:
            self._source.look()
        except SourceError as error:
            self._open_again(error)

    def is_due(self, wall_us: int) -> bool:
        """Whether a quarter of an hour has ended since the last look: what was counted until now belongs to it."""
        return _quarter_of(wall_us) != self._quarter

    def collect(self, wall_us: int, epochs: Mapping[int, Epoch]) -> None:
        """Take what was counted since the last time.

        Args:
            wall_us: the present, UTC microseconds.
            epochs: the present one of each interface, by index, and those that ended since the last time.
        """
        now = _quarter_of(wall_us)
        quarter = self._quarter if now - self._quarter == 1 else now
        self._quarter = now
        known = {**self._epochs, **epochs}
        self._below = below(known)
        self._epochs = dict(epochs)  # of one that is gone there is nothing more the next time
        start_us = quarter * QUARTER_S * US
        self._take(known, start_us)
        if self._source.losses > self._losses:
            self._losses = self._source.losses
            self._say(
                f"{self._source.tier}: the kernel had no room for what some applications had; it has no name"
            )
        if self._source.is_nearly_full() and not self._stays_full:
            self._begin_anew(known, start_us)

    def _take(self, epochs: Mapping[int, Epoch], quarter_us: int) -> None:
        for key, count in self._own():
            epoch = epochs.get(key.ifindex)
            if epoch is not None:  # else it is not known to the recorder yet
                self._add(key, count, epoch, quarter_us, quarter_us + 1)

    def _own(self) -> "Iterator[tuple[Key, Count]]":
        """What was counted in the namespace whose interfaces are recorded."""
        try:
            counts = self._source.read()
        except SourceError as error:
            counts = self._open_again(error)
        return (pair for pair in counts.items() if pair[0].netns == self._netns)

    def _open_again(self, error: SourceError) -> "dict[Key, Count]":
        """What counted can count no more: begin from zero with another one, or do without."""
        self._source.close()
        self._last, self._moved, self._is_remembered, self._losses = {}, set(), False, 0
        try:
            self._source, self._names = self._open_source(True)
            counts = self._source.read()
        except SourceError as again:
            self._source = _Nothing()
            self._say(f"{again}; interfaces are recorded without applications from now on")
            return {}
        self._say(f"{error}; applications are told apart by {self._source.tier} again")
        self._last = dict(counts)
        return counts

    def _add(self, key: "Key", count: "Count", epoch: Epoch, start_us: int, end_us: int) -> None:
        """Note what a counter had since the last time, in [start, end), UTC microseconds."""
        from netusage.sources.applications.framing import as_counted  # noqa: PLC0415  # most recorders do without

        last = self._last.get(key)
        more = count if last is None else count.minus(last)
        if not any(more):
            return
        self._last[key] = count
        self._moved.add(key)
        who = self._names.who(key.owner)
        version = self._names.version(key.owner)
        if version is not None:
            self._versions.add((who, *version))
        at: Epoch | None = epoch
        for _ in range(_MOST_LEVELS):
            if at is None or not any(more):
                break
            counted = as_counted(at.link.kind, more, frames=self._source.frames)
            if self._in_total is not None:
                use = Use(who, at.link.name, int(key.scope), self._in_total(at))
                self.usage[use] = self.usage.get(use, ZERO).plus(counted)
            for start_s, part in spread(counted, start_us, end_us):
                place = Part(start_s, at, who, int(key.scope), key.protocol, key.family)
                self._pending[place] = self._pending.get(place, ZERO).plus(part)
            at, more = self._below.get(at.link.index), more.received()

    def _begin_anew(self, epochs: Mapping[int, Epoch], quarter_us: int) -> None:
        """Make room: owners and counters of what is long over take all of it.

        The new programs are there before the old ones are read for the last time.
        """
        try:
            source, names = self._open_source(True)
        except SourceError as error:
            self._stays_full = True
            self._say(f"{error}; applications that are new from now on have no name")
            return
        self._take(epochs, quarter_us)
        self._source.close()
        self._source, self._names = source, names
        self._moved, self._is_remembered, self._losses = set(), False, 0
        self._last = dict(self._own())

    def hand_over(self, batch: Batch) -> None:
        """Put everything since the last commit into a batch."""
        batch.tier = self._source.tier
        batch.shares = self._pending
        batch.versions = self._versions
        if self._source.lasts:
            keys = self._moved if self._is_remembered else self._last
            counters: dict[tuple[int, ...], tuple[int, ...]] = {key: self._last[key] for key in keys}
            owners = {key.owner: self._names.who(key.owner) for key in keys}
            if not self._is_remembered:  # nobody's tells that this life is known, whatever it has counted
                counters.setdefault((0, self._netns, 0, 0, 0, 0), (0,) * 8)
            batch.counted = Counted(self._source.born, not self._is_remembered, counters, owners)

    def committed(self) -> None:
        """The last batch is in the ledger."""
        self._pending, self._versions, self._moved = {}, set(), set()
        self._is_remembered = True

    def start_over(self) -> None:
        """The ledger is a new one, which knows of no counters."""
        self._is_remembered = False


class _Nothing:
    """What is left when nothing counts by owner any more."""

    tier = cgroups = ""
    lasts = frames = False
    born = losses = 0

    def look(self) -> None:
        pass

    def read(self) -> "dict[Key, Count]":
        return {}

    def owner(self, _number: int) -> None:
        return None

    def is_nearly_full(self) -> bool:
        return False

    def close(self) -> None:
        pass


# Kinds of links that hand on what the one below them received, as it is; it reaches a socket above them.
_MOST_LEVELS = 8  # of links above one another
_HANDED_UP = ("bridge", "bond", "team", "vrf", "vlan", "macvlan", "ipvlan")


def below(epochs: Mapping[int, Epoch]) -> dict[int, Epoch]:
    """By index of an interface that hands on what others received, the one below it; none where it has several.

    What a socket received there was received by both. Sent packets are counted at each by themselves.
    """
    above = {index: epoch.link for index, epoch in epochs.items() if epoch.link.kind in _HANDED_UP}
    if not above:
        return {}
    members: dict[int, list[Epoch]] = {index: [] for index in above}
    for epoch in epochs.values():
        if epoch.link.master in members:
            members[epoch.link.master].append(epoch)
    for index, link in above.items():
        if not members[index] and not link.lower_elsewhere and link.lower in epochs:
            members[index].append(epochs[link.lower])
    return {index: own[0] for index, own in members.items() if len(own) == 1}


def _quarter_of(wall_us: int) -> int:
    return wall_us // US // QUARTER_S


def spread(counters: Counters, start_us: int, end_us: int) -> Iterator[tuple[int, Counters]]:
    """Counters over the quarters of an hour of [start, end), in proportion to time, as reports do with stretches.

    Yields:
        The start of a quarter, UTC seconds, and what it has; together it is all of it.
    """
    quarter_us = QUARTER_S * US
    length = end_us - start_us
    low, before = start_us, ZERO
    while low < end_us:
        high = min((low // quarter_us + 1) * quarter_us, end_us)
        until = Counters(*(number * (high - start_us) // length for number in counters))
        if until != before:
            yield low // quarter_us * QUARTER_S, until.minus(before)
        low, before = high, until
