"""Step: the picture as its photographer saw it (EXIF orientation 1 to 8, I05)."""

from __future__ import annotations

from typing import Final

from PIL import Image

from dropmill.imaging.attempt import Attempt, Frame

# EXIF 2.32, tag 0x0112: what undoes each value.
_UNDO: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def turn(attempt: Attempt) -> None:
    """Turn every frame; the decoders of TIFF and HEIF have already done it."""
    orientation = attempt.orientation
    if orientation not in _UNDO:
        return
    attempt.frames = (Frame(turned(frame.image, orientation), frame.duration_ms, frame.icc) for frame in attempt.frames)


def turned(image: Image.Image, orientation: int) -> Image.Image:
    """``image`` with ``orientation`` (1 to 8, else nothing is done) undone."""
    undo = _UNDO.get(orientation)
    if undo is None:
        return image
    result = image.transpose(undo)
    result.palette = image.palette
    return result
