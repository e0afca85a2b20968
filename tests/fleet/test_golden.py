"""The same reports of a ledger and of its copy in a fleet's store agree cell for cell."""

import contextlib
import random
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support import clickhouse
from support.ledgers import DAY_S, START_S, writing
from support.looking import examples

from netusage.errors import NoDataError
from netusage.fleet.deliver import Delivery
from netusage.fleet.reader import FleetReader
from netusage.fleet.tables import missing
from netusage.ledger import hosts, ship_journal
from netusage.ledger.batch import Part
from netusage.ledger.reader import LedgerReader
from netusage.ledger.several import HostsReader
from netusage.model import QUARTER_S, US, Counters, Who
from netusage.periods import Period
from netusage.reports.applications import DIMENSIONS, applications, by_period, reconcile
from netusage.reports.interfaces import interfaces
from netusage.reports.plans import standings
from netusage.reports.usage import Question, ReportKind, report
from netusage.settings.schema import FleetSettings, InterfaceSettings, PlanSettings

pytestmark = pytest.mark.system

BEGUN_S = START_S - 20 * DAY_S  # 2026-02-18; March is a whole month, in which clocks change
ENDED_S = START_S + 30 * DAY_S
NOW_S = ENDED_S + 2 * DAY_S
ZONES = ("UTC", "Europe/Berlin", "Asia/Kathmandu", "America/St_Johns")
OVERRIDES = InterfaceSettings()
APPLICATIONS = (
    Who("application", "firefox", "/usr/bin/firefox", "eva"),
    Who("application", "firefox", "/opt/firefox", "tom"),
    Who("application", "nginx", "/usr/sbin/nginx", "www-data", "nginx.service"),
    Who("application", "a\tb'c\\\n", "/srv/\u00fc", "eva", "", "shop-db", "shop"),
    Who("kernel"),
    Who("forwarded"),
)


