"""Sums over periods.

Chunks hold running totals of an interface, one for every fourth quarter of an hour, and what was counted in each
quarter; what lies between two times is the difference of two totals.

Times that are no boundary of a quarter, and those after the last sealed quarter, add the minutes that are missing.
Where those minutes have been dropped, the quarter is split in proportion to time, and so are the estimated
stretches; both count as estimated. A split takes bytes * (t - start) // (end - start) up to t, so the parts of
anything add up to it exactly.
"""

import contextlib
import sqlite3
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate, groupby
from operator import add, itemgetter, sub

from netusage.ledger import machine_chunks
from netusage.ledger.answers import LedgerState, Usage
from netusage.ledger.chunks import STRIDE, between, decode, totals_of
from netusage.ledger.machine_chunks import Head
from netusage.model import QUARTER_S, US

Numbers = list[int]
Groups = Sequence[Sequence[int]]
# By group: a column for each of four counters, of one number for each edge.
Totals = list[list[Numbers]]
_NUMBERS_A_RUN = 32  # so many numbers are added up in the time that one run of places takes
_Picker = Callable[[Sequence[int]], Sequence[int]]
# Running totals, and what was counted in each quarter.
_Column = tuple[Sequence[int], Sequence[int]]

_TABLES = (
    "CREATE TEMP TABLE IF NOT EXISTS member (interface_id INTEGER PRIMARY KEY, g INTEGER NOT NULL)",
    "DELETE FROM member",
)
_SUMS = "sum(rx_bytes), sum(tx_bytes), sum(rx_packets), sum(tx_packets)"
_MINUTES = """
SELECT g, start_s, rx_bytes, tx_bytes, rx_packets, tx_packets FROM minute
CROSS JOIN member m ON m.interface_id = minute.interface_id WHERE start_s >= ? AND start_s < ? ORDER BY start_s
"""
_MINUTES_OF_ONE = f"""
SELECT 0, start_s, {_SUMS} FROM minute
WHERE start_s >= ? AND start_s < ? AND interface_id IN (SELECT interface_id FROM member) GROUP BY start_s
"""  # noqa: S608
# Without packets, its index tells all that is asked of a span.
_SPANS = """
SELECT g, start_us, end_us, rx_bytes, tx_bytes{packets} FROM member m
CROSS JOIN span s ON s.interface_id = m.interface_id AND s.start_us < ? AND s.end_us > ?
"""


def minutes_from(state: LedgerState) -> int:
    """The first quarter of an hour all of whose minutes are kept.

    What is dropped is dropped in whole quarters, so a time inside one is where the ledger begins.
    """
    return state.minutes_from_s // QUARTER_S * QUARTER_S


def usage(
    connection: sqlite3.Connection,
    state: LedgerState,
    groups: Groups,
    edges: Sequence[int],
    *,
    packets: bool = True,
) -> list[list[Usage]]:
    """See `LedgerReader.usage`."""
    found = _between(connection, state, groups, edges, packets=packets)
    return [list(map(Usage, *columns)) for columns in found]


def busiest(
    connection: sqlite3.Connection,
    state: LedgerState,
    ids: Sequence[int],
    edges: Sequence[int],
    count: int,
    *,
    packets: bool,
) -> list[tuple[int, Usage]]:
    """See `LedgerReader.busiest`."""
    columns = _between(connection, state, [ids], edges, packets=False)[0]
    totals = list(map(add, columns[0], columns[1]))
    ranked = sorted(range(len(totals)), key=totals.__getitem__, reverse=True)[:count]
    found = [n for n in ranked if totals[n]]
    if not packets or not found:
        return [(n, Usage(*(column[n] for column in columns))) for n in found]
    places = sorted({edges[n + side] for n in found for side in (0, 1)})
    numbers = {at: n for n, at in enumerate(places)}
    exact = usage(connection, state, [ids], places)[0]
    return [(n, exact[numbers[edges[n]]]) for n in found]


def _between(
    connection: sqlite3.Connection, state: LedgerState, groups: Groups, edges: Sequence[int], *, packets: bool
) -> list[list[Numbers]]:
    """By group, a column for each field of `Usage`, of what was counted between the edges."""
    if len(edges) < 2:
        return [[[] for _ in Usage._fields] for _ in groups]
    try:
        return _of_groups(connection, state, groups, edges, packets=packets)
    except sqlite3.OperationalError as error:
        if "overflow" not in str(error):
            raise
    # More than 2^63 together: Python adds up what SQLite can add for each alone.
    alone = [[i] for ids in groups for i in ids]
    of_each = iter(_of_groups(connection, state, alone, edges, packets=packets))
    none = [[0] * (len(edges) - 1) for _ in Usage._fields]
    return [
        [
            list(map(sum, zip(*same, strict=True)))
            for same in zip(none, *(next(of_each) for _ in ids), strict=True)
        ]
        for ids in groups
    ]


