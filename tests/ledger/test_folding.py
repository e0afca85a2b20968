"""What applications had, in fewer rows: tails, days, names that nobody needs; no sum changes by any of it."""

import contextlib
import sqlite3
from collections import Counter
from datetime import UTC, datetime
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recorder.audit import assert_sound
from support import book
from support.ledgers import DAY_S, START_S, writing
from support.looking import examples

from netusage.errors import LedgerError
from netusage.ledger import folding, schema
from netusage.ledger.batch import Counted, Part
from netusage.ledger.reader import LedgerReader
from netusage.ledger.repair import repair
from netusage.ledger.verify import verify
from netusage.model import QUARTER_S, US, Counters, Who
from netusage.recorder.session import _local_day

YEAR_S = 365 * DAY_S
KERNEL = Who("kernel")
OTHER = Who("other")


def app(name):
    return Who("application", name, f"/usr/bin/{name}")


def berlin(at_s):
    return _local_day(at_s, "Europe/Berlin")


def seconds_at(text):
    return int(datetime.fromisoformat(text).timestamp())


@pytest.fixture
def path(tmp_path):
    return tmp_path / "ledger.db"


def rows(path):
    """Rows of `share`: when, seconds, kind and name of the application, received bytes."""
    found = book.rows(
        path,
        "SELECT start_s, seconds, kind, name, rx_bytes FROM share LEFT JOIN application ON id = application_id "
        "ORDER BY start_s, name, kind",
    )
    return [tuple(row) for row in found]


def names(path):
    return {row[0] for row in book.rows(path, "SELECT name FROM application WHERE kind = 'application'")}


def share(ledger, start_s, epoch, name, rx, scope=3):
    """Received bytes of an application in a quarter, by TCP over IPv4."""
    who = KERNEL if name == "kernel" else app(name)
    ledger.share(Part(start_s, epoch, who, scope, 6, 4), Counters(rx, 0, 1, 0))


def pass_time(ledger, until_s, step_s=QUARTER_S):
    """Commit until then, once in so many seconds."""
    for now_s in range(ledger.now_s + step_s, until_s + 1, step_s):
        ledger.commit(now_s)


# Sums of random histories

PLACES = st.tuples(
    st.integers(0, 1) | st.integers(0, 200),  # quarters
    st.integers(1, 2),  # interfaces
    st.integers(1, 6),  # applications, of which the last is the kernel
    st.sampled_from((1, 3)),
    st.sampled_from((6, 17)),
    st.sampled_from((4, 6)),
)
COUNTERS = st.tuples(*[st.integers(0, 50) | st.integers(0, 10**6)] * 4)
HISTORIES = st.dictionaries(PLACES, COUNTERS, max_size=60)
BERLIN_MARCH_S = seconds_at("2026-03-27T23:00:00Z")  # two days before a day of 23 hours


