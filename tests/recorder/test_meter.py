"""The meter: what readings and events mean."""

import pytest
from recorder.desk import ETH0, WG0, Desk, at, c, came, went
from recorder.kernel import START_US

from netusage.ledger.batch import LastReading, Remembered
from netusage.model import NS, US, ZERO, Counters, Gap, GapKind, Link
from netusage.recorder.rules import Rules


def test_a_second_with_the_same_interfaces_is_counted_by_columns():
    desk = Desk({ETH0: c(100), WG0: c(7)})
    desk.sample(1, {2: c(150), 3: c(7)})
    desk.sample(2, {2: c(180), 3: c(9)})
    assert desk.entries == {"eth0": {0: c(80)}, "wg0": {0: c(2)}}
    assert desk.gaps == []


def test_nothing_at_all_is_no_error_and_no_entry():
    desk = Desk({})
    assert desk.sample(1, {}) is False
    assert desk.batch.entries == {}


def test_the_order_of_a_reading_does_not_matter():
    desk = Desk({ETH0: ZERO, WG0: ZERO})
    desk.sample(1, {3: c(1), 2: c(10)})
    desk.sample(2, {2: c(20), 3: c(2)})
    desk.sample(3, {3: c(3), 2: c(30)})
    assert desk.recorded == {"eth0": c(30), "wg0": c(3)}


def test_what_one_direction_counts_is_never_given_to_the_other():
    desk = Desk()
    desk.sample(1, {2: Counters(5, 7, 1, 2)})
    assert desk.recorded == {"eth0": Counters(5, 7, 1, 2)}


def test_a_batch_stays_pending_until_it_is_committed():
    desk = Desk()
    desk.sample(1, {2: c(5)})
    assert desk.recorded == desk.recorded == {"eth0": c(5)}
    desk.sample(2, {2: c(8)})
    assert desk.recorded == {"eth0": c(8)}
    desk.meter.committed()
    assert desk.batch.entries == {}
    desk.sample(3, {2: c(9)})
    assert desk.recorded == {"eth0": c(1)}


# Minutes and peaks


def test_an_interval_that_crosses_a_minute_is_split_in_proportion_to_time():
    desk = Desk(start=at(59.25))
    desk.sample(60.25, {2: c(1000)})
    assert desk.entries == {"eth0": {0: c(750), 60: c(250)}}


def test_no_byte_gets_lost_in_rounding_when_an_interval_is_split():
    desk = Desk(start=at(58), rules=Rules(sample_ns=180 * NS, longest_ns=540 * NS))
    desk.sample(58 + 200, {2: c(1)})
    desk.sample(58 + 400, {2: c(8)})
    assert desk.recorded == {"eth0": c(8)}
    assert len(desk.entries["eth0"]) > 2


def test_the_minute_goes_on_after_the_full_minute():
    desk = Desk(start=at(59))
    desk.sample(60, {2: c(10)})
    desk.sample(61, {2: c(30)})
    desk.sample(120, {2: c(30)})
    desk.sample(121, {2: c(31)})
    assert desk.entries == {"eth0": {0: c(10), 60: c(20), 120: c(1)}}


def test_the_peak_is_the_highest_rate_between_two_readings():
    desk = Desk()
    desk.sample(1, {2: c(100, 10)})
    desk.sample(3, {2: c(500, 20)})
    desk.sample(4, {2: c(600, 60)})
    assert desk.peaks == {"eth0": (200, 40)}


def test_readings_in_quick_succession_make_no_peak_that_no_second_has_seen():
    """Link events call for readings a few milliseconds apart; clocks may be coarse."""
    desk = Desk()
    desk.sample(1, {2: c(100)})
    desk.sample(1.001, {2: c(200)})
    desk.sample(at(1.001), {2: c(300)})
    assert desk.peaks == {"eth0": (100, 100)}


# Interfaces that come and go


