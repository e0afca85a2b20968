"""What the benches hand back, and how it is printed: tables with the goals that they are held to."""

import datetime as dt
import os
import platform
import sqlite3
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

import lab


@dataclass
class Goal:
    """One sentence with the measured number in it, and whether it is what was asked for."""

    asked: str
    found: str
    met: bool


@dataclass
class Result:
    """One bench: a title, what was done, a table, the goals, and what else is worth knowing."""

    title: str
    about: str
    headers: Sequence[str]
    rows: list[Sequence[str]] = field(default_factory=list)
    goals: list[Goal] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def lines(self) -> Iterable[str]:
        """As markdown, which is readable in a terminal as well."""
        yield from (f"## {self.title}", "", self.about, "")
        yield from table(self.headers, self.rows)
        yield ""
        for goal in self.goals:
            yield f"* {'met' if goal.met else 'MISSED'}: {goal.asked}: {goal.found}"
        yield from (f"* {note}" for note in self.notes)
        yield ""


def table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterable[str]:
    widths = [max(len(row[n]) for row in (headers, *rows)) for n in range(len(headers))]

    def line(cells: Sequence[str]) -> str:
        first, *rest = (
            cell.rjust(width) if n else cell.ljust(width)
            for n, (cell, width) in enumerate(zip(cells, widths, strict=True))
        )
        return "| " + " | ".join([first, *rest]) + " |"

    yield line(headers)
    yield "|" + "|".join("-" * (width + 1) + (":" if n else "-") for n, width in enumerate(widths)) + "|"
    yield from map(line, rows)


def number(value: float) -> str:
    """With three digits or all before the point, whichever is more."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def microseconds(us: float) -> str:
    return (
        f"{number(us)} µs"
        if us < 1000
        else f"{number(us / 1000)} ms"
        if us < 1e6
        else f"{number(us / 1e6)} s"
    )


def times(ratio: float) -> str:
    return f"{number(ratio)} x"


def mebibytes(kib: float) -> str:
    return f"{kib / 1024:.1f} MiB"


def surroundings(command: str) -> list[str]:
    """Machine, date, command and versions; nothing that names this one machine."""
    return [
        f"* date: {dt.datetime.now(dt.UTC):%Y-%m-%d %H:%M} UTC",
        f"* command: `{command}`",
        f"* machine: {_processor()}, {os.cpu_count()} CPUs, {_memory()}",
        f"* system: {_distribution()}, Linux {platform.release().split('-')[0]}, load {os.getloadavg()[0]:.2f} at the start",
        f"* Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}",
        f"* peers: {_vnstat()}, psutil {_version('psutil')}, pyroute2 {_version('pyroute2')}",
    ]


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _memory() -> str:
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGESIZE")
    return f"{pages / 2**30:.0f} GiB of memory"


def _distribution() -> str:
    return platform.freedesktop_os_release().get("PRETTY_NAME", "Linux")


def _vnstat() -> str:
    try:
        answer = subprocess.run(
            ["vnstat", "--version"], env=lab.environment(), capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return "vnstat is not installed"
    return " ".join(answer.stdout.split()[:2])


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "is not installed"
