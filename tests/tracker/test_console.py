"""What the tracker prints."""

import io
import os

import pytest

from netusage.model import US
from netusage.periods import zone
from netusage.tracker.console import Console, Moment
from netusage.units import Units

MOMENT = Moment(
    at_us=1_772_366_400 * US,
    running_us=3_723_900_000,
    sent=1_234_567,
    received=20_000_000,
    sent_rate=1500,
    received_rate=2_500_000,
)


class Terminal(io.StringIO):
    """A stream that remembers what was written and knows an encoding."""

    encoding = "utf-8"


class Ascii(io.StringIO):
    """A stream that has no arrows."""

    encoding = "ascii"


class Broken(io.StringIO):
    """A stream that cannot be written to."""

    def write(self, _):
        raise OSError(28, os.strerror(28))


def console(stream, **options):
    """A console whose troubles are kept in its list `troubles`."""
    troubles = []
    choices = {"units": Units.SI, "zone": zone("UTC"), "bits": False, "live": False} | options
    made = Console(stream, choices.pop("units"), choices.pop("zone"), trouble=troubles.append, **choices)
    made.troubles = troubles
    return made


def test_a_logged_line_has_the_local_time_and_the_amounts_in_the_unit_it_names():
    stream = Terminal()
    console(stream, zone=zone("Europe/Berlin")).log(MOMENT)
    assert stream.getvalue() == "2026-03-01 13:00:00  sent 1.23 MB  received 20.00 MB  total 21.23 MB\n"


def test_binary_units_are_named():
    stream = Terminal()
    console(stream, units=Units.IEC).log(MOMENT)
    assert stream.getvalue().endswith("sent 1.18 MiB  received 19.07 MiB  total 20.25 MiB\n")


def test_nothing_is_drawn_where_nothing_can_be_redrawn():
    stream = Terminal()
    printer = console(stream)
    printer.draw(MOMENT)
    printer.clear()
    assert stream.getvalue() == ""


@pytest.mark.parametrize("columns", [200, 80, 40, 10])
def test_the_live_line_fits_its_terminal_and_gives_way_to_lines_that_stay(monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    stream = Terminal()
    printer = console(stream, live=True)
    printer.draw(MOMENT)
    printer.draw(MOMENT)
    printer.text("stays")
    printer.text("stays too")
    _, first, second, rest = stream.getvalue().split("\r\x1b[K")
    assert first == second
    assert rest == "stays\nstays too\n"
    assert len(first) < columns
    assert first.startswith("↓ 2.50 MB"[: columns - 1])
    assert ("received 20.00 MB" in first) == (columns == 200)
    assert ("1h2m3s" in first) == (columns >= 80)


def test_rates_are_in_bits_when_bits_are_asked_for(monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    stream = Terminal()
    console(stream, live=True, bits=True).draw(MOMENT)
    assert "↓ 20.00 Mbit/s  ↑ 12.00 kbit/s" in stream.getvalue()


def test_a_stream_without_arrows_gets_words(monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    stream = Ascii()
    console(stream, live=True).draw(MOMENT)
    assert "down 2.50 MB/s  up 1.50 kB/s" in stream.getvalue()


def test_the_live_line_is_taken_away_for_what_others_print(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    stream = Terminal()
    printer = console(stream, live=True)
    printer.draw(MOMENT)
    printer.clear()
    printer.clear()
    assert stream.getvalue().endswith("1h2m3s\r\x1b[K")


def test_a_stream_that_cannot_be_written_to_is_told_and_no_failure():
    printer = console(Broken(), live=True)
    printer.log(MOMENT)
    printer.draw(MOMENT)
    printer.clear()
    assert [error.strerror for error in printer.troubles] == ["No space left on device"] * 3


def test_a_program_without_a_standard_output_prints_nothing():
    printer = console(None, live=True)
    printer.log(MOMENT)
    printer.draw(MOMENT)
    assert printer.troubles == []
