from zoneinfo import ZoneInfo

import pytest
from support.ledgers import DAY_S, START_S, writing

from netusage.ledger.answers import NO_USAGE, Usage
from netusage.ledger.reader import LedgerReader
from netusage.model import US, Counters, GapKind
from netusage.reports.summary import Stretch, summary
from netusage.settings.schema import InterfaceSettings

UTC = ZoneInfo("UTC")
NOW_S = START_S + 5 * DAY_S + 3600  # 15 March, one o'clock


@pytest.fixture
def path(tmp_path):
    return tmp_path / "ledger.db"


def sum_up(path, boot_id="boot-1", **more):
    arguments = {"now_us": NOW_S * US, "zone": UTC, "overrides": InterfaceSettings()} | more
    with LedgerReader(str(path)) as reader:
        return summary(reader, boot_id=boot_id, **arguments)


def usage_of(answer, stretch):
    return {row.interface: row.usage for row in answer.rows if row.stretch is stretch}


def test_today_this_month_since_boot_and_all_time_are_summed_up(path):
    with writing(path, START_S - 20 * DAY_S, boot_id="old") as ledger:
        ledger.count(ledger.interface("eth0"), START_S - 20 * DAY_S, 1000)
        ledger.commit(START_S - 20 * DAY_S + 60)
    with writing(path, START_S) as ledger:
        eth0, br0 = ledger.interface("eth0"), ledger.interface("br0", "bridge", counted=False)
        ledger.count(eth0, START_S + 60, 100, 7, 1, 1)
        ledger.count(br0, START_S + 60, 99)
        ledger.count(eth0, NOW_S - 60, 10, 1)
        ledger.commit(NOW_S)
    answer = sum_up(path)
    assert usage_of(answer, Stretch.TODAY) == {None: Usage(10, 1), "eth0": Usage(10, 1)}
    assert usage_of(answer, Stretch.MONTH) == {
        None: Usage(110, 8, 1, 1),
        "eth0": Usage(110, 8, 1, 1),
        "br0": Usage(99),
    }
    assert usage_of(answer, Stretch.BOOT) == usage_of(answer, Stretch.MONTH)
    assert usage_of(answer, Stretch.ALL)[None] == Usage(1110, 8, 1, 1)
    assert usage_of(answer, Stretch.ALL)["br0"] == Usage(99)
    starts = {row.stretch: row.start_s for row in answer.rows}
    assert starts[Stretch.TODAY] == START_S + 5 * DAY_S
    assert starts[Stretch.MONTH] == START_S - 9 * DAY_S
    assert starts[Stretch.BOOT] == START_S - 100
    assert starts[Stretch.ALL] == START_S - 20 * DAY_S


def test_estimated_bytes_are_told_for_every_period(path):
    with writing(path, START_S) as ledger:
        eth0 = ledger.interface("eth0")
        ledger.span(eth0, (NOW_S - 7200) * US, NOW_S * US, 1000, 10)  # half of it yesterday
        ledger.commit(NOW_S)
    answer = sum_up(path)
    assert usage_of(answer, Stretch.TODAY)[None] == Usage(500, 5, 0, 0, 500, 5)
    for stretch in (Stretch.MONTH, Stretch.BOOT, Stretch.ALL):
        assert usage_of(answer, stretch)[None] == Usage(1000, 10, 0, 0, 1000, 10)


def test_a_month_may_begin_today(path):
    with writing(path, START_S) as ledger:
        eth0 = ledger.interface("eth0")
        ledger.count(eth0, START_S, 1)
        ledger.count(eth0, NOW_S, 2)
        ledger.commit(NOW_S + 60)
    answer = sum_up(path, billing_day=15)
    assert (
        usage_of(answer, Stretch.TODAY)
        == usage_of(answer, Stretch.MONTH)
        == {None: Usage(2), "eth0": Usage(2)}
    )


def test_of_a_boot_that_nobody_recorded_nothing_is_said(path):
    with writing(path) as ledger:
        ledger.count(ledger.interface("eth0"), START_S, 1)
        ledger.commit(START_S + 60)
    answer = sum_up(path, boot_id="another")
    assert not answer.recorded_this_boot
    assert usage_of(answer, Stretch.BOOT) == {}


def test_interfaces_of_the_total_come_first_and_the_busiest_of_them(path):
    with writing(path) as ledger:
        for name, counted, amount in (("a", True, 5), ("b", False, 500), ("c", True, 50)):
            ledger.count(ledger.interface(name, counted=counted), NOW_S, amount)
        ledger.commit(NOW_S)
    answer = sum_up(path)
    assert list(usage_of(answer, Stretch.TODAY)) == [None, "c", "a", "b"]
    override = InterfaceSettings(counted=("b",))
    assert list(usage_of(sum_up(path, overrides=override), Stretch.TODAY)) == [None, "b", "c", "a"]


def test_gaps_of_today_and_this_month_are_counted_and_measured_once(path):
    today = START_S + 5 * DAY_S
    with writing(path) as ledger:
        ledger.gap(START_S, START_S + 100)
        ledger.gap(START_S + 50, START_S + 200, GapKind.KILLED)
        ledger.gap(today - 10, today + 30, GapKind.REBOOT, lossy=True)
        ledger.commit(NOW_S)
    of_today, of_month = sum_up(path).gaps
    assert (of_today.number, of_today.lossy, of_today.length_us) == (1, 1, 30 * US)
    assert (of_month.number, of_month.lossy, of_month.length_us) == (3, 1, 240 * US)


def test_the_recorder_is_told(path):
    with writing(path) as ledger:
        ledger.commit(START_S + 60)
        assert sum_up(path).recorder.holder is not None
    state = sum_up(path).recorder
    assert state.holder is None
    assert state.last_run.last_us == (START_S + 60) * US


def test_a_ledger_without_traffic_has_a_summary_of_nothing(path):
    with writing(path) as ledger:
        ledger.interface("eth0", first=Counters(5))
        ledger.commit(START_S + 60)
    answer = sum_up(path)
    assert {row.usage for row in answer.rows} == {NO_USAGE}
    assert {row.interface for row in answer.rows} == {None}
