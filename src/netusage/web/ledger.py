"""A record as the web server asks it: for reading only, in a few threads, for a bounded time, the same once."""

import asyncio
import contextlib
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple

from netusage.ledger.reader import LedgerReader
from netusage.reports.share_index import ShareIndex
from netusage.web.answers import BusyError

if TYPE_CHECKING:
    from netusage.reports.record import Record
    from netusage.reports.shares import Shares

THREADS = 2
MOST_WAITING = 200  # questions
LONGEST_S = 10.0  # of one question
_KEPT = 512  # answers
_KEPT_BYTES = 16_000_000
_MOMENT_S = 10  # in which the present stands still for answers that are kept

Version = tuple[int, ...]


class _Kept(NamedTuple):
    """An answer: of which state of the record, and when it was found."""

    version: Version
    found_at: float
    body: bytes


class Asked(NamedTuple):
    """What a question is given: the record, what applications had, and the present in UTC seconds."""

    reader: "Record"
    shares: "Shares"
    now_s: int

    @property
    def ledger(self) -> LedgerReader:
        """The record, for questions that only a machine's own ledger answers."""
        if not isinstance(self.reader, LedgerReader):
            raise TypeError("no ledger is asked")
        return self.reader


class Answers:
    """Answers questions about a record; for each kind of record there is one of its own.

    Answers are kept until the record changes or ten seconds have gone by, those about a long time a little longer; what
    many ask at once is found out once.
    """

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(THREADS, "netusage-record")
        self._kept: OrderedDict[Hashable, _Kept] = OrderedDict()
        self._kept_bytes = 0
        self._running: dict[Hashable, asyncio.Future[bytes]] = {}
        self._waiting = 0

    def open(self) -> None:
        """Get ready to be asked."""

    def close(self) -> None:
        """Take no more questions."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def version(self) -> Version:
        """Another one whenever the record is known to have changed."""
        return ()

    async def _prepare(self, from_s: int) -> None:
        """See to it that it can be told what applications had from this time on, UTC seconds."""

    @contextlib.contextmanager
    def _opened(self) -> "Iterator[tuple[Record, Shares]]":
        """The record, for one question in one thread."""
        raise NotImplementedError

    async def answer(
        self,
        question: Hashable,
        find: Callable[[Asked], bytes],
        *,
        from_s: int | None = None,
        lasts_s: float = 0,
    ) -> bytes:
        """The answer to a question.

        Args:
            question: tells it from all others.
            find: finds the answer out, in another thread.
            from_s: what applications had is needed from this time on, UTC seconds; None where it is not.
            lasts_s: for so many seconds an answer is as good, though the record has changed.

        Raises:
            BusyError: too many others wait, or it takes too long.
            NetusageError: as `find`, or the record cannot be read.
        """
        now_s = int(time.time())
        version = (*self.version(), now_s // _MOMENT_S)
        kept = self._kept.get(question)
        if kept is not None and (kept.version == version or time.monotonic() - kept.found_at < lasts_s):
            self._kept.move_to_end(question)
            return kept.body
        running = self._running.get((question, version))
        if running is not None:
            return await asyncio.shield(running)
        if self._waiting >= MOST_WAITING:
            raise BusyError("too much is asked at once", hint="try again in a moment")
        own = asyncio.ensure_future(self._find(question, version, find, from_s, now_s))
        self._running[question, version] = own
        own.add_done_callback(lambda _: self._running.pop((question, version), None))
        return await asyncio.shield(own)

    async def _find(
        self,
        question: Hashable,
        version: Version,
        find: Callable[[Asked], bytes],
        from_s: int | None,
        now_s: int,
    ) -> bytes:
        self._waiting += 1
        try:
            loop = asyncio.get_running_loop()
            if from_s is not None:
                await self._prepare(from_s)
            found = await loop.run_in_executor(self._threads, self._ask, find, now_s)
        finally:
            self._waiting -= 1
        self._keep(question, version, found)
        return found

    def _ask(self, find: Callable[[Asked], bytes], now_s: int) -> bytes:
        until = time.monotonic() + LONGEST_S

        def check() -> None:
            if time.monotonic() > until:
                raise BusyError("this takes too long", hint="ask for less, or for a shorter time")

        with self._opened() as (reader, shares):
            reader.on_progress(check)
            return find(Asked(reader, shares, now_s))

    def _keep(self, question: Hashable, version: Version, found: bytes) -> None:
        before = self._kept.pop(question, None)
        self._kept_bytes += len(found) - (len(before.body) if before else 0)
        self._kept[question] = _Kept(version, time.monotonic(), found)
        while self._kept and (len(self._kept) > _KEPT or self._kept_bytes > _KEPT_BYTES):
            _, oldest = self._kept.popitem(last=False)
            self._kept_bytes -= len(oldest.body)


class Ledger(Answers):
    """Answers questions about one ledger.

    Args:
        path: the ledger's file; it need not be there yet.
    """

    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = path
        self._index = ShareIndex()
        self._indexed: Version = ()
        self._background = ThreadPoolExecutor(1, "netusage-index")
        self._whole: asyncio.Future[None] | None = None
        self._reading_tail = threading.Lock()

    def open(self) -> None:
        """Begin to read, so that what is asked first finds something."""
        self.read_whole()

    def close(self) -> None:
        """Take no more questions."""
        super().close()
        self._background.shutdown(wait=False, cancel_futures=True)

    def version(self) -> Version:
        """Another one whenever something was written into the ledger's files."""
        found: list[int] = []
        for name in (self.path, f"{self.path}-wal"):
            try:
                stat = os.stat(name)
            except OSError:
                found += [0, 0, 0]
            else:
                found += [stat.st_ino, stat.st_mtime_ns, stat.st_size]
        return tuple(found)

    async def _prepare(self, from_s: int) -> None:
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._threads, self._read_tail)
        if from_s < self._index.from_s:
            await self.read_whole()
        elif self._index.is_due:
            self.read_whole()

    @contextlib.contextmanager
    def _opened(self) -> "Iterator[tuple[Record, Shares]]":
        with LedgerReader(self.path) as reader:
            yield reader, self._index

    def read_whole(self) -> "asyncio.Future[None]":
        """Read all that applications ever had into memory, in the background; the same reading for all who wait."""
        if self._whole is None or self._whole.done():
            loop = asyncio.get_running_loop()
            self._whole = loop.run_in_executor(self._background, self._read_whole)
            self._whole.add_done_callback(lambda whole: whole.cancelled() or whole.exception())
        return self._whole

    def _read_whole(self) -> None:
        with LedgerReader(self.path) as reader:
            self._index.read_whole(reader)
        with self._reading_tail:
            self._indexed = ()  # it may have gone on meanwhile

    def _read_tail(self) -> None:
        with self._reading_tail:
            version = self.version()
            if version != self._indexed:
                with LedgerReader(self.path) as reader:
                    self._index.read_tail(reader)
                self._indexed = version
