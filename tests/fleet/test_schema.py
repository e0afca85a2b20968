"""The tables: what they are in each dialect, and what a host is known by."""

import pytest

from netusage.fleet.schema import (
    HOST,
    LIMITS,
    SHARE_DAY,
    TABLES,
    USAGE,
    Cluster,
    Column,
    addition,
    creation,
    host_key,
    literal,
)


def test_each_table_ends_with_the_number_that_tells_which_row_is_newer():
    for table in TABLES:
        assert table.names[-1] == "seq", table.name


def test_the_key_of_each_table_begins_with_the_host_and_ends_with_the_ledger():
    for table in TABLES:
        assert table.key[0] == "host"
        assert table.key[-1] == "ledger"
        assert set(table.key) <= set(table.names)


def test_what_makes_partitions_is_part_of_the_key_so_that_all_states_of_a_row_meet():
    for table in TABLES:
        assert not table.month or table.month in table.key


def test_every_number_has_limits():
    for column in (column for table in TABLES for column in table.columns):
        assert column.value_type in {*LIMITS, "String"}


def test_lists_of_a_table_are_columns_of_lists_and_no_part_of_its_key():
    for table in TABLES:
        for column in table.columns:
            assert column.is_list or column.name not in table.lists
        assert not set(table.lists) & set(table.key)


def test_a_table_with_lists_has_a_row_for_each_place_of_those_that_are_wanted():
    assert SHARE_DAY.unfolded("t", ("host", "rx_bytes", "path")) == "t FINAL ARRAY JOIN path, rx_bytes"
    assert SHARE_DAY.unfolded("t", ("path",), final=False) == "t ARRAY JOIN path"
    assert SHARE_DAY.unfolded("t", ("host",)) == USAGE.unfolded("t", USAGE.names) == "t FINAL"


def test_the_hosts_are_the_last_table():
    assert TABLES[-1] is HOST


def test_an_old_server_is_told_nothing_that_it_does_not_know():
    for table in TABLES:
        (made,) = creation(table, "netusage", codecs=False, cluster=None)
        assert "CODEC" not in made.sql
        assert "LowCardinality" not in made.sql


def test_a_new_server_keeps_columns_small():
    (made,) = creation(USAGE, "netusage", codecs=True, cluster=None)
    assert "`start` DateTime('UTC') CODEC(DoubleDelta, ZSTD(1))" in made.sql
    assert "`interface` LowCardinality(String)" in made.sql
    assert "`rx_bytes` UInt64 CODEC(T64, ZSTD(1))" in made.sql
    (made,) = creation(SHARE_DAY, "netusage", codecs=True, cluster=None)
    assert "`who_kind` Array(LowCardinality(String))" in made.sql
    assert "`rx_bytes` Array(UInt64) CODEC(T64, ZSTD(1))" in made.sql


def test_a_cluster_has_a_part_on_each_server_and_a_table_over_all_by_host():
    part, whole = creation(USAGE, "netusage", codecs=False, cluster=Cluster("fleet", replicated=False))
    assert "`netusage`.`usage_local`" in part.sql
    assert "ENGINE = ReplacingMergeTree(seq)" in part.sql
    assert "Distributed('fleet', 'netusage', 'usage_local', cityHash64(host))" in whole.sql


def test_a_cluster_with_replicas_has_replicated_parts():
    part, _ = creation(USAGE, "netusage", codecs=True, cluster=Cluster("fleet", replicated=True))
    assert (
        "ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/netusage/usage_local', '{replica}', seq)"
        in part.sql
    )


def test_a_column_is_added_to_the_part_before_the_table_over_all():
    added = addition(
        USAGE, Column("more", "UInt64"), "netusage", codecs=False, cluster=Cluster("fleet", False)
    )
    assert [one.sql for one in added] == [
        "ALTER TABLE `netusage`.`usage_local` ADD COLUMN `more` UInt64",
        "ALTER TABLE `netusage`.`usage` ADD COLUMN `more` UInt64",
    ]


def test_a_host_is_known_by_its_machine_and_by_its_ledger_where_it_has_none():
    assert host_key("machine", "a") == host_key("machine", "b")
    assert host_key("", "a") != host_key("", "b")
    assert len(host_key("machine", "a")) == 16


@pytest.mark.parametrize(
    ("text", "quoted"), [("a", "'a'"), ("it's", "'it\\'s'"), ("\\", "'\\\\'"), ("\0", "'\\0'")]
)
def test_a_text_in_sql_cannot_end_itself(text, quoted):
    assert literal(text) == quoted
