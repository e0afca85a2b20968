import contextlib
import os
import random
import sqlite3
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.ledgers import DAY_S, START_S, naive_usage, writing
from support.looking import examples

from netusage.errors import LedgerCorruptError, LedgerError, LedgerNewerError, NoDataError
from netusage.ledger.answers import NO_USAGE, Usage
from netusage.ledger.reader import LedgerReader
from netusage.model import MINUTE_S, QUARTER_S, US, Counters, GapKind

BIG = 2**63 - 1


@pytest.fixture
def path(tmp_path):
    return tmp_path / "ledger.db"


def ids_of(reader, *names):
    return [i.id for i in reader.interfaces() if i.name in names]


def usage(reader, name, edges):
    return reader.usage([ids_of(reader, name)], edges)[0]


# ---- Usage ------------------------------------------------------------------------------------------------------


def test_what_was_counted_in_a_quarter_is_found_in_it(path):
    with writing(path) as ledger:
        eth0 = ledger.interface("eth0")
        ledger.count(eth0, START_S + 60, 100, 10, 3, 2)
        ledger.count(eth0, START_S + QUARTER_S, 7, 1, 1, 1)
        ledger.commit(START_S + 2 * QUARTER_S)
    with LedgerReader(str(path)) as reader:
        found = usage(reader, "eth0", [START_S, START_S + QUARTER_S, START_S + 2 * QUARTER_S])
    assert found == [Usage(100, 10, 3, 2), Usage(7, 1, 1, 1)]


def test_minutes_that_are_not_sealed_yet_are_part_of_the_running_period(path):
    with writing(path) as ledger:
        eth0 = ledger.interface("eth0")
        ledger.count(eth0, START_S + 5, 100, 10)
        ledger.commit(START_S + 90)
    with LedgerReader(str(path)) as reader:
        assert usage(reader, "eth0", [START_S, START_S + DAY_S]) == [Usage(100, 10)]
        assert usage(reader, "eth0", [START_S, START_S + 60, START_S + 120]) == [Usage(100, 10), NO_USAGE]


def test_minutes_of_sealed_quarters_are_not_added_to_their_quarter(path):
    with writing(path) as ledger:
        eth0 = ledger.interface("eth0")
        for minute in range(45):
            ledger.count(eth0, START_S + minute * 60, 1)
        ledger.commit(START_S + 50 * 60)
    with LedgerReader(str(path)) as reader:
        assert usage(reader, "eth0", [START_S - DAY_S, START_S + DAY_S]) == [Usage(45)]
        by_minute = usage(reader, "eth0", list(range(START_S, START_S + 3600 + 1, 60)))
    assert by_minute == [Usage(1)] * 45 + [NO_USAGE] * 15


def test_where_minutes_were_dropped_a_quarter_is_split_in_proportion_and_says_so(path):
    with writing(path, minutes_kept_s=DAY_S) as ledger:
        eth0 = ledger.interface("eth0")
        ledger.count(eth0, START_S + 7 * 60, 901, 15, 2, 1)
        ledger.commit(START_S + QUARTER_S)
        ledger.count(eth0, START_S + 3 * DAY_S, 5)
        ledger.commit(START_S + 3 * DAY_S)
        edges = [START_S, START_S + 300, START_S + 600, START_S + 900, START_S + 1200]
    with LedgerReader(str(path)) as reader:
        assert reader.state.minutes_from_s > START_S
        found = usage(reader, "eth0", edges)
        halves = usage(reader, "eth0", [START_S - 900, START_S + 420, START_S + 900])
    assert found == [
        Usage(300, 5, 0, 0, 300, 5),
        Usage(300, 5, 1, 0, 300, 5),
        Usage(301, 5, 1, 1, 301, 5),
        NO_USAGE,
    ]
    assert [one.rx_bytes for one in halves] == [420, 481]
    assert [one.estimated_rx_bytes for one in halves] == [420, 481]


def test_an_estimated_stretch_is_split_in_proportion_to_time_and_its_parts_add_up(path):
    start_us = START_S * US + 333_333
    with writing(path) as ledger:
        eth0 = ledger.interface("eth0")
        ledger.span(eth0, start_us, start_us + 7 * 3600 * US + 1, 1_000_003, 77, 9, 8)
        ledger.commit(START_S + DAY_S)
        edges = [START_S - 3600, *range(START_S, START_S + 9 * 3600, 1500)]
        expected = naive_usage(ledger, ["eth0"], edges)
    with LedgerReader(str(path)) as reader:
        found = usage(reader, "eth0", edges)
    assert found == expected
    assert [sum(column) for column in zip(*found, strict=True)] == [1_000_003, 77, 9, 8, 1_000_003, 77]


