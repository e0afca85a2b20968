"""vnStat's record as a host: nothing lost, nothing doubled, and every list as it was."""

import random
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from support import book, vnstat

from netusage.errors import InputError, LedgerError, NoDataError
from netusage.exchange.vnstat import take_in
from netusage.ledger.intake import Interface
from netusage.ledger.reader import LedgerReader
from netusage.ledger.verify import verify
from netusage.periods import PeriodKind, periods

BERLIN = "Europe/Berlin"
NOW_S = int(datetime(2026, 11, 24, 13, 37, 20, tzinfo=ZoneInfo(BERLIN)).timestamp())
DAY_S = 86_400


def events(days, *, until_s=NOW_S, a_day=10, seed=1):
    """Something is counted now and then."""
    chance = random.Random(seed)
    return sorted(
        (until_s - chance.randrange(1, days * DAY_S), chance.randrange(10**9), chance.randrange(10**7))
        for _ in range(days * a_day)
    )


def of_kinds(names):
    return [Interface(name, "", True) for name in names]


def take(database, path, zone=BERLIN, name="vnstat", **options):
    return take_in(
        str(database), str(path), name, ZoneInfo(zone), of_kinds, now_us=(NOW_S + 60) * 10**6, **options
    )


def usage(path, edges, interface="eth0", host="vnstat"):
    """Received and sent between edges, and whether the whole adds up."""
    with LedgerReader(str(path), host) as reader:
        assert verify(reader).findings == []
        ids = [one.id for one in reader.interfaces() if one.name == interface]
        return [one[:2] for one in reader.usage([ids], edges)[0]]


def total(path, interface="eth0", host="vnstat"):
    with LedgerReader(str(path), host) as reader:
        (found,) = [one.totals for one in reader.interfaces() if one.name == interface]
        return found[:2]


def cut(kind, since_s, until_s, zone=BERLIN):
    found = periods(kind, since_s, until_s, ZoneInfo(zone))
    return [found[0].start_s, *(one.end_s for one in found)]


def test_each_list_is_told_exactly_as_far_as_it_goes(tmp_path):
    counted = {"eth0": events(1000, a_day=10), "wlan0": events(30, seed=2)}
    vnstat.write(tmp_path / "vnstat.db", BERLIN, counted, NOW_S)
    taken = take(tmp_path / "vnstat.db", tmp_path / "own.db")
    assert taken.told.not_told == []
    for name, happened in counted.items():
        sums = tuple(sum(event[way] for event in happened) for way in (1, 2))
        assert total(tmp_path / "own.db", name) == sums
        for kind, days in ((PeriodKind.FIVE_MINUTES, 1), (PeriodKind.HOUR, 3), (PeriodKind.DAY, 60)):
            edges = cut(kind, NOW_S - days * DAY_S, NOW_S)
            assert usage(tmp_path / "own.db", edges, name) == vnstat.naive(happened, edges)
        for kind, days in ((PeriodKind.MONTH, 700), (PeriodKind.YEAR, 1000)):
            edges = cut(kind, NOW_S - days * DAY_S, NOW_S)
            assert usage(tmp_path / "own.db", edges, name) == vnstat.naive(happened, edges)


def test_every_row_is_kept_as_it_was(tmp_path):
    vnstat.write(tmp_path / "vnstat.db", BERLIN, {"eth0": events(100)}, NOW_S)
    take(tmp_path / "vnstat.db", tmp_path / "own.db")
    for kind, label in vnstat.LABELS.items():
        theirs = book.rows(tmp_path / "vnstat.db", f"SELECT date, rx, tx FROM {kind} ORDER BY date")
        ours = book.rows(
            tmp_path / "own.db",
            "SELECT start_s, rx_bytes, tx_bytes FROM imported WHERE resolution = ? ORDER BY start_s",
            kind,
        )
        named = [
            (label(datetime.fromtimestamp(at, ZoneInfo(BERLIN))), rx, tx) for at, rx, tx in map(tuple, ours)
        ]
        assert named == [tuple(row) for row in theirs]
        assert named


def test_the_best_days_are_known_when_their_list_has_forgotten_them(tmp_path):
    happened = [*events(400), (NOW_S - 200 * DAY_S, 10**12, 5)]
    vnstat.write(tmp_path / "vnstat.db", BERLIN, {"eth0": happened}, NOW_S, tops=1)
    assert take(tmp_path / "vnstat.db", tmp_path / "own.db").told.not_told == []
    edges = cut(PeriodKind.DAY, NOW_S - 200 * DAY_S, NOW_S - 200 * DAY_S + 1)
    assert usage(tmp_path / "own.db", edges) == vnstat.naive(happened, edges)
    edges = cut(PeriodKind.MONTH, NOW_S - 300 * DAY_S, NOW_S)
    assert usage(tmp_path / "own.db", edges) == vnstat.naive(happened, edges)


