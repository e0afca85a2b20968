"""What an interface counts of a packet, beside what the programs in the kernel count of it.

They see the network layer's bytes on receive and whole frames on transmit. Most interfaces count frames of Ethernet
either way; the exceptions here were measured. Where a device divides packets, its counters have the headers of all.
"""

from netusage.model import Counters
from netusage.sources.applications.counts import Count

ETHERNET = 14  # bytes of its header
# Kinds of links: whether received and sent bytes are counted with that header.
_FRAMES = {"loopback": (False, False), "vxlan": (False, False), "bridge": (False, True), "tun": (False, True)}
_DIVIDES = ("",)  # hardware


def as_counted(kind: str, count: Count) -> Counters:
    """The bytes and packets as an interface of a kind counts them."""
    rx_frames, tx_frames = _FRAMES.get(kind, (True, True))
    found = Counters(
        count.rx_bytes + (ETHERNET * count.rx_packets if rx_frames else 0),
        count.tx_bytes - (0 if tx_frames else ETHERNET * count.tx_packets),
        count.rx_packets,
        count.tx_packets,
    )
    if kind not in _DIVIDES:
        return found
    return found.plus(
        Counters(count.rx_header_bytes, count.tx_header_bytes, count.rx_segments, count.tx_segments)
    )
