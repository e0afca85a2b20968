"""Forecasts: on histories that they have not seen, how far they are off, and how often the range held."""

import random
from datetime import UTC, datetime
from statistics import fmean
from zoneinfo import ZoneInfo

import pytest
from support.histories import SHAPES, history

from netusage.periods import PeriodKind, periods
from netusage.reports.forecast import LINEAR, WEEKDAY_HOURS, Hour, predict

MONDAY_S = int(datetime(2026, 3, 2, tzinfo=UTC).timestamp())
HOUR_S, DAY_S = 3600, 86_400
BERLIN = ZoneInfo("Europe/Berlin")


def hours(numbers, since_s=MONDAY_S):
    return [
        Hour(since_s + n * HOUR_S, since_s + (n + 1) * HOUR_S, number) for n, number in enumerate(numbers)
    ]


def weeks(count, busy_hour=5):
    """Whole weeks in which only one hour of each Monday has anything: 1000 bytes in the first one, 2000 in the next."""
    return hours([1000 * (1 + n // 168) if n % 168 == busy_hour else 0 for n in range(count * 168)])


def test_an_hour_has_the_mean_of_the_same_weekdays_hours_of_four_weeks():
    now_s = MONDAY_S + 6 * 7 * DAY_S
    found = predict(weeks(6), now_s, now_s + 14 * DAY_S, UTC)
    assert (found.method, found.days) == (WEEKDAY_HOURS, 28)
    mean = (3000 + 4000 + 5000 + 6000) // 4
    assert [step.middle for step in found.steps[:8]] == [0] * 5 + [mean] * 3
    assert found.steps[-1].middle == 2 * mean
    assert [step.at_s for step in found.steps] == [now_s + n * HOUR_S for n in range(1, 14 * 24 + 1)]


def test_an_hour_that_has_begun_is_expected_in_part():
    now_s = MONDAY_S + 4 * 7 * DAY_S + 5 * HOUR_S + 1800
    found = predict(weeks(5), now_s, now_s + 1800, UTC)
    assert [step.middle for step in found.steps] == [1250]


def test_two_weeks_are_enough_and_less_is_linear():
    now_s = MONDAY_S + 14 * DAY_S + 600
    record = weeks(2)
    assert predict(record, now_s, now_s + DAY_S, UTC).method == WEEKDAY_HOURS
    found = predict(record[1:], now_s, now_s + DAY_S, UTC)
    assert (found.method, found.days) == (LINEAR, 13)
    assert found.steps[-1].middle == round(3000 / (14 * 24 - 1) * 24)


def test_without_three_whole_days_there_is_no_range():
    now_s = MONDAY_S + 3 * DAY_S
    found = predict(weeks(1)[1 : 3 * 24], now_s, now_s + DAY_S, UTC)
    assert {(step.low, step.high) for step in found.steps} == {(None, None)}
    found = predict(weeks(1)[: 3 * 24], now_s, now_s + DAY_S, UTC)
    assert all(step.low <= step.middle <= step.high for step in found.steps)


def test_without_any_record_nothing_is_expected():
    found = predict([], MONDAY_S, MONDAY_S + DAY_S, UTC)
    assert (found.method, found.days, found.steps[-1].middle) == (LINEAR, 0, 0)


def test_what_is_the_same_every_week_has_no_range_to_speak_of():
    numbers = [n % 168 for n in range(5 * 168)]
    now_s = MONDAY_S + 5 * 7 * DAY_S
    found = predict(hours(numbers), now_s, now_s + 7 * DAY_S, UTC)
    assert {(step.low - step.middle, step.high - step.middle) for step in found.steps} == {(0, 0)}
    assert found.steps[-1].middle == sum(range(168))


def test_hours_are_those_of_the_local_clock_when_it_is_set():
    """Noon has a thousand bytes every day, on the clock of Berlin, where summer time begins on 29 March."""
    since_s = int(datetime(2026, 3, 1, tzinfo=BERLIN).timestamp())
    now_s = int(datetime(2026, 3, 27, tzinfo=BERLIN).timestamp())
    record = [
        Hour(*one, 1000 if one.start(BERLIN).hour == 12 else 0)
        for one in periods(PeriodKind.HOUR, since_s, now_s, BERLIN)
    ]
    found = predict(record, now_s, now_s + 5 * DAY_S, BERLIN)
    rises = [
        after.at_s - HOUR_S
        for before, after in zip(found.steps, found.steps[1:], strict=False)
        if after.middle > before.middle
    ]
    assert [datetime.fromtimestamp(at_s, BERLIN).hour for at_s in rises] == [12] * 5


class Score:
    """Errors of what was said about held-out cycles of 30 days, in per cent of what they came to."""

    def __init__(self, shape, seeds):
        self.ours, self.linear, self.flat, self.held = [], [], [], []
        for seed in seeds:
            numbers = history(shape, seed, 12 * 7)
            first = random.Random(seed).randrange(4 * 7, 7 * 7) * 24
            for day in (2, 6, 10, 15, 20, 25):
                self._ask(numbers, first, first + day * 24 + 13, first + 30 * 24)

    def _ask(self, numbers, first, now, end):
        """At hour `now` of a cycle: what is it going to have been at its end? Nothing after `now` is shown."""
        truth, used = sum(numbers[first:end]), sum(numbers[first:now])
        now_s = MONDAY_S + now * HOUR_S
        found = predict(hours(numbers[:now]), now_s, MONDAY_S + end * HOUR_S, UTC)
        assert found.method == WEEKDAY_HOURS
        last = found.steps[-1]
        self.ours.append(abs(used + last.middle - truth) / truth * 100)
        self.linear.append(abs(used * (end - first) / (now - first) - truth) / truth * 100)
        mean = fmean(numbers[now - 28 * 24 : now])
        self.flat.append(abs(used + mean * (end - now) - truth) / truth * 100)
        self.held.append(used + last.low <= truth <= used + last.high)

    def line(self, shape):
        return (
            f"{shape:10} {fmean(self.ours):6.1f} {fmean(self.linear):8.1f} {fmean(self.flat):8.1f}"
            f" {fmean(self.held) * 100:8.0f}"
        )


@pytest.mark.system  # for the time that it takes
def test_forecasts_are_nearer_than_linear_ones_and_the_range_holds(capsys):
    """Held-out histories: the errors are printed, as docs/architecture.md has them."""
    scores = {shape: Score(shape, range(40)) for shape in SHAPES}
    every = Score("noise", ())
    for score in scores.values():
        for name in ("ours", "linear", "flat", "held"):
            getattr(every, name).extend(getattr(score, name))
    with capsys.disabled():
        print("\nmean absolute error of the cycle's total, per cent; how often the range held, per cent")
        print("history    weekday   linear     mean  range held")
        for shape, score in (*scores.items(), ("all", every)):
            print(score.line(shape))
    for score in scores.values():
        assert fmean(score.ours) < fmean(score.linear)
    assert fmean(every.ours) < 0.7 * fmean(every.linear)
    assert fmean(every.ours) < fmean(every.flat)
    assert 0.74 <= fmean(every.held) <= 0.88
