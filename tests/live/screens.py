"""A pseudo-terminal with somebody in front of it: what is shown, read by a terminal emulator, and keys."""

import contextlib
import fcntl
import os
import select
import signal
import struct
import termios

import pyte
from support.patience import LONG, until

KEYS = {"up": "\x1b[A", "down": "\x1b[B", "enter": "\r", "escape": "\x1b", "tab": "\t", "end": "\x1b[F"}


class Terminal:
    """A terminal of a size.

    Attributes:
        slave: what a process may use as its terminal.
        raw: every byte that was written to it.
    """

    def __init__(self, columns=80, lines=24):
        self._master, self.slave = os.openpty()
        self._screen = pyte.Screen(columns, lines)
        self._stream = pyte.ByteStream(self._screen)
        self.raw = b""
        self._set_size(columns, lines)
        self.before = termios.tcgetattr(self.slave)

    def resize(self, columns, lines, process):
        """Become another size, and let the process know as the kernel would."""
        self._set_size(columns, lines)
        self._screen.resize(lines, columns)
        process.send(signal.SIGWINCH)

    def _set_size(self, columns, lines):
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("4H", lines, columns, 0, 0))

    def lines(self):
        """What stands on it now, without spaces at the end of lines."""
        while select.select([self._master], [], [], 0)[0]:
            try:
                found = os.read(self._master, 1 << 16)
            except OSError:
                break
            self.raw += found
            self._stream.feed(found)
        return [line.rstrip() for line in self._screen.display]

    def text(self):
        """The same as one text."""
        return "\n".join(self.lines())

    def colours(self):
        """The colours of what stands on it: (character, of the character, behind it)."""
        self.lines()
        return {(one.data, one.fg, one.bg) for row in self._screen.buffer.values() for one in row.values()}

    def wait_for(self, truth, seconds=LONG):
        """Read until it is true of the text, or the text has it."""
        found = truth if callable(truth) else lambda text: truth in text
        return until(lambda: found(self.text()) and self.text(), self.text, seconds, every=0.02)

    def line(self, words):
        """The first line that has some words; "" where none has."""
        return next((line for line in self.lines() if words in line), "")

    def press(self, *keys):
        """Press keys, by name or as they are."""
        for key in keys:
            os.write(self._master, KEYS.get(key, key).encode())

    def is_restored(self):
        """Whether the terminal is as it was: its modes, its cursor, its first screen."""
        self.lines()
        modes = termios.tcgetattr(self.slave)
        return modes == self.before and all(
            self.raw.rfind(off) > self.raw.rfind(on)
            for on, off in ((b"\x1b[?1049h", b"\x1b[?1049l"), (b"\x1b[?25l", b"\x1b[?25h"))
        )

    def hang_up(self):
        """Go away, as a closed window or a lost ssh does."""
        for descriptor in (self.slave, self._master):
            with contextlib.suppress(OSError):
                os.close(descriptor)
