"""What becomes of a picture that resembles one that was published before, tier by tier."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Literal

from dropmill.model.resemblance import Thresholds, Tier

ChangeMethod = Literal["crop", "brightness", "contrast", "noise"]
CHANGE_METHODS: Final[tuple[ChangeMethod, ...]] = ("crop", "brightness", "contrast", "noise")


class Policy(StrEnum):
    """``FLAG``: published, told and grouped. ``OFF``: published, and nothing is said of it at ingest."""

    SKIP = "skip"
    FLAG = "flag"
    RENAME = "rename"
    HARDLINK = "hardlink"
    UNIQUIFY = "uniquify"
    OFF = "off"

    @property
    def needs_index(self) -> bool:
        """Whether the renditions hang on the answer, so that a job waits where the index is not there."""
        return self not in {Policy.FLAG, Policy.OFF}


@dataclass(frozen=True, slots=True)
class Uniquify:
    """How a copy is changed, step by step: the n-th try goes ``n * strength_percent`` by every method."""

    methods: tuple[ChangeMethod, ...] = CHANGE_METHODS
    max_tries: int = 8
    strength_percent: float = 2.0


@dataclass(frozen=True, slots=True)
class Policies:
    """One policy for each tier, and what two of them need."""

    exact: Policy = Policy.SKIP
    near: Policy = Policy.FLAG
    similar: Policy = Policy.FLAG
    loose: Policy = Policy.OFF
    rename_suffix: str = "like"
    uniquify: Uniquify = field(default_factory=Uniquify)

    def of(self, tier: Tier) -> Policy:
        return self.by_tier[tier]

    @property
    def by_tier(self) -> Mapping[Tier, Policy]:
        """Surest first."""
        return {Tier.EXACT: self.exact, Tier.NEAR: self.near, Tier.SIMILAR: self.similar, Tier.LOOSE: self.loose}

    @property
    def looks_alike(self) -> bool:
        """Whether anything but identical pictures is ever of consequence."""
        return any(policy is not Policy.OFF for policy in (self.near, self.similar, self.loose))

    @property
    def needs_index(self) -> bool:
        return any(policy.needs_index for policy in (self.near, self.similar, self.loose))

    @property
    def asks_first(self) -> bool:
        """Whether it pays, or is needed, to ask before the renditions are made."""
        if self.exact is Policy.UNIQUIFY:
            return True
        return any(policy in {Policy.SKIP, Policy.UNIQUIFY} for policy in (self.near, self.similar, self.loose))

    def rename_word(self, policy: Policy) -> str:
        """What a name gets in any case; empty for nothing."""
        return self.rename_suffix if policy is Policy.RENAME else ""

    def aim(self, thresholds: Thresholds) -> tuple[int, int]:
        """Distances, of phash and dhash, beyond one of which a changed copy counts as another picture."""
        if self.similar is Policy.UNIQUIFY:
            return thresholds.similar_phash, thresholds.similar_dhash
        return thresholds.near_phash, thresholds.near_dhash
