"""Rows as a table, JSON, JSON lines, CSV, TSV or Markdown.

For people (table, Markdown) numbers have units and times the local clock. For programs bytes are integers, exact at
any size, and times ISO 8601 with offset; JSON, CSV and TSV are written row by row and keep nothing. Lines end in a
line feed: open the stream with newline="" where the system would make something else of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import StrEnum
from functools import cache

from netusage.errors import UsageError
from netusage.render.cells import ELLIPSIS, are_ascii, encodable, markdown, pad, safe, shorten, widest, width
from netusage.render.columns import Column
from netusage.render.context import RenderContext, is_terminal
from netusage.render.values import human

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TextIO

    Row = Mapping[str, Any]

JSON_VERSION = 1
_GAP = "  "
_NARROWEST = 8
_READABLE = 12


class Format(StrEnum):
    """What rows can be written as."""

    TABLE = "table"
    JSON = "json"
    JSONL = "jsonl"
    CSV = "csv"
    TSV = "tsv"
    MARKDOWN = "markdown"


def render(
    format_name: str,
    columns: Sequence[Column],
    rows: Iterable[Row],
    *,
    envelope: Mapping[str, Any],
    context: RenderContext,
    stream: TextIO,
) -> None:
    """Write rows to a stream.

    Args:
        format_name: one of `Format`.
        columns: what the rows hold. JSON and JSON Lines write the whole row all the same.
        rows: values that JSON knows, by the columns' keys; a missing one is as good as None. They are read once.
        envelope: what JSON says beside the rows, "report" first; the other formats leave it out.
        context: units, zone, width and colour for people.
        stream: where to write.

    Raises:
        UsageError: there is no such format.
        ValueError: a value cannot be JSON, as an infinite number.
    """
    try:
        chosen = Format(format_name)
    except ValueError:
        raise UsageError(
            f"there is no format {format_name!r}", hint=f"use one of {', '.join(Format)}"
        ) from None
    match chosen:
        case Format.TABLE | Format.MARKDOWN:
            rows = list(rows)
            values = {column.key: [row.get(column.key) for row in rows] for column in columns}
            render_columns(chosen, columns, values, context=context, stream=stream)
        case Format.JSON:
            _json(rows, envelope, stream)
        case Format.JSONL:
            stream.writelines(f"{_dumps(row)}\n" for row in rows)
        case Format.CSV:
            _separated(columns, rows, stream, ",")
        case Format.TSV:
            _separated(columns, rows, stream, "\t")


# ---- For people -------------------------------------------------------------------------------------------------


def render_columns(
    format_name: str,
    columns: Sequence[Column],
    values: Mapping[str, Sequence[Any]],
    *,
    context: RenderContext,
    stream: TextIO,
) -> None:
    """Write a table for people; quicker than `render` for whoever has columns of values.

    Args:
        format_name: `Format.TABLE` or `Format.MARKDOWN`.
        columns: which are shown.
        values: those of each column by its key, of one length.
        context: units, zone, width and colour.
        stream: where to write.
    """
    shown = [column for column in columns if column.table]
    cells = _cells(shown, values, context, stream)
    if format_name == Format.TABLE:
        _table(shown, cells, context, stream)
    else:
        _markdown(shown, cells, stream)


def _cells(
    columns: Sequence[Column], values: Mapping[str, Sequence[Any]], context: RenderContext, stream: TextIO
) -> list[list[str]]:
    """Columns of text that neither the terminal nor the stream's encoding can stumble over, the title first."""
    encoding = getattr(stream, "encoding", None)
    found = []
    for column in columns:
        texts = [safe(column.title), *human(column, values[column.key], context)]
        if not are_ascii(texts):
            texts = [encodable(text, encoding) for text in texts]
        found.append(texts)
    return found


def _table(shown: list[Column], cells: list[list[str]], context: RenderContext, stream: TextIO) -> None:
    widths = [widest(texts) for texts in cells]
    if context.width is not None:
        shown, cells, widths = _without_spare(shown, cells, widths, context.width)
        widths = _fitting(shown, cells, widths, context.width)
        mark = encodable(ELLIPSIS, getattr(stream, "encoding", None))
        mark = mark if mark == ELLIPSIS else "..."
        cells = [
            texts if widest(texts) <= room else [shorten(text, room, mark) for text in texts]
            for texts, room in zip(cells, widths, strict=True)
        ]
    columns_of_cells = [
        pad(texts, room, right=column.numeric)
        for column, texts, room in zip(shown, cells, widths, strict=True)
    ]
    title, *lines = [_GAP.join(line).rstrip() for line in zip(*columns_of_cells, strict=True)]
    stream.write(f"\x1b[1m{title}\x1b[0m\n" if context.color else f"{title}\n")
    stream.write("\n".join([*lines, ""]))


