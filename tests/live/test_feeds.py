"""The threads behind the screen, with the real kernel and real recorders."""

import contextlib
import threading
from dataclasses import replace

import pytest
from live.talk import talk
from live.told import UTC
from support.patience import until

from netusage.live.feeds import Feeds
from netusage.live.state import State
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


def own_threads():
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("netusage")]


def test_without_a_recorder_applications_are_told_apart_here(ledger):
    with fed(SOCKETS, ledger) as has:
        state = has(lambda state: state.tier == "sockets" and state.begun_us)
        assert state.recorder is None
        with talk():
            has(lambda state: any(row.since.total > 10_000 for row in state.application_rows()))
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
