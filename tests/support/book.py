"""Looking into a ledger from outside, with nothing but SQLite: what is recorded, and whether it adds up."""

import contextlib
import sqlite3
import struct
import zlib
from itertools import accumulate
from pathlib import Path

from netusage.ledger.reader import LedgerReader
from netusage.ledger.verify import verify
from netusage.model import ZERO, Counters

_COUNTERS = ", ".join(Counters._fields)
_PAIRS = {
    "bytes": ("rx_bytes", "tx_bytes"),
    "packets": ("rx_packets", "tx_packets"),
    "peaks": ("peak_rx", "peak_tx"),
}


@contextlib.contextmanager
def opened(path):
    """A connection that only reads."""
    connection = sqlite3.connect(
        f"{Path(path).absolute().as_uri()}?mode=ro", uri=True, timeout=10, isolation_level=None
    )
    connection.row_factory = sqlite3.Row
    try:
        yield connection
    finally:
        connection.close()


def rows(path, question, *values):
    """The rows that answer a question."""
    with opened(path) as connection:
        return connection.execute(question, values).fetchall()


def columns(chunk) -> dict[str, list[int]]:
    """The columns of a row of `chunk`: what was counted in each quarter, and peaks."""
    found = {}
    for pair, names in _PAIRS.items():
        if pair not in chunk.keys():  # noqa: SIM118  # a row of SQLite has values for members
            continue
        count, width = chunk["quarters"], len(chunk[pair]) // (2 * chunk["quarters"])
        numbers = struct.unpack(f"<{2 * count}{ {4: 'I', 8: 'Q'}[width] }", chunk[pair])
        found |= {names[0]: list(numbers[:count]), names[1]: list(numbers[count:])}
    return found


def running_totals(numbers) -> list[list[int]]:
    """What a chunk tells beside its columns: the sum of all quarters before every fourth one, of each counter."""
    return [list(accumulate(numbers[name], initial=0))[::4] for name in Counters._fields]


def packed(first, second) -> bytes:
    """A pair of columns as a chunk has it."""
    code = "I" if max(*first, *second) < 2**32 else "Q"
    return struct.pack(f"<{2 * len(first)}{code}", *first, *second)


def quarters(path) -> list[dict[str, int]]:
    """Every quarter in which anything was counted, by time and interface."""
    found = []
    for chunk in rows(path, "SELECT * FROM chunk"):
        numbers = columns(chunk)
        for place in range(chunk["quarters"]):
            one = {name: column[place] for name, column in numbers.items()}
            if any(one.values()):
                at_s = chunk["start_s"] + 900 * place
                found.append({"interface_id": chunk["interface_id"], "start_s": at_s} | one)
    return sorted(found, key=lambda one: (one["start_s"], one["interface_id"]))


def change_quarter(path, interface_id, at_s, *, checksum=True, off=0, **more):
    """Tamper with a quarter: add to its counters, or set its peaks, behind the ledger's back.

    off: by how much the running totals beside it are made wrong.
    """
    connection = sqlite3.connect(path, isolation_level=None)
    connection.row_factory = sqlite3.Row
    sql = "SELECT * FROM chunk WHERE interface_id = ? AND start_s <= ? ORDER BY start_s DESC LIMIT 1"
    chunk = connection.execute(sql, (interface_id, at_s)).fetchone()
    numbers, place = columns(chunk), (at_s - chunk["start_s"]) // 900
    for name, number in more.items():
        if name.startswith("peak"):
            numbers[name][place] = number
        else:
            numbers[name][place] += number
    bytes_, packets, of_peaks = (packed(numbers[first], numbers[second]) for first, second in _PAIRS.values())
    told = [[total + off for total in column] for column in running_totals(numbers)]
    byte_totals, packet_totals = packed(*told[:2]), packed(*told[2:])
    pairs = (bytes_, byte_totals, packets, packet_totals, of_peaks)
    crc = zlib.crc32(b"".join(pairs)) if checksum else chunk["crc"]
    peaks = [max(numbers[name]) for name in _PAIRS["peaks"]]
    connection.execute(
        "UPDATE chunk SET bytes = ?, byte_totals = ?, packets = ?, packet_totals = ?, peaks = ?, peak_rx = ?, peak_tx = ?,"
        " crc = ? WHERE id = ?",
        (*pairs, *peaks, crc, chunk["id"]),
    )
    connection.close()


def recorded(path) -> dict[str, Counters]:
    """The stored totals by interface name; interfaces with nothing are left out."""
    total: dict[str, Counters] = {}
    for name, *values in rows(path, f"SELECT name, {_COUNTERS} FROM interface"):
        total[name] = total.get(name, ZERO).plus(Counters(*values))
    return {name: counters for name, counters in total.items() if not counters.is_zero}


def gaps(path, **wanted):
    """The declared gaps that have these values, as in `kind="vanished", interface="va"`."""
    found = [dict(row) for row in rows(path, "SELECT * FROM gap ORDER BY id")]
    return [row for row in found if all(row[name] == value for name, value in wanted.items())]


def epochs(path, name=None):
    """The epochs of an interface (or all), oldest first."""
    question = "SELECT e.*, i.name FROM epoch e JOIN interface i ON i.id = e.interface_id {} ORDER BY e.id"
    if name is None:
        return rows(path, question.format(""))
    return rows(path, question.format("WHERE i.name = ?"), name)


def assert_it_adds_up(path):
    """Entries equal stored totals equal counter differences, by our own sums and by the ledger's own `verify`."""
    with opened(path) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
        of_quarters: dict[tuple[int, str], int] = {}
        for one in quarters(path):
            for field in Counters._fields:
                key = one["interface_id"], field
                of_quarters[key] = of_quarters.get(key, 0) + one[field]
        for field in Counters._fields:
            wrong = connection.execute(
                f"SELECT id FROM epoch WHERE last_{field} - first_{field} != recorded_{field}"
            ).fetchall()
            assert not wrong, (
                f"{field}: counter differences differ from what was recorded in {len(wrong)} epochs"
            )
            totals = connection.execute(
                f"""SELECT id, name, {field} AS stored,
                  (SELECT coalesce(sum(recorded_{field}), 0) FROM epoch WHERE interface_id = i.id) AS of_epochs,
                  (SELECT coalesce(sum({field}), 0) FROM span WHERE interface_id = i.id) +
                  (SELECT coalesce(sum({field}), 0) FROM minute WHERE interface_id = i.id
                    AND start_s >= (SELECT sealed_until_s FROM ledger)) AS of_entries
                  FROM interface i"""
            ).fetchall()
            for number, name, stored, of_epochs, of_others in totals:
                entries = of_others + of_quarters.get((number, field), 0)
                assert stored == of_epochs == entries, (name, field, stored, of_epochs, entries)
    with LedgerReader(path) as reader:
        verdict = verify(reader)
    assert not verdict.findings, verdict.findings
