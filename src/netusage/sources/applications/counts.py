"""What every tier counts by: whose bytes, at which interface, how far away the other end is."""

from enum import IntEnum
from operator import sub
from typing import NamedTuple

KERNEL, FORWARDED, UNNAMED, RESETS, KERNEL_SOCKETS = range(5)  # owners that are none; see bpf/layout.h


class Scope(IntEnum):
    """Where the other end is, by its address."""

    LOOPBACK = 0
    LAN = 1
    LINK = 2
    INTERNET = 3


class Key(NamedTuple):
    """What a counter is of.

    owner: a number that `KernelApplications.owner` knows; those above are nobody's.
    netns: cookie of the interface's network namespace.
    ifindex: of the interface.
    scope: where the other end is.
    protocol: of IP; 0 where it is none.
    family: 4, 6, or 0 for anything but IP.
    """

    owner: int
    netns: int
    ifindex: int
    scope: Scope
    protocol: int
    family: int


class Count(NamedTuple):
    """What was counted since the programs were loaded.

    rx_bytes, tx_bytes: received bytes from the network layer's header on, sent bytes of whole frames,
        or where programs count before queueing as those that are received.
    rx_packets, tx_packets: as the sockets and the driver saw them, before a device divides them.
    rx_header_bytes, tx_header_bytes, rx_segments, tx_segments: what dividing them adds.
    """

    rx_bytes: int
    tx_bytes: int
    rx_packets: int
    tx_packets: int
    rx_header_bytes: int
    tx_header_bytes: int
    rx_segments: int
    tx_segments: int

    def received(self) -> "Count":
        """Without what was sent."""
        return Count(self[0], 0, self[2], 0, self[4], 0, self[6], 0)

    def minus(self, other: "Count") -> "Count":
        """The difference of two, the later one first."""
        return Count(*map(sub, self, other))


class Owner(NamedTuple):
    """What the kernel knew of a process when it met it first.

    exe_inode, exe_device: of its executable, the device as the kernel numbers it (major << 20 | minor).
    cgroup: number of its cgroup in the unified tree (the inode of the directory).
    uid: user number, that of the initial user namespace.
    tgid: process number.
    comm: name of its first thread, 15 bytes at the most.
    script: what an interpreter runs, as on its command line; "" for other programs.
    path: the executable's, or the end of it; "" where the kernel does not tell: then all that is known is `comm`, the
        name of a thread, and there is no script either.
    cgroup_path: the cgroup's below the root of the tree, or the end of it; "" where it was not noted.
    """

    exe_inode: int
    cgroup: int
    exe_device: int
    uid: int
    tgid: int
    comm: str
    script: str
    path: str
    cgroup_path: str = ""
