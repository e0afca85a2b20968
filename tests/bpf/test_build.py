"""The programs in the package are those that the source in `bpf` says."""

import importlib.util
import json
import shutil
import struct
import zlib
from importlib.resources import files
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "bpf"
NAMES = ("applications", "before_queueing", "older_kernels")


@pytest.fixture(scope="module")
def build():
    spec = importlib.util.spec_from_file_location("bpf_build", SOURCE / "build.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def shipped(name):
    return files("netusage.sources.applications").joinpath(f"{name}.skeleton").read_bytes()


def parts(skeleton):
    head, _, body = skeleton.partition(b"\n")
    return json.loads(head), zlib.decompress(body)


@pytest.mark.system
@pytest.mark.parametrize("name", NAMES)
def test_the_source_builds_to_the_very_instructions_that_are_shipped(build, name):
    missing = [tool for tool in ("clang", "bpftool") if shutil.which(tool) is None]
    if missing:
        pytest.skip(f"needs {' and '.join(missing)}")
    head, content = parts(shipped(name))
    if build.compiler() != head["compiler"]:
        pytest.skip(
            f"the programs were built by {head['compiler']}, and another clang makes other instructions"
        )
    assert parts(build.build(name)) == (head, content)


def test_all_sources_are_shipped():
    assert {path.name.removesuffix(".bpf.c") for path in SOURCE.glob("*.bpf.c")} == set(NAMES)


def test_what_is_shipped_is_small():
    assert sum(len(shipped(name)) for name in NAMES) < 64 * 1024


SYS_BPF = struct.pack("=BBhi", 0x85, 0, 0, 166)  # a call of that helper


def size_of_attributes(size):
    """The loader's third argument: r3 = size."""
    return struct.pack("=BBhi", 0xB7, 3, 0, size) + SYS_BPF


def test_only_what_is_relocated_asks_for_the_attributes_of_newer_kernels():
    """BPF_PROG_LOAD with relocations has 140 bytes; up to Linux 5.16 there are none after the first 128."""
    for name, size, others in (("applications", 140, 128), ("before_queueing", 128, 140)):
        head, content = parts(shipped(name))
        loader = content[head["data"] :]
        assert loader.count(size_of_attributes(size)) == len(head["programs"])
        assert size_of_attributes(others) not in loader


def test_a_program_is_relocated_where_its_attributes_say_so(build):
    attributes = bytes(48) + b"made".ljust(16, b"\0") + bytes(116 - 64)
    assert not build.is_relocated(b"made\0before" + attributes + struct.pack("=I", 0), "made")
    assert build.is_relocated(attributes + struct.pack("=I", 3), "made")
    assert build.is_relocated(b"nothing that is known", "made")


def test_both_forms_in_which_bpftool_prints_are_understood(build):
    fields = """
        struct bpf_loader_ctx ctx;
        struct { struct bpf_map_desc one; struct bpf_map_desc two; } maps;
        struct { struct bpf_prog_desc three; } progs;
        struct { int three_fd; } links;
    """
    older = fields + (
        'opts.data_sz = 5;\nopts.data = (void *)"\\\nab\\0\\x01";\nopts.insns_sz = 2;\nopts.insns = (void *)"\\\nxy";'
    )
    newer = fields + (
        'static const char opts_data[] __attribute__((__aligned__(8))) = "\\\nab\\0\\x01";\n'
        'static const char opts_insn[] __attribute__((__aligned__(8))) = "\\\nxy";'
    )
    expected = {"compiler": "clang 1", "maps": ["one", "two"], "programs": ["three"]}
    assert parts(build.pack(older, "clang 1")) == (expected | {"data": 5}, b"ab\0\x01\0xy")
    assert parts(build.pack(newer, "clang 1")) == (expected | {"data": 4}, b"ab\0\x01xy")


def test_what_bpftool_did_not_print_is_said(build):
    with pytest.raises(SystemExit, match="no data"):
        build.pack("struct bpf_loader_ctx ctx; } links;", "clang 1")
