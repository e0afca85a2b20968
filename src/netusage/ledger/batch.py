"""What the recorder hands to the ledger, and what the ledger remembers for the recorder."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from netusage.model import Counters, Gap, Instant, Link, Place, Who


@dataclass(slots=True, eq=False)
class Epoch:
    """One life of one interface's counters under one name, as both recorder and ledger know it.

    Within an epoch counters only grow, and `last - first` is what was recorded for it.

    Attributes:
        place: boot, namespace and machine in which the counters live.
        link: name, kind, index and life of the interface.
        opened_us, closed_us: UTC labels; closed_us is None while the epoch lives.
        opened_because, closed_because: one word of `OPENED` or `CLOSED`.
        first: the counters from which the epoch counts.
        last: the counters up to which everything has been handed to the ledger.
        row: the ledger's number of the epoch, None until it was committed once.
        interface_row: the ledger's number of the interface, None until then.
        committed: the counters up to which the ledger has everything.
        restated: the link's state or its part in the total changed since the last commit.
        counted, reason: whether the interface is part of the machine's total, and the rule that says so.
    """

    place: Place
    link: Link
    opened_us: int
    opened_because: str
    first: Counters
    last: Counters
    counted: bool = True
    reason: str = ""
    closed_us: int | None = None
    closed_because: str | None = None
    row: int | None = None
    interface_row: int | None = None
    committed: Counters | None = None
    restated: bool = False

    def start_over(self) -> None:
        """Be unknown to the ledger again, because it is a new one: count from what the old one has."""
        self.first = self.committed or self.first
        self.row = self.interface_row = None


@dataclass(slots=True)
class Entry:
    """What one epoch counted in one UTC minute since the last commit.

    peak_rx, peak_tx: the highest rate between two readings, in bytes per second.
    """

    counters: Counters
    peak_rx: int
    peak_tx: int


class Block(NamedTuple):
    """What some epochs counted in one UTC minute, as columns in their order.

    counters: received and sent bytes, received and sent packets.
    peaks: the highest rates of each between two readings, received and sent, in bytes per second.
    """

    start_s: int
    counters: Sequence[Sequence[int]]
    peaks: Sequence[Sequence[int]]


class Together(NamedTuple):
    """Epochs that went on together: nothing happened to any of them but that its counters grew.

    epochs: all known to the ledger.
    last: four columns, the counters up to which everything is handed over; for `Epoch.last`, which may be older here.
    blocks: by minute.
    """

    epochs: Sequence[Epoch]
    last: Sequence[Sequence[int]]
    blocks: Sequence[Block]


@dataclass(frozen=True, slots=True)
class Span:
    """Bytes that are known, but not when within the stretch they were counted: an estimated stretch.

    start_us, end_us: UTC labels, end after start.
    kind: the `GapKind` behind it.
    """

    epoch: Epoch
    start_us: int
    end_us: int
    counters: Counters
    kind: str


@dataclass(frozen=True, slots=True)
class ClockStep:
    """The wall clock moved against CLOCK_BOOTTIME: it would have shown `expected_us` and showed `actual_us`."""

    boot_ns: int
    expected_us: int
    actual_us: int


@dataclass(slots=True)
class Health:
    """The recorder's own cost since it started; durations in microseconds."""

    samples: int = 0
    failed_samples: int = 0
    late_samples: int = 0
    commits: int = 0
    failed_commits: int = 0
    commit_total_us: int = 0
    commit_max_us: int = 0
    events: int = 0


class Part(NamedTuple):
    """What a counter of applications tells bytes apart by.

    start_s: the quarter of an hour, UTC seconds.
    epoch: of the interface.
    scope: how far away the other end is (`sources.applications.counts.Scope`).
    protocol: of IP, 0 for none. family: 4, 6, or 0 for none.
    """

    start_s: int
    epoch: Epoch
    who: Who
    scope: int
    protocol: int
    family: int


class Counted(NamedTuple):
    """How far lasting counters of applications are handed over: they grow on while no recorder runs.

    born: tells this life of the counters from any other.
    whole: nothing else that is remembered of any counters counts any more.
    counters: by what each is of (owner, namespace, index of the interface, scope, protocol, family) the last reading:
        received and sent bytes and packets, bytes of further headers, further packets.
    owners: who owners in them are.
    """

    born: int
    whole: bool
    counters: Mapping[tuple[int, ...], tuple[int, ...]]
    owners: Mapping[int, Who]


@dataclass(slots=True)
class Batch:
    """Everything since the last commit; written in one transaction, or not at all.

    at: the reading up to which it goes.
    watched: stretches that were watched without a break, as UTC labels of start and end; one that went on since
        the last commit comes again with its old start.
    entries: by UTC minute (seconds since 1970) and epoch.
    epochs: opened, closed or with new counters; each is written whole.
    together: what came after the entries, as columns; None when nothing did.
    shares: of the same bytes, what applications had; their epochs are among `epochs`, or known to the ledger.
    versions: of applications in them, the executables (device and inode).
    counted: how far the counters behind them are handed over; None where they do not outlive the recorder.
    tier: how applications are told from one another; "" where they are not.
    newest_life: of all links that were ever seen in this place.
    """

    at: Instant
    watched: list[tuple[int, int]]
    entries: dict[tuple[int, Epoch], Entry] = field(default_factory=dict)
    spans: list[Span] = field(default_factory=list)
    epochs: list[Epoch] = field(default_factory=list)
    together: Together | None = None
    shares: dict[Part, Counters] = field(default_factory=dict)
    versions: set[tuple[Who, int, int]] = field(default_factory=set)
    counted: Counted | None = None
    tier: str = ""
    gaps: list[Gap] = field(default_factory=list)
    steps: list[ClockStep] = field(default_factory=list)
    health: Health = field(default_factory=Health)
    newest_life: int = 0
    ended: str | None = None


@dataclass(frozen=True, slots=True)
class LastReading:
    """The last committed reading in one place.

    ended: why that recorder stopped, None when it was killed.
    """

    boot_ns: int
    wall_us: int
    ended: str | None


@dataclass(frozen=True, slots=True)
class Remembered:
    """What the ledger knows when a recorder opens it.

    here: the last reading in this very place, None when there was none.
    epochs: the living epochs of this place.
    before: the last reading of an earlier boot of this machine, None when there was none or the ledger knows
        this boot already (in another namespace).
    newest_life: of all links that were ever seen in this place.
    counted: how far lasting counters of applications were handed over.
    """

    here: LastReading | None = None
    epochs: tuple[Epoch, ...] = ()
    before: LastReading | None = None
    newest_life: int = 0
    counted: Counted | None = None


NOTHING_REMEMBERED = Remembered()
