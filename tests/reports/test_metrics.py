"""What a monitoring system is told: all of it from the ledger, the same whoever asks, and never less than before."""

from datetime import UTC
from zoneinfo import ZoneInfo

import pytest
from support.ledgers import DAY_S, START_S, writing

from netusage.ledger.batch import Health, Part
from netusage.ledger.reader import LedgerReader
from netusage.model import QUARTER_S, US, Counters, GapKind, Who
from netusage.reports.applications import SCOPES
from netusage.reports.metrics import GONE_FOR_S, InterfaceTotals, ScopeTotals, metrics
from netusage.settings.schema import InterfaceSettings

WEB, SSH, KERNEL = Who("application", "web"), Who("application", "ssh"), Who("kernel", "", "ICMP")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "ledger.db"


def told(path, now_s, *, zone=UTC, **options):
    options = {"overrides": InterfaceSettings(), **options}
    with LedgerReader(str(path)) as reader:
        return metrics(reader, now_s=now_s, zone=zone, **options)


def share(ledger, epoch, who, rx, tx=0, scope=3):
    ledger.share(Part(ledger.now_s // QUARTER_S * QUARTER_S, epoch, who, scope, 6, 4), Counters(rx, tx, 1, 1))


def test_interfaces_have_their_totals_and_what_of_them_is_estimated_in_time(path):
    with writing(path) as ledger:
        eth0, lo = ledger.interface("eth0"), ledger.interface("lo", "loopback", counted=False)
        ledger.count(eth0, START_S, 100, 50, 4, 3)
        ledger.count(lo, START_S, 7, 7, 1, 1)
        ledger.span(eth0, START_S * US, (START_S + 60) * US, 1000, 10, 5, 1)
        ledger.commit(START_S + 60)
    assert told(path, START_S + 70).interfaces == [
        InterfaceTotals("eth0", "", counted=True, totals=Counters(1100, 60, 9, 4), estimated=(1000, 10)),
        InterfaceTotals("lo", "loopback", counted=False, totals=Counters(7, 7, 1, 1), estimated=(0, 0)),
    ]
    overrides = InterfaceSettings(not_counted=("eth*",))
    assert not any(one.counted for one in told(path, START_S + 70, overrides=overrides).interfaces)


def test_an_interface_that_went_away_is_told_of_for_an_hour_and_goes_on_where_it_was_when_it_comes_back(path):
    def names(now_s):
        return [one.name for one in told(path, now_s).interfaces]

    with writing(path) as ledger:
        usb0, _ = ledger.interface("usb0"), ledger.interface("eth0")
        ledger.count(usb0, START_S, 100, 0, 1, 0)
        ledger.end(usb0)
        ledger.commit(START_S + 60)
        assert names(START_S + 60 + GONE_FOR_S) == ["eth0", "usb0"]
        assert names(START_S + 61 + GONE_FOR_S) == ["eth0"]
        again = ledger.interface("usb0")
        ledger.count(again, START_S + DAY_S, 5, 0, 1, 0)
        ledger.commit(START_S + DAY_S)
    assert told(path, START_S + DAY_S).interfaces[1].totals.rx_bytes == 105


def test_those_applications_are_told_apart_that_had_the_most_with_each_of_their_scopes(path):
    with writing(path) as ledger:
        eth0 = ledger.interface("eth0")
        share(ledger, eth0, WEB, 100, 10)
        share(ledger, eth0, WEB, 50, 5, scope=1)
        share(ledger, eth0, SSH, 120, 0)
        share(ledger, eth0, KERNEL, 9, 9)
        ledger.commit(START_S + 60)
    web = [ScopeTotals("web", "LAN", (50, 5)), ScopeTotals("web", "internet", (100, 10))]
    ssh = [ScopeTotals("ssh", "internet", (120, 0))]
    kernel = [ScopeTotals("the kernel itself", "internet", (9, 9))]
    for most, expected in ((0, []), (1, web), (2, ssh + web), (50, ssh + kernel + web)):
        found = told(path, START_S + 60, most_applications=most)
        assert found.applications == expected
        assert found.attributed == [
            ScopeTotals("", scope, {"LAN": (50, 5), "internet": (229, 19)}.get(scope, (0, 0)))
            for scope in SCOPES
        ]


def test_an_application_that_comes_among_those_with_the_most_changes_no_other_number(path):
    with writing(path) as ledger:
        eth0 = ledger.interface("eth0")
        share(ledger, eth0, WEB, 100)
        share(ledger, eth0, SSH, 90)
        ledger.commit(START_S + 60)
        before = told(path, START_S + 60, most_applications=1)
        share(ledger, eth0, SSH, 50)
        ledger.commit(START_S + 120)
        after = told(path, START_S + 120, most_applications=1)
    assert [one.application for one in before.applications] == ["web"]
    assert after.applications == [ScopeTotals("ssh", "internet", (140, 0))]
    both = [one.both[0] for found in (before, after) for one in found.attributed if one.scope == "internet"]
    assert both == [190, 240]


def test_every_kind_of_gap_is_told_of_before_there_is_one(path):
    with writing(path) as ledger:
        ledger.gap(START_S, START_S + 7, GapKind.KILLED)
        ledger.gap(START_S, START_S + 5, GapKind.KILLED, lossy=True)
        ledger.gap(START_S + 9, START_S + 10, GapKind.KILLED, lossy=True, interface="eth0")
        ledger.commit(START_S + 60)
    found = {(gap.kind, gap.lossy): (gap.number, gap.length_us) for gap in told(path, START_S + 60).gaps}
    assert len(found) == 2 * len(GapKind)
    assert found.pop(("killed", False)) == (1, 7 * US)
    assert found.pop(("killed", True)) == (2, 6 * US)
    assert set(found.values()) == {(0, 0)}


def test_all_lives_of_recorders_are_added_up(path):
    for life in range(3):
        with writing(path, START_S + 100 * life) as ledger:
            ledger._batch.health = Health(10, 1, 2, 3, 4, 5000, 900, 6)
            ledger.commit(START_S + 100 * life + 10, ended="SIGTERM" if life < 2 else None)
    found = told(path, START_S + 300)
    assert found.runs == (3, 30, 3, 6, 18, 9, 12, 15_000)
    assert found.recorder.holder is None
    assert found.recorder.last_run.last_us == (START_S + 210) * US


def test_today_and_this_month_are_those_of_the_time_zone_and_of_the_billing_day(path):
    with writing(path, START_S - 10 * DAY_S) as ledger:
        eth0 = ledger.interface("eth0")
        for day in range(-9, 1):
            ledger.count(eth0, START_S + day * DAY_S + 3600, 10 ** (day + 9), 1, 1, 1)
        ledger.commit(START_S + 7200)
    found = told(
        path, START_S + 7200
    )  # two in the night of 10 March, in New York still the evening of the 9th
    assert (found.today.rx_bytes, found.month.rx_bytes) == (10**9, 1_111_111_111)
    found = told(path, START_S + 7200, zone=ZoneInfo("America/New_York"), billing_day=8)
    assert (found.today.rx_bytes, found.month.rx_bytes) == (10**9, 1_100_000_000)


def test_a_ledger_in_which_nothing_was_counted_has_no_interfaces_and_nothing_else_is_missing(path):
    with writing(path):
        pass
    found = told(path, START_S)
    assert (found.interfaces, found.applications) == ([], [])
    assert found.runs.number == 0
    assert found.today.total_bytes == found.month.total_bytes == 0
