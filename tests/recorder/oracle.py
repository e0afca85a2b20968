"""What a recorder owes for every life of an interface, told by the model kernel and not by the recorder.

The oracle follows what the kernel counts, which readings were taken and which commits succeeded. Where the recorder
cannot know (an event was dropped, a counter was reset, it was down), the oracle allows a loss of at most what was
counted since a reading that was certainly accounted for, and then insists on a lossy gap of that time.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from recorder.kernel import HERE, Interface, Kernel, KernelSource
from support.book import quarters, rows

from netusage.model import US, ZERO, Counters, LinkChange, LinkEvent

_READS_TO_BE_SURE = 2
_UNSURE_READS = 5
_SLACK_US = 8 * US
_COUNTERS = ", ".join(f"sum(recorded_{name})" for name in Counters._fields)
_RECORDED = f"""
SELECT e.life, i.name, max(e.closed_us IS NULL), {_COUNTERS}
FROM epoch e JOIN interface i ON i.id = e.interface_id GROUP BY e.life, i.name
"""


@dataclass(frozen=True)
class Loss:
    """At most so much may be missing, and a lossy gap must say so; labels of the stretch in UTC microseconds."""

    most: Counters
    from_us: int
    until_us: int


@dataclass(eq=False)
class Account:
    """What is owed for one life.

    due: what it counted in the recorder's namespace since it is the recorder's business, by name.
    when: the same, by UTC microsecond.
    sure: `due` at a reading that was certainly accounted for, and its time.
    read: the same at the readings since then: the last one may have been replaced by a look at all links, and the one
        before it may not have been used for this link because of an event.
    committed: `sure` at the last commit.
    unsure: for so many readings nothing can be taken for accounted for.
    moved_in: it came from another namespace.
    born_unseen: its first events were dropped, so that how it began can only be told when all links are looked at.
    blurred: it took a new name unseen, so that its names cannot be told apart.
    forgotten: it came and went while nobody looked, or before.
    """

    interface: Interface
    due: dict[str, Counters] = field(default_factory=dict)
    when: list[tuple[int, Counters]] = field(default_factory=list)
    sure: Counters = ZERO
    sure_us: int = 0
    read: deque[tuple[Counters, int]] = field(default_factory=deque)
    committed: Counters = ZERO
    unsure: int = 0
    losses: list[Loss] = field(default_factory=list)
    moved_in: bool = False
    born_unseen: bool = False
    blurred: bool = False
    forgotten: bool = False

    @property
    def total(self) -> Counters:
        """`due` under all names."""
        return _sum(self.due.values())

    @property
    def lost(self) -> Counters:
        """The most that may be missing."""
        return _sum(loss.most for loss in self.losses)


class Oracle:
    """Follows a kernel and one recorder on it."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self.accounts: dict[Interface, Account] = {}
        self.set_aside: dict[tuple[int, str], Counters] = {}
        self.gaps_set_aside: list[tuple[int, int, str, str, str]] = []
        self.committed_us = 0
        self.clock_was_set = False
        kernel.on_count = self._count

    # What happens ------------------------------------------------------------------------------------------------------

    def follow(self, source: KernelSource) -> None:
        """The recorder has opened this source."""
        source.on_read = self._read
        source.on_drop = self._drop
        source.remembers_lives = True

    def of(self, interface: Interface) -> Account:
        """Its account."""
        account = self.accounts.get(interface)
        if account is None:
            now_us = self.kernel.now().wall_us
            account = Account(interface, sure_us=now_us)
            self.accounts[interface] = account
        return account

    def first_sight(self) -> None:
        """The recorder begins with an empty book: what was before is nobody's business."""
        for interface in self.kernel.everything:
            account = self.of(interface)
            account.due, account.when = {}, []
            account.sure = account.committed = ZERO
            account.read.clear()
            account.losses = []
            account.forgotten = not interface.alive
        self.set_aside = {}
        self.gaps_set_aside = []

    def keep(self, path) -> None:
        """The ledger is about to be taken away; what was in it was recorded."""
        self.set_aside = self.recorded(path)
        self.gaps_set_aside = self._gaps(path)

    def commit(self) -> None:
        """The recorder has committed."""
        self.committed_us = self.kernel.now().wall_us
        for account in self.accounts.values():
            account.committed = account.sure

    def reset(self, interface: Interface) -> None:
        """Its counters are about to be reset."""
        self.allow(interface)
        self.be_unsure(interface)

    def be_unsure(self, interface: Interface) -> None:
        """Nothing that is read of it in the next rounds is certainly accounted for."""
        self.of(interface).unsure = _UNSURE_READS

    def allow(self, interface: Interface) -> None:
        """What it counted since the last certain reading may be lost, if a gap says so."""
        account = self.of(interface)
        now_us = self.kernel.now().wall_us
        account.losses.append(Loss(account.total.minus(account.sure), account.sure_us, now_us))

    def returns(self, interface: Interface, *, seen: bool) -> None:
        """It comes from another namespace, with counters of which nobody knows how much was counted there.

        When that is not seen, it must not be counted twice, and nothing else is asked for.
        """
        account = self.of(interface)
        account.moved_in = True
        account.forgotten = account.forgotten or not seen

    def removed(self, interface: Interface, *, knows_rx: bool) -> None:
        """It went away (destroyed or moved) and an event will tell it."""
        account = self.of(interface)
        if account.unsure:
            self.allow(interface)
        elif not knows_rx:
            missing = account.total.minus(account.sure)._replace(tx_bytes=0, tx_packets=0)
            account.losses.append(Loss(missing, account.sure_us, self.kernel.now().wall_us))

    def down(self, path) -> None:
        """The recorder is down: what it knows is what the book says."""
        known = self.recorded(path)
        booked = {(row[0], row[1]): bool(row[2]) for row in rows(path, _RECORDED)}
        lives = {life for life, _ in booked}
        for interface, account in self.accounts.items():
            if account.forgotten:
                continue
            total = _total(known, interface.life)
            _assert_most(account.committed.minus(account.lost), total, f"{interface.name}: a commit was lost")
            _assert_most(total, account.total, f"{interface.name}: more is recorded than was counted")
            living = {
                name for (life, name), lives_on in booked.items() if life == interface.life and lives_on
            }
            account.forgotten = (interface.life not in lives and account.unsure > 0) or (
                account.moved_in and not living and _is_here(interface)
            )
            account.sure = account.committed = total
            account.sure_us = self.committed_us
            account.read.clear()
            if living and (account.unsure or not _is_here(interface)):
                self.allow(interface)
            unwritten = {n for n, due in account.due.items() if due != known.get((interface.life, n), ZERO)}
            if (living | unwritten) - {interface.name}:
                account.blurred = True
            account.unsure = 0

    def up(self, path) -> None:
        """The recorder is about to look again: what came and went meanwhile is not its business."""
        lives = {row[0] for row in rows(path, _RECORDED)}
        for interface, account in self.accounts.items():
            if interface.life not in lives and not _is_here(interface):
                account.forgotten = True

    # What must be so -----------------------------------------------------------------------------------------------------

    def check(self, path) -> None:
        """Recorded plus declared lost equals the truth, for every life and under every name."""
        known = self.recorded(path)
        gaps = self._gaps(path)
        for interface, account in self.accounts.items():
            booked = _total(known, interface.life)
            _assert_most(
                booked, interface.counted, f"{interface.name}: more is recorded than was ever counted"
            )
            if account.forgotten:
                continue
            names = {
                "",
                interface.name,
                *account.due,
                *(name for life, name in known if life == interface.life),
            }
            declared = [gap for gap in gaps if gap[2] in names]
            self._check_sum(
                account, f"{interface.name} (life {interface.life})", booked, account.total, declared
            )
            for name, due in account.due.items():
                if not account.blurred:
                    booked = known.get((interface.life, name), ZERO)
                    self._check_sum(
                        account, f"{name} (life {interface.life}, by name)", booked, due, declared
                    )

    def _check_sum(self, account: Account, what: str, booked: Counters, due: Counters, declared) -> None:
        missing = due.minus(booked)
        if missing.is_zero:
            return
        evidence = (
            f"{what}: due {tuple(due)}, recorded {tuple(booked)}, allowed {account.losses}, gaps {declared}"
        )
        _assert_most(ZERO, missing, f"more is recorded than was counted; {evidence}")
        _assert_most(missing, account.lost, f"lost more than could not be known; {evidence}")
        if not self.clock_was_set:
            declared = [
                gap
                for gap in declared
                if any(gap[0] <= loss.until_us and loss.from_us <= gap[1] for loss in account.losses)
            ]
        assert declared, f"lost without a word; {evidence}"

    def check_times(self, path) -> None:
        """Nothing is dated outside the stretch in which it was counted, give or take an ordinary interval.

        Only where the wall clock was never set, the ledger is whole, and nothing is in it that nobody asked for.
        """
        known = self.recorded(path)
        if any(
            account.forgotten and _total(known, interface.life) != ZERO
            for interface, account in self.accounts.items()
        ):
            return
        counted = [
            moment for account in self.accounts.values() if not account.forgotten for moment in account.when
        ]
        entries = rows(
            path,
            f"SELECT start_s * {US}, (start_s + 60) * {US}, rx_bytes + tx_bytes FROM minute WHERE start_s >= (SELECT sealed_until_s FROM ledger)",
        )
        entries += [
            (one["start_s"] * US, (one["start_s"] + 900) * US, one["rx_bytes"] + one["tx_bytes"])
            for one in quarters(path)
        ]
        entries += rows(path, "SELECT start_us, end_us, rx_bytes + tx_bytes FROM span")
        missing = sum(sum(more[:2]) for _, more in counted) - sum(amount for *_, amount in entries)
        for moment_us in {edge for start_us, end_us, _ in entries for edge in (start_us, end_us)}:
            begun = sum(amount for start_us, _, amount in entries if start_us < moment_us)
            ended = sum(amount for _, end_us, amount in entries if end_us <= moment_us)
            before = sum(sum(more[:2]) for at_us, more in counted if at_us < moment_us - _SLACK_US)
            until = sum(sum(more[:2]) for at_us, more in counted if at_us < moment_us + _SLACK_US)
            assert begun >= before - missing, (
                f"dated too late: {begun} began before {moment_us}, {before} were counted"
            )
            assert ended <= until, f"dated too early: {ended} ended before {moment_us}, {until} were counted"

    def recorded(self, path) -> dict[tuple[int, str], Counters]:
        """What is on record, by life and name."""
        found = dict(self.set_aside)
        for life, name, _, *counters in rows(path, _RECORDED):
            found[life, name] = found.get((life, name), ZERO).plus(Counters(*counters))
        return found

    def _gaps(self, path) -> list[tuple[int, int, str, str, str]]:
        found = rows(path, "SELECT start_us, end_us, interface, kind, note FROM gap WHERE lossy")
        return [*self.gaps_set_aside, *map(tuple, found)]

    # What the kernel tells -------------------------------------------------------------------------------------------------

    def _count(self, interface: Interface, more: Counters) -> None:
        if interface.namespace == HERE:
            account = self.of(interface)
            account.due[interface.name] = account.due.get(interface.name, ZERO).plus(more)
            account.when.append((self.kernel.now().wall_us, more))
            if account.unsure and account.born_unseen:
                self.allow(interface)

    def _read(self) -> None:
        now_us = self.kernel.now().wall_us
        for interface in self.kernel.in_namespace(HERE):
            account = self.of(interface)
            if account.unsure:
                account.unsure -= 1
                continue
            account.read.append((account.total, now_us))
            if len(account.read) > _READS_TO_BE_SURE:
                account.sure, account.sure_us = account.read.popleft()

    def _drop(self, interface: Interface, event: LinkEvent) -> None:
        account = self.of(interface)
        if event.change is LinkChange.REMOVED:
            self.allow(interface)
        else:
            account.blurred = True
            account.born_unseen = account.born_unseen or account.sure == ZERO
        account.forgotten = account.forgotten or account.moved_in
        self.be_unsure(interface)


def _is_here(interface: Interface) -> bool:
    return interface.alive and interface.namespace == HERE


def _total(known: dict[tuple[int, str], Counters], life: int) -> Counters:
    return _sum(counters for (of_life, _), counters in known.items() if of_life == life)


def _sum(many: Iterable[Counters]) -> Counters:
    total = ZERO
    for counters in many:
        total = total.plus(counters)
    return total


def _assert_most(small: Counters, large: Counters, message: str) -> None:
    assert all(a <= b for a, b in zip(small, large, strict=True)), (
        f"{message}: {tuple(small)} > {tuple(large)}"
    )
