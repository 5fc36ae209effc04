"""Profiles: named sets of renditions."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from dropmill.model.image import Filter, MetadataPolicy, Mode, OutputFormat, Recipe, RenditionSpec
from dropmill.settings.dedupe import TierPolicies
from dropmill.settings.findings import Wrong
from dropmill.settings.sections import Section, Whole, not_bool

MODES: tuple[Mode, ...] = ("fit", "fill", "width", "height", "scale")
# JPEG's own limit of a side, and far beyond what any other format is used for.
_MAX_SIDE = 65_500
Side = Whole
# Bounds of what may be left out stand before all else: only there do they get into the JSON Schema.
_Bounded = Annotated[int, Field(ge=1, le=_MAX_SIDE), BeforeValidator(not_bool)]
_Factor = Annotated[float, Field(gt=0, le=16, allow_inf_nan=False), BeforeValidator(not_bool)]
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


class Rendition(Section):
    """One output picture. Exactly one of fit, fill, width, height and scale says its size."""

    name: str = Field(
        description="Part of the file name; unique in its profile. Letters, digits, dot, dash, underscore."
    )
    fit: tuple[Side, Side] | None = Field(
        default=None, description="[width, height] of a box in pixels: the whole picture, as large as fits in."
    )
    fill: tuple[Side, Side] | None = Field(
        default=None, description="[width, height] in pixels: covers exactly that, cropped around the middle."
    )
    width: _Bounded | None = Field(default=None, description="Width in pixels; the height follows.")
    height: _Bounded | None = Field(default=None, description="Height in pixels; the width follows.")
    scale: _Factor | None = Field(default=None, description="Factor to both sides; 1.0 keeps the size.")
    format: OutputFormat = Field(
        default="auto",
        description="auto: JPEG for opaque pictures, PNG for transparent ones and for screenshots of few colours.",
    )
    quality: Whole = Field(default=82, ge=1, le=100, description="Of lossy formats, 1 to 100.")
    filter: Filter = Field(
        default="lanczos", description="Resampling: lanczos is sharpest, hamming and box are fastest."
    )
    enlarge: bool = Field(default=False, description="Whether a smaller source is blown up to the size.")
    progressive: bool = Field(default=True, description="Progressive JPEG: smaller, and appears at once on slow lines.")

    @field_validator("name")
    @classmethod
    def _safe_name(cls, value: str) -> str:
        if not _NAME.fullmatch(value):
            raise Wrong(
                f"{value!r} cannot be part of a file name",
                "use up to 64 letters, digits, dots, dashes and underscores, a letter or digit first",
            )
        return value

    @field_validator("fit", "fill")
    @classmethod
    def _sides(cls, value: tuple[int, int] | None) -> tuple[int, int] | None:
        if value and not all(1 <= side <= _MAX_SIDE for side in value):
            raise Wrong(f"{list(value)} is out of range", f"both sides are 1 to {_MAX_SIDE} pixels")
        return value

    @model_validator(mode="after")
    def _one_mode(self) -> Rendition:
        given = [mode for mode in MODES if getattr(self, mode) is not None]
        if len(given) != 1:
            what = f"has {' and '.join(given)}" if given else "has no size"
            raise Wrong(f"rendition {self.name!r} {what}", "give exactly one of fit, fill, width, height, scale")
        return self

    def spec(self) -> RenditionSpec:
        width, height = self.fit or self.fill or (self.width or 0, self.height or 0)
        return RenditionSpec(
            name=self.name,
            mode=next(mode for mode in MODES if getattr(self, mode) is not None),
            width=width,
            height=height,
            scale=self.scale or 0.0,
            format=self.format,
            quality=self.quality,
            filter=self.filter,
            enlarge=self.enlarge,
            progressive=self.progressive,
        )


class Profile(Section):
    """A named set of renditions, and what holds for all of them."""

    renditions: tuple[Rendition, ...] = Field(min_length=1, max_length=64, description="The outputs, in any order.")
    metadata: MetadataPolicy = Field(
        default="copyright", description="copyright keeps copyright and artist; none keeps nothing. GPS is never kept."
    )
    animation: Literal["first", "keep"] = Field(
        default="first",
        description="Of animated pictures: the first frame, or the animation where the format can hold it.",
    )
    pages: Literal["first", "all"] = Field(default="first", description="Of documents of several pages (TIFF).")
    matte: str = Field(
        default="#ffffff",
        pattern=r"^#[0-9A-Fa-f]{6}$",
        description="Colour behind transparency where the format has none.",
    )
    dedupe: TierPolicies = Field(
        default_factory=TierPolicies,
        description="What becomes of pictures of inboxes with this profile that resemble earlier ones.",
    )

    @field_validator("matte", mode="before")
    @classmethod
    def _lower(cls, value: Any) -> Any:
        return value.lower() if isinstance(value, str) else value

    @model_validator(mode="after")
    def _names_differ(self) -> Profile:
        # File systems that ignore case would see one name.
        names = [rendition.name.casefold() for rendition in self.renditions]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise Wrong(
                f"two renditions are named {twice[0]!r}",
                "give each its own name (case counts for nothing)",
                "renditions",
            )
        return self

    def recipe(self) -> Recipe:
        """The profile as a worker needs it."""
        return Recipe(
            renditions=tuple(rendition.spec() for rendition in self.renditions),
            metadata=self.metadata,
            animation=self.animation,
            pages=self.pages,
            matte=self.matte,
        )
