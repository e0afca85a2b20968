"""The API's own description, OpenAPI 3.1: made from the very table that answers, so that it cannot drift."""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from netusage import __version__
from netusage.reports.applications import DIMENSIONS
from netusage.reports.breakdown import SHOWN, SHOWN_OF_HOSTS
from netusage.reports.forecast import LINEAR, WEEKDAY_HOURS
from netusage.reports.timeline import Width
from netusage.reports.usage import ReportKind
from netusage.web.answers import encode

if TYPE_CHECKING:
    from netusage.web.api import Api, Endpoint
    from netusage.web.questions import Parameter

Schema = Mapping[str, Any]

_TEXT: Schema = {"type": "string"}
_WHOLE: Schema = {"type": "integer"}
_TIME: Schema = {"type": "string", "format": "date-time"}
_SHARE: Schema = {"type": ["number", "null"]}
_WHOLE_OR_NULL: Schema = {"type": ["integer", "null"]}
_TEXTS: Schema = {"type": "array", "items": _TEXT}
_WHOLES: Schema = {"type": "array", "items": _WHOLE}
_BYTES: Schema = {"rx_bytes": _WHOLE, "tx_bytes": _WHOLE}
_COUNTERS: Schema = {**_BYTES, "rx_packets": _WHOLE, "tx_packets": _WHOLE}
_USAGE: Schema = {**_COUNTERS, "estimated_rx_bytes": _WHOLE, "estimated_tx_bytes": _WHOLE}
_RATES: Schema = {"rx_bytes_per_second": _WHOLE, "tx_bytes_per_second": _WHOLE}
_ENVELOPE: Schema = {"version": {"const": 1}, "report": _TEXT, "timezone": _TEXT}


def _object(fields: Schema, required: tuple[str, ...] | None = None) -> dict[str, Any]:
    """An object with these fields, all of which are there unless those that are required are named."""
    return {
        "type": "object",
        "properties": dict(fields),
        "required": list(fields if required is None else required),
    }


def _or_null(schema: Schema) -> dict[str, Any]:
    return {"anyOf": [schema, {"type": "null"}]}


def _list(schema: Schema) -> dict[str, Any]:
    return {"type": "array", "items": schema}


def _table(row: Schema, required: tuple[str, ...] | None = None, **more: Schema) -> dict[str, Any]:
    return _object({**_ENVELOPE, **more, "rows": _list(_object(row, required))})


def _table_of_places(row: Schema, **more: Schema) -> dict[str, Any]:
    """Its rows have a host as well, where the record is one of several hosts."""
    return _table({"host": _TEXT, **row}, tuple(row), **more)


