"""What is worth telling of the record: gaps with loss, silence, and trouble that lasts."""

from zoneinfo import ZoneInfo

import pytest

from netusage.alerts import record_rules
from netusage.alerts.record_rules import GapSeen, RecorderSeen
from netusage.alerts.words import Words
from netusage.ledger.answers import GapRecord
from netusage.model import US, GapKind

WORDS = Words(ZoneInfo("Europe/Berlin"))
NOW_US = 1_793_000_000 * US
START_S = 1_792_969_200  # 2026-10-26 00:00 in Berlin


def gap(seconds, kind=GapKind.STOPPED, *, lossy=False, interface="", counted=True):
    start_us = START_S * US
    return GapSeen(
        5, GapRecord(start_us, start_us + seconds * US, str(kind), lossy, interface, "why"), counted
    )


def is_told(seen, longest_s=600):
    (alert,) = record_rules.gaps([seen], "book", longest_s * US, NOW_US, WORDS)
    return not alert.only_logged


@pytest.mark.parametrize(
    ("seen", "told"),
    [
        (gap(2), False),
        (gap(600), False),
        (gap(601), True),
        (gap(2, GapKind.KILLED, lossy=True), True),
        (gap(0, GapKind.EVENTS_LOST, lossy=True), True),
        (gap(30_000, GapKind.SUSPEND), False),
        (gap(30_000, GapKind.SUSPEND, lossy=True), True),
        (gap(1, GapKind.VANISHED, lossy=True, interface="eth0"), True),
        (gap(1, GapKind.VANISHED, lossy=True, interface="veth1", counted=False), False),
        (gap(0, GapKind.LEDGER), True),
    ],
)
def test_gaps_with_loss_and_long_ones_are_told_and_others_are_logged(seen, told):
    assert is_told(seen) is told


def test_a_gap_has_one_key_in_one_ledger():
    def key(identity):
        return record_rules.gaps([gap(2)], identity, US, NOW_US, WORDS)[0].key

    assert key("a") == key("a") != key("b")


def test_what_is_told_of_a_gap_says_when_and_why_and_whether_bytes_are_missing():
    (alert,) = record_rules.gaps([gap(61, GapKind.KILLED, lossy=True)], "book", US, NOW_US, WORDS)
    assert alert.subject == "gap in the record: the recorder ended without a last commit"
    assert "from 2026-10-26 00:00:00 to 2026-10-26 00:01:01" in alert.text
    assert "bytes may be missing (why)" in alert.text


def test_a_kind_of_gap_that_is_not_known_is_told_as_it_is():
    (alert,) = record_rules.gaps(
        [GapSeen(1, GapRecord(0, US, "novel", True, "", ""), True)], "b", US, NOW_US, WORDS
    )
    assert alert.subject == "gap in the record: novel"


# ---- The recorder and the ledger ----------------------------------------------------------------------------------


def recorder(unchanged_s, *, running=False, ended=True, failed=0, last_us=START_S * US, run="book/1"):
    return RecorderSeen(run, last_us, running, ended, unchanged_s * US, failed)


def test_silence_is_told_when_it_was_too_long():
    assert record_rules.silence(recorder(600), 600 * US, NOW_US, WORDS) == []
    (alert,) = record_rules.silence(recorder(601), 600 * US, NOW_US, WORDS)
    assert alert.subject == "nothing has been recorded since 2026-10-26 00:00"
    assert "it was stopped" in alert.text


def test_silence_has_one_key_until_something_is_recorded():
    keys = [record_rules.silence(recorder(s), US, NOW_US, WORDS)[0].key for s in (700, 7000)]
    later = record_rules.silence(recorder(700, last_us=START_S * US + 5), US, NOW_US, WORDS)[0].key
    assert keys[0] == keys[1] != later


def test_silence_says_what_is_known_of_the_recorder():
    def text(**more):
        return record_rules.silence(recorder(700, **more), US, NOW_US, WORDS)[0].text

    assert "cannot commit" in text(running=True)
    assert "killed or lost power" in text(ended=False)


def test_failed_commits_are_told_when_there_are_three_more():
    memory, told = {}, []
    for failed in (0, 1, 2, 3, 4, 5, 6, 20, 20, 22):
        alerts, memory = record_rules.commits(recorder(0, failed=failed), memory, NOW_US)
        told += [failed for _ in alerts]
    assert told == [3, 6, 20]


def test_failed_commits_of_another_recorder_are_counted_anew():
    _, memory = record_rules.commits(recorder(0, failed=9), {}, NOW_US)
    assert record_rules.commits(recorder(0, failed=2, run="book/2"), memory, NOW_US).alerts == []
    assert len(record_rules.commits(recorder(0, failed=3, run="book/2"), memory, NOW_US).alerts) == 1


def test_a_damaged_ledger_is_told_once_until_it_can_be_read_again():
    first = record_rules.damage("it is damaged", {}, NOW_US)
    again = record_rules.damage("it is damaged", first.memory, NOW_US + 1)
    healed = record_rules.damage(None, again.memory, NOW_US + 2)
    anew = record_rules.damage("it is damaged", healed.memory, NOW_US + 3)
    assert [len(one.alerts) for one in (first, again, healed, anew)] == [1, 0, 0, 1]


def test_little_space_is_told_once_until_there_is_twice_as_much():
    memory, told = {}, []
    for free in (10**9, 99_999_999, 5, 150_000_000, 90_000_000, 200_000_000, 99_000_000):
        alerts, memory = record_rules.space(free, memory, NOW_US, WORDS)
        told += [free for _ in alerts]
    assert told == [99_999_999, 99_000_000]
