"""The Linux source: raw rtnetlink sockets, one for questions, one for link events.

Counters come from a RTM_GETSTATS dump (Linux 4.7 and later), which answers with nothing but the 64-bit counters,
or from a RTM_GETLINK dump where the kernel has no such thing. Events come from RTNLGRP_LINK; the removal of a
link carries its final counters. A third socket hears of the far ends of veth pairs that lead to other namespaces.
Parsing is in `interfaces_linux_parse`.
"""

import contextlib
import errno
import select
import socket
import struct
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from netusage.clock import boot_id, machine_id
from netusage.errors import SourceError
from netusage.model import ZERO, Counters, Link, LinkEvent, Place, Reading
from netusage.sources import interfaces_linux_parse as parse
from netusage.sources.base import EventsLostError, UnsettledError
from netusage.sources.interfaces_linux_parse import HERE, LinkMessage
from netusage.sources.lives_linux import life_of
from netusage.sources.namespace import namespace_of
from netusage.sources.pppoe_linux import told_apart
from netusage.sources.veth_linux import Pairs

_Row = TypeVar("_Row")

_RTNLGRP_LINK = 1  # as a bit mask: group 1 is bit 0
_SOL_NETLINK = 270
_NETLINK_LISTEN_ALL_NSID = 8
_INT = struct.Struct("=i")
_NOTES = 64  # bytes of ancillary data: one namespace number, with room to spare
_SO_RCVBUFFORCE = 33  # asm-generic/socket.h; needs CAP_NET_ADMIN, and is not held to net.core.rmem_max
_EVENT_BUFFER = 16 << 20  # 2,000 removals at once arrived with this; the default lost events at 92
_BUFFER = 32 << 10  # netlink(7): the kernel fills at most 32 KiB at a time, unless one message is larger
_ANSWER_SECONDS = 5  # the kernel answers within the call; this only keeps a fault from hanging the recorder
_TRIES = 8  # of a dump during which interfaces came or went
_MOST_EVENTS = 1 << 16  # drained in one call; far more than the event buffer can hold
_UNSUPPORTED = (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS)


