"""Rows as CSV and as JSON Lines, in UTF-8: the first line of CSV names the columns, each line of JSON has them all."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from datetime import tzinfo
from typing import Any, BinaryIO

from netusage.errors import InputError
from netusage.exchange.tables import OF_HOSTS, TABLES, AnyRow, Kind, Table, time_text

_LONGEST_LINE = 1 << 20


class _LineFeeds:
    """Ends rows in a line feed, for a csv writer that quotes carriage returns only if rows end in one."""

    def __init__(self, stream: io.TextIOBase) -> None:
        self._stream = stream

    def write(self, row: str) -> None:
        """Write one row."""
        self._stream.write(row.removesuffix("\r\n") + "\n")


def write_csv(table: Table, rows: Iterable[AnyRow], zone: tzinfo, stream: BinaryIO) -> None:
    """Write the rows of a table; nothing is kept."""
    text = io.TextIOWrapper(stream, encoding="utf-8", newline="")
    try:
        writer = csv.writer(_LineFeeds(text), lineterminator="\r\n")
        writer.writerow([column.name for column in table.columns])
        writer.writerows(in_words(table, rows, zone, flags=("false", "true")))
        text.flush()
    finally:
        text.detach()


def write_jsonl(table: Table, rows: Iterable[AnyRow], zone: tzinfo, stream: BinaryIO) -> None:
    """Write the rows of a table, one object on each line."""
    import msgspec  # noqa: PLC0415  # only here

    encode = msgspec.json.Encoder().encode
    names = [column.name for column in table.columns]
    told = in_words(table, rows, zone, flags=(False, True))
    stream.writelines(encode(dict(zip(names, row, strict=True))) + b"\n" for row in told)


def in_words(
    table: Table, rows: Iterable[AnyRow], zone: tzinfo, flags: tuple[Any, Any]
) -> Iterator[list[Any]]:
    """Rows with times in words, and flags as the format has them."""
    times = [place for place, column in enumerate(table.columns) if column.kind is Kind.TIME]
    marks = [place for place, column in enumerate(table.columns) if column.kind is Kind.FLAG]
    for row in rows:
        values = list(row)
        for place in times:
            values[place] = time_text(values[place], zone)
        for place in marks:
            values[place] = flags[bool(values[place])]
        yield values


# ---- Reading ----------------------------------------------------------------------------------------------------


def _lines(path: str) -> Iterator[tuple[int, str]]:
    """The lines of a file with their numbers.

    Raises:
        InputError: one is no text, too long, or the last one was cut off.
    """
    with open(path, "rb") as file:
        number = 0
        while line := file.readline(_LONGEST_LINE):
            number += 1
            if not line.endswith(b"\n"):
                why = (
                    "the line is longer than any of an export"
                    if len(line) == _LONGEST_LINE
                    else "the line does not end"
                )
                raise InputError(
                    f"{path}:{number}: {why}", hint="the file was cut off, or is none of netusage's"
                )
            try:
                yield number, line.decode("utf-8")
            except UnicodeDecodeError as error:
                raise InputError(f"{path}:{number}: it is not UTF-8 ({error.reason})") from error


def read_csv(path: str) -> Iterator[tuple[int, list[str]]]:
    """The rows of a CSV file with the line on which each ends; the first names the columns.

    Raises:
        InputError: it is no such file; says the line.
    """
    reader = csv.reader((line for _, line in _lines(path)), strict=True)
    try:
        for row in reader:
            yield reader.line_num, row
    except csv.Error as error:
        raise InputError(f"{path}:{reader.line_num}: {error}") from error


def read_jsonl(path: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """The objects of a file of JSON lines, with their lines.

    Raises:
        InputError: it is no such file; says the line.
    """
    import msgspec  # noqa: PLC0415  # only here

    decode = msgspec.json.Decoder().decode
    for number, line in _lines(path):
        try:
            found = decode(line)
        except msgspec.DecodeError as error:
            raise InputError(f"{path}:{number}: it is not JSON ({error})") from error
        if not isinstance(found, dict):
            raise InputError(f"{path}:{number}: it is not an object of JSON")
        yield number, found


def table_of(names: Iterable[str], place: str) -> Table:
    """The table that has these columns, in whatever order.

    Raises:
        InputError: there is none; says what is missing or too much.
    """
    found = list(names)
    known = {frozenset(column.name for column in table.columns): table for table in TABLES.values()}
    twice = next((name for n, name in enumerate(found) if name in found[:n]), None)
    if twice is not None:
        raise InputError(f"{place}: the column {twice!r} is there twice")
    table = known.get(frozenset(found))
    if table is not None:
        return table
    if any(set(found) == {column.name for column in own.columns} for own in OF_HOSTS.values()):
        raise InputError(
            f"{place}: this is the record of several hosts, and a ledger is of one",
            hint="import what is exported from each host's own ledger, or merge the ledgers",
        )
    nearest = max(known, key=lambda columns: len(columns & set(found)))
    if not nearest & set(found):
        raise InputError(f"{place}: these are not the columns of an export of netusage")
    missing, more = sorted(nearest - set(found)), sorted(set(found) - nearest)
    what = [f"without the column {missing[0]!r}"] if missing else []
    what += [f"with the column {more[0]!r}, which is not known here"] if more else []
    raise InputError(
        f"{place}: these are the columns of {known[nearest].name} {' and '.join(what)}",
        hint="take what netusage export has written, and a netusage that is not older",
    )
