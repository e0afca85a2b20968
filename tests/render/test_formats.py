"""Golden output of every format, and what no name and no number may do to it."""

import csv
import io
import json
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netusage.errors import UsageError
from netusage.render.cells import width
from netusage.render.columns import Column
from netusage.render.context import RenderContext
from netusage.render.formats import Format, render
from netusage.units import Units

COLUMNS = [
    Column("start", "Day", "date"),
    Column("end", "End", "time", table=False),
    Column("interface", "Interface"),
    Column("rx_bytes", "Received", "bytes"),
    Column("tx_bytes", "Sent", "bytes"),
    Column("rx_packets", "Packets", "int"),
]
ROWS = [
    {
        "start": "2026-11-20T00:00:00+01:00",
        "end": "2026-11-21T00:00:00+01:00",
        "interface": "eth0",
        "rx_bytes": 2**63 - 1,
        "tx_bytes": 999,
        "rx_packets": 1234567,
    },
    {
        "start": "2026-11-21T00:00:00+01:00",
        "end": "2026-11-22T00:00:00+01:00",
        "interface": "wg|日本",
        "rx_bytes": 1_500_000,
        "tx_bytes": 0,
        "rx_packets": None,
    },
]
ENVELOPE = {"report": "day", "zone": "Europe/Berlin"}


class Terminal(io.StringIO):
    def isatty(self):
        return True


def text_of(format_name, *, columns=COLUMNS, rows=ROWS, context=None, stream=None):
    stream = io.StringIO() if stream is None else stream
    render(format_name, columns, rows, envelope=ENVELOPE, context=context or RenderContext(), stream=stream)
    return stream.getvalue()


def test_a_table_lines_up_in_cells():
    assert text_of("table") == (
        "Day         Interface  Received   Sent    Packets\n"
        "2026-11-20  eth0        9.22 EB  999 B  1,234,567\n"
        "2026-11-21  wg|日本     1.50 MB    0 B          -\n"
    )


def test_markdown_is_a_pipe_table():
    assert text_of("markdown", context=RenderContext(units=Units.IEC)) == (
        "| Day | Interface | Received | Sent | Packets |\n"
        "| --- | --- | ---: | ---: | ---: |\n"
        "| 2026-11-20 | eth0 | 8.00 EiB | 999 B | 1,234,567 |\n"
        "| 2026-11-21 | wg\\|日本 | 1.43 MiB | 0 B | - |\n"
    )


def test_json_is_one_versioned_object_with_whole_rows_and_exact_integers():
    text = text_of("json")
    assert text.startswith('{"version": 1, "report": "day", "zone": "Europe/Berlin", "rows": [\n  {"start": ')
    assert text.endswith("}\n]}\n")
    assert text.isascii()
    assert json.loads(text) == {"version": 1, **ENVELOPE, "rows": ROWS}


def test_json_without_rows_has_an_empty_list():
    assert (
        text_of("json", rows=[]) == '{"version": 1, "report": "day", "zone": "Europe/Berlin", "rows": []}\n'
    )


def test_json_lines_have_one_row_each():
    lines = text_of("jsonl").splitlines()
    assert [json.loads(line) for line in lines] == ROWS


def test_csv_has_every_column_and_raw_values():
    assert text_of("csv") == (
        "start,end,interface,rx_bytes,tx_bytes,rx_packets\n"
        "2026-11-20T00:00:00+01:00,2026-11-21T00:00:00+01:00,eth0,9223372036854775807,999,1234567\n"
        "2026-11-21T00:00:00+01:00,2026-11-22T00:00:00+01:00,wg|日本,1500000,0,\n"
    )


def test_tsv_is_csv_with_tabs():
    assert (
        text_of("tsv", columns=COLUMNS[2:4])
        == "interface\trx_bytes\neth0\t9223372036854775807\nwg|日本\t1500000\n"
    )


def test_flags_and_lists_in_csv_are_written_as_json_has_them():
    columns = [Column("counted", "Counted", "flag"), Column("ports", "Ports")]
    assert text_of(
        "csv", columns=columns, rows=[{"counted": True, "ports": ["a", 1]}, {"counted": False}]
    ) == ('counted,ports\ntrue,"[""a"", 1]"\nfalse,\n')


@pytest.mark.parametrize("format_name", ["table", "markdown", "csv", "tsv"])
def test_without_rows_the_headings_stand_alone(format_name):
    text = text_of(format_name, rows=[])
    assert "nterface" in text
    assert len(text.splitlines()) == (2 if format_name == "markdown" else 1)


@pytest.mark.parametrize("format_name", Format)
def test_rows_may_come_one_by_one_and_are_read_once(format_name):
    assert text_of(format_name, rows=iter(ROWS)) == text_of(format_name)


@pytest.mark.parametrize("format_name", ["json", "jsonl", "csv", "tsv"])
def test_formats_for_programs_write_each_row_before_the_next_is_made(format_name):
    stream = io.StringIO()

    def rows():
        yield {"interface": "first", "rx_bytes": 1}
        assert "first" in stream.getvalue()
        yield {"interface": "second", "rx_bytes": 2}

    assert "second" in text_of(format_name, columns=COLUMNS[2:4], rows=rows(), stream=stream)


def test_an_unknown_format_is_refused_with_the_known_ones():
    with pytest.raises(UsageError, match=r"no format 'yaml'.*table, json, jsonl, csv, tsv, markdown"):
        text_of("yaml")


