"""What was counted in each month, for those who compare a copy of the ledger with it."""

from collections import defaultdict
from collections.abc import Callable
from typing import NamedTuple

from netusage.ledger.chunks import FIELDS, Chunk
from netusage.ledger.reader import LedgerReader
from netusage.model import US

_CHUNKS = f"SELECT {FIELDS} FROM chunk ORDER BY id"  # noqa: S608  # fixed text
_SPANS = "SELECT interface_id, start_us, change, rx_bytes, tx_bytes, rx_packets, tx_packets FROM span"


class Part(NamedTuple):
    """Quarters of an hour ("usage") or estimated stretches ("span") of an interface in a month, as in 202611."""

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


def _add(part: list[int], numbers: list[int], change: int) -> None:
    part[0] += 1
    for place, number in enumerate(numbers, start=1):
        part[place] += number
    part[-1] = max(part[-1], change)
