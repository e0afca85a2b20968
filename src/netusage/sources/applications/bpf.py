"""The system call bpf(2): maps, programs and links of the Linux kernel, without a library.

`man 2 bpf` and include/uapi/linux/bpf.h; numbers and layouts are part of the kernel's stable interface.
"""

import ctypes
import errno
import mmap
import os
import struct
from typing import Final

_NUMBERS: Final = {"x86_64": 321, "aarch64": 280, "riscv64": 280, "loongarch64": 280}  # of the system call
_ATTRIBUTES: Final = 152  # bytes; what is not known by a kernel is zero

MAP_CREATE, MAP_LOOKUP, MAP_UPDATE = 0, 1, 2
PROGRAM_LOAD, OBJECT_PIN, OBJECT_GET, PROGRAM_RUN = 5, 6, 7, 10
RAW_TRACEPOINT_OPEN, LINK_CREATE, ITERATOR_CREATE = 17, 28, 33
MAP_ARRAY = 2
PROGRAM_SYSCALL = 31
PROGRAM_SLEEPS = 1 << 4
ATTACH_INGRESS, ATTACH_EGRESS, ATTACH_SOCK_CREATE, ATTACH_ITERATOR = 0, 1, 2, 28


def call(command: int, attributes: bytes) -> tuple[int, bytes]:
    """The result of a command, and its attributes afterwards.

    Raises:
        OSError: with the kernel's number; ENOSYS where this machine is of a kind that is not known here.
    """
    number = _NUMBERS.get(os.uname().machine)
    if number is None:
        raise OSError(errno.ENOSYS, f"the system call's number is not known on {os.uname().machine}")
    buffer = ctypes.create_string_buffer(attributes.ljust(_ATTRIBUTES, b"\0"), _ATTRIBUTES)
    return system_call(number, command, buffer, _ATTRIBUTES), buffer.raw


def system_call(number: int, *arguments: object) -> int:
    """The result of a system call.

    Raises:
        OSError: with the kernel's number.
    """
    library = ctypes.CDLL(None, use_errno=True)
    library.syscall.restype = ctypes.c_long
    found = int(library.syscall(number, *arguments))
    if found < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    return found


def address(buffer: "ctypes.Array[ctypes.c_char] | None") -> int:
    """Where a buffer is in memory; 0 for none."""
    return 0 if buffer is None else ctypes.addressof(buffer)


def text(value: bytes) -> "ctypes.Array[ctypes.c_char]":
    """A buffer that holds some bytes."""
    return ctypes.create_string_buffer(value, len(value))


# ---- Maps -------------------------------------------------------------------------------------------------------


def create_array(value_size: int, entries: int, name: str) -> int:
    """A new array; its file descriptor."""
    return call(MAP_CREATE, struct.pack("=IIIII8x16s", MAP_ARRAY, 4, value_size, entries, 0, name.encode()))[
        0
    ]


def lookup(fd: int, key: bytes, size: int) -> bytes | None:
    """The value of a key, of so many bytes; None where there is none."""
    wanted, value = text(key), ctypes.create_string_buffer(size)
    try:
        call(MAP_LOOKUP, struct.pack("=I4xQQQ", fd, address(wanted), address(value), 0))
    except FileNotFoundError:
        return None
    return value.raw


def update(fd: int, key: bytes, value: bytes) -> None:
    """Set the value of a key."""
    wanted, new = text(key), text(value)
    call(MAP_UPDATE, struct.pack("=I4xQQQ", fd, address(wanted), address(new), 0))


def mapped(fd: int, size: int) -> mmap.mmap:
    """The memory of an array that was made to be mapped, to be read as it changes."""
    pages = -(-size // mmap.PAGESIZE) * mmap.PAGESIZE
    return mmap.mmap(fd, pages, mmap.MAP_SHARED, mmap.PROT_READ)


# ---- Links ------------------------------------------------------------------------------------------------------


def link_to_cgroup(program: int, cgroup: int, kind: int) -> int:
    """Attach a program to a cgroup, beside those that are there; both are file descriptors, and so is the link."""
    return call(LINK_CREATE, struct.pack("=IIII", program, cgroup, kind, 0))[0]


def link_to_tracepoint(program: int) -> int:
    """Attach a program to the tracepoint that it names itself; the link's file descriptor."""
    return call(RAW_TRACEPOINT_OPEN, struct.pack("=QI", 0, program))[0]


def run_iterator(program: int) -> None:
    """Run a program once over everything that it iterates."""
    link = call(LINK_CREATE, struct.pack("=IIII", program, 0, ATTACH_ITERATOR, 0))[0]
    try:
        iterator = call(ITERATOR_CREATE, struct.pack("=II", link, 0))[0]
        try:
            while os.read(iterator, 4096):
                pass
        finally:
            os.close(iterator)
    finally:
        os.close(link)


# ---- Pins -------------------------------------------------------------------------------------------------------


def pin(fd: int, path: str) -> None:
    """Keep a map or a link alive, under a path of a BPF file system, when no process has it open any more."""
    name = text(path.encode() + b"\0")
    call(OBJECT_PIN, struct.pack("=QI", address(name), fd))


def pinned(path: str) -> int:
    """The file descriptor of what is pinned."""
    name = text(path.encode() + b"\0")
    return call(OBJECT_GET, struct.pack("=QI", address(name), 0))[0]
