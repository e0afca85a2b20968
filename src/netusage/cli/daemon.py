"""netusage daemon: the recorder as a service."""

from netusage.cli import options
from netusage.cli.context import Invocation, pass_invocation
from netusage.errors import ExitCode


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
    last reading and commit it; SIGHUP reads the configuration anew.
    """
    from netusage.cli.output import note
    from netusage.recorder.session import open_session

    ledger = str(inv.ledger_path(for_reading=False))
    with open_session(
        inv.settings, ledger, say=note, reload=lambda: inv.reload().settings, must_record=True
    ) as session:
        note(f"recording into {ledger} from {session.source.name}")
        code = session.recorder.run()
        if session.lasts:
            note(
                "the kernel counts on by application until the next start; to end that: netusage doctor --clean"
            )
        return code
