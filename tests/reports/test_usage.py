import itertools
import math
import random
from datetime import date, datetime, timedelta
from fractions import Fraction
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.ledgers import DAY_S, START_S, naive_usage, writing
from support.looking import examples

from netusage.errors import NoDataError, UsageError
from netusage.ledger.answers import Usage
from netusage.ledger.reader import LedgerReader
from netusage.reports.percentiles import nearest_rank
from netusage.reports.usage import Question, ReportKind, report
from netusage.settings.schema import InterfaceSettings

HOUR_S = 3600
UTC = ZoneInfo("UTC")
ZONES = ["America/New_York", "Europe/Berlin", "Australia/Lord_Howe", "America/Santiago"]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "ledger.db"


def ask(path, kind, now_s, zone=UTC, **more):
    with LedgerReader(str(path)) as reader:
        return report(reader, Question(ReportKind(kind), zone, now_s, **more))


def days_from(zone, first, count):
    """Local midnights by the definition of a day: the first second whose local date is that day."""
    found = []
    for n in range(count + 1):
        day = first + timedelta(days=n)
        guess = int(datetime(day.year, day.month, day.day, tzinfo=zone).timestamp()) - 3 * HOUR_S
        while datetime.fromtimestamp(guess, zone).date() < day:
            guess += 900
        found.append(guess)
    return found


def every_quarter(ledger, epoch, from_s, until_s):
    """Count something else in every quarter of an hour."""
    for n, at in enumerate(range(from_s, until_s, 900)):
        ledger.count(epoch, at + n % 15 * 60, 1000 + n, n % 7, 2, 1)
    ledger.commit(until_s + 900)


# ---- Which periods, and what is in them -------------------------------------------------------------------------


@pytest.mark.thorough
@pytest.mark.parametrize("name", ZONES)
@pytest.mark.parametrize("month", [3, 4, 9, 10, 11])
def test_days_around_a_change_of_the_clock_are_exact_in_every_zone(path, name, month):
    zone = ZoneInfo(name)
    first = date(2025, month, 1)
    edges = days_from(zone, first, 31 if name == "Europe/Berlin" else 30)
    lengths = {end - start for start, end in itertools.pairwise(edges)}
    with writing(path, edges[0]) as ledger:
        eth0 = ledger.interface("eth0")
        every_quarter(ledger, eth0, edges[0], edges[-1])
        expected = naive_usage(ledger, ["eth0"], edges)
    answer = ask(path, "day", edges[-1] + 900, zone, since_s=edges[0], until_s=edges[-1])
    assert [(row.start_s, row.end_s) for row in answer.rows] == list(itertools.pairwise(edges))
    assert [row.usage for row in answer.rows] == expected
    assert DAY_S in lengths


def test_every_zone_here_changes_its_clock_both_ways():
    for name in ZONES:
        edges = days_from(ZoneInfo(name), date(2025, 1, 1), 365)
        lengths = {end - start for start, end in itertools.pairwise(edges)}
        step = 1800 if name == "Australia/Lord_Howe" else 3600
        assert lengths == {DAY_S - step, DAY_S, DAY_S + step}


@pytest.fixture(scope="module")
def ten_weeks(tmp_path_factory):
    """The file of a ledger that is only read, and what is in it altogether."""
    path = tmp_path_factory.mktemp("weeks") / "ledger.db"
    with writing(path) as ledger:
        eth0, lo = ledger.interface("eth0"), ledger.interface("lo", "loopback", counted=False)
        for day in range(0, 70, 3):
            ledger.count(eth0, START_S + day * DAY_S + day * 1000, 1 << day % 50, day, 1, 1)
            ledger.count(lo, START_S + day * DAY_S, 7)
            ledger.span(
                eth0,
                (START_S + day * DAY_S) * 10**6 + 7,
                (START_S + (day + 2) * DAY_S) * 10**6 + 77,
                1001,
                11,
                1,
                1,
            )
        ledger.commit(START_S + 80 * DAY_S)
        whole = Usage(
            *ledger.total("eth0"),
            sum(one.counters.rx_bytes for one in ledger.estimated),
            sum(one.counters.tx_bytes for one in ledger.estimated),
        )
    return path, whole


