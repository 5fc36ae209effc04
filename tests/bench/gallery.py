"""The pictures to measure with: generated once, kept in the temporary folder of the system.

Below ``<temp>/dropmill-bench-<uid>``, never more than 800 MB: ``photographs-12mp`` holds 200 JPEGs of 4000 x 3000
pixels, ``photographs-1600`` 1,000 of 1600 x 1200, as web pages have them. The folder ``a`` of each has the first, for
``--quick``; ``b`` the rest. Removing them costs the next run two minutes.
"""

from __future__ import annotations

import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

import pictures

# Whole new scenes take seconds each; from these few the others are made by moving, mirroring and shading.
SCENES = 8


@dataclass(frozen=True, slots=True)
class Kind:
    folder: str
    width: int
    height: int
    count: int
    quick_count: int

    def path(self, number: int) -> Path:
        part = "a" if number < self.quick_count else "b"
        return cache() / self.folder / part / f"photo-{number:03d}.jpg"


LARGE = Kind("photographs-12mp", 4000, 3000, 200, 40)
OF_THE_WEB = Kind("photographs-1600", 1600, 1200, 1000, 200)


def photographs(quick: bool, kind: Kind = LARGE) -> Path:
    """A folder with the first or, in subfolders, all of the different photograph-like JPEGs of that kind."""
    count = kind.quick_count if quick else kind.count
    missing = [number for number in range(count) if not kind.path(number).exists()]
    if missing:
        _make(kind, missing)
    return kind.path(0).parent if quick else kind.path(0).parents[1]


def files_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*.jpg"))


def small(number: int, base: bytes = pictures.jpeg(pictures.photo(96, 64), quality=80)) -> bytes:  # Made once.
    """A small JPEG whose bytes are like those of no other number."""
    return pictures.jpeg_with(pictures.segment(0xFE, b"number %d" % number), base)


def cache() -> Path:
    """What is kept from one run to the next."""
    folder = Path(tempfile.gettempdir()) / f"dropmill-bench-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.is_symlink() or folder.stat().st_uid != os.getuid():
        raise PermissionError(f"{folder}: not ours; remove it, or set TMPDIR to another folder")
    return folder


def _make(kind: Kind, numbers: list[int]) -> None:
    print(f"making {len(numbers)} pictures in {cache() / kind.folder}", file=sys.stderr)
    scenes: dict[int, np.ndarray] = {}
    for done, number in enumerate(numbers, 1):
        which = number % SCENES
        if which not in scenes:
            scenes[which] = np.asarray(pictures.photo(kind.width, kind.height, 100 + which))
        path = kind.path(number)
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = path.with_suffix(".part")
        aside.write_bytes(pictures.jpeg(_variant(scenes[which], number), quality=90))
        aside.rename(path)
        if done % (len(numbers) // 10 or 1) == 0:
            print(f"  {done} of {len(numbers)}", file=sys.stderr)


def _variant(scene: np.ndarray, number: int) -> Image.Image:
    chance = np.random.default_rng(number)
    height, width = scene.shape[:2]
    moved = np.roll(scene, (int(chance.integers(height)), int(chance.integers(width))), axis=(0, 1))
    mirrored = moved[:, ::-1] if chance.integers(2) else moved
    shade = 0.75 + 0.25 * chance.random()
    return Image.fromarray(np.ascontiguousarray(mirrored)).point([int(value * shade) for value in range(256)] * 3)
