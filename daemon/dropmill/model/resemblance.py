"""Who resembles whom: tiers, relations, thresholds, and what is measured on a picture to choose which one to keep."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Final

# Pairs are remembered up to here, so that a threshold can be changed within it without comparing anew.
WIDEST_PHASH: Final = 12
WIDEST_DHASH: Final = 12
MOST_NEIGHBOURS: Final = 256
"""Nearest neighbours that are remembered of one image: a burst of ten thousand frames must not make fifty million pairs."""


# Of what both pictures show: see ``is_part``.
_SURE_PART: Final = 0.7
# What shows so much of the other is no part of it: two letters with the same margins are within a percent of each other.
_MOST_OF_IT: Final = 0.98


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
class Border:
    """Around one of two pictures, the first or the second. ``share``: of its pixels, what lies within the border (0 to 1)."""

    first: bool
    share: float

    @property
    def told(self) -> str:
        """As the detail of a pair, which ``border_from`` reads."""
        return f"the {'first' if self.first else 'second'} has a border, and {self.share:.1%} of it lie within"


def border_from(detail: str) -> Border | None:
    """None where the detail of a pair tells of no border."""
    found = re.fullmatch(r"the (first|second) has a border, and ([0-9.]+)% of it lie within", detail)
    return Border(found[1] == "first", min(float(found[2]) / 100, 1.0)) if found else None


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Largest distances in bits, and from which texture on a picture's hashes are believed at all."""

    near_phash: int = 4
    near_dhash: int = 8
    similar_phash: int = 10
    similar_dhash: int = 10
    min_texture: float = 4.0


@dataclass(frozen=True, slots=True)
class Neighbour:
    """An image that resembles the one asked about, nearest first in any list."""

    image_id: int
    how: str
    """As in the table ``pairs``: hash, turned, window."""
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


def bears_out(phash256_distance: int, texture: float) -> bool:
    """Whether the finer hash agrees that two pictures resemble each other whose small hashes say so.

    A quarter of its 256 bits is what the phash is made of; the other 192 are new, and differ in 90 or so of unrelated
    pictures. ``texture`` is the lesser of both. Pages of text and screens have little and share their layout, so that their
    small hashes meet: the less there is, the closer the finer ones have to be. Measured on 42 photographs under 21 changes,
    which the small hashes stand: up to 76 bits, of which 28 at textures below 20, where copies of pages and screens have 10.
    Of 3,550 drawn pages and screens no two had fewer than 36.
    """
    bits = 16.0 + 0.7 * texture if texture <= 45.0 else 47.5 + 1.3 * (texture - 45.0)
    return phash256_distance <= min(bits, 80.0)


def is_part(relation: Relation, likeness: float, box: tuple[float, float, float, float]) -> bool:
    """Whether the pixels bear out that one of two pictures is the other cut, or within a border, which the hash of a part
    suggested. ``likeness``: the correlation of what both show, laid over each other; ``box``: where one lies in the other.

    Of 42 photographs that were cut or given a border it was 0.75 at least, and nearly always 0.87 or more.
    """
    left, top, right, bottom = box
    share = (right - left) * (bottom - top)
    return (
        relation in {Relation.CROPPED, Relation.BORDERED}
        and likeness >= _SURE_PART
        and min(share, 1 / max(share, 1e-9)) <= _MOST_OF_IT
    )


def tier_of(phash_distance: int, dhash_distance: int, thresholds: Thresholds) -> Tier | None:
    """The tier of a pair of textured images by their hashes; None beyond all thresholds."""
    if phash_distance <= thresholds.near_phash and dhash_distance <= thresholds.near_dhash:
        return Tier.NEAR
    if phash_distance <= thresholds.similar_phash and dhash_distance <= thresholds.similar_dhash:
        return Tier.SIMILAR
    return None


EVIDENCE_VERSION: Final = 2
"""Grows whenever the same picture would be measured differently; kept beside each stored evidence."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was measured on a picture's own pixels, upright and in sRGB, decoded in full.

    ``effective_width`` and ``effective_height`` are the pixels that its finest detail needs: less than ``width`` and
    ``height`` of a picture that was enlarged, or that is out of focus. ``sharpness`` is the share of gradients at which
    neighbouring pixels change at once (0 to 1). ``jpeg_quality`` is what its quantisation tables say (1 to 100; 0: no
    JPEG), ``earlier_quality`` what an earlier, coarser compression has left in its pixels (0: no sign of one).
    """

    pixels_sha256: str
    """SHA-256 (hex) of mode, size and samples: equal for what a viewer shows alike, whatever the format."""
    width: int
    height: int
    effective_width: int
    effective_height: int
    sharpness: float
    jpeg_quality: int
    earlier_quality: int
    exif_fields: int
    captured_at: str
    """EXIF local time as written, ``YYYY:MM:DD HH:MM:SS``, or empty."""
    version: int = EVIDENCE_VERSION


def evidence_to_json(evidence: Evidence) -> str:
    return json.dumps(asdict(evidence), separators=(",", ":"))


def evidence_from_json(text: str) -> Evidence:
    """Of what ``evidence_to_json`` wrote, by this version."""
    return Evidence(**json.loads(text))
