"""netusage metrics: what Prometheus reads, on standard output or in a file for node_exporter."""

import os
import stat
from typing import TYPE_CHECKING

import click

from netusage.cli import options
from netusage.cli.context import Invocation, pass_invocation
from netusage.cli.output import STANDARD

if TYPE_CHECKING:
    from netusage.errors import ExitCode

_SHORTEST = "1s"


@options.command(
    "metrics",
    examples=[
        ("netusage metrics", "all metrics, once"),
        ("netusage metrics -o netusage.prom", "into a file, for node_exporter's textfile collector"),
        ("netusage metrics --grafana -o dashboard.json", "a dashboard to import into Grafana"),
    ],
)
@click.option(
    "--every",
    metavar="TIME",
    help="Write the file again after each such time, as in 15s or 1min, until SIGTERM or Ctrl-C.",
)
@click.option("--grafana", is_flag=True, help="Write a dashboard for Grafana instead.")
@options.setting_option(
    "--applications",
    key="metrics.applications",
    metavar="N",
    help="How many applications are told apart, those with the most bytes.",
)
@options.file_option
@options.ledger_options
@options.zone_option
@pass_invocation
def command(inv: Invocation, every: str | None, grafana: bool) -> "ExitCode | None":
    """Tell what a monitoring system keeps an eye on, in Prometheus' text format.

    The same is served by netusage web under /metrics. Counters come from the ledger and go on after any restart. For the
    textfile collector the file has to end in .prom and to be in its directory; it is replaced whole, and everybody may
    read it.
    """
    from netusage.errors import UsageError

    if grafana:
        if every is not None:
            raise UsageError("--every is for metrics: a dashboard does not change")
        _write(inv, _dashboard())
        return None
    if every is None:
        _write(inv, _metrics(inv))
        return None
    if inv.output_file is None:
        raise UsageError("--every needs a file to write", hint="name it with -o, as in -o netusage.prom")
    return _write_again_and_again(inv, _interval_ns(every))


def _write(inv: Invocation, text: str) -> None:
    """Write UTF-8, whatever the locale is; a new file may be read by everybody, for node_exporter is another user."""
    named = inv.output_file is not None and str(inv.output_file) != STANDARD
    with inv.output() as out:
        if named and hasattr(os, "fchmod") and stat.S_ISREG(os.fstat(out.fileno()).st_mode):
            os.fchmod(out.fileno(), 0o644)
        out.buffer.write(text.encode())


def _metrics(inv: Invocation) -> str:
    import time

    from netusage import __version__
    from netusage.exporters.prometheus import exposition
    from netusage.ledger.reader import LedgerReader
    from netusage.periods import zone
    from netusage.reports.metrics import metrics

    settings = inv.settings
    with LedgerReader(str(inv.ledger_path(for_reading=True))) as reader:
        found = metrics(
            reader,
            now_s=int(time.time()),
            zone=zone(settings.report.tz or None),
            overrides=settings.interfaces,
            billing_day=settings.report.billing_day,
            most_applications=settings.metrics.applications,
        )
    return exposition(found, version=__version__)


def _write_again_and_again(inv: Invocation, interval_ns: int) -> "ExitCode":
    """Until a signal comes. What cannot be read or written later on is said once, and tried again the next time."""
    from netusage.cli.output import note
    from netusage.errors import NetusageError
    from netusage.recorder.waiting import SignalWaiter

    _write(inv, _metrics(inv))
    trouble = ""
    with SignalWaiter() as waiter:
        while (stop := waiter.wait(interval_ns, None).stop) is None:
            try:
                _write(inv, _metrics(inv))
            except NetusageError as error:
                if trouble != str(error):
                    note(f"{error}; the file stays as it was")
                trouble = str(error)
            else:
                trouble = ""
    return stop


def _interval_ns(text: str) -> int:
    """How long to wait, in nanoseconds.

    Raises:
        UsageError: it is no time, or a very short one.
    """
    from netusage.errors import UsageError
    from netusage.units import parse_duration

    interval_us = parse_duration(text)
    if interval_us < parse_duration(_SHORTEST):
        raise UsageError(f"--every {text} is too often", hint=f"use {_SHORTEST} or more")
    return interval_us * 1000


def _dashboard() -> str:
    from importlib.resources import files

    return files("netusage.exporters").joinpath("grafana.json").read_text("utf-8")
