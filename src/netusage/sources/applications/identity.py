"""Who an owner is in a person's words: what the kernel noted of it, and /proc as long as its process lives."""

import contextlib
import os
import time
from collections.abc import Callable
from typing import NamedTuple

from netusage.sources.applications.counts import Owner
from netusage.sources.applications.names import Application, Unit, application_of, script_of, unit_of

_WALKS_APART = 1.0  # seconds, through the whole tree of cgroups: it may have thousands
_COMM = 15  # bytes of a name: TASK_COMM_LEN - 1


class Identity(NamedTuple):
    """Who it is.

    application: the program or script.
    user: name of the user, the number where it has none.
    unit: what runs it; nothing is known of a cgroup that was gone before anybody looked.
    version: device and inode of the executable, which change when it is replaced.
    """

    application: Application
    user: str
    unit: Unit
    version: tuple[int, int]


class Identities:
    """Finds out who owners are.

    Args:
        cgroups: the root of the unified cgroup tree.
        proc: where the kernel shows processes.
        clock: a monotonic time in seconds.
    """

    def __init__(
        self, cgroups: str, proc: str = "/proc", clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._root = cgroups
        self._proc = proc
        self._cgroups: dict[int, str] = {}
        self._users: dict[int, str] = {}
        self._clock = clock
        self._walked_at = -_WALKS_APART

    def of(self, owner: Owner) -> Identity:
        """Who an owner is, as far as can be known now; ask early, while its process lives."""
        directory = f"{self._proc}/{owner.tgid}"
        path, script = owner.path, owner.script
        with contextlib.suppress(OSError):
            live = os.readlink(f"{directory}/exe")
            if not path:
                path, script = self._by_name(directory, live, owner.comm)
            elif os.path.basename(live.removesuffix(" (deleted)")) == os.path.basename(path):
                path = live
                script = self._whole_script(directory, path, script)
        cgroup = self._cgroup(owner)
        application = application_of(path, script, cgroup)
        return Identity(
            application if application.name else Application(owner.comm, ""),
            self._user(owner.uid),
            unit_of(cgroup),
            (owner.exe_device, owner.exe_inode),
        )

    def _by_name(self, directory: str, live: str, comm: str) -> tuple[str, str]:
        """Path and script of an owner of which nothing but a thread's name is known; "" where they are another's.

        The owner is all processes with a thread of this name, so a script is told only where it is named after it.
        """
        if comm not in self._threads(directory):
            return "", ""  # another process has the number now, or the thread is over
        script = self._whole_script(directory, live.removesuffix(" (deleted)"), "")
        return live, script if os.fsencode(os.path.basename(script))[:_COMM] == os.fsencode(comm) else ""

    @staticmethod
    def _threads(directory: str) -> set[str]:
        """The names of a process's threads; its first one's is its own."""
        found = set()
        for thread in os.listdir(f"{directory}/task"):
            with contextlib.suppress(OSError), open(f"{directory}/task/{thread}/comm", "rb") as file:
                found.add(os.fsdecode(file.read().removesuffix(b"\n")))
        return found

    @staticmethod
    def _whole_script(directory: str, path: str, script: str) -> str:
        """The script as a path that does not depend on where the process was started."""
        with open(f"{directory}/cmdline", "rb") as file:
            arguments = [os.fsdecode(one) for one in file.read().split(b"\0")[:-1]]
        found = script_of(path, arguments)
        if not found.startswith(script):
            return script  # another process has the number now
        script = found
        if script and not script.startswith("-"):
            absolute = os.path.normpath(os.path.join(os.readlink(f"{directory}/cwd"), script))
            if os.path.exists(absolute):
                return absolute
        return script

    def _user(self, uid: int) -> str:
        if uid not in self._users:
            import pwd  # noqa: PLC0415  # not on Windows, where nothing asks

            try:
                self._users[uid] = pwd.getpwuid(uid).pw_name
            except KeyError:
                self._users[uid] = str(uid)
        return self._users[uid]

    def _cgroup(self, owner: Owner) -> str:
        """The path of its cgroup below the root, or the end of it; "" where nobody noted it and it is gone."""
        known = owner.cgroup_path or self._cgroups.get(owner.cgroup)
        if known is not None:
            return known
        with (
            contextlib.suppress(OSError),
            open(f"{self._proc}/{owner.tgid}/cgroup", encoding="utf-8") as file,
        ):
            for line in file:
                if line.startswith("0::") and self._number(line[3:].rstrip("\n")) == owner.cgroup:
                    return self._note(owner.cgroup, line[3:].rstrip("\n"))
        if self._clock() - self._walked_at < _WALKS_APART:
            return ""
        self._walked_at = self._clock()
        for directory, _, _ in os.walk(self._root):
            path = directory[len(self._root.rstrip("/")) :] or "/"
            with contextlib.suppress(OSError):
                self._note(os.stat(directory).st_ino, path)
        return self._cgroups.get(owner.cgroup, "")

    def _number(self, path: str) -> int:
        return os.stat(self._root.rstrip("/") + path).st_ino

    def _note(self, number: int, path: str) -> str:
        self._cgroups[number] = path
        return path
