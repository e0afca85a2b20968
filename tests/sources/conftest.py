import contextlib
import ctypes
import itertools
import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

FIXTURES = Path(__file__).parent / "fixtures"
CLONE_NEWNET = 0x40000000
FRAME_BYTES = 100
SOL_PACKET = 263
PACKET_QDISC_BYPASS = 20
_numbers = itertools.count(1)


class Io(NamedTuple):
    bytes_sent: int
    bytes_recv: int
    packets_sent: int
    packets_recv: int
    errin: int = 0
    errout: int = 0
    dropin: int = 0
    dropout: int = 0


class Stats(NamedTuple):
    isup: bool
    duplex: int
    speed: int
    mtu: int
    flags: str


@pytest.fixture(scope="session")
def datagrams():
    """What the kernel sent, one element per datagram, by the name of the fixture file."""

    def load(name):
        lines = (FIXTURES / "linux" / f"{name}.hex").read_text().splitlines()
        return [memoryview(bytes.fromhex(line)) for line in lines if not line.startswith("#")]

    return load


class RecordedReader:
    """Readings as psutil gives them on another system, one after the other; takes the place of PsutilReader.

    They were written down from what is documented and published of those systems, not captured on them.
    """

    def __init__(self, path):
        recorded = json.loads(path.read_text())
        self.platform = recorded["platform"]
        self._readings = [
            (
                {name: Io(*values) for name, values in reading["counters"].items()},
                {name: Stats(*values) for name, values in reading["stats"].items()},
            )
            for reading in recorded["readings"]
        ]
        self.at = 0

    def counters(self):
        return self._readings[self.at][0]

    def stats(self):
        return self._readings[self.at][1]

    def index(self, _name):
        return 0

    def next(self):
        self.at += 1


@pytest.fixture
def recorded():
    return lambda name: RecordedReader(FIXTURES / f"{name}.json")


class NetworkNamespace:
    """A network namespace of the kernel, quiet (no IPv6) and empty but for its loopback."""

    def __init__(self):
        self.name = f"nu-test-{os.getpid()}-src-{next(_numbers)}"
        run("ip", "netns", "add", self.name)
        with self.inside():
            for which in ("all", "default"):
                path = Path(f"/proc/sys/net/ipv6/conf/{which}/disable_ipv6")
                if path.exists():
                    path.write_text("1")

    def ip(self, *lines):
        """Run commands of ip(8), in one process."""
        run("ip", "-n", self.name, "-batch", "-", stdin="\n".join(lines))

    @contextlib.contextmanager
    def inside(self):
        """This thread is in the namespace; sockets opened here stay in it."""
        libc = ctypes.CDLL(None, use_errno=True)
        home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        there = os.open(f"/run/netns/{self.name}", os.O_RDONLY)
        try:
            assert libc.setns(there, CLONE_NEWNET) == 0, os.strerror(ctypes.get_errno())
            yield
        finally:
            assert libc.setns(home, CLONE_NEWNET) == 0
            os.close(there)
            os.close(home)

    def send(self, device, frames, size=FRAME_BYTES):
        """Send so many frames of that many bytes out of an interface."""
        frame = bytes.fromhex("02000000001102000000001088b5") + bytes(size - 14)
        with self.inside(), socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sock:
            sock.setsockopt(
                SOL_PACKET, PACKET_QDISC_BYPASS, 1
            )  # a queue may not be there yet, and drops in silence
            sock.bind((device, 0))
            for _ in range(frames):
                sock.send(frame)

    def python(self, code):
        """Run code in a process in the namespace, with a /sys that shows it; return what it prints."""
        return run("ip", "netns", "exec", self.name, sys.executable, "-c", code)

    def remove(self):
        subprocess.run(["ip", "netns", "del", self.name], check=False, capture_output=True)


def run(*command, stdin=None):
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
    return done.stdout


@pytest.fixture
def new_namespace():
    """Makes network namespaces, which are gone after the test."""
    if sys.platform != "linux":
        pytest.skip("network namespaces exist on Linux only")
    if os.geteuid() != 0:
        pytest.skip("making network namespaces needs root")
    if shutil.which("ip") is None:
        pytest.skip("making network namespaces needs ip(8), of the package iproute2")
    made = []

    def make():
        made.append(NetworkNamespace())
        return made[-1]

    try:
        yield make
    finally:
        for namespace in made:
            namespace.remove()


@pytest.fixture
def namespace(new_namespace):
    return new_namespace()
