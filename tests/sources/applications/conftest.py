import contextlib
import os
import subprocess
import sys
import textwrap
import time
from collections import Counter
from pathlib import Path

import pytest
from support.patience import until

from netusage.errors import SourceError
from netusage.model import ZERO
from netusage.sources.applications.cgroups import mounted_at
from netusage.sources.applications.counts import FORWARDED, KERNEL, KERNEL_SOCKETS, RESETS, UNNAMED
from netusage.sources.applications.framing import as_counted
from netusage.sources.applications.kernel import KernelApplications, netns_cookie

FRAME = 14  # what Ethernet puts before the network layer's header, and veth counts
SYN = 74  # bytes of a frame with TCP's first packet, options as Linux sends them; its answer has as many
RESET = 54

SERVE = """
    import socket, sys
    address, port, wanted, answer = sys.argv[1], *map(int, sys.argv[2:5])
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listener = socket.create_server((address, port), family=family, dualstack_ipv6=address == "::")
    print("ready", flush=True)
    for _ in range(wanted):
        connection = listener.accept()[0]
        while connection.recv(1 << 16):
            pass
        connection.sendall(bytes(answer))
        connection.close()
"""
CONNECT = """
    import socket, sys
    address, port, times, size = sys.argv[1], *map(int, sys.argv[2:5])
    for _ in range(times):
        connection = socket.create_connection((address, port))
        connection.sendall(bytes(size))
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(1 << 16):
            pass
        connection.close()
"""


@pytest.fixture(scope="session")
def loadable_before_queueing():
    """Skips where the kernel does not take the programs that need no BTF of it."""
    try:
        KernelApplications(before_queueing=True).close()
    except SourceError as error:
        pytest.skip(f"{error}")


@pytest.fixture
def programs(loadable):
    """The programs, attached for the length of the test."""
    with KernelApplications() as found:
        yield found


class Lab:
    """Two network namespaces with a cable between them, and processes in them.

    Addresses are 10.9.0.1 (`left`, interface `cable`) and 10.9.0.2 (`right`, interface `cable`); the neighbours know
    each other, so that nothing is sent but what processes send and what TCP answers.

    named: processes call themselves after their scripts, for programs that know no more than a thread's name.
    """

    def __init__(self, spaces, directory, named=False):
        self._named = named
        self.left, self.right = spaces(), spaces()
        self._directory = directory
        self._processes = []
        # numbers that nothing else has: what overflows is counted by them, in all namespaces together
        self.left.pair("cable", "cable", peer=self.right, index=177, other_index=178)
        for space, own in ((self.left, 1), (self.right, 2)):
            space.ip("addr", "add", f"10.9.0.{own}/24", "dev", "cable")
        for space, own, other in ((self.left, 1, self.right), (self.right, 2, self.left)):
            mac = other.links()["cable"]["address"]
            space.ip(
                "neigh", "replace", f"10.9.0.{3 - own}", "lladdr", mac, "nud", "permanent", "dev", "cable"
            )
        self.begin()
        self.cookies = {space.name: space.inside(netns_cookie) for space in (self.left, self.right)}

    def begin(self):
        """Count from here on."""
        self._before = {space.name: space.counters()["cable"] for space in (self.left, self.right)}

    def script(self, name, code):
        """Write a script."""
        path = self._directory / name
        name = f"open('/proc/self/comm', 'w').write({name!r})\n" if self._named else ""
        path.write_text(name + textwrap.dedent(code))
        return path

    def start(self, space, name, code, *arguments, ready=True, **options):
        """Start a script in a namespace; wait until it says that it is ready."""
        command = space.command(sys.executable, str(self.script(name, code)), *map(str, arguments))
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, **options)
        self._processes.append(process)
        if ready:
            assert process.stdout.readline() == "ready\n"
        return process

    def run(self, space, name, code, *arguments, **options):
        """Run a script in a namespace to its end."""
        process = self.start(space, name, code, *arguments, ready=False, **options)
        self.ended(process)

    @staticmethod
    def ended(process):
        """Wait for the end of a process, which has to be a good one."""
        assert process.wait(60) == 0
        process.stdout.close()

    def close(self):
        for process in self._processes:
            if process.poll() is None:
                process.kill()
            process.wait()
            with contextlib.suppress(OSError):
                process.stdout.close()

    def _readings(self, programs, space):
        """What the interface counted and what the programs did, at one moment: nothing is sent meanwhile."""
        found = []

        def stand_still():
            before = space.counters()["cable"]
            counts = programs.read()
            time.sleep(0.02)
            found[:] = [before, counts]
            return space.counters()["cable"] == before

        until(stand_still, "the counters to stand still")
        return found[0].minus(self._before[space.name]), found[1]

    def account(self, programs, space, twice=0):
        """By owner, what the programs counted at the interface, as the interface counts: received and sent bytes.

        The owner "" is what was received and given to nobody; it is the rest, and never less than nothing. What was
        sent has no rest.

        twice: so many bytes were given to two sockets.
        """
        counted, counts = self._readings(programs, space)
        index = space.links()["cable"]["ifindex"]
        rx, tx = Counter(), Counter()
        for key, count in counts.items():
            if key.netns == self.cookies[space.name] and key.ifindex == index:
                name = name_of(programs, key.owner)
                rx[name] += count.rx_bytes + FRAME * count.rx_packets
                tx[name] += count.tx_bytes + (0 if programs.frames else FRAME * count.tx_packets)
        assert tx.total() == counted.tx_bytes
        rx[""] = counted.rx_bytes - rx.total() + twice
        assert rx[""] >= 0
        return {name: (rx[name], tx[name]) for name in rx.keys() | tx.keys() if rx[name] or tx[name]}


