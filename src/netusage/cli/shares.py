"""What the commands that tell applications apart have in common: dimensions, and the tier below a table."""

import contextlib
import gc
from collections.abc import Iterator, Sequence
from datetime import tzinfo
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from netusage.cli.context import Invocation
    from netusage.render.documents import Document

DIMENSIONS = (
    "application",
    "path",
    "user",
    "unit",
    "container",
    "pod",
    "scope",
    "protocol",
    "family",
    "interface",
    "host",
)


@contextlib.contextmanager
def no_collections() -> Iterator[None]:
    """Rows have no cycles: looking through thousands of them for garbage would take as long as making them."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def write_tiers(inv: "Invocation", told: Sequence[str], out: TextIO) -> None:
    """Say below a table how applications were told apart; other formats have it in their envelope, or have no place."""
    if inv.format != "table" or not told:
        return
    if told == ["interfaces"]:
        out.write("\nApplications are not told apart: totals of interfaces only (netusage doctor)\n")
    else:
        between = ", " if inv.is_of_several else ", then "
        out.write(f"\nApplications are told apart by: {between.join(told)}\n")


def write(
    inv: "Invocation", document: "Document", told: Sequence[str], zone: tzinfo, *, left_out: str = ""
) -> None:
    """Write a report in the format that was asked for, with the tiers, and with a line on what was left out of it."""
    import os

    from netusage.cli.output import note
    from netusage.render.context import detect
    from netusage.render.formats import render

    envelope, columns, rows = document
    settings = inv.settings.report
    with inv.output() as out:
        context = detect(out, os.environ, units=settings.units, bits=settings.bits, zone=zone)
        render(inv.format, columns, rows, envelope=inv.envelope(envelope), context=context, stream=out)
        if left_out and inv.format == "table":
            out.write(f"\n{left_out}\n")
        write_tiers(inv, told, out)
    if left_out and inv.format not in ("table", "json"):  # these have a place for it
        note(left_out)
