"""The one owner of error lines on standard error and of exit codes.

Everything below raises; nothing below prints an error. An error is one line, "netusage: what: why; hint", or one
JSON object when the command was asked for JSON.
"""

from __future__ import annotations

import errno
import gc
import os
import sys
from collections.abc import Sequence
from contextlib import suppress

from netusage.cli.output import note
from netusage.errors import ExitCode, NetusageError
from netusage.records import NamedTuple

TYPE_CHECKING = False

if TYPE_CHECKING:
    import click

PROGRAM = "netusage"
VNSTAT = "vnstat"
COMPLETION_VARIABLE = "_NETUSAGE_COMPLETE"
_OS_HINTS = {
    errno.EACCES: "use a place that you may use, or run it with the rights to it",
    errno.EPERM: "run it with the rights to do that",
    errno.ENOSPC: "free some space and run it again",
    errno.EDQUOT: "free some space and run it again",
    errno.EMFILE: "raise the limit of open files (ulimit -n)",
}


class Failure(NamedTuple):
    """What is said about a failure.

    kind: a word that programs can rely on.
    message: what failed and why.
    hint: what to do next, or "".
    exit_code: what the process ends with.
    """

    kind: str
    message: str
    hint: str
    exit_code: int


def run(argv: Sequence[str], *, called: str = PROGRAM) -> int:
    """Run one command line and say what went wrong, if anything did.

    Args:
        argv: the arguments.
        called: the name that the program was started by; by that of vnStat it does what that does.

    Returns:
        The exit code of the process.
    """
    _tolerate_any_text()
    try:
        code = _answer_as_vnstat(list(argv)) if called == VNSTAT else _run(list(argv))
        if sys.stdout is not None:
            sys.stdout.flush()  # here, where a full disk can still be told
    except BrokenPipeError:
        _abandon_stdout()
        return ExitCode.OK
    except KeyboardInterrupt:
        note("interrupted")
        _abandon_stdout()
        return ExitCode.INTERRUPTED
    except SystemExit as error:
        return error.code if isinstance(error.code, int) else ExitCode.FAILURE
    except Exception as error:  # noqa: BLE001  # the last line of defence: it is told, with its exit code
        if os.environ.get("NETUSAGE_DEBUG") == "1":
            import traceback

            traceback.print_exc()
        failure = describe(error)
        tell(failure, as_json=wants_json(argv))
        _abandon_stdout()
        return failure.exit_code
    return code


def _answer_as_vnstat(argv: list[str]) -> int:
    from netusage.cli.as_vnstat import answer

    return answer(argv, sys.stdout)


def _run(argv: list[str]) -> int:
    if argv == ["--version"]:  # before click: it is asked for by scripts
        from netusage import __version__

        sys.stdout.write(f"{PROGRAM} {__version__}\n")
        return ExitCode.OK
    if _is_bare(argv):
        return _summarise(argv)
    gc.enable()
    import click

    from netusage.cli.main import cli

    instruction = os.environ.get(COMPLETION_VARIABLE)
    if instruction:
        from netusage.cli.completion import complete

        return complete(cli, instruction)
    try:
        with cli.make_context(PROGRAM, argv) as ctx:
            result = cli.invoke(ctx)
    except click.exceptions.Exit as exit_:
        return exit_.exit_code
    except click.exceptions.Abort:  # a question that was answered with Ctrl-C or Ctrl-D
        note("nothing was changed")
        return ExitCode.INTERRUPTED
    return result if isinstance(result, int) and not isinstance(result, bool) else ExitCode.OK


def _is_bare(argv: list[str]) -> bool:
    """Whether this is the bare command with nothing configured: what people ask most, and want at once.

    click and the configuration take longer to load than the answer takes.
    """
    if argv and not (len(argv) == 2 and argv[0] == "--db" and argv[1]):
        return False
    if any(name.startswith(("NETUSAGE_", COMPLETION_VARIABLE)) for name in os.environ):
        return False
    from netusage.settings.paths import config_files

    return not any(os.path.lexists(path) for path in config_files())


