"""A stretch of time by every dimension at once, what was ever seen, and what is new."""

import pytest
from support.ledgers import START_S, writing

from netusage.ledger.batch import Part
from netusage.ledger.hosts import merge
from netusage.ledger.reader import LedgerReader
from netusage.ledger.several import HostsReader
from netusage.model import QUARTER_S, US, Counters, Who
from netusage.periods import Period
from netusage.reports.applications import REST, TWICE, applications
from netusage.reports.breakdown import SHOWN, away, breakdown, known
from netusage.reports.chosen import Choice
from netusage.reports.share_index import ShareIndex
from netusage.reports.shares import AskedShares
from netusage.settings.schema import InterfaceSettings

DAY_S = 86_400
WEB = Who("application", "web", "/srv/web", "eva", "web.service")
OTHER_WEB = Who("application", "web", "/opt/web", "adam")
DB = Who("application", "db", "/srv/db", "eva", "", "docker 0123456789ab")
KERNEL = Who("kernel")
HOUR = Period(START_S, START_S + 4 * QUARTER_S)
NOTHING = InterfaceSettings()


@pytest.fixture
def ledger(tmp_path):
    with writing(tmp_path / "ledger.db") as ledger:
        ledger.tier = "kernel"
        eth0, wlan0 = ledger.interface("eth0"), ledger.interface("wlan0")
        lo = ledger.interface("lo", "loopback", counted=False)
        ledger.count(eth0, START_S, 10_000, 5_000, 100, 50)
        ledger.count(wlan0, START_S + 900, 1_000, 500, 10, 5)
        ledger.count(lo, START_S, 70, 70, 7, 7)
        for epoch, who, scope, protocol, counters in (
            (eth0, WEB, 3, 6, (6_000, 3_000, 60, 30)),
            (eth0, OTHER_WEB, 1, 6, (500, 100, 5, 1)),
            (eth0, DB, 1, 6, (2_000, 1_000, 20, 10)),
            (eth0, KERNEL, 2, 1, (0, 400, 0, 4)),
            (wlan0, WEB, 3, 17, (900, 500, 12, 5)),
            (lo, DB, 0, 6, (70, 70, 7, 7)),
        ):
            ledger.share(Part(START_S, epoch, who, scope, protocol, 4), Counters(*counters))
        ledger.commit(START_S + 3600)
        yield ledger


def asked(ledger, question, *arguments, **more):
    index = ShareIndex()
    with LedgerReader(ledger.path) as reader:
        index.read_whole(reader)
        return question(reader, index, *arguments, **more)


def table(parts):
    return {part.value: (part.rx_bytes, part.tx_bytes) for part in parts}


def test_every_dimension_is_told_the_busiest_first(ledger):
    found = asked(ledger, breakdown, HOUR, Choice(), NOTHING)
    assert (found.rx_bytes, found.tx_bytes) == (11_000, 5_500)
    assert tuple(found.by) == SHOWN
    assert table(found.by["application"]) == {
        "web": (7_400, 3_600),
        "db": (2_000, 1_000),
        REST: (1_600, 500),
        "kernel: ICMP": (0, 400),
    }
    assert [part.value for part in found.by["application"]] == ["web", "db", REST, "kernel: ICMP"]
    assert table(found.by["user"]) == {"eva": (8_900, 4_500), "adam": (500, 100)}
    assert table(found.by["unit"]) == {"web.service": (6_900, 3_500)}
    assert table(found.by["container"]) == {"docker 0123456789ab": (2_000, 1_000)}
    assert table(found.by["scope"])["internet"] == (6_900, 3_500)
    assert table(found.by["interface"]) == {"eth0": (10_000, 5_000), "wlan0": (1_000, 500)}


def test_parts_add_up_to_the_whole_and_so_do_their_shares(ledger):
    found = asked(ledger, breakdown, HOUR, Choice(), NOTHING, limit=2)
    for dimension in ("application", "scope", "interface"):
        parts, others = found.by[dimension], found.others[dimension]
        assert sum(part.both for part in parts) + others.both == found.rx_bytes + found.tx_bytes
        assert sum(part.share for part in parts) + others.share == pytest.approx(1)
    assert found.others["application"].number == 2
    assert found.others["user"].number == 0


def test_applications_are_those_of_the_list_of_applications(ledger):
    found = asked(ledger, breakdown, HOUR, Choice(), NOTHING)
    with LedgerReader(ledger.path) as reader:
        rows = applications(reader, HOUR, ["application"], NOTHING)
    assert table(found.by["application"]) == {row.values[0]: row.counters[:2] for row in rows}


def test_what_is_chosen_is_told_apart_alone(ledger):
    found = asked(ledger, breakdown, HOUR, Choice(values={"user": frozenset({"eva"})}), NOTHING)
    assert table(found.by["application"]) == {"web": (6_900, 3_500), "db": (2_000, 1_000)}
    assert found.rx_bytes == 8_900
    rest = asked(ledger, breakdown, HOUR, Choice(values={"application": frozenset({REST})}), NOTHING)
    assert table(rest.by["application"]) == {REST: (1_600, 500)}
    assert table(rest.by["interface"]) == {"eth0": (1_500, 500), "wlan0": (100, 0)}


