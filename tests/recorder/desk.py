"""A meter on its own: readings in, and what would be committed out. Time begins at a full minute."""

from recorder.kernel import START_US, UPTIME_NS, reading

from netusage.ledger.batch import Remembered
from netusage.model import NS, US, ZERO, Counters, Instant, Link, LinkChange, LinkEvent, Place
from netusage.recorder.meter import Meter
from netusage.recorder.rules import Rules

PLACE = Place("boot", 1, "machine")
ETH0 = Link(2, "eth0", life=20)
WG0 = Link(3, "wg0", "wireguard", life=30)


def c(rx, tx=None):
    """Counters: so many bytes, and as many packets."""
    tx = rx if tx is None else tx
    return Counters(rx, tx, rx, tx)


def at(seconds, *, step=0.0, slept=0.0):
    """So many seconds after the start; the wall clock was set by `step`, and the machine slept for `slept`."""
    boot_ns = UPTIME_NS + round(seconds * NS)
    return Instant(boot_ns, boot_ns - round(slept * NS), START_US + round((seconds + step) * US))


def came(link, counters=ZERO):
    """The event of a link that is there."""
    return LinkEvent(LinkChange.PRESENT, link._replace(life=0), counters)


def went(link, counters, *, whole=True):
    """The event of a link that is gone."""
    return LinkEvent(LinkChange.REMOVED, link._replace(life=0), counters, whole)


class Desk:
    """A meter that has started with these links.

    Args:
        links: by link, its counters at the start.
        lives: the lives of links that appear later, by name.
        rules, remembered, meter: see `Meter`.
    """

    def __init__(self, links=None, *, rules=None, remembered=None, lives=None, start=None, **meter):
        links = {ETH0: ZERO} if links is None else links
        lives = lives or {}
        self.meter = Meter(PLACE, rules or Rules(), life_of=lambda link: lives.get(link.name, 0), **meter)
        self.meter.start(start or at(0), links.items(), remembered or Remembered())

    def sample(self, when, counters, *events):
        """A reading, by index, at an instant or so many seconds after the start."""
        when = when if isinstance(when, Instant) else at(when)
        return self.meter.sample(when, reading(counters), events)

    @property
    def batch(self):
        """What would be committed now."""
        return self.meter.batch()

    @property
    def entries(self):
        """By interface: by second since the start of its minute, the counters."""
        found = {}
        for (minute_s, epoch), entry in self.batch.entries.items():
            minutes = found.setdefault(epoch.link.name, {})
            second = minute_s - START_US // US
            minutes[second] = minutes.get(second, ZERO).plus(entry.counters)
        return found

    @property
    def peaks(self):
        """By interface, the highest rates."""
        found = {}
        for (_, epoch), entry in self.batch.entries.items():
            rx, tx = found.get(epoch.link.name, (0, 0))
            found[epoch.link.name] = max(rx, entry.peak_rx), max(tx, entry.peak_tx)
        return found

    @property
    def spans(self):
        """Estimated stretches: interface, seconds since the start, counters, kind."""
        return [
            (s.epoch.link.name, _seconds(s.start_us), _seconds(s.end_us), s.counters, s.kind)
            for s in self.batch.spans
        ]

    @property
    def recorded(self):
        """By interface, everything, whenever it was."""
        found = {}
        for (_, epoch), entry in self.batch.entries.items():
            found[epoch.link.name] = found.get(epoch.link.name, ZERO).plus(entry.counters)
        for span in self.batch.spans:
            name = span.epoch.link.name
            found[name] = found.get(name, ZERO).plus(span.counters)
        return found

    @property
    def gaps(self):
        """Declared gaps: kind, interface, lossy, seconds since the start."""
        return [
            (str(g.kind), g.interface, g.lossy, _seconds(g.start_us), _seconds(g.end_us))
            for g in self.batch.gaps
        ]

    @property
    def lost(self):
        """The kinds and interfaces of the lossy gaps."""
        return [(kind, interface) for kind, interface, lossy, *_ in self.gaps if lossy]

    @property
    def epochs(self):
        """Epochs in the batch: interface, why opened, why closed."""
        return [(e.link.name, e.opened_because, e.closed_because) for e in self.batch.epochs]


def _seconds(us):
    return (us - START_US) / US
