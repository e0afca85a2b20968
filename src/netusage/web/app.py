"""The web application: the page, its files, and the API, behind the guard."""

import contextlib
import hashlib
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from netusage.periods import zone
from netusage.settings.schema import Settings
from netusage.web.answers import refusal
from netusage.web.api import Api
from netusage.web.guard import LOGIN, METRICS, Guard
from netusage.web.hosts import Hosts, Source
from netusage.web.ledger import Answers, Ledger
from netusage.web.metrics import MetricsPage
from netusage.web.now import Now
from netusage.web.openapi import description

STATIC = Path(__file__).parent / "static"
_KINDS = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
VIEWS = ("/", "/applications", "/applications/{name:path}", "/days", "/months", "/interfaces", "/plans")
_OF_HOSTS = ("/hosts",)


def make_app(settings: Settings, source: str | Source, *, token: str = "") -> ASGIApp:
    """Put it together; what it reads is opened when the server starts, and closed when it stops.

    Args:
        settings: the configuration.
        source: the ledger, which need not be there yet; or where several hosts are.
        token: what readers have to know; "" lets everybody read.
    """
    record: Answers
    now = None
    if isinstance(source, str):
        record = ledger = Ledger(source)
        now = Now(settings, ledger, zone(settings.report.tz or None))
    else:
        record = Hosts(source)
    api = Api(settings, record, lambda: int(time.time()), now)

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        if now is not None:
            await now.open()
        record.open()
        try:
            yield
        finally:
            if now is not None:
                await now.close()
            record.close()

    async def describe(_: Request) -> Response:
        return Response(description(api), media_type="application/json")

    views = VIEWS if now is not None else (*VIEWS, *_OF_HOSTS)
    metrics = []
    if now is not None:
        metrics.append(Route(METRICS, MetricsPage(settings, ledger).answer, methods=["GET"]))
    files = {file.relative_to(STATIC).as_posix(): _File(file) for file in STATIC.rglob("*") if file.is_file()}
    routes = [
        *(Route(path, files["index.html"].answer, methods=["GET"]) for path in views),
        Route(LOGIN, files["login.html"].answer, methods=["GET"]),
        Route("/api/v1/openapi.json", describe, methods=["GET"]),
        *api.routes(),
        *metrics,
        *(Route(f"/static/{name}", file.answer, methods=["GET"]) for name, file in files.items()),
    ]
    app = Starlette(
        routes=routes,
        lifespan=lifespan,
        exception_handlers={HTTPException: _on_http_error, Exception: _on_bug},  # type: ignore[dict-item]
    )
    app.state.now = now
    return _Lifespan(app, Guard(app, token=token, names=settings.web.allowed_hosts))


class _Lifespan:
    """Starting and stopping go to the application itself, requests to its guard.

    Attributes:
        app: the application.
    """

    def __init__(self, app: Starlette, guarded: ASGIApp) -> None:
        self.app = app
        self._guarded = guarded

    async def __call__(self, scope, receive, send) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
        await (self.app if scope["type"] == "lifespan" else self._guarded)(scope, receive, send)


class _File:
    """A file of the page, in memory: there are few, and what is not among them is not there.

    A browser asks after it each time, and gets it when it has changed: a page of another version must not meet the
    scripts of this one.
    """

    def __init__(self, path: Path) -> None:
        self._body = path.read_bytes()
        kind = _KINDS.get(path.suffix) or "text/plain; charset=utf-8"
        etag = f'"{hashlib.sha256(self._body).hexdigest()[:32]}"'
        self._headers = {"cache-control": "no-cache", "content-type": kind, "etag": etag}

    async def answer(self, request: Request) -> Response:
        """The file, or that it has not changed."""
        if self._headers["etag"] in request.headers.get("if-none-match", ""):
            return Response(None, 304, self._headers)
        return Response(self._body, 200, self._headers)


async def _on_http_error(_: Request, error: HTTPException) -> Response:
    if error.status_code == 405:
        return refusal(405, "method", "nothing can be changed here", headers={"allow": "GET, HEAD"})
    return refusal(
        error.status_code,
        "not-found",
        "there is nothing here",
        "the API is described at /api/v1/openapi.json",
    )


async def _on_bug(_: Request, error: Exception) -> Response:
    """Say here what it was, and there only that it was."""
    if sys.stderr is not None:
        sys.stderr.write(f"netusage: internal error: {type(error).__name__}: {error}\n")
    return refusal(500, "internal", "internal error", "the server's own output says more")
