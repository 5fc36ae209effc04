"""Two workers race with copies of the same photographs: each photograph is published once, every time."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from PIL import Image

from harness import Mill
from pictures import photo

ONE = [{"name": "t", "fit": [48, 48]}]
PHOTOGRAPHS, COPIES = 50, 4


def jpeg(picture: Image.Image, quality: int) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=quality)
    return stream.getvalue()


@pytest.mark.long
@pytest.mark.parametrize("qualities", [(90, 90, 90, 90), (95, 88, 80, 72)], ids=["identical", "coded anew"])
def test_of_200_copies_of_50_photographs_50_are_published(tmp_path: Path, qualities: tuple[int, ...]) -> None:
    originals = [photo(256, 192, seed) for seed in range(PHOTOGRAPHS)]
    files = {
        f"{copy}/{number:02}.jpg": jpeg(picture, quality)
        for number, picture in enumerate(originals)
        for copy, quality in enumerate(qualities)
    }
    for turn in range(2):
        root = tmp_path / str(turn)
        root.mkdir()
        mill = Mill(root, renditions=ONE, dedupe={"near": "skip"}, duplicates="duplicates")
        # Copies of one photograph follow each other, so that both workers have one in hand at the same time.
        for name, data in sorted(files.items(), key=lambda file: file[0].rpartition("/")[2]):
            mill.drop(name, data)
        done = mill.once()
        assert done.returncode == 0, done.stderr
        jobs = mill.jobs()
        outcomes = [job["outcome"] for job in jobs]
        assert (outcomes.count("published"), outcomes.count("duplicate")) == (PHOTOGRAPHS, PHOTOGRAPHS * (COPIES - 1))
        published = {Path(job["source"]).name for job in jobs if job["outcome"] == "published"}
        assert len(published) == len(mill.outputs()) == PHOTOGRAPHS
        for job in jobs:
            if job["outcome"] == "duplicate":
                assert Path(job["duplicate_of"]["source"]).name == Path(job["source"]).name
        moved = [path for path in (root / "duplicates").rglob("*") if path.is_file()]
        assert len(moved) == PHOTOGRAPHS * (COPIES - 1)
