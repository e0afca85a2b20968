"""What the commands that tell applications apart have in common: dimensions, columns, and the tier below a table."""

from collections.abc import Iterable, Sequence
from datetime import tzinfo
from typing import TYPE_CHECKING, Any, NamedTuple, TextIO

from netusage.model import US

if TYPE_CHECKING:
    from netusage.cli.context import Invocation
    from netusage.ledger.reader import LedgerReader
    from netusage.model import Counters
    from netusage.render.columns import Column

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
)


def columns(by: Sequence[str], shown: Iterable[str]) -> "list[Column]":
    """Columns of what is told apart, and of what each had; tables have those that are shown."""
    from netusage.render.columns import Column

    return [
        *(Column(one, one.capitalize(), table=one in shown) for one in by),
        Column("rx_bytes", "Received", "bytes"),
        Column("tx_bytes", "Sent", "bytes"),
        Column("both", "Total", "bytes"),
        Column("share", "Share", "share"),
    ]


def row(
    by: Sequence[str], values: Sequence[str], counters: "Counters", share: float | None
) -> dict[str, Any]:
    """A row as all formats have it."""
    return (
        dict(zip(by, values, strict=True))
        | counters._asdict()
        | {"both": counters.rx_bytes + counters.tx_bytes, "share": share}
    )


def tiers(reader: "LedgerReader", since_s: int, until_s: int) -> list[str]:
    """How applications were told apart in [since, until), UTC seconds; the present way last."""
    return [tier or "interfaces" for tier in reader.tiers(since_s * US, until_s * US)]


def write_tiers(told: Sequence[str], format_name: str, out: TextIO) -> None:
    """Say below a table how applications were told apart; other formats have it in their envelope, or have no place."""
    if format_name != "table" or not told:
        return
    if told == ["interfaces"]:
        out.write("\nApplications are not told apart: totals of interfaces only (netusage doctor)\n")
    else:
        out.write(f"\nApplications are told apart by: {', then '.join(told)}\n")


class About(NamedTuple):
    """What an envelope says of a report; [start, end) in UTC seconds, `by` where something was told apart."""

    report: str
    zone: tzinfo
    start_s: int
    end_s: int
    tiers: Sequence[str]
    interfaces: Sequence[str]
    ledger: str
    by: Sequence[str] = ()


def write(
    inv: "Invocation", columns: "Sequence[Column]", rows: Iterable[dict[str, Any]], about: About
) -> None:
    """Write rows in the format that was asked for, with the tiers."""
    import os

    from netusage.periods import isoformat
    from netusage.render.context import detect
    from netusage.render.formats import render

    envelope = {
        "report": about.report,
        "timezone": str(about.zone),
        "start": isoformat(about.start_s, about.zone),
        "end": isoformat(about.end_s, about.zone),
        **({"by": list(about.by)} if about.by else {}),
        "tiers": list(about.tiers),
        "interface_filter": list(about.interfaces),
        "ledger": about.ledger,
    }
    settings = inv.settings.report
    with inv.output() as out:
        context = detect(out, os.environ, units=settings.units, bits=settings.bits, zone=about.zone)
        render(inv.format, columns, rows, envelope=envelope, context=context, stream=out)
        write_tiers(about.tiers, inv.format, out)
