"""netusage live as a process on a pseudo-terminal: keys, sizes, traffic, recorders, and how it ends."""

import os
import pwd
import re
import signal
import subprocess
import sys
from functools import partial

import pytest
from live.screens import Terminal
from live.talk import talk
from support.patience import until

from netusage.live.graph import ASCII, EIGHTHS

pytestmark = pytest.mark.system
COUNTED = {"NETUSAGE_INTERFACES_COUNTED": "lo"}
SOCKETS = {"NETUSAGE_RECORDER_APPLICATIONS": "sockets"}
ALONE = "no recorder is running: nothing is recorded; start one with: netusage daemon"
COLOURS = re.compile(rb"\x1b\[(?:[0-9;:]*[;:])?(?:3[0-8]|4[0-8]|9[0-7]|10[0-7])(?:[;:][0-9;:]*)?m")


@pytest.fixture
def terminals():
    """Makes terminals; they go away at the end."""
    made = []

    def make(*size):
        made.append(Terminal(*size))
        return made[-1]

    yield make
    for terminal in made:
        terminal.hang_up()


@pytest.fixture
def live(start, ledger, terminals):
    """Starts it on a terminal, and waits until interfaces are on the screen."""

    def begin(*arguments, size=(80, 24), environment=None):
        terminal = terminals(*size)
        process = start(
            "live", "--db", ledger, "--tz", "UTC", *arguments, terminal=terminal.slave,
            environment=COUNTED | {"TERM": "xterm-256color"} | (environment or {}),
        )  # fmt: skip
        terminal.wait_for(lambda text: re.search(r"^ {2}lo .*/s", text, re.MULTILINE))
        return process, terminal

    return begin


def has_applications(text):
    """Whether any application has a rate below the total."""
    below = text.partition("Total")[2].partition("\n")[2]
    return re.search(r"^ {2}(?!unattributed)\S.* [\d.]+ kB/s", below, re.MULTILINE)


def has_bars(blocks, text):
    """Whether there is any bar of what is received; how high it is depends on what else the machine does."""
    received = text.partition("total received")[2].partition("total sent")[0]
    below_heading = received.partition("\n")[2]
    return set(below_heading) & set(blocks.strip())


def rate_of(terminal, name):
    """Whether anything comes now, by the row of an interface or application."""
    return not terminal.line(name).split(name)[1].split()[0].startswith("0")


def test_traffic_moves_the_numbers_and_the_graph(live):
    process, terminal = live()
    assert ALONE in terminal.text()
    with talk():
        terminal.wait_for(lambda _: rate_of(terminal, "  lo "))
        terminal.wait_for(lambda _: rate_of(terminal, "  Total "))
        terminal.wait_for(partial(has_bars, EIGHTHS))
    assert "today: recorded" not in terminal.text()
    terminal.press("q")
    assert process.wait() == 0
    assert terminal.is_restored()


def test_applications_are_seen_without_a_recorder_and_one_can_be_looked_at_alone(live):
    process, terminal = live(environment=SOCKETS)
    terminal.press("a")
    terminal.wait_for("told apart by: sockets")
    own = pwd.getpwuid(os.getuid()).pw_name
    with talk():
        terminal.press("/", *own, "enter")
        terminal.wait_for(has_applications, 30)
        terminal.press("enter")
        text = terminal.wait_for("by interface")
    assert "by user" in text
    assert "loopback" in text
    terminal.press("q")
    assert process.wait() == 0


def test_keys_do_what_the_footer_says(live):
    process, terminal = live()
    terminal.press("?")
    terminal.wait_for("reset the trip meter")
    terminal.press("x")
    terminal.wait_for("1 bar = 1 s")
    terminal.press("+")
    terminal.wait_for("1 bar = 2 s")
    terminal.press("t")
    terminal.wait_for(lambda text: re.search(r"since \d\d:\d\d +trip \d\d:\d\d$", text, re.MULTILINE))
    terminal.press("/", "l", "o")
    terminal.wait_for("with 'lo': 1")
    terminal.press("enter", "s", "S", "down", "enter")
    terminal.wait_for("lo  loopback, up, in the machine's total: put in by the configuration")
    terminal.press("a")
    terminal.wait_for("i interfaces")
    terminal.press("i", "p")
    terminal.wait_for("PAUSED, counting goes on")
    terminal.press("\x03")
    assert process.wait() == 130
    assert terminal.is_restored()


def test_while_it_is_paused_the_screen_stands_still_and_counting_goes_on(live):
    process, terminal = live()
    with talk():
        terminal.wait_for(lambda _: rate_of(terminal, "  lo "))
        terminal.press("p")
        terminal.wait_for("PAUSED")
        _let_work(process.pid)
        before = terminal.text()
        _let_work(process.pid)
        assert terminal.text() == before
        terminal.press("p")
        terminal.wait_for(lambda text: "PAUSED" not in text and text != before)
    terminal.press("q")
    assert process.wait() == 0


def _let_work(pid):
    """Wait until a process has worked for some hundredths of a second: it has read counters meanwhile."""
    before = _cpu_ticks(pid)
    until(lambda: _cpu_ticks(pid) >= before + 2, "it to go on", seconds=30)


def _cpu_ticks(pid):
    with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return int(fields[11]) + int(fields[12])


def test_it_follows_the_size_of_the_terminal(live):
    process, terminal = live(size=(200, 60))
    wide = terminal.lines()
    assert len(wide[-1]) < 200
    assert "↓ since" in terminal.text()
    assert terminal.line("top =").endswith("/s")
    assert len(terminal.line("top =")) == 200
    terminal.resize(80, 24, process)
    terminal.wait_for(lambda _: len(terminal.line("top =")) == 80 and "q quit" in terminal.lines()[23])
    terminal.resize(30, 6, process)
    terminal.wait_for("netusage live needs 40x8")
    terminal.resize(120, 40, process)
    terminal.wait_for(lambda text: "top =" in text and len(terminal.line("top =")) == 120)
    terminal.press("q")
    assert process.wait() == 0


