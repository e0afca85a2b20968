"""The hosts of a fleet, and taking one out, on real servers."""

import pytest

from netusage.errors import FleetError, NoDataError, UsageError
from netusage.fleet.hosts import HostRow, find, hosts, retire, rows_of, shared_names
from netusage.fleet.schema import (
    GAP,
    HOST,
    INTERFACE,
    SHARE,
    SHARE_DAY,
    SHARE_MONTH,
    SPAN,
    TABLES,
    USAGE,
    USAGE_DAY,
    USAGE_MONTH,
    host_key,
)

START_S = 1_764_000_000
US = 1_000_000


def row(key, name, ledger="l", seen_us=1):
    return HostRow(key, ledger, name, "", "", (), seen_us, 0, 0, 0, "", 0, 0)


# ---- Finding one -------------------------------------------------------------------------------------------------


def test_a_host_is_found_by_its_name_or_its_key():
    rows = [row("k1", "web1"), row("k1", "web1", "older"), row("k2", "web2")]
    assert find(rows, "web1") == find(rows, "k1") == "k1"


def test_a_host_that_is_not_there_is_told():
    with pytest.raises(NoDataError, match="no host 'web3'"):
        find([row("k1", "web1")], "web3")


def test_of_two_hosts_of_one_name_one_has_to_be_named_by_its_key():
    rows = [row("k1", "web1"), row("k2", "web1")]
    with pytest.raises(UsageError, match="2 hosts are called 'web1'") as caught:
        find(rows, "web1")
    assert caught.value.hint.endswith("k1, k2")
    assert shared_names(rows) == {"web1": ["k1", "k2"]}


def test_one_host_with_two_ledgers_shares_its_name_with_nobody():
    assert shared_names([row("k1", "web1"), row("k1", "web1", "older")]) == {}


# ---- On servers --------------------------------------------------------------------------------------------------


def deliver(client, key, name, *, ledger="l", seq=1, seen_us=START_S * US, labels=()):
    """A row of everything, and gaps of which one may have lost something and one was taken back."""
    own = (key, ledger)
    for table in (USAGE, USAGE_DAY, USAGE_MONTH):
        client.insert(table, [(*own, "eth0", "", START_S, 1, 2, 3, 4, 5, 6, seq)])
    client.insert(SPAN, [(*own, "eth0", "", 1, 0, US, 1, 2, 3, 4, "stopped", seq)])
    who = ("application", "curl", "/usr/bin/curl", "eva", "", "", "")
    numbers = (3, 6, 4, 1, 2, 3, 4)
    client.insert(SHARE, [(*own, START_S, 900, "eth0", "", *who, *numbers, seq)])
    lists = [(value,) for value in (*who, *numbers)]
    for table in (SHARE_DAY, SHARE_MONTH):
        client.insert(table, [(*own, "eth0", "", START_S, *lists, seq)])
    client.insert(INTERFACE, [(*own, "eth0", "", 1, "hardware", 0, 1, 1, 2, 3, 4, 1, 1, seq)])
    gaps = [(1, 0, US, "stopped", 0, "", "", seq), (2, US, 2 * US, "reset", 1, "eth0", "", seq)]
    client.insert(GAP, [(*own, *gap) for gap in [*gaps, (3, 0, 0, "", 0, "", "", seq)]])
    state = (
        name,
        "Linux x86_64",
        "1.0",
        labels,
        seen_us,
        7,
        START_S,
        5 * US,
        "kernel",
        1,
        START_S,
        START_S + 900,
    )
    client.insert(HOST, [(*own, *state, seen_us)])


@pytest.mark.system
def test_a_host_is_told_as_of_its_last_delivery_with_its_gaps(store):
    key = host_key("machine", "l")
    deliver(store, key, "web1", labels=("site=berlin", "role=web"))
    deliver(store, key, "web1.example.org", seq=2, seen_us=(START_S + 60) * US, labels=("site=paris",))
    assert hosts(store) == [
        HostRow(
            *(key, "l", "web1.example.org", "Linux x86_64", "1.0", ("site=paris",), (START_S + 60) * US),
            *(7, START_S, 5 * US, "kernel", 2, 1),
        )
    ]


@pytest.mark.system
def test_two_hosts_of_one_name_are_two_and_two_ledgers_of_a_host_are_two_rows(store):
    deliver(store, "k1", "web1")
    deliver(store, "k1", "web1", ledger="newer", seen_us=(START_S + 1) * US)
    deliver(store, "k2", "web1")
    rows = hosts(store)
    assert [(one.key, one.ledger) for one in rows] == [("k1", "newer"), ("k1", "l"), ("k2", "l")]
    assert shared_names(rows) == {"web1": ["k1", "k2"]}


@pytest.mark.system
def test_of_a_host_that_is_taken_out_nothing_is_left_and_of_others_everything(store):
    for key in ("k1", "k2"):
        deliver(store, key, "web1")
        deliver(store, key, "web1", seq=2)
    everything = {table.name: 3 if table is GAP else 1 for table in TABLES}
    assert rows_of(store, "k1") == everything
    retire(store, "k1", [], 60, lambda: None)
    assert rows_of(store, "k1") == dict.fromkeys(everything, 0)
    assert rows_of(store, "k2") == everything
    deliver(store, "k1", "web1")
    assert rows_of(store, "k1") == everything


@pytest.mark.system
def test_a_host_is_taken_out_of_every_shard(sharded):
    one, two = sharded
    keys = [f"k{n}" for n in range(8)]
    for key in keys:
        deliver(one, key, key)
    for key in keys[:6]:
        retire(two, key, [one], 60, lambda: None)
        assert set(rows_of(one, key).values()) == {0}
    assert {row.key for row in hosts(one)} == set(keys[6:])


@pytest.mark.system
def test_rows_on_a_server_that_was_not_named_are_told_and_the_host_is_known_until_they_are_gone(sharded):
    one, two = sharded
    keys = [f"k{n}" for n in range(8)]
    for key in keys:
        deliver(one, key, key)
    elsewhere = next(key for (key,) in two.query(f"SELECT DISTINCT host FROM {two.table('host_local')}"))
    with pytest.raises(FleetError, match="1 rows of the host are left in the table usage") as caught:
        retire(one, elsewhere, [], 60, lambda: None)
    assert "--node" in caught.value.hint
    assert find(hosts(one), elsewhere) == elsewhere
    retire(one, elsewhere, [two], 60, lambda: None)
    assert set(rows_of(one, elsewhere).values()) == {0}


@pytest.mark.system
def test_every_table_is_told_of_and_emptied(store):
    deliver(store, "k1", "web1")
    assert list(rows_of(store, "k1")) == [table.name for table in TABLES]
