"""The screen as text at every size; whole screens are kept in `snapshots`.

Snapshots are written anew with NETUSAGE_UPDATE_SNAPSHOTS=1; look at what has changed before it is kept.
"""

import os
import re
from pathlib import Path

import pytest
from live.told import BACKUP, EVIL, FIREFOX, Told, busy_house, look, text, use

from netusage.live.frame import LEAST_HEIGHT, LEAST_WIDTH, frame
from netusage.live.graph import EIGHTHS
from netusage.live.history import Both
from netusage.live.news import Recorded, Trouble
from netusage.render.cells import width
from netusage.units import Units

STYLES = {"", "bold", "head", "rx", "tx", "picked", "warning"}
SNAPSHOTS = Path(__file__).parent / "snapshots"
SIZES = [(80, 24), (200, 60), (40, 8), (40, 17), (40, 18), (131, 18), (61, 100), (300, 9)]


def compare(name, lines):
    path = SNAPSHOTS / f"{name}.txt"
    found = "\n".join(text(lines)) + "\n"
    if os.environ.get("NETUSAGE_UPDATE_SNAPSHOTS") == "1":
        path.write_text(found, "utf-8")
    assert found == path.read_text("utf-8")


def press(board, keys):
    for key in keys:
        board.press(key, key if len(key) == 1 else None)


