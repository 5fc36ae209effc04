"""Upright, sRGB, eight bits, no halo (I05, I06, I07)."""

from __future__ import annotations

import io
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageChops, ImageCms, ImageOps

import pictures
from dropmill.model.image import Recipe, RenditionSpec
from imaging_help import Bench

SAME = RenditionSpec("same", "scale", scale=1.0, format="png")
AS_JPEG = RenditionSpec("same", "scale", scale=1.0, format="jpeg", quality=95)
CORPUS = Path(__file__).resolve().parents[2].parent / "shared" / "corpus" / "orientation"


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def assert_like(one: Image.Image, other: Image.Image, levels: float = 2.0) -> None:
    assert one.size == other.size
    difference = np.abs(np.asarray(one.convert("RGB"), float) - np.asarray(other.convert("RGB"), float))
    assert difference.mean() <= levels


def verdict(bench: Bench, data: bytes) -> str:
    return bench.good(data, Recipe((SAME,))).picture.icc


@pytest.mark.parametrize("value", range(1, 9))
@pytest.mark.parametrize("name", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_i05_every_orientation_comes_out_upright(bench: Bench, value: int, name: str) -> None:
    data = pictures.encoded(pictures.corners(), name, exif=pictures.exif({274: value}))
    result = bench.good(data, Recipe((SAME,)))
    upright = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    assert_like(bench.open(result.renditions[0]), upright)
    assert (result.picture.width, result.picture.height) == upright.size
    assert (bench.previews[-1].pixels, bench.previews[-1].pages) == (upright.width * upright.height, 1)
    assert result.picture.orientation == value
    assert "exif" not in bench.open(result.renditions[0]).info


@pytest.mark.parametrize(
    "block",
    [
        pictures.raw_orientation(3, b"\0\0"),
        pictures.raw_orientation(3, b"\x09\0"),
        pictures.raw_orientation(2, b"abc\0"),
        pictures.raw_orientation(4, b"\xff\xff\xff\xff"),
        b"Exif\0\0garbage that is no TIFF",
        b"Exif\0\0II*\0\xff\xff\xff\xff",
    ],
)
def test_i05_invalid_orientation_means_one(bench: Bench, block: bytes) -> None:
    data = pictures.jpeg(pictures.corners(), exif=block)
    result = bench.good(data, Recipe((SAME,)))
    assert result.picture.orientation == 1
    assert_like(bench.open(result.renditions[0]), pictures.corners(), 4)


@pytest.mark.skipif(not CORPUS.is_dir(), reason="the orientation corpus is not beside this checkout")
@pytest.mark.parametrize("shape", ["Landscape", "Portrait"])
def test_i05_the_orientation_corpus(bench: Bench, shape: str) -> None:
    spec = RenditionSpec("x", "fit", 300, 300, format="png")
    first = bench.only((CORPUS / f"{shape}_1.jpg").read_bytes(), spec)
    for value in range(2, 9):
        assert_like(bench.only((CORPUS / f"{shape}_{value}.jpg").read_bytes(), spec), first, 6)


@pytest.mark.parametrize("name", ["p3", "adobe"])
@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_i06_wide_colours_become_srgb(bench: Bench, name: str, mode: str) -> None:
    source = pictures.corners().convert(mode)
    profile = ImageCms.ImageCmsProfile(io.BytesIO(pictures.icc(name)))
    right = ImageCms.profileToProfile(source.convert("RGB"), profile, ImageCms.createProfile("sRGB"))
    data = pictures.png(source, icc_profile=pictures.icc(name))
    out = bench.only(data, SAME)
    assert_like(out, right, 0.5)
    assert "icc_profile" not in out.info
    assert verdict(bench, data) == "converted"
    assert ImageChops.difference(out.convert("RGB"), source.convert("RGB")).getbbox()


def test_i06_an_srgb_profile_changes_nothing(bench: Bench) -> None:
    photo = pictures.photo(80, 60)
    data = pictures.png(photo, icc_profile=pictures.icc("srgb"))
    assert verdict(bench, data) == "srgb"
    assert not ImageChops.difference(bench.only(data, SAME), photo).getbbox()


def test_i06_grey_pictures_keep_grey(bench: Bench) -> None:
    grey = pictures.photo(80, 60).convert("L")
    linear = bench.only(pictures.png(grey, icc_profile=pictures.icc("grey")), SAME)
    assert linear.mode == "L" and np.asarray(linear).mean() > np.asarray(grey).mean() + 20
    assert verdict(bench, pictures.jpeg(grey, icc_profile=pictures.icc("srgb"))) == "srgb"
    assert bench.only(pictures.jpeg(grey, icc_profile=pictures.icc("p3")), SAME).mode == "L"


@pytest.mark.parametrize("name", ["JPEG", "TIFF"])
def test_i06_cmyk_without_profile(bench: Bench, name: str) -> None:
    """Pillow writes CMYK JPEG inverted with Adobe's marker, as Photoshop does."""
    data = pictures.encoded(pictures.corners().convert("CMYK"), name, **({"quality": 95} if name == "JPEG" else {}))
    assert_like(bench.only(data, SAME), pictures.corners(), 4)


def test_i06_cmyk_with_profile(bench: Bench) -> None:
    source = pictures.corners().convert("CMYK")
    profile = ImageCms.ImageCmsProfile(io.BytesIO(pictures.cmyk_icc()))
    right = ImageCms.profileToProfile(source, profile, ImageCms.createProfile("sRGB"), outputMode="RGB")
    data = pictures.encoded(source, "TIFF", icc_profile=pictures.cmyk_icc())
    assert_like(bench.only(data, SAME), right, 1)
    assert verdict(bench, data) == "converted"
    assert np.abs(np.asarray(right, float) - np.asarray(pictures.corners(), float)).mean() > 10


@pytest.mark.parametrize(
    "profile", [b"no profile", bytes(200), pictures.icc("p3")[:300], pictures.cmyk_icc(), pictures.icc("grey")]
)
def test_i06_a_broken_or_foreign_profile_is_ignored_and_recorded(bench: Bench, profile: bytes) -> None:
    for data in (
        pictures.jpeg(pictures.corners(), icc_profile=profile),
        pictures.png(pictures.corners(), icc_profile=profile),
        pictures.encoded(pictures.corners(), "WEBP", icc_profile=profile, quality=95),
        pictures.encoded(pictures.corners(), "TIFF", icc_profile=profile),
    ):
        assert verdict(bench, data) == "broken"
        assert_like(bench.only(data, SAME), pictures.corners(), 5)


def test_i06_an_oversized_profile_is_ignored_and_recorded(bench: Bench) -> None:
    huge = pictures.icc("p3") + bytes(6 << 20)
    for data in (
        pictures.png(pictures.corners(), icc_profile=huge),
        pictures.jpeg(pictures.corners(), icc_profile=huge),
    ):
        assert verdict(bench, data) == "broken"
        assert_like(bench.only(data, SAME), pictures.corners(), 4)


def test_i06_a_profile_of_which_a_part_is_missing(bench: Bench) -> None:
    part = pictures.segment(0xE2, b"ICC_PROFILE\0\x02\x02" + pictures.icc("p3")[:100])
    assert verdict(bench, pictures.jpeg_with(part)) == "broken"


def test_i06_lab_tiff(bench: Bench) -> None:
    lab = ImageCms.profileToProfile(
        pictures.corners(), ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), outputMode="LAB"
    )
    assert_like(bench.only(pictures.encoded(lab, "TIFF"), SAME), pictures.corners(), 4)


