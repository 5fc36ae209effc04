"""Traces of a JPEG's compression in the pixels that came from it."""

from __future__ import annotations

import io

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import synthetic
from dropmill.imaging import quantised
from photographs import coded

SIDE = 512


def _picture() -> Image.Image:
    """Power falls with frequency, as it does in photographs."""
    chance = np.random.default_rng(7)
    cycles = np.hypot(np.fft.fftfreq(SIDE)[:, None], np.fft.fftfreq(SIDE)[None, :]) + 1 / SIDE
    planes = []
    for _ in range(3):
        phases = np.exp(2j * np.pi * chance.random((SIDE, SIDE)))
        plane = np.fft.ifft2(phases / cycles**1.2).real
        planes.append(np.clip(128 + 45 * plane / plane.std(), 0, 255))
    return Image.fromarray(np.stack(planes, axis=2).astype(np.uint8))


def _grey(image: Image.Image) -> NDArray[np.uint8]:
    return np.asarray(image.convert("L"))


@pytest.mark.parametrize("quality", [75, 90, 95, 98])
def test_what_was_a_jpeg_is_seen_whatever_it_is_kept_as(quality: int) -> None:
    with Image.open(io.BytesIO(coded(_picture(), quality))) as jpeg:
        grey, table = _grey(jpeg.convert("RGB")), list(jpeg.quantization[0])  # type: ignore[attr-defined]  # Of JPEGs alone.
    assert quantised.earlier_quality(grey, None) == quality
    assert quantised.quality(table) == quality
    assert quantised.earlier_quality(grey, table) == 0  # Its own tables explain them.


def test_what_never_was_a_jpeg_has_no_traces_of_one() -> None:
    assert quantised.earlier_quality(_grey(_picture()), None) == 0
    # Flat colours and letters look rounded too, though not on a grid of blocks alone.
    for number in (17, 33, 57, 85):
        assert quantised.earlier_quality(_grey(synthetic.screenshot(number)), None) == 0
