"""The client of a fleet's store: ClickHouse over HTTP, every version alike.

What it says is heard out before anything is believed: an answer that breaks off is an error, never a part of an answer,
and no setting is ever sent with which a store answers although a shard is down.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from netusage.errors import ConfigError
from netusage.fleet import wire
from netusage.fleet.failures import of_answer, of_connection
from netusage.fleet.schema import FIRST_WITH_CODECS, Table
from netusage.fleet.wire import Row

if TYPE_CHECKING:
    import ssl
    from types import TracebackType

    from netusage.settings.schema import FleetSettings

_TOKEN = re.compile(r"[A-Za-z0-9._~+/=-]+")  # RFC 6750, section 2.1
MOST_ROWS = 50_000  # of one request: one block, which a shard takes whole or not at all
_MOST_MONTHS = 60  # of one request: servers refuse blocks for more than 100 partitions
_GZIP_LEVEL = 3
_SLOWEST = (
    8000  # bytes a second that a line brings; a server that has not got all of a request yet is not silent
)


class Address(NamedTuple):
    """Where a store is, and as whom it is asked.

    ca: a file of certificates, "" for the system's authorities. certificate, key: files of the one who asks, or "".
    timeout_s: how long it may be silent.
    token: is sent instead of user and password, where there is one.
    """

    url: str
    database: str
    user: str
    password: str
    ca: str
    certificate: str
    key: str
    timeout_s: float
    token: str = ""


def address_of(settings: FleetSettings, url: str = "") -> Address:
    """What the configuration says.

    Args:
        settings: of the section [fleet].
        url: of another server than it says.

    Raises:
        ConfigError: it names no server, or contradicts itself, or the file with the password or token cannot be read.
    """
    if not (url or settings.url):
        raise ConfigError(
            "the configuration names no fleet",
            hint='in [fleet], write url = "https://..."; see docs/fleet.md',
        )
    if settings.key and not settings.certificate:
        raise ConfigError("fleet.key is the key of no certificate", hint="name that with fleet.certificate")
    if (settings.ca or settings.certificate) and not (url or settings.url).startswith("https:"):
        raise ConfigError(
            f"{url or settings.url} is asked without TLS, and certificates are configured",
            hint="write https://, or take fleet.ca and fleet.certificate out",
        )
    if settings.password_file and settings.token_file:
        raise ConfigError(
            "fleet.password_file and fleet.token_file are both given",
            hint="take out the one that is not meant",
        )
    return Address(
        url or settings.url,
        settings.database,
        settings.user,
        _secret(settings.password_file, "password") if settings.password_file else "",
        settings.ca,
        settings.certificate,
        settings.key,
        settings.timeout_us / 1_000_000,
        _secret(settings.token_file, "token") if settings.token_file else "",
    )


def _secret(path: str, what: str) -> str:
    """The password or token in a file.

    Raises:
        ConfigError: it cannot be read, or can be none.
    """
    try:
        with open(path, encoding="utf-8-sig") as file:
            found = file.readline().rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise ConfigError(
            f"{path}: cannot be read: {why}",
            hint=f"it is named by fleet.{what}_file: a {what} on one line",
        ) from error
    if what == "token" and not _TOKEN.fullmatch(found):
        raise ConfigError(f"{path}: its first line is no token", hint="letters, digits and -._~+/= alone")
    return found


class Store:
    """Asks a store; a context manager. httpx is imported with the first of them.

    Every method raises FleetError when the store cannot be reached or refuses.

    Args:
        address: where it is.

    Raises:
        ConfigError: a certificate or key cannot be read.
    """

    def __init__(self, address: Address) -> None:
        import httpx  # noqa: PLC0415  # most people have no fleet

        self.address = address
        self._httpx = httpx
        self._version: tuple[int, ...] = ()
        self._client = httpx.Client(
            base_url=address.url,
            auth=None if address.token else httpx.BasicAuth(address.user, address.password),
            verify=_tls(address) if address.url.startswith("https:") else False,
            timeout=address.timeout_s,
            limits=httpx.Limits(keepalive_expiry=2),  # servers close what was idle for three seconds
            headers={"Accept-Encoding": "gzip"}
            | ({"Authorization": f"Bearer {address.token}"} if address.token else {}),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    @property
    def version(self) -> tuple[int, ...]:
        """The server's version, as in (18, 16, 1)."""
        if not self._version:
            ((text,),) = self.query("SELECT version()")
            self._version = tuple(int(part) for part in re.findall(r"\d+", text)[:3])
        return self._version

    @property
    def has_codecs(self) -> bool:
        """Which dialect of the two it speaks."""
        return self.version >= FIRST_WITH_CODECS

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """The rows of a SELECT: whole numbers, tuples of texts, and texts."""
        return list(wire.decode(self._answer(sql)))

    def columns(self, sql: str) -> list[list[Any]]:
        """The same column by column: as many lists as columns, for many rows."""
        return wire.columns(self._answer(sql))

    def _answer(self, sql: str) -> str:
        return self._post(f"{sql}\nFORMAT TabSeparatedWithNamesAndTypes".encode(), {"wait_end_of_query": "1"})

    def table(self, name: str) -> str:
        """The full name of a table, as SQL has it."""
        return f"`{self.address.database}`.`{name}`"

    def execute(self, sql: str) -> None:
        """A statement without rows."""
        self._post(sql.encode(), {})

    def insert(self, table: Table, rows: Iterable[Row]) -> int:
        """Write rows, in order; when this returns, the store has all of them, on the shards that they belong to.

        When it raises, it may have any of them: send all again.

        Args:
            table: whose rows, one value a column.
            rows: any number; a request has `MOST_ROWS` at the most.

        Returns:
            How many they were.

        Raises:
            FleetError: as always; or a number fits into no column, in which case none of its request was sent.
        """
        names = ", ".join(f"`{name}`" for name in table.names)
        sql = f"INSERT INTO {self.table(table.name)} ({names}) FORMAT TabSeparated"
        # Without these a server that knows shards would note the rows, say yes, and bring them there some time; and
        # one with replicas would pass over what it was sent before, although it was deleted since.
        how = {"query": sql, "insert_distributed_sync": "1", "insert_deduplicate": "0"}
        number = 0
        for block in _blocks(table, rows):
            self._post(wire.encode(table, block), how, compressed=True)
            number += len(block)
        return number

    def _post(self, body: bytes, parameters: Mapping[str, str], *, compressed: bool = False) -> str:
        headers = {"Content-Type": "application/octet-stream"}
        if compressed:
            import gzip  # noqa: PLC0415  # who only asks does without

            body = gzip.compress(body, _GZIP_LEVEL)
            headers["Content-Encoding"] = "gzip"
        patience_s = self.address.timeout_s
        timeout = self._httpx.Timeout(patience_s, read=patience_s + len(body) / _SLOWEST)
        try:
            answer = self._client.post(
                "/", params=dict(parameters), content=body, headers=headers, timeout=timeout
            )
        except self._httpx.HTTPError as error:
            raise of_connection(error, self.address) from error
        if answer.status_code != self._httpx.codes.OK or "X-ClickHouse-Exception-Code" in answer.headers:
            raise of_answer(answer.status_code, answer.text, self.address)
        return answer.content.decode("utf-8", "replace")


