"""What a picture shows is what the reports say."""

import sqlite3

import pytest
from support.ledgers import START_S, writing

from netusage.errors import NoDataError
from netusage.ledger.batch import Part
from netusage.ledger.hosts import merge
from netusage.ledger.reader import LedgerReader
from netusage.ledger.several import HostsReader
from netusage.model import US, Counters, Who
from netusage.periods import PeriodKind
from netusage.plot.contents import Panel, gather, usual_panels
from netusage.reports.applications import applications, whole_quarters
from netusage.reports.plans import standing
from netusage.reports.usage import Question, ReportKind, report
from netusage.settings.schema import InterfaceSettings, PlanSettings


def test_the_bars_are_the_rows_of_the_report(ask, recorded):
    contents = ask("day")
    with LedgerReader(recorded.path) as reader:
        answer = report(reader, contents.question)
    assert contents.bars.usages == [row.usage for row in answer.rows]
    assert contents.bars.edges == [row.start_s for row in answer.rows] + [recorded.end_s + 86_400]
    assert contents.bars.seconds == [row.seconds for row in answer.rows]
    assert contents.bars.total == answer.totals[0].usage
    assert contents.interfaces == []


def test_several_interfaces_are_shown_together(ask):
    one, other, both = (ask("day", patterns=names) for names in (("eth0",), ("wlan0",), ("eth0", "wlan0")))
    assert both.interfaces == ["eth0", "wlan0"]
    assert both.bars.usages == [a.plus(b) for a, b in zip(one.bars.usages, other.bars.usages, strict=True)]
    assert both.bars.edges == one.bars.edges


def test_days_and_heat_map_are_of_the_same_time_as_the_bars(ask, recorded):
    contents = ask("hour", *Panel, since_s=recorded.begin_s, until_s=recorded.begin_s + 40 * 3600)
    assert contents.days.kind is PeriodKind.DAY
    assert contents.heat.kind is PeriodKind.HOUR
    assert contents.heat.total == contents.bars.total
    assert contents.days.edges == [recorded.begin_s + n * 86_400 for n in (0, 1, 2)]
    assert ask("month", *Panel).heat.kind is PeriodKind.DAY


def test_nothing_is_asked_for_that_no_panel_shows(ask):
    contents = ask("day", Panel.TIMELINE)
    assert (contents.days, contents.heat, contents.applications, contents.tiers) == (None, None, None, [])


def test_what_applications_had_is_that_of_the_same_time(ask, recorded):
    contents = ask("day", limit=2)
    with LedgerReader(recorded.path) as reader:
        quarters = whole_quarters(contents.bars.edges[0], contents.bars.edges[-1])
        rows = applications(reader, quarters, ("application",), InterfaceSettings())
    assert contents.applications == rows
    assert contents.tiers == ["kernel"]


def test_time_in_which_nothing_was_read_is_known_also_after_the_end_of_the_record(ask, recorded):
    contents = ask("day", now_s=recorded.end_s + 7200)
    stopped = recorded.begin_s + 2 * 86_400
    assert contents.unwatched == [
        (stopped, stopped + 12 * 3600),
        (recorded.end_s, recorded.end_s + 7200),
    ]
    assert ask("day", limit=1, now_s=recorded.end_s + 7200).unwatched == contents.unwatched[1:]


def test_what_waits_for_the_next_commit_is_no_gap(ask, recorded):
    assert len(ask("day", now_s=recorded.end_s + 30).unwatched) == 1


def test_gaps_of_single_interfaces_are_told_where_those_are_shown(ask, recorded):
    day = 86_400
    whole = (recorded.begin_s + 2 * day, recorded.begin_s + 2 * day + 12 * 3600)
    later = recorded.begin_s + 4 * day - 3600  # a day of 23 hours lies between
    assert ask("day").lossy == [whole]
    assert ask("day", patterns=("wlan0",)).lossy == [whole, (later + 6 * 3600, later + 7 * 3600)]
    assert len(ask("day", patterns=("*0",)).lossy) == 3


def test_without_applications_the_rest_is_there_unless_they_are_all_that_was_asked_for(ask, tmp_path):
    path = str(tmp_path / "ledger.db")
    with writing(path) as ledger:
        ledger.count(ledger.interface("eth0"), START_S, 1, 1)
        ledger.commit(START_S + 60)
    now_s = START_S + 60
    assert ask("day", path=path, now_s=now_s).applications is None
    with pytest.raises(NoDataError, match="applications"):
        ask("day", Panel.APPLICATIONS, path=path, now_s=now_s)


