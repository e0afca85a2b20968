"""Whose record is asked for: the hosts of a fleet that were named, their interfaces, and groups of those in SQL."""

from __future__ import annotations

import re
from collections import Counter
from functools import cached_property
from itertools import accumulate, chain, compress, islice, repeat
from operator import add, eq, gt, itemgetter
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from netusage.errors import NoDataError
from netusage.fleet.halves import COUNTERS
from netusage.fleet.schema import HOST, INTERFACE, literal
from netusage.fleet.usage_sums import ask_sums, select_sums
from netusage.ledger.answers import InterfaceRecord
from netusage.model import ZERO, Counters
from netusage.reports.selection import matches

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

_T = TypeVar("_T", bound=tuple[Any, ...])
Key = tuple[str, str, str]  # of an interface: its host's key, its name and its kind
COLUMNS: tuple[str, ...] = ("host", "interface", "kind")
# A statement of ClickHouse has 256 KiB at the most, and may have to say all of this six times.
_MOST_HOSTS = 2000
_MOST_PAIRS = 200  # names and kinds of interfaces
_MOST_MEMBERS = 200  # interfaces by host, name and kind
_KEY = ("host", "name", "kind")  # in the table of interfaces
_NEVER = (0, 0, "", 0, 0, ZERO)  # of an interface that was taken back meanwhile
_WAS_SEEN = "last_seen_us != 0"  # what was taken back was not
_NO_NAME = re.compile(r"[*?[]|^[0-9a-f]{16}$")  # patterns, and what may be a key


class Asked(NamedTuple):
    """How the store is asked: for columns of a statement, and the full name of a table."""

    columns: Callable[[str], list[list[Any]]]
    table: Callable[[str], str]


class Grouping(NamedTuple):
    """Groups of interfaces in SQL.

    columns: of `COLUMNS`, by which rows have to be grouped.
    places: the group, by the values of those columns; rows with others belong to none.
    condition: what rows have to fulfil.
    hosts: how many have such rows.
    """

    columns: tuple[str, ...]
    places: Mapping[tuple[str, ...], int]
    condition: str
    hosts: int

    def of_rows(self, columns: Sequence[list[Any]]) -> Iterable[int | None]:
        """The group of each row; `columns` begin with those of this grouping."""
        width = len(self.columns)
        if not width:
            return [self.places[()]] * len(columns[0])
        return map(self.places.get, zip(*columns[:width], strict=True))


class _Interfaces(NamedTuple):
    """Interfaces by number, which is their place and one more; of each its key.

    records: only what they are called, whether they count, and whose they are.
    raw: as the store has them, one for each ledger: columns of host, name, kind, and whether it counts.
    """

    records: list[InterfaceRecord]
    keys: list[Key]
    raw: list[list[Any]]


