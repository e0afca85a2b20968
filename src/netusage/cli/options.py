"""The classes behind every command, and the options that commands share.

A command module holds one click object named `command`, made with the decorators here. The shared options are not
passed to the function: they reach it through its `Invocation`.
"""

from collections.abc import Callable, Sequence
from datetime import tzinfo
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from netusage.cli.context import flag_setter, invocation_of
from netusage.errors import UsageError

if TYPE_CHECKING:
    from netusage.periods import Period

F = TypeVar("F", bound=Callable[..., Any])
Examples = Sequence[tuple[str, str]]

FORMATS = ("table", "json", "jsonl", "csv", "tsv", "markdown")
CONTEXT_SETTINGS: dict[str, Any] = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


class _WithExamples(click.Command):
    """Help with an "Examples:" block before the options.

    examples: pairs of a command line and what it does.
    """

    def __init__(self, *args: Any, examples: Examples = (), **kwargs: Any) -> None:
        kwargs["context_settings"] = CONTEXT_SETTINGS | (kwargs.get("context_settings") or {})
        super().__init__(*args, **kwargs)
        self.examples = tuple(examples)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The examples, then the options (and commands) as click writes them."""
        if self.examples:
            with formatter.section("Examples"):
                formatter.write_dl(self.examples, col_max=44)
        super().format_options(ctx, formatter)


class Command(_WithExamples):
    """A command with examples in its help."""


class Group(_WithExamples, click.Group):
    """A command with subcommands, and with examples in its help."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The subcommand that was named.

        Raises:
            UsageError: there is none of that name; says the nearest.
        """
        name = args[0] if args else ""
        if not name.startswith("-") and self.get_command(ctx, name) is None:
            place = ctx.command_path.partition(" ")[2]
            raise UsageError(
                f"{place}: no such command {name!r}" if place else f"no such command {name!r}",
                hint=suggest(name, self.list_commands(ctx)) or f"run '{ctx.command_path} --help'",
            )
        return super().resolve_command(ctx, args)


def suggest(word: str, known: Sequence[str]) -> str:
    """A "did you mean 'x'?" for the known word that is most like this one, or nothing."""
    from netusage.settings.convert import nearest

    return nearest(word, known).removeprefix("; ")


def command(name: str, *, examples: Examples, **attributes: Any) -> Callable[[Callable[..., Any]], Command]:
    """Make a function a command; its docstring is the help."""
    return click.command(name, cls=Command, examples=examples, **attributes)


def group(name: str, *, examples: Examples, **attributes: Any) -> Callable[[Callable[..., Any]], Group]:
    """Make a function a command with subcommands; its docstring is the help."""
    return click.group(name, cls=Group, examples=examples, **attributes)


def setting_option(
    *declarations: str,
    key: str,
    help: str,  # noqa: A002  # click's word for it
    value: Any = None,
    metavar: str | None = None,
) -> Callable[[F], F]:
    """An option that overrides one key of the configuration, checked as that key is.

    Args:
        declarations: as for click.option: "--interval", or "--bits/--bytes" for a key that is true or false.
        key: the dotted key, as in "track.interval".
        help: one line.
        value: for an option without an argument, what it sets, as for "--no-csv".
        metavar: the name of the argument in the help.
    """
    from netusage.settings.schema import declared_keys

    schema_key = declared_keys()[key]
    is_pair = any("/" in declaration for declaration in declarations)

    def remember(ctx: click.Context, param: click.Parameter, given: Any) -> None:
        invocation_of(ctx)
        if given is None or (given is False and not is_pair) or ctx.resilient_parsing:
            return
        name = next((opt for opt in param.opts if opt.startswith("--")), param.opts[0])
        if is_pair and given is False:
            name = param.secondary_opts[0]
        flag_setter(ctx, key, given if is_pair or value is None else value, name)

    attributes: dict[str, Any] = {
        "expose_value": False,
        "callback": remember,
        "help": f"{help}  [{_default_text(schema_key.default)}setting: {key}]",
    }
    if is_pair:
        attributes["default"] = None
    elif value is not None:
        attributes["is_flag"] = True
        attributes["help"] = help
    elif schema_key.choices:
        attributes["type"] = click.Choice(list(schema_key.choices))
    else:
        attributes["metavar"] = metavar
    return click.option(*declarations, **attributes)


def _default_text(default: Any) -> str:
    if isinstance(default, bool):
        default = "on" if default else "off"
    return f"default: {default}; " if default else ""


def ledger_options(function: F) -> F:
    """--db and --config, for every command that reads or writes the ledger."""
    ledger = setting_option("--db", key="ledger.path", metavar="PATH", help="The ledger's file.")
    return ledger(config_option(function))


def host_option(function: F) -> F:
    """--host, for commands that can ask the books of other machines in the ledger."""

    def remember(ctx: click.Context, _param: click.Parameter, given: str | None) -> None:
        if given is not None:
            invocation_of(ctx).host = given

    return click.option(
        "--host",
        metavar="NAME",
        expose_value=False,
        callback=remember,
        help="A machine whose ledger was merged into this one (netusage hosts) instead of this one.",
    )(function)


def record_options(function: F) -> F:
    """--fleet, --host and --label, for reports: which record, and of which hosts; --db and --config as well."""
    return record_options_with("--host")(function)


def record_options_with(host_name: str) -> Callable[[F], F]:
    """The same, for a command where --host is something else: the option for hosts has another name."""

    def remember_hosts(ctx: click.Context, _param: click.Parameter, given: tuple[str, ...]) -> None:
        if given:
            invocation_of(ctx).hosts = given

    def remember_labels(ctx: click.Context, _param: click.Parameter, given: tuple[str, ...]) -> None:
        if given:
            invocation_of(ctx).labels = given

    def remember_fleet(ctx: click.Context, _param: click.Parameter, given: bool) -> None:
        if given:
            invocation_of(ctx).fleet = given

    label = click.option(
        "--label",
        metavar="GLOB",
        multiple=True,
        expose_value=False,
        callback=remember_labels,
        help="Of the fleet, the hosts with such a label, as in site=berlin or 'role=*'; several have to fit all.",
    )
    host = click.option(
        host_name,
        metavar="GLOB",
        multiple=True,
        expose_value=False,
        callback=remember_hosts,
        help="Hosts of such a name: of the fleet, or of the ledgers that were merged into this one; may be repeated.",
    )
    fleet = click.option(
        "--fleet",
        is_flag=True,
        expose_value=False,
        callback=remember_fleet,
        help="Ask the fleet's store (netusage fleet) instead of this machine's ledger.",
    )
    return lambda function: fleet(host(label(ledger_options(function))))


class Several(click.ParamType):  # type: ignore[type-arg]  # older versions of click know no such argument
    """One or more words out of some, with commas between them; an option of them may be repeated.

    Args:
        choices: the words.
    """

    name = "words"

    def __init__(self, choices: Sequence[str]) -> None:
        self.choices = tuple(choices)

    def get_metavar(self, param: click.Parameter, ctx: click.Context | None = None) -> str:  # noqa: ARG002  # click's
        """As click writes choices."""
        return f"[{'|'.join(self.choices)}]"

    def convert(
        self,
        value: Any,
        param: click.Parameter | None,
        ctx: click.Context | None,  # noqa: ARG002  # click's
    ) -> tuple[str, ...]:
        """The words.

        Raises:
            UsageError: one is none of them; says the nearest.
        """
        if isinstance(value, tuple):
            return value
        words = tuple(word.strip() for word in str(value).split(","))
        for word in words:
            if word not in self.choices:
                raise UsageError(
                    f"{param.opts[0] if param else self.name} {word!r} is not one of "
                    f"{', '.join(map(repr, self.choices))}",
                    hint=suggest(word, self.choices),
                )
        return words

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[Any]:
        """The words that begin so, after those that are there."""
        before, comma, word = incomplete.rpartition(",")
        found = click.Choice(self.choices).shell_complete(ctx, param, word)
        for item in found:
            item.value = f"{before}{comma}{item.value}"
        return found


def by_option(choices: Sequence[str], help: str) -> Callable[[F], F]:  # noqa: A002  # click's word for it
    """--by: what to tell apart, each word once, in the order in which they were given."""

    def flatten(
        _ctx: click.Context, _param: click.Parameter, given: tuple[tuple[str, ...], ...]
    ) -> tuple[str, ...]:
        return tuple(dict.fromkeys(word for words in given for word in words))

    return click.option("--by", type=Several(choices), multiple=True, callback=flatten, help=help)


def summary_by_option(function: F) -> F:
    """--by of the summary, passed as `by`."""
    return by_option(
        ("interface", "host"),
        "What the summary tells apart: interfaces, which is the default, hosts (with --fleet or --host), or both.",
    )(function)


def config_option(function: F) -> F:
    """--config alone, for commands that need no ledger."""

    def remember(ctx: click.Context, _param: click.Parameter, given: Path | None) -> None:
        if given is not None:
            invocation_of(ctx).config_file = given

    return click.option(
        "--config",
        type=click.Path(path_type=Path),
        metavar="FILE",
        expose_value=False,
        callback=remember,
        help="Read this configuration file and no other.",
    )(function)


def file_option(function: F) -> F:
    """-o/--output alone, for commands with one way to write their data."""

    def remember(ctx: click.Context, _param: click.Parameter, given: Path | None) -> None:
        if given is not None:
            invocation_of(ctx).output_file = given

    return click.option(
        "-o",
        "--output",
        type=click.Path(path_type=Path),
        metavar="FILE",
        expose_value=False,
        callback=remember,
        help="Write the data to a file, whole or not at all.",
    )(function)


def output_options(*formats: str) -> Callable[[F], F]:
    """--format and -o/--output; the first format is the default, all of them when none is named."""
    allowed = formats or FORMATS

    def remember_format(ctx: click.Context, _param: click.Parameter, given: str | None) -> None:
        invocation = invocation_of(ctx)
        if given is not None:
            invocation.format = given
        elif not invocation.format and not isinstance(ctx.command, click.Group):
            invocation.format = allowed[0]
        elif invocation.format and invocation.format not in allowed and not ctx.resilient_parsing:
            raise UsageError(
                f"{ctx.info_name}: no format {invocation.format!r} here", hint=f"one of {', '.join(allowed)}"
            )

    format_option = click.option(
        "--format",
        type=click.Choice(list(allowed)),
        expose_value=False,
        callback=remember_format,
        help=f"How to write the data.  [default: {allowed[0]}]",
    )
    return lambda function: format_option(file_option(function))


def unit_options(function: F) -> F:
    """--units and --bits, for every command that shows sizes or rates."""
    units = setting_option("--units", key="report.units", help="si: 1 kB = 1000 B; iec: 1 KiB = 1024 B.")
    bits = setting_option("--bits/--bytes", key="report.bits", help="Rates in bits or in bytes.")
    return units(bits(function))


def zone_option(function: F) -> F:
    """--tz, for every command that shows times or cuts days."""
    return setting_option("--tz", key="report.tz", metavar="ZONE", help="Time zone, as in Europe/Berlin.")(
        function
    )


def yes_option(function: F) -> F:
    """--yes, passed as `yes`, for commands that ask before they change something; see `confirm`."""
    return click.option("-y", "--yes", is_flag=True, help="Do not ask.")(function)


def dry_run_option(function: F) -> F:
    """--dry-run, passed as `dry_run`, for commands that can say what they would do."""
    return click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")(function)


def confirm(question: str, *, yes: bool) -> bool:
    """Whether to go ahead: asks on the terminal, on standard error, unless `yes`.

    Raises:
        UsageError: there is no terminal to ask on.
    """
    import sys

    if yes:
        return True
    if sys.stdin is None or not sys.stdin.isatty():
        raise UsageError("this changes things and there is no terminal to ask on", hint="add --yes")
    return click.confirm(question, err=True)


def stretch_options(function: F) -> F:
    """--since and --until, open where nothing is said; passed to the function."""
    since = click.option(
        "--since", metavar="WHEN", help="From when: 2026-11-20, 7d, today, 2026-11-20T13:00 ..."
    )
    until = click.option(
        "--until", metavar="WHEN", help="Until when, likewise; a day or month named here is included."
    )
    return since(until(function))


def calendar_options(function: F) -> F:
    """--billing-day and --week-start, for every command that cuts months and weeks."""
    month = setting_option(
        "--billing-day", key="report.billing_day", metavar="N", help="Day on which a month begins."
    )
    week = setting_option("--week-start", key="report.week_start", help="Day on which a week begins.")
    return month(week(function))


def share_options(function: F) -> F:
    """--interface, --since and --until of what is recorded by application; passed to the function."""
    for decorate in (
        click.option(
            "--until", metavar="WHEN", default="now", show_default=True, help="Until when, likewise."
        ),
        click.option(
            "--since",
            metavar="WHEN",
            default="today",
            show_default=True,
            help="From when: 2026-11-20, 7d, today, 2026-11-20T13:00 ...",
        ),
        click.option(
            "--interface",
            "interfaces",
            metavar="GLOB",
            multiple=True,
            help="Only interfaces of such a name, as in eth0 or 'wl*'; may be repeated.",
        ),
    ):
        function = decorate(function)
    return function


def asked_period(since: str, until: str, zone: tzinfo) -> "Period":
    """The quarters of an hour that were asked for.

    Raises:
        UsageError: one is no moment, or the first is not before the second.
    """
    import time

    from netusage.periods import parse_instant
    from netusage.reports.applications import whole_quarters

    now_s = int(time.time())
    until_s = parse_instant(until, now_s, zone, end=True)
    if until_s == now_s:
        until_s += 1  # the second that runs
    return whole_quarters(parse_instant(since, now_s, zone), until_s)
