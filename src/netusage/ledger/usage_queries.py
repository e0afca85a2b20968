"""Sums over periods.

The running total of an interface at a time is its odometer nearest to it, plus or minus the few quarters between;
what lies between two times is the difference. Sums are made in SQLite, in one pass for all interfaces and times.

Times that are no boundary of a quarter, and those after the last sealed quarter, add the minutes that are missing.
Where those minutes have been dropped, the quarter is split in proportion to time, and so are the estimated
stretches; both count as estimated. A split takes bytes * (t - start) // (end - start) up to t, so the parts of
anything add up to it exactly.
"""

import contextlib
import itertools
import sqlite3
from bisect import bisect_right
from collections.abc import Iterator, Sequence

from netusage.ledger.answers import NO_USAGE, LedgerState, Usage
from netusage.ledger.schema import ODOMETER_S
from netusage.model import QUARTER_S, US

Numbers = list[int]
Numbered = list[Numbers] | dict[int, Numbers]

_TABLES = (
    "CREATE TEMP TABLE IF NOT EXISTS edge (n INTEGER PRIMARY KEY, at_s INTEGER NOT NULL)",
    "CREATE TEMP TABLE IF NOT EXISTS member (interface_id INTEGER PRIMARY KEY, g INTEGER NOT NULL)",
    """CREATE TEMP TABLE IF NOT EXISTS mark (
      g INTEGER NOT NULL, n INTEGER NOT NULL, interface_id INTEGER NOT NULL, at_s INTEGER NOT NULL,
      near_s INTEGER NOT NULL, PRIMARY KEY (g, n, interface_id)) WITHOUT ROWID""",
    "DELETE FROM edge",
    "DELETE FROM member",
    "DELETE FROM mark",
)
_NEVER = -(1 << 62)
_BEFORE = "SELECT max(at_s) FROM odometer WHERE interface_id = m.interface_id AND at_s <= e.at_s"
_AFTER = "SELECT min(at_s) FROM odometer WHERE interface_id = m.interface_id AND at_s >= e.at_s"
# Ordered as the primary key of `mark`, so that the sums need no sorting. Interfaces without a quarter between the
# edges have no part in any difference.
_MARK = f"""
INSERT INTO mark
SELECT m.g, e.n, m.interface_id, e.at_s, CASE
  WHEN e.at_s % {ODOMETER_S} > {ODOMETER_S // 2} THEN coalesce(({_AFTER}), ({_BEFORE}), {_NEVER})
  ELSE coalesce(({_BEFORE}), {_NEVER}) END
FROM edge e CROSS JOIN member m
WHERE EXISTS (SELECT 1 FROM quarter q WHERE q.interface_id = m.interface_id AND q.start_s >= ? AND q.start_s < ?)
"""  # noqa: S608  # fixed texts
_SUMS = "sum(rx_bytes), sum(tx_bytes), sum(rx_packets), sum(tx_packets)"
_ODOMETERS = f"""
SELECT g, n, {_SUMS} FROM mark m
CROSS JOIN odometer o ON o.interface_id = m.interface_id AND o.at_s = m.near_s GROUP BY g, n
"""  # noqa: S608
_AFTER_ODOMETER = f"""
SELECT g, n, {_SUMS} FROM mark m
CROSS JOIN quarter q ON q.interface_id = m.interface_id AND q.start_s >= m.near_s AND q.start_s < m.at_s
WHERE m.near_s < m.at_s GROUP BY g, n
"""  # noqa: S608
_BEFORE_ODOMETER = f"""
SELECT g, n, {_SUMS} FROM mark m
CROSS JOIN quarter q ON q.interface_id = m.interface_id AND q.start_s >= m.at_s AND q.start_s < m.near_s
WHERE m.near_s > m.at_s GROUP BY g, n
"""  # noqa: S608
_MINUTES = """
SELECT g, start_s, rx_bytes, tx_bytes, rx_packets, tx_packets FROM minute
CROSS JOIN member m ON m.interface_id = minute.interface_id WHERE start_s >= ? AND start_s < ? ORDER BY start_s
"""
_MINUTES_OF_ONE = f"""
SELECT 0, start_s, {_SUMS} FROM minute
WHERE start_s >= ? AND start_s < ? AND interface_id IN (SELECT interface_id FROM member) GROUP BY start_s
"""  # noqa: S608
_QUARTERS = """
SELECT g, start_s, rx_bytes, tx_bytes, rx_packets, tx_packets FROM member m
CROSS JOIN quarter q ON q.interface_id = m.interface_id WHERE start_s >= ? AND start_s < ?
"""
_SPANS = """
SELECT g, start_us, end_us, rx_bytes, tx_bytes, rx_packets, tx_packets FROM member m
CROSS JOIN span s ON s.interface_id = m.interface_id AND s.start_us < ? AND s.end_us > ?
"""