def make(path, seed, *, machine, step_s):
    """A ledger of two months, all of it sealed and without minutes, the older half of its applications by days."""
    dice = random.Random(seed)
    with writing(path, BEGUN_S, machine=machine, minutes_kept_s=DAY_S, quarters_kept_s=30 * DAY_S) as ledger:
        epochs = [ledger.interface("eth0"), ledger.interface("wlan0")]
        epochs.append(ledger.interface("docker0", "bridge", counted=False, reason="leads elsewhere"))
        ledger.interface("idle0")
        for at_s in range(BEGUN_S, ENDED_S, step_s):
            if at_s > BEGUN_S:
                at_s += dice.randrange(20) * QUARTER_S  # noqa: PLW2901  # somewhere in it
            for epoch in dice.sample(epochs, 2):
                rx, tx = dice.randrange(10**7), dice.randrange(10**9)
                ledger.count(
                    *(epoch, at_s, rx, tx, rx // 1000, tx // 1000),
                    peak_rx=dice.randrange(40) * 1000,
                    peak_tx=tx // 60,
                )
                for who in dice.sample(APPLICATIONS, 3):
                    part = Part(at_s // QUARTER_S * QUARTER_S, epoch, who, dice.randrange(4), 6, 4)
                    ledger.share(part, Counters(rx // 4, tx // 4, rx // 4000, tx // 5000))
            ledger.commit(at_s + QUARTER_S)
            if dice.random() < 0.1:
                length_us = dice.choice([1, 7, 899_999_999, 3600 * US, 3 * DAY_S * US, 40 * DAY_S * US + 1])
                end_us = at_s * US + dice.randrange(900 * US)
                start_us = max(end_us - length_us, BEGUN_S * US)
                ledger.span(dice.choice(epochs), start_us, end_us, *(dice.randrange(10**6) for _ in range(4)))
        ledger.gap(START_S, START_S + 3600, lossy=True, note="pulled")
        for quarter in range(8):  # old things go a few at a time
            ledger.commit(ENDED_S + 4 * DAY_S + quarter * QUARTER_S)
    return str(path)


def deliver(store, path, name, **different):
    """All of a ledger, by a host of that name."""
    chosen = FleetSettings(url=store.address.url, database=store.address.database, name=name, **different)
    journal = ship_journal.ShipJournal(path, chosen.url, chosen.database)
    Delivery(path, chosen, store, journal, version="test").run(ENDED_S * US)


@contextlib.contextmanager
def tables(url, database):
    with clickhouse.store(url, database) as made:
        for statement in missing(made):
            made.execute(statement.sql)
        yield made


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A directory with the ledgers of two hosts, and one into which both were merged."""
    made = tmp_path_factory.mktemp("golden")
    for name, seed, step_s in (("one", 1, 11 * 3600), ("two", 2, 4 * DAY_S)):
        path = make(made / f"{name}.db", seed, machine=name, step_s=step_s)
        hosts.merge(str(made / "merged.db"), path, name, now_us=NOW_S * US)
    return made


@pytest.fixture(scope="module")
def golden(home, server):
    """The store of a fleet of the two."""
    with tables(server.url, "golden") as store:
        for name in ("one", "two"):
            deliver(store, str(home / f"{name}.db"), name)
        yield store


@pytest.fixture(scope="module")
def both(home, golden):
    """A ledger, and the same host of the fleet."""
    with LedgerReader(str(home / "one.db")) as ledger:
        yield ledger, FleetReader(golden, ["one"])


@pytest.fixture(scope="module")
def all_hosts(home, golden):
    """Two hosts of one ledger, and the fleet."""
    with HostsReader(str(home / "merged.db"), ["*"]) as ledger:
        yield ledger, FleetReader(golden)


def by_name(reader):
    """Interfaces have other numbers in each."""
    return {one.id: (one.name, one.kind) for one in reader.interfaces()}


def said(rows):
    """Rows without the host, which a ledger does not know."""

    def plain(cell):
        return cell._replace(host="") if hasattr(cell, "host") else cell

    return [type(row)(*map(plain, row))._replace(host="") if hasattr(row, "host") else row for row in rows]


def asked(question, reader):
    found = report(reader, question)
    return said(found.rows), said(found.totals), found.start_s, found.end_s, found.has_estimates


KINDS = [kind for kind in ReportKind if kind not in (ReportKind.MINUTE, ReportKind.FIVE_MINUTES)]
# Days and months of all zones, the others of two of them.
CUTS = [
    (kind, zone)
    for n, kind in enumerate(KINDS)
    for zone in (ZONES if kind in (ReportKind.DAY, ReportKind.MONTH) else (ZONES[0], ZONES[1 + n % 3]))
]


@pytest.mark.parametrize(("kind", "zone"), CUTS)
def test_usage_agrees(both, kind, zone):
    limit = {} if kind is ReportKind.TOTAL else {"limit": 3}  # of which period would it be the latest?
    stretch = {"since_s": START_S + 4 * QUARTER_S, "until_s": START_S + 25 * DAY_S}
    for patterns, more in (((), {}), ((), limit), (("*",), stretch)):
        question = Question(kind, ZoneInfo(zone), NOW_S, patterns, billing_day=3, **more)
        mine, theirs = (asked(question, reader) for reader in both)
        assert mine == theirs
        assert any(row.usage.total_bytes for row in mine[0]) or "limit" in more or kind is ReportKind.HOUR


@pytest.mark.parametrize("kind", [ReportKind.DAY, ReportKind.MONTH, ReportKind.TOTAL])
def test_peaks_and_percentiles_agree(both, kind):
    for patterns in ((), ("eth0", "wlan0"), ("*",)):
        question = Question(kind, ZoneInfo("Europe/Berlin"), ENDED_S, patterns, peak=True, percentile=95_000)
        mine, theirs = (asked(question, reader) for reader in both)
        assert mine == theirs
        assert any(row.rx_peak for row in mine[0])


@pytest.mark.parametrize(
    "by", [*((one,) for one in DIMENSIONS if one != "host"), ("application", "user", "interface", "scope")]
)
def test_applications_agree(both, by):
    late = Period(START_S + QUARTER_S, START_S + 22 * DAY_S)
    for period, patterns in ((Period(BEGUN_S, ENDED_S), ()), (late, ("eth*",)), (late, ("*",))):
        mine, theirs = (applications(reader, period, by, OVERRIDES, patterns) for reader in both)
        assert mine == theirs
        assert len(mine) > 1 or by in (("protocol",), ("family",), ("interface",))


@pytest.mark.parametrize(("kind", "zone"), CUTS)
def test_applications_by_period_agree(both, kind, zone):
    question = Question(kind, ZoneInfo(zone), NOW_S, since_s=START_S, until_s=ENDED_S)
    mine, theirs = (by_period(reader, question, ("application", "unit")) for reader in both)
    assert mine == theirs
    assert mine.rows


def test_accounts_of_interfaces_agree(both):
    for period in (Period(BEGUN_S, ENDED_S), Period(START_S + QUARTER_S, START_S + 22 * DAY_S)):
        mine, theirs = (said(reconcile(reader, period)) for reader in both)
        assert mine == theirs
        assert len(mine) == 3


def test_the_lists_agree(both):
    mine, theirs = both
    assert said(interfaces(mine, OVERRIDES)) == said(interfaces(theirs, OVERRIDES))
    assert mine.extent() == theirs.extent()
    assert mine.tiers(0, ENDED_S * US) == theirs.tiers(0, ENDED_S * US)
    assert mine.gaps(0, ENDED_S * US) == said(theirs.gaps(0, ENDED_S * US))
    assert mine.gaps(0, BEGUN_S * US) == theirs.gaps(0, BEGUN_S * US) == []
    names = [by_name(reader) for reader in both]
    for since_us, until_us in ((0, 1 << 60), (START_S * US + 1, START_S * US + 2)):
        spans = [
            [(own[span.interface_id], *span[1:]) for span in reader.spans(since_us, until_us)]
            for own, reader in zip(names, both, strict=True)
        ]
        assert sorted(spans[0]) == sorted(spans[1])
        assert spans[0]
    estimated = [
        {own[number]: pair for number, pair in reader.estimated().items()}
        for own, reader in zip(names, both, strict=True)
    ]
    assert estimated[0] == estimated[1] != {}


def test_rows_of_applications_agree(both):
    found = []
    for reader in both:
        names, whos = by_name(reader), reader.applications()
        rows = list(reader.share_rows(START_S))
        assert [row[0] for row in rows] == sorted(row[0] for row in rows)
        found.append(sorted((start, whos[a], names[i], *rest) for start, a, i, *rest in rows))
    assert found[0] == found[1] != []


@pytest.mark.parametrize("zone", ZONES[1:3])
@pytest.mark.parametrize(
    "plan",
    [
        PlanSettings("all", "5 GB"),
        PlanSettings("free", "5 GB", direction="tx", day=17, free_hours=("22:30-06:00",)),
        PlanSettings("lan", "5 GB", cycle="week", exclude_lan=True, zero_rated=("firefox", "/usr/*")),
    ],
    ids=lambda plan: plan.name,
)
def test_plans_agree(both, plan, zone):
    now_s = START_S + 28 * DAY_S
    mine, theirs = (standings(reader, plan, now_s, ZoneInfo(zone), OVERRIDES, count=3) for reader in both)
    assert mine == [one._replace(record=mine[0].record, host_count=None) for one in theirs]
    assert mine[0].counted_bytes


@pytest.mark.parametrize("patterns", [(), ("eth0", "docker*")], ids=["total", "interfaces"])
def test_usage_of_several_hosts_agrees(all_hosts, patterns):
    rates = {"peak": True, "percentile": 95_000}
    for kind, more in ((ReportKind.DAY, {}), (ReportKind.MONTH, rates), (ReportKind.TOP, {})):
        for by_host in (False, True):
            question = Question(
                *(kind, ZoneInfo("Europe/Berlin"), ENDED_S, patterns), by_host=by_host, **more
            )
            mine, theirs = (report(reader, question) for reader in all_hosts)
            assert (mine.rows, mine.totals) == (theirs.rows, theirs.totals)
            assert {row.host for row in mine.rows} == ({"one", "two"} if by_host else {""})


@pytest.mark.parametrize(
    "by",
    [("host",), ("application",), ("host", "application"), ("host", "interface", "user"), ("interface",)],
)
def test_applications_of_several_hosts_agree(all_hosts, by):
    for period in (Period(BEGUN_S, ENDED_S), Period(START_S + QUARTER_S, START_S + 22 * DAY_S)):
        mine, theirs = (applications(reader, period, by, OVERRIDES) for reader in all_hosts)
        assert mine == theirs != []
    question = Question(ReportKind.WEEK, ZoneInfo("Asia/Kathmandu"), NOW_S, since_s=START_S)
    mine, theirs = (by_period(reader, question, by) for reader in all_hosts)
    assert mine == theirs


def test_lists_and_plans_of_several_hosts_agree(all_hosts):
    mine, theirs = all_hosts
    assert interfaces(mine, OVERRIDES) == interfaces(theirs, OVERRIDES)
    assert mine.gaps(0, ENDED_S * US) == theirs.gaps(0, ENDED_S * US)
    period = Period(BEGUN_S, ENDED_S)
    assert reconcile(mine, period) == reconcile(theirs, period)
    plan = PlanSettings("lan", "5 GB", exclude_lan=True, zero_rated=("nginx",), free_hours=("01:15-02:00",))
    found = [
        standings(reader, plan, ENDED_S, ZoneInfo("Europe/Berlin"), OVERRIDES)[0] for reader in all_hosts
    ]
    assert found[0]._replace(record="") == found[1]._replace(record="", host_count=found[0].host_count)


counts = st.lists(
    st.tuples(
        st.integers(0, 70 * 96),
        st.integers(0, 2),
        st.integers(0, 1 << 40),
        st.integers(0, 5),
        st.integers(0, 3),
    ),
    max_size=8,
)
stretches = st.lists(
    st.tuples(st.integers(0, 60 * DAY_S * US), st.integers(1, 40 * DAY_S * US), st.integers(0, 2)), max_size=4
)


@settings(max_examples=examples(8), suppress_health_check=list(HealthCheck), deadline=None)
@given(
    counts=counts,
    stretches=stretches,
    at_days=st.lists(st.integers(0, 60 * 96), min_size=2, max_size=6, unique=True),
)
def test_any_history_agrees(store, tmp_path_factory, counts, stretches, at_days):
    home = tmp_path_factory.mktemp("any")
    number = len(store.query(f"SELECT DISTINCT host FROM {store.table('host')}"))
    path = str(home / "ledger.db")
    with writing(path, BEGUN_S, machine=f"machine{number}", minutes_kept_s=DAY_S) as ledger:
        epochs = [ledger.interface(name) for name in ("eth0", "eth1", "wlan0")]
        for quarter, which, rx, app, scope in sorted(counts):
            at_s = BEGUN_S + quarter * QUARTER_S
            ledger.count(epochs[which], at_s, rx, rx // 3, 1, 2, peak_rx=rx // 900, peak_tx=scope)
            ledger.share(
                Part(at_s, epochs[which], APPLICATIONS[app], scope, 17, 6), Counters(rx, rx // 3, 1, 1)
            )
            ledger.commit(at_s + QUARTER_S)
        for start_us, length_us, which in stretches:
            start_us += BEGUN_S * US  # noqa: PLW2901  # as written
            ledger.span(epochs[which], start_us, start_us + length_us, length_us % 9973, length_us, 1, 0)
        for quarter in range(4):
            ledger.commit(BEGUN_S + 90 * DAY_S + quarter * QUARTER_S)
    deliver(store, path, f"host{number}")
    edges = [BEGUN_S + quarter * QUARTER_S for quarter in sorted(at_days)]
    with LedgerReader(path) as mine:
        theirs = FleetReader(store, [f"host{number}"])
        groups = [
            [{name: id_ for id_, (name, _) in by_name(reader).items()}[name] for name in ("eth0", "wlan0")]
            for reader in (mine, theirs)
        ]
        for own in ([groups[0]], [groups[1]]), ([[n] for n in groups[0]], [[n] for n in groups[1]]):
            assert mine.usage(own[0], edges) == theirs.usage(own[1], edges)
            assert mine.usage(own[0], edges, packets=False) == theirs.usage(own[1], edges, packets=False)
            assert mine.busiest(own[0][0], edges, 3) == theirs.busiest(own[1][0], edges, 3)
            slots = [
                [tuple(map(list, pair)) for pair in reader.slots(one, edges[0], edges[1], QUARTER_S)]
                for reader, one in zip((mine, theirs), own, strict=True)
            ]
            assert slots[0] == slots[1]
        assert (mine.extent() is None) == (theirs.extent() is None)
        question = Question(ReportKind.MONTH, ZoneInfo("UTC"), ENDED_S, peak=True)
        with contextlib.suppress(NoDataError):
            rows = [report(reader, question).rows for reader in (mine, theirs)]
            # the fleet's record begins with a whole quarter
            assert said(rows[0]) == [
                row._replace(seconds=known.seconds) for row, known in zip(said(rows[1]), rows[0], strict=True)
            ]
