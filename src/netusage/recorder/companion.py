"""A process beside the recorder: started after a reading, started again when it ends, and ended with the recorder.

It is told that the recorder ended by its standard input, a pipe whose other end only the recorder has: the system
closes that however the recorder ends. Nothing is imported for it, and nothing is waited for.
"""

import contextlib
import os
import signal
import sys
from collections.abc import Callable

from netusage.errors import ExitCode
from netusage.model import NS

FIRST_DELAY_NS = NS
LONGEST_DELAY_NS = 60 * NS
_RAN_WELL_NS = 60 * NS


class Companion:
    """Keeps a process running for as long as it is wanted.

    Args:
        argv: the program and its arguments.
        trouble: what it means that it does not run, for messages: "alerts are not watched for".
        say: takes one line for people.

    Attributes:
        wanted: whether it is to run; looked at by the next `look`.
    """

    def __init__(self, argv: tuple[str, ...], trouble: str, say: Callable[[str], None]) -> None:
        self.wanted = False
        self._argv, self._trouble, self._say = argv, trouble, say
        self._process: _Process | None = None
        self._started_ns = self._due_ns = 0
        self._failures = 0

    @property
    def pid(self) -> int:
        """The number of the process, 0 when there is none."""
        return self._process.pid if self._process is not None else 0

    def look(self, now_ns: int) -> None:
        """Start it, start it again, or let it end. `now_ns`: a clock that only goes forward."""
        if self._process is not None:
            code = self._process.code()
            if code is not None:
                self._process.close()
                self._process = None
                if self.wanted:
                    self._has_ended(code, now_ns)
            elif not self.wanted:
                self._process.close()
        elif self.wanted and now_ns >= self._due_ns:
            self._started_ns = now_ns
            try:
                self._process = _Process(self._argv)
            except OSError as error:
                self._say(f"{self._trouble}: cannot start {self._argv[0]}: {error.strerror}")
                self._put_off(now_ns)

    def reload(self) -> None:
        """Have it read its configuration anew; one that gave up is started again."""
        self._due_ns = self._failures = 0
        if self._process is not None:
            self._process.hang_up()

    def close(self) -> None:
        """Let it end; it is not waited for."""
        self.wanted = False
        if self._process is not None:
            self._process.close()

    def _has_ended(self, code: int, now_ns: int) -> None:
        if now_ns - self._started_ns >= _RAN_WELL_NS:
            self._failures = 0
        if code == ExitCode.USAGE:  # it has said what is wrong
            self._due_ns = 1 << 63
            self._say(f"{self._trouble} until the configuration is read anew")
            return
        if code not in (ExitCode.OK, ExitCode.INTERRUPTED, ExitCode.TERMINATED):
            how = f"signal {-code}" if code < 0 else f"exit code {code}"
            self._say(f"{self._trouble} just now: process ended with {how}; starting it again")
        self._put_off(now_ns)

    def _put_off(self, now_ns: int) -> None:
        self._due_ns = now_ns + min(FIRST_DELAY_NS << min(self._failures, 10), LONGEST_DELAY_NS)
        self._failures += 1


if sys.platform == "win32":
    import subprocess

    class _Process:
        """A running process with a pipe for its standard input."""

        def __init__(self, argv: tuple[str, ...]) -> None:
            self._popen = subprocess.Popen(argv, stdin=subprocess.PIPE)  # noqa: S603  # this very program
            self.pid = self._popen.pid

        def code(self) -> int | None:
            """Its exit code when it has ended."""
            return self._popen.poll()

        def hang_up(self) -> None:
            """There is no such signal here."""

        def close(self) -> None:
            """Let it end."""
            if self._popen.stdin is not None:
                self._popen.stdin.close()

else:

    class _Process:
        """A running process with a pipe for its standard input; started by posix_spawn(3), which copies nothing."""

        def __init__(self, argv: tuple[str, ...]) -> None:
            heard, self._held = os.pipe()
            try:
                # systemd waits for the recorder's word only
                variables = {name: value for name, value in os.environ.items() if name not in _OF_SYSTEMD}
                input_of_it = [(os.POSIX_SPAWN_DUP2, heard, 0)]
                self.pid = os.posix_spawn(argv[0], argv, variables, file_actions=input_of_it)
            except BaseException:
                self.close()
                raise
            finally:
                os.close(heard)

        def code(self) -> int | None:
            """Its exit code when it has ended, negative when a signal ended it."""
            try:
                pid, status = os.waitpid(self.pid, os.WNOHANG)
            except ChildProcessError:
                return int(ExitCode.FAILURE)
            return os.waitstatus_to_exitcode(status) if pid else None

        def hang_up(self) -> None:
            """Send it SIGHUP; it was not waited for, so its number is its own."""
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGHUP)

        def close(self) -> None:
            """Let it end; harmless twice."""
            if self._held >= 0:
                os.close(self._held)
                self._held = -1


_OF_SYSTEMD = frozenset({"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"})
