"""Files that lie, end early, or would expand beyond reason (I01, I02, I03, I04, I11), and files made to crash decoders."""

from __future__ import annotations

import resource
import struct
import subprocess
import sys
import time
import zlib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

import pictures
from dropmill.imaging.preload import preload
from dropmill.model.image import Limits, Recipe, RenditionSpec
from dropmill.model.outcome import Reason
from dropmill.model.work import NotOurs, Processed, Rejected, Troubled
from imaging_help import WEB, Bench

FUZZ = Path(__file__).resolve().parents[2].parent / "shared" / "corpus" / "fuzz"
SMALL = Recipe((RenditionSpec("s", "fit", 64, 64),))


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def assert_rejected(bench: Bench, data: bytes, reason: Reason, name: str = "a.jpg", **more: object) -> Rejected:
    result = bench.of(data, name=name, **more)
    assert isinstance(result, Rejected), result
    assert result.reason is reason, result
    assert bench.left() == []
    return result


def assert_ignored(bench: Bench, data: bytes, name: str = "a.jpg") -> None:
    result = bench.of(data, name=name)
    assert isinstance(result, NotOurs) and result.reason is Reason.UNSUPPORTED_FORMAT, result


def test_i01_text_and_nothing_named_as_a_picture(bench: Bench) -> None:
    assert_rejected(bench, b"", Reason.EMPTY)
    assert_rejected(bench, b"a text", Reason.NOT_AN_IMAGE)
    assert_rejected(bench, b"<html><body>404</body></html>", Reason.NOT_AN_IMAGE)
    assert_rejected(bench, b"PK\x03\x04" + bytes(100), Reason.NOT_AN_IMAGE, name="a.png")


def test_i01_other_kinds_are_never_decoded(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    from dropmill.imaging import codecs

    monkeypatch.setattr(codecs, "open_image", lambda *args: pytest.fail("a decoder was opened"))
    raw = pictures.tiff_directory([(254, 4, 1, 1), (256, 4, 1, 8), (257, 4, 1, 8), (50706, 1, 4, 0x0401)])
    for data in (b"%PDF-1.7", b"%!PS-Adobe-3.0 EPSF-3.0", b"<svg >", b"8BPS\0\x01", raw, b"II*\0\x10\0\0\0CR\x02\0"):
        for name in ("a.jpg", "a.tif", "a"):
            assert_ignored(bench, data, name)
    assert_ignored(bench, pictures.encoded(pictures.photo(32, 24), "TIFF"), "DSC1.NEF")


def test_i01_raw_with_directories_beyond_the_first_64_kib(bench: Bench) -> None:
    directory = pictures.tiff_directory([(254, 4, 1, 1), (262, 3, 1, 32803)], head=b"")
    assert_ignored(bench, b"II*\0" + struct.pack("<I", 200_000) + bytes(200_000 - 8) + directory, "a.tif")


def test_i02_bombs_are_rejected_from_the_header(bench: Bench) -> None:
    bombs = {
        "gif": pictures.gif_bomb(),
        "avif": pictures.avif_bomb(),
        "png": b"\x89PNG\r\n\x1a\n"
        + pictures.chunk(b"IHDR", struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0))
        + pictures.chunk(b"IDAT", zlib.compress(bytes(1000)))
        + pictures.chunk(b"IEND", b""),
        "webp": _webp_bomb(),
        "bmp": _patched(pictures.encoded(Image.new("RGB", (1, 1)), "BMP"), 18, struct.pack("<ii", 60_000, 60_000)),
        "tiff": pictures.tiff_directory([(256, 4, 1, 65_000), (257, 4, 1, 65_000), (262, 3, 1, 1), (273, 4, 1, 8)]),
        "jpeg": _jpeg_of_declared_size(65_500, 65_500),
    }
    assert len(bombs["gif"]) <= 44
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for name, data in bombs.items():
        started = time.process_time()
        assert_rejected(bench, data, Reason.TOO_LARGE, name=f"a.{name}")
        assert time.process_time() - started < 0.5, name
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 << 10  # KiB


