"""What is asked of a generated fleet, as SQL and as whole reports, and whether it is right."""

import datetime as dt
import gc
import heapq
import statistics
import time
from collections.abc import Callable
from zoneinfo import ZoneInfo

from fleet_rows import DAY_S, DAYS, FROM_S, OCTOBER_S, QUARTER_DAYS, SEPTEMBER_S, YEAR_DAYS

TOP = 20
MOST_MS = 10_000  # for one question
# Those that the goals are about: what hosts tell is by UTC.
OF_GOALS = tuple(
    f"{what}, UTC"
    for what in (
        f"top {TOP} hosts of a month",
        f"top {TOP} applications of a month",
        "one host's year by months",
    )
)
ZONES = {name: ZoneInfo(name) for name in ("UTC", "Europe/Berlin")}
_CLOCK = time.perf_counter


def median_ms(ask: Callable[[], object], times: int) -> list[float]:
    """The median, the least and the most of some rounds, milliseconds; where there are several, after one more.

    Without collections of garbage meanwhile, as the command line has it.
    """
    if times > 1:
        ask()
    took: list[float] = []
    while len(took) < times and sum(took) < MOST_MS:
        gc.collect()
        gc.disable()
        begun = _CLOCK()
        ask()
        took.append((_CLOCK() - begun) * 1e3)
        gc.enable()
    return [statistics.median(took), min(took), max(took)]


def september(zone: ZoneInfo) -> tuple[int, int]:
    return tuple(int(dt.datetime(2026, month, 1, tzinfo=zone).timestamp()) for month in (9, 10))


def top_sql(store, zone: ZoneInfo, what: str) -> str:
    """The busiest hosts or applications of September, from the tables that a reader takes."""
    from netusage.fleet.levels import stretches, within

    by = "host" if what == "usage" else "application"
    parts = []
    for level, own in stretches(september(zone), has_sums=True).items():
        table = level.usage if what == "usage" else level.share
        source = table.unfolded(store.table(table.name), (by, "rx_bytes", "tx_bytes"))
        parts.append(
            f"SELECT {by}, sum(rx_bytes + tx_bytes) AS part FROM {source} WHERE {within(own, table)} GROUP BY {by}"
        )
    return (
        f"SELECT {by}, sum(part) AS bytes FROM ({' UNION ALL '.join(parts)}) "
        f"GROUP BY {by} ORDER BY bytes DESC LIMIT {TOP}"
    )


def top_hosts(store, zone: ZoneInfo) -> list:
    from netusage.fleet.reader import FleetReader
    from netusage.reports.usage import Question, ReportKind, report

    since_s, until_s = september(zone)
    question = Question(
        kind=ReportKind.MONTH,
        zone=zone,
        now_s=until_s,
        since_s=since_s,
        until_s=until_s,
        packets=False,
        by_host=True,
    )
    found = report(FleetReader(store), question).rows
    return heapq.nlargest(TOP, found, key=lambda row: row.usage.total_bytes)


def top_applications(store, zone: ZoneInfo) -> list:
    from netusage.fleet.reader import FleetReader
    from netusage.periods import Period
    from netusage.reports.applications import applications, busiest
    from netusage.settings.schema import InterfaceSettings

    period = Period(*september(zone))
    found = applications(FleetReader(store), period, ["application"], InterfaceSettings())
    return busiest(found, TOP)[0]


def host_year_sql(store, zone: ZoneInfo) -> str:
    """The months of a host's year."""
    from netusage.fleet.levels import stretches, within

    key = store.query(f"SELECT host FROM {store.table('host')} FINAL WHERE name = 'host-3'")[0][0]
    parts = [
        f"SELECT toStartOfMonth(start, '{zone.key}') AS month, sum(rx_bytes) AS rx, sum(tx_bytes) AS tx "
        f"FROM {store.table(level.usage.name)} FINAL WHERE host = '{key}' AND {within(own, level.usage)} GROUP BY month"
        for level, own in stretches(year_edges(zone), has_sums=True).items()
    ]
    return f"SELECT toString(month), sum(rx), sum(tx) FROM ({' UNION ALL '.join(parts)}) GROUP BY month"


