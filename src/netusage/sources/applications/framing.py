"""What an interface counts of a packet, beside what the programs in the kernel count of it.

They see the network layer's bytes on receive and whole frames on transmit; before queueing, the network layer's either
way. Most interfaces count frames of Ethernet either way; the exceptions here were measured. Where a device divides
packets, its counters have the headers of all.
"""

from netusage.model import Counters
from netusage.sources.applications.counts import Count

ETHERNET = 14  # bytes of its header
# Kinds of links: whether received and sent bytes are counted with that header, and whether frames are sent with one.
_FRAMES = {
    "loopback": (False, False, True),
    "vxlan": (False, False, True),
    "bridge": (False, True, True),
    "tun": (False, False, False),
}
_DIVIDES = ("",)  # hardware


def as_counted(kind: str, count: Count, *, frames: bool = True) -> Counters:
    """The bytes and packets as an interface of a kind counts them.

    Args:
        kind: of the interface.
        count: what the programs counted at it.
        frames: what was sent was counted with that header (`KernelApplications.frames`).
    """
    rx_frames, tx_frames, sends_frames = _FRAMES.get(kind, (True, True, True))
    rx_bytes, tx_bytes, rx_packets, tx_packets = count[:4]
    if kind in _DIVIDES:
        rx_bytes, tx_bytes = rx_bytes + count.rx_header_bytes, tx_bytes + count.tx_header_bytes
        rx_packets, tx_packets = rx_packets + count.rx_segments, tx_packets + count.tx_segments
    return Counters(
        rx_bytes + ETHERNET * rx_packets * rx_frames,
        tx_bytes + ETHERNET * tx_packets * (tx_frames - (sends_frames and frames)),
        rx_packets,
        tx_packets,
    )
