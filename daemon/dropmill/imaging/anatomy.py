"""Takes a file apart into its segments without decoding any pixel.

From here come the digest of the coded image (DESIGN, *Fingerprints, exactly*), the declared size and frames, the
metadata, and whether the container ends too early. All walkers bear garbage: what they cannot follow falls back to
"the coded image is the whole file".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from dropmill.files.completeness_boxes import ZERO_TAIL_BYTES

MAX_ICC_BYTES: Final = 4 << 20
"""Larger colour profiles are not worth their memory; the largest in use (CMYK with fine tables) are about 3 MB."""
MAX_METADATA_BYTES: Final = 1 << 20
"""Longer EXIF or XMP is not read: what we want of it stands in its first kilobytes."""


@dataclass(frozen=True, slots=True)
class Anatomy:
    """What the segments of a file say. ``coded_sha256`` is empty where the whole file is the coded image."""

    coded_sha256: str = ""
    size: tuple[int, int] | None = None
    """The largest width and height in pixels that any part declares, as coded (before turning)."""
    frames: int = 1
    frame_pixels: int = 0
    """Pixels of all TIFF pages together, or 0 where each frame is as large as ``size``."""
    pages: tuple[int, ...] = (0,)
    """Which frames are pictures of their own; TIFF files also hold reduced copies, which are not."""
    exif: bytes = b""
    xmp: bytes = b""
    iptc: bytes = b""
    icc: bytes | None = None
    icc_broken: bool = False
    truncated: bool = False
    """The container ends inside one of its parts."""
    zeros_at_end: bool = False
    """The tail of a pre-allocated file that was never written (W06)."""
    bomb: str = ""
    """What would expand beyond reason, or empty."""
    scan: Literal["one", "first-of-many", "several"] = "several"
    """Of a JPEG with Huffman codes: all of it in one scan, or a progressive one that ends after its first, or neither."""
    coded_end: int = 0
    """Where the EOI of a JPEG stands, in bytes; 0 where there is none."""
    without_metadata: bytes | None = None
    """The same coded image without metadata that its decoder would refuse; None where that is not needed."""


def ends_in_zeros(data: bytes) -> bool:
    return len(data) >= ZERO_TAIL_BYTES and data.endswith(bytes(ZERO_TAIL_BYTES))
