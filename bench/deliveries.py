"""What deliveries to a fleet cost: rows a second that go in, hourly deliveries of many hosts, and the host's own time."""

import gzip
import http.client
import itertools
import os
import random
import statistics
import subprocess
import sys
import threading
import time
import urllib.parse
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import clickhouse
import lab
from fleet_rows import DAY_S, DAYS, FROM_S, INTERFACES

BATCH_ROWS = 20_000  # as a delivery has at the most
SENDERS = 4
MOST_A_SECOND = 100
OF_A_DAY, OF_A_MONTH = 47, 84  # how many had anything then, as in the generated fleet
_CLOCK = time.perf_counter
_Request = tuple[str, bytes]  # a statement, and the compressed text below it or b""


# ---- Rows a second -------------------------------------------------------------------------------------------------


def batch_of(seed: int) -> list[tuple]:
    """Rows of `usage` as a host that was away for long brings them: as many as a delivery has at once."""
    dice = random.Random(seed)
    own = (f"{dice.getrandbits(64):016x}", f"{dice.getrandbits(128):032x}", "eth0", "")
    found = []
    for n in range(BATCH_ROWS):
        rx = int(dice.lognormvariate(14, 1))
        tx = int(rx * dice.random())
        rest = (rx // 700 + 1, tx // 300 + 1, rx // 200, tx // 200, n)
        found.append((*own, FROM_S + n * 900, rx, tx, *rest))
    return found


def inserts(engine: clickhouse.Server | clickhouse.Within, many: int) -> dict[str, float]:
    """Rows a second: by `Store.insert`, which makes the text here, and of texts that are ready."""
    from netusage.fleet.schema import USAGE
    from netusage.fleet.wire import encode

    with engine.store("inserted") as store:
        clickhouse.make_tables(store)
        number = max(many // BATCH_ROWS, 1)
        took = 0.0
        for seed in range(number):
            batch = batch_of(seed)
            begun = _CLOCK()
            store.insert(USAGE, batch)
            took += _CLOCK() - begun
        sql = _insertion(store, USAGE)
        texts = [encode(USAGE, batch_of(seed)) for seed in range(number, 2 * number)]
        if isinstance(engine, clickhouse.Server):
            bodies = [gzip.compress(text, 3) for text in texts]
            begun = _CLOCK()
            _send(engine.port, [[(sql, body)] for body in bodies], 2)
        else:
            begun = _CLOCK()
            for text in texts:
                store.execute(f"{sql}\n{text.decode()}")
        ready = _CLOCK() - begun
        ((there,),) = store.query(f"SELECT toUInt64(count()) FROM {store.table(USAGE.name)} FINAL")
        store.execute("DROP DATABASE inserted")
    rows = number * BATCH_ROWS
    if there != 2 * rows:
        raise lab.BenchError(f"{there} rows arrived instead of {2 * rows}")
    return {"Store.insert": rows / took, "ready": rows / ready}


def _insertion(store, table) -> str:
    names = ", ".join(f"`{name}`" for name in table.names)
    return f"INSERT INTO {store.table(table.name)} ({names}) FORMAT TabSeparated"


def _send(port: int, requests: Iterable[list[_Request]], senders: int, until: float = 0) -> int:
    """Send lists of (statement, body) by some connections at once, each list in order; how many lists were sent."""
    waiting = iter(requests)
    lock, sent, failed = threading.Lock(), [0], []

    def sender() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
        while not failed and (not until or _CLOCK() < until):
            with lock:
                some = next(waiting, None)
            if some is None:
                break
            for sql, body in some:
                where = f"/?query={urllib.parse.quote(sql)}&insert_deduplicate=0"
                headers = {"Content-Encoding": "gzip"} if body else {}
                connection.request("POST", where, body, headers)
                answer = connection.getresponse()
                said = answer.read()
                if answer.status != 200:
                    failed.append(said[:200])
                    return
            with lock:
                sent[0] += 1
        connection.close()

    threads = [threading.Thread(target=sender) for _ in range(senders)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise lab.BenchError(f"ClickHouse: {failed[0]!r}")
    return sent[0]


# ---- Hourly deliveries ------------------------------------------------------------------------------------------


def hourly(store, hosts: int) -> Iterator[list[_Request]]:
    """What each host sends and asks in an hour: four quarters, twelve rows of applications, days and months, itself."""
    from netusage.fleet import schema
    from netusage.fleet.wire import encode

    def insertion(table, some: list[tuple]) -> _Request:
        return _insertion(store, table), gzip.compress(encode(table, some), 3)

    known = store.query(f"SELECT host, ledger FROM {store.table('host')} FINAL LIMIT {hosts}")
    days = schema.SHARE_DAY.unfolded(store.table("share_day"), ("application", "rx_bytes"))
    day_s = FROM_S + DAYS * DAY_S
    month_s = day_s - 30 * DAY_S
    for hour in itertools.count():
        seq = 1_000_000 + hour
        counters = (5_000_000 + hour, 900_000, 5_000, 3_000)
        starts = [day_s + hour * 3600 + n * 900 for n in range(4)]
        for key, ledger in known:
            own = (key, ledger)
            usage = ("eth0", "")
            where = f"host = '{key}' AND ledger = '{ledger}'"
            known_of = (
                f"SELECT max(cursor), max(sums), max(until_s) FROM {store.table('host')} FINAL WHERE {where}"
            )
            days_of = (
                f"SELECT application, sum(rx_bytes) FROM {days} WHERE {where} AND "
                f"start >= toDateTime({month_s}) AND start < toDateTime({day_s}) GROUP BY application"
            )

            def counted(some: Iterable[int], own=own, usage=usage) -> list[tuple]:
                return [(*own, *usage, start_s, *counters, 9, 9, seq) for start_s in some]  # noqa: B023

            def shares(some: Iterable[int], own=own, usage=usage) -> list[tuple]:
                return [
                    (*own, start_s, 900, *usage, "application", *_who(n), 3, 6, 4, *counters, seq)  # noqa: B023
                    for start_s in some
                    for n in range(3)
                ]

            def sums(start_s: int, many: int, own=own, usage=usage) -> list[tuple]:
                each = [("application", *_who(n), 3, 6, 4, *counters) for n in range(many)]  # noqa: B023
                return [(*own, *usage, start_s, *zip(*each, strict=True), seq)]  # noqa: B023

            seen = (1, 2, *counters, 1, 1, seq)
            yield [
                (known_of, b""),
                insertion(schema.USAGE, counted(starts)),
                insertion(schema.SHARE, shares(starts)),
                insertion(schema.USAGE_DAY, counted([day_s])),
                insertion(schema.USAGE_MONTH, counted([month_s])),
                (days_of, b""),
                insertion(schema.SHARE_DAY, sums(day_s, OF_A_DAY)),
                insertion(schema.SHARE_MONTH, sums(month_s, OF_A_MONTH)),
                insertion(schema.INTERFACE, [(*own, one[0], "", *one[1:], *seen) for one in INTERFACES]),
                insertion(
                    schema.HOST,
                    [(*own, key, "Linux", "0", ("site=1",), 1, seq, 1, 1, "kernel", 1, 1, 2, seq)],
                ),
            ]


def _who(n: int) -> tuple[str, ...]:
    return (f"program-{n}", f"/usr/bin/program-{n}", "eva", "", "", "")


def deliveries(engine: clickhouse.Server, store, hosts: int, seconds: float) -> dict[str, float]:
    """Hourly deliveries a second that a server takes, its CPU time for one, and parts of its tables at the end."""
    waiting = hourly(store, hosts)
    ready = [next(waiting) for _ in range(int(MOST_A_SECOND * seconds))]
    before, begun = engine.cpu_s(), _CLOCK()
    done = _send(engine.port, ready, SENDERS, until=begun + seconds)
    took = _CLOCK() - begun
    cpu_s = engine.cpu_s() - before
    sql = f"SELECT toUInt64(count()) FROM system.parts WHERE database = '{store.address.database}' AND active"
    ((parts,),) = store.query(sql)
    return {
        "a second": done / took,
        "cpu_ms": cpu_s / done * 1e3,
        "parts": parts,
        "requests": len(ready[0]),
        "seconds": took,
    }


# ---- What it costs the host -------------------------------------------------------------------------------------


def shipping(engine: clickhouse.Server, directory: Path, *, quick: bool) -> dict[str, float]:
    """CPU time of `netusage ship --once`, the whole process, each hour; on a ledger of a year."""
    ledger, configuration = directory / "ship.db", directory / "ship.toml"
    until_s = int(time.time()) // 3600 * 3600 - DAY_S
    size = ["--years", "0.003", "--interfaces", "2"] if quick else ["--years", "1"]
    make = [sys.executable, str(lab.BENCH / "make_ledger.py"), str(ledger), "--until", str(until_s)]
    lab.quietly(*make, "--applications", "200", *size)
    configuration.write_text(
        f'[fleet]\nurl = "{engine.url}"\nuser = "default"\ndatabase = "shipped"\ntimeout = "600s"\n'
    )
    command = [*lab.netusage(), "ship", "--once", "--config", str(configuration), "--db", str(ledger)]
    with engine.store("shipped") as store:
        clickhouse.make_tables(store)
        first = _run(command)
        sql = "SELECT toUInt64(sum(rows)) FROM system.parts WHERE database = 'shipped' AND active"
        ((rows,),) = store.query(sql)
        hours = []
        for hour in range(1 if quick else 12):
            count_an_hour(str(ledger), until_s + hour * 3600)
            hours.append(_run(command))
        idle = _run(command)
        store.execute("DROP DATABASE shipped")
    return {
        "cpu_s": statistics.median(one.cpu_s for one in hours),
        "most_s": max(one.cpu_s for one in hours),
        "wall_s": statistics.median(one.wall_s for one in hours),
        "memory_mib": max(one.memory_mib for one in hours),
        "idle_s": idle.cpu_s,
        "first_cpu_s": first.cpu_s,
        "first_wall_s": first.wall_s,
        "first_memory_mib": first.memory_mib,
        "first_rows": rows,
        "megabytes": ledger.stat().st_size / 1e6,
    }


class Spent(NamedTuple):
    """What a process and its children took: user and system time, time, and memory at the most."""

    cpu_s: float
    wall_s: float
    memory_mib: float


def _run(command: list[str]) -> Spent:
    begun = _CLOCK()
    process = subprocess.Popen(
        command, env=lab.environment(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    with process.stderr:
        said = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise lab.BenchError(f"netusage ship ended with {process.returncode}: {said.strip()}")
    return Spent(usage.ru_utime + usage.ru_stime, _CLOCK() - begun, usage.ru_maxrss / 1024)


def count_an_hour(path: str, start_s: int) -> None:
    """Record an hour more as a recorder does: six interfaces, forty rows of applications a quarter."""
    from netusage.ledger.batch import Batch, Entry, Epoch
    from netusage.ledger.batch import Part as Share
    from netusage.ledger.writer import LedgerWriter
    from netusage.model import MINUTE_S, NS, US, ZERO, Counters, Instant, Link, Place, Who

    place = Place(f"hour-{start_s}", 1, "bench")
    writer = LedgerWriter(
        path,
        place,
        boot_us=(start_s - 60) * US,
        now_us=start_s * US,
        source="netlink",
        minutes_kept_s=35 * DAY_S,
    )
    names = [
        ("eth0", ""),
        ("eth1", ""),
        ("wlan0", ""),
        ("wwan0", ""),
        ("lo", "loopback"),
        ("docker0", "bridge"),
    ]
    epochs = [
        Epoch(place, Link(n, name, kind), start_s * US, "boot", ZERO, ZERO, not kind, "hardware")
        for n, (name, kind) in enumerate(names, 1)
    ]
    for at_s in range(start_s, start_s + 3600, 5 * MINUTE_S):
        now_s = at_s + 5 * MINUTE_S
        batch = Batch(Instant((now_s - start_s + 60) * NS, 0, now_s * US), [(start_s * US, now_s * US)])
        batch.epochs, batch.tier = epochs, "kernel"
        for minute_s in range(at_s, now_s, MINUTE_S):
            for epoch in epochs:
                counters = Counters(600_000, 80_000, 900, 700)
                batch.entries[minute_s, epoch] = Entry(counters, 20_000, 3_000)
                epoch.last = epoch.last.plus(counters)
        for n in range(1, 41):
            name = f"program-{n:03d}"
            who = Who("application", name, f"/usr/bin/{name}", ("eva", "adam", "root")[n % 3])
            batch.shares[Share(at_s // 900 * 900, epochs[0], who, 3, 6, 4)] = Counters(20_000, 4_000, 30, 20)
        writer.commit(batch)
    writer.close()
