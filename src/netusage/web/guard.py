"""Who may ask, and what a browser may do with the answer.

Asked under a name that is not this machine's (DNS rebinding), from a page of another origin, without the token, or by
a method that could change something: refused before anything is looked at. Every answer forbids what the page does
not need; the names of policies are those of the W3C and of RFC 9110.
"""

import hashlib
import hmac
import ipaddress
import socket
import time
from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs, quote, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from netusage.web.answers import refusal

COOKIE = "netusage"
LOGIN = "/login"
METRICS = "/metrics"
_OPEN_TO_ALL = (LOGIN, *(f"/static/{name}" for name in ("login.js", "theme.js", "style.css", "icon.svg")))
_YEAR_S = 366 * 86_400
_MOST_WRONG, _WRONG_WITHIN_S = 5, 60.0
_MOST_REMEMBERED = 1000  # addresses
_LONGEST_LOGIN = 4096  # bytes
_HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach what listens on an address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Guard:
    """Lets through what may ask.

    Args:
        app: whoever answers.
        token: what readers have to know; "" lets everybody ask.
        names: globs of names under which this machine is asked, beside its own.
        now: a clock of seconds that never goes back.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        token: str = "",
        names: Sequence[str] = (),
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._app = app
        self._token = token
        # a browser keeps what follows from the token, not the token
        self._cookie = hmac.new(token.encode(), b"netusage cookie", hashlib.sha256).hexdigest()
        own = socket.gethostname().lower()
        self._names = ("localhost", "*.localhost", own, f"{own}.local", *(name.lower() for name in names))
        self._wrong = _Wrong(now)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def sealed(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers[name] = value
                if "cache-control" not in headers:
                    headers["cache-control"] = "no-store"
            await send(message)

        answer = await self._refuse(scope, receive)
        await (answer or self._app)(scope, receive, sealed)

    async def _refuse(self, scope: Scope, receive: Receive) -> Response | None:
        """An answer instead of the app's; None lets the request through."""
        headers = Headers(scope=scope)
        host, path = headers.get("host", ""), scope["path"]
        if not self._is_own(host):
            hint = "ask for it by address, or name it: netusage web --allow-host NAME"
            return refusal(403, "host", f"this is not {host[:100] or 'any name'!r}", hint)
        if _is_foreign(headers, host):
            return refusal(403, "origin", "a page of another site asked")
        if path == LOGIN and scope["method"] == "POST":
            return await self._log_in(Request(scope, receive))
        if scope["method"] not in ("GET", "HEAD"):
            return refusal(405, "method", "nothing can be changed here", headers={"allow": "GET, HEAD"})
        if not self._token or path in _OPEN_TO_ALL:
            return None
        return self._ask_for_token(headers, _address(scope), path, scope)

    def _is_own(self, host: str) -> bool:
        """Whether the Host header names this machine; an address names nobody else, whoever wrote it."""
        try:
            name = (urlsplit(f"//{host}").hostname or "").lower()
        except ValueError:
            return False
        try:
            ipaddress.ip_address(name.partition("%")[0])
        except ValueError:
            return any(fnmatchcase(name, known) for known in self._names)
        return True

    # The token ---------------------------------------------------------------------------------------------------

    def _ask_for_token(self, headers: Headers, address: str, path: str, scope: Scope) -> Response | None:
        if hmac.compare_digest(_cookie(headers).encode(), self._cookie.encode()):
            return None
        kind, _, given = headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer":
            return self._judge(given.strip(), address)
        if path.startswith("/api/") or path == METRICS:
            hint = f"log in at {LOGIN}, or send it: Authorization: Bearer TOKEN"
            return refusal(401, "token", "a token is needed", hint, {"www-authenticate": "Bearer"})
        query = scope.get("query_string", b"").decode("latin-1")
        return RedirectResponse(f"{LOGIN}?next={quote(f'{path}?{query}' if query else path)}", 303)

    def _judge(self, given: str, address: str) -> Response | None:
        """None where the token is right; a wrong one is noted, and after some of them none is looked at for a while."""
        wait_s = self._wrong.wait(address)
        if wait_s:
            headers = {"retry-after": str(wait_s)}
            return refusal(429, "token", "too many wrong tokens", f"try again in {wait_s} s", headers)
        if hmac.compare_digest(given.encode(), self._token.encode()):
            self._wrong.forget(address)
            return None
        self._wrong.note(address)
        return refusal(401, "token", "this is not the token", headers={"www-authenticate": "Bearer"})

    async def _log_in(self, request: Request) -> Response:
        body = b""
        async for part in request.stream():
            body += part
            if len(body) > _LONGEST_LOGIN:
                return refusal(413, "usage", "this is no token")
        given = parse_qs(body.decode("utf-8", "replace")).get("token", [""])[0].strip()
        refused = self._judge(given, _address(request.scope)) if self._token else None
        if refused is not None:
            if "text/html" in request.headers.get("accept", ""):
                why = "wait" if refused.status_code == 429 else "wrong"
                return RedirectResponse(f"{LOGIN}?{why}", 303)
            return refused
        wanted = request.query_params.get("next", "/")
        answer = RedirectResponse(wanted if _is_here(wanted) else "/", 303)
        answer.set_cookie(
            COOKIE,
            self._cookie,
            max_age=_YEAR_S,
            httponly=True,
            samesite="strict",
            secure=request.url.scheme == "https",
        )
        return answer


def _is_foreign(headers: Headers, host: str) -> bool:
    """Whether a page of another site asked; one that only leads here is none that asks."""
    origin = headers.get("origin")
    if origin is not None:
        return urlsplit(origin).netloc.lower() != host.lower()
    return headers.get("sec-fetch-site") == "cross-site" and headers.get("sec-fetch-mode") != "navigate"


def _is_here(path: str) -> bool:
    """Whether a place to go on to is one of this server."""
    return path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable()


def _cookie(headers: Headers) -> str:
    try:
        found = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        return ""
    return found.value if found else ""


def _address(scope: Scope) -> str:
    client = scope.get("client")
    return str(client[0]) if client else ""


class _Wrong:
    """Counts wrong tokens by the address that they came from, for a minute; of some addresses at most."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._seen: dict[str, list[float]] = {}

    def wait(self, address: str) -> int:
        """For how many seconds nothing from there is looked at; 0 when it is now."""
        since = self._now() - _WRONG_WITHIN_S
        seen = [at for at in self._seen.get(address, []) if at > since]
        if len(seen) < _MOST_WRONG:
            return 0
        return int(seen[0] - since) + 1

    def note(self, address: str) -> None:
        since = self._now() - _WRONG_WITHIN_S
        seen = [at for at in self._seen.pop(address, []) if at > since]
        self._seen[address] = [*seen, self._now()][-_MOST_WRONG:]
        while len(self._seen) > _MOST_REMEMBERED:
            del self._seen[next(iter(self._seen))]

    def forget(self, address: str) -> None:
        self._seen.pop(address, None)
