"""The tables of a fleet's store, for those who write rows and for those who read them, and how they are made.

Each row is the state of something at a host, never a difference: `seq` grows with every change of it, and of rows with one
key the one with the highest `seq` counts (ReplacingMergeTree; reads say FINAL). So rows may be sent again and in any order.
What is said about `host` and `ledger` of every row: `host` is `host_key`, `ledger` the identity of the ledger.

Quarters of an hour of a large fleet are too many to add up while somebody waits, so hosts say as well what whole UTC days
and months have: the tables of days and months. They are state like all else, added up at the host, of the same record;
what they have is in the quarters too, and must not be added to them.

There are two dialects: versions before 20.3 have no codecs. Sharded, rows of `usage_local` are on the shard that the host's
key says, and `usage` is all of them.
"""

import hashlib
from collections.abc import Iterable
from typing import NamedTuple

from netusage.model import LARGEST

FIRST_WITH_CODECS = (20, 3)
_LIST = "Array("
LOCAL = "_local"  # ends the name of a shard's own part
_CODECS = {
    "DateTime": "DoubleDelta, ZSTD(1)",
    "Int64": "Delta, ZSTD(1)",
    "UInt32": "ZSTD(1)",
    "UInt64": "T64, ZSTD(1)",
    "String": "ZSTD(3)",
}
_CODECS_BY_NAME = {"seq": "Delta, ZSTD(1)"}  # one after the other in a quarter, with steps between
# The UTC day in which a row starts. Rows of quarters lie together by it, so that a few hours of all hosts, as at the
# ends of a local month, are read without the rest of their month: by those who say it in WHERE beside `start`.
DAY = "intDiv(toUInt32(start), 86400)"
_GRANULARITY = 1024  # rows; an hour of a host is little of the usual 8192
_LISTS_GRANULARITY = 128  # of rows with lists, which are many rows each
# from and to which number a column may be sent; no store says when a number does not fit
LIMITS = {
    "UInt8": (0, (1 << 8) - 1),
    "UInt32": (0, (1 << 32) - 1),
    "UInt64": (0, LARGEST),
    "Int64": (-LARGEST - 1, LARGEST),
    "DateTime": (0, (1 << 32) - 1),
}


class Column(NamedTuple):
    """A column: `type` is one of `LIMITS` or "String", or a list of one, "Array(String)"; DateTime is in UTC, UTC seconds.

    few: it has few different values.
    """

    name: str
    type: str
    few: bool = False

    @property
    def is_list(self) -> bool:
        """Whether a row has any number of values of it."""
        return self.type.startswith(_LIST)

    @property
    def value_type(self) -> str:
        """The type of one value."""
        return self.type.removeprefix(_LIST).removesuffix(")") if self.is_list else self.type

    @property
    def plain_type(self) -> str:
        """The type as every version has it."""
        return "DateTime('UTC')" if self.type == "DateTime" else self.type

    def declaration(self, *, codecs: bool) -> str:
        """The column in CREATE TABLE."""
        if codecs and self.few:
            few = f"LowCardinality({self.value_type})"
            return f"`{self.name}` {f'{_LIST}{few})' if self.is_list else few}"
        codec = _CODECS_BY_NAME.get(self.name, _CODECS.get(self.value_type, "")) if codecs else ""
        return f"`{self.name}` {self.plain_type}{f' CODEC({codec})' if codec else ''}"


class Table(NamedTuple):
    """A table. `key`: of rows with one key, the newest counts; `month`: the column whose month makes partitions, or "".

    by_day: its rows lie together by `DAY`.
    lists: columns of which a row has as many values each, those of one place together.
    """

    name: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    month: str = ""
    by_day: bool = False
    lists: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The columns' names, in the order of a row."""
        return tuple(column.name for column in self.columns)

    def unfolded(self, full_name: str, wanted: Iterable[str], *, final: bool = True) -> str:
        """The table in FROM, with a row for every place of the lists; without any it is as it is.

        Args:
            full_name: as SQL has it.
            wanted: columns that the statement has; lists among them are single values in it.
            final: of rows with one key, only the newest.
        """
        source = f"{full_name} FINAL" if final else full_name
        lists = [name for name in self.lists if name in wanted]
        return f"{source} ARRAY JOIN {', '.join(lists)}" if lists else source


