"""A model of the kernel: interfaces with exact counters, their lives, link events, namespaces, boots and clocks.

It does what Linux was measured to do (6.18), as the netlink source tells it: readings and events exist side by side,
so a reading may be newer than the events that wait; an index may be given to the next interface at once; a link that
leaves for another namespace carries its counters along and its event tells them; readings of a parted pair lack what
was received, and so does the final event of an end whose other end was not heard.

`Interface.counted` is the truth: everything that the interface ever counted, whatever became of its counters.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from netusage.errors import SourceError
from netusage.model import NS, US, ZERO, Counters, Instant, Link, LinkChange, LinkEvent, Place, Reading
from netusage.sources.base import EventsLostError

HERE = 1
ELSEWHERE = 2
MACHINE = "machine"
START_US = 1_735_732_800 * US  # 2025-01-01 12:00 UTC
UPTIME_NS = 3600 * NS
_PRESENT_ONES = Counters(-1, -1, -1, -1)


@dataclass(eq=False)
class Interface:
    """One life of one interface.

    counters: what a reading shows. counted: the truth, which no reset touches.
    """

    index: int
    name: str
    kind: str
    life: int
    namespace: int
    up: bool = True
    master: int = 0
    lower: int = 0
    peer: "Interface | None" = None
    counters: Counters = ZERO
    counted: Counters = ZERO
    alive: bool = True
    parted: bool = False
    received: Counters = ZERO

    def link(self, life: int | None = None) -> Link:
        """As the kernel describes it; events know no life."""
        lower, elsewhere = self.lower, False
        if self.peer is not None and not self.parted:
            lower, elsewhere = self.peer.index, self.peer.namespace != self.namespace
        return Link(
            self.index,
            self.name,
            self.kind,
            self.up,
            self.master,
            lower,
            elsewhere,
            self.life if life is None else life,
        )


@dataclass(eq=False)
class KernelSource:
    """What a recorder in one namespace sees of the kernel; a `netusage.sources.base.Source`.

    failure: reading fails with this message while it is set. broken: even opening anew fails, and leaves it closed.
    between: called once, after a reading and before the events are taken, for what happens just then.
    held_back: events that come after those that wait are taken, but before anything else is read.
    knows_lives: sysfs can be read. remembers_lives: it even knows what is gone or renamed since the event, as no real
        one does; so that every epoch in the ledger can be told apart.
    """

    kernel: "Kernel"
    namespace: int
    knows_lives: bool = True
    remembers_lives: bool = False
    told: list[tuple[Link, int]] = field(default_factory=list)
    counter_bits: int = 64
    name: str = "model"
    failure: str = ""
    broken: str = ""
    closed: bool = False
    between: Callable[[], None] | None = None
    has_read: bool = False
    events_full: bool = False
    events_lost: bool = False
    queue: list[tuple[Interface, LinkEvent]] = field(default_factory=list)
    held_back: list[tuple[Interface, LinkEvent]] = field(default_factory=list)
    holds_back: bool = False
    on_read: Callable[[], None] = lambda: None
    on_drop: Callable[[Interface, LinkEvent], None] = lambda _interface, _event: None

    def place(self) -> Place:
        return Place(self.kernel.boot_id, self.namespace, MACHINE)

    def fileno(self) -> int | None:
        if self.closed:
            raise SourceError("the model is closed")
        return 99

    @property
    def has_news(self) -> bool:
        """Whether the event descriptor is readable."""
        return bool(self.queue or self.held_back) or self.events_lost

    def life(self, link: Link) -> int:
        if not self.knows_lives:
            return 0
        if self.remembers_lives:
            for told, life in self.told:
                if told is link:
                    return life
        for interface in self.kernel.in_namespace(self.namespace):
            if (interface.index, interface.name) == (link.index, link.name):
                return interface.life
        return 0

    def links(self) -> list[tuple[Link, Counters]]:
        self._check()
        self._was_read()
        life = None if self.knows_lives else 0
        return [(i.link(life), i.counters) for i in self.kernel.in_namespace(self.namespace)]

    def read(self) -> Reading:
        self._check()
        self._was_read()
        interfaces = self.kernel.in_namespace(self.namespace)
        return reading({interface.index: interface.counters for interface in interfaces})

    def events(self) -> list[LinkEvent]:
        if self.has_read and self.between is not None:
            between, self.between = self.between, None
            between()
        self.has_read = False
        self._check()
        events = [event for _, event in self.queue]
        if events:
            self.told = [(event.link, interface.life) for interface, event in self.queue]
        self.queue = []
        if not events and self.events_lost:
            self.events_full = self.events_lost = False
            raise EventsLostError("the model dropped link events")
        return events

    def reopen(self) -> None:
        self.closed = bool(self.broken)
        self._let_through()
        for interface, event in self.queue:
            self.on_drop(interface, event)
        self.queue = []
        self.events_full = self.events_lost = False
        if self.closed:
            raise SourceError(self.broken)

    def close(self) -> None:
        self.closed = True

    def tell(self, interface: Interface, event: LinkEvent) -> None:
        """The kernel has something to say."""
        if self.events_full or self.closed:
            self.events_lost = not self.closed
            self.on_drop(interface, event)
        else:
            (self.held_back if self.holds_back else self.queue).append((interface, event))

    def _was_read(self) -> None:
        self._let_through()
        self.has_read = True
        self.on_read()

    def _let_through(self) -> None:
        """What was held back is told now."""
        self.queue += self.held_back
        self.held_back = []

    def _check(self) -> None:
        if self.closed or self.failure:
            raise SourceError(self.failure or "the model is closed")


class Kernel:
    """One machine, over as many boots as it takes. Its `now` makes it a `netusage.clock.Clock`."""

    def __init__(self, wall_us: int = START_US) -> None:
        self.interfaces: list[Interface] = []
        self.everything: list[Interface] = []
        self.sources: list[KernelSource] = []
        self.on_count: Callable[[Interface, Counters], None] = lambda _interface, _more: None
        self.boots = 0
        self._lives = 0
        self._boot_ns = self._awake_ns = UPTIME_NS
        self._wall_ns = wall_us * 1000
        self._begin_boot()

    # Time ------------------------------------------------------------------------------------------------------------

    def now(self) -> Instant:
        return Instant(self._boot_ns, self._awake_ns, self._wall_ns // 1000)

    def run(self, seconds: float) -> Instant:
        """Time goes by."""
        return self.run_ns(round(seconds * NS))

    def run_ns(self, ns: int) -> Instant:
        self._boot_ns += ns
        self._awake_ns += ns
        self._wall_ns += ns
        return self.now()

    def suspend(self, seconds: float) -> Instant:
        """The machine sleeps."""
        self._boot_ns += round(seconds * NS)
        self._wall_ns += round(seconds * NS)
        return self.now()

    def step(self, seconds: float) -> Instant:
        """The wall clock is set."""
        self._wall_ns += round(seconds * NS)
        return self.now()

    def reboot(self, down_s: float = 60) -> None:
        """All interfaces go with their counters, and nobody is told. The recorder must be down by then."""
        for interface in self.interfaces:
            interface.alive = False
        self.interfaces = []
        self.sources = []
        self._boot_ns = self._awake_ns = NS
        self._wall_ns += round(down_s * NS)
        self._begin_boot()

    def _begin_boot(self) -> None:
        self.boots += 1
        self.boot_id = f"boot-{self.boots}"
        self._next_index = 2

    # Interfaces ------------------------------------------------------------------------------------------------------

    def in_namespace(self, namespace: int) -> list[Interface]:
        """The interfaces there, as the kernel lists them."""
        there = [interface for interface in self.interfaces if interface.namespace == namespace]
        return sorted(there, key=lambda interface: interface.index)

    def named(self, name: str, namespace: int = HERE) -> Interface | None:
        """The interface of that name."""
        found = [i for i in self.in_namespace(namespace) if i.name == name]
        return found[0] if found else None

    def add(
        self,
        name: str,
        kind: str = "",
        *,
        index: int | None = None,
        namespace: int = HERE,
        master: int = 0,
        lower: int = 0,
    ) -> Interface:
        """Create an interface; the first free index by default, or a given one, as `ip link add index N` does."""
        interface = self._new(name, kind, index, namespace)
        interface.master, interface.lower = master, lower
        self._tell(interface, LinkChange.PRESENT)
        return interface

    def add_pair(
        self,
        name: str,
        other: str,
        *,
        index: int | None = None,
        other_index: int | None = None,
        other_namespace: int = HERE,
    ) -> tuple[Interface, Interface]:
        """Create a veth pair, and set it up.

        The other end is made first, and announced without counters; when they are set up, both are announced.
        """
        first = self._new(name, "veth", index, HERE)
        second = self._new(other, "veth", other_index, other_namespace)
        first.life, second.life = second.life, first.life
        self._tell(second, LinkChange.PRESENT, counters=None)
        first.peer, second.peer = second, first
        self._tell(first, LinkChange.PRESENT)
        self._tell(second, LinkChange.PRESENT)
        return first, second

    def traffic(self, interface: Interface, rx: int = 0, tx: int = 0) -> None:
        """So many bytes pass, in packets of at most 1500 bytes. What one end of a pair sends, the other receives."""
        counters = Counters(rx, tx, -(-rx // 1500), -(-tx // 1500))
        self._count(interface, counters)
        peer = interface.peer
        if peer is not None and peer.alive and not interface.parted:
            self._count(peer, Counters(tx, rx, counters.tx_packets, counters.rx_packets))

    def remove(self, interface: Interface, *, heard: bool = True) -> None:
        """Destroy it; the other end of a pair goes with it. `heard`: the source knows what its ends received."""
        self.part(interface)
        self.finish_removal(interface, heard=heard)

    def part(self, interface: Interface) -> None:
        """Begin to destroy a pair: readings of its ends show nothing received from now on."""
        if interface.peer is None:
            return
        for end in (interface, interface.peer):
            end.parted, end.up = True, False
            end.received = end.counters
            end.counters = end.counters._replace(rx_bytes=0, rx_packets=0)
            self._tell(end, LinkChange.PRESENT, counters=None)

    def finish_removal(self, interface: Interface, *, heard: bool = True, apart: bool = False) -> None:
        """Take it away and tell its final counters.

        apart: the other end's are told after whoever listens has taken the first ones. Nobody can read or list
            interfaces in between: the kernel holds its lock (rtnl) until both are told.
        """
        ends = [interface] if interface.peer is None else [interface, interface.peer]
        for end in ends:
            self.interfaces.remove(end)
            end.alive = False
            if end.parted and heard:
                end.counters = end.received
        self._tell(interface, LinkChange.REMOVED, whole=heard)
        for source in self.sources:
            source.holds_back = apart
        for end in ends[1:]:
            self._tell(end, LinkChange.REMOVED, whole=heard)
        for source in self.sources:
            source.holds_back = False

    def rename(self, interface: Interface, name: str) -> None:
        interface.name = name
        self._tell(interface, LinkChange.PRESENT)

    def set_up(self, interface: Interface, up: bool) -> None:
        interface.up = up
        self._tell(interface, LinkChange.PRESENT)

    def move(
        self, interface: Interface, namespace: int, *, name: str | None = None, index: int | None = None
    ) -> None:
        """Move it to another namespace; it keeps its index there when that is free."""
        interface.up = False
        self._tell(interface, LinkChange.REMOVED)
        self.interfaces.remove(interface)
        taken = {i.index for i in self.in_namespace(namespace)}
        interface.namespace = namespace
        if index is not None or interface.index in taken:
            interface.index = self._index(index, namespace)
        interface.name = name or interface.name
        self.interfaces.append(interface)
        self._tell(interface, LinkChange.PRESENT)
        if interface.peer is not None:
            self._tell(interface.peer, LinkChange.PRESENT)

    def reset(self, interface: Interface) -> None:
        """Its driver begins its counters anew, and says nothing."""
        interface.counters = ZERO

    def source(self, namespace: int = HERE) -> KernelSource:
        """Open a source there."""
        source = KernelSource(self, namespace)
        self.sources.append(source)
        return source

    def _new(self, name: str, kind: str, index: int | None, namespace: int) -> Interface:
        assert self.named(name, namespace) is None, f"{name} exists"
        self._lives += 1
        interface = Interface(self._index(index, namespace), name, kind, self._lives, namespace)
        self.interfaces.append(interface)
        self.everything.append(interface)
        return interface

    def _index(self, wanted: int | None, namespace: int) -> int:
        taken = {interface.index for interface in self.in_namespace(namespace)}
        if wanted is not None:
            assert wanted not in taken, f"index {wanted} is taken"
            return wanted
        while self._next_index in taken:
            self._next_index += 1
        self._next_index += 1
        return self._next_index - 1

    def _count(self, interface: Interface, more: Counters) -> None:
        interface.counters = interface.counters.plus(more)
        interface.counted = interface.counted.plus(more)
        self.on_count(interface, more)

    def _tell(
        self,
        interface: Interface,
        change: LinkChange,
        *,
        counters: Counters | None = _PRESENT_ONES,
        whole: bool = True,
    ) -> None:
        told = interface.counters if counters is _PRESENT_ONES else counters
        event = LinkEvent(change, interface.link(life=0), told, whole)
        for source in self.sources:
            if source.namespace == interface.namespace:
                source.tell(interface, event)


def reading(counters: dict[int, Counters]) -> Reading:
    """A reading of these interfaces, by index."""
    columns = [list(column) for column in zip(*counters.values(), strict=True)] or [[], [], [], []]
    return Reading(list(counters), *columns)
