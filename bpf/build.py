"""Builds the BPF programs into the package: `make bpf`. Needs clang, bpftool and libbpf's headers."""

import argparse
import json
import os
import re
import struct
import subprocess
import tempfile
import zlib
from pathlib import Path

HERE = Path(__file__).resolve().parent
INTO = HERE.parent / "src" / "netusage" / "sources" / "applications"
# In union bpf_attr of include/uapi/linux/bpf.h, for BPF_PROG_LOAD.
PROG_NAME, CORE_RELO_CNT, CORE_RELOS, CORE_RELO_REC_SIZE_END = 48, 116, 128, 140


def build(name: str, of: Path = HERE) -> bytes:
    """The skeleton of one source file of a directory, as `netusage.sources.applications.skeleton` reads it."""
    with tempfile.TemporaryDirectory() as directory:
        made = Path(directory, "object.o")
        compile_to(name, made, of)
        text = subprocess.run(
            ["bpftool", "gen", "skeleton", "-L", str(made), "name", name],
            check=True,
            capture_output=True,
            text=True,
        ).stdout
    return pack(text, compiler())


def compile_to(name: str, made: Path, of: Path = HERE) -> None:
    """Make the object file of one source file."""
    machine = os.uname().machine
    command = ["clang", "-target", "bpf", "-mcpu=v3", "-O2", "-g", "-Wall", "-Wextra", "-Werror"]
    command += ["-Wno-missing-declarations", f"-I/usr/include/{machine}-linux-gnu"]
    command += ["-fdebug-compilation-dir=.", "-c", f"{name}.bpf.c", "-o", str(made)]
    subprocess.run(command, cwd=of, check=True)


def compiler() -> str:
    """The version of clang, which decides what instructions come out."""
    said = subprocess.run(["clang", "--version"], check=True, capture_output=True, text=True).stdout
    return said.splitlines()[0]


def pack(header: str, compiled_by: str) -> bytes:
    """What `bpftool gen skeleton -L` prints as a header of C, as a line of JSON and compressed bytes."""
    fields = header[header.index("struct bpf_loader_ctx ctx;") : header.index("} links;")]
    data, instructions = _bytes(header, "data"), _bytes(header, "insns")
    programs = re.findall(r"struct bpf_prog_desc (\w+);", fields)
    about = {
        "compiler": compiled_by,
        "maps": re.findall(r"struct bpf_map_desc (\w+);", fields),
        "programs": programs,
        "data": len(data),
    }
    if not any(is_relocated(data, program) for program in programs):
        instructions = without_relocations(instructions)
    return json.dumps(about).encode() + b"\n" + zlib.compress(data + instructions, 9)


def is_relocated(data: bytes, program: str) -> bool:
    """Whether the kernel fits a program to its own structures when it loads it (CO-RE), as far as can be told."""
    name = data.find(program.encode().ljust(16, b"\0"))
    at = name - PROG_NAME + CORE_RELO_CNT
    return name < 0 or at + 4 > len(data) or struct.unpack_from("=I", data, at)[0] > 0


def without_relocations(instructions: bytes) -> bytes:
    """The loader, asking for nothing newer than Linux 5.14.

    It hands over a place for relocations and their size even where there are none; a kernel before 5.17 knows neither
    and refuses (E2BIG), so the attributes end before them.
    """
    call = struct.pack("=BBhi", 0x85, 0, 0, 166)  # bpf_sys_bpf(command, attributes, size)
    longer, shorter = (
        struct.pack("=BBhi", 0xB7, 3, 0, size) for size in (CORE_RELO_REC_SIZE_END, CORE_RELOS)
    )
    return instructions.replace(longer + call, shorter + call)


def _bytes(header: str, name: str) -> bytes:
    """A string of the header; older versions of bpftool assign it, newer ones declare it."""
    short = name.removesuffix("s")
    match = re.search(rf'(?:opts\.{name} = \(void \*\)|opts_{short}\[\][^=]*= )"(.*?)";', header, re.DOTALL)
    if match is None:
        raise SystemExit(f"bpftool printed no {name}")
    found = match[1].replace("\\\n", "").encode().decode("unicode_escape").encode("latin-1")
    size = re.search(rf"opts\.{name}_sz = (\d+);", header)
    return found.ljust(int(size[1]), b"\0")[: int(size[1])] if size else found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--into", type=Path, default=INTO, help="the directory to write to")
    into = parser.parse_args().into
    for source in sorted(HERE.glob("*.bpf.c")):
        name = source.name.removesuffix(".bpf.c")
        skeleton = build(name)
        (into / f"{name}.skeleton").write_bytes(skeleton)
        print(f"{name}.skeleton: {len(skeleton):,} bytes")


if __name__ == "__main__":
    main()
