"""Whose bytes they were, and the account of each interface: lines that add up to what it counted."""

from datetime import UTC

import pytest
from support.ledgers import START_S, writing

from netusage.errors import NoDataError, UsageError
from netusage.ledger.batch import Part
from netusage.ledger.reader import LedgerReader
from netusage.model import QUARTER_S, Counters, Who
from netusage.periods import Period
from netusage.reports.applications import (
    DIMENSIONS,
    REST,
    TWICE,
    applications,
    busiest,
    by_period,
    reconcile,
    whole_quarters,
)
from netusage.reports.usage import Question, ReportKind
from netusage.settings.schema import InterfaceSettings

WEB = Who("application", "web", "/srv/web", "eva", "web.service")
DB = Who("application", "db", "/srv/db", "eva", "", "docker 0123456789ab", "pod-1")
KERNEL, FORWARDED, UNNAMED = Who("kernel"), Who("forwarded"), Who("unnamed")
HOUR = Period(START_S, START_S + 4 * QUARTER_S)
NOTHING = InterfaceSettings()


@pytest.fixture
def reader(tmp_path):
    """An hour: eth0 is in the total, docker0 is not, and wlan0 had more given to sockets than it counted."""
    path = tmp_path / "ledger.db"
    with writing(path) as ledger:
        eth0, wlan0 = ledger.interface("eth0"), ledger.interface("wlan0")
        docker0 = ledger.interface("docker0", "bridge", counted=False)
        ledger.interface("idle0")
        ledger.count(eth0, START_S, 10_000, 5_000, 100, 50)
        ledger.count(wlan0, START_S + 900, 1_000, 500, 10, 5)
        ledger.count(docker0, START_S + 900, 700, 70, 7, 7)
        for epoch, who, scope, protocol, family, counters in (
            (eth0, WEB, 3, 6, 4, (6_000, 3_000, 60, 30)),
            (eth0, WEB, 1, 6, 6, (500, 100, 5, 1)),
            (eth0, DB, 1, 6, 4, (2_000, 1_000, 20, 10)),
            (eth0, KERNEL, 2, 0, 0, (0, 400, 0, 4)),
            (eth0, FORWARDED, 3, 17, 4, (0, 300, 0, 3)),
            (eth0, UNNAMED, 0, 99, 4, (0, 200, 0, 2)),
            (wlan0, WEB, 3, 17, 4, (1_200, 500, 12, 5)),
            (docker0, DB, 1, 6, 4, (700, 70, 7, 7)),
        ):
            ledger.share(Part(START_S, epoch, who, scope, protocol, family), Counters(*counters))
        ledger.commit(START_S + 3600)
    with LedgerReader(str(path)) as found:
        yield found


def table(rows):
    return {row.values: (row.counters.rx_bytes, row.counters.tx_bytes) for row in rows}


def test_the_busiest_application_comes_first_and_everything_is_the_machine_s_total(reader):
    rows = applications(reader, HOUR, ["application"], NOTHING)
    assert [row.values[0] for row in rows] == [
        "web", "db", REST, "kernel: ARP and the like", "forwarded", "without a name"
    ]  # fmt: skip
    assert table(rows) == {
        ("web",): (7_700, 3_600),
        ("db",): (2_000, 1_000),
        ("kernel: ARP and the like",): (0, 400),
        ("forwarded",): (0, 300),
        ("without a name",): (0, 200),
        (REST,): (1_300, 0),
    }
    assert sum(row.counters.rx_bytes for row in rows) == 11_000
    assert sum(row.counters.tx_packets for row in rows) == 55
    assert sum(row.share for row in rows) == pytest.approx(1)


def test_what_is_told_apart_can_be_combined(reader):
    rows = applications(reader, HOUR, ["user", "scope", "protocol", "family"], NOTHING)
    assert table(rows)["eva", "internet", "TCP", "IPv4"] == (6_000, 3_000)
    assert table(rows)["eva", "LAN", "TCP", "IPv6"] == (500, 100)
    assert table(rows)["", "link-local and multicast", "other", "other"] == (0, 400)
    assert table(rows)["", "loopback", "IP protocol 99", "IPv4"] == (0, 200)
    assert table(rows)["", "", "", ""] == (1_300, 0)


@pytest.mark.parametrize("by", list(DIMENSIONS))
def test_by_anything_the_sum_is_what_the_interfaces_counted(reader, by):
    patterns = ["eth0", "wlan0"] if by == "interface" else []
    rows = applications(reader, HOUR, [by], NOTHING, patterns)
    assert sum(row.counters.rx_bytes for row in rows) == 11_000
    assert sum(row.counters.tx_bytes for row in rows) == 5_500


def test_interfaces_that_are_asked_for_are_told_whether_they_are_in_the_total_or_not(reader):
    assert table(applications(reader, HOUR, ["application", "container"], NOTHING, ["docker*"])) == {
        ("db", "docker 0123456789ab"): (700, 70)
    }
    everything = applications(reader, HOUR, ["interface"], NOTHING, ["*"])
    assert table(everything)[("docker0",)] == (700, 70)
    with pytest.raises(NoDataError, match="no interface 'tun0'"):
        applications(reader, HOUR, ["application"], NOTHING, ["tun0"])


