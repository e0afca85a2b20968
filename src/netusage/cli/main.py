"""The root of the command line: which commands there are, and that none is imported before it is used."""

from importlib import import_module

import click
from click.shell_completion import CompletionItem

from netusage.cli.context import invocation_of
from netusage.cli.options import (
    FORMATS,
    Group,
    output_options,
    record_options,
    summary_by_option,
    unit_options,
    zone_option,
)
from netusage.errors import UsageError

# name: (module, one line of help); the order is that of the help
COMMANDS: dict[str, tuple[str, str]] = {
    "track": ("netusage.cli.track", "Log usage to the console and to daily CSV files, and record it."),
    "live": ("netusage.cli.live", "Watch interfaces and applications in the terminal, each second."),
    "daemon": ("netusage.cli.daemon", "Record in the background; what a service runs."),
    "report": ("netusage.cli.report", "Usage per minute, hour, day, week, month, year, or in total."),
    "apps": ("netusage.cli.apps", "What each application used, where that is recorded."),
    "plan": ("netusage.cli.plan", "Data plans: what is used of them, and whether they will do."),
    "reconcile": ("netusage.cli.reconcile", "For each interface, an account of every byte by what had it."),
    "plot": ("netusage.cli.plot", "Draw a picture of what was used: PNG, SVG or PDF."),
    "web": ("netusage.cli.web", "The page that shows it all, in a browser."),
    "metrics": ("netusage.cli.metrics", "What Prometheus reads: totals that never go down."),
    "vnstat-json": (
        "netusage.cli.vnstat_json",
        "What vnstat --json and --oneline write, for programs that read it.",
    ),
    "alerts": ("netusage.cli.alerts", "What was told of, to whom, and what waits; a test of it."),
    "ship": ("netusage.cli.ship", "Deliver the record to a fleet; netusage daemon does so by itself."),
    "interfaces": ("netusage.cli.interfaces", "Every interface, and whether it counts in the total and why."),
    "verify": ("netusage.cli.verify", "Prove that the record adds up to what the kernel counted."),
    "doctor": ("netusage.cli.doctor", "What works on this machine, and what to do about what does not."),
    "config": ("netusage.cli.config", "Show and check the configuration."),
    "service": ("netusage.cli.service", "Install the recorder as a service of the system."),
    "merge": ("netusage.cli.merge", "Take in the ledger of another machine or disk, kept apart."),
    "hosts": ("netusage.cli.hosts", "The machines and disks whose ledgers were merged into this one."),
    "fleet": ("netusage.cli.fleet", "A copy of many hosts' records on one ClickHouse: tables, hosts, proof."),
    "export": ("netusage.cli.export", "The record for other programs: CSV, JSON Lines, Parquet or SQLite."),
    "import": ("netusage.cli.import_", "A ledger out of what was exported."),
    "backup": ("netusage.cli.backup", "Copy the ledger to a file, consistently, while it is written."),
    "repair": ("netusage.cli.repair", "Rescue what can be read from a damaged ledger."),
    "completion": ("netusage.cli.completion", "Print the completion script for a shell."),
}
HIDDEN: dict[str, tuple[str, str]] = {
    "manpages": ("netusage.cli.manpages", "Write the man pages and the command reference."),
}
SUMMARY_MODULE = "netusage.cli.summary"


class LazyGroup(Group):
    """The root; a command's module is imported when the command is run or its own help is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  # click's signature
        """The names of the commands, in the order of the help."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """The command of that name; imports its module."""
        entry = COMMANDS.get(cmd_name) or HIDDEN.get(cmd_name)
        if entry is None:
            return None
        found = import_module(entry[0]).command
        assert isinstance(found, click.Command), f"{entry[0]} has no click command named `command`"
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """The list of commands in the help, from the table."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Completions from the table, and the options of the root."""
        names = [
            CompletionItem(name, help=text)
            for name, (_, text) in COMMANDS.items()
            if name.startswith(incomplete)
        ]
        return names + click.Command.shell_complete(self, ctx, incomplete)


def summary_command() -> click.Command:
    """What the bare `netusage` runs; imports its module."""
    found = import_module(SUMMARY_MODULE).command
    assert isinstance(found, click.Command), f"{SUMMARY_MODULE} has no click command named `command`"
    return found


def _print_version(ctx: click.Context, _param: click.Parameter, asked: bool) -> None:
    if asked and not ctx.resilient_parsing:
        from netusage import __version__

        click.echo(f"netusage {__version__}")
        ctx.exit()


@click.group(
    "netusage",
    cls=LazyGroup,
    invoke_without_command=True,
    subcommand_metavar="[COMMAND] [ARGS]...",
    examples=[
        ("netusage", "today, this month, since boot, all time"),
        ("netusage --fleet --by host", "the same of each host of a fleet"),
        ("netusage track", "log a line and a CSV row every minute"),
        ("netusage report day --since 7d", "the last seven days"),
        ("netusage report top --format json", "the busiest days, for a program"),
        ("netusage service install", "record from now on, at every start"),
    ],
    epilog="Exit codes: 0 ok, 1 failure, 2 usage, 3 no data or no recorder, 4 threshold exceeded, "
    "130 and 143 on SIGINT and SIGTERM.",
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_version,
    help="Print the version and exit.",
)
@summary_by_option
@record_options
@output_options(*FORMATS)
@unit_options
@zone_option
@click.pass_context
def cli(ctx: click.Context, by: tuple[str, ...]) -> object:
    """Network usage, recorded to the byte.

    Without a command: a summary of today, this month, since boot and of all time; with --fleet or --host, of other
    hosts, as far as they are known.
    """
    if ctx.invoked_subcommand is not None:
        _refuse_hosts(ctx, by)
        return None
    summary = summary_command()
    arguments = [word for one in by for word in ("--by", one)]
    with summary.make_context("summary", arguments, parent=ctx) as inner:
        return summary.invoke(inner)


def _refuse_hosts(ctx: click.Context, by: tuple[str, ...]) -> None:
    """Refuse options of the summary that stand before a command: not every command has them, and none may be ignored.

    Raises:
        UsageError: there are some.
    """
    inv = invocation_of(ctx)
    given = {"--fleet": inv.fleet, "--host": inv.hosts, "--label": inv.labels, "--by": by}
    for option in (name for name, value in given.items() if value):
        raise UsageError(
            f"{option} is for the summary where it stands before a command",
            hint=f"write it behind the command: netusage {ctx.invoked_subcommand} {option} ...",
        )
