"""Delivery to a real ClickHouse server, whatever fails meanwhile: what it has is what the ledgers have, to the byte."""

import os
import random
import signal
import socket
import sqlite3
import time
from contextlib import closing, suppress
from dataclasses import replace

import pytest
from support import clickhouse
from support.book import assert_it_adds_up, rows
from support.deliveries import (
    NAMES,
    asking,
    deliver,
    deliver_until_it_works,
    fleet_of,
    has_arrived,
    live,
    make_tables,
    new_database,
    settings_for,
    share,
    shipper_pid,
    state_of,
)
from support.fleet import (
    FAULTS,
    FaultyProxy,
    assert_the_same,
    copy_of,
    identity_of,
    of_fleet,
    of_ledger,
    put_back,
)
from support.ledgers import DAY_S, START_S, writing
from support.patience import until

from netusage.errors import FleetError
from netusage.fleet.store import Store, address_of
from netusage.fleet.tables import missing
from netusage.ledger import ship_journal
from netusage.ledger.repair import repair
from netusage.model import QUARTER_S, SCOPE_AT_HOME, US
from netusage.settings.schema import FLEET_SHARES

pytest.importorskip("httpx")
pytestmark = [pytest.mark.system]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    yield from clickhouse.alone(tmp_path_factory)


@pytest.fixture
def fleet(server):
    """Settings of a fleet with a database of its own."""
    return fleet_of(server)


def shares_in(settings):
    """Received bytes of all applications in the store."""
    with asking(settings) as store:
        return sum(
            number for key, number in of_fleet(store).items() if key[0] == "share" and key[-1] == "rx_bytes"
        )


def test_what_was_delivered_is_what_was_counted_and_only_what_is_new_is_sent(tmp_path, fleet):
    path, dice = tmp_path / "ledger.db", random.Random(1)
    with writing(path) as ledger:
        epochs = [ledger.interface("eth0"), ledger.interface("tun\t'0", "tun")]
        live(ledger, epochs, START_S + DAY_S, dice)
        first = deliver(path, fleet)
        with asking(fleet) as store:
            assert_the_same(store, path)
        live(ledger, epochs, START_S + DAY_S + 3600, dice)
        second = deliver(path, fleet)
    assert first.rows > 400
    assert second.rows < 60
    with asking(fleet) as store:
        assert_the_same(store, path)
        ((name, labels, cursor),) = store.query(
            f"SELECT name, labels, cursor FROM {store.table('host')} FINAL"
        )
    with closing(sqlite3.connect(path)) as db:
        assert cursor == db.execute("SELECT change FROM ledger").fetchone()[0]
    assert name
    assert labels == ()


@pytest.mark.parametrize("seed", range(3))
def test_a_network_that_fails_loses_and_doubles_nothing(tmp_path, fleet, monkeypatch, seed):
    monkeypatch.setattr("netusage.fleet.deliver.ROWS_AT_ONCE", 60)
    dice = random.Random(seed)
    path = tmp_path / "ledger.db"
    with FaultyProxy(fleet.url, seed, fails=0.3) as proxy, writing(path) as ledger:
        epochs = [ledger.interface("eth0"), ledger.interface("wlan0")]
        for day in range(1, 4):
            live(ledger, epochs, START_S + day * 6 * 3600, dice)
            late_s = START_S + dice.randrange(day * 6) * 3600  # the clock went back
            ledger.count(epochs[0], late_s, 1000 + day, 1, 1, 1)
            share(ledger, late_s, epochs[0], "late", 500 + day)
            ledger.commit(ledger.now_s + 10)
            deliver_until_it_works(path, fleet, proxy.url)
    assert proxy.happened.keys() >= set(FAULTS)
    with asking(fleet) as store:
        assert_the_same(store, path)


