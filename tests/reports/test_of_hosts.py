"""Some hosts of a record: what it says is what the record of these hosts says, and never less."""

import pytest
from support.ledgers import DAY_S, START_S, writing

from netusage.errors import NoDataError
from netusage.ledger.batch import Part
from netusage.ledger.hosts import merge
from netusage.ledger.several import HostsReader
from netusage.model import QUARTER_S, US, Counters, GapKind, Who
from netusage.periods import Period, zone
from netusage.reports.applications import applications, reconcile
from netusage.reports.breakdown import known
from netusage.reports.of_hosts import OfHosts
from netusage.reports.shares import AskedShares
from netusage.reports.usage import Question, ReportKind, report
from netusage.settings.schema import InterfaceSettings

WEB = Who("application", "web", "/srv/web", "eva", "web.service")
DB = Who("application", "db", "/srv/db", "pg")
NOW_S = START_S + 40 * DAY_S
# from which day to which each is known
LIVES = {"a": (0, 40), "b": (10, 20)}
NOTHING = InterfaceSettings()


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "all.db"
    for n, (name, (first, last)) in enumerate(LIVES.items()):
        start_s = START_S + first * DAY_S + 7 * 60
        own = tmp_path / f"{name}.db"
        with writing(own, start_s, machine=name, boot_id=name) as ledger:
            ledger.tier = "kernel"
            eth0, lo = ledger.interface("eth0"), ledger.interface("lo", "loopback", counted=False)
            for at_s in range(start_s, START_S + last * DAY_S, DAY_S):
                ledger.count(eth0, at_s, 1000 + n, 100, 10, 1, peak_rx=50 + n, peak_tx=5)
                ledger.count(lo, at_s, 7, 7, 1, 1)
                for who in (WEB, DB)[n:]:
                    part = Part(at_s // QUARTER_S * QUARTER_S, eth0, who, 3, 6, 4)
                    ledger.share(part, Counters(400, 40, 4, 1))
                ledger.commit(at_s + 60)
            ledger.span(eth0, (start_s + 3600) * US, (start_s + 7200) * US, 500, 5, 5, 1)
            ledger.gap(start_s + 3600, start_s + 7200, GapKind.STOPPED)
            ledger.commit(START_S + last * DAY_S - 200)
        merge(str(path), str(own), name, now_us=NOW_S * US)
    return str(path)


@pytest.fixture
def pair(path):
    """Host b of both, and the record of host b alone."""
    with HostsReader(path, ["*"]) as both, HostsReader(path, ["b"]) as alone:
        yield OfHosts(both, ["b"]), alone


@pytest.mark.parametrize("kind", [ReportKind.DAY, ReportKind.MONTH, ReportKind.TOP])
@pytest.mark.parametrize("patterns", [(), ("*",)])
def test_usage_is_that_of_the_hosts_alone(pair, kind, patterns):
    question = Question(kind, zone("UTC"), NOW_S, patterns, since_s=START_S, peak=True, percentile=95_000)
    chosen, alone = (report(one, question) for one in pair)
    assert chosen.rows == alone.rows
    assert chosen.totals == alone.totals
    assert sum(row.usage.rx_bytes for row in chosen.rows) > 10_000


def test_what_applications_had_is_that_of_the_hosts_alone(pair):
    period = Period(START_S, NOW_S)
    chosen, alone = (applications(one, period, ("application", "host"), NOTHING) for one in pair)
    assert chosen == alone
    assert [row.values for row in chosen] == [("unattributed", "b"), ("db", "b")]
    chosen, alone = (reconcile(one, period) for one in pair)
    assert chosen == alone


def test_gaps_and_estimated_stretches_are_those_of_the_hosts_alone(pair):
    chosen, alone = pair
    everything = (0, NOW_S * US)
    assert chosen.gaps(*everything) == alone.gaps(*everything)
    assert len(chosen.gaps(*everything)) == len(chosen.spans(*everything)) == len(chosen.estimated()) == 1
    own = {one.id for one in chosen.interfaces()}
    assert {one.interface_id for one in chosen.spans(*everything)} <= own
    assert set(chosen.estimated()) <= own
    rows = list(chosen.share_rows(0))
    assert len(rows) == len(list(alone.share_rows(0))) == 10


def test_the_record_begins_and_ends_with_the_hosts_to_the_quarter(pair):
    chosen, alone = pair
    start_s, end_s = alone.extent()
    assert chosen.extent() == (start_s // QUARTER_S * QUARTER_S, START_S + 20 * DAY_S)
    assert chosen.extent()[1] >= end_s


def test_what_was_counted_before_the_hosts_were_seen_is_in_it(path, tmp_path):
    late_s = START_S + 30 * DAY_S
    with writing(tmp_path / "c.db", late_s, machine="c", boot_id="c") as ledger:
        ledger.span(ledger.interface("eth0"), (START_S + DAY_S) * US, late_s * US, 9_000, 900, 9, 9)
        ledger.commit(late_s + DAY_S)
    merge(path, str(tmp_path / "c.db"), "c", now_us=NOW_S * US)
    question = Question(ReportKind.DAY, zone("UTC"), NOW_S, since_s=START_S)
    with HostsReader(path, ["*"]) as reader:
        chosen = OfHosts(reader, ["c"])
        assert chosen.extent() == reader.extent()
        assert sum(row.usage.rx_bytes for row in report(chosen, question).rows) == 9_000


def test_applications_that_are_known_are_those_that_had_bytes(pair):
    chosen, alone = (known(one, AskedShares(one)) for one in pair)
    assert [one._replace(first_seen_us=None, last_seen_us=None) for one in alone] == chosen
    assert [(one.name, one.paths, one.users) for one in chosen] == [("db", ("/srv/db",), ("pg",))]


def test_what_is_known_of_all_hosts_together_only_is_not_told(pair):
    chosen, alone = pair
    for ask in ("tiers", "watched"):
        assert getattr(alone, ask)(0, NOW_S * US) != []
        assert getattr(chosen, ask)(0, NOW_S * US) == []
    assert [one.who for one in alone.seen()] == [DB]
    assert chosen.seen() == []


def test_a_host_that_is_not_there_is_named(path):
    with HostsReader(path, ["*"]) as reader:
        for ask in (OfHosts(reader, ["a", "x"]).extent, OfHosts(reader, ["x"]).interfaces):
            with pytest.raises(NoDataError, match="no host 'x' has been recorded"):
                ask()
