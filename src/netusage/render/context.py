"""What is known about the place that the text goes to."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import tzinfo

from netusage.records import NamedTuple
from netusage.units import Units

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TextIO

_DEFAULT_WIDTH = 80


class RenderContext(NamedTuple):
    """How numbers and times are shown, and what the terminal can do.

    units: multiples by 1000 or 1024.
    bits: rates in bits per second.
    color: ANSI escape sequences are understood and wanted.
    width: cells of the terminal's line; None when there is no terminal, and nothing is ever shortened.
    zone: the zone in which times are shown; None shows them in the offset that they have.
    """

    units: Units = Units.SI
    bits: bool = False
    color: bool = False
    width: int | None = None
    zone: tzinfo | None = None


def detect(
    stream: TextIO,
    environ: Mapping[str, str],
    *,
    units: Units = Units.SI,
    bits: bool = False,
    zone: tzinfo | None = None,
) -> RenderContext:
    """The context of a stream: colour and width as the stream and the environment have them."""
    width = terminal_width(stream, environ)
    return RenderContext(units, bits, color=wants_color(stream, environ), width=width, zone=zone)


def is_terminal(stream: TextIO) -> bool:
    """Whether the stream is a terminal; a closed one is not."""
    try:
        return stream.isatty()
    except (AttributeError, ValueError):
        return False


def wants_color(stream: TextIO, environ: Mapping[str, str]) -> bool:
    """Whether to colour: NO_COLOR says no, else FORCE_COLOR yes, else a terminal that is not dumb."""
    if environ.get("NO_COLOR"):
        return False
    if environ.get("FORCE_COLOR", "0") not in ("", "0"):
        return True
    return can_animate(stream, environ) and (
        os.name != "nt" or any(name in environ for name in ("WT_SESSION", "ANSICON", "ConEmuANSI", "TERM"))
    )


def can_animate(stream: TextIO, environ: Mapping[str, str]) -> bool:
    """Whether a line may be written over: a terminal that is not dumb."""
    return is_terminal(stream) and environ.get("TERM", "") != "dumb"


def terminal_width(stream: TextIO, environ: Mapping[str, str]) -> int | None:
    """The cells of a terminal's line: COLUMNS, else what the terminal says, else 80; None when it is none."""
    if not is_terminal(stream):
        return None
    columns = environ.get("COLUMNS", "")
    if columns.isascii() and columns.isdigit() and int(columns[:6]) > 0:
        return int(columns[:6])
    try:
        return os.get_terminal_size(stream.fileno()).columns or _DEFAULT_WIDTH
    except (OSError, ValueError):
        return _DEFAULT_WIDTH
