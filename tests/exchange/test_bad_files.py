"""Bad files of every kind: one line that says where and what, exit code 1, and nothing is taken in."""

import csv
import gzip
import io
import json
import os
import sqlite3
from contextlib import closing

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from exchange.histories import exported, imported
from support.ledgers import START_S, writing

from netusage.cli.failures import run
from netusage.ledger.batch import Part
from netusage.model import QUARTER_S, US, Counters, Who


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """Exports of a small ledger: each row of usage is another kind of row."""
    directory = tmp_path_factory.mktemp("good")
    path = directory / "ledger.db"
    with writing(path) as ledger:
        eth0 = ledger.interface("eth0")
        ledger.count(eth0, START_S, 1, 2, 3, 4, peak_rx=5, peak_tx=6)
        ledger.count(eth0, START_S + QUARTER_S, 10, 20, 30, 40)
        ledger.span(eth0, START_S * US + 1, START_S * US + 2, 7, 7, 7, 7)
        ledger.share(Part(START_S, eth0, Who("application", "app"), 3, 6, 4), Counters(1, 1, 1, 1))
        ledger.gap(START_S, START_S + 5)
        ledger.commit(START_S + 2 * QUARTER_S)
    files = {}
    for what in ("usage", "applications", "gaps", "watched"):
        for format_name in ("csv", "jsonl", "parquet"):
            files[what, format_name] = exported(path, format_name, "--what", what, "--tz", "UTC")
    files["usage", "sqlite"] = exported(path, "sqlite", "--tz", "UTC")
    return files


@pytest.fixture
def refused(tmp_path, monkeypatch, capsys):
    """Imports files, which has to fail in one line and to leave nothing; what it says."""
    monkeypatch.chdir(tmp_path)

    def take(*files, code=1):
        before = sorted(os.listdir())
        capsys.readouterr()
        assert run(["import", *files, "--db", "new.db"]) == code
        out, err = capsys.readouterr()
        assert out == ""
        assert err.count("\n") == 1, err
        assert err.startswith("netusage: ")
        assert sorted(os.listdir()) == before
        return err

    return take


def changed(text, line, **values):
    """A CSV file with other values in one of its lines, which are numbered from 1."""
    rows = list(csv.reader(io.StringIO(text.decode())))
    for name, value in values.items():
        rows[line - 1][rows[0].index(name)] = value
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(rows)
    return out.getvalue().encode()


VALUES = [
    (2, "rx_bytes", "-1", "is not a whole number from 0 to 2^63-1"),
    (2, "tx_bytes", str(2**63), "is not a whole number from 0 to 2^63-1"),
    (2, "rx_packets", "1.5", "is not a whole number"),
    (2, "rx_packets", "NaN", "is not a whole number"),
    (2, "tx_packets", "1e3", "is not a whole number"),
    (2, "tx_packets", "", "is not a whole number"),
    (2, "tx_packets", "²", "is not a whole number"),
    (2, "peak_rx_bytes_per_second", "", "one quarter has both peaks"),
    (2, "start", "2026-03-10T00:00:00", "has no offset"),
    (2, "start", "yesterday", "is not a time"),
    (2, "start", "2026-13-10T00:00:00Z", "is not a time"),
    (2, "start", "1969-12-31T23:45:00+00:00", "is not between the years 1970 and 9990"),
    (2, "end", "2026-03-10T00:00:00+00:00", "it is not after the start"),
    (2, "end", "2026-03-09T00:00:00+00:00", "it is not after the start"),
    (2, "start", "2026-03-10T00:01:00+00:00", "start and end are not those of one quarter"),
    (2, "record", "minute", "start and end are not those of one minute"),
    (2, "record", "hour", "start and end are not those of one hour"),
    (2, "record", "guessed", "is none of minute, quarter"),
    (2, "counted", "yes", "is neither 'true' nor 'false'"),
    (2, "interface", "", "it is empty"),
    (2, "estimated_rx_bytes", "1", "nothing is estimated in one quarter"),
    (2, "because", "stopped", "only estimated stretches have it"),
    (3, "because", "", "is not a word"),
    (3, "estimated_tx_bytes", "8", "all bytes of an estimated stretch are estimated"),
    (3, "peak_tx_bytes_per_second", "8", "an estimated stretch has none"),
]


