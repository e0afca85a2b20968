"""How far away the other end is, by its address; `bpf/applications.bpf.c` says the same of packets."""

from netusage.sources.applications.counts import Scope

MAPPED = bytes(10) + b"\xff\xff"  # what an IPv4 address in an IPv6 address begins with (RFC 4291)
_LOOPBACK_IPV6 = bytes(15) + b"\x01"


def scope_of(address: bytes) -> Scope:
    """The scope of a packed address: 4 bytes of IPv4 or 16 bytes of IPv6, in network order."""
    if len(address) == 4:
        return _scope_of_ipv4(int.from_bytes(address, "big"))
    if address.startswith(MAPPED):
        return _scope_of_ipv4(int.from_bytes(address[12:], "big"))
    if address == _LOOPBACK_IPV6:
        return Scope.LOOPBACK
    first = int.from_bytes(address[:2], "big")
    if first >> 8 == 0xFF or first >> 6 == 0x3FA:
        return Scope.LINK
    return Scope.LAN if first >> 9 == 0x7E else Scope.INTERNET  # RFC 4193


def _scope_of_ipv4(address: int) -> Scope:
    first = address >> 24
    if first == 127:
        return Scope.LOOPBACK
    if first == 10 or address >> 20 == 0xAC1 or address >> 16 == 0xC0A8 or address >> 22 == 0x191:
        return Scope.LAN  # RFC 1918 and RFC 6598
    if address >> 16 == 0xA9FE or first >= 224:
        return Scope.LINK
    return Scope.INTERNET
