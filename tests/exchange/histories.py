"""Ledgers whose exports have everything that rows can have."""

import sqlite3
from contextlib import closing

from support.ledgers import START_S, writing
from support.verify import assert_verify_agrees

from netusage.cli.failures import run
from netusage.ledger import share_changes
from netusage.ledger.batch import Part
from netusage.model import QUARTER_S, US, Counters, GapKind, Who

LARGEST = 2**63 - 1
HOSTILE = (
    'a"b,c',
    "line\nfeed",
    "car\rriage",
    "\x1b[31mred",
    "tab\tand ;",
    "下载",
    "'; DROP TABLE usage; --",
    "nul\0",
)
WEB = Who("application", "app.py", "/srv/app.py", "eva", "web.service")
BEGIN_S = START_S - 6 * 3600
END_S = START_S + 1200


def rich(path, *, full=True):
    """Seven hours: the first of them by quarters of an hour only, the last ones by minutes, the running quarter too."""
    with writing(path, BEGIN_S, minutes_kept_s=3 * 3600) as ledger:
        ledger.tier = "kernel"
        eth0 = ledger.interface("eth0")
        twin = ledger.interface(
            "eth0", "bridge", counted=False, reason="a bridge carries what its ports count"
        )
        largest = ledger.interface("full", counted=False)
        others = [ledger.interface(name, "veth", counted=False) for name in HOSTILE]
        for n, start_s in enumerate(range(BEGIN_S, START_S, QUARTER_S)):
            ledger.count(eth0, start_s + 60 * (n % 15), 1000 + n, 10 + n, 3, 2, peak_rx=500 + n, peak_tx=n)
            ledger.count(eth0, start_s + 60 * 14, 7, 0, 1, 0, peak_rx=1)
            if n % 3 == 0:
                ledger.count(twin, start_s, 5, 6, 7, 8)
            ledger.count(others[n % len(others)], start_s, n + 1, 0, 0, 0)
            for scope, who in enumerate((WEB, Who("kernel", "neighbours"), Who("other"), Who("unnamed"))):
                ledger.share(
                    Part(start_s, eth0, who, scope, (6, 17, 0, 200)[scope], (4, 6, 0, 4)[scope]),
                    Counters(n, 1, 2, 3),
                )
            ledger.commit(start_s + QUARTER_S)
        if full:
            ledger.count(largest, START_S, LARGEST, LARGEST - 5, LARGEST, 0, peak_rx=LARGEST)
        ledger.span(eth0, BEGIN_S * US + 123_456, BEGIN_S * US + 7_200_000_001, 1001, 77, 13, 0)
        ledger.span(
            eth0, BEGIN_S * US + 123_456, BEGIN_S * US + 7_200_000_001, 5, 0, 1, 0
        )  # of another life, alike
        ledger.span(
            eth0, BEGIN_S * US, START_S * US + 333_333, 999_999_999_999, 1, 1, 1, kind=GapKind.SUSPEND
        )
        ledger.span(twin, START_S * US - 1, START_S * US, 3, 3, 3, 3, kind=GapKind.REBOOT)
        ledger.count(eth0, START_S + 61, 11, 12, 13, 14, peak_rx=1, peak_tx=2)
        for n, kind in enumerate(GapKind):
            ledger.gap(
                BEGIN_S + n,
                BEGIN_S + 60 * n + n,
                kind,
                lossy=n % 2 == 0,
                interface="eth0" if n % 3 else "",
                note=f'note {n},\n"x"',
            )
        for _ in range(2):  # of two kinds of one name
            ledger.gap(BEGIN_S, BEGIN_S, GapKind.VANISHED, lossy=True, interface="eth0")
        ledger.commit(END_S)
    with closing(sqlite3.connect(path, isolation_level=None)) as db:  # a day, as folding leaves it
        db.execute(
            "UPDATE share SET start_s = ?, seconds = 86400 WHERE start_s = ?",
            (BEGIN_S // 86_400 * 86_400, BEGIN_S),
        )
        share_changes.give_all(db)
    assert_verify_agrees(path)


def exported(db, *arguments):
    """What `netusage export` writes into a file."""
    file = db.with_name(f"{db.stem}.out")
    assert run(["export", *arguments, "--db", str(db), "-o", str(file)]) == 0
    return file.read_bytes()


def imported(db, *files):
    """A ledger out of files."""
    assert run(["import", *map(str, files), "--db", str(db)]) == 0
    assert_verify_agrees(db)
