"""Where a picture's detail ends: how many pixels it would need, and how abrupt its edges are.

A picture that was enlarged has all its pixels and nothing in the upper part of its spectrum. Power is taken per cycle
across the whole picture, so that a copy of another size has the same power at the same place. Natural pictures lose power
as a power law of frequency (D. J. Field, 1987); where it falls far below the law that holds for its coarse parts, or to
what rounding and compression leave, detail ends.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import fft

Grey = NDArray[np.uint8]

_LINES: Final = 400
# Cycles across the picture for which the law is taken, and the flattest law that is believed.
_COARSE: Final = (10, 50)
_FLATTEST: Final = -1.5
_STEEPEST: Final = -4.0
# In decibels: below the law, and of power per cycle in squared levels.
_BELOW_LAW: Final = 6.0
_FLOOR: Final = -25.0
_POINTS: Final = 160
# Over this factor of frequency power has to stay below, because spectra have gaps.
_STAYS_BELOW: Final = 1.15
_LEAST_PIXELS: Final = 2 * _COARSE[1]
_MEDIAN_TO_MEAN: Final = 1.44  # Of power, which is distributed exponentially.

_EDGE_PIXELS: Final = 4
_EDGE_SIDE: Final = 1024
_EDGE_SHARE: Final = 0.02
_LEAST_EDGE_LEVELS: Final = 12


def effective_pixels(grey: Grey) -> int:
    """Of the width of a picture (height x width): the pixels across that its detail needs, at most as many as it has."""
    width = int(grey.shape[1])
    if width < _LEAST_PIXELS:
        return width
    cycles, power = _power(grey)
    coarse = (cycles >= _COARSE[0]) & (cycles <= _COARSE[1])
    log_cycles, log_power = np.log(cycles), np.log(power + 1e-12)
    slope = float(np.clip(np.polyfit(log_cycles[coarse], log_power[coarse], 1)[0], _STEEPEST, _FLATTEST))
    law = np.mean(log_power[coarse] - slope * log_cycles[coarse]) + slope * log_cycles
    least = np.maximum(law - _BELOW_LAW * np.log(10) / 10, _FLOOR * np.log(10) / 10)
    below = log_power < least
    for at in range(int(np.searchsorted(cycles, _COARSE[1])), len(cycles)):
        until = int(np.searchsorted(cycles, cycles[at] * _STAYS_BELOW))
        if below[at : max(until, at + 1)].all():
            return min(width, 2 * int(cycles[at]))
    return width


def _power(grey: Grey) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Power per cycle along the rows, at whole numbers of cycles, in steps of a constant factor."""
    height, width = grey.shape
    lines = grey[:: max(1, height // _LINES)].astype(np.float32)
    window = np.hanning(width + 2)[1:-1].astype(np.float32)
    lines = (lines - lines.mean(axis=1, keepdims=True)) * window
    power = (np.abs(fft.rfft(lines, axis=1)) ** 2).mean(axis=0) * (2.0 / float((window**2).sum()) / width)
    cycles = np.unique(np.geomspace(8, len(power) - 1, _POINTS).astype(np.int64))
    reach = np.maximum(2, (cycles * 0.03).astype(np.int64))
    spans = zip(np.maximum(cycles - reach, 1), cycles + reach + 1, strict=True)
    return cycles, np.array([np.median(power[first:last]) for first, last in spans]) * _MEDIAN_TO_MEAN


def sharpness(grey: Grey) -> float:
    """Of the steepest edges (height x width): how much of their height two neighbouring pixels take, 0 to 1; 0 without edges."""
    height, width = grey.shape
    top, left = max((height - _EDGE_SIDE) // 2, 0), max((width - _EDGE_SIDE) // 2, 0)
    middle = grey[top : top + _EDGE_SIDE, left : left + _EDGE_SIDE].astype(np.int16)
    shares = []
    for along in (middle, middle.T):
        if along.shape[1] <= _EDGE_PIXELS:
            continue
        steps = np.abs(np.diff(along, axis=1))
        rise = np.abs(along[:, _EDGE_PIXELS:] - along[:, :-_EDGE_PIXELS])
        strong = rise >= max(_LEAST_EDGE_LEVELS, float(np.quantile(rise, 1 - _EDGE_SHARE)))
        if not strong.any():
            continue
        reach = steps.shape[1] - _EDGE_PIXELS + 1
        steepest = np.max([steps[:, at : at + reach] for at in range(_EDGE_PIXELS)], axis=0)
        shares.append(float(np.median(np.minimum(steepest[strong] / rise[strong], 1.0))))
    return round(sum(shares) / len(shares), 4) if shares else 0.0
