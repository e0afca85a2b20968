"""Adds a ledger up by hand, without the ledger's own code, and then asks the ledger's `verify` as well."""

from support.book import columns, opened, packed, quarters, running_totals

from netusage.ledger.reader import LedgerReader
from netusage.ledger.verify import verify
from netusage.model import Counters

_SUMS = ", ".join(f"sum({name})" for name in Counters._fields)
_EACH = ", ".join(Counters._fields)

# of the days all of whose minutes are kept and sealed
_FIVES = "SELECT * FROM five WHERE start_s / 86400 * 86400 >= ? AND start_s / 86400 * 86400 + 86400 <= ?"


def assert_sound(path) -> None:
    """Minutes, quarters, spans, running totals, epochs and change numbers agree; so does `verify`."""
    with opened(path) as book:
        assert book.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
        (sealed,) = book.execute("SELECT sealed_until_s FROM ledger").fetchone()
        _assert_entries(path, book, sealed)
        _assert_epochs(book)
        _assert_running_totals(book)
        _assert_quarters(path, book, sealed)
        _assert_changes(book)
        _assert_machine_chunks(book)
        _assert_shares(book)
    with LedgerReader(str(path)) as reader:
        verdict = verify(reader)
    assert not verdict.findings, verdict.findings[:5]
    assert not verdict.omitted


def _assert_entries(path, book, sealed: int) -> None:
    """Sealed quarters, the minutes after them, and spans are the total of every interface."""
    parts = (
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
    for one in quarters(path):
        so_far = sums.setdefault(one["interface_id"], [0, 0, 0, 0])
        counters = [one[name] for name in Counters._fields]
        sums[one["interface_id"]] = [a + b for a, b in zip(so_far, counters, strict=True)]
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


def _assert_running_totals(book) -> None:
    """A chunk begins when the one before it has ended, with the sum of all quarters before it."""
    for (number,) in book.execute("SELECT DISTINCT interface_id FROM chunk").fetchall():
        running, end_s = [0, 0, 0, 0], 0
        for chunk in book.execute("SELECT * FROM chunk WHERE interface_id = ? ORDER BY start_s", (number,)):
            assert chunk["start_s"] >= end_s
            assert chunk["start_s"] % 900 == 0
            assert [chunk[name] for name in Counters._fields] == running, f"{number} at {chunk['start_s']}"
            own = columns(chunk)
            assert (chunk["peak_rx"], chunk["peak_tx"]) == (max(own["peak_rx"]), max(own["peak_tx"]))
            told = running_totals(own)
            assert chunk["byte_totals"] == packed(*told[:2])
            assert chunk["packet_totals"] == packed(*told[2:])
            for place, name in enumerate(Counters._fields):
                running[place] += sum(own[name])
            end_s = chunk["start_s"] + 900 * chunk["quarters"]
            assert end_s - chunk["start_s"] <= 28 * 86400


def _assert_quarters(path, book, sealed: int) -> None:
    """Quarters and noted five minutes are the sums of their minutes, where all of those are kept."""
    (kept,) = book.execute("SELECT minutes_from_s FROM ledger").fetchone()
    kept = -(-kept // 900) * 900
    expected: dict[tuple[int, int], list[int]] = {}
    fives: dict[tuple[int, int], dict[int, list[int]]] = {}
    for row in book.execute("SELECT * FROM minute WHERE start_s >= ? AND start_s < ?", (kept, sealed)):
        number, at_s = row["interface_id"], row["start_s"]
        into = expected.setdefault((at_s // 900 * 900, number), [0] * 6)
        into[:4] = [a + row[name] for a, name in zip(into, Counters._fields, strict=False)]
        into[4:] = [max(into[4], row["peak_rx"]), max(into[5], row["peak_tx"])]
        day_s = at_s // 86400 * 86400
        if day_s >= kept and day_s + 86400 <= sealed:
            five = fives.setdefault((day_s, number), {}).setdefault((at_s - day_s) // 300, [0, 0])
            five[0] += row["rx_bytes"]
            five[1] += row["tx_bytes"]
    names = (*Counters._fields, "peak_rx", "peak_tx")
    found = {
        (one["start_s"], one["interface_id"]): [one[name] for name in names]
        for one in quarters(path)
        if one["start_s"] >= kept
    }
    assert found == {place: numbers for place, numbers in expected.items() if any(numbers)}
    for row in book.execute(_FIVES, (kept, sealed)):
        count, day_s = row["fives"], row["start_s"] // 86400 * 86400
        none = bytes(8 * count)
        own = columns({"quarters": count, "bytes": row["bytes"], "packets": none, "peaks": none})
        pairs = list(zip(own["rx_bytes"], own["tx_bytes"], strict=True))
        assert any(pairs[0])
        assert any(pairs[-1])
        numbers = {n: list(pair) for n, pair in enumerate(pairs, start=(row["start_s"] - day_s) // 300)}
        minutes = fives.pop((day_s, row["interface_id"]))
        assert {n: pair for n, pair in numbers.items() if any(pair)} == {
            n: p for n, p in minutes.items() if any(p)
        }
    assert not any(any(p) for minutes in fives.values() for p in minutes.values()), "days that are not noted"


def _assert_changes(book) -> None:
    """Every change number was given once, and none beyond the last."""
    given = [row[0] for row in book.execute("SELECT change FROM chunk UNION ALL SELECT change FROM span")]
    assert len(given) == len(set(given))
    assert max(given, default=0) <= book.execute("SELECT change FROM ledger").fetchone()[0]


def _assert_shares(book) -> None:
    """What an application had belongs to a quarter of an hour or to a day of some zone, and to somebody."""
    for row in book.execute("SELECT s.*, kind FROM share s LEFT JOIN application ON id = application_id"):
        assert row["start_s"] % 900 == 0
        assert row["seconds"] in {900, *range(21 * 3600, 27 * 3600 + 1, 900)}
        assert min(row[name] for name in Counters._fields) >= 0
        assert row["kind"] in {"application", "kernel", "forwarded", "unnamed", "other"}
    stray = (
        "SELECT count(*) FROM application_version WHERE application_id NOT IN (SELECT id FROM application)"
    )
    assert book.execute(stray).fetchone()[0] == 0


def _assert_machine_chunks(book) -> None:
    """A row that is added up beforehand is the sum of the chunks that it names, as long as all of those are there."""
    chunks = {(row["interface_id"], row["change"]): row for row in book.execute("SELECT * FROM chunk")}
    for row in book.execute("SELECT * FROM machine_chunk"):
        members = [chunks.get(tuple(map(int, member.split(":")))) for member in row["members"].split()]
        if None in members:
            continue
        expected = {name: [0] * row["quarters"] for name in Counters._fields}
        for chunk in members:
            first = (chunk["start_s"] - row["start_s"]) // 900
            for name, column in columns(chunk).items():
                for place, number in enumerate(column if name in expected else (), start=first):
                    expected[name][place] += number
        assert columns(row) == expected
        assert [row[name] for name in Counters._fields] == [sum(column) for column in expected.values()]
        told = running_totals(expected)
        assert (row["byte_totals"], row["packet_totals"]) == (packed(*told[:2]), packed(*told[2:]))
