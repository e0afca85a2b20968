"""What goes out: JSON, downloads, and refusals that say what, why and what to do, and never more."""

import io
from collections.abc import Mapping
from typing import Any

import msgspec
from starlette.responses import Response

from netusage.errors import LedgerBusyError, NetusageError, NoDataError, UsageError
from netusage.render.context import RenderContext
from netusage.render.documents import Document
from netusage.render.formats import JSON_VERSION, render

encode = msgspec.json.Encoder().encode


class BusyError(NetusageError):
    """More is asked at once, or of one question, than one server does."""

    kind = "busy"


def json_of(report: str, timezone: str, **more: Any) -> bytes:
    """An answer of the API: an envelope in which the report itself stands."""
    return encode({"version": JSON_VERSION, "report": report, "timezone": timezone, **more})


def json_of_document(document: Document) -> bytes:
    """The same of what the command line writes with `--format json`."""
    return encode({"version": JSON_VERSION, **document.envelope, "rows": list(document.rows)})


def csv_of_document(document: Document) -> bytes:
    """What the command line writes with `--format csv`."""
    out = io.StringIO(newline="")
    _, columns, rows = document
    render("csv", columns, rows, envelope={}, context=RenderContext(), stream=out)
    return out.getvalue().encode("utf-8", "backslashreplace")


def refusal(
    status: int, kind: str, message: str, hint: str = "", headers: Mapping[str, str] | None = None
) -> Response:
    """An error, as the command line tells it with `--format json`."""
    body = encode({"error": {"kind": kind, "message": message, "hint": hint}})
    return Response(body, status, headers, media_type="application/json")


def refusal_of(error: NetusageError) -> Response:
    """What an error of this project's is to a browser. Paths of files are told: whoever asks may see the ledger."""
    status = 500
    if isinstance(error, UsageError):
        status = 400
    elif isinstance(error, NoDataError):
        status = 404
    elif isinstance(error, BusyError | LedgerBusyError):
        status = 503
    return refusal(status, error.kind, error.message, error.hint)
