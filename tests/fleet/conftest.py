"""Servers for the tests of the fleet: one alone and two shards, for all tests of a file."""

import itertools

import pytest
from support import clickhouse

_NUMBERS = itertools.count(1)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A ClickHouse alone."""
    yield from clickhouse.alone(tmp_path_factory)


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    """Two of them that are a cluster; whoever kills one starts it again."""
    yield from clickhouse.sharded(tmp_path_factory)


@pytest.fixture
def database():
    """The name of a database that no other test uses."""
    return f"netusage_{next(_NUMBERS)}"


@pytest.fixture
def store(server, database):
    """The client of a server with all tables."""
    from netusage.fleet.tables import missing

    with clickhouse.store(server.url, database) as made:
        for statement in missing(made):
            made.execute(statement.sql)
        yield made


@pytest.fixture
def sharded(shards, database):
    """The clients of both shards, with all tables."""
    from netusage.fleet.tables import missing

    with (
        clickhouse.store(shards[0].url, database) as one,
        clickhouse.store(shards[1].url, database) as two,
    ):
        for each in (one, two):
            for statement in missing(each, clickhouse.CLUSTER):
                each.execute(statement.sql)
        yield one, two
