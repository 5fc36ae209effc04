"""What differs between two pictures that were laid over each other, beyond compression and tone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from dropmill.imaging.register import Fit, laid_over, to_pixels

Colours = NDArray[np.float32]
"""Height x width x 3."""
Mask = NDArray[np.bool_]

_SIDE: Final = 256
_LEAST_PIXELS: Final = 1_000
# One pixel of so many says how light and colours were changed.
_SAMPLE: Final = 5
# Beyond these levels a picture is cut off, and cannot say what it was before.
_CUT_OFF: Final = (4.0, 250.0)
_GREY_LEVELS: Final = 6.0
_ROUNDS: Final = 4
_LEVELS: Final = 24
# What of a difference may come from edges that were sampled or sharpened in another way: of the slope per pixel.
_OF_SLOPE: Final = 0.35
_LEAST_LEVELS: Final = 5.0
_DEVIATIONS: Final = 5.0
# Of the picture: the least that is taken for something laid over it.
_LEAST_SHARE: Final = 0.0012
_LEAST_SPOT_PIXELS: Final = 8
_MOST_LEFT: Final = 0.45
_TONED_LEVELS: Final = 4.0
# Of a border: how even it is, and how much the picture beside it differs.
_FLAT_LEVELS: Final = 3.0
_STEP_LEVELS: Final = 9.0
_SOFT_EDGE: Final = 1


@dataclass(frozen=True, slots=True)
class Differences:
    """``share`` of the picture at which both differ; ``toned``: light or colours differ everywhere."""

    kind: Literal["none", "overlay", "elsewhere"]
    share: float
    toned: bool


def differences(one: Image.Image, other: Image.Image, fit: Fit) -> Differences:
    here, there = _small(one), _small(other)
    in_pixels = to_pixels(fit.matrix, here.shape, there.shape)
    layers = [laid_over(np.ascontiguousarray(there[..., band]), in_pixels, here.shape[:2]) for band in range(3)]
    laid, known = np.stack([layer for layer, _ in layers], axis=-1), layers[0][1]
    known = ndimage.binary_erosion(known, iterations=2, border_value=0)
    if int(known.sum()) < _LEAST_PIXELS:
        return Differences("none", 0.0, False)
    here, laid = _soft(here), _soft(laid)
    if _is_grey(here) or _is_grey(laid):  # No way leads back from grey to colours.
        here, laid = _grey(here), _grey(laid)
    slope = np.maximum(_slope(here), _slope(laid))
    forth, back = _unexplained(here, laid, slope, known), _unexplained(laid, here, slope, known)
    share = max(float(mask.sum()) for mask in (forth, back)) / float(known.sum())
    toned = bool(np.median(np.abs(here - laid)[known]) > _TONED_LEVELS)
    if share < _LEAST_SHARE:
        return Differences("none", share, toned)
    left = min(_left_by_overlay(here, laid, forth | back), _left_by_overlay(laid, here, forth | back))
    return Differences("overlay" if left < _MOST_LEFT else "elsewhere", share, toned)


def _left_by_overlay(here: Colours, laid: Colours, mask: Mask) -> float:
    """How much of the difference stays if each spot of ``laid`` is ``here`` under a veil of one colour: 0 to 1."""
    spots, count = ndimage.label(mask, np.ones((3, 3)))
    before = after = 1e-6
    for spot in range(1, count + 1):
        at = spots == spot
        if int(at.sum()) < _LEAST_SPOT_PIXELS:
            continue
        for band in range(here.shape[-1]):
            seen, shown = here[at, band], laid[at, band]
            given = np.column_stack([seen, np.ones_like(seen)])
            veil, *_ = np.linalg.lstsq(given, shown, rcond=None)
            before += float(np.abs(shown - seen).sum())
            after += float(np.abs(shown - given @ veil).sum())
    return after / before


def content(image: Image.Image) -> tuple[int, int, int, int] | None:
    """Where the picture is within a border of one flat colour: (left, top, right, bottom) in pixels; None without one."""
    pixels = np.asarray(image, np.float32)
    upright, across = pixels, pixels.transpose(1, 0, 2)
    left, right = _depth(across), image.width - _depth(across[::-1])
    top, bottom = _depth(upright), image.height - _depth(upright[::-1])
    if right - left < image.width // 3 or bottom - top < image.height // 3:
        return None
    return (left, top, right, bottom) if (left, top, right, bottom) != (0, 0, *image.size) else None


def ends_in_border(image: Image.Image, margins: tuple[float, float, float, float]) -> bool:
    """Whether what lies outside of ``margins`` (left, top, right, bottom; pixels) is of one colour that ends somewhere."""
    inner = content(image)
    if inner is None:
        return False
    pixels = np.asarray(image, np.float32)
    left, top, right, bottom = (max(round(margin) - _SOFT_EDGE, 0) for margin in margins)
    outside = np.ones(pixels.shape[:2], np.bool_)
    outside[top : image.height - bottom, left : image.width - right] = False
    if not outside.any():
        return False
    colour = np.median(pixels[outside], axis=0)
    off = np.abs(pixels[outside] - colour).max(axis=-1)
    return bool(np.percentile(off, 75) < 2 * _FLAT_LEVELS)


def _depth(pixels: Colours) -> int:
    """How many rows at the top are of one flat colour; 0 where the picture goes on in that colour."""
    deepest = len(pixels) // 3
    edge = pixels[0]
    colour = np.median(edge, axis=0)
    if float(np.abs(edge - colour).max(axis=-1).mean()) > _FLAT_LEVELS:
        return 0
    off = np.abs(pixels[:deepest] - colour).max(axis=-1).mean(axis=1)
    ends = np.flatnonzero(off > 4 * _FLAT_LEVELS)  # Beside a hard edge JPEG leaves ripples.
    if not len(ends):
        return 0
    depth = int(ends[0])
    beyond = np.abs(pixels[depth + 2 : depth + 6] - colour).max(axis=-1)
    return depth if depth and float(np.median(beyond)) > _STEP_LEVELS else 0


def _small(image: Image.Image) -> Colours:
    longest = max(image.size)
    if longest > _SIDE:
        size = (max(8, round(image.width * _SIDE / longest)), max(8, round(image.height * _SIDE / longest)))
        image = image.resize(size, Image.Resampling.BOX)
    return np.asarray(image, np.float32)


def _soft(colours: Colours) -> Colours:
    soft: Colours = ndimage.gaussian_filter(colours, (0.8, 0.8, 0))
    return soft


def _slope(colours: Colours) -> NDArray[np.float32]:
    grey = colours.mean(axis=-1)
    slope: NDArray[np.float32] = np.hypot(np.gradient(grey, axis=0), np.gradient(grey, axis=1))
    return ndimage.maximum_filter(slope, 3)  # type: ignore[no-any-return]  # scipy ships no types.


def _unexplained(here: Colours, laid: Colours, slope: NDArray[np.float32], known: Mask) -> Mask:
    """Where ``laid`` is not what ``here`` leads to by one change of colours and tone for the whole picture."""
    seen, shown = here[known], laid[known]
    explained = _toned_like(seen, shown)
    error = np.zeros(known.shape, np.float32)
    error[known] = np.abs(shown - explained).mean(axis=-1)
    usual = 1.48 * float(np.median(error[known])) + 0.3
    cut_off = (here <= _CUT_OFF[0]) | (here >= _CUT_OFF[1])
    known = known & ~ndimage.binary_dilation(cut_off.any(axis=-1))
    mask = known & (error > np.maximum(_LEAST_LEVELS, _DEVIATIONS * usual) + _OF_SLOPE * slope)
    return ndimage.binary_opening(mask, np.ones((2, 2)))  # type: ignore[no-any-return]  # scipy ships no types.


def _toned_like(seen: Colours, shown: Colours) -> Colours:
    """``seen`` (n x 3) as close to ``shown`` as one linear mix of its bands and a curve for each of them lead, by the
    majority of the pixels.
    """
    bands = seen.shape[1]
    given = np.column_stack([seen, np.ones(len(seen), np.float32)])
    few, goal = given[::_SAMPLE], shown[::_SAMPLE]
    weight = np.ones(len(few), np.float32)
    mix = np.eye(bands + 1, bands)
    for _ in range(_ROUNDS):
        weighted = few * weight[:, None]
        mix = np.linalg.solve(weighted.T @ few + 1e-2 * np.eye(bands + 1), weighted.T @ goal)
        error = np.abs(goal - few @ mix).mean(axis=-1)
        spread = 1.48 * float(np.median(error)) + 0.5
        weight = (1.0 / (1.0 + (error / (2.0 * spread)) ** 2) ** 2).astype(np.float32)
    mixed = (given @ mix).astype(np.float32)
    return np.column_stack([_curved(mixed[:, band], shown[:, band]) for band in range(bands)])


def _curved(value: NDArray[np.float32], goal: NDArray[np.float32]) -> NDArray[np.float32]:
    """``value`` through the curve of medians that leads to ``goal``; levels that few pixels have follow the others."""
    few, change = value[::_SAMPLE], (goal - value)[::_SAMPLE]
    order = np.argsort(few)
    parts = np.array_split(order, _LEVELS)  # Of as many pixels each, so that none is made up by a few.
    levels = np.array([few[part[len(part) // 2]] for part in parts])
    medians = np.array([np.median(change[part]) for part in parts])
    curved: NDArray[np.float32] = value + np.interp(value, levels, medians).astype(np.float32)
    return curved


def _is_grey(colours: Colours) -> bool:
    return float(np.percentile(np.ptp(colours, axis=-1), 99)) < _GREY_LEVELS


def _grey(colours: Colours) -> Colours:
    return colours @ np.array([[0.299], [0.587], [0.114]], np.float32)