@pytest.mark.parametrize("name", ["PNG", "TIFF"])
def test_i07_sixteen_bit_grey_is_scaled(bench: Bench, name: str) -> None:
    ramp = np.linspace(0, 65535, 256 * 4).astype(np.uint16).reshape(4, 256)
    out = np.asarray(bench.only(pictures.encoded(Image.fromarray(ramp), name), SAME).convert("L"), int)
    assert np.abs(out - np.rint(ramp / 257.0)).max() <= 1


def test_i07_sixteen_bit_rgb_is_scaled(bench: Bench) -> None:
    levels = np.linspace(0, 65535, 64).astype(">u2")
    rows = b"".join(b"\0" + np.repeat(levels, 3).tobytes() for _ in range(2))
    import struct
    import zlib

    head = pictures.chunk(b"IHDR", struct.pack(">IIBBBBB", 64, 2, 16, 2, 0, 0, 0))
    data = b"\x89PNG\r\n\x1a\n" + head + pictures.chunk(b"IDAT", zlib.compress(rows)) + pictures.chunk(b"IEND", b"")
    out = np.asarray(bench.only(data, SAME).convert("RGB"), int)[0]
    assert np.abs(out[:, 0] - levels.astype(int) / 257.0).max() <= 1.0


def test_i07_wide_integers_and_floats_are_scaled(bench: Bench) -> None:
    ramp = np.linspace(0.0, 1.0, 256, dtype=np.float32).reshape(1, 256).repeat(4, 0)
    for samples in (ramp, ramp * 40.0 - 7.0, (ramp * 2_000_000).astype(np.int32), (ramp * 65535).astype(np.int32)):
        out = np.asarray(bench.only(pictures.encoded(Image.fromarray(samples), "TIFF"), SAME).convert("L"), int)
        assert np.abs(out[0] - np.arange(256)).max() <= 1
    broken = ramp.copy()
    broken[0, 0] = np.nan
    assert bench.only(pictures.encoded(Image.fromarray(broken), "TIFF"), SAME).size == (256, 4)


def test_i07_one_bit_palette_and_grey_with_alpha(bench: Bench) -> None:
    one = pictures.photo(64, 48).convert("1")
    assert not ImageChops.difference(bench.only(pictures.png(one), SAME).convert("L"), one.convert("L")).getbbox()
    palette = pictures.corners().quantize(8)
    assert_like(bench.only(pictures.png(palette), SAME), palette.convert("RGB"), 0)
    keyed = bench.only(pictures.png(palette, transparency=palette.getpixel((0, 0))), SAME)
    assert keyed.mode == "RGBA" and keyed.getpixel((0, 0))[3] == 0 and keyed.getpixel((319, 0))[3] == 255
    grey = pictures.transparent(64, 48).convert("LA")
    assert not ImageChops.difference(
        bench.only(pictures.png(grey), SAME).convert("LA").getchannel("A"), grey.getchannel("A")
    ).getbbox()


