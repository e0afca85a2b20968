"""Quarters side by side: what goes in comes out, and damage is told from numbers."""

import sqlite3
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.book import packed, running_totals
from support.ledgers import START_S

from netusage.ledger.chunks import Chunk, checksum, decode, encode
from netusage.model import Counters

NUMBERS = st.integers(0, (1 << 63) - 1)
AMOUNTS = st.integers(0, 1 << 40)


@given(st.lists(st.tuples(NUMBERS, NUMBERS), min_size=1, max_size=50))
def test_a_pair_of_columns_gives_back_its_numbers(rows):
    first, second = zip(*rows, strict=True)
    columns = decode(encode(first, second), len(rows))
    assert [list(column) for column in columns] == [list(first), list(second)]


def test_small_numbers_take_four_bytes_and_larger_ones_eight_in_little_endian():
    assert encode([1, 2], [3, 2**32 - 1]) == struct.pack("<4I", 1, 2, 3, 2**32 - 1)
    assert encode([1, 2], [3, 2**32]) == struct.pack("<4Q", 1, 2, 3, 2**32)


@pytest.mark.parametrize(("length", "count"), [(0, 1), (15, 2), (17, 2), (24, 2), (64, 2), (16, 0), (16, -1)])
def test_a_pair_of_another_length_is_damage(length, count):
    with pytest.raises(sqlite3.DatabaseError) as raised:
        decode(bytes(length), count)
    assert raised.value.sqlite_errorcode == sqlite3.SQLITE_CORRUPT


def test_the_checksum_is_that_of_all_bytes_together():
    assert checksum(b"123", b"456", b"789") == 0xCBF43926  # the check value of CRC-32


@given(
    st.dictionaries(st.integers(0, 200), st.tuples(*[AMOUNTS] * 6), min_size=1),
    st.integers(0, 200),
    st.tuples(*[AMOUNTS] * 6),
)
def test_a_chunk_is_a_list_of_quarters_that_can_be_appended_added_to_and_replaced(quarters, place, more):
    places = sorted(quarters)
    start_s = START_S + 900 * places[0]
    chunk = Chunk(1, start_s, (10, 20, 30, 40))
    for at in places:
        chunk.append((START_S + 900 * at, *quarters[at]))
    none = (0,) * 6
    expected = {at: quarters.get(at, none) for at in range(places[0], places[-1] + 1)}
    assert told(chunk) == expected
    assert chunk.end_s == START_S + 900 * (places[-1] + 1)
    assert chunk.after == tuple(
        before + sum(numbers[n] for numbers in quarters.values()) for n, before in enumerate((10, 20, 30, 40))
    )
    if places[0] <= place <= places[-1]:
        chunk.add((START_S + 900 * place, *more))
        known = expected[place]
        sums = tuple(a + b for a, b in zip(known[:4], more[:4], strict=True))
        expected[place] = (*sums, max(known[4], more[4]), max(known[5], more[5]))
        assert told(chunk) == expected
        chunk.put((START_S + 900 * place, *more))
        expected[place] = more
        assert told(chunk) == expected
    numbers = dict(zip(Counters._fields, chunk.counters, strict=True))
    totals = running_totals(numbers)
    assert chunk.totals() == (packed(*totals[:2]), packed(*totals[2:]))


def told(chunk):
    return {(at_s - START_S) // 900: tuple(numbers) for at_s, *numbers in chunk.quarters()}