def minutes_from(state: LedgerState) -> int:
    """The first quarter of an hour all of whose minutes are kept.

    What is dropped is dropped in whole quarters, so a time inside one is where the ledger begins.
    """
    return state.minutes_from_s // QUARTER_S * QUARTER_S


def usage(
    connection: sqlite3.Connection, state: LedgerState, groups: Sequence[Sequence[int]], edges: Sequence[int]
) -> list[list[Usage]]:
    """See `LedgerReader.usage`."""
    if len(edges) < 2:
        return [[] for _ in groups]
    try:
        return _usage(connection, state, groups, edges)
    except sqlite3.OperationalError as error:
        if "overflow" not in str(error):
            raise
    # More than 2^63 together: Python adds up what SQLite can add for each alone.
    alone = [[i] for ids in groups for i in ids]
    of_each = iter(_usage(connection, state, alone, edges))
    return [_added([next(of_each) for _ in ids], len(edges) - 1) for ids in groups]


def _added(parts: Sequence[list[Usage]], count: int) -> list[Usage]:
    total = [NO_USAGE] * count
    for part in parts:
        total = [a.plus(b) for a, b in zip(total, part, strict=True)]
    return total


def _usage(
    connection: sqlite3.Connection, state: LedgerState, groups: Sequence[Sequence[int]], edges: Sequence[int]
) -> list[list[Usage]]:
    set_members(connection, groups)
    found = sums(connection, state, len(groups), edges)
    add_spans(connection, found, edges)
    return [[Usage(*numbers) for numbers in of_group] for of_group in found]


def set_members(connection: sqlite3.Connection, groups: Sequence[Sequence[int]]) -> None:
    """Say in the temporary tables who is in which group. The ledger's file is not touched."""
    with writing_temporary(connection):
        for statement in _TABLES:
            connection.execute(statement)
        members = ((i, g) for g, ids in enumerate(groups) for i in ids)
        connection.executemany("INSERT INTO member VALUES (?, ?)", members)


@contextlib.contextmanager
def writing_temporary(connection: sqlite3.Connection) -> Iterator[None]:
    """Allow writing for the length of a block: the file is open for reading, so temporary tables are all there is."""
    connection.execute("PRAGMA query_only = OFF")
    try:
        yield
    finally:
        connection.execute("PRAGMA query_only = ON")


def sums(
    connection: sqlite3.Connection, state: LedgerState, groups: int, edges: Sequence[int]
) -> list[list[Numbers]]:
    """What the present members counted between every two edges, without the estimated stretches.

    Returns:
        For each group and stretch the numbers of a `Usage`, to be added to.
    """
    bases = [min(at - at % QUARTER_S, state.sealed_until_s) for at in edges]
    totals = _running_totals(connection, groups, bases)
    whole = minutes_from(state)
    by_minute = [n for n, base in enumerate(bases) if edges[n] > base >= whole]
    by_share = [n for n, base in enumerate(bases) if edges[n] > base and base < whole]
    if by_minute:
        _add_minutes(connection, totals, edges, bases, by_minute)
    guesses = _add_shares(connection, totals, edges, bases, by_share) if by_share else {}
    found = [
        [[b[0] - a[0], b[1] - a[1], b[2] - a[2], b[3] - a[3], 0, 0] for a, b in itertools.pairwise(total)]
        for total in totals
    ]
    for (g, n), (rx, tx) in guesses.items():
        found[g][n][4] += rx
        found[g][n][5] += tx
    return found


def _running_totals(connection: sqlite3.Connection, groups: int, bases: Sequence[int]) -> list[list[Numbers]]:
    """By group and edge, the four sums of all quarters before the edge (of interfaces that have any between)."""
    places = sorted(set(bases))
    with writing_temporary(connection):
        connection.execute("DELETE FROM edge")
        connection.execute("DELETE FROM mark")
        connection.executemany("INSERT INTO edge VALUES (?, ?)", enumerate(places))
        connection.execute(_MARK, (places[0], places[-1]))
    found = [[[0, 0, 0, 0] for _ in places] for _ in range(groups)]
    for sql, sign in ((_ODOMETERS, 1), (_AFTER_ODOMETER, 1), (_BEFORE_ODOMETER, -1)):
        for g, n, rx, tx, rx_packets, tx_packets in connection.execute(sql):
            into = found[g][n]
            into[0] += sign * rx
            into[1] += sign * tx
            into[2] += sign * rx_packets
            into[3] += sign * tx_packets
    if len(places) == len(bases):
        return found
    numbers = {place: n for n, place in enumerate(places)}
    return [[list(total[numbers[base]]) for base in bases] for total in found]


