"""Bars made of characters, with a scale of round numbers."""

from collections.abc import Sequence

from netusage.units import Units

EIGHTHS = " ▁▂▃▄▅▆▇█"
ASCII = " ..::||##"


def top_of(highest: int, units: Units, *, bits: bool) -> int:
    """The round number of bytes per second at which the scale ends: 1, 2 or 5 of what rates are written in, thousands at least.

    Never below the highest; in bits it is a round number of those.
    """
    factor = 8 if bits else 1
    unit = units.step
    while unit * units.step <= highest * factor:
        unit *= units.step
    for times in (1, 2, 5, 10, 20, 50, 100, 200, 500):
        if unit * times >= highest * factor:
            return max(unit * times // factor, 1)
    return unit * units.step // factor


def bars(heights: Sequence[int], top: int, rows: int, blocks: str = EIGHTHS) -> list[str]:
    """The rows of the bars, the uppermost first: one character for each bar; whatever is not nothing is seen.

    Args:
        heights: of each bar.
        top: the height that fills all rows.
        rows: how many.
        blocks: nine characters, from an empty one to a full one.
    """
    full = 8 * rows
    eighths = [min(max(height * full // top, 1 if height else 0), full) for height in heights]
    return [
        "".join(blocks[min(max(one - 8 * row, 0), 8)] for one in eighths) for row in range(rows - 1, -1, -1)
    ]
