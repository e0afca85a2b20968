"""The man pages and docs/reference.md, made from the click objects that the help is made from."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from netusage.cli.failures import PROGRAM
from netusage.cli.options import Command, Examples, Group
from netusage.cli.options import command as make_command
from netusage.errors import ExitCode, OutputError

if TYPE_CHECKING:
    from netusage.settings.schema import Key

_EXIT_CODES = (
    (ExitCode.OK, "Success."),
    (ExitCode.FAILURE, "Something failed; one line on standard error says what, why and what to do."),
    (ExitCode.USAGE, "The command line or the configuration is wrong."),
    (ExitCode.NO_DATA, "There is no ledger, no recorder or nothing recorded."),
    (ExitCode.THRESHOLD, "A threshold was exceeded."),
    (ExitCode.INTERRUPTED, "Ended by SIGINT (Ctrl-C)."),
    (ExitCode.TERMINATED, "Ended by SIGTERM."),
)
_VARIABLES = (
    ("NETUSAGE_DB", "The ledger's file, as --db."),
    ("NETUSAGE_CONFIG", "The configuration file to read and no other, as --config."),
    (
        "NETUSAGE_SECTION_KEY",
        "Any key of the configuration, as in NETUSAGE_RECORDER_SAMPLE_INTERVAL=5s; names with commas between.",
    ),
    ("NETUSAGE_DEBUG", "1: show where an unexpected error happened."),
    ("STATE_DIRECTORY", "Set by systemd: the directory of the ledger."),
    ("NO_COLOR, FORCE_COLOR", "Never, or always, use colours."),
)
_FILES = (
    ("/var/lib/netusage/netusage.db", "The ledger of the system service (Linux)."),
    ("~/.local/state/netusage/netusage.db", "The ledger of an ordinary user (Linux)."),
    ("/etc/netusage/config.toml", "The system's configuration (Linux)."),
    ("~/.config/netusage/config.toml", "The user's configuration (Linux)."),
)
_TABLES = (
    "What is below [[plan]] may be written several times, each with a name of its own. Where the user's and the system's "
    "file both have such tables, the user's are taken and none of the system's; environment variables do not set them."
)


class Page(NamedTuple):
    """What help, man page and reference say about one command.

    path: as typed, "netusage report".
    about: paragraphs; the first is one sentence.
    options, commands: pairs of name and meaning.
    """

    path: str
    usage: str
    about: tuple[str, ...]
    examples: Examples
    options: tuple[tuple[str, str], ...]
    commands: tuple[tuple[str, str], ...]

    @property
    def name(self) -> str:
        """The name of its man page, as in "netusage-report"."""
        return self.path.replace(" ", "-")


def pages() -> Iterator[Page]:
    """Every command that the help lists, the root first; imports all their modules."""
    from netusage.cli.main import COMMANDS, cli

    root = click.Context(cli, info_name=PROGRAM, **cli.context_settings)
    listed = tuple((name, text) for name, (_, text) in COMMANDS.items())
    yield _page(cli, root, listed)
    for name in COMMANDS:
        found = cli.get_command(root, name)
        assert found is not None
        yield from _pages_of(found, root, name)


def _pages_of(found: click.Command, parent: click.Context, name: str) -> Iterator[Page]:
    ctx = click.Context(found, info_name=name, parent=parent, **found.context_settings)
    children: dict[str, click.Command] = {}
    if isinstance(found, click.Group):
        children = {child: found.commands[child] for child in found.list_commands(ctx)}
    yield _page(found, ctx, tuple((child, item.get_short_help_str(200)) for child, item in children.items()))
    for child, item in children.items():
        yield from _pages_of(item, ctx, child)


def _page(found: click.Command, ctx: click.Context, commands: tuple[tuple[str, str], ...]) -> Page:
    options = [
        record for param in found.get_params(ctx) if (record := param.get_help_record(ctx)) is not None
    ]
    about = tuple(
        " ".join(part.split())
        for part in re.split(r"\n\s*\n", (found.help or "").replace("\b", "").strip())
        if part.strip()
    )
    examples = found.examples if isinstance(found, Command | Group) else ()
    usage = " ".join(found.collect_usage_pieces(ctx))
    return Page(ctx.command_path, usage, about, examples, tuple(options), commands)


# ---- Man pages --------------------------------------------------------------------------------------------------


def man_page(page: Page) -> str:
    """One page in the man(7) macros; without a date, so that the same source gives the same bytes."""
    from netusage import __version__

    upper = page.name.upper()
    short = page.about[0].rstrip(".") if page.about else page.path
    lines = [f'.TH "{_roff(upper)}" "1" "" "netusage {__version__}" "netusage"', ".SH NAME"]
    lines.append(f"{_roff(page.name)} \\- {_roff(short)}")
    lines += [".SH SYNOPSIS", f".B {_roff(page.path)}", _roff(page.usage)]
    lines.append(".SH DESCRIPTION")
    for paragraph in page.about:
        lines += [".PP", _roff(paragraph)]
    for title, pairs in _sections(page):
        lines.append(f".SH {title}")
        for term, text in pairs:
            lines += [".TP", f".B {_roff(term)}", _roff(text)]
    lines += [".SH SEE ALSO", _roff(", ".join(f"{name}(1)" for name in _see_also(page)))]
    return "\n".join(lines) + "\n"


def _sections(page: Page) -> Iterator[tuple[str, Examples]]:
    """The sections that are lists of terms, those that have any."""
    yield from (
        (title, pairs)
        for title, pairs in (
            ("EXAMPLES", page.examples),
            ("OPTIONS", page.options),
            ("COMMANDS", page.commands),
        )
        if pairs
    )
    if page.path == PROGRAM:
        yield "CONFIGURATION", tuple((f"{key}", text) for key, text in configuration())
        yield "ENVIRONMENT", _VARIABLES
        yield "FILES", _FILES
    yield "EXIT STATUS", tuple((str(int(code)), text) for code, text in _EXIT_CODES)


def _see_also(page: Page) -> list[str]:
    if page.path == PROGRAM:
        return [f"{PROGRAM}-{name}" for name, _ in page.commands]
    parent = page.path.rpartition(" ")[0].replace(" ", "-")
    return [parent, *(f"{page.name}-{name}" for name, _ in page.commands)]


def _roff(text: str) -> str:
    """Text with roff's own characters made harmless, on one line."""
    text = " ".join(text.split()).replace("\\", "\\e").replace("-", "\\-").replace('"', "\\(dq")
    # a dot or a quote at the start of a line would be a request
    return "\\&" + text if text[:1] in (".", "'") else text


