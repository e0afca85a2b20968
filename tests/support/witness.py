"""A second listener beside the recorder, as small as can be: the final counters of every interface that went away."""

import socket
import struct

from netusage.model import Counters

_RTM_DELLINK = 17
_IFLA_IFNAME, _IFLA_STATS64 = 3, 23


class Witness:
    """Listens to RTM_DELLINK in a namespace with a buffer that holds thousands of them."""

    def __init__(self, space):
        self._socket = space.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
        self._socket.setsockopt(socket.SOL_SOCKET, 33, 64 << 20)  # SO_RCVBUFFORCE
        self._socket.bind((0, 1))
        self._socket.setblocking(False)

    def removals(self) -> dict[str, Counters]:
        """The final counters of what went away since the last call, by name."""
        found = {}
        while True:
            try:
                data = self._socket.recv(1 << 16)
            except BlockingIOError:
                return found
            size, kind = struct.unpack_from("=IH", data)
            if kind != _RTM_DELLINK or data[16] != socket.AF_UNSPEC:
                continue
            parts = dict(_attributes(data[32:size]))
            rx_packets, tx_packets, rx_bytes, tx_bytes = struct.unpack_from("=4Q", parts[_IFLA_STATS64])
            name = parts[_IFLA_IFNAME].rstrip(b"\0").decode()
            found[name] = Counters(rx_bytes, tx_bytes, rx_packets, tx_packets)


def whole_pairs(finals: dict[str, Counters], other) -> dict[str, Counters]:
    """The final counters of veth pairs made whole: an end has received what the end `other(name)` has sent."""
    return {
        name: counters._replace(
            rx_bytes=finals[other(name)].tx_bytes, rx_packets=finals[other(name)].tx_packets
        )
        for name, counters in finals.items()
    }


def _attributes(data):
    at = 0
    while at + 4 <= len(data):
        size, kind = struct.unpack_from("=HH", data, at)
        yield kind & 0x3FFF, data[at + 4 : at + size]
        at += size + 3 & ~3