@pytest.mark.parametrize("name", ["UTC", "Asia/Kathmandu", *ZONES])
@pytest.mark.parametrize("kind", ["hour", "day", "week", "month", "year"])
def test_every_cut_of_time_adds_up_to_the_total(ten_weeks, name, kind):
    path, whole = ten_weeks
    zone = ZoneInfo(name)
    answer = ask(path, kind, START_S + 80 * DAY_S, zone, since_s=0)
    (total,) = answer.totals
    assert total.usage == whole
    summed = Usage(*(sum(column) for column in zip(*(row.usage for row in answer.rows), strict=True)))
    assert summed == whole
    assert all(a.end_s == b.start_s for a, b in itertools.pairwise(answer.rows))
    (one,) = ask(path, "total", START_S + 80 * DAY_S, zone).rows
    assert one.usage == whole


def test_months_begin_on_the_billing_day_and_on_the_last_day_of_shorter_months(path):
    zone = ZoneInfo("Europe/Berlin")
    begin = int(datetime(2026, 1, 1, tzinfo=zone).timestamp())
    with writing(path, begin) as ledger:
        eth0 = ledger.interface("eth0")
        for day in range(120):
            ledger.count(eth0, begin + day * DAY_S + HOUR_S, 1)
        ledger.commit(begin + 121 * DAY_S)
    answer = ask(path, "month", begin + 121 * DAY_S, zone, billing_day=31, since_s=begin)
    starts = [datetime.fromtimestamp(row.start_s, zone).date() for row in answer.rows]
    assert starts == [
        date(2025, 12, 31),
        date(2026, 1, 31),
        date(2026, 2, 28),
        date(2026, 3, 31),
        date(2026, 4, 30),
    ]
    assert [row.usage.rx_bytes for row in answer.rows] == [30, 28, 31, 30, 1]


def test_weeks_begin_on_the_day_that_is_asked_for(path):
    with writing(path) as ledger:  # a Tuesday
        ledger.count(ledger.interface("eth0"), START_S, 1)
        ledger.commit(START_S + 20 * DAY_S)
    monday = ask(path, "week", START_S + 20 * DAY_S)
    sunday = ask(path, "week", START_S + 20 * DAY_S, week_start=6)
    assert monday.rows[0].start_s == START_S - DAY_S
    assert sunday.rows[0].start_s == START_S - 2 * DAY_S


@pytest.mark.parametrize(
    ("kind", "count"),
    [("minute", 60), ("5min", 288), ("hour", 24), ("day", 30), ("week", 12), ("month", 12), ("year", 3)],
)
def test_without_a_time_the_latest_periods_are_reported(path, kind, count):
    now = START_S + 600 * DAY_S
    with writing(path) as ledger:
        ledger.count(ledger.interface("eth0"), START_S, 1)
        ledger.commit(now)
    rows = ask(path, kind, now + 30).rows
    assert len(rows) == count if kind != "year" else len(rows) == 2
    assert rows[-1].start_s <= now + 30 < rows[-1].end_s


def test_periods_before_the_record_and_after_the_present_are_left_out(path):
    with writing(path) as ledger:
        ledger.count(ledger.interface("eth0"), START_S, 1)
        ledger.commit(START_S + 5 * DAY_S)
    rows = ask(path, "day", START_S + 5 * DAY_S, since_s=0, until_s=START_S + 900 * DAY_S).rows
    assert len(rows) == 6
    assert rows[0].start_s == START_S
    with pytest.raises(NoDataError, match="nothing was recorded in the time"):
        ask(path, "day", START_S + 5 * DAY_S, until_s=START_S - DAY_S)
    with pytest.raises(NoDataError):
        ask(path, "day", START_S + 5 * DAY_S, since_s=START_S + 90 * DAY_S)


def test_a_limit_keeps_the_latest_periods(path):
    with writing(path) as ledger:
        every_quarter(ledger, ledger.interface("eth0"), START_S, START_S + 60 * DAY_S)
    now = START_S + 60 * DAY_S
    for more in ({}, {"since_s": START_S}, {"until_s": START_S + 50 * DAY_S}):
        rows = ask(path, "day", now, limit=45, **more).rows
        assert len(rows) == 45
        last = START_S + 50 * DAY_S if "until_s" in more else now
        assert rows[-1].start_s < last + 1 <= rows[-1].end_s + 1


