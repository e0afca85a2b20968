"""What a process beside the recorder gives up, as the kernel tells it."""

import subprocess
import sys

import pytest

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(sys.platform != "linux", reason="capabilities are Linux's"),
]

CODE = """
import ctypes, os, sys
from netusage.recorder.privileges import give_up
libc, user, net_admin = ctypes.CDLL(None), int(sys.argv[1]), 1 << 12
if user:  # as a service manager starts it: another user, with an ambient capability
    assert libc.prctl(8, 1, 0, 0, 0) == 0  # PR_SET_KEEPCAPS
    os.setresuid(user, user, user)
    words = (ctypes.c_uint32 * 6)(*[net_admin] * 3, 0, 0, 0)
    assert libc.capset((ctypes.c_uint32 * 2)(0x20080522, 0), words) == 0
    assert libc.prctl(47, 2, 12, 0, 0) == 0  # PR_CAP_AMBIENT_RAISE
    assert "CapAmb:\t0000000000001000" in open("/proc/self/status").read()
give_up()
give_up()
print(open("/proc/self/status").read())
"""
FILES_OF_OTHERS = 1 << 1 | 1 << 2


def status_after(user):
    done = subprocess.run([sys.executable, "-c", CODE, str(user)], capture_output=True, text=True, check=True)
    return dict(line.split(":\t", 1) for line in done.stdout.splitlines() if ":\t" in line)


@pytest.mark.root
@pytest.mark.parametrize(("user", "kept"), [(0, FILES_OF_OTHERS), (65534, 0)])
def test_nothing_is_left_but_what_root_needs_for_files_of_others(user, kept):
    found = status_after(user)
    assert {name: int(found[name], 16) for name in ("CapEff", "CapPrm", "CapInh", "CapAmb")} == {
        "CapEff": kept,
        "CapPrm": kept,
        "CapInh": 0,
        "CapAmb": 0,
    }
    assert found["NoNewPrivs"] == "1"
