"""rtnetlink messages, without any system call: requests out, answers in.

Facts are those of rtnetlink(7), <linux/netlink.h>, <linux/rtnetlink.h> and <linux/if_link.h>. Every integer is in
the machine's byte order. Whatever the bytes are, a parser returns or raises SourceError.
"""

import os
import struct
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import chain
from typing import NamedTuple

from netusage.errors import SourceError
from netusage.model import Counters, Link, LinkChange, LinkEvent, Reading

# What a decoder found: a bit mask, 0 when there is more to come.
DONE = 1  # the dump ended
INTERRUPTED = 2  # interfaces came or went meanwhile: some may be missing, or there twice

HERE = -1  # stands for the number of this namespace
_NLMSG_ERROR = 2
_NLMSG_DONE = 3
_NLMSG_OVERRUN = 4
_NLM_F_REQUEST = 1
_NLM_F_MULTI = 2
_NLM_F_DUMP_INTR = 0x10
_NLM_F_DUMP = 0x300

_RTM_NEWLINK = 16
_RTM_DELLINK = 17
_RTM_GETLINK = 18
_RTM_NEWSTATS = 92
_RTM_GETSTATS = 94

_ERRNO_MAX = 4095  # the kernel's own limit
_AF_UNSPEC = 0
_IFF_UP = 1
_IFF_LOOPBACK = 8

_IFLA_STATS_LINK_64 = 1  # in RTM_NEWSTATS
_IFLA_IFNAME = 3
_IFLA_LINK = 5
_IFLA_MASTER = 10
_IFLA_WIRELESS = 11
_IFLA_LINKINFO = 18
_IFLA_STATS64 = 23
_IFLA_LINK_NETNSID = 37
_IFLA_INFO_KIND = 1  # in IFLA_LINKINFO
_NLA_TYPE_MASK = 0x3FFF  # without the nested and byte order flags

_HEADER = struct.Struct("=IHHII")  # length, type, flags, sequence, port
_END = struct.Struct("=IHHIIi")  # a header and an error number: NLMSG_DONE
_ATTRIBUTE = struct.Struct("=HH")  # length, type
_IFINFO = struct.Struct("=BxHiII")  # family, hardware type, index, flags, change
_STATS_OF = struct.Struct("=BxHiI")  # family, pad, index, filter
_COUNTERS = struct.Struct("=4Q")  # rx_packets, tx_packets, rx_bytes, tx_bytes: the head of rtnl_link_stats64
_INT = struct.Struct("=i")
_U32 = struct.Struct("=I")

_STATS_AT = _HEADER.size + _STATS_OF.size  # of the only attribute in a RTM_NEWSTATS that was asked for one
_FEW = 14  # messages: below it, rows are decoded faster than columns
_ROW_MIN = _STATS_AT + _ATTRIBUTE.size + _COUNTERS.size


class LinkMessage(NamedTuple):
    """What a RTM_NEWLINK or RTM_DELLINK says of a link.

    link: without life.
    counters: None when the message carries none.
    lower_namespace: the namespace of `link.lower` as numbered in this one (IFLA_LINK_NETNSID), or HERE.
    removed: the link was deleted, or moved to another namespace.
    """

    link: Link
    counters: Counters | None
    lower_namespace: int
    removed: bool

    def event(self, counters: Counters | None, whole: bool = True) -> LinkEvent:
        """The event that this message is, with these counters."""
        change = LinkChange.REMOVED if self.removed else LinkChange.PRESENT
        return LinkEvent(change, self.link, counters, whole)


class RefusedError(SourceError):
    """The kernel answered a request with an error.

    Attributes:
        errno: the kernel's number for it.
    """

    def __init__(self, errno: int) -> None:
        reason = os.strerror(errno) if errno <= _ERRNO_MAX else f"error {errno}"
        super().__init__(
            f"the kernel refused to list the interfaces: {reason}",
            hint="allow this process to use netlink, or set source.kind to psutil",
        )
        self.errno = errno


