"""A fleet of 10,000 hosts in both dialects of ClickHouse: what goes in, what it takes on disk, and what answers take.

The large part of the rows is made within ClickHouse; see fleet_rows.py for what they are.
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

import clickhouse
import deliveries
import fleet_asked
import fleet_rows as rows
import lab
from fleet_rows import DAY_S, FROM_S, OCTOBER_S, SEPTEMBER_S, Part
from tables import Goal, Result, number

HOSTS, QUICK_HOSTS = 10_000, 20
YEAR_HOSTS = 20  # the first of them have a whole year
AT_ONCE = 500  # hosts in one statement that makes rows
TOP_MS, YEAR_MS = 200, 50
BYTES = {"old": 20, "new": 12}
SHIP_S = 3.6
_SUMMED = ("usage", "share")
_DAY = "toDateTime(intDiv(toUInt32(start), 86400) * 86400, 'UTC')"
_MONTH = "toDateTime(toStartOfMonth(start, 'UTC'), 'UTC')"
_CLOCK = time.perf_counter


# ---- Making the fleet -------------------------------------------------------------------------------------------


def generate(store, hosts: int) -> dict[str, float]:
    """Fill a store; seconds that each kind of rows took to be made and written."""
    from netusage.fleet import schema

    took: dict[str, float] = {}

    def write(table, select: str) -> None:
        begun = _CLOCK()
        store.execute(rows.insert(store.table(table.name), table.names, select))
        took[table.name] = took.get(table.name, 0.0) + _CLOCK() - begun

    usage = store.table(schema.USAGE.name)
    every = [Part(first, min(first + AT_ONCE, hosts), 0, 0) for first in range(0, hosts, AT_ONCE)]
    for from_s, until_s, parts in (
        (SEPTEMBER_S, OCTOBER_S, every),
        (FROM_S, SEPTEMBER_S, every),
        (OCTOBER_S, FROM_S + rows.DAYS * DAY_S, every),
        (FROM_S - (rows.YEAR_DAYS - rows.DAYS) * DAY_S, FROM_S, [Part(0, min(YEAR_HOSTS, hosts), 0, 0)]),
    ):
        for part in parts:
            write(schema.USAGE, rows.usage(part._replace(from_s=from_s, until_s=until_s)))
        for table, start in ((schema.USAGE_DAY, _DAY), (schema.USAGE_MONTH, _MONTH)):
            write(table, rows.usage_sums(usage, start, Part(0, 0, from_s, until_s)))
    for part in every:
        for day_s in rows.QUARTER_DAYS:
            write(schema.SHARE, rows.share(part._replace(from_s=day_s, until_s=day_s + DAY_S)))
        for from_s, until_s in ((rows.QUARTER_DAYS[0], SEPTEMBER_S), (SEPTEMBER_S, OCTOBER_S)):
            own = part._replace(from_s=from_s, until_s=until_s)
            write(schema.SHARE_DAY, rows.share_sums(_DAY, own))
            write(schema.SHARE_MONTH, rows.share_sums(_MONTH, own))
    write(schema.INTERFACE, rows.interface(0, hosts))
    write(schema.HOST, rows.host(0, hosts, YEAR_HOSTS))
    return took


def settle(store) -> float:
    """Merge the month that is asked for, as it is some time later; seconds."""
    begun = _CLOCK()
    for name in ("usage", "usage_day", "usage_month", "share", "share_day", "share_month"):
        for month in (202608, 202609):
            if month == 202608 and name in ("usage", "share"):
                continue  # it makes no difference, and takes long
            store.execute(f"OPTIMIZE TABLE {store.table(name)} PARTITION {month} FINAL")
    for name in ("host", "interface"):
        store.execute(f"OPTIMIZE TABLE {store.table(name)} FINAL")
    while store.query("SELECT count() FROM system.merges")[0][0]:
        time.sleep(1)
    return _CLOCK() - begun


def sizes(store) -> dict[str, tuple[int, int, int]]:
    """Rows, bytes on disk and parts of every table."""
    found = store.query(
        "SELECT table, toUInt64(sum(rows)), toUInt64(sum(bytes_on_disk)), toUInt64(count()) FROM system.parts "
        f"WHERE database = '{store.address.database}' AND active GROUP BY table"
    )
    return {name: (int(many), int(size), int(parts)) for name, many, size, parts in found}


def in_lists(store) -> dict[str, int]:
    """How many values the lists have of the tables that have some."""
    from netusage.fleet.schema import TABLES

    return {
        table.name: int(
            store.query(f"SELECT toUInt64(sum(length({table.lists[0]}))) FROM {store.table(table.name)}")[0][
                0
            ]
        )
        for table in TABLES
        if table.lists
    }


def by_column(store, table: str) -> dict[str, float]:
    """Bytes a row of every column."""
    where = f"WHERE database = '{store.address.database}' AND table = '{table}'"
    ((many,),) = store.query(f"SELECT toUInt64(sum(rows)) FROM system.parts {where} AND active")
    columns = store.query(f"SELECT name, data_compressed_bytes FROM system.columns {where}")
    return {name: int(size) / int(many) for name, size in columns}


# ---- What is found ----------------------------------------------------------------------------------------------


def measure_here(which: str, directory: Path, hosts: int, *, quick: bool, only_make: bool = False) -> dict:
    """Everything on one dialect; the fleet is made in a directory that has none."""
    times = 1 if quick else 15
    many = 20_000 if quick else 2_000_000
    opened = (
        clickhouse.debian(directory / "server", clickhouse.ZSTD)
        if which == "old"
        else clickhouse.today(directory / "session")
    )
    made, found = directory / "made.json", {}
    with opened as engine, engine.store("netusage") as store:
        if not made.exists():
            clickhouse.make_tables(store)
            made.write_text(json.dumps({"generated_s": generate(store, hosts), "settled_s": settle(store)}))
        if only_make:
            return {}
        found = json.loads(made.read_text())
        found["version"] = ".".join(map(str, store.version))
        if which == "old":
            found["shipping"] = deliveries.shipping(engine, directory, quick=quick)
        found["inserts"] = deliveries.inserts(engine, many)
        found["sizes"] = sizes(store)
        found["values"] = in_lists(store)
        found["columns"] = {name: by_column(store, name) for name in _SUMMED}
        found["questions"] = fleet_asked.questions(store, times)
        found["final"] = fleet_asked.final_rate(store)
        found["differences"] = fleet_asked.agreement(store)
        if which == "old":
            found["deliveries"] = deliveries.deliveries(engine, store, hosts, 1 if quick else 30)
        found["memory_mib"] = engine.memory_mib()
    if which == "old":
        found["plain"] = as_it_comes(directory, Part(0, min(AT_ONCE, hosts), SEPTEMBER_S, OCTOBER_S))
    return found


def as_it_comes(directory: Path, part: Part) -> tuple[int, int, int]:
    """Rows, bytes and parts of `usage` on Debian's server as it is configured by default."""
    from netusage.fleet.schema import USAGE

    with clickhouse.debian(directory / "plain") as engine, engine.store("netusage") as store:
        clickhouse.make_tables(store)
        usage = store.table(USAGE.name)
        store.execute(rows.insert(usage, USAGE.names, rows.usage(part)))
        store.execute(f"OPTIMIZE TABLE {usage} FINAL")
        return sizes(store)[USAGE.name]


