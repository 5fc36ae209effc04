"""Files that end too early, at every hundredth of their length, or whose bits were flipped: one outcome each, and never a
rendition with a dead half (I03, W06, W08)."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from PIL import Image, ImageChops

import pictures
from dropmill.imaging.codecs import heif_available
from dropmill.model.image import Limits, Recipe, RenditionSpec
from dropmill.model.outcome import Reason
from dropmill.model.work import NotOurs, Processed, Rejected, Troubled
from harness import Mill
from imaging_help import Bench

SPEC = RenditionSpec("s", "fit", 64, 64, format="png")
SMALL = Recipe((SPEC,))
# A picture that hardly differs from that of the whole file: what is missing was no part of what is shown.
_ALIKE = 3


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def whole_files() -> dict[str, bytes]:
    photo = pictures.photo(320, 240)
    files = {
        "jpeg": pictures.jpeg(photo),
        "jpeg-progressive": pictures.jpeg(photo, progressive=True),
        "jpeg-restarts": pictures.jpeg(photo, restart_marker_rows=1),
        "jpeg-grey": pictures.jpeg(photo.convert("L")),
        "jpeg-cmyk": pictures.jpeg(photo.convert("CMYK")),
        "png": pictures.png(photo),
        "gif": pictures.encoded(photo, "GIF"),
        "gif-animated": pictures.animation("GIF", 5),
        "webp": pictures.encoded(photo, "WEBP", quality=90),
        "webp-lossless": pictures.encoded(photo, "WEBP", lossless=True),
        "tiff": pictures.encoded(photo, "TIFF"),
        "tiff-lzw": pictures.encoded(photo, "TIFF", compression="tiff_lzw"),
        "tiff-jpeg": pictures.encoded(photo, "TIFF", compression="jpeg"),
        "bmp": pictures.encoded(photo, "BMP"),
        "avif": pictures.encoded(photo, "AVIF", quality=90),
    }
    if heif_available():
        import pillow_heif

        pillow_heif.register_heif_opener()
        files["heic"] = pictures.encoded(photo, "HEIF")
    return files


WHOLE = whole_files()
HUFFMAN = [name for name in WHOLE if name.startswith("jpeg") and name != "jpeg-progressive"]
# Only in these is a tail of zeros never a picture; in plain TIFF and BMP it is black.
CODED = [name for name in WHOLE if name not in {"tiff", "bmp"}]


def assert_no_dead_half(bench: Bench, data: bytes, whole: Image.Image, what: str) -> bool:
    """Rejected, or as good as whole; True if it was published."""
    result = bench.of(data, SMALL)
    if isinstance(result, Processed):
        shown = bench.open(result.renditions[0])
        worst = max(high for _, high in ImageChops.difference(shown, whole).convert("RGB").getextrema())
        assert shown.size == whole.size and worst <= _ALIKE, f"{what}: published with a difference of {worst}"
        return True
    assert isinstance(result, Rejected), f"{what}: {result}"
    assert bench.left() == []
    return False


def cuts(data: bytes, step: int) -> list[int]:
    return [len(data) * percent // 100 for percent in range(1, 100, step)] + [len(data) - 1]


@pytest.mark.parametrize("name", WHOLE)
def test_i03_a_file_that_ends_early_shows_no_dead_half_sample(bench: Bench, name: str) -> None:
    whole = bench.only(WHOLE[name], SPEC)
    for end in cuts(WHOLE[name], 14):
        assert_no_dead_half(bench, WHOLE[name][:end], whole, f"{name} cut to {end} of {len(WHOLE[name])} bytes")


@pytest.mark.long
@pytest.mark.parametrize("name", WHOLE)
def test_i03_a_file_that_ends_early_shows_no_dead_half(bench: Bench, name: str) -> None:
    whole = bench.only(WHOLE[name], SPEC)
    for end in cuts(WHOLE[name], 1):
        assert_no_dead_half(bench, WHOLE[name][:end], whole, f"{name} cut to {end} of {len(WHOLE[name])} bytes")


@pytest.mark.parametrize("name", CODED)
def test_w06_a_file_that_was_only_preallocated_behind_shows_no_dead_half(bench: Bench, name: str) -> None:
    data = WHOLE[name]
    whole = bench.only(data, SPEC)
    for end in cuts(data, 9):
        if len(data) - end >= 4096:
            assert_no_dead_half(bench, data[:end].ljust(len(data), b"\0"), whole, f"{name} with zeros from {end} on")


@pytest.mark.parametrize("name", HUFFMAN)
def test_i03_a_cut_jpeg_that_was_given_an_end_marker_shows_no_grey_half(bench: Bench, name: str) -> None:
    """libjpeg paints what is missing grey and only warns, and nothing about the container is wrong."""
    whole = bench.only(WHOLE[name], SPEC)
    for end in cuts(WHOLE[name], 7):
        assert_no_dead_half(bench, WHOLE[name][:end] + b"\xff\xd9", whole, f"{name} cut to {end} bytes and ended")


def test_i03_a_progressive_jpeg_that_ends_in_its_first_scan_is_truncated(bench: Bench) -> None:
    data = WHOLE["jpeg-progressive"]
    second = data.index(b"\xff\xda", data.index(b"\xff\xda") + 2)
    result = bench.of(data[: second * 3 // 4] + b"\xff\xd9", SMALL)
    assert isinstance(result, Rejected) and result.reason is Reason.TRUNCATED


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"restart_marker_rows": 1}, {"subsampling": 0}])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_whole_jpeg_that_ends_in_that_very_grey_is_published(
    bench: Bench, options: dict[str, object], mode: str
) -> None:
    for size in ((320, 240), (321, 241), (17, 9)):
        grey = Image.new("RGB", size, (128, 128, 128))
        grey.paste(pictures.photo(size[0] // 2, size[1] // 2), (0, 0))
        bench.good(pictures.jpeg(grey.convert(mode), **options), SMALL)
        bench.good(pictures.jpeg(Image.new(mode, size, 128 if mode == "L" else (128, 128, 128)), **options), SMALL)


@pytest.mark.long
@pytest.mark.parametrize("name", WHOLE)
def test_flipped_bits_have_one_outcome(bench: Bench, name: str) -> None:
    chance = random.Random(name)
    for _ in range(60):
        data = bytearray(WHOLE[name])
        for _ in range(chance.randint(1, 8)):
            data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        result = bench.of(bytes(data), SMALL, limits=Limits(max_pixels=1_000_000))
        assert isinstance(result, Processed | Rejected | NotOurs | Troubled), result
        assert not isinstance(result, Troubled) or result.reason is Reason.MEMORY_LIMIT, result
        if not isinstance(result, Processed):
            assert bench.left() == []


@pytest.mark.long
def test_w08_each_of_many_truncated_files_has_one_outcome(tmp_path: Path) -> None:
    """The whole way: settled after the wait, decided by a worker, quarantined with its reason."""
    mill = Mill(
        tmp_path, renditions=[{"name": "t", "fit": [48, 48]}], quarantine="quarantine", incomplete_timeout_seconds=0.5
    )
    names = set()
    for kind, data in WHOLE.items():
        for number, end in enumerate(cuts(data, 5)):
            names.add(name := f"{kind}-{number}.{kind.partition('-')[0]}")
            mill.drop(name, data[:end])
    assert mill.once().returncode == 3
    jobs = mill.jobs()
    assert sorted(Path(job["source"]).name for job in jobs) == sorted(names)
    assert {job["state"] for job in jobs} == {"completed", "discarded"}
    discarded = [job for job in jobs if job["state"] == "discarded"]
    reasons = {job["reason"] for job in discarded}
    assert reasons <= {"truncated", "corrupt", "not-an-image", "too-small"}, reasons
    # All that is missing of those is behind the picture: the last byte, or a trailer that a decoder does without.
    published = {Path(job["source"]).stem for job in jobs if job["outcome"] == "published"}
    assert published <= {"gif-20", "gif-animated-20", "png-20"}, published
    quarantined = [path for path in (tmp_path / "quarantine").iterdir() if not path.name.endswith(".reason.json")]
    assert len(quarantined) == len(discarded)
