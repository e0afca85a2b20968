"""The rows of a generated fleet, as SQL that makes them within ClickHouse: all of them by hash functions, so always the same.

A third of the hosts are busy at all times, the others from 7 to 19 o'clock on five days of seven, in 85 of 100 quarters of
an hour; there is a row for every quarter, and in the others a few kilobytes (ARP, NTP and the like). What a busy quarter has
is log-normal: hosts differ (sigma 1.2), quarters of a host do (0.8), and hours of the day by four times. Packets are of 300
to 1,300 bytes received, 100 to 800 sent; peaks 3 to 30 times the average. In each busy quarter three applications have a part
of it, so 12 rows an hour, out of 21 of a host and 300 of the fleet.
"""

from typing import NamedTuple

DAY_S = 86_400
FROM_S = 1_785_542_400  # 2026-08-01 00:00 UTC, a Saturday
SEPTEMBER_S = FROM_S + 31 * DAY_S
OCTOBER_S = SEPTEMBER_S + 30 * DAY_S
# Of applications there are all days from the first of these on until October, and quarters of these alone.
QUARTER_DAYS = (SEPTEMBER_S - DAY_S, SEPTEMBER_S, OCTOBER_S - 2 * DAY_S, OCTOBER_S - DAY_S)
DAYS = 90  # up to 2026-10-30 00:00
YEAR_DAYS = 365  # of some hosts: until then
INTERFACES = (("eth0", 1, "hardware"), ("lo", 0, "loopback never leaves the machine"))
_COUNTERS = "rx_bytes, tx_bytes, rx_packets, tx_packets"
_LISTS = (
    *("who_kind", "application", "path", "user", "unit", "container", "pod", "scope", "protocol"),
    *("family", *_COUNTERS.split(", ")),
)


class Part(NamedTuple):
    """Some hosts in some time: from and to number, UTC seconds."""

    first: int
    after: int
    from_s: int
    until_s: int


def insert(table: str, columns: tuple[str, ...], select: str) -> str:
    names = ", ".join(f"`{name}`" for name in columns)
    return f"INSERT INTO {table} ({names}) SELECT {', '.join(columns)} FROM ({select})"


def _normal(*seed: str | int) -> str:
    """A number that is normally distributed, by Box and Muller."""
    words = ", ".join(map(str, seed))
    return (
        f"(sqrt(-2 * log((cityHash64({words}, 1) % 1000003 + 1) / 1000004))"
        f" * cos(6.283185307179586 * (cityHash64({words}, 2) % 1000003) / 1000003))"
    )


def _uniform(*seed: str | int) -> str:
    """A number from 0 to 1."""
    return f"((cityHash64({', '.join(map(str, seed))}) % 1000003) / 1000003)"


def _hosts(first: int, after: int) -> str:
    """Keys are as `schema.host_key` makes them, identities as ledgers have them."""
    return (
        "SELECT h, lower(substring(hex(MD5(concat('host', toString(h)))), 1, 16)) AS host, "
        "lower(hex(MD5(toString(h)))) AS m, concat(substring(m, 1, 8), '-', substring(m, 9, 4), '-4', "
        "substring(m, 14, 3), '-8', substring(m, 18, 3), '-', substring(m, 21, 12)) AS ledger, "
        f"{_normal('h', 9)} AS size FROM (SELECT number + {first} AS h FROM numbers({after - first}))"
    )


