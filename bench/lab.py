"""Where the benches run: a network namespace of their own, its interfaces, its traffic, and what processes cost there.

A bench that needs interfaces runs a part of itself in a new network and mount namespace (`run`). Both go away
with their last process, so nothing is left behind even when a bench is killed.
"""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

BENCH = Path(__file__).resolve().parent
SOURCES = BENCH.parent / "src"
WORK = BENCH / "work"
DIES_WITH_ITS_PARENT = ("setpriv", "--pdeathsig", "KILL")
FRAME = b"\xff" * 12 + b"\x08\x00" + b"x" * 486  # 500 bytes on the wire


class BenchError(Exception):
    """Something that a bench needs is not there."""


def need(*programs: str) -> None:
    missing = [program for program in programs if shutil.which(program, path=search_path()) is None]
    if missing:
        raise BenchError(f"not installed: {', '.join(missing)}")


def search_path() -> str:
    return f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"


def environment() -> dict[str, str]:
    """For child processes: this checkout's package, compiled as an installed one is, and the settings of nobody."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("NETUSAGE_", "PYTHON"))}
    return kept | {
        "PYTHONPATH": str(SOURCES),
        "PATH": search_path(),
        "LC_ALL": "C.UTF-8",
    }


def compile_package() -> None:
    quietly(sys.executable, "-m", "compileall", "-q", str(SOURCES))


class Place:
    """One run of the benches: its directory, and the ledger of many years that some of them share.

    The directory is on the disk of the checkout: on a memory file system a commit would cost nothing.
    """

    interfaces = 8

    def __init__(self, directory: Path, *, quick: bool) -> None:
        self.directory = directory
        self.quick = quick
        self.years = 1 if quick else 10
        self._ledger: Path | None = None

    def ledger(self) -> Path:
        if self._ledger is None:
            path = self.directory / "years.db"
            sizes = ["--years", str(self.years), "--interfaces", str(self.interfaces)]
            quietly(sys.executable, str(BENCH / "make_ledger.py"), str(path), *sizes)
            self._ledger = path
        return self._ledger


@contextlib.contextmanager
def workplace() -> Iterator[Path]:
    WORK.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=WORK) as directory:
        yield Path(directory)


def quietly(*command: str) -> None:
    output(*command)


def output(*command: str) -> str:
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)
    if done.returncode:
        raise BenchError(
            f"{command[0]} ended with {done.returncode}: {done.stderr.strip() or done.stdout.strip()}"
        )
    return done.stdout


def run(script: str, *arguments: str, namespaces: bool = False) -> dict:
    """Run a bench module as a process of its own, if asked in namespaces of its own; the JSON object that it prints."""
    need(DIES_WITH_ITS_PARENT[0])
    before = [*DIES_WITH_ITS_PARENT]
    if namespaces:
        need("unshare", "ip", "mount")
        if os.geteuid():
            raise BenchError("needs root, for a network namespace of its own")
        before += ["unshare", "--net", "--mount"]
    command = [*before, sys.executable, str(BENCH / script), *arguments]
    done = subprocess.run(command, env=environment(), stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise BenchError(f"{script} failed with exit code {done.returncode}")
    return json.loads(done.stdout)


def enter() -> None:
    """Make the new namespaces usable; to be called inside, first of all."""
    subprocess.run(["mount", "-t", "sysfs", "sysfs", "/sys"], check=True)
    for which in ("all", "default"):  # no router solicitations: idle is to be idle
        with contextlib.suppress(OSError):
            Path(f"/proc/sys/net/ipv6/conf/{which}/disable_ipv6").write_text("1")


def make_interfaces(count: int) -> list[str]:
    """Add interfaces beside `lo`, as veth pairs: what one end sends, the other receives."""
    return add_pairs(range(count // 2))


def add_pairs(numbers: Iterable[int]) -> list[str]:
    names = [f"{end}{n}" for n in numbers for end in ("in", "out")]
    lines = [f"link add in{n} type veth peer name out{n}" for n in numbers]
    lines += [f"link set {name} up" for name in names]
    subprocess.run(["ip", "-batch", "-"], input="\n".join(lines), text=True, check=True)
    return names


class Traffic:
    """A few packets a second out of every interface, from a process of its own until `stop`."""

    def __init__(self, names: list[str], rounds_per_second: float = 5) -> None:
        parent = os.getpid()
        self._pid = os.fork()
        if self._pid == 0:
            _send_while(parent, names, 1 / rounds_per_second)

    def stop(self) -> None:
        os.kill(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)


def _send_while(parent: int, names: list[str], pause_s: float) -> None:
    try:
        sockets = []
        for name in names:
            sender = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
            sender.bind((name, 0))
            sockets.append(sender)
        while os.getppid() == parent:
            for sender in sockets:
                sender.send(FRAME)
            time.sleep(pause_s)
    finally:
        os._exit(1)


class Cost(NamedTuple):
    """What a process has used since it began: CPU in nanoseconds, bytes handed to the disk."""

    cpu_ns: int
    user_ticks: int
    system_ticks: int
    written: int

    def since(self, earlier: "Cost") -> "Cost":
        return Cost(*(now - then for now, then in zip(self, earlier, strict=True)))


def cost(pid: int) -> Cost:
    """Of the process and its living descendants.

    schedstat is exact to the nanosecond and per thread; the ticks of stat tell user from system time.
    """
    totals = [0, 0, 0, 0]
    for one in tree(pid):
        for thread in Path(f"/proc/{one}/task").iterdir():
            totals[0] += int((thread / "schedstat").read_text().split()[0])
        fields = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
        totals[1] += int(fields[11])
        totals[2] += int(fields[12])
        lines = Path(f"/proc/{one}/io").read_text().splitlines()
        totals[3] += next(int(line.split()[1]) for line in lines if line.startswith("write_bytes:"))
    return Cost(*totals)


def tree(pid: int) -> list[int]:
    found = [pid]
    for one in found:
        for thread in Path(f"/proc/{one}/task").iterdir():
            found += map(int, (thread / "children").read_text().split())
    return found


def memory(pid: int) -> dict[str, int]:
    """KiB: `VmRSS` and its peak `VmHWM`, and from smaps_rollup the proportional `Pss` and what is the process's own."""
    sizes: dict[str, int] = {}
    for file in ("status", "smaps_rollup"):
        for line in Path(f"/proc/{pid}/{file}").read_text().splitlines():
            name, _, value = line.partition(":")
            if value.endswith(" kB"):
                sizes[name] = int(value.split()[0])
    sizes["Private"] = sizes["Private_Clean"] + sizes["Private_Dirty"]
    return {name: sizes[name] for name in ("VmRSS", "VmHWM", "Pss", "Private")}


