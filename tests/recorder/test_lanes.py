import pytest
from hypothesis import given
from hypothesis import strategies as st

from netusage.recorder.lanes import Lanes

NUMBERS = st.one_of(
    st.integers(0, 2**63 - 1), st.integers(0, 10**6), st.sampled_from([0, 1, 2**40 - 1, 2**40, 2**63 - 1])
)
PAIRS = st.integers(0, 6).flatmap(
    lambda n: st.tuples(*[st.lists(NUMBERS, min_size=2 * n, max_size=2 * n)] * 2)
)
DIVISORS = st.one_of(st.integers(1, 2**42), st.integers(10**9, 10**9 + 10**6))


@given(PAIRS)
def test_columns_come_out_as_they_were_put_in(pair):
    lanes = Lanes(len(pair[0]))
    middle = len(pair[0]) // 2
    assert lanes.unpack(lanes.pack([pair[0][:middle], pair[0][middle:]])) == pair[0]


def test_a_view_is_packed_as_a_list_is():
    view = memoryview(bytes(range(96))).cast("Q")[::3]
    assert Lanes(4).pack([view]) == Lanes(4).pack([view.tolist()])


@pytest.mark.parametrize("number", [-1, 2**64])
def test_what_no_lane_can_hold_is_refused(number):
    with pytest.raises(OverflowError):
        Lanes(2).pack([[0, number]])


@given(PAIRS, st.integers(2**63, 2**64 - 1))
def test_a_number_of_2_to_the_63_does_not_fit(pair, large):
    numbers = pair[0]
    lanes = Lanes(len(numbers))
    assert lanes.fits(lanes.pack([numbers]))
    for place in range(len(numbers)):
        assert not lanes.fits(lanes.pack([[*numbers[:place], large, *numbers[place + 1 :]]]))


@given(PAIRS)
def test_whole_columns_are_compared_and_subtracted_number_by_number(pair):
    lanes = Lanes(len(pair[0]))
    first, second = (lanes.pack([numbers]) for numbers in pair)
    assert lanes.none_below(first, second) == all(a >= b for a, b in zip(*pair, strict=True))
    larger = lanes.larger(first, second)
    assert lanes.unpack(larger) == list(map(max, *pair))
    assert lanes.none_below(larger, first)
    assert lanes.unpack(larger - first) == [max(a, b) - a for a, b in zip(*pair, strict=True)]


@given(PAIRS, DIVISORS, DIVISORS)
def test_numbers_are_scaled_exactly(pair, part, whole):
    lanes = Lanes(len(pair[0]))
    expected = [min(n * part // whole, 2**63 - 1) for n in pair[0]]
    assert lanes.unpack(lanes.scaled(lanes.pack([pair[0]]), part, whole)) == expected


@given(st.integers(1, 2**40 - 1), st.integers(1, 2**40 - 1))
def test_a_product_that_comes_out_even_is_scaled_exactly(whole, times):
    number = min(whole * times, 2**40 - 1) // whole * whole
    lanes = Lanes(2)
    for n in (number, max(number - 1, 0)):
        expected = [min(n * 10**9 // whole, 2**63 - 1)] * 2
        assert lanes.unpack(lanes.scaled(lanes.pack([[n, n]]), 10**9, whole)) == expected
