"""The kernel counts by application while no recorder runs: kill -9 and restarts lose nothing and double nothing."""

import contextlib
import json
import sqlite3
import time

import pytest
from support.book import assert_it_adds_up
from support.namespace import loaded_programs
from support.patience import until

pytestmark = [pytest.mark.system, pytest.mark.alone, pytest.mark.root, pytest.mark.usefixtures("loadable")]

FRAME = 14 + 28 + 500
# sends without a pause until its standard input ends, then says how often
SEND = """
import socket, sys, threading
over = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), over.set())).start()
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sent = 0
while True:
    for _ in range(10):
        sock.sendto(bytes(500), ("10.9.0.2", 5000))
        sent += 1
    if over.wait(0.0005):
        break
print(sent)
"""


@pytest.fixture
def counting(record, kept):
    """Starts a recorder whose counters stay in `kept`."""
    environment = {"NETUSAGE_RECORDER_PINS": kept}

    def begin(space, **options):
        return record(space, "--applications", "kernel", environment=environment, **options)

    return begin


@pytest.fixture
def sender(space, tmp_path):
    """Starts `name`.py, which sends until `finish`; gives how many packets that were."""
    from subprocess import PIPE, Popen
    from sys import executable

    started = []

    class Sender:
        def __init__(self, name):
            path = tmp_path / f"{name}.py"
            path.write_text(SEND)
            self._process = Popen(space.command(executable, str(path)), stdin=PIPE, stdout=PIPE, text=True)
            started.append(self._process)

        def finish(self):
            said, _ = self._process.communicate(timeout=60)
            assert self._process.returncode == 0
            return int(said)

    yield Sender
    for process in started:
        process.kill()
        process.communicate()


def accounts(start, ledger):
    """The lines of `reconcile` by interface."""
    process = start("reconcile", "--db", ledger, "--format", "json")
    assert process.wait() == 0, process.err
    found = {}
    for row in json.loads(process.out)["rows"]:
        found.setdefault(row["interface"], []).append(row)
    return found


def sent_by(ledger, script):
    """Bytes and packets that a script sent, as recorded."""
    with contextlib.closing(sqlite3.connect(f"file:{ledger}?mode=ro", uri=True)) as connection, connection:
        return connection.execute(
            "SELECT sum(tx_bytes), sum(tx_packets) FROM share JOIN application ON id = application_id WHERE name = ?",
            (script,),
        ).fetchone()


def assert_all_is_known(start, ledger, space, before):
    """Every byte that was sent over the cable has an owner, and the lines add up to the interface's own counter."""
    counted = space.counters()["cable"].minus(before)
    *parts, total = accounts(start, ledger)["cable"]
    for key in ("rx_bytes", "tx_bytes", "rx_packets", "tx_packets"):
        assert sum(row[key] for row in parts) == total[key] == getattr(counted, key)
    assert parts[-1]["line"] == "unattributed"
    assert (parts[-1]["tx_bytes"], parts[-1]["tx_packets"]) == (0, 0)
    assert_it_adds_up(ledger)


def test_twelve_kills_under_load_lose_and_double_nothing(space, cable, counting, sender, start, ledger):
    before = space.counters()["cable"]
    counting(space).kill()
    load = sender("load")
    for number in range(12):
        recorder = counting(space, commit="100ms")
        time.sleep(0.05 * (number % 4))  # the moment of the kill is what varies
        recorder.kill()
    recorder = counting(space)
    sent = load.finish()
    assert recorder.stop() == 143
    assert sent > 1000
    assert sent_by(ledger, "load.py") == (sent * FRAME, sent)
    assert_all_is_known(start, ledger, space, before)


def test_what_lived_and_ended_while_no_recorder_ran_has_its_name(
    space, cable, counting, sender, start, ledger
):
    before = space.counters()["cable"]
    counting(space).stop()
    sent = sender("meanwhile").finish()
    counting(space).stop()
    assert sent_by(ledger, "meanwhile.py") == (sent * FRAME, sent)
    assert_all_is_known(start, ledger, space, before)


def test_a_stop_leaves_the_programs_and_uninstalling_takes_them_off(space, counting, kept, start):
    before = loaded_programs()
    recorder = counting(space)
    recorder.stop()
    assert "to end that: netusage doctor --clean" in recorder.err
    assert loaded_programs() - before
    process = start("doctor", "--clean", environment={"NETUSAGE_RECORDER_PINS": kept})
    process.wait()
    assert "9 pins removed" in process.out
    until(lambda: not loaded_programs() - before, "the kernel to free the programs")


def test_where_pins_cannot_be_made_it_is_said_and_applications_are_recorded_all_the_same(
    space, record, tmp_path
):
    before = loaded_programs()
    recorder = record(
        space, "--applications", "kernel", environment={"NETUSAGE_RECORDER_PINS": str(tmp_path / "none")}
    )
    assert "is in no BPF file system" in recorder.err
    recorder.stop()
    until(lambda: not loaded_programs() - before, "the kernel to free the programs")
