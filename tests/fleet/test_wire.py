"""Rows as TabSeparated has them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netusage.errors import FleetError
from netusage.fleet import wire
from netusage.fleet.schema import HOST, LIMITS, USAGE, Column, Table
from netusage.model import LARGEST

HOSTILE = "a\tb\nc\\d'e\0f\rg\u0085h\u2028\\N ü\x1b[3m\b\f"
ROW = ("h", "l", "eth0", "", 1_764_000_000, 1, 2, 3, 4, 5, 6, 7)
NAMES = st.text(st.characters(exclude_categories=["Cs"]))
TEXTS = Table("texts", (Column("one", "String"), Column("many", "Array(String)")), ("one",))


def test_a_row_is_a_line_and_a_time_is_utc():
    assert wire.encode(USAGE, [ROW]) == b"h\tl\teth0\t\t2025-11-24 16:00:00\t1\t2\t3\t4\t5\t6\t7\n"


def test_a_name_never_makes_another_cell_or_row():
    line = wire.encode(USAGE, [("h", "l", HOSTILE, *ROW[3:])]).decode()
    assert line.count("\n") == 1
    assert line.count("\t") == len(ROW) - 1


@given(NAMES, st.lists(NAMES, max_size=3))
def test_what_goes_in_as_text_comes_out_the_same(text, texts):
    row = (text, tuple(texts))
    body = "one\tmany\nString\tArray(String)\n" + wire.encode(TEXTS, [row]).decode()
    assert list(wire.decode(body)) == [row]


@given(st.lists(st.integers(0, LARGEST), max_size=3))
def test_lists_of_numbers_come_out_the_same(numbers):
    table = Table("lists", (Column("many", "Array(UInt64)"),), ())
    body = "many\nArray(UInt64)\n" + wire.encode(table, [(numbers,)]).decode()
    assert list(wire.decode(body)) == [(tuple(numbers),)]


def test_a_number_of_a_list_that_does_not_fit_is_not_sent():
    table = Table("lists", (Column("many", "Array(UInt8)"),), ())
    with pytest.raises(FleetError, match="many of lists is 256"):
        wire.encode(table, [((1, 256),)])


def test_a_text_that_is_no_unicode_is_sent_with_what_cannot_be_told_replaced():
    assert wire.encode(TEXTS, [("a\udc80", ())]) == b"a?\t[]\n"


@pytest.mark.parametrize("kind", LIMITS)
def test_numbers_at_the_limits_are_sent_and_no_others(kind):
    table = Table("numbers", (Column("number", kind),), ("number",))
    low, high = LIMITS[kind]
    assert wire.encode(table, [(low,), (high,)]).count(b"\n") == 2
    for beyond in (low - 1, high + 1):
        with pytest.raises(FleetError, match="number of numbers is"):
            wire.encode(table, [(beyond,)])


def test_nothing_above_what_a_ledger_holds_is_sent():
    with pytest.raises(FleetError, match="rx_bytes of usage is 9223372036854775808"):
        wire.encode(USAGE, [(*ROW[:5], 1 << 63, *ROW[6:])])


def test_a_row_that_is_too_short_is_a_mistake_and_never_sent():
    with pytest.raises(ValueError, match="zip"):
        wire.encode(HOST, [("h", "l")])


def test_answers_have_numbers_texts_and_nothing():
    body = (
        "a\tb\tc\td\nUInt64\tString\tNullable(Int64)\tDateTime('UTC')\n7\tx\\ty\t\\N\t2026-01-01 00:00:00\n"
    )
    assert list(wire.decode(body)) == [(7, "x\ty", None, "2026-01-01 00:00:00")]


def test_an_answer_without_rows_has_none():
    assert list(wire.decode("a\nUInt64\n")) == []


@pytest.mark.parametrize(
    "body", ["", "Ok.\n", "a\nUInt64\n7", "<html>\n</html>", "a\nUInt64\nCode: 1\n", "a\nUInt64\n7\t8\n"]
)
def test_what_is_no_whole_answer_is_an_error(body):
    with pytest.raises(FleetError, match="no whole answer"):
        list(wire.decode(body))
