"""How counting begins: at first sight, after a boot, or where an earlier recorder left off."""

import pytest
from recorder.desk import ETH0, PLACE, WG0, Desk, at, c, came, went
from recorder.kernel import ELSEWHERE, HERE, Kernel
from recorder.station import Station
from support import book

from netusage.ledger.batch import Epoch, LastReading, Remembered
from netusage.model import US, ZERO, Counters, Link
from netusage.recorder.rules import Rules

UPTIME_S = 3600


def left(seconds_ago, epochs=(), *, ended="stopped", newest_life=0):
    """An earlier recorder stopped so long before the start."""
    then = at(-seconds_ago)
    return Remembered(
        here=LastReading(then.boot_ns, then.wall_us, ended),
        epochs=tuple(epochs),
        newest_life=max([newest_life, *(epoch.link.life for epoch in epochs)]),
    )


def epoch(link, last, first=ZERO):
    return Epoch(PLACE, link, 0, "appeared", first, last, committed=last, row=1, interface_row=1)


# First sight


def test_what_was_counted_before_the_first_sight_is_nobodys_business():
    desk = Desk({ETH0: c(5000)})
    assert desk.recorded == {}
    assert desk.gaps == []
    assert desk.epochs == [("eth0", "first-sight", None)]


def test_an_option_counts_what_an_interface_had_since_boot():
    desk = Desk({ETH0: c(5000)}, rules=Rules(count_since_boot=True))
    assert desk.spans == [("eth0", -UPTIME_S, 0, c(5000), "reboot")]


def test_usage_begins_at_zero_however_counting_begins():
    assert Desk({ETH0: c(5000)}, rules=Rules(count_since_boot=True)).meter.usage() == ZERO


# After a boot


def test_after_a_boot_everything_since_it_is_counted_and_the_time_before_it_declared():
    before = Remembered(before=LastReading(10, at(-7200).wall_us, "stopped"))
    desk = Desk({ETH0: c(5000)}, remembered=before)
    assert desk.spans == [("eth0", -UPTIME_S, 0, c(5000), "reboot")]
    assert desk.gaps == [("reboot", "", True, -7200, -UPTIME_S), ("stopped", "", False, -UPTIME_S, 0)]
    assert desk.epochs == [("eth0", "boot", None)]


def test_a_clock_that_went_back_before_the_boot_makes_no_gap_that_ends_before_it_begins():
    before = Remembered(before=LastReading(10, at(+86400).wall_us, None))
    desk = Desk({ETH0: c(1)}, remembered=before)
    assert all(start <= end for *_, start, end in desk.gaps)
    assert ("reboot", "") in desk.lost


# Where an earlier recorder left off


@pytest.mark.parametrize(("ended", "kind"), [("stopped", "stopped"), (None, "killed")])
def test_what_was_counted_while_the_recorder_was_down_is_spread_over_that_time(ended, kind):
    desk = Desk({ETH0: c(900)}, remembered=left(600, [epoch(ETH0, c(100))], ended=ended))
    assert desk.spans == [("eth0", -600, 0, c(800), kind)]
    assert desk.gaps == [(kind, "", False, -600, 0)]
    assert desk.epochs == [("eth0", "appeared", None)]


def test_what_was_taken_up_is_made_known_to_a_new_ledger_from_where_the_old_one_stood():
    desk = Desk({ETH0: c(900)}, remembered=left(600, [epoch(ETH0, c(100), first=c(7))]))
    desk.meter.start_over()
    (known,) = desk.batch.epochs
    assert (known.first, known.last, known.row) == (c(100), c(900), None)


def test_a_recorder_that_was_away_for_seconds_leaves_no_gap():
    desk = Desk({ETH0: c(900)}, remembered=left(3, [epoch(ETH0, c(100))], ended=None))
    assert desk.recorded == {"eth0": c(800)}
    assert desk.gaps == []
    assert desk.spans == []


