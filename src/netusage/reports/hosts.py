"""The books of other machines and disks in the ledger: from when to when, and how much is in each."""

from __future__ import annotations

from netusage.ledger.answers import Usage
from netusage.ledger.reader import LedgerReader
from netusage.records import NamedTuple
from netusage.reports.selection import machine

TYPE_CHECKING = False
if TYPE_CHECKING:
    from netusage.reports.selection import Overrides


class HostRow(NamedTuple):
    """One host.

    kind: "ledger", or the program whose record it was.
    merged_us: when it was taken in, UTC microseconds.
    start_s, end_s: from when to when anything is recorded, UTC seconds; None when nothing is.
    usage: of its machine's total.
    """

    name: str
    kind: str
    merged_us: int
    start_s: int | None
    end_s: int | None
    usage: Usage


def hosts(path: str, overrides: Overrides) -> list[HostRow]:
    """Every host in the ledger, by name.

    Args:
        path: the ledger.
        overrides: what the configuration says about the machine's total; it holds for hosts as well.

    Raises:
        NoDataError, LedgerError: as `LedgerReader`.
    """
    with LedgerReader(path) as reader:
        known = reader.hosts()
    rows = []
    for host in known:
        with LedgerReader(path, host.name) as reader:
            extent = reader.extent()
            ids = machine(reader.interfaces(), overrides).ids
            usage = reader.usage([ids], _minutes(extent))[0][0] if extent and ids else Usage()
        start_s, end_s = extent or (None, None)
        rows.append(HostRow(host.name, host.kind, host.merged_us, start_s, end_s, usage))
    return rows


def _minutes(extent: tuple[int, int]) -> list[int]:
    """The stretch in whole minutes."""
    return [extent[0] // 60 * 60, -(-extent[1] // 60) * 60]