@pytest.mark.parametrize(
    ("zone", "day"),
    [
        (BERLIN, "2026-10-25"),
        (BERLIN, "2026-03-29"),
        ("America/New_York", "2026-11-01"),
        ("Australia/Lord_Howe", "2026-04-05"),
        ("America/Sao_Paulo", "2018-11-04"),
    ],
)
def test_days_on_which_the_clock_is_set_are_whole(tmp_path, zone, day):
    until_s = int(datetime.fromisoformat(f"{day}T23:30").replace(tzinfo=ZoneInfo(zone)).timestamp())
    happened = events(3, until_s=until_s, a_day=300)
    vnstat.write(tmp_path / "vnstat.db", zone, {"eth0": happened}, until_s)
    assert take(tmp_path / "vnstat.db", tmp_path / "own.db", zone).told.not_told == []
    edges = cut(PeriodKind.DAY, until_s - 2 * DAY_S, until_s, zone)
    assert usage(tmp_path / "own.db", edges) == vnstat.naive(happened, edges)


def test_an_import_that_is_repeated_doubles_nothing(tmp_path):
    vnstat.write(tmp_path / "vnstat.db", BERLIN, {"eth0": events(100)}, NOW_S)
    first = take(tmp_path / "vnstat.db", tmp_path / "own.db")
    edges = cut(PeriodKind.DAY, NOW_S - 100 * DAY_S, NOW_S)
    before = (total(tmp_path / "own.db"), usage(tmp_path / "own.db", edges))
    second = take(tmp_path / "vnstat.db", tmp_path / "own.db")
    assert (first.new, second.new) == (len(first.rows), 0)
    assert (total(tmp_path / "own.db"), usage(tmp_path / "own.db", edges)) == before


def test_what_vnstat_has_forgotten_since_stays_known(tmp_path):
    happened = events(120)
    then_s = NOW_S - 40 * DAY_S
    vnstat.write(tmp_path / "then.db", BERLIN, {"eth0": [e for e in happened if e[0] < then_s]}, then_s)
    vnstat.write(tmp_path / "now.db", BERLIN, {"eth0": happened}, NOW_S)
    take(tmp_path / "then.db", tmp_path / "own.db")
    taken = take(tmp_path / "now.db", tmp_path / "own.db")
    assert taken.told.not_told == []
    assert total(tmp_path / "own.db") == tuple(sum(event[way] for event in happened) for way in (1, 2))
    edges = cut(PeriodKind.HOUR, then_s - 2 * DAY_S, then_s - 7200)
    assert usage(tmp_path / "own.db", edges) == vnstat.naive(happened, edges)
    edges = cut(PeriodKind.DAY, NOW_S - 90 * DAY_S, NOW_S)
    assert usage(tmp_path / "own.db", edges) == vnstat.naive(happened, edges)
    before = total(tmp_path / "own.db"), usage(tmp_path / "own.db", edges)
    take(tmp_path / "then.db", tmp_path / "own.db")  # an older state adds and changes nothing
    assert (total(tmp_path / "own.db"), usage(tmp_path / "own.db", edges)) == before


def test_an_interface_that_was_removed_and_added_again_has_both_lives(tmp_path):
    first, second = events(50, until_s=NOW_S - 20 * DAY_S), events(10, seed=5)
    vnstat.write(tmp_path / "then.db", BERLIN, {"eth0": first}, NOW_S - 20 * DAY_S)
    vnstat.write(tmp_path / "now.db", BERLIN, {"eth0": second, "eth1": first}, NOW_S)
    take(tmp_path / "then.db", tmp_path / "own.db")
    with pytest.raises(LedgerError, match="the record of another vnStat"):
        take(tmp_path / "now.db", tmp_path / "own.db")
    with closing(sqlite3.connect(tmp_path / "now.db", isolation_level=None)) as db:
        stamp = book.rows(tmp_path / "then.db", "SELECT created FROM interface")[0][0]
        db.execute("UPDATE interface SET created = ?, name = 'eth2' WHERE name = 'eth1'", (stamp,))
    with closing(sqlite3.connect(tmp_path / "then.db", isolation_level=None)) as db:
        db.execute(
            "INSERT INTO interface SELECT 9, 'eth2', NULL, 1, created, updated, 0, 0, 0, 0 FROM interface"
        )
    take(tmp_path / "then.db", tmp_path / "own.db")
    assert take(tmp_path / "now.db", tmp_path / "own.db").told.not_told == []
    both = first + second
    assert total(tmp_path / "own.db") == tuple(sum(event[way] for event in both) for way in (1, 2))
    edges = cut(PeriodKind.MONTH, NOW_S - 90 * DAY_S, NOW_S)
    assert usage(tmp_path / "own.db", edges) == vnstat.naive(both, edges)


