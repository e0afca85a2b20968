"""Proof that the record adds up: bytes in the entries, in the stored totals, and between the counters.

Every check compares numbers that were written independently of each other or follow from each other, and a finding
says where they differ. Nothing is changed, and a recorder may go on meanwhile: all checks see one moment.
"""

import sqlite3
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import Any, NamedTuple

from netusage.errors import LedgerCorruptError
from netusage.ledger import fives, machine_chunks
from netusage.ledger.answers import InterfaceRecord
from netusage.ledger.chunks import DAY_S, FIELDS, LONGEST_S, QUARTERS_OF_MINUTES, Chunk, between, checksum
from netusage.ledger.reader import LedgerReader
from netusage.model import LARGEST, LONGEST_DAY_S, MINUTE_S, QUARTER_S, SHORTEST_DAY_S, US, Counters

MOST_FINDINGS = 100  # of one check

_COLUMNS = Counters._fields
_PEAKS = ("peak_rx", "peak_tx")
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
_BAD_MINUTES = f"""
SELECT i.name, start_s * {US} FROM minute q LEFT JOIN interface i ON i.id = q.interface_id
WHERE {_NEGATIVE.replace("rx_", "q.rx_").replace("tx_", "q.tx_")} OR peak_rx < 0 OR peak_tx < 0
  OR start_s % {MINUTE_S} != 0
"""  # noqa: S608
_BAD_SPANS = f"""
SELECT i.name, start_us, end_us - start_us FROM span q LEFT JOIN interface i ON i.id = q.interface_id
WHERE {_NEGATIVE.replace("rx_", "q.rx_").replace("tx_", "q.tx_")} OR end_us <= start_us
"""  # noqa: S608
_BAD_SHARES = f"""
SELECT i.name, start_s FROM share q LEFT JOIN interface i ON i.id = q.interface_id
WHERE {_NEGATIVE.replace("rx_", "q.rx_").replace("tx_", "q.tx_")} OR start_s % {QUARTER_S} != 0
  OR seconds != {QUARTER_S} AND (seconds % {QUARTER_S} != 0 OR seconds NOT BETWEEN {SHORTEST_DAY_S} AND {LONGEST_DAY_S})
"""  # noqa: S608
_CHUNKS = "SELECT id, start_s FROM chunk WHERE interface_id = ? ORDER BY start_s"
_CHUNK = f"SELECT {FIELDS}, byte_totals, packet_totals, peak_rx, peak_tx, crc FROM chunk WHERE id = ?"  # noqa: S608
_CHANGES = """
SELECT change, count(*) FROM (SELECT change FROM chunk UNION ALL SELECT change FROM span UNION ALL SELECT change FROM share_change)
GROUP BY change HAVING count(*) > 1 OR change > ? OR change < 1
"""
_SHARES_UNNUMBERED = """
SELECT start_s, 'has no change number' FROM (SELECT DISTINCT start_s FROM share WHERE start_s < ?1)
WHERE start_s NOT IN (SELECT start_s FROM share_change)
UNION ALL SELECT start_s, 'has a change number and no rows, or is not sealed' FROM share_change c
WHERE start_s >= ?1 OR NOT EXISTS (SELECT 1 FROM share WHERE share.start_s = c.start_s)
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


def verify(reader: LedgerReader, *, hosts: bool = True) -> Verdict:
    """Check everything that can be checked.

    Args:
        reader: the ledger's own book, or that of a host.
        hosts: check the books of all hosts as well, when it is the ledger's own.

    Raises:
        LedgerBusyError, LedgerError: the ledger cannot be read; damage is a finding.
    """
    check = _Verification(reader)
    omitted = 0
    findings: list[Finding] = []
    for part in (
        *([] if reader.host else [check.file, check.foreign_keys]),
        check.own_row,
        check.epochs,
        check.totals_of_epochs,
        check.rows,
        check.application_totals,
        check.entries,
        check.minutes,
        check.fives,
        check.machine_chunks,
        check.changes,
        *([check.hosts] if hosts and not reader.host else []),
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

    def hosts(self) -> Iterator[Finding]:
        """The books of other machines and disks add up, each by itself."""
        for host in self._reader.hosts():
            with LedgerReader(self._reader.path, host.name) as reader:
                verdict = verify(reader)
            yield from (found._replace(table=f"{host.name}: {found.table}") for found in verdict.findings)
            self.counts["host"] = self.counts.get("host", 0) + 1

    def own_row(self) -> Iterator[Finding]:
        """The ledger's own row makes sense."""
        state = self._state
        if state.sealed_until_s % QUARTER_S:
            at_us = state.sealed_until_s * US
            yield Finding("ledger", "", at_us, "sealed_until_s is no boundary of a quarter of an hour")
        if state.minutes_from_s > state.sealed_until_s + QUARTER_S:
            yield Finding("ledger", "", state.minutes_from_s * US, "minutes_from_s is after sealed_until_s")
        for table in ("epoch", "span", "gap", "chunk"):
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
        for name, at_us in self._ask(_BAD_MINUTES):
            yield Finding("minute", name or "", at_us, "a negative number, or no boundary of a minute")
        for name, start_s in self._ask(_BAD_SHARES):
            yield Finding("share", name or "", start_s * US, "a negative number, or no quarter and no day")
        for name, start_us, _ in self._ask(_BAD_SPANS):
            yield Finding("span", name or "", start_us, "a negative number, or it ends before it begins")

    def application_totals(self) -> Iterator[Finding]:
        """No application has a negative number, and none more than all have, who also had what was forgotten by name."""
        names: dict[int, list[int]] = {}
        of_all: dict[int, list[int]] = {}
        for row in self._reader.application_totals():
            into = (names if row.kind else of_all).setdefault(row.scope, [0, 0])
            into[:] = into[0] + row.rx_bytes, into[1] + row.tx_bytes
            if min(row.rx_bytes, row.tx_bytes) < 0:
                yield Finding("application_total", "", None, f"{row.name!r} has a negative number")
        for scope, sums in names.items():
            for column, both in zip(
                _COLUMNS, zip(sums, of_all.get(scope, [0, 0]), strict=True), strict=False
            ):
                if min(both[0], LARGEST) > both[1]:
                    what = f"{column} of scope {scope} by name against those of all together"
                    yield Finding("application_total", "", None, what, *both)

    def entries(self) -> Iterator[Finding]:
        """Quarters, minutes after the last quarter, and spans make up each total."""
        tail = self._by_interface(
            "SELECT interface_id, {} FROM minute WHERE start_s >= ? GROUP BY 1", self._state.sealed_until_s
        )
        spans = self._by_interface("SELECT interface_id, {} FROM span GROUP BY 1")
        self.counts["quarter"] = 0
        for interface in self._interfaces:
            quarters = yield from self._chunks(interface)
            others = (tail.get(interface.id, Counters()), spans.get(interface.id, Counters()))
            for n, column in enumerate(_COLUMNS):
                summed = quarters[n] + others[0][n] + others[1][n]
                if summed != interface.totals[n]:
                    what = f"total {column} against its entries"
                    yield Finding("interface", interface.name, None, what, summed, interface.totals[n])

    def _chunks(self, interface: InterfaceRecord) -> Generator[Finding, None, list[int]]:
        """The chunks of an interface by time: each begins where and with the totals with which others end.

        Returns:
            The sums of all quarters.
        """
        name, ended_s = interface.name, None
        running, offs = [0] * len(_COLUMNS), [0] * len(_COLUMNS)
        for number, start_s in self._ask(_CHUNKS, interface.id):
            at_us = start_s * US
            try:
                with self._reader.reading() as connection:
                    row = connection.execute(_CHUNK, (number,)).fetchone()
                    chunk = Chunk.of_row(row)
            except LedgerCorruptError as error:
                yield Finding("chunk", name, at_us, f"cannot be read: {error.message}")
                continue
            yield from self._chunk(chunk, row, name)
            if ended_s is not None and start_s < ended_s:
                yield Finding("chunk", name, at_us, "begins before the one before it has ended")
            ended_s = chunk.end_s
            for n, column in enumerate(_COLUMNS):
                off = chunk.before[n] - running[n]
                if off != offs[n]:  # told once, where it begins
                    what = f"{column} against the quarters before it"
                    yield Finding("chunk", name, at_us, what, running[n] + offs[n], chunk.before[n])
                    offs[n] = off
                running[n] += sum(chunk.counters[n])
            self.counts["quarter"] += len(chunk)
        return running

    def _chunk(self, chunk: Chunk, row: Sequence[Any], name: str) -> Iterator[Finding]:
        """One chunk by itself: nothing negative, boundaries where they belong, and what was written."""
        at_us = chunk.start_s * US
        if chunk.start_s % QUARTER_S or chunk.end_s > self._state.sealed_until_s:
            yield Finding("chunk", name, at_us, "no boundary of a quarter, or not sealed yet")
        if min(chunk.before) < 0:
            yield Finding("chunk", name, at_us, "a negative number")
        byte_totals, packet_totals, peak_rx, peak_tx, crc = row[-5:]
        bytes_, packets, peaks = row[-8:-5]
        if checksum(bytes_, byte_totals, packets, packet_totals, peaks) != crc:
            yield Finding("chunk", name, at_us, "its checksum does not fit: it is not what was written")
        if (byte_totals, packet_totals) != chunk.totals():
            yield Finding("chunk", name, at_us, "running totals against its quarters")
        for column, own, found in zip(_PEAKS, chunk.peaks, (peak_rx, peak_tx), strict=True):
            if max(own) != found:
                yield Finding("chunk", name, at_us, f"{column} against its quarters", max(own), found)

    def minutes(self) -> Iterator[Finding]:
        """Where the minutes of a quarter are kept, they make up the quarter, and so do the peaks."""
        self.counts["minute"] = self._ask("SELECT count(*) FROM minute")[0][0]
        for begin in self._kept_days():
            begin_s, end_s = max(begin, self._reader.minutes_from_s), self._state.sealed_until_s
            yield from self._minutes_between(begin_s, min(begin + DAY_S, end_s))

    def _kept_days(self) -> range:
        """The UTC days of which minutes or quarters are kept and sealed."""
        sql = """SELECT min(at) FROM (SELECT min(start_s) AS at FROM minute WHERE start_s >= ?1 UNION ALL
                 SELECT min((SELECT min(max(start_s, ?1)) FROM chunk
                   WHERE interface_id = i.id AND start_s + quarters * 900 > ?1)) FROM interface i)"""
        first, end = self._ask(sql, self._reader.minutes_from_s)[0][0], self._state.sealed_until_s
        return range(end if first is None else first // DAY_S * DAY_S, end, DAY_S)

    def _minutes_between(self, start_s: int, end_s: int) -> Iterator[Finding]:
        of_minutes = {(row[0], row[1]): row[2:] for row in self._ask(QUARTERS_OF_MINUTES, start_s, end_s)}
        of_quarters = {}
        for interface in self._interfaces:
            with self._reader.reading() as connection:
                for at_s, *values in between(connection, interface.id, start_s, end_s):
                    of_quarters[interface.id, at_s] = tuple(values)
        none = (0,) * len((*_COLUMNS, *_PEAKS))
        for place in sorted(of_minutes.keys() | of_quarters.keys()):
            expected, found = of_minutes.get(place, none), of_quarters.get(place, none)
            for column, a, b in zip((*_COLUMNS, *_PEAKS), expected, found, strict=True):
                if a != b:
                    name, at_us = self._names.get(place[0], ""), place[1] * US
                    yield Finding("quarter", name, at_us, f"{column} against its minutes", a, b)

    def fives(self) -> Iterator[Finding]:
        """The five minutes that are noted of a day are those of its minutes."""
        for day_s in self._kept_days():
            if not self._reader.minutes_from_s <= day_s <= self._state.sealed_until_s - DAY_S:
                continue
            with self._reader.reading() as connection:
                expected = dict(fives.of_minutes(connection, day_s))
                found = fives.noted(connection, day_s)
            for number in sorted(expected.keys() | found.keys()):
                if expected.get(number) != found.get(number):
                    name = self._names.get(number, "")
                    yield Finding("five", name, day_s * US, "bytes of five minutes against the minutes")

    def machine_chunks(self) -> Iterator[Finding]:
        """What is added up beforehand is the sum of the chunks that it names; as long as those are what they were."""
        for row in self._ask("SELECT * FROM machine_chunk ORDER BY start_s"):
            start_s, quarters, members, *_ = row
            begin_s, end_s = start_s // LONGEST_S * LONGEST_S, start_s + quarters * QUARTER_S
            with self._reader.reading() as connection:
                expected = machine_chunks.added_up(connection, begin_s, end_s)
            if expected is not None and expected[2] == members and expected != row:
                yield Finding("machine_chunk", "", start_s * US, "sums of chunks against the chunks")

    def changes(self) -> Iterator[Finding]:
        """Change numbers are given once, and in order."""
        for change, times in self._ask(_CHANGES, self._state.change):
            what = "was given more than once" if times > 1 else "was never given"
            yield Finding("chunk", "", None, f"change number {change} {what}")
        for start_s, what in self._ask(_SHARES_UNNUMBERED, self._state.sealed_until_s):
            yield Finding("share", "", start_s * US, f"the quarter {what}")

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
