"""Lays one picture over another: at which scale and place, and how well it fits.

Coarse: normalised cross-correlation at every place, over a ladder of scales, by Fourier transforms of small pictures (J. P.
Lewis, *Fast Normalized Cross-Correlation*, 1995, with both pictures masked as in D. Padfield, *Masked Object Registration
in the Fourier Domain*, 2012). Fine: Gauss-Newton on the difference of both (S. Baker and I. Matthews, *Lucas-Kanade 20
Years On*, 2004), with both gradients (S. Benhimane and E. Malis, 2004), from small pictures to larger ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import fft, ndimage

Grey = NDArray[np.float32]
Affine = NDArray[np.float64]
"""2x3: where a pixel (x, y) of the one lies in the other."""

_COARSE_SIDE: Final = 64
_FINE_SIDES: Final = (128, 256)
_STEPS: Final = 8
# Of the area of the smaller picture: less than this in common proves nothing.
_LEAST_OVERLAP: Final = 0.55
_GOOD_ENOUGH: Final = 0.92
_AS_GOOD_AS_IT_GETS: Final = 0.995
_FREE_GAIN: Final = 0.93
# How the parameters of a step (right, down, wider, higher, turned) follow from those that are free.
_PLAIN: Final = np.array([[1, 0, 0, 0, 0], [0, 1, 0, 0, 0], [0, 0, 1, 1, 0]], np.float64)
_FREE: Final = np.eye(5)
WHOLE: Final = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
"""Of pictures that show the same frame."""
_SCALES: Final = tuple(float(scale) for scale in np.geomspace(0.42, 2.4, 54))


@dataclass(frozen=True, slots=True)
class Fit:
    """``matrix`` takes a place in the one, as fractions of its width and height, to a place in the other, likewise.

    ``likeness`` is the correlation (-1 to 1) of what both show, brightness evened out locally.
    """

    matrix: Affine
    likeness: float
    angle_degrees: float


@dataclass(frozen=True, slots=True)
class _Place:
    score: float
    scale: float
    left: float
    top: float
    """Where the other, times ``scale``, lies in the one: in pixels of the one."""


def register(one: Image.Image, other: Image.Image, likely: tuple[float, ...] = ()) -> Fit:
    """Both in mode L. ``likely``: scales of the other, in pixels of the one, to try before all others."""
    place = _search(one, other, likely)
    matrix = np.array(
        [
            [one.width / other.width / place.scale, 0.0, -place.left / other.width / place.scale],
            [0.0, one.height / other.height / place.scale, -place.top / other.height / place.scale],
        ]
    )
    return refined(one, other, matrix)


def refined(one: Image.Image, other: Image.Image, matrix: Affine) -> Fit:
    """``matrix`` made exact: place and scale, and, if that says far more, an angle and a scale of its own for each axis."""
    here, there = _even(_shrunk(one, _FINE_SIDES[0])), _even(_shrunk(other, _FINE_SIDES[0]))
    fit = _descended(here, there, matrix, _PLAIN)
    here, there = _even(_shrunk(one, _FINE_SIDES[1])), _even(_shrunk(other, _FINE_SIDES[1]))
    plain = _descended(here, there, fit.matrix, _PLAIN)
    if plain.likeness > _AS_GOOD_AS_IT_GETS:
        return plain
    free = _descended(here, there, plain.matrix, _FREE)
    return free if 1 - free.likeness < _FREE_GAIN * (1 - plain.likeness) else plain


def inverse(fit: Fit) -> Fit:
    """The same, seen from the other."""
    return Fit(np.linalg.inv(np.vstack([fit.matrix, [0, 0, 1]]))[:2], fit.likeness, -fit.angle_degrees)


def corners(fit: Fit) -> tuple[tuple[float, float], tuple[float, float]]:
    """Where the other's first and last corner lie, as fractions of the one."""
    matrix = inverse(fit).matrix
    left, top = matrix @ (0.0, 0.0, 1.0)
    right, bottom = matrix @ (1.0, 1.0, 1.0)
    return (float(left), float(top)), (float(right), float(bottom))


