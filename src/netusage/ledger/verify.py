"""Proof that the record adds up: bytes in the entries, in the stored totals, and between the counters.

Every check compares numbers that were written independently of each other or follow from each other, and a finding
says where they differ. Nothing is changed, and a recorder may go on meanwhile: all checks see one moment.
"""

import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from netusage.errors import LedgerCorruptError
from netusage.ledger.reader import LedgerReader
from netusage.ledger.schema import ODOMETER_S
from netusage.model import MINUTE_S, QUARTER_S, US, Counters

MOST_FINDINGS = 100  # of one check
_MOST_CHANGES = 1 << 28  # a bit for each: 32 MiB
_DAY_S = 86_400

_COLUMNS = Counters._fields
_SUMS = ", ".join(f"coalesce(sum({column}), 0)" for column in _COLUMNS)
_ROWS = ", ".join(_COLUMNS)
_NEGATIVE = " OR ".join(f"{column} < 0" for column in _COLUMNS)
_EPOCHS = f"""
SELECT i.name, e.opened_us, e.id, {", ".join(f"first_{c}, last_{c}, recorded_{c}" for c in _COLUMNS)}
FROM epoch e LEFT JOIN interface i ON i.id = e.interface_id
WHERE {" OR ".join(f"last_{c} - first_{c} != recorded_{c} OR recorded_{c} < 0 OR first_{c} < 0" for c in _COLUMNS)}
"""  # noqa: S608  # fixed texts
_EPOCH_SUMS = f"""
SELECT i.id, i.name, {", ".join(f"i.{c}, coalesce(e.{c}, 0)" for c in _COLUMNS)} FROM interface i LEFT JOIN (
  SELECT interface_id, {", ".join(f"sum(recorded_{c}) AS {c}" for c in _COLUMNS)} FROM epoch GROUP BY interface_id) e
ON e.interface_id = i.id
WHERE {" OR ".join(f"i.{c} != coalesce(e.{c}, 0)" for c in _COLUMNS)}
"""  # noqa: S608
_CELLS = f"SELECT start_s / {ODOMETER_S}, count(*), {_SUMS} FROM quarter WHERE interface_id = ? GROUP BY 1"  # noqa: S608
_QUARTERS = f"SELECT start_s / {ODOMETER_S}, 1, {_ROWS} FROM quarter WHERE interface_id = ? ORDER BY start_s"  # noqa: S608
_ODOMETERS = f"SELECT at_s, {_ROWS} FROM odometer WHERE interface_id = ? ORDER BY at_s"  # noqa: S608
_BAD_QUARTERS = f"""
SELECT i.name, start_s * {US}, q.rx_bytes, q.tx_bytes FROM quarter q LEFT JOIN interface i ON i.id = q.interface_id
WHERE {_NEGATIVE.replace("rx_", "q.rx_").replace("tx_", "q.tx_")} OR peak_rx < 0 OR peak_tx < 0
  OR start_s % {QUARTER_S} != 0 OR start_s >= ?
"""  # noqa: S608
_BAD_MINUTES = _BAD_QUARTERS.replace("FROM quarter q", "FROM minute q").replace(
    f"% {QUARTER_S} != 0 OR start_s >= ?", f"% {MINUTE_S} != 0"
)
_BAD_SPANS = f"""
SELECT i.name, start_us, end_us - start_us FROM span q LEFT JOIN interface i ON i.id = q.interface_id
WHERE {_NEGATIVE.replace("rx_", "q.rx_").replace("tx_", "q.tx_")} OR end_us <= start_us
"""  # noqa: S608
_OF_MINUTES = f"""
SELECT interface_id, start_s / {QUARTER_S} * {QUARTER_S} AS quarter_s,
  {", ".join(f"sum({c})" for c in _COLUMNS)}, max(peak_rx), max(peak_tx)
FROM minute WHERE start_s >= ? AND start_s < ? GROUP BY quarter_s, interface_id
"""  # noqa: S608
_KEPT_QUARTERS = f"""
SELECT interface_id, start_s, {_ROWS}, peak_rx, peak_tx FROM interface i
CROSS JOIN quarter q ON q.interface_id = i.id AND q.start_s >= ? AND q.start_s < ?
""".replace("rx_bytes, tx_bytes, rx_packets, tx_packets", ", ".join(f"q.{c}" for c in _COLUMNS))  # noqa: S608
_CHANGES = """
SELECT change, count(*) FROM (SELECT change FROM quarter UNION ALL SELECT change FROM span)
GROUP BY change HAVING count(*) > 1 OR change > ? OR change < 1
"""