def test_what_was_counted_while_the_clock_was_wrong_is_where_the_clock_put_it(path):
    with writing(path) as ledger:
        eth0 = ledger.interface("eth0")
        ledger.count(eth0, START_S + 60, 1)
        ledger.commit(START_S + 2 * DAY_S)  # the clock was two days ahead
        ledger.count(eth0, START_S + 1000, 20)
        ledger.commit(START_S + 1200)
        ledger.count(eth0, START_S + 3 * DAY_S, 300)
        ledger.commit(START_S + 3 * DAY_S + DAY_S)
        edges = [START_S, START_S + 900, START_S + DAY_S, START_S + 4 * DAY_S]
    with LedgerReader(str(path)) as reader:
        assert usage(reader, "eth0", edges) == [Usage(1), Usage(20), Usage(300)]


def test_without_packets_the_bytes_are_the_same_and_packets_are_none(path):
    with writing(path) as ledger:
        eth0 = ledger.interface("eth0")
        for minute in range(0, 3000, 7):
            ledger.count(eth0, START_S + minute * 60, minute, 3, 5, 2)
        ledger.span(eth0, START_S * US, (START_S + 5000) * US, 1000, 10, 3, 2)
        ledger.commit(START_S + 3000 * 60 + 100)
    edges = [
        START_S - 60,
        START_S + 60,
        START_S + 960,
        START_S + 1800,
        START_S + DAY_S,
        START_S + 2 * DAY_S + 420,
        START_S + 3 * DAY_S,
    ]
    with LedgerReader(str(path)) as reader:
        (whole,) = reader.usage([[1]], edges)
        (without,) = reader.usage([[1]], edges, packets=False)
    assert without == [one._replace(rx_packets=0, tx_packets=0) for one in whole]
    assert any(one.rx_packets for one in whole)


def test_numbers_up_to_two_to_the_63rd_are_exact_for_each_and_together(path):
    with writing(path) as ledger:
        one, two = ledger.interface("eth0"), ledger.interface("eth1")
        ledger.count(one, START_S, BIG, 1)
        ledger.count(two, START_S, BIG, BIG)
        ledger.commit(START_S + 2 * DAY_S)
    with LedgerReader(str(path)) as reader:
        both = reader.usage([ids_of(reader, "eth0", "eth1")], [START_S, START_S + DAY_S])
        each = reader.usage([ids_of(reader, "eth0"), ids_of(reader, "eth1")], [START_S, START_S + DAY_S])
        busiest = reader.busiest(ids_of(reader, "eth0", "eth1"), [START_S, START_S + DAY_S], 1)
    assert both == [[Usage(2 * BIG, BIG + 1)]]
    assert each == [[Usage(BIG, 1)], [Usage(BIG, BIG)]]
    assert busiest == [(0, Usage(2 * BIG, BIG + 1))]


def test_a_group_without_interfaces_counted_nothing(path):
    with writing(path) as ledger:
        ledger.count(ledger.interface("eth0"), START_S, 1)
        ledger.commit(START_S + DAY_S)
    with LedgerReader(str(path)) as reader:
        assert reader.usage([[], ids_of(reader, "eth0")], [START_S, START_S + DAY_S]) == [
            [NO_USAGE],
            [Usage(1)],
        ]
        assert reader.usage([[]], [START_S]) == [[]]


