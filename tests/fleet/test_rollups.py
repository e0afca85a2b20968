"""Days and months beside the quarters of an hour: always their sums, by the same names, on a real server."""

import random
import sqlite3
from contextlib import closing
from datetime import timedelta, timezone

import pytest
from support.fleet import assert_days_and_months, assert_the_same, days_and_months, identity_of, values_of
from support.ledgers import DAY_S, START_S, writing

from netusage.errors import FleetError
from netusage.fleet.check import Outcome, compare
from netusage.fleet.deliver import Delivery
from netusage.fleet.rollups import Shares
from netusage.fleet.schema import HOST, INTERFACE, SHARE, SHARE_DAY, SHARE_MONTH, USAGE_DAY, USAGE_MONTH
from netusage.fleet.tables import missing
from netusage.ledger import ship_journal
from netusage.ledger.batch import Part
from netusage.ledger.ship_journal import ShipJournal
from netusage.model import QUARTER_S, US, Counters, Who
from netusage.settings.schema import FLEET_SHARES, FleetSettings

pytestmark = pytest.mark.system
HOUR_S = 3600
MARCH_S, APRIL_S = 1_772_323_200, 1_775_001_600  # 2026, UTC
NAMES = ("web", "mail", "tiny")
SUMS = (USAGE_DAY, USAGE_MONTH, SHARE_DAY, SHARE_MONTH)


class Watched:
    """A store that notes what is written to it."""

    def __init__(self, store):
        self._store, self.rows = store, {}
        self.table, self.query = store.table, store.query

    def insert(self, table, rows):
        self.rows.setdefault(table, []).extend(rows)
        return self._store.insert(table, rows)


def deliver(store, path, **more):
    """One delivery; what it wrote, and what came of it."""
    settings = FleetSettings(url=store.address.url, database=store.address.database, **more)
    journal = ShipJournal(str(path), settings.url, settings.database)
    watched = Watched(store)
    done = Delivery(str(path), settings, watched, journal, version="1").run(START_S * US)
    return watched.rows, done


def who(name, user="eva"):
    return Who("application", name, f"/home/{user}/{name}", user, "a.service")


