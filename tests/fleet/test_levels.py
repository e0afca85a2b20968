"""Periods as sums of months, days and quarters of an hour, and in SQL."""

from itertools import pairwise

import pytest
from support.ledgers import DAY_S

from netusage.fleet import levels
from netusage.fleet.levels import DAYS, MONTHS, QUARTERS, Periods
from netusage.fleet.schema import DAY, USAGE, USAGE_DAY
from netusage.model import QUARTER_S

HOUR_S = 3600
MONTH_S = 1_772_323_200  # 2026-03-01
NEXT_S = 1_775_001_600


def test_stretches_cover_periods_once_and_are_as_coarse_as_they_can_be():
    edges = [MONTH_S - DAY_S - HOUR_S, MONTH_S + QUARTER_S, NEXT_S, NEXT_S + 31 * DAY_S]
    found = levels.stretches(edges, has_sums=True)
    covered = sorted(stretch for own in found.values() for stretch in own)
    assert (covered[0][0], covered[-1][1]) == (edges[0], edges[-1])
    assert all(low[1] == high[0] for low, high in pairwise(covered))
    assert found[MONTHS] == [(NEXT_S, NEXT_S + 30 * DAY_S)]
    assert found[QUARTERS][0] == (edges[0], edges[0] + HOUR_S)
    assert levels.stretches(edges, has_sums=False) == {QUARTERS: [(edges[0], edges[-1])]}
    many = range(MONTH_S, MONTH_S + 800 * 7 * DAY_S, 7 * DAY_S + HOUR_S)
    assert list(levels.stretches(many, has_sums=True)) == [QUARTERS]


def test_quarters_of_many_hosts_are_asked_for_in_turns_that_together_are_all_of_them():
    quarters = [(MONTH_S + HOUR_S, MONTH_S + 10 * DAY_S), (NEXT_S, NEXT_S + HOUR_S)]
    whole = {DAYS: [(MONTH_S + 10 * DAY_S, NEXT_S)], QUARTERS: quarters}
    assert list(levels.in_turns(whole, 1)) == [whole]
    others, *turns = levels.in_turns(whole, 20_000)
    assert others == {DAYS: whole[DAYS]}
    found = [stretch for turn in turns for stretch in turn[QUARTERS]]
    assert len(turns) == 5
    assert (found[0][0], found[-1]) == (MONTH_S + HOUR_S, (NEXT_S, NEXT_S + HOUR_S))
    assert all(low[1] == high[0] for low, high in pairwise(found[:-1]))
    assert sum(high - low for low, high in found) == sum(high - low for low, high in quarters)
    by_days = list(levels.in_turns({QUARTERS: quarters[:1]}, 1 << 40))
    assert [len(turn[QUARTERS]) for turn in by_days] == [2, *[1] * 8]  # the first day lacks an hour


def test_rows_of_sums_end_where_their_day_or_month_does():
    assert levels.month_of(NEXT_S - 1) == MONTH_S
    assert levels.next_month(MONTH_S) == levels.end_of(MONTHS, MONTH_S) == NEXT_S
    assert levels.end_of(DAYS, MONTH_S) == MONTH_S + DAY_S
    assert levels.end_of(QUARTERS, MONTH_S) == MONTH_S + QUARTER_S


def test_times_that_the_store_cannot_hold_are_cut_off():
    assert "toDateTime(0)" in levels.within([(-900, 900)], USAGE)
    assert f"toDateTime({(1 << 32) - 1})" in levels.within([(0, 1 << 40)], USAGE)


def test_only_rows_that_lie_together_by_day_are_asked_for_by_day():
    (quarters, days) = (levels.within([(0, 900)], table) for table in (USAGE, USAGE_DAY))
    assert quarters == f"(({DAY} >= 0 AND {DAY} <= 0 AND {days[2:]}"


@pytest.mark.parametrize(
    ("edges", "hosts", "told", "numbers"),
    [
        ([0, 900], 1, [0, 0], [0, 0]),
        ([0, 900, 1800, 2700], 1, [0, 2, 1], [0, 2, 1]),
        ([0, 900, 2700], 100, [1, 0], [1, 0]),
        # uneven ones of few hosts, and too many: told are steps of 900, of which the second period has two
        ([0, 900, 2700], 1, [2, 1, 0], [1, 1, 0]),
        ([0, 900, 2700, *range(3600, 100 * 900, 900)], 100, [0, 1, 2, 3, 90], [0, 1, 1, 2, 89]),
    ],
)
def test_what_the_store_tells_of_periods_is_their_number(edges, hosts, told, numbers):
    assert Periods(edges, hosts).numbers(told) == numbers
