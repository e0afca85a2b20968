"""Any history of a machine, its clocks, its recorder and its ledger: recorded plus declared lost equals the truth.

Hypothesis makes up the history; the kernel and what is owed are models (`recorder.kernel`, `recorder.oracle`), and
everything else is the product: the loop, the meter, the ledger on a file. NETUSAGE_HYPOTHESIS=thorough looks longer,
at the same histories every time; NETUSAGE_HYPOTHESIS=search looks for new ones (`make search`).
"""

import contextlib
import os
import shutil
import sqlite3
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from recorder.audit import assert_sound
from recorder.kernel import ELSEWHERE, HERE, Interface, Kernel
from recorder.oracle import Oracle
from recorder.station import Station
from support.book import rows
from support.looking import LOOK

from netusage.ledger import writer
from netusage.recorder.loop import Timing

_EXAMPLES, _STEPS = {"thorough": (250, 50), "search": (5000, 60)}.get(LOOK, (15, 30))
_NAMES = ("eth0", "wg0", "tun0", "va", "vb")
_MEMORY = "/dev/shm" if os.path.isdir("/dev/shm") else None
_HEAVY = 10**9  # a reset of counters that are larger than this cannot be hidden by what is counted after it

_which = st.integers(0, 5)
_names = st.sampled_from(_NAMES)
_bytes = st.sampled_from([0, 1, 60, 1500, 70_000])
_actions = st.one_of(
    st.tuples(st.just("traffic"), _which, _bytes, _bytes),
    st.tuples(st.just("flood"), _which, st.sampled_from([2 * _HEAVY, 2**33, 2**40])),
    st.tuples(st.just("add"), _names, st.sampled_from(["", "tun", "dummy"]), st.integers(0, 4)),
    st.tuples(st.just("add_pair"), _names, _names, st.booleans(), st.integers(0, 4)),
    st.tuples(st.just("remove"), _which, st.booleans()),
    st.tuples(st.just("recreate"), _which, st.booleans()),
    st.tuples(st.just("rename"), _which, _names),
    st.tuples(st.just("move_out"), _which),
    st.tuples(st.just("move_in"), _which, _names),
    st.tuples(st.just("set_up"), _which, st.booleans()),
    st.tuples(st.just("reset"), _which),
)


