"""By which rules one of several pictures that resemble each other is chosen as the one to keep."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Criterion(StrEnum):
    """What is looked at, in the order in which it is by default."""

    FOLDER = "folder"
    """It lies in a folder that is preferred, the first of them rather than the second."""
    DETAIL = "detail"
    """Pixels that its finest detail needs, whatever it was enlarged to."""
    GENUINE = "genuine"
    """It has few pixels more than that: it was not enlarged."""
    PIXELS = "pixels"
    """Width and height: it shows more of the picture, or was not made smaller."""
    COMPRESSION = "compression"
    """Quality of the coarsest compression that it went through."""
    GENERATION = "generation"
    """No traces of a compression before the last one."""
    EXIF = "exif"
    """Number of EXIF fields."""
    SHARPNESS = "sharpness"
    """How abrupt its edges are."""
    FORMAT = "format"
    """The first of the preferred formats rather than the second."""
    SIZE = "size"
    """Bytes."""
    PLACE = "place"
    """In a library rather than an archive, an inbox, or where duplicates were moved to."""
    AGE = "age"
    """When the file was changed last: the older one came first."""


FORMATS: Final = ("tiff", "png", "heif", "jpeg", "avif", "webp", "bmp", "gif")
"""As ``images`` have them, in the order that is preferred by default."""


@dataclass(frozen=True, slots=True)
class KeeperRules:
    """``order``: what is looked at, first things first; what is left out does not count. Folders: absolute paths."""

    order: tuple[Criterion, ...] = tuple(Criterion)
    prefer_folders: tuple[bytes, ...] = ()
    prefer_formats: tuple[str, ...] = FORMATS
