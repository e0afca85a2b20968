import contextlib
import sqlite3

import pytest
from support.book import change_quarter
from support.ledgers import DAY_S, START_S, writing

from netusage.errors import LedgerError
from netusage.ledger.reader import LedgerReader
from netusage.ledger.verify import MOST_FINDINGS, verify
from netusage.model import QUARTER_S, US, Counters

OLD_S = START_S + 9 * 3600  # a quarter whose minutes have been dropped
END_S = START_S + 3 * DAY_S
RECENT_S = END_S - 3600
TAIL_S = END_S + 120


def fill(ledger):
    """Three days of two interfaces; minutes of the last day, some of them not sealed yet."""
    eth0 = ledger.interface("eth0", first=Counters(1000, 100, 10, 1))
    tun0 = ledger.interface("tun0", "tun", counted=False)
    for commit in range(1, 73):
        at = START_S + commit * 3600
        for minute in (5, 20, 21, 50):
            ledger.count(eth0, at - minute * 60, 1000 + commit, 100, 10, 5, peak_rx=40 + minute, peak_tx=4)
        ledger.count(tun0, at - 600, 77, 7, 1, 1)
        ledger.commit(at)
    ledger.span(eth0, (START_S + 100) * US, (START_S + 900) * US, 5000, 50, 5, 4)
    ledger.gap(START_S + 100, START_S + 900)
    ledger.count(eth0, TAIL_S, 3, 2, 1, 1)
    ledger.commit(END_S + 300)


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    path = tmp_path_factory.mktemp("sound") / "ledger.db"
    with writing(path, minutes_kept_s=DAY_S) as ledger:
        fill(ledger)
    return path


@pytest.fixture
def path(sound, tmp_path):
    """A ledger of one's own to tamper with."""
    copy = tmp_path / "ledger.db"
    with (
        contextlib.closing(sqlite3.connect(sound)) as source,
        contextlib.closing(sqlite3.connect(copy)) as target,
    ):
        source.backup(target)
    source.close()
    target.close()
    return copy


def tamper(path, *statements):
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA ignore_check_constraints = ON")
    for statement in statements:
        assert connection.execute(statement).rowcount
    connection.close()


def findings(path):
    with LedgerReader(str(path)) as reader:
        return verify(reader).findings


def assert_found_once(path, table, interface, at_s, what, difference):
    at_us = None if at_s is None else at_s * US
    fitting = [
        one
        for one in findings(path)
        if (one.table, one.interface, one.at_us) == (table, interface, at_us) and what in one.what
    ]
    assert len(fitting) == 1, findings(path)
    if difference is not None:
        assert fitting[0].found - fitting[0].expected == difference


def test_a_sound_ledger_has_no_findings_and_its_rows_are_counted(path):
    with LedgerReader(str(path)) as reader:
        assert reader.state.minutes_from_s > OLD_S
        verdict = verify(reader)
    assert verdict.findings == []
    assert verdict.omitted == 0
    assert verdict.counts["interface"] == verdict.counts["epoch"] == 2
    assert verdict.counts["quarter"] == 2 * 72 * 4 - 3 - 3
    assert verdict.counts["span"] == verdict.counts["gap"] == 1


def test_a_ledger_is_verified_while_it_is_recorded_into(tmp_path):
    path = tmp_path / "ledger.db"
    with writing(path, minutes_kept_s=DAY_S) as ledger:
        fill(ledger)
        assert findings(path) == []
        with LedgerReader(str(path)) as reader:
            ledger.count(ledger.interface("eth7"), END_S + 400, 5)
            ledger.commit(END_S + 2000)
            assert verify(reader).findings == []


