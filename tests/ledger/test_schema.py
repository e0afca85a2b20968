"""The tables, their version, and the migrations between versions."""

import contextlib
import random
import re
import sqlite3
import zlib
from itertools import accumulate

import pytest
from recorder.audit import assert_sound
from support import book
from support.ledgers import START_S, writing

from netusage.errors import LedgerError, LedgerNewerError
from netusage.ledger import machine_chunks, rate_queries, schema
from netusage.ledger.reader import LedgerReader
from netusage.ledger.schema import APPLICATION_ID, MIGRATIONS, VERSION, check_version, migrate

US = 10**6
NOW_US = 1_773_100_800_000_000
END_S = START_S + 24 * 30 * 3600 + 500


@pytest.fixture
def connection(tmp_path):
    connection = sqlite3.connect(tmp_path / "ledger.db", isolation_level=None)
    yield connection
    connection.close()


NEWER_THAN_THE_THIRD = {
    "machine_chunk",
    "share",
    "share_change",
    "application",
    "application_counter",
    "application_total",
    "application_owner",
    "application_version",
    "imported",
    "host",
}


def version(connection):
    return connection.execute("PRAGMA user_version").fetchone()[0]


def tables(connection):
    return {row[0] for row in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}


def copy_from_new(connection, table):
    """The rows of a table of the database `new`, as far as the older table has columns for them."""
    columns = ", ".join(row[1] for row in connection.execute(f"PRAGMA table_info({table})"))
    connection.execute(f"INSERT INTO {table} SELECT {columns} FROM new.{table}")


def test_a_new_file_gets_every_migration_and_a_record_of_each(connection):
    assert check_version(connection, "x") == 0
    migrate(connection, 0, NOW_US)
    assert check_version(connection, "x") == VERSION == len(MIGRATIONS)
    assert connection.execute("PRAGMA application_id").fetchone()[0] == APPLICATION_ID
    found = connection.execute("SELECT version, applied_us FROM migration ORDER BY version").fetchall()
    assert found == [(number, NOW_US) for number in range(1, VERSION + 1)]


def test_migrating_what_is_up_to_date_changes_nothing(connection):
    migrate(connection, 0, NOW_US)
    before = connection.execute("SELECT * FROM sqlite_schema").fetchall()
    migrate(connection, VERSION, NOW_US + 5)
    assert connection.execute("SELECT * FROM sqlite_schema").fetchall() == before
    assert connection.execute("SELECT count(*) FROM migration").fetchone()[0] == VERSION


def test_every_table_is_strict(connection):
    migrate(connection, 0, NOW_US)
    statements = connection.execute("SELECT name, sql FROM sqlite_schema WHERE type = 'table'").fetchall()
    assert statements
    for name, sql in statements:
        assert re.search(r"\)\s*STRICT(, WITHOUT ROWID)?$", sql), name


def test_a_table_refuses_what_is_no_integer(connection):
    migrate(connection, 0, NOW_US)
    with pytest.raises(sqlite3.IntegrityError):
        connection.execute("INSERT INTO minute VALUES (0, 1, 'many', 0, 0, 0, 0, 0)")


def test_only_the_present_schema_may_change_so_old_steps_stay_as_they_were(connection):
    """A step that was released once has run on people's files: it is never edited, only followed by another."""
    schema.MIGRATIONS[0](connection)
    expected = {
        "ledger", "migration", "place", "run", "watched", "gap", "clock_step", "interface", "epoch", "minute",
        "quarter", "odometer", "span",
    }  # fmt: skip
    assert tables(connection) == expected


