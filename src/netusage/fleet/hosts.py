"""The hosts of a fleet: which there are and when they were heard of, and how one is taken out."""

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from netusage.errors import FleetError, NoDataError, UsageError
from netusage.fleet.schema import GAP, HOST, LOCAL, TABLES, Table, literal
from netusage.fleet.store import Store
from netusage.fleet.tables import cluster_of

_FIELDS = "host, ledger, name, machine, version, labels, seen_us, cursor, sealed_until_s, created_us, tier"
_POLL_S = 0.1


class HostRow(NamedTuple):
    """A ledger that was delivered, as of its last delivery.

    key: of the host, see `schema.host_key`; a name is no key.
    cursor: up to this change number all of it has arrived.
    gaps, lossy: how many were declared, and how many of those may have lost bytes.
    """

    key: str
    ledger: str
    name: str
    machine: str
    version: str
    labels: tuple[str, ...]
    seen_us: int
    cursor: int
    sealed_until_s: int
    created_us: int
    tier: str
    gaps: int
    lossy: int


def hosts(store: Store) -> list[HostRow]:
    """Every ledger, by the host's name; of one host the one that was heard of last comes first.

    Raises:
        FleetError: the store cannot be asked, or not all of it.
    """
    sql = f"SELECT {_FIELDS} FROM {store.table(HOST.name)} FINAL"  # noqa: S608  # our own names
    found = store.query(sql)
    sql = (
        f"SELECT host, ledger, count(), sum(lossy) FROM {store.table(GAP.name)} FINAL "  # noqa: S608  # as above
        "WHERE kind != '' GROUP BY host, ledger"  # what was taken back has none
    )
    gaps = {(key, ledger): (number, lossy) for key, ledger, number, lossy in store.query(sql)}
    rows = [HostRow._make((*row, *gaps.get(row[:2], (0, 0)))) for row in found]
    return sorted(rows, key=lambda row: (row.name, row.key, -row.seen_us))


def shared_names(rows: Iterable[HostRow]) -> dict[str, list[str]]:
    """The names that several hosts have, with their keys."""
    keys: dict[str, set[str]] = {}
    for row in rows:
        keys.setdefault(row.name, set()).add(row.key)
    return {name: sorted(of_it) for name, of_it in keys.items() if len(of_it) > 1}


def find(rows: Sequence[HostRow], host: str) -> str:
    """The key of the host of that name, or with that key.

    Raises:
        NoDataError: there is none.
        UsageError: several hosts have that name.
    """
    if any(row.key == host for row in rows):
        return host
    keys = sorted({row.key for row in rows if row.name == host})
    if not keys:
        raise NoDataError(
            f"the fleet has no host {host!r}", hint="see which there are: netusage fleet status"
        )
    if len(keys) > 1:
        raise UsageError(
            f"{len(keys)} hosts are called {host!r}", hint=f"name one of them by its key: {', '.join(keys)}"
        )
    return keys[0]


# ---- Taking one out ---------------------------------------------------------------------------------------------


def rows_of(store: Store, key: str) -> dict[str, int]:
    """How many rows of a host are in each table."""
    return {table.name: _count(store, table, key) for table in TABLES}


def retire(
    store: Store, key: str, others: Sequence[Store], longest_s: float, tick: Callable[[], object]
) -> None:
    """Delete all rows of a host; when this returns, none is left anywhere.

    Args:
        store: the store.
        key: of the host.
        others: further servers of the same cluster, which have rows of their own.
        longest_s: how long to wait for each table.
        tick: called while it waits.

    Raises:
        FleetError: as always; or rows are left, on servers that were not named or because it takes longer.
    """
    end = LOCAL if cluster_of(store) else ""
    for tables in (TABLES[:-1], TABLES[-1:]):  # while it is among the hosts it can be named again
        for server in (store, *others):
            for table in tables:
                name = server.table(table.name + end)
                server.execute(f"ALTER TABLE {name} DELETE WHERE host = {literal(key)}")
        for server in (store, *others):
            for table in tables:
                _wait(server, table.name + end, longest_s, tick)
        for table in tables:
            left = _count(store, table, key)
            if left:
                raise FleetError(
                    f"{left:,} rows of the host are left in the table {table.name}, on servers that were not named",
                    hint="name all servers of the cluster: --node URL, as often as there are",
                )


def _count(store: Store, table: Table, key: str) -> int:
    sql = f"SELECT count() FROM {store.table(table.name)} FINAL WHERE host = {literal(key)}"  # noqa: S608  # as above
    ((number,),) = store.query(sql)
    return int(number)


def _wait(store: Store, table: str, longest_s: float, tick: Callable[[], object]) -> None:
    """Wait until nothing is being changed in a table any more."""
    where = f"database = {literal(store.address.database)} AND table = {literal(table)} AND is_done = 0"
    end, pause = time.monotonic() + longest_s, threading.Event()
    while store.query(f"SELECT 1 FROM system.mutations WHERE {where} LIMIT 1"):  # noqa: S608  # as above
        if time.monotonic() > end:
            raise FleetError(
                f"{store.address.url} has been deleting from {table} for {longest_s:g} s and is not done",
                hint="it goes on by itself (system.mutations); run this again later",
            )
        tick()
        pause.wait(_POLL_S)
