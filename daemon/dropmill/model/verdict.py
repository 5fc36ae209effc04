"""Duplicate, unchanged, moved or new: decided from evidence alone, inside the commit's transaction (PROTOCOL 2, 6)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from dropmill.model.duplicates import Policies, Policy
from dropmill.model.outcome import Outcome
from dropmill.model.publication import Standing
from dropmill.model.resemblance import Tier

Kind = Literal["bytes", "coded", "near", "similar", "loose"]
"""A tier, and of ``exact`` what is the same: all bytes, or the coded image under other metadata."""


class Presence(StrEnum):
    """What another path that once held these bytes holds now."""

    HOLDS = "holds"
    SAME_FILE = "same file"
    RENAMED = "renamed"
    """They left it, and the file that asks has the inode that it had."""
    GONE = "gone"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Home:
    """A path of the same inbox where these bytes were left in place; ``standing``: renditions of them exist."""

    rel: bytes
    image_id: int
    standing: bool
    presence: Presence


@dataclass(frozen=True, slots=True)
class Twin:
    """An image with renditions in scope that has the same bytes, or the same coded image under other metadata."""

    image_id: int
    tier: Literal["bytes", "coded"]


@dataclass(frozen=True, slots=True)
class Alike:
    """An image with renditions in scope that this one resembles; distances of their hashes in bits."""

    image_id: int
    kind: Kind
    phash_distance: int = 0
    dhash_distance: int = 0

    @property
    def tier(self) -> Tier:
        return Tier.EXACT if self.kind in {"bytes", "coded"} else Tier(self.kind)


@dataclass(frozen=True, slots=True)
class Evidence:
    known_here: int | None
    """Image that this very path is catalogued with under the same SHA-256, if its renditions stand."""
    homes: Sequence[Home]
    twins: Sequence[Twin]
    policies: Policies
    forced: bool
    alike: Sequence[Alike] = ()
    """Of other pictures than the twins, nearest first."""


@dataclass(frozen=True, slots=True)
class Unchanged:
    image_id: int


@dataclass(frozen=True, slots=True)
class Moved:
    image_id: int
    previous: bytes
    left: bool
    """Whether the previous path no longer holds the bytes, so that the catalog forgets it."""


@dataclass(frozen=True, slots=True)
class Duplicate:
    image_id: int
    tier: Kind
    alike: tuple[Alike, ...] = ()


@dataclass(frozen=True, slots=True)
class Publish:
    """``alike``: what it resembles and is told of, surest first; ``policy`` is that of the first one's tier."""

    policy: Policy = Policy.OFF
    alike: tuple[Alike, ...] = ()


@dataclass(frozen=True, slots=True)
class LookFirst:
    """Other paths have to be looked at before anything can be said."""

    paths: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class LinkFirst:
    """Renditions of the image that it resembles have to be staged as links before it can be committed."""

    image_id: int
    standing: tuple[Standing, ...]


Verdict = Unchanged | Moved | Duplicate | Publish | LookFirst


def decide(evidence: Evidence) -> Verdict:
    """The same path and bytes are unchanged, vanished homes mean a move; only otherwise is it a duplicate.

    Where other homes still hold the bytes, only the one that has the file's own inode tells a move from a new copy.
    """
    if evidence.forced:
        return _published(evidence.alike, evidence.policies, forced=True)
    if evidence.known_here is not None:
        return Unchanged(evidence.known_here)
    homes = [home for home in evidence.homes if home.standing]
    for home in homes:
        if home.presence is Presence.SAME_FILE:  # A hard link: both names stay catalogued.
            return Moved(home.image_id, home.rel, left=False)
    for home in homes:
        if home.presence is Presence.RENAMED:
            return Moved(home.image_id, home.rel, left=True)
    unknown = tuple(home.rel for home in homes if home.presence is Presence.UNKNOWN)
    if unknown:
        return LookFirst(unknown)
    if homes and all(home.presence is Presence.GONE for home in homes):
        return Moved(homes[0].image_id, homes[0].rel, left=True)
    twins = [Alike(twin.image_id, twin.tier) for twin in evidence.twins]
    verdict = _published([*twins, *evidence.alike], evidence.policies)
    if verdict.policy is Policy.SKIP:
        anchor = verdict.alike[0]
        return Duplicate(anchor.image_id, anchor.kind, verdict.alike)
    return verdict


def _published(alike: Sequence[Alike], policies: Policies, *, forced: bool = False) -> Publish:
    """The surest resemblance decides. What a person wants rendered again is never left out, only told of."""
    told = [one for one in alike if policies.of(one.tier) is not Policy.OFF]
    if not told:
        return Publish()
    told.sort(key=lambda one: list(Tier).index(one.tier))
    policy = policies.of(told[0].tier)
    return Publish(Policy.FLAG if forced and policy is Policy.SKIP else policy, tuple(told))


@dataclass(frozen=True, slots=True)
class Decided:
    """What the commit made of a job. ``anchor`` is the whole path, or the URL, of what this one duplicates or resembles
    most; ``tier`` says how, ``policy`` what was done about it.
    """

    outcome: Outcome
    image_id: int
    anchor: bytes | None = None
    tier: Kind | None = None
    policy: Policy = Policy.OFF
