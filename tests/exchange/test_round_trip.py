"""What was exported makes the same ledger again: no byte, packet, peak or gap is lost or doubled on the way."""

import csv
import io
import json
from itertools import pairwise

import pytest
from exchange.histories import BEGIN_S, END_S, HOSTILE, LARGEST, exported, imported, rich
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.book import recorded
from support.ledgers import START_S, writing

from netusage.cli.failures import run
from netusage.ledger.reader import LedgerReader
from netusage.model import US, Counters

FORMATS = ("csv", "jsonl", "parquet", "sqlite")
TABLES = ("usage", "applications", "gaps", "watched")


@pytest.fixture(scope="module")
def ledger(tmp_path_factory):
    path = tmp_path_factory.mktemp("rich") / "ledger.db"
    rich(path)
    return path


def rows_of(text):
    return list(csv.DictReader(io.StringIO(text.decode(), newline="")))


def files_of(ledger, directory, format_name, *arguments):
    """Exports of every table; SQLite has all of them in one."""
    if format_name == "sqlite":
        (directory / "all").write_bytes(exported(ledger, "sqlite", *arguments))
        return [directory / "all"]
    for table in TABLES:
        (directory / table).write_bytes(exported(ledger, format_name, "--what", table, *arguments))
    return [directory / table for table in TABLES]


@pytest.mark.parametrize("resolution", ["minute", "quarter"])
@pytest.mark.parametrize("format_name", FORMATS)
def test_an_export_of_an_import_of_an_export_is_the_export(ledger, tmp_path, format_name, resolution):
    arguments = ("--resolution", resolution, "--tz", "Europe/Berlin")
    files = files_of(ledger, tmp_path, format_name, *arguments)
    copy = tmp_path / "copy.db"
    imported(copy, *files)
    (tmp_path / "again").mkdir()
    again = files_of(copy, tmp_path / "again", format_name, *arguments)
    assert [file.read_bytes() for file in again] == [file.read_bytes() for file in files]
    assert recorded(copy) == recorded(ledger)


def test_reports_of_the_copy_say_what_those_of_the_original_say(ledger, tmp_path, capsys):
    copy = tmp_path / "copy.db"
    imported(copy, *files_of(ledger, tmp_path, "sqlite", "--resolution", "minute"))
    for question in (
        [
            "report",
            "hour",
            "--interface",
            "*",
            "--peak",
            "--percentile",
            "95",
            "--since",
            f"@{BEGIN_S}",
            "--until",
            f"@{END_S}",
        ],
        ["report", "total"],
        ["report", "day", "--by", "application", "--by", "scope", "--since", "2026-01-01"],
        ["reconcile", "--since", "2026-01-01"],
    ):
        capsys.readouterr()
        answers = []
        for path in (ledger, copy):
            assert run([*question, "--format", "csv", "--db", str(path)]) == 0
            answers.append(capsys.readouterr().out)
        assert answers[0] == answers[1]


def test_minutes_are_told_where_they_are_kept_and_quarters_before(ledger):
    rows = rows_of(exported(ledger, "csv", "--resolution", "minute", "--interface", "eth0", "--tz", "UTC"))
    with LedgerReader(str(ledger)) as reader:
        kept_from_s = reader.minutes_from_s
    assert BEGIN_S < kept_from_s < START_S
    assert {row["record"] for row in rows} == {"minute", "quarter", "estimated"}
    starts = [row["start"] for row in rows]
    assert starts == sorted(starts), "in order of time"
    assert {row["kind"] for row in rows} == {"", "bridge"}


def test_the_largest_numbers_and_hostile_names_are_as_they_were(ledger):
    rows = rows_of(exported(ledger, "csv"))
    assert {row["interface"] for row in rows} == {"eth0", "full", *HOSTILE}
    (full,) = (row for row in rows if row["interface"] == "full")
    assert (full["rx_bytes"], full["peak_rx_bytes_per_second"]) == (str(LARGEST), str(LARGEST))
    lines = exported(ledger, "jsonl").splitlines()
    assert {json.loads(line)["interface"] for line in lines} == {"eth0", "full", *HOSTILE}


@pytest.mark.parametrize("resolution", ["minute", "quarter", "hour", "day", "week", "month", "year"])
def test_rows_add_up_to_what_is_recorded(ledger, resolution):
    sums = {}
    for row in rows_of(exported(ledger, "csv", "--resolution", resolution, "--tz", "Asia/Kathmandu")):
        counted = Counters(*(int(row[name]) for name in Counters._fields))
        sums[row["interface"]] = sums.get(row["interface"], Counters()).plus(counted)
    assert sums == recorded(ledger)


@pytest.mark.parametrize("resolution", ["minute", "quarter"])
def test_stretches_that_follow_one_another_add_up_to_the_whole_also_where_they_cut_spans(ledger, resolution):
    sums = {}
    edges = [BEGIN_S, BEGIN_S + 1800, BEGIN_S + 7200, START_S - 900, START_S, END_S]
    for since_s, until_s in pairwise(edges):
        stretch = ("--since", f"@{since_s}", "--until", f"@{until_s}")
        for row in rows_of(exported(ledger, "csv", "--resolution", resolution, *stretch)):
            counted = Counters(*(int(row[name]) for name in Counters._fields))
            sums[row["interface"]] = sums.get(row["interface"], Counters()).plus(counted)
    assert sums == recorded(ledger)


