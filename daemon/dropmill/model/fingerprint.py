"""What identifies a picture: its bytes, its coded image, and how it looks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

# Grows whenever a digest or hash of the same file would come out differently; kept beside each stored hash.
FINGERPRINT_VERSION: Final = 3
STREAMED_VERSION: Final = FINGERPRINT_VERSION + 1000
"""Of hashes of a picture that libvips reduced on the way: up to two bits from those that G gives."""


@dataclass(frozen=True, slots=True)
class Content:
    """Known from the bytes alone, before anything is decoded. Both are SHA-256 in lower-case hex (64 characters)."""

    sha256: str
    coded_sha256: str


class Window(NamedTuple):
    """Hashes of a part of G, as ``Looks`` has those of the whole: what a copy that was cut would have."""

    phash: int
    dhash: int
    phash256: str


MOST_WINDOWS: Final = 16


@dataclass(frozen=True, slots=True)
class Looks:
    """Perceptual hashes of G (DESIGN, *Fingerprints, exactly*): unsigned 64-bit integers, imagehash's bits in row order.

    ``phash256`` is the 16x16 phash (64 hex characters). ``texture`` says in percent how far they tell a picture from others:
    it is the least of what lies outside of the 17 neighbouring levels of luma that hold most pixels of G, of what lies
    outside of its squares of 16 pixels in which luma spans 4 levels at most, and of how little single levels stand out in
    its histogram; these two take it down to 15 only. 40 to 90 of photographs, 0 to 45 of pages of text and screens. Hashes of pictures with little of it
    collide, so the less there is, the less they are believed (``model.resemblance.bears_out``).
    """

    phash: int
    dhash: int
    ahash: int
    phash256: str
    texture: float
    version: int = FINGERPRINT_VERSION
    windows: tuple[Window, ...] | None = None
    """Of its parts (``imaging/windows.py``); None where nobody wants them."""


def to_int64(unsigned: int) -> int:
    """An unsigned 64-bit hash as the signed integer that SQLite stores."""
    return unsigned - (1 << 64) if unsigned >= 1 << 63 else unsigned


def from_int64(signed: int) -> int:
    return signed + (1 << 64) if signed < 0 else signed


def to_hex(unsigned: int) -> str:
    """imagehash's own spelling of a 64-bit hash: 16 hex digits."""
    return f"{unsigned:016x}"
