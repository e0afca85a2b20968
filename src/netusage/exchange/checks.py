"""Whether values make a row that a ledger could have written. What is wrong names its column."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, Final, NoReturn

from netusage.exchange.tables import AnyRow, Kind, Table, checked_time, shown, time_of
from netusage.model import LARGEST, LONGEST_DAY_S, MINUTE_S, QUARTER_S, SHORTEST_DAY_S, US, GapKind
from netusage.reports.applications import NOBODY, PROTOCOLS, SCOPES
from netusage.reports.extract import ESTIMATED, ApplicationRow, GapRow, Resolution, Row, UsageRow, WatchedRow

_WORD = re.compile(r"[a-z][a-z0-9-]{0,31}", re.ASCII)
_RESOLUTIONS = frozenset(one.value for one in Resolution)
_EVEN_US = {Resolution.MINUTE.value: MINUTE_S * US, Resolution.QUARTER.value: QUARTER_S * US}
_NUMBERS = {name: number for number, name in PROTOCOLS.items()}


class WrongValueError(ValueError):
    """A value that cannot be: in which column, and why."""

    def __init__(self, column: str, why: str) -> None:
        super().__init__(f"column {column}: {why}")


# ---- Single values ----------------------------------------------------------------------------------------------


def _count_of_text(text: str) -> int:
    if text.isascii() and text.isdigit() and len(text) <= 19:
        number = int(text)
        if number <= LARGEST:
            return number
    return _no_count(text)


def _count(value: Any) -> int:
    if type(value) is int and 0 <= value <= LARGEST:
        return value
    return _no_count(value)


def _no_count(value: object) -> NoReturn:
    raise ValueError(f"{shown(value)} is not a whole number from 0 to 2^63-1")


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    raise ValueError(f"{shown(value)} is not text")


def _time(value: Any) -> int:
    if isinstance(value, str):
        return time_of(value)
    raise ValueError(f"{shown(value)} is not a time in words")


def _time_of_number(value: Any) -> int:
    if type(value) is int:
        return checked_time(value, value)
    raise ValueError("there is no time")


def _flag(*words: Any) -> Callable[[Any], bool]:
    def read(value: Any) -> bool:
        for meaning, word in enumerate(words):
            if type(value) is type(word) and value == word:
                return bool(meaning)
        raise ValueError(f"{shown(value)} is neither {words[1]!r} nor {words[0]!r}")

    return read


Readers = dict[Kind, Callable[[Any], Any]]
CSV: Final[Readers] = {
    Kind.TIME: time_of,
    Kind.TEXT: _text,
    Kind.FLAG: _flag("false", "true"),
    Kind.COUNT: _count_of_text,
    Kind.RATE: lambda text: _count_of_text(text) if text else None,
}
JSON: Final[Readers] = {
    Kind.TIME: _time,
    Kind.TEXT: _text,
    Kind.FLAG: _flag(False, True),
    Kind.COUNT: _count,
    Kind.RATE: lambda value: None if value is None else _count(value),
}
SQLITE: Final[Readers] = {**JSON, Kind.FLAG: _flag(0, 1)}
PARQUET: Final[Readers] = {**JSON, Kind.TIME: _time_of_number}


class RowReader:
    """Makes rows of values in the order of a table's columns, as a format has them."""

    def __init__(self, table: Table, readers: Readers) -> None:
        self._make: Callable[[Sequence[Any]], Any] = table.row._make
        self._check = _CHECKS[table.row]
        self._columns = [(column.name, readers[column.kind]) for column in table.columns]

    def __call__(self, values: Sequence[Any]) -> Row:
        """The row that has these values.

        Raises:
            WrongValueError: it cannot be one.
        """
        found = []
        for (name, read), value in zip(self._columns, values, strict=True):
            try:
                found.append(read(value))
            except ValueError as error:
                raise WrongValueError(name, str(error)) from None
        row: Row = self._make(found)
        self._check(row)
        return row


# ---- Whole rows -------------------------------------------------------------------------------------------------


def _check_usage(row: UsageRow) -> None:
    _check_name("interface", row.interface)
    if row.end_us <= row.start_us:
        raise WrongValueError("end", "it is not after the start")
    if row.record == ESTIMATED:
        _check_estimated(row)
        return
    if row.record not in _RESOLUTIONS:
        raise WrongValueError(
            "record", f"{shown(row.record)} is none of {', '.join(Resolution)} and {ESTIMATED}"
        )
    if row.because:
        raise WrongValueError("because", "only estimated stretches have it")
    if row.estimated_rx_bytes > row.rx_bytes or row.estimated_tx_bytes > row.tx_bytes:
        raise WrongValueError("estimated_rx_bytes", "more is estimated than there is")
    even_us = _EVEN_US.get(row.record)
    if even_us is None:
        _check_longer(row)
    else:
        _check_counted(row, even_us)


