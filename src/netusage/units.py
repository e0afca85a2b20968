"""Bytes, rates and durations as people write and read them.

SI units are powers of 1000 (kB, MB, GB), IEC units powers of 1024 (KiB, MiB, GiB). A number is scaled and rounded
in integers, half away from zero, so what is printed is right to its last digit at any size.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from enum import StrEnum
from math import gcd

from netusage.errors import UsageError
from netusage.model import US
from netusage.records import NamedTuple

_PREFIXES = "kMGTPE"
_MINUTE_US = 60 * US
_HOUR_US = 60 * _MINUTE_US
_DAY_US = 24 * _HOUR_US
_WEEK_US = 7 * _DAY_US
_LIMIT = 2**63


class Units(StrEnum):
    """Which powers and names are used for multiples of a byte."""

    SI = "si"
    IEC = "iec"

    @property
    def step(self) -> int:
        """The factor from one unit to the next."""
        return 1000 if self is Units.SI else 1024


# ---- Bytes and rates --------------------------------------------------------------------------------------------


def _divide(numerator: int, denominator: int) -> int:
    """The quotient of two integers, the first not negative, rounded half up."""
    return (2 * numerator + denominator) // (2 * denominator)


class _Scale(NamedTuple):
    """How numbers from `least` on are shown: (number * times + half) // hundredth are hundredths of a unit."""

    least: int
    times: int
    half: int
    hundredth: int


