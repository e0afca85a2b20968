"""The bare `netusage`: today, this month, since boot, all time; and whether somebody records."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import tzinfo
from enum import StrEnum

from netusage.ledger.answers import NO_USAGE, InterfaceRecord, RecorderState, SpanRecord, Usage
from netusage.ledger.reader import LedgerReader
from netusage.model import US
from netusage.periods import Period, PeriodKind, periods
from netusage.records import NamedTuple
from netusage.reports import selection
from netusage.reports.coverage import length, union

TYPE_CHECKING = False

if TYPE_CHECKING:
    from netusage.reports.selection import Overrides

_FOREVER_US = (1 << 63) - 1


class Stretch(StrEnum):
    """The periods of the summary."""

    TODAY = "today"
    MONTH = "month"
    BOOT = "boot"
    ALL = "all"


class SummaryRow(NamedTuple):
    """What one interface, or the machine (None), counted in one of the periods; UTC seconds.

    host: whose, where hosts are told apart; "" otherwise.
    """

    stretch: Stretch
    start_s: int
    end_s: int
    interface: str | None
    usage: Usage
    host: str = ""


class GapSum(NamedTuple):
    """The declared gaps of one period.

    number: how many; lossy: how many of them may have lost bytes.
    length_us: how long in all; overlapping ones count once.
    """

    stretch: Stretch
    number: int
    lossy: int
    length_us: int


class Summary(NamedTuple):
    """The answer.

    now_us: the present, UTC microseconds.
    rows: by period, the machine first, then the interfaces that counted anything: those in the machine's total
        first, and of them the busiest of all time.
    gaps: of today and of this month.
    recorder: who records, and the last run.
    recorded_this_boot: whether anything was recorded since the machine started.
    """

    now_us: int
    rows: list[SummaryRow]
    gaps: list[GapSum]
    recorder: RecorderState
    recorded_this_boot: bool


def summary(
    reader: LedgerReader,
    *,
    now_us: int,
    zone: tzinfo,
    boot_id: str,
    overrides: Overrides,
    billing_day: int = 1,
    packets: bool = True,
) -> Summary:
    """Answer it.

    Args:
        reader: the ledger.
        now_us: the present, UTC microseconds.
        zone: in which days and months are cut.
        boot_id: the running boot.
        overrides: what the configuration puts into the machine's total, or leaves out.
        billing_day: the day on which months begin.
        packets: tell packets of today and of this month as well; they are 0 without it.
    """
    now_s = now_us // US
    interfaces = reader.interfaces()
    today = periods(PeriodKind.DAY, now_s, now_s + 1, zone)[0]
    month = periods(PeriodKind.MONTH, now_s, now_s + 1, zone, billing_day=billing_day)[0]
    machine = selection.machine(interfaces, overrides).ids
    order = sorted(
        interfaces, key=lambda i: (i.id not in machine, -i.totals.rx_bytes - i.totals.tx_bytes, i.name)
    )
    add = _Adder(order, machine)
    of_today, of_month = _of_calendar(reader, interfaces, today, month, packets=packets)
    rows = add.rows(Stretch.TODAY, today, of_today) + add.rows(Stretch.MONTH, month, of_month)
    boot = reader.since_boot(boot_id)
    if boot is not None:
        estimated = _estimated(reader.spans(boot.boot_us, _FOREVER_US), boot.boot_us)
        of_boot = {i: Usage(*counters, *estimated.get(i, (0, 0))) for i, counters in boot.recorded.items()}
        since_boot = Period(min(boot.boot_us // US, now_s), now_s)
        rows += add.rows(Stretch.BOOT, since_boot, of_boot)
    extent = reader.extent()
    first_s = min(extent[0], now_s) if extent else now_s
    estimated = reader.estimated()
    of_all = {i.id: Usage(*i.totals, *estimated.get(i.id, (0, 0))) for i in interfaces}
    rows += add.rows(Stretch.ALL, Period(first_s, now_s), of_all)
    gaps = [_gaps(reader, Stretch.TODAY, today, now_s), _gaps(reader, Stretch.MONTH, month, now_s)]
    return Summary(now_us, rows, gaps, reader.recorder(), boot is not None)


def _of_calendar(
    reader: LedgerReader,
    interfaces: Sequence[InterfaceRecord],
    today: Period,
    month: Period,
    *,
    packets: bool,
) -> tuple[dict[int, Usage], dict[int, Usage]]:
    """Usage by interface of today and of this month."""
    edges = sorted({month.start_s, today.start_s, today.end_s, month.end_s})
    sums = reader.usage([[i.id] for i in interfaces], edges, packets=packets)
    day = edges.index(today.start_s)
    of_today = {i.id: parts[day] for i, parts in zip(interfaces, sums, strict=True)}
    of_month = {i.id: _sum(parts) for i, parts in zip(interfaces, sums, strict=True)}
    return of_today, of_month


def _sum(parts: Iterable[Usage]) -> Usage:
    total = NO_USAGE
    for one in parts:
        total = total.plus(one)
    return total


class _Adder:
    """Adds up interfaces by name and for the machine."""

    def __init__(self, interfaces: Sequence[InterfaceRecord], machine: Sequence[int]) -> None:
        self._interfaces = interfaces
        self._machine = machine

    def rows(self, stretch: Stretch, period: Period, usage: dict[int, Usage]) -> list[SummaryRow]:
        """The machine's row, and that of every name that counted something."""
        names: dict[str, Usage] = {}
        for interface in self._interfaces:
            counted = usage.get(interface.id, NO_USAGE)
            if counted != NO_USAGE:
                names[interface.name] = names.get(interface.name, NO_USAGE).plus(counted)
        machine = _sum(usage.get(i, NO_USAGE) for i in self._machine)
        everyone: list[tuple[str | None, Usage]] = [(None, machine), *names.items()]
        return [
            SummaryRow(stretch, period.start_s, period.end_s, name, counted) for name, counted in everyone
        ]


def _estimated(spans: Sequence[SpanRecord], since_us: int) -> dict[int, tuple[int, int]]:
    """Estimated bytes in and out by interface, since a time."""
    found: dict[int, tuple[int, int]] = {}
    for span in spans:
        before, whole = max(since_us - span.start_us, 0), span.end_us - span.start_us
        rx, tx = found.get(span.interface_id, (0, 0))
        rx += span.rx_bytes - span.rx_bytes * before // whole
        tx += span.tx_bytes - span.tx_bytes * before // whole
        found[span.interface_id] = (rx, tx)
    return found


def _gaps(reader: LedgerReader, stretch: Stretch, period: Period, now_s: int) -> GapSum:
    low, high = period.start_s * US, min(period.end_s, now_s + 1) * US
    gaps = reader.gaps(low, high)
    long = length(union((gap.start_us, gap.end_us) for gap in gaps), low, high)
    return GapSum(stretch, len(gaps), sum(gap.lossy for gap in gaps), long)
