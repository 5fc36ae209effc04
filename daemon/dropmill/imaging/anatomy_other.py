"""Formats whose coded image is the whole file: GIF, TIFF, and the boxes of AVIF and HEIF."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from dropmill.files import ifd
from dropmill.files.byte_source import ByteSource
from dropmill.files.completeness_boxes import ZEROS, iso
from dropmill.imaging.anatomy import Anatomy

_MAX_GIF_FRAMES: Final = 1_000_000
_MAX_TIFF_PAGES: Final = 100_000


def dissect_gif(data: bytes) -> Anatomy:
    """Counts frames and the largest extent: a frame may reach beyond the screen that the header declares (GIF89a)."""
    width, height = _le16(data, 6), _le16(data, 8)
    at = 13 + (3 << (data[10] & 7) + 1 if len(data) > 10 and data[10] & 0x80 else 0)
    frames = 0
    whole = True
    while at < len(data) and frames < _MAX_GIF_FRAMES:
        block = data[at]
        if block == 0x3B:
            break
        if block == 0x2C:
            whole = at + 11 <= len(data)
            if not whole:
                break
            width = max(width, _le16(data, at + 1) + _le16(data, at + 5))
            height = max(height, _le16(data, at + 3) + _le16(data, at + 7))
            flags = data[at + 9]
            at = _past_sub_blocks(data, at + 11 + (3 << (flags & 7) + 1 if flags & 0x80 else 0))
            frames += 1
        elif block == 0x21:
            at = _past_sub_blocks(data, at + 2)
        else:
            at += 1  # Decoders skip stray bytes between blocks.
        if at < 0:
            whole = False
            break
    return Anatomy(size=(width, height), frames=max(frames, 1), truncated=not whole)


def _past_sub_blocks(data: bytes, at: int) -> int:
    """Where the next block starts, or -1 where the data ends inside this one."""
    while at < len(data):
        length = data[at]
        at += 1 + length
        if not length:
            return at
    return -1


def dissect_tiff(data: bytes) -> Anatomy:
    """Pages are the directories of the main chain that are not reduced copies; loops end the chain (I04)."""
    directories = list(ifd.chain(data, _MAX_TIFF_PAGES))
    pages = tuple(index for index, directory in enumerate(directories) if not index or not directory.reduced)
    sizes = [(directories[index].first(ifd.WIDTH), directories[index].first(ifd.LENGTH)) for index in pages]
    return Anatomy(
        size=(max(width for width, _ in sizes), max(height for _, height in sizes)) if sizes else None,
        frames=max(len(pages), 1),
        frame_pixels=sum(width * height for width, height in sizes),
        pages=pages or (0,),
        truncated=not directories,
    )


def dissect_iso(data: bytes) -> Anatomy:
    """AVIF and HEIF (ISO/IEC 23008-12): the largest ``ispe`` property is the size that a decoder would allocate."""
    sizes: list[tuple[int, int]] = []
    truncated = False
    for kind, start, end in _boxes(data, 0, len(data)):
        truncated = end > len(data)
        if kind == b"meta":
            sizes.extend(_ispe(data, start + 4, min(end, len(data))))
    return Anatomy(
        size=(max(width for width, _ in sizes), max(height for _, height in sizes)) if sizes else None,
        truncated=truncated,
        zeros_at_end=iso(ByteSource.of(data)) == ZEROS,
    )


def _ispe(data: bytes, start: int, end: int) -> Iterator[tuple[int, int]]:
    for kind, inner, inner_end in _boxes(data, start, end):
        if kind in {b"iprp", b"ipco"}:
            yield from _ispe(data, inner, min(inner_end, end))
        elif kind == b"ispe" and inner + 12 <= end:
            yield _be32(data, inner + 4), _be32(data, inner + 8)


def _boxes(data: bytes, at: int, stop: int) -> Iterator[tuple[bytes, int, int]]:
    while at + 8 <= stop:
        length, header = _be32(data, at), 8
        if length == 1:
            length, header = int.from_bytes(data[at + 8 : at + 16], "big"), 16
        elif length == 0:
            length = stop - at
        if length < header:
            return
        yield data[at + 4 : at + 8], at + header, at + length
        at += length


def _le16(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 2], "little")


def _be32(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 4], "big")
