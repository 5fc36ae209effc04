"""The pictures to measure with: generated once, kept in the temporary folder of the system.

``<temp>/dropmill-bench-<uid>/photographs-12mp`` holds 200 JPEGs of 4000 x 3000 pixels, about 400 MB, never more. The
folder ``a`` below it has the first 40, for ``--quick``; ``b`` the rest. Removing it costs the next run two minutes.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

import pictures

WIDTH, HEIGHT = 4000, 3000
COUNT, QUICK_COUNT = 200, 40
# Whole new scenes take seconds each; from these few the others are made by moving, mirroring and shading.
SCENES = 8


def photographs(quick: bool) -> Path:
    """A folder with 40 or, in subfolders, 200 different photograph-like JPEGs."""
    folder = _cache() / "photographs-12mp"
    count = QUICK_COUNT if quick else COUNT
    missing = [number for number in range(count) if not _path(folder, number).exists()]
    if missing:
        _make(folder, missing)
    return folder / "a" if quick else folder


def files_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*.jpg"))


def small(number: int, base: bytes = pictures.jpeg(pictures.photo(96, 64), quality=80)) -> bytes:  # Made once.
    """A small JPEG whose bytes are like those of no other number."""
    return pictures.jpeg_with(pictures.segment(0xFE, b"number %d" % number), base)


def _cache() -> Path:
    folder = Path(tempfile.gettempdir()) / f"dropmill-bench-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.is_symlink() or folder.stat().st_uid != os.getuid():
        raise PermissionError(f"{folder}: not ours; remove it, or set TMPDIR to another folder")
    return folder


def _path(folder: Path, number: int) -> Path:
    return folder / ("a" if number < QUICK_COUNT else "b") / f"photo-{number:03d}.jpg"


def _make(folder: Path, numbers: list[int]) -> None:
    print(f"making {len(numbers)} pictures in {folder}", file=sys.stderr)
    scenes: dict[int, np.ndarray] = {}
    for done, number in enumerate(numbers, 1):
        which = number % SCENES
        if which not in scenes:
            scenes[which] = np.asarray(pictures.photo(WIDTH, HEIGHT, 100 + which))
        path = _path(folder, number)
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = path.with_suffix(".part")
        aside.write_bytes(pictures.jpeg(_variant(scenes[which], number), quality=90))
        aside.rename(path)
        if done % 20 == 0:
            print(f"  {done} of {len(numbers)}", file=sys.stderr)


def _variant(scene: np.ndarray, number: int) -> Image.Image:
    chance = np.random.default_rng(number)
    moved = np.roll(scene, (int(chance.integers(HEIGHT)), int(chance.integers(WIDTH))), axis=(0, 1))
    mirrored = moved[:, ::-1] if chance.integers(2) else moved
    shade = 0.75 + 0.25 * chance.random()
    return Image.fromarray(np.ascontiguousarray(mirrored)).point([int(value * shade) for value in range(256)] * 3)