def test_the_top_days_are_the_busiest_first(path):
    with writing(path) as ledger:
        eth0, eth1 = ledger.interface("eth0"), ledger.interface("eth1")
        for day in range(100):
            ledger.count(eth0, START_S + day * DAY_S + 50_000, day * 37 % 101)
            ledger.count(eth1, START_S + day * DAY_S + 50_000, 0, day * 11 % 13)
        ledger.commit(START_S + 101 * DAY_S)
    now = START_S + 101 * DAY_S
    answer = ask(path, "top", now, ZoneInfo("America/New_York"))
    every = ask(path, "day", now, ZoneInfo("America/New_York"), since_s=0).rows
    best = sorted(every, key=lambda row: (-row.usage.total_bytes, row.start_s))[:10]
    assert answer.rows == best
    assert answer.totals == []
    each = ask(path, "top", now, patterns=("*",), limit=2).rows
    assert [row.interface for row in each] == ["eth0", "eth0", "eth1", "eth1"]


def test_minutes_that_were_dropped_are_reported_from_their_quarter_and_estimated(path):
    with writing(path, minutes_kept_s=DAY_S) as ledger:
        eth0 = ledger.interface("eth0")
        ledger.count(eth0, START_S, 900, 90)
        ledger.commit(START_S + 900)
        ledger.commit(START_S + 4 * DAY_S)
    answer = ask(path, "5min", START_S + 4 * DAY_S, since_s=START_S, until_s=START_S + 900)
    assert [row.usage for row in answer.rows] == [Usage(300, 30, 0, 0, 300, 30)] * 3
    assert answer.has_estimates


def test_what_a_clock_recorded_ahead_of_time_is_in_the_total(path):
    with writing(path) as ledger:
        eth0 = ledger.interface("eth0")
        ledger.count(eth0, START_S, 1)
        ledger.count(eth0, START_S + 800 * DAY_S, 10)
        ledger.commit(START_S + 800 * DAY_S + 60)
    now = START_S + DAY_S
    assert ask(path, "total", now).rows[0].usage.rx_bytes == 11
    assert sum(row.usage.rx_bytes for row in ask(path, "year", now).rows) == 11
    assert sum(row.usage.rx_bytes for row in ask(path, "day", now).rows) == 1


# ---- Which interfaces -------------------------------------------------------------------------------------------


@pytest.fixture
def several(path):
    with writing(path) as ledger:
        for name, kind, counted, amount in (
            ("eth0", "", True, 1),
            ("wlan0", "", True, 10),
            ("br0", "bridge", False, 100),
            ("x0", "", True, 1000),
            ("x0", "veth", False, 10_000),
            ("idle0", "", True, 0),
        ):
            ledger.count(ledger.interface(name, kind, counted=counted), START_S, amount)
        ledger.commit(START_S + DAY_S)
    return path


def sums(answer):
    return {row.interface: row.usage.rx_bytes for row in answer.totals}


def test_the_machine_is_the_sum_of_what_counts_in_it(several):
    assert sums(ask(several, "day", START_S + DAY_S)) == {None: 1011}


def test_the_configuration_can_put_interfaces_in_and_leave_them_out(several):
    overrides = InterfaceSettings(counted=("br*", "wlan0"), not_counted=("eth*", "w*"))
    assert sums(ask(several, "day", START_S + DAY_S, overrides=overrides)) == {None: 1100}


def test_patterns_give_rows_by_name_and_both_kinds_of_a_name_together(several):
    assert sums(ask(several, "day", START_S + DAY_S, patterns=("x?", "w*"))) == {"wlan0": 10, "x0": 11_000}


def test_an_interface_without_traffic_is_shown_when_it_was_named(several):
    assert "idle0" not in sums(ask(several, "day", START_S + DAY_S, patterns=("*",)))
    assert sums(ask(several, "day", START_S + DAY_S, patterns=("*", "idle0")))["idle0"] == 0
    assert sums(ask(several, "day", START_S + DAY_S, patterns=("idle*",))) == {"idle0": 0}


