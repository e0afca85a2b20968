"""Nearest ranks: what sorting would find."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netusage.reports.ranks import nearest_rank

TOPS = (2**31 - 1, 2**31, 2**32 - 1)


def view(values, code="I"):
    numbers = memoryview(bytearray((4 if code == "I" else 8) * len(values))).cast(code)
    for place, value in enumerate(values):
        numbers[place] = value
    return numbers


def by_sorting(values, thousandths):
    rank = max(-(-len(values) * thousandths // 100_000), 1)
    return sorted(values)[rank - 1]


@given(st.lists(st.integers(0, 50), min_size=1, max_size=60), st.integers(1, 100_000))
def test_of_a_few_numbers(values, thousandths):
    assert nearest_rank(values, thousandths) == by_sorting(values, thousandths)
    assert nearest_rank(view(values), thousandths) == by_sorting(values, thousandths)


def days(rand, count):
    return [int((1 + n % 96) * 10**6 * rand.lognormvariate(0, 1)) for n in range(count)]


SHAPES = {
    "alike": lambda rand, count: [rand.randrange(10**6) for _ in range(count)],
    "days": days,
    "hardly anything": lambda rand, count: [
        rand.randrange(9) if rand.random() < 0.03 else 0 for _ in range(count)
    ],
    "the same": lambda _, count: [5] * count,
    "two": lambda rand, count: [rand.choice((3, 4)) for _ in range(count)],
    "ascending": lambda _, count: list(range(count)),
    "around the middle of the range": lambda rand, count: [
        rand.randrange(2**31 - 40, 2**31 + 40) for _ in range(count)
    ],
    "the whole range": lambda rand, count: [
        rand.choice((0, 1, *TOPS, rand.randrange(2**32))) for _ in range(count)
    ],
    "every 31st is large": lambda rand, count: [
        10**9 if n % 31 == 0 else rand.randrange(1000) for n in range(count)
    ],
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("count", [2001, 8192, 20_011])
def test_of_many_numbers_of_any_shape(shape, count):
    values = SHAPES[shape](random.Random(count), count)
    for code, factor in (("I", 1), ("Q", 2**31 + 5)):
        numbers = [value * factor for value in values]
        ascending = sorted(numbers)
        for thousandths in (1, 5_000, 50_000, 95_000, 100_000):
            assert nearest_rank(view(numbers, code), thousandths) == by_sorting(ascending, thousandths)