class Finding(NamedTuple):
    """Something that does not add up, and where.

    table: the table of the ledger, or "file".
    interface: its name, or "".
    at_us: UTC microseconds, None where there is no time to it.
    what: what was compared.
    expected, found: the numbers, None where it is not about numbers.
    """

    table: str
    interface: str
    at_us: int | None
    what: str
    expected: int | None = None
    found: int | None = None


class Verdict(NamedTuple):
    """What came of it.

    findings: empty when everything adds up; of each check the first hundred.
    omitted: how many more there are.
    counts: rows by table that were added up.
    """

    findings: list[Finding]
    omitted: int
    counts: dict[str, int]


def verify(reader: LedgerReader) -> Verdict:
    """Check everything that can be checked.

    Raises:
        LedgerBusyError, LedgerError: the ledger cannot be read; damage is a finding.
    """
    check = _Verification(reader)
    omitted = 0
    findings: list[Finding] = []
    for part in (
        check.file,
        check.foreign_keys,
        check.own_row,
        check.epochs,
        check.totals_of_epochs,
        check.rows,
        check.entries,
        check.minutes,
        check.changes,
    ):
        found = list(_survived(part))
        findings += found[:MOST_FINDINGS]
        omitted += len(found[MOST_FINDINGS:])
    return Verdict(findings, omitted, check.counts)