def _of_groups(
    connection: sqlite3.Connection, state: LedgerState, groups: Groups, edges: Sequence[int], *, packets: bool
) -> list[list[Numbers]]:
    set_members(connection, groups)
    bases = [min(at - at % QUARTER_S, state.sealed_until_s) for at in edges]
    totals = _running_totals(connection, groups, bases, packets=packets)
    whole = minutes_from(state)
    by_minute = [n for n, base in enumerate(bases) if edges[n] > base >= whole]
    by_share = [n for n, base in enumerate(bases) if edges[n] > base and base < whole]
    if by_minute:
        _add_minutes(connection, totals, edges, bases, by_minute)
    guesses = _add_shares(connection, groups, totals, edges, bases, which=by_share) if by_share else {}
    none = [0] * (len(edges) - 1)
    columns = [[*(list(map(sub, c[1:], c)) for c in total), none[:], none[:]] for total in totals]
    for (g, n), (rx, tx) in guesses.items():
        columns[g][4][n] += rx
        columns[g][5][n] += tx
    if not packets:  # minutes have told some
        for own in columns:
            own[2:4] = none, none
    _add_spans(connection, columns, edges, packets=packets)
    return columns


def set_members(connection: sqlite3.Connection, groups: Groups) -> None:
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


def _running_totals(
    connection: sqlite3.Connection, groups: Groups, places: Sequence[int], *, packets: bool
) -> Totals:
    """The sums of all quarters up to each place since some moment; places are multiples of 900 in ascending order."""
    pick = _Picks(places)
    found = []
    for ids in groups:
        sums, of_each = machine_chunks.heads(connection, ids, places[0], places[-1])
        total: list[Numbers] = []
        for table, heads in (("machine_chunk", sums), *(("chunk", own) for own in of_each)):
            if heads:
                more = _of_chunks(connection, table, heads, pick, packets=packets)
                total = [list(map(add, *pair)) for pair in zip(total, more, strict=True)] if total else more
        none = [[0] * len(places) for _ in range(4 - len(total))]
        found.append(total + none)
    return found


def _of_chunks(
    connection: sqlite3.Connection, table: str, heads: Sequence[Head], pick: "_Picks", *, packets: bool
) -> list[Numbers]:
    """The running totals of some chunks, ascending, at each place, by counter."""
    last = heads[-1][0]
    picks = [pick(start_s, count, last=number == last) for number, start_s, count, *_ in heads]
    columns = _columns(connection, table, heads, picks, packets=packets)
    own: list[Numbers] = [[] for _ in range(4 if packets else 2)]
    for (number, _, _, *before), (begin, runs) in zip(heads, picks, strict=True):
        for into, total in zip(own, before, strict=False):
            into.extend([total] * (begin - len(into)))
        for into, total, (totals, each) in zip(own, before, columns.get(number, ()), strict=False):
            for run in runs:
                into.extend(map(total.__add__, run.pick(totals, each)))
    return own


def _columns(
    connection: sqlite3.Connection,
    table: str,
    heads: Sequence[Head],
    picks: Sequence[tuple[int, list["_Run | _Every"]]],
    *,
    packets: bool,
) -> dict[int, list[_Column]]:
    """By chunk, for each counter the running totals and what was counted in each quarter.

    A chunk without a place in it has nothing to tell but where it begins. One whose places all have a running total
    of their own is read without its quarters.
    """
    found: dict[int, list[_Column]] = {}
    counts = {head[0]: head[2] for head in heads}
    wanted: dict[bool, list[str]] = {True: [], False: []}
    for head, (_, runs) in zip(heads, picks, strict=True):
        if runs:
            wanted[any(run.needs_quarters for run in runs)].append(str(head[0]))
    for with_quarters, ids in wanted.items():
        names = ["byte_totals", "packet_totals"][: 1 + packets]
        names += ["bytes", "packets"][: 1 + packets] if with_quarters else []
        sql = f"SELECT rowid, {', '.join(names)} FROM {table} WHERE rowid IN ({', '.join(ids)})"  # noqa: S608  # fixed, numbers
        for number, *pairs in connection.execute(sql) if ids else ():
            count = counts[number]
            totals = [column for pair in pairs[: 1 + packets] for column in decode(pair, totals_of(count))]
            quarters = [column for pair in pairs[1 + packets :] for column in decode(pair, count)]
            found[number] = list(zip(totals, quarters or [()] * len(totals), strict=True))
    return found


