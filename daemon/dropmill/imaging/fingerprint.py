"""Step: how the picture looks (DESIGN, *Fingerprints, exactly*)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain

import imagehash
import numpy as np
from PIL import Image

from dropmill.imaging import shrink
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
    """Hashes of an upright sRGB picture (L, RGB or RGBA), by imagehash itself on G.

    Each hash begins by resizing G, which is nearly all of its work. imagehash gets pictures that have that size already and
    leaves them as they are, so that one pass over G serves all.
    """
    luma = g_of(image)
    for_phash, for_phash256, for_dhash, for_ahash = shrink.to_sizes(luma, (32, 32), (64, 64), (9, 8), (8, 8))
    return Looks(
        phash=_number(imagehash.phash(for_phash)),
        dhash=_number(imagehash.dhash(for_dhash)),
        ahash=_number(imagehash.average_hash(for_ahash)),
        phash256=f"{_number(imagehash.phash(for_phash256, hash_size=16)):064x}",
        texture=_deviation(luma),
    )


def g_of(image: Image.Image) -> Image.Image:
    """G: alpha on white, Pillow's ``L``, fit to 512 with BICUBIC; in this order, because one band is less work than three."""
    if image.mode == "RGBA":
        white = Image.new("RGB", image.size, "white")
        white.paste(image, mask=image.getchannel("A"))
        image = white
    luma = image.convert("L")
    longest = max(image.size)
    if longest > SIDE:
        size = (max(1, round(image.width * SIDE / longest)), max(1, round(image.height * SIDE / longest)))
        luma = luma.resize(size, Image.Resampling.BICUBIC)
    return luma


def _number(found: imagehash.ImageHash) -> int:
    """The bits in row order, as imagehash's own hex has them."""
    return int.from_bytes(np.packbits(found.hash).tobytes(), "big")


def _deviation(luma: Image.Image) -> float:
    """Standard deviation of a picture in mode L, from integers up to the last step."""
    counts = luma.histogram()
    pixels = luma.width * luma.height
    total = sum(value * count for value, count in enumerate(counts))
    squares = sum(value * value * count for value, count in enumerate(counts))
    return math.sqrt(pixels * squares - total * total) / pixels


def _again(first: Frame, rest: Iterator[Frame]) -> Iterator[Frame]:
    return chain((first,), rest)