def name_of(programs, number):
    """What a test calls an owner: the script, else the first thread's name."""
    nobody = {KERNEL: "kernel", FORWARDED: "forwarded", UNNAMED: "unnamed"} | {
        RESETS: "resets",
        KERNEL_SOCKETS: "kernel sockets",
    }
    if number in nobody:
        return nobody[number]
    owner = programs.owner(number)
    return os.path.basename(owner.script) or owner.comm


def counted_at(programs, lab, space, name):
    """The counts of an owner at the cable."""
    index = space.links()["cable"]["ifindex"]
    return [
        count
        for key, count in programs.read().items()
        if (key.netns, key.ifindex) == (lab.cookies[space.name], index)
        and name_of(programs, key.owner) == name
    ]


def accounted(programs, space, name, kind):
    """The programs' counts at an interface, as it counts itself."""
    index, cookie = space.links()[name]["ifindex"], space.inside(netns_cookie)
    total = ZERO
    for key, count in programs.read().items():
        if (key.netns, key.ifindex) == (cookie, index):
            total = total.plus(as_counted(kind, count, frames=programs.frames))
    return total


def assert_accounted(programs, space, name, kind):
    """Wait until they are the interface's own."""
    until(
        lambda: accounted(programs, space, name, kind) == space.counters()[name],
        lambda: f"{accounted(programs, space, name, kind)} to be {space.counters()[name]}",
        seconds=5,
    )


def talk(lab, times=1, size=1_000_000, answer=300_000, address="10.9.0.2", **options):
    """One connection after the other from left to right, each with so many bytes either way."""
    server = lab.start(lab.right, "serve.py", SERVE, options.pop("listen", address), 5000, times, answer)
    lab.run(lab.left, "connect.py", CONNECT, address, 5000, times, size, **options)
    lab.ended(server)


def with_ipv6():
    """Switch IPv6 on, in the namespace that this thread is in."""
    for which in ("all", "default", "cable"):
        Path(f"/proc/sys/net/ipv6/conf/{which}/disable_ipv6").write_text("0")


def enter(cgroup):
    """Put this process into a cgroup."""
    Path(cgroup, "cgroup.procs").write_text(str(os.getpid()))


@pytest.fixture
def lab(spaces, tmp_path, programs):
    """The programs are attached before anything is sent."""
    made = Lab(spaces, tmp_path, named=not programs.frames)
    yield made
    made.close()


@pytest.fixture
def cgroup():
    """Makes cgroups in the unified tree; they are gone at the end."""
    root = mounted_at("/proc/self/mountinfo")
    if not root:
        pytest.skip("the unified cgroup tree is not mounted")
    made = []

    def make(name):
        path = os.path.join(root, f"nutest{os.getpid()}-{name}")
        os.mkdir(path)
        made.append(path)
        return path

    yield make
    for path in made:
        until(lambda path=path: is_removed(path), f"{path} to be empty")


def is_removed(path):
    """Remove a cgroup if nothing is in it any more."""
    try:
        os.rmdir(path)
    except OSError:
        return False
    return True
