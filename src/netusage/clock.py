"""Clocks and the identity of a boot, injected wherever time matters.

Linux: CLOCK_BOOTTIME and CLOCK_MONOTONIC of clock_gettime(2), /proc/sys/kernel/random/boot_id. macOS:
CLOCK_MONOTONIC counts during sleep and CLOCK_UPTIME_RAW does not; kern.bootsessionuuid. Windows: time.monotonic
(QueryPerformanceCounter) counts during sleep; BootId in the registry.
"""

import sys
import time

from netusage.model import NS, Instant

_TOGETHER_NS = 5_000_000
_LINUX_BOOT_ID = "/proc/sys/kernel/random/boot_id"


class Clock:
    """A source of instants."""

    def now(self) -> Instant:
        """The present moment on all three clocks."""
        raise NotImplementedError


class SystemClock(Clock):
    """The clocks of this machine."""

    def __init__(self) -> None:
        self._boot = getattr(time, "CLOCK_BOOTTIME", None)
        self._awake = getattr(time, "CLOCK_UPTIME_RAW", None)
        if self._awake is None and self._boot is not None:
            self._awake = time.CLOCK_MONOTONIC

    def now(self) -> Instant:
        """The present moment; on systems without CLOCK_BOOTTIME, time.monotonic takes its place."""
        boot = self._boottime()
        for _ in range(3):
            wall_us = time.time_ns() // 1000
            awake = time.clock_gettime_ns(self._awake) if self._awake is not None else boot
            again = self._boottime()
            if again - boot < _TOGETHER_NS:
                break
            boot = again  # interrupted between the clocks: that would look like a clock step
        return Instant(boot, awake, wall_us)

    def _boottime(self) -> int:
        return time.monotonic_ns() if self._boot is None else time.clock_gettime_ns(self._boot)


def boot_id() -> str:
    """An identity of the running boot.

    Falls back to the boot time rounded to ten seconds where the system has no identity: a clock step there
    looks like a boot, and `doctor` says so.
    """
    if sys.platform == "linux":
        try:
            with open(_LINUX_BOOT_ID, encoding="utf-8") as file:
                return file.read().strip()
        except OSError:
            pass
    return _platform_boot_id() or f"boottime-{(time.time_ns() - SystemClock().now().boot_ns) // (10 * NS)}"


def _platform_boot_id() -> str:
    if sys.platform == "darwin":
        import ctypes  # noqa: PLC0415  # only here

        libc = ctypes.CDLL(None)
        size = ctypes.c_size_t(64)
        buffer = ctypes.create_string_buffer(64)
        if libc.sysctlbyname(b"kern.bootsessionuuid", buffer, ctypes.byref(size), None, 0) == 0:
            return buffer.value.decode("ascii")
    if sys.platform == "win32":
        import winreg  # noqa: PLC0415  # only here

        path = r"SYSTEM\CurrentControlSet\Control\Session Manager\Memory Management\PrefetchParameters"
        try:
            with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, path) as key:
                return f"bootid-{winreg.QueryValueEx(key, 'BootId')[0]}"
        except OSError:
            pass
    return ""


def machine_id() -> str:
    """An identity of this installation of the system, "" when there is none.

    Linux: machine-id(5). Elsewhere the node name stands in for it.
    """
    for path in ("/etc/machine-id", "/var/lib/dbus/machine-id"):
        try:
            with open(path, encoding="ascii") as file:
                return file.read().strip()
        except (OSError, UnicodeDecodeError):
            continue
    if sys.platform != "linux":
        import platform  # noqa: PLC0415  # heavy, and only here

        return platform.node()
    return ""
