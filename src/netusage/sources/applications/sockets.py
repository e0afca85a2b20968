"""Counters by owner from what the kernel tells everybody of TCP sockets, without privileges.

sock_diag(7): a dump says what living sockets have sent and received so far, and the groups SKNLGRP_INET_TCP_DESTROY and
SKNLGRP_INET6_TCP_DESTROY what a socket had when it ended. Needs Linux 5.14; sees the network namespace it is made in.
"""

import contextlib
import os
import select
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Self

from netusage.errors import SourceError
from netusage.sources.applications import cgroups
from netusage.sources.applications import sockets_parse as parse
from netusage.sources.applications.counts import UNNAMED, Count, Key, Owner, Scope
from netusage.sources.applications.kernel import netns_cookie
from netusage.sources.applications.scopes import scope_of
from netusage.sources.applications.sockets_ends import Ends
from netusage.sources.applications.sockets_owners import Owners
from netusage.sources.applications.sockets_parse import TcpSocket

_NETLINK_ROUTE, _NETLINK_SOCK_DIAG = 0, 4
_ANSWER = 1 << 16  # bytes; more than a datagram of a dump has
_TCP = 6
_LOOPBACK = 1  # number of `lo` in every network namespace

_EVERY = 1.0  # seconds between two dumps, and between two lists of addresses
_LOOKS = 3  # through /proc for the owner of a socket
_OWNERS, _KEYS = 16384, 65536
_ENDS_AWAITED = 16384  # sockets
_PLACES = 16384
_TICK = 0.01  # seconds; the kernel's milliseconds are as coarse as that


class _Known:
    """A socket that was seen living.

    key: whose its bytes are, and where they go.
    tx_bytes, rx_bytes: payload that is counted already, or was there before counting began.
    acked: as it said last; grows unless it is used for another connection.
    looks: how often its owner may still be looked for.
    """

    __slots__ = ("acked", "key", "looks", "rx_bytes", "tx_bytes")

    def __init__(self, key: Key, looks: int) -> None:
        self.key = key
        self.looks = looks
        self.rx_bytes = self.tx_bytes = self.acked = 0


