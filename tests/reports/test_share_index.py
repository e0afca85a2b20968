"""Running totals in memory against rows added up one by one."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.ledgers import START_S, writing

from netusage.ledger.batch import Part
from netusage.ledger.reader import LedgerReader
from netusage.model import QUARTER_S, Counters, Who
from netusage.reports.share_index import ShareIndex, _Series

DAY_S = 86_400
WEB, DB, KERNEL = Who("application", "web"), Who("application", "db"), Who("kernel")


@pytest.fixture
def ledger(tmp_path):
    with writing(tmp_path / "ledger.db") as found:
        found.eth0 = found.interface("eth0")
        yield found


def share(ledger, at_s, who, rx, tx, *, scope=3, protocol=6, family=4):
    part = Part(at_s // QUARTER_S * QUARTER_S, ledger.eth0, who, scope, protocol, family)
    ledger.share(part, Counters(rx, tx, 1, 1))


def read(ledger, index, *, whole=True):
    with LedgerReader(ledger.path) as reader:
        (index.read_whole if whole else index.read_tail)(reader)
    return index


def told(index, since_s, until_s):
    """Received and sent bytes by name."""
    found = {}
    for key, pair in index.sums(since_s, until_s).items():
        who = index.who(key.application)
        found[who.name or who.kind, key.scope, key.protocol] = pair
    return found


def test_rows_of_one_quarter_that_differ_by_family_and_protocol_add_up(ledger):
    share(ledger, START_S, WEB, 100, 10)
    share(ledger, START_S, WEB, 20, 2, family=6)
    share(ledger, START_S, WEB, 3, 1, protocol=17)
    share(ledger, START_S, WEB, 1000, 0, scope=1)
    ledger.commit(START_S + 900)
    index = read(ledger, ShareIndex())
    assert told(index, START_S, START_S + 900) == {("web", 3, 0): (123, 13), ("web", 1, 0): (1000, 0)}


def test_what_the_kernel_sent_is_told_by_protocol(ledger):
    share(ledger, START_S, KERNEL, 0, 10, protocol=1)
    share(ledger, START_S, KERNEL, 0, 20, protocol=6)
    ledger.commit(START_S + 900)
    index = read(ledger, ShareIndex())
    assert told(index, START_S, START_S + 900) == {("kernel", 3, 1): (0, 10), ("kernel", 3, 6): (0, 20)}


def test_a_stretch_has_the_rows_that_begin_in_it(ledger):
    for n in range(8):
        share(ledger, START_S + n * QUARTER_S, WEB, 10**n, 1)
    ledger.commit(START_S + 8 * QUARTER_S)
    index = read(ledger, ShareIndex())
    assert told(index, START_S + QUARTER_S, START_S + 3 * QUARTER_S) == {("web", 3, 0): (110, 2)}
    assert told(index, 0, START_S) == {}
    edges = [START_S + n * QUARTER_S for n in range(0, 9, 2)]
    assert index.between(edges) == ([11, 1100, 110_000, 11_000_000], [2, 2, 2, 2])


def test_only_what_is_wanted_is_added_up(ledger):
    share(ledger, START_S, WEB, 100, 10)
    share(ledger, START_S, DB, 7, 7)
    ledger.commit(START_S + 900)
    index = read(ledger, ShareIndex())
    edges = [START_S, START_S + 900]
    is_db = lambda key: index.who(key.application) == DB  # noqa: E731
    assert index.between(edges, is_db) == ([7], [7])
    assert list(index.sums(*edges, is_db).values()) == [(7, 7)]


def test_new_rows_and_changed_ones_are_taken_in(ledger):
    index = ShareIndex()
    share(ledger, START_S, WEB, 100, 10)
    ledger.commit(START_S + 60)
    read(ledger, index)
    share(ledger, START_S, WEB, 50, 5)  # the same quarter goes on
    share(ledger, START_S, DB, 1, 1)
    ledger.commit(START_S + 120)
    read(ledger, index, whole=False)
    assert told(index, START_S, START_S + 900) == {("web", 3, 0): (150, 15), ("db", 3, 0): (1, 1)}
    read(ledger, index, whole=False)
    assert told(index, START_S, START_S + 900) == {("web", 3, 0): (150, 15), ("db", 3, 0): (1, 1)}


def test_the_last_days_are_there_before_all_is_read(ledger):
    share(ledger, START_S, WEB, 1, 1)
    share(ledger, START_S + 20 * DAY_S, WEB, 10, 10)
    ledger.commit(START_S + 20 * DAY_S + 60)
    index = read(ledger, ShareIndex(), whole=False)
    assert index.from_s == START_S + 12 * DAY_S
    assert index.is_due
    assert told(index, 0, START_S + 30 * DAY_S) == {("web", 3, 0): (10, 10)}
    read(ledger, index)
    assert index.from_s == 0
    assert not index.is_due
    assert told(index, 0, START_S + 30 * DAY_S) == {("web", 3, 0): (11, 11)}


def test_all_is_read_again_after_some_hours(ledger):
    now = [0.0]
    index = ShareIndex(lambda: now[0])
    share(ledger, START_S, WEB, 1, 1)
    ledger.commit(START_S + 60)
    read(ledger, index)
    now[0] = 6 * 3600 - 1
    assert not index.is_due
    now[0] += 1
    assert index.is_due


def test_another_ledger_is_read_from_the_beginning(ledger, tmp_path):
    share(ledger, START_S, WEB, 1, 1)
    ledger.commit(START_S + 60)
    index = read(ledger, ShareIndex())
    with writing(tmp_path / "other.db") as other:
        other.eth0 = other.interface("eth0")
        share(other, START_S, DB, 5, 5)
        other.commit(START_S + 60)
        read(other, index, whole=False)
    assert told(index, START_S, START_S + 900) == {("db", 3, 0): (5, 5)}


def test_it_says_before_when_only_days_are_known(tmp_path):
    path = tmp_path / "ledger.db"
    with writing(path, quarters_kept_s=30 * DAY_S) as ledger:
        ledger.eth0 = ledger.interface("eth0")
        share(ledger, START_S, WEB, 1, 1)
        ledger.commit(START_S + 900)
        later = START_S + 40 * DAY_S
        for n in range(1, 4):  # days are made a turn at a time, when a quarter is over
            share(ledger, later + n * QUARTER_S, WEB, 1, 1)
            ledger.commit(later + n * QUARTER_S + 60)
        index = read(ledger, ShareIndex())
    assert index.days_until_s == START_S + 1


def test_an_empty_ledger_has_nothing(ledger):
    ledger.commit(START_S + 60)
    index = read(ledger, ShareIndex())
    assert index.sums(0, 1 << 40) == {}
    assert index.between([0, 1 << 40]) == ([0], [0])
    assert index.who(77) == Who("unnamed")


numbers = st.integers(0, 2**63 - 1)
rows = st.lists(st.tuples(st.integers(0, 30), numbers, numbers), max_size=40).map(sorted)


@given(
    rows, st.lists(st.integers(-2, 33), min_size=2, max_size=8, unique=True).map(sorted), st.integers(0, 31)
)
def test_sums_of_any_rows_between_any_edges_are_exact(rows, edges, forgotten):
    series = _Series()
    for start, rx, tx in rows:
        series.append(start, rx, tx)

    def naive(known):
        return [
            [sum(row[way] for row in known if low <= row[0] < high) for low, high in pairwise(edges)]
            for way in (1, 2)
        ]

    assert [list(column) for column in series.between(edges)] == naive(rows)
    added = [[1] * (len(edges) - 1) for _ in range(2)]
    series.add_to(edges, *added)
    assert [[number - 1 for number in column] for column in added] == naive(rows)
    series.forget_from(forgotten)
    kept = [row for row in rows if row[0] < forgotten]
    assert [list(column) for column in series.between(edges)] == naive(kept)
