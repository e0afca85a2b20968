import random
import shutil
import sqlite3

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.book import quarters
from support.ledgers import DAY_S, START_S, naive_usage, writing
from support.looking import examples
from support.verify import assert_verify_agrees

from netusage.ledger.chunks import LONGEST_S
from netusage.ledger.reader import LedgerReader
from netusage.model import QUARTER_S

HOUR_S = 3600


@pytest.fixture
def path(tmp_path):
    return tmp_path / "ledger.db"


def totals(path):
    with LedgerReader(str(path)) as reader:
        return {one.name: one.totals for one in reader.interfaces()}


def rows(path, sql):
    with LedgerReader(str(path)) as reader, reader.reading() as connection:
        return connection.execute(sql).fetchall()


def test_totals_and_quarters_do_not_change_when_minutes_go(path):
    with writing(path, minutes_kept_s=DAY_S) as ledger:
        eth0 = ledger.interface("eth0")
        for hour in range(24):
            for minute in range(0, 60, 7):
                ledger.count(
                    eth0,
                    START_S + hour * HOUR_S + minute * 60,
                    hour + 1,
                    minute,
                    1,
                    1,
                    peak_rx=hour * 60 + minute,
                )
            ledger.commit(START_S + (hour + 1) * HOUR_S)
        edges = list(range(START_S, START_S + DAY_S + 1, QUARTER_S))
        with LedgerReader(str(path)) as reader:
            before = reader.usage([[1]], edges), reader.peaks([[1]], edges[::96])[0][0].rx.rate
        for hour in range(24, 60):
            ledger.commit(START_S + hour * HOUR_S)
            with LedgerReader(str(path)) as reader:
                assert (reader.usage([[1]], edges), reader.peaks([[1]], edges[::96])[0][0].rx.rate) == before
            assert totals(path)["eth0"] == ledger.total("eth0")
            assert_verify_agrees(path)
    assert rows(path, "SELECT count(*) FROM minute") == [(0,)]
    assert len(quarters(path)) == 96


def test_only_minutes_that_are_old_enough_go(path):
    with writing(path, minutes_kept_s=DAY_S) as ledger:
        eth0 = ledger.interface("eth0")
        for hour in range(72):
            ledger.count(eth0, START_S + hour * HOUR_S, 1)
            ledger.commit(START_S + hour * HOUR_S + 60)
    ((oldest, newest),) = rows(path, "SELECT min(start_s), max(start_s) FROM minute")
    assert oldest == START_S + 47 * HOUR_S  # its quarter of an hour is not a day old yet
    assert newest == START_S + 71 * HOUR_S
    with LedgerReader(str(path)) as reader:
        assert oldest - 2 * HOUR_S < reader.state.minutes_from_s <= oldest


def test_a_clock_that_is_years_ahead_for_a_moment_costs_hours_of_minutes_and_no_total(path):
    with writing(path) as ledger:
        eth0 = ledger.interface("eth0")
        for hour in range(48):
            ledger.count(eth0, START_S + hour * HOUR_S, 1)
        ledger.commit(START_S + 48 * HOUR_S)
        ledger.count(eth0, START_S + 1000 * DAY_S, 10)
        ledger.commit(START_S + 1000 * DAY_S)
        ledger.count(eth0, START_S + 49 * HOUR_S, 100)
        ledger.commit(START_S + 49 * HOUR_S + 60)
        assert_verify_agrees(path)
        assert totals(path)["eth0"].rx_bytes == 158
    assert rows(path, "SELECT count(*) FROM minute")[0][0] >= 44


