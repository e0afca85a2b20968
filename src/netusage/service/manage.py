"""Install, remove and look at the service: the steps for each manager, and their execution.

A plan is a list of steps, so that what `--dry-run` shows is what would be done.
"""

import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

from netusage.errors import NetusageError, OutputError
from netusage.service import launchd, systemd, task
from netusage.service.job import Job, Scope
from netusage.sources.applications.pins import remove

_SYSTEMD_RUNS = Path("/run/systemd/system")  # sd_booted(3)
_RUN_TIMEOUT_S = 90  # systemctl waits for the service to be ready


class Manager(StrEnum):
    """A service manager, by the name of its tool's home."""

    SYSTEMD = "systemd"
    LAUNCHD = "launchd"
    SCHTASKS = "schtasks"

    @property
    def tool(self) -> str:
        """The command that talks to it."""
        return {"systemd": "systemctl", "launchd": "launchctl", "schtasks": "schtasks"}[self.value]


class Write(NamedTuple):
    """Write a file, whole or not at all."""

    path: Path
    text: str
    encoding: str = "utf-8"

    def __str__(self) -> str:
        return f"write {self.path}"


class Remove(NamedTuple):
    """Remove a file."""

    path: Path

    def __str__(self) -> str:
        return f"remove {self.path}"


class TakeOff(NamedTuple):
    """Take the programs off the kernel that count by application, with their counters."""

    pins: Path

    def __str__(self) -> str:
        return f"take off the programs that are kept in {self.pins}"


class Run(NamedTuple):
    """Run a command of the manager; `may_fail` when its failure changes nothing."""

    argv: tuple[str, ...]
    may_fail: bool = False

    def __str__(self) -> str:
        return f"run {' '.join(self.argv)}"


Step = Write | Remove | TakeOff | Run


class State(NamedTuple):
    """What is known of an installed service.

    file: its file, or "" where the manager keeps it itself.
    installed, running: the manager's word; running is None when the manager cannot be asked.
    detail: the manager's own words, one line.
    """

    file: str
    installed: bool
    running: bool | None
    detail: str


class Place(NamedTuple):
    """The environment that a service is installed in.

    home, config_home: the user's directories; uid, user: the user, for a user's service.
    root: write files below this directory instead of /, and call no manager; None: the running system.
    """

    home: Path
    config_home: Path
    uid: int
    user: str
    root: Path | None = None

    def file(self, path: Path) -> Path:
        """A path of the running system, below `root` when there is one."""
        return path if self.root is None else self.root / path.relative_to(path.anchor)


def this_place(root: Path | None = None) -> Place:
    """The running system as this user sees it, or a directory to write below."""
    home = Path.home()
    named = os.environ.get("XDG_CONFIG_HOME", "")
    config_home = Path(named) if named.startswith("/") else home / ".config"
    if sys.platform == "win32":
        domain, name = os.environ.get("USERDOMAIN", ""), os.environ.get("USERNAME", "")
        return Place(home, config_home, 0, f"{domain}\\{name}" if domain else name, root)
    return Place(home, config_home, os.getuid(), "", root)


def default_manager(platform: str = sys.platform) -> Manager:
    """The manager of this platform."""
    return {"darwin": Manager.LAUNCHD, "win32": Manager.SCHTASKS}.get(platform, Manager.SYSTEMD)


def is_administrator() -> bool:
    """Whether this process may install services for the whole machine."""
    if sys.platform == "win32":
        import ctypes  # noqa: PLC0415  # only here

        return bool(ctypes.windll.shell32.IsUserAnAdmin())
    return os.geteuid() == 0


def text_of(manager: Manager, job: Job, place: Place) -> str:
    """The text that describes the service to its manager, in Unicode."""
    if manager is Manager.SYSTEMD:
        return systemd.unit(job)
    if manager is Manager.LAUNCHD:
        return launchd.plist(job, home=place.home)
    return task.task_xml(job, user=place.user)