class Members:
    """The chosen hosts.

    Args:
        asked: the store.
        hosts: shell patterns of names, or keys; none is every host.
        labels: shell patterns; a host needs one label for each of them.

    Attributes:
        names: what the chosen hosts are called, by key: by their last delivery, with the key where two have one name.
        has_sums: all of them deliver sums of days and months.
        tiers: how they tell applications apart, each once, that of the last delivery last.
        extent: from when to when they say that they have anything, UTC seconds; None where one does not say, or has nothing.

    Raises:
        NoDataError: there is no such host.
    """

    def __init__(self, asked: Asked, hosts: Sequence[str] = (), labels: Sequence[str] = ()) -> None:
        self._asked = asked
        self._is_all = not hosts and not labels
        columns = self._host_columns(hosts, labels)
        keys, names = columns[:2]  # the last delivery comes last, and is what remains of a host
        called = _told_apart(dict(zip(keys, names, strict=True)))
        chosen = _chosen(dict(zip(keys, zip(names, columns[-1], strict=True), strict=True)), hosts, labels)
        self.names = dict(
            sorted(zip(chosen, map(called.__getitem__, chosen), strict=True), key=itemgetter(1))
        )
        if not self._is_all:
            mine = list(map(self.names.__contains__, keys))
            columns = [list(compress(column, mine)) for column in columns]
        self._keys, _, self._seen_us, tiers, sums, self._sealed_until_s, *told = columns
        self.has_sums = all(sums)
        self.tiers = list(reversed(dict.fromkeys(reversed(tiers))))
        self.extent = _extent(*told[:2])
        self._grouped: tuple[tuple[tuple[int, ...], ...], Grouping] | None = None

    def _host_columns(self, hosts: Sequence[str], labels: Sequence[str]) -> list[list[Any]]:
        """Key, name, when it delivered last, tier, whether it has sums, until when it is known, its extent, and labels if needed."""
        table = self._asked.table(HOST.name)
        told = (
            f"host, name, seen_us, tier, sums, sealed_until_s, from_s, until_s{', labels' if labels else ''}"
        )
        sql = f"SELECT {told} FROM {table} FINAL"  # noqa: S608  # our own names
        if hosts and len(hosts) < _MOST_PAIRS and not any(_NO_NAME.search(host) for host in hosts):
            sql += f" WHERE host GLOBAL IN (SELECT host FROM {table} FINAL WHERE name IN ({among(hosts)}))"  # noqa: S608  # quoted
        return self._asked.columns(in_order(sql, "seen_us, host, name"))

    @cached_property
    def known_until_s(self) -> dict[str, int]:
        """By name, until when what a host counted has arrived, UTC seconds."""
        found: dict[str, int] = {}
        for key, until_s in zip(self._keys, self._sealed_until_s, strict=True):
            name = self.names[key]
            found[name] = max(found.get(name, 0), until_s)
        return found

    @cached_property
    def seen_us(self) -> dict[str, int]:
        """By name, when a host delivered last, UTC microseconds."""
        return dict(zip(map(self.names.__getitem__, self._keys), self._seen_us, strict=True))

    # ---- Interfaces ---------------------------------------------------------------------------------------------

    def interfaces(self, *, totals: bool) -> list[InterfaceRecord]:
        """All interfaces of the chosen hosts, by host, name and kind; read once, so their numbers stay.

        Several ledgers of a host have one interface of a name and kind together: their totals are added up, the rest is
        of the one that was looked at last.

        Args:
            totals: also how they are and were; see `Record.interfaces`.
        """
        records, keys, _ = self._interfaces
        if not totals:
            return list(records)
        seen = self._seen()
        return [
            record._replace(
                first_seen_us=first_us,
                last_seen_us=last_us,
                reason=reason,
                up=bool(up),
                living=bool(living),
                totals=counters,
            )
            for record, (first_us, last_us, reason, up, living, counters) in zip(
                records, (seen.get(key, _NEVER) for key in keys), strict=True
            )
        ]

    def key(self, number: int) -> Key:
        """The key of an interface, by its number."""
        return self._interfaces.keys[number - 1]

    def numbers(self) -> dict[tuple[str, ...], int]:
        """The number of every interface, by its key."""
        return {key: number for number, key in enumerate(self._interfaces.keys, 1)}

    @cached_property
    def _interfaces(self) -> _Interfaces:
        condition = "1" if self._is_all else self._host_condition(self.names) or "1"
        told = "host, name, kind, counted"
        raw = self._asked.columns(
            f"SELECT {told} FROM (SELECT {told}, last_seen_us FROM {self._asked.table(INTERFACE.name)} FINAL "  # noqa: S608  # our own texts
            f"WHERE {_WAS_SEEN} AND {condition}) ORDER BY {', '.join(_KEY)}, last_seen_us"
        )
        columns, keys = raw, list(zip(*raw[:3], strict=True))
        if any(map(eq, keys, islice(keys, 1, None))):  # the one that was seen last comes last
            newest = dict(zip(keys, raw[3], strict=True))
            keys = list(newest)
            columns = [*map(list, zip(*keys, strict=True)), list(newest.values())]
        order = self._in_order_of_names(columns[0])
        keys = list(map(keys.__getitem__, order))
        hosts, names, kinds, counted = (map(column.__getitem__, order) for column in columns)
        rows = zip(
            *(range(1, len(order) + 1), names, kinds, repeat(False), map(bool, counted), repeat("")),
            *(repeat(0), repeat(0), repeat(ZERO), repeat(False), map(self.names.get, hosts)),
            strict=False,
        )
        return _Interfaces(list(made(InterfaceRecord, rows)), keys, raw)

    def _seen(self) -> dict[Key, tuple[Any, ...]]:
        """When each was seen first and last, its reason, whether it is up and living, and its totals."""
        condition = self._host_condition(self.names) or "1"
        source = f"FROM {self._asked.table(INTERFACE.name)} FINAL WHERE {_WAS_SEEN} AND {condition}"
        last = [f"argMax({name}, last_seen_us)" for name in ("reason", "up", "living")]
        more = ("min(first_seen_us)", "max(last_seen_us)", *last)

        def statement(in_halves: bool) -> str:
            return select_sums(COUNTERS, _KEY, source, more=more, in_halves=in_halves)

        columns = ask_sums(self._asked, statement, len(COUNTERS), len(_KEY))
        keys, totals = zip(*columns[:3], strict=True), made(Counters, zip(*columns[3:7], strict=True))
        return dict(zip(keys, zip(*columns[7:], totals, strict=True), strict=True))

    def _in_order_of_names(self, hosts: Sequence[str]) -> list[int]:
        """The places of the chosen hosts' rows, by the hosts' names, where those of a host stand together."""
        numbers = Counter(hosts)
        firsts = dict(zip(numbers, accumulate(numbers.values(), initial=0), strict=False))
        known = [host for host in self.names if host in firsts]
        starts = list(map(firsts.__getitem__, known))
        ends = map(add, starts, map(numbers.__getitem__, known))
        return list(chain.from_iterable(map(range, starts, ends)))

    # ---- Groups in SQL ------------------------------------------------------------------------------------------

    @property
    def are_all(self) -> bool:
        """Whether every host was chosen."""
        return self._is_all

    @property
    def are_many(self) -> bool:
        """Whether `hosts_condition` lets rows of others through."""
        return self._host_condition(self.names) is None

    def hosts_condition(self) -> str:
        """What rows of the chosen hosts fulfil; rows of others may do so as well, see `names`."""
        return self._host_condition(self.names) or self._known_hosts()

    def grouping(self, groups: Sequence[Sequence[int]]) -> Grouping:
        """How rows are grouped in SQL, by as little as tells the groups apart.

        Args:
            groups: numbers of interfaces, at least one; none in two groups.
        """
        asked = tuple(map(tuple, groups))
        if self._grouped is None or self._grouped[0] != asked:  # reports ask more than once of the same
            self._grouped = (asked, self._grouping(asked))
        return self._grouped[1]

    def _grouping(self, groups: Sequence[Sequence[int]]) -> Grouping:
        every = self._interfaces.keys
        keys = [every[number - 1] for number in chain.from_iterable(groups)]
        numbers = [g for g, ids in enumerate(groups) for _ in ids]
        groups_of: dict[tuple[str, ...], int] = dict(zip(keys, numbers, strict=True))
        hosts: Mapping[str, Any] = dict.fromkeys(map(itemgetter(0), keys))
        if self._is_all and len(hosts) > _MOST_HOSTS:
            hosts = self.names  # also those that count nothing
        by_host = self._host_condition(hosts)
        of_members = self._member_condition(groups_of, hosts) if by_host else None
        if by_host is None or of_members is None:
            return Grouping(COLUMNS, groups_of, by_host or self._known_hosts(), len(self.names))
        condition = f"{by_host} AND {of_members}"
        if len(set(numbers)) == 1:
            return Grouping((), {(): numbers[0]}, condition, len(hosts))
        columns = list(zip(*keys, strict=True))
        for part in (slice(1, 3), slice(0, 1)):
            places: dict[tuple[str, ...], int] = dict(
                zip(zip(*columns[part], strict=True), numbers, strict=True)
            )
            places_of_keys = map(places.get, zip(*columns[part], strict=True))
            if all(map(eq, places_of_keys, numbers)):  # each has one group only
                if "host" in COLUMNS[part] and by_host == self._known_hosts():
                    condition = of_members  # rows of other hosts are in no group
                return Grouping(COLUMNS[part], places, condition, len(hosts))
        return Grouping(COLUMNS, groups_of, condition, len(hosts))

    def each(self, numbers: Iterable[int]) -> Grouping:
        """The same of single interfaces, whose places are their numbers."""
        of_key: dict[tuple[str, ...], int] = {self.key(number): number for number in numbers}
        return self.grouping([[number] for number in of_key.values()])._replace(
            columns=COLUMNS, places=of_key
        )

    def _known_hosts(self) -> str:
        return f"host GLOBAL IN (SELECT host FROM {self._asked.table(HOST.name)} FINAL)"  # noqa: S608  # our own name

    def _host_condition(self, hosts: Iterable[str]) -> str | None:
        """What only rows of these hosts fulfil; None where that cannot be said in short."""
        keys = list(hosts)
        if self._is_all and len(keys) == len(self.names) and len(keys) > 1:
            return self._known_hosts()
        return f"host IN ({among(keys)})" if len(keys) <= _MOST_HOSTS else None

    def _member_condition(self, members: Mapping[tuple[str, ...], int], hosts: Collection[str]) -> str | None:
        """What only rows of these interfaces fulfil, of those of some hosts; None where that is long."""
        raw = self._interfaces.raw
        if len(members) == len(self._interfaces.keys):
            mine, others = set(zip(*raw[1:], strict=True)), set[tuple[str, str, int]]()
        else:
            are_mine = list(map(members.__contains__, zip(*raw[:3], strict=True)))
            are_others = map(gt, map(hosts.__contains__, raw[0]), are_mine)
            mine = set(compress(zip(*raw[1:], strict=True), are_mine))
            others = set(compress(zip(*raw[1:], strict=True), are_others))
        pairs, other_pairs = {row[:2] for row in mine}, {row[:2] for row in others}
        if not pairs & other_pairs and len(pairs) <= _MOST_PAIRS:
            return f"(interface, kind) IN ({_tuples(pairs)})"
        if len(members) <= _MOST_MEMBERS:
            return f"(host, interface, kind) IN ({_tuples(members)})"
        said = "" if mine & others else _of_interfaces(mine, others)
        if not said:
            return None
        return (
            f"(host, interface, kind) GLOBAL IN (SELECT host, name, kind FROM {self._asked.table(INTERFACE.name)} FINAL "  # noqa: S608  # quoted
            f"WHERE {_WAS_SEEN} AND {said})"
        )