def _scales(step: int) -> tuple[_Scale, ...]:
    """Each unit from the least number that is one of it, as printed; numbers below the second are shown as they are."""
    found = []
    for power in range(len(_PREFIXES) + 1):
        unit = step**power
        rounded_up = unit // step // 200 if power > 1 else 0
        common = gcd(unit, 100)  # small factors are quicker
        hundredth = unit // common
        found.append(_Scale(unit - rounded_up if power else 0, 100 // common, hundredth // 2, hundredth))
    return tuple(found)


def _texts(numbers: Sequence[int], scales: Sequence[_Scale], names: Sequence[str]) -> list[str]:
    """Each number in the largest unit in which it is at least one, as printed.

    Neighbours are mostly of one unit, so that is looked for again only where a number is outside of it.
    """
    texts = []
    bounds = [scale.least for scale in scales]
    low, high = 0, 0
    for number in numbers:
        if not low <= number < high:
            if number < 0:
                texts.append(f"-{_texts((-number,), scales, names)[0]}")
                continue
            if number < bounds[1]:
                texts.append(f"{number} {names[0]}")
                continue
            place = bisect_right(bounds, number) - 1
            low, times, half, hundredth = scales[place]
            high = bounds[place + 1] if place + 1 < len(bounds) else number + 1
            name = names[place]
        shown = (number * times + half) // hundredth
        texts.append(f"{shown // 100}{_HUNDREDTHS[shown % 100]} {name}")
    return texts


def _names(units: Units, symbol: str) -> tuple[str, ...]:
    if units is Units.SI:
        return (symbol, *(f"{prefix}{symbol}" for prefix in _PREFIXES))
    return (symbol, *(f"{prefix.upper()}i{symbol}" for prefix in _PREFIXES))


_SCALES = {units: _scales(units.step) for units in Units}
_HUNDREDTHS = [f".{n:02d}" for n in range(100)]
_BYTE_NAMES = {units: _names(units, "B") for units in Units}
_RATE_NAMES = {
    (units, bits): tuple(f"{name}/s" for name in _names(units, "bit" if bits else "B"))
    for units in Units
    for bits in (False, True)
}


def format_bytes(n: int, units: Units) -> str:
    """`n` bytes for people, e.g. "1.50 GB" or "1.40 GiB".

    Bytes below the first multiple have no decimals. A number that would round up to a whole step moves to the next
    unit: 999,996,000 bytes are "1.00 GB", not "1000.00 MB".
    """
    return format_all_bytes((n,), units)[0]


def format_all_bytes(numbers: Sequence[int], units: Units) -> list[str]:
    """Many of them, as `format_bytes` writes each."""
    return _texts(numbers, _SCALES[units], _BYTE_NAMES[units])


def format_rate(bytes_per_second: float, units: Units, bits: bool = False) -> str:
    """A rate for people, e.g. "1.50 MB/s", or with `bits` "12.00 Mbit/s".

    Raises:
        ValueError, OverflowError: the rate is not a finite number.
    """
    return format_all_rates((bytes_per_second,), units, bits)[0]


def format_all_rates(rates: Iterable[float], units: Units, bits: bool = False) -> list[str]:
    """Many of them, as `format_rate` writes each."""
    numbers = [round(rate * 8 if bits else rate) for rate in rates]
    return _texts(numbers, _SCALES[units], _RATE_NAMES[units, bits])


def megabytes(n: int, units: Units) -> str:
    """`n` bytes in the unit that `megabyte_name` names, always with two decimals and without the unit."""
    sign = "-" if n < 0 else ""
    scaled = _divide(abs(n) * 100, units.step**2)
    return f"{sign if scaled else ''}{scaled // 100}{_HUNDREDTHS[scaled % 100]}"


def megabyte_name(units: Units) -> str:
    """The unit of `megabytes`: MB are 10^6 bytes, MiB are 2^20."""
    return "MB" if units is Units.SI else "MiB"


# re is imported and patterns are compiled when they are used first: most commands use none of them
_BYTES = r"([0-9]{1,30})(?:\.([0-9]{1,30}))?\s*([A-Za-z]*)"
_MEGABITS = r"[kKMGTPE]i?b"
_BYTE_FACTORS = {
    name.lower(): units.step**power for units in Units for power, name in enumerate(_BYTE_NAMES[units])
} | {"": 1, "byte": 1, "bytes": 1}
_BYTES_HINT = (
    'write a number and a unit, e.g. "1.5GB" (10^9 bytes) or "500 MiB" (2^20 bytes); a number alone is bytes'
)


def parse_bytes(text: str) -> int:
    """An amount of bytes that a person wrote: "1.5GB", "500 MiB", "1024".

    Case does not matter, except that "Mb" is refused: it reads as megabits. A fraction of a byte is rounded.

    Raises:
        UsageError: not an amount, a unit that could mean two things, or not below 2^63.
    """
    import re  # noqa: PLC0415  # see above

    match = re.fullmatch(_BYTES, text.strip(), re.ASCII)
    if match is None:
        raise UsageError(f"{text!r} is not an amount of bytes", hint=_BYTES_HINT)
    whole, fraction, unit = match[1], match[2] or "", match[3]
    if re.fullmatch(_MEGABITS, unit, re.ASCII):
        raise UsageError(f"{text!r} could mean bits or bytes", hint=_BYTES_HINT)
    factor = _BYTE_FACTORS.get(unit.lower())
    if factor is None:
        why = "does not say whether by 1000 or by 1024" if unit.upper() in "KMGTPE" else "has an unknown unit"
        raise UsageError(f"{text!r} {why}", hint=_BYTES_HINT)
    n = _divide(int(whole + fraction) * factor, 10 ** len(fraction))
    if n >= _LIMIT:
        raise UsageError(f"{text!r} is more than can be counted (2^63 bytes)", hint=_BYTES_HINT)
    return n


def parse_rate(text: str) -> int:
    """The bytes per second of a rate that a person wrote: "10 MB/s", "80 Mbit/s".

    Raises:
        UsageError: not a rate; see `parse_bytes`.
    """
    amount, slash, per = text.strip().rpartition("/")
    if not slash or per.strip() != "s":
        raise UsageError(f"{text!r} is not a rate", hint='write e.g. "10 MB/s" or "80 Mbit/s"')
    of_bits = amount.rstrip().removesuffix("bit")
    if of_bits == amount.rstrip():
        return parse_bytes(amount)
    return _divide(parse_bytes(f"{of_bits}B"), 8)


# ---- Durations --------------------------------------------------------------------------------------------------


class _DurationUnit(NamedTuple):
    """A unit of duration: its short name, all its names, and its length."""

    short: str
    names: str
    us: int


_DURATION_UNITS = (
    _DurationUnit("w", "w week weeks", _WEEK_US),
    _DurationUnit("d", "d day days", _DAY_US),
    _DurationUnit("h", "h hr hrs hour hours", _HOUR_US),
    _DurationUnit("m", "m min mins minute minutes", _MINUTE_US),
    _DurationUnit("s", "s sec secs second seconds", US),
    _DurationUnit("ms", "ms", 1000),
    _DurationUnit("us", "us", 1),
)
_DURATION_FACTORS = {name: unit.us for unit in _DURATION_UNITS for name in unit.names.split()}
_DURATION = r"(?:[0-9]{1,18}(?:\.[0-9]{1,18})?\s*[a-z]+\s*)+"
_DURATION_PART = r"([0-9]+)(?:\.([0-9]+))?\s*([a-z]+)"
_PLAIN_SECONDS = r"[0-9]{1,18}(?:\.[0-9]{1,18})?"
_DURATION_HINT = 'write e.g. "5s", "10m", "1h30m", "250ms", "2d" or "1w"; a number alone is seconds'


def parse_duration(text: str) -> int:
    """The microseconds of a duration that a person wrote: "5s", "1h30m", "250ms", "2d", "1w", "90".

    Units go from large to small, each at most once. A day is 24 hours here and a week seven of them: this is a
    length of time, not a stretch of the calendar.

    Raises:
        UsageError: not a duration, or not below 2^63 microseconds.
    """
    import re  # noqa: PLC0415  # see above

    stripped = text.strip()
    if re.fullmatch(_PLAIN_SECONDS, stripped, re.ASCII):
        stripped += "s"
    if not re.fullmatch(_DURATION, stripped, re.ASCII):
        raise UsageError(f"{text!r} is not a duration", hint=_DURATION_HINT)
    total, last = 0, _LIMIT
    for whole, fraction, name in re.findall(_DURATION_PART, stripped, re.ASCII):
        factor = _DURATION_FACTORS.get(name)
        if factor is None:
            raise UsageError(f"{text!r} is not a duration: {name!r} is not a unit of it", hint=_DURATION_HINT)
        if factor >= last:
            raise UsageError(
                f"{text!r} is not a duration: its units do not go from large to small", hint=_DURATION_HINT
            )
        last = factor
        total += _divide(int(whole + fraction) * factor, 10 ** len(fraction))
    if total >= _LIMIT:
        raise UsageError(f"{text!r} is too long a duration", hint=_DURATION_HINT)
    return total


def format_duration(us: int, *, parts: int | None = None) -> str:
    """A duration for people, e.g. "1h30m", "250ms", "2d"; `parse_duration` reads it back.

    Args:
        us: microseconds.
        parts: keep at most this many units, counted from the largest that is not zero, and round down; None keeps
            all of them, exact to the microsecond.
    """
    sign, rest = ("-", -us) if us < 0 else ("", us)
    out: list[str] = []
    first = None
    for place, unit in enumerate(
        _DURATION_UNITS[1:]
    ):  # days rather than weeks: people compare them at a glance
        count, left = divmod(rest, unit.us)
        if first is None and count:
            first = place
        if parts is not None and first is not None and place - first >= parts:
            break
        rest = left
        if count:
            out.append(f"{count}{unit.short}")
    return sign + "".join(out) if out else "0s"
