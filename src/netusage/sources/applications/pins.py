"""Programs and maps that outlive the process that loaded them, as files of a BPF file system.

Each build of the programs has a directory of its own, which appears in one step when all of it is there; so what a
killed process left half done is never taken for whole.
"""

import contextlib
import os
import re

from netusage.sources.applications import bpf

_UNFINISHED = "unfinished"  # such a file system takes no dots
_OWN = re.compile(rf"[0-9a-f]{{8}}|{_UNFINISHED}")
_MOUNTS = "/proc/self/mountinfo"


def can_pin(directory: str, mounts: str = _MOUNTS) -> bool:
    """Whether a directory lies in a BPF file system, or can be made in one, that this process may write."""
    return _is_in_bpf(directory, mounts) and os.access(_existing(directory), os.W_OK)


def _existing(directory: str) -> str:
    """The directory, or the first one above it that is there."""
    place = os.path.realpath(directory)
    while not os.path.isdir(place):
        place = os.path.dirname(place)
    return place


def _is_in_bpf(directory: str, mounts: str = _MOUNTS) -> bool:
    kinds = {}
    with open(mounts, encoding="utf-8", errors="surrogateescape") as file:
        for line in file:
            before, _, after = line.partition(" - ")
            kinds[before.split(" ")[4]] = after.split(" ", 1)[0]
    above = _existing(directory)
    while above not in kinds and above != "/":
        above = os.path.dirname(above)
    return kinds.get(above) == "bpf"


class Pins:
    """What is kept in a directory.

    Args:
        directory: in a BPF file system; made where it is missing.
        build: what tells these programs from other ones.
    """

    def __init__(self, directory: str, build: str) -> None:
        self._directory = directory
        self._path = os.path.join(directory, build)

    def find(self) -> dict[str, int]:
        """File descriptors of what is kept, by name; nothing where nothing is.

        Raises:
            OSError: it cannot be opened.
        """
        found: dict[str, int] = {}
        with contextlib.suppress(FileNotFoundError):
            for name in sorted(os.listdir(self._path)):
                found[name] = bpf.pinned(os.path.join(self._path, name))
        return found

    def keep(self, fds: dict[str, int]) -> None:
        """Keep these instead of whatever was kept before, of this build or of another.

        Raises:
            OSError: the directory is in no BPF file system, or cannot be written.
        """
        os.makedirs(self._directory, mode=0o700, exist_ok=True)
        remove(self._directory, itself=False)
        unfinished = os.path.join(self._directory, _UNFINISHED)
        os.mkdir(unfinished, mode=0o700)
        for name, fd in fds.items():
            bpf.pin(fd, os.path.join(unfinished, name))
        os.rename(unfinished, self._path)


def remove(directory: str, *, itself: bool = True) -> int:
    """Let go of everything that is kept in a directory; programs that nobody else holds are taken off.

    Nothing else is touched: not what others keep there, and no other file system.

    Args:
        directory: as for `Pins`; it may be missing.
        itself: remove the directory as well, if nothing is left in it.

    Returns:
        How many files were removed.

    Raises:
        OSError: they cannot be removed.
    """
    if not os.path.isdir(directory) or not _is_in_bpf(directory):
        return 0
    removed = 0
    for build in filter(_OWN.fullmatch, os.listdir(directory)):
        path = os.path.join(directory, build)
        for name in os.listdir(path):
            os.unlink(os.path.join(path, name))
            removed += 1
        os.rmdir(path)
    if itself:
        with contextlib.suppress(OSError):
            os.rmdir(directory)
    return removed
