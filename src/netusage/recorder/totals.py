"""Which interfaces make up the machine's total, so that it counts each byte that left or reached the machine once.

Every interface is recorded; this only decides what is added up. The rule that decided is kept with the interface
and shown by `netusage interfaces`; the configuration can override it by name.
"""

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import NamedTuple

from netusage.model import Link


class Part(NamedTuple):
    """Whether an interface is part of the machine's total, and the rule that says so."""

    counted: bool
    reason: str


# Kinds whose bytes are also counted by the interfaces below them.
_OVER_OTHERS = {
    "bridge": "a bridge carries what its ports count",
    "openvswitch": "a switch carries what its ports count",
    "bond": "a bond carries what its members count",
    "team": "a team carries what its members count",
    "hsr": "carries what its two ports count",
    "batadv": "a mesh carries what its members count",
    "vrf": "a routing domain carries what its members count",
    "tunnel": "a tunnel is carried by another interface",
}
_TUNNELS = {
    "tun", "tap", "wireguard", "gre", "gretap", "erspan", "ip6gre", "ip6gretap", "ip6erspan", "ipip", "ip6tnl", "sit",
    "vti", "vti6", "xfrm", "vxlan", "geneve", "gtp", "l2tpeth", "bareudp", "amt", "ovpn", "ipsec", "fou", "pppoe",
}  # fmt: skip
_STACKED = {"vlan", "macvlan", "macvtap", "ipvlan", "ipvtap", "macsec", "dsa", "rmnet", "lowpan"}
_LOCAL = {
    "loopback": "loopback never leaves the machine",
    "dummy": "a dummy leads nowhere",
    "ifb": "sees again what another interface counted",
    "vcan": "never leaves the machine",
    "vxcan": "never leaves the machine",
    "nlmon": "sees again what another interface counted",
    "virtual": "a virtual switch carries what its ports count",
}
_PAIRS = {"veth", "netkit"}
HARDWARE = Part(True, "hardware")


def parts(
    links: Iterable[Link], *, counted: tuple[str, ...] = (), not_counted: tuple[str, ...] = ()
) -> dict[int, Part]:
    """Decide for every link of one namespace, by index.

    Args:
        links: all links of the namespace.
        counted: shell patterns of names that the configuration puts in.
        not_counted: shell patterns of names that the configuration leaves out; they win.
    """
    by_index = {link.index: link for link in links}
    has_hardware = any(_by_rule(link, by_index, has_hardware=True) == HARDWARE for link in by_index.values())
    return {
        index: _overridden(link, counted, not_counted) or _by_rule(link, by_index, has_hardware=has_hardware)
        for index, link in by_index.items()
    }


def matches(name: str, patterns: Iterable[str]) -> bool:
    """Whether the name fits one of the shell patterns."""
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _overridden(link: Link, counted: tuple[str, ...], not_counted: tuple[str, ...]) -> Part | None:
    if matches(link.name, not_counted):
        return Part(False, "left out by the configuration")
    if matches(link.name, counted):
        return Part(True, "put in by the configuration")
    return None


def _by_rule(link: Link, others: Mapping[int, Link], *, has_hardware: bool) -> Part:
    kind = link.kind
    if kind in _LOCAL:
        return Part(False, _LOCAL[kind])
    if kind in _OVER_OTHERS:
        return Part(False, _OVER_OTHERS[kind])
    if kind in _TUNNELS:
        return Part(False, _OVER_OTHERS["tunnel"])
    if kind in _PAIRS or kind in _STACKED:
        return _on_top(link, others, has_hardware=has_hardware)
    master = others.get(link.master)
    if kind == "" and master is not None and master.kind == "":
        return Part(False, f"{master.name} counts it too")
    return HARDWARE if kind == "" else Part(True, f"a {kind} link of its own")


def _on_top(link: Link, others: Mapping[int, Link], *, has_hardware: bool) -> Part:
    """A link on top of another, or one end of a pair: counted where it is this namespace's way out."""
    lower = others.get(link.lower)
    if lower is not None and not link.lower_elsewhere:
        return Part(False, f"{lower.name} counts it too")
    if has_hardware:
        return Part(False, "leads to another namespace of this machine")
    return Part(True, "the way out of this namespace")
