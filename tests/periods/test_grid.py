"""Local periods: every one begins where the one before it ends, in every zone and through every change of clocks."""

import random
import zoneinfo
from datetime import UTC, date, datetime, timedelta, timezone
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.looking import LOOK

from netusage.errors import UsageError
from netusage.periods import Period, PeriodKind, isoformat, periods

BERLIN = zoneinfo.ZoneInfo("Europe/Berlin")
NEW_YORK = zoneinfo.ZoneInfo("America/New_York")
LORD_HOWE = zoneinfo.ZoneInfo("Australia/Lord_Howe")
SAO_PAULO = zoneinfo.ZoneInfo("America/Sao_Paulo")
APIA = zoneinfo.ZoneInfo("Pacific/Apia")
KATHMANDU = zoneinfo.ZoneInfo("Asia/Kathmandu")
TRICKY = [
    "Africa/Cairo", "Africa/Casablanca", "America/Caracas", "America/Havana", "America/New_York",
    "America/Sao_Paulo", "America/St_Johns", "Antarctica/Casey", "Antarctica/Troll", "Asia/Beirut", "Asia/Gaza",
    "Asia/Kathmandu", "Asia/Pyongyang", "Australia/Lord_Howe", "Europe/Berlin", "Europe/Dublin", "Pacific/Apia",
    "Pacific/Chatham", "Pacific/Kiritimati", "UTC",
]  # fmt: skip
BEGIN_S = int(datetime(2005, 1, 1, tzinfo=UTC).timestamp())
FINISH_S = int(datetime(2036, 1, 1, tzinfo=UTC).timestamp())

thorough = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
zones = st.sampled_from(TRICKY).map(zoneinfo.ZoneInfo)
moments = st.integers(BEGIN_S, FINISH_S)


def utc(text):
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


def local(zone, *parts):
    return int(datetime(*parts, tzinfo=zone).timestamp())


def starts(found, zone):
    return [isoformat(period.start_s, zone) for period in found]


def hours_long(found):
    return [(period.end_s - period.start_s) / 3600 for period in found]


def at(moment_s, zone):
    return datetime.fromtimestamp(moment_s, zone)


