"""Loading a light skeleton: programs and maps that load themselves.

`bpftool gen skeleton -L` turns an object file into one BPF program that makes the maps and loads the programs, the
kernel fitting them to its own structures; so nothing has to be known of object files here. The file is a line of JSON
with the names and sizes, and, compressed, the data and the instructions of that program.
"""

import ctypes
import json
import os
import struct
import zlib
from pathlib import Path
from typing import NamedTuple

from netusage.sources.applications import bpf

_LOG = 1 << 20
_LICENSE = b"Dual MIT/GPL\0"


class Loaded(NamedTuple):
    """File descriptors by name."""

    maps: dict[str, int]
    programs: dict[str, int]


def build(name: str) -> str:
    """What tells the programs of a skeleton from those of another version of it."""
    return f"{zlib.crc32(_read(name)):08x}"


def _read(name: str) -> bytes:
    return (Path(__file__).parent / name).read_bytes()


def load(name: str, constants: bytes = b"") -> Loaded:
    """Make the maps and load the programs of a skeleton.

    Args:
        name: of a file of this package, or a whole path.
        constants: what its `const volatile` variables are, all of them in a row; as they were built where it is empty.

    Raises:
        OSError: the kernel refused; with its log, where it wrote one.
    """
    try:
        return _load(name, constants, None)
    except OSError:  # once more, for the reason: writing it down takes longer than all the rest
        return _load(name, constants, ctypes.create_string_buffer(_LOG))


def _load(name: str, constants: bytes, log: "ctypes.Array[ctypes.c_char] | None") -> Loaded:
    head, _, body = _read(name).partition(b"\n")
    about = json.loads(head)
    content = zlib.decompress(body)
    data, instructions = bpf.text(content[: about["data"]]), bpf.text(content[about["data"] :])
    maps, programs = about["maps"], about["programs"]
    values = bpf.text(constants)
    size = 24 + 16 * len(maps) + 4 * len(programs)
    # struct bpf_loader_ctx, then struct bpf_map_desc and struct bpf_prog_desc of each: tools/lib/bpf/skel_internal.h
    begin = struct.pack("=IIIIQ", size, 0, log is not None, 0 if log is None else len(log), bpf.address(log))
    for one in maps:
        begin += struct.pack("=iIQ", 0, 0, bpf.address(values) if one == "rodata" and constants else 0)
    context = bpf.text(begin.ljust(size, b"\0"))
    array = bpf.create_array(len(data), 1, "__loader.map")
    try:
        bpf.update(array, struct.pack("=I", 0), data.raw)
        loader = _load_loader(array, instructions)
        try:
            attributes = struct.pack(
                "=IIIIQQIIIIQQ", loader, 0, 0, 0, 0, 0, 0, 0, size, 0, bpf.address(context), 0
            )
            _, after = bpf.call(bpf.PROGRAM_RUN, attributes)
        finally:
            os.close(loader)
    finally:
        os.close(array)
    result = struct.unpack_from("=i", after, 4)[0]
    if result < 0:
        said = [] if log is None else log.value.decode(errors="replace").strip().splitlines()
        reason = said[-2] if len(said) > 1 else "nothing"  # the last line counts instructions
        raise OSError(-result, f"{os.strerror(-result)}; the kernel says: {reason}")
    fds = struct.unpack_from("=" + "i12x" * len(maps) + "i" * len(programs), context.raw, 24)
    return Loaded(dict(zip(maps, fds, strict=False)), dict(zip(programs, fds[len(maps) :], strict=True)))


def _load_loader(array: int, instructions: "ctypes.Array[ctypes.c_char]") -> int:
    license_, fds = bpf.text(_LICENSE), ctypes.c_uint32(array)
    attributes = struct.pack(
        "=IIQQIIQII16s",
        bpf.PROGRAM_SYSCALL,
        len(instructions) // 8,
        bpf.address(instructions),
        bpf.address(license_),
        0,
        0,
        0,
        0,
        bpf.PROGRAM_SLEEPS,
        b"__loader.prog",
    )
    return bpf.call(
        bpf.PROGRAM_LOAD, attributes.ljust(120, b"\0") + struct.pack("=Q", ctypes.addressof(fds))
    )[0]
