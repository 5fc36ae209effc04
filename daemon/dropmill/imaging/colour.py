"""Step: every frame as sRGB in mode L, RGB or RGBA (I06, I07)."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace
from functools import cache, lru_cache
from typing import Final

import numpy as np
from PIL import Image, ImageChops, ImageCms

from dropmill.imaging.anatomy import MAX_ICC_BYTES
from dropmill.imaging.attempt import Attempt, Frame, IccVerdict, decoding
from dropmill.imaging.depth import to_eight_bits

# Transforms within this many levels of doing nothing are not worth their time: the profile says sRGB in other words.
_SAME_LEVELS: Final = 2
_SPACE_OF_MODE: Final = {"L": "GRAY", "RGB": "RGB", "CMYK": "CMYK", "LAB": "Lab"}


def to_srgb(attempt: Attempt) -> None:
    attempt.frames = _converted(attempt, attempt.frames)


def _converted(attempt: Attempt, frames: Iterator[Frame]) -> Iterator[Frame]:
    for number, frame in enumerate(frames):
        with decoding(attempt):  # Palettes and transparency of damaged files fail here, in Pillow's conversions.
            eight_bits = to_eight_bits(frame.image)
        image, verdict = apply_profile(eight_bits, frame.icc)
        if number == 0 and attempt.page == 1 and verdict != "none":
            attempt.note(icc=verdict)
        image.info = {}  # Pillow's encoders would copy profile, EXIF and comments from here into renditions.
        yield replace(frame, image=_without_idle_alpha(image), icc=None)


def apply_profile(image: Image.Image, icc: bytes | None) -> tuple[Image.Image, IccVerdict]:
    """``image`` (L, RGB, RGBA, CMYK or LAB) as sRGB, and what became of its profile.

    A profile that is damaged, oversized or made for another kind of pixels is ignored, as browsers do. CMYK without a
    usable profile is converted by Pillow's plain formula; Pillow has already undone Adobe's inversion.
    """
    alpha = image.getchannel("A") if image.mode == "RGBA" else None
    base = image.convert("RGB") if alpha else image
    verdict: IccVerdict = "none"
    if icc:
        transform = _transform(icc, base.mode) if len(icc) <= MAX_ICC_BYTES else "broken"
        if isinstance(transform, ImageCms.ImageCmsTransform):
            base, verdict = _applied(transform, base), "converted"
        else:
            verdict = transform
    if base.mode == "LAB":
        base = _applied(_from_lab(), base)
    if base.mode not in {"L", "RGB"}:
        base = base.convert("RGB")
    if alpha:
        base = base.convert("RGB") if base is not image else base
        base.putalpha(alpha)
    return base, verdict


def warm() -> None:
    """Load what little CMS keeps between pictures."""
    _srgb()


def _applied(transform: ImageCms.ImageCmsTransform, image: Image.Image) -> Image.Image:
    if image.mode == "L" and transform.input_mode == "RGB":
        return transform.apply(image.convert("RGB")).getchannel("G")
    converted = transform.apply(image)
    return converted.getchannel("G") if image.mode == "L" else converted


@lru_cache(maxsize=8)
def _transform(icc: bytes, mode: str) -> ImageCms.ImageCmsTransform | IccVerdict:
    """From the profile to sRGB; "srgb" if that changes nothing, "broken" if it cannot be.

    Perceptual, which for matrix profiles (cameras, phones, screens) equals relative colorimetric.
    """
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
        space = profile.profile.xcolor_space.strip()
        # Grey pictures often carry an RGB profile: each sample stands for three equal ones.
        in_mode = "RGB" if mode == "L" and space == "RGB" else mode
        if space != _SPACE_OF_MODE.get(in_mode):
            return "broken"
        transform = ImageCms.buildTransform(
            profile, _srgb(), in_mode, "RGB", renderingIntent=ImageCms.Intent.PERCEPTUAL
        )
        if in_mode in {"RGB", "L"} and _changes_nothing(transform, in_mode):
            return "srgb"
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError, AttributeError):
        return "broken"
    return transform


def _changes_nothing(transform: ImageCms.ImageCmsTransform, mode: str) -> bool:
    """Asked of the colours themselves, because names of profiles prove nothing."""
    probe = _probe() if mode == "RGB" else _probe().getchannel("R")
    extrema = ImageChops.difference(transform.apply(probe), probe.convert("RGB")).getextrema()
    return all(high <= _SAME_LEVELS for _, high in extrema)  # type: ignore[misc]  # RGB gives one pair for each band.


@cache
def _probe() -> Image.Image:
    """A cube of 9 steps along each axis as 27x27 pixels."""
    steps = np.rint(np.linspace(0, 255, 9)).astype(np.uint8)
    cube = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1)
    return Image.fromarray(cube.reshape(27, 27, 3))


@cache
def _srgb() -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))


@cache
def _from_lab() -> ImageCms.ImageCmsTransform:
    return ImageCms.buildTransform(ImageCms.createProfile("LAB"), _srgb(), "LAB", "RGB")


def _without_idle_alpha(image: Image.Image) -> Image.Image:
    """An alpha channel that hides nothing is none: such pictures are opaque."""
    if image.mode != "RGBA":
        return image
    lowest, _ = image.getchannel("A").getextrema()
    return image.convert("RGB") if lowest == 255 else image
