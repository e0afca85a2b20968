"""What reports ask: a record, of one machine or of many, whoever keeps it.

`ledger.reader.LedgerReader` is one, the host's own file; a fleet's store is another, and several ledgers together are.
The answers are the same, to the byte; so a report is written once.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence
    from typing import Protocol

    from netusage.ledger.answers import (
        GapRecord,
        InterfaceRecord,
        Peaks,
        SeenRecord,
        ShareRecord,
        SpanRecord,
        Usage,
        VersionRecord,
        WatchedRecord,
    )
    from netusage.model import Who

    class Record(Protocol):
        """A record; all its answers are of one moment, or of one after the other where several machines keep it.

        Interfaces and applications have numbers that mean something to this record alone. `_s` and `_us` are UTC.
        Every method raises a NetusageError when the record cannot be read, and never answers with a part of it.
        """

        @property
        def path(self) -> str:
            """Where the record is, for programs: a file, or the URL of a fleet."""
            ...

        @property
        def place(self) -> str:
            """The same for people, as in "the ledger /var/lib/netusage/ledger.db"."""
            ...

        @property
        def minutes_from_s(self) -> int:
            """From this quarter of an hour on, minutes are kept as well; far in the future where they never are."""
            ...

        def on_progress(self, call: Callable[[], object]) -> None:
            """Have something called every now and then during a long question; what it raises ends the question."""
            ...

        def extent(self) -> tuple[int, int] | None:
            """From when to when anything is recorded, exclusive; None when nothing is."""
            ...

        def interfaces(self, *, totals: bool = True) -> list[InterfaceRecord]:
            """Every interface that was ever seen, by name and kind; where there are several hosts, host by host.

            totals: without them less may have to be read; there may be nothing then but the number, the name and kind,
            whether it counts, and the host.
            """
            ...

        def usage(
            self, groups: Sequence[Sequence[int]], edges: Sequence[int], *, packets: bool = True
        ) -> list[list[Usage]]:
            """What groups of interfaces counted between every two neighbouring edges (multiples of 60)."""
            ...

        def peaks(self, groups: Sequence[Sequence[int]], edges: Sequence[int]) -> list[list[Peaks]]:
            """The highest rate of any one interface of each group between every two edges."""
            ...

        def slots(
            self, groups: Sequence[Sequence[int]], start_s: int, end_s: int, width_s: int
        ) -> list[tuple[Sequence[int], Sequence[int]]]:
            """For each group, received and sent bytes by slots of `width_s`: 900, or 300 where minutes are kept."""
            ...

        def busiest(
            self, ids: Sequence[int], edges: Sequence[int], count: int, *, packets: bool = True
        ) -> list[tuple[int, Usage]]:
            """The `count` periods with the most bytes in both directions, the busiest first; none without bytes."""
            ...

        def spans(self, since_us: int, until_us: int) -> list[SpanRecord]:
            """The estimated stretches that overlap [since, until)."""
            ...

        def estimated(self) -> dict[int, tuple[int, int]]:
            """Received and sent bytes of all estimated stretches, by interface."""
            ...

        def shares_by_period(
            self, groups: Sequence[Sequence[int]], edges: Sequence[int], fields: Collection[str] = ()
        ) -> list[list[list[ShareRecord]]]:
            """What applications had of groups of interfaces between every two neighbouring edges (multiples of 900).

            Args:
                groups: numbers of interfaces; none in two groups.
                edges: ascending.
                fields: those of `Who`, and of scope, protocol and family, that have to be told apart. Records that
                    differ in others alone may come as one, with those empty or 0; so may those of several interfaces
                    of one group, with the number of any of them.
            """
            ...

        def share_rows(self, since_s: int) -> Iterator[tuple[int, ...]]:
            """What applications had, by quarters (or days), from a time on, by that time.

            Each is: start, application, interface, scope, protocol, received and sent bytes, seconds.
            """
            ...

        def applications(self) -> dict[int, Who]:
            """Every application, by number."""
            ...

        def seen(self) -> list[SeenRecord]:
            """When each application was seen first and last."""
            ...

        def versions(self) -> list[VersionRecord]:
            """Every executable that was seen of an application, by application, the oldest first."""
            ...

        def gaps(self, since_us: int, until_us: int) -> list[GapRecord]:
            """The declared gaps that touch [since, until), by start."""
            ...

        def watched(self, since_us: int, until_us: int) -> list[WatchedRecord]:
            """The watched stretches that overlap [since, until), by start."""
            ...

        def tiers(self, since_us: int, until_us: int) -> list[str]:
            """How applications were told apart by the recorders that ran in [since, until), each once, the last one last."""
            ...
