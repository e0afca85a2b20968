"""Every interface that was ever seen."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from netusage.model import Counters
from netusage.reports.selection import part
from netusage.settings.schema import InterfaceSettings

if TYPE_CHECKING:
    from netusage.reports.record import Record


class InterfaceRow(NamedTuple):
    """One interface; times are UTC microseconds. `host` as `InterfaceRecord`.

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
    host: str = ""


def interfaces(reader: Record, overrides: InterfaceSettings) -> list[InterfaceRow]:
    """All of them, those that are there now first, by name; where there are several hosts, host by host."""
    rows = []
    for record in reader.interfaces():
        rule = part(record, overrides)
        state = "gone" if not record.living else "up" if record.up else "down"
        seen = (record.first_seen_us, record.last_seen_us)
        rows.append(
            InterfaceRow(
                *(
                    record.name,
                    record.kind,
                    state,
                    rule.counted,
                    rule.reason,
                    *seen,
                    record.totals,
                    record.host,
                )
            )
        )
    return sorted(rows, key=lambda row: (row.host, row.state == "gone"))
