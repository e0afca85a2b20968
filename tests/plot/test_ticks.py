"""Marks of axes."""

import random
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from netusage.periods import PeriodKind, periods
from netusage.plot.ticks import byte_ticks, short_bytes, time_ticks
from netusage.units import Units

BERLIN = ZoneInfo("Europe/Berlin")


def starts(kind, since, until, zone=BERLIN, **options):
    bounds = (int(datetime.fromisoformat(text).replace(tzinfo=zone).timestamp()) for text in (since, until))
    found = periods(PeriodKind(kind), *bounds, zone, **options)
    return [one.start(zone) for one in found]


def marks(kind, since, until, room, **options):
    found = time_ticks(starts(kind, since, until, **options), PeriodKind(kind), room)
    return [text for _, text in found]


def test_hours_are_marked_by_the_clock_with_the_date_where_it_is_another_one():
    found = time_ticks(starts("hour", "2026-03-10 06:00", "2026-03-11 13:00"), PeriodKind.HOUR, 8)
    assert found == [
        (0, "06:00\n10 Mar 2026"),
        (6, "12:00"),
        (12, "18:00"),
        (18, "00:00\n11 Mar 2026"),
        (24, "06:00"),
        (30, "12:00"),
    ]


def test_marks_stay_on_the_clock_where_it_is_set():
    found = time_ticks(starts("hour", "2026-03-29 00:00", "2026-03-30 00:00"), PeriodKind.HOUR, 5)
    assert found == [(0, "00:00\n29 Mar 2026"), (5, "06:00"), (11, "12:00"), (17, "18:00")]


def test_an_hour_that_comes_twice_is_told_with_its_offset():
    assert marks("hour", "2026-10-25 01:00", "2026-10-25 04:00", 30) == [
        "01:00\n25 Oct 2026",
        "02:00",
        "02:00 +0100",
        "03:00",
    ]


@pytest.mark.parametrize(
    ("room", "expected"),
    [
        (9, ["28 Dec\n2025", "29 Dec", "30 Dec", "31 Dec", "1 Jan\n2026", "2 Jan", "3 Jan", "4 Jan"]),
        (5, ["29 Dec\n2025", "31 Dec", "2 Jan\n2026", "4 Jan"]),
        (2, ["29 Dec\n2025"]),
        (1, ["28 Dec\n2025"]),
    ],
)
def test_less_room_has_fewer_marks(room, expected):
    assert marks("day", "2025-12-28", "2026-01-05", room) == expected


def test_a_first_mark_that_is_near_to_the_second_is_left_out():
    assert marks("day", "2026-02-25", "2026-06-01", 6) == ["Mar\n2026", "Apr", "May"]


def test_months_that_begin_on_another_day_are_named_with_it():
    assert marks("month", "2026-01-20", "2026-04-01", 9, billing_day=15) == [
        "15 Jan\n2026",
        "15 Feb",
        "15 Mar",
    ]


def test_ten_years_of_months_are_marked_by_years():
    assert marks("month", "2016-11-01", "2026-12-01", 12) == [str(year) for year in range(2017, 2027)]


def test_however_long_it_is_the_marks_have_room_and_ascend():
    chance = random.Random(1)
    for kind in ("minute", "5min", "hour", "day", "week", "month", "year"):
        for length in (1, 2, 7, 100, 900):
            room = chance.randint(1, 20)
            first = datetime(1990 + chance.randint(0, 30), chance.randint(1, 12), 3, 7, 11, tzinfo=UTC)
            seconds = {"minute": 60, "5min": 300, "hour": 3600, "day": 86_400, "week": 604_800}
            until = int(first.timestamp()) + length * seconds.get(kind, 2_600_000)
            found = periods(PeriodKind(kind), int(first.timestamp()), until, BERLIN)
            ticks = time_ticks([one.start(BERLIN) for one in found], PeriodKind(kind), room, week_start=6)
            places = [place for place, _ in ticks]
            assert places == sorted(set(places))
            assert 1 <= len(places) <= room
            assert all(0 <= place < len(found) for place in places)
            assert "\n" in ticks[0][1] or ticks[0][1].isdigit()


@pytest.mark.parametrize(
    ("low", "high", "units", "room", "expected"),
    [
        (-200, 1000, Units.SI, 6, [-200, 0, 200, 400, 600, 800, 1000]),
        (0, 4_700_000_000, Units.SI, 5, [0, 1_000_000_000, 2_000_000_000, 3_000_000_000, 4_000_000_000]),
        (0, 3 << 20, Units.IEC, 6, [n << 19 for n in range(7)]),
        (-1_400, 4_700, Units.SI, 1, [0, 2000, 4000]),
        (0, 1, Units.SI, 5, [0, 1]),
        (-1, 0, Units.IEC, 5, [-1, 0]),
        (-7_000_000, 0, Units.SI, 1, [-5_000_000, 0]),
    ],
)
def test_amounts_are_marked_by_round_numbers(low, high, units, room, expected):
    assert byte_ticks(low, high, units, room) == expected


def test_whatever_the_amounts_there_are_zero_and_another_mark_and_not_many():
    chance = random.Random(2)
    for _ in range(500):
        high = int(10 ** (chance.random() * 18)) * chance.randint(0, 1)
        low = -int(10 ** (chance.random() * 18)) if chance.random() < 0.7 or not high else 0
        found = byte_ticks(low, high, chance.choice(list(Units)), chance.randint(1, 12))
        assert 0 in found
        assert 2 <= len(found) <= 14 + 1
        assert all(low <= n <= high for n in found)


@pytest.mark.parametrize(
    ("n", "units", "text"),
    [
        (0, Units.SI, "0 B"),
        (-500_000_000, Units.SI, "500 MB"),
        (1_500_000_000, Units.SI, "1.5 GB"),
        (100, Units.SI, "100 B"),
        (1 << 20, Units.IEC, "1 MiB"),
        (5 << 18, Units.IEC, "1.25 MiB"),
    ],
)
def test_an_amount_at_a_mark_has_no_zeros_that_say_nothing(n, units, text):
    assert short_bytes(n, units) == text
