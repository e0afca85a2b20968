import pytest
from hypothesis import given
from hypothesis import strategies as st
from recorder.desk import PLACE

from netusage.ledger.batch import Epoch
from netusage.model import NS, US, ZERO, Counters, Link, Reading
from netusage.recorder.account import Accounts, Interval, Life
from netusage.recorder.columns import Columns
from netusage.recorder.rules import Rules

MINUTE_US = 60 * US
START_US = 1_800_000_000 * US
NAMES = ("eth0", "eth1", "wg0")


def lives(*counters):
    found = []
    for index, last in enumerate(counters, start=2):
        link = Link(index, NAMES[index - 2])
        epoch = Epoch(PLACE, link, START_US, "first-sight", last, last, committed=last, row=index)
        found.append(Life(link, epoch, last, link.kind))
    return found


def between(start_s, end_s):
    return Interval(
        START_US + round(start_s * US), START_US + round(end_s * US), round((end_s - start_s) * NS)
    )


def reading(columns, *counters):
    return Reading(columns.order, *zip(*counters, strict=True))


def entries(accounts):
    return {
        (second - START_US // US, epoch.link.name): (*entry.counters, entry.peak_rx, entry.peak_tx)
        for (second, epoch), entry in accounts.pending.entries.items()
    }


def test_what_is_counted_in_a_minute_comes_out_as_columns():
    columns = Columns(lives(ZERO, Counters(5, 5, 5, 5)))
    assert columns.together() is None
    assert columns.advance(reading(columns, (10, 20, 1, 2), (5, 5, 5, 5)), between(0, 1), NS)
    assert columns.advance(reading(columns, (40, 20, 2, 2), (6, 5, 6, 5)), between(1, 3), NS)
    together = columns.together()
    assert [epoch.link.name for epoch in together.epochs] == ["eth0", "eth1"]
    assert together.last == [[40, 6], [20, 5], [2, 6], [2, 5]]
    ((start_s, counters, peaks),) = together.blocks
    assert start_s == START_US // US
    assert counters == [[40, 1], [20, 0], [2, 1], [2, 0]]
    assert peaks == [[15, 0], [20, 0]]


def test_nothing_is_left_when_it_is_committed():
    columns = Columns(lives(ZERO))
    columns.advance(reading(columns, (10, 20, 1, 2)), between(0, 1), NS)
    columns.committed()
    assert columns.together() is None
    columns.advance(reading(columns, (11, 20, 2, 2)), between(1, 2), NS)
    assert columns.together().blocks[0].counters == [[1], [0], [1], [0]]


@pytest.mark.parametrize(
    "odd", [(9, 0, 5, 0), (10, 0, 4, 0), (2**63, 0, 5, 0), (2**64, 0, 5, 0), (10, -1, 5, 0)]
)
def test_a_reading_out_of_the_ordinary_changes_nothing(odd):
    columns = Columns(lives(Counters(10, 0, 5, 0)))
    assert not columns.advance(reading(columns, odd), between(0, 1), NS)
    assert columns.together() is None
    assert columns.advance(reading(columns, (10, 0, 5, 0)), between(1, 2), NS)


def test_epochs_stand_where_the_last_reading_and_the_last_commit_were():
    (life,) = some = lives(ZERO)
    columns = Columns(some)
    columns.advance(reading(columns, (10, 0, 1, 0)), between(0, 1), NS)
    columns.committed()
    columns.advance(reading(columns, (30, 0, 2, 0)), between(1, 2), NS)
    columns.update()
    assert life.epoch.last == (30, 0, 2, 0)
    accounts = Accounts(PLACE, Rules(), lambda _: 0, None)
    columns.dissolve(accounts)
    assert (life.epoch.last, life.epoch.committed) == ((30, 0, 2, 0), (10, 0, 1, 0))
    assert entries(accounts) == {(0, "eth0"): (20, 0, 1, 0, 20, 0)}
    assert list(accounts.pending.epochs) == [life.epoch]


COUNTS = st.one_of(st.just(0), st.integers(0, 10**4), st.integers(0, 2**45))
STEPS = st.lists(
    st.tuples(
        st.integers(1, 200_000_000),  # microseconds
        st.lists(st.tuples(COUNTS, COUNTS, COUNTS, COUNTS), min_size=3, max_size=3),
    ),
    max_size=6,
)


@given(STEPS)
def test_columns_count_as_the_accounts_do_interface_by_interface(steps):
    by_columns, by_row = lives(*[ZERO] * 3), lives(*[ZERO] * 3)
    columns = Columns(by_columns)
    whole, rows = (Accounts(PLACE, Rules(longest_ns=10**18), lambda _: 0, None) for _ in range(2))
    at_us, counters = 0, [(0, 0, 0, 0)] * 3
    for length_us, more in steps:
        interval = Interval(START_US + at_us, START_US + at_us + length_us, length_us * 1000)
        at_us += length_us
        counters = [tuple(map(sum, zip(a, b, strict=True))) for a, b in zip(counters, more, strict=True)]
        assert columns.advance(reading(columns, *counters), interval, NS)
        for life, values in zip(by_row, counters, strict=True):
            rows.account(life, Counters(*values), interval)
    columns.dissolve(whole)
    assert {key: value[:4] for key, value in entries(whole).items()} == {
        key: value[:4] for key, value in entries(rows).items()
    }
    assert [life.epoch.last for life in by_columns] == [life.epoch.last for life in by_row]
    for key, (*_, peak_rx, peak_tx) in entries(rows).items():
        assert entries(whole)[key][4] >= peak_rx
        assert entries(whole)[key][5] >= peak_tx