_STRETCH: Schema = {
    "start": _TIME,
    "end": _TIME,
    "tiers": _TEXTS,
    "interface_filter": _TEXTS,
    "ledger": _TEXT,
}
_RECORD: Schema = _object({"start_s": _WHOLE, "end_s": _WHOLE})
_RECORDER: Schema = {
    "running": {"type": "boolean"},
    "pid": {"type": ["integer", "null"]},
    "source": {"type": ["string", "null"]},
    "tier": {"type": ["string", "null"]},
    "started": {"type": ["string", "null"]},
    "last_commit": {"type": ["string", "null"]},
    "ended": {"type": ["string", "null"]},
}
_NOW = _object(
    {
        **_ENVELOPE,
        "at": _TIME,
        "at_s": {"type": "number"},
        "rates": _or_null(_object(_RATES)),
        "trouble": _TEXT,
        "interfaces": _list(
            _object({"interface": _TEXT, "kind": _TEXT, "counted": {"type": "boolean"}, **_RATES})
        ),
        "today": _or_null(_object({"start": _TIME, **_BYTES})),
        "month": _or_null(_object({"start": _TIME, **_BYTES})),
        "recorder": _or_null(
            _object(
                {
                    **_RECORDER,
                    "samples": _WHOLE,
                    "failed_samples": _WHOLE,
                    "late_samples": _WHOLE,
                    "commits": _WHOLE,
                    "failed_commits": _WHOLE,
                }
            )
        ),
        "record": _or_null(_RECORD),
        "change": _WHOLE,
        "ledger": _TEXT,
        "ledger_trouble": _TEXT,
        "hostname": _TEXT,
    }
)
_HEARD: Schema = _or_null(_object({"host": _TEXT, "heard": _TIME}))
_NOW_OF_HOSTS = _object(
    {
        **_ENVELOPE,
        "at": _TIME,
        "at_s": _WHOLE,
        "today": _or_null(_object({"start": _TIME, **_BYTES})),
        "month": _or_null(_object({"start": _TIME, **_BYTES})),
        "record": _or_null(_RECORD),
        "hosts": {"enum": ["fleet", "merged"]},
        "name": _TEXT,
        "trouble": _TEXT,
        "hint": _TEXT,
        "count": _WHOLE_OR_NULL,
        "last": _HEARD,
        "first": _HEARD,
        "behind": _WHOLE_OR_NULL,
    }
)
_GAP: Schema = {
    "start_s": _WHOLE,
    "end_s": _WHOLE,
    "kind": _TEXT,
    "lossy": {"type": "boolean"},
    "interface": _TEXT,
    "note": _TEXT,
}
_TIMELINE: Schema = {
    **_ENVELOPE,
    "start_s": _WHOLE,
    "end_s": _WHOLE,
    "width": _object({"kind": {"enum": list(Width)}, "name": _TEXT}),
    "edges": _WHOLES,
    "rx_bytes": _WHOLES,
    "tx_bytes": _WHOLES,
    "estimated_bytes": _WHOLES,
    "seconds": _WHOLES,
    "applications": {"type": "boolean"},
    "has_days": {"type": "boolean"},
    "stretches": _list(_WHOLES),
    "gaps": _list(_object({**_GAP, "host": _TEXT}, tuple(_GAP))),
    "more_gaps": _WHOLE,
    "clock_changes": _list(_object({"at_s": _WHOLE, "from_offset_s": _WHOLE, "to_offset_s": _WHOLE})),
    "record": _RECORD,
}
_UNTOLD = _object(
    {
        "count": _WHOLE,
        "known_until_s": _WHOLE_OR_NULL,
        "behind": _WHOLE,
        "behind_until_s": _WHOLE_OR_NULL,
        "names": _TEXTS,
    }
)
_PART = _object({"value": _TEXT, **_BYTES, "both": _WHOLE, "share": _SHARE})
_OTHERS = _object({"count": _WHOLE, "both": _WHOLE, "share": _SHARE})


def _breakdown(shown: tuple[str, ...]) -> Schema:
    return _object(
        {
            **_ENVELOPE,
            **_STRETCH,
            "start_s": _WHOLE,
            "end_s": _WHOLE,
            "total": _object(_BYTES),
            "by": _object(dict.fromkeys(shown, _list(_PART))),
            "others": _object(dict.fromkeys(shown, _OTHERS)),
        }
    )


