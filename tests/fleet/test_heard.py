"""When hosts were heard of, by the names and with the choice that reports have."""

import pytest
from support import deliveries, machines
from support.ledgers import DAY_S, START_S
from support.machines import HOSTILE, HOUR_S

from netusage.errors import NoDataError
from netusage.fleet.heard import Heard, heard
from netusage.fleet.reader import FleetReader
from netusage.fleet.schema import HOST
from netusage.fleet.store import Store, address_of
from netusage.model import US

pytestmark = pytest.mark.system
UNTIL_S = START_S + 5 * DAY_S
NOW_S = UNTIL_S + 100


@pytest.fixture(scope="module")
def fleet(server, tmp_path_factory):
    """A store with three hosts, of which web2 has told five hours less."""
    settings = machines.delivered(
        server.url, machines.ledgers(tmp_path_factory.mktemp("machines"), UNTIL_S), NOW_S
    )
    with Store(address_of(settings)) as store:
        yield store


def test_of_every_host_it_is_told_when_it_delivered_and_how_far_it_is_known(fleet):
    assert sorted(heard(fleet)) == [
        Heard(HOSTILE, NOW_S * US, UNTIL_S),
        Heard("web1", NOW_S * US, UNTIL_S),
        Heard("web2", NOW_S * US, UNTIL_S - 5 * HOUR_S),
    ]


def test_hosts_are_chosen_and_named_as_by_reports(fleet):
    for chosen in ((["web*"], []), ([], ["site=berlin"]), (["<*"], [])):
        names = {one.host for one in FleetReader(fleet, *chosen).interfaces()}
        assert {one.name for one in heard(fleet, *chosen)} == names
    with pytest.raises(NoDataError):
        heard(fleet, ["nobody"])


def test_of_several_ledgers_of_a_host_the_latest_counts_and_two_of_one_name_are_two(server):
    settings = deliveries.settings_for(server.url)
    deliveries.make_tables(settings)
    with Store(address_of(settings)) as store:
        for key, ledger, seen_us, sealed_s in (
            ("k1", "a", 5, 900),
            ("k1", "b", 9, 1800),
            ("k2", "c", 7, 2700),
        ):
            state = (key, ledger, "web", "Linux", "1", (), seen_us, 1, sealed_s, 1, "kernel", 0, 0, 0, 1)
            store.insert(HOST, [state])
        found = sorted(heard(store))
        assert found == [Heard("web (k1)", 9, 1800), Heard("web (k2)", 7, 2700)]