@pytest.mark.parametrize(("line", "column", "value", "why"), VALUES)
def test_a_wrong_value_is_told_with_its_line_and_column(good, refused, tmp_path, line, column, value, why):
    assert len(good["usage", "csv"].splitlines()) == 4
    (tmp_path / "bad.csv").write_bytes(changed(good["usage", "csv"], line, **{column: value}))
    said = refused("bad.csv")
    assert f"bad.csv:{line}: column " in said
    assert why in said


@pytest.mark.parametrize(
    ("table", "column", "value", "why"),
    [
        ("applications", "scope", "moon", "is not known"),
        ("applications", "protocol", "1000", "is not known"),
        ("applications", "family", "5", "is none of 0, 4 and 6"),
        ("applications", "application_kind", "robot", "is none of application, kernel"),
        ("applications", "end", "2026-03-10T01:00:00+00:00", "by quarters of an hour or by days"),
        ("gaps", "kind", "holiday", "is none of stopped, killed"),
        ("gaps", "end", "2026-03-09T23:59:59+00:00", "it is before the start"),
        ("gaps", "lossy", "1", "is neither 'true' nor 'false'"),
        ("watched", "end", "2026-03-09T23:59:59+00:00", "it is before the start"),
        ("watched", "source", "", "is not a word"),
    ],
)
def test_a_wrong_value_of_another_table_is_told_as_well(good, refused, tmp_path, table, column, value, why):
    (tmp_path / "usage.csv").write_bytes(good["usage", "csv"])
    (tmp_path / "bad.csv").write_bytes(changed(good[table, "csv"], 2, **{column: value}))
    said = refused("usage.csv", "bad.csv")
    assert f"bad.csv:2: column {column}: " in said
    assert why in said


def of_lines(text, *more):
    return text + b"".join(more)


def test_files_that_were_cut_off_are_told_so(good, refused, tmp_path):
    for format_name in ("csv", "jsonl"):
        whole = good["usage", format_name]
        (tmp_path / "bad").write_bytes(whole[:-3])
        last = len(whole.splitlines())
        assert f"bad:{last}: the line does not end; the file was cut off" in refused("bad")
    (tmp_path / "bad").write_bytes(good["usage", "parquet"][:-7])
    assert "bad: it is no whole Parquet file" in refused("bad")
    whole = good["usage", "sqlite"]
    for length in (60, 4096, len(whole) - 4096):
        (tmp_path / "bad").write_bytes(whole[:length])
        assert "bad: it " in refused("bad")


def test_lines_of_other_lengths_and_columns_are_told(good, refused, tmp_path):
    text = good["usage", "csv"]
    for bad, why in {
        of_lines(text, b"1,2,3\n"): "bad:5: it has 3 columns, and the first line 15",
        of_lines(text, b"\n"): "bad:5: it has 0 columns",
        text.replace(
            b"rx_bytes", b"rx_octets", 1
        ): "bad:1: these are the columns of usage without the column 'rx_bytes'",
        text.replace(
            b",because\n", b",because,colour\n", 1
        ): "with the column 'colour', which is not known here",
        text.replace(
            b",interface,", b",host,interface,", 1
        ): "bad:1: this is the record of several hosts, and",
        text.replace(b"tx_bytes", b"rx_bytes", 1): "bad:1: the column 'rx_bytes' is there twice",
        b"timestamp,sent\n": "bad:1: these are not the columns of an export of netusage",
        b"\n": "bad:1: these are not the columns",
        of_lines(text, b'"2026,\n'): "bad:5: ",
        of_lines(text, b"\xff\xfe,2\n"): "bad:5: it is not UTF-8",
    }.items():
        (tmp_path / "bad").write_bytes(bad)
        assert why in refused("bad")


