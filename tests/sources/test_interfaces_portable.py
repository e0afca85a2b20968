import sys
import zlib

import psutil
import pytest

from netusage.clock import boot_id, machine_id
from netusage.errors import SourceError
from netusage.model import Counters
from netusage.sources.interfaces_portable import PortableSource, PsutilReader

WRAP = 2**32


class FailingReader:
    """A system that does not let itself be read."""

    def __init__(self, error, *, counters=None):
        self._error = error
        self._counters = counters

    def counters(self):
        if self._counters is None:
            raise self._error
        return self._counters

    def stats(self):
        raise self._error

    def index(self, _name):
        return 0


def opened(reader):
    return PortableSource(reader, platform=reader.platform)


def names(source):
    return {link.name: link for link, _ in source.links()}


def row(source, name):
    """The counters of one interface in a reading, found by its index in the links."""
    reading = source.read()
    at = reading.indexes.index(zlib.crc32(name.encode()))
    return Counters(*(column[at] for column in reading[1:]))


def test_a_reading_and_the_links_say_the_same(recorded):
    for system in ("macos", "windows"):
        source = opened(recorded(system))
        links = source.links()
        assert source.read().indexes == [link.index for link, _ in links]
        assert [Counters(*values) for values in zip(*source.read()[1:], strict=True)] == [c for _, c in links]


def test_received_and_sent_are_not_swapped(recorded):
    source = opened(recorded("windows"))
    assert row(source, "Ethernet") == Counters(9_812_440_125, 914_552_118, 9_011_002, 6_120_334)


def test_the_kinds_of_a_mac_are_told_by_name(recorded):
    kinds = {name: link.kind for name, link in names(opened(recorded("macos"))).items()}
    assert kinds == {
        "lo0": "loopback",
        "gif0": "ipip",
        "stf0": "sit",
        "anpi0": "",
        "en0": "",
        "en1": "",
        "ap1": "",
        "awdl0": "",
        "llw0": "",
        "bridge0": "bridge",
        "utun0": "tun",
        "utun1": "tun",
    }


def test_the_kinds_of_windows_are_told_by_name(recorded):
    kinds = {name: link.kind for name, link in names(opened(recorded("windows"))).items()}
    assert kinds == {
        "Ethernet": "",
        "Wi-Fi": "",
        "Local Area Connection* 1": "",
        "Local Area Connection* 10": "",
        "Bluetooth Network Connection": "",
        "vEthernet (Default Switch)": "virtual",
        "vEthernet (WSL)": "virtual",
        "Loopback Pseudo-Interface 1": "loopback",
        "OpenVPN TAP-Windows6": "tun",
        "Teredo Tunneling Pseudo-Interface": "sit",
    }


def test_interfaces_say_whether_they_are_up(recorded):
    links = names(opened(recorded("windows")))
    assert links["Ethernet"].up
    assert not links["Wi-Fi"].up


def test_the_index_of_a_name_is_the_same_after_a_restart_and_after_a_return(recorded):
    reader = recorded("macos")
    source = opened(reader)
    before = names(source)
    for _ in range(3):
        reader.next()
    appeared = names(source)
    assert set(appeared) - set(before) == {"utun4"}
    for _ in range(2):
        reader.next()
    assert set(names(source)) == set(before)
    for name, link in before.items():
        assert link.index == appeared[name].index == names(opened(recorded("macos")))[name].index


def test_names_with_the_same_checksum_have_different_indexes(recorded):
    reader = recorded("macos")
    nic = reader.counters()["en0"]
    twins = ["plumless", "buckeroo"]
    assert len({zlib.crc32(name.encode()) for name in twins}) == 1
    source = PortableSource(FailingReader(OSError(), counters=dict.fromkeys(twins, nic)), platform="darwin")
    first = source.read().indexes
    assert len(set(first)) == 2
    assert source.read().indexes == first == [link.index for link, _ in source.links()]


