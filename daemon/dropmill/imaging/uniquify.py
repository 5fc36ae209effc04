"""Steps: ask what becomes of a picture that looks like this, and change the copy that is rendered where that is wanted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import chain
from typing import Final

import numpy as np
from PIL import Image, ImageChops

from dropmill.imaging.attempt import Attempt, Frame, Stop
from dropmill.imaging.fingerprint import looks_of
from dropmill.model.bearing import Bearing, Changed, Changes, Looked, outside
from dropmill.model.work import Recognised

# Tries are made on a picture of this size first, which has the same hashes within a bit or two, and then in full.
_TRIAL_SIDE: Final = 1024
# Noise finer than this is averaged away before a hash is taken.
_NOISE_CELLS: Final = 24


def ask(attempt: Attempt) -> None:
    """Go on only if renditions of what looks like this are wanted; asked once, of the first page."""
    if not attempt.request.asks_looks or attempt.page != 1 or attempt.looks is None or attempt.content is None:
        return
    bearing = attempt.wanted(Looked(attempt.looks))
    if not isinstance(bearing, Bearing) or not bearing.go:
        raise Stop(Recognised(attempt.content, attempt.described(), attempt.looks))
    if bearing.changes is not None:
        first = next(attempt.frames)
        attempt.frames = chain((first,), attempt.frames)
        attempt.changed = _search(first.image, bearing.changes, attempt.sha256)


def change(attempt: Attempt) -> None:
    """All frames of the page alike."""
    changed = attempt.changed
    if changed is not None and changed.enough:
        attempt.frames = _changed(attempt.frames, changed, attempt.sha256)


def _changed(frames: Iterator[Frame], changed: Changed, seed: str) -> Iterator[Frame]:
    for frame in frames:
        yield replace(frame, image=changed_copy(frame.image, changed.methods, changed.percent, seed))


def _search(image: Image.Image, changes: Changes, seed: str) -> Changed:
    small = image
    if max(image.size) > _TRIAL_SIDE:
        small = image.copy()
        small.thumbnail((_TRIAL_SIDE, _TRIAL_SIDE), Image.Resampling.BICUBIC, reducing_gap=2.0)
    for number in range(1, changes.max_tries + 1):
        percent = number * changes.strength_percent
        for picture in (small, image) if small is not image else (image,):
            looks = looks_of(changed_copy(picture, changes.methods, percent, seed))
            if not outside((looks.phash, looks.dhash), changes.avoid, changes.phash_distance, changes.dhash_distance):
                break
        else:
            return Changed(changes.methods, number, percent, True, looks.phash, looks.dhash)
    looks = looks_of(image)
    return Changed(changes.methods, changes.max_tries, 0.0, False, looks.phash, looks.dhash)


def changed_copy(image: Image.Image, methods: tuple[str, ...], percent: float, seed: str) -> Image.Image:
    """A picture (L, RGB or RGBA) of the same size; the same arguments always give the same one."""
    amount = percent / 100
    if "crop" in methods:  # More from one corner than from the other, which moves what the hashes look at.
        box = (0.75 * amount, 0.25 * amount, 1 - 0.25 * amount, 1 - 0.75 * amount)
        sides = (image.width, image.height) * 2
        exact = (box[0] * sides[0], box[1] * sides[1], box[2] * sides[2], box[3] * sides[3])
        image = image.resize(image.size, Image.Resampling.BICUBIC, box=exact)
    alpha = image.getchannel("A") if image.mode == "RGBA" else None
    tones = image.convert("RGB") if alpha is not None else image
    tones = tones.point(_curve(methods, amount) * len(tones.getbands()))
    if "noise" in methods:
        tones = _noisy(tones, amount, seed)
    if alpha is not None:
        tones.putalpha(alpha)
    return tones


def _curve(methods: tuple[str, ...], amount: float) -> list[int]:
    steepness = 1 - amount if "contrast" in methods else 1.0
    lift = 255 * amount / 2 if "brightness" in methods else 0.0
    return [min(255, max(0, round((value - 127.5) * steepness + 127.5 + lift))) for value in range(256)]


def _noisy(image: Image.Image, amount: float, seed: str) -> Image.Image:
    chance = np.random.default_rng(int(seed[:16] or "0", 16))
    waves = np.clip(chance.normal(128.0, 255 * amount / 2, (_NOISE_CELLS, _NOISE_CELLS)), 0, 255).astype(np.uint8)
    noise = Image.fromarray(waves).resize(image.size, Image.Resampling.BICUBIC)
    if image.mode == "RGB":
        noise = Image.merge("RGB", (noise, noise, noise))
    return ImageChops.add(image, noise, 1.0, -128)
