"""Pages of text and screens that are drawn: hundreds of different ones, alike in layout as such things are."""

from __future__ import annotations

import random
from functools import cache

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

Font = ImageFont.FreeTypeFont
Colour = tuple[int, int, int]
_PAGE = (827, 1170)  # A4 at 100 dots an inch.
_FONTS = ("DejaVuSans.ttf", "DejaVuSerif.ttf", "DejaVuSansMono.ttf", "DejaVuSans-Bold.ttf")
_SCREENS = ((1280, 800), (1366, 768), (1920, 1080))
_STRIP_WIDTH = 5_000
_STRIPS = 8
_DARK: Colour = (30, 30, 30)


@cache
def _font(name: str, size: int) -> Font:
    return ImageFont.truetype(name, size)


@cache
def _words() -> tuple[str, ...]:
    chance = random.Random(1)
    return tuple("".join(chance.choices("eaionrtlscudmphg", k=chance.randint(2, 11))) for _ in range(800))


@cache
def _strip(face: tuple[str, int], number: int) -> Image.Image:
    """A long line of words as a mask; to draw the words of each picture anew would be most of the work."""
    chance = random.Random(f"{face} {number}")
    strip = Image.new("L", (_STRIP_WIDTH, round(face[1] * 1.4)), 0)
    ImageDraw.Draw(strip).text((0, 0), " ".join(chance.choices(_words(), k=110)), font=_font(*face), fill=255)
    return strip


