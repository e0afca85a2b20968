"""Shares that are asked of a record each time say what those in memory say; and hosts are told apart and chosen."""

from datetime import UTC

import pytest
from support import machines
from support.ledgers import DAY_S, START_S, writing
from support.machines import HOSTILE, HOUR_S

from netusage.errors import NoDataError
from netusage.ledger.batch import Part
from netusage.ledger.reader import LedgerReader
from netusage.ledger.several import HostsReader
from netusage.model import QUARTER_S, Counters, Who
from netusage.periods import Period
from netusage.reports.applications import REST
from netusage.reports.breakdown import SHOWN_OF_HOSTS, breakdown, known
from netusage.reports.chosen import Choice
from netusage.reports.share_index import ShareIndex
from netusage.reports.shares import AskedShares
from netusage.reports.timeline import Span, timeline
from netusage.settings.schema import InterfaceSettings

NOTHING = InterfaceSettings()
END_S = START_S + 6 * DAY_S
ALL = Period(END_S - machines.DAYS * DAY_S, END_S)


@pytest.fixture(scope="module")
def ledger(tmp_path_factory):
    """Six days, the first of which are known by days only."""
    path = tmp_path_factory.mktemp("ledger") / "ledger.db"
    whose = [Who("application", "web", "/w", "eva", "a.service"), Who("application", "db", "/d", "adam")]
    whose += [Who("kernel"), Who("forwarded")]
    with writing(path, quarters_kept_s=2 * DAY_S) as ledger:
        eth0, lo = ledger.interface("eth0"), ledger.interface("lo", "loopback", counted=False)
        for hour in range(6 * 24):
            at_s = START_S + hour * HOUR_S
            for n, epoch in enumerate((eth0, lo)):
                ledger.count(epoch, at_s, 10_000 + hour, 900, 10, 10)
                for m, who in enumerate(whose):
                    counters = Counters(100 * m + hour, 20 + n, 1, 1)
                    ledger.share(Part(at_s, epoch, who, m, (6, 17, 1, 58)[m], 4), counters)
            ledger.commit(at_s + 60)
        for quarter in range(8):
            ledger.commit(END_S + quarter * QUARTER_S)
    return str(path)


@pytest.fixture(scope="module")
def merged(tmp_path_factory):
    home = tmp_path_factory.mktemp("merged")
    return str(machines.merged(home / "all.db", machines.ledgers(home, END_S), END_S))


def both(path, question):
    """The answers with shares in memory, and with those that are asked."""
    with LedgerReader(path) as reader:
        index = ShareIndex()
        index.read_whole(reader)
        return question(reader, index), question(reader, AskedShares(reader))


CHOICES = [
    Choice(),
    Choice(("*",)),
    Choice(values={"application": frozenset({"web"})}),
    Choice(values={"application": frozenset({"db", REST})}),
    Choice(("lo",), {"application": frozenset({REST})}),
    Choice(("*",), {"scope": frozenset({"LAN"}), "user": frozenset({"adam"})}),
    Choice(values={"path": frozenset({"/w"}), "unit": frozenset({"a.service"})}),
    Choice(values={"application": frozenset({"kernel: ICMP"})}),
]


@pytest.mark.parametrize("choice", CHOICES)
def test_what_is_asked_each_time_is_what_is_in_memory(ledger, choice):
    for period in (Period(START_S, END_S), Period(END_S - DAY_S + HOUR_S, END_S - HOUR_S)):
        memory, asked = both(
            ledger, lambda reader, shares, p=period: breakdown(reader, shares, p, choice, NOTHING)
        )
        assert memory == asked
        assert memory.rx_bytes


@pytest.mark.parametrize("choice", CHOICES)
def test_bars_are_the_same_and_so_is_whether_days_are_among_them(ledger, choice):
    for since_s, until_s, bars in (
        (START_S, END_S, 200),
        (START_S, END_S, 10),
        (END_S - 7 * HOUR_S + 77, END_S, 60),
    ):
        span = Span(since_s, until_s, bars, UTC, END_S)
        memory, asked = both(
            ledger, lambda reader, shares, s=span: timeline(reader, shares, s, choice, NOTHING)
        )
        assert memory == asked
    assert timeline_has_days(ledger, choice) is choice.has_shares


def timeline_has_days(ledger, choice):
    with LedgerReader(ledger) as reader:
        span = Span(START_S, END_S, 200, UTC, END_S)
        return timeline(reader, AskedShares(reader), span, choice, NOTHING).has_days


def test_rows_between_any_edges_are_those_that_begin_there(ledger):
    edges = [START_S + 5 * DAY_S + n * 1000 for n in range(40)]
    with LedgerReader(ledger) as reader:
        ids = [one.id for one in reader.interfaces()]
    memory, asked = both(ledger, lambda _, shares: shares.of(ids, ()).between(edges))
    assert memory == asked
    assert any(memory[0])


def test_all_that_were_ever_seen_have_their_bytes_of_all_time(ledger):
    memory, asked = both(ledger, known)
    assert memory == asked
    assert {one.name for one in asked} >= {"web", "db"}


# ---- Hosts ------------------------------------------------------------------------------------------------------


def of_hosts(merged, choice, period=ALL):
    with HostsReader(merged, ["*"]) as reader:
        return breakdown(reader, AskedShares(reader), period, choice, NOTHING)


def table(parts):
    return {part.value: part.both for part in parts}


def test_every_list_of_several_hosts_adds_up_to_all_of_them(merged):
    found = of_hosts(merged, Choice())
    assert tuple(found.by) == SHOWN_OF_HOSTS
    for name in ("host", "application", "scope", "interface"):
        assert sum(part.both for part in found.by[name]) == found.rx_bytes + found.tx_bytes
    assert [part.value for part in found.by["host"]] == [HOSTILE, "web1", "web2"]


@pytest.mark.parametrize(
    "values", [{}, {"application": frozenset({"nginx"})}, {"application": frozenset({"nginx", REST})}]
)
def test_what_each_host_has_is_what_is_left_when_it_is_chosen(merged, values):
    together = of_hosts(merged, Choice(values=values)).by["host"]
    alone = {
        name: of_hosts(merged, Choice(values=values, hosts=frozenset({name}))) for name in machines.MACHINES
    }
    assert table(together) == {
        name: one.rx_bytes + one.tx_bytes for name, one in alone.items() if one.rx_bytes or one.tx_bytes
    }


def test_a_host_that_is_not_there_is_told(merged):
    with pytest.raises(NoDataError, match="no host 'web3'"):
        of_hosts(merged, Choice(hosts=frozenset({"web1", "web3"})))


def test_bars_of_a_host_have_its_own_gaps_and_end_with_its_own_record(merged):
    span = Span(*ALL, 100, UTC, END_S)
    with HostsReader(merged, ["*"]) as reader:
        everybody = timeline(reader, AskedShares(reader), span, Choice(), NOTHING)
        one = timeline(reader, AskedShares(reader), span, Choice(hosts=frozenset({"web2"})), NOTHING)
    assert (len(everybody.gaps), [gap.host for gap in one.gaps]) == (3, ["web2"])
    assert one.record[1] == END_S - 5 * HOUR_S < everybody.record[1]
    assert sum(one.seconds) < sum(everybody.seconds)
