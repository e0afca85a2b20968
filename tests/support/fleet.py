"""A ledger and its copy in a fleet's store, added up apart from one another; and a network that fails."""

import contextlib
import gzip
import http.client
import random
import socketserver
import sqlite3
import threading
import urllib.parse
from collections import Counter
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler
from pathlib import Path

from netusage.fleet import schema
from netusage.model import QUARTER_S, SCOPE_AT_HOME, US, Counters
from support import book

_COUNTERS = Counters._fields
FAULTS = ("dropped", "lost", "twice", "cut", "late", "refused")
_SUMS = ", ".join(f"sum({name})" for name in _COUNTERS)


def of_ledger(path):
    """What a ledger has: sums of quarters and estimated stretches by interface, of shares by quarter, rows of gaps.

    Only what is sealed: the minutes after that are delivered later.
    """
    found = Counter()
    names = {row["id"]: (row["name"], row["kind"]) for row in book.rows(path, "SELECT * FROM interface")}
    for quarter in book.quarters(path):
        for name in _COUNTERS:
            found["usage", *names[quarter["interface_id"]], quarter["start_s"], name] += quarter[name]
    for row in book.rows(path, "SELECT * FROM span"):
        for name in _COUNTERS:
            found["span", *names[row["interface_id"]], row["id"], name] += row[name]
    sealed = "start_s < (SELECT sealed_until_s FROM ledger)"
    for row in book.rows(
        path, f"SELECT interface_id, scope, {_SUMS} FROM share WHERE {sealed} GROUP BY 1, 2"
    ):
        for name, number in zip(_COUNTERS, row[2:], strict=True):
            found["share", *names[row[0]], row[1], name] += number
    for row in book.rows(path, "SELECT * FROM gap"):
        found["gap", *tuple(row)] += 1
    for row in book.rows(path, "SELECT * FROM interface"):
        for name in _COUNTERS:
            found["interface", row["name"], row["kind"], name] += row[name]
    return {key: number for key, number in found.items() if number}


def of_fleet(store, ledger_identity=None):
    """The same of all that the store has, whoever delivered it, or of one ledger."""
    found = Counter()

    def ask(table, columns):
        where = f"WHERE ledger = '{ledger_identity}'" if ledger_identity else ""
        return store.query(f"SELECT {columns} FROM {store.table(table)} FINAL {where}")

    counters = ", ".join(_COUNTERS)
    for kind, columns in (
        ("usage", "interface, kind, toUInt32(start)"),
        ("span", "interface, kind, number"),
        ("share", "interface, kind, scope"),
        ("interface", "name, kind"),
    ):
        for row in ask(kind, f"{columns}, {counters}"):
            for name, number in zip(_COUNTERS, row[-4:], strict=True):
                found[kind, *row[:-4], name] += number
    for row in ask("gap", "number, start_us, end_us, kind, lossy, interface, note"):
        if row[3]:
            found["gap", *row] += 1
    return {key: number for key, number in found.items() if number}


def values_of(store, table):
    """A table in FROM, the newest rows of each key, with a row for each value of its lists."""
    return table.unfolded(store.table(table.name), table.names)


def days_and_months(store, ledger_identity):
    """What the store's quarters add up to by UTC day and month, and what it says of those: two Counters, by all keys.

    The peaks are with them.
    """

    def rows_of(table):
        columns = ", ".join(
            f"toUInt32({column.name})" if column.type == "DateTime" else column.name
            for column in table.columns
        )
        sql = f"SELECT {columns} FROM {values_of(store, table)} WHERE ledger = '{ledger_identity}'"
        return [dict(zip(table.names, row, strict=True)) for row in store.query(sql)]

    def add(into, name, table, row, start):
        key = (name, start, *(row[column] for column in table.key if column != "start"))
        for counter in _COUNTERS:
            into[*key, counter] += row[counter]
        for highest in {"peak_rx", "peak_tx"} & row.keys():
            into[*key, highest] = max(into[*key, highest], row[highest])

    made, told = Counter(), Counter()
    for table, day, month in (
        (schema.USAGE, schema.USAGE_DAY, schema.USAGE_MONTH),
        (schema.SHARE, schema.SHARE_DAY, schema.SHARE_MONTH),
    ):
        for row in rows_of(table):
            start = datetime.fromtimestamp(row["start"], UTC).replace(hour=0, minute=0)
            add(made, day.name, table, row, int(start.timestamp()))
            add(made, month.name, table, row, int(start.replace(day=1).timestamp()))
        for sums in (day, month):
            for row in rows_of(sums):
                add(told, sums.name, table, row, row["start"])
    return +made, +told


def assert_days_and_months(store, ledger_identity):
    """Days and months are the sums of the quarters that the store has, by the very same keys."""
    made, told = days_and_months(store, ledger_identity)
    different = {key: (made[key], told[key]) for key in made.keys() | told.keys() if made[key] != told[key]}
    assert not different, sorted(different.items(), key=str)[:20]
    assert made
    sql = f"SELECT sums FROM {store.table('host')} FINAL WHERE ledger = '{ledger_identity}'"
    assert store.query(sql) == [(1,)]


