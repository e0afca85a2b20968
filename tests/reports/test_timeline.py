"""Bars over any stretch: the narrowest that are few enough, exact, and right where clocks are set."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from support.ledgers import START_S, naive_usage, writing

from netusage.errors import NoDataError, UsageError
from netusage.ledger.batch import Part
from netusage.ledger.reader import LedgerReader
from netusage.model import QUARTER_S, US, Counters, GapKind, Who
from netusage.reports.applications import REST
from netusage.reports.chosen import Choice
from netusage.reports.share_index import ShareIndex
from netusage.reports.timeline import Span, Width, timeline
from netusage.settings.schema import InterfaceSettings

DAY_S = 86_400
NOW_S = START_S + 40 * DAY_S
WEB, DB = Who("application", "web", user="eva"), Who("application", "db", user="adam")
BERLIN = ZoneInfo("Europe/Berlin")


@pytest.fixture(scope="module")
def ledger(tmp_path_factory):
    """Forty days: something in the first minute of each hour, a stretch that is estimated, and gaps."""
    path = tmp_path_factory.mktemp("ledger") / "ledger.db"
    with writing(path, minutes_kept_s=10 * DAY_S) as ledger:
        eth0, lo = ledger.interface("eth0"), ledger.interface("lo", "loopback", counted=False)
        for hour in range(40 * 24):
            at_s = START_S + hour * 3600
            ledger.count(eth0, at_s, 1000 + hour, 100, 10, 1)
            ledger.count(lo, at_s, 5, 5, 1, 1)
            if hour % 6 == 0:
                ledger.share(Part(at_s, eth0, WEB, 3, 6, 4), Counters(600, 60, 6, 1))
                ledger.share(Part(at_s, eth0, DB, 1, 6, 4), Counters(100, 10, 1, 1))
            if hour % 24 == 23:
                ledger.commit(at_s + 60)
        ledger.span(eth0, (START_S + 5 * DAY_S) * US, (START_S + 6 * DAY_S) * US, 86_400, 8_640, 9, 9)
        ledger.gap(START_S + 5 * DAY_S, START_S + 6 * DAY_S, GapKind.STOPPED, note="stopped")
        ledger.commit(NOW_S)
        yield ledger


def ask(ledger, since_s, until_s, *, bars=300, zone=UTC, choice=None, now_s=NOW_S, **more):
    index = ShareIndex()
    with LedgerReader(ledger.path) as reader:
        index.read_whole(reader)
        span = Span(since_s, until_s, bars, zone, now_s, **more)
        return timeline(reader, index, span, choice or Choice(), InterfaceSettings())


@pytest.mark.parametrize(
    ("seconds", "bars", "width"),
    [
        (3600, 60, Width.MINUTE),
        (3600, 59, Width.FIVE_MINUTES),
        (3600, 10, Width.QUARTER),
        (5 * 3600, 300, Width.MINUTE),
        (DAY_S, 300, Width.FIVE_MINUTES),
        (DAY_S, 96, Width.QUARTER),
        (DAY_S, 95, Width.HOUR),
        (7 * DAY_S, 100, Width.SIX_HOURS),
        (9 * DAY_S, 10, Width.DAY),
    ],
)
def test_bars_are_the_narrowest_of_which_few_enough_cover_it(ledger, seconds, bars, width):
    found = ask(ledger, NOW_S - seconds, NOW_S, bars=bars)
    assert found.width is width
    assert len(found.edges) - 1 <= bars
    assert found.edges[0] <= NOW_S - seconds < found.edges[1]
    assert found.edges[-2] < NOW_S <= found.edges[-1]


def test_a_stretch_without_minutes_has_no_bar_shorter_than_a_quarter_of_an_hour(ledger):
    found = ask(ledger, START_S, START_S + 3600)
    assert found.width is Width.QUARTER


def test_bars_are_what_was_counted(ledger):
    for since_s, until_s, bars in ((START_S, NOW_S, 300), (NOW_S - DAY_S, NOW_S, 300), (START_S, NOW_S, 20)):
        found = ask(ledger, since_s, until_s, bars=bars, zone=BERLIN)
        expected = naive_usage(ledger, ["eth0"], found.edges)
        assert found.rx_bytes == [one.rx_bytes for one in expected]
        assert found.tx_bytes == [one.tx_bytes for one in expected]
        assert found.estimated_bytes == [one.estimated_bytes for one in expected]


def test_chosen_interfaces_are_taken_together(ledger):
    found = ask(ledger, START_S, NOW_S, choice=Choice(("eth0", "lo")))
    expected = naive_usage(ledger, ["eth0", "lo"], found.edges)
    assert found.rx_bytes == [one.rx_bytes for one in expected]
    with pytest.raises(NoDataError, match="no interface 'wlan"):
        ask(ledger, START_S, NOW_S, choice=Choice(("wlan*",)))


def test_bars_of_applications_and_of_the_rest_add_up_to_all(ledger):
    since_s, until_s = START_S, START_S + 20 * DAY_S
    whole = ask(ledger, since_s, until_s, bars=100)
    parts = [
        ask(ledger, since_s, until_s, bars=100, choice=Choice(values={"application": frozenset({name})}))
        for name in ("web", "db", REST)
    ]
    assert all(part.edges == whole.edges for part in parts)
    assert [sum(column) for column in zip(*(part.rx_bytes for part in parts), strict=True)] == whole.rx_bytes
    both = ask(
        ledger, since_s, until_s, bars=100, choice=Choice(values={"application": frozenset({REST, "db"})})
    )
    assert both.rx_bytes == [a + b for a, b in zip(parts[1].rx_bytes, parts[2].rx_bytes, strict=True)]


def test_users_and_scopes_can_be_chosen_together(ledger):
    chosen = Choice(values={"user": frozenset({"eva", "adam"}), "scope": frozenset({"LAN"})})
    found = ask(ledger, START_S, NOW_S, choice=chosen)
    assert sum(found.rx_bytes) == 100 * 40 * 4
    assert found.width is Width.SIX_HOURS


def test_what_applications_had_is_told_by_quarters_at_least(ledger):
    found = ask(ledger, NOW_S - 3600, NOW_S, choice=Choice(values={"user": frozenset({"eva"})}))
    assert found.width is Width.QUARTER


def test_nothing_else_can_be_chosen():
    with pytest.raises(UsageError, match="nothing can be chosen by 'weather'"):
        Choice(values={"weather": frozenset({"fair"})})


def test_the_present_bar_is_as_long_as_it_has_lasted_and_none_is_before_the_record(ledger):
    found = ask(ledger, START_S - 2 * DAY_S, NOW_S + 2 * DAY_S, bars=50, now_s=NOW_S - 3600)
    assert found.width is Width.DAY
    assert found.seconds[:3] == [0, 0, DAY_S]
    assert found.seconds[41] == DAY_S - 3600
    assert found.seconds[42:] == [0, 0]


def test_estimated_stretches_and_gaps_are_told(ledger):
    found = ask(ledger, START_S + 5 * DAY_S + 3600, NOW_S)
    assert found.stretches == [(found.edges[0], START_S + 6 * DAY_S)]
    assert [(gap.kind, gap.note) for gap in found.gaps] == [("stopped", "stopped")]
    assert found.more_gaps == 0
    later = ask(ledger, START_S + 7 * DAY_S, NOW_S)
    assert (later.stretches, later.gaps) == ([], [])


def test_of_very_many_gaps_the_longest_are_told(tmp_path):
    with writing(tmp_path / "ledger.db") as ledger:
        ledger.count(ledger.interface("eth0"), START_S, 1, 1, 1, 1)
        for n in range(300):
            ledger.gap(START_S + n * 120, START_S + n * 120 + 60 + n % 2)
        ledger.commit(START_S + DAY_S)
        found = ask(ledger, START_S, START_S + DAY_S)
    assert len(found.gaps) == 200
    assert found.more_gaps == 100
    assert sum(gap.end_us - gap.start_us == 61 * US for gap in found.gaps) == 150
    assert found.gaps == sorted(found.gaps)


def test_what_is_too_short_to_be_seen_is_only_counted_unless_it_may_have_lost_bytes(tmp_path):
    with writing(tmp_path / "ledger.db") as ledger:
        eth0 = ledger.interface("eth0")
        for day in range(10):
            at_s = START_S + day * DAY_S
            ledger.span(eth0, at_s * US, (at_s + 60) * US, 10, 1, 1, 1)
            ledger.gap(at_s, at_s + 60, lossy=day == 5)
        ledger.commit(START_S + 10 * DAY_S)
        far = ask(ledger, START_S, START_S + 10 * DAY_S)
        near = ask(ledger, START_S, START_S + 3600)
    assert [gap.lossy for gap in far.gaps] == [True]
    assert far.more_gaps == 9
    assert far.stretches == []
    assert near.stretches == [(START_S, START_S + 60)]
    assert (len(near.gaps), near.more_gaps) == (1, 0)


def at(text):
    return int(datetime.fromisoformat(text).timestamp())


def test_days_and_their_quarters_follow_the_clock_when_it_is_set_forward(ledger):
    since_s, until_s = at("2026-03-28T00:00+01:00"), at("2026-03-31T00:00+02:00")
    days = ask(ledger, since_s, until_s, bars=10, zone=BERLIN)
    assert days.width is Width.DAY
    assert [b - a for a, b in zip(days.edges, days.edges[1:], strict=False)] == [DAY_S, DAY_S - 3600, DAY_S]
    assert days.clock_changes == [(at("2026-03-29T03:00+02:00"), 3600, 7200)]
    quarters = ask(ledger, since_s, until_s, bars=12, zone=BERLIN)
    assert quarters.width is Width.SIX_HOURS
    assert [datetime.fromtimestamp(edge, BERLIN).hour for edge in quarters.edges[:9]] == [
        0,
        6,
        12,
        18,
    ] * 2 + [0]
    assert quarters.edges[5] - quarters.edges[4] == 5 * 3600


def test_a_repeated_hour_is_in_the_quarter_of_the_day_in_which_it_is(tmp_path):
    begin = at("2026-10-24T00:00+02:00")
    with writing(tmp_path / "ledger.db", begin) as ledger:
        eth0 = ledger.interface("eth0")
        for hour in range(72):
            ledger.count(eth0, begin + hour * 3600, 1, 0, 1, 0)
        ledger.commit(begin + 72 * 3600)
        found = ask(ledger, begin, begin + 71 * 3600, bars=12, zone=BERLIN, now_s=begin + 72 * 3600)
    assert found.width is Width.SIX_HOURS
    assert found.rx_bytes[4] == 7
    assert found.clock_changes == [(at("2026-10-25T02:00+01:00"), 7200, 3600)]


def test_ten_years_are_told_by_weeks_and_months_as_they_are_asked_for(ledger):
    since_s = NOW_S - 3653 * DAY_S
    assert ask(ledger, since_s, NOW_S, bars=600).width is Width.WEEK
    found = ask(ledger, since_s, NOW_S, bars=300)
    assert found.width is Width.MONTH
    assert sum(found.rx_bytes) == ledger.total("eth0").rx_bytes
    assert ask(ledger, since_s, NOW_S, bars=20).width is Width.YEAR


def test_weeks_and_months_begin_where_they_are_said_to(ledger):
    found = ask(ledger, START_S, NOW_S, bars=10, week_start=6)
    assert found.width is Width.WEEK
    assert datetime.fromtimestamp(found.edges[0], UTC).weekday() == 6
    months = ask(ledger, START_S - 200 * DAY_S, NOW_S, bars=10, billing_day=14)
    assert months.width is Width.MONTH
    assert datetime.fromtimestamp(months.edges[1], UTC).day == 14


@pytest.mark.parametrize("bars", [9, 1001, -1])
def test_the_number_of_bars_is_bounded(ledger, bars):
    with pytest.raises(UsageError, match="bars"):
        ask(ledger, START_S, NOW_S, bars=bars)


def test_a_stretch_that_ends_before_it_begins_is_refused(ledger):
    with pytest.raises(UsageError, match="ends before it begins"):
        ask(ledger, NOW_S, START_S)


def test_more_years_than_bars_are_refused(ledger):
    with pytest.raises(UsageError, match="more years than bars"):
        ask(ledger, 0, 11 * 366 * DAY_S, bars=10)


def test_a_ledger_without_anything_says_so(tmp_path):
    with writing(tmp_path / "ledger.db") as ledger:
        ledger.commit(START_S)
        with pytest.raises(NoDataError, match="nothing has been recorded"):
            ask(ledger, START_S, NOW_S)


def test_hours_of_which_only_days_are_known_are_said_to_be_such(tmp_path):
    with writing(tmp_path / "ledger.db", quarters_kept_s=2 * DAY_S) as ledger:
        eth0 = ledger.interface("eth0")
        for day in range(6):
            at_s = START_S + day * DAY_S + 7200
            ledger.count(eth0, at_s, 10, 1, 1, 1)
            ledger.share(Part(at_s // QUARTER_S * QUARTER_S, eth0, WEB, 3, 6, 4), Counters(9, 1, 1, 1))
            ledger.commit(at_s + 60)
            ledger.commit(at_s + 1000)
        chosen = Choice(values={"user": frozenset({"eva"})})
        old = ask(ledger, START_S, START_S + DAY_S, bars=24, choice=chosen, now_s=ledger.now_s)
        new = ask(ledger, ledger.now_s - 7200, ledger.now_s, bars=24, choice=chosen, now_s=ledger.now_s)
        days = ask(ledger, START_S, START_S + 6 * DAY_S, bars=10, choice=chosen, now_s=ledger.now_s)
    assert old.has_days
    assert old.rx_bytes[0] == 9
    assert not new.has_days
    assert not days.has_days
    assert sum(days.rx_bytes) == 54
