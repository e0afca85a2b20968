"""Single values as people read them."""

from zoneinfo import ZoneInfo

import pytest

from netusage.render.columns import Column
from netusage.render.context import RenderContext
from netusage.render.values import human
from netusage.units import Units

PLAIN = RenderContext()


def cells(kind, *values, context=PLAIN):
    return human(Column("key", "Title", kind), values, context)


def test_bytes_and_rates_follow_the_units_that_were_asked_for():
    assert cells("bytes", 1_500_000, None) == ["1.50 MB", "-"]
    assert cells("bytes", 2**20, context=RenderContext(units=Units.IEC)) == ["1.00 MiB"]
    assert cells("rate", 1_500_000, 0.5) == ["1.50 MB/s", "0 B/s"]
    assert cells("rate", 1_500_000, context=RenderContext(bits=True)) == ["12.00 Mbit/s"]


@pytest.mark.parametrize(
    ("part", "shown"),
    [(0, "0.0 %"), (0.0001, "<0.1 %"), (0.1234, "12.3 %"), (0.9999, ">99.9 %"), (1, "100.0 %")],
)
def test_a_share_never_shows_something_as_nothing_nor_nearly_all_as_all(part, shown):
    assert cells("share", part) == [shown]


def test_counts_durations_flags_and_lists_are_written_for_people():
    assert cells("int", 1_234_567, 0) == ["1,234,567", "0"]
    assert cells("duration", 5_400_000_000) == ["1h30m"]
    assert cells("flag", True, False, None) == ["yes", "no", "-"]
    assert cells("text", ["a\n", "b"], [], 7) == ["a\\n, b", "-", "7"]


def test_words_where_a_number_was_expected_are_shown():
    assert cells("bytes", "un\nknown") == ["un\\nknown"]


def test_times_of_one_column_are_written_alike():
    assert cells("time", "2026-11-20T13:00:00+01:00", None) == ["2026-11-20 13:00", "-"]
    assert cells("time", "2026-11-20T13:00:00+01:00", "2026-11-20T13:00:07+01:00") == [
        "2026-11-20 13:00:00",
        "2026-11-20 13:00:07",
    ]


def test_the_repeated_hour_is_told_apart_by_its_offset():
    assert cells("time", "2026-10-25T02:00:00+02:00", "2026-10-25T02:00:00+01:00") == [
        "2026-10-25 02:00 +02:00",
        "2026-10-25 02:00 +01:00",
    ]


def test_a_date_is_a_date_even_where_its_midnight_does_not_exist():
    assert cells("date", "2018-11-03T00:00:00-03:00", "2018-11-04T01:00:00-02:00") == [
        "2018-11-03",
        "2018-11-04",
    ]


def test_times_are_shown_in_the_zone_of_the_context():
    context = RenderContext(zone=ZoneInfo("Asia/Kathmandu"))
    assert cells("time", "2026-11-20T12:00:00+00:00", context=context) == ["2026-11-20 17:45"]
    assert cells("time", "2026-11-20T12:00:00", context=context) == ["2026-11-20 12:00"]


def test_what_is_no_time_is_shown_as_it_is():
    assert cells("time", "never\x1b", 7) == ["never\\x1b", "7"]
