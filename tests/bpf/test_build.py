"""The programs in the package are those that the source in `bpf` says."""

import importlib.util
import json
import shutil
import zlib
from importlib.resources import files
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "bpf"
NAME = "applications"


@pytest.fixture(scope="module")
def build():
    spec = importlib.util.spec_from_file_location("bpf_build", SOURCE / "build.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def shipped():
    return files("netusage.sources.applications").joinpath(f"{NAME}.skeleton").read_bytes()


def parts(skeleton):
    head, _, body = skeleton.partition(b"\n")
    return json.loads(head), zlib.decompress(body)


@pytest.mark.system
def test_the_source_builds_to_the_very_instructions_that_are_shipped(build):
    missing = [tool for tool in ("clang", "bpftool") if shutil.which(tool) is None]
    if missing:
        pytest.skip(f"needs {' and '.join(missing)}")
    head, content = parts(shipped())
    if build.compiler() != head["compiler"]:
        pytest.skip(
            f"the programs were built by {head['compiler']}, and another clang makes other instructions"
        )
    assert parts(build.build(NAME)) == (head, content)


def test_what_is_shipped_is_small():
    assert len(shipped()) < 64 * 1024


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
