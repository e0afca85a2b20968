"""What one reading of all interfaces costs: this project's source beside psutil, /proc/net/dev and pyroute2."""

import argparse
import contextlib
import json
import statistics
import time
from collections.abc import Callable, Iterator, Sequence

import lab
from tables import Goal, Result, microseconds, times

from netusage.model import Reading
from netusage.sources.interfaces_linux import NetlinkSource

Totals = tuple[int, int]  # all bytes received, all bytes sent: what everybody has to agree upon
ROUND_S = 0.02
SIZES = (4, 100, 2000)
CONTESTANTS = ("netusage", "psutil", "psutil, nowrap", "/proc/net/dev", "pyroute2")
GOAL = 4


@contextlib.contextmanager
def contestants() -> Iterator[dict[str, tuple[Callable[[], object], Callable[[object], Totals]]]]:
    """By name, how to take a reading, and how to add one up."""
    import psutil
    from pyroute2 import IPRoute

    with contextlib.closing(NetlinkSource()) as source, IPRoute() as route:
        yield {
            "netusage": (lambda: with_numbers(source.read()), lambda r: (sum(r[1]), sum(r[2]))),
            "psutil": (lambda: psutil.net_io_counters(pernic=True, nowrap=False), _sum_of_psutil),
            "psutil, nowrap": (lambda: psutil.net_io_counters(pernic=True), _sum_of_psutil),
            "/proc/net/dev": (
                proc_net_dev,
                lambda r: tuple(map(sum, list(zip(*r.values(), strict=True))[:2])),
            ),
            "pyroute2": (
                lambda: by_pyroute2(route),
                lambda r: tuple(map(sum, list(zip(*r, strict=True))[1:3])),
            ),
        }


def with_numbers(reading: Reading) -> Sequence[Sequence[int]]:
    """The columns as numbers, also where they are still views of what the kernel gave."""
    return reading.lists() if isinstance(reading.indexes, memoryview) else reading


def proc_net_dev() -> dict[str, tuple[int, int, int, int]]:
    """The plain way to parse it: received and sent bytes, received and sent packets, by name."""
    found = {}
    with open("/proc/net/dev", encoding="ascii") as file:
        for line in file.readlines()[2:]:
            name, _, numbers = line.rpartition(":")
            fields = numbers.split()
            found[name.strip()] = (int(fields[0]), int(fields[8]), int(fields[1]), int(fields[9]))
    return found


def by_pyroute2(route: object) -> list[tuple[str, int, int, int, int]]:
    found = []
    for link in route.get_links():
        stats = link.get_attr("IFLA_STATS64")
        counted = (stats["rx_bytes"], stats["tx_bytes"], stats["rx_packets"], stats["tx_packets"])
        found.append((link.get_attr("IFLA_IFNAME"), *counted))
    return found


def _sum_of_psutil(reading: dict) -> Totals:
    return sum(nic.bytes_recv for nic in reading.values()), sum(nic.bytes_sent for nic in reading.values())


def cpu_us(take: Callable[[], object], repeats: int) -> float:
    begun = time.process_time_ns()
    for _ in range(repeats):
        take()
    return (time.process_time_ns() - begun) / repeats / 1000


def run_inside(count: int, rounds: int, seconds: float) -> dict:
    lab.enter()
    traffic = lab.Traffic(lab.make_interfaces(count), rounds_per_second=1000)
    time.sleep(1)
    traffic.stop()
    by_name: dict[str, list[float]] = {}
    with contestants() as all_of_them:
        sums = {name: add_up(take()) for name, (take, add_up) in all_of_them.items()}
        if len(set(sums.values())) != 1 or not all(sums["netusage"]):
            raise lab.BenchError(f"the contestants disagree: {sums}")
        names = CONTESTANTS
        repeats = {}
        for name in names:
            once = cpu_us(all_of_them[name][0], 2)
            repeats[name] = max(1, int(ROUND_S * 1e6 / once))
            by_name[name] = []
        begun = time.monotonic()
        for n in range(rounds):
            if n >= 3 and time.monotonic() - begun > seconds:
                break
            for name in names[n % len(names) :] + names[: n % len(names)]:
                by_name[name].append(cpu_us(all_of_them[name][0], repeats[name]))
    return by_name


def measure(place: lab.Place) -> Result:
    result = Result(
        "Reading all interfaces once",
        "CPU time of one reading, in a namespace with that many interfaces (veth, counters not zero) and `lo`; medians of "
        "rounds, order rotated. All of them gave the same sums.",
        ["interfaces", *CONTESTANTS, "psutil ÷ netusage"],
    )
    for count in SIZES:
        limits = ["--rounds", "5", "--seconds", "3"] if place.quick else ["--seconds", "90"]
        found = lab.run("read.py", "--interfaces", str(count), *limits, namespaces=True)
        middle = {name: statistics.median(found[name]) for name in CONTESTANTS}
        ratio = middle["psutil"] / middle["netusage"]
        result.rows.append([f"{count:,}", *map(microseconds, middle.values()), times(ratio)])
        asked = f"at least {GOAL} times cheaper than psutil at {count:,} interfaces"
        result.goals.append(Goal(asked, times(ratio), ratio >= GOAL))
    result.notes.append("psutil is asked with `pernic=True, nowrap=False`; `nowrap` is its default")
    return result


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--interfaces", type=int, required=True)
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--seconds", type=float, default=60)
    chosen = parser.parse_args()
    print(json.dumps(run_inside(chosen.interfaces, chosen.rounds, chosen.seconds)))


if __name__ == "__main__":
    main()
