"""Hashes bit for bit against imagehash of a G that is built here, apart from the code; the coded-image digest."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import imagehash
import numpy as np
import pytest
from PIL import Image, ImageOps

import pictures
from dropmill.imaging import shrink
from dropmill.imaging.fingerprint import looks_of
from dropmill.model.fingerprint import Looks
from dropmill.model.image import Recipe, RenditionSpec
from dropmill.model.resemblance import hamming
from imaging_help import WEB, Bench

TINY = Recipe((RenditionSpec("tiny", "fit", 64, 64),))


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def assert_of(picture: Image.Image, looks: Looks) -> None:
    """``looks`` are those of ``picture``, which is upright, opaque, 8-bit sRGB and at the job's scale."""
    width, height = picture.size
    luma = picture.convert("L")
    if max(width, height) > 512:
        factor = 512 / max(width, height)
        luma = luma.resize((round(width * factor), round(height * factor)), Image.Resampling.BICUBIC)
    bits = [imagehash.phash(luma), imagehash.dhash(luma), imagehash.average_hash(luma)]
    packed = [int(str(one), 16) for one in bits]
    assert looks == Looks(*packed, phash256=str(imagehash.phash(luma, 16)).zfill(64), texture=looks.texture)
    levels = np.asarray(luma).astype(int)
    commonest = max(np.count_nonzero((levels >= first) & (levels < first + 17)) for first in range(240))
    squares = [
        levels[top : top + 16, left : left + 16]
        for top in range(0, levels.shape[0] - 15, 16)
        for left in range(0, levels.shape[1] - 15, 16)
    ]
    quiet = sum(int(square.max() - square.min()) <= 4 for square in squares) / max(1, len(squares))
    shares = np.bincount(levels.ravel(), minlength=256) / levels.size
    smooth = np.convolve(shares, np.full(9, 1 / 9))
    sharp_bits, smooth_bits = (-float((some[some > 0] * np.log2(some[some > 0])).sum()) for some in (shares, smooth))
    drawn = min(0.85, max(quiet, (smooth_bits - sharp_bits) / 1.1))
    assert looks.texture == pytest.approx(100 * (1 - max(commonest / levels.size, drawn)), abs=1e-7)


