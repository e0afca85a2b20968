"""Waiting for time, events and signals, with real ones."""

import os
import signal
import socket
import threading

import pytest

from netusage.errors import ExitCode
from netusage.model import NS
from netusage.recorder.waiting import SignalWaiter, Wake

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs signals as POSIX has them")

LONG_NS = 60 * NS  # only a broken waiter waits that long


@pytest.fixture
def ends():
    near, far = socket.socketpair()
    yield near, far
    near.close()
    far.close()


def test_nothing_but_time_ends_it_with_nothing(ends):
    with SignalWaiter() as waiter:
        assert waiter.wait(1000, ends[0].fileno()) == Wake()
        assert waiter.wait(-5, None) == Wake()


def test_a_readable_descriptor_ends_it(ends):
    ends[1].send(b"x")
    with SignalWaiter() as waiter:
        assert waiter.wait(LONG_NS, ends[0].fileno()) == Wake(events=True)


def test_a_descriptor_that_is_not_asked_about_does_not_end_it(ends):
    ends[1].send(b"x")
    with SignalWaiter() as waiter:
        assert waiter.wait(1000, None) == Wake()
        assert waiter.wait(LONG_NS, ends[0].fileno()).events


def test_another_descriptor_after_the_first_is_watched_as_well(ends):
    with SignalWaiter() as waiter:
        assert waiter.wait(1000, ends[0].fileno()) == Wake()
        ends[0].send(b"x")
        assert waiter.wait(LONG_NS, ends[1].fileno()).events


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, ExitCode.INTERRUPTED), (signal.SIGTERM, ExitCode.TERMINATED)]
)
def test_a_signal_asks_to_stop_with_its_code(number, code):
    with SignalWaiter() as waiter:
        signal.raise_signal(number)
        assert waiter.wait(LONG_NS, None) == Wake(stop=code)
        assert waiter.wait(LONG_NS, None).stop is code


def test_a_signal_that_comes_while_it_waits_ends_it():
    with SignalWaiter() as waiter:
        sender = threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGTERM))
        sender.start()
        assert waiter.wait(LONG_NS, None).stop is ExitCode.TERMINATED
        sender.join()


def test_sighup_asks_once_to_reload():
    with SignalWaiter() as waiter:
        signal.raise_signal(signal.SIGHUP)
        assert waiter.wait(LONG_NS, None) == Wake(reload=True)
        assert waiter.wait(1000, None) == Wake()


def test_many_signals_at_once_are_one(ends):
    with SignalWaiter() as waiter:
        for _ in range(200):
            signal.raise_signal(signal.SIGHUP)
        assert waiter.wait(LONG_NS, ends[0].fileno()).reload
        assert waiter.wait(1000, ends[0].fileno()) == Wake()


def test_the_second_request_to_stop_hurries():
    hurried = []
    with SignalWaiter(lambda: hurried.append(1)) as waiter:
        signal.raise_signal(signal.SIGINT)
        assert hurried == []
        signal.raise_signal(signal.SIGTERM)
        assert hurried == [1]
        assert waiter.wait(LONG_NS, None).stop is ExitCode.INTERRUPTED


def test_the_earlier_handlers_come_back():
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    with SignalWaiter():
        assert signal.getsignal(signal.SIGTERM) != before[signal.SIGTERM]
    assert {number: signal.getsignal(number) for number in before} == before


def test_the_earlier_handlers_come_back_after_an_error():
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(RuntimeError), SignalWaiter():
        raise RuntimeError
    assert signal.getsignal(signal.SIGTERM) == before
