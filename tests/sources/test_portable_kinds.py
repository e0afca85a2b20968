import pytest

from netusage.sources.portable_kinds import kind_of, kind_on_linux


@pytest.mark.parametrize(
    ("platform", "name", "kind"),
    [
        ("darwin", "lo0", "loopback"),
        ("darwin", "bridge100", "bridge"),
        ("darwin", "vmenet0", "tun"),
        ("darwin", "vmnet8", "virtual"),
        ("darwin", "ipsec0", "xfrm"),
        ("darwin", "feth1234", "veth"),
        ("darwin", "pktap0", "nlmon"),
        ("darwin", "en7", ""),
        ("win32", "LOOPBACK Pseudo-Interface 1", "loopback"),
        ("win32", "vEthernet (External)", "virtual"),
        ("win32", "isatap.example.org", "sit"),
        ("win32", "6TO4 Adapter", "sit"),
        ("win32", "WireGuard Tunnel", "wireguard"),
        ("win32", "OpenVPN Wintun", "tun"),
        ("win32", "VirtualBox Host-Only Network #2", "virtual"),
        ("win32", "Ethernet 3", ""),
        ("linux", "lo", "loopback"),
        ("linux", "lowpan0", ""),
        ("linux", "docker0", "bridge"),
        ("linux", "br-2c1f0e", "bridge"),
        ("linux", "veth12ab", "veth"),
        ("linux", "wg0", "wireguard"),
        ("linux", "eth0.100", "vlan"),
        ("linux", "enp3s0", ""),
        ("linux", "wlp2s0", ""),
        ("freebsd14", "epair0a", "veth"),
        ("freebsd14", "lagg0", "bond"),
        ("freebsd14", "em0", ""),
    ],
)
def test_a_name_stands_for_a_kind(platform, name, kind):
    assert kind_of(name, platform) == kind


def sysfs(tmp_path, name, *, marks=(), uevent="", number="1"):
    directory = tmp_path / name
    directory.mkdir()
    for mark in marks:
        (directory / mark).mkdir()
    (directory / "uevent").write_text(f"{uevent}\nINTERFACE={name}\nIFINDEX=4\n")
    (directory / "type").write_text(f"{number}\n")
    return str(tmp_path)


@pytest.mark.parametrize(
    ("has", "kind"),
    [
        ({"marks": ["bridge"]}, "bridge"),
        ({"marks": ["bonding"]}, "bond"),
        ({"marks": ["tun_flags"]}, "tun"),
        ({"uevent": "DEVTYPE=vlan"}, "vlan"),
        ({"uevent": "DEVTYPE=wireguard"}, "wireguard"),
        ({"uevent": "DEVTYPE=wlan", "marks": ["device"]}, ""),
        ({"number": "772"}, "loopback"),
        ({"number": "776"}, "sit"),
        ({}, ""),
    ],
)
def test_sysfs_tells_the_kind_whatever_the_name_is(tmp_path, has, kind):
    assert kind_on_linux("uplink", sysfs(tmp_path, "uplink", **has)) == kind


def test_hardware_is_hardware_whatever_its_name_is(tmp_path):
    assert kind_on_linux("br-lan", sysfs(tmp_path, "br-lan", marks=["device"])) == ""


def test_the_name_decides_where_sysfs_is_silent(tmp_path):
    assert kind_on_linux("veth0", sysfs(tmp_path, "veth0")) == "veth"
    assert kind_on_linux("wg0", str(tmp_path / "missing")) == "wireguard"


def test_unreadable_sysfs_files_leave_it_to_the_name(tmp_path):
    (tmp_path / "wg0").mkdir()
    assert kind_on_linux("wg0", str(tmp_path)) == "wireguard"
