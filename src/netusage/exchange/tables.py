"""What exported files hold: tables, their columns, and what each column is."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple

from netusage.model import US
from netusage.periods.grid import LAST_S
from netusage.reports.extract import ApplicationRow, Extract, GapRow, Row, UsageRow, WatchedRow
from netusage.reports.extract_hosts import HostGapRow, HostsExtract, HostUsageRow

VERSION = 1  # of the columns; a file of a newer one is not read
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


AnyRow = Row | HostUsageRow | HostGapRow


class Kind(StrEnum):
    """What a column holds."""

    TIME = "time"  # UTC microseconds in a `Row`
    TEXT = "text"
    FLAG = "flag"
    COUNT = "count"  # 0 to 2^63-1
    RATE = "rate"  # as COUNT, or nothing


class Column(NamedTuple):
    """One column of a file."""

    name: str
    kind: Kind


class Table(NamedTuple):
    """One table: its name, its columns, and the row that they are the fields of."""

    name: str
    columns: tuple[Column, ...]
    row: type[AnyRow]


def _columns(row: type[AnyRow]) -> tuple[Column, ...]:
    return tuple(Column(field.removesuffix("_us"), _kind(field)) for field in row._fields)


def _kind(field: str) -> Kind:
    if field.endswith("_us"):
        return Kind.TIME
    if field in ("counted", "lossy"):
        return Kind.FLAG
    if field.endswith("_per_second"):
        return Kind.RATE
    return Kind.COUNT if field.endswith(("_bytes", "_packets")) or field == "family" else Kind.TEXT


USAGE = Table("usage", _columns(UsageRow), UsageRow)
APPLICATIONS = Table("applications", _columns(ApplicationRow), ApplicationRow)
GAPS = Table("gaps", _columns(GapRow), GapRow)
WATCHED = Table("watched", _columns(WatchedRow), WatchedRow)
TABLES = {table.name: table for table in (USAGE, APPLICATIONS, GAPS, WATCHED)}
# of several hosts; no ledger can be made of them
OF_HOSTS = {
    "usage": Table("usage", _columns(HostUsageRow), HostUsageRow),
    "gaps": Table("gaps", _columns(HostGapRow), HostGapRow),
}


def rows_of(table: Table, extract: Extract | HostsExtract) -> Iterator[AnyRow]:
    """The rows of a table, which is one of `OF_HOSTS` where the extract is of several hosts."""
    rows: Iterator[AnyRow] = getattr(extract, table.name)()
    return rows


@lru_cache(maxsize=64)
def time_text(at_us: int, zone: tzinfo) -> str:
    """UTC microseconds as ISO 8601 local time with its offset; a fraction only where there is one."""
    return datetime.fromtimestamp(at_us // US, zone).replace(microsecond=at_us % US).isoformat()


@lru_cache(maxsize=64)
def time_of(text: str) -> int:
    """UTC microseconds of an ISO 8601 time with its offset.

    Raises:
        ValueError: it is none; says why.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{shown(text)} is not a time as in 2026-11-20T13:00:00+01:00") from None
    if moment.tzinfo is None:
        raise ValueError(f"{shown(text)} has no offset, as +01:00")
    return checked_time((moment - _EPOCH) // _MICROSECOND, text)


def checked_time(at_us: int, text: object) -> int:
    """The time, if it is one that can be recorded.

    Raises:
        ValueError: it is before 1970 or far in the future.
    """
    if not 0 <= at_us <= LAST_S * US:
        raise ValueError(f"{shown(text)} is not between the years 1970 and 9990")
    return at_us


def shown(value: object) -> str:
    """A value as a message shows it."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