def test_interfaces_outside_of_the_total_are_told_where_they_are_named(ledger):
    found = asked(ledger, breakdown, HOUR, Choice(("lo",)), NOTHING)
    assert table(found.by["application"]) == {"db": (70, 70)}
    assert found.by["application"][0].share == 1


def test_what_sockets_were_given_beyond_what_was_counted_is_said_to_be_delivered_twice(tmp_path):
    with writing(tmp_path / "ledger.db") as ledger:
        eth0 = ledger.interface("eth0")
        ledger.count(eth0, START_S, 1_000, 0, 10, 0)
        ledger.share(Part(START_S, eth0, WEB, 3, 17, 4), Counters(1_000, 0, 10, 0))
        ledger.share(Part(START_S, eth0, DB, 3, 17, 4), Counters(1_000, 0, 10, 0))
        ledger.commit(START_S + 900)
        found = asked(ledger, breakdown, HOUR, Choice(), NOTHING)
    assert table(found.by["application"])[TWICE] == (-1_000, 0)
    assert found.rx_bytes == 1_000


def test_a_stretch_without_anything_has_no_shares(ledger):
    found = asked(ledger, breakdown, Period(START_S - 900, START_S), Choice(), NOTHING)
    assert (found.rx_bytes, found.tx_bytes) == (0, 0)
    assert not any(found.by.values())
    assert found.others["application"].share is None


def test_all_that_were_ever_seen_are_known_by_name(ledger):
    ledger.version(WEB, 8, 21)
    ledger.version(WEB, 8, 22)
    ledger.share(Part(START_S + 900, ledger._epochs[0], WEB, 3, 6, 4), Counters(1, 1, 1, 1))
    ledger.commit(START_S + 7200)
    found = {one.name: one for one in asked(ledger, known)}
    web = found["web"]
    assert (web.rx_bytes, web.tx_bytes) == (7_401, 3_601)
    assert web.paths == ("/opt/web", "/srv/web")
    assert web.users == ("adam", "eva")
    assert web.units == ("web.service",)
    assert web.versions == 2
    assert web.first_seen_us <= web.last_seen_us
    assert found["the kernel itself"].kind == "kernel"
    assert next(iter(found)) == "web"


def test_while_somebody_was_away_the_busiest_and_what_is_new_are_told(ledger):
    eth0 = ledger._epochs[0]
    later = START_S + 3 * DAY_S
    new = Who("application", "new", "/srv/new", "eva")
    ledger.count(eth0, later, 100, 10, 1, 1)
    ledger.share(Part(later, eth0, new, 3, 6, 4), Counters(80, 10, 1, 1))
    ledger.version(DB, 8, 1)
    ledger.gap(later, later + 60, lossy=True)
    ledger.commit(later + 60)
    ledger.share(Part(later + 900, eth0, DB, 3, 6, 4), Counters(5, 0, 1, 1))
    ledger.version(DB, 8, 2)
    ledger.commit(later + 960)
    found = asked(ledger, away, START_S + 2 * DAY_S, later + 1000, NOTHING)
    assert (found.rx_bytes, found.tx_bytes) == (100, 10)
    assert [part.value for part in found.applications] == ["new", "db"]
    assert [(one.name, one.is_version) for one in found.new] == [("db", True), ("new", False)]
    assert (found.gaps, found.lossy, found.gap_us) == (1, 1, 60_000_000)


def test_executables_of_one_application_on_two_hosts_are_no_new_version(tmp_path):
    for name in ("a", "b"):
        with writing(tmp_path / f"{name}.db", machine=name, boot_id=name) as ledger:
            eth0 = ledger.interface("eth0")
            ledger.version(DB, 8, ord(name))
            ledger.share(Part(START_S, eth0, DB, 3, 6, 4), Counters(5, 0, 1, 1))
            ledger.commit(START_S + 2 * DAY_S)
            if name == "b":
                ledger.version(DB, 8, 1)
                ledger.commit(START_S + 3 * DAY_S)
        merge(str(tmp_path / "own.db"), ledger.path, name, now_us=(START_S + 4 * DAY_S) * US)
    for host, new in (("a", []), ("b", ["db"]), ("*", ["db"])):
        with HostsReader(str(tmp_path / "own.db"), [host]) as reader:
            found = away(reader, AskedShares(reader), START_S, START_S + 4 * DAY_S, NOTHING)
        assert [one.name for one in found.new if one.is_version] == new
        assert len(found.new) == len(new)


def test_five_applications_are_told_whatever_is_unattributed(ledger):
    eth0, at_s = ledger._epochs[0], START_S + DAY_S
    ledger.count(eth0, at_s, 1_000_000, 0, 1, 1)
    for n in range(7):
        ledger.share(Part(at_s, eth0, Who("application", f"a{n}"), 3, 6, 4), Counters(100 - n, 0, 1, 1))
    ledger.commit(at_s + 60)
    found = asked(ledger, away, at_s, at_s + 60, NOTHING)
    assert [part.value for part in found.applications] == [f"a{n}" for n in range(5)]


def test_in_its_first_day_nothing_is_new(ledger):
    found = asked(ledger, away, START_S, START_S + 3600, NOTHING)
    assert found.new == []
    assert [part.value for part in found.applications] == ["web", "db", "kernel: ICMP"]
