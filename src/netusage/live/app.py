"""The terminal itself: keys in, changed lines out; the only module that needs textual."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import tzinfo
from typing import Any, TextIO, cast

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.app import App, ComposeResult
from textual.driver import Driver
from textual.geometry import Region
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from netusage.errors import ExitCode
from netusage.live.board import Board
from netusage.live.feeds import Feeds
from netusage.live.frame import frame
from netusage.live.look import Line, Look
from netusage.live.state import State
from netusage.settings.schema import Settings

# Text has the colour that the terminal has for it. Only bars have another one, of those 256 that no palette changes:
# blue and orange, which stand out from white (3.8 to 1), from black (5.4 to 1) and from what lies between, and from
# each other to those who see no red or green.
RX_COLOUR, TX_COLOUR = 32, 166
_STYLES = {
    "": Style.null(),
    "bold": Style(bold=True),
    "head": Style(underline=True),
    "rx": Style(color=f"color({RX_COLOUR})"),
    "tx": Style(color=f"color({TX_COLOUR})"),
    "picked": Style(reverse=True),
    "warning": Style(bold=True, reverse=True),
}
# Of eight or sixteen colours it is not known what they look like.
_WITHOUT_COLOUR = _STYLES | {"rx": Style.null(), "tx": Style.null()}


@dataclass(frozen=True, slots=True)
class LiveOptions:
    """What to watch.

    settings: the configuration, flags included.
    ledger: the file that a recorder may be recording into; it need not be there.
    zone: whose days and times.
    interfaces: shell patterns of the interfaces to show and to add up; empty for all, and the machine's total.
    """

    settings: Settings
    ledger: str
    zone: tzinfo
    interfaces: tuple[str, ...] = ()


def run(options: LiveOptions) -> ExitCode:
    """Show it until somebody quits, a signal comes, or the terminal is closed.

    Raises:
        SourceError: the counters cannot be read here; its hint says what to do.
    """
    settings = options.settings
    look = Look(
        settings.report.units,
        settings.report.bits,
        options.zone,
        getattr(sys.stdout, "encoding", None) or "ascii",
    )
    board = Board(State(options.interfaces, settings.interfaces.hidden))
    with Feeds(settings, options.ledger, options.zone) as feeds:
        app = LiveApp(board, look, feeds)
        app.run(mouse=False)
    return ExitCode(app.return_code or 0)


class Lines(Widget):
    """Shows a board, and draws only the lines that have changed."""

    DEFAULT_CSS = "Lines { width: 100%; height: 100%; background: ansi_default; color: ansi_default; }"

    def __init__(self, board: Board, look: Look) -> None:
        super().__init__()
        self._board, self._look = board, look
        self._lines: list[Line] = []
        self._strips: list[Strip] = []

    def draw(self) -> None:
        """Bring the screen up to date."""
        size = self.size
        if not size:
            return
        lines = frame(self._board, self._look, size.width, size.height)
        same_size = len(lines) == len(self._lines)
        changed = [y for y, line in enumerate(lines) if not same_size or line != self._lines[y]]
        styles = _STYLES if self.app.console.color_system in ("256", "truecolor") else _WITHOUT_COLOUR
        if not same_size:
            self._strips = [Strip.blank(size.width)] * len(lines)
        for y in changed:
            spans = [Segment(span.text, styles[span.style]) for span in lines[y]]
            self._strips[y] = Strip(spans).adjust_cell_length(size.width)
        self._lines = lines
        if changed:
            self.refresh(*(Region(0, y, size.width, 1) for y in changed))

    def on_resize(self) -> None:
        """Everything is somewhere else now."""
        self._lines = []
        self.draw()

    def render_line(self, y: int) -> Strip:
        """One line, as textual asks for it."""
        return self._strips[y] if y < len(self._strips) else Strip.blank(self.size.width)


class LiveApp(App[None]):
    """The application around one board."""

    CSS = "Screen { background: ansi_default; color: ansi_default; }"
    ENABLE_COMMAND_PALETTE = False

    class Arrived(Message):
        """There is news."""

    def __init__(self, board: Board, look: Look, feeds: Feeds | None = None) -> None:
        super().__init__(driver_class=_driver(), ansi_color=True)
        self.animation_level = "none"
        self._board, self._feeds = board, feeds
        self._lines = Lines(board, look)

    def compose(self) -> ComposeResult:
        """One widget is all there is."""
        yield self._lines

    def on_mount(self) -> None:
        """Listen to signals, and to those that read."""
        loop = asyncio.get_running_loop()
        for name, code in (
            ("SIGINT", ExitCode.INTERRUPTED),
            ("SIGTERM", ExitCode.TERMINATED),
            ("SIGHUP", ExitCode.TERMINATED),
        ):
            with contextlib.suppress(AttributeError, NotImplementedError, RuntimeError):
                loop.add_signal_handler(getattr(signal, name), self.leave, code)
        if self._feeds is not None:
            self._feeds.wake = lambda: self.post_message(self.Arrived())
            self.on_live_app_arrived()

    def on_live_app_arrived(self) -> None:
        """Take what has been read."""
        if self._feeds is not None:
            for news in self._feeds.news():
                self._board.state.take(news)
        self._lines.draw()

    async def on_event(self, event: events.Event) -> None:
        """Keys go to the board; textual's own meanings of them are not wanted here."""
        if isinstance(event, events.Key):
            self._type(event.key, event.character)
        else:
            await super().on_event(event)

    def _type(self, key: str, character: str | None) -> None:
        if key == "ctrl+c":
            self.leave(ExitCode.INTERRUPTED)
        elif key == "ctrl+q" or (character == "q" and not self._board.filtering):
            self.leave(ExitCode.OK)
        elif self._board.press(key, character):
            self._lines.draw()

    def leave(self, code: ExitCode) -> None:
        """End it."""
        self.exit(return_code=code)


class _Output:
    """A stream that goes on when the terminal behind it has gone; textual's thread would end and be waited for."""

    def __init__(self, stream: TextIO, gone: Callable[[], object]) -> None:
        self._stream, self._gone = stream, gone

    def write(self, text: str) -> None:
        try:
            self._stream.write(text)
        except OSError:
            self._gone()

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError:
            self._gone()


def _driver() -> type[Driver] | None:
    """Textual's own, but on the standard output, as everything else that this program has to say.

    It ends the application when the terminal has gone, which a signal need not tell.
    """
    if os.name == "nt":
        return None
    from textual.drivers.linux_driver import LinuxDriver  # there is another one on Windows

    class StandardOutput(LinuxDriver):
        def __init__(
            self,
            app: App[object],
            *,
            debug: bool = False,
            mouse: bool = True,
            size: tuple[int, int] | None = None,
        ) -> None:
            super().__init__(app, debug=debug, mouse=mouse, size=size)
            self._file = cast("Any", _Output(sys.stdout, self._end))

        def run_input_thread(self) -> None:
            try:
                super().run_input_thread()
            except OSError:
                self._end()

        def _end(self) -> None:
            if isinstance(self._app, LiveApp):
                self._loop.call_soon_threadsafe(self._app.leave, ExitCode.TERMINATED)

    return StandardOutput