@pytest.mark.thorough
def test_quarters_of_the_first_schema_become_chunks_and_every_number_stays(tmp_path):
    """A ledger of schema 1 is made of a new one, with the rows that the recorder of that time wrote."""
    path, new = tmp_path / "old.db", tmp_path / "new.db"
    rand = random.Random(5)
    with writing(new) as ledger:
        epochs = [ledger.interface("eth0"), ledger.interface("wlan0"), ledger.interface("tun0", "tun")]
        for hour in range(24 * 40):
            for epoch in epochs[: 1 + hour % 3]:
                at_s = START_S + hour * 3600 + rand.randrange(60) * 60
                ledger.count(epoch, at_s, rand.randrange(1 << 40), hour, 3, 2, peak_rx=hour)
            if hour % 6 == 5 or hour > 24 * 33:  # old minutes go in small steps
                ledger.commit(START_S + (hour + 1) * 3600)
        ledger.span(epochs[0], START_S * US, (START_S + 100) * US, 1, 2, 3, 4)
        ledger.commit(START_S + 24 * 40 * 3600 + 500)
        expected = {name: ledger.total(name) for name in ("eth0", "wlan0", "tun0")}
    old = sqlite3.connect(path, isolation_level=None)
    old.execute("PRAGMA synchronous = OFF")
    schema.MIGRATIONS[0](old)
    old.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    old.execute("PRAGMA user_version = 1")
    old.execute("ATTACH ? AS new", (str(new),))
    for table in tables(old) - {"quarter", "odometer"}:
        copy_from_new(old, table)
    old.execute("DELETE FROM migration WHERE version > 1")
    for change, one in enumerate(book.quarters(new), start=1):
        old.execute("INSERT INTO quarter VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", (*one.values(), change))
    old.execute("UPDATE span SET change = (SELECT max(change) + 1 FROM quarter)")
    old.execute("UPDATE ledger SET change = (SELECT change FROM span)")
    old.execute("INSERT INTO odometer VALUES (1, 0, 0, 0, 0, 0)")
    old.close()
    path.with_name("old.db.lock").touch()
    with pytest.raises(LedgerError, match="older netusage"):
        LedgerReader(str(path))
    with writing(path, START_S + 24 * 40 * 3600 + 600) as ledger:
        ledger.commit(START_S + 24 * 40 * 3600 + 700)
    assert not tables(sqlite3.connect(path)) & {"quarter", "odometer"}
    assert_sound(path)
    assert book.quarters(path) == book.quarters(new)
    assert book.recorded(path) == expected
    noted = "SELECT interface_id, start_s, bytes FROM five ORDER BY 1, 2"
    assert list(map(tuple, book.rows(path, noted))) == list(map(tuple, book.rows(new, noted)))


def test_running_totals_of_the_second_schema_become_counts_and_every_number_stays(tmp_path):
    """A ledger of schema 2 as it was first written is made of a new one: columns held totals up to each quarter."""
    path, new = tmp_path / "old.db", tmp_path / "new.db"
    make_new(new)
    old = make_second(path, new)
    old.close()
    path.with_name("old.db.lock").touch()
    with pytest.raises(LedgerError, match="older netusage"):
        LedgerReader(str(path))
    with writing(path, END_S + 100) as ledger:
        ledger.commit(END_S + 200)
    assert_sound(path)
    assert book.quarters(path) == book.quarters(new)
    assert book.recorded(path) == book.recorded(new)
    order = "SELECT id, interface_id, start_s, change FROM chunk ORDER BY id"
    assert list(map(tuple, book.rows(path, order))) == list(map(tuple, book.rows(new, order)))
    noted = "SELECT interface_id, start_s, fives, bytes FROM five ORDER BY 1, 2"
    assert list(map(tuple, book.rows(path, noted))) == list(map(tuple, book.rows(new, noted)))
    assert "chunk_of_totals" not in tables(sqlite3.connect(path))


def test_a_damaged_chunk_of_the_second_schema_is_not_taken_for_numbers(tmp_path):
    path, new = tmp_path / "old.db", tmp_path / "new.db"
    make_new(new)
    with contextlib.closing(make_second(path, new)) as old:
        old.execute("UPDATE chunk SET crc = crc + 1 WHERE id = (SELECT max(id) FROM chunk)")
        before = old.execute("SELECT * FROM chunk ORDER BY id").fetchall()
        with pytest.raises(sqlite3.DatabaseError, match="checksum") as raised:
            migrate(old, 2, NOW_US)
        assert raised.value.sqlite_errorcode == sqlite3.SQLITE_CORRUPT
        assert old.execute("PRAGMA user_version").fetchone()[0] == 2
        assert old.execute("SELECT * FROM chunk ORDER BY id").fetchall() == before


