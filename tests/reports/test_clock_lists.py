from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from support.ledgers import DAY_S, START_S, writing

from netusage.ledger.reader import LedgerReader
from netusage.periods import PeriodKind
from netusage.reports.clock_lists import ClockLists, Range, Tally, busiest, find, monitored, tallies

BERLIN = ZoneInfo("Europe/Berlin")
# 2026-10-25 00:00 UTC: the clocks of Berlin show 02:00 and an hour later 02:00 again
CHANGE_S = 1_792_886_400


@pytest.fixture
def path(tmp_path):
    return tmp_path / "ledger.db"


def shown(rows):
    """Rows as what the clock showed, received and sent."""
    return [
        (datetime.fromtimestamp(row.clock_s, UTC).strftime("%m-%d %H:%M"), row.rx_bytes, row.tx_bytes)
        for row in rows
    ]


def lists(path, now_s, zone=UTC, **more):
    reader = LedgerReader(str(path))
    return ClockLists(reader, zone, now_s, **more), tallies(reader.interfaces()), reader


def test_an_idle_period_has_a_row_and_one_in_which_nobody_looked_has_none(path):
    with writing(path) as ledger:
        eth0 = ledger.interface("eth0")
        ledger.count(eth0, START_S + 60, 1, 2, 3, 4)
        ledger.commit(START_S + 7200)
        ledger.begun_s = START_S + 5 * 3600
        ledger.count(eth0, START_S + 5 * 3600, 5, 6, 7, 8)
        ledger.commit(START_S + 6 * 3600 + 1)
    made, (eth0,), reader = lists(path, START_S + 7 * 3600)
    with reader:
        assert shown(made.rows(eth0, PeriodKind.HOUR)) == [
            ("03-10 00:00", 1, 2),
            ("03-10 01:00", 0, 0),
            ("03-10 05:00", 5, 6),
            ("03-10 06:00", 0, 0),
        ]
        assert len(made.rows(eth0, PeriodKind.FIVE_MINUTES)) == 24 + 12 + 1


def test_an_interface_has_no_rows_for_the_time_in_which_it_was_not_there(path):
    with writing(path) as ledger:
        ledger.interface("eth0")
        ppp0 = ledger.interface("ppp0")
        ledger.commit(START_S + 3600)
        ledger.end(ppp0)
        ledger.commit(START_S + 3 * 3600)
        ledger.interface("ppp0")
        ledger.commit(START_S + 4 * 3600)
    made, (eth0, ppp0), reader = lists(path, START_S + 4 * 3600)
    with reader:
        assert [row.clock_s for row in made.rows(eth0, PeriodKind.HOUR)] == [
            START_S + n * 3600 for n in range(4)
        ]
        assert [row.clock_s for row in made.rows(ppp0, PeriodKind.HOUR)] == [START_S, START_S + 3 * 3600]


def test_both_passes_of_a_repeated_hour_are_one_row_and_no_limit_cuts_it(path):
    with writing(path, CHANGE_S - 3600) as ledger:
        eth0 = ledger.interface("eth0")
        for n in range(5):
            ledger.count(eth0, CHANGE_S + (n - 1) * 3600 + 300, 10**n, 0, 1, 1)
        ledger.commit(CHANGE_S + 4 * 3600)
    made, (eth0,), reader = lists(path, CHANGE_S + 4 * 3600 - 1, BERLIN)
    everything = [
        ("10-25 01:00", 1, 0),
        ("10-25 02:00", 110, 0),
        ("10-25 03:00", 1000, 0),
        ("10-25 04:00", 10000, 0),
    ]
    with reader:
        assert shown(made.rows(eth0, PeriodKind.HOUR)) == everything
        for limit in range(1, 6):
            assert shown(made.rows(eth0, PeriodKind.HOUR, Range(limit=limit))) == everything[-limit:]
        at_three = made.clock_s(CHANGE_S + 2 * 3600)
        for limit in range(1, 4):
            assert (
                shown(made.rows(eth0, PeriodKind.HOUR, Range(at_three, None, limit)))
                == everything[2:][:limit]
            )
        assert shown(made.rows(eth0, PeriodKind.HOUR, Range(None, at_three, 2))) == everything[1:3]
        fives = made.rows(eth0, PeriodKind.FIVE_MINUTES)
        assert len(fives) == 48
        assert ("10-25 02:05", 110, 0) in shown(fives)
        assert shown(made.rows(eth0, PeriodKind.DAY)) == [("10-25 00:00", 11111, 0)]


