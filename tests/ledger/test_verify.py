import sqlite3

import pytest
from support.ledgers import DAY_S, START_S, writing

from netusage.errors import LedgerError
from netusage.ledger.reader import LedgerReader
from netusage.ledger.schema import ODOMETER_S
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
    with sqlite3.connect(sound) as source, sqlite3.connect(copy) as target:
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


def test_a_sound_ledger_has_no_findings_and_its_rows_are_counted(path):
    with LedgerReader(str(path)) as reader:
        assert reader.state.minutes_from_s > OLD_S
        verdict = verify(reader)
    assert verdict.findings == []
    assert verdict.omitted == 0
    assert verdict.counts["interface"] == verdict.counts["epoch"] == 2
    assert verdict.counts["quarter"] == 72 * 4
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
    (f"UPDATE quarter SET rx_bytes = rx_bytes + 7 WHERE interface_id = 1 AND start_s = {OLD_S}", "interface", "eth0", None,
     "rx_bytes against its entries", -7),
    (f"UPDATE quarter SET rx_bytes = rx_bytes + 7 WHERE interface_id = 1 AND start_s = {OLD_S}", "odometer", "eth0",
     START_S + 2 * ODOMETER_S, "rx_bytes", -7),
    (f"UPDATE quarter SET tx_packets = tx_packets - 1 WHERE interface_id = 2 AND start_s = {RECENT_S + 2700}", "quarter", "tun0",
     RECENT_S + 2700, "tx_packets against its minutes", -1),
    (f"UPDATE quarter SET peak_rx = 1 WHERE interface_id = 1 AND start_s = {RECENT_S}", "quarter", "eth0", RECENT_S,
     "peak_rx against its minutes", None),
    (f"UPDATE minute SET rx_bytes = rx_bytes + 5 WHERE interface_id = 1 AND start_s = {RECENT_S + 600}", "quarter", "eth0",
     RECENT_S, "rx_bytes against its minutes", -5),
    (f"UPDATE minute SET rx_bytes = rx_bytes + 5 WHERE start_s = {TAIL_S}", "interface", "eth0", None,
     "rx_bytes against its entries", -5),
    (f"DELETE FROM minute WHERE start_s = {TAIL_S}", "interface", "eth0", None, "rx_bytes against its entries", 3),
    (f"DELETE FROM quarter WHERE interface_id = 2 AND start_s = {RECENT_S + 2700}", "quarter", "tun0", RECENT_S + 2700,
     "rx_bytes of minutes without a quarter", -77),
    ("UPDATE span SET tx_packets = 1", "interface", "eth0", None, "tx_packets against its entries", 3),
    ("DELETE FROM epoch WHERE id = 2", "interface", "tun0", None, "rx_bytes against its epochs", 72 * 77),
]  # fmt: skip


@pytest.mark.parametrize("case", NUMBERS)
def test_numbers_that_do_not_add_up_are_found_with_their_place(path, case):
    statement, table, interface, at_s, what, difference = case
    tamper(path, statement)
    at_us = None if at_s is None else at_s * US
    fitting = [
        one
        for one in findings(path)
        if (one.table, one.interface, one.at_us) == (table, interface, at_us) and what in one.what
    ]
    assert len(fitting) == 1, findings(path)
    if difference is not None:
        assert fitting[0].found - fitting[0].expected == difference


def test_one_wrong_odometer_is_found_once_and_where_it_is(path):
    at_s = START_S + 4 * ODOMETER_S
    tamper(path, f"UPDATE odometer SET rx_packets = rx_packets - 3 WHERE interface_id = 1 AND at_s = {at_s}")
    (found,) = findings(path)
    assert (found.table, found.interface, found.at_us) == ("odometer", "eth0", at_s * US)
    assert found.found - found.expected == -3


def test_a_missing_quarter_is_found_at_the_first_odometer_after_it(path):
    tamper(path, f"DELETE FROM quarter WHERE interface_id = 1 AND start_s = {OLD_S}")
    places = [one.at_us for one in findings(path) if one.table == "odometer" and "rx_bytes" in one.what]
    assert places == [(START_S + 2 * ODOMETER_S) * US]


SENSELESS = [
    (["UPDATE span SET rx_bytes = -1"], "span", START_S + 100, "negative"),
    (["UPDATE span SET end_us = start_us"], "span", START_S + 100, "ends before"),
    ([f"UPDATE quarter SET tx_bytes = -5 WHERE start_s = {OLD_S}"], "quarter", OLD_S, "negative"),
    ([f"UPDATE quarter SET peak_tx = -5 WHERE start_s = {OLD_S}"], "quarter", OLD_S, "negative"),
    ([f"UPDATE quarter SET start_s = start_s + 60 WHERE start_s = {OLD_S}"], "quarter", OLD_S + 60, "boundary"),
    ([f"UPDATE quarter SET start_s = {END_S + QUARTER_S} WHERE start_s = {OLD_S}"], "quarter", END_S + QUARTER_S, "sealed"),
    ([f"UPDATE minute SET start_s = {TAIL_S + 1} WHERE start_s = {TAIL_S}"], "minute", TAIL_S + 1, "boundary"),
    ([f"UPDATE minute SET rx_packets = -1 WHERE start_s = {TAIL_S}"], "minute", TAIL_S, "negative"),
    ([f"UPDATE odometer SET at_s = at_s + 1 WHERE at_s = {START_S + ODOMETER_S}"], "odometer", START_S + ODOMETER_S + 1, "six hours"),
    (["UPDATE ledger SET sealed_until_s = sealed_until_s + 60"], "ledger", END_S + 60, "boundary"),
    (["UPDATE ledger SET minutes_from_s = sealed_until_s + 86400"], "ledger", END_S + DAY_S, "after sealed_until_s"),
    (["UPDATE epoch SET first_rx_bytes = -9, recorded_rx_bytes = last_rx_bytes + 9 WHERE id = 2"], "epoch", START_S, "negative"),
    (["UPDATE quarter SET change = 3 WHERE change = 4"], "quarter", None, "change number 3 was given more than once"),
    (["UPDATE span SET change = 999999"], "quarter", None, "change number 999999 was never given"),
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
    tamper(
        path,
        f"UPDATE quarter SET rx_bytes = {big} WHERE interface_id = 1 AND start_s IN ({OLD_S}, {OLD_S + QUARTER_S})",
    )
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
    with sqlite3.connect(path) as connection:
        sql = "SELECT pageno FROM dbstat WHERE name = 'quarter' AND pagetype = 'leaf' ORDER BY pageno DESC LIMIT 1"
        try:
            page = connection.execute(sql).fetchone()[0]
        except sqlite3.OperationalError:  # built without dbstat
            page = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'quarter'").fetchone()[
                0
            ]
    connection.close()
    with path.open("rb+") as file:
        file.seek((page - 1) * 4096)
        file.write(b"\xff" * 4096)
    assert any(one.table == "file" for one in findings(path))


def test_findings_of_one_check_are_limited_and_the_rest_is_counted(path):
    tamper(path, "UPDATE quarter SET rx_bytes = -1")
    with LedgerReader(str(path)) as reader:
        verdict = verify(reader)
    assert len([one for one in verdict.findings if "negative" in one.what]) == MOST_FINDINGS
    assert verdict.omitted >= 72 * 4 - MOST_FINDINGS


def test_nothing_is_verified_of_what_cannot_be_opened(tmp_path):
    with pytest.raises(LedgerError):
        LedgerReader(str(tmp_path))