def test_an_infinite_number_is_no_json():
    with pytest.raises(ValueError, match="JSON"):
        text_of("json", rows=[{"rate": float("inf")}])


def test_only_headings_are_bold_and_only_where_colour_is_wanted():
    lines = text_of("table", context=RenderContext(color=True)).splitlines()
    assert lines[0].startswith("\x1b[1mDay")
    assert lines[0].endswith("\x1b[0m")
    assert "\x1b" not in "".join(lines[1:])
    assert "\x1b" not in text_of("table")


LONG = [{**ROWS[0], "interface": "a" * 30 + "b" * 30}, ROWS[1]]


def test_a_pipe_gets_every_character():
    assert "a" * 30 + "b" * 30 in text_of("table", rows=LONG)


def test_a_terminal_gets_names_that_fit_and_numbers_that_are_whole():
    lines = text_of("table", rows=LONG, context=RenderContext(width=60)).splitlines()
    assert max(map(width, lines)) == 60
    assert "aaa…bbb" in lines[1]
    assert lines[1].endswith("9.22 EB  999 B  1,234,567")


def test_a_line_that_is_too_narrow_for_the_numbers_runs_over():
    lines = text_of("table", rows=LONG, context=RenderContext(width=20)).splitlines()
    assert lines[1] == "2026-11-20  aaaa…bbbb   9.22 EB  999 B  1,234,567"


def test_a_terminal_that_is_too_narrow_for_all_columns_does_without_the_spare_ones():
    columns = [COLUMNS[0], Column("interface", "Interface", spare=True), *COLUMNS[3:]]
    spared = [column for column in columns if not column.spare]

    def shown(width):
        return text_of("table", columns=columns, rows=LONG, context=RenderContext(width=width))

    assert "aaa…bbb" in shown(60)
    assert shown(50) == text_of("table", columns=spared, rows=LONG)
    assert "a" * 30 in text_of("table", columns=columns, rows=LONG)


def test_a_wide_terminal_changes_nothing():
    assert text_of("table", rows=LONG, context=RenderContext(width=200)) == text_of("table", rows=LONG)


def test_a_name_cannot_forge_a_row_a_cell_or_a_colour():
    rows = [{"interface": "a\n| b | 9 GB |\x1b[2J\u202e", "rx_bytes": 1}]
    table = text_of("table", columns=COLUMNS[2:4], rows=rows)
    assert table.splitlines()[1] == "a\\n| b | 9 GB |\\x1b[2J\\u202e       1 B"
    lines = text_of("markdown", columns=COLUMNS[2:4], rows=rows).splitlines()
    assert len(lines) == 3
    assert lines[2] == "| a\\\\n\\| b \\| 9 GB \\|\\\\x1b\\[2J\\\\u202e | 1 B |"


def test_csv_on_a_terminal_gives_it_no_orders():
    rows = [{"interface": "a\x1b[2J"}]
    assert text_of("csv", columns=COLUMNS[2:3], rows=rows) == "interface\na\x1b[2J\n"
    assert text_of("csv", columns=COLUMNS[2:3], rows=rows, stream=Terminal()) == "interface\na\\x1b[2J\n"


@pytest.mark.parametrize("format_name", Format)
@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
def test_every_name_can_be_written_in_every_encoding(format_name, encoding):
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding, newline="")
    rows = [{"interface": "日本 \udcff é 😀 " + "x" * 50, "rx_bytes": 1}]
    text_of_context = RenderContext(width=40)
    render(format_name, COLUMNS[2:4], rows, envelope=ENVELOPE, context=text_of_context, stream=stream)
    stream.flush()
    assert raw.getvalue().decode(encoding).count("x") >= 5


@given(
    rows=st.lists(
        st.fixed_dictionaries(
            {
                "interface": st.text(st.characters(exclude_categories=["Cs"])),
                "rx_bytes": st.integers(0, 2**63),
            }
        ),
        max_size=5,
    )
)
@settings(deadline=None)
def test_programs_read_back_exactly_what_was_written(rows):
    columns = COLUMNS[2:4]
    for name, delimiter in (("csv", ","), ("tsv", "\t")):
        text = text_of(name, columns=columns, rows=rows)
        back = list(csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter))
        assert [{**row, "rx_bytes": int(row["rx_bytes"])} for row in back] == rows
    assert json.loads(text_of("json", rows=rows))["rows"] == rows
    assert [json.loads(line) for line in text_of("jsonl", rows=rows).splitlines()] == rows
    assert len(text_of("table", columns=columns, rows=rows).splitlines()) == len(rows) + 1


def test_bytes_that_were_no_text_leave_json_sound():
    text = text_of("jsonl", rows=[{"interface": "eth\udcff", "note": "😀"}])
    assert json.loads(text) == {"interface": "eth\\udcff", "note": "😀"}


def test_times_of_people_are_in_the_zone_and_those_of_programs_as_given():
    context = RenderContext(zone=ZoneInfo("America/New_York"))
    assert "2026-11-19" in text_of("table", context=context)
    assert text_of("csv", context=context) == text_of("csv")


def test_a_carriage_return_in_a_name_is_quoted_and_rows_end_in_a_line_feed():
    assert text_of("csv", columns=COLUMNS[2:4], rows=[{"interface": "a\r", "rx_bytes": 1}]) == (
        'interface,rx_bytes\n"a\r",1\n'
    )