def test_bytes_before_all_lists_are_told_before_them(tmp_path):
    happened = events(100)
    vnstat.write(
        tmp_path / "vnstat.db",
        BERLIN,
        {"eth0": happened},
        NOW_S,
        kept={"month": 20, "year": 20, "day": 30},
        tops=0,
    )
    with closing(sqlite3.connect(tmp_path / "vnstat.db", isolation_level=None)) as db:
        db.execute("DELETE FROM year")
        db.execute("DELETE FROM month")
    assert take(tmp_path / "vnstat.db", tmp_path / "own.db").told.not_told == []
    edges = [NOW_S // 60 * 60 - 200 * DAY_S, *cut(PeriodKind.DAY, NOW_S - 30 * DAY_S, NOW_S)]
    assert usage(tmp_path / "own.db", edges) == vnstat.naive(happened, edges)


def test_what_does_not_fit_is_said_and_the_finer_rows_are_told(tmp_path):
    happened = events(3)
    vnstat.write(tmp_path / "vnstat.db", BERLIN, {"eth0": happened}, NOW_S, alias="Haus \u2620")
    with closing(sqlite3.connect(tmp_path / "vnstat.db", isolation_level=None)) as db:
        db.execute("UPDATE day SET rx = 1 WHERE date = '2026-11-23'")
    taken = take(tmp_path / "vnstat.db", tmp_path / "own.db")
    alias, day, *rest = taken.told.not_told
    assert alias == "eth0: its alias 'Haus \u2620'"
    assert day.startswith("eth0: the day of 2026-11-23T00:00:00+01:00 has ")
    assert day.endswith(" bytes less than the finer rows within it, which are told")
    assert rest == []
    edges = cut(PeriodKind.HOUR, NOW_S - 2 * DAY_S, NOW_S)
    assert usage(tmp_path / "own.db", edges) == vnstat.naive(happened, edges)


def test_a_time_that_the_zone_never_had_says_so(tmp_path):
    at_s = int(datetime(2026, 3, 29, 2, 30, tzinfo=UTC).timestamp())
    vnstat.write(tmp_path / "vnstat.db", "UTC", {"eth0": [(at_s, 5, 6)]}, at_s + 3600)
    taken = take(tmp_path / "vnstat.db", tmp_path / "own.db", BERLIN)
    assert any(
        "the hour of 2026-03-29 02:00 is no time in Europe/Berlin" in line for line in taken.told.not_told
    )
    assert total(tmp_path / "own.db") == (5, 6)


def test_months_that_begin_on_another_day_are_told_by_it(tmp_path):
    happened = events(700, a_day=5)
    vnstat.write(tmp_path / "vnstat.db", BERLIN, {"eth0": happened}, NOW_S, tops=0)
    where, sums = ZoneInfo(BERLIN), {}
    for at_s, rx, tx in happened:
        local = datetime.fromtimestamp(at_s, where)
        month = f"{local if local.day >= 15 else local.replace(day=1) - timedelta(days=1):%Y-%m}-01"
        before = sums.get(month, (0, 0))
        sums[month] = (before[0] + rx, before[1] + tx)
    with closing(sqlite3.connect(tmp_path / "vnstat.db", isolation_level=None)) as db:
        db.execute("DELETE FROM month")
        rows = ((1, month, *both) for month, both in sums.items())
        db.executemany("INSERT INTO month (interface, date, rx, tx) VALUES (?, ?, ?, ?)", rows)
    taken = take(tmp_path / "vnstat.db", tmp_path / "own.db", month_rotate=15)
    assert {line.partition(" of ")[0] for line in taken.told.not_told} == {"eth0: the year"}
    found = periods(PeriodKind.MONTH, NOW_S - 250 * DAY_S, NOW_S, where, billing_day=15)
    edges = [found[0].start_s, *(one.end_s for one in found)]
    assert usage(tmp_path / "own.db", edges) == vnstat.naive(happened, edges)
    assert total(tmp_path / "own.db") == tuple(sum(event[way] for event in happened) for way in (1, 2))


def test_another_time_zone_than_before_is_refused(tmp_path):
    vnstat.write(tmp_path / "vnstat.db", BERLIN, {"eth0": events(10)}, NOW_S)
    take(tmp_path / "vnstat.db", tmp_path / "own.db")
    before = total(tmp_path / "own.db")
    with pytest.raises(LedgerError, match="cut in another time zone"):
        take(tmp_path / "vnstat.db", tmp_path / "own.db", "Asia/Tokyo")
    assert total(tmp_path / "own.db") == before


def test_a_dry_run_tells_the_same_and_makes_nothing(tmp_path):
    vnstat.write(tmp_path / "vnstat.db", BERLIN, {"eth0": events(10)}, NOW_S)
    before = (tmp_path / "vnstat.db").read_bytes()
    dry = take(tmp_path / "vnstat.db", tmp_path / "own.db", dry_run=True)
    assert not (tmp_path / "own.db").exists()
    assert take(tmp_path / "vnstat.db", tmp_path / "own.db") == dry
    assert (tmp_path / "vnstat.db").read_bytes() == before


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        (
            "UPDATE hour SET rx = -1 WHERE id = 3",
            r"vnstat\.db: table hour, row 3: rx: -1 is no number of bytes",
        ),
        ("UPDATE day SET tx = 'many' WHERE id = 2", r"table day, row 2: tx: 'many' is no number"),
        ("UPDATE day SET tx = 1.5 WHERE id = 2", r"table day, row 2: tx: 1\.5 is no number"),
        ("UPDATE month SET date = 'May' WHERE id = 1", r"table month, row 1: date: 'May' is no date"),
        (
            "UPDATE month SET date = '2026-02-30' WHERE id = 1",
            r"table month, row 1: date: '2026-02-30' is no date",
        ),
        ("UPDATE fiveminute SET date = x'ff00' WHERE id = 1", r"table fiveminute, row 1: date"),
        ("UPDATE interface SET rxtotal = 1e30", r"table interface, row 1: rxtotal: 1e\+30 is no number"),
        ("UPDATE interface SET updated = '1999-01-01 00:00:00'", r"eth0 was updated before it was created"),
        ("UPDATE info SET value = '2' WHERE name = 'dbversion'", r"has the database version '2'"),
        ("DROP TABLE top", r"is no database of vnStat 2: it has no table top"),
    ],
)
def test_what_makes_no_sense_is_named_with_its_place_and_nothing_is_taken_in(tmp_path, statement, said):
    database = vnstat.write(tmp_path / "vnstat.db", BERLIN, {"eth0": events(10)}, NOW_S)
    with closing(sqlite3.connect(database, isolation_level=None)) as db:
        db.execute(statement)
    with pytest.raises(InputError, match=said):
        take(database, tmp_path / "own.db")
    assert not (tmp_path / "own.db").exists()


