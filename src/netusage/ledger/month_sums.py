"""What is in each month, for those who compare a copy of the ledger with it."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import NamedTuple

from netusage.ledger.chunks import FIELDS, Chunk
from netusage.ledger.reader import LedgerReader
from netusage.model import LARGEST, QUARTER_S, US

_CHUNKS = f"SELECT {FIELDS} FROM chunk ORDER BY id"  # noqa: S608  # fixed text
_OF_GROUP = (
    "sum({0} >> 32) AS high_{0}, sum({0} & 4294967295) AS low_{0}"  # in halves, so that none overflows
)
_COUNTERS = ("rx_bytes", "tx_bytes", "rx_packets", "tx_packets")
_HALVES = [f"{half}_{name}" for name in _COUNTERS for half in ("high", "low")]
_SHARES = f"""
SELECT start_s, interface_id, change, count(*), max(is_folded), {", ".join(f"sum({half})" for half in _HALVES)}
FROM (
  SELECT start_s, interface_id, change, max(seconds > {QUARTER_S} OR kind = 'other') AS is_folded,
    {", ".join(_OF_GROUP.format(name) for name in _COUNTERS)}
  FROM share_change JOIN share USING (start_s) JOIN application ON id = application_id
  GROUP BY start_s, interface_id, protocol, family, {{fields}}
  HAVING {" OR ".join(f"{half} > 0" for half in _HALVES)}
) GROUP BY start_s, interface_id
"""  # noqa: S608  # fixed texts
_DAYS = f"SELECT DISTINCT start_s, start_s + seconds FROM share WHERE seconds > {QUARTER_S}"  # noqa: S608  # as above
_LATE = f"SELECT DISTINCT start_s FROM share WHERE start_s >= ? AND start_s < ? AND seconds = {QUARTER_S}"  # noqa: S608
_SPANS = "SELECT interface_id, start_us, change, rx_bytes, tx_bytes, rx_packets, tx_packets FROM span"


class Part(NamedTuple):
    """What of an interface in a month, as in 202611.

    what: quarters of an hour ("usage"), estimated stretches ("span"), or what applications had ("share").
    """

    what: str
    interface: str
    kind: str
    month: int


class Sums(NamedTuple):
    """What is in a part: rows, and what they add up to.

    rows: what counted nothing is none.
    change: the highest change number that any of it may have.
    """

    rows: int = 0
    rx_bytes: int = 0
    tx_bytes: int = 0
    rx_packets: int = 0
    tx_packets: int = 0
    change: int = 0


class ShareSums(NamedTuple):
    """What is in a month of what applications had, see `Sums`; folded: names or quarters may have gone since."""

    sums: Sums
    folded: bool


def month_sums(reader: LedgerReader, month_of: Callable[[int], int]) -> dict[Part, Sums]:
    """Everything that has a change number and adds up to what interfaces counted; an estimated stretch where it begins.

    Args:
        reader: of the ledger.
        month_of: the month of a time in UTC seconds.
    """
    names = {one.id: (one.name, one.kind) for one in reader.interfaces()}
    found: dict[tuple[str, int, int], list[int]] = defaultdict(lambda: [0] * len(Sums._fields))
    with reader.reading() as connection:
        for row in connection.execute(_CHUNKS):
            chunk = Chunk.of_row(row)
            for start_s, *numbers in chunk.quarters():
                if any(numbers[:4]):
                    part = found["usage", chunk.interface_id, month_of(start_s)]
                    _add(part, numbers[:4], chunk.change)
        for interface_id, start_us, change, *numbers in connection.execute(_SPANS):
            if any(numbers):
                _add(found["span", interface_id, month_of(start_us // US)], numbers, change)
    sums: dict[Part, Sums] = {}
    for (what, interface_id, month), counted in found.items():
        sums[Part(what, *names[interface_id], month)] = Sums(*counted)
    return sums


def folded_days(reader: LedgerReader) -> list[tuple[int, int]]:
    """From when to when the days are, UTC seconds, that applications' quarters of an hour have become."""
    with reader.reading() as connection:
        return [(row[0], row[1]) for row in connection.execute(_DAYS)]


def share_month_sums(
    reader: LedgerReader, month_of: Callable[[int], int], fields: Iterable[str]
) -> dict[Part, ShareSums]:
    """What applications had, as far as it has a change number; a day where it begins.

    A quarter that is to become part of a day that is there already has the highest of change numbers: it will be given
    another one.

    Args:
        reader: of the ledger.
        month_of: the month of a time in UTC seconds.
        fields: of `Who`, and scope, by which applications are told apart; they make the rows.
    """
    names = {one.id: (one.name, one.kind) for one in reader.interfaces()}
    days = folded_days(reader)
    found: dict[tuple[int, int], list[int]] = defaultdict(lambda: [0] * (len(Sums._fields) + 1))
    with reader.reading() as connection:
        late = {row[0] for day in days for row in connection.execute(_LATE, day)}
        sql = _SHARES.format(fields=", ".join(sorted(fields)))
        for start_s, interface_id, change, rows, is_folded, *halves in connection.execute(sql):
            part = found[interface_id, month_of(start_s)]
            numbers = [(high << 32) + low for high, low in zip(halves[::2], halves[1::2], strict=True)]
            _add(part, numbers, LARGEST if start_s in late else change)
            part[0] += rows - 1
            part[-1] |= is_folded
    return {
        Part("share", *names[interface_id], month): ShareSums(Sums(*part[:-1]), bool(part[-1]))
        for (interface_id, month), part in found.items()
    }


def _add(part: list[int], numbers: list[int], change: int) -> None:
    part[0] += 1
    for place, number in enumerate(numbers, start=1):
        part[place] += number
    part[5] = max(part[5], change)
