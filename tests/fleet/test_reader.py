"""The record of a fleet: which hosts, what of them, and that no part of it is ever told as the whole."""

import re
from datetime import UTC

import pytest
from support import clickhouse
from support.ledgers import DAY_S, START_S

from netusage.errors import FleetError, NoDataError, UsageError
from netusage.fleet import levels, members
from netusage.fleet.reader import FleetReader
from netusage.fleet.schema import (
    GAP,
    HOST,
    INTERFACE,
    SHARE,
    SHARE_DAY,
    SHARE_MONTH,
    SPAN,
    USAGE,
    USAGE_DAY,
    USAGE_MONTH,
)
from netusage.ledger.answers import NO_USAGE, Peak, Peaks, Usage
from netusage.model import LARGEST, QUARTER_S, US, Counters, Who
from netusage.reports.applications import applications
from netusage.reports.usage import Question, ReportKind, report
from netusage.settings.schema import InterfaceSettings

pytestmark = pytest.mark.system

HOUR_S = 3600
MONTH_S = 1_772_323_200  # 2026-03-01, in which START_S is the tenth
NEXT_S = 1_775_001_600
FIREFOX = ("application", "firefox", "/usr/bin/firefox", "eva", "", "", "")
LEVELS = ((USAGE, SHARE), (USAGE_DAY, SHARE_DAY), (USAGE_MONTH, SHARE_MONTH))


def row(table, **values):
    """A row of a table, with zeros and empty texts where nothing is said, and one value of each list."""

    def value(column):
        said = values.get(column.name, "" if column.value_type == "String" else 0)
        return (said,) if column.name in table.lists else said

    return tuple(map(value, table.columns))


