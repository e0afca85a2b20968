"""Processes beside a recorder: one at a time, and not longer than the recorder."""

import os

import pytest

from netusage.clock import SystemClock
from netusage.errors import ExitCode, LedgerHeldError
from netusage.recorder.beside import Beside


def held_by_another():
    raise LedgerHeldError("somebody else has it")


@pytest.fixture
def ended_input():
    """Standard input that is at its end, as a recorder that ended leaves it."""
    kept, nothing = os.dup(0), os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    yield
    os.dup2(kept, 0)
    os.close(kept)
    os.close(nothing)


def test_whoever_was_started_by_hand_is_told_at_once_that_somebody_else_has_it():
    with Beside(SystemClock(), print, with_recorder=False) as beside, pytest.raises(LedgerHeldError):
        beside.held(held_by_another)


@pytest.mark.usefixtures("ended_input")
def test_nothing_is_waited_for_when_the_recorder_has_ended():
    with Beside(SystemClock(), print, with_recorder=True) as beside:
        assert beside.held(held_by_another) is None
        assert beside.code == ExitCode.OK
        assert beside.held(lambda: "a turn") == "a turn"


@pytest.mark.usefixtures("ended_input")
def test_what_is_due_is_done_before_it_ends_with_the_recorder():
    turns = []

    def turn():
        turns.append(1)
        return SystemClock().now().boot_ns + 60 * 10**9

    with Beside(SystemClock(), print, with_recorder=True) as beside:
        assert beside.run(turn, held_by_another) == ExitCode.OK
    assert turns
