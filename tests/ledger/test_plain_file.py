import sqlite3
from contextlib import closing

import pytest

from netusage.errors import InputError, OutputError
from netusage.ledger.plain_file import PlainColumn, PlainReader, PlainWriter

COLUMNS = [PlainColumn("name", "TEXT NOT NULL"), PlainColumn("bytes", "INTEGER")]


def test_what_was_written_is_read_in_its_order(tmp_path):
    rows = [("b", 2), ("a", None), ("line\nfeed", 2**63 - 1)]
    with PlainWriter(str(tmp_path / "file")) as writer:
        writer.about({"written_by": "netusage"})
        writer.table("usage", COLUMNS, iter(rows))
        writer.table("none", COLUMNS, [])
    with PlainReader(str(tmp_path / "file")) as reader:
        assert reader.tables() == ["usage", "none"]
        assert reader.columns("usage") == ["name", "bytes"]
        assert [tuple(row) for _, row in reader.rows("usage")] == rows
        assert list(reader.rows("none")) == []


def test_other_programs_find_plain_tables_and_what_the_file_is(tmp_path):
    with PlainWriter(str(tmp_path / "file")) as writer:
        writer.about({"written_by": "netusage"})
        writer.table("usage", COLUMNS, [("a", 1)])
    with closing(sqlite3.connect(tmp_path / "file")) as db:
        assert db.execute("SELECT sum(bytes) FROM usage").fetchone() == (1,)
        assert dict(db.execute("SELECT * FROM about")) == {"written_by": "netusage", "rows of usage": "1"}
        assert db.execute("PRAGMA journal_mode").fetchone() == ("delete",)


def test_a_value_that_the_table_does_not_take_is_an_error_of_the_file(tmp_path):
    with PlainWriter(str(tmp_path / "file")) as writer, pytest.raises(OutputError, match="cannot write"):
        writer.table("usage", COLUMNS, [(None, 1)])
    with pytest.raises(OutputError, match="cannot write"):
        PlainWriter(str(tmp_path / "no" / "file"))


def test_a_name_that_wants_to_do_harm_is_a_name(tmp_path):
    with PlainWriter(str(tmp_path / "file")):
        pass
    with closing(sqlite3.connect(tmp_path / "file")) as db:
        db.execute('CREATE TABLE "a"" b" ("c" INTEGER)')
    with PlainReader(str(tmp_path / "file")) as reader:
        assert reader.tables() == ['a" b']
        assert reader.columns('a" b') == ["c"]
        assert list(reader.rows('a" b')) == []
        with pytest.raises(InputError, match="cannot be read"):
            list(reader.rows("none"))
