"""How long an attempt may take: what the header tells of the work, and what the deadline makes of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

import pictures
from dropmill.model.image import Recipe, RenditionSpec
from dropmill.pipeline.process import Deadline
from imaging_help import Bench

_TWO = (RenditionSpec("thumb", "fit", 20, 20), RenditionSpec("tiny", "fit", 10, 10))


@pytest.mark.parametrize(
    ("data", "recipe", "pixels", "pages"),
    [
        (pictures.tiff_pages(*[Image.new("L", (40, 30))] * 5), Recipe(_TWO, pages="all"), 5 * 40 * 30, 5),
        (pictures.tiff_pages(*[Image.new("L", (40, 30))] * 5), Recipe(_TWO), 40 * 30, 1),
        (pictures.animation("GIF", 4, 120, 80), Recipe(_TWO, animation="keep"), 4 * 120 * 80, 1),
        (pictures.animation("GIF", 4, 120, 80), Recipe(_TWO), 120 * 80, 1),
    ],
    ids=["all pages", "first page", "all frames", "first frame"],
)
def test_the_daemon_is_told_of_all_that_will_be_decoded_and_rendered(
    tmp_path: Path, data: bytes, recipe: Recipe, pixels: int, pages: int
) -> None:
    bench = Bench(tmp_path)
    result = bench.good(data, recipe)
    assert [(preview.pixels, preview.pages) for preview in bench.previews] == [(pixels, pages)]
    assert len(result.renditions) == pages * len(recipe.renditions)


def test_the_deadline_grows_with_bytes_pixels_and_renditions() -> None:
    deadline = Deadline(60.0, 0.5, 2.0, 0.25)
    assert deadline.for_bytes(4_000_000) == pytest.approx(62.0)
    assert deadline.for_work(3_000_000, 2000) == pytest.approx(506.0)