def _stretches(edges: Sequence[int], bases: Sequence[int], which: Sequence[int]) -> list[tuple[int, int]]:
    """The stretches from base to edge; those that all but touch are made into one."""
    found: list[tuple[int, int]] = []
    for n in which:
        if found and bases[n] <= found[-1][1] + QUARTER_S:
            found[-1] = (found[-1][0], edges[n])
        else:
            found.append((bases[n], edges[n]))
    return found


def _add_minutes(
    connection: sqlite3.Connection,
    totals: list[list[Numbers]],
    edges: Sequence[int],
    bases: Sequence[int],
    which: Sequence[int],
) -> None:
    """Add to the running totals at some edges the minutes between base and edge."""
    sql = _MINUTES_OF_ONE if len(totals) == 1 else _MINUTES
    rows: list[list[Numbers]] = [[] for _ in totals]
    for stretch in _stretches(edges, bases, which):
        for g, *numbers in connection.execute(sql, stretch):
            rows[g].append(numbers)
    for total, own in zip(totals, rows, strict=True):
        place, base = 0, None
        for n in which:
            if bases[n] != base:
                base, rx, tx, rx_packets, tx_packets = bases[n], 0, 0, 0, 0
                while place < len(own) and own[place][0] < base:
                    place += 1
            while place < len(own) and own[place][0] < edges[n]:
                row = own[place]
                rx += row[1]
                tx += row[2]
                rx_packets += row[3]
                tx_packets += row[4]
                place += 1
            into = total[n]
            into[0] += rx
            into[1] += tx
            into[2] += rx_packets
            into[3] += tx_packets


def _add_shares(
    connection: sqlite3.Connection,
    totals: list[list[Numbers]],
    edges: Sequence[int],
    bases: Sequence[int],
    which: Sequence[int],
) -> dict[tuple[int, int], tuple[int, int]]:
    """Add to the running totals at some edges their share of the quarter around each.

    Returns:
        What of it is estimated, in and out, by group and stretch.
    """
    guesses: dict[tuple[int, int], tuple[int, int]] = {}
    inside: dict[int, list[int]] = {}
    for n in which:
        inside.setdefault(bases[n], []).append(n)
    for stretch in _stretches(edges, bases, which):
        for g, base, *numbers in connection.execute(_QUARTERS, stretch):
            before = [0, 0]
            for n in inside.get(base, ()):
                parts = [number * (edges[n] - base) // QUARTER_S for number in numbers]
                totals[g][n] = [a + b for a, b in zip(totals[g][n], parts, strict=True)]
                _guess(guesses, g, n - 1, parts, before)
                before = parts
            if base in inside:
                _guess(guesses, g, inside[base][-1], numbers, before)
    return {place: guess for place, guess in guesses.items() if 0 <= place[1] < len(edges) - 1}


def _guess(
    guesses: dict[tuple[int, int], tuple[int, int]], g: int, n: int, until: Numbers, before: Numbers
) -> None:
    rx, tx = guesses.get((g, n), (0, 0))
    guesses[g, n] = (rx + until[0] - before[0], tx + until[1] - before[1])


def add_spans(connection: sqlite3.Connection, found: Sequence[Numbered], edges: Sequence[int]) -> None:
    """Add the present members' estimated stretches to what `sums` found."""
    edges_us = [at * US for at in edges]
    last = len(edges) - 2
    for g, start_us, end_us, rx, tx, rx_packets, tx_packets in connection.execute(
        _SPANS, (edges_us[-1], edges_us[0])
    ):
        n = bisect_right(edges_us, start_us) - 1
        if n >= 0 and end_us <= edges_us[n + 1]:
            into = found[g][n]
            into[0] += rx
            into[1] += tx
            into[2] += rx_packets
            into[3] += tx_packets
            into[4] += rx
            into[5] += tx
            continue
        length = end_us - start_us
        n = max(n, 0)
        while n <= last and edges_us[n] < end_us:
            low = max(edges_us[n], start_us) - start_us
            high = min(edges_us[n + 1], end_us) - start_us
            part = [x * high // length - x * low // length for x in (rx, tx, rx_packets, tx_packets)]
            found[g][n] = [a + b for a, b in zip(found[g][n], (*part, part[0], part[1]), strict=True)]
            n += 1
