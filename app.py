"""Track network usage: python app.py.

Shows and logs what this machine sends and receives since the start, and records it. It is `netusage track`, run from
a checkout without installing anything but psutil; Ctrl-C stops it. Options are those of `netusage track --help`.
"""

import os
import sys
from importlib.util import find_spec

OLDEST = (3, 11)


def main() -> int:
    """Run the tracker; the exit code says how it ended."""
    if sys.version_info < OLDEST:
        wanted = ".".join(map(str, OLDEST))
        sys.stderr.write(f"netusage: needs Python {wanted} or newer; try: python{wanted} app.py\n")
        return 1
    sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "src"))
    missing = [name for name in ("click", "msgspec", "platformdirs") if find_spec(name) is None]
    if missing:
        return _track_plainly(missing)
    from netusage.cli.failures import run

    return run(["track", *sys.argv[1:]])


def _track_plainly(missing: "list[str]") -> int:
    """Track with the default settings, where only psutil is installed."""
    if sys.argv[1:]:
        names = " ".join(missing)
        sys.stderr.write(
            f"netusage: options need more packages: pip install {names}; or run it without options\n"
        )
        return 2
    from netusage.errors import NetusageError
    from netusage.tracker.plain import track_with_defaults

    try:
        return track_with_defaults()
    except NetusageError as error:
        sys.stderr.write(f"netusage: {error}\n")
        return int(error.exit_code)


if __name__ == "__main__":
    sys.exit(main())
