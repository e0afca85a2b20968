"""Who brings messages to people: apprise, or a command. Apprise is imported when the first message goes out."""

import contextlib
import importlib
import json
import logging
import os
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextvars import ContextVar
from typing import Any, Protocol

from netusage.alerts.messages import Message
from netusage.alerts.words import Kind, Words
from netusage.errors import ConfigError, NetusageError
from netusage.settings.schema import AlertsSettings
from netusage.settings.secrets import names_of, without_secrets

COMMAND_TIMEOUT_S = 30
_ALONE = threading.Lock()
_CALM = {Kind.FIRST_SEEN, Kind.CHANGED, Kind.TEST}
_LONGEST_TEXT = 30_000  # bytes of a variable: the kernel takes 128 KiB of each
_OTHERS_MAY = stat.S_IRGRP | stat.S_IROTH


class DeliveryError(NetusageError):
    """A message was not delivered; nothing secret is in the message of this."""

    kind = "delivery"


class Transport(Protocol):
    """One place that messages go to.

    name: tells it from all others, without anything secret.
    """

    name: str

    def send(self, message: Message, host: str, words: Words) -> None:
        """Deliver a message; returns when it is.

        Raises:
            NetusageError: it was not delivered.
        """
        ...


def open_transports(settings: AlertsSettings) -> list[Transport]:
    """Everything that the configuration names; nothing is connected to yet.

    Raises:
        ConfigError: the file with URLs cannot be read, or has a line that is none.
    """
    urls = [*settings.to, *(_urls_of(settings.to_file) if settings.to_file else ())]
    found: list[Transport] = [
        AppriseTransport(name, url) for name, url in zip(names_of(urls), urls, strict=True)
    ]
    if settings.command:
        found.append(CommandTransport(settings.command))
    return found


def readable_by_others(path: str) -> bool:
    """Whether a file with secrets can be read by others than its owner."""
    try:
        return os.name == "posix" and bool(os.stat(path).st_mode & _OTHERS_MAY)
    except OSError:
        return False


def _urls_of(path: str) -> Iterable[str]:
    try:
        with open(path, encoding="utf-8-sig") as file:
            lines = [line.strip() for line in file]
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise ConfigError(
            f"{path}: cannot be read: {why}", hint="it is named by alerts.to_file; one URL a line"
        ) from error
    for number, line in enumerate(lines, start=1):
        if line and not line.startswith("#"):
            if "://" not in line[1:]:
                raise ConfigError(
                    f"{path}:{number}: this is no URL of apprise",
                    hint="write one a line, as in mailto://user:password@example.org",
                )
            yield line


# ---- Apprise ----------------------------------------------------------------------------------------------------


class AppriseTransport:
    """One URL of apprise. Nothing that apprise says reaches a person unwashed: it may hold parts of the URL."""

    def __init__(self, name: str, url: str) -> None:
        self.name = name
        self._url = url
        self._service: Any = None

    def send(self, message: Message, host: str, words: Words) -> None:
        """See `Transport`."""
        with _listening() as said:
            with _ALONE, warnings.catch_warnings():  # plugins are imported when they are first asked for
                warnings.simplefilter("ignore")  # what they say of themselves is no concern of ours
                apprise = load()
                if self._service is None:
                    self._service = self._open(apprise, said)
            kind = apprise.NotifyType.INFO if message.kind in _CALM else apprise.NotifyType.WARNING
            fine = self._service.notify(
                title=f"netusage on {host}: {message.subject}",
                body=_body(message, words),
                notify_type=kind,
                body_format=apprise.NotifyFormat.TEXT,
            )
        if not fine:
            raise DeliveryError(self._why(said) or "it was refused, and nobody said why")

    def _open(self, apprise: Any, said: list[str]) -> Any:
        asset = apprise.AppriseAsset(app_id="netusage", app_desc="Network usage", async_mode=False)
        service = apprise.Apprise(asset=asset)
        if not service.add(self._url):
            raise DeliveryError(
                self._why(said) or "apprise does not understand this URL",
                hint="what it takes: https://appriseit.com/services/",
            )
        return service

    def _why(self, said: Sequence[str]) -> str:
        return without_secrets(" ".join(" ".join(said).split()), self._url)[:300]