def test_json_that_is_none_is_told(good, refused, tmp_path):
    text = good["usage", "jsonl"]
    row = json.loads(text.splitlines()[0])
    for bad, why in {
        b"{}\n": "bad:1: these are not the columns",
        of_lines(text, b"{]\n"): "bad:4: it is not JSON",
        of_lines(text, b"[1]\n"): "bad:4: it is not an object",
        of_lines(
            text, json.dumps(row | {"rx_bytes": 1.0}).encode(), b"\n"
        ): "bad:4: column rx_bytes: 1.0 is not a whole number",
        of_lines(text, json.dumps(row | {"rx_bytes": float("nan")}).encode(), b"\n"): "bad:4: it is not JSON",
        of_lines(text, json.dumps(row | {"rx_bytes": True}).encode(), b"\n"): "column rx_bytes: True is not",
        of_lines(text, json.dumps(row | {"rx_bytes": 2**63}).encode(), b"\n"): "column rx_bytes: ",
        of_lines(text, json.dumps(row | {"rx_bytes": "5"}).encode(), b"\n"): "column rx_bytes: '5' is not",
        of_lines(
            text, json.dumps(row | {"counted": 1}).encode(), b"\n"
        ): "column counted: 1 is neither True nor False",
        of_lines(text, json.dumps(row | {"start": 0}).encode(), b"\n"): "column start: 0 is not a time",
        of_lines(
            text, json.dumps(row | {"interface": None}).encode(), b"\n"
        ): "column interface: None is not text",
        of_lines(text, json.dumps(row | {"more": 1}).encode(), b"\n"): "with the column 'more'",
        of_lines(text, good["gaps", "jsonl"]): "bad:4: it is a row of another table than the first line",
    }.items():
        (tmp_path / "bad").write_bytes(bad)
        assert why in refused("bad")


def test_rows_that_are_there_twice_or_overlap_are_told_with_both_places(good, refused, tmp_path):
    text = good["usage", "csv"]
    lines = text.splitlines(keepends=True)
    for bad, why in {
        text + lines[1]: "bad:5: overlaps the row at bad:2 of the same interface",
        text + lines[2]: "bad:5: is there already, at bad:3",
    }.items():
        (tmp_path / "bad").write_bytes(bad)
        assert why in refused("bad")
    (tmp_path / "a").write_bytes(text)
    (tmp_path / "b").write_bytes(good["usage", "jsonl"])
    assert "b:1: overlaps the row at a:2" in refused("a", "b")
    day = changed(text, 2, end="2026-03-11T00:00:00+00:00", record="day")
    (tmp_path / "bad").write_bytes(day)
    assert "bad:4: overlaps the row at bad:2" in refused("bad")
    (tmp_path / "apps").write_bytes(good["applications", "csv"])
    assert "apps:2: is there already, at apps:2" in refused("a", "apps", "apps")
    (tmp_path / "gaps").write_bytes(good["gaps", "csv"])
    (tmp_path / "lines").write_bytes(good["gaps", "jsonl"])
    assert "lines:1: is there already, at gaps:2" in refused("a", "gaps", "lines")


def test_an_interface_that_changes_its_part_in_the_total_or_has_too_much_is_told(good, refused, tmp_path):
    text = good["usage", "csv"]
    (tmp_path / "bad").write_bytes(changed(text, 4, counted="false"))
    assert "bad:4: column counted: eth0 has false here and true before" in refused("bad")
    (tmp_path / "bad").write_bytes(changed(text, 4, rx_bytes=str(2**63 - 1)))
    assert "bad:4: column rx_bytes: with it, eth0 has more than 2^63-1" in refused("bad")


def test_applications_without_the_usage_of_their_interface_are_told(good, refused, tmp_path):
    (tmp_path / "apps").write_bytes(good["applications", "csv"])
    assert "apps:2: eth0 has applications and no usage" in refused("apps")


def test_what_is_no_export_at_all_is_told(good, refused, tmp_path):
    (tmp_path / "empty").touch()
    (tmp_path / "directory").mkdir()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "packed.gz").write_bytes(gzip.compress(good["usage", "csv"]))
    (tmp_path / "noise").write_bytes(bytes(range(256)) * 9000)
    (tmp_path / "parquet").write_bytes(b"PAR1" + b"x" * 100 + b"PAR1")
    assert "empty: it is empty" in refused("empty")
    assert "directory: it is not a file" in refused("directory")
    assert "pipe: it is not a file" in refused("pipe")
    assert "packed.gz: it is compressed (gzip); unpack it first" in refused("packed.gz")
    assert "noise:1: " in refused("noise")
    assert "parquet: it is no whole Parquet file" in refused("parquet")
    assert "none: it cannot be read: No such file" in refused("none")
    refused(code=2)


