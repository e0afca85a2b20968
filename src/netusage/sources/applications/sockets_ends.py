"""The last words of TCP sockets, which the kernel sends to whoever listens when they end.

An ordinary user's receive buffers are small: 330 messages where nobody changed net.core.rmem_max. So several sockets
listen, each to a part of the messages: a filter of the kernel, socket(7) SO_ATTACH_FILTER, keeps the others away from it
before they take room.
"""

import contextlib
import ctypes
import errno
import os
import socket
import struct
import sys
from collections import deque
from typing import Final

from netusage.sources.applications import sockets_parse as parse
from netusage.sources.applications.sockets_parse import TcpSocket

_NETLINK_SOCK_DIAG = 4
_SOL_NETLINK, _NETLINK_ADD_MEMBERSHIP = 270, 1
_SO_ATTACH_FILTER, _SO_RCVBUFFORCE = 26, 33
_BUFFER = 32 << 20  # bytes in all; what the system allows is taken
_ENOUGH = 64 << 20  # bytes in all; about 50,000 messages
_MOST_SOCKETS = 32  # a power of two
_COOKIE_AT = 60 if sys.byteorder == "little" else 63  # lowest byte of a message's idiag_cookie
_BATCH, _SIZE = 128, 1024  # datagrams received at a time, and bytes of each

# Linux's classic BPF, <linux/filter.h>
_LOAD_BYTE, _AND, _IF_EQUAL, _RETURN = 0x30, 0x54, 0x15, 0x06
_STEP = struct.Struct("=HBBI")
_FILTER = struct.Struct("@HP")
_ALL: Final = 0xFFFFFFFF


class _Vector(ctypes.Structure):
    """struct iovec."""

    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


class _Head(ctypes.Structure):
    """struct msghdr."""

    _fields_ = (
        ("name", ctypes.c_void_p),
        ("name_length", ctypes.c_uint),
        ("vectors", ctypes.c_void_p),
        ("vectors_length", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("control_length", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    )


class _Message(ctypes.Structure):
    """struct mmsghdr."""

    _fields_ = (("head", _Head), ("received", ctypes.c_uint))


class Ends:
    """Listens to the groups SKNLGRP_INET_TCP_DESTROY and SKNLGRP_INET6_TCP_DESTROY; closed with `close`.

    Attributes:
        fds: file descriptors that can be read when there is something.
        losses: how often the kernel dropped messages because a buffer was full.

    Raises:
        OSError: the kernel lets nobody listen.
    """

    def __init__(self) -> None:
        self.losses = 0
        self._open = contextlib.ExitStack()
        self._recvmmsg = ctypes.CDLL(None, use_errno=True).recvmmsg
        self._waiting: deque[bytes] = deque()  # messages that were received
        self._buffer = ctypes.create_string_buffer(_BATCH * _SIZE)
        self._view = memoryview(self._buffer).cast("B")
        start = ctypes.addressof(self._buffer)
        self._vectors = (_Vector * _BATCH)(*(_Vector(start + n * _SIZE, _SIZE) for n in range(_BATCH)))
        self._messages = (_Message * _BATCH)()
        for n, message in enumerate(self._messages):
            message.head.vectors = ctypes.addressof(self._vectors) + n * ctypes.sizeof(_Vector)
            message.head.vectors_length = 1
        try:
            self.fds = [one.fileno() for one in self._listeners()]
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Listen no more; may be called twice."""
        self.fds = []
        self._open.close()

    def _listeners(self) -> list[socket.socket]:
        found = [self._open.enter_context(_socket())]
        size = _enlarge(found[0])
        while len(found) < _MOST_SOCKETS and len(found) * size < _ENOUGH:
            found += [self._open.enter_context(_socket()) for _ in found]
        for part, one in enumerate(found):
            _enlarge(one)
            if len(found) > 1:
                _filter(one, part, len(found))
        for group in parse.TCP_DESTROYED:
            for one in found:
                one.setsockopt(_SOL_NETLINK, _NETLINK_ADD_MEMBERSHIP, group)
        return found

    def take(self, into: list[TcpSocket]) -> bool:
        """Append some of what is there; whether that was all.

        The kernel sends thousands of messages at once, faster than they can be understood: so all are received first.

        Raises:
            OSError: the kernel tells no more.
            SourceError: a message makes no sense.
        """
        for fd in self.fds:
            while self._receive(fd):
                pass
        waiting = self._waiting
        for _ in range(min(len(waiting), _BATCH)):
            parse.decode_sockets(waiting.popleft(), into)
        return not waiting

    def _receive(self, fd: int) -> bool:
        """Receive a batch; whether there may be more."""
        count = self._recvmmsg(fd, self._messages, _BATCH, socket.MSG_DONTWAIT, None)
        if count < 0:
            error = ctypes.get_errno()
            if error == errno.ENOBUFS:
                self.losses += 1
            elif error not in (errno.EAGAIN, errno.EINTR):
                raise OSError(error, os.strerror(error))
            return error != errno.EAGAIN
        view, messages = self._view, self._messages
        self._waiting += [bytes(view[n * _SIZE : n * _SIZE + messages[n].received]) for n in range(count)]
        return bool(count == _BATCH)


def _socket() -> socket.socket:
    sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_SOCK_DIAG)
    try:
        sock.bind((0, 0))
    except BaseException:
        sock.close()
        raise
    return sock


def _enlarge(sock: socket.socket) -> int:
    """Give a socket the largest receive buffer that there is to be had; its size in bytes."""
    try:
        sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER)
    except PermissionError:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
    return sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)


def _filter(sock: socket.socket, part: int, parts: int) -> None:
    """Let a socket receive one part of the messages, by their cookies."""
    steps = (
        (_LOAD_BYTE, 0, 0, _COOKIE_AT),
        (_AND, 0, 0, parts - 1),
        (_IF_EQUAL, 0, 1, part),
        (_RETURN, 0, 0, _ALL),
        (_RETURN, 0, 0, 0),
    )
    code = ctypes.create_string_buffer(b"".join(_STEP.pack(*step) for step in steps))
    sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, _FILTER.pack(len(steps), ctypes.addressof(code)))
