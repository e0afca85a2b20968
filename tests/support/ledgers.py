"""Writes ledgers through the real writer, and remembers in plain lists what went in."""

import contextlib
from bisect import bisect_right
from typing import NamedTuple

from netusage.ledger.answers import Usage
from netusage.ledger.batch import Batch, Entry, Epoch, Span
from netusage.ledger.writer import LedgerWriter
from netusage.model import MINUTE_S, NS, US, ZERO, Counters, Gap, GapKind, Instant, Link, Place

DAY_S = 86400
# 2026-03-10 00:00 UTC
START_S = 1_773_100_800


class Counted(NamedTuple):
    """What went in for one minute."""

    name: str
    minute_s: int
    counters: Counters
    peak_rx: int
    peak_tx: int


class Estimated(NamedTuple):
    """What went in as an estimated stretch."""

    name: str
    start_us: int
    end_us: int
    counters: Counters


class Ledger:
    """A ledger that is written: count, then commit.

    tier: how it says that applications are told apart.
    counted, estimated: everything that was handed over and committed or is about to be.
    """

    def __init__(
        self,
        path,
        now_s=START_S,
        *,
        boot_id="boot-1",
        boot_s=None,
        machine="machine",
        minutes_kept_s=35 * DAY_S,
        **folding,
    ):
        self.tier = ""
        self.path = str(path)
        self.place = Place(boot_id, 1, machine)
        self.boot_s = now_s - 100 if boot_s is None else boot_s
        self.writer = LedgerWriter(
            self.path,
            self.place,
            boot_us=self.boot_s * US,
            now_us=now_s * US,
            source="netlink",
            minutes_kept_s=minutes_kept_s,
            **folding,
        )
        self.now_s = self.begun_s = now_s
        self.counted = []
        self.estimated = []
        self._names = {}
        self._epochs = []
        self._batch = self._new_batch()

    def interface(self, name, kind="", *, counted=True, reason="hardware", first=ZERO):
        """Open an epoch of an interface."""
        link = Link(len(self._epochs) + 1, name, kind)
        epoch = Epoch(self.place, link, self.now_s * US, "first-sight", first, first, counted, reason)
        self._names[epoch] = name
        self._epochs.append(epoch)
        self._touch(epoch)
        return epoch

    def count(self, epoch, at_s, *counters, peak_rx=0, peak_tx=0):
        """Count something in the minute of `at_s`."""
        minute_s, counters = at_s // MINUTE_S * MINUTE_S, Counters(*counters)
        entry = self._batch.entries.setdefault((minute_s, epoch), Entry(ZERO, 0, 0))
        entry.counters = entry.counters.plus(counters)
        entry.peak_rx, entry.peak_tx = max(entry.peak_rx, peak_rx), max(entry.peak_tx, peak_tx)
        epoch.last = epoch.last.plus(counters)
        self.counted.append(Counted(self._names[epoch], minute_s, counters, peak_rx, peak_tx))
        self._touch(epoch)

    def span(self, epoch, start_us, end_us, *counters, kind=GapKind.STOPPED):
        """Count something whose time is not known."""
        counters = Counters(*counters)
        self._batch.spans.append(Span(epoch, start_us, end_us, counters, str(kind)))
        epoch.last = epoch.last.plus(counters)
        self.estimated.append(Estimated(self._names[epoch], start_us, end_us, counters))
        self._touch(epoch)

    def share(self, part, counters):
        """Say what an application had; it is not counted once more."""
        self._batch.shares[part] = counters

    def counters_are_at(self, counted):
        """Say how far the counters of applications are handed over."""
        self._batch.counted = counted

    def version(self, who, device, inode):
        """Say which executable an application had."""
        self._batch.versions.add((who, device, inode))

    def again(self):
        """Forget what a failed commit had; its epochs are to be written all the same."""
        epochs, self._batch = self._batch.epochs, self._new_batch()
        self._batch.epochs = epochs

    def gap(self, start_s, end_s, kind=GapKind.STOPPED, *, lossy=False, interface="", note=""):
        """Declare a gap."""
        self._batch.gaps.append(Gap(start_s * US, end_s * US, kind, lossy, interface, note))

    def end(self, epoch, because="removed"):
        """Close an epoch."""
        epoch.closed_us, epoch.closed_because = self.now_s * US, because
        self._touch(epoch)

    def commit(self, now_s=None, *, ended=None, watched_from_s=None, newest_life=0):
        """Write everything up to `now_s`, UTC seconds."""
        self.now_s = self.now_s if now_s is None else now_s
        batch = self._batch
        batch.at = Instant((self.now_s - self.boot_s) * NS, 0, self.now_s * US)
        from_s = self.begun_s if watched_from_s is None else watched_from_s
        batch.watched = [(from_s * US, self.now_s * US)]
        batch.ended = ended
        batch.newest_life = newest_life
        batch.tier = self.tier
        self.writer.commit(batch)
        self._batch = self._new_batch()

    def close(self):
        """Stop as a recorder does that was killed after its last commit."""
        self.writer.close()

    def names(self):
        """The names of everything that counted."""
        return sorted({row.name for row in (*self.counted, *self.estimated)})

    def total(self, name):
        """Everything that went in for a name."""
        total = ZERO
        for row in (*self.counted, *self.estimated):
            if row.name == name:
                total = total.plus(row.counters)
        return total

    def _touch(self, epoch):
        if epoch not in self._batch.epochs:
            self._batch.epochs.append(epoch)

    def _new_batch(self):
        return Batch(Instant(0, 0, 0), [])


@contextlib.contextmanager
def writing(path, now_s=START_S, **options):
    """A ledger that is closed at the end, committed or not."""
    ledger = Ledger(path, now_s, **options)
    try:
        yield ledger
    finally:
        ledger.close()


def naive_usage(ledger, names, edges):
    """Usage between edges, by adding up everything that went in; as if all minutes were kept."""
    found = [[0] * 6 for _ in edges[1:]]
    for row in ledger.counted:
        n = bisect_right(edges, row.minute_s) - 1
        if row.name in names and 0 <= n < len(found):
            for column in range(4):
                found[n][column] += row.counters[column]
    for row in ledger.estimated:
        if row.name not in names:
            continue
        length = row.end_us - row.start_us
        for n, bucket in enumerate(found):
            low = min(max(edges[n] * US, row.start_us), row.end_us) - row.start_us
            high = min(max(edges[n + 1] * US, row.start_us), row.end_us) - row.start_us
            parts = [value * high // length - value * low // length for value in row.counters]
            for column, part in enumerate((*parts, parts[0], parts[1])):
                bucket[column] += part
    return [Usage(*bucket) for bucket in found]
