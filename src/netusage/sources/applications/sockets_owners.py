"""Who has sockets open, as far as sock_diag(7) and /proc show."""

import contextlib
import hashlib
import os
from collections.abc import Callable
from typing import Final

from netusage.sources.applications.counts import UNNAMED, Owner
from netusage.sources.applications.names import script_of
from netusage.sources.applications.sockets_parse import TcpSocket

_FIRST: Final = 16  # smaller numbers are no owners, bpf/layout.h
_EVERY = 1.0  # seconds between two looks through /proc


class Owners:
    """Who has sockets open.

    Args:
        clock: a monotonic time in seconds.

    Attributes:
        has_just_looked: whether the last call of `look_for` went through /proc.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self.has_just_looked = False
        self._clock = clock
        self._owners: dict[int, Owner] = {}
        self._processes: dict[int, int] = {}  # inode of a socket: process
        self._numbers: dict[tuple[int, int, int], int | None] = {}  # by process, user and cgroup
        self._looked_at: float | None = None

    def __len__(self) -> int:
        return len(self._owners)

    def get(self, number: int) -> Owner | None:
        """Who an owner is."""
        return self._owners.get(number)

    def look_for(self, inodes: set[int]) -> None:
        """Go through the descriptors of all processes that this one may look at, if there is anything to be found."""
        now = self._clock()
        self.has_just_looked = bool(inodes) and (self._looked_at is None or now - self._looked_at >= _EVERY)
        if self.has_just_looked:
            self._looked_at = now
            self._numbers.clear()
            self._processes = _processes_of(inodes)

    def of(self, one: TcpSocket) -> int | None:
        """The number of who has a living socket open; None where that was not found."""
        process = self._processes.get(one.inode)
        if process is None:
            return None
        which = (process, one.uid, one.cgroup)
        if which not in self._numbers:
            owner = _describe(process, one)
            self._numbers[which] = None if owner is None else self._note(owner)
        return self._numbers[which]

    def without_name(self, one: TcpSocket) -> int:
        """The number of a living socket's user and cgroup; UNNAMED where it has none, as before it is accepted."""
        if not one.inode and not one.uid:
            return UNNAMED
        return self._note(Owner(0, one.cgroup, 0, one.uid, 0, "", "", ""))

    def _note(self, owner: Owner) -> int:
        number = _number(owner)
        self._owners.setdefault(number, owner)
        return number


def _number(owner: Owner) -> int:
    """A number for an application: all its processes have the same."""
    what = (owner.exe_inode, owner.exe_device, owner.uid, owner.cgroup, owner.script, owner.comm)
    digest = hashlib.blake2b(repr(what).encode("utf-8", "backslashreplace"), digest_size=8).digest()
    return max(int.from_bytes(digest, "little"), _FIRST)


def _describe(process: int, one: TcpSocket) -> Owner | None:
    """The owner of a socket that a process has open; None where the process is gone."""
    directory = f"/proc/{process}"
    try:
        path = os.readlink(f"{directory}/exe")
        about = os.stat(f"{directory}/exe")
        with open(f"{directory}/comm", "rb") as file:
            comm = os.fsdecode(file.read().rstrip(b"\n"))
        with open(f"{directory}/cmdline", "rb") as file:
            arguments = [os.fsdecode(argument) for argument in file.read().split(b"\0")[:-1]]
    except OSError:
        return None
    device = os.major(about.st_dev) << 20 | os.minor(about.st_dev)
    return Owner(about.st_ino, one.cgroup, device, one.uid, process, comm, script_of(path, arguments), path)


def _processes_of(inodes: set[int]) -> dict[int, int]:
    """The process that has each socket open, by inode, as far as /proc shows."""
    wanted = {f"socket:[{inode}]": inode for inode in inodes}
    found: dict[int, int] = {}
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        with contextlib.suppress(OSError):
            for descriptor in os.listdir(f"/proc/{name}/fd"):
                with contextlib.suppress(OSError):
                    inode = wanted.get(os.readlink(f"/proc/{name}/fd/{descriptor}"))
                    if inode is not None:
                        found.setdefault(inode, int(name))
    return found
