"""What goes wrong around a delivery: full disks, clocks that are set, tables of before, twins, cables, server restarts.

Whatever it is: it is said in a line, and what the fleet has in the end is what the ledgers have, to the byte.
"""

import json
import random
import signal
import sqlite3
import time
from contextlib import closing

import pytest
from support import clickhouse
from support.deliveries import (
    asking,
    deliver,
    fleet_of,
    has_arrived,
    live,
    make_tables,
    settings_for,
    share,
    shipper_pid,
    state_of,
)
from support.fleet import assert_the_same, copy_of
from support.ledgers import DAY_S, START_S, writing
from support.namespace import run
from support.patience import until

from netusage.errors import FleetError
from netusage.fleet.schema import GAP, HOST, INTERFACE, SHARE, SPAN, USAGE, creation
from netusage.fleet.store import Store
from netusage.ledger import ship_journal
from netusage.model import QUARTER_S, US

pytest.importorskip("httpx")
pytestmark = [pytest.mark.system]
DECADE_S = 10 * 365 * DAY_S
COPY = "does a copy of it deliver as well?"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    yield from clickhouse.alone(tmp_path_factory)


@pytest.fixture
def fleet(server):
    """Settings of a fleet with a database of its own."""
    return fleet_of(server)


def same(settings, *paths):
    with asking(settings) as store:
        assert_the_same(store, *paths)


def answer(settings, columns, table="host"):
    with asking(settings) as store:
        return store.query(f"SELECT {columns} FROM {store.table(table)} FINAL")


def lines_with(words, text):
    return [line for line in text.splitlines() if words in line]


# ---- A full disk at the server -----------------------------------------------------------------------------------


@pytest.fixture
def small(disks):
    """A server on a disk that can be filled, and that disk."""
    if clickhouse.why_not():
        pytest.skip(clickhouse.why_not())
    disk = disks(48 * 1024)
    with clickhouse.ClickHouse(disk.path / "server") as running:
        yield running, disk
        disk.free()


@pytest.mark.root
def test_a_full_disk_is_said_once_and_what_waited_arrives_when_there_is_room(
    small, start, ledger, configure, record, space
):
    server, disk = small
    fleet = fleet_of(server)
    dice = random.Random(31)
    with writing(ledger) as book:
        epochs = [book.interface("eth0")]
        live(book, epochs, START_S + DAY_S, dice)
        shipper = start("ship", "--db", ledger, "--config", configure(fleet))
        until(lambda: has_arrived(ledger), lambda: f"a delivery; {shipper.err}")
        before = answer(fleet, "cursor, seen_us")
        live(book, epochs, START_S + 2 * DAY_S, dice)
        disk.fill()
        shipper.send(signal.SIGHUP)
        shipper.wait_for_words("not delivered: the disk of the fleet's store is full")
        live(book, epochs, START_S + 3 * DAY_S, dice)  # nobody waits for it
        until(lambda: state_of(ledger).failures > 1, "another attempt, later")
        assert len(lines_with("not delivered", shipper.err)) == 1
        disk.free()
        assert answer(fleet, "cursor, seen_us") == before
        shipper.send(signal.SIGHUP)
        until(lambda: has_arrived(ledger), lambda: f"a delivery; {shipper.err}")
        same(fleet, ledger)
        assert shipper.stop() == 143


