"""Every interface that was ever seen."""

from typing import NamedTuple

from netusage.ledger.reader import LedgerReader
from netusage.model import Counters
from netusage.reports.selection import part
from netusage.settings.schema import InterfaceSettings


class InterfaceRow(NamedTuple):
    """One interface; times are UTC microseconds.

    state: "up" or "down" at the last look, "gone" when it had gone away.
    counted, reason: whether it is part of the machine's total, and the rule that says so.
    totals: everything that was recorded for it.
    """

    name: str
    kind: str
    state: str
    counted: bool
    reason: str
    first_seen_us: int
    last_seen_us: int
    totals: Counters


def interfaces(reader: LedgerReader, overrides: InterfaceSettings) -> list[InterfaceRow]:
    """All of them, those that are there now first, by name."""
    rows = []
    for record in reader.interfaces():
        rule = part(record, overrides)
        state = "gone" if not record.living else "up" if record.up else "down"
        seen = (record.first_seen_us, record.last_seen_us)
        rows.append(
            InterfaceRow(record.name, record.kind, state, rule.counted, rule.reason, *seen, record.totals)
        )
    return sorted(rows, key=lambda row: row.state == "gone")
