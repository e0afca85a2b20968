"""Names of any kind stay inside their cell."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netusage.render.cells import encodable, markdown, pad, safe, shorten, width


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("eth0", "eth0"),
        ("日本", "日本"),
        ("a\nb", "a\\nb"),
        ("a\r\tb", "a\\r\\tb"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("\x9b31m", "\\x9b31m"),
        ("a\u202eb", "a\\u202eb"),
        ("a\u2028b", "a\\u2028b"),
        ("\ufeffa", "\\ufeffa"),
        ("\U000e0041", "\\U000e0041"),
        ("\udcff", "\\udcff"),
        ("a\xa0b", "a\xa0b"),
    ],
)
def test_what_is_no_visible_character_is_shown_as_an_escape(text, shown):
    assert safe(text) == shown


@given(text=st.text())
@settings(deadline=None)
def test_no_name_breaks_a_line_or_reaches_the_terminal(text):
    shown = safe(text)
    assert len(shown.splitlines()) <= 1
    assert not any(ord(char) < 32 or 0x7F <= ord(char) < 0xA0 for char in shown)
    shown.encode()


def test_what_the_stream_cannot_encode_is_shown_as_an_escape():
    assert encodable("日本", "ascii") == "\\u65e5\\u672c"
    assert encodable("é日", "latin-1") == "é\\u65e5"
    assert encodable("日本", "utf-8") == "日本"
    assert encodable("日本", None) == "日本"


def test_markdown_does_not_read_the_characters_of_a_name():
    assert markdown("a|b<c>`d`*e*") == "a\\|b\\<c>\\`d\\`\\*e\\*"
    assert markdown("a_b") == "a_b"


@pytest.mark.parametrize(
    ("text", "cells"), [("", 0), ("eth0", 4), ("日本", 4), ("\uff45", 2), ("e\u0301", 1), ("é", 1), ("😀", 2), ("한", 2), ("\u1112\u1161\u11ab", 2)]
)  # fmt: skip
def test_width_is_counted_in_cells(text, cells):
    assert width(text) == cells


def test_cells_are_filled_up_by_what_is_seen():
    assert pad(["日本", "a"], 6, right=False) == ["日本  ", "a     "]
    assert pad(["e\u0301", "ab"], 3, right=True) == ["  e\u0301", " ab"]
    assert pad(["abc", "d"], 3, right=True) == ["abc", "  d"]


def test_a_long_name_keeps_both_its_ends():
    assert shorten("enp0s31f6.100", 13) == "enp0s31f6.100"
    assert shorten("enp0s31f6.100", 9) == "enp0….100"
    assert shorten("enp0s31f6.100", 9, "...") == "enp...100"
    assert shorten("abc", 1) == "…"
    assert shorten("日本語日本語", 6) == "日…語"
    assert shorten("abcdefg\u0301h", 4) == "ab…h"


@given(text=st.text().map(safe), cells=st.integers(1, 40), mark=st.sampled_from(["…", "..."]))
@settings(deadline=None)
def test_a_shortened_name_fits(text, cells, mark):
    shown = shorten(text, cells, mark)
    assert width(shown) <= cells
    assert shown == text or width(text) > cells