def stats_request() -> bytearray:
    """A request for the 64-bit counters of every interface, sequence number 0."""
    body = _STATS_OF.pack(_AF_UNSPEC, 0, 0, 1 << (_IFLA_STATS_LINK_64 - 1))
    return _request(_RTM_GETSTATS, body)


def links_request() -> bytearray:
    """A request for every interface with all its attributes but its virtual functions, sequence number 0.

    Without IFLA_EXT_MASK, the kernel leaves virtual functions out and puts the counters in.
    """
    return _request(_RTM_GETLINK, _IFINFO.pack(_AF_UNSPEC, 0, 0, 0, 0))


def set_sequence(request: bytearray, sequence: int) -> None:
    """Number a request; only messages with that number are its answer."""
    _U32.pack_into(request, 8, sequence)


def _request(kind: int, body: bytes) -> bytearray:
    return bytearray(_HEADER.pack(_HEADER.size + len(body), kind, _NLM_F_REQUEST | _NLM_F_DUMP, 0, 0) + body)


def decode_stats(data: memoryview, sequence: int, into: list[Reading]) -> int:
    """Append the counters in one datagram of a RTM_GETSTATS dump, as a reading or several.

    Args:
        data: the datagram, as unsigned bytes; it may be overwritten afterwards.
        sequence: the request's; messages with another one are left over from an earlier request and skipped.
        into: what was read so far, see `joined`.

    Returns:
        Whether the dump is DONE, INTERRUPTED or both; 0 when more follows.

    Raises:
        RefusedError: the kernel refused.
        SourceError: the bytes make no sense.
    """
    start = _decode_rows(data, sequence, into)
    rest = len(data) - start
    if rest == _END.size:
        _size, kind, flags, number, _port, error = _END.unpack_from(data, start)
        if kind == _NLMSG_DONE and flags == _NLM_F_MULTI and number == sequence and not error:
            return DONE
    elif start and not rest:
        return 0
    state = 0
    for kind, flags, number, at, end in _messages(data, start):
        if number != sequence:
            continue
        if flags & _NLM_F_DUMP_INTR:
            state |= INTERRUPTED
        if kind == _RTM_NEWSTATS:
            _decode_row(data, at, end, into)
        elif _ends_dump(kind, data, at, end):
            return state | DONE
    return state


def joined(parts: Sequence[Reading]) -> Reading:
    """The parts of one answer as one reading."""
    if len(parts) == 1:
        return parts[0]
    columns = zip(*(part.lists() for part in parts), strict=True)
    return Reading(*(list(chain.from_iterable(column)) for column in columns))


def _decode_rows(data: memoryview, sequence: int, into: list[Reading]) -> int:
    """Decode the messages at the start of a datagram column by column; return how many bytes that took.

    A kernel gives every interface a message of the same size, so one counter of all interfaces is one strided
    slice. Takes nothing (0) unless all of the headers say so; the caller then decodes message by message.
    """
    if len(data) < _ROW_MIN:
        return 0
    size: int
    size, kind, flags, number, _port = _HEADER.unpack_from(data)
    if kind != _RTM_NEWSTATS or flags != _NLM_F_MULTI or number != sequence or size & 7:
        return 0
    if not _ROW_MIN <= size <= len(data):
        return 0
    if _ATTRIBUTE.unpack_from(data, _STATS_AT) != (size - _STATS_AT, _IFLA_STATS_LINK_64):
        return 0
    rows = len(data) // size
    taken = rows * size
    decode = _few_rows if rows < _FEW else _many_rows
    reading = decode(data[:taken], rows, size)
    if reading is None:
        return 0
    into.append(reading)
    return taken


def _few_rows(table: memoryview, rows: int, size: int) -> Reading | None:
    """The columns of a table of equal messages, None when their headers differ; the cheap way for a few."""
    cells = _table_format(rows, size).unpack(table)
    heads, attributes = cells[::7], cells[2::7]
    if heads.count(heads[0]) != rows or attributes.count(attributes[0]) != rows:
        return None
    return Reading(cells[1::7], cells[5::7], cells[6::7], cells[3::7], cells[4::7])


