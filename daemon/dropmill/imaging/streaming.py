"""A picture too large for its worker, read in rows and made smaller on the way by libvips (the optional extra ``vips``).

What comes out is what Pillow would have decoded, reduced to the scale that ``plan`` chose; all other steps go on with it as
with any picture. Only files that both libraries are known to read alike are taken, and what libvips fails at is tried again
in the ordinary way by the pool, so its verdict never decides about a file.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

from PIL import Image, TiffImagePlugin

from dropmill.files.sniff import Kind
from dropmill.imaging import jpeg_end, upright, vips
from dropmill.imaging.appetite import streamed_needs_bytes
from dropmill.imaging.attempt import Attempt, Stop
from dropmill.imaging.sizes import dct_divisor, needed_scale
from dropmill.model.outcome import Reason
from dropmill.model.work import Troubled

if TYPE_CHECKING:
    import pyvips

# How much larger than the largest rendition the reduced picture stays, best first. From 3 times on, Pillow itself would
# average blocks of pixels before it filters (see ``render``); with 1 the renditions are filtered by libvips alone.
_GAPS: Final = (3.0, 2.0, 1.5, 1.0)
_LOADERS: Final = {Kind.JPEG: "jpegload_source", Kind.PNG: "pngload_source", Kind.TIFF: "tiffload_source"}
_PNG_MODES: Final = frozenset({"1", "L", "LA", "P", "RGB", "RGBA", "I;16"})
_TIFF_COMPRESSIONS: Final = frozenset({"raw", "packbits", "tiff_lzw", "tiff_adobe_deflate", "tiff_deflate"})
# Grey and RGB as TIFF 6.0 spells it (PhotometricInterpretation), by Pillow's modes.
_TIFF_PHOTOMETRIC: Final = {"L": 1, "I;16": 1, "I;16B": 1, "RGB": 2, "RGBA": 2}
_UNASSOCIATED_ALPHA: Final = 2
_MODES: Final = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}


def plan(attempt: Attempt, needs_bytes: int) -> float:
    """At which scale to stream a picture that would take ``needs_bytes``; 0.0 to decode it in the ordinary way.

    That is when the worker's budget is enough, when the picture cannot be streamed, and when even so it would be too small.
    """
    budget_bytes = attempt.request.budget_bytes
    if needs_bytes <= budget_bytes or not budget_bytes or not _streams(attempt) or vips.library() is None:
        return 0.0
    picture = attempt.described()
    needed = needed_scale(attempt.request.recipe.renditions, picture.width, picture.height)
    for gap in _GAPS:
        scale = min(needed * gap, 1.0)
        if streamed_needs_bytes(attempt, scale) <= budget_bytes:
            return scale
    return 0.0


def _streams(attempt: Attempt) -> bool:
    """Whether rows come one after another, and mean to libvips what they mean to Pillow."""
    image, anatomy = attempt.opened(), attempt.anatomy
    if attempt.animated or anatomy.frames > 1 or len(attempt.pages) > 1:
        return False
    if attempt.kind is Kind.JPEG:
        # One with several scans keeps the coefficients of all its pixels, whoever decodes it.
        return image.mode in {"L", "RGB"} and anatomy.scan == "one"
    if attempt.kind is Kind.PNG:
        keyed = image.mode != "P" and "transparency" in image.info
        return image.mode in _PNG_MODES and not image.info.get("interlace") and not keyed
    return isinstance(image, TiffImagePlugin.TiffImageFile) and _tiff_streams(image)


def _tiff_streams(image: TiffImagePlugin.TiffImageFile) -> bool:
    tags = image.tag_v2
    bits = set(tags.get(TiffImagePlugin.BITSPERSAMPLE, ()))
    return (
        image.info.get("compression") in _TIFF_COMPRESSIONS
        and len(bits) == 1
        and bits <= {8, 16}
        and tags.get(TiffImagePlugin.SAMPLEFORMAT, (1,))[0] == 1
        and tags.get(TiffImagePlugin.PLANAR_CONFIGURATION, 1) == 1
        and tags.get(TiffImagePlugin.PHOTOMETRIC_INTERPRETATION) == _TIFF_PHOTOMETRIC.get(image.mode, -1)
        and tuple(tags.get(TiffImagePlugin.EXTRASAMPLES, ()))
        == ((_UNASSOCIATED_ALPHA,) if image.mode == "RGBA" else ())
    )


def reduced(attempt: Attempt) -> Image.Image:
    """The picture at ``attempt.stream_scale``, in mode L, LA, RGB, RGBA or I;16.

    Raises ``Stop``: troubled, whatever the cause, so that the ordinary way decides; truncated, as ``jpeg_end`` does.
    """
    library = vips.library()
    try:
        image = _pillow(_shrunk(library, attempt))
    except (library.Error, ValueError, MemoryError) as error:
        text = " ".join(str(error).split())[:200]
        sys.stderr.write(f"libvips could not stream it, Pillow is to decode it: {text}\n")
        raise Stop(Troubled(Reason.MEMORY_LIMIT, f"could not be streamed: {text}")) from error
    jpeg_end.check(attempt, image)
    return upright.turned(image, attempt.described().orientation) if attempt.turned_by_decoder else image


def _shrunk(library: Any, attempt: Attempt) -> pyvips.Image:
    divisor = dct_divisor(attempt.stream_scale) if attempt.kind is Kind.JPEG else 1
    options = {"shrink": divisor} if divisor > 1 else {}
    scale = attempt.stream_scale * divisor
    # A buffer would be copied; a source reads where the bytes are.
    source = library.Source.new_from_memory(attempt.anatomy.without_metadata or attempt.data)
    load = getattr(library.Image, _LOADERS[attempt.kind])
    image = load(source, access="sequential", fail_on="error", **options)
    found = (image.width * divisor, image.height * divisor)
    # By length, because Pillow's TIFF has turned its sides already. What was let in must be what is decoded.
    if any(abs(ours - its) >= divisor for ours, its in zip(sorted(attempt.opened().size), sorted(found), strict=True)):
        raise ValueError(f"libvips finds {found[0]}x{found[1]} pixels")
    layout = image.format
    transparent = image.bands in {2, 4}
    if scale < 1.0:
        image = image.premultiply() if transparent else image
        image = image.resize(scale)
        image = image.unpremultiply().rint().cast(layout) if transparent else image
    if layout == "ushort" and image.bands > 1:  # As Pillow does, which keeps wide samples of grey pictures only.
        image = image.rshift(8).cast("uchar")
    return image


def _pillow(image: pyvips.Image) -> Image.Image:
    mode = "I;16" if image.format == "ushort" else _MODES[image.bands]
    size = (image.width, image.height)
    return Image.frombytes(mode, size, image.write_to_memory())
