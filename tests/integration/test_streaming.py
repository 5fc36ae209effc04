"""Pictures above a worker's budget, streamed by libvips: the same outcome within 512 MB, and never a worse one (I04)."""

from __future__ import annotations

import functools
import io
import sqlite3
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from workers_handlers import content_of
from workers_support import FOLDER, a_pool, run, said

import pictures
from dropmill.imaging import vips
from dropmill.model.fingerprint import FINGERPRINT_VERSION, STREAMED_VERSION
from dropmill.model.image import Recipe, RenditionSpec
from dropmill.model.work import Recognised, Rejected, Troubled
from harness import Mill
from imaging_help import Bench
from parts import missing

BUDGET_BYTES = 185 << 20
LOSSLESS = Recipe((RenditionSpec("large", "fit", 900, 900, format="png"),))
WIDE, HIGH = 16_000, 12_500


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.fixture
def libvips() -> None:
    if vips.library() is None:
        missing("libvips is not installed", "pip install 'dropmill[vips]'")


@functools.cache
def large_photo() -> Image.Image:
    """12 megapixels, which is too much for ``BUDGET_BYTES`` in every mode."""
    return pictures.photo(1000, 750, seed=9).resize((4000, 3000), Image.Resampling.BICUBIC)


def psnr(one: Image.Image, other: Image.Image) -> float:
    """Decibels, alpha premultiplied: what transparent pixels hide does not count."""
    assert (one.mode, one.size) == (other.mode, other.size)
    if one.mode == "RGBA":
        one, other = one.convert("RGBa"), other.convert("RGBa")
    difference = np.asarray(one, np.float64) - np.asarray(other, np.float64)
    return float(10 * np.log10(255**2 / max((difference**2).mean(), 1e-9)))


def bits(one: int, other: int) -> int:
    return (one ^ other).bit_count()


def both_ways(bench: Bench, data: bytes, recipe: Recipe = LOSSLESS) -> tuple[Image.Image, Image.Image]:
    """The rendition streamed, and in the ordinary way, after everything else about the two was held to be equal."""
    streamed = bench.good(data, recipe, budget_bytes=BUDGET_BYTES)
    one, told = bench.open(streamed.renditions[0]), bench.previews[-1]
    ordinary = bench.good(data, recipe)
    assert told.streams and told.needs_bytes <= BUDGET_BYTES < bench.previews[-1].needs_bytes
    assert not bench.previews[-1].streams
    assert (streamed.content, streamed.picture) == (ordinary.content, ordinary.picture)
    assert (streamed.looks.version, ordinary.looks.version) == (STREAMED_VERSION, FINGERPRINT_VERSION)
    for name in ("phash", "dhash", "ahash"):
        assert bits(getattr(streamed.looks, name), getattr(ordinary.looks, name)) <= 2, name
    assert bits(int(streamed.looks.phash256, 16), int(ordinary.looks.phash256, 16)) <= 8
    return one, bench.open(ordinary.renditions[0])


def png(picture: Image.Image, **options: object) -> bytes:
    return pictures.png(picture, compress_level=1, **options)


def tiff(picture: Image.Image, compression: str, **options: object) -> bytes:
    return pictures.encoded(picture, "TIFF", compression=compression, **options)


def deep() -> Image.Image:
    return Image.fromarray(np.asarray(large_photo().convert("L")).astype(np.uint16) * 257)


FILES = {
    "png-turned": lambda: png(large_photo(), exif=pictures.exif({274: 6}), icc_profile=pictures.icc("adobe")),
    "png-transparent": lambda: png(pictures.faded(large_photo())),
    "png-16-bit-grey": lambda: png(deep()),
    "png-palette": lambda: png(large_photo().quantize(64, dither=Image.Dither.NONE)),
    "tiff-turned": lambda: tiff(large_photo(), "tiff_lzw", exif=pictures.exif({274: 8})),
    "tiff-16-bit-grey": lambda: tiff(deep(), "tiff_adobe_deflate"),
    "tiff-transparent": lambda: tiff(pictures.faded(large_photo()), "tiff_lzw"),
}


@pytest.mark.long
@pytest.mark.usefixtures("libvips")
@pytest.mark.parametrize("name", FILES)
def test_i04_streamed_is_what_pillow_would_have_made(bench: Bench, name: str) -> None:
    streamed, ordinary = both_ways(bench, FILES[name]())
    assert psnr(streamed, ordinary) >= 40


@pytest.mark.long
@pytest.mark.usefixtures("libvips")
def test_i04_a_streamed_jpeg_is_what_pillow_would_have_made(bench: Bench) -> None:
    """Only for renditions above half its size: else its decoder makes it small enough by itself."""
    recipe = Recipe((RenditionSpec("large", "width", 2_100, format="jpeg"),))
    streamed, ordinary = both_ways(bench, pictures.jpeg(large_photo(), exif=pictures.exif({274: 3})), recipe)
    assert psnr(streamed, ordinary) >= 40
    bench.good(pictures.jpeg(large_photo(), progressive=True), recipe, budget_bytes=BUDGET_BYTES)
    assert not bench.previews[-1].streams


