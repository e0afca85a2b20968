"""`python -m netusage` and the `netusage` script."""

import gc
import os
import sys


def main() -> None:
    """Run the command line of this process and end it with its exit code."""
    gc.disable()  # nothing is garbage yet while modules are loaded; `failures` turns it on
    from netusage.cli.failures import run  # noqa: PLC0415  # as above

    code = run(sys.argv[1:], called=os.path.basename(sys.argv[0]))
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (AttributeError, OSError, ValueError):  # closed, or nobody listens
            continue
    os._exit(code)  # everything is closed: taking the interpreter apart would cost more than many an answer


if __name__ == "__main__":
    main()
