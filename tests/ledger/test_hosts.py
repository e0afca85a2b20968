"""Ledgers of other machines and disks in one file, each apart."""

import sqlite3
from contextlib import closing

import pytest
from support import book
from support.books import years
from support.ledgers import DAY_S, START_S, writing

from netusage.errors import LedgerError, LedgerHeldError, NoDataError, UsageError
from netusage.ledger import hosts, lock, schema
from netusage.ledger.batch import Part
from netusage.ledger.reader import LedgerReader
from netusage.ledger.verify import verify
from netusage.model import US, Counters, Who

NOW_US = (START_S + 5 * DAY_S) * US


def make(path, rx, *, machine="machine", boot_id="boot-1", days=2, name="eth0", at_s=START_S):
    """A ledger with `rx` bytes received in each hour of some days, as many sent, and whose they were."""
    with writing(path, at_s, machine=machine, boot_id=boot_id) as ledger:
        epoch = ledger.interface(name)
        ledger.commit(at_s + 1)
        for hour in range(24 * days):
            start_s = at_s + hour * 3600
            ledger.count(epoch, start_s, rx, rx, 1, 1, peak_rx=rx, peak_tx=rx)
            ledger.share(
                Part(start_s, epoch, Who("application", "curl"), 3, 6, 4), Counters(rx // 2, rx // 2, 1, 1)
            )
            if hour % 8 == 7:
                ledger.commit(start_s + 1800)
        ledger.span(epoch, (at_s - 7200) * US, (at_s - 3600) * US, 1000, 1, 0, 0)
        ledger.gap(at_s - 7200, at_s - 3600)
        ledger.commit(at_s + days * DAY_S, ended="SIGTERM")
    return str(path)


def state(path, host=""):
    """Everything that is in a book, and whether it adds up."""
    edges = [START_S - 7200, *range(START_S, START_S + 4 * DAY_S, 3600)]
    with LedgerReader(path, host=host) as reader:
        ids = [[interface.id] for interface in reader.interfaces()]
        found = verify(reader)
        assert found.findings == []
        counts = {name: count for name, count in found.counts.items() if name != "host"}
        return (
            [interface[1:] for interface in reader.interfaces()],
            reader.usage(ids, edges),
            reader.peaks(ids, edges),
            reader.shares(edges[1], edges[-1]),
            reader.gaps(0, NOW_US),
            reader.runs(),
            reader.watched(0, NOW_US),
            reader.extent(),
            counts,
        )


def merge(path, other, name="laptop", **options):
    return hosts.merge(str(path), str(other), name, now_us=NOW_US, **options)


def names(path):
    with LedgerReader(str(path)) as reader:
        return [host.name for host in reader.hosts()]


def test_a_host_has_everything_that_its_ledger_had_and_the_ledger_stays_as_it_was(tmp_path):
    own, other = (
        make(tmp_path / "a.db", 100),
        make(tmp_path / "b.db", 70_000, machine="laptop", name="w\"l'an0"),
    )
    before, others = state(own), state(other)
    merged = merge(own, other)
    assert [(one.name, one.outcome, one.both_us) for one in merged] == [("laptop", "new", 0)]
    assert state(own) == before
    assert state(own, "laptop") == others == state(other)


def test_merging_again_adds_nothing_and_a_later_state_takes_the_place_of_the_earlier(tmp_path):
    own = make(tmp_path / "a.db", 100)
    earlier = make(tmp_path / "earlier.db", 7, machine="laptop")
    merge(own, earlier)
    tables = book.rows(own, "SELECT count(*) FROM sqlite_schema")[0][0]
    assert [one.outcome for one in merge(own, earlier)] == ["known"]
    later = tmp_path / "later.db"
    later.write_bytes((tmp_path / "earlier.db").read_bytes())
    with writing(later, START_S + 2 * DAY_S, machine="laptop") as ledger:
        epoch = ledger.interface("wlan0")
        ledger.count(epoch, START_S + 2 * DAY_S, 5, 6, 1, 1)
        ledger.commit(START_S + 2 * DAY_S + 60)
    assert [one.outcome for one in merge(own, later)] == ["renewed"]
    assert state(own, "laptop") == state(str(later))
    assert [one.outcome for one in merge(own, earlier)] == ["known"]
    assert state(own, "laptop") == state(str(later))
    assert book.rows(own, "SELECT count(*) FROM sqlite_schema")[0][0] == tables


def test_a_copy_of_the_ledger_itself_has_nothing_new_until_it_goes_on_elsewhere(tmp_path):
    own = make(tmp_path / "a.db", 100)
    copy = tmp_path / "copy.db"
    copy.write_bytes((tmp_path / "a.db").read_bytes())
    assert [one.outcome for one in merge(own, copy)] == ["known"]
    assert names(own) == []
    with writing(copy, START_S + 2 * DAY_S, boot_id="boot-2", machine="other") as ledger:
        ledger.count(ledger.interface("eth9"), START_S + 2 * DAY_S, 5, 6, 1, 1)
        ledger.commit(START_S + 2 * DAY_S + 60)
    merged = merge(own, copy)
    assert [one.outcome for one in merged] == ["new"]
    assert merged[0].both_us == 2 * DAY_S * US
    assert state(own, "laptop") == state(str(copy))


def test_a_name_stays_with_its_ledger_and_a_ledger_with_its_name(tmp_path):
    own = make(tmp_path / "a.db", 100)
    first, second = (
        make(tmp_path / "b.db", 1, machine="b"),
        make(tmp_path / "c.db", 2, machine="c", boot_id="x"),
    )
    merge(own, first)
    before = state(own, "laptop")
    with pytest.raises(LedgerError, match=r"the host laptop of .* is another ledger; choose another name"):
        merge(own, second)
    with writing(first, START_S + 2 * DAY_S, machine="b") as ledger:
        ledger.commit(START_S + 2 * DAY_S + 60)
    with pytest.raises(LedgerError, match=r"is in .* as the host laptop; renew it with --as laptop"):
        merge(own, first, "notebook")
    assert names(own) == ["laptop"]
    assert state(own, "laptop") == before
    merge(own, second, "desktop")
    assert names(own) == ["desktop", "laptop"]
    assert state(own, "desktop") == state(second)


def test_hosts_of_a_ledger_come_with_it(tmp_path):
    own, middle, inner = (
        make(tmp_path / f"{n}.db", n + 1, machine=f"m{n}", boot_id=f"b{n}") for n in range(3)
    )
    merge(middle, inner, "phone")
    assert [one.name for one in merge(own, middle, "office")] == ["office", "office/phone"]
    assert state(own, "office") == state(middle)
    assert state(own, "office/phone") == state(inner)


def copied(path, target):
    """The file and its log as they are: what is left when the power goes."""
    for suffix in ("", "-wal"):
        target.with_name(target.name + suffix).write_bytes(path.with_name(path.name + suffix).read_bytes())


def test_power_that_goes_in_the_middle_leaves_nothing_for_readers_and_the_next_sweeps_up(tmp_path):
    other = make(tmp_path / "b.db", 7, machine="b")
    before = state(make(tmp_path / "a.db", 100))
    left = []

    def copy():
        left.append(tmp_path / f"left{len(left)}.db")
        copied(tmp_path / "a.db", left[-1])

    merge(tmp_path / "a.db", other, tick=copy)
    assert len(left) > 8
    for path in left[::3]:
        assert [tuple(row) for row in book.rows(path, "SELECT name, complete FROM host")] == [("laptop\n", 0)]
        assert names(path) == []
        assert state(str(path)) == before
        with pytest.raises(NoDataError, match="no host 'laptop' in the ledger"):
            LedgerReader(str(path), host="laptop")
        merge(path, other)
        assert state(str(path), "laptop") == state(other)
        assert len(tables_of_hosts(path)) == len(tables_of_hosts(tmp_path / "a.db"))


def tables_of_hosts(path):
    names = book.rows(path, "SELECT name FROM sqlite_schema WHERE type = 'table'")
    return [row[0] for row in names if row[0].startswith("host_")]


def test_one_that_is_interrupted_takes_back_what_it_copied(tmp_path):
    own, other = make(tmp_path / "a.db", 100), make(tmp_path / "b.db", 7, machine="b")

    def interrupted():
        if tables_of_hosts(own):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        merge(own, other, tick=interrupted)
    assert tables_of_hosts(own) == []
    assert book.rows(own, "SELECT * FROM host") == []


def test_a_recorder_goes_on_while_ledgers_are_merged_and_taken_out(tmp_path):
    other = make(tmp_path / "b.db", 7, machine="b", days=1)
    with writing(tmp_path / "a.db") as ledger:
        epoch = ledger.interface("eth0")
        ledger.commit(START_S + 1)
        path = ledger.path
        seconds = iter(range(2, 10_000))

        def record():
            at_s = START_S + next(seconds)
            ledger.count(epoch, at_s, 3, 4, 1, 1)
            ledger.commit(at_s)

        merge(path, other, tick=record)
        record()
        hosts.remove(path, "laptop")
        record()
        assert names(path) == []
        with LedgerReader(path) as reader:
            assert reader.interfaces()[0].totals == ledger.total("eth0")
            assert verify(reader).findings == []


def test_two_at_once_do_not_get_in_each_others_way(tmp_path):
    own, other = make(tmp_path / "a.db", 100), make(tmp_path / "b.db", 7, machine="b")
    held = lock.hold(f"{own}.merge", NOW_US)
    try:
        with pytest.raises(LedgerHeldError, match="another ledger is being merged into"):
            merge(own, other)
    finally:
        held.release()
    merge(own, other)
    assert sorted(file.name for file in tmp_path.iterdir() if "merge" in file.name) == []


def test_a_dry_run_changes_nothing_and_tells_what_would_be(tmp_path):
    own, other = make(tmp_path / "a.db", 100), make(tmp_path / "b.db", 7, machine="b")
    before = (tmp_path / "a.db").read_bytes()
    (found,) = merge(own, other, dry_run=True)
    assert (found.outcome, found.rows > 100) == ("new", True)
    assert (tmp_path / "a.db").read_bytes() == before
    nowhere = tmp_path / "new.db"
    assert merge(nowhere, other, dry_run=True)[0].outcome == "new"
    assert not nowhere.exists()


def test_a_ledger_is_made_where_there_is_none(tmp_path):
    other = make(tmp_path / "b.db", 7, machine="b")
    new = tmp_path / "deep" / "new.db"
    merge(new, other)
    assert state(str(new), "laptop") == state(other)
    with LedgerReader(str(new)) as reader:
        assert reader.interfaces() == []
        assert verify(reader).findings == []


@pytest.mark.parametrize("name", ["", " ", "a\nb", "x" * 65, " laptop", "\x1b[31m"])
def test_a_name_that_cannot_be_read_is_none(tmp_path, name):
    with pytest.raises(UsageError, match="cannot be the name of a host"):
        merge(tmp_path / "a.db", tmp_path / "b.db", name)
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_ledger_is_refused_and_nothing_is_made(tmp_path):
    own = make(tmp_path / "a.db", 100)
    (tmp_path / "text.db").write_text("not a ledger at all")
    with closing(sqlite3.connect(tmp_path / "foreign.db")) as db:
        db.execute("CREATE TABLE cookies (id)")
    before = (tmp_path / "a.db").read_bytes()
    for other, said in (
        ("text.db", "is not a ledger"),
        ("foreign.db", "another program"),
        ("no.db", "there is no"),
    ):
        with pytest.raises((LedgerError, NoDataError), match=said):
            merge(own, tmp_path / other)
    with pytest.raises(UsageError, match="is the ledger itself"):
        merge(own, own)
    assert (tmp_path / "a.db").read_bytes() == before


def test_a_ledger_of_an_older_version_is_read_through_a_copy(tmp_path):
    own, other = make(tmp_path / "a.db", 100), make(tmp_path / "b.db", 7, machine="b")
    older = tmp_path / "older.db"
    with closing(sqlite3.connect(older, isolation_level=None)) as db:
        for step in schema.MIGRATIONS[:7]:
            step(db)
        db.execute(f"PRAGMA application_id = {schema.APPLICATION_ID}")
        db.execute("PRAGMA user_version = 7")
        db.execute("ATTACH ? AS new", (other,))
        tables = "SELECT name FROM main.sqlite_schema WHERE type = 'table' AND name != 'migration'"
        for (table,) in db.execute(tables).fetchall():
            columns = ", ".join(row[1] for row in db.execute(f"PRAGMA table_info({table})"))
            db.execute(f"INSERT INTO {table} SELECT {columns} FROM new.{table}")
    before = older.read_bytes()
    merge(own, older)
    assert older.read_bytes() == before
    with LedgerReader(own, host="laptop") as reader:
        assert reader.interfaces()[0].totals.rx_bytes == 48 * 7 + 1000


@pytest.mark.system
def test_a_host_of_many_years_answers_as_its_ledger_does(tmp_path):
    other = tmp_path / "years.db"
    years(other, START_S + 40_000, count=1)
    merge(tmp_path / "a.db", other)
    edges = [START_S - 300 * DAY_S, START_S - 299 * DAY_S + 1800, START_S - 2 * DAY_S + 60, START_S]
    asked = []
    for path, host in ((other, ""), (tmp_path / "a.db", "laptop")):
        with LedgerReader(str(path), host=host) as reader:
            ids = [[interface.id for interface in reader.interfaces()]]
            asked.append(
                (
                    reader.usage(ids, edges),
                    reader.peaks(ids, edges),
                    reader.slots(ids, edges[0], edges[0] + DAY_S, 900),
                    reader.busiest(ids[0], edges, 2),
                    reader.shares_by_period(ids, [edges[0] // 900 * 900, START_S]),
                    reader.seen(),
                    sum(1 for _ in reader.share_rows(0)),
                )
            )
            assert verify(reader).findings == []
    assert asked[0] == asked[1]


def test_repair_keeps_hosts_and_says_which_it_could_not(tmp_path):
    from netusage.ledger.repair import repair

    own = make(tmp_path / "a.db", 100)
    for name in ("b", "c"):
        merge(own, make(tmp_path / f"{name}.db", 7, machine=name, boot_id=name), name)
    with closing(sqlite3.connect(own, isolation_level=None)) as db:
        db.execute("UPDATE interface SET rx_bytes = rx_bytes + 1")
        number = db.execute("SELECT id FROM host WHERE name = 'c'").fetchone()[0]
        db.execute(f"DROP TABLE host_{number}_chunk")
    found = repair(own, now_us=NOW_US, boot_id="boot-1", agree=lambda _: True)
    assert any(note.startswith("the host c cannot be read whole and is left out") for note in found.notes)
    assert names(own) == ["b"]
    assert state(own, "b") == state(str(tmp_path / "b.db"))
    with LedgerReader(own) as reader:
        assert verify(reader).findings == []


def test_tables_of_a_host_are_those_of_a_new_ledger(tmp_path):
    merge(tmp_path / "a.db", make(tmp_path / "b.db", 7, machine="b"))
    rows = book.rows(tmp_path / "a.db", "SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL")
    hosts_own = {
        row["name"].removeprefix("host_1_"): row["sql"] for row in rows if row["name"].startswith("host_1_")
    }
    plain = {row["name"]: row["sql"] for row in rows if not row["name"].startswith("host_1_")}
    assert {name: sql.replace("host_1_", "") for name, sql in hosts_own.items()} == {
        name: sql for name, sql in plain.items() if name not in ("host", "imported", "migration")
    }
    assert book.rows(tmp_path / "a.db", "PRAGMA user_version")[0][0] == schema.VERSION