def year_edges(zone: ZoneInfo) -> list[int]:
    months = [(2025, 11), (2025, 12), *((2026, month) for month in range(1, 11))]
    return [int(dt.datetime(year, month, 1, tzinfo=zone).timestamp()) for year, month in months]


def host_year(store, zone: ZoneInfo, kind: str) -> list:
    """One host's year, by months or by days."""
    from netusage.fleet.reader import FleetReader
    from netusage.reports.usage import Question, ReportKind, report

    until_s = FROM_S + DAYS * DAY_S
    question = Question(
        kind=ReportKind(kind),
        zone=zone,
        now_s=until_s,
        since_s=until_s - YEAR_DAYS * DAY_S,
        until_s=until_s,
        packets=False,
    )
    return report(FleetReader(store, hosts=("host-3",)), question).rows


def questions(store, times: int) -> dict[str, dict[str, list[float]]]:
    """Milliseconds of every question, by what is asked and how."""
    found: dict[str, dict[str, list[float]]] = {}
    for name, zone in ZONES.items():
        for what, table, report in (
            ("hosts", "usage", top_hosts),
            ("applications", "share", top_applications),
        ):
            sql = top_sql(store, zone, table)
            found[f"top {TOP} {what} of a month, {name}"] = {
                "SQL": median_ms(lambda sql=sql: store.query(sql), times),
                "report": median_ms(lambda report=report, zone=zone: report(store, zone), times),
            }
        sql = host_year_sql(store, zone)
        found[f"one host's year by months, {name}"] = {
            "SQL": median_ms(lambda sql=sql: store.query(sql), times),
            "report": median_ms(lambda zone=zone: host_year(store, zone, "month"), times),
        }
        found[f"one host's year by days, {name}"] = {
            "report": median_ms(lambda zone=zone: host_year(store, zone, "day"), times)
        }
    return found


def agreement(store) -> list[str]:
    """Where months, days and quarters do not have the same bytes in September; nothing, if all is well."""
    last_s = QUARTER_DAYS[-1]
    found = []
    for names, from_s in (
        (("usage", "usage_day", "usage_month"), SEPTEMBER_S),
        (("share_day", "share_month"), SEPTEMBER_S),
        (("share", "share_day"), last_s),
    ):
        within = f"start >= toDateTime({from_s}) AND start < toDateTime({OCTOBER_S})"
        sums = {
            store.query(f"SELECT sum(rx_bytes), sum(tx_bytes) FROM {_source(store, name)} WHERE {within}")[0]
            for name in names
        }
        if len(sums) > 1:
            found.append(f"{' and '.join(names)}: {sums}")
    expected = store.query(top_sql(store, ZONES["UTC"], "usage"))
    told = [row.usage.total_bytes for row in top_hosts(store, ZONES["UTC"])]
    if [int(row[1]) for row in expected] != told:
        found.append("the report of the busiest hosts is another than that of SQL")
    return found


def _source(store, name: str) -> str:
    """A table in FROM, its numbers one by one, without FINAL."""
    from netusage.fleet.schema import TABLES

    (table,) = (one for one in TABLES if one.name == name)
    return table.unfolded(store.table(name), ("rx_bytes", "tx_bytes"), final=False)


def final_rate(store) -> dict[str, float]:
    """Rows a second of a sum over a week's quarters of all hosts, with FINAL and without."""
    from netusage.fleet.levels import within
    from netusage.fleet.schema import USAGE

    week = within([(SEPTEMBER_S + DAY_S, SEPTEMBER_S + 8 * DAY_S)], USAGE)
    ((many,),) = store.query(f"SELECT toUInt64(count()) FROM {store.table('usage')} WHERE {week}")
    found = {}
    for name, word in (("with", "FINAL"), ("without", "")):
        sql = f"SELECT host, sum(rx_bytes) AS bytes FROM {store.table('usage')} {word} WHERE {week} GROUP BY host"
        found[name] = (
            many / median_ms(lambda sql=sql: store.query(f"{sql} ORDER BY bytes LIMIT 1"), 3)[0] * 1e3
        )
    return found
