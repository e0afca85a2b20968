"""Runs the server until it is told to stop."""

import asyncio
import contextlib
import os
import secrets
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from typing import Any

import uvicorn

from netusage.errors import ConfigError, ExitCode, NetusageError, OutputError
from netusage.settings.schema import Settings
from netusage.web.app import make_app
from netusage.web.guard import LOGIN, is_loopback
from netusage.web.hosts import Source

SHORTEST_TOKEN = 16
_BACKLOG = 512
_LARGEST_HEAD = 16_384  # bytes of a request without its body
_TURN_S = 0.001  # a thread that adds up lets those go first who are answered at once


class ServeError(NetusageError):
    """The address cannot be listened on."""

    kind = "serve"


def serve(settings: Settings, source: str | Source, say: Callable[[str], None]) -> ExitCode:
    """Serve the page until SIGINT or SIGTERM.

    Args:
        settings: the configuration; `web` says where, and to whom.
        source: as `make_app`.
        say: takes one line for people.

    Raises:
        ServeError: the address cannot be had.
        ConfigError: the file of the token is not to be used.
    """
    web = settings.web
    token, is_new = _token(web.token_file, needed=not is_loopback(web.host))
    listening = _listen(web.host, web.port)
    with contextlib.closing(listening):
        host, port = listening.getsockname()[:2]
        shown = f"[{host}]" if ":" in host else host
        if host in ("0.0.0.0", "::"):  # noqa: S104  # it is looked for, not bound to
            shown = socket.gethostname()
        address = f"http://{shown}:{port}/"
        lines = [f"the page is at {address} (Ctrl-C stops)"]
        if is_new:
            lines.append(f"log in once with this link, it is shown only now: {address[:-1]}{LOGIN}#{token}")
        elif token:
            lines.append(f"readers need the token in {web.token_file}")

        def ready() -> None:
            for line in lines:
                say(line)

        return _Server(make_app(settings, source, token=token)).run_on(listening, ready)


def _listen(host: str, port: int) -> socket.socket:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, *_, address = found[0]
        listening = socket.create_server(address[:2], family=family, backlog=_BACKLOG)
    except (OSError, OverflowError) as error:
        known = isinstance(error, OSError) and not isinstance(error, socket.gaierror) and error.errno
        why = os.strerror(known) if known else getattr(error, "strerror", None) or str(error)
        hint = "choose another with --host and --port"
        raise ServeError(f"cannot listen on {host} port {port}: {why}", hint=hint) from error
    # asyncio does so only for sockets that name their protocol; without it each answer waits for 40 ms
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listening


def _token(path: str, *, needed: bool) -> tuple[str, bool]:
    """The token in force, "" for none; and whether it was made just now.

    Raises:
        ConfigError: the file cannot be used.
        OutputError: it cannot be made.
    """
    if not path:
        return (secrets.token_urlsafe(32), True) if needed else ("", False)
    try:
        with open(path, encoding="utf-8") as file:
            mode = os.fstat(file.fileno()).st_mode
            token = file.read(4096).strip()
    except FileNotFoundError:
        return _make_token(path), True
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is no text"
        raise ConfigError(f"cannot read the token in {path}: {why}", hint="name another file") from error
    if len(token) < SHORTEST_TOKEN or not token.isprintable():
        hint = f"write {SHORTEST_TOKEN} characters or more into one line, or remove the file to have one made"
        raise ConfigError(f"the token in {path} is too short or is no text", hint=hint)
    if os.name == "posix" and mode & 0o077:
        raise ConfigError(f"others may read the token in {path}", hint=f"chmod 600 {path}")
    return token, False


def _make_token(path: str) -> str:
    token = secrets.token_urlsafe(32)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write(f"{token}\n")
    except OSError as error:
        raise OutputError(f"cannot make the token in {path}: {error.strerror}") from error
    return token


class _Server(uvicorn.Server):
    """uvicorn on a socket that is there already, with this project's exit codes."""

    def __init__(self, app: Any) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                loop="asyncio",
                http="h11",
                ws="none",
                lifespan="on",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_keep_alive=30,
                timeout_graceful_shutdown=1,
                h11_max_incomplete_event_size=_LARGEST_HEAD,
            )
        )
        self._now = app.app.state.now
        self._code = ExitCode.OK

    def run_on(self, listening: socket.socket, ready: Callable[[], object]) -> ExitCode:
        """Serve until a signal comes; `ready` is called when one is heard."""
        sys.setswitchinterval(_TURN_S)
        asyncio.run(self._serve_on(listening, ready))
        return self._code

    async def _serve_on(self, listening: socket.socket, ready: Callable[[], object]) -> None:
        with self._signals():
            ready()
            await self.serve(sockets=[listening])

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        codes = {signal.SIGINT: ExitCode.INTERRUPTED, signal.SIGTERM: ExitCode.TERMINATED}

        def stop(number: int, _frame: object = None) -> None:
            self._code = codes[signal.Signals(number)]
            self.should_exit = True
            if self._now is not None:
                loop.call_soon_threadsafe(self._now.let_go)

        earlier = {number: signal.signal(number, stop) for number in codes}
        try:
            yield
        finally:
            for number, handler in earlier.items():
                signal.signal(number, handler)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to `run_on`."""
        yield
