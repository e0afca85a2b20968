"""Builds the BPF programs into the package: `make bpf`. Needs clang, bpftool and libbpf's headers."""

import argparse
import json
import os
import re
import subprocess
import tempfile
import zlib
from pathlib import Path

HERE = Path(__file__).resolve().parent
INTO = HERE.parent / "src" / "netusage" / "sources" / "applications"


def build(name: str) -> bytes:
    """The skeleton of one source file, as `netusage.sources.applications.skeleton` reads it."""
    with tempfile.TemporaryDirectory() as directory:
        made = Path(directory, "object.o")
        machine = os.uname().machine
        command = ["clang", "-target", "bpf", "-mcpu=v3", "-O2", "-g", "-Wall", "-Wextra", "-Werror"]
        command += ["-Wno-missing-declarations", f"-I/usr/include/{machine}-linux-gnu"]
        command += ["-fdebug-compilation-dir=.", "-c", f"{name}.bpf.c", "-o", str(made)]
        subprocess.run(command, cwd=HERE, check=True)
        text = subprocess.run(
            ["bpftool", "gen", "skeleton", "-L", str(made), "name", name],
            check=True,
            capture_output=True,
            text=True,
        ).stdout
    return pack(text, compiler())


def compiler() -> str:
    """The version of clang, which decides what instructions come out."""
    said = subprocess.run(["clang", "--version"], check=True, capture_output=True, text=True).stdout
    return said.splitlines()[0]


def pack(header: str, compiled_by: str) -> bytes:
    """What `bpftool gen skeleton -L` prints as a header of C, as a line of JSON and compressed bytes."""
    fields = header[header.index("struct bpf_loader_ctx ctx;") : header.index("} links;")]
    data, instructions = _bytes(header, "data"), _bytes(header, "insns")
    about = {
        "compiler": compiled_by,
        "maps": re.findall(r"struct bpf_map_desc (\w+);", fields),
        "programs": re.findall(r"struct bpf_prog_desc (\w+);", fields),
        "data": len(data),
    }
    return json.dumps(about).encode() + b"\n" + zlib.compress(data + instructions, 9)


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