def test_the_third_schema_is_given_sums_of_the_machine_and_every_number_stays(tmp_path):
    path = tmp_path / "old.db"
    make_new(path)
    chunks, sums = "SELECT * FROM chunk ORDER BY id", "SELECT * FROM machine_chunk ORDER BY start_s"
    before = [list(map(tuple, book.rows(path, question))) for question in (chunks, sums)]
    assert before[1]
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as third:
        for table in tables(third) & NEWER_THAN_THE_THIRD:
            third.execute(f"DROP TABLE {table}")
        third.execute("DROP INDEX chunk_heads")
        third.execute("DELETE FROM migration WHERE version > 3")
        third.execute("ALTER TABLE run DROP COLUMN tier")
        third.execute("PRAGMA user_version = 3")
    with writing(path, END_S + 100):
        pass
    assert_sound(path)
    assert [list(map(tuple, book.rows(path, question))) for question in (chunks, sums)] == before


def test_what_stands_before_the_columns_is_read_from_an_index(connection):
    migrate(connection, 0, NOW_US)
    for sql in (machine_chunks._CHUNKS, rate_queries._PEAKS):
        plan = connection.execute(f"EXPLAIN QUERY PLAN {sql}", (1, 0, END_S)).fetchall()
        assert any("COVERING INDEX chunk_heads" in row[-1] for row in plan), plan


def make_new(path):
    rand = random.Random(6)
    with writing(path) as ledger:
        epochs = [ledger.interface("eth0"), ledger.interface("tun0", "tun")]
        for hour in range(24 * 30):
            for epoch in epochs[: 1 + hour % 2]:
                at_s = START_S + hour * 3600 + rand.randrange(60) * 60
                ledger.count(epoch, at_s, rand.randrange(1 << 40), hour, 3, 2, peak_rx=hour)
            if hour % 6 == 5:
                ledger.commit(START_S + (hour + 1) * 3600)
        ledger.commit(END_S)


