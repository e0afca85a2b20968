"""What is worth telling: once, again when it is something else, and not for every flutter."""

from zoneinfo import ZoneInfo

import pytest

from netusage.alerts import rules
from netusage.alerts.rules import ApplicationSeen, Minute, PlanSeen, QuotaRule, RateRule
from netusage.alerts.words import Kind, Words
from netusage.ledger.alert_journal import Executable
from netusage.model import MINUTE_S, US, Who

BERLIN = ZoneInfo("Europe/Berlin")
WORDS = Words(BERLIN)
NOW_US = 1_793_000_000 * US
START_S = 1_792_969_200  # 2026-10-26 00:00 in Berlin
HOUR_S = 3600


# ---- Thresholds -------------------------------------------------------------------------------------------------


def plan(used, limit=1000, start_s=START_S, thresholds=(80, 90, 100), name="home"):
    return PlanSeen(name, start_s, start_s + 86_400, used, limit, thresholds)


def reached(seen, memory):
    """Thresholds that are told and those that are only logged, and what is remembered."""
    alerts, memory = rules.thresholds(seen, memory, NOW_US, WORDS)
    told = [alert.details["threshold"] for alert in alerts if not alert.only_logged]
    logged = [alert.details["threshold"] for alert in alerts if alert.only_logged]
    return told, logged, memory


def test_a_threshold_is_told_when_it_is_reached_and_not_again_in_the_cycle():
    told = []
    memory = {}
    for used in (0, 799, 800, 801, 899, 900, 999, 1000, 1500, 9000):
        new, logged, memory = reached(plan(used), memory)
        told += [(used, one) for one in new]
        assert not logged
    assert told == [(800, 80), (900, 90), (1000, 100)]


def test_of_thresholds_that_are_reached_at_once_the_highest_is_told_and_the_others_are_logged():
    assert reached(plan(950), {})[:2] == ([90], [80])
    assert reached(plan(2000), {})[:2] == ([100], [80, 90])


def test_thresholds_go_on_after_a_restart_from_what_was_remembered():
    *_, memory = reached(plan(850), {})
    *_, memory = reached(plan(860), dict(memory))
    assert reached(plan(905), memory)[:2] == ([90], [])


def test_a_new_cycle_arms_every_threshold_again():
    *_, memory = reached(plan(1000), {})
    told, _, memory = reached(plan(10, start_s=START_S + 86_400), memory)
    assert told == []
    assert reached(plan(800, start_s=START_S + 86_400), memory)[0] == [80]


def test_the_keys_of_two_cycles_differ_also_where_a_day_has_25_hours():
    night = 1_792_879_200  # 2026-10-25 00:00 in Berlin, when summer time ends
    first = rules.thresholds(plan(800, start_s=night), {}, NOW_US, WORDS)
    second = rules.thresholds(plan(800, start_s=night + 25 * HOUR_S), first.memory, NOW_US, WORDS)
    keys = [alert.key for alert in (*first.alerts, *second.alerts)]
    assert keys == ["threshold/home/2026-10-25/80", "threshold/home/2026-10-26/80"]


def test_a_plan_that_was_made_larger_tells_a_threshold_once_more_when_it_is_reached_again():
    first = rules.thresholds(plan(850), {}, NOW_US, WORDS)
    larger = rules.thresholds(plan(850, limit=2000), first.memory, NOW_US, WORDS)
    again = rules.thresholds(plan(1600, limit=2000), larger.memory, NOW_US, WORDS)
    assert [alert.key.rpartition("/")[2] for alert in first.alerts] == ["80"]
    assert larger.alerts == []
    assert [alert.key for alert in again.alerts] == ["threshold/home/2026-10-26/80/2"]


def test_a_plan_that_was_made_a_little_larger_is_not_told_of_again():
    *_, memory = reached(plan(805), {})
    told, logged, memory = reached(plan(805, limit=1040), memory)  # 77 %: not clearly below 80
    assert (told, logged) == ([], [])
    assert reached(plan(840, limit=1040), memory)[:2] == ([], [])


