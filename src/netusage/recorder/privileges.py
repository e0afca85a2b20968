"""Capabilities of Linux that a process beside the recorder does not need, given up for good.

See capabilities(7): the recorder's are passed on by a service manager as ambient ones, and root has all of them.
"""

import os
import sys

_PR_SET_NO_NEW_PRIVS, _PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL = 38, 47, 4  # include/uapi/linux/prctl.h
_VERSION_3 = 0x2008_0522  # include/uapi/linux/capability.h
_DAC_OVERRIDE, _DAC_READ_SEARCH = 1, 2


def give_up() -> None:
    """Keep no capability; root keeps those by which it reads and writes files of others. Elsewhere nothing is done.

    Raises:
        OSError: the kernel refuses.
    """
    if sys.platform != "linux":
        return
    import ctypes  # noqa: PLC0415  # once a process

    libc = ctypes.CDLL(None, use_errno=True)
    kept = (1 << _DAC_OVERRIDE | 1 << _DAC_READ_SEARCH) if os.geteuid() == 0 else 0
    # effective, permitted and inheritable, first the lower 32 of each
    header, words = (ctypes.c_uint32 * 2)(_VERSION_3, 0), (ctypes.c_uint32 * 6)(kept, kept, 0, 0, 0, 0)
    if (
        libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        or libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
        or libc.capset(header, words)
    ):
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