def _many_rows(table: memoryview, rows: int, size: int) -> Reading | None:
    """The columns of a table of equal messages, None when their headers differ; the cheap way for many.

    The columns are copies whose numbers are taken out when somebody asks.
    """
    words = table.cast("Q")
    step = size >> 3
    heads = memoryview(bytes(table[:16]) * rows).cast("Q")
    attributes = memoryview(bytes(table[24:32]) * rows).cast("Q")
    if words[::step] != heads[::2] or words[1::step] != heads[1::2] or words[3::step] != attributes:
        return None
    # The index is the second half of the third word: as a column of half words, byte order does not matter.
    indexes = memoryview(table.cast("i")[5 :: step << 1].tobytes()).cast("i")
    return Reading(indexes, *(memoryview(words[n::step].tobytes()).cast("Q") for n in (6, 7, 4, 5)))


@lru_cache(maxsize=2 * _FEW)
def _table_format(rows: int, size: int) -> struct.Struct:
    """Of each message of that size: header, index, filter and attribute header, and four counters."""
    return struct.Struct("=" + f"16s4xi8s4Q{size - _ROW_MIN}x" * rows)


def _decode_row(data: memoryview, at: int, end: int, into: list[Reading]) -> None:
    if end - at < _STATS_OF.size:
        raise _broken("a statistics message is too short")
    index = _STATS_OF.unpack_from(data, at)[2]
    start = _attributes(data, at + _STATS_OF.size, end).get(_IFLA_STATS_LINK_64)
    if start is None:
        return
    into.append(Reading((index,), *((n,) for n in _counters(data, start))))


def decode_links(data: memoryview, sequence: int, into: list[LinkMessage]) -> int:
    """Append the links in one datagram of a RTM_GETLINK dump; arguments and result as `decode_stats`.

    Raises:
        RefusedError: the kernel refused.
        SourceError: the bytes make no sense, or an interface has no 64-bit counters.
    """
    state = 0
    for kind, flags, number, at, end in _messages(data):
        if number != sequence:
            continue
        if flags & _NLM_F_DUMP_INTR:
            state |= INTERRUPTED
        if kind == _RTM_NEWLINK:
            message = _link_message(data, at, end, removed=False)
            if message is None:
                continue
            if message.counters is None:
                raise SourceError(
                    f"the kernel gives no 64-bit counters for {message.link.name}",
                    hint="set source.kind to psutil",
                )
            into.append(message)
        elif _ends_dump(kind, data, at, end):
            return state | DONE
    return state


def decode_events(data: memoryview) -> list[LinkMessage]:
    """The links that one datagram of RTNLGRP_LINK speaks of.

    Raises:
        SourceError: the bytes make no sense.
    """
    found = []
    for kind, _flags, _number, at, end in _messages(data):
        if kind in (_RTM_NEWLINK, _RTM_DELLINK):
            message = _link_message(data, at, end, removed=kind == _RTM_DELLINK)
            if message is not None:
                found.append(message)
    return found


def _link_message(data: memoryview, at: int, end: int, *, removed: bool) -> LinkMessage | None:
    """The body of one RTM_NEWLINK or RTM_DELLINK; None when it does not speak of the link itself.

    Passed over: other families than AF_UNSPEC (an AF_BRIDGE removal only means that a port left its bridge),
    messages without a name, and wireless events, which carry a name and none of the link's state.
    """
    if end - at < _IFINFO.size:
        raise _broken("a link message is too short")
    family, _type, index, flags, _change = _IFINFO.unpack_from(data, at)
    if family != _AF_UNSPEC:
        return None
    found = _attributes(data, at + _IFINFO.size, end)
    if _IFLA_IFNAME not in found or _IFLA_WIRELESS in found:
        return None
    namespace = _number(data, found[_IFLA_LINK_NETNSID]) if _IFLA_LINK_NETNSID in found else HERE
    link = Link(
        index=index,
        name=_text(data, found[_IFLA_IFNAME]),
        kind="loopback" if flags & _IFF_LOOPBACK else _kind(data, found),
        up=bool(flags & _IFF_UP),
        master=_number(data, found[_IFLA_MASTER]) if _IFLA_MASTER in found else 0,
        lower=_number(data, found[_IFLA_LINK]) if _IFLA_LINK in found else 0,
        lower_elsewhere=_IFLA_LINK_NETNSID in found,
    )
    counters = _counters(data, found[_IFLA_STATS64]) if _IFLA_STATS64 in found else None
    return LinkMessage(link, counters, namespace, removed)