def test_a_threshold_that_is_added_within_a_cycle_is_told_when_it_is_reached():
    *_, memory = reached(plan(850), {})
    told, logged, memory = reached(plan(850, thresholds=(50, 80)), memory)
    assert (told, logged) == ([50], [])
    assert reached(plan(860, thresholds=(50, 80)), memory)[:2] == ([], [])


def test_what_is_told_of_a_threshold_says_how_much_is_left_and_until_when():
    (alert,) = rules.thresholds(plan(850), {}, NOW_US, WORDS).alerts
    assert alert.subject == "plan home: 80 % reached"
    assert alert.text == "850 B of 1.00 kB are used (85 %); 150 B are left until 2026-10-27 00:00."
    assert alert.details["used_bytes"] == 850
    assert alert.details["cycle_end"] == "2026-10-27T00:00:00+01:00"


def test_a_name_cannot_break_out_of_its_line():
    (alert,) = rules.thresholds(plan(850, name="x\nSubject: y\x1b[2J"), {}, NOW_US, WORDS).alerts
    assert "\n" not in alert.subject
    assert "\x1b" not in alert.subject + alert.text


# ---- Rates ------------------------------------------------------------------------------------------------------

RATE = RateRule("busy", 1000, 3, "the machine")
LOW, NEARLY, HIGH = 10 * MINUTE_S, 900 * MINUTE_S, 2000 * MINUTE_S


def minutes(*counts, since=0):
    return [Minute((since + n) * MINUTE_S, count) for n, count in enumerate(counts, start=1)]