def _of_interfaces(mine: set[tuple[str, str, int]], others: set[tuple[str, str, int]]) -> str:
    """What some rows of the table of interfaces fulfil and others do not, "" where that is long."""
    if not others:
        return "1"
    flags = {row[2] for row in mine}
    if len(flags) == 1 and not flags & {row[2] for row in others}:
        return f"counted = {flags.pop()}"
    return f"(name, kind, counted) IN ({_tuples(mine)})" if len(mine) <= _MOST_PAIRS else ""


def _chosen(
    known: Mapping[str, tuple[str, tuple[str, ...]]], hosts: Sequence[str], labels: Sequence[str]
) -> list[str]:
    """The keys of the hosts that fit; `known`: their names and labels.

    Raises:
        NoDataError: none does, or none has a name that fits one of the patterns.
    """
    hint = "see which there are, and their labels: netusage fleet status"
    if not known and not hosts:
        raise NoDataError("no host has delivered to the fleet yet", hint="on a host: netusage ship --once")
    for pattern in hosts:
        if not any(key == pattern or matches(name, [pattern]) for key, (name, _) in known.items()):
            raise NoDataError(f"the fleet has no host {pattern!r}", hint=hint)
    if not hosts and not labels:
        return list(known)
    found = [
        key
        for key, (name, own) in known.items()
        if (not hosts or key in hosts or matches(name, hosts))
        and all(any(matches(label, [pattern]) for label in own) for pattern in labels)
    ]
    if not found:
        wanted = " and ".join(map(repr, labels))
        among = " among those that were named" if hosts else ""
        raise NoDataError(f"the fleet has no host with the label {wanted}{among}", hint=hint)
    return found