def file_of(manager: Manager, scope: Scope, place: Place) -> Path:
    """The file that describes the service; for Task Scheduler, which keeps its own copy, the one that it is fed."""
    if manager is Manager.SYSTEMD:
        return place.file(systemd.unit_path(scope, config_home=place.config_home))
    if manager is Manager.LAUNCHD:
        return place.file(launchd.plist_path(scope, home=place.home))
    folder = place.root if place.root is not None else Path(tempfile.gettempdir())
    return folder / "netusage-task.xml"


def check_manager(manager: Manager, scope: Scope) -> None:
    """See that the manager can be asked and would obey.

    Raises:
        NetusageError: it is not here, is not running, or wants more rights.
    """
    elsewhere = "netusage service print shows the file; --root DIR writes it without touching the system"
    if shutil.which(manager.tool) is None:
        raise NetusageError(f"{manager} is not on this machine: no command {manager.tool!r}", hint=elsewhere)
    if manager is Manager.SYSTEMD and scope is Scope.SYSTEM and not _SYSTEMD_RUNS.is_dir():
        raise NetusageError("systemd is installed here but does not run this machine", hint=elsewhere)
    if scope is Scope.SYSTEM and not is_administrator():
        how = "as an administrator" if sys.platform == "win32" else "with sudo"
        raise NetusageError(
            "a service of the system can only be managed by an administrator",
            hint=f"run it {how}, or use --user for a service of your own",
        )


def install_steps(manager: Manager, job: Job, place: Place) -> list[Step]:
    """What it takes to install the service and start it, or with a `root` only to write its file."""
    file = file_of(manager, job.scope, place)
    text = text_of(manager, job, place)
    write = Write(file, text, "utf-16" if manager is Manager.SCHTASKS else "utf-8")
    if place.root is not None:
        return [write]
    if manager is Manager.SYSTEMD:
        ctl = _systemctl(job.scope)
        return [
            write,
            Run((*ctl, "daemon-reload")),
            Run((*ctl, "enable", systemd.UNIT)),
            Run((*ctl, "restart", systemd.UNIT)),
        ]
    if manager is Manager.LAUNCHD:
        domain = launchd.domain(job.scope, uid=place.uid)
        return [
            write,
            Run(("launchctl", "bootout", f"{domain}/{launchd.LABEL}"), may_fail=True),
            Run(("launchctl", "bootstrap", domain, str(file))),
        ]
    return [
        write,
        Run(("schtasks", "/End", "/TN", task.TASK), may_fail=True),
        Run(("schtasks", "/Create", "/TN", task.TASK, "/XML", str(file), "/F")),
        Remove(file),
        Run(("schtasks", "/Run", "/TN", task.TASK)),
    ]


def uninstall_steps(manager: Manager, scope: Scope, place: Place, pins: str = "") -> list[Step]:
    """What it takes to stop the service and remove it; the ledger stays.

    Args:
        manager: of the service.
        scope: whose it is.
        place: where it is installed.
        pins: where its counters of applications stay, "" for nowhere.
    """
    file = file_of(manager, scope, place)
    if place.root is not None:
        return [Remove(file)]
    if manager is Manager.SYSTEMD:
        ctl = _systemctl(scope)
        steps: list[Step] = [Run((*ctl, "disable", "--now", systemd.UNIT))]
        if pins and scope is Scope.SYSTEM:
            steps.append(TakeOff(Path(pins)))
        return [*steps, Remove(file), Run((*ctl, "daemon-reload"))]
    if manager is Manager.LAUNCHD:
        target = f"{launchd.domain(scope, uid=place.uid)}/{launchd.LABEL}"
        return [Run(("launchctl", "bootout", target), may_fail=True), Remove(file)]
    return [
        Run(("schtasks", "/End", "/TN", task.TASK), may_fail=True),
        Run(("schtasks", "/Delete", "/TN", task.TASK, "/F")),
    ]