def test_i02_a_small_screen_with_a_huge_frame(bench: Bench) -> None:
    data = bytearray(pictures.gif_bomb())
    data[6:10] = struct.pack("<HH", 1, 1)
    assert_rejected(bench, bytes(data), Reason.TOO_LARGE)


def test_i02_text_chunks_that_expand(bench: Bench) -> None:
    assert_rejected(bench, pictures.png_text_bomb(), Reason.TOO_LARGE)
    one = pictures.chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(1 << 20), 9))
    assert_rejected(bench, pictures.png_with(one * 40), Reason.TOO_LARGE)
    late = pictures.png(pictures.photo(64, 48))
    late = late[:-12] + pictures.chunk(b"iTXt", b"k\0\x01\0\0\0" + zlib.compress(bytes(9 << 20), 9)) + late[-12:]
    assert_rejected(bench, late, Reason.TOO_LARGE)


@pytest.mark.parametrize("make", ["gif_of_many_frames", "apng_of_many_frames", "webp_of_many_frames"])
def test_i02_a_hundred_thousand_frames(bench: Bench, make: str) -> None:
    data = getattr(pictures, make)(100_000)
    started = time.process_time()
    assert_rejected(bench, data, Reason.TOO_MANY_FRAMES)
    assert time.process_time() - started < 2


