"""What becomes of a picture that was seen before, or that resembles one that was."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator

from dropmill.model.duplicates import CHANGE_METHODS, ChangeMethod, Policies, Policy, Uniquify
from dropmill.model.resemblance import WIDEST_DHASH, WIDEST_PHASH, Thresholds, Tier
from dropmill.settings.findings import Wrong
from dropmill.settings.sections import Number, Section, Whole

_THRESHOLDS: Final = Thresholds()
_POLICIES: Final = Policies()
_CHANGES: Final = Uniquify()
# Why a policy is no answer to a tier.
_SENSELESS: Final = {
    ("similar", "hardlink"): "a link would show the other picture, of which this one may be a crop or another take",
    ("loose", "hardlink"): "a link would show the other picture, which is turned",
    ("loose", "uniquify"): "brightness, contrast, crop and noise do not undo that a picture is turned",
}


def _tier(name: str) -> Any:
    def sensible(value: Any) -> Any:
        if value is False:  # YAML reads a bare off as false.
            return "off"
        why = _SENSELESS.get((name, value)) if isinstance(value, str) else None
        if why:
            raise Wrong(f"{value!r} is no policy for {name} pictures: {why}", "valid are skip, flag, rename and off")
        return value

    return BeforeValidator(sensible)


PolicyWord = Literal["skip", "flag", "rename", "hardlink", "uniquify", "off"]
Exact = Annotated[PolicyWord, _tier("exact")]
Near = Annotated[PolicyWord, _tier("near")]
Similar = Annotated[PolicyWord, _tier("similar")]
Loose = Annotated[PolicyWord, _tier("loose")]


class Changes(Section):
    """How `uniquify` changes a copy until its hashes are outside the threshold. The original stays as it is."""

    methods: tuple[ChangeMethod, ...] = Field(
        default=_CHANGES.methods,
        min_length=1,
        description="What is changed, all at once and a little more with each try: crop (at the edges), brightness, "
        "contrast, noise. Hashes are made to see through brightness and contrast; alone, these seldom suffice.",
    )
    max_tries: Whole = Field(
        default=_CHANGES.max_tries,
        ge=1,
        le=32,
        description="After that many the copy is published as the picture is, flagged, and it is said that this was so.",
    )
    strength_percent: Number = Field(
        default=_CHANGES.strength_percent,
        gt=0,
        le=10,
        description="How far one try goes beyond the one before: of a side for crop, of the tonal range for the others.",
    )

    @field_validator("methods")
    @classmethod
    def _once(cls, value: tuple[ChangeMethod, ...]) -> tuple[ChangeMethod, ...]:
        if len(set(value)) < len(value):
            raise Wrong("names a method twice", f"valid are {', '.join(CHANGE_METHODS)}, each once")
        return value

    @model_validator(mode="after")
    def _within_reason(self) -> Self:
        if self.max_tries * self.strength_percent > 40:
            raise Wrong(
                f"{self.max_tries} tries of {self.strength_percent:g} % would change a picture beyond recognition",
                "max_tries times strength_percent is at most 40",
            )
        return self


class TierPolicies(Section):
    """Of this inbox, drop-file or profile alone; what is left out holds as in [dedupe]. An inbox goes before its profile."""

    exact: Exact | None = Field(default=None, description="Policy for identical pictures, as in [dedupe].")
    near: Near | None = Field(default=None, description="Policy for near-identical pictures, as in [dedupe].")
    similar: Similar | None = Field(default=None, description="Policy for similar pictures, as in [dedupe].")
    loose: Loose | None = Field(
        default=None, description="Policy for turned, mirrored and cut pictures, as in [dedupe]."
    )


class Dedupe(Section):
    """What becomes of a picture that was seen before, or that resembles one that was.

    skip: no renditions, the outcome is duplicate, and on_duplicate decides about the original. flag: published, told and
    grouped. rename: published with a suffix in its name. hardlink: published as hard links to the other one's renditions.
    uniquify: published as a copy that is changed until it no longer resembles. off: published, nothing is said.
    """

    scope: Literal["output", "inbox", "global"] = Field(
        default="output",
        description="Where to look for the earlier one. output: same output folder and recipe; "
        "inbox: same inbox; global: anywhere. What counts has renditions: files of libraries (dropmill index) have none, "
        "so a copy of one is published, and grouped with it for review.",
    )
    exact: Exact = Field(
        default=_POLICIES.exact.value,
        description="Same bytes, or same coded image under other metadata. skip: no renditions, the outcome is "
        "duplicate, on_duplicate decides about the original. flag: published, told, and grouped for review. rename: "
        "published with rename_suffix. hardlink: published as hard links to the renditions of the earlier one. uniquify: "
        "published as a changed copy. off: every file is published and nothing is said of it.",
    )
    near: Near = Field(
        default=_POLICIES.near.value,
        description="Looks the same: re-encoded, resized, retouched a little. Policies as for exact. An original whose "
        "picture is not identical is never deleted as a duplicate, whatever on_duplicate says; a download whose "
        "originals are discarded is.",
    )
    similar: Similar = Field(
        default=_POLICIES.similar.value,
        description="Looks much the same: watermarked, cropped by a little, another take. skip, flag, rename, uniquify "
        "or off.",
    )
    loose: Loose = Field(
        default=_POLICIES.loose.value,
        description="Turned by quarters or mirrored; cut by up to 9 % of each side, or within a border of one colour. skip, "
        "flag, rename or off. Each picture is then looked for in its seven other positions, and by hashes of its parts, as "
        "well. What was cut or got a border is published whatever the policy, and grouped once its pixels were compared. For "
        "what was catalogued before: dropmill index --rehash.",
    )
    near_phash: Whole = Field(
        default=_THRESHOLDS.near_phash,
        ge=0,
        le=WIDEST_PHASH,
        description="Most bits in which the perceptual hashes of near pictures differ (of 64; always an even number).",
    )
    near_dhash: Whole = Field(
        default=_THRESHOLDS.near_dhash, ge=0, le=WIDEST_DHASH, description="The same of their gradient hashes."
    )
    similar_phash: Whole = Field(
        default=_THRESHOLDS.similar_phash, ge=0, le=WIDEST_PHASH, description="As near_phash, of similar pictures."
    )
    similar_dhash: Whole = Field(
        default=_THRESHOLDS.similar_dhash, ge=0, le=WIDEST_DHASH, description="As near_dhash, of similar pictures."
    )
    min_texture: Number = Field(
        default=_THRESHOLDS.min_texture,
        ge=0,
        le=100,
        description="Pictures with less texture (empty pages, plain skies) are compared by identity only, for their hashes "
        "collide. In percent: 40 to 90 of photographs, 0 to 45 of pages of text. Above it, the less there is, the closer a "
        "finer hash has to agree.",
    )
    rename_suffix: str = Field(
        default=_POLICIES.rename_suffix,
        description="What rename adds to the name, behind a tilde: IMG.jpg becomes IMG~like-large.jpg.",
    )
    uniquify: Changes = Field(default_factory=Changes, description="How uniquify changes a copy.")

    @field_validator("rename_suffix")
    @classmethod
    def _part_of_a_name(cls, value: str) -> str:
        if not re.fullmatch(r"[A-Za-z0-9_-]{1,32}", value):
            raise Wrong(
                f"{value!r} cannot be part of a file name", 'use up to 32 letters, digits, - and _, as in "like"'
            )
        return value

    @model_validator(mode="after")
    def _near_is_nearer(self) -> Self:
        for hash_name in ("phash", "dhash"):
            if getattr(self, f"near_{hash_name}") > getattr(self, f"similar_{hash_name}"):
                raise Wrong(
                    f"is more than similar_{hash_name}",
                    "what is near is similar too; raise the other or lower this",
                    f"near_{hash_name}",
                )
        return self

    @property
    def thresholds(self) -> Thresholds:
        return Thresholds(self.near_phash, self.near_dhash, self.similar_phash, self.similar_dhash, self.min_texture)

    def policies(self, *overrides: TierPolicies) -> Policies:
        """Those in force under ``overrides``, strongest first."""

        def of(tier: Tier) -> Policy:
            said = (getattr(one, tier.value) for one in overrides)
            return Policy(next((word for word in said if word is not None), getattr(self, tier.value)))

        changes = self.uniquify
        return Policies(
            exact=of(Tier.EXACT),
            near=of(Tier.NEAR),
            similar=of(Tier.SIMILAR),
            loose=of(Tier.LOOSE),
            rename_suffix=self.rename_suffix,
            uniquify=Uniquify(changes.methods, changes.max_tries, changes.strength_percent),
        )
