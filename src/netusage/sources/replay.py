"""A source that plays a script of steps on a clock of its own, without a kernel.

A script is a list of `Step`: what is so at the start, and then what changes, and when. Time moves only when
`advance` or `play` says so::

    eth0 = Link(2, "eth0")
    source = ReplaySource([
        Step(links=[(eth0, Counters(1000, 500, 10, 5))]),
        Step(after_ns=NS, counters={"eth0": Counters(1500, 600, 11, 6)}),
        Step(after_ns=NS, events=[LinkEvent(LinkChange.REMOVED, eth0, Counters(1700, 600, 12, 6))]),
    ])
    source.clock.now(), source.read()
    source.advance()

`replay_file` reads and writes scripts as JSON lines.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from netusage.clock import Clock
from netusage.errors import SourceError
from netusage.model import ZERO, Counters, Instant, Link, LinkChange, LinkEvent, Place, Reading
from netusage.sources.base import EventsLostError

START = Instant(boot_ns=3_600_000_000_000, awake_ns=3_600_000_000_000, wall_us=1_735_732_800_000_000)
PLACE = Place("replayed-boot", 1, "replayed-machine")


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What changes at one moment. The first step of a script is how things are at its start.

    after_ns: CLOCK_BOOTTIME since the step before.
    awake_ns: CLOCK_MONOTONIC since the step before; None: the same. The difference is a suspend, and is slept
        through after the awake part.
    wall_step_us: the wall clock steps by so much, besides going on.
    links: every interface there is from now on, with its counters; None: as before.
    counters: new counters, by name of the interface.
    events: link events that arrive. Unless `links` is given too, they change the list of interfaces by themselves.
        The source delivers them with life 0, as the kernel's; `life` tells it.
    place: where the counters live from now on; None: as before.
    failure: reading anything fails with this message until the next step; "": it works.
    events_lost: after these events, the kernel dropped some.
    """

    after_ns: int = 0
    awake_ns: int | None = None
    wall_step_us: int = 0
    links: Sequence[tuple[Link, Counters]] | None = None
    counters: Mapping[str, Counters] = field(default_factory=dict)
    events: Sequence[LinkEvent] = ()
    place: Place | None = None
    failure: str = ""
    events_lost: bool = False