def test_files_that_are_none_of_vnstats_are_refused(tmp_path):
    (tmp_path / "text.db").write_text("hello")
    (tmp_path / "empty.db").write_bytes(b"")
    database = vnstat.write(tmp_path / "vnstat.db", BERLIN, {"eth0": events(10)}, NOW_S)
    (tmp_path / "torn.db").write_bytes(database.read_bytes()[: -8 * 4096])
    with closing(sqlite3.connect(tmp_path / "other.db")) as db:
        db.execute("CREATE TABLE cookies (id)")
    for name in ("text.db", "empty.db", "torn.db", "other.db", "."):
        with pytest.raises(InputError):
            take(tmp_path / name, tmp_path / "own.db")
    with pytest.raises(NoDataError, match="there is no database of vnStat at"):
        take(tmp_path / "none.db", tmp_path / "own.db")
    with pytest.raises(NoDataError, match="vnStat has no interface in"):
        take(vnstat.write(tmp_path / "bare.db", BERLIN, {}, NOW_S), tmp_path / "own.db")
    assert not (tmp_path / "own.db").exists()


def test_one_of_which_the_daemon_was_killed_in_the_middle_of_a_save_is_read_as_it_was_before(tmp_path):
    database = vnstat.write(tmp_path / "vnstat.db", BERLIN, {"eth0": events(10)}, NOW_S)
    before = total_of(database)
    with closing(sqlite3.connect(database, isolation_level=None)) as db:
        db.execute("PRAGMA cache_size = 1")
        db.execute("BEGIN IMMEDIATE")
        db.execute("UPDATE interface SET rxtotal = 7")
        db.execute("UPDATE fiveminute SET rx = 1")
        for suffix in ("", "-journal"):
            (tmp_path / f"copy.db{suffix}").write_bytes((tmp_path / f"vnstat.db{suffix}").read_bytes())
        db.execute("ROLLBACK")
    kept = (tmp_path / "copy.db").read_bytes()
    take(tmp_path / "copy.db", tmp_path / "own.db")
    assert total(tmp_path / "own.db") == before
    assert (tmp_path / "copy.db").read_bytes() == kept


def total_of(database):
    return tuple(book.rows(database, "SELECT rxtotal, txtotal FROM interface")[0])
