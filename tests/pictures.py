"""Deterministic test pictures, and the samples that greet a newcomer. Needs Pillow and numpy only.

``python tests/pictures.py samples DIR`` writes the samples into DIR, unless DIR already holds one of them.
"""

from __future__ import annotations

import argparse
import io
import struct
import sys
import zlib
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms, ImageDraw, ImageOps

COPYRIGHT, ARTIST, ORIENTATION, MAKE, MODEL, DATE_TIME = 33432, 315, 274, 271, 272, 306


def photo(width: int = 640, height: int = 480, seed: int = 1) -> Image.Image:
    """An RGB picture with the statistics of a photograph: smooth light, shapes with edges, and grain."""
    rng = np.random.default_rng(seed)
    light = np.zeros((height, width, 3))
    for cells, strength in ((3, 90.0), (9, 40.0), (33, 18.0)):
        noise = rng.normal(0.0, 1.0, (cells, cells, 3))
        layers = [Image.fromarray(noise[..., band].astype(np.float32)) for band in range(3)]
        smooth = [np.asarray(layer.resize((width, height), Image.Resampling.BICUBIC)) for layer in layers]
        light += strength * np.stack(smooth, axis=-1)
    picture = Image.fromarray(np.clip(light + 128.0, 0, 255).astype(np.uint8))
    draw = ImageDraw.Draw(picture)
    for _ in range(12):
        x, y = rng.integers(0, width), rng.integers(0, height)
        size = int(rng.integers(max(min(width, height) // 16, 1), max(min(width, height) // 4, 2)))
        colour = tuple(int(value) for value in rng.integers(20, 235, 3))
        shape = draw.ellipse if rng.integers(2) else draw.rectangle
        shape((int(x), int(y), int(x) + size, int(y) + size), fill=colour)
    grain = rng.normal(0.0, 3.0, (height, width, 1))
    return Image.fromarray(np.clip(np.asarray(picture) + grain, 0, 255).astype(np.uint8))


def landscape(width: int, height: int, seed: int, sky: tuple[str, str], ground: str) -> Image.Image:
    """Hills under a sun: something to look at. ``sky`` runs from top to horizon, ``ground`` is the nearest hill."""
    rng = np.random.default_rng(seed)
    top, low, near = (np.array([int(text[at : at + 2], 16) for at in (1, 3, 5)], float) for text in (*sky, ground))
    rows = np.linspace(0.0, 1.0, height)[:, None, None]
    pixels = np.broadcast_to(top * (1 - rows) + low * rows, (height, width, 3)).copy()
    y, x = np.mgrid[0:height, 0:width]
    sun = np.hypot(x - width * rng.uniform(0.55, 0.8), y - height * rng.uniform(0.2, 0.32))
    glow = np.clip(1.4 - sun / (min(width, height) * 0.09), 0.0, 1.0)[..., None] ** 0.5
    pixels = pixels * (1 - glow) + np.array([255.0, 240.0, 214.0]) * glow
    across = np.linspace(0.0, 2 * np.pi, width)
    for layer in range(4):
        waves = sum(
            rng.uniform(0.3, 1.0) / turns * np.sin(turns * across + rng.uniform(0, 6)) for turns in (1, 2, 3, 5)
        )
        ridge = height * (0.46 + 0.14 * layer) - waves * height * 0.06
        depth = (layer + 1) / 4
        pixels[y > ridge[None, :]] = low * (1 - depth) + near * depth
    grain = rng.normal(0.0, 2.0, (height, width, 1))
    return Image.fromarray(np.clip(pixels + grain, 0, 255).astype(np.uint8))


def corners(width: int = 320, height: int = 200) -> Image.Image:
    """Red, green, blue, yellow from the top left clockwise: shows any turn or flip."""
    picture = Image.new("RGB", (width, height))
    draw = ImageDraw.Draw(picture)
    x, y = width // 2, height // 2
    for box, colour in (
        ((0, 0, x, y), "#d02020"),
        ((x, 0, width, y), "#20a030"),
        ((x, y, width, height), "#2040c0"),
        ((0, y, x, height), "#e0d020"),
    ):
        draw.rectangle((box[0], box[1], box[2] - 1, box[3] - 1), fill=colour)
    return picture


def transparent(width: int = 400, height: int = 300, seed: int = 3) -> Image.Image:
    """RGBA: a photograph that fades out towards its edge."""
    return faded(photo(width, height, seed))


def faded(picture: Image.Image) -> Image.Image:
    """The picture with an alpha channel that falls off from the centre to the edge."""
    picture = picture.convert("RGBA")
    radial = ImageOps.invert(Image.radial_gradient("L")).resize(picture.size)
    picture.putalpha(radial.point([min(255, max(0, 3 * value - 260)) for value in range(256)]))
    return picture


def screenshot(width: int = 800, height: int = 500) -> Image.Image:
    """Flat areas in few colours."""
    picture = Image.new("RGB", (width, height), "#f4f4f4")
    draw = ImageDraw.Draw(picture)
    draw.rectangle((0, 0, width, 40), fill="#30507a")
    for row in range(60, height - 20, 24):
        draw.rectangle((20, row, 20 + (row * 7) % (width - 60), row + 8), fill="#555555")
    return picture


def encoded(picture: Image.Image, format: str, **options: object) -> bytes:  # noqa: A002  # Pillow's own word.
    out = io.BytesIO()
    picture.save(out, format, **options)
    return out.getvalue()


def jpeg(picture: Image.Image | None = None, **options: object) -> bytes:
    return encoded(picture or photo(), "JPEG", **{"quality": 90, **options})


def png(picture: Image.Image | None = None, **options: object) -> bytes:
    return encoded(picture or photo(), "PNG", **options)


def animation(format: str = "GIF", frames: int = 4, width: int = 120, height: int = 80) -> bytes:  # noqa: A002  # As above.
    """A bar that moves to the right."""
    pictures = []
    for index in range(frames):
        picture = Image.new("RGB", (width, height), "#202040")
        left = index * width // frames
        ImageDraw.Draw(picture).rectangle((left, 0, left + width // frames, height), fill="#ffc020")
        pictures.append(picture)
    return encoded(pictures[0], format, save_all=True, append_images=pictures[1:], duration=80, loop=0)


def tiff_pages(*pictures: Image.Image, **options: object) -> bytes:
    return encoded(pictures[0], "TIFF", save_all=True, append_images=list(pictures[1:]), **options)


def exif(tags: dict[int, object], gps: bool = False) -> bytes:
    """An EXIF block; text is written as UTF-8, as most programs do."""
    block = Image.Exif()
    for tag, value in tags.items():
        block[tag] = value.encode() if isinstance(value, str) else value
    if gps:
        block.get_ifd(0x8825).update({1: "N", 2: (52.0, 31.0, 12.0), 3: "E", 4: (13.0, 24.0, 36.0)})
    return block.tobytes()


def raw_orientation(kind: int, value: bytes) -> bytes:
    """An EXIF block with an orientation tag of any TIFF type, which Pillow would refuse to write."""
    count = len(value) if kind == 2 else 1
    return (
        b"Exif\0\0II*\0\x08\0\0\0\x01\0" + struct.pack("<HHI", 274, kind, count) + value.ljust(4, b"\0")[:4] + bytes(4)
    )


def _parametric(gamma: float) -> bytes:
    return b"curv" + bytes(4) + struct.pack(">IH", 1, round(gamma * 256)) + bytes(2)


def _xyz(x: float, y: float, z: float) -> bytes:
    return b"XYZ " + bytes(4) + struct.pack(">iii", *(round(value * 65536) for value in (x, y, z)))


_D50 = (0.9642, 1.0, 0.8249)
# Colorants adapted to D50, as Adobe RGB (1998) and Display P3 profiles state them.
_ADOBE = ((0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457))
_P3 = ((0.51512, 0.2412, -0.00105), (0.29198, 0.69225, 0.04189), (0.1571, 0.06657, 0.78407))


def icc(name: str) -> bytes:
    """A profile by name: ``srgb``, ``adobe``, ``p3``, ``grey``, ``lab``."""
    if name == "srgb":
        return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    if name == "lab":
        return ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    if name == "grey":
        return _profile(b"GRAY", {b"wtpt": _xyz(*_D50), b"kTRC": _parametric(1.0)})
    primaries = _ADOBE if name == "adobe" else _P3
    tags = {b"wtpt": _xyz(*_D50)}
    for letter, colorant in zip((b"r", b"g", b"b"), primaries, strict=True):
        tags[letter + b"XYZ"] = _xyz(*colorant)
        tags[letter + b"TRC"] = _parametric(2.2)
    return _profile(b"RGB ", tags)


def cmyk_icc() -> bytes:
    """An output profile with real tables: K darkens everything, cyan is a greenish blue (so unlike Pillow's formula)."""
    grid = 5
    table = bytearray()
    for index in range(grid**4):
        c, m, y, k = ((index // grid**power) % grid / (grid - 1) for power in (3, 2, 1, 0))
        lightness = 100 * (1 - 0.85 * k) * (1 - 0.35 * c) * (1 - 0.45 * m) * (1 - 0.08 * y)
        a, b = 60 * (m - 0.6 * c) * (1 - k), 70 * (y - 0.7 * c - 0.1 * m) * (1 - k)
        for value in (lightness / 100 * 65280, (a + 128) * 256, (b + 128) * 256):
            table += struct.pack(">H", int(min(max(value, 0), 65535)))
    lut = b"mft2" + bytes(4) + bytes((4, 3, grid, 0)) + _xyz(1, 0, 0)[8:] + _xyz(0, 1, 0)[8:] + _xyz(0, 0, 1)[8:]
    lut += struct.pack(">HH", 2, 2) + struct.pack(">HH", 0, 65535) * 4 + bytes(table) + struct.pack(">HH", 0, 65535) * 3
    return _profile(b"CMYK", {b"wtpt": _xyz(*_D50), b"A2B0": lut}, device=b"prtr", space=b"Lab ")


def _profile(colour: bytes, tags: dict[bytes, bytes], device: bytes = b"mntr", space: bytes = b"XYZ ") -> bytes:
    """An ICC profile of version 2 (ICC.1:2001-04)."""
    described = {
        b"desc": b"desc" + bytes(4) + struct.pack(">I", 5) + b"test\0" + bytes(78),
        b"cprt": b"text" + bytes(4) + b"none\0",
        **tags,
    }
    table, body = struct.pack(">I", len(described)), b""
    start = 128 + 4 + 12 * len(described)
    for name, data in described.items():
        table += name + struct.pack(">II", start + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    head = struct.pack(">I4sI4s4s4s", start + len(body), b"lcms", 0x02400000, device, colour, space)
    head += struct.pack(">6H", 2024, 1, 1, 0, 0, 0) + b"acsp" + bytes(28) + _xyz(*_D50)[8:]
    return head.ljust(128, b"\0") + table + body


def chunk(kind: bytes, payload: bytes) -> bytes:
    return struct.pack(">I", len(payload)) + kind + payload + struct.pack(">I", zlib.crc32(kind + payload))


def png_with(chunks: bytes, picture: Image.Image | None = None) -> bytes:
    """A small PNG with further chunks between IHDR and the rest."""
    data = png(picture or photo(64, 48))
    return data[:33] + chunks + data[33:]


def jpeg_with(segments: bytes, data: bytes | None = None) -> bytes:
    data = data or jpeg(photo(64, 48))
    return data[:2] + segments + data[2:]


def segment(marker: int, payload: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(payload) + 2) + payload


def gif_bomb(width: int = 65535, height: int = 65535) -> bytes:
    """About 44 bytes that declare gigapixels."""
    screen = b"GIF89a" + struct.pack("<HHBBB", width, height, 0x80, 0, 0) + b"\0\0\0\xff\xff\xff"
    return screen + b"," + struct.pack("<HHHHB", 0, 0, width, height, 0) + b"\x02\x02\x4c\x01\0;"


def gif_of_many_frames(frames: int) -> bytes:
    screen = b"GIF89a" + struct.pack("<HHBBB", 1, 1, 0x80, 0, 0) + b"\0\0\0\xff\xff\xff"
    return screen + (b"," + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\x02\x02\x4c\x01\0") * frames + b";"


def apng_of_many_frames(frames: int) -> bytes:
    return png_with(chunk(b"acTL", struct.pack(">II", frames, 0)))


def webp_of_many_frames(frames: int) -> bytes:
    still = encoded(Image.new("RGB", (1, 1)), "WEBP", lossless=True)[12:]
    frame = b"ANMF" + struct.pack("<I", 16 + len(still)) + bytes(16) + still
    body = b"WEBP" + b"VP8X" + struct.pack("<I", 10) + b"\x02" + bytes(9) + b"ANIM" + struct.pack("<I", 6) + bytes(6)
    body += frame * frames
    return b"RIFF" + struct.pack("<I", len(body)) + body


def avif_bomb(side: int = 17000) -> bytes:
    """A small AVIF whose size property was raised to ``side`` x ``side``."""
    data = encoded(photo(64, 48), "AVIF")
    at = data.index(b"ispe") + 8
    return data[:at] + struct.pack(">II", side, side) + data[at + 8 :]


def png_text_bomb() -> bytes:
    return png_with(chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(64 << 20), 9)))


def looping_tiff() -> bytes:
    """A TIFF whose second directory names the first as its successor."""
    data = bytearray(tiff_pages(photo(32, 24), photo(32, 24, 2)))
    first = struct.unpack_from("<I", data, 4)[0]
    at = first + 2 + 12 * struct.unpack_from("<H", data, first)[0]
    second = struct.unpack_from("<I", data, at)[0]
    struct.pack_into("<I", data, second + 2 + 12 * struct.unpack_from("<H", data, second)[0], first)
    return bytes(data)


def tiff_directory(entries: list[tuple[int, int, int, int]], head: bytes = b"II*\0\x08\0\0\0") -> bytes:
    """A TIFF of one directory from (tag, type, count, value), sorted as the format wants."""
    body = b"".join(struct.pack("<HHII", *entry) for entry in sorted(entries))
    return head + struct.pack("<H", len(entries)) + body + bytes(4)


def samples() -> dict[str, bytes]:
    """Pictures by name for a first run: good ones, a duplicate, a copy with other metadata, and a broken one."""
    dusk, dawn, noon = ("#2b3a67", "#f4a37a"), ("#7a5c86", "#f6d7b0"), ("#4f93c8", "#d9ecf2")
    harbour = jpeg(
        landscape(2400, 1600, 11, dusk, "#1b1f3b"), exif=exif({COPYRIGHT: "dropmill samples", MAKE: "Generated"})
    )
    plain = harbour[:2] + harbour[harbour.index(b"\xff\xdb") :]
    turned = landscape(1200, 1800, 12, dawn, "#3d2c4a").transpose(Image.Transpose.ROTATE_90)
    return {
        "harbour.jpg": harbour,
        "harbour copy.jpg": harbour,
        "harbour without metadata.jpg": plain,
        "portrait.jpg": jpeg(turned, exif=exif({ORIENTATION: 6})),
        "badge.png": png(faded(landscape(800, 600, 14, dawn, "#6b3a3a"))),
        "screen.png": png(screenshot(1280, 800)),
        "meadow.webp": encoded(landscape(1600, 1067, 13, noon, "#2f5d3a"), "WEBP", quality=85),
        "not-an-image.jpg": b"This is a text whose name says picture.\n",
    }


def write_samples(folder: Path) -> list[Path]:
    """Write all samples, or none if one of their names is already there; returns what was written."""
    made = samples()
    folder.mkdir(parents=True, exist_ok=True)
    if any((folder / name).exists() for name in made):
        return []
    for name, data in made.items():
        (folder / name).write_bytes(data)
    return [folder / name for name in made]


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description="Write generated pictures.")
    commands = parser.add_subparsers(required=True)
    command = commands.add_parser("samples", help="a few pictures for a first run")
    command.add_argument("folder", type=Path)
    chosen = parser.parse_args(arguments)
    for path in write_samples(chosen.folder):
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
