"""What JPEG compression has done to a picture: by the tables that it was last written with, and by the traces in its pixels.

Coefficients that were rounded to multiples of a step stay near them when the picture is written anew with finer steps, or
as another format (A. C. Popescu and H. Farid, *Statistical Tools for Digital Forensics*, 2004).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import fft

# ITU-T T.81, table K.1, in row order: libjpeg scales it by its quality (jcparam.c).
_LUMINANCE: Final = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)
_TABLE: Final = np.array(_LUMINANCE, np.float64)
# Coefficients that most pictures have enough of: row and column.
_LOOKED_AT: Final = ((0, 1), (1, 0), (2, 0), (1, 1), (0, 2), (0, 3), (1, 2), (2, 1), (3, 0))
_LARGEST_STEP: Final = 60
# Where those were hardly rounded, finer detail was: it always has coarser steps, of which there is less to be seen.
_FINER: Final = tuple((row, column) for row in range(8) for column in range(8) if 3 <= row + column <= 8)
_LARGEST_FINE_STEP: Final = 12
_SIDE: Final = 768
_LEAST_COEFFICIENTS: Final = 60
# Of the line in the spectrum of the coefficients: what chance makes of it, in standard deviations, and otherwise.
_CHANCE: Final = 6.0
_LEAST_LINE: Final = 0.12
_AS_STRONG: Final = 0.6
# An earlier step is seen if it is so much coarser than the last one.
_COARSER: Final = 1.4
_LEAST_FOUND: Final = 3
# Rows and columns that are left out, so that blocks are none any more.
_BESIDE: Final = ((1, 2), (3, 5), (4, 4))


def quality(table: Sequence[int]) -> int:
    """libjpeg's quality (1 to 100) that is nearest to a table for luminance of 64 steps, in any order."""
    total = sum(table)
    return min(range(1, 101), key=lambda asked: (abs(float(_scaled(asked).sum()) - total), -asked))


def earlier_quality(grey: NDArray[np.uint8], table: Sequence[int] | None) -> int:
    """Quality of an earlier and coarser compression of the same pixels; 0 where there are no traces of one.

    ``grey`` (height x width) as it is stored, not turned; ``table`` has the 64 steps, in row order, that it was last
    written with, None for formats without.
    """
    last = np.array(table, np.float64).reshape(8, 8) if table is not None and len(table) == 64 else np.ones((8, 8))
    found = _traces(grey, last)
    # Drawn pictures of a few flat colours look rounded wherever blocks are thought to begin.
    return 0 if found and any(_traces(grey[top:, left:], last) for top, left in _BESIDE) else found


def _traces(grey: NDArray[np.uint8], last: NDArray[np.float64]) -> int:
    blocks = _blocks(grey)
    if not len(blocks):
        return 0
    for places, largest in ((_LOOKED_AT, _LARGEST_STEP), (_FINER, _LARGEST_FINE_STEP)):
        steps = ((_step(blocks[:, *place], float(last[place]), largest), _TABLE[place]) for place in places)
        found = [step / usual for step, usual in steps if step]
        if len(found) >= _LEAST_FOUND:
            scale = float(np.median(found))
            return round(min(max(50 / scale if scale > 1 else 100 - 50 * scale, 1), 99))
    return 0


def _scaled(asked: int) -> NDArray[np.float64]:
    scale = 5000 // asked if asked < 50 else 200 - 2 * asked
    return np.clip((_TABLE * scale + 50) // 100, 1, 255)


def _blocks(grey: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Coefficients of the blocks in the middle: n x 8 x 8."""
    height, width = (min(length // 8 * 8, _SIDE) for length in grey.shape)
    top, left = ((length - used) // 16 * 8 for length, used in zip(grey.shape, (height, width), strict=True))
    middle = grey[top : top + height, left : left + width].astype(np.float32) - 128.0
    blocks = middle.reshape(height // 8, 8, width // 8, 8).transpose(0, 2, 1, 3).reshape(-1, 8, 8)
    coefficients: NDArray[np.float32] = fft.dctn(blocks, axes=(1, 2), norm="ortho")
    return coefficients


def _step(values: NDArray[np.float32], last: float, largest: int) -> int:
    """The coarsest step up to ``largest`` that the values keep to, coarser than ``last``; 0 for none.

    Values near multiples of a step have a spectrum with a line at one cycle a step; which other steps have one too is told
    apart by where it is strongest.
    """
    strength = np.zeros(largest + 2)
    for step in range(2, largest + 1):
        beyond = values[np.abs(values) > step / 4]
        if len(beyond) >= _LEAST_COEFFICIENTS:
            chance = _CHANCE / np.sqrt(len(beyond))
            line = float(np.cos(2 * np.pi / step * beyond).mean())
            strength[step] = line if line > max(chance, _LEAST_LINE) else 0.0
    peaks = (strength[1:-1] > 0) & (strength[1:-1] >= strength[:-2]) & (strength[1:-1] >= strength[2:])
    steps = np.flatnonzero(peaks) + 1
    steps = steps[steps > _COARSER * last]
    if not len(steps):
        return 0
    strongest = strength[steps].max()
    return int(steps[strength[steps] >= _AS_STRONG * strongest].max())
