"""The threads behind the screen, with the real kernel and real recorders."""

import contextlib
import threading
from dataclasses import replace

import pytest
from live.talk import talk
from live.told import FIREFOX, UTC, use
from support.patience import until

from netusage.live.feeds import Feeds, _OwnApplications
from netusage.live.history import Both
from netusage.live.state import State
from netusage.model import NS, US, Counters, Instant
from netusage.recorder.watch import InterfaceNow, Present, Rates
from netusage.settings.schema import InterfaceSettings, RecorderSettings, Settings

pytestmark = pytest.mark.system
SETTINGS = Settings(
    recorder=RecorderSettings(applications="off", pins="off"), interfaces=InterfaceSettings(counted=("lo",))
)
SOCKETS = replace(SETTINGS, recorder=replace(SETTINGS.recorder, applications="sockets"))
COUNTED = {"NETUSAGE_INTERFACES_COUNTED": "lo"}


@contextlib.contextmanager
def fed(settings, path):
    """A state that takes whatever is told."""
    state = State()
    with Feeds(settings, str(path), UTC) as feeds:

        def has(truth):
            def taken():
                for news in feeds.news():
                    state.take(news)
                return truth(state)

            until(taken, lambda: f"something else than {vars(state)}")
            return state

        yield has


def told_apart_here(*presents):
    """What is told of applications when these are the readings, one a second."""
    told = []
    own = _OwnApplications(SETTINGS, told.append)
    for second, (counted, had) in enumerate(presents, 1):
        counters = Counters(counted, 0, 0, 0)
        interface = InterfaceNow("eth0", "", True, True, "hardware", Rates(), counters)
        applications = {use(FIREFOX): Counters(had, 0, 0, 0)}
        at = Instant(second * NS, second * NS, second * US)
        own._on_present(Present(at, second * US, Rates(), counters, (interface,), applications))
    return told


def test_what_applications_had_is_compared_with_the_reading_until_which_it_was_counted():
    told = told_apart_here((1000, 0), (1500, 900), (9000, 1400))
    assert [(one.more, one.passed_us, one.counted, one.total) for one in told] == [
        ({use(FIREFOX): Both(900, 0)}, US, {"eth0": Both(1000, 0)}, Both(1000, 0)),
        ({use(FIREFOX): Both(500, 0)}, US, {"eth0": Both(500, 0)}, Both(500, 0)),
    ]


def own_threads():
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("netusage")]


def rest_of(state):
    """What no application is known of, received since it began."""
    return state.application_row("unattributed").since.rx


@pytest.mark.alone
def test_without_a_recorder_applications_are_told_apart_here(ledger):
    with fed(SOCKETS, ledger) as has:
        state = has(lambda state: state.tier == "sockets" and state.begun_us)
        assert state.recorder is None
        with talk():
            # headers, which sockets do not count, are a small part of it, when a look has seen the sockets
            has(
                lambda state: (
                    10_000 < 2 * rest_of(state) < sum(row.since.rx for row in state.application_rows())
                )
            )
        assert has(lambda state: state.total().since.rx > 10_000).total().today is None
    assert own_threads() == []


def test_where_applications_are_not_wanted_nothing_is_read_of_them(ledger):
    with fed(SETTINGS, ledger) as has:
        has(lambda state: state.history.seconds >= 3)
        assert sorted(own_threads()) == ["netusage-live", "netusage-watch"]


def test_a_recorder_that_comes_is_attached_to_and_one_that_is_killed_is_missed(record, ledger):
    with fed(SOCKETS, ledger) as has:
        has(lambda state: state.tier == "sockets")
        daemon = record(
            None, commit="500ms", environment=COUNTED | {"NETUSAGE_RECORDER_APPLICATIONS": "sockets"}
        )
        state = has(lambda state: state.recorder == daemon.pid)
        with talk():
            has(lambda state: state.total().today is not None and state.total().today.rx > 10_000)
            has(lambda state: state.application_rows() and state.has_today)
            has(lambda state: 0 < state.passed_us <= 3_000_000)
        until(lambda: own_threads().count("netusage-watch") == 1, "what reads applications here to end")
        daemon.kill()
        until(lambda: has(lambda state: state.recorder is None), "the recorder to be missed")
        until(lambda: own_threads().count("netusage-watch") == 2, "applications to be told apart here again")
        assert state.has_today