def test_a_pattern_without_an_interface_is_no_data(several):
    with pytest.raises(NoDataError, match="no interface 'ppp0'"):
        ask(several, "day", START_S + DAY_S, patterns=("eth0", "ppp0"))


def test_rows_come_by_period_and_then_by_name(several):
    rows = ask(several, "day", START_S + DAY_S, patterns=("eth0", "wlan0")).rows
    assert [(row.start_s, row.interface) for row in rows] == [
        (START_S, "eth0"),
        (START_S, "wlan0"),
        (START_S + DAY_S, "eth0"),
        (START_S + DAY_S, "wlan0"),
    ]


# ---- Rates ------------------------------------------------------------------------------------------------------


def test_the_peak_of_a_period_names_its_interface_and_its_minute(path):
    with writing(path) as ledger:
        eth0, wlan0 = ledger.interface("eth0"), ledger.interface("wlan0")
        ledger.count(eth0, START_S + 600, 10, 10, peak_rx=500, peak_tx=70)
        ledger.count(wlan0, START_S + 1200, 10, 10, peak_rx=900, peak_tx=60)
        ledger.commit(START_S + 2 * DAY_S)
    first, second = ask(path, "day", START_S + DAY_S, peak=True).rows
    assert first.rx_peak == (900, START_S + 1200, 60, "wlan0", "")
    assert first.tx_peak == (70, START_S + 600, 60, "eth0", "")
    assert second.rx_peak is None
    (top,) = ask(path, "top", START_S + DAY_S, peak=True).rows
    assert top.rx_peak == first.rx_peak


def naive_percentile(values, percent):
    """The definition: the smallest value such that at least so many percent are not above it."""
    ordered = sorted(values)
    for value in ordered:
        if Fraction(sum(other <= value for other in ordered), len(ordered)) >= Fraction(percent, 100_000):
            return value
    raise AssertionError


@given(st.lists(st.integers(0, 50), min_size=1, max_size=60), st.integers(1, 100_000), st.integers(0, 30))
def test_the_nearest_rank_is_that_of_the_definition(values, percent, zeros):
    assert nearest_rank([*values, *[0] * zeros], percent) == naive_percentile(
        [*values, *[0] * zeros], percent
    )