@pytest.mark.parametrize("mode", ["L", "RGB", "1", "I;16"])
def test_i07_a_colour_named_transparent(bench: Bench, mode: str) -> None:
    source = Image.new("L", (8, 8), 255)
    source.paste(0, (0, 0, 4, 8))
    key = (0, 0, 0) if mode == "RGB" else 0
    made = Image.fromarray(np.asarray(source).astype(np.uint16) * 257) if mode == "I;16" else source.convert(mode)
    out = bench.only(pictures.png(made, transparency=key), SAME)
    assert out.mode == "RGBA" and out.getpixel((0, 0))[3] == 0 and out.getpixel((7, 0)) == (255, 255, 255, 255)


def test_i07_no_halo_where_transparent_pixels_hide_a_colour(bench: Bench) -> None:
    """Black under full transparency must not darken the white edge, however it is resized or matted."""
    source = Image.new("RGBA", (64, 64), (0, 0, 0, 0))
    source.paste((255, 255, 255, 255), (0, 0, 31, 64))
    for name in ("png", "webp"):
        small = np.asarray(
            bench.only(pictures.png(source), RenditionSpec("x", "fit", 16, 16, format=name, quality=100))
        )
        visible = small[small[..., 3] > 16]
        assert visible[..., :3].min() >= 235, name
    matted = np.asarray(bench.only(pictures.png(source), RenditionSpec("x", "fit", 16, 16, format="jpeg", quality=95)))
    assert matted.min() >= 250
    red = np.asarray(bench.only(pictures.png(source), AS_JPEG, matte="#ff0000"))[10, 60]
    assert red[0] > 245 and red[1] < 10 and red[2] < 10


def test_i07_an_opaque_alpha_channel_is_none(bench: Bench) -> None:
    picture = pictures.photo(200, 150).convert("RGBA")
    assert bench.good(pictures.png(picture)).renditions[0].format == "jpeg"
    assert bench.good(pictures.png(pictures.transparent())).renditions[0].format == "png"


def test_i08_no_location_thumbnail_or_xmp_in_renditions(bench: Bench) -> None:
    packet = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><secret/></x:xmpmeta>'
    block = pictures.exif(
        {33432: "© Ünal 2024", 315: "Ünal", 271: "Maker", 272: "Model", 306: "2024:05:06 07:08:09"}, gps=True
    )
    for name in ("JPEG", "PNG", "WEBP", "AVIF", "TIFF"):
        options = {} if name in {"TIFF", "PNG"} else {"xmp": packet}
        data = pictures.encoded(pictures.photo(200, 150), name, exif=block, **options)
        for out_name in ("jpeg", "png", "webp", "avif"):
            spec = RenditionSpec("x", "fit", 100, 100, format=out_name)
            result = bench.good(data, Recipe((spec,)))
            raw = bench.bytes_of(result.renditions[0])
            assert b"secret" not in raw and b"Maker" not in raw
            tags = bench.open(result.renditions[0]).getexif()
            assert set(tags) == {33432, 315}, (name, out_name, dict(tags))
            assert not tags.get_ifd(0x8825)
            assert "Ünal".encode() in raw or name == "TIFF"  # Pillow writes text into TIFF as ASCII only.
        assert result.picture.captured_at == "2024:05:06 07:08:09"
        assert result.picture.copyright == ("?? ??nal 2024" if name == "TIFF" else "© Ünal 2024")
        assert result.picture.camera == "Maker Model"
        bare = bench.good(data, Recipe((AS_JPEG,), metadata="none"))
        assert not bench.open(bare.renditions[0]).getexif()


def test_i08_rights_of_xmp_and_iptc_are_kept(bench: Bench) -> None:
    packet = b"<rdf:RDF><dc:rights><rdf:Alt><rdf:li xml:lang='x-default'>&#169; Her &amp; Him</rdf:li></rdf:Alt></dc:rights></rdf:RDF>"
    xmp = pictures.segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + packet)
    iptc = pictures.segment(0xED, b"Photoshop 3.0\0" + b"8BIM\x04\x04\0\0\0\0\0\x09" + b"\x1c\x02\x74\0\x04Them")
    for extra, text in ((xmp, "© Her & Him"), (iptc, "Them")):
        result = bench.good(pictures.jpeg_with(extra))
        assert result.picture.copyright == text
        assert text.encode() in bench.bytes_of(result.renditions[0])


def test_texts_of_metadata_are_one_printable_line(bench: Bench) -> None:
    block = pictures.exif({33432: "a\nb\x1b[31m\u202ec" + "x" * 1000, 306: "yesterday", 272: "M"})
    picture = bench.good(pictures.jpeg(exif=block)).picture
    assert picture.copyright.isprintable() and len(picture.copyright) <= 500
    assert not re.search("\u202e|\x1b|\n", picture.copyright)
    assert picture.captured_at == ""
