"""Data plans: cycles on the local calendar, what is used and left of them, what rolls over, and when they are used up."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from support.histories import history
from support.ledgers import writing

from netusage.errors import NoDataError
from netusage.ledger import hosts
from netusage.ledger.batch import Part
from netusage.ledger.reader import LedgerReader
from netusage.ledger.several import HostsReader
from netusage.model import US, Counters, Who
from netusage.reports.forecast import LINEAR, WEEKDAY_HOURS
from netusage.reports.plans import answers, cycle_at, hosts_words, of_machine, outlook, standing, standings
from netusage.settings.schema import InterfaceSettings, PlanSettings

BERLIN, APIA = ZoneInfo("Europe/Berlin"), ZoneInfo("Pacific/Apia")
NOTHING = InterfaceSettings()
GB = 10**9
HOUR_S, DAY_S = 3600, 86_400


def plan(cap="100 GB", direction="rx", **given):
    return PlanSettings("home", cap, direction, **given)


def at(text, zone=UTC):
    return int(datetime.fromisoformat(text).replace(tzinfo=zone).timestamp())


def days_of(cycle, zone=UTC):
    return [f"{datetime.fromtimestamp(at_s, zone):%Y-%m-%d %H:%M}" for at_s in cycle]


@pytest.fixture
def record(tmp_path):
    """Writes a ledger of one interface with bytes received at some times; gives a function that asks it."""

    def write(received, until, zone=UTC):
        path = tmp_path / "ledger.db"
        with writing(path, min(received) - 60) as ledger:
            eth0 = ledger.interface("eth0")
            for at_s, number in received.items():
                ledger.count(eth0, at_s, number, number // 10)
            ledger.commit(until)

        def ask(given, now_s=until, question=standing, **more):
            with LedgerReader(str(path)) as reader:
                return question(reader, given, now_s, zone, NOTHING, **more)

        ask.path = path
        return ask

    return write


# ---- Cycles -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("day", "now", "expected"),
    [
        (1, "2026-02-14 12:00", ("2026-02-01", "2026-03-01")),
        (31, "2026-02-14 12:00", ("2026-01-31", "2026-02-28")),
        (31, "2026-02-28 00:00", ("2026-02-28", "2026-03-31")),
        (30, "2028-02-29 00:00", ("2028-02-29", "2028-03-30")),
        (29, "2026-03-28 23:59", ("2026-02-28", "2026-03-29")),
        (15, "2026-03-31 12:00", ("2026-03-15", "2026-04-15")),
    ],
)
def test_a_month_begins_on_its_day_or_on_the_last_one_of_a_shorter_month(day, now, expected):
    cycle = cycle_at(plan(day=day), at(now, BERLIN), BERLIN)
    assert days_of(cycle, BERLIN) == [f"{one} 00:00" for one in expected]


def test_a_week_begins_on_its_day():
    cycle = cycle_at(plan(cycle="week", weekday="thursday"), at("2026-03-31 12:00", BERLIN), BERLIN)
    assert days_of(cycle, BERLIN) == ["2026-03-26 00:00", "2026-04-02 00:00"]
    assert cycle.end_s - cycle.start_s == 7 * DAY_S - HOUR_S  # the clock was set


def test_cycles_of_some_days_are_counted_from_the_first_day():
    given = plan(cycle="30d", start="2026-01-31")
    now_s = at("2026-03-31 23:59", BERLIN)
    assert days_of(cycle_at(given, now_s, BERLIN), BERLIN) == ["2026-03-02 00:00", "2026-04-01 00:00"]
    assert days_of(cycle_at(given, now_s + 60, BERLIN), BERLIN) == ["2026-04-01 00:00", "2026-05-01 00:00"]


def test_a_day_that_was_skipped_ends_a_cycle_where_the_next_begins():
    given = plan(cycle="1d", start="2011-12-01")
    cycle = cycle_at(given, at("2011-12-29 12:00", APIA), APIA)
    assert days_of(cycle, APIA) == ["2011-12-29 00:00", "2011-12-31 00:00"]


def test_the_first_cycle_begins_on_the_first_day_and_nothing_is_before_it():
    given = plan(start="2026-03-10")
    assert days_of(cycle_at(given, at("2026-03-20 00:00"), UTC)) == ["2026-03-10 00:00", "2026-04-01 00:00"]
    assert days_of(cycle_at(given, at("2026-04-20 00:00"), UTC)) == ["2026-04-01 00:00", "2026-05-01 00:00"]
    with pytest.raises(NoDataError, match="plan 'home' begins on 2026-03-10"):
        cycle_at(given, at("2026-03-09 23:59"), UTC)


# ---- What is used -----------------------------------------------------------------------------------------------


def test_what_is_used_and_left_and_how_much_a_day_may_have(record):
    ask = record({at("2026-03-01 00:00"): 30 * GB, at("2026-03-10 12:00"): 10 * GB}, at("2026-03-11 00:00"))
    found = ask(plan())
    assert days_of((found.start_s, found.end_s)) == ["2026-03-01 00:00", "2026-04-01 00:00"]
    assert (found.counted_bytes, found.used_bytes, found.left_bytes) == (40 * GB, 40 * GB, 60 * GB)
    assert found.share == 0.4
    assert found.elapsed_share == 10 / 31
    assert found.pace_bytes == 40 * GB - 100 * GB * 10 // 31
    assert (found.days_left, found.allowance_bytes) == (21, 60 * GB // 21)
    assert found.reached == ()
    assert ask(plan(direction="tx")).used_bytes == 4 * GB
    assert ask(plan(direction="both")).used_bytes == 44 * GB
    assert [day.used // GB for day in found.days[:10]] == [30, 0, 0, 0, 0, 0, 0, 0, 0, 10]


def test_a_plan_that_is_used_up_has_nothing_left_for_a_day(record):
    ask = record({at("2026-03-05 00:00"): 110 * GB}, at("2026-03-31 23:00"))
    found = ask(plan(thresholds=(100, 80, 120, 80)))
    assert (found.left_bytes, found.allowance_bytes, found.days_left) == (-10 * GB, 0, 1)
    assert found.reached == (80, 100)
    assert found.reaches(110)
    assert not found.reaches(110.1)


def test_a_threshold_is_reached_with_the_very_byte(record):
    ask = record({at("2026-03-05 00:00"): 80}, at("2026-03-06 00:00"))
    assert ask(plan("100 B")).reached == (80,)
    assert ask(plan("101 B")).reached == ()


def test_a_cycle_that_is_over_has_no_days_left_and_no_forecast(record):
    ask = record({at("2026-02-10 00:00"): 5 * GB, at("2026-03-10 00:00"): GB}, at("2026-03-11 00:00"))
    found = ask(plan(), back=1)
    assert found.used_bytes == 5 * GB
    assert (found.is_over, found.elapsed_share, found.days_left, found.allowance_bytes) == (True, 1, 0, None)
    assert found.pace_bytes == -95 * GB
    with LedgerReader(str(ask.path)) as reader:
        assert outlook(reader, plan(), found, UTC, NOTHING) is None


def test_past_cycles_are_told_as_far_as_there_is_a_record_the_latest_first(record):
    ask = record(
        {at("2025-12-31 10:00"): 1, at("2026-01-05 00:00"): 20, at("2026-03-01 00:00"): 300},
        at("2026-03-11 00:00"),
    )
    given = plan()
    assert [one.used_bytes for one in ask(given, question=standings, count=12)] == [300, 0, 20, 1]
    assert [one.used_bytes for one in ask(given, question=standings, count=2, back=1)] == [0, 20]
    with pytest.raises(NoDataError, match="nothing is recorded of the cycle 4 back; the first is 3 back"):
        ask(given, back=4)


def test_a_day_that_is_changed_changes_past_cycles_as_well(record):
    ask = record({at("2026-02-10 00:00"): 5, at("2026-02-20 00:00"): 70}, at("2026-03-17 00:00"))
    assert [one.used_bytes for one in ask(plan(), question=standings, count=9)] == [0, 75]
    changed = ask(plan(day=15), question=standings, count=9)
    assert [one.used_bytes for one in changed] == [0, 70, 5]


def test_the_calendar_is_that_of_the_zone(record):
    ask = record({at("2026-02-28 23:30"): 7, at("2026-03-31 22:30"): 50}, at("2026-03-31 23:00"), BERLIN)
    found = ask(plan(), question=standings, count=3)
    assert [one.used_bytes for one in found] == [50, 7]


def test_what_had_been_used_before_counts_in_its_cycle_alone(record):
    ask = record({at("2026-02-10 00:00"): GB, at("2026-03-10 00:00"): GB}, at("2026-03-11 00:00"))
    given = plan(already_used="30 GB", already_used_at="2026-02-28")
    present, before = ask(given, question=standings, count=2)
    assert (present.used_bytes, present.already_used_bytes) == (GB, 0)
    assert (before.used_bytes, before.already_used_bytes) == (31 * GB, 30 * GB)
    assert before.record_s == at("2026-02-10 00:00")
    assert present.record_s == present.start_s


def test_every_term_is_told_so_that_it_can_be_added_up(record, tmp_path):
    path = tmp_path / "terms.db"
    start_s = at("2026-03-10 00:00")
    with writing(path, start_s) as ledger:
        eth0 = ledger.interface("eth0")
        ledger.count(eth0, start_s + 60, 400)
        ledger.count(eth0, start_s + HOUR_S, 5000)
        for name, scope, number in (("web", 1, 1000), ("video", 3, 300), ("web", 3, 500)):
            who = Who("application", name)
            ledger.share(Part(start_s + HOUR_S, eth0, who, scope, 6, 4), Counters(number))
        ledger.span(eth0, (start_s + 2 * HOUR_S) * US, (start_s + 3 * HOUR_S) * US, 60)
        ledger.commit(start_s + 4 * HOUR_S)
    given = plan(
        exclude_lan=True,
        zero_rated=("video",),
        free_hours=("23:00-01:00",),
        already_used="7 B",
        already_used_at="2026-03-02",
    )
    with LedgerReader(str(path)) as reader:
        found = standing(reader, given, start_s + 4 * HOUR_S, UTC, NOTHING)
    terms = (
        found.counted_bytes,
        found.free_bytes,
        found.lan_bytes,
        found.zero_rated_bytes,
        found.already_used_bytes,
    )
    assert terms == (5460, 400, 1000, 300, 7)
    assert found.used_bytes == 5460 - 400 - 1000 - 300 + 7
    assert found.estimated_bytes == 60
    assert found.unknown_bytes == 5460 - 400 - 1800


def test_nothing_recorded_is_no_data(tmp_path):
    path = tmp_path / "ledger.db"
    with writing(path) as ledger:
        ledger.commit()
    with LedgerReader(str(path)) as reader, pytest.raises(NoDataError, match="nothing has been recorded"):
        standing(reader, plan(), at("2026-03-11 00:00"), UTC, NOTHING)


# ---- Several hosts ----------------------------------------------------------------------------------------------


def test_a_plan_of_several_hosts_has_what_they_used_together(tmp_path):
    own, until_s = tmp_path / "own.db", at("2026-03-11 00:00")
    with writing(own, at("2026-03-01 00:00")) as ledger:
        ledger.count(ledger.interface("eth0"), at("2026-03-02 00:00"), 999 * GB)
        ledger.commit(until_s)
    for name, received in (("web1", 20 * GB), ("web2", 30 * GB), ("db", 7 * GB)):
        with writing(tmp_path / f"{name}.db", at("2026-03-05 00:00"), boot_id=name, machine=name) as ledger:
            ledger.count(ledger.interface("eth0"), at("2026-03-06 10:00"), received)
            if name == "db":
                ledger.count(ledger.interface("wlan0"), at("2026-03-06 10:00"), GB)
            ledger.commit(until_s)
        hosts.merge(str(own), str(tmp_path / f"{name}.db"), name, now_us=until_s * US)
    found = {}
    for pattern, given in (("web*", {}), ("*", {}), ("*", {"interfaces": ("wlan*",)})):
        with HostsReader(str(own), [pattern]) as reader:
            ask = (reader, plan(hosts=(pattern,), **given))
            stands = standing(*ask, until_s, UTC, NOTHING)
            ahead = outlook(*ask, stands, UTC, NOTHING)
        assert (stands.hosts, stands.labels, stands.record) == ((pattern,), (), str(own))
        assert stands.record_s == at("2026-03-06 10:00")
        assert ahead.used_bytes > stands.used_bytes
        found[pattern, *given] = (stands.used_bytes, stands.host_count)
    assert found == {("web*",): (50 * GB, 2), ("*",): (58 * GB, 3), ("*", "interfaces"): (GB, 1)}
    with LedgerReader(str(own)) as reader:
        assert standing(reader, plan(), until_s, UTC, NOTHING).host_count is None


def test_this_machines_record_is_not_asked_of_a_plan_about_hosts(record):
    ask = record({at("2026-03-01 00:00"): GB}, at("2026-03-11 00:00"))
    group = PlanSettings("office", "1 TB", labels=("site=berlin",))
    with LedgerReader(str(ask.path)) as reader:
        known = (at("2026-03-11 00:00"), UTC, NOTHING)
        found, missing = answers(of_machine(reader), [group, plan()], *known)
        assert [one.standing.name for one in found] == ["home"]
        assert [one.name for one in missing] == ["office"]
        said = "plan 'office' is about hosts of the fleet (all with site=berlin); ask it with: netusage plan show"
        assert missing[0].reason == said
        with pytest.raises(NoDataError, match="plan 'office' is about hosts of the fleet"):
            answers(of_machine(reader), [group], *known)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (((), ()), "all"),
        ((("web*", "db"), ()), "web* db"),
        (((), ("site=berlin", "role=*")), "all with site=berlin and role=*"),
        ((("web*",), ("site=berlin",)), "web* with site=berlin"),
    ],
)
def test_which_hosts_are_meant_is_said_in_words(given, expected):
    assert hosts_words(*given) == expected


# ---- What rolls over --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cycles", "used", "expected"),
    [
        (0, (40, 60, 0, 0), (0, 0, 0, 0)),
        (
            1,
            (40, 60, 0, 0),
            (0, 60, 100, 100),
        ),  # of the second, 60 came from before: all 100 of its own are left
        (1, (40, 130, 150, 0), (0, 60, 30, 0)),
        (2, (40, 60, 0, 0), (0, 60, 100, 200)),
        (3, (90, 90, 90, 90), (0, 10, 20, 30)),
        (3, (120, 0, 0, 0), (0, 0, 100, 200)),  # what was used too much is not owed
    ],
)
def test_what_is_left_may_be_used_for_some_cycles_the_oldest_first(record, cycles, used, expected):
    received = {at(f"2026-0{month}-02 00:00"): number for month, number in enumerate(used, 1)}
    ask = record(received | {at("2026-01-01 00:00"): 0}, at("2026-04-11 00:00"))
    given = plan("100 B", roll_over=cycles)
    found = ask(given, question=standings, count=4)[::-1]
    assert tuple(one.rolled_over_bytes for one in found) == expected
    assert [one.limit_bytes for one in found] == [100 + more for more in expected]
    assert ask(given).rolled_over_bytes == expected[-1]


# ---- What is going to be used -----------------------------------------------------------------------------------


SINCE_S = at("2026-03-02 00:00")
EVENINGS = history("evenings", 1, 70)


@pytest.fixture(scope="module")
def evenings(tmp_path_factory):
    """Ten weeks of evenings from Monday, 2 March 2026, as far as they were known at a time: the file of a ledger."""
    home, made = tmp_path_factory.mktemp("evenings"), {}

    def until(now_s):
        if now_s not in made:
            made[now_s] = home / f"{now_s}.db"
            with writing(made[now_s], SINCE_S) as ledger:
                eth0 = ledger.interface("eth0")
                for n, number in enumerate(EVENINGS[: -(-(now_s - SINCE_S) // HOUR_S)]):
                    ledger.count(eth0, SINCE_S + n * HOUR_S, number)
                ledger.commit(now_s)
        return str(made[now_s])

    return until


@pytest.fixture
def foretold(evenings):
    """The standing and the outlook of a plan, as they were at a time."""

    def ask(given, now_s, zone=UTC):
        with LedgerReader(evenings(now_s)) as reader:
            stands = standing(reader, given, now_s, zone, NOTHING)
            return stands, outlook(reader, given, stands, zone, NOTHING)

    return ask


def test_a_forecast_begins_with_what_is_used_and_ends_with_the_cycle(foretold):
    now_s = at("2026-04-11 13:00")
    stands, found = foretold(plan("300 GB"), now_s)
    assert (found.method, found.days) == (WEEKDAY_HOURS, 28)
    assert len(found.steps) == (stands.end_s - now_s) // HOUR_S
    assert found.steps[-1].at_s == stands.end_s
    assert stands.used_bytes <= found.steps[0].middle
    assert found.low_bytes < found.used_bytes < found.high_bytes
    before, today = (
        [
            (EVENINGS[(at_s - SINCE_S) // HOUR_S], at_s)
            for at_s in range(now_s // DAY_S * DAY_S - 28 * DAY_S, now_s // DAY_S * DAY_S, HOUR_S)
        ],
        now_s,
    )
    expected = sum(
        sum(number for number, at_s in before if (ahead - at_s) % (7 * DAY_S) == 0) / 4
        for ahead in range(today, stands.end_s, HOUR_S)
    )
    assert abs(found.used_bytes - stands.used_bytes - expected) <= 1


def test_the_date_of_exhaustion_is_where_the_forecast_meets_the_cap(foretold):
    now_s = at("2026-04-11 13:00")
    stands, found = foretold(plan("150 GB"), now_s)
    assert stands.used_bytes < 150 * GB
    assert now_s < found.earliest_s < found.exhausted_s < found.latest_s < stands.end_s
    before = [step for step in found.steps if step.at_s <= found.exhausted_s]
    after = [step for step in found.steps if step.at_s >= found.exhausted_s]
    assert before[-1].middle <= stands.limit_bytes <= after[0].middle
    _, enough = foretold(plan("500 GB"), now_s)
    assert (enough.exhausted_s, enough.earliest_s, enough.latest_s) == (None, None, None)
    _, perhaps = foretold(plan(f"{found.high_bytes - 1} B"), now_s)
    assert perhaps.earliest_s is not None
    assert perhaps.exhausted_s is None


def test_a_plan_that_is_used_up_was_so_in_the_hour_in_which_the_last_byte_went(foretold):
    now_s = at("2026-04-11 13:00")
    cap = 37 * GB
    _, found = foretold(plan(f"{cap} B"), now_s)
    used, hour = 0, (at("2026-04-01 00:00") - SINCE_S) // HOUR_S
    while used < cap:
        used += EVENINGS[hour]
        hour += 1
    assert found.exhausted_s == found.earliest_s == found.latest_s == SINCE_S + (hour - 1) * HOUR_S
    _, at_once = foretold(plan("1 GB", already_used="1 GB", already_used_at="2026-04-01"), now_s)
    assert at_once.exhausted_s == at("2026-04-01 00:00")


def test_what_does_not_count_is_not_expected_either(foretold):
    given = plan("300 GB", free_hours=("18:00-24:00",))
    _, found = foretold(given, at("2026-04-11 13:00"))
    _, whole = foretold(plan("300 GB"), at("2026-04-11 13:00"))
    assert found.used_bytes * 5 < whole.used_bytes


def test_within_two_weeks_the_forecast_is_linear_and_says_so(foretold):
    now_s = at("2026-03-12 12:00")
    stands, found = foretold(plan("300 GB"), now_s)
    assert (found.method, found.days) == (LINEAR, 10)
    so_far = sum(EVENINGS[: (now_s - SINCE_S) // HOUR_S])
    ahead_s = stands.end_s - now_s
    assert abs(found.used_bytes - so_far - so_far * ahead_s / (now_s - SINCE_S)) <= 1


def test_a_forecast_right_after_the_first_minute_is_none_to_speak_of_but_an_answer(record):
    begun_s = at("2026-03-10 12:34")
    ask = record({begun_s: 600}, begun_s + 60)
    stands = ask(plan())
    with LedgerReader(str(ask.path)) as reader:
        found = outlook(reader, plan(), stands, UTC, NOTHING)
    assert (found.method, found.days, found.low_bytes, found.high_bytes) == (LINEAR, 0, None, None)
    assert found.used_bytes == 600 + 10 * (stands.end_s - stands.now_s)


def test_a_forecast_goes_past_the_night_on_which_the_clock_is_set(foretold):
    now_s = int((datetime(2026, 3, 28, 12, tzinfo=BERLIN)).timestamp())
    stands, found = foretold(plan("300 GB"), now_s, BERLIN)
    assert found.steps[-1].at_s == stands.end_s == int(datetime(2026, 4, 1, tzinfo=BERLIN).timestamp())
    assert stands.days_left == 4
    assert len(found.steps) == (timedelta(days=3, hours=12) - timedelta(hours=1)) // timedelta(hours=1)