def test_days_that_are_over_join_those_before_them_and_four_weeks_stay_together(path):
    with writing(path) as ledger:
        eth0 = ledger.interface("eth0")
        for day in range(70):
            ledger.count(eth0, START_S + day * DAY_S + 5 * HOUR_S, 10)
            ledger.commit(START_S + day * DAY_S + 6 * HOUR_S)
        assert_verify_agrees(path)
    chunks = rows(path, "SELECT start_s, start_s + quarters * 900, rx_bytes FROM chunk ORDER BY start_s")
    weeks = [start_s // LONGEST_S for start_s, _, _ in chunks]
    assert len(chunks) == len(set(weeks[:-1])) + 1  # and the running day
    assert chunks[-1] == (START_S + 69 * DAY_S + 5 * HOUR_S, START_S + 69 * DAY_S + 5 * HOUR_S + 900, 690)
    assert all((end_s - 900) // LONGEST_S == start_s // LONGEST_S for start_s, end_s, _ in chunks)
    assert all(total == (start_s - START_S) // DAY_S * 10 for start_s, _, total in chunks)


def test_what_is_sealed_late_is_sealed_once(path):
    with writing(path) as ledger:
        eth0 = ledger.interface("eth0")
        ledger.count(eth0, START_S + 60, 1)
        ledger.commit(START_S + 120)
    with writing(path, START_S + 5 * DAY_S) as ledger:
        eth1 = ledger.interface("eth1")
        ledger.count(eth1, START_S + 5 * DAY_S, 2)
        ledger.commit(START_S + 5 * DAY_S + 1)
        ledger.commit(START_S + 5 * DAY_S + QUARTER_S)
    assert [one["rx_bytes"] for one in quarters(path)] == [1, 2]
    assert_verify_agrees(path)


def test_a_power_cut_at_any_byte_of_the_log_leaves_one_of_the_committed_states(path, tmp_path):
    states = []
    with writing(path, minutes_kept_s=DAY_S) as ledger:
        eth0 = ledger.interface("eth0")
        ledger.commit(START_S + 1)
        connection = sqlite3.connect(path)
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.close()
        states.append(0)
        for hour in range(
            12, 40, 3
        ):  # each commit seals, joins a day to those before it now and then, and drops minutes in the end
            ledger.count(eth0, START_S + hour * HOUR_S, 1 << hour)
            ledger.commit(START_S + hour * HOUR_S + 1000)
            states.append(ledger.total("eth0").rx_bytes)
        log = (tmp_path / "ledger.db-wal").read_bytes()
        assert len(log) > 20_000
        rand = random.Random(3)
        cuts = [0, 32, len(log), *(rand.randrange(len(log)) for _ in range(40))]
        for number, cut in enumerate(cuts):
            copy = tmp_path / f"cut{number}" / "ledger.db"
            copy.parent.mkdir()
            shutil.copy(path, copy)
            copy.with_name("ledger.db-wal").write_bytes(log[:cut])
            assert_verify_agrees(copy)
            assert totals(copy)["eth0"].rx_bytes in states


@given(
    steps=st.lists(
        st.tuples(st.integers(0, 3 * 24 * 60), st.integers(0, 1 << 40), st.integers(-2 * 24 * 60, 24 * 60)),
        max_size=25,
    ),
    kept=st.sampled_from([DAY_S, 35 * DAY_S]),
)
@settings(
    max_examples=examples(40), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_whatever_the_clock_does_all_that_was_counted_is_there_and_verified(tmp_path_factory, steps, kept):
    path = tmp_path_factory.mktemp("clock") / "ledger.db"
    with writing(path, minutes_kept_s=kept) as ledger:
        eth0 = ledger.interface("eth0")
        for minute, amount, step in steps:
            ledger.count(eth0, ledger.now_s + minute * 60, amount, 1)
            ledger.commit(max(ledger.now_s + minute * 60 + step * 60, START_S - 4 * DAY_S))
        ledger.commit()
        assert_verify_agrees(path)
        edges = [START_S - 90 * DAY_S, START_S, START_S + 7 * DAY_S, START_S + 300 * DAY_S]
        with LedgerReader(ledger.path) as reader:
            assert reader.usage([[1]], edges)[0] == naive_usage(ledger, ["eth0"], edges)
            assert reader.interfaces()[0].totals == ledger.total("eth0")
