"""What readings mean: when an interval began, which path it takes, what an event says. Pure; no clock, no system.

The rules are those of `docs/accounting.md`. Two paths: whole columns are subtracted when the same interfaces are
there as a second ago (`Columns.advance`), and interface by interface in every other case (`Accounts.account`).

On the wall clock an interval ends where the wall clock stood at its reading and is as long as CLOCK_BOOTTIME says.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from netusage.ledger.batch import Batch, ClockStep, Epoch, Health, Remembered
from netusage.model import (
    NS,
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
from netusage.recorder.account import Accounts, Interval, Life, Pending, same_life
from netusage.recorder.columns import Columns
from netusage.recorder.rules import Rules

_STEP_US = 250_000  # the wall clock moved against CLOCK_BOOTTIME: more than slewing does between two readings
_SLEPT_NS = NS
BEYOND_BELIEF = 1 << 63
_FOLD_ABOVE = 50_000  # uncommitted entries
_MOST_WAITING = 16  # readings


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
        self._columns: Columns | None = None
        self._at = Instant(0, 0, 0)
        self._watched_from_us = 0
        self._odd_rounds = 0
        self._odd_since_us = 0
        self._failure = ""
        self._doubted: dict[int, tuple[Counters, int]] = {}  # and since when, UTC microseconds
        self._unread: dict[int, Interval] = {}
        self._waiting: list[tuple[Instant, Reading]] = []
        self._does_not_fit = False

    def start(self, at: Instant, links: Iterable[tuple[Link, Counters]], remembered: Remembered) -> None:
        """Take the first reading, and take up what an earlier recorder left."""
        self._at = at
        self._watched_from_us = at.wall_us
        present = list(links)
        beginnings.begin(self._accounts, at, present, remembered)
        self._arrange([link.index for link, _ in present])

    def sample(self, at: Instant, reading: Reading, fresh: Sequence[LinkEvent] = ()) -> bool:
        """Account for one reading and the events that were waiting after it was taken.

        Where events tell what changes, an ordinary reading waits until there are more or somebody asks: ten at once
        cost little more than one does to a process that has slept for a second.

        Returns:
            Whether the links must be looked at again (`resync`): for the second time a reading shows an interface
            that no event announced, or lacks one that no event took away.
        """
        self._waiting.append((at, reading))
        is_ordinary = (
            self._columns is not None and len(reading.indexes) == len(self._columns.order) and not fresh
        )
        if not (is_ordinary and self._accounts.rules.has_events) or len(self._waiting) >= _MOST_WAITING:
            self._catch_up(fresh)
        does_not_fit, self._does_not_fit = self._does_not_fit, False
        return does_not_fit

    def _catch_up(self, fresh: Sequence[LinkEvent] = ()) -> None:
        """Account for the readings that wait; the events came after the last of them."""
        waiting, self._waiting = self._waiting, []
        for n, (at, reading) in enumerate(waiting, start=1):
            self._account(at, reading, fresh if n == len(waiting) else ())

    def _account(self, at: Instant, reading: Reading, fresh: Sequence[LinkEvent]) -> None:
        """Account for one reading."""
        interval = self._interval(at)
        if not fresh and self._advance(reading, interval):
            self._odd_rounds = 0
            self._at = at
            return
        self._settle()
        touched = self._apply(fresh, interval)
        for index, *values in zip(*reading, strict=True):
            life = self._accounts.lives.get(index)
            if life is not None and index not in touched:
                self._take(life, Counters(*values), interval)
        self._at = at
        living = self._accounts.lives.keys()
        for index in touched & living:
            self._leave_unread(index, interval)
        self._unread = {index: since for index, since in self._unread.items() if index in living}
        self._arrange(reading.indexes)
        odd = (set(reading.indexes) ^ living) - touched
        if odd and not self._odd_rounds:
            self._odd_since_us = interval.start_us
        self._odd_rounds = self._odd_rounds + 1 if odd else 0
        self._does_not_fit = self._odd_rounds > 1

    def resync(
        self,
        at: Instant,
        links: Iterable[tuple[Link, Counters]],
        fresh: Sequence[LinkEvent] = (),
        note: str = "",
        *,
        earlier: Iterable[tuple[Link, Counters]] = (),
        settled: bool = False,
    ) -> bool:
        """Look at all links anew: after lost events (say so in `note`), or when a reading did not fit.

        Interfaces that are gone without final counters become declared gaps; new ones count from zero.

        Args:
            at: when.
            links: all links.
            fresh: the events that came until then.
            note: why events were lost.
            earlier: lists before that one, which some of the events made out of date.
            settled: no event came after `links`.

        Returns:
            Whether it must be done again: an interface is there that the events know nothing of.
        """
        self._catch_up()
        interval = self._interval(at)
        self._settle()
        if note:
            self._accounts.declare(interval, GapKind.EVENTS_LOST, note=note, lossy=True)
        unseen = interval
        if self._odd_rounds and self._odd_since_us < interval.start_us:
            unseen = interval._replace(start_us=self._odd_since_us)
        newest_life = self._accounts.newest_life
        present = list(links)
        seen = {link.index for link, _ in present}
        if settled:
            now = {link.index: link for link, _ in present}
            self._let_go(now, fresh, unseen)
            for link, counters in self._gone_again(earlier, now, fresh):
                self._look_at(link, counters, interval, unseen, newest_life)
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
        self._does_not_fit = False
        return any(index not in self._accounts.lives for index in seen)

    def _let_go(self, present: Mapping[int, Link], fresh: Sequence[LinkEvent], unseen: Interval) -> None:
        """Close what went away without a word, before events are taken for its own that speak of its successor."""
        told = {event.link.index for event in fresh if event.change is LinkChange.REMOVED}
        for index, life in list(self._accounts.lives.items()):
            link = present.get(index)
            if index not in told and (link is None or not same_life(life.link, link)):
                self._accounts.vanish(life, unseen)

    def _gone_again(
        self,
        earlier: Iterable[tuple[Link, Counters]],
        present: Mapping[int, Link],
        fresh: Sequence[LinkEvent],
    ) -> list[tuple[Link, Counters]]:
        """Links that are only in an earlier list, and not the ones known: a single removal that is told is theirs."""
        removals = Counter(event.link.index for event in fresh if event.change is LinkChange.REMOVED)
        found = []
        for index, (link, counters) in {link.index: (link, counters) for link, counters in earlier}.items():
            others = [self._accounts.lives[index].link] if index in self._accounts.lives else []
            others += [present[index]] if index in present else []
            if removals[index] == 1 and not any(same_life(other, link) for other in others):
                found.append((link, counters))
        return found

    def follow(self, at: Instant, fresh: Sequence[LinkEvent]) -> None:
        """Take in events while there is no reading; the stretch since the last reading goes on."""
        self._catch_up()
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
        self._catch_up()
        self._failure = note

    def adapt(self, rules: Rules) -> None:
        """Go on under other rules."""
        self._catch_up()
        self._settle()
        self._accounts.rules = rules
        self._accounts.decide_parts()

    def widen(self, counter_bits: int) -> None:
        """Follow a source that turns out to have wider counters than it seemed."""
        if counter_bits != self._accounts.rules.counter_bits:
            self._catch_up()
            self._accounts.rules = replace(self._accounts.rules, counter_bits=counter_bits)

    def declare(self, gap: Gap) -> None:
        """Put a gap on record that only the loop knows of."""
        self._accounts.pending.gaps.append(gap)

    def batch(self, ended: str | None = None) -> Batch:
        """Everything that is not committed yet; stays pending until `committed` is called.

        ended: why the recorder stops, when this is its last batch.
        """
        self._catch_up()
        if any(life.epoch.row is None for life in self._accounts.lives.values()):
            self._settle()  # the ledger has to be told of them first
        columns, accounts = self._columns, self._accounts
        if len(accounts.pending.entries) + (columns.size if columns is not None else 0) > _FOLD_ABOVE:
            self._settle()
            accounts.fold(self._at.wall_us)
        pending = accounts.pending
        return Batch(
            at=self._at,
            watched=[*pending.watched, (self._watched_from_us, self._at.wall_us)],
            entries=pending.entries,
            spans=pending.spans,
            epochs=list(pending.epochs),
            together=self._columns.together() if self._columns is not None else None,
            gaps=pending.gaps,
            steps=pending.steps,
            health=self.health,
            newest_life=accounts.newest_life,
            ended=ended,
        )

    def epochs(self) -> dict[int, Epoch]:
        """The epoch of each interface by its index: the living one, else one that ended since the last commit."""
        ended = {epoch.link.index: epoch for epoch in self._accounts.pending.epochs}
        return ended | {index: life.epoch for index, life in self._accounts.lives.items()}

    def committed(self) -> None:
        """The last batch is in the ledger."""
        self._accounts.pending = Pending()
        if self._columns is not None:
            self._columns.committed()

    def start_over(self) -> None:
        """The ledger is a new one: every living epoch has to be made known to it."""
        self._catch_up()
        self._settle()
        self._accounts.start_over()

    def usage(self) -> Counters:
        """What the selected interfaces counted since `start`."""
        self._catch_up()
        if self._columns is not None:
            self._columns.update()
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

    def _advance(self, reading: Reading, interval: Interval) -> bool:
        """Take a reading of the very interfaces of the columns, when nothing about it is out of the ordinary."""
        columns, rules = self._columns, self._accounts.rules
        return (
            columns is not None
            and interval.estimated is None
            and rules.counter_bits == 64
            and not self._doubted
            and list(reading.indexes) == columns.order
            and columns.advance(reading, interval, rules.sample_ns)
        )

    def _settle(self) -> None:
        """Leave the column path: afterwards the epochs hold the last reading."""
        if self._columns is not None:
            self._columns.dissolve(self._accounts)
            self._columns = None

    def _arrange(self, order: Sequence[int]) -> None:
        """Enter the column path when every interface of the source's order is known, and no other is."""
        lives = self._accounts.lives
        fits = not self._unread and len(order) == len(lives) and set(order) == lives.keys()
        self._columns = Columns([lives[index] for index in order]) if fits else None

    def _take(self, life: Life, counters: Counters, interval: Interval) -> None:
        """Account for one interface of a reading.

        A counter that went down is believed the second time: the first time, the event that explains it (a removal)
        may still be on its way. That of a veth end that has lost its other end never is: its removal tells the rest.
        A counter that no ledger could hold is no reading.
        """
        index, name = life.link.index, life.link.name
        parted = self._accounts.rules.has_events and life.link.kind == "veth" and not life.link.lower
        went_down = min(counters.minus(life.epoch.last)) < 0
        beyond = max(counters) >= BEYOND_BELIEF
        doubted = self._doubted.pop(index, None)
        if went_down and parted:
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
            interval_since = interval._replace(start_us=min(since_us, interval.start_us))
            note = f"it went down to {tuple(seen)}, and then was {tuple(counters)}"
            self._accounts.declare(interval_since, GapKind.RESET, lossy=True, interface=name, note=note)
        since = self._since_read(index, interval)
        self._accounts.account(life, counters, since)
        if parted and since.estimated:
            self._unread[index] = since  # what it received in that time its removal tells

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
        return earlier._replace(
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
