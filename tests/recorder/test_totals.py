"""Which interfaces make up the machine's total."""

import pytest

from netusage.model import Link
from netusage.recorder.totals import matches, parts

ETH0 = Link(2, "eth0")


def counted(*links, **options):
    """The names that are counted, in order of index."""
    by_index = {link.index: link.name for link in links}
    return [by_index[index] for index, part in parts(links, **options).items() if part.counted]


def test_hardware_is_counted():
    assert counted(ETH0, Link(3, "wlan0")) == ["eth0", "wlan0"]


@pytest.mark.parametrize(
    "kind",
    [
        *[
            "loopback",
            "dummy",
            "ifb",
            "vcan",
            "nlmon",
            "bridge",
            "openvswitch",
            "bond",
            "team",
            "vrf",
            "virtual",
        ],
        *[
            "tun",
            "tap",
            "wireguard",
            "gre",
            "ipip",
            "sit",
            "vxlan",
            "geneve",
            "xfrm",
            "pppoe",
            "tunnel",
            "ovpn",
        ],
    ],
)
def test_what_others_count_as_well_is_not_counted_beside_hardware_or_alone(kind):
    assert counted(ETH0, Link(3, "x", kind)) == ["eth0"]
    assert counted(Link(3, "x", kind)) == []


def test_every_reason_is_said():
    links = [ETH0, Link(1, "lo", "loopback"), Link(3, "br0", "bridge"), Link(4, "new0", "newkind")]
    reasons = {index: part.reason for index, part in parts(links).items()}
    assert all(reasons.values())
    assert len(set(reasons.values())) == 4


def test_a_kind_that_is_not_known_is_counted_and_says_so():
    part = parts([Link(4, "wwan0", "wwan")])[4]
    assert part.counted
    assert "wwan" in part.reason


def test_the_ports_of_a_bridge_are_counted_and_the_bridge_is_not():
    assert counted(ETH0._replace(master=3), Link(3, "br0", "bridge")) == ["eth0"]


def test_the_members_of_a_bond_are_counted_and_the_bond_is_not():
    links = [Link(2, "eth0", master=4), Link(3, "eth1", master=4), Link(4, "bond0", "bond")]
    assert counted(*links) == ["eth0", "eth1"]


def test_hardware_under_hardware_is_counted_once():
    """A virtual function whose traffic its master shows again (netvsc, failover)."""
    master = Link(2, "eth0")
    slave = Link(3, "enP1", master=2)
    assert counted(master, slave) == ["eth0"]
    assert parts([master, slave])[3].reason == "eth0 counts it too"


def test_a_vlan_over_a_link_that_is_here_is_not_counted():
    links = [ETH0, Link(3, "eth0.5", "vlan", lower=2)]
    assert counted(*links) == ["eth0"]
    assert parts(links)[3].reason == "eth0 counts it too"


def test_a_link_over_one_in_another_namespace_is_the_way_out_of_this_one():
    links = [Link(1, "lo", "loopback"), Link(2, "eth0", "macvlan", lower=2, lower_elsewhere=True)]
    assert counted(*links) == ["eth0"]


def test_the_number_of_a_link_in_another_namespace_is_not_taken_for_one_here():
    links = [Link(5, "eth0", "veth", lower=6, lower_elsewhere=True), Link(6, "tun0", "tun")]
    assert counted(*links) == ["eth0"]


def test_the_host_s_end_of_a_container_s_pair_is_not_counted_beside_hardware():
    links = [
        ETH0,
        Link(7, "veth1a2b", "veth", lower=2, lower_elsewhere=True, master=8),
        Link(8, "docker0", "bridge"),
    ]
    assert counted(*links) == ["eth0"]
    assert "another namespace" in parts(links)[7].reason


def test_in_a_container_its_end_of_the_pair_is_counted():
    links = [Link(1, "lo", "loopback"), Link(2, "eth0", "veth", lower=7, lower_elsewhere=True)]
    assert counted(*links) == ["eth0"]
    assert parts(links)[2].reason == "the way out of this namespace"


def test_a_pair_within_one_namespace_is_not_counted():
    links = [Link(2, "va", "veth", lower=3), Link(3, "vb", "veth", lower=2)]
    assert counted(*links) == []


def test_the_configuration_puts_in_and_leaves_out_by_shell_pattern():
    links = [ETH0, Link(3, "wg0", "wireguard"), Link(4, "wg1", "wireguard")]
    assert counted(*links, counted=("wg?",)) == ["eth0", "wg0", "wg1"]
    assert counted(*links, not_counted=("eth*",)) == []
    assert counted(*links, counted=("wg*",), not_counted=("wg1",)) == ["eth0", "wg0"]
    assert parts(links, counted=("wg0",))[3].reason == "put in by the configuration"
    assert parts(links, not_counted=("eth0",))[2].reason == "left out by the configuration"


def test_hardware_that_is_left_out_still_is_hardware():
    """Leaving eth0 out does not turn the host's end of a pair into the way out."""
    links = [ETH0, Link(7, "veth0", "veth", lower=2, lower_elsewhere=True)]
    assert counted(*links, not_counted=("eth0",)) == []


def test_patterns_are_case_sensitive():
    assert matches("eth0", ["eth*"])
    assert not matches("ETH0", ["eth*"])
    assert not matches("eth0", [])
