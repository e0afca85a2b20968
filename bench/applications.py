"""What it costs the traffic to be counted by application, and how much of it gets a name: netusage and nethogs.

Both ends of every connection run on this machine's processors, so the costs are upper bounds. Python makes the traffic.

Processors are quicker and slower for longer than seconds. So what the recorder costs is told by its programs, which are all of
it that acts on traffic, put on and taken off within a second; and beside them others at the same places that count nothing.
"""

import argparse
import contextlib
import ctypes
import itertools
import json
import os
import selectors
import signal
import socket
import statistics
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest import mock

import lab
from tables import Goal, Result, microseconds, number

HERE, THERE = "10.9.0.1", "10.9.0.2"
INTERFACE = "near0"
WATCHERS = ("nobody", "netusage", "nethogs")
GOALS = {"one TCP stream": 3, "UDP, 64 bytes": 8, "connections": 8}  # percent of throughput
STREAMS = 100
SETTLE_S = 2  # who watches has begun by then, and what its start took is over
ALTERNATIONS, ALTERNATION_S = 400, 0.15
PROGRAMS = ("none", "counting", "storage only")
NAMING_S = 1.5  # of each traffic, for what is named of it: nethogs looks once a second
COUNTERS = 1000


# ---- The other end ----------------------------------------------------------------------------------------------


def serve() -> None:
    """Takes whatever comes, in a network namespace of its own, until it is killed."""
    lab.enter()
    print("ready", flush=True)
    sys.stdin.readline()  # the interface is here now
    lines = [f"addr add {THERE}/24 dev far0", "link set far0 up", "link set lo up"]
    subprocess.run(["ip", "-batch", "-"], input="\n".join(lines), text=True, check=True)
    datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    datagrams.bind((THERE, 5002))
    listener = socket.create_server((THERE, 5001), backlog=4096)
    threading.Thread(target=_take_datagrams, args=(datagrams,), daemon=True).start()
    print("ready", flush=True)
    ready = selectors.DefaultSelector()
    ready.register(listener, selectors.EVENT_READ)
    buffer = bytearray(1 << 18)
    while True:
        for key, _ in ready.select():
            if key.fileobj is listener:
                ready.register(listener.accept()[0], selectors.EVENT_READ)
                continue
            with contextlib.suppress(ConnectionError):
                if key.fileobj.recv_into(buffer):
                    continue
            ready.unregister(key.fileobj)
            key.fileobj.close()


def _take_datagrams(sock: socket.socket) -> None:
    buffer = bytearray(2048)
    while True:
        sock.recv_into(buffer)


# ---- Traffic ----------------------------------------------------------------------------------------------------


def one_stream(seconds: float) -> float:
    """Bytes a second."""
    block, sent = bytes(1 << 17), 0
    with socket.create_connection((THERE, 5001)) as sock:
        begun = time.perf_counter()
        while (took := time.perf_counter() - begun) < seconds:
            sent += sock.send(block)
    return sent / took


def many_streams(seconds: float) -> float:
    """Bytes a second."""
    block, sent = bytes(1 << 16), 0
    with contextlib.ExitStack() as stack:
        socks = [stack.enter_context(socket.create_connection((THERE, 5001))) for _ in range(STREAMS)]
        ready = stack.enter_context(selectors.DefaultSelector())
        for sock in socks:
            sock.setblocking(False)
            ready.register(sock, selectors.EVENT_WRITE)
        begun = time.perf_counter()
        while (took := time.perf_counter() - begun) < seconds:
            for key, _ in ready.select():
                with contextlib.suppress(BlockingIOError):
                    sent += key.fileobj.send(block)
    return sent / took


def small_datagrams(seconds: float) -> float:
    """Packets a second."""
    sock, sent = socket.socket(socket.AF_INET, socket.SOCK_DGRAM), 0
    sock.connect((THERE, 5002))
    body, send = bytes(64), sock.send
    begun = time.perf_counter()
    while (took := time.perf_counter() - begun) < seconds:
        for _ in range(256):
            send(body)
        sent += 256
    sock.close()
    return sent / took


def connections(seconds: float) -> float:
    """Connections a second, each with one byte; ended with a reset, so that none lingers."""
    made, now = 0, struct.pack("ii", 1, 0)
    begun = time.perf_counter()
    while (took := time.perf_counter() - begun) < seconds:
        with socket.create_connection((THERE, 5001)) as sock:
            sock.send(b"x")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, now)
        made += 1
    return made / took


TRAFFIC: dict[str, tuple[Callable[[float], float], str]] = {
    "one TCP stream": (one_stream, "MB/s"),
    f"{STREAMS} TCP streams": (many_streams, "MB/s"),
    "UDP, 64 bytes": (small_datagrams, "packets/s"),
    "connections": (connections, "1/s"),
}