# ---- Every zone -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def changes():
    """A few days around every change of offset in every zone, 2005 to 2035; zones that share their rules once.

    Where it is not looked at widely, it is one zone of eight, at each run others.
    """
    step = 5 * 86_400  # no two changes are closer
    moments = range(BEGIN_S, FINISH_S, step)
    found = {}
    names = sorted(zoneinfo.available_timezones())
    if not LOOK:
        names = random.sample(names, len(names) // 8)
    for name in names:
        zone = zoneinfo.ZoneInfo(name)
        offsets = [at(moment, zone).utcoffset() for moment in moments]
        for moment, (before, after) in zip(moments, pairwise(offsets), strict=False):
            if before != after:
                found[moment, before, after] = zone
    assert len(found) > (1000 if LOOK else 50)
    return [(moment - 86_400, moment + step + 86_400, zone) for (moment, _, _), zone in found.items()]


def test_in_every_zone_days_begin_at_midnight_or_where_the_clock_jumped_over_it(changes):
    for since_s, until_s, zone in changes:
        found = periods(PeriodKind.DAY, since_s, until_s, zone)
        for period, following in pairwise([*found, Period(found[-1].end_s, found[-1].end_s)]):
            start, last, after = (
                at(period.start_s, zone),
                at(period.end_s - 1, zone),
                at(following.start_s, zone),
            )
            place = f"{zone} {start}"
            assert period.start_s % 900 == 0, place
            jumped = start.utcoffset() > at(period.start_s - 1, zone).utcoffset()
            assert start.time() == datetime.min.time() or jumped, place
            assert start.date() > at(period.start_s - 1, zone).date(), place
            assert last.date() == start.date(), place
            skipped = after.utcoffset() - last.utcoffset() >= timedelta(hours=23)
            assert after.date() - start.date() == timedelta(days=2 if skipped else 1), place


@pytest.mark.thorough
def test_in_every_zone_an_hour_has_one_offset_and_one_reading_of_the_clock(changes):
    odd = set()
    for since_s, until_s, zone in changes:
        for period in periods(PeriodKind.HOUR, since_s, until_s, zone):
            start, last = at(period.start_s, zone), at(period.end_s - 1, zone)
            place = f"{zone} {start}"
            before = at(period.start_s - 1, zone)
            assert period.start_s % 900 == 0, place
            if at(period.start_s + 899, zone).utcoffset() != start.utcoffset():
                odd.add(str(zone))  # its clocks changed at one minute past midnight
                continue
            assert (start.hour, start.date(), start.utcoffset()) == (
                last.hour,
                last.date(),
                last.utcoffset(),
            ), place
            assert start.minute == 0 or start.utcoffset() != before.utcoffset(), place
            assert last.minute == 59 or last.utcoffset() != at(period.end_s, zone).utcoffset(), place
    assert odd <= {
        *("America/Goose_Bay", "America/Moncton", "America/St_Johns", "Canada/Newfoundland"),
        *("Antarctica/Casey", "Asia/Gaza", "Asia/Hebron"),
    }


# ---- Any zone, any stretch --------------------------------------------------------------------------------------


@given(
    kind=st.sampled_from(PeriodKind),
    zone=zones,
    since_s=moments,
    length_s=st.integers(1, 5 * 86_400) | st.integers(1, 400 * 86_400),
    billing_day=st.integers(1, 31),
    week_start=st.integers(0, 6),
)
@thorough
def test_periods_cover_what_was_asked_for_without_a_gap_an_overlap_or_an_empty_one(
    *, kind, zone, since_s, length_s, billing_day, week_start
):
    if kind in (PeriodKind.MINUTE, PeriodKind.FIVE_MINUTES):
        length_s %= 86_400 * 3
    until_s = since_s + length_s + 1
    found = periods(kind, since_s, until_s, zone, billing_day=billing_day, week_start=week_start)
    assert found[0].start_s <= since_s < found[0].end_s
    assert found[-1].start_s < until_s <= found[-1].end_s
    assert all(period.start_s < period.end_s for period in found)
    assert all(before.end_s == after.start_s for before, after in pairwise(found))
    unit = {PeriodKind.TOTAL: 1, PeriodKind.MINUTE: 60, PeriodKind.FIVE_MINUTES: 300}.get(kind, 900)
    assert all(period.start_s % unit == 0 for period in found)


@given(
    kind=st.sampled_from([kind for kind in PeriodKind if kind is not PeriodKind.TOTAL]),
    zone=zones,
    since_s=moments,
    length_s=st.integers(1, 3 * 86_400),
    earlier_s=st.integers(0, 3 * 86_400),
    later_s=st.integers(0, 3 * 86_400),
    billing_day=st.integers(1, 31),
    week_start=st.integers(0, 6),
)
@thorough
def test_a_period_is_the_same_whatever_stretch_was_asked_for(
    *, kind, zone, since_s, length_s, earlier_s, later_s, billing_day, week_start
):
    until_s = since_s + length_s
    few = periods(kind, since_s, until_s, zone, billing_day=billing_day, week_start=week_start)
    many = periods(
        kind, since_s - earlier_s, until_s + later_s, zone, billing_day=billing_day, week_start=week_start
    )
    assert few == [period for period in many if period.end_s > since_s and period.start_s < until_s]


@given(zone=zones, since_s=moments)
@thorough
def test_days_are_cut_where_the_date_first_changes(zone, since_s):
    first = periods(PeriodKind.DAY, since_s, since_s + 1, zone)[0]
    quarters = range(first.start_s, first.end_s, 900)
    assert max(at(quarter, zone).date() for quarter in quarters) == at(first.start_s, zone).date()
    assert at(first.start_s - 60, zone).date() < at(first.start_s, zone).date()
    assert at(first.end_s, zone).date() > at(first.start_s, zone).date()


@pytest.mark.thorough
@pytest.mark.parametrize("name", [*TRICKY, "America/Noronha"])
def test_thirty_years_of_days_are_those_of_each_fortnight(name):
    zone = zoneinfo.ZoneInfo(name)
    begin_s, step = utc("2000-01-01T00:00"), 14 * 86_400
    parts = [
        periods(PeriodKind.DAY, moment, moment + step, zone) for moment in range(begin_s, FINISH_S, step)
    ]
    days = list(dict.fromkeys(day for part in parts for day in part))
    assert periods(PeriodKind.DAY, begin_s, parts[-1][-1].end_s, zone) == days


def test_summer_time_of_a_single_week_is_seen_wherever_the_search_begins():
    noronha = zoneinfo.ZoneInfo("America/Noronha")
    for early in range(14):
        found = periods(
            PeriodKind.DAY, utc("2000-09-01T00:00") - early * 86_400, utc("2001-01-01T00:00"), noronha
        )
        lengths = {
            f"{day.start(noronha):%F}": length for day, length in zip(found, hours_long(found), strict=True)
        }
        assert {day: length for day, length in lengths.items() if length != 24} == {
            "2000-10-08": 23,
            "2000-10-14": 25,
        }


# ---- Known days -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("zone", "day", "length"),
    [
        ("Europe/Berlin", (2026, 3, 29), 23),
        ("Europe/Berlin", (2026, 10, 25), 25),
        ("America/New_York", (2026, 3, 8), 23),
        ("America/New_York", (2026, 11, 1), 25),
        ("Australia/Lord_Howe", (2026, 4, 5), 24.5),
        ("Australia/Lord_Howe", (2026, 10, 4), 23.5),
        ("America/Sao_Paulo", (2018, 11, 4), 23),
        ("America/Sao_Paulo", (2018, 2, 17), 25),
        ("Asia/Beirut", (2026, 3, 29), 23),
        ("Africa/Cairo", (2026, 4, 24), 23),
        ("Africa/Cairo", (2026, 10, 29), 25),
        ("Antarctica/Casey", (2009, 10, 18), 21),
        ("Asia/Pyongyang", (2015, 8, 14), 24.5),
        ("Asia/Kathmandu", (2026, 6, 1), 24),
        ("UTC", (2016, 12, 31), 24),
    ],
)
def test_a_day_is_as_long_as_its_clock_made_it(zone, day, length):
    zone = zoneinfo.ZoneInfo(zone)
    noon = local(zone, *day, 12)
    found = periods(PeriodKind.DAY, noon, noon + 1, zone)
    assert len(found) == 1
    assert found[0].start(zone).date() == date(*day)
    assert hours_long(found) == [length]


