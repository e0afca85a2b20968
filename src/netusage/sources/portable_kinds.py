"""What kind of interface a name stands for, on systems that tell no more than a name.

The words are those of the Linux kernel ("bridge", "tun", "veth", "wireguard", …) wherever there is one that means
the same, so that one rule about what counts in a total serves every platform. "virtual" is the host's own port of
a hypervisor's switch; "" is hardware, or unknown.
"""

import os
from fnmatch import fnmatchcase

# First match wins. Names are compared in lower case.
_MACOS = (
    ("lo[0-9]*", "loopback"),
    ("utun*", "tun"),
    ("tun[0-9]*", "tun"),
    ("tap[0-9]*", "tun"),
    ("ipsec*", "xfrm"),
    ("gif*", "ipip"),
    ("stf*", "sit"),
    ("ppp*", "ppp"),
    ("bridge*", "bridge"),  # Thunderbolt bridge, internet sharing, virtual machines
    ("vmenet*", "tun"),  # a virtual machine's port of such a bridge
    ("vmnet*", "virtual"),  # the host's port of a virtual switch
    ("vnic*", "virtual"),
    ("feth*", "veth"),
    ("vlan*", "vlan"),
    ("bond*", "bond"),
    ("pktap*", "nlmon"),  # packet capture: sees what others carry
    ("iptap*", "nlmon"),
    ("xhc*", "nlmon"),
)  # hardware: en*, fw*, ap* (hotspot), awdl* and llw* (AirDrop), anpi* (the machine's other processors), pdp_ip*

_WINDOWS = (
    ("loopback pseudo-interface*", "loopback"),
    ("npcap loopback*", "loopback"),
    ("vethernet (*", "virtual"),  # the host's port of a Hyper-V switch
    ("vmware network adapter*", "virtual"),
    ("virtualbox host-only*", "virtual"),
    ("network bridge*", "bridge"),
    ("isatap*", "sit"),
    ("teredo*", "sit"),
    ("6to4*", "sit"),
    ("*ip-https*", "tun"),
    ("iphttps*", "tun"),
    ("openvpn*", "tun"),
    ("tailscale*", "tun"),
    ("zerotier*", "tun"),
    ("cloudflarewarp*", "tun"),
    ("protonvpn*", "tun"),
    ("mullvad*", "tun"),
    ("wireguard*", "wireguard"),
    ("wg[0-9]*", "wireguard"),
    ("nordlynx*", "wireguard"),
)  # hardware: Ethernet*, Wi-Fi*, Cellular*, Bluetooth*, and "Local Area Connection* N" (Wi-Fi Direct, hotspot)

_LINUX = (
    ("lo", "loopback"),
    ("docker[0-9]*", "bridge"),
    ("docker_gwbridge", "bridge"),
    ("br-*", "bridge"),
    ("br[0-9]*", "bridge"),
    ("virbr*", "bridge"),
    ("lxcbr*", "bridge"),
    ("lxdbr*", "bridge"),
    ("incusbr*", "bridge"),
    ("cni[0-9]*", "bridge"),
    ("podman[0-9]*", "bridge"),
    ("vmbr*", "bridge"),
    ("veth*", "veth"),
    ("cali*", "veth"),
    ("lxc*", "veth"),
    ("vnet[0-9]*", "tun"),
    ("tun[0-9]*", "tun"),
    ("tap*", "tun"),
    ("tailscale*", "tun"),
    ("zt*", "tun"),
    ("wg*", "wireguard"),
    ("ppp[0-9]*", "ppp"),
    ("bond[0-9]*", "bond"),
    ("team[0-9]*", "team"),
    ("dummy*", "dummy"),
    ("ifb[0-9]*", "ifb"),
    ("sit[0-9]*", "sit"),
    ("gre[0-9]*", "gre"),
    ("gretap*", "gretap"),
    ("tunl[0-9]*", "ipip"),
    ("ip6tnl*", "ip6tnl"),
    ("vxlan*", "vxlan"),
    ("flannel.*", "vxlan"),
    ("macvtap*", "macvtap"),
    ("macvlan*", "macvlan"),
    ("vlan[0-9]*", "vlan"),
    ("*.[0-9]*", "vlan"),
)

_BSD = (
    ("lo[0-9]*", "loopback"),
    ("tun[0-9]*", "tun"),
    ("tap[0-9]*", "tun"),
    ("wg[0-9]*", "wireguard"),
    ("bridge[0-9]*", "bridge"),
    ("vether[0-9]*", "virtual"),
    ("epair*", "veth"),
    ("vlan[0-9]*", "vlan"),
    ("lagg[0-9]*", "bond"),
    ("trunk[0-9]*", "bond"),
    ("gif[0-9]*", "ipip"),
    ("gre[0-9]*", "gre"),
    ("enc[0-9]*", "xfrm"),
    ("ppp[0-9]*", "ppp"),
    ("pflog*", "nlmon"),
    ("pfsync*", "nlmon"),
)

_TABLES = {"darwin": _MACOS, "win32": _WINDOWS, "linux": _LINUX}

# /sys/class/net/NAME/type (if_arp.h) and DEVTYPE in /sys/class/net/NAME/uevent, where they name a kind.
_HARDWARE_TYPES = {
    "512": "ppp",
    "768": "ipip",
    "769": "ip6tnl",
    "772": "loopback",
    "776": "sit",
    "778": "gre",
    "823": "ip6gre",
    "824": "nlmon",
}
_DEVTYPES = frozenset(
    {"bond", "bridge", "geneve", "hsr", "ipvlan", "macsec", "macvlan", "ppp", "vlan", "vxlan", "wireguard"}
)
_MARKS = (("bridge", "bridge"), ("bonding", "bond"), ("tun_flags", "tun"))


def kind_of(name: str, platform: str) -> str:
    """The kind that a name stands for.

    Args:
        name: the system's name of the interface.
        platform: as in `sys.platform`.
    """
    lower = name.lower()
    for pattern, kind in _TABLES.get(platform, _BSD):
        if fnmatchcase(lower, pattern):
            return kind
    return ""


def kind_on_linux(name: str, sysfs: str = "/sys/class/net") -> str:
    """The kind of a Linux interface by its sysfs directory, by its name where that says nothing."""
    directory = os.path.join(sysfs, name)
    if not os.path.isdir(directory):
        return kind_of(name, "linux")
    for mark, kind in _MARKS:
        if os.path.exists(os.path.join(directory, mark)):
            return kind
    for line in _lines(os.path.join(directory, "uevent")):
        key, _, value = line.partition("=")
        if key == "DEVTYPE" and value in _DEVTYPES:
            return value
    if os.path.exists(os.path.join(directory, "device")):
        return ""
    number = "".join(_lines(os.path.join(directory, "type")))
    return _HARDWARE_TYPES.get(number) or kind_of(name, "linux")


def _lines(path: str) -> list[str]:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read().split()
    except OSError:
        return []
