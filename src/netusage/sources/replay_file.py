"""Scripts of the replay source as JSON lines, and a way to record one from another source.

The first line says where and when the script begins, and may be `{"replay": 1}` alone; every further line is a
step. Names and meanings are those of `replay.Step` and `model.Link`, counters are lists of rx_bytes, tx_bytes,
rx_packets and tx_packets, and whatever is left out has its default::

    {"replay": 1, "boot_ns": 5000000000, "awake_ns": 5000000000, "wall_us": 1735732800000000, "boot_id": "b1"}
    {"links": [{"index": 2, "name": "eth0", "counters": [1000, 500, 10, 5]}]}
    {"after_ns": 1000000000, "counters": {"eth0": [1500, 600, 11, 6]}}
    {"after_ns": 200000000, "events": [{"change": "removed", "index": 2, "name": "eth0", "counters": [1700, 600, 12, 6]}]}
"""

import os
from pathlib import Path
from typing import IO

import msgspec

from netusage.clock import Clock
from netusage.errors import SourceError
from netusage.model import ZERO, Counters, Instant, Link, LinkChange, LinkEvent, Place
from netusage.sources.base import EventsLostError, Source
from netusage.sources.replay import PLACE, START, ReplayClock, ReplaySource, Step

VERSION = 1


class _Head(msgspec.Struct, forbid_unknown_fields=True):
    replay: int
    boot_ns: int = START.boot_ns
    awake_ns: int = START.awake_ns
    wall_us: int = START.wall_us
    boot_id: str = PLACE.boot_id
    namespace: int = PLACE.namespace
    machine: str = PLACE.machine
    counter_bits: int = 64


class _Link(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    index: int
    name: str
    kind: str = ""
    up: bool = True
    master: int = 0
    lower: int = 0
    lower_elsewhere: bool = False
    life: int = 0
    counters: Counters | None = None

    def link(self) -> Link:
        return Link(
            self.index,
            self.name,
            self.kind,
            self.up,
            self.master,
            self.lower,
            self.lower_elsewhere,
            self.life,
        )


class _Event(_Link, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    change: LinkChange
    whole: bool = True

    def event(self) -> LinkEvent:
        return LinkEvent(self.change, self.link(), self.counters, self.whole)


class _Place(msgspec.Struct, forbid_unknown_fields=True):
    boot_id: str
    namespace: int = 0
    machine: str = ""


class _Step(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    after_ns: int = 0
    awake_ns: int | None = None
    wall_step_us: int = 0
    links: list[_Link] | None = None
    counters: dict[str, Counters] = {}
    events: list[_Event] = []
    place: _Place | None = None
    failure: str = ""
    events_lost: bool = False

    def step(self) -> Step:
        links = None
        if self.links is not None:
            links = [(row.link(), row.counters or ZERO) for row in self.links]
        place = None
        if self.place is not None:
            place = Place(self.place.boot_id, self.place.namespace, self.place.machine)
        return Step(
            after_ns=self.after_ns,
            awake_ns=self.awake_ns,
            wall_step_us=self.wall_step_us,
            links=links,
            counters=self.counters,
            events=[row.event() for row in self.events],
            place=place,
            failure=self.failure,
            events_lost=self.events_lost,
        )


def load(path: str | os.PathLike[str]) -> ReplaySource:
    """Read a script.

    Raises:
        SourceError: the file cannot be read, or a line of it is wrong; says which and why.
    """
    try:
        lines = Path(path).read_bytes().splitlines()
    except OSError as error:
        raise SourceError(f"cannot read the script {path}: {error.strerror or error}") from error
    head: _Head | None = None
    steps = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            if head is None:
                head = msgspec.json.decode(line, type=_Head)
            else:
                steps.append(msgspec.json.decode(line, type=_Step).step())
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise SourceError(f"line {number} of the script {path} is wrong: {error}") from error
    if head is None or head.replay != VERSION:
        raise SourceError(
            f"{path} is not a script of version {VERSION}", hint='begin it with the line {"replay": 1}'
        )
    return ReplaySource(
        steps,
        clock=ReplayClock(Instant(head.boot_ns, head.awake_ns, head.wall_us)),
        place=Place(head.boot_id, head.namespace, head.machine),
        counter_bits=head.counter_bits,
    )


class Capture:
    """Writes what a source says as a script, one step for every call of `step`.

    Args:
        source: read, and left open.
        clock: when.
        file: takes the lines; open for writing bytes.
    """

    def __init__(self, source: Source, clock: Clock, file: IO[bytes]) -> None:
        self._source = source
        self._clock = clock
        self._file = file
        self._names: dict[int, str] = {}
        self._last = now = clock.now()
        self._place = place = source.place()
        self._write(_Head(VERSION, *now, *place, source.counter_bits))

    def step(self) -> None:
        """Write one step; a failure of the source becomes a part of the script."""
        now = self._clock.now()
        boot_ns = now.boot_ns - self._last.boot_ns
        step = _Step(
            after_ns=boot_ns,
            awake_ns=now.awake_ns - self._last.awake_ns,
            wall_step_us=now.wall_us - self._last.wall_us - boot_ns // 1000,
        )
        self._last = now
        place = self._source.place()
        if place != self._place:
            self._place, step.place = place, _Place(*place)
        try:
            self._look(step)
        except SourceError as error:
            step.failure = str(error)
        self._write(step)

    def _look(self, step: _Step) -> None:
        try:
            while events := self._source.events():
                step.events += [
                    _Event(change=e.change, counters=e.counters, whole=e.whole, **e.link._asdict())
                    for e in events
                ]
        except EventsLostError:
            step.events_lost = True
        reading = self._source.read()
        if not step.events and not step.events_lost and self._names.keys() == set(reading.indexes):
            rows = zip(*reading, strict=True)
            step.counters = {self._names[index]: Counters(*counters) for index, *counters in rows}
            return
        links = self._source.links()
        self._names = {link.index: link.name for link, _ in links}
        step.links = [_Link(counters=counters, **link._asdict()) for link, counters in links]

    def _write(self, line: msgspec.Struct) -> None:
        self._file.write(msgspec.json.encode(line) + b"\n")
