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
from netusage.fleet import check, rollups, schema, wire

server = session.Session()
LARGEST, HOSTILE = (1 << 63) - 1, "a\tb\nc\\d'e\0f\rg\u0085h\u2028\\N \u00fc\b\f"


class Store:
    address = type("address", (), {"database": "netusage", "url": "here"})

    def table(self, name):
        return f"`netusage`.`{name}`"

    def query(self, sql):
        return list(wire.decode(server.query(sql, "TabSeparatedWithNamesAndTypes").bytes().decode()))

    def columns(self, sql):
        return wire.columns(server.query(sql, "TabSeparatedWithNamesAndTypes").bytes().decode())

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
host = ("h", "l", HOSTILE, "m", "1", ("site=berlin", HOSTILE, "a','b"), -1, LARGEST, -5, 0, "kernel", 1, -1, LARGEST, 7)
store.insert(schema.HOST, host)
assert store.query("SELECT * FROM netusage.host FINAL") == [host]
store.insert(schema.SPAN, ("h", "l", "eth0", "", 1, -5, 1, 7, 8, 9, 10, "stopped", 3))
own = "host = 'h' AND ledger = 'l'"
found = check._sums(store, own, check._months(store, own), [(1764540000 - 86400, 1764540000 + 3600)])
assert {part: sums[:-1] for part, sums in found.items()} == {
    ("usage", HOSTILE, "k", 202511): (1, *[LARGEST] * 4),
    ("span", "eth0", "", 197001): (1, 7, 8, 9, 10),
}, found
share = ("h", "l", 1764540000, 900, "eth0", "", "application", HOSTILE, *[""] * 5, 3, 6, 4, 1 << 40, 1, 0, 0, 5)
store.insert(schema.SHARE, share)
store.insert(schema.SHARE, (*share[:2], 1764540900, *share[3:-5], 7, *share[-4:]))
key = rollups.key_of(share)
told = list(rollups.Shares(store, own, 4).rows({1764460800: {key}}, {}.get))
assert told == [
    (table, (*key[:2], start_s, *((word,) for word in key[2:]), ((1 << 40) + 7,), (2,), (0,), (0,)))
    for table, start_s in ((schema.SHARE_DAY, 1764460800), (schema.SHARE_MONTH, 1761955200))
], told
for table, row in told:
    store.insert(table, ("h", "l", *row, 5))
columns = ", ".join("toUInt32(start)" if name == "start" else name for name in schema.SHARE_DAY.names)
assert store.query(f"SELECT {columns} FROM netusage.share_day FINAL") == [("h", "l", *told[0][1], 5)]
store.insert(schema.USAGE_DAY, (*new[:4], 1764460800, *new[5:]))
days = check._days_and_months(store, own, check._months(store, own))
assert {part.what: same for part, (_, _, same) in days.items()} == {
    "usage_day": True, "usage_month": False, "share_day": True, "share_month": True
}, days
for table in schema.TABLES:
    server.query(f"ALTER TABLE {store.table(table.name)} DELETE WHERE host = 'h'")
while store.query("SELECT 1 FROM system.mutations WHERE is_done = 0"):
    pass
assert store.query("SELECT count() FROM netusage.usage FINAL") == [(0,)]

from netusage.fleet import levels, members
from netusage.fleet.reader import FleetReader
from netusage.ledger.answers import Peak, Usage
from netusage.model import US, Counters, Who

START_S, MONTH_S, NEXT_S, HALF = 1773100800, 1772323200, 1775001600, LARGEST // 2
TABLES = {
    "usage": (schema.USAGE, schema.USAGE_DAY, schema.USAGE_MONTH),
    "share": (schema.SHARE, schema.SHARE_DAY, schema.SHARE_MONTH),
}


def insert(table, **values):
    empty = {"String": "", "Array(String)": ""}
    values = {"ledger": "l", "seq": 1, **values}
    row = [values.get(column.name, empty.get(column.type, 0)) for column in table.columns]
    store.insert(table, tuple((one,) if name in table.lists else one for name, one in zip(table.names, row)))


for key, name in (("k1", "one"), ("k2", "two"), ("k3", "three")):
    insert(schema.HOST, host=key, name=name, sums=1, labels=("site=berlin",), seen_us=1, tier="kernel")
    for interface, counted in (("eth0", 1), (HOSTILE, 0)):
        own = {"host": key, "interface": interface}
        insert(schema.INTERFACE, host=key, name=interface, counted=counted, first_seen_us=1, last_seen_us=2)
        for start in (MONTH_S, START_S):
            levels_of = (start, start // 86400 * 86400, MONTH_S)
            rows = 1 if start == MONTH_S else 2  # the month has both
            for table, at_s, times in zip(TABLES["usage"], levels_of, (1, 1, rows)):
                insert(table, **own, start=at_s, rx_bytes=HALF * times, tx_bytes=times, peak_rx=7, seq=rows)
            for table, at_s, times in zip(TABLES["share"], levels_of, (1, 1, rows)):
                who = {"who_kind": "application", "application": HOSTILE, "scope": 3, "seconds": 900}
                insert(table, **own, **who, start=at_s, rx_bytes=times, seq=rows)
    insert(schema.SPAN, host=key, interface="eth0", start_us=START_S * US, end_us=NEXT_S * US + 1, rx_bytes=3, because="x")
    insert(schema.GAP, host=key, start_us=5, end_us=6, kind="stopped")
for limits in ({}, {"_MOST_PAIRS": 0, "_MOST_MEMBERS": 0}):
    for name, number in limits.items():
        setattr(members, name, number)
    for hosts, count in (((), 3), (("two",), 1)):
        reader = FleetReader(store, hosts, ("site=*",) if hosts else ())
        ids = [one.id for one in reader.interfaces() if one.counted]
        assert len(ids) == count and len(reader.interfaces()) == 2 * count
        assert reader.extent() == (MONTH_S, NEXT_S + 900), reader.extent()
        whole = Usage(count * (2 * HALF + 2), count * 2, 0, 0, count * 2, 0)
        for groups in ([ids], [[number] for number in ids]):
            ((usage, last), *_) = reader.usage(groups, [MONTH_S, NEXT_S, NEXT_S + 900])
            assert usage == Usage(*(number // len(groups) for number in whole)), usage
            uneven = [MONTH_S, MONTH_S + 900, START_S, START_S + 900, NEXT_S, NEXT_S + 900]
            assert sum(one.total_bytes for own in reader.usage(groups, uneven) for one in own) == (
                count * (2 * HALF + 5)
            )
            ((pair, _), *_) = reader.peaks(groups, [MONTH_S, NEXT_S, NEXT_S + 900])
            assert pair.rx == Peak(7, MONTH_S, 900, ids[0]), pair
            shares = reader.shares_by_period(groups, [MONTH_S, NEXT_S], ["kind", "name", "scope"])
            assert [(one.who, one.scope, one.counters) for one in shares[0][0]] == [
                (Who("application", HOSTILE), 3, Counters(2 * count // len(groups)))
            ], shares
        assert len(list(reader.share_rows(0))) == 4 * count
        assert [one.who for one in reader.seen()] == [Who("application", HOSTILE)]
        assert len(reader.spans(0, 1 << 60)) == len(reader.gaps(0, 10)) == len(reader.estimated()) == count
        assert reader.slots([ids], START_S, START_S + 900, 900)[0][0][0] >= count * HALF
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
