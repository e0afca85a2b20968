"""Rows as Apache Parquet, by pyarrow, which is imported when it is needed. Times are UTC microseconds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib import import_module
from itertools import islice
from typing import Any, BinaryIO

from netusage.errors import InputError, NetusageError
from netusage.exchange.tables import VERSION, AnyRow, Kind, Table
from netusage.ledger.plain_file import newer

_ROWS_AT_ONCE = 32_768
_READ_AT_ONCE = 8_192
_VERSION = b"netusage.version"


def _pyarrow() -> tuple[Any, Any]:
    """The package, and its part for Parquet.

    Raises:
        NetusageError: it is not installed.
    """
    try:
        return import_module("pyarrow"), import_module("pyarrow.parquet")
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "pyarrow":
            raise
        raise NetusageError(
            "Parquet needs the package pyarrow", hint="pip install 'netusage[parquet]'"
        ) from error


def write(table: Table, rows: Iterable[AnyRow], about: Mapping[str, str], stream: BinaryIO) -> None:
    """Write the rows of a table, in groups that fit into memory.

    Args:
        table: what the rows are.
        rows: are read once.
        about: what the file says of itself.
        stream: where to write.

    Raises:
        NetusageError: pyarrow is not installed.
    """
    pa, pq = _pyarrow()
    types = {
        Kind.TIME: pa.timestamp("us", tz="UTC"),
        Kind.TEXT: pa.string(),
        Kind.FLAG: pa.bool_(),
        Kind.COUNT: pa.int64(),
        Kind.RATE: pa.int64(),
    }
    fields = [
        pa.field(column.name, types[column.kind], nullable=column.kind is Kind.RATE)
        for column in table.columns
    ]
    facts: dict[str | bytes, str] = {_VERSION: str(VERSION)}
    facts |= {f"netusage.{name}": text for name, text in about.items()}
    shape = pa.schema(fields, metadata=facts)
    with pq.ParquetWriter(stream, shape, compression="zstd") as writer:
        source = iter(rows)
        while some := list(islice(source, _ROWS_AT_ONCE)):
            columns = zip(*some, strict=True)
            arrays = [
                pa.array(column, type=field.type) for column, field in zip(columns, fields, strict=True)
            ]
            writer.write_table(pa.Table.from_arrays(arrays, schema=shape))


class ParquetFile:
    """Reads such a file.

    Attributes:
        columns: their names.

    Raises:
        InputError: it is no such file.
        NetusageError: pyarrow is not installed.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._pa, pq = _pyarrow()
        try:
            self._file = pq.ParquetFile(path)
        except (self._pa.ArrowException, OSError) as error:
            raise InputError(f"{path}: it is no whole Parquet file ({_first_line(error)})") from error
        facts = self._file.schema_arrow.metadata or {}
        version = facts.get(_VERSION, b"1")
        if not version.isdigit() or int(version) > VERSION:
            self.close()
            raise newer(path, int(version) if version.isdigit() else 0, VERSION)
        self.columns: list[str] = list(self._file.schema_arrow.names)

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def rows(self, table: Table) -> Iterator[tuple[int, Sequence[Any]]]:
        """The values in the order of the table's columns, with the number of the row; times in UTC microseconds.

        Raises:
            InputError: a column is of another type, or the file is damaged.
        """
        pa = self._pa
        shape = self._file.schema_arrow
        for column in table.columns:
            self._check_type(column.name, column.kind, shape.field(column.name).type)
        number = 0
        try:
            for batch in self._file.iter_batches(
                _READ_AT_ONCE, columns=[column.name for column in table.columns]
            ):
                columns = []
                for column in table.columns:
                    values = batch.column(column.name)
                    if column.kind is Kind.TIME:
                        values = values.cast(pa.timestamp("us", tz="UTC")).cast(pa.int64())
                    columns.append(values.to_pylist())
                for row in zip(*columns, strict=True):
                    number += 1
                    yield number, row
        except (pa.ArrowException, OSError) as error:
            raise InputError(
                f"{self._path}: it cannot be read behind row {number} ({_first_line(error)})"
            ) from error

    def _check_type(self, name: str, kind: Kind, found: Any) -> None:
        types = self._pa.types
        fits = {
            Kind.TIME: types.is_timestamp(found) and found.tz is not None
            if types.is_timestamp(found)
            else False,
            Kind.TEXT: types.is_string(found) or types.is_large_string(found) or types.is_dictionary(found),
            Kind.FLAG: types.is_boolean(found),
            Kind.COUNT: types.is_integer(found),
            Kind.RATE: types.is_integer(found) or types.is_null(found),
        }
        if not fits[kind]:
            wanted = {
                Kind.TIME: "a time with its zone",
                Kind.TEXT: "text",
                Kind.FLAG: "true or false",
            }.get(kind, "whole numbers")
            raise InputError(f"{self._path}: column {name}: holds {found}, and {wanted} is expected")


def _first_line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