def test_an_interface_that_appears_counts_from_zero():
    desk = Desk(lives={"wg0": 30})
    assert desk.sample(1, {2: ZERO, 3: c(40)}, came(WG0)) is False
    desk.sample(2, {2: ZERO, 3: c(90)})
    assert desk.recorded == {"wg0": c(90)}
    assert desk.gaps == []
    assert ("wg0", "appeared", None) in desk.epochs
    assert next(e for e in desk.batch.epochs if e.link.name == "wg0").link.life == 30


def test_an_interface_that_came_with_counters_counts_from_these():
    desk = Desk()
    desk.sample(1, {2: ZERO, 3: c(45)}, came(WG0, c(40)))
    desk.sample(2, {2: ZERO, 3: c(50)})
    assert desk.recorded == {"wg0": c(10)}
    assert ("wg0", "moved-in", None) in desk.epochs


def test_an_event_without_counters_means_zero():
    desk = Desk()
    desk.sample(1, {2: ZERO, 3: ZERO}, came(WG0, None))
    desk.sample(2, {2: ZERO, 3: c(5)})
    assert desk.recorded == {"wg0": c(5)}


def test_an_interface_that_is_removed_is_counted_to_its_final_counters():
    desk = Desk({ETH0: c(10), WG0: c(10)})
    desk.sample(1, {2: c(11), 3: c(20)})
    desk.sample(2, {2: c(12)}, went(WG0, c(25)))
    assert desk.recorded == {"eth0": c(2), "wg0": c(15)}
    assert desk.gaps == []
    assert ("wg0", "first-sight", "removed") in desk.epochs


def test_an_interface_that_comes_and_goes_between_two_readings_is_counted_whole():
    desk = Desk()
    desk.sample(1, {2: ZERO}, came(WG0), went(WG0, c(77)))
    assert desk.recorded == {"wg0": c(77)}
    assert desk.gaps == []


def test_an_interface_that_comes_and_goes_between_two_readings_is_judged_like_any_other():
    desk = Desk()
    desk.sample(1, {2: ZERO}, came(WG0), went(WG0, c(77)))
    (epoch,) = [epoch for epoch in desk.batch.epochs if epoch.link.name == "wg0"]
    assert epoch.counted is False
    assert epoch.reason
    assert desk.meter.usage() == ZERO


def test_an_interface_exchanged_for_another_under_its_name_and_index_is_another_life():
    desk = Desk({ETH0: c(100)}, lives={"eth0": 21})
    desk.sample(1, {2: c(5000)}, went(ETH0, c(150)), came(ETH0))
    desk.sample(2, {2: c(6000)})
    assert desk.recorded == {"eth0": c(50 + 6000)}
    assert desk.gaps == []
    assert desk.epochs == [("eth0", "first-sight", "removed"), ("eth0", "appeared", None)]


def test_a_reading_that_is_older_than_the_events_of_its_round_is_not_taken_for_the_newcomer():
    """The reading still shows the old life: 150 of them, and not those of the one that has come since."""
    desk = Desk({ETH0: c(100)})
    desk.sample(1, {2: c(140)}, went(ETH0, c(150)), came(ETH0))
    desk.sample(2, {2: c(7)})
    assert desk.recorded == {"eth0": c(57)}
    assert desk.gaps == []


def test_final_counters_that_are_not_whole_are_declared():
    desk = Desk({ETH0: ZERO, WG0: ZERO})
    desk.sample(1, {2: ZERO, 3: c(50)})
    desk.sample(2, {2: ZERO}, went(WG0, c(0, 80), whole=False))
    assert desk.recorded == {"wg0": Counters(50, 80, 50, 80)}
    assert desk.gaps == [("vanished", "wg0", True, 1, 2)]


def test_final_counters_that_are_not_whole_are_declared_though_nothing_had_been_seen():
    desk = Desk({ETH0: ZERO, WG0: ZERO})
    desk.sample(1, {2: ZERO}, went(WG0, ZERO, whole=False))
    assert desk.lost == [("vanished", "wg0")]


