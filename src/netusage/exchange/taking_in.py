"""Exported files into a ledger."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from netusage.exchange.checks import protocol_of, scope_of
from netusage.exchange.reading import parts
from netusage.ledger.intake import Intake, Interface
from netusage.ledger.intake_books import Taken
from netusage.model import US, Gap, GapKind, Who
from netusage.reports.extract import ESTIMATED, ApplicationRow, GapRow, Row, UsageRow, WatchedRow


def take_in(
    files: Sequence[str],
    path: str,
    *,
    now_us: int,
    dry_run: bool = False,
    advance: Callable[[int], object] = lambda _: None,
) -> Taken:
    """Take all rows of some files into a ledger that has none of its own: all of them, or nothing.

    Args:
        files: exports, in any order.
        path: the ledger; made when it is not there.
        now_us: the present, UTC microseconds.
        dry_run: check everything, and leave nothing behind.
        advance: is called with the number of rows since the last call, which may be 0.

    Raises:
        InputError: a file is no export, or rows do not fit together; says the place.
        LedgerHeldError: a recorder holds the ledger.
        LedgerError: it has a record of its own, or cannot be written.
        NetusageError: what it takes to read a file is not installed.
    """
    with Intake(path, now_us=now_us, keeps=not dry_run, tick=lambda: advance(0)) as intake:
        for file in files:
            for part in parts(file):
                source = intake.source(file, part.words)
                for number, row in part.rows:
                    _put(intake, (source, number), row)
                    advance(1)
        return intake.finish()


def _put(intake: Intake, where: tuple[int, int], row: Row) -> None:
    if isinstance(row, UsageRow):
        _put_usage(intake, where, row)
    elif isinstance(row, ApplicationRow):
        who = Who(row.application_kind, row.application, row.path, row.user, row.unit, row.container, row.pod)
        numbers = (scope_of(row.scope), protocol_of(row.protocol), row.family, *row[14:18])
        stretch_s = (row.start_us // US, row.end_us // US)
        intake.share(where, (row.interface, row.kind), who, stretch_s, numbers)
    elif isinstance(row, GapRow):
        gap = Gap(row.start_us, row.end_us, GapKind(row.kind), row.lossy, row.interface, row.note)
        intake.gap(where, gap)
    elif isinstance(row, WatchedRow):
        intake.watched(*row)


def _put_usage(intake: Intake, where: tuple[int, int], row: UsageRow) -> None:
    interface = Interface(row.interface, row.kind, row.counted)
    if row.record == ESTIMATED:
        intake.estimated(where, interface, (row.start_us, row.end_us), row[5:9], row.because)
        return
    numbers = (*row[5:9], row.peak_rx_bytes_per_second or 0, row.peak_tx_bytes_per_second or 0)
    intake.counted(where, interface, (row.start_us // US, row.end_us // US), numbers)