def _check_estimated(row: UsageRow) -> None:
    if (row.estimated_rx_bytes, row.estimated_tx_bytes) != (row.rx_bytes, row.tx_bytes):
        raise WrongValueError("estimated_rx_bytes", "all bytes of an estimated stretch are estimated")
    if row.peak_rx_bytes_per_second is not None or row.peak_tx_bytes_per_second is not None:
        raise WrongValueError("peak_rx_bytes_per_second", "an estimated stretch has none")
    _check_word("because", row.because)


def _check_longer(row: UsageRow) -> None:
    """Hours and more: how long one is depends on the zone."""
    minute_us = MINUTE_S * US
    if row.end_us - row.start_us <= QUARTER_S * US or row.start_us % minute_us or row.end_us % minute_us:
        raise WrongValueError("start", f"start and end are not those of one {row.record}")


def _check_counted(row: UsageRow, even_us: int) -> None:
    if row.end_us - row.start_us != even_us or row.start_us % even_us:
        raise WrongValueError("start", f"start and end are not those of one {row.record}")
    if row.estimated_rx_bytes or row.estimated_tx_bytes:
        raise WrongValueError("estimated_rx_bytes", f"nothing is estimated in one {row.record}")
    if row.peak_rx_bytes_per_second is None or row.peak_tx_bytes_per_second is None:
        raise WrongValueError("peak_rx_bytes_per_second", f"one {row.record} has both peaks")


def _check_application(row: ApplicationRow) -> None:
    _check_name("interface", row.interface)
    length_us, quarter_us = row.end_us - row.start_us, QUARTER_S * US
    if length_us <= 0:
        raise WrongValueError("end", "it is not after the start")
    is_day = length_us % quarter_us == 0 and SHORTEST_DAY_S * US <= length_us <= LONGEST_DAY_S * US
    if row.start_us % quarter_us or not (length_us == quarter_us or is_day):
        raise WrongValueError("end", "a ledger has applications by quarters of an hour or by days")
    kinds = ["application", *NOBODY]
    if row.application_kind not in kinds:
        raise WrongValueError(
            "application_kind", f"{shown(row.application_kind)} is none of {', '.join(kinds)}"
        )
    try:
        scope_of(row.scope), protocol_of(row.protocol)
    except ValueError as error:
        raise WrongValueError(*error.args) from None
    if row.family not in (0, 4, 6):
        raise WrongValueError("family", f"{row.family} is none of 0, 4 and 6")


def _check_gap(row: GapRow) -> None:
    if row.end_us < row.start_us:
        raise WrongValueError("end", "it is before the start")
    if row.kind not in list(GapKind):
        raise WrongValueError("kind", f"{shown(row.kind)} is none of {', '.join(GapKind)}")
    _check_name("interface", row.interface or "all")
    _check_name("note", row.note or "none")


def _check_watched(row: WatchedRow) -> None:
    if row.end_us < row.start_us:
        raise WrongValueError("end", "it is before the start")
    _check_word("source", row.source)


_CHECKS: Final[dict[type[AnyRow], Callable[[Any], None]]] = {
    UsageRow: _check_usage,
    ApplicationRow: _check_application,
    GapRow: _check_gap,
    WatchedRow: _check_watched,
}


def scope_of(word: str) -> int:
    """The number of a scope.

    Raises:
        ValueError: there is none; its arguments are the column and the reason.
    """
    if word in SCOPES:
        return SCOPES.index(word)
    return _small_number("scope", word)


def protocol_of(word: str) -> int:
    """The number of a protocol, 0 for none; raises as `scope_of`."""
    if not word:
        return 0
    return _NUMBERS[word] if word in _NUMBERS else _small_number("protocol", word)


def _small_number(column: str, word: str) -> int:
    if word.isascii() and word.isdigit() and len(word) <= 3:
        return int(word)
    raise ValueError(column, f"{shown(word)} is not known")


def _check_name(column: str, name: str) -> None:
    if not name:
        raise WrongValueError(column, "it is empty")
    try:
        name.encode()
    except UnicodeEncodeError:
        raise WrongValueError(column, f"{shown(name)} is no text") from None


def _check_word(column: str, word: str) -> None:
    if not _WORD.fullmatch(word):
        raise WrongValueError(column, f"{shown(word)} is not a word as in 'stopped'")