def state(manager: Manager, scope: Scope, place: Place) -> State:
    """Whether the service is installed and running."""
    file = file_of(manager, scope, place)
    asks = shutil.which(manager.tool) is not None and place.root is None
    if manager is Manager.SYSTEMD:
        if not asks or (scope is Scope.SYSTEM and not _SYSTEMD_RUNS.is_dir()):
            return State(str(file), file.exists(), None, "systemd does not run this machine")
        said = _ask((*_systemctl(scope), "show", "-p", "LoadState,ActiveState,SubState", systemd.UNIT))
        facts = dict(line.partition("=")[::2] for line in said.splitlines() if "=" in line)
        if not facts:
            return State(str(file), file.exists(), None, "systemd does not answer")
        installed = facts.get("LoadState") not in ("not-found", None)
        running = facts.get("ActiveState") in ("active", "reloading")
        return State(str(file), installed, running, f"{facts.get('ActiveState')} ({facts.get('SubState')})")
    if manager is Manager.LAUNCHD:
        said = (
            _ask(("launchctl", "print", f"{launchd.domain(scope, uid=place.uid)}/{launchd.LABEL}"))
            if asks
            else ""
        )
        runs = "state = running" in said
        return State(str(file), file.exists(), runs if asks else None, "running" if runs else "not running")
    said = _ask(("schtasks", "/Query", "/TN", task.TASK, "/FO", "CSV", "/NH")) if asks else ""
    # the words are translated; there is a recorder if and only if the ledger is held, which `netusage` says
    fields = said.strip().strip('"').split('","')
    return State("", bool(said.strip()), None, fields[-1] if said.strip() else "no task")


def execute(step: Step) -> None:
    """Do one step.

    Raises:
        OutputError: a file could not be written or removed.
        NetusageError: the manager refused.
    """
    try:
        if isinstance(step, Write):
            _write(step)
        elif isinstance(step, Remove):
            step.path.unlink(missing_ok=True)
        elif isinstance(step, TakeOff):
            remove(str(step.pins))
        else:
            _run(step)
    except OSError as error:
        raise OutputError(f"cannot {step}: {error.strerror or error}") from error


def _write(step: Write) -> None:
    step.path.parent.mkdir(parents=True, exist_ok=True)
    part = step.path.with_name(f".{step.path.name}.{secrets.token_hex(4)}.part")
    try:
        part.write_bytes(step.text.encode(step.encoding))
        part.chmod(0o644)
        part.replace(step.path)
    except BaseException:
        with suppress(OSError):
            part.unlink()
        raise


def _run(step: Run) -> None:
    try:
        done = subprocess.run(  # noqa: S603  # fixed commands, no shell
            step.argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=_RUN_TIMEOUT_S, check=False
        )
        said = (done.stderr or done.stdout).decode(errors="replace").strip()
        why = "" if done.returncode == 0 else (" ".join(said.split()) or f"exit code {done.returncode}")
    except subprocess.TimeoutExpired:
        why = f"no answer in {_RUN_TIMEOUT_S} seconds"
    if why and not step.may_fail:
        raise NetusageError(f"{' '.join(step.argv)} failed: {why}", hint=_hint(step.argv))


def _hint(argv: Sequence[str]) -> str:
    if argv[0] == "systemctl":
        return f"journalctl {'--user ' if '--user' in argv else ''}-u {systemd.UNIT} says more"
    return "netusage service status says how things stand"


def _ask(argv: Sequence[str]) -> str:
    try:
        done = subprocess.run(  # noqa: S603  # fixed commands, no shell
            argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=_RUN_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.decode(errors="replace") if done.returncode == 0 else ""


def _systemctl(scope: Scope) -> tuple[str, ...]:
    return ("systemctl", "--user") if scope is Scope.USER else ("systemctl",)
