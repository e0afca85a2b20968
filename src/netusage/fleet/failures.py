"""What went wrong with a fleet's store, in one line: what, why, and what to do."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from netusage.errors import FleetError

if TYPE_CHECKING:
    import ssl

    import httpx

    from netusage.fleet.store import Address

_CODE = re.compile(r"Code: (\d+)[.,]\s*")
_ENDS = re.compile(r"(, e\.what\(\) = |\(version \d|Stack trace:|: While executing ).*", re.DOTALL)
_NOISE = re.compile(r"e\.(displayText|code)\(\) = (\d+, )?|DB::(Net|Errno)?Exception: |Log: ")
_NO_ROOM = re.compile(r"errno: 28\b|No space left on device")
_NOT_WRITTEN = re.compile(r"Cannot write (to )?file")  # has several codes
_FROM_SHARD = re.compile(r"Received from (\S+?)[.,]?\s|There is no table \S+ on server: ([^\s,]+)")
_NONE_THERE = (60, 81)
_SHOWN = 200  # characters of what the server says


class _Said(NamedTuple):
    """What a code of ClickHouse means for a person."""

    what: str
    hint: str


_WRONG_PASSWORD = _Said(
    "the fleet's store {url} does not let {user!r} in",
    "check fleet.user, and the password in the file that fleet.password_file names (or the token, of fleet.token_file)",
)
_NO_TABLES = _Said(
    "{url} has no tables of netusage in the database {database!r}", "run: netusage fleet init {url}"
)
_SHARD_DOWN = _Said(
    "a shard of the fleet's store cannot be reached, and a part of a total is no total",
    "start that server again; nothing is lost meanwhile",
)
_READ_ONLY = _Said("{user!r} may only read from {url}", "grant it what docs/fleet.md says, or set fleet.user")
_FULL = _Said(
    "the disk of the fleet's store is full", "make room there; nothing is lost, it is delivered later"
)
_CANNOT_WRITE = _Said(
    "the fleet's store {url} cannot write to its disk",
    "is there room, and may it write there? nothing is lost, it is delivered later",
)
_BUSY = _Said("the fleet's store {url} has too much to do", "it is tried again later; nothing is lost")
# https://github.com/ClickHouse/ClickHouse/blob/master/src/Common/ErrorCodes.cpp
_CODES = {
    **dict.fromkeys((192, 193, 194, 195, 516), _WRONG_PASSWORD),
    **dict.fromkeys(_NONE_THERE, _NO_TABLES),
    **dict.fromkeys((32, 198, 203, 209, 210, 279, 519), _SHARD_DOWN),
    **dict.fromkeys((164, 497), _READ_ONLY),
    291: _Said(
        "{user!r} has no access to the database {database!r} of {url}", "grant it what docs/fleet.md says"
    ),
    243: _FULL,
    **dict.fromkeys((159, 202, 252), _BUSY),
    241: _Said(
        "the fleet's store {url} has not the memory that this needs",
        "see max_memory_usage in its configuration",
    ),
    170: _Said(
        "{url} knows no such cluster", "see system.clusters there, and remote_servers in its configuration"
    ),
    16: _Said("the tables of {url} are of another version of netusage", "run: netusage fleet init {url}"),
    47: _Said("the tables of {url} are of another version of netusage", "run: netusage fleet init {url}"),
}


_NOT_LET_IN = (401, 403)  # a server that is none of ClickHouse, as a proxy before it


def of_answer(status: int, text: str, address: Address) -> FleetError:
    """What an answer that is no success means."""
    found = _CODE.search(text)
    if found is None and status in _NOT_LET_IN:
        return FleetError(
            f"what stands at {address.url} does not let this host in: HTTP {status}",
            hint="check fleet.user with fleet.password_file, or fleet.token_file",
        )
    if found is None:
        return FleetError(
            f"{address.url} answered with HTTP {status}: {_shortened(text) or 'nothing'}",
            hint="is fleet.url the HTTP port of a ClickHouse server?",
        )
    code = int(found[1])
    why = _shortened(_NOISE.sub("", _ENDS.sub("", text[found.end() :])))
    shard = _FROM_SHARD.search(text)
    if shard and (code in _NONE_THERE or shard[0].startswith("There")):
        return FleetError(
            f"the shard {shard[1] or shard[2]} has no tables of netusage in the database {address.database!r}",
            hint="run netusage fleet init with the URLs of all servers of the cluster",
        )
    said = _meant(code, text)
    if said is None:
        return FleetError(f"the fleet's store {address.url} refused: {why} (code {code})")
    values = {"url": address.url, "user": address.user, "database": address.database}
    return FleetError(f"{said.what.format(**values)} (code {code}: {why})", hint=said.hint.format(**values))


def _meant(code: int, text: str) -> _Said | None:
    if _NO_ROOM.search(text):
        return _FULL
    return _CODES.get(code) or (_CANNOT_WRITE if _NOT_WRITTEN.search(text) else None)


def of_connection(error: httpx.HTTPError, address: Address) -> FleetError:
    """What a failed connection means."""
    import httpx  # noqa: PLC0415  # whoever is here has imported it

    url = address.url
    refused = _tls_error(error)
    if refused is not None:
        return _of_tls(refused, address)
    if isinstance(error, httpx.TimeoutException):
        return FleetError(
            f"the fleet's store {url} did not answer within {address.timeout_s:g} s",
            hint="look at that server; fleet.timeout says how long to wait",
        )
    if isinstance(error, httpx.ConnectError):
        why = _reason(error)
        return FleetError(
            f"cannot reach the fleet's store {url}: {why}", hint="is it running, and is fleet.url right?"
        )
    if url.startswith("https:") and not address.certificate:
        return FleetError(
            f"the fleet's store {url} broke off the connection",
            hint="it may want a certificate of this host: fleet.certificate",
        )
    return FleetError(
        f"the connection to the fleet's store {url} broke off: {_reason(error)}",
        hint="what was not answered is sent again; nothing is lost",
    )


def _of_tls(error: ssl.SSLError, address: Address) -> FleetError:
    url, reason = address.url, error.reason or ""
    if reason == "CERTIFICATE_VERIFY_FAILED":
        why = getattr(error, "verify_message", "") or "it is unknown"
        return FleetError(
            f"the certificate of the fleet's store {url} is not to be trusted: {why}",
            hint="fleet.ca names the file with the authority that it is from",
        )
    if reason in ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST"):
        return FleetError(f"{url} does not speak TLS", hint="write http:// or name the port of HTTPS")
    if "ALERT" in reason and not address.certificate:
        return FleetError(
            f"the fleet's store {url} wants a certificate of this host",
            hint="name its files with fleet.certificate and fleet.key",
        )
    if "ALERT" in reason:
        return FleetError(
            f"the fleet's store {url} does not accept the certificate {address.certificate}",
            hint="it has to be from an authority that the server trusts, and in its time",
        )
    return FleetError(f"no TLS with the fleet's store {url}: {reason.lower().replace('_', ' ') or error}")


def _tls_error(error: BaseException) -> ssl.SSLError | None:
    import ssl  # noqa: PLC0415  # only when something is wrong

    for one in _chain(error):
        if isinstance(one, ssl.SSLError) and not isinstance(one, ssl.SSLEOFError):
            return one
    return None


def _reason(error: BaseException) -> str:
    """The system's own words where there are any."""
    for one in _chain(error):
        if isinstance(one, OSError) and one.strerror:
            return one.strerror
    return _shortened(str(error)) or type(error).__name__


def _chain(error: BaseException) -> list[BaseException]:
    found: list[BaseException] = []
    one: BaseException | None = error
    while one is not None and one not in found:
        found.append(one)
        one = one.__cause__ or one.__context__
    return found


def _shortened(text: str) -> str:
    line = " ".join(text.split()).rstrip(" .")
    return line if len(line) <= _SHOWN else f"{line[:_SHOWN]}…"
