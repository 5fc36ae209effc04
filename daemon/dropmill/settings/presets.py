"""The shipped profiles, and the presets that select them: starting points that a file may change in any detail."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

Data = dict[str, Any]

PROFILES: Final[dict[str, Data]] = {
    "web": {
        "renditions": [
            {"name": "large", "fit": [1600, 1600], "format": "auto", "quality": 82},
            {"name": "thumb", "fit": [400, 400]},
        ]
    },
    "thumbs": {
        "renditions": [
            {"name": "thumb", "fit": [400, 400], "format": "webp", "quality": 78},
            {"name": "square", "fill": [200, 200], "format": "webp", "quality": 78},
        ],
        "metadata": "none",
    },
    "archive": {
        "renditions": [
            {"name": "full", "scale": 1.0, "quality": 92},
            {"name": "preview", "fit": [1024, 1024], "format": "jpeg", "quality": 80},
        ],
        "pages": "all",
    },
    "dataset": {
        "renditions": [{"name": "256", "fill": [256, 256], "format": "jpeg", "quality": 92, "progressive": False}],
        "metadata": "none",
    },
    "seo": {
        "renditions": [
            {"name": "480w", "width": 480, "format": "webp", "quality": 76},
            {"name": "960w", "width": 960, "format": "webp", "quality": 76},
            {"name": "1600w", "width": 1600, "format": "webp", "quality": 76},
            {"name": "1600w-avif", "width": 1600, "format": "avif", "quality": 60},
            {"name": "960w-jpeg", "width": 960, "format": "jpeg", "quality": 80},
            {"name": "share", "fill": [1200, 630], "format": "jpeg", "quality": 82, "enlarge": True},
        ]
    },
    "fast": {
        "renditions": [
            {
                "name": "large",
                "fit": [1280, 1280],
                "format": "jpeg",
                "quality": 76,
                "filter": "bicubic",
                "progressive": False,
            },
            {
                "name": "thumb",
                "fit": [320, 320],
                "format": "jpeg",
                "quality": 70,
                "filter": "hamming",
                "progressive": False,
            },
        ],
        "metadata": "none",
    },
}


@dataclass(frozen=True, slots=True)
class Preset:
    """What a preset name stands for: ``inbox`` holds for every inbox that does not say otherwise, ``data`` for the rest."""

    description: str
    inbox: Data
    data: Data = field(default_factory=dict)


PRESETS: Final[dict[str, Preset]] = {
    "web": Preset(
        "pictures for pages: 1600 and 400 pixels, JPEG or PNG as the picture needs",
        {"profile": "web"},
    ),
    "thumbs": Preset(
        "previews only: 400 pixels, and a 200-pixel square, in WebP without metadata",
        {"profile": "thumbs"},
    ),
    "archive": Preset(
        "a lasting collection: full size at quality 92 and a preview, all pages, in folders by year and month; "
        "a changed source adds a version, incomplete files get 60 seconds",
        {
            "profile": "archive",
            "names": "{date:%Y/%m}/{stem}-{rendition}.{ext}",
            "on_source_changed": "version",
            "incomplete_timeout_seconds": 60.0,
        },
    ),
    "dataset": Preset(
        "training data: 256-pixel squares in JPEG, named by content in 256 folders, each with a receipt, "
        "no picture twice from anywhere, nor one that looks the same",
        {
            "profile": "dataset",
            "names": "{sha256:2}/{sha256}-{rendition}.{ext}",
            "receipts": True,
        },
        {"dedupe": {"scope": "global", "near": "skip"}},
    ),
    "seo": Preset(
        "a public site: WebP at 480, 960 and 1600 pixels for srcset, AVIF at 1600, JPEG for old programs, "
        "and the 1200 x 630 picture that social networks show",
        {"profile": "seo"},
    ),
    "fast": Preset(
        "as many pictures a minute as possible: 1280 and 320 pixels in JPEG by quick filters, settled after one second",
        {"profile": "fast", "settle_seconds": 1.0},
    ),
}
