"""How one picture came from another, told from previews of both: laid over each other, what is outside, what differs."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dropmill.imaging import differ, register
from dropmill.imaging.register import Fit
from dropmill.imaging.upright import turned
from dropmill.model.errand import EXAMINED_SIDE, Compared, Known
from dropmill.model.resemblance import Border, Relation

_SQUARE_SIDE: Final = 48
# How much of what an upright pair has apart a turned one may have, so that pictures that are their own mirror images,
# nearly, count as upright.
_TURNED_GAIN: Final = 0.5
_LEAST_TURNED: Final = 0.6
# Correlations, evened out, that strangers laid over each other do not reach: the less they share, the more is chance.
_LEAST_OVERLAP: Final = 0.5
_FULL_OVERLAP: Final = 0.9
_LAID: Final = 0.45
_LAID_IN_PART: Final = 0.7
# Of both in small, of pictures of one scene that cannot be laid over each other.
_RELATED: Final = 0.8
# How far a frame may be off, in pixels of a preview, and still be the same; a pixel of the full picture comes on top.
_SLACK_PIXELS: Final = 0.7
_SLACK_DEGREES: Final = 0.15
# Hands that hold a camera do not turn it by so much between two frames; who sets a horizon straight does.
_TILTED_DEGREES: Final = 1.4
# Of a picture and what is within a border: sides, correlation, and pixels of the preview by which they may be off.
_SAME_SHAPE: Final = 0.04
_LIKE_ITS_CONTENT: Final = 0.8
_BORDER_SLACK_PIXELS: Final = 4.0

Margins = tuple[float, float, float, float]


def relation_of(one: Known, other: Known, shown_one: Image.Image, shown_other: Image.Image) -> Compared:
    """``shown_one`` and ``shown_other`` are the previews, mode RGB."""
    if one.pixels_sha256 == other.pixels_sha256 or one.coded_sha256 == other.coded_sha256:
        return Compared(Relation.IDENTICAL, "the same picture, pixel by pixel")
    turn = _turn(shown_one, shown_other)
    upright = turned(shown_other, turn)
    if turn == 1 and (bordered := _bordered(shown_one, shown_other)):
        return bordered
    fit = _fit(one, other, shown_one, upright, turn)
    if not _laid(fit):
        return _apart(shown_one, shown_other)
    box = _box(fit)
    if turn != 1:
        return Compared(Relation.TURNED, _TURNS[turn], box, turn)
    tilt = abs(fit.angle_degrees)
    if tilt >= _TILTED_DEGREES:
        return Compared(Relation.TURNED, f"turned by {tilt:.1f} degrees", box)
    slack = _SLACK_PIXELS + 0.6 * EXAMINED_SIDE / min(one.width, one.height, other.width, other.height)
    margins = _margins(fit, shown_one, upright)
    lacks, has_more = max(margins) > slack, min(margins) < -slack
    if lacks and has_more:
        return Compared(Relation.BURST, "each shows something beside the other's frame", box)
    if lacks or has_more:
        left, top, right, bottom = margins if lacks else (-margin for margin in margins)
        if differ.ends_in_border(shown_one if lacks else upright, (left, top, right, bottom)):
            share = (box[2] - box[0]) * (box[3] - box[1])
            told = Border(lacks, share if lacks else 1 / share).told
            return Compared(Relation.BORDERED, told, box, likeness=fit.likeness)
        first, last = register.corners(fit if lacks else register.inverse(fit))
        part, which = (last[0] - first[0]) * (last[1] - first[1]), "second" if lacks else "first"
        return Compared(Relation.CROPPED, f"the {which} shows {part:.0%} of the other", box, likeness=fit.likeness)
    if tilt > _SLACK_DEGREES:
        return Compared(Relation.BURST, f"taken {tilt:.1f} degrees apart", box)
    return _same_frame(one, other, shown_one, upright, fit, box)


_TURNS: Final = {
    2: "mirrored",
    3: "turned by 180 degrees",
    4: "upside down, mirrored",
    5: "turned by 90 degrees and mirrored",
    6: "turned by 90 degrees",
    7: "turned by 90 degrees and mirrored",
    8: "turned by 90 degrees",
}


def _turn(shown_one: Image.Image, shown_other: Image.Image) -> int:
    """Which EXIF orientation shows the other as the one is; 1 unless another explains far more."""
    likeness = _likeness(shown_one, shown_other)
    best = max(likeness, key=lambda turn: likeness[turn])
    gained = 1.0 - likeness[best] < _TURNED_GAIN * (1.0 - likeness[1])
    return best if gained and likeness[best] >= _LEAST_TURNED else 1


def _likeness(shown_one: Image.Image, shown_other: Image.Image) -> dict[int, float]:
    """Correlation of both in small, by the orientation in which the other is taken."""
    square = (_SQUARE_SIDE, _SQUARE_SIDE)
    here = _normed(shown_one.convert("L").resize(square, Image.Resampling.BOX))
    small = shown_other.convert("L").resize(square, Image.Resampling.BOX)
    return {turn: float((here * _normed(turned(small, turn))).mean()) for turn in range(1, 9)}


def _normed(image: Image.Image) -> NDArray[np.float32]:
    grey = np.asarray(image, np.float32)
    normed: NDArray[np.float32] = (grey - grey.mean()) / (grey.std() + 1e-3)
    return normed


def _bordered(shown_one: Image.Image, shown_other: Image.Image) -> Compared | None:
    """Whether one is the other within a border."""
    for which, framed, plain in (("first", shown_one, shown_other), ("second", shown_other, shown_one)):
        inner = differ.content(framed)
        if inner is None:
            continue
        trimmed = framed.crop(inner)
        if abs(trimmed.width * plain.height / (trimmed.height * plain.width) - 1) > _SAME_SHAPE:
            continue
        fit = register.refined(trimmed.convert("L"), plain.convert("L"), register.WHOLE)
        if fit.likeness < _LIKE_ITS_CONTENT or max(map(abs, _margins(fit, trimmed, plain))) > _BORDER_SLACK_PIXELS:
            continue
        left, top, right, bottom = inner
        width, height = framed.size
        box = (left / width, top / height, right / width, bottom / height)
        share = (right - left) * (bottom - top) / (width * height)
        if which == "second":
            box = (
                -left / (right - left),
                -top / (bottom - top),
                (width - left) / (right - left),
                (height - top) / (bottom - top),
            )
        rounded = tuple(round(edge, 4) for edge in box)
        return Compared(
            Relation.BORDERED,
            Border(which == "first", share).told,
            (rounded[0], rounded[1], rounded[2], rounded[3]),
            likeness=fit.likeness,
        )
    return None


def _fit(one: Known, other: Known, shown_one: Image.Image, upright: Image.Image, turn: int) -> Fit:
    across = other.width if turn < 5 else other.height
    same_density = (across / upright.width) / (one.width / shown_one.width)
    same_frame = float(np.sqrt(shown_one.width / upright.width * shown_one.height / upright.height))
    grey_one, grey_other = shown_one.convert("L"), upright.convert("L")
    return register.register(grey_one, grey_other, (same_frame, same_density))


def _box(fit: Fit) -> tuple[float, float, float, float]:
    (left, top), (right, bottom) = register.corners(fit)
    return round(left, 4), round(top, 4), round(right, 4), round(bottom, 4)


def _margins(fit: Fit, shown_one: Image.Image, shown_other: Image.Image) -> Margins:
    """By how many pixels of the previews the other ends before the one does: left, top, right, bottom."""
    (left, top), (right, bottom) = register.corners(fit)
    width = max(shown_one.width, shown_other.width * (right - left))
    height = max(shown_one.height, shown_other.height * (bottom - top))
    return left * width, top * height, (1 - right) * width, (1 - bottom) * height


def _laid(fit: Fit) -> bool:
    """Whether they fit better than pictures that have nothing to do with each other."""
    common = register.overlap(fit)
    return common >= _LEAST_OVERLAP and fit.likeness >= (_LAID if common >= _FULL_OVERLAP else _LAID_IN_PART)


def _apart(shown_one: Image.Image, shown_other: Image.Image) -> Compared:
    if _likeness(shown_one, shown_other)[1] < _RELATED:
        return Compared(Relation.UNKNOWN, "they cannot be laid over each other")
    return Compared(Relation.BURST, "alike as a whole, but not in place")


def _same_frame(
    one: Known,
    other: Known,
    shown_one: Image.Image,
    upright: Image.Image,
    fit: Fit,
    box: tuple[float, float, float, float],
) -> Compared:
    found = differ.differences(shown_one, upright, fit)
    if found.kind == "overlay":
        return Compared(Relation.WATERMARKED, f"something was laid over {found.share:.1%} of one of them", box)
    if found.kind == "elsewhere":
        return Compared(Relation.BURST, f"something moved: {found.share:.0%} of the picture differs", box)
    if (one.width, one.height) != (other.width, other.height):
        return Compared(Relation.RESIZED, f"{one.width}x{one.height} and {other.width}x{other.height} pixels", box)
    return Compared(Relation.RE_ENCODED, "compressed anew" + (", and other in tone" if found.toned else ""), box)
