"""Minutes into quarters, days of them together, old minutes out: totals never change by any of it."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from recorder.audit import assert_sound
from support import book
from support.ledgers import DAY_S, START_S, writing
from support.looking import examples

from netusage.ledger.chunks import LONGEST_S
from netusage.model import QUARTER_S, US

HOUR_S = 3600


@pytest.fixture
def path(tmp_path):
    return tmp_path / "ledger.db"


def quarters(path):
    return {one["start_s"]: one["rx_bytes"] for one in book.quarters(path)}


def changes(path):
    question = "SELECT change FROM chunk UNION ALL SELECT change FROM span ORDER BY change"
    return [row[0] for row in book.rows(path, question)]


def last_change(path):
    return book.rows(path, "SELECT change FROM ledger")[0][0]


# Quarters


def test_a_quarter_is_sealed_when_it_is_over_and_not_before(path):
    with writing(path) as ledger:
        epoch = ledger.interface("eth0")
        ledger.count(epoch, START_S + 60, 5, 1, 1, 1, peak_rx=4, peak_tx=3)
        ledger.count(epoch, START_S + 899, 7, 1, 1, 1, peak_rx=9, peak_tx=2)
        ledger.commit(START_S + 899)
        assert quarters(path) == {}
        ledger.commit(START_S + 900)
        assert quarters(path) == {START_S: 12}
    (row,) = book.quarters(path)
    assert (row["tx_bytes"], row["rx_packets"], row["peak_rx"], row["peak_tx"]) == (2, 2, 9, 3)
    assert_sound(path)


def test_what_a_commit_brings_for_the_quarter_that_it_seals_is_in_it_once(path):
    with writing(path) as ledger:
        epoch = ledger.interface("eth0")
        ledger.count(epoch, START_S, 5, 0, 1, 0)
        ledger.commit(START_S + 10)
        ledger.count(epoch, START_S + 880, 7, 0, 1, 0)
        ledger.count(epoch, START_S + 900, 11, 0, 1, 0)
        ledger.commit(START_S + 905)
    assert quarters(path) == {START_S: 12}
    assert_sound(path)


def test_quarters_that_passed_without_a_commit_are_sealed_together(path):
    with writing(path) as ledger:
        epoch = ledger.interface("eth0")
        for hour in range(5):
            ledger.count(epoch, START_S + hour * HOUR_S, 5, 0, 1, 0)
        ledger.commit(START_S + 5 * HOUR_S)
    assert quarters(path) == {START_S + hour * HOUR_S: 5 for hour in range(5)}
    assert_sound(path)


def test_an_interface_that_counted_nothing_has_no_quarter(path):
    with writing(path) as ledger:
        ledger.interface("wg0")
        ledger.count(ledger.interface("eth0"), START_S, 5, 0, 1, 0)
        ledger.commit(START_S + HOUR_S)
    assert len(quarters(path)) == 1


# The wall clock went back


def test_late_minutes_are_added_to_their_sealed_quarter_and_raise_its_peak(path):
    with writing(path) as ledger:
        epoch = ledger.interface("eth0")
        ledger.count(epoch, START_S, 5, 0, 1, 0, peak_rx=3)
        ledger.commit(START_S + HOUR_S)
        ledger.count(epoch, START_S + 60, 7, 0, 1, 0, peak_rx=8)
        ledger.commit(START_S + 120)
    assert quarters(path) == {START_S: 12}
    assert book.quarters(path)[0]["peak_rx"] == 8
    assert_sound(path)


def test_late_minutes_of_a_quarter_that_had_none_make_one(path):
    with writing(path) as ledger:
        epoch = ledger.interface("eth0")
        ledger.commit(START_S + HOUR_S)
        ledger.count(epoch, START_S - DAY_S, 7, 0, 1, 0)
        ledger.commit(START_S - DAY_S + 60)
    assert quarters(path) == {START_S - DAY_S: 7}
    assert_sound(path)


def test_the_clock_going_back_does_not_unseal(path):
    with writing(path) as ledger:
        epoch = ledger.interface("eth0")
        ledger.count(epoch, START_S, 5, 0, 1, 0)
        ledger.commit(START_S + HOUR_S)
        ledger.commit(START_S - DAY_S)
    assert book.rows(path, "SELECT sealed_until_s FROM ledger")[0][0] == START_S + HOUR_S
    assert_sound(path)


def test_the_sealing_is_known_to_the_next_recorder(path):
    with writing(path) as ledger:
        ledger.count(ledger.interface("eth0"), START_S, 5, 0, 1, 0)
        ledger.commit(START_S + HOUR_S)
    with writing(path, START_S + 100) as ledger:
        ledger.count(ledger.interface("eth0"), START_S + 60, 7, 0, 1, 0)
        ledger.commit(START_S + 120)
    assert quarters(path) == {START_S: 12}
    assert_sound(path)


# Running totals


def running_totals(path, name="eth0"):
    sql = "SELECT start_s, rx_bytes FROM chunk WHERE interface_id = (SELECT id FROM interface WHERE name = ?) ORDER BY 1"
    return [tuple(row) for row in book.rows(path, sql, name)]


def test_a_chunk_begins_with_the_sum_of_all_quarters_before_it(path):
    with writing(path) as ledger:
        epoch = ledger.interface("eth0")
        for n in range(3):
            ledger.count(epoch, START_S + n * LONGEST_S, 10**n, 0, 1, 0)
            ledger.commit(START_S + n * LONGEST_S + HOUR_S)
    assert running_totals(path) == [(START_S, 0), (START_S + LONGEST_S, 1), (START_S + 2 * LONGEST_S, 11)]
    assert_sound(path)


def test_late_minutes_move_the_running_totals_after_them_and_no_others(path):
    with writing(path) as ledger:
        epoch = ledger.interface("eth0")
        for n in range(3):
            ledger.count(epoch, START_S + n * LONGEST_S, 10, 0, 1, 0)
        ledger.commit(START_S + 3 * LONGEST_S)
        ledger.count(epoch, START_S + LONGEST_S, 500, 0, 1, 0)
        ledger.commit(START_S + LONGEST_S + 60)
    assert running_totals(path) == [(START_S, 0), (START_S + LONGEST_S, 10), (START_S + 2 * LONGEST_S, 520)]
    assert_sound(path)


@pytest.mark.parametrize("late_s", [-DAY_S, HOUR_S, 3 * HOUR_S, 9 * HOUR_S, 2 * DAY_S, 4 * DAY_S])
def test_late_minutes_go_before_between_and_behind_what_is_there(path, late_s):
    with writing(path) as ledger:
        eth0, eth1 = ledger.interface("eth0"), ledger.interface("eth1")
        for hour in (0, 2, 8, 26, 75, 130):
            ledger.count(eth0, START_S + hour * HOUR_S, 10, 1, 1, 1, peak_rx=5)
            ledger.commit(START_S + (hour + 1) * HOUR_S)
        ledger.commit(START_S + 20 * DAY_S)
        for epoch in (eth0, eth1):
            ledger.count(epoch, START_S + late_s, 500, 2, 3, 4, peak_tx=9)
        ledger.commit(START_S + late_s + 60)
        ledger.count(eth0, START_S + 21 * DAY_S, 1)
        ledger.commit(START_S + 22 * DAY_S)
    assert quarters_of(path, eth0)[START_S + late_s] >= 500
    assert quarters_of(path, eth1) == {START_S + late_s: 500}
    assert_sound(path)


def quarters_of(path, epoch):
    return {
        one["start_s"]: one["rx_bytes"]
        for one in book.quarters(path)
        if one["interface_id"] == epoch.interface_row
    }


def test_an_interface_without_new_quarters_gets_no_new_chunk(path):
    with writing(path) as ledger:
        eth0, wg0 = ledger.interface("eth0"), ledger.interface("wg0")
        ledger.count(wg0, START_S, 3, 0, 1, 0)
        for n in range(4):
            ledger.count(eth0, START_S + n * LONGEST_S, 10, 0, 1, 0)
            ledger.commit(START_S + n * LONGEST_S + DAY_S)
    assert running_totals(path, "wg0") == [(START_S, 0)]


# Old minutes


def kept(path):
    return book.rows(path, "SELECT min(start_s), count(*) FROM minute")[0]


def test_old_minutes_go_in_small_steps_and_no_total_changes(path):
    with writing(path, minutes_kept_s=DAY_S) as ledger:
        epoch = ledger.interface("eth0")
        for quarter in range(5 * 96):
            at_s = START_S + quarter * QUARTER_S
            ledger.count(epoch, at_s + 60, quarter, 1, 1, 1)
            ledger.commit(at_s + 800)
        end_s = at_s + 800
    oldest_s, _ = kept(path)
    assert end_s - DAY_S - 2 * QUARTER_S <= oldest_s <= end_s - DAY_S + QUARTER_S
    assert (
        sum(quarters(path).values()) + (5 * 96 - 1)
        == book.recorded(path)["eth0"].rx_bytes
        == sum(range(5 * 96))
    )
    assert book.rows(path, "SELECT minutes_from_s FROM ledger")[0][0] > START_S
    assert_sound(path)


def test_minutes_that_are_not_sealed_never_go(path):
    with writing(path, minutes_kept_s=0) as ledger:
        epoch = ledger.interface("eth0")
        ledger.count(epoch, START_S, 5, 0, 1, 0)
        ledger.commit(START_S + 60)
        assert kept(path)[1] == 1
        ledger.count(epoch, START_S + 960, 6, 0, 1, 0)
        ledger.commit(START_S + 1000)
        assert kept(path)[0] == START_S + 960
    assert_sound(path)


def test_a_clock_years_ahead_takes_two_hours_of_minutes_and_no_more(path):
    with writing(path) as ledger:
        epoch = ledger.interface("eth0")
        for minute in range(10 * 60):
            ledger.count(epoch, START_S + 60 * minute, 5, 0, 1, 0)
        ledger.commit(START_S + 10 * HOUR_S)
        ledger.commit(START_S + 3000 * DAY_S)
        ledger.commit(START_S + 10 * HOUR_S + 10)
    assert kept(path)[1] >= 8 * 60
    assert book.recorded(path)["eth0"].rx_bytes == 3000
    assert_sound(path)


def test_minutes_go_on_going_after_a_clock_was_years_ahead(path):
    with writing(path, minutes_kept_s=DAY_S) as ledger:
        epoch = ledger.interface("eth0")
        ledger.commit(START_S + 3000 * DAY_S)
        for hour in range(96):
            ledger.count(epoch, START_S + hour * HOUR_S, 5, 0, 1, 0)
            ledger.commit(START_S + hour * HOUR_S + 60)
    assert kept(path)[0] > START_S + 70 * HOUR_S
    assert book.recorded(path)["eth0"].rx_bytes == 96 * 5
    assert_sound(path)


def test_late_minutes_from_before_what_was_dropped_are_counted_and_go_again(path):
    with writing(path, minutes_kept_s=HOUR_S) as ledger:
        epoch = ledger.interface("eth0")
        for hour in range(6):
            ledger.count(epoch, START_S + hour * HOUR_S, 5, 0, 1, 0)
            ledger.commit(START_S + hour * HOUR_S + 30)
        ledger.count(epoch, START_S - DAY_S, 1000, 0, 1, 0)
        ledger.commit(START_S - DAY_S + 60)
        assert_sound(path)
        for hour in range(6, 12):
            ledger.commit(START_S + hour * HOUR_S + 30)
    assert kept(path)[0] is None or kept(path)[0] > START_S
    assert book.recorded(path)["eth0"].rx_bytes == 1030
    assert_sound(path)


def test_a_commit_that_fails_after_minutes_were_dropped_brings_them_back(path, monkeypatch):
    """Crash-safe: the dropping is part of the commit."""
    with writing(path, minutes_kept_s=HOUR_S) as ledger:
        epoch = ledger.interface("eth0")
        ledger.count(epoch, START_S, 5, 0, 1, 0)
        ledger.commit(START_S + 2 * HOUR_S)
        before = [tuple(row) for row in book.rows(path, "SELECT * FROM minute")]
        from netusage.ledger import sealing

        drop = sealing.drop_old_minutes

        def drop_and_die(connection, before_s):
            drop(connection, before_s)
            assert connection.execute("SELECT count(*) FROM minute").fetchone()[0] == 0
            raise KeyboardInterrupt

        monkeypatch.setattr(sealing, "drop_old_minutes", drop_and_die)
        with pytest.raises(KeyboardInterrupt):
            ledger.commit(START_S + 9 * HOUR_S)
        assert [tuple(row) for row in book.rows(path, "SELECT * FROM minute")] == before
        monkeypatch.undo()
        ledger.commit(START_S + 9 * HOUR_S)
    assert kept(path)[1] == 0
    assert_sound(path)


# Change numbers


def test_every_change_of_a_row_gives_it_a_number_that_no_other_row_ever_had(path):
    seen = set()
    with writing(path) as ledger:
        epochs = [ledger.interface(name) for name in ("eth0", "wg0")]
        for step in range(40):
            before = last_change(path) if step else 0
            at_s = START_S + (step * 700 if step % 5 else -step * 1100)
            for epoch in epochs:
                ledger.count(epoch, at_s, 5, 0, 1, 0)
            ledger.span(epochs[0], at_s * US, (at_s + 9) * US, 1, 0, 1, 0)
            ledger.commit(at_s + 10)
            fresh = [change for change in changes(path) if change > before]
            assert len(fresh) == len(set(fresh))
            assert not seen & set(fresh)
            assert max(fresh) <= last_change(path)
            seen |= set(fresh)
            assert len(changes(path)) == len(set(changes(path)))
    assert_sound(path)


def test_a_commit_that_changes_no_sealed_row_gives_no_number(path):
    with writing(path) as ledger:
        epoch = ledger.interface("eth0")
        ledger.commit(START_S + 10)
        ledger.count(epoch, START_S + 20, 5, 0, 1, 0)
        ledger.commit(START_S + 30)
    assert last_change(path) == 0


@settings(
    max_examples=examples(40),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    derandomize=True,
)
@given(
    moves=st.lists(
        st.tuples(
            st.sampled_from([0, 30, 900, 21_600, 86_400, -30, -900, -21_600, -172_800]), st.integers(1, 99)
        ),
        min_size=1,
        max_size=25,
    ),
    kept_s=st.sampled_from([0, HOUR_S, 35 * DAY_S]),
)
def test_wherever_the_clock_goes_everything_adds_up_after_every_commit(tmp_path_factory, moves, kept_s):
    path = tmp_path_factory.mktemp("sealing") / "ledger.db"
    now_s, total = START_S, 0
    with writing(path, minutes_kept_s=kept_s) as ledger:
        epoch = ledger.interface("eth0")
        for move_s, amount in moves:
            now_s += move_s + 10
            ledger.count(epoch, now_s - 5, amount, amount, 1, 1)
            total += amount
            ledger.commit(now_s)
        assert_sound(path)
    assert book.recorded(path)["eth0"].rx_bytes == total