def _line(widths: Sequence[int]) -> int:
    return sum(widths) + len(_GAP) * (len(widths) - 1)


def _least(columns: Sequence[Column], cells: list[list[str]], widths: list[int], shortest: int) -> list[int]:
    """The widths down to which columns can be shortened."""
    return [
        min(room, max(shortest, width(texts[0]))) if column.kind == "text" else room
        for column, texts, room in zip(columns, cells, widths, strict=True)
    ]


def _without_spare(
    columns: Sequence[Column], cells: list[list[str]], widths: list[int], line: int
) -> tuple[list[Column], list[list[str]], list[int]]:
    """The columns for which there is room when names are shortened to where they can still be read."""
    least = _least(columns, cells, widths, _READABLE)
    kept = list(range(len(columns)))
    for place in reversed(range(len(columns))):
        if columns[place].spare and _line([least[n] for n in kept]) > line:
            kept.remove(place)
    return [columns[n] for n in kept], [cells[n] for n in kept], [widths[n] for n in kept]


def _fitting(columns: Sequence[Column], cells: list[list[str]], widths: list[int], line: int) -> list[int]:
    """Widths that fit the line as far as names can be shortened; numbers never are, and may run over."""
    widths = list(widths)
    least = _least(columns, cells, widths, _NARROWEST)
    excess = _line(widths) - line
    for _ in range(excess):
        spare, place = max(
            (room - small, place) for place, (room, small) in enumerate(zip(widths, least, strict=True))
        )
        if spare <= 0:
            break
        widths[place] -= 1
    return widths


def _markdown(shown: Sequence[Column], cells: list[list[str]], stream: TextIO) -> None:
    for number, line in enumerate(zip(*cells, strict=True)):
        stream.write(f"| {' | '.join(map(markdown, line))} |\n")
        if not number:
            stream.write(f"| {' | '.join('---:' if column.numeric else '---' for column in shown)} |\n")


# ---- For programs -----------------------------------------------------------------------------------------------


@cache
def _encoder() -> Callable[[object], str]:
    """JSON in ASCII, whatever the stream's encoding; a number that is none raises ValueError."""
    import json  # noqa: PLC0415  # the table does not need it

    return json.JSONEncoder(allow_nan=False).encode


def _dumps(row: Row) -> str:
    """One row as JSON; bytes that were no text become escapes."""
    encode = _encoder()
    text = encode(row)
    if "\\ud" in text:
        sound = {
            key: encodable(value, "utf-8") if isinstance(value, str) else value for key, value in row.items()
        }
        text = encode(sound)
    return text


def _json(rows: Iterable[Row], envelope: Mapping[str, Any], stream: TextIO) -> None:
    """One object, a row on each line."""
    head = _dumps({"version": JSON_VERSION} | dict(envelope))
    stream.write(f'{head[:-1]}, "rows": [')
    separator = "\n"
    for row in rows:
        stream.write(f"{separator}  {_dumps(row)}")
        separator = ",\n"
    stream.write("\n]}\n" if separator != "\n" else "]}\n")


class _LineFeeds:
    """A stream that ends rows in a line feed, for a csv writer that quotes carriage returns only if rows end in one."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, row: str) -> None:
        """Write one row."""
        self._stream.write(row.removesuffix("\r\n") + "\n")


def _separated(columns: Sequence[Column], rows: Iterable[Row], stream: TextIO, delimiter: str) -> None:
    import csv  # noqa: PLC0415  # only here

    wash = safe if is_terminal(stream) else str  # programs get names as they are, a terminal gets no orders
    encoding = getattr(stream, "encoding", None)
    writer = csv.writer(_LineFeeds(stream), delimiter=delimiter, lineterminator="\r\n")
    writer.writerow([column.key for column in columns])
    keys = [column.key for column in columns]
    for row in rows:
        values = (_raw(row.get(key)) for key in keys)
        writer.writerow(
            [encodable(wash(value), encoding) if isinstance(value, str) else value for value in values]
        )


def _raw(value: Any) -> Any:
    """A value as CSV has it: numbers as they are, what has parts as JSON, nothing as an empty field."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict | list | tuple):
        import json  # noqa: PLC0415  # as above

        return json.dumps(value, allow_nan=False)
    return value