class AnyHistory(RuleBasedStateMachine):
    """What may happen to a machine on which a recorder runs."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = tempfile.mkdtemp(prefix="netusage-", dir=_MEMORY)
        self.path = Path(self.directory, "ledger.db")
        self.kernel = Kernel()
        self.oracle = Oracle(self.kernel)
        self.station: Station | None = None
        self.blocker: sqlite3.Connection | None = None

    @initialize(
        commit_s=st.sampled_from([1, 10]),
        on_events=st.booleans(),
        minutes_kept_s=st.sampled_from([3600, 35 * 86400]),
    )
    def begin(self, commit_s, on_events, minutes_kept_s):
        timing = Timing(commit_ns=commit_s * 10**9, commit_on_link_event=on_events)
        self.kernel.traffic(self.kernel.add("eth0"), 12_345, 678)
        self.station = Station(
            self.kernel,
            self.path,
            timing=timing,
            minutes_kept_s=minutes_kept_s,
            on_open=self.oracle.follow,
            on_commit=self.oracle.commit,
        )
        self.oracle.first_sight()
        self.station.start()

    # The kernel --------------------------------------------------------------------------------------------------------

    @rule(action=_actions)
    def act(self, action):
        """Something happens between two rounds of the recorder."""
        name, *arguments = action
        getattr(self, f"do_{name}")(*arguments)

    @precondition(lambda self: self.is_up)
    @rule(actions=st.lists(_actions, min_size=1, max_size=3))
    def race(self, actions):
        """Something happens after a reading and before the events are taken."""

        def between():
            for action in actions:
                self.act(action)

        self.source.between = between
        self.station.run(1)
        self.source.between = None

    def do_traffic(self, which, rx, tx):
        if interface := self.pick(which):
            self.kernel.traffic(interface, rx, tx)

    def do_flood(self, which, size):
        if (interface := self.pick(which)) and not self.oracle.of(interface).unsure:
            self.kernel.traffic(interface, size, size)

    def do_add(self, name, kind, back):
        if self.kernel.named(name) is None:
            self.kernel.add(name, kind, index=self.used_index(back))

    def do_add_pair(self, name, other, elsewhere, back):
        namespace = ELSEWHERE if elsewhere else HERE
        if (
            self.kernel.named(name)
            or self.kernel.named(other, namespace)
            or (name == other and not elsewhere)
        ):
            return
        self.kernel.add_pair(name, other, other_namespace=namespace, index=self.used_index(back))

    def do_remove(self, which, heard):
        if interface := self.pick(which):
            self.remove(interface, heard)

    def do_recreate(self, which, same_index):
        if (interface := self.pick(which)) and interface.peer is None:
            self.remove(interface, heard=True)
            self.kernel.add(interface.name, interface.kind, index=interface.index if same_index else None)

    def do_rename(self, which, name):
        if (interface := self.pick(which)) and self.kernel.named(name) is None:
            if not self.is_up:
                self.oracle.of(interface).blurred = True
            self.kernel.rename(interface, name)

    def do_move_out(self, which):
        interface = self.pick(which)
        if interface and self.kernel.named(interface.name, ELSEWHERE) is None:
            self.leaves(interface, knows_rx=True)
            self.kernel.move(interface, ELSEWHERE)

    def do_move_in(self, which, name):
        there = self.kernel.in_namespace(ELSEWHERE)
        if there and self.kernel.named(name) is None:
            interface = there[which % len(there)]
            self.oracle.returns(interface, seen=self.is_up)
            self.kernel.move(interface, HERE, name=name)

    def do_set_up(self, which, up):
        if interface := self.pick(which):
            self.kernel.set_up(interface, up)

    def do_reset(self, which):
        interface = self.pick(which)
        if interface and self.is_up and min(self.oracle.of(interface).sure[:2]) > _HEAVY:
            self.oracle.reset(interface)
            self.kernel.reset(interface)

    # Pairs are removed in steps ----------------------------------------------------------------------------------------

    @precondition(lambda self: self.is_up)
    @rule(which=_which, parted_seen=st.booleans(), ends_apart=st.booleans())
    def remove_pair_slowly(self, which, parted_seen, ends_apart):
        """A round falls between the parting of a pair and its removal, or hears of one end alone."""
        interface = self.pick(which)
        if interface is None or interface.peer is None:
            return
        for end in (interface, interface.peer):
            if end.namespace == HERE:
                self.leaves(end, knows_rx=True)
        self.kernel.part(interface)
        if parted_seen:
            self.station.run(0)
        if ends_apart:
            self.source.between = lambda: self.kernel.finish_removal(interface, apart=True)
            self.station.run(1)
            if self.source.between is None:
                return
            self.source.between = None  # nothing could be read
        self.kernel.finish_removal(interface)

    # Time --------------------------------------------------------------------------------------------------------------

    @precondition(lambda self: self.is_up)
    @rule(seconds=st.sampled_from([0, 0.01, 0.3, 1, 3, 12, 61, 1000]))
    def run(self, seconds):
        self.station.run(seconds)

    @rule(seconds=st.sampled_from([2, 7, 400, 7200]), which=_which)
    def stall(self, seconds, which):
        """The recorder is not let run (or there is none), while traffic goes on."""
        self.kernel.run(seconds / 2)
        self.do_traffic(which, 5000, 100)
        self.kernel.run(seconds / 2)

    @rule(seconds=st.sampled_from([0.5, 2, 30, 90_000]))
    def suspend(self, seconds):
        self.kernel.suspend(seconds)

    @rule(seconds=st.sampled_from([1, 3600, 172_800]), back=st.booleans())
    def set_clock(self, seconds, back):
        self.oracle.clock_was_set = True
        self.kernel.step(-seconds if back else seconds)

    # The recorder ------------------------------------------------------------------------------------------------------

    @precondition(lambda self: self.is_up)
    @rule()
    def crash(self):
        self.station.crash()
        self.went_down()

    @precondition(lambda self: self.is_up)
    @rule()
    def stop(self):
        self.station.stop()
        self.went_down()

    @precondition(lambda self: not self.is_up)
    @rule()
    def start(self):
        self.unblock()
        if self.has_book:
            self.oracle.up(self.path)
        else:
            self.oracle.first_sight()
        self.station.start()

    @precondition(lambda self: not self.is_up)
    @rule(has_lived=st.booleans())
    def reboot(self, has_lived):
        for interface in self.kernel.in_namespace(HERE):
            self.oracle.allow(interface)
        self.kernel.reboot()
        eth0 = self.kernel.add("eth0")
        if has_lived:
            self.kernel.run(30)
            self.kernel.traffic(eth0, 4321, 1234)

    # The source --------------------------------------------------------------------------------------------------------

    @precondition(lambda self: self.is_up)
    @rule()
    def lose_events(self):
        """The event buffer is full: what comes until it is emptied is dropped."""
        self.source.events_full = True

    @precondition(lambda self: self.is_up)
    @rule(seconds=st.sampled_from([0.5, 1, 4, 20]), closed=st.booleans(), action=_actions)
    def fail_to_read(self, seconds, closed, action):
        self.source.failure = "the model fails"
        if closed:
            self.source.broken = "the model stays closed"
        self.station.run(seconds)
        self.act(action)
        self.station.run(seconds)
        self.source.failure = self.source.broken = ""

    # The ledger --------------------------------------------------------------------------------------------------------

    @precondition(lambda self: self.is_up)
    @rule(times=st.integers(1, 4))
    def refuse_commits(self, times):
        self.station.refusals = times

    @precondition(lambda self: self.blocker is None and self.path.exists())
    @rule()
    def block(self):
        """Another program locks the ledger."""
        self.blocker = sqlite3.connect(self.path, isolation_level=None)
        self.blocker.execute("BEGIN IMMEDIATE")

    @rule()
    def unblock(self):
        if self.blocker is not None:
            self.blocker.close()
            self.blocker = None

    @precondition(lambda self: self.is_up and self.path.exists())
    @rule()
    def take_ledger_away(self):
        """Somebody removes the file while it is recorded into."""
        self.unblock()
        self.oracle.keep(self.path)
        for suffix in ("", "-wal", "-shm"):
            with contextlib.suppress(FileNotFoundError):
                os.remove(f"{self.path}{suffix}")

    # What must be so -----------------------------------------------------------------------------------------------------

    @precondition(lambda self: self.is_up)
    @rule()
    def check(self):
        """When all is well for a while, nothing is missing that is not declared."""
        self.unblock()
        self.station.refusals = 0
        self.source.failure = self.source.broken = ""
        self.station.run(15)
        self.oracle.check(self.path)
        if not self.oracle.clock_was_set and not self.oracle.set_aside:
            self.oracle.check_times(self.path)
        assert_sound(self.path)

    def teardown(self):
        try:
            if self.station is not None:
                if not self.is_up:
                    self.start()
                self.check()
                self.station.stop()
                self.oracle.check(self.path)
                assert_sound(self.path)
        finally:
            self.unblock()
            if self.station is not None:
                self.station.crash()
            shutil.rmtree(self.directory, ignore_errors=True)

    # Means -------------------------------------------------------------------------------------------------------------

    @property
    def is_up(self):
        return self.station is not None and self.station.running

    @property
    def source(self):
        return self.station.source

    def pick(self, which) -> Interface | None:
        here = [i for i in self.kernel.in_namespace(HERE) if not i.parted]
        return here[which % len(here)] if here else None

    def used_index(self, back) -> int | None:
        """An index that somebody had before and nobody has now."""
        if not back:
            return None
        taken = {i.index for i in self.kernel.in_namespace(HERE)}
        free = [i.index for i in reversed(self.kernel.everything) if i.index not in taken]
        return free[back % len(free)] if free else None

    def remove(self, interface, heard):
        peer = interface.peer
        heard = heard or peer is None or peer.namespace == interface.namespace
        for end in (interface, peer):
            if end is not None and end.namespace == HERE:
                self.leaves(end, knows_rx=heard)
        self.kernel.remove(interface, heard=heard)

    def leaves(self, interface, *, knows_rx):
        if self.is_up:
            self.oracle.removed(interface, knows_rx=knows_rx)
        else:
            self.oracle.allow(interface)

    @property
    def has_book(self):
        """Whether a recorder has committed anything since the ledger was taken away."""
        return self.path.exists() and bool(rows(self.path, "SELECT 1 FROM run"))

    def went_down(self):
        if self.has_book:
            self.oracle.down(self.path)


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    """A locked ledger is not waited for."""
    monkeypatch.setattr(writer, "BUSY_MS", 0)
    monkeypatch.setattr(writer, "BUSY_MS_AT_STOP", 0)


@pytest.mark.usefixtures("impatient")
class TestAnyHistoryAddsUp(AnyHistory.TestCase):
    settings = settings(
        max_examples=_EXAMPLES,
        stateful_step_count=_STEPS,
        deadline=None,
        derandomize=LOOK != "search",
        suppress_health_check=list(HealthCheck),
        print_blob=True,
    )
