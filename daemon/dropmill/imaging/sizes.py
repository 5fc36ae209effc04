"""How large a rendition is, and which part of the source it shows. Pure arithmetic on upright pictures."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from dropmill.model.image import RenditionSpec

FINGERPRINT_SIDE: Final = 512
"""The longer side of G (DESIGN, *Fingerprints, exactly*) in pixels; smaller pictures are not enlarged."""
# The longest side in pixels that a format can hold: libjpeg's JPEG_MAX_DIMENSION, WebP's 14 bits, and what common
# AV1 decoders accept.
LONGEST_SIDE: Final = {"jpeg": 65_500, "png": 65_500, "webp": 16_383, "avif": 16_384, "auto": 65_500}


@dataclass(frozen=True, slots=True)
class Target:
    """``width`` x ``height`` pixels, showing ``box`` (left, top, right, bottom as fractions of the source)."""

    width: int
    height: int
    box: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0)

    def scale(self, source_width: int, source_height: int) -> float:
        """Pixels of the rendition for one of the source, along the axis that needs more."""
        left, top, right, bottom = self.box
        return max(self.width / (source_width * (right - left)), self.height / (source_height * (bottom - top)))


def target(spec: RenditionSpec, width: int, height: int) -> Target:
    """The rendition ``spec`` of an upright source of ``width`` x ``height`` pixels, at least 1 pixel each way (I10).

    Without ``enlarge`` no side becomes longer than the source has pixels for (I12); ``fill`` then keeps the wanted
    aspect ratio at a smaller size.
    """
    if spec.mode == "fill":
        return _fill(spec, width, height)
    if spec.mode == "fit":
        factor = min(spec.width / width, spec.height / height)
    elif spec.mode == "width":
        factor = spec.width / width
    elif spec.mode == "height":
        factor = spec.height / height
    else:
        factor = spec.scale
    if not spec.enlarge:
        factor = min(factor, 1.0)
    factor = min(factor, LONGEST_SIDE[spec.format] / max(width, height))
    return Target(_pixels(width * factor), _pixels(height * factor))


def needed_scale(specs: Iterable[RenditionSpec], width: int, height: int) -> float:
    """The smallest scale, at most 1, at which a source of ``width`` x ``height`` serves all ``specs`` and the fingerprint."""
    needed = FINGERPRINT_SIDE / max(width, height)
    for spec in specs:
        needed = max(needed, target(spec, width, height).scale(width, height))
    return min(needed, 1.0)


def dct_divisor(scale: float) -> int:
    """By how much a JPEG decoder may divide each side, in the frequency domain, and still serve ``scale``."""
    return next((divisor for divisor in (8, 4, 2) if scale * divisor <= 1.0), 1)


def _fill(spec: RenditionSpec, width: int, height: int) -> Target:
    shrink = 1.0 if spec.enlarge else min(1.0, width / spec.width, height / spec.height)
    shrink = min(shrink, LONGEST_SIDE[spec.format] / max(spec.width, spec.height))
    out_width, out_height = _pixels(spec.width * shrink), _pixels(spec.height * shrink)
    factor = max(out_width / width, out_height / height)
    shown_width, shown_height = min(out_width / factor / width, 1.0), min(out_height / factor / height, 1.0)
    left, top = (1.0 - shown_width) / 2, (1.0 - shown_height) / 2
    return Target(out_width, out_height, (left, top, left + shown_width, top + shown_height))


def _pixels(length: float) -> int:
    return max(1, round(length))
