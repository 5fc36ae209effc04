"""Tables as bytes: CSV, JSON lines, Parquet. Each lot of rows is written before the next one is made."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType
from typing import Any, BinaryIO, Final, Literal, Protocol

from dropmill.control.describe import iso
from dropmill.errors import ConfigurationError

Json = dict[str, Any]
Format = Literal["csv", "jsonl", "parquet"]
FORMATS: Final = ("csv", "jsonl", "parquet")

# Rows of a row group in a Parquet file; held in memory until there are so many.
ROW_GROUP: Final = 20_000
# What a rendition is told by, and of what kind that is.
RENDITION: Final = {
    "name": "text",
    "page": "whole",
    "path": "text",
    "format": "text",
    "width": "whole",
    "height": "whole",
    "size_bytes": "whole",
    "sha256": "text",
}
_FLAT: Final = ("path", "format", "width", "height", "size_bytes")
# Spreadsheets take a cell that begins so for a formula (OWASP, "CSV injection"); a number is none.
_FORMULA: Final = re.compile(r"[=+\-@\t\r]")
_NUMBER: Final = re.compile(r"[+-]?\d+(\.\d+)?([eE][+-]?\d+)?")


@dataclass(frozen=True, slots=True)
class Column:
    """``free``: text that others chose; ``text``: text that cannot be taken for a formula; ``time``: milliseconds UTC."""

    name: str
    kind: Literal["whole", "text", "free", "time"]


class Sink(Protocol):
    def write(self, rows: Sequence[Json]) -> None:
        """Rows by column name, and ``renditions``: a list by the keys of ``RENDITION``."""

    def close(self) -> None:
        """Write what belongs to the end. The file below stays open."""


def sink(kind: Format, columns: Sequence[Column], renditions: Sequence[str], out: BinaryIO) -> Sink:
    """``renditions``: the names that get columns in a CSV. Raises ``ConfigurationError`` without pyarrow."""
    match kind:
        case "csv":
            return _Csv(columns, renditions, out)
        case "jsonl":
            return _Jsonl(columns, out)
        case "parquet":
            return _Parquet(columns, out)


class _Csv:
    """RFC 4180 with lines that end in LF, UTF-8. A rendition's columns tell of its first page."""

    def __init__(self, columns: Sequence[Column], renditions: Sequence[str], out: BinaryIO) -> None:
        self._columns = columns
        self._renditions = renditions
        self._out = out
        flat = [f"{name}_{key}" for name in renditions for key in _FLAT]
        self._put([[*(column.name for column in columns), *flat]])

    def write(self, rows: Sequence[Json]) -> None:
        self._put(self._cells(row) for row in rows)

    def close(self) -> None:
        pass  # Every line is complete by itself.

    def _put(self, lines: Any) -> None:
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(lines)
        self._out.write(text.getvalue().encode())

    def _cells(self, row: Json) -> Iterator[Any]:
        for column in self._columns:
            value = row[column.name]
            if column.kind == "time":
                value = iso(value)
            yield harmless(value) if column.kind == "free" and value else value
        first: dict[str, Json] = {}
        for one in row["renditions"]:
            first.setdefault(one["name"], one)
        for name in self._renditions:
            told = first.get(name, {})
            yield from (told.get(key) for key in _FLAT)


def harmless(text: str) -> str:
    """Text that a spreadsheet would run as a formula, with an apostrophe before it.

    >>> harmless("=1+1"), harmless("-1.5"), harmless("a cat")
    ("'=1+1", '-1.5', 'a cat')
    """
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.fullmatch(text) else text


class _Jsonl:
    def __init__(self, columns: Sequence[Column], out: BinaryIO) -> None:
        self._times = [column.name for column in columns if column.kind == "time"]
        self._out = out

    def write(self, rows: Sequence[Json]) -> None:
        lines = (json.dumps(row | {name: iso(row[name]) for name in self._times}, ensure_ascii=False) for row in rows)
        self._out.write("".join(f"{line}\n" for line in lines).encode())

    def close(self) -> None:
        pass  # Every line is complete by itself.


class _Parquet:
    """Times are instants of UTC in milliseconds, renditions a list of structs. Lots are gathered into row groups of a
    size that readers work well with."""

    def __init__(self, columns: Sequence[Column], out: BinaryIO) -> None:
        self._arrow = pyarrow()
        from pyarrow import parquet

        rendition = self._arrow.struct([(name, self._type(kind)) for name, kind in RENDITION.items()])
        self._schema = self._arrow.schema(
            [
                *((column.name, self._type(column.kind)) for column in columns),
                ("renditions", self._arrow.list_(rendition)),
            ]
        )
        self._writer = parquet.ParquetWriter(out, self._schema, compression="zstd")
        self._gathered: list[Any] = []

    def _type(self, kind: str) -> Any:
        if kind == "whole":
            return self._arrow.int64()
        return self._arrow.timestamp("ms", tz="UTC") if kind == "time" else self._arrow.string()

    def write(self, rows: Sequence[Json]) -> None:
        self._gathered.append(self._arrow.Table.from_pylist(rows, schema=self._schema))
        if sum(table.num_rows for table in self._gathered) >= ROW_GROUP:
            self._put()

    def _put(self) -> None:
        gathered, self._gathered = self._gathered, []
        if gathered:
            self._writer.write_table(self._arrow.concat_tables(gathered))

    def close(self) -> None:
        self._put()
        self._writer.close()


def pyarrow() -> ModuleType:
    """Raises ``ConfigurationError`` where the extra is not installed."""
    try:
        return import_module("pyarrow")
    except ImportError as error:
        raise ConfigurationError(
            "Parquet needs pyarrow, which is not installed", hint="pip install 'dropmill[parquet]', or use csv or jsonl"
        ) from error
