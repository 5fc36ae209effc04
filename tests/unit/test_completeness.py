"""Whether a file reaches its own end, by structure alone: the probe that settling asks (W03, W06, W08, I03)."""

from __future__ import annotations

import os
import random
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import pictures
from dropmill.files import byte_source, inspect
from dropmill.files.byte_source import ByteSource
from dropmill.files.completeness import completeness, unknown_so_far
from dropmill.files.sniff import HEAD_BYTES, Kind, sniff
from dropmill.imaging.codecs import heif_available
from dropmill.model.settling import Completeness

PHOTO = pictures.photo(160, 120)


def heic(picture: Image.Image) -> bytes:
    import pillow_heif

    pillow_heif.register_heif_opener()
    return pictures.encoded(picture, "HEIF")


def whole_files() -> dict[str, bytes]:
    files = {
        "jpeg": pictures.jpeg(PHOTO),
        "jpeg-progressive": pictures.jpeg(PHOTO, progressive=True),
        "jpeg-restarts": pictures.jpeg(PHOTO, restart_marker_rows=1),
        "jpeg-exif-thumbnail": pictures.jpeg_with(
            pictures.segment(0xE1, b"Exif\0\0" + pictures.jpeg(pictures.photo(32, 24))), pictures.jpeg(PHOTO)
        ),
        "png": pictures.png(PHOTO),
        "apng": pictures.animation("PNG"),
        "gif": pictures.encoded(PHOTO, "GIF"),
        "gif-animated": pictures.animation("GIF", 6),
        "webp": pictures.encoded(PHOTO, "WEBP"),
        "webp-lossless": pictures.encoded(PHOTO, "WEBP", lossless=True),
        "webp-animated": pictures.animation("WEBP", 6),
        "webp-exif": pictures.encoded(PHOTO, "WEBP", exif=pictures.exif({315: "A"})),
        "tiff": pictures.encoded(PHOTO, "TIFF"),
        "tiff-lzw": pictures.encoded(PHOTO, "TIFF", compression="tiff_lzw"),
        "tiff-pages": pictures.tiff_pages(PHOTO, pictures.photo(90, 60, 3)),
        "tiff-big": pictures.encoded(PHOTO, "TIFF", big_tiff=True),
        "tiff-black": pictures.encoded(Image.new("L", (200, 200)), "TIFF"),
        "bmp": pictures.encoded(PHOTO, "BMP"),
        "bmp-black": pictures.encoded(Image.new("L", (200, 200)), "BMP"),
        "avif": pictures.encoded(PHOTO, "AVIF"),
        "avif-animated": pictures.animation("AVIF", 3),
    }
    return files | ({"heic": heic(PHOTO)} if heif_available() else {})


WHOLE = whole_files()
# In these every byte that is missing shows; in a TIFF a gap may be padding, and a BMP may end in rows of padding.
STRICT = sorted(name for name in WHOLE if name.split("-")[0] in {"jpeg", "png", "apng", "gif", "webp", "avif", "heic"})


def probe(data: bytes) -> Completeness:
    return completeness(sniff(data[:HEAD_BYTES]), ByteSource.of(data))


