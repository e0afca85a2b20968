"""The root of the unified cgroup tree: where it is mounted, or opened without a mount.

A process in a network namespace of `ip netns`, or in a container, often sees no such mount.
"""

import errno
import os

from netusage.sources.applications import bpf

# Since Linux 5.2; of one number on every kind of machine. include/uapi/linux/mount.h
_FSOPEN, _FSCONFIG, _FSMOUNT = 430, 431, 432
_FSCONFIG_CREATE = 6
_CLOSE_ON_EXEC = 1  # of fsopen and of fsmount


def open_root(mounts: str = "/proc/self/mountinfo") -> int:
    """A file descriptor of the root.

    Raises:
        OSError: it is mounted nowhere, and may not be opened either.
    """
    path = mounted_at(mounts)
    if path:
        return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        return _detached()
    except OSError as error:
        number = errno.ENOENT if error.errno == errno.EPERM else error.errno
        raise OSError(number, "the unified cgroup tree (cgroup2) is not mounted") from error


def _detached() -> int:
    context = bpf.system_call(_FSOPEN, b"cgroup2", _CLOSE_ON_EXEC)
    try:
        bpf.system_call(_FSCONFIG, context, _FSCONFIG_CREATE, None, None, 0)
        return bpf.system_call(_FSMOUNT, context, _CLOSE_ON_EXEC, 0)
    finally:
        os.close(context)


def mounted_at(mounts: str) -> str:
    """The first place where the root is mounted; "" for nowhere."""
    with open(mounts, encoding="utf-8", errors="surrogateescape") as file:
        for line in file:
            before, _, after = line.partition(" - ")
            root, path = before.split(" ")[3:5]
            if after.split(" ", 1)[0] == "cgroup2" and root == "/":
                found = path.encode("latin-1", "backslashreplace").decode("unicode_escape")
                if os.path.exists(os.path.join(found, "cgroup.procs")):  # it may be hidden by another mount
                    return found
    return ""