def share(ledger, epoch, at_s, name, rx, **more):
    ledger.share(
        Part(at_s // QUARTER_S * QUARTER_S, epoch, who(name, **more), 3, 6, 4), Counters(rx, 2, 3, 4)
    )


def live(ledger, epochs, until_s, dice):
    for at_s in range(ledger.now_s, until_s, HOUR_S):
        for epoch in epochs:
            ledger.count(epoch, at_s, dice.randrange(1 << 33), 5, 3, 2, peak_rx=dice.randrange(99))
            for name in NAMES:
                share(
                    ledger,
                    epoch,
                    at_s,
                    name,
                    dice.randrange(40) if name == "tiny" else dice.randrange(1 << 30),
                )
        if at_s % (6 * HOUR_S) == 0:
            ledger.commit(at_s + HOUR_S)
    ledger.commit(until_s)


def folding(store, path, **more):
    """Options of a ledger that folds what was delivered."""

    def shipped(identity):
        return ship_journal.shipped(str(path), store.address.url, store.address.database, identity)

    return {"shipped": shipped, "other_below_ppm": 100_000, **more}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "ledger.db"


def test_a_day_and_a_month_have_what_their_quarters_have(store, path):
    with writing(path, APRIL_S - DAY_S) as ledger:
        epoch = ledger.interface("eth0")
        for at_s, rx, peak in ((APRIL_S - DAY_S, 1, 7), (APRIL_S - 900, 20, 3), (APRIL_S, 300, 9)):
            ledger.count(epoch, at_s, rx, 1, 1, 1, peak_rx=peak)
            share(ledger, epoch, at_s, "web", rx)
        ledger.span(
            epoch, APRIL_S * US, (APRIL_S + 60) * US, 5000, 1, 1, 1
        )  # in no day: its time is not known
        ledger.commit(APRIL_S + HOUR_S)
    deliver(store, path)
    of_days, of_months = [(APRIL_S - DAY_S, 21, 7), (APRIL_S, 300, 9)], [(MARCH_S, 21, 7), (APRIL_S, 300, 9)]
    for table, told in zip(SUMS, (of_days, of_months) * 2, strict=True):
        which = "tx_packets" if table.lists else "peak_rx"
        sql = f"SELECT toUInt32(start), rx_bytes, {which} FROM {values_of(store, table)} ORDER BY start"
        packets = [(*row[:2], number) for row, number in zip(told, (8, 4), strict=True)]
        assert store.query(sql) == (packets if table.lists else told)
    assert_the_same(store, path)


def test_a_delivery_without_anything_new_has_none_and_one_of_an_hour_only_what_changed(store, path):
    with writing(path) as ledger:
        epochs = [ledger.interface("eth0"), ledger.interface("eth1")]
        live(ledger, epochs, START_S + 2 * DAY_S + HOUR_S, random.Random(1))
        deliver(store, path)
        written, _ = deliver(store, path)
        assert written.keys() == {HOST, INTERFACE}
        ledger.count(epochs[0], ledger.now_s, 1)
        share(ledger, epochs[0], ledger.now_s, "web", 1)
        ledger.commit(ledger.now_s + HOUR_S)
        written, _ = deliver(store, path)
    assert {table: len(written[table]) for table in SUMS} == dict.fromkeys(SUMS, 1)
    assert_the_same(store, path)


def test_what_is_folded_after_delivery_keeps_its_name_in_days_and_months(store, path):
    """A month is told anew every hour, and the ledger has only "other" of its first days then."""
    zone = timezone(timedelta(hours=5, minutes=45))

    def day_of(at_s):
        offset = int(zone.utcoffset(None).total_seconds())
        start_s = (at_s + offset) // DAY_S * DAY_S - offset
        return start_s, start_s + DAY_S

    options = folding(store, path, quarters_kept_s=3 * DAY_S, day_of=day_of)
    with writing(path, **options) as ledger:
        epochs, dice = [ledger.interface("eth0")], random.Random(2)
        for day in range(1, 7):
            live(ledger, epochs, START_S + day * DAY_S, dice)
            deliver(store, path)
        with closing(sqlite3.connect(path)) as db:
            assert db.execute("SELECT count(*) FROM application WHERE kind = 'other'").fetchone()[0]
            assert db.execute("SELECT count(*) FROM share WHERE seconds > 900").fetchone()[0]
        for table, number in ((SHARE_DAY, 6), (SHARE_MONTH, 1)):
            sql = f"SELECT count(DISTINCT start) FROM {values_of(store, table)} WHERE application = 'tiny' AND rx_bytes > 0"
            assert store.query(sql) == [(number,)]
        assert_the_same(store, path)
        # something is added later: to a day whose tail is folded, to a day of another zone, and to both once more
        for late_s in (5 * DAY_S + HOUR_S, 9000, 4 * DAY_S, DAY_S + 20 * HOUR_S):
            share(ledger, epochs[0], START_S + late_s, "late", 12345)
            ledger.count(epochs[0], START_S + late_s, 99999)
            ledger.commit(ledger.now_s + 10)
            deliver(store, path)
            assert_days_and_months(store, identity_of(path))
            live(ledger, epochs, ledger.now_s // HOUR_S * HOUR_S + 2 * HOUR_S, dice)
            deliver(store, path)
            assert_the_same(store, path)


@pytest.mark.parametrize("forgotten", ["journal", "store"])
def test_a_ledger_that_has_folded_much_is_told_anew_as_it_is(store, path, monkeypatch, forgotten):
    with writing(path, **folding(store, path, quarters_kept_s=2 * DAY_S)) as ledger:
        epochs, dice = [ledger.interface("eth0")], random.Random(3)
        for day in range(1, 5):
            live(ledger, epochs, START_S + day * DAY_S, dice)
            deliver(store, path)
        monkeypatch.setattr("netusage.fleet.deliver.ROWS_AT_ONCE", 70)  # a batch ends within a day
        if forgotten == "journal":
            ship_journal.rewind(str(path), store.address.url, store.address.database)
        else:
            store.execute(f"DROP DATABASE {store.address.database}")
            for statement in missing(store):
                store.execute(statement.sql)
        live(ledger, epochs, START_S + 4 * DAY_S + HOUR_S, dice)
        deliver(store, path)
        assert_the_same(store, path)
        live(ledger, epochs, START_S + 5 * DAY_S + HOUR_S, dice)
        deliver(store, path)
    assert_the_same(store, path)


def test_what_stays_at_home_is_in_no_day_or_month(store, path):
    with writing(path) as ledger:
        epoch = ledger.interface("eth0")
        for n, name in enumerate(NAMES):
            ledger.count(epoch, START_S, 1000)
            share(ledger, epoch, START_S, name, 100 + n, user=f"user{n}")
        ledger.commit(START_S + HOUR_S)
    for allowed in (FLEET_SHARES, ("users",), ()):
        deliver(store, path, share=allowed)
        assert_the_same(store, path)
        for table in (SHARE_DAY, SHARE_MONTH):
            sql = f"SELECT application, path, user, unit FROM {values_of(store, table)} WHERE rx_bytes > 0"
            told = set(store.query(sql))
            assert {bool(row[0] and row[1] and row[3]) for row in told} == {"applications" in allowed}
            assert {bool(row[2]) for row in told} == {"users" in allowed}


def test_an_interface_of_which_all_was_taken_back_has_empty_lists_then(store):
    def row(interface, rx, seq):
        return ("h", "l", APRIL_S, 900, interface, "", *who("web"), 3, 6, 4, rx, 0, 0, 0, seq)

    shares = Shares(store, "host = 'h' AND ledger = 'l'", 0)
    store.insert(SHARE, [row("eth0", 5, 1), row("eth1", 7, 1)])
    (first, second) = [list(one) for _, one in shares.rows({APRIL_S: set()}, {}.get)][:2]
    assert (first[:3], second[:3]) == (["eth0", "", APRIL_S], ["eth1", "", APRIL_S])
    assert (first[-4:], second[-4:]) == ([(5,), (0,), (0,), (0,)], [(7,), (0,), (0,), (0,)])
    store.insert(SHARE, [row("eth1", 0, 2)])
    told = {(table.name, one[0]): one[3:] for table, one in shares.rows({APRIL_S: set()}, {}.get)}
    assert told.keys() == {(name, f"eth{n}") for name in ("share_day", "share_month") for n in range(2)}
    for (_, interface), lists in told.items():
        assert {len(values) for values in lists} == {interface == "eth0"}


def test_two_ledgers_of_one_host_have_days_of_their_own(store, tmp_path):
    paths = [tmp_path / f"{n}.db" for n in range(2)]
    for path in paths:
        with writing(path) as ledger:
            live(ledger, [ledger.interface("eth0")], START_S + HOUR_S, random.Random(4))
        deliver(store, path)
    assert_the_same(store, *paths)
    assert store.query(f"SELECT count(), count(DISTINCT host) FROM {store.table('usage_day')} FINAL") == [
        (2, 1)
    ]


def test_over_shards_it_is_the_same_also_when_something_is_added_later_and_when_all_is_delivered_again(
    sharded, path
):
    one, two = sharded
    with writing(path, **folding(one, path)) as ledger:
        epochs, dice = [ledger.interface("eth0")], random.Random(9)
        live(ledger, epochs, START_S + 2 * DAY_S + HOUR_S, dice)
        deliver(one, path)
        live(ledger, epochs, START_S + 2 * DAY_S + 7 * HOUR_S, dice)
        share(ledger, epochs[0], START_S + HOUR_S, "late", 12345)  # of a day whose tail is folded
        ledger.commit(ledger.now_s + 10)
        deliver(one, path)
        assert_the_same(two, path)
        ship_journal.rewind(str(path), one.address.url, one.address.database)
        assert deliver(one, path)[1].anew
    assert_the_same(one, path)
    assert {row.outcome for row in compare(one, str(path)).rows} == {Outcome.EXACT}


# ---- Sums that no column holds ----------------------------------------------------------------------------------


def test_where_a_sum_is_too_large_quarters_are_told_and_the_fleet_knows_that_days_are_not(store, path):
    large = 1 << 62

    def sums():
        return store.query(f"SELECT sums FROM {store.table('host')} FINAL")

    with writing(path) as ledger:
        epoch = ledger.interface("tun0", "tun", counted=False)
        for hour, tells_days in ((0, 1), (1, 0)):  # two of them are 2^63
            share(ledger, epoch, START_S + hour * HOUR_S, "web", large)
            ledger.commit(START_S + (hour + 1) * HOUR_S)
            deliver(store, path)
            assert sums() == [(tells_days,)]
        written, done = deliver(store, path)
        assert (written.keys(), done.anew) == ({HOST, INTERFACE}, "")
        share(ledger, epoch, START_S + 4 * HOUR_S, "web", large)
        ledger.commit(START_S + 5 * HOUR_S)
        written, _ = deliver(store, path)
        assert not written.keys() & set(SUMS)
        for again in (False, True):
            if again:
                ship_journal.rewind(str(path), store.address.url, store.address.database)
                deliver(store, path)
            assert sums() == [(0,)]
            assert store.query(f"SELECT rx_bytes FROM {store.table('share')} FINAL") == [(large,)] * 3
            found, tells_days = compare(store, str(path))
            assert {row.outcome for row in found} == {Outcome.EXACT}
            assert not tells_days


def test_sums_of_the_largest_numbers_are_exact_or_not_told(store, path):
    """Also in the store, whose own sums would begin again at zero."""
    large = (1 << 62) - 1
    with writing(path) as ledger:
        epochs = [ledger.interface(name) for name in ("eth0", "eth1")]
        for hour, epoch in enumerate((*epochs, *epochs)):
            ledger.count(epoch, START_S + hour * HOUR_S, large)
            share(ledger, epoch, START_S + hour * HOUR_S, f"app{hour}", large)
            ledger.commit(START_S + (hour + 1) * HOUR_S)
            deliver(store, path)
        assert_the_same(store, path)
        assert store.query(f"SELECT max(rx_bytes) FROM {store.table('usage_month')} FINAL") == [(2 * large,)]


# ---- From a version that told no days ---------------------------------------------------------------------------


def as_of_old(store):
    """Make the tables what they were before there were days and months."""
    for table in SUMS:
        store.execute(f"DROP TABLE {store.table(table.name)}")
    for table, column in (("host", "sums"), ("interface", "up"), ("interface", "living")):
        store.execute(f"ALTER TABLE {store.table(table)} DROP COLUMN {column}")


def journal_as_of_old(path):
    with closing(sqlite3.connect(f"{path}.ship", isolation_level=None)) as db:
        db.execute("UPDATE fleet SET share = substr(share, 1, instr(share, ';') - 1)")


def test_tables_of_an_older_version_are_refused_with_one_line_until_they_are_brought_up_to_date(
    store, path, monkeypatch
):
    monkeypatch.setattr("netusage.fleet.deliver.ROWS_AT_ONCE", 100)
    with writing(path, **folding(store, path)) as ledger:
        epochs = [ledger.interface("eth0")]
        live(ledger, epochs, START_S + 2 * DAY_S + HOUR_S, random.Random(5))
        deliver(store, path)
        as_of_old(store)
        journal_as_of_old(path)
        live(ledger, epochs, START_S + 2 * DAY_S + 2 * HOUR_S, random.Random(6))
        with pytest.raises(FleetError, match="are of another version of netusage") as caught:
            deliver(store, path)
        assert caught.value.hint == f"run: netusage fleet init {store.address.url}"
        for statement in missing(store):
            store.execute(statement.sql)
        assert store.query(f"SELECT sums FROM {store.table('host')} FINAL") == [(0,)]
        _, done = deliver(store, path)
        assert done.anew == "days and months are delivered as well from now on; all of it is delivered again"
        assert_the_same(store, path)
        _, done = deliver(store, path)
        assert not done.anew
        # who goes back to the older version tells no days, and begins again with them
        journal_as_of_old(path)
        live(ledger, epochs, START_S + 2 * DAY_S + 4 * HOUR_S, random.Random(7))
        assert "days and months" in deliver(store, path)[1].anew
    assert_the_same(store, path)


def test_days_are_said_to_be_there_only_when_all_of_them_are(store, path, monkeypatch):
    monkeypatch.setattr("netusage.fleet.deliver.ROWS_AT_ONCE", 50)
    said = []
    with writing(path) as ledger:
        live(ledger, [ledger.interface("eth0")], START_S + DAY_S, random.Random(8))
    deliver(store, path)
    journal_as_of_old(path)
    store.execute(f"ALTER TABLE {store.table('host')} DROP COLUMN sums")
    store.execute(f"ALTER TABLE {store.table('host')} ADD COLUMN sums UInt8")

    class Looking(Watched):
        def insert(self, table, rows):
            said.append(store.query(f"SELECT max(sums) FROM {store.table('host')} FINAL"))
            return super().insert(table, rows)

    monkeypatch.setitem(globals(), "Watched", Looking)
    deliver(store, path)
    assert set(map(tuple, said)) == {((0,),)}
    assert_the_same(store, path)


# ---- Any history -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(2))
def test_after_any_history_days_and_months_are_the_sums_of_quarters(store, path, monkeypatch, seed):
    dice = random.Random(seed)
    options = folding(store, path, quarters_kept_s=dice.randrange(2, 6) * DAY_S)
    with writing(path, APRIL_S - 3 * DAY_S, **options) as ledger:
        epochs = [ledger.interface("eth0"), ledger.interface("wlan0", "wlan")]
        for _ in range(8):
            monkeypatch.setattr("netusage.fleet.deliver.ROWS_AT_ONCE", dice.choice((20, 60, 1000)))
            for _ in range(dice.randrange(12)):
                at_s = ledger.now_s - dice.randrange(dice.choice((HOUR_S, DAY_S, 6 * DAY_S)))
                epoch = dice.choice(epochs)
                ledger.count(epoch, at_s, dice.randrange(1 << 40), 1, 1, 1, peak_tx=dice.randrange(99))
                share(ledger, epoch, at_s, dice.choice(NAMES), dice.choice((7, 1 << 20, 1 << 39)))
            ledger.commit(ledger.now_s + dice.choice((60, HOUR_S, 10 * HOUR_S, DAY_S)))
            if dice.random() < 0.1:
                ship_journal.rewind(str(path), store.address.url, store.address.database)
            if dice.random() < 0.7:
                deliver(store, path)
                made, told = days_and_months(store, identity_of(path))
                assert made == told
        deliver(store, path)
        for _ in range(10):  # days to which something was added are written anew, one after the other
            ledger.commit(ledger.now_s + QUARTER_S)
        deliver(store, path)
        assert_the_same(store, path)