def measure(place: lab.Place) -> Result:
    hosts = QUICK_HOSTS if place.quick else HOSTS
    found = {}
    for which in ("old", "new"):
        directory = place.directory / which
        directory.mkdir()
        arguments = [which, str(directory), str(hosts), *(["--quick"] if place.quick else [])]
        found[which] = lab.run("fleet.py", *arguments)
    return result(found, hosts)


def result(found: dict, hosts: int) -> Result:
    old, new = found["old"], found["new"]
    result = Result(
        "A fleet",
        f"{hosts:,} hosts x {rows.DAYS} days of quarters for one counted interface, {YEAR_HOSTS} of them with a whole year, "
        f"and what applications had, in 12 rows an hour while a host is busy: {len(rows.QUARTER_DAYS)} days of quarters, and the days "
        "and months of 31 days. All made by hash functions within ClickHouse (bench/fleet_rows.py). Debian's server "
        "compresses with zstd (docs/capacity.md); today's version is in one process with who asks. Milliseconds are medians, "
        "with the least and the most.",
        ["", f"ClickHouse {old['version']}", f"{new['version']}, in a process"],
    )

    def row(title: str, cell: Callable[[dict], str]) -> None:
        result.rows.append([title, *(cell(one) for one in (old, new))])

    for name in ("usage", "usage_day", "usage_month", "share", "share_day", "share_month"):
        row(f"rows of {name}", lambda one, name=name: f"{one['sizes'][name][0]:,}")
        if name in old["values"]:
            row(f"places in lists of {name}", lambda one, name=name: f"{one['values'][name]:,}")
            row(
                f"bytes a place of {name}",
                lambda one, name=name: number(one["sizes"][name][1] / one["values"][name]),
            )
        else:
            row(f"bytes a row of {name}", lambda one, name=name: number(_bytes_a_row(one, name)))
    row("all on disk", lambda one: f"{sum(size for _, size, _ in one['sizes'].values()) / 1e9:.2f} GB")
    row("rows/s, batches of 20,000 that are ready", lambda one: f"{one['inserts']['ready']:,.0f}")
    row("rows/s by Store.insert, which makes the text", lambda one: f"{one['inserts']['Store.insert']:,.0f}")
    for question, hows in old["questions"].items():
        for how in hows:
            row(
                f"{question}: {how}",
                lambda one, q=question, h=how: "{:.0f} ({:.0f} to {:.0f})".format(*one["questions"][q][h]),
            )
    for how in ("with", "without"):
        row(
            f"rows/s read {how} FINAL, quarters of a week",
            lambda one, how=how: f"{one['final'][how] / 1e6:.1f} M",
        )
    row("memory at the most", lambda one: f"{one['memory_mib'] / 1024:.1f} GiB")
    _goals(result, found)
    _notes(result, found)
    return result


