"""netusage as a process of its own: started, watched, stopped and always reaped."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

from support.patience import LONG, until

_ENDINGS = ("Traceback (most recent call last)", "Exception ignored", "internal error", "Warning:")


class Process:
    """`python -m netusage ARGUMENTS`, with its output in files.

    Args:
        arguments: of the command line.
        home: a directory of its own: working directory, configuration and output.
        space: the network namespace to run in, or None for this one.
        environment: more variables.
        terminal: a descriptor to use for standard input, output and error instead of files.
        program: what Python runs, instead of `-m netusage`.
        out: an open file for standard output.
    """

    def __init__(
        self, arguments, home, *, space=None, environment=None, terminal=None, program=None, out=None
    ):
        self.home = Path(home)
        number = len(list(self.home.glob("out.*")))
        self._out, self._err = self.home / f"out.{number}", self.home / f"err.{number}"
        self._notes = tempfile.mkdtemp(prefix="nu-")  # short: a socket's address has 108 bytes
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._listener.bind(f"{self._notes}/s")
        self._listener.setblocking(False)
        self._states = []
        command = [sys.executable, *(program or ("-m", "netusage")), *map(str, arguments)]
        with open(self._out, "wb") as own_out, open(self._err, "wb") as err:
            self.popen = subprocess.Popen(
                space.command(*command) if space else command,
                stdin=subprocess.DEVNULL if terminal is None else terminal,
                stdout=(out or own_out) if terminal is None else terminal,
                stderr=err if terminal is None else terminal,
                cwd=self.home,
                env=self._environment(environment or {}),
            )

    @property
    def pid(self):
        """The process's number."""
        return self.popen.pid

    @property
    def out(self):
        """What it has written to standard output."""
        return self._out.read_text("utf-8", "replace")

    @property
    def err(self):
        """What it has written to standard error."""
        return self._err.read_text("utf-8", "replace")

    def wait_until_recording(self):
        """Wait for its READY=1, which follows the first commit."""
        until(self._is_ready, lambda: f"READY=1; it said {self.err!r}")
        return self

    def wait_for_words(self, words, seconds=LONG):
        """Wait until it says something on standard error."""
        until(lambda: words in self.err or self._ended(words), lambda: f"{words!r} in {self.err!r}", seconds)
        return self

    def wait_for_output(self, words, seconds=LONG):
        """Wait until it says something on standard output."""
        until(lambda: words in self.out or self._ended(words), lambda: f"{words!r} in {self.out!r}", seconds)
        return self

    def send(self, number):
        """Send it a signal."""
        self.popen.send_signal(number)

    def wait(self, seconds=LONG):
        """Its exit code, negative when a signal ended it; it has to end by itself in time."""
        try:
            code = self.popen.wait(seconds)
        except subprocess.TimeoutExpired:
            self.reap()
            raise AssertionError(f"it did not end within {seconds} s; it said {self.err!r}") from None
        self._forget()
        for ending in _ENDINGS:
            assert ending not in self.err, self.err
        return code

    def stop(self, number=signal.SIGTERM, seconds=LONG):
        """Send it a signal and wait for its exit code."""
        self.send(number)
        return self.wait(seconds)

    def kill(self):
        """End it at once, as `kill -9` does."""
        self.popen.kill()
        self.popen.wait()
        self._forget()

    def reap(self):
        """End and reap it if it still runs; harmless twice."""
        if self.popen.poll() is None:
            self.popen.kill()
            self.popen.wait()
        self._forget()

    def _is_ready(self):
        with contextlib.suppress(BlockingIOError):
            self._states.append(self._listener.recv(4096))
        assert self.popen.poll() is None, f"it ended with {self.popen.returncode}: {self.err}"
        return any(b"READY=1" in state for state in self._states)

    def _ended(self, words):
        ended = self.popen.poll() is not None
        assert not ended or words in self.out + self.err, f"it ended with {self.popen.returncode}: {self.err}"
        return False

    def _forget(self):
        self._listener.close()
        shutil.rmtree(self._notes, ignore_errors=True)

    def _environment(self, more):
        names = ("PATH", "PYTHONPATH", "LANG", "LC_ALL", "SYSTEMROOT")
        kept = {name: os.environ[name] for name in names if name in os.environ}
        home = str(self.home)
        return {
            "PYTHONUTF8": "1",
            **kept,
            "NETUSAGE_RECORDER_APPLICATIONS": "off",  # but where a test is about them
            "NETUSAGE_RECORDER_PINS": "off",  # as above
            "HOME": home,
            "STATE_DIRECTORY": f"{home}/.state",  # root's own default is the system's
            "XDG_CONFIG_HOME": f"{home}/.config",
            "XDG_STATE_HOME": f"{home}/.state",
            "XDG_CACHE_HOME": f"{home}/.cache",
            "NOTIFY_SOCKET": f"{self._notes}/s",
            "PYTHONWARNINGS": "error",
            "TERM": "xterm",
            **more,
        }