def load() -> Any:
    """Import apprise.

    Raises:
        NetusageError: it is not installed.
    """
    try:
        return importlib.import_module("apprise")
    except ModuleNotFoundError as error:
        if error.name != "apprise":
            raise
        raise NetusageError(
            "alerts are delivered by the package apprise, which is missing",
            hint="pip install 'netusage[alerts]'",
        ) from error


def _body(message: Message, words: Words) -> str:
    when = words.moment(message.alerts[-1].raised_us)
    return f"{message.text}\n\n{when}"


# what is heard in this context; apprise sends in threads of its own, which get a copy
_HEARD: ContextVar[list[str] | None] = ContextVar("heard", default=None)


class _Ear(logging.Handler):
    """Hears what is logged while a message is sent, and lets nothing through to the terminal."""

    def emit(self, record: logging.LogRecord) -> None:
        """Take one line."""
        said = _HEARD.get()
        if said is not None:
            said.append(record.getMessage())


@contextlib.contextmanager
def _listening() -> Iterator[list[str]]:
    """What apprise says meanwhile, as lines."""
    logger = logging.getLogger("apprise")
    if not any(isinstance(one, _Ear) for one in logger.handlers):
        logger.addHandler(_Ear(logging.WARNING))
        logger.propagate = False
    said: list[str] = []
    token = _HEARD.set(said)
    try:
        yield said
    finally:
        _HEARD.reset(token)


# ---- A command --------------------------------------------------------------------------------------------------


class CommandTransport:
    """A command that is run for each message, never by a shell; what it prints is only told when it fails."""

    def __init__(self, argv: Sequence[str], timeout_s: float = COMMAND_TIMEOUT_S) -> None:
        self.name = f"command {os.path.basename(argv[0])}"
        self._argv = list(argv)
        self._timeout_s = timeout_s

    def send(self, message: Message, host: str, words: Words) -> None:
        """See `Transport`."""
        given = json.dumps(message.as_json(host, words)).encode()
        with tempfile.TemporaryFile() as said:  # a pipe would stay open with what the command leaves running
            try:
                process = subprocess.Popen(  # noqa: S603  # what the configuration names, without a shell
                    self._argv,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.DEVNULL,
                    stderr=said,
                    env=os.environ | _variables(message, words),
                    start_new_session=True,
                )
            except OSError as error:
                raise DeliveryError(f"cannot run {self._argv[0]}: {error.strerror or error}") from error
            try:
                process.communicate(given, self._timeout_s)
            except subprocess.TimeoutExpired:
                raise DeliveryError(f"it did not end within {self._timeout_s:g} s and was killed") from None
            finally:
                _end(process)
            if process.returncode:
                said.seek(max(said.tell() - 1000, 0))
                lines = said.read().decode(errors="replace").strip().splitlines()
                why = f": {lines[-1][:200]}" if lines else ""
                raise DeliveryError(f"it ended with exit code {process.returncode}{why}")


def _variables(message: Message, words: Words) -> dict[str, str]:
    found = {
        "KIND": message.kind,
        "SUBJECT": message.subject,
        "TEXT": message.text.encode(errors="replace")[:_LONGEST_TEXT].decode(errors="ignore"),
        "TIME": words.iso(message.alerts[-1].raised_us),
        "COUNT": str(len(message.alerts)),
    }
    return {f"NETUSAGE_ALERT_{name}": text.replace("\0", "") for name, text in found.items()}


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End a command that did not end in time, with all that it started."""
    if process.poll() is None:
        if sys.platform == "win32":
            process.kill()
        else:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    if process.stdin is not None:
        with contextlib.suppress(OSError):
            process.stdin.close()