def test_a_search_for_few_rows_that_ends_between_both_passes_of_an_hour_finds_both(path):
    first_s, second_s = CHANGE_S + 600, CHANGE_S + 3600 + 1200  # 02:10 and 02:20
    with writing(path, CHANGE_S - 9 * DAY_S) as ledger:
        eth0 = ledger.interface("eth0")
        ledger.commit(CHANGE_S - 9 * DAY_S + 60)
        for at_s, rx in ((first_s, 1), (second_s, 2), (CHANGE_S + 9 * DAY_S, 4)):
            ledger.begun_s = at_s
            ledger.count(eth0, at_s, rx, 0, 1, 1)
            ledger.commit(at_s + 60)
    found = set()
    begin_s = CHANGE_S + 2 * DAY_S
    for now_s in range(begin_s, begin_s + 5 * 3600, 1200):  # it looks back from the present
        made, (eth0,), reader = lists(path, now_s, BERLIN)
        with reader:
            found |= set(shown(made.rows(eth0, PeriodKind.HOUR, Range(limit=1))))
    assert found == {("10-25 02:00", 3, 0)}
    made, (eth0,), reader = lists(path, CHANGE_S + 10 * DAY_S, BERLIN)
    with reader:  # and on from where the list is to begin
        for since in range(made.clock_s(CHANGE_S) - 3 * 3600, made.clock_s(CHANGE_S) + 1, 1200):
            rows = made.rows(eth0, PeriodKind.HOUR, Range(since=since, limit=1))
            assert shown(rows) == [("10-25 02:00", 3, 0)]


def test_a_day_that_has_no_midnight_has_its_own_date(path):
    cairo = ZoneInfo("Africa/Cairo")
    # 2026-04-24 begins at 01:00 there, 22:00 UTC
    begun_s = int(datetime(2026, 4, 23, 12, tzinfo=UTC).timestamp())
    with writing(path, begun_s) as ledger:
        eth0 = ledger.interface("eth0")
        ledger.count(eth0, begun_s, 1, 0, 1, 1)
        ledger.count(eth0, begun_s + 10 * 3600, 2, 0, 1, 1)
        ledger.commit(begun_s + 11 * 3600)
    made, (eth0,), reader = lists(path, begun_s + 11 * 3600, cairo)
    with reader:
        assert shown(made.rows(eth0, PeriodKind.DAY)) == [("04-23 00:00", 1, 0), ("04-24 00:00", 2, 0)]
        assert shown(made.rows(eth0, PeriodKind.HOUR, Range(limit=1))) == [("04-24 01:00", 2, 0)]


def test_months_that_begin_on_a_billing_day_have_the_name_of_the_month_in_which_they_begin(path):
    with writing(path) as ledger:
        eth0 = ledger.interface("eth0")
        for day in range(60):
            ledger.count(eth0, START_S + day * DAY_S, 1, 0, 1, 1)
        ledger.commit(START_S + 60 * DAY_S)
    made, (eth0,), reader = lists(path, START_S + 60 * DAY_S - 1, billing_day=15)
    with reader:
        assert shown(made.rows(eth0, PeriodKind.MONTH)) == [
            ("02-01 00:00", 5, 0),
            ("03-01 00:00", 31, 0),
            ("04-01 00:00", 24, 0),
        ]


def test_the_busiest_days_are_in_the_order_of_their_bytes_and_then_of_time(path):
    with writing(path) as ledger:
        eth0 = ledger.interface("eth0")
        for day, numbers in enumerate([(5, 5), (4, 6), (0, 0), (9, 9), (6, 4)]):
            ledger.count(eth0, START_S + day * DAY_S, *numbers, 1, 1)
        ledger.commit(START_S + 5 * DAY_S)
    made, (eth0,), reader = lists(path, START_S + 5 * DAY_S - 1)
    with reader:
        assert [name[:5] for name, *_ in shown(made.busiest(eth0, Range()))] == [
            "03-13", "03-10", "03-11", "03-14", "03-12",
        ]  # fmt: skip
        assert shown(made.busiest(eth0, Range(since=START_S + 2 * DAY_S, limit=1))) == [("03-13 00:00", 9, 9)]