def test_a_day_whose_midnight_does_not_exist_begins_with_its_first_moment():
    found = periods(
        PeriodKind.DAY, local(SAO_PAULO, 2018, 11, 3, 12), local(SAO_PAULO, 2018, 11, 4, 12), SAO_PAULO
    )
    assert starts(found, SAO_PAULO) == ["2018-11-03T00:00:00-03:00", "2018-11-04T01:00:00-02:00"]


def test_a_day_whose_midnight_comes_twice_begins_with_the_first():
    havana = zoneinfo.ZoneInfo("America/Havana")
    found = periods(PeriodKind.DAY, local(havana, 2024, 11, 3, 12), local(havana, 2024, 11, 3, 13), havana)
    assert starts(found, havana) == ["2024-11-03T00:00:00-04:00"]
    assert hours_long(found) == [25]


def test_the_day_that_samoa_skipped_is_no_period():
    found = periods(PeriodKind.DAY, local(APIA, 2011, 12, 29, 12), local(APIA, 2011, 12, 31, 12), APIA)
    assert starts(found, APIA) == ["2011-12-29T00:00:00-10:00", "2011-12-31T00:00:00+14:00"]
    assert hours_long(found) == [24, 24]
    week = periods(PeriodKind.WEEK, local(APIA, 2011, 12, 29, 12), local(APIA, 2011, 12, 29, 13), APIA)
    assert hours_long(week) == [6 * 24]
    billed = periods(
        PeriodKind.MONTH, local(APIA, 2011, 12, 29, 12), local(APIA, 2011, 12, 31, 12), APIA, billing_day=30
    )
    assert starts(billed, APIA) == ["2011-11-30T00:00:00-10:00", "2011-12-31T00:00:00+14:00"]


