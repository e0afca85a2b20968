"""The API under /api/v1: questions in, answers out of the same reports as the command line's."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from netusage.errors import NetusageError, UsageError
from netusage.model import QUARTER_S, US
from netusage.periods import isoformat
from netusage.render import documents, plan_documents
from netusage.render.columns import Column
from netusage.render.documents import About, Document
from netusage.reports.applications import applications, by_period, reconcile, whole_quarters
from netusage.reports.breakdown import Breakdown, Known, away, breakdown, known
from netusage.reports.interfaces import interfaces
from netusage.reports.plans import answers, chosen, of_machine
from netusage.reports.summary import summary
from netusage.reports.timeline import NAMES, Span, Timeline, timeline
from netusage.reports.usage import ReportKind, asked_periods, report
from netusage.settings.schema import Settings
from netusage.web import questions as q
from netusage.web.answers import csv_of_document, json_of, json_of_document, refusal, refusal_of
from netusage.web.hosts import Hosts, now_of, of_each, only, unknown_now, untold
from netusage.web.ledger import Answers, Asked
from netusage.web.now import Now
from netusage.web.questions import Asking, Parameter

MOST_ROWS = 20_000
_MOST_NEW = 20
_LONG_S = 6 * 3600
_PIXELS = 2000
_LONGEST_S = 60  # that an answer is kept beyond a change of the ledger
_SHOWN_BY = ("application",)

Handler = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One question of the API.

    path: below /api/v1; what stands in braces is a parameter of the path.
    doc: one line.
    parameters: of the query string.
    handler: answers.
    """

    path: str
    doc: str
    parameters: Sequence[Parameter]
    handler: Handler


