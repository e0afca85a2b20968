"""What is asked of the API: parameters, each with its meaning, checked before the ledger is touched."""

from collections.abc import Callable, Mapping, Sequence
from datetime import tzinfo
from typing import Any, NamedTuple

from starlette.datastructures import QueryParams

from netusage.errors import UsageError
from netusage.ledger.chunks import DAY_S
from netusage.periods import parse_instant, refuse_reversed, zone
from netusage.reports.applications import DIMENSIONS
from netusage.reports.chosen import CHOSEN_BY, Choice
from netusage.reports.timeline import FEWEST_BARS, MOST_BARS
from netusage.reports.usage import Question, ReportKind
from netusage.settings.convert import nearest
from netusage.settings.schema import Settings, weekday_number

_MOST_VALUES = 50
_LONGEST_VALUE = 500
_MOST_LIMIT = 10_000
_LONGEST_S = 400 * 366 * DAY_S


class Parameter(NamedTuple):
    """One parameter of the query string.

    schema: what it may be, as JSON Schema has it.
    repeated: it may come more than once.
    """

    name: str
    doc: str
    schema: Mapping[str, Any]
    repeated: bool = False


_TEXT = {"type": "string", "minLength": 1, "maxLength": _LONGEST_VALUE}
_MOMENT = _TEXT | {
    "description": "As on the command line: 2026-11-20, 2026-11-20T13:00, 7d, today, now, @1790000000"
}

SINCE = Parameter("since", "From when.", _MOMENT)
UNTIL = Parameter(
    "until", "Until when, without it until now; a day or month named here is included.", _MOMENT
)
ZONE = Parameter("tz", "Time zone of days, as in Europe/Berlin; without it the server's.", _TEXT)
INTERFACE = Parameter(
    "interface", "Names (globs) of interfaces; without it the machine's total.", _TEXT, True
)
HOST = Parameter(
    "host", "Only hosts of this name, as answers name them; one of several has to match.", _TEXT, True
)
FILTERS = [INTERFACE] + [
    Parameter(
        name, f"Only what has this {name}, as answers name it; one of several has to match.", _TEXT, True
    )
    for name in CHOSEN_BY
]
BARS = Parameter(
    "bars",
    "At most so many bars.",
    {"type": "integer", "minimum": FEWEST_BARS, "maximum": MOST_BARS, "default": 300},
)
LIMIT = Parameter("limit", "At most so many.", {"type": "integer", "minimum": 1, "maximum": _MOST_LIMIT})
BY_OF_HOSTS = Parameter("by", "What to tell apart.", {"type": "string", "enum": list(DIMENSIONS)}, True)
BY = BY_OF_HOSTS._replace(schema={**BY_OF_HOSTS.schema, "enum": [one for one in DIMENSIONS if one != "host"]})
FORMAT = Parameter(
    "format", "How to write it.", {"type": "string", "enum": ["json", "csv"], "default": "json"}
)
PEAK = Parameter(
    "peak", "1: the highest rates as well.", {"type": "string", "enum": ["0", "1"], "default": "0"}
)
PERCENTILE = Parameter(
    "percentile",
    "A percentile of rates as well, as 95.",
    {"type": "number", "minimum": 0.001, "maximum": 100},
)
BILLING_DAY = Parameter(
    "billing_day", "Day on which months begin.", {"type": "integer", "minimum": 1, "maximum": 31}
)