NUMBERS = [
    ("UPDATE epoch SET recorded_rx_bytes = recorded_rx_bytes + 1 WHERE id = 1", "epoch", "eth0", START_S, "rx_bytes", 1),
    ("UPDATE epoch SET last_tx_packets = last_tx_packets + 4 WHERE id = 2", "epoch", "tun0", START_S, "tx_packets", -4),
    ("UPDATE interface SET tx_bytes = tx_bytes + 9 WHERE name = 'eth0'", "interface", "eth0", None, "tx_bytes against its epochs", 9),
    (f"UPDATE minute SET rx_bytes = rx_bytes + 5 WHERE interface_id = 1 AND start_s = {RECENT_S + 600}", "quarter", "eth0",
     RECENT_S, "rx_bytes against its minutes", -5),
    (f"UPDATE minute SET rx_bytes = rx_bytes + 5 WHERE start_s = {TAIL_S}", "interface", "eth0", None,
     "rx_bytes against its entries", -5),
    (f"DELETE FROM minute WHERE start_s = {TAIL_S}", "interface", "eth0", None, "rx_bytes against its entries", 3),
    (f"DELETE FROM chunk WHERE interface_id = 2 AND start_s > {END_S - DAY_S}", "quarter", "tun0", RECENT_S + 2700,
     "rx_bytes against its minutes", -77),
    ("UPDATE chunk SET tx_bytes = tx_bytes + 11 WHERE interface_id = 1 AND start_s > 0 AND tx_bytes > 0", "chunk", "eth0",
     END_S - DAY_S, "tx_bytes against the quarters before it", 11),
    ("UPDATE chunk SET peak_rx = peak_rx + 3 WHERE interface_id = 1 AND tx_bytes = 0", "chunk", "eth0", START_S,
     "peak_rx against its quarters", 3),
    ("UPDATE span SET tx_packets = 1", "interface", "eth0", None, "tx_packets against its entries", 3),
    ("DELETE FROM epoch WHERE id = 2", "interface", "tun0", None, "rx_bytes against its epochs", 72 * 77),
]  # fmt: skip


@pytest.mark.parametrize("case", NUMBERS)
def test_numbers_that_do_not_add_up_are_found_with_their_place(path, case):
    statement, *expected = case
    tamper(path, statement)
    assert_found_once(path, *expected)


QUARTERS = [
    ((1, OLD_S, {"rx_bytes": 7}), "interface", "eth0", None, "rx_bytes against its entries", -7),
    (
        (1, OLD_S, {"rx_bytes": 7}),
        "chunk",
        "eth0",
        END_S - DAY_S,
        "rx_bytes against the quarters before it",
        -7,
    ),
    (
        (2, RECENT_S + 2700, {"tx_packets": -1}),
        "quarter",
        "tun0",
        RECENT_S + 2700,
        "tx_packets against its minutes",
        -1,
    ),
    ((1, RECENT_S, {"peak_rx": 1}), "quarter", "eth0", RECENT_S, "peak_rx against its minutes", None),
    ((1, OLD_S, {"off": 1}), "chunk", "eth0", START_S, "running totals against its quarters", None),
    ((1, RECENT_S, {"peak_rx": 1, "checksum": False}), "chunk", "eth0", END_S - DAY_S, "checksum", None),
]


@pytest.mark.parametrize("case", QUARTERS)
def test_quarters_that_do_not_add_up_are_found_with_their_place(path, case):
    (interface_id, quarter_s, more), *expected = case
    change_quarter(path, interface_id, quarter_s, **more)
    assert_found_once(path, *expected)


def test_one_wrong_running_total_is_found_once_and_where_it_is(path):
    tamper(
        path,
        f"UPDATE chunk SET rx_packets = rx_packets - 3 WHERE interface_id = 1 AND start_s >= {END_S - DAY_S}",
    )
    (found,) = findings(path)
    assert (found.table, found.interface, found.at_us) == ("chunk", "eth0", (END_S - DAY_S) * US)
    assert found.found - found.expected == -3


def test_a_missing_chunk_is_found_at_the_next_one(path):
    tamper(path, f"DELETE FROM chunk WHERE interface_id = 1 AND start_s = {START_S}")
    places = [one.at_us for one in findings(path) if one.table == "chunk" and "rx_bytes" in one.what]
    assert places == [(END_S - DAY_S) * US]


def test_columns_that_are_cut_off_are_found_and_the_others_are_still_checked(path):
    tamper(path, f"UPDATE chunk SET bytes = x'00' WHERE interface_id = 1 AND start_s = {START_S}")
    found = findings(path)
    assert any(one.table == "chunk" and "cannot be read" in one.what for one in found), found
    assert not any(one.interface == "tun0" for one in found)


def test_five_minutes_that_are_not_those_of_the_minutes_are_found(path):
    day_s = END_S - DAY_S
    tamper(path, f"DELETE FROM five WHERE start_s >= {day_s} AND interface_id = 1")
    (found,) = findings(path)
    assert (found.table, found.interface, found.at_us) == ("five", "eth0", day_s * US)


