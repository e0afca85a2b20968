"""The one schema of the configuration: sections, tables, keys, defaults, meanings and ranges.

A section is there once, `[recorder]`; a table may be written as often as one likes, `[[plan]]`, and each has a name of
its own. Everything that speaks of settings is made from here: the loader, the environment variables, `config show` and
the reference. Only the standard library is needed, so the defaults are to be had without any package.
"""

# ruff: noqa: RUF009  # `_key` returns a field of dataclasses

from collections.abc import Iterator
from dataclasses import MISSING, dataclass, field, fields
from enum import Enum
from typing import Any, Literal, NamedTuple, get_args, get_origin

from netusage.errors import UsageError
from netusage.units import Units, parse_bytes, parse_duration, parse_rate

SourceKind = Literal["auto", "netlink", "psutil"]
Applications = Literal["auto", "kernel", "before-queueing", "sockets", "off"]
Weekday = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]


def weekday_number(name: Weekday) -> int:
    """The number of a day of the week, 0 is Monday."""
    return get_args(Weekday).index(name)


Direction = Literal["both", "rx", "tx"]
Globs = tuple[str, ...]
Percents = tuple[int, ...]
FLEET_SHARES = (
    "applications",
    "users",
    "units",
    "scopes",
)  # what may leave a host beside the usage of interfaces
_AT_HOME_US = 2 * 3600 * 1_000_000  # at the least
AlertKind = Literal["rate", "quota"]
QuotaPeriod = Literal["day", "week", "month"]

ENVIRONMENT_PREFIX = "NETUSAGE_"
LEDGER_VARIABLE = "NETUSAGE_DB"
CONFIG_VARIABLE = "NETUSAGE_CONFIG"
_LONGEST_CYCLE = 3660  # days
_DAY_MINUTES = 1440
# understood by the program, and no settings
OTHER_VARIABLES = (
    "NETUSAGE_DEBUG",
    # what a command that is told of alerts is given; it may run this program
    "NETUSAGE_ALERT_KIND",
    "NETUSAGE_ALERT_SUBJECT",
    "NETUSAGE_ALERT_TEXT",
    "NETUSAGE_ALERT_TIME",
    "NETUSAGE_ALERT_COUNT",
)


def _key(default: object, doc: str, *, kind: str = "", low: int | str = "", high: int | str = "") -> Any:
    """A field with its meaning; `kind` is one of `convert.KINDS` or "", `low` and `high` its range."""
    return field(default=default, metadata={"doc": doc, "kind": kind, "low": low, "high": high})


def _needed(doc: str, *, kind: str = "", low: int | str = "", high: int | str = "") -> Any:
    """As `_key`, of a key that every table of its kind has to have."""
    return field(metadata={"doc": doc, "kind": kind, "low": low, "high": high})


@dataclass(frozen=True, slots=True)
class LedgerSettings:
    """Where the record is kept."""

    path: str = _key("", "The ledger's file; empty: the platform's state directory.", kind="path")


@dataclass(frozen=True, slots=True)
class RecorderSettings:
    """How the recorder samples, commits and forgets."""

    sample_interval: str = _key(
        "1s", "Time between two readings of the counters.", kind="duration", low="100ms", high="60s"
    )
    commit_interval: str = _key(
        "10s",
        "Time between two commits: the most that a power cut can lose. Not below sample_interval.",
        kind="duration",
        low="100ms",
        high="10min",
    )
    commit_on_link_event: bool = _key(True, "Commit as well when an interface appears, changes or goes away.")
    minutes_kept_days: int = _key(
        35, "Days for which single minutes are kept; quarters of an hour are kept for ever.", low=1, high=3660
    )
    applications: Applications = _key(
        "auto",
        "How applications are told apart, on Linux; auto: by the first of kernel, before-queueing and sockets that the "
        "machine and its privileges give.",
    )
    pins: str = _key(
        "/sys/fs/bpf/netusage",
        "Directory of a BPF file system in which the kernel's counters of applications stay while no recorder runs, so "
        "that a killed one misses nothing; off: nowhere.",
    )
    other_below_ppm: int = _key(
        10,
        "Millionths of what an interface has in a day: applications with less become one, called other, when the day "
        "is over; 0 keeps all of them.",
        low=0,
        high=1_000_000,
    )
    quarters_kept_days: int = _key(
        400,
        "Days for which applications are kept by quarters of an hour; days are kept for ever.",
        low=2,
        high=36600,
    )
    count_since_boot: bool = _key(
        False, "Count what an interface had already counted when it is seen for the first time."
    )

    @property
    def sample_interval_us(self) -> int:
        """Time between two readings, in microseconds."""
        return parse_duration(self.sample_interval)

    @property
    def pins_directory(self) -> str:
        """Where the kernel's counters of applications stay, "" for nowhere."""
        return "" if self.pins == "off" else self.pins

    @property
    def commit_interval_us(self) -> int:
        """Time between two commits, in microseconds."""
        return parse_duration(self.commit_interval)