@pytest.mark.root
def test_of_what_finds_no_room_no_part_is_counted_and_nothing_is_folded_meanwhile(
    small, tmp_path, monkeypatch
):
    server, disk = small
    fleet = fleet_of(server)
    path, dice = tmp_path / "ledger.db", random.Random(32)
    arrived, said = [], set()

    class Watched(Store):
        def insert(self, table, rows):
            done = super().insert(table, rows)
            arrived.append((table.name, len(rows)))
            return done

    def shipped(identity):
        return ship_journal.shipped(str(path), fleet.url, fleet.database, identity)

    def days():
        with closing(sqlite3.connect(path)) as db:
            return db.execute("SELECT count(*) FROM share WHERE seconds > 900").fetchone()[0]

    with writing(path, quarters_kept_s=2 * DAY_S, other_below_ppm=400_000, shipped=shipped) as book:
        epochs = [book.interface("eth0")]
        live(book, epochs, START_S + DAY_S // 2, dice)
        deliver(path, fleet, make=Watched)
        known, cursor = answer(fleet, "count()", "usage")[0][0], answer(fleet, "cursor")
        live(book, epochs, START_S + 4 * DAY_S, dice)
        for room in (0, 20_000, 100_000, 200_000, 300_000, 400_000, 600_000):
            disk.fill(room)
            arrived.clear()
            try:
                deliver(path, fleet, make=Watched)
            except FleetError as error:
                said.add(str(error).partition(" (")[0])
            disk.free()
            if any(name == "host" for name, _ in arrived):
                break
            of_usage = sum(number for name, number in arrived if name == "usage")
            assert answer(fleet, "count()", "usage")[0][0] in (known, known + of_usage, 384)
            assert answer(fleet, "cursor") == cursor
            assert not days()
        assert said <= {
            "the disk of the fleet's store is full",
            f"the fleet's store {server.url} cannot write to its disk",
        }
        deliver(path, fleet)
        live(book, epochs, START_S + 4 * DAY_S + 2 * 3600, dice)
        assert days()  # now they may be
        deliver(path, fleet)
    same(fleet, path)


# ---- Clocks ------------------------------------------------------------------------------------------------------


def set_clock(book, by_s):
    """Set the clock of a ledger's machine; its boot goes on."""
    book.now_s += by_s
    book.boot_s += by_s


@pytest.mark.parametrize("seed", range(2))
def test_a_clock_that_is_set_back_and_forth_between_deliveries_doubles_nothing(tmp_path, fleet, seed):
    path, dice = tmp_path / "ledger.db", random.Random(seed)
    with writing(path, START_S) as book:
        epochs = [book.interface("eth0"), book.interface("wlan0")]
        live(book, epochs, START_S + 3 * 3600, dice)
        deliver(path, fleet)
        for step_s in dice.sample((-3600, 3600, -7 * 3600, 5 * DAY_S, -3 * DAY_S, 60, -61, -9 * DAY_S), 5):
            set_clock(book, step_s)
            live(book, epochs, book.now_s + dice.randrange(2, 5) * 600, dice, step_s=600)
            done = deliver(path, fleet, now_us=book.now_s * US)
            assert not done.anew  # it is the same ledger, and only what is new is sent
            same(fleet, path)


def test_a_delivery_in_the_wrong_decade_delays_no_later_one(fleet, start, ledger, configure):
    now_s = int(time.time()) // QUARTER_S * QUARTER_S
    dice, file = random.Random(33), configure(fleet)
    with writing(ledger, now_s - DAY_S + DECADE_S) as book:
        epochs = [book.interface("eth0")]
        live(book, epochs, book.now_s + 6 * 3600, dice)
        deliver(ledger, fleet, now_us=book.now_s * US)
        ship_journal.ShipJournal(str(ledger), fleet.url, fleet.database).failed("down", book.now_s * US)
        assert answer(fleet, "seen_us") == [(book.now_s * US,)]
        set_clock(book, -DECADE_S)
        live(book, epochs, book.now_s + 6 * 3600, dice)
        shipper = start("ship", "--db", ledger, "--config", file)
        until(
            lambda: state_of(ledger).arrived_us < (now_s + DAY_S) * US, lambda: f"a delivery; {shipper.err}"
        )
        assert len(shipper.err.splitlines()) == 1
        same(fleet, ledger)
        status = start("fleet", "status", "--config", file, "--format", "json")
        assert status.wait() == 0
        (host,) = json.loads(status.out)["rows"]
        assert 0 <= host["lag_us"] < 60 * US
        assert shipper.stop() == 143


def test_host_and_server_are_in_zones_and_years_of_their_own(fleet, start, ledger, configure, server):
    """The server is at Kathmandu; the host's clock is years behind it, and its day is another."""
    assert server.ask("SELECT timezone()") == [["Asia/Kathmandu"]]
    begun_s = 1_582_934_400  # 2020-02-29 00:00 UTC
    with writing(ledger, begun_s) as book:
        live(book, [book.interface("eth0")], begun_s + 3 * DAY_S, random.Random(35))
    done = start(
        *("ship", "--once", "--db", ledger, "--config", configure(fleet)),
        environment={"TZ": "Pacific/Kiritimati"},
    )
    assert done.wait() == 0
    same(fleet, ledger)
    months = "toUInt32(toYYYYMM(start)) AS month, count()"
    with asking(fleet) as store:
        found = store.query(
            f"SELECT {months} FROM {store.table('usage')} FINAL GROUP BY month ORDER BY month"
        )
    assert found == [(202002, 96), (202003, 192)]


def test_a_server_that_restarts_between_what_it_took_and_what_is_noted_of_it(tmp_path, fleet, server):
    path, dice = tmp_path / "ledger.db", random.Random(36)
    with writing(path) as book:
        epochs = [book.interface("eth0")]
        for lost in ("", "usage", "share", HOST.name, ""):
            live(book, epochs, book.now_s + 4 * 3600, dice)

            class Restarted(Store):
                def insert(self, table, rows, lost=lost):
                    done = super().insert(table, rows)
                    if table.name == lost:
                        server.kill()
                        server.start()
                        raise FleetError("the answer was lost")
                    return done

            if lost:
                with pytest.raises(FleetError, match="was lost"):
                    deliver(path, fleet, make=Restarted)
            again = deliver(path, fleet)
            assert again.anew == (
                "" if book.now_s > START_S + 4 * 3600 else "from the beginning of the record"
            )
            same(fleet, path)


# ---- Two who deliver one ---------------------------------------------------------------------------------------


def write_a_day(path, from_s, applications):
    """Count with so many applications for a day, in one commit."""
    dice = random.Random(from_s)
    with writing(path, from_s) as book:
        epoch = book.interface("eth0")
        for at_s in range(from_s, from_s + DAY_S, QUARTER_S):
            book.count(epoch, at_s, dice.randrange(1 << 33), 1, 1, 1)
            for n in range(applications):
                share(book, at_s, epoch, f"app-{n}", dice.randrange(1 << 30))
        book.commit(from_s + DAY_S)


def test_of_two_who_deliver_one_ledger_the_second_is_told_so_in_a_line(start, ledger, fleet, configure):
    write_a_day(ledger, START_S, 12)
    arguments = ("--db", ledger, "--config", configure(fleet))
    both = [start("ship", "--once", *arguments) for _ in range(2)]
    codes = sorted(one.wait() for one in both)
    same(fleet, ledger)
    assert codes in ([0, 1], [0, 0])  # the second, when it came after the first had ended
    for one in both:
        assert one.popen.returncode == 0 or "delivered already (process" in one.err
        assert len(one.err.splitlines()) == 1
    shipper = start("ship", *arguments)
    until(lambda: shipper_pid(ledger) == shipper.pid, "the shipper")
    second = start("ship", *arguments)
    assert second.wait() == 1
    assert f"delivered already (process {shipper.pid})" in second.err
    assert len(second.err.splitlines()) == 1
    assert shipper.stop() == 143
    same(fleet, ledger)


def go_on(path, interface, dice, from_s, until_s):
    with writing(path, from_s) as book:
        live(book, [book.interface("eth0"), book.interface(interface)], until_s, dice)


def test_a_copy_of_a_machine_that_delivers_as_well_is_found_out_and_never_added(
    tmp_path, start, ledger, fleet, configure
):
    """One of both is what the fleet has, whole; it says so whenever they take turns."""
    dice, times = random.Random(38), [START_S + hours * 3600 for hours in (2, 4, 5, 6)]
    go_on(ledger, "eth1", dice, START_S, times[0])
    deliver(ledger, fleet)
    clone = copy_of(ledger, tmp_path / "clone.db")
    copy_of(f"{ledger}.ship", f"{clone}.ship")
    both = ((ledger, "eth1"), (clone, "eth2"))
    for path, interface in both:
        go_on(path, interface, dice, times[0], times[1])
    told = []
    for path in (ledger, clone, ledger):
        told.append(COPY in deliver(path, fleet).anew)
        same(fleet, path)
    assert told == [False, True, True]
    for path, interface in both:
        go_on(path, interface, dice, times[1], times[2])
    file = configure(fleet)
    at_once = [start("ship", "--once", "--db", path, "--config", file) for path, _ in both]
    assert [one.wait() for one in at_once] == [0, 0]
    assert [len(one.err.splitlines()) for one in at_once] == [1, 1]
    assert any(COPY in one.err for one in at_once)
    for path, interface in both:
        go_on(path, interface, dice, times[2], times[3])
        anew = deliver(path, fleet).anew
    assert COPY in anew
    same(fleet, clone)


# ---- Tables of an older version -----------------------------------------------------------------------------------

NEWER = ("sums", "up", "living")  # columns that the first version had not
FIRST = (USAGE, SPAN, SHARE, INTERFACE, GAP, HOST)


def make_first_tables(settings, full):
    """The tables as the first version made them, with what it would have delivered of what is in `full`."""
    with asking(settings) as store:
        store.execute(f"CREATE DATABASE {settings.database}")
        for table in FIRST:
            columns = tuple(column for column in table.columns if column.name not in NEWER)
            for made in creation(
                table._replace(columns=columns), settings.database, codecs=False, cluster=None
            ):
                store.execute(made.sql)
            names = ", ".join(column.name for column in columns)
            there = f"`{full.database}`.`{table.name}`"
            store.execute(f"INSERT INTO {store.table(table.name)} ({names}) SELECT {names} FROM {there}")


def test_tables_that_are_upgraded_while_a_host_tries_get_everything(server, fleet, start, ledger, configure):
    dice = random.Random(40)
    with writing(ledger) as book:
        epochs = [book.interface("eth0")]
        live(book, epochs, START_S + DAY_S, dice)
        deliver(ledger, fleet)
        old = settings_for(server.url)
        make_first_tables(old, fleet)
        known = answer(old, "cursor, name")
        live(book, epochs, START_S + DAY_S + 6 * 3600, dice)
        file = configure(old)
        shipper = start("ship", "--db", ledger, "--config", file)
        shipper.wait_for_words("not delivered: ")
        live(book, epochs, START_S + DAY_S + 9 * 3600, dice)
        assert answer(old, "cursor, name") == known
        made = start("fleet", "init", "--config", file)
        assert made.wait() == 0
        shipper.wait_for_words("rows: from the beginning of the record")  # by itself
        assert shipper.stop() == 143
    (refused,) = lines_with("not delivered", shipper.err)
    assert f"run: netusage fleet init {server.url}" in refused
    assert len(shipper.err.splitlines()) == 3
    assert {line.split("made the ")[1] for line in made.err.splitlines()} >= {
        "table usage_day",
        "column sums of table host",
        "column up of table interface",
    }
    same(old, ledger)
    again = start("fleet", "init", "--config", file)
    assert again.wait() == 0
    assert "has all tables" in again.err


# ---- The network -------------------------------------------------------------------------------------------------


def join(host, other):
    """A cable between two namespaces; the host's end sends slowly, so that requests are on their way for a while."""
    host.pair("cable", "cable", peer=other)
    for one, number in ((host, 1), (other, 2)):
        one.ip("addr", "add", f"10.9.0.{number}/24", "dev", "cable")
    slow = ("root", "tbf", "rate", "100kbit", "burst", "4kb", "latency", "1s")
    run(*host.command("tc", "qdisc", "add", "dev", "cable", *slow))


@pytest.mark.root
def test_an_interface_that_goes_away_in_the_midst_of_an_insert_loses_nothing(
    tmp_path, space, spaces, start, ledger, configure
):
    if clickhouse.why_not():
        pytest.skip(clickhouse.why_not())
    other = spaces()
    join(space, other)
    server = other.inside(lambda: clickhouse.ClickHouse(tmp_path / "server", listen="10.9.0.2"))

    def sent():
        return space.counters()["cable"].tx_bytes

    def back():
        shipper.send(signal.SIGHUP)
        until(lambda: has_arrived(ledger), lambda: f"a delivery; {shipper.err}")
        space.inside(lambda: same(fleet, ledger))

    try:
        fleet = settings_for(server.url)
        space.inside(lambda: make_tables(fleet))
        write_a_day(ledger, START_S, 5)
        shipper = start("ship", "--db", ledger, "--config", configure(fleet, timeout="1s"), space=space)
        until(lambda: state_of(ledger) and state_of(ledger).progress.sent, "the beginning of a delivery")
        enough = sent() + 6_000
        until(lambda: sent() > enough, "the midst of it")
        space.ip("link", "set", "cable", "down")
        shipper.wait_for_words("not delivered: ")
        assert not has_arrived(ledger)
        space.up("cable")
        back()

        write_a_day(ledger, START_S + DAY_S, 5)
        shipper.send(signal.SIGHUP)
        enough = sent() + 6_000
        until(lambda: sent() > enough, "the midst of it again")
        space.ip("link", "del", "cable")  # as when the namespace of the other end goes away
        until(lambda: state_of(ledger).error, "a failure")
        join(space, other)
        back()
        assert shipper.stop() == 143
    finally:
        server.kill()