def test_the_time_away_comes_from_the_clock_that_never_steps():
    """The wall clock went back by a day meanwhile."""
    remembered = Remembered(
        here=LastReading(at(-600).boot_ns, at(86400).wall_us, "stopped"), epochs=(epoch(ETH0, ZERO),)
    )
    desk = Desk({ETH0: c(5)}, remembered=remembered)
    assert desk.spans == [("eth0", -600, 0, c(5), "stopped")]


def test_an_interface_born_while_the_recorder_was_down_counts_from_zero():
    desk = Desk({ETH0: c(1), WG0: c(70)}, remembered=left(600, [epoch(ETH0, c(1))]))
    assert desk.recorded == {"wg0": c(70)}
    assert desk.lost == []


def test_an_interface_that_went_away_while_the_recorder_was_down_is_declared():
    desk = Desk({ETH0: c(1)}, remembered=left(600, [epoch(ETH0, c(1)), epoch(WG0, c(70))]))
    assert desk.recorded == {}
    assert desk.lost == [("vanished", "wg0")]
    assert desk.gaps[-1][3:] == (-600, 0)


def test_another_life_under_the_same_name_and_index_is_not_taken_for_the_old_one():
    desk = Desk({ETH0._replace(life=21): c(900)}, remembered=left(600, [epoch(ETH0, c(100))]))
    assert desk.recorded == {"eth0": c(900)}
    assert desk.lost == [("vanished", "eth0")]


def test_a_life_that_cannot_be_told_is_another_one_when_its_counters_went_down():
    link = ETH0._replace(life=0)
    desk = Desk({link: c(60)}, remembered=left(600, [epoch(link, c(100))]))
    assert desk.recorded == {"eth0": c(60)}
    assert desk.lost == [("vanished", "eth0")]


def test_an_interface_renamed_while_the_recorder_was_down_goes_on_under_its_new_name():
    desk = Desk({ETH0._replace(name="lan0"): c(900)}, remembered=left(600, [epoch(ETH0, c(100))]))
    desk.sample(1, {2: c(950)})
    assert desk.recorded == {"eth0": c(800), "lan0": c(50)}
    assert desk.lost == []


def test_an_interface_that_came_back_from_another_namespace_is_not_counted_twice():
    desk = Desk({ETH0: c(900)}, remembered=left(600, newest_life=20))
    desk.sample(1, {2: c(905)})
    assert desk.recorded == {"eth0": c(5)}
    assert desk.lost == [("stopped", "eth0")]


def test_an_interface_that_took_the_index_of_another_and_had_been_here_before_is_not_counted_twice():
    returner = Link(2, "nic1", life=12)
    desk = Desk({returner: c(900)}, remembered=left(600, [epoch(ETH0, c(100))]))
    assert desk.recorded == {}
    assert sorted(desk.lost) == [("stopped", "nic1"), ("vanished", "eth0")]


def test_of_several_that_came_while_the_recorder_was_down_each_is_young_or_old_by_itself():
    young, younger, old = Link(2, "a", life=21), Link(3, "b", life=22), Link(4, "c", life=12)
    before = left(600, [epoch(Link(9, "gone", life=20), c(1))])
    for links in ([younger, young, old], [old, young, younger]):
        desk = Desk(dict.fromkeys(links, c(70)), remembered=before)
        assert desk.recorded == {"a": c(70), "b": c(70)}
        assert ("stopped", "c") in desk.lost


def test_a_source_whose_counters_wrap_declares_that_whole_turns_cannot_be_seen_over_a_gap():
    rules = Rules(counter_bits=32, has_events=False)
    desk = Desk({ETH0: c(10)}, rules=rules, remembered=left(600, [epoch(ETH0, c(5))]))
    assert desk.lost == [("stopped", "")]
    assert Desk({ETH0: c(10)}, rules=rules, remembered=left(3, [epoch(ETH0, c(5))])).lost == []