def _quarters(part: Part) -> str:
    """Every quarter of every host: whether it is busy, and bytes received and sent, `r` and `t`."""
    count = (part.until_s - part.from_s) // 900
    active = (
        "h % 3 = 0 OR (hour >= 7 AND hour < 19 AND intDiv(at, 86400) % 7 NOT IN (2, 3) "
        "AND cityHash64(h, at, 10) % 100 < 85)"
    )
    busy = f"exp(14.5 + 1.2 * size + 0.8 * {_normal('h', 'at', 11)}) * (0.3 + 0.9 * exp(-(hour - 15) * (hour - 15) / 30))"
    return (
        f"SELECT host, ledger, h, at, active, if(active, {busy}, exp(9 + 0.5 * {_normal('h', 'at', 11)})) AS r, "
        f"r * exp(-1.3 + 0.6 * {_normal('h', 'at', 12)}) AS t "
        f"FROM (SELECT host, ledger, h, size, at, intDiv(at, 3600) % 24 AS hour, {active} AS active "
        f"FROM (SELECT host, ledger, h, size, arrayJoin(range({count})) * 900 + {part.from_s} AS at "
        f"FROM ({_hosts(part.first, part.after)})))"
    )


def usage(part: Part) -> str:
    """Rows of `usage`."""
    return (
        "SELECT host, ledger, 'eth0' AS interface, '' AS kind, toDateTime(at) AS start, toUInt64(r) AS rx_bytes, "
        f"toUInt64(t) AS tx_bytes, toUInt64(r / (300 + 1000 * {_uniform('h', 'at', 13)})) + 1 AS rx_packets, "
        f"toUInt64(t / (100 + 700 * {_uniform('h', 'at', 14)})) + 1 AS tx_packets, "
        f"toUInt64(r / 900 * exp(1 + 0.8 * abs({_normal('h', 'at', 15)}))) AS peak_rx, "
        f"toUInt64(t / 900 * exp(1 + 0.8 * abs({_normal('h', 'at', 16)}))) AS peak_tx, "
        f"toUInt64(intDiv(at - {FROM_S - YEAR_DAYS * DAY_S}, 900) * 4 + cityHash64(h, at, 17) % 4) AS seq "
        f"FROM ({_quarters(part)})"
    )


def usage_sums(table: str, start: str, part: Part) -> str:
    """Rows of `usage_day` or `usage_month`, out of `usage`; `start`: of what they are, in SQL."""
    # the times have names of their own: in both dialects a name means what it is called here
    return (
        "SELECT host, ledger, interface, kind, begins AS start, sum(rx_bytes) AS rx_bytes, sum(tx_bytes) AS tx_bytes, "
        "sum(rx_packets) AS rx_packets, sum(tx_packets) AS tx_packets, max(peak_rx) AS peak_rx, max(peak_tx) AS peak_tx, "
        "max(seq) AS seq "
        f"FROM (SELECT host, ledger, interface, kind, {start} AS begins, {_COUNTERS}, peak_rx, peak_tx, seq FROM {table} "
        f"WHERE start >= toDateTime({part.from_s}) AND start < toDateTime({part.until_s})) "
        "GROUP BY host, ledger, interface, kind, begins"
    )


def _shares(part: Part) -> str:
    """What three of its applications had of each busy quarter: `n` is the place of one among those of its host."""
    return (
        f"SELECT host, ledger, h, at, 3 * toUInt32(floor(7 * pow({_uniform('h', 'at', 'k', 21)}, 2))) + k AS n, "
        f"if(cityHash64(h, at, k, 22) % 10 < 7, 3, 1) AS scope, if(cityHash64(h, at, k, 23) % 5 = 0, 17, 6) AS protocol, "
        f"toUInt64(r / (k + 2) * {_uniform('h', 'at', 'k', 24)}) AS rx_bytes, "
        f"toUInt64(t / (k + 2) * {_uniform('h', 'at', 'k', 25)}) AS tx_bytes, "
        f"intDiv(rx_bytes, 900) + 1 AS rx_packets, intDiv(tx_bytes, 500) + 1 AS tx_packets "
        f"FROM (SELECT host, ledger, h, at, r, t, toUInt32(arrayJoin([0, 1, 2])) AS k FROM ({_quarters(part)}) WHERE active)"
    )


