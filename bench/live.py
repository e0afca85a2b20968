"""What `netusage live` costs: drawing each second at two sizes, alone and beside a recorder.

In a network namespace of its own with a dozen interfaces, in which some programs talk over loopback.
"""

import argparse
import contextlib
import fcntl
import json
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Iterator

import lab
from tables import Goal, Result

INTERFACES = 10
PROGRAMS = 30
SIZES = ((80, 24), (200, 60))
SETTLED_S = 5
GOAL = 3  # percent of a core
_TALK = """
import socket, sys, time
with socket.create_server(("127.0.0.1", 0)) as server:
    client = socket.create_connection(server.getsockname())
    accepted = server.accept()[0]
while True:
    client.sendall(bytes(int(sys.argv[1])))
    accepted.recv(1 << 16)
    time.sleep(1)
"""


@contextlib.contextmanager
def drawing(size: tuple[int, int], path: str) -> Iterator[int]:
    """The terminal's program on a pseudo-terminal; its number. What it draws is read and thrown away."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))
    process = subprocess.Popen(
        [*lab.DIES_WITH_ITS_PARENT, sys.executable, "-m", "netusage", "live", "--db", path],
        env=lab.environment() | {"TERM": "xterm-256color", "NETUSAGE_INTERFACES_COUNTED": "lo"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    threading.Thread(target=_read_to_its_end, args=(ours,), daemon=True).start()
    try:
        time.sleep(SETTLED_S)
        os.write(ours, b"a")  # applications
        time.sleep(1)
        if process.poll() is not None:
            raise lab.BenchError(f"netusage live ended with {process.returncode}")
        yield process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()
        os.close(theirs)


def _read_to_its_end(descriptor: int) -> None:
    with contextlib.suppress(OSError):
        while os.read(descriptor, 1 << 16):
            pass


def inside(seconds: float) -> dict:
    """In the namespace: percent of a core by whether somebody records, and by size."""
    lab.enter()
    names = lab.make_interfaces(INTERFACES)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    found: dict = {}
    with lab.workplace() as directory, contextlib.ExitStack() as stack:
        traffic = lab.Traffic(names)
        stack.callback(traffic.stop)
        for n in range(PROGRAMS):
            script = directory / f"talk-{n}.py"
            script.write_text(_TALK)
            command = [*lab.DIES_WITH_ITS_PARENT, sys.executable, str(script), str(100 + n)]
            stack.callback(subprocess.Popen(command).kill)
        path = str(directory / "usage.db")
        for who in ("alone", "beside a recorder"):
            if who != "alone":
                recorder = subprocess.Popen(
                    [*lab.DIES_WITH_ITS_PARENT, sys.executable, "-m", "netusage", "daemon", "--db", path],
                    env=lab.environment() | {"NETUSAGE_RECORDER_PINS": "off"},
                    stderr=subprocess.DEVNULL,
                )
                stack.callback(recorder.wait)
                stack.callback(recorder.terminate)
                time.sleep(12)  # a commit and more
            found[who] = {}
            for size in SIZES:
                with drawing(size, path) as pid:
                    before, begun = lab.cost(pid), time.monotonic()
                    time.sleep(seconds)
                    spent = lab.cost(pid).since(before).cpu_ns / 1e9 / (time.monotonic() - begun)
                    memory = lab.memory(pid)["VmRSS"]
                found[who][f"{size[0]}x{size[1]}"] = [spent * 100, memory]
    return found


def measure(place: lab.Place) -> Result:
    found = lab.run("live.py", "10" if place.quick else "30", namespaces=True)
    sizes = [f"{columns}x{lines}" for columns, lines in SIZES]
    result = Result(
        "The terminal",
        f"`netusage live` with {INTERFACES + 1} interfaces and {PROGRAMS} programs, the list of applications shown; "
        "percent of a core, memory in MiB.",
        ["", *sizes, *(f"memory {size}" for size in sizes)],
    )
    for who, by in found.items():
        costs = [f"{by[size][0]:.2f} %" for size in sizes]
        result.rows.append([who, *costs, *(f"{by[size][1] / 1024:.0f}" for size in sizes)])
    most = max(cost for by in found.values() for cost, _ in by.values())
    result.goals.append(
        Goal(f"each second at under {GOAL} % of a core", f"{most:.2f} % at most", most < GOAL)
    )
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("seconds", type=float)
    print(json.dumps(inside(parser.parse_args().seconds)))


if __name__ == "__main__":
    main()