def test_a_source_whose_counters_wrap_goes_on_over_a_restart():
    rules = Rules(counter_bits=32, has_events=False)
    known = epoch(ETH0, Counters(2**32 + 4 * 10**9, 0, 9_000_000, 0))
    raw = Counters((2**32 + 4 * 10**9 + 5 * 10**8) % 2**32, 0, 9_500_000, 0)
    desk = Desk({ETH0: raw}, rules=rules, remembered=left(3, [known]))
    assert desk.recorded == {"eth0": Counters(5 * 10**8, 0, 500_000, 0)}


def test_what_went_away_meanwhile_is_made_known_to_a_new_ledger_as_if_it_had_never_counted():
    desk = Desk({}, remembered=left(600, [epoch(WG0, c(100), first=c(7))]))
    desk.meter.start_over()
    (gone,) = desk.batch.epochs
    assert (gone.first, gone.last, gone.closed_because) == (c(100), c(100), "vanished")


# With a ledger: what is remembered is what was written


@pytest.fixture
def kernel():
    kernel = Kernel()
    kernel.traffic(kernel.add("eth0"), 50_000, 1_000)
    return kernel


def recorded(station):
    return {name: counters.rx_bytes for name, counters in book.recorded(station.path).items()}


def test_another_machine_with_a_copy_of_the_ledger_begins_at_first_sight(kernel, ledger):
    Station(kernel, ledger).start().stop()
    kernel.traffic(kernel.named("eth0"), 700)
    copy = Station(kernel, ledger, machine="another")
    copy.start()
    kernel.traffic(kernel.named("eth0"), 30)
    copy.stop()
    assert recorded(copy) == {"eth0": 30}
    assert not book.gaps(ledger, lossy=1)


def test_the_first_machine_goes_on_when_its_ledger_comes_back(kernel, ledger):
    Station(kernel, ledger).start().stop()
    Station(kernel, ledger, machine="another").start().stop()
    kernel.traffic(kernel.named("eth0"), 700)
    Station(kernel, ledger).start().stop()
    assert recorded(Station(kernel, ledger)) == {"eth0": 700}


@pytest.mark.parametrize("ledger_is_taken_away", [False, True])
def test_a_link_that_left_before_a_crash_and_comes_back_unseen_after_it_is_not_counted_twice(
    kernel, ledger, ledger_is_taken_away
):
    station = Station(kernel, ledger).start()
    eth0 = kernel.named("eth0")
    kernel.traffic(eth0, 700)
    station.run(1)
    kernel.move(eth0, ELSEWHERE)
    station.run(15)
    before = recorded(station)
    if ledger_is_taken_away:
        ledger.unlink()
        station.run(15)
        before = {}
    station.crash()
    station.start()
    station.source.events_full = True
    kernel.move(eth0, HERE)
    kernel.traffic(eth0, 30)
    station.run(15)
    kernel.traffic(eth0, 4)
    station.stop()
    assert recorded(station) == {"eth0": before.get("eth0", 0) + 4}
    assert ("events-lost", "") in {(gap["kind"], gap["interface"]) for gap in book.gaps(ledger, lossy=1)}
    assert ("stopped", "eth0") in {(gap["kind"], gap["interface"]) for gap in book.gaps(ledger, lossy=1)}


def test_another_namespace_of_the_same_boot_begins_at_first_sight(kernel, ledger):
    inside = kernel.add("eth0", "veth", namespace=2)
    kernel.traffic(inside, 9_999)
    Station(kernel, ledger).start().stop()
    station = Station(kernel, ledger, namespace=2)
    station.start()
    kernel.traffic(inside, 40)
    station.stop()
    assert recorded(station) == {"eth0": 40}
    assert not book.gaps(ledger, kind="reboot")


def test_both_namespaces_go_on_from_where_each_was_left(kernel, ledger):
    inside = kernel.add("in0", "veth", namespace=2)
    for _ in range(3):
        for namespace in (1, 2):
            Station(kernel, ledger, namespace=namespace).start().stop()
        kernel.traffic(inside, 40)
        kernel.traffic(kernel.named("eth0"), 7)
    for namespace in (1, 2):
        Station(kernel, ledger, namespace=namespace).start().stop()
    assert recorded(Station(kernel, ledger)) == {"eth0": 21, "in0": 120}


