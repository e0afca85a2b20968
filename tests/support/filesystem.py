"""Small file systems for tests: made full, made read-only, and always unmounted."""

import contextlib
import itertools
import os
import subprocess
from pathlib import Path

from support.namespace import run

SOURCE = "nutest"
_numbers = itertools.count(1)


class SmallDisk:
    """A tmpfs of so many KiB."""

    def __init__(self, directory, kib):
        self.path = Path(directory)
        self.path.mkdir()
        source = f"{SOURCE}{os.getpid()}x{next(_numbers)}"
        run("mount", "-t", "tmpfs", "-o", f"size={kib}k,mode=755", source, str(self.path))

    def fill(self, room=0):
        """Leave not a byte free, or about so many."""
        with open(self.path / "filler", "ab", buffering=0) as file:
            for size in (1 << 16, 1 << 12, 1):
                with contextlib.suppress(OSError):
                    while True:
                        file.write(b"\0" * size)
            file.truncate(max(file.tell() - room, 0))

    def free(self):
        """Make room again."""
        (self.path / "filler").unlink(missing_ok=True)

    def read_only(self, yes=True):
        """Forbid or allow writing; fails while files are open for writing."""
        run("mount", "-o", f"remount,{'ro' if yes else 'rw'}", str(self.path))

    def unmount(self):
        """Take it away; harmless twice."""
        if os.path.ismount(self.path):
            run("umount", "-l", str(self.path))


def remove_leftovers():
    """Unmount what killed test runs have left."""
    with open("/proc/self/mounts", encoding="utf-8") as file:
        mounts = [line.split()[:2] for line in file]
    for source, place in mounts:
        pid = source.removeprefix(SOURCE).partition("x")[0]
        if source.startswith(SOURCE) and pid.isdigit() and not os.path.exists(f"/proc/{pid}"):
            # a worker beside this one may have been quicker
            subprocess.run(("umount", "-l", place), capture_output=True, timeout=60, check=False)
