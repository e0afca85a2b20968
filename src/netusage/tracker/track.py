"""Tracking in the foreground: counts since the start, logs every minute, records into the ledger meanwhile."""

import contextlib
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import tzinfo
from fnmatch import fnmatchcase
from typing import TextIO

from netusage.errors import ExitCode, LedgerHeldError, OutputError
from netusage.exporters.daily_csv import DailyCsv, UsageRow
from netusage.model import NS, ZERO, Counters, Instant, Link
from netusage.recorder.session import Session, open_session
from netusage.settings.schema import Settings
from netusage.tracker.console import Console, Moment
from netusage.units import format_bytes, format_duration, format_rate, megabyte_name

_SHOWN_APPLICATIONS = 8
_SAME_MOMENT_US = 50_000


@dataclass(frozen=True, slots=True)
class TrackOptions:
    """What to track.

    settings: the configuration, flags included.
    ledger: the file to record into, None for none.
    zone: whose days and times.
    run_for_us: how long to run, None until it is stopped.
    interfaces: shell patterns of the interfaces to add up; empty for the machine's total.
    live: the output is a terminal.
    reload: reads the configuration anew, for SIGHUP.
    """

    settings: Settings
    ledger: str | None
    zone: tzinfo
    run_for_us: int | None = None
    interfaces: tuple[str, ...] = ()
    live: bool = False
    reload: Callable[[], Settings] | None = None
    out: TextIO | None = field(default_factory=lambda: sys.stdout)
    messages: TextIO | None = field(default_factory=lambda: sys.stderr)


def track(options: TrackOptions) -> ExitCode:
    """Track until Ctrl-C, a signal, or the end of `run_for_us`; then write the last row and a summary.

    Ends as well, and counts it as done, when nobody reads the output any more (a closed pipe).

    Raises:
        SourceError: the counters cannot be read here; its hint says what to do.
        OutputError: the CSV cannot be written at the start.
    """
    return _Tracker(options).run()


