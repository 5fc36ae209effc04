"""Sizes, filters, formats, frames and pages (I09, I10, I12, I13)."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageChops

import pictures
from dropmill.imaging.codecs import components, heif_available
from dropmill.imaging.preload import preload
from dropmill.imaging.sizes import target
from dropmill.model.image import Limits, Recipe, RenditionSpec
from dropmill.model.outcome import Reason
from dropmill.model.work import Rejected
from imaging_help import LARGE, THUMB, WEB, Bench

PHOTO = pictures.photo(640, 480)
DATA = pictures.png(PHOTO)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def mean_difference(one: Image.Image, other: Image.Image) -> float:
    return float(np.abs(np.asarray(one.convert("RGB"), float) - np.asarray(other.convert("RGB"), float)).mean())


@pytest.mark.parametrize(
    ("spec", "size"),
    [
        (RenditionSpec("x", "fit", 320, 320), (320, 240)),
        (RenditionSpec("x", "fit", 9999, 120), (160, 120)),
        (RenditionSpec("x", "fill", 200, 200), (200, 200)),
        (RenditionSpec("x", "fill", 400, 100), (400, 100)),
        (RenditionSpec("x", "width", width=160), (160, 120)),
        (RenditionSpec("x", "height", height=160), (213, 160)),
        (RenditionSpec("x", "scale", scale=0.25), (160, 120)),
        # Never enlarged unless asked for:
        (RenditionSpec("x", "fit", 2000, 2000), (640, 480)),
        (RenditionSpec("x", "fill", 1000, 1000), (480, 480)),
        (RenditionSpec("x", "width", width=1000), (640, 480)),
        (RenditionSpec("x", "scale", scale=3.0), (640, 480)),
        (RenditionSpec("x", "fit", 1280, 1280, enlarge=True), (1280, 960)),
        (RenditionSpec("x", "fill", 1000, 1000, enlarge=True), (1000, 1000)),
        (RenditionSpec("x", "scale", scale=1.5, enlarge=True), (960, 720)),
    ],
)
def test_i12_every_mode_gives_the_size_it_says(bench: Bench, spec: RenditionSpec, size: tuple[int, int]) -> None:
    for data in (DATA, pictures.jpeg(PHOTO)):
        rendered = bench.good(data, Recipe((spec,))).renditions[0]
        assert (rendered.width, rendered.height) == size
        assert bench.open(rendered).size == size


def test_fill_shows_the_middle(bench: Bench) -> None:
    out = bench.only(DATA, RenditionSpec("x", "fill", 480, 480, format="png"))
    assert not ImageChops.difference(out, PHOTO.crop((80, 0, 560, 480))).getbbox()


@given(
    st.integers(1, 70_000),
    st.integers(1, 70_000),
    st.sampled_from(["fit", "fill", "width", "height", "scale"]),
    st.integers(1, 5000),
    st.integers(1, 5000),
    st.floats(0.001, 20),
    st.booleans(),
)
@settings(max_examples=400, deadline=None)
def test_i10_sizes_are_at_least_one_pixel_and_never_larger(
    width: int, height: int, mode: str, to_width: int, to_height: int, scale: float, enlarge: bool
) -> None:
    spec = RenditionSpec("x", mode, to_width, to_height, scale, enlarge=enlarge)  # type: ignore[arg-type]  # One of the modes.
    goal = target(spec, width, height)
    assert goal.width >= 1 and goal.height >= 1
    left, top, right, bottom = goal.box
    assert 0 <= left < right <= 1 and 0 <= top < bottom <= 1
    if not enlarge:
        assert goal.width <= width and goal.height <= height
    if mode == "fit":
        assert goal.width <= to_width and goal.height <= to_height


@pytest.mark.parametrize("name", ["nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"])
def test_every_filter_is_pillow_s(bench: Bench, name: str) -> None:
    out = bench.only(DATA, RenditionSpec("x", "fit", 320, 320, format="png", filter=name))
    right = PHOTO.resize((320, 240), Image.Resampling[name.upper()])
    assert not ImageChops.difference(out, right).getbbox()


def test_the_ladder_cannot_be_seen(bench: Bench) -> None:
    picture = pictures.photo(2400, 1600, 8)
    specs = (RenditionSpec("t", "fit", 400, 400, format="png"), RenditionSpec("l", "fit", 1600, 1600, format="png"))
    small, large = (
        bench.open(item)
        for item in sorted(bench.good(pictures.jpeg(picture), Recipe(specs)).renditions, key=lambda item: item.width)
    )
    assert mean_difference(large, picture.resize((1600, 1067), Image.Resampling.LANCZOS)) < 2.5
    assert mean_difference(small, picture.resize((400, 267), Image.Resampling.LANCZOS)) < 2.5


@pytest.mark.parametrize(("side", "blocks"), [(150, 2), (100, 4), (60, 7)])
def test_averaging_before_lanczos_cannot_be_seen(bench: Bench, side: int, blocks: int) -> None:
    """Far reductions average blocks of pixels first: within a level of filtering everything."""
    assert 640 // (1.5 * side) == blocks
    made = bench.only(DATA, RenditionSpec("x", "fit", side, side, format="png"))
    assert mean_difference(made, PHOTO.resize(made.size, Image.Resampling.LANCZOS)) < 0.9


def test_quality_and_progressive_are_honoured(bench: Bench) -> None:
    sizes = []
    for quality in (40, 90):
        spec = RenditionSpec("x", "fit", 400, 400, format="jpeg", quality=quality, progressive=quality == 40)
        rendered = bench.good(DATA, Recipe((spec,))).renditions[0]
        sizes.append(rendered.size_bytes)
        assert bool(bench.open(rendered).info.get("progressive")) is (quality == 40)
    assert sizes[0] * 1.5 < sizes[1]


def test_auto_is_jpeg_for_photographs_and_png_for_screenshots(bench: Bench) -> None:
    def formats(data: bytes) -> set[str]:
        return {item.format for item in bench.good(data).renditions}

    assert formats(DATA) == {"jpeg"}
    assert formats(pictures.png(PHOTO.convert("L"))) == {"jpeg"}
    assert formats(pictures.encoded(PHOTO, "GIF")) == {"jpeg"}
    assert formats(pictures.png(pictures.screenshot())) == {"png"}
    assert formats(pictures.png(pictures.screenshot().convert("L"))) == {"png"}
    assert formats(pictures.jpeg(pictures.screenshot())) == {"jpeg"}
    assert formats(pictures.encoded(pictures.transparent(), "WEBP")) == {"png"}


@pytest.mark.parametrize("size", [(1, 1), (1, 20000), (20000, 1), (3, 5)])
def test_i10_odd_shapes(bench: Bench, size: tuple[int, int]) -> None:
    for name in ("PNG", "JPEG"):
        result = bench.good(pictures.encoded(Image.new("RGB", size, "teal"), name))
        for rendered in result.renditions:
            assert min(bench.open(rendered).size) >= 1
            assert max(bench.open(rendered).size) <= 1600


def test_a_side_that_the_format_cannot_hold_is_fitted(bench: Bench) -> None:
    out = bench.only(pictures.png(Image.new("RGB", (20000, 20))), RenditionSpec("x", "scale", scale=1.0, format="webp"))
    assert out.size == (16383, 16)


def test_an_enlargement_beyond_the_limits_is_refused(bench: Bench) -> None:
    spec = RenditionSpec("x", "scale", scale=50.0, enlarge=True)
    result = bench.of(DATA, Recipe((spec,)), limits=Limits(max_pixels=10_000_000))
    assert isinstance(result, Rejected) and result.reason is Reason.TOO_LARGE


@pytest.mark.parametrize("name", ["GIF", "PNG", "WEBP"])
def test_i09_the_first_frame_by_default(bench: Bench, name: str) -> None:
    result = bench.good(pictures.animation(name))
    assert (result.picture.frames, result.picture.pages_dropped) == (4, 3)
    out = bench.open(result.renditions[0])
    assert getattr(out, "n_frames", 1) == 1
    assert mean_difference(out, Image.open(io.BytesIO(pictures.animation(name)))) < 3


@pytest.mark.parametrize("name", ["GIF", "PNG", "WEBP"])
@pytest.mark.parametrize("out_name", ["auto", "webp", "png", "avif"])
def test_i09_animation_kept(bench: Bench, name: str, out_name: str) -> None:
    data = pictures.animation(name)
    spec = RenditionSpec("x", "fit", 60, 60, format=out_name)
    result = bench.good(data, Recipe((spec,), animation="keep"))
    assert result.picture.pages_dropped == 0
    assert result.renditions[0].format == ("webp" if out_name == "auto" else out_name)
    out = Image.open(io.BytesIO(bench.bytes_of(result.renditions[0])))
    source = Image.open(io.BytesIO(data))
    assert (out.size, out.n_frames) == ((60, 40), 4)
    for index in range(4):
        out.seek(index)
        source.seek(index)
        out.load()
        assert round(out.info["duration"]) == 80
        assert mean_difference(out, source.convert("RGB").resize((60, 40), Image.Resampling.LANCZOS)) < 8
    jpeg = bench.only(data, RenditionSpec("x", "fit", 60, 60, format="jpeg"), animation="keep")
    assert jpeg.format == "JPEG"


def test_i09_frames_and_pixels_share_a_budget(bench: Bench) -> None:
    data, keep = pictures.animation("GIF"), Recipe((THUMB,), animation="keep")
    tight = Limits(max_pixels=120 * 80 * 4 - 1)
    result = bench.of(data, keep, limits=tight)
    assert isinstance(result, Rejected) and result.reason is Reason.TOO_LARGE
    bench.good(data, limits=tight)
    bench.good(data, keep, limits=Limits(max_pixels=120 * 80 * 4))


def test_i09_an_animation_with_transparency_keeps_it(bench: Bench) -> None:
    frames = [Image.new("RGBA", (40, 30), (0, 0, 0, 0)) for _ in range(3)]
    for index, frame in enumerate(frames):
        frame.paste((255, 0, 0, 255), (index * 10, 0, index * 10 + 10, 30))
    data = pictures.png(frames[0], save_all=True, append_images=frames[1:], duration=50)
    out = bench.only(data, RenditionSpec("x", "fit", 40, 40), animation="keep")
    out.seek(2)
    shown = out.convert("RGBA")
    assert shown.getpixel((35, 15))[3] == 0 and shown.getpixel((25, 15))[3] == 255 and shown.getpixel((5, 15))[3] == 0


def test_i09_only_the_first_picture_of_a_multi_picture_jpeg(bench: Bench) -> None:
    data = pictures.encoded(PHOTO, "MPO", save_all=True, append_images=[pictures.photo(640, 480, 2)], quality=90)
    result = bench.good(data)
    assert (result.picture.frames, result.picture.pages_dropped) == (2, 1)
    assert mean_difference(bench.open(result.renditions[0]), PHOTO) < 4


def test_i09_pages_of_a_tiff(bench: Bench) -> None:
    shots = [pictures.photo(200, 150, 1), pictures.photo(90, 120, 2), pictures.photo(200, 150, 3).convert("L")]
    data = pictures.tiff_pages(*shots, compression="tiff_lzw")
    first = bench.good(data)
    assert (first.picture.frames, first.picture.pages_dropped, len(first.renditions)) == (3, 2, 2)
    everything = bench.good(
        data,
        Recipe((RenditionSpec("thumb", "fit", 400, 400, format="png"), RenditionSpec("s", "fit", 50, 50)), pages="all"),
    )
    assert everything.picture.pages_dropped == 0
    assert [(item.page, item.name) for item in everything.renditions] == [
        (page, name) for page in (1, 2, 3) for name in ("thumb", "s")
    ]
    assert everything.looks == first.looks
    for item, shot in zip(everything.renditions[::2], shots, strict=True):
        assert mean_difference(bench.open(item), shot) == 0
    assert bench.left()[-1].endswith("-thumb-p3")


def test_i09_reduced_copies_in_a_tiff_are_no_pages(bench: Bench) -> None:
    out = io.BytesIO()
    with Image.open(io.BytesIO(pictures.tiff_pages(PHOTO, PHOTO.resize((64, 48))))) as source:
        pages = []
        for index in range(2):
            source.seek(index)
            page = source.copy()
            page.encoderinfo = {"tiffinfo": {254: index}}
            pages.append(page)
    pages[0].save(out, "TIFF", save_all=True, append_images=pages[1:])
    result = bench.good(out.getvalue(), Recipe((THUMB,), pages="all"))
    assert (result.picture.frames, len(result.renditions)) == (1, 1)


def test_i09_pages_share_the_pixel_budget(bench: Bench) -> None:
    data = pictures.tiff_pages(*(pictures.photo(100, 100, seed) for seed in range(4)))
    result = bench.of(data, Recipe((THUMB,), pages="all"), limits=Limits(max_pixels=39_999))
    assert isinstance(result, Rejected) and result.reason is Reason.TOO_LARGE
    bench.good(data, limits=Limits(max_pixels=10_000))


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("JPEG", {"progressive": True}),
        ("JPEG", {"subsampling": 0}),
        ("JPEG", {"subsampling": 1}),
        ("JPEG", {"restart_marker_blocks": 4}),
        ("JPEG", {"restart_marker_rows": 1}),
        ("JPEG", {"optimize": True, "quality": 30}),
        ("PNG", {}),
        ("WEBP", {"lossless": True}),
        ("WEBP", {"quality": 70}),
        ("AVIF", {}),
        ("BMP", {}),
        ("TIFF", {"compression": "tiff_deflate"}),
        ("TIFF", {"compression": "jpeg"}),
        ("TIFF", {"compression": "packbits"}),
        ("TIFF", {"big_tiff": True}),
    ],
)
def test_i13_decoded_like_the_reference_decoder(bench: Bench, name: str, options: dict[str, object]) -> None:
    data = pictures.encoded(pictures.photo(321, 243), name, **options)
    out = bench.only(data, RenditionSpec("x", "scale", scale=1.0, format="png"))
    assert not ImageChops.difference(out, Image.open(io.BytesIO(data)).convert("RGB")).getbbox()


def test_i13_interlaced_png(bench: Bench) -> None:
    """Adam7, written by hand because Pillow only reads it."""
    import struct
    import zlib

    grey = np.asarray(pictures.photo(17, 11).convert("L"))
    rows = b""
    for x, y, dx, dy in (
        (0, 0, 8, 8),
        (4, 0, 8, 8),
        (0, 4, 4, 8),
        (2, 0, 4, 4),
        (0, 2, 2, 4),
        (1, 0, 2, 2),
        (0, 1, 1, 2),
    ):
        for row in grey[y::dy, x::dx]:
            rows += b"\0" + row.tobytes() if row.size else b""
    head = pictures.chunk(b"IHDR", struct.pack(">IIBBBBB", 17, 11, 8, 0, 0, 0, 1))
    data = b"\x89PNG\r\n\x1a\n" + head + pictures.chunk(b"IDAT", zlib.compress(rows)) + pictures.chunk(b"IEND", b"")
    out = bench.only(data, RenditionSpec("x", "scale", scale=1.0, format="png"))
    assert (np.asarray(out) == grey).all()


@pytest.mark.skipif(not heif_available(), reason="the extra heif is not installed")
def test_i13_heic_upright_and_in_srgb(bench: Bench) -> None:
    import pillow_heif

    pillow_heif.register_heif_opener()
    out = io.BytesIO()
    turned = pictures.corners().transpose(Image.Transpose.ROTATE_90)
    turned.save(out, "HEIF", exif=pictures.exif({274: 6, 33432: "Her"}), quality=90)
    result = bench.good(out.getvalue(), Recipe((LARGE,)), name="a.heic")
    assert (result.picture.format, result.picture.width, result.picture.height) == ("heif", 320, 200)
    assert mean_difference(bench.open(result.renditions[0]), pictures.corners()) < 6
    assert result.picture.copyright == "Her"
    cut = bench.of(out.getvalue()[:-500], name="a.heic")
    assert isinstance(cut, Rejected) and cut.reason is Reason.TRUNCATED


def test_the_same_input_gives_the_same_bytes(bench: Bench) -> None:
    one, other = (bench.good(DATA, WEB) for _ in range(2))
    assert [item.sha256 for item in one.renditions] == [item.sha256 for item in other.renditions]


def test_preload_and_components() -> None:
    preload()
    found = components()
    assert {"Pillow", "libjpeg-turbo", "libwebp", "libavif", "libtiff", "zlib", "lcms2"} < set(found)
    assert {"libheif", "imagehash", "numpy", "scipy"} < set(found)
    assert all(found[name] != "missing" for name in set(found) - {"libheif", "libvips"})


def test_a_recipe_without_renditions_only_looks(bench: Bench) -> None:
    """What `dropmill index` needs: nothing is staged, so there need not be a staging folder."""
    result = bench.good(DATA, Recipe(()))
    assert result.renditions == () and bench.left() == []
    bench.staging.rmdir()
    assert bench.run("a.jpg", Recipe(())) == result
