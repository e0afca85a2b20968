"""What asking costs as a process of its own: the bare `netusage` beside the bare `vnstat`, same interfaces."""

import datetime as dt
import os
import resource
import sqlite3
import statistics
import sys
import time
from pathlib import Path
from typing import NamedTuple

import lab
from tables import Goal, Result, number, times

GOAL_MS = 150
GOAL_RATIO = 8
# vnStat's tables, how many rows it keeps of each interface by default (its manual), and how long one row is
KEPT = {
    "fiveminute": (576, 300),
    "hour": (96, 3600),
    "day": (62, 86400),
    "month": (25, 0),
    "year": (10, 0),
    "top": (20, 0),
}


class Took(NamedTuple):
    """Milliseconds of one process: by the clock, and of CPU."""

    wall: float
    cpu: float


def fill_vnstat(configuration: Path, directory: Path, names: list[str]) -> None:
    """Make a database as vnstatd makes it, with as many rows as it keeps for interfaces that were always busy."""
    lab.quietly("vnstatd", "--initdb", "--config", str(configuration))
    now = dt.datetime.now().astimezone().replace(tzinfo=None, microsecond=0)
    with sqlite3.connect(directory / "vnstat.db") as database:
        for name in names:
            row = (name, now - dt.timedelta(days=3652), now, 7 * 10**12, 7 * 10**11)
            insert = """INSERT INTO interface (name, active, created, updated, rxcounter, txcounter, rxtotal, txtotal)
                        VALUES (?, 1, ?, ?, 0, 0, ?, ?)"""
            number_of_it = database.execute(insert, [str(value) for value in row]).lastrowid
            for table in KEPT:
                rows = [
                    (number_of_it, date, 10**8 + n, 10**7 + n) for n, date in enumerate(dates(table, now))
                ]
                database.executemany(
                    f"INSERT INTO {table} (interface, date, rx, tx) VALUES (?, ?, ?, ?)", rows
                )
    database.close()


def dates(table: str, now: dt.datetime) -> list[str]:
    """The labels of a table's rows, the newest first, in local time as vnStat has them."""
    count, seconds = KEPT[table]
    if table == "month":
        months = (now.year * 12 + now.month - 1 - n for n in range(count))
        return [f"{month // 12}-{month % 12 + 1:02}-01" for month in months]
    if table == "year":
        return [f"{now.year - n}-01-01" for n in range(count)]
    if table == "top":
        return [f"{now - dt.timedelta(days=40 * n):%Y-%m-%d}" for n in range(1, count + 1)]
    if table == "day":
        return [f"{now - dt.timedelta(days=n):%Y-%m-%d}" for n in range(count)]
    last = now.replace(minute=now.minute - now.minute % 5 if table == "fiveminute" else 0, second=0)
    return [f"{last - dt.timedelta(seconds=n * seconds):%Y-%m-%d %H:%M:00}" for n in range(count)]


# no configuration of the person who runs the bench
ENVIRONMENT = lab.environment() | {"TERM": "xterm", "XDG_CONFIG_HOME": "/nonexistent"}


def run_once(command: list[str], *, terminal: bool) -> Took:
    """Run it with its output on a terminal, or thrown away."""
    master, out = os.openpty() if terminal else (None, os.open(os.devnull, os.O_RDWR))
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    begun = time.perf_counter()
    actions = [(os.POSIX_SPAWN_DUP2, out, descriptor) for descriptor in (0, 1, 2)]
    pid = os.posix_spawnp(command[0], command, ENVIRONMENT, file_actions=actions)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    wall = time.perf_counter() - begun
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    os.close(out)
    if master is not None:
        os.close(master)
    if code:
        raise lab.BenchError(f"{command[0]} ended with {code}")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Took(wall * 1e3, cpu * 1e3)


def measure(place: lab.Place) -> Result:
    lab.need("vnstat", "vnstatd")
    ledger = place.ledger()
    database = place.directory / "vnstat"
    database.mkdir(exist_ok=True)
    configuration = lab.vnstat_configuration(place.directory, database)
    with sqlite3.connect(ledger) as connection:
        names = [row[0] for row in connection.execute("SELECT name FROM interface ORDER BY id")]
    connection.close()
    fill_vnstat(configuration, database, names)
    commands = {
        "netusage": [*lab.netusage(), "--db", str(ledger)],
        "vnstat": ["vnstat", "--config", str(configuration)],
        "python": [sys.executable, "-c", "pass"],
    }
    result = Result(
        "The whole process",
        f"`netusage` on the ledger of {place.years} years x {place.interfaces} interfaces, `vnstat` on a database with the same "
        "interfaces and all the rows that it keeps by default; medians of pairs, order rotated.",
        ["output", *commands, "netusage ÷ vnstat", "CPU ÷ CPU"],
    )
    for terminal in (False, True):
        took: dict[str, list[Took]] = {name: [] for name in commands}
        order = list(commands)
        for n in range(8 if place.quick else 40):
            for name in order[n % 3 :] + order[: n % 3]:
                took[name].append(run_once(commands[name], terminal=terminal))
        middle = {
            name: Took(*(statistics.median(column) for column in zip(*all_[2:], strict=True)))
            for name, all_ in took.items()
        }
        ratio = middle["netusage"].wall / middle["vnstat"].wall
        cpu = middle["netusage"].cpu / middle["vnstat"].cpu
        where = "terminal" if terminal else "thrown away"
        result.rows.append(
            [where, *(f"{number(one.wall)} ms" for one in middle.values()), times(ratio), times(cpu)]
        )
        result.goals.append(
            Goal(
                f"within {GOAL_MS} ms ({where})",
                f"{number(middle['netusage'].wall)} ms",
                middle["netusage"].wall <= GOAL_MS,
            )
        )
        result.goals.append(
            Goal(f"within {GOAL_RATIO} times vnstat ({where})", times(ratio), ratio <= GOAL_RATIO)
        )
    result.notes.append(
        "`python` is an interpreter that does nothing: the least that any program in Python takes"
    )
    return result
