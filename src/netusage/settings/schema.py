"""The one schema of the configuration: sections, keys, defaults, meanings and ranges.

Everything that speaks of settings is made from here: the loader, the environment variables, `config show` and
the reference. Only the standard library is needed, so the defaults are to be had without any package.
"""

# ruff: noqa: RUF009  # `_key` returns a field of dataclasses

from dataclasses import dataclass, field, fields
from enum import Enum
from typing import Any, Literal, NamedTuple, get_args, get_origin

from netusage.units import Units, parse_duration

SourceKind = Literal["auto", "netlink", "psutil"]
Applications = Literal["auto", "kernel", "before-queueing", "sockets", "off"]
Weekday = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
Globs = tuple[str, ...]

ENVIRONMENT_PREFIX = "NETUSAGE_"
LEDGER_VARIABLE = "NETUSAGE_DB"
CONFIG_VARIABLE = "NETUSAGE_CONFIG"
# understood by the program, and no settings
OTHER_VARIABLES = ("NETUSAGE_DEBUG",)


def _key(default: object, doc: str, *, kind: str = "", low: int | str = "", high: int | str = "") -> Any:
    """A field with its meaning; `kind` is "duration", "path", "zone" or "", `low` and `high` its range."""
    return field(default=default, metadata={"doc": doc, "kind": kind, "low": low, "high": high})


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
class Settings:
    """Every setting, with its default."""

    ledger: LedgerSettings = field(default_factory=LedgerSettings)
    recorder: RecorderSettings = field(default_factory=RecorderSettings)
    interfaces: InterfaceSettings = field(default_factory=InterfaceSettings)
    source: SourceSettings = field(default_factory=SourceSettings)
    report: ReportSettings = field(default_factory=ReportSettings)
    track: TrackSettings = field(default_factory=TrackSettings)
    web: WebSettings = field(default_factory=WebSettings)


SECTIONS: dict[str, type] = {
    "ledger": LedgerSettings,
    "recorder": RecorderSettings,
    "interfaces": InterfaceSettings,
    "source": SourceSettings,
    "report": ReportSettings,
    "track": TrackSettings,
    "web": WebSettings,
}


class Key(NamedTuple):
    """One key of the configuration, as the schema declares it."""

    section: str
    name: str
    type: Any
    default: Any
    doc: str
    kind: str
    low: int | str
    high: int | str

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
    """Every key by its dotted name, in the order of the schema."""
    found = {}
    for section, holder in SECTIONS.items():
        for item in fields(holder):
            said = item.metadata
            key = Key(
                section,
                item.name,
                item.type,
                item.default,
                said["doc"],
                said["kind"],
                said["low"],
                said["high"],
            )
            found[key.dotted] = key
    return found
