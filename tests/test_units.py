"""Bytes, rates and durations in words and back."""

import re
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netusage.errors import ExitCode, UsageError
from netusage.units import (
    Units,
    format_all_bytes,
    format_all_rates,
    format_bytes,
    format_duration,
    format_rate,
    megabyte_name,
    megabytes,
    parse_bytes,
    parse_duration,
    parse_rate,
)

SECOND = 1_000_000
HOUR = 3600 * SECOND


@pytest.mark.parametrize(
    ("n", "si", "iec"),
    [
        (0, "0 B", "0 B"),
        (999, "999 B", "999 B"),
        (1000, "1.00 kB", "1000 B"),
        (1023, "1.02 kB", "1023 B"),
        (1024, "1.02 kB", "1.00 KiB"),
        (1_500_000_000, "1.50 GB", "1.40 GiB"),
        (2**30 - 1, "1.07 GB", "1.00 GiB"),
        (2**63 - 1, "9.22 EB", "8.00 EiB"),
        (-1_500_000, "-1.50 MB", "-1.43 MiB"),
        (-1, "-1 B", "-1 B"),
    ],
)
def test_bytes_are_shown_in_the_largest_unit_that_they_fill(n, si, iec):
    assert format_bytes(n, Units.SI) == si
    assert format_bytes(n, Units.IEC) == iec


def test_a_number_that_rounds_up_to_a_whole_step_moves_to_the_next_unit():
    assert format_bytes(999_994_999, Units.SI) == "999.99 MB"
    assert format_bytes(999_995_000, Units.SI) == "1.00 GB"
    assert format_bytes(-999_996_000, Units.SI) == "-1.00 GB"
    assert format_bytes(1024**2 - 1, Units.IEC) == "1.00 MiB"


def test_beyond_the_last_unit_the_number_grows():
    assert format_bytes(10**22, Units.SI) == "10000.00 EB"


@given(n=st.integers(-(2**63), 2**63), units=st.sampled_from(Units))
@settings(deadline=None)
def test_what_is_shown_is_right_to_its_last_digit(n, units):
    text = format_bytes(n, units)
    number, unit = text.split(" ")
    power = "bkmgtpe".index(unit[0].lower())
    shown = Fraction(number)
    error = abs(shown * units.step**power - n)
    assert error * 2 <= Fraction(units.step**power, 100 if power else 1)
    assert abs(shown) < units.step
    assert power == 0 or abs(shown) >= 1
    assert re.fullmatch(r"-?\d+(\.\d\d)?", number)


@given(st.lists(st.integers(-(2**64), 2**64)), st.sampled_from(Units), st.booleans())
@settings(deadline=None)
def test_many_numbers_are_shown_as_each_is_alone(numbers, units, bits):
    assert format_all_bytes(numbers, units) == [format_bytes(n, units) for n in numbers]
    assert format_all_rates(numbers, units, bits) == [format_rate(n, units, bits) for n in numbers]


def test_rates_are_in_bytes_or_in_bits():
    assert format_rate(1_500_000, Units.SI) == "1.50 MB/s"
    assert format_rate(1_500_000, Units.SI, bits=True) == "12.00 Mbit/s"
    assert format_rate(2**20, Units.IEC) == "1.00 MiB/s"
    assert format_rate(2**20, Units.IEC, bits=True) == "8.00 Mibit/s"
    assert format_rate(0.06, Units.SI) == "0 B/s"
    assert format_rate(0.1, Units.SI, bits=True) == "1 bit/s"


def test_megabytes_have_two_decimals_whatever_their_size():
    assert megabytes(0, Units.SI) == "0.00"
    assert megabytes(4_999, Units.SI) == "0.00"
    assert megabytes(5_000, Units.SI) == "0.01"
    assert megabytes(123_456_789_012, Units.SI) == "123456.79"
    assert megabytes(3 * 2**20, Units.IEC) == "3.00"
    assert megabytes(-1_500_000, Units.SI) == "-1.50"
    assert megabytes(-1, Units.SI) == "0.00"
    assert megabytes(2**63 - 1, Units.SI) == "9223372036854.78"


def test_the_unit_of_megabytes_is_named_truly():
    assert megabyte_name(Units.SI) == "MB"
    assert megabyte_name(Units.IEC) == "MiB"


