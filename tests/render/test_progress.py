"""Progress is silent for half a second, and never stops the work."""

import io

import pytest

from netusage.render.progress import progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


class Time:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


def work(stream, *durations, total=None, count=1, environ=None):
    clock = Time()
    with progress("Verifying", total=total, stream=stream, environ=environ or {}, clock=clock) as advance:
        for duration in durations:
            clock.now += duration
            advance(count)
    return stream.getvalue()


@pytest.mark.parametrize("stream_type", [io.StringIO, Terminal])
def test_nothing_is_written_about_what_takes_less_than_half_a_second(stream_type):
    assert work(stream_type(), 0.1, 0.1, 0.1, 0.1, total=4) == ""


def test_a_terminal_shows_one_line_that_is_written_over_and_cleared():
    assert work(Terminal(), 0.3, 0.3, 0.05, 0.1, total=8, count=2) == (
        "\r\x1b[KVerifying: 50 % (4 of 8)\r\x1b[KVerifying: 100 % (8 of 8)\r\x1b[K"
    )


@pytest.mark.parametrize("stream", [io.StringIO(), Terminal()])
def test_elsewhere_a_plain_line_is_written_every_ten_seconds_and_one_at_the_end(stream):
    text = work(stream, 0.6, 5.0, 5.0, 0.1, total=2000, count=500, environ={"TERM": "dumb"})
    assert text == (
        "Verifying: 25 % (500 of 2,000)\nVerifying: 75 % (1,500 of 2,000)\nVerifying: done in 10s700ms\n"
    )


def test_work_of_unknown_size_is_counted():
    assert work(io.StringIO(), 0.6, count=1234) == "Verifying: 1,234\nVerifying: done in 600ms\n"
    assert work(io.StringIO(), 0.6, count=0) == "Verifying ...\nVerifying: done in 600ms\n"


def test_more_than_everything_is_everything():
    assert work(io.StringIO(), 0.6, total=2, count=5).startswith("Verifying: 100 % (5 of 2)\n")
    assert work(io.StringIO(), 0.6, total=0, count=0).startswith("Verifying: 100 % (0 of 0)\n")


@pytest.mark.parametrize(("stream", "end"), [(io.StringIO(), "(1 of 9)\n"), (Terminal(), "\r\x1b[K")])
def test_work_that_failed_is_not_done_and_its_error_passes(stream, end):
    clock = Time()

    def fail():
        with progress("Verifying", total=9, stream=stream, environ={}, clock=clock) as advance:
            clock.now += 1
            advance()
            raise LookupError

    with pytest.raises(LookupError):
        fail()
    assert stream.getvalue().endswith(end)


def test_a_stream_that_nobody_reads_does_not_stop_the_work():
    class Broken(io.StringIO):
        def write(self, _text):
            raise BrokenPipeError

    done = []
    clock = Time()
    with progress("Verifying", stream=Broken(), environ={}, clock=clock) as advance:
        for number in range(3):
            clock.now += 60
            advance()
            done.append(number)
    assert done == [0, 1, 2]
