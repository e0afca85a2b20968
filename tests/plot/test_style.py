"""Colours, sizes, and names that may hold anything."""

from pathlib import Path

import matplotlib as mpl
import pytest

from netusage.plot import loading
from netusage.plot.style import DPI, THEMES, Style, blend, drawing, heat, legible

STYLE = Style(THEMES["light"], 1200, 800)


@pytest.mark.parametrize(
    ("name", "drawn", "text"),
    [
        ("firefox", "firefox", "firefox"),
        ("a\x1b[31m\nb", "a\\x1b[31m\\nb", "a\\x1b[31m\\nb"),
        ("Übertragung Ж مرحبا", "Übertragung Ж مرحبا", "Übertragung Ж مرحبا"),
        ("微信", "\\u5fae\\u4fe1", "微信"),
        ("x\ufffe", "x\\ufffe", "x\\ufffe"),
        ("\u202ex", "\\u202ex", "\\u202ex"),
        ("\U000f0000", "\\U000f0000", "\\U000f0000"),
        ("\ud800", "\\ud800", "\\ud800"),
        ("$x^2$", "$x^2$", "$x^2$"),
    ],
)
def test_a_name_has_only_characters_that_can_be_drawn_or_that_an_svg_may_hold(name, drawn, text):
    assert legible(name, keeps_text=False) == drawn
    assert legible(name, keeps_text=True) == text


@pytest.mark.parametrize("name", ["W" * 200, "i" * 200, "微" * 100, "short", "", "\u0301" * 300])
@pytest.mark.parametrize("room", [40, 150, 400])
def test_a_name_fits_its_room_and_is_not_shortened_more_than_it_has_to_be(name, room):
    shown = STYLE.fit(name, room)
    assert STYLE.width_of(shown) <= room
    whole = legible(name, keeps_text=False)
    if STYLE.width_of(whole) <= room and len(whole) <= 200:
        assert shown == whole
    elif name.isascii():
        assert STYLE.width_of(shown) > room * 0.6


def test_larger_pictures_have_larger_text_within_reason():
    sizes = [
        Style(THEMES["light"], *size).em for size in ((640, 360), (1200, 800), (2400, 1600), (8000, 8000))
    ]
    assert sizes == sorted(sizes)
    assert sizes[0] >= 10
    assert sizes[1] == 13
    assert sizes[-1] <= 39


@pytest.mark.parametrize("theme", THEMES.values(), ids=THEMES)
def test_text_and_bars_stand_out_from_the_ground(theme):
    def light(colour):
        parts = (int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5))
        linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    def contrast(one, other):
        low, high = sorted((light(one), light(other)))
        return (high + 0.05) / (low + 0.05)

    assert contrast(theme.ink, theme.ground) > 7
    assert contrast(theme.soft, theme.ground) > 4.5
    for colour in (theme.received, theme.sent):
        assert contrast(colour, theme.ground) > 3
    for part in (0.0, 0.3, 0.349):
        assert contrast(heat(theme, part), theme.ink) > 3
    for part in (0.35, 0.5, 0.7, 1.0):
        assert contrast(heat(theme, part), theme.ground) > 3
    steps = [contrast(heat(theme, n / 10), theme.ground) for n in range(11)]
    assert steps == sorted(steps)


def test_colours_are_mixed_by_parts():
    assert blend("#000000", "#ffffff", 0.5) == "#808080"
    assert blend("#102030", "#405060", 0) == "#102030"
    assert blend("#102030", "#405060", 1) == "#405060"


def test_settings_of_matplotlib_are_as_before_when_a_picture_is_drawn():
    before = dict(mpl.rcParams)
    with drawing(STYLE):
        assert mpl.rcParams["font.size"] == 13 * 72 / DPI
    assert dict(mpl.rcParams) == before


def test_loading_again_is_harmless_and_leaves_the_environment_alone(monkeypatch, tmp_path):
    monkeypatch.setenv("MPLBACKEND", "none-such")
    monkeypatch.setenv("MPLCONFIGDIR", str(tmp_path))
    loading.load()
    loading.load()
    import os

    assert os.environ["MPLBACKEND"] == "none-such"
    assert os.environ["MPLCONFIGDIR"] == str(tmp_path)
    assert Path(tmp_path).is_dir()