# ---- The reference ----------------------------------------------------------------------------------------------


def configuration() -> Iterator[tuple[str, str]]:
    """Every key of the configuration, with its meaning, default and range; those of tables below "[[plan]]"."""
    from netusage.settings.schema import TABLES, declared_keys, table_keys

    for key in declared_keys().values():
        yield key.dotted, _meaning(key)
    for table in TABLES:
        for key in table_keys(table).values():
            yield f"[[{table}]] {key.name}", _meaning(key)


def _meaning(key: "Key") -> str:
    """What a key means, its default and range."""
    if key.needed:
        facts = ["needed"]
    else:
        default = "on" if key.default is True else "off" if key.default is False else key.default
        if isinstance(default, tuple):
            default = ", ".join(map(str, default))
        facts = [f"default: {default}" if default != "" else "default: none"]
    if key.choices:
        facts.append(f"one of {', '.join(key.choices)}")
    if key.low != "":
        facts.append(f"{key.low} to {key.high}" if key.high != "" else f"at least {key.low}")
    return f"{key.doc} [{'; '.join(facts)}]"


def reference_markdown() -> str:
    """The text of docs/reference.md."""
    out = [
        "# Command reference",
        "",
        "Made by `netusage manpages --reference docs/reference.md` from the source of the help. Do not edit.",
    ]
    for page in pages():
        level = "#" * (2 if page.path.count(" ") < 2 else 3)
        out += ["", f"{level} {page.path}", "", "```", f"{page.path} {page.usage}", "```"]
        for paragraph in page.about:
            out += ["", _markdown(paragraph)]
        if page.examples:
            out += ["", "| example | what it does |", "|---|---|"]
            out += [f"| {_code(line)} | {_markdown(text)} |" for line, text in page.examples]
        for title, pairs in (("option", page.options), ("command", page.commands)):
            if pairs:
                out += ["", f"| {title} | meaning |", "|---|---|"]
                out += [f"| {_code(name)} | {_markdown(text)} |" for name, text in pairs]
    out += ["", "## Configuration", "", "A TOML file; `netusage config path` tells where.", ""]
    out += [_TABLES, ""]
    out += ["| key | meaning |", "|---|---|"]
    out += [f"| {_code(name)} | {_markdown(text)} |" for name, text in configuration()]
    out += ["", "## Environment", "", "| variable | meaning |", "|---|---|"]
    out += [f"| {_code(name)} | {_markdown(text)} |" for name, text in _VARIABLES]
    out += ["", "## Exit codes", "", "| code | meaning |", "|---|---|"]
    out += [f"| {int(code)} | {_markdown(text)} |" for code, text in _EXIT_CODES]
    return "\n".join(out) + "\n"


def _markdown(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*")


def _code(text: str) -> str:
    return "`" + text.replace("|", "\\|") + "`"


# ---- The command ------------------------------------------------------------------------------------------------


@make_command(
    "manpages",
    hidden=True,
    examples=[
        ("netusage manpages build/man", "netusage.1, netusage-report.1 and so on"),
        ("netusage manpages --reference docs/reference.md", "the command reference"),
    ],
)
@click.argument("directory", required=False, type=click.Path(path_type=Path))
@click.option(
    "--reference", type=click.Path(path_type=Path), metavar="FILE", help="Write the command reference."
)
@click.pass_context
def command(ctx: click.Context, directory: Path | None, reference: Path | None) -> None:
    """Write the man pages to DIRECTORY, or the command reference to a file."""
    if directory is None and reference is None:
        raise click.UsageError("say where: DIRECTORY or --reference FILE", ctx)
    texts: dict[Path, str] = {}
    if directory is not None:
        texts = {directory / f"{page.name}.1": man_page(page) for page in pages()}
        try:
            directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"cannot make {directory}: {error.strerror or error}") from error
    if reference is not None:
        texts[reference] = reference_markdown()
    _write(texts)


def _write(texts: dict[Path, str]) -> None:
    from netusage.cli.output import open_output

    for path, text in texts.items():
        with open_output(path) as out:
            out.write(text)