class _Tracker:
    def __init__(self, options: TrackOptions) -> None:
        settings = options.settings
        self._options = options
        self._interval_us = settings.track.interval_us
        self._console = Console(
            options.out,
            settings.report.units,
            options.zone,
            bits=settings.report.bits,
            live=options.live,
            trouble=self._on_trouble,
        )
        self._csv: DailyCsv | None = None
        if settings.track.csv:
            self._csv = DailyCsv(settings.track.csv_directory, settings.report.units, options.zone)
        self._started = Instant(0, 0, 0)
        self._before = (0, ZERO)
        self._next_log_ns = 0
        self._moment = Moment(0, 0, 0, 0, 0, 0)
        self._logged: Moment | None = None
        self._csv_trouble = ""
        self._console_trouble = ""
        self._nobody_reads = False
        self._files: list[str] = []

    def run(self) -> ExitCode:
        options = self._options
        settings = options.settings
        selected = self._is_selected if options.interfaces else None
        with (
            contextlib.closing(self) if self._csv else contextlib.nullcontext(),
            open_session(
                _reading_as_often(settings),
                options.ledger,
                say=self._say,
                reload=lambda: _reading_as_often(options.reload() if options.reload else settings),
                must_record=False,
                selected=selected,
                on_sample=self._on_sample,
            ) as session,
        ):
            self._started = session.recorder.now()
            self._before = (self._started.boot_ns, ZERO)
            self._next_log_ns = self._started.boot_ns + self._interval_us * 1000
            if self._csv is not None:
                self._csv.open(self._started.wall_us)
                self._note_file()
            self._introduce(session)
            until_ns = None
            if options.run_for_us is not None:
                until_ns = self._started.boot_ns + options.run_for_us * 1000
            code = session.recorder.run(until_ns=until_ns)
            if not self._is_logged():
                self._log()
            self._summarise(session)
        return ExitCode.OK if self._nobody_reads else code

    def close(self) -> None:
        """Close the CSV file."""
        if self._csv is not None:
            self._csv.close()

    def _is_selected(self, link: Link) -> bool:
        return any(fnmatchcase(link.name, pattern) for pattern in self._options.interfaces)

    def _on_sample(self, session: Session, at: Instant) -> None:
        self._moment = self._look(at, session.meter.usage())
        if at.boot_ns >= self._next_log_ns:
            self._log()
            behind = (at.boot_ns - self._next_log_ns) // (self._interval_us * 1000)
            self._next_log_ns += (behind + 1) * self._interval_us * 1000
        self._console.draw(self._moment)

    def _look(self, at: Instant, usage: Counters) -> Moment:
        before_ns, before = self._before
        passed_ns = max(at.boot_ns - before_ns, 1)
        difference = usage.minus(before)
        self._before = (at.boot_ns, usage)
        return Moment(
            at_us=at.wall_us,
            running_us=(at.boot_ns - self._started.boot_ns) // 1000,
            sent=usage.tx_bytes,
            received=usage.rx_bytes,
            sent_rate=difference.tx_bytes * NS // passed_ns,
            received_rate=difference.rx_bytes * NS // passed_ns,
        )

    def _is_logged(self) -> bool:
        """Whether the last logged line says all there is to say at the end."""
        last, now = self._logged, self._moment
        if last is None or (last.sent, last.received) != (now.sent, now.received):
            return False
        return now.running_us - last.running_us < _SAME_MOMENT_US

    def _log(self) -> None:
        """One row on the console and in the CSV."""
        moment = self._moment
        self._logged = moment
        self._console.log(moment)
        if self._csv is None:
            return
        try:
            self._csv.append(UsageRow(moment.at_us, moment.sent, moment.received))
        except OutputError as error:
            if self._csv_trouble != error.message:
                self._csv_trouble = error.message
                self._say(str(error))
        else:
            if self._csv_trouble:
                self._csv_trouble = ""
                missing = (
                    f"{self._csv.dropped} rows are missing" if self._csv.dropped else "no row is missing"
                )
                self._say(f"{self._csv.path} can be written again; {missing}")
        self._note_file()

    def _note_file(self) -> None:
        csv = self._csv
        if csv is None:
            return
        if csv.repaired:
            self._say(csv.repaired)
            csv.repaired = ""
        if csv.path and csv.path not in self._files:
            self._files.append(csv.path)

    def _introduce(self, session: Session) -> None:
        options = self._options
        what = ", ".join(options.interfaces) if options.interfaces else "this machine"
        name = megabyte_name(options.settings.report.units)
        size = "1,000,000" if name == "MB" else "1,048,576"
        every = format_duration(self._interval_us)
        text = self._console.text
        text(f"Tracking the network usage of {what}. Ctrl-C stops.")
        text(f"A line every {every}; 1 {name} is {size} bytes.")
        trouble = session.not_recording
        if isinstance(trouble, LedgerHeldError):
            text(f"A recorder is running already ({trouble.message}); this tracker only shows and logs.")
        elif trouble is not None:
            self._say(f"not recording, only showing and logging: {trouble}")
        elif session.ledger is not None:
            text(f"Recording into {session.ledger}")
        if self._files:
            text(f"Logging to {self._files[0]}")
        if session.tier:
            more = "" if session.tier == "kernel" else " (how to know more of them: netusage doctor)"
            text(f"Applications are told apart by: {session.tier}{more}")

    def _summarise(self, session: Session) -> None:
        moment, units, bits = (
            self._moment,
            self._options.settings.report.units,
            self._options.settings.report.bits,
        )
        seconds = max(moment.running_us, 1)
        text = self._console.text
        text("")
        text(f"Tracked for {format_duration(moment.running_us // 1_000_000 * 1_000_000)}")
        for word, amount in (("Sent", moment.sent), ("Received", moment.received)):
            rate = format_rate(amount * 1_000_000 // seconds, units, bits)
            text(f"  {word + ':':<10} {format_bytes(amount, units)} ({amount:,} bytes), {rate} on average")
        total = moment.sent + moment.received
        text(f"  {'Total:':<10} {format_bytes(total, units)} ({total:,} bytes)")
        self._summarise_applications(session, total)
        for path in self._files:
            text(f"  Logged to {path}")
        if session.ledger is not None:
            text(f"  Recorded into {session.ledger}; see it with: netusage --db {session.ledger}")

    def _summarise_applications(self, session: Session, total: int) -> None:
        """Those that had the most, and the rest in one line, so that all lines add up."""
        from netusage.render.cells import safe  # noqa: PLC0415  # at the end, and only where there are any
        from netusage.reports.applications import name_of  # noqa: PLC0415  # as above

        units = self._options.settings.report.units
        sums: dict[str, int] = {}
        for use, counters in session.applications.items():
            if use.in_total:
                name = name_of(use.who)
                sums[name] = sums.get(name, 0) + counters.rx_bytes + counters.tx_bytes
        if not sums:
            return
        most = sorted(sums.items(), key=lambda pair: (-pair[1], pair[0]))[:_SHOWN_APPLICATIONS]
        rest = total - sum(amount for _, amount in most)
        if rest:
            most.append(("all others and unattributed", rest))
        self._console.text("  By application:")
        for name, amount in most:
            self._console.text(f"    {format_bytes(amount, units):>10}  {safe(name)}")

    def _say(self, line: str) -> None:
        self._console.clear()
        messages = self._options.messages
        if messages is not None:
            with contextlib.suppress(OSError):  # nobody to tell
                messages.write(f"netusage: {line}\n")
                messages.flush()

    def _on_trouble(self, error: OSError) -> None:
        """The console cannot be written to: stop when nobody reads it, otherwise go on and say so once."""
        if isinstance(error, BrokenPipeError):
            if not self._nobody_reads:
                self._nobody_reads = True
                signal.raise_signal(signal.SIGTERM)
        elif self._console_trouble != str(error):
            self._console_trouble = str(error)
            self._say(f"cannot write to the standard output: {error.strerror}; tracking goes on")


def _reading_as_often(settings: Settings) -> Settings:
    """Readings at least as frequent as the logged lines; nothing stays in the kernel when it ends."""
    settings = replace(settings, recorder=replace(settings.recorder, pins="off"))
    if settings.track.interval_us >= settings.recorder.sample_interval_us:
        return settings
    return replace(settings, recorder=replace(settings.recorder, sample_interval=settings.track.interval))
