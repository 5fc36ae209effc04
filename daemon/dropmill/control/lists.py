"""Lists of URLs as other tools keep them: CSV, TSV, JSON lines, Parquet, and plain lines. Read in constant memory.

Everything that is wrong with one row is told with its number, and the rows behind it are read all the same.
"""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Final

from dropmill.control.formats import pyarrow
from dropmill.errors import ConfigurationError, NotFound
from dropmill.model.download import Wanted
from dropmill.model.dropline import BOM, Bad, parse, wanted
from dropmill.model.file import shown
from dropmill.model.outcome import Reason

# Longer lines are told of and passed over. A URL has no more than 8 KiB.
MOST_LINE_BYTES: Final = 1 << 20
_COLUMN_NAMES_SHOWN: Final = 30


@dataclass(frozen=True, slots=True)
class Columns:
    """Which columns to take; None for none."""

    url: str = "url"
    label: str | None = None
    sha256: str | None = None

    @property
    def wanted(self) -> tuple[str, ...]:
        return tuple(name for name in (self.url, self.label, self.sha256) if name is not None)


@dataclass(frozen=True, slots=True)
class Listed:
    """One row that asks for something. ``line``: number of the line, or of the row in a Parquet file, from 1.

    ``url`` may hold credentials. ``fields``: as in a line of a drop-file, by their names there; empty ones left out.
    """

    line: int
    url: str
    fields: Mapping[str, str] = field(default_factory=dict)

    @property
    def size_chars(self) -> int:
        return len(self.url) + sum(map(len, self.fields.values()))


@dataclass(frozen=True, slots=True)
class Unusable:
    """One row of which nothing can be made. ``url``: safe to be shown, as far as there is one."""

    line: int
    detail: str
    url: str = ""
    reason: Reason = Reason.BAD_LINE


Read = Iterator[Listed | Unusable]


def read(path: bytes, columns: Columns) -> Read:
    """Blocking. The rows of a list, by the extension of its name: .csv, .tsv, .jsonl, .ndjson, .parquet, .txt, .urls.

    Raises ``NotFound`` where the list or a column is missing, naming those that are there; ``ConfigurationError`` for another
    extension, a file that is not of the format, and Parquet without pyarrow; OSError while it is read.
    """
    reader = _READERS.get(_extension(path))
    if reader is None:
        known = ", ".join(os.fsdecode(one) for one in _READERS)
        raise ConfigurationError(
            f"{shown(path)}: what kind of list this is cannot be told from its name", hint=f"name it {known}"
        )
    try:
        file = open(path, "rb")  # noqa: SIM115  # What its rows raise is another matter.
    except OSError as error:
        hint = "check the path, and that you may read it"
        raise NotFound(f"the list {shown(path)} cannot be read: {error.strerror}", hint=hint) from error
    with file:
        yield from reader(path, file, columns)


def is_plain(path: bytes) -> bool:
    """Whether the list is one of plain lines, without columns."""
    return _READERS.get(_extension(path)) is _plain


def _extension(path: bytes) -> bytes:
    return os.path.splitext(os.path.basename(path))[1].lower()


def lots(rows: Read, most_rows: int, most_chars: int) -> Iterator[list[Listed | Unusable]]:
    """Rows in the same order, at most so many at a time, and no more text than ``most_chars`` where there are two."""
    lot: list[Listed | Unusable] = []
    size_chars = 0
    for row in rows:
        own = row.size_chars if isinstance(row, Listed) else 0
        if lot and (len(lot) >= most_rows or size_chars + own > most_chars):
            yield lot
            lot, size_chars = [], 0
        lot.append(row)
        size_chars += own
    if lot:
        yield lot


