"""Real photographs under free licences, from Debian packages, and what people do to copies of them."""

from __future__ import annotations

import hashlib
import io
import random
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageFont, ImageOps

from dropmill.imaging.errands import fitted
from dropmill.imaging.inspect import pixels_digest
from dropmill.model.errand import EXAMINED_SIDE, Known
from parts import missing

_SHARE = Path("/usr/share")
_MATE = "Aqua Blinds Dune FreshFlower Garden GreenMeadow LadyBird RainDrops Storm TwoWings Wood YellowFlower"
_PLASMA = "Autumn BytheWater ColdRipple ColorfulCups DarkestHour EveningGlow FallenLeaf Grey Kite OneStandsOut Path summer_1am"
_LOMIRI = (
    "Bridge_by_Sander_Klootwijk Dragonfly_by_Bolly Picture_0B_by_freespace Picture_1A_by_freespace Wine_by_Jakkub_Mede"
    " aitzgorri_by_Aitzol_Berasategi analogpattern_by_Peter_Nerlich free_by_Peter_Nerlich"
    " friends_by_Aitzol_Berasategi greentock_by_Peter_Nerlich life_by_Aitzol_Berasategi"
    " picosdeeuropa_by_Aitzol_Berasategi seeding_by_Clements_Engelhardt sunset_by_Aitzol_Berasategi"
    " Fossa_by_Jasper_Roks Kleiber_by_Lukas_Baubkus"
)
_SIDE = 1600
Change = Callable[[Image.Image, random.Random], Image.Image]
"""From a photograph to a copy of it; chance says where and how."""


def paths() -> list[Path]:
    """42 of them, or the test is skipped (or fails, as ``missing`` says)."""
    found = [_SHARE / "backgrounds" / "mate" / "nature" / f"{name}.jpg" for name in _MATE.split()]
    found.append(_SHARE / "backgrounds" / "mate" / "abstract" / "Elephants.jpg")
    found += [_SHARE / "wallpapers" / name / "contents" / "images" / "2560x1600.jpg" for name in _PLASMA.split()]
    found.append(_SHARE / "wallpapers" / "Volna" / "contents" / "images" / "5120x2880.jpg")
    found += [_SHARE / "backgrounds" / f"{name}.jpg" for name in _LOMIRI.split()]
    for path in found:
        if not path.exists():
            missing(
                f"{path} is not there",
                "apt-get install mate-backgrounds plasma-workspace-wallpapers lomiri-wallpapers-16.04 lomiri-wallpapers-20.04",
            )
    return found


@cache
def load(path: Path, side: int = _SIDE) -> Image.Image:
    """In RGB, no larger than ``side``."""
    with Image.open(path) as image:
        image.draft("RGB", (side, side))
        picture = image.convert("RGB")
    picture.thumbnail((side, side), Image.Resampling.LANCZOS)
    return picture


def coded(image: Image.Image, quality: int = 90, kind: str = "JPEG", **more: object) -> bytes:
    data = io.BytesIO()
    image.save(data, kind, quality=quality, **more)
    return data.getvalue()


def recoded(image: Image.Image, quality: int = 90, kind: str = "JPEG") -> Image.Image:
    with Image.open(io.BytesIO(coded(image, quality, kind))) as again:
        return again.convert("RGB")


def known(image: Image.Image) -> Known:
    """As the catalog knows it."""
    digest = pixels_digest(image)
    return Known(hashlib.sha256(digest.encode()).hexdigest(), digest, digest, *image.size)


def shown(image: Image.Image) -> Image.Image:
    """Its preview, as it is stored and compared."""
    with Image.open(io.BytesIO(coded(fitted(image, EXAMINED_SIDE), 88, subsampling="4:4:4"))) as preview:
        return preview.convert("RGB")


def scaled(image: Image.Image, factor: float) -> Image.Image:
    size = (max(1, round(image.width * factor)), max(1, round(image.height * factor)))
    return image.resize(size, Image.Resampling.LANCZOS)


def cropped(image: Image.Image, left: float, top: float, right: float, bottom: float) -> Image.Image:
    """Without these shares of each side."""
    width, height = image.size
    box = (left * width, top * height, width - right * width, height - bottom * height)
    return image.crop(tuple(map(round, box)))


