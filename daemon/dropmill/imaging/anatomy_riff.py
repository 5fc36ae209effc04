"""The chunks of a WebP file (WebP container specification)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Final

from dropmill.files.byte_source import ByteSource
from dropmill.files.completeness_boxes import ZEROS, riff
from dropmill.imaging.anatomy import MAX_ICC_BYTES, MAX_METADATA_BYTES, Anatomy

# VP8X only says which other chunks there are, metadata among them, and repeats the size; the loop count and
# background of ANIM and whole frames of ANMF are the picture of an animation.
_CODED: Final = frozenset({b"VP8 ", b"VP8L", b"ALPH", b"ANIM", b"ANMF"})


def chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """(type, start, end) of each chunk's payload within the RIFF; a cut-off chunk has an ``end`` beyond the data."""
    at, stop = 12, min(8 + int.from_bytes(data[4:8], "little"), len(data))
    while at + 8 <= stop:
        length = int.from_bytes(data[at + 4 : at + 8], "little")
        yield data[at : at + 4], at + 8, at + 8 + length
        at += 8 + length + (length & 1)


def dissect(data: bytes) -> Anatomy:
    view = memoryview(data)
    digest = hashlib.sha256()
    sizes: list[tuple[int, int]] = []
    frames = 0
    found: dict[bytes, bytes] = {}
    icc_broken = False
    truncated = 8 + int.from_bytes(data[4:8], "little") > len(data)
    for kind, start, end in chunks(data):
        if end > len(data):
            truncated = True
            break
        if kind in _CODED:
            digest.update(kind)
            digest.update(view[start:end])
        if kind in {b"VP8X", b"VP8 ", b"VP8L"}:
            sizes.append(_size(kind, data[start : start + 10]))
        elif kind == b"ANMF":
            frames += 1
        elif kind == b"ICCP" and end - start > MAX_ICC_BYTES:
            icc_broken = True
        elif kind in {b"EXIF", b"XMP ", b"ICCP"} and end - start <= max(MAX_METADATA_BYTES, MAX_ICC_BYTES):
            found.setdefault(kind, data[start:end])
    if frames:
        digest.update(repr(sizes[:1]).encode())
    return Anatomy(
        coded_sha256="" if truncated or not sizes else digest.hexdigest(),
        size=(max(width for width, _ in sizes), max(height for _, height in sizes)) if sizes else None,
        frames=max(frames, 1),
        exif=found.get(b"EXIF", b"").removeprefix(b"Exif\0\0"),
        xmp=found.get(b"XMP ", b""),
        icc=found.get(b"ICCP"),
        icc_broken=icc_broken,
        truncated=truncated,
        zeros_at_end=riff(ByteSource.of(data)) == ZEROS,
    )


def _size(kind: bytes, head: bytes) -> tuple[int, int]:
    if kind == b"VP8X":
        return int.from_bytes(head[4:7], "little") + 1, int.from_bytes(head[7:10], "little") + 1
    if kind == b"VP8L":
        bits = int.from_bytes(head[1:5], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    return int.from_bytes(head[6:8], "little") & 0x3FFF, int.from_bytes(head[8:10], "little") & 0x3FFF
