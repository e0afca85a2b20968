"""One look at a ledger: asks what is new, and has the rules judge it."""

import contextlib
import os
import shutil
from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, NamedTuple

from netusage.alerts import record_rules, rules
from netusage.alerts.record_rules import GapSeen, RecorderSeen
from netusage.alerts.rules import Minute, PlanSeen, QuotaRule, RateRule
from netusage.alerts.words import Judgement, Kind, Memory, Words
from netusage.errors import LedgerCorruptError, LedgerError, NoDataError
from netusage.ledger import alert_queries, lock
from netusage.ledger.alert_journal import Alert, Executable
from netusage.ledger.reader import LedgerReader
from netusage.model import MINUTE_S, QUARTER_S, US, Instant
from netusage.periods import PeriodKind, periods
from netusage.reports import selection
from netusage.reports.applications import name_of
from netusage.settings.schema import AlertSettings, PlanSettings, Settings, weekday_number

if TYPE_CHECKING:
    from netusage.reports.plans import Standing

_DAY_S = 86_400
_MORE_MINUTES = 60  # of a rate that were missed while nobody looked


class Found(NamedTuple):
    """What a look came to: alerts, what the rules remember, and executables that are known from now on."""

    alerts: list[Alert]
    memory: Memory
    learned: list[Executable]


class _Recorder(NamedTuple):
    """What the ledger last said of its recorder."""

    run: str
    last_us: int
    ended: bool
    failed_commits: int


