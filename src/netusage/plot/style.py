"""The look of a picture: colours, sizes, and text that the font can write."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import pow as power
from typing import NamedTuple

import matplotlib as mpl
from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.textpath import text_to_path

from netusage.render.cells import safe, shorten, width
from netusage.units import Units

DPI = 96  # a pixel of SVG and PDF is what CSS calls one: 3/4 of a point
_FONT = "DejaVu Sans"
_USUAL_AREA = 1200 * 800
_USUAL_EM = 13.0


class Theme(NamedTuple):
    """Colours; `lossy` is for what may have lost bytes."""

    ground: str
    ink: str
    soft: str
    line: str
    received: str
    sent: str
    unwatched: str
    lossy: str


THEMES = {
    "light": Theme("#ffffff", "#1c2430", "#5b6675", "#e3e6ea", "#2f6f9f", "#c7702e", "#d9dce0", "#8f969f"),
    "dark": Theme("#14181f", "#e6e9ee", "#a2abb8", "#2a313b", "#6fb1e0", "#e9a15f", "#3a414c", "#7d8590"),
}


@dataclass(frozen=True, slots=True)
class Style:
    """How one picture is drawn.

    wide, high: its size in pixels.
    units, bits: of amounts and of rates.
    keeps_text: text stays text, as in SVG: whoever shows it has other fonts.
    """

    theme: Theme
    wide: int
    high: int
    units: Units = Units.SI
    bits: bool = False
    keeps_text: bool = False

    @property
    def em(self) -> float:
        """The size of usual text, in pixels; larger pictures have larger text, though less so."""
        scale = power(self.wide * self.high / _USUAL_AREA, 0.3)
        return _USUAL_EM * min(max(scale, 0.8), 3.0)

    @property
    def points(self) -> float:
        """The same in points."""
        return self.em * 72 / DPI

    @property
    def hair(self) -> float:
        """The width of a thin line, in points."""
        return self.points / 13

    def width_of(self, text: str, *, size: float = 1.0, bold: bool = False) -> float:
        """How wide some text is, in pixels; `size` in usual ones."""
        font = FontProperties(
            family=_FONT, size=self.points * size * DPI / 72, weight="bold" if bold else "normal"
        )
        return float(text_to_path.get_text_width_height_descent(text, font, ismath=False)[0])

    def fit(self, name: str, room: float, *, size: float = 1.0, bold: bool = False) -> str:
        """A name, which may hold anything, as text of at most so many pixels; its middle is left out first."""
        text = legible(name, keeps_text=self.keeps_text)
        cells = min(width(text), 200)
        shown = shorten(text, cells)
        while cells > 1 and (wide := self.width_of(shown, size=size, bold=bold)) > room:
            cells = max(min(cells - 1, int(cells * room / wide) + 1), 1)
            shown = shorten(text, cells)
        return shown


def legible(name: str, *, keeps_text: bool) -> str:
    """A name with everything escaped that is no character, or, unless text stays text, that the font does not have."""
    known = () if name.isascii() else get_font(findfont(_FONT)).get_charmap()
    return "".join(
        char
        if char.isascii() or (char.isprintable() and (keeps_text or ord(char) in known))
        else char.encode("ascii", "backslashreplace").decode("ascii")
        for char in safe(name)
    )


def blend(one: str, other: str, part: float) -> str:
    """A colour between two: `part` 0 is the first, 1 the second."""
    pairs = [(int(one[n : n + 2], 16), int(other[n : n + 2], 16)) for n in (1, 3, 5)]
    return "#" + "".join(f"{round(a + (b - a) * part):02x}" for a, b in pairs)


def heat(theme: Theme, part: float) -> str:
    """The colour of the 0 to 1st part of the most."""
    if part < 0.5:
        return blend(blend(theme.ground, theme.received, 0.12), theme.received, 2 * part)
    return blend(theme.received, blend(theme.received, theme.ink, 0.7), 2 * part - 1)


@contextmanager
def drawing(style: Style) -> Iterator[None]:
    """What is drawn inside looks like this, whatever a matplotlibrc says; characters without a glyph are no warning."""
    theme = style.theme
    with mpl.rc_context(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font", UserWarning)
        warnings.filterwarnings("ignore", "Matplotlib currently does not support", UserWarning)
        mpl.rcdefaults()
        mpl.rcParams.update(
            {
                "font.family": [_FONT],
                "font.size": style.points,
                "text.color": theme.ink,
                "text.parse_math": False,
                "figure.facecolor": theme.ground,
                "savefig.facecolor": theme.ground,
                "axes.facecolor": "none",
                "axes.axisbelow": True,
                "axes.spines.left": False,
                "axes.spines.right": False,
                "axes.spines.top": False,
                "axes.spines.bottom": False,
                "grid.color": theme.line,
                "grid.linewidth": style.hair,
                "xtick.color": theme.soft,
                "ytick.color": theme.soft,
                "xtick.labelsize": style.points * 0.9,
                "ytick.labelsize": style.points * 0.9,
                "xtick.major.size": style.points / 3,
                "ytick.major.size": 0,
                "xtick.major.width": style.hair,
                "hatch.linewidth": style.hair * 1.2,
                "svg.fonttype": "none",
                "svg.hashsalt": "netusage",
                "pdf.fonttype": 42,
            }
        )
        yield
