"""A real recorder on a model kernel: the loop, the meter and the ledger are the product's, time is the test's.

The recorder runs in a thread of its own, and only while the test waits for it: when it waits, the test goes on. So
nothing here depends on speed, and no test sleeps.
"""

import threading
from collections.abc import Callable
from queue import SimpleQueue

from recorder.kernel import HERE, MACHINE, Kernel, KernelSource

from netusage.errors import ExitCode, LedgerBusyError
from netusage.ledger.writer import LedgerWriter
from netusage.model import NS, Instant, Place
from netusage.recorder.loop import Recorder, Timing
from netusage.recorder.meter import Meter
from netusage.recorder.notify import Notifier
from netusage.recorder.rules import Rules
from netusage.recorder.waiting import Wake


class CrashError(BaseException):
    """The recorder is killed where it stands."""


class Book:
    """A `LedgerWriter` that can be told to refuse, and that tells when a commit has succeeded."""

    def __init__(self, writer: LedgerWriter, station: "Station") -> None:
        self.writer = writer
        self._station = station

    def __getattr__(self, name):
        return getattr(self.writer, name)

    def commit(self, batch):
        station = self._station
        if station.refusals:
            station.refusals -= 1
            raise LedgerBusyError("cannot write the ledger: it is refused")
        self.writer.commit(batch)
        station.commits.append(batch.at)
        station.on_commit()


class Station:
    """One recorder, from its start to its stop or crash; may be started again.

    Args:
        kernel: what it records.
        path: its ledger; None to count without recording.
        make_source: opens its source; the model kernel's by default.
        options: more arguments of `Recorder`.

    Attributes:
        refusals: so many of the next commits are refused.
        commits: the readings that were committed.
        said: what the recorder said.
        exit: its exit code, None while it runs and after a crash.
    """

    def __init__(
        self,
        kernel: Kernel,
        path,
        *,
        timing: Timing | None = None,
        rules: Rules | None = None,
        namespace: int = HERE,
        machine: str = MACHINE,
        make_source: Callable[[], object] | None = None,
        minutes_kept_s: int = 35 * 86400,
        on_commit: Callable[[], None] = lambda: None,
        on_open: Callable[[KernelSource], None] = lambda _: None,
        **options,
    ) -> None:
        self.kernel = kernel
        self.path = path
        self.timing = timing or Timing()
        self.rules = rules or Rules()
        self.refusals = 0
        self.commits: list[Instant] = []
        self.said: list[str] = []
        self.exit: ExitCode | None = None
        self.running = False
        self.source: KernelSource | None = None
        self.meter: Meter | None = None
        self.book: Book | None = None
        self.on_commit = on_commit
        self.on_open = on_open
        self._namespace = namespace
        self._machine = machine
        self._make_source = make_source
        self._minutes_kept_s = minutes_kept_s
        self._options = options
        self._to_recorder: SimpleQueue = SimpleQueue()
        self._to_test: SimpleQueue = SimpleQueue()
        self._wake_ns = 0
        self._listens = False

    # What a test does --------------------------------------------------------------------------------------------------

    def start(self, *, until_ns: int | None = None) -> "Station":
        """Open source and ledger, take the first reading, and wait for the next one."""
        assert not self.running
        self.exit = None
        self.running = True
        threading.Thread(target=self._live, args=(until_ns,), daemon=True).start()
        self._await()
        return self

    def run(self, seconds: float) -> "Station":
        """Let time go by, with everything that the recorder does meanwhile."""
        kernel = self.kernel
        end_ns = kernel.now().boot_ns + round(seconds * NS)
        while self.running:
            now = kernel.now()
            if self._listens and self.source.has_news:
                self.wake(events=True)
            elif now.awake_ns >= self._wake_ns:
                self.wake()
            elif now.boot_ns >= end_ns:
                break
            else:
                kernel.run_ns(min(self._wake_ns - now.awake_ns, end_ns - now.boot_ns))
        return self

    def wake(self, *, events: bool = False, stop: ExitCode | None = None, reload: bool = False) -> None:
        """End the recorder's waiting."""
        self._to_recorder.put(Wake(events, stop, reload))
        self._await()

    def stop(self, code: ExitCode = ExitCode.TERMINATED) -> ExitCode | None:
        """Ask it to stop, and wait until it has."""
        self.wake(stop=code)
        assert not self.running
        return self.exit

    def crash(self) -> None:
        """Kill it."""
        if self.running:
            self._to_recorder.put(CrashError())
            self._await()

    # What the recorder does ----------------------------------------------------------------------------------------------

    def wait(self, timeout_ns: int, fileno: int | None) -> Wake:
        """The recorder's `Waiter`."""
        self._wake_ns = self.kernel.now().awake_ns + max(timeout_ns, 0)
        self._listens = fileno is not None
        self._to_test.put(None)
        order = self._to_recorder.get()
        if isinstance(order, CrashError):
            raise order
        return order

    def _await(self) -> None:
        failure = self._to_test.get()
        if failure is not None:
            raise failure

    def _live(self, until_ns: int | None) -> None:
        failure: BaseException | None = None
        try:
            self._record(until_ns)
        except CrashError:
            pass
        except BaseException as error:  # noqa: BLE001  # it is raised again in the test
            failure = error
        self.running = False
        self._to_test.put(failure)

    def _record(self, until_ns: int | None) -> None:
        kernel = self.kernel
        self.source = source = self._make_source() if self._make_source else kernel.source(self._namespace)
        self.on_open(source)
        place = Place(kernel.boot_id, self._namespace, self._machine)
        now = kernel.now()
        book = None
        if self.path is not None:
            writer = LedgerWriter(
                str(self.path),
                place,
                boot_us=now.wall_us - now.boot_ns // 1000,
                now_us=now.wall_us,
                source=source.name,
                minutes_kept_s=self._minutes_kept_s,
            )
            book = self.book = Book(writer, self)
        try:
            self.meter = meter = Meter(place, self.rules, life_of=source.life)
            recorder = Recorder(
                source,
                kernel,
                self,
                book,
                meter,
                timing=self.timing,
                say=self.said.append,
                notifier=self._options.pop("notifier", None) or Notifier({}),
                **self._options,
            )
            self.exit = recorder.run(until_ns=until_ns)
        finally:
            if book is not None:
                book.close()
            if source in kernel.sources:
                kernel.sources.remove(source)
