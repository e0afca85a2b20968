"""Delivering what the journal holds: each transport has a queue, a thread and a pace of its own.

The threads only send. What is sent, and what became of it, is decided and noted by one who asks all of them in turn,
so the journal belongs to one thread, and a transport that does not answer holds up nobody else.
"""

import random
import threading
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from typing import NamedTuple

from netusage.alerts.messages import HOUR_US, Message, next_message
from netusage.alerts.transports import Transport
from netusage.alerts.words import Words
from netusage.errors import NetusageError
from netusage.ledger.alert_journal import AlertJournal
from netusage.model import US, Instant

FIRST_DELAY_US = 5 * US
LONGEST_DELAY_US = 600 * US


class Outcome(NamedTuple):
    """What became of a message; `error` is "" when it was delivered."""

    message: Message
    error: str


def delay_us(failures: int, jitter: float) -> int:
    """How long to wait after so many failures in a row: doubled each time; `jitter` is from -0.25 to 0.25."""
    doubled = FIRST_DELAY_US << min(max(failures - 1, 0), 10)
    return int(min(doubled, LONGEST_DELAY_US) * (1 + jitter))


class Post:
    """One transport and the thread that sends for it.

    Args:
        transport: sends.
        host, words: for the message.
        wake: called in the thread when there is an outcome.
    """

    def __init__(self, transport: Transport, host: str, words: Words, wake: Callable[[], None]) -> None:
        self.transport = transport
        self.failures = 0
        self.due_ns = 0  # CLOCK_BOOTTIME: not before
        self.is_sending = False
        self._host, self._words, self._wake = host, words, wake
        self._given: SimpleQueue[Message | None] = SimpleQueue()
        self._outcomes: SimpleQueue[Outcome] = SimpleQueue()
        # a daemon: what a server never answers is not waited for at the end
        self._thread = threading.Thread(target=self._run, name=transport.name, daemon=True)
        self._thread.start()

    def send(self, message: Message) -> None:
        """Begin to send; `outcome` tells when it is done."""
        self.is_sending = True
        self._given.put(message)

    def outcome(self) -> Outcome | None:
        """What became of the message, once; None while it is being sent."""
        if self._outcomes.empty():
            return None
        self.is_sending = False
        return self._outcomes.get()

    def close(self) -> None:
        """Let the thread end when it has sent what it sends."""
        self._given.put(None)

    def _run(self) -> None:
        while (message := self._given.get()) is not None:
            self._outcomes.put(Outcome(message, self._error(message)))
            self._wake()

    def _error(self, message: Message) -> str:
        try:
            self.transport.send(message, self._host, self._words)
        except NetusageError as error:
            return str(error)
        except Exception as error:  # noqa: BLE001  # a transport's fault is no reason to deliver nothing any more
            return f"internal error: {type(error).__name__}"  # its text may hold a secret
        return ""


class Deliveries:
    """Hands out what waits in a journal, and notes what became of it.

    Args:
        journal: what waits. May be exchanged.
        transports: who delivers.
        per_hour: messages that each sends in an hour at most.
        host, words: for messages.
        say: takes one line for people.
        wake: called by any thread when `turn` has something to do.
        jitter: -0.25 to 0.25, another one each time.
    """

    def __init__(
        self,
        journal: AlertJournal,
        transports: Sequence[Transport],
        *,
        per_hour: int,
        host: str,
        words: Words,
        say: Callable[[str], None],
        wake: Callable[[], None],
        jitter: Callable[[], float] = lambda: random.uniform(-0.25, 0.25),  # noqa: S311  # spreads load
    ) -> None:
        self.journal = journal
        self._posts = [Post(transport, host, words, wake) for transport in transports]
        self._per_hour, self._words, self._say, self._jitter = per_hour, words, say, jitter
        self._done: list[tuple[Post, Outcome]] = []  # not noted yet: the journal could not be written

    @property
    def names(self) -> list[str]:
        """The names of the transports."""
        return [post.transport.name for post in self._posts]

    @property
    def are_sending(self) -> bool:
        """Whether a message is on its way, or not noted yet."""
        return bool(self._done) or any(post.is_sending for post in self._posts)

    def turn(self, now: Instant) -> int | None:
        """Note what was delivered, and send what is due.

        Returns:
            When to ask again, nanoseconds of CLOCK_BOOTTIME; None: when there is something new.

        Raises:
            LedgerError: the journal cannot be read or written; ask again, nothing is forgotten.
        """
        self.take(now)
        again: list[int] = []
        for post in self._posts:
            if post.is_sending or any(other is post for other, _ in self._done):
                continue
            if now.boot_ns < post.due_ns:
                again.append(post.due_ns)
                continue
            name = post.transport.name
            waiting = self.journal.waiting(name)
            if not waiting:
                continue
            sent = self.journal.sent(name, now.wall_us - HOUR_US)
            message, again_us = next_message(waiting, sent, now.wall_us, self._per_hour, self._words)
            if message is not None:
                post.send(message)
            elif again_us is not None:
                again.append(now.boot_ns + max(again_us - now.wall_us, US) * 1000)
        return min(again, default=None)

    def take(self, now: Instant) -> None:
        """Note what was delivered, and send nothing more.

        Raises:
            LedgerError: the journal cannot be written; what was not noted is noted next time.
        """
        for post in self._posts:
            outcome = post.outcome()
            if outcome is not None:
                self._done.append((post, outcome))
                self._pace(post, outcome, now)
        while self._done:
            post, (message, error) = self._done[0]
            name = post.transport.name
            if error:
                next_us = now.wall_us + max(post.due_ns - now.boot_ns, 0) // 1000
                self.journal.failed(name, message.ids, next_us, error)
            else:
                self.journal.delivered(name, message.ids, message.kind, now.wall_us)
            del self._done[0]

    def shout(self, message: Message) -> None:
        """Send what is in no journal, because that cannot be written; to those who do not send just now."""
        for post in self._posts:
            if not post.is_sending and not any(other is post for other, _ in self._done):
                post.send(message)

    def resume(self, now: Instant) -> None:
        """Go on with the patience that is noted: a restart is no reason to ask a dead server at once."""
        for post in self._posts:
            waiting = self.journal.waiting(post.transport.name, 1)
            if waiting:
                wait_us = waiting[0].next_us - now.wall_us
                post.failures = waiting[0].attempts
                if 0 < wait_us <= 2 * LONGEST_DELAY_US:  # otherwise the clock was set
                    post.due_ns = now.boot_ns + wait_us * 1000

    def close(self) -> None:
        """Send nothing more."""
        for post in self._posts:
            post.close()

    def _pace(self, post: Post, outcome: Outcome, now: Instant) -> None:
        name = post.transport.name
        if not outcome.error:
            if post.failures:
                self._say(f"alerts are delivered again by {name}")
            post.failures = 0
            return
        post.failures += 1
        post.due_ns = now.boot_ns + delay_us(post.failures, self._jitter()) * 1000
        if post.failures == 1:
            self._say(f"alerts are not delivered by {name}: {outcome.error}; it is tried again")
