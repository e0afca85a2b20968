"""The nouns that every layer shares.

Units, everywhere: bytes and packets are integers; times are integers, either microseconds since 1970-01-01
00:00 UTC (`_us`), or nanoseconds of CLOCK_BOOTTIME (`_ns`); rates are bytes per second. `rx` is what the
interface received, `tx` what it sent.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import StrEnum

from netusage.records import NamedTuple

MINUTE_S = 60
QUARTER_S = 900
US = 1_000_000
NS = 1_000_000_000
LARGEST = (1 << 63) - 1  # number that a ledger holds
SCOPE_AT_HOME = 255  # in a fleet, of what a host does not say how far away the other end was
SHORTEST_DAY_S, LONGEST_DAY_S = 21 * 3600, 27 * 3600  # of any zone since 1970


class Counters(NamedTuple):
    """Four counters of one interface, or a difference of two readings of them."""

    rx_bytes: int = 0
    tx_bytes: int = 0
    rx_packets: int = 0
    tx_packets: int = 0

    def plus(self, other: Counters) -> Counters:
        """The sum, counter by counter."""
        return Counters(self[0] + other[0], self[1] + other[1], self[2] + other[2], self[3] + other[3])

    def minus(self, other: Counters) -> Counters:
        """The difference, counter by counter; may be negative."""
        return Counters(self[0] - other[0], self[1] - other[1], self[2] - other[2], self[3] - other[3])

    @property
    def is_zero(self) -> bool:
        """Whether nothing was counted."""
        return not any(self)


ZERO = Counters()


class Instant(NamedTuple):
    """One moment on the three clocks that matter.

    boot_ns: CLOCK_BOOTTIME, counts during suspend; every duration comes from it.
    awake_ns: CLOCK_MONOTONIC, stands still during suspend; tells suspend from a late sample.
    wall_us: CLOCK_REALTIME, may step; only a label.
    """

    boot_ns: int
    awake_ns: int
    wall_us: int


class Link(NamedTuple):
    """What a source says about one interface, without its counters.

    index: the kernel's number of it (ifindex); for sources without one, a number that the source keeps per name.
    name: the kernel's name for it.
    kind: the kernel's kind ("veth", "bridge", …), "loopback", or "" for hardware.
    up: administratively up.
    master: index of the bridge, bond or the like that it belongs to, or 0.
    lower: index of the interface that it runs on top of (VLAN, macvlan, veth peer), or 0.
    lower_elsewhere: that interface lives in another network namespace.
    life: an identity of this one life of the link (inode of its sysfs directory), 0 when unknown. It survives
        rename and a move between namespaces, and a link that is made later has a greater one.
    """

    index: int  # type: ignore[assignment]  # hides tuple.index, which nobody needs
    name: str
    kind: str = ""
    up: bool = True
    master: int = 0
    lower: int = 0
    lower_elsewhere: bool = False
    life: int = 0


class Reading(NamedTuple):
    """One reading of every interface: columns of equal length, in the source's order.

    indexes[i] is the interface whose counters are rx_bytes[i], tx_bytes[i], rx_packets[i], tx_packets[i].
    Columns rather than rows: the recorder subtracts whole columns, once a second for years. A column may be a view of
    bytes as the system gave them, whose numbers are not taken out yet; `lists` does that.
    """

    indexes: Sequence[int] = ()
    rx_bytes: Sequence[int] = ()
    tx_bytes: Sequence[int] = ()
    rx_packets: Sequence[int] = ()
    tx_packets: Sequence[int] = ()

    @classmethod
    def of_rows(cls, rows: Iterable[Iterable[int]]) -> Reading:
        """Rows of an index and its four counters, as columns."""
        return cls(*zip(*rows, strict=True))

    def lists(self) -> list[list[int]]:
        """The columns as lists."""
        return [c.tolist() if isinstance(c, memoryview) else list(c) for c in self]


class LinkChange(StrEnum):
    """What a link event says."""

    PRESENT = "present"  # created, moved in, renamed, or its state changed
    REMOVED = "removed"  # deleted, or moved to another namespace


class LinkEvent(NamedTuple):
    """One link event of the kernel.

    counters: those at the event, None when the message carries none.
    whole: the counters are complete; a removal's may lack what the kernel could not tell any more.
    """

    change: LinkChange
    link: Link
    counters: Counters | None
    whole: bool = True


class Place(NamedTuple):
    """Where counters live: what must be the same for a counter of the same name to be the same counter.

    boot_id: changes at every boot.
    namespace: the network namespace (its cookie, unique within a boot), 0 where there is no such thing.
    machine: the machine's identity ("" when unknown), so that a ledger that was copied to another machine
        does not take that machine's traffic for its own.
    """

    boot_id: str
    namespace: int = 0
    machine: str = ""


class GapKind(StrEnum):
    """Why a stretch of time was not watched."""

    STOPPED = "stopped"  # the recorder was stopped cleanly
    KILLED = "killed"  # the recorder ended without a final commit
    REBOOT = "reboot"  # another boot: what the counters held after the last commit is unknown
    SUSPEND = "suspend"  # the machine slept
    STALLED = "stalled"  # the recorder ran but could not read for too long
    SOURCE = "source"  # the source failed
    EVENTS_LOST = "events-lost"  # the kernel dropped link events (ENOBUFS)
    VANISHED = "vanished"  # an interface went away and no final counters were seen
    RESET = "reset"  # a counter went backwards within one life: what it held before its reset is unknown
    LEDGER = "ledger"  # the ledger was set aside


class Gap(NamedTuple):
    """A declared gap: a stretch that was not watched, or whose bytes cannot be known.

    start_us, end_us: UTC labels of the stretch.
    interface: name of the one interface concerned, or "" for all.
    lossy: bytes may be missing from the record; False when the counters gave everything back.
    note: evidence, one line.
    """

    start_us: int
    end_us: int
    kind: GapKind
    lossy: bool
    interface: str = ""
    note: str = ""


class Who(NamedTuple):
    """Whose bytes: a row of the table `application`.

    kind: "application"; else nobody's: "kernel", "forwarded", or "unnamed" where the name was not to be had; "other" is
        many applications together.
    name, path: of the program or script, or what it is that the kernel sent. user: a name. unit: of systemd. container, pod: as people name them.
    """

    kind: str
    name: str = ""
    path: str = ""
    user: str = ""
    unit: str = ""
    container: str = ""
    pod: str = ""
