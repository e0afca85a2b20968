"""What readings mean: when an interval began, which path it takes, what an event says. Pure; no clock, no system.

The rules are those of `docs/accounting.md`. Two paths: whole columns are subtracted when the same interfaces are
there as a second ago (`_advance`), and interface by interface in every other case (`Accounts.account`).

On the wall clock an interval ends where the wall clock stood at its reading and is as long as CLOCK_BOOTTIME says.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from operator import gt, lt, sub

from netusage.ledger.batch import Batch, ClockStep, Health, Remembered
from netusage.model import (
    NS,
    US,
    Counters,
    Gap,
    GapKind,
    Instant,
    Link,
    LinkChange,
    LinkEvent,
    Place,
    Reading,
)
from netusage.recorder import beginnings, events
from netusage.recorder.account import MINUTE_US, Accounts, Interval, Life, Pending, same_life
from netusage.recorder.rules import Rules

_STEP_US = 250_000  # the wall clock moved against CLOCK_BOOTTIME: more than slewing does between two readings
_SLEPT_NS = NS
BEYOND_BELIEF = 1 << 63
_FOLD_ABOVE = 50_000  # uncommitted entries


@dataclass(slots=True)
class _Columns:
    """The living interfaces in the order of the source, and their counters as columns.

    last: at the last reading. peaks: the highest rates since the last flush into entries.
    """

    order: list[int]
    lives: list[Life]
    last: Sequence[list[int]]
    peaks: tuple[list[int], list[int]]


class Meter:
    """Accounts for every byte of every interface of one place, exactly once.

    Args:
        place: where the counters live.
        rules: see `Rules`.
        life_of: tells the life of a link that has just appeared (`Source.life`).
        selected: which interfaces `usage` adds up; the machine's total when None.
    """

    def __init__(
        self,
        place: Place,
        rules: Rules,
        *,
        life_of: Callable[[Link], int] = lambda _: 0,
        selected: Callable[[Link], bool] | None = None,
    ) -> None:
        self.health = Health()
        self._accounts = Accounts(place, rules, life_of, selected)
        self._columns: _Columns | None = None
        self._at = Instant(0, 0, 0)
        self._watched_from_us = 0
        self._minute_us = 0
        self._odd_rounds = 0
        self._odd_since_us = 0
        self._failure = ""
        self._doubted: dict[int, tuple[Counters, int]] = {}  # and since when, UTC microseconds
        self._unread: dict[int, Interval] = {}

    def start(self, at: Instant, links: Iterable[tuple[Link, Counters]], remembered: Remembered) -> None:
        """Take the first reading, and take up what an earlier recorder left."""
        self._at = at
        self._watched_from_us = at.wall_us
        present = list(links)
        beginnings.begin(self._accounts, at, present, remembered)
        self._arrange([link.index for link, _ in present])
        self._minute_us = at.wall_us // MINUTE_US * MINUTE_US

    def sample(self, at: Instant, reading: Reading, fresh: Sequence[LinkEvent] = ()) -> bool:
        """Account for one reading and the events that were waiting after it was taken.

        Returns:
            Whether the links must be looked at again (`resync`): for the second time the reading shows an interface
            that no event announced, or lacks one that no event took away.
        """
        interval = self._interval(at)
        columns = self._columns
        if columns is not None and not fresh and reading.indexes == columns.order:
            self._odd_rounds = 0
            self._advance(columns, reading, interval)
            self._at = at
            return False
        self._settle()
        touched = self._apply(fresh, interval)
        rows = zip(*reading, strict=True)
        for index, *values in rows:
            life = self._accounts.lives.get(index)
            if life is not None and index not in touched:
                self._take(life, Counters(*values), interval)
        self._at = at
        living = self._accounts.lives.keys()
        for index in touched & living:
            self._leave_unread(index, interval)
        self._unread = {index: since for index, since in self._unread.items() if index in living}
        self._arrange(reading.indexes)
        self._minute_us = at.wall_us // MINUTE_US * MINUTE_US
        odd = (set(reading.indexes) ^ living) - touched
        if odd and not self._odd_rounds:
            self._odd_since_us = interval.start_us
        self._odd_rounds = self._odd_rounds + 1 if odd else 0
        return self._odd_rounds > 1

    def resync(
        self,
        at: Instant,
        links: Iterable[tuple[Link, Counters]],
        fresh: Sequence[LinkEvent] = (),
        note: str = "",
        *,
        settled: bool = False,
    ) -> bool:
        """Look at all links anew: after lost events (say so in `note`), or when a reading did not fit.

        Interfaces that are gone without final counters become declared gaps; new ones count from zero.

        Returns:
            Whether it must be done again: an interface is there that the events know nothing of.
        """
        interval = self._interval(at)
        self._settle()
        if note:
            self._accounts.declare(interval, GapKind.EVENTS_LOST, note=note, lossy=True)
        unseen = interval
        if self._odd_rounds and self._odd_since_us < interval.start_us:
            unseen = replace(interval, start_us=self._odd_since_us)
        newest_life = self._accounts.newest_life
        present = list(links)
        seen = {link.index for link, _ in present}
        if settled:
            self._let_go({link.index: link for link, _ in present}, fresh, unseen)
        touched = self._apply(fresh, interval)
        if settled:
            touched = set()
        for link, counters in present:
            if link.index not in touched:
                self._look_at(link, counters, interval, unseen, newest_life)
        for index in [index for index in self._accounts.lives if index not in seen and index not in touched]:
            self._accounts.vanish(self._accounts.lives[index], unseen)
        self._at = at
        self._accounts.decide_parts()
        self._columns = None
        self._odd_rounds = 0
        self._minute_us = at.wall_us // MINUTE_US * MINUTE_US
        return any(index not in self._accounts.lives for index in seen)

    def _let_go(self, present: Mapping[int, Link], fresh: Sequence[LinkEvent], unseen: Interval) -> None:
        """Close what went away without a word, before events are taken for its own that speak of its successor."""
        told = {event.link.index for event in fresh if event.change is LinkChange.REMOVED}
        for index, life in list(self._accounts.lives.items()):
            link = present.get(index)
            if index not in told and (link is None or not same_life(life.link, link)):
                self._accounts.vanish(life, unseen)

    def follow(self, at: Instant, fresh: Sequence[LinkEvent]) -> None:
        """Take in events while there is no reading; the stretch since the last reading goes on."""
        self._settle()
        duration_ns = max(at.boot_ns - self._at.boot_ns, 1000)
        self._apply(fresh, Interval(at.wall_us - duration_ns // 1000, at.wall_us, duration_ns))

    def _look_at(
        self, link: Link, counters: Counters, interval: Interval, unseen: Interval, newest_life: int
    ) -> None:
        """One link of a list of all links.

        unseen: since when it may have been there without being noticed. newest_life: see `Accounts.arrive`.
        """
        accounts = self._accounts
        life = accounts.lives.get(link.index)
        if life is not None and not same_life(life.link, link):
            accounts.vanish(life, unseen)
            life = None
        if life is None:
            accounts.arrive(link, counters, self._since_read(link.index, interval), newest_life)
        else:
            self._take(life, counters, interval)
            accounts.restate(accounts.lives[link.index], link, interval.end_us)

    def source_failed(self, note: str) -> None:
        """The source could not be read; the stretch until it can be again is estimated, and declared."""
        self._failure = note

    def adapt(self, rules: Rules) -> None:
        """Go on under other rules."""
        if self._columns is not None:
            self._flush(self._columns)
        self._accounts.rules = rules
        self._accounts.decide_parts()

    def widen(self, counter_bits: int) -> None:
        """Follow a source that turns out to have wider counters than it seemed."""
        if counter_bits != self._accounts.rules.counter_bits:
            self._accounts.rules = replace(self._accounts.rules, counter_bits=counter_bits)

    def declare(self, gap: Gap) -> None:
        """Put a gap on record that only the loop knows of."""
        self._accounts.pending.gaps.append(gap)

    def batch(self, ended: str | None = None) -> Batch:
        """Everything that is not committed yet; stays pending until `committed` is called.

        ended: why the recorder stops, when this is its last batch.
        """
        if self._columns is not None:
            self._flush(self._columns)
        if len(self._accounts.pending.entries) > _FOLD_ABOVE:
            self._accounts.fold(self._minute_us)
        pending = self._accounts.pending
        return Batch(
            at=self._at,
            watched=[*pending.watched, (self._watched_from_us, self._at.wall_us)],
            entries=pending.entries,
            spans=pending.spans,
            epochs=list(pending.epochs),
            gaps=pending.gaps,
            steps=pending.steps,
            health=self.health,
            newest_life=self._accounts.newest_life,
            ended=ended,
        )

    def committed(self) -> None:
        """The last batch is in the ledger."""
        self._accounts.pending = Pending()

    def start_over(self) -> None:
        """The ledger is a new one: every living epoch has to be made known to it."""
        self._accounts.start_over()

    def usage(self) -> Counters:
        """What the selected interfaces counted since `start`."""
        if self._columns is not None:
            self._flush(self._columns)
        return self._accounts.usage()

    def _interval(self, at: Instant) -> Interval:
        """The stretch since the last reading; notes clock steps, suspends and stalls."""
        duration_ns = max(at.boot_ns - self._at.boot_ns, 1)
        duration_us = max(duration_ns // 1000, 1)
        drift_us = at.wall_us - self._at.wall_us - duration_us
        estimated = None
        if duration_ns > self._accounts.rules.longest_ns:
            slept = duration_ns - (at.awake_ns - self._at.awake_ns) > _SLEPT_NS
            estimated = GapKind.SUSPEND if slept else GapKind.SOURCE if self._failure else GapKind.STALLED
        interval = Interval(at.wall_us - duration_us, at.wall_us, duration_ns, estimated)
        if abs(drift_us) > _STEP_US:
            step = ClockStep(at.boot_ns, self._at.wall_us + duration_us, at.wall_us)
            self._accounts.pending.steps.append(step)
        if estimated is not None:
            self._accounts.declare(interval, estimated, lossy=False, note=self._failure)
        self._failure = ""
        if estimated is not None or abs(drift_us) > _STEP_US:
            self._accounts.pending.watched.append((self._watched_from_us, self._at.wall_us))
            self._watched_from_us = at.wall_us if estimated else interval.start_us
        return interval

    def _advance(self, columns: _Columns, reading: Reading, interval: Interval) -> None:
        """The ordinary second: the same interfaces as before, and all counters went forward."""
        now = reading[1:]
        minute_us = self._minute_us
        in_minute = minute_us <= interval.start_us and interval.end_us <= minute_us + MINUTE_US
        if in_minute and interval.estimated is None:
            if now == columns.last:
                return
            rx, tx = (list(map(sub, new, old)) for new, old in zip(now[:2], columns.last, strict=False))
            if self._is_ordinary(rx, tx, now, columns.last):
                over_ns = max(interval.duration_ns, self._accounts.rules.sample_ns)
                for peaks, bytes_ in zip(columns.peaks, (rx, tx), strict=True):
                    if over_ns < NS or any(map(gt, bytes_, peaks)):  # otherwise no rate can be a new peak
                        peaks[:] = map(max, peaks, [n * NS // over_ns for n in bytes_])
                columns.last = now
                return
        self._settle()
        for life, values in zip(columns.lives, zip(*now, strict=True), strict=True):
            self._take(life, Counters(*values), interval)
        self._arrange(columns.order)
        self._minute_us = interval.end_us // MINUTE_US * MINUTE_US

    def _is_ordinary(
        self, rx: list[int], tx: list[int], now: Sequence[list[int]], last: Sequence[list[int]]
    ) -> bool:
        """Whether all counters went forward, by amounts that can be believed."""
        return (
            min(rx) >= 0
            and min(tx) >= 0
            and max(rx) < BEYOND_BELIEF
            and max(tx) < BEYOND_BELIEF
            and not any(map(lt, now[2], last[2]))
            and not any(map(lt, now[3], last[3]))
            and not self._doubted
            and self._accounts.rules.counter_bits == 64
        )

    def _flush(self, columns: _Columns) -> None:
        """Turn what the columns gathered since the last flush into entries of the present minute."""
        minute_s = self._minute_us // US
        enter = self._accounts.enter
        rows = zip(columns.lives, zip(*columns.last, strict=True), *columns.peaks, strict=True)
        for life, values, peak_rx, peak_tx in rows:
            epoch = life.epoch
            if values != epoch.last:
                counters = Counters._make(values)
                enter(life, minute_s, counters.minus(epoch.last), peak_rx, peak_tx)
                epoch.last = counters
        for peaks in columns.peaks:
            peaks[:] = [0] * len(peaks)

    def _settle(self) -> None:
        """Leave the column path: afterwards the epochs hold the last reading."""
        if self._columns is not None:
            self._flush(self._columns)
            self._columns = None

    def _arrange(self, order: list[int]) -> None:
        """Enter the column path when every interface of the source's order is known."""
        lives = [self._accounts.lives.get(index) for index in order]
        known = [life for life in lives if life is not None]
        if self._unread or len(known) != len(order) or len(known) != len(self._accounts.lives):
            self._columns = None
            return
        last = tuple(list(column) for column in zip(*(life.epoch.last for life in known), strict=True))
        columns = last or ([], [], [], [])
        self._columns = _Columns(order, known, columns, ([0] * len(known), [0] * len(known)))

    def _take(self, life: Life, counters: Counters, interval: Interval) -> None:
        """Account for one interface of a reading.

        A counter that went down is believed the second time: the first time, the event that explains it (a removal)
        may still be on its way. That of a veth end that has lost its other end never is: its removal tells the rest.
        A counter that no ledger could hold is no reading.
        """
        index, name = life.link.index, life.link.name
        went_down = min(counters.minus(life.epoch.last)) < 0
        beyond = max(counters) >= BEYOND_BELIEF
        doubted = self._doubted.pop(index, None)
        if went_down and self._accounts.rules.has_events and life.link.kind == "veth" and not life.link.lower:
            self._leave_unread(index, interval)
            return
        if beyond or (went_down and self._accounts.rules.has_events and doubted is None):
            self._doubted[index] = doubted or (counters, interval.start_us)
            if beyond and doubted is None:
                note = f"its counters are {tuple(counters)}, which is not believed"
                self._accounts.declare(interval, GapKind.RESET, lossy=True, interface=name, note=note)
            self._leave_unread(index, interval)
            return
        if doubted is not None:
            seen, since_us = doubted
            interval_since = replace(interval, start_us=min(since_us, interval.start_us))
            note = f"it went down to {tuple(seen)}, and then was {tuple(counters)}"
            self._accounts.declare(interval_since, GapKind.RESET, lossy=True, interface=name, note=note)
        self._accounts.account(life, counters, self._since_read(index, interval))

    def _leave_unread(self, index: int, interval: Interval) -> None:
        """The reading of a link is not used: what it counts until the next one may be as old as this interval."""
        since = self._since_read(index, interval)
        if since.estimated:
            self._unread[index] = since

    def _since_read(self, index: int, interval: Interval) -> Interval:
        """The stretch since the link was read; it may have begun in an earlier, estimated interval."""
        earlier = self._unread.pop(index, None)
        if earlier is None:
            return interval
        duration_ns = interval.duration_ns + earlier.duration_ns
        return replace(
            earlier,
            start_us=interval.end_us - duration_ns // 1000,
            end_us=interval.end_us,
            duration_ns=duration_ns,
        )

    def _apply(self, fresh: Sequence[LinkEvent], interval: Interval) -> set[int]:
        """Follow the link events; the links whose identity changed."""
        self.health.events += len(fresh)
        touched = events.follow(
            self._accounts, fresh, interval, lambda index: self._since_read(index, interval)
        )
        for index in touched:
            self._doubted.pop(index, None)
        return touched