def identity_of(path):
    """The identity of a ledger."""
    return book.rows(path, "SELECT identity FROM ledger")[0][0]


def assert_extent(store, ledger_identity):
    """The host says from when to when it has anything."""
    own = f"FINAL WHERE ledger = '{ledger_identity}'"
    counted = " OR ".join(f"{name} > 0" for name in _COUNTERS)
    reach = f"toInt64(toUInt32(start)) AS low, low + {QUARTER_S} AS high"
    stretch = f"intDiv(start_us, {QUARTER_S * US}) * {QUARTER_S} AS low, intDiv(end_us + {QUARTER_S * US - 1}, {QUARTER_S * US}) * {QUARTER_S} AS high"
    sql = (
        f"SELECT if(count() > 0, min(low), -1), if(count() > 0, max(high), -1) FROM (SELECT {reach} FROM {store.table('usage')} {own} AND ({counted}) "
        f"UNION ALL SELECT {stretch} FROM {store.table('span')} {own} AND because != '')"
    )
    assert store.query(f"SELECT from_s, until_s FROM {store.table('host')} {own}") == store.query(sql)


def assert_the_same(store, *paths):
    """Everything in the store is what the ledgers have, with a difference of 0; each has its part of it.

    And its days and months are the sums of its quarters, and its host says from when to when it has anything.
    """
    for path in paths:
        mine, theirs = of_ledger(path), of_fleet(store, identity_of(path))
        if any(key[0] == "share" and key[3] == SCOPE_AT_HOME for key in theirs):
            mine = _without_scopes(mine)
        different = {
            key: (mine.get(key, 0), theirs.get(key, 0))
            for key in mine.keys() | theirs.keys()
            if mine.get(key, 0) != theirs.get(key, 0)
        }
        assert not different, sorted(different.items(), key=str)[:20]
        assert mine
        assert_days_and_months(store, identity_of(path))
        assert_extent(store, identity_of(path))


def _without_scopes(mine):
    """What a ledger has, as a host tells it that keeps scopes at home."""
    found = Counter()
    for key, number in mine.items():
        found[(*key[:3], SCOPE_AT_HOME, *key[4:]) if key[0] == "share" else key] += number
    return found


def copy_of(path, target):
    """A consistent copy of a ledger, as a backup is one."""
    with (
        contextlib.closing(sqlite3.connect(path)) as source,
        contextlib.closing(sqlite3.connect(target)) as to,
    ):
        source.backup(to)
    return target


def put_back(backup, path):
    """Put a copy in the place of a ledger."""
    for end in ("-wal", "-shm"):
        Path(f"{path}{end}").unlink(missing_ok=True)
    Path(path).write_bytes(Path(backup).read_bytes())


class FaultyProxy:
    """Stands before a store and fails now and then; a context manager.

    Requests are dropped, replies lost, requests brought twice, bodies cut, and old requests brought late once more.

    Attributes:
        url: of the proxy.
        fails: how often, from 0 to 1.
        happened: how often each fault was.
    """

    def __init__(self, url, seed=1, fails=0.5):
        self.fails = fails
        self.happened = Counter()
        self._target = urllib.parse.urlsplit(url)
        self._dice = random.Random(seed)
        self._next, self._old = [], []
        self._lock = threading.Lock()
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                proxy._handle(self, body)

            def log_message(self, *_):
                pass

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True
            allow_reuse_address = True

        self._server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _handle(self, handler, body):
        with self._lock:
            fault = ""
            if self._dice.random() < self.fails:
                self._next = self._next or self._dice.sample(FAULTS, len(FAULTS))
                fault = self._next.pop()
            late = self._dice.choice(self._old) if fault == "late" and self._old else None
            is_insert = "INSERT" in urllib.parse.unquote_plus(handler.path)
            headers = {
                name: value
                for name, value in handler.headers.items()
                if name in ("Authorization", "Content-Type", "Content-Encoding")
            }
            if is_insert:
                self._old.append((handler.path, body, headers))
                self._old = self._old[-20:]
            self.happened[fault] += 1
        if fault == "dropped":
            handler.close_connection = True
            return
        if fault == "refused":
            self._answer(handler, 503, b"busy")
            return
        if fault == "cut" and is_insert:
            # as by a middlebox that ends the body early and tells the server that this was all of it
            whole = gzip.decompress(body) if headers.get("Content-Encoding") == "gzip" else body
            self._bring(handler.path, gzip.compress(whole[: len(whole) * 2 // 3]), headers)
            handler.close_connection = True
            return
        if fault == "twice":
            self._bring(handler.path, body, headers)
        status, answer = self._bring(handler.path, body, headers)
        if late is not None:
            self._bring(*late)
        if fault == "lost":
            handler.close_connection = True
            return
        self._answer(handler, status, answer)

    def _answer(self, handler, status, answer):
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(answer)))
        handler.end_headers()
        handler.wfile.write(answer)

    def _bring(self, path, body, headers):
        connection = http.client.HTTPConnection(self._target.hostname, self._target.port, timeout=20)
        with contextlib.closing(connection):
            try:
                connection.request("POST", path, body, headers)
                answer = connection.getresponse()
                return answer.status, answer.read()
            except OSError:
                return 502, b"no server"
