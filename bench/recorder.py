"""What recording costs: `netusage daemon` reading every second beside vnstatd polling every five, same interfaces."""

import argparse
import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import lab
from tables import Goal, Result, number, times

INTERFACES = 100
SETTLE_S = 8
WARM_S = 75  # vnstatd works more when traffic begins, which is not what it costs day by day
ENOUGH_TICKS = 20  # of 10 ms, to tell the kernel's part
WINDOWS = {"busy": "packets on all", "idle": "no packets"}


def window(contestants: tuple[lab.Daemon, lab.Daemon], minutes: int, minute_s: float, what: str) -> dict:
    """CPU milliseconds of every minute, and what was written, of both at the same time."""
    begun = {one.name: lab.cost(one.pid) for one in contestants}
    before = dict(begun)
    cpu: dict[str, list[float]] = {one.name: [] for one in contestants}
    started = time.monotonic()
    for _ in lab.Every(minute_s, what).ticks(minutes):
        for one in contestants:
            one.check()
            now = lab.cost(one.pid)
            cpu[one.name].append((now.cpu_ns - before[one.name].cpu_ns) / 1e6)
            before[one.name] = now
    lasted = time.monotonic() - started
    result = {}
    for one in contestants:
        used = before[one.name].since(begun[one.name])
        ticks = used.user_ticks + used.system_ticks
        result[one.name] = {
            "seconds": lasted,
            "cpu_ms": used.cpu_ns / 1e6,
            "by_minute_ms": cpu[one.name],
            "system_share": used.system_ticks / ticks if ticks >= ENOUGH_TICKS else None,
            "written": used.written,
        }
    return result


def run_inside(minutes: int, idle_minutes: int, calls_s: int, minute_s: float, warm_s: float) -> dict:
    lab.enter()
    names = lab.make_interfaces(INTERFACES)
    result: dict = {}
    with lab.workplace() as directory, lab.daemons(directory) as both:
        time.sleep(SETTLE_S)
        for one in both:
            one.check()
        if idle_minutes:
            result["idle"] = window(both, idle_minutes, minute_s, "recorder, idle")
        traffic = lab.Traffic(names)
        try:
            time.sleep(warm_s)
            result["busy"] = window(both, minutes, minute_s, "recorder, traffic")
            result["memory"] = {one.name: lab.memory(one.pid) for one in both}
            if calls_s:
                result["calls_s"] = calls_s
                result["calls"] = lab.system_calls({one.name: one.pid for one in both}, calls_s, directory)
        finally:
            traffic.stop()
        result["poll"] = vnstat_intervals(directory)
    return result


def vnstat_intervals(directory: Path) -> str:
    """vnStat's own words on the intervals in force."""
    shown = lab.output("vnstat", "--config", str(directory / "vnstat.conf"), "--showconfig")
    wanted = ("PollInterval", "UpdateInterval", "SaveInterval")
    found = (line.lstrip(";").split() for line in shown.splitlines())
    return ", ".join(f"{row[0]} {row[1]}" for row in found if row and row[0] in wanted)


def measure(place: lab.Place) -> Result:
    if place.quick:
        chosen = ["--idle-minutes", "1", "--minutes", "3", "--minute-s", "20", "--warm-s", "5"]
    else:
        chosen = ["--calls", "300"] if shutil.which("strace", path=lab.search_path()) else []
    found = lab.run("recorder.py", *chosen, namespaces=True)
    result = Result(
        "Recording",
        f"`netusage daemon --applications off`, since vnstat knows of interfaces only, and `vnstatd` as it is when nothing is "
        f"configured, at the same time in one namespace with "
        f"{INTERFACES} interfaces (veth): CPU time, user and system, of all their threads. netusage takes a sample every second "
        f"and commits every 10; vnstatd: {found['poll']}.",
        [
            "traffic",
            "minutes",
            "netusage CPU/min",
            "vnstatd CPU/min",
            "netusage ÷ vnstatd",
            "written/min",
            "by vnstatd",
        ],
    )
    for window_, about in WINDOWS.items():
        ours, theirs = (found[window_][name] for name in ("netusage", "vnstatd"))
        minutes = ours["seconds"] / 60
        ratio = ours["cpu_ms"] / theirs["cpu_ms"]
        result.rows.append(
            [
                about,
                number(minutes),
                *(f"{number(one['cpu_ms'] / minutes)} ms" for one in (ours, theirs)),
                times(ratio),
                *(f"{one['written'] / 1024 / minutes:.0f} KiB" for one in (ours, theirs)),
            ]
        )
        if not place.quick:
            result.goals.append(Goal(f"less CPU than vnstatd ({about})", times(ratio), ratio < 1))
    result.notes += list(notes(found))
    if place.quick:
        result.notes.append(
            "too short to judge: vnstatd saves every five minutes, and that costs it as much as a minute of polling"
        )
    return result


def notes(found: dict) -> Iterator[str]:
    """By minute, so that the saves of vnstatd can be seen; and how often the kernel was called."""
    for window_, about in WINDOWS.items():
        for name, one in found[window_].items():
            minutes = " ".join(
                f"{ms * 60 * len(one['by_minute_ms']) / one['seconds']:.0f}" for ms in one["by_minute_ms"]
            )
            kernel = "" if one["system_share"] is None else f"{one['system_share']:.0%} of it in the kernel; "
            yield f"{name}, {about}: {kernel}ms/min, minute by minute: {minutes}"
    for name, calls in found.get("calls", {}).items():
        minutes = found["calls_s"] / 60
        synced = sum(calls.get(call, 0) for call in ("fsync", "fdatasync"))
        yield f"{name}: {sum(calls.values()) / minutes:,.0f} system calls a minute, {synced / minutes:.1f} of them wait for the disk"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=int, default=10)
    parser.add_argument("--idle-minutes", type=int, default=5)
    parser.add_argument("--calls", type=int, default=0)
    parser.add_argument("--minute-s", type=float, default=60)
    parser.add_argument("--warm-s", type=float, default=WARM_S)
    chosen = parser.parse_args()
    print(
        json.dumps(
            run_inside(chosen.minutes, chosen.idle_minutes, chosen.calls, chosen.minute_s, chosen.warm_s)
        )
    )


if __name__ == "__main__":
    main()
