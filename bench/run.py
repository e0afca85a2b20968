"""Speed and size against the peers, measured in the same run: `python bench/run.py`, or `make bench`.

Needs root on Linux, and Debian's packages vnstat, nethogs, iproute2 and util-linux (strace, if present, counts system calls);
psutil and pyroute2 from `pip install -e '.[bench]'`. Nothing of the system is changed: interfaces live in network
namespaces that go away with the bench, files in `bench/work`.
"""

import argparse
import importlib
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))

import lab
import tables

PARTS = ("read", "recorder", "memory", "reports", "whole", "applications", "live", "web", "fleet")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", action="append", choices=PARTS, help="only this part; may be repeated")
    parser.add_argument("--quick", action="store_true", help="see that it works; the numbers are rough")
    parser.add_argument("--write", metavar="FILE", help="write the results to a file as well")
    chosen = parser.parse_args()
    command = " ".join(["python", "bench/run.py", *_shown(sys.argv[1:])])
    text = ["# Results of the benches", "", *tables.surroundings(command), ""]
    if chosen.quick:
        text += ["A quick run, to see that it works: the numbers are rough.", ""]
    print("\n".join(text), flush=True)
    failed = False
    lab.compile_package()
    with lab.workplace() as directory:
        place = lab.Place(directory, quick=chosen.quick)
        for part in chosen.only or PARTS:
            try:
                lines = list(importlib.import_module(part).measure(place).lines())
            except (lab.BenchError, ImportError) as error:
                failed = True
                lines = [f"## {part}", "", f"not measured: {error}", ""]
            print("\n".join(lines), flush=True)
            text += lines
            if chosen.write:
                Path(chosen.write).write_text("\n".join(text).rstrip() + "\n", encoding="utf-8")
    return int(failed)


def _shown(arguments: list[str]) -> list[str]:
    """The arguments without directories of this machine."""
    return [Path(one).name if one.startswith("/") else one for one in arguments]


if __name__ == "__main__":
    sys.exit(main())
