"""Copies that are changed until they look otherwise: the same each time, of the same size, and no further than needed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from dropmill.imaging.fingerprint import looks_of
from dropmill.imaging.recipe import process
from dropmill.imaging.uniquify import changed_copy
from dropmill.model.bearing import Bearing, Changes, Looked, outside
from dropmill.model.duplicates import CHANGE_METHODS
from dropmill.model.image import Recipe, RenditionSpec
from dropmill.model.work import Processed, Recognised
from imaging_help import Bench
from pictures import jpeg, photo, transparent

SMALL = Recipe((RenditionSpec("t", "fit", 64, 64),))


@pytest.mark.parametrize("method", CHANGE_METHODS)
@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
def test_each_method_changes_pixels_and_neither_size_nor_mode(mode: str, method: str) -> None:
    picture = (transparent() if mode == "RGBA" else photo(320, 240)).convert(mode)
    changed = changed_copy(picture, (method,), 4.0, "ab" * 32)
    assert (changed.size, changed.mode) == (picture.size, mode)
    assert changed.tobytes() != picture.tobytes()
    assert changed.tobytes() == changed_copy(picture, (method,), 4.0, "ab" * 32).tobytes()
    if mode == "RGBA" and method != "crop":
        assert changed.getchannel("A").tobytes() == picture.getchannel("A").tobytes()


@pytest.mark.parametrize("seed", range(8))
def test_all_methods_together_lead_out_of_the_default_threshold(seed: int) -> None:
    picture = photo(seed=seed)
    seen = looks_of(picture)
    steps = [looks_of(changed_copy(picture, CHANGE_METHODS, percent, "12" * 32)) for percent in range(2, 18, 2)]
    assert any(outside((one.phash, one.dhash), [(seen.phash, seen.dhash)], 4, 8) for one in steps)


def answered(bench: Bench, data: bytes, answer: Bearing) -> tuple[Any, list[Looked]]:
    told: list[Looked] = []

    def wanted(question: object) -> bool | Bearing:
        if isinstance(question, Looked):
            told.append(question)
            return answer
        return True

    request = bench.request(bench.put(data), SMALL, asks_looks=True)
    return process(request, wanted), told


def test_a_picture_that_is_not_wanted_is_not_rendered(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    result, (told,) = answered(bench, jpeg(photo()), Bearing(go=False))
    assert isinstance(result, Recognised)
    assert result.looks == told.looks and result.picture is not None
    assert list(bench.staging.iterdir()) == []


def test_the_copy_is_as_little_changed_as_it_takes(tmp_path: Path) -> None:
    picture = photo()
    seen = looks_of(picture)
    changes = Changes(CHANGE_METHODS, 8, 2.0, ((seen.phash, seen.dhash),), 4, 8)
    plain, _ = answered(Bench(tmp_path), jpeg(picture), Bearing(go=True))
    for old in (tmp_path / "staging").iterdir():
        old.unlink()
    result, _ = answered(Bench(tmp_path), jpeg(picture), Bearing(True, changes))
    assert isinstance(result, Processed) and isinstance(plain, Processed)
    assert result.changed is not None and result.changed.enough
    assert outside((result.changed.phash, result.changed.dhash), changes.avoid, 4, 8)
    assert result.changed.percent == result.changed.tries * 2.0
    assert plain.looks == result.looks  # Those of the original, by which it is found.
    assert plain.renditions[0].sha256 != result.renditions[0].sha256
    with Image.open(tmp_path / "staging" / result.renditions[0].staged_name) as rendition:
        assert rendition.size == (plain.renditions[0].width, plain.renditions[0].height)


def test_what_cannot_be_changed_enough_stays_as_it_is(tmp_path: Path) -> None:
    picture = photo()
    seen = looks_of(picture)
    changes = Changes(("brightness",), 2, 0.5, ((seen.phash, seen.dhash),), 12, 12)
    plain, _ = answered(Bench(tmp_path), jpeg(picture), Bearing(go=True))
    for old in (tmp_path / "staging").iterdir():
        old.unlink()
    result, _ = answered(Bench(tmp_path), jpeg(picture), Bearing(True, changes))
    assert result.changed is not None and not result.changed.enough
    assert (result.changed.tries, result.renditions[0].sha256) == (2, plain.renditions[0].sha256)