def test_names_that_are_long_gone_are_forgotten(recorded):
    nic = recorded("macos").counters()["en0"]
    reader = FailingReader(OSError(), counters={})
    source = PortableSource(reader, platform="darwin")
    for start in range(0, 20_000, 1000):
        reader._counters = {f"veth{n}": nic for n in range(start, start + 1000)}
        indexes = source.read().indexes
    assert len(source._indexes) == 1000
    assert indexes == [zlib.crc32(f"veth{n}".encode()) for n in range(19_000, 20_000)]


def test_bytes_on_a_mac_are_taken_to_wrap_until_one_shows_that_they_do_not(recorded):
    reader = recorded("macos")
    source = opened(reader)
    assert source.counter_bits == 32
    for _ in range(2):
        before = row(source, "en0")
        reader.next()
    after = row(source, "en0")
    assert source.counter_bits == 32
    assert after.rx_bytes < before.rx_bytes
    assert (after.rx_bytes - before.rx_bytes) % WRAP == 1_474_560
    assert after.rx_packets > before.rx_packets

    nic = reader.counters()["en0"]._replace(bytes_sent=WRAP)
    whole = PortableSource(FailingReader(OSError(), counters={"en0": nic}), platform="darwin")
    whole.read()
    assert whole.counter_bits == 64


@pytest.mark.parametrize("platform", ["win32", "linux", "freebsd14"])
def test_bytes_elsewhere_are_64_bits_wide(platform, recorded):
    reader = FailingReader(OSError(), counters={"x0": recorded("macos").counters()["en0"]})
    source = PortableSource(reader, platform=platform)
    source.read()
    assert source.counter_bits == 64


def test_a_denied_reading_says_what_to_do():
    source = PortableSource(FailingReader(PermissionError(13, "Permission denied")), platform="darwin")
    for question in (source.read, source.links):
        with pytest.raises(
            SourceError, match="not allowed to read the network counters: Permission denied"
        ) as caught:
            question()
        assert caught.value.hint == "run it with administrative privileges"


def test_a_failed_reading_is_an_error():
    source = PortableSource(FailingReader(OSError("gone")), platform="win32")
    with pytest.raises(SourceError, match="cannot read the network counters: gone"):
        source.read()


def test_without_states_every_interface_is_taken_to_be_up(recorded):
    counters = recorded("windows").counters()
    source = PortableSource(FailingReader(PermissionError(), counters=counters), platform="win32")
    assert all(link.up for link in names(source).values())


def test_a_system_without_interfaces_is_no_error():
    source = PortableSource(FailingReader(OSError(), counters={}), platform="win32")
    assert source.links() == []
    assert source.read() == ([], [], [], [], [])


def test_psutils_own_refusal_is_a_denied_reading():
    reader = PsutilReader()

    def denied():
        raise psutil.AccessDenied

    with pytest.raises(PermissionError):
        reader._ask(denied)


@pytest.mark.parametrize("error", [psutil.Error(), RuntimeError("x"), NotImplementedError("x")])
def test_psutils_other_failures_are_failed_readings(error):
    def failing():
        raise error

    with pytest.raises(OSError, match=r"x|Error"):
        PsutilReader()._ask(failing)


def test_this_system_can_be_read():
    source = PortableSource()
    links = source.links()
    assert links
    assert source.read().indexes
    assert all(source.life(link) == link.life for link, _ in links)
    place = source.place()
    assert (place.boot_id, place.machine) == (boot_id(), machine_id())
    assert (place.namespace != 0) == (sys.platform == "linux")
    source.reopen()
    assert source.place() == place
    assert source.fileno() is None
    assert source.events() == []
    source.close()
    source.close()


@pytest.mark.skipif(sys.platform != "linux", reason="there is a second source on Linux only")
def test_both_sources_of_linux_agree_on_place_and_names():
    from netusage.sources.interfaces_linux import NetlinkSource

    netlink = NetlinkSource()
    try:
        portable = PortableSource()
        assert netlink.place() == portable.place()
        kinds = {link.name: link.kind for link, _ in netlink.links()}
        assert names(portable)["lo"].kind == kinds["lo"] == "loopback"
    finally:
        netlink.close()