def _told_apart(names: Mapping[str, str]) -> dict[str, str]:
    """What hosts are called, by key."""
    numbers = Counter(names.values())
    return {key: name if numbers[name] == 1 else f"{name} ({key})" for key, name in names.items()}


def _extent(from_s: Sequence[int], until_s: Sequence[int]) -> tuple[int, int] | None:
    """The extent of all ledgers, out of that of each; see `schema.HOST`."""
    if not all(until_s):
        return None
    reaches = [reach for reach in zip(from_s, until_s, strict=True) if reach[1] > 0]
    return (min(reaches)[0], max(until_s)) if reaches else None


def made(kind: type[_T], rows: Iterable[Iterable[Any]]) -> Iterator[_T]:
    """Named tuples out of rows, for many: quicker than `_make`, which looks at each."""
    return map(tuple.__new__, repeat(kind), rows)


def in_order(sql: str, by: str) -> str:
    """The rows of a statement in order: old versions cannot order what comes from FINAL of several shards."""
    return f"SELECT * FROM ({sql}) ORDER BY {by}"  # noqa: S608  # our own texts


def among(texts: Iterable[str]) -> str:
    """Texts as SQL has them, for IN."""
    return ", ".join(map(literal, texts))


def _tuples(rows: Iterable[tuple[Any, ...]]) -> str:
    """Tuples of texts and numbers as SQL has them, in order."""
    return ", ".join(
        "(" + ", ".join(literal(part) if isinstance(part, str) else str(part) for part in row) + ")"
        for row in sorted(rows)
    )
