"""What link events mean for the accounts. Pure; no clock, no system."""

from collections.abc import Callable, Sequence

from netusage.model import ZERO, Counters, GapKind, LinkChange, LinkEvent
from netusage.recorder.account import Accounts, Interval, Life, same_kind


def follow(
    accounts: Accounts,
    events: Sequence[LinkEvent],
    interval: Interval,
    since_read: Callable[[int], Interval],
) -> set[int]:
    """Follow the link events in their order.

    Args:
        accounts: of the links before the events.
        events: see `Source.events`.
        interval: the stretch since the last reading.
        since_read: the stretch since the link of an index was read; that may be longer.

    Returns:
        The links whose identity changed. A reading taken in the same round may be older than the event, so it is
        not used for these; the next one is.
    """
    touched = set()
    for event in events:
        index = event.link.index
        life = accounts.lives.get(index)
        if event.change is LinkChange.REMOVED:
            touched.add(index)
            _remove(accounts, life, event, since_read(index))
        elif life is None:
            touched.add(index)
            first = event.counters or ZERO
            accounts.appear(event.link, first, interval, "appeared" if first.is_zero else "moved-in")
        else:
            if life.link.name != event.link.name:
                touched.add(index)
                if event.counters is not None and min(event.counters.minus(life.epoch.last)) >= 0:
                    accounts.account(life, event.counters, since_read(index))
            accounts.restate(life, event.link, interval.end_us)
    if events:
        accounts.decide_parts()
    return touched


def _remove(accounts: Accounts, life: Life | None, event: LinkEvent, interval: Interval) -> None:
    """The link is gone; its final counters complete the account, as far as they are whole."""
    counters, name = event.counters, event.link.name
    if life is None:
        if counters is not None and not counters.is_zero:
            note = f"it came and went unseen, with counters {tuple(counters)}"
            accounts.declare(interval, GapKind.VANISHED, lossy=True, interface=name, note=note)
        return
    if counters is None:
        accounts.vanish(life, interval)
        return
    last = life.epoch.last
    more = counters.minus(last)
    went_down = min(more if event.whole else (more.tx_bytes, more.tx_packets)) < 0
    is_another = went_down or not same_kind(life.kind, event.link.kind)
    if is_another or not event.whole:
        what = "another life's" if is_another else "not whole"
        note = f"its final counters {tuple(counters)} are {what}; its last reading was {tuple(last)}"
        accounts.declare(interval, GapKind.VANISHED, lossy=True, interface=life.link.name, note=note)
        counters = last if is_another else Counters(*map(max, counters, last))
    accounts.account(life, counters, interval)
    accounts.close(life, interval.end_us, "removed")
