"""A recorder that is killed at any moment loses nothing and doubles nothing."""

import random
import signal
import time

import pytest
from support.book import assert_it_adds_up, epochs, gaps, recorded
from support.namespace import Traffic, added, difference
from support.patience import until

pytestmark = [pytest.mark.system, pytest.mark.root]


def test_fifty_kills_at_random_moments_under_traffic_lose_and_double_nothing(space, start, record, ledger):
    seed = random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}")
    moments = random.Random(seed)
    space.pair("va", "vb")
    record(space).kill()
    before = space.counters()
    with Traffic(space, "va", "vb", seed=seed):
        for number in range(50):
            killed = start(
                "daemon",
                "--db",
                ledger,
                "--sample-interval",
                "100ms",
                "--commit-interval",
                "100ms",
                space=space,
            )
            time.sleep(moments.uniform(0.15, 0.75))
            if number % 5 == 0:
                space.pair(f"a{number}", f"b{number}")
                space.send(f"a{number}", 9)
            assert killed.popen.poll() is None, killed.err
            killed.kill()
        recorder = record(space)
    truth = added(difference(before, space.counters()))
    assert recorder.stop() == 143
    assert recorded(ledger) == truth
    assert len(truth) == 22
    assert truth["va"].tx_packets > 1000
    assert {row["name"] for row in epochs(ledger) if row["opened_because"] == "first-sight"} == {
        "lo",
        "va",
        "vb",
    }
    assert len(epochs(ledger, "va")) == 1
    assert not gaps(ledger, lossy=1)
    assert_it_adds_up(ledger)


def test_what_a_killed_recorder_took_with_it_is_declared_for_each_interface_that_went_away(
    space, record, ledger
):
    names = [f"{end}{n}" for n in range(20) for end in "ab"]
    recorder = record(space, commit="100ms")
    space.batch(f"link add a{n} group 7 type veth peer name b{n}" for n in range(20))
    space.up(*names)
    for name in names:
        space.send(name, 10)
    until(lambda: len(recorded(ledger)) == len(names), "the commit of all that")
    recorder.send(signal.SIGSTOP)
    for name in names[::2]:
        space.send(name, 5)
    truth = added(space.counters())
    space.ip("link", "del", "group", "7")
    recorder.kill()
    recorder = record(space)
    assert recorder.stop() == 143
    found = recorded(ledger)
    lost = {name: truth[name].minus(found[name]) for name in names}
    assert all(min(counters) >= 0 for counters in lost.values())
    assert sum(counters.tx_packets for counters in lost.values()) == 5 * 20
    assert {row["interface"] for row in gaps(ledger, kind="vanished", lossy=1)} == set(names)
    assert_it_adds_up(ledger)
