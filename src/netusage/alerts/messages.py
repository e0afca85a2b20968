"""What is sent next: alone, with others of its kind, or everything that waits in one; pure.

However much happens, a transport gets so many messages in an hour and no more. What is of a kind that comes in crowds,
as applications and gaps do, is gathered: a first one is sent at once, those after it a while later in one.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from netusage.alerts.words import Kind, Words
from netusage.ledger.alert_journal import Alert, Waiting
from netusage.model import US
from netusage.render.cells import safe

HOUR_US = 3600 * US
GATHERED_US = 600 * US
_CLOCK_STEP_US = 60 * US
_CROWDS = {
    Kind.FIRST_SEEN: "new applications",
    Kind.CHANGED: "changed applications",
    Kind.GAP: "gaps in the record",
    Kind.QUOTA: "quotas exceeded",
}
_MOST_LINES = 20
_MOST_NAMES = 3
DIGEST = "digest"


class Message(NamedTuple):
    """What is sent to one transport.

    ids: numbers of the alerts in the journal; none where a message is in no journal.
    kind: of the alerts, or "digest".
    """

    ids: tuple[int, ...]
    kind: str
    subject: str
    text: str
    alerts: tuple[Alert, ...]

    def as_json(self, host: str, words: Words) -> dict[str, Any]:
        """For programs."""
        return {
            "version": 1,
            "host": host,
            "kind": self.kind,
            "subject": self.subject,
            "text": self.text,
            "alerts": [
                {
                    "key": alert.key,
                    "kind": alert.kind,
                    "raised": words.iso(alert.raised_us),
                    "subject": alert.subject,
                    "text": alert.text,
                    "details": alert.details,
                }
                for alert in self.alerts
            ],
        }


class Next(NamedTuple):
    """What is sent now, and when to ask again (UTC microseconds); both None when nothing waits."""

    message: Message | None = None
    again_us: int | None = None


def next_message(
    waiting: Sequence[Waiting], sent: Sequence[tuple[int, str]], now_us: int, per_hour: int, words: Words
) -> Next:
    """What a transport is to send next.

    Args:
        waiting: what it has not delivered, the oldest first.
        sent: when it sent messages in the last hour and of which kind, the oldest first.
        now_us: the present.
        per_hour: the most that it may send in an hour.
        words: for people.
    """
    if not waiting:
        return Next()
    # a message of the future was sent before the clock was set back
    recent = [one for one in sent if now_us - HOUR_US < one[0] <= now_us + _CLOCK_STEP_US]
    room = per_hour - len(recent)
    if room <= 0:
        return Next(None, recent[-per_hour][0] + HOUR_US)
    groups: dict[object, list[Waiting]] = {}
    for one in waiting:
        crowd = one.alert.kind if one.alert.kind in _CROWDS else one.id
        groups.setdefault(crowd, []).append(one)
    held = {kind: at_us + GATHERED_US for at_us, kind in recent if kind in _CROWDS}
    ready = [group for crowd, group in groups.items() if now_us >= held.get(str(crowd), 0)]
    if not ready:
        return Next(None, min(held[str(crowd)] for crowd in groups))
    if room == 1 and len(ready) > 1:
        return Next(_digest(waiting, words))
    return Next(_message(ready[0]))


def one_message(alert: Alert) -> Message:
    """An alert alone, that is in no journal."""
    return Message((), alert.kind, alert.subject, alert.text, (alert,))


def _message(group: Sequence[Waiting]) -> Message:
    ids, alerts = tuple(one.id for one in group), tuple(one.alert for one in group)
    first = alerts[0]
    if len(alerts) == 1:
        return Message(ids, first.kind, first.subject, first.text, alerts)
    subject = f"{len(alerts)} {_CROWDS[Kind(first.kind)]}"
    if first.kind in (Kind.FIRST_SEEN, Kind.CHANGED):
        names = [safe(str(alert.details.get("name", alert.subject))) for alert in alerts]
        rest = len(names) - _MOST_NAMES
        subject += f": {', '.join(names[:_MOST_NAMES])}" + (f" and {rest} more" if rest > 0 else "")
    return Message(ids, first.kind, subject, _lines([alert.text for alert in alerts]), alerts)


def _digest(waiting: Sequence[Waiting], words: Words) -> Message:
    ids, alerts = tuple(one.id for one in waiting), tuple(one.alert for one in waiting)
    lines = [f"{words.moment(alert.raised_us)}  {alert.subject}" for alert in alerts]
    return Message(ids, DIGEST, f"{len(alerts)} alerts", _lines(lines), alerts)


def _lines(lines: Sequence[str]) -> str:
    shown = list(lines[:_MOST_LINES])
    if len(lines) > _MOST_LINES:
        shown.append(f"and {len(lines) - _MOST_LINES} more: netusage alerts")
    return "\n".join(shown)
