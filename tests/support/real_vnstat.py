"""vnStat itself, asked about databases that say in its way what went into a ledger."""

import contextlib
import os
import shutil
import sqlite3
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple
from zoneinfo import ZoneInfo

import pytest

# where packages put them: a link of that name elsewhere may be netusage
PROGRAM = shutil.which("vnstat", path="/usr/bin") or ""
DAEMON = shutil.which("vnstatd", path="/usr/sbin:/usr/bin") or ""
needs_vnstat = pytest.mark.skipif(not (PROGRAM and DAEMON), reason="needs vnstat")
needs_jq = pytest.mark.skipif(not shutil.which("jq"), reason="needs jq")

_TABLES = """
CREATE TABLE info(id INTEGER PRIMARY KEY, name TEXT UNIQUE NOT NULL, value TEXT NOT NULL);
CREATE TABLE interface(id INTEGER PRIMARY KEY, name TEXT UNIQUE NOT NULL, alias TEXT, active INTEGER NOT NULL,
  created DATE NOT NULL, updated DATE NOT NULL, rxcounter INTEGER NOT NULL, txcounter INTEGER NOT NULL,
  rxtotal INTEGER NOT NULL, txtotal INTEGER NOT NULL);
INSERT INTO info VALUES (1, 'btime', '0'), (2, 'dbversion', '1'), (3, 'vnstatversion', '2.10');
"""
_LIST = """
CREATE TABLE {}(id INTEGER PRIMARY KEY, interface INTEGER REFERENCES interface(id) ON DELETE CASCADE,
  date DATE NOT NULL, rx INTEGER NOT NULL, tx INTEGER NOT NULL, CONSTRAINT u UNIQUE (interface, date));
"""
# Of a time as "2026-11-26 13:05": how much of it names a row, and what follows.
FORMS = {
    "fiveminute": (16, ":00"),
    "hour": (13, ":00:00"),
    "day": (10, ""),
    "month": (7, "-01"),
    "year": (4, "-01-01"),
}
FIVE_S, QUARTER_S = 300, 900
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001  # what a clock shows has no zone


class Watched(NamedTuple):
    """What a daemon saw of one interface.

    stretches: UTC seconds, multiples of 300 but the last end.
    counted: by the start of five minutes, what was received and sent in them.
    """

    name: str
    stretches: list[tuple[int, int]]
    counted: dict[int, tuple[int, int]]


def make_tables(db):
    """The tables of an empty database."""
    for statement in "".join([_TABLES, *map(_LIST.format, (*FORMS, "top"))]).split(";\n")[:-1]:
        db.execute(statement)


def mirror(directory, interfaces, zone, *, since=None, fives_from_s=0, tops=1_000_000):
    """Write the database that vnstatd would have if it had watched these interfaces.

    directory: where to.
    zone: the name of the daemon's time zone.
    since: by list, the first date that is kept.
    fives_from_s: before this there are no rows of five minutes.
    tops: how many of the best days are kept.
    """
    directory = Path(directory)
    directory.mkdir(exist_ok=True)
    with contextlib.closing(sqlite3.connect(directory / "vnstat.db", isolation_level=None)) as db:
        db.execute("BEGIN")
        make_tables(db)
        for number, one in enumerate(interfaces, start=1):
            totals = [sum(column) for column in zip((0, 0), *one.counted.values(), strict=True)]
            dates = [str(_clock(at_s, zone))[:19] for at_s in (one.stretches[0][0], one.stretches[-1][1])]
            row = (number, one.name, *dates, *totals)
            db.execute("INSERT INTO interface VALUES (?, ?, NULL, 1, ?, ?, 0, 0, ?, ?)", row)
            for name, rows in _lists(one, zone, fives_from_s, tops).items():
                oldest = (since or {}).get(name, "")
                # row numbers are the table's, so only one interface can have those that netusage writes
                db.executemany(
                    f"INSERT INTO {name} VALUES (?, ?, ?, ?, ?)",
                    [
                        (number_of(name, date) if len(interfaces) == 1 else None, number, date, *both)
                        for date, both in rows.items()
                        if date >= oldest
                    ],
                )
        db.execute("COMMIT")


def _lists(one, zone, fives_from_s, tops):
    rows = {name: {} for name in FORMS}
    # all of a quarter of an hour is in the same hour and day of any zone
    for start_s, end_s in one.stretches:
        for at_s in range(start_s // QUARTER_S * QUARTER_S, end_s, QUARTER_S):
            for name, date in _dates(at_s, zone).items():
                if name != "fiveminute":
                    rows[name].setdefault(date, (0, 0))
        for at_s in range(max(start_s // FIVE_S * FIVE_S, fives_from_s), end_s, FIVE_S):
            rows["fiveminute"].setdefault(_dates(at_s, zone)["fiveminute"], (0, 0))
    for at_s, (rx, tx) in one.counted.items():
        for name, date in _dates(at_s, zone).items():
            if at_s >= fives_from_s or name != "fiveminute":
                known = rows[name][date]
                rows[name][date] = (known[0] + rx, known[1] + tx)
    best = sorted(rows["day"].items(), key=lambda row: (-sum(row[1]), row[0]))
    return rows | {"top": dict(best[:tops])}


def _dates(at_s, zone):
    """The date of the row of each list."""
    clock = str(_clock(at_s, zone))
    return {name: clock[:length] + rest for name, (length, rest) in FORMS.items()}


def _clock(at_s, zone):
    return datetime.fromtimestamp(at_s, UTC).astimezone(ZoneInfo(zone))


def number_of(name, date):
    """The number of a period on the calendar, which netusage has for an id."""
    at = datetime.fromisoformat(date)
    if name == "year":
        return at.year
    if name == "month":
        return (at.year - 1970) * 12 + at.month
    seconds = int((at - _EPOCH).total_seconds())
    return seconds // {"fiveminute": FIVE_S, "hour": 3600}.get(name, 86_400)


def ask(directory, *words, zone="UTC"):
    """What the real vnStat answers: its exit code and its standard output."""
    environment = {"TZ": zone, "PATH": os.environ["PATH"], "HOME": str(directory), "LC_ALL": "C.UTF-8"}
    command = [PROGRAM, "--dbdir", str(directory), *words]
    done = subprocess.run(command, capture_output=True, env=environment, timeout=60, check=False)
    return done.returncode, done.stdout.decode()