def resident_kib() -> int:
    """Of this process, now."""
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE") // 1024


class Daemon:
    """A daemon of one of the contestants, with what it said."""

    def __init__(self, name: str, command: list[str], directory: Path) -> None:
        self.name = name
        self._log = directory / f"{name}.log"
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [*DIES_WITH_ITS_PARENT, *command],
                env=environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self.pid = self.process.pid

    def check(self) -> None:
        if self.process.poll() is not None:
            raise BenchError(f"{self.name} ended: {self.log()}")

    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def netusage() -> list[str]:
    """The command as it is installed beside this interpreter, or else the module."""
    script = Path(sys.executable).parent / "netusage"
    return [str(script)] if script.exists() else [sys.executable, "-m", "netusage"]


def no_configuration(directory: Path) -> list[str]:
    """Flags against whatever the user has configured."""
    nothing = directory / "netusage.toml"
    nothing.touch()
    return ["--config", str(nothing)]


def vnstat_configuration(directory: Path, database: Path) -> Path:
    """Everything as it is by default, only the database elsewhere."""
    configuration = directory / "vnstat.conf"
    configuration.write_text(f'DatabaseDir "{database}"\n')
    return configuration


@contextlib.contextmanager
def daemons(directory: Path) -> Iterator[tuple[Daemon, Daemon]]:
    """`netusage daemon`, of interfaces only as vnstat is, and `vnstatd`, else as they are when nothing is configured."""
    need("vnstatd")
    configuration = vnstat_configuration(directory, directory / "vnstat")
    commands = {
        "netusage": [
            *netusage(),
            "daemon",
            "--applications",
            "off",
            "--db",
            str(directory / "netusage.db"),
            *no_configuration(directory),
        ],
        "vnstatd": ["vnstatd", "--nodaemon", "--config", str(configuration)],
    }
    started: list[Daemon] = []
    try:
        for name, command in commands.items():
            started.append(Daemon(name, command, directory))
        yield started[0], started[1]
    finally:
        for daemon in started:
            daemon.stop()


def system_calls(pids: dict[str, int], seconds: float, directory: Path) -> dict[str, dict[str, int]]:
    """Count the system calls of the processes for so long; tracing slows them down, so CPU is measured apart."""
    need("strace")
    files = {name: directory / f"{name}.calls" for name in pids}
    tracers = [
        subprocess.Popen(["strace", "-c", "-f", "-U", "calls,name", "-o", str(files[name]), "-p", str(pid)],
                         stderr=subprocess.DEVNULL)
        for name, pid in pids.items()
    ]  # fmt: skip
    time.sleep(seconds)
    for tracer in tracers:
        tracer.send_signal(signal.SIGINT)
    for tracer in tracers:
        tracer.wait()
    return {name: _calls(file.read_text()) for name, file in files.items()}


def _calls(text: str) -> dict[str, int]:
    rows = (line.split() for line in text.splitlines())
    return {row[1]: int(row[0]) for row in rows if len(row) == 2 and row[0].isdigit() and row[1] != "total"}


class Every:
    """Ticks on a steady grid, and says on stderr how far it is when that is a terminal."""

    def __init__(self, seconds: float, what: str) -> None:
        self.seconds = seconds
        self.what = what

    def ticks(self, count: int) -> Iterator[int]:
        begun = time.monotonic()
        for n in range(1, count + 1):
            if sys.stderr.isatty():
                sys.stderr.write(f"\r{self.what}: {n}/{count} \x1b[K")
                sys.stderr.flush()
            time.sleep(max(0.0, begun + n * self.seconds - time.monotonic()))
            yield n
        if sys.stderr.isatty():
            sys.stderr.write("\r\x1b[K")