def test_a_removal_without_counters_is_declared():
    desk = Desk({ETH0: ZERO, WG0: ZERO})
    desk.sample(1, {2: ZERO, 3: c(5)})
    desk.sample(2, {2: ZERO}, went(WG0, None))
    assert desk.recorded == {"wg0": c(5)}
    assert desk.gaps == [("vanished", "wg0", True, 1, 2)]


def test_an_interface_of_which_only_the_end_is_seen_is_declared():
    desk = Desk()
    desk.sample(1, {2: ZERO}, went(WG0, c(9)))
    assert desk.recorded == {}
    assert desk.lost == [("vanished", "wg0")]


def test_an_idle_interface_of_which_only_the_end_is_seen_is_no_loss():
    desk = Desk()
    desk.sample(1, {2: ZERO}, went(WG0, ZERO))
    assert desk.gaps == []


def test_a_renamed_interface_goes_on_under_its_new_name():
    desk = Desk()
    desk.sample(1, {2: c(10)})
    desk.sample(2, {2: c(18)}, came(ETH0._replace(name="lan0"), c(15)))
    desk.sample(3, {2: c(20)})
    assert desk.recorded == {"eth0": c(15), "lan0": c(5)}
    assert desk.gaps == []
    assert desk.epochs == [("eth0", "first-sight", "renamed"), ("lan0", "renamed", None)]
    assert {epoch.link.life for epoch in desk.batch.epochs} == {20}


def test_two_renames_in_one_round_are_both_followed():
    desk = Desk()
    desk.sample(1, {2: c(9)}, came(ETH0._replace(name="a"), c(2)), came(ETH0._replace(name="b"), c(5)))
    desk.sample(2, {2: c(9)})
    assert desk.recorded == {"eth0": c(2), "a": c(3), "b": c(4)}


def test_a_link_that_was_renamed_before_its_first_event_was_read_still_gets_its_life():
    desk = Desk(lives={"lan1": 33})
    desk.sample(1, {2: ZERO, 3: ZERO}, came(WG0), came(WG0._replace(name="lan1")))
    assert [e.link.life for e in desk.batch.epochs if e.link.name == "lan1"] == [33]


def test_a_change_of_state_is_no_new_epoch():
    desk = Desk()
    desk.sample(1, {2: c(5)}, came(ETH0._replace(up=False), c(4)))
    assert desk.recorded == {"eth0": c(5)}
    assert desk.epochs == [("eth0", "first-sight", None)]
    assert [epoch.link.up for epoch in desk.batch.epochs] == [False]
    assert desk.batch.epochs[0].restated


# Readings that do not fit


def test_an_interface_that_no_event_announced_calls_for_a_look_at_all_links_the_second_time():
    desk = Desk()
    assert desk.sample(1, {2: ZERO, 3: c(5)}) is False
    assert desk.sample(2, {2: ZERO, 3: c(5)}) is True


def test_an_interface_that_no_event_took_away_calls_for_a_look_at_all_links_the_second_time():
    desk = Desk({ETH0: ZERO, WG0: ZERO})
    assert desk.sample(1, {2: ZERO}) is False
    assert desk.sample(2, {2: ZERO}) is True


def test_a_reading_that_fits_again_is_no_reason_to_look():
    desk = Desk({ETH0: ZERO, WG0: ZERO})
    assert desk.sample(1, {2: ZERO}) is False
    assert desk.sample(2, {2: ZERO, 3: c(1)}) is False
    assert desk.sample(3, {2: ZERO}) is False
    assert desk.recorded == {"wg0": c(1)}


def test_a_look_at_all_links_counts_newcomers_from_zero_and_declares_what_is_gone():
    desk = Desk({ETH0: ZERO, WG0: ZERO})
    desk.sample(1, {2: c(1), 3: c(1)})
    tun0 = Link(4, "tun0", "tun", life=40)
    again = desk.meter.resync(at(2), [(ETH0, c(3)), (tun0, c(50))], settled=True)
    assert again is False
    assert desk.recorded == {"eth0": c(3), "wg0": c(1), "tun0": c(50)}
    assert desk.gaps == [("vanished", "wg0", True, 1, 2)]


