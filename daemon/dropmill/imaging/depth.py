"""Brings every pixel layout that the decoders give to 8-bit L, RGB, RGBA, CMYK or LAB (I07): scaled, never clipped."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_AS_THEY_ARE: Final = frozenset({"L", "RGB", "RGBA", "CMYK", "LAB"})
_CONVERTED: Final = {
    "1": "L",
    "LA": "RGBA",
    "La": "RGBA",
    "PA": "RGBA",
    "RGBa": "RGBA",
    "RGBX": "RGB",
    "YCbCr": "RGB",
    "HSV": "RGB",
}


def to_eight_bits(image: Image.Image) -> Image.Image:
    """A picture in one of the five modes; transparency by colour or palette becomes an alpha channel."""
    if image.mode.startswith("I") or image.mode == "F":
        return _scaled(image)
    if image.mode == "P":
        return image.convert("RGBA" if "transparency" in image.info else "RGB")
    if image.mode in {"L", "RGB", "1"} and image.info.get("transparency") is not None:
        return _keyed(image)
    if image.mode in _AS_THEY_ARE:
        return image
    if image.mode == "La":
        image = image.convert("LA")
    return image.convert(_CONVERTED.get(image.mode, "RGB"))


def _keyed(image: Image.Image) -> Image.Image:
    """PNG's tRNS for grey and RGB names one colour as transparent; of 16-bit samples Pillow keeps the upper half."""
    key = image.info["transparency"]
    if isinstance(key, tuple) and max(key) > 255:
        image.info["transparency"] = tuple(value >> 8 for value in key)
    if image.mode == "1":
        image = image.convert("L")
        image.info["transparency"] = 255 if key else 0
    return image.convert("RGBA")


def _scaled(image: Image.Image) -> Image.Image:
    """More than 8 bits to 8. 16 bits by 257. Wider samples have no agreed white: see ``_stretched``."""
    samples = np.asarray(image)
    if image.mode.startswith("I;16") or (
        image.mode == "I" and samples.size and samples.min() >= 0 and samples.max() <= 65535
    ):
        wide = samples.astype(np.uint32)
        grey = Image.fromarray(((wide + 128) // 257).astype(np.uint8))
    else:
        grey = Image.fromarray(_stretched(samples))
    key = image.info.get("transparency")
    if isinstance(key, int):
        grey = grey.convert("RGBA")
        grey.putalpha(Image.fromarray(np.where(samples == key, 0, 255).astype(np.uint8)))
    return grey


def _stretched(samples: NDArray[np.generic]) -> NDArray[np.uint8]:
    """Floats within 0 to 1 as they are; other ranges, which measurements have, from their least to their greatest."""
    values = np.nan_to_num(samples.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    low, high = float(values.min()), float(values.max())
    if low >= 0.0 and high <= 1.0 and samples.dtype.kind == "f":
        low, high = 0.0, 1.0
    span = (high - low) or 1.0
    return np.rint((values - low) * (255.0 / span)).astype(np.uint8)
