"""What a service manager is to run, and for whom."""

import os
import stat
import subprocess
import sys
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from netusage.errors import NetusageError

DESCRIPTION = "Network usage recorder"
_START_TIMEOUT_S = 30


class Scope(StrEnum):
    """Whether the service belongs to the machine or to one user."""

    SYSTEM = "system"
    USER = "user"


@dataclass(frozen=True, slots=True)
class Job:
    """The recorder, as a service manager starts it.

    program: the command that starts netusage; the first part is an absolute path.
    scope: for the machine or for one user.
    ledger: the ledger's file when it is not where the platform puts it.
    name_ledger: pass the ledger on the command line; False when the configuration file that the service reads
        names it.
    config_file: a configuration file to read and no other.
    applications: the configuration asks for what applications had, which takes more privileges.
    pins: where their counters stay while the service does not run, "" for nowhere.
    alerts: somebody is to be told of alerts, over the network or by a command.
    alert_files: what is read, or run, for that.
    journal: the journal of alerts, when it is not beside the ledger.
    fleet: the record is delivered to a fleet, over the network.
    fleet_files: what is read for that.
    """

    program: tuple[str, ...]
    scope: Scope
    ledger: Path | None = None
    name_ledger: bool = False
    config_file: Path | None = None
    applications: bool = False
    pins: str = ""
    alerts: bool = False
    alert_files: tuple[Path, ...] = ()
    journal: Path | None = None
    fleet: bool = False
    fleet_files: tuple[Path, ...] = ()

    @property
    def sends(self) -> bool:
        """Whether it has traffic of its own."""
        return self.alerts or self.fleet

    @property
    def argv(self) -> tuple[str, ...]:
        """The whole command line."""
        parts = [*self.program, "daemon"]
        if self.ledger is not None and self.name_ledger:
            parts += ["--db", str(self.ledger)]
        if self.config_file is not None:
            parts += ["--config", str(self.config_file)]
        return tuple(parts)

    @property
    def code(self) -> tuple[Path, ...]:
        """What is run, as far as it is known: the program, and for this installation its Python and package."""
        program = Path(self.program[0])
        if program.parent != Path(sys.executable).parent:
            return program, program.resolve()
        package = Path(__file__).resolve()
        return program, program.resolve(), Path(sys.prefix), Path(sys.base_prefix), package

    @property
    def needs_home(self) -> bool:
        """Whether anything that the service reads or writes lies in a home directory."""
        named = (self.ledger, self.config_file, self.journal, *self.alert_files, *self.fleet_files)
        paths = [*self.code, *(path for path in named if path is not None)]
        return any(path.is_relative_to(home) for path in paths for home in ("/home", "/root", "/run/user"))


def this_program() -> tuple[str, ...]:
    """How to start this very installation of netusage."""
    script = Path(sys.executable).parent / ("netusage.exe" if sys.platform == "win32" else "netusage")
    if script.is_file() and os.access(script, os.X_OK):
        return (str(script),)
    return (sys.executable, "-m", "netusage")


def check_program(program: tuple[str, ...]) -> None:
    """See that the program starts as a service would start it: without this shell's variables and directory.

    Raises:
        NetusageError: it does not, or it lies where a service cannot see it.
    """
    if any(Path(program[0]).is_relative_to(folder) for folder in ("/tmp", "/var/tmp")):  # noqa: S108  # not used
        raise NetusageError(
            f"{program[0]} lies in a directory for temporary files, which a service does not see",
            hint="install netusage elsewhere and run that one, or name it with --program",
        )
    environment = {name: os.environ[name] for name in ("PATH", "SYSTEMROOT") if name in os.environ}
    command = [*program, "--version"]
    try:
        done = subprocess.run(  # noqa: S603  # the program is this one, or the one that the caller named
            command,
            env=environment,
            cwd=Path(program[0]).anchor or None,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_START_TIMEOUT_S,
            check=False,
        )
        said = done.stderr.decode(errors="replace").strip().splitlines()
        why = "" if done.returncode == 0 else (said[-1] if said else f"exit code {done.returncode}")
    except (OSError, subprocess.TimeoutExpired) as error:
        why = str(error)
    if why:
        raise NetusageError(
            f"a service could not start {' '.join(program)}: {why}",
            hint="install netusage (pip install netusage) and run that one, or name it with --program",
        )


def check_ledger(job: Job) -> None:
    """See that a ledger elsewhere has a directory: the service may write there, and may not make it.

    Raises:
        NetusageError: it has none.
    """
    if job.ledger is not None and not job.ledger.parent.is_dir():
        raise NetusageError(
            f"the ledger's directory {job.ledger.parent} does not exist", hint=f"mkdir -p {job.ledger.parent}"
        )


def writable_by_others(job: Job) -> str:
    """Who besides root can change the program that root would run; "" when nobody can, or on Windows.

    One line for people: a system service runs as root, so that whoever can change it can become root.
    """
    if sys.platform == "win32":
        return ""
    for start in job.code:
        for path in (start, *start.parents):
            try:
                seen = path.stat()
            except OSError:
                continue
            shared = seen.st_mode & stat.S_IWOTH and not seen.st_mode & stat.S_ISVTX
            if seen.st_uid != 0 or shared:
                who = "everybody" if shared else f"user {seen.st_uid}"
                return f"{path} can be changed by {who}, who could thereby run commands as root"
    return ""
