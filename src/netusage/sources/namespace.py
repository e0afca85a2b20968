"""The identity of a network namespace, and with it the place of a source's counters."""

import os
import socket
import struct
import sys

from netusage.clock import boot_id, machine_id
from netusage.model import Place

_SO_NETNS_COOKIE = 71  # asm-generic/socket.h, Linux 5.14 and later
_COOKIE = struct.Struct("=q")  # unsigned in the kernel; signed here because SQLite's integers are


def namespace_of(sock: socket.socket) -> int:
    """The namespace that a socket was opened in: its cookie, unique within a boot; 0 where there is none.

    Before Linux 5.14 the inode of the calling thread's namespace stands in: right for a socket just opened.
    """
    try:
        raw = sock.getsockopt(socket.SOL_SOCKET, _SO_NETNS_COOKIE, _COOKIE.size)
        return int(_COOKIE.unpack(raw)[0])
    except (OSError, struct.error):
        pass
    try:
        return os.stat("/proc/thread-self/ns/net").st_ino
    except OSError:
        return 0


def present_place() -> Place:
    """The place of this thread: boot, namespace (Linux only) and machine."""
    namespace = 0
    if sys.platform == "linux":
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
                namespace = namespace_of(sock)
        except OSError:
            namespace = 0
    return Place(boot_id(), namespace, machine_id())
