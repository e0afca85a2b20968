"""What the threads that read tell the screen."""

from collections.abc import Mapping
from typing import NamedTuple

from netusage.live.history import Both
from netusage.recorder.shares import Use
from netusage.recorder.watch import Present


class Spent(NamedTuple):
    """What applications had since the last time it was told.

    passed_us: in how long, microseconds; 0 where it is not known, as the first time.
    tier: how they are told apart; "" where they are not.
    """

    more: Mapping[Use, Both]
    passed_us: int
    tier: str


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