class Look:
    """Looks at a ledger again and again, and asks only what is new.

    Args:
        ledger: the file; it need not be there yet.
        settings: rules, and how things are counted.
        words: how they are told.
    """

    def __init__(self, ledger: str, settings: Settings, words: Words) -> None:
        self._ledger = ledger
        self._settings = settings
        self._words = words
        self._version: tuple[int, ...] = ()
        self._recorder: _Recorder | None = None
        self._changed_ns = 0  # CLOCK_MONOTONIC: when the last commit was seen to have changed
        self._applications_mark: tuple[Any, ...] = ()
        self._shares = _Shares()

    def at(self, now: Instant, memory: Memory, known: set[Executable]) -> Found:
        """What is to be told now.

        Args:
            now: the present.
            memory: what was remembered, by rule; not changed.
            known: executables that are known; not changed.
        """
        found = Found([], {}, [])
        self._look_at_disk(found, now, memory)
        version = self._seen_version()
        if version == self._version:
            self._judge_recorder(found, now, memory)
            return found
        why: str | None = None
        try:
            with LedgerReader(self._ledger) as reader:
                self._ask(reader, found, now, memory, known)
        except LedgerCorruptError as error:
            why = error.message
        except LedgerError:
            return found  # it is locked, or its recorder brings it up to date: next time
        except NoDataError:
            return found
        self._version = version
        if self._settings.alerts.ledger:
            self._take(found, "damage", record_rules.damage(why, memory.get("damage", {}), now.wall_us))
        self._judge_recorder(found, now, memory)
        return found

    def again(self) -> None:
        """Ask all anew next time, because what was found could not be kept."""
        self._version, self._applications_mark = (), ()

    def _seen_version(self) -> tuple[int, ...]:
        """Another one whenever something was written into the ledger's files."""
        found: list[int] = []
        for name in (self._ledger, f"{self._ledger}-wal"):
            with contextlib.suppress(OSError):
                stat = os.stat(name)
                found += (stat.st_ino, stat.st_size, stat.st_mtime_ns)
        return tuple(found)

    @staticmethod
    def _take(found: Found, name: str, judgement: Judgement) -> None:
        found.alerts.extend(judgement.alerts)
        found.memory[name] = judgement.memory

    def _ask(
        self, reader: LedgerReader, found: Found, now: Instant, memory: Memory, known: set[Executable]
    ) -> None:
        settings = self._settings.alerts
        self._meet_recorder(reader, now)
        if settings.thresholds:
            for plan in self._settings.plan:
                if (
                    not plan.is_of_hosts
                ):  # the watcher has this machine's ledger; see Settings.unwatched_plans
                    self._ask_plan(reader, plan, found, now, memory)
        for rule in self._settings.alert:
            if rule.kind == "rate":
                self._ask_rate(reader, rule, found, now, memory)
            else:
                self._ask_quota(reader, rule, found, now)
        if settings.first_seen:
            self._ask_applications(reader, found, now, memory, known)
        if settings.gaps or settings.ledger:
            self._ask_gaps(reader, found, now, memory)

    # Plans, rates, quotas -----------------------------------------------------------------------------------------

    def _ask_plan(
        self, reader: LedgerReader, plan: PlanSettings, found: Found, now: Instant, memory: Memory
    ) -> None:
        from netusage.reports.plans import standing  # noqa: PLC0415  # many have no plan

        name = f"plan/{plan.name}"
        zone, overrides = self._words.zone, self._settings.interfaces
        judgement = Judgement([], memory.get(name, {}))
        with contextlib.suppress(NoDataError):
            seen = [_seen(standing(reader, plan, now.wall_us // US, zone, overrides))]
            cycle = judgement.memory.get("cycle")
            if cycle and cycle != self._words.day(
                seen[0].start_s
            ):  # what came at the very end of the last one
                with contextlib.suppress(NoDataError):
                    last = _seen(standing(reader, plan, now.wall_us // US, zone, overrides, back=1))
                    if cycle == self._words.day(last.start_s):
                        seen.insert(0, last)
            for one in seen:
                alerts, remembered = rules.thresholds(one, judgement.memory, now.wall_us, self._words)
                judgement = Judgement([*judgement.alerts, *alerts], remembered)
        self._take(found, name, judgement)

    def _ask_rate(
        self, reader: LedgerReader, rule: AlertSettings, found: Found, now: Instant, memory: Memory
    ) -> None:
        name = f"rate/{rule.name}"
        remembered = memory.get(name, {})
        ids = self._interfaces(reader, rule.interfaces)
        if self._recorder is None or not ids:
            return
        until_s = self._recorder.last_us // US // MINUTE_S * MINUTE_S
        if remembered:  # minutes that were missed while nobody looked, but none that are long over
            most = rule.lasting_minutes + _MORE_MINUTES
            since_s = max(remembered["minute"] + MINUTE_S, until_s - most * MINUTE_S)
        else:
            since_s = until_s - rule.lasting_minutes * MINUTE_S
        if since_s >= until_s:
            return
        of = ", ".join(rule.interfaces) or "the machine"
        of += {"both": "", "rx": " (received)", "tx": " (sent)"}[rule.direction]
        minutes = _minutes(reader, ids, rule.direction, since_s, until_s)
        told = RateRule(rule.name, rule.above_bytes, rule.lasting_minutes, of)
        self._take(found, name, rules.rate(told, minutes, remembered, now.wall_us, self._words))

    def _ask_quota(self, reader: LedgerReader, rule: AlertSettings, found: Found, now: Instant) -> None:
        now_s, report = now.wall_us // US, self._settings.report
        (period,) = periods(
            PeriodKind(rule.per),
            now_s,
            now_s + 1,
            self._words.zone,
            billing_day=report.billing_day,
            week_start=weekday_number(report.week_start),
        )
        ids = set(self._interfaces(reader, rule.interfaces))
        way = selection.WAYS[rule.direction]
        used: dict[str, int] = {}
        for (application, interface), (rx, tx) in self._shares.since(reader, period.start_s, now_s).items():
            if interface in ids and fnmatchcase(application, rule.application):
                used[application] = used.get(application, 0) + way(rx, tx)
        told = QuotaRule(rule.name, rule.above_bytes, rule.per, period.start_s)
        found.alerts.extend(rules.quota(told, used, now.wall_us, self._words))

    def _interfaces(self, reader: LedgerReader, patterns: Sequence[str]) -> tuple[int, ...]:
        interfaces = reader.interfaces()
        if not patterns:
            return selection.machine(interfaces, self._settings.interfaces).ids
        return tuple(one.id for one in interfaces if selection.matches(one.name, patterns))

    # Applications -------------------------------------------------------------------------------------------------

    def _ask_applications(
        self, reader: LedgerReader, found: Found, now: Instant, memory: Memory, known: set[Executable]
    ) -> None:
        day = now.wall_us // US // _DAY_S
        mark = (day, reader.state.identity, *alert_queries.applications_mark(reader))
        if mark == self._applications_mark:
            return
        versions = alert_queries.executables(reader)
        seen = [
            rules.ApplicationSeen(one.who, one.first_seen_us, versions.get(one.id, ()))
            for one in reader.seen()
        ]
        remembered = memory.get("applications", {})
        met = rules.applications(seen, known, remembered, now.wall_us, self._words)
        found.alerts.extend(met.alerts)
        found.learned.extend(met.learned)
        if remembered.get("day") != day:  # those that are still there are not forgotten
            found.learned.extend(rules.executables_of(seen))
        found.memory["applications"] = met.memory | {"day": day}
        self._applications_mark = mark

    # Gaps and the recorder ----------------------------------------------------------------------------------------

    def _ask_gaps(self, reader: LedgerReader, found: Found, now: Instant, memory: Memory) -> None:
        identity, settings = reader.state.identity, self._settings.alerts
        remembered = memory.get("gaps", {})
        if not remembered:  # those that were there before anybody wanted to know
            newest = alert_queries.newest_gap(reader)
            found.memory["gaps"] = {"identity": identity, "id": newest}
            return
        after = remembered["id"] if remembered["identity"] == identity else 0
        rows = alert_queries.gaps_after(reader, after)
        if not rows:
            if remembered["identity"] != identity:
                found.memory["gaps"] = {"identity": identity, "id": 0}
            return
        parts = {
            one.name: selection.part(one, self._settings.interfaces).counted for one in reader.interfaces()
        }
        seen = [
            GapSeen(number, gap, not gap.interface or parts.get(gap.interface, True)) for number, gap in rows
        ]
        alerts = record_rules.gaps(seen, identity, settings.longest_pause_us, now.wall_us, self._words)
        wanted = {Kind.GAP: settings.gaps, Kind.LEDGER: settings.ledger}
        found.alerts.extend(alert for alert in alerts if wanted[Kind(alert.kind)])
        found.memory["gaps"] = {"identity": identity, "id": rows[-1][0]}

    def _meet_recorder(self, reader: LedgerReader, now: Instant) -> None:
        run = reader.recorder().last_run
        if run is None:
            return
        name = f"{reader.state.identity}/{run.id}"
        seen = _Recorder(name, run.last_us, run.ended is not None, run.failed_commits)
        if self._recorder is None or (seen.run, seen.last_us) != (self._recorder.run, self._recorder.last_us):
            self._changed_ns = now.awake_ns
        self._recorder = seen

    def _judge_recorder(self, found: Found, now: Instant, memory: Memory) -> None:
        if self._recorder is None:
            return
        settings = self._settings.alerts
        run, last_us, ended, failed_commits = self._recorder
        running = lock.holder(self._ledger) is not None
        unchanged_us = (now.awake_ns - self._changed_ns) // 1000
        seen = RecorderSeen(run, last_us, running, ended, unchanged_us, failed_commits)
        if settings.gaps:
            found.alerts.extend(
                record_rules.silence(seen, settings.longest_pause_us, now.wall_us, self._words)
            )
        if settings.ledger:
            self._take(found, "commits", record_rules.commits(seen, memory.get("commits", {}), now.wall_us))

    def _look_at_disk(self, found: Found, now: Instant, memory: Memory) -> None:
        if self._settings.alerts.ledger:
            with contextlib.suppress(OSError):
                free = shutil.disk_usage(os.path.dirname(os.path.abspath(self._ledger))).free
                self._take(
                    found,
                    "space",
                    record_rules.space(free, memory.get("space", {}), now.wall_us, self._words),
                )


class _Shares:
    """What applications had since the start of periods; what does not change any more is asked once a day."""

    def __init__(self) -> None:
        self._of: tuple[str, int] = ("", 0)
        self._kept: dict[int, tuple[int, _Sums]] = {}

    def since(self, reader: LedgerReader, start_s: int, now_s: int) -> "_Sums":
        """Received and sent bytes by application and interface."""
        of = (reader.state.identity, now_s // _DAY_S)  # folding changes rows of days that are over
        if of != self._of:
            self._of, self._kept = of, {}
        settled_s = max((now_s // QUARTER_S - 2) * QUARTER_S, start_s)
        kept_s, sums = self._kept.get(start_s, (start_s, {}))
        if settled_s > kept_s:
            sums = _added(sums, reader, kept_s, settled_s)
            self._kept[start_s] = (settled_s, sums)
        return _added(sums, reader, settled_s, now_s + _DAY_S)


_Sums = dict[tuple[str, int], tuple[int, int]]


def _added(sums: _Sums, reader: LedgerReader, since_s: int, until_s: int) -> _Sums:
    sums = dict(sums)
    for row in reader.shares(since_s, until_s):
        if row.who.kind == "application":
            key = (name_of(row.who), row.interface_id)
            rx, tx = sums.get(key, (0, 0))
            sums[key] = (rx + row.counters.rx_bytes, tx + row.counters.tx_bytes)
    return sums


def _minutes(
    reader: LedgerReader, ids: Sequence[int], direction: str, since_s: int, until_s: int
) -> list[Minute]:
    """The minutes of a stretch; what is estimated, or was not watched from end to end, is not known."""
    edges = range(since_s, until_s + 1, MINUTE_S)
    (usage,) = reader.usage([ids], edges, packets=False)
    watched = [(one.start_us, one.end_us) for one in reader.watched(since_s * US, until_s * US)]
    way = selection.WAYS[direction]
    found = []
    for start_s, used in zip(edges, usage, strict=False):
        low, high = start_s * US, (start_s + MINUTE_S) * US
        known = not used.estimated_bytes and any(since <= low and high <= until for since, until in watched)
        found.append(Minute(start_s, way(used.rx_bytes, used.tx_bytes) if known else None))
    return found


def _seen(standing: "Standing") -> PlanSeen:
    return PlanSeen(
        standing.name,
        standing.start_s,
        standing.end_s,
        standing.used_bytes,
        standing.limit_bytes,
        standing.thresholds,
    )