class _Run:
    """Places one after the other that are equally many quarters behind a running total.

    Args:
        numbers: how many quarters of the chunk are before each of them.
        count: how many it has.

    Attributes:
        needs_quarters: whether a running total alone does not tell what was counted until there.
    """

    def __init__(self, numbers: Sequence[int], count: int) -> None:
        rest = numbers[0] % STRIDE
        after = STRIDE - rest
        self.needs_quarters = rest > 0
        if after < rest and numbers[-1] + after <= count:  # the next running total is nearer
            self._totals = _picker([n // STRIDE + 1 for n in numbers])
            self._steps = [(sub, _picker([n + step for n in numbers])) for step in range(after)]
        else:
            self._totals = _picker([n // STRIDE for n in numbers])
            self._steps = [(add, _picker([n - back for n in numbers])) for back in range(rest, 0, -1)]

    def pick(self, totals: Sequence[int], each: Sequence[int]) -> Iterable[int]:
        """The running totals at the places: out of a column of them, and of what was counted in each quarter."""
        found: Iterable[int] = self._totals(totals)
        for change, quarters in self._steps:
            found = map(change, found, quarters(each))
        return found


class _Every:
    """Places that are now this, now that many quarters behind a running total."""

    needs_quarters = True

    def __init__(self, numbers: Sequence[int]) -> None:
        self._totals = _picker(numbers)

    def pick(self, _: Sequence[int], each: Sequence[int]) -> Iterable[int]:
        """See `_Run.pick`."""
        return self._totals(list(accumulate(each, initial=0)))


def _picker(indexes: Sequence[int]) -> _Picker:
    """What picks the numbers at these indexes out of a column; an itemgetter of one index gives a number alone."""
    return itemgetter(*indexes) if len(indexes) > 1 else lambda column: [column[indexes[0]]]


class _Picks:
    """Which places are in which chunk; most interfaces have chunks of the same quarters."""

    def __init__(self, places: Sequence[int]) -> None:
        self._places = places
        self._known: dict[tuple[int, int, bool], tuple[int, list[_Run | _Every]]] = {}

    def __call__(self, start_s: int, count: int, *, last: bool) -> tuple[int, list[_Run | _Every]]:
        """The first place inside, and runs of those inside; for the last chunk of all, also of those after it."""
        found = self._known.get((start_s, count, last))
        if found is None:
            begin = bisect_right(self._places, start_s)
            end = None if last else bisect_right(self._places, start_s + count * QUARTER_S, begin)
            numbers = [min((at - start_s) // QUARTER_S, count) for at in self._places[begin:end]]
            runs: list[_Run | _Every] = [
                _Run(list(run), count) for _, run in groupby(numbers, key=lambda n: n % STRIDE)
            ]
            if len(runs) * _NUMBERS_A_RUN > count:
                runs = [_Every(numbers)]
            found = self._known[start_s, count, last] = (begin, runs)
        return found


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
    totals: Totals,
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
            total[0][n] += rx
            total[1][n] += tx
            total[2][n] += rx_packets
            total[3][n] += tx_packets


def _add_shares(
    connection: sqlite3.Connection,
    groups: Groups,
    totals: Totals,
    edges: Sequence[int],
    bases: Sequence[int],
    *,
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
    for start_s, end_s in _stretches(edges, bases, which):
        members = [(g, interface_id) for g, ids in enumerate(groups) for interface_id in ids]
        for g, interface_id in members:
            for base, *numbers, _, _ in between(connection, interface_id, start_s, end_s):
                before = [0, 0]
                for n in inside.get(base, ()):
                    parts = [number * (edges[n] - base) // QUARTER_S for number in numbers]
                    for column, part in zip(totals[g], parts, strict=True):
                        column[n] += part
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


def _add_spans(
    connection: sqlite3.Connection, columns: list[list[Numbers]], edges: Sequence[int], *, packets: bool
) -> None:
    """Add the present members' estimated stretches to columns of what was counted between the edges.

    Their bytes are added to the last two columns as well: all of them are estimated.
    """
    sql = _SPANS.format(packets=", rx_packets, tx_packets" if packets else "")
    edges_us = [at * US for at in edges]
    estimated: dict[int, list[Numbers]] = {}  # by group; most have none
    for row in connection.execute(sql, (edges_us[-1], edges_us[0])).fetchall():
        g, start_us, end_us, *numbers = row
        own = estimated.get(g)
        if own is None:
            own = estimated[g] = [[0] * (len(edges) - 1) for _ in numbers]
        for n, part in split(edges_us, start_us, end_us, numbers):
            for column, number in zip(own, part, strict=True):
                column[n] += number
    for g, own in estimated.items():
        known = columns[g]
        for way, more in zip(
            range(6) if packets else (0, 1, 4, 5), (own + own[:2]) if packets else own[:2] * 2, strict=True
        ):
            known[way] = list(map(add, known[way], more))


def split(
    edges_us: Sequence[int], start_us: int, end_us: int, numbers: Numbers
) -> Iterator[tuple[int, Numbers]]:
    """The parts of an estimated stretch by period: up to a time, number * (time - start) // (end - start).

    Every store splits by this, so that all of them tell the same.

    Args:
        edges_us: of the periods, ascending UTC microseconds; the stretch overlaps at least one of them.
        start_us: of the stretch.
        end_us: likewise.
        numbers: of the whole stretch.

    Yields:
        The number of a period, and its part of each number.
    """
    length = end_us - start_us
    n = bisect_right(edges_us, start_us) - 1
    if n >= 0 and end_us <= edges_us[n + 1]:
        yield n, numbers
        return
    n = max(n, 0)
    while n < len(edges_us) - 1 and edges_us[n] < end_us:
        low = max(edges_us[n], start_us) - start_us
        high = min(edges_us[n + 1], end_us) - start_us
        yield n, [number * high // length - number * low // length for number in numbers]
        n += 1