def test_parquet_of_other_types_is_told_with_its_column(good, refused, tmp_path):
    (tmp_path / "good").write_bytes(good["usage", "parquet"])
    table = pq.read_table(tmp_path / "good")
    for name, column, why in (
        ("rx_bytes", pa.array([1.5] * 3), "column rx_bytes: holds double, and whole numbers is expected"),
        ("rx_bytes", pa.array([None, 1, 2]), "bad: row 1: column rx_bytes: None is not a whole number"),
        ("rx_bytes", pa.array([1, 7, 2**64 - 1], pa.uint64()), "bad: row 3: column rx_bytes: "),
        (
            "start",
            pa.array([0] * 3, pa.timestamp("us")),
            "column start: holds timestamp[us], and a time with its zone",
        ),
        ("start", pa.array([1] * 3, pa.timestamp("ns", "UTC")), "bad: it cannot be read behind row 0"),
        (
            "start",
            pa.array([None] * 3, pa.timestamp("us", "UTC")),
            "bad: row 1: column start: there is no time",
        ),
        ("counted", pa.array(["true"] * 3), "column counted: holds string"),
        ("interface", pa.array([1] * 3), "column interface: holds int64"),
    ):
        other = table.set_column(table.schema.get_field_index(name), name, column)
        pq.write_table(other, tmp_path / "bad")
        assert why in refused("bad")
    pq.write_table(table.replace_schema_metadata({"netusage.version": "2"}), tmp_path / "bad")
    assert "written by a newer netusage (version 2" in refused("bad")


def test_parquet_that_another_program_has_written_again_is_read(good, tmp_path):
    (tmp_path / "good").write_bytes(good["usage", "parquet"])
    table = pq.read_table(tmp_path / "good")
    pq.write_table(
        table.select(reversed(table.column_names)).replace_schema_metadata(None), tmp_path / "again"
    )
    imported(tmp_path / "copy.db", tmp_path / "again")
    assert exported(tmp_path / "copy.db", "csv", "--tz", "UTC") == good["usage", "csv"]


def test_databases_that_are_none_of_ours_or_of_a_newer_one_are_told(good, refused, tmp_path):
    with closing(sqlite3.connect("other.db")) as db:
        db.execute("CREATE TABLE usage (start)")
    with writing(tmp_path / "ledger.db") as ledger:
        ledger.commit()
    assert "other.db: it is a database of another program" in refused("other.db")
    assert "ledger.db: it is a ledger itself, not an export of one; netusage merge" in refused("ledger.db")
    for statement, why in (
        ("PRAGMA user_version = 2", "written by a newer netusage (version 2"),
        ("UPDATE usage SET rx_bytes = -1 WHERE rowid = 2", "bad: usage row 2: column rx_bytes: -1 is not"),
        ("UPDATE usage SET counted = 7 WHERE rowid = 2", "bad: usage row 2: column counted: 7 is neither"),
        ("UPDATE gaps SET lossy = 7", "bad: gaps row 1: column lossy"),
        ("UPDATE usage SET interface = CAST(x'ff' AS TEXT)", "bad: it cannot be read"),
        ("DELETE FROM usage WHERE rowid = 2", "bad: usage has 2 rows, and 3 were written"),
        ("ALTER TABLE gaps RENAME COLUMN note TO remark", "bad: gaps: these are the columns of gaps without"),
        ("CREATE TABLE more (a)", "bad: more: these are not the columns"),
    ):
        (tmp_path / "bad").write_bytes(good["usage", "sqlite"])
        with closing(sqlite3.connect("bad", isolation_level=None)) as db:
            db.execute(statement)
        assert why in refused("bad")
    broken = bytearray(good["usage", "sqlite"])
    broken[4096 * 2 : 4096 * 2 + 200] = b"\xff" * 200
    (tmp_path / "bad").write_bytes(broken)
    assert "bad: it " in refused("bad")