class Api:
    """Answers the questions of one server.

    Args:
        settings: the configuration.
        record: what is asked.
        clock: UTC seconds.
        now: the present of the machine whose record it is.

    Attributes:
        endpoints: the questions that are answered.
    """

    def __init__(
        self, settings: Settings, record: Answers, clock: Callable[[], int], now: Now | None = None
    ) -> None:
        self._settings = settings
        self._record = record
        self._clock = clock
        self._hosts = record if isinstance(record, Hosts) else None
        self.endpoints = [
            *(self._about_one_machine(now) if now is not None else ()),
            *(self._about_hosts(self._hosts) if self._hosts is not None else ()),
            *self._about_both(),
        ]

    @property
    def of_hosts(self) -> bool:
        """Whether the record is one of several hosts."""
        return self._hosts is not None

    def _about_one_machine(self, now: Now) -> list[Endpoint]:
        latest, events, recent = (partial(one, now) for one in (self._latest, self._events, self._recent))
        return [
            Endpoint("/now", "Rates, today, this month, the recorder.", [], latest),
            Endpoint("/events", "The same each second, as server-sent events.", [], events),
            Endpoint("/recent", "The rates of the last minutes, each second.", [], recent),
            Endpoint(
                "/versions",
                "The executables that were seen of applications.",
                [q.ZONE, _APPLICATION, q.FORMAT],
                self._versions,
            ),
            Endpoint(
                "/summary", "Today, this month, since boot, all time.", [q.ZONE, q.FORMAT], self._summary
            ),
            Endpoint(
                "/away", "What was used since a moment, and what is new.", [_AWAY_SINCE, q.ZONE], self._away
            ),
        ]

    def _about_hosts(self, hosts: Hosts) -> list[Endpoint]:
        return [
            Endpoint(
                "/now",
                "Today and this month as far as hosts have told, and when they did.",
                [q.ZONE],
                partial(self._known_now, hosts),
            ),
            Endpoint(
                "/hosts",
                "What each host used, and when it was heard of last.",
                [q.SINCE, q.UNTIL, q.ZONE, q.FORMAT],
                partial(self._each_host, hosts),
            ),
        ]

    def _about_both(self) -> list[Endpoint]:
        stretch = [q.SINCE, q.UNTIL, q.ZONE]
        by = q.BY_OF_HOSTS if self.of_hosts else q.BY
        host = [q.HOST] if self.of_hosts else []
        filters = [*host, *q.FILTERS]
        return [
            Endpoint(
                "/timeline",
                "Usage in bars of a stated width, with what is estimated, and gaps.",
                [*stretch, q.BARS, *filters, q.FORMAT],
                self._timeline,
            ),
            Endpoint(
                "/breakdown",
                "Whose bytes a stretch of time had, by every dimension.",
                [*stretch, q.LIMIT, *filters],
                self._breakdown,
            ),
            Endpoint(
                "/applications",
                "As netusage apps.",
                [*stretch, by, *host, q.INTERFACE, q.FORMAT],
                self._applications,
            ),
            Endpoint(
                "/known",
                "Every application that was ever seen.",
                [q.ZONE, *host, q.LIMIT, q.FORMAT],
                self._known,
            ),
            Endpoint(
                "/report/{period}",
                "As netusage report.",
                [*stretch, *host, q.INTERFACE, by, q.LIMIT, q.PEAK, q.PERCENTILE, q.BILLING_DAY, q.FORMAT],
                self._report,
            ),
            Endpoint(
                "/interfaces",
                "Every interface that was ever seen.",
                [q.ZONE, *host, q.FORMAT],
                self._interfaces,
            ),
            Endpoint(
                "/reconcile",
                "For each interface, the account that adds up.",
                [*stretch, *host, q.INTERFACE, q.FORMAT],
                self._reconcile,
            ),
            Endpoint(
                "/plans",
                "As netusage plan show: what is used and left of data plans, and what will be.",
                [q.ZONE, _PLAN, _CYCLE, _CYCLES, q.FORMAT],
                self._plans,
            ),
        ]

    def routes(self) -> list[Route]:
        """Where they are to be found; every error has an answer."""
        return [
            Route(f"/api/v1{one.path}", partial(_answered, one.handler), methods=["GET"])
            for one in self.endpoints
        ]

    def _asking(self, request: Request, path: str) -> Asking:
        known = next(one.parameters for one in self.endpoints if one.path == path)
        return Asking(request.query_params, known, self._settings, self._clock())

    # The present -------------------------------------------------------------------------------------------------

    async def _latest(self, now: Now, request: Request) -> Response:
        self._asking(request, "/now")
        return Response(await now.latest(), media_type="application/json")

    async def _recent(self, now: Now, request: Request) -> Response:
        self._asking(request, "/recent")
        return Response(now.recent(), media_type="application/json")

    async def _events(self, now: Now, request: Request) -> Response:
        self._asking(request, "/events")
        if now.is_full:
            return refusal(503, "busy", "too many are listening", "close another page")
        headers = {"x-accel-buffering": "no"}
        return StreamingResponse(now.events(), media_type="text/event-stream", headers=headers)

    # Several hosts -----------------------------------------------------------------------------------------------

    async def _known_now(self, hosts: Hosts, request: Request) -> Response:
        asking = self._asking(request, "/now")

        def find(asked: Asked) -> bytes:
            return json_of("now", str(asking.zone), **now_of(asked, hosts, self._settings, asking.zone))

        try:
            return await self._answer(request, asking, find)
        except NetusageError as error:
            body = json_of("now", str(asking.zone), **unknown_now(hosts, asking.now_s, asking.zone, error))
            return Response(body, media_type="application/json")

    async def _each_host(self, hosts: Hosts, request: Request) -> Response:
        asking = self._asking(request, "/hosts")
        period = whole_quarters(*asking.stretch("30d"))

        def find(asked: Asked) -> Document:
            return of_each(asked, hosts, period, self._settings.interfaces, asking.zone)

        return await self._document(request, asking, find, "hosts")

    # Stretches of time -------------------------------------------------------------------------------------------

    async def _timeline(self, request: Request) -> Response:
        asking = self._asking(request, "/timeline")
        since_s, until_s = asking.stretch("1d")
        choice = asking.choice()
        settings, hosts = self._settings, self._hosts

        def find(asked: Asked) -> bytes:
            span = Span(
                since_s,
                until_s,
                asking.number(q.BARS, 300),
                asking.zone,
                asked.now_s,
                q.week_start(settings),
                settings.report.billing_day,
            )
            # before the bars are: what arrives meanwhile may be in them, and is not said to be
            heard = hosts.heard(asked.reader) if hosts is not None else ()
            found = timeline(asked.reader, asked.shares, span, choice, settings.interfaces)
            if asking.one(q.FORMAT) == "csv":
                return csv_of_document(_bars(found, asking))
            more = {}
            if hosts is not None:
                end_s = min(found.edges[-1], asked.now_s)
                more["hosts"] = untold(heard, choice, end_s, asked.now_s, settings)
            return json_of(
                "timeline", str(asking.zone), **_timeline_json(found, is_of_shares=choice.has_shares), **more
            )

        from_s = since_s - QUARTER_S if choice.has_shares else None
        lasts_s = _lasts(since_s, until_s)
        return await self._answer(request, asking, find, from_s=from_s, name="timeline", lasts_s=lasts_s)

    async def _breakdown(self, request: Request) -> Response:
        asking = self._asking(request, "/breakdown")
        period = whole_quarters(*asking.stretch())
        choice = asking.choice()
        limit = asking.number(q.LIMIT, 12)

        def find(asked: Asked) -> bytes:
            found = breakdown(
                asked.reader, asked.shares, period, choice, self._settings.interfaces, limit=limit
            )
            told = documents.tiers(asked.reader, *period)
            about = About("breakdown", asking.zone, period, told, asked.reader.path, choice.interfaces)
            return json_of(**_flat(about), **_breakdown_json(found))

        lasts_s = _lasts(*period)
        return await self._answer(request, asking, find, from_s=period.start_s, lasts_s=lasts_s)

    async def _applications(self, request: Request) -> Response:
        asking = self._asking(request, "/applications")
        period = whole_quarters(*asking.stretch())
        by = asking.by or _SHOWN_BY
        patterns = asking.all(q.INTERFACE)

        def find(asked: Asked) -> Document:
            rows = applications(asked.reader, period, by, self._settings.interfaces, patterns)
            told = documents.tiers(asked.reader, *period)
            about = About("apps", asking.zone, period, told, asked.reader.path, patterns, by)
            return documents.applications(rows, about, by)

        return await self._of_hosts(request, asking, find, "applications")

    async def _report(self, request: Request) -> Response:
        asking = self._asking(request, "/report/{period}")
        name = request.path_params["period"]
        try:
            kind = ReportKind(name)
        except ValueError:
            hint = f"one of {', '.join(ReportKind)}"
            raise UsageError(f"there is no report by {name[:50]!r}", hint=hint) from None
        question = asking.report(kind)
        by = asking.by if set(asking.by) - {"interface", "host"} else ()
        if by and (question.peak or question.percentile is not None):
            raise UsageError("applications have no rates: they are recorded by quarters of an hour")

        def find(asked: Asked) -> Document:
            spans = asked_periods(asked.reader, question)
            series = (
                len(asked.reader.interfaces(totals=False)) if question.patterns or question.by_host else 1
            )
            if len(spans) * series > MOST_ROWS and kind is not ReportKind.TOP:
                hint = "ask for longer periods, or a shorter time"
                raise UsageError(f"that would be more than {MOST_ROWS:,} rows", hint=hint)
            if by:
                shares = by_period(asked.reader, question, by)
                told = documents.tiers(asked.reader, shares.start_s, shares.end_s)
                document = documents.applications_by_period(shares, question, by, told, asked.reader.path)
            else:
                answer = report(asked.reader, question)
                told = documents.tiers(asked.reader, answer.start_s, answer.end_s)
                document = documents.usage(answer, told, asked.reader.path)
            extent = asked.reader.extent() if self.of_hosts else None
            return document if extent is None else _with(document, record=_record_json(extent))

        return await self._of_hosts(request, asking, find, f"report-{name}")

    async def _reconcile(self, request: Request) -> Response:
        asking = self._asking(request, "/reconcile")
        period = whole_quarters(*asking.stretch())
        patterns = asking.all(q.INTERFACE)

        def find(asked: Asked) -> Document:
            accounts = reconcile(asked.reader, period, patterns)
            told = documents.tiers(asked.reader, *period)
            about = About("reconcile", asking.zone, period, told, asked.reader.path, patterns)
            return documents.reconciled(accounts, about)

        return await self._of_hosts(request, asking, find, "reconcile")

    async def _away(self, request: Request) -> Response:
        asking = self._asking(request, "/away")
        since_s = asking.moment(q.SINCE)
        if since_s is None:
            raise UsageError("since when is not said", hint="since=2026-11-20T13:00")
        if since_s >= asking.now_s:
            raise UsageError("that is not over yet", hint="name a moment before now")

        def find(asked: Asked) -> bytes:
            found = away(asked.reader, asked.shares, since_s, asked.now_s, self._settings.interfaces)
            return json_of(
                "away",
                str(asking.zone),
                start=isoformat(since_s, asking.zone),
                end=isoformat(asked.now_s, asking.zone),
                seconds=max(asked.now_s - since_s, 0),
                rx_bytes=found.rx_bytes,
                tx_bytes=found.tx_bytes,
                applications=[
                    {"application": one.value, "both": one.both, "share": one.share}
                    for one in found.applications
                ],
                new=[
                    {
                        "application": one.name,
                        "path": one.path,
                        "kind": "version" if one.is_version else "application",
                        "first_seen": isoformat(one.first_seen_us // US, asking.zone),
                    }
                    for one in found.new[:_MOST_NEW]
                ],
                more_new=max(len(found.new) - _MOST_NEW, 0),
                gaps={"count": found.gaps, "lossy": found.lossy, "seconds": found.gap_us // US},
            )

        from_s = since_s - QUARTER_S
        return await self._answer(request, asking, find, from_s=from_s)

    # Lists -------------------------------------------------------------------------------------------------------

    async def _known(self, request: Request) -> Response:
        asking = self._asking(request, "/known")
        limit = asking.number(q.LIMIT, 10_000)

        def find(asked: Asked) -> Document:
            rows = known(asked.reader, asked.shares)[:limit]
            envelope = {"report": "known", "timezone": str(asking.zone), "ledger": asked.reader.path}
            return Document(envelope, _KNOWN, (_known_row(one, asking) for one in rows))

        return await self._of_hosts(request, asking, find, "known", from_s=0)

    async def _versions(self, request: Request) -> Response:
        asking = self._asking(request, "/versions")
        wanted = set(asking.all(_APPLICATION))

        def find(asked: Asked) -> Document:
            seen = [one for one in asked.reader.versions() if not wanted or one.who.name in wanted]
            return documents.versions(seen, asking.zone, asked.reader.path)

        return await self._document(request, asking, find, "versions")

    async def _interfaces(self, request: Request) -> Response:
        asking = self._asking(request, "/interfaces")

        def find(asked: Asked) -> Document:
            rows = interfaces(asked.reader, self._settings.interfaces)
            return documents.interfaces(rows, asking.zone, asked.reader.path)

        return await self._of_hosts(request, asking, find, "interfaces")

    async def _summary(self, request: Request) -> Response:
        from netusage.clock import boot_id  # noqa: PLC0415  # only here

        asking = self._asking(request, "/summary")

        def find(asked: Asked) -> Document:
            answer = summary(
                asked.ledger,
                now_us=asked.now_s * US,
                zone=asking.zone,
                boot_id=boot_id(),
                overrides=self._settings.interfaces,
                billing_day=self._settings.report.billing_day,
            )
            return documents.summary(answer, asking.zone, asked.reader.path)

        return await self._document(request, asking, find, "summary")

    async def _plans(self, request: Request) -> Response:
        asking = self._asking(request, "/plans")
        settings = self._settings
        asked_plans = chosen(settings.plan, asking.all(_PLAN))

        record_of = of_machine if self._hosts is None else self._hosts.of_plans

        def find(asked: Asked) -> Document:
            found, missing = answers(
                record_of(asked.reader),
                asked_plans,
                asked.now_s,
                asking.zone,
                settings.interfaces,
                back=-asking.number(_CYCLE, 0),
                count=asking.number(_CYCLES, 1),
            )
            return plan_documents.plans(found, missing, asked.now_s, asking.zone, asked.reader.path)

        return await self._document(request, asking, find, "plans")

    # Answers -----------------------------------------------------------------------------------------------------

    async def _document(
        self,
        request: Request,
        asking: Asking,
        find: Callable[[Asked], Document],
        name: str,
        *,
        from_s: int | None = None,
    ) -> Response:
        """A table, in the format that was asked for."""
        write = csv_of_document if asking.one(q.FORMAT) == "csv" else json_of_document
        return await self._answer(request, asking, lambda asked: write(find(asked)), from_s=from_s, name=name)

    async def _of_hosts(
        self,
        request: Request,
        asking: Asking,
        find: Callable[[Asked], Document],
        name: str,
        *,
        from_s: int | None = None,
    ) -> Response:
        """A table that is about the chosen hosts alone, where the record is one of several hosts."""
        hosts = self._hosts
        if hosts is None:
            return await self._document(request, asking, find, name, from_s=from_s)
        chosen, until_s = asking.all(q.HOST), asking.moment(q.UNTIL)

        def of_hosts(asked: Asked) -> Document:
            # before anything is looked up: what arrives meanwhile may be in it, and is not said to be
            heard = hosts.heard(asked.reader)
            document = find(only(asked, chosen))
            end_s = asked.now_s if until_s is None else min(until_s, asked.now_s)
            far = untold(heard, asking.choice(), end_s, asked.now_s, self._settings)
            return _with(document, host_filter=list(chosen), hosts=far)

        return await self._document(request, asking, of_hosts, name, from_s=from_s)

    async def _answer(
        self,
        request: Request,
        asking: Asking,
        find: Callable[[Asked], bytes],
        *,
        from_s: int | None = None,
        name: str = "",
        lasts_s: float = 0,
    ) -> Response:
        question = (request.url.path, asking.key)
        body = await self._record.answer(question, find, from_s=from_s, lasts_s=lasts_s)
        if asking.one(q.FORMAT) == "csv":
            headers = {"content-disposition": f'attachment; filename="netusage-{name}.csv"'}
            return Response(body, media_type="text/csv; charset=utf-8", headers=headers)
        return Response(body, media_type="application/json")


_APPLICATION = Parameter(
    "application", "Only of these.", {"type": "string", "minLength": 1, "maxLength": 500}, True
)
_PLAN = Parameter(
    "plan",
    "Names of plans; without it all of them.",
    {"type": "string", "minLength": 1, "maxLength": 500},
    True,
)
_CYCLE = Parameter(
    "cycle",
    "0 is the present cycle, -1 the one before.",
    {"type": "integer", "minimum": -10_000, "maximum": 0, "default": 0},
)
_CYCLES = Parameter(
    "cycles",
    "How many, that one and those before it.",
    {"type": "integer", "minimum": 1, "maximum": 240, "default": 1},
)
_AWAY_SINCE = q.SINCE._replace(schema={**q.SINCE.schema, "x-required": True})


async def _answered(handler: Handler, request: Request) -> Response:
    """What the handler answers, or what is said of its error."""
    try:
        return await handler(request)
    except NetusageError as error:
        return refusal_of(error)


def _lasts(since_s: int, until_s: int) -> float:
    """For how many seconds an answer about a long stretch is as good: what comes meanwhile is less than a pixel of it."""
    length_s = until_s - since_s
    return min(length_s / _PIXELS, _LONGEST_S) if length_s > _LONG_S else 0


def _with(document: Document, **more: Any) -> Document:
    """The same with more in its envelope."""
    return document._replace(envelope=document.envelope | more)


def _flat(about: About) -> dict[str, Any]:
    """An envelope as arguments."""
    return {**about.envelope(), "start_s": about.period.start_s, "end_s": about.period.end_s}


# ---- What stands in them ----------------------------------------------------------------------------------------


def _timeline_json(found: Timeline, *, is_of_shares: bool) -> dict[str, Any]:
    return {
        "start_s": found.edges[0],
        "end_s": found.edges[-1],
        "width": {"kind": found.width.value, "name": NAMES[found.width]},
        "edges": found.edges,
        "rx_bytes": found.rx_bytes,
        "tx_bytes": found.tx_bytes,
        "estimated_bytes": found.estimated_bytes,
        "seconds": found.seconds,
        "applications": is_of_shares,
        "has_days": found.has_days,
        "stretches": found.stretches,
        "gaps": [
            {
                "start_s": gap.start_us // US,
                "end_s": -(-gap.end_us // US),
                "kind": gap.kind,
                "lossy": gap.lossy,
                "interface": gap.interface,
                "note": gap.note,
                **({"host": gap.host} if gap.host else {}),
            }
            for gap in found.gaps
        ],
        "more_gaps": found.more_gaps,
        "clock_changes": [
            {"at_s": at_s, "from_offset_s": before, "to_offset_s": after}
            for at_s, before, after in found.clock_changes
        ],
        "record": _record_json(found.record),
    }


def _record_json(record: tuple[int, int]) -> dict[str, int]:
    return {"start_s": record[0], "end_s": record[1]}


def _bars(found: Timeline, asking: Asking) -> Document:
    """The bars as a table."""
    keys = ("rx_bytes", "tx_bytes", "estimated_bytes", "seconds")
    columns = [Column("start", "Start", "time"), Column("end", "End", "time")]
    columns += [Column(key, key, "int") for key in keys]
    rows = (
        {
            "start": isoformat(found.edges[n], asking.zone),
            "end": isoformat(found.edges[n + 1], asking.zone),
            "rx_bytes": found.rx_bytes[n],
            "tx_bytes": found.tx_bytes[n],
            "estimated_bytes": found.estimated_bytes[n],
            "seconds": found.seconds[n],
        }
        for n in range(len(found.seconds))
    )
    return Document({"report": "timeline"}, columns, rows)


def _breakdown_json(found: Breakdown) -> dict[str, Any]:
    return {
        "total": {"rx_bytes": found.rx_bytes, "tx_bytes": found.tx_bytes},
        "by": {
            name: [
                {
                    "value": part.value,
                    "rx_bytes": part.rx_bytes,
                    "tx_bytes": part.tx_bytes,
                    "both": part.both,
                    "share": part.share,
                }
                for part in parts
            ]
            for name, parts in found.by.items()
        },
        "others": {
            name: {"count": rest.number, "both": rest.both, "share": rest.share}
            for name, rest in found.others.items()
        },
    }


_KNOWN = [
    Column("application", "Application"),
    Column("kind", "Kind"),
    Column("first_seen", "First seen", "time"),
    Column("last_seen", "Last seen", "time"),
    Column("rx_bytes", "Received", "bytes"),
    Column("tx_bytes", "Sent", "bytes"),
    Column("both", "Total", "bytes"),
    Column("paths", "Paths"),
    Column("users", "Users"),
    Column("units", "Units"),
    Column("containers", "Containers"),
    Column("versions", "Versions", "int"),
]


def _known_row(one: Known, asking: Asking) -> dict[str, Any]:
    return {
        "application": one.name,
        "kind": one.kind,
        "first_seen": _time(one.first_seen_us, asking),
        "last_seen": _time(one.last_seen_us, asking),
        "rx_bytes": one.rx_bytes,
        "tx_bytes": one.tx_bytes,
        "both": one.rx_bytes + one.tx_bytes,
        "paths": one.paths,
        "users": one.users,
        "units": one.units,
        "containers": one.containers,
        "versions": one.versions,
    }


def _time(at_us: int | None, asking: Asking) -> str | None:
    return None if at_us is None else isoformat(at_us // US, asking.zone)