def _summarise(argv: list[str]) -> int:
    """The bare command, with the defaults."""
    from netusage.cli.summary_text import View, write_summary
    from netusage.settings.paths import default_ledger_path

    path = argv[1] if argv else str(default_ledger_path(for_reading=True))
    write_summary(View(path), sys.stdout)
    return ExitCode.OK


def describe(error: Exception) -> Failure:
    """What to say about any exception."""
    if isinstance(error, NetusageError):
        return Failure(error.kind, error.message, error.hint, error.exit_code)
    if isinstance(error, ModuleNotFoundError) and (error.name or PROGRAM).partition(".")[0] != PROGRAM:
        return Failure(
            "missing-package",
            f"the package {error.name} is missing",
            "pip install 'netusage[all]'",
            ExitCode.FAILURE,
        )
    if isinstance(error, OSError):
        return _describe_os_error(error)
    if isinstance(error, MemoryError):
        return Failure("memory", "out of memory", "ask for less at a time", ExitCode.FAILURE)
    return _describe_click_error(error) or _describe_bug(error)


def _describe_bug(error: Exception) -> Failure:
    text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return Failure(
        "internal",
        f"internal error: {text}",
        "NETUSAGE_DEBUG=1 shows where; please report it",
        ExitCode.FAILURE,
    )


def _describe_os_error(error: OSError) -> Failure:
    why = error.strerror or str(error) or type(error).__name__
    full = error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
    what = "cannot write the output" if full else "cannot go on"
    if error.filename is not None:
        what = str(error.filename)
    return Failure("os", f"{what}: {why}", _OS_HINTS.get(error.errno or 0, ""), ExitCode.FAILURE)


def _describe_click_error(error: Exception) -> Failure | None:
    import click

    if isinstance(error, click.UsageError):
        return _describe_usage_error(error)
    if isinstance(error, click.ClickException):
        return Failure("failure", error.format_message(), "", error.exit_code)
    return None


def _describe_usage_error(error: click.UsageError) -> Failure:
    import click

    ctx = error.ctx
    path = ctx.command_path if ctx is not None else PROGRAM
    place = path.partition(" ")[2]
    hint = f"run '{path} --help'"
    if isinstance(error, click.NoSuchOption):
        from netusage.cli.options import suggest

        message = f"no such option {error.option_name!r}"
        hint = suggest(error.option_name, _option_names(ctx)) or hint
    else:
        message = _lower_first(error.format_message().strip().rstrip("."))
    return Failure("usage", f"{place}: {message}" if place else message, hint, ExitCode.USAGE)


def _option_names(ctx: click.Context | None) -> list[str]:
    params = ctx.command.get_params(ctx) if ctx is not None else []
    return [name for param in params for name in (*param.opts, *param.secondary_opts) if name.startswith("-")]


def _lower_first(text: str) -> str:
    return text[:1].lower() + text[1:]


def tell(failure: Failure, *, as_json: bool) -> None:
    """Write a failure to standard error: one line."""
    if not as_json:
        note(f"{failure.message}; {failure.hint}" if failure.hint else failure.message)
        return
    import json

    error = {
        "kind": failure.kind,
        "message": failure.message,
        "hint": failure.hint,
        "exit_code": int(failure.exit_code),
    }
    if sys.stderr is not None:
        with suppress(OSError, ValueError):
            sys.stderr.write(json.dumps({"error": error}) + "\n")
            sys.stderr.flush()


def wants_json(argv: Sequence[str]) -> bool:
    """Whether a command line asks for JSON, even one that cannot be parsed."""
    asked = ""
    words = list(argv)
    for place, word in enumerate(words):
        if word == "--":
            break
        if word == "--format" and place + 1 < len(words):
            asked = words[place + 1]
        elif word.startswith("--format="):
            asked = word.removeprefix("--format=")
    return asked in ("json", "jsonl")


def _tolerate_any_text() -> None:
    """Interface and file names may hold anything; none of it may end a command."""
    import io

    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _abandon_stdout() -> None:
    """Write out what is there; if that cannot be, let the interpreter's own last flush go nowhere."""
    if sys.stdout is None:
        return
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        with suppress(OSError, ValueError, AttributeError):
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, sys.stdout.fileno())
            os.close(null)
