"""Random histories of real interfaces: recorded + declared lost is what the kernel counted, whatever happens."""

import contextlib
import random
import signal
import time

import pytest
from support.book import assert_it_adds_up, epochs, gaps, recorded, rows
from support.namespace import added
from support.patience import until

from netusage.model import ZERO, Counters

pytestmark = [pytest.mark.system, pytest.mark.root]


class History:
    """Pairs of interfaces that are made, used, renamed, moved and removed at random, and what they counted here."""

    def __init__(self, here, elsewhere, chance):
        self.here, self.elsewhere, self.chance = here, elsewhere, chance
        self.truth = {}
        self._before = {}
        self.log = []
        self.made_us = 0
        self._pairs = []
        self._away = []
        self._index = 5000
        here.batch(["link add br0 type bridge mcast_snooping 0", "link set br0 up"])

    def step(self):
        """One more event."""
        steps = (
            self._make,
            self._send,
            self._send,
            self._remove,
            self._rename,
            self._move,
            self._enslave,
            self._wait,
        )
        step = self.chance.choice(steps)
        self.log.append(f"{time.time():.6f} {step.__name__} {self._pairs} away {self._away}")
        step()

    def end(self):
        """Nothing more happens; what the kernel has counted here, by name."""
        self._look()
        return added(self.truth)

    def _look(self):
        """Add what was counted since the last look; only `_send` makes interfaces count."""
        now = self.here.counters()
        for name, counters in now.items():
            more = counters.minus(self._before.get(name, ZERO))
            assert min(more) >= 0, f"{name} counted {more}"
            self.truth[name] = self.truth.get(name, ZERO).plus(more)
            if not more.is_zero:
                self.log.append(f"{name} {tuple(more)} {tuple(counters)}")
        self._before = now

    def _make(self):
        if len(self._pairs) > 6:
            return
        names = [f"{end}{self.chance.randrange(4)}" for end in "ab"]
        if names[0] in self._before or names[1] in self._before or self._is_away(names):
            return
        index = self.chance.choice((5000, 5002, 5004))
        taken = {link["ifindex"] for space in (self.here, self.elsewhere) for link in space.links().values()}
        numbers = {} if {index, index + 1} & taken else {"index": index, "other_index": index + 1}
        self.here.pair(*names, **numbers)
        self._pairs.append(names)
        self.made_us = time.time_ns() // 1000
        self._before |= dict.fromkeys(names, ZERO)

    def _is_away(self, names):
        return bool(set(names) & set(self._away))

    def _send(self):
        if not self._pairs:
            return
        for name in self.chance.choice(self._pairs):
            if name not in self._away:
                with contextlib.suppress(OSError):  # its other end is away and down
                    self.here.send(name, self.chance.randrange(30), self.chance.randrange(60, 1500))
        self._look()

    def _remove(self):
        if not self._pairs:
            return
        names = self._pairs.pop(self.chance.randrange(len(self._pairs)))
        here = [name for name in names if name not in self._away]
        self.here.ip("link", "del", self.chance.choice(here))
        for name in names:
            self._before.pop(name, None)
        self._away = [name for name in self._away if name not in names]

    def _rename(self):
        if not self._pairs:
            return
        names = self.chance.choice(self._pairs)
        end = self.chance.randrange(2)
        old, new = names[end], f"{names[end][0]}{self.chance.randrange(4)}"
        if old in self._away or new in self._before or self._is_away([new]):
            return
        self.here.ip("link", "set", old, "name", new)
        names[end] = new
        self._before[new] = self._before.pop(old)

    def _move(self):
        if self._away:
            name = self._away.pop()
            self.elsewhere.ip("link", "set", name, "netns", self.here.name)
            self._before[name] = self.here.counters()[name]
            self.here.up(name)
        elif self._pairs:
            name = self.chance.choice(self._pairs)[0]
            self.here.ip("link", "set", name, "netns", self.elsewhere.name)
            self._before.pop(name)
            self._away.append(name)

    def _enslave(self):
        if not self._pairs:
            return
        name = self.chance.choice(self._pairs)[1]
        self.here.ip("link", "set", name, *self.chance.choice((("master", "br0"), ("nomaster",))))

    def _wait(self):
        time.sleep(self.chance.uniform(0, 0.15))


@pytest.fixture
def chance():
    """Random numbers whose seed is printed."""
    seed = random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}")
    return random.Random(seed)


@pytest.mark.parametrize("held_up", [0, 0.1], ids=["at once", "in bursts"])
def test_any_history_that_a_recorder_follows_is_recorded_or_declared(spaces, record, ledger, chance, held_up):
    history = History(spaces(), spaces(), chance)
    recorder = record(history.here, "--sample-interval", chance.choice(("100ms", "1s")))
    is_held = False
    for _ in range(200):
        history.step()
        if chance.random() < held_up:
            is_held = not is_held
            recorder.send(signal.SIGSTOP if is_held else signal.SIGCONT)
    recorder.send(signal.SIGCONT)
    truth = history.end()
    assert recorder.stop() == 143
    found = recorded(ledger)
    lossy = gaps(ledger, lossy=1)
    unknown = {gap["interface"] for gap in lossy}
    missing = {
        name: truth.get(name, ZERO).minus(found.get(name, ZERO)) for name in truth.keys() | found.keys()
    }
    wrong = {
        name: tuple(counters)
        for name, counters in missing.items()
        if not counters.is_zero and (name not in unknown or min(counters) < 0)
    }
    print(*(dict(row) for row in (*gaps(ledger), *epochs(ledger))), sep="\n")
    print(*history.log, sep="\n")
    assert not wrong
    assert_it_adds_up(ledger)


def test_any_history_through_which_recorders_are_stopped_and_killed_is_recorded_or_declared(
    spaces, record, ledger, chance
):
    history = History(spaces(), spaces(), chance)
    recorder = record(history.here, commit="100ms")
    for _ in range(12):
        for _ in range(chance.randrange(15)):
            history.step()
        if chance.random() < 0.5:
            # of an interface that was in no commit before the kill, nobody knows anything once it is gone
            until(lambda: _last_commit_us(ledger) > history.made_us, "a commit of all that was made")
            recorder.kill()
        else:
            assert recorder.stop() == 143
        for _ in range(chance.randrange(4)):
            history.step()
        recorder = record(history.here, commit="100ms")
    for _ in range(10):
        history.step()
    truth = _sum(history.end())
    assert recorder.stop() == 143
    found = _sum(recorded(ledger))
    lossy = gaps(ledger, lossy=1)
    assert min(truth.minus(found)) >= 0, (truth, found, lossy)
    assert lossy or found == truth
    assert_it_adds_up(ledger)


def _last_commit_us(ledger):
    return rows(ledger, "SELECT max(last_us) FROM run")[0][0]


def _sum(account):
    total = Counters()
    for counters in account.values():
        total = total.plus(counters)
    return total