@dataclass(frozen=True, slots=True)
class InterfaceSettings:
    """Which interfaces are shown, and which count in the machine's total."""

    hidden: Globs = _key(
        (), "Names (globs) of interfaces that summaries leave out; they are recorded all the same."
    )
    counted: Globs = _key((), "Names (globs) of interfaces that always count in the machine's total.")
    not_counted: Globs = _key((), "Names (globs) of interfaces that never count in the machine's total.")


@dataclass(frozen=True, slots=True)
class SourceSettings:
    """Where the numbers come from."""

    kind: SourceKind = _key("auto", "The source of counters; auto: netlink on Linux, otherwise psutil.")


@dataclass(frozen=True, slots=True)
class ReportSettings:
    """How reports are cut and written."""

    units: Units = _key(Units.SI, "Units of sizes: si (1 kB = 1000 B) or iec (1 KiB = 1024 B).")
    bits: bool = _key(False, "Write rates in bits instead of bytes.")
    tz: str = _key("", "Time zone of days, weeks and months; empty: the system's.", kind="zone")
    billing_day: int = _key(
        1, "Day on which a month begins; 29 to 31 mean the last day of a shorter month.", low=1, high=31
    )
    week_start: Weekday = _key("monday", "Day on which a week begins.")


@dataclass(frozen=True, slots=True)
class TrackSettings:
    """What `track` logs, and where."""

    interval: str = _key("60s", "Time between two logged lines.", kind="duration", low="100ms", high="1d")
    csv_directory: str = _key(".", "Directory of the daily CSV files; relative to the working directory.")
    csv: bool = _key(True, "Write the daily CSV files.")

    @property
    def interval_us(self) -> int:
        """Time between two logged lines, in microseconds."""
        return parse_duration(self.interval)


@dataclass(frozen=True, slots=True)
class WebSettings:
    """Where the web page is served, and to whom."""

    host: str = _key("127.0.0.1", "Address to listen on; any but a loopback address asks for a token.")
    port: int = _key(8765, "Port to listen on; 0: any that is free.", low=0, high=65535)
    token_file: str = _key(
        "",
        "File with the token that readers have to know, 16 characters at least; made when it is not there.",
        kind="path",
    )
    allowed_hosts: Globs = _key(
        (),
        "Names (globs) under which the page may be asked for, beside localhost, this machine's name and addresses.",
    )


@dataclass(frozen=True, slots=True)
class MetricsSettings:
    """What monitoring systems are told."""

    applications: int = _key(
        50,
        "How many applications are told apart, those with the most bytes of all time; each has up to eight series.",
        low=0,
        high=10_000,
    )


