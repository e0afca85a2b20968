"""What a column of a report holds."""

from __future__ import annotations

from netusage.records import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal

    Kind = Literal["text", "bytes", "rate", "int", "time", "date", "duration", "share", "flag"]

# Kinds that line up at their right edge.
NUMERIC: frozenset[Kind] = frozenset({"bytes", "rate", "int", "duration", "share"})


class Column(NamedTuple):
    """One column: where its values are, what it is called, and what they mean.

    key: the name of the value in a row, and the heading in CSV and TSV.
    title: the heading for people.
    kind: what the value is; None is an empty cell in every kind.
        text: a name or words. int: a count. flag: true or false.
        bytes: a number of bytes. rate: bytes per second. duration: microseconds.
        time, date: an ISO 8601 time with offset, or a `datetime`, shown with or without its clock time.
        share: a part of a whole, 0 to 1.
    table: whether people see it; programs (CSV, TSV) get every column, JSON the whole row.
    spare: people do without it on a terminal that is too narrow for the whole line.
    """

    key: str
    title: str
    kind: Kind = "text"
    table: bool = True
    spare: bool = False

    @property
    def numeric(self) -> bool:
        """Whether the cells line up at their right edge."""
        return self.kind in NUMERIC
