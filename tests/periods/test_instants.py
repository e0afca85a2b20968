"""Moments as people name them."""

import zoneinfo
from contextlib import suppress
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netusage.errors import ExitCode, UsageError
from netusage.periods import PeriodKind, isoformat, parse_instant, periods

NEW_YORK = zoneinfo.ZoneInfo("America/New_York")
BERLIN = zoneinfo.ZoneInfo("Europe/Berlin")
APIA = zoneinfo.ZoneInfo("Pacific/Apia")
NOW_S = int(datetime(2026, 11, 24, 6, 30, 15, tzinfo=UTC).timestamp())  # Tuesday 01:30:15 in New York


def read(text, zone=NEW_YORK, *, end=False, now_s=NOW_S):
    return isoformat(parse_instant(text, now_s, zone, end=end), zone)


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        ("2026-11-20", "2026-11-20", "2026-11-21"),
        ("20261120", "2026-11-20", "2026-11-21"),
        ("2026-W47-5", "2026-11-20", "2026-11-21"),
        ("2026-W47", "2026-11-16", "2026-11-23"),
        ("2026-12", "2026-12-01", "2027-01-01"),
        ("2026-02", "2026-02-01", "2026-03-01"),
        ("2028-02-29", "2028-02-29", "2028-03-01"),
        ("2026", "2026-01-01", "2027-01-01"),
        ("today", "2026-11-24", "2026-11-25"),
        ("Yesterday", "2026-11-23", "2026-11-24"),
        ("monday", "2026-11-23", "2026-11-24"),
        ("tue", "2026-11-24", "2026-11-25"),
        ("wednesday", "2026-11-18", "2026-11-19"),
        (" sunday ", "2026-11-22", "2026-11-23"),
    ],
)
def test_a_bare_date_begins_where_it_begins_and_as_an_end_is_included(text, start, end):
    assert read(text) == f"{start}T00:00:00-05:00"
    assert read(text, end=True) == f"{end}T00:00:00-05:00"


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("now", "2026-11-24T01:30:15-05:00"),
        ("2026-11-20T13", "2026-11-20T13:00:00-05:00"),
        ("2026-11-20 13:05", "2026-11-20T13:05:00-05:00"),
        ("2026-11-20T13:05:06.9", "2026-11-20T13:05:06-05:00"),
        ("2026-11-20T13:00Z", "2026-11-20T08:00:00-05:00"),
        ("2026-11-20T13:00+01:00", "2026-11-20T07:00:00-05:00"),
        ("2026-11-20T13:00:00.5-05:00", "2026-11-20T13:00:00-05:00"),
        ("@1700000000", "2023-11-14T17:13:20-05:00"),
        ("@1700000000.9", "2023-11-14T17:13:20-05:00"),
        ("90s", "2026-11-24T01:28:45-05:00"),
        ("30m", "2026-11-24T01:00:15-05:00"),
        ("3h", "2026-11-23T22:30:15-05:00"),
        ("7d", "2026-11-17T01:30:15-05:00"),
        ("-7d", "2026-11-17T01:30:15-05:00"),
        ("7d ago", "2026-11-17T01:30:15-05:00"),
        ("7 days ago", "2026-11-17T01:30:15-05:00"),
        ("2w", "2026-11-10T01:30:15-05:00"),
        ("1mo", "2026-10-24T01:30:15-04:00"),
        ("1y", "2025-11-24T01:30:15-05:00"),
        ("1y 2mo 3d 4h", "2025-09-20T21:30:15-04:00"),
        ("0d", "2026-11-24T01:30:15-05:00"),
    ],
)
def test_an_exact_moment_is_itself_as_a_start_and_as_an_end(text, moment):
    assert read(text) == moment
    assert read(text, end=True) == moment


def test_days_ago_keep_the_clock_time_and_hours_ago_are_a_length_of_time():
    after_the_change = int(datetime(2026, 10, 25, 12, tzinfo=BERLIN).timestamp())
    assert read("1d", BERLIN, now_s=after_the_change) == "2026-10-24T12:00:00+02:00"
    assert read("24h", BERLIN, now_s=after_the_change) == "2026-10-24T13:00:00+02:00"


def test_a_month_ago_is_the_last_day_of_a_month_that_is_shorter():
    def month_before(*day):
        return read("1mo", BERLIN, now_s=int(datetime(*day, 12, tzinfo=BERLIN).timestamp()))[:10]

    assert month_before(2026, 3, 31) == "2026-02-28"
    assert month_before(2028, 3, 30) == "2028-02-29"
    assert month_before(2026, 1, 31) == "2025-12-31"
    assert (
        read("1y", BERLIN, now_s=int(datetime(2028, 2, 29, 12, tzinfo=BERLIN).timestamp()))[:10]
        == "2027-02-28"
    )


