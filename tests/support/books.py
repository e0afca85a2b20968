"""Ledgers that the page is looked at with: ten years, many names, none; made once for all tests and for the pictures."""

import importlib.util
import random
import sqlite3
import sys
from contextlib import closing
from itertools import pairwise
from pathlib import Path

from netusage.ledger import share_changes
from netusage.ledger.batch import Part
from netusage.ledger.reader import LedgerReader
from netusage.model import QUARTER_S, US, Counters, Who
from support.ledgers import Ledger, writing


def _make_ledger():
    """The benches' own, without their directory among those that are searched: it has modules named as parts of tests."""
    place = Path(__file__).parents[2] / "bench" / "make_ledger.py"
    spec = importlib.util.spec_from_file_location("make_ledger", place)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


make_ledger = _make_ledger()
DAY_S = 86_400
QUARTERS_FOR_DAYS = 14  # days of applications by quarters of an hour; before that they are known by days
SHARES_FOR_DAYS = 365
# name, path, user, unit, container, part of all bytes, part of the days on which it is there, family, first seen so many days ago
BUSY = (
    ("firefox", "/usr/lib/firefox/firefox", "eva", "", "", 31, 0.9, 4, 365),
    ("vlc", "/usr/bin/vlc", "tom", "", "", 22, 0.5, 4, 365),
    ("steam", "/usr/games/steam", "tom", "", "", 16, 0.4, 4, 300),
    ("backup.py", "/srv/backup/backup.py", "backup", "backup.service", "", 9, 1, 6, 365),
    ("rsync", "/usr/bin/rsync", "backup", "backup.service", "", 5, 1, 6, 365),
    ("nginx", "/usr/sbin/nginx", "www-data", "nginx.service", "", 4, 1, 4, 200),
    ("postgres", "/usr/lib/postgresql/17/bin/postgres", "postgres", "", "shop-db", 3, 1, 4, 150),
    ("thunderbird", "/usr/bin/thunderbird", "eva", "", "", 2, 0.8, 4, 365),
    ("apt", "/usr/lib/apt/methods/http", "_apt", "apt-daily.service", "", 2, 0.5, 6, 365),
    ("zoom", "/opt/zoom/zoom", "eva", "", "", 1.6, 0.3, 4, 90),
    ("ssh", "/usr/bin/ssh", "eva", "", "", 0.8, 0.7, 6, 365),
    ("python3", "/usr/bin/python3.13", "tom", "", "", 0.5, 0.5, 4, 365),
    ("syncthing", "/usr/bin/syncthing", "eva", "syncthing.service", "", 0.4, 0.2, 4, 2),
)
KERNEL = ("", "", "", "", "", 0.2, 1, 4, 365)
SCOPES = (3, 3, 3, 1, 1, 3, 1, 3, 3, 3, 1, 3, 1)
HOSTILE = (
    "<img src=x onerror=alert(1)>",
    "\x1b[31mred\x1b[0m",
    "\u202egpj.exe",
    "下载管理器",
    "a/b?c=d&e#f%20g",
    "n" * 200,
    "'; DROP TABLE share; --",
)


def years(path, now_s, *, count=10, interfaces=2, counted=2):
    """A ledger of many busy years; in the last of them, whose bytes they were."""
    make_ledger.make(str(path), years=count, interfaces=interfaces, counted=counted, until_s=now_s)
    with LedgerReader(str(path)) as reader:
        sealed_s = now_s // QUARTER_S * QUARTER_S
        quarters_s = (sealed_s - QUARTERS_FOR_DAYS * DAY_S) // DAY_S * DAY_S
        days = list(range(quarters_s - (SHARES_FOR_DAYS - QUARTERS_FOR_DAYS) * DAY_S, quarters_s + 1, DAY_S))
        edges = [*days[:-1], *range(quarters_s, sealed_s + 1, QUARTER_S)]
        usage = {number: reader.usage([[number]], edges)[0] for number in range(1, counted + 1)}
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("BEGIN")
        numbers = _applications(db, now_s)
        dice = random.Random(7)
        for n, (start_s, end_s) in enumerate(pairwise(edges)):
            chosen = _present(dice, start_s, now_s)
            for interface, rows in usage.items():
                db.executemany(
                    "INSERT INTO share VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    _split(dice, (start_s, interface, end_s - start_s), rows[n], chosen, numbers),
                )
        share_changes.give_all(db)
        db.execute(
            "UPDATE run SET tier = 'kernel' WHERE last_us > ?", ((now_s - SHARES_FOR_DAYS * DAY_S) * US,)
        )
        db.execute("COMMIT")


