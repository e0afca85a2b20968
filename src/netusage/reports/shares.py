"""What a page asks of shares, again and again: sums by application over a stretch, and by bars; two ways to answer.

One host's shares are kept in memory (`reports.share_index`); those of many are asked of their record each time.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple, Self

from netusage.model import QUARTER_S, Who

if TYPE_CHECKING:
    from typing import Protocol

    from netusage.ledger.answers import ShareRecord
    from netusage.reports.record import Record

_LATEST_S = (1 << 32) // QUARTER_S * QUARTER_S  # in the year 2106; not every record has room for later times


class Key(NamedTuple):
    """What tells bytes apart: numbers of the record, and as `ledger.batch.Part`.

    protocol: of what the kernel sent by itself, which has its name from it; 0 of everything else.
    """

    application: int
    interface: int
    scope: int
    protocol: int


def everything(_: Key) -> bool:
    """What is wanted where nothing is chosen."""
    return True


if TYPE_CHECKING:

    class Shares(Protocol):
        """What applications had; rows begin at whole quarters of an hour.

        days_until_s: before this time, UTC seconds, some is known by days only, and stands where each day begins; as
            far as that is known by now.
        """

        days_until_s: int

        def of(self, ids: Sequence[int], fields: Collection[str], *, apart: bool = False) -> Shares:
            """The same for one question, which is about these interfaces.

            Args:
                ids: numbers of interfaces.
                fields: what has to be told apart, see `Record.shares_by_period`.
                apart: tell interfaces apart; otherwise a key may have the number of any of them.
            """
            ...

        def who(self, application: int) -> Who:
            """Whose number of a key it is."""
            ...

        def sums(
            self, since_s: int, until_s: int, wanted: Callable[[Key], bool] = everything
        ) -> dict[Key, tuple[int, int]]:
            """Received and sent bytes of each key in [since, until), UTC seconds; without those that have none."""
            ...

        def between(
            self, edges: Sequence[int], wanted: Callable[[Key], bool] = everything
        ) -> tuple[list[int], list[int]]:
            """Received and sent bytes between every two edges (ascending, UTC seconds) of all wanted keys."""
            ...


class AskedShares:
    """`Shares` that are asked of a record each time; for one question.

    Args:
        reader: the record.
        groups: numbers of interfaces, of which each group is told apart.
        fields: as `Shares.of`.
    """

    def __init__(
        self, reader: Record, groups: Sequence[Sequence[int]] = (), fields: Collection[str] = ()
    ) -> None:
        self.days_until_s = 0
        self._reader, self._groups, self._fields = reader, groups, fields
        self._numbers: dict[Who, int] = {}
        self._whose: list[Who] = []
        self._known: tuple[Sequence[int], list[dict[Key, tuple[int, int]]]] = ((), [])

    def of(self, ids: Sequence[int], fields: Collection[str], *, apart: bool = False) -> Self:
        """See `Shares`."""
        return type(self)(self._reader, [[number] for number in ids] if apart else [ids], fields)

    def who(self, application: int) -> Who:
        """See `Shares`."""
        return self._whose[application]

    def sums(
        self, since_s: int, until_s: int, wanted: Callable[[Key], bool] = everything
    ) -> dict[Key, tuple[int, int]]:
        """See `Shares`."""
        (found,) = self._ask((since_s, until_s))
        return {key: pair for key, pair in found.items() if any(pair) and wanted(key)}

    def between(
        self, edges: Sequence[int], wanted: Callable[[Key], bool] = everything
    ) -> tuple[list[int], list[int]]:
        """See `Shares`."""
        found = [[pair for key, pair in own.items() if wanted(key)] for own in self._ask(edges)]
        return [sum(rx for rx, _ in own) for own in found], [sum(tx for _, tx in own) for own in found]

    def _ask(self, edges: Sequence[int]) -> list[dict[Key, tuple[int, int]]]:
        """What each key has between every two edges; the last answer is kept."""
        if self._known[0] != edges:
            self._known = (edges, self._sums(edges))
        return self._known[1]

    def _sums(self, edges: Sequence[int]) -> list[dict[Key, tuple[int, int]]]:
        # rows that begin between two edges are those between the next quarters of an hour
        quarters = [min(-(-edge // QUARTER_S) * QUARTER_S, _LATEST_S) for edge in edges]
        found: list[dict[Key, tuple[int, int]]] = [{} for _ in edges[1:]]
        for periods in self._reader.shares_by_period(self._groups, quarters, self._fields):
            for own, records, (_, end_s) in zip(found, periods, pairwise(quarters), strict=True):
                for record in records:
                    key, counters = self._key(record), record.counters
                    rx, tx = own.get(key, (0, 0))
                    own[key] = (rx + counters.rx_bytes, tx + counters.tx_bytes)
                    if record.seconds > QUARTER_S:
                        self.days_until_s = max(self.days_until_s, end_s)
        return found

    def _key(self, record: ShareRecord) -> Key:
        who = record.who
        number = self._numbers.get(who)
        if number is None:
            number = self._numbers[who] = len(self._whose)
            self._whose.append(who)
        protocol = record.protocol if who.kind == "kernel" else 0
        return Key(number, record.interface_id, record.scope, protocol)
