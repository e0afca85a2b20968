"""Data out and in again under all that may happen: a running recorder, kill -9, a full disk, ten years."""

import csv
import random
import sys
import time
from pathlib import Path

import pytest
from support.book import assert_it_adds_up, recorded
from support.namespace import Traffic, added, difference

from netusage.model import Counters

sys.path.insert(0, str(Path(__file__).parents[2] / "bench"))
import make_ledger

pytestmark = pytest.mark.system
UNTIL_S = 1_785_000_000
FORMATS = ("csv", "jsonl", "parquet", "sqlite")


@pytest.fixture(scope="module")
def years(tmp_path_factory):
    """A ledger of three busy years of one interface."""
    path = tmp_path_factory.mktemp("years") / "ledger.db"
    make_ledger.make(str(path), years=3, interfaces=1, counted=1, until_s=UNTIL_S, applications=5)
    return path


@pytest.mark.root
def test_what_is_exported_while_it_is_recorded_is_one_moment_that_adds_up(
    space, start, record, ledger, tmp_path
):
    space.pair("va", "vb")
    recorder = record(space, commit="100ms")
    before = space.counters()
    seen = []
    with Traffic(space, "va", "vb"):
        for number in range(4):
            file = tmp_path / f"{number}.sqlite"
            assert start("export", "sqlite", "--resolution", "minute", "--db", ledger, "-o", file).wait() == 0
            seen.append(file)
    truth = added(difference(before, space.counters()))
    assert recorder.stop() == 143
    file = tmp_path / "last.sqlite"
    assert start("export", "sqlite", "--resolution", "minute", "--db", ledger, "-o", file).wait() == 0
    totals = []
    for number, exported in enumerate([*seen, file]):
        copy = tmp_path / f"copy{number}.db"
        assert start("import", exported, "--db", copy).wait() == 0
        assert_it_adds_up(copy)
        totals.append(recorded(copy).get("va", Counters()).tx_bytes)
    assert recorded(tmp_path / "copy4.db") == truth
    assert totals == sorted(totals)
    assert len(set(totals)) > 2, "each was of its own moment"


@pytest.mark.root
def test_a_recorder_goes_on_in_a_ledger_that_was_imported(space, start, record, ledger, tmp_path):
    space.pair("va", "vb")
    recorder = record(space)
    before = space.counters()
    space.send("va", 10)
    assert recorder.stop() == 143
    assert start("export", "sqlite", "--db", ledger, "-o", tmp_path / "all").wait() == 0
    copy = tmp_path / "copy.db"
    assert start("import", tmp_path / "all", "--db", copy).wait() == 0
    first = added(difference(before, space.counters()))
    recorder = record(space, path=copy)
    refused = start("import", tmp_path / "all", "--db", copy)
    assert refused.wait() == 1
    assert "held by a running recorder" in refused.err
    before = space.counters()
    space.send("va", 20)
    second = added(difference(before, space.counters()))
    assert recorder.stop() == 143
    assert recorded(copy)["va"] == first["va"].plus(second["va"])
    assert_it_adds_up(copy)


def test_an_import_that_is_killed_at_any_moment_has_taken_in_nothing_or_all(years, start, tmp_path):
    file = tmp_path / "usage.csv"
    assert start("export", "csv", "--db", years, "-o", file).wait() == 0
    copy = tmp_path / "there" / "copy.db"
    began = time.monotonic()
    assert start("import", file, "--db", tmp_path / "whole.db").wait() == 0
    took_s = time.monotonic() - began
    seed = random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}")
    moments = random.Random(seed)
    for _ in range(6):
        importing = start("import", file, "--db", copy)
        time.sleep(moments.uniform(0.1, 0.9) * took_s)
        importing.kill()
        if copy.exists():  # it was quicker this time
            assert recorded(copy) == recorded(years)
            assert_it_adds_up(copy)
            copy.unlink()
    assert start("import", file, "--db", copy).wait() == 0
    assert recorded(copy) == recorded(years)
    assert_it_adds_up(copy)
    assert sorted(path.name for path in copy.parent.iterdir()) == ["copy.db", "copy.db.lock"]


@pytest.mark.root
@pytest.mark.parametrize("format_name", FORMATS)
def test_an_export_on_a_full_disk_is_refused_in_one_line_and_the_old_file_stays(
    years, start, disks, format_name
):
    disk = disks(512)
    target = disk.path / "usage"
    target.write_text("mine")
    refused = start("export", format_name, "--db", years, "-o", target)
    assert refused.wait() == 1
    said = refused.err.splitlines()[-1]
    assert "cannot write" in said
    assert "full" in said or "No space left" in said
    assert target.read_text() == "mine"
    assert [path.name for path in disk.path.iterdir()] == ["usage"]


@pytest.mark.root
def test_an_import_on_a_full_disk_is_refused_in_one_line_and_leaves_nothing(years, start, disks, tmp_path):
    file = tmp_path / "usage.csv"
    assert start("export", "csv", "--db", years, "-o", file).wait() == 0
    for kib in (64, 2048):
        disk = disks(kib)
        refused = start("import", file, "--db", disk.path / "ledger.db")
        assert refused.wait() == 1
        assert "full" in refused.err.splitlines()[-1]
        assert list(disk.path.iterdir()) == []


_PEAK = """
import sys
from netusage.cli.failures import run
code = run(sys.argv[1:])
with open("/proc/self/status") as file:
    print(next(line for line in file if line.startswith("VmHWM")).split()[1])
sys.exit(code)
"""
needs_proc = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc of Linux")


def peak_kib(start, *arguments):
    """The most memory that a process of netusage has had."""
    process = start(*arguments, program=("-c", _PEAK))
    assert process.wait() == 0, process.err
    return int(process.out.splitlines()[-1])


@needs_proc
@pytest.mark.parametrize("format_name", FORMATS)
def test_a_long_export_takes_hardly_more_memory_than_a_short_one(years, start, tmp_path, format_name):
    out = ("--db", years, "-o", tmp_path / "out")
    short = peak_kib(
        start, "export", format_name, "--until", f"@{UNTIL_S - 3 * 365 * 86_400 + 30 * 86_400}", *out
    )
    long = peak_kib(start, "export", format_name, *out)
    # SQLite has a cache of its file; Parquet holds a group of 32,768 rows, and compresses it
    assert long - short < (80_000 if format_name == "parquet" else 20_000)


@needs_proc
def test_a_long_import_takes_hardly_more_memory_than_a_short_one(years, start, tmp_path):
    stretch = ("--until", f"@{UNTIL_S - 3 * 365 * 86_400 + 30 * 86_400}")
    assert peak_kib(start, "export", "csv", "--db", years, "-o", tmp_path / "long")
    assert peak_kib(start, "export", "csv", *stretch, "--db", years, "-o", tmp_path / "short")
    with open(tmp_path / "long", newline="") as long, open(tmp_path / "short", newline="") as short:
        assert sum(1 for _ in csv.reader(long)) > 20 * sum(1 for _ in csv.reader(short))
    few = peak_kib(start, "import", tmp_path / "short", "--db", tmp_path / "short.db")
    many = peak_kib(start, "import", tmp_path / "long", "--db", tmp_path / "long.db")
    assert many - few < 60_000  # SQLite's own caches of both files
