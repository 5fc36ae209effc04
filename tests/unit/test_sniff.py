"""What a file is by content, and whether it becomes a job (I01)."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pictures
from dropmill.files import ifd
from dropmill.files.sniff import Kind, extension_of, judge, kind_of, sniff
from dropmill.model.outcome import Ignored, Reason

SMALL = pictures.photo(32, 24)
DNG = pictures.tiff_directory([(254, 4, 1, 1), (256, 4, 1, 8), (50706, 1, 4, 0x00000401)])
CFA = pictures.tiff_directory([(256, 4, 1, 8), (257, 4, 1, 8), (262, 3, 1, 32803)])
NEF = pictures.tiff_directory([(254, 4, 1, 1), (271, 2, 4, 0x006E6F4E), (330, 4, 1, 8)])
CR2 = b"II*\0\x10\0\0\0CR\x02\0" + bytes(40)


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (pictures.jpeg(SMALL), Kind.JPEG),
        (pictures.png(SMALL), Kind.PNG),
        (pictures.encoded(SMALL, "WEBP"), Kind.WEBP),
        (pictures.encoded(SMALL, "GIF"), Kind.GIF),
        (pictures.encoded(SMALL, "TIFF"), Kind.TIFF),
        (pictures.encoded(SMALL, "TIFF", big_tiff=True), Kind.TIFF),
        (pictures.encoded(SMALL, "BMP"), Kind.BMP),
        (pictures.encoded(SMALL, "AVIF"), Kind.AVIF),
        (b"\0\0\0\x1cftypmif1\0\0\0\0mif1avifmiaf", Kind.AVIF),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", Kind.HEIF),
        (b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic", Kind.HEIF),
        (b"\0\0\0\x18ftypcrx \0\0\0\x01crx isom", Kind.RAW),
        (b"\0\0\0\x18ftypqt  \0\0\0\0qt  ", Kind.VIDEO),
        (b"\0\0\0\x18ftypisom\0\0\0\0isommp42", Kind.VIDEO),
        (b"RIFF\0\0\0\0AVI LIST", Kind.VIDEO),
        (b"RIFF\0\0\0\0WAVEfmt ", Kind.UNKNOWN),
        (CR2, Kind.RAW),
        (DNG, Kind.RAW),
        (CFA, Kind.RAW),
        (NEF, Kind.RAW),
        (b"FUJIFILMCCD-RAW 0201", Kind.RAW),
        (b"IIRO\x08\0\0\0", Kind.RAW),
        (b"IIU\0\x18\0\0\0", Kind.RAW),
        (b"FOVb\0\0\0\0", Kind.RAW),
        (b"8BPS\0\x01", Kind.PSD),
        (b"%PDF-1.7\n", Kind.PDF),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", Kind.EPS),
        (b"\xc5\xd0\xd3\xc6\x1e\0\0\0", Kind.EPS),
        (b'<svg xmlns="http://www.w3.org/2000/svg">', Kind.SVG),
        (b'\xef\xbb\xbf<?xml version="1.0"?>\n<!-- made by hand -->\n<!DOCTYPE svg>\n<svg>', Kind.SVG),
        (b"<html><svg></svg></html>", Kind.UNKNOWN),
        (b"\xff\x0a\xfa\x1f", Kind.JXL),
        (b"BM is how this text begins, without being a bitmap", Kind.UNKNOWN),
        (b"hello", Kind.UNKNOWN),
        (b"", Kind.UNKNOWN),
    ],
)
def test_i01_content_decides_the_kind(data: bytes, kind: Kind) -> None:
    assert sniff(data) is kind


def test_i01_raw_in_a_sub_directory_is_found() -> None:
    parent = bytearray(pictures.tiff_directory([(256, 4, 1, 8), (330, 4, 1, 0)]))
    struct.pack_into("<I", parent, 8 + 2 + 12 + 8, len(parent))
    child = pictures.tiff_directory([(262, 3, 1, 34892)], head=b"")
    assert sniff(bytes(parent) + child) is Kind.RAW


def test_i01_a_tiff_with_the_name_of_a_raw_stays_untouched() -> None:
    data = pictures.encoded(SMALL, "TIFF")
    assert kind_of(b"holiday/DSC1.NEF", data) is Kind.RAW
    assert kind_of(b"holiday/DSC1.tif", data) is Kind.TIFF


@pytest.mark.parametrize(
    ("name", "data", "heif", "verdict"),
    [
        (b"a.jpg", b"only text", True, None),
        (b"a.JPEG", b"", True, None),
        (b"a", pictures.jpeg(SMALL), True, None),
        (b"a.txt", pictures.png(SMALL), True, None),
        (b"a.txt", b"only text", True, Ignored(Reason.NOT_AN_IMAGE)),
        (b"a", b"", True, Ignored(Reason.NOT_AN_IMAGE)),
        (b"a.mov", b"", True, Ignored(Reason.NOT_AN_IMAGE)),
        (b"a.jpg", b"%PDF-1.4", True, Ignored(Reason.UNSUPPORTED_FORMAT, "PDF")),
        (b"a.pdf", b"%PDF-1.4", True, Ignored(Reason.UNSUPPORTED_FORMAT, "PDF")),
        (b"a.jpg", CR2, True, Ignored(Reason.UNSUPPORTED_FORMAT, "camera RAW")),
        (b"a.tif", DNG, True, Ignored(Reason.UNSUPPORTED_FORMAT, "camera RAW")),
        (b"a.svg", b"<svg >", True, Ignored(Reason.UNSUPPORTED_FORMAT, "SVG")),
        (b"a.psd", b"8BPS", True, Ignored(Reason.UNSUPPORTED_FORMAT, "PSD")),
        (b"a.heic", b"\0\0\0\x18ftypheic", True, None),
        (b"a.heic", b"\0\0\0\x18ftypheic", False, Ignored(Reason.CODEC_MISSING, "HEIF")),
        (b"a.jpg", b"\0\0\0\x18ftypheic", False, Ignored(Reason.CODEC_MISSING, "HEIF")),
    ],
)
def test_i01_job_or_ignored(name: bytes, data: bytes, heif: bool, verdict: Ignored | None) -> None:
    assert judge(name, data, len(data), heif) == verdict


def test_extension_is_that_of_the_last_component() -> None:
    assert extension_of(b"a.b/C.D.JPG") == b".jpg"
    assert extension_of(b".jpg") == b""
    assert extension_of(b"x.dir/name") == b""


@given(
    st.binary(max_size=400), st.sampled_from([b"", b"II*\0", b"MM\0*", b"II+\0\x08\0\0\0", b"\0\0\0\x18ftyp", b"<svg"])
)
@settings(max_examples=300, deadline=None)
def test_any_bytes_have_a_kind(tail: bytes, head: bytes) -> None:
    assert sniff(head + tail) in Kind
    assert len(list(ifd.chain(head + tail, 50))) <= 50


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_a_damaged_tiff_never_loops(data: st.DataObject) -> None:
    original = bytearray(pictures.looping_tiff())
    for _ in range(data.draw(st.integers(0, 8))):
        original[data.draw(st.integers(0, len(original) - 1))] = data.draw(st.integers(0, 255))
    assert len(list(ifd.chain(bytes(original), 1000))) <= 1000


def test_i04_a_looping_tiff_has_as_many_pages_as_directories() -> None:
    assert len(list(ifd.chain(pictures.looping_tiff(), 1000))) == 2
