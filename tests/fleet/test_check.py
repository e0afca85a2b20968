"""Whether a ledger is in the fleet to the byte: delivered for good, on real servers."""

import pytest
from support.clickhouse import store as store_of
from support.ledgers import START_S, writing

from netusage.errors import FleetError, NoDataError
from netusage.fleet.check import Outcome, compare
from netusage.fleet.deliver import Delivery
from netusage.fleet.schema import GAP, SHARE, SHARE_MONTH, TABLES, USAGE, USAGE_DAY
from netusage.ledger import ship_journal
from netusage.ledger.batch import Part
from netusage.model import QUARTER_S, US, Counters, GapKind, Who
from netusage.settings.schema import FLEET_SHARES, FleetSettings

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
            share(ledger, eth0, at_s, "web", 900)
            share(ledger, eth0, at_s, "tiny", 9)
            ledger.commit(at_s + 3600)
        ledger.gap(START_S, START_S + 60)
        ledger.gap(START_S + 60, START_S + 70, GapKind.STOPPED, lossy=True)
        ledger.span(eth0, (START_S + 100) * US, (START_S + 9000) * US, 50_000, 60, 5, 6)
        ledger.commit(START_S + 31 * DAY_S)
    return str(tmp_path / "own.db")


def share(ledger, epoch, at_s, name, rx):
    who = Who("application", name, f"/bin/{name}", "eva")
    ledger.share(Part(at_s // QUARTER_S * QUARTER_S, epoch, who, 3, 6, 4), Counters(rx, 1, 1, 1))


def deliver(client, path, **more):
    settings = FleetSettings(url=client.address.url, database=client.address.database, **more)
    journal = ship_journal.ShipJournal(path, settings.url, settings.database)
    return Delivery(path, settings, client, journal, version="test").run(START_S * US)


def outcomes(client, path):
    rows = compare(client, path).rows
    return {(row.part.what, row.part.interface, row.part.month): row.outcome for row in rows}


def test_what_was_delivered_is_exact_by_interface_and_month(store, path):
    deliver(store, path)
    found, tells_days = compare(store, path)
    assert tells_days
    assert {row.outcome for row in found} == {Outcome.EXACT}
    assert [(row.part.what, row.part.interface, row.part.month) for row in found] == [
        ("gap", "", 202603),
        ("lossy gap", "", 202603),
        *(
            (f"usage{what}", "a\tb'c\\", month)
            for month in (202603, 202604)
            for what in ("", "_day", "_month")
        ),
        *((what, "eth0", 202603) for what in ("share", "share_day", "share_month", "span")),
        *((f"usage{what}", "eth0", 202603) for what in ("", "_day", "_month")),
        *((what, "eth0", 202604) for what in ("share", "share_day", "share_month")),
        *((f"usage{what}", "eth0", 202604) for what in ("", "_day", "_month")),
    ]
    days = [row for row in found if row.part.what == "share_day"]
    assert sum(row.ledger.rows for row in days) == sum(row.fleet.rows for row in days) == 60
    usage = [row.fleet for row in found if row.part.interface == "eth0" and row.part.what == "usage"]
    assert sum(sums.rows for sums in usage) == 30
    assert sum(sums.rx_bytes for sums in usage) == sum(range(1000, 1030))
    large = [row.fleet for row in found if row.part.what == "usage" and row.part.interface != "eth0"]
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
        ("usage", "eth0", 202603),
        ("usage_day", "eth0", 202603),  # which are not the sums of quarters any more
        ("usage_month", "eth0", 202603),
    ]


def test_a_month_that_only_the_fleet_has_is_a_difference(store, path):
    deliver(store, path)
    (host, ledger) = store.query(f"SELECT host, ledger FROM {store.table('host')}")[0]
    store.insert(USAGE, [(host, ledger, "eth9", "", START_S, 1, 0, 0, 0, 0, 0, 1)])
    assert outcomes(store, path)["usage", "eth9", 202603] is Outcome.DIFFERS


def test_a_store_that_was_emptied_is_a_difference_and_to_be_had_again(store, path):
    deliver(store, path)
    for name in (table.name for table in TABLES):
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


def changed(store, table, where, *, by, **values):
    """Write a row once more, with other values and a number that is higher by that."""
    columns = ", ".join(f"toUInt32({c.name})" if c.type == "DateTime" else c.name for c in table.columns)
    sql = f"SELECT {columns} FROM {store.table(table.name)} FINAL WHERE {where} ORDER BY host LIMIT 1"
    row = dict(zip(table.names, store.query(sql)[0], strict=True))
    row |= values | {"seq": row["seq"] + by}
    store.insert(table, [tuple(row.values())])


@pytest.mark.parametrize(
    ("table", "where", "values", "differs"),
    [
        (SHARE, "application = 'web'", {"tx_bytes": 2}, {"share", "share_day", "share_month"}),
        (SHARE, "application = 'tiny'", {"interface": "eth7"}, {"share", "share_day", "share_month"}),
        (SHARE_MONTH, "1", {"rx_packets": (0, 0)}, {"share_month"}),
        (USAGE_DAY, "interface = 'eth0'", {"peak_rx": 10}, {"usage_day"}),
        (GAP, "lossy = 1", {"lossy": 0}, {"lossy gap"}),
        (GAP, "lossy = 0", {"kind": ""}, {"gap"}),
    ],
)
def test_what_applications_had_gaps_days_and_months_are_compared_as_well(
    store, path, table, where, values, differs
):
    deliver(store, path)
    changed(store, table, where, by=1, **values)
    found = {row.part.what for row in compare(store, path).rows if row.outcome is Outcome.DIFFERS}
    assert found == differs
    ship_journal.rewind(path, store.address.url, store.address.database)
    deliver(store, path)
    assert set(outcomes(store, path).values()) == {Outcome.EXACT}


def test_days_that_are_wrong_and_right_together_are_a_difference(store, path):
    deliver(store, path)
    for start_s, more in ((START_S, 1), (START_S + DAY_S, -1)):
        where = f"interface = 'eth0' AND start = toDateTime({start_s})"
        rx = store.query(f"SELECT rx_bytes FROM {store.table('usage_day')} FINAL WHERE {where}")[0][0]
        changed(store, USAGE_DAY, where, by=1, rx_bytes=rx + more)
    (row,) = [row for row in compare(store, path).rows if row.outcome is Outcome.DIFFERS]
    assert row.part.what == "usage_day"
    assert row.ledger[1:5] == row.fleet[1:5]
    assert row.ledger.rows - row.fleet.rows == 2


@pytest.mark.parametrize("allowed", [(), ("users",), ("users", "scopes"), FLEET_SHARES])
def test_what_stays_at_home_makes_fewer_rows_on_both_sides(store, path, allowed):
    deliver(store, path, share=allowed)
    found = [row for row in compare(store, path).rows if row.part.what == "share"]
    assert {row.outcome for row in found} == {Outcome.EXACT}
    assert sum(row.fleet.rows for row in found) == (60 if "applications" in allowed else 30)


def test_what_was_folded_since_its_delivery_has_the_same_bytes_in_more_rows(store, tmp_path):
    """Also over the end of a month, in which a day of another zone lies that quarters have become part of."""
    path = str(tmp_path / "folds.db")
    april_s = START_S + 22 * DAY_S  # 2026-04-01 00:00 UTC

    def shipped(identity):
        return ship_journal.shipped(path, store.address.url, store.address.database, identity)

    def day_of(at_s):
        return (at_s + 7200) // DAY_S * DAY_S - 7200, (at_s + 7200) // DAY_S * DAY_S + DAY_S - 7200

    options = {"other_below_ppm": 100_000, "quarters_kept_s": 2 * DAY_S, "day_of": day_of, "shipped": shipped}
    with writing(path, april_s - 2 * DAY_S, **options) as ledger:
        eth0 = ledger.interface("eth0")
        for at_s in range(april_s - 2 * DAY_S, april_s + 5 * DAY_S, 6 * 3600):
            for name, rx in (("web", 100_000), ("tiny", 5)):
                share(ledger, eth0, at_s, name, rx)
            ledger.commit(at_s + 900)
            if at_s % DAY_S == 0:
                deliver(store, path)
        deliver(store, path)
        found = compare(store, path)
        assert {row.outcome for row in found.rows} == {Outcome.EXACT}
        shares = {row.part.month: row for row in found.rows if row.part.what == "share"}
        assert shares[202603].is_apart
        assert shares[202604].is_apart
        # a quarter that is added to such a day is told with the whole day, once that is written anew
        share(ledger, eth0, april_s + 3600, "late", 7)
        ledger.commit(ledger.now_s + 10)
        deliver(store, path)
        assert outcomes(store, path)["share", "eth0", 202604] is Outcome.WAITING
        for _ in range(3):
            ledger.commit(ledger.now_s + 900)
            deliver(store, path)
        assert set(outcomes(store, path).values()) == {Outcome.EXACT}


def test_where_days_and_months_are_not_told_quarters_are_compared(store, path):
    deliver(store, path)
    store.execute(f"ALTER TABLE {store.table('host')} DROP COLUMN sums")
    store.execute(f"ALTER TABLE {store.table('host')} ADD COLUMN sums UInt8")
    found, tells_days = compare(store, path)
    assert not tells_days
    assert {row.part.what for row in found} == {"usage", "span", "share", "gap", "lossy gap"}
    assert {row.outcome for row in found} == {Outcome.EXACT}


def test_over_shards_it_is_the_same_and_with_one_down_there_is_no_answer(shards, sharded, path):
    one, two = sharded
    deliver(one, path)
    assert set(outcomes(one, path).values()) == {Outcome.EXACT}
    with store_of(two.address.url, two.address.database) as client:
        journal = ship_journal.states(path)
        assert [(state.url, state.base) for state in journal] == [(one.address.url, one.address.database)]
        there = {(row.part, row.fleet) for row in compare(client, path).rows}
    assert there == {(row.part, row.fleet) for row in compare(one, path).rows}
    shards[1].kill()
    try:
        with pytest.raises(FleetError, match="a part of a total is no total"):
            compare(one, path)
    finally:
        shards[1].start()
