"""How counting begins: at first sight, after a boot, or where an earlier recorder left off."""

from collections.abc import Iterable

from netusage.ledger.batch import Epoch, LastReading, Remembered
from netusage.model import ZERO, Counters, GapKind, Instant, Link
from netusage.recorder.account import Accounts, Interval, Life, same_life


def begin(
    accounts: Accounts, at: Instant, links: Iterable[tuple[Link, Counters]], remembered: Remembered
) -> None:
    """Open or take up an epoch for every link."""
    if remembered.here is not None:
        _take_up(accounts, at, links, remembered.here, remembered)
    elif remembered.before is not None:
        _first_after_boot(accounts, at, links, remembered.before)
    else:
        _first_sight(accounts, at, links)
    accounts.decide_parts()
    accounts.begin_session()


def _first_sight(accounts: Accounts, at: Instant, links: Iterable[tuple[Link, Counters]]) -> None:
    """No earlier reading exists: what was counted before now belongs to nobody, unless it was asked for."""
    interval = _since_boot(at)
    for link, counters in links:
        if accounts.rules.count_since_boot:
            accounts.appear(link, ZERO, interval, "first-sight", counters)
        else:
            accounts.appear(link, counters, interval, "first-sight")


def _first_after_boot(
    accounts: Accounts, at: Instant, links: Iterable[tuple[Link, Counters]], before: LastReading
) -> None:
    """The last reading is from an earlier boot: all counters began after it, so they count from zero."""
    interval = _since_boot(at)
    down = Interval(min(before.wall_us, interval.start_us), interval.start_us, 1)
    note = "what was counted between the last reading and the end of that boot is not known"
    accounts.declare(down, GapKind.REBOOT, lossy=True, note=note)
    accounts.declare(interval, GapKind.STOPPED, lossy=False, note="since boot")
    for link, counters in links:
        accounts.appear(link, ZERO, interval, "boot", counters)


def _take_up(
    accounts: Accounts,
    at: Instant,
    links: Iterable[tuple[Link, Counters]],
    here: LastReading,
    remembered: Remembered,
) -> None:
    """An earlier recorder counted here in this boot: go on from its last committed reading."""
    kind = GapKind.STOPPED if here.ended else GapKind.KILLED
    duration_ns = max(at.boot_ns - here.boot_ns, 1000)
    estimated = kind if duration_ns > accounts.rules.longest_ns else None
    interval = Interval(at.wall_us - duration_ns // 1000, at.wall_us, duration_ns, estimated)
    if estimated is not None:
        accounts.declare(interval, kind, lossy=False)
    accounts.newest_life = remembered.newest_life
    known = {epoch.link.index: epoch for epoch in remembered.epochs}
    for link, counters in links:
        epoch = known.pop(link.index, None)
        if epoch is not None:
            _resume(accounts, epoch, (link, counters), interval, remembered.newest_life)
        else:
            accounts.arrive(link, counters, interval, remembered.newest_life)
    for epoch in known.values():
        accounts.vanish(Life(epoch.link, epoch, epoch.last, epoch.link.kind), interval)
    if estimated is not None and accounts.rules.counter_bits != 64:
        note = "this source's byte counters wrap at 4 GiB, and whole turns during the gap cannot be seen"
        accounts.declare(interval, kind, lossy=True, note=note)


def _resume(
    accounts: Accounts,
    epoch: Epoch,
    seen: tuple[Link, Counters],
    interval: Interval,
    newest_life: int,
) -> None:
    """Go on with a committed epoch, if this is still the same life of the same link."""
    link, counters = seen
    life = Life(epoch.link, epoch, epoch.last, link.kind)
    accounts.lives[link.index] = life
    wraps = accounts.rules.counter_bits != 64
    if not same_life(epoch.link, link):
        accounts.vanish(life, interval)
        accounts.arrive(link, counters, interval, newest_life)
        return
    if min(counters.minus(epoch.last)) < 0 and not wraps:
        accounts.vanish(life, interval)
        accounts.appear(link, ZERO, interval, "appeared", counters)
        return
    accounts.account(life, counters, interval)
    accounts.restate(accounts.lives[link.index], link, interval.end_us)


def _since_boot(at: Instant) -> Interval:
    duration_us = max(at.boot_ns // 1000, 1)
    return Interval(at.wall_us - duration_us, at.wall_us, max(at.boot_ns, 1000), GapKind.REBOOT)