_PLAN_BYTES = (
    *("cap_bytes", "rolled_over_bytes", "limit_bytes", "used_bytes", "left_bytes", "pace_bytes"),
    *("counted_bytes", "free_bytes", "lan_bytes", "zero_rated_bytes", "already_used_bytes"),
    *("estimated_bytes", "unknown_bytes"),
)
_WORDS: Schema = {name: {"type": ["string", "null"]} for name in DIMENSIONS}
_KNOWN: Schema = {
    "application": _TEXT,
    "kind": _TEXT,
    "first_seen": _TIME,
    "last_seen": _TIME,
    **_BYTES,
    "both": _WHOLE,
    "paths": _TEXTS,
    "users": _TEXTS,
    "units": _TEXTS,
    "containers": _TEXTS,
    "versions": _WHOLE,
}
_ANSWERS: dict[str, Schema] = {
    "/now": _NOW,
    "/recent": _object({**_ENVELOPE, "at_s": _WHOLES, **dict.fromkeys(_RATES, _WHOLES)}),
    "/timeline": _object(_TIMELINE),
    "/breakdown": _breakdown(SHOWN),
    "/applications": _table(
        {**_WORDS, **_COUNTERS, "both": _WHOLE, "share": _SHARE},
        (*_COUNTERS, "both", "share"),
        **_STRETCH,
        by=_TEXTS,
    ),
    "/known": _table(_KNOWN, ledger=_TEXT),
    "/versions": _table(
        {
            "application": _TEXT,
            "path": _TEXT,
            "device": _WHOLE,
            "inode": _WHOLE,
            "first_seen": _TIME,
            "last_seen": _TIME,
        },
        ledger=_TEXT,
    ),
    "/report/{period}": _table(
        {
            "start": _TIME,
            "end": _TIME,
            **_USAGE,
            **_WORDS,
            "both": _WHOLE,
            "share": _SHARE,
            **{
                f"peak_{way}_{key}": {"type": [kind, "null"]}
                for way in ("rx", "tx")
                for key, kind in (
                    ("bytes_per_second", "integer"),
                    ("at", "string"),
                    ("within_seconds", "integer"),
                    ("interface", "string"),
                    ("host", "string"),
                )
            },
            "percentile": {"type": "number"},
            "percentile_rx_bytes_per_second": _WHOLE_OR_NULL,
            "percentile_tx_bytes_per_second": _WHOLE_OR_NULL,
            "percentile_bucket_seconds": _WHOLE,
        },
        ("start", "end", "interface", *_COUNTERS),
        **_STRETCH,
    ),
    "/interfaces": _table_of_places(
        {
            "interface": _TEXT,
            "kind": _TEXT,
            "state": {"enum": ["up", "down", "gone"]},
            "counted": {"type": "boolean"},
            "reason": _TEXT,
            "first_seen": _TIME,
            "last_seen": _TIME,
            **_COUNTERS,
        },
        ledger=_TEXT,
    ),
    "/reconcile": _table_of_places(
        {"interface": _TEXT, "line": _TEXT, **_COUNTERS, "both": _WHOLE, "share": _SHARE, "note": _TEXT},
        **_STRETCH,
    ),
    "/summary": _table(
        {
            "period": {"enum": ["today", "month", "boot", "all"]},
            "start": _TIME,
            "end": _TIME,
            "interface": {"type": ["string", "null"]},
            **_USAGE,
        },
        ledger=_TEXT,
        recorder=_object(_RECORDER),
        gaps=_list(_object({"period": _TEXT, "count": _WHOLE, "lossy": _WHOLE, "microseconds": _WHOLE})),
    ),
    "/plans": _table(
        {
            "plan": _TEXT,
            "start": _TIME,
            "end": _TIME,
            "host_filter": _TEXTS,
            "label_filter": _TEXTS,
            "host_count": _WHOLE_OR_NULL,
            "ledger": _TEXT,
            "direction": {"enum": ["both", "rx", "tx"]},
            **dict.fromkeys(_PLAN_BYTES, _WHOLE),
            "share": {"type": "number"},
            "elapsed_share": {"type": "number"},
            "days_left": _WHOLE,
            "allowance_bytes": _WHOLE_OR_NULL,
            "record_start": _TIME,
            "thresholds": _WHOLES,
            "reached": _WHOLES,
            "forecast_method": {"enum": [WEEKDAY_HOURS, LINEAR, None]},
            "forecast_days": _WHOLE_OR_NULL,
            "forecast_bytes": _WHOLE_OR_NULL,
            "forecast_low_bytes": _WHOLE_OR_NULL,
            "forecast_high_bytes": _WHOLE_OR_NULL,
            **dict.fromkeys(("exhausted", "exhausted_earliest", "exhausted_latest"), _or_null(_TIME)),
            "days_are_split": {"type": "boolean"},
            "days": _list(_object({"start": _TIME, "used_bytes": _WHOLE})),
            "ahead": _list(
                _object(
                    {
                        "end": _TIME,
                        "used_bytes": _WHOLE,
                        "low_bytes": _WHOLE_OR_NULL,
                        "high_bytes": _WHOLE_OR_NULL,
                    }
                )
            ),
        },
        now=_TIME,
        missing=_list(_object({"name": _TEXT, "reason": _TEXT})),
        ledger=_TEXT,
    ),
    "/away": _object(
        {
            **_ENVELOPE,
            "start": _TIME,
            "end": _TIME,
            "seconds": _WHOLE,
            **_BYTES,
            "applications": _list(_object({"application": _TEXT, "both": _WHOLE, "share": _SHARE})),
            "new": _list(
                _object(
                    {
                        "application": _TEXT,
                        "path": _TEXT,
                        "kind": {"enum": ["application", "version"]},
                        "first_seen": _TIME,
                    }
                )
            ),
            "more_new": _WHOLE,
            "gaps": _object({"count": _WHOLE, "lossy": _WHOLE, "seconds": _WHOLE}),
        }
    ),
}