def test_the_gap_of_what_vanished_begins_where_it_was_missed_first():
    desk = Desk({ETH0: ZERO, WG0: ZERO}, rules=Rules(has_events=False))
    desk.sample(1, {2: ZERO, 3: c(5)})
    desk.sample(2, {2: ZERO})
    assert desk.sample(3, {2: ZERO}) is True
    desk.meter.resync(at(4), [(ETH0, ZERO)], settled=True)
    assert desk.gaps == [("vanished", "wg0", True, 1, 4)]


def test_lost_events_are_declared_with_what_was_said_about_them():
    desk = Desk()
    desk.meter.resync(at(1), [(ETH0, c(4))], (), "the kernel dropped link events")
    assert desk.gaps == [("events-lost", "", True, 0, 1)]
    assert desk.batch.gaps[0].note == "the kernel dropped link events"
    assert desk.recorded == {"eth0": c(4)}


@pytest.mark.parametrize("settled", [True, False])
def test_what_the_list_does_not_show_any_more_is_gone(settled):
    desk = Desk({ETH0: ZERO, WG0: ZERO})
    desk.meter.resync(at(1), [(ETH0, ZERO)], (), "lost", settled=settled)
    assert ("vanished", "wg0") in desk.lost
    assert ("wg0", "first-sight", "vanished") in desk.epochs


def test_another_life_under_the_same_index_in_the_list_is_another_epoch():
    desk = Desk({ETH0: c(100)})
    desk.sample(1, {2: c(120)})
    desk.meter.resync(at(2), [(ETH0._replace(life=21), c(500))], (), "lost", settled=True)
    assert desk.recorded == {"eth0": c(20 + 500)}
    assert ("vanished", "eth0") in desk.lost


def test_an_event_about_a_newcomer_is_not_taken_for_a_rename_of_what_is_gone():
    desk = Desk({ETH0: c(100)}, lives={"lan0": 50})
    newcomer = Link(2, "lan0", life=50)
    desk.meter.resync(at(1), [(newcomer, c(300))], [came(newcomer)], "lost", settled=True)
    desk.sample(2, {2: c(400)})
    assert desk.recorded == {"lan0": c(400)}
    assert ("vanished", "eth0") in desk.lost
    assert "renamed" not in {because for _, *reasons in desk.epochs for because in reasons}


def test_events_that_are_older_than_a_settled_list_do_not_hide_what_the_list_shows():
    """The PRESENT of the new life was dropped: its counters come from the list, at once."""
    desk = Desk({ETH0: c(100)})
    again = desk.meter.resync(
        at(1), [(ETH0._replace(life=21), c(30))], [went(ETH0, c(110))], "lost", settled=True
    )
    assert again is False
    assert desk.recorded == {"eth0": c(10 + 30)}


def test_final_counters_of_a_successor_that_only_an_earlier_list_shows_are_its_own():
    """It came unseen under the index of one that went unseen, and went while the links were looked at."""
    desk = Desk({ETH0: c(100)})
    successor = ETH0._replace(life=21)
    desk.meter.resync(
        at(1), [], [went(ETH0, c(130))], "opened anew", earlier=[(successor, c(50))], settled=True
    )
    assert desk.recorded == {"eth0": c(130)}
    assert desk.epochs == [("eth0", "first-sight", "vanished"), ("eth0", "appeared", "removed")]
    assert ("vanished", "eth0") in desk.lost


def test_final_counters_of_what_was_known_are_its_own_whatever_an_earlier_list_shows():
    desk = Desk({ETH0: c(100)})
    successor = ETH0._replace(life=21)
    removals = [went(ETH0, c(110)), came(successor), went(ETH0, c(7))]
    desk.meter.resync(at(1), [], removals, "lost", earlier=[(successor, c(5))], settled=True)
    assert desk.recorded == {"eth0": c(10 + 7)}
    still_there = Desk({ETH0: c(100)})
    still_there.meter.resync(
        at(1), [(successor, c(8))], removals[:1], "lost", earlier=[(successor, c(5))], settled=True
    )
    assert still_there.recorded == {"eth0": c(10 + 8)}


