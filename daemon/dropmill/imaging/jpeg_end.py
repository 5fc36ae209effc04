"""A JPEG that was cut and given an end marker: its decoder fills what is missing with grey and tells nobody (I03).

Pillow passes no warnings of libjpeg on, but where data is missing before the *file* ends, it does complain. So for a
picture that ends in that grey, a second decode, at an eighth of the size, gets the coded data without its end marker and
with a few bytes more than the decoder looks ahead: what is whole needs none of them, what was cut runs out of data.
"""

from __future__ import annotations

from typing import Final

from PIL import Image

from dropmill.files.sniff import Kind
from dropmill.imaging import codecs
from dropmill.imaging.attempt import Attempt, decoding, reject
from dropmill.model.outcome import Reason

# libjpeg leaves the coefficients of missing blocks zero (jdhuff.c, insufficient_data), which is the middle of the range.
_FILLED: Final = frozenset({127, 128})
_LOOKAHEAD: Final = bytes(64)


def check(attempt: Attempt, image: Image.Image) -> None:
    """``image`` is decoded. Raises ``Stop``: truncated. Of what has several scans, blur is all that can be missing."""
    anatomy = attempt.anatomy
    if attempt.kind is not Kind.JPEG or anatomy.scan == "several" or not anatomy.coded_end or not _ends_grey(image):
        return
    if anatomy.scan == "first-of-many":
        raise reject(Reason.TRUNCATED, "the picture ends in its first scan")
    data = attempt.data[: anatomy.coded_end] + _LOOKAHEAD
    with decoding(attempt):
        second = codecs.open_image(attempt.kind, data)
        second.draft(None, (max(second.width // 8, 1), max(second.height // 8, 1)))
        second.load()


def _ends_grey(image: Image.Image) -> bool:
    pixel = image.getpixel((image.width - 1, image.height - 1))
    return set(pixel if isinstance(pixel, tuple) else (pixel,)) <= _FILLED