def _columns(*groups: str) -> tuple[Column, ...]:
    """Columns out of "names: type" and "names: few" (texts of few different values)."""
    found = []
    for group in groups:
        names, _, kind = group.partition(": ")
        few = kind == "few"
        found += [Column(name, "String" if few else kind, few) for name in names.split()]
    return tuple(found)


_COUNTERS = "rx_bytes tx_bytes rx_packets tx_packets: UInt64"


def _usage(name: str, *, by_day: bool = False) -> Table:
    return Table(
        name,
        _columns(
            *("host ledger: String", "interface kind: few", "start: DateTime", _COUNTERS),
            *("peak_rx peak_tx: UInt64", "seq: UInt64"),
        ),
        ("host", "interface", "kind", "start", "ledger"),
        "start",
        by_day,
    )


# What an interface counted in a quarter of an hour, which begins at `start`.
USAGE = _usage("usage", by_day=True)
# The sums of those in a UTC day, and in a UTC month, which begins at `start`, and the highest of the peaks.
USAGE_DAY = _usage("usage_day")
USAGE_MONTH = _usage("usage_month")
# What it counted at an unknown time of a stretch; `number` is the ledger's.
SPAN = Table(
    "span",
    _columns(
        *(
            "host ledger: String",
            "interface kind: few",
            "number: UInt64",
            "start_us end_us: Int64",
            _COUNTERS,
        ),
        *("because: few", "seq: UInt64"),
    ),
    ("host", "interface", "kind", "number", "ledger"),
)


_WHO = ("who_kind: few", "application path user unit container pod: String", "scope protocol family: UInt8")
# What an application had of an interface's bytes in a quarter of an hour, or in a day that the host had folded before it
# delivered it, `seconds` long; scope, protocol and family are numbers as in the ledger.
SHARE = Table(
    "share",
    _columns(
        *("host ledger: String", "start: DateTime", "seconds: UInt32", "interface kind: few"),
        *(*_WHO, _COUNTERS, "seq: UInt64"),
    ),
    (
        *("host", "start", "interface", "kind", "who_kind", "application", "path", "user", "unit"),
        *("container", "pod", "scope", "protocol", "family", "ledger"),
    ),
    "start",
    by_day=True,
)


def _share_sums(name: str) -> Table:
    lists = [column._replace(type=f"{_LIST}{column.type})") for column in _columns(*_WHO, _COUNTERS)]
    own = _columns("host ledger: String", "interface kind: few", "start: DateTime")
    return Table(
        name,
        (*own, *lists, *_columns("seq: UInt64")),
        ("host", "interface", "kind", "start", "ledger"),
        "start",
        lists=tuple(column.name for column in lists),
    )


# The sums of those that begin in a UTC day, and in a UTC month, of all that had anything of an interface: lists, of which
# each place is of one. So FINAL compares a row where it would compare a hundred.
SHARE_DAY = _share_sums("share_day")
SHARE_MONTH = _share_sums("share_month")
# up: it was switched on when it was last looked at; living: it had not gone away then.
INTERFACE = Table(
    "interface",
    _columns(
        *("host ledger name: String", "kind: few", "counted: UInt8", "reason: String"),
        *("first_seen_us last_seen_us: Int64", _COUNTERS, "up living: UInt8", "seq: UInt64"),
    ),
    ("host", "name", "kind", "ledger"),
)
GAP = Table(
    "gap",
    _columns(
        *("host ledger: String", "number: UInt64", "start_us end_us: Int64", "kind: few", "lossy: UInt8"),
        *("interface note: String", "seq: UInt64"),
    ),
    ("host", "number", "ledger"),
)
# One row a ledger, written with every delivery after all else: up to `cursor`, a change number, all has arrived.
# sums: the days and months of all of it have arrived too; 0 where the host does not tell them.
# from_s, until_s: between which UTC seconds anything of it was counted or estimated, whole quarters; both -1 where there is
# nothing, and 0 where the host does not tell them.
HOST = Table(
    "host",
    _columns(
        *(
            "host ledger name machine version: String",
            "labels: Array(String)",
            "seen_us: Int64",
            "cursor: UInt64",
        ),
        *("sealed_until_s created_us: Int64", "tier: String", "sums: UInt8"),
        *("from_s until_s: Int64", "seq: UInt64"),
    ),
    ("host", "ledger"),
)
# HOST is the last: while it has a row of a host, the host is known.
TABLES = (
    *(USAGE, USAGE_DAY, USAGE_MONTH, SPAN, SHARE, SHARE_DAY, SHARE_MONTH),
    *(INTERFACE, GAP, HOST),
)


