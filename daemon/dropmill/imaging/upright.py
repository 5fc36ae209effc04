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
    undo = _UNDO.get(attempt.orientation)
    if undo is None:
        return
    attempt.frames = (Frame(_turned(frame.image, undo), frame.duration_ms, frame.icc) for frame in attempt.frames)


def _turned(image: Image.Image, undo: Image.Transpose) -> Image.Image:
    turned = image.transpose(undo)
    turned.palette = image.palette
    return turned