@pytest.mark.parametrize(("recipe", "divisor"), [(WEB, 1), (TINY, 2)])
def test_hashes_of_a_jpeg_are_imagehash_of_g(bench: Bench, recipe: Recipe, divisor: int) -> None:
    """1920 pixels: the web profile needs all of them; the tiny one half, because 1/4 would leave less than 512."""
    data = pictures.jpeg(pictures.photo(1920, 1280, 4))
    (bench.folder / "x.jpg").write_bytes(data)
    with Image.open(bench.folder / "x.jpg") as picture:
        picture.draft(None, (1920 // divisor, 1280 // divisor))
        picture.load()
        assert picture.size == (1920 // divisor, 1280 // divisor)
        assert_of(picture, bench.good(data, recipe).looks)


def test_hashes_of_a_turned_jpeg_are_those_of_the_upright_picture(bench: Bench) -> None:
    data = pictures.jpeg(pictures.photo(600, 400), exif=pictures.exif({274: 6}))
    (bench.folder / "x.jpg").write_bytes(data)
    with Image.open(bench.folder / "x.jpg") as picture:
        assert_of(ImageOps.exif_transpose(picture), bench.good(data).looks)


def test_hashes_of_a_transparent_picture_see_it_on_white(bench: Bench) -> None:
    picture = pictures.transparent()
    white = Image.new("RGB", picture.size, "white")
    white.paste(picture, mask=picture.getchannel("A"))
    assert_of(white, bench.good(pictures.png(picture)).looks)


def test_hashes_of_small_and_of_flat_pictures(bench: Bench) -> None:
    small = pictures.photo(40, 30)
    assert_of(small, bench.good(pictures.png(small)).looks)
    flat = bench.good(pictures.png(Image.new("RGB", (300, 200), "#808080"))).looks
    assert flat.texture == 0.0


@pytest.mark.parametrize("size", [(512, 384), (512, 512), (512, 1), (384, 512), (511, 300), (9, 8), (1, 1)])
@pytest.mark.parametrize("what", ["noise", "extremes", "slope", "even"])
def test_what_is_shrunk_together_is_what_pillow_shrinks_one_by_one(size: tuple[int, int], what: str) -> None:
    """Extremes overshoot where LANCZOS weighs them negatively, so that samples are clipped at both ends."""
    width, height = size
    chance = np.random.default_rng(7)
    samples = {
        "noise": chance.integers(0, 256, (height, width)),
        "extremes": chance.choice([0, 255], (height, width)),
        "slope": np.add.outer(np.arange(height), np.arange(width)) % 256,
        "even": np.full((height, width), 255),
    }[what]
    luma = Image.fromarray(samples.astype(np.uint8))
    sizes = ((32, 32), (64, 64), (9, 8), (8, 8), (5, 40), (100, 3))
    for goal, made in zip(sizes, shrink.to_sizes(luma, *sizes), strict=True):
        assert made.tobytes() == luma.resize(goal, Image.Resampling.LANCZOS).tobytes(), goal


def test_hashes_hardly_move_with_the_scale_of_decoding(bench: Bench) -> None:
    data = pictures.jpeg(pictures.photo(2400, 1600, 6))
    one, other = bench.good(data, WEB).looks, bench.good(data, TINY).looks
    assert (one.phash ^ other.phash).bit_count() <= 2
    assert (one.dhash ^ other.dhash).bit_count() <= 3


def test_copies_that_differ_in_metadata_only_share_the_coded_digest(bench: Bench) -> None:
    photo = pictures.photo(200, 150)
    plain, rich = pictures.jpeg(photo), pictures.jpeg(photo, exif=pictures.exif({315: "A"}, gps=True), comment=b"hi")
    ends = rich + b"appended by some program"
    digests = {bench.good(data).content.coded_sha256 for data in (plain, rich, ends)}
    assert len(digests) == 1
    assert len({bench.good(data).content.sha256 for data in (plain, rich, ends)}) == 3


def test_png_and_webp_copies_share_the_coded_digest(bench: Bench) -> None:
    photo = pictures.photo(64, 48)
    png = pictures.png(photo)
    text = png[:33] + pictures.chunk(b"tEXt", b"Title\0x") + png[33:]
    assert bench.good(png).content.coded_sha256 == bench.good(text).content.coded_sha256
    plain = pictures.encoded(photo, "WEBP", quality=80)
    rich = pictures.encoded(photo, "WEBP", quality=80, exif=pictures.exif({315: "A"}), xmp=b"<x/>")
    assert bench.good(plain).content.coded_sha256 == bench.good(rich).content.coded_sha256


def test_pixels_orientation_and_profile_are_part_of_the_coded_digest(bench: Bench) -> None:
    photo = pictures.photo(200, 150)
    variants = [
        pictures.jpeg(photo),
        pictures.jpeg(photo, quality=91),
        pictures.jpeg(photo, progressive=True),
        pictures.jpeg(photo, exif=pictures.exif({274: 3})),
        pictures.jpeg(photo, icc_profile=pictures.icc("p3")),
        pictures.jpeg(pictures.photo(200, 150, 2)),
    ]
    assert len({bench.good(data).content.coded_sha256 for data in variants}) == len(variants)
    invalid = pictures.jpeg(photo, exif=pictures.raw_orientation(3, b"\x09\0"))
    assert bench.good(invalid).content.coded_sha256 == bench.good(variants[0]).content.coded_sha256


def test_animations_that_begin_alike_are_different(bench: Bench) -> None:
    for name in ("PNG", "WEBP", "GIF"):
        long, short = pictures.animation(name, 4), pictures.animation(name, 3)
        assert bench.good(long).content.coded_sha256 != bench.good(short).content.coded_sha256


def test_where_segments_cannot_be_followed_the_whole_file_is_the_coded_image(bench: Bench) -> None:
    data = pictures.jpeg(pictures.photo(64, 48))
    junk = data[:20] + b"\0\0\0" + data[20:]  # Decoders skip bytes between segments.
    one, other = bench.of(junk), bench.of(junk + b"x")
    assert one.content.coded_sha256 != other.content.coded_sha256  # type: ignore[union-attr]  # Both are decodable.


def test_hashes_of_parts_are_taken_where_they_are_wanted() -> None:
    picture = pictures.photo(400, 300, seed=3)
    plain, looks = looks_of(picture), looks_of(picture, parts=True)
    assert plain.windows is None
    assert looks.windows is not None
    assert replace(looks, windows=None) == plain
    assert len(looks.windows) == len(set(looks.windows)) == 12
    cut = looks_of(picture.crop((16, 12, 384, 288)))
    assert hamming(cut.phash, looks.windows[0].phash) <= 4


@pytest.mark.parametrize("colour", [(0, 0, 0), (255, 255, 255), (190, 40, 60)])
def test_what_is_within_a_border_is_a_part(colour: tuple[int, int, int]) -> None:
    picture = pictures.photo(400, 300, seed=4)
    framed = looks_of(ImageOps.expand(picture, (10, 50, 40, 20), colour), parts=True)
    assert framed.windows is not None
    assert len(framed.windows) == 13
    assert hamming(framed.windows[-1].phash, looks_of(picture).phash) <= 4
