"""The chunks of a PNG or APNG file (PNG, third edition)."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterator
from typing import Final

from dropmill.imaging.anatomy import MAX_ICC_BYTES, MAX_METADATA_BYTES, Anatomy, ends_in_zeros

_STILL: Final = frozenset({b"IHDR", b"PLTE", b"tRNS", b"IDAT"})
# Two animations that begin alike are not the same picture, so their frames count as coded image too.
_MOVING: Final = frozenset({b"acTL", b"fcTL", b"fdAT"})
MAX_TEXT_BYTES: Final = 1 << 20
MAX_ALL_TEXT_BYTES: Final = 16 << 20


def chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """(type, start, end) of each chunk's payload; a chunk that the data cuts off has an ``end`` beyond it."""
    at = 8
    while at + 8 <= len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        kind = data[at + 4 : at + 8]
        yield kind, at + 8, at + 8 + length
        if kind == b"IEND":
            return
        at += 12 + length


def dissect(data: bytes) -> Anatomy:
    """The payloads of IHDR, PLTE, tRNS and IDAT are the coded image, however IDAT is cut into chunks."""
    view = memoryview(data)
    digest = hashlib.sha256()
    size: tuple[int, int] | None = None
    frames = text_bytes = 0
    exif = xmp = b""
    icc: bytes | None = None
    icc_broken = truncated = ended = False
    bomb = ""
    previous = b""
    for kind, start, end in chunks(data):
        if end + 4 > len(data) and kind != b"IEND":
            truncated = True
            break
        ended = kind == b"IEND"
        if kind in _STILL or kind in _MOVING:
            if kind != b"IDAT" or previous != b"IDAT":
                digest.update(kind)
            digest.update(view[start:end])
        previous = kind
        if kind == b"IHDR":
            size = (int.from_bytes(data[start : start + 4], "big"), int.from_bytes(data[start + 4 : start + 8], "big"))
        elif kind == b"acTL":
            frames = max(frames, int.from_bytes(data[start : start + 4], "big"))
        elif kind == b"eXIf" and end - start <= MAX_METADATA_BYTES:
            exif = data[start:end]
        elif kind == b"iCCP" and icc is None:
            icc, icc_broken = _icc(data[start:end])
        elif kind in {b"zTXt", b"iTXt", b"tEXt"}:
            expanded, text = _text(kind, data[start:end])
            text_bytes += expanded
            if expanded > MAX_TEXT_BYTES or text_bytes > MAX_ALL_TEXT_BYTES:
                bomb = "text chunks that expand beyond reason"
                break
            xmp = text or xmp
    return Anatomy(
        coded_sha256=digest.hexdigest() if ended else "",
        size=size,
        frames=max(frames, 1),
        exif=exif,
        xmp=xmp,
        icc=icc,
        icc_broken=icc_broken,
        truncated=truncated,
        zeros_at_end=not ended and ends_in_zeros(data),
        bomb=bomb,
        without_metadata=_without_profile(data) if icc_broken else None,
    )


def _icc(payload: bytes) -> tuple[bytes | None, bool]:
    name, _, rest = payload.partition(b"\0")
    profile = _expand(rest[1:], MAX_ICC_BYTES) if len(name) < 80 else None
    return (profile, False) if profile else (None, True)


def _text(kind: bytes, payload: bytes) -> tuple[int, bytes]:
    """How many bytes a text chunk expands to (counted up to one more than allowed), and its text if that is XMP."""
    keyword, _, rest = payload.partition(b"\0")
    if kind == b"iTXt":
        compressed, rest = rest[:1] == b"\1", rest[2:].partition(b"\0")[2].partition(b"\0")[2]
    else:
        compressed, rest = kind == b"zTXt", rest[1:] if kind == b"zTXt" else rest
    text = _expand(rest, MAX_TEXT_BYTES) if compressed else rest
    if text is None:
        return MAX_TEXT_BYTES + 1, b""
    return len(text), text if keyword == b"XML:com.adobe.xmp" else b""


def _expand(compressed: bytes, limit_bytes: int) -> bytes | None:
    """Inflated bytes, empty if damaged, None if there are more than ``limit_bytes``."""
    inflater = zlib.decompressobj()
    try:
        data = inflater.decompress(compressed, limit_bytes + 1)
    except zlib.error:
        return b""
    return data if len(data) <= limit_bytes else None


def _without_profile(data: bytes) -> bytes:
    """The file without its iCCP chunk, because the decoder refuses a picture for the sake of an oversized profile."""
    kept = [data[:8]]
    kept.extend(data[start - 8 : end + 4] for kind, start, end in chunks(data) if kind != b"iCCP")
    return b"".join(kept)