def test_a_stretch_that_was_cut_out_is_a_record_of_its_own(ledger, tmp_path):
    stretch = ("--since", f"@{BEGIN_S + 1900}", "--until", f"@{START_S + 100}")
    files = files_of(ledger, tmp_path, "jsonl", *stretch)
    imported(tmp_path / "copy.db", *(file for file in files if file.stat().st_size))
    (tmp_path / "again").mkdir()
    again = files_of(tmp_path / "copy.db", tmp_path / "again", "jsonl")
    assert [file.read_bytes() for file in again] == [file.read_bytes() for file in files]


def test_days_are_taken_in_as_estimated_stretches_of_a_day_and_it_is_said(ledger, tmp_path, capsys):
    (tmp_path / "days.csv").write_bytes(exported(ledger, "csv", "--resolution", "day"))
    capsys.readouterr()
    imported(tmp_path / "copy.db", tmp_path / "days.csv")
    assert (
        "rows are longer than a quarter of an hour: they are estimated stretches now"
        in capsys.readouterr().out
    )
    assert recorded(tmp_path / "copy.db") == recorded(ledger)
    rows = rows_of(exported(tmp_path / "copy.db", "csv"))
    assert {(row["record"], row["because"]) for row in rows} == {("estimated", "import")}


def test_a_day_of_a_changing_clock_is_told_with_its_offsets(tmp_path):
    path = tmp_path / "ledger.db"
    start_s = 1_792_879_200  # 2026-10-25 00:00 in Berlin
    with writing(path, start_s) as ledger:
        eth0 = ledger.interface("eth0")
        for hour in range(25):
            ledger.count(eth0, start_s + 3600 * hour, 1 << hour, 0, 0, 0)
        ledger.commit(start_s + 25 * 3600)
    hours = rows_of(exported(path, "csv", "--resolution", "hour", "--tz", "Europe/Berlin"))
    assert len(hours) == 25
    assert hours[2]["start"] == "2026-10-25T02:00:00+02:00"
    assert hours[3]["start"] == "2026-10-25T02:00:00+01:00"
    (day,) = rows_of(exported(path, "csv", "--resolution", "day", "--tz", "Europe/Berlin"))
    assert (day["start"], day["end"]) == ("2026-10-25T00:00:00+02:00", "2026-10-26T00:00:00+01:00")
    assert int(day["rx_bytes"]) == (1 << 25) - 1
    (tmp_path / "minutes").write_bytes(
        exported(path, "csv", "--resolution", "minute", "--tz", "Europe/Berlin")
    )
    imported(tmp_path / "copy.db", tmp_path / "minutes")
    again = exported(tmp_path / "copy.db", "csv", "--resolution", "minute", "--tz", "Europe/Berlin")
    assert again == (tmp_path / "minutes").read_bytes()


def test_quarters_then_minutes_then_quarters_keep_all_bytes_and_say_what_they_lose(tmp_path, capsys):
    path = tmp_path / "ledger.db"
    with writing(path) as ledger:
        eth0 = ledger.interface("eth0")
        for n in range(4):
            ledger.count(eth0, START_S + 900 * n, 100, 1, 1, 1, peak_rx=n)
            ledger.count(eth0, START_S + 900 * n + 60, 10, 1, 1, 1, peak_rx=9 - n)
        ledger.commit(START_S + 3600)
    cuts = [("quarter", 0, 1), ("minute", 1, 3), ("quarter", 3, 4)]
    files = []
    for resolution, low, high in cuts:
        stretch = ("--since", f"@{START_S + 900 * low}", "--until", f"@{START_S + 900 * high}")
        files.append(tmp_path / f"{low}.csv")
        files[-1].write_bytes(exported(path, "csv", "--resolution", resolution, *stretch))
    capsys.readouterr()
    imported(tmp_path / "copy.db", *reversed(files))
    assert "4 minutes are before quarters of an hour" in capsys.readouterr().out
    assert exported(tmp_path / "copy.db", "csv") == exported(path, "csv")


numbers = st.integers(0, 2**40)
counters = st.tuples(numbers, numbers, numbers, numbers)
entries = st.lists(
    st.tuples(st.sampled_from(["eth0", "wlan0"]), st.integers(0, 300), counters, numbers, numbers), max_size=8
)
spans = st.lists(
    st.tuples(st.sampled_from(["eth0", "wlan0"]), st.integers(0, 10**11), st.integers(1, 10**11), counters),
    max_size=4,
)


@pytest.mark.system
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    entries=entries,
    spans=spans,
    until=st.integers(1, 20_000),
    resolution=st.sampled_from(["minute", "quarter"]),
)
def test_any_small_history_comes_back(tmp_path_factory, entries, spans, until, resolution):
    directory = tmp_path_factory.mktemp("history")
    path = directory / "ledger.db"
    with writing(path) as ledger:
        epochs = {name: ledger.interface(name) for name in ("eth0", "wlan0")}
        for name, minute, counted, peak_rx, peak_tx in entries:
            ledger.count(epochs[name], START_S + 60 * minute, *counted, peak_rx=peak_rx, peak_tx=peak_tx)
        for name, start_us, length_us, counted in spans:
            ledger.span(epochs[name], START_S * US + start_us, START_S * US + start_us + length_us, *counted)
        ledger.count(epochs["eth0"], START_S, 1, 0, 0, 0)
        ledger.commit(START_S + until)
    file = directory / "usage.jsonl"
    file.write_bytes(exported(path, "jsonl", "--resolution", resolution))
    imported(directory / "copy.db", file)
    assert exported(directory / "copy.db", "jsonl", "--resolution", resolution) == file.read_bytes()
    assert recorded(directory / "copy.db") == recorded(path)