class NetlinkSource:
    """Every interface of the network namespace in which it was opened.

    Opening it raises SourceError where netlink cannot be used.
    """

    name = "netlink"
    counter_bits = 64

    def __init__(self) -> None:
        self._buffer = bytearray(_BUFFER)
        self._view = memoryview(self._buffer)
        self._sequence = 0
        self._stats_request = parse.stats_request()
        self._links_request = parse.links_request()
        self._has_stats = True
        self._dumps: socket.socket | None = None
        self._news: socket.socket | None = None
        self._elsewhere: socket.socket | None = None
        self._pairs = Pairs()
        self._failure: SourceError | None = None
        self._place = Place("")
        self.reopen()

    def place(self) -> Place:
        """Boot, namespace cookie and machine, as they were when the source was opened."""
        return self._place

    def fileno(self) -> int:
        """The event socket, readable when link events wait."""
        return _opened(self._news).fileno()

    @property
    def event_buffer_bytes(self) -> int:
        """How much the kernel lets wait on the event socket; small without CAP_NET_ADMIN, so that bursts are lost."""
        return _opened(self._news).getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)

    def reopen(self) -> None:
        """Open the sockets anew, events first, so that nothing falls between them and the first `links`."""
        self.close()
        try:
            self._news = _event_socket()
            self._elsewhere = _elsewhere_socket()
            self._waiting = select.poll()
            for sock in (self._news, self._elsewhere):
                if sock is not None:
                    self._waiting.register(sock, select.POLLIN)
            self._dumps = _dump_socket()
            self._place = Place(boot_id(), namespace_of(self._news), machine_id())
            self._has_stats = self._probe()
        except OSError as error:
            self.close()
            raise _not_opened(error) from error
        except SourceError:
            self.close()
            raise

    def close(self) -> None:
        """Close every socket."""
        for sock in (self._dumps, self._news, self._elsewhere):
            if sock is not None:
                sock.close()
        self._dumps = self._news = self._elsewhere = self._failure = None
        self._pairs = Pairs()

    def links(self) -> list[tuple[Link, Counters]]:
        """Every interface with its counters and its life, from one dump."""
        messages = self._list()
        self._pairs.know(messages)
        return [(told_apart(m.link)._replace(life=self.life(m.link)), m.counters or ZERO) for m in messages]

    def life(self, link: Link) -> int:
        """The inode of the link's directory in sysfs, see `lives_linux`."""
        return life_of(link.name, link.index)

    def read(self) -> Reading:
        """The counters of every interface, from one dump.

        When interfaces come and go meanwhile, one may be missing or there twice; each row is true for itself.
        """
        if self._has_stats:
            return parse.joined(self._stats())
        return Reading.of_rows((m.link.index, *(m.counters or ZERO)) for m in self._list())

    def events(self) -> list[LinkEvent]:
        """The link events that wait; see `Source.events`.

        Raises:
            EventsLostError: the kernel dropped events (ENOBUFS), or one could not be understood.
            SourceError: the socket failed.
        """
        if self._failure is None and self._news is not None and not self._waiting.poll(0):
            return []
        found: list[LinkMessage] = []
        if self._failure is None:
            self._failure = self._drain(
                _opened(self._news), lambda _, data: found.extend(parse.decode_events(data))
            )
        elsewhere: list[tuple[int, LinkMessage]] = []
        if self._elsewhere is not None:
            # Drained after the other: the kernel tells of the parting of a pair before the removal of its near end.
            missed = self._drain(self._elsewhere, partial(_take_elsewhere, elsewhere))
            if missed is not None:
                self._pairs.deafen()
        events = [e._replace(link=told_apart(e.link)) for e in self._pairs.complete(found, elsewhere)]
        if not events and self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure
        return events

    def _drain(self, sock: socket.socket, take: Callable[[int, memoryview], object]) -> SourceError | None:
        """Hand over each waiting datagram with the namespace that it speaks of; what went wrong, if something did."""
        failure: SourceError | None = None
        for _ in range(_MOST_EVENTS):
            try:
                size, notes, _, sender = sock.recvmsg_into([self._buffer], _NOTES, socket.MSG_TRUNC)
                if sender[0] != 0:
                    continue  # not from the kernel
                if size > len(self._buffer):
                    self._grow(size)
                    failure = _events_lost("one was larger than any before")
                    continue
                take(_namespace_in(notes), self._view[:size])
            except BlockingIOError:
                break
            except OSError as error:
                if error.errno == errno.ENOBUFS:  # what came before the overflow still waits
                    failure = _events_lost("more came at once than its buffer holds")
                    continue
                return SourceError(
                    f"cannot read link events: {error.strerror or error}", hint="open the source again"
                )
            except SourceError as error:
                failure = _events_lost(error.message)
        return failure

    def _probe(self) -> bool:
        """Whether the kernel knows RTM_GETSTATS; raises when it does not list its interfaces either.

        A kernel that does not know it says so, or answers with an empty list.
        """
        try:
            if self._stats():
                return True
        except parse.RefusedError as error:
            if error.errno not in _UNSUPPORTED:
                raise
        self._list()
        return False

    def _stats(self) -> list[Reading]:
        return self._dump(self._stats_request, parse.decode_stats, must_be_whole=False)

    def _list(self) -> list[LinkMessage]:
        return self._dump(self._links_request, parse.decode_links, must_be_whole=True)

    def _dump(
        self, request: bytearray, decode: Callable[[memoryview, int, list[_Row]], int], *, must_be_whole: bool
    ) -> list[_Row]:
        """Ask until an answer is whole, or once more when each row is good for itself."""
        answer: list[_Row] = []
        if self._ask(request, decode, answer) == parse.DONE:
            return answer  # as ever, but when interfaces come and go
        for _ in range(_TRIES - 1):
            answer = []
            state = self._ask(request, decode, answer)
            if state == parse.DONE or (state and not must_be_whole):
                return answer
        raise UnsettledError("interfaces kept coming and going while they were listed", hint="try again")

    def _ask(
        self, request: bytearray, decode: Callable[[memoryview, int, list[_Row]], int], answer: list[_Row]
    ) -> int:
        """Ask once and decode into `answer`; DONE, with INTERRUPTED when links may be missing or doubled, or 0.

        After a failure the socket is replaced, since the rest of a broken answer may still come out of it.
        """
        dumps = self._dumps or self._open_dumps()
        self._sequence = sequence = self._sequence + 1 & 0xFFFFFFFF
        parse.set_sequence(request, sequence)
        state, buffer = 0, self._buffer
        try:
            dumps.send(request)
            while not state & parse.DONE:
                size = dumps.recv_into(buffer, 0, socket.MSG_TRUNC)
                if size > len(buffer):
                    self._grow(size)
                    self._drop_dumps()
                    return 0
                state |= decode(self._view[:size], sequence, answer)
        except OSError as error:
            self._drop_dumps()
            raise SourceError(
                f"cannot read the interface counters: {error.strerror or error}", hint="try again"
            ) from error
        except SourceError:
            self._drop_dumps()
            raise
        return state

    def _open_dumps(self) -> socket.socket:
        _opened(self._news)
        try:
            self._dumps = dumps = self._at_home(_dump_socket())
        except OSError as error:
            raise _not_opened(error) from error
        return dumps

    def _at_home(self, sock: socket.socket) -> socket.socket:
        """Refuse a socket that was opened later and in another namespace than the rest."""
        if namespace_of(sock) != self._place.namespace:
            sock.close()
            raise SourceError("this thread moved to another network namespace", hint="open the source again")
        return sock

    def _drop_dumps(self) -> None:
        if self._dumps is not None:
            self._dumps.close()
            self._dumps = None

    def _grow(self, size: int) -> None:
        """Make room for a datagram of that size; the one that did not fit is gone."""
        self._buffer = bytearray(-(-size // _BUFFER) * _BUFFER)
        self._view = memoryview(self._buffer)


def _dump_socket() -> socket.socket:
    sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)
    try:
        with contextlib.suppress(OSError):  # not settimeout: that would cost a poll(2) before every call
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("@ll", _ANSWER_SECONDS, 0))
        sock.bind((0, 0))
    except OSError:
        sock.close()
        raise
    return sock


