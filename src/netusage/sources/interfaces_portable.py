"""The source for every system: psutil.

psutil knows interfaces by name only and tells nothing of their coming and going, so an interface that is removed
and created again between two readings looks like one whose counters went down. On macOS the kernel cuts the byte
counters that it gives to third-party programs (NET_RT_IFLIST2, since 13.2) to 32 bits and to multiples of 1 KiB;
packet counters are whole.
"""

import socket
import sys
from collections.abc import Callable, Mapping
from typing import Protocol, TypeVar
from zlib import crc32

from netusage.errors import SourceError
from netusage.model import Counters, Link, LinkEvent, Place, Reading
from netusage.sources.lives_linux import life_of
from netusage.sources.namespace import present_place
from netusage.sources.portable_kinds import kind_of, kind_on_linux

_Answer = TypeVar("_Answer")

_WRAP = 1 << 32


class NicCounters(Protocol):
    """What psutil.net_io_counters says about one interface, in bytes and packets."""

    @property
    def bytes_recv(self) -> int:
        """Bytes received."""
        ...

    @property
    def bytes_sent(self) -> int:
        """Bytes sent."""
        ...

    @property
    def packets_recv(self) -> int:
        """Packets received."""
        ...

    @property
    def packets_sent(self) -> int:
        """Packets sent."""
        ...


class NicStats(Protocol):
    """What psutil.net_if_stats says about one interface."""

    @property
    def isup(self) -> bool:
        """Up and running."""
        ...


class Reader(Protocol):
    """The two questions to the system, by interface name; failures are OSErrors."""

    def counters(self) -> Mapping[str, NicCounters]:
        """The counters of every interface."""
        ...

    def stats(self) -> Mapping[str, NicStats]:
        """The state of every interface."""
        ...

    def index(self, name: str) -> int:
        """The system's number of an interface, 0 when it has none."""
        ...


class PsutilReader:
    """Asks psutil, which is imported when this is made.

    Raises SourceError when psutil is not installed.
    """

    def __init__(self) -> None:
        try:
            import psutil  # noqa: PLC0415  # not needed where netlink works
        except ImportError as error:
            raise SourceError(
                f"cannot load psutil: {error}", hint="install it with: python -m pip install psutil"
            ) from error
        self._psutil = psutil

    def counters(self) -> Mapping[str, NicCounters]:
        """The counters of every interface, exactly as the system gives them.

        nowrap=False: psutil would otherwise guess wraps from a state of its own.
        """
        return self._ask(lambda: self._psutil.net_io_counters(pernic=True, nowrap=False))

    def stats(self) -> Mapping[str, NicStats]:
        """The state of every interface."""
        return self._ask(self._psutil.net_if_stats)

    def index(self, name: str) -> int:
        """The number that netlink uses as well, so that one source can go on where the other stopped."""
        try:
            return socket.if_nametoindex(name)
        except (OSError, UnicodeEncodeError):  # Windows has other names for it
            return 0

    def _ask(self, question: Callable[[], _Answer]) -> _Answer:
        try:
            return question()
        except self._psutil.AccessDenied as error:
            raise PermissionError(str(error) or "access denied") from error
        except (self._psutil.Error, NotImplementedError, RuntimeError, ValueError) as error:
            raise OSError(str(error) or type(error).__name__) from error


class PortableSource:
    """Every interface that psutil knows."""

    name = "psutil"

    def __init__(self, reader: Reader | None = None, *, platform: str = sys.platform) -> None:
        self._reader: Reader = reader if reader is not None else PsutilReader()
        self._platform = platform
        self._bits = 32 if platform == "darwin" else 64
        self._indexes: dict[str, int] = {}
        self._kinds: dict[str, str] = {}
        self._place = present_place()

    @property
    def counter_bits(self) -> int:
        """On macOS 32 until a byte counter at or above 2^32 was seen, which proves that they are whole."""
        return self._bits

    def place(self) -> Place:
        """Boot, namespace (Linux only) and machine, as they were when the source was opened."""
        return self._place

    def fileno(self) -> None:
        """Nothing to wait for: psutil has no events."""
        return

    def links(self) -> list[tuple[Link, Counters]]:
        """Every interface with its counters.

        Raises:
            SourceError: the counters could not be read. Where only the state of the interfaces cannot be read,
                all of them are taken to be up.
        """
        nics = self._counters()
        try:
            stats = self._reader.stats()
        except OSError:
            stats = {}
        found = []
        for name, nic in nics.items():
            up = stats[name].isup if name in stats else True
            link = Link(index=self._index(name), name=name, kind=self._kind(name), up=up)
            link = link._replace(life=self.life(link))
            found.append((link, Counters(nic.bytes_recv, nic.bytes_sent, nic.packets_recv, nic.packets_sent)))
        return found

    def life(self, link: Link) -> int:
        """As `lives_linux` tells on Linux; elsewhere 0: nothing tells one life of an interface from the next."""
        return life_of(link.name, link.index) if self._platform == "linux" else 0

    def read(self) -> Reading:
        """The counters of every interface."""
        nics = self._counters()
        values = nics.values()
        return Reading(
            [self._index(name) for name in nics],
            [nic.bytes_recv for nic in values],
            [nic.bytes_sent for nic in values],
            [nic.packets_recv for nic in values],
            [nic.packets_sent for nic in values],
        )

    def events(self) -> list[LinkEvent]:
        """Always empty."""
        return []

    def reopen(self) -> None:
        """Look again at the place; psutil itself holds nothing open."""
        self._place = present_place()

    def close(self) -> None:
        """Do nothing: psutil holds nothing open."""

    def _counters(self) -> Mapping[str, NicCounters]:
        try:
            nics = self._reader.counters()
        except PermissionError as error:
            raise SourceError(
                f"not allowed to read the network counters: {error.strerror or error}",
                hint="run it with administrative privileges",
            ) from error
        except OSError as error:
            raise SourceError(
                f"cannot read the network counters: {error.strerror or error}", hint="try again"
            ) from error
        if self._bits != 64 and any(n.bytes_recv >= _WRAP or n.bytes_sent >= _WRAP for n in nics.values()):
            self._bits = 64
        for name in self._indexes.keys() - nics.keys():  # one that returns may be another interface
            del self._indexes[name]
            self._kinds.pop(name, None)
        return nics

    def _index(self, name: str) -> int:
        """The system's number, or the checksum of the name: both are the same after a restart.

        Names that share a checksum take the next free number.
        """
        index = self._indexes.get(name)
        if index is None:
            index = self._reader.index(name) or crc32(name.encode("utf-8", "surrogateescape")) or 1
            while index in self._indexes.values():
                index += 1
            self._indexes[name] = index
        return index

    def _kind(self, name: str) -> str:
        kind = self._kinds.get(name)
        if kind is None:
            known = kind_on_linux(name) if self._platform == "linux" else kind_of(name, self._platform)
            kind = self._kinds[name] = known
        return kind
