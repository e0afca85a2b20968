"""Make a ledger of many busy years: consistent in every part, so that `netusage verify` passes.

Usage: python bench/make_ledger.py FILE [--years 10] [--interfaces 8] [--counted 4] [--until SECONDS] [--flat] [--applications 0]

Every interface is busy in every quarter of an hour; as on most machines, half of them (a bridge, a tunnel, loopback
...) carry what others count and are no part of the machine's total. Days differ as they do in life (a quiet night, weekends, some
days three times the usual); with --flat all days are alike, which is the hardest case for `report top`. The machine
reboots every 90 days and loses a few seconds there; the recorder restarts every week for five minutes, whose bytes
are an estimated stretch. The last 35 days have minutes as well. Rows arrive in the order in which a recorder
writes them, so the file is as large as a recorder's would be.
"""

import argparse
import math
import random
import sqlite3
import sys
import time
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))

from netusage.ledger import fives, machine_chunks, schema, share_changes
from netusage.ledger.chunks import DAY_S, LONGEST_S, Chunk
from netusage.model import MINUTE_S, QUARTER_S, US

MINUTES_KEPT_S = 35 * DAY_S
QUARTERS_KEPT_S = 400 * DAY_S
BOOT_S = 90 * DAY_S
RESTART_S = 7 * DAY_S
PAUSE_S = 300
BASE = 40_000_000
COUNTED = ("eth0", "eth1", "wlan0", "wwan0")
NOT_COUNTED = (
    ("lo", "loopback", "loopback never leaves the machine"),
    ("docker0", "bridge", "a bridge carries what its ports count"),
    ("wg0", "wireguard", "a tunnel is carried by another interface"),
    ("br0", "bridge", "a bridge carries what its ports count"),
)
HOURS = [
    0.3 + 0.9 * math.exp(-(((hour - 20) % 24 - 24 * ((hour - 20) % 24 > 12)) ** 2) / 30) for hour in range(24)
]