@pytest.fixture(scope="module")
def empty():
    """A ledger in memory with two interfaces and six applications."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.row_factory = sqlite3.Row
    schema.migrate(connection, 0, 0)
    for number in range(1, 7):
        who = KERNEL if number == 6 else app(f"app-{number}")
        connection.execute("INSERT INTO application VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0, 0)", (number, *who))
    yield connection
    connection.close()


def filled(connection, history, start_s):
    connection.execute("DELETE FROM share")
    for (quarter, *key), counters in history.items():
        values = (start_s + quarter * QUARTER_S, *key, *counters, QUARTER_S)
        connection.execute("INSERT INTO share VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", values)


def content(connection):
    """What stands in `share`: rows of start, interface, application, scope, protocol, family, four counters, seconds."""
    return [tuple(row) for row in connection.execute("SELECT * FROM share")]


def summed(table, key):
    """Sums of the four counters, by a key of the row."""
    sums = {}
    for row in table:
        into = sums.setdefault(key(row), [0, 0, 0, 0])
        sums[key(row)] = [a + b for a, b in zip(into, row[6:10], strict=True)]
    return sums


@settings(deadline=None, max_examples=examples(60))
@given(HISTORIES, st.sampled_from((0, 1, 5000, 100_000, 400_000, 1_000_000)))
def test_a_tail_is_exactly_who_had_less_and_every_quarter_keeps_its_sums(empty, history, ppm):
    filled(empty, history, START_S)
    before = content(empty)
    for part in (ppm // 2, ppm):  # a tail may grow
        folding.fold_tail(empty, START_S, START_S + DAY_S, part)
    after = content(empty)

    def all_but_who(row):
        return (row[0], row[1], *row[3:6])

    assert summed(after, all_but_who) == summed(before, all_but_who)
    day = [row for row in before if row[0] < START_S + DAY_S]
    total, own = Counter(), Counter()
    for row in day:
        total[row[1]] += row[6] + row[7]
        own[row[1], row[2]] += row[6] + row[7]
    tail = {key for key, had in own.items() if key[1] != 6 and had * 10**6 < total[key[0]] * ppm}
    kept = [row for row in before if row not in day or (row[1], row[2]) not in tail]
    assert [row for row in after if row[2] <= 6] == kept
    assert any(row[2] > 6 for row in after) == bool(tail)


@settings(deadline=None, max_examples=examples(60))
@given(HISTORIES, st.sampled_from((0, 100_000)))
def test_days_have_what_their_quarters_had(empty, history, ppm):
    filled(empty, history, BERLIN_MARCH_S)
    before = content(empty)
    from_s, until_s = 0, BERLIN_MARCH_S + 200 * QUARTER_S
    for _ in range(4):
        from_s, _moved = folding.make_day(empty, from_s, until_s, berlin, ppm)
    after = content(empty)

    def by_day(row):
        return (berlin(row[0])[0], row[1], *row[3:6])

    assert summed(after, by_day) == summed(before, by_day)
    is_kernel = 6
    assert summed([row for row in after if row[2] == is_kernel], by_day) == summed(
        [row for row in before if row[2] == is_kernel], by_day
    )
    for start_s, *_, seconds in after:
        day_s, end_s = berlin(start_s)
        if end_s <= until_s:
            assert (start_s, seconds) == (day_s, end_s - day_s)
        else:
            assert seconds == QUARTER_S
    total, own = Counter(), Counter()
    for row in after:
        total[by_day(row)[:2]] += row[6] + row[7]
        own[*by_day(row)[:2], row[2]] += row[6] + row[7]
    for (start_s, interface, who), had in own.items():
        if berlin(start_s)[1] <= until_s and who < 6:
            assert had * 10**6 >= total[start_s, interface] * ppm


# Tails


def test_a_tail_that_grows_is_added_to_what_was_folded_before(empty):
    counters = (1, 2, 3, 4)
    history = {(5, 1, who, 3, 6, 4): tuple(10**who * n for n in counters) for who in range(1, 6)}
    filled(empty, history, START_S)
    for ppm in (500, 50_000):
        folding.fold_tail(empty, START_S, START_S + DAY_S, ppm)
    told = {row[2]: row[6:10] for row in content(empty)}
    (other,) = told.keys() - {4, 5}
    assert told[other] == tuple(1110 * n for n in counters)


def test_a_day_that_is_folded_into_what_was_a_quarter_of_an_hour_makes_it_a_day(empty):
    filled(empty, {(0, 1, who, 3, 6, 4): (10**6 if who == 1 else 1, 0, 0, 0) for who in (1, 2, 3)}, START_S)
    empty.execute("UPDATE share SET application_id = 7 WHERE application_id = 3")
    empty.execute("UPDATE share SET seconds = ? WHERE application_id = 2", (DAY_S,))
    empty.execute("INSERT OR IGNORE INTO application VALUES (7, 'other', '', '', '', '', '', '', 0, 0)")
    folding.fold_tail(empty, START_S, START_S + DAY_S, 100)
    (other,) = [row for row in content(empty) if row[2] == 7]
    assert (other[6], other[-1]) == (2, DAY_S)


def fill_day(ledger, epoch, start_s, sizes):
    for quarter in (0, 40, 95):
        for name, size in sizes.items():
            share(ledger, start_s + quarter * QUARTER_S, epoch, name, size)


def test_the_tail_of_a_day_becomes_other_when_the_day_is_over(path):
    with writing(path, other_below_ppm=1000) as ledger:
        fill_day(ledger, ledger.interface("eth0"), START_S, {"big": 998, "edge": 1, "tiny": 0, "kernel": 1})
        ledger.commit(START_S + DAY_S - 1)
        assert len(rows(path)) == 12
        ledger.commit(START_S + DAY_S)
    found = rows(path)
    assert {row[2:] for row in found} == {
        ("application", "big", 998),
        ("application", "edge", 1),  # a thousandth is not below a thousandth
        ("kernel", "", 1),
        ("other", "", 0),
    }
    assert len(found) == 12
    assert_sound(path)


def test_nothing_is_folded_where_nothing_is_to_be(path):
    with writing(path, other_below_ppm=0) as ledger:
        fill_day(ledger, ledger.interface("eth0"), START_S, {"big": 10**9, "tiny": 1})
        ledger.commit(START_S + DAY_S)
    assert {row[3] for row in rows(path)} == {"big", "tiny"}


def test_an_application_may_be_little_at_one_interface_and_all_of_another(path):
    with writing(path) as ledger:
        eth0, wlan0 = ledger.interface("eth0"), ledger.interface("wlan0")
        fill_day(ledger, eth0, START_S, {"big": 10**9, "tiny": 1})
        fill_day(ledger, wlan0, START_S, {"tiny": 1})
        ledger.commit(START_S + DAY_S)
    with LedgerReader(str(path)) as reader:
        told = {(one.interface_id, one.who): one.counters.rx_bytes for one in reader.shares(0, 2**40)}
    assert told == {(1, app("big")): 3 * 10**9, (1, OTHER): 3, (2, app("tiny")): 3}


def test_no_more_applications_are_kept_of_a_day_than_the_share_leaves_room_for(path):
    with writing(path, other_below_ppm=20_000) as ledger:
        epoch = ledger.interface("eth0")
        for number in range(500):
            share(ledger, START_S, epoch, f"app-{number}", 1000 + number * number)
        ledger.commit(START_S + DAY_S)
    assert len(rows(path)) <= 10**6 // 20_000 + 1
    assert sum(row[-1] for row in rows(path)) == sum(1000 + number * number for number in range(500))


def test_a_day_that_the_last_recorder_did_not_see_the_end_of_is_folded_by_the_next(path):
    with writing(path) as ledger:
        fill_day(ledger, ledger.interface("eth0"), START_S, {"big": 10**9, "tiny": 1})
        ledger.commit(START_S + DAY_S - 60)
    with writing(path, START_S + 9 * DAY_S) as ledger:
        ledger.interface("eth0")
        ledger.commit(START_S + 9 * DAY_S)
    assert {row[3] for row in rows(path)} == {"big", ""}


def test_what_is_written_while_the_clock_is_back_is_not_folded_bit_by_bit(path):
    with writing(path, other_below_ppm=100_000) as ledger:
        epoch = ledger.interface("eth0")
        share(ledger, START_S, epoch, "big", 1000)
        ledger.commit(START_S + DAY_S)
        for quarter in range(40):  # of the same day again: each is little, and all of them are not
            share(ledger, START_S + quarter * QUARTER_S, epoch, "late", 50)
            share(ledger, START_S + quarter * QUARTER_S, epoch, "tiny", 1)
            ledger.commit(START_S + (quarter + 1) * QUARTER_S)
        pass_time(ledger, START_S + DAY_S)
    assert sum(row[-1] for row in rows(path) if row[3] == "late") == 2000
    assert {row[3] for row in rows(path)} == {"big", "late", ""}
    assert_sound(path)


def test_a_commit_that_fails_folds_nothing_and_the_next_one_does(path):
    with writing(path, other_below_ppm=1000, quarters_kept_s=2 * DAY_S) as ledger:
        epoch = ledger.interface("eth0")
        for day in range(2):
            fill_day(ledger, epoch, START_S + day * DAY_S, {"big": 10**6, "tiny": 1})
        ledger.commit(START_S + 2 * DAY_S - 1)
        before = rows(path)
        fail = "CREATE TEMP TRIGGER fail BEFORE INSERT ON main.share WHEN NEW.seconds > 900 BEGIN SELECT RAISE(ABORT, 'no'); END"
        ledger.writer._connection.execute(fail)
        for minute in range(3):
            with pytest.raises(LedgerError):
                ledger.commit(START_S + 3 * DAY_S + 60 * minute)
            assert rows(path) == before
        ledger.writer._connection.execute("DROP TRIGGER temp.fail")
        ledger.commit(START_S + 3 * DAY_S + 600)
    found = rows(path)
    assert found[:2] == [
        (START_S, DAY_S, "other", "", 3),
        (START_S, DAY_S, "application", "big", 3 * 10**6),
    ]
    assert {row[2] for row in found[2:]} == {"other", "application"}
    assert {row[1] for row in found[2:]} == {QUARTER_S}
    assert_sound(path)


def test_what_a_failed_commit_would_have_folded_is_not_taken_for_folded_when_the_clock_goes_back(path):
    with writing(path) as ledger:
        fill_day(ledger, ledger.interface("eth0"), START_S, {"big": 10**9, "tiny": 1})
        ledger.commit(START_S + DAY_S - 60)
        fail = "CREATE TEMP TRIGGER fail BEFORE INSERT ON main.share BEGIN SELECT RAISE(ABORT, 'no'); END"
        ledger.writer._connection.execute(fail)
        with pytest.raises(LedgerError):
            ledger.commit(START_S + DAY_S)
        ledger.commit(START_S + DAY_S - 30)
        ledger.writer._connection.execute("DROP TRIGGER temp.fail")
        ledger.commit(START_S + DAY_S)
    assert {row[3] for row in rows(path)} == {"big", ""}


@pytest.mark.parametrize("size", [2**62, 2**63 - 1])
def test_what_is_too_large_to_be_added_up_stays_as_it_is(path, size):
    with writing(path, quarters_kept_s=2 * DAY_S) as ledger:
        epoch = ledger.interface("eth0")
        for quarter in range(3):
            for name, number in {"big": size, "tiny": 1}.items():
                share(ledger, START_S + quarter * QUARTER_S, epoch, name, number)
        share(ledger, START_S + DAY_S, epoch, "tiny", 1)
        ledger.commit(START_S + 900)
        before = rows(path)
        pass_time(ledger, START_S + 5 * DAY_S, DAY_S // 8)
    assert rows(path) == [*before[:-1], (START_S + DAY_S, DAY_S, "application", "tiny", 1)]


# Days


@pytest.mark.parametrize(
    ("midnight", "hours"),
    [("2026-03-29T00:00+01:00", 23), ("2026-10-25T00:00+02:00", 25), ("2026-07-01T00:00+02:00", 24)],
)
def test_quarters_become_local_days_also_when_the_clock_is_changed(path, midnight, hours):
    start_s = seconds_at(midnight)
    end_s = start_s + hours * 3600
    with writing(path, start_s - QUARTER_S, quarters_kept_s=2 * DAY_S, day_of=berlin) as ledger:
        epoch = ledger.interface("eth0")
        for at_s in range(start_s - QUARTER_S, end_s + QUARTER_S, QUARTER_S):
            share(ledger, at_s, epoch, "app", 1)
        ledger.commit(end_s + QUARTER_S)
        ledger.commit(end_s + 2 * DAY_S - 1)
        assert {row[1] for row in rows(path)} <= {QUARTER_S, 23 * 3600, DAY_S}
        ledger.commit(end_s + 2 * DAY_S + 1)
    found = rows(path)
    assert found[1:] == [
        (start_s, hours * 3600, "application", "app", 4 * hours),
        (end_s, QUARTER_S, "application", "app", 1),
    ]
    assert found[0][4] == 1
    assert_sound(path)


def test_a_zone_between_quarters_cuts_days_at_the_quarter_in_which_they_begin(empty):
    zone = ZoneInfo("Africa/Monrovia")
    start_s = int(datetime(1971, 6, 1, tzinfo=zone).timestamp())
    assert start_s % QUARTER_S
    start_s -= start_s % QUARTER_S
    filled(empty, {(quarter, 1, 1, 3, 6, 4): (1, 1, 1, 1) for quarter in range(97)}, start_s)
    folding.make_day(empty, 0, start_s + 9 * DAY_S, lambda at: _local_day(at, "Africa/Monrovia"), 0)
    assert [(row[0], row[6], row[-1]) for row in content(empty)] == [
        (start_s, 96, DAY_S),
        (start_s + DAY_S, 1, QUARTER_S),
    ]


def test_late_quarters_are_added_to_the_day_that_is_there(path):
    with writing(path, quarters_kept_s=2 * DAY_S) as ledger:
        epoch = ledger.interface("eth0")
        share(ledger, START_S + QUARTER_S, epoch, "app", 1000)
        pass_time(ledger, START_S + 3 * DAY_S, 6 * 3600)
        assert rows(path) == [(START_S, DAY_S, "application", "app", 1000)]
        for quarter in (0, 50):
            share(ledger, START_S + quarter * QUARTER_S, epoch, "app", 10)
            share(ledger, START_S + quarter * QUARTER_S, epoch, "late", 400)
        ledger.commit(START_S + 3 * DAY_S + 60)
        assert_sound(path)
        ledger.commit(START_S + 3 * DAY_S + QUARTER_S)
    assert rows(path) == [
        (START_S, DAY_S, "application", "app", 1020),
        (START_S, DAY_S, "application", "late", 800),
    ]
    assert_sound(path)


def test_all_old_days_are_made_one_in_each_quarter_of_an_hour_the_oldest_first(path):
    with writing(path) as ledger:
        epoch = ledger.interface("eth0")
        for day in range(10):
            share(ledger, START_S + day * YEAR_S, epoch, "app", day + 1)
        ledger.commit(START_S + 9 * YEAR_S)
    with writing(path, START_S + 10 * YEAR_S) as ledger:
        ledger.interface("eth0")
        done = [1]  # by the first one
        for quarter in range(30):
            ledger.commit(START_S + 10 * YEAR_S + quarter * QUARTER_S)
            done.append(sum(row[1] > QUARTER_S for row in rows(path)))
    assert {b - a for a, b in pairwise(done)} == {0, 1}
    assert [row[1] for row in rows(path)] == [DAY_S] * 9 + [QUARTER_S]
    assert [row[4] for row in rows(path)] == list(range(1, 11))


def test_a_clock_that_is_years_ahead_for_an_hour_costs_a_few_days_of_quarters(path):
    with writing(path) as ledger:
        epoch = ledger.interface("eth0")
        for day in range(20):
            share(ledger, START_S + day * DAY_S + 900, epoch, "app", 10**6)
            share(ledger, START_S + day * DAY_S + 900, epoch, "tiny", 1)
            ledger.commit(START_S + (day + 1) * DAY_S)
        for quarter in range(5):
            share(ledger, START_S + 5 * YEAR_S + quarter * QUARTER_S, epoch, "app", 5)
            ledger.commit(START_S + 5 * YEAR_S + quarter * QUARTER_S)
        assert sum(row[1] > QUARTER_S for row in rows(path)) <= 2 * 5
        share(ledger, START_S + 20 * DAY_S, epoch, "app", 10**6)
        share(ledger, START_S + 20 * DAY_S, epoch, "tiny", 1)
        for quarter in range(100):
            ledger.commit(START_S + 20 * DAY_S + quarter * QUARTER_S)
    found = rows(path)
    assert sum(row[1] > QUARTER_S for row in found) <= 2 * 5
    assert "tiny" not in {row[3] for row in found}, "days are over by the clock, whatever is sealed"
    assert sum(row[4] for row in found) == 21 * (10**6 + 1) + 25
    assert_sound(path)


# Names


def test_applications_without_a_row_go_and_the_others_stay(path):
    with writing(path, other_below_ppm=1000) as ledger:
        epoch = ledger.interface("eth0")
        for name in ("gone", "owner"):
            share(ledger, START_S, epoch, name, 1)
            ledger.version(app(name), 1, 2)
        share(ledger, START_S, epoch, "big", 10**6)
        owners = {7: app("owner")}
        ledger.counters_are_at(Counted(1, True, {(7, 1, 2, 3, 6, 4): (0,) * 8}, owners))
        ledger.commit(START_S + 60)
        share(ledger, START_S + 2 * DAY_S, epoch, "young", 1)
        share(ledger, START_S + 2 * DAY_S, epoch, "big", 10**6)
        pass_time(ledger, START_S + 3 * DAY_S, 6 * 3600)
    assert names(path) == {"owner", "big", "young"}
    assert len(book.rows(path, "SELECT * FROM application_version")) == 1
    assert_sound(path)


def test_a_name_that_comes_again_while_it_is_looked_for_stays(path, monkeypatch):
    monkeypatch.setattr(folding, "_ROWS_AT_ONCE", 3)
    with writing(path, other_below_ppm=1000, quarters_kept_s=20 * DAY_S) as ledger:
        epoch = ledger.interface("eth0")
        for name, size in {"again": 1, "gone": 1, "moved": 10**5, "big": 10**6}.items():
            share(ledger, START_S, epoch, name, size)
        for quarter in range(1, 40):
            share(ledger, START_S + quarter * QUARTER_S, epoch, "big", 10**6)
        share(ledger, START_S + 39 * QUARTER_S, epoch, "moved", 10**6)
        ledger.commit(START_S + DAY_S)
        pass_time(ledger, START_S + 3 * DAY_S + QUARTER_S)
        unused = ledger.writer._folding._unused
        assert unused._found
        while unused._at_s < START_S + 10 * QUARTER_S:
            pass_time(ledger, ledger.now_s + QUARTER_S)
        share(ledger, START_S, epoch, "again", 10**6)  # where it has looked already
        while "gone" in names(path):
            pass_time(ledger, ledger.now_s + QUARTER_S)
    assert names(path) == {"again", "moved", "big"}
    assert_sound(path)


def test_a_name_whose_quarters_become_a_day_while_it_is_looked_for_stays(empty, monkeypatch):
    monkeypatch.setattr(folding, "_ROWS_AT_ONCE", 3)
    history = {(0, 1, 1, 3, protocol, 4): (1, 1, 1, 1) for protocol in range(9)}
    filled(empty, history | {(90, 1, 2, 3, 6, 4): (1, 1, 1, 1)}, START_S)
    empty.execute("BEGIN")
    try:
        doing = folding.Folding(0, 2 * DAY_S, folding.utc_day)
        doing.begin(empty, START_S + DAY_S)
        for after_s in (0, DAY_S, DAY_S + QUARTER_S):
            doing.turn(empty, START_S + 2 * DAY_S + after_s)
            doing.committed()
        left = {row[0] for row in empty.execute("SELECT name FROM application WHERE kind = 'application'")}
    finally:
        empty.execute("ROLLBACK")
    assert left == {"app-1", "app-2"}


# Whoever asks


def test_periods_have_what_is_told_of_each_of_them(path):
    with writing(path, quarters_kept_s=2 * DAY_S) as ledger:
        one, two = ledger.interface("eth0"), ledger.interface("wlan0")
        for quarter in range(0, 480, 7):
            share(ledger, START_S + quarter * QUARTER_S, one, f"app-{quarter % 3}", 100 + quarter)
            share(ledger, START_S + quarter * QUARTER_S, two, "kernel", quarter, scope=quarter % 2)
            ledger.commit(START_S + (quarter + 1) * QUARTER_S)
    with LedgerReader(str(path)) as reader:
        numbers = [interface.id for interface in reader.interfaces()]
        for edges in (
            range(START_S - DAY_S, START_S + 7 * DAY_S, DAY_S),
            range(START_S, START_S + DAY_S, QUARTER_S),
            [0, START_S + 3600, START_S + 3 * DAY_S, 2**40],
            [START_S],
            [],
        ):
            told = reader.shares_by_period([[number] for number in numbers], edges)
            for own, interface in zip(told, numbers, strict=True):
                assert [sorted(period) for period in own] == [
                    sorted(row for row in reader.shares(since_s, until_s) if row.interface_id == interface)
                    for since_s, until_s in pairwise(edges)
                ]
        (periods,) = reader.shares_by_period([numbers], [0, START_S + DAY_S, START_S + 4 * DAY_S, 2**40])
    assert [{one.seconds for one in period} for period in periods] == [{DAY_S}, {DAY_S}, {QUARTER_S}]


def test_nothing_is_told_of_periods_without_applications(path):
    with writing(path) as ledger:
        ledger.interface("eth0")
        ledger.commit(START_S + 60)
    with LedgerReader(str(path)) as reader:
        assert reader.shares_by_period([[1], []], [0, START_S, 2**40]) == [[[], []], [[], []]]


@pytest.mark.parametrize("seconds", [0, 60, 1800, 86_000, 200_000])
def test_a_row_that_is_no_quarter_and_no_day_is_found(path, seconds):
    with writing(path) as ledger:
        share(ledger, START_S, ledger.interface("eth0"), "app", 1)
        ledger.commit(START_S + 60)
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE share SET seconds = ?", (seconds,))
    with LedgerReader(str(path)) as reader:
        assert [finding.table for finding in verify(reader).findings] == ["share"]


def test_repair_keeps_days_and_what_is_other(path):
    with writing(path, quarters_kept_s=2 * DAY_S) as ledger:
        fill_day(ledger, ledger.interface("eth0"), START_S, {"big": 10**9, "tiny": 1})
        pass_time(ledger, START_S + 3 * DAY_S, 6 * 3600)
    before = rows(path)
    assert [(row[1], row[2]) for row in before] == [(DAY_S, "other"), (DAY_S, "application")]
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE interface SET rx_bytes = rx_bytes + 1")
    found = repair(str(path), now_us=(START_S + 9 * DAY_S) * US, boot_id="boot-1", agree=lambda _found: True)
    assert found.saved["share"] == 2
    assert rows(path) == before
    assert_sound(path)


def test_the_local_day_of_a_time_is_that_of_the_reports():
    at_s = int(datetime(2026, 7, 1, 22, 30, tzinfo=UTC).timestamp())
    assert berlin(at_s) == (at_s - 1800, at_s - 1800 + DAY_S)
