"""Telling systemd how the recorder is doing: the protocol of sd_notify(3), a datagram to $NOTIFY_SOCKET."""

import contextlib
import os
import socket
from collections.abc import Mapping

from netusage.model import US


class Notifier:
    """Sends states such as "READY=1"; does nothing when no service manager listens."""

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        self._address = environ.get("NOTIFY_SOCKET", "")
        watchdog = environ.get("WATCHDOG_USEC", "")
        mine = environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        self.watchdog_us = int(watchdog) if watchdog.isdigit() and mine else 0
        self._next_us = 0

    def send(self, *states: str) -> None:
        """Send the states, one datagram; a manager that does not answer is no failure."""
        if not self._address or not hasattr(socket, "AF_UNIX"):
            return
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.sendto("\n".join(states).encode(), address)

    def alive(self, now_us: int) -> None:
        """Feed the watchdog when half of its patience is over. `now_us`: any clock that only goes forward."""
        if self.watchdog_us and now_us >= self._next_us:
            self._next_us = now_us + self.watchdog_us // 2
            self.send("WATCHDOG=1")


def reloading(monotonic_ns: int) -> tuple[str, str]:
    """The states that announce a reload; "READY=1" ends it."""
    return "RELOADING=1", f"MONOTONIC_USEC={monotonic_ns * US // 1_000_000_000}"
