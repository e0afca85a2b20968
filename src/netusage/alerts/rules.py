"""What is worth telling of what was used: pure functions of what was seen and what is remembered; no clock, no ledger.

Each takes what it remembered (as JSON has it, empty at first) and returns it anew with the alerts. Both are committed
together, so a rule goes on where it was when the process ends between two looks. Keys of alerts are made of what they
are about: whatever is told twice by mistake has the same key, and is told once.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from netusage.alerts.words import DAY_US, Judgement, Kind, Memory, Words
from netusage.ledger.alert_journal import Alert, Executable
from netusage.model import MINUTE_S, US, Who
from netusage.render.cells import safe

# ---- Thresholds of plans ----------------------------------------------------------------------------------------


class PlanSeen(NamedTuple):
    """Where a plan stands: its cycle in UTC seconds, bytes, and thresholds in percent."""

    name: str
    start_s: int
    end_s: int
    used_bytes: int
    limit_bytes: int
    thresholds: tuple[int, ...]


def thresholds(seen: PlanSeen, memory: Memory, now_us: int, words: Words) -> Judgement:
    """Each threshold once a cycle; again when use fell clearly below it, which it does when the plan is changed.

    Of those that are reached between two looks the highest is told, and the others are logged.
    """
    cycle = words.day(seen.start_s)
    if memory.get("cycle") != cycle:
        memory = {"cycle": cycle, "reached": {}}
    reached: dict[str, int] = dict(memory["reached"])  # how often in this cycle; negative: not any more
    fresh = []
    for threshold in sorted(seen.thresholds):
        key, part = str(threshold), seen.used_bytes * 100
        times = reached.get(key, 0)
        if times <= 0 and part >= threshold * seen.limit_bytes:
            reached[key] = 1 - times
            fresh.append(threshold)
        elif times > 0 and part * 20 < threshold * seen.limit_bytes * 19:  # by a twentieth
            reached[key] = -times
    alerts = []
    for one in fresh:
        times = reached[str(one)]
        key = f"threshold/{seen.name}/{cycle}/{one}" + (f"/{times}" if times > 1 else "")
        alerts.append(_threshold(seen, one, key, now_us, words)._replace(only_logged=one != fresh[-1]))
    return Judgement(alerts, {"cycle": cycle, "reached": reached})


def _threshold(seen: PlanSeen, threshold: int, key: str, now_us: int, words: Words) -> Alert:
    name = safe(seen.name)
    percent = seen.used_bytes * 100 // seen.limit_bytes if seen.limit_bytes else threshold
    used, limit = words.bytes(seen.used_bytes), words.bytes(seen.limit_bytes)
    left = max(seen.limit_bytes - seen.used_bytes, 0)
    until = words.moment(seen.end_s * US)[:16]
    text = f"{used} of {limit} are used ({percent} %); "
    text += f"{words.bytes(left)} are left until {until}." if left else f"the cycle goes on until {until}."
    details = {
        "plan": seen.name,
        "threshold": threshold,
        "cycle_start": words.iso(seen.start_s * US),
        "cycle_end": words.iso(seen.end_s * US),
        "used_bytes": seen.used_bytes,
        "limit_bytes": seen.limit_bytes,
    }
    return Alert(key, Kind.THRESHOLD, now_us, f"plan {name}: {threshold} % reached", text, details)


# ---- Rates ------------------------------------------------------------------------------------------------------


class RateRule(NamedTuple):
    """A rate in bytes per second that is too much for so many minutes; `of` says of what, for people."""

    name: str
    above: int
    minutes: int
    of: str


class Minute(NamedTuple):
    """A whole minute, UTC seconds; `bytes` is None where they are estimated or nobody recorded."""

    start_s: int
    bytes: int | None


def rate(rule: RateRule, minutes: Sequence[Minute], memory: Memory, now_us: int, words: Words) -> Judgement:
    """Told when every minute was above for as long as the rule says; again only after as long below four fifths of it.

    Args:
        rule: what is too much.
        minutes: that are over, in order; those that were given before are passed over.
        memory: of this rule.
        now_us: the present.
        words: for people.
    """
    of = [rule.above, rule.minutes, rule.of]
    if memory.get("of") != of:
        memory = {"of": of, "minute": 0, "above": 0, "below": 0, "told": False, "bytes": 0}
    last_s, above, below = memory["minute"], memory["above"], memory["below"]
    told, summed = memory["told"], memory["bytes"]
    alerts = []
    for start_s, counted in minutes:
        if start_s <= last_s:
            continue
        if start_s != last_s + MINUTE_S:
            above = below = summed = 0
        last_s = start_s
        is_above = counted is not None and counted > rule.above * MINUTE_S
        is_below = counted is not None and counted * 5 < rule.above * MINUTE_S * 4
        above, summed = (above + 1, summed + (counted or 0)) if is_above else (0, 0)
        below = below + 1 if is_below else 0
        if not told and above >= rule.minutes:
            told = True
            alerts.append(_rate(rule, start_s, (above, summed), now_us, words))
        elif told and below >= rule.minutes:
            told = False
    memory = {"of": of, "minute": last_s, "above": above, "below": below, "told": told, "bytes": summed}
    return Judgement(alerts, memory)


def _rate(rule: RateRule, last_s: int, sums: tuple[int, int], now_us: int, words: Words) -> Alert:
    """Sums: the minutes and bytes up to and with the minute that starts at `last_s`."""
    minutes, summed = sums
    since_s, mean = last_s - (minutes - 1) * MINUTE_S, summed // (minutes * MINUTE_S)
    name = safe(rule.name)
    text = (
        f"{safe(rule.of)}: {words.rate(mean)} on average for {minutes} min since {words.moment(since_s * US)[:16]}, "
        f"always above {words.rate(rule.above)}."
    )
    details = {
        "alert": rule.name,
        "of": rule.of,
        "since": words.iso(since_s * US),
        "minutes": minutes,
        "bytes_per_second": mean,
        "above_bytes_per_second": rule.above,
    }
    subject = f"{name}: above {words.rate(rule.above)} for {minutes} min"
    return Alert(f"rate/{rule.name}/{since_s}", Kind.RATE, now_us, subject, text, details)


# ---- Quotas of applications -------------------------------------------------------------------------------------


class QuotaRule(NamedTuple):
    """Bytes that are too much for an application in a period that began at `start_s`; `per` is its name."""

    name: str
    above: int
    per: str
    start_s: int


def quota(rule: QuotaRule, used: Mapping[str, int], now_us: int, words: Words) -> list[Alert]:
    """Each application that had more, by its name, once a period, and once more when the quota is changed."""
    period = words.day(rule.start_s)
    alerts = []
    for application, count in sorted(used.items(), key=lambda item: -item[1]):
        if count <= rule.above:
            break
        shown = safe(application)
        text = (
            f"{shown} had {words.bytes(count)} this {rule.per}, above its quota of {words.bytes(rule.above)}."
        )
        details = {
            "alert": rule.name,
            "application": application,
            "per": rule.per,
            "since": words.iso(rule.start_s * US),
            "used_bytes": count,
            "above_bytes": rule.above,
        }
        key = f"quota/{rule.name}/{application}/{rule.per}/{period}/{rule.above}"
        subject = f"{safe(rule.name)}: {shown} is above {words.bytes(rule.above)} this {rule.per}"
        alerts.append(Alert(key, Kind.QUOTA, now_us, subject, text, details))
    return alerts


# ---- Applications -----------------------------------------------------------------------------------------------


class ApplicationSeen(NamedTuple):
    """An application of the ledger: since when, and the inodes of its executables."""

    who: Who
    first_seen_us: int
    inodes: tuple[int, ...]


class Met(NamedTuple):
    """Alerts of applications, the executables that are known from now on, and what is remembered."""

    alerts: list[Alert]
    learned: list[Executable]
    memory: Memory


def applications(
    seen: Iterable[ApplicationSeen],
    known: Collection[Executable],
    memory: Memory,
    now_us: int,
    words: Words,
) -> Met:
    """Applications that are seen for the first time, or with another executable.

    One is told from another by its name and path: the same program of another user, unit or container is not new.
    Executables are told apart by inode: devices have other numbers after a boot. In containers each image has its own
    executable, so that is only logged. On the first day on which applications are recorded everything is only logged;
    those of a ledger that is older than alerts are taken for known.
    """
    rows = sorted(
        (row for row in seen if row.who.kind == "application"), key=lambda row: (row.first_seen_us, row.who)
    )
    if not rows:
        return Met([], [], memory)
    since_us = memory.get("since_us")
    if since_us is None:
        since_us = rows[0].first_seen_us
    begins = "since_us" not in memory and now_us >= since_us + DAY_US
    known = set(known)  # it grows
    alerts: list[Alert] = []
    learned: list[Executable] = []
    for who, first_seen_us, inodes in rows:
        own = Executable(who.name, who.path, 0)
        versions = _versions(who, inodes)
        is_new = own not in known
        others = [version for version in versions if version not in known]
        quiet = first_seen_us < since_us + DAY_US
        if is_new and not begins:
            alerts.append(_first_seen(who, first_seen_us, now_us, words, only_logged=quiet))
        elif others and not begins and not is_new and _has_versions(known, own):
            quiet = now_us < since_us + DAY_US or bool(who.container or who.pod)
            alerts += [_changed(who, one.inode, now_us, only_logged=quiet) for one in others]
        learned += [own] * is_new + others
        known.update([own, *versions])
    return Met(alerts, learned, {"since_us": since_us})


def executables_of(seen: Iterable[ApplicationSeen]) -> list[Executable]:
    """Every executable of some applications, and the applications themselves."""
    found = []
    for who, _, inodes in seen:
        if who.kind == "application":
            found += [Executable(who.name, who.path, 0), *_versions(who, inodes)]
    return found


def _versions(who: Who, inodes: Iterable[int]) -> list[Executable]:
    return [Executable(who.name, who.path, inode) for inode in inodes]


def _has_versions(known: Collection[Executable], own: Executable) -> bool:
    """Whether an executable was ever seen of it: the first one is no other one."""
    return any(one.inode and (one.name, one.path) == (own.name, own.path) for one in known)


def _first_seen(who: Who, first_seen_us: int, now_us: int, words: Words, *, only_logged: bool) -> Alert:
    text = f"{_described(who)} used the network for the first time, at {words.moment(first_seen_us)}."
    details = {**who._asdict(), "first_seen": words.iso(first_seen_us)}
    subject = f"new application: {safe(who.name)}"
    return Alert(f"first/{who.name}/{who.path}", Kind.FIRST_SEEN, now_us, subject, text, details, only_logged)


def _changed(who: Who, inode: int, now_us: int, *, only_logged: bool) -> Alert:
    text = f"{_described(who)} has another executable than before: it was updated or replaced."
    details = {**who._asdict(), "inode": inode}
    key = f"changed/{who.name}/{who.path}/{inode}"
    return Alert(
        key, Kind.CHANGED, now_us, f"changed application: {safe(who.name)}", text, details, only_logged
    )


def _described(who: Who) -> str:
    parts = [safe(who.name)]
    if who.path and who.path != who.name:
        parts.append(f"({safe(who.path)})")
    if who.user:
        parts.append(f"of user {safe(who.user)}")
    for word, value in (("unit", who.unit), ("container", who.container), ("pod", who.pod)):
        if value:
            parts.append(f"in {word} {safe(value)}")
    return " ".join(parts)
