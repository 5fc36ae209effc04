"""What the header says is judged before any decoder gets to see the file (I02)."""

from __future__ import annotations

from pathlib import Path

import pytest

import pictures
from dropmill.imaging import codecs
from dropmill.model.image import Limits, Recipe, RenditionSpec
from dropmill.model.outcome import Reason
from dropmill.model.work import Preview, Processed, Rejected
from imaging_help import Bench

KEEP = Recipe((RenditionSpec("s", "fit", 40, 40),), animation="keep")


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.fixture
def without_decoders(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codecs, "open_image", lambda *arguments: pytest.fail("a decoder was opened"))


@pytest.mark.usefixtures("without_decoders")
@pytest.mark.parametrize("name", ["GIF", "PNG", "WEBP"])
def test_i02_too_many_frames_are_rejected_before_a_decoder_is_opened(bench: Bench, name: str) -> None:
    result = bench.of(pictures.animation(name), limits=Limits(max_frames=3))
    assert isinstance(result, Rejected), result
    assert (result.reason, result.detail) == (Reason.TOO_MANY_FRAMES, "4 frames; at most 3 are allowed")


@pytest.mark.usefixtures("without_decoders")
def test_i02_too_many_pages_are_rejected_before_a_decoder_is_opened(bench: Bench) -> None:
    data = pictures.tiff_pages(*(pictures.photo(20, 20, seed) for seed in range(4)))
    result = bench.of(data, limits=Limits(max_frames=3))
    assert isinstance(result, Rejected), result
    assert result.reason is Reason.TOO_MANY_FRAMES


@pytest.mark.usefixtures("without_decoders")
@pytest.mark.parametrize("name", ["JPEG", "PNG", "GIF", "WEBP", "TIFF"])
def test_i02_too_many_pixels_are_rejected_before_a_decoder_is_opened(bench: Bench, name: str) -> None:
    """Of the others, opening reads the header and no more."""
    result = bench.of(pictures.encoded(pictures.photo(120, 80), name), limits=Limits(max_pixels=120 * 80 - 1))
    assert isinstance(result, Rejected), result
    assert result.reason is Reason.TOO_LARGE


def test_i02_as_many_frames_as_are_allowed_are_taken(bench: Bench) -> None:
    assert isinstance(bench.of(pictures.animation("GIF"), limits=Limits(max_frames=4)), Processed)


@pytest.mark.parametrize("name", ["GIF", "PNG", "WEBP"])
def test_i02_frames_that_are_all_decoded_are_counted_together_before_the_first_is_decoded(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Each is small; the daemon is not even asked whether renditions are wanted."""
    data = pictures.animation(name)
    asked: list[Preview] = []
    monkeypatch.setattr(bench, "_wanted", lambda preview: asked.append(preview) or True)
    refused = bench.of(data, KEEP, limits=Limits(max_pixels=120 * 80 * 4 - 1))
    assert isinstance(refused, Rejected), refused
    assert (refused.reason, asked) == (Reason.TOO_LARGE, [])
    assert bench.left() == []
    assert isinstance(bench.of(data, KEEP, limits=Limits(max_pixels=120 * 80 * 4)), Processed)


def test_i02_pages_that_are_all_decoded_are_counted_together(bench: Bench) -> None:
    data = pictures.tiff_pages(*(pictures.photo(100, 100, seed) for seed in range(4)))
    every = Recipe(KEEP.renditions, pages="all")
    refused = bench.of(data, every, limits=Limits(max_pixels=39_999))
    assert isinstance(refused, Rejected), refused
    assert refused.reason is Reason.TOO_LARGE
    assert isinstance(bench.of(data, every, limits=Limits(max_pixels=40_000)), Processed)