def _bytes_a_row(one: dict, name: str) -> float:
    many, size, _ = one["sizes"][name]
    return size / many


def _goals(result: Result, found: dict) -> None:
    old, new, ship = found["old"], found["new"], found["old"]["shipping"]
    for which, one in found.items():
        size = _bytes_a_row(one, "usage")
        said = f"below {BYTES[which]} bytes a row of usage on {one['version']}"
        result.goals.append(Goal(said, f"{size:.2f}", size < BYTES[which]))
    for one in (old, new):
        for question in fleet_asked.OF_GOALS:
            limit = TOP_MS if question.startswith("top") else YEAR_MS
            for how, (median, least, most) in one["questions"][question].items():
                said = f"below {limit} ms on {one['version']}: {question}: {how}"
                told = f"{median:.0f} ms ({least:.0f} to {most:.0f})"
                result.goals.append(Goal(said, told, median < limit))
    result.goals += [
        Goal(
            "shipping below 0.1 % of a core at one delivery an hour",
            f"{ship['cpu_s'] / 36:.3f} %: {ship['cpu_s']:.2f} s of CPU time, {ship['most_s']:.2f} s at most",
            ship["most_s"] < SHIP_S,
        ),
        Goal(
            "months, days and quarters have the same bytes, and reports those of SQL",
            "; ".join(old["differences"] + new["differences"]) or "to the byte",
            not old["differences"] + new["differences"],
        ),
    ]


def _notes(result: Result, found: dict) -> None:
    old, new, ship, done = found["old"], found["new"], found["old"]["shipping"], found["old"]["deliveries"]
    many, size, _ = old["plain"]
    say = result.notes.append
    say(f"{old['version']} as it is configured by default, with lz4: {size / many:.2f} bytes a row of usage")
    for one in (old, new):
        for name in _SUMMED:
            columns = sorted(one["columns"][name].items(), key=lambda pair: -pair[1])
            told = ", ".join(f"{column} {size:.2f}" for column, size in columns if size >= 0.005)
            if told:  # small parts do not say
                say(f"bytes a row of {name} by column, {one['version']}: {told}")
    say(
        f"`netusage ship --once`, the whole process, on a ledger of {ship['megabytes']:.0f} MB: {ship['cpu_s']:.2f} s of CPU "
        f"time, user and system, within {ship['wall_s']:.2f} s, and {ship['memory_mib']:.0f} MiB; {ship['idle_s']:.2f} s of CPU "
        f"time with nothing new; the whole ledger at once, {ship['first_rows']:,} rows with days and months: "
        f"{ship['first_wall_s']:.0f} s, {ship['first_cpu_s']:.0f} s of CPU time, {ship['first_memory_mib']:.0f} MiB"
    )
    say(
        f"hourly deliveries to {old['version']}, {deliveries.SENDERS} at a time for {done['seconds']:.0f} s, {done['requests']} "
        f"requests each: {done['a second']:.1f} a second, {done['cpu_ms']:.0f} ms of the server's CPU time each; its tables "
        f"had {done['parts']:,} parts then"
    )
    made = [f"{sum(one['generated_s'].values()):.0f} s and {one['settled_s']:.0f} s" for one in (old, new)]
    say(f"making the fleet and merging the month that is asked for took {made[0]}, and {made[1]}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("which", choices=["old", "new"])
    parser.add_argument("directory", type=Path)
    parser.add_argument("hosts", type=int)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument(
        "--only-make", action="store_true", help="the fleet, for a later run in the same directory"
    )
    chosen = parser.parse_args()
    found = measure_here(
        chosen.which, chosen.directory, chosen.hosts, quick=chosen.quick, only_make=chosen.only_make
    )
    print(json.dumps(found))


if __name__ == "__main__":
    main()