def told_at(*counts, rule=RATE):
    """After which minutes something is told, when each is looked at by itself."""
    memory, found = {}, []
    for minute in minutes(*counts):
        alerts, memory = rules.rate(rule, [minute], memory, NOW_US, WORDS)
        found += [minute.start_s // MINUTE_S for _ in alerts]
    return found


def test_a_rate_is_told_when_it_was_above_for_as_many_whole_minutes():
    assert told_at(HIGH, HIGH) == []
    assert told_at(HIGH, HIGH, HIGH) == [3]
    assert told_at(HIGH, HIGH, LOW, HIGH, HIGH, LOW) == []


def test_a_rate_exactly_at_the_limit_is_not_above_it():
    assert told_at(*[1000 * MINUTE_S] * 9) == []
    assert told_at(*[1000 * MINUTE_S + 1] * 3) == [3]


def test_a_rate_is_told_again_only_after_it_was_below_four_fifths_for_as_long():
    assert told_at(*[HIGH] * 20) == [3]
    assert told_at(*[HIGH] * 3, LOW, LOW, *[HIGH] * 5) == [3]
    assert told_at(*[HIGH] * 3, *[NEARLY] * 9, *[HIGH] * 5) == [3]
    assert told_at(*[HIGH] * 3, *[LOW] * 3, *[HIGH] * 3) == [3, 9]


def test_minutes_that_are_not_known_are_neither_above_nor_below():
    assert told_at(HIGH, HIGH, None, HIGH, HIGH, None) == []
    assert told_at(*[HIGH] * 3, LOW, None, LOW, LOW, *[HIGH] * 4) == [3]


def test_the_same_minutes_in_one_look_or_in_many_tell_the_same():
    counts = [HIGH, HIGH, HIGH, LOW, LOW, LOW, HIGH, NEARLY, HIGH, HIGH, HIGH]
    at_once = rules.rate(RATE, minutes(*counts), {}, NOW_US, WORDS).alerts
    assert len(at_once) == len(told_at(*counts)) == 2


def test_minutes_that_were_looked_at_before_a_restart_count_once():
    alerts, memory = rules.rate(RATE, minutes(HIGH, HIGH), {}, NOW_US, WORDS)
    again, memory = rules.rate(RATE, minutes(HIGH, HIGH), memory, NOW_US, WORDS)
    assert alerts == again == []
    assert len(rules.rate(RATE, minutes(HIGH, HIGH, HIGH), memory, NOW_US, WORDS).alerts) == 1


def test_minutes_that_nobody_looked_at_end_a_stretch():
    _, memory = rules.rate(RATE, minutes(HIGH, HIGH), {}, NOW_US, WORDS)
    assert rules.rate(RATE, minutes(HIGH, since=9), memory, NOW_US, WORDS).alerts == []


def test_a_rate_rule_that_was_changed_begins_anew():
    _, memory = rules.rate(RATE, minutes(HIGH, HIGH, HIGH), {}, NOW_US, WORDS)
    changed = RATE._replace(above=1500)
    alerts = rules.rate(changed, minutes(HIGH, HIGH, HIGH, since=3), memory, NOW_US, WORDS).alerts
    assert len(alerts) == 1


def test_what_is_told_of_a_rate_says_how_much_and_since_when():
    counts = (1200 * MINUTE_S, 1500 * MINUTE_S, 1800 * MINUTE_S)
    (alert,) = rules.rate(RATE, minutes(*counts, since=START_S // MINUTE_S), {}, NOW_US, WORDS).alerts
    assert (
        alert.text
        == "the machine: 1.50 kB/s on average for 3 min since 2026-10-26 00:01, always above 1.00 kB/s."
    )
    assert alert.details["bytes_per_second"] == 1500
    assert alert.details["minutes"] == 3


# ---- Quotas -----------------------------------------------------------------------------------------------------

QUOTA = QuotaRule("backup", 1000, "day", START_S)


def test_each_application_above_its_quota_is_told_by_name():
    alerts = rules.quota(QUOTA, {"rsync": 1001, "curl": 1000, "apt": 5000}, NOW_US, WORDS)
    assert [alert.details["application"] for alert in alerts] == ["apt", "rsync"]
    assert alerts[0].text == "apt had 5.00 kB this day, above its quota of 1.00 kB."


def test_a_quota_has_the_same_key_all_day_and_another_one_when_the_day_or_the_quota_is_another():
    def key(rule, used):
        return rules.quota(rule, {"rsync": used}, NOW_US, WORDS)[0].key

    assert key(QUOTA, 2000) == key(QUOTA, 9000)
    keys = {
        key(QUOTA, 9000),
        key(QUOTA._replace(start_s=START_S + 86_400), 9000),
        key(QUOTA._replace(above=2000), 9000),
    }
    assert len(keys) == 3


# ---- Applications -----------------------------------------------------------------------------------------------

DAY_US = 86_400 * US
SINCE_US = NOW_US - 5 * DAY_US


def application(name, *inodes, seen_us=NOW_US, path=None, **more):
    who = Who("application", name, path or f"/usr/bin/{name}", **more)
    return ApplicationSeen(who, seen_us, inodes)


def meet(seen, known=(), memory=None, now_us=NOW_US):
    found = rules.applications(
        seen, set(known), {"since_us": SINCE_US} if memory is None else memory, now_us, WORDS
    )
    told = [(alert.kind, alert.details["name"]) for alert in found.alerts if not alert.only_logged]
    logged = [(alert.kind, alert.details["name"]) for alert in found.alerts if alert.only_logged]
    return told, logged, found


def test_an_application_is_told_when_it_is_seen_for_the_first_time_and_not_again():
    told, logged, found = meet([application("curl", 7)])
    assert (told, logged) == ([(Kind.FIRST_SEEN, "curl")], [])
    assert meet([application("curl", 7)], found.learned, found.memory)[:2] == ([], [])


def test_the_first_day_on_which_applications_are_recorded_is_only_logged():
    first = [application("curl", seen_us=NOW_US), application("ssh", seen_us=NOW_US + US)]
    told, logged, found = meet(first, memory={}, now_us=NOW_US + 2 * US)
    assert (told, logged) == ([], [(Kind.FIRST_SEEN, "curl"), (Kind.FIRST_SEEN, "ssh")])
    late = application("wget", seen_us=NOW_US + DAY_US - 1)
    told, logged, found = meet([*first, late], found.learned, found.memory, NOW_US + DAY_US)
    assert (told, logged) == ([], [(Kind.FIRST_SEEN, "wget")])
    later = application("nc", seen_us=NOW_US + DAY_US)
    assert meet([later], found.learned, found.memory, NOW_US + DAY_US + 1)[0] == [(Kind.FIRST_SEEN, "nc")]


def test_applications_of_a_ledger_that_is_older_than_alerts_are_taken_for_known():
    old = [application("curl", 7, seen_us=SINCE_US), application("ssh", 8, seen_us=NOW_US - US)]
    told, logged, found = meet(old, memory={})
    assert (told, logged) == ([], [])
    assert {one.name for one in found.learned} == {"curl", "ssh"}
    told, _, _ = meet([*old, application("nc")], found.learned, found.memory)
    assert told == [(Kind.FIRST_SEEN, "nc")]


def test_another_executable_of_a_known_application_is_a_change():
    *_, found = meet([application("curl", 7)])
    told, logged, more = meet([application("curl", 7, 9)], found.learned, found.memory)
    assert (told, logged) == ([(Kind.CHANGED, "curl")], [])
    known = [*found.learned, *more.learned]
    assert meet([application("curl", 7, 9)], known, found.memory)[:2] == ([], [])


def test_the_first_executable_that_is_seen_of_a_known_application_is_no_change():
    known = [Executable("curl", "/usr/bin/curl", 0)]
    told, logged, found = meet([application("curl", 7)], known)
    assert (told, logged) == ([], [])
    assert found.learned == [Executable("curl", "/usr/bin/curl", 7)]


def test_the_same_program_of_another_user_or_unit_is_not_new():
    *_, found = meet([application("curl", 7, user="eva")])
    rows = [application("curl", 7, user="tom"), application("curl", 7, user="eva", unit="x.service")]
    assert meet(rows, found.learned, found.memory)[:2] == ([], [])


def test_another_path_is_another_application():
    *_, found = meet([application("curl", 7)])
    told, *_ = meet([application("curl", 8, path="/tmp/curl")], found.learned, found.memory)
    assert told == [(Kind.FIRST_SEEN, "curl")]


def test_executables_of_containers_are_only_logged_since_each_image_has_its_own():
    *_, found = meet([application("nginx", 7)])
    row = application("nginx", 8, container="web-1")
    assert meet([row], found.learned, found.memory)[:2] == ([], [(Kind.CHANGED, "nginx")])


def test_one_application_in_many_rows_is_told_once():
    rows = [application("curl", 7, user=user) for user in ("eva", "tom", "ann")]
    told, logged, _ = meet(rows)
    assert (told, logged) == ([(Kind.FIRST_SEEN, "curl")], [])


@pytest.mark.parametrize("kind", ["kernel", "forwarded", "unnamed", "other"])
def test_what_is_no_application_is_never_new(kind):
    assert meet([ApplicationSeen(Who(kind), NOW_US, ())])[:2] == ([], [])


def test_where_no_application_is_recorded_nothing_is_remembered():
    assert rules.applications([], set(), {}, NOW_US, WORDS) == ([], [], {})


def test_what_is_told_of_an_application_says_whose_and_where_it_is():
    *_, found = meet([application("curl", 7, user="eva", unit="x.service", container="web")])
    (alert,) = found.alerts
    assert alert.subject == "new application: curl"
    assert alert.text.startswith("curl (/usr/bin/curl) of user eva in unit x.service in container web used")
