"""By which factor a picture was enlarged, from what resampling leaves behind.

The blocks of a JPEG that was enlarged lie on a grid of their own, and interpolated pixels are smoother than those between
them at regular distances (A. C. Gallagher, *Detection of Linear and Cubic Interpolation in JPEG Compressed Images*, 2005):
the mean second derivative of columns has lines at multiples of 1 / (8 x factor), those of the last compression left out.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage

_LINES: Final = 400
_FINER: Final = 4
_BLOCK: Final = 8
_STRONGEST: Final = 15.0
_NOISE: Final = 3.0
_SUMMED: Final = 4
# Of both directions together, against at most 24 of photographs as they come from a camera.
_LEAST_SCORE: Final = 30.0
_ALMOST: Final = 0.85
# Told from the spectrum: below this there is nothing to explain, and farther from it nothing is believed.
_LEAST_ENLARGED: Final = 1.15
_NEAR: Final = 1.6
_FACTORS: Final = np.concatenate([np.geomspace(0.3, 0.97, 400), np.geomspace(1.1, 4.0, 900)])
_LEAST_PIXELS: Final = 256


def factor(grey: NDArray[np.uint8], expected: float) -> float:
    """By how much a picture (height x width) was enlarged; 1.0 where no traces say so.

    ``expected``: by how much its spectrum looks enlarged, which decides between a factor and its multiples.
    """
    if expected < _LEAST_ENLARGED or min(grey.shape) < _LEAST_PIXELS:
        return 1.0
    score = _score(grey) + _score(grey.T)
    best = float(score.max())
    if best < _LEAST_SCORE:
        return 1.0
    likely = _FACTORS[(score >= _ALMOST * best) & (_FACTORS > 1.0)]
    if not len(likely):
        return 1.0
    nearest = float(likely[np.abs(np.log(likely / expected)).argmin()])
    return nearest if abs(np.log(nearest / expected)) < np.log(_NEAR) else 1.0


def _score(grey: NDArray[np.uint8]) -> NDArray[np.float64]:
    """How well each of ``_FACTORS`` explains the lines in the spectrum of the columns' smoothness."""
    rows = grey[:: max(1, grey.shape[0] // _LINES)].astype(np.float32)
    bend = np.abs(2 * rows[:, 1:-1] - rows[:, :-2] - rows[:, 2:]).mean(axis=0)
    bend = np.minimum(bend / (ndimage.median_filter(bend, 31) + 1e-3), 3.0)
    length = len(bend)
    lines = np.abs(fft.rfft((bend - bend.mean()) * np.hanning(length), _FINER * length))
    usual = ndimage.median_filter(lines[::_FINER], 101, mode="nearest").repeat(_FINER)[: len(lines)]
    lines = np.minimum(lines / (usual + 1e-6), _STRONGEST)
    frequency = np.arange(len(lines)) / (_FINER * length)
    for multiple in range(_BLOCK // 2 + 1):
        lines[np.abs(frequency - multiple / _BLOCK) < 2.5 / length] = 0.0
    lines[frequency < 0.03] = 0.0
    at = np.arange(1, _BLOCK + 1) / (_BLOCK * _FACTORS[:, None])
    at = np.abs(at - np.rint(at))  # Beyond half a cycle a pixel they come back.
    found = np.maximum(lines[np.rint(at * _FINER * length).astype(np.int64)] - _NOISE, 0.0)
    score: NDArray[np.float64] = np.sort(found, axis=1)[:, -_SUMMED:].sum(axis=1) + found[:, -1]
    return score
