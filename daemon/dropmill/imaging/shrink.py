"""One grey picture shrunk to several small sizes, byte for byte as Pillow does it one by one with LANCZOS.

Pillow resizes the rows of a picture first and then the columns of what came out. For a target far smaller than its source,
each of whose pixels is then read for each target again, nearly all of the time goes into the rows. They are done here
for all targets together, as products of matrices.

That is exact: Pillow multiplies samples by whole numbers (weights of 22 bits after the point), adds, rounds and clips
(``ImagingResampleHorizontal_8bpc``). Sums of such products stay below 2**32, so floating point of 64 bits holds them
without rounding, in whatever order a library adds. The weights are Pillow's own too, read off how it resizes a single dot.
"""

from __future__ import annotations

from functools import cache
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dropmill.imaging.sizes import FINGERPRINT_SIDE

Size = tuple[int, int]

_LANCZOS: Final = Image.Resampling.LANCZOS
_WEIGHT_BITS: Final = 22  # PRECISION_BITS of Pillow's Resample.c
# Neighbouring columns of a target need neighbouring columns of the source: taken in lots, most of the zeros are left out.
_LOT: Final = 8


class _Lot(NamedTuple):
    """Some columns of the targets side by side: from which columns of the source, and by which weights."""

    target: slice
    source: slice
    weights: NDArray[np.float64]


def to_sizes(luma: Image.Image, *sizes: Size) -> tuple[Image.Image, ...]:
    """``luma`` (mode L) resized to each of ``sizes`` with LANCZOS.

    The one pass for all is taken for the width of G alone, which most pictures have, because the weights of each width
    would have to be worked out and kept.
    """
    if luma.width != FINGERPRINT_SIDE:
        return tuple(luma.resize(size, _LANCZOS) for size in sizes)
    narrow = _rows(luma, tuple(width for width, _ in sizes))
    made, left = [], 0
    for width, height in sizes:
        strip = np.ascontiguousarray(narrow[:, left : left + width])
        made.append(Image.fromarray(strip).resize((width, height), _LANCZOS))
        left += width
    return tuple(made)


def _rows(luma: Image.Image, widths: tuple[int, ...]) -> NDArray[np.uint8]:
    """Every row of ``luma`` shrunk to each of ``widths``, side by side."""
    samples = np.asarray(luma).astype(np.float64)
    sums = np.empty((luma.height, sum(widths)))
    for lot in _lots(luma.width, widths):
        np.matmul(samples[:, lot.source], lot.weights, out=sums[:, lot.target])
    sums += 1 << _WEIGHT_BITS - 1
    sums *= 0.5**_WEIGHT_BITS
    np.floor(sums, out=sums)
    np.clip(sums, 0.0, 255.0, out=sums)
    return sums.astype(np.uint8)


@cache
def _lots(source_width: int, widths: tuple[int, ...]) -> tuple[_Lot, ...]:
    lots, left = [], 0
    for width in widths:
        weights = _weights(source_width, width)
        for start in range(0, width, _LOT):
            part = weights[:, start : start + _LOT]
            used = np.flatnonzero(part.any(axis=1))
            source = slice(int(used[0]), int(used[-1]) + 1)
            target = slice(left + start, left + start + part.shape[1])
            lots.append(_Lot(target, source, np.ascontiguousarray(part[source])))
        left += width
    return tuple(lots)


def _weights(source_width: int, width: int) -> NDArray[np.float64]:
    """By how much, in units of 2**-22, each column of the source counts in each of ``width`` columns.

    In mode I Pillow keeps the weights as fractions and rounds at the end, by the same rule by which it rounds the
    weights of mode L beforehand; so a dot of 2**22 comes out as those.
    """
    dots = Image.fromarray(np.eye(source_width, dtype=np.int32) << _WEIGHT_BITS)
    return np.asarray(dots.resize((width, source_width), _LANCZOS)).astype(np.float64)
