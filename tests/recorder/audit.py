"""Adds a ledger up by hand, without the ledger's own code, and then asks the ledger's `verify` as well."""

from itertools import accumulate

from support.book import opened

from netusage.ledger.reader import LedgerReader
from netusage.ledger.verify import verify
from netusage.model import Counters

_SUMS = ", ".join(f"sum({name})" for name in Counters._fields)
_EACH = ", ".join(Counters._fields)


def assert_sound(path) -> None:
    """Minutes, quarters, spans, odometers, epochs, totals and change numbers agree; so does `verify`."""
    with opened(path) as book:
        assert book.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
        (sealed,) = book.execute("SELECT sealed_until_s FROM ledger").fetchone()
        _assert_entries(book, sealed)
        _assert_epochs(book)
        _assert_odometers(book)
        _assert_changes(book)
    with LedgerReader(str(path)) as reader:
        verdict = verify(reader)
    assert not verdict.findings, verdict.findings[:5]
    assert not verdict.omitted


def _assert_entries(book, sealed: int) -> None:
    """Sealed quarters, the minutes after them, and spans are the total of every interface."""
    parts = (
        ("quarter", "1"),
        ("minute", f"start_s >= {sealed}"),
        ("span", "1"),
    )
    sums: dict[int, list[int]] = {}
    for table, where in parts:
        for number, *counters in book.execute(
            f"SELECT interface_id, {_SUMS} FROM {table} WHERE {where} GROUP BY interface_id"
        ):
            so_far = sums.setdefault(number, [0, 0, 0, 0])
            sums[number] = [a + b for a, b in zip(so_far, counters, strict=True)]
    for number, name, *total in book.execute(f"SELECT id, name, {_EACH} FROM interface"):
        assert sums.get(number, [0, 0, 0, 0]) == total, f"{name}: the entries differ from the stored total"


def _assert_epochs(book) -> None:
    """What was recorded for an epoch is the difference of its counters, and the epochs are the total."""
    sums: dict[int, list[int]] = {}
    for row in book.execute("SELECT * FROM epoch"):
        recorded = [row[f"recorded_{name}"] for name in Counters._fields]
        moved = [row[f"last_{name}"] - row[f"first_{name}"] for name in Counters._fields]
        assert recorded == moved, f"epoch {row['id']}"
        assert min(recorded) >= 0, f"epoch {row['id']}"
        so_far = sums.setdefault(row["interface_id"], [0, 0, 0, 0])
        sums[row["interface_id"]] = [a + b for a, b in zip(so_far, recorded, strict=True)]
    for number, name, *total in book.execute(f"SELECT id, name, {_EACH} FROM interface"):
        assert sums.get(number, [0, 0, 0, 0]) == total, f"{name}: the epochs differ from the stored total"


def _assert_odometers(book) -> None:
    """An odometer is the sum of all quarters before it."""
    for (number,) in book.execute("SELECT DISTINCT interface_id FROM odometer").fetchall():
        quarters = book.execute(
            f"SELECT start_s, {_EACH} FROM quarter WHERE interface_id = ? ORDER BY start_s", (number,)
        ).fetchall()
        for at_s, *shown in book.execute(
            f"SELECT at_s, {_EACH} FROM odometer WHERE interface_id = ?", (number,)
        ):
            before = [tuple(row)[1:] for row in quarters if row["start_s"] < at_s]
            running = list(accumulate(before, lambda a, b: tuple(x + y for x, y in zip(a, b, strict=True))))
            assert tuple(shown) == (running[-1] if running else (0, 0, 0, 0)), (
                f"odometer of {number} at {at_s}"
            )


def _assert_changes(book) -> None:
    """Every change number was given once, and none beyond the last."""
    given = [row[0] for row in book.execute("SELECT change FROM quarter UNION ALL SELECT change FROM span")]
    assert len(given) == len(set(given))
    assert max(given, default=0) <= book.execute("SELECT change FROM ledger").fetchone()[0]
