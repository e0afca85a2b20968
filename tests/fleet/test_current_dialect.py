"""The tables and queries in today's ClickHouse, which chDB has within a process: none of Debian's."""

import importlib.util
import subprocess
import sys

import pytest

from netusage.fleet.schema import FIRST_WITH_CODECS

pytestmark = pytest.mark.system

# In a process of its own: the engine stays in the process that loads it.
_ASKED = r"""
import sys
from chdb import session
from netusage.fleet import check, schema, wire

server = session.Session()
LARGEST, HOSTILE = (1 << 63) - 1, "a\tb\nc\\d'e\0f\rg\u0085h\u2028\\N \u00fc\b\f"


class Store:
    address = type("address", (), {"database": "netusage"})

    def table(self, name):
        return f"`netusage`.`{name}`"

    def query(self, sql):
        return list(wire.decode(server.query(sql, "TabSeparatedWithNamesAndTypes").bytes().decode()))

    def insert(self, table, *rows):
        names = ", ".join(f"`{name}`" for name in table.names)
        sql = f"INSERT INTO {self.table(table.name)} ({names}) FORMAT TabSeparated\n"
        server.query(sql + wire.encode(table, rows).decode())


store = Store()
((version,),) = store.query("SELECT version()")
server.query("CREATE DATABASE netusage")
for table in schema.TABLES:
    for statement in schema.creation(table, "netusage", codecs=True, cluster=None):
        server.query(statement.sql)
old = ("h", "l", HOSTILE, "k", 1764540000, *[LARGEST] * 6, 1)
new = (*old[:-2], 5, 9)
for row in (old, new, old):
    store.insert(schema.USAGE, row)
columns = ", ".join("toUInt32(start)" if name == "start" else f"`{name}`" for name in schema.USAGE.names)
assert store.query(f"SELECT {columns} FROM netusage.usage FINAL") == [new]
host = ("h", "l", HOSTILE, "m", "1", ("site=berlin", HOSTILE, "a','b"), -1, LARGEST, -5, 0, "kernel", 7)
store.insert(schema.HOST, host)
assert store.query("SELECT * FROM netusage.host FINAL") == [host]
store.insert(schema.SPAN, ("h", "l", "eth0", "", 1, -5, 1, 7, 8, 9, 10, "stopped", 3))
found = check._sums(store, "h", "l")
assert {part: sums[:-1] for part, sums in found.items()} == {
    ("usage", HOSTILE, "k", 202511): (1, *[LARGEST] * 4),
    ("span", "eth0", "", 197001): (1, 7, 8, 9, 10),
}, found
server.query("ALTER TABLE netusage.usage DELETE WHERE host = 'h'")
while store.query("SELECT 1 FROM system.mutations WHERE is_done = 0"):
    pass
assert store.query("SELECT count() FROM netusage.usage FINAL") == [(0,)]
print(version)
"""


def test_todays_clickhouse_takes_the_tables_keeps_the_newest_state_and_deletes():
    if importlib.util.find_spec("chdb") is None:
        pytest.skip("needs chdb-core")
    done = subprocess.run(
        [sys.executable, "-c", _ASKED], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert tuple(map(int, done.stdout.split(".")[:2])) >= FIRST_WITH_CODECS
