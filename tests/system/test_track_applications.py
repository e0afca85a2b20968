"""The tracker tells who had the most, of the interfaces that it adds up, and leaves nothing in the kernel."""

import re
import subprocess
import sys

import pytest
from support.namespace import loaded_programs
from support.patience import until

pytestmark = [pytest.mark.system, pytest.mark.alone, pytest.mark.root, pytest.mark.usefixtures("loadable")]

TALK = """
import socket
one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
one.bind(("127.0.0.1", 0))
for _ in range(100):
    one.sendto(bytes(972), one.getsockname())
    one.recv(2000)
"""


@pytest.fixture
def talk(space, tmp_path):
    """Sends 100 packets of 1,000 bytes to itself over loopback, as talk.py."""
    path = tmp_path / "talk.py"
    path.write_text(TALK)
    return lambda: subprocess.run(space.command(sys.executable, str(path)), check=True)


def told(out):
    """Bytes by application, as the summary says."""
    lines = out[out.index("By application:") :].splitlines()[1:]
    found = (re.fullmatch(r" +([0-9.]+ \w?B)  (.*)", line) for line in lines)
    return {match[2]: match[1] for match in found if match}


def test_the_summary_names_who_had_the_most(space, start, ledger, talk):
    before = loaded_programs()
    process = start(
        "track", "--db", ledger, "--no-csv", "--interface", "lo", "--applications", "kernel", space=space
    )
    process.wait_until_recording().wait_for_output("Applications are told apart by: kernel")
    talk()
    assert process.stop() == 143
    assert told(process.out) == {"talk.py": "200.00 kB"}
    until(lambda: not loaded_programs() - before, "the kernel to free the programs")


def test_beside_a_recorder_it_tells_them_as_well(space, record, start, ledger, talk):
    record(space)
    process = start(
        "track", "--db", ledger, "--no-csv", "--interface", "lo", "--applications", "kernel", space=space
    )
    process.wait_until_recording().wait_for_output("Applications are told apart by: kernel")
    talk()
    assert process.stop() == 143
    assert "A recorder is running already" in process.out
    assert told(process.out) == {"talk.py": "200.00 kB"}


def test_where_they_are_switched_off_it_tells_nothing_of_them(space, start, ledger, talk):
    process = start(
        "track", "--db", ledger, "--no-csv", "--interface", "lo", "--applications", "off", space=space
    )
    process.wait_until_recording()
    talk()
    assert process.stop() == 143
    assert "pplication" not in process.out
