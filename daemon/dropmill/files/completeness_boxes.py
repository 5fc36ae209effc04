"""The containers whose parts state their lengths: RIFF (WebP) and ISO base media (AVIF, HEIF).

Their decoders take a tail of zeros for picture data without complaint, so zeros at the end of it mean "not written yet"
(W06); zeros that stand behind the last part, or in a part that is padding or metadata, do not.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from dropmill.files.byte_source import ByteSource
from dropmill.model.settling import COMPLETE, UNKNOWN, Completeness, incomplete

ZERO_TAIL_BYTES: Final = 4096
"""So many zeros at the end of coded data come from preallocation, never from an encoder."""
ZEROS: Final = incomplete("its end is zeros so far")
_MOST_PARTS: Final = 10_000
_RIFF_METADATA: Final = frozenset({b"EXIF", b"XMP ", b"ICCP"})
_PADDING: Final = frozenset({b"free", b"skip", b"\0\0\0\0"})


def riff(source: ByteSource) -> Completeness:
    """WebP container specification: 8 bytes and what the header states, chunk after chunk, each padded to even."""
    stop = 8 + int.from_bytes(source.at(4, 4), "little")
    if stop <= 20:
        return incomplete("the WebP does not state its length yet")
    if stop > source.size_bytes:
        return incomplete(f"{source.size_bytes} of {stop} bytes so far")
    at, kind = 12, b""
    for _ in range(_MOST_PARTS):
        if at + 8 > stop:
            break
        field = source.at(at, 8)
        kind = field[:4]
        at += 8 + int.from_bytes(field[4:], "little")
        if at > stop:
            return incomplete("a chunk of the WebP reaches beyond its end")
        at += at & 1
    else:
        return UNKNOWN
    if kind not in _RIFF_METADATA and _ends_in_zeros(source, stop):
        return ZEROS
    return COMPLETE


def iso(source: ByteSource) -> Completeness:
    """ISO/IEC 14496-12: boxes up to the end of the file, among them the description (meta) and what it describes."""
    met: set[bytes] = set()
    last, end = b"", 0
    for kind, start, end in _boxes(source, 0, source.size_bytes):
        if kind == b"\0\0\0\0" and _whole(met):
            return COMPLETE
        met.add(kind)
        if kind == b"meta":
            met.update(inner for inner, _, _ in _boxes(source, start + 4, min(end, source.size_bytes)))
        last = kind
    if end > source.size_bytes:
        return incomplete(f"{source.size_bytes} of {end} bytes so far")
    if not _whole(met):
        return incomplete("boxes of the picture are missing")
    if last not in _PADDING and _ends_in_zeros(source, source.size_bytes):
        return ZEROS
    return COMPLETE


def _whole(met: set[bytes]) -> bool:
    """The picture or the sequence is described, and its data is there: beside the description or in it."""
    return bool(met & {b"meta", b"moov"}) and bool(met & {b"mdat", b"idat"})


def _boxes(source: ByteSource, at: int, stop: int) -> Iterator[tuple[bytes, int, int]]:
    """(type, start, end) of each box up to ``stop``; the end of a box that is cut off lies beyond it."""
    for _ in range(_MOST_PARTS):
        field = source.at(at, 16)
        if at + 8 > stop or len(field) < 8:
            return
        length, header = int.from_bytes(field[:4], "big"), 8
        if length == 1:
            length, header = int.from_bytes(field[8:16], "big"), 16
        elif length == 0:
            length = stop - at
        if length < header:
            return
        yield field[4:8], at + header, at + length
        at += length


def _ends_in_zeros(source: ByteSource, stop: int) -> bool:
    return stop >= ZERO_TAIL_BYTES and source.at(stop - ZERO_TAIL_BYTES, ZERO_TAIL_BYTES) == bytes(ZERO_TAIL_BYTES)
