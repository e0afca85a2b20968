"""netusage repair: rescue what can be read."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from netusage.cli import options
from netusage.cli.context import Invocation, pass_invocation
from netusage.errors import ExitCode

if TYPE_CHECKING:
    from netusage.ledger.repair import Repair


@options.command(
    "repair",
    examples=[
        ("netusage repair --dry-run", "what could be saved, and what is lost"),
        ("netusage repair --yes", "do it without asking"),
        ("netusage repair --db ledger.db.set-aside-20260131T120000Z", "a ledger that was set aside"),
    ],
)
@options.yes_option
@options.dry_run_option
@options.ledger_options
@options.output_options("table", "json")
@options.unit_options
@pass_invocation
def command(inv: Invocation, yes: bool, dry_run: bool) -> ExitCode | None:
    """Rescue what can be read from a damaged ledger.

    Every row that can be read goes into a fresh ledger, where totals and quarters of an hour are computed
    anew. Quarters of an hour that cannot be read become one estimated stretch, as far as the running totals around
    them tell their bytes; bytes that were counted and cannot be read any more are declared as a gap. The old file is
    set aside and kept. A running recorder must be stopped first.
    """
    import sys
    import time

    from netusage.clock import boot_id
    from netusage.ledger.repair import Repair, repair
    from netusage.render.progress import progress

    path = str(inv.ledger_path(for_reading=True))
    shown: list[Repair] = []

    def agree(found: Repair) -> bool:
        if dry_run:
            return False
        if inv.format == "table" and not yes:
            sys.stderr.writelines(f"{line}\n" for line in _lines(inv, found, done=False))
        shown.append(found)
        return options.confirm("Set the old ledger aside and use the repaired one?", yes=yes)

    with progress("Repairing the ledger", stream=sys.stderr) as advance:
        found = repair(
            path, now_us=time.time_ns() // 1000, boot_id=boot_id(), agree=agree, tick=lambda: advance(0)
        )
    with inv.output() as out:
        if inv.format == "json":
            import json

            out.write(json.dumps(_as_json(found)) + "\n")
        elif found.sound:
            out.write(f"The ledger {path} is sound; there is nothing to repair.\n")
        elif found.aside is not None or dry_run:
            out.writelines(f"{line}\n" for line in _lines(inv, found, done=not dry_run))
    if found.sound or dry_run or found.aside is not None:
        return None
    return ExitCode.FAILURE


def _lines(inv: Invocation, found: "Repair", *, done: bool) -> Iterator[str]:
    from netusage.units import format_bytes

    units = inv.settings.report.units
    yield f"Wrong: {_finding(found)}"
    saved = ", ".join(f"{count:,} of {table}" for table, count in found.saved.items() if count)
    yield f"Saved rows: {saved}"
    yield from (f"Also: {note}" for note in found.notes)
    for table, count in found.left_out.items():
        yield f"Left out: {count:,} rows of {table} that made no sense"
    for lost in found.lost:
        yield f"Lost: {lost.table}, {_keys(lost.table, lost.first, lost.last)}"
    for one in found.adjusted:
        if not one.lost.is_zero:
            bytes_ = f"{format_bytes(one.lost.rx_bytes, units)} received, {format_bytes(one.lost.tx_bytes, units)} sent"
            yield f"Lost of {one.name}: {bytes_} (declared as a gap)"
        if not one.surplus.is_zero:
            bytes_ = (
                f"{format_bytes(one.surplus.rx_bytes, units)}, {format_bytes(one.surplus.tx_bytes, units)}"
            )
            yield f"More in the entries of {one.name} than in its epochs: {bytes_} (kept)"
    if found.aside is not None:
        yield f"The old ledger is kept at {found.aside}"
    elif done is False:
        yield "Nothing has been changed."


def _finding(found: "Repair") -> str:
    first = found.findings[0]
    more = f", and {len(found.findings) - 1} more" if len(found.findings) > 1 else ""
    name = f" of {first.interface}" if first.interface else ""
    return f"{first.table}{name}: {first.what}{more}"


def _keys(table: str, first: int, last: int) -> str:
    if table != "minute":
        return f"rows {first} to {last}"
    from datetime import UTC, datetime

    return f"{datetime.fromtimestamp(first, UTC):%Y-%m-%d %H:%M} to {datetime.fromtimestamp(last + 1, UTC):%Y-%m-%d %H:%M} UTC"


def _as_json(found: "Repair") -> dict[str, Any]:
    return {
        "version": 1,
        "report": "repair",
        "ledger": found.path,
        "sound": found.sound,
        "replaced": found.aside is not None,
        "aside": found.aside,
        "saved_rows": found.saved,
        "left_out_rows": found.left_out,
        "lost_keys": [lost._asdict() for lost in found.lost],
        "interfaces": [
            {"interface": one.name, "lost": one.lost._asdict(), "surplus": one.surplus._asdict()}
            for one in found.adjusted
        ],
        "notes": found.notes,
        "findings": [finding._asdict() for finding in found.findings],
    }
