import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.ledgers import DAY_S, START_S, writing

from netusage.ledger.reader import LedgerReader
from netusage.model import US, GapKind
from netusage.periods import Period
from netusage.reports.coverage import coverage, length, union


@pytest.fixture
def path(tmp_path):
    return tmp_path / "ledger.db"


def cover(path, now_s, *bounds):
    with LedgerReader(str(path)) as reader:
        return coverage(reader, [Period(*pair) for pair in bounds], now_s * US)


def test_what_was_watched_declared_and_neither_adds_up_to_the_time(path):
    with writing(path) as ledger:
        ledger.commit(START_S + 1000)
        ledger.gap(START_S + 1000, START_S + 1600)
        ledger.commit(START_S + 4000, watched_from_s=START_S + 1600)
    (one,) = cover(path, START_S + 5000, (START_S - 500, START_S + DAY_S))
    assert one.watched_us == 3400 * US
    assert one.declared_us == 600 * US
    assert one.unknown_us == 1000 * US
    assert one.watched_share == 3400 / 5000
    assert [gap.kind for gap in one.gaps] == ["stopped"]
    assert one.lossy == 0


def test_a_gap_belongs_to_every_period_that_it_touches(path):
    with writing(path) as ledger:
        ledger.commit(START_S + 900)
        ledger.gap(START_S + 900, START_S + 5000, GapKind.REBOOT, lossy=True)
        ledger.commit(START_S + 6000, watched_from_s=START_S + 5000)
    bounds = [(START_S + n * 1000, START_S + (n + 1) * 1000) for n in range(6)]
    found = cover(path, START_S + 6000, *bounds)
    assert [one.lossy for one in found] == [1, 1, 1, 1, 1, 0]
    assert [one.declared_us // US for one in found] == [100, 1000, 1000, 1000, 1000, 0]
    assert [one.watched_us // US for one in found] == [900, 0, 0, 0, 0, 1000]


def test_a_gap_of_one_interface_leaves_the_time_watched(path):
    with writing(path) as ledger:
        ledger.gap(START_S + 10, START_S + 20, GapKind.VANISHED, lossy=True, interface="tun0")
        ledger.commit(START_S + 100)
    (one,) = cover(path, START_S + 100, (START_S, START_S + 100))
    assert (one.watched_us, one.declared_us, one.unknown_us) == (100 * US, 0, 0)
    assert one.gaps[0].interface == "tun0"


def test_without_a_reading_there_is_no_share(path):
    with writing(path) as ledger:
        ledger.commit(START_S + 100)
    before, _ = cover(path, START_S + 100, (START_S - 100, START_S), (START_S, START_S + 100))
    assert before.watched_share is None
    assert cover(path, START_S) == []


@given(
    st.lists(st.tuples(st.integers(0, 100), st.integers(0, 100)), max_size=12),
    st.integers(0, 100),
    st.integers(0, 100),
)
def test_the_length_of_a_union_is_the_number_of_moments_in_any_part(stretches, low, high):
    moments = {at for start, end in stretches for at in range(start, end) if low <= at < high}
    assert length(union(stretches), low, high) == len(moments)
