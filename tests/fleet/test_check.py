"""Whether a ledger is in the fleet to the byte: delivered for good, on real servers."""

import pytest
from support.clickhouse import store as store_of
from support.ledgers import START_S, writing

from netusage.errors import FleetError, NoDataError
from netusage.fleet.check import Outcome, compare
from netusage.fleet.deliver import Delivery
from netusage.fleet.schema import USAGE
from netusage.ledger import ship_journal
from netusage.model import US
from netusage.settings.schema import FleetSettings

pytestmark = pytest.mark.system
LARGE = (1 << 62) - 1
DAY_S = 86_400


@pytest.fixture
def path(tmp_path):
    """A ledger over the end of a month, with numbers that are nearly too large, and a stretch of unknown times."""
    with writing(tmp_path / "own.db") as ledger:
        eth0 = ledger.interface("eth0")
        odd = ledger.interface("a\tb'c\\", "veth")
        for day in range(30):
            at_s = START_S + day * DAY_S
            ledger.count(eth0, at_s, 1000 + day, 7, 3, 1, peak_rx=9)
            ledger.count(odd, at_s + 900, LARGE // 30, LARGE // 40, 1, 1)
            ledger.commit(at_s + 3600)
        ledger.span(eth0, (START_S + 100) * US, (START_S + 9000) * US, 50_000, 60, 5, 6)
        ledger.commit(START_S + 31 * DAY_S)
    return str(tmp_path / "own.db")


def deliver(client, path):
    settings = FleetSettings(url=client.address.url, database=client.address.database)
    journal = ship_journal.ShipJournal(path, settings.url, settings.database)
    return Delivery(path, settings, client, journal, version="test").run(START_S * US)


def outcomes(client, path):
    return {(row.part.what, row.part.interface, row.part.month): row.outcome for row in compare(client, path)}


def test_what_was_delivered_is_exact_by_interface_and_month(store, path):
    deliver(store, path)
    found = compare(store, path)
    assert {row.outcome for row in found} == {Outcome.EXACT}
    assert [(row.part.what, row.part.interface, row.part.month) for row in found] == [
        ("usage", "a\tb'c\\", 202603),
        ("usage", "a\tb'c\\", 202604),
        ("span", "eth0", 202603),
        ("usage", "eth0", 202603),
        ("usage", "eth0", 202604),
    ]
    usage = [row.fleet for row in found if row.part.interface == "eth0" and row.part.what == "usage"]
    assert sum(sums.rows for sums in usage) == 30
    assert sum(sums.rx_bytes for sums in usage) == sum(range(1000, 1030))
    large = [row.fleet for row in found if row.part.interface != "eth0"]
    assert sum(sums.rx_bytes for sums in large) == LARGE // 30 * 30


def test_delivered_again_it_is_exact_still(store, path):
    deliver(store, path)
    ship_journal.rewind(path, store.address.url, store.address.database)
    deliver(store, path)
    deliver(store, path)
    assert set(outcomes(store, path).values()) == {Outcome.EXACT}


def test_a_row_that_is_not_there_or_is_another_is_a_difference_of_its_month(store, path):
    deliver(store, path)
    row = store.query(
        "SELECT host, ledger, interface, kind, toUInt32(start), rx_bytes, tx_bytes, rx_packets, tx_packets, peak_rx, "
        f"peak_tx, seq FROM {store.table('usage')} FINAL WHERE interface = 'eth0' ORDER BY start LIMIT 1"
    )[0]
    store.insert(USAGE, [(*row[:5], row[5] + 1, *row[6:-1], row[-1] + 1)])
    found = outcomes(store, path)
    assert [part for part, outcome in found.items() if outcome is Outcome.DIFFERS] == [
        ("usage", "eth0", 202603)
    ]


def test_a_month_that_only_the_fleet_has_is_a_difference(store, path):
    deliver(store, path)
    (host, ledger) = store.query(f"SELECT host, ledger FROM {store.table('host')}")[0]
    store.insert(USAGE, [(host, ledger, "eth9", "", START_S, 1, 0, 0, 0, 0, 0, 1)])
    assert outcomes(store, path)["usage", "eth9", 202603] is Outcome.DIFFERS


def test_a_store_that_was_emptied_is_a_difference_and_to_be_had_again(store, path):
    deliver(store, path)
    for name in ("usage", "span", "host"):
        store.execute(f"TRUNCATE TABLE {store.table(name)}")
    assert set(outcomes(store, path).values()) == {Outcome.DIFFERS}
    ship_journal.rewind(path, store.address.url, store.address.database)
    deliver(store, path)
    assert set(outcomes(store, path).values()) == {Outcome.EXACT}


def test_what_the_next_delivery_brings_is_no_difference(store, path):
    deliver(store, path)
    with writing(path, START_S + 31 * DAY_S) as ledger:
        eth0 = ledger.interface("eth0")
        ledger.count(eth0, START_S + 32 * DAY_S, 5)
        ledger.commit(START_S + 33 * DAY_S)
    found = outcomes(store, path)
    assert found["usage", "eth0", 202604] is Outcome.WAITING
    assert Outcome.DIFFERS not in found.values()
    deliver(store, path)
    assert set(outcomes(store, path).values()) == {Outcome.EXACT}


def test_where_nothing_was_delivered_that_is_told(store, path):
    with pytest.raises(NoDataError, match="nothing of this ledger"):
        compare(store, path)


def test_without_a_journal_nothing_is_a_difference_that_the_next_delivery_mends(store, path):
    deliver(store, path)
    (store_row,) = store.query(f"SELECT count() FROM {store.table('host')} FINAL")
    assert store_row == (1,)
    store.execute(f"TRUNCATE TABLE {store.table('span')}")
    import os

    os.unlink(ship_journal.journal_path(path))
    assert outcomes(store, path)["span", "eth0", 202603] is Outcome.WAITING
    deliver(store, path)
    assert set(outcomes(store, path).values()) == {Outcome.EXACT}


def test_over_shards_it_is_the_same_and_with_one_down_there_is_no_answer(shards, sharded, path):
    one, two = sharded
    deliver(one, path)
    assert set(outcomes(one, path).values()) == {Outcome.EXACT}
    with store_of(two.address.url, two.address.database) as client:
        journal = ship_journal.states(path)
        assert [(state.url, state.base) for state in journal] == [(one.address.url, one.address.database)]
        there = {(row.part, row.fleet) for row in compare(client, path)}
    assert there == {(row.part, row.fleet) for row in compare(one, path)}
    shards[1].kill()
    try:
        with pytest.raises(FleetError, match="a part of a total is no total"):
            compare(one, path)
    finally:
        shards[1].start()
