"""Rows as ClickHouse's TabSeparated has them: the one format that every version writes alike."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from netusage.errors import FleetError
from netusage.fleet.schema import LIMITS, Column, Table

Row = Sequence[Any]
_ESCAPES = {
    "\\": "\\\\",
    "\t": "\\t",
    "\n": "\\n",
    "\r": "\\r",
    "\0": "\\0",
    "'": "\\'",
    "\b": "\\b",
    "\f": "\\f",
}
_HARMFUL = re.compile("[" + "".join(map(re.escape, _ESCAPES)) + "]")
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_PLAIN = {"t": "\t", "n": "\n", "r": "\r", "0": "\0", "b": "\b", "f": "\f"}
_QUOTED = re.compile(r"'((?:[^'\\]|\\.)*)'", re.DOTALL)
_NUMBER = re.compile(r"U?Int(8|16|32|64)")
_NULL = r"\N"


def encode(table: Table, rows: Iterable[Row]) -> bytes:
    """Rows of a table, one line each.

    Raises:
        FleetError: a number is none that its column holds; the store would take another one for it.
    """
    writers = [_writer(table, column) for column in table.columns]
    lines = [
        "\t".join([write(value) for write, value in zip(writers, row, strict=True)]) + "\n" for row in rows
    ]
    return "".join(lines).encode("utf-8", "replace")


def decode(body: str) -> Iterator[tuple[Any, ...]]:
    """Rows of TabSeparatedWithNamesAndTypes: whole numbers, tuples of texts, and texts.

    Raises:
        FleetError: this is no such answer, or not all of it.
    """
    return zip(*columns(body), strict=True)


def columns(body: str) -> list[list[Any]]:
    """The same column by column, which is quicker for many rows.

    Raises:
        FleetError: as `decode`.
    """
    types_at = body.find("\n") + 1
    rows_at = body.find("\n", types_at) + 1
    if not types_at or not rows_at or not body.endswith("\n"):
        raise _not_whole()
    readers = [_reader(kind) for kind in body[types_at : rows_at - 1].split("\t")]
    width, rows = len(readers), body.count("\n") - 2
    # Names may hold any other sign that could end a line.
    cells = body[rows_at:-1].replace("\n", "\t").split("\t") if rows else []
    if len(cells) != width * rows:
        raise _not_whole()
    has_escapes = "\\" in body
    try:
        return [
            cells[place::width]
            if read is _unescape and not has_escapes
            else list(map(read, cells[place::width]))
            for place, read in enumerate(readers)
        ]
    except ValueError:
        raise _not_whole() from None


def _not_whole() -> FleetError:
    return FleetError(
        "the fleet's store gave no whole answer", hint="is fleet.url the HTTP port of a ClickHouse server?"
    )


# ---- Writing ----------------------------------------------------------------------------------------------------


def _writer(table: Table, column: Column) -> Callable[[Any], str]:
    if column.is_list:
        value = _writer(table, column._replace(type=column.value_type))
        form = "'{}'" if column.value_type == "String" else "{}"
        return lambda values: "[" + ",".join(map(form.format, map(value, values))) + "]"
    if column.type == "String":
        return _escape
    low, high = LIMITS[column.type]
    write = _moment if column.type == "DateTime" else str

    def checked(number: int) -> str:
        if not low <= number <= high:
            raise FleetError(
                f"{column.name} of {table.name} is {number}, which the fleet's store cannot hold",
                hint="the ledger has it as it is, and nothing else was sent in its place",
            )
        return write(int(number))

    return checked


def _escape(text: str) -> str:
    return _HARMFUL.sub(lambda found: _ESCAPES[found[0]], text)


@lru_cache(maxsize=4096)
def _moment(at_s: int) -> str:
    return datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%d %H:%M:%S")


# ---- Reading ----------------------------------------------------------------------------------------------------


def _reader(kind: str) -> Callable[[str], Any]:
    if _NUMBER.fullmatch(kind):
        return int
    if kind.startswith("Array("):
        return _numbers if _NUMBER.fullmatch(kind.removeprefix("Array(").removesuffix(")")) else _texts
    if kind.startswith("Nullable("):
        read = _reader(kind.removeprefix("Nullable(").removesuffix(")"))
        return lambda cell: None if cell == _NULL else read(cell)
    return _unescape


def _unescape(cell: str) -> str:
    return _ESCAPED.sub(lambda found: _PLAIN.get(found[1], found[1]), cell) if "\\" in cell else cell


def _numbers(cell: str) -> tuple[int, ...]:
    return tuple(map(int, filter(None, cell.strip("[]").split(","))))


def _texts(cell: str) -> tuple[str, ...]:
    return tuple(_unescape(found[1]) for found in _QUOTED.finditer(cell))