# ---- Who watches ------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def watched(by: str, directory: Path) -> Iterator[subprocess.Popen | None]:
    """Somebody watches the interface, or nobody does; from the beginning, whatever was found before."""
    for path in directory.iterdir():
        path.unlink()
    if by == "nobody":
        yield None
        return
    if by == "netusage":
        ledger = directory / "usage.db"
        command = [
            sys.executable,
            "-m",
            "netusage",
            "daemon",
            "--applications",
            "kernel",
            "--db",
            str(ledger),
        ]
    else:
        command = ["nethogs", "-t", "-d", "1", "-v", "2", INTERFACE]
    out = directory / f"{by}.out"
    with open(out, "w") as file:
        process = subprocess.Popen(
            [*lab.DIES_WITH_ITS_PARENT, *command],
            env=lab.environment() | {"NETUSAGE_RECORDER_PINS": "off"},  # nothing stays in the kernel
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    sign = "recording into" if by == "netusage" else "Refreshing:"
    end = time.monotonic() + 20
    while sign not in out.read_text(errors="replace"):
        if time.monotonic() > end or process.poll() is not None:
            raise lab.BenchError(f"{by} does not run: {out.read_text(errors='replace').strip()[-300:]}")
        time.sleep(0.05)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def named(by: str, directory: Path) -> int:
    """How many of the bytes of the last watch have the name of an application."""
    if by == "netusage":
        command = [
            sys.executable,
            "-m",
            "netusage",
            "reconcile",
            "--interface",
            INTERFACE,
            "--format",
            "json",
        ]
        rows = json.loads(lab.output(*command, "--db", str(directory / "usage.db")))["rows"]
        return next(row["both"] for row in rows if row["line"] == "applications")
    last = (directory / "nethogs.out").read_text(errors="replace").rpartition("Refreshing:")[2]
    total = 0.0
    for line in last.splitlines():
        program, *amounts = line.split("\t")
        if len(amounts) == 2 and not program.startswith("unknown"):
            total += sum(map(float, amounts))
    return int(total)


def counted() -> int:
    """Bytes that the interface counted, both ways."""
    statistics_ = Path(f"/sys/class/net/{INTERFACE}/statistics")
    return sum(int((statistics_ / f"{way}_bytes").read_text()) for way in ("rx", "tx"))


# ---- The measurement --------------------------------------------------------------------------------------------


def measure_here(rounds: int, seconds: float, alternations: int) -> dict:
    """Throughput by traffic and watcher, round by round, and by programs; shares; what loading, reading and memory take."""
    found: dict = {"rates": {name: {by: [] for by in WATCHERS} for name in TRAFFIC}, "shares": {}}
    with other_end(), lab.workplace() as directory:
        for n in range(rounds):
            order = WATCHERS[n % 3 :] + WATCHERS[: n % 3]
            for by in order:
                with watched(by, directory):
                    time.sleep(SETTLE_S)
                    for name, (traffic, _) in TRAFFIC.items():
                        found["rates"][name][by].append(traffic(seconds))
        for by in WATCHERS[1:] * 3:
            with watched(by, directory) as process:
                before = counted()
                for traffic, _ in TRAFFIC.values():
                    traffic(NAMING_S)
                time.sleep(NAMING_S)
                after = counted()
                if by == "netusage":
                    found["resident"] = lab.memory(process.pid)["VmHWM"] * 1024
            found["shares"].setdefault(by, []).append(named(by, directory) / (after - before))
        found["alternating"] = alternate(alternations, directory)
    return found | own_costs()


@contextlib.contextmanager
def other_end() -> Iterator[None]:
    """Somebody in another namespace, over a pair of interfaces, takes what this process sends."""
    lab.enter()
    other = subprocess.Popen(
        [*lab.DIES_WITH_ITS_PARENT, "unshare", "--net", "--mount", sys.executable, __file__, "serve"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        other.stdout.readline()
        lines = [f"link add {INTERFACE} type veth peer name far0", f"link set far0 netns {other.pid}"]
        lines += [f"addr add {HERE}/24 dev {INTERFACE}", f"link set {INTERFACE} up", "link set lo up"]
        subprocess.run(["ip", "-batch", "-"], input="\n".join(lines), text=True, check=True)
        other.stdin.write("\n")
        other.stdin.flush()
        other.stdout.readline()
        yield
    finally:
        other.kill()
        other.wait()


def alternate(rounds: int, directory: Path) -> dict[str, dict[str, list[float]]]:
    """Throughput of traffic with a goal, without programs, with those that count and with those that only make storage."""
    sys.path.insert(0, str(lab.BENCH.parent / "bpf"))
    import build

    from netusage.sources.applications import kernel

    sys.path.pop(0)
    only = directory / "storage_only.skeleton"
    only.write_bytes(build.build("storage_only", lab.BENCH))
    rates: dict[str, dict[str, list[float]]] = {name: {by: [] for by in PROGRAMS} for name in GOALS}
    for name, n in itertools.product(GOALS, range(rounds)):
        traffic, _ = TRAFFIC[name]
        for programs in PROGRAMS[n % 3 :] + PROGRAMS[: n % 3]:
            with contextlib.ExitStack() as stack:
                if programs == "storage only":
                    stack.enter_context(mock.patch.object(kernel, "_KERNEL", (str(only),)))
                if programs != "none":
                    stack.enter_context(kernel.KernelApplications())
                traffic(ALTERNATION_S / 10)  # nothing is met for the first time
                rates[name][programs].append(traffic(ALTERNATION_S))
    return rates


def own_costs() -> dict:
    """Microseconds that loading the programs and reading many counters take."""
    from netusage.sources.applications.kernel import KernelApplications

    loads, reads = [], []
    for _ in range(5):
        begun = time.perf_counter()
        programs = KernelApplications()
        loads.append((time.perf_counter() - begun) * 1e6)
        programs.close()
    libc = ctypes.CDLL(None)
    with KernelApplications() as programs:
        for n in range(COUNTERS):  # an owner each: processes of other names
            if not os.fork():
                libc.prctl(15, f"owner-{n}".encode(), 0, 0, 0)
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                    sock.sendto(b"x", ("127.0.0.1", 9))
                os._exit(0)
            os.wait()
        for _ in range(50):
            begun = time.perf_counter()
            read = programs.read()
            reads.append((time.perf_counter() - begun) * 1e6)
    return {"load_us": statistics.median(loads), "read_us": statistics.median(reads), "counters": len(read)}


def _changes(rates: list[float], others: list[float]) -> list[float]:
    """By how much rates are above those of others, round by round, percent: the median, from and to."""
    changes = sorted((one / other - 1) * 100 for one, other in zip(rates, others, strict=True))
    place = max(int(len(changes) / 2 - 0.98 * len(changes) ** 0.5), 0)  # the median's bounds, by the binomial
    return [statistics.median(changes), changes[place], changes[-1 - place]]


def measure(place: lab.Place) -> Result:
    lab.need("nethogs", "clang", "bpftool")
    rounds, seconds, alternations = (2, 0.5, 4) if place.quick else (30, 0.6, ALTERNATIONS)
    chosen = ["--rounds", str(rounds), "--seconds", str(seconds), "--alternations", str(alternations)]
    found = lab.run("applications.py", *chosen, namespaces=True)
    result = Result(
        "Applications",
        f"Throughput over a veth pair while nobody watches, while `netusage daemon --applications kernel` does, and nethogs "
        f"(as it is, once a second); medians of {rounds} rounds, order rotated, and between what they are with 95 % confidence. "
        f"Beside it the recorder's programs alone, in {alternations} rounds within a second each, and programs that count nothing "
        "but make the same storage of sockets at the same places. Both ends run on the same processors.",
        [
            "traffic",
            *WATCHERS,
            "netusage ÷ nobody",
            "nethogs ÷ nobody",
            "its programs ÷ none",
            "counting nothing ÷ none",
        ],
    )
    costs: dict[str, dict[str, list[float]]] = {}
    for name, by_watcher in found["rates"].items():
        unit = TRAFFIC[name][1]
        shown = [statistics.median(rates) / (1e6 if unit == "MB/s" else 1) for rates in by_watcher.values()]
        costs[name] = {by: _changes(by_watcher[by], by_watcher["nobody"]) for by in WATCHERS[1:]}
        if name in GOALS:
            by_programs = found["alternating"][name]
            costs[name] |= {by: _changes(by_programs[by], by_programs["none"]) for by in PROGRAMS[1:]}
        columns = (costs[name].get(by) for by in (*WATCHERS[1:], *PROGRAMS[1:]))
        parts = ["{:+.1f} % ({:+.1f} to {:+.1f})".format(*change) if change else "" for change in columns]
        result.rows.append([name, *(f"{number(rate)} {unit}" for rate in shown), *parts])
    for name, most in GOALS.items():
        change, low, high = costs[name]["counting"]
        told = f"{-change:.1f} % ({-high:.1f} to {-low:.1f})"
        result.goals.append(Goal(f"{name}: within {most} %", told, -change <= most))
    ahead = all(one["netusage"][0] > one["nethogs"][0] for one in costs.values())
    result.goals.append(Goal("ahead of nethogs in every row", "yes" if ahead else "no", ahead))
    shares = {by: min(parts) for by, parts in found["shares"].items()}
    said = ", ".join(f"{by} {share * 100:.2f} %" for by, share in shares.items())
    result.goals.append(
        Goal("a larger share of the bytes has a name", said, shares["netusage"] > shares["nethogs"])
    )
    reading = f"{found['counters']:,} in {microseconds(found['read_us'])}"
    result.goals.append(Goal(f"reading {COUNTERS:,} counters below 1 ms", reading, found["read_us"] < 1000))
    result.goals.append(Goal("loading below 100 ms", microseconds(found["load_us"]), found["load_us"] < 1e5))
    memory = found["resident"] / 1e6
    result.goals.append(Goal("memory below 40 MB", f"{memory:.1f} MB at most", memory < 40))
    return result


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("what", nargs="?", default="measure", choices=["measure", "serve"])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--seconds", type=float, default=1.5)
    parser.add_argument("--alternations", type=int, default=ALTERNATIONS)
    chosen = parser.parse_args()
    if chosen.what == "serve":
        serve()
    else:
        print(json.dumps(measure_here(chosen.rounds, chosen.seconds, chosen.alternations)))


if __name__ == "__main__":
    main()