def test_applications_that_had_nothing_are_as_none(ask, tmp_path):
    path = str(tmp_path / "ledger.db")
    with writing(path) as ledger:
        eth0, wlan0 = ledger.interface("eth0"), ledger.interface("wlan0")
        ledger.count(eth0, START_S, 1, 1)
        who = Who("application", "firefox", "/usr/bin/firefox", "eva")
        ledger.share(Part(START_S, eth0, who, 3, 6, 4), Counters(1, 1, 1, 1))
        ledger.count(wlan0, START_S, 0, 0)
        ledger.commit(START_S + 60)
    now_s = START_S + 60
    assert ask("day", path=path, now_s=now_s, patterns=("wlan0",)).applications is None
    assert len(ask("day", Panel.APPLICATIONS, path=path, now_s=now_s).applications) == 1
    with pytest.raises(NoDataError, match="no application had anything"):
        ask("day", Panel.APPLICATIONS, path=path, now_s=now_s, patterns=("wlan0",))


def test_interfaces_that_had_nothing_are_said_to_have_had_nothing(ask, tmp_path):
    path = str(tmp_path / "ledger.db")
    with writing(path) as ledger:
        ledger.count(ledger.interface("eth0"), START_S, 1, 1)
        for name in ("tun0", "tun1"):
            ledger.interface(name)
        ledger.commit(START_S + 60)
    with pytest.raises(NoDataError, match=r"tun\*: nothing was counted"):
        ask("day", path=path, now_s=START_S + 60, patterns=("tun*",))


def test_an_empty_ledger_and_a_time_without_a_record_are_no_data(ask, tmp_path, recorded):
    with writing(tmp_path / "ledger.db"):
        pass
    with pytest.raises(NoDataError, match="nothing has been recorded"):
        ask("day", path=str(tmp_path / "ledger.db"))
    with pytest.raises(NoDataError, match="nothing was recorded in the time"):
        ask("day", until_s=recorded.begin_s - 86_400)


def test_a_calendar_is_drawn_unasked_where_there_are_days(recorded):
    assert Panel.HEATMAP in usual_panels(ReportKind.DAY)
    assert Panel.HEATMAP not in usual_panels(ReportKind.HOUR)
    for kind in ("minute", "5min", "hour", "day", "week", "month", "year"):
        assert usual_panels(ReportKind(kind))[0] is Panel.TIMELINE


def test_estimated_bytes_stay_where_the_report_has_them(ask, recorded):
    contents = ask("day", patterns=("eth0",))
    assert [one.estimated_rx_bytes for one in contents.bars.usages] == [0, 0, 24_000_000, 0, 0, 0, 0, 0, 0]
    with LedgerReader(recorded.path) as reader:
        assert [one.rx_bytes for one in reader.spans(0, recorded.end_s * US)] == [24_000_000]
    assert isinstance(contents.question, Question)


def test_a_plan_is_that_of_the_report_and_only_where_a_panel_shows_it(ask, recorded):
    given = PlanSettings("home", "1 GB", day=26)
    contents = ask("day", Panel.PLAN, plan=given, now_s=recorded.end_s - 1)
    with LedgerReader(recorded.path) as reader:
        stands = standing(reader, given, recorded.end_s - 1, contents.question.zone, InterfaceSettings())
    assert contents.plan.standing == stands
    assert contents.plan.outlook.used_bytes > stands.used_bytes
    assert ask("day", Panel.TIMELINE, plan=given).plan is None
    assert ask("day", Panel.PLAN).plan is None
    with pytest.raises(NoDataError, match="wwan0 has not been recorded"):
        ask("day", Panel.PLAN, plan=PlanSettings("lte", "1 GB", interfaces=("wwan0",)))


@pytest.fixture
def both(recorded, tmp_path):
    """The hosts here and there in one ledger, as a record; both have the same."""
    for name in ("here", "there"):
        with sqlite3.connect(tmp_path / f"{name}.db") as copy, sqlite3.connect(recorded.path) as source:
            source.backup(copy)
            copy.execute("UPDATE ledger SET identity = ?", (name,))
        copy.close()
        source.close()
        merge(str(tmp_path / "own.db"), str(tmp_path / f"{name}.db"), name, now_us=recorded.end_s * US)
    with HostsReader(str(tmp_path / "own.db"), ["*"]) as reader:
        yield reader


def test_of_several_hosts_nothing_is_said_of_what_was_watched(ask, both, recorded):
    alone = ask("day", now_s=recorded.end_s + 7200)
    contents = gather(both, alone.question, usual_panels(ReportKind.DAY))
    assert (alone.hosts, contents.hosts) == (0, 2)
    assert alone.unwatched
    assert contents.unwatched == []
    assert contents.lossy == alone.lossy
    assert contents.bars.usages == [one.plus(one) for one in alone.bars.usages]


def test_a_plan_is_asked_of_its_own_record(ask, both, recorded):
    given = PlanSettings("home", "1 GB", day=26)
    alone = ask("day", Panel.PLAN, plan=given, now_s=recorded.end_s - 1)
    with LedgerReader(recorded.path) as reader:
        contents = gather(reader, alone.question, [Panel.PLAN], given, lambda _: both)
    assert contents.bars == alone.bars
    assert contents.plan.standing.used_bytes == 2 * alone.plan.standing.used_bytes