@pytest.mark.anyio
@pytest.mark.parametrize("end", ["crash", "hang", "memory", "corrupt", "troubled"])
async def test_i04_what_libvips_fails_at_is_decoded_in_the_ordinary_way_within_the_same_attempt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    monkeypatch.setenv("PYTHONPATH", FOLDER)
    async with a_pool(1, memory_budget_mb=64) as pool:
        seconds = 1.0 if end == "hang" else 20.0
        assert await run(pool, f"stream:{end}", tmp_path, timeout_seconds=seconds) == Recognised(content_of(1, 1))
        assert said(tmp_path, "asked-True-1") and said(tmp_path, "asked-False-1")
        assert pool.stats().waiting_for_memory == 0


@pytest.mark.anyio
async def test_i04_a_picture_that_is_streamed_takes_no_more_than_its_worker_may(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So its worker stays."""
    monkeypatch.setenv("PYTHONPATH", FOLDER)
    async with a_pool(1, memory_budget_mb=64) as pool:
        assert await run(pool, "stream:well", tmp_path) == Recognised(content_of(1, 1))
        assert said(tmp_path, "asked-True-1") and not said(tmp_path, "asked-False-1")
        assert len(pool.stats().pids) == 1


def flat_png(width: int, height: int) -> bytes:
    """Grey, by hand: the rows of a gradient over and over, without ever having the picture."""
    row = b"\0" + bytes(column * 255 // width for column in range(width))
    packer = zlib.compressobj(1)
    coded = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + b"\x08\0\0\0\0"
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")
        for kind, data in ((b"IHDR", header), (b"IDAT", coded), (b"IEND", b""))
    )


@pytest.mark.usefixtures("libvips")
def test_i04_a_damaged_file_is_no_verdict_of_libvips(bench: Bench) -> None:
    """The pool then begins anew, as above."""
    data = bytearray(flat_png(4000, 3000))
    middle = len(data) // 2
    data[middle : middle + 64] = bytes(64)
    result = bench.of(bytes(data), LOSSLESS, budget_bytes=120 << 20)
    assert bench.previews[-1].streams
    assert isinstance(result, Troubled) and "could not be streamed" in result.detail
    assert isinstance(bench.of(bytes(data), LOSSLESS), Rejected)
    assert bench.left() == []


@pytest.mark.usefixtures("libvips")
def test_libvips_decodes_nothing_but_jpeg_png_and_tiff() -> None:
    library = vips.library()
    for data in (
        pictures.encoded(pictures.corners(), "WEBP"),
        pictures.animation(),
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
    ):
        with pytest.raises(library.Error):
            library.Image.new_from_buffer(data, "")
    for load in ("gifload_buffer", "webpload_buffer", "svgload_buffer"):
        with pytest.raises(library.Error, match="blocked"):
            getattr(library.Image, load)(pictures.animation())
    assert library.Image.new_from_buffer(pictures.png(pictures.corners()), "").width == 320


@functools.cache
def huge(kind: str) -> bytes:
    """200 megapixels, cheaply."""
    if kind == "png":
        return flat_png(WIDE, HIGH)
    out = io.BytesIO()
    Image.linear_gradient("L").resize((WIDE, HIGH), Image.Resampling.NEAREST).save(out, "JPEG", quality=75)
    return out.getvalue()


def mill_for(folder: Path, kind: str, total_mb: int) -> Mill:
    """Renditions for which a JPEG has to be decoded at half its size."""
    workers = {"processes": 1, "memory_limit_mb": 512, "memory_total_mb": total_mb}
    return Mill(folder, workers=workers, renditions=[{"name": "t", "width": 4200 if kind == "jpg" else 1600}])


def versions(mill: Mill) -> list[int]:
    with sqlite3.connect(mill.state / "catalog.db") as catalog:
        return [version for (version,) in catalog.execute("SELECT fingerprint_version FROM images")]


@pytest.mark.long
@pytest.mark.usefixtures("libvips")
@pytest.mark.parametrize("kind", ["png", "jpg"])
def test_i04_200_megapixels_within_512_mb(tmp_path: Path, kind: str) -> None:
    """All that a worker can get here are 512 MB above what it is born with, by its RLIMIT_AS."""
    mill = mill_for(tmp_path, kind, 512)
    mill.drop(f"huge.{kind}", huge(kind))
    done = mill.once()
    assert done.returncode == 0, done.stderr
    assert len(mill.outputs()) == 1, mill.jobs()
    assert versions(mill) == [STREAMED_VERSION]


@pytest.mark.long
def test_i04_without_libvips_it_needs_more_and_gets_it(tmp_path: Path) -> None:
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    (hidden / "pyvips.py").write_text("raise ImportError('not here')\n")
    mill = mill_for(tmp_path, "png", 4096)
    mill.drop("huge.png", huge("png"))
    mill.environment = {"PYTHONPATH": str(hidden)}
    done = mill.once()
    assert done.returncode == 0, done.stderr
    assert versions(mill) == [FINGERPRINT_VERSION]