@dataclass(frozen=True, slots=True)
class PlanSettings:
    """How much may be used in a cycle, and what counts."""

    name: str = _needed("Name of the plan, by which commands and alerts know it.", kind="name")
    cap: str = _needed('What may be used in a cycle, as in "100 GB" or "500 GiB".', kind="size", low="1 B")
    direction: Direction = _key("both", "What counts: rx (received), tx (sent) or both together.")
    cycle: str = _key(
        "month", 'When a new cycle begins: month, week, or a number of days, as in "30d".', kind="cycle"
    )
    day: int = _key(
        1,
        "Day on which a cycle of a month begins; 29 to 31 mean the last day of a shorter month.",
        low=1,
        high=31,
    )
    weekday: Weekday = _key("monday", "Day on which a cycle of a week begins.")
    start: str = _key(
        "",
        'First day of the plan, as in "2026-11-20"; nothing counts before it. Cycles of a number of days are counted from '
        "it, so those need it.",
        kind="date",
    )
    interfaces: Globs = _key((), "Names (globs) of the interfaces that count; none: the machine's total.")
    hosts: Globs = _key(
        (),
        "Names (globs) of hosts of the fleet: what they use together counts, and the fleet is asked; none, and no labels: "
        "this machine alone.",
    )
    labels: Globs = _key(
        (),
        'Labels (globs) of hosts of the fleet, as in "site=berlin" or "role=*", each of which a host has to have; as hosts.',
    )
    exclude_lan: bool = _key(False, "Leave out what applications exchanged within the local network.")
    already_used: str = _key("0 B", "What had been used of a cycle before it was recorded.", kind="size")
    already_used_at: str = _key(
        "", "A day of the cycle in which already_used counts; needed with it.", kind="date"
    )
    free_hours: Globs = _key(
        (),
        'Hours of the local day that do not count, as in "01:00-06:00"; they may go past midnight.',
        kind="hours",
    )
    zero_rated: Globs = _key((), "Names or paths (globs) of applications that do not count.")
    roll_over: int = _key(
        0, "For how many cycles what was left of one may still be used; 0: it is lost.", low=0, high=120
    )
    thresholds: Percents = _key(
        (80, 90, 100), "Percentages of what may be used that are worth telling.", low=1, high=1000
    )

    @property
    def cap_bytes(self) -> int:
        """What may be used in a cycle, in bytes."""
        return parse_bytes(self.cap)

    @property
    def is_of_hosts(self) -> bool:
        """Whether it is about hosts of the fleet, and not about this machine."""
        return bool(self.hosts or self.labels)

    @property
    def already_used_bytes(self) -> int:
        """What had been used before it was recorded, in bytes."""
        return parse_bytes(self.already_used)

    @property
    def cycle_days(self) -> int:
        """The length of a cycle that is a number of days; 0 for those that are a month or a week."""
        return parse_cycle(self.cycle)

    @property
    def free_minutes(self) -> tuple[tuple[int, int], ...]:
        """Free hours as minutes of the local day, from and to; where the second is not after the first, of the next day."""
        return tuple(parse_hours(text) for text in self.free_hours)

    def contradiction(self) -> tuple[str, str] | None:
        """What no key can say alone: the key and the reason."""
        if self.cycle_days and not self.start:
            return "start", f'cycles of {self.cycle} need the first day, as in start = "2026-11-20"'
        if self.cycle != "month" and self.day != 1:
            return "day", f"a cycle of {self.cycle} has no day of the month"
        if self.cycle != "week" and self.weekday != "monday":
            return "weekday", f"a cycle of {self.cycle} has no day of the week"
        if self.already_used_bytes and not self.already_used_at:
            return "already_used", "needs a day of the cycle in which it counts: already_used_at"
        if self.already_used_at and self.start and self.already_used_at < self.start:
            return "already_used_at", f"is before the first day of the plan, {self.start}"
        return None


@dataclass(frozen=True, slots=True)
class AlertsSettings:
    """What is told of, and how it is delivered."""

    to: Globs = _key(
        (),
        'Where alerts go: URLs of apprise, as in "mailto://user:password@example.org" or "ntfy://topic"; never shown.',
        kind="secret",
    )
    to_file: str = _key(
        "", "File with more such URLs, one a line, so that secrets are not in this file.", kind="path"
    )
    command: Globs = _key(
        (),
        "A command and its arguments, run for each message: it is given JSON on its standard input, and NETUSAGE_ALERT_KIND, "
        "_SUBJECT, _TEXT, _TIME and _COUNT.",
    )
    log: bool = _key(
        False, "Keep the log of alerts (netusage alerts) also where they are delivered to nobody."
    )
    thresholds: bool = _key(True, "Tell when a plan's thresholds are reached, each once a cycle.")
    first_seen: bool = _key(
        True, "Tell of applications that use the network for the first time, or have another executable."
    )
    gaps: bool = _key(True, "Tell of gaps in the record, and when nothing is recorded.")
    ledger: bool = _key(
        True, "Tell of trouble with the ledger: failed commits, damage, a disk that is nearly full."
    )
    longest_pause: str = _key(
        "10m",
        "How long nothing may be recorded before that is told; shorter pauses that lost nothing are only logged.",
        kind="duration",
        low="1m",
        high="7d",
    )
    every: str = _key("10s", "Time between two looks at the ledger.", kind="duration", low="1s", high="10min")
    per_hour: int = _key(
        20,
        "Messages that each of these places gets in an hour at most; what is beyond that is gathered in one.",
        low=1,
        high=1000,
    )
    journal: str = _key(
        "", "The file that remembers alerts until they are delivered; empty: beside the ledger.", kind="path"
    )

    @property
    def every_us(self) -> int:
        """Time between two looks, in microseconds."""
        return parse_duration(self.every)

    @property
    def longest_pause_us(self) -> int:
        """How long nothing may be recorded, in microseconds."""
        return parse_duration(self.longest_pause)


