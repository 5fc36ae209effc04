"""Step: how the picture looks (DESIGN, *Fingerprints, exactly*)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import chain
from typing import Final

import imagehash
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dropmill.imaging import shrink, windows
from dropmill.imaging.attempt import Attempt, Frame, reject
from dropmill.imaging.sizes import FINGERPRINT_SIDE as SIDE
from dropmill.model.fingerprint import STREAMED_VERSION, Looks
from dropmill.model.outcome import Reason

# Levels of luma that count as one tone: the noise of a scan, and the light that falls off towards its margin, stay within.
_TONE: Final = 17
_SQUARE: Final = 16
_QUIET: Final = 4
# By how many bits the entropy of the levels grows where each is averaged with those around: 0 to 0.5 of photographs, 0.8
# to 2.4 of drawn screens.
_AROUND: Final = 9
_DRAWN_BITS: Final = 1.1
_MOST_DRAWN: Final = 0.85


def look(attempt: Attempt) -> None:
    """Take the hashes of the first frame of the first page, and put it back before the others."""
    frame = next(attempt.frames, None)
    if frame is None:
        raise reject(Reason.CORRUPT, "no frame could be decoded")
    if attempt.looks is None:
        looks = looks_of(frame.image, parts=attempt.request.windows)
        attempt.looks = replace(looks, version=STREAMED_VERSION) if attempt.stream_scale else looks
    attempt.frames = _again(frame, attempt.frames)


def looks_of(image: Image.Image, *, parts: bool = False) -> Looks:
    """Hashes of an upright sRGB picture (L, RGB or RGBA), by imagehash itself on G.

    Each hash begins by resizing G, which is nearly all of its work. imagehash gets pictures that have that size already and
    leaves them as they are, so that one pass over G serves all. ``parts``: those of its windows too, which take longer.
    """
    luma = g_of(image)
    for_phash, for_phash256, for_dhash, for_ahash = shrink.to_sizes(luma, (32, 32), (64, 64), (9, 8), (8, 8))
    return Looks(
        phash=windows.number(imagehash.phash(for_phash)),
        dhash=windows.number(imagehash.dhash(for_dhash)),
        ahash=windows.number(imagehash.average_hash(for_ahash)),
        phash256=f"{windows.number(imagehash.phash(for_phash256, hash_size=16)):064x}",
        texture=_texture(luma),
        windows=windows.of(luma) if parts else None,
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


def _texture(luma: Image.Image) -> float:
    """How far the hashes of a picture in mode L tell it from others, in percent: the least of three.

    What lies outside of its commonest tone, for paper, fog or the ground of a window are one tone, whatever stands on it.
    What lies outside of quiet squares, for drawn surfaces are quiet. And how little its levels stand out from those beside
    them, as the few do with which something is drawn.
    """
    counts = np.array(luma.histogram())
    pixels = int(counts.sum())
    below = np.concatenate(([0], counts.cumsum()))
    tone = int((below[_TONE:] - below[:-_TONE]).max()) / pixels
    smooth = np.convolve(counts, np.full(_AROUND, 1 / _AROUND))
    standing_out = (_bits(smooth / pixels) - _bits(counts / pixels)) / _DRAWN_BITS
    # A photograph that was squeezed hard looks drawn by these, and is none.
    drawn = min(_MOST_DRAWN, max(_quiet(luma), standing_out))
    return 100.0 * (1.0 - max(tone, drawn))


def _bits(shares: NDArray[np.float64]) -> float:
    """Entropy of a histogram."""
    there = shares[shares > 1e-12]  # A convolution leaves less than nothing here and there.
    return float(-(there * np.log2(there)).sum())


def _quiet(luma: Image.Image) -> float:
    """The share of whole squares of ``_SQUARE`` pixels a side within which luma spans ``_QUIET`` levels at most."""
    rows, columns = luma.height // _SQUARE, luma.width // _SQUARE
    if not rows or not columns:
        return 0.0
    levels = np.asarray(luma)[: rows * _SQUARE, : columns * _SQUARE].reshape(rows, _SQUARE, -1)
    # Down the columns first, which is the larger part and takes whole rows at once.
    lightest, darkest = (ends.reshape(rows, columns, _SQUARE) for ends in (levels.max(axis=1), levels.min(axis=1)))
    spans = lightest.max(axis=2) - darkest.min(axis=2)
    return float(np.mean(spans <= _QUIET))


def _again(first: Frame, rest: Iterator[Frame]) -> Iterator[Frame]:
    return chain((first,), rest)
