"""A bounded walk through the directories of a TIFF file, for telling RAW from TIFF and for counting pages.

Nothing here decodes; every read is checked, and loops, garbage and directories beyond the known bytes end the walk.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

NEW_SUBFILE_TYPE: Final = 254
WIDTH: Final = 256
LENGTH: Final = 257
COMPRESSION: Final = 259
PHOTOMETRIC: Final = 262
MAKE: Final = 271
SUB_IFDS: Final = 330
DNG_VERSION: Final = 50706

# Type code to (bytes, struct letter) of the integer types; all that is asked of a directory here are integers.
_INTEGERS: Final = {1: (1, "B"), 3: (2, "H"), 4: (4, "I"), 13: (4, "I"), 16: (8, "Q"), 18: (8, "Q")}
_MOST_ENTRIES: Final = 4096
_MOST_VALUES: Final = 16


@dataclass(frozen=True, slots=True)
class Directory:
    """One IFD: its offset in bytes, the tags it has, and the first integers of those that hold integers."""

    offset: int
    tags: frozenset[int] = frozenset()
    integers: dict[int, tuple[int, ...]] = field(default_factory=dict)
    next_offset: int = 0

    def first(self, tag: int, default: int = 0) -> int:
        values = self.integers.get(tag)
        return values[0] if values else default

    @property
    def reduced(self) -> bool:
        """A smaller copy of another directory's picture (bit 0 of NewSubfileType, TIFF 6.0)."""
        return bool(self.first(NEW_SUBFILE_TYPE) & 1)


@dataclass(frozen=True, slots=True)
class _Layout:
    order: str
    big: bool


def is_tiff(data: bytes) -> bool:
    return data[:4] in {b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"}


def chain(data: bytes, limit: int) -> Iterator[Directory]:
    """The main directories in file order, at most ``limit``; ends quietly at a loop or beyond ``data``."""
    if not is_tiff(data):
        return
    layout = _Layout("<" if data[:1] == b"I" else ">", data[2:4] in {b"+\0", b"\0+"})
    offset = _unpack(data, layout, "Q" if layout.big else "I", 8 if layout.big else 4)
    seen: set[int] = set()
    while offset and offset not in seen and len(seen) < limit:
        seen.add(offset)
        directory = _directory(data, layout, offset)
        if directory is None:
            return
        yield directory
        offset = directory.next_offset


def children(data: bytes, parent: Directory) -> Iterator[Directory]:
    """The directories that SubIFDs of ``parent`` names, one level deep."""
    layout = _Layout("<" if data[:1] == b"I" else ">", data[2:4] in {b"+\0", b"\0+"})
    for offset in parent.integers.get(SUB_IFDS, ()):
        directory = _directory(data, layout, offset)
        if directory is not None:
            yield directory


def _directory(data: bytes, layout: _Layout, offset: int) -> Directory | None:
    count = _unpack(data, layout, "Q" if layout.big else "H", offset)
    if not 0 < count <= _MOST_ENTRIES:
        return None
    start, width = offset + (8 if layout.big else 2), 20 if layout.big else 12
    if start + count * width > len(data):
        return None
    integers: dict[int, tuple[int, ...]] = {}
    tags: set[int] = set()
    for index in range(count):
        at = start + index * width
        tag, kind = struct.unpack_from(layout.order + "HH", data, at)
        tags.add(tag)
        if kind in _INTEGERS:
            integers[tag] = _values(data, layout, at, kind)
    following = _unpack(data, layout, "Q" if layout.big else "I", start + count * width)
    return Directory(offset, frozenset(tags), integers, max(following, 0))


def _values(data: bytes, layout: _Layout, at: int, kind: int) -> tuple[int, ...]:
    size_bytes, letter = _INTEGERS[kind]
    count = min(_unpack(data, layout, "Q" if layout.big else "I", at + 4), _MOST_VALUES)
    inline, where = (8, at + 12) if layout.big else (4, at + 8)
    if count * size_bytes > inline:
        where = _unpack(data, layout, "Q" if layout.big else "I", where)
    if count <= 0 or where < 0 or where + count * size_bytes > len(data):
        return ()
    return struct.unpack_from(f"{layout.order}{count}{letter}", data, where)


def _unpack(data: bytes, layout: _Layout, letter: str, at: int) -> int:
    """One unsigned number, or -1 where ``data`` does not reach."""
    size_bytes = struct.calcsize(letter)
    if at < 0 or at + size_bytes > len(data):
        return -1
    (value,) = struct.unpack_from(layout.order + letter, data, at)
    return int(value)