def _blocks(table: Table, rows: Iterable[Row]) -> Iterator[list[Row]]:
    """Rows as requests have them: not too many, and not of too many months."""
    found = iter(rows)
    place = table.names.index(table.month) if table.month else -1
    while some := list(islice(found, MOST_ROWS)):
        if place < 0:
            yield some
            continue
        months: set[int] = set()
        start = 0
        for number, row in enumerate(some):
            months.add(row[place] // (28 * 86_400))  # no month is shorter
            if len(months) > _MOST_MONTHS:
                yield some[start:number]
                months, start = {row[place] // (28 * 86_400)}, number
        yield some[start:]


def _tls(address: Address) -> ssl.SSLContext:
    import ssl  # noqa: PLC0415  # not without TLS

    with _readable(address.ca, "fleet.ca"):
        context = ssl.create_default_context(cafile=address.ca or None)
    if address.certificate:
        for path, key in ((address.certificate, "fleet.certificate"), (address.key, "fleet.key")):
            with _readable(path, key):
                if path:
                    os.stat(path)
        with _readable(address.certificate, "fleet.certificate"):
            # asked for a password it would wait at the terminal
            context.load_cert_chain(address.certificate, address.key or None, password=lambda: b"")
    return context


@contextlib.contextmanager
def _readable(path: str, key: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:  # that of TLS is one
        import ssl  # noqa: PLC0415  # as above

        why = "no certificate or key in PEM" if isinstance(error, ssl.SSLError) else error.strerror
        raise ConfigError(f"{path}: cannot be used: {why}", hint=f"it is named by {key}") from error