class _Lines:
    """The lines of a file, each without its end; one that is too long is None, and is not held in memory."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.number = 0

    def __iter__(self) -> Iterator[bytes | None]:
        while line := self._file.readline(MOST_LINE_BYTES):
            self.number += 1
            too_long = False
            while not line.endswith(b"\n") and len(line) == MOST_LINE_BYTES:
                too_long = True
                line = self._file.readline(MOST_LINE_BYTES)
            if self.number == 1:
                line = line.removeprefix(BOM)
            yield None if too_long else line.rstrip(b"\r\n")


TOO_LONG: Final = f"the line is longer than {MOST_LINE_BYTES >> 20} MiB"


def _plain(_path: bytes, file: BinaryIO, _columns: Columns) -> Read:
    lines = _Lines(file)
    for line in lines:
        said = Bad(Reason.BAD_LINE, TOO_LONG, "") if line is None else parse(line)
        if isinstance(said, Bad):
            yield Unusable(lines.number, said.detail, said.url, said.reason)
        elif said is not None:
            yield Listed(lines.number, said.url, _fields_of(said))


def _fields_of(said: Wanted) -> dict[str, str]:
    """The fields of a line, from what was made of it."""
    fields = {
        "label": said.label,
        "priority": str(said.priority or ""),
        "name": said.hint,
        "dir": said.directory,
        "size": "" if said.expected_size_bytes is None else str(said.expected_size_bytes),
        "type": said.expected_type,
        "sha256": said.expected_sha256,
    }
    return {key: value for key, value in fields.items() if value}


def _csv(path: bytes, file: BinaryIO, columns: Columns) -> Read:
    yield from _separated(path, file, columns, ",;\t")


def _tsv(path: bytes, file: BinaryIO, columns: Columns) -> Read:
    yield from _separated(path, file, columns, "\t")


def _separated(path: bytes, file: BinaryIO, columns: Columns, delimiters: str) -> Read:
    """RFC 4180; the first line names the columns. Spreadsheets of some countries separate by semicolons."""
    lines = _Lines(file)
    head = next(iter(lines), b"")
    if head is None:
        raise ConfigurationError(f"{shown(path)}: line 1: {TOO_LONG}", hint="the first line has to name the columns")
    delimiter, names = _header(head.decode("utf-8", "surrogateescape"), columns.url, delimiters)
    _require(path, columns.wanted, names)
    places = [names.index(name) for name in columns.wanted]
    too_long: list[int] = []

    def texts() -> Iterator[str]:
        for line in lines:
            if line is None:
                too_long.append(lines.number)
            # For the reader a line that is too long is a blank one, so that the numbers stay right.
            yield (line or b"").decode("utf-8", "surrogateescape") + "\n"

    reader = csv.reader(texts(), delimiter=delimiter)
    while True:
        first = lines.number + 1
        cells = _next(reader)
        yield from (Unusable(number, TOO_LONG) for number in too_long)
        too_long.clear()
        if cells is None:
            return
        if isinstance(cells, csv.Error):
            yield Unusable(first, f"it cannot be read as CSV: {cells}")
        elif any(cell.strip() for cell in cells):
            if len(cells) > max(places):
                yield _listed(first, columns, [cells[place] for place in places])
            else:
                yield Unusable(first, f"it has {len(cells)} of the {len(names)} columns that the first line names")


def _next(reader: Iterator[list[str]]) -> list[str] | csv.Error | None:
    """None at the end. After an error the reader goes on behind it."""
    try:
        return next(reader, None)
    except csv.Error as error:
        return error


def _header(text: str, url: str, delimiters: str) -> tuple[str, list[str]]:
    """The delimiter by which the first line names the column that is wanted, and all names; else by the first one."""
    readings = [(one, [name.strip() for name in next(csv.reader([text], delimiter=one), [])]) for one in delimiters]
    return next(((one, names) for one, names in readings if url in names), readings[0])


def _json_lines(path: bytes, file: BinaryIO, columns: Columns) -> Read:
    lines = _Lines(file)
    met = False
    for line in lines:
        if line is None:
            yield Unusable(lines.number, TOO_LONG)
            continue
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            yield Unusable(lines.number, "it is no JSON")
            continue
        if not isinstance(row, dict):
            yield Unusable(lines.number, "it is no JSON object")
            continue
        if not met:
            # Later rows may lack what the first one has; a name that is misspelt is in none.
            _require(path, columns.wanted, list(row))
            met = True
        yield _listed(lines.number, columns, [row.get(name) for name in columns.wanted])


def _parquet(path: bytes, file: BinaryIO, columns: Columns) -> Read:
    arrow = pyarrow()
    from pyarrow import parquet

    try:
        # Without a buffer whole column chunks would be read at once.
        table = parquet.ParquetFile(file, buffer_size=1 << 20, pre_buffer=False)
        _require(path, columns.wanted, table.schema_arrow.names)
        number = 0
        for batch in table.iter_batches(batch_size=1000, columns=list(columns.wanted), use_threads=False):
            for row in batch.to_pylist():
                number += 1
                yield _listed(number, columns, [row[name] for name in columns.wanted])
    except arrow.ArrowException as error:
        text = " ".join(str(error).split())
        raise ConfigurationError(
            f"{shown(path)}: it cannot be read as Parquet: {text[:300]}", hint="look whether it is whole"
        ) from error


def _require(path: bytes, wanted: Sequence[str], there: Sequence[str]) -> None:
    missing = [name for name in wanted if name not in there]
    if missing:
        names = ", ".join(map(shown, there[:_COLUMN_NAMES_SHOWN])) or "none"
        raise NotFound(
            f"{shown(path)}: there is no column {missing[0]!r}",
            hint=f"say which one with --url-column, --label-column, --sha256-column; there are: {names}",
        )


def _listed(line: int, columns: Columns, values: Sequence[Any]) -> Listed | Unusable:
    """``values``: in the order of ``columns.wanted``."""
    told = {}
    for name, value in zip(columns.wanted, values, strict=True):
        try:
            told[name] = _text(value)
        except ValueError as error:
            return Unusable(line, f"{shown(name)} {error}")
    url = told[columns.url].strip()
    if not url:
        return Unusable(line, f"{shown(columns.url)} is empty")
    named = {"label": columns.label, "sha256": columns.sha256}
    # Captions run over several lines, which labels do not.
    texts = {key: " ".join(told[name].split()) for key, name in named.items() if name is not None}
    fields = {key: text for key, text in texts.items() if text}
    said = wanted(url, **fields)
    return Unusable(line, said.detail, said.url, said.reason) if isinstance(said, Bad) else Listed(line, url, fields)


def _text(value: Any) -> str:
    """Raises ``ValueError``. Numbers are labels as often as words are."""
    if value is None or value != value:  # A missing number is NaN.
        return ""
    if isinstance(value, bytes):
        value = value.decode("utf-8", "surrogateescape")
    if isinstance(value, (bool, int, float)):
        return json.dumps(value)
    if not isinstance(value, str):
        raise ValueError("is neither text nor a number")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError("is not UTF-8") from None
    return value


_READERS: Final[dict[bytes, Callable[[bytes, BinaryIO, Columns], Read]]] = {
    b".csv": _csv,
    b".tsv": _tsv,
    b".jsonl": _json_lines,
    b".ndjson": _json_lines,
    b".parquet": _parquet,
    b".txt": _plain,
    b".urls": _plain,
}
