"""Five minutes of days that are over, noted side by side."""

import pytest
from recorder.audit import assert_sound
from support import book
from support.ledgers import DAY_S, START_S, writing

from netusage.ledger.reader import LedgerReader


@pytest.fixture
def path(tmp_path):
    return tmp_path / "ledger.db"


def noted(path):
    return [
        (row["interface_id"], row["start_s"]) for row in book.rows(path, "SELECT * FROM five ORDER BY 2, 1")
    ]


def test_a_day_is_noted_when_it_is_over_for_those_that_counted_anything(path):
    with writing(path) as ledger:
        eth0, _ = ledger.interface("eth0"), ledger.interface("wg0")
        ledger.count(eth0, START_S + 60, 5)
        ledger.commit(START_S + DAY_S - 1)
        assert noted(path) == []
        ledger.commit(START_S + DAY_S)
    assert noted(path) == [(eth0.interface_row, START_S)]
    assert_sound(path)


def test_an_interface_that_lived_for_minutes_takes_no_more_than_these(path):
    with writing(path) as ledger:
        veth = ledger.interface("veth1")
        ledger.count(veth, START_S + 3600, 5, 1)
        ledger.count(veth, START_S + 3600 + 600, 7)
        ledger.count(ledger.interface("veth2"), START_S + 60, 0, 0, 3, 3)
        ledger.commit(START_S + DAY_S)
    (row,) = book.rows(path, "SELECT * FROM five")
    assert (row["interface_id"], row["start_s"], row["fives"]) == (veth.interface_row, START_S + 3600, 3)
    assert row["bytes"] == book.packed([5, 0, 7], [1, 0, 0])
    assert_sound(path)


def test_late_minutes_of_a_noted_day_are_noted_too(path):
    with writing(path) as ledger:
        eth0, eth1 = ledger.interface("eth0"), ledger.interface("eth1")
        ledger.count(eth0, START_S + 60, 5)
        ledger.commit(START_S + 2 * DAY_S)
        ledger.count(eth0, START_S + 120, 7)
        ledger.count(eth1, START_S + 400, 9)
        ledger.commit(START_S + 500)
    with LedgerReader(str(path)) as reader:
        slots = reader.slots([[eth0.interface_row], [eth1.interface_row]], START_S, START_S + 900, 300)
    assert [list(rx) for rx, _ in slots] == [[12, 0, 0], [0, 9, 0]]
    assert_sound(path)


def test_notes_go_with_the_minutes_of_their_day(path):
    with writing(path, minutes_kept_s=2 * DAY_S) as ledger:
        eth0 = ledger.interface("eth0")
        for hour in range(6 * 24):
            ledger.count(eth0, START_S + hour * 3600, 5)
            ledger.commit(START_S + (hour + 1) * 3600)
    with LedgerReader(str(path)) as reader:
        kept = reader.minutes_from_s
    assert [day for _, day in noted(path)] == [
        START_S + n * DAY_S for n in range(6) if START_S + (n + 1) * DAY_S > kept
    ]
    assert_sound(path)


@pytest.mark.parametrize("hours", [(0, 72), (5, 30), (23, 25), (30, 72), (26, 47)])
def test_slots_of_noted_days_and_of_minutes_beside_them_are_the_sums_of_what_went_in(path, hours):
    with writing(path) as ledger:
        eth0, eth1 = ledger.interface("eth0"), ledger.interface("eth1")
        for minute in range(0, 70 * 60, 7):
            ledger.count(eth0, START_S + minute * 60, 1 << minute % 40, minute)
            ledger.count(eth1, START_S + minute * 60 + 120, minute * 1000)
        ledger.commit(START_S + 70 * 3600)
    start_s, end_s = (START_S + hour * 3600 for hour in hours)
    expected = [[0] * ((end_s - start_s) // 300) for _ in range(2)]
    for one in ledger.counted:
        if start_s <= one.minute_s < end_s:
            place = (one.minute_s - start_s) // 300
            expected[0][place] += one.counters.rx_bytes
            expected[1][place] += one.counters.tx_bytes
    with LedgerReader(str(path)) as reader:
        (found,) = reader.slots([[1, 2]], start_s, end_s, 300)
    assert [list(way) for way in found] == expected
