"""Telling the service manager, over a real socket."""

import os
import socket
import sys

import pytest
from recorder.kernel import Kernel
from recorder.station import Station

from netusage.model import NS
from netusage.recorder.notify import Notifier, reloading

pytestmark = pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="needs unix sockets")


class Manager:
    """A service manager that listens."""

    def __init__(self, address):
        self.address = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind("\0" + address[1:] if address.startswith("@") else address)
        self._socket.setblocking(False)

    def heard(self):
        """The datagrams since the last call."""
        found = []
        while True:
            try:
                found.append(self._socket.recv(4096).decode())
            except BlockingIOError:
                return found

    def environment(self, **more):
        return {"NOTIFY_SOCKET": self.address, **more}

    def close(self):
        self._socket.close()


@pytest.fixture
def manager(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # a socket's address has 108 bytes
    manager = Manager("notify")
    yield manager
    manager.close()


def test_states_are_sent_in_one_datagram(manager):
    Notifier(manager.environment()).send("READY=1", "STATUS=recording")
    assert manager.heard() == ["READY=1\nSTATUS=recording"]


@pytest.mark.skipif(sys.platform != "linux", reason="abstract sockets are Linux's")
def test_an_abstract_socket_is_reached():
    manager = Manager(f"@netusage-test-{os.getpid()}")
    Notifier(manager.environment()).send("READY=1")
    assert manager.heard() == ["READY=1"]
    manager.close()


def test_a_manager_that_is_not_there_is_no_failure(tmp_path):
    Notifier({"NOTIFY_SOCKET": str(tmp_path / "nobody")}).send("READY=1")
    Notifier({}).send("READY=1")


def test_the_watchdog_is_fed_at_half_of_its_patience(manager):
    notifier = Notifier(manager.environment(WATCHDOG_USEC="10000000"))
    for second in range(21):
        notifier.alive(second * 1_000_000)
    assert manager.heard() == ["WATCHDOG=1"] * 5


def test_a_watchdog_that_does_not_watch_is_not_fed(manager):
    Notifier(manager.environment()).alive(5)
    Notifier(manager.environment(WATCHDOG_USEC="soon")).alive(5)
    Notifier(manager.environment(WATCHDOG_USEC="1000", WATCHDOG_PID=str(os.getpid() + 1))).alive(5)
    assert manager.heard() == []


def test_a_watchdog_for_this_process_is_fed(manager):
    Notifier(manager.environment(WATCHDOG_USEC="1000", WATCHDOG_PID=str(os.getpid()))).alive(5)
    assert manager.heard() == ["WATCHDOG=1"]


def test_a_reload_is_announced_with_the_time():
    assert reloading(3 * NS + 7_000) == ("RELOADING=1", "MONOTONIC_USEC=3000007")


def test_the_manager_hears_of_every_turn_in_a_recorders_life(manager, ledger):
    kernel = Kernel()
    kernel.add("eth0")
    station = Station(kernel, ledger, notifier=Notifier(manager.environment(WATCHDOG_USEC="4000000")))
    station.start()
    assert manager.heard() == ["READY=1\nSTATUS=recording"]
    station.run(4)
    assert manager.heard() == ["WATCHDOG=1"] * 2
    station.source.failure = "no answer"
    station.run(1)
    assert manager.heard() == ["STATUS=cannot read the counters: no answer", "WATCHDOG=1"]
    station.source.failure = ""
    station.run(1)
    assert manager.heard() == ["STATUS=recording"]
    station.stop()
    assert manager.heard() == ["STOPPING=1"]


def test_a_reload_ends_with_ready(manager, ledger):
    kernel = Kernel()
    station = Station(kernel, ledger, notifier=Notifier(manager.environment()), reload=lambda: 1 / 0)
    station._options["reload"] = lambda: (station.timing, station.rules)
    station.start()
    manager.heard()
    station.wake(reload=True)
    announced, ready = manager.heard()
    assert announced.startswith("RELOADING=1\nMONOTONIC_USEC=")
    assert ready == "READY=1"
    station.stop()
