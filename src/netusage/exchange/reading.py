"""Exported files read again: what a file is, is told by what is in it, and not by its name."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Any, NamedTuple

from netusage.errors import InputError
from netusage.exchange import checks, text
from netusage.exchange.checks import Readers, RowReader, WrongValueError
from netusage.exchange.parquet import ParquetFile
from netusage.exchange.tables import Table
from netusage.ledger.plain_file import PlainReader
from netusage.reports.extract import Row

_PACKED = {
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"\xfd7zXZ": "xz",
    b"(\xb5/\xfd": "zstd",
    b"PK\x03\x04": "zip",
}
_HEAD = 512


class Part(NamedTuple):
    """The rows of one table in a file.

    words: how the number of a row is told, as in ":{}" for a line.
    rows: numbers of rows, and the rows; read once, and checked one by one.
    """

    table: Table
    words: str
    rows: Iterator[tuple[int, Row]]


def parts(path: str) -> Iterator[Part]:
    """What is in a file; each part is to be read before the next.

    Raises:
        InputError: it is no export, damaged, or a row in it cannot be; says the place.
        NetusageError: what it takes to read it is not installed.
    """
    head = _head(path)
    if head.startswith(b"SQLite format 3\0"):
        yield from _of_sqlite(path)
    elif head.startswith(b"PAR1"):
        yield from _of_parquet(path)
    elif head.lstrip()[:1] == b"{":
        yield from _of_jsonl(path)
    else:
        yield from _of_csv(path)


def _head(path: str) -> bytes:
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise InputError(f"{path}: it is not a file", hint="name a file that netusage export has written")
        with open(path, "rb") as file:
            head = file.read(_HEAD)
    except OSError as error:
        raise InputError(f"{path}: it cannot be read: {error.strerror}") from error
    if not head:
        raise InputError(f"{path}: it is empty", hint="leave it out: only JSON Lines without a row are empty")
    for magic, program in _PACKED.items():
        if head.startswith(magic):
            raise InputError(f"{path}: it is compressed ({program})", hint="unpack it first")
    return head


def _of_csv(path: str) -> Iterator[Part]:
    lines = text.read_csv(path)
    number, names = next(lines)
    table = text.table_of(names, f"{path}:{number}")
    order = [names.index(column.name) for column in table.columns]

    def values() -> Iterator[tuple[int, Sequence[Any]]]:
        for number, row in lines:
            if len(row) != len(names):
                raise InputError(
                    f"{path}:{number}: it has {len(row)} columns, and the first line {len(names)}"
                )
            yield number, [row[place] for place in order]

    yield Part(table, ":{}", _checked(table, path, ":{}", values(), checks.CSV))


def _of_jsonl(path: str) -> Iterator[Part]:
    lines = text.read_jsonl(path)
    number, first = next(lines)
    table = text.table_of(first, f"{path}:{number}")
    names = [column.name for column in table.columns]

    def values() -> Iterator[tuple[int, Sequence[Any]]]:
        yield number, [first[name] for name in names]
        for place, row in lines:
            if row.keys() != first.keys():
                text.table_of(row, f"{path}:{place}")
                raise InputError(f"{path}:{place}: it is a row of another table than the first line")
            yield place, [row[name] for name in names]

    yield Part(table, ":{}", _checked(table, path, ":{}", values(), checks.JSON))


def _of_parquet(path: str) -> Iterator[Part]:
    with closing(ParquetFile(path)) as file:
        table = text.table_of(file.columns, path)
        yield Part(table, ": row {}", _checked(table, path, ": row {}", file.rows(table), checks.PARQUET))


def _of_sqlite(path: str) -> Iterator[Part]:
    with PlainReader(path) as file:
        names = file.tables()
        if not names:
            raise InputError(f"{path}: there is no table in it")
        for name in names:
            found = file.columns(name)
            table = text.table_of(found, f"{path}: {name}")
            order = [found.index(column.name) for column in table.columns]
            rows = ((number, [row[place] for place in order]) for number, row in file.rows(name))
            words = f": {name} row {{}}"
            yield Part(table, words, _checked(table, path, words, rows, checks.SQLITE))


def _checked(
    table: Table, path: str, words: str, rows: Iterator[tuple[int, Sequence[Any]]], readers: Readers
) -> Iterator[tuple[int, Row]]:
    row_of = RowReader(table, readers)
    for number, values in rows:
        try:
            yield number, row_of(values)
        except WrongValueError as error:
            raise InputError(f"{path}{words.format(number)}: {error}") from None