def _of_chosen(path: str, **more: Schema) -> dict[str, Any]:
    """The table of a path where hosts can be chosen."""
    table, more = _ANSWERS[path], {"host_filter": _TEXTS, "hosts": _UNTOLD, **more}
    return {
        **table,
        "properties": {**table["properties"], **more},
        "required": list(dict.fromkeys((*table["required"], *more))),
    }


# what is answered otherwise, or besides, where the record is one of several hosts
_ANSWERS_OF_HOSTS: dict[str, Schema] = {
    "/now": _NOW_OF_HOSTS,
    "/hosts": _table(
        {
            "host": _TEXT,
            **_BYTES,
            "both": _WHOLE,
            "share": _SHARE,
            "heard": _or_null(_TIME),
            "until": _or_null(_TIME),
        },
        start=_TIME,
        end=_TIME,
        ledger=_TEXT,
    ),
    "/timeline": _object({**_TIMELINE, "hosts": _UNTOLD}),
    "/breakdown": _breakdown(SHOWN_OF_HOSTS),
    **{path: _of_chosen(path) for path in ("/applications", "/interfaces", "/reconcile")},
    "/report/{period}": _of_chosen("/report/{period}", record=_RECORD),
    "/known": _of_chosen(
        "/known",
        rows=_list(_object({**_KNOWN, **dict.fromkeys(("first_seen", "last_seen"), _or_null(_TIME))})),
    ),
}
_ERROR = _object({"error": _object({"kind": _TEXT, "message": _TEXT, "hint": _TEXT})})
_ERRORS = {
    "400": "The question makes no sense; the message says why.",
    "401": "A token is needed, or is wrong.",
    "403": "Asked under a name that is not this machine's, or by a page of another site.",
    "404": "Nothing is recorded of what is asked for, or there is no ledger.",
    "405": "Nothing can be changed here.",
    "429": "Too many wrong tokens.",
    "500": "The ledger cannot be read, or an internal error.",
    "503": "Too much is asked at once, it takes too long, or the ledger is locked.",
}


def description(api: "Api") -> bytes:
    """The description as JSON."""
    answered = _ANSWERS | _ANSWERS_OF_HOSTS if api.of_hosts else _ANSWERS
    return encode(
        {
            "openapi": "3.1.0",
            "info": {
                "title": "netusage",
                "version": __version__,
                "description": "Network usage as it is recorded: for reading only. Bytes are exact integers, times ISO 8601 "
                "with offset, or UTC seconds where a name ends in _s.",
                "license": {"name": "MIT", "identifier": "MIT"},
            },
            "servers": [{"url": "/api/v1"}],
            "paths": {one.path: {"get": _operation(one, answered)} for one in api.endpoints},
            "components": {
                "schemas": {"Error": _ERROR},
                "securitySchemes": {
                    "token": {"type": "http", "scheme": "bearer"},
                    "cookie": {"type": "apiKey", "in": "cookie", "name": "netusage"},
                },
            },
            "security": [{}, {"token": []}, {"cookie": []}],
        }
    )


def _operation(one: "Endpoint", answered: Mapping[str, Schema]) -> dict[str, Any]:
    parameters = [_parameter(parameter) for parameter in one.parameters]
    if "{period}" in one.path:
        parameters.append(
            {
                "name": "period",
                "in": "path",
                "required": True,
                "schema": {"type": "string", "enum": list(ReportKind)},
            }
        )
    content: dict[str, Any] = {"text/event-stream": {"schema": _TEXT}}
    if one.path in answered:
        content = {"application/json": {"schema": answered[one.path]}}
    if any(parameter.name == "format" for parameter in one.parameters):
        content["text/csv"] = {"schema": _TEXT}
    error = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    answers: dict[str, Any] = {"200": {"description": one.doc, "content": content}}
    answers |= {code: {"description": said, "content": error} for code, said in _ERRORS.items()}
    return {
        "operationId": re.sub(r"[^a-z]+", "_", one.path).strip("_"),
        "summary": one.doc,
        "parameters": parameters,
        "responses": answers,
    }


def _parameter(parameter: "Parameter") -> dict[str, Any]:
    schema = {key: value for key, value in parameter.schema.items() if key != "x-required"}
    if parameter.repeated:
        schema = {"type": "array", "items": schema, "maxItems": 50}
    found: dict[str, Any] = {
        "name": parameter.name,
        "in": "query",
        "description": parameter.doc,
        "required": "x-required" in parameter.schema,
        "schema": schema,
    }
    return found