class Asking:
    """The parameters of one request.

    Args:
        given: the query string.
        known: those that there are.
        settings: the configuration.
        now_s: the present, UTC seconds.

    Raises:
        UsageError: there is another one, one comes too often, or it is not what it may be.
    """

    def __init__(
        self, given: QueryParams, known: Sequence[Parameter], settings: Settings, now_s: int
    ) -> None:
        self.settings = settings
        self.now_s = now_s
        self._given: dict[str, list[str]] = {}
        names = {parameter.name: parameter for parameter in known}
        for name, value in given.multi_items():
            parameter = names.get(name)
            if parameter is None:
                hint = nearest(name, list(names)).removeprefix("; ") or f"there are: {', '.join(names)}"
                raise UsageError(f"there is no parameter {name[:50]!r} here", hint=hint)
            if not 0 < len(value) <= _LONGEST_VALUE or "\0" in value:
                raise UsageError(f"{name} has to have 1 to {_LONGEST_VALUE} characters")
            values = self._given.setdefault(name, [])
            values.append(value)
            if len(values) > (_MOST_VALUES if parameter.repeated else 1):
                raise UsageError(f"{name} is given too often")
            _check(parameter, value)
        self.zone = self._zone()

    @property
    def key(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """Tells the question from all others of its kind."""
        return tuple(sorted((name, tuple(values)) for name, values in self._given.items()))

    def all(self, parameter: Parameter) -> tuple[str, ...]:
        """Every value of a parameter."""
        return tuple(self._given.get(parameter.name, ()))

    def one(self, parameter: Parameter) -> str | None:
        """The value of a parameter, or its default; None when there is neither."""
        values = self._given.get(parameter.name)
        if values:
            return values[0]
        default = parameter.schema.get("default")
        return None if default is None else str(default)

    def number(self, parameter: Parameter, default: int) -> int:
        """A whole number."""
        found = self.one(parameter)
        return default if found is None else int(found)

    def stretch(self, default: str = "today") -> tuple[int, int]:
        """From when to when, UTC seconds.

        Raises:
            UsageError: one is no moment, the first is not before the second, or they are centuries apart.
        """
        since_s = parse_instant(self.one(SINCE) or default, self.now_s, self.zone)
        until_s = self.moment(UNTIL)
        if until_s is None or until_s == self.now_s:
            until_s = self.now_s + 1  # the second that runs
        refuse_reversed(since_s, until_s)
        if until_s - since_s > _LONGEST_S:
            raise UsageError("the time asked for is longer than 400 years")
        return since_s, until_s

    def moment(self, parameter: Parameter) -> int | None:
        """A moment, UTC seconds; None when none is named."""
        found = self.one(parameter)
        return None if found is None else parse_instant(found, self.now_s, self.zone, end=parameter is UNTIL)

    def choice(self) -> Choice:
        """What is looked at."""
        values = {name: frozenset(self._given[name]) for name in CHOSEN_BY if name in self._given}
        return Choice(self.all(INTERFACE), values, frozenset(self.all(HOST)))

    @property
    def by(self) -> tuple[str, ...]:
        """What to tell apart, each word once."""
        return tuple(dict.fromkeys(self.all(BY)))

    def report(self, kind: ReportKind) -> Question:
        """A question of usage by period."""
        report = self.settings.report
        percentile = self.one(PERCENTILE)
        limit = self.one(LIMIT)
        return Question(
            kind=kind,
            zone=self.zone,
            now_s=self.now_s,
            patterns=self.all(INTERFACE) or (("*",) if "interface" in self.by else ()),
            overrides=self.settings.interfaces,
            since_s=self.moment(SINCE),
            until_s=self.moment(UNTIL),
            limit=None if limit is None else int(limit),
            billing_day=self.number(BILLING_DAY, report.billing_day),
            week_start=week_start(self.settings),
            peak=self.one(PEAK) == "1",
            percentile=None if percentile is None else round(float(percentile) * 1000),
            by_host="host" in self.by,
        )

    def _zone(self) -> tzinfo:
        name = self.one(ZONE)
        return zone(name or self.settings.report.tz or None)


def week_start(settings: Settings) -> int:
    """The day on which weeks begin, 0 is Monday."""
    return weekday_number(settings.report.week_start)


def _check(parameter: Parameter, value: str) -> None:
    """Refuse what is not what the schema says.

    Raises:
        UsageError: it is not.
    """
    schema, name = parameter.schema, parameter.name
    allowed = schema.get("enum")
    if allowed is not None:
        if value not in allowed:
            hint = nearest(value, list(allowed)).removeprefix("; ") or f"one of {', '.join(allowed)}"
            raise UsageError(f"{name} cannot be {value[:50]!r}", hint=hint)
        return
    convert: Callable[[str], float] | None = {"integer": int, "number": float}.get(schema["type"])
    if convert is None:
        return
    hint = f"use {schema['minimum']} to {schema['maximum']}"
    try:
        number = convert(value) if value.isascii() and "_" not in value else None
    except ValueError:
        number = None
    if number is None or not schema["minimum"] <= number <= schema["maximum"]:
        raise UsageError(f"{name} cannot be {value[:50]!r}", hint=hint)