@pytest.mark.parametrize(
    ("text", "n"),
    [
        ("0", 0),
        ("1024", 1024),
        ("1 byte", 1),
        ("1.5GB", 1_500_000_000),
        ("500 MiB", 500 * 2**20),
        (" 500mb ", 500_000_000),
        ("2KB", 2000),
        ("0.1 KiB", 102),
        ("7.9EiB", 9_108_079_886_394_091_110),
        ("9223372036854775807", 2**63 - 1),
    ],
)
def test_amounts_of_bytes_are_read(text, n):
    assert parse_bytes(text) == n


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "not an amount"),
        ("-5GB", "not an amount"),
        ("GB", "not an amount"),
        ("1,5GB", "not an amount"),
        ("\u0661GB", "not an amount"),
        ("5 parsecs", "unknown unit"),
        ("5M", "by 1000 or by 1024"),
        ("5Mb", "bits or bytes"),
        ("8EiB", "more than can be counted"),
        ("9" * 5000, "not an amount"),
    ],
)
def test_what_is_no_amount_of_bytes_is_refused_with_the_reason(text, why):
    with pytest.raises(UsageError, match=why) as caught:
        parse_bytes(text)
    assert "1.5GB" in caught.value.hint
    assert caught.value.exit_code == ExitCode.USAGE


@given(n=st.integers(0, 2**63 - 1), units=st.sampled_from(Units))
@settings(deadline=None)
def test_shown_bytes_are_read_back_within_their_rounding(n, units):
    text = format_bytes(n, units)
    try:
        back = parse_bytes(text)
    except UsageError:
        assert n > 2**63 - 2**52  # rounded up to 2^63
    else:
        assert abs(back - n) <= n // 200


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("10 MB/s", 10_000_000),
        ("10MB / s", 10_000_000),
        ("1 MiB/s", 1 << 20),
        ("80 Mbit/s", 10_000_000),
        ("80Mbit/s", 10_000_000),
        ("1.5 kbit/s", 188),
        ("100/s", 100),
        ("800 bit/s", 100),
    ],
)
def test_rates_are_read_in_bytes_or_bits(text, rate):
    assert parse_rate(text) == rate


@pytest.mark.parametrize("text", ["10 MB", "10 Mb/s", "MB/s", "10 MB/h", "fast", "10 M/s", "", "-1 MB/s"])
def test_what_is_no_rate_is_refused_with_an_example(text):
    with pytest.raises(UsageError) as failure:
        parse_rate(text)
    assert "e.g." in failure.value.hint


@pytest.mark.parametrize(
    ("text", "us"),
    [
        ("5s", 5 * SECOND),
        ("90", 90 * SECOND),
        ("0.5", SECOND // 2),
        ("10m", 600 * SECOND),
        ("1h30m", HOUR + HOUR // 2),
        ("1 h 30 min", HOUR + HOUR // 2),
        ("1.5h", HOUR + HOUR // 2),
        ("250ms", 250_000),
        ("7us", 7),
        ("2d", 48 * HOUR),
        ("1w", 7 * 24 * HOUR),
        ("2 weeks", 14 * 24 * HOUR),
        ("0", 0),
    ],
)
def test_durations_are_read(text, us):
    assert parse_duration(text) == us


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "not a duration"),
        ("-5s", "not a duration"),
        ("5 parsecs", "'parsecs' is not a unit"),
        ("1mo", "'mo' is not a unit"),
        ("1M", "not a duration"),
        ("1h30", "not a duration"),
        ("30m1h", "from large to small"),
        ("1h1h", "from large to small"),
        ("999999999w", "too long"),
        ("\u0665s", "not a duration"),
        ("1e3", "not a duration"),
        ("nan", "not a duration"),
        ("9" * 5000, "not a duration"),
    ],
)
def test_what_is_no_duration_is_refused_with_the_reason_and_examples(text, why):
    with pytest.raises(UsageError, match=why) as caught:
        parse_duration(text)
    assert "1h30m" in caught.value.hint


@given(us=st.integers(0, 2**63 - 1))
@settings(deadline=None)
def test_a_duration_that_was_written_is_read_back_exactly(us):
    assert parse_duration(format_duration(us)) == us


def test_a_duration_can_be_cut_to_its_largest_units():
    us = 50 * HOUR + 59 * SECOND
    assert format_duration(us) == "2d2h59s"
    assert format_duration(us, parts=1) == "2d"
    assert format_duration(us, parts=2) == "2d2h"
    assert format_duration(us, parts=3) == "2d2h"
    assert format_duration(us, parts=4) == "2d2h59s"
    assert format_duration(0, parts=2) == "0s"
    assert format_duration(-90 * SECOND) == "-1m30s"
