"""Bars of characters and their scale."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netusage.live.graph import ASCII, EIGHTHS, bars, top_of
from netusage.units import Units


@pytest.mark.parametrize(
    ("highest", "units", "bits", "top"),
    [
        (0, Units.SI, False, 1000),
        (1001, Units.SI, False, 2000),
        (2000, Units.SI, False, 2000),
        (2_000_001, Units.SI, False, 5_000_000),
        (600_000, Units.SI, False, 1_000_000),
        (3000, Units.IEC, False, 5 * 1024),
        (600 * 1024, Units.IEC, False, 1024**2),
        (125_000, Units.SI, True, 125_000),  # 1 Mbit/s
        (125_001, Units.SI, True, 250_000),
    ],
)
def test_the_scale_ends_at_a_round_number(highest, units, bits, top):
    assert top_of(highest, units, bits=bits) == top


@given(st.integers(0, 10**18), st.sampled_from(Units), st.booleans())
def test_the_scale_is_never_below_the_highest_and_at_most_twice_and_a_half_of_it(highest, units, bits):
    top = top_of(highest, units, bits=bits)
    assert highest <= top
    assert top <= max(2.5 * highest, 1024)


def test_a_full_bar_fills_all_rows_and_half_a_bar_half_of_them():
    assert bars([8, 4, 0], 8, 2) == ["█  ", "██ "]


def test_an_eighth_of_a_row_is_seen():
    assert bars([1, 2, 3, 9, 16], 16, 2) == ["   ▁█", "▁▂▃██"]


def test_the_smallest_amount_is_seen_and_nothing_is_not():
    assert bars([1, 0], 10**9, 3) == ["  ", "  ", "▁ "]


def test_without_unicode_there_are_bars_as_well():
    assert bars([8, 4, 2, 1, 0], 8, 1, ASCII) == ["#:.. "]
    assert len(ASCII) == len(EIGHTHS) == 9
    assert ASCII.isascii()
