"""Runs a command whose system calls are filtered, as sandboxes do: python forbidding.py WHAT COMMAND...

WHAT is a word of `FORBIDDEN`; the kernel answers EPERM to such calls.
"""

import ctypes
import os
import platform
import struct
import sys

_SOCKET, _BPF = {"x86_64": (41, 321), "aarch64": (198, 280)}[platform.machine()]
# of each, the system call, and what its arguments are, by their place
FORBIDDEN = {
    "sockets": (_SOCKET, {0: 16, 2: 4}),  # AF_NETLINK, NETLINK_SOCK_DIAG
    "iterators": (_BPF, {0: 33}),  # BPF_ITER_CREATE
}

_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _FILTER = 38, 22, 2
_LOAD, _EQUAL, _RETURN = 0x20, 0x15, 0x06  # of classic BPF, linux/bpf_common.h
_ARGUMENTS = 16  # place in struct seccomp_data
_ALLOW, _REFUSE = 0x7FFF0000, 0x00050001  # SECCOMP_RET_ERRNO | EPERM


def steps(what):
    """Of each step what it does, how many to skip when a comparison holds and when not, and with what."""
    number, arguments = FORBIDDEN[what]
    wanted = [(0, number), *((_ARGUMENTS + 8 * place, value) for place, value in arguments.items())]
    found = []
    for n, (place, value) in enumerate(wanted):
        found += [(_LOAD, 0, 0, place), (_EQUAL, 0, 2 * (len(wanted) - n) - 1, value)]
    return [*found, (_RETURN, 0, 0, _REFUSE), (_RETURN, 0, 0, _ALLOW)]


def main():
    filtered = [struct.pack("=HBBI", *step) for step in steps(sys.argv[1])]
    held = ctypes.create_string_buffer(b"".join(filtered))
    program = struct.pack("@HP", len(filtered), ctypes.addressof(held))
    libc = ctypes.CDLL(None, use_errno=True)
    for call in ((_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), (_PR_SET_SECCOMP, _FILTER, program, 0, 0)):
        if libc.prctl(*call):
            raise OSError(ctypes.get_errno(), "prctl")
    os.execvp(sys.argv[2], sys.argv[2:])


if __name__ == "__main__":
    main()
