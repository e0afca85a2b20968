"""What the commands that tell applications apart have in common: dimensions, columns, and the tier below a table."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, TextIO

from netusage.model import US

if TYPE_CHECKING:
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
