"""The error tree and the exit codes.

Every failure that a person can meet is a `NetusageError`: one line that says what failed, why, and what to do
next. Only `netusage.cli.failures` prints them; everything else raises.

Exit codes: 0 ok, 1 failure, 2 usage, 3 no data or no recorder, 4 threshold exceeded, 130 and 143 on SIGINT
and SIGTERM.
"""

from enum import IntEnum


class ExitCode(IntEnum):
    """What the process tells its caller."""

    OK = 0
    FAILURE = 1
    USAGE = 2
    NO_DATA = 3
    THRESHOLD = 4
    INTERRUPTED = 130
    TERMINATED = 143


class NetusageError(Exception):
    """A failure with a cause and, where there is one, the next thing to do.

    Attributes:
        message: what failed and why, without a final full stop.
        hint: what to do about it; empty when there is nothing to do.
    """

    exit_code: ExitCode = ExitCode.FAILURE
    kind = "failure"

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}; {self.hint}" if self.hint else self.message


class UsageError(NetusageError):
    """The command line or an argument is wrong."""

    exit_code = ExitCode.USAGE
    kind = "usage"


class ConfigError(NetusageError):
    """The configuration file is wrong: says file, line and key."""

    exit_code = ExitCode.USAGE
    kind = "config"


class NoDataError(NetusageError):
    """What was asked for is not there: no ledger, no recorder, nothing recorded."""

    exit_code = ExitCode.NO_DATA
    kind = "no-data"


class SourceError(NetusageError):
    """A source of numbers could not be opened or read."""

    kind = "source"


class LedgerError(NetusageError):
    """The ledger could not be opened, read or written."""

    kind = "ledger"


class LedgerHeldError(LedgerError):
    """Another recorder holds the ledger."""

    kind = "ledger-held"


class LedgerBusyError(LedgerError):
    """The ledger is locked, or its file system is full or read-only for now: try again, nothing is lost."""

    kind = "ledger-busy"


class LedgerCorruptError(LedgerError):
    """The file is not a sound ledger."""

    kind = "ledger-corrupt"


class LedgerNewerError(LedgerError):
    """The ledger was written by a newer version of netusage, or is another program's database."""

    kind = "ledger-newer"


class OutputError(NetusageError):
    """A file or directory that was asked for could not be written."""

    kind = "output"


class FleetError(NetusageError):
    """The fleet's store could not be reached, refused what was asked, or holds something else than it should."""

    kind = "fleet"


class InputError(NetusageError):
    """A file that was to be read is not what it should be: says the place in it."""

    kind = "input"