def host_key(machine: str, identity: str) -> str:
    """The key of a host: the same when it is renamed, another when only the name is the same.

    Args:
        machine: the machine's id; "" where it has none.
        identity: of the ledger, which stands in for it there.
    """
    return hashlib.sha256((machine or identity).encode()).hexdigest()[:16]


class Cluster(NamedTuple):
    """Servers that share the rows; `replicated`: each row is on several of them."""

    name: str
    replicated: bool


class Statement(NamedTuple):
    """A step of making the tables: what is made, and how."""

    what: str
    sql: str


def literal(text: str) -> str:
    """A text as SQL has it."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'").replace("\0", "\\0")
    return f"'{escaped}'"


def creation(table: Table, database: str, *, codecs: bool, cluster: Cluster | None) -> list[Statement]:
    """What makes a table on one server.

    Args:
        table: which.
        database: its database, which is there.
        codecs: whether the server is of `FIRST_WITH_CODECS` or newer.
        cluster: None for a server of its own.
    """
    columns = ",\n".join(f"  {column.declaration(codecs=codecs)}" for column in table.columns)
    own = table.name + (LOCAL if cluster else "")
    month = f"PARTITION BY toYYYYMM({table.month}) " if table.month else ""
    order = (DAY, *table.key) if table.by_day else table.key
    granularity = _LISTS_GRANULARITY if table.lists else _GRANULARITY if table.by_day else 0
    settings = f"\nSETTINGS index_granularity = {granularity}" if granularity else ""
    sql = (
        f"CREATE TABLE IF NOT EXISTS `{database}`.`{own}` (\n{columns}\n)\n"
        f"ENGINE = {_engine(own, database, cluster)}\n{month}ORDER BY ({', '.join(order)}){settings}"
    )
    made = [Statement(f"table {own}", sql)]
    if cluster:
        made.append(Statement(f"table {table.name}", _distributed(table, database, cluster)))
    return made


def addition(
    table: Table, column: Column, database: str, *, codecs: bool, cluster: Cluster | None
) -> list[Statement]:
    """What adds a column to a table that an older version made."""
    names = [table.name + LOCAL, table.name] if cluster else [table.name]
    what = column.declaration(codecs=codecs)
    return [
        Statement(
            f"column {column.name} of table {name}", f"ALTER TABLE `{database}`.`{name}` ADD COLUMN {what}"
        )
        for name in names
    ]


def _engine(own: str, database: str, cluster: Cluster | None) -> str:
    if cluster is not None and cluster.replicated:
        return f"ReplicatedReplacingMergeTree('/clickhouse/tables/{{shard}}/{database}/{own}', '{{replica}}', seq)"
    return "ReplacingMergeTree(seq)"


def _distributed(table: Table, database: str, cluster: Cluster) -> str:
    """All shards' parts as one table; it has the columns of the part that is here."""
    own = table.name + LOCAL
    return (
        f"CREATE TABLE IF NOT EXISTS `{database}`.`{table.name}` AS `{database}`.`{own}`\n"
        f"ENGINE = Distributed({literal(cluster.name)}, {literal(database)}, {literal(own)}, cityHash64(host))"
    )
