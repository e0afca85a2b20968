"""Where the ledger and the configuration live on each platform.

Ledger: systemd's STATE_DIRECTORY first, then /var/lib/netusage for root on Linux, /Library/Application Support
for root on macOS, otherwise the user's state directory. Configuration: the XDG directories and /etc on Linux,
their like elsewhere.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

from netusage.errors import NetusageError

TYPE_CHECKING = False

if TYPE_CHECKING:
    from pathlib import Path

    from netusage.settings.schema import Settings  # the bare command does without it

APP = "netusage"
LEDGER_FILE = "netusage.db"
CONFIG_FILE = "config.toml"


def is_root() -> bool:
    """Whether this process has the rights of the system's administrator; never on Windows."""
    return sys.platform != "win32" and os.geteuid() == 0


def system_state_directory() -> Path:
    """The directory of the ledger that a system service keeps."""
    if sys.platform == "darwin":
        return _path("/Library/Application Support", APP)
    if sys.platform == "win32":
        return _path(os.environ.get("PROGRAMDATA") or r"C:\ProgramData", APP)
    return _path("/var/lib", APP)


def user_state_directory() -> Path:
    """The directory of the ledger that an ordinary user keeps.

    Raises:
        NetusageError: platformdirs is not installed.
    """
    try:
        import platformdirs  # noqa: PLC0415  # root and services do without it
    except ImportError as error:
        raise NetusageError(
            "cannot tell where your ledger belongs: the package platformdirs is missing",
            hint="pip install platformdirs, or say where with --db PATH or NETUSAGE_DB",
        ) from error
    return _path(platformdirs.user_state_dir(APP, appauthor=False))


def default_ledger_path(*, for_reading: bool, environment: Mapping[str, str] | None = None) -> Path:
    """The ledger to use when nobody named one.

    A reader who is not root takes the ledger that exists, his own or the system's; of two, the one that was
    written last.

    Raises:
        NetusageError: platformdirs is needed and not installed.
    """
    environment = os.environ if environment is None else environment
    # systemd lists several directories with colons between them
    state = environment.get("STATE_DIRECTORY", "").split(":")[0]
    if state:
        return _path(state, LEDGER_FILE)
    system = system_state_directory() / LEDGER_FILE
    if is_root():
        return system
    own = user_state_directory() / LEDGER_FILE
    if not for_reading:
        return own
    return system if last_written_ns(system) > last_written_ns(own) else own


def ledger_path(settings: Settings, *, for_reading: bool) -> Path:
    """The ledger that the settings name, or the default one.

    Raises:
        NetusageError: as `default_ledger_path`.
    """
    if settings.ledger.path:
        return _path(settings.ledger.path)
    return default_ledger_path(for_reading=for_reading)


def last_written_ns(ledger: Path) -> int:
    """When a ledger was last written (nanoseconds since 1970 UTC); -1 when there is none to be seen."""
    newest = -1
    for path in (ledger, ledger.with_name(f"{ledger.name}-wal")):
        try:
            newest = max(newest, path.stat().st_mtime_ns)
        except OSError:
            if path is ledger:
                return -1
    return newest


def config_paths(environment: Mapping[str, str] | None = None) -> tuple[Path, Path]:
    """The user's configuration file and the system's, in the order in which they win; neither need exist."""
    own, system = config_files(environment)
    return _path(own), _path(system)


def config_files(environment: Mapping[str, str] | None = None) -> tuple[str, str]:
    """As `config_paths`, as plain names."""
    environment = os.environ if environment is None else environment
    own, system = _user_config_directory(environment), _system_config_directory(environment)
    return os.path.join(own, APP, CONFIG_FILE), os.path.join(system, APP, CONFIG_FILE)


def _user_config_directory(environment: Mapping[str, str]) -> str:
    home = _home(environment)
    if sys.platform == "darwin":
        return os.path.join(home, "Library", "Application Support")
    if sys.platform == "win32":
        return environment.get("LOCALAPPDATA") or os.path.join(home, "AppData", "Local")
    # the XDG specification: a relative path is to be ignored
    named = environment.get("XDG_CONFIG_HOME", "")
    return named if named.startswith("/") else os.path.join(home, ".config")


def _system_config_directory(environment: Mapping[str, str]) -> str:
    if sys.platform == "darwin":
        return "/Library/Application Support"
    if sys.platform == "win32":
        return environment.get("PROGRAMDATA") or r"C:\ProgramData"
    return "/etc"


def _home(environment: Mapping[str, str]) -> str:
    named = environment.get("USERPROFILE" if sys.platform == "win32" else "HOME", "")
    home = named or os.path.expanduser("~")
    return home if home != "~" else "/nonexistent"  # services have no home directory


def _path(name: str, *parts: str) -> Path:
    from pathlib import Path  # noqa: PLC0415  # the bare command does without it

    return Path(name, *parts)