def test_a_list_that_may_be_older_than_the_events_is_asked_for_again():
    desk = Desk({ETH0: c(100)})
    again = desk.meter.resync(at(1), [(ETH0._replace(life=21), c(30))], [went(ETH0, c(110))], "lost")
    assert again is True


def test_a_link_that_left_while_another_recorder_looked_and_came_back_unseen_is_not_counted_twice():
    earlier = Remembered(here=LastReading(at(-2).boot_ns, at(-2).wall_us, None), newest_life=20)
    desk = Desk({}, remembered=earlier)
    desk.meter.resync(at(1), [(ETH0, c(400)), (WG0, c(70))], (), "lost", settled=True)
    desk.sample(2, {2: c(410), 3: c(70)})
    assert desk.recorded == {"eth0": c(10), "wg0": c(70)}
    assert ("stopped", "eth0") in desk.lost


def test_a_link_that_left_and_came_back_unseen_is_not_counted_twice():
    desk = Desk({ETH0: c(100)})
    desk.sample(1, {}, went(ETH0, c(150)))
    desk.meter.resync(at(2), [(ETH0, c(400))], (), "lost", settled=True)
    desk.sample(3, {2: c(410)})
    assert desk.recorded == {"eth0": c(50 + 10)}
    assert ("stopped", "eth0") in desk.lost


@pytest.mark.parametrize("whole", [True, False])
def test_final_counters_below_the_last_reading_are_another_lifes_and_nothing_of_them_is_recorded(whole):
    desk = Desk({ETH0: c(100)})
    desk.sample(1, {2: c(130)})
    desk.sample(2, {}, went(ETH0, Counters(500, 90, 2, 500), whole=whole))
    assert desk.recorded == {"eth0": c(30)}
    assert desk.lost == [("vanished", "eth0")]


def test_final_counters_of_a_link_of_another_kind_are_another_lifes_and_nothing_of_them_is_recorded():
    desk = Desk({ETH0: c(100)})
    desk.sample(1, {2: c(130)})
    desk.sample(2, {}, went(ETH0._replace(kind="veth"), c(500)))
    assert desk.recorded == {"eth0": c(30)}
    assert desk.lost == [("vanished", "eth0")]


def test_a_ppp_link_whose_pppoe_session_ended_before_it_did_is_recorded_whole():
    desk = Desk({ETH0._replace(kind="pppoe"): c(100)})
    desk.sample(2, {}, went(ETH0._replace(kind="ppp"), c(500)))
    assert desk.recorded == {"eth0": c(400)}
    assert desk.lost == []


def test_final_counters_that_come_late_are_spread_over_all_the_time_since_the_link_was_read():
    desk = Desk({})
    desk.sample(at(32, slept=30), {2: c(70)}, came(ETH0))  # the reading may be older than the event
    desk.sample(at(62, slept=60), {}, went(ETH0, c(80)))
    assert desk.spans == [("eth0", 0, 62, c(80), "suspend")]


# Decreases


def test_a_decrease_is_believed_the_second_time():
    desk = Desk({ETH0: c(1000)})
    desk.sample(1, {2: c(10)})
    assert desk.recorded == {}
    desk.sample(2, {2: c(30)})
    assert desk.recorded == {"eth0": c(30)}
    assert desk.epochs == [("eth0", "first-sight", "reset"), ("eth0", "reset", None)]
    assert ("reset", "eth0") in desk.lost


def test_the_gap_of_a_reset_begins_where_the_decrease_was_seen_first():
    desk = Desk({ETH0: c(1000)})
    desk.sample(1, {2: c(1000)})
    desk.sample(2, {2: c(10)})
    desk.sample(3, {2: c(30)})
    assert min(start for kind, _, _, start, _ in desk.gaps if kind == "reset") == 1


