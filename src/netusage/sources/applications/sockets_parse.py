"""Messages of sock_diag(7) about TCP sockets and of rtnetlink(7) about addresses, without any system call.

<linux/inet_diag.h>, <linux/tcp.h>, <linux/sock_diag.h> and <linux/if_addr.h>. Integers are in the machine's byte order
but for ports and addresses. Whatever the bytes are, a parser returns or raises SourceError.
"""

import os
import struct
from collections.abc import Iterator
from typing import Final, NamedTuple

from netusage.errors import SourceError
from netusage.sources.applications.scopes import MAPPED

Data = bytes | memoryview
TCP_DESTROYED: Final = (1, 3)  # groups: SKNLGRP_INET_TCP_DESTROY, SKNLGRP_INET6_TCP_DESTROY
FAMILIES: Final = (2, 10)  # AF_INET, AF_INET6

_NLMSG_ERROR, _NLMSG_DONE = 2, 3
_NLM_F_REQUEST_DUMP = 0x301
_RTM_NEWADDR, _RTM_GETADDR = 20, 22
_SOCK_DIAG_BY_FAMILY = 20
_TCP = 6
_INET_DIAG_INFO, _INET_DIAG_CGROUP_ID = 2, 21
_IFA_ADDRESS, _IFA_LOCAL = 1, 2
_ERRNO_MAX = 4095

_CLOSED = 7
_SENT_FIN = (4, 5, 7, 9, 11)  # FIN_WAIT1, FIN_WAIT2, nearly always CLOSE, LAST_ACK, CLOSING
_GOT_FIN = (8, 9, 11)  # CLOSE_WAIT, LAST_ACK, CLOSING
_COUNTED = sum(1 << state for state in (1, 2, 4, 5, 8, 9, 11))  # neither TIME_WAIT, LISTEN nor SYN_RECV count
_EPHEMERAL = 32768  # the first port that Linux gives who asks for none, ip(7)
_JUST_NOW = 100  # milliseconds; longer than the kernel is kept from reading on

_HEADER = struct.Struct("=IHHII")  # length, type, flags, sequence, port
_REQUEST = struct.Struct("=BBBxI48x")  # struct inet_diag_req_v2: family, protocol, attributes, states
_MESSAGE = struct.Struct("=BB2x4s16s16sIQ4xIIII")  # struct inet_diag_msg
_PORTS = struct.Struct("!HH")
_ATTRIBUTE = struct.Struct("=HH")
# struct tcp_info from tcpi_bytes_acked on: it, bytes_received, notsent_bytes, bytes_sent, bytes_retrans (Linux 4.19)
_COUNTS = struct.Struct("=QQ8xI52xQQ")
_AGES_AT, _COUNTS_AT = 52, 120
_AGES = struct.Struct("=II")  # tcpi_last_data_recv, tcpi_last_ack_recv: milliseconds
_U64 = struct.Struct("=Q")
_INT = struct.Struct("=i")
_IFADDR = struct.Struct("=B3xI")  # struct ifaddrmsg: family, index


class TcpSocket(NamedTuple):
    """A TCP socket as the kernel tells of it.

    cookie: a number that no other socket of this boot has.
    family: 4 or 6; an IPv6 socket that talks to an IPv4 address is 4.
    local, remote: packed addresses.
    ports: local and remote.
    ifindex: of the interface that it is bound to, else 0.
    uid, inode: 0 where no process has it open (not accepted yet, closed), and when it ends.
    cgroup: number of its cgroup in the unified tree; 0 when it ends.
    idle: milliseconds since the last sign of the other end.
    acked: sequence numbers that the other end has acknowledged (tcpi_bytes_acked).
    rx_bytes, tx_bytes: payload.
    withheld: one more that was received just now, and may be payload or a FIN; else 0.
    """

    cookie: int
    family: int
    local: bytes
    remote: bytes
    ports: tuple[int, int]
    ifindex: int
    uid: int
    inode: int
    cgroup: int
    idle: int
    acked: int
    rx_bytes: int
    tx_bytes: int
    withheld: int


def sockets_request(family: int) -> bytes:
    """A request for all TCP sockets of a family that carry data; the sequence number is the family's."""
    body = _REQUEST.pack(family, _TCP, 1 << (_INET_DIAG_INFO - 1), _COUNTED)
    return _request(_SOCK_DIAG_BY_FAMILY, family, body)


def addresses_request() -> bytes:
    """A request for the addresses of all interfaces, sequence number 0."""
    return _request(_RTM_GETADDR, 0, _IFADDR.pack(0, 0))


def _request(kind: int, sequence: int, body: bytes) -> bytes:
    return _HEADER.pack(_HEADER.size + len(body), kind, _NLM_F_REQUEST_DUMP, sequence, 0) + body


def decode_sockets(data: Data, into: list[TcpSocket]) -> bool:
    """Append the sockets in one datagram, be it of a dump or of those that end; those without counts are left out.

    Returns:
        Whether it ends a dump.

    Raises:
        SourceError: the kernel refused, or the bytes make no sense.
    """
    for kind, at, end in _messages(data):
        if kind == _SOCK_DIAG_BY_FAMILY:
            found = _socket(data, at, end)
            if found is not None:
                into.append(found)
        elif _ends(kind, data, at, end):
            return True
    return False