def test_the_repeated_hour_has_two_rows_and_the_skipped_one_none():
    autumn = periods(PeriodKind.HOUR, utc("2026-10-24T23:00"), utc("2026-10-25T03:00"), BERLIN)
    assert starts(autumn, BERLIN) == [
        "2026-10-25T01:00:00+02:00",
        "2026-10-25T02:00:00+02:00",
        "2026-10-25T02:00:00+01:00",
        "2026-10-25T03:00:00+01:00",
    ]
    spring = periods(PeriodKind.HOUR, utc("2026-03-08T06:00"), utc("2026-03-08T08:00"), NEW_YORK)
    assert starts(spring, NEW_YORK) == ["2026-03-08T01:00:00-05:00", "2026-03-08T03:00:00-04:00"]


def test_half_an_hour_of_summer_time_cuts_hours_short_on_lord_howe():
    autumn = periods(
        PeriodKind.HOUR, local(LORD_HOWE, 2026, 4, 5, 1), local(LORD_HOWE, 2026, 4, 5, 3), LORD_HOWE
    )
    assert starts(autumn, LORD_HOWE) == [
        "2026-04-05T01:00:00+11:00",
        "2026-04-05T01:30:00+10:30",
        "2026-04-05T02:00:00+10:30",
    ]
    assert hours_long(autumn) == [1, 0.5, 1]
    spring = periods(
        PeriodKind.HOUR, local(LORD_HOWE, 2026, 10, 4, 1), local(LORD_HOWE, 2026, 10, 4, 4), LORD_HOWE
    )
    assert starts(spring, LORD_HOWE) == [
        "2026-10-04T01:00:00+10:30",
        "2026-10-04T02:30:00+11:00",
        "2026-10-04T03:00:00+11:00",
    ]
    assert hours_long(spring) == [1, 0.5, 1]


def test_hours_in_kathmandu_begin_a_quarter_past_in_utc():
    found = periods(PeriodKind.HOUR, utc("2026-06-01T00:00"), utc("2026-06-01T02:00"), KATHMANDU)
    assert [period.start_s - utc("2026-06-01T00:00") for period in found] == [-2700, 900, 4500]
    assert starts(found, KATHMANDU)[1] == "2026-06-01T06:00:00+05:45"


def test_minutes_and_five_minutes_run_through_a_change_of_clocks():
    since_s = utc("2026-10-25T00:58:30")
    minutes = periods(PeriodKind.MINUTE, since_s, since_s + 120, BERLIN)
    assert starts(minutes, BERLIN) == [
        "2026-10-25T02:58:00+02:00",
        "2026-10-25T02:59:00+02:00",
        "2026-10-25T02:00:00+01:00",
    ]
    fives = periods(PeriodKind.FIVE_MINUTES, since_s, since_s + 120, BERLIN)
    assert starts(fives, BERLIN) == ["2026-10-25T02:55:00+02:00", "2026-10-25T02:00:00+01:00"]


def test_weeks_begin_on_the_day_that_is_asked_for_and_run_through_the_end_of_the_year():
    new_year = local(BERLIN, 2027, 1, 1, 12)
    monday = periods(PeriodKind.WEEK, new_year, new_year + 1, BERLIN)
    assert starts(monday, BERLIN) == ["2026-12-28T00:00:00+01:00"]
    sunday = periods(PeriodKind.WEEK, new_year, new_year + 1, BERLIN, week_start=6)
    assert starts(sunday, BERLIN) == ["2026-12-27T00:00:00+01:00"]
    assert hours_long(periods(PeriodKind.WEEK, utc("2026-10-25T12:00"), utc("2026-10-25T13:00"), BERLIN)) == [
        169
    ]


def test_the_29th_of_february_is_a_day_and_ends_its_month():
    since_s, until_s = local(BERLIN, 2028, 2, 28), local(BERLIN, 2028, 3, 2)
    days = periods(PeriodKind.DAY, since_s, until_s, BERLIN)
    assert [period.start(BERLIN).day for period in days] == [28, 29, 1]
    months = periods(PeriodKind.MONTH, since_s, until_s, BERLIN)
    assert starts(months, BERLIN) == ["2028-02-01T00:00:00+01:00", "2028-03-01T00:00:00+01:00"]
    assert hours_long(months)[0] == 29 * 24


