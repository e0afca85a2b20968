"""Delivering what waits: at least once, each transport at its own pace, and a dead one holds up nobody."""

import threading
from contextlib import closing
from datetime import UTC

import pytest
from support.patience import until

from netusage.alerts.deliver import FIRST_DELAY_US, LONGEST_DELAY_US, Deliveries, delay_us
from netusage.alerts.messages import GATHERED_US, one_message
from netusage.alerts.transports import DeliveryError
from netusage.alerts.words import Kind, Words
from netusage.errors import LedgerBusyError
from netusage.ledger.alert_journal import Alert, AlertJournal
from netusage.ledger.alert_log import transports
from netusage.model import NS, US, Instant

NOW_US = 1_793_000_000 * US


class Recipient:
    """A transport in memory: takes messages, refuses them, or lets them wait until it is told."""

    def __init__(self, name):
        self.name = name
        self.taken = []
        self.error = None
        self.may_answer = threading.Event()
        self.may_answer.set()

    def send(self, message, _host, _words):
        assert self.may_answer.wait(20)
        if self.error is not None:
            raise self.error
        self.taken.append(message)


class Round:
    """Deliveries with a clock that stands still until it is moved."""

    def __init__(self, path, *names, per_hour=20):
        self.path, self.names, self.per_hour = path, names, per_hour
        self.recipients = {name: Recipient(name) for name in names}
        self.said = []
        self.now = Instant(1000 * NS, 1000 * NS, NOW_US)
        self.woken = threading.Semaphore(0)
        self.begin()

    def begin(self):
        self.journal = AlertJournal(self.path, NOW_US)
        self.deliveries = Deliveries(
            self.journal,
            list(self.recipients.values()),
            per_hour=self.per_hour,
            host="tower",
            words=Words(UTC),
            say=self.said.append,
            wake=self.woken.release,
            jitter=lambda: 0.0,
        )
        self.deliveries.resume(self.now)

    def end(self):
        self.deliveries.close()
        self.journal.close()

    close = end

    def add(self, *keys, kind=Kind.THRESHOLD):
        alerts = [Alert(key, kind, self.now.wall_us, f"about {key}", f"text {key}", {}) for key in keys]
        self.journal.add(alerts, self.names, self.now.wall_us)

    def pass_s(self, seconds):
        boot_ns, awake_ns, wall_us = self.now
        self.now = Instant(
            boot_ns + int(seconds * NS), awake_ns + int(seconds * NS), wall_us + int(seconds * US)
        )

    def turn(self, answers=1):
        """A turn, and one more when so many of those who send have answered."""
        self.deliveries.turn(self.now)
        for _ in range(answers):
            assert self.woken.acquire(timeout=20)
        self.deliveries.take(self.now)

    def taken(self, name):
        return [message.subject for message in self.recipients[name].taken]

    def waiting(self, name):
        return [one.alert.key for one in self.journal.waiting(name)]


@pytest.fixture
def begin(tmp_path):
    made = []

    def make(*names, **options):
        made.append(Round(str(tmp_path / "ledger.db.alerts"), *names, **options))
        return made[-1]

    yield make
    for one in made:
        for recipient in one.recipients.values():
            recipient.may_answer.set()
        one.end()


def test_what_waits_is_delivered_to_everybody_once(begin):
    round_ = begin("mail", "push")
    round_.add("a")
    round_.turn(answers=2)
    assert round_.taken("mail") == round_.taken("push") == ["about a"]
    assert round_.waiting("mail") == round_.waiting("push") == []
    assert round_.deliveries.turn(round_.now) is None
    assert not round_.deliveries.are_sending


def test_a_transport_that_does_not_answer_holds_up_nobody_else(begin):
    round_ = begin("dead", "push")
    round_.recipients["dead"].may_answer.clear()
    for key in ("a", "b", "c"):
        round_.add(key)
        round_.turn()
    assert round_.taken("push") == ["about a", "about b", "about c"]
    assert round_.waiting("dead") == ["a", "b", "c"]
    assert round_.deliveries.are_sending


def test_what_a_dead_transport_missed_is_delivered_when_it_lives_again(begin):
    round_ = begin("mail")
    round_.recipients["mail"].error = DeliveryError("connection refused")
    round_.add("a")
    round_.turn()
    round_.add("b")
    round_.pass_s(5)
    round_.turn()
    assert round_.waiting("mail") == ["a", "b"]
    round_.recipients["mail"].error = None
    round_.pass_s(10)
    round_.turn()
    round_.turn()
    assert round_.taken("mail") == ["about a", "about b"]
    assert round_.waiting("mail") == []
    assert round_.said == [
        "alerts are not delivered by mail: connection refused; it is tried again",
        "alerts are delivered again by mail",
    ]