class ReplayClock(Clock):
    """A clock that moves only when it is told to."""

    def __init__(self, start: Instant = START) -> None:
        self._now = start
        self._wall_ns = start.wall_us * 1000

    def now(self) -> Instant:
        """The moment that was reached."""
        return self._now

    def advance(self, boot_ns: int, awake_ns: int | None = None, wall_step_us: int = 0) -> None:
        """Move on; `awake_ns` is as `boot_ns` when it is None, and the wall clock may step besides."""
        awake_ns = boot_ns if awake_ns is None else awake_ns
        self._wall_ns += boot_ns + wall_step_us * 1000
        self._now = Instant(self._now.boot_ns + boot_ns, self._now.awake_ns + awake_ns, self._wall_ns // 1000)


class ReplaySource:
    """Plays the steps; opened at the first one.

    Args:
        steps: the script; an empty one is a machine without interfaces.
        clock: moved by `advance` and `play`; a new one that stands at START when None.
        place: where the counters live at the start.
        counter_bits: width of the byte counters, 64 or 32. Counters in the script are what is read: wrap them there.
    """

    name = "replay"

    def __init__(
        self,
        steps: Sequence[Step],
        *,
        clock: ReplayClock | None = None,
        place: Place = PLACE,
        counter_bits: int = 64,
    ) -> None:
        self.clock = clock or ReplayClock()
        self.counter_bits = counter_bits
        self._steps = list(steps) or [Step()]
        self._at = 0
        self._boot_left_ns = 0
        self._awake_left_ns = 0
        self._place = place
        self._links: dict[int, tuple[Link, Counters]] = {}
        self._events: list[LinkEvent] = []
        self._events_lost = False
        self._failure = ""
        self._open = True
        self._apply(self._steps[0])

    # What every source has -------------------------------------------------------------------------------------------

    def place(self) -> Place:
        """Where the counters live in the present step."""
        return self._place

    def fileno(self) -> None:
        """Nothing to wait for: `play` tells whether events came."""
        return

    def links(self) -> list[tuple[Link, Counters]]:
        """Every interface with its counters."""
        self._check()
        return list(self._links.values())

    def life(self, link: Link) -> int:
        """The life that the script gives to the present interface of that index and name."""
        known = self._links.get(link.index)
        return known[0].life if known is not None and known[0].name == link.name else 0

    def read(self) -> Reading:
        """The counters of every interface."""
        self._check()
        return Reading.of_rows((index, *counters) for index, (_, counters) in self._links.items())

    def events(self) -> list[LinkEvent]:
        """The link events that wait; see `Source.events`."""
        self._check()
        events, self._events = self._events, []
        if not events and self._events_lost:
            self._events_lost = False
            raise EventsLostError(
                "the script says that link events were dropped", hint="read the links again"
            )
        return events

    def reopen(self) -> None:
        """Drop the waiting events."""
        self._open = True
        self._events = []
        self._events_lost = False

    def close(self) -> None:
        """Make every further reading fail until it is opened again."""
        self._open = False

    # Moving on -------------------------------------------------------------------------------------------------------

    @property
    def finished(self) -> bool:
        """Whether the last step was reached."""
        return self._at == len(self._steps) - 1

    def advance(self) -> bool:
        """Go to the next step; False when there is none."""
        if self.finished:
            return False
        self.clock.advance(self._boot_left_ns, self._awake_left_ns)
        self._at += 1
        self._apply(self._steps[self._at])
        return True

    def play(self, timeout_ns: int) -> bool:
        """Wait as a recorder does: at most so long on the awake clock, until link events come; whether they did.

        Every step on the way is played. A suspend is slept through, however short the timeout.
        """
        left_ns = max(timeout_ns, 0)
        while not self._has_news:
            if self.finished:
                self.clock.advance(left_ns)
                break
            awake_ns = min(left_ns, self._awake_left_ns)
            if awake_ns < self._awake_left_ns:
                self.clock.advance(awake_ns)
                self._boot_left_ns -= awake_ns
                self._awake_left_ns -= awake_ns
                break
            left_ns -= awake_ns
            self.advance()
        return self._has_news

    @property
    def _has_news(self) -> bool:
        return bool(self._events) or self._events_lost

    def _apply(self, step: Step) -> None:
        self.clock.advance(0, 0, step.wall_step_us)
        if not self.finished:
            coming = self._steps[self._at + 1]
            self._boot_left_ns = coming.after_ns
            self._awake_left_ns = coming.after_ns if coming.awake_ns is None else coming.awake_ns
        if step.place is not None:
            self._place = step.place
        for event in step.events:
            self._take(event)
        if step.links is not None:
            self._links = {link.index: (link, counters) for link, counters in step.links}
        unknown = dict(step.counters)
        for index, (link, counters) in self._links.items():
            self._links[index] = (link, unknown.pop(link.name, counters))
        if unknown:
            raise SourceError(
                f"step {self._at + 1} of the script counts for {', '.join(unknown)}, which is not there"
            )
        self._events_lost = self._events_lost or step.events_lost
        self._failure = step.failure

    def _take(self, event: LinkEvent) -> None:
        link, change = event.link, event.change
        self._events.append(event._replace(link=link._replace(life=0)))
        known = self._links.pop(link.index, None)
        if change is LinkChange.PRESENT:
            before = known[1] if known is not None else ZERO
            life = link.life or (known[0].life if known is not None else 0)
            self._links[link.index] = (link._replace(life=life), event.counters or before)

    def _check(self) -> None:
        if not self._open:
            raise SourceError("the replay source is closed", hint="open it again")
        if self._failure:
            raise SourceError(self._failure)