def make_second(path, new):
    old = sqlite3.connect(path, isolation_level=None)
    old.execute("PRAGMA synchronous = OFF")
    schema.MIGRATIONS[0](old)
    schema.MIGRATIONS[1](old)
    for table in ("chunk", "five"):
        old.execute(f"DROP TABLE {table}")
    old.execute(SECOND_CHUNK)
    old.execute(SECOND_FIVE)
    old.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    old.execute("PRAGMA user_version = 2")
    old.execute("ATTACH ? AS new", (str(new),))
    for row in book.rows(new, "SELECT * FROM five"):
        told = book.columns({"quarters": row["fives"], "bytes": row["bytes"]})
        before, after = [0] * ((row["start_s"] % 86400) // 300), [0] * 288
        day = [(before + told[name] + after)[:288] for name in ("rx_bytes", "tx_bytes")]
        start_s = row["start_s"] // 86400 * 86400
        old.execute(
            "INSERT INTO five VALUES (?, ?, ?, ?)",
            (row["id"], row["interface_id"], start_s, book.packed(*day)),
        )
    for table in tables(old) - {"chunk", "five"}:
        copy_from_new(old, table)
    old.execute("DELETE FROM migration WHERE version > 2")
    for chunk in book.rows(new, "SELECT * FROM chunk"):
        numbers = book.columns(chunk)
        told = [
            list(accumulate(numbers[name])) for name in ("rx_bytes", "tx_bytes", "rx_packets", "tx_packets")
        ]
        pairs = (book.packed(*told[:2]), book.packed(*told[2:]), chunk["peaks"])
        old.execute(
            f"INSERT INTO chunk VALUES ({', '.join('?' * 15)})",
            (*tuple(chunk)[:11], *pairs, zlib.crc32(b"".join(pairs))),
        )
    old.execute("DETACH new")
    return old


SECOND_CHUNK = """
CREATE TABLE chunk (
  id INTEGER PRIMARY KEY,
  interface_id INTEGER NOT NULL REFERENCES interface (id),
  start_s INTEGER NOT NULL,
  quarters INTEGER NOT NULL CHECK (quarters > 0),
  rx_bytes INTEGER NOT NULL,
  tx_bytes INTEGER NOT NULL,
  rx_packets INTEGER NOT NULL,
  tx_packets INTEGER NOT NULL,
  peak_rx INTEGER NOT NULL,
  peak_tx INTEGER NOT NULL,
  change INTEGER NOT NULL,
  bytes BLOB NOT NULL,
  packets BLOB NOT NULL,
  peaks BLOB NOT NULL,
  crc INTEGER NOT NULL,
  UNIQUE (interface_id, start_s)
) STRICT
"""


SECOND_FIVE = """
CREATE TABLE five (
  id INTEGER PRIMARY KEY,
  interface_id INTEGER NOT NULL REFERENCES interface (id),
  start_s INTEGER NOT NULL,
  bytes BLOB NOT NULL,
  UNIQUE (interface_id, start_s)
) STRICT
"""


def _add_colour(connection):
    connection.execute("ALTER TABLE interface ADD COLUMN colour TEXT NOT NULL DEFAULT ''")
    connection.execute("CREATE TABLE colours (name TEXT) STRICT")


def _add_half_and_fail(connection):
    connection.execute("CREATE TABLE half (x TEXT) STRICT")
    connection.execute("INSERT INTO no_such_table VALUES (1)")


def test_a_step_and_its_record_are_one_transaction(connection, monkeypatch):
    migrate(connection, 0, NOW_US)
    monkeypatch.setattr(schema, "MIGRATIONS", (*MIGRATIONS, _add_colour))
    migrate(connection, VERSION, NOW_US + 7)
    assert version(connection) == VERSION + 1
    assert "colours" in tables(connection)
    found = connection.execute(
        "SELECT applied_us FROM migration WHERE version = ?", (VERSION + 1,)
    ).fetchall()
    assert found == [(NOW_US + 7,)]


def test_a_step_that_fails_leaves_the_version_and_the_tables_as_they_were(connection, monkeypatch):
    migrate(connection, 0, NOW_US)
    monkeypatch.setattr(schema, "MIGRATIONS", (*MIGRATIONS, _add_colour, _add_half_and_fail))
    with pytest.raises(sqlite3.OperationalError, match="no_such_table"):
        migrate(connection, VERSION, NOW_US)
    assert version(connection) == VERSION + 1
    assert "colours" in tables(connection)
    assert "half" not in tables(connection)
    assert connection.execute("SELECT max(version) FROM migration").fetchone()[0] == VERSION + 1
    assert not connection.in_transaction


def test_a_kill_in_the_middle_of_a_step_leaves_the_version_as_it_was(tmp_path, monkeypatch):
    path = tmp_path / "ledger.db"
    connection = sqlite3.connect(path, isolation_level=None)
    migrate(connection, 0, NOW_US)

    def dies(connection):
        _add_colour(connection)
        connection.close()

    monkeypatch.setattr(schema, "MIGRATIONS", (*MIGRATIONS, dies))
    with pytest.raises(sqlite3.ProgrammingError):
        migrate(connection, VERSION, NOW_US)
    again = sqlite3.connect(path)
    assert version(again) == VERSION
    assert "colours" not in tables(again)
    again.close()


def test_an_older_ledger_is_migrated_when_it_is_opened_and_keeps_what_is_in_it(tmp_path, monkeypatch):
    path = tmp_path / "ledger.db"
    with writing(path) as ledger:
        ledger.count(ledger.interface("eth0"), START_S, 5, 6, 1, 1)
        ledger.commit(ended="stopped")
    monkeypatch.setattr(schema, "MIGRATIONS", (*MIGRATIONS, _add_colour))
    monkeypatch.setattr(schema, "VERSION", VERSION + 1)
    with writing(path, START_S + 60) as ledger:
        assert ledger.writer.remember().epochs[0].last.rx_bytes == 5
    again = sqlite3.connect(path)
    assert version(again) == VERSION + 1
    assert again.execute("SELECT name, rx_bytes, colour FROM interface").fetchall() == [("eth0", 5, "")]
    again.close()


def test_a_newer_schema_is_refused_with_both_numbers(connection):
    migrate(connection, 0, NOW_US)
    connection.execute(f"PRAGMA user_version = {VERSION + 3}")
    with pytest.raises(LedgerNewerError, match=f"schema {VERSION + 3}.* up to {VERSION}"):
        check_version(connection, "x")


def test_tables_of_another_program_are_refused(connection):
    connection.execute("CREATE TABLE songs (name TEXT)")
    with pytest.raises(LedgerNewerError, match="another program"):
        check_version(connection, "x")


def test_another_program_s_mark_is_refused_though_it_has_no_tables(connection):
    connection.execute("PRAGMA application_id = 252006673")
    with pytest.raises(LedgerNewerError, match="another program"):
        check_version(connection, "x")
