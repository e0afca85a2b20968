"""netusage daemon: the recorder as a service."""

import os
import sys
from typing import TYPE_CHECKING

from netusage.cli import options
from netusage.cli.context import Invocation, pass_invocation
from netusage.errors import ExitCode

if TYPE_CHECKING:
    from netusage.model import Instant
    from netusage.settings.schema import Settings


@options.command(
    "daemon",
    examples=[
        ("netusage daemon", "record into the platform's ledger until SIGTERM or Ctrl-C"),
        ("netusage daemon --db /srv/usage.db --commit-interval 30s", "another file, fewer commits"),
        ("netusage service install", "let the system start it at boot"),
    ],
)
@options.setting_option(
    "--sample-interval", key="recorder.sample_interval", metavar="DURATION", help="Time between two readings."
)
@options.setting_option(
    "--commit-interval",
    key="recorder.commit_interval",
    metavar="DURATION",
    help="Time between two commits: the most that a power cut can lose.",
)
@options.setting_option("--source", key="source.kind", metavar="KIND", help="auto, netlink or psutil.")
@options.setting_option(
    "--count-since-boot",
    key="recorder.count_since_boot",
    value=True,
    help="Count what an interface had since boot when it is seen for the first time.",
)
@options.setting_option(
    "--applications",
    key="recorder.applications",
    help="How applications are told apart; auto: the best that works here.",
)
@options.ledger_options
@pass_invocation
def command(inv: Invocation) -> ExitCode:
    """Record every interface into the ledger.

    Reads the counters every second and commits every ten seconds and at every link event. SIGTERM and Ctrl-C take a
    last reading and commit it; SIGHUP reads the configuration anew. Where the configuration says whom alerts go to, a
    process beside this one looks for them; where it names a fleet, another one delivers the record to it.
    """
    import contextlib

    from netusage.cli.output import note
    from netusage.recorder.companion import Companion
    from netusage.recorder.session import open_session

    ledger = str(inv.ledger_path(for_reading=False))
    watcher = Companion(_beside(inv, ledger, "alerts", "watch"), "alerts are not watched for", note)
    shipper = Companion(_beside(inv, ledger, "ship"), "nothing is delivered to the fleet", note)

    def choose(settings: "Settings") -> None:
        watcher.wanted = settings.wants_alerts
        shipper.wanted = bool(settings.fleet.url)

    def reload() -> "Settings":
        settings = inv.reload().settings
        choose(settings)
        watcher.reload()
        shipper.reload()
        return settings

    def look(at: "Instant") -> None:
        watcher.look(at.boot_ns)
        shipper.look(at.boot_ns)

    choose(inv.settings)

    with (
        contextlib.closing(watcher),  # after the last commit
        contextlib.closing(shipper),
        open_session(
            inv.settings,
            ledger,
            say=note,
            reload=reload,
            must_record=True,
            on_sample=lambda _session, at: look(at),
        ) as session,
    ):
        note(f"recording into {ledger} from {session.source.name}")
        code = session.recorder.run()
        if session.lasts:
            note(
                "the kernel counts on by application until the next start; to end that: netusage doctor --clean"
            )
        return code


def _beside(inv: Invocation, ledger: str, *words: str) -> tuple[str, ...]:
    """A command that runs beside the recorder: this very program, with the same ledger and configuration."""
    command = (sys.executable, "-P", "-m", "netusage", *words, "--with-recorder")
    config = ("--config", os.path.abspath(inv.config_file)) if inv.config_file else ()
    return (*command, "--db", os.path.abspath(ledger), *config)
