"""Network namespaces of their own for tests, and what the kernel counted in them."""

import contextlib
import ctypes
import fcntl
import functools
import itertools
import json
import os
import random
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Callable

from netusage.model import ZERO, Counters
from support.patience import until

PREFIX = "nutest"
_CLONE_NEWNET = 0x40000000
_numbers = itertools.count(1)
_EXPERIMENTAL = b"\x88\xb5"  # the EtherType for local experiments: nothing answers it


def run(*command, stdin=None):
    """Run a command and return its output; its error text is part of the failure."""
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
    return done.stdout


def loaded_programs():
    """The numbers of all BPF programs that the kernel has."""
    return {one["id"] for one in json.loads(run("bpftool", "-j", "prog", "list"))}


class Namespace:
    """One network namespace, without IPv6, so that nothing in it sends on its own."""

    def __init__(self):
        self.name = f"{PREFIX}{os.getpid()}x{next(_numbers)}"
        self._sockets = []
        run("ip", "netns", "add", self.name)
        try:
            self.inside(_without_ipv6)
            self.ip("link", "set", "lo", "up")
        except BaseException:
            self.remove()
            raise

    def remove(self):
        """Remove it with all that is in it; harmless when it is gone."""
        for sock in self._sockets:
            sock.close()
        subprocess.run(("ip", "netns", "del", self.name), capture_output=True, timeout=60, check=False)

    def ip(self, *arguments):
        """Run one `ip` command in it."""
        return run("ip", "-n", self.name, *arguments)

    def batch(self, lines):
        """Run many `ip` commands in one process: about 20 microseconds apiece."""
        return run("ip", "-n", self.name, "-batch", "-", stdin="".join(f"{line}\n" for line in lines))

    def command(self, *command):
        """The command line that runs a command in it; the process keeps its number."""
        return ["ip", "netns", "exec", self.name, *command]

    def inside(self, function: Callable):
        """Call a function in a thread that lives in the namespace, and return what it returns."""
        outcome = []

        def enter():
            try:
                _enter(self.name)
                outcome.append((function(), None))
            except BaseException as error:  # noqa: BLE001  # handed to the caller
                outcome.append((None, error))

        thread = threading.Thread(target=enter)
        thread.start()
        thread.join()
        value, error = outcome[0]
        if error is not None:
            raise error
        return value

    def socket(self, *kind):
        """A socket of the namespace, closed with it."""
        sock = self.inside(lambda: socket.socket(*kind))
        self._sockets.append(sock)
        return sock

    def send(self, interface, frames, size=1000):
        """Send frames of `size` bytes out of an interface; returns when the kernel has taken all of them."""
        frame = _frame(size)
        for _ in range(frames):
            self.wire.sendto(frame, (interface, 0))

    @functools.cached_property
    def wire(self):
        """A raw socket for frames out of any interface; one for all, since closing one takes the kernel 10 ms."""
        return self.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)

    def pair(self, one, other, *, peer: "Namespace | None" = None, index=None, other_index=None):
        """A veth pair, up; `peer` is the namespace of the other end."""
        words = [
            "link",
            "add",
            one,
            *(["index", str(index)] if index else []),
            "type",
            "veth",
            "peer",
            "name",
            other,
        ]
        words += ["index", str(other_index)] if other_index else []
        words += ["netns", peer.name] if peer else []
        self.batch([" ".join(words), f"link set {one} up", *([] if peer else [f"link set {other} up"])])
        if peer:
            peer.ip("link", "set", other, "up")
        self.wait_until_up(one)
        (peer or self).wait_until_up(other)

    def up(self, *names):
        """Set interfaces up and wait until they can send."""
        self.batch(f"link set {name} up" for name in names)
        self.wait_until_up(*names)

    def wait_until_up(self, *names):
        """Wait until interfaces can send: what is sent before is dropped without being counted.

        The kernel exchanges the queue that drops everything ("noop") in its own time, up to a second after the link
        was set up. A kind that knows no carrier never says more of itself than "UNKNOWN".
        """

        def are_up():
            links = {link["ifname"]: link for link in json.loads(self.ip("-j", "link"))}
            found = [links[name] for name in names]
            return all(link["operstate"] in {"UP", "UNKNOWN"} and link["qdisc"] != "noop" for link in found)

        until(are_up, f"{names} to come up", every=0.001)

    def counters(self) -> dict[str, Counters]:
        """What the kernel has counted for every interface since it was made."""
        return {link["ifname"]: _stats64(link) for link in json.loads(self.ip("-j", "-s", "-s", "link"))}

    def links(self):
        """All that `ip -d link` says, by name."""
        return {link["ifname"]: link for link in json.loads(self.ip("-d", "-j", "link"))}


