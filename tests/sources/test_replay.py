import pytest

from netusage.errors import SourceError
from netusage.model import NS, Counters, Instant, Link, LinkChange, LinkEvent, Place
from netusage.sources.base import EventsLostError
from netusage.sources.replay import PLACE, START, ReplayClock, ReplaySource, Step

ETH0 = Link(2, "eth0", life=71)
VETH = Link(9, "veth9", "veth", life=72)
FIRST = Counters(1000, 500, 10, 5)
SECOND = Counters(1500, 600, 11, 6)
HOUR = 3600 * NS


def appears(link, counters=None):
    return LinkEvent(LinkChange.PRESENT, link, counters)


def goes(link, counters=None):
    return LinkEvent(LinkChange.REMOVED, link, counters)


def playing(*steps):
    return ReplaySource([Step(links=[(ETH0, FIRST)]), *steps])


def test_the_first_step_is_the_start():
    source = playing()
    assert source.clock.now() == START
    assert source.place() == PLACE
    assert source.links() == [(ETH0, FIRST)]
    assert source.read().lists() == [[2], [1000], [500], [10], [5]]
    assert source.events() == []
    assert source.finished
    assert not source.advance()


def test_an_empty_script_is_a_machine_without_interfaces():
    source = ReplaySource([])
    assert source.links() == []
    assert source.read().lists() == [[], [], [], [], []]


def test_counters_change_with_the_step_and_time_moves_to_it():
    source = playing(Step(after_ns=NS, counters={"eth0": SECOND}))
    assert source.advance()
    assert source.read().lists() == [[2], [1500], [600], [11], [6]]
    assert source.clock.now() == Instant(START.boot_ns + NS, START.awake_ns + NS, START.wall_us + 1_000_000)


def test_counters_of_a_stranger_are_a_mistake_in_the_script():
    source = playing(Step(counters={"eth1": SECOND}))
    with pytest.raises(SourceError, match="step 2 of the script counts for eth1"):
        source.advance()


def test_a_suspend_moves_only_the_clocks_that_run_in_it():
    source = playing(Step(after_ns=8 * HOUR, awake_ns=NS))
    source.advance()
    now = source.clock.now()
    assert now.boot_ns - START.boot_ns == 8 * HOUR
    assert now.awake_ns - START.awake_ns == NS
    assert now.wall_us - START.wall_us == 8 * HOUR // 1000


def test_the_wall_clock_can_step_in_both_directions():
    source = playing(Step(after_ns=NS, wall_step_us=-7_200_000_000), Step(wall_step_us=5))
    source.advance()
    assert source.clock.now().wall_us - START.wall_us == 1_000_000 - 7_200_000_000
    source.advance()
    assert source.clock.now().wall_us - START.wall_us == 1_000_000 - 7_200_000_000 + 5


def test_the_wall_clock_does_not_lose_parts_of_a_microsecond():
    clock = ReplayClock()
    for _ in range(1000):
        clock.advance(1)
    assert clock.now().wall_us == START.wall_us + 1


def test_a_link_that_appears_is_listed_and_its_event_comes_without_life():
    source = playing(Step(events=[appears(VETH)]))
    source.advance()
    (event,) = source.events()
    assert event.link == Link(9, "veth9", "veth", life=0)
    assert source.life(event.link) == 72
    assert source.links() == [(ETH0, FIRST), (VETH, Counters())]
    assert source.events() == []


def test_a_link_that_moves_in_brings_its_counters():
    source = playing(Step(events=[appears(VETH, SECOND)]))
    source.advance()
    assert source.links()[1] == (VETH, SECOND)


def test_a_link_that_changes_keeps_its_counters_and_its_life():
    renamed = Link(2, "wan0")
    source = playing(Step(events=[appears(renamed)]))
    source.advance()
    ((link, counters),) = source.links()
    assert (link.name, link.life, counters) == ("wan0", 71, FIRST)


def test_a_removed_link_is_gone_and_its_event_carries_the_final_counters():
    source = playing(Step(events=[goes(ETH0, SECOND)]))
    source.advance()
    assert list(source.read().indexes) == []
    assert [(e.change, e.counters) for e in source.events()] == [(LinkChange.REMOVED, SECOND)]
    assert source.life(ETH0) == 0


def test_links_of_the_step_have_the_last_word():
    source = playing(Step(events=[goes(ETH0)], links=[(ETH0, SECOND), (VETH, FIRST)]))
    source.advance()
    assert list(source.read().indexes) == [2, 9]


def test_the_life_of_another_link_under_the_same_index_is_not_told():
    assert playing().life(Link(2, "other")) == 0


def test_lost_events_are_told_once_and_after_those_that_arrived():
    source = playing(Step(events=[appears(VETH)], events_lost=True))
    source.advance()
    assert len(source.events()) == 1
    with pytest.raises(EventsLostError):
        source.events()
    assert source.events() == []


def test_a_failure_lasts_until_the_next_step():
    source = playing(Step(events=[appears(VETH)], failure="the cable burns"), Step())
    source.advance()
    for question in (source.read, source.links, source.events):
        with pytest.raises(SourceError, match="the cable burns"):
            question()
    source.advance()
    assert len(source.links()) == 2
    assert len(source.events()) == 1


def test_the_place_can_change():
    source = playing(Step(place=Place("another-boot")), Step())
    source.advance()
    source.advance()
    assert source.place() == Place("another-boot")


def test_a_closed_source_fails_until_it_is_opened_again():
    source = playing(Step(events=[appears(VETH)], events_lost=True))
    source.advance()
    source.close()
    source.close()
    with pytest.raises(SourceError, match="closed"):
        source.read()
    source.reopen()
    assert source.events() == []
    assert len(source.links()) == 2


def test_waiting_ends_when_its_time_is_up():
    source = playing(Step(after_ns=10 * NS, counters={"eth0": SECOND}))
    assert not source.play(4 * NS)
    assert source.clock.now().boot_ns == START.boot_ns + 4 * NS
    assert list(source.read().rx_bytes) == [1000]
    assert not source.play(6 * NS)
    assert list(source.read().rx_bytes) == [1500]
    assert source.clock.now().boot_ns == START.boot_ns + 10 * NS


def test_waiting_ends_when_events_come():
    source = playing(Step(after_ns=NS), Step(after_ns=NS, events=[appears(VETH)]), Step(after_ns=NS))
    assert source.play(10 * NS)
    assert source.clock.now().boot_ns == START.boot_ns + 2 * NS
    assert source.play(NS)
    assert source.clock.now().boot_ns == START.boot_ns + 2 * NS
    assert len(source.events()) == 1
    assert not source.play(10 * NS)
    assert source.clock.now().boot_ns == START.boot_ns + 12 * NS


def test_waiting_ends_when_events_were_lost():
    source = playing(Step(after_ns=NS, events_lost=True))
    assert source.play(10 * NS)


def test_a_suspend_is_slept_through_however_short_the_wait():
    source = playing(Step(after_ns=8 * HOUR, awake_ns=2 * NS), Step(after_ns=NS))
    assert not source.play(NS)
    assert source.clock.now().boot_ns == START.boot_ns + NS
    assert not source.play(NS + NS // 2)
    now = source.clock.now()
    assert now.boot_ns == START.boot_ns + 8 * HOUR + NS // 2
    assert now.awake_ns == START.awake_ns + 2 * NS + NS // 2


def test_waiting_after_the_end_just_passes_time():
    source = playing()
    assert not source.play(-5)
    assert not source.play(NS)
    assert source.clock.now().boot_ns == START.boot_ns + NS