def test_a_time_that_the_clock_skips_is_the_moment_of_the_skip():
    assert read("2026-03-08T02:30") == "2026-03-08T03:00:00-04:00"


def test_a_time_that_comes_twice_is_the_first_of_both_unless_its_offset_is_given():
    assert read("2026-11-01T01:30") == "2026-11-01T01:30:00-04:00"
    assert read("2026-11-01T01:30-05:00") == "2026-11-01T01:30:00-05:00"


def test_a_date_that_was_skipped_is_empty():
    assert parse_instant("2011-12-30", NOW_S, APIA) == parse_instant("2011-12-30", NOW_S, APIA, end=True)


def test_today_is_the_zones_today():
    assert read("today", zoneinfo.ZoneInfo("Asia/Tokyo")) == "2026-11-24T00:00:00+09:00"
    assert read("today", zoneinfo.ZoneInfo("Pacific/Honolulu")) == "2026-11-23T00:00:00-10:00"


@given(
    day=st.dates(
        min_value=datetime(1971, 1, 1, tzinfo=UTC).date(), max_value=datetime(2100, 1, 1, tzinfo=UTC).date()
    ),
    zone=st.sampled_from(
        ["America/Sao_Paulo", "Australia/Lord_Howe", "Europe/Berlin", "Asia/Kathmandu", "UTC"]
    ),
)
@settings(deadline=None)
def test_a_date_names_exactly_the_days_own_period(day, zone):
    zone = zoneinfo.ZoneInfo(zone)
    start_s = parse_instant(day.isoformat(), NOW_S, zone)
    end_s = parse_instant(day.isoformat(), NOW_S, zone, end=True)
    found = periods(PeriodKind.DAY, start_s, end_s, zone)
    if start_s % 900 == end_s % 900 == 0:
        assert [(period.start_s, period.end_s) for period in found] == [(start_s, end_s)]


@given(moment_s=st.integers(0, 4_000_000_000), zone=st.sampled_from(["Europe/Berlin", "Pacific/Apia", "UTC"]))
@settings(deadline=None)
def test_a_moment_that_was_written_is_read_back(moment_s, zone):
    zone = zoneinfo.ZoneInfo(zone)
    assert parse_instant(isoformat(moment_s, zone), NOW_S, NEW_YORK) == moment_s


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "is not a time"),
        ("x", "is not a time"),
        ("5 november", "is not a time"),
        ("7 parsecs ago", "is not a time"),
        ("1M", "is not a time"),
        ("7", "is not a time"),
        ("2026-11-2", "is not a time"),
        ("2026-13", "month must be in 1..12"),
        ("2026-00", "month must be in 1..12"),
        ("2026-02-29", "day is out of range"),
        ("2026-W54", "week"),
        ("2026-11-20T25:00", "hour must be in 0..23"),
        ("1960-01-01", "1970"),
        ("@999999999999", "9990"),
        ("9999", "is not a time"),
        ("9995-01-01", "9990"),
        ("9999-12-31T23:59-12:00", "9990"),
        ("0001-01-01T00:00+14:00", "1970"),
        ("99y", "1970"),
        ("999999999y", "1970"),
        ("999999999d", "1970"),
        ("999999999w 999999999h", "1970"),
        ("\u0662d", "is not a time"),
    ],
)
def test_what_is_no_moment_is_refused_with_examples(text, why):
    with pytest.raises(UsageError, match=why) as caught:
        parse_instant(text, NOW_S, NEW_YORK)
    assert "2026-11-20" in caught.value.hint
    assert "7d" in caught.value.hint
    assert caught.value.exit_code == ExitCode.USAGE
    assert "\n" not in str(caught.value)


@given(
    text=st.text(max_size=30) | st.from_regex(r"[-0-9TWZ:+.@ dhmowy]{0,20}", fullmatch=True),
    end=st.booleans(),
)
@settings(deadline=None)
def test_whatever_is_written_is_a_moment_or_a_usage_error(text, end):
    with suppress(UsageError):
        assert parse_instant(text, NOW_S, NEW_YORK, end=end) in range(2**40)


def test_moments_are_written_with_their_offset():
    assert isoformat(1_800_000_000, BERLIN) == "2027-01-15T09:00:00+01:00"
    assert isoformat(1_800_000_000, UTC) == "2027-01-15T08:00:00+00:00"
    assert isoformat(1_800_000_000, zoneinfo.ZoneInfo("Asia/Kathmandu")) == "2027-01-15T13:45:00+05:45"