def test_no_color_means_none_and_otherwise_directions_have_one_each(live):
    for environment, has_colours in (({"NO_COLOR": "1"}, False), ({}, True)):
        process, terminal = live(environment=environment)
        with talk():
            terminal.wait_for(partial(has_bars, EIGHTHS))
        terminal.press("a", "down", "?", "q", "q")
        assert process.wait() == 0
        terminal.lines()
        assert bool(COLOURS.search(terminal.raw)) is has_colours


@pytest.mark.parametrize("size", [(80, 24), (200, 60)])
def test_text_has_the_colour_of_the_terminal_and_only_bars_have_another(live, size):
    process, terminal = live(size=size, environment=SOCKETS)
    seen = set()
    with talk():
        terminal.wait_for(partial(has_bars, EIGHTHS))
        for keys, shows in (
            ("", "Interfaces"), (["down", "enter"], "esc back"), ("a", "told apart by: sockets"), ("t", "trip"),
            ("p", "PAUSED"), ("?", "reset the trip meter"), ("x/x", "filter: x_"),
        ):  # fmt: skip
            terminal.press(*keys)
            terminal.wait_for(shows)
            seen |= terminal.colours()
    terminal.press("enter", "q")
    assert process.wait() == 0
    assert {behind for _, _, behind in seen} == {"default"}
    coloured = {(character, colour) for character, colour, _ in seen if colour != "default"}
    assert {colour for _, colour in coloured} == {"0087d7", "d75f00"}
    assert {character for character, _ in coloured} <= set(EIGHTHS)


@pytest.mark.parametrize("kind", ["linux", "xterm"])
def test_where_colours_are_what_a_palette_says_there_are_none(live, kind):
    process, terminal = live(environment={"TERM": kind, "COLORTERM": ""})
    with talk():
        terminal.wait_for(partial(has_bars, EIGHTHS))
    assert {(colour, behind) for _, colour, behind in terminal.colours()} == {("default", "default")}
    terminal.press("q")
    assert process.wait() == 0


def test_without_unicode_everything_is_ascii(live):
    process, terminal = live(environment={"PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii", "LC_ALL": "C"})
    with talk():
        terminal.wait_for(partial(has_bars, ASCII))
    assert terminal.text().isascii()
    terminal.press("q")
    assert process.wait() == 0
    assert terminal.raw.isascii()


def test_it_attaches_to_a_recorder_and_notices_when_that_is_killed(live, record, ledger):
    daemon = record(None, commit="500ms", environment=COUNTED | SOCKETS)
    process, terminal = live()
    terminal.wait_for(f"recorder: process {daemon.pid}")
    with talk():
        terminal.press("a")
        terminal.wait_for("told apart by: sockets")
        text = terminal.wait_for(lambda text: has_applications(text) and "  unattributed " in text, 30)
        assert re.search(r"today: recorded until \d\d:\d\d:\d\d", text)
        assert re.search(r"applications: every \d+s, from the recorder", text)
    daemon.kill()
    terminal.wait_for(ALONE)
    assert "today: recorded until" in terminal.text()
    terminal.press("q")
    assert process.wait() == 0


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGHUP, 143)]
)
def test_a_signal_ends_it_with_the_terminal_restored(live, number, code):
    process, terminal = live()
    assert process.stop(number) == code
    assert terminal.is_restored()


def test_a_terminal_that_goes_away_ends_it(live):
    process, terminal = live()
    terminal.hang_up()
    assert process.wait() != 0


def test_interfaces_can_be_chosen_and_hidden(live, start):
    process, terminal = live("--interface", "l?", "--bits", environment={"NETUSAGE_INTERFACES_HIDDEN": "*"})
    rows = terminal.text().split("Total")[1].splitlines()[1:-1]
    assert [row.split()[0] for row in rows if row] == ["lo"]
    assert "bit/s" in terminal.text()
    terminal.press("q")
    assert process.wait() == 0


@pytest.mark.parametrize("variables", [{"TERM": "dumb"}, {}])
def test_where_nothing_can_be_drawn_it_says_what_to_use_instead(start, terminals, variables):
    terminal = terminals() if variables else None
    process = start("live", terminal=terminal and terminal.slave, environment=variables)
    assert process.wait() == 2
    said = (terminal.text() if terminal else process.err).replace("\n", "")
    assert said == (
        "netusage: netusage live needs a terminal that can be drawn on; use netusage track, or netusage report minute"
    )


def test_without_textual_it_says_what_to_install(start, terminals, tmp_path):
    (tmp_path / "textual.py").write_text("raise ModuleNotFoundError('no', name='textual')")
    terminal = terminals(120, 24)
    process = start("live", terminal=terminal.slave, environment={"PYTHONPATH": str(tmp_path)})
    assert process.wait() == 1
    assert terminal.lines()[0] == (
        "netusage: netusage live needs the package textual; pip install 'netusage[tui]'"
    )


def test_its_help_needs_neither_a_terminal_nor_textual():
    code = "import sys; from netusage.cli.failures import run; run(['live', '--help']); print('textual' in sys.modules)"
    done = subprocess.run((sys.executable, "-c", code), capture_output=True, text=True, check=True)
    assert done.stdout.index("Examples:") < done.stdout.index("Options:")
    assert done.stdout.endswith("False\n")