class Book:
    """The rows of the ledger as they come, and what they add up to."""

    def __init__(self, interfaces: int, flat: bool, seed: int = 1) -> None:
        self.ids = range(1, interfaces + 1)
        self.random = random.Random(seed)
        self.flat = flat
        self.change = 0
        self.totals = [[0, 0, 0, 0] for _ in self.ids]  # spans included
        self.boot = [[0, 0, 0, 0] for _ in self.ids]  # since the last boot
        self.days: list[Chunk | None] = [None for _ in self.ids]  # the running day
        self.weeks: list[Chunk | None] = [None for _ in self.ids]  # the days before it, up to four weeks
        self.minutes: list[tuple] = []
        self.spans: list[tuple] = []

    def day_factors(self, day: int) -> list[float]:
        if self.flat:
            return [1.0 for _ in self.ids]
        weekend = 1.4 if day % 7 in (2, 3) else 1.0
        return [weekend * self.random.lognormvariate(0, 0.4) for _ in self.ids]

    def quarter(self, start_s: int, factors: list[float], minutes_from_s: int) -> None:
        """One busy quarter of an hour of every interface."""
        shape = BASE if self.flat else BASE * HOURS[start_s // 3600 % 24]
        rand = self.random.random
        for index, factor in enumerate(factors):
            rx = int(shape * factor * (0.5 + rand()))
            tx = int(rx * 0.2 * rand())
            row = (rx, tx, rx // 900 + 1, tx // 700 + 1)
            for into in (self.totals[index], self.boot[index]):
                into[0] += rx
                into[1] += tx
                into[2] += row[2]
                into[3] += row[3]
            self.change += 1
            peaks = (rx // 225, tx // 180)
            chunk = self.days[index]
            if chunk is None:
                before = self.weeks[index].after if self.weeks[index] else (0, 0, 0, 0)
                chunk = self.days[index] = Chunk(index + 1, start_s, before)
            chunk.append((start_s, *row, *peaks))
            chunk.change = self.change
            if start_s >= minutes_from_s:
                self._split(index + 1, start_s, row, peaks)

    def _split(self, interface: int, start_s: int, row: tuple, peaks: tuple) -> None:
        for n in range(15):
            part = [value * (n + 1) // 15 - value * n // 15 for value in row]
            peak = peaks if n == 7 else [value // 2 for value in peaks]
            self.minutes.append((start_s + n * MINUTE_S, interface, *part, *peak))

    def minute(self, start_s: int) -> None:
        """One minute of the quarter that is not over."""
        for i in self.ids:
            row = (600_000 + i, 80_000, 900, 700)
            self.minutes.append((start_s, i, *row, 20_000, 3_000))
            self._count(row, self.totals[i - 1], self.boot[i - 1])

    @staticmethod
    def _count(row: tuple, *sums: list) -> None:
        for into in sums:
            for n in range(4):
                into[n] += row[n]

    def end_day(self, db: sqlite3.Connection) -> None:
        """The days that are over join those before them."""
        for index, day in enumerate(self.days):
            if day is None:
                continue
            day.save(db)
            weeks = self.weeks[index]
            if weeks is not None and weeks.start_s // LONGEST_S == day.start_s // LONGEST_S:
                weeks.join(day)
                db.execute(
                    "DELETE FROM chunk WHERE interface_id = ? AND start_s = ?", (index + 1, day.start_s)
                )
            else:
                weeks = self.weeks[index] = day
                weeks.id = db.execute("SELECT last_insert_rowid()").fetchone()[0]
            if day.end_s % LONGEST_S == 0:
                weeks.save(db)
            self.days[index] = None

    def finish(self, db: sqlite3.Connection) -> None:
        """The running day, and what it is to join."""
        for chunk in (*self.weeks, *self.days):
            if chunk is not None:
                chunk.save(db)

    def span(self, start_s: int, end_s: int) -> None:
        """What was counted while no recorder was running."""
        for index, i in enumerate(self.ids):
            rx = self.random.randrange(1_000_000, 20_000_000)
            row = (rx, rx // 7, rx // 900 + 1, rx // 5000 + 1)
            self._count(row, self.totals[index], self.boot[index])
            self.change += 1
            self.spans.append((i, start_s * US, end_s * US, *row, "stopped", self.change))

    def flush(self, db: sqlite3.Connection) -> None:
        db.executemany(f"INSERT INTO minute VALUES ({', '.join('?' * 8)})", self.minutes)
        db.executemany(f"INSERT INTO span VALUES (NULL, {', '.join('?' * 9)})", self.spans)
        self.minutes, self.spans = [], []


def boot(db: sqlite3.Connection, book: Book, number: int, stretch: tuple[int, int], *, last: bool) -> None:
    """One boot: its place, its weekly runs, and one epoch of every interface."""
    start_s, end_s = stretch
    place = (number, f"00000000-0000-4000-8000-{number:012x}", 4026531840, "bench", (start_s - 60) * US)
    db.execute("INSERT INTO place VALUES (?, ?, ?, ?, ?, 0)", place)
    for run_start in range(start_s, end_s, RESTART_S):
        run_end = min(run_start + RESTART_S - PAUSE_S, end_s)
        ended = None if last and run_end == end_s else "stopped"
        counts = (run_end - run_start, 0, 0, 0, (run_end - run_start) // 10, 0, 10_000_000, 9_000)
        started = run_start * US
        row = (number, started, run_end * US, (run_end - start_s + 60) * 10**9, ended, "netlink", *counts)
        run = db.execute(f"INSERT INTO run VALUES (NULL, {', '.join('?' * 14)}, '')", row).lastrowid
        db.execute("INSERT INTO watched VALUES (NULL, ?, ?, ?)", (run, started, run_end * US))
        if run_end < end_s:
            gap = (
                run_end * US,
                (run_end + PAUSE_S) * US,
                "stopped",
                0,
                "",
                "the counters gave everything back",
            )
            db.execute("INSERT INTO gap VALUES (NULL, ?, ?, ?, ?, ?, ?)", gap)
    closed = (None, None) if last else (end_s * US, "reboot")
    for i in book.ids:
        first = (0, 0, 0, 0) if number > 1 else (5_000_000 * i, 700_000 * i, 9_000, 8_000)
        recorded = book.boot[i - 1]
        because = "boot" if number > 1 else "first-sight"
        epoch = (i, number, i + 1, 100 + i, start_s * US, because, *closed, *first)
        epoch += (*(a + b for a, b in zip(first, recorded, strict=True)), *recorded)
        db.execute(f"INSERT INTO epoch VALUES (NULL, {', '.join('?' * 20)})", epoch)
        book.boot[i - 1] = [0, 0, 0, 0]
    if not last:
        gap = (end_s * US, (end_s + 45) * US, "reboot", 1, "", "what came after the last commit is unknown")
        db.execute("INSERT INTO gap VALUES (NULL, ?, ?, ?, ?, ?, ?)", gap)


def describe(number: int, counted: int) -> tuple[str, str, int, str]:
    """Name, kind, counted or not, and why, of one interface."""
    if number <= counted:
        name = COUNTED[number - 1] if number <= len(COUNTED) else f"eth{number}"
        return name, "", 1, "hardware"
    number -= counted
    if number > len(NOT_COUNTED):
        return f"veth{number}", "veth", 0, "leads to another namespace of this machine"
    name, kind, reason = NOT_COUNTED[number - 1]
    return name, kind, 0, reason


def fill(db: sqlite3.Connection, book: Book, from_s: int, until_s: int, counted: int) -> None:
    """Every quarter from `from_s`, a multiple of a day, up to the running one, which has minutes only."""
    sealed_s = until_s // QUARTER_S * QUARTER_S
    minutes_from_s = (until_s - MINUTES_KEPT_S) // QUARTER_S * QUARTER_S
    db.execute(
        "INSERT INTO ledger VALUES (1, ?, ?, 0, ?, ?)",
        ("be0c4000-0000-4000-8000-000000000000", from_s * US, sealed_s, minutes_from_s),
    )
    for i in book.ids:
        name, kind, is_counted, reason = describe(i, counted)
        row = (i, name, kind, 1, is_counted, reason, from_s * US, from_s * US)
        db.execute("INSERT INTO interface VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0, 0, 0, 0)", row)
    boots, boot_start, factors = 0, from_s, []
    for start_s in range(from_s, sealed_s, QUARTER_S):
        if start_s % DAY_S == 0:
            factors = book.day_factors(start_s // DAY_S)
            book.flush(db)
            book.end_day(db)
            if start_s > minutes_from_s + DAY_S:
                fives.note(db, start_s - DAY_S)
        into_boot = start_s - boot_start
        if into_boot >= BOOT_S:
            boots += 1
            boot(db, book, boots, (boot_start, start_s), last=False)
            boot_start = start_s
        elif into_boot and into_boot % RESTART_S == 0:
            book.span(start_s - PAUSE_S, start_s)
        book.quarter(start_s, factors, minutes_from_s)
    book.finish(db)
    for start_s in range(sealed_s, until_s // MINUTE_S * MINUTE_S, MINUTE_S):
        book.minute(start_s)
    book.flush(db)
    boot(db, book, boots + 1, (boot_start, until_s), last=True)
    db.execute("UPDATE ledger SET change = ?", (book.change,))
    db.executemany(
        "UPDATE interface SET rx_bytes = ?, tx_bytes = ?, rx_packets = ?, tx_packets = ?, last_seen_us = ? WHERE id = ?",
        [(*book.totals[i - 1], until_s * US, i) for i in book.ids],
    )


def add_applications(db: sqlite3.Connection, from_s: int, until_s: int, count: int, seed: int = 2) -> None:
    """What applications had: by quarters of an hour for the last 400 days, and by days before; each a part of it."""
    dice = random.Random(seed)
    days_until_s = (until_s - QUARTERS_KEPT_S) // DAY_S * DAY_S
    weights = [1 / n**1.1 for n in range(1, count + 1)]
    for number in range(1, count + 1):
        name, user = f"program-{number:03d}", ("eva", "adam", "root")[number % 3]
        unit = f"unit-{number % 17}.service" if number % 4 == 0 else ""
        row = (number, "application", name, f"/usr/bin/{name}", user, unit, "", "", from_s * US, until_s * US)
        db.execute(f"INSERT INTO application VALUES ({', '.join('?' * 10)})", row)

    def rows(start_s: int, seconds: int, present: int, size: int) -> Iterator[tuple]:
        for number in sorted(set(dice.choices(range(1, count + 1), weights, k=present))):
            rx = int(size * weights[number - 1] * (0.5 + dice.random()))
            where = (dice.choice((1, 1, 1, 2)), number, dice.choice((3, 3, 3, 1)), dice.choice((6, 6, 17)), 4)
            yield (start_s, *where, rx, rx // 5, rx // 900 + 1, rx // 1000 + 1, seconds)

    sql = f"INSERT INTO share VALUES ({', '.join('?' * 11)})"
    for start_s in range(from_s, days_until_s, DAY_S):
        db.executemany(sql, rows(start_s, DAY_S, 160, 400_000_000))
    for start_s in range(max(days_until_s, from_s), until_s, QUARTER_S):
        db.executemany(sql, rows(start_s, QUARTER_S, 40, 6_000_000))
    share_changes.give_all(db)
    db.execute("UPDATE run SET tier = 'kernel'")


def make(
    path: str,
    *,
    years: float = 10,
    interfaces: int = 8,
    counted: int = 4,
    until_s: int | None = None,
    flat: bool = False,
    applications: int = 0,
) -> None:
    """Write the ledger; `path` must not exist."""
    until_s = int(time.time()) if until_s is None else until_s
    from_s = (until_s - int(years * 365.25 * DAY_S)) // DAY_S * DAY_S
    if Path(path).exists():
        raise SystemExit(f"{path} exists")
    db = sqlite3.connect(path, isolation_level=None)
    try:
        db.execute("PRAGMA journal_mode = OFF")
        db.execute("PRAGMA synchronous = OFF")
        db.execute("PRAGMA cache_size = -262144")
        schema.migrate(db, 0, from_s * US)
        db.execute("BEGIN")
        fill(db, Book(interfaces, flat), from_s, until_s, counted)
        machine_chunks.refresh_all(db)
        if applications:
            add_applications(db, from_s, until_s, applications)
        db.execute("COMMIT")
        db.execute("PRAGMA journal_mode = WAL")
    finally:
        db.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file")
    parser.add_argument("--years", type=float, default=10)
    parser.add_argument("--interfaces", type=int, default=8)
    parser.add_argument("--counted", type=int, default=4, help="how many are part of the machine's total")
    parser.add_argument("--until", type=int, help="the ledger's present, seconds since 1970 (default: now)")
    parser.add_argument("--flat", action="store_true", help="all days alike")
    parser.add_argument("--applications", type=int, default=0, help="how many had a part of it")
    options = parser.parse_args()
    begun = time.perf_counter()
    make(
        options.file,
        years=options.years,
        interfaces=options.interfaces,
        counted=options.counted,
        until_s=options.until,
        flat=options.flat,
        applications=options.applications,
    )
    size = Path(options.file).stat().st_size
    print(f"{options.file}: {size / 1e6:.0f} MB in {time.perf_counter() - begun:.0f} s")


if __name__ == "__main__":
    main()
