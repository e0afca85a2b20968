"""Each way of telling applications apart, had by forbidding those above it; what interfaces count is exact in all."""

import contextlib
import os
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from support.patience import until

import netusage

pytestmark = [pytest.mark.system, pytest.mark.alone, pytest.mark.root, pytest.mark.usefixtures("loadable")]

NOBODY = 65534
AS_NOBODY = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")
FORBIDDING = (sys.executable, str(Path(__file__).parents[1] / "support" / "forbidding.py"))
# what a process runs through, the tier that is left to it, and what it says of the one that it may not have
WAYS = {
    "kernel": ((), "kernel", ""),
    "before-queueing": (
        (*FORBIDDING, "iterators"),
        "kernel before queueing",
        "the kernel does not count by application here",
    ),
    "sockets": (AS_NOBODY, "sockets", "the kernel does not count by application here"),
    "interfaces": (
        (*FORBIDDING, "sockets", *AS_NOBODY),
        "",
        "the kernel does not count by application here",
    ),
}
# a connection over loopback, both ends of which are its own
TALK = """
import socket
listener = socket.create_server(("127.0.0.1", 0))
one = socket.create_connection(listener.getsockname())
other, _ = listener.accept()
for _ in range(10):
    one.sendall(bytes(10_000))
    left = 10_000
    while left:
        left -= len(other.recv(left))
print("talked", flush=True)
input()
one.shutdown(socket.SHUT_WR)
assert other.recv(1) == b""
other.close()
assert one.recv(1) == b""
one.close()
"""


@pytest.fixture
def home(tmp_path):
    """A directory that everybody may write in, and reach."""
    if not all(os.stat(path).st_mode & stat.S_IXOTH for path in Path(netusage.__file__).parents):
        pytest.skip("needs netusage where every user can read it")
    for path in (tmp_path, *tmp_path.parents):
        if path.stat().st_uid == os.geteuid() and not path.stat().st_mode & stat.S_IXOTH:
            path.chmod(path.stat().st_mode | stat.S_IXOTH)
    place = tmp_path / "home"
    place.mkdir()
    place.chmod(0o777)
    return place


class Confined:
    """netusage with less than all privileges."""

    def __init__(self, space, home, through):
        self._space, self._home, self._through = space, home, through
        self.ledger = home / "ledger.db"
        self._said = home / "said"

    def _command(self, *arguments):
        return self._space.command(*self._through, sys.executable, "-m", "netusage", *map(str, arguments))

    def _environment(self):
        path = os.pathsep.join(sys.path)
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self._home),
            "PYTHONPATH": path,
            "NETUSAGE_RECORDER_PINS": "off",
        }

    def record(self, meanwhile):
        """Record while something is done; what was said."""
        intervals = ("--sample-interval", "100ms", "--commit-interval", "100ms")
        command = self._command("daemon", "--db", self.ledger, *intervals)
        with open(self._said, "w") as said:
            process = subprocess.Popen(command, stderr=said, cwd=self._home, env=self._environment())
        try:
            until(lambda: self._has_begun(process), "the recorder to begin")
            meanwhile()
        finally:
            process.terminate()
            assert process.wait(30) == 143, self._said.read_text()
        return self._said.read_text()

    def _has_begun(self, process):
        """Whether interfaces were read: what they count from then on is recorded."""
        assert process.poll() is None, self._said.read_text()
        if not self.ledger.exists():
            return False
        with (
            contextlib.closing(sqlite3.connect(f"file:{self.ledger}?mode=ro", uri=True)) as connection,
            connection,
        ):
            tables = connection.execute("SELECT count(*) FROM sqlite_schema WHERE name = 'epoch'").fetchone()
            return tables[0] and connection.execute("SELECT count(*) FROM epoch").fetchone()[0]

    def ask(self, *arguments):
        """What a command prints."""
        command = self._command(*arguments, "--db", self.ledger)
        done = subprocess.run(
            command, capture_output=True, text=True, cwd=self._home, env=self._environment(), check=False
        )
        return done.stdout + done.stderr


def had_by(ledger, tier):
    """What the script received and sent, as recorded; before queueing it is known as the interpreter that runs it."""
    name = "python%" if tier == "kernel before queueing" else "talk.py"
    with contextlib.closing(sqlite3.connect(f"file:{ledger}?mode=ro", uri=True)) as connection, connection:
        return connection.execute(
            "SELECT sum(rx_bytes), sum(tx_bytes) FROM share JOIN application ON id = application_id WHERE name LIKE ?",
            (name,),
        ).fetchone()


def talk(command, ledger, tier):
    """Run the script; it lives until it was seen by whatever tells applications apart."""
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout.readline() == "talked\n"
            if tier:
                until(lambda: (had_by(ledger, tier)[0] or 0) >= 100_000, "its bytes to be recorded")
            process.communicate("\n", timeout=30)
        finally:
            process.kill()
    assert process.returncode == 0


@pytest.mark.parametrize("way", WAYS)
def test_the_best_tier_that_is_left_is_in_force_and_named_everywhere(space, home, way):
    through, tier, refusal = WAYS[way]
    confined = Confined(space, home, through)
    script = home / "talk.py"
    script.write_text(TALK)
    before = space.counters()["lo"]
    who = AS_NOBODY if way in ("sockets", "interfaces") else ()
    said = confined.record(
        lambda: talk(space.command(*who, sys.executable, str(script)), confined.ledger, tier)
    )
    counted = space.counters()["lo"].minus(before)
    with (
        contextlib.closing(sqlite3.connect(f"file:{confined.ledger}?mode=ro", uri=True)) as connection,
        connection,
    ):
        assert connection.execute("SELECT DISTINCT tier FROM run").fetchall() == [(tier,)]
        recorded = connection.execute(
            "SELECT rx_bytes, tx_bytes, rx_packets, tx_packets FROM interface WHERE name = 'lo'"
        ).fetchone()
    had = had_by(confined.ledger, tier)
    assert recorded == counted
    assert refusal in said
    if way == "sockets":
        assert had == (100_000, 100_000)
    elif way == "interfaces":
        assert had == (None, None)
    else:
        assert had[0] > 100_000
        assert had[1] > 100_000
    named = tier or "interfaces"
    doctor = confined.ask("doctor")
    assert f"{named}: " in doctor or f"{named} only: " in doctor
    below = "applications are told apart by: " + named if tier else "applications are not told apart"
    for report in (("report", "day"), ("report", "day", "--by", "application"), ("apps",), ("reconcile",)):
        if tier or report == ("report", "day"):
            assert below in confined.ask(*report).lower(), report
    if way in ("sockets", "interfaces"):
        assert "-> sudo netusage " in doctor
