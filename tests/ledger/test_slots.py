"""Columns of slots: whatever is added and however wide it is, the numbers are the sums."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netusage.ledger.chunks import decode, encode
from netusage.ledger.slots import Slots, sums

SMALL = st.integers(0, (1 << 32) - 1)
LARGE = st.one_of(SMALL, st.integers(0, (1 << 63) - 1))
COUNT = 6


def columns(numbers=LARGE):
    return st.lists(st.lists(numbers, min_size=COUNT, max_size=COUNT), min_size=2, max_size=2)


@given(
    st.lists(st.tuples(st.integers(-COUNT - 1, 12), columns()), max_size=5),
    st.dictionaries(st.integers(0, 9), LARGE),
)
def test_slots_hold_the_sum_of_everything_that_is_added(pairs, single):
    slots, expected = Slots(10), [0] * 10
    for place, pair in pairs:
        slots.add_column(place, decode(encode(*pair), COUNT)[0])
        for n, number in enumerate(pair[0], start=place):
            if 0 <= n < 10:
                expected[n] += number
    slots.add(single)
    for place, number in single.items():
        expected[place] += number
    assert list(slots.numbers) == expected


def test_numbers_take_four_bytes_until_that_is_not_enough_then_eight_and_then_as_many_as_they_need():
    slots = Slots(3)
    slots.add({0: 2**32 - 1})
    assert slots.numbers.itemsize == 4
    slots.add({0: 1, 2: 5})
    assert (slots.numbers.itemsize, list(slots.numbers)) == (8, [2**32, 0, 5])
    slots.add({1: 2**64 - 1})
    assert slots.numbers.itemsize == 8
    slots.add({1: 1})
    assert slots.numbers == [2**32, 2**64, 5]


def test_no_slots_take_nothing():
    slots = Slots(0)
    slots.add_column(0, decode(encode([1], [2]), 1)[0])
    assert list(slots.numbers) == []


@given(st.lists(columns(st.one_of(LARGE, st.integers((1 << 31) - 9, (1 << 31) + 9))), max_size=9))
def test_sums_of_pairs_are_the_sums_of_their_numbers(pairs):
    totals = [[0] * COUNT, [0] * COUNT]
    for pair in sums([encode(*pair) for pair in pairs], COUNT):
        for total, column in zip(totals, pair, strict=True):
            total[:] = [a + b for a, b in zip(total, column, strict=True)]
    expected = [[sum(pair[way][n] for pair in pairs) for n in range(COUNT)] for way in (0, 1)]
    assert totals == expected


@pytest.mark.parametrize("interfaces", [1, 4, 100])
def test_pairs_with_room_for_their_sum_become_one(interfaces):
    pair = encode([2**24] * COUNT, [7] * COUNT)
    (found,) = sums([pair] * interfaces, COUNT)
    assert [list(column) for column in found] == [[interfaces * 2**24] * COUNT, [interfaces * 7] * COUNT]