@pytest.mark.parametrize("shape", ["random", "rising", "falling", "mostly zero", "few values", "in turn"])
@pytest.mark.parametrize("percent", [1, 50_000, 95_000, 99_999, 100_000])
def test_the_nearest_rank_of_many_values_is_found_without_sorting_them_all(shape, percent):
    rand = random.Random(percent)
    values = {
        "random": [rand.randrange(1 << 40) for _ in range(9001)],
        "rising": list(range(9001)),
        "falling": list(range(9001, 0, -1)),
        "mostly zero": [rand.randrange(1000) if n % 50 == 0 else 0 for n in range(9001)],
        "few values": [rand.randrange(3) for _ in range(9001)],
        "in turn": [10**6 if n % 16 == 0 else n for n in range(9001)],
    }[shape]
    rank = max(-(-len(values) * percent // 100_000), 1)
    assert nearest_rank(values, percent) == sorted(values)[rank - 1]


@settings(
    max_examples=examples(20), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.lists(st.tuples(st.integers(0, 2 * 1440 - 1), st.integers(0, 10**9)), max_size=80),
    st.sampled_from([50_000, 95_000, 99_900]),
)
def test_a_percentile_is_that_of_all_five_minute_averages_of_the_period(tmp_path_factory, counted, percent):
    path = tmp_path_factory.mktemp("p") / "ledger.db"
    with writing(path) as ledger:
        eth0, eth1 = ledger.interface("eth0"), ledger.interface("eth1")
        ledger.count(eth0, START_S, 0, 0, 1)
        for n, (minute, amount) in enumerate(counted):
            ledger.count((eth0, eth1)[n % 2], START_S + minute * 60, amount, amount // 5)
        ledger.commit(START_S + 2 * DAY_S)
        edges = list(range(START_S, START_S + 2 * DAY_S + 1, 300))
        slots = naive_usage(ledger, ["eth0", "eth1"], edges)
    rows = ask(path, "day", START_S + 2 * DAY_S, until_s=START_S + 2 * DAY_S, percentile=percent).rows
    for n, row in enumerate(rows):
        of_day = slots[n * 288 : (n + 1) * 288]
        rx = naive_percentile([one.rx_bytes for one in of_day], percent)
        tx = naive_percentile([one.tx_bytes for one in of_day], percent)
        assert row.percentile == (
            math.floor(Fraction(rx, 300) + Fraction(1, 2)),
            math.floor(Fraction(tx, 300) + Fraction(1, 2)),
            300,
        )


def test_where_minutes_were_dropped_a_percentile_is_over_quarters_and_says_so(path):
    with writing(path, minutes_kept_s=DAY_S) as ledger:
        eth0 = ledger.interface("eth0")
        for quarter in range(96):
            ledger.count(eth0, START_S + quarter * 900, quarter * 900)
        ledger.commit(START_S + DAY_S)
        for day in range(15, 40):
            ledger.commit(START_S + day * DAY_S // 10)
        ledger.count(eth0, START_S + 4 * DAY_S, 1)
        ledger.commit(START_S + 4 * DAY_S + 900)
    old, new = (
        ask(path, "day", START_S + 4 * DAY_S + 900, since_s=at, until_s=at + DAY_S, percentile=95_000).rows[0]
        for at in (START_S, START_S + 4 * DAY_S)
    )
    assert old.percentile == (91, 0, 900)
    assert new.percentile.width_s == 300


def test_time_before_the_record_and_after_the_present_is_not_part_of_a_percentile(path):
    with writing(path, START_S + 12 * HOUR_S) as ledger:
        eth0 = ledger.interface("eth0")
        for n in range(12):
            ledger.count(eth0, START_S + 12 * HOUR_S + n * 300, 300 * (n + 1))
        ledger.commit(START_S + 13 * HOUR_S)
    (row,) = ask(path, "day", START_S + 13 * HOUR_S, percentile=50_000).rows
    assert row.percentile == (6, 0, 300)


def test_the_average_is_over_the_time_that_is_over(path):
    with writing(path, START_S + HOUR_S) as ledger:
        ledger.count(ledger.interface("eth0"), START_S + HOUR_S, 3600, 7200)
        ledger.commit(START_S + 2 * HOUR_S)
    (row,) = ask(path, "day", START_S + 2 * HOUR_S).rows
    assert row.seconds == HOUR_S
    assert row.bytes_per_second == 3


# ---- Questions that make no sense -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "more", "words"),
    [
        ("day", {"limit": 0}, "leaves nothing"),
        ("day", {"since_s": 5, "until_s": 5}, "ends before"),
        ("day", {"percentile": 0}, "between"),
        ("day", {"percentile": 100_001}, "between"),
        ("minute", {"percentile": 95_000}, "no percentile"),
        ("month", {"billing_day": 32}, "billing day"),
        ("week", {"week_start": 7}, "day of the week"),
    ],
)
def test_questions_that_make_no_sense_are_refused(path, kind, more, words):
    with writing(path) as ledger:
        ledger.count(ledger.interface("eth0"), START_S, 1)
        ledger.commit(START_S + DAY_S)
    with pytest.raises(UsageError, match=words):
        ask(path, kind, START_S + DAY_S, **more)


def test_more_rows_than_anybody_reads_are_refused(path):
    with writing(path) as ledger:
        ledger.count(ledger.interface("eth0"), START_S, 1)
        ledger.commit(START_S + 3000 * DAY_S)
    with pytest.raises(UsageError, match="more than"):
        ask(path, "minute", START_S + 3000 * DAY_S, since_s=0)


def test_a_ledger_in_which_nothing_was_counted_has_no_data(path):
    with writing(path) as ledger:
        ledger.commit(START_S + 60)
    with pytest.raises(NoDataError, match="nothing has been recorded"):
        ask(path, "day", START_S + 60)
