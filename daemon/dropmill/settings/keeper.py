"""Which of several pictures that resemble each other is suggested as the one to keep."""

from __future__ import annotations

import os
from typing import Annotated, Literal

from pydantic import Field, field_validator

from dropmill.model.keeping import FORMATS, Criterion, KeeperRules
from dropmill.settings.findings import Wrong
from dropmill.settings.sections import IsPath, PathText, Section

Word = Literal[
    "folder",
    "detail",
    "genuine",
    "pixels",
    "compression",
    "generation",
    "exif",
    "sharpness",
    "format",
    "size",
    "place",
    "age",
]
Format = Literal["tiff", "png", "heif", "jpeg", "avif", "webp", "bmp", "gif"]
_DEFAULT: tuple[Word, ...] = tuple(criterion.value for criterion in Criterion)


class Keeper(Section):
    """Which of several pictures that resemble each other is suggested as the one to keep. A person may choose another."""

    order: tuple[Word, ...] = Field(
        default=_DEFAULT,
        min_length=1,
        description="What is looked at, first things first: folder (a preferred one), detail (pixels that its finest detail "
        "needs, whatever it was enlarged to), genuine (not enlarged), pixels, compression (quality), generation (not "
        "compressed twice), exif (fields), sharpness, format, size (bytes), place (a library before an archive, an inbox, a "
        "folder for duplicates), age (the older file). What is left out does not count.",
    )
    prefer_folders: Annotated[tuple[PathText, ...], IsPath()] = Field(
        default=(), description="Folders whose files are rather kept, the most preferred first."
    )
    prefer_formats: tuple[Format, ...] = Field(
        default=FORMATS,
        description="Formats that are rather kept, the most preferred first.",
    )

    @field_validator("order", "prefer_formats", "prefer_folders")
    @classmethod
    def _once_each(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        doubled = sorted({word for word in value if value.count(word) > 1})
        if doubled:
            raise Wrong(f"names {', '.join(map(repr, doubled))} more than once", "each counts where it stands first")
        return value

    @property
    def rules(self) -> KeeperRules:
        return KeeperRules(
            tuple(map(Criterion, self.order)), tuple(map(os.fsencode, self.prefer_folders)), tuple(self.prefer_formats)
        )