class SocketApplications:
    """TCP payload by owner, from dumps of INET_DIAG and the last words of sockets that end; a context manager.

    Each byte of payload counts once when it was sent, acknowledged or not, and once when it was received in order;
    headers and packets are not known. UDP is not counted: INET_DIAG has no bytes of it. Exact but for these: of a
    connection that no dump saw, a received FIN may count, or not be taken for one, as a byte; what a connection had since
    the last dump is lost when it is closed with SO_LINGER of 0, because the kernel forgets it first.

    The owner of a socket is known where a dump saw it living and /proc shows whose descriptor it is; an ordinary user
    sees only own processes, of others the user and the cgroup. A thread takes the last words as they arrive.

    Args:
        clock: a monotonic time in seconds.

    Attributes:
        cgroups: a path of the root of the unified cgroup tree, "" where it is not mounted.
        born: tells this life of the counters, which began at zero, from any other.
        losses: how often the kernel dropped last words because its buffer was full.

    Raises:
        SourceError: the kernel does not tell.
    """

    tier = "sockets"
    frames = True
    lasts = False

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.cgroups = cgroups.mounted_at("/proc/self/mountinfo")
        self.born = int.from_bytes(os.urandom(7), "little")
        self.losses = 0
        self._clock = clock
        self._lock = threading.Lock()  # of everything below that the thread changes
        self._counts: dict[Key, list[int]] = {}
        self._known: dict[int, _Known] = {}  # by cookie; those whose end is awaited too
        self._awaited: dict[int, None] = {}  # cookies that were missing in a dump, the oldest first
        self._ended: set[int] = set()  # cookies, since the last dump began
        self._is_dumping = False
        self._lost = False  # last words, since the last dump
        self._failure: SourceError | None = None
        self._owners = Owners(clock)
        self._open = contextlib.ExitStack()
        try:
            self._begin()
        except OSError as error:
            self.close()
            raise SourceError(
                f"the kernel does not tell of TCP sockets here: {error.strerror or error}",
                hint="it needs Linux 5.14 or newer with INET_DIAG (module tcp_diag), and AF_NETLINK sockets",
            ) from error
        except BaseException:
            self.close()
            raise

    def _begin(self) -> None:
        """Note what sockets have already; from then on listen for their ends."""
        self._netns = netns_cookie()
        self._route = _Places(self._open.enter_context(_netlink(_NETLINK_ROUTE)), self._clock)
        self._diag = self._open.enter_context(_netlink(_NETLINK_SOCK_DIAG))
        self._since = self._dumped_at = self._clock()
        for one in self._dump():
            known = self._known[one.cookie] = _Known(self._key(one, self._owners.without_name(one)), _LOOKS)
            known.rx_bytes, known.tx_bytes, known.acked = one.rx_bytes + one.withheld, one.tx_bytes, one.acked
        self._ends = Ends()
        self._open.callback(self._ends.close)
        stop = os.eventfd(0, os.EFD_CLOEXEC)
        self._open.callback(os.close, stop)
        listener = threading.Thread(target=self._listen, args=(stop,), name="ends of sockets", daemon=True)
        listener.start()
        self._open.callback(listener.join)
        self._open.callback(os.eventfd_write, stop, 1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Listen no more; may be called twice."""
        self._open.close()

    def is_nearly_full(self) -> bool:
        """Whether more is held than a process should hold for long."""
        with self._lock:
            return len(self._owners) > _OWNERS or len(self._counts) > _KEYS

    def owner(self, number: int) -> Owner | None:
        """Who an owner is; None for UNNAMED: what was seen only when it ended, too late to tell."""
        return self._owners.get(number)

    def look(self) -> None:
        """Ask for living sockets, once a second at the most: an owner is known of those that were seen living.

        Raises:
            SourceError: the kernel refused, or its answer makes no sense; this is over then.
        """
        if self._failure is not None:
            raise self._failure
        self._take_ends()
        now = self._clock()
        if self._lost or now - self._dumped_at >= _EVERY:
            self._dumped_at = now
            self._count_living()

    def read(self) -> dict[Key, Count]:
        """Everything that was counted since this was made, after a `look`.

        Raises:
            SourceError: as `look`.
        """
        self.look()
        with self._lock:
            return {
                key: Count(both[0], both[1], 0, 0, 0, 0, 0, 0)
                for key, both in self._counts.items()
                if any(both)
            }

    # ---- Sockets that live --------------------------------------------------------------------------------------

    def _count_living(self) -> None:
        with self._lock:
            self._is_dumping, self._lost = True, False
        try:
            with self._failing():
                living = self._dump()
                self._owners.look_for(self._without_owner(living))
                with self._lock:
                    self._route.refresh()
                    for one in living:
                        if one.cookie not in self._ended:
                            self._count(one, self._known_living(one))
                    self._await_ends({one.cookie for one in living})
        finally:
            with self._lock:
                self._is_dumping = False
                self._ended.clear()

    def _dump(self) -> list[TcpSocket]:
        """All sockets that carry data, as they are now."""
        found: list[TcpSocket] = []
        for family in parse.FAMILIES:
            self._diag.send(parse.sockets_request(family))
            while not parse.decode_sockets(self._diag.recv(_ANSWER), found):
                pass
        return found

    def _without_owner(self, living: Iterable[TcpSocket]) -> set[int]:
        """Inodes of sockets whose owner is to be looked for."""
        found = set()
        for one in living:
            known = self._known.get(one.cookie)
            if one.inode and (known is None or known.looks > 0):
                found.add(one.inode)
        return found

    def _known_living(self, one: TcpSocket) -> _Known:
        """What is known of a socket, with its owner as of now."""
        known = self._known.get(one.cookie)
        if known is None:
            known = self._known[one.cookie] = _Known(self._key(one, self._owners.without_name(one)), _LOOKS)
        self._awaited.pop(one.cookie, None)
        if known.looks > 0 and one.inode:
            number = self._owners.of(one)
            if number is not None:
                known.key = self._key(one, number)
                known.looks = 0
            elif self._owners.has_just_looked:
                known.looks -= 1
                known.key = self._key(one, self._owners.without_name(one))
        return known

    def _await_ends(self, living: set[int]) -> None:
        """Remember sockets that are missing for a while: they end when their process closes them."""
        for cookie in self._known.keys() - living:
            self._awaited[cookie] = None
        while len(self._awaited) > _ENDS_AWAITED:
            cookie = next(iter(self._awaited))
            del self._awaited[cookie], self._known[cookie]
            self._since = self._dumped_at

    # ---- Sockets that end ---------------------------------------------------------------------------------------

    def _listen(self, stop: int) -> None:
        """What the thread does: take last words as they arrive, until it is told to stop."""
        poll = select.poll()
        for fd in (stop, *self._ends.fds):
            poll.register(fd, select.POLLIN)
        while stop not in {fd for fd, _ in poll.poll()}:
            try:
                self._take_ends()
            except SourceError:
                return  # `read` says so

    def _take_ends(self) -> None:
        """Count what sockets had that have ended, as far as the kernel has said so."""
        is_all = False
        while not is_all:
            ended: list[TcpSocket] = []
            with self._failing(), self._lock:
                is_all = self._ends.take(ended)
                self._lost |= self._ends.losses > self.losses
                self.losses = self._ends.losses
                for one in ended:
                    self._count_last(one)

    @contextlib.contextmanager
    def _failing(self) -> Iterator[None]:
        """What fails here has failed for good: an answer may be half read."""
        try:
            yield
        except OSError as error:
            self._failure = SourceError(
                f"the kernel tells no more of TCP sockets: {error.strerror or error}", hint="open it again"
            )
            raise self._failure from error
        except SourceError as error:
            self._failure = error
            raise

    def _count_last(self, one: TcpSocket) -> None:
        if self._is_dumping:
            self._ended.add(one.cookie)
        known = self._known.pop(one.cookie, None)
        if known is not None:
            self._awaited.pop(one.cookie, None)
        elif self._clock() - one.idle / 1000 < self._since - _TICK:
            return  # it was open, but connected no more, before this was made, or was forgotten since
        elif not one.rx_bytes and not one.tx_bytes:
            return
        else:
            known = _Known(self._key(one, UNNAMED), 0)
        self._count(one, known)

    # ---- Both ---------------------------------------------------------------------------------------------------

    def _count(self, one: TcpSocket, known: _Known) -> None:
        """Count what a socket has more than before; a dump and an end may come in any order."""
        if one.acked < known.acked:  # the same socket, disconnected and perhaps connected again
            known.rx_bytes = known.tx_bytes = 0
        known.acked = one.acked
        rx, tx = one.rx_bytes - known.rx_bytes, one.tx_bytes - known.tx_bytes
        if rx <= 0 and tx <= 0:
            return
        both = self._counts.get(known.key)
        if both is None:
            both = self._counts[known.key] = [0, 0]
        if rx > 0:
            both[0] += rx
            known.rx_bytes = one.rx_bytes
        if tx > 0:
            both[1] += tx
            known.tx_bytes = one.tx_bytes

    def _key(self, one: TcpSocket, owner: int) -> Key:
        ifindex, scope = self._route.of(one)
        return Key(owner, self._netns, ifindex, scope, _TCP, one.family)


class _Places:
    """Over which interfaces sockets talk, by the list of this machine's addresses.

    Args:
        sock: of NETLINK_ROUTE.
        clock: a monotonic time in seconds.
    """

    def __init__(self, sock: socket.socket, clock: Callable[[], float]) -> None:
        self._sock = sock
        self._clock = clock
        self._places: dict[tuple[bytes, bytes, int], tuple[int, Scope]] = {}
        self._addresses: dict[bytes, int] = {}
        self.refresh()

    def refresh(self) -> None:
        """Read the list of addresses again."""
        self._read_at = self._clock()
        found: dict[bytes, int] = {}
        self._sock.send(parse.addresses_request())
        while not parse.decode_addresses(self._sock.recv(_ANSWER), found):
            pass
        if found != self._addresses:
            self._addresses = found
            self._places.clear()

    def of(self, one: TcpSocket) -> tuple[int, Scope]:
        """The number of a socket's interface, 0 where it is not known, and the scope of the other end."""
        where = (one.local, one.remote, one.ifindex)
        place = self._places.get(where)
        if place is None:
            place = self._ifindex(*where), scope_of(one.remote)
            if place[0]:
                if len(self._places) >= _PLACES:
                    self._places.clear()
                self._places[where] = place
        return place

    def _ifindex(self, local: bytes, remote: bytes, bound: int) -> int:
        if bound:
            return bound
        if scope_of(local) == Scope.LOOPBACK:
            return _LOOPBACK
        if local not in self._addresses and self._clock() - self._read_at >= _EVERY:
            self.refresh()
        if local in self._addresses and remote in self._addresses:
            return _LOOPBACK
        return self._addresses.get(local, 0)


def _netlink(protocol: int) -> socket.socket:
    return socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol)