def test_a_decrease_that_a_removal_explains_is_none():
    desk = Desk({ETH0: ZERO, WG0: ZERO})
    desk.sample(1, {2: ZERO, 3: c(50)})
    desk.sample(2, {2: ZERO, 3: c(0, 50)})  # parted: what it received is not told any more
    desk.sample(3, {2: ZERO}, went(WG0, c(60)))
    assert desk.recorded == {"wg0": c(60)}
    assert desk.gaps == []


def test_a_decrease_of_a_veth_end_that_has_lost_its_other_end_is_none_however_often_it_is_seen():
    whole, parted = Link(3, "va", "veth", lower=4, life=30), Link(3, "va", "veth", up=False)
    desk = Desk({ETH0: ZERO, whole: ZERO})
    desk.sample(1, {2: ZERO, 3: c(50)})
    desk.sample(2, {2: ZERO, 3: c(0, 50)})
    desk.sample(3, {2: ZERO, 3: c(0, 50)}, came(parted, None))
    desk.sample(4, {2: ZERO, 3: c(0, 50)})
    desk.sample(5, {2: ZERO}, went(parted, c(60)))
    assert desk.recorded == {"va": c(60)}
    assert desk.gaps == []


def test_what_a_parted_veth_end_received_in_a_stall_is_dated_within_the_stall():
    whole, parted = Link(3, "va", "veth", lower=4, life=30), Link(3, "va", "veth", up=False)
    desk = Desk({ETH0: ZERO, whole: ZERO})
    desk.sample(400, {2: ZERO, 3: c(0, 100)}, came(parted, None))
    desk.sample(401, {2: ZERO}, went(parted, c(5000, 100)))
    assert desk.spans == [
        ("va", 0, 400, c(0, 100), "stalled"),
        ("va", 0, 401, c(5000, 0), "stalled"),
    ]


def test_what_a_doubted_reading_left_out_is_spread_over_all_the_time_since_the_link_was_read():
    desk = Desk({ETH0: c(1000)})
    desk.sample(400, {2: c(10)})
    desk.sample(401, {}, went(ETH0, c(1300)))
    assert desk.spans == [("eth0", 0, 401, c(300), "stalled")]


def test_a_decrease_that_was_only_a_dip_is_declared_and_counts_nothing_twice():
    desk = Desk({ETH0: c(1000)})
    for second, value in enumerate((0, 1100, 0, 1200, 1300), start=1):
        desk.sample(second, {2: c(value)})
    assert desk.recorded == {"eth0": c(300)}
    assert desk.lost == [("reset", "eth0")] * 2


def test_a_doubt_about_an_interface_is_none_about_its_successor():
    desk = Desk({ETH0: c(1000)})
    desk.sample(1, {2: c(10)})
    desk.sample(2, {2: c(10)}, went(ETH0, c(1000)), came(ETH0))
    desk.sample(3, {2: c(15)})
    assert desk.recorded == {"eth0": c(15)}
    assert desk.gaps == []


def test_a_decrease_is_believed_at_once_where_no_event_could_explain_it():
    desk = Desk({ETH0: c(1000)}, rules=Rules(has_events=False))
    desk.sample(1, {2: c(10)})
    assert desk.recorded == {"eth0": c(10)}
    assert desk.lost == [("reset", "eth0")]


def test_one_counter_that_goes_down_is_enough_for_a_new_epoch():
    desk = Desk({ETH0: Counters(100, 100, 10, 10)}, rules=Rules(has_events=False))
    desk.sample(1, {2: Counters(200, 150, 12, 3)})
    assert desk.recorded == {"eth0": Counters(200, 150, 12, 3)}
    assert desk.lost == [("reset", "eth0")]


