"""The present, once a second, for all who listen: one message, made once, of which a slow listener misses some."""

import asyncio
import contextlib
import socket
import time
from collections import deque
from collections.abc import AsyncIterator
from datetime import tzinfo
from typing import Any

from netusage.clock import boot_id
from netusage.errors import NetusageError
from netusage.ledger.reader import LedgerReader
from netusage.model import US
from netusage.periods import isoformat
from netusage.recorder.watch import Present, Rates, Watch
from netusage.render.documents import recorder
from netusage.reports.summary import Stretch, Summary, summary
from netusage.settings.schema import Settings
from netusage.web.answers import encode, json_of
from netusage.web.ledger import Ledger

MOST_LISTENING = 400
_REMEMBERED_S = 300  # rates of the last minutes, for whoever comes
_LOOK_AGAIN_S = 10  # at the ledger, where nothing was written: a day may have ended
_SILENCE_S = 15  # after which a listener is told that there is nothing to tell


class Now:
    """Reads counters and the ledger's present, and tells both.

    Args:
        settings: the configuration.
        ledger: for reading only.
        zone: in which today and this month begin.
    """

    def __init__(self, settings: Settings, ledger: Ledger, zone: tzinfo) -> None:
        self._settings = settings
        self._ledger = ledger
        self._zone = zone
        self._latest = b""
        self._number = 0
        self._changed = asyncio.Event()
        self._recent: deque[tuple[int, Rates]] = deque(maxlen=_REMEMBERED_S)
        self._present: Present | None = None
        self._trouble = ""
        self._known: dict[str, Any] = _nothing_known()
        self._known_of: object = None
        self._looked = 0.0
        self._watch: Watch | None = None
        self._beat: asyncio.Task[None] | None = None
        self._listening = 0
        self._ended = asyncio.Event()

    async def open(self) -> None:
        """Begin to read."""
        loop = asyncio.get_running_loop()

        def on_present(present: Present) -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(self._take, present)

        self._watch = Watch(self._settings, on_present)
        try:
            await loop.run_in_executor(None, self._watch.__enter__)
        except (NetusageError, OSError) as error:
            self._watch, self._trouble = None, str(error)
        self._beat = asyncio.create_task(self._tell_each_second())

    async def close(self) -> None:
        """Read no more; all who listen are told to go."""
        self.let_go()
        if self._beat is not None:
            await self._beat
        if self._watch is not None:
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(None, self._watch.__exit__, None, None, None)

    def let_go(self) -> None:
        """End what listeners are told: the server is about to stop."""
        self._ended.set()
        self._changed.set()

    async def latest(self) -> bytes:
        """The last message; waits for the first one."""
        while not self._latest and not self._ended.is_set():
            await self._changed.wait()
        return self._latest

    def recent(self) -> bytes:
        """The rates of the last minutes: a reading each second."""
        seconds, rates = [at_s for at_s, _ in self._recent], [one for _, one in self._recent]
        return json_of(
            "recent",
            str(self._zone),
            at_s=seconds,
            rx_bytes_per_second=[one.rx for one in rates],
            tx_bytes_per_second=[one.tx for one in rates],
        )

    @property
    def is_full(self) -> bool:
        """Whether nobody else can listen."""
        return self._listening >= MOST_LISTENING

    async def events(self) -> AsyncIterator[bytes]:
        """Messages as server-sent events (WHATWG HTML), until the server stops."""
        self._listening += 1
        told = -1
        try:
            yield b"retry: 2000\n\n"
            while not self._ended.is_set():
                if told == self._number:
                    try:
                        await asyncio.wait_for(self._changed.wait(), _SILENCE_S)
                    except TimeoutError:
                        yield b": nothing\n\n"
                    continue
                told = self._number
                if self._latest:
                    yield b"event: now\ndata: " + self._latest + b"\n\n"
        finally:
            self._listening -= 1

    # Messages ----------------------------------------------------------------------------------------------------

    def _take(self, present: Present) -> None:
        self._present = present
        self._recent.append((present.at.wall_us // US, present.rates))
        self._tell()

    async def _tell_each_second(self) -> None:
        """Look at the ledger, and tell what it has even where no counters can be read."""
        while not self._ended.is_set():
            await self._look()
            if self._watch is None or self._watch.trouble:
                self._trouble = self._watch.trouble if self._watch is not None else self._trouble
                self._present = None
                self._tell()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._ended.wait(), 1)

    async def _look(self) -> None:
        """Ask the ledger again when it has changed, and now and then."""
        version = self._ledger.version()
        now = time.monotonic()
        if version == self._known_of and now - self._looked < _LOOK_AGAIN_S:
            return
        self._known_of, self._looked = version, now
        loop = asyncio.get_running_loop()
        try:
            self._known = await loop.run_in_executor(None, self._read)
        except NetusageError as error:
            self._known = _nothing_known() | {"ledger_trouble": str(error)}

    def _read(self) -> dict[str, Any]:
        now_us = time.time_ns() // 1000
        with LedgerReader(self._ledger.path) as reader:
            answer = summary(
                reader,
                now_us=now_us,
                zone=self._zone,
                boot_id=boot_id(),
                overrides=self._settings.interfaces,
                billing_day=self._settings.report.billing_day,
                packets=False,
            )
            extent = reader.extent()
            return {
                "today": self._of_machine(answer, Stretch.TODAY),
                "month": self._of_machine(answer, Stretch.MONTH),
                "recorder": recorder(answer, self._zone) | _health(answer),
                "record": {"start_s": extent[0], "end_s": extent[1]} if extent else None,
                "change": answer.recorder.last_run.last_us if answer.recorder.last_run else 0,
                "ledger_trouble": "",
            }

    def _of_machine(self, answer: Summary, stretch: Stretch) -> dict[str, Any]:
        row = next(row for row in answer.rows if row.stretch is stretch and row.interface is None)
        return {
            "start": isoformat(row.start_s, self._zone),
            "rx_bytes": row.usage.rx_bytes,
            "tx_bytes": row.usage.tx_bytes,
        }

    def _tell(self) -> None:
        present = self._present
        at_us = present.at.wall_us if present is not None else time.time_ns() // 1000
        self._latest = encode(
            {
                "version": 1,
                "report": "now",
                "timezone": str(self._zone),
                "at": isoformat(at_us // US, self._zone),
                "at_s": at_us / US,
                "rates": _rates(present.rates) if present is not None else None,
                "trouble": "" if present is not None else self._trouble,
                "interfaces": [
                    {"interface": one.name, "kind": one.kind, "counted": one.counted, **_rates(one.rates)}
                    for one in (present.interfaces if present is not None else ())
                ],
                "ledger": self._ledger.path,
                "hostname": socket.gethostname(),
                **self._known,
            }
        )
        self._number += 1
        self._changed.set()
        self._changed = asyncio.Event()


def _rates(rates: Rates) -> dict[str, int]:
    return {"rx_bytes_per_second": rates.rx, "tx_bytes_per_second": rates.tx}


def _nothing_known() -> dict[str, Any]:
    return {
        "today": None,
        "month": None,
        "recorder": None,
        "record": None,
        "change": 0,
        "ledger_trouble": "",
    }


def _health(answer: Summary) -> dict[str, int]:
    """What the last run of a recorder says of itself."""
    run = answer.recorder.last_run
    names = ("samples", "failed_samples", "late_samples", "commits", "failed_commits")
    return {name: getattr(run, name) if run is not None else 0 for name in names}