def test_a_dead_transport_is_asked_less_and_less_often(begin):
    round_ = begin("mail")
    round_.recipients["mail"].error = DeliveryError("no")
    round_.add("a")
    waits = []
    for _ in range(10):
        round_.turn()
        again_ns = round_.deliveries.turn(round_.now)
        waits.append((again_ns - round_.now.boot_ns) // NS)
        assert round_.deliveries.turn(round_.now) == again_ns  # and nothing is sent meanwhile
        round_.pass_s(waits[-1])
    assert waits == [5, 10, 20, 40, 80, 160, 320, 600, 600, 600]


def test_the_delay_grows_to_a_limit_and_is_spread():
    assert delay_us(1, 0.0) == FIRST_DELAY_US
    assert delay_us(99, 0.0) == LONGEST_DELAY_US
    assert delay_us(3, 0.25) == 25 * US
    assert delay_us(3, -0.25) == 15 * US


def test_a_restart_goes_on_with_the_patience_that_was_noted(begin):
    round_ = begin("mail")
    round_.recipients["mail"].error = DeliveryError("no")
    round_.add("a")
    for seconds in (0, 5, 10):
        round_.pass_s(seconds)
        round_.turn()
    round_.end()
    round_.pass_s(3)
    round_.begin()
    assert round_.deliveries.turn(round_.now) == round_.now.boot_ns + 17 * NS
    round_.pass_s(17)
    round_.recipients["mail"].error = None
    round_.turn()
    assert round_.taken("mail") == ["about a"]


def test_a_clock_that_was_set_back_keeps_nobody_waiting_for_long(begin):
    round_ = begin("mail")
    round_.recipients["mail"].error = DeliveryError("no")
    round_.add("a")
    round_.turn()
    round_.end()
    round_.now = round_.now._replace(wall_us=NOW_US - 86_400 * US)
    round_.recipients["mail"].error = None
    round_.begin()
    round_.turn()
    assert round_.taken("mail") == ["about a"]


def test_what_was_sent_and_not_noted_is_sent_again(begin, tmp_path):
    round_ = begin("mail")
    round_.add("a")
    round_.deliveries.turn(round_.now)
    assert round_.woken.acquire(timeout=20)
    assert round_.taken("mail") == ["about a"]
    round_.end()  # as if it were killed here
    round_.begin()
    round_.turn()
    assert round_.taken("mail") == ["about a", "about a"]
    assert round_.waiting("mail") == []


def test_a_journal_that_cannot_be_written_delivers_nothing_twice(begin, monkeypatch):
    round_ = begin("mail")
    round_.add("a")
    write = AlertJournal.delivered

    def full(*_):
        raise LedgerBusyError("the disk is full")

    monkeypatch.setattr(AlertJournal, "delivered", full)
    round_.deliveries.turn(round_.now)
    assert round_.woken.acquire(timeout=20)
    for _ in range(3):
        with pytest.raises(LedgerBusyError):
            round_.deliveries.turn(round_.now)
    assert round_.deliveries.are_sending  # it is not noted
    monkeypatch.setattr(AlertJournal, "delivered", write)
    assert round_.deliveries.turn(round_.now) is None
    assert round_.taken("mail") == ["about a"]
    assert round_.waiting("mail") == []


def test_what_is_in_no_journal_is_sent_to_all_who_do_not_send_just_now(begin):
    round_ = begin("mail", "push")
    round_.recipients["mail"].may_answer.clear()
    round_.add("a")
    round_.turn()
    alert = Alert("journal/full", Kind.JOURNAL, NOW_US, "alerts cannot be kept", "", {})
    round_.deliveries.shout(one_message(alert))
    until(lambda: round_.taken("push")[1:], "the message")
    assert round_.taken("push") == ["about a", "alerts cannot be kept"]
    assert round_.taken("mail") == []


def test_a_transport_with_a_fault_of_its_own_is_a_dead_one(begin):
    round_ = begin("mail")
    round_.recipients["mail"].error = RuntimeError("json://eva:secret@example.org")
    round_.add("a")
    round_.turn()
    (state,) = transports(round_.path)
    assert (state.waiting, state.last_error) == (1, "internal error: RuntimeError")


def test_what_comes_after_a_crowd_is_gathered(begin):
    round_ = begin("mail")
    round_.add("a", kind=Kind.FIRST_SEEN)
    round_.turn()
    for key in ("b", "c", "d"):
        round_.pass_s(10)
        round_.add(key, kind=Kind.FIRST_SEEN)
        again_ns = round_.deliveries.turn(round_.now)
    assert (again_ns - 1000 * NS) // 1000 == GATHERED_US
    round_.pass_s(GATHERED_US / US - 30)
    round_.turn()
    assert round_.taken("mail") == ["about a", "3 new applications: about b, about c, about d"]


def test_a_storm_is_a_few_messages_and_every_alert_is_in_one(begin):
    round_ = begin("mail", per_hour=3)
    round_.add(*(f"a{n}" for n in range(100)))
    for _ in range(3):
        round_.turn()
    assert round_.taken("mail") == ["about a0", "about a1", "98 alerts"]
    assert round_.waiting("mail") == []
    round_.add("b")
    again_ns = round_.deliveries.turn(round_.now)
    assert again_ns == round_.now.boot_ns + 3600 * NS


def test_the_journal_of_a_round_can_be_held_by_another_one_afterwards(begin, tmp_path):
    round_ = begin("mail")
    round_.end()
    with closing(AlertJournal(round_.path, NOW_US)) as journal:
        assert journal.waiting("mail") == []
