"""What threads would tell a state, made up: an injected clock, interfaces and applications that anybody can add up."""

from zoneinfo import ZoneInfo

from netusage.live.board import Board
from netusage.live.history import Both
from netusage.live.look import Look
from netusage.live.news import Recorded, Spent
from netusage.live.state import State, both
from netusage.model import NS, US, ZERO, Counters, Instant, Who
from netusage.recorder.shares import Use
from netusage.recorder.watch import InterfaceNow, Present, Rates
from netusage.units import Units

START_S = 1_773_151_200  # 2026-03-10 14:00 UTC
UTC = ZoneInfo("UTC")
FIREFOX = Who("application", "firefox", "/usr/lib/firefox/firefox", "anna")
BACKUP = Who("application", "backup.py", "/srv/backup.py", "root", "backup.service")
WEB = Who("application", "nginx", "/usr/sbin/nginx", "www-data", "docker.service", "shop")
EVIL = Who("application", "a\x1b[31mb" + "很长的名字" * 40, "/tmp/x", "eva\n")
LAN, INTERNET, LOOPBACK = 1, 3, 0


class Told:
    """A state, and a second at a time what it is told.

    counters: what each interface has counted since the start.
    """

    def __init__(self, *names, patterns=(), hidden=(), apart=("lo",)):
        self.state = State(patterns, hidden)
        self.board = Board(self.state)
        self.second = 0
        self.counters = dict.fromkeys(names, ZERO)
        self._total = ZERO
        self._spent = ({}, ZERO)
        self._apart = apart

    def present(self, seconds=1, **more):
        """Some seconds later: what interfaces counted meanwhile, as (received, sent) bytes by name."""
        self.second += seconds
        interfaces = []
        rates = {}
        total = ZERO
        for name in sorted(self.counters):
            counted = Counters(*more.get(name, (0, 0)), 1, 1)
            self.counters[name] = self.counters[name].plus(counted)
            rates[name] = Rates(counted.rx_bytes // seconds, counted.tx_bytes // seconds)
            apart = name in self._apart
            kind, reason = ("loopback", "stays within the machine") if name == "lo" else ("", "hardware")
            interfaces.append(
                InterfaceNow(name, kind, True, not apart, reason, rates[name], self.counters[name])
            )
            if not apart:
                total = total.plus(counted)
        self._total = self._total.plus(total)
        at = Instant((1000 + self.second) * NS, 0, (START_S + self.second) * US)
        of_total = Rates(total.rx_bytes // seconds, total.tx_bytes // seconds)
        self.state.take(Present(at, self.second * US, of_total, self._total, tuple(interfaces), {}))

    def spent(self, seconds, *uses, tier="kernel"):
        """What applications had in the last seconds; interfaces had what they counted since it was told before."""
        before, total = self._spent
        counted = {name: both(one.minus(before.get(name, ZERO))) for name, one in self.counters.items()}
        more = both(self._total.minus(total))
        self._spent = (self.counters.copy(), self._total)
        self.state.take(Spent({use: Both(rx, tx) for use, rx, tx in uses}, seconds * US, tier, counted, more))

    def recorded(self, recorder=4242, until=0, **about):
        """What the ledger has."""
        self.state.take(Recorded(recorder, (START_S + until) * US, START_S - 14 * 3600, **about))


def use(who, interface="eth0", scope=INTERNET, *, in_total=True):
    """Whose bytes, where."""
    return Use(who, interface, scope, in_total)


def look(units=Units.SI, *, bits=False, encoding=None):
    """How it is written."""
    return Look(units, bits, UTC, encoding)


def text(lines):
    """What stands on the screen, without the spaces at the end of lines."""
    return ["".join(span.text for span in line).rstrip() for line in lines]


def busy_house():
    """A machine with a minute and a half of traffic, and a recorder."""
    told = Told("eth0", "lo", "wlan0")
    told.recorded()
    for second in range(1, 91):
        wave = abs(second % 40 - 20)
        told.present(
            eth0=(wave * 100_000, wave * wave * 700), lo=(900, 900), wlan0=(0, 40 if second > 80 else 0)
        )
        if second % 10 == 0:
            told.spent(
                10,
                (use(FIREFOX), 8_000_000, 200_000),
                (use(FIREFOX, scope=LAN), 1000, 2000),
                (use(BACKUP, scope=LAN), 4000, 600_000),
                (use(WEB), 100, 300),
                (use(WEB, "lo", LOOPBACK, in_total=False), 9000, 9000),
            )
    told.recorded(
        until=90,
        total=Both(5_120_000_000, 310_000_000),
        interfaces={"eth0": Both(5_120_000_000, 310_000_000), "lo": Both(81_000, 81_000)},
        applications={
            use(FIREFOX): Both(5_000_000_000, 100_000_000),
            use(BACKUP, scope=LAN): Both(10_000_000, 190_000_000),
            use(WEB): Both(100_000, 300_000),
            use(WEB, "lo", LOOPBACK, in_total=False): Both(81_000, 81_000),
        },
    )
    return told
