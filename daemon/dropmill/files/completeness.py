"""Does a file reach the end that its own format declares? Told from its structure alone; nothing here decodes.

An incomplete file is only waited for (DESIGN, *settle*); whether it is broken is for its decoder to say. So where a
format does not tell, or hostile input would make the answer dear, it is ``UNKNOWN``, and where a guess is needed it is
the one that waits. Every answer costs a bounded number of reads, each of a bounded size.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from dropmill.files import completeness_boxes, completeness_tiff
from dropmill.files.byte_source import ByteSource, Enough
from dropmill.files.sniff import Kind
from dropmill.model.settling import COMPLETE, UNKNOWN, Completeness, incomplete

SHORTEST_BYTES: Final = 32
"""No picture of any kind is shorter; what is, has only begun."""
# A JPEG ends in EOI, or has it near the end; where something follows, so much is searched from its first scan on.
_TAIL_BYTES: Final = 64 << 10
_SEARCH_BYTES: Final = 32 << 20
_CHUNK_BYTES: Final = 1 << 20
_MOST_SEGMENTS: Final = 2000
_MOST_CHUNKS: Final = 20_000
# Sub-blocks of a GIF have up to 255 bytes, so this passes through 15 MB; longer ones are judged by how they end.
_MOST_BLOCKS: Final = 60_000
_EOI, _SOS = 0xD9, 0xDA
_STANDALONE: Final = frozenset({0x01, *range(0xD0, 0xD9)})
# What the first bytes of our kinds may be before there are enough of them to tell the kind.
_BEGINNINGS: Final = (
    rb"\xff\xd8?",
    rb"\x89(P(N(G(\r(\n(\x1a)?)?)?)?)?)?",
    rb"G(I(F(8[79]?)?)?)?",
    rb"(RIFF.{0,7})|R(IF?)?",
    rb"II(\*|\+)?|MM(\0)?|I|M",
    rb"BM?.{0,16}",
    rb"\0\0.{0,2}|\0\0..(f(t(y(p.{0,3})?)?)?)?",
)
_IEND: Final = b"\0\0\0\0IEND\xae\x42\x60\x82"


def completeness(kind: Kind, source: ByteSource) -> Completeness:
    """Never raises for what the bytes are; OSErrors of reading them pass."""
    if source.size_bytes < SHORTEST_BYTES:
        return incomplete(f"{source.size_bytes} bytes so far")
    try:
        return _PROBES[kind](source) if kind in _PROBES else UNKNOWN
    except Enough:
        return UNKNOWN


def unknown_so_far(head: bytes) -> Completeness:
    """For a file that is called like a picture and is none by its first bytes: perhaps they are still to come (W03)."""
    if not head.strip(b"\0"):
        return incomplete("nothing but zeros so far")
    if any(re.fullmatch(beginning, head, re.DOTALL) for beginning in _BEGINNINGS):
        return incomplete(f"{len(head)} bytes so far")
    return UNKNOWN


def _jpeg(source: ByteSource) -> Completeness:
    """Complete with an EOI after the first scan has begun: in scans no marker looks like one (ITU-T T.81, B.1.1.5)."""
    at = 2
    for _ in range(_MOST_SEGMENTS):
        field = source.at(at, 4)
        if len(field) < 4:
            return incomplete("the JPEG ends in its header")
        if field[0] != 0xFF:
            return UNKNOWN
        marker = field[1]
        if marker == 0xFF:
            at += 1
        elif marker in _STANDALONE:
            at += 2
        elif marker == _EOI:
            return UNKNOWN
        else:
            at += 2 + max(int.from_bytes(field[2:4], "big"), 2)
            if marker == _SOS:
                return COMPLETE if _has_end(source, at) else incomplete("the JPEG has no end marker")
    return UNKNOWN


def _has_end(source: ByteSource, start: int) -> bool:
    tail = max(start, source.size_bytes - _TAIL_BYTES)
    if source.at(max(start, source.size_bytes - 2), 2) == b"\xff\xd9" or b"\xff\xd9" in source.at(tail, _TAIL_BYTES):
        return True
    # What follows the picture (a phone's video) can be long, so the end is searched for from the front too.
    for at in range(start, min(tail, start + _SEARCH_BYTES), _CHUNK_BYTES):
        if b"\xff\xd9" in source.at(at, _CHUNK_BYTES + 1):
            return True
    return False


def _png(source: ByteSource) -> Completeness:
    if source.at(source.size_bytes - len(_IEND), len(_IEND)) == _IEND:
        return COMPLETE
    at = 8
    for _ in range(_MOST_CHUNKS):
        field = source.at(at, 8)
        end = at + 12 + int.from_bytes(field[:4], "big")
        if len(field) < 8 or end > source.size_bytes:
            return incomplete("the PNG has no end chunk")
        if field[4:] == b"IEND":
            return COMPLETE
        if field[4:] == bytes(4):
            return incomplete("the end of the PNG is zeros so far")
        at = end
    return UNKNOWN


def _gif(source: ByteSource) -> Completeness:
    """Walks the blocks (GIF89a, Appendix A): each tells where the next one is, so the whole file is passed through."""
    missing = incomplete("the GIF has no trailer")
    at = 13 + _colours(source.at(10, 1)[0])
    inside = False
    for _ in range(_MOST_BLOCKS):
        kind = source.at(at, 1)
        if not kind:
            return missing
        if inside:
            inside = kind != b"\0"
            at += 1 + kind[0]
        elif kind == b";":
            return COMPLETE
        elif kind == b",":
            described = source.at(at, 10)
            at += 11 + _colours(described[9] if len(described) == 10 else 0)
            inside = True
        elif kind == b"!":
            at += 2
            inside = True
        else:
            return missing if kind == b"\0" else UNKNOWN
    return COMPLETE if source.at(source.size_bytes - 2, 2) == b"\0;" else missing


def _colours(flags: int) -> int:
    """Bytes of the colour table that ``flags`` announces."""
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _bmp(source: ByteSource) -> Completeness:
    """By the rows where they are plain, else by the size that the header states, which some programs leave at zero."""
    head = source.at(0, 54)
    pixels_at = int.from_bytes(head[10:14], "little")
    declared = int.from_bytes(head[2:6], "little")
    if int.from_bytes(head[14:18], "little") >= 40 and int.from_bytes(head[30:34], "little") in {0, 3, 6}:
        width, height = (int.from_bytes(head[at : at + 4], "little", signed=True) for at in (18, 22))
        row_bytes = (max(width, 0) * int.from_bytes(head[28:30], "little") + 31) // 32 * 4
        declared = pixels_at + row_bytes * abs(height)
    if not declared:
        return UNKNOWN
    return COMPLETE if declared <= source.size_bytes else incomplete(f"{source.size_bytes} of {declared} bytes so far")


_PROBES: Final[dict[Kind, Callable[[ByteSource], Completeness]]] = {
    Kind.JPEG: _jpeg,
    Kind.PNG: _png,
    Kind.GIF: _gif,
    Kind.WEBP: completeness_boxes.riff,
    Kind.TIFF: completeness_tiff.tiff,
    Kind.AVIF: completeness_boxes.iso,
    Kind.HEIF: completeness_boxes.iso,
    Kind.BMP: _bmp,
}
