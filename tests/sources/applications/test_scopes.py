"""How far away the other end is, by its address."""

import socket

import pytest

from netusage.sources.applications.counts import Scope
from netusage.sources.applications.scopes import scope_of

IPV4 = {
    Scope.LOOPBACK: ("127.0.0.1", "127.255.255.255"),
    Scope.LAN: (
        *("10.0.0.0", "10.255.255.255", "172.16.0.0", "172.31.255.255"),
        *("192.168.0.0", "192.168.255.255", "100.64.0.0", "100.127.255.255"),
    ),
    Scope.LINK: ("169.254.0.0", "169.254.255.255", "224.0.0.1", "239.255.255.255", "255.255.255.255"),
    Scope.INTERNET: (
        *("126.255.255.255", "128.0.0.0", "9.255.255.255", "11.0.0.0", "172.15.255.255", "172.32.0.0"),
        *("192.167.255.255", "192.169.0.0", "100.63.255.255", "100.128.0.0", "169.253.255.255"),
        *("169.255.0.0", "223.255.255.255", "8.8.8.8", "0.0.0.0"),
    ),
}
IPV6 = {
    Scope.LOOPBACK: ("::1",),
    Scope.LAN: ("fc00::", "fdff:ffff::1"),
    Scope.LINK: ("fe80::1", "febf::1", "ff02::1", "ff0e::1"),
    Scope.INTERNET: ("::", "::2", "1::1", "2001:db8::1", "fbff::1", "fec0::1", "fe7f::1", "64:ff9b::a00:1"),
}


def cases(table):
    return [(address, scope) for scope, addresses in table.items() for address in addresses]


@pytest.mark.parametrize(("address", "scope"), cases(IPV4))
def test_each_ipv4_address_has_the_scope_of_its_range(address, scope):
    assert scope_of(socket.inet_aton(address)) == scope


@pytest.mark.parametrize(("address", "scope"), cases(IPV6))
def test_each_ipv6_address_has_the_scope_of_its_range(address, scope):
    assert scope_of(socket.inet_pton(socket.AF_INET6, address)) == scope


@pytest.mark.parametrize(("address", "scope"), cases(IPV4))
def test_an_ipv4_address_in_an_ipv6_address_has_its_own_scope(address, scope):
    assert scope_of(socket.inet_pton(socket.AF_INET6, f"::ffff:{address}")) == scope