def _write(
    image: Image.Image,
    chance: random.Random,
    box: tuple[float, float, float, float],
    face: tuple[str, int],
    ink: int | Colour,
    *,
    paragraphs: bool = True,
) -> None:
    """Fill a box with lines of words."""
    left, top, right, bottom = map(round, box)
    line_height = round(face[1] * 1.4)
    rest = chance.randint(3, 9)
    while top + line_height < bottom and left < right:
        rest -= 1
        width = right - left if rest or not paragraphs else round((right - left) * chance.uniform(0.2, 0.9))
        start = chance.randrange(_STRIP_WIDTH - width)
        words = _strip(face, chance.randrange(_STRIPS)).crop((start, 0, start + width, line_height))
        image.paste(ink, (left, top), words)
        top += line_height
        if paragraphs and not rest:
            top += chance.choice((0, line_height // 2, line_height))
            rest = chance.randint(3, 9)


def document(number: int) -> Image.Image:
    """A page of text: every second one of a single layout, the others of many; half of them as a scanner sees them."""
    chance = random.Random(f"document {number}")
    paper = 255 if number % 4 < 2 else chance.randint(225, 250)
    page = Image.new("L", _PAGE, paper)
    draw = ImageDraw.Draw(page)
    width, height = _PAGE
    if number % 2 == 0:
        _write(page, chance, (80, 80, width - 80, height - 80), (_FONTS[0], 16), 0, paragraphs=number % 3 > 0)
    elif number % 8 == 1:  # A letter of a few lines.
        bottom = 60 + 25 * chance.randint(4, 30)
        _write(page, chance, (60, 60, width - 60, bottom), (_FONTS[0], 15), 0, paragraphs=False)
    else:
        margin, face = chance.randint(50, 120), (chance.choice(_FONTS), chance.choice((12, 14, 17, 20)))
        if chance.random() < 0.6:
            title = " ".join(chance.choices(_words(), k=4)).title()
            draw.text((margin, margin), title, font=_font(face[0], face[1] + 14), fill=20)
        columns = chance.choice((1, 1, 2))
        wide = (width - 2 * margin) / columns
        bottom = chance.uniform(0.6, 0.95) * height
        for column in range(columns):
            left = margin + column * wide
            _write(page, chance, (left, margin + 80, left + wide - 20, bottom), face, 25)
    return (page if number % 4 < 2 else _scanned(page, paper, chance)).convert("RGB")


def _scanned(page: Image.Image, paper: int, chance: random.Random) -> Image.Image:
    """Not quite straight, with noise, and light that falls off to one side."""
    page = page.rotate(chance.uniform(-1.5, 1.5), Image.Resampling.BICUBIC, fillcolor=paper)
    noise = np.random.default_rng(chance.getrandbits(32)).normal(0.0, chance.uniform(2, 8), (page.height, page.width))
    light = np.linspace(-chance.uniform(0, 12), chance.uniform(0, 12), page.width)
    seen = Image.fromarray(np.clip(np.asarray(page) + noise + light, 0, 255).astype(np.uint8))
    return seen.filter(ImageFilter.GaussianBlur(0.7)) if chance.random() < 0.5 else seen


def screenshot(number: int) -> Image.Image:
    """A screen: one program with other words each time, programs of all sorts, a terminal, windows on a desktop."""
    chance = random.Random(f"screenshot {number}")
    return (_same_program, _program, _terminal, _desktop)[number % 4](chance)


def _same_program(chance: random.Random) -> Image.Image:
    screen = Image.new("RGB", (1280, 800), (250, 250, 250))
    draw = ImageDraw.Draw(screen)
    draw.rectangle((0, 0, 1280, 40), fill=(50, 60, 80))
    draw.rectangle((0, 40, 220, 800), fill=(225, 228, 235))
    _write(screen, chance, (20, 10, 600, 40), (_FONTS[0], 16), (255, 255, 255), paragraphs=False)
    _write(screen, chance, (20, 60, 200, 700), (_FONTS[0], 14), (40, 40, 40), paragraphs=False)
    _write(screen, chance, (250, 70, 1240, 780), (_FONTS[0], 15), _DARK)
    return screen


def _program(chance: random.Random) -> Image.Image:
    width, height = chance.choice(_SCREENS)
    dark = chance.random() < 0.4
    level = chance.randint(20, 45) if dark else chance.randint(235, 255)
    ink = (220, 220, 220) if dark else _DARK
    screen = Image.new("RGB", (width, height), (level, level, level))
    draw = ImageDraw.Draw(screen)
    bar, side = chance.randint(24, 64), chance.choice((0, chance.randint(120, 360)))
    draw.rectangle((0, 0, width, bar), fill=_colour(chance))
    if side:
        draw.rectangle((0, bar, side, height), fill=_colour(chance))
        _write(screen, chance, (16, bar + 20, side - 8, height - 20), (_FONTS[0], 14), ink, paragraphs=False)
    left, top = side + 30, bar + 30
    while top < height - 60:
        tall = chance.randint(40, 240)
        bottom = min(height - 10, top + tall)
        match chance.choice(("text", "text", "boxes", "table")):
            case "text":
                face = (chance.choice(_FONTS), chance.choice((12, 14, 16, 20)))
                _write(screen, chance, (left, top, width - 30, bottom), face, ink)
            case "boxes":
                boxes = chance.randint(1, 5)
                wide = (width - 30 - left) // boxes
                for box in range(boxes):
                    area = (left + box * wide, top, left + box * wide + wide - 16, bottom)
                    fill = _colour(chance) if chance.random() < 0.5 else None
                    draw.rectangle(area, fill=fill, outline=(128, 128, 128))
            case "table":
                for row in range(int(bottom - top) // 24):
                    area = (left, top + row * 24, width - 30, top + row * 24 + 24)
                    draw.rectangle(area, outline=(180, 180, 180))
                    _write(screen, chance, (left + 6, area[1] + 3, width - 60, area[3]), (_FONTS[0], 13), ink)
        top += tall + 20
    if chance.random() < 0.4:
        wide, tall = chance.randint(300, 600), chance.randint(150, 400)
        x, y = (width - wide) // 2, (height - tall) // 2
        _window(screen, chance, (x, y, x + wide, y + tall))
    return screen


def _terminal(chance: random.Random) -> Image.Image:
    width, height = chance.choice(_SCREENS)
    screen = Image.new("RGB", (width, height), (12, 12, 16))
    area = (8, 8, width - 8, height * chance.uniform(0.3, 1.0))
    _write(screen, chance, area, (_FONTS[2], 14), (190, 220, 190))
    return screen


def _desktop(chance: random.Random) -> Image.Image:
    width, height = chance.choice(_SCREENS)
    ground = np.linspace(chance.randint(0, 120), chance.randint(120, 255), width)[None, :, None]
    tint = np.array([chance.uniform(0.3, 1.0) for _ in range(3)])
    screen = Image.fromarray((ground * np.ones((height, 1, 3)) * tint).astype(np.uint8))
    draw = ImageDraw.Draw(screen)
    for _ in range(chance.randint(1, 5)):
        wide, tall = chance.randint(200, width * 2 // 3), chance.randint(150, height * 2 // 3)
        x, y = chance.randint(0, width - wide), chance.randint(0, height - tall)
        _window(screen, chance, (x, y, x + wide, y + tall))
    draw.rectangle((0, height - 40, width, height), fill=(30, 34, 40))
    return screen


def _window(screen: Image.Image, chance: random.Random, area: tuple[int, int, int, int]) -> None:
    draw = ImageDraw.Draw(screen)
    left, top, right, bottom = area
    level = chance.randint(200, 255)
    draw.rectangle(area, fill=(level, level, level), outline=(90, 90, 90))
    draw.rectangle((left, top, right, top + 26), fill=_colour(chance))
    face = (chance.choice(_FONTS), 13)
    _write(screen, chance, (left + 10, top + 36, right - 10, bottom - 8), face, _DARK)


def _colour(chance: random.Random) -> Colour:
    return chance.randint(0, 255), chance.randint(0, 255), chance.randint(0, 255)