def test_a_month_is_delivered_oldest_first_in_bounded_requests(tmp_path, fleet, monkeypatch):
    monkeypatch.setattr("netusage.fleet.deliver.ROWS_AT_ONCE", 1000)
    path, dice, sizes, changes = tmp_path / "ledger.db", random.Random(3), [], []

    class Watched(Store):
        def insert(self, table, rows):
            sizes.append(len(rows))
            changes.append((table.name, [row[-1] for row in rows]))
            return super().insert(table, rows)

    with writing(path) as ledger:
        live(ledger, [ledger.interface("eth0")], START_S + 31 * DAY_S, dice)
    deliver(path, fleet, make=Watched)
    assert max(sizes) < 1000 + 28 * 96
    shares = [seq for name, seqs in changes if name == "share" for seq in seqs]
    assert shares == sorted(shares)
    assert len(sizes) > 5
    with asking(fleet) as store:
        assert_the_same(store, path)


def test_a_delivery_that_ends_in_the_middle_goes_on_where_it_was(tmp_path, fleet, monkeypatch):
    monkeypatch.setattr("netusage.fleet.deliver.ROWS_AT_ONCE", 50)
    path, sent = tmp_path / "ledger.db", []

    class Dies(Store):
        def insert(self, table, rows):
            if len(sent) == 5:
                raise KeyboardInterrupt
            sent.append(table.name)
            return super().insert(table, rows)

    with writing(path) as ledger:
        live(ledger, [ledger.interface("eth0")], START_S + DAY_S, random.Random(4))
    with pytest.raises(KeyboardInterrupt):
        deliver(path, fleet, make=Dies)
    done = deliver(path, fleet)
    with asking(fleet) as store:
        assert_the_same(store, path)
    assert not done.anew


def test_a_restored_backup_takes_back_what_it_does_not_know(tmp_path, fleet):
    path, dice = tmp_path / "ledger.db", random.Random(5)
    with writing(path) as ledger:
        epochs = [ledger.interface("eth0")]
        live(ledger, epochs, START_S + DAY_S, dice)
        deliver(path, fleet)
    backup = copy_of(path, tmp_path / "backup.db")
    with writing(path, START_S + DAY_S) as ledger:
        epochs = [ledger.interface("eth0"), ledger.interface("gone0")]
        live(ledger, epochs, START_S + 2 * DAY_S, dice)
    deliver(path, fleet)
    put_back(backup, path)
    with writing(path, START_S + 2 * DAY_S + 100) as ledger:
        live(ledger, [ledger.interface("eth0")], START_S + 2 * DAY_S + 3 * 3600, dice)
    assert "restored" in deliver(path, fleet).anew
    with asking(fleet) as store:
        assert_the_same(store, path)
    again = deliver(path, fleet)
    assert not again.anew
    assert again.rows < 20
    with asking(fleet) as store:
        assert_the_same(store, path)