SENSELESS = [
    (["UPDATE span SET rx_bytes = -1"], "span", START_S + 100, "negative"),
    (["UPDATE span SET end_us = start_us"], "span", START_S + 100, "ends before"),
    (["UPDATE chunk SET tx_bytes = -5 WHERE interface_id = 2 AND tx_bytes = 0"], "chunk", START_S + 2700, "negative"),
    (["UPDATE chunk SET start_s = start_s + 60 WHERE interface_id = 2 AND tx_bytes = 0"], "chunk", START_S + 2760, "boundary"),
    ([f"UPDATE chunk SET start_s = {END_S + QUARTER_S} WHERE interface_id = 2 AND tx_bytes > 0"], "chunk", END_S + QUARTER_S,
     "sealed"),
    ([f"UPDATE chunk SET start_s = {START_S + QUARTER_S} WHERE interface_id = 2 AND tx_bytes > 0"], "chunk", START_S + 2700,
     "ended"),
    ([f"UPDATE minute SET start_s = {TAIL_S + 1} WHERE start_s = {TAIL_S}"], "minute", TAIL_S + 1, "boundary"),
    ([f"UPDATE minute SET rx_packets = -1 WHERE start_s = {TAIL_S}"], "minute", TAIL_S, "negative"),
    (["UPDATE ledger SET sealed_until_s = sealed_until_s + 60"], "ledger", END_S + 60, "boundary"),
    (["UPDATE ledger SET minutes_from_s = sealed_until_s + 86400"], "ledger", END_S + DAY_S, "after sealed_until_s"),
    (["UPDATE epoch SET first_rx_bytes = -9, recorded_rx_bytes = last_rx_bytes + 9 WHERE id = 2"], "epoch", START_S, "negative"),
    (["UPDATE chunk SET change = 3"], "chunk", None, "change number 3 was given more than once"),
    (["UPDATE span SET change = 999999"], "chunk", None, "change number 999999 was never given"),
    (["DELETE FROM interface WHERE id = 2"], "epoch", None, "interface that is not there"),
    (["DELETE FROM run"], "watched", None, "run that is not there"),
]  # fmt: skip


@pytest.mark.parametrize(("statements", "table", "at_s", "words"), SENSELESS)
def test_rows_that_make_no_sense_are_found_with_their_place(path, statements, table, at_s, words):
    tamper(path, *statements)
    found = [one for one in findings(path) if one.table == table and words in one.what]
    assert found, findings(path)
    assert found[0].at_us == (None if at_s is None else at_s * US)


def test_numbers_above_two_to_the_63rd_are_a_finding_and_no_crash(path):
    big = 2**63 - 1
    for at_s in (OLD_S, OLD_S + QUARTER_S):
        change_quarter(path, 1, at_s, rx_bytes=big - 10**6)
    found = [one for one in findings(path) if "total rx_bytes against its entries" in one.what]
    assert found[0].expected > big


def test_epochs_that_cannot_be_added_up_are_a_finding(path):
    big = 2**62
    tamper(
        path,
        f"UPDATE epoch SET last_rx_bytes = {big}, recorded_rx_bytes = {big} - first_rx_bytes, interface_id = 1",
    )
    found = findings(path)
    assert any("total rx_bytes against its epochs" in one.what for one in found)
    tamper(
        path,
        f"UPDATE epoch SET first_rx_bytes = 0, last_rx_bytes = {2**63 - 1}, recorded_rx_bytes = {2**63 - 1}",
    )
    assert any("too large to be added up" in one.what for one in findings(path))


def test_damaged_pages_are_findings(path):
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        sql = "SELECT pageno FROM dbstat WHERE name = 'chunk' AND pagetype = 'leaf' ORDER BY pageno DESC LIMIT 1"
        try:
            page = connection.execute(sql).fetchone()[0]
        except sqlite3.OperationalError:  # built without dbstat
            page = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'chunk'").fetchone()[0]
    connection.close()
    with path.open("rb+") as file:
        file.seek((page - 1) * 4096)
        file.write(b"\xff" * 4096)
    assert any(one.table == "file" for one in findings(path))


def test_findings_of_one_check_are_limited_and_the_rest_is_counted(path):
    tamper(path, "UPDATE minute SET rx_packets = -1")
    with LedgerReader(str(path)) as reader:
        verdict = verify(reader)
        with reader.reading() as connection:
            (count,) = connection.execute("SELECT count(*) FROM minute").fetchone()
    assert len([one for one in verdict.findings if "negative" in one.what]) == MOST_FINDINGS
    assert verdict.omitted >= count - MOST_FINDINGS > 0


def test_nothing_is_verified_of_what_cannot_be_opened(tmp_path):
    with pytest.raises(LedgerError):
        LedgerReader(str(tmp_path))