@st.composite
def histories(draw):
    """Minutes counted by two interfaces, estimated stretches, and when it was committed."""
    minutes = st.integers(0, 4 * 24 * 60)
    amounts = st.integers(0, 10**12)
    counted = draw(st.lists(st.tuples(st.sampled_from("ab"), minutes, amounts, amounts), max_size=40))
    stretch = st.tuples(st.sampled_from("ab"), minutes, st.integers(1, 3 * DAY_S * US), amounts)
    spans = draw(st.lists(stretch, max_size=4))
    commits = draw(st.lists(minutes, max_size=5))
    edges = draw(st.lists(st.integers(-60, 6 * 24 * 60), min_size=2, max_size=12, unique=True))
    aligned = draw(st.sampled_from([1, 15]))
    kept_s = draw(st.sampled_from([35 * DAY_S, DAY_S]))
    return counted, spans, sorted(commits), sorted({edge // aligned * aligned for edge in edges}), kept_s


@given(histories())
@settings(
    max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_cut_of_time_gives_what_went_in_between_and_adds_up(tmp_path_factory, history):
    counted, spans, commits, edges, kept_s = history
    path = tmp_path_factory.mktemp("any") / "ledger.db"
    with writing(path, minutes_kept_s=kept_s) as ledger:
        epochs = {name: ledger.interface(name) for name in "ab"}
        rest = sorted(counted, key=lambda row: row[1])
        for commit in [*commits, *range(4 * 24 * 60, 5 * 24 * 60 + 1, 360)]:
            while rest and rest[0][1] <= commit:
                name, minute, rx, tx = rest.pop(0)
                ledger.count(epochs[name], START_S + minute * 60, rx, tx, rx // 1000, tx // 1000)
            ledger.commit(START_S + commit * 60)
        for name, minute, length_us, rx in spans:
            start_us = (START_S + minute * 60) * US + rx % US
            ledger.span(epochs[name], start_us, start_us + length_us, rx, rx // 3, rx // 99, 1)
        ledger.commit()
        edges = [START_S + edge * 60 for edge in edges]
        with LedgerReader(ledger.path) as reader:
            every = reader.usage([ids_of(reader, "a", "b")], edges)[0]
            both = reader.usage([ids_of(reader, "a"), ids_of(reader, "b")], edges)
            assert [a.plus(b) for a, b in zip(*both, strict=True)] == every
            if kept_s > 5 * DAY_S or all(edge % QUARTER_S == 0 for edge in edges):
                assert both == [naive_usage(ledger, name, edges) for name in "ab"]
            everything = sorted({START_S - 10 * DAY_S, *edges, START_S + 20 * DAY_S})
            for name in "ab":
                parts = usage(reader, name, everything)
                summed = [sum(column) for column in zip(*parts, strict=True)]
                assert Counters(*summed[:4]) == ledger.total(name)
            best = sorted(
                (pair for pair in enumerate(every) if pair[1].total_bytes),
                key=lambda pair: -pair[1].total_bytes,
            )
            assert reader.busiest(ids_of(reader, "a", "b"), edges, 3) == best[:3]


def test_the_busiest_periods_are_those_that_adding_all_up_gives(path):
    with writing(path) as ledger:
        epochs = [ledger.interface(name) for name in ("eth0", "eth1")]
        for hour in range(0, 60 * 24, 3):
            bytes_ = hour * 7919 % 1013 * 1000
            if hour // 24 % 9 != 4:  # idle days
                ledger.count(epochs[hour // 3 % 2], START_S + hour * 3600 + 1800, bytes_, bytes_ // 3)
        ledger.span(epochs[0], START_S * US, (START_S + 2 * DAY_S) * US, 5_000_000, 1)
        ledger.commit(START_S + 60 * DAY_S)
        for shift in (0, 5 * 3600, 18 * 3600 + 900, 13 * 3600 + 1800):
            edges = [START_S - DAY_S + shift + day * DAY_S for day in range(61)]
            every = naive_usage(ledger, ["eth0", "eth1"], edges)
            ranked = sorted(range(60), key=lambda n: (-every[n].total_bytes, n))
            with LedgerReader(str(path)) as reader:
                found = reader.busiest(ids_of(reader, "eth0", "eth1"), edges, 7)
            assert found == [(n, every[n]) for n in ranked[:7]]


# ---- Rates ------------------------------------------------------------------------------------------------------


def test_a_peak_is_found_with_its_minute_where_that_is_kept(path):
    with writing(path) as ledger:
        eth0, eth1 = ledger.interface("eth0"), ledger.interface("eth1")
        ledger.count(eth0, START_S + 120, 10, 10, peak_rx=500, peak_tx=30)
        ledger.count(eth1, START_S + 4000, 10, 10, peak_rx=700, peak_tx=20)
        ledger.commit(START_S + 2 * 3600)
        ledger.count(eth1, START_S + 2 * 3600, 10, peak_rx=800)
        ledger.commit(START_S + 2 * 3600 + 10)
    with LedgerReader(str(path)) as reader:
        ids = ids_of(reader, "eth0", "eth1")
        hours = reader.peaks(
            [ids], [START_S, START_S + 3600, START_S + 7200, START_S + 10800, START_S + 14400]
        )[0]
        minutes = reader.peaks([ids], [START_S + 60, START_S + 120, START_S + 180])[0]
        first, second = ids
    assert hours[0].rx == (500, START_S + 120, MINUTE_S, first)
    assert hours[0].tx == (30, START_S + 120, MINUTE_S, first)
    assert hours[1].rx == (700, START_S + 3960, MINUTE_S, second)
    assert hours[2].rx == (800, START_S + 7200, MINUTE_S, second)
    assert hours[3] == (None, None)
    assert minutes[0] == (None, None)
    assert minutes[1].rx.rate == 500


def test_a_peak_whose_minute_was_dropped_belongs_to_its_quarter(path):
    with writing(path, minutes_kept_s=DAY_S) as ledger:
        eth0 = ledger.interface("eth0")
        ledger.count(eth0, START_S + 120, 10, peak_rx=500)
        ledger.commit(START_S + 900)
        ledger.commit(START_S + 5 * DAY_S)
    with LedgerReader(str(path)) as reader:
        ids = ids_of(reader, "eth0")
        assert reader.peaks([ids], [START_S, START_S + DAY_S])[0][0].rx == (500, START_S, QUARTER_S, ids[0])
        assert reader.peaks([ids], [START_S, START_S + 300])[0][0].rx is None


@pytest.mark.parametrize("quarters", range(4))
def test_days_that_begin_at_any_quarter_of_an_hour_are_exact_through_long_chunks(path, quarters):
    """As in Kathmandu, whose days begin three quarters behind a whole hour of UTC."""
    rand = random.Random(quarters)
    count = 40 * 96 - 2  # the last hour of the last chunk is not whole
    counted = [(rand.randrange(1 << 36), rand.randrange(9)) for _ in range(count)]
    with writing(path) as ledger:
        eth0 = ledger.interface("eth0")
        for n, (rx, tx) in enumerate(counted):
            ledger.count(eth0, START_S + n * QUARTER_S, rx, tx, tx, rx)
            if n % 96 == 95:
                ledger.commit(START_S + (n + 1) * QUARTER_S)
        ledger.commit(START_S + count * QUARTER_S)
    places = [*range(quarters, count, 96), count - 1, count, count + 7]
    with LedgerReader(str(path)) as reader:
        edges = [START_S + place * QUARTER_S for place in places]
        found = usage(reader, "eth0", edges)
    for one, (low, high) in zip(found, pairwise(places), strict=True):
        rx, tx = (sum(pair[way] for pair in counted[low:high]) for way in (0, 1))
        assert one[:4] == (rx, tx, tx, rx)


def slots(reader, *question):
    return [(list(rx), list(tx)) for rx, tx in reader.slots(*question)]


def test_slots_have_everything_that_was_counted_in_them(path):
    with writing(path) as ledger:
        eth0, eth1 = ledger.interface("eth0"), ledger.interface("eth1")
        ledger.count(eth0, START_S + 60, 10, 1)
        ledger.count(eth1, START_S + 240, 5)
        ledger.count(eth0, START_S + 300, 7, 2)
        ledger.commit(START_S + 1000)
        ledger.count(eth0, START_S + 960, 3)
        ledger.span(eth0, (START_S + 600) * US, (START_S + 1200) * US, 600, 60)
        ledger.commit(START_S + 1001)
    with LedgerReader(str(path)) as reader:
        ids = ids_of(reader, "eth0", "eth1")
        assert slots(reader, [ids], START_S, START_S + 1200, 300) == [([15, 7, 300, 303], [1, 2, 30, 30])]
        assert slots(reader, [ids], START_S, START_S + 1800, 900) == [([322, 303], [33, 30])]
        each = slots(reader, [ids[:1], ids[1:]], START_S, START_S + 1200, 300)
        assert each == [([10, 7, 300, 303], [1, 2, 30, 30]), ([5, 0, 0, 0], [0, 0, 0, 0])]
        assert slots(reader, [ids], START_S, START_S, 300) == [([], [])]


def test_slots_of_quarters_are_right_where_an_interface_was_idle(path):
    with writing(path) as ledger:
        eth0, eth1 = ledger.interface("eth0"), ledger.interface("eth1")
        for quarter in (0, 1, 2, 5, 9):
            ledger.count(eth0, START_S + quarter * QUARTER_S, quarter + 1, BIG >> (2 * quarter + 2))
        for quarter in (2, 3, 4):
            ledger.count(eth1, START_S + quarter * QUARTER_S, 10, 1)
        ledger.commit(START_S + 8 * QUARTER_S)
        ledger.commit(START_S + 20 * QUARTER_S)
    with LedgerReader(str(path)) as reader:
        ((rx, tx),) = slots(
            reader, [ids_of(reader, "eth0", "eth1")], START_S + QUARTER_S, START_S + 8 * QUARTER_S, QUARTER_S
        )
    assert rx == [2, 13, 10, 10, 6, 0, 0]
    assert tx == [BIG >> 4, (BIG >> 6) + 1, 1, 1, BIG >> 12, 0, 0]


# ---- Facts ------------------------------------------------------------------------------------------------------


def test_interfaces_say_what_was_seen_of_them(path):
    with writing(path) as ledger:
        eth0 = ledger.interface("eth0")
        old = ledger.interface(
            "tun0", "tun", counted=False, reason="a tunnel is carried by another interface"
        )
        ledger.count(eth0, START_S, 5, 6, 7, 8)
        ledger.commit(START_S + 10)
        ledger.now_s = START_S + 20
        ledger.end(old)
        ledger.commit(START_S + 20)
        ledger.commit(START_S + 500)
    with LedgerReader(str(path)) as reader:
        first, second = reader.interfaces()
    assert (first.name, first.living, first.last_seen_us) == ("eth0", True, (START_S + 500) * US)
    assert first.totals == (5, 6, 7, 8)
    assert (second.name, second.kind, second.living, second.counted) == ("tun0", "tun", False, False)
    assert second.last_seen_us == (START_S + 20) * US
    assert second.reason == "a tunnel is carried by another interface"


def test_two_kinds_of_one_name_are_two_interfaces(path):
    with writing(path) as ledger:
        ledger.count(ledger.interface("x0"), START_S, 1)
        ledger.count(ledger.interface("x0", "veth", counted=False), START_S, 2)
        ledger.commit(START_S + 60)
    with LedgerReader(str(path)) as reader:
        assert [(i.kind, i.totals.rx_bytes) for i in reader.interfaces()] == [("", 1), ("veth", 2)]


def test_the_lives_of_an_interface_are_told_as_often_as_it_came_and_went(path):
    with writing(path) as ledger:
        ppp0 = ledger.interface("ppp0")
        ledger.commit(START_S + 60)
        ledger.end(ppp0)
        ledger.commit(START_S + 120)
        ledger.interface("ppp0")
        ledger.commit(START_S + 180)
    with LedgerReader(str(path)) as reader:
        (number,) = ids_of(reader, "ppp0")
        assert [tuple(life) for life in reader.lives()] == [
            (number, START_S * 10**6, (START_S + 60) * 10**6),
            (number, (START_S + 120) * 10**6, None),
        ]


def test_since_boot_is_what_the_epochs_of_that_boot_recorded(path):
    with writing(path, boot_id="first") as ledger:
        ledger.count(ledger.interface("eth0"), START_S, 100)
        ledger.commit(START_S + 60)
    with writing(path, START_S + 5000, boot_id="second", boot_s=START_S + 4000) as ledger:
        eth0 = ledger.interface("eth0", first=Counters(50))
        ledger.count(eth0, START_S + 5000, 7, 8)
        ledger.span(eth0, (START_S + 4000) * US, (START_S + 5000) * US, 1, 2)
        ledger.commit(START_S + 5060)
    with LedgerReader(str(path)) as reader:
        number = ids_of(reader, "eth0")[0]
        assert reader.since_boot("second") == ((START_S + 4000) * US, {number: Counters(8, 10)})
        assert reader.since_boot("first").recorded == {number: Counters(100)}
        assert reader.since_boot("third") is None
        assert reader.estimated() == {number: (1, 2)}


def test_gaps_watched_stretches_runs_and_the_recorder_are_told(path):
    with writing(path) as ledger:
        ledger.gap(START_S + 100, START_S + 200, GapKind.SUSPEND, note="slept")
        ledger.gap(START_S + 50, START_S + 50, GapKind.EVENTS_LOST, lossy=True)
        ledger.commit(START_S + 300)
        with LedgerReader(str(path)) as reader:
            holder = reader.recorder().holder
            assert holder is not None
            assert holder.pid == os.getpid()
        ledger.commit(START_S + 400, ended="SIGTERM")
    with LedgerReader(str(path)) as reader:
        first, second = reader.gaps(START_S * US, (START_S + 150) * US)
        assert (first.kind, first.lossy) == ("events-lost", True)
        assert (second.kind, second.lossy, second.note) == ("suspend", False, "slept")
        assert reader.gaps((START_S + 200) * US, (START_S + 900) * US) == []
        watched = [(one.start_us, one.end_us) for one in reader.watched(0, 1 << 62)]
        assert watched == [(START_S * US, (START_S + 400) * US)]
        (run,) = reader.runs()
        assert (run.ended, run.source, run.last_us) == ("SIGTERM", "netlink", (START_S + 400) * US)
        state = reader.recorder()
        assert state.holder is None
        assert state.last_run == run
        assert reader.clock_steps(0, 1 << 62) == []


def test_the_extent_is_from_the_first_to_the_last_of_what_is_recorded(path):
    with writing(path) as ledger:
        eth0 = ledger.interface("eth0")
        ledger.commit(START_S + 60)
        with LedgerReader(str(path)) as reader:
            assert reader.extent() is None
        ledger.count(eth0, START_S + 3600, 1)
        ledger.commit(START_S + 7200)
        with LedgerReader(str(path)) as reader:
            assert reader.extent() == (START_S + 3600, START_S + 3600 + 900)
        ledger.span(eth0, START_S * US + 5, (START_S + 9000) * US + 1, 1)
        ledger.commit(START_S + 9001)
        with LedgerReader(str(path)) as reader:
            assert reader.extent() == (START_S, START_S + 9001)


# ---- Opening ----------------------------------------------------------------------------------------------------


def test_all_answers_come_from_one_moment(path):
    with writing(path) as ledger:
        eth0 = ledger.interface("eth0")
        ledger.count(eth0, START_S, 1)
        ledger.commit(START_S + 60)
        with LedgerReader(str(path)) as reader:
            ledger.count(eth0, START_S + 60, 1000)
            ledger.commit(START_S + 1000)
            assert reader.interfaces()[0].totals.rx_bytes == 1
            assert usage(reader, "eth0", [START_S, START_S + DAY_S]) == [Usage(1)]
        with LedgerReader(str(path)) as reader:
            assert usage(reader, "eth0", [START_S, START_S + DAY_S]) == [Usage(1001)]


def test_reading_changes_nothing_in_the_file(path):
    with writing(path) as ledger:
        ledger.count(ledger.interface("eth0"), START_S, 1)
        ledger.commit(START_S + DAY_S, ended="SIGTERM")
    before = path.read_bytes()
    with LedgerReader(str(path)) as reader:
        usage(reader, "eth0", [START_S, START_S + DAY_S])
        with pytest.raises(LedgerError, match="readonly"), reader.reading() as connection:
            connection.execute("DELETE FROM chunk")
    assert path.read_bytes() == before


def test_a_ledger_that_is_not_there_is_no_data(path):
    with pytest.raises(NoDataError, match="there is no ledger"):
        LedgerReader(str(path))


def test_an_empty_file_is_no_data(path):
    path.touch()
    with pytest.raises(NoDataError, match="nothing has been recorded"):
        LedgerReader(str(path))


def test_a_newer_ledger_is_refused(path):
    with writing(path) as ledger:
        ledger.commit(START_S + 60)
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(LedgerNewerError):
        LedgerReader(str(path))


def test_a_file_of_something_else_is_refused(path):
    path.write_text("no database at all, but long enough to be looked into by anybody who wants to" * 20)
    with pytest.raises(LedgerCorruptError):
        LedgerReader(str(path))


def test_progress_is_called_in_a_long_query_and_may_end_it(path):
    with writing(path) as ledger:
        eth0 = ledger.interface("eth0")
        for minute in range(3000):
            ledger.count(eth0, START_S + minute * 60, 1)
        ledger.commit(START_S + 3 * DAY_S)

    class EnoughError(Exception):
        pass

    def give_up():
        raise EnoughError

    calls = []
    edges = list(range(START_S, START_S + 3 * DAY_S, 60))
    with LedgerReader(str(path)) as reader:
        reader.on_progress(lambda: calls.append(1))
        reader.usage([ids_of(reader, "eth0")], edges)
        reader.peaks([ids_of(reader, "eth0")], edges)
        with reader.reading() as connection:
            connection.execute("SELECT count(*) FROM minute a, minute b").fetchone()
        assert calls
        reader.on_progress(give_up)
        with pytest.raises(EnoughError), reader.reading() as connection:
            connection.execute("SELECT count(*) FROM minute a, minute b").fetchone()
