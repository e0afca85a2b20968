"""The application on a terminal of textual's own making, with an injected clock: what is drawn is the frame."""

import asyncio

import pytest
from live.told import busy_house, look, text

from netusage.errors import ExitCode
from netusage.live.app import RX_COLOUR, TX_COLOUR, Lines, LiveApp
from netusage.live.frame import frame

pytestmark = pytest.mark.system
SIZES = [(80, 24), (200, 60)]


def drawn(app):
    """What stands on the screen."""
    strips = app.screen._compositor.render_strips()
    return ["".join(segment.text for segment in strip).rstrip() for strip in strips]


def shown_after(told, size, *keys, more=None):
    """The application's screen after some keys, and what the frame says it has to be."""

    async def scenario():
        app = LiveApp(told.board, look())
        async with app.run_test(size=size) as pilot:
            for key in keys:
                await pilot.press(key)
            if more is not None:
                more(told)
                app.on_live_app_arrived()
            await pilot.pause()
            found = drawn(app)
        return found, app.return_code

    found, code = asyncio.run(scenario())
    return found, text(frame(told.board, look(), *size)), code


def luminance(red, green, blue):
    """Of a colour, as WCAG 2 has it."""
    parts = [part / 255 for part in (red, green, blue)]
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize(
    "background",
    [(255, 255, 255), (0, 0, 0), (0xFD, 0xF6, 0xE3), (0, 0x2B, 0x36), (0x1E, 0x1E, 0x1E)],
    ids=["white", "black", "Solarized light", "Solarized dark", "GNOME dark"],
)
@pytest.mark.parametrize("number", [RX_COLOUR, TX_COLOUR])
def test_bars_stand_out_from_light_and_from_dark(number, background):
    assert 16 <= number <= 231  # the cube, which no palette changes
    levels = (0, 95, 135, 175, 215, 255)
    colour = [levels[(number - 16) // step % 6] for step in (36, 6, 1)]
    low, high = sorted((luminance(*colour), luminance(*background)))
    assert (high + 0.05) / (low + 0.05) >= 3


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    "keys",
    [
        (),
        ("a",),
        ("tab", "down", "enter"),
        ("t", "s", "S", "plus"),
        ("question_mark",),
        ("slash", "f"),
        ("p",),
    ],
)
def test_what_is_on_the_screen_is_the_frame(size, keys):
    found, expected, _ = shown_after(busy_house(), size, *keys)
    assert found == expected


@pytest.mark.parametrize("size", SIZES)
def test_what_is_told_later_is_drawn_over_it(size):
    def later(told):
        for _ in range(3):
            told.present(eth0=(1_000_000, 900_000))

    before, _, _ = shown_after(busy_house(), size)
    found, expected, _ = shown_after(busy_house(), size, more=later)
    assert found == expected
    assert found != before


def test_only_lines_that_changed_are_drawn_again():
    async def scenario():
        told = busy_house()
        app = LiveApp(told.board, look())
        async with app.run_test(size=(80, 24)) as pilot:
            await pilot.pause()
            lines = app.query_one(Lines)
            refreshed = []
            lines.refresh = lambda *regions, **_: refreshed.extend(regions)
            lines.draw()
            assert refreshed == []
            await pilot.press("down")
        return refreshed

    assert [region.y for region in asyncio.run(scenario())] == [13]


def test_what_was_wide_is_not_left_behind_when_it_becomes_narrow():
    async def scenario():
        told = busy_house()
        app = LiveApp(told.board, look())
        async with app.run_test(size=(200, 60)) as pilot:
            await pilot.resize_terminal(80, 24)
            await pilot.pause()
            return drawn(app), text(frame(told.board, look(), 80, 24))

    found, expected = asyncio.run(scenario())
    assert found == expected


@pytest.mark.parametrize(
    ("key", "code"), [("q", ExitCode.OK), ("ctrl+q", ExitCode.OK), ("ctrl+c", ExitCode.INTERRUPTED)]
)
def test_keys_that_end_it_have_their_exit_code(key, code):
    assert shown_after(busy_house(), (80, 24), key)[2] == code


def test_q_is_a_letter_while_a_filter_is_typed():
    found, _, code = shown_after(busy_house(), (80, 24), "slash", "q")
    assert found[-1].startswith("filter: q_")
    assert not code
