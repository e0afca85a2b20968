"""docs/fleet.md and docs/capacity.md: their SQL is run on a real server, and finds what was delivered."""

import re
from pathlib import Path

import pytest
from support import clickhouse
from support.fleet import values_of
from support.ledgers import writing

from netusage.fleet.deliver import Delivery
from netusage.fleet.schema import SHARE_MONTH, USAGE, USAGE_MONTH
from netusage.fleet.tables import missing
from netusage.ledger.batch import Part
from netusage.ledger.ship_journal import ShipJournal
from netusage.model import US, Counters, Who
from netusage.settings.schema import FleetSettings

pytestmark = pytest.mark.system
DOCS = Path(__file__).parents[2] / "docs"
JANUARY_S, NOVEMBER_S = 1_735_689_600, 1_793_491_200  # 2025 and 2026, UTC


def statements(document):
    """The SQL of a document, one statement after the other."""
    blocks = re.findall(r"```sql\n(.*?)```", (DOCS / document).read_text(encoding="utf-8"), re.DOTALL)
    lines = re.sub(r"--.*", "", "\n".join(f"{block};" for block in blocks))
    return [one.strip() for one in lines.split(";") if one.strip()]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    yield from clickhouse.alone(tmp_path_factory)


@pytest.fixture
def store(server, tmp_path):
    """A fleet of one host, with something in two months."""
    path = tmp_path / "ledger.db"
    with writing(path, JANUARY_S) as ledger:
        epoch = ledger.interface("eth0")
        for at_s, rx in ((JANUARY_S, 1000), (NOVEMBER_S, 70)):
            ledger.count(epoch, at_s, rx, 5, 3, 2)
            for name, part in (("mail", rx // 10), ("web", rx // 2)):
                ledger.share(Part(at_s, epoch, Who("application", name), 3, 6, 4), Counters(part, 1, 1, 1))
            ledger.commit(at_s + 3600)
    with clickhouse.store(server.url) as made:
        for statement in missing(made):
            made.execute(statement.sql)
        settings = FleetSettings(url=server.url, name="web1")
        journal = ShipJournal(str(path), settings.url, settings.database)
        Delivery(str(path), settings, made, journal, version="1").run(NOVEMBER_S * US)
        yield made
        made.execute(f"DROP DATABASE {made.address.database}")


def test_the_busiest_hosts_and_applications_are_found_as_described(store):
    hosts, applications = statements("fleet.md")
    assert store.query(hosts) == [("web1", 75)]
    assert store.query(applications) == [("web", 36), ("mail", 8)]


def test_a_month_is_dropped_as_described_and_the_others_stay(store):
    dropped = statements("capacity.md")
    assert len(dropped) == 7
    for statement in dropped:
        store.execute(statement)
    for table in (USAGE, USAGE_MONTH, SHARE_MONTH):
        starts = store.query(f"SELECT toUInt32(min(start)) FROM {values_of(store, table)}")
        assert starts == [(NOVEMBER_S,)]