def _named(source: str) -> str:
    """Rows of `share` out of those with `n`, which is another application on each host beyond the first six."""
    return (
        "SELECT host, ledger, start, seconds, 'eth0' AS interface, '' AS kind, 'application' AS who_kind, "
        "concat('program-', toString(a)) AS application, concat('/usr/bin/program-', toString(a)) AS path, "
        "['root', 'eva', 'adam', 'www-data'][a % 4 + 1] AS user, "
        "if(a % 4 = 0, concat('unit-', toString(a % 17), '.service'), '') AS unit, '' AS container, '' AS pod, "
        f"scope, protocol, 4 AS family, {_COUNTERS}, seq "
        f"FROM (SELECT *, if(n < 6, n, 6 + (h % 97 * 3 + n * 37) % 291) AS a FROM ({source}))"
    )


def share(part: Part) -> str:
    """Rows of `share`."""
    return _named(
        f"SELECT host, ledger, h, n, toDateTime(at) AS start, 900 AS seconds, scope, protocol, {_COUNTERS}, "
        f"toUInt64(intDiv(at - {FROM_S - YEAR_DAYS * DAY_S}, 900) * 4 + 3) AS seq FROM ({_shares(part)})"
    )


def share_sums(start: str, part: Part) -> str:
    """Rows of `share_day` or `share_month`: what `share` of the same part adds up to, in lists."""
    each = _named(
        "SELECT host, ledger, h, n, begins AS start, 900 AS seconds, scope, protocol, sum(rx_bytes) AS rx_bytes, "
        "sum(tx_bytes) AS tx_bytes, sum(rx_packets) AS rx_packets, sum(tx_packets) AS tx_packets, "
        f"toUInt64(intDiv(max(at) - {FROM_S - YEAR_DAYS * DAY_S}, 900) * 4 + 3) AS seq "
        f"FROM (SELECT host, ledger, h, n, at, {start.replace('start', 'toDateTime(at)')} AS begins, scope, protocol, "
        f"{_COUNTERS} FROM ({_shares(part)})) "
        "GROUP BY host, ledger, h, n, begins, scope, protocol"
    )
    return (
        f"SELECT host, ledger, interface, kind, start, {', '.join(f'groupArray({one}) AS {one}' for one in _LISTS)}, "
        f"max(seq) AS seq FROM (SELECT * FROM ({each}) ORDER BY host, start, application, scope, protocol) "
        "GROUP BY host, ledger, interface, kind, start"
    )


def interface(first: int, after: int) -> str:
    """Rows of `interface`: one that counts, and one that does not."""
    rows = ", ".join(f"('{name}', {counted}, '{reason}')" for name, counted, reason in INTERFACES)
    return (
        "SELECT host, ledger, one.1 AS name, '' AS kind, one.2 AS counted, one.3 AS reason, "
        f"toInt64({FROM_S}000000) AS first_seen_us, toInt64({FROM_S + DAYS * DAY_S}000000) AS last_seen_us, "
        "toUInt64(0) AS rx_bytes, toUInt64(0) AS tx_bytes, toUInt64(0) AS rx_packets, toUInt64(0) AS tx_packets, "
        f"1 AS up, 1 AS living, toUInt64(1) AS seq FROM (SELECT host, ledger, arrayJoin([{rows}]) AS one "
        f"FROM ({_hosts(first, after)}))"
    )


def host(first: int, after: int, with_year: int) -> str:
    """Rows of `host`; the first hosts have a whole year."""
    end_s = FROM_S + DAYS * DAY_S
    return (
        "SELECT host, ledger, concat('host-', toString(h)) AS name, 'Linux x86_64' AS machine, '0' AS version, "
        "[concat('site=', toString(h % 20))] AS labels, "
        f"toInt64({end_s}000000) AS seen_us, toUInt64(1000000) AS cursor, toInt64({end_s}) AS sealed_until_s, "
        f"toInt64({FROM_S}000000) AS created_us, 'kernel' AS tier, 1 AS sums, "
        f"toInt64(if(h < {with_year}, {end_s - YEAR_DAYS * DAY_S}, {FROM_S})) AS from_s, toInt64({end_s}) AS until_s, toUInt64(1) AS seq "
        f"FROM ({_hosts(first, after)})"
    )