@dataclass(frozen=True, slots=True)
class FleetSettings:
    """Where a copy of the record goes that many hosts share, and what of it."""

    url: str = _key(
        "",
        'The ClickHouse server that hosts deliver to, as in "https://fleet.example.org:8443"; empty: nothing is '
        "delivered. Its password stands in password_file, or a token in token_file.",
        kind="url",
    )
    database: str = _key("netusage", "The database on that server.", kind="identifier")
    user: str = _key("default", "As whom to deliver and to ask.", kind="name")
    password_file: str = _key("", "File with the password of that user, on one line.", kind="path")
    token_file: str = _key(
        "",
        "File with a bearer token, on one line, which is sent instead of user and password: for a proxy before the "
        "server, or a server that takes such.",
        kind="path",
    )
    ca: str = _key(
        "",
        "File with the certificates (PEM) of the authorities that the server's is to be from; empty: the system's.",
        kind="path",
    )
    certificate: str = _key(
        "", "File with the certificate (PEM) by which the server knows this host.", kind="path"
    )
    key: str = _key(
        "",
        "File with the private key (PEM) of that certificate, when it is not in the same file.",
        kind="path",
    )
    interval: str = _key(
        "1h",
        "Time between two deliveries; each host has a moment of its own in it.",
        kind="duration",
        low="10s",
        high="1d",
    )
    timeout: str = _key(
        "30s",
        "How long the server may be silent before that is an error.",
        kind="duration",
        low="1s",
        high="10min",
    )
    share: Globs = _key(
        FLEET_SHARES,
        "What may leave this host beside the usage of interfaces: applications; users and units (with containers and "
        "pods) of those; scopes, that is how far away the other ends were. An empty list: none of them.",
        kind="shares",
    )
    labels: Globs = _key(
        (), 'What this host is chosen by in a fleet, as in ["site=berlin", "role=web"].', kind="label"
    )
    name: str = _key("", "What this host is called in the fleet; empty: its hostname.")

    @property
    def interval_us(self) -> int:
        """Time between two deliveries, in microseconds."""
        return parse_duration(self.interval)

    @property
    def at_home_us(self) -> int:
        """How long a host may have something that it has not delivered, and is not late; in microseconds."""
        return max(_AT_HOME_US, 2 * self.interval_us)

    @property
    def timeout_us(self) -> int:
        """How long the server may be silent, in microseconds."""
        return parse_duration(self.timeout)


