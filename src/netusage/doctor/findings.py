"""The outcome of one check."""

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """How a check came out."""

    OK = "ok"
    NOTE = "note"  # works, and could be better
    PROBLEM = "problem"  # does not work


@dataclass(frozen=True, slots=True)
class Finding:
    """One check: what it is about, how it came out, the evidence, and what to do ("" when nothing)."""

    about: str
    verdict: Verdict
    found: str
    todo: str = ""