class Fleet:
    """Writes rows as hosts do that deliver sums.

    Args:
        store: with all tables.
    """

    def __init__(self, store):
        self._store = store
        self._rows = {}

    def insert(self, table, **values):
        self._rows.setdefault(table, []).append(row(table, **{"seq": 1, **values}))

    def reader(self, *chosen, store=None):
        """A reader of all that was inserted."""
        for table, rows in self._rows.items():
            self._store.insert(table, rows)
        self._rows = {}
        return FleetReader(store or self._store, *chosen)

    def host(
        self, key, name, *interfaces, ledger="a", seen_us=1, labels=(), tier="kernel", sums=1, told=(0, 0)
    ):
        """A host, and its interfaces: names, those that are not counted with a minus before them."""
        for interface in interfaces:
            self.insert(
                *(INTERFACE,),
                host=key,
                ledger=ledger,
                name=interface.lstrip("-"),
                reason="hardware",
                counted=int(interface[0] != "-"),
                first_seen_us=1,
                last_seen_us=seen_us,
                rx_bytes=5,
                up=1,
                living=1,
            )
        self.insert(
            *(HOST,),
            host=key,
            ledger=ledger,
            name=name,
            labels=labels,
            seen_us=seen_us,
            tier=tier,
            sums=sums,
            from_s=told[0],
            until_s=told[1],
        )

    def count(self, key, interface, start_s, rx, *, ledger="a", peak=0, share=0):
        """A quarter, and the day and the month that it alone makes up; and what an application had of it."""
        own = {"host": key, "ledger": ledger, "interface": interface}
        for (usage, shares), start in zip(
            LEVELS, (start_s, start_s // DAY_S * DAY_S, levels.month_of(start_s)), strict=True
        ):
            self.insert(usage, **own, start=start, rx_bytes=rx, tx_bytes=1, peak_rx=peak)
            if share:
                who = dict(zip(("who_kind", "application", "path", "user"), FIREFOX, strict=False))
                self.insert(shares, **own, **who, start=start, seconds=QUARTER_S, rx_bytes=share)


@pytest.fixture
def fleet(store):
    return Fleet(store)


def ids(reader, *names):
    return [one.id for one in reader.interfaces() if one.name in names]


def total(reader, start_s=MONTH_S, end_s=NEXT_S):
    """What counts, between two times."""
    ((usage,),) = reader.usage([[one.id for one in reader.interfaces() if one.counted]], [start_s, end_s])
    return usage


def names(reader):
    return list(dict.fromkeys(one.host for one in reader.interfaces()))


# ---- Which hosts ------------------------------------------------------------------------------------------------


def test_hosts_are_chosen_by_patterns_of_names_by_keys_and_by_labels(fleet):
    for n, (name, *labels) in enumerate(
        (("web1", "site=berlin", "role=web"), ("web2", "site=bonn"), ("db1", "site=berlin"))
    ):
        fleet.host(f"{n:016x}", name, "eth0", labels=tuple(labels))
        fleet.count(f"{n:016x}", "eth0", START_S, 10**n)
    for hosts, labels, found, rx in (
        ((), (), ["db1", "web1", "web2"], 111),
        (("web*",), (), ["web1", "web2"], 11),
        (("db1", "web2"), (), ["db1", "web2"], 110),
        ((f"{1:016x}",), (), ["web2"], 10),
        ((), ("site=berlin",), ["db1", "web1"], 101),
        ((), ("site=*", "role=*"), ["web1"], 1),
        (("web*",), ("site=bonn",), ["web2"], 10),
    ):
        reader = fleet.reader(hosts, labels)
        assert names(reader) == found
        assert total(reader).rx_bytes == rx


@pytest.mark.parametrize(
    ("hosts", "labels", "said"),
    [
        (("web1", "mail*"), (), "the fleet has no host 'mail*'"),
        ((), ("site=rome",), "the fleet has no host with the label 'site=rome'"),
        (("web1",), ("site=*", "x"), "with the label 'site=*' and 'x' among those that were named"),
    ],
)
def test_hosts_that_are_not_there_are_said_and_where_to_see_them(fleet, hosts, labels, said):
    fleet.host("k", "web1", "eth0", labels=("site=berlin",))
    with pytest.raises(NoDataError, match=re.escape(said)) as caught:
        fleet.reader(hosts, labels).interfaces()
    assert "netusage fleet status" in caught.value.hint


def test_a_fleet_without_hosts_has_no_record(fleet):
    with pytest.raises(NoDataError, match="no host has delivered"):
        fleet.reader().extent()


def test_a_server_without_tables_or_with_older_ones_says_so(server, store):
    with (
        clickhouse.store(server.url, "nowhere") as other,
        pytest.raises(FleetError, match="no tables") as caught,
    ):
        FleetReader(other).interfaces()
    assert "netusage fleet init" in caught.value.hint
    store.execute(f"ALTER TABLE {store.table(HOST.name)} DROP COLUMN sums")
    with pytest.raises(FleetError, match="another version") as caught:
        FleetReader(store).interfaces()
    assert "netusage fleet init" in caught.value.hint


def test_two_hosts_of_one_name_are_told_apart_by_their_keys_and_a_renamed_one_has_the_last_name(fleet):
    fleet.host("k1", "web", "eth0")
    fleet.host("k2", "web", "eth0")
    fleet.host("k3", "old", "eth0", ledger="a", seen_us=1)
    fleet.host("k3", "new", "eth0", ledger="b", seen_us=2)
    assert names(fleet.reader()) == ["new", "web (k1)", "web (k2)"]
    assert names(fleet.reader(["web"])) == ["web (k1)", "web (k2)"]
    with pytest.raises(NoDataError, match="no host 'old'"):
        fleet.reader(["old"]).interfaces()


def test_rows_of_hosts_without_a_row_of_their_own_are_of_no_total(fleet):
    fleet.host("k1", "web", "eth0")
    fleet.count("k1", "eth0", START_S, 5, share=2)
    fleet.count("retired", "eth0", START_S - DAY_S, 1000, share=1000)
    fleet.insert(SPAN, host="retired", interface="eth0", start_us=1, end_us=2, rx_bytes=9, because="x")
    fleet.insert(GAP, host="retired", start_us=1, end_us=2, kind="stopped", lossy=1)
    reader = fleet.reader()
    assert total(reader).rx_bytes == 5
    assert reader.extent() == (START_S, START_S + QUARTER_S)
    ((((record,),),)) = (reader.shares_by_period([ids(reader, "eth0")], [MONTH_S, NEXT_S]),)
    assert record[0].counters == Counters(2)
    assert (reader.spans(0, 1 << 60), reader.gaps(0, 1 << 60), reader.estimated()) == ([], [], {})
    assert [row[5] for row in reader.share_rows(0)] == [2]


def test_rows_of_hosts_without_a_row_of_their_own_are_of_no_host_that_is_told_apart(fleet):
    for host, name in (("k1", "one"), ("k2", "two")):
        fleet.host(host, name, "eth0")
        fleet.count(host, "eth0", START_S, 5, peak=1, share=2)
    fleet.count("retired", "eth0", START_S, 1000, peak=1000, share=1000)
    fleet.insert(
        SPAN, host="retired", interface="eth0", start_us=START_S * US, end_us=NEXT_S * US, because="x"
    )
    reader = fleet.reader()
    groups, edges = [[1], [2]], [MONTH_S, START_S + HOUR_S, NEXT_S]
    assert [[one.rx_bytes for one in of_host] for of_host in reader.usage(groups, edges)] == [[5, 0]] * 2
    assert [of_host[0].rx.rate for of_host in reader.peaks(groups, edges)] == [1, 1]
    shares = reader.shares_by_period(groups, edges, ["name"])
    assert [[record.counters.rx_bytes for record in of_host[0]] for of_host in shares] == [[2], [2]]


def test_the_record_reaches_as_far_as_something_is_said_whatever_else_there_was(fleet):
    fleet.host("k1", "one", "eth0")
    fleet.count("k1", "eth0", START_S, 5)
    fleet.count("retired", "eth0", MONTH_S - 31 * DAY_S, 5)
    for table in (USAGE_MONTH, USAGE_DAY):  # its quarters are gone already
        fleet.insert(table, host="going", interface="eth0", start=MONTH_S - 62 * DAY_S, rx_bytes=5)
    assert fleet.reader().extent() == (START_S, START_S + QUARTER_S)
    own = {"host": "k1", "ledger": "a", "interface": "eth0"}
    fleet.insert(
        SPAN, **own, start_us=(START_S - 1) * US, end_us=(START_S + 901) * US, rx_bytes=1, because="x"
    )
    assert fleet.reader().extent() == (START_S - QUARTER_S, START_S + 2 * QUARTER_S)
    fleet.insert(USAGE_MONTH, **own, start=NEXT_S, rx_bytes=5)
    assert fleet.reader().extent() == (START_S - QUARTER_S, levels.next_month(NEXT_S))
    fleet.host("k1", "one", ledger="older", sums=0)
    assert fleet.reader().extent() == (START_S - QUARTER_S, START_S + 2 * QUARTER_S)


def questions(reader, store, monkeypatch):
    """The extent, and how many questions it took beside that for the hosts."""
    asked, columns = [], store.columns
    with monkeypatch.context() as patch:
        patch.setattr(store, "columns", lambda sql: asked.append(sql) or columns(sql))
        return reader.extent(), len(asked) - 1


TOLD = (START_S + DAY_S, START_S + 3 * DAY_S + HOUR_S)
BEYOND = (
    *(START_S + DAY_S - QUARTER_S, START_S + 2 * HOUR_S, START_S - 40 * DAY_S),
    *(TOLD[1], TOLD[1] + 5 * HOUR_S, TOLD[1] + DAY_S, TOLD[1] + 60 * DAY_S),
)


@pytest.mark.parametrize("chosen", [(), (["one", "two"],), (["one"],)])
@pytest.mark.parametrize("sums", [0, 1])
def test_the_extent_that_hosts_tell_is_asked_about_once(fleet, store, monkeypatch, chosen, sums):
    fleet.host("k1", "one", "eth0", told=TOLD, sums=sums)
    fleet.host("k1", "one", "eth0", ledger="b", told=(-1, -1), sums=sums)
    fleet.host("k2", "two", "eth0", told=(TOLD[0] + DAY_S, TOLD[1] - DAY_S), sums=sums)
    fleet.count("k1", "eth0", TOLD[0], 1)
    fleet.count("k1", "eth0", TOLD[1] - QUARTER_S, 1)
    assert questions(fleet.reader(*chosen), store, monkeypatch) == (TOLD, 1)


def test_the_ends_of_what_hosts_tell_may_be_estimated(fleet, store, monkeypatch):
    fleet.host("k1", "one", "eth0", told=(START_S, START_S + DAY_S))
    own = {"host": "k1", "ledger": "a", "interface": "eth0", "because": "stopped"}
    for number, start_us, end_us in (
        (1, START_S * US + 5, (START_S + 5000) * US),
        (2, (START_S + HOUR_S) * US, (START_S + DAY_S) * US),
    ):
        fleet.insert(SPAN, **own, number=number, start_us=start_us, end_us=end_us, rx_bytes=1)
    assert questions(fleet.reader(), store, monkeypatch) == ((START_S, START_S + DAY_S), 1)
    fleet.insert(SPAN, **own, number=3, start_us=1, end_us=(START_S + DAY_S) * US + 1, rx_bytes=1)
    assert fleet.reader().extent() == (0, START_S + DAY_S + QUARTER_S)


@pytest.mark.parametrize("chosen", [(), (["one"],)])
@pytest.mark.parametrize("sums", [0, 1])
def test_nothing_that_is_beyond_what_hosts_tell_is_left_out(fleet, store, chosen, sums):
    """A delivery that goes on, or broke off: its row of the host has not come yet."""
    fleet.host("k1", "one", "eth0", told=TOLD, sums=sums)
    fleet.count("k1", "eth0", TOLD[0], 1)
    fleet.count("k1", "eth0", TOLD[1] - QUARTER_S, 1)
    for number, at_s in enumerate(BEYOND):
        fleet.count("k1", f"new{number}", at_s, 1)
        wanted = (min(TOLD[0], at_s), max(TOLD[1], at_s + QUARTER_S))
        assert fleet.reader(*chosen).extent() == wanted
        for table in (USAGE, USAGE_DAY, USAGE_MONTH):
            store.execute(f"TRUNCATE TABLE {store.table(table.name)}")
        fleet.count("k1", "eth0", TOLD[0], 1)
        fleet.count("k1", "eth0", TOLD[1] - QUARTER_S, 1)
    assert fleet.reader(*chosen).extent() == TOLD


def test_what_was_taken_out_of_the_store_is_not_in_the_extent_whatever_hosts_tell(fleet):
    fleet.host("k1", "one", "eth0", told=TOLD)
    fleet.count("k1", "eth0", TOLD[0] + DAY_S, 1)
    fleet.count("k1", "eth0", TOLD[1] - QUARTER_S, 1)
    assert fleet.reader().extent() == (TOLD[0] + DAY_S, TOLD[1])


@pytest.mark.parametrize("told", [(0, 0), (-1, -1)])
def test_hosts_that_tell_no_extent_or_none_at_all_have_that_of_their_rows(fleet, told):
    fleet.host("k1", "one", "eth0", told=told)
    assert fleet.reader().extent() is None
    fleet.count("k1", "eth0", START_S, 1)
    assert fleet.reader().extent() == (START_S, START_S + QUARTER_S)
    fleet.host("k2", "two", "eth0", told=(START_S + DAY_S, START_S + 2 * DAY_S))
    assert fleet.reader().extent() == (START_S, START_S + QUARTER_S)


# ---- Interfaces -------------------------------------------------------------------------------------------------


def test_an_interface_of_several_ledgers_of_a_host_is_one_and_is_as_it_was_seen_last(fleet):
    fleet.host("k", "web", "eth0", "lo", ledger="a", seen_us=10)
    fleet.host("k", "web", "-eth0", ledger="b", seen_us=20)
    for ledger in "ab":
        fleet.count("k", "eth0", START_S, 7, ledger=ledger)
    reader = fleet.reader()
    eth0, lo = reader.interfaces()
    assert (eth0.name, eth0.counted, lo.name, lo.counted) == ("eth0", False, "lo", True)
    assert [one.totals for one in (eth0, lo)] == [Counters(10), Counters(5)]
    assert [(one.first_seen_us, one.last_seen_us) for one in (eth0, lo)] == [(1, 20), (1, 10)]
    assert [(one.reason, one.up, one.living) for one in (eth0, lo)] == [("hardware", True, True)] * 2
    alike = [(one.id, one.name, one.kind, one.counted, one.host) for one in reader.interfaces(totals=False)]
    assert alike == [(one.id, one.name, one.kind, one.counted, one.host) for one in (eth0, lo)]
    assert reader.usage([[eth0.id]], [START_S, START_S + QUARTER_S]) == [[Usage(14, 2)]]


def test_what_was_taken_back_is_not_there(fleet):
    fleet.host("k", "web", "eth0")
    fleet.count("k", "eth0", START_S, 7, share=3)
    fleet.count("k", "eth0", START_S + 2 * DAY_S, 9, share=5)
    fleet.insert(INTERFACE, host="k", ledger="a", name="eth1")
    own = {"host": "k", "ledger": "a", "interface": "eth0", "start": START_S}
    fleet.insert(SPAN, host="k", ledger="a", interface="eth0", number=1)
    fleet.insert(GAP, host="k", ledger="a", number=1)
    fleet.insert(USAGE, **own, seq=2)
    fleet.insert(USAGE_DAY, **own, seq=2)
    who = dict(zip(("who_kind", "application", "path", "user"), FIREFOX, strict=False))
    fleet.insert(SHARE, **own, **who, seconds=QUARTER_S, seq=2)
    reader = fleet.reader()
    assert [one.name for one in reader.interfaces()] == ["eth0"]
    assert reader.extent() == (START_S + 2 * DAY_S, START_S + 2 * DAY_S + QUARTER_S)
    assert reader.spans(0, 1 << 60) == reader.gaps(0, 1 << 60) == []
    assert [row[0] for row in reader.share_rows(0)] == [START_S + 2 * DAY_S]


def test_any_groups_add_up_however_they_are_said_to_the_store(fleet, monkeypatch):
    kinds = ("eth0", "wlan0", "lo", "docker0", "unheard")
    for host in range(3):
        fleet.host(f"k{host}", f"web{host}", "eth0", "wlan0", "-lo" if host else "lo", "-docker0")
        for n, name in enumerate(kinds):
            number = 10 * host + n + 1
            fleet.count(f"k{host}", name, START_S + n * QUARTER_S, 1 << number, peak=number, share=number)
    for limits, hosts in (
        ({}, ()),
        ({}, ("web1", "web2")),
        ({"_MOST_PAIRS": 0}, ("web1", "web2")),
        ({"_MOST_PAIRS": 0, "_MOST_MEMBERS": 0}, ()),
        ({"_MOST_PAIRS": 0, "_MOST_MEMBERS": 0}, ("web2",)),
        ({"_MOST_HOSTS": 0}, ()),
        ({"_MOST_HOSTS": 0}, ("web1",)),
    ):
        with monkeypatch.context() as patch:
            for name, number in limits.items():
                patch.setattr(members, name, number)
            assert_groups_add_up(fleet.reader(hosts), kinds)


def assert_groups_add_up(reader, kinds):
    every = reader.interfaces()
    numbers = {one.id: 10 * int(one.host[-1]) + kinds.index(one.name) + 1 for one in every}
    for groups in (
        [[one.id for one in every]],
        [[one.id for one in every if one.counted]],
        [[one.id for one in every if one.name == name] for name in ("wlan0", "eth0")],
        [[one.id for one in every if one.host == host and one.counted] for host in names(reader)],
        [[], [every[0].id], [every[-1].id, every[1].id]],
    ):
        usage = reader.usage(groups, [MONTH_S, NEXT_S])
        assert [one.rx_bytes for (one,) in usage] == [sum(1 << numbers[i] for i in own) for own in groups]
        shares = reader.shares_by_period(groups, [MONTH_S, NEXT_S], ["name"])
        found = [sum(record.counters.rx_bytes for record in records) for (records,) in shares]
        assert found == [sum(numbers[i] for i in own) for own in groups]
        peaks = [pair.rx.rate if pair.rx else 0 for (pair,) in reader.peaks(groups, [MONTH_S, NEXT_S])]
        assert peaks == [max((numbers[i] for i in own), default=0) for own in groups]


def test_thousands_of_hosts_that_are_not_all_of_them_fit_into_a_statement(fleet):
    for n in range(2100):
        fleet.host(f"{n:016x}", f"host{n:04}", "eth0", "-docker0", labels=("role=web",) if n % 21 else ())
    for n in (0, 1, 20, 21, 1999, 2099):
        fleet.count(f"{n:016x}", "eth0", MONTH_S + n * QUARTER_S, 1, share=1, peak=n)
    edges = [MONTH_S, *range(MONTH_S + HOUR_S, NEXT_S, 5 * HOUR_S), NEXT_S]
    for chosen, count in (((), 6), ((("host*",), ("role=*",)), 4)):
        reader = fleet.reader(*chosen)
        groups = [[one.id for one in reader.interfaces() if one.counted]]
        for asked in (edges, [MONTH_S - 3 * QUARTER_S, NEXT_S, NEXT_S + DAY_S + QUARTER_S]):
            assert sum(one.rx_bytes for one in reader.usage(groups, asked)[0]) == count
            shares = reader.shares_by_period(groups, asked, ["name"])
            assert sum(record.counters.rx_bytes for records in shares[0] for record in records) == count
            assert max(pair.rx.rate for pair in reader.peaks(groups, asked)[0] if pair.rx) == 2099
        assert len(list(reader.share_rows(0))) == count


# ---- Sums -------------------------------------------------------------------------------------------------------


def test_sums_beyond_what_the_store_adds_up_are_right(fleet):
    for host in range(5):
        fleet.host(f"k{host}", f"web{host}", "eth0")
        fleet.count(f"k{host}", "eth0", START_S, LARGEST, share=LARGEST)
        fleet.insert(
            *(SPAN,),
            host=f"k{host}",
            interface="eth0",
            number=host,
            because="stopped",
            rx_bytes=LARGEST,
            start_us=START_S * US,
            end_us=(START_S + 2) * US,
            tx_bytes=1,
        )
    reader = fleet.reader()
    usage = total(reader)
    assert usage == Usage(10 * LARGEST, 10, 0, 0, 5 * LARGEST, 5)
    halves = reader.usage([ids(reader, "eth0")], [START_S - 1 * QUARTER_S, START_S, NEXT_S])
    assert halves == [[NO_USAGE, usage]]
    assert reader.estimated() == dict.fromkeys(ids(reader, "eth0"), (LARGEST, 1))
    ((rx, _),) = reader.slots([ids(reader, "eth0")], START_S, START_S + QUARTER_S, QUARTER_S)
    assert list(rx) == [10 * LARGEST]
    ((records,),) = reader.shares_by_period([ids(reader, "eth0")], [MONTH_S, NEXT_S], ["kind"])
    assert [record.counters.rx_bytes for record in records] == [5 * LARGEST]
    rows = applications(reader, (MONTH_S, NEXT_S), ("application",), InterfaceSettings())
    assert sum(one.counters.rx_bytes for one in rows) == 10 * LARGEST


def test_sums_of_days_and_months_are_used_when_all_hosts_deliver_them(fleet):
    fleet.host("k1", "one", "eth0")
    fleet.count("k1", "eth0", START_S, 5)
    own = {"host": "k1", "ledger": "a", "interface": "eth0"}
    fleet.insert(USAGE_MONTH, **own, start=MONTH_S, rx_bytes=1000, seq=2)  # what quarters do not say
    fleet.insert(USAGE_DAY, **own, start=START_S, rx_bytes=100, seq=2)
    edges = [MONTH_S, START_S, START_S + QUARTER_S, START_S + DAY_S, NEXT_S]
    reader = fleet.reader()
    assert total(reader).rx_bytes == 1000
    assert total(reader, MONTH_S, NEXT_S - QUARTER_S).rx_bytes == 100
    assert [one.rx_bytes for one in reader.usage([ids(reader, "eth0")], edges)[0]] == [0, 5, 0, 0]
    fleet.host("k1", "one", "eth0", ledger="older", sums=0)
    reader = fleet.reader()
    assert total(reader).rx_bytes == total(reader, MONTH_S, NEXT_S - QUARTER_S).rx_bytes == 5
    assert total(fleet.reader(["one"])).rx_bytes == 5


def test_a_peak_is_found_to_the_quarter_and_of_equal_ones_the_first_interface_and_time(fleet):
    for key, name in (("k1", "b"), ("k2", "a")):
        fleet.host(key, name, "eth0", "eth1")
    fleet.count("k1", "eth0", START_S, 1, peak=70)
    fleet.count("k2", "eth1", START_S + 5 * HOUR_S, 1, peak=70)
    own = {"host": "k2", "ledger": "a", "interface": "eth1"}
    fleet.insert(USAGE, **own, start=START_S + 7 * HOUR_S, rx_bytes=1, peak_rx=70)
    reader = fleet.reader()
    ((pair, none),) = reader.peaks(
        [[one.id for one in reader.interfaces()]], [MONTH_S, NEXT_S, NEXT_S + DAY_S]
    )
    assert pair.rx == Peak(70, START_S + 5 * HOUR_S, QUARTER_S, 2)
    assert none.rx is pair.tx is None
    rows = report(reader, Question(ReportKind.MONTH, UTC, NEXT_S - 1, peak=True, by_host=True)).rows
    assert [(one.host, one.rx_peak.host, one.rx_peak.at_s) for one in rows] == [
        ("a", "a", START_S + 5 * HOUR_S),
        ("b", "b", START_S),
    ]


def test_times_within_a_quarter_are_refused_where_there_is_a_record(fleet):
    fleet.host("k1", "one", "eth0")
    for at_s in (START_S, START_S + DAY_S):
        fleet.count("k1", "eth0", at_s, 5)
    reader = fleet.reader()
    groups = [ids(reader, "eth0")]
    for ask in (reader.usage, reader.peaks, reader.shares_by_period):
        with pytest.raises(UsageError, match="begins or ends within one"):
            ask(groups, [START_S, START_S + HOUR_S + 60])
    with pytest.raises(UsageError, match="none of what is shorter"):
        reader.slots(groups, START_S, START_S + HOUR_S, 300)
    for kind in (ReportKind.MINUTE, ReportKind.FIVE_MINUTES):
        with pytest.raises(UsageError, match="use hour or longer"):
            report(reader, Question(kind, UTC, START_S + DAY_S))
    rows = report(reader, Question(ReportKind.TOTAL, UTC, START_S + 2 * DAY_S + 77)).rows
    assert [one.usage.rx_bytes for one in rows] == [10]
    assert reader.usage([], [START_S, START_S + 900]) == []
    assert reader.peaks([[]], [START_S, START_S + 900]) == [[Peaks()]]
    assert reader.shares_by_period([[], []], [START_S, START_S + 900]) == [[[]], [[]]]
    assert reader.usage([[]], [START_S, START_S + 900]) == [[NO_USAGE]]
    assert reader.slots(groups, START_S, START_S, QUARTER_S) == [((), ())]


def test_the_rest_of_a_record_is_told_as_far_as_it_is_delivered(fleet):
    fleet.host("k1", "one", "eth0", seen_us=5, tier="sockets")
    fleet.host("k2", "two", "eth0", seen_us=4, tier="kernel")
    fleet.host("k3", "three", "eth0", seen_us=3, tier="sockets")
    fleet.count("k1", "eth0", START_S, 5, share=2)
    fleet.count("k2", "eth0", START_S + DAY_S, 5, share=2)
    fleet.insert(
        GAP, host="k1", ledger="a", start_us=5 * US, end_us=9 * US, kind="stopped", lossy=1, note="n"
    )
    reader = fleet.reader()
    assert reader.tiers(0, 1) == ["kernel", "sockets"]
    assert (reader.versions(), reader.watched(0, 1 << 60)) == ([], [])
    assert [tuple(gap) for gap in reader.gaps(0, 6 * US)] == [
        (5 * US, 9 * US, "stopped", True, "", "n", "one")
    ]
    assert reader.gaps(9 * US, 10 * US) == []
    assert reader.applications() == {1: Who(*FIREFOX)}
    assert [tuple(one) for one in reader.seen()] == [
        (1, Who(*FIREFOX), START_S * US, (START_S + DAY_S + QUARTER_S) * US, 0)
    ]
    called = []
    reader.on_progress(lambda: called.append(1))
    reader.usage([ids(reader, "eth0")], [MONTH_S, NEXT_S])
    assert called
    reader.on_progress(lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        reader.estimated()


def test_many_uneven_periods_are_told_apart_however_many_statements_it_takes(fleet, monkeypatch):
    fleet.host("k1", "one", "eth0")
    edges = [MONTH_S + n * n * QUARTER_S for n in range(50)] + [
        NEXT_S - QUARTER_S * n for n in range(40, -1, -1)
    ]
    for n in (0, 3, 20, 55, 89):
        fleet.count("k1", "eth0", edges[n], 10 + n, share=3, peak=n)
    reader = fleet.reader()
    groups = [ids(reader, "eth0")]
    (found,) = reader.usage(groups, edges)
    assert {n: one.rx_bytes for n, one in enumerate(found) if one.rx_bytes} == {
        n: 10 + n for n in (0, 3, 20, 55, 89)
    }
    rest = (reader.peaks(groups, edges), reader.shares_by_period(groups, edges, ["name"]))
    assert sum(len(records) for records in rest[1][0]) == 5
    asked = []
    reader.on_progress(lambda: asked.append(1))
    monkeypatch.setattr(levels, "_MOST_QUARTERS", 1)
    assert reader.usage(groups, edges) == [found]
    assert len(asked) > 4
    assert (reader.peaks(groups, edges), reader.shares_by_period(groups, edges, ["name"])) == rest


# ---- Shards -----------------------------------------------------------------------------------------------------


def test_shards_answer_together_and_with_one_of_them_down_there_is_no_answer(shards, sharded, monkeypatch):
    one, other = sharded
    fleet = Fleet(one)
    for n in range(8):
        fleet.host(f"{n:x}", f"web{n}", "eth0", "-lo", told=(START_S, NEXT_S))
        fleet.count(f"{n:x}", "eth0", START_S, 10**n, peak=n, share=2)
        fleet.count(f"{n:x}", "lo", START_S, 10**9)
        fleet.insert(
            SPAN,
            host=f"{n:x}",
            interface="eth0",
            start_us=START_S * US,
            end_us=NEXT_S * US,
            rx_bytes=5,
            because="x",
        )
    edges = [MONTH_S, START_S, START_S + HOUR_S, NEXT_S]

    def everything(store):
        reader = fleet.reader(store=store)
        groups = [[one.id for one in reader.interfaces() if one.counted]]
        return (
            *(
                reader.extent(),
                len(reader.interfaces()),
                reader.usage(groups, edges),
                reader.peaks(groups, edges),
            ),
            reader.shares_by_period(groups, edges, ["name"]),
            *(reader.estimated(), sorted(reader.share_rows(0)), reader.seen(), reader.spans(0, 1 << 60)),
            reader.usage([[number] for number in groups[0]], edges),
            reader.usage(groups, [MONTH_S, NEXT_S]),
        )

    for alone in (1, 8):
        assert one.query(f"SELECT count() FROM {one.table('host_local')}") != [(alone,)]
    assert questions(fleet.reader(), one, monkeypatch) == ((START_S, NEXT_S), 1)
    known = everything(one)
    assert known == everything(other)
    with (
        clickhouse.store(shards[0].url, one.address.database, user="reader") as reading,
        monkeypatch.context() as patch,
    ):
        patch.setattr(members, "_MOST_PAIRS", 0)
        patch.setattr(members, "_MOST_MEMBERS", 0)
        assert known == everything(reading)  # who may only read, and by what the table of interfaces says
    assert sum(usage.rx_bytes for usage in known[2][0]) == 11_111_111 + 8 * 5
    shards[1].kill()
    try:
        with pytest.raises(FleetError, match="shard"):
            everything(one)
    finally:
        shards[1].start()
    assert everything(one) == known