def test_after_a_reboot_the_counters_count_from_zero_and_the_loss_is_declared(kernel, ledger):
    station = Station(kernel, ledger).start()
    kernel.traffic(kernel.named("eth0"), 100)
    station.run(30).stop()
    stopped_us = kernel.now().wall_us
    kernel.traffic(kernel.named("eth0"), 44)  # nobody will ever know
    kernel.reboot(down_s=60)
    kernel.run(20)
    kernel.traffic(kernel.add("eth0"), 2_000)
    Station(kernel, ledger).start().stop()
    assert recorded(station) == {"eth0": 2_100}
    (gap,) = book.gaps(ledger, kind="reboot")
    boot_us = kernel.now().wall_us - kernel.now().boot_ns // 1000
    assert (gap["lossy"], gap["start_us"], gap["end_us"]) == (1, stopped_us, boot_us)
    assert [row["closed_because"] for row in book.epochs(ledger, "eth0")] == ["reboot", None]


def test_a_reboot_into_another_namespace_number_is_still_a_reboot(kernel, ledger):
    """Cookies of namespaces are given anew at every boot."""
    Station(kernel, ledger).start().stop()
    kernel.reboot()
    kernel.traffic(kernel.add("eth0", namespace=2), 2_000)
    station = Station(kernel, ledger, namespace=2)
    station.start().stop()
    assert recorded(station) == {"eth0": 2_000}


def test_a_boot_is_told_by_its_identity_and_not_by_its_time(kernel, ledger):
    Station(kernel, ledger).start().stop()
    kernel.step(-400 * 86400)
    kernel.traffic(kernel.named("eth0"), 10)
    Station(kernel, ledger).start().stop()
    assert recorded(Station(kernel, ledger)) == {"eth0": 10}
    assert not book.gaps(ledger, kind="reboot")


def test_another_source_of_the_same_numbers_goes_on_where_the_first_stopped(kernel, ledger):
    """netlink numbers a link and knows its life and kind; psutil shares the number and may know less."""
    Station(kernel, ledger).start().stop()
    kernel.traffic(kernel.named("eth0"), 300)

    def portable():
        source = kernel.source()
        source.name, source.knows_lives = "psutil", False
        return source

    station = Station(kernel, ledger, make_source=portable, rules=Rules(has_events=False))
    station.start()
    kernel.traffic(kernel.named("eth0"), 20)
    station.stop()
    assert recorded(station) == {"eth0": 320}
    kernel.traffic(kernel.named("eth0"), 1)
    Station(kernel, ledger).start().stop()
    assert recorded(station) == {"eth0": 321}
    assert not book.gaps(ledger, lossy=1)


def test_a_boot_that_nobody_recorded_is_part_of_the_declared_loss(kernel, ledger):
    Station(kernel, ledger).start().stop()
    stopped_us = kernel.now().wall_us
    kernel.reboot()
    kernel.run(500)
    kernel.reboot()
    kernel.add("eth0")
    Station(kernel, ledger).start().stop()
    (gap,) = book.gaps(ledger, kind="reboot")
    assert gap["start_us"] == stopped_us
    assert gap["end_us"] - stopped_us == (60 + 500 + 60 - 1) * US


@pytest.mark.parametrize("renamed", [False, True])
def test_a_link_that_another_source_knew_under_another_kind_is_recorded_to_its_final_counters(renamed):
    told = ETH0._replace(kind="tun")  # psutil can tell no more than its name does
    desk = Desk({told: c(130)}, remembered=left(1, [epoch(ETH0, c(100))]))
    if renamed:
        told = told._replace(name="vpn0")
        desk.sample(1, {2: c(130)}, came(told, c(130)))
    desk.sample(2, {}, went(told, c(500)))
    assert sum(counters.rx_bytes for counters in desk.recorded.values()) == 400
    assert desk.lost == []