def watermarked(image: Image.Image, opacity: float, place: str, text: str = "© 2026 Studio") -> Image.Image:
    layer = Image.new("RGBA", image.size, (0, 0, 0, 0))
    draw = ImageDraw.Draw(layer)
    size = max(12, image.width // (9 if place == "middle" else 22))
    font = ImageFont.truetype("DejaVuSans-Bold.ttf", size)
    ink = (255, 255, 255, round(255 * opacity))
    width, height = image.size
    if place == "tiled":
        for y in range(height // 10, height, height // 4):
            for x in range(width // 20, width, width // 3):
                draw.text((x, y), text, font=font, fill=ink)
    elif place == "middle":
        draw.text((width / 2, height / 2), text, font=font, fill=ink, anchor="mm")
    elif place == "logo":
        side = min(width, height) // 6
        left, top = width - side - width // 30, height - side - height // 30
        draw.ellipse((left, top, left + side, top + side), fill=(220, 30, 40, round(255 * opacity)))
        draw.rectangle((left + side // 3, top + side // 3, left + 2 * side // 3, top + 2 * side // 3), fill=ink)
    else:
        draw.text((width * 0.97, height * 0.97), text, font=font, fill=ink, anchor="rs")
    return Image.alpha_composite(image.convert("RGBA"), layer).convert("RGB")


def noisy(image: Image.Image, deviation: float, chance: random.Random) -> Image.Image:
    rng = np.random.default_rng(chance.getrandbits(32))
    grain = rng.normal(0.0, deviation, (image.height, image.width, 3))
    return Image.fromarray(np.clip(np.asarray(image) + grain, 0, 255).astype(np.uint8))


def shot(scene: Image.Image, chance: random.Random, shift: float, turn_degrees: float = 0.0) -> Image.Image:
    """One frame of a burst: a window into the scene, with its own noise and exposure."""
    window = 0.8
    angle = chance.uniform(-turn_degrees, turn_degrees)
    if angle:
        scene = scene.rotate(angle, Image.Resampling.BICUBIC)
    width, height = round(scene.width * window), round(scene.height * window)
    left = (scene.width - width) / 2 + chance.uniform(0.3, 1.0) * shift * width * chance.choice((-1, 1)) / 2
    top = (scene.height - height) / 2 + chance.uniform(0.3, 1.0) * shift * height * chance.choice((-1, 1)) / 2
    frame = scene.crop((round(left), round(top), round(left) + width, round(top) + height))
    frame = ImageEnhance.Brightness(frame).enhance(chance.uniform(0.93, 1.07))
    return noisy(frame, 3.0, chance)


CHANGES: dict[str, dict[str, Change]] = {
    "re-encoded": {
        "jpeg 95": lambda image, _: recoded(image, 95),
        "jpeg 75": lambda image, _: recoded(image, 75),
        "jpeg 40": lambda image, _: recoded(image, 40),
        "webp 70": lambda image, _: recoded(image, 70, "WEBP"),
        "brighter": lambda image, _: recoded(ImageEnhance.Brightness(image).enhance(1.12), 85),
        "contrast": lambda image, _: recoded(ImageEnhance.Contrast(image).enhance(1.15), 85),
        "grey": lambda image, _: recoded(ImageOps.grayscale(image).convert("RGB"), 85),
    },
    "resized": {
        "three quarters": lambda image, _: recoded(scaled(image, 0.75), 88),
        "half": lambda image, _: recoded(scaled(image, 0.5), 85),
        "a quarter": lambda image, _: recoded(scaled(image, 0.25), 80),
        "enlarged": lambda image, _: recoded(scaled(image, 1.5), 92),
    },
    "cropped": {
        "1 % of each side": lambda image, _: recoded(cropped(image, 0.01, 0.01, 0.01, 0.01), 88),
        "3 % of each side": lambda image, _: recoded(cropped(image, 0.03, 0.03, 0.03, 0.03), 88),
        "10 % of one side": lambda image, chance: recoded(cropped(image, *chance.sample([0.1, 0, 0, 0], 4)), 88),
        "uneven": lambda image, chance: recoded(cropped(image, *(chance.uniform(0.02, 0.1) for _ in "abcd")), 85),
        "a quarter of the width": lambda image, _: recoded(cropped(image, 0.2, 0.0, 0.05, 0.0), 85),
        "and resized": lambda image, _: recoded(scaled(cropped(image, 0.06, 0.04, 0.02, 0.05), 0.6), 85),
    },
    "bordered": {
        "white 2 %": lambda image, _: recoded(ImageOps.expand(image, image.width // 50, "white"), 88),
        "black 5 %": lambda image, _: recoded(ImageOps.expand(image, image.width // 20, "black"), 88),
        "bars": lambda image, _: recoded(ImageOps.expand(image, (0, image.height // 12), "black"), 85),
        "coloured and resized": lambda image, _: recoded(
            scaled(ImageOps.expand(image, image.width // 25, (180, 40, 60)), 0.6), 85
        ),
    },
    "watermarked": {
        "corner": lambda image, _: recoded(watermarked(image, 0.8, "corner"), 88),
        "faint corner": lambda image, _: recoded(watermarked(image, 0.5, "corner"), 88),
        "middle": lambda image, _: recoded(watermarked(image, 0.35, "middle"), 88),
        "tiled": lambda image, _: recoded(watermarked(image, 0.3, "tiled"), 88),
        "logo": lambda image, _: recoded(watermarked(image, 0.9, "logo"), 85),
        "and resized": lambda image, _: recoded(scaled(watermarked(image, 0.6, "corner"), 0.6), 85),
    },
    "turned": {
        "90": lambda image, _: recoded(image.transpose(Image.Transpose.ROTATE_90), 88),
        "180": lambda image, _: recoded(image.transpose(Image.Transpose.ROTATE_180), 88),
        "270 and half": lambda image, _: recoded(scaled(image.transpose(Image.Transpose.ROTATE_270), 0.5), 85),
        "mirrored": lambda image, _: recoded(ImageOps.mirror(image), 85),
        "upside down": lambda image, _: recoded(ImageOps.flip(image), 75),
        "transposed": lambda image, _: recoded(image.transpose(Image.Transpose.TRANSPOSE), 88),
    },
}
