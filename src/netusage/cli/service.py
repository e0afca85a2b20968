"""`netusage service`: the recorder as a service of the system."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from netusage.cli.context import Invocation, pass_invocation
from netusage.cli.options import (
    Command,
    confirm,
    dry_run_option,
    file_option,
    group,
    ledger_options,
    output_options,
    yes_option,
)
from netusage.errors import ExitCode, NoDataError, UsageError

if TYPE_CHECKING:
    from netusage.service.job import Job, Scope
    from netusage.service.manage import Manager, Step

F = TypeVar("F", bound=Callable[..., Any])


def _target_options(function: F) -> F:
    """--system, --user and --manager."""
    system = click.option(
        "--system",
        "scope",
        flag_value="system",
        help="A service of the machine.  [default for administrators]",
    )
    user = click.option(
        "--user", "scope", flag_value="user", help="A service of your own, while you are logged in."
    )
    manager = click.option(
        "--manager",
        type=click.Choice(["systemd", "launchd", "schtasks"]),
        help="The service manager.  [default: this platform's]",
    )
    return system(user(manager(function)))


_program_option = click.option(
    "--program",
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="The netusage to start.  [default: this one]",
)
_root_option = click.option(
    "--root",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Write or remove the file below DIR and call no manager; for packages.",
)


@group(
    "service",
    examples=[
        ("sudo netusage service install", "record from now on, at every start"),
        ("netusage service install --user", "the same without root, while you are logged in"),
        ("netusage service status", "is it running?"),
        ("netusage service print --manager launchd", "see the file, for any platform"),
    ],
)
def command() -> None:
    """Install the recorder as a service of the system.

    systemd on Linux, launchd on macOS, Task Scheduler on Windows.
    """


@command.command(
    "install",
    cls=Command,
    examples=[
        ("sudo netusage service install", "record from now on, at every start"),
        ("netusage service install --dry-run", "see what would be done"),
        ("netusage service install --root build/pkg --program /usr/bin/netusage", "for a package"),
    ],
)
@_target_options
@_program_option
@_root_option
@ledger_options
@dry_run_option
@yes_option
@pass_invocation
def install(
    invocation: Invocation,
    *,
    scope: str | None,
    manager: str | None,
    program: Path | None,
    root: Path | None,
    dry_run: bool,
    yes: bool,
) -> None:
    """Install the service, start it, and start it again at every boot (or logon, with --user).

    Nothing is written when the manager is not there or would refuse. Asks before it replaces a service that
    differs.
    """
    from netusage.cli.output import note
    from netusage.service import job as jobs
    from netusage.service import manage

    which, place = _manager(manager), manage.this_place(root)
    job = _job(invocation, which, _scope(scope), program)
    steps = manage.install_steps(which, job, place)
    if dry_run:
        _show(steps)
        return
    if root is None:
        manage.check_manager(which, job.scope)
        jobs.check_program(job.program)
        jobs.check_ledger(job)
        danger = jobs.writable_by_others(job) if job.scope is jobs.Scope.SYSTEM else ""
        if danger:
            note(f"warning: {danger}")
    file = manage.file_of(which, job.scope, place)
    if _differs(file, manage.text_of(which, job, place)) and not confirm(f"Replace {file}?", yes=yes):
        raise click.exceptions.Exit(ExitCode.FAILURE)
    _do(steps)
    if which is manage.Manager.SYSTEMD and job.scope is jobs.Scope.USER and root is None:
        note("it runs while you are logged in; 'loginctl enable-linger' keeps it running")


@command.command(
    "uninstall",
    cls=Command,
    examples=[("sudo netusage service uninstall --yes", "stop and remove it; the ledger stays")],
)
@_target_options
@_root_option
@dry_run_option
@yes_option
@pass_invocation
def uninstall(
    invocation: Invocation,
    *,
    scope: str | None,
    manager: str | None,
    root: Path | None,
    dry_run: bool,
    yes: bool,
) -> None:
    """Stop the service and remove it, with the programs that it has in the kernel; the ledger stays where it is."""
    from netusage.cli.output import note
    from netusage.service import manage

    which, whose, place = _manager(manager), _scope(scope), manage.this_place(root)
    steps = manage.uninstall_steps(which, whose, place, invocation.settings.recorder.pins_directory)
    if dry_run:
        _show(steps)
        return
    if root is None:
        manage.check_manager(which, whose)
    if not manage.state(which, whose, place).installed:
        raise NoDataError(
            f"no {whose} service is installed",
            hint="netusage service status --user (or --system) looks for the other",
        )
    if not confirm(f"Stop and remove the {whose} service?", yes=yes):
        raise click.exceptions.Exit(ExitCode.FAILURE)
    _do(steps)
    note(f"no ledger was touched: {_ledger_of(whose)}, unless --db named another")


@command.command(
    "status",
    cls=Command,
    examples=[
        ("netusage service status", "exit code 0 when it runs, 3 when it does not"),
        ("netusage service status --user --format json", "for a program"),
    ],
)
@_target_options
@output_options("text", "json")
@pass_invocation
def status(invocation: Invocation, scope: str | None, manager: str | None) -> ExitCode:
    """Show whether the service is installed and running."""
    from netusage.service import manage

    which, whose, place = _manager(manager), _scope(scope), manage.this_place()
    found = manage.state(which, whose, place)
    with invocation.output() as out:
        if invocation.format == "json":
            entry = {"manager": which, "scope": whose, **found._asdict()}
            out.write(json.dumps({"version": 1, "service": entry}) + "\n")
        else:
            installed = "installed" if found.installed else "not installed"
            where = f" ({found.file})" if found.installed and found.file else ""
            out.write(f"{which} {whose} service: {installed}{where}; {found.detail}\n")
    fine = found.installed if found.running is None else found.running
    return ExitCode.OK if fine else ExitCode.NO_DATA


@command.command(
    "print",
    cls=Command,
    examples=[
        ("netusage service print", "the file that install would write here"),
        ("netusage service print --manager schtasks -o task.xml", "for schtasks /Create /XML task.xml"),
    ],
)
@_target_options
@_program_option
@ledger_options
@file_option
@pass_invocation
def print_(invocation: Invocation, scope: str | None, manager: str | None, program: Path | None) -> None:
    """Print the unit, property list or task; works on every platform for every manager.

    A task that is written to a file is in UTF-16, as `schtasks /XML` wants it.
    """
    from netusage.cli.output import open_output
    from netusage.service import manage, task

    which = _manager(manager)
    job = _job(invocation, which, _scope(scope), program)
    place = manage.this_place()
    if which is manage.Manager.SCHTASKS:
        to_file = invocation.output_file is not None
        text = task.task_xml(job, user=place.user, declared=to_file)
        encoding = "utf-16" if to_file else "utf-8"
    else:
        text, encoding = manage.text_of(which, job, place), "utf-8"
    with open_output(invocation.output_file, encoding=encoding) as out:
        out.write(text)


def _manager(name: str | None) -> "Manager":
    from netusage.service.manage import Manager, default_manager

    return Manager(name) if name else default_manager()


def _scope(name: str | None) -> "Scope":
    from netusage.service.job import Scope
    from netusage.service.manage import is_administrator

    if name:
        return Scope(name)
    return Scope.SYSTEM if is_administrator() else Scope.USER


def _job(invocation: Invocation, manager: "Manager", scope: "Scope", program: Path | None) -> "Job":
    """The job with what the flags, and the configuration that the service will read, say."""
    from netusage.service.job import Job, Scope, this_program
    from netusage.service.manage import Manager
    from netusage.settings.paths import LEDGER_FILE, system_state_directory

    if program is not None and not program.is_absolute():
        raise UsageError(
            f"--program: {str(program)!r} is not an absolute path", hint="a service has no working directory"
        )
    loaded = invocation.loaded
    ledger = Path(loaded.settings.ledger.path).absolute() if loaded.settings.ledger.path else None
    # the service reads the file, but has neither these flags nor this environment
    named = loaded.origins["ledger.path"].startswith(("flag ", "environment "))
    if ledger is None and manager is Manager.SCHTASKS and scope is Scope.SYSTEM:
        # the profile of LocalSystem would hide it from everybody
        ledger, named = system_state_directory() / LEDGER_FILE, True
    config_file = invocation.config_file.absolute() if invocation.config_file else None
    recorder, alerts, fleet = loaded.settings.recorder, loaded.settings.alerts, loaded.settings.fleet
    return Job(
        (str(program),) if program else this_program(),
        scope,
        ledger,
        named,
        config_file,
        applications=recorder.applications in ("auto", "kernel", "before-queueing"),
        pins=recorder.pins_directory,
        alerts=bool(alerts.to or alerts.to_file or alerts.command),
        alert_files=tuple(Path(name) for name in (alerts.to_file, *alerts.command[:1]) if name),
        journal=Path(alerts.journal) if alerts.journal else None,
        fleet=bool(fleet.url),
        fleet_files=tuple(
            Path(name)
            for name in (fleet.password_file, fleet.token_file, fleet.ca, fleet.certificate, fleet.key)
            if name
        ),
    )


def _differs(file: Path, text: str) -> bool:
    try:
        return file.read_text(encoding="utf-8") != text
    except FileNotFoundError:
        return False
    except (OSError, UnicodeDecodeError):
        return True


def _ledger_of(scope: "Scope") -> Path:
    from netusage.service.job import Scope
    from netusage.settings.paths import LEDGER_FILE, system_state_directory, user_state_directory

    return (system_state_directory() if scope is Scope.SYSTEM else user_state_directory()) / LEDGER_FILE


def _show(steps: "list[Step]") -> None:
    for step in steps:
        click.echo(f"would {step}")


def _do(steps: "list[Step]") -> None:
    from netusage.service.manage import execute

    for step in steps:
        execute(step)
        click.echo(f"done: {step}")
