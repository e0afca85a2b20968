"""Counting in network namespaces: what the recorder has recorded is what the kernel has counted, to the byte."""

import signal
import socket
import time

import pytest
from support.book import assert_it_adds_up, epochs, gaps, recorded
from support.namespace import Traffic, added, difference
from support.patience import until
from support.witness import Witness, whole_pairs

from netusage.model import ZERO

pytestmark = [pytest.mark.system, pytest.mark.root]


def test_steady_traffic_is_recorded_to_the_byte(space, record, ledger):
    space.pair("va", "vb")
    space.send("va", 7)  # before the recorder: none of its business
    recorder = record(space, commit="300ms")
    before = space.counters()
    with Traffic(space, "va", "vb"):
        time.sleep(1.5)
    truth = added(difference(before, space.counters()))
    assert recorder.stop() == 143
    assert recorded(ledger) == truth
    assert truth["va"].rx_packets > 500
    assert not gaps(ledger)
    assert_it_adds_up(ledger)


def test_datagrams_over_loopback_are_recorded_to_the_byte(space, record, ledger):
    recorder = record(space)
    with space.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for size in range(1000):
            sender.sendto(b"x" * size, ("127.0.0.1", 9))
    truth = added(space.counters())
    assert recorder.stop() == 143
    assert recorded(ledger) == truth
    assert truth["lo"].tx_bytes >= sum(range(1000)) + 28 * 1000
    assert_it_adds_up(ledger)


def test_an_interface_deleted_50_ms_after_its_traffic_is_recorded_whole(space, record, ledger):
    recorder = record(space, sample="1s")
    truth = {}
    for _ in range(10):
        space.pair("va", "vb")
        space.send("va", 50)
        space.send("vb", 20, 100)
        time.sleep(0.05)
        truth = added(truth, space.counters())
        space.ip("link", "del", "va")
    assert recorder.stop() == 143
    assert recorded(ledger) == truth
    assert truth["va"].tx_bytes == 10 * 50 * 1000
    assert truth["va"].rx_bytes == 10 * 20 * 100
    assert not gaps(ledger)
    assert len(epochs(ledger, "va")) == 10
    assert_it_adds_up(ledger)


def test_an_interface_made_again_under_the_same_name_starts_from_zero(space, record, ledger):
    recorder = record(space)
    truth = {}
    for frames in (500, 3, 400, 2):
        space.pair("va", "vb")
        space.send("va", frames)
        truth = added(truth, space.counters())
        space.ip("link", "del", "va")
    assert recorder.stop() == 143
    assert recorded(ledger) == truth
    assert truth["va"].tx_packets == 905
    assert not gaps(ledger)
    assert_it_adds_up(ledger)


