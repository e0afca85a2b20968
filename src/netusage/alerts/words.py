"""What alerts are made of: kinds, what a rule comes to, and how numbers and times are written for people."""

from dataclasses import dataclass
from datetime import datetime, tzinfo
from enum import StrEnum
from typing import Any, NamedTuple

from netusage.ledger.alert_journal import Alert
from netusage.model import US
from netusage.periods import isoformat
from netusage.units import Units, format_bytes, format_rate

DAY_US = 86_400 * US

Memory = dict[str, Any]


class Kind(StrEnum):
    """What an alert is about."""

    THRESHOLD = "threshold"
    RATE = "rate"
    QUOTA = "quota"
    FIRST_SEEN = "first-seen"
    CHANGED = "changed"
    GAP = "gap"
    SILENCE = "silence"
    LEDGER = "ledger"
    JOURNAL = "journal"
    TEST = "test"


class Judgement(NamedTuple):
    """The alerts, and what is remembered from now on."""

    alerts: list[Alert]
    memory: Memory


@dataclass(frozen=True, slots=True)
class Words:
    """How numbers and times are written for people: units, and the zone of times."""

    zone: tzinfo
    units: Units = Units.SI
    bits: bool = False

    def bytes(self, number: int) -> str:
        """An amount."""
        return format_bytes(number, self.units)

    def rate(self, bytes_per_second: float) -> str:
        """A rate."""
        return format_rate(bytes_per_second, self.units, self.bits)

    def day(self, at_s: int) -> str:
        """The local day of a time."""
        return datetime.fromtimestamp(at_s, self.zone).date().isoformat()

    def moment(self, at_us: int) -> str:
        """A time, to the second."""
        return datetime.fromtimestamp(at_us // US, self.zone).isoformat(" ")[:19]

    def iso(self, at_us: int) -> str:
        """A time for programs."""
        return isoformat(at_us // US, self.zone)
