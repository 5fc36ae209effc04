"""Who resembles whom: tiers, relations, thresholds, and what is measured on a picture to choose which one to keep."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

# Pairs are remembered up to here, so that a threshold can be changed within it without comparing anew.
WIDEST_PHASH: Final = 12
WIDEST_DHASH: Final = 12
MOST_NEIGHBOURS: Final = 256
"""Nearest neighbours that are remembered of one image: a burst of ten thousand frames must not make fifty million pairs."""


class Tier(StrEnum):
    """How sure it is, surest first. ``EXACT``: same bytes or same coded image."""

    EXACT = "exact"
    NEAR = "near"
    SIMILAR = "similar"
    LOOSE = "loose"


class Relation(StrEnum):
    """How one picture came from another, as far as its pixels tell."""

    IDENTICAL = "identical"
    RE_ENCODED = "re-encoded"
    RESIZED = "resized"
    CROPPED = "cropped"
    BORDERED = "bordered"
    WATERMARKED = "watermarked"
    TURNED = "turned"
    """Rotated by quarters or mirrored."""
    BURST = "burst"
    """Another picture of the same scene: a burst, or an alternate take."""
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Largest distances in bits, and from which texture on a picture's hashes are believed at all."""

    near_phash: int = 4
    near_dhash: int = 8
    similar_phash: int = 10
    similar_dhash: int = 10
    min_texture: float = 8.0


@dataclass(frozen=True, slots=True)
class Neighbour:
    """An image that resembles the one asked about, nearest first in any list."""

    image_id: int
    how: str
    """As in the table ``pairs``: hash, turned, trimmed, window."""
    phash_distance: int
    dhash_distance: int


@dataclass(frozen=True, slots=True)
class Neighbours:
    """``upto``: the index had read all images up to that id; what came later has to be looked at by whoever decides."""

    found: Sequence[Neighbour]
    upto: int


def hamming(one: int, other: int) -> int:
    """Bits in which two hashes differ; either may be signed, as SQLite stores them."""
    return ((one ^ other) & 0xFFFF_FFFF_FFFF_FFFF).bit_count()


def tier_of(phash_distance: int, dhash_distance: int, thresholds: Thresholds) -> Tier | None:
    """The tier of a pair of textured images by their hashes; None beyond all thresholds."""
    if phash_distance <= thresholds.near_phash and dhash_distance <= thresholds.near_dhash:
        return Tier.NEAR
    if phash_distance <= thresholds.similar_phash and dhash_distance <= thresholds.similar_dhash:
        return Tier.SIMILAR
    return None
