"""What the ledger answers with: plain records, without a connection behind them.

Units as in `netusage.model`; `_us` and `_s` are UTC. Records that come by the thousand are named tuples.
"""

from __future__ import annotations

from netusage.ledger.lock import Holder
from netusage.model import QUARTER_S, Counters, Who
from netusage.records import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


class LedgerState(NamedTuple):
    """The ledger's own row.

    sealed_until_s: quarters before it are summed up; from it on, minutes are the record.
    minutes_from_s: minutes before it have been dropped.
    change: the last change number that was given.
    """

    identity: str
    created_us: int
    change: int
    sealed_until_s: int
    minutes_from_s: int


class HostRecord(NamedTuple):
    """A book of another machine or disk that was merged into the ledger.

    kind: "ledger", or the program whose record it was.
    identity: of that book.
    """

    id: int
    name: str
    kind: str
    identity: str
    merged_us: int


class InterfaceRecord(NamedTuple):
    """One interface, that is one name and kind.

    counted, reason: whether the recorder counts it in the machine's total, and the rule that says so.
    last_seen_us: for a living one, the last reading.
    totals: everything that was recorded for it.
    living: it had not gone away when it was last looked at.
    host: whose it is, where the record is one of several hosts; "" otherwise.
    """

    id: int
    name: str
    kind: str
    up: bool
    counted: bool
    reason: str
    first_seen_us: int
    last_seen_us: int
    totals: Counters
    living: bool
    host: str = ""


class Usage(NamedTuple):
    """What was counted in one period; the estimated bytes are part of the others, not beside them."""

    rx_bytes: int = 0
    tx_bytes: int = 0
    rx_packets: int = 0
    tx_packets: int = 0
    estimated_rx_bytes: int = 0
    estimated_tx_bytes: int = 0

    @property
    def total_bytes(self) -> int:
        """Received and sent."""
        return self.rx_bytes + self.tx_bytes

    @property
    def estimated_bytes(self) -> int:
        """Received and sent, as far as their time is estimated."""
        return self.estimated_rx_bytes + self.estimated_tx_bytes

    @property
    def estimated_share(self) -> float | None:
        """The estimated part of all bytes, 0 to 1; None when nothing was counted."""
        return self.estimated_bytes / self.total_bytes if self.total_bytes else None

    def plus(self, other: Usage) -> Usage:
        """The sum of both."""
        return Usage(*(a + b for a, b in zip(self, other, strict=True)))


NO_USAGE = Usage()


def busiest_of(usage: Sequence[Usage], count: int) -> list[tuple[int, Usage]]:
    """The `count` periods with the most bytes, the busiest first, by number; none without bytes."""
    ranked = sorted(range(len(usage)), key=lambda n: usage[n].total_bytes, reverse=True)[:count]
    return [(n, usage[n]) for n in ranked if usage[n].total_bytes]


class Peak(NamedTuple):
    """The highest rate of one interface in a period.

    rate: bytes per second, between two readings.
    at_s, width_s: the minute or the quarter of an hour in which it was.
    interface_id: whose it was.
    """

    rate: int
    at_s: int
    width_s: int
    interface_id: int


class Peaks(NamedTuple):
    """The peaks of both directions; None where nothing came or went at a known rate."""

    rx: Peak | None = None
    tx: Peak | None = None


class SpanRecord(NamedTuple):
    """Bytes that are known, and not when between `start_us` and `end_us` they were counted."""

    interface_id: int
    start_us: int
    end_us: int
    rx_bytes: int
    tx_bytes: int
    rx_packets: int
    tx_packets: int
    kind: str


class GapRecord(NamedTuple):
    """A declared gap, see `netusage.model.Gap`; `interface` is "" when it concerns all, `host` as `InterfaceRecord`."""

    start_us: int
    end_us: int
    kind: str
    lossy: bool
    interface: str
    note: str
    host: str = ""


class WatchedRecord(NamedTuple):
    """A stretch without a break in the readings."""

    start_us: int
    end_us: int
    run_id: int


class LifeRecord(NamedTuple):
    """A stretch in which an interface was there, UTC microseconds; `closed_us` is None while it is."""

    interface_id: int
    opened_us: int
    closed_us: int | None


class StepRecord(NamedTuple):
    """The wall clock moved: it would have shown `expected_us` and showed `actual_us`."""

    run_id: int
    boot_ns: int
    expected_us: int
    actual_us: int


class RunRecord(NamedTuple):
    """One life of a recorder.

    last_us: its last committed reading.
    ended: why it stopped; None while it runs, and when it was killed.
    tier: how it told applications from one another; "" when it did not.
    """

    id: int
    boot_id: str
    namespace: int
    machine: str
    started_us: int
    last_us: int
    ended: str | None
    source: str
    samples: int
    failed_samples: int
    late_samples: int
    events: int
    commits: int
    failed_commits: int
    commit_total_us: int
    commit_max_us: int
    tier: str


class RecorderState(NamedTuple):
    """Who records now, and what the last recorder left; each None when there is none."""

    holder: Holder | None
    last_run: RunRecord | None


class BootRecord(NamedTuple):
    """What was counted since one boot: when it began, and the counters by interface."""

    boot_us: int
    recorded: dict[int, Counters]


class ShareRecord(NamedTuple):
    """What one application had of one interface's bytes, by `scope`, `protocol` and `family` (`ledger.batch.Part`).

    seconds: the longest of the rows that were added up: 900, or a local day where quarters are not kept any more. A day
        counts wholly where it begins. What a fleet has of whole UTC days and months does not tell it: 900.
    """

    who: Who
    interface_id: int
    scope: int
    protocol: int
    family: int
    counters: Counters
    seconds: int = QUARTER_S


class TotalRecord(NamedTuple):
    """What an application ever had of the machine's total, by `scope`: running totals, from which nothing is ever folded.

    kind: as in `Who`; "" for all applications together.
    """

    kind: str
    name: str
    scope: int
    rx_bytes: int
    tx_bytes: int


class GapCount(NamedTuple):
    """How many gaps of a kind were ever declared, and how long they are together, in microseconds."""

    kind: str
    lossy: bool
    number: int
    length_us: int


class VersionRecord(NamedTuple):
    """An executable of an application: where it is (device and inode), and when it was seen, UTC microseconds.

    host: on which host, as `InterfaceRecord`.
    """

    who: Who
    device: int
    inode: int
    first_seen_us: int
    last_seen_us: int
    host: str = ""


class SeenRecord(NamedTuple):
    """An application: its number in the ledger, when it was seen, UTC microseconds, and of how many executables."""

    id: int
    who: Who
    first_seen_us: int
    last_seen_us: int
    versions: int