def test_each_interface_has_an_account_whose_lines_add_up(reader):
    accounts = {account.interface: account for account in reconcile(reader, HOUR)}
    assert accounts.keys() == {"eth0", "wlan0", "docker0"}  # idle0 counted nothing
    for account in accounts.values():
        sums = Counters()
        for _, counters in account.lines:
            sums = sums.plus(counters)
        assert sums == account.total
    assert [line for line, _ in accounts["eth0"].lines] == [
        "applications", "the kernel itself", "forwarded", "without a name", REST
    ]  # fmt: skip
    assert accounts["eth0"].lines[-1][1] == Counters(1_500, 0, 15, 0)
    assert accounts["wlan0"].lines[-2:] == [(REST, Counters()), (TWICE, Counters(-200, 0, -2, 0))]
    assert accounts["docker0"].lines[-1][1] == Counters()
    assert [one.interface for one in reconcile(reader, HOUR, ["w*"])] == ["wlan0"]


def test_a_time_without_applications_says_how_they_are_recorded(reader):
    with pytest.raises(NoDataError, match="nothing is recorded of applications") as raised:
        applications(reader, Period(START_S - 900, START_S), ["application"], NOTHING)
    assert "netusage doctor" in raised.value.hint


def test_what_has_no_application_is_told_of_each_interface_where_they_are_told_apart(reader):
    rows = applications(reader, HOUR, ["interface", "application"], NOTHING)
    assert table(rows)["eth0", REST] == (1_500, 0)
    assert table(rows)["wlan0", REST] == (-200, 0)
    assert {row.values[0] for row in rows} == {"eth0", "wlan0", "docker0"}
    assert sum(row.share for row in rows if row.values[0] == "eth0") == pytest.approx(1)


def question(kind, **more):
    return Question(ReportKind(kind), UTC, START_S + 3600, **more)


def test_every_period_adds_up_to_what_the_interfaces_counted_in_it(reader):
    for kind in ("hour", "day", "week", "month", "year", "total", "top"):
        rows = by_period(reader, question(kind), ["application", "scope"]).rows
        assert sum(row.counters.rx_bytes for row in rows) == 11_000
        assert sum(row.counters.tx_bytes for row in rows) == 5_500
        assert rows[0].values == ("web", "internet")
    for kind in ("minute", "5min"):
        with pytest.raises(UsageError, match=f"there is no {kind} of applications"):
            by_period(reader, question(kind), ["application"])


def test_hours_follow_one_another_and_each_has_its_busiest_first(tmp_path):
    path = tmp_path / "ledger.db"
    with writing(path) as ledger:
        eth0 = ledger.interface("eth0")
        for hour, (web, db) in enumerate(((10, 20), (30, 5))):
            at_s = START_S + hour * 3600
            ledger.count(eth0, at_s, web + db + 1, 0, 3, 0)
            ledger.share(Part(at_s, eth0, WEB, 3, 6, 4), Counters(web, 0, 1, 0))
            ledger.share(Part(at_s, eth0, DB, 3, 6, 4), Counters(db, 0, 1, 0))
            ledger.commit(at_s + 3600)
    with LedgerReader(str(path)) as reader:
        rows = by_period(reader, Question(ReportKind.HOUR, UTC, START_S + 7200 - 1), ["application"]).rows
        assert [(row.start_s - START_S, *row.values, row.counters.rx_bytes) for row in rows] == [
            (0, "db", 20), (0, "web", 10), (0, REST, 1), (3600, "web", 30), (3600, "db", 5), (3600, REST, 1)
        ]  # fmt: skip
        assert [row.share for row in rows[:2]] == [20 / 31, 10 / 31]
        top = by_period(reader, Question(ReportKind.TOP, UTC, START_S + 7199, limit=1), ["user"]).rows
        assert [(*row.values, row.counters.rx_bytes) for row in top] == [("eva", 65)]


def test_the_time_is_widened_to_quarters_of_an_hour():
    assert whole_quarters(START_S + 1, START_S + 901) == (START_S, START_S + 1800)
    assert whole_quarters(START_S, START_S + 900) == (START_S, START_S + 900)
    with pytest.raises(UsageError, match="ends before it begins"):
        whole_quarters(START_S, START_S)


def test_hours_of_which_only_days_are_known_say_so(tmp_path):
    path = tmp_path / "ledger.db"
    with writing(path, quarters_kept_s=86400) as ledger:
        eth0 = ledger.interface("eth0")
        for day in range(5):
            at_s = START_S + day * 86400 + 5 * 3600
            ledger.count(eth0, at_s, 100, 0, 1, 0)
            ledger.share(Part(at_s // 900 * 900, eth0, WEB, 3, 6, 4), Counters(100, 0, 1, 0))
            ledger.commit(at_s + 3600)
    with LedgerReader(str(path)) as reader:
        now_s = START_S + 5 * 86400
        hours, days = (
            by_period(reader, Question(ReportKind(kind), UTC, now_s, since_s=START_S), ["application"])
            for kind in ("hour", "day")
        )
    assert (hours.has_days, days.has_days) == (True, False)
    for found in (hours, days):
        assert sum(row.counters.rx_bytes for row in found.rows) == 500


def test_the_busiest_rows_and_the_others_are_all_rows(reader):
    rows = applications(reader, HOUR, ("application",), NOTHING)
    for limit in (1, 3, len(rows), len(rows) + 1):
        first, others = busiest(rows, limit)
        assert first == rows[:limit]
        assert others.number == len(rows) - len(first)
        assert others.counters == Counters(
            *map(sum, zip(Counters(), *(row.counters for row in rows[limit:]), strict=True))
        )
