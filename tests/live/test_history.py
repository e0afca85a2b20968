"""Rings of seconds: what goes in comes out as bars, to the byte, and memory is bounded."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netusage.live.history import MOST, SECONDS, Both, History


def test_the_latest_seconds_are_the_last_bars():
    history = History()
    for second in range(1, 6):
        history.push({"eth0": Both(second, 10 * second)})
    assert history.bars("eth0", 1, 3) == [Both(3, 30), Both(4, 40), Both(5, 50)]


def test_there_are_only_as_many_bars_as_seconds_that_were_seen():
    history = History()
    history.push({"eth0": Both(1, 1)})
    history.push({})
    assert history.bars("eth0", 1, 80) == [Both(1, 1), Both(0, 0)]
    assert History().bars("eth0", 1, 80) == []


def test_wider_bars_are_averages_and_the_running_one_of_what_it_has():
    history = History()
    for second in range(7):
        history.push({"eth0": Both(100 * second, 0)})
    assert history.bars("eth0", 5, 10) == [Both(200, 0), Both(550, 0)]


def test_bars_do_not_change_any_more_when_they_are_over():
    history = History()
    history.push({"a": Both(5, 0)}, 5)
    before = history.bars("a", 5, 3)
    history.push({"a": Both(77, 0)}, 3)
    assert history.bars("a", 5, 3)[0] == before[0]


def test_who_comes_later_had_nothing_before():
    history = History()
    history.push({"a": Both(1, 1)}, 3)
    history.push({"b": Both(9, 9)})
    assert history.bars("b", 1, 4) == [Both(), Both(), Both(), Both(9, 9)]
    assert history.bars("nobody", 1, 2) == [Both(), Both()]


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 10**12), st.integers(1, 30)), min_size=1, max_size=40))
def test_what_came_in_several_seconds_is_spread_to_the_byte(pieces):
    history = History()
    for amount, seconds in pieces:
        history.push({"a": Both(amount, 0)}, seconds)
    whole = sum(seconds for _, seconds in pieces)
    assert history.seconds == whole
    bars = history.bars("a", 1, SECONDS)
    assert len(bars) == min(whole, SECONDS)
    if whole <= SECONDS:
        assert sum(bar.rx for bar in bars) == sum(amount for amount, _ in pieces)


def test_after_a_long_sleep_only_the_last_minutes_are_kept():
    history = History()
    history.push({"a": Both(7, 7)})
    history.push({"a": Both(SECONDS * 30, 0)}, SECONDS * 3)
    assert history.bars("a", 1, 10**6) == [Both(10, 0)] * SECONDS


def test_the_ring_goes_round_without_leaving_anything_behind():
    history = History()
    history.push({"a": Both(7, 7)})
    for _ in range(SECONDS):
        history.push({})
    assert set(history.bars("a", 1, SECONDS)) == {Both()}


def test_of_very_many_those_are_kept_that_had_anything_last():
    history = History()
    history.push({"first": Both(1, 1)})
    for n in range(3 * MOST):
        history.push({f"n{n}": Both(1, 1), "always": Both(2, 2)})
    assert len(history._rings) == MOST
    assert history.bars("always", 1, 3 * MOST) == [Both(2, 2)] * 3 * MOST
    assert history.bars("first", 1, 4000)[0] == Both()


def test_a_copy_goes_on_by_itself():
    history = History()
    history.push({"a": Both(1, 1)})
    copy = history.copy()
    history.push({"a": Both(2, 2)})
    assert copy.bars("a", 1, 9) == [Both(1, 1)]
    assert copy.seconds == 1


@pytest.mark.parametrize("bar_s", [1, 2, 3, 5])
def test_there_are_never_more_bars_than_were_asked_for(bar_s):
    history = History()
    for _ in range(33):
        history.push({"a": Both(4, 4)})
        assert len(history.bars("a", bar_s, 4)) <= 4
        assert set(history.bars("a", bar_s, 4)) == {Both(4, 4)}
