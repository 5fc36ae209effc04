"""Groups with a known original, PNGs made from it among the copies: the keeper that is suggested, and what resolution or file size alone would have kept."""

from __future__ import annotations

import hashlib
import io
import os
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from PIL import Image

import photographs
from dropmill.imaging import errands
from dropmill.model.errand import ErrandRequest, Inspect, Inspected
from dropmill.model.keeping import KeeperRules
from dropmill.similarity.keeper import Candidate, rank, reasons
from photographs import coded, cropped, scaled

GROUPS = 200
_SIDES = (800, 600)
_MAKE, _MODEL, _SOFTWARE, _DATE, _ORIGINAL, _EXPOSURE, _F_NUMBER = 271, 272, 305, 306, 36867, 33434, 33437


@dataclass
class Copy:
    name: str
    data: bytes

    @property
    def format(self) -> str:
        return "jpeg" if self.data[:2] == b"\xff\xd8" else "png"


def _exif() -> Image.Exif:
    exif = Image.Exif()
    exif[_MAKE], exif[_MODEL], exif[_SOFTWARE], exif[_DATE] = "Acme", "A-1", "1.0", "2024:05:06 07:08:09"
    inner = exif.get_ifd(0x8769)
    inner[_ORIGINAL], inner[_EXPOSURE], inner[_F_NUMBER] = "2024:05:06 07:08:09", 0.01, 4.0
    return exif


def _upscaled(original: Image.Image, data: bytes, chance: random.Random) -> bytes:
    factor = chance.uniform(1.5, 2.5)
    size = (round(original.width * factor), round(original.height * factor))
    way = chance.choice((Image.Resampling.BICUBIC, Image.Resampling.LANCZOS))
    return coded(original.resize(size, way), chance.randint(80, 95), exif=_exif())


def _resaved(original: Image.Image, data: bytes, chance: random.Random) -> bytes:
    return coded(original, chance.randint(95, 99), exif=_exif())


def _stripped(original: Image.Image, data: bytes, chance: random.Random) -> bytes:
    """The same coded image: SOI, and all segments but APP1."""
    assert data[:2] == b"\xff\xd8"
    kept, at = [data[:2]], 2
    while data[at + 1] != 0xDA:
        length = 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        if data[at + 1] != 0xE1:
            kept.append(data[at : at + length])
        at += length
    return b"".join([*kept, data[at:]])


def _cropped(original: Image.Image, data: bytes, chance: random.Random) -> bytes:
    shares = [chance.uniform(0.01, 0.08) for _ in range(4)]
    return coded(cropped(original, *shares), chance.randint(90, 98), exif=_exif())


def _as_png(original: Image.Image, data: bytes, chance: random.Random) -> bytes:
    """Without any loss more, and larger than all others."""
    return coded(original, kind="PNG", exif=_exif()) if chance.random() < 0.5 else coded(original, kind="PNG")


_WAYS: dict[str, Callable[[Image.Image, bytes, random.Random], bytes]] = {
    "upscaled": _upscaled,
    "re-saved": _resaved,
    "stripped": _stripped,
    "cropped": _cropped,
    "as PNG": _as_png,
}


def _scene(picture: Image.Image, chance: random.Random) -> Image.Image:
    """A part of a photograph that no other group has."""
    width, height = _SIDES if picture.width >= picture.height else _SIDES[::-1]
    factor = chance.uniform(1.05, 1.5) * max(width / picture.width, height / picture.height)
    view = scaled(picture, factor) if factor < 1 else picture
    left, top = chance.randint(0, view.width - width), chance.randint(0, view.height - height)
    return view.crop((left, top, left + width, top + height))


def _group(picture: Image.Image, chance: random.Random) -> list[Copy]:
    ways = chance.sample(sorted(_WAYS), chance.choice((1, 2, 3)))
    qualities = (75, 80, 85, 90, 92) if "re-saved" in ways else (75, 80, 85, 90, 92, 95, 97)
    data = coded(_scene(picture, chance), chance.choice(qualities), exif=_exif())
    with Image.open(io.BytesIO(data)) as opened:
        original = opened.convert("RGB")
    return [Copy("original", data), *(Copy(way, _WAYS[way](original, data, chance)) for way in ways)]


def _candidate(number: int, copy: Copy, folder: Path) -> Candidate:
    """As the daemon would know the file, measured as a worker measures it."""
    sha256 = hashlib.sha256(copy.data).hexdigest()
    # Names say nothing of which one it is.
    name = f"{sha256}.{copy.format}"
    (folder / name).write_bytes(copy.data)
    (folder / "previews" / "new").mkdir(parents=True, exist_ok=True)
    errand = Inspect(os.fsencode(folder), name.encode(), sha256, os.fsencode(folder / "previews"))
    answer = errands.run(ErrandRequest(errand, number), lambda _preview: True)
    assert isinstance(answer, Inspected), answer
    (folder / name).unlink()
    (folder / "previews" / "new" / str(number)).unlink()
    evidence = answer.evidence
    return Candidate(
        number, name.encode(), "library", copy.format, evidence.width, evidence.height, len(copy.data), 0, evidence
    )


@pytest.mark.long
@pytest.mark.timeout(900)
def test_keeper_of_planted_groups(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = photographs.paths()
    right = dict.fromkeys(("score", "resolution", "file size"), 0)
    lost: dict[str, int] = {}
    number = 0
    for turn in range(GROUPS):
        chance = random.Random(turn)
        candidates: dict[str, Candidate] = {}
        for copy in _group(photographs.load(paths[turn % len(paths)]), chance):
            number += 1
            candidates[copy.name] = _candidate(number, copy, tmp_path)
        original = candidates["original"]
        shuffled = chance.sample(list(candidates.values()), len(candidates))
        kept = rank(shuffled, KeeperRules())[0]
        right["score"] += kept is original
        right["resolution"] += max(shuffled, key=lambda one: one.width * one.height) is original
        right["file size"] += max(shuffled, key=lambda one: one.size_bytes) is original
        if kept is not original:
            name = next(name for name, one in candidates.items() if one is kept)
            lost[name] = lost.get(name, 0) + 1
        else:
            assert reasons(original, shuffled, KeeperRules())
    with capsys.disabled():
        told = ", ".join(f"{name} {count / GROUPS:.1%}" for name, count in right.items())
        print(f"\nthe original is kept, of {GROUPS} groups, by {told}; lost to: {lost}")
    assert right["score"] >= 0.95 * GROUPS
    assert right["resolution"] < 0.7 * GROUPS
    assert right["file size"] < 0.7 * GROUPS