def _event_socket(*, elsewhere: bool = False) -> socket.socket:
    """A socket for link events; `elsewhere`: also of the namespaces that this one has a number for."""
    sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)
    try:
        sock.setblocking(False)
        try:
            sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _EVENT_BUFFER)
        except OSError:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _EVENT_BUFFER)  # cut to net.core.rmem_max
        if elsewhere:
            sock.setsockopt(_SOL_NETLINK, _NETLINK_LISTEN_ALL_NSID, 1)
        sock.bind((0, _RTNLGRP_LINK))
    except OSError:
        sock.close()
        raise
    return sock


def _elsewhere_socket() -> socket.socket | None:
    """A socket that hears other namespaces, None without CAP_NET_BROADCAST.

    It is one of its own because it hears this namespace as well, and cannot always tell it from the others.
    """
    try:
        return _event_socket(elsewhere=True)
    except OSError:
        return None


def _take_elsewhere(into: list[tuple[int, LinkMessage]], namespace: int, data: memoryview) -> None:
    if namespace != HERE:
        into.extend((namespace, message) for message in parse.decode_events(data))


def _namespace_in(notes: list[tuple[int, int, bytes]]) -> int:
    """The namespace that a datagram speaks of, as numbered in this one; HERE when it is not said."""
    for level, kind, value in notes:
        if (level, kind) == (_SOL_NETLINK, _NETLINK_LISTEN_ALL_NSID) and len(value) == _INT.size:
            return int(_INT.unpack(value)[0])
    return HERE


def _opened(sock: socket.socket | None) -> socket.socket:
    if sock is None:
        raise SourceError("the netlink source is closed", hint="open it again")
    return sock


def _not_opened(error: OSError) -> SourceError:
    return SourceError(
        f"cannot open a netlink socket: {error.strerror or error}",
        hint="allow AF_NETLINK sockets for this process, or set source.kind to psutil",
    )


def _events_lost(why: str) -> EventsLostError:
    return EventsLostError(f"the kernel dropped link events: {why}", hint="read the list of interfaces again")
