"""Where a command's data goes: standard output, or a file that is either whole or not there."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from netusage.errors import OutputError

TYPE_CHECKING = False

if TYPE_CHECKING:
    from pathlib import Path  # the version and the help are to be quick
    from typing import BinaryIO, TextIO

STANDARD = "-"


def note(text: str) -> None:
    """Tell a person something that is no error: one line on standard error."""
    stream = sys.stderr
    if stream is not None:
        try:
            stream.write(f"netusage: {one_line(text)}\n")
            stream.flush()
        except (OSError, ValueError):  # there is nobody to tell
            _silence(stream)


def _silence(stream: TextIO) -> None:
    """Let what was not written go nowhere; otherwise the interpreter fails over it when it ends."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def one_line(text: str) -> str:
    """The text without line breaks and control characters, so that no name can forge a line or a colour."""
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())


@contextmanager
def open_output(file: Path | None, *, encoding: str = "utf-8") -> Iterator[TextIO]:
    """A stream for a command's data: standard output without a file, else a file written whole or not at all.

    The data goes to a new file beside the old one, which takes its place at the end; when the command fails, the
    old one stays as it was. Line ends are written as given. Devices and pipes are written directly.

    Raises:
        OutputError: the file cannot be written.
    """
    if file is None or str(file) == STANDARD:
        yield sys.stdout
        return
    with (
        _told(file) as target,
        _place_of(target) as place,
        place.open("w", encoding=encoding, newline="") as stream,
    ):
        yield stream


@contextmanager
def open_binary_output(file: Path | None) -> Iterator[BinaryIO]:
    """The same for data that is not text, or whose encoding is not that of the terminal."""
    if file is None or str(file) == STANDARD:
        sys.stdout.flush()
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    with _told(file) as target, _place_of(target) as place, place.open("wb") as stream:
        yield stream


@contextmanager
def new_file(file: Path) -> Iterator[Path]:
    """The name of an empty file that is written by somebody who wants a name; it takes its place at the end.

    Raises:
        OutputError: the file cannot be written, or is a device or a pipe.
    """
    with _told(file) as target:
        if _is_special(target):
            raise OutputError(
                f"cannot write {file}: it is not a plain file", hint="name another file with -o FILE"
            )
        with _replacing(target) as part:
            yield part


@contextmanager
def _told(file: Path) -> Iterator[Path]:
    """The file behind all links; errors of writing it say what to do."""
    from pathlib import Path

    target = Path(os.path.realpath(file))
    try:
        yield target
    except OSError as error:
        elsewhere = error.filename is not None and Path(os.fsdecode(error.filename)).parent != target.parent
        if elsewhere or isinstance(error, BrokenPipeError):
            raise
        raise OutputError(
            f"cannot write {file}: {error.strerror or error}", hint="name another file with -o FILE"
        ) from error


def _is_special(target: Path) -> bool:
    import stat

    return target.exists() and not stat.S_ISREG(target.stat().st_mode)


@contextmanager
def _place_of(target: Path) -> Iterator[Path]:
    """Where to write what is to be in a file."""
    if _is_special(target):
        yield target
        return
    with _replacing(target) as part:
        yield part


@contextmanager
def _replacing(target: Path) -> Iterator[Path]:
    """An empty file beside another, whose place it takes at the end; nothing is left of it when anything fails."""
    import shutil

    part = target.with_name(f".{target.name[:200]}.{os.urandom(4).hex()}.part")
    # O_EXCL and the mode: the umask decides, as for any new file
    os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
    try:
        yield part
        with part.open("rb+") as file:
            os.fsync(file.fileno())
        if target.exists():
            shutil.copymode(target, part)
        part.replace(target)
    except BaseException:
        with suppress(OSError):
            part.unlink()
        raise
