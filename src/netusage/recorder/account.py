"""Accounts of living links: from counters to entries, spans, epochs and declared gaps. Pure; no clock, no system."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from netusage.ledger.batch import ClockStep, Entry, Epoch, Span
from netusage.model import MINUTE_S, NS, US, ZERO, Counters, Gap, GapKind, Link, Place
from netusage.recorder import totals
from netusage.recorder.rules import Rules

MINUTE_US = MINUTE_S * US
_WRAP = 1 << 32
_LARGEST_PACKET = 1 << 16  # bytes; also of a super-packet
_AHEAD = 64  # packets whose bytes are counted already: the two counters are not read in one go
_FASTEST = 12_500_000_000  # bytes per second: 100 Gbit/s


@dataclass(slots=True, eq=False)
class Life:
    """A living link: its epoch, and where this session of the meter began to count it.

    kind: as the source tells it now; the ledger may have the link's kind from another source.
    """

    link: Link
    epoch: Epoch
    session_base: Counters
    kind: str


class Interval(NamedTuple):
    """A stretch between two readings on the wall clock; `estimated` names the gap when it is too long to be one."""

    start_us: int
    end_us: int
    duration_ns: int
    estimated: GapKind | None = None


@dataclass(slots=True)
class Pending:
    """What has not been committed yet."""

    entries: dict[tuple[int, Epoch], Entry] = field(default_factory=dict)
    spans: list[Span] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    steps: list[ClockStep] = field(default_factory=list)
    epochs: dict[Epoch, None] = field(default_factory=dict)
    watched: list[tuple[int, int]] = field(default_factory=list)


class Accounts:
    """The living links of one place, and what is known of them but not committed yet.

    Args:
        place: where the counters live.
        rules: see `Rules`; may be exchanged while counting.
        life_of: tells the life of a link that has just appeared (`Source.life`).
        selected: which interfaces `usage` adds up; the machine's total when None.
    """

    def __init__(
        self,
        place: Place,
        rules: Rules,
        life_of: Callable[[Link], int],
        selected: Callable[[Link], bool] | None,
    ) -> None:
        self.rules = rules
        self.lives: dict[int, Life] = {}
        self.pending = Pending()
        self.gone = ZERO
        self.newest_life = 0  # of all links that were ever here
        self._place = place
        self._life_of = life_of
        self._selected = selected

    def account(self, life: Life, counters: Counters, interval: Interval) -> None:
        """Record what the interface counted since its last reading."""
        epoch = life.epoch
        if self.rules.counter_bits != 64:
            counters = unwrapped(epoch.last, counters)
        difference = counters.minus(epoch.last)
        if min(difference) < 0:
            life = self.reset(life, counters, interval)
            epoch = life.epoch
            difference = counters.minus(epoch.last)
        if difference.is_zero:
            return
        epoch.last = counters
        if interval.estimated is not None:
            self.touch(life)
            span = Span(epoch, interval.start_us, interval.end_us, difference, str(interval.estimated))
            self.pending.spans.append(span)
            return
        over_ns = max(interval.duration_ns, self.rules.sample_ns)
        rate_rx, rate_tx = (n * NS // over_ns for n in difference[:2])
        first_us = interval.start_us // MINUTE_US * MINUTE_US
        length_us = interval.end_us - interval.start_us
        entered = ZERO
        for minute_us in range(first_us, interval.end_us, MINUTE_US):
            until_us = min(minute_us + MINUTE_US, interval.end_us) - interval.start_us
            due = Counters(*(n * until_us // length_us for n in difference))
            is_last = minute_us + MINUTE_US >= interval.end_us
            peaks = (rate_rx, rate_tx) if is_last else (0, 0)
            self.enter(life, minute_us // US, due.minus(entered), *peaks)
            entered = due

    def enter(self, life: Life, minute_s: int, counters: Counters, peak_rx: int, peak_tx: int) -> None:
        """Add to the entry of the UTC minute that begins at `minute_s`; peaks in bytes per second."""
        if counters.is_zero:
            return
        self.touch(life)
        key = (minute_s, life.epoch)
        entry = self.pending.entries.get(key)
        if entry is None:
            self.pending.entries[key] = Entry(counters, peak_rx, peak_tx)
        else:
            entry.counters = entry.counters.plus(counters)
            entry.peak_rx = max(entry.peak_rx, peak_rx)
            entry.peak_tx = max(entry.peak_tx, peak_tx)

    def touch(self, life: Life) -> None:
        """The epoch has to be written at the next commit."""
        self.pending.epochs[life.epoch] = None

    def reset(self, life: Life, counters: Counters, interval: Interval) -> Life:
        """A counter went down within one life: a new epoch.

        It counts from zero, unless no link is fast enough to have come from zero to where it stands now since the
        last reading: then the counters were disturbed rather than reset, and counting goes on from here.
        """
        reach = _FASTEST * (interval.duration_ns // NS + 1)
        first = ZERO if max(counters[:2]) <= reach else counters
        note = f"was {tuple(life.epoch.last)}, is {tuple(counters)}, counted from {tuple(first)}"
        self.declare(interval, GapKind.RESET, lossy=True, interface=life.link.name, note=note)
        self.close(life, interval.end_us, "reset")
        return self.open(life.link, first, interval.end_us, "reset", life.kind)

    def open(self, link: Link, first: Counters, at_us: int, because: str, kind: str | None = None) -> Life:
        """Begin an epoch that counts from `first`. `kind`: see `Life`; None when it is the link's."""
        epoch = Epoch(self._place, link, at_us, because, first, first, committed=first)
        life = Life(link, epoch, first, link.kind if kind is None else kind)
        self.lives[link.index] = life
        self.newest_life = max(self.newest_life, link.life)
        self.touch(life)
        return life

    def close(self, life: Life, at_us: int, because: str) -> None:
        """End the epoch where it stands."""
        epoch = life.epoch
        if not epoch.reason:
            self.decide_parts()
        epoch.closed_us, epoch.closed_because = at_us, because
        self.touch(life)
        if self.is_selected(life):
            self.gone = self.gone.plus(epoch.last.minus(life.session_base))
        self.lives.pop(life.link.index, None)

    def appear(
        self, link: Link, first: Counters, interval: Interval, because: str, counters: Counters | None = None
    ) -> None:
        """A link that was not there at the last reading; `counters`, when known, are its present ones."""
        link = link if link.life else link._replace(life=self._life_of(link))
        life = self.open(link, first, interval.end_us, because)
        if counters is not None:
            self.account(life, counters, interval)

    def arrive(self, link: Link, counters: Counters, interval: Interval, newest_life: int) -> None:
        """A link that came while nobody looked: a new one, or one that came (or came back) from another namespace.

        newest_life: of all links that were here at the last look; lives are numbered in the order of birth, so a
            link with a smaller one has lived before, elsewhere.
        """
        if not 0 < link.life <= newest_life:
            self.appear(link, ZERO, interval, "appeared", counters)
            return
        self.appear(link, counters, interval, "moved-in")
        note = f"it came from another namespace unseen, with {tuple(counters)}: how much of it was counted here is not known"
        self.declare(interval, GapKind.STOPPED, lossy=True, interface=link.name, note=note)

    def vanish(self, life: Life, interval: Interval) -> None:
        """A link that went away without telling its final counters: what it had after its last reading is lost."""
        self.declare(
            interval,
            GapKind.VANISHED,
            lossy=True,
            interface=life.link.name,
            note="it went away unseen: what it counted after its last reading is not known",
        )
        self.close(life, interval.end_us, "vanished")

    def restate(self, life: Life, link: Link, at_us: int) -> None:
        """The link says something new about itself; under a new name it goes on in a new epoch."""
        known = life.link
        link = link._replace(life=known.life or link.life or self._life_of(link), kind=known.kind)
        if link.name != life.link.name:
            last = life.epoch.last
            self.close(life, at_us, "renamed")
            self.open(link, last, at_us, "renamed", life.kind)
            return
        if link != life.link:
            life.link = life.epoch.link = link
            self.newest_life = max(self.newest_life, link.life)
            life.epoch.restated = True
            self.touch(life)

    def decide_parts(self) -> None:
        """Say of every interface whether it is part of the machine's total."""
        rules = self.rules
        links = [life.link for life in self.lives.values()]
        parts = totals.parts(links, counted=rules.counted, not_counted=rules.not_counted)
        for index, life in self.lives.items():
            epoch, part = life.epoch, parts[index]
            if (epoch.counted, epoch.reason) != part:
                if epoch.reason and epoch.counted != part.counted and self._selected is None:
                    self._settle_session(life)
                epoch.counted, epoch.reason = part
                epoch.restated = True
                self.touch(life)

    def is_selected(self, life: Life) -> bool:
        """Whether `usage` adds it up."""
        return self._selected(life.link) if self._selected is not None else life.epoch.counted

    def declare(
        self, interval: Interval, kind: GapKind, *, lossy: bool, interface: str = "", note: str = ""
    ) -> None:
        """Put a gap on record."""
        gap = Gap(interval.start_us, interval.end_us, kind, lossy=lossy, interface=interface, note=note)
        self.pending.gaps.append(gap)

    def _settle_session(self, life: Life) -> None:
        """Keep what `usage` had of an interface that now leaves the total, or take it in from here on."""
        if life.epoch.counted:
            self.gone = self.gone.plus(life.epoch.last.minus(life.session_base))
        life.session_base = life.epoch.last

    def usage(self) -> Counters:
        """What the selected interfaces counted since the session began."""
        total = self.gone
        for life in self.lives.values():
            if self.is_selected(life):
                total = total.plus(life.epoch.last.minus(life.session_base))
        return total

    def begin_session(self) -> None:
        """Count `usage` from here."""
        self.gone = ZERO
        for life in self.lives.values():
            life.session_base = life.epoch.last

    def start_over(self) -> None:
        """The ledger is a new one: every living epoch has to be made known to it."""
        for life in self.lives.values():
            self.touch(life)
        for epoch in self.pending.epochs:
            epoch.start_over()

    def fold(self, now_us: int) -> None:
        """Give up minutes, not bytes: entries before the last hour become one estimated stretch an hour."""
        keep_s = (now_us // US - 3600) // 3600 * 3600
        hours: dict[tuple[int, Epoch], Counters] = {}
        entries = self.pending.entries
        for key in [key for key in entries if key[0] < keep_s]:
            hour = (key[0] // 3600 * 3600, key[1])
            hours[hour] = hours.get(hour, ZERO).plus(entries.pop(key).counters)
        for (hour_s, epoch), counters in hours.items():
            span = Span(epoch, hour_s * US, (hour_s + 3600) * US, counters, str(GapKind.LEDGER))
            self.pending.spans.append(span)


def same_life(known: Link, seen: Link) -> bool:
    """Whether two sightings under one index are the same life of a link, as far as can be told."""
    if known.life and seen.life:
        return known.life == seen.life
    return known.name == seen.name or known.kind == seen.kind


def same_kind(known: str, seen: str) -> bool:
    """Whether one source can tell both of one life: a link keeps its kind, but PPPoE can come and go on a ppp link."""
    return known == seen or {known, seen} == {"ppp", "pppoe"}


def unwrapped(last: Counters, raw: Counters) -> Counters:
    """The counters of a source whose byte counters wrap at 2^32, continued from `last`.

    Packet counters do not wrap; a byte counter that went down is taken for a wrap only when the packets since then
    can have carried it. Otherwise the raw values are returned, and they are a reset.
    """
    if raw.rx_packets < last.rx_packets or raw.tx_packets < last.tx_packets:
        return raw
    rx = last.rx_bytes + (raw.rx_bytes - last.rx_bytes) % _WRAP
    tx = last.tx_bytes + (raw.tx_bytes - last.tx_bytes) % _WRAP
    rx_room = (raw.rx_packets - last.rx_packets + _AHEAD) * _LARGEST_PACKET
    tx_room = (raw.tx_packets - last.tx_packets + _AHEAD) * _LARGEST_PACKET
    if rx - last.rx_bytes > rx_room or tx - last.tx_bytes > tx_room:
        return raw
    return Counters(rx, tx, raw.rx_packets, raw.tx_packets)
