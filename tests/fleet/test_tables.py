"""Making the tables on real servers: once, twice, over a cluster, and out of older ones."""

import pytest
from support import clickhouse
from support.clickhouse import CLUSTER
from support.clickhouse import store as store_of
from support.patience import until

from netusage.errors import FleetError
from netusage.fleet.hosts import retire
from netusage.fleet.schema import TABLES, USAGE
from netusage.fleet.tables import check_shards, cluster_of, missing

pytestmark = pytest.mark.system
ROW = ("h", "l", "eth0", "", 1_764_000_000, 1, 2, 3, 4, 5, 6, 7)


def make(client, cluster=""):
    statements = missing(client, cluster)
    for statement in statements:
        client.execute(statement.sql)
    return [statement.what for statement in statements]


def test_all_is_made_once_and_nothing_the_second_time(server, database):
    with store_of(server.url, database) as client:
        assert make(client) == [f"database {database}", *(f"table {table.name}" for table in TABLES)]
        assert make(client) == []
        assert cluster_of(client) == ""


def test_over_a_cluster_each_server_has_its_part_and_the_whole(shards, database):
    with store_of(shards[0].url, database) as one, store_of(shards[1].url, database) as two:
        made = make(one, CLUSTER)
        assert made[1:3] == ["table usage_local", "table usage"]
        with pytest.raises(FleetError, match=r"the shard 127\.0\.0\.1:\d+ has no tables") as caught:
            check_shards(one)
        assert "URLs of all servers" in caught.value.hint
        assert make(two, CLUSTER) == made
        for each in (one, two):
            assert make(each, CLUSTER) == []
            check_shards(each)
            assert cluster_of(each) == CLUSTER


def test_a_column_that_an_older_version_did_not_have_is_added_and_rows_stay(store):
    store.insert(USAGE, [ROW])
    store.execute(f"ALTER TABLE {store.table('usage')} DROP COLUMN peak_tx")
    with pytest.raises(FleetError, match="another version of netusage"):
        store.insert(USAGE, [ROW])
    assert make(store) == ["column peak_tx of table usage"]
    assert make(store) == []
    assert store.query(f"SELECT rx_bytes, peak_tx FROM {store.table('usage')}") == [(1, 0)]
    store.insert(USAGE, [(*ROW[:-1], 8)])
    assert store.query(f"SELECT peak_tx FROM {store.table('usage')} FINAL") == [(6,)]


def test_a_column_is_added_to_both_tables_of_each_server_of_a_cluster(sharded):
    for each in sharded:
        for name in ("usage_local", "usage"):
            each.execute(f"ALTER TABLE {each.table(name)} DROP COLUMN peak_tx")
        assert make(each, CLUSTER) == ["column peak_tx of table usage_local", "column peak_tx of table usage"]
        assert make(each, CLUSTER) == []
    sharded[0].insert(USAGE, [ROW])
    assert sharded[1].query(f"SELECT peak_tx FROM {sharded[1].table('usage')} FINAL") == [(6,)]


def test_an_unknown_cluster_is_told_with_those_that_are_known(shards, server, database):
    with (
        store_of(shards[0].url, database) as client,
        pytest.raises(FleetError, match="knows no cluster 'nowhere'") as caught,
    ):
        missing(client, "nowhere")
    assert CLUSTER in caught.value.hint
    with (
        store_of(server.url, database) as client,
        pytest.raises(FleetError, match="knows no cluster") as caught,
    ):
        missing(client, CLUSTER)
    assert "remote_servers" in caught.value.hint


def test_tables_of_a_server_alone_are_not_made_a_cluster_s_nor_the_other_way_round(sharded, shards):
    with pytest.raises(FleetError, match="is one of a cluster"):
        missing(sharded[0])
    alone = f"{sharded[0].address.database}_alone"
    with store_of(shards[0].url, alone) as client:
        make(client)
        with pytest.raises(FleetError, match="cannot be spread"):
            missing(client, CLUSTER)


def test_tables_of_somebody_else_are_refused_and_left_as_they_are(server, database):
    with store_of(server.url, database) as client:
        client.execute(f"CREATE DATABASE {database}")
        client.execute(f"CREATE TABLE {client.table('usage')} (a UInt8) ENGINE = Memory")
        with pytest.raises(FleetError, match="none of netusage's, its engine is Memory"):
            missing(client)
        client.execute(f"DROP TABLE {client.table('usage')}")
        columns = ", ".join(
            f"`{column.name}` {'Float64' if column.name == 'rx_bytes' else column.plain_type}"
            for column in USAGE.columns
        )
        client.execute(
            f"CREATE TABLE {client.table('usage')} ({columns}) ENGINE = ReplacingMergeTree(seq) ORDER BY host"
        )
        with pytest.raises(FleetError, match="rx_bytes of the table usage is Float64 and not UInt64"):
            missing(client)
        assert len(client.query(f"SELECT name FROM system.tables WHERE database = '{database}'")) == 1


def test_where_nothing_was_made_that_is_told(server, database):
    with store_of(server.url, database) as client, pytest.raises(FleetError, match="no tables of netusage"):
        cluster_of(client)


def test_a_user_who_has_one_database_can_do_all_in_it_and_nothing_elsewhere(server, store):
    with store_of(server.url, "narrow", user="narrow") as client:
        assert len(make(client)) == 1 + len(TABLES)
        assert make(client) == []
        client.insert(USAGE, [ROW])
        assert client.query(f"SELECT rx_bytes FROM {client.table('usage')} FINAL") == [(1,)]
        retire(client, "h", [], 60, lambda: None)
        assert client.query(f"SELECT rx_bytes FROM {client.table('usage')} FINAL") == []
    with (
        store_of(server.url, store.address.database, user="narrow") as client,
        pytest.raises(FleetError, match="'narrow' has no access to the database"),
    ):
        client.insert(USAGE, [ROW])


# ---- Replicas ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def replicas(tmp_path_factory):
    if clickhouse.why_no_replicas():
        pytest.skip(clickhouse.why_no_replicas())
    with clickhouse.two_replicas(tmp_path_factory.mktemp("replicas")) as running:
        yield running


def test_on_replicas_rows_are_on_both_and_one_that_was_away_gets_what_it_missed(replicas, database):
    rows = [("h", "l", "eth0", "", 1_764_000_000 + 900 * n, n, 2, 3, 4, 5, 6, 7) for n in range(10)]
    whole, part = "usage", "usage_local"

    def told(client, table):
        return client.query(f"SELECT count(), sum(rx_bytes) FROM {client.table(table)} FINAL")[0]

    with store_of(replicas[0].url, database) as one, store_of(replicas[1].url, database) as two:
        for each in (one, two):
            make(each, CLUSTER)
            assert make(each, CLUSTER) == []
            check_shards(each)
        one.insert(USAGE, rows)
        until(lambda: told(two, part) == (10, 45), "the rows at the other replica")
        replicas[1].kill()
        try:
            one.insert(USAGE, [(*row[:5], 100, *row[6:-1], 8) for row in rows])
            assert told(one, whole) == (10, 1000)
        finally:
            replicas[1].start()
        until(lambda: told(two, part) == (10, 1000), "what it missed", 60)  # it looks every ten seconds
        retire(one, "h", [], 60, lambda: None)
        until(lambda: told(two, part) == (0, 0), "nothing at the other replica")
        one.insert(USAGE, rows)  # the very rows that were deleted are no repetition
        assert told(one, whole) == (10, 45)