def test_a_decrease_that_a_look_at_all_links_shows_is_doubted_as_well():
    """A parted pair that waits for its removal: believed at once, what it sent would be counted again."""
    desk = Desk({ETH0: ZERO, WG0: ZERO})
    desk.sample(1, {2: ZERO, 3: c(50)})
    desk.meter.resync(at(2), [(ETH0, ZERO), (WG0, c(0, 55))], (), "lost", settled=True)
    desk.sample(3, {2: ZERO}, went(WG0, c(60)))
    assert desk.recorded == {"wg0": c(60)}


def test_counters_beyond_belief_are_no_reading_and_are_declared():
    desk = Desk({ETH0: c(100)})
    for second in (1, 2, 3):
        desk.sample(second, {2: c(2**64 - 1)})
    desk.sample(4, {2: c(140)})
    desk.sample(5, {2: c(150)})
    assert desk.recorded == {"eth0": c(50)}
    assert ("reset", "eth0") in desk.lost
    assert max(max(e.last) for e in desk.batch.epochs) < 2**63


# Long intervals and clocks


@pytest.mark.parametrize(
    ("slept", "failed", "kind"), [(0, "", "stalled"), (0, "no answer", "source"), (3000, "", "suspend")]
)
def test_a_long_interval_is_one_estimated_stretch_and_a_gap_that_loses_nothing(slept, failed, kind):
    desk = Desk({ETH0: c(10)})
    desk.sample(1, {2: c(15)})
    if failed:
        desk.meter.source_failed(failed)
    desk.sample(at(3601, slept=slept), {2: c(95)})
    assert desk.spans == [("eth0", 1, 3601, c(80), kind)]
    assert desk.gaps == [(kind, "", False, 1, 3601)]
    assert desk.batch.gaps[0].note == failed
    assert desk.entries == {"eth0": {0: c(5)}}


def test_a_failure_that_was_short_leaves_no_gap():
    desk = Desk()
    desk.meter.source_failed("no answer")
    desk.sample(3, {2: c(5)})
    assert desk.gaps == []
    desk.sample(60, {2: c(5)})
    assert [kind for kind, *_ in desk.gaps] == ["stalled"]


def test_a_long_interval_breaks_what_was_watched():
    desk = Desk()
    desk.sample(1, {2: ZERO})
    desk.sample(101, {2: ZERO})
    desk.sample(102, {2: ZERO})
    watched = [((a - START_US) / US, (b - START_US) / US) for a, b in desk.batch.watched]
    assert watched == [(0, 1), (101, 102)]


def test_what_a_link_counted_in_a_long_interval_in_which_it_appeared_belongs_to_that_interval():
    desk = Desk()
    desk.sample(3600, {2: ZERO, 3: c(10**9)}, came(WG0))
    desk.sample(3601, {2: ZERO, 3: c(10**9 + 5)})
    desk.sample(3602, {2: ZERO, 3: c(10**9 + 9)})
    assert desk.spans == [("wg0", 0, 3601, c(10**9 + 5), "stalled")]
    assert desk.recorded == {"wg0": c(10**9 + 9)}


def test_a_step_of_the_wall_clock_is_recorded_with_what_it_should_have_shown():
    desk = Desk()
    desk.sample(1, {2: c(5)})
    desk.sample(at(2, step=3600), {2: c(9)})
    (step,) = desk.batch.steps
    assert (step.expected_us - START_US, step.actual_us - START_US) == (2 * US, 3602 * US)
    assert desk.recorded == {"eth0": c(9)}
    assert desk.gaps == []


def test_slewing_is_no_step():
    desk = Desk()
    for second in range(1, 60):
        desk.sample(at(second, step=second * 0.0005), {2: ZERO})
    assert desk.batch.steps == []


def test_after_a_step_bytes_are_dated_by_the_new_time():
    desk = Desk(start=at(10))
    desk.sample(11, {2: c(1)})
    desk.sample(at(12, step=-3600), {2: c(3)})
    desk.sample(at(13, step=-3600), {2: c(6)})
    assert desk.entries == {"eth0": {0: c(1), -3600: c(5)}}