@dataclass(frozen=True, slots=True)
class AlertSettings:
    """A rate or a quota above which is told."""

    name: str = _needed("Name of the alert.", kind="name")
    kind: AlertKind = _needed("rate: of interfaces; quota: what an application has in a period.")
    above: str = _needed('What is too much: as in "10 MB/s" or "80 Mbit/s" of a rate, "5 GB" of a quota.')
    lasting: str = _key(
        "5m", "How long a rate has to be above, in whole minutes.", kind="duration", low="1m", high="1d"
    )
    direction: Direction = _key("both", "What counts: rx (received), tx (sent) or both together.")
    interfaces: Globs = _key((), "Names (globs) of the interfaces that count; none: the machine's total.")
    application: str = _key("*", "Name (glob) of the applications, each of which has the quota.")
    per: QuotaPeriod = _key("day", "The period of a quota.")

    @property
    def above_bytes(self) -> int:
        """Bytes per second of a rate, bytes of a quota."""
        return parse_rate(self.above) if self.kind == "rate" else parse_bytes(self.above)

    @property
    def lasting_minutes(self) -> int:
        """Whole minutes for which a rate has to be above."""
        return -(-parse_duration(self.lasting) // 60_000_000)

    def contradiction(self) -> tuple[str, str] | None:
        """What no key can say alone: the key and the reason."""
        try:
            if not self.above_bytes:
                return "above", "nothing is not too much"
        except UsageError as error:
            return "above", str(error)
        if self.kind == "rate" and self.application != "*":
            return "application", "rates are known of interfaces only; an application has a quota"
        if not self.application:
            return "application", "an empty name matches nothing"
        return None


@dataclass(frozen=True, slots=True)
class Settings:
    """Every setting, with its default."""

    ledger: LedgerSettings = field(default_factory=LedgerSettings)
    recorder: RecorderSettings = field(default_factory=RecorderSettings)
    interfaces: InterfaceSettings = field(default_factory=InterfaceSettings)
    source: SourceSettings = field(default_factory=SourceSettings)
    report: ReportSettings = field(default_factory=ReportSettings)
    track: TrackSettings = field(default_factory=TrackSettings)
    web: WebSettings = field(default_factory=WebSettings)
    metrics: MetricsSettings = field(default_factory=MetricsSettings)
    alerts: AlertsSettings = field(default_factory=AlertsSettings)
    fleet: FleetSettings = field(default_factory=FleetSettings)
    plan: tuple[PlanSettings, ...] = ()
    alert: tuple[AlertSettings, ...] = ()

    @property
    def unwatched_plans(self) -> tuple[str, ...]:
        """Names of plans whose thresholds nobody is told of, though alerts say so: they are about hosts of the fleet."""
        return tuple(plan.name for plan in self.plan if plan.is_of_hosts) if self.alerts.thresholds else ()

    @property
    def wants_alerts(self) -> bool:
        """Whether anybody is to be told, or a log is to be kept."""
        alerts = self.alerts
        return bool(alerts.to or alerts.to_file or alerts.command or alerts.log or self.alert)


SECTIONS: dict[str, type] = {
    "ledger": LedgerSettings,
    "recorder": RecorderSettings,
    "interfaces": InterfaceSettings,
    "source": SourceSettings,
    "report": ReportSettings,
    "track": TrackSettings,
    "web": WebSettings,
    "metrics": MetricsSettings,
    "alerts": AlertsSettings,
    "fleet": FleetSettings,
}
# what may be written several times, [[plan]]; a method `contradiction` says what no key can say alone
TABLES: dict[str, type] = {
    "plan": PlanSettings,
    "alert": AlertSettings,
}


class Key(NamedTuple):
    """One key of the configuration, as the schema declares it; `section` is that of a section or a table."""

    section: str
    name: str
    type: Any
    default: Any
    doc: str
    kind: str
    low: int | str
    high: int | str

    @property
    def needed(self) -> bool:
        """Whether it has no default."""
        return self.default is MISSING

    @property
    def dotted(self) -> str:
        """The key with its section, as in "recorder.sample_interval"."""
        return f"{self.section}.{self.name}"

    @property
    def variable(self) -> str:
        """The environment variable that sets it."""
        return f"{ENVIRONMENT_PREFIX}{self.section}_{self.name}".upper()

    @property
    def choices(self) -> tuple[str, ...]:
        """The texts that it may be; empty when it is free."""
        if get_origin(self.type) is Literal:
            return get_args(self.type)
        if isinstance(self.type, type) and issubclass(self.type, Enum):
            return tuple(str(member.value) for member in self.type)
        return ()


def declared_keys() -> dict[str, Key]:
    """Every key of the sections by its dotted name, in the order of the schema."""
    return {key.dotted: key for section, holder in SECTIONS.items() for key in _keys_of(section, holder)}


def table_keys(table: str) -> dict[str, Key]:
    """Every key of a table by its own name, in the order of the schema."""
    return {key.name: key for key in _keys_of(table, TABLES[table])}


def _keys_of(section: str, holder: type) -> Iterator[Key]:
    for item in fields(holder):
        said = item.metadata
        yield Key(
            section, item.name, item.type, item.default, said["doc"], said["kind"], said["low"], said["high"]
        )


# ---- Texts with a meaning of their own ---------------------------------------------------------------------------


def parse_cycle(text: str) -> int:
    """The days of a cycle such as "30d"; 0 for "month" and "week".

    Raises:
        UsageError: it is none of them.
    """
    if text in ("month", "week"):
        return 0
    days = text.removesuffix("d")
    if text.endswith("d") and days.isascii() and days.isdigit() and 1 <= int(days[:6]) <= _LONGEST_CYCLE:
        return int(days)
    raise UsageError(f'expected month, week or 1 to {_LONGEST_CYCLE} days as in "30d", got {text!r}')


def parse_hours(text: str) -> tuple[int, int]:
    """The minutes of the day from and to which "01:00-06:00" goes; the second may be the smaller one.

    Raises:
        UsageError: it is no such stretch, or an empty one.
    """
    ends = [_minute_of_day(part) for part in text.split("-")]
    if len(ends) != 2 or None in ends or ends[0] == ends[1] or ends[0] == _DAY_MINUTES:
        raise UsageError(f'expected hours as in "01:00-06:00", got {text!r}')
    assert ends[0] is not None
    assert ends[1] is not None
    return ends[0], ends[1]


def _minute_of_day(text: str) -> int | None:
    """0 to 1440, the end of the day; None when it is no time of day."""
    hours, _, minutes = text.strip().partition(":")
    if not (
        1 <= len(hours) <= 2
        and len(minutes) == 2
        and (hours + minutes).isascii()
        and (hours + minutes).isdigit()
    ):
        return None
    found = int(hours) * 60 + int(minutes)
    return found if int(minutes) < 60 and found <= _DAY_MINUTES else None
