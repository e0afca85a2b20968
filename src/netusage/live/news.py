"""What the threads that read tell the screen."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from netusage.live.history import Both, added
from netusage.recorder.shares import Use
from netusage.recorder.watch import Present


class Spent(NamedTuple):
    """What applications had since the last time it was told.

    passed_us: in how long, microseconds; 0 where it is not known, as the first time.
    tier: how they are told apart; "" where they are not.
    counted: what interfaces counted in the same time, by name.
    total: what the machine's total grew by in the same time.
    """

    more: Mapping[Use, Both]
    passed_us: int
    tier: str
    counted: Mapping[str, Both] = {}
    total: Both = Both()


class Recorded(NamedTuple):
    """What the ledger has.

    recorder: the process that records into it, 0 when its number is not known; None when nobody does.
    until_us: the last committed reading, UTC microseconds; None when nothing is recorded.
    today_s: when the day began of which the rest is, UTC seconds.
    total: the machine's, today.
    interfaces: each one's, by name, today.
    applications: each one's, today.
    trouble: why it cannot be read; "" when it can, or is not there.
    """

    recorder: int | None
    until_us: int | None = None
    today_s: int = 0
    total: Both = Both()
    interfaces: Mapping[str, Both] = {}
    applications: Mapping[Use, Both] = {}
    trouble: str = ""


class Trouble(NamedTuple):
    """Why nothing is read any more."""

    text: str


News = Present | Spent | Recorded | Trouble


def in_short(news: Sequence[News]) -> list[News]:
    """As little as says the same: the last of what tells how things are, and the sum of what applications had."""
    last: dict[type, News] = {}
    for one in news:
        old = last.pop(type(one), None)
        last[type(one)] = _together(old, one) if isinstance(old, Spent) and isinstance(one, Spent) else one
    return list(last.values())


def _together(old: Spent, new: Spent) -> Spent:
    return Spent(
        added(old.more, new.more),
        old.passed_us + new.passed_us,
        new.tier,
        added(old.counted, new.counted),
        old.total.plus(new.total),
    )