def _applications(db, now_s):
    numbers = []
    for name, path, user, unit, container, *_, ago in (*BUSY, KERNEL):
        kind = "application" if name else "kernel"
        seen = ((now_s - ago * DAY_S + 1234) * US, (now_s - 60) * US)
        row = (kind, name, path, user, unit, container, "", *seen)
        number = db.execute(f"INSERT INTO application VALUES (NULL, {', '.join('?' * 9)})", row).lastrowid
        numbers.append(number)
        if not name:
            continue
        versions = 3 if name == "firefox" else 1
        for n in range(versions):
            start_s = now_s - ago * DAY_S * (versions - n) // versions + 1234
            end_s = now_s - ago * DAY_S * (versions - n - 1) // versions - 60
            db.execute(
                "INSERT INTO application_version VALUES (?, 2049, ?, ?, ?)",
                (number, 4711 + n, start_s * US, end_s * US),
            )
    return numbers


def _present(dice, start_s, now_s):
    hour = start_s // 3600 % 24
    chosen = []
    for n, (*_, part, often, family, ago) in enumerate((*BUSY, KERNEL)):
        there = start_s > now_s - ago * DAY_S and dice.random() < often
        at_night = BUSY[n][2] == "backup" if n < len(BUSY) else False
        weight = part * (6 if at_night and hour in (2, 3) else 0.2 if at_night else 1)
        if there:
            chosen.append((n, weight * dice.lognormvariate(0, 0.5), family))
    return chosen


def _split(dice, where, usage, chosen, numbers):
    """Rows of one quarter or day of one interface: all its bytes but some hundredths."""
    start_s, interface, seconds = where
    whole = sum(weight for _, weight, _ in chosen) * dice.uniform(1.01, 1.06)
    if not whole:
        return
    for n, weight, family in chosen:
        scope = SCOPES[n] if n < len(SCOPES) else 1
        protocol = 17 if n < len(BUSY) and BUSY[n][0] in ("zoom", "syncthing") else 6 if n < len(BUSY) else 0
        part = weight / whole
        counters = [int(value * part) for value in usage[:4]]
        if n < len(BUSY) and BUSY[n][0] in ("backup.py", "rsync"):
            counters[0], counters[2] = counters[0] // 8, counters[2] // 8
        yield (start_s, interface, numbers[n], scope, protocol, family, *counters, seconds)


def many(path, now_s):
    """500 interfaces and 2,000 applications in one day, some of them with names that want to do harm."""
    start_s = (now_s - DAY_S) // QUARTER_S * QUARTER_S
    with writing(path, start_s) as ledger:
        ledger.tier = "kernel"
        epochs = [
            ledger.interface(f"veth{n:04x}", "veth", counted=False, reason="leads elsewhere")
            for n in range(499)
        ]
        eth0 = ledger.interface("eth0")
        names = [*HOSTILE, *(f"job-{n:04d}" for n in range(2000 - len(HOSTILE)))]
        for n, name in enumerate(names):
            who = Who("application", name, f"/srv/{n}/run", f"user{n % 40}", f"unit{n % 25}.service")
            ledger.share(
                Part(start_s, eth0, who, 3, 6, 4), Counters(10_000_000 - n * 4000, 1_000_000, 100, 50)
            )
        ledger.count(eth0, start_s, 13_000_000_000, 2_100_000_000, 300_000, 200_000)
        for n, epoch in enumerate(epochs):
            ledger.count(epoch, start_s + 60, 1000 + n, 100 + n, 3, 2)
        ledger.commit(start_s + QUARTER_S)
        ledger.gap(start_s + QUARTER_S, start_s + 3 * QUARTER_S, lossy=True, note="<b>pulled the plug</b>")
        ledger.commit(now_s)


def empty(path, now_s):
    """A ledger of a recorder that has just begun."""
    Ledger(path, now_s).close()