def _survived(part: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    """What a check finds, also where the file is damaged or a sum is too large."""
    try:
        yield from part()
    except LedgerCorruptError as error:
        yield Finding("file", "", None, f"cannot be read: {error.message}")
    except OverflowError:
        yield Finding(
            "file", "", None, f"numbers too large to be added up ({part.__name__.replace('_', ' ')})"
        )


class _Verification:
    """The checks, each a stream of findings."""

    def __init__(self, reader: LedgerReader) -> None:
        self._reader = reader
        self._state = reader.state
        self._interfaces = reader.interfaces()
        self._names = {interface.id: interface.name for interface in self._interfaces}
        self.counts: dict[str, int] = {"interface": len(self._interfaces)}

    def file(self) -> Iterator[Finding]:
        """SQLite's own check of pages, indexes and constraints."""
        for row in self._ask(f"PRAGMA integrity_check({MOST_FINDINGS})"):
            if row[0] != "ok":
                yield Finding("file", "", None, row[0])

    def foreign_keys(self) -> Iterator[Finding]:
        """Every row belongs to an interface, epoch, place or run that exists."""
        orphans = Counter((table, parent) for table, _, parent, _ in self._ask("PRAGMA foreign_key_check"))
        for (table, parent), count in orphans.items():
            yield Finding(table, "", None, f"{count} rows belong to a row of {parent} that is not there")

    def own_row(self) -> Iterator[Finding]:
        """The ledger's own row makes sense."""
        state = self._state
        if state.sealed_until_s % QUARTER_S:
            at_us = state.sealed_until_s * US
            yield Finding("ledger", "", at_us, "sealed_until_s is no boundary of a quarter of an hour")
        if state.minutes_from_s > state.sealed_until_s + QUARTER_S:
            yield Finding("ledger", "", state.minutes_from_s * US, "minutes_from_s is after sealed_until_s")
        for table in ("epoch", "span", "gap", "odometer"):
            self.counts[table] = self._ask(f"SELECT count(*) FROM {table}")[0][0]  # noqa: S608  # fixed names

    def epochs(self) -> Iterator[Finding]:
        """In each epoch, the counters' difference is what was recorded, and nothing is negative."""
        for name, opened_us, number, *values in self._ask(_EPOCHS):
            for n, column in enumerate(_COLUMNS):
                first, last, recorded = values[3 * n : 3 * n + 3]
                what = f"{column} recorded in epoch {number}"
                if last - first != recorded:
                    yield Finding("epoch", name or "", opened_us, what, last - first, recorded)
                elif recorded < 0 or first < 0:
                    yield Finding("epoch", name or "", opened_us, f"{what} or its first reading is negative")

    def totals_of_epochs(self) -> Iterator[Finding]:
        """The stored totals of an interface are the sum of its epochs."""
        for _, name, *values in self._ask(_EPOCH_SUMS):
            for n, column in enumerate(_COLUMNS):
                stored, summed = values[2 * n : 2 * n + 2]
                if stored != summed:
                    yield Finding(
                        "interface", name, None, f"total {column} against its epochs", summed, stored
                    )

    def rows(self) -> Iterator[Finding]:
        """Single rows: no negative numbers, boundaries where they belong."""
        for name, at_us, *_ in self._ask(_BAD_QUARTERS, self._state.sealed_until_s):
            yield Finding(
                "quarter", name or "", at_us, "a negative number, no boundary of a quarter, or not sealed yet"
            )
        for name, at_us, *_ in self._ask(_BAD_MINUTES):
            yield Finding("minute", name or "", at_us, "a negative number, or no boundary of a minute")
        for name, start_us, _ in self._ask(_BAD_SPANS):
            yield Finding("span", name or "", start_us, "a negative number, or it ends before it begins")

    def entries(self) -> Iterator[Finding]:
        """Quarters, minutes after the last quarter, and spans make up each total; quarters make up the odometers."""
        tail = self._by_interface(
            "SELECT interface_id, {} FROM minute WHERE start_s >= ? GROUP BY 1", self._state.sealed_until_s
        )
        spans = self._by_interface("SELECT interface_id, {} FROM span GROUP BY 1")
        self.counts["quarter"] = 0
        for interface in self._interfaces:
            cells = self._cells(interface.id)
            self.counts["quarter"] += sum(cell[1] for cell in cells)
            yield from self._odometers(interface.id, cells)
            quarters = [sum(cell[2 + n] for cell in cells) for n in range(len(_COLUMNS))]
            others = (tail.get(interface.id, Counters()), spans.get(interface.id, Counters()))
            for n, column in enumerate(_COLUMNS):
                summed = quarters[n] + others[0][n] + others[1][n]
                if summed != interface.totals[n]:
                    what = f"total {column} against its entries"
                    yield Finding("interface", interface.name, None, what, summed, interface.totals[n])

    def _odometers(self, interface: int, cells: Sequence[Sequence[int]]) -> Iterator[Finding]:
        """Each odometer is the sum of the quarters before it; a difference is told where it begins."""
        name, place = self._names[interface], 0
        running = [0] * len(_COLUMNS)
        rows: list[tuple[int, list[int], list[int]]] = []
        for at_s, *shown in self._ask(_ODOMETERS, interface):
            if at_s % ODOMETER_S or at_s > self._state.sealed_until_s:
                yield Finding(
                    "odometer", name, at_s * US, "is not at a boundary of six hours, or not sealed yet"
                )
                continue
            while place < len(cells) and cells[place][0] < at_s // ODOMETER_S:
                running = [a + b for a, b in zip(running, cells[place][2:], strict=True)]
                place += 1
            rows.append((at_s, shown, running))
        for n, column in enumerate(_COLUMNS):
            offs = [shown[n] - summed[n] for _, shown, summed in rows]
            known = 0
            for place, (at_s, shown, _) in enumerate(rows):
                off = offs[place]
                if off == known:
                    continue
                what = f"{column} against the quarters before it"
                yield Finding("odometer", name, at_s * US, what, shown[n] - off + known, shown[n])
                alone = place + 1 < len(rows) and offs[place + 1] == known
                known = known if alone else off

    def _cells(self, interface: int) -> list[Any]:
        """The sums of the quarters in each six hours; added up here when they are too large for SQLite."""
        try:
            return self._ask(_CELLS, interface)
        except OverflowError:
            found: dict[int, list[int]] = {}
            for cell, *numbers in self._ask(_QUARTERS, interface):
                so_far = found.get(cell, [0] * (1 + len(_COLUMNS)))
                found[cell] = [a + b for a, b in zip(so_far, numbers, strict=True)]
            return [(cell, *numbers) for cell, numbers in sorted(found.items())]

    def minutes(self) -> Iterator[Finding]:
        """Where the minutes of a quarter are kept, they make up the quarter, and so do the peaks."""
        self.counts["minute"] = self._ask("SELECT count(*) FROM minute")[0][0]
        sql = """SELECT min(at) FROM (SELECT min(start_s) AS at FROM minute WHERE start_s >= ?1 UNION ALL
                 SELECT min((SELECT min(start_s) FROM quarter WHERE interface_id = i.id AND start_s >= ?1))
                 FROM interface i)"""
        first = self._ask(sql, self._reader.minutes_from_s)[0][0]
        end = self._state.sealed_until_s
        begin = end if first is None else first // QUARTER_S * QUARTER_S
        for start_s in range(begin, end, _DAY_S):
            yield from self._minutes_between(start_s, min(start_s + _DAY_S, end))

    def _minutes_between(self, start_s: int, end_s: int) -> Iterator[Finding]:
        of_minutes = {(row[0], row[1]): row[2:] for row in self._ask(_OF_MINUTES, start_s, end_s)}
        none = (0,) * (len(_COLUMNS) + 2)
        columns = (*_COLUMNS, "peak_rx", "peak_tx")
        for interface, at_s, *values in self._ask(_KEPT_QUARTERS, start_s, end_s):
            expected = of_minutes.pop((interface, at_s), none)
            for column, a, b in zip(columns, expected, values, strict=True):
                if a != b:
                    what = f"{column} against its minutes"
                    yield Finding("quarter", self._names[interface], at_s * US, what, a, b)
        for (interface, at_s), values in of_minutes.items():
            for column, a in zip(columns, values, strict=True):
                if a:
                    name = self._names.get(interface, "")
                    yield Finding("quarter", name, at_s * US, f"{column} of minutes without a quarter", a, 0)

    def changes(self) -> Iterator[Finding]:
        """Change numbers are given once, and in order."""
        last = self._state.change
        if last > _MOST_CHANGES:
            yield from self._changes_by_sorting()
            return
        seen = bytearray(max(last, 0) // 8 + 1)
        with self._reader.reading() as connection:
            for (change,) in connection.execute(
                "SELECT change FROM quarter UNION ALL SELECT change FROM span"
            ):
                if not 1 <= change <= last:
                    yield Finding(
                        "quarter", "", None, f"change number {change} was never given", last, change
                    )
                    continue
                place, bit = change >> 3, 1 << (change & 7)
                if seen[place] & bit:
                    yield Finding("quarter", "", None, f"change number {change} was given more than once")
                seen[place] |= bit

    def _changes_by_sorting(self) -> Iterator[Finding]:
        """The same where a bit for every number would be too many."""
        for change, times in self._ask(_CHANGES, self._state.change):
            what = "was given more than once" if times > 1 else "was never given"
            yield Finding("quarter", "", None, f"change number {change} {what}")

    def _by_interface(self, sql: str, *values: Any) -> dict[int, Counters]:
        sums = ", ".join(f"sum({column})" for column in _COLUMNS)
        return {row[0]: Counters(*row[1:]) for row in self._ask(sql.format(sums), *values)}

    def _ask(self, sql: str, *values: Any) -> list[Any]:
        """The rows of an answer.

        Raises:
            OverflowError: a sum is above 2^63.
        """
        with self._reader.reading() as connection:
            try:
                return connection.execute(sql, values).fetchall()
            except sqlite3.OperationalError as error:
                if "overflow" not in str(error):
                    raise
        raise OverflowError("a sum is above 2^63")
