"""Step: the pixels, decoded once, at the smallest scale that serves the largest rendition and the fingerprint."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from PIL import Image

from dropmill.files.sniff import Kind
from dropmill.imaging import jpeg_end, streaming
from dropmill.imaging.attempt import Attempt, Frame, decoding, reject
from dropmill.imaging.sizes import dct_divisor, needed_scale
from dropmill.model.outcome import Reason

_SHOWN_MS: Final = 100
"""What browsers use for a frame that names no duration."""


def decode(attempt: Attempt) -> None:
    if attempt.stream_scale:
        attempt.frames = _streamed(attempt)
    else:
        attempt.frames = _animation(attempt) if attempt.animated else _still(attempt)


def _streamed(attempt: Attempt) -> Iterator[Frame]:
    yield Frame(streaming.reduced(attempt), icc=attempt.icc)


def _still(attempt: Attempt) -> Iterator[Frame]:
    image = attempt.opened()
    with decoding(attempt):
        index = attempt.pages[attempt.page - 1]
        if index:
            image.seek(index)
        elif attempt.kind is Kind.JPEG:
            _draft(attempt)
        _check(attempt, image)
        image.load()
        if not index:
            jpeg_end.check(attempt, image)
        icc = image.info.get("icc_profile") if index else attempt.icc
    yield Frame(image, icc=icc if isinstance(icc, bytes) else None)


def _animation(attempt: Attempt) -> Iterator[Frame]:
    image = attempt.opened()
    # An APNG may begin with a still picture for those who cannot animate.
    index = 1 if image.info.get("default_image") else 0
    while index < attempt.request.limits.max_frames:
        with decoding(attempt):
            try:
                image.seek(index)
            except EOFError:
                return
            _check(attempt, image)
            image.load()
            frame = image.copy()
            duration_ms = round(float(image.info.get("duration") or _SHOWN_MS))
        yield Frame(frame, duration_ms, attempt.icc)
        index += 1


def _draft(attempt: Attempt) -> None:
    """Let the JPEG decoder scale by 1/2, 1/4 or 1/8 in the frequency domain, which costs a fraction of the pixels."""
    image, picture = attempt.opened(), attempt.described()
    divisor = dct_divisor(needed_scale(attempt.request.recipe.renditions, picture.width, picture.height))
    if divisor > 1:
        # The box has the picture's own aspect ratio: with any other, Pillow does not scale at all.
        image.draft(None, (max(image.width // divisor, 1), max(image.height // divisor, 1)))


def _check(attempt: Attempt, image: Image.Image) -> None:
    """A frame must not be larger than what the header was let through for."""
    if image.width * image.height > attempt.request.limits.max_pixels:
        raise reject(Reason.TOO_LARGE, f"a frame of {image.width}x{image.height}")
