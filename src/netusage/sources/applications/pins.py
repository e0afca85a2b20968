"""Programs and maps that outlive the process that loaded them, as files of a BPF file system.

Each build of the programs has a directory of its own, which appears in one step when all of it is there; so what a
killed process left half done is never taken for whole.
"""

import contextlib
import os

from netusage.sources.applications import bpf

_UNFINISHED = "unfinished"  # such a file system takes no dots


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

    Args:
        directory: as for `Pins`; it may be missing.
        itself: remove the directory as well.

    Returns:
        How many files were removed.
    """
    removed = 0
    for path, directories, names in os.walk(directory, topdown=False):
        for name in names:
            os.unlink(os.path.join(path, name))
            removed += 1
        for name in directories:
            os.rmdir(os.path.join(path, name))
    if itself:
        with contextlib.suppress(FileNotFoundError):
            os.rmdir(directory)
    return removed