def test_five_minutes_go_back_as_far_as_minutes_are_kept_and_hours_to_the_beginning(path):
    with writing(path, minutes_kept_s=DAY_S) as ledger:
        eth0 = ledger.interface("eth0")
        ledger.count(eth0, START_S + 60, 900, 0, 1, 1)
        ledger.commit(START_S + 3600)
        for n in range(8):
            ledger.commit(START_S + 2 * DAY_S + n * 900)
        kept_from_s = LedgerReader(str(path)).minutes_from_s
    made, (eth0,), reader = lists(path, START_S + 2 * DAY_S + 7200)
    with reader:
        assert kept_from_s > START_S
        assert made.rows(eth0, PeriodKind.FIVE_MINUTES)[0].clock_s >= kept_from_s
        assert shown(made.rows(eth0, PeriodKind.HOUR))[0] == ("03-10 00:00", 900, 0)


def test_bytes_whose_time_is_not_known_are_in_rows_of_their_own_though_nobody_looked(path):
    with writing(path) as ledger:
        eth0 = ledger.interface("eth0")
        ledger.commit(START_S + 3600)
        ledger.span(eth0, (START_S + 3600) * 10**6, (START_S + 3 * 3600) * 10**6, 2000, 200, 2, 2)
        ledger.begun_s = START_S + 3 * 3600
        ledger.commit(START_S + 4 * 3600)
    made, (eth0,), reader = lists(path, START_S + 4 * 3600 - 1)
    with reader:
        assert [row[1] for row in shown(made.rows(eth0, PeriodKind.HOUR))] == [0, 1000, 1000, 0]
        assert (eth0.rx_bytes, eth0.tx_bytes) == (2000, 200)


def test_a_ledger_in_which_nothing_was_read_has_no_rows(path):
    with writing(path):
        pass
    made, none, reader = lists(path, START_S)
    with reader:
        assert none == []
        assert made.rows(Tally("eth0", (1,), 0, 0, 0, 0), PeriodKind.DAY) == []


@pytest.fixture
def named(path):
    """Interfaces of several kinds and names."""
    with writing(path) as ledger:
        for n, (name, kind) in enumerate(
            (
                ("eth0", ""),
                ("lo", "loopback"),
                ("sit0", "sit"),
                ("a+b", ""),
                ("a", ""),
                ("b", ""),
                ("eth0", "vlan"),
            )
        ):
            ledger.count(ledger.interface(name, kind), START_S, 10 * n, n, 1, 1)
            ledger.commit(START_S + n)
    with LedgerReader(str(path)) as reader:
        return reader.interfaces()


def test_one_name_is_one_interface_whatever_its_kinds_were(named):
    eth0 = find(tallies(named), "eth0")
    assert (eth0.rx_bytes, eth0.tx_bytes, len(eth0.ids)) == (60, 6, 2)
    assert (eth0.created_s, eth0.updated_s) == (START_S, START_S + 6)


def test_several_are_taken_together_unless_one_has_that_very_name(named):
    known = tallies(named)
    assert find(known, "a+b").rx_bytes == 30
    both = find(known, "b+a")
    assert (both.name, both.rx_bytes, both.tx_bytes) == ("b+a", 90, 9)
    assert (both.created_s, both.updated_s) == (START_S + 5, START_S + 6)
    for unknown in ("", "nope", "a+nope", "a+a", "a+", "+a", "eth*"):
        assert find(known, unknown) is None


def test_all_are_monitored_but_loopback_its_like_and_the_hidden_ones(named):
    assert [one.name for one in monitored(named, ())] == ["a", "a+b", "b", "eth0"]
    assert [one.name for one in monitored(named, ("a*", "eth?"))] == ["b"]


def test_the_busiest_interface_is_the_first_of_those_that_had_as_much(named):
    assert busiest(monitored(named, ())).name == "eth0"
    a, b = (find(tallies(named), name)._replace(rx_bytes=1, tx_bytes=1) for name in ("a", "b"))
    assert busiest([b, a]) == busiest([a, b]) == a