def test_a_billing_day_that_a_month_does_not_have_is_its_last_day():
    def first_days(year, billing_day):
        found = periods(
            PeriodKind.MONTH,
            local(BERLIN, year, 1, 31),
            local(BERLIN, year, 5, 1),
            BERLIN,
            billing_day=billing_day,
        )
        return [f"{period.start(BERLIN):%m-%d}" for period in found]

    assert first_days(2026, 31) == ["01-31", "02-28", "03-31", "04-30"]
    assert first_days(2028, 31) == ["01-31", "02-29", "03-31", "04-30"]
    assert first_days(2026, 29) == ["01-29", "02-28", "03-29", "04-29"]
    assert first_days(2026, 15) == ["01-15", "02-15", "03-15", "04-15"]


def test_a_billing_month_runs_through_the_end_of_the_year():
    found = periods(
        PeriodKind.MONTH,
        local(NEW_YORK, 2026, 12, 31, 23),
        local(NEW_YORK, 2027, 1, 1),
        NEW_YORK,
        billing_day=20,
    )
    assert [(f"{p.start(NEW_YORK):%F}", f"{p.end(NEW_YORK):%F}") for p in found] == [
        ("2026-12-20", "2027-01-20")
    ]


def test_years_begin_in_january_whatever_the_billing_day():
    found = periods(
        PeriodKind.YEAR,
        local(BERLIN, 2026, 12, 31, 23, 59),
        local(BERLIN, 2027, 1, 1, 1),
        BERLIN,
        billing_day=15,
    )
    assert starts(found, BERLIN) == ["2026-01-01T00:00:00+01:00", "2027-01-01T00:00:00+01:00"]


def test_the_total_is_exactly_what_was_asked_for():
    assert periods(PeriodKind.TOTAL, 1_700_000_001, 1_700_000_777, BERLIN) == [
        Period(1_700_000_001, 1_700_000_777)
    ]


@pytest.mark.parametrize("kind", PeriodKind)
def test_an_empty_stretch_has_no_periods(kind):
    assert periods(kind, 1_700_000_000, 1_700_000_000, BERLIN) == []
    assert periods(kind, 1_700_000_000, 1_600_000_000, BERLIN) == []


@pytest.mark.parametrize("kind", [kind for kind in PeriodKind if kind not in ("minute", "5min", "hour")])
def test_the_first_and_the_last_moment_of_the_calendar_are_in_a_period(kind):
    for zone in (timezone(timedelta(hours=14)), timezone(timedelta(hours=-12))):
        first = periods(kind, 0, 1, zone)
        assert first[0].start_s <= 0 < first[-1].end_s
        last_s = utc("9989-12-31T23:59:59")
        last = periods(kind, last_s, last_s + 1, zone)
        assert last[0].start_s <= last_s < last[-1].end_s


def test_an_offset_that_is_no_quarter_of_an_hour_still_gives_whole_buckets():
    monrovia = zoneinfo.ZoneInfo("Africa/Monrovia")  # 44 minutes and 30 seconds behind until 1972
    found = periods(PeriodKind.DAY, utc("1971-06-01T12:00"), utc("1971-06-03T12:00"), monrovia)
    assert [period.start_s % 86_400 for period in found] == [1800, 1800, 1800]
    hours = periods(PeriodKind.HOUR, utc("1971-06-01T12:00"), utc("1971-06-01T14:00"), monrovia)
    assert [period.start_s % 3600 for period in hours] == [1800, 1800, 1800]


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ({"billing_day": 0}, "billing day 0"),
        ({"billing_day": 32}, "billing day 32"),
        ({"week_start": 7}, "7 is not a day of the week"),
        ({"since_s": -1}, "1970"),
        ({"until_s": 2**60}, "9990"),
    ],
)
def test_what_no_calendar_has_is_refused(arguments, why):
    with pytest.raises(UsageError, match=why):
        periods(**{"kind": PeriodKind.MONTH, "since_s": 0, "until_s": 1, "zone": BERLIN} | arguments)