def test_an_interval_ends_where_the_new_time_stands_and_is_as_long_as_it_was():
    desk = Desk(start=at(10))
    desk.sample(at(11, step=49.25), {2: c(1000)})
    assert desk.entries == {"eth0": {0: c(750), 60: c(250)}}


# Failures, settings, and what only the loop knows


def test_events_can_be_followed_without_a_reading_and_the_interval_goes_on():
    desk = Desk({ETH0: ZERO, WG0: ZERO})
    desk.sample(1, {2: ZERO, 3: c(5)})
    desk.meter.source_failed("no answer")
    desk.meter.follow(at(2), [went(WG0, c(9))])
    desk.meter.source_failed("no answer")
    desk.sample(601, {2: c(700)})
    assert desk.recorded == {"eth0": c(700), "wg0": c(9)}
    assert desk.spans == [("eth0", 1, 601, c(700), "source")]
    assert desk.gaps == [("source", "", False, 1, 601)]


def test_a_gap_that_only_the_loop_knows_of_is_in_the_next_batch():
    desk = Desk()
    gap = Gap(START_US, START_US, GapKind.LEDGER, lossy=False, note="set aside")
    desk.meter.declare(gap)
    assert desk.batch.gaps == [gap]


def test_other_rules_decide_anew_what_the_total_is():
    desk = Desk({ETH0: ZERO, WG0: ZERO})
    desk.meter.committed()
    desk.meter.adapt(Rules(not_counted=("eth*",), counted=("wg*",)))
    assert {epoch.link.name: epoch.counted for epoch in desk.batch.epochs} == {"eth0": False, "wg0": True}


def test_usage_is_the_total_since_the_start():
    desk = Desk({ETH0: c(1000), WG0: c(1000)})
    desk.sample(1, {2: c(1010), 3: c(1500)})
    assert desk.meter.usage() == c(10)
    desk.sample(2, {2: c(1025), 3: c(1500)})
    assert desk.meter.usage() == c(25)


def test_usage_keeps_what_is_gone():
    desk = Desk({ETH0: ZERO})
    desk.sample(1, {}, went(ETH0, c(70)))
    assert desk.meter.usage() == c(70)
    desk.sample(2, {2: c(2)}, came(ETH0))
    desk.sample(3, {2: c(5)})
    assert desk.meter.usage() == c(75)


def test_usage_goes_on_over_a_rename_and_a_reset():
    desk = Desk({ETH0: c(100)})
    desk.sample(1, {2: c(110)}, came(ETH0._replace(name="lan0"), c(105)))
    desk.sample(2, {2: c(110)})
    assert desk.meter.usage() == c(10)
    desk.sample(3, {2: c(1)})
    desk.sample(4, {2: c(2)})
    assert desk.meter.usage() == c(12)


def test_usage_adds_up_what_was_asked_for():
    desk = Desk({ETH0: ZERO, WG0: ZERO}, selected=lambda link: link.name.startswith("wg"))
    desk.sample(1, {2: c(10), 3: c(500)})
    assert desk.meter.usage() == c(500)


def test_usage_of_what_was_asked_for_does_not_depend_on_the_total():
    desk = Desk({ETH0: ZERO}, selected=lambda _: True)
    desk.sample(1, {2: c(10)})
    desk.meter.adapt(Rules(not_counted=("eth0",)))
    desk.sample(2, {2: c(30)})
    assert desk.meter.usage() == c(30)


def test_usage_never_goes_down_when_an_interface_leaves_the_total():
    desk = Desk({ETH0: ZERO})
    desk.sample(1, {2: c(10)})
    desk.meter.adapt(Rules(not_counted=("eth0",)))
    desk.sample(2, {2: c(30)})
    assert desk.meter.usage() == c(10)


def test_the_last_batch_says_why_the_recorder_ended():
    desk = Desk()
    desk.sample(1, {2: c(5)})
    batch = desk.meter.batch("stopped")
    assert (batch.ended, batch.at) == ("stopped", at(1))
    assert desk.batch.ended is None
