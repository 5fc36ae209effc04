"""Known weaknesses of the libraries that touch pictures and the catalog, by the version that has them no more.

From the notes of the projects' own releases and the CVE records named here, as they stood on ``AS_OF``. Only what is in the
way of a picture through dropmill: neither encoders nor formats that it never hands to a decoder. The table is as old as this
release; `pip-audit` and the distribution's tracker know of later ones.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

AS_OF: Final = "2026-11"


@dataclass(frozen=True, slots=True)
class Advisory:
    """``fixed_in``: the first version without it, of the ``series`` of versions that begin so (zlib-ng counts anew)."""

    component: str
    fixed_in: str
    name: str
    what: str
    series: str = ""


TABLE: Final = (
    Advisory("Pillow", "13.0.0", "CVE-2026-112403", "a JPEG whose rows are wider than its tiles overflows the heap"),
    Advisory("Pillow", "13.0.0", "CVE-2026-112395", "a tiled TIFF is read past its buffer"),
    Advisory("Pillow", "12.3.0", "CVE-2026-59205", "a colour profile is applied past the end of the picture"),
    Advisory("Pillow", "10.3.0", "CVE-2024-28219", "a colour profile overflows a buffer"),
    Advisory("libwebp", "1.3.2", "CVE-2023-4863", "a lossless WebP overflows the heap; was exploited"),
    Advisory("libtiff", "4.7.1", "CVE-2025-9900", "a TIFF writes where it wants"),
    Advisory("libavif", "1.3.0", "CVE-2025-48174", "sizes overflow while an AVIF is put together"),
    Advisory("dav1d", "1.4.0", "CVE-2024-1580", "an AVIF with large frames overflows the heap"),
    Advisory("libheif", "1.23.3", "CVE-2026-84450", "a HEIF's crop aborts the decoder, or takes in what is outside"),
    Advisory("libheif", "1.23.3", "GHSA-x8r2-mggj-j6wr", "a HEIF without compression overflows the heap (critical)"),
    Advisory("libheif", "1.22.0", "CVE-2026-32740", "the tiles of a HEIF overflow the heap"),
    Advisory("libheif", "1.22.0", "CVE-2026-32741", "the mask of a HEIF overflows the heap"),
    Advisory("libheif", "1.21.0", "CVE-2025-68431", "an overlay in a HEIF is read past its plane"),
    Advisory("libde265", "1.1.1", "CVE-2026-54240", "a large HEIC is read and written outside of its planes"),
    Advisory("libde265", "1.0.16", "CVE-2024-38949", "a HEIC overflows the heap"),
    Advisory("libvips", "8.18.3", "CVE-2026-69242", "a TIFF of many bands reaches into other pictures"),
    Advisory("lcms2", "2.19", "CVE-2026-41254", "the table of a colour profile overflows"),
    Advisory("zlib", "1.2.13", "CVE-2022-37434", "compressed data overflows the heap", "1."),
    Advisory("zlib", "2.0.7", "CVE-2022-37434", "compressed data overflows the heap", "2."),
    Advisory("SQLite", "3.51.3", "the WAL-reset bug", "two checkpoints at once can lose what was committed (sqlite.org/wal.html)"),
)  # fmt: skip


def applying(components: Mapping[str, str]) -> Iterator[tuple[Advisory, str]]:
    """Those that a version has, each with that version. What is missing, or has no version, has none."""
    for advisory in TABLE:
        version = components.get(advisory.component, "")
        if number(version) and version.startswith(advisory.series) and number(version) < number(advisory.fixed_in):
            yield advisory, version


def number(version: str) -> tuple[int, ...]:
    """The numbers that a version begins with; empty where it begins with none.

    >>> number("1.23.6-rc1"), number("missing")
    ((1, 23, 6), ())
    """
    found = re.match(r"v?(\d+(?:\.\d+)*)", version)
    return tuple(map(int, found[1].split("."))) if found else ()