class Traffic:
    """Frames of random sizes out of interfaces, from a thread, until it is stopped.

    A frame that the kernel does not take (the interface is down or gone) is not an error. Use as a context manager.
    Interfaces that are to be renamed meanwhile are followed when `bound` is true.
    """

    def __init__(self, space, *interfaces, pause=0.002, burst=3, seed=1, bound=False):
        self._senders = [_sender(space, interface, bound=bound) for interface in interfaces]
        self._pause, self._burst = pause, burst
        self._random = random.Random(seed)
        self._begun, self._ended = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def wait(self):
        """Until the kernel has taken frames of every interface."""
        assert self._begun.wait(30)

    def stop(self):
        """Send nothing more; when this returns, the kernel's counters stand still."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self):
        end = time.monotonic() + 120
        taken = set()
        while not self._ended.wait(self._pause) and time.monotonic() < end:
            for send in self._senders:
                for _ in range(self._random.randint(1, self._burst)):
                    with contextlib.suppress(OSError):
                        send(_frame(self._random.randint(60, 1500)))
                        taken.add(send)
            if len(taken) == len(self._senders):
                self._begun.set()


class Tap:
    """A tun or tap interface made by this process; it goes away when it is closed."""

    def __init__(self, space, name, *, tap):
        self._file = space.inside(lambda: os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK))
        flags = (0x0002 if tap else 0x0001) | 0x1000  # IFF_TAP or IFF_TUN, IFF_NO_PI
        try:
            fcntl.ioctl(self._file, 0x400454CA, struct.pack("16sH22x", name.encode(), flags))  # TUNSETIFF
            space.up(name)
        except BaseException:
            self.close()
            raise

    def deliver(self, packet):
        """Let the interface receive a packet."""
        os.write(self._file, packet)

    def take(self, packets):
        """Take packets that the interface sent; the kernel counts them when they are taken."""
        for _ in range(packets):
            os.read(self._file, 4096)

    def close(self):
        """Take the interface away."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def difference(before: dict[str, Counters], after: dict[str, Counters]) -> dict[str, Counters]:
    """What was counted between two looks, by name; an interface that was not there before began at zero."""
    return {name: counters.minus(before.get(name, ZERO)) for name, counters in after.items()}


def added(*parts: dict[str, Counters]) -> dict[str, Counters]:
    """The sum of several accounts, by name; interfaces that counted nothing are left out."""
    total: dict[str, Counters] = {}
    for part in parts:
        for name, counters in part.items():
            total[name] = total.get(name, ZERO).plus(counters)
    return {name: counters for name, counters in total.items() if not counters.is_zero}


def remove_leftovers():
    """Remove the namespaces of test runs that were killed."""
    for line in run("ip", "netns", "list").splitlines():
        name = line.split()[0] if line.split() else ""
        pid = name.removeprefix(PREFIX).partition("x")[0]
        if name.startswith(PREFIX) and pid.isdigit() and not os.path.exists(f"/proc/{pid}"):
            subprocess.run(("ip", "netns", "del", name), capture_output=True, timeout=60, check=False)


def _enter(name):
    descriptor = os.open(f"/run/netns/{name}", os.O_RDONLY | os.O_CLOEXEC)
    try:
        if ctypes.CDLL(None, use_errno=True).setns(descriptor, _CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")
    finally:
        os.close(descriptor)


def _without_ipv6():
    for which in ("all", "default"):
        with (
            contextlib.suppress(FileNotFoundError),
            open(f"/proc/sys/net/ipv6/conf/{which}/disable_ipv6", "w") as file,
        ):
            file.write("1")


def _sender(space, interface, *, bound):
    if not bound:
        return lambda frame: space.wire.sendto(frame, (interface, 0))
    wire = space.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    wire.bind((interface, 0))
    return wire.send


def _frame(size):
    return b"\xff" * 6 + b"\x02\0\0\0\0\x01" + _EXPERIMENTAL + b"x" * (size - 14)


def _stats64(link):
    stats = link["stats64"]
    return Counters(
        stats["rx"]["bytes"], stats["tx"]["bytes"], stats["rx"]["packets"], stats["tx"]["packets"]
    )