@pytest.mark.parametrize("frames", [(500, 3), (3, 500)])
def test_an_interface_made_again_with_the_same_name_and_index_starts_from_zero(space, record, ledger, frames):
    recorder = record(space)
    truth = {}
    for number in frames:
        space.pair("va", "vb", index=4001, other_index=4002)
        space.send("va", number)
        space.send("vb", number // 2, 200)
        truth = added(truth, space.counters())
        space.ip("link", "del", "va")
    assert recorder.stop() == 143
    assert recorded(ledger) == truth
    assert {row["link_index"] for row in epochs(ledger, "va")} == {4001}
    assert not gaps(ledger)
    assert_it_adds_up(ledger)


def test_an_interface_exchanged_for_its_like_in_one_go_starts_from_zero(space, record, ledger):
    recorder = record(space, sample="1s")
    space.pair("va", "vb", index=4001, other_index=4002)
    truth = {}
    for number in (40, 50, 30):
        space.send("va", number)
        space.send("vb", number + 1, 300)
        truth = added(truth, space.counters())
        space.batch(
            [
                "link del va",
                "link add va index 4001 type veth peer name vb index 4002",
                "link set va up",
                "link set vb up",
            ]
        )
        space.wait_until_up("va", "vb")
    space.send("vb", 5)
    truth = added(truth, space.counters())
    assert recorder.stop() == 143
    assert recorded(ledger) == truth
    assert len(epochs(ledger, "va")) == 4
    assert not gaps(ledger)
    assert_it_adds_up(ledger)


@pytest.mark.parametrize("frames", [(500, 3), (3, 500)])
def test_an_interface_exchanged_for_its_like_while_nobody_records_starts_from_zero(
    space, record, ledger, frames
):
    space.pair("va", "vb", index=4001, other_index=4002)
    recorder = record(space)
    space.send("va", frames[0])
    truth = added(space.counters())
    assert recorder.stop() == 143
    space.ip("link", "del", "va")
    space.pair("va", "vb", index=4001, other_index=4002)
    space.send("va", frames[1])
    recorder = record(space)
    space.send("vb", 1)
    truth = added(truth, space.counters())
    assert recorder.stop() == 143
    assert recorded(ledger) == truth
    assert [row["lossy"] for row in gaps(ledger, interface="va", kind="vanished")] == [1]
    assert [row["closed_because"] for row in epochs(ledger, "va")] == ["vanished", None]
    assert_it_adds_up(ledger)


def test_an_interface_renamed_under_traffic_loses_nothing_to_its_new_name(space, record, ledger):
    space.pair("va", "vb")
    recorder = record(space)
    before = space.counters()
    with Traffic(space, "va", "vb", bound=True):
        for name in ("vc", "vd", "ve"):
            time.sleep(0.25)
            space.ip("link", "set", (space.counters().keys() - {"lo", "vb"}).pop(), "name", name)
        time.sleep(0.25)
    truth = difference(before | {"ve": before["va"]}, space.counters())
    assert recorder.stop() == 143
    found = recorded(ledger)
    parts = [found[name] for name in ("va", "vc", "vd", "ve")]
    assert found["vb"] == truth["vb"]
    assert added(*({"ve": part} for part in parts)) == {"ve": truth["ve"]}
    assert min(part.rx_packets for part in parts) > 0
    assert not gaps(ledger)
    assert_it_adds_up(ledger)


def test_an_interface_moved_to_another_namespace_and_back_counts_only_what_it_did_here(
    spaces, record, ledger
):
    here, elsewhere = spaces(), spaces()
    here.pair("va", "vb")
    recorder = record(here)
    here.send("va", 10)
    here.send("vb", 20)
    truth = here.counters()
    here.ip("link", "set", "va", "netns", elsewhere.name)
    elsewhere.up("va")
    elsewhere.send("va", 400)
    here.send("vb", 30)
    away = elsewhere.counters()["va"]
    elsewhere.ip("link", "set", "va", "netns", here.name)
    here.up("va")
    here.send("va", 50)
    truth = added({"va": truth["va"]}, difference({"va": away}, here.counters()))
    assert recorder.stop() == 143
    assert recorded(ledger) == truth
    assert truth["va"].tx_packets == 60
    assert truth["vb"].rx_packets == 460
    assert [row["opened_because"] for row in epochs(ledger, "va")] == ["first-sight", "moved-in"]
    assert not gaps(ledger)
    assert_it_adds_up(ledger)


def test_an_interface_that_is_away_for_an_instant_counts_nothing_twice(spaces, record, ledger):
    here, elsewhere = spaces(), spaces()
    here.pair("va", "vb")
    recorder = record(here, sample="200ms")
    here.send("va", 10)
    here.send("vb", 20)
    for _ in range(3):
        here.ip("link", "set", "va", "netns", elsewhere.name)
        elsewhere.ip("link", "set", "va", "netns", here.name)
        here.up("va")
        here.send("va", 5)
        time.sleep(0.7)
        here.send("vb", 5)
    truth = added(here.counters())
    assert recorder.stop() == 143
    assert recorded(ledger) == truth
    assert not gaps(ledger)
    assert_it_adds_up(ledger)


def test_an_interface_that_is_away_while_nobody_looks_counts_nothing_twice(spaces, record, ledger):
    here, elsewhere = spaces(), spaces()
    here.pair("va", "vb")
    recorder = record(here)
    here.send("va", 10)
    recorder.send(signal.SIGSTOP)  # all events below are read in one go
    here.ip("link", "set", "va", "netns", elsewhere.name)
    elsewhere.ip("link", "set", "va", "netns", here.name)
    here.up("va")
    recorder.send(signal.SIGCONT)
    here.send("va", 5)
    time.sleep(0.5)
    here.send("va", 5)
    truth = added(here.counters())
    assert recorder.stop() == 143
    assert recorded(ledger) == truth
    assert_it_adds_up(ledger)


def test_500_interfaces_removed_at_once_are_recorded_whole(space, record, ledger):
    recorder = record(space, sample="1s")
    space.batch(f"link add a{n} group 7 type veth peer name b{n}" for n in range(250))
    space.up(*(f"{end}{n}" for n in range(250) for end in "ab"))
    for n in range(250):
        space.send(f"a{n}", 2 + n % 5)
        space.send(f"b{n}", 1 + n % 3, 100)
    truth = added(space.counters())
    space.ip("link", "del", "group", "7")
    assert list(space.counters()) == ["lo"]
    assert recorder.stop() == 143
    assert len(truth) == 500
    assert recorded(ledger) == truth
    assert {row["closed_because"] for row in epochs(ledger) if row["name"] != "lo"} == {"removed"}
    assert not gaps(ledger)
    assert_it_adds_up(ledger)


def test_200_interfaces_made_and_removed_under_traffic_are_recorded_whole(space, record, ledger):
    space.pair("va", "vb")
    recorder = record(space)
    before = space.counters()
    witness = Witness(space)
    swap = str.maketrans("ab", "ba")
    with Traffic(space, "va", "vb"):
        for n in range(100):
            space.pair(f"a{n}", f"b{n}")
            with Traffic(space, f"a{n}", f"b{n}", pause=0.0005, seed=n) as traffic:
                traffic.wait()
                space.ip("link", "del", f"a{n}")  # while frames are sent
    truth = added(
        difference(before, space.counters()),
        whole_pairs(witness.removals(), lambda name: name.translate(swap)),
    )
    assert recorder.stop() == 143
    assert recorded(ledger) == truth
    assert len(truth) == 202
    assert not gaps(ledger)
    assert_it_adds_up(ledger)


def test_a_port_that_leaves_its_bridge_goes_on_in_its_epoch(space, record, ledger):
    space.pair("va", "vb")
    space.batch(["link add br0 type bridge mcast_snooping 0", "link set br0 up", "link set va master br0"])
    recorder = record(space)
    before = space.counters()
    space.send("vb", 20)
    space.ip("link", "set", "va", "nomaster")
    space.send("vb", 30)
    time.sleep(0.3)
    space.ip("link", "set", "va", "master", "br0")
    space.send("va", 10)
    truth = added(difference(before, space.counters()))
    assert recorder.stop() == 143
    assert recorded(ledger) == truth
    assert truth["br0"].rx_packets == 20
    assert truth["va"].rx_packets == 50
    assert len(epochs(ledger, "va")) == 1
    assert not gaps(ledger)
    assert_it_adds_up(ledger)


def test_the_final_counters_of_a_pair_with_both_ends_here_are_exact(space, record, ledger):
    space.pair("va", "vb")
    recorder = record(space, sample="1s")
    before = space.counters()
    recorder.send(signal.SIGSTOP)  # it has to do with what the removal says
    space.send("va", 11)
    space.send("vb", 13, 333)
    truth = added(difference(before, space.counters()))
    space.ip("link", "del", "vb")
    recorder.send(signal.SIGCONT)
    assert recorder.stop() == 143
    assert recorded(ledger) == truth
    assert truth["va"].rx_bytes == 13 * 333
    assert not gaps(ledger)
    assert_it_adds_up(ledger)


@pytest.mark.parametrize("early", [0, 10], ids=["first heard now", "heard before"])
def test_what_was_received_unseen_from_another_namespace_that_is_destroyed_is_declared(
    spaces, record, ledger, early
):
    here, elsewhere = spaces(), spaces()
    here.pair("va", "vb", peer=elsewhere)
    recorder = record(here, commit="100ms")
    before = here.counters()
    elsewhere.send("vb", early)
    until(lambda: recorded(ledger).get("va", ZERO).rx_packets == early, "the reading of what came early")
    recorder.send(signal.SIGSTOP)
    here.send("va", 17)
    elsewhere.send("vb", 19)
    truth = difference(before, here.counters())["va"]
    elsewhere.remove()
    until(lambda: "va" not in here.counters(), "the removal of va")
    recorder.send(signal.SIGCONT)
    assert recorder.stop() == 143
    found = recorded(ledger)["va"]
    assert (found.tx_bytes, found.tx_packets) == (truth.tx_bytes, truth.tx_packets)
    assert (found.rx_bytes, found.rx_packets) == (early * 1000, early)
    assert truth.rx_packets == early + 19
    assert [row["lossy"] for row in gaps(ledger, kind="vanished", interface="va")] == [1]
    assert_it_adds_up(ledger)


def test_what_was_received_unseen_from_another_namespace_is_exact_when_only_the_far_end_is_deleted(
    spaces, record, ledger
):
    here, elsewhere = spaces(), spaces()
    here.pair("va", "vb", peer=elsewhere)
    recorder = record(here)
    before = here.counters()
    recorder.send(signal.SIGSTOP)
    here.send("va", 17)
    elsewhere.send("vb", 19)
    truth = added(difference(before, here.counters()))
    elsewhere.ip("link", "del", "vb")
    until(lambda: "va" not in here.counters(), "the removal of va")
    recorder.send(signal.SIGCONT)
    assert recorder.stop() == 143
    assert recorded(ledger) == truth
    assert truth["va"].rx_packets == 19
    assert not gaps(ledger)
    assert_it_adds_up(ledger)


def test_what_was_received_from_another_namespace_and_read_in_time_is_exact_when_that_is_destroyed(
    spaces, record, ledger
):
    here, elsewhere = spaces(), spaces()
    recorder = record(here, commit="100ms")
    here.pair("va", "vb", peer=elsewhere)
    here.send("va", 17)
    elsewhere.send("vb", 19)
    until(lambda: recorded(ledger).get("va", ZERO).rx_packets == 19, "the reading of what was received")
    here.send("va", 3)
    truth = added(here.counters())
    elsewhere.remove()
    until(lambda: "va" not in here.counters(), "the removal of va")
    assert recorder.stop() == 143
    assert recorded(ledger) == truth
    assert_it_adds_up(ledger)


def test_traffic_from_another_namespace_is_never_recorded_beyond_what_the_kernel_counted(
    spaces, record, ledger
):
    here = spaces()
    recorder = record(here)
    truth = {}
    for n in range(5):
        elsewhere = spaces()
        here.pair("va", "vb", peer=elsewhere, index=4001)
        elsewhere.send("vb", 20 + n)
        time.sleep(0.05 * n)
        here.send("va", 10)
        truth = added(truth, here.counters())
        elsewhere.remove()
        until(lambda: "va" not in here.counters(), "the removal of va")
    assert recorder.stop() == 143
    found = recorded(ledger)["va"]
    assert (found.tx_bytes, found.tx_packets) == (truth["va"].tx_bytes, truth["va"].tx_packets)
    assert found.rx_bytes <= truth["va"].rx_bytes
    assert found == truth["va"] or gaps(ledger, kind="vanished", interface="va", lossy=1)
    assert_it_adds_up(ledger)


def test_what_a_new_interface_counted_just_before_the_stop_is_recorded(space, record, ledger):
    recorder = record(space)
    recorder.send(signal.SIGSTOP)  # its very last reading finds the events of all this
    space.pair("va", "vb")
    space.send("va", 5)
    truth = added(space.counters())
    recorder.send(signal.SIGTERM)
    recorder.send(signal.SIGCONT)
    assert recorder.wait() == 143
    assert recorded(ledger) == truth
    assert_it_adds_up(ledger)
