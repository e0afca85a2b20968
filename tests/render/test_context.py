"""What the environment and the stream say about colour and width."""

import io
import os
import struct

import pytest

from netusage.render.context import (
    RenderContext,
    can_animate,
    detect,
    is_terminal,
    terminal_width,
    wants_color,
)
from netusage.units import Units

fcntl = pytest.importorskip("fcntl", reason="this system has no pseudo-terminals")
pty = pytest.importorskip("pty", reason="this system has no pseudo-terminals")
termios = pytest.importorskip("termios", reason="this system has no pseudo-terminals")


@pytest.fixture
def terminal():
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("4H", 30, 132, 0, 0))
    with os.fdopen(follower, "w") as stream, os.fdopen(leader, "rb"):
        yield stream


@pytest.mark.parametrize(
    ("environ", "on_terminal", "in_pipe"),
    [
        ({"TERM": "xterm"}, True, False),
        ({}, True, False),
        ({"TERM": "dumb"}, False, False),
        ({"NO_COLOR": "1"}, False, False),
        ({"NO_COLOR": ""}, True, False),
        ({"FORCE_COLOR": "1"}, True, True),
        ({"FORCE_COLOR": "0"}, True, False),
        ({"FORCE_COLOR": ""}, True, False),
        ({"FORCE_COLOR": "1", "TERM": "dumb"}, True, True),
        ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, False, False),
    ],
)
def test_colour_follows_the_conventions(terminal, environ, on_terminal, in_pipe):
    assert wants_color(terminal, environ) is on_terminal
    assert wants_color(io.StringIO(), environ) is in_pipe


def test_only_a_terminal_that_is_not_dumb_is_animated(terminal):
    assert can_animate(terminal, {"TERM": "xterm"})
    assert not can_animate(terminal, {"TERM": "dumb"})
    assert not can_animate(io.StringIO(), {"FORCE_COLOR": "1"})


def test_the_width_is_what_the_terminal_or_columns_says(terminal):
    assert terminal_width(terminal, {}) == 132
    assert terminal_width(terminal, {"COLUMNS": "99"}) == 99
    assert terminal_width(terminal, {"COLUMNS": "wide"}) == 132
    assert terminal_width(terminal, {"COLUMNS": "0"}) == 132


def test_a_terminal_that_does_not_know_its_width_has_eighty_cells(terminal):
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("4H", 0, 0, 0, 0))
    assert terminal_width(terminal, {}) == 80


def test_a_pipe_has_no_width_whatever_columns_says():
    assert terminal_width(io.StringIO(), {"COLUMNS": "99"}) is None


def test_a_closed_stream_is_no_terminal():
    stream = io.StringIO()
    stream.close()
    assert not is_terminal(stream)


def test_the_context_of_a_stream_holds_what_was_found_and_what_was_asked_for(terminal):
    assert detect(terminal, {"TERM": "xterm"}, units=Units.IEC, bits=True) == RenderContext(
        units=Units.IEC, bits=True, color=True, width=132
    )
    assert detect(io.StringIO(), {}) == RenderContext()