def _shrunk(image: Image.Image, side: int) -> Grey:
    longest = max(image.size)
    if longest > side:
        size = (max(8, round(image.width * side / longest)), max(8, round(image.height * side / longest)))
        image = image.resize(size, Image.Resampling.BOX if longest >= 2 * side else Image.Resampling.BILINEAR)
    return np.asarray(image, np.float32)


def _even(grey: Grey) -> Grey:
    """Without what changes slowly: each pixel against its surroundings, in units of their own contrast."""
    width = max(5, max(grey.shape) // 8)
    smooth = ndimage.gaussian_filter(grey, 0.7)
    mean = ndimage.uniform_filter(smooth, width, mode="nearest")
    variance = ndimage.uniform_filter(smooth * smooth, width, mode="nearest") - mean * mean
    even: Grey = (smooth - mean) / np.sqrt(np.maximum(variance, 0.0) + 16.0)
    return even


def overlap(fit: Fit) -> float:
    """What both show, as a share of the one that shows less."""
    (left, top), (right, bottom) = corners(fit)
    common = max(min(right, 1.0) - max(left, 0.0), 0.0) * max(min(bottom, 1.0) - max(top, 0.0), 0.0)
    return common / max(min((right - left) * (bottom - top), 1.0), 1e-6)


def _search(one: Image.Image, other: Image.Image, likely: tuple[float, ...]) -> _Place:
    factor = _COARSE_SIDE / max(*one.size, 1)
    here = _even(_shrunk(one, _COARSE_SIDE))
    field = _Field(here)
    best = _Place(-1.0, 1.0, 0.0, 0.0)
    for scales in (likely, _SCALES):
        for scale in scales:
            size = (max(8, round(other.width * scale * factor)), max(8, round(other.height * scale * factor)))
            if max(size) > 2.6 * _COARSE_SIDE:
                continue
            score, left, top = field.correlate(_even(np.asarray(other.resize(size, Image.Resampling.BOX), np.float32)))
            if score > best.score:
                best = _Place(score, size[0] / other.width / factor, left / factor, top / factor)
        if best.score >= _GOOD_ENOUGH:
            break
    return best


class _Field:
    """A picture, ready to be correlated with others at every place."""

    def __init__(self, here: Grey) -> None:
        self._here = here
        self._spectra: dict[tuple[int, int], tuple[NDArray[np.complex64], ...]] = {}

    def correlate(self, there: Grey) -> tuple[float, int, int]:
        """The best correlation, and at which (left, top) of the field ``there`` then begins."""
        height, width = self._here.shape
        shape = (_fast(height + there.shape[0]), _fast(width + there.shape[1]))
        image, square, mask = self._transformed(shape)
        image2, square2, mask2 = (np.conj(part) for part in _transforms(there, shape))
        product = fft.irfft2(image * image2, shape)
        energy = fft.irfft2(square * mask2, shape)
        energy2 = fft.irfft2(mask * square2, shape)
        common = fft.irfft2(mask * mask2, shape)
        least = _LEAST_OVERLAP * min(self._here.size, there.size)
        score = product / np.sqrt(np.maximum(energy, 1.0) * np.maximum(energy2, 1.0))
        score = np.where(common >= least, score, -1.0)
        at = int(np.argmax(score))
        top, left = divmod(at, shape[1])
        top = top - shape[0] if top >= height else top
        left = left - shape[1] if left >= width else left
        return float(score.flat[at]), left, top

    def _transformed(self, shape: tuple[int, int]) -> tuple[NDArray[np.complex64], ...]:
        if shape not in self._spectra:
            self._spectra[shape] = _transforms(self._here, shape)
        return self._spectra[shape]


def _transforms(grey: Grey, shape: tuple[int, int]) -> tuple[NDArray[np.complex64], ...]:
    return tuple(fft.rfft2(part, shape) for part in (grey, grey * grey, np.ones_like(grey)))


def _fast(length: int) -> int:
    return -(-length // 32) * 32


def _descended(here: Grey, there: Grey, matrix: Affine, free: NDArray[np.float64]) -> Fit:
    """Gauss-Newton from ``matrix`` over what ``free`` says."""
    in_pixels = to_pixels(matrix, here.shape, there.shape)
    height, width = here.shape
    across = np.arange(width, dtype=np.float32)[None, :] - (width - 1) / 2
    down = np.arange(height, dtype=np.float32)[:, None] - (height - 1) / 2
    here_x, here_y = np.gradient(here, axis=1), np.gradient(here, axis=0)
    likeness = 0.0
    for step in range(_STEPS):
        laid, known = laid_over(there, in_pixels, here.shape)
        likeness = _correlation(here, laid, known)
        slope_x = (here_x + np.gradient(laid, axis=1)) / 2
        slope_y = (here_y + np.gradient(laid, axis=0)) / 2
        error = here - laid
        spread = 1.48 * float(np.median(np.abs(error[known]))) + 1e-3 if known.any() else 1.0
        weight = np.where(known, 1.0 / (1.0 + (error / (2.0 * spread)) ** 2), 0.0)
        columns = [slope_x, slope_y, slope_x * across, slope_y * down, slope_y * across - slope_x * down]
        stacked = np.stack([np.broadcast_to(column, here.shape).ravel() for column in columns])
        weighted = stacked * weight.ravel()
        normal = free @ (weighted @ stacked.T) @ free.T
        normal += np.diag(1e-4 * np.diag(normal) + 1e-3)
        change = np.linalg.solve(normal, free @ (weighted @ error.ravel())) @ free
        step_x, step_y, grow_x, grow_y, turn = (float(part) for part in change)
        middle_x, middle_y = (width - 1) / 2, (height - 1) / 2
        nudge = np.array(
            [
                [1 + grow_x, -turn, step_x - grow_x * middle_x + turn * middle_y],
                [turn, 1 + grow_y, step_y - grow_y * middle_y - turn * middle_x],
                [0, 0, 1],
            ]
        )
        in_pixels = in_pixels @ nudge
        if max(abs(step_x), abs(step_y), abs(grow_x) * width / 2, abs(grow_y) * height / 2) < 0.01 and step:
            break
    laid, known = laid_over(there, in_pixels, here.shape)
    likeness = _correlation(here, laid, known)
    angle = float(np.degrees(np.arctan2(in_pixels[1, 0], in_pixels[0, 0])))
    return Fit(_to_fractions(in_pixels, here.shape, there.shape), likeness, angle)


def laid_over(there: Grey, in_pixels: Affine, shape: tuple[int, int]) -> tuple[Grey, NDArray[np.bool_]]:
    """``there`` as seen from a picture of ``shape``, and where it has pixels."""
    (a, b, c), (d, e, f) = in_pixels
    laid = ndimage.affine_transform(
        there, np.array([[e, d], [b, a]]), offset=(f, c), output_shape=shape, order=1, mode="nearest"
    )
    across = np.arange(shape[1])[None, :]
    down = np.arange(shape[0])[:, None]
    x, y = a * across + b * down + c, d * across + e * down + f
    known = (x >= 0) & (y >= 0) & (x <= there.shape[1] - 1) & (y <= there.shape[0] - 1)
    return laid, known


def _correlation(here: Grey, laid: Grey, known: NDArray[np.bool_]) -> float:
    if int(known.sum()) < 64:
        return 0.0
    one, other = here[known], laid[known]
    one, other = one - one.mean(), other - other.mean()
    return float((one @ other) / np.sqrt((one @ one) * (other @ other) + 1e-6))


def to_pixels(matrix: Affine, here: tuple[int, ...], there: tuple[int, ...]) -> Affine:
    """Between centres of pixels, from fractions of whole pictures; 2x3 of the other's pixels."""
    into = np.array([[1 / here[1], 0, 0.5 / here[1]], [0, 1 / here[0], 0.5 / here[0]], [0, 0, 1]])
    out = np.array([[there[1], 0, -0.5], [0, there[0], -0.5], [0, 0, 1]])
    between: Affine = (out @ np.vstack([matrix, [0, 0, 1]]) @ into)[:2]
    return between


def _to_fractions(in_pixels: Affine, here: tuple[int, ...], there: tuple[int, ...]) -> Affine:
    into = np.array([[here[1], 0, -0.5], [0, here[0], -0.5], [0, 0, 1]])
    out = np.array([[1 / there[1], 0, 0.5 / there[1]], [0, 1 / there[0], 0.5 / there[0]], [0, 0, 1]])
    between: Affine = (out @ np.vstack([in_pixels, [0, 0, 1]]) @ into)[:2]
    return between
