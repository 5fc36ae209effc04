"""Step: how the picture looks (DESIGN, *Fingerprints, exactly*)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import chain

import imagehash
import numpy as np
from PIL import Image

from dropmill.imaging.attempt import Attempt, Frame, reject
from dropmill.imaging.sizes import FINGERPRINT_SIDE as SIDE
from dropmill.model.fingerprint import STREAMED_VERSION, Looks
from dropmill.model.outcome import Reason


def look(attempt: Attempt) -> None:
    """Take the hashes of the first frame of the first page, and put it back before the others."""
    frame = next(attempt.frames, None)
    if frame is None:
        raise reject(Reason.CORRUPT, "no frame could be decoded")
    if attempt.looks is None:
        looks = looks_of(frame.image)
        attempt.looks = replace(looks, version=STREAMED_VERSION) if attempt.stream_scale else looks
    attempt.frames = _again(frame, attempt.frames)


def looks_of(image: Image.Image) -> Looks:
    """Hashes of an upright sRGB picture (L, RGB or RGBA), by imagehash itself on G."""
    luma = g_of(image)
    return Looks(
        phash=int(str(imagehash.phash(luma)), 16),
        dhash=int(str(imagehash.dhash(luma)), 16),
        ahash=int(str(imagehash.average_hash(luma)), 16),
        phash256=f"{int(str(imagehash.phash(luma, hash_size=16)), 16):064x}",
        texture=float(np.asarray(luma).std()),
    )


def g_of(image: Image.Image) -> Image.Image:
    """G: alpha on white, fit to 512 with BICUBIC, Pillow's ``L``."""
    if image.mode == "RGBA":
        white = Image.new("RGB", image.size, "white")
        white.paste(image, mask=image.getchannel("A"))
        image = white
    longest = max(image.size)
    if longest > SIDE:
        size = (max(1, round(image.width * SIDE / longest)), max(1, round(image.height * SIDE / longest)))
        image = image.resize(size, Image.Resampling.BICUBIC)
    return image.convert("L")


def _again(first: Frame, rest: Iterator[Frame]) -> Iterator[Frame]:
    return chain((first,), rest)
