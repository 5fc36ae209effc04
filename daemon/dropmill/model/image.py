"""What is wanted of a picture (recipe, limits), and what was found in it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Final, Literal

Mode = Literal["fit", "fill", "width", "height", "scale"]
OutputFormat = Literal["auto", "jpeg", "png", "webp", "avif"]
Filter = Literal["nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"]
MetadataPolicy = Literal["copyright", "none"]

# Grows whenever the same recipe would give other pixels; part of every recipe digest.
RECIPE_VERSION: Final = 2


@dataclass(frozen=True, slots=True)
class RenditionSpec:
    """One output. ``width`` and ``height`` are pixels of the upright picture; ``scale`` is a factor."""

    name: str
    mode: Mode
    width: int = 0
    height: int = 0
    scale: float = 0.0
    format: OutputFormat = "auto"
    quality: int = 82
    filter: Filter = "lanczos"
    enlarge: bool = False
    progressive: bool = True


@dataclass(frozen=True, slots=True)
class Recipe:
    """A profile as the worker needs it: nothing but what decides the pixels and bytes of the renditions."""

    renditions: tuple[RenditionSpec, ...]
    metadata: MetadataPolicy = "copyright"
    animation: Literal["first", "keep"] = "first"
    pages: Literal["first", "all"] = "first"
    matte: str = "#ffffff"

    def digest(self) -> str:
        """SHA-256 (hex) that says "these renditions would come out the same"."""
        text = json.dumps([RECIPE_VERSION, asdict(self)], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Limits:
    """Checked from the header, before any pixel is allocated. ``max_pixels`` counts all frames that would be decoded."""

    max_pixels: int = 200_000_000
    max_bytes: int = 2 << 30
    min_bytes: int = 1
    max_frames: int = 5_000


@dataclass(frozen=True, slots=True)
class Picture:
    """What the header and metadata say of the source; sizes are of the upright picture in pixels."""

    format: str
    width: int
    height: int
    mode: str
    frames: int = 1
    pages_dropped: int = 0
    orientation: int = 1
    icc: Literal["none", "srgb", "converted", "broken"] = "none"
    captured_at: str = ""
    """EXIF local time as written, ``YYYY:MM:DD HH:MM:SS``, or empty."""
    copyright: str = ""
    camera: str = ""
