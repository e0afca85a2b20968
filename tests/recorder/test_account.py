"""Accounts: from counters to entries, spans, epochs and declared gaps."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from recorder.desk import ETH0, PLACE, Desk, c
from recorder.kernel import START_US

from netusage.model import NS, US, ZERO, Counters, GapKind, Link
from netusage.recorder.account import Accounts, Interval, same_life, unwrapped
from netusage.recorder.rules import Rules

WRAP = 2**32
counters = st.builds(Counters, *[st.integers(0, 2**62)] * 4)


def stretch(start_s, end_s, estimated=None):
    return Interval(START_US + start_s * US, START_US + end_s * US, (end_s - start_s) * NS, estimated)


def opened(rules=None, first=ZERO, link=ETH0):
    accounts = Accounts(PLACE, rules or Rules(), lambda _: 0, None)
    return accounts, accounts.open(link, first, START_US, "appeared")


# Entries and spans


@given(difference=counters, start_s=st.integers(0, 200), length_s=st.integers(1, 700))
def test_the_parts_of_a_split_interval_are_the_whole(difference, start_s, length_s):
    accounts, life = opened()
    accounts.account(life, difference, stretch(start_s, start_s + length_s))
    total = ZERO
    for (minute_s, _), entry in accounts.pending.entries.items():
        assert minute_s % 60 == 0
        assert min(entry.counters) >= 0
        total = total.plus(entry.counters)
    assert total == difference


def test_an_interval_that_ends_with_the_minute_leaves_nothing_to_the_next():
    accounts, life = opened()
    accounts.account(life, c(60), stretch(30, 60))
    assert [minute_s - START_US // US for minute_s, _ in accounts.pending.entries] == [0]


def test_the_peak_of_a_split_interval_stands_in_its_last_minute():
    accounts, life = opened()
    accounts.account(life, c(200), stretch(59, 61))
    assert [entry.peak_rx for entry in accounts.pending.entries.values()] == [0, 100]


def test_an_estimated_interval_is_one_stretch_whatever_it_crosses():
    accounts, life = opened()
    accounts.account(life, c(1000), stretch(0, 7200, GapKind.SUSPEND))
    (span,) = accounts.pending.spans
    assert (span.start_us, span.end_us, span.counters, span.kind) == (
        START_US,
        START_US + 7200 * US,
        c(1000),
        "suspend",
    )
    assert accounts.pending.entries == {}


def test_what_counted_nothing_makes_no_entry():
    accounts, life = opened(first=c(5))
    accounts.pending.epochs.clear()
    accounts.account(life, c(5), stretch(0, 1))
    assert (accounts.pending.entries, accounts.pending.epochs) == ({}, {})


# Resets


def test_a_counter_that_went_down_counts_from_zero():
    accounts, life = opened(first=c(1000))
    accounts.account(life, c(400), stretch(0, 1))
    assert [entry.counters for entry in accounts.pending.entries.values()] == [c(400)]


def test_counters_that_no_link_could_have_reached_since_a_reset_are_not_counted():
    """They were disturbed rather than reset: what they held is unknown, and counting goes on from where they are."""
    accounts, life = opened(first=c(10**15))
    accounts.account(life, c(10**14), stretch(0, 1))
    assert accounts.pending.entries == {}
    assert [gap.kind for gap in accounts.pending.gaps] == ["reset"]
    accounts.account(accounts.lives[2], c(10**14 + 7), stretch(1, 2))
    assert [entry.counters for entry in accounts.pending.entries.values()] == [c(7)]


def test_the_note_of_a_reset_has_the_numbers():
    accounts, life = opened(first=c(1000))
    accounts.account(life, c(400), stretch(0, 1))
    assert "1000" in accounts.pending.gaps[0].note
    assert "400" in accounts.pending.gaps[0].note


# 32-bit counters


def narrow(rx_bytes, packets):
    return Counters(rx_bytes % WRAP, 0, packets, 0)


def test_a_32_bit_counter_goes_on_after_its_wrap():
    accounts, life = opened(Rules(counter_bits=32), first=narrow(WRAP - 1000, 10))
    accounts.account(life, narrow(WRAP + 500, 12), stretch(0, 1))
    assert [entry.counters.rx_bytes for entry in accounts.pending.entries.values()] == [1500]
    assert accounts.pending.gaps == []


def test_a_32_bit_counter_goes_on_over_many_wraps():
    accounts, life = opened(Rules(counter_bits=32), first=ZERO)
    total = 0
    for second in range(1, 40):
        total += 3 * 10**9
        accounts.account(life, narrow(total, total // 1000), stretch(second - 1, second))
    assert life.epoch.last.rx_bytes == total == 117 * 10**9
    assert accounts.pending.gaps == []


def test_a_32_bit_counter_that_too_few_packets_can_have_wrapped_was_reset():
    accounts, life = opened(Rules(counter_bits=32), first=narrow(3 * 10**9, 5_000_000))
    accounts.account(life, narrow(1000, 5_000_003), stretch(0, 1))
    assert [entry.counters.rx_bytes for entry in accounts.pending.entries.values()] == [1000]
    assert [gap.kind for gap in accounts.pending.gaps] == ["reset"]


def test_packets_that_went_down_are_a_reset_though_bytes_may_have_wrapped():
    accounts, life = opened(Rules(counter_bits=32), first=narrow(WRAP - 10, 1000))
    accounts.account(life, narrow(5, 3), stretch(0, 1))
    assert [gap.kind for gap in accounts.pending.gaps] == ["reset"]


def test_bytes_that_are_counted_a_moment_before_their_packet_are_no_reset():
    last = Counters(WRAP + 5000, 0, 4_000_000, 0)
    raw = Counters(5000 + 1024, 0, 4_000_000, 0)
    assert unwrapped(last, raw) == Counters(WRAP + 6024, 0, 4_000_000, 0)


def test_both_directions_wrap_and_are_doubted_alike():
    mirrored = [
        Counters(n.tx_bytes, n.rx_bytes, n.tx_packets, n.rx_packets)
        for n in (narrow(WRAP - 9, 5), narrow(6, 6))
    ]
    assert unwrapped(*mirrored) == Counters(0, WRAP + 6, 0, 6)
    last = Counters(0, WRAP + 5000, 0, 4_000_000)
    assert unwrapped(last, Counters(0, 6024, 0, 4_000_000)).tx_bytes == WRAP + 6024
    reset = Counters(0, 1000, 0, 4_000_003)
    assert unwrapped(Counters(0, 3 * 10**9, 0, 4_000_000), reset) == reset


def test_a_64_bit_counter_that_went_down_is_never_taken_for_a_wrap():
    accounts, life = opened(first=c(WRAP - 10))
    accounts.account(life, Counters(5, 5, WRAP, WRAP), stretch(0, 1))
    assert [gap.kind for gap in accounts.pending.gaps] == ["reset"]
    assert [entry.counters.rx_bytes for entry in accounts.pending.entries.values()] == [5]


# Lives


@pytest.mark.parametrize(
    ("known", "seen", "same"),
    [
        (Link(2, "a", life=5), Link(2, "b", life=5), True),
        (Link(2, "a", life=5), Link(2, "a", life=6), False),
        (Link(2, "a", life=5), Link(2, "a"), True),
        (Link(2, "a", "tun"), Link(2, "a", "tap"), True),
        (Link(2, "a", "tun"), Link(2, "b", "tun"), True),
        (Link(2, "a", "tun"), Link(2, "b", "veth"), False),
    ],
)
def test_a_life_is_told_by_its_identity_and_otherwise_by_name_or_kind(known, seen, same):
    assert same_life(known, seen) is same


def test_a_link_keeps_the_life_and_the_kind_that_are_known_of_it():
    accounts, life = opened()
    accounts.restate(life, Link(2, "eth0", "tun", up=False), START_US)
    assert (life.link.life, life.link.kind, life.link.up) == (20, "", False)


def test_the_newest_life_is_known_also_when_it_was_told_late_and_is_gone():
    accounts = Accounts(PLACE, Rules(), lambda _: 0, None)
    life = accounts.open(Link(2, "va", "veth"), ZERO, START_US, "appeared")
    accounts.restate(life, Link(2, "va", "veth", life=40), START_US)
    accounts.close(life, START_US, "removed")
    accounts.open(Link(3, "vb", "veth", life=39), ZERO, START_US, "appeared")
    assert accounts.newest_life == 40


# Commits that cannot be written for long


def test_entries_that_wait_for_hours_become_one_stretch_an_hour_and_no_byte_is_lost():
    accounts, life = opened()
    for minute in range(300):
        accounts.account(life, c(minute + 1), stretch(60 * minute, 60 * minute + 1))
    accounts.fold(START_US + 300 * 60 * US)
    kept = list(accounts.pending.entries.values())
    spans = accounts.pending.spans
    assert sum(e.counters.rx_bytes for e in kept) + sum(s.counters.rx_bytes for s in spans) == 300
    assert [(s.start_us - START_US) // US for s in spans] == [0, 3600, 7200, 10800]
    assert {s.end_us - s.start_us for s in spans} == {3600 * US}
    assert {s.kind for s in spans} == {"ledger"}
    assert min(key[0] for key in accounts.pending.entries) >= START_US // US + 14400


def test_folding_again_makes_no_second_stretch_of_the_same_hour():
    """Otherwise memory would grow with every minute that the ledger cannot be written."""
    accounts, life = opened()
    for minute in range(600):
        accounts.account(life, c(minute + 1), stretch(60 * minute, 60 * minute + 1))
        accounts.fold(START_US + 60 * minute * US)
    assert len(accounts.pending.spans) <= 10
    assert len(accounts.pending.entries) <= 121


def test_the_meter_folds_when_too_much_waits(monkeypatch):
    monkeypatch.setattr("netusage.recorder.meter._FOLD_ABOVE", 100)
    desk = Desk()
    for minute in range(1, 301):
        desk.sample(60 * minute - 1, {2: c(minute)})
        desk.sample(60 * minute, {2: c(minute)})
    assert desk.recorded == {"eth0": c(300)}
    assert len(desk.batch.entries) <= 121
    assert len(desk.spans) >= 2


# A new ledger


def test_every_living_epoch_is_made_known_to_a_new_ledger_from_where_the_old_one_stood():
    desk = Desk({ETH0: c(100)})
    desk.sample(1, {2: c(150)})
    for epoch in desk.batch.epochs:
        epoch.row, epoch.interface_row, epoch.committed = 7, 3, epoch.last
    desk.meter.committed()
    desk.sample(2, {2: c(180)})
    desk.meter.start_over()
    (epoch,) = desk.batch.epochs
    assert (epoch.row, epoch.interface_row) == (None, None)
    assert (epoch.first, epoch.last) == (c(150), c(180))
    assert desk.recorded == {"eth0": c(30)}


def test_an_idle_interface_is_made_known_to_a_new_ledger_as_well():
    desk = Desk({ETH0: c(100)})
    desk.meter.committed()
    assert desk.epochs == []
    desk.meter.start_over()
    assert desk.epochs == [("eth0", "first-sight", None)]