@pytest.mark.parametrize("size", [(80, 24), (200, 60)], ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize(
    ("name", "keys"),
    [
        ("interfaces", []),
        ("applications", ["a", "down"]),
        ("trip", ["t", "s", "S"]),
        ("interface", ["down", "enter", "+", "+"]),
        ("application", ["a", "enter"]),
        ("nginx", ["a", "end", "enter"]),
        ("unattributed", ["a", "down", "down", "enter"]),
        ("help", ["?"]),
        ("filter", ["a", "/", "f", "o"]),
        ("paused", ["p"]),
    ],
)
def test_the_screen_is_as_it_was(name, keys, size):
    board = busy_house().board
    frame(board, look(), *size)
    press(board, keys)
    lines = frame(board, look(), *size)
    compare(f"{name}-{size[0]}x{size[1]}", lines)
    of_bars = [span.text for line in lines for span in line if span.style in ("rx", "tx")]
    assert set("".join(of_bars)) <= set(EIGHTHS)  # text is never in colour
    assert {span.style for line in lines for span in line} <= STYLES


def test_the_screen_without_a_recorder_is_as_it_was():
    told = Told("eth0", "lo")
    for _ in range(3):
        told.present(eth0=(1_234_567, 89_012), lo=(5, 5))
    told.state.take(Recorded(None))
    compare("alone-80x24", frame(told.board, look(), 80, 24))


def test_the_screen_of_a_terminal_without_unicode_is_as_it_was():
    lines = frame(busy_house().board, look(Units.IEC, bits=True, encoding="ascii"), 80, 24)
    assert all(line.isascii() for line in text(lines))
    compare("ascii-80x24", lines)


def hostile():
    """Names that would break out, and more rows than fit."""
    told = busy_house()
    told.counters["很长的接口名字" * 20] = told.counters["eth0"]
    told.present(7, eth0=(10**15, 10**14), lo=(1, 1))
    told.spent(
        7, (use(EVIL), 10**15, 1), *((use(FIREFOX._replace(name=f"app {n}")), n, n) for n in range(90))
    )
    told.recorded(
        until=97, applications={use(EVIL): Both(10**17, 0)}, interfaces={"eth0": Both(10**18, 10**18)}
    )
    return told


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("encoding", [None, "ascii", "latin-1"])
def test_every_line_fits_and_nothing_breaks_out(size, encoding):
    told = hostile()
    for written in (look(encoding=encoding), look(Units.IEC, bits=True, encoding=encoding)):
        for keys in ("", "a", "aj", "t", "+", "e", "?", "/x", "p"):
            board = told.board
            press(board, ["escape", "escape", "i", *(["enter"] if keys == "e" else keys)])
            for _ in range(2):
                lines = frame(board, written, *size)
                assert len(lines) == size[1]
                for line in lines:
                    whole = "".join(span.text for span in line)
                    assert width(whole) <= size[0], whole
                    assert whole.isprintable(), whole
                    whole.encode(encoding or "utf-8")
                press(board, ["a", "end", "enter"])
            press(board, ["escape", "escape", "escape", "p" if board.paused else "escape"])


@pytest.mark.parametrize("size", [(LEAST_WIDTH - 1, 24), (80, LEAST_HEIGHT - 1), (1, 1), (10, 3)])
def test_a_terminal_that_is_too_small_is_told_so(size):
    lines = frame(busy_house().board, look(), *size)
    assert len(lines) == size[1]
    assert text(lines)[0] == "netusage live needs 40x8"[: size[0]].rstrip()


def test_the_whole_width_is_used_by_the_graph_and_its_newest_bar_is_at_the_right_edge():
    told = Told("eth0")
    for _ in range(200):
        told.present(eth0=(1_000_000, 0))
    rows = text(frame(told.board, look(), 80, 24))[3:6]
    assert rows == ["█" * 80] * 3


@pytest.mark.parametrize(
    ("news", "said"),
    [
        (Recorded(None), "no recorder is running: nothing is recorded; start one with: netusage daemon"),
        (Recorded(0), "a recorder is running; it does not tell applications apart"),
        (Recorded(7), "recorder: process 7; it does not tell applications apart"),
        (Recorded(7, trouble="the ledger\x1b is damaged"), "the ledger\\x1b is damaged"),
        (Trouble("no counters"), "nothing is read any more: no counters"),
    ],
)
def test_who_records_and_what_is_wrong_is_said_below_the_title(news, said):
    told = Told("eth0")
    told.present()
    told.state.take(news)
    assert text(frame(told.board, look(), 80, 24))[1] == said


def test_of_a_recorder_it_is_said_how_often_applications_come():
    told = busy_house()
    assert text(frame(told.board, look(), 80, 24))[1] == (
        "recorder: process 4242; applications: every 10s, from the recorder"
    )


@pytest.mark.parametrize(
    ("recorder", "tier", "said"),
    [
        (7, "kernel", "no application has had anything yet"),
        (None, "sockets", "no application has had anything yet"),
        (7, "", "the recorder does not tell applications apart; see: netusage doctor"),
        (None, "", "applications are not told apart here; see: netusage doctor"),
    ],
)
def test_an_empty_list_says_why_it_is(recorder, tier, said):
    told = Told("eth0")
    told.present()
    told.state.take(Recorded(recorder))
    told.spent(1, tier=tier)
    press(told.board, "a")
    assert said in "\n".join(text(frame(told.board, look(), 80, 24)))
    press(told.board, "/x")
    assert "nothing has such a name" in "\n".join(text(frame(told.board, look(), 80, 24)))


def test_an_interface_that_is_looked_at_and_goes_away_is_gone():
    told = Told("eth0", "tun0")
    told.present()
    press(told.board, ["end", "enter"])
    assert "tun0  up, in the machine's total: hardware" in text(frame(told.board, look(), 80, 24))
    del told.counters["tun0"]
    told.present()
    assert "tun0 is gone" in text(frame(told.board, look(), 80, 24))


def test_the_trip_of_another_day_has_its_date():
    told = Told("eth0")
    told.present()
    press(told.board, "t")
    told.present(86400)
    head = text(frame(told.board, look(), 80, 24))[11]
    assert re.search(r"since 10 Mar +trip 10 Mar$", head)


def test_colour_is_never_all_that_tells_directions_apart():
    lines = text(frame(busy_house().board, look(), 80, 24))
    assert [line.split("  ")[0] for line in lines if "top =" in line] == ["↓ total received", "↑ total sent"]
    assert "↓ now" in lines[11]
    assert "↑ now" in lines[11]


def test_names_are_wide_where_there_is_room_and_columns_are_left_out_where_there_is_none():
    told = busy_house()
    press(told.board, "t")
    wide = text(frame(told.board, look(), 200, 60))
    assert any("loopback: stays within the machine" in line for line in wide)
    narrow = text(frame(told.board, look(), 50, 24))
    assert "trip" in narrow[11]
    assert "today" not in narrow[11]


def test_applications_are_known_by_their_users_and_units_where_there_is_room():
    board = busy_house().board
    press(board, "a")
    line = next(one for one in text(frame(board, look(), 200, 60)) if BACKUP.name in one)
    assert line.endswith("root backup.service")


def test_parts_that_do_not_fit_are_added_up_in_the_last_line():
    told = Told("eth0")
    told.present(eth0=(5000, 0))
    told.spent(1, *((use(FIREFOX._replace(name=f"n{n}")), 100 * n, 0) for n in range(9)))
    press(told.board, ["enter"])
    lines = text(frame(told.board, look(), 40, 17))
    heads = [n for n, line in enumerate(lines) if line.startswith("by ")]
    of_applications = lines[heads[0] + 1 : heads[1]]
    assert of_applications[0].split() == ["unattributed", "-", "1.40", "kB"]
    assert re.fullmatch(r"9 more +- +3.60 kB", of_applications[-1])


def test_what_was_delivered_twice_is_negative_and_says_what_it_is():
    told = Told("eth0")
    for _ in range(2):
        told.present(eth0=(10**9, 10))
        told.spent(1, (use(FIREFOX), 3 * 10**9, 0))
    press(told.board, ["a", "end"])
    for size in ((80, 24), (200, 60)):
        assert "-1.00 GB" in "\n".join(text(frame(told.board, look(), *size)))
    press(told.board, ["enter"])
    assert "delivered twice  more than interfaces counted, as of multicast to two sockets" in text(
        frame(told.board, look(), 80, 24)
    )