def decode_addresses(data: Data, into: dict[bytes, int]) -> bool:
    """Note the interfaces' numbers by packed address from one datagram; result and errors as `decode_sockets`."""
    for kind, at, end in _messages(data):
        if kind == _RTM_NEWADDR:
            if end - at < _IFADDR.size:
                raise _broken("a message on an address is too short")
            attributes = dict(_attributes(data, at + _IFADDR.size, end))
            place = attributes.get(_IFA_LOCAL) or attributes.get(_IFA_ADDRESS)
            if place is not None:
                into[bytes(data[slice(*place)])] = _IFADDR.unpack_from(data, at)[1]
        elif _ends(kind, data, at, end):
            return True
    return False


def _socket(data: Data, at: int, end: int) -> TcpSocket | None:
    """What a struct inet_diag_msg and its attributes tell; None without a struct tcp_info of Linux 4.19 or newer.

    Sent payload is bytes_sent - bytes_retrans. Where the queue of an interface drops, the kernel adds to bytes_sent
    without having sent; then there are more of them than sequence numbers, and those count, without SYN and FIN.
    Received payload is bytes_received without the FIN. The kernel reads the state of a living socket before the counts,
    so a FIN may have come in between: if anything came just now, a byte of it is withheld.
    """
    if end - at < _MESSAGE.size:
        raise _broken("a message on a socket is too short")
    family, state, ports, local, remote, ifindex, cookie, rqueue, wqueue, uid, inode = _MESSAGE.unpack_from(
        data, at
    )
    info = cgroup = 0
    for kind, (start, stop) in _attributes(data, at + _MESSAGE.size, end):
        if kind == _INET_DIAG_INFO and stop - start >= _COUNTS_AT + _COUNTS.size:
            info = start
        elif kind == _INET_DIAG_CGROUP_ID and stop - start >= _U64.size:
            cgroup = _U64.unpack_from(data, start)[0]
    if not info:
        return None
    acked, received, unsent, sent, again = _COUNTS.unpack_from(data, info + _COUNTS_AT)
    own, others = _PORTS.unpack(ports)
    passed = acked + wqueue - unsent
    flags = (state in _SENT_FIN) + (own > others)  # who connects mostly has the higher port
    tx_bytes = sent - again if sent - again <= passed else max(passed - flags, 0)
    data_age, age = _AGES.unpack_from(data, info + _AGES_AT)
    withheld = False
    if state == _CLOSED:
        got_fin = _has_got_fin(passed - tx_bytes, rqueue, is_client=own > others < _EPHEMERAL)
    else:
        got_fin = data[info] in _GOT_FIN  # tcpi_state, which is read later than idiag_state
        withheld = not got_fin and received > 0 and age < _JUST_NOW
    if family == FAMILIES[0]:
        local, remote = local[:4], remote[:4]
    elif remote.startswith(MAPPED):
        local, remote = local[12:], remote[12:]
    return TcpSocket(
        cookie,
        4 if len(remote) == 4 else 6,
        local,
        remote,
        (own, others),
        ifindex,
        uid,
        inode,
        cgroup,
        min(data_age, age),
        acked,
        max(received - got_fin - withheld, 0),
        tx_bytes,
        int(withheld),
    )


def _has_got_fin(flags: int, unread: int, *, is_client: bool) -> bool:
    """Whether `bytes_received` of a socket that ended has the other end's FIN in it, which the kernel does not say.

    A socket that sent a FIN nearly always got one. Who connects counts its SYN, who accepts does not.

    Args:
        flags: how many of SYN and FIN are among the sequence numbers that it sent.
        unread: sequence numbers that were received and not read; more than a FIN, and it ended with a reset.
        is_client: whether it surely connected and did not accept.
    """
    return unread < 2 and flags > is_client


def _messages(data: Data) -> Iterator[tuple[int, int, int]]:
    """Type, start and end of the body of each message in a datagram."""
    at, total = 0, len(data)
    while at < total:
        if total - at < _HEADER.size:
            raise _broken("a message header is cut short")
        size, kind, _flags, _sequence, _port = _HEADER.unpack_from(data, at)
        if not _HEADER.size <= size <= total - at:
            raise _broken(f"a message of {size} bytes stands in {total - at}")
        yield kind, at + _HEADER.size, at + size
        at += size + 3 & ~3


def _attributes(data: Data, at: int, end: int) -> Iterator[tuple[int, tuple[int, int]]]:
    """Type, and start and end of the value, of each attribute."""
    while end - at >= _ATTRIBUTE.size:
        size, kind = _ATTRIBUTE.unpack_from(data, at)
        if not _ATTRIBUTE.size <= size <= end - at:
            raise _broken(f"an attribute of {size} bytes stands in {end - at}")
        yield kind, (at + _ATTRIBUTE.size, at + size)
        at += size + 3 & ~3


def _ends(kind: int, data: Data, at: int, end: int) -> bool:
    """Whether a message ends a dump; raises when it says that the kernel refused it."""
    if kind not in (_NLMSG_ERROR, _NLMSG_DONE):
        return False
    error = -_INT.unpack_from(data, at)[0] if end - at >= _INT.size else 0
    if error > 0:
        reason = os.strerror(error) if error <= _ERRNO_MAX else f"error {error}"
        raise SourceError(f"the kernel refused to list sockets: {reason}", hint="load its module tcp_diag")
    return True


def _broken(why: str) -> SourceError:
    return SourceError(f"the kernel's answer on sockets makes no sense: {why}")
