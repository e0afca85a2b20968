"""What the recorder keeps in memory: beside vnstatd after the same start, and over many samples.

For the second, the recorder runs as it always does, with the kernel's counters and a ledger on the disk, but on a
clock that does not wait: one second passes whenever the recorder waits for one. Every such second a packet goes out
of every interface, and now and then one pair of them is removed and made again.
"""

import argparse
import itertools
import json
import socket
import subprocess
import time

import lab
from tables import Goal, Result, mebibytes

from netusage.ledger.writer import LedgerWriter
from netusage.model import NS, US, Instant
from netusage.recorder.loop import Recorder
from netusage.recorder.meter import Meter
from netusage.recorder.session import timing_and_rules
from netusage.recorder.waiting import Wake
from netusage.settings.schema import Settings
from netusage.sources.interfaces_linux import NetlinkSource

INTERFACES = 100
REPLACED_EVERY = 500  # samples
START_S = 1_800_000_000  # a Friday in 2027: any will do
DAEMONS_S = 25  # two commits and more
GOAL_KB = 30_000  # 30 MB
GROWTH_KIB = 128  # in the second half, of 100,000 samples: little more than a byte a sample


class FastTime:
    """Clock and waiter in one: waiting takes no time, and sends packets instead."""

    def __init__(self, names: list[str]) -> None:
        self._waited_ns = 0
        self._senders = {name: _sender(name) for name in names}
        self._seconds = 0
        self._pairs = itertools.cycle(range(len(names) // 2))

    def now(self) -> Instant:
        return Instant(NS + self._waited_ns, NS + self._waited_ns, START_S * US + self._waited_ns // 1000)

    def wait(self, timeout_ns: int, fileno: int | None) -> Wake:  # noqa: ARG002  # as Waiter.wait
        self._waited_ns += max(timeout_ns, 0)
        if self._waited_ns // NS > self._seconds:
            self._seconds = self._waited_ns // NS
            if self._seconds % REPLACED_EVERY == 0:
                self._replace(next(self._pairs))
            for sender in self._senders.values():
                sender.send(lab.FRAME)
        return Wake()

    def _replace(self, number: int) -> None:
        names = (f"in{number}", f"out{number}")
        for name in names:
            self._senders.pop(name).close()
        subprocess.run(["ip", "link", "del", names[0]], check=True)
        lab.add_pairs([number])
        for name in names:
            self._senders[name] = _sender(name)


def _sender(name: str) -> socket.socket:
    sender = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    sender.bind((name, 0))
    return sender


def run_recorder(samples: int, look_every: int) -> dict:
    """Resident KiB after every so many samples, and what the recorder says about itself."""
    lab.enter()
    time_passes = FastTime(lab.make_interfaces(INTERFACES))
    source = NetlinkSource()
    timing, rules = timing_and_rules(Settings(), source)
    meter = Meter(source.place(), rules, life_of=source.life)
    resident: list[int] = []
    said: list[str] = []

    def on_sample(_: Instant) -> None:
        if meter.health.samples // look_every > len(resident):
            resident.append(lab.resident_kib())

    with lab.workplace() as directory:
        book = LedgerWriter(
            str(directory / "netusage.db"), source.place(), boot_us=0, now_us=START_S * US, source=source.name
        )
        recorder = Recorder(
            source, time_passes, time_passes, book, meter, timing=timing, say=said.append, on_sample=on_sample
        )
        begun = time.monotonic()
        recorder.run(until_ns=time_passes.now().boot_ns + (samples + 2) * NS)
        health = meter.health
        book.close()
        source.close()
        return {
            "resident": resident,
            "samples": health.samples,
            "commits": health.commits,
            "events": health.events,
            "failed": health.failed_samples + health.failed_commits,
            "seconds": time.monotonic() - begun,
            "said": said[:5],
            "ledger": (directory / "netusage.db").stat().st_size,
        }


def run_daemons(seconds: float) -> dict:
    """KiB of both recorders, with the same interfaces and traffic."""
    lab.enter()
    names = lab.make_interfaces(INTERFACES)
    with lab.workplace() as directory, lab.daemons(directory) as both:
        traffic = lab.Traffic(names)
        time.sleep(seconds)
        traffic.stop()
        for one in both:
            one.check()
        return {one.name: lab.memory(one.pid) for one in both}


def measure(place: lab.Place) -> Result:
    samples = 10_000 if place.quick else 200_000  # the first half has the end of a whole day in it
    both = lab.run("memory.py", "daemons", namespaces=True)
    found = lab.run(
        "memory.py",
        "recorder",
        "--samples",
        str(samples),
        "--look-every",
        str(samples // 10),
        namespaces=True,
    )
    result = Result(
        "Memory",
        f"The recorders with {INTERFACES} interfaces and traffic on all of them, {DAEMONS_S} s after their start.",
        ["recorder", "resident", "its peak", "proportional", "its own"],
    )
    for name, sizes in both.items():
        result.rows.append([name, *map(mebibytes, sizes.values())])
    peak = both["netusage"]["VmHWM"]
    result.goals.append(Goal("below 30 MB", f"{peak * 1.024 / 1000:.1f} MB at most", peak * 1.024 < GOAL_KB))
    resident = found["resident"]
    growth = resident[-1] - resident[len(resident) // 2 - 1]
    shown = "MiB after every tenth: " + ", ".join(f"{kib / 1024:.2f}" for kib in resident)
    if place.quick:
        result.notes.append(f"{samples:,} samples are too few to tell growth from caches that fill; {shown}")
    else:
        whole = found["samples"] >= samples and not found["failed"]
        found_it = f"{growth:+} KiB in the second half; {shown}"
        result.goals.append(
            Goal(f"no growth over {samples // 2:,} samples", found_it, growth <= GROWTH_KIB and whole)
        )
    result.notes.append(
        f"in these samples {found['commits']:,} commits, {found['events']:,} link events (one pair of interfaces made anew "
        f"every {REPLACED_EVERY} samples), {found['failed']} failures, {found['seconds']:.0f} s"
    )
    result.notes += [f"it said: {line}" for line in found["said"]]
    return result


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=("daemons", "recorder"))
    parser.add_argument("--samples", type=int, default=100_000)
    parser.add_argument("--look-every", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=DAEMONS_S)
    chosen = parser.parse_args()
    if chosen.what == "daemons":
        result = run_daemons(chosen.seconds)
    else:
        result = run_recorder(chosen.samples, chosen.look_every)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
