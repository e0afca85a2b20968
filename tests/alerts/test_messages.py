"""What is sent next: one by one, in crowds, and never a storm."""

from datetime import UTC

from netusage.alerts.messages import DIGEST, GATHERED_US, HOUR_US, next_message
from netusage.alerts.words import Kind, Words
from netusage.ledger.alert_journal import Alert, Waiting
from netusage.model import US

NOW_US = 1_793_000_000 * US
WORDS = Words(UTC)


def waiting(*kinds, first=1):
    return [
        Waiting(n, Alert(f"k{n}", kind, NOW_US, f"{kind} {n}", f"text {n}", {"name": f"app{n}"}), 0, NOW_US)
        for n, kind in enumerate(kinds, start=first)
    ]


def ask(rows, sent=(), per_hour=20, now_us=NOW_US):
    return next_message(rows, sent, now_us, per_hour, WORDS)


def drain(rows, per_hour=20, now_us=NOW_US, sent=()):
    """Everything that is sent at one moment, when each message is delivered at once."""
    sent, found = list(sent), []
    while True:
        message, again_us = ask(rows, sent, per_hour, now_us)
        if message is None:
            return found, rows, sent, again_us
        rows = [row for row in rows if row.id not in message.ids]
        sent.append((now_us, message.kind))
        found.append(message)


def test_where_nothing_waits_nothing_is_sent():
    assert ask([]) == (None, None)


def test_an_alert_is_sent_as_it_is_the_oldest_first():
    message, _ = ask(waiting(Kind.THRESHOLD, Kind.RATE))
    assert (message.ids, message.kind, message.subject, message.text) == (
        (1,),
        Kind.THRESHOLD,
        "threshold 1",
        "text 1",
    )


def test_many_new_applications_are_one_message():
    (message,), rest, *_ = drain(waiting(*[Kind.FIRST_SEEN] * 50))
    assert rest == []
    assert message.subject == "50 new applications: app1, app2, app3 and 47 more"
    assert message.text.splitlines()[0] == "text 1"
    assert message.text.splitlines()[-1] == "and 30 more: netusage alerts"
    assert len(message.ids) == 50


def test_crowds_of_two_kinds_are_two_messages():
    found, *_ = drain(waiting(Kind.GAP, Kind.FIRST_SEEN, Kind.GAP, Kind.FIRST_SEEN, Kind.THRESHOLD))
    assert [(message.kind, message.ids) for message in found] == [
        (Kind.GAP, (1, 3)),
        (Kind.FIRST_SEEN, (2, 4)),
        (Kind.THRESHOLD, (5,)),
    ]


def test_what_comes_soon_after_a_crowd_waits_and_is_sent_together():
    sent = [(NOW_US, Kind.GAP)]
    rows = waiting(Kind.GAP, Kind.GAP)
    message, again_us = ask(rows, sent, now_us=NOW_US + 10 * US)
    assert (message, again_us) == (None, NOW_US + GATHERED_US)
    message, _ = ask(rows, sent, now_us=again_us)
    assert message.ids == (1, 2)


def test_what_is_no_crowd_does_not_wait_for_one():
    sent = [(NOW_US, Kind.GAP)]
    message, _ = ask(waiting(Kind.GAP, Kind.THRESHOLD), sent, now_us=NOW_US + US)
    assert message.ids == (2,)


def test_no_more_messages_than_allowed_are_sent_in_an_hour_and_the_last_has_all_the_rest():
    found, rest, *_ = drain(waiting(*[Kind.THRESHOLD] * 57))
    assert len(found) == 20
    assert rest == []
    assert found[-1].kind == DIGEST
    assert found[-1].subject == "38 alerts"
    assert found[-1].text.splitlines()[-1] == "and 18 more: netusage alerts"
    assert len(found[-1].ids) == 38


def test_what_comes_after_that_waits_until_the_hour_is_over():
    _, _, sent, _ = drain(waiting(*[Kind.THRESHOLD] * 57))
    more = waiting(Kind.THRESHOLD, Kind.RATE, first=100)
    message, again_us = ask(more, sent, now_us=NOW_US + 60 * US)
    assert (message, again_us) == (None, NOW_US + HOUR_US)
    found, rest, *_ = drain(more, now_us=again_us, sent=sent)
    assert rest == []
    assert len(found) == 2


def test_a_storm_of_many_hours_never_sends_more_than_allowed_in_any_hour():
    rows, sent, number = [], [], 0
    for step in range(6 * 60):
        now_us = NOW_US + step * 60 * US
        rows = [*rows, *waiting(*[Kind.THRESHOLD] * 5, first=number + 1)]
        number += 5
        _, rows, sent, _ = drain(rows, 7, now_us, sent)
    at = [when for when, _ in sent]
    assert all(sum(when <= other < when + HOUR_US for other in at) <= 7 for when in at)
    assert len(rows) <= 5 * 60  # nothing waits longer than an hour


def test_one_message_an_hour_has_everything():
    found, *_ = drain(waiting(*[Kind.THRESHOLD] * 3), per_hour=1)
    assert [message.kind for message in found] == [DIGEST]


def test_a_clock_that_was_set_back_does_not_silence_anybody():
    sent = [(NOW_US + 5 * HOUR_US, Kind.GAP)] * 20
    message, _ = ask(waiting(Kind.GAP), sent)
    assert message.ids == (1,)


def test_for_programs_a_message_has_all_of_its_alerts():
    (message,), *_ = drain(waiting(Kind.GAP, Kind.GAP))
    found = message.as_json("host", WORDS)
    assert found["version"] == 1
    assert [alert["key"] for alert in found["alerts"]] == ["k1", "k2"]
    assert found["alerts"][0]["raised"].endswith("+00:00")
