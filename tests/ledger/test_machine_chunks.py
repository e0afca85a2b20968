"""The machine's total, added up beforehand: whatever has changed since, answers are those of the chunks themselves."""

import contextlib
import random
import shutil
import sqlite3

import pytest
from recorder.audit import assert_sound
from support import book
from support.ledgers import DAY_S, START_S, naive_usage, writing

from netusage.ledger.chunks import LONGEST_S
from netusage.ledger.reader import LedgerReader
from netusage.ledger.repair import repair
from netusage.ledger.verify import verify
from netusage.model import QUARTER_S, US

DAYS = 70  # three or four blocks of four weeks
END_S = START_S + DAYS * DAY_S
SHIFTS_S = (0, -5 * 3600, 18 * 3600 + 900, 13 * 3600 + 1800)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "ledger.db"


def fill(ledger, until_s=END_S, seed=5):
    """Interfaces in the total and not, one that comes late and one that goes early, idle days, and guesses."""
    rand = random.Random(seed)
    epochs = {name: ledger.interface(name) for name in ("eth0", "eth1", "wlan0")}
    epochs["docker0"] = ledger.interface("docker0", "bridge", counted=False)
    for at_s in range(START_S, until_s, 3 * 3600):
        day = (at_s - START_S) // DAY_S
        if day == 40 and "usb0" not in epochs:
            epochs["usb0"] = ledger.interface("usb0")
        for name, epoch in epochs.items():
            if (name == "wlan0" and day > 33) or (name == "eth1" and day % 7 == 3):
                continue
            ledger.count(
                epoch, at_s + rand.randrange(3 * 3600), rand.randrange(10**9), rand.randrange(10**6), 7, 3
            )
        if at_s % (2 * DAY_S) == 21 * 3600:
            ledger.commit(at_s + 3 * 3600 + QUARTER_S)
    ledger.span(
        epochs["eth0"], (START_S + 9 * DAY_S) * US + 5, (START_S + 12 * DAY_S) * US, 10**9 + 7, 13, 5, 1
    )
    ledger.commit()
    return epochs


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    """A filled ledger that is only read."""
    with writing(tmp_path_factory.mktemp("full") / "ledger.db") as ledger:
        fill(ledger)
        yield ledger


@pytest.fixture(scope="module")
def two_blocks(tmp_path_factory):
    """The file of a ledger of five weeks, to be copied."""
    path = tmp_path_factory.mktemp("blocks") / "ledger.db"
    with writing(path) as ledger:
        fill(ledger, START_S + 35 * DAY_S)
    return path


def members(path):
    return [
        row["members"].split()
        for row in book.rows(path, "SELECT members FROM machine_chunk ORDER BY start_s")
    ]


def tamper(path, statement, *values):
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        assert connection.execute(statement, values).rowcount


def ids_of(reader, names):
    return [i.id for i in reader.interfaces() if i.name in names]


def assert_answers(ledger, names):
    """What is told of some interfaces together is what went in."""
    with LedgerReader(ledger.path) as reader:
        ids = ids_of(reader, names)
        for shift in SHIFTS_S:
            edges = [START_S - DAY_S + shift + day * DAY_S for day in range(DAYS + 3)]
            expected = naive_usage(ledger, names, edges)
            assert reader.usage([ids], edges)[0] == expected
            without = [usage._replace(rx_packets=0, tx_packets=0) for usage in expected]
            assert reader.usage([ids], edges, packets=False)[0] == without
            few = [edges[0], edges[20] + QUARTER_S, edges[21], edges[-1]]
            assert reader.usage([ids], few)[0] == naive_usage(ledger, names, few)
            busy = [n for n, usage in enumerate(expected) if usage.total_bytes]
            ranked = sorted(busy, key=lambda n: (-expected[n].total_bytes, n))
            assert reader.busiest(ids, edges, 4) == [(n, expected[n]) for n in ranked[:4]]
        begin_s = START_S + 5 * DAY_S
        quarters = range(begin_s, START_S + 45 * DAY_S, QUARTER_S)
        rx, tx = reader.slots([ids], quarters[0], quarters[-1] + QUARTER_S, QUARTER_S)[0]
        of_each = [reader.slots([[i]], quarters[0], quarters[-1] + QUARTER_S, QUARTER_S)[0] for i in ids]
        assert list(rx) == [sum(same) for same in zip(*(pair[0] for pair in of_each), strict=True)]
        assert list(tx) == [sum(same) for same in zip(*(pair[1] for pair in of_each), strict=True)]


COUNTED = ("eth0", "eth1", "wlan0", "usb0")


