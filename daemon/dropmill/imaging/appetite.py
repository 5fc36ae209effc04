"""How much memory a picture will take at its peak, told from its header so that the daemon can make room before."""

from __future__ import annotations

import math
from typing import Final

from dropmill.files.sniff import Kind
from dropmill.imaging.attempt import Attempt
from dropmill.imaging.sizes import dct_divisor, needed_scale, target

# All figures are bytes per pixel, from peaks of mapped memory (VmPeak) over each format at 19 megapixels, rounded up: the
# decoder's own buffers, the picture, and copies of it by turning, converting and judging.
_PLAIN: Final = {"1": 6, "L": 8, "RGB": 12, "YCbCr": 12, "CMYK": 18}
_PLAIN_KINDS: Final = frozenset({Kind.JPEG, Kind.PNG, Kind.TIFF, Kind.BMP})
_ELSE: Final = 24
# A progressive JPEG keeps the coefficients of all its pixels, three of two bytes, however small it is decoded.
_PROGRESSIVE: Final = 6
# Of each rendition: its pixels, kept until all are encoded, and what its encoder takes while it works.
_CANVAS: Final = 4
_ENCODER: Final = {"jpeg": 8, "png": 6, "webp": 12, "avif": 36, "auto": 12}
# What libvips takes besides the picture that it hands over: stacks and heaps of two threads, and the rows on their way that
# become so many of the result, of 4 samples at most; floats, while alpha is multiplied in. By the same peaks.
_STREAM_BASE_BYTES: Final = 48 << 20
_STREAM_ROWS: Final = 128
_STREAM_OPAQUE: Final = 4
_STREAM_ALPHA: Final = 16
_PERHAPS_ALPHA: Final = frozenset({"LA", "P", "RGBA"})
# Everything that does not grow with the picture: profiles, tables, the allocator's slack.
_BASE_BYTES: Final = 32 << 20


def needs_bytes(attempt: Attempt) -> int:
    """An estimate on the high side, in bytes beyond what the worker starts with."""
    image, picture = attempt.opened(), attempt.described()
    pixels = image.width * image.height
    if len(attempt.pages) > 1:  # Pages are rendered one by one and are mostly of one size.
        pixels = max(pixels, 2 * attempt.anatomy.frame_pixels // len(attempt.pages))
    each = _PLAIN.get(image.mode, _ELSE) if attempt.kind in _PLAIN_KINDS else _ELSE
    divisor = 1
    if attempt.kind is Kind.JPEG:
        divisor = dct_divisor(needed_scale(attempt.request.recipe.renditions, picture.width, picture.height))
    decoding = pixels // divisor**2 * each
    if attempt.kind is Kind.JPEG and image.info.get("progressive"):
        decoding += pixels * _PROGRESSIVE
    return _BASE_BYTES + 2 * len(attempt.data) + decoding + _outputs(attempt)


def streamed_needs_bytes(attempt: Attempt, scale: float) -> int:
    """The same for a picture that libvips reduces by ``scale`` (at most 1) on the way."""
    image = attempt.opened()
    each = _PLAIN.get(image.mode, _ELSE)
    decoding = math.ceil(image.width * scale) * math.ceil(image.height * scale) * each
    # The end of a JPEG may be looked at in a copy of its own.
    copies = 2 if attempt.kind is Kind.JPEG or attempt.anatomy.without_metadata else 1
    rows = min(image.height, math.ceil(_STREAM_ROWS / scale))
    under_way = image.width * rows * (_STREAM_ALPHA if image.mode in _PERHAPS_ALPHA else _STREAM_OPAQUE)
    return _BASE_BYTES + _STREAM_BASE_BYTES + copies * len(attempt.data) + decoding + under_way + _outputs(attempt)


def _outputs(attempt: Attempt) -> int:
    picture, kept, encoding = attempt.described(), 0, 0
    for spec in attempt.request.recipe.renditions:
        goal = target(spec, picture.width, picture.height)
        made = goal.width * goal.height
        frames = picture.frames if attempt.animated else 1
        kept += made * frames * _CANVAS
        encoding = max(encoding, made * (_ENCODER[spec.format] + (frames - 1) * _CANVAS))
    return kept + encoding