class Counted:
    """A file on disk, probed as settling does, that counts what is read."""

    def __init__(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.path, self.reads, self.bytes = path, 0, 0
        pread = os.pread

        def counting(descriptor: int, length: int, offset: int) -> bytes:
            self.reads += 1
            self.bytes += length
            return pread(descriptor, length, offset)

        monkeypatch.setattr(byte_source.os, "pread", counting)

    def probe(self, data: bytes) -> Completeness:
        self.path.write_bytes(data)
        self.reads = self.bytes = 0
        descriptor = os.open(self.path, os.O_RDONLY)
        try:
            head = os.read(descriptor, HEAD_BYTES)
            return completeness(sniff(head), ByteSource(descriptor, len(data), head))
        finally:
            os.close(descriptor)


@pytest.fixture
def counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Counted:
    return Counted(tmp_path / "file", monkeypatch)


@pytest.mark.parametrize("name", sorted(WHOLE))
def test_whole_files_are_complete(name: str, counted: Counted) -> None:
    assert probe(WHOLE[name]).state == "complete"
    assert counted.probe(WHOLE[name]).state == "complete"


@pytest.mark.parametrize("name", STRICT)
def test_w08_no_beginning_of_a_file_is_complete(name: str) -> None:
    data = WHOLE[name]
    ends = sorted({*range(0, len(data), max(len(data) // 400, 1)), *range(len(data) - 40, len(data))})
    complete = [end for end in ends if probe(data[:end]).state == "complete"]
    assert complete == []


@given(st.sampled_from(STRICT), st.data())
def test_w08_no_beginning_cut_anywhere_is_complete(name: str, data: st.DataObject) -> None:
    end = data.draw(st.integers(0, len(WHOLE[name]) - 1))
    assert probe(WHOLE[name][:end]).state != "complete"


@pytest.mark.parametrize("name", ["tiff", "tiff-lzw", "tiff-pages", "tiff-big", "bmp"])
def test_w08_half_a_tiff_or_bmp_is_incomplete(name: str) -> None:
    data = WHOLE[name]
    for part in (0.1, 0.5, 0.9, 0.99):
        assert probe(data[: int(len(data) * part)]).state == "incomplete"


@pytest.mark.parametrize("name", STRICT)
def test_w06_a_tail_of_zeros_is_not_an_end(name: str) -> None:
    """Written to the half, the rest preallocated."""
    data = WHOLE[name]
    if len(data) < 12_000:
        data = _larger(name) or data
    if len(data) >= 12_000:
        sparse = data[: len(data) // 2].ljust(len(data), b"\0")
        assert probe(sparse).state == "incomplete"


def test_w06_zeros_where_the_next_chunk_of_a_png_belongs_are_told_of() -> None:
    """Copied up to the end of a chunk, the rest preallocated: zeros make a chunk without a name or a length."""
    data = pictures.png(PHOTO)
    second = data.index(b"IDAT") - 4
    for size_bytes in (len(data), 240_000, 1 << 20):
        told = probe(data[:second].ljust(max(size_bytes, second + 4096), b"\0"))
        assert (told.state, told.detail) == ("incomplete", "the end of the PNG is zeros so far")


def _larger(name: str) -> bytes | None:
    kind, options = {"webp": ("WEBP", {}), "avif": ("AVIF", {"quality": 90}), "gif": ("GIF", {})}.get(name, (None, {}))
    return pictures.encoded(pictures.photo(640, 480), kind, **options) if kind else None


def test_w06_zeros_that_are_no_part_of_the_picture_are_no_gap() -> None:
    padding = bytes(8192)
    for name in ("jpeg", "png", "gif", "webp", "avif"):
        assert probe(WHOLE[name] + padding).state == "complete", name
    assert probe(WHOLE["avif"] + struct.pack(">I4s", 8 + 8192, b"free") + padding).state == "complete"


def test_w06_a_jpeg_with_something_behind_it_is_complete(counted: Counted) -> None:
    video = b"\0\0\0\x18ftypmp42" + random.Random(1).randbytes(3 << 20).replace(b"\xff\xd9", b"\0\0")
    assert counted.probe(WHOLE["jpeg"] + video).state == "complete"
    assert counted.probe(WHOLE["jpeg"] + WHOLE["jpeg"][:2000]).state == "complete"
    assert counted.probe(WHOLE["jpeg"] + bytes(8192)).state == "complete"


def test_extended_to_the_end_of_the_file() -> None:
    """A box of length 0 reaches to the end, wherever that is (ISO/IEC 14496-12, 4.2)."""
    data = bytearray(WHOLE["avif"])
    at = data.index(b"mdat") - 4
    data[at : at + 4] = bytes(4)
    assert probe(bytes(data)).state == "complete"


def test_a_webp_whose_length_is_not_written_yet_is_incomplete() -> None:
    data = WHOLE["webp"]
    assert probe(data[:4] + bytes(4) + data[8:]).state == "incomplete"


@pytest.mark.parametrize("data", [b"", bytes(1), bytes(31), bytes(5000)])
def test_w03_a_placeholder_called_like_a_picture_is_incomplete(data: bytes) -> None:
    assert unknown_so_far(data).state == "incomplete"


@pytest.mark.parametrize("name", sorted(WHOLE))
def test_w03_the_first_bytes_of_a_picture_are_incomplete(name: str) -> None:
    for end in range(32):
        head = WHOLE[name][:end]
        told = unknown_so_far(head) if sniff(head) is Kind.UNKNOWN else probe(head)
        assert told.state == "incomplete", head


@pytest.mark.parametrize("data", [b"no", b"This is a text whose name says picture.\n", b"<html>", b"\0\1", b"PK\3\4"])
def test_what_begins_like_no_picture_is_not_waited_for(data: bytes) -> None:
    assert unknown_so_far(data).state == "unknown"


@settings(max_examples=400)
@given(st.sampled_from([*Kind]), st.binary(max_size=400), st.sampled_from(sorted(WHOLE)), st.data())
def test_any_bytes_have_an_answer(kind: Kind, noise: bytes, name: str, data: st.DataObject) -> None:
    """Noise, noise behind a real beginning, and a real file with bytes changed; whatever kind they are taken for."""
    whole = WHOLE[name]
    at = data.draw(st.integers(0, min(len(whole), 2000)))
    for hostile in (noise, whole[:at] + noise, whole[:at] + noise + whole[at + len(noise) :]):
        assert completeness(kind, ByteSource.of(hostile)).state in {"complete", "incomplete", "unknown"}
        assert probe(hostile).state in {"complete", "incomplete", "unknown"}


SIZE = 16 << 20
STRIPS = [(256, 4, 1, 8), (257, 4, 1, 8), (273, 4, 1 << 30, 8), (279, 4, 1 << 30, 8)]
HOSTILE: dict[str, Callable[[], bytes]] = {
    "jpeg of empty segments": lambda: b"\xff\xd8" + b"\xff\xe5\0\2" * (SIZE // 4),
    "jpeg without an end": lambda: WHOLE["jpeg"][:2000] + b"\x55" * (3 * SIZE),
    "jpeg of fill bytes": lambda: b"\xff\xd8" + b"\xff" * SIZE,
    "png of empty chunks": lambda: WHOLE["png"][:33] + pictures.chunk(b"aaAa", b"") * (SIZE // 12),
    "gif of sub-blocks of one byte": lambda: WHOLE["gif"][:13] + b"!\xfe" + b"\1a" * (SIZE // 2),
    "gif of empty blocks": lambda: WHOLE["gif"][:13] + b"!\xfe\0" * (SIZE // 3),
    "webp of empty chunks": lambda: b"RIFF" + struct.pack("<I", SIZE + 4) + b"WEBP" + b"abcd\0\0\0\0" * (SIZE // 8),
    "avif of empty boxes": lambda: WHOLE["avif"][:32] + b"\0\0\0\x08free" * (SIZE // 8),
    "tiff of a thousand million strips": lambda: pictures.tiff_directory(STRIPS) + bytes(SIZE),
    "tiff that loops": pictures.looping_tiff,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_cost_a_bounded_number_of_reads(counted: Counted, name: str) -> None:
    counted.probe(HOSTILE[name]())
    assert counted.reads <= 25_000
    assert counted.bytes <= 64 << 20


def test_a_photograph_costs_a_read_of_its_end_and_no_more(counted: Counted) -> None:
    data = pictures.jpeg(pictures.photo(1600, 1200), quality=95)
    assert len(data) > 4 * HEAD_BYTES
    assert counted.probe(data).state == "complete"
    assert counted.reads == 1
    assert counted.bytes <= 4096


@pytest.mark.parametrize("name", sorted(whole_files()))
def test_w30_a_file_that_becomes_shorter_while_it_is_looked_at_is_looked_at_again(name: str, tmp_path: Path) -> None:
    """Its size was told before, its bytes are asked for afterwards: that says nothing about the format."""
    data = whole_files()[name]
    path = tmp_path / "a"
    for left in (0, 1, 6, 8, 15):
        path.write_bytes(data[:left])
        with path.open("rb") as file, pytest.raises(OSError, match="became shorter"):
            completeness(sniff(data[:HEAD_BYTES]), ByteSource(file.fileno(), len(data), data[:left]))


def test_w30_a_file_of_another_size_than_was_seen_is_not_judged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is cut between the look at its name and the reading of its first bytes."""
    data = whole_files()["gif"]
    path = tmp_path / "a.gif"
    path.write_bytes(data)
    real = inspect.open_regular

    def cut(dir_fd: int, name: bytes) -> int:
        os.truncate(path, 7)
        return real(dir_fd, name)

    monkeypatch.setattr(inspect, "open_regular", cut)
    (seen,) = inspect.inspect_many(os.fsencode(tmp_path), [(b"a.gif", True)], inspect.Policy((), "own", False, False))
    assert seen.trouble == ""
    assert seen.ignored is None
    assert seen.signature is not None and seen.signature.size_bytes == 7