def test_what_is_told_of_the_machine_is_what_its_interfaces_counted(full):
    assert len(members(full.path)) == len({at_s // LONGEST_S for at_s in range(START_S, END_S, DAY_S)})
    assert_answers(full, COUNTED)
    assert_sound(full.path)


@pytest.mark.parametrize(
    "names",
    [("eth0", "eth1"), ("eth0", "eth1", "wlan0", "usb0", "docker0"), ("eth0",), ("docker0", "usb0")],
    ids=" ".join,
)
def test_other_interfaces_than_those_that_were_added_up_are_read_by_themselves(full, names):
    assert_answers(full, names)


@pytest.mark.thorough
def test_a_sum_of_chunks_that_have_changed_is_passed_over_until_a_day_ends(path):
    with writing(path) as ledger:
        epochs = fill(ledger)
        before = members(path)
        ledger.count(epochs["eth1"], START_S + 3 * DAY_S + 500, 10**10, 77, 1, 1)  # the clock was wrong
        ledger.count(epochs["usb0"], START_S + 30 * DAY_S, 10**10, 77, 1, 1)  # there was no chunk of it
        ledger.commit()
        assert members(path) == before
        assert_answers(ledger, COUNTED)
        ledger.commit(ledger.now_s + DAY_S)
        after = members(path)
        assert [a == b for a, b in zip(before, after, strict=True)].count(False) >= 2
        assert_answers(ledger, COUNTED)
    assert_sound(path)


def test_an_interface_that_is_put_into_the_total_afterwards_is_added_at_the_end_of_the_day(path):
    with writing(path) as ledger:
        fill(ledger)
        before = members(path)
        docker0 = ledger.interface("docker0", "bridge", counted=True)
        ledger.count(docker0, ledger.now_s, 5)
        ledger.commit(ledger.now_s + 60)
        assert_answers(ledger, (*COUNTED, "docker0"))
        ledger.commit(ledger.now_s + DAY_S)
        assert [len(b) > len(a) for a, b in zip(before, members(path), strict=True)] == [True] * len(before)
        assert_answers(ledger, (*COUNTED, "docker0"))
        assert_answers(ledger, COUNTED)


def test_few_sums_are_made_anew_in_one_commit_the_latest_first(path, monkeypatch):
    with writing(path) as ledger:
        fill(ledger)
        blocks = len(members(path))
        tamper(path, "DELETE FROM machine_chunk")
        monkeypatch.setattr("netusage.ledger.machine_chunks.refresh.__defaults__", (1,))
        found = []
        for _ in range(blocks):
            ledger.commit(ledger.now_s + DAY_S)
            found.append(
                [row["start_s"] // LONGEST_S for row in book.rows(path, "SELECT start_s FROM machine_chunk")]
            )
        last = END_S // LONGEST_S
        assert [len(starts) for starts in found] == list(range(1, blocks + 1))
        assert all(min(starts) + len(starts) > last for starts in found)
        assert_answers(ledger, COUNTED)


def test_sums_of_2_to_the_63_or_more_are_not_added_up_beforehand(path):
    with writing(path) as ledger:
        for name in ("eth0", "eth1"):
            epoch = ledger.interface(name)
            ledger.count(epoch, START_S, 2**62 + 1, 0, 1, 0)
            ledger.commit(START_S + 3600)
        ledger.commit(START_S + DAY_S + QUARTER_S)
        assert members(path) == []
        with LedgerReader(ledger.path) as reader:
            edges = [START_S, START_S + DAY_S, START_S + 2 * DAY_S]
            assert reader.usage([ids_of(reader, ("eth0", "eth1"))], edges)[0][0].rx_bytes == 2**63 + 2


def test_a_machine_with_one_interface_has_nothing_to_add_up(path):
    with writing(path) as ledger:
        epoch = ledger.interface("eth0")
        for day in range(3):
            ledger.count(epoch, START_S + day * DAY_S, 100, 0, 1, 0)
            ledger.commit(START_S + day * DAY_S + QUARTER_S)
        assert members(path) == []
        assert_answers(ledger, ("eth0",))


@pytest.mark.thorough
@pytest.mark.parametrize("column", ["tx_packets", "bytes", "byte_totals", "quarters"])
def test_a_sum_that_is_none_is_found_and_repaired(two_blocks, path, column):
    shutil.copy(two_blocks, path)
    rows = book.rows(path, "SELECT * FROM machine_chunk ORDER BY start_s")
    value = rows[1][column]
    wrong = bytes([*value[:-1], value[-1] ^ 4]) if isinstance(value, bytes) else value + 1
    tamper(path, f"UPDATE machine_chunk SET {column} = ? WHERE start_s = ?", wrong, rows[1]["start_s"])
    with LedgerReader(str(path)) as reader:
        assert [finding.table for finding in verify(reader).findings] == ["machine_chunk"]
    path.with_name("ledger.db.lock").touch()
    found = repair(str(path), now_us=END_S * US, boot_id="boot-1", agree=lambda _found: True)
    assert not found.sound
    again = book.rows(path, "SELECT * FROM machine_chunk ORDER BY start_s")
    assert list(map(tuple, again)) == list(map(tuple, rows))
    assert_sound(path)
