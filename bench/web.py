"""The page and its API on a ledger of ten years: zoom steps, first paint, weight, fifty readers, and the recorder's beat.

Server, readers, browser and recorder share this machine's processors.
"""

import argparse
import asyncio
import contextlib
import http.client
import json
import os
import random
import re
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import lab
from tables import Goal, Result, number

APPLICATIONS = 200
READERS = 50
WINDOWS = {
    "an hour": 3600,
    "a day": 86_400,
    "a week": 7 * 86_400,
    "a month": 30 * 86_400,
    "a year": 365 * 86_400,
    "ten years": 3652 * 86_400,
}
CHOICES = {"all": "", "one application": "&application=program-001", "one scope": "&scope=internet"}
CHROMIUM = "/usr/bin/chromium"
FIRST_PAINT_MS, ZOOM_MS, WEIGHT, READ_MS = 500, 100, 250_000, 50
BEAT_MS = 5  # what the recorder's beat may differ by and still be the same, on such a machine


# ---- Who is measured --------------------------------------------------------------------------------------------


@contextlib.contextmanager
def running(command: list[str], sign: str) -> Iterator[tuple[subprocess.Popen, str]]:
    """A process that has said its sign on standard error, and what it said."""
    process = subprocess.Popen(
        [*lab.DIES_WITH_ITS_PARENT, *command],
        env=lab.environment() | {"NETUSAGE_RECORDER_APPLICATIONS": "off", "NETUSAGE_RECORDER_PINS": "off"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        said = process.stderr.readline()
        if sign not in said:
            raise lab.BenchError(f"{command[-1]} does not run: {said.strip()}")
        yield process, said
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate()


def record(path: str) -> None:
    """Record into a ledger until SIGTERM; then print how late each reading was, in microseconds."""
    from dataclasses import replace

    from netusage.recorder.session import open_session
    from netusage.settings.load import load

    settings = load(environment=os.environ).settings
    settings = replace(settings, recorder=replace(settings.recorder, applications="off", pins="off"))
    late: list[tuple[float, int]] = []
    begun: list[int] = []

    def on_sample(_session, at) -> None:
        begun.append(at.boot_ns)
        beside = (at.boot_ns - begun[0] + 500_000_000) % 1_000_000_000 - 500_000_000
        late.append((time.time(), abs(beside) // 1000))

    with open_session(
        settings, path, say=lambda _: None, reload=lambda: settings, must_record=True, on_sample=on_sample
    ) as session:
        print("recording", file=sys.stderr, flush=True)
        session.recorder.run()
    print(json.dumps(late[:-1]))


# ---- Who asks ---------------------------------------------------------------------------------------------------


def ask(connection: http.client.HTTPConnection, question: str) -> tuple[float, int]:
    """Milliseconds until the last byte is here, and how many bytes that are."""
    begun = time.perf_counter()
    connection.request("GET", f"/api/v1/{question}")
    answer = connection.getresponse()
    body = answer.read()
    took = (time.perf_counter() - begun) * 1e3
    if answer.status != 200:
        raise lab.BenchError(f"{question}: {answer.status} {body[:200]!r}")
    return took, len(body)


def zoom(port: int, times: int) -> dict[str, dict[str, list[float]]]:
    """Milliseconds of zoom steps, none of which was asked before: by window and what is looked at."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    now, dice = int(time.time()), random.Random(3)
    found: dict[str, dict[str, list[float]]] = {name: {} for name in WINDOWS}
    for _ in range(times):
        for name, seconds in WINDOWS.items():
            until = now - dice.randrange(1, 1 + min(seconds, 300 * 86_400) // 4)
            stretch = f"since=@{until - seconds}&until=@{until}"
            for choice, words in CHOICES.items():
                took = ask(connection, f"timeline?{stretch}&bars=300{words}")[0]
                found[name].setdefault(choice, []).append(took)
            found[name].setdefault("whose", []).append(ask(connection, f"breakdown?{stretch}")[0])
    connection.close()
    return found


async def _read_as_a_page(port: int, seconds: float, seed: int, took: list[float]) -> None:
    """One reader, who looks at another stretch once a second, and hears the present."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    dice = random.Random(seed)
    now = int(time.time()) // 3600 * 3600
    end = time.perf_counter() + seconds
    await asyncio.sleep(dice.random())
    while time.perf_counter() < end:
        begun = time.perf_counter()
        window = dice.choice(list(WINDOWS.values()))
        stretch = f"since=@{now - window}&until=now"
        words = dice.choice(list(CHOICES.values()))
        for question in ("now", f"timeline?{stretch}&bars=300{words}", f"breakdown?{stretch}{words}"):
            asked = time.perf_counter()
            writer.write(f"GET /api/v1/{question} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
            head = await reader.readuntil(b"\r\n\r\n")
            if not head.startswith(b"HTTP/1.1 200"):
                raise lab.BenchError(f"{question}: {head[:100]!r}")
            await reader.readexactly(int(re.search(rb"content-length: (\d+)", head)[1]))
            took.append((time.perf_counter() - asked) * 1e3)
        await asyncio.sleep(max(1 - (time.perf_counter() - begun), 0))
    writer.close()


def readers(port: int, seconds: float) -> None:
    """Fifty of them; prints what each answer took."""

    async def all_of_them() -> list[float]:
        took: list[float] = []
        await asyncio.gather(*(_read_as_a_page(port, seconds, n, took) for n in range(READERS)))
        return took

    print(json.dumps(asyncio.run(all_of_them())))


def paint(address: str, times: int) -> tuple[list[float], list[float], int]:
    """Milliseconds until the first contents and until the bars are drawn; bytes of a first visit."""
    from playwright.sync_api import sync_playwright

    first, bars, weight = [], [], 0
    arguments = [
        "--no-sandbox",
        "--disable-background-networking",
        "--disable-component-update",
        "--no-first-run",
    ]
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=arguments)
        for _ in range(times + 1):
            context = browser.new_context()
            page = context.new_page()
            sizes: list[int] = []
            page.on("requestfinished", lambda r: sizes.append(sum(r.sizes()[k] for k in _WEIGHTS)))  # noqa: B023
            page.goto(f"{address}?last=30d", wait_until="load")
            while not page.evaluate("performance.getEntriesByName('bars-drawn').length"):
                page.wait_for_timeout(20)
            first.append(page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime"))
            bars.append(page.evaluate("performance.getEntriesByName('bars-drawn')[0].startTime"))
            page.wait_for_timeout(300)
            weight = max(weight, sum(sizes))
            context.close()
        browser.close()
    return first[1:], bars[1:], weight  # the first one warms the browser up


_WEIGHTS = ("responseHeadersSize", "responseBodySize")


# ---- What is found ----------------------------------------------------------------------------------------------


def measure(place: lab.Place) -> Result:
    lab.need(CHROMIUM)
    path = place.directory / "applications.db"
    sizes = [
        "--years",
        str(place.years),
        "--interfaces",
        str(place.interfaces),
        "--applications",
        str(APPLICATIONS),
    ]
    lab.quietly(sys.executable, str(lab.BENCH / "make_ledger.py"), str(path), *sizes)
    times, seconds = (3, 5) if place.quick else (15, 30)
    server = [sys.executable, "-m", "netusage", "web", "--port", "0", "--db", str(path)]
    with running(server, "the page is at") as (process, said):
        address = re.search(r"http://\S+", said)[0]
        port = int(re.search(r":(\d+)/", address)[1])
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        ready_ms = ask(connection, "breakdown?since=10y")[0]
        steps = zoom(port, times)
        first, bars, weight = paint(address, 3 if place.quick else 9)
        recorder = [sys.executable, str(lab.BENCH / "web.py"), "record", str(path)]
        with running(recorder, "recording") as (recording, _):
            time.sleep(seconds)
            since = time.time()
            took = lab.run("web.py", "readers", str(port), str(seconds))
            until = time.time()
            recording.send_signal(signal.SIGTERM)
            late = json.loads(recording.communicate()[0])
        resident = _resident(process.pid)
    quiet = [us / 1e3 for at, us in late if at < since]
    loaded = [us / 1e3 for at, us in late if since <= at < until]
    return _result(place, steps, (first, bars, weight), took, (quiet, loaded), ready_ms, resident)


def _result(place, steps, page, took, beats, ready_ms, resident) -> Result:  # noqa: PLR0917
    result = Result(
        "The page and its API",
        f"A ledger of {place.years} years, {place.interfaces} interfaces and {APPLICATIONS} applications. Milliseconds "
        "from asking to the last byte, medians of steps that were not asked before; then the slowest of all.",
        ["zoom to", *CHOICES, "whose it was"],
    )
    for name, by in steps.items():
        result.rows.append([name, *(f"{statistics.median(own):.1f}" for own in by.values())])
    slowest = max(statistics.median(own) for by in steps.values() for own in by.values())
    worst = max(max(own) for by in steps.values() for own in by.values())
    result.rows.append(["the slowest", *(f"{max(max(by[c]) for by in steps.values()):.1f}" for c in by)])
    first, bars, weight = page
    useful = statistics.median(bars)
    quiet, loaded = beats
    p99 = _percentile(took, 99)
    before, under = _percentile(quiet, 99), _percentile(loaded, 99)
    result.goals += [
        Goal(
            f"any zoom step below {ZOOM_MS} ms",
            f"{slowest:.0f} ms, {worst:.0f} ms at worst",
            slowest < ZOOM_MS,
        ),
        Goal(
            f"first useful paint below {FIRST_PAINT_MS} ms",
            f"{useful:.0f} ms until the bars are drawn, {statistics.median(first):.0f} ms until anything is",
            useful < FIRST_PAINT_MS,
        ),
        Goal(f"a first visit below {number(WEIGHT)} bytes", number(weight), weight < WEIGHT),
        Goal(
            f"99 of 100 answers below {READ_MS} ms with {READERS} readers",
            f"{p99:.0f} ms; half of them {statistics.median(took):.1f} ms; {len(took)} answers",
            p99 < READ_MS,
        ),
        Goal(
            "the recorder's beat is the same while they read",
            f"99 of 100 readings within {under:.1f} ms of their second, {before:.1f} ms without readers",
            under < before + BEAT_MS,
        ),
    ]
    result.notes.append(f"what applications had of all time is in memory after {ready_ms / 1e3:.1f} s")
    result.notes.append(f"the server takes {resident / 1e6:.0f} MB of memory")
    result.notes.append(
        "a reader looks at another stretch once a second: the present, bars, and whose they were"
    )
    return result


def _percentile(numbers: list[float], which: int) -> float:
    ordered = sorted(numbers)
    return ordered[min(len(ordered) * which // 100, len(ordered) - 1)]


def _resident(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["record", "readers"])
    parser.add_argument("arguments", nargs="+")
    chosen = parser.parse_args()
    if chosen.what == "record":
        record(*chosen.arguments)
    else:
        readers(int(chosen.arguments[0]), float(chosen.arguments[1]))


if __name__ == "__main__":
    main()
