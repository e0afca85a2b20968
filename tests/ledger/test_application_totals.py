"""What applications ever had, as totals that never go down: neither by folding, nor by a restart, nor by repair."""

import sqlite3
from contextlib import closing

import pytest
from recorder.audit import assert_sound
from support import book
from support.ledgers import DAY_S, START_S, writing

from netusage.errors import LedgerError
from netusage.ledger import share_changes
from netusage.ledger.batch import Part
from netusage.ledger.reader import LedgerReader
from netusage.ledger.repair import repair
from netusage.ledger.verify import verify
from netusage.model import LARGEST, QUARTER_S, US, Counters, Who

HALF = 1 << 62


@pytest.fixture
def path(tmp_path):
    return tmp_path / "ledger.db"


def share(ledger, epoch, name, rx, tx=0, *, scope=3, kind="application", at_s=None):
    at_s = ledger.now_s if at_s is None else at_s
    part = Part(at_s // QUARTER_S * QUARTER_S, epoch, Who(kind, name), scope, 6, 4)
    ledger.share(part, Counters(rx, tx, 1, 1))


def totals(path):
    """Received and sent bytes by kind, name and scope."""
    with LedgerReader(str(path)) as reader:
        return {(row.kind, row.name, row.scope): row[3:] for row in reader.application_totals()}


def in_rows(path):
    """Received bytes by name, as the rows have them that are left."""
    sql = "SELECT name, sum(rx_bytes) FROM share JOIN application ON id = application_id GROUP BY name"
    return dict(book.rows(path, sql))


def test_they_are_what_was_written_by_name_and_scope_and_of_all_together(path):
    with writing(path) as ledger:
        eth0 = ledger.interface("eth0")
        for round_ in range(3):
            share(ledger, eth0, "web", 100, 10)
            share(ledger, eth0, "web", 7, 1, scope=1)
            share(ledger, eth0, "", 5, 2, kind="kernel")
            ledger.commit(START_S + (round_ + 1) * QUARTER_S)
    assert totals(path) == {
        ("", "", 1): (21, 3),
        ("", "", 3): (315, 36),
        ("application", "web", 1): (21, 3),
        ("application", "web", 3): (300, 30),
        ("kernel", "", 3): (15, 6),
    }
    assert_sound(path)


def test_interfaces_that_are_no_part_of_the_machine_are_left_out(path):
    with writing(path) as ledger:
        share(ledger, ledger.interface("lo", "loopback", counted=False), "web", 100)
        ledger.commit(START_S + 10)
    assert totals(path) == {}


def test_one_that_becomes_part_of_the_machine_adds_from_then_on_and_takes_nothing_back(path):
    with writing(path) as ledger:
        eth0 = ledger.interface("eth0")
        for counted, expected in ((True, 100), (False, 100), (True, 200)):
            eth0.counted, eth0.restated = counted, True
            share(ledger, eth0, "web", 100)
            ledger.commit(ledger.now_s + 10)
            assert totals(path)["application", "web", 3] == (expected, 0)


@pytest.mark.thorough
def test_they_never_go_down_when_days_are_folded_and_their_sum_is_the_ledgers(path):
    """Each day another application has next to nothing, so that it is folded, after it had much on other days."""
    names = ("firefox", "rsync", "ssh", "zoom")
    before, written = {}, 0
    with writing(path, quarters_kept_s=3 * DAY_S) as ledger:
        eth0 = ledger.interface("eth0")
        for day in range(9):
            for quarter in range(96):
                now_s = START_S + day * DAY_S + quarter * QUARTER_S
                if quarter % 24 == 0:
                    for n, name in enumerate(names):
                        number = 3 if n == day % len(names) else 1_000_000
                        share(ledger, eth0, name, number, at_s=now_s)
                        written += number
                ledger.commit(now_s + 60)
                found = totals(path)
                assert all(found[key] >= earlier for key, earlier in before.items())
                assert sum(both[0] for key, both in found.items() if key[0]) == written
                assert found["", "", 3] == (written, 0)
                before = found
    rows = in_rows(path)
    assert rows[""] > 0, "nothing was folded"
    assert sum(rows.values()) == written
    for name in names:
        assert before["application", name, 3][0] > rows[name], "what was folded is missing in the rows alone"
    assert_sound(path)


def test_a_name_goes_with_its_applications_and_begins_at_zero_when_it_comes_back(path):
    def pass_days(ledger, number):
        for now_s in range(ledger.now_s + QUARTER_S, ledger.now_s + number * DAY_S, QUARTER_S):
            share(ledger, eth0, "firefox", 1_000_000, at_s=now_s)
            ledger.commit(now_s)

    with writing(path) as ledger:
        eth0 = ledger.interface("eth0")
        share(ledger, eth0, "tiny", 3)
        pass_days(ledger, 6)
        found = totals(path)
        assert ("application", "tiny", 3) not in found
        assert found["", "", 3][0] == found["application", "firefox", 3][0] + 3
        share(ledger, eth0, "tiny", 2)
        ledger.commit(ledger.now_s + 10)
    assert totals(path)["application", "tiny", 3] == (2, 0)
    assert_sound(path)


def test_a_name_stays_while_one_of_its_applications_is_known(path):
    """Two programs of one name, of which one is folded and forgotten."""
    with writing(path) as ledger:
        eth0 = ledger.interface("eth0")
        ledger.share(
            Part(START_S, eth0, Who("application", "http", "/usr/bin/http"), 3, 6, 4), Counters(3, 0, 1, 0)
        )
        ledger.commit(START_S + 10)
        for now_s in range(START_S + QUARTER_S, START_S + 6 * DAY_S, QUARTER_S):
            share(ledger, eth0, "http", 1_000_000, at_s=now_s)
            ledger.commit(now_s)
    assert book.rows(path, "SELECT count(*) FROM application WHERE name = 'http'")[0][0] == 1
    assert totals(path)["application", "http", 3][0] == 3 + (6 * 96 - 1) * 1_000_000


def test_a_commit_that_fails_adds_nothing(path):
    with writing(path) as ledger:
        eth0 = ledger.interface("eth0")
        share(ledger, eth0, "web", 1)
        ledger.commit(START_S + 10)
        share(ledger, eth0, "web", 5)
        share(ledger, eth0, "bad", -(2**63) - 1)
        with pytest.raises(LedgerError):
            ledger.commit(START_S + 20)
    assert totals(path) == {("", "", 3): (1, 0), ("application", "web", 3): (1, 0)}


def test_sums_beyond_what_a_column_takes_stay_at_the_largest_number(path):
    with writing(path) as ledger:
        eth0 = ledger.interface("eth0")
        for n in range(3):
            share(ledger, eth0, "web", HALF, at_s=START_S + n * QUARTER_S)
            share(ledger, eth0, "ssh", HALF, at_s=START_S + n * QUARTER_S)
            ledger.commit(START_S + (n + 1) * QUARTER_S)
    assert set(totals(path).values()) == {(LARGEST, 0)}
    with LedgerReader(str(path)) as reader:
        assert not [one for one in verify(reader).findings if one.table == "application_total"]


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE application_total SET rx_bytes = -1 WHERE kind = 'application'",
        "UPDATE application_total SET rx_bytes = rx_bytes + 1 WHERE kind = 'application'",
        "DELETE FROM application_total WHERE kind = ''",
    ],
)
def test_verify_finds_and_repair_mends_totals_that_cannot_be(path, change):
    with writing(path) as ledger:
        eth0 = ledger.interface("eth0")
        ledger.count(eth0, START_S, 100, 0, 1, 0)
        share(ledger, eth0, "web", 100)
        ledger.commit(START_S + 10)
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute(change)
    with LedgerReader(str(path)) as reader:
        assert {one.table for one in verify(reader).findings} == {"application_total"}
    found = repair(str(path), now_us=(START_S + 60) * US, boot_id="boot-1", agree=lambda _: True)
    assert found.aside is not None
    assert_sound(path)
    assert totals(path)["", "", 3][0] >= 100


def test_repair_takes_over_what_is_no_more_in_the_rows(path):
    with writing(path) as ledger:
        eth0 = ledger.interface("eth0")
        share(ledger, eth0, "web", 100)
        ledger.commit(START_S + 10)
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("DELETE FROM share")
        share_changes.give_all(db)
        db.execute("UPDATE epoch SET recorded_rx_bytes = 1")  # something to repair
    before = totals(path)
    repair(str(path), now_us=(START_S + 60) * US, boot_id="boot-1", agree=lambda _: True)
    assert totals(path) == before
    assert_sound(path)