def test_a_ledger_that_is_restored_in_the_midst_of_a_delivery_is_noticed(tmp_path, fleet, monkeypatch):
    monkeypatch.setattr("netusage.fleet.deliver.ROWS_AT_ONCE", 50)
    path, dice, sent = tmp_path / "ledger.db", random.Random(23), []
    with writing(path) as ledger:
        live(ledger, [ledger.interface("eth0")], START_S + DAY_S // 2, dice)
    backup = copy_of(path, tmp_path / "backup.db")
    with writing(path, START_S + DAY_S // 2) as ledger:
        live(ledger, [ledger.interface("wlan0")], START_S + DAY_S, dice)

    class Restored(Store):
        def insert(self, table, rows):
            sent.append(table.name)
            if len(sent) == 5:
                put_back(backup, path)
            return super().insert(table, rows)

    with pytest.raises(FleetError, match="replaced while"):
        deliver(path, fleet, make=Restored)
    assert deliver(path, fleet).anew
    with asking(fleet) as store:
        assert_the_same(store, path)


def test_a_machine_that_is_restored_with_its_journal_is_found_out(tmp_path, fleet):
    path, dice = tmp_path / "ledger.db", random.Random(6)
    with writing(path) as ledger:
        live(ledger, [ledger.interface("eth0")], START_S + DAY_S, dice)
    deliver(path, fleet)
    backup, journal = copy_of(path, tmp_path / "b.db"), copy_of(f"{path}.ship", tmp_path / "b.ship")
    with writing(path, START_S + DAY_S) as ledger:
        live(ledger, [ledger.interface("eth0")], START_S + 2 * DAY_S, dice)
    deliver(path, fleet)
    put_back(backup, path)
    put_back(journal, f"{path}.ship")
    with writing(path, START_S + DAY_S) as ledger:
        live(ledger, [ledger.interface("wlan0")], START_S + DAY_S + 6 * 3600, dice)
    assert "knows more" in deliver(path, fleet).anew
    with asking(fleet) as store:
        assert_the_same(store, path)


def test_a_repaired_ledger_takes_back_what_was_lost(tmp_path, fleet):
    path, dice = tmp_path / "ledger.db", random.Random(7)
    with writing(path) as ledger:
        live(ledger, [ledger.interface("eth0")], START_S + 3 * DAY_S, dice)
        ledger.commit(ended="stopped")
    deliver(path, fleet)
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("UPDATE chunk SET bytes = zeroblob(length(bytes)) WHERE id = (SELECT min(id) FROM chunk)")
        db.execute("DELETE FROM share WHERE start_s < ?", (START_S + DAY_S,))
    repair(str(path), now_us=(START_S + 4 * DAY_S) * US, boot_id="boot-1", agree=lambda _: True)
    assert "repaired" in deliver(path, fleet).anew
    with asking(fleet) as store:
        assert_the_same(store, path)


def test_a_ledger_that_was_begun_anew_is_another_one_and_both_stay(tmp_path, fleet):
    path, dice = tmp_path / "ledger.db", random.Random(8)
    with writing(path) as ledger:
        live(ledger, [ledger.interface("eth0")], START_S + DAY_S, dice)
    deliver(path, fleet)
    aside = path.rename(tmp_path / "aside.db")
    with writing(path, START_S + DAY_S) as ledger:
        live(ledger, [ledger.interface("eth0")], START_S + DAY_S + 6 * 3600, dice)
    deliver(path, fleet)
    with asking(fleet) as store:
        assert_the_same(store, aside, path)
        assert len(store.query(f"SELECT DISTINCT host FROM {store.table('host')}")) == 1


@pytest.mark.parametrize("damage", [b"", b"no database at all, but something else", None])
def test_without_its_journal_everything_is_delivered_again_and_nothing_changes(tmp_path, fleet, damage):
    path = tmp_path / "ledger.db"
    with writing(path, quarters_kept_s=2 * DAY_S, other_below_ppm=200_000) as ledger:
        epochs = [ledger.interface("eth0")]
        live(ledger, epochs, START_S + DAY_S, random.Random(9))
        deliver(path, fleet)
        live(
            ledger, epochs, START_S + 5 * DAY_S, random.Random(10)
        )  # days are folded, in rows that are there
    journal = path.with_name("ledger.db.ship")
    if damage is None:
        journal.unlink()
    else:
        journal.write_bytes(damage)
    for end in ("-wal", "-shm"):
        journal.with_name(f"{journal.name}{end}").unlink(missing_ok=True)
    deliver(path, fleet)
    with asking(fleet) as store:
        assert_the_same(store, path)


def test_quarters_that_were_folded_after_delivery_keep_their_names_in_the_fleet(tmp_path, fleet):
    """Also where something is added to a folded quarter, or a folded day, later: nothing counts twice."""
    path = tmp_path / "ledger.db"

    def shipped(identity):
        return ship_journal.shipped(str(path), fleet.url, fleet.database, identity)

    with writing(path, quarters_kept_s=3 * DAY_S, other_below_ppm=400_000, shipped=shipped) as ledger:
        epochs, dice = [ledger.interface("eth0")], random.Random(11)
        for day in range(1, 8):
            live(ledger, epochs, START_S + day * DAY_S, dice)
            deliver(path, fleet)
        with asking(fleet) as store:
            assert_the_same(store, path)
            names = {
                row[0] for row in store.query(f"SELECT DISTINCT application FROM {store.table('share')}")
            }
            assert names >= set(NAMES)
        with closing(sqlite3.connect(path)) as db:
            assert db.execute("SELECT count(*) FROM share WHERE seconds > 900").fetchone()[0]
            assert db.execute("SELECT count(*) FROM application WHERE kind = 'other'").fetchone()[0]
        for late_s in (START_S + 6 * DAY_S - 5000, START_S + 7200):  # of a folded quarter, and of a day
            share(ledger, late_s, epochs[0], "tiny", 12345)
            ledger.commit(ledger.now_s + 10)
            before = shares_in(fleet)
            deliver(path, fleet)  # before the day is written anew
            assert shares_in(fleet) >= before
            live(ledger, epochs, ledger.now_s + 2 * QUARTER_S, dice)
            deliver(path, fleet)
            with asking(fleet) as store:
                assert_the_same(store, path)


def test_nothing_is_folded_that_was_not_delivered(tmp_path, fleet):
    path = tmp_path / "ledger.db"

    def shipped(identity):
        return ship_journal.shipped(str(path), fleet.url, fleet.database, identity)

    def folded():
        with closing(sqlite3.connect(path)) as db:
            days = db.execute("SELECT count(*) FROM share WHERE seconds > 900").fetchone()[0]
            return days, db.execute("SELECT count(*) FROM application WHERE kind = 'other'").fetchone()[0]

    options = {"quarters_kept_s": 3 * DAY_S, "other_below_ppm": 400_000, "shipped": shipped}
    with writing(path, **options) as ledger:
        live(ledger, [ledger.interface("eth0")], START_S + 6 * DAY_S, random.Random(12))
        assert folded() == (0, 0)
    with writing(path, START_S + 6 * DAY_S, **options) as ledger:  # it is remembered by a recorder after that
        live(ledger, [ledger.interface("eth0")], START_S + 7 * DAY_S, random.Random(13))
        assert folded() == (0, 0)
        deliver(path, fleet)
        live(ledger, [ledger.interface("eth0")], START_S + 7 * DAY_S + 6 * QUARTER_S, random.Random(14))
        days, others = folded()
        assert days
        assert others
        sql = """SELECT count(DISTINCT start_s / 86400) FROM share JOIN application ON id = application_id
                 WHERE kind = 'other' AND seconds = 900"""
        assert rows(path, sql)[0][0] == 3  # also of days before the recorder was started anew
        deliver(path, fleet)
    with asking(fleet) as store:
        assert_the_same(store, path)
        assert {row[0] for row in store.query(f"SELECT DISTINCT seconds FROM {store.table('share')}")} == {
            900
        }


def test_what_stays_at_home_is_never_sent_and_sums_are_the_same(tmp_path, fleet):
    path = tmp_path / "ledger.db"
    with writing(path) as ledger:
        epoch = ledger.interface("eth0")
        for at_s in range(START_S, START_S + 4 * 3600, QUARTER_S):
            for n, name in enumerate(NAMES):
                share(ledger, at_s, epoch, name, 1000 + n, user=f"user{n}")
        ledger.commit(START_S + DAY_S)
    told = {}
    for allowed in ((), ("applications",), ("users",), ("units",), ("scopes",), FLEET_SHARES):
        own = replace(fleet, share=allowed, database=new_database())
        make_tables(own)
        deliver(path, own)
        with asking(own) as store:
            assert_the_same(store, path)
            columns = ("application", "path", "user", "unit")
            told[allowed] = {
                column
                for column in columns
                if store.query(f"SELECT 1 FROM {store.table('share')} WHERE {column} != '' LIMIT 1")
            }
            scopes = {row[0] for row in store.query(f"SELECT DISTINCT scope FROM {store.table('share')}")}
            assert scopes == ({3} if "scopes" in allowed else {SCOPE_AT_HOME})
            text = str(store.query(f"SELECT * FROM {store.table('share')}"))
            assert ("user1" in text) == ("users" in allowed)
    assert told == {
        (): set(),
        ("applications",): {"application"},
        ("users",): {"user"},
        ("units",): {"unit"},
        ("scopes",): set(),
        FLEET_SHARES: {"application", "path", "user", "unit"},
    }


def test_when_other_things_may_leave_the_host_all_of_it_is_told_anew(tmp_path, fleet):
    path = tmp_path / "ledger.db"
    with writing(path) as ledger:
        live(ledger, [ledger.interface("eth0")], START_S + 6 * 3600, random.Random(15))
    for allowed in (FLEET_SHARES, (), ("users", "scopes"), ("users",)):
        deliver(path, replace(fleet, share=allowed))
        with asking(fleet) as store:
            assert_the_same(store, path)


def test_a_store_that_was_emptied_or_has_forgotten_is_given_everything_again(tmp_path, fleet):
    path = tmp_path / "ledger.db"
    with writing(path) as ledger:
        live(ledger, [ledger.interface("eth0")], START_S + 6 * 3600, random.Random(16))
    deliver(path, fleet)
    with asking(fleet) as store:
        store.execute(f"DROP DATABASE {fleet.database}")
    with pytest.raises(FleetError, match="no tables"):
        deliver(path, fleet)
    make_tables(fleet)
    assert "forgotten" in deliver(path, fleet).anew
    with asking(fleet) as store:
        assert_the_same(store, path)


def test_hosts_of_one_name_are_kept_apart_and_a_renamed_one_goes_on(tmp_path, fleet):
    paths = [tmp_path / f"{n}.db" for n in range(2)]
    for n, path in enumerate(paths):
        with writing(path, machine=f"machine-{n}") as ledger:
            live(ledger, [ledger.interface("eth0")], START_S + 6 * 3600, random.Random(n))
        deliver(path, replace(fleet, name="twin"))
    with writing(paths[0], START_S + 6 * 3600, machine="machine-0") as ledger:
        live(ledger, [ledger.interface("eth0")], START_S + 9 * 3600, random.Random(9))
    deliver(paths[0], replace(fleet, name="renamed"))
    with asking(fleet) as store:
        assert_the_same(store, *paths)
        names = store.query(f"SELECT host, name FROM {store.table('host')} FINAL")
    assert sorted(name for _, name in names) == ["renamed", "twin"]
    assert len({host for host, _ in names}) == 2


def test_a_rewind_is_harmless_also_in_the_middle_of_a_delivery(tmp_path, fleet, monkeypatch):
    monkeypatch.setattr("netusage.fleet.deliver.ROWS_AT_ONCE", 50)
    path, sent = tmp_path / "ledger.db", []

    class Rewinds(Store):
        def insert(self, table, rows):
            sent.append(table.name)
            if len(sent) == 5:
                ship_journal.rewind(str(path), fleet.url, fleet.database)
            return super().insert(table, rows)

    with writing(path) as ledger:
        live(ledger, [ledger.interface("eth0")], START_S + DAY_S, random.Random(17))
    deliver(path, fleet, make=Rewinds)
    with asking(fleet) as store:
        assert_the_same(store, path)
    ship_journal.rewind(str(path), fleet.url, fleet.database)
    assert deliver(path, fleet).anew
    with asking(fleet) as store:
        assert_the_same(store, path)
        assert of_fleet(store) == of_fleet(store, identity_of(path))


def test_a_server_that_is_killed_at_any_moment_has_everything_in_the_end(tmp_path, monkeypatch):
    monkeypatch.setattr("netusage.fleet.deliver.ROWS_AT_ONCE", 50)
    path, dice = tmp_path / "ledger.db", random.Random(18)
    with clickhouse.ClickHouse(tmp_path / "server") as server, writing(path) as ledger:
        fleet = fleet_of(server)
        epochs = [ledger.interface("eth0")]
        calls, kills = [], []

        def mend():
            server.kill()
            server.start()

        class Killed(Store):
            def insert(self, table, rows):
                calls.append(table.name)
                at = dice.random()
                if at < 0.1:
                    server.kill()
                    kills.append(len(calls))
                done = super().insert(table, rows)
                if at > 0.95:
                    server.kill()
                    kills.append(len(calls))
                return done

        for day in range(1, 4):
            live(ledger, epochs, START_S + day * DAY_S, dice)
            deliver_until_it_works(path, fleet, make=Killed, mend=mend)
        assert len(kills) > 3
        mend()
        deliver(path, fleet)
        with asking(fleet) as store:
            assert_the_same(store, path)
            assert of_ledger(path)


def test_many_hosts_on_two_shards_one_of_which_is_killed_at_any_moment(tmp_path, monkeypatch):
    monkeypatch.setattr("netusage.fleet.deliver.ROWS_AT_ONCE", 60)
    paths, dice = [tmp_path / f"{n}.db" for n in range(4)], random.Random(21)
    with clickhouse.two_shards(tmp_path) as servers:
        fleet = settings_for(servers[0].url)
        for server in servers:
            with Store(address_of(fleet, server.url)) as store:
                for statement in missing(store, clickhouse.CLUSTER):
                    store.execute(statement.sql)
        kills = []

        def mend():
            servers[1].kill()
            servers[1].start()

        class Killed(Store):
            def insert(self, table, rows):
                if dice.random() < 0.07:
                    servers[1].kill()
                    kills.append(table.name)
                return super().insert(table, rows)

        for hours in (8, 16):
            for n, path in enumerate(paths):
                with writing(path, START_S + (hours - 8) * 3600, machine=f"machine-{n}") as ledger:
                    live(ledger, [ledger.interface("eth0")], START_S + hours * 3600, dice)
                    late_s = START_S + dice.randrange(hours) * 3600
                    share(ledger, late_s, ledger.interface("eth0"), "late", 1000 + n)
                    ledger.commit(ledger.now_s + 10)
                deliver_until_it_works(path, fleet, make=Killed, mend=mend)
        assert kills
        mend()
        for path in paths:
            deliver(path, fleet)
        with asking(fleet) as store:
            assert_the_same(store, *paths)
            on_shards = [
                int(one.ask(f"SELECT count() FROM {fleet.database}.usage_local")[0][0]) for one in servers
            ]
        assert all(on_shards)


# The process


@pytest.mark.root
def test_a_recorder_delivers_beside_itself_whoever_is_killed_and_no_reading_is_late(
    tmp_path, space, record, start, ledger, configure
):
    dice = random.Random(19)
    now_s = int(time.time()) // QUARTER_S * QUARTER_S
    with writing(ledger, now_s - 8 * DAY_S) as book:
        live(book, [book.interface("eth9"), book.interface("eth8")], now_s - QUARTER_S, dice)
    space.pair("va", "vb")
    server = space.inside(lambda: clickhouse.ClickHouse(tmp_path / "server"))
    try:
        fleet = settings_for(server.url)
        space.inside(lambda: make_tables(fleet))
        file = configure(fleet)
        recorder = record(space, "--config", file, sample="1s", commit="1s")
        seen = set()
        for _ in range(3):
            pid = until(lambda: shipper_pid(ledger) not in (0, *seen) and shipper_pid(ledger), "a shipper")
            space.send("va", 40)
            time.sleep(dice.random() * 0.4)  # whatever it is doing then
            seen.add(pid)
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        space.send("va", 10)
        recorder.kill()
        space.send("va", 30)  # recorded by the next one
        until(lambda: not shipper_pid(ledger), "the end of the shipper")
        recorder = record(space, "--config", file, sample="1s", commit="1s")
        begun_us = time.time_ns() // 1000
        until(lambda: has_arrived(ledger, begun_us), lambda: f"a delivery; {state_of(ledger)} {recorder.err}")
        assert recorder.stop() == 143
        until(lambda: not shipper_pid(ledger), "the end of the shipper")
        once = start("ship", "--once", "--db", ledger, "--config", file, space=space)
        assert once.wait() == 0
        assert "delivered" in once.err
        with space.inside(lambda: Store(address_of(fleet))) as store:
            space.inside(lambda: assert_the_same(store, ledger))
            there = space.inside(lambda: of_fleet(store))
        assert ("interface", "va", "veth", "tx_bytes") in there
        assert all(run["late_samples"] == 0 for run in rows(ledger, "SELECT late_samples FROM run"))
        assert_it_adds_up(ledger)
    finally:
        server.kill()


@pytest.mark.root
def test_a_server_that_is_away_hangs_or_refuses_is_tried_until_it_takes_everything(
    tmp_path, space, record, ledger, configure
):
    space.pair("va", "vb")
    http, tcp = clickhouse.free_ports(2)
    mute = space.socket(socket.AF_INET, socket.SOCK_STREAM)
    fleet = settings_for(f"http://127.0.0.1:{http}")
    recorder = record(space, "--config", configure(fleet, "wrong"), sample="200ms", commit="200ms")
    recorder.wait_for_words("cannot reach the fleet's store")
    mute.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    mute.bind(("127.0.0.1", http))
    mute.listen()
    recorder.send(signal.SIGHUP)
    recorder.wait_for_words("did not answer within 5 s")
    mute.close()
    before = rows(ledger, "SELECT max(samples) FROM run")[0][0]
    until(lambda: rows(ledger, "SELECT max(samples) FROM run")[0][0] > before, "more readings")
    server = space.inside(lambda: clickhouse.ClickHouse(tmp_path / "server", (http, tcp)))
    try:
        space.inside(lambda: make_tables(fleet))
        recorder.send(signal.SIGHUP)
        recorder.wait_for_words("does not let 'host' in")
        configure(fleet, clickhouse.PASSWORD)
        recorder.send(signal.SIGHUP)
        until(lambda: has_arrived(ledger), lambda: f"a delivery; {state_of(ledger)} {recorder.err}")
        assert state_of(ledger).failures == 0
        assert clickhouse.PASSWORD not in recorder.err
        assert recorder.stop() == 143
        until(lambda: not shipper_pid(ledger), "the end of the shipper")
    finally:
        server.kill()
    assert_it_adds_up(ledger)


def test_who_delivers_may_be_killed_at_any_moment(start, ledger, fleet, configure):
    dice = random.Random(22)
    with writing(ledger) as book:
        epoch = book.interface("eth0")
        for at_s in range(START_S, START_S + 40 * DAY_S, QUARTER_S):
            book.count(epoch, at_s, dice.randrange(1 << 33), 1, 1, 1)
            for n in range(20):
                share(book, at_s, epoch, f"app-{n}", dice.randrange(1 << 30))
        book.commit(START_S + 40 * DAY_S)
    arguments = ("ship", "--once", "--db", ledger, "--config", configure(fleet))
    cursors = []
    for n in range(8):
        one = start(*arguments)
        if n % 2:  # in the midst of sending, or wherever that is
            until(lambda: shipper_pid(ledger), "a shipper")
        if n == 3:
            until(lambda: state_of(ledger) and state_of(ledger).progress.cursor, "a batch that has arrived")
        time.sleep(dice.random() * 1.5)
        one.kill()
        state = state_of(ledger)
        cursors.append(state.progress.cursor if state else 0)
    assert cursors == sorted(cursors)
    assert len(set(cursors)) > 1
    assert start(*arguments).wait() == 0
    with asking(fleet) as store:
        assert_the_same(store, ledger)
        assert of_fleet(store) == of_fleet(store, identity_of(ledger))


def test_who_asks_for_a_delivery_is_told_what_is_wrong(tmp_path, start, ledger, fleet, configure):
    nothing = tmp_path / "empty.toml"
    nothing.write_text("")
    with writing(ledger) as book:
        live(book, [book.interface("eth0")], START_S + 3600, random.Random(20))
    for config, more, code, words in (
        (lambda: nothing, (), 2, "names no fleet"),
        (lambda: configure(fleet, "wrong"), (), 1, "does not let 'host' in"),
        (lambda: configure(fleet), ("--db", tmp_path / "none.db"), 3, "no ledger"),
    ):
        done = start("ship", "--once", "--db", ledger, *more, "--config", config())
        assert done.wait() == code
        assert words in done.err
    held = ship_journal.hold(str(ledger), START_S * US)
    try:
        done = start("ship", "--once", "--db", ledger, "--config", configure(fleet))
        assert done.wait() == 1
        assert "delivered already (process" in done.err
    finally:
        held.release()