@pytest.mark.parametrize("name", ["JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "AVIF"])
@pytest.mark.parametrize("part", [0.3, 0.7, 0.95])
def test_i03_truncated_pictures(bench: Bench, name: str, part: float) -> None:
    data = pictures.encoded(pictures.photo(320, 240), name)
    result = bench.of(data[: int(len(data) * part)])
    assert isinstance(result, Rejected), result
    assert result.reason is Reason.TRUNCATED or name in {"TIFF", "BMP"}, result
    assert bench.left() == []


@pytest.mark.parametrize("options", [{"progressive": True}, {"restart_marker_rows": 1}, {"subsampling": 0}])
def test_i03_truncated_jpegs_of_other_kinds(bench: Bench, options: dict[str, object]) -> None:
    data = pictures.jpeg(pictures.photo(320, 240), **options)
    for part in (0.2, 0.5, 0.9):
        assert_rejected(bench, data[: int(len(data) * part)], Reason.TRUNCATED)


def test_i03_truncated_in_a_later_frame(bench: Bench) -> None:
    for name in ("GIF", "PNG", "WEBP"):
        data = pictures.animation(name, 6)
        assert_rejected(bench, data[: len(data) - 60], Reason.TRUNCATED)


def test_i03_a_jpeg_that_lacks_only_its_end_marker_is_whole(bench: Bench) -> None:
    data = pictures.jpeg()
    assert data.endswith(b"\xff\xd9")
    result = bench.of(data[:-2])
    assert isinstance(result, Processed | Rejected)
    if isinstance(result, Rejected):
        assert result.reason is Reason.TRUNCATED


@pytest.mark.parametrize("name", ["JPEG", "PNG", "WEBP", "AVIF"])
def test_w06_a_tail_that_was_never_written(bench: Bench, name: str) -> None:
    data = pictures.encoded(pictures.photo(400, 300), name)
    assert_rejected(
        bench,
        data[: len(data) // 2].ljust(len(data) + 8192, b"\0")[: max(len(data), len(data) // 2 + 5000)],
        Reason.TRUNCATED,
    )


def test_w06_a_black_tiff_and_padding_after_the_end_are_whole(bench: Bench) -> None:
    bench.good(pictures.encoded(Image.new("L", (200, 200)), "TIFF"))
    bench.good(pictures.jpeg() + bytes(8192))
    bench.good(pictures.png() + bytes(8192))
    bench.good(pictures.jpeg() + b"\0\0\0\x18ftypmp42" + bytes(9000))


def test_damaged_data_is_corrupt(bench: Bench) -> None:
    data = bytearray(pictures.png())
    data[200:260] = b"\x55" * 60
    assert_rejected(bench, bytes(data), Reason.CORRUPT)


def test_i04_a_looping_tiff_ends(bench: Bench) -> None:
    result = bench.of(pictures.looping_tiff(), Recipe(SMALL.renditions, pages="all"))
    assert isinstance(result, Processed) and result.picture.frames == 2


def test_i11_what_is_hidden_behind_a_picture_is_gone(bench: Bench) -> None:
    hidden = b"PK\x03\x04 archive <script>alert(1)</script>"
    for data in (pictures.jpeg() + hidden, pictures.jpeg_with(pictures.segment(0xFE, hidden)), pictures.png() + hidden):
        for rendered in bench.good(data).renditions:
            raw = bench.bytes_of(rendered)
            assert b"script" not in raw and b"PK\x03\x04" not in raw


def test_a_decoding_error_near_the_memory_limit_proves_nothing(tmp_path: Path) -> None:
    """In a process of its own, because the limit cannot be raised again."""
    code = """
import resource, sys
from pathlib import Path
import pictures
from imaging_help import Bench
from PIL import Image
from dropmill.imaging.preload import preload
preload()
data = pictures.png(Image.new("RGB", (9000, 9000)))
used = int(open("/proc/self/statm").read().split()[0]) * 4096
resource.setrlimit(resource.RLIMIT_AS, (used + (120 << 20), used + (120 << 20)))
result = Bench(Path(sys.argv[1])).of(data)
print(type(result).__name__, result.reason)
"""
    tests = str(Path(__file__).resolve().parents[1])
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        env={"PYTHONPATH": tests, "OPENBLAS_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout.split() == ["Troubled", "memory-limit"], done


@given(st.data())
@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_flipped_bytes_never_raise(bench: Bench, data: st.DataObject) -> None:
    original = bytearray(data.draw(st.sampled_from(_SEEDS)))
    for _ in range(data.draw(st.integers(1, 6))):
        original[data.draw(st.integers(0, min(len(original) - 1, 900)))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, 3))
    result = bench.of(
        bytes(original[: len(original) - cut * len(original) // 5]), SMALL, limits=Limits(max_pixels=1_000_000)
    )
    _assert_sound(bench, result)


@pytest.mark.skipif(not FUZZ.is_dir(), reason="the fuzz corpus is not beside this checkout")
@pytest.mark.parametrize("kind", ["gif", "jpeg", "png"])
def test_files_made_to_crash_decoders_sample(bench: Bench, kind: str) -> None:
    preload()
    for path in sorted((FUZZ / kind).iterdir())[::6]:
        _assert_sound(bench, bench.of(path.read_bytes(), SMALL, name=f"a.{kind}"))


@pytest.mark.long
@pytest.mark.skipif(not FUZZ.is_dir(), reason="the fuzz corpus is not beside this checkout")
def test_files_made_to_crash_decoders_all(bench: Bench) -> None:
    keep = Recipe(WEB.renditions, animation="keep", pages="all")
    for path in sorted(FUZZ.glob("*/*")):
        for recipe in (WEB, keep):
            _assert_sound(bench, bench.of(path.read_bytes(), recipe))


def _assert_sound(bench: Bench, result: object) -> None:
    assert isinstance(result, Processed | Rejected | NotOurs) or (
        isinstance(result, Troubled) and result.reason is Reason.MEMORY_LIMIT
    ), result
    if not isinstance(result, Processed):
        assert bench.left() == []


def _seeds() -> list[bytes]:
    photo = pictures.photo(48, 36)
    still = [pictures.encoded(photo, name) for name in ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "AVIF")]
    rich = pictures.jpeg(photo, exif=pictures.exif({274: 6, 315: "A"}, gps=True), icc_profile=pictures.icc("p3"))
    palette = pictures.png(photo.quantize(16), transparency=3)
    return [*still, rich, palette, pictures.animation("PNG"), pictures.animation("WEBP"), pictures.looping_tiff()]


_SEEDS = _seeds()


def _patched(data: bytes, at: int, new: bytes) -> bytes:
    return data[:at] + new + data[at + len(new) :]


def _webp_bomb() -> bytes:
    data = pictures.encoded(pictures.transparent(64, 48), "WEBP")
    return _patched(data, data.index(b"VP8X") + 12, (16383).to_bytes(3, "little") * 2)


def _jpeg_of_declared_size(width: int, height: int) -> bytes:
    data = pictures.jpeg(pictures.photo(64, 48))
    return _patched(data, data.index(b"\xff\xc0") + 5, struct.pack(">HH", height, width))