def _kind(data: memoryview, found: dict[int, int]) -> str:
    """The driver's name for a link that was made by software, "" for hardware."""
    start = found.get(_IFLA_LINKINFO)
    if start is None:
        return ""
    size = _ATTRIBUTE.unpack_from(data, start)[0]
    inner = _attributes(data, start + _ATTRIBUTE.size, start + size)
    return _text(data, inner[_IFLA_INFO_KIND]) if _IFLA_INFO_KIND in inner else ""


def _messages(data: memoryview, start: int = 0) -> Iterator[tuple[int, int, int, int, int]]:
    """Type, flags, sequence, start and end of the body of each message in a datagram."""
    total = len(data)
    while start < total:
        if total - start < _HEADER.size:
            raise _broken("a message header is cut short")
        size, kind, flags, sequence, _port = _HEADER.unpack_from(data, start)
        if not _HEADER.size <= size <= total - start:
            raise _broken(f"a message of {size} bytes stands in {total - start}")
        yield kind, flags, sequence, start + _HEADER.size, start + size
        start += size + 3 & ~3


def _attributes(data: memoryview, start: int, end: int) -> dict[int, int]:
    """Where each attribute starts, by type; the last one of a type counts. All of them end before `end`."""
    found = {}
    unpack, head, last = _ATTRIBUTE.unpack_from, _ATTRIBUTE.size, end - _ATTRIBUTE.size
    while start <= last:
        size, kind = unpack(data, start)
        stop = start + size
        if size < head or stop > end:
            raise _broken(f"an attribute of {size} bytes stands in {end - start}")
        found[kind & _NLA_TYPE_MASK] = start
        start = stop + 3 & ~3
    if start < end:
        raise _broken("an attribute header is cut short")
    return found


def _ends_dump(kind: int, data: memoryview, at: int, end: int) -> bool:
    """Whether a message that is not an answer ends the dump; raises when it says that the dump failed."""
    if kind not in (_NLMSG_DONE, _NLMSG_ERROR, _NLMSG_OVERRUN):
        return False
    if kind == _NLMSG_OVERRUN:
        raise _broken("an answer was lost")
    error = 0
    if end - at >= _INT.size:
        error = -_INT.unpack_from(data, at)[0]
    elif kind == _NLMSG_ERROR:
        raise _broken("an error message is too short")
    if error > 0:
        raise RefusedError(error)
    return kind == _NLMSG_DONE


def _counters(data: memoryview, start: int) -> Counters:
    if _ATTRIBUTE.unpack_from(data, start)[0] < _ATTRIBUTE.size + _COUNTERS.size:
        raise _broken("the counters are cut short")
    rx_packets, tx_packets, rx_bytes, tx_bytes = _COUNTERS.unpack_from(data, start + _ATTRIBUTE.size)
    return Counters(rx_bytes, tx_bytes, rx_packets, tx_packets)


def _number(data: memoryview, start: int) -> int:
    if _ATTRIBUTE.unpack_from(data, start)[0] < _ATTRIBUTE.size + _U32.size:
        raise _broken("a number is cut short")
    return int(_U32.unpack_from(data, start + _ATTRIBUTE.size)[0])


def _text(data: memoryview, start: int) -> str:
    r"""A string up to its NUL; what is not printable UTF-8 is written as \x escapes.

    The kernel takes any bytes as a name except white space, "/" and ":".
    """
    end = start + _ATTRIBUTE.unpack_from(data, start)[0]
    text = bytes(data[start + _ATTRIBUTE.size : end]).partition(b"\0")[0].decode("utf-8", "backslashreplace")
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def _broken(what: str) -> SourceError:
    return SourceError(
        f"the kernel's answer about the interfaces makes no sense: {what}",
        hint="set source.kind to psutil",
    )
