"""A plan drawn in characters: a bar of what is used, and what was used by day with the forecast behind it."""

from __future__ import annotations

from collections.abc import Sequence

from netusage.records import NamedTuple

_HEIGHT = 8
_FULL = 8  # parts of a cell


class Marks(NamedTuple):
    """The characters of a drawing; those of ASCII where the stream has no others.

    parts: of a cell, from nothing to full. used, left: of the bar. now: where the cycle stands.
    expected, possible: what is going to be used, and what may be above it. limit: the line of what may be used.
    """

    parts: str
    used: str
    left: str
    now: str
    expected: str
    possible: str
    limit: str


BLOCKS = Marks(" ▁▂▃▄▅▆▇█", "█", "░", "│", "▒", "░", "┄")
ASCII = Marks(" ....####", "#", "-", "|", "+", ".", "=")


def marks_of(encoding: str | None) -> Marks:
    """The marks that a stream of this encoding can take."""
    try:
        "".join(BLOCKS).encode(encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return ASCII
    return BLOCKS


def bar(share: float, elapsed: float | None, width: int, marks: Marks) -> str:
    """What is used of the whole, with a mark where the cycle stands; more than the whole fills it."""
    filled = min(int(share * width), width)
    cells = [marks.used] * filled + [marks.left] * (width - filled)
    if elapsed is not None:
        cells[min(int(elapsed * width), width - 1)] = marks.now
    return "".join(cells)


def chart(
    used: Sequence[int],
    ahead: Sequence[tuple[int, int | None, int | None]],
    limit: int,
    width: int,
    marks: Marks,
) -> list[str]:
    """Lines, the highest first: what was used until the end of each day, and what will have been.

    Args:
        used: bytes by day, in all; the last one is today's so far.
        ahead: bytes by the end of each day from today on: middle, low, high.
        limit: what may be used.
        width: cells; days share a column, or have several.
        marks: what to draw with.
    """
    past = list(used[:-1]) if ahead else list(used)
    days = len(past) + len(ahead)
    top = max(limit, *used, *(high or middle for middle, _, high in ahead), 1)
    columns = [n * days // width for n in range(width)] if days > width else range(days)
    wide = max(width // days, 1) if days else 1
    lines = []
    limit_row = min(limit * _HEIGHT // top, _HEIGHT - 1)
    for row in reversed(range(_HEIGHT)):
        cells = []
        for day in columns:
            if day < len(past):
                cell = marks.parts[_part(past[day], top, row)]
            else:
                cell = _ahead(ahead[day - len(past)], used[-1], top, row, marks)
            cells.append((marks.limit if cell == " " and row == limit_row else cell) * wide)
        lines.append("".join(cells).rstrip())
    return lines


def _part(number: int, top: int, row: int) -> int:
    """How much of a cell is filled, in eighths; what is not nothing is to be seen."""
    filled = min(max(number * _HEIGHT * _FULL // top - row * _FULL, 0), _FULL)
    return max(filled, 1) if number and not row else filled


def _ahead(step: tuple[int, int | None, int | None], used: int, top: int, row: int, marks: Marks) -> str:
    middle, _, high = step
    if _part(used, top, row) == _FULL:
        return marks.used
    if _part(middle, top, row) >= _FULL // 2 or (middle and not row):
        return marks.expected
    return marks.possible if high is not None and _part(high, top, row) >= _FULL // 2 else " "
