import socket
import threading
from dataclasses import replace

import pytest

from netusage.errors import SourceError
from netusage.recorder.watch import Present, Watch
from netusage.settings.schema import RecorderSettings, Settings, SourceSettings

pytestmark = pytest.mark.system
QUICK = Settings(recorder=RecorderSettings(sample_interval="100ms", applications="off", pins="off"))
BLOCK = bytes(50_000)


class Seen:
    """What a watch said, and a way to wait for what it says next."""

    def __init__(self):
        self.all = []
        self._more = threading.Condition()

    def __call__(self, present: Present):
        with self._more:
            self.all.append(present)
            self._more.notify_all()

    def until(self, is_it):
        """The first one of which it is true."""
        with self._more:
            assert self._more.wait_for(lambda: any(map(is_it, self.all)), 20)
            return next(filter(is_it, self.all))


def talk(count=1):
    """So many blocks over the loopback interface."""
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()) as client,
        server.accept()[0] as accepted,
    ):
        for _ in range(count):
            client.sendall(BLOCK)
            rest = len(BLOCK)
            while rest:
                rest -= len(accepted.recv(rest))


def loopback(present):
    return next(one for one in present.interfaces if one.name == "lo")


def test_what_an_interface_counts_is_seen_as_a_rate_and_since_the_start():
    seen = Seen()
    with Watch(QUICK, seen):
        seen.until(lambda _: True)
        talk()
        found = loopback(seen.until(lambda present: loopback(present).since_start.rx_bytes >= len(BLOCK)))
        busiest = max(loopback(present).rates.rx for present in seen.all)
    assert found.kind == "loopback"
    assert not found.counted
    assert busiest > len(BLOCK)  # in a tenth of a second


def test_the_sum_of_rates_is_what_was_counted():
    seen = Seen()
    with Watch(QUICK, seen):
        seen.until(lambda _: True)
        talk(3)
        last = seen.until(lambda present: loopback(present).since_start.tx_bytes >= 3 * len(BLOCK))
    before_us, whole = 0, 0
    for present in seen.all[: seen.all.index(last) + 1]:
        whole += loopback(present).rates.tx * (present.running_us - before_us) / 1_000_000
        before_us = present.running_us
    assert whole == pytest.approx(loopback(last).since_start.tx_bytes, rel=0.01)


def test_the_machines_total_follows_the_configuration():
    seen = Seen()
    counted = replace(QUICK, interfaces=replace(QUICK.interfaces, counted=("lo",)))
    with Watch(counted, seen):
        seen.until(lambda _: True)
        talk()
        found = seen.until(lambda present: loopback(present).since_start.rx_bytes >= len(BLOCK))
    assert loopback(found).counted
    assert found.since_start.rx_bytes >= len(BLOCK)


def test_applications_are_told_apart_where_that_is_asked_for():
    seen = Seen()
    settings = replace(
        QUICK,
        recorder=replace(QUICK.recorder, applications="sockets"),
        interfaces=replace(QUICK.interfaces, counted=("lo",)),
    )
    with Watch(settings, seen, applications=True) as watch:
        assert watch.tier == "sockets"
        seen.until(lambda _: True)
        talk()
        found = seen.until(lambda present: sum(c.tx_bytes for c in present.applications.values()) > 0)
    used = [use for use, counters in found.applications.items() if counters.tx_bytes]
    assert {(use.interface, use.scope, use.in_total) for use in used} == {("lo", 0, True)}


def test_what_was_counted_before_it_began_is_not_told_whatever_the_recorder_does():
    talk(20)
    since_boot = replace(QUICK, recorder=replace(QUICK.recorder, count_since_boot=True))
    seen = Seen()
    with Watch(since_boot, seen):
        found = loopback(seen.until(lambda _: True))
    assert found.since_start.rx_bytes < 20 * len(BLOCK)


def test_nothing_is_told_after_it_was_closed():
    seen = Seen()
    with Watch(QUICK, seen):
        seen.until(lambda _: True)
    many = len(seen.all)
    assert not [thread for thread in threading.enumerate() if thread.name == "netusage-watch"]
    assert len(seen.all) == many


def test_a_source_that_cannot_be_had_is_told_where_it_is_opened():
    resource = pytest.importorskip("resource")
    settings = replace(QUICK, source=SourceSettings(kind="netlink"))
    with Watch(settings, lambda _: None):
        pass  # everything is imported now
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, before[1]))
    try:
        with pytest.raises((SourceError, OSError)), Watch(settings, lambda _: None):
            pass
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
