"""What a picture's own pixels and tables say of its worth beside others that look like it."""

from __future__ import annotations

import hashlib
from typing import Final

import numpy as np
from PIL import Image

from dropmill.files.sniff import Kind
from dropmill.imaging import metadata, quantised, resampled, spectrum
from dropmill.imaging.attempt import Attempt
from dropmill.imaging.upright import turned
from dropmill.model.resemblance import Evidence

# What undoes the undoing of each EXIF orientation; the others undo themselves.
_BACK: Final = {6: 8, 8: 6}
_STRIP: Final = 256


def measure(attempt: Attempt, image: Image.Image) -> Evidence:
    """``image``: decoded in full, upright, sRGB; mode L, RGB or RGBA."""
    grey = np.asarray(image.convert("L"))
    table = _table(attempt)
    effective_width, effective_height = _effective(grey)
    return Evidence(
        pixels_sha256=pixels_digest(image),
        width=image.width,
        height=image.height,
        effective_width=effective_width,
        effective_height=effective_height,
        sharpness=spectrum.sharpness(grey),
        jpeg_quality=quantised.quality(table) if table else 0,
        earlier_quality=quantised.earlier_quality(_as_stored(attempt, grey), table),
        exif_fields=metadata.count_fields(attempt.anatomy.exif, attempt.opened()),
        captured_at=attempt.described().captured_at,
    )


def _effective(grey: spectrum.Grey) -> tuple[int, int]:
    """Width and height that the detail needs, and at most what there was before an enlargement that left its traces."""
    height, width = grey.shape
    wide, high = spectrum.effective_pixels(grey), spectrum.effective_pixels(grey.T)
    factor = resampled.factor(grey, float(np.sqrt(width * height / (wide * high))))
    return min(wide, round(width / factor)), min(high, round(height / factor))


def pixels_digest(image: Image.Image) -> str:
    """SHA-256 (hex) of all samples; grey pictures count as RGB. Strip by strip, so that no copy of the whole is made."""
    mode = "RGB" if image.mode == "L" else image.mode
    digest = hashlib.sha256(f"{mode} {image.width}x{image.height}\n".encode())
    for top in range(0, image.height, _STRIP):
        strip = image.crop((0, top, image.width, min(top + _STRIP, image.height)))
        digest.update(strip.convert(mode).tobytes())
    return digest.hexdigest()


def _table(attempt: Attempt) -> list[int] | None:
    """The steps for luminance of a JPEG, in row order."""
    tables = getattr(attempt.opened(), "quantization", None) if attempt.kind is Kind.JPEG else None
    return list(tables[0]) if tables and len(tables.get(0, ())) == 64 else None


def _as_stored(attempt: Attempt, grey: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> spectrum.Grey:
    orientation = attempt.orientation
    if orientation == 1:
        return grey
    return np.asarray(turned(Image.fromarray(grey), _BACK.get(orientation, orientation)))
