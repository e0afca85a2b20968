"""Making a store's tables, and bringing those of an older netusage up to date."""

import re

from netusage.errors import FleetError
from netusage.fleet.schema import LOCAL, TABLES, Cluster, Statement, Table, addition, creation, literal
from netusage.fleet.store import Store

_LOW_CARDINALITY = re.compile(r"LowCardinality\((\w+)\)")
_Columns = dict[str, dict[str, str]]  # type of each column, by table


def missing(store: Store, cluster_name: str = "") -> list[Statement]:
    """What has to be done on a server for it to have all tables; nothing when it has them.

    Args:
        store: of that server; its database need not be there.
        cluster_name: of the servers that share the rows, as the server itself calls it; "" for one alone.

    Raises:
        FleetError: there is no such cluster, or tables are there that are something else.
    """
    database = store.address.database
    cluster = _cluster(store, cluster_name) if cluster_name else None
    codecs = store.has_codecs
    found: list[Statement] = []
    sql = f"SELECT name FROM system.databases WHERE name = {literal(database)}"  # noqa: S608  # quoted
    if not store.query(sql):
        found.append(Statement(f"database {database}", f"CREATE DATABASE IF NOT EXISTS `{database}`"))
    engines = _engines(store)
    columns = _columns(store)
    for table in TABLES:
        wanted = [table.name + LOCAL, table.name] if cluster else [table.name]
        _check(store, table, engines, cluster)
        for statement, name in zip(
            creation(table, database, codecs=codecs, cluster=cluster), wanted, strict=True
        ):
            if name not in engines:
                found.append(statement)
        if all(name in engines for name in wanted):
            for column in table.columns:
                added = addition(table, column, database, codecs=codecs, cluster=cluster)
                found += [
                    statement
                    for statement, name in zip(added, wanted, strict=True)
                    if column.name not in columns[name]
                ]
            _check_types(table, columns[wanted[0]])
    return found


def check_shards(store: Store) -> None:
    """Read nothing of every table, from all the shards.

    Raises:
        FleetError: a shard cannot be reached, or has not the tables.
    """
    for table in TABLES:
        store.query(f"SELECT count() FROM {store.table(table.name)} WHERE host = ''")  # noqa: S608  # our own names


def cluster_of(store: Store) -> str:
    """The name of the cluster over which the rows are spread, "" when the server has all of them.

    Raises:
        FleetError: the tables are not there.
    """
    sql = (
        "SELECT engine, engine_full FROM system.tables "  # noqa: S608  # as above
        f"WHERE database = {literal(store.address.database)} AND name = 'host'"
    )
    rows = store.query(sql)
    if not rows:
        raise FleetError(
            f"{store.address.url} has no tables of netusage in the database {store.address.database!r}",
            hint=f"run: netusage fleet init {store.address.url}",
        )
    engine, full = rows[0]
    if engine != "Distributed":
        return ""
    return str(full).partition("(")[2].partition(",")[0].strip(" '`\"")


def _cluster(store: Store, name: str) -> Cluster:
    sql = f"SELECT toInt64(max(replica_num)), toInt64(count()) FROM system.clusters WHERE cluster = {literal(name)}"  # noqa: S608  # as above
    ((replicas, servers),) = store.query(sql)
    if not servers:
        known = sorted({row[0] for row in store.query("SELECT DISTINCT cluster FROM system.clusters")})
        raise FleetError(
            f"{store.address.url} knows no cluster {name!r}",
            hint=f"it knows {', '.join(known)}"
            if known
            else "write it as remote_servers in its configuration",
        )
    return Cluster(name, replicas > 1)


def _engines(store: Store) -> dict[str, str]:
    sql = f"SELECT name, engine FROM system.tables WHERE database = {literal(store.address.database)}"  # noqa: S608  # as above
    return dict(store.query(sql))


def _columns(store: Store) -> _Columns:
    sql = f"SELECT table, name, type FROM system.columns WHERE database = {literal(store.address.database)}"  # noqa: S608  # as above
    found: _Columns = {}
    for table, name, kind in store.query(sql):
        found.setdefault(table, {})[name] = kind
    return found


def _check(store: Store, table: Table, engines: dict[str, str], cluster: Cluster | None) -> None:
    """Refuse tables of these names that are something else; nothing is ever dropped or made anew."""
    engine = engines.get(table.name)
    place = f"{store.address.database}.{table.name} on {store.address.url}"
    if engine is None:
        return
    if cluster is None and engine == "Distributed":
        raise FleetError(f"the table {place} is one of a cluster", hint="name it with --cluster")
    if cluster is not None and engine != "Distributed":
        raise FleetError(
            f"the table {place} is one of a server alone, and cannot be spread over a cluster",
            hint="choose another database with --database",
        )
    if cluster is None and not engine.endswith("ReplacingMergeTree"):
        raise FleetError(
            f"the table {place} is none of netusage's, its engine is {engine}",
            hint="choose another database with --database",
        )


def _check_types(table: Table, types: dict[str, str]) -> None:
    for column in table.columns:
        kind = _LOW_CARDINALITY.sub(r"\1", types.get(column.name, column.plain_type))
        if kind.replace('"', "'") not in (column.plain_type, column.type):
            raise FleetError(
                f"the column {column.name} of the table {table.name} is {kind} and not {column.plain_type}",
                hint="choose another database with --database; this one was left as it is",
            )
