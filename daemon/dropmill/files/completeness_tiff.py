"""TIFF and BigTIFF: the directories say where the strips or tiles of each page are, so all must lie inside the file."""

from __future__ import annotations

import struct
from typing import Final

from dropmill.files.byte_source import ByteSource
from dropmill.model.settling import COMPLETE, UNKNOWN, Completeness, incomplete

# Offsets and lengths of strips, tiles, and a JPEG stream of the old kind (TIFF 6.0, sections 8, 15 and 22).
_DATA: Final = ((273, 279), (324, 325), (513, 514))
_NUMBERS: Final = {3: "H", 4: "I", 16: "Q"}
_MOST_PAGES: Final = 1000
_MOST_ENTRIES: Final = 4096
_MOST_VALUES: Final = 1 << 18


def tiff(source: ByteSource) -> Completeness:
    """Black pictures are whole: strips may be nothing but zeros."""
    head = source.at(0, 16)
    order, big = "<" if head[:1] == b"I" else ">", 0x2B in head[2:4]
    (offset,) = struct.unpack_from(order + ("Q" if big else "I"), head, 8 if big else 4)
    seen: set[int] = set()
    while offset and offset not in seen and len(seen) < _MOST_PAGES:
        seen.add(offset)
        page = _page(source, order, big, offset)
        if page is None:
            return incomplete("a directory of the TIFF is missing")
        end, offset = page
        if end > source.size_bytes:
            return incomplete(f"{source.size_bytes} of {end} bytes so far")
    return COMPLETE if seen else UNKNOWN


def _page(source: ByteSource, order: str, big: bool, offset: int) -> tuple[int, int] | None:
    """Where the picture data of one page ends, and where the next directory is; None for one beyond the file."""
    width, letter, wide = (20, "Q", 8) if big else (12, "I", 2)
    counted = source.at(offset, wide)
    if len(counted) < wide:
        return None
    count = min(struct.unpack(order + ("Q" if big else "H"), counted)[0], _MOST_ENTRIES)
    body = source.at(offset + wide, count * width + (8 if big else 4))
    if len(body) < count * width + (8 if big else 4):
        return None
    entries: dict[int, tuple[int, int, bytes]] = {}
    for at in range(0, count * width, width):
        tag, kind, values = struct.unpack_from(f"{order}HH{letter}", body, at)
        entries[tag] = (kind, values, body[at + (12 if big else 8) : at + width])
    end = 0
    for offsets_tag, lengths_tag in _DATA:
        if offsets_tag in entries:
            offsets = _values(source, order, letter, *entries[offsets_tag])
            lengths = _values(source, order, letter, *entries[lengths_tag]) if lengths_tag in entries else ()
            if offsets is None or lengths is None:
                return None
            # Without a length, at least the first byte must be there.
            padded = (*lengths, *([1] * max(len(offsets) - len(lengths), 0)))
            end = max([end, *(start + length for start, length in zip(offsets, padded, strict=False) if length)])
    return end, struct.unpack_from(order + letter, body, count * width)[0]


def _values(
    source: ByteSource, order: str, letter: str, kind: int, count: int, inline: bytes
) -> tuple[int, ...] | None:
    """The numbers of one entry; none where they are of no type for this, and None where they lie beyond the file."""
    if kind not in _NUMBERS:
        return ()
    count = min(count, _MOST_VALUES)
    layout = f"{order}{count}{_NUMBERS[kind]}"
    size_bytes = struct.calcsize(layout)
    data = inline
    if size_bytes > len(inline):
        data = source.at(struct.unpack(order + letter, inline)[0], size_bytes)
    return struct.unpack_from(layout, data) if len(data) >= size_bytes else None
