"""What reports cost on a ledger of ten years: inside a running process, in zones of whole and of odd hours."""

import argparse
import contextlib
import io
import json
import sqlite3
import statistics
import time
from pathlib import Path

import lab
from tables import Goal, Result, number

ZONES = ("UTC", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe")
KINDS = ("minute", "5min", "hour", "day", "week", "month", "year", "total", "top")
WHOLE = ("day", "week", "month")  # these also over everything there is; year, total and top always are
RATED = ("hour", "day", "week", "month")  # these also with rates
EVERYTHING = "over all years"
RATES = "with peaks and the 95th percentile"
PEAKS = "over all years with peaks"
LONG_RATES = "over all years with the 95th percentile"
MOST_SECONDS = 10  # for one command line in all zones
GOAL_MS = 50
GOAL_MB = 2


def questions() -> dict[str, list[str]]:
    """The command lines, by what they are called in the table."""
    found = {"netusage": [], "interfaces": ["interfaces"]}
    found |= {f"report {kind}": ["report", kind] for kind in KINDS}
    found |= {f"report {kind} {EVERYTHING}": ["report", kind, "--since", "1990-01-01"] for kind in WHOLE}
    found |= {f"report {kind} {RATES}": ["report", kind, "--peak", "--percentile", "95"] for kind in RATED}
    found |= {f"report {kind} {PEAKS}": ["report", kind, "--peak"] for kind in ("year", "total")}
    return found | {
        f"report {kind} {LONG_RATES}": ["report", kind, "--percentile", "95"] for kind in ("year", "total")
    }


def answer(arguments: list[str], ledger: str, zone: str, shape: str) -> str:
    """What a command prints; it runs in this process as it does in one of its own."""
    from netusage.cli.failures import run

    printed = io.StringIO()
    common = ["--tz", zone, "--format", shape, "--db", ledger]
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(io.StringIO()) as said:
        code = run([*arguments, *common])
    if code:
        raise lab.BenchError(f"netusage {' '.join(arguments)} ended with {code}: {said.getvalue().strip()}")
    return printed.getvalue()


def measure_here(ledger: str, rounds: int) -> dict:
    """Milliseconds by question and zone, and how many rows there were; the first answers are thrown away."""
    took: dict[str, dict[str, list[float]]] = {name: {zone: [] for zone in ZONES} for name in questions()}
    rows: dict[str, int] = {}
    for name, arguments in questions().items():
        rows[name] = len(json.loads(answer(arguments, ledger, ZONES[0], "json"))["rows"])
        answer(arguments, ledger, ZONES[0], "table")
    loops = []
    for n in range(rounds):
        loops.append(loop_ms())
        for name, arguments in questions().items():
            if sum(map(sum, took[name].values())) > MOST_SECONDS * 1e3:
                continue
            for zone in ZONES[n % len(ZONES) :] + ZONES[: n % len(ZONES)]:
                begun = time.perf_counter()
                answer(arguments, ledger, zone, "table")
                took[name][zone].append((time.perf_counter() - begun) * 1e3)
    return {
        "rows": rows,
        "loops": loops,
        "ms": {
            name: {zone: statistics.median(all_) for zone, all_ in by_zone.items()}
            for name, by_zone in took.items()
        },
        "differences": differences(ledger),
    }


def loop_ms() -> float:
    """What a million additions take, one after the other: how fast the machine is at this moment."""
    begun, total = time.perf_counter(), 0
    for n in range(1_000_000):
        total += n
    return (time.perf_counter() - begun) * 1e3


def differences(ledger: str) -> list[str]:
    """In which zone which periods do not add up to what was recorded; nothing, if all is well."""
    with contextlib.closing(sqlite3.connect(ledger)) as book:
        recorded = book.execute("SELECT sum(rx_bytes), sum(tx_bytes) FROM interface WHERE counted").fetchone()
    found = []
    for zone in ZONES:
        for kind in ("day", "week", "month", "year", "total"):
            parts = sums(answer(["report", kind, "--since", "1990-01-01"], ledger, zone, "json"))
            if parts != recorded:
                found.append(f"{kind}s in {zone} give {parts}, not {recorded}")
    return found


def sums(text: str) -> tuple[int, int]:
    rows = json.loads(text)["rows"]
    return sum(row["rx_bytes"] for row in rows), sum(row["tx_bytes"] for row in rows)


def measure(place: lab.Place) -> Result:
    ledger = place.ledger()
    found = lab.run("reports.py", str(ledger), "--rounds", "3" if place.quick else "9")
    years, interfaces = place.years, place.interfaces
    result = Result(
        "Reports",
        f"Whole commands inside a running process, printed as a table, on a ledger of {years} years x {interfaces} busy "
        "interfaces; medians, time zones rotated.",
        ["command", "rows", *ZONES],
    )
    for name, by_zone in found["ms"].items():
        shown = [f"{number(by_zone[zone])} ms" for zone in ZONES]
        result.rows.append([f"`{name}`" if name == "netusage" else name, f"{found['rows'][name]:,}", *shown])
    worst = {name: max(by_zone.values()) for name, by_zone in found["ms"].items()}
    for about, suffix in (
        ("any report, as it is asked for", ""),
        ("days, weeks and months of the whole history", EVERYTHING),
        ("reports with rates", RATES),
        ("peaks of the whole history", PEAKS),
        ("percentiles of the whole history", LONG_RATES),
    ):
        special = (EVERYTHING, RATES, PEAKS, LONG_RATES)
        chosen = [n for n in worst if (n.endswith(suffix) if suffix else not n.endswith(special))]
        slowest = max(chosen, key=worst.__getitem__)
        said = f"at most {number(worst[slowest])} ms ({slowest})"
        result.goals.append(Goal(f"{about}, within {GOAL_MS} ms", said, worst[slowest] <= GOAL_MS))
    least, most = min(found["loops"]), max(found["loops"])
    result.notes.append(
        f"meanwhile a loop of a million additions in Python took {number(least)} to {number(most)} ms"
    )
    wrong = found["differences"]
    exact = (
        "days, weeks, months and years add up to what was recorded, to the byte"
        if not wrong
        else "; ".join(wrong)
    )
    result.goals.append(Goal("exact in every zone", exact, not wrong))
    size = Path(ledger).stat().st_size / years / interfaces / 1e6
    if place.quick:
        result.notes.append(
            "one year is too short to tell what a year takes on disk: minutes are kept for 35 days"
        )
    else:
        asked = f"at most {GOAL_MB} MB a busy interface-year on disk"
        result.goals.append(Goal(asked, f"{size:.2f} MB", size <= GOAL_MB))
    return result


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("ledger")
    parser.add_argument("--rounds", type=int, default=9)
    chosen = parser.parse_args()
    print(json.dumps(measure_here(chosen.ledger, chosen.rounds)))


if __name__ == "__main__":
    main()
